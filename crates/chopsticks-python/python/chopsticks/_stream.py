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
Self = TypeVar('Self', bound='Taking[Any]')
#: Of items: the formats of the wire.
PENCODE, MARSHAL, BYTES = 1, 2, 3
#: What the end of a host's items is made of: the number of the host, and its exception if there is one.
Ended = Callable[[int, BaseException], Any]


class Taking(Generic[T]):
    """An iterator over what arrives in batches. `close`, the end of a `with`, and the end of the last reference to this
    end what makes it."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._ready: deque[Any] = deque()
        self._came: deque[list[Any]] = deque()

    def _begin(self) -> None:
        """Is called before an item is taken."""

    def _finish(self) -> None:
        """Is called at the end, by who may wait."""

    def _check(self) -> None:
        """Is called at the end; what it raises takes the place of the end."""

    def _taken(self) -> T:
        """Returns the next item of those that are ready."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """Waits for the next item. Raises what ends the items, after those before it."""
        self._begin()
        while not self._ready:
            try:
                batch = self._source.next(remaining())
            except BaseException:
                # Nobody may ask again, and what has raised keeps this alive.
                self.close()
                raise
            if batch is None:
                self._finish()
                self._check()
                raise StopIteration
            self._ready.extend(batch)
        return self._taken()

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
        """Ends it: what is under way is cancelled, and what has arrived is dropped."""
        self._ready.clear()
        self._came.clear()
        self._source.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Stream(Taking[T]):
    """The items of what a function returns, as they come: those of a generator, or of any other iterable.

    It is an iterator. Nothing is sent before the first item is asked for. The generator stands still while nobody
    takes its items. `close`, the end of a `with`, and the end of the last reference to this end the generator over
    there, as its own `close` does. What the function raises comes after the items before it.
    """

    __module__ = 'chopsticks.tunnel'

    def __init__(
        self,
        source: _chopsticks.Stream,
        made: Callable[[int, Any], T],
        failed: Ended,
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(source)
        self._made, self._failed, self._ended = made, failed, ended

    def _finish(self) -> None:
        self._ended()

    def _taken(self) -> T:
        number, value, error = self._ready.popleft()
        if error is None:
            return self._made(number, value)
        found: T = self._failed(number, error)
        return found


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
