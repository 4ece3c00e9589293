"""Calls that overlap, and those that do not."""
import marshal

from harness import CALL, HEADER, MARSHAL, MODULES, OLD, Case, eventually, function, text

NOW = '''
import sys, threading, time
def f(n=0):
    time.sleep(n)
    main = [t for t in threading.enumerate() if type(t).__name__ == '_MainThread']
    return [threading.current_thread() is main[0], threading.current_thread().name, len(main)]
'''


class Sequence(Case):
    def test_calls_in_sequence_run_on_the_main_thread(self):
        agent = self.agent()
        for n in 0, 0, .05, 0, .05, .05:
            self.assertEqual(agent.call(function(NOW), n), [True, 'MainThread', 1])

    def test_signal_handlers_can_be_set(self):
        agent = self.agent()
        body = 'import signal\ndef f(): signal.signal(signal.SIGUSR1, signal.SIG_IGN); return 1'
        self.assertEqual(agent.call(function(body)), 1)
        self.assertEqual(agent.call('time:sleep', .05), None)
        self.assertEqual(agent.call(function(body)), 1)

    def test_connection_made_in_one_call_is_usable_in_the_next(self):
        agent = self.agent()
        body = ('import sqlite3, time\nstore = []\n'
                'def begin(n):\n  time.sleep(n); store.append(sqlite3.connect(":memory:"))\n'
                'def use(n):\n  time.sleep(n); return store[0].execute("select 42").fetchone()[0]')
        agent.call(function(body, 'begin'), .05)
        for n in 0, .05, 0:
            self.assertEqual(agent.call(function(body, 'use'), n), 42)

    def test_event_loop_and_alarm_work(self):
        if OLD:
            return
        agent = self.agent()
        body = ('import asyncio, time\nasync def g():\n  await asyncio.sleep(.02); return 5\n'
                'def f(): return asyncio.new_event_loop().run_until_complete(g())')
        for _ in range(2):
            self.assertEqual(agent.call(function(body)), 5)


