# coding: utf-8
"""Tunnels from the far side: calls, what travels, what is refused, and how deep they go."""
import os
import sys
import unittest

from harness import OLD, Case, eventually, function, interpreters, text

# Where what has no name can be pickled.
NEW = sys.version_info >= (3, 8)

SOURCE = b'''
import os, sys, threading, time
import chopsticks
from chopsticks.pencode import Bytes
from chopsticks.tunnel import DepthLimitExceeded, Local, RemoteException

def add(a, b=1): return a + b
def same(*args, **kwargs): return args, kwargs
def pid(): return os.getpid()
def three(): return 'a', u'a', Bytes(b'\\xff')
def table(python):
    with Local('i', python=python) as tun:
        return tun.call(kinds, ['a', u'a', Bytes(b'\\xff')]), kinds(tun.call(three))
def where(): return sys.modules['mine'].__file__, threading.current_thread().name
def fails(): raise ValueError('bad \\xe9' if str is bytes else 'bad \\xc3\\xa9')
def kinds(value): return [type(v).__name__ for v in value]
def deep(n):
    if not n: return [pid()]
    with Local('d%d' % n) as tun: return tun.call(deep, n - 1) + [pid()]

class Klass(object):
    @classmethod
    def made(cls, n): return cls.__name__, n
    @staticmethod
    def still(n): return n + 1
    def method(self): return 1

def calls():
    with Local('inner') as tun:
        return [tun.call(add, 2, b=3), tun.call(len, 'abc'), tun.call(os.path.join, 'a', 'b'),
                tun.call(Klass.made, 5), tun.call(Klass.still, 5), tun.call(time.time) > 0,
                tun.call(dict.fromkeys, 'a'), tun.call(pid) != pid(), tun.call(os.getpid) == tun.call(pid)]

def refused():
    found, scale = [], 2
    def nested(): return scale
    with Local('inner') as tun:
        for bad in (lambda: 1), nested, Klass().method, [].append, 5:
            try: tun.call(bad)
            except TypeError as e: found.append(str(e))
        for bad in (object(),), ([1, 2j],):
            try: tun.call(same, *bad)
            except TypeError as e: found.append(str(e))
        renamed = add
        try:
            globals()['add'] = len
            tun.call(renamed)
        except TypeError as e: found.append(str(e))
        finally: globals()['add'] = renamed
    return found

def through(python, *values):
    with Local('inner', python=python) as tun:
        return tun.call(kinds, values), tun.call(same, *values)[0]

def shared(python):
    x = [1]
    x.append(x)
    with Local('inner', python=python) as tun:
        back = tun.call(same, x, x)[0]
    return back[0] is back[1] and back[0][1] is back[0]

def error():
    with Local('inner') as tun:
        try: tun.call(fails)
        except RemoteException as e:
            return [e.host, e.type_name, e.msg, 'in fails' in e.tb, str(e) == e.args[0], tun.call(add, 1)]

def reconnects():
    tun = Local('inner')
    first = tun.call(pid)
    tun.close(); tun.close()
    second = tun.call(pid)
    os.kill(second, 9)
    try: tun.call(time.sleep, 600)
    except RemoteException as e: lost = str(e)
    third = tun.call(pid)
    tun.connect()
    return len(set([first, second, third, tun.call(pid)])), lost

def many(count):
    found, threads = [], []
    with Local('inner') as tun:
        def work(n):
            for i in range(20): found.append(tun.call(add, n, i) == n + i)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
        for t in threads: t.start()
        for t in threads: t.join()
    return len(found), all(found)

def large(size):
    with Local('inner') as tun:
        return len(tun.call(same, Bytes(b'x' * size))[0][0]), tun.call(add, 1)

def recursive():
    with Local() as tun:
        tun.call(recursive)

def limited(limit, n):
    chopsticks.DEPTH_LIMIT = limit
    return deep(n)

def spawned(name):
    class Marked(Local):
        def command(self, python): return super(Marked, self).command(python) + [name]
    try: Marked('inner').connect()
    except DepthLimitExceeded as e: return str(e)
'''


