"""Programs that an agent runs for the controller, with their pipes as streams."""
import marshal
import os
import shutil
import struct
import sys
import tempfile
import time

from harness import FAIL, REPLY, Case, alive, eventually, function, marked
from streaming import CREDIT, DATA, END, EXTEND, RESET, Streaming
from test_streams import WINDOW

SPAWN, STDERR = 0x27, 0x28
PLENTY = struct.pack('>L', 1 << 30)
INITIAL = 1 << 16


class Relaying(Streaming):
    """An agent that runs programs."""

    parts = 'stream', 'relay'

    def spawn(self, argv, credit=True, stderr=True, **options):
        self.errors_of = self.begin(STDERR) if stderr else 0
        wanted = {'argv': [a if type(a) is bytes else a.encode('utf-8') for a in argv], 'env': {}, 'cwd': None,
                  'stderr': self.errors_of}
        wanted.update(options)
        request = self.begin(SPAWN, **wanted)
        if credit:
            for number in (request, self.errors_of):
                if number:
                    self.send(number, CREDIT, 0, PLENTY)
        return request

    def python(self, text, *args, **options):
        return self.spawn([sys.executable, '-c', text] + list(args), **options)

    def output(self, request):
        self.wait(lambda: self.of(request, END))
        return b''.join(self.of(request, DATA))

    def status(self, request):
        operation, _, payload = self.answer(request)
        if operation == FAIL:
            raise AssertionError(marshal.loads(payload))
        return marshal.loads(payload)['status']


