"""The end of an agent: with it goes everything that its calls have started."""
import os
import signal
import subprocess
import sys
import tempfile
import unittest

from harness import OLD, PYPY, Case, alive, eventually, function, marked, program

# Started by a function in any way that comes to mind; `{mark}` is in the arguments of what is executed.
ESCAPES = {
    'child': 'subprocess.Popen(LOOP)',
    'session': 'subprocess.Popen(LOOP, preexec_fn=os.setsid)',
    'deaf': 'subprocess.Popen(["sh", "-c", "trap \'\' TERM HUP INT; while :; do sleep .1; done", mark])',
    'deaf_session': 'subprocess.Popen(["sh", "-c", "trap \'\' TERM HUP INT; while :; do sleep .1; done", mark], '
                    'preexec_fn=os.setsid)',
    'orphan': 'subprocess.call(["sh", "-c", "sh -c \'while :; do sleep .1; done\' %s & exit 0" % mark])',
    'daemon': 'subprocess.call(["sh", "-c", "setsid sh -c \'while :; do sleep .1; done\' %s & exit 0" % mark])',
    'bare': 'subprocess.Popen(LOOP, env={}, preexec_fn=os.setsid)',
}
# Without a program of their own: they tell their numbers through a file.
FORKS = {
    'fork': 'fork(idle)',
    'fork_session': 'fork(lambda: (os.setsid(), idle()))',
    'fork_twice': 'fork(lambda: (fork(idle), os._exit(0)))',
    'fork_daemon': 'fork(lambda: (os.setsid(), fork(idle), os._exit(0)))',
    'fork_deaf': 'fork(lambda: (signal.signal(signal.SIGTERM, signal.SIG_IGN), os.setsid(), idle()))',
}
SOURCE = '''
import os, signal, subprocess, sys, time
def fork(then):
    if not os.fork():
        try: then()
        finally: os._exit(1)
def f(mark, how, file, stay):
    LOOP = ["sh", "-c", "while :; do sleep .1; done", mark]
    def idle():
        with open(file, "a") as out: out.write("%d " % os.getpid())
        while 1: time.sleep(.1)
    globals().update(locals())
    eval(how, globals())
    time.sleep(stay)
'''


