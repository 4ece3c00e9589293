"""What functions yield, item by item, and what they read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from marshal import dumps
from threading import Thread
from typing import Any, Generic, TypeVar

from chopsticks import _chopsticks
from chopsticks._call import SCALARS
from chopsticks._deadline import remaining
from chopsticks.pencode import pencode

T = TypeVar('T')
#: Of items: the formats of the wire.
PENCODE, MARSHAL, BYTES = 1, 2, 3
#: What the end of a host's items is made of: the number of the host, and its exception if there is one.
Ended = Callable[[int, BaseException], Any]


class Stream(Generic[T]):
    """The items of what a function returns, as they come: those of a generator, or of any other iterable.

    It is an iterator. Nothing is sent before the first item is asked for. The generator stands still while nobody
    takes its items. `close`, the end of a `with`, and the end of the last reference to this end the generator over
    there, as its own `close` does.
    """

    __module__ = 'chopsticks.tunnel'

    def __init__(
        self,
        source: _chopsticks.Stream,
        made: Callable[[int, Any], T],
        failed: Ended,
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        self._source, self._made, self._failed, self._ended = source, made, failed, ended
        self._ready: deque[tuple[int, Any, BaseException | None]] = deque()
        self._came: deque[list[tuple[int, Any, BaseException | None]]] = deque()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """Waits for the next item. Raises what the function has raised, after the items before it."""
        while not self._ready:
            try:
                batch = self._source.next(remaining())
            except BaseException:
                # Nobody may ask again, and what has raised keeps this alive.
                self.close()
                raise
            if batch is None:
                self._ended()
                raise StopIteration
            self._ready.extend(batch)
        return self._taken()

    def _taken(self) -> T:
        number, value, error = self._ready.popleft()
        if error is None:
            return self._made(number, value)
        found: T = self._failed(number, error)
        return found

    def _kept(self, done: Callable[[Any, BaseException | None], object]) -> Callable[[Any, BaseException | None], None]:
        """As `done`, but what has come is kept: who awaits it may be cancelled meanwhile."""

        def keep(batch: Any, error: BaseException | None) -> None:
            if batch is not None:
                self._came.append(batch)
            done(batch, error)

        return keep

    def _take_kept(self) -> None:
        while self._came:
            self._ready.extend(self._came.popleft())

    def close(self) -> None:
        """Ends the stream. Its generator over there is closed, and what it has started is ended."""
        self._ready.clear()
        self._came.clear()
        self._source.close()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def reading(operation: _chopsticks.Operation, items: Iterable[Any]) -> _chopsticks.Operation:
    """The same call, with the items as first argument of its function."""
    feed = _chopsticks.Feed()
    operation = operation.reading(feed)
    # A generator of this side may wait for anything, and so has a thread of its own.
    Thread(target=put_all, args=(feed, iter(items)), name='chopsticks-input', daemon=True).start()
    return operation


def put_all(feed: _chopsticks.Feed, items: Iterator[Any]) -> None:
    """Puts items into a feed until there are no more, or the function stops reading."""
    try:
        for item in items:
            if not feed.put(*encoded(item)):
                break
        feed.end()
    except BaseException as e:
        feed.fail('%s: %s' % (type(e).__name__, e))
    finally:
        if hasattr(items, 'close'):
            items.close()


def encoded(item: Any) -> tuple[int, bytes]:
    kind = type(item)
    if kind is bytes:
        return BYTES, item
    if kind in SCALARS:
        return MARSHAL, dumps(item, 2)
    return PENCODE, pencode(item)