class Relay(Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='chopsticks-')
        self.addCleanup(shutil.rmtree, self.folder)

    def relaying(self, *args, **kwargs):
        agent = Relaying(*args, **kwargs)
        self.addCleanup(agent.kill)
        return agent

    def canary(self):
        return 'relay-%d-%d' % (os.getpid(), id(self))

    def test_stdin_goes_in_and_stdout_and_stderr_come_out_with_every_byte(self):
        agent = self.relaying()
        every = bytes(bytearray(range(256))) * 100
        request = agent.spawn(['sh', '-c', 'cat; echo err >&2; exit 7'])
        # Before any credit.
        agent.send(request, DATA, 0, every)
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.output(request), every)
        self.assertEqual(agent.status(request), 7)
        self.assertEqual(agent.output(agent.errors_of), b'err\n')
        self.assertEqual(agent.answer(agent.errors_of)[0], REPLY)
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_signal_that_killed_it_is_told(self):
        agent = self.relaying()
        self.assertEqual(agent.status(agent.spawn(['sh', '-c', 'kill -9 $$'])), -9)

    def test_environment_and_folder_are_those_that_are_asked_for(self):
        agent = self.relaying(env=dict(os.environ, GONE='1', STAYS='2'))
        request = agent.spawn(['sh', '-c', 'echo "$PWD ${GONE-none} $STAYS $NEW"'], cwd=self.folder.encode(),
                              env={b'GONE': None, b'NEW': b'\xff'})
        self.assertEqual(agent.output(request), self.folder.encode() + b' none 2 \xff\n')

    def test_program_that_cannot_be_started_is_named_with_the_reason(self):
        agent = self.relaying()
        request = agent.spawn(['/nowhere/program'])
        failure = agent.failure(request)
        self.assertEqual((failure['errno'], bytes(failure['path'])), (2, b'/nowhere/program'))
        agent.cancel(agent.errors_of)
        agent.answer(agent.errors_of)
        failure = agent.failure(agent.spawn(['true'], cwd=b'/nowhere'))
        self.assertEqual((failure['errno'], bytes(failure['path'])), (20, b'/nowhere'))

    def test_nothing_comes_without_credit_and_no_more_is_held_than_the_pipes_do(self):
        agent = self.relaying()
        request = agent.python('import os\nwhile 1: os.write(1, b"x" * 65536)', credit=False)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        time.sleep(.1)
        self.assertEqual(agent.of(request, DATA), [])
        agent.send(request, CREDIT, 0, struct.pack('>L', 100000))
        agent.wait(lambda: sum(map(len, agent.of(request, DATA))) == 100000)
        time.sleep(.05)
        self.assertEqual(sum(map(len, agent.of(request, DATA))), 100000)

    def test_program_that_reads_nothing_stalls_its_own_stream_alone(self):
        agent = self.relaying()
        request = agent.spawn(['sleep', '1000'])
        self.assertTrue(eventually(lambda: agent.credit(request) == WINDOW))
        block = b'x' * (1 << 17)
        for _ in range((WINDOW + INITIAL) // len(block)):
            agent.send(request, DATA, 0, block)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        other = agent.spawn(['echo', 'other'])
        self.assertEqual(agent.output(other), b'other\n')
        # It has stopped taking: what the pipe holds, and a part of a quarter of the window, is all that was given back.
        self.assertTrue(agent.credit(request) <= WINDOW + (1 << 20) + (WINDOW >> 2))
        agent.cancel(request)
        self.assertEqual(agent.status(request), -15)

    def test_end_of_stdin_is_passed_on_and_so_is_that_of_the_program(self):
        agent = self.relaying()
        request = agent.python('import sys; sys.exit(len(sys.stdin.read()))')
        agent.send(request, DATA, 0, b'12345')
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.status(request), 5)
        # Whoever sends to one that takes no more is told.
        request = agent.python('import os, time; os.close(0); time.sleep(1000)')
        agent.send(request, DATA, 0, b'x' * 1000)
        self.assertTrue(eventually(lambda: agent.of(request, RESET) or agent.send(request, DATA, 0, b'x' * 10)))
        agent.cancel(request)
        agent.status(request)

    def ended_by(self, agent, request, canary, action):
        self.assertTrue(eventually(lambda: len(marked(canary)) == 2), marked(canary))
        action(request)
        self.assertTrue(agent.status(request) in (-9, -15))
        self.assertTrue(eventually(lambda: not marked(canary)), marked(canary))

    def test_cancel_broken_stream_and_reset_end_it_and_its_children_however_stubborn(self):
        agent = self.relaying()
        text = ('import signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN)\n'
                'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", sys.argv[1]])\n'
                'time.sleep(1000)')
        broken = struct.pack('>L', 0)
        for n, action in enumerate((
                agent.cancel,
                lambda request: agent.send(request, END, 0, broken),
                lambda request: agent.send(request, RESET, 0, broken))):
            canary = '%s-%d' % (self.canary(), n)
            self.ended_by(agent, agent.python(text, canary), canary, action)
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_cancel_while_it_is_being_started_ends_it(self):
        agent = self.relaying()
        canary = self.canary()
        for _ in range(20):
            request = agent.python('import time; time.sleep(1000)', canary)
            agent.cancel(request)
            agent.cancel(agent.errors_of)
            self.assertEqual(agent.status(request), -15)
        self.assertEqual(marked(canary), [])

    def test_program_whose_stdout_is_held_by_another_has_ended_when_it_has(self):
        agent = self.relaying()
        canary = self.canary()
        request = agent.python(
            'import subprocess, sys\n'
            'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", sys.argv[1]])',
            canary)
        self.assertEqual(agent.status(request), 0)
        self.assertEqual(agent.of(request, END), [])
        agent.close()
        self.assertTrue(eventually(lambda: not marked(canary)), marked(canary))

    def test_end_of_the_agent_ends_its_programs(self):
        agent = self.relaying()
        canary = self.canary()
        for _ in range(3):
            agent.python('import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)', canary)
        self.assertTrue(eventually(lambda: len(marked(canary)) == 3))
        agent.close()
        self.assertTrue(eventually(lambda: not marked(canary)), marked(canary))

    def held(self, agent):
        """How many descriptors and threads the agent has."""
        pid = agent.process.pid
        return len(os.listdir('/proc/%d/fd' % pid)), len(os.listdir('/proc/%d/task' % pid))

    def held_idle(self, agent):
        agent.status(agent.spawn(['true']))
        agent.call('operator:neg', 1)
        self.assertTrue(eventually(lambda: self.held(agent)[1] <= 2), self.held(agent))
        return self.held(agent)

    def test_no_descriptor_and_no_thread_is_left(self):
        agent = self.relaying()
        before = self.held_idle(agent)
        for n in range(30):
            request = agent.spawn(['true'] if n % 3 else ['/nowhere'])
            agent.answer(request)
            if not n % 3:
                agent.cancel(agent.errors_of)
            agent.answer(agent.errors_of)
        self.assertTrue(eventually(lambda: self.held(agent) == before), (before, self.held(agent)))
        self.assertTrue(alive(agent.process.pid))

    def test_no_descriptor_and_no_thread_is_left_where_another_holds_the_pipes(self):
        agent = self.relaying()
        before = self.held_idle(agent)
        canary = self.canary()
        text = ('import os, subprocess, sys, time\n'
                'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", sys.argv[1]])\n'
                'os.write(1, b"x")')
        request = agent.python(text, canary)
        # More than the pipe takes, so that one waits there too.
        for _ in range(16):
            agent.send(request, DATA, 0, b'x' * (1 << 17))
        self.assertEqual(agent.status(request), 0)
        broken = struct.pack('>L', 0)
        agent.send(request, RESET, 0, broken)
        agent.send(agent.errors_of, RESET, 0, broken)
        self.assertTrue(eventually(lambda: self.held(agent) <= before), (before, self.held(agent)))
        self.assertEqual(len(marked(canary)), 1)
        self.assertEqual(agent.output(agent.spawn(['echo', 'other'])), b'other\n')

    def test_no_descriptor_is_left_when_there_are_not_enough(self):
        agent = self.relaying()
        before = self.held_idle(agent)
        agent.call(function('import resource\ndef f(): resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))'))
        requests = [agent.spawn(['cat'], stderr=False) for _ in range(40)]
        # Which of them there was enough for is a matter of luck.
        agent.wait(lambda: len(agent.answers) >= 20)
        for request in [request for request in requests if request in agent.answers]:
            requests.remove(request)
            failure = agent.failure(request)
            self.assertEqual((failure['errno'], bytes(failure['path'])), (24, b'cat'))
        for request in requests:
            agent.cancel(request)
        for request in requests:
            agent.answer(request)
        self.assertTrue(eventually(lambda: self.held(agent) <= (before[0], before[1] + 1)), (before, self.held(agent)))
        self.assertEqual(agent.status(agent.spawn(['true'])), 0)

    def test_want_of_threads_ends_the_program_and_not_the_agent(self):
        agent = self.relaying()
        before = self.held_idle(agent)
        patch = ('real, left = start_new_thread, [%d]\n'
                 'def start_new_thread(*args):\n if not left[0]: raise RuntimeError("no thread")\n'
                 ' left[0] -= 1\n return real(*args)\n')
        for count in range(4):
            canary = self.canary() + '-%d' % count
            agent.send(0, EXTEND, 0, (patch % count).encode())
            request = agent.python('import time; time.sleep(1000)', canary, stderr=False)
            if count < 3:
                self.assertTrue('no thread' in agent.failure(request)['message'])
            else:
                self.assertTrue(eventually(lambda: marked(canary)))
            # Nor does ending it need any.
            agent.cancel(request)
            if count == 3:
                agent.answer(request)
            self.assertEqual(agent.call('operator:neg', 1), -1)
            agent.send(0, EXTEND, 0, b'start_new_thread = real')
            self.assertTrue(eventually(lambda: not marked(canary)), marked(canary))
        self.assertTrue(eventually(lambda: self.held(agent) == before), (before, self.held(agent)))

    def test_forked_process_keeps_no_pipe_of_a_program(self):
        agent = self.relaying()
        request = agent.spawn(['cat'])
        agent.send(request, DATA, 0, b'1')
        agent.wait(lambda: agent.of(request, DATA))
        agent.call(function('import os, time\ndef f():\n if not os.fork():\n  time.sleep(1000)\n  os._exit(0)'))
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.output(request), b'1')
        self.assertEqual(agent.status(request), 0)
        # And programs are started still.
        self.assertEqual(agent.output(agent.spawn(['echo', 'other'])), b'other\n')

    def test_child_more_stubborn_than_its_program_is_ended_too(self):
        agent = self.relaying()
        canary = self.canary()
        text = ('import subprocess, sys, time\nsubprocess.Popen([sys.executable, "-c", '
                '"import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(1000)", sys.argv[1]])\n'
                'time.sleep(1000)')
        request = agent.python(text, canary, env={b'PYTHONUNBUFFERED': b'1'})
        agent.wait(lambda: agent.of(request, DATA))
        self.ended_by(agent, request, canary, agent.cancel)

    def test_program_that_cannot_be_ended_is_given_up(self):
        agent = self.relaying()
        canary = self.canary()
        request = agent.python('import time; time.sleep(1000)', canary)
        self.assertTrue(eventually(lambda: marked(canary)))
        agent.send(0, EXTEND, 0, b"part('ending')\ndef kill(select): select()")
        agent.cancel(request)
        self.assertEqual(agent.answer(request), (FAIL, 0, b'\2'))
        os.kill(marked(canary)[0], 9)
        self.assertTrue(eventually(lambda: not marked(canary)))
        # That it has ended at last is no second answer, nor anybody else's end.
        self.assertEqual(agent.status(agent.spawn(['true'])), 0)
        self.assertFalse(request in agent.answers)

    def test_hundred_programs_run_at_once(self):
        agent = self.relaying()
        requests = [agent.spawn(['sh', '-c', 'read x; echo ${x}%d' % n], stderr=False) for n in range(100)]
        for request in requests:
            agent.send(request, DATA, 0, b'value\n')
        for n, request in enumerate(requests):
            self.assertEqual(agent.output(request), ('value%d\n' % n).encode())
