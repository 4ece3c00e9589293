"""User code that takes the interpreter apart: its own calls may fail, but no call hangs, and the agent ends."""
import os

from harness import OLD, Case, eventually, function


class Abuse(Case):
    def check(self, body, *wanted):
        """Runs `f` of a text; whatever comes of it, the agent answers or is gone, and ends in order."""
        agent = self.agent({'late': b'def f(): return 5\n'})
        request = agent.call_later(function(body))
        self.assertTrue(eventually(lambda: request in agent.answers or agent.eof), body)
        return agent

    def test_meta_path_is_replaced(self):
        agent = self.check('import sys\ndef f(): sys.meta_path[:] = []')
        # Without finders there are no imports; a builtin needs none.
        self.assertTrue(agent.fails('late:f')['kind'])
        self.assertEqual(agent.call(function('def f(): return 7')), 7)
        self.assertEqual(agent.close(), 0)

    def test_modules_are_cleared(self):
        agent = self.check('import sys\ndef f(): sys.modules.clear()')
        for name in 'os:getpid', 'late:f', 'nowhere:f':
            request = agent.call_later(name)
            self.assertTrue(eventually(lambda: request in agent.answers or agent.eof))
        agent.end_input()
        self.assertTrue(eventually(lambda: agent.process.poll() is not None))

    def test_own_attributes_are_replaced(self):
        for body in ('import sys\ndef f(): sys.stderr = sys.stdout = sys.stdin = None',
                     'import os\ndef f(): os.environ.clear()',
                     'import sys\ndef f(): sys.setrecursionlimit(60)',
                     'import signal\ndef f(): signal.signal(signal.SIGINT, signal.SIG_IGN); '
                     'signal.signal(signal.SIGTERM, signal.SIG_IGN)',
                     'import gc\ndef f(): gc.disable()'):
            agent = self.check(body)
            self.assertEqual(agent.call('operator:neg', 1), -1)
            agent.end_input()
            self.assertTrue(eventually(lambda: agent.process.poll() is not None), body)

    def test_folder_is_changed_and_removed(self):
        agent = self.check('import os, tempfile\ndef f():\n  d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)')
        self.assertEqual(agent.call('late:f'), 5)
        self.assertEqual(agent.close(), 0)

    def test_interpreter_is_left(self):
        agent = self.check('import os\ndef f(): os._exit(4)')
        self.assertTrue(agent.eof)
        self.assertEqual(agent.process.wait(), 4)

    def test_fork_of_a_fork_keeps_its_files(self):
        agent = self.agent()
        body = ('import os\ndef f():\n  there, here = os.pipe()\n  pid = os.fork()\n  if pid:\n'
                '    os.close(here); os.waitpid(pid, 0); return os.read(there, 99)\n'
                '  null = os.open(os.devnull, os.O_RDWR)\n  files = [os.dup(here) for _ in range(8)]\n'
                '  if not os.fork():\n    for fd in files: os.write(fd, b"x")\n    os._exit(0)\n'
                '  os.wait(); os._exit(0)')
        self.assertEqual(bytes(agent.call(function(body))), b'x' * 8)
        self.assertEqual(agent.errors, [])

    def test_fork_that_goes_on(self):
        agent = self.agent()
        body = 'import os, time\ndef f():\n  pid = os.fork()\n  if not pid: time.sleep(600)\n  return pid'
        pid = agent.call(function(body))
        self.assertEqual(agent.call('operator:neg', 1), -1)
        agent.end_input()
        self.assertTrue(eventually(lambda: agent.eof))
        self.assertTrue(eventually(lambda: not os.path.exists('/proc/%d' % pid) or not self.alive(pid)))

    def alive(self, pid):
        from harness import alive
        return alive(pid)

    def test_descriptors_are_closed(self):
        agent = self.check('import os\ndef f(): os.closerange(3, 100)')
        self.assertTrue(eventually(lambda: agent.eof))

    def test_trace_function_that_raises(self):
        agent = self.check('import sys\ndef f():\n  def t(*a): raise ValueError(1)\n  sys.settrace(t)\n  len("x")')
        request = agent.call_later('operator:neg', 1)
        self.assertTrue(eventually(lambda: request in agent.answers or agent.eof))

    def test_exception_that_fights_back(self):
        body = ('class E(Exception):\n'
                '  def __str__(self): raise E()\n  __repr__ = __str__\n'
                '  def __getattribute__(self, name): raise E()\n'
                'def f(): raise E()')
        agent = self.agent()
        self.assertTrue(agent.fails(function(body))['kind'])
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_values_that_lie(self):
        body = ('class T(dict):\n  def __len__(self): raise ValueError(1)\n  def __iter__(self): raise ValueError(2)\n'
                'class M(type):\n  def __getattr__(cls, name): raise ValueError(name)\n'
                'V = M("V", (object,), {})\n'
                'def f(): return T(a=1)\ndef g(): return V()')
        agent = self.agent()
        for name in 'f', 'g':
            agent.answer(agent.call_later(function(body, name)))
        self.assertEqual(agent.call('operator:neg', 1), -1)


class Crowd(Case):
    def test_calls_beyond_the_limit_wait_and_can_be_cancelled(self):
        agent = self.agent()
        body = ('import threading, time\nopen_ = threading.Event()\nseen = []\n'
                'def f():\n  seen.append(1)\n  while not open_.is_set(): time.sleep(.5)\n'
                'def n(): return len(seen)\n')
        requests = [agent.call_later(function(body)) for _ in range(300)]
        running = 257

        def threads():
            return len(os.listdir('/proc/%d/task' % agent.process.pid))
        self.assertTrue(eventually(lambda: threads() >= running), agent.errors)
        queued = agent.call_later(function(body, 'n'))
        agent.cancel(queued)
        self.assertEqual(agent.answer(queued)[2], b'\2')
        # Some started only to import `threading`.
        self.assertTrue(eventually(lambda: threads() < running + 5))
        agent.cancel(requests[0])
        agent.answer(requests.pop(0))
        # Whoever is left is told to end by the one that gets the room.
        for request in requests[1:]:
            agent.cancel(request)
        for request in requests[1:]:
            agent.answer(request)
        agent.cancel(requests[0])
        agent.answer(requests[0])
        self.assertEqual(agent.call('operator:neg', 1), -1)
        if not OLD:
            self.assertEqual(agent.close(), 0)