class Tunnels(Case):
    def test_functions_of_all_kinds_are_called_there(self):
        self.assertEqual(self.outer(SOURCE).call('mine:calls'), [
            5, 3, 'a/b', ('Klass', 5), 6, True, {'a': None}, True, True])

    @unittest.skipIf(NEW, 'newer versions send it')
    def test_what_cannot_travel_is_refused_with_advice(self):
        found = self.outer(SOURCE).call('mine:refused')
        for part, message in zip(('lambda', 'not what mine has' if OLD else 'within another function',
                                  'an instance', 'an instance', 'not callable',
                                  'object is not a primitive type', 'complex is not a primitive type',
                                  'not what mine has of that name'), found):
            self.assertIn(part, message)
        self.assertEqual(len(found), 8)
        self.assertIn('[0][1]', found[6])

    @unittest.skipUnless(NEW, 'older versions cannot')
    def test_functions_without_a_name_travel_and_all_that_pickle_takes(self):
        agent = self.outer(
            b'from chopsticks.tunnel import Local\nimport datetime, fractions, functools, threading\nSCALE = 3\n'
            b'class Klass(object):\n'
            b'  def __init__(self, n): self.n = n\n'
            b'  def method(self, x): return self.n * x * SCALE\n'
            b'def refusal(work, *args):\n'
            b'  try: work(*args)\n'
            b'  except TypeError as e: return str(e)\n'
            b'def make(n):\n'
            b'  def inner(x):\n    return x + n + SCALE\n'
            b'  return inner\n'
            b'def travels(python):\n'
            b'  date = datetime.date(2020, 1, 2)\n'
            b'  with Local("inner", python=python) as tun:\n'
            b'    return [tun.call(lambda: SCALE), tun.call(make(1), 1), tun.call(Klass(2).method, 5),\n'
            b'            tun.call(date.isoformat),\n'
            b'            tun.call(lambda f, x: f(x), make(2), 1), tun.call(str, fractions.Fraction(1, 2)),\n'
            b'            tun.call(functools.partial(make(5), 1)), tun.call(lambda d: d == [d[0], 2j], [date, 2j]),\n'
            b'            refusal(tun.call, 5), refusal(tun.call, len, [threading.Lock()]), tun.call(len, [])]\n'
            b'def error(python):\n'
            b'  with Local("inner", python=python) as tun: tun.call(lambda: 1 // 0)\n')
        for python in interpreters():
            found = agent.call('mine:travels', text(python))
            self.assertEqual(found[:8], [3, 5, 30, '2020-01-02', 6, '1/2', 9, True], python)
            self.assertEqual(found[8], '5 is not callable')
            self.assertIn('argument 1 of len cannot be sent: ', found[9])
            self.assertIn('_thread.lock', found[9])
            self.assertEqual(found[10], 0)
            info = agent.fails('mine:error', text(python))
            self.assertIn('ZeroDivisionError', info['message'])
            self.assertIn('with Local("inner", python=python) as tun: tun.call(lambda: 1 // 0)', info['traceback'])

    def test_values_arrive_between_all_versions_of_python(self):
        agent = self.outer(SOURCE)
        for python in interpreters():
            values = [None, True, -1, 1 << 70, 1.5, u'\xe9', [1, (2,)], {u'k': [3]},
                      set([4]), frozenset([5]), u'', [], ()]
            request = agent.call_later('mine:through', text(python), *values)
            kinds, back = agent.result(request)
            self.assertEqual(list(back), values, python)
            self.assertEqual(kinds[4:5] + kinds[6:10], ['float', 'list', 'dict', 'set', 'frozenset'], python)
            self.assertTrue(agent.call('mine:shared', text(python)))

    def test_text_and_bytes_follow_the_table(self):
        agent = self.outer(SOURCE)
        for python in interpreters():
            there, back = agent.call('mine:table', text(python))
            is_old = 'python2' in python or '/2.7' in python or OLD and python == sys.executable
            wanted = {(True, True): ['str', 'unicode', 'str'], (True, False): ['str', 'str', 'bytes'],
                      (False, True): ['unicode', 'unicode', 'str'], (False, False): ['str', 'str', 'bytes']}
            self.assertEqual(there, wanted[OLD, is_old], python)
            # Back from there: what 2.7 calls `str` is text to others, and what it marks as bytes is.
            self.assertEqual(back, {(True, True): ['str', 'unicode', 'str'],
                                    (True, False): ['unicode', 'unicode', 'str'],
                                    (False, True): ['str', 'str', 'bytes'],
                                    (False, False): ['str', 'str', 'bytes']}[OLD, is_old], python)

    def test_exception_comes_with_host_type_text_and_traceback(self):
        host, kind, message, traced, whole, after = self.outer(SOURCE).call('mine:error')
        self.assertEqual((host, kind, traced, whole, after), ('inner', 'ValueError', True, True, 2))
        self.assertTrue(message.startswith('ValueError: bad '), message)

    def test_tunnel_connects_again_after_close_and_after_a_loss(self):
        lives, lost = self.outer(SOURCE).call('mine:reconnects')
        self.assertEqual(lives, 3)
        self.assertIn('inner: connection: ', lost)
        self.assertIn('was killed by signal 9', lost)

    def test_threads_share_a_tunnel(self):
        self.assertEqual(self.outer(SOURCE).call('mine:many', 20), (400, True))

    def test_messages_take_turns_but_for_notices(self):
        body = ('from chopsticks._connection import HEADER, Connection\nfrom threading import Lock\n'
                'def f():\n  c = Connection.__new__(Connection)\n  c.lock, c.asked = Lock(), set()\n'
                '  c.queue = [[r, o, 2, memoryview(b"x" * size), False] for r, o, size in\n'
                '             ((2, 32, 300000), (4, 32, 1), (0, 33, 200000), (6, 32, 1))]\n'
                '  frames = [c.next_frame() for _ in range(8)]\n'
                '  return [HEADER.unpack(frame[:10])[1:] for frame in frames if frame]')
        self.assertEqual(self.outer().call(function(body)), [
            (2, 32, 0x82), (4, 32, 2), (0, 33, 0x82), (0, 33, 2), (6, 32, 2), (2, 32, 0x82), (2, 32, 2)])

    def test_large_values_go_both_ways(self):
        self.assertEqual(self.outer(SOURCE).call('mine:large', 9 << 20), (9 << 20, 2))

    def test_functions_of_sources_and_scripts_travel(self):
        body = (u'import os\nfrom chopsticks.tunnel import Local\ndef g(n): return n * SCALE, os.getpid()\n'
                u'def f(n):\n  with Local() as tun: return tun.call(g, n) + (os.getpid(),)')
        for name in None, u'script':
            agent = self.outer()
            n, inner, outer = agent.call((body, u'f', {u'SCALE': 1 << 40}, u'script.py', name), 2)
            self.assertEqual(n, 2 << 40)
            self.assertNotEqual(inner, outer)

    def test_modules_are_asked_for_once_however_many_agents_need_them(self):
        agent = self.outer(SOURCE, modules={'pack': b'', 'pack.a': b'from pack import b\ndef f(): return b.X',
                                            'pack.b': b'X = 7', 'late': b'Y = 8', 'uses': (
            b'from chopsticks.group import Group\nfrom chopsticks.tunnel import Local\n'
            b'def f():\n  import late, pack.a\n  return late.Y + pack.a.f()\n'
            b'def many(n):\n  with Group([Local(str(i)) for i in range(n)]) as g: return list(g.call(f).values())\n'
            b'def deeper():\n  with Local() as tun: return tun.call(many, 3)')},
            options={u'depth': 1, u'depth_limit': 3})
        self.assertEqual(agent.call('uses:many', 6), [15] * 6)
        self.assertEqual(agent.call('uses:deeper'), [15] * 3)
        modules = [name for name in agent.asked if name[0] != '.']
        self.assertEqual(len(modules), len(set(modules)), sorted(modules))
        self.assertIn('late', modules)

    def test_empty_modules_reach_every_version_of_python(self):
        modules = dict.fromkeys(('pack', 'pack.a', 'pack.b', 'other', 'other.c'), b'')
        modules['pack.use'] = (b'from chopsticks.tunnel import Local\nimport pack.a, pack.b, other.c\n'
                               b'def g(): return sorted([pack.a.__name__, pack.b.__name__, other.c.__name__])\n'
                               b'def f(python):\n  with Local("i", python=python) as tun: return tun.call(g)')
        agent = self.outer(modules=modules)
        for python in interpreters():
            self.assertEqual(agent.call('pack.use:f', text(python)), ['other.c', 'pack.a', 'pack.b'], python)

    def test_short_bytes_of_a_source_reach_every_version_of_python(self):
        body = (u'from chopsticks.tunnel import Local\ndef g(): return [len(v) for v in (A, B, C[0], C[1])]\n'
                u'def f(python):\n  with Local("i", python=python) as tun: return tun.call(g)')
        agent = self.outer()
        for python in interpreters():
            # What the harness takes for text on 2.7.
            data = [bytearray(v) if OLD else v for v in (b'', b'', b'x', b'x')]
            values = {u'A': data[0], u'B': data[1], u'C': data[2:]}
            self.assertEqual(agent.call((body, u'f', values, u'source:f', None), text(python)), [0, 0, 1, 1], python)

    def test_module_that_is_not_there_or_refused_is_told_as_at_home(self):
        agent = self.outer(b'from chopsticks.tunnel import Local\ndef none():\n  import mine.nothing\n'
                           b'def refused():\n  import native\n'
                           b'def f(name):\n  with Local() as tun: tun.call(globals()[name])', modules={'native': b''})
        inherited = agent.entry
        agent.entry = lambda name: text({'kind': 'import', 'message': 'native is not Python'}) if (
            name == 'native') else inherited(name)
        # Python 2 tells the last part of a name alone.
        for name, words in ('none', 'nothing'), ('refused', 'native is not Python'):
            message = agent.fails('mine:f', text(name))['message']
            self.assertIn(words, message)
            self.assertIn('Error', message)
            self.assertNotIn('Traceback', message)

    def test_data_of_packages_is_there_at_any_depth(self):
        agent = self.outer(modules={'pack': b'import pkgutil\nfrom chopsticks.tunnel import Local\n'
                                    b'def read(): return pkgutil.get_data("pack", "data.txt").decode()\n'
                                    b'def f():\n  with Local() as tun: return tun.call(read)', 'pack.m': b''})
        agent.data['pack', 'data.txt'] = b'content'
        self.assertEqual(agent.call('pack:f'), 'content')

    def test_facts_do_not_load_tunnels_and_run_in_inner_agents(self):
        agent = self.outer(b'from chopsticks import facts, helpers\nimport sys\n'
                           b'def f(): return sorted(n for n in sys.modules'
                           b' if sys.modules[n] and n[:11] == "chopsticks.")\n'
                           b'def g():\n  from chopsticks import Tunnel, Local\n'
                           b'  with Local() as tun: return tun.call(facts.python_version), Tunnel.__name__')
        self.assertEqual(agent.call('mine:f'), ['chopsticks.facts', 'chopsticks.helpers'])
        self.assertEqual(agent.call('mine:g'), (list(sys.version_info), 'SSHTunnel'))
        info = agent.fails(function('import chopsticks\ndef f(): return chopsticks.nothing'))
        self.assertIn('nothing', info['message'])


