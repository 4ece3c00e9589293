"""The core of the agent: frames, the reader role, calls and their results.

Every connection sends and compiles this file, so it contains only what every connection needs. `part`
compiles the other files into this namespace when they are first used. Runs on Python 2.7, and 3.4 and
later, with the standard library only. `threading`, `signal`, `traceback`, `pickle` and the like each
take longer to import than the interpreter takes to start, so nothing here imports them.

One thread at a time is the reader: it alone reads frames, and it handles them. This is the main thread
while it is idle, and while it runs a short call. If a call lasts longer, `watch` takes over the reading
until the main thread is free (see `overlap.py`).

The first stage provides `parts`: first `loader.py`, which runs the pieces that come next, those of this file,
then the other files. A test runs this file as it is, and provides none.

Other files fill the tables that are declared here. None of them defines a name of this file again, and none asks
whether another one is loaded.
"""
import errno
import marshal
import os
# User code may replace what `os` has, as gevent does.
import posix  # noqa: F401 - for the parts
import sys
from time import sleep, time
try:
    from _struct import Struct
except ImportError:
    from struct import Struct
try:
    from _thread import allocate_lock, get_ident, start_new_thread
    import _signal as signal
except ImportError:
    from thread import allocate_lock, get_ident, start_new_thread
    import signal

__name__ = 'chopsticks_agent'

VERSION = 1
START = 0x01
HELLO = 0x02
REPLY = 0x03
FAIL = 0x04
CANCEL = 0x05
PING = 0x06
PONG = 0x07
CALL = 0x20
MODULES = 0x21
IMPORT = 0x22
# Formats, in the low bits of a frame's flags.
PENCODE = 1
MARSHAL = 2
BYTES = 3
MORE = 0x80
FRAME = 1 << 17
# A main thread that runs one call for longer than this, twice, is left behind as reader. Shorter costs
# wake-ups during quick calls, longer delays the first call that overlaps.
TICK = 0.004

OLD = sys.version_info < (3,)
SCALARS = frozenset((int, float, bool, bytes, type(u''), type(None)))
PLAIN = SCALARS.union((list, tuple, dict, set, frozenset))
HEADER = Struct('>LLBB')
PID = os.getpid()
MAIN = get_ident()

buf = b''           # what the reader has read, and where the next frame begins
pos = 0
partial = {}        # (request, operation) -> payloads of a message whose end has not come
out = []            # replies not written yet: only while further input is at hand
writing = allocate_lock()
lock = allocate_lock()      # guards the four below, `armed` and `serial`
over = 0            # the end has begun
keep = 0            # the end of a pipe that no other process holds: when it closes, the guard ends what is left
busy = 0            # the request that the main thread runs
taken = 0           # the helper reads, not the main thread
handed = []         # what the helper left for the main thread; with the role of reader, if that was not busy
number = -1         # the newest request of our own
gate = allocate_lock()      # the main thread sleeps here while the helper reads
alarm = allocate_lock()     # the helper sleeps here while nothing runs
gate.acquire()
alarm.acquire()
armed = -1          # the helper is awake; -1: not started yet
serial = 0          # counts calls of the main thread
tids = {MAIN: PID}  # thread -> its number in /proc
calls = {}          # request -> (thread, start time), of calls that run
inside = set()      # those that are in user code, where alone an interrupt may strike
strike = allocate_lock()    # an interrupt of a thread is under way
cancelled = set()
streams = {}        # request -> its streams
stopping = {}       # cancelled call -> whether it is to stay until somebody has looked what it has started
errands = []        # functions that the main thread is to run when SIGINT comes
pending = {}        # our request -> [lock, operation, format, payload]
known = {}          # function name -> (module, attribute)
handlers = {}       # operation -> what handles a message of it, and may return a call that is to run
on_read = []        # functions of the reader that run before it looks for a message in `buf`
on_leave = []       # functions that run when user code of a call has ended, or waits for the controller
on_fork = []        # functions that run in a process that is forked from this one
on_end = []         # functions that run when the agent ends, before what it started is ended
on_exit = [known.clear]     # those that run on the main thread, before the interpreter ends
tasks = {}          # request -> task, of calls that wait for one
spared = set()      # cancelled calls that have learnt of it by their streams: interrupted only if they do not end
# Of tunnels from here: threads that wait, processes at the other ends, and starts of such that are under way.
wakers, inner, spawning = {}, {}, []
limit = 1 << 30
names = 0           # the option `encode` has a form for names that are not text
nonce = ''
options = {}        # those of START
modules = {}        # entries that the controller sent ahead: name -> (kind, file, source, submodules)
listing = {}        # package -> names below it that the codebase has; the outermost ones have an empty package
compiled = set()    # the parts that this namespace has
fetched = {}        # those that were asked for: name -> text
line = 0            # by what a child without a connection of its own asks us
loading = allocate_lock()
fetching = allocate_lock()


