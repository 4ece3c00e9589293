"""What functions yield, item by item, and what they read."""

import asyncio
import os
import signal
import sys
import threading
import time

import pytest

import chopsticks
import streaming_module as remote
from chopsticks import aio
from chopsticks.group import ErrorResult, Group
from chopsticks.tunnel import Local, RemoteException, Timeout
from conftest import is_alive, until


def test_items_come_in_order(any_tun):
    assert list(any_tun.stream(remote.count, 1000)) == list(range(1000))
    assert list(any_tun.stream(remote.count, 0)) == []
    assert list(any_tun.stream(range, 3)) == [0, 1, 2]
    # The tunnel is usable between items.
    items = any_tun.stream(remote.count, 3)
    assert next(items) == 0 and any_tun.call(len, 'abc') == 3 and list(items) == [1, 2]
    assert list(items) == []


def test_generator_of_a_script_is_sent(script):
    out = script("""
        FACTOR = 2

        def doubled(numbers):
            for number in numbers:
                yield number * FACTOR

        with Here() as tun:
            print(list(tun.stream(doubled, [1, 2])))
            print(list(tun.stream(lambda: (n for n in range(FACTOR)))))
            print(list(tun.stream(doubled, input=(n for n in range(3)))))
    """)
    assert out == '[2, 4]\n[0, 1]\n[0, 2, 4]\n'


def test_item_comes_before_the_next_is_made(tun, tmp_path):
    with tun.stream(remote.slow, str(tmp_path / 'mark')) as items:
        assert next(items) == 'first'
        until(lambda: (tmp_path / 'mark').exists())
    assert tun.call(len, 'abc') == 3


@pytest.mark.parametrize('how', ['close', 'with', 'del', 'break'])
def test_generator_is_closed_with_its_stream(tun, tmp_path, how):
    mark = tmp_path / 'mark'
    items = tun.stream(remote.forever, str(mark))
    if how == 'with':
        with items:
            assert next(items) == 0
    elif how == 'break':
        for item in tun.stream(remote.forever, str(mark)):
            assert item == 0
            break
    else:
        assert next(items) == 0
    if how == 'close':
        items.close()
        assert list(items) == []
    del items
    until(lambda: mark.exists() and mark.read_text())
    assert tun.call(remote.was_closed)


def test_exception_comes_after_the_items_before_it(tun):
    found, lines = [], []
    tun.stderr = lambda host, line: lines.append(line)
    with pytest.raises(RemoteException, match='no more') as caught:
        for item in tun.stream(remote.fails, 3):
            found.append(item)
    assert found == [0, 1, 2] and lines == ['about to fail']
    assert caught.value.type_name == 'ValueError' and 'fails' in caught.value.tb
    with pytest.raises(RemoteException, match='complex is not a primitive type'):
        list(tun.stream(remote.odd))
    with pytest.raises(RemoteException, match='no items'):
        list(tun.stream(abs, 1))


def test_deadlines_are_for_all_of_a_stream_and_for_each_item(tun, tmp_path):
    for items in (
        tun.options(timeout=0.5).stream(remote.slow, str(tmp_path / 'mark')),
        tun.options(item_timeout=0.5).stream(remote.slow, str(tmp_path / 'mark')),
    ):
        assert next(items) == 'first'
        with pytest.raises(Timeout, match='after 500ms'):
            next(items)
        assert list(items) == []
    items = tun.stream(remote.slow, str(tmp_path / 'mark'))
    assert next(items) == 'first'
    with chopsticks.timeout(0.5), pytest.raises(Timeout, match='after 500ms'):
        next(items)
    assert tun.call(len, 'abc') == 3


def test_ctrl_c_ends_a_stream_and_what_it_started(tun):
    items = tun.stream(remote.child, '')
    pid = next(items)
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(items)
    timer.join()
    until(lambda: not is_alive(pid))
    assert list(items) == [] and tun.call(len, 'abc') == 3


def test_host_stands_still_while_nobody_takes_items(tun):
    items = tun.stream(remote.large, 1000, 1 << 18)
    found = []
    for item in items:
        found.append((item[0], len(item)))
        if len(found) == 1:
            time.sleep(0.1)
    assert found == [(number % 256, 1 << 18) for number in range(1000)]


def test_function_reads_what_this_side_makes(any_tun):
    made = []

    def words():
        for number in range(1000):
            made.append(number)
            yield 'x' * number

    items = any_tun.stream(remote.lengths, input=words())
    assert next(items) == 0
    assert list(items) == list(range(1, 1000)) and len(made) == 1000
    values = [None, 1.5, 'é', b'\xff', [1, (2, {3})], {'a': ['\udcff'] and 1}, '\uef80', '\udce9']
    if any_tun.call(remote.sys.getdefaultencoding) != 'ascii':
        assert list(any_tun.stream(list, input=values)) == values


def test_input_is_closed_when_nobody_reads_it(tun):
    ended = threading.Event()

    def words():
        try:
            while True:
                yield 'word'
        finally:
            ended.set()

    assert list(tun.stream(remote.first, input=words())) == ['word']
    assert ended.wait(60)


def test_exception_of_an_input_is_raised_where_it_is_read(tun):
    def words():
        yield 'one'
        raise ValueError('no more words')

    items = tun.stream(remote.lengths, input=words())
    assert next(items) == 3
    with pytest.raises(RemoteException, match='ValueError: no more words') as caught:
        next(items)
    assert caught.value.type_name == 'OSError'
    with pytest.raises(RemoteException, match='complex is not a primitive type'):
        list(tun.stream(remote.lengths, input=[1j]))


def test_groups_stream_pairs_of_host_and_item():
    hosts = [Local('a', python=sys.executable), Local('b', python=sys.executable), Local('c', python='/nowhere/python')]
    with Group(hosts) as group:
        found = list(group.stream(remote.count, 100))
        for host in 'ab':
            assert [item for name, item in found if name == host] == list(range(100))
        (failed,) = [item for name, item in found if name == 'c']
        assert isinstance(failed, ErrorResult) and '/nowhere/python' in failed.msg


def test_streams_are_awaited(tun, tmp_path):
    async def main():
        async with aio.Local(python=sys.executable) as there:
            found = [item async for item in there.stream(remote.count, 1000)]
            assert found == list(range(1000))
            assert [item async for item in there.stream(remote.lengths, input=['a', 'bc'])] == [1, 2]
            mark = tmp_path / 'mark'
            async with there.stream(remote.forever, str(mark)) as items:
                assert await items.__anext__() == 0
            until(mark.exists)
            items = there.stream(remote.slow, str(mark))
            assert await items.__anext__() == 'first'
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(items.__anext__(), 0.3)
            await items.aclose()
            with pytest.raises(RemoteException, match='no more'):
                [item async for item in there.stream(remote.fails, 3)]
            return await there.call(len, 'abc')

    assert asyncio.run(main()) == 3


def test_program_ends_with_a_stream_open(script):
    out = script("""
        import itertools, threading
        tun = Here()
        items = tun.stream(itertools.count)
        print(next(items), tun.call(os.getpid))
        other = tun.stream(map, len, input=itertools.repeat('abc'))
        sys.stdout.flush()
    """)
    pid = int(out.split()[1])
    assert out.startswith('0 ')
    until(lambda: not is_alive(pid))