class Overlap(Case):
    def test_blocked_call_blocks_nobody(self):
        agent = self.agent()
        blocked = agent.call_later('time:sleep', 600)
        for n in range(50):
            self.assertEqual(agent.call('operator:neg', n), -n)
        self.assertNotIn(blocked, agent.answers)

    def test_busy_loop_blocks_nobody(self):
        agent = self.agent()
        agent.call_later(function('def f():\n  while 1: pass'))
        for n in range(5):
            self.assertEqual(agent.call('operator:neg', n), -n)

    def test_overlapping_calls_have_threads_and_only_one_is_main(self):
        agent = self.agent()
        got = [agent.result(r) for r in [agent.call_later(function(NOW), .2) for _ in range(5)]]
        self.assertEqual(sorted(name == 'MainThread' for _, name, _ in got), [False] * 4 + [True])
        self.assertEqual([is_main == (name == 'MainThread') for is_main, name, _ in got], [True] * 5)
        self.assertEqual(set(count for _, _, count in got), set([1]))
        self.assertEqual(agent.call(function(NOW)), [True, 'MainThread', 1])

    def test_main_thread_is_known_to_whoever_imports_threading_first(self):
        agent = self.agent()
        first = agent.call_later('time:sleep', .3)
        self.assertEqual(agent.call(function(NOW))[0], False)
        agent.result(first)
        self.assertEqual(agent.call(function(NOW)), [True, 'MainThread', 1])
        if not OLD:
            self.assertEqual(agent.call(function(
                'import threading\ndef f(): return threading.main_thread() is threading.current_thread()')), True)

    def test_many_calls_at_once(self):
        agent = self.agent()
        requests = [agent.call_later(function('import time\ndef f(n): time.sleep(.1); return n'), n)
                    for n in range(100)]
        self.assertEqual([agent.result(r) for r in requests], list(range(100)))
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_quick_and_slow_calls_in_any_order(self):
        agent = self.agent()
        body = 'import time\ndef f(n):\n  time.sleep(n % 7 * .003); return n'
        requests = [agent.call_later(function(body), n) for n in range(300)]
        self.assertEqual([agent.result(r) for r in requests], list(range(300)))

    def test_helper_reads_after_an_import_that_took_long(self):
        # The main thread reads while it waits for a module; the helper had gone to sleep meanwhile and was not woken.
        code = {'late': b'import os, time\ndef f(n): os.write(2, b"in\\n"); time.sleep(n)'}
        agent = self.agent(code, slow=.1)
        request = agent.call_later('late:f', 600)
        self.assertTrue(eventually(lambda: agent.errors))
        self.assertEqual(agent.call('operator:neg', 1), -1)
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')

    def test_call_that_overlaps_an_import_deadlocks_nobody(self):
        # On 2.7 all imports share a lock: the helper must not need it while the main thread holds it and waits for the
        # helper to read the answer.
        code = {'first': b'import os, time\nos.write(2, b"in\\n")\n'
                         b'time.sleep(.2)\nimport second\ndef f(): return second.N',
                'second': b'import time\ntime.sleep(.2)\nN = 5'}
        agent = self.agent(code, slow=.1)
        first = agent.call_later('first:f')
        self.assertTrue(eventually(lambda: agent.errors))
        others = [agent.call_later('operator:neg', n) for n in range(3)]
        self.assertEqual(agent.result(first), 5)
        self.assertEqual([agent.result(r) for r in others], [0, -1, -2])

    def test_calls_at_once_wait_for_their_module(self):
        # While the main thread imports it, others neither take it for complete, nor keep its parts from coming.
        code = {'shop': b'', 'shop.ops': b'import time\nfrom shop.stock import LEFT\nfrom . import helpers\n'
                b'def nap(n):\n  time.sleep(.01); return n\n', 'shop.stock': b'LEFT = 10\n', 'shop.helpers': b''}
        for _ in range(5):
            agent = self.agent(code, slow=.02)
            agent.send(0, MODULES, MARSHAL, marshal.dumps([agent.entry(name) for name in ('shop', 'shop.ops')], 2))
            calls = [(2 * n, marshal.dumps((text('shop.ops:nap'), (n,), None), 2)) for n in range(1, 51)]
            agent.write(b''.join(HEADER.pack(len(call), request, CALL, MARSHAL) + call for request, call in calls))
            self.assertEqual([agent.result(request) for request, _ in calls], list(range(1, 51)))

    def test_parts_of_the_agent_are_asked_for_once(self):
        # An agent may have but so many requests open.
        agent = self.agent()
        body = 'import time\ndef f(): time.sleep(.3); raise ValueError(1)'
        requests = [agent.call_later(function(body)) for _ in range(80)]
        self.assertEqual(set(agent.failure(r)['type'] for r in requests), set(['ValueError']))
        self.assertEqual(sorted(agent.asked), ['.callables', '.failure'])

    def test_call_for_which_there_is_no_thread_fails_alone(self):
        agent = self.agent()
        self.assertEqual(agent.call('operator:neg', 1), -1)
        body = ('import os, resource, time\ndef f(n):\n'
                '  resource.setrlimit(resource.RLIMIT_AS, (n, resource.RLIM_INFINITY))\n'
                '  os.write(2, b"in\\n"); time.sleep(1)')
        with open('/proc/%d/statm' % agent.process.pid) as f:
            used = int(f.read().split()[0]) * 4096
        request = agent.call_later(function(body), used + (6 << 20))
        self.assertTrue(eventually(lambda: agent.errors))
        others = [agent.call_later('operator:neg', n) for n in range(3)]
        self.assertEqual(agent.result(request), None)
        for other in others:
            agent.answer(other)
        agent.call(function(body), -1)
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_imports_in_threads_at_once(self):
        code = dict(('m%d' % n, b'import time\nimport common\ntime.sleep(.01)\ndef f(): return common.N')
                    for n in range(8))
        code['common'] = b'import time\ntime.sleep(.05)\nN = 7'
        agent = self.agent(code, slow=.01)
        requests = [agent.call_later('m%d:f' % (n % 8)) for n in range(24)]
        self.assertEqual([agent.result(r) for r in requests], [7] * 24)

    def test_controller_that_reads_late_gets_everything(self):
        agent = self.agent()
        body = 'def f(n): return u"x" * (4 << 20)'
        requests = [agent.call_later(function(body), n) for n in range(8)]
        self.assertEqual([len(agent.result(r)) for r in requests], [4 << 20] * 8)

    def test_threads_of_calls_come_to_an_end(self):
        agent = self.agent()
        for r in [agent.call_later('time:sleep', .05) for _ in range(10)]:
            agent.result(r)
        names = function('import threading\ndef f(): return [t.name for t in threading.enumerate()]')
        self.assertTrue(eventually(lambda: not [n for n in agent.call(names) if n.startswith('chopsticks')]))

    def test_threads_started_by_a_call_live_on(self):
        agent = self.agent()
        body = ('import threading, time\nseen = []\n'
                'def go():\n  while 1:\n    time.sleep(.01); seen.append(1)\n'
                'def f():\n  t = threading.Thread(target=go); t.daemon = True; t.start()\n'
                'def g(): return len(seen)')
        agent.call(function(body))
        self.assertTrue(eventually(lambda: agent.call(function(body, 'g')) > 2))
