"""What inner agents send is data, and no more than was asked for: values, frames, programs that are no agents."""
import marshal
import os
import struct
import sys

from harness import OLD, Case, eventually, function, text

# Programs in an agent's place. `open` reads what the controller sends, and gives what follows on from there.
FAKE = r'''
import os, struct, sys, time
HEADER = struct.Struct('>LLBB')
def read(n):
    data = b''
    while len(data) < n:
        more = os.read(0, n - len(data))
        if not more: os._exit(3)
        data += more
    return data
def start():
    read(int(sys.argv[2]))
    size, _, _, _ = HEADER.unpack(read(10))
    return read(size)[2:18]
def frame(request, operation, flags=0, payload=b''):
    os.write(1, HEADER.pack(len(payload), request, operation, flags) + payload)
def hello():
    import marshal
    frame(0, 2, 2, b'\0\1' + marshal.dumps({u'python': [3, 9, 1]}, 2))
def call():
    while 1:
        size, request, operation, _ = HEADER.unpack(read(10))
        payload = read(size)
        if operation == 0x20: return request
def agent():
    os.write(1, start()); hello(); return call()
def stay():
    while os.read(0, 65536): pass
'''
MINE = b'''
import os, sys, time
from chopsticks.tunnel import RemoteException, SubprocessTunnel
from chopsticks._connection import packed

class Fake(SubprocessTunnel):
    host = 'fake'
    def __init__(self, body, timeout=60):
        self.body, self.handshake_timeout = body, timeout
    def argv(self, arguments):
        return [sys.executable, '-S', '-c', self.body, 'fake-canary', str(len(packed()[1]))]

def transfer(body, name):
    with Fake(body) as tun:
        tun.connect()
        os.write(2, b'in\\n')
        getattr(tun, name)('/etc/hostname', '/nonexistent/target' if name == 'put' else '/tmp/chopsticks-never')

def held(body):
    from chopsticks import _serving
    with Fake(body) as tun:
        tun.call(os.getpid)
        return (len(tun._connection.sent), sum(len(path) for _, path in _serving.files),
                len(_serving.asking) + len(tun._connection.asked))

def told(body, timeout=60, times=1):
    tun = Fake(body, timeout)
    try:
        return tun.call(os.getpid)
    except RemoteException as e:
        return str(e)
    finally:
        tun.close()
'''


