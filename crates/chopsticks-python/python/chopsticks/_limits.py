"""Limits and progress of groups and queues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Union

from chopsticks import _chopsticks
from chopsticks._deadline import checked

#: A number of hosts, or a percentage of the group such as `'10%'`.
Share = Union[int, str]


class Limits:
    """Limits of a `Group` or a `Queue`. Hosts start in the order of the group.

    * `max_connecting`: how many hosts connect at once; 64 by default.
    * `max_running`: how many hosts run an operation at once, the connecting included; by default all.
    * `batch`: divides a group into batches of a number of hosts, or of a percentage such as `'10%'`. No host starts
      before all of the earlier batches are done.
    * `max_failures`: how many hosts may fail, as a number or a percentage; with one more, no further host starts.
      Those that are running go on, and those that have not started get an `ErrorResult`. With `per_batch`, failures are
      counted in each batch by itself.
    * `host_timeout`: how many seconds each host has, from its start.

    A queue has neither batches nor a number of failures. Raises `ValueError` for what is no limit.
    """

    __module__ = 'chopsticks.group'

    def __init__(
        self,
        *,
        max_connecting: int | None = None,
        max_running: int | None = None,
        batch: Share | None = None,
        max_failures: Share | None = None,
        per_batch: bool = False,
        host_timeout: float | None = None,
    ) -> None:
        for name, value in ('max_connecting', max_connecting), ('max_running', max_running):
            if value is not None and value < 1:
                raise ValueError('%s is at least 1' % name)
        self._given = {
            'max_connecting': max_connecting,
            'max_running': max_running,
            'batch': batch,
            'max_failures': max_failures,
            'per_batch': per_batch or None,
            'host_timeout': host_timeout,
        }
        self._core = _chopsticks.Limits(
            max_connecting,
            max_running,
            None if batch is None else str(batch),
            None if max_failures is None else str(max_failures),
            per_batch,
            None if host_timeout is None else checked(float(host_timeout)),
        )

    def __repr__(self) -> str:
        given = ', '.join('%s=%r' % item for item in self._given.items() if item[1] is not None)
        return 'Limits(%s)' % given

    def __reduce__(self) -> Any:
        return remade, ({name: value for name, value in self._given.items() if value is not None},)


def remade(given: dict[str, Any]) -> Limits:
    return Limits(**given)


def core_of(limits: Limits | None) -> _chopsticks.Limits | None:
    return None if limits is None else limits._core


@contextmanager
def bar(shows: bool, total: int, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function to be called with how many are done, of how many; `None` if nothing is to be shown."""
    if not shows:
        yield None
        return
    try:
        tqdm: Any = import_module('tqdm.auto').tqdm
    except ImportError:
        raise ImportError('progress is shown by tqdm: pip install tqdm') from None
    with tqdm(total=total, unit=unit) as shown:

        def tell(done: int, total: int) -> None:
            if total != shown.total:
                shown.total = total
            shown.update(done - shown.n)

        yield tell
