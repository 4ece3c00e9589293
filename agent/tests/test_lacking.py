"""Interpreters that lack what CPython has: here they are made to, so that the tests need no such build."""
import os
import struct
import sys
import unittest

from harness import FAIL, OLD, PYPY, REPLY, Case, eventually, function, marked
from streaming import CREDIT, DATA, END, StreamCase, content

WITHOUT_CTYPES = '''
import sys
class Blocker(object):
    def find_spec(self, name, *_):
        if name.partition('.')[0] in ('ctypes', '_ctypes'):
            raise ImportError(name)
    find_module = find_spec if sys.version_info < (3,) else None
def f():
    sys.meta_path.insert(0, Blocker())
    for name in list(sys.modules):
        if name.partition('.')[0] in ('ctypes', '_ctypes'):
            del sys.modules[name]
    try:
        import ctypes
    except ImportError:
        return True
'''
CALLS = '''
import os, subprocess, time
over = []
def spins():
    os.write(2, b"in\\n")
    while not over: time.sleep(.01)
    return 3
def end(): over.append(1)
def waits(mark): return subprocess.call(["sh", "-c", "sleep 600; :", mark])
'''


class WithoutCtypes(Case):
    def lacking(self):
        agent = self.agent()
        self.assertTrue(agent.call(function(WITHOUT_CTYPES)))
        return agent

    def cancelled(self, agent, request):
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')

    def test_call_on_the_main_thread_ends(self):
        agent = self.lacking()
        for _ in range(2):
            request = agent.call_later('time:sleep', 600)
            agent.cancel(request)
            self.cancelled(agent, request)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.errors, [])

    @unittest.skipIf(PYPY, 'it has a function of its own in place of ctypes')
    def test_call_on_a_thread_is_given_up_alone_and_what_it_started_ends(self):
        agent, mark = self.lacking(), 'lacking-canary-%d' % os.getpid()
        blocker = agent.call_later('time:sleep', 600)
        spins = agent.call_later(function(CALLS, 'spins'))
        self.assertTrue(eventually(lambda: agent.errors == [b'in\n']), agent.errors)
        waits = agent.call_later(function(CALLS, 'waits'), mark)
        self.assertTrue(eventually(lambda: marked(mark)))
        agent.cancel(spins)
        agent.cancel(waits)
        # Its program ends, and with that the function.
        self.assertTrue(eventually(lambda: not marked(mark)))
        agent.answer(waits)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertNotIn(spins, agent.answers)
        self.assertNotIn(blocker, agent.answers)
        agent.call(function(CALLS, 'end'))
        agent.answer(spins)
        agent.cancel(blocker)
        self.cancelled(agent, blocker)
        # A shell that outlives its program by a moment says how that ended.
        self.assertEqual([line for line in agent.errors if line != b'Terminated\n'], [b'in\n'])
        self.assertEqual(agent.close(), 0)

    @unittest.skipIf(sys.version_info < (3, 5), 'there are no coroutine functions')
    def test_coroutine_that_waits_ends(self):
        agent = self.lacking()
        request = agent.call_later(function(
            'import asyncio, os\nasync def f():\n  os.write(2, b"in\\n")\n  await asyncio.sleep(600)'))
        self.assertTrue(eventually(lambda: agent.errors == [b'in\n']), agent.errors)
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.errors, [b'in\n'])


@unittest.skipIf(OLD, 'it has none of them')
class WithoutVectors(StreamCase):
    """Neither `readv` nor `writev` nor `sendfile`: PyPy before 7.3.20."""

    def lacking(self):
        agent = self.streaming()
        self.assertFalse(agent.call(function(
            'import os\nNAMES = "readv", "writev", "sendfile"\ndef f():\n'
            '  for name in NAMES: vars(os).pop(name, 0)\n'
            '  return [name for name in NAMES if hasattr(os, name)]')))
        return agent

    def test_long_messages_go_both_ways(self):
        agent = self.lacking()
        for size in 1 << 12, 1 << 17, (1 << 17) + 1, 1 << 21:
            self.assertEqual(agent.call('copy:copy', b'x' * size), b'x' * size)

    def test_files_go_both_ways(self):
        agent, block = self.lacking(), os.urandom(1 << 17)
        request = agent.put(self.path)
        data = content(*[block] * 8)
        for at in range(0, len(data), 1 << 17):
            agent.send(request, DATA, 0, data[at:at + (1 << 17)])
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.answer(request)[0], REPLY)
        self.assertEqual(self.read(), block * 8)
        request = agent.fetch(self.path)
        agent.send(request, CREDIT, 0, struct.pack('>L', 1 << 30))
        operation, _, payload = agent.answer(request)
        self.assertNotEqual(operation, FAIL, payload)
        self.assertTrue(eventually(lambda: agent.of(request, END)))
        self.assertEqual(agent.of(request, END), [b''])
        self.assertGreater(len(b''.join(agent.of(request, DATA))), 8 << 17)
