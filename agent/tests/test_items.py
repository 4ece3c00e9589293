"""Calls whose result or first argument is a stream of items."""
import marshal
import os
import struct
import sys
import time
import unittest

from harness import (BYTES, FAIL, MARSHAL, MORE, OLD, PENCODE, REPLY, alive, eventually, function, marked, namespace,
                     text)
from streaming import CREDIT, DATA, END, RESET, StreamCase, Streaming

YIELD, FEED, PIPE = 0x29, 0x2a, 0x2b
HEAD = struct.Struct('>BL')
FIRST_CREDIT, LINE = 1 << 16, 1 << 18
pdecode = namespace('values')['pdecode']
ASYNC = sys.version_info >= (3, 6)


def packed(*values):
    """Items as the controller sends them."""
    return b''.join(HEAD.pack(MARSHAL, len(d)) + d for d in (marshal.dumps(text(v), 2) for v in values))


class Items(Streaming):
    parts = 'stream', 'items'

    def open(self, operation, function, *args, **kwargs):
        self.request += 2
        self.send(self.request, operation, MARSHAL, marshal.dumps((text(function), args, text(kwargs) or None), 2))
        return self.request

    def stream(self, *args, **kwargs):
        return self.open(YIELD, *args, **kwargs)

    def give(self, request, size):
        self.send(request, CREDIT, 0, struct.pack('>L', size))

    def feed(self, request, *values):
        self.send(request, DATA, 0, packed(*values))

    def items(self, request):
        """The items that have come."""
        data, found = b''.join(self.of(request, DATA)), []
        while len(data) >= 5:
            form, size = HEAD.unpack_from(data)
            if len(data) < 5 + size:
                break
            payload, data = data[5:5 + size], data[5 + size:]
            found.append(payload if form == BYTES else marshal.loads(payload) if form == MARSHAL
                         else pdecode(payload))
        return found

    def has_ended(self, request):
        return b'' in self.of(request, END)

    def all(self, request):
        """All items of a request, and what its call returned."""
        result = self.result(request)
        if not self.has_ended(request):
            raise AssertionError('the stream has no end')
        return self.items(request), result


COUNT = function('def f(n):\n    for i in range(n):\n        yield i\n')
ENDLESS = function('''
import os
def f(path, size=0):
    n = 0
    try:
        while 1:
            with open(path, 'a') as file:
                file.write('.')
            yield 'x' * size if size else n
            n += 1
    finally:
        with open(path, 'a') as file:
            file.write('end')
''')


class ItemsCase(StreamCase):
    def agent(self, *args, **kwargs):
        agent = Items(*args, **kwargs)
        self.addCleanup(agent.kill)
        return agent

    def file(self):
        try:
            with open(self.path, 'rb') as f:
                return f.read()
        except IOError:
            return b''

    def assert_ended(self, agent, request):
        """A request that was cancelled has ended, in whatever way."""
        operation, form, payload = agent.answer(request)
        if operation == FAIL and form:
            self.assertEqual(marshal.loads(payload)['kind'], 'cancelled')
        else:
            self.assertEqual(payload, (b'n' if OLD else b'N') if operation == REPLY else b'\2')

    def assert_idle(self, agent, others=0):
        """The agent keeps nothing of what it has done, beside calls that go on."""
        state = function(
            'import sys\ndef f():\n'
            '    space = [m for m in sys.meta_path if type(m).__name__ == "Finder"][0].find_spec.__globals__\n'
            '    return [len(space[n]) for n in ("streams", "calls", "cancelled", "stopping")]\n')
        self.assertTrue(eventually(lambda: list(agent.call(state)) == [0, 1 + others, 0, 0]), agent.call(state))


