"""The end of processes, and of the agent.

Before the agent starts its first process it makes a guard: a process that nobody has for a child, and that waits for
the end of a pipe whose other end the agent alone holds. So it learns of the agent's end however that comes, and ends
what is left. It shares our memory, but runs nothing of the user's.
"""
ended = allocate_lock()
protecting = allocate_lock()
leaving = 0         # the main thread is to end the interpreter
polls = []          # `select.poll`, whatever others have put in its place
# An agent of more memory has a guard that is a program of its own.
LARGE = 1 << 27
GUARD = """import os
e = getattr(os, 'environb', os.environ)
d = dict(parts=[])
exec(e.pop(b'CHOPSTICKS_0'), d)
exec(e.pop(b'CHOPSTICKS_1'), d)
import select
d.update(PID=%d, nonce=str(e.pop(b'CHOPSTICKS_2').decode())[::-1], polls=[select.poll])
d['watch_over'](%d)"""


def stat(pid):
    """Parent, session and start (in clock ticks) of a process that lives, where there is /proc as on Linux."""
    try:
        with open('/proc/%s/stat' % pid, 'rb') as f:
            fields = f.read().rpartition(b')')[2].split()
        if fields[0] not in b'ZX':
            return int(fields[1]), int(fields[3]), int(fields[19])
    except (IOError, OSError, IndexError, ValueError):
        pass


def processes():
    """Every live process of the host: pid -> (parent, session or group, start). Fails where nobody tells."""
    table = {}
    try:
        for name in os.listdir('/proc'):
            found = name.isdigit() and stat(name)
            if found:
                table[int(name)] = found
    except EnvironmentError:
        pass
    if posix.getpid() not in table:
        # No /proc, that of others, or one of another kind.
        table = ask_ps()
    return table


def ask_ps():
    """What `ps` tells, without a start. Not by `subprocess`, which another thread may be about to import."""
    source, sink = posix.pipe()
    child = posix.fork()
    if not child:
        try:
            posix.dup2(sink, 1)
            os.execv('/bin/sh', ['sh', '-c', 'exec ps -Ao pid=,ppid=,pgid=,stat= 2>/dev/null'])
        finally:
            posix._exit(1)
    posix.close(sink)
    text = b''.join(iter(lambda: posix.read(source, 1 << 16), b''))
    posix.close(source)
    try:
        posix.waitpid(child, 0)
    except OSError:
        pass
    table = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[0].isdigit() and fields[3][:1] != b'Z':
            table[int(fields[0])] = int(fields[1]), int(fields[2]), 0
    table.pop(child, 0)
    if posix.getpid() not in table:
        raise OSError(errno.ENOSYS, 'There are neither /proc nor ps')
    return table


def content(pid, file):
    try:
        with open('/proc/%d/%s' % (pid, file), 'rb') as f:
            return f.read()
    except (IOError, OSError):
        return b''


def marked(pid):
    """Whether a process has our mark, whatever its session: in its environment, or as the name of our threads."""
    mark = nonce[:10].encode()
    return mark in content(pid, 'environ') or mark in content(pid, 'comm')


def tracks(pid):
    """Whether it is what `multiprocessing` clears up with: it ends, and does so, when all who may use that have."""
    return b'_tracker import main' in content(pid, 'cmdline')


def below(table, roots):
    """The processes of `table` that descend from `roots`, without these."""
    found = more = set(roots)
    while more:
        more = set(p for p in table if table[p][0] in found) - found
        found = found | more
    return found - set(roots)


def kill(select):
    """Ends the processes that `select` returns until it returns none: first as a request, then by force."""
    for number, rounds in (15, 25), (9, 100):
        for i in range(rounds):
            pids = select()
            if not pids:
                return
            for pid in pids if not i or number == 9 else ():
                try:
                    if number + i > 59 or not tracks(pid):
                        posix.kill(pid, number)
                except OSError:
                    pass
            sleep(.02)


def sweep(family, born):
    """Ends whatever the agent, which was `born` then, has started, and the agent if it is another process."""
    me = posix.getpid()

    def left():
        table = processes()
        found = set(p for p in table if family.get(p) == table[p][2] or table[p][2] >= born and (
            p == PID or table[p][1] == PID or marked(p)))
        found |= below(table, found)
        # Their parents may end before them.
        family.update((p, table[p][2]) for p in found)
        return found - set([me])
    try:
        # One that was about to run a program had no environment for a moment.
        for _ in range(2):
            kill(left)
            sleep(.01)
    except EnvironmentError:
        # All that is left to know them by is the group, which those of most programs never leave.
        remove_files()
        for number, rounds in (15, 25), (9, 1):
            for i in range(rounds):
                try:
                    posix.killpg(PID, 0 if i else number)
                except OSError:
                    break
                sleep(.02)
    remove_files()


def protect():
    """Makes the guard, unless there is one. Once the end has begun no call starts anything any more."""
    while over and calls:
        sleep(8)
    # An interrupt would leave the lock closed.
    mine = shut()
    with protecting:
        if not keep:
            make_guard()
    reopen(mine)


def make_guard():
    """Makes the guard, if there is a process to be had for it."""
    global keep
    held = []
    try:
        held.extend(posix.pipe())
        held.append(posix.dup(IN))
        held.append(posix.dup(OUT))
        if OLD:
            import fcntl
            for fd in held:
                fcntl.fcntl(fd, fcntl.F_SETFD, 1)
        import gc, select
        # What gevent has put in its place waits in another way.
        saved = getattr(sys.modules.get('gevent.monkey'), 'saved', {}).get('select', {})
        polls[:] = filter(None, [saved.get('poll') or getattr(select, 'poll', None)])
        born = (stat(PID) or (0, 0, 0))[2]
        child = posix.fork()
        if not child:
            try:
                if posix.fork():
                    posix._exit(0)
                gc.disable()
                guard(born, (held[2], held[3], held[0]))
            finally:
                posix._exit(1)
        try:
            failed = posix.waitpid(child, 0)[1]
        except OSError:
            # Somebody waits for any child.
            failed = 0
        if not failed:
            keep = held[1]
    except Exception:
        # There is nobody to be had for it: what is started is looked for at the end of the agent.
        pass
    for fd in held:
        if fd != keep:
            posix.close(fd)


