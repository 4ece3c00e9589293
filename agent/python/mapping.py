"""Calls of one function for many items, one after the other: docs/wire.md, section 10.

The controller sends it in EXTEND, after `items`. Such a call has two streams: each item that comes is the first
argument of the function, and each outcome leaves in its place. A failure of the function is an outcome, and the next
item follows.
"""
try:
    from time import perf_counter as clock
except ImportError:
    from time import time as clock

MAP = 0x2c
# The format of an outcome that is a failure, and the head of any: format, size, microseconds.
RAISED = 4
head_of_outcome = Struct('>BLL')
map_later = None    # what performs the items of a coroutine function: see `MAP_LATER`


class Mapping(Channel):
    """The two streams of such a call."""

    def __init__(self, request):
        Channel.__init__(self, request, PIPE)

    def around(self, function):
        """What is to be called in place of the function, for all items."""
        def call(*args, **kwargs):
            # In user code an interrupt may strike; in what follows, the streams tell of a cancel.
            leave(self.request)
            self.input.begin()
            try:
                while 1:
                    item = self.input.next_item(1)
                    began = clock()
                    form, data = self.outcome_of(function, item, args, kwargs)
                    if not form:
                        if not map_later:
                            exec(compile(MAP_LATER, 'chopsticks/mapping.py', 'exec'), globals())
                        return map_later(self, function, began, data, args, kwargs)
                    item = None
                    if self.put(form, data, began):
                        self.output.wait_for_room()
                    data = None
            except StopIteration:
                pass
            except Stopped:
                if self.request in cancelled:
                    spared.add(self.request)
        return call

    def outcome_of(self, function, item, args, kwargs):
        """The format and bytes of what comes of an item; without a format, what has to be awaited for that."""
        request = self.request
        try:
            inside.add(request)
            if request in cancelled:
                raise Stopped
            value = function(item, *args, **kwargs)
            leave(request)
        except:  # noqa: E722 - on 2.7 an exception need not be a BaseException.
            leave(request)
            return self.raised()
        if type(value) not in PLAIN and hasattr(type(value), '__await__'):
            return 0, value
        return self.made_of(value)

    def raised(self):
        """The same for the exception at hand; raises it again if the call is over."""
        check_process()
        if self.request in cancelled:
            raise Stopped
        return self.failed('raised')

    def failed(self, stage):
        operation, form, data = failed(stage, self.request)
        if OLD:
            sys.exc_clear()
        return form if operation == REPLY else RAISED, data

    def made_of(self, value):
        """The same for what the function has returned."""
        check_process()
        stage = 'result'
        try:
            form, data = encode(value)
            if len(data) + 4 > limit:
                stage = 'size'
                raise ValueError('%d bytes, over the limit of %d' % (len(data), limit - 4))
            return form, data
        except Exception:
            return self.failed(stage)

    def put(self, form, data, began):
        took = min(max(int((clock() - began) * 1000000), 0), 0xffffffff)
        return self.output.add(head_of_outcome.pack(form, len(data) + 4, took), data)


def mapped(request, _, *m):
    """Makes a call of a request that is one for many items."""
    streams[request] = Mapping(request)
    return (request, CALL) + m


# Text, for older Pythons cannot read it.
MAP_LATER = '''
async def map_later(mapping, function, began, first, args, kwargs):
    try:
        outcome = await outcome_later(mapping, lambda _: first, None, (), {})
        first = None
        while 1:
            if mapping.put(*outcome, began):
                await mapping.output.room_later()
            try:
                item = await mapping.input.__anext__()
            except StopAsyncIteration:
                return
            began = clock()
            outcome = await outcome_later(mapping, function, item, args, kwargs)
            item = None
    except Stopped:
        pass


async def outcome_later(mapping, function, item, args, kwargs):
    try:
        value = function(item, *args, **kwargs)
        if hasattr(type(value), '__await__'):
            value = await value
    except BaseException:
        if mapping.request in cancelled:
            raise
        return mapping.raised()
    return mapping.made_of(value)
'''

handlers[MAP] = mapped
