"""What becomes of all that an agent has started, and left open, however the agent ends."""
import glob
import os
import random
import signal
import sys
import time
import unittest

from harness import OLD, PYPY, Case, alive, eventually, function, marked, namespace

# Kills of each kind; `CHOPSTICKS_KILLS=1000` looks for what is rare.
KILLS = int(os.environ.get('CHOPSTICKS_KILLS', '8'))
JOB = b'''
import atexit, os, signal, sys, tempfile, threading, time
kept = []
LOOP = 'while :; do sleep .1; done'

def starts(mark, how):
    """Imports in here: to be ended in the middle of that is what matters."""
    import subprocess
    if how == 'storm':
        while 1:
            subprocess.Popen(['sh', '-c', 'sleep 600; :', mark])
            time.sleep(.005)
    if how == 'deaf':
        while 1:
            subprocess.Popen(['setsid', 'sh', '-c', "trap '' TERM HUP INT; " + LOOP, mark])
            time.sleep(.02)
    if how == 'daemon':
        while 1: subprocess.call(['sh', '-c', "setsid sh -c '%s' %s & exit 0" % (LOOP, mark)])
    if how == 'threads':
        def work():
            while 1: subprocess.call(['sh', '-c', 'sleep .05; :', mark])
        for _ in range(3): threading.Thread(target=work).start()
        time.sleep(600)

def kinds(mark):
    import subprocess
    subprocess.Popen(['sh', '-c', LOOP, mark])
    subprocess.Popen(['setsid', 'sh', '-c', LOOP, mark])
    subprocess.Popen(['sh', '-c', "trap '' TERM HUP INT; " + LOOP, mark])
    subprocess.call(['sh', '-c', "setsid sh -c '%s' %s & exit 0" % (LOOP, mark)])
    subprocess.Popen(['sh', '-c', "env -i sh -c '%s' %s; :" % (LOOP, mark), mark])

def fork_daemon(path):
    if not os.fork():
        os.setsid()
        if not os.fork():
            with open(path, 'w') as out: out.write('%d' % os.getpid())
            while 1: time.sleep(.1)
        os._exit(0)
    os.wait()

def on_a_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()

def guards():
    """Processes that have the name and the session of the guard."""
    found = []
    for name in os.listdir('/proc'):
        try:
            with open('/proc/%s/stat' % name, 'rb') as f: data = f.read()
        except (IOError, OSError): continue
        fields = data.rpartition(b')')[2].split()
        if b'(chop-guard)' in data and int(fields[3]) == os.getpid() and fields[0] not in b'ZX':
            found.append(int(name))
    return found

def waits_for_any():
    try: return os.wait()
    except OSError as e: return str(e)

def spin(path):
    """The interpreter's lock is not given back."""
    import re
    open(path, 'w').close()
    re.match('(a+)+b', 'a' * 40)

def thread(path):
    def work():
        time.sleep(.5)
        with open(path, 'w') as f: f.write('done')
    threading.Thread(target=work).start()

def executor(path):
    from concurrent.futures import ThreadPoolExecutor
    def work():
        time.sleep(.5)
        with open(path, 'w') as f: f.write('done')
    ThreadPoolExecutor(1).submit(work)

def buffered(path):
    kept.append(open(path, 'w'))
    kept[-1].write('done')

def at_exit(path):
    def work():
        with open(path, 'w') as f: f.write('done')
    atexit.register(work)

def program_at_exit(path):
    import subprocess
    atexit.register(subprocess.call, ['sh', '-c', 'echo done >' + path])

def temporary():
    kept.append(tempfile.NamedTemporaryFile())
    return kept[-1].name

def endless_thread():
    thread = threading.Thread(target=lambda: [time.sleep(.1) for _ in range(6000)])
    thread.start()

def segment():
    from multiprocessing import shared_memory
    kept.append(shared_memory.SharedMemory(create=True, size=4096))
    return kept[-1].name.lstrip('/')

def semaphore():
    import multiprocessing
    kept.append(multiprocessing.get_context('spawn').Lock())
    return 'sem.' + kept[-1]._semlock.name.lstrip('/')

def tracker():
    """The process that clears up behind `multiprocessing`."""
    from multiprocessing import shared_memory, resource_tracker
    return resource_tracker._resource_tracker._pid

def hide(paths, ps):
    """As where these files are not, nor, unless `ps`, that program."""
    agent = __loader__.exec_module.__func__.__globals__
    def hidden(path): return type(path) is str and path.startswith(tuple(paths)) or (
        '/proc/*/stat' in paths and path.startswith('/proc/') and path.endswith('/stat'))
    def hiding(function, error):
        def guise(path, *args):
            if hidden(path): raise error(2, 'hidden', path)
            return function(path, *args)
        return guise
    real = os.path.exists
    os.path.exists = lambda path: not hidden(path) and real(path)
    os.listdir, agent['open'] = hiding(os.listdir, OSError), hiding(open, IOError)
    if not ps:
        import subprocess
        os.execv = hiding(os.execv, OSError)
        paths += ['/bin/sh']
'''


