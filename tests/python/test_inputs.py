"""What functions read from this process, beyond what hosts can do as well: `tests/python-api/test_api_streams.py`."""

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

import awaiting_module
import chopsticks
import streaming_module as remote
from chopsticks import Pool, Queue, aio
from chopsticks.group import Group
from chopsticks.tunnel import Local, RemoteException, Timeout
from conftest import is_alive, until


def endless(ended, started=None):
    try:
        while True:
            if started is not None:
                started.set()
            yield 'word'
    finally:
        ended.set()


def test_any_agent_reads_an_input(any_tun):
    assert any_tun.call(remote.total, input=range(1000)) == 499500
    assert any_tun.call(remote.total, 1, input=(n for n in range(10))) == 46
    with pytest.raises(RemoteException, match='ZeroDivisionError: ') as caught:
        any_tun.call(remote.total, input=(1 // n for n in [1, 0]))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_coroutine_functions_read_asynchronously(tun):
    assert tun.call(awaiting_module.total, input=range(100)) == 4950


def test_functions_of_a_script_read_an_input(script):
    out = script("""
        FACTOR = 2

        def total(numbers):
            return FACTOR * sum(numbers)

        with Here() as tun:
            print(tun.call(total, input=[1, 2]), tun.call(lambda words: ''.join(words), input='ab'.split()))
            print(tun.call(lambda words: list(words), input=open(__file__)) == open(__file__).readlines())
    """)
    assert out == '6 ab\nTrue\n'


def test_text_is_an_argument_of_the_function(tun):
    assert tun.call(subprocess.check_output, ['cat'], input=b'abc') == b'abc'
    assert list(tun.stream(subprocess.check_output, ['cat'], input='abc', text=True)) == ['a', 'b', 'c']
    with Group([tun]) as group:
        assert group.call(subprocess.check_output, ['cat'], input=b'abc') == {'localhost': b'abc'}
        with pytest.raises(TypeError, match='input'):
            group.call(remote.total, input=[1])
        with pytest.raises(TypeError, match='input'):
            Queue().call(group, remote.total, input=[1])


def test_interrupt_ends_the_call_and_its_input(tun):
    ended, started = threading.Event(), threading.Event()
    pid = tun.call(os.getpid)

    def interrupt():
        started.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        tun.call(remote.total_of_lengths, input=endless(ended, started))
    thread.join()
    assert ended.wait(60) and tun.call(os.getpid) == pid


def test_deadline_ends_the_call_and_its_input(tun):
    ended = threading.Event()
    with pytest.raises(Timeout):
        tun.options(timeout=0.3).call(remote.total_of_lengths, input=endless(ended))
    assert ended.wait(60)
    ended = threading.Event()
    with chopsticks.timeout(0.3), pytest.raises(Timeout):
        tun.call(remote.total_of_lengths, input=endless(ended))
    assert ended.wait(60) and tun.call(len, 'abc') == 3


def test_lost_host_ends_the_input(tun):
    ended, pid = threading.Event(), tun.call(os.getpid)
    items = tun.stream(remote.lengths, input=endless(ended))
    assert next(items) == 4
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(RemoteException):
        for _ in items:
            pass
    assert ended.wait(60) and tun.call(len, 'abc') == 3
    ended = threading.Event()
    with pytest.raises(RemoteException):
        Local(python='/nowhere/python').call(remote.total, input=endless(ended))
    assert ended.wait(60)


def test_nothing_is_read_before_the_first_item_is_asked_for(tun):
    asked = []
    items = tun.stream(remote.lengths, input=(asked.append(word) or word for word in ['a', 'bc']))
    assert tun.call(len, 'abc') == 3 and asked == []
    assert list(items) == [1, 2] and asked == ['a', 'bc']


def test_a_file_stays_open_and_a_generator_does_not(tun):
    with open(__file__) as file:
        assert tun.call(remote.none_of, input=file) == 'none'
        assert not file.closed


def test_memory_stays_flat_while_much_is_sent(script):
    out = script("""
        import resource
        import streaming_module as remote
        piece = b'x' * 65536

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        with Here() as tun:
            tun.call(remote.total_of_lengths, input=(piece for _ in range(400)))
            before, there = peak(), tun.call(peak)
            # 256 MiB.
            print(tun.call(remote.total_of_lengths, input=(piece for _ in range(4096))))
            # Both in KiB.
            print(peak() - before < 16384, tun.call(peak) - there < 16384)
    """, env=dict(os.environ, PYTHONPATH=os.path.dirname(__file__)))
    assert out == '268435456\nTrue True\n'


def test_groups_give_an_input_to_each_host():
    with Group([Local('a', python=sys.executable), Local('b', python=sys.executable)]) as group:
        found = list(group.stream(remote.lengths, input=('x' * n for n in range(100))))
        for host in 'ab':
            assert [item for name, item in found if name == host] == list(range(100))


async def words(number, ended=None):
    try:
        for n in range(number):
            await asyncio.sleep(0)
            yield 'x' * n
    finally:
        if ended is not None:
            ended.set()


async def fails():
    yield 1
    raise ValueError('no more')


async def silent(ended, begun=None):
    try:
        yield 'word'
        if begun:
            begun.set()
        await asyncio.Event().wait()
    finally:
        ended.set()


def run(main):
    async def within():
        async with aio.Local(python=sys.executable) as there:
            await main(there)
            assert await there.call(len, 'abc') == 3

    asyncio.run(within())


def test_asynchronous_iterables_are_read():
    async def main(there):
        assert await there.call(remote.total_of_lengths, input=words(100)) == 4950
        assert await there.call(remote.total, input=range(100)) == 4950
        assert [item async for item in there.stream(remote.lengths, input=words(1000))] == list(range(1000))
        assert [item async for item in there.stream(remote.lengths, input=['a'])] == [1]
        assert await there.call(subprocess.check_output, ['cat'], input=b'abc') == b'abc'
        group = aio.Group([there, aio.Local('other', python=sys.executable)])
        async with group:
            found = [pair async for pair in group.stream(remote.lengths, input=words(50))]
            for host in ('localhost', 'other'):
                assert [item for name, item in found if name == host] == list(range(50))
            found = [pair async for pair in group.stream(remote.lengths, input=['a', 'bc'])]
            assert sorted(found) == [('localhost', 1), ('localhost', 2), ('other', 1), ('other', 2)]

    run(main)


def test_error_of_an_asynchronous_iterable_is_raised_where_it_is_read():
    async def main(there):
        with pytest.raises(RemoteException, match='ValueError: no more') as caught:
            await there.call(remote.total, input=fails())
        assert isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(RemoteException, match='ValueError: no more'):
            [item async for item in there.stream(remote.doubled, input=fails())]

    run(main)


@pytest.mark.parametrize('how', ['end', 'cancel', 'aclose', 'del'])
def test_asynchronous_iterable_is_closed_with_its_call(how):
    async def main(there):
        ended = asyncio.Event()
        if how == 'end':
            assert await there.call(remote.none_of, input=silent(ended)) == 'none'
        elif how == 'cancel':
            begun = asyncio.Event()
            task = asyncio.create_task(there.call(remote.total_of_lengths, input=silent(ended, begun)))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended.is_set()
        else:
            items = there.stream(remote.lengths, input=silent(ended))
            assert await items.__anext__() == 4
            if how == 'aclose':
                await items.aclose()
                assert ended.is_set()
            del items
            await asyncio.wait_for(ended.wait(), 60)

    run(main)


def test_pools_read_asynchronous_iterables():
    async def main():
        async with aio.Group([aio.Local('a', python=sys.executable)]) as group:
            found = [done.result() async for done in aio.Pool(group).map(len, words(100), ordered=True)]
            assert found == list(range(100))
            outcomes, run = [], aio.Pool(group).map(remote.doubled_one, fails())
            with pytest.raises(ValueError, match='no more'):
                async for done in run:
                    outcomes.append(done.result())
            assert outcomes == [2]

    asyncio.run(main())


def test_what_is_started_for_an_input_ends_with_its_call(tun):
    process = subprocess.Popen(['yes'], stdout=subprocess.PIPE, text=True)
    with process:
        assert tun.call(remote.first_of, input=process.stdout) == 'y\n'
        process.kill()
    until(lambda: not is_alive(process.pid))
    assert Pool([tun]).map(len, ['abc']).__next__().value == 3


def test_dropped_streams_leave_nothing_behind(tun):
    for number in range(500):
        words = (word for word in ['a', 'bc'] * 3)
        items = tun.stream(remote.lengths, input=words) if number % 2 else tun.stream(remote.count, 10)
        assert next(items) in (0, 1)
        del items
        if number % 10 == 5:
            assert tun.call(remote.first_of, input=iter(['word', 'other'])) == 'word'
        if number == 20:
            descriptors = len(os.listdir('/proc/self/fd'))
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == 'chopsticks-input'])
    assert len(os.listdir('/proc/self/fd')) <= descriptors + 2
    until(lambda: len(tun.call(os.listdir, '/proc/self/task')) < 8)