class Drivers(Case):
    MINE = (b'from chopsticks.tunnel import *\n'
            b'class Own(SSHTunnel): python2 = python3 = "/opt/python"\n'
            b'class Lxc(SubprocessTunnel):\n  def __init__(self, name): self.host = name\n'
            b'  def command(self, python): return ["lxc-attach", "-n", self.host, "--"] + python\n'
            b'def argv(kind, *args, **kwargs):\n'
            b'  tun = globals()[kind](*args, **kwargs)\n'
            b'  tun.PYTHON_ARGS = ["-c", "a\'b(c)"]\n'
            b'  return tun.argv([])\n'
            b'def changed():\n  Tunnel.python2 = Tunnel.python3 = "/x"\n'
            b'  return argv("Tunnel", "h")[-1], argv("Own", "h")[-1]')

    def test_arguments_are_those_of_the_programs(self):
        agent = self.outer(self.MINE)
        python = '/usr/bin/python2' if OLD else '/usr/bin/python3'
        sudo = ['sudo', '--non-interactive', '--set-home', '-u']
        tail = ['-c', "a'b(c)"]
        self.assertEqual(agent.call('mine:argv', u'Local'), [agent.hello['executable']] + tail)
        self.assertEqual(agent.call('mine:argv', u'Local', python=u'/p'), ['/p'] + tail)
        self.assertEqual(agent.call('mine:argv', u'Sudo', u'www'), sudo + ['www', '--', python] + tail)
        self.assertEqual(agent.call('mine:argv', u'Lxc', u'box'), ['lxc-attach', '-n', 'box', '--', python] + tail)
        words = agent.call('mine:argv', u'SSHTunnel', u'h', u'me', 2222, True)
        self.assertEqual(words[:7], ['ssh', '-T', '-x', '-l', 'me', '-p', '2222'])
        self.assertIn('BatchMode=yes', words)
        self.assertEqual(words[-3:], ['--', 'h', "exec %s root -- %s -c 'a'\\''b(c)'" % (' '.join(sudo), python)])
        words = agent.call('mine:argv', u'Docker', u'box', image=u'python:3')
        self.assertEqual(words[:7], ['docker', 'run', '-i', '--log-driver', 'none', '--init', '--rm'])
        self.assertEqual(words[-6:], ['--name', 'box', 'python:3', 'python2' if OLD else 'python3'] + tail)
        self.assertEqual([word.partition('=')[0] for word in words if word.startswith('chopsticks.')],
                         ['chopsticks.controller', 'chopsticks.connection'])
        self.assertNotIn('--rm', agent.call('mine:argv', u'Docker', u'box', rm=False))

    def test_words_are_those_of_cmd_args(self):
        code = (
            'import os\nfrom chopsticks.tunnel import *\n'
            'class Wrapped(Local):\n'
            '  def cmd_args(self): return ["env", "WRAPPED=yes"] + super(Wrapped, self).cmd_args()\n'
            'class Whole(SubprocessTunnel):\n  host = "whole"\n'
            '  def cmd_args(self): return ["env", "WRAPPED=whole", "%s"] + self.PYTHON_ARGS\n'
            'class Text(Whole):\n  def cmd_args(self): return "a line"\n'
            'class Pipes(Whole):\n  def connect_pipes(self): pass\n'
            'def wrapped(kind):\n'
            '  with globals()[kind]() as tun: return tun.call(os.getenv, "WRAPPED")\n'
            'def constant():\n  args = SubprocessTunnel.PYTHON_ARGS\n'
            '  return args == Local().PYTHON_ARGS, args is Local().PYTHON_ARGS, args[:-1], len(args[-1]) > 50\n')
        agent = self.outer((code % sys.executable).encode())
        self.assertEqual(agent.call('mine:wrapped', u'Wrapped'), 'yes')
        self.assertEqual(agent.call('mine:wrapped', u'Whole'), 'whole')
        # What is not honoured is refused, and runs nowhere.
        self.assertIn('returned \'a line\', not a list of words', agent.fails('mine:wrapped', u'Text')['message'])
        info = agent.fails('mine:wrapped', u'Pipes')
        self.assertIn('Pipes has connect_pipes(), which is not called', info['message'])
        self.assertEqual(agent.call('mine:constant'), (True, False, ['-s', '-S', '-E', '-c'], True))

    def test_image_and_names_are_as_elsewhere(self):
        agent = self.outer(
            b'import chopsticks, sys\nfrom chopsticks.group import Group, GroupResult\n'
            b'from chopsticks.tunnel import *\n'
            b'def f():\n  a, b, again = Local("a"), Local("b"), Sudo(name="a")\n'
            b'  g = Group([a, b])\n'
            b'  def hosts(group): return [t.host for t in group.tunnels]\n'
            b'  return [Docker("x").image == "python:%d.%d" % sys.version_info[:2],\n'
            b'          a == again, a != again, a == b, a != b, a == "a", len(set([a, b, again])),\n'
            b'          hash(a) == hash("a"),\n'
            b'          hosts(a.union(b)), hosts(g.intersection(again)), hosts(g.difference(a)),\n'
            b'          hosts(g.symmetric_difference(Group([b, Local("c")]))), hosts(a.difference(g)), hosts(a + b),\n'
            b'          repr(g), repr(GroupResult([("b", 1), ("a", 2)])), list(GroupResult([("b", 1)]).iteritems()),\n'
            b'          chopsticks.__version__.split(".") == [str(n) for n in chopsticks.__versioninfo__]]\n')
        self.assertEqual(agent.call('mine:f'), [
            True, True, False, False, True, False, 2, True, ['a', 'b'], ['a'], ['b'], ['a', 'c'], [], ['a', 'b'],
            "Group([Local('a'), Local('b')])", "GroupResult({'b': 1, 'a': 2})" if sys.version_info >= (3, 7) else
            agent.call('mine:f')[15], [('b', 1)], True])

    def test_listing_of_a_folder(self):
        folder = self.folder()
        open(os.path.join(folder, 'one'), 'w').close()
        agent = self.outer(b'from chopsticks.tunnel import Local\nfrom chopsticks.tasks.processes import ls\n'
                           b'def f(path):\n  with Local() as tun: return ls(path), tun.call(ls, path)\n')
        here, there = agent.call('mine:f', text(folder))
        self.assertEqual(here, there)
        self.assertEqual(len(here), 2)
        self.assertTrue(here[1].endswith(' one'))

    def fake_ssh(self, version):
        """An agent with an `ssh` of that version, which runs here what it is to run; and where it notes its words."""
        folder = self.folder()
        path, notes = os.path.join(folder, 'ssh'), os.path.join(folder, 'notes')
        with open(path, 'w') as f:
            f.write('#!/bin/sh\necho "$SSH_ASKPASS $SSH_ASKPASS_REQUIRE $*" >> %s\n'
                    'if [ "$1" = -V ]; then %s; exit; fi\n'
                    'while [ "$1" != -- ]; do shift; done\neval "$3"\n' % (notes, version))
        os.chmod(path, 0o755)
        env = dict(os.environ, PATH=folder + ':' + os.environ['PATH'], SSH_ASKPASS='/bin/canary')
        return self.outer(self.MINE + b'\nimport os, sys\nTunnel.python2 = Tunnel.python3 = sys.executable\n'
                          b'def pids(*names):\n  found = [SSHTunnel(n).call(os.getpid) for n in names]\n'
                          b'  return len(set(found)), os.environ["SSH_ASKPASS"]\n'
                          b'def write(): os.write(2, b"mine\\n")\n'
                          b'def writes(name): SSHTunnel(name).call(write)\n', env=env), notes

    def test_options_of_newer_ssh_are_for_newer_ssh_which_is_asked_once(self):
        for version, is_new in (('OpenSSH_9.2p1 Debian-2+deb12u10', True), ('OpenSSH_8.7p1', True),
                                ('OpenSSH_10.0p2', True), ('OpenSSH_8.6p1', False), ('OpenSSH_7.4p1', False),
                                ('OpenSSH_for_Windows_8.1p1', False), ('Dropbear v2022.83', False)):
            agent, notes = self.fake_ssh('echo "%s, OpenSSL 3.0" >&2' % version)
            self.assertEqual(agent.call('mine:pids', u'a', u'b')[0], 2)
            with open(notes) as f:
                lines = f.read().split('\n')[:-1]
            self.assertEqual([line.split()[1] for line in lines if line.endswith(' -V')], ['-V'])
            self.assertEqual(len(lines), 3, lines)
            for line in lines[1:]:
                for option in 'SessionType=default', 'StdinNull=no', 'ForkAfterAuthentication=no':
                    self.assertEqual(option in line, is_new, (version, line))

    def test_ssh_that_does_not_tell_its_version_is_waited_for_no_longer_than_it_takes(self):
        agent, notes = self.fake_ssh('sleep 1000')
        agent.call(function('from chopsticks import _command\ndef f(): _command.VERSION_TIMEOUT = .2'))
        self.assertEqual(agent.call('mine:pids', u'a')[0], 1)
        agent, notes = self.fake_ssh('(sleep 1000 &); echo OpenSSH_9.9 >&2')
        self.assertEqual(agent.call('mine:pids', u'a')[0], 1)

    def test_messages_that_the_users_level_of_ssh_hides_are_not_shown(self):
        for level, is_shown in ('ERROR', False), ('SILENT', False), ('INFO', True), ('', True):
            agent, notes = self.fake_ssh(
                'echo OpenSSH_9.9 >&2; exit; fi\nif [ "$1" = -G ]; then printf "user me\\nloglevel %s\\nport 22\\n"; '
                'exit; fi\nif :; then echo banner >&2; fi\nif false; then :' % level)
            agent.call('mine:writes', u'a')
            self.assertTrue(eventually(lambda: b'[a] mine\n' in agent.errors), agent.errors)
            self.assertEqual(agent.errors, [b'[a] banner\n'] * is_shown + [b'[a] mine\n'])
            with open(notes) as f:
                question, = [line for line in f if ' -G ' in line]
            # What is in force, but for the level that is set for errors.
            self.assertNotIn('LogLevel', question)
            self.assertTrue(question.endswith(' -- a\n'), question)

    def test_ssh_is_kept_from_asking_by_a_program(self):
        agent, notes = self.fake_ssh('echo OpenSSH_9.2p1 >&2')
        self.assertEqual(agent.call('mine:pids', u'a'), (1, '/bin/canary'))
        with open(notes) as f:
            self.assertTrue(f.read().split('\n')[1].startswith(' never -T -x'))

    def test_interpreter_is_set_for_a_class_and_for_all(self):
        self.assertEqual(self.outer(self.MINE).call('mine:changed'), (
            "exec /x -c 'a'\\''b(c)'", "exec /opt/python -c 'a'\\''b(c)'"))