def shut():
    """Lets no interrupt strike this thread's calls from here on, and returns them, for `reopen`."""
    mine = [r for r, c in list(calls.items()) if c[0] == get_ident() and r in inside]
    list(map(leave, mine))
    return mine


def reopen(mine):
    inside.update(mine)
    if cancelled.intersection(mine):
        raise KeyboardInterrupt


def source_of(name):
    """The text of a file that came along, or nothing."""
    return b''.join(text for text in parts if text.startswith(('# %s\n' % name).encode()))


def part(name):
    """Compiles the file `name` into this namespace, once; asks the controller for one that did not come along."""
    if name in compiled:
        return
    if name == 'ending':
        part('guard')
    # An interrupt at either end of the `with` would leave a lock closed, which later calls need.
    mine = shut()
    text = source_of(name)
    # Whoever reads answers needs no part that is asked for. For others one request is enough: the number is limited.
    with loading if text else fetching:
        if name not in compiled:
            code = text
            if not text:
                code = fetched[name] = marshal.loads(ask(IMPORT, MARSHAL, marshal.dumps(u'.' + name, 2))[2])[3]
            if not text or name == 'importer':
                # With a name for tracebacks. That makes the types of syntax trees, which takes as long as 4 KB of code:
                # what calls without modules of the codebase need does without.
                code = compile(code, 'chopsticks/%s.py' % name, 'exec')
            exec(code, globals())
            compiled.add(name)
    reopen(mine)


def to_text(value):
    """Text that can be encoded, whatever it was."""
    if OLD and isinstance(value, str):
        return value.decode('utf-8', 'replace')
    return value.encode('utf-8', 'replace' if OLD else 'backslashreplace').decode('utf-8')


def retry(e, *files):
    """Waits where a call on a pipe that others made non-blocking, or a signal, ended it early."""
    if e.errno == errno.EAGAIN:
        from select import select
        select(*files)
    elif e.errno != errno.EINTR:
        gone()


def write(data):
    while data:
        try:
            data = data[os.write(OUT, data):]
        except OSError as e:
            retry(e, (), (OUT,), ())


def flush():
    if out:
        data = b''.join(out)
        del out[:]
        write(data)


def send(request, operation, form, payload):
    """Sends a message; a long one frame by frame, so that others can come between."""
    size = len(payload)
    if size <= FRAME:
        data = HEADER.pack(size, request, operation, form) + payload
        with writing:
            out.append(data)
            # The main thread has more input at hand: its replies leave together, at the latest before it reads
            # again, or when the helper takes over.
            if pos >= len(buf) or taken or get_ident() != MAIN or size > 4096 or len(out) > 64:
                flush()
        return
    part('rare')
    send_long(request, operation, form, payload)


def read(size=1 << 16):
    while 1:
        try:
            return os.read(IN, size) or gone()
        except OSError as e:
            retry(e, (IN,), (), ())


def message():
    """Returns the next whole message: request, operation, format, payload. Only for the reader."""
    global buf, pos
    while 1:
        for function in on_read:
            function()
        have = len(buf) - pos
        if have >= 10:
            size, request, operation, flags = HEADER.unpack_from(buf, pos)
            start = pos + 10
            pieces = [buf[start:start + size]]
            if have >= 10 + size:
                pos = start + size
            elif have + 4096 < size:
                buf, pos = b'', 0
                part('rare')
                read_long(pieces, size - len(pieces[0]))
            else:
                pieces = ()
            if pieces:
                if flags & MORE or partial and (request, operation) in partial:
                    partial.setdefault((request, operation), []).extend(pieces)
                    if flags & MORE:
                        continue
                    pieces = partial.pop((request, operation))
                return request, operation, flags, b''.join(pieces) if len(pieces) > 1 else pieces[0]
        if out:
            with writing:
                flush()
        data = read()
        # A signal handler may have read as well, meanwhile.
        buf = buf[pos:] + data if pos < len(buf) else data
        pos = 0


