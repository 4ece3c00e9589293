"""Streams with credit, as the transfers of files use them."""
import hashlib
import marshal
import os
import shutil
import struct
import tempfile
import time

from harness import CANCEL, FAIL, HEADER, MARSHAL, OLD, REPLY, Agent, Case, eventually, source

DATA, END, CREDIT, RESET = range(8, 12)
PUT, FETCH, EXTEND = 0x24, 0x25, 0x26
WINDOW = 1 << 22


class Streaming(Agent):
    """An agent that knows streams, and what has come over them."""

    parts = 'stream', 'files', 'folders'

    def __init__(self, *args, **kwargs):
        self.frames = []
        Agent.__init__(self, *args, **kwargs)
        self.send(0, EXTEND, 0, b''.join(source(n) for n in self.parts))

    def got(self, request, operation, form, payload):
        if DATA <= operation <= RESET:
            with self.came:
                self.frames.append((request, operation, payload))
                self.came.notify_all()
        else:
            Agent.got(self, request, operation, form, payload)

    def begin(self, operation, **options):
        self.request += 2
        options = dict((k if not OLD else k.decode(), v) for k, v in options.items())
        self.send(self.request, operation, MARSHAL, marshal.dumps(options, 2))
        return self.request

    def put(self, path, **options):
        return self.begin(PUT, **dict(
            {'path': path, 'mode': 0o644, 'owner': None, 'modified': None, 'replace': True, 'sync': False}, **options))

    def fetch(self, path, **options):
        return self.begin(FETCH, **dict({'path': path, 'limit': 0}, **options))

    def of(self, request, operation):
        return [payload for r, o, payload in list(self.frames) if (r, o) == (request, operation)]

    def credit(self, request):
        return sum(struct.unpack('>L', payload)[0] for payload in self.of(request, CREDIT))


def content(*blocks):
    data = b''.join(blocks)
    return struct.pack('>Q', len(data)) + b''.join(
        struct.pack('>L', len(b)) + b for b in blocks) + struct.pack('>L', 0) + hashlib.sha1(data).digest()


