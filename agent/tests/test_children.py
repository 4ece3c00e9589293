"""Processes that user code starts by a fork or by `multiprocessing`: they import what the agent can import."""
import io
import os
import sys
import unittest
import zipfile

from harness import OLD, Case, alive, eventually, function, text

SUFFIX = '.so' if OLD else __import__('importlib.machinery').machinery.EXTENSION_SUFFIXES[-1]

METHODS = ('fork',) if OLD else ('fork', 'spawn', 'forkserver')

JOB = b'''
import multiprocessing, os, sys
if sys.version_info < (3,): import imp
def context(method):
    return multiprocessing.get_context(method) if hasattr(multiprocessing, 'get_context') else multiprocessing
def in_pool(method, name, *args):
    pool = context(method).Pool(2)
    try: return pool.apply(by_name, (name,) + args)
    finally:
        pool.close()
        pool.join()
def by_name(name, *args):
    module, _, leaf = name.partition(':')
    __import__(module)
    return getattr(sys.modules[module], leaf)(*args)
def in_fork(what, *args):
    there, here = os.pipe()
    pid = os.fork()
    if not pid:
        try: out = str(what(*args))
        except BaseException as e: out = '%s: %s' % (type(e).__name__, e)
        try: os.write(here, out.encode())
        finally: os._exit(0)
    os.close(here)
    with os.fdopen(there) as file: out = file.read()
    os.waitpid(pid, 0)
    return out
def forked(name, *args):
    return in_fork(by_name, name, *args)
def double(x): return 2 * x
def mapped(method, n):
    pool = context(method).Pool(2)
    try: return pool.map(double, range(n))
    finally:
        pool.close()
        pool.join()
def executed(method):
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2) if not method else ProcessPoolExecutor(2, context(method)) as pool:
        return list(pool.map(double, [1, 2]))
def put(queue, name): queue.put(by_name(name))
def process(method, name):
    c = context(method)
    queue = c.Queue()
    child = c.Process(target=put, args=(queue, name))
    child.start()
    try: return queue.get(timeout=50)
    finally: child.join()
def fails(x):
    raise ValueError('x is %r' % x)
def raised(method):
    import traceback
    pool = context(method).Pool(1)
    try: pool.apply(fails, (1,))
    except ValueError: return traceback.format_exc()
    finally:
        pool.close()
        pool.join()
def preloaded():
    c = context('forkserver')
    c.set_forkserver_preload(['late'])
    pool = c.Pool(1)
    try: return pool.apply(eval, ('"late" in __import__("sys").modules',))
    finally:
        pool.close()
        pool.join()
def idle(method, path, n=2):
    c = context(method)
    for _ in range(n):
        c.Process(target=asleep, args=(path,)).start()
def asleep(path):
    import late, time
    with open(path, 'a') as file: file.write('%d\\n' % os.getpid())
    time.sleep(1000)
def idle_and_wait(method, path):
    idle(method, path)
    asleep(path)
def is_import_under_way(name):
    if sys.version_info < (3,):
        return imp.lock_held()
    import _frozen_importlib
    return name in _frozen_importlib._module_locks
def besides_an_import():
    import threading, time
    thread = threading.Thread(target=by_name, args=('late:f',))
    thread.start()
    while not is_import_under_way('late'): time.sleep(.001)
    try: return forked('late:f')
    finally: thread.join()
def without_descriptors():
    os.closerange(3, 20)
    return by_name('late:f')
def with_others():
    import socket
    os.closerange(3, 20)
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(8)]
    try: by_name('late:f')
    except ImportError as e: message = str(e)
    for pair in pairs:
        for end in pair:
            end.setblocking(0)
            try: return 'read %r' % end.recv(100)
            except (IOError, OSError): pass
    return message
def stray(path, name):
    """A child of the init process that no guard knows for the agent's."""
    if in_fork(break_away, path, name): return
def break_away(path, name):
    if os.fork(): return
    os.setsid()
    if os.fork(): os._exit(0)
    with open('/proc/self/comm', 'w') as file: file.write('stray')
    with open(path, 'w') as file: file.write('%d\\n' % os.getpid())
    try: out = by_name(name)
    except BaseException as e: out = '%s: %s' % (type(e).__name__, e)
    with open(path, 'a') as file: file.write(out + '\\n')
    os._exit(0)
'''

