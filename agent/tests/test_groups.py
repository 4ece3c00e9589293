"""Groups, queues and files between the far side and inner agents."""
import hashlib
import os

from harness import OLD, Case, text

MINE = b'''
import os, sys, threading, time
from chopsticks.group import Group, GroupResult
from chopsticks.queue import NotCompleted, Queue
from chopsticks.tunnel import Docker, ErrorResult, Local, RemoteException, SSHTunnel, Sudo

def pid(): return os.getpid()
def fails_on(pids):
    if os.getpid() in pids: raise ValueError('not here')
    return 1
def locals_(n): return [Local('h%d' % i) for i in range(n)]
def bad(name='bad'): return Local(name, python='/no/such')

def fifty(n):
    with Group(locals_(n)) as g:
        found = g.call(pid)
        return list(found), len(set(found.values())), len(list(found.failures()))

def results():
    g = Group([Local('a'), bad(), Local('c')])
    found = g.call(len, 'abc')
    try: found.raise_failures()
    except RemoteException as e: text = str(e)
    try: g.filter(pid); told = None
    except RemoteException as e: told = str(e)
    out = [list(found), list(found.successful()),
           [(h, type(e).__name__, e.msg, e.tb) for h, e in found.failures()], text,
           told is not None, isinstance(found, dict), repr(found['bad'])]
    g.close()
    return out

def all_fail():
    found = Group([bad('a'), bad('b')]).call(pid)
    return type(found).__name__, [h for h, _ in found.failures()], len(Group([]).call(pid))

def filtered():
    with Group(locals_(3)) as g:
        pids = g.call(pid)
        one = [pids['h1']]
        out = [repr(g.call(fails_on, one)['h0']), g.call(fails_on, one)['h1'].msg,
               'fails_on' in g.call(fails_on, one)['h1'].tb]
        g.tunnels[1].call(setattr, sys, 'flag', 1) if 0 else g.tunnels[1].call(os.putenv, 'A', 'B')
        g.tunnels[1].call(mark)
        return out, repr(g.filter(is_marked)), repr(g.filter(is_marked, exclude=True))
def mark(): sys.marked = 1
def is_marked(): return hasattr(sys, 'marked')

def sets():
    a, b, c = Local('a'), Local('b'), Local('c')
    g = Group([a, b])
    found = [g + c, g | Local('b'), g & b, g - b, g ^ Group([b, c]), a + b, a - a, a & g, Group(['web1', 'user@web2']),
             Group([Docker('d'), Sudo('www'), SSHTunnel('s', port=22)])]
    names = [repr(x) for x in found]
    for bad in ([a, Local('a')],), (['x', 'x', 'y'],):
        try: Group(*bad)
        except ValueError as e: names.append(str(e))
    try: g + 5
    except TypeError as e: names.append(str(e))
    return names

def no_hosts():
    found = []
    for bad in 'web1', [5], [['a']], Local('a'):
        try: Group(bad)
        except TypeError as e: found.append(str(e))
    return found

def files(folder, data):
    source = os.path.join(folder, 'source')
    with open(source, 'wb') as f: f.write(bytes(data))
    out = []
    def tell(work, *args, **kwargs):
        try: return work(*args, **kwargs)
        except (EnvironmentError, RemoteException, ValueError) as e: return '%s: %s' % (type(e).__name__, e)
    with Local('own') as tun:
        out.append(tun.put(source, os.path.join(folder, 'there'), mode=0o640))
        out.append(tun.fetch(os.path.join(folder, 'there'), os.path.join(folder, 'back')))
        temporary = [tun.put(source), tun.fetch(source)]
        out.append([open(t[k], 'rb').read() == bytes(data) for t, k in zip(temporary, ('remote_path', 'local_path'))])
        for t, k in zip(temporary, ('remote_path', 'local_path')): os.unlink(t[k])
        keep = os.path.join(folder, 'keep')
        with open(keep, 'w') as f: f.write('kept')
        os.chmod(keep, 0o600)
        inner, taken = os.path.join(folder, 'inner'), os.path.join(folder, 'taken')
        if not os.path.isdir(inner): os.makedirs(inner); os.makedirs(os.path.join(taken, 'source'))
        out.append([tell(tun.put, os.path.join(folder, 'none'), keep),
                    tell(tun.fetch, os.path.join(folder, 'none'), keep),
                    tell(tun.put, source, os.path.join(folder, 'no', 'such')), tell(tun.put, folder, keep),
                    tell(tun.fetch, folder, keep), tell(tun.fetch, source, taken), tell(tun.put, source, taken),
                    tell(tun.fetch, source, os.path.join(folder, 'no', 'such'))])
        out.append([open(keep).read(), tun.call(pid) > 0])
        os.chmod(source, 0o600)
        into = [tun.put(source, inner)['remote_path'], tun.fetch(source, inner + '/')['local_path'],
                tun.fetch('~/source', keep)['local_path']]
        out.append([into, os.stat(into[0]).st_mode & 0o777, os.stat(keep).st_mode & 0o777, os.listdir(inner)])
        null = os.stat('/dev/null').st_ino
        tun.put(source, '/dev/null'), tun.fetch(source, '/dev/null')
        out[-1].append(os.stat('/dev/null').st_ino == null)
        os.unlink(into[0])
    return out

def group_files(folder):
    source = os.path.join(folder, 'source')
    with open(source, 'w') as f: f.write('data')
    with Group([Local('../up'), Local('b'), bad()]) as g:
        put = g.put(source)
        for _, found in put.successful(): os.unlink(found['remote_path'])
        got = g.fetch(source, os.path.join(folder, 'got-{host}'))
        try: g.fetch(source, os.path.join(folder, 'one')); told = ''
        except ValueError as e: told = str(e)
    return [len(set(f['remote_path'] for _, f in put.successful())), [h for h, _ in put.failures()],
            [os.path.basename(f['local_path']) for _, f in got.successful()], told]

def line(path, name):
    with open(path, 'a') as f: f.write(name + '\\\\n')
    return name

def queued(folder):
    path = os.path.join(folder, 'log')
    a, b, lost = Local('a'), Local('b'), bad()
    q, seen, threads = Queue(), [], []
    first = q.connect(a)
    try: first.value; early = False
    except NotCompleted: early = True
    results = [q.call(a, line, path, 'a%d' % i) for i in range(5)]
    together = q.call(Group([a, b, lost]), len, 'abc')
    after = q.call(lost, pid)
    touch(path + '-file')
    put = q.put(Group([a, b]), path + '-file')
    def again(value):
        threads.append(threading.current_thread() is threading.main_thread()
                       if hasattr(threading, 'main_thread') else True)
        seen.append(value)
        if len(seen) < 3: q.call(b, line, path, 'b%d' % len(seen)).with_callback(again)
    q.call(b, line, path, 'b0').with_callback(again)
    q.run()
    for _, f in put.value.successful(): os.unlink(f['remote_path'])
    order = [l for l in open(path).read().split() if l[0] == 'a']
    out = [early, first.value, [r.value for r in results], order,
           together.value['a'], type(together.value['bad']).__name__,
           list(together.value), type(after.value).__name__, seen, all(threads), len(list(put.value.successful()))]
    q.run()
    a.close(); b.close()
    return out

def touch_and_wait(path):
    touch(path)
    time.sleep(600)
def callback_fails(folder):
    a, path = Local('a'), os.path.join(folder, 'begun')
    q = Queue()
    def stop(value):
        wait_for(path)
        raise KeyError('stop')
    q.call(a, pid).with_callback(stop)
    under_way, rest = q.call(a, touch_and_wait, path), q.call(a, pid)
    try: q.run()
    except KeyError: pass
    try: rest.value; out = []
    except NotCompleted: out = [under_way.value.msg]
    q.run()
    out.append(rest.value > 0)
    a.close()
    return out

def overtakes(folder):
    """No host waits for another: `quick` ends its line while `slow` waits in its first operation for that."""
    flag = os.path.join(folder, 'flag')
    slow, quick = Local('slow'), Local('quick')
    q = Queue()
    waits = q.call(slow, wait_for, flag)
    for i in range(3): q.call(quick, pid)
    q.call(quick, touch, flag)
    q.run()
    slow.close(); quick.close()
    return waits.value
def touch(path): open(path, 'w').close()
def wait_for(path):
    while not os.path.exists(path): time.sleep(.01)
    return 'seen'
'''.replace(b'\\\\n', b'\\n')


