"""Groups and queues."""

import html.parser
import os
import re
import sys
import time

import pytest

import chopsticks
import chopsticks.aio
from chopsticks.group import ErrorResult, Group, GroupResult
from chopsticks.queue import AsyncResult, NotCompleted, Queue
from chopsticks.tunnel import Docker, Local, RemoteException, SSHTunnel


class Here(Local):
    python3 = sys.executable


class Nowhere(Local):
    python3 = '/nowhere/python'


@pytest.fixture
def group():
    with Group([Here('a'), Here('b'), Here('c')]) as group:
        yield group


def test_each_host_has_its_result_in_order(group):
    assert list(group.call(divmod, 7, 2).items()) == [('a', (3, 1)), ('b', (3, 1)), ('c', (3, 1))]
    assert group.connect() == {'a': None, 'b': None, 'c': None}


def test_failures_stand_beside_results():
    with Group([Here('a'), Nowhere('b')]) as group:
        found = group.call(len, 'abc')
        assert list(found.successful()) == [('a', 3)]
        ((host, error),) = found.failures()
        assert host == 'b' and isinstance(error, ErrorResult) and error.tb is None and '/nowhere/python' in error.msg
        with pytest.raises(RemoteException, match='1/2 hosts had failures'):
            found.raise_failures()
        failed = group.call(os.listdir, '/nowhere')
        assert 'FileNotFoundError' in failed['a'].msg and 'Traceback' in failed['a'].tb or failed['a'].tb


