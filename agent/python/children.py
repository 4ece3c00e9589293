"""Modules and data for processes of user code: forks, and interpreters of `multiprocessing` and `loky`.

Only the agent has the connection, so a child asks the agent. What it asks by is a socket pair, the line. The agent
makes it before the first such process, and all of them inherit the end `line`. For each question a child makes a
socket pair of its own and sends one end of it through the line. So nothing has a name that others could know,
questions of threads and processes are independent of each other, and a child has nothing to renew after a fork. The
agent answers each question on a thread of its own, since it may have to ask the controller.

An interpreter that these packages start first runs `PREAMBLE`. It asks for the core and this part, whose finder
then finds what the agent's would.
"""
part('importer')
import _socket  # noqa: E402 - not for those that start no process.

desk = 0            # the end of the line where the agent is asked
mark = 0            # by which the line is known: user code may have closed it, and opened something else
linking = allocate_lock()
answering = set()   # where the agent gives answers
turns = {}          # name -> a lock: of those who ask for a module at the same time, one lets the controller be asked
texts_at = {}       # packages that exist only in the names of texts -> the names in them
CORE = 0x40         # operations that only children use
TEXT = 0x41
FOLDER = 0x42
# The longest question: the name of a module, and the path in which it is looked for.
LONGEST = 1 << 17
# Those of modules that are being imported. Python 2.7 has one for all, which it lets go itself.
import_locks = {} if OLD else __import__('_frozen_importlib')._module_locks
QUIETLY = getattr(_socket, 'MSG_NOSIGNAL', 0)
PREAMBLE = '''exec("""import _socket as s, marshal, os
os.set_inheritable({0}, False)
line = s.socket(s.AF_UNIX, s.SOCK_DGRAM, 0, {0})
here, there = s.socketpair()
line.sendmsg([b'.'], [(s.SOL_SOCKET, s.SCM_RIGHTS, there.fileno().to_bytes(4, os.sys.byteorder))])
here.sendall(bytes([{1}, 0]))
here.shutdown(1)
if os.sys.platform != 'darwin': there.close()
data = here.recv(65536)
there.close()
data += b''.join(iter(lambda: here.recv(65536), b''))
if data[8:9] != bytes([{2}]): raise SystemExit('chopsticks: the agent of this process has ended')
part, state, given = marshal.loads(data[10:])
agent = dict(parts=[])
for piece in state['core']: exec(piece, agent)
agent.update(state)
exec(part, agent)
agent['settle'](line, part, *given)""", {{}})
'''


def again(function, *args):
    """Calls a function of the system until no signal ends it early."""
    while 1:
        try:
            return function(*args)
        except EnvironmentError as e:
            if e.errno != errno.EINTR:
                raise


def send_all(sock, data):
    view = memoryview(data)
    while len(view):
        view = view[again(sock.send, view, QUIETLY):]


def receive_all(sock, most=1 << 62):
    pieces = []
    while most > 0:
        pieces.append(again(sock.recv, 1 << 16))
        most -= len(pieces[-1])
        if not pieces[-1]:
            break
    return b''.join(pieces)


def identity(sock):
    return os.fstat(sock.fileno())[1:3]


if OLD:
    import fcntl
    try:
        # Here, and not by the threads that answer: those who wait for an answer may hold up all imports.
        from _multiprocessing import recvfd, sendfd
    except ImportError:
        sendfd = recvfd = None

    def hand(sock, fd):
        again(sendfd, sock.fileno(), fd)

    def take(sock):
        fd = again(recvfd, sock.fileno())
        try:
            return private(_socket.fromfd(fd, _socket.AF_UNIX, _socket.SOCK_STREAM))
        finally:
            posix.close(fd)

    def private(sock):
        fcntl.fcntl(sock.fileno(), fcntl.F_SETFD, 1)
        return sock
else:
    def hand(sock, fd):
        again(sock.sendmsg, [b'.'], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, Struct('i').pack(fd))])

    def take(sock):
        for _, _, data in again(sock.recvmsg, 1, _socket.CMSG_SPACE(4))[1]:
            return private(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, Struct('i').unpack(data)[0]))

    def private(sock):
        os.set_inheritable(sock.fileno(), False)
        return sock


# In the agent.

