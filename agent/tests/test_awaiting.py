"""Calls of coroutine functions."""
import sys
import unittest

from harness import Case, eventually, function

CODE = {'job': b'''
import asyncio
import os
import threading

seen = []
event = None


async def add(a, b=1):
    await asyncio.sleep(0)
    return a + b


class Machine:
    async def __call__(self, n):
        return n

    @staticmethod
    async def static(n):
        return n


machine = Machine()


def plain(n):
    return add(n)


async def where():
    loop = asyncio.get_event_loop()
    return [threading.current_thread().name, id(loop)]


async def wait():
    global event
    event = event or asyncio.Event()
    seen.append('wait')
    await event.wait()
    return len(seen)


async def go():
    event.set()


async def count():
    return len(seen)


async def clean():
    os.write(2, b'in\\n')
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.01)
        seen.append('clean')


async def busy():
    os.write(2, b'in\\n')
    while 1:
        pass


async def fail():
    await add(1)
    raise ValueError('in a coroutine')


async def leave():
    raise SystemExit(3)


async def later():
    async def run():
        seen.append('later')
    asyncio.ensure_future(run())


async def program():
    import subprocess
    process = await asyncio.create_subprocess_exec('sh', '-c', 'echo out', stdout=subprocess.PIPE)
    return (await process.communicate())[0]


async def numbers():
    yield 1
'''}


@unittest.skipIf(sys.version_info < (3, 6), 'the functions below need Python 3.6')
class Awaiting(Case):
    def test_all_kinds_are_awaited(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('job:add', 1, b=2), 3)
        self.assertEqual(agent.call('job:plain', 4), 5)
        self.assertEqual(agent.call('job:machine', 6), 6)
        self.assertEqual(agent.call('job:Machine.static', 7), 7)
        self.assertEqual(agent.call(function('async def f(n): return n'), 8), 8)

    def test_one_loop_for_all(self):
        agent = self.agent(CODE)
        first = agent.call('job:where')
        self.assertEqual(first[0], 'chopsticks-loop')
        self.assertEqual(agent.call('job:where'), first)

    def test_calls_that_overlap_share_what_they_have(self):
        agent = self.agent(CODE)
        waiting = [agent.call_later('job:wait') for _ in range(20)]
        self.assertTrue(eventually(lambda: agent.call('job:count') == 20))
        agent.call('job:go')
        self.assertEqual([agent.result(r) for r in waiting], [20] * 20)

    def test_tasks_live_on_after_the_call(self):
        agent = self.agent(CODE)
        agent.call('job:later')
        self.assertTrue(eventually(lambda: agent.call('job:count') == 1))

    def test_exception_has_its_traceback(self):
        agent = self.agent(CODE)
        failure = agent.fails('job:fail')
        self.assertEqual((failure['kind'], failure['type'], failure['message']),
                         ('raised', 'ValueError', 'in a coroutine'))
        self.assertIn("in fail\n    raise ValueError('in a coroutine')", failure['traceback'])
        self.assertNotIn('chopsticks', failure['traceback'])
        failure = agent.fails('job:leave')
        self.assertEqual((failure['type'], failure['message']), ('SystemExit', 'exit status 3'))
        self.assertEqual(agent.call('job:add', 1), 2)

    def test_cancel_ends_what_awaits_and_lets_it_clean_up(self):
        agent = self.agent(CODE)
        other = agent.call_later('job:wait')
        request = agent.call_later('job:clean')
        self.assertTrue(eventually(lambda: agent.errors))
        agent.cancel(request)
        failure = agent.failure(request)
        self.assertEqual(failure['kind'], 'cancelled', failure)
        self.assertIn('CancelledError', failure['type'])
        self.assertEqual(agent.call('job:count'), 2)
        self.assertNotIn(other, agent.answers)
        agent.call('job:go')
        self.assertEqual(agent.result(other), 2)

    def test_cancel_ends_a_coroutine_that_never_awaits(self):
        agent = self.agent(CODE)
        request = agent.call_later('job:busy')
        self.assertTrue(eventually(lambda: agent.errors))
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertEqual(agent.call('job:add', 1), 2)

    def test_cancel_in_the_same_breath(self):
        agent = self.agent(CODE)
        for _ in range(20):
            request = agent.call_later('job:wait')
            agent.cancel(request)
            self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertEqual(agent.call('job:add', 1), 2)

    @unittest.skipIf(sys.version_info < (3, 8), 'needs a loop on the main thread there')
    def test_programs_run(self):
        self.assertEqual(self.agent(CODE).call('job:program'), b'out\n')

    def test_asynchronous_generators_are_no_results(self):
        failure = self.agent(CODE).fails('job:numbers')
        self.assertEqual((failure['kind'], failure['message']),
                         ('result', 'result: async_generator is not a primitive type'))

    def test_end_of_the_controller_ends_what_awaits(self):
        agent = self.agent(CODE)
        agent.call_later('job:wait')
        self.assertTrue(eventually(lambda: agent.call('job:count') == 1))
        self.assertEqual(agent.close(), 0)
