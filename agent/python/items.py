"""Calls whose result or first argument is a stream of items: docs/wire.md, section 10.

The controller sends it in EXTEND, after `stream`. Such a call lives as any other: `run` runs it, on the thread that it
would have anyway. What it yields goes into a line, and a thread of its own sends whatever has gathered there: an item
leaves at once while the controller keeps up, and many leave together when it does not. That thread is started when an
item follows another one quickly: before that, whoever yields an item sends it, which takes less time than the thread.
"""

YIELD = 0x29
FEED = 0x2a
PIPE = 0x2b
# How much is sent before the controller has given any credit; and how much a line holds before the generator waits:
# several items of 64 KiB, since two threads take turns at each line.
FIRST_CREDIT = 1 << 16
LINE = 1 << 18
# Seconds between items from which on no thread is needed to send them.
SLOW = 0.001
# An item's format (0: the stream has failed, the item says why) and size.
head_of_item = Struct('>BL')
NOTHING = object()
later = None        # what sends the items of an awaitable: see `LATER`


class Misfit(Exception):
    """An item that cannot be sent."""

    def __init__(self, stage, message):
        Exception.__init__(self, message)
        self.stage = stage


class Later(object):
    """What opens like a lock, and calls back in an event loop."""

    def __init__(self, callback):
        import asyncio
        self.loop, self.callback = asyncio.get_event_loop(), callback

    def release(self):
        try:
            self.loop.call_soon_threadsafe(self.callback)
        except RuntimeError:
            # The loop is closed.
            pass


class Channel(object):
    """The one or two streams of a call. The reader calls `on`."""

    def __init__(self, request, operation):
        self.request = request
        self.output = operation != FEED and ItemsOut(request)
        self.input = operation != YIELD and ItemsIn(request)

    def on(self, operation, payload):
        stream = self.output if operation in (CREDIT, RESET) else self.input
        if stream:
            stream.on(operation, payload)

    def stop(self):
        """Wakes a cancelled call that waits for one of them."""
        for stream in self.output, self.input:
            if stream:
                stream.on(CANCEL, b'')

    def around(self, function):
        """What is to be called in place of a function, which has items or gets them."""
        def call(*args, **kwargs):
            if self.input:
                # Not while an interrupt may strike, which would leave a lock closed.
                mine = shut()
                self.input.begin()
                reopen(mine)
                args = (self.input,) + args
            value = function(*args, **kwargs)
            if not self.output:
                return value
            if hasattr(type(value), '__await__') or hasattr(type(value), '__aiter__'):
                if not later:
                    exec(compile(LATER, 'chopsticks/items.py', 'exec'), globals())
                return later(self, value)
            self.send_items(value)
        return call

    def send_items(self, value):
        """Sends the items of an iterable, one after the other, until it ends or no more are needed."""
        request, output, items = self.request, self.output, items_of(value)
        try:
            for item in items:
                check_process()
                leave(request)
                if output.put(item, output.is_free()):
                    output.wait_for_room()
                item = None
                inside.add(request)
                if request in cancelled:
                    raise Stopped
        except Stopped:
            spared.add(request)
        finally:
            if hasattr(items, 'throw') and os.getpid() == PID:
                inside.add(request)
                items.close()

    def finish(self):
        """Ends both streams, when all that was yielded has been sent. `run` does so before it answers."""
        spared.discard(self.request)
        if self.output:
            self.output.finish()
        if self.input:
            self.input.finish()


def lend_reading():
    """Has another thread read from now on: what a call of the main thread waits for would come only after two ticks."""
    global taken
    with lock:
        # By 2 the helper knows that it is not the reader: see `watch`.
        lent = not taken
        taken = taken or 2
    if lent:
        try:
            start_new_thread(read_in_place, ())
        except Exception:
            # The helper will do it.
            taken = 0


def read_in_place():
    with writing:
        flush()
    part('overlap')
    read_on()


def called(request, operation, *m):
    """Makes a call of a request that is one with streams."""
    streams[request] = Channel(request, operation)
    return (request, CALL) + m


def check_process():
    """Ends a process that was forked in user code and has come back from there."""
    if os.getpid() != PID:
        os._exit(0)