class Base(Case):
    counter = 0

    def job(self, **kwargs):
        return self.agent({'job': JOB}, **kwargs)

    def mark(self):
        Base.counter += 1
        return 'guard-canary-%d-%d' % (os.getpid(), Base.counter)

    def path(self):
        return os.path.join(self.folder(), 'file')

    def gone(self, agent, mark):
        """Whether all processes with a mark end; what does not is killed."""
        gone = eventually(lambda: not marked(mark) and agent.process.poll() is not None)
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
        return gone

    def guard(self, agent):
        """The number of the agent's guard, as soon as that has its name."""
        self.assertTrue(eventually(lambda: agent.call('job:guards')))
        guard, = agent.call('job:guards')
        return guard

    def killed(self, agent):
        os.kill(agent.process.pid, signal.SIGKILL)

    def number(self, path):
        """What a process writes, its own number, as soon as that is there."""
        self.assertTrue(eventually(lambda: self.content(path)))
        return int(self.content(path))

    def content(self, path):
        if os.path.exists(path):
            with open(path) as f:
                return f.read().strip()


@unittest.skipUnless(os.path.isdir('/proc/self'), 'processes are looked for in /proc')
class Guard(Base):
    def test_nothing_is_left_of_an_agent_that_is_killed(self):
        agent, mark, path = self.job(), self.mark(), self.path()
        agent.call('job:kinds', mark)
        agent.call('job:fork_daemon', path)
        child = self.number(path)
        self.assertTrue(eventually(lambda: len(marked(mark)) >= 6), marked(mark))
        self.killed(agent)
        self.assertTrue(self.gone(agent, mark))
        self.assertTrue(eventually(lambda: not alive(child)))
        self.assertTrue(eventually(lambda: agent.eof))

    def test_what_a_thread_forked_does_not_outlive_an_agent_that_is_killed(self):
        agent, path = self.job(), self.path()
        agent.call(function('import job\ndef f(path): job.on_a_thread(job.fork_daemon, path)'), path)
        child = self.number(path)
        self.assertTrue(alive(child))
        self.killed(agent)
        self.assertTrue(eventually(lambda: not alive(child)))

    def kills(self, end):
        for n in range(KILLS):
            agent, mark = self.job(), self.mark()
            agent.call_later('job:starts', mark, ('storm', 'deaf', 'daemon', 'threads')[n % 4])
            time.sleep(random.random() * .2)
            end(agent)
            self.assertTrue(self.gone(agent, mark))
            agent.kill()

    def test_nothing_is_left_when_the_controller_goes_at_any_moment(self):
        self.kills(lambda agent: agent.end_input())

    def test_nothing_is_left_when_the_agent_is_killed_at_any_moment(self):
        self.kills(self.killed)

    def test_end_in_the_middle_of_an_import_leaves_nothing(self):
        # The first thing that the module does once it is there is to start a program.
        slow = b'import subprocess, time\nopen(PATH, "w").close()\ntime.sleep(.3)\n'
        for end in self.killed, lambda agent: agent.end_input():
            mark, path = self.mark(), self.path()
            code = {'slow': slow.replace(b'PATH', repr(path).encode()) + (
                'while 1: subprocess.Popen(["setsid", "sh", "-c", "while :; do sleep .1; done", %r])' % mark).encode()}
            agent = self.agent(code)
            agent.call_later('slow:f')
            self.assertTrue(eventually(lambda: os.path.exists(path)))
            end(agent)
            self.assertTrue(self.gone(agent, mark))

    def test_guard_is_there_for_who_starts_something_alone(self):
        agent = self.job()
        agent.call('operator:neg', 1)
        self.assertEqual(agent.call('job:guards'), [])
        self.assertIn('No child', agent.call('job:waits_for_any'))
        agent.call('os:system', 'true')
        guard = self.guard(agent)
        agent.call('job:kinds', self.mark())
        self.assertEqual(agent.call('job:guards'), [guard])
        self.assertEqual(agent.close(), 0)

    def test_guard_is_nobodys_child_and_outlives_a_cancel(self):
        agent = self.job()
        request = agent.call_later(function('import os, time\ndef f():\n  os.system("true")\n  os.write(2, b"in\\n")\n'
                                            '  time.sleep(600)'))
        self.assertTrue(eventually(lambda: agent.errors), agent.errors)
        guard = self.guard(agent)
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertEqual(agent.call('job:guards'), [guard])
        self.assertIn('No child', agent.call('job:waits_for_any'))

    def test_guard_that_was_killed_is_replaced_at_the_end(self):
        agent, mark = self.job(), self.mark()
        agent.call('job:kinds', mark)
        guard = self.guard(agent)
        os.kill(guard, signal.SIGKILL)
        self.assertTrue(eventually(lambda: not alive(guard)))
        self.assertEqual(agent.close(), 0)
        self.assertEqual(marked(mark), [])

    def test_guard_holds_nothing_open(self):
        agent = self.job()
        agent.call('os:system', 'true')
        guard = self.guard(agent)
        folder = '/proc/%d/fd' % guard
        # stdin and stdout of the agent, and its own pipe.
        self.assertTrue(eventually(lambda: len(os.listdir(folder)) == 3))
        files = sorted(os.readlink('%s/%s' % (folder, fd)) for fd in os.listdir(folder))
        self.assertEqual([file[:5] for file in files], ['pipe:'] * 3)
        self.assertEqual(os.readlink('/proc/%d/cwd' % guard), '/')
        self.assertNotIn(os.readlink('/proc/%d/fd/2' % agent.process.pid), files)

    def test_guard_of_a_large_agent_shares_none_of_its_memory(self):
        for end in self.killed, lambda agent: agent.end_input():
            agent, mark, path = self.job(), self.mark(), self.path()
            agent.call(function('import job\ndef f(size):\n  job.kept.append(b"x" * size)'), 200 << 20)
            agent.call('job:kinds', mark)
            agent.call('job:fork_daemon', path)
            child = self.number(path)

            def is_small():
                # It has another name until it runs.
                for guard in agent.call('job:guards'):
                    with open('/proc/%d/statm' % guard) as f:
                        return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') < 100 << 20
            self.assertTrue(eventually(is_small))
            self.assertTrue(eventually(lambda: len(marked(mark)) >= 5))
            # It is none of those that the agent started.
            request = agent.call_later('time:sleep', 600)
            agent.cancel(request)
            self.assertEqual(agent.failure(request)['kind'], 'cancelled')
            self.assertEqual(len(agent.call('job:guards')), 1)
            end(agent)
            self.assertTrue(self.gone(agent, mark))
            self.assertTrue(eventually(lambda: not alive(child)))
            self.assertTrue(eventually(lambda: agent.eof))

    def test_agent_that_gives_the_interpreters_lock_to_nobody_ends_with_its_controller(self):
        agent, mark = self.job(), self.mark()
        agent.call('job:kinds', mark)
        path = self.path()
        agent.call_later('job:spin', path)
        self.assertTrue(eventually(lambda: os.path.exists(path)))
        agent.end_input()
        self.assertTrue(self.gone(agent, mark))

    def test_guard_works_in_code_that_patches_what_it_uses(self):
        agent, mark = self.job(), self.mark()
        agent.call(function(
            'import os, select, time\ndef fail(*args): raise TypeError("patched")\n'
            'def f():\n  os.close = os.dup = os.dup2 = os.kill = os.waitpid = select.select = time.sleep = fail\n'
            '  vars(select).pop("poll", 0)'))
        agent.call(function('import os\ndef f(mark):\n  pid = os.fork()\n  if not pid:\n    os.setsid()\n'
                            '    os.execvp("sh", ["sh", "-c", "while :; do sleep .1; done", mark])'), mark)
        self.assertTrue(eventually(lambda: marked(mark)))
        self.killed(agent)
        self.assertTrue(self.gone(agent, mark))

    def test_functions_that_start_processes_can_be_pickled(self):
        agent = self.agent()
        body = ('import os, pickle\ndef f(): return [pickle.loads(pickle.dumps(g, 2)) is g '
                'for g in (os.system, os.fork, os.popen)]')
        self.assertEqual(agent.call(function(body)), [True] * 3)

    def test_number_that_another_process_has_now_is_left_alone(self):
        space = namespace('guard', 'ending')
        table = dict((pid, (1, pid, 500)) for pid in (2000, 2001, 2002, space['PID'] + 1))
        killed = []

        class Posix(object):
            def __getattr__(self, name):
                return getattr(os, name)

            def kill(self, pid, number):
                killed.append(pid)
                del table[pid]

            def getpid(self):
                return 1999
        space.update(posix=Posix(), processes=lambda: dict(table), sleep=lambda _: None, PID=2002,
                     marked=lambda pid: False)
        # What had these numbers began at other times, the agent itself later than what has its number now.
        space['sweep']({2000: 499, 2001: 500}, 501)
        self.assertEqual(killed, [2001])