class Depth(Case):
    def test_recursion_ends_at_the_limit_with_the_path(self):
        info = self.outer(SOURCE, options={u'host': u'localhost', u'hosts': [u'localhost'], u'depth': 1,
                                           u'depth_limit': 2}).fails('mine:recursive')
        self.assertIn('DepthLimitExceeded', info['message'])
        self.assertIn('Depth limit of 2 exceeded at localhost -> localhost -> localhost', info['message'])

    def test_limit_of_the_controller_holds_at_every_depth(self):
        for limit in 1, 2, 4:
            agent = self.outer(SOURCE, options={u'depth': 1, u'depth_limit': limit})
            self.assertEqual(len(set(agent.call('mine:deep', limit - 1))), limit)
            info = agent.fails('mine:deep', limit)
            self.assertIn('DepthLimitExceeded', info['type'] + info['message'])
            self.assertIn('test -> ' + ' -> '.join('d%d' % n for n in range(limit, 0, -1)), info['message'])

    def test_limit_is_set_by_the_package(self):
        agent = self.outer(SOURCE)
        info = agent.fails('mine:deep', 2)
        self.assertIn('DepthLimitExceeded', info['message'])
        self.assertEqual(len(agent.call('mine:limited', 4, 3)), 4)

    def test_nothing_is_started_beyond_the_limit(self):
        agent = self.outer(SOURCE, options={u'depth': 2, u'depth_limit': 2, u'hosts': [u'a', u'b']})
        self.assertIn('a -> b -> inner', agent.call('mine:spawned', u'depth-canary'))
        self.assertEqual(agent.call(function(
            'import os\ndef f():\n  try: os.waitpid(-1, 0)\n  except OSError: return 1')), 1)


class StdErr(Case):
    def test_lines_come_whole_behind_the_names_that_lead_there(self):
        agent = self.outer(b'import os\nfrom chopsticks.tunnel import Local\n'
                           b'def say(): os.write(2, b"one\\ntw"); os.write(2, b"o \\xff\\nrest")\n'
                           b'def middle():\n  with Local("inner") as tun: tun.call(say)\n'
                           b'def f():\n  with Local("outer") as tun: tun.call(middle)',
                           options={u'depth': 1, u'depth_limit': 3})
        agent.call('mine:f')
        self.assertEqual(agent.errors, [
            b'[outer] [inner] one\n', b'[outer] [inner] two \xff\n', b'[outer] [inner] rest\n'])