class Yielding(ItemsCase):
    def test_items_come_in_order_and_then_the_end(self):
        agent = self.agent()
        for n in 0, 1, 1000:
            self.assertEqual(agent.all(agent.stream(COUNT, n)), (list(range(n)), None))
        self.assert_idle(agent)

    def test_any_iterable_gives_its_items(self):
        agent = self.agent()
        for body, expected in (
                ('[1, (2, 3)]', [1, (2, 3)]), ('iter([1])', [1]), ('{"a": 1}', [u'a']), ('()', []),
                ('u"ab"', [u'a', u'b']), ('map(abs, [-1])', [1]), ('[None, bytearray(b"x"), 1.5]', [None, b'x', 1.5])):
            self.assertEqual(agent.all(agent.stream(function('def f(): return ' + body)))[0], expected)

    def test_item_leaves_when_it_is_yielded(self):
        agent = self.agent()
        request = agent.stream(function(
            'import os, time\ndef f(path):\n    yield 1\n    while not os.path.exists(path): time.sleep(.01)\n'
            '    yield 2\n'), self.path.decode())
        self.assertTrue(eventually(lambda: agent.items(request) == [1]))
        open(self.path, 'w').close()
        self.assertEqual(agent.all(request)[0], [1, 2])

    @unittest.skipUnless(os.path.exists('/proc/self/task'), 'counts threads in /proc')
    def test_first_item_needs_no_thread_of_its_own(self):
        agent = self.agent()
        request = agent.stream(function(
            'import os\ndef f():\n    before = len(os.listdir("/proc/self/task"))\n    yield "first"\n'
            '    yield len(os.listdir("/proc/self/task")) - before\n'))
        self.assertEqual(agent.all(request)[0], [u'first', 0])

    def test_many_small_items_leave_together(self):
        agent = self.agent()
        request = agent.stream(COUNT, 50000)
        agent.give(request, 1 << 30)
        self.assertEqual(len(agent.all(request)[0]), 50000)
        self.assertTrue(len(agent.of(request, DATA)) < 40000, len(agent.of(request, DATA)))

    def test_generator_stands_still_without_credit(self):
        agent = self.agent()
        request = agent.stream(ENDLESS, self.path.decode(), 1000)

        def still():
            before = len(self.file())
            time.sleep(.1)
            return len(self.file()) == before > 0
        self.assertTrue(eventually(still))
        # The credit, what waits in the line, what the thread that sends has taken from there, and an item each.
        most = (FIRST_CREDIT + 2 * LINE) // 1000 + 4
        self.assertTrue(len(self.file()) <= most, (len(self.file()), most))
        self.assertEqual(sum(map(len, agent.of(request, DATA))), FIRST_CREDIT)
        agent.give(request, 1 << 20)
        self.assertTrue(eventually(lambda: sum(map(len, agent.of(request, DATA))) == FIRST_CREDIT + (1 << 20)))
        agent.cancel(request)
        self.assert_ended(agent, request)
        self.assertTrue(self.file().endswith(b'end'))
        self.assert_idle(agent)

    def test_item_larger_than_all_credit_comes_in_pieces(self):
        agent = self.agent()
        request = agent.stream(function('def f():\n    yield 1\n    yield u"x" * 1000000\n    yield 2\n'))
        for _ in range(100):
            agent.give(request, 20000)
        self.assertEqual([v if v in (1, 2) else len(v) for v in agent.all(request)[0]], [1, 1000000, 2])

    def test_exception_comes_after_the_items_before_it(self):
        agent = self.agent()
        request = agent.stream(function('def f():\n    yield 1\n    yield 2\n    raise KeyError("three")\n'))
        failure = agent.failure(request)
        self.assertEqual((failure['kind'], failure['type']), ('raised', 'KeyError'))
        self.assertIn('in f', failure['traceback'])
        self.assertNotIn('send_items', failure['traceback'])
        self.assertEqual((agent.items(request), agent.has_ended(request)), ([1, 2], True))
        self.assert_idle(agent)

    def test_exception_before_the_first_item_and_what_is_no_function(self):
        agent = self.agent()
        request = agent.stream(function('def f():\n    raise KeyError("one")\n    yield\n'))
        self.assertEqual(agent.failure(request)['type'], 'KeyError')
        self.assertEqual(agent.failure(agent.stream('no_such_module:f'))['kind'], 'function')
        self.assertEqual(agent.failure(agent.stream(COUNT))['type'], 'TypeError')
        failure = agent.failure(agent.stream('os:getpid'))
        self.assertEqual((failure['kind'], failure['message']), ('result', 'it is of type int, which has no items'))
        self.assert_idle(agent)

    def test_end_of_a_program_is_the_end_of_its_items(self):
        agent = self.agent()
        self.assertEqual(agent.all(agent.stream(function(
            'import sys\ndef f():\n    yield 1\n    sys.exit()\n'))), ([1], None))

    def test_item_that_cannot_be_sent_closes_the_generator(self):
        agent = self.agent()
        request = agent.stream(function(
            'def f(path):\n    try:\n        yield 1\n        yield [object()]\n        yield 2\n'
            '    finally:\n        open(path, "w").close()\n'), self.path.decode())
        failure = agent.failure(request)
        self.assertEqual((failure['kind'], failure['message']), ('result', 'item[0]: object is not a primitive type'))
        self.assertEqual(agent.items(request), [1])
        self.assertTrue(os.path.exists(self.path))

    def test_item_over_the_limit_fails(self):
        agent = self.agent(limit=1000)
        request = agent.stream(function('def f():\n    yield 1\n    yield u"x" * 2000\n'))
        self.assertEqual(agent.failure(request)['kind'], 'size')
        self.assertEqual(agent.items(request), [1])

    def test_objects_and_names_have_their_forms(self):
        agent = self.agent(options={u'encode': [u'objects', u'names']})
        request = agent.stream(function(
            'import decimal\ndef f():\n    yield decimal.Decimal("1.5")\n    yield %s\n' % (
                r'b"\xff".decode("latin-1").encode("latin-1")' if OLD else r'"\udcff"')))
        self.assertEqual(agent.all(request)[0], [u'1.5', u'\uefff'])

    def test_call_that_returns_a_generator_says_what_to_do(self):
        agent = self.agent()
        failure = agent.fails(COUNT, 3)
        self.assertEqual(failure['kind'], 'result')
        self.assertIn('stream', failure['message'])
        if ASYNC:
            self.assertIn('stream', agent.fails(function('async def f():\n    yield 1\n'))['message'])

    def test_values_that_share_parts_are_whole_items(self):
        agent = self.agent()
        request = agent.stream(function('def f():\n    a = [1]\n    a.append(a)\n    yield a\n    yield 2\n'))
        self.assertEqual([type(v).__name__ for v in agent.all(request)[0]], ['list', 'int'])

    def test_calls_and_streams_overlap(self):
        agent = self.agent()
        endless = agent.stream(ENDLESS, self.path.decode(), 100)
        self.assertTrue(eventually(lambda: self.file()))
        requests = [agent.stream(COUNT, 100) for _ in range(20)]
        self.assertEqual(agent.call('os:getpid'), agent.hello['pid'])
        for request in requests:
            self.assertEqual(agent.all(request)[0], list(range(100)))
        agent.cancel(endless)
        self.assert_ended(agent, endless)
        self.assert_idle(agent)

    def test_request_in_pieces_that_is_cancelled_is_forgotten(self):
        agent = self.agent()
        agent.request += 2
        agent.send(agent.request, YIELD, MARSHAL | MORE, b'(')
        agent.cancel(agent.request)
        self.assertEqual(agent.failure(agent.request)['kind'], 'cancelled')
        self.assert_idle(agent)

    def test_child_that_comes_back_ends(self):
        agent = self.agent()
        request = agent.stream(function(
            'import os\ndef f():\n    yield 1\n    pid = os.fork()\n    if not pid:\n        yield "child"\n'
            '    os.waitpid(pid, 0)\n    yield 2\n'))
        self.assertEqual(agent.all(request)[0], [1, 2])