def next_call(slot=()):
    """Handles messages until one is a call, and returns that; or `None` once `slot` is answered."""
    while 1:
        m = message()
        if m[1] in handlers:
            m = handlers[m[1]](*m) or m
        request, operation, form, payload = m
        if operation == CALL:
            return m
        if operation in (REPLY, FAIL):
            waiting = pending.pop(request, None)
            if waiting:
                waiting[1:] = m[1:]
                waiting[0].release()
                if waiting is slot:
                    return
        elif operation == MODULES:
            for entry in marshal.loads(payload):
                modules[entry[0]] = entry[1:]
                listing[entry[0]] = entry[4]
        elif operation == 0x26:
            # EXTEND.
            exec(payload, globals())
        elif operation == CANCEL:
            if request in calls:
                cancelled.add(request)
                stopping[request] = 1
                part('rare')
                start_new_thread(stop, (request,))
            elif [partial.pop(key) for key in list(partial) if key[0] == request]:
                send(request, FAIL, 0, b'\2')
        elif operation == PING:
            send(0, PONG, 0, payload)
        elif operation == START:
            start(payload)


def start(payload):
    """Answers START with the nonce and HELLO."""
    global limit, names, nonce, options
    version, token, limit = Struct('>H16sQ').unpack_from(payload)
    options = marshal.loads(payload[26:])
    nonce = ''.join('%02x' % b for b in bytearray(token))
    names = u'names' in options.get('encode', ())
    if names or any(map(options.get, ('cwd', 'env', 'path', 'search', 'site', 'user'))):
        part('rare')
        prepare_for(options)
    name_process()
    os.environ['CHOPSTICKS_AGENT'] = os.environ.get('CHOPSTICKS_AGENT', '') + ':' + nonce
    hello = Struct('>H').pack(VERSION) + marshal.dumps({
        u'python': list(sys.version_info[:3]), u'executable': to_text(sys.executable or ''), u'pid': PID,
        u'hostname': to_text(os.uname()[1]), u'platform': to_text(sys.platform)}, 2)
    write(token + HEADER.pack(len(hello), 0, HELLO, MARSHAL) + hello)


def name_process():
    """A child that runs no other program has the environment that we were started with, but our name."""
    try:
        with open('/proc/self/comm', 'wb') as f:
            f.write(('chop-' + nonce[:10]).encode())
    except IOError:
        pass


def late(self, name):
    """What the part `data` gives to the class of `self`."""
    if name[0] != '_':
        try:
            part('data')
        except ImportError:
            # Code that looks for an attribute expects an AttributeError.
            pass
    return object.__getattribute__(self, name)


def may_have(parent, leaf):
    """Whether the codebase may have a module: what it cannot list as a whole is asked for, once."""
    names = listing.get(parent, ())
    return leaf in names or '*' in names and '!' + leaf not in names


class Finder(object):
    """Stands last on `sys.meta_path`, for what the host lacks and the codebase has.

    In `sys.path_importer_cache` it is what finds and lists the modules of a package.
    """
    __getattr__ = late
    __class__ = disguised = property(lambda self: getattr(self, 'guise', type(self)))

    def __init__(self, path='/chopsticks:', key='//'):
        self.path, self.key = path, key

    def find_spec(self, name, *rest):
        parent, _, leaf = name.rpartition('.')
        if may_have(parent, leaf):
            part('importer')
            found = find(name)
            # To the finders of folders a namespace package is not enough to end the search.
            return found if OLD or len(rest) > 1 or not found or getattr(found.loader, 'kind', 0) < 2 else None

    if OLD:
        find_module = find_spec


