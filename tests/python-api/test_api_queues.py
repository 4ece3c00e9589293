"""Queues: a line of operations for each host."""
import os

from chopsticks.group import ErrorResult, Group, GroupResult
from chopsticks.queue import AsyncResult, NotCompleted, Queue
from chopsticks.tunnel import Local

from test_api_calls import add_state, fails, raised
from test_api_files import Folder, content
from test_api_groups import Lost


def test_each_host_works_off_its_line_in_order():
    a, b, queue = Local('a'), Local('b'), Queue()
    try:
        found = [queue.call(tun, add_state) for tun in (a, b, a, a, b)]
        assert all(isinstance(result, AsyncResult) for result in found)
        assert isinstance(raised(lambda: found[0].value), NotCompleted)
        queue.run()
        assert [result.value for result in found] == [1, 1, 2, 3, 2]
        queue.run()
        again = queue.call(a, add_state)
        queue.run()
        assert again.value == 4
    finally:
        a.close()
        b.close()


def test_groups_have_one_result():
    with Group([Local('a'), Local('b')]) as g:
        queue = Queue()
        connected, found = queue.connect(g), queue.call(g, len, [1])
        queue.run()
        assert isinstance(found.value, GroupResult) and dict(found.value) == {'a': 1, 'b': 1}
        assert list(connected.value.failures()) == []


def test_failures_are_results():
    lost, here, queue = Lost('lost'), Local('here'), Queue()
    try:
        found = [queue.call(lost, len, []), queue.call(here, fails, 'why'), queue.call(here, len, [])]
        queue.run()
        assert isinstance(found[0].value, ErrorResult) and '/nonexistent/python' in found[0].value.msg
        assert isinstance(found[1].value, ErrorResult) and 'KeyError' in found[1].value.msg
        assert found[2].value == 0
    finally:
        here.close()


def test_callbacks():
    got, queue = [], Queue()
    with Local() as tun:
        result = queue.call(tun, len, [1, 2])
        assert result.with_callback(got.append) is result
        queue.call(tun, len, []).with_callback(lambda value: queue.call(tun, len, [1]).with_callback(got.append))
        queue.run()
    assert got == [2, 1]


def test_results_without_a_queue():
    got = []
    result = AsyncResult()
    assert isinstance(raised(lambda: result.value), NotCompleted)
    assert result.with_callback(got.append) is result
    result._set(5)
    assert result.value == 5 and got == [5]


def test_files():
    with Folder() as folder, Local() as tun:
        source, queue = folder.file('source', b'abc'), Queue()
        put = queue.put(tun, source, folder.file('there'), mode=0o600)
        fetched = queue.fetch(tun, source, folder.file('back'))
        for_group = queue.fetch(Group([tun]), source, folder.file('{host}'))
        queue.run()
        assert sorted(put.value) == ['remote_path', 'sha1sum', 'size']
        assert content(fetched.value['local_path']) == content(folder.file('localhost')) == b'abc'
        assert list(for_group.value) == ['localhost']


def test_targets_are_tunnels_and_groups():
    for target in 'web1', None, os:
        assert isinstance(raised(Queue().call, target, len, []), TypeError)