class Ending(ItemsCase):
    def endings(self, agent, body, size, others):
        """What a generator has written after it was cancelled where it stands."""
        request = agent.stream(function(body), self.path.decode(), size)
        self.assertTrue(eventually(lambda: self.file()))
        if size:
            self.assertTrue(eventually(lambda: sum(map(len, agent.of(request, DATA))) == FIRST_CREDIT))
            time.sleep(.05)
        agent.cancel(request)
        self.assert_ended(agent, request)
        self.assert_idle(agent, others)
        return self.file()

    BODY = '''
import time
def f(path, size):
    def note(text):
        with open(path, 'a') as file:
            file.write(text)
    try:
        note('begin ')
        while 1:
            if size:
                yield 'x' * size
            else:
                time.sleep(.01)
    except BaseException as e:
        note(type(e).__name__)
        raise
    finally:
        time.sleep(.1)
        note(' end')
'''

    def test_generator_that_stands_is_closed(self):
        for busy in 0, 1:
            agent = self.agent()
            if busy:
                # The main thread is another call's.
                agent.call_later('time:sleep', 60)
            self.assertEqual(self.endings(agent, self.BODY, 1000, busy), b'begin GeneratorExit end')
            os.remove(self.path)

    def test_generator_that_runs_is_interrupted(self):
        for busy in 0, 1:
            agent = self.agent()
            if busy:
                agent.call_later('time:sleep', 60)
            self.assertEqual(self.endings(agent, self.BODY, 0, busy), b'begin KeyboardInterrupt end')
            os.remove(self.path)

    def test_stream_that_nobody_wants_ends_the_generator(self):
        agent = self.agent()
        request = agent.stream(ENDLESS, self.path.decode(), 1000)
        self.assertTrue(eventually(lambda: self.file()))
        agent.send(request, RESET, 0, b'\0\0\0\0')
        self.assertEqual(agent.result(request), None)
        self.assertTrue(self.file().endswith(b'end'))
        self.assertFalse(agent.has_ended(request))
        self.assert_idle(agent)

    def test_processes_of_a_generator_end_with_it(self):
        agent = self.agent()
        for size in 0, 1000:
            request = agent.stream(function(
                'import subprocess\ndef f(size):\n    process = subprocess.Popen(["sleep", "600"])\n'
                '    yield process.pid\n    while size: yield "x" * size\n    process.wait()\n'), size)
            self.assertTrue(eventually(lambda: agent.items(request)))
            pid = agent.items(request)[0]
            agent.cancel(request)
            self.assert_ended(agent, request)
            self.assertTrue(eventually(lambda: not alive(pid)))

    def test_generator_that_does_not_end_is_interrupted_again(self):
        agent = self.agent()
        request = agent.stream(function(
            'import time\ndef f(path):\n    try:\n        while 1: yield "x" * 1000\n    finally:\n'
            '        open(path, "w").close()\n        while 1: time.sleep(.01)\n'), self.path.decode())
        self.assertTrue(eventually(lambda: sum(map(len, agent.of(request, DATA))) == FIRST_CREDIT))
        agent.cancel(request)
        self.assert_ended(agent, request)
        self.assertTrue(os.path.exists(self.path))

    def test_function_that_reads_waits_for_no_helper(self):
        # Which would look for ten minutes whether somebody else has to read.
        agent = self.agent()
        agent.call(function(
            'import sys\ndef f():\n    find = sys.meta_path[-1].find_spec\n'
            '    getattr(find, "__func__", find).__globals__["TICK"] = 600\n'))
        for _ in range(3):
            request = agent.open(FEED, function('def f(items): return sum(items)\n'))
            agent.feed(request, 1, 2)
            agent.send(request, END, 0, b'')
            self.assertEqual(agent.result(request), 3)
            self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_end_of_the_controller_ends_the_agent(self):
        agent = self.agent()
        agent.stream(ENDLESS, self.path.decode(), 1000)
        agent.open(FEED, function('def f(items):\n    for item in items: pass\n'))
        self.assertTrue(eventually(lambda: self.file()))
        self.assertEqual(agent.close(), 0)

    def test_end_of_the_controller_at_any_moment_leaves_nothing(self):
        for n in range(12):
            agent = self.agent()
            mark = 'items-%d-%d' % (os.getpid(), n)
            agent.stream(function(
                'import subprocess\ndef f(mark):\n    process = subprocess.Popen(["sh", "-c", "sleep 600; :", mark])\n'
                '    while 1: yield "x" * 1000\n'), mark)
            agent.stream(ENDLESS, os.devnull, 1000)
            request = agent.open(PIPE, function('def f(items):\n    for item in items: yield item\n'))
            agent.feed(request, *range(1000))
            time.sleep(n * .008)
            self.assertEqual(agent.close(), 0)
            self.assertTrue(eventually(lambda: not marked(mark)), marked(mark))

    def test_many_streams_leave_no_thread(self):
        agent = self.agent()
        threads = function('import os\ndef f(): return len(os.listdir("/proc/self/task"))\n')
        agent.all(agent.stream(COUNT, 3))
        agent.call_later('time:sleep', .1)
        agent.call(threads)
        requests = []
        for _ in range(50):
            requests = [agent.stream(ENDLESS, os.devnull, 1000), agent.stream(COUNT, 3), agent.open(
                FEED, function('def f(items): return sum(items)\n'))]
            agent.cancel(requests[0])
            agent.cancel(requests[2])
            self.assert_ended(agent, requests[0])
            self.assertEqual(agent.all(requests[1])[0], [0, 1, 2])
            self.assert_ended(agent, requests[2])
        self.assertTrue(eventually(lambda: agent.call(threads) < 8), agent.call(threads))
        self.assert_idle(agent)