def lookup(function):
    """Returns the callable that `function` names; the usual `module:name` without the general rules."""
    if type(function) is not tuple:
        if function in known:
            module, name = known[function]
            return getattr(module, name)
        module, colon, name = function.partition(':')
        if name and '.' not in name:
            # One that is there may still be on its way in, by another call: this waits for it.
            __import__(module)
            module = sys.modules.get(module)
            target = getattr(module, name, None)
            if callable(target):
                known[function] = module, name
                return target
    part('callables')
    return resolve(function)


def encode(value, name='result'):
    """Returns the format and the bytes of a result.

    `marshal` also takes what only exposes a buffer (an array, a NumPy number) and would write its raw bytes: so the
    exact types are looked at first, a level at a time, in C. Shared parts make the levels grow past the bytes of the
    dump; then, as for all that is not plain, the part `values` decides, and says what is wrong and where. A level is
    made in pieces, so that it is not much larger before that is known. PyPy's `marshal` writes shared parts once for
    each place, which takes memory without end where they are nested.
    """
    kind = type(value)
    if not OLD:
        if kind is bytes:
            return BYTES, value
        if kind in SCALARS:
            data = marshal.dumps(value, 4)
            if not (names and odd(data)):
                return MARSHAL, data
        elif kind in PLAIN and 'PyPy' not in sys.version:
            from gc import get_referents
            try:
                data = marshal.dumps(value, 4)
            except ValueError:
                data = b''
            level, left = [value], len(data)
            while 1:
                kinds = set(map(type, level))
                if not kinds <= PLAIN:
                    break
                if kinds <= SCALARS:
                    if names and odd(data):
                        break
                    return MARSHAL, data
                left -= len(level)
                above, level = level, []
                while above and len(level) < left:
                    level += get_referents(*above[-64:])
                    del above[-64:]
                if above:
                    break
    part('values')
    return recoded(value, name)


def leave(request):
    """From here on no interrupt strikes. One that is under way does so in here, for this is a function."""
    # Without the lock, which an interrupt between two steps of a `with` would leave closed for ever.
    inside.discard(request)
    while strike.locked():
        sleep(TICK)
    for function in on_leave:
        function()


def run(request, form, payload):
    """Runs a call and sends what came of it. Never raises."""
    if OLD:
        # There user code would see what its callers handle.
        sys.exc_clear()
    try:
        try:
            stage = 'argument'
            function, args, kwargs = marshal.loads(payload)
            if function is None:
                stage = 'raised'
                inside.add(request)
                part('pickled')
                function, args, kwargs = unpickled(*args)
            elif type(args) is bytes or names and odd(payload):
                part('values')
                args, kwargs = arguments(args, kwargs)
            if not callable(function):
                stage = 'function'
                inside.add(request)
                function = lookup(function)
            stage = 'raised'
            if request in streams:
                function = streams[request].around(function)
            value = function(*args, **kwargs) if kwargs else function(*args)
            if type(value) not in PLAIN and hasattr(type(value), '__await__'):
                part('awaiting')
                value = awaited(value, request)
            leave(request)
            if os.getpid() != PID:
                os._exit(0)
            stage = 'result'
            operation = REPLY
            form, payload = encode(value)
            if len(payload) > limit:
                stage = 'size'
                raise ValueError('%d bytes, over the limit of %d' % (len(payload), limit))
        except:  # noqa: E722 - on 2.7 an exception need not be a BaseException.
            leave(request)
            if os.getpid() != PID:
                os._exit(1)
            operation, form, payload = failed(stage, request)
    except KeyboardInterrupt:
        # A cancel that struck while its call was ending.
        leave(request)
        operation, form, payload = failed('cancelled', request)
    function = value = args = kwargs = None
    if streams or stopping:
        if request in streams:
            streams[request].finish()
        while stopping.get(request):
            sleep(TICK)
        streams.pop(request, 0)
    del calls[request]
    cancelled.discard(request)
    send(request, operation, form, payload)


