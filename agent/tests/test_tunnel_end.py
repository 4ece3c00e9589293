"""How inner agents and their calls end: cancels, closed and lost links, forks."""
import os
import sys
import unittest

from harness import Case, alive, eventually, function, marked, text

MINE = b'''
import os, subprocess, sys, time
from chopsticks.group import Group
from chopsticks.queue import Queue
from chopsticks.tunnel import Local, RemoteException

shared = Local('shared')
def pid(): return os.getpid()
def note(path, what):
    with open(path, 'a') as f: f.write(what + '\\n')
def sleeper(path):
    try:
        note(path, 'in %d' % os.getpid())
        # Not in one system call: it may overlap the end of another, and is then on a thread, where that could not end.
        while 1: time.sleep(.05)
    except KeyboardInterrupt:
        # Interrupts go on until the call has ended, and one of them may strike here.
        while 1:
            try: note(path, 'interrupted')
            except KeyboardInterrupt: continue
            raise
def stubborn(path):
    note(path, 'in')
    while 1:
        try: time.sleep(600)
        except KeyboardInterrupt: pass
def impatient(limit):
    from chopsticks import _connection
    _connection.GRACE, _connection.MAX_ABANDONED = .5, limit
def spin():
    # The interpreter's lock is not given back: nothing else is done there.
    u'a' * 40 and __import__('re').match('(a+)+b', 'a' * 40)
def f(path, name='sleeper'): return shared.call(globals()[name], path)
def in_with(path):
    with Local('own') as tun: tun.call(sleeper, path)
def grouped(path, n): return Group([Local(str(i)) for i in range(n)]).call(sleeper, path)
def queued(path, n):
    q = Queue()
    q.call(Group([Local(str(i)) for i in range(n)]), sleeper, path)
    q.run()
def again(): return shared.call(pid)
def child(mark):
    subprocess.Popen(['sh', '-c', 'trap "" TERM; while :; do sleep .1; done', mark])
    subprocess.Popen(['sh', '-c', 'while :; do sleep .1; done', mark], preexec_fn=os.setsid)
    return os.getpid()
def deep(n, mark):
    global kept
    if not n: return [child(mark)]
    kept = Local('deep')
    return kept.call(deep, n - 1, mark) + [os.getpid()]
def forked(mark):
    shared.call(child, mark)
    if not os.fork():
        # Lives on, whatever becomes of the tunnel.
        try: shared.call(pid)
        except RemoteException as e: note(mark, str(e))
        time.sleep(600)
        os._exit(0)
    # Were the pipe held open, the inner agent would be waited for all this time, and then killed.
    from chopsticks import _connection
    _connection.GRACE = 600
    shared.close()
def leave(mark):
    # Of another environment and session: nothing finds it.
    subprocess.Popen(['setsid', 'sh', '-c', 'while :; do echo noise >&2; sleep .02; done', mark], env={})
def left_behind(mark):
    leave(mark)
    time.sleep(.1)
    os.kill(os.getpid(), 9)
class Held(Local):
    def command(self, python):
        # Holds stdin, stdout and stderr.
        return ['sh', '-c', '(env -i setsid sh -c "while :; do sleep .1; done" $0 &); exec "$@"', self.host] + python
def held(mark):
    from chopsticks import _connection
    _connection.GRACE = .5
    tun = Held(mark)
    tun.call(pid)
    tun.close()
def lost(mark):
    with Local('lost') as tun: tun.call(left_behind, mark)
def stopped():
    from chopsticks import queue
    from chopsticks._agent import Wait, agent
    class Struck(Wait):
        def stop(self):
            # Where the cancel of the call might strike, it does.
            if agent['inside']: raise KeyboardInterrupt
            Wait.stop(self)
    queue.Wait = Struck
    q = Queue()
    def end(_): raise KeyError('end')
    tunnels = [Local('x'), Local('y'), Local('z')]
    late = [q.call(tun, time.sleep, 600) for tun in tunnels[1:]]
    q.call(tunnels[0], pid).with_callback(end)
    try: q.run()
    except KeyError: return [str(result.value) for result in late]
def forked_first(path):
    child = os.fork()
    if not child:
        try: shared.call(pid)
        except Exception as e: note(path, '%s: %s' % (type(e).__name__, e))
        os._exit(0)
    os.waitpid(child, 0)
def awaited(path):
    while not os.path.exists(path): time.sleep(.01)
def signalled(path):
    import signal
    signal.signal(signal.SIGALRM, lambda *_: note(path, 'came'))
    signal.setitimer(signal.ITIMER_REAL, .1)
    # Ends when the handler has run, which has to be while this waits.
    shared.call(awaited, path)
def slow_start(path):
    popen = subprocess.Popen
    class Slow(popen):
        def __init__(self, *args, **kwargs):
            popen.__init__(self, *args, **kwargs)
            note(path, 'started')
            time.sleep(.5)
    subprocess.Popen = Slow
    with Group([Local('slow')]) as g: return repr(g.call(len, 'abc')['slow'])
def garbage(mark):
    tun = Local('garbage')
    return tun.call(child, mark)
'''