class Fakes(Case):
    def told(self, body, timeout=60, agent=None):
        agent = agent or self.outer(MINE)
        found = agent.call('mine:told', text(FAKE + body), timeout)
        # The agent is as it was, and nothing of the program is left.
        self.assertEqual(agent.call('operator:neg', 1), -1)
        self.assertEqual(agent.call(function('from chopsticks._agent import inner\ndef f(): return len(inner)')), 0)
        return found

    def test_program_that_ends_is_told_with_its_status_and_last_words(self):
        for body, words in (
                ('sys.stderr.write("Host key verification failed.\\n"); sys.exit(255)',
                 'fake: handshake: %s exited with 255: Host key verification failed.' %
                 os.path.basename(sys.executable)),
                ('os.kill(os.getpid(), 9)', 'was killed by signal 9'),
                ('print("Welcome"); sys.exit(0)', "exited with 0; it printed 'Welcome"),
                ('os.write(1, start()); sys.exit(4)', 'handshake: %s exited with 4' % os.path.basename(sys.executable)),
                ('os.write(1, start()); hello(); sys.exit(5)', 'connection: %s exited with 5' % (
                    os.path.basename(sys.executable))),
                ('agent(); os.write(1, b"\\0\\0"); sys.exit(6)', 'exited with 6')):
            self.assertIn(words, self.told(body))

    def test_program_that_never_answers_is_given_up(self):
        for body in 'stay()', 'print("Password:"); sys.stdout.flush(); stay()', 'os.write(1, start()); stay()':
            found = self.told(body, 1)
            self.assertIn('handshake: ', found)
            self.assertIn('no agent answered within 1 s', found)
        self.assertIn("it printed 'Password:", self.told('print("Password:"); sys.stdout.flush(); stay()', 1))

    def test_transfer_that_nobody_answers_can_be_cancelled(self):
        for name in 'put', 'fetch':
            agent = self.outer(MINE)
            request = agent.call_later('mine:transfer', text(FAKE + 'os.write(1, start()); hello(); stay()'),
                                      text(name))
            self.assertTrue(eventually(lambda: agent.errors))
            agent.cancel(request)
            self.assertEqual(agent.failure(request)['kind'], 'cancelled')
            self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_program_that_is_not_there_is_told(self):
        info = self.outer(
            b'from chopsticks.tunnel import Local\ndef f(): Local("x", python="/no/such").connect()').fails(
            'mine:f')
        self.assertIn('x: spawn: /no/such: No such file or directory', info['message'])

    def test_noise_in_front_of_an_agent_is_skipped_up_to_a_limit(self):
        noise = 'n = start(); os.write(1, b"banner \\n" + n[:8] + b"\\xff" * %d); os.write(1, n); hello(); ' \
                'r = call(); ' \
                'frame(r, 3, 3, b"fine"); stay()'
        self.assertIn(self.told(noise % 100000), ('fine', b'fine'))
        self.assertIn('more than 1048576 bytes came', self.told(
            'for _ in range(40): os.write(1, b"x" * 65536)\nstay()'))

    def test_flood_of_stderr_disturbs_nothing(self):
        agent = self.outer(MINE)
        found = self.told('r = agent()\nfor _ in range(100): os.write(2, b"x" * 65536)\nos.write(2, b"\\nend\\n")\n'
                          'frame(r, 3, 3, b"fine"); stay()', agent=agent)
        self.assertIn(found, ('fine', b'fine'))
        agent.wait(lambda: b'[fake] end\n' in agent.errors)
        self.assertTrue(all(line.startswith(b'[fake] ') and len(line) < 70000 for line in agent.errors))

    def test_frames_that_no_agent_sends_end_the_connection_with_a_reason(self):
        agent = self.outer(MINE)
        for body, words in (
                ('frame(r, 0x7f)', 'operation 0x7f'),
                ('frame(r + 2, 3, 3, b"x")', 'which does not await one'),
                ('frame(r, 3, 0x13, b"x")', 'flags 0x13'),
                ('os.write(1, HEADER.pack(1 << 31, r, 3, 3))', 'a frame of 2147483648 bytes'),
                ('frame(r, 3, 7, b"l")', 'flags 0x07'),
                ('frame(0, 2, 2, b"\\0\\1")', 'operation 0x02'),
                ('frame(2, 0x22, 2, b"N")', 'a request with number 2'),
                ('frame(1, 0x22, 0x82, b"N"); frame(1, 0x22, 0x83, b"N")', 'a message of more than'),
                ('for n in range(1, 131, 2): frame(n, 0x22, 0x82, b"N")', 'more than 64 requests'),
                ('for n in range(10): frame(1, 0x22, 0x82, b"x" * 131072)', 'a message of more than'),
                ('import marshal\nfor n in range(1, 1 << 20, 2): frame(n, 0x22, 2, marshal.dumps(u"mine", 2))',
                 'more than 64'),
                ('frame(99998, 9)', 'operation 0x09 for request 99998'),
                ('frame(r, 0x0a, 0, b"x")', 'operation 0x0a with 1 bytes')):
            found = self.told('r = agent(); %s; stay()' % body if 'for ' not in body else
                              'r = agent()\n%s\nstay()' % body, agent=agent)
            self.assertIn('fake: connection: protocol error: ', found)
            self.assertIn(words, found)

    def test_result_that_cannot_be_read_does_not_cost_the_connection(self):
        agent = self.outer(MINE)
        for body, words in (
                ('frame(r, 3, 2, b"c")', 'unknown type'),
                ('frame(r, 3, 1, b"l\\xff\\xff\\xff\\xff")', 'more items than bytes'),
                ('frame(r, 3, 0, b"")', 'without a format'), ('frame(r, 4, 2, b"c")', 'unknown type'),
                ('frame(r, 3, 2, b"u\\3\\0\\0\\0\\xed\\xa0\\x80")', 'text with a lone surrogate')):
            self.assertEqual(self.told('r = agent(); %s; stay()' % body, agent=agent).partition(words)[:2], (
                'fake: the result cannot be encoded: a value %s' % (
                    '' if 'without' in words else 'that cannot be read: '), words))
        made = (b'import os\nfrom chopsticks.tunnel import Local, RemoteException\ndef pid(): return os.getpid()\n'
                b'def make(): return 1 << 400000\n'
                b'def f():\n  with Local("x") as tun:\n    first = tun.call(pid)\n'
                b'    try: tun.call(make)\n    except RemoteException as e: return str(e), tun.call(pid) == first')
        message, same = self.outer(made).call('mine:f')
        self.assertIn('x: the result cannot be encoded: ', message)
        self.assertTrue(same)

    def test_hello_of_another_version_is_refused(self):
        for body in ('frame(0, 2, 2, b"\\0\\2N")', 'frame(0, 2, 2, b"\\0\\1N")', 'frame(0, 3, 2, b"N")',
                     'import marshal; frame(0, 2, 2, b"\\0\\1" + marshal.dumps({u"python": u"3"}, 2))'):
            self.assertIn('fake: handshake: protocol error: ', self.told('os.write(1, start()); %s; stay()' % body))

    def test_questions_of_whatever_kind_are_answered_and_reach_nobody_else(self):
        agent = self.outer(MINE)
        before = len(agent.asked)
        found = self.told(
            'import marshal\nr = agent()\nquestions = [None, u"os", u"no.such", u"../x", u".x/y", (u"a", 1), '
            '(u"chopsticks", None), 5, '
            '[u"x"], u"", (u"", u"")]\n'
            'for n, q in enumerate(questions): frame(2 * n + 1, 0x22, 2, marshal.dumps(q, 2))\n'
            'seen = b""\n'
            'for _ in questions: size, request, operation, _ = HEADER.unpack(read(10)); read(size); '
            'seen += b"%s" if operation == 3 else b"F"\n'
            'frame(r, 3, 3, seen); stay()'.replace('%s', 'R'), agent=agent)
        self.assertEqual(sorted(text(found) if OLD else found.decode()), sorted('FFFRRRRRRRR'))
        self.assertFalse([name for name in agent.asked[before:] if not name.startswith(('chopsticks', '.', 'mine'))])

    def test_questions_without_end_fill_no_memory(self):
        sent, kept, open_ = self.outer(MINE).call('mine:held', text(FAKE + (
            'import marshal\nr = agent()\n'
            'for n in range(1, 2001, 2):\n'
            '  frame(n, 0x22, 2, marshal.dumps(u"x" * 9000 + u"%d" % n, 2)); read(HEADER.unpack(read(10))[0])\n'
            'for n in range(2001, 4001, 2):\n'
            '  frame(n, 0x23, 2, marshal.dumps((u"mine", u"x" * 9000 + u"%d" % n), 2)); '
            'read(HEADER.unpack(read(10))[0])\n'
            'frame(r, 3, 3, b"fine"); stay()')))
        self.assertLess(sent, 100)
        self.assertLess(kept, (1 << 22) + 1)
        self.assertEqual(open_, 0)

    def test_failure_of_whatever_shape_is_an_exception(self):
        agent = self.outer(MINE)
        for value in (None, [1], {u'type': 1, u'message': [u'x']}, {u'kind': u'raised'}, {u'errno': 1, u'path': 5},
                      {1: 2}):
            found = self.told('import marshal; r = agent(); frame(r, 4, 2, marshal.dumps(%r, 2)); stay()' % (value,),
                              agent=agent)
            self.assertTrue(found.startswith('fake: '), found)


