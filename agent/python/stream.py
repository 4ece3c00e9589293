"""Byte streams with credit (docs/wire.md, section 7), and the threads of the requests that have them.

The controller sends this file and `files` in EXTEND, and the reader runs them, so they import nothing when they are
run. The reader hands over what arrives. It must never wait here, neither for a lock that a transfer holds for long
nor for an import.
"""

DATA = 0x08
END = 0x09
CREDIT = 0x0a
RESET = 0x0b
# What the controller may have under way for each stream: all that is held here, however slow the disk.
WINDOW = 1 << 22
# The most in one frame: half as many frames as of messages, which this side makes and writes slowly.
PIECE = 1 << 18
number_of = Struct('>L')
# Who sends the next frame of a stream: a reply waits for one of them, and not for one of each transfer.
turn = allocate_lock()


answers = {}        # operation with streams -> the function that answers a request of it
kinds = {}          # such an operation -> what takes that which comes for a request of it
spare = []          # places for pieces that have been used up


def take_data():
    """Hands over frames of streams, whose bytes are never joined, from where the reader looks for messages."""
    global buf, pos
    while 1:
        if streams and pos >= len(buf):
            # A header by itself: what follows it is then read once, to where it stays.
            flush_replies()
            buf, pos = read(10), 0
        if len(buf) - pos < 10 or bytearray(buf[pos + 8:pos + 9])[0] != DATA:
            return
        size, request = HEADER.unpack_from(buf, pos)[:2]
        pos += 10
        pieces = [buf[pos:pos + size]]
        pos += len(pieces[0])
        size -= len(pieces[0])
        if size:
            flush_replies()
            read_pieces(size, pieces)
        on_stream(request, DATA, 0, pieces)


def read_pieces(size, pieces):
    """Reads `size` bytes into one place, however small the parts in which they come; one that was used, if there is.

    Few bytes get a place of their size: a window of them may wait.
    """
    if not FRAME >> 3 < size <= FRAME or not hasattr(os, 'readv'):
        while size:
            pieces.append(read(size))
            size -= len(pieces[-1])
        return
    view = memoryview(spare.pop() if spare else bytearray(FRAME))[:size]
    pieces.append(view)
    while len(view):
        try:
            view = view[os.readv(IN, [view]) or gone():]
        except OSError as e:
            retry(e, (IN,), (), ())


def flush_replies():
    if out:
        with writing:
            flush()


def send_data(request, view, file=None, at=0):
    """Sends one frame of a stream: from `file`, where these bytes are, as long as the kernel spares a copy by that."""
    head = HEADER.pack(len(view), request, DATA, 0)
    with turn:
        with writing:
            flush()
            if file is not None:
                write(head)
                head = b''
                view = view[send_pages(file, at, len(view)):]
            done = 0
            if hasattr(os, 'writev'):
                try:
                    done = os.writev(OUT, (head, view))
                except OSError as e:
                    retry(e, (), (OUT,), ())
            if done < len(head):
                write(head[done:])
                done = len(head)
            write(view[done - len(head):])


def send_pages(file, at, size):
    """Has the kernel send bytes of a file; returns how many it took. The others are to be written."""
    done = 0
    try:
        while done < size:
            count = os.sendfile(OUT, file, at + done, size - done)
            if not count:
                break
            done += count
    except (AttributeError, OSError):
        # Not every Python, kernel or file system can. Where the pipe is broken, the writing finds it out.
        pass
    return done


class Stopped(Exception):
    """The controller wants no more of a request."""
    __slots__ = ()


