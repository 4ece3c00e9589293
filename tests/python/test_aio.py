"""Tunnels, groups and queues for `asyncio`."""

import asyncio
import os
import subprocess
import sys
import threading
import time

import pytest

import chopsticks
import chopsticks.tunnel
from chopsticks import aio
from chopsticks.group import ErrorResult
from conftest import is_alive, until
from remote import read, write


def run(test):
    """Makes a test of a coroutine function."""

    def wrapped(tmp_path):
        asyncio.run(test(tmp_path))

    return wrapped


def here(name='localhost'):
    return aio.Local(name, python=sys.executable)


@run
async def test_calls_overlap_in_one_thread(tmp_path):
    async with here() as tun:
        # None of them ends before all have begun.
        fifos = [tmp_path / str(number) for number in range(5)]
        for fifo in fifos:
            os.mkfifo(fifo)
        calls = [asyncio.ensure_future(tun.call(read, str(fifo))) for fifo in fifos]
        for number, fifo in enumerate(fifos):
            await tun.call(write, str(fifo), number)
        assert await asyncio.gather(*calls) == ['0', '1', '2', '3', '4']


@run
async def test_errors_and_deadlines_are_those_of_tunnels(tmp_path):
    async with here() as tun:
        with pytest.raises(chopsticks.RemoteException, match='FileNotFoundError'):
            await tun.call(os.listdir, '/nowhere')
        with pytest.raises(chopsticks.Timeout):
            await tun.options(timeout=0.3).call(time.sleep, 1000)
        with chopsticks.timeout(0.3), pytest.raises(chopsticks.Timeout):
            await tun.call(time.sleep, 1000)
        assert await tun.call(len, 'abc') == 3
        (tmp_path / 'f').write_text('abc')
        assert (await tun.put(tmp_path / 'f'))['size'] == 3
        assert (await tun.fetch(tmp_path / 'f', tmp_path / 'g'))['local_path'] == str(tmp_path / 'g')
    with pytest.raises(chopsticks.Disconnected, match='/nowhere/python'):
        await aio.Local(python='/nowhere/python').connect()


@run
async def test_cancelled_task_cancels_the_call(tmp_path):
    async with here() as tun:
        pid = tmp_path / 'pid'
        command = 'echo $$ > %s; exec sleep 1000' % pid
        task = asyncio.ensure_future(tun.call(subprocess.call, command, shell=True))
        while not (pid.exists() and pid.read_text()):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        until(lambda: not is_alive(int(pid.read_text())))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(tun.call(time.sleep, 1000), 0.3)
        assert await tun.call(len, 'abc') == 3


@run
async def test_groups_and_queues(tmp_path):
    group = aio.Group([here('a'), chopsticks.Local('b', python=sys.executable), aio.Local('n', python='/nowhere')])
    async with group:
        found = await group.call(len, 'abc')
        assert list(found)[:2] == ['a', 'b'] and found['a'] == found['b'] == 3
        assert isinstance(found['n'], ErrorResult)
        seen = []
        queue = aio.Queue()
        first = queue.call(group, len, 'abcd').with_callback(lambda value: seen.append(value['a']))
        both = aio.Group(group.group.tunnels[:2])
        queue.call(both, len, 'x').with_callback(lambda value: queue.call(both, len, '').with_callback(seen.append))
        await queue.run()
        assert first.value['b'] == 4 and seen[0] == 4 and seen[1] == {'a': 0, 'b': 0}
        assert repr(await both.filter(os.getpid)) == "aio.Group([Local('a'), Local('b')])"


@run
async def test_cancelled_queue_cancels_what_is_under_way(tmp_path):
    async with here() as tun:
        queue = aio.Queue()
        done = queue.call(tun, len, 'abc')
        slow = queue.call(tun, time.sleep, 1000)
        later = queue.call(tun, len, 'abcd')
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(queue.run(), 1)
        assert done.value == 3 and slow.value.msg == 'cancelled'
        await queue.run()
        assert later.value == 4


@run
async def test_other_threads_may_use_the_same_tunnel(tmp_path):
    async with here() as tun:
        found = []
        thread = threading.Thread(target=lambda: found.append(tun.tunnel.call(len, 'abc')))
        thread.start()
        assert await tun.call(len, 'abcd') == 4
        while thread.is_alive():
            await asyncio.sleep(0.01)
        assert found == [3]


def test_own_class_of_tunnel_can_be_awaited():
    class Mine(chopsticks.tunnel.SubprocessTunnel):
        host, python3 = 'mine', sys.executable

    async def main():
        async with aio.BaseTunnel(Mine()) as tun:
            return tun.host, repr(tun), await tun.call(len, 'abc')

    assert asyncio.run(main()) == ('mine', "aio.Mine('mine')", 3)
