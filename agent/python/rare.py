"""What few connections need: messages of many frames, requests of our own, options of START, programs.

It is compiled when one of them is needed, which costs the others nothing but its bytes.
"""


def send_long(request, operation, form, payload):
    """Sends a message frame by frame, so that others can come between."""
    size = len(payload)
    view = memoryview(payload)
    for at in range(0, size, FRAME):
        piece = view[at:at + FRAME]
        last = at + FRAME >= size
        with writing:
            flush()
            head = HEADER.pack(len(piece), request, operation, form if last else form | MORE)
            done = 0
            if hasattr(os, 'writev'):
                try:
                    done = os.writev(OUT, (head, piece))
                except OSError as e:
                    retry(e, (), (OUT,), ())
            if done < len(head) + len(piece):
                write((head + piece.tobytes())[done:])


def read_long(pieces, left):
    """Reads a frame to its end, so many bytes, which are joined once. Only for the reader."""
    with writing:
        flush()
    while left:
        pieces.append(read(left))
        left -= len(pieces[-1])


def asked(operation, form, payload):
    """What `ask` returns."""
    global number, busy, serial
    slot = [allocate_lock()]
    slot[0].acquire()
    # An interrupt in the middle of a frame would lose our place in the stream: it waits.
    mine = shut()
    main = get_ident() == MAIN
    request = 0
    while not request:
        with lock:
            # The controller allows 64 requests at a time. The main thread's may be what the others wait for.
            if main or len(pending) < 60:
                number += 2
                request = number
                pending[request] = slot
                reading = main and not taken
                if reading:
                    job, busy = busy, 0
        if not request:
            sleep(TICK)
    send(request, operation, form, payload)
    while reading and len(slot) == 1:
        m = next_call(slot)
        if m:
            part('overlap')
            overlap(m)
    if reading:
        with lock:
            busy = job
            serial += 1
            arm()
    else:
        slot[0].acquire()
    reopen(mine)
    return slot[1:]


def stop(request):
    """Ends a cancelled call, on a thread of its own: who reads cannot wait for a part that is asked for."""
    try:
        part('cancelling')
        end_call(request)
    except ImportError:
        # The agent ends, and with it the call.
        pass
    finally:
        stopping.pop(request, 0)


def prepare_for(options):
    """Applies the options of START that change the environment of the code that runs here."""
    # As bytes, which are the same in every locale. Without the folder there is nothing to do: the error ends the agent.
    native = bytes if OLD else os.fsdecode
    for key, value in options.get('env', {}).items():
        os.environ[native(key.encode('utf-8'))] = native(value.encode('utf-8'))
    if options.get('cwd'):
        os.chdir(native(options['cwd'].encode('utf-8')))
    sys.path.extend(options.get('path', ()))
    if options.get('site') or options.get('user'):
        import site
        if options.get('site'):
            site.main()
        if options.get('user'):
            site.addsitedir(site.getusersitepackages())
    if options.get('search'):
        sys.path[:0] = filter(None, os.environ.get('PYTHONPATH', '').split(':'))


def odd(data):
    """Whether there may be text in `data` that the option `encode` has a form for, or that has this form."""
    return any(mark in data for mark in (b'\xed\xb2', b'\xed\xb3', b'\xee\xbe', b'\xee\xbf'))


def unveiled(late, name):
    """Imports the module that `late` stands in for, and returns what has that name there."""
    if name[:2] == '__':
        # Code that inspects all modules does not use them.
        raise AttributeError(name)
    module = late.__name__
    if sys.modules.get(module) is late:
        del sys.modules[module]
    __import__(module)
    found = sys.modules[module]
    found.fork_exec = guarded(found.fork_exec, module)
    late.__dict__.update(vars(found))
    return getattr(found, name)


def start_guarded(start, args, kwargs):
    """Starts a process, with a guard in place, and with what it may ask for modules by."""
    me = os.getpid()
    if me == PID and (over or not keep):
        part('guard')
        protect()
    name = sys._getframe(2).f_globals.get('__name__')
    try:
        # A fork (`subprocess` forks on 2.7), or an interpreter that runs functions.
        if not args and name != 'subprocess' or name.endswith(('multiprocessing.util', 'loky.backend.fork_exec')):
            part('children')
            args = lent(*args)
    except Exception:
        # As at the end: the process starts as it is.
        pass
    result = start(*args, **kwargs)
    if os.getpid() != me:
        # Before Python 3.7 there is no other hook in the child.
        forked()
    return result


def line_buffer_stderr():
    """Before Python 3.9 it keeps lines to itself until there are many."""
    sys.stderr = sys.__stderr__ = open(2, 'w', 1, sys.stderr.encoding, 'backslashreplace', closefd=False)
