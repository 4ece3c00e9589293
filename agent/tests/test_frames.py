"""The first stage, frames, and the life of an agent that is only talked to."""
import marshal
import os
import struct
import subprocess
import sys
import threading
import unittest

from harness import (
    CALL, CANCEL, FAIL, HEADER, MARSHAL, MODULES, MORE, OLD, PENCODE, PING, PONG, REPLY, START, Case, eventually,
    function, program, text)

NONCE = os.urandom(16)


def frame(request, operation, flags, payload):
    return HEADER.pack(len(payload), request, operation, flags) + payload


def start(options=None, limit=1 << 30):
    return frame(0, START, 0, struct.pack('>H16sQ', 1, NONCE, limit) + marshal.dumps(text(options or {}), 2))


def call(request, name, *args):
    return frame(request, CALL, MARSHAL, marshal.dumps((text(name), args, None), 2))


def converse(data, cuts):
    """Everything that an agent says to `data`, which comes in the pieces between `cuts`."""
    first, packed = program()
    process = subprocess.Popen([sys.executable, '-s', '-S', '-c', first], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    data = packed + data
    ends = [len(packed) + cut if cut > 0 else -cut for cut in cuts]
    for begin, end in zip([0] + ends, ends + [len(data)]):
        os.write(process.stdin.fileno(), data[begin:end])
        if end < len(data):
            # Lets the agent read this much alone; that it may not get to it in time costs the test only some of its
            # sharpness.
            threading.Event().wait(.002)
    said = b''
    while b'PONG' not in said:
        more = os.read(process.stdout.fileno(), 65536)
        if not more:
            break
        said += more
    process.stdin.close()
    said += process.stdout.read()
    process.stdout.close()
    process.wait()
    return said


class Frames(Case):
    def test_session_in_single_bytes(self):
        agent = self.agent(step=1)
        data = call(2, 'operator:add', 20, 22)
        for i in range(len(data)):
            agent.write(data[i:i + 1])
        self.assertEqual(agent.result(2), 42)

    def test_short_session_split_at_every_offset(self):
        data = start() + call(2, 'operator:add', 20, 22) + frame(0, PING, 0, b'PONG')
        whole = converse(data, [])
        self.assertIn(NONCE, whole)
        # Whether it comes before the reply or after it is a matter of chance.
        self.assertIn(frame(0, PONG, 0, b'PONG'), whole)
        wanted = whole.partition(NONCE)[2][20:]
        # One agent for some cuts each: all of them are in the same place of some frame once.
        size = len(data)
        for cut in range(1, size, 7):
            said = converse(data, [c for c in range(cut, size, 29)])
            self.assertEqual(said.partition(NONCE)[2][20:20 + 4], wanted[:4], cut)
            self.assertIn(frame(0, PONG, 0, b'PONG'), said, cut)
            self.assertEqual(len(said), len(whole))

    def test_first_stage_survives_short_reads(self):
        size = len(program()[1])
        for step in 1, 100, 4000:
            cuts = [-n for n in range(step, size if step > 1 else 60, step)]
            self.assertIn(b'PONG', converse(start() + frame(0, PING, 0, b'PONG'), cuts))

    def test_noise_of_the_interpreter_is_no_concern(self):
        agent = self.agent()
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.hello['pid'], agent.process.pid)
        self.assertEqual(agent.hello['python'], list(sys.version_info[:3]))
        self.assertEqual(agent.hello['executable'], text(sys.executable))

    def test_large_messages_come_in_many_frames_both_ways(self):
        agent = self.agent()
        value = bytes(bytearray(range(256))) * 12000 if not OLD else u'0123456789abcdef' * 190000
        payload = marshal.dumps((text('operator:concat'), (value, value[:1]), None), 2)
        for at in range(0, len(payload), 100000):
            last = at + 100000 >= len(payload)
            agent.send(2, CALL, MARSHAL if last else MARSHAL | MORE, payload[at:at + 100000])
        self.assertEqual(agent.result(2), value + value[:1])

    def test_messages_of_two_requests_may_alternate(self):
        agent = self.agent()
        payloads = [marshal.dumps((text('operator:concat'), (u'%d' % n * 3000, u'x'), None), 2) for n in (1, 2)]
        for at in range(0, len(payloads[0]), 500):
            for n in 0, 1:
                last = at + 500 >= len(payloads[n])
                agent.send(2 + 2 * n, CALL, MARSHAL if last else MARSHAL | MORE, payloads[n][at:at + 500])
        self.assertEqual(agent.result(2), u'1' * 3000 + u'x')
        self.assertEqual(agent.result(4), u'2' * 3000 + u'x')

    def test_small_reply_passes_a_large_one(self):
        agent = self.agent()
        body = 'import time\ndef f(n):\n  time.sleep(.05)\n  return u"x" * n'
        large = agent.call_later(function(body), 30 << 20)
        small = agent.call_later(function(body), 3)
        self.assertEqual(agent.result(small), u'xxx')
        self.assertEqual(len(agent.result(large)), 30 << 20)

    def test_message_that_is_cancelled_before_its_end_is_dropped_and_answered(self):
        agent = self.agent()
        payload = marshal.dumps((text('operator:neg'), (1,), None), 2)
        agent.send(2, CALL, MARSHAL | MORE, payload[:5])
        agent.cancel(2)
        self.assertEqual(agent.answer(2)[0], FAIL)
        agent.send(4, CALL, MARSHAL, payload)
        self.assertEqual(agent.result(4), -1)

    def test_cancel_of_a_finished_call_is_ignored(self):
        agent = self.agent()
        self.assertEqual(agent.call('operator:neg', 1), -1)
        agent.cancel(2)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertNotIn(2, agent.answers)

    def test_ping_is_answered_while_a_call_runs(self):
        agent = self.agent()
        agent.call_later('time:sleep', 600)
        agent.send(0, PING, 0, b'are you there')
        self.assertEqual(agent.answer(0), (PONG, 0, b'are you there'))

    def test_empty_ping_is_answered(self):
        agent = self.agent()
        agent.send(0, PING, 0, b'')
        self.assertEqual(agent.answer(0), (PONG, 0, b''))

    def test_many_calls_in_one_write_are_answered_in_full(self):
        agent = self.agent()
        # On 2.7 the first result waits for a part of the agent, and calls that come meanwhile get threads.
        self.assertEqual(agent.call('operator:neg', 1), -1)
        agent.write(b''.join(call(2 * n, 'operator:neg', n) for n in range(2, 2001)))
        for n in range(2, 2001):
            self.assertEqual(agent.result(2 * n), -n)

    def test_reply_is_not_held_back_by_a_long_call_behind_it(self):
        agent = self.agent()
        agent.write(call(2, 'operator:neg', 1) + call(4, 'time:sleep', 600))
        self.assertEqual(agent.result(2), -1)

    def test_reply_is_not_held_back_by_part_of_a_frame_behind_it(self):
        agent = self.agent()
        self.assertEqual(agent.call('operator:neg', 0), 0)
        data = call(6, 'operator:neg', 2)
        agent.write(call(4, 'operator:neg', 1) + data[:7])
        self.assertEqual(agent.result(4), -1)
        agent.write(data[7:])
        self.assertEqual(agent.result(6), -2)

    def test_unknown_operations_of_later_versions_do_no_harm(self):
        agent = self.agent()
        agent.send(0, 0x3f, 0, b'what')
        agent.send(0, MODULES, MARSHAL, marshal.dumps([], 2))
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_unknown_options_are_ignored(self):
        agent = self.agent(options={u'colour': u'blue', u'later': [1]})
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_path_option_makes_folders_importable(self):
        agent = self.agent(options={u'path': [text(os.path.dirname(os.path.abspath(__file__)))]})
        self.assertEqual(agent.call('harness:alive', 0), False)

    def test_site_option_makes_site_packages_importable(self):
        self.assertFalse([p for p in self.agent().call(function('import sys\ndef f(): return sys.path'))
                          if p.endswith('site-packages')])
        agent = self.agent(options={u'site': True})
        self.assertEqual(agent.call(function('import sys\ndef f(): return "site" in sys.modules')), True)

    def test_working_folder_is_not_importable(self):
        self.assertNotIn('', self.agent().call(function('import sys\ndef f(): return sys.path')))

    def test_result_over_the_limit_fails_alone(self):
        agent = self.agent(limit=1000)
        failure = agent.fails('operator:mul', u'x', 2000)
        self.assertEqual(failure['kind'], 'size')
        self.assertIn('over the limit of 1000', failure['message'])
        self.assertEqual(agent.call('operator:mul', u'x', 900), u'x' * 900)

    def test_formats_are_told_by_the_header_alone(self):
        agent = self.agent()
        request = agent.call_later('operator:neg', 1)
        operation, form, payload = agent.answer(request)
        self.assertEqual((operation, form), (REPLY, PENCODE if OLD else MARSHAL))


