"""The agent that runs this code: its namespace, and waiting in a way that a cancel can end."""
agent = getattr(getattr(globals().get('__loader__'), 'exec_module', None), '__func__', None)
agent = getattr(agent, '__globals__', {})
if 'nonce' not in agent:
    raise ImportError('only agents of chopsticks can open tunnels')

OLD = agent['OLD']
allocate_lock, get_ident, start_new_thread = agent['allocate_lock'], agent['get_ident'], agent['start_new_thread']
sleep, time = agent['sleep'], agent['time']
# Threads that wait here, the processes at the other ends of tunnels, and starts of such: the agent's part `cancelling`
# looks at them.
wakers, inner, spawning = agent['wakers'], agent['inner'], agent['spawning']
bell_pipe = []      # what the main thread of Python 2 waits for: no signal is handled while it waits for a lock


class Interrupted(KeyboardInterrupt):
    """The call that waits here is cancelled."""
    __slots__ = ()


class Wait(object):
    """Where a thread waits, until something has happened or its call is cancelled."""

    def __init__(self):
        self.calls = ()
        self.stopped = False
        self.on_stop = None
        self.is_main = False
        self.bell = allocate_lock()
        self.bell.acquire()

    def ring(self):
        try:
            self.bell.release()
        except Exception:
            # It rings already. On Python 2 the error has a class of its own.
            pass
        if self.is_main:
            try:
                agent['os'].write(bell_pipe[1], b'\0')
            except EnvironmentError:
                # As much is there as it takes: that wakes too.
                pass

    def stop(self):
        self.stopped = True
        on_stop = self.on_stop
        if on_stop:
            on_stop()
        self.ring()

    def check(self):
        if self.stopped or agent['cancelled'].intersection(self.calls):
            raise Interrupted

    def until(self, ready):
        """Waits for what makes `ready` true and rings."""
        self.is_main = OLD and get_ident() == agent['MAIN'] and make_bell_pipe()
        while not ready():
            self.check()
            if not self.is_main:
                self.bell.acquire()
                continue
            try:
                agent['os'].read(bell_pipe[0], 4096)
            except EnvironmentError:
                # A signal, which has been handled.
                pass

    def pause(self, seconds):
        end = time() + seconds
        while time() < end:
            self.check()
            sleep(min(.05, max(0, end - time())))


def make_bell_pipe():
    if not bell_pipe:
        import fcntl
        bell_pipe.extend(agent['os'].pipe())
        for fd in bell_pipe:
            fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        fcntl.fcntl(bell_pipe[1], fcntl.F_SETFL, agent['os'].O_NONBLOCK)
    return True


def guarded(work, *args):
    """Returns `work(wait, *args)`. No interrupt strikes in it: a lock would stay closed, or a frame half written.

    The cancel of the call stops `wait` instead, and strikes when the work is over. That is also what wakes a thread
    that waits for a lock, which no interrupt does but on the main thread of Python 3.
    """
    wait, me = Wait(), get_ident()
    wait.calls = agent['shut']()
    before = wakers.get(me)
    try:
        wakers[me] = wait
        # An interrupt of the event loop's thread, which runs no call of its own, may be under way.
        while agent['strike'].locked():
            sleep(.001)
        return work(wait, *args)
    finally:
        if before:
            wakers[me] = before
        else:
            wakers.pop(me, None)
        agent['reopen'](wait.calls)


def text(value):
    """Text, also of what Python 2 calls so."""
    return agent['to_text'](value)


def native(value):
    """Text as this Python's messages and names have it."""
    return value.encode('utf-8') if OLD and isinstance(value, type(u'')) else value


def as_bytes(value):
    """Bytes as `marshal` writes them for all: of a `str` that Python 2 has interned, it writes what only that reads."""
    return buffer(value) if OLD and type(value) is str else value  # noqa: F821


def word(value):
    """Text for a value: on Python 2 a `str` only if it is ASCII, for no other can be a result."""
    value = text(value)
    return value.encode('ascii') if OLD and all(c < u'\x80' for c in value) else value


def hosts():
    """The names that lead from the controller to this agent."""
    options = agent['options']
    return [native(name) for name in options.get('hosts') or [options.get('host', u'localhost')]]