class Table(html.parser.HTMLParser):
    """The elements of a table, and its texts by row."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.caption, self.rows = set(), '', '', []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes += '%s\n' % attrs
        if tag == 'tr':
            self.rows.append([])
        elif tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_data(self, data):
        if self.rows:
            self.rows[-1][-1] += data
        else:
            self.caption += data


HOSTILE = '<script>alert(1)</script>"\'>&amp;<img src=x onerror=alert(1)>'
ELEMENTS = {'table', 'caption', 'thead', 'tbody', 'tr', 'th', 'td'}


def test_result_is_a_table_in_notebooks():
    result = GroupResult(
        [('a', HOSTILE), (HOSTILE, None), ('c', ErrorResult(HOSTILE, HOSTILE)), ('d', 'x' * 300), ('e', ErrorResult('\ud800'))]
    )
    table = Table(result._repr_html_())
    assert table.elements == ELEMENTS and '<' not in table.attributes and 'onerror' not in table.attributes
    assert table.caption == '5 hosts: 3 ok, 2 failed'
    # What UTF-8 has not cannot be sent to a notebook.
    assert result._repr_html_().encode('utf-8')
    assert table.rows == [
        ['host', 'state', 'result'],
        ['a', 'ok', repr(HOSTILE)],
        [HOSTILE, 'ok', 'None'],
        ['c', 'failed', str(ErrorResult(HOSTILE, HOSTILE))[:200]],
        ['d', 'ok', "'" + 'x' * 199 + '…'],
        ['e', 'failed', '\\ud800'],
    ]
    assert Table(GroupResult()._repr_html_()).caption == '0 hosts: 0 ok, 0 failed'


def test_group_is_a_table_in_notebooks():
    group = Group([Docker('a'), Local(HOSTILE)])
    table = Table(group._repr_html_())
    assert table.elements == ELEMENTS and table.caption == '2 hosts'
    assert table.rows == [['host', 'tunnel'], ['a', 'Docker'], [HOSTILE, 'Local']]
    assert chopsticks.aio.Group(group)._repr_html_() == group._repr_html_()
    assert Table(Group(['web1'])._repr_html_()).caption == '1 host'


def test_tables_have_the_colours_of_the_notebook():
    for shown in Group([Docker('a')]), GroupResult([('a', 1), ('b', ErrorResult('bad'))]):
        colours = re.findall(r'(?:color|background)[^:;"]*:\s*([^;"]+)', shown._repr_html_())
        assert set(colours) == {'inherit', 'none'}


def test_filter_keeps_hosts_by_what_a_function_says(group):
    assert repr(group.filter(bool, exclude=True)) == "Group([Here('a'), Here('b'), Here('c')])"
    assert len(group.filter(bool)) == 0


def test_groups_are_sets_by_name():
    a, b, c = (Docker(name) for name in 'abc')
    assert repr(a + b) == "Group([Docker('a'), Docker('b')])"
    ab, bc = a | b, b | c

    def names(group):
        return ''.join(tunnel.host for tunnel in group)

    for one, other in ((ab, bc), (Group(ab), Group(bc))):
        assert [names(one | other), names(one + other), names(one & other), names(one - other), names(one ^ other)] == [
            'abc',
            'abc',
            'b',
            'a',
            'ac',
        ]
        assert [
            names(one.union(other)),
            names(one.intersection(other)),
            names(one.difference(other)),
            names(one.symmetric_difference(other)),
        ] == ['abc', 'b', 'a', 'ac']
    assert names(a - a) == '' and names(a & ab) == 'a' and names(ab - b) == 'a' and names(a ^ b) == 'ab'


def test_names_stand_for_hosts_by_ssh():
    group = Group(['web1', Local('worker')])
    assert repr(group) == "Group([SSHTunnel('web1'), Local('worker')])"
    assert isinstance(group.tunnels[0], SSHTunnel)
    for wrong, error in (('web1', TypeError), (['a', 'a'], ValueError), ([1], TypeError)):
        with pytest.raises(error):
            Group(wrong)
    with pytest.raises(TypeError):
        group + 'web2'


def test_deadline_is_for_groups_too(group):
    group.connect()
    with chopsticks.timeout(0.5):
        found = group.call(time.sleep, 1000)
    assert len(list(found.failures())) == 3
    assert group.call(len, 'abc')['a'] == 3


def test_queue_runs_each_line_in_order(group):
    queue = Queue()
    results = [queue.call(group, divmod, number, 2) for number in range(3)]
    single = queue.call(group.tunnels[1], len, 'abc')
    with pytest.raises(NotCompleted):
        single.value  # noqa: B018
    queue.connect(group)
    queue.run()
    assert [result.value['a'] for result in results] == [divmod(number, 2) for number in range(3)]
    assert single.value == 3
    queue.run()


def test_callbacks_add_operations(group):
    queue, seen = Queue(), []

    def again(value):
        seen.append(value)
        if value < 5:
            queue.call(group.tunnels[0], len, 'x' * (value + 1)).with_callback(again)

    queue.call(group.tunnels[0], len, 'x').with_callback(again)
    queue.run()
    assert seen == [1, 2, 3, 4, 5]


def test_callback_may_call_and_its_exception_ends_the_run(group):
    queue, seen = Queue(), []

    def fail(value):
        seen.append(group.tunnels[1].call(len, 'abc'))
        raise ZeroDivisionError

    queue.call(group.tunnels[0], len, 'x').with_callback(fail)
    slow = queue.call(group.tunnels[2], time.sleep, 1000)
    with pytest.raises(ZeroDivisionError):
        queue.run()
    assert seen == [3] and slow.value.msg == 'cancelled'


def test_queue_is_run_once_at_a_time(group):
    queue, seen = Queue(), []

    def run_again(value):
        seen.append(value)
        with pytest.raises(RuntimeError, match='being run'):
            queue.run()

    queue.call(group.tunnels[0], len, 'x').with_callback(run_again)
    after = queue.call(group.tunnels[0], len, 'xy')
    queue.run()
    assert seen == [1] and after.value == 2
    queue.call(group.tunnels[0], len, 'xyz').with_callback(seen.append)
    queue.run()
    assert seen == [1, 3]


def test_host_that_cannot_be_reached_fails_its_line():
    queue, tun = Queue(), Nowhere('n')
    results = [queue.call(tun, len, 'abc') for _ in range(3)]
    queue.run()
    assert all('/nowhere/python' in result.value.msg for result in results)


def test_result_without_a_queue_is_not_completed():
    result = AsyncResult()
    with pytest.raises(NotCompleted):
        result.value  # noqa: B018


def test_two_tunnels_of_one_name_are_refused(group):
    queue = Queue()
    queue.call(group.tunnels[0], len, 'x')
    with pytest.raises(ValueError, match='another tunnel named a'):
        queue.call(Here('a'), len, 'x')
    queue.run()