def failed(stage, request):
    """The operation, format and payload for the exception at hand; never raises, whatever user code has done."""
    _, error, trace = sys.exc_info()
    try:
        while trace and not OLD and isinstance(error, MemoryError):
            try:
                # What its frames hold may be all the memory there is.
                trace.tb_frame.clear()
            except Exception:
                pass
            trace = trace.tb_next
        if stage:
            part('failure')
            return failure(stage, request)
    except:  # noqa: E722
        if OLD:
            sys.exc_clear()
    name = what = u'exception'
    try:
        name = to_text(type(error).__name__)
        what = to_text(repr(error))
    except:  # noqa: E722
        pass
    return FAIL, MARSHAL, marshal.dumps({u'kind': u'raised', u'type': name, u'message': what, u'traceback': u''}, 2)


def ask(operation, form, payload):
    """Sends a request to the controller and waits for its answer: operation, format, payload."""
    if os.getpid() != PID:
        if line:
            return borrow(operation, payload)
        raise ImportError('no connection in this process: import before the fork')
    if over:
        raise ImportError('no connection')
    part('rare')
    return asked(operation, form, payload)


def interrupted(_, frame):
    """Handles SIGINT, by which other threads reach the main thread."""
    while errands:
        errands.pop()()
    if cancelled:
        on_interrupt(frame)


def arm():
    """Wakes the helper, for the main thread is about to run user code; under `lock`."""
    global armed
    if armed < 1:
        if armed < 0:
            start_new_thread(watch, ())
        armed = 1
        alarm.release()


def watch():
    """The helper thread: takes over reading when the main thread stays in one call."""
    global armed, taken
    while 1:
        alarm.acquire()
        seen = -1
        while armed:
            sleep(TICK)
            with lock:
                if serial == seen:
                    if busy:
                        taken = taken or 1
                    else:
                        # In two steps: a call that begins between them is seen.
                        armed = 0
                        armed = serial != seen or busy > 0
                seen = serial
            if taken == 1:
                with writing:
                    flush()
                part('overlap')
                read_on()


def gone(*_):
    """The controller is gone, or wants us to be."""
    global over
    if os.getpid() != PID:
        os._exit(143)
    over = 1
    try:
        # A signal to end that interrupted this, which takes locks, would never let it go on.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    except ValueError:
        pass
    part('leaving')
    end()


class Late(type(sys)):
    """Stands in for a module that starts processes, until it is used."""

    def __getattr__(self, name):
        part('rare')
        return unveiled(self, name)


def guarded(start, module='os'):
    """What stands in for a function that starts processes: a guard is there before the first of them."""
    def starting(*args, **kwargs):
        part('rare')
        return start_guarded(start, args, kwargs)
    # By these it is pickled.
    starting.__module__ = module
    starting.__name__ = starting.__qualname__ = start.__name__
    return starting


def forked():
    """What a process that was forked from the agent has to do, and to forget."""
    global keep
    for function in on_fork:
        function()
    if keep:
        posix.close(keep)
        keep = 0


def main():
    """Takes stdin and stdout away from user code, then serves for ever."""
    global IN, OUT, busy, serial, imp
    IN, OUT = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    if OLD:
        import fcntl, imp
        for fd in IN, OUT:
            fcntl.fcntl(fd, fcntl.F_SETFD, 1)
    else:
        import _imp as imp
        if sys.version_info < (3, 9) and sys.stderr:
            part('rare')
            line_buffer_stderr()
    try:
        # The leader of a group, which kept a terminal's signals away until now, cannot lead a session: leave it.
        if os.getpgrp() == PID:
            os.setpgid(0, os.getpgid(os.getppid()))
        os.setsid()
    except OSError:
        pass
    for name in 'fork', 'forkpty', 'popen', 'posix_spawn', 'posix_spawnp', 'system':
        if hasattr(os, name):
            setattr(os, name, guarded(getattr(os, name)))
    if not OLD:
        sys.modules['_posixsubprocess'] = Late('_posixsubprocess')
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, gone)
    sys.dont_write_bytecode = True
    sys.meta_path.append(Finder())
    while 1:
        call = handed.pop(0) if handed else next_call()
        serial += 1
        # In this order: a call that is busy and not among the calls has come to its end.
        calls[call[0]] = MAIN, time()
        busy = call[0]
        if armed < 1:
            with lock:
                arm()
        run(call[0], call[2], call[3])
        with lock:
            busy = handed[0][0] if handed else 0
            wait = taken and not busy
        if wait:
            with writing:
                flush()
            gate.acquire()