def items_of(value):
    if hasattr(value, '__iter__') or hasattr(value, '__getitem__'):
        return iter(value)
    raise Misfit('result', 'it is of type %s, which has no items' % type(value).__name__)


# Text, for older Pythons cannot read it. Where a coroutine returns something without `__aiter__`, the event loop waits
# while that makes an item.
LATER = '''
async def later(channel, value):
    output, items = channel.output, value
    try:
        if hasattr(type(value), '__await__'):
            value = await value
        if hasattr(type(value), '__aiter__'):
            items = value.__aiter__()
            async for item in items:
                check_process()
                if output.put(item):
                    await output.room_later()
                item = None
        else:
            items = items_of(value)
            for item in items:
                check_process()
                if output.put(item):
                    await output.room_later()
                item = None
    except Stopped:
        pass
    finally:
        if os.getpid() == PID:
            if hasattr(items, 'aclose'):
                await items.aclose()
            elif hasattr(items, 'throw'):
                items.close()
'''


class ItemsOut(Stream):
    """The items of a call's result. Whoever yields them calls `put`; a thread of its own sends them."""

    def __init__(self, request):
        Stream.__init__(self, request)
        self.credit = FIRST_CREDIT
        self.line, self.size = [], 0
        # What opens when there is room again; only while somebody waits.
        self.gate = None
        self.done, self.broken = None, False
        # When the newest item was sent by who yielded it.
        self.sent = 0

    def on(self, operation, payload):
        Stream.on(self, operation, payload)
        if self.stopped:
            self.open_gate()

    def open_gate(self):
        with self.lock:
            gate, self.gate = self.gate, None
        if gate:
            gate.release()

    def is_free(self):
        """Whether who yields an item may send it: no other one is on its way, and this is not one of many."""
        if self.done:
            return False
        before, self.sent = self.sent, time()
        return self.sent - before > SLOW

    def put(self, item, at_once=False):
        """Puts an item into the line, or sends it, where there is credit; returns whether the generator has to wait."""
        if self.stopped:
            return True
        form, data = encode(item, 'item')
        if len(data) > limit:
            raise Misfit('size', 'an item of %d bytes, over the limit of %d' % (len(data), limit))
        head = head_of_item.pack(form, len(data))
        size = len(head) + len(data)
        if at_once and size <= self.credit and size <= FIRST_CREDIT:
            with self.lock:
                self.credit -= size
            with writing:
                out.append(HEADER.pack(size, self.request, DATA, 0) + head + data)
                flush()
            return False
        return self.add(head, data)

    def add(self, head, data):
        """The same with an item that is encoded, behind its head."""
        if not self.done:
            self.done = allocate_lock()
            self.done.acquire()
            try:
                start_new_thread(self.send_line, ())
            except Exception:
                self.done.release()
                raise
        with self.lock:
            self.line += head, data
            self.size += len(head) + len(data)
            if self.waiting:
                self.waiting = False
                self.wake.release()
            return self.size >= LINE

    def waits(self, gate):
        """Leaves `gate` for the next time that there is room; returns whether that is to be waited for."""
        with self.lock:
            if self.size < LINE or self.stopped:
                return False
            self.gate = gate
            return True

    def wait_for_room(self):
        gate = allocate_lock()
        gate.acquire()
        if self.waits(gate):
            gate.acquire()
        self.check()

    def room_later(self):
        """The same, for those who await it."""
        import asyncio
        future = asyncio.Future(loop=asyncio.get_event_loop())

        def go_on():
            # A task that is cancelled learns of it in another way.
            if not future.done() and self.request not in cancelled:
                future.set_exception(Stopped()) if self.stopped else future.set_result(None)
        if not self.waits(Later(go_on)):
            go_on()
        return future

    def gathered(self):
        line, self.line, self.size = self.line, [], 0
        return line or self.ended

    def send_line(self):
        """The thread's: sends what has gathered, again and again."""
        try:
            while 1:
                line = self.wait(self.gathered)
                if line is True:
                    break
                self.open_gate()
                data = b''.join(line)
                line = None
                self.write(memoryview(data))
        except Stopped:
            pass
        except Exception:
            # For want of memory.
            self.broken = True
            self.on(RESET, b'')
        self.done.release()

    def finish(self):
        if self.done:
            with self.lock:
                self.ended = True
                if self.waiting:
                    self.waiting = False
                    self.wake.release()
            self.done.acquire()
        if self.broken or not self.stopped:
            send(self.request, END, 0, number_of.pack(1) if self.broken else b'')


