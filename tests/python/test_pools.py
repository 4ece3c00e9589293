"""Many items, each of which goes to the next free host."""

import asyncio
import functools
import inspect
import itertools
import os
import pathlib
import re
import signal
import sys
import threading

import pytest

import chopsticks
import streaming_module as remote
from chopsticks import aio
from chopsticks.group import Group
from chopsticks.pool import Pool, PoolOutcome, PoolRun
from chopsticks.tunnel import Disconnected, Local, RemoteException, Timeout
from conftest import AGENTS, is_alive, until

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def hosts():
    with Group([Local(name, python=sys.executable) for name in 'ab']) as group:
        yield group


def results(run):
    return {done.index: done.result() for done in run}


def test_items_are_spread_over_hosts(tmp_path):
    hosts = [Local('host%d' % number, python=python) for number, python in enumerate(AGENTS)]
    with Group(hosts) as group:
        items = ['a' * number for number in range(300)]
        # None goes on until all are busy, so that a host that connects early does not take everything.
        meets = functools.partial(remote.meets, str(tmp_path), len(hosts))
        done = list(Pool(group).map(meets, items))
        assert sorted(one.index for one in done) == list(range(300))
        assert all(one.value == one.index and one.error is None and one.attempts == 1 for one in done)
        assert {one.host for one in done} == {tunnel.host for tunnel in hosts}
        # Values of all types, and functions that are sent.
        assert results(Pool(hosts[0]).map(lambda item: [item], [None, 1.5, 'é', b'x', [1, (2,)]])) == {
            0: [None], 1: [1.5], 2: ['é'], 3: [b'x'], 4: [[1, (2,)]]
        }
        assert results(Pool(hosts[:1]).map(functools.partial(pow, 2), range(3))) == {0: 1, 1: 2, 2: 4}


def test_failing_item_is_an_outcome(hosts):
    done = list(Pool(hosts).map(len, ['abc', 5, b'ab'], ordered=True))
    assert [one.value for one in done] == [3, None, 2]
    assert done[1].error.type_name == 'TypeError' and done[1].error.host == done[1].host
    with pytest.raises(RemoteException, match='TypeError'):
        done[1].result()
    assert repr(done[0]) == 'PoolOutcome(index=0, host=%r, attempts=1, value=3)' % done[0].host
    # What cannot be sent is one too.
    first, second = Pool(hosts).map(len, [object(), 'ab'], ordered=True)
    assert second.value == 2 and 'cannot be sent' in first.error.msg and first.attempts == 0


def test_outcomes_come_in_order_within_a_window(hosts):
    read = []

    def items():
        for number in itertools.count():
            read.append(number)
            yield number

    with Pool(hosts).map(remote.first_is_slow, items(), ordered=True, window=20) as run:
        found = [done.result() for done in itertools.islice(run, 100)]
    assert found == list(range(100))
    # A few wait on this side.
    assert max(read) < 100 + 20 + 256 + 40


def test_input_is_read_as_it_is_needed(hosts):
    ended = threading.Event()

    def items():
        try:
            yield from itertools.count()
        finally:
            ended.set()

    run = Pool(hosts).map(abs, items())
    assert run.items_read() == 0
    assert next(run).error is None
    assert 0 < run.items_read() and run.items_under_way() >= 0
    run.close()
    assert list(run) == [] and ended.wait(60)
    assert all(value == 3 for _, value in hosts.call(len, 'abc').successful())


def test_exception_of_the_input_comes_after_the_outcomes_before_it(hosts):
    def items():
        yield from ['a', 'bc']
        raise KeyError('no more items')

    found = []
    with pytest.raises(KeyError, match='no more items'):
        for done in Pool(hosts).map(len, items()):
            found.append(done.result())
    assert sorted(found) == [1, 2]