def guard(born, held):
    """Makes this process, a fork of the agent's, the guard. Does not return."""
    sys.settrace(None)
    sys.setprofile(None)
    for number in range(1, 32):
        try:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        except (EnvironmentError, RuntimeError, ValueError):
            pass
    # In the session of the agent, whose number is nobody else's for so long, but not in its group.
    posix.setpgid(0, 0)
    posix.chdir('/')
    # User code may have closed what comes first.
    while posix.open(os.devnull, os.O_RDWR) < 3:
        pass
    for number, fd in enumerate([posix.dup(fd) for fd in held]):
        posix.dup2(fd, number)
    try:
        fds = [int(fd) for fd in os.listdir('/proc/self/fd')]
    except EnvironmentError:
        fds = range(min(os.sysconf('SC_OPEN_MAX'), 1 << 16))
    for fd in fds:
        if fd > 2:
            try:
                posix.close(fd)
            except OSError:
                pass
    pages = content(posix.getpid(), 'statm').split()
    if born and pages and int(pages[1]) * os.sysconf('SC_PAGE_SIZE') > LARGE:
        # What the agent changes in its memory from now on would be there twice. A program has none of that. The mark
        # must not be in its environment, so that the cancel of a call does not end it.
        try:
            posix.execve(sys.executable, [sys.executable, '-s', '-S', '-E', '-c', GUARD % (PID, born)], dict(
                os.environ, CHOPSTICKS_AGENT=os.environ.get('CHOPSTICKS_AGENT', '').replace(':' + nonce, ''),
                CHOPSTICKS_0=parts[0], CHOPSTICKS_1=[text for text in parts if text.startswith(b'# ending')][0],
                CHOPSTICKS_2=nonce[::-1]))
        except (EnvironmentError, TypeError, ValueError):
            pass
    watch_over(born)


def watch_over(born):
    """The guard's life, with the agent's stdin and stdout, and its pipe in place of stderr."""
    try:
        with open('/proc/self/comm', 'wb') as f:
            f.write(b'chop-guard')
    except IOError:
        pass
    poll = patience = None
    if polls:
        poll = polls[0]()
        poll.register(2, 1)
        # Not for what there is to read: for the end alone.
        poll.register(0, 0x2000 if sys.platform.startswith('linux') else 0)
    text = b''
    ready = {2: 1}
    while ready:
        # An agent whose controller is gone, or that has told what it started, ends within that time.
        if poll:
            ready = dict(poll.poll(patience))
        if 0 in ready:
            poll.unregister(0)
            patience = 10000
        if 2 in ready:
            data = posix.read(2, 1 << 16)
            if not data:
                break
            text += data
            patience = 5000
    posix.close(0)
    numbers = [int(word) for word in text.split()]
    sweep(dict(zip(numbers[::2], numbers[1::2])), born)
    posix._exit(0)


def hand_over():
    """Sees to it that somebody ends what this agent started: the guard, or else whoever runs this."""
    global keep
    family = {}
    try:
        if os.path.exists('/proc/self/stat'):
            # Their parent is soon another, so those without a mark can only be found now.
            table = processes()
            family = dict((p, table[p][2]) for p in below(table, [PID]))
    except EnvironmentError:
        pass
    for _ in range(2):
        if not keep and protecting.acquire(0):
            # A fork waits for the imports of other threads, and these may wait for the controller.
            if not imp.lock_held():
                make_guard()
            protecting.release()
        if keep:
            try:
                text = ' '.join('%d %d' % pair for pair in family.items()) + ' '
                while text:
                    text = text[posix.write(keep, text.encode()):]
                return
            except OSError:
                # Somebody has killed the guard.
                keep = 0
    # No call whose child is ended is to tell of that.
    writing.acquire(0)
    sweep(family, 0)


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
        hand_over()
    else:
        remove_files()
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
    main = getattr(sys.modules.get('threading'), '_main_thread', None)
    if hasattr(main, '_set_tstate_lock') and not (main._tstate_lock and main._tstate_lock.locked()):
        # Before Python 3.13 it took the thread that imported it first for the main one, and that has ended.
        main._is_stopped = False
        main._set_tstate_lock()
    # What we hold of the user's would outlive the modules that it needs to end in order.
    for function in on_exit:
        function()
    # What runs is about to be ended: it is no fault of the user's that nobody has waited for it.
    getattr(sys.modules.get('warnings'), 'filters', []).insert(0, (
        'ignore', type('', (), {'match': lambda self, text: 'is still running' in text})(), Warning, None, 0))
    raise SystemExit


def bases():
    """Where temporary files may be."""
    return [base for base in (os.environ.get('TMPDIR'), '/tmp', '/var/tmp') if base]


def remove_files():
    """Removes what the part `disk` has written, whoever does: it is found by its name."""
    for base in bases() if nonce else ():
        top = os.path.join(base, 'chopsticks-' + nonce)
        for folder, names, files in os.walk(top, False):
            for remove, found in (os.remove, files + names), (os.rmdir, names + [folder]):
                for name in found:
                    try:
                        remove(os.path.join(folder, name))
                    except OSError:
                        pass


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