class Feeding(ItemsCase):
    SUM = function('def f(items, *args):\n    return sum(items) + sum(args)\n')

    def test_function_reads_its_first_argument(self):
        agent = self.agent()
        request = agent.open(FEED, self.SUM, 100)
        agent.feed(request, 1, 2)
        self.assertTrue(eventually(lambda: agent.credit(request) == 1 << 22))
        agent.feed(request, 3)
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.result(request), 106)
        self.assertEqual(agent.of(request, RESET), [])
        self.assert_idle(agent)

    def test_items_in_any_pieces_and_formats(self):
        agent = self.agent()
        request = agent.open(FEED, function('def f(items): return list(items)\n'))
        data = packed(1, u'two', [3], u'x' * 5000)
        data += HEAD.pack(BYTES, 2) + b'ab' + HEAD.pack(PENCODE, 6) + b's\0\0\0\1x'
        for at in range(0, len(data), 7):
            agent.send(request, DATA, 0, data[at:at + 7])
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.result(request), [1, u'two', [3], u'x' * 5000, b'ab', u'x'])

    def test_credit_comes_back_as_items_are_read(self):
        agent = self.agent()
        request = agent.open(FEED, function('def f(items): return sum(map(len, items))\n'))
        item = u'x' * 100000
        for _ in range(60):
            agent.feed(request, item)
        self.assertTrue(eventually(lambda: agent.credit(request) > 2 * (1 << 22) - 1500000), agent.credit(request))
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.result(request), 6000000)

    @unittest.skipUnless(os.path.exists('/proc/self/status'), 'the memory is read from /proc')
    def test_small_items_that_wait_cost_little_more_than_their_bytes(self):
        agent = self.agent()

        def memory():
            # It has read all that was sent before when it answers.
            self.assertEqual(agent.call('operator:neg', 1), -1)
            with open('/proc/%d/status' % agent.process.pid) as f:
                return int(f.read().split('VmRSS:')[1].split()[0])
        request = agent.open(FEED, function(
            'import os, time\ndef f(items, path):\n'
            '    while not os.path.exists(path): time.sleep(.01)\n    return sum(items)\n'), self.path.decode())
        before = memory()
        for _ in range(20000):
            agent.feed(request, 1)
        self.assertLess(memory() - before, 50000)
        with open(self.path, 'w'):
            pass
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.result(request), 20000)

    def test_failure_of_the_input_is_raised_where_it_is_read(self):
        agent = self.agent()
        request = agent.open(PIPE, function(
            'def f(items):\n    try:\n        for item in items: yield item\n'
            '    except IOError as e:\n        yield str(e)\n'))
        agent.feed(request, 1)
        agent.send(request, DATA, 0, HEAD.pack(0, 4) + b'over')
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.all(request)[0], [1, u'over'])
        request = agent.open(FEED, self.SUM)
        agent.send(request, END, 0, b'\0\0\0\1')
        failure = agent.failure(request)
        self.assertEqual(failure['message'], 'the input was broken off')

    def test_function_that_stops_reading_stops_the_input(self):
        agent = self.agent()
        for operation, body, expected in (
                (FEED, 'def f(items): return next(items)\n', 1), (FEED, 'def f(items): return 7\n', 7),
                (PIPE, 'def f(items):\n    yield next(items)\n', None)):
            request = agent.open(operation, function(body))
            agent.feed(request, 1, 2)
            self.assertEqual(agent.result(request), expected)
            self.assertEqual(agent.of(request, RESET), [b'\0\0\0\0'])
        self.assert_idle(agent)

    def test_pipeline_yields_while_it_reads(self):
        agent = self.agent()
        request = agent.open(PIPE, function('def f(items, by):\n    for item in items: yield item * by\n'), 2)
        for n in range(100):
            agent.feed(request, n)
            self.assertTrue(eventually(lambda: len(agent.items(request)) == n + 1))
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.all(request)[0], [n * 2 for n in range(100)])

    def test_pipeline_with_nobody_at_its_end_stops_reading(self):
        agent = self.agent()
        request = agent.open(PIPE, function('def f(items):\n    for item in items: yield item\n'))
        item = u'x' * 100000
        for _ in range(41):
            agent.feed(request, item)
        time.sleep(.2)
        # What is held here is what was allowed: no further credit comes.
        self.assertTrue(agent.credit(request) <= 2 * (1 << 22), agent.credit(request))
        agent.give(request, 1 << 30)
        agent.send(request, END, 0, b'')
        self.assertEqual(len(agent.all(request)[0]), 41)

    def test_call_that_waits_for_input_is_cancelled(self):
        for busy in 0, 1:
            agent = self.agent()
            if busy:
                agent.call_later('time:sleep', 60)
            request = agent.open(FEED, function(
                'import time\ndef f(items, path):\n    try:\n        for item in items: pass\n'
                '    except BaseException as e:\n'
                '        name = type(e).__name__\n        raise\n    finally:\n        time.sleep(.1)\n'
                '        with open(path, "w") as f: f.write(name)\n'), self.path.decode())
            self.assertTrue(eventually(lambda: agent.credit(request)))
            time.sleep(.05)
            agent.cancel(request)
            self.assert_ended(agent, request)
            self.assertEqual(self.file(), b'KeyboardInterrupt')
            self.assert_idle(agent, busy)


