"""What functions at the other ends of tunnels read, from an iterable of this side: docs/wire.md, section 10."""
import marshal
from types import GeneratorType

from chopsticks import _calling
from chopsticks._agent import OLD, Wait, agent, allocate_lock, start_new_thread
from chopsticks._constants import BYTES, CANCEL, CREDIT, DATA, END, FRAME, MARSHAL, PENCODE, RESET
from chopsticks._items import HEAD, NUMBER

# How much waits for credit before the iterable is asked for no more.
ROOM = 1 << 17
# How many frames may wait for the pipe meanwhile: an agent may give credit, and read nothing.
FRAMES = 256


def taken(kwargs):
    """What keyword arguments have for a function to read. Text and bytes are arguments of the function itself."""
    if isinstance(kwargs['input'], (bytes, type(u''), bytearray, memoryview)):
        return None
    return kwargs.pop('input')


def refuse(kwargs):
    """Refuses what `call` of a tunnel takes for its own, and the function of a group would get."""
    if not isinstance(kwargs.get('input'), (bytes, type(u''), bytearray, memoryview, type(None))):
        raise TypeError('only `call` of a tunnel, and `stream`, take `input`: give the function another argument')


def encoded(item):
    """An item as it is sent, behind its format and size."""
    if type(item) is bytes and not OLD:
        return HEAD.pack(BYTES, len(item)) + item
    if not OLD and not _calling.PYPY and _calling.is_plain((item,)):
        try:
            data = marshal.dumps(item, 2)
            return HEAD.pack(MARSHAL, len(data)) + data
        except ValueError:
            pass
    agent['part']('values')
    data = agent['pencode'](item, 'item')
    return HEAD.pack(PENCODE, len(data)) + data


class Outlet(object):
    """Where items go on their way to one function. Both the thread that puts them in and a reader send them."""

    def __init__(self, source):
        self.source, self.lock = source, allocate_lock()
        self.pieces, self.size, self.credit = [], 0, 0
        self.connection = self.request = None
        self.ended = self.sent_end = self.closed = False

    def attach(self, connection, request):
        """Says by which request they go. A connection that was refused has taken none."""
        with self.lock:
            self.connection, self.request, self.credit, self.sent_end = connection, request, 0, False

    def is_crowded(self):
        connection = self.connection
        return connection is not None and len(connection.queue) > FRAMES

    def put(self, data):
        with self.lock:
            self.pieces.append(data)
            self.size += len(data)
        self.flush()

    def end(self):
        self.ended = True
        self.flush()

    def give(self, credit):
        with self.lock:
            self.credit += credit
        self.flush()

    def close(self):
        """Ends the stream, since the function reads no more items."""
        self.closed = True
        del self.pieces[:]
        self.source.wait.ring()

    def flush(self):
        """Sends what there is credit for."""
        with self.lock:
            while self.pieces and self.credit and not self.closed:
                data = b''.join(self.pieces)
                count = min(len(data), self.credit, FRAME)
                self.connection.send(self.request, DATA, 0, data[:count])
                self.credit -= count
                self.size -= count
                self.pieces[:] = [data[count:]] if count < len(data) else []
            if self.ended and not self.pieces and self.connection and not self.sent_end and not self.closed:
                self.sent_end = True
                self.connection.send(self.request, END, 0, b'')
        self.source.wait.ring()


class Fed(object):
    """The streams of a request whose function reads. The reader of the connection calls `on`."""

    def __init__(self, outlet, connection, request, arrivals=None):
        self.outlet, self.arrivals = outlet, arrivals
        self.owed = arrivals.owed if arrivals else 0
        outlet.attach(connection, request)

    @property
    def credit(self):
        return self.outlet.credit

    @property
    def ended(self):
        return self.arrivals is not None and self.arrivals.ended

    def on(self, operation, payload):
        if operation == CREDIT:
            self.outlet.give(NUMBER.unpack(payload)[0])
        elif operation == RESET:
            self.outlet.close()
        elif self.arrivals and operation in (DATA, END, CANCEL):
            self.arrivals.on(operation, payload)


class Input(object):
    """Items of an iterable. A thread of its own takes them from where they come, and all functions get all of them."""

    def __init__(self, items, count=1):
        self.items, self.wait, self.error = iter(items), Wait(), None
        self.outlets = [Outlet(self) for _ in range(count)]
        self.lock, self.begun = allocate_lock(), False

    def begin(self):
        """Begins to read, if that has not begun."""
        with self.lock:
            if self.begun:
                return
            self.begun = True
        start_new_thread(self.run, ())

    def close(self):
        for outlet in self.outlets:
            outlet.close()

    def blame(self, error):
        """Says in an exception of a call that the input is its cause."""
        if self.error is not None:
            error.__cause__ = self.error

    def run(self):
        items, wanted = self.items, self.outlets
        try:
            for item in items:
                data = encoded(item)
                for outlet in wanted:
                    self.wait.until(lambda: outlet.closed or outlet.size < ROOM)  # noqa: B023
                    while not outlet.closed and outlet.is_crowded():
                        self.wait.pause(.005)
                    if not outlet.closed:
                        outlet.put(data)
                wanted = [outlet for outlet in wanted if not outlet.closed]
                if not wanted:
                    break
                item = data = None
        except BaseException as e:
            self.error = e
            why = '%s: %s' % (type(e).__name__, e)
            why = why if isinstance(why, bytes) else why.encode('utf-8', 'replace')
            for outlet in wanted:
                outlet.put(HEAD.pack(0, len(why)) + why)
        for outlet in self.outlets:
            outlet.end()
        # Not a file, which is its owner's.
        if isinstance(items, GeneratorType):
            try:
                items.close()
            except Exception:
                # The call has ended, and cannot report it.
                pass