class Streams(Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='chopsticks-').encode()
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, b'file')

    def streaming(self, *args, **kwargs):
        agent = Streaming(*args, **kwargs)
        self.addCleanup(agent.kill)
        return agent

    def read(self):
        with open(self.path, 'rb') as f:
            return f.read()

    def test_content_arrives_however_it_is_cut(self):
        agent = self.streaming()
        data = content(b'abc', b'd' * 70000, b'e')
        for step in (1, 7, 4096, 65536, len(data)):
            cut = data if step > 1 else content(b'abc', b'de')
            request = agent.put(self.path)
            for i in range(0, len(cut), step):
                agent.send(request, DATA, 0, cut[i:i + step])
            agent.send(request, END, 0, b'')
            self.assertEqual(agent.answer(request)[0], REPLY)
            self.assertEqual(len(self.read()), 70004 if step > 1 else 5)

    def test_credit_is_a_window_and_comes_back_as_bytes_are_used(self):
        agent = self.streaming()
        request = agent.put(self.path)
        self.assertTrue(eventually(lambda: agent.credit(request) == WINDOW))
        block = b'x' * (1 << 17)
        agent.send(request, DATA, 0, struct.pack('>Q', 0))
        for _ in range(64):
            agent.wait(lambda: agent.credit(request) > 0)
            agent.send(request, DATA, 0, struct.pack('>L', len(block)) + block)
        sent = 8 + 64 * (4 + len(block))
        self.assertTrue(eventually(lambda: agent.credit(request) >= sent + WINDOW - WINDOW // 4))
        self.assertTrue(agent.credit(request) <= sent + WINDOW)

    def test_nothing_is_sent_without_credit(self):
        with open(self.path, 'wb') as f:
            f.write(b'x' * 300000)
        agent = self.streaming()
        request = agent.fetch(self.path)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        time.sleep(.1)
        self.assertEqual(agent.of(request, DATA), [])
        agent.send(request, CREDIT, 0, struct.pack('>L', 1000))
        agent.wait(lambda: sum(map(len, agent.of(request, DATA))) == 1000)
        agent.send(request, CREDIT, 0, struct.pack('>L', 1 << 20))
        self.assertEqual(agent.answer(request)[0], REPLY)
        self.assertEqual(b''.join(agent.of(request, DATA))[12:200012], b'x' * 200000)
        self.assertEqual(agent.of(request, END), [b''])

    def test_stream_that_breaks_off_or_is_cancelled_leaves_the_target_as_it_was(self):
        with open(self.path, 'wb') as f:
            f.write(b'old')
        agent = self.streaming()
        for operation, payload in (END, b'\0\0\0\0'), (END, b''), (CANCEL, b''), (RESET, b'\0\0\0\0'):
            request = agent.put(self.path)
            agent.send(request, DATA, 0, content(b'new')[:-1])
            agent.send(request, operation, 0, payload)
            self.assertEqual(agent.answer(request)[0], FAIL)
            self.assertEqual((self.read(), os.listdir(self.folder)), (b'old', [b'file']))

    def test_reset_stops_what_is_sent(self):
        with open(self.path, 'wb') as f:
            f.write(b'x' * 300000)
        agent = self.streaming()
        for operation in RESET, CANCEL:
            request = agent.fetch(self.path)
            agent.send(request, CREDIT, 0, struct.pack('>L', 100))
            agent.wait(lambda: agent.of(request, DATA))
            agent.send(request, operation, 0, b'\0\0\0\0' if operation == RESET else b'')
            self.assertEqual(agent.answer(request)[0], FAIL)

    def test_wrong_checksum_and_trailing_bytes_are_refused(self):
        agent = self.streaming()
        for data in content(b'abc')[:-1] + b'!', content(b'abc') + b'x':
            request = agent.put(self.path)
            agent.send(request, DATA, 0, data)
            agent.send(request, END, 0, b'')
            self.assertEqual(agent.answer(request)[0], FAIL)
            self.assertEqual(os.listdir(self.folder), [])

    def test_frames_of_a_request_that_has_ended_are_ignored_but_for_credit(self):
        agent = self.streaming()
        request = agent.fetch(self.path)
        self.assertEqual(agent.answer(request)[0], FAIL)
        for operation, payload in (DATA, b'x' * 100000), (END, b''), (RESET, b'\0\0\0\0'):
            agent.send(request, operation, 0, payload)
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.of(request, END), [])
        agent.send(request, CREDIT, 0, struct.pack('>L', 1))
        agent.wait(lambda: agent.of(request, END))
        self.assertEqual(agent.of(request, END), [b'\0\0\0\0'])

    def test_calls_go_on_while_a_transfer_waits(self):
        agent = self.streaming(codebase={'slow': b'import time\ndef f(n):\n    time.sleep(.2)\n    return n\n'})
        request = agent.put(self.path)
        agent.send(request, DATA, 0, content(b'abc')[:10])
        self.assertEqual([agent.call('operator:neg', n) for n in range(50)], [-n for n in range(50)])
        # Also while another thread reads.
        later = [agent.call_later('slow:f', n) for n in range(3)]
        agent.send(request, DATA, 0, content(b'abc')[10:])
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.answer(request)[0], REPLY)
        self.assertEqual([agent.result(r) for r in later], [0, 1, 2])

    def test_frames_split_anywhere_are_put_together(self):
        agent = self.streaming()
        request = agent.put(self.path)
        data = content(b'y' * 9000)
        frame = HEADER.pack(len(data), request, DATA, 0) + data + HEADER.pack(0, request, END, 0)
        for i in range(0, len(frame), 1111):
            agent.write(frame[i:i + 1111])
            time.sleep(.002)
        self.assertEqual(agent.answer(request)[:2], (REPLY, MARSHAL))
        self.assertEqual(self.read(), b'y' * 9000)
        self.assertEqual(agent.call('operator:mul', b'a', 3), b'aaa')