class Groups(Case):
    def test_fifty_inner_agents_answer_at_once(self):
        hosts, pids, failures = self.outer(MINE).call('mine:fifty', 50)
        self.assertEqual((hosts, pids, failures), (['h%d' % i for i in range(50)], 50, 0))

    def test_results_are_in_order_and_failures_beside_them(self):
        hosts, good, bad, message, told, is_dict, shown = self.outer(MINE).call('mine:results')
        self.assertEqual((hosts, list(good)), (['a', 'bad', 'c'], [('a', 3), ('c', 3)]))
        self.assertEqual(list(bad), [('bad', 'ErrorResult', 'spawn: /no/such: No such file or directory', None)])
        self.assertEqual(message, '1/3 hosts had failures:\n\n[bad] spawn: /no/such: No such file or directory')
        self.assertTrue(told and is_dict and 'ErrorResult(' in shown)

    def test_group_never_fails_as_a_whole(self):
        self.assertEqual(self.outer(MINE).call('mine:all_fail'), ('GroupResult', ['a', 'b'], 0))

    def test_filter_asks_each_host(self):
        (fine, message, traced), chosen, others = self.outer(MINE).call('mine:filtered')
        self.assertEqual((fine, message, traced), ('1', 'ValueError: not here', True))
        self.assertEqual((chosen, others), ("Group([Local('h1')])", "Group([Local('h0'), Local('h2')])"))

    def test_groups_and_tunnels_are_sets_by_name(self):
        self.assertEqual(self.outer(MINE).call('mine:sets'), [
            "Group([Local('a'), Local('b'), Local('c')])", "Group([Local('a'), Local('b')])", "Group([Local('b')])",
            "Group([Local('a')])", "Group([Local('a'), Local('c')])", "Group([Local('a'), Local('b')])", 'Group([])',
            "Group([Local('a')])", "Group([SSHTunnel('web1'), SSHTunnel('user@web2')])",
            "Group([Docker('d'), Sudo('www@localhost'), SSHTunnel('s')])",
            'more than one host is named a: results have one place for each name',
            'more than one host is named x: results have one place for each name', '5 is neither a tunnel nor a group'])

    def test_group_of_one_name_is_not_one_of_its_letters(self):
        found = self.outer(MINE).call('mine:no_hosts')
        self.assertEqual(found[:3], ["'web1' is one name: give a list of them",
                                     '5 is neither a tunnel nor the name of a host',
                                     "['a'] is neither a tunnel nor the name of a host"])
        self.assertEqual(len(found), 4)


