"""Cancelled calls: how they end, what ends with them, and what does not."""
import os
import time
import unittest

from harness import OLD, Case, alive, eventually, function, marked, text

STUBBORN = '''
import os, signal, subprocess, sys, time
def f(mark):
    # A child that ignores TERM, and one that also leaves the session.
    for before in None, os.setsid:
        subprocess.Popen(['sh', '-c', 'trap "" TERM; while :; do sleep .1; done', mark], preexec_fn=before)
    subprocess.call(['sh', '-c', 'sleep 600; :', mark])
'''


@unittest.skipUnless(os.path.isdir('/proc/self'), 'processes are looked for in /proc')
class Cancel(Case):
    counter = 0

    def mark(self):
        Cancel.counter += 1
        return 'cancel-canary-%d-%d' % (os.getpid(), Cancel.counter)

    def cancelled(self, agent, request):
        failure = agent.failure(request)
        self.assertEqual((failure['kind'], failure['type']), ('cancelled', 'KeyboardInterrupt'), failure)

    def usable(self, agent):
        self.assertEqual(agent.call('operator:neg', 1), -1)
        # A cancelled call that took its time is answered while the main thread is still to leave it.
        self.assertTrue(eventually(lambda: agent.call(function(
            'import threading\ndef f(): return type(threading.current_thread()).__name__ == "_MainThread"'))))

    def test_sleeping_call_ends_at_once(self):
        agent = self.agent()
        request = agent.call_later('time:sleep', 600)
        agent.cancel(request)
        self.cancelled(agent, request)
        self.usable(agent)

    def test_busy_loop_ends(self):
        agent = self.agent()
        request = agent.call_later(function('def f():\n  while 1: pass'))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.usable(agent)

    def test_busy_loop_on_a_thread_ends(self):
        agent = self.agent()
        blocker = agent.call_later('time:sleep', 600)
        request = agent.call_later(function('def f():\n  while 1: pass'))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertNotIn(blocker, agent.answers)
        agent.cancel(blocker)
        self.cancelled(agent, blocker)
        self.usable(agent)

    def test_call_cancelled_in_the_same_breath_ends(self):
        for others in 0, 1:
            agent = self.agent()
            if others:
                agent.call_later('time:sleep', 600)
                self.assertEqual(agent.call('operator:neg', 1), -1)
            requests = []
            for n in range(10):
                requests.append(agent.call_later(function('def f():\n  while 1: pass')))
                agent.cancel(requests[-1])
            for request in requests:
                self.cancelled(agent, request)
            self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_children_end_with_the_call_whatever_they_ignore(self):
        agent, mark = self.agent(), self.mark()
        request = agent.call_later(function(STUBBORN), mark)
        self.assertTrue(eventually(lambda: len(marked(mark)) == 3))
        agent.cancel(request)
        agent.answer(request)
        self.assertTrue(eventually(lambda: not marked(mark)), marked(mark))
        self.usable(agent)

    def test_children_of_a_call_on_a_thread_end_with_it(self):
        agent, mark, other = self.agent(), self.mark(), self.mark()
        body = 'import subprocess\ndef f(mark): return subprocess.call(["sh", "-c", "sleep 600; :", mark])'
        first = agent.call_later(function(body), other)
        self.assertTrue(eventually(lambda: marked(other)))
        request = agent.call_later(function(body), mark)
        self.assertTrue(eventually(lambda: marked(mark)))
        agent.cancel(request)
        self.assertTrue(eventually(lambda: not marked(mark)))
        agent.answer(request)
        # The other call is not touched, although its child is as young.
        self.assertTrue(marked(other))
        self.assertNotIn(first, agent.answers)
        agent.cancel(first)
        agent.answer(first)
        self.assertTrue(eventually(lambda: not marked(other)))

    def test_cancel_of_the_older_call_spares_the_younger_ones_children(self):
        agent, old, young = self.agent(), self.mark(), self.mark()
        body = 'import subprocess\ndef f(mark): return subprocess.call(["sh", "-c", "sleep 600; :", mark])'
        first = agent.call_later(function(body), old)
        self.assertTrue(eventually(lambda: marked(old)))
        second = agent.call_later(function(body), young)
        self.assertTrue(eventually(lambda: marked(young)))
        agent.cancel(first)
        agent.answer(first)
        self.assertTrue(eventually(lambda: not marked(old)))
        self.assertTrue(marked(young))
        self.assertNotIn(second, agent.answers)

    def test_children_of_earlier_calls_are_spared(self):
        agent, mark = self.agent(), self.mark()
        agent.call(function('import subprocess, time\ndef f(mark):\n'
                            '  subprocess.Popen(["sh", "-c", "sleep 600; :", mark]); time.sleep(.1)'), mark)
        request = agent.call_later('time:sleep', 600)
        agent.cancel(request)
        self.cancelled(agent, request)
        # The thread that ends the call has ended.
        self.assertTrue(eventually(lambda: len(os.listdir('/proc/%d/task' % agent.process.pid)) == 2))
        self.assertTrue(marked(mark))

    def test_call_after_a_cancelled_one_is_not_struck(self):
        agent = self.agent()
        for n in range(30):
            request = agent.call_later('time:sleep', n % 5 * .001)
            agent.cancel(request)
            follower = agent.call_later(function('import time\ndef f(n): time.sleep(.002); return n'), n)
            agent.answer(request)
            self.assertEqual(agent.result(follower), n)
        self.usable(agent)

    def test_call_after_a_cancelled_one_runs_on_the_main_thread(self):
        agent = self.agent()
        for n in range(20):
            request = agent.call_later('time:sleep', 600)
            time.sleep(n % 5 * .003)
            agent.cancel(request)
            self.usable(agent)
            agent.answer(request)

    def test_calls_in_sequence_that_are_all_cancelled_end_all(self):
        agent = self.agent()
        self.usable(agent)
        requests = []
        for n in range(60):
            requests.append(agent.call_later(function('import time\ndef f():\n  while 1: time.sleep(.01)')))
            time.sleep(n % 13 * .001)
            agent.cancel(requests[-1])
        for request in requests:
            agent.answer(request)
        self.usable(agent)

    def test_calls_in_sequence_that_sleep_and_are_all_cancelled_end_or_stay_on_threads_of_their_own(self):
        agent = self.agent()
        self.usable(agent)
        requests = []
        for n in range(60):
            requests.append(agent.call_later('time:sleep', 600))
            time.sleep(n % 13 * .001)
            agent.cancel(requests[-1])
        running = function('import sys\ndef f(): return list(sys._getframe(1).f_globals["calls"])')

        def settled():
            left = set(agent.call(running)) - set([agent.request])
            return set(requests) - set(agent.answers) == left and not (OLD and left)
        self.assertTrue(eventually(settled), (requests, sorted(agent.answers)))
        self.usable(agent)
        self.assertEqual(agent.close(), 0)
        self.assertEqual(agent.errors, [])

    def test_call_on_a_thread_that_no_signal_reaches_is_given_up_alone(self):
        # Most Pythons repeat a system call that a signal has ended, and none stops to wait for a lock on a thread.
        agent, path = self.agent(), os.path.join(self.folder(), 'fifo')
        os.mkfifo(path)
        blocker = agent.call_later('time:sleep', 600)
        body = ('import os, sys, threading\nlock = threading.Lock()\nlock.acquire()\n'
                'def opens(path):\n  os.open(path, os.O_RDONLY)\n  os.write(2, b"on\\n")\n'
                'def locked(_):\n  lock.acquire()\n  os.write(2, b"on\\n")\n'
                'def free():\n  if lock.locked(): lock.release()\n'
                'def blocked(): return [1 for f in sys._current_frames().values() if f.f_lineno in (5, 8)]')
        names = ['opens', 'locked', 'opens', 'locked']
        requests = [agent.call_later(function(body, name), text(path)) for name in names]
        self.assertTrue(eventually(lambda: len(agent.call(function(body, 'blocked'))) == 4))
        for request in requests:
            agent.cancel(request)
        # As soon as they are given up, and while they are interrupted every now and then.
        for n in range(8):
            self.assertEqual(agent.call('operator:neg', n), -n)
            time.sleep(.1)
        self.assertNotIn(blocker, agent.answers)
        both = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, both)

        def all_answered():
            agent.call(function(body, 'free'))
            return set(requests) <= set(agent.answers)
        self.assertTrue(eventually(all_answered))
        for request in requests:
            self.cancelled(agent, request)
        self.assertNotIn(b'on\n', agent.errors)
        agent.cancel(blocker)
        self.cancelled(agent, blocker)
        self.usable(agent)

    def test_what_a_call_starts_after_it_was_given_up_is_ended(self):
        agent, mark, other = self.agent(), self.mark(), self.mark()
        body = ('import os, subprocess, time\n'
                'def stubborn(mark):\n'
                '  while 1:\n'
                '    try:\n'
                '      os.write(2, b"in\\n")\n'
                '      while 1: time.sleep(.05)\n'
                '    except KeyboardInterrupt: pass\n'
                '    try:\n'
                '      p = subprocess.Popen(["sh", "-c", "sleep 600; :", mark])\n'
                '      os.write(2, ("%d\\n" % p.pid).encode())\n'
                '    except KeyboardInterrupt: pass\n'
                'def innocent(mark): subprocess.Popen(["sh", "-c", "sleep 600; :", mark])')
        first = agent.call_later('time:sleep', 600)
        agent.cancel(first)
        self.cancelled(agent, first)
        # It comes to the time in which one that was given up is interrupted less often.
        agent.call(function('import sys\ndef f(): sys._getframe(1).f_globals["OFTEN"] = 3'))
        blocker = agent.call_later('time:sleep', 600)
        request = agent.call_later(function(body, 'stubborn'), mark)
        self.assertTrue(eventually(lambda: b'in\n' in agent.errors))
        agent.cancel(request)
        agent.call(function(body, 'innocent'), other)
        # It goes on to start them, and they go on to be ended.
        # The shell may say that something was terminated.
        for n in 2, 4, 6:
            self.assertTrue(eventually(
                lambda: len([line for line in agent.errors if line.strip().isdigit()]) >= n), agent.errors)
            pids = [int(line) for line in agent.errors if line.strip().isdigit()]
            self.assertTrue(eventually(lambda: not [pid for pid in pids[:n] if alive(pid)]))
        self.assertEqual(len(marked(other)), 1)
        self.assertNotIn(request, agent.answers)
        self.assertNotIn(blocker, agent.answers)

    def test_children_of_a_thread_that_ends_at_once_end_with_it(self):
        # They are the main thread's then, which runs another call.
        agent, mark, other = self.agent(), self.mark(), self.mark()
        first = agent.call_later(function(
            'import subprocess\ndef f(mark): return subprocess.call(["sh", "-c", "sleep 600; :", mark])'), other)
        self.assertTrue(eventually(lambda: marked(other)))
        body = ('import subprocess, time\ndef f(mark):\n'
                '  subprocess.Popen(["sh", "-c", "sleep 600; :", mark])\n  while 1: time.sleep(.001)')
        for _ in range(3):
            request = agent.call_later(function(body), mark)
            self.assertTrue(eventually(lambda: marked(mark)))
            agent.cancel(request)
            self.cancelled(agent, request)
            self.assertTrue(eventually(lambda: not marked(mark)), marked(mark))
        self.assertTrue(marked(other))
        self.assertNotIn(first, agent.answers)

    def test_children_end_although_the_next_call_runs_on_the_same_thread(self):
        agent, mark = self.agent(), self.mark()
        for _ in range(3):
            request = agent.call_later(function(
                'import subprocess, time\ndef f(mark):\n'
                '  subprocess.Popen(["sh", "-c", "trap : TERM; while :; do sleep .1; done", mark])\n'
                '  while 1: time.sleep(.001)'), mark)
            self.assertTrue(eventually(lambda: marked(mark)))
            agent.cancel(request)
            # Not in one system call: where the first takes long to end, it gets a thread, on which that could not end.
            follower = agent.call_later(function('import time\ndef f():\n  while 1: time.sleep(.01)'))
            self.cancelled(agent, request)
            self.assertTrue(eventually(lambda: not marked(mark)), marked(mark))
            agent.cancel(follower)
            self.cancelled(agent, follower)

    def test_repeated_cancels_are_one(self):
        agent = self.agent()
        request = agent.call_later('time:sleep', 600)
        for _ in range(20):
            agent.cancel(request)
        self.cancelled(agent, request)
        for _ in range(20):
            agent.cancel(request)
        self.usable(agent)
        self.assertNotIn(request, agent.answers)

    def test_function_that_swallows_an_interrupt_is_interrupted_again(self):
        agent = self.agent()
        request = agent.call_later(function(
            'import time\ndef f():\n  try: time.sleep(600)\n  except KeyboardInterrupt: pass\n  time.sleep(600)'))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.usable(agent)

    def test_result_of_a_function_that_ends_by_itself_is_given(self):
        agent = self.agent()
        request = agent.call_later(function(
            'import time\ndef f():\n  try: time.sleep(600)\n  except KeyboardInterrupt: return 5'))
        agent.cancel(request)
        agent.answer(request)
        self.usable(agent)

    def test_clean_up_runs(self):
        agent = self.agent()
        body = ('import os, time\nseen = []\ndef f():\n  try:\n    os.write(2, b"in\\n"); time.sleep(600)\n'
                '  finally: seen.append(1)\ndef g(): return len(seen)')
        request = agent.call_later(function(body))
        self.assertTrue(eventually(lambda: agent.errors))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertEqual(agent.call(function(body, 'g')), 1)

    def test_call_that_waits_for_a_module_ends_when_it_came(self):
        agent = self.agent({'late': b'import time\ntime.sleep(600)\ndef f(): pass'}, slow=.2)
        request = agent.call_later('late:f')
        self.assertTrue(eventually(lambda: 'late' in agent.asked))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.usable(agent)

    def test_imports_that_were_interrupted_can_be_made_again(self):
        agent = self.agent({'slow': b'import os, time\nif os.environ.get("SLOW") is None: os.environ["SLOW"] = "1"; '
                                    b'os.write(2, b"in\\n"); time.sleep(600)\ndef f(): return 3'})
        request = agent.call_later('slow:f')
        self.assertTrue(eventually(lambda: agent.errors))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertEqual(agent.call('slow:f'), 3)

    def test_import_that_others_wait_for_outlives_a_cancel(self):
        source = b'import os, time\nos.write(2, b"%d\\n"); time.sleep(.15)\ndef f(): return 1'
        source = dict(('slow.m%d' % n, source.replace(b'%d', str(n).encode())) for n in range(6))
        agent = self.agent(dict(source, slow=b''))
        self.usable(agent)
        for n in range(6):
            requests = [agent.call_later('slow.m%d:f' % n) for _ in range(8)]
            agent.wait(lambda: ('%d\n' % n).encode() in agent.errors)
            for request in requests[::2]:
                agent.cancel(request)
            for request in requests[1::2]:
                self.assertEqual(agent.result(request), 1)
            for request in requests[::2]:
                agent.answer(request)
        self.assertFalse([line for line in agent.errors if b'Exception' in line], agent.errors)

    def test_interrupts_by_others_do_not_strike(self):
        agent = self.agent()
        self.usable(agent)
        os.kill(agent.process.pid, 2)
        request = agent.call_later(function(
            'import os, time\ndef f():\n  os.kill(os.getpid(), 2); time.sleep(.1); return 1'))
        self.assertEqual(agent.result(request), 1)
        self.assertTrue(alive(agent.process.pid))
        self.assertEqual(agent.errors, [])
