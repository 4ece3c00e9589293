"""The end of processes: which there are, which are an agent's, and how they are ended."""


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


def bases():
    """Where temporary files may be."""
    return filter(None, (os.environ.get('TMPDIR'), '/tmp', '/var/tmp'))


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