def is_busy(pid):
    """Whether a process has computed for a while."""
    with open('/proc/%d/stat' % pid) as f:
        return int(f.read().rpartition(')')[2].split()[11]) > 50


@unittest.skipUnless(os.path.isdir('/proc/self'), 'processes are looked for in /proc')
class Ends(Case):
    counter = 0

    def path(self):
        return os.path.join(self.folder(), 'notes')

    def mark(self):
        Ends.counter += 1
        return text('far-canary-%d-%d' % (os.getpid(), Ends.counter))

    def notes(self, path):
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return f.read().split('\n')[:-1]

    def cancelled(self, agent, request):
        info = agent.failure(request)
        self.assertEqual(info['kind'], 'cancelled', info)

    def test_cancel_reaches_the_inner_call_on_the_main_thread_and_on_others(self):
        agent = self.outer(MINE)
        first = agent.call('mine:again')
        for blocked in 0, 1:
            blocker = blocked and agent.call_later('time:sleep', 600)
            path = self.path()
            request = agent.call_later('mine:f', text(path))
            self.assertTrue(eventually(lambda: self.notes(path)))
            agent.cancel(request)
            self.cancelled(agent, request)
            self.assertTrue(eventually(lambda: 'interrupted' in self.notes(path)))
            # The tunnel has outlived it, and so has the other call.
            self.assertEqual(agent.call('mine:again'), first)
            if blocked:
                self.assertNotIn(blocker, agent.answers)
                agent.cancel(blocker)
                self.cancelled(agent, blocker)
        self.assertEqual(agent.errors, [])

    def test_cancel_within_a_context_ends_the_tunnel(self):
        agent, path = self.outer(MINE), self.path()
        request = agent.call_later('mine:in_with', text(path))
        self.assertTrue(eventually(lambda: self.notes(path)))
        inner = int(self.notes(path)[0].split()[1])
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertTrue(eventually(lambda: not alive(inner)))
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_cancel_of_a_group_or_a_queue_reaches_all(self):
        for name in 'grouped', 'queued':
            agent, path = self.outer(MINE), self.path()
            request = agent.call_later('mine:' + name, text(path), 4)
            self.assertTrue(eventually(lambda: len(self.notes(path)) == 4))
            agent.cancel(request)
            self.cancelled(agent, request)
            pids = [int(line.split()[1]) for line in self.notes(path) if line.startswith('in ')]
            # PyPy finds out what nobody holds when it collects.
            self.assertTrue(eventually(
                lambda: agent.call('gc:collect') is not NotImplemented and not [pid for pid in pids if alive(pid)]))
            self.assertEqual(agent.call('operator:neg', 1), -1)

    @unittest.skipIf(sys.version_info < (3, 5), 'there are no coroutine functions')
    def test_cancel_ends_a_coroutine_that_waits(self):
        agent, path = self.outer(MINE), self.path()
        request = agent.call_later(function('import mine\nasync def f(path): mine.f(path)'), text(path))
        self.assertTrue(eventually(lambda: self.notes(path)))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertTrue(eventually(lambda: 'interrupted' in self.notes(path)))
        self.assertEqual(agent.call(function('async def f(): return 5')), 5)

    def test_inner_call_that_does_not_end_is_abandoned_alone(self):
        agent = self.outer(MINE)
        first = agent.call('mine:again')
        agent.call('mine:impatient', 2)
        for _ in range(2):
            path = self.path()
            request = agent.call_later('mine:f', text(path), u'stubborn')
            self.assertTrue(eventually(lambda: self.notes(path)))
            other = agent.call_later('mine:f', text(self.path()))
            agent.cancel(request)
            self.cancelled(agent, request)
            self.assertEqual(agent.call('mine:again'), first)
        # One that would be too many says so, and the other goes on.

        def refused():
            info = agent.fails(function('import mine\ndef f():\n  mine.again()\n  raise LookupError'))
            return info['message'].endswith('shared: 2 cancelled calls have not ended, which is the limit')
        self.assertTrue(eventually(refused))
        self.assertTrue(alive(first))
        self.assertNotIn(other, agent.answers)

    def test_inner_agent_that_does_nothing_any_more_is_given_up(self):
        agent = self.outer(MINE)
        first = agent.call('mine:again')
        agent.call('mine:impatient', 9)
        request = agent.call_later(function('import mine\ndef f(): mine.shared.call(mine.spin)'))
        agent.wait(lambda: True)
        self.assertTrue(eventually(lambda: is_busy(first)))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertTrue(eventually(lambda: not alive(first)))
        self.assertNotEqual(agent.call('mine:again'), first)

    def test_all_at_every_depth_ends_with_any_link(self):
        options = {u'depth': 1, u'depth_limit': 4}
        for end in ('input', 'term', 'kill', 'middle'):
            agent, mark = self.outer(MINE, options=options), self.mark()
            pids = agent.call('mine:deep', 3, mark)
            self.assertTrue(eventually(lambda: len(marked(mark)) == 2))
            # The main thread is the reader again: on 2.7 a signal does not wake it elsewhere.
            agent.call('operator:neg', 1)
            if end == 'input':
                self.assertEqual(agent.close(), 0)
            else:
                os.kill(pids[1] if end == 'middle' else agent.process.pid, 15 if end == 'term' else 9)
            gone = pids[:2] if end == 'middle' else pids
            self.assertTrue(eventually(lambda: not marked(mark) and not [p for p in gone if alive(p)]),
                            (end, marked(mark)))
            if end == 'middle':
                self.assertTrue(alive(pids[2]) and alive(pids[3]))

    def test_close_ends_what_the_agent_has_started(self):
        agent, mark = self.outer(MINE), self.mark()
        # It waits for them for as long as an agent may take to end, which a busy machine would exceed.
        agent.call(function('import mine\nfrom chopsticks import _connection\ndef f(mark):\n  _connection.GRACE = 600\n'
                            '  with mine.shared as tun: tun.call(mine.child, mark)'), mark)
        self.assertEqual(marked(mark), [])

    def test_tunnel_that_nobody_holds_is_closed(self):
        agent, mark = self.outer(MINE), self.mark()
        inner = agent.call('mine:garbage', mark)
        # PyPy finds out what nobody holds when it collects.
        self.assertTrue(eventually(
            lambda: agent.call('gc:collect') is not NotImplemented and not marked(mark) and not alive(inner)))

    def test_loss_is_found_where_what_is_left_behind_goes_on_to_write(self):
        agent, mark = self.outer(MINE), self.mark()
        try:
            info = agent.fails('mine:lost', mark)
            self.assertIn('was killed by signal 9', info['message'])
        finally:
            for pid in marked(mark):
                os.kill(pid, 9)

    def test_what_is_left_behind_keeps_no_thread_of_a_closed_tunnel(self):
        agent, mark = self.outer(MINE), self.mark()
        count = function('import os\ndef f(): return len(os.listdir("/proc/self/fd")), '
                         'len(os.listdir("/proc/self/task"))')
        agent.call(function('import mine\ndef f():\n  with mine.Local("x") as t: t.call(mine.pid)'))
        before = agent.call(count)
        try:
            agent.call('mine:held', mark)
            self.assertTrue(eventually(lambda: max(n - m for n, m in zip(agent.call(count), before)) <= 0), before)
            self.assertTrue(marked(mark))
        finally:
            for pid in marked(mark):
                os.kill(pid, 9)

    def test_no_interrupt_keeps_a_queue_from_stopping_its_lines(self):
        self.assertEqual(self.outer(MINE).call('mine:stopped'), ['cancelled'] * 2)

    def test_fork_of_user_code_does_not_hold_tunnels_open(self):
        agent = self.outer(MINE)
        path = self.path()
        agent.call('mine:forked', text(path))
        self.assertEqual(marked(path), [])
        self.assertTrue(eventually(lambda: 'shared: a process that was forked' in ''.join(self.notes(path))))

    def test_fork_is_told_that_it_has_no_tunnels_also_if_its_agent_had_none(self):
        path = self.path()
        self.outer(MINE).call('mine:forked_first', text(path))
        self.assertEqual(self.notes(path), [
            'RemoteException: shared: a process that was forked from an agent has no tunnels'])

    def test_signals_are_handled_while_the_main_thread_waits(self):
        agent, path = self.outer(MINE), self.path()
        agent.call('mine:signalled', text(self.path()))
        agent.call_later('mine:f', text(path))
        self.assertTrue(eventually(lambda: self.notes(path)))
        inner = int(self.notes(path)[0].split()[1])
        os.kill(agent.process.pid, 15)
        self.assertTrue(eventually(lambda: not alive(inner) and not alive(agent.process.pid)))

    def test_cancel_leaves_an_inner_agent_alone_that_another_call_is_starting(self):
        agent, path = self.outer(MINE), self.path()
        agent.call('mine:again')
        request = agent.call_later('time:sleep', 600)
        other = agent.call_later('mine:slow_start', text(path))
        self.assertTrue(eventually(lambda: self.notes(path)))
        agent.cancel(request)
        self.cancelled(agent, request)
        self.assertEqual(agent.result(other), '3')

    def test_descriptors_and_threads_come_back(self):
        agent = self.outer(MINE)
        count = function(
            'import os\ndef f(): return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))')
        cycle = function('import mine\ndef f():\n  for i in range(10):\n    with mine.shared as t: t.call(mine.pid)\n'
                         '  try: mine.Local("x", python="/bin/false").connect()\n  except mine.RemoteException: pass')
        agent.call(cycle)
        before = agent.call(count)
        agent.call(cycle)
        # Ten times what one of them leaves behind would be more.
        self.assertTrue(eventually(lambda: max(n - m for n, m in zip(agent.call(count), before)) <= 0), before)