@unittest.skipUnless(ASYNC, 'asynchronous generators are newer')
class Awaiting(ItemsCase):
    PIPE = function(
        'import asyncio\nasync def f(items, path=None):\n    try:\n        async for item in items:\n'
        '            await asyncio.sleep(0)\n            yield item + 1\n'
        '    finally:\n        await asyncio.sleep(.1)\n        if path: open(path, "w").close()\n')

    def test_asynchronous_generator_gives_its_items(self):
        agent = self.agent()
        request = agent.stream(function(
            'import asyncio\nasync def f(n):\n    for i in range(n):\n        if not i % 10: await asyncio.sleep(0)\n'
            '        yield i\n'), 50000)
        agent.give(request, 1 << 30)
        self.assertEqual(agent.all(request), (list(range(50000)), None))
        self.assert_idle(agent)

    def test_coroutine_may_return_items(self):
        agent = self.agent()
        self.assertEqual(agent.all(agent.stream(function('async def f(): return [1, 2]\n')))[0], [1, 2])
        self.assertEqual(agent.all(agent.stream(function(
            'async def g():\n    yield 1\nasync def f(): return g()\n')))[0], [1])
        self.assertEqual(agent.failure(agent.stream(function('async def f(): return 1\n')))['kind'], 'result')

    def test_exception_comes_after_the_items_before_it(self):
        agent = self.agent()
        request = agent.stream(function('async def f():\n    yield 1\n    raise KeyError("two")\n'))
        self.assertEqual(agent.failure(request)['type'], 'KeyError')
        self.assertEqual(agent.items(request), [1])

    def test_asynchronous_generator_reads_its_input(self):
        agent = self.agent()
        request = agent.open(PIPE, self.PIPE)
        for n in range(50):
            agent.feed(request, n)
            self.assertTrue(eventually(lambda: len(agent.items(request)) == n + 1))
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.all(request)[0], list(range(1, 51)))
        request = agent.open(FEED, function(
            'async def f(items):\n    total = 0\n    async for item in items: total += item\n    return total\n'))
        agent.feed(request, 1, 2)
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.result(request), 3)

    def test_asynchronous_generator_that_stands_holds_up_nobody(self):
        agent = self.agent()
        request = agent.stream(function(
            'async def f(path):\n    n = 0\n    try:\n        while 1:\n            n += 1\n'
            '            yield "x" * 1000\n    finally:\n        with open(path, "w") as f: f.write(str(n))\n'
        ), self.path.decode())
        self.assertTrue(eventually(lambda: sum(map(len, agent.of(request, DATA))) == FIRST_CREDIT))
        quick = function('import asyncio\nasync def f():\n    await asyncio.sleep(.01)\n    return 5\n')
        self.assertEqual(agent.call(quick), 5)
        agent.cancel(request)
        self.assert_ended(agent, request)
        self.assertTrue(int(self.file()) < (FIRST_CREDIT + 2 * LINE) // 1000 + 4, self.file())
        self.assert_idle(agent)

    def test_waits_are_cancelled_and_cleaned_up(self):
        agent = self.agent()
        for feed in 0, 1:
            request = agent.open(PIPE, self.PIPE, self.path.decode())
            if feed:
                agent.feed(request, *[1] * 60000)
            self.assertTrue(eventually(lambda: agent.credit(request)))
            time.sleep(.05)
            agent.cancel(request)
            self.assert_ended(agent, request)
            self.assertTrue(os.path.exists(self.path))
            os.remove(self.path)
        self.assert_idle(agent)


if __name__ == '__main__':
    unittest.main()
