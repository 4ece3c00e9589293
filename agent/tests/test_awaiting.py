"""Calls of coroutine functions."""
import os
import signal
import sys
import unittest

from harness import Case, alive, eventually, function

CODE = {'job': b'''
import asyncio
import os
import signal
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
    running.append(1)
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


async def statuses():
    found = []
    for text in 'exit 3', 'kill -9 $$':
        process = await asyncio.create_subprocess_shell(text)
        found.append(await process.wait())
    return found


async def long_program():
    process = await asyncio.create_subprocess_exec('sleep', '600')
    os.write(2, b'%d\\n' % process.pid)
    await process.wait()


def own_loop():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(program())
    finally:
        loop.close()


marks = []
running = []


async def handled():
    return marks


async def handle(*names):
    for name in names:
        asyncio.get_event_loop().add_signal_handler(getattr(signal, name), marks.append, name)


def own_handler():
    async def wait():
        came = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, came.set_result, 'SIGUSR1')
        os.kill(os.getpid(), signal.SIGUSR1)
        return await came
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(wait())
    finally:
        loop.close()


async def handle_number(number):
    asyncio.get_event_loop().add_signal_handler(number, marks.append, number)


async def handle_by_coroutine():
    asyncio.get_event_loop().add_signal_handler(signal.SIGTERM, add, 1)


async def handle_in_context(text):
    import contextvars
    variable = contextvars.ContextVar('variable')
    variable.set(text)
    for number in signal.SIGUSR1, signal.SIGINT:
        asyncio.get_event_loop().add_signal_handler(number, lambda: marks.append(variable.get()))


async def remove(name):
    return asyncio.get_event_loop().remove_signal_handler(getattr(signal, name))


def take_sigint():
    signal.signal(signal.SIGINT, lambda *_: None)


def handlers():
    return [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]


def plainly_busy():
    running.append(1)
    while 1:
        pass


def plainly_waiting():
    running.append(1)
    threading.Event().wait()


async def under_way():
    return bool(running and running.pop())


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
        # None of the agent's own lines; an interpreter may be in a folder of that name.
        self.assertNotIn('"chopsticks', failure['traceback'])
        self.assertNotIn('"<string>"', failure['traceback'])
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

    def test_programs_run(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('job:program'), b'out\n')
        self.assertEqual(agent.call('job:statuses'), [3, -9])

    def test_programs_run_in_loops_of_plain_functions_too(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('job:own_loop'), b'out\n')
        self.assertEqual(agent.call('job:program'), b'out\n')
        self.assertEqual(agent.call('job:own_loop'), b'out\n')

    def test_cancel_ends_a_program_that_is_awaited(self):
        agent = self.agent(CODE)
        request = agent.call_later('job:long_program')
        self.assertTrue(eventually(lambda: agent.errors))
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        pid = int(agent.errors[0])
        self.assertTrue(eventually(lambda: not alive(pid)))

    def test_signals_are_handled_while_the_main_thread_idles_computes_and_waits(self):
        agent = self.agent(CODE)
        agent.call('job:handle', 'SIGTERM', 'SIGUSR1')
        for n, during in enumerate((None, 'job:plainly_busy', 'job:plainly_waiting', 'job:wait'), 1):
            request = during and agent.call_later(during)
            if during:
                self.assertTrue(eventually(lambda: agent.call('job:under_way')))
            os.kill(agent.hello['pid'], signal.SIGTERM)
            os.kill(agent.hello['pid'], signal.SIGUSR1)
            self.assertTrue(eventually(lambda: len(agent.call('job:handled')) == 2 * n), during)
            if during:
                agent.cancel(request)
                self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertEqual(sorted(agent.call('job:handled')), ['SIGTERM'] * 4 + ['SIGUSR1'] * 4)

    def test_signals_are_handled_when_another_loop_had_handlers_meanwhile(self):
        agent = self.agent(CODE)
        agent.call('job:handle', 'SIGTERM')
        self.assertEqual(agent.call('job:own_handler'), 'SIGUSR1')
        os.kill(agent.hello['pid'], signal.SIGTERM)
        self.assertTrue(eventually(lambda: agent.call('job:handled') == ['SIGTERM']))

    def test_signal_handlers_are_set_while_the_main_thread_computes_and_waits(self):
        for during in 'job:plainly_busy', 'job:plainly_waiting':
            agent = self.agent(CODE)
            agent.call_later(during)
            self.assertTrue(eventually(lambda: agent.call('job:under_way')))
            agent.call('job:handle', 'SIGTERM')
            os.kill(agent.hello['pid'], signal.SIGTERM)
            self.assertTrue(eventually(lambda: agent.call('job:handled')))

    def test_signal_handler_that_is_removed_leaves_what_was_there(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('job:remove', 'SIGTERM'), False)
        before = agent.call('job:handlers')
        agent.call('job:handle', 'SIGTERM', 'SIGUSR1', 'SIGINT')
        agent.call('job:handle', 'SIGTERM')
        self.assertNotEqual(agent.call('job:handlers'), before)
        self.assertEqual([agent.call('job:remove', name) for name in ('SIGTERM', 'SIGUSR1', 'SIGINT', 'SIGINT')],
                         [True, True, True, False])
        self.assertEqual(agent.call('job:handlers'), before)
        os.kill(agent.hello['pid'], signal.SIGTERM)
        self.assertNotEqual(agent.process.wait(), -signal.SIGTERM)

    def test_cancel_of_a_plain_call_is_no_affair_of_a_handler_of_sigint(self):
        agent = self.agent(CODE)
        agent.call('job:handle', 'SIGINT', 'SIGTERM')
        for plain in 'job:plainly_busy', 'job:plainly_waiting':
            request = agent.call_later(plain)
            self.assertTrue(eventually(lambda: agent.call('job:under_way')))
            agent.cancel(request)
            self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        agent.call('job:handle', 'SIGTERM')
        self.assertEqual(agent.call('job:handled'), [])
        os.kill(agent.hello['pid'], signal.SIGINT)
        self.assertTrue(eventually(lambda: agent.call('job:handled') == ['SIGINT']))

    def test_signal_handlers_that_cannot_be_are_refused_as_asyncio_does(self):
        agent = self.agent(CODE)
        for number, kind, message in ((9, 'RuntimeError', 'cannot be caught'), (4711, 'ValueError', 'out of range')):
            failure = agent.fails('job:handle_number', number)
            self.assertEqual(failure['type'], kind)
            self.assertIn(message, failure['message'])
        self.assertEqual(agent.fails('job:handle_by_coroutine')['type'], 'TypeError')
        agent.call('job:take_sigint')
        failure = agent.fails('job:handle', 'SIGTERM')
        self.assertEqual(failure['type'], 'RuntimeError')
        self.assertIn('SIGINT has another handler', failure['message'])

    @unittest.skipIf(sys.version_info < (3, 7), 'needs context variables')
    def test_signal_handler_has_the_context_it_was_set_in(self):
        agent = self.agent(CODE)
        agent.call('job:handle_in_context', 'mine')
        os.kill(agent.hello['pid'], signal.SIGUSR1)
        self.assertTrue(eventually(lambda: agent.call('job:handled') == ['mine']))
        os.kill(agent.hello['pid'], signal.SIGINT)
        self.assertTrue(eventually(lambda: agent.call('job:handled') == ['mine'] * 2))

    def test_asynchronous_generators_are_no_results(self):
        failure = self.agent(CODE).fails('job:numbers')
        self.assertEqual((failure['kind'], failure['message']),
                         ('result', 'result: async_generator is not a primitive type (`stream` takes its items)'))

    def test_end_of_the_controller_ends_what_awaits(self):
        agent = self.agent(CODE)
        agent.call_later('job:wait')
        self.assertTrue(eventually(lambda: agent.call('job:count') == 1))
        self.assertEqual(agent.close(), 0)