@unittest.skipUnless(os.path.isdir('/proc/self'), 'processes are looked for in /proc')
class End(Case):
    def leftovers(self, how, stay, forked=False, end=None, agent=None):
        """Has a call do `how`, ends the agent, and waits until nothing of it is there."""
        file = tempfile.NamedTemporaryFile()
        self.addCleanup(file.close)
        mark = 'end-canary-%d-%d' % (os.getpid(), id(file))

        def begun():
            if not forked:
                return marked(mark)
            with open(file.name) as f:
                return [pid for pid in map(int, f.read().split()) if alive(pid)]

        agent = agent or self.agent()
        request = agent.call_later(function(SOURCE), mark, how, file.name, stay)
        self.assertTrue(eventually(begun), (how, agent.answers, agent.errors))
        if not stay:
            agent.answer(request)
        (end or (lambda agent: agent.end_input()))(agent)
        gone = eventually(lambda: not begun() and agent.process.poll() is not None)
        left = begun()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.assertTrue(gone, '%s, stay %s: %s left, agent %s' % (how, stay, left, agent.process.poll()))
        self.assertTrue(eventually(lambda: agent.eof))

    def test_whatever_programs_were_started_end(self):
        for name in sorted(ESCAPES):
            for stay in 0, 600:
                self.leftovers(ESCAPES[name], stay)

    def test_whatever_forked_ends(self):
        for name in sorted(FORKS):
            for stay in 0, 600:
                self.leftovers(FORKS[name], stay, forked=True)

    def test_all_at_once_end(self):
        self.leftovers('[eval(h) for h in %r]' % sorted(ESCAPES[n] for n in ESCAPES), 600)

    def test_term_ends_all_of_it(self):
        # On 2.7 a main thread that waits for a lock takes no signal.
        for stay in (600,) if OLD else (0, 600):
            self.leftovers(ESCAPES['session'], stay, end=lambda agent: agent.process.terminate())

    def test_call_whose_child_the_end_takes_does_not_tell_of_it(self):
        # While the import lock is held there is no fork, so the agent itself ends what it started.
        body = ('import subprocess\ntry:\n  import _imp as imp\nexcept ImportError:\n  import imp\n'
                'def f(mark):\n  process = subprocess.Popen(["sh", "-c", "sleep 600; :", mark])\n'
                '  imp.acquire_lock()\n  return process.wait()')
        for n in range(5):
            mark = 'end-canary-lock-%d-%d' % (os.getpid(), n)
            agent = self.agent()
            request = agent.call_later(function(body), mark)
            self.assertTrue(eventually(lambda: marked(mark)))
            if not OLD and not PYPY:
                # Once another call has overlapped it, it waits for its child. There that waits for the lock, too.
                self.assertEqual(agent.call('operator:neg', 1), -1)
            agent.end_input()
            self.assertTrue(eventually(lambda: agent.process.poll() is not None and agent.eof))
            self.assertTrue(eventually(lambda: not marked(mark)))
            self.assertNotIn(request, agent.answers)

    def test_busy_loop_that_forks_all_the_time_ends(self):
        mark = 'end-canary-storm-%d' % os.getpid()
        agent = self.agent()
        agent.call_later(function('import subprocess\ndef f(mark):\n  while 1:\n'
                                  '    subprocess.Popen(["sh", "-c", "sleep 600; :", mark])'), mark)
        self.assertTrue(eventually(lambda: len(marked(mark)) > 20))
        agent.end_input()
        self.assertTrue(eventually(lambda: agent.process.poll() is not None))
        self.assertTrue(eventually(lambda: not marked(mark)))

    def test_busy_loop_on_the_main_thread_ends(self):
        agent = self.agent()
        agent.call_later(function(
            'def f():\n  while 1:\n    try:\n      while 1: pass\n    except BaseException: pass'))
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.close(), 0)

    def test_multiprocessing_children_end(self):
        body = ('import multiprocessing, os, time\n'
                'def work(file):\n'
                '  with open(file, "a") as out: out.write("%d " % os.getpid())\n'
                '  time.sleep(600)\n'
                'def f(file):\n'
                '  m = multiprocessing\n'
                '  m = m.get_context("fork") if hasattr(m, "get_context") else m\n'
                '  p = m.Process(target=work, args=(file,)); p.start()\n'
                '  if file.endswith("wait"): p.join()\n')
        for suffix in '', 'wait':
            file = tempfile.NamedTemporaryFile(suffix=suffix)
            agent = self.agent()
            agent.call_later(function(body), file.name)

            def begun():
                with open(file.name) as f:
                    return [pid for pid in map(int, f.read().split()) if alive(pid)]
            self.assertTrue(eventually(begun), agent.errors)
            agent.end_input()
            self.assertTrue(eventually(lambda: not begun() and agent.process.poll() is not None), suffix)
            file.close()

    def test_multiprocessing_works(self):
        agent = self.agent()
        body = ('import multiprocessing\ndef double(n): return n * 2\n'
                'def f():\n'
                '  m = multiprocessing\n'
                '  m = m.get_context("fork") if hasattr(m, "get_context") else m\n'
                '  pool = m.Pool(2)\n'
                '  try: return pool.map(double, range(5))\n'
                '  finally: pool.%s(); pool.join()')
        for end in 'close', 'terminate':
            self.assertEqual(agent.call(function(body % end)), [0, 2, 4, 6, 8])
        self.assertEqual(agent.call('operator:neg', 1), -1)

    @unittest.skipUnless(hasattr(os, 'register_at_fork'), 'there nothing can be done around a fork')
    def test_child_that_is_ended_while_it_is_forked_ends(self):
        # Its parent has a handler of the signal, and what that notes a fork throws away.
        agent = self.agent()
        body = ('import os, time\ndef f(n):\n  seen = set()\n  for _ in range(n):\n    pid = os.fork()\n'
                '    if not pid:\n      while 1: time.sleep(.01)\n'
                '    os.kill(pid, 15)\n    seen.add(os.waitpid(pid, 0)[1])\n  return seen')
        self.assertEqual(agent.call(function(body), 100), set([15]))
        mask = function('import signal\ndef f(): return [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])]')
        self.assertEqual(agent.call(mask), [])

    def test_child_that_returns_from_the_function_ends_quietly(self):
        agent = self.agent()
        body = ('import os\ndef f():\n  pid = os.fork()\n  if not pid: return "child"\n'
                '  return os.waitpid(pid, 0)[1]')
        self.assertEqual(agent.call(function(body)), 0)
        body = ('import os\ndef f():\n  pid = os.fork()\n  if not pid: raise ValueError("child")\n'
                '  return os.waitpid(pid, 0)[1] >> 8')
        self.assertEqual(agent.call(function(body)), 1)
        agent.call_later('time:sleep', 600)
        self.assertEqual(agent.call(function(body.replace('>> 8', '>> 9'))), 0)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.close(), 0)

    def test_idle_agent_ends_with_the_input(self):
        agent = self.agent()
        self.assertEqual(agent.close(), 0)
        agent = self.agent()
        agent.call('operator:neg', 1)
        self.assertEqual(agent.close(), 0)
        self.assertEqual(agent.errors, [])

    def test_exit_functions_run_when_idle(self):
        agent = self.agent()
        agent.call(function('import atexit, os\ndef f(): atexit.register(os.write, 2, b"bye\\n")'))
        agent.close()
        self.assertTrue(eventually(lambda: agent.errors == [b'bye\n']), agent.errors)

    def test_exit_functions_run_after_another_thread_was_the_first_to_import_threading(self):
        agent = self.agent()
        agent.call(function("""
import atexit, os, sys
if sys.version_info < (3,): from thread import allocate_lock, start_new_thread
else: from _thread import allocate_lock, start_new_thread
def f():
    assert "threading" not in sys.modules
    done = allocate_lock()
    done.acquire()
    def first():
        import threading
        done.release()
    start_new_thread(first, ())
    done.acquire()
    atexit.register(os.write, 2, b"bye\\n")
"""))
        agent.close()
        # Python 2.7 has something to say about it, as in any other program.
        self.assertTrue(eventually(lambda: agent.errors[-1:] == [b'bye\n']), agent.errors)

    def test_exit_function_that_never_returns_saves_no_child(self):
        self.leftovers('[subprocess.Popen(LOOP, preexec_fn=os.setsid), '
                       '__import__("atexit").register(time.sleep, 600)]', 0)

    def test_term_during_the_end_saves_no_child(self):
        def end(agent):
            agent.end_input()
            self.assertTrue(eventually(lambda: agent.errors == [b'exit\n']))
            agent.process.terminate()
        self.leftovers('[subprocess.Popen(LOOP, preexec_fn=os.setsid), __import__("atexit").register('
                       'lambda: [os.write(2, b"exit\\n"), time.sleep(1)])]', 0, end=end)

    def test_daemon_without_the_mark_stays(self):
        mark = 'end-canary-daemon-%d' % os.getpid()
        agent = self.agent()
        # Not a shell that loops: its children have its arguments until they run a program.
        agent.call(function('import subprocess, sys\ndef f(mark): subprocess.check_call(["env", "-u", '
                            '"CHOPSTICKS_AGENT", "setsid", "-f", "sh", "-c", "exec \\"$0\\" -c \\"import time; '
                            'time.sleep(600)\\" \\"$1\\" >/dev/null 2>&1", sys.executable, mark])'), mark)
        self.assertTrue(eventually(lambda: marked(mark)))
        agent.close()
        left = marked(mark)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(len(left), 1)

    def test_end_of_input_in_the_middle_of_a_frame(self):
        agent = self.agent()
        agent.call('operator:neg', 1)
        agent.write(b'\0\0\1')
        self.assertEqual(agent.close(), 0)

    def test_end_of_input_in_the_first_stage(self):
        first, packed = program()
        for size in 0, 1, 1000, len(packed) - 1:
            process = subprocess.Popen([sys.executable, '-s', '-S', '-c', first], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = process.communicate(packed[:size])
            self.assertEqual((out, process.returncode), (b'', 1))
            self.assertIn(b'rror', err)

    def test_controller_that_is_gone_ends_a_call_that_writes(self):
        agent = self.agent()
        agent.call_later(function('def f(): return u"x" * (64 << 20)'))
        agent.end_input()
        self.assertTrue(eventually(lambda: agent.process.poll() is not None))
