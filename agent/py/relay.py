"""Programs that are run for the controller, with their pipes as streams: docs/wire.md, section 9.

The controller sends it in EXTEND, after `stream`. Each pipe has a thread, and one more waits for the program's end: each of them
may have to wait while the others go on.
"""

SPAWN = 0x27
STDERR = 0x28
# For large transfers; a pipe of the usual size changes hands sixteen times as often.
PIPE_SIZE = 1 << 20


class Relay(object):
    """The streams of a program: to its stdin, and from its stdout. The reader calls `on`."""

    def __init__(self, request):
        self.request = request
        self.stdin, self.stdout = Stream(request), Stream(request)
        self.lock = allocate_lock()
        self.process = None
        self.stopped = False

    def on(self, operation, payload):
        if operation != RESET:
            (self.stdout if operation == CREDIT else self.stdin).on(operation, payload)
        if operation not in (DATA, CREDIT) and (operation != END or payload):
            # Cancelled, or one of its streams is no longer wanted: without it the program is of no use.
            self.stdout.on(RESET, payload)
            with self.lock:
                self.stopped = True
                process = self.process
            if process:
                start_new_thread(end_program, (process,))

    def begin(self, process):
        with self.lock:
            self.process = process
            if self.stopped:
                start_new_thread(end_program, (process,))


def spawn(relay, wanted, path):
    """Runs a program until it ends, and answers with how it did."""
    errors = streams.get(wanted['stderr'])
    process = started(wanted, path)
    for pipe in process.stdin, process.stdout:
        enlarge(pipe.fileno())
    if errors:
        # Its thread waits for it.
        with errors.lock:
            errors.source = process.stderr
            if errors.waiting:
                errors.waiting = False
                errors.wake.release()
    else:
        process.stderr.close()
    relay.begin(process)
    finished = allocate_lock()
    finished.acquire()
    start_new_thread(feed, (relay, process.stdin))
    start_new_thread(drain, (relay.stdout, process.stdout, finished))
    status = process.wait()
    send(relay.request, REPLY, MARSHAL, marshal.dumps({u'status': status}, 2))
    # Something else may still hold its stdout.
    finished.acquire()
    relay.stdin.on(RESET, b'')


def started(wanted, path):
    """Starts a program; `path` gets what an error is about."""
    from subprocess import PIPE, Popen
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
    return Popen(argv, bufsize=0, stdin=PIPE, stdout=PIPE, stderr=PIPE, close_fds=True, cwd=folder, env=environment)


def enlarge(fd):
    try:
        from fcntl import fcntl
        fcntl(fd, 1031, PIPE_SIZE)      # F_SETPIPE_SZ
    except (ImportError, EnvironmentError):
        # Not Linux, or the user has too many pages in pipes already.
        pass


def feed(relay, pipe):
    """Writes what the controller sends to the program's stdin, and closes that at the end."""
    try:
        for piece in relay.stdin.read():
            view = memoryview(piece)
            while len(view):
                view = view[os.write(pipe.fileno(), view):]
    except Stopped:
        pass
    except EnvironmentError:
        # The program takes no more.
        send(relay.request, RESET, 0, number_of.pack(0))
    pipe.close()


def drain(stream, pipe, finished):
    """Sends what the program writes into a pipe, to its end."""
    try:
        while 1:
            data = os.read(pipe.fileno(), PIECE)
            if not data:
                break
            stream.write(memoryview(data))
        send(stream.request, END, 0, b'')
    except (Stopped, EnvironmentError):
        pass
    # A program that still writes learns that nobody listens.
    pipe.close()
    finished.release()


def relay_errors(stream, wanted, path):
    """Sends what a program writes to its stderr, which SPAWN names. It comes before that, so that it is there for it."""
    pipe = stream.wait(lambda: getattr(stream, 'source', None))
    finished = allocate_lock()
    finished.acquire()
    drain(stream, pipe, finished)
    return {}


def end_program(process):
    """Ends a program and what descends from it."""
    part('ending')

    def left():
        table = processes()
        return [pid for pid in below(table, [process.pid]) | set([process.pid]) if pid in table]
    kill(left)


def prepare():
    """Imports what starts programs: it takes longer than to start one, and may be over by the time when one is asked for."""
    try:
        __import__('subprocess')
    except ImportError:
        # Whoever needs it will tell.
        pass


start_new_thread(prepare, ())
answers[SPAWN] = spawn
answers[STDERR] = relay_errors
kinds[SPAWN] = Relay
