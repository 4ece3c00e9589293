"""Limits and progress of groups and queues."""

import asyncio
import pickle
import sys
import time
import types
import xml.dom.minidom

import pytest

from chopsticks import aio
from chopsticks.group import ErrorResult, Group, Limits
from chopsticks.queue import Queue
from chopsticks.tunnel import Local
from remote import is_true, spans


def group_of(count, **options):
    return Group([Local('host%d' % number, python=sys.executable) for number in range(count)], **options)


def overlapping(spans):
    """How many spans overlap at most."""
    return max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)


def test_no_more_hosts_run_at_once_than_is_said():
    with group_of(5, limits=Limits(max_running=2)) as group:
        found = group.call(spans, 0.1)
        found.raise_failures()
        assert overlapping(found.values()) <= 2
        queue = Queue(limits=Limits(max_running=1))
        results = [queue.call(tunnel, spans, 0.05) for tunnel in group]
        queue.run()
        assert overlapping([result.value for result in results]) == 1


def test_batches_run_one_after_the_other():
    with group_of(4, limits=Limits(batch='50%')) as group:
        first, second = [list(group.call(spans, 0.05).values())[at : at + 2] for at in (0, 2)]
        assert overlapping(first) <= 2 and overlapping(second) <= 2
        found = list(group.call(spans, 0.05).values())
        assert max(end for _, end in found[:2]) <= min(begin for begin, _ in found[2:])


def test_failures_stop_what_has_not_begun():
    with group_of(4, limits=Limits(max_running=1, max_failures=1)) as group:
        found = list(group.call(eval, '1 / 0').values())
        assert all(isinstance(value, ErrorResult) for value in found)
        assert ['ZeroDivisionError' in value.msg for value in found] == [True, True, False, False]
        # Groups that are made of it have its limits.
        rest = group - Local('host0')
        assert rest.limits is group.limits and (group | Local('more')).limits is group.limits
        assert group.filter(is_true).limits is group.limits


def test_each_host_has_a_time_of_its_own():
    with group_of(2) as group:
        group.connect().raise_failures()
        group.limits = Limits(host_timeout=0.3)
        found = group.call(time.sleep, 1000)
        assert all('when the deadline passed' in value.msg for value in found.values()), found


def test_limits_hold_for_asyncio():
    async def main():
        async with aio.Group(group_of(3).tunnels, limits=Limits(max_running=1)) as group:
            return overlapping((await group.call(spans, 0.05)).values())

    assert asyncio.run(main()) == 1


def test_what_is_no_limit_is_refused():
    for wrong in (
        {'batch': '10 hosts'},
        {'batch': 0},
        {'max_failures': 'x%'},
        {'max_running': 0},
        {'host_timeout': float('nan')},
    ):
        with pytest.raises(ValueError):
            Limits(**wrong)
    limits = Limits(max_running=3, batch='10%')
    assert repr(limits) == repr(pickle.loads(pickle.dumps(limits))) == "Limits(max_running=3, batch='10%')"


class Bar:
    """Stands for that of `tqdm`."""

    def __init__(self, total, unit):
        self.total, self.unit, self.n, self.shown = total, unit, 0, []
        bars.append(self)

    def update(self, count):
        self.n += count
        self.shown.append(self.n)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_closed = True


bars = []


@pytest.fixture
def tqdm(monkeypatch):
    module = types.ModuleType('tqdm.auto')
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, 'tqdm', types.ModuleType('tqdm'))
    monkeypatch.setitem(sys.modules, 'tqdm.auto', module)
    bars.clear()


def test_progress_is_shown_by_tqdm(tqdm):
    with group_of(3, progress=True) as group:
        group.call(spans, 0.3).raise_failures()
        (shown,) = bars
        assert (shown.total, shown.unit, shown.n, shown.is_closed) == (3, 'host', 3, True)
        assert shown.shown[0] < 3 and shown.shown == sorted(shown.shown)
        queue = Queue(progress=True)
        queue.call(group, len, 'ab').with_callback(lambda _: queue.call(group, len, 'abc'))
        queue.run()
        assert (bars[-1].total, bars[-1].n) == (2, 2)
        bars.clear()
    # To close shows none.
    assert not bars


def test_progress_without_tqdm_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tqdm.auto', None)
    with pytest.raises(ImportError, match='pip install tqdm'):
        group_of(1, progress=True).call(len, 'x')


def test_queue_is_shown_as_a_picture():
    with group_of(2) as group:
        queue = Queue()
        assert queue.timeline() is None and queue._repr_html_() is None
        queue.call(group, len, 'abc')
        queue.call(group, eval, '1 / 0')
        queue.run()
        assert 'host1' in queue.timeline() and queue._repr_html_() == queue.timeline()
        assert xml.dom.minidom.parseString(queue.timeline()).documentElement.tagName == 'svg'