@unittest.skipUnless(os.path.isdir('/proc/self'), 'processes are looked for in /proc')
class Hidden(Base):
    """Machines that do not tell which processes they have."""

    def hidden(self, paths, ps):
        agent = self.job()
        agent.call('job:hide', paths, ps)
        return agent

    def ends(self, paths, ps):
        """What a function left ends with its agent, as long as it is in the agent's group."""
        for end in self.killed, lambda agent: agent.end_input():
            agent, mark = self.hidden(paths, ps), self.mark()
            agent.call(function('import subprocess\ndef f(mark):\n'
                                '  for trap in "", "trap \\"\\" TERM; ":\n'
                                '    subprocess.Popen(["sh", "-c", "exec 2>/dev/null; " + trap +'
                                '                      "while :; do sleep .1; done", mark])'),
                       mark)
            self.assertTrue(eventually(lambda: len(marked(mark)) >= 2))
            end(agent)
            self.assertTrue(self.gone(agent, mark))
            self.assertTrue(eventually(lambda: agent.eof))
            self.assertEqual(agent.errors, [])

    def test_without_proc(self):
        self.ends(['/proc'], True)

    def test_without_proc_and_ps(self):
        self.ends(['/proc'], False)

    def test_with_proc_that_has_no_stat(self):
        for ps in True, False:
            self.ends(['/proc/*/stat'], ps)

    def test_agent_that_started_nothing_ends_too(self):
        for ps in True, False:
            agent = self.hidden(['/proc'], ps)
            self.assertEqual(agent.close(), 0)
            self.assertEqual(agent.errors, [])

    def test_call_is_cancelled_where_its_processes_cannot_be_found(self):
        for paths in ['/proc'], ['/proc/*/stat']:
            agent = self.hidden(paths, False)
            request = agent.call_later('time:sleep', 600)
            agent.cancel(request)
            self.assertEqual(agent.failure(request)['kind'], 'cancelled')
            self.assertEqual(agent.call('operator:neg', 1), -1)
            self.assertEqual((agent.close(), agent.errors), (0, []))