LATE = b'''
import pkg.part, threading
def f(): return 'late'
def data():
    import pkgutil
    return pkgutil.get_data('pkg', 'words.txt').decode()
def files():
    from importlib.resources import files
    return files('pkg').joinpath('words.txt').read_text() + ' '.join(sorted(p.name for p in files('pkg').iterdir()))
def lines():
    import inspect
    return inspect.getsource(pkg.part)
def threads():
    found = []
    threads = [threading.Thread(target=one, args=(found, n)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return sorted(found)
def one(found, n):
    found.append(__import__('many.m%d' % (n % 4), None, None, ['*']).N)
def below(method):
    import job
    return [job.in_fork(by_itself), job.in_pool(method, 'pkg.part:p'), job.forked('many.m1:n')]
def by_itself():
    import many.m3
    return many.m3.N
def absent():
    try: import nothing_of_that_name
    except ImportError as e: return str(e)
def none_below():
    import many.nothing
'''

CODE = {'job': JOB, 'late': LATE, 'pkg': b'', 'pkg.part': b'def p(): return "part"\n', 'many': b''}
CODE.update(('many.m%d' % n, ('N = %d\ndef n(): return N\n' % n).encode()) for n in range(4))


class Children(Case):
    def far(self, code=(), **kwargs):
        agent = self.agent(dict(CODE, **dict(code)), **kwargs)
        agent.data = {('pkg', 'words.txt'): b'some words'}
        return agent

    def path(self):
        return text(os.path.join(self.folder(), 'file'))

    def lines(self, path, n):
        def read():
            if not os.path.exists(path):
                return []
            with open(path) as file:
                return file.read().splitlines()
        self.assertTrue(eventually(lambda: len(read()) >= n), read())
        return read()

    def test_fork_imports_what_its_parent_has_not(self):
        agent = self.far()
        self.assertEqual(agent.call('job:forked', 'late:f'), 'late')
        self.assertEqual(agent.call('job:forked', 'late:data'), 'some words')
        self.assertEqual(agent.call('job:forked', 'late:lines'), 'def p(): return "part"\n')
        if sys.version_info >= (3, 9):
            self.assertEqual(agent.call('job:forked', 'late:files'), 'some words__init__.py part.py words.txt')
        self.assertEqual(agent.call(function('import sys\ndef f(): return "late" in sys.modules')), False)

    def test_every_start_method_finds_modules(self):
        agent = self.far()
        for method in METHODS:
            self.assertEqual(agent.call('job:mapped', method, 4), [0, 2, 4, 6], method)
            self.assertEqual(agent.call('job:in_pool', method, 'late:f'), 'late', method)
            self.assertEqual(agent.call('job:in_pool', method, 'late:data'), 'some words', method)
            self.assertEqual(agent.call('job:in_pool', method, 'late:lines'), 'def p(): return "part"\n', method)
            self.assertEqual(agent.call('job:process', method, 'pkg.part:p'), 'part', method)
            if sys.version_info >= (3, 9):
                self.assertEqual(
                    agent.call('job:in_pool', method, 'late:files'), 'some words__init__.py part.py words.txt')
            if sys.version_info >= (3, 7):
                self.assertEqual(agent.call('job:executed', method), [2, 4], method)
        if not OLD:
            # That of this version.
            self.assertEqual(agent.call('job:executed', None), [2, 4])
            self.assertEqual(agent.call('job:in_pool', None, 'late:f'), 'late')
        self.assertEqual(agent.errors, [])

    def test_the_controller_is_asked_once(self):
        agent = self.far()
        for method in METHODS:
            agent.call('job:in_pool', method, 'late:threads')
            agent.call('job:forked', 'late:threads')
        self.assertEqual([name for name in agent.asked if agent.asked.count(name) > 1], [])

    def test_threads_of_a_child_import(self):
        agent = self.far()
        for method in METHODS:
            self.assertEqual(agent.call('job:in_pool', method, 'late:threads'), [0, 0, 1, 1, 2, 2, 3, 3])

    def test_children_of_children_import(self):
        body = ('import job, late\ndef put(queue, method): queue.put(late.below(method))\n'
                'def f(outer, method):\n  c = job.context(outer)\n  queue = c.Queue()\n'
                '  p = c.Process(target=put, args=(queue, method))\n  p.start()\n'
                '  try: return queue.get(timeout=50)\n  finally: p.join()')
        pairs = [('fork', 'fork')] if OLD else [
            ('fork', 'spawn'), ('spawn', 'fork'), ('spawn', 'spawn'), ('spawn', 'forkserver'), ('forkserver', 'fork')]
        for outer, method in pairs:
            # A fork of a process that has a server of forks cannot use any, so each pair has an agent. The outer
            # process is not in a pool, whose processes are daemons, which start no pools.
            agent = self.far()
            self.assertEqual(agent.call('job:forked', 'job:forked', 'late:f'), 'late')
            self.assertEqual(agent.call(function(body), outer, method), ['3', 'part', '1'], (outer, method))
            self.assertEqual(agent.errors, [])

    def test_what_is_not_there_is_not_found_and_not_asked_for(self):
        agent = self.far()
        for method in METHODS:
            message = agent.call('job:in_pool', method, 'late:absent')
            self.assertIn('No module named', message)
            self.assertIn('nothing_of_that_name', message)
            failure = agent.fails('job:in_pool', method, 'late:none_below')
            self.assertIn('nothing', failure['message'])
        self.assertFalse([name for name in agent.asked if 'nothing' in name])

    def test_what_cannot_be_sent_is_refused_with_the_reason(self):
        agent = self.far({'fast': b''})
        agent.files = {'fast': ['fast' + SUFFIX]}
        for method in METHODS:
            failure = agent.fails('job:in_pool', method, 'fast:f')
            self.assertEqual((failure['type'], failure['message']), ('ImportError', 'fast cannot be sent'), method)

    @unittest.skipIf(OLD, 'there an exception of a pool has no traceback of its process')
    def test_tracebacks_have_lines(self):
        agent = self.far()
        for method in METHODS:
            self.assertIn("    raise ValueError('x is %r' % x)\n", agent.call('job:raised', method))

    @unittest.skipIf(OLD, 'there are forks only')
    def test_functions_of_texts_and_scripts(self):
        agent = self.far()
        body = (u'import job\ndef g(x): return x * SCALE\n'
                u'def f(method):\n  pool = job.context(method).Pool(1)\n  try: return pool.map(g, [1, 2])\n'
                u'  finally:\n    pool.close()\n    pool.join()')
        for name, file, module in (
                (u'f', u'source:f', None), (u'f', u'ops/late.py', u'late'), (u'f', u'/srv/x.d/run.py', u'run'),
                (None, u'source:lambda', None)):
            for method in METHODS:
                source = body if name else body + u'\nf'
                call = (source, name, {u'SCALE': 3}, file) + ((module,) if module else ())
                self.assertEqual(agent.call(call, method), [3, 6], (file, method))

    @unittest.skipIf(OLD, 'there are forks only')
    def test_server_of_forks_finds_texts_that_are_younger(self):
        agent = self.far()
        self.assertEqual(agent.call('job:mapped', 'forkserver', 2), [0, 2])
        body = ('import job\ndef g(x): return -x\n'
                'def f():\n  pool = job.context("forkserver").Pool(1)\n  try: return pool.map(g, [1])\n'
                '  finally:\n    pool.close()\n    pool.join()')
        self.assertEqual(agent.call(function(body)), [-1])

    @unittest.skipIf(OLD, 'there are forks only')
    def test_server_of_forks_loads_modules_ahead(self):
        self.assertEqual(self.far().call('job:preloaded'), True)

    def test_unpacked_packages(self):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, 'w') as z:
            z.writestr('kit/__init__.py', 'import os\nHERE = os.path.dirname(__file__)\n'
                       'def words(): return open(os.path.join(HERE, "words.txt")).read()\n')
            z.writestr('kit/words.txt', 'words')
        base = self.folder()
        for method in METHODS:
            agent = self.far({'kit': packed.getvalue()}, env=dict(os.environ, TMPDIR=base))
            agent.kinds = {'kit': 3}
            body = ('import job\ndef f(method):\n  pool = job.context(method).Pool(4)\n'
                    '  try: return [r.get() for r in [pool.apply_async(job.by_name, ("kit:words",)) for _ in range(8)]]'
                    '\n  finally:\n    pool.close()\n    pool.join()')
            self.assertEqual(agent.call(function(body), method), ['words'] * 8, method)
            self.assertEqual(agent.call('job:forked', 'kit:words'), 'words')
            if not OLD:
                self.assertEqual(agent.asked.count('kit'), 1)
            self.assertEqual(agent.call('kit:words'), 'words')
            self.assertEqual(agent.close(), 0)
            self.assertEqual(os.listdir(base), [])

    @unittest.skipIf(OLD, 'there are forks only')
    def test_modules_that_loky_runs(self):
        # As its versions from 3.5 on: a module of the codebase, in an interpreter that has `site`.
        start = (b'import os, subprocess, sys\n'
                 b'def start(words, fds):\n'
                 b'  import _posixsubprocess\n'
                 b'  there, here = os.pipe()\n'
                 b'  words = [os.fsencode(word) for word in words]\n'
                 b'  group = [-1] if sys.version_info >= (3, 11) else []\n'
                 b'  ids = [None] * 3 if sys.version_info >= (3, 9) else []\n'
                 b'  mask = [-1] if ids else []\n'
                 b'  vfork = [subprocess._USE_VFORK] if (3, 11) <= sys.version_info < (3, 14) else []\n'
                 b'  try: return _posixsubprocess.fork_exec(words, words[:1], True, tuple(sorted(fds)), None, None,\n'
                 b'    -1, -1, -1, -1, -1, -1, there, here, False, False, *(group + ids + mask + [None] + vfork))\n'
                 b'  finally:\n    os.close(there)\n    os.close(here)\n')
        child = (b'import os, sys, late\nif __name__ == "__main__": os.write(int(sys.argv[1]), late.f().encode())\n')
        body = ('import os, sys\nfrom loky.backend.fork_exec import start\n'
                'def f():\n'
                '  there, here = os.pipe()\n'
                '  pid = start([sys.executable, "-m", "loky.backend.child", str(here)], [here])\n'
                '  os.close(here)\n'
                '  with os.fdopen(there) as file: out = file.read()\n'
                '  return [out, os.waitpid(pid, 0)[1]]')
        agent = self.far({'loky': b'', 'loky.backend': b'', 'loky.backend.fork_exec': start,
                          'loky.backend.child': child})
        self.assertEqual(agent.call(function(body)), ['late', 0])

    def test_import_of_another_thread_does_not_hold_up_a_fork(self):
        agent = self.far(slow=.05)
        self.assertEqual(agent.call('job:besides_an_import'), 'late')

    def test_program_that_is_no_interpreter_of_multiprocessing_costs_nothing(self):
        agent = self.far()
        body = ('import subprocess, sys\ndef f():\n'
                '  return subprocess.check_output([sys.executable, "-c", "print(1)"]).decode()')
        self.assertEqual(agent.call(function(body)), '1\n')
        self.assertNotIn('.children', agent.asked)

    def test_child_that_has_closed_its_descriptors_is_told_so(self):
        agent = self.far()
        for how in 'without_descriptors', 'with_others':
            out = agent.call(function('import job\ndef f(how):\n  job.by_name("late:f") if 0 else None\n'
                                      '  return job.in_fork(closing, how)\n'
                                      'def closing(how):\n  import os\n  return getattr(job, how)()\n'), how)
            # The pipe for the result is closed as well, unless it lies above.
            self.assertTrue('' == out or 'has closed the descriptor' in out, out)

    def test_child_that_outlives_its_agent_is_told_so(self):
        for end in 'kill', 'input':
            agent, path = self.far(), self.path()
            held = agent.entry

            def entry(name):
                if name != 'late':
                    return held(name)
                # Now a child waits for it.
                agent.process.kill() if end == 'kill' else agent.end_input()

            agent.entry = entry
            agent.call_later('job:stray', path, 'late:f')
            pid, out = self.lines(path, 2)
            self.assertIn('ImportError: late cannot be fetched: ', out)
            self.assertTrue(end != 'kill' or 'the agent that this process descends from has ended' in out, out)
            self.assertTrue(eventually(lambda: not alive(int(pid))))

    def test_child_that_asks_while_its_agent_ends_is_told_so(self):
        agent, path = self.far(), self.path()
        # The agent waits for its threads, but no longer reads.
        body = ('import job, threading\ndef f(path):\n  threading.Thread(target=go, args=(path,)).start()\n'
                'def go(path):\n  import time\n  while not over(): time.sleep(.01)\n'
                '  with open(path, "w") as file: file.write(job.forked("late:f") + "\\n")\n'
                'def over(): return job.__loader__.exec_module.__func__.__globals__["over"]\n')
        agent.call(function(body), path)
        agent.call(function('import os\ndef f(): os.waitpid(os.fork() or os._exit(0), 0)'))
        agent.end_input()
        self.assertIn('ImportError: late cannot be fetched: its agent ends', self.lines(path, 1)[0])

    def test_cancelled_call_takes_its_processes_with_it(self):
        for method in METHODS:
            agent, path = self.far(), self.path()
            request = agent.call_later('job:idle_and_wait', method, path)
            pids = [int(line) for line in self.lines(path, 3)]
            pids.remove(agent.process.pid)
            agent.cancel(request)
            self.assertEqual(agent.failure(request)['kind'], 'cancelled')
            self.assertTrue(eventually(lambda: not any(map(alive, pids))), method)
            # The next ones find modules too.
            self.assertEqual(agent.call('job:in_pool', method, 'late:f'), 'late')

    def test_nothing_is_left(self):
        for method in METHODS:
            for end in 'kill', 'input':
                base = self.folder()
                agent, path = self.far(env=dict(os.environ, TMPDIR=base, MARK=base)), self.path()
                agent.call('job:idle', method, path)
                pids = [int(line) for line in self.lines(path, 2)]
                agent.process.kill() if end == 'kill' else agent.end_input()
                self.assertTrue(eventually(lambda: not any(map(alive, pids))), (method, end))
                # Servers and trackers of `multiprocessing` as well.
                self.assertTrue(eventually(lambda: not having(base)), (method, end))
                agent.process.wait()
                self.assertEqual([name for name in os.listdir(base) if name[:5] != 'pymp-'], [], (method, end))


def having(mark):
    """The processes that have `mark` in their environment."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit() and alive(int(name)):
            try:
                with open('/proc/%s/environ' % name, 'rb') as f:
                    if mark.encode() in f.read():
                        found.append(int(name))
            except (IOError, OSError):
                pass
    return found


if __name__ == '__main__':
    unittest.main()