class Stream(object):
    """Both streams of one request. The reader calls `on`, the request's own threads all else."""

    def __init__(self, request, send=send, send_data=send_data):
        self.request = request
        self.send, self.send_data = send, send_data
        self.pieces = []
        self.credit = 0
        self.ended = False
        self.stopped = False
        self.waiting = False
        self.lock, self.wake = allocate_lock(), allocate_lock()
        self.wake.acquire()

    def on(self, operation, payload):
        with self.lock:
            if operation == DATA:
                self.pieces.extend(payload if type(payload) is list else [payload])
            elif operation == CREDIT:
                self.credit += number_of.unpack(payload)[0]
            elif operation == END and not payload:
                self.ended = True
            else:
                # Broken off, not wanted, or cancelled.
                self.stopped = True
            if self.waiting:
                self.waiting = False
                self.wake.release()

    def wait(self, look):
        """Returns what `look` does, once that is something."""
        while 1:
            with self.lock:
                if self.stopped:
                    raise Stopped
                found = look()
                if found:
                    return found
                self.waiting = True
            self.wake.acquire()

    def check(self):
        if self.stopped:
            raise Stopped

    def arrived(self):
        pieces, self.pieces = self.pieces, []
        return pieces or self.ended

    def allowed(self):
        return self.credit

    def read(self):
        """Yields the bytes from the controller in pieces, to the end of the stream."""
        owed = WINDOW
        while 1:
            # In quarters of the window: often enough that the controller does not run dry.
            if owed >= WINDOW >> 2:
                self.send(self.request, CREDIT, 0, number_of.pack(owed))
                owed = 0
            pieces = self.wait(self.arrived)
            if pieces is True:
                return
            pieces.reverse()
            while pieces:
                piece = pieces.pop()
                owed += len(piece)
                if len(piece):
                    yield piece
                # Whoever asks for more has done with this.
                if type(piece) is memoryview and len(spare) < WINDOW // FRAME:
                    spare.append(piece.obj)
                if owed >= WINDOW >> 2:
                    self.send(self.request, CREDIT, 0, number_of.pack(owed))
                    owed = 0

    def write(self, view, file=None, at=0):
        """Sends the bytes of a `memoryview`, those of `file` at `at` if it is given, when the controller allows it."""
        while len(view):
            size = min(self.wait(self.allowed), len(view), PIECE)
            with self.lock:
                self.credit -= size
            self.send_data(self.request, view[:size], file, at)
            view = view[size:]
            at += size


def serves(operation, answer, kind=Stream):
    """Has requests of an operation answered by `answer`, and what comes for one of them handed to a `kind`."""
    answers[operation] = answer
    kinds[operation] = kind
    handlers[operation] = on_stream


def on_stream(request, operation, _, payload):
    """Takes a message of a request that has streams, or that is to get them. Only for the reader."""
    stream = streams.get(request)
    if stream:
        stream.on(operation, payload)
    elif operation in answers:
        stream = streams[request] = kinds[operation](request)
        try:
            start_new_thread(transfer, (stream, operation, payload))
        except Exception as e:
            fail(stream, 0, u'%r' % e, b'')
    elif operation == CREDIT and request not in calls:
        # So that nobody waits for a stream that will not come.
        send(request, END, 0, number_of.pack(0))


def on_cancel(request, *_):
    """A call with streams is interrupted before they are: see `end_call`."""
    if request in streams and request not in calls:
        streams[request].on(CANCEL, b'')


def fail(stream, number, message, path):
    """Answers that a transfer has failed: the error's number, its text, and the path that it is about."""
    del streams[stream.request]
    send(stream.request, FAIL, MARSHAL, failure_of(number, message, path))


def failure_of(number, message, path):
    return marshal.dumps({u'errno': number or 0, u'message': message, u'path': bytearray(path)}, 2)


def transfer(stream, operation, payload):
    """Runs a request with streams, on a thread of its own, and answers it. Never raises."""
    path = [b'']
    try:
        answer = answers[operation](stream, marshal.loads(payload), path)
    except Stopped:
        del streams[stream.request]
        send(stream.request, FAIL, 0, b'\2')
    except EnvironmentError as e:
        fail(stream, e.errno, text_of(e.strerror or str(e)), path[0])
    except Exception as e:
        fail(stream, 0, text_of('%s: %s' % (type(e).__name__, e)), path[0])
    else:
        del streams[stream.request]
        # Without one, it has been answered.
        if answer is not None:
            send(stream.request, REPLY, MARSHAL, marshal.dumps(answer, 2))


def text_of(message):
    return message.decode('utf-8', 'replace') if OLD else message.encode('utf-8', 'replace').decode('utf-8')


on_read.append(take_data)
handlers[CANCEL] = on_cancel
handlers.update(dict.fromkeys((END, CREDIT, RESET), on_stream))