class ItemsIn(Stream):
    """The items of a call's first argument: an iterator, and an asynchronous one."""

    def __init__(self, request):
        Stream.__init__(self, request)
        self.data, self.at = b'', 0
        self.parts, self.size, self.need = [], 0, 5
        self.owed, self.over = 0, False
        # What is called when something has come; only while somebody awaits that.
        self.gate = None

    def begin(self):
        if get_ident() == MAIN:
            lend_reading()
        self.send(self.request, CREDIT, 0, number_of.pack(WINDOW))

    def on(self, operation, payload):
        Stream.on(self, operation, payload)
        with self.lock:
            gate, self.gate = self.gate, None
        if gate:
            gate.release()

    def __iter__(self):
        return self

    __aiter__ = __iter__

    def __next__(self):
        # An interrupt here would lose an item.
        mine = shut()
        try:
            item = self.next_item(1)
        except Stopped:
            if self.request in cancelled:
                spared.add(self.request)
            reopen(mine)
            raise IOError('the input was broken off')
        except BaseException:
            reopen(mine)
            raise
        reopen(mine)
        return item

    next = __next__

    def __anext__(self):
        import asyncio
        future = asyncio.Future(loop=asyncio.get_event_loop())

        def look():
            if future.done():
                return
            try:
                item = self.next_item(0, look)
            except StopIteration:
                future.set_exception(StopAsyncIteration())
            except Stopped:
                if self.request not in cancelled:
                    future.set_exception(IOError('the input was broken off'))
            except Exception as e:
                future.set_exception(e)
            else:
                if item is not NOTHING:
                    future.set_result(item)
        look()
        return future

    def next_item(self, blocks, look=None):
        """Returns the next item. Where none has come: waits, or has `look` called later and returns `NOTHING`."""
        check_process()
        while not self.over:
            found = self.parsed()
            if found:
                form, data = found
                if not form:
                    self.over = True
                    raise IOError(to_text(data.decode('utf-8')) if not OLD else data)
                return value_of(form, data)
            if blocks:
                pieces = self.wait(self.arrived)
            else:
                gate = Later(look)
                with self.lock:
                    if self.stopped:
                        raise Stopped
                    pieces = self.arrived()
                    if not pieces:
                        self.gate = gate
                        return NOTHING
            if pieces is True:
                self.over = True
            else:
                self.take(pieces)
        raise StopIteration

    def take(self, pieces):
        for piece in pieces:
            size = len(piece)
            self.size += size
            self.owed += size
            if type(piece) is memoryview:
                self.parts.append(piece.tobytes())
                if len(spare) < WINDOW // FRAME:
                    spare.append(piece.obj)
            else:
                self.parts.append(piece)
        if self.owed >= WINDOW >> 2:
            self.send(self.request, CREDIT, 0, number_of.pack(self.owed))
            self.owed = 0

    def parsed(self):
        """The format and bytes of the next item, if all of it is there."""
        while 1:
            if len(self.data) - self.at >= self.need:
                form, size = head_of_item.unpack_from(self.data, self.at)
                self.need = 5 + size
                end = self.at + self.need
                if end <= len(self.data):
                    data = self.data[self.at + 5:end]
                    self.at, self.need = end, 5
                    return form, data
            if len(self.data) - self.at + self.size < self.need:
                return None
            self.data = self.data[self.at:] + b''.join(self.parts)
            self.at, self.parts, self.size = 0, [], 0

    def finish(self):
        self.over = True
        if not self.ended and not self.stopped:
            send(self.request, RESET, 0, number_of.pack(0))


def value_of(form, data):
    if form == BYTES:
        return data
    if form == PENCODE:
        part('values')
        value = pdecode(data)
    else:
        value = marshal.loads(data)
    if names and odd(data) and u'given' not in options['encode']:
        part('plain')
        value = names_in(value)
    return value


handlers.update(dict.fromkeys((YIELD, FEED, PIPE), called))