class Values(Case):
    """The readers, with what marshal and pencode of this Python write, and with all that they do not."""

    def setUp(self):
        self.a = self.outer(
            b'import marshal\nfrom chopsticks import _marshal, pencode\n'
            b'def plain(version, value): return _marshal.loads(marshal.dumps(value, version))\n'
            b'def there(*values): return [pencode.pdecode(pencode.pencode(v)) for v in values]\n'
            b'def read(data, which):\n'
            b'  try: return repr((_marshal.loads if which else pencode.pdecode)(data))\n'
            b'  except ValueError as e: return "refused: %s" % e\n'
            b'def cut(which):\n'
            b'  value = [1, 1 << 80, 1.5, u"a", u"\\xe9", (True, None), {u"k": set([1])}, frozenset([2])]\n'
            b'  data = marshal.dumps(value, 2) if which else pencode.pencode(value)\n'
            b'  bad = 0\n'
            b'  for i in range(len(data)):\n'
            b'    for other in (data[:i], data[:i] + b"\\xff" + data[i + 1:], data[:i] + b"\\x00" + data[i:]):\n'
            b'      try: (_marshal.loads if which else pencode.pdecode)(other)\n'
            b'      except ValueError: bad += 1\n'
            b'  return bad > len(data) * 2, bad\n'
            b'def cycles():\n'
            b'  x = [1]; x.append((x, x)); d = {u"a": x}; d[u"d"] = d; t = ([],); t[0].append(t)\n'
            b'  y, e, u = pencode.pdecode(pencode.pencode([x, d, t]))\n'
            b'  return [y[1][0] is y, y[1][1] is y, e[u"d"] is e, e[u"a"] is y, u[0][0] is u]\n')

    def test_plain_values_are_read_in_every_version(self):
        values = [None, True, False, 0, -1, 1 << 31, -(1 << 70), 1 << 300, 1.5, -0.0, u'',
                  u'a', u'\xe9' * 300, (), (1, (2,)),
                  [[]], {}, {u'a': [1], 2: (3,)}, frozenset([1]), [u'same'] * 5, b'\xff' * 3]
        if OLD:
            values.pop()
        for version in range(3 if OLD else 5):
            for value in values:
                self.assertEqual(repr(self.a.call('mine:plain', version, value)), repr(value))
        self.assertEqual(repr(self.a.call('mine:there', *values)), repr(values))

    def test_cycles_and_identity_survive(self):
        self.assertEqual(self.a.call('mine:cycles'), [True] * 5)

    def test_bytes_that_are_no_value_are_refused(self):
        for which in 0, 1:
            self.assertTrue(self.a.call('mine:cut', which)[0])
        n = struct.Struct('>L').pack
        bad = [(0, data) for data in (
            b'', b'n ', b'x', b'i' + n(1) + b'x', b'i' + n(2) + b'+1', b'f' + n(1) + b'_', b'R' + n(9), b'R' + n(1),
            b't' + n(1) + b'R' + n(3), b'q' + n(1) + b'l' + n(0), b'd' + n(1) + b'l' + n(0) + b'n',
            b's' + n(2) + b'\xc3(',
            b's' + n(3) + b'\xed\xa0\x80', b'S' + n(1) + b'\xff', b'l' + n(0xffffffff),
            b'i' + n(1 << 17) + b'9' * (1 << 17),
            b'Q' + n(1) + b'R' + n(3), (b'l' + n(1)) * 5000 + b'n', b't' + n(2) + b't' + n(1) + b'R' + n(3) + b'n')]
        bad += [(1, data) for data in (
            b'', b'c', b'[' + b'\xff' * 4, b'r\0\0\0\0', b'(\1\0\0\0', b'{N', b'{N0', b'0', b'NN', b'\xa9\1r\0\0\0\0',
            b'<\1\0\0\0[\0\0\0\0', b'[\1\0\0\0' * 5000 + b'N', b'f\1x',
            b'R\0\0\0\0', b'l\1\0\0\0\xff\xff', b's\5\0\0\0a',
            marshal.dumps(compile('1', 'x', 'eval')), marshal.dumps([1j]), b'.', b'S')]
        for which, data in bad:
            found = self.a.call('mine:read', bytearray(data) if OLD else data, which)
            self.assertTrue(found.startswith('refused: '), (which, data[:50], found))

    def test_shared_parts_of_a_value_are_not_multiplied(self):
        data = b'l' + struct.pack('>L', 1) + b'n'
        for number in range(40):
            data = b'l' + struct.pack('>L', 2) + data + b'R' + struct.pack('>L', 3 + 40 - number)
        self.assertEqual(self.a.call(function(
            'from chopsticks.pencode import pdecode\ndef f(d):\n  v = pdecode(d)\n  return len(v), v[0] is v[1]'),
            bytearray(data) if OLD else data), (2, True))

    def test_keys_that_take_long_to_hash_are_refused(self):
        n, small = struct.Struct('>L').pack, struct.Struct('<i').pack
        # Tuples of the next one twice: of a few bytes each, and twice as long to hash as the next.
        for depth, words in (10, ''), (60, 'refused: keys that share too many parts'), (900, 'refused: keys'):
            inner = range(depth - 1, 0, -1)
            for which, data in (
                    (0, b'q' + n(1) + (b't' + n(2)) * depth + b'nn' + b''.join(b'R' + n(4 + i) for i in inner)),
                    (1, b'<' + small(1) + (b'\xa8' + small(2)) * depth + b'NN' +
                     b''.join(b'r' + small(i) for i in inner))):
                found = self.a.call('mine:read', bytearray(data) if OLD else data, which)
                self.assertTrue(found.startswith(words or ('set' if OLD else '{')), (which, depth, found[:100]))

    def test_keys_with_the_same_hash_are_refused_when_they_are_many(self):
        n, modulus = struct.Struct('>L').pack, (1 << 64) - 1 if OLD else sys.hash_info.modulus
        for count in 500, 20000:
            values = [i * modulus for i in range(1, count + 1)]
            texts = [b'i' + n(len(str(value))) + str(value).encode() for value in values]
            for which, data in (
                    (0, b'q' + n(count) + b''.join(texts)),
                    (0, b'd' + n(count) + b''.join(written + b'n' for written in texts)),
                    (1, b'<' + struct.pack('<i', count) + b''.join(marshal.dumps(value, 2) for value in values)),
                    (1, b'{' + b''.join(marshal.dumps(value, 2) + b'N' for value in values) + b'0')):
                found = self.a.call('mine:read', bytearray(data) if OLD else data, which)
                self.assertEqual(found == 'refused: too many keys with the same hash', count > 500, found[:100])

    def test_tuples_that_wait_for_one_another_are_made_in_one_go(self):
        n, count = struct.Struct('>L').pack, 40000
        data = b't' + n(1) + b'l' + n(count) + b't' + n(1) + b'R' + n(3) + b''.join(
            b't' + n(1) + b'R' + n(5 + i) for i in range(count - 1))
        self.assertEqual(self.a.call(function(
            'from chopsticks.pencode import pdecode\ndef f(d):\n  v = pdecode(d)\n'
            '  return len(v[0]), v[0][0][0] is v, v[0][1][0] is v[0][0], v[0][-1][0] is v[0][-2]'),
            bytearray(data) if OLD else data), (count, True, True, True))
