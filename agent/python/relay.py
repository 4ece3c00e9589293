"""Programs that run for the controller, with their pipes as streams: docs/wire.md, section 9.

The controller sends this part in EXTEND, after `stream`. Each pipe has a thread, and another thread waits for the end
of the program, because each of them may have to wait while the others go on.
"""

SPAWN = 0x27
STDERR = 0x28
# For large transfers; a pipe of the usual size changes hands sixteen times as often.
PIPE_SIZE = 1 << 20
# Pipes of programs: end -> the thread that starts a program with it, 0 once that is done. A process that is forked must
# not keep them open: a program would not see the end of its stdin, nor we that of its stdout.
ends = {}


class Pipe(Stream):
    """A stream to or from a pipe of a program."""
    pipe = source = None
    writes = False

    def on(self, operation, payload):
        Stream.on(self, operation, payload)
        if self.stopped:
            self.wake_up()

    def wake_up(self):
        """Has the thread that waits for the pipe see that it need not: others may hold that open, and do nothing."""
        with self.lock:
            if self.pipe is None:
                return
            try:
                if self.writes:
                    from fcntl import fcntl
                    fcntl(self.pipe, 4, os.O_NONBLOCK)      # F_SETFL
                other = os.O_RDONLY if self.writes else os.O_WRONLY
                fd = os.open('/proc/self/fd/%d' % self.pipe, os.O_NONBLOCK | other)
            except (ImportError, EnvironmentError):
                # Not Linux.
                return
            try:
                os.read(fd, PIPE_SIZE) if self.writes else os.write(fd, b'\0')
            except EnvironmentError:
                # There is no room for anything, or nothing: it does not wait.
                pass
            os.close(fd)

    def take(self, source):
        """Gives its thread the pipe that it waits for; returns whether it still wants one."""
        with self.lock:
            if not self.stopped:
                self.source = source
                if self.waiting:
                    self.waiting = False
                    self.wake.release()
            return not self.stopped

    def use(self, pipe):
        with self.lock:
            self.pipe = pipe

    def done(self, pipe):
        """Closes the pipe: a program that still writes, or reads, learns that nobody is there."""
        self.use(None)
        close(pipe)


class Relay(object):
    """The streams of a program: to its stdin, and from its stdout. The reader calls `on`."""

    def __init__(self, request):
        self.request = request
        self.stdin, self.stdout = Pipe(request), Pipe(request)
        self.stdin.writes = True
        self.lock = allocate_lock()
        self.process = None
        self.stopped = False
        self.answered = False

    def on(self, operation, payload):
        if operation != RESET:
            (self.stdout if operation == CREDIT else self.stdin).on(operation, payload)
        if operation not in (DATA, CREDIT) and (operation != END or payload):
            # Cancelled, or one of its streams is no longer wanted: without it the program is of no use.
            self.stop()

    def stop(self):
        with self.lock:
            is_first = not self.stopped
            self.stopped = True
        if is_first:
            self.stdout.on(RESET, b'')
            if self.process:
                self.end()

    def begin(self, process):
        with self.lock:
            self.process = process
        if self.stopped:
            self.end()

    def end(self):
        """Ends the program, unless it has ended: its number may be another's then."""
        if self.process.returncode is None:
            try:
                start_new_thread(end_program, (self,))
            except Exception:
                # No thread is to be had, and the reader must not wait.
                self.kill()

    def kill(self):
        """Ends the program by force, and nothing else; returns whether it may not."""
        try:
            if self.process.returncode is None:
                os.kill(self.process.pid, 9)
        except OSError as e:
            return e.errno == errno.EPERM

    def answer(self, *message):
        """Answers the request, unless that was done."""
        with self.lock:
            is_first = not self.answered
            self.answered = True
        if is_first:
            send(self.request, *message)


def spawn(relay, wanted, path):
    """Runs a program until it ends, and answers with how it did."""
    errors = streams.get(wanted['stderr'])
    process, stdin, stdout, stderr = started(wanted, path)
    for pipe in stdin, stdout:
        enlarge(pipe)
    if not (errors and errors.take(stderr)):
        close(stderr)
    relay.begin(process)
    finished = allocate_lock()
    finished.acquire()
    closing = [stdin, stdout]
    try:
        start_new_thread(feed, (relay, stdin))
        closing.remove(stdin)
        start_new_thread(drain, (relay.stdout, stdout, finished))
    except Exception as e:
        # No more threads are to be had, and without one for each pipe of its a program is of no use.
        relay.stop()
        relay.stdin.on(RESET, b'')
        list(map(close, closing))
        process.wait()
        return relay.answer(FAIL, MARSHAL, failure_of(0, text_of('%s: %s' % (type(e).__name__, e)), path[0]))
    status = process.wait()
    relay.answer(REPLY, MARSHAL, marshal.dumps({u'status': status}, 2))
    # Something else may still hold its stdout.
    finished.acquire()
    relay.stdin.on(RESET, b'')