class Exit(Base):
    """At the end of an agent in which no call runs happens what does at that of any Python."""

    def finished(self, name):
        agent, path = self.job(), self.path()
        agent.call('job:' + name, path)
        self.assertEqual((agent.close(), agent.errors), (0, []))
        self.assertEqual(self.content(path), 'done')

    def test_threads_are_waited_for(self):
        self.finished('thread')

    @unittest.skipIf(OLD, 'there are no executors')
    def test_executors_are_waited_for(self):
        self.finished('executor')

    def test_files_get_what_was_written(self):
        self.finished('buffered')

    def test_exit_functions_run_and_may_start_programs(self):
        self.finished('at_exit')
        if sys.version_info < (3, 12):
            self.finished('program_at_exit')

    def test_end_by_the_helper_is_the_same(self):
        # That reads once a call has taken long, and then is whoever sees the end.
        agent, path = self.job(), self.path()
        agent.call('job:buffered', path)
        agent.call('time:sleep', .2)
        self.assertEqual((agent.close(), agent.errors), (0, []))
        self.assertEqual(self.content(path), 'done')
        agent, path = self.job(), self.path()
        request = agent.call_later('time:sleep', .5)
        # Which is also what imports `threading` first.
        other = agent.call_later('job:thread', path)
        agent.answer(other)
        agent.answer(request)
        self.assertEqual((agent.close(), agent.errors), (0, []))
        self.assertEqual(self.content(path), 'done')

    def test_term_is_the_same(self):
        agent, path = self.job(), self.path()
        agent.call('job:buffered', path)
        # The main thread is the reader again: on 2.7 a signal does not wake it elsewhere.
        agent.call('operator:neg', 1)
        agent.process.terminate()
        self.assertTrue(eventually(lambda: agent.process.poll() is not None))
        self.assertEqual((self.content(path), agent.process.poll(), agent.errors), ('done', 0, []))

    @unittest.skipIf(PYPY, 'it calls no finalisers at its end, in no program')
    def test_temporary_files_are_removed(self):
        agent = self.job()
        path = agent.call('job:temporary')
        self.assertTrue(os.path.exists(path))
        agent.close()
        self.assertFalse(os.path.exists(path))

    @unittest.skipIf(OLD, 'there are neither executors nor coroutine functions')
    def test_what_still_works_then_says_nothing(self):
        bodies = ['import multiprocessing\ndef f():\n'
                  '  kept.append(multiprocessing.get_context("%s").Pool(1))\n  return kept[-1].map(abs, [-1])' % how
                  for how in ('fork', 'spawn')]
        bodies.append('from concurrent.futures import ProcessPoolExecutor\ndef f():\n'
                      '  kept.append(ProcessPoolExecutor(1))\n  return list(kept[-1].map(abs, [-1]))')
        if sys.version_info >= (3, 5):
            bodies.append('import asyncio, gc\nasync def work(): await asyncio.Queue().get()\nasync def f():\n'
                          '  gc.disable()\n  asyncio.ensure_future(work())\n  await asyncio.sleep(.1)\n  return [1]')
        for body in bodies:
            agent = self.agent()
            self.assertEqual(agent.call(function('kept = []\n' + body)), [1], body)
            self.assertEqual((agent.close(), agent.errors), (0, []), body)

    def test_thread_that_never_ends_is_not_waited_for(self):
        agent, mark = self.job(), self.mark()
        agent.call('job:kinds', mark)
        agent.call('job:endless_thread')
        agent.end_input()
        self.assertTrue(self.gone(agent, mark))

    @unittest.skipIf(PYPY or sys.version_info < (3, 8), 'there is no shared memory with a name')
    def test_shared_memory_is_removed_however_the_agent_ends(self):
        for end in self.killed, lambda agent: agent.end_input():
            agent = self.job()
            path = '/dev/shm/' + agent.call('job:segment')
            self.assertTrue(os.path.exists(path))
            end(agent)
            self.assertTrue(eventually(lambda: agent.eof))
            self.assertTrue(eventually(lambda: not os.path.exists(path)), path)

    @unittest.skipIf(PYPY or OLD, 'there are no semaphores with a name that stays')
    def test_semaphores_are_removed_however_the_agent_ends(self):
        for end in self.killed, lambda agent: agent.end_input():
            agent = self.job()
            path = '/dev/shm/' + agent.call('job:semaphore')
            self.assertTrue(glob.glob(path + '*'))
            end(agent)
            self.assertTrue(eventually(lambda: not glob.glob(path + '*')), path)

    @unittest.skipIf(PYPY or sys.version_info < (3, 8), 'there is no shared memory with a name')
    def test_what_clears_up_outlives_the_cancel_of_the_call_that_started_it(self):
        agent = self.job()
        request = agent.call_later(function('import job, os, time\ndef f():\n  job.segment()\n  os.write(2, b"in\\n")\n'
                                            '  time.sleep(600)'))
        self.assertTrue(eventually(lambda: agent.errors), agent.errors)
        pid = agent.call('job:tracker')
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertTrue(alive(pid))

    def test_folder_of_unpacked_packages_goes_with_an_agent_that_is_killed(self):
        agent = self.agent({'packed': b''})
        body = ('import packed\ndef f():\n  agent = packed.__loader__.exec_module.__func__.__globals__\n'
                '  agent["part"]("disk")\n  return agent["own_folder"]()')
        folder = agent.call(function(body))
        self.assertTrue(os.path.isdir(folder))
        self.killed(agent)
        self.assertTrue(eventually(lambda: not os.path.exists(folder)))
