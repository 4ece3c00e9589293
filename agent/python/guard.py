"""The guard, which ends what an agent has started however that ends; and what forks mean to an agent.

Before the agent starts its first process it makes a guard: a process that is no child of the agent, and that waits for
the end of a pipe whose other end only the agent holds. So the guard learns of the end of the agent in every case, and
ends what is left. It shares our memory, but runs nothing of the user's.
"""
# A filter of warnings; in place of a pattern, for which `re` would be needed, stands what has its method.
QUIET = 'ignore', type('', (), {'match': lambda self, text: 'multi-threaded' in text})(), DeprecationWarning, None, 0

protecting = allocate_lock()
masks = {}          # thread -> the signals that it blocks beside the one that waits while it forks
polls = []          # `select.poll`, whatever others have put in its place
apart = []          # functions that run the guard in another way, unless they return


def stat(pid):
    """Parent, session and start (in clock ticks) of a process that lives, where there is /proc as on Linux."""
    try:
        with open('/proc/%s/stat' % pid, 'rb') as f:
            fields = f.read().rpartition(b')')[2].split()
        if fields[0] not in b'ZX':
            return int(fields[1]), int(fields[3]), int(fields[19])
    except (IOError, OSError, IndexError, ValueError):
        pass


def content(pid, file):
    try:
        with open('/proc/%d/%s' % (pid, file), 'rb') as f:
            return f.read()
    except (IOError, OSError):
        return b''


def protect():
    """Makes the guard, unless there is one. Once the end has begun no call starts anything any more."""
    while over and calls:
        sleep(8)
    pages = content(PID, 'statm').split()
    # What an agent of so much memory changes would be there twice. Where our own code was interrupted, which may be
    # reading, nothing can be asked for.
    if pages and int(pages[1]) * os.sysconf('SC_PAGE_SIZE') > 1 << 27 and (get_ident() != MAIN or busy in inside):
        try:
            part('apart')
        except ImportError:
            pass
    # An interrupt would leave the lock closed.
    mine = shut()
    with protecting:
        if not keep:
            make_guard()
    reopen(mine)


def make_guard():
    """Makes the guard, if a process can be started for it."""
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
        born = (stat(PID) or [0] * 3)[2]
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
        # No process can be started for it: the agent looks for what it started at its end.
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
    # It stays in the session of the agent, so that no other session gets that number, but leaves its group.
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
    for function in apart:
        function(born)
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
        # An agent whose controller is gone, or that has reported what it started, ends within that time.
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
    if 'ending' not in compiled:
        # Not by `part`, whose lock a thread may have held that a fork has no more.
        exec(source_of('ending'), globals())
    numbers = [int(word) for word in text.split()]
    sweep(dict(zip(numbers[::2], numbers[1::2])), born)
    posix._exit(0)


def at_fork():
    """A child of ours without a program of its own: the pipes and our signals do not concern it."""
    global IN
    # A child of a child has files of its own there.
    if IN:
        posix.close(IN)
        posix.close(OUT)
        IN = 0
        name_process()
    forked()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    after_fork()


def before_fork():
    """A child forgets signals that come before it is whole: SIGTERM, which ends it, waits until it has no handler."""
    # Python 3.12 warns where there are threads. Those of the agent do not concern code that forks.
    filters = getattr(sys.modules.get('warnings'), 'filters', [QUIET])
    if filters[:1] != [QUIET]:
        filters[:] = [QUIET] + [f for f in filters if f != QUIET]
    masks[get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def after_fork():
    signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop(get_ident()))


# Not in a process that only has this text.
if parts and hasattr(os, 'register_at_fork'):
    os.register_at_fork(before=before_fork, after_in_parent=after_fork, after_in_child=at_fork)
