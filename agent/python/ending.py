"""The end of processes, and of the agent."""

ended = allocate_lock()


def processes():
    """Every live process of the host: pid -> (parent, session or group, start in clock ticks)."""
    table = {}
    try:
        names = os.listdir('/proc')
        if str(os.getpid()) not in names:
            raise OSError
    except OSError:
        from subprocess import Popen
        for line in Popen(['ps', '-Ao', 'pid=,ppid=,pgid='], stdout=-1).communicate()[0].splitlines():
            pid, parent, group = map(int, line.split())
            table[pid] = parent, group, 0
        return table
    for name in names:
        if name.isdigit():
            try:
                with open('/proc/%s/stat' % name, 'rb') as f:
                    fields = f.read().rpartition(b')')[2].split()
            except (IOError, OSError):
                continue
            if fields[0] not in b'ZX':
                table[int(name)] = int(fields[1]), int(fields[3]), int(fields[19])
    return table


def marked(pid):
    """Whether a process has our mark, whatever its session: in its environment, or as the name of our threads."""
    for file in 'environ', 'comm':
        try:
            with open('/proc/%d/%s' % (pid, file), 'rb') as f:
                if nonce[:10].encode() in f.read():
                    return True
        except (IOError, OSError):
            pass


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
            if not i or number == 9:
                for pid in pids:
                    try:
                        os.kill(pid, number)
                    except OSError:
                        pass
            sleep(.02)


def end():
    """Ends everything that this agent started, and the agent. Does not return."""
    if not ended.acquire(0):
        while 1:
            sleep(8)
    if bore():
        # Whatever a call does meanwhile, it ends with this process now; a child, which holds the pipe until it has
        # finished, clears up behind it. Our children's parent is then another: so look first.
        if calls and marked(PID):
            # Nor may they start more behind our back, where we need not start `ps` ourselves. The interpreter's lock is
            # held while one is started: none is under way here, and the next fails, or waits.
            for name in 'os', 'subprocess', '_posixsubprocess':
                vars(sys.modules.get(name, os)).update(
                    dict.fromkeys(('fork', 'fork_exec', '_fork_exec'), ended.acquire))
        table = processes()
        family = dict((p, table[p][2]) for p in below(table, [PID]))
        hold = os.dup(OUT)
        child = 0
        try:
            # A fork waits for the imports of other threads, and these may wait for the controller.
            child = not imp.lock_held() and fork()
        except OSError:
            pass
        if not child:
            # Where this is the agent still, no call whose child is ended is to tell of that.
            writing.acquire(0)
            me = os.getpid()

            def left():
                table = processes()
                roots = set(p for p in family if p in table and table[p][2] == family[p])
                return (roots | below(table, roots) | set(
                    p for p in table if p == PID or table[p][1] == PID or marked(p))) - set([me])
            if me != PID:
                # Not with the group, which the controller kills when it takes long; and after the exit functions.
                os.setsid()
                for _ in range(150):
                    if os.getppid() == PID:
                        sleep(.02)
            kill(left)
            remove_files()
            os.close(hold)
            if me != PID:
                os._exit(0)
    signal.alarm(3)
    try:
        if not calls and 'atexit' in sys.modules:
            sys.modules['atexit']._run_exitfuncs()
        sys.stderr.flush()
    except BaseException:
        pass
    if 'unpacked' in globals():
        remove_files()
    os._exit(0)


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
        os.waitpid(-1, os.WNOHANG)
        return True
    except OSError:
        pass
    try:
        with open('/proc/self/stat', 'rb') as f:
            return f.read().rpartition(b')')[2].split()[8] != b'0' or signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    except (IOError, OSError):
        return True