def lent(*args):
    """Sees to it that a process that is about to start can ask; returns the arguments of what starts it."""
    if os.getpid() == PID:
        open_line()
    if not args or not line:
        return args
    argv, passed = [os.fsdecode(word) for word in args[0]], set(args[3])
    if '-c' not in argv:
        # That of `loky` runs a module, which the codebase may have.
        at = argv.index('-m')
        argv[at:at + 2] = '-c', 'import runpy\nrunpy.run_module(%r, None, "__main__", True)' % argv[at + 1]
    at = argv.index('-c') + 1
    # What clears up after `multiprocessing` imports nothing of the codebase.
    if 'from multiprocessing.' not in argv[at] or '_tracker import' not in argv[at]:
        argv[at] = PREAMBLE.format(line.fileno(), CORE, REPLY) + argv[at]
        passed.add(line.fileno())
    return (argv, args[1], args[2], tuple(sorted(passed))) + args[4:]


def open_line():
    """Makes the line, unless there is one. Code that closes all files of the agent has ended the agent anyway."""
    global desk, line, mark
    # An interrupt would leave the lock closed.
    mine = shut()
    with linking:
        # PyPy 2.7 has nothing to hand over descriptors by.
        if not line and not (OLD and not sendfd):
            ends = [private(sock) for sock in _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_DGRAM)]
            start_new_thread(attend, (ends[0],))
            desk, mark = ends[0], identity(ends[1])
            line = ends[1]
    reopen(mine)


def attend(sock):
    """The thread that takes questions."""
    there = identity(sock)
    while 1:
        try:
            asker = take(sock)
        except EnvironmentError:
            # There may have been no room for one more descriptor: the end that did not come is closed.
            try:
                if identity(sock) == there:
                    continue
            except EnvironmentError:
                pass
            return
        if asker:
            answering.add(asker)
            try:
                start_new_thread(answer, (asker,))
            except Exception:
                answer(asker)


def answer(asker):
    """Answers one question. The process that asked may be gone."""
    try:
        question = receive_all(asker, LONGEST)
        name, _, payload = question[1:].partition(b'\0')
        operation = ord(question[:1])
        try:
            operation, form, payload = answer_to(operation, name.decode('utf-8'), payload)
        except Exception as e:
            operation, form = 0, 0
            payload = (u'its agent ends' if over else u'its agent failed: ' + to_text(str(e))).encode('utf-8')
        send_all(asker, HEADER.pack(len(payload), 0, operation, form))
        send_all(asker, payload)
    except (EnvironmentError, TypeError):
        pass
    finally:
        hang_up(asker)


def hang_up(asker):
    answering.discard(asker)
    try:
        # A fork has this end as well.
        asker.shutdown(2)
    except EnvironmentError:
        pass
    asker.close()


def answer_to(operation, name, payload):
    """The answer to a child's question: operation, format, payload."""
    if operation == CORE:
        value = part_text('children'), {
            'PID': PID, 'nonce': nonce, 'options': options, 'listing': listing, 'parts': parts, 'core': core,
            'fetched': fetched,
        }, (modules.get(''), [path for path in own if type(path) is str])
    elif operation == TEXT:
        value = text_at(name)
    elif operation == FOLDER:
        part('disk')
        value = to_text(own_folder())
    elif operation == IMPORT and name[:1] == '.':
        value = u'.' + name[1:], 0, u'', part_text(name[1:]), []
    elif operation == IMPORT and name[:1] != '/':
        with turns.setdefault(name, allocate_lock()):
            entry = at_hand(name)
            if not entry:
                operation, form, payload = ask(IMPORT, MARSHAL, payload)
                entry = marshal.loads(payload) if operation == REPLY else None
                if not entry or OLD and entry[1] == 3:
                    return operation, form, payload
                if entry[1] == 3:
                    # Once for all of them. On 2.7 who imports might wait for who waits for the answer.
                    part('disk')
                    unpacked(name, entry[3])
                    entry = entry[:3] + (None,) + entry[4:]
                # This process may need it as well.
                modules[name] = entry[1:]
                listing[name] = entry[4]
        value = entry
    else:
        return ask(operation, MARSHAL, payload)
    return REPLY, MARSHAL, marshal.dumps(value, 2)


def part_text(name):
    """The text of a part."""
    text = source_of(name)
    if text:
        return text
    if name not in fetched:
        operation, _, payload = ask(IMPORT, MARSHAL, marshal.dumps(u'.' + to_text(name), 2))
        fetched[name] = marshal.loads(payload)[3]
    return fetched[name]


def at_hand(name):
    """The entry of a module that this process has."""
    loader = loaded.get(str(name))
    if loader:
        return name, loader.kind, to_text(loader.file or u''), loader.source, listing.get(name, ())
    entry = modules.get(name)
    return entry and (name,) + tuple(entry)


