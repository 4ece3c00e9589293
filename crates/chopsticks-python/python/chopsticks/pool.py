"""Pools: many items, each of which goes to the next free host."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, Generic, TypeVar, Union

from chopsticks import _chopsticks
from chopsticks._deadline import checked
from chopsticks._errors import ErrorResult, RemoteException, error_result
from chopsticks._limits import Limits, core_of
from chopsticks._stream import Input, Reading, Taking, encoded_or_not
from chopsticks.group import Group, Hosts
from chopsticks.tunnel import BaseTunnel, packed, settle

__all__ = ['Pool', 'PoolOutcome', 'PoolRun']
T = TypeVar('T')
#: What pools take.
Members = Union[Hosts, Iterable[Union[BaseTunnel, str]]]


class PoolOutcome(Generic[T]):
    """What came of an item of a pool.

    `index` is the number of the item in the input, from 0. `host` is the name of the host that had it last, or `None`
    if no host had it, and `attempts` is how many hosts have tried it. `value` is the result, and `error` the
    `RemoteException` of an item that failed; one of the two is `None`.
    """

    __slots__ = 'attempts', 'error', 'host', 'index', 'value'

    def __init__(self, index: int, host: str | None, attempts: int, value: Any, error: BaseException | None) -> None:
        self.index, self.host, self.attempts = index, host, attempts
        self.value, self.error = value, error

    def result(self) -> T:
        """Returns the value, or raises the error."""
        if self.error is not None:
            raise self.error
        value: T = self.value
        return value

    def __repr__(self) -> str:
        came = 'value=%r' % (self.value,) if self.error is None else 'error=%r' % (self.error,)
        return 'PoolOutcome(index=%d, host=%r, attempts=%d, %s)' % (self.index, self.host, self.attempts, came)


class PoolInput(Input):
    """The items of a run. One that cannot be sent is an outcome. An error of the input is raised behind the outcomes."""

    def _encoded(self, item: Any) -> tuple[int, bytes]:
        return encoded_or_not(item)

    def _tell(self, feed: _chopsticks.Feed, error: BaseException) -> None:
        pass


class PoolRun(Taking[PoolOutcome[T]]):
    """The outcomes of the items of a `Pool`, as they come, or in order: an iterator.

    The hosts begin at once, and go on whether or not outcomes are taken. Each item that was read has one outcome. If
    the input raises an exception, that is raised after the outcomes of the items before it. `close`, the end of a
    `with`, and the end of the last reference to this cancel what is under way. The hosts stay connected.
    """

    def __init__(self, source: _chopsticks.PoolRun, input: Reading, tunnels: dict[str, BaseTunnel]) -> None:
        super().__init__(source)
        self._input, self._tunnels = input, tunnels

    def _begin(self) -> None:
        self._input.begin()

    def _finish(self) -> None:
        for tunnel in self._tunnels.values():
            settle(tunnel._state)

    def _check(self) -> None:
        error, self._input.error = self._input.error, None
        if error is not None:
            raise error

    def _taken(self) -> PoolOutcome[T]:
        done: PoolOutcome[T] = PoolOutcome(*self._ready.popleft())
        if isinstance(done.error, RemoteException):
            tunnel = self._tunnels.get(done.host or '')
            if tunnel is not None and done.error.is_lost:
                tunnel._state.is_stale = True
        elif done.error is not None and not isinstance(done.error, Exception):
            raise done.error
        return done

    def lost(self) -> dict[str, ErrorResult]:
        """The hosts that get no more items because they could not be connected, or were lost too often, and why. Empty
        once this is closed."""
        return {host: error_result(error) for host, error in self._source.lost()}

    def items_read(self) -> int:
        """How many items have gone to hosts, or have an outcome. Some more wait on this side."""
        read: int = self._source.counts()[0]
        return read

    def items_under_way(self) -> int:
        """How many of these have no outcome yet."""
        under_way: int = self._source.counts()[1]
        return under_way

    def timeline(self) -> str | None:
        """A picture of what each host has done, and when, as a document in SVG. `None` unless it is `recorded`."""
        svg: str | None = self._source.svg()
        return svg

    def _repr_html_(self) -> str | None:
        """The picture, for notebooks."""
        return self.timeline()


class Pool:
    """Hosts that share the work on many items: each item goes to the next free host.

        pool = Pool(['web1', 'web2', 'web3'])
        for done in pool.map(os.path.getsize, paths):
            print(paths[done.index], done.host, done.result())

    It takes a group, a tunnel, or an iterable of tunnels and names of hosts, which are reached by SSH. Of the limits of
    a group, `max_connecting` applies. A lost host is connected again. It leaves the pool if that fails, or if it is
    lost three times in a row without finishing an item.
    """

    def __init__(self, hosts: Members) -> None:
        group = made_group(hosts)
        self._limits: Limits | None = group.limits
        self._tunnels = {tunnel.host: tunnel for tunnel in group.tunnels}
        self._runs: weakref.WeakSet[PoolRun[Any]] = weakref.WeakSet()
        self._lock = Lock()

    def hosts(self) -> list[str]:
        """The names of the hosts, in the order in which they were added. Those that were lost are among them."""
        with self._lock:
            return list(self._tunnels)

    def add(self, hosts: Members) -> None:
        """Adds hosts, also to what is running. Those whose names are in the pool are left out."""
        with self._lock:
            new = [tunnel for tunnel in made_group(hosts).tunnels if tunnel.host not in self._tunnels]
            cores = [tunnel._open() for tunnel in new] if self._runs else []
            self._tunnels.update((tunnel.host, tunnel) for tunnel in new)
            for run in list(self._runs):
                run._tunnels.update((tunnel.host, tunnel) for tunnel in new)
                run._source.add(cores)

    def remove(self, host: str) -> bool:
        """Removes a host, and returns whether it was there. It gets no more items, and finishes those that it has."""
        with self._lock:
            for run in list(self._runs):
                run._source.remove(host)
            return self._tunnels.pop(host, None) is not None

    def map(
        self,
        callable: Callable[..., T],
        items: Iterable[Any] | Reading,
        /,
        *,
        per_host: int = 1,
        attempts: int = 3,
        ahead: int = 500,
        item_timeout: float | None = None,
        max_failures: int | None = None,
        max_buffered: int = 64 << 20,
        ordered: bool = False,
        window: int = 1000,
        recorded: bool = False,
    ) -> PoolRun[T]:
        """Calls a function once for each item, on the next free host, and returns an iterator over the outcomes.

        `items` is any iterable, which may be endless: it is read by another thread, a few items ahead of what the hosts
        take. Items are of the types that results have. `functools.partial` gives the function further arguments. An
        item that fails is an outcome with an `error`, and does not affect the others.

        The hosts stay busy while nobody takes outcomes, until some 1,000 of these wait.

        `per_host` is how many items each host runs at a time, each on a thread of its own. `attempts` is how many hosts
        may try an item if hosts are lost: an item may run more than once, unless this is 1. `ahead` is how many short
        items are sent ahead at most. `item_timeout` is how many seconds an item may take, from when its host starts it.
        After more than `max_failures` failures no further item starts. `max_buffered` is how many bytes of results may
        wait on this side before no further item starts.

        With `ordered`, outcomes come in the order of the items, of which at most `window` are read beyond the next one.
        With `recorded`, the run has a `timeline`.
        """
        for name, number in ('per_host', per_host), ('attempts', attempts), ('window', window):
            if number < 1:
                raise ValueError('%s is at least 1' % name)
        source = items if isinstance(items, Reading) else PoolInput(items)
        with self._lock:
            tunnels = dict(self._tunnels)
            run: PoolRun[T] = PoolRun(
                _chopsticks.PoolRun(
                    [tunnel._open() for tunnel in tunnels.values()],
                    core_of(self._limits),
                    # Hosts that are added may be of any version.
                    packed(callable, (), {}, None),
                    source.feeds[0],
                    per_host,
                    attempts,
                    ahead,
                    None if item_timeout is None else checked(float(item_timeout)),
                    max_failures,
                    max_buffered,
                    window if ordered else None,
                    recorded,
                ),
                source,
                tunnels,
            )
            self._runs.add(run)
        run._begin()
        return run

    def __len__(self) -> int:
        return len(self._tunnels)

    def __repr__(self) -> str:
        return 'Pool(%r)' % (self.hosts(),)


def made_group(hosts: Members) -> Group:
    if isinstance(hosts, Group):
        return hosts
    return Group([hosts] if isinstance(hosts, BaseTunnel) else hosts)