def test_item_of_a_host_that_was_killed_goes_to_another(hosts, tmp_path):
    mark = tmp_path / 'mark'
    function = functools.partial(remote.kills_once, mark=str(mark))
    done = {one.index: one for one in Pool(hosts).map(function, range(40))}
    assert {index: one.result() for index, one in done.items()} == {n: n for n in range(40)}
    assert max(one.attempts for one in done.values()) == 2
    # Without another attempt it has failed.
    mark.unlink()
    (failed,) = [one for one in Pool(hosts).map(function, range(40), attempts=1) if one.error]
    assert isinstance(failed.error, Disconnected) and failed.attempts == 1


def test_hosts_that_cannot_be_reached_are_named(hosts):
    hosts = [*hosts, Local('c', python='/nowhere/python')]
    run = Pool(hosts).map(len, ['abc'] * 20)
    assert results(run) == dict.fromkeys(range(20), 3)
    assert list(run.lost()) == ['c'] and '/nowhere/python' in run.lost()['c'].msg
    (done,) = Pool(hosts[2]).map(len, ['abc'])
    assert done.host is None and done.attempts == 0 and 'not started' in str(done.error)


def test_deadline_is_that_of_each_item(hosts):
    done = list(Pool(hosts).map(remote.sleeps, [0, 1000, 0], item_timeout=3, ordered=True))
    assert [one.value for one in done] == [0, None, 0] and isinstance(done[1].error, Timeout)
    run = Pool(hosts).map(remote.sleeps, [1000])
    with chopsticks.timeout(0.5), pytest.raises(Timeout, match='after 500ms'):
        next(run)
    assert list(run) == []


def test_failures_over_the_limit_stop_the_run(hosts):
    done = list(Pool(hosts).map(len, itertools.repeat(5), max_failures=3))
    assert 4 <= len(done) < 2000 and all(one.error for one in done)


def test_hosts_stay_busy_while_nobody_takes_outcomes(hosts, tmp_path):
    paths = [str(tmp_path / str(number)) for number in range(50)]
    run = Pool(hosts).map(remote.touch, paths)
    until(lambda: all(map(os.path.exists, paths)))
    assert sorted(done.index for done in run) == list(range(50))
    # Outcomes that wait keep nothing alive.
    run = Pool(hosts).map(remote.touch, [str(tmp_path / 'more')])
    until((tmp_path / 'more').exists)
    run.close()
    assert list(run) == []


@pytest.mark.parametrize('how', ['close', 'with', 'del', 'interrupt'])
def test_end_of_a_run_ends_what_is_under_way(hosts, tmp_path, how):
    paths = [str(tmp_path / name) for name in 'ab']
    # Nothing begins while nobody waits for outcomes: the first comes once the other items have begun.
    run = Pool(hosts).map(remote.starts_child, [paths, *paths], per_host=2, ahead=0)
    assert next(run).result() is None

    def pids():
        return [int(open(path).read()) for path in paths]

    if how == 'close':
        run.close()
    elif how == 'with':
        with run:
            pass
    elif how == 'interrupt':
        timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            next(run)
        timer.join()
    if how != 'del':
        assert list(run) == []
    del run
    until(lambda: not any(map(is_alive, pids())))
    assert dict(hosts.call(len, 'abc')) == {'a': 3, 'b': 3}


def test_tunnel_may_be_closed_while_a_pool_runs(hosts):
    found = []
    for done in Pool(hosts).map(abs, range(400), ordered=True):
        found.append(done.result())
        if len(found) in (20, 200):
            hosts.tunnels[0].close()
    assert found == list(range(400))


def test_hosts_come_and_go_while_it_runs(hosts):
    a, b = hosts
    pool = Pool(a)
    run = pool.map(remote.waits_a_moment, itertools.count())
    assert next(run).host == 'a'
    pool.add([b, a])
    assert pool.hosts() == ['a', 'b'] and len(pool) == 2
    assert any(done.host == 'b' for done in run)
    assert pool.remove('a') and not pool.remove('a')
    streak = 0
    for done in run:
        streak = streak + 1 if done.host == 'b' else 0
        if streak == 100:
            break
    assert pool.hosts() == ['b']
    run.close()
    assert {done.host for done in pool.map(abs, range(10))} == {'b'}


def test_several_items_run_at_a_time_on_each_host(hosts):
    assert results(Pool(hosts.tunnels[0]).map(remote.meets_another, range(3), per_host=3)) == {0: 3, 1: 3, 2: 3}