def text_at(name):
    """What makes the module that a text of a call became; a list of names if `name` is only in front of theirs."""
    if is_text(name):
        return sys.modules[name].__loader__.text
    return [other[len(name) + 1:].partition('.')[0] for other in list(sys.modules)
            if other.startswith(name + '.') and is_text(other)] or None


def is_text(name):
    kind = type(getattr(sys.modules.get(name), '__loader__', None))
    return (kind.__module__, kind.__name__) == (__name__, 'Loader')


def refuse_all():
    """At the end: questions are no longer answered."""
    for asker in list(answering):
        try:
            asker.shutdown(2)
        except EnvironmentError:
            pass


# In a child.

def borrow(operation, payload=b'', name=None):
    """Asks the agent, as `ask` asks the controller."""
    if name is None:
        name = marshal.loads(payload)
        if type(name) is tuple:
            name = name[0]
    gone = 'the agent that this process descends from has ended'
    try:
        if identity(line) != mark:
            raise EnvironmentError(errno.EBADF, '')
        here, there = map(private, _socket.socketpair())
        try:
            hand(line, there.fileno())
            send_all(here, bytes(bytearray([operation])) + name.encode('utf-8') + b'\0' + payload)
            here.shutdown(1)
            # That system loses a descriptor that is closed here before it is there.
            if sys.platform != 'darwin':
                there.close()
            data = again(here.recv, 1 << 16)
            there.close()
            data += receive_all(here)
        finally:
            here.close()
            there.close()
        if len(data) >= 10:
            size, _, answered, form = HEADER.unpack_from(data)
            if answered and len(data) == 10 + size:
                return [answered, form, data[10:]]
            gone = gone if answered else data[10:].decode('utf-8')
        why = gone
    except EnvironmentError as e:
        why = str(e)
        if e.errno in (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE):
            why = gone
        elif e.errno in (errno.EBADF, errno.ENOTSOCK):
            why = 'this process has closed the descriptor by which it asks for what it needs: import that before'
    if operation != IMPORT or name[:1] == '.':
        raise (ImportError if operation == IMPORT else IOError)('%s cannot be fetched: %s' % (name, why))
    # A module that raises: what the finder itself raises 2.7 takes for a module that is not there.
    source = u'raise ImportError(%r%s)' % ('%s cannot be fetched: %s' % (name, why), '' if OLD else ', name=%r' % name)
    return [REPLY, MARSHAL, marshal.dumps((name, 0, name + u' of the codebase', source.encode('utf-8'), ()), 2)]


def unlock():
    """In a fork: locks that other threads held are never released."""
    global fetching, linking, loading, strike
    fetching, linking, loading, strike = [allocate_lock() for _ in range(4)]
    # No call of the agent's runs here.
    inside.clear()
    if os.getpid() != PID:
        for sock in list(answering) + [desk]:
            if sock:
                sock.close()
        answering.clear()
    for name, held in list(import_locks.items()):
        if getattr(held(), 'owner', None) not in (None, get_ident()):
            # A module that another thread was about to import: here it is imported anew.
            import_locks.pop(name, None)
            if getattr(getattr(sys.modules.get(name), '__spec__', None), '_initializing', False):
                del sys.modules[name]


on_fork.append(unlock)
on_end.append(refuse_all)


# In a child that is an interpreter of its own.

def settle(sock, text, top, host):
    """Makes this interpreter's imports those of the agent."""
    global line, mark
    line, mark = sock, identity(sock)
    compiled.add('children')
    fetched['children'] = text
    # The roots, and where the host itself imports from.
    if top:
        modules[''] = top
    own[:] = host
    Finder.find_spec = find_here
    sys.meta_path.append(Finder())
    sys.dont_write_bytecode = True
    if hasattr(os, 'register_at_fork'):
        os.register_at_fork(after_in_child=forked)
    else:
        os.fork = guarded(os.fork)
    # Their children are to find modules too.
    sys.modules['_posixsubprocess'] = Late('_posixsubprocess')


found_in_codebase = Finder.find_spec


def find_here(self, name, *rest):
    """As the agent's; also finds the modules that the agent made of source texts, which the codebase does not have."""
    parent, _, leaf = name.rpartition('.')
    text = None
    if not parent or leaf in texts_at.get(parent, ()):
        try:
            text = marshal.loads(borrow(TEXT, name=name)[2])
        except (EnvironmentError, ImportError):
            # The error for a module of the codebase says more.
            pass
    if not text:
        return found_in_codebase(self, name, *rest)
    from _frozen_importlib import ModuleSpec
    if type(text) is list:
        texts_at[name] = text
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = []
        return spec
    part('callables')
    return ModuleSpec(name, Loader(*text), origin=text[1])
