"""Streams with credit, as the transfers of files use them."""
import os
import struct
import time

from harness import CANCEL, FAIL, HEADER, MARSHAL, REPLY, eventually
from streaming import CREDIT, DATA, END, RESET, StreamCase, content

WINDOW = 1 << 22


class Streams(StreamCase):
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