def test_timeline_is_drawn(hosts):
    run = Pool(hosts).map(abs, range(10), recorded=True)
    list(run)
    assert run.timeline().startswith('<svg') and run._repr_html_() == run.timeline()
    assert Pool(hosts).map(abs, range(10)).timeline() is None


def test_results_that_wait_are_bounded(hosts):
    # Of 400 MB, a few wait here while the first item takes its time.
    before = memory('VmRSS')
    pathlib.Path('/proc/self/clear_refs').write_text('5')
    run = Pool(hosts).map(remote.large_behind_a_slow_one, range(400), ordered=True, max_buffered=8 << 20)
    assert sum(len(done.result()) for done in run) == 400 << 20
    assert memory('VmHWM') - before < 100 << 20


def memory(kind):
    """Of this process, in bytes: what it has, or the most that it has had since `clear_refs` was written."""
    status = pathlib.Path('/proc/self/status').read_text()
    return int(re.search(kind + r':\s+(\d+) kB', status).group(1)) << 10


def test_wrong_arguments_are_refused(hosts):
    for settings in ({'per_host': 0}, {'attempts': 0}, {'window': 0}):
        with pytest.raises(ValueError):
            Pool(hosts).map(abs, [], **settings)
    for wrong, error in (('web1', TypeError), ([5], TypeError), ([Local('a'), Local('a')], ValueError)):
        with pytest.raises(error):
            Pool(wrong)
    with pytest.raises(TypeError):
        Pool(hosts).map(abs, 5)


def test_pools_are_awaited(hosts):
    async def main():
        pool = aio.Pool(aio.Group(hosts))
        assert len(pool) == 2 and pool.hosts() == ['a', 'b']
        found = {done.index: done.result() async for done in pool.map(abs, range(500))}
        assert found == {number: number for number in range(500)}
        async with pool.map(remote.sleeps, [0, 1000, 1000]) as run:
            assert (await run.__anext__()).value == 0
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(run.__anext__(), 0.3)
            assert run.items_under_way() == 2

        def items():
            yield 1
            raise KeyError('no more items')

        with pytest.raises(KeyError):
            [done async for done in pool.map(abs, items())]
        return await aio.Group(hosts).call(len, 'abc')

    assert dict(asyncio.run(main())) == {'a': 3, 'b': 3}


def test_program_ends_with_a_pool_open(script):
    out = script("""
        import itertools
        from chopsticks import Pool
        tun = Here()
        run = Pool(tun).map(abs, itertools.count())
        print(next(run).value, tun.call(os.getpid))
        sys.stdout.flush()
    """)
    pid = int(out.split()[1])
    until(lambda: not is_alive(pid))


def test_names_are_those_of_the_library_in_rust():
    rust = (ROOT / 'crates/chopsticks/src/pool.rs').read_text() + (ROOT / 'crates/chopsticks-group/src/pool.rs').read_text()
    names = set(re.findall(r'pub (?:fn )?(\w+)', rust))
    settings = set(inspect.signature(Pool.map).parameters) - {'self', 'callable', 'items'}
    methods = {name for owner in (Pool, PoolRun) for name in vars(owner) if not name.startswith('_')}
    fields = {name for name in PoolOutcome.__slots__}
    # A window is an argument of `ordered_within`, and an outcome is a value or an error.
    own = {'window', 'value', 'error'}
    assert (settings | methods | fields) - own <= names
    group = rust + (ROOT / 'crates/chopsticks-group/src/pool/run.rs').read_text()
    defaults = {name: value.default for name, value in inspect.signature(Pool.map).parameters.items()}
    for line, name in (
        ('per_host: %d,', 'per_host'),
        ('attempts: %d,', 'attempts'),
        ('const AHEAD: usize = %d;', 'ahead'),
        ('const WINDOW: usize = %d;', 'window'),
    ):
        assert line % defaults[name] in group
    assert 'const BUFFERED: usize = 64 << 20;' in group and defaults['max_buffered'] == 64 << 20
