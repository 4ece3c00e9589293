"""The end of a call that was cancelled, and of the processes that it started."""


def end_call(request):
    """Interrupts a call, again and again until it ends, and ends the processes that it started."""
    if request not in calls:
        return
    began = calls.get(request, (0, time()))[1]

    def started():
        """Processes younger than the call that no other call's thread has started."""
        table = processes()
        with open('/proc/uptime') as f:
            since = (float(f.read().split()[0]) - (time() - began)) * os.sysconf('SC_CLK_TCK') - 2
        others = set()
        for other, (thread, _) in list(calls.items()):
            if other != request and thread in tids:
                try:
                    with open('/proc/%d/task/%d/children' % (PID, tids[thread])) as f:
                        others.update(map(int, f.read().split()))
                except (IOError, OSError):
                    pass
        others |= below(table, others)
        mine = below(table, [PID])
        return [p for p in table if p != PID and p not in others and table[p][2] >= since
                and (p in mine or marked(p))]

    interrupt(request)
    if os.path.exists('/proc/uptime'):
        kill(started)
    while request in calls:
        sleep(.1)
        interrupt(request)


def interrupt(request):
    """Raises KeyboardInterrupt in the user code of a call; in a blocking system call on the main thread alone."""
    thread = calls.get(request, (0,))[0]
    if thread == MAIN:
        if hasattr(signal, 'pthread_kill'):
            signal.pthread_kill(MAIN, signal.SIGINT)
        else:
            os.kill(PID, signal.SIGINT)
    elif thread:
        try:
            import ctypes
        except ImportError:
            return
        with strike:
            if request in inside:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_long(thread), ctypes.py_object(KeyboardInterrupt))
