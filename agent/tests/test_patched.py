"""User code that changes the process it runs in: patched functions of `os`, and warnings that are errors."""
import sys
import unittest

from harness import Case, marked

CODE = {'job': b'''
import os
import subprocess
import warnings


def leave_program_and_patch(mark):
    """As gevent, whose `os.fork` fails on any thread but the one with its main loop."""
    subprocess.Popen(['sh', '-c', 'exec 2>/dev/null; sleep 600; : ' + mark])
    real = os.fork

    def fork():
        pid = real()
        if pid:
            raise TypeError('child watchers are only available on the default loop')
        return pid
    os.fork = fork


def leave_program(mark, action):
    warnings.simplefilter(action)
    global child
    child = subprocess.Popen(['sh', '-c', 'exec 2>/dev/null; sleep 600; : ' + mark])


def fork(action=None):
    if action:
        warnings.simplefilter(action)
    pid = os.fork()
    if not pid:
        os._exit(7)
    return os.waitpid(pid, 0)[1] >> 8


def fork_pty(action):
    import pty
    warnings.simplefilter(action)
    pid, fd = pty.fork()
    if not pid:
        os.execvp('echo', ['echo', 'hello'])
    text = os.read(fd, 100)
    os.waitpid(pid, 0)
    return text.strip()


def pool(action):
    import multiprocessing
    warnings.simplefilter(action)
    pool = multiprocessing.Pool(2)
    try:
        return pool.map(abs, [-1, -2])
    finally:
        pool.terminate()


def warn(action):
    warnings.simplefilter(action)
    try:
        warnings.warn('of the user', DeprecationWarning)
    except DeprecationWarning as e:
        return str(e)


def filters():
    return list(map(str, warnings.filters))
'''}


class Patched(Case):
    def test_end_is_not_held_up_by_a_fork_that_is_patched(self):
        agent = self.agent(CODE)
        agent.call('job:leave_program_and_patch', 'patched-%d' % id(agent))
        self.assertEqual((agent.close(), agent.errors), (0, []))
        self.assertEqual(marked('patched-%d' % id(agent)), [])

    def test_forks_are_not_warned_of_for_the_threads_of_the_agent(self):
        for action in 'always', 'error':
            agent = self.agent(CODE)
            self.assertEqual(agent.call('job:fork', action), 7)
            self.assertEqual(agent.call('job:fork_pty', action), b'hello')
            self.assertEqual(agent.call('job:leave_program', 'warned-%d' % id(agent), action), None)
            self.assertEqual((agent.close(), agent.errors), (0, []))
            self.assertEqual(marked('warned-%d' % id(agent)), [])

    @unittest.skipIf(sys.version_info >= (3, 14), 'a pool does not fork there')
    def test_pools_fork_without_warnings(self):
        for action in 'always', 'error':
            agent = self.agent(CODE)
            self.assertEqual(agent.call('job:pool', action), [1, 2])
            self.assertEqual([line for line in agent.errors if b'multi-threaded' in line], [])

    def test_warnings_of_user_code_stay_as_they_are(self):
        agent = self.agent(CODE)
        agent.call('job:fork', 'error')
        self.assertEqual(agent.call('job:warn', 'error'), 'of the user')
        agent.call('job:fork', 'error')
        before = agent.call('job:filters')
        # On 2.7 `simplefilter` itself adds what is there already.
        for _ in range(3):
            agent.call('job:fork')
        self.assertEqual(agent.call('job:filters'), before)