class Streams(Case):
    def test_functions_write_to_nowhere_and_read_nothing(self):
        agent = self.agent()
        got = agent.call(function(
            'import os, subprocess, sys\n'
            'def f():\n'
            '  os.write(1, b"direct " * 10000); sys.stdout.write("print " * 10000); sys.stdout.flush()\n'
            '  subprocess.check_call(["sh", "-c", "echo child; echo child >&1"])\n'
            '  child = subprocess.Popen(["cat"], stdout=subprocess.PIPE)\n'
            '  return [len(os.read(0, 10)), len(sys.stdin.read()), len(child.communicate()[0])]'))
        self.assertEqual(got, [0, 0, 0])
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.partial, {})

    def test_children_do_not_inherit_the_pipes(self):
        agent = self.agent()
        got = agent.call(function(
            'import os, subprocess\n'
            'def f():\n'
            '  out = subprocess.Popen(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False)\n'
            '  return out.communicate()[0].decode()'))
        self.assertIn(os.readlink('/proc/self/fd/%d' % agent.process.stderr.fileno()), got)
        for pipe in agent.process.stdin, agent.process.stdout:
            self.assertNotIn(os.readlink('/proc/self/fd/%d' % pipe.fileno()), got)

    def test_stderr_is_the_users(self):
        agent = self.agent()
        agent.call(function('import os\ndef f(): os.write(2, b"\\xff\\xfe line\\n")'))
        self.assertTrue(eventually(lambda: agent.errors == [b'\xff\xfe line\n']))

    def test_lines_on_stderr_are_there_when_they_are_written(self):
        agent = self.agent(env=dict((name, value) for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'))
        # With a newline at the end, and without a word of `flush`.
        agent.call(function('import sys\ndef f(): sys.stderr.write("one\\ntwo\\n")'))
        self.assertTrue(eventually(lambda: agent.errors == [b'one\n', b'two\n']))

    def test_pipes_made_non_blocking_by_others_do_not_end_the_agent(self):
        agent = self.agent()
        body = (
            'import fcntl, os\n'
            'def f(n):\n'
            '  for fd in map(int, os.listdir("/proc/self/fd")):\n'
            '    try: fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)\n'
            '    except (IOError, OSError): pass\n'
            '  return u"x" * n')
        for n in 3, 8 << 20, 4:
            self.assertEqual(len(agent.call(function(body), n)), n)


class Idle(Case):
    @unittest.skipUnless(os.path.isdir('/proc/self/task'), 'counts in /proc')
    def test_idle_agent_does_not_wake_up(self):
        agent = self.agent()

        def switches():
            counts = {}
            for task in os.listdir('/proc/%d/task' % agent.process.pid):
                try:
                    with open('/proc/%d/task/%s/status' % (agent.process.pid, task)) as f:
                        counts[task] = [line for line in f if 'ctxt_switches' in line]
                except IOError:
                    # It has just ended: with what is counted next time, this is no rest.
                    counts[task] = None
            return counts

        def rests():
            before = switches()
            threading.Event().wait(1)
            return switches() == before

        agent.call('operator:neg', 1)
        self.assertTrue(eventually(rests))
        # Also after calls overlapped, and after one that lasted.
        for request in [agent.call_later('time:sleep', .05) for _ in range(4)]:
            agent.result(request)
        self.assertTrue(eventually(rests))

    def test_cancel_frame_for_no_request_is_ignored(self):
        agent = self.agent()
        agent.send(0, CANCEL, 0, b'')
        self.assertEqual(agent.call('operator:neg', 1), -1)
