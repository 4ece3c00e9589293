"""Hosts as workers."""

import concurrent.futures
import os
import subprocess
import sys
import time

import pytest

from chopsticks import Executor, Local, RemoteException
from conftest import is_alive, until
from remote import meet


class Here(Local):
    python3 = sys.executable


@pytest.fixture
def executor():
    with Executor([Here('a'), Here('b')]) as executor:
        yield executor


def test_calls_are_spread_over_hosts(executor):
    assert list(executor.map(len, ['a' * number for number in range(20)])) == list(range(20))
    calls = [executor.submit(os.getpid) for _ in range(20)]
    agents = {call.result() for call in calls}
    assert len(agents) == 2


def test_exception_is_that_of_the_call(executor):
    call = executor.submit(os.listdir, '/nowhere')
    with pytest.raises(RemoteException, match='FileNotFoundError'):
        call.result()
    with pytest.raises(TypeError):
        executor.submit(len, sys._getframe()).result()
    assert executor.submit(len, 'abc').result() == 3


def test_call_is_cancelled_on_its_host(executor, tmp_path):
    pids = [tmp_path / 'a', tmp_path / 'b']
    calls = [executor.submit(subprocess.call, 'echo $$ > %s; exec sleep 1000' % pid, shell=True) for pid in pids]
    late = executor.submit(len, 'abc')
    until(lambda: all(pid.exists() and pid.read_text() for pid in pids))
    assert not late.done()
    assert calls[0].cancel() and calls[0].cancelled()
    assert late.result() == 3
    until(lambda: not is_alive(int(pids[0].read_text())))
    assert calls[1].cancel()
    assert executor.submit(len, 'abcd').result() == 4


def test_futures_are_those_of_the_library(executor):
    calls = [executor.submit(time.sleep, 0.01) for _ in range(4)]
    done, rest = concurrent.futures.wait(calls)
    assert len(done) == 4 and not rest
    seen = []
    executor.submit(len, 'abc').add_done_callback(lambda call: seen.append(call.result()))
    until(lambda: seen)
    assert seen == [3]


def test_shutdown_cancels_what_waits():
    executor = Executor([Here('a')])
    first = executor.submit(time.sleep, 0.3)
    rest = [executor.submit(len, 'abc') for _ in range(5)]
    executor.shutdown(cancel_futures=True)
    assert first.result() is None and all(call.cancelled() for call in rest)
    with pytest.raises(RuntimeError):
        executor.submit(len, 'abc')
    for wrong, error in (('web1', TypeError), ([], ValueError)):
        with pytest.raises(error):
            Executor(wrong)


def test_more_calls_at_once_on_one_host():
    with Executor([Here('a')], calls=3) as executor:
        barrier = [executor.submit(meet, 3) for _ in range(3)]
        assert sorted(call.result() for call in barrier) == [0, 1, 2]
