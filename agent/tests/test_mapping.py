"""Calls of one function for many items."""
import marshal
import os
import struct
import sys
import unittest

from harness import BYTES, FAIL, MARSHAL, alive, eventually, function
from streaming import DATA, END, StreamCase
from test_items import HEAD, Items, pdecode

MAP = 0x2c
RAISED = 4
ASYNC = sys.version_info >= (3, 6)


class Mapper(Items):
    parts = 'stream', 'items', 'mapping'

    def map(self, function, *args, **kwargs):
        return self.open(MAP, function, *args, **kwargs)

    def finish(self, request):
        self.send(request, END, 0, b'')

    def outcomes(self, request):
        """The outcomes that have come: a value, or the type and the message of a failure; and how long each took."""
        data, found = b''.join(self.of(request, DATA)), []
        while len(data) >= 9:
            form, size = HEAD.unpack_from(data)
            if len(data) < 5 + size:
                break
            took, payload, data = data[5:9], data[9:5 + size], data[5 + size:]
            if form == RAISED:
                failure = marshal.loads(payload)
                value = failure['kind'], failure['message']
            else:
                value = payload if form == BYTES else marshal.loads(payload) if form == MARSHAL else pdecode(payload)
            found.append((value, struct.unpack('>L', took)[0]))
        return found

    def values(self, request):
        return [value for value, _ in self.outcomes(request)]


HALF = function('def f(n, by=2):\n    return n // by\n')
LEAVE = function('import sys\ndef f(n):\n    sys.exit(n)\n')
ODD = function('def f(n):\n    return {1: n} if n % 2 else object()\n')
START = function('''
import os, subprocess, time
def f(n, path):
    child = subprocess.Popen(['sleep', '600'])
    with open(path, 'a') as file:
        file.write('%d ' % child.pid)
    child.wait()
''')
FORK = function('import os\ndef f(n):\n    pid = os.fork()\n    return os.waitpid(pid, 0)[1] if pid else n\n')
LATER = '''
import asyncio
async def f(n, by=1):
    await asyncio.sleep(0)
    if not n:
        raise ValueError('none')
    return n * by
'''


class Mapping(StreamCase):
    def agent(self):
        agent = Mapper()
        self.addCleanup(agent.kill)
        return agent

    def test_each_item_has_an_outcome_in_order(self):
        agent = self.agent()
        request = agent.map(HALF)
        agent.feed(request, *range(1000))
        agent.finish(request)
        self.assertIsNone(agent.result(request))
        self.assertEqual(agent.values(request), [n // 2 for n in range(1000)])

    def test_arguments_follow_the_item(self):
        agent = self.agent()
        for args, kwargs in ((5,), {}), ((), {'by': 5}):
            request = agent.map(HALF, *args, **kwargs)
            agent.feed(request, 10, 20)
            agent.finish(request)
            agent.result(request)
            self.assertEqual(agent.values(request), [2, 4])

    def test_failure_is_an_outcome_and_the_next_item_follows(self):
        agent = self.agent()
        request = agent.map(HALF)
        agent.feed(request, 2, u'x', 4)
        agent.finish(request)
        agent.result(request)
        first, failed, last = agent.values(request)
        self.assertEqual((first, failed[0], last), (1, 'raised', 2))
        request = agent.map(LEAVE)
        agent.feed(request, 3, 0)
        agent.finish(request)
        agent.result(request)
        self.assertEqual(agent.values(request), [('raised', 'exit status 3'), None])

    def test_result_that_cannot_be_sent_is_a_failure_of_its_item(self):
        agent = self.agent()
        request = agent.map(ODD)
        agent.feed(request, 1, 2, 3)
        agent.finish(request)
        agent.result(request)
        values = agent.values(request)
        self.assertEqual((values[0], values[1][0], values[2]), ({1: 1}, 'result', {1: 3}))

    def test_outcome_comes_while_the_next_item_is_awaited(self):
        agent = self.agent()
        request = agent.map(HALF)
        for n in range(20):
            agent.feed(request, 2 * n)
            self.assertTrue(eventually(lambda n=n: agent.values(request) == list(range(n + 1))))

    def test_time_of_an_item_is_told(self):
        agent = self.agent()
        request = agent.map(function('import time\ndef f(n):\n    time.sleep(n)\n'))
        agent.feed(request, .05, 0)
        agent.finish(request)
        agent.result(request)
        slow, fast = [took for _, took in agent.outcomes(request)]
        self.assertGreaterEqual(slow, 49000)
        self.assertLess(fast, slow)

    def test_function_that_is_missing_fails_the_call_and_uses_no_item(self):
        agent = self.agent()
        request = agent.map(u'os:nothing')
        agent.feed(request, 1, 2)
        operation, _, payload = agent.answer(request)
        self.assertEqual((operation, marshal.loads(payload)['kind']), (FAIL, 'function'))
        self.assertEqual(agent.values(request), [])
        self.assertEqual(agent.call(HALF, 8), 4)

    def test_cancel_ends_the_item_and_what_it_started(self):
        agent = self.agent()
        request = agent.map(START, self.path.decode())
        agent.feed(request, 1, 2)
        self.assertTrue(eventually(lambda: os.path.exists(self.path) and b' ' in self.read()))
        agent.cancel(request)
        agent.answer(request)
        pid = int(self.read().split()[0])
        self.assertTrue(eventually(lambda: not alive(pid)))
        # The second one has not begun.
        self.assertEqual(len(self.read().split()), 1)
        self.assertEqual(agent.call(HALF, 8), 4)

    def test_cancel_ends_a_call_that_waits_for_items(self):
        agent = self.agent()
        for fed in (), (2,):
            request = agent.map(HALF)
            agent.feed(request, *fed)
            self.assertTrue(eventually(lambda r=request, fed=fed: len(agent.values(r)) == len(fed)))
            agent.cancel(request)
            agent.answer(request)
        self.assertEqual(agent.call(HALF, 8), 4)

    def test_child_that_comes_back_from_the_function_ends(self):
        agent = self.agent()
        request = agent.map(FORK)
        agent.feed(request, 1, 2)
        agent.finish(request)
        self.assertIsNone(agent.result(request))
        self.assertEqual(agent.values(request), [0, 0])

    @unittest.skipUnless(ASYNC, 'there are no asynchronous functions')
    def test_coroutine_function_is_awaited_for_each_item(self):
        agent = self.agent()
        request = agent.map(function(LATER), by=3)
        agent.feed(request, 1, 0, 2)
        agent.finish(request)
        self.assertIsNone(agent.result(request))
        self.assertEqual(agent.values(request), [3, ('raised', 'none'), 6])

    @unittest.skipUnless(ASYNC, 'there are no asynchronous functions')
    def test_cancel_ends_what_awaits(self):
        agent = self.agent()
        request = agent.map(function('import asyncio\nasync def f(n):\n    await asyncio.sleep(n)\n    return n\n'))
        agent.feed(request, 0, 600)
        self.assertTrue(eventually(lambda: agent.values(request) == [0]))
        agent.cancel(request)
        agent.answer(request)
        self.assertEqual(agent.call(HALF, 8), 4)



if __name__ == '__main__':
    unittest.main()