class Files(Case):
    def test_files_arrive_whole_or_not_at_all(self):
        folder = self.folder()
        agent = self.outer(MINE, env=dict(os.environ, HOME=folder))
        for data in b'', b'abc', b'x' * 5000000:
            put, fetched, temporary, errors, after, kinds = agent.call(
                'mine:files', text(folder), bytearray(data) if OLD else data)
            sha1 = hashlib.sha1(data).hexdigest()
            there = {'remote_path': os.path.join(folder, 'there'), 'size': len(data), 'sha1sum': sha1}
            self.assertEqual(put, there)
            self.assertEqual(fetched, dict(there, local_path=os.path.join(folder, 'back')))
            self.assertEqual(os.stat(os.path.join(folder, 'there')).st_mode & 0o777, 0o640)
            self.assertEqual(os.stat(os.path.join(folder, 'back')).st_mode & 0o777, 0o640)
            self.assertEqual(temporary, [True, True])
            for message, words in zip(errors, (
                    ('No such file', 'none'), ('own: ', 'none: No such file'),
                    ('own: ', 'such: Its folder does not exist'),
                    ('Is a directory', folder), ('own: ', 'Is a directory'), ('Is a directory', folder),
                    ('own: ', 'Is a directory'), ('folder does not exist', 'such'))):
                for word in words:
                    self.assertIn(word, message)
            self.assertEqual(after, ['kept', True])
            inner = os.path.join(folder, 'inner', 'source')
            self.assertEqual(kinds, [[inner, inner, os.path.join(folder, 'keep')], 0o600, 0o600, ['source'], True])
            self.assertEqual(sorted(os.listdir(folder)), ['back', 'inner', 'keep', 'source', 'taken', 'there'])

    def test_file_that_changes_while_it_is_read_is_not_sent(self):
        agent, folder = self.outer(MINE), self.folder()
        source = os.path.join(folder, 'source')
        with open(source, 'wb') as f:
            f.write(b'x' * (8 << 20))
        info = agent.fails((text(
            'import os\nfrom chopsticks import _files\nfrom chopsticks.tunnel import Local\n'
            'def f(path):\n  with Local("own") as tun:\n    tun.connect()\n    update = _files.ready()["new_sha1"]\n'
            '    def changed():\n      with open(path, "r+b") as f: f.write(b"y")\n      return update()\n'
            '    _files.ready()["new_sha1"] = changed\n    tun.put(path, path + "-there")'), u'f', {}, u'x.py', None),
            text(source))
        self.assertIn('It changed while it was read', info['message'])
        self.assertIn('source', info['message'])
        self.assertEqual(os.listdir(folder), ['source'])

    def test_group_gives_each_host_a_path_of_its_own(self):
        agent, folder = self.outer(MINE), self.folder()
        paths, failed, names, told = agent.call('mine:group_files', text(folder))
        self.assertEqual((paths, list(failed), list(names)), (2, ['bad'], ['got-..%2Fup', 'got-b']))
        self.assertIn('../up and b', told)
        self.assertEqual(sorted(os.listdir(folder)), ['got-..%2Fup', 'got-b', 'source'])


class Queues(Case):
    def test_each_host_works_off_its_line_in_order(self):
        names = ['a%d' % i for i in range(5)]
        self.assertEqual(self.outer(MINE).call('mine:queued', text(self.folder())), [
            True, None, names, names, 3, 'ErrorResult', ['a', 'b', 'bad'], 'ErrorResult', ['b0', 'b1', 'b2'], True, 2])

    def test_callback_that_raises_ends_the_run_and_leaves_the_rest(self):
        self.assertEqual(self.outer(MINE).call('mine:callback_fails', text(self.folder())), ['cancelled', True])

    def test_no_host_waits_for_another(self):
        self.assertEqual(self.outer(MINE).call('mine:overtakes', text(self.folder())), 'seen')
