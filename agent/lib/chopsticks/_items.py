"""What a function at the other end of a tunnel yields, as an iterator: docs/wire.md, section 10."""
import struct

from chopsticks import _files, _serving
from chopsticks._agent import guarded, start_new_thread
from chopsticks._connection import Malformed
from chopsticks._constants import CANCEL, CREDIT, DATA, END, EXTEND, MARSHAL
from chopsticks._errors import Disconnected, RemoteException

YIELD = 0x29
FEED = 0x2a
PIPE = 0x2b
# What may be under way. The first part needs no frame.
WINDOW, FIRST_CREDIT = 1 << 20, 1 << 16
HEAD = struct.Struct('>BL')
NUMBER = struct.Struct('>L')


class Arrivals(object):
    """The bytes of a request's stream. The reader of the connection calls `on`."""
    credit = 0

    def __init__(self, request):
        self.pieces, self.owed, self.wait = [], FIRST_CREDIT, None
        self.ended = self.broken = False

    def on(self, operation, payload):
        if operation == DATA:
            self.pieces.append(payload)
        elif operation in (END, CANCEL):
            self.broken = self.broken or operation == CANCEL or bool(payload)
            self.ended = True
        if self.wait:
            self.wait.ring()


def extend(connection):
    """Sends what the agent needs for such calls, unless it has that."""
    with connection.lock:
        has_items, connection.has_items = getattr(connection, 'has_items', False), True
        has_streams, connection.extended = connection.extended, True
        names = (() if has_streams else _files.PARTS) + (() if has_items else ('items',))
    if names:
        connection.notice(EXTEND, 0, b'\n'.join(_serving.part(name) for name in names))


class Items(object):
    """The items of a call, one after the other. Nothing is called before the first is asked for."""

    def __init__(self, tunnel, function, args, kwargs, source=None, number=0):
        self._tunnel, self._call = tunnel, (function, args, kwargs)
        # What the function reads, and which of those it is that read the same.
        self._source, self._number = source, number
        self._slot = self._connection = None
        self._done = False
        self._data, self._taken = bytearray(), 0

    def __iter__(self):
        return self

    def __next__(self):
        if self._done:
            raise StopIteration
        try:
            found = guarded(self._next)
        except BaseException:
            self.close()
            raise
        if not found:
            self.close()
            raise StopIteration
        return self._value(found)

    def _value(self, found):
        try:
            return self._connection.value(*found)
        except Malformed as e:
            # That concerns this item alone.
            raise RemoteException('the item cannot be encoded: %s' % e, self._tunnel.host)

    next = __next__

    def close(self):
        """Ends the call: the generator there is closed. Without effect if it has ended."""
        guarded(self._close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        # Anywhere, also where the lock that a cancel needs is held.
        if self._source:
            self._outlet().close()
        slot = self._slot
        if slot and not self._done and not slot.answer:
            try:
                start_new_thread(self._connection.cancel, (slot,))
            except Exception:
                pass

    def _close(self, wait):
        self._done = True
        if self._source:
            self._outlet().close()
        if self._slot:
            if not self._slot.answer:
                self._connection.cancel(self._slot)
            self._connection.streams.pop(self._slot.request, None)

    def _outlet(self):
        return self._source.outlets[self._number]

    def _next(self, wait):
        """The format and bytes of the next item, or `None` after the last."""
        if not self._slot:
            self._tunnel._attempt(wait, lambda connection: self._open(wait, connection))
        slot, connection, stream = self._slot, self._connection, self._stream
        slot.wait = stream.wait = wait
        while 1:
            found = self._parsed()
            if found:
                return found
            wait.until(lambda: stream.pieces or stream.ended or slot.answer)
            # In this order: what comes before an end is looked for after it.
            is_over = stream.ended or slot.answer
            if stream.pieces:
                self._take(stream.pieces)
            elif is_over:
                # An exception comes in its place, behind the items before it.
                try:
                    self._tunnel._answer(wait, connection, slot)
                except RemoteException as e:
                    if self._source:
                        self._source.blame(e)
                    raise
                connection.streams.pop(slot.request, None)
                if stream.broken or self._data:
                    raise RemoteException('the stream of its items was broken off', self._tunnel.host)
                return None

    def _open(self, wait, connection):
        payload, needed = self._tunnel._packed(*self._call)
        extend(connection)
        for module in needed:
            self._tunnel._send_ahead(connection, module)
        if self._source:
            slot, stream = self._open_pipe(connection, payload, wait)
        else:
            slot = connection.open(YIELD, MARSHAL, payload, wait, Arrivals)
            stream = slot.stream
        stream.wait = wait
        try:
            wait.until(lambda: stream.pieces or stream.ended or slot.answer)
        except BaseException:
            connection.cancel(slot)
            raise
        if isinstance(slot.answer, Disconnected) and not stream.pieces:
            # One that a server has refused is tried again.
            raise slot.answer.copy()
        self._slot, self._connection, self._stream = slot, connection, stream

    def _open_pipe(self, connection, payload, wait):
        from chopsticks._input import Fed
        self._source.begin()
        slot = connection.open(
            PIPE, MARSHAL, payload, wait, lambda request: Fed(self._outlet(), connection, request, Arrivals(request)))
        return slot, slot.stream.arrivals

    def _take(self, pieces):
        if not self._taken:
            self._taken = WINDOW - FIRST_CREDIT
        while pieces:
            piece = pieces.pop(0)
            self._data += piece
            self._taken += len(piece)
        if self._taken >= WINDOW >> 2 and not self._slot.answer:
            self._connection.send(self._slot.request, CREDIT, 0, NUMBER.pack(self._taken))
            self._taken = 0

    def _parsed(self):
        data = self._data
        if len(data) < HEAD.size:
            return None
        form, size = HEAD.unpack(bytes(data[:HEAD.size]))
        if not 1 <= form <= 3 or size > self._connection.limit:
            raise RemoteException('an item of format %d with %d bytes' % (form, size), self._tunnel.host)
        end = HEAD.size + size
        if len(data) < end:
            return None
        item = bytes(data[HEAD.size:end])
        del data[:end]
        return form, item
