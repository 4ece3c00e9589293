"""The end of the agent: as that of any other program, and with everything that it has started."""
ended = allocate_lock()
leaving = 0         # the main thread is to end the interpreter


def end():
    """Ends everything that this agent started, and the agent. Does not return."""
    global leaving
    if not ended.acquire(0):
        if leaving and get_ident() == MAIN:
            leave_interpreter()
        while 1:
            sleep(8)
    for function in on_end:
        function()
    if keep or bore():
        part('ending')
        hand_over()
    signal.alarm(3)
    if not calls and serial:
        leaving = 1
        if get_ident() == MAIN:
            leave_interpreter()
        handler = signal.getsignal(signal.SIGINT)
        errands.append(leave_interpreter)
        if gate.locked():
            gate.release()
        if handler is interrupted or type(handler).__name__ == 'Interrupt':
            if hasattr(signal, 'pthread_kill'):
                signal.pthread_kill(MAIN, signal.SIGINT)
            else:
                posix.kill(PID, signal.SIGINT)
        sleep(3)
    try:
        sys.stderr.flush()
    except BaseException:
        pass
    posix._exit(0)


def leave_interpreter():
    """Ends it as after any program, on the main thread: threads are waited for, exit functions run, files closed."""
    global armed
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(3)
    armed = 0
    if 'threading' in sys.modules:
        part('overlap')
        settle_threads()
    # What we hold of the user's would outlive the modules that it needs to end in order.
    for function in on_exit:
        function()
    raise SystemExit


def bore():
    """Whether this process ever had a child: not one waited for (whose page faults count) and none to wait for."""
    try:
        posix.waitpid(-1, os.WNOHANG)
        return True
    except OSError:
        pass
    try:
        with open('/proc/self/stat', 'rb') as f:
            return f.read().rpartition(b')')[2].split()[8] != b'0' or signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    except (IOError, OSError):
        return True
