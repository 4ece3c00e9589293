"""What functions yield, item by item, and what they read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from marshal import dumps
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

from chopsticks import _chopsticks
from chopsticks._call import SCALARS
from chopsticks._deadline import remaining
from chopsticks._errors import RemoteException
from chopsticks.pencode import pencode

T = TypeVar('T')
Self = TypeVar('Self', bound='Taking[Any]')
#: Of items: the formats of the wire, in front of them that of an item that says why there are no more.
FAILURE, PENCODE, MARSHAL, BYTES = range(4)
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
        input: Reading | None = None,
    ) -> None:
        super().__init__(source)
        self._made, self._failed, self._ended, self._input = made, failed, ended, input

    def _begin(self) -> None:
        if self._input is not None:
            self._input.begin()

    def _finish(self) -> None:
        self._ended()

    def close(self) -> None:
        super().close()
        if self._input is not None:
            self._input.close()

    def _taken(self) -> T:
        number, value, error = self._ready.popleft()
        if error is None:
            return self._made(number, value)
        if isinstance(error, RemoteException):
            error.__cause__ = caused(error, self._input)
        found: T = self._failed(number, error)
        return found


class Reading:
    """Items of this side, which functions read."""

    def __init__(self, count: int) -> None:
        #: One for each function: all of them get all items.
        self.feeds = [_chopsticks.Feed() for _ in range(count)]
        #: What the input has raised.
        self.error: BaseException | None = None

    def begin(self) -> None:
        """Begins to read, if that has not begun."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the reading: no function reads any more."""
        for feed in self.feeds:
            feed.close()


class Input(Reading):
    """The items of an iterable. A thread of their own takes them from where they come."""

    def __init__(self, items: Iterable[Any], count: int = 1) -> None:
        super().__init__(count)
        self._items = iter(items)
        self._lock = Lock()
        self._has_begun = False

    def begin(self) -> None:
        with self._lock:
            if self._has_begun:
                return
            self._has_begun = True
        # A generator of this side may wait for anything.
        Thread(target=self._read, name='chopsticks-input', daemon=True).start()

    def _read(self) -> None:
        items, wanted = self._items, self.feeds
        try:
            for item in items:
                wanted = [feed for feed in wanted if feed.put(*self._encoded(item))]
                if not wanted:
                    break
        except BaseException as e:
            self.error = e
            for feed in wanted:
                self._tell(feed, e)
        finally:
            for feed in self.feeds:
                feed.end()
            # Not a file, which is its owner's.
            if isinstance(items, Generator):
                items.close()

    def _encoded(self, item: Any) -> tuple[int, bytes]:
        """The format and the bytes of an item. What it raises ends the input."""
        return encoded(item)

    def _tell(self, feed: _chopsticks.Feed, error: BaseException) -> None:
        """Has the error raised where the function reads."""
        feed.put(*failure(error))


def taken_input(input: Any, kwargs: dict[str, Any]) -> Any:
    """What the functions are to read. Text and bytes are arguments of the function itself, as `subprocess.run` has it."""
    if isinstance(input, (str, bytes, bytearray, memoryview)):
        kwargs['input'] = input
        return None
    return input


def caused(error: RemoteException, input: Reading | None) -> BaseException | None:
    """What goes into `raise … from`: the error of the input, if there is one."""
    found: BaseException | None = error.__cause__ if input is None or input.error is None else input.error
    return found


def failure(error: BaseException) -> tuple[int, bytes]:
    text = '%s: %s' % (type(error).__name__, error)
    return FAILURE, text.encode('utf-8', 'backslashreplace')


def encoded(item: Any) -> tuple[int, bytes]:
    kind = type(item)
    if kind is bytes:
        return BYTES, item
    if kind in SCALARS:
        return MARSHAL, dumps(item, 2)
    return PENCODE, pencode(item)


def encoded_or_not(item: Any) -> tuple[int, bytes]:
    """The same for a pool: what cannot be sent is one that says why."""
    try:
        return encoded(item)
    except Exception as e:
        return failure(e)