def started(wanted, path):
    """Starts a program, and returns it and our ends of its pipes; `path` gets what an error is about."""
    from subprocess import Popen
    argv, folder = wanted['argv'], wanted.get('cwd')
    path[0] = argv[0]
    if folder and not os.path.isdir(folder):
        path[0] = folder
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    environment = dict(os.environ if OLD else os.environb)
    for name, value in wanted.get('env', {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    # By ourselves: not every `Popen` closes those that it has made when it can make no more.
    pipes, kept = [], ()
    try:
        for _ in range(3):
            pipe = os.pipe()
            ends.update(dict.fromkeys(pipe, get_ident()))
            pipes.extend(pipe)
            if OLD:
                from fcntl import fcntl
                for fd in pipe:
                    fcntl(fd, 2, 1)     # F_SETFD, FD_CLOEXEC
        # Python ignores SIGPIPE, and 2.7 lets its children do so too.
        process = Popen(
            argv, stdin=pipes[0], stdout=pipes[3], stderr=pipes[5], close_fds=True, cwd=folder, env=environment,
            preexec_fn=(lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL)) if OLD else None)
        kept = pipes[1], pipes[2], pipes[4]
        ends.update(dict.fromkeys(kept, 0))
    finally:
        for fd in pipes:
            if fd not in kept:
                close(fd)
    return (process,) + kept


def close(fd):
    """Closes an end of a pipe."""
    # In this order: from the second step on it can be another file.
    ends.pop(fd, None)
    os.close(fd)


def at_fork_of_relays():
    """A child of ours without a program of its own."""
    for fd, thread in list(ends.items()):
        # A program is started by a fork too, on 2.7, and has yet to take its pipes.
        if thread != get_ident():
            try:
                os.close(fd)
            except OSError:
                pass
            del ends[fd]


def enlarge(fd):
    try:
        from fcntl import fcntl
        fcntl(fd, 1031, PIPE_SIZE)      # F_SETPIPE_SZ
    except (ImportError, EnvironmentError):
        # Not Linux, or the user has too many pages in pipes already.
        pass


def feed(relay, pipe):
    """Writes what the controller sends to the program's stdin, and closes that at the end."""
    stdin = relay.stdin
    stdin.use(pipe)
    try:
        for piece in stdin.read():
            view = memoryview(piece)
            while len(view):
                view = view[os.write(pipe, view):]
    except Stopped:
        pass
    except EnvironmentError:
        # The program takes no more.
        send(relay.request, RESET, 0, number_of.pack(0))
    stdin.done(pipe)


def drain(stream, pipe, finished=None):
    """Sends what the program writes into a pipe, to its end."""
    stream.use(pipe)
    try:
        while not stream.stopped:
            data = os.read(pipe, PIECE)
            if not data:
                send(stream.request, END, 0, b'')
                break
            stream.write(memoryview(data))
    except (Stopped, EnvironmentError):
        pass
    stream.done(pipe)
    if finished:
        finished.release()


def relay_errors(stream, wanted, path):
    """Sends what a program writes to its stderr. It comes before the SPAWN that names it, so that it is there then."""
    try:
        pipe = stream.wait(lambda: stream.source)
    except Stopped:
        if stream.source:
            close(stream.source)
        raise
    drain(stream, pipe)
    return {}


def end_program(relay):
    """Ends a program and what descends from it."""
    part('ending')
    process, family = relay.process, {}

    def left():
        table = processes()
        if process.returncode is None and process.pid in table:
            # It was not waited for yet: else the number might be another's.
            family.setdefault(process.pid, table[process.pid][2])
        there = [p for p in family if p in table and table[p][2] == family[p]]
        # Those of one that ends have another parent then: they are remembered.
        family.update((p, table[p][2]) for p in below(table, there))
        return [p for p in family if p in table and table[p][2] == family[p]]
    try:
        kill(left)
        is_left = left()
    except EnvironmentError:
        # Not even descriptors for a look around are to be had.
        is_left = relay.kill()
    if is_left:
        # One that we may not kill, such as another user's. Nobody is to wait for it.
        relay.answer(FAIL, 0, b'\2')


def prepare():
    """Imports what starts programs: that takes longer than to start one, and may be over when one is asked for."""
    try:
        __import__('subprocess')
    except ImportError:
        # Whoever needs it will tell.
        pass


start_new_thread(prepare, ())
serves(SPAWN, spawn, Relay)
serves(STDERR, relay_errors, Pipe)
on_fork.append(at_fork_of_relays)
