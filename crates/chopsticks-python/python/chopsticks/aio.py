"""Tunnels, groups, pools and queues for `asyncio`: those of the other modules, with methods to be awaited.

    from chopsticks import aio

    async with aio.Tunnel('www.example.com') as tun:
        print(await tun.call(time.time))

When the task that awaits is cancelled, so is the operation: on the host too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union

from chopsticks import _chopsticks, _stderr, queue, tunnel
from chopsticks._call import protocol_for
from chopsticks._deadline import remaining
from chopsticks._errors import ErrorResult, RemoteException
from chopsticks._limits import Limits, core_of
from chopsticks._stream import Input, Reading, Taking, caused, encoded, encoded_or_not, failure, taken_input
from chopsticks.group import Group as SyncGroup
from chopsticks.group import GroupResult, common_protocol, refuse_input, settled
from chopsticks.pool import Pool as SyncPool
from chopsticks.pool import PoolOutcome as PoolOutcome
from chopsticks.pool import PoolRun as SyncPoolRun
from chopsticks.queue import AsyncResult as AsyncResult
from chopsticks.queue import NotCompleted as NotCompleted
from chopsticks.tunnel import CLOSE, CONNECT, Operation, PathLike, packed, patterns

if TYPE_CHECKING:
    from chopsticks._secrets import Password

__all__ = [
    'AsyncResult',
    'BaseTunnel',
    'Command',
    'Docker',
    'Group',
    'Local',
    'NotCompleted',
    'Podman',
    'Pool',
    'PoolOutcome',
    'PoolRun',
    'Queue',
    'SSHTunnel',
    'Stream',
    'Sudo',
    'Tunnel',
]
T = TypeVar('T')
Self = TypeVar('Self', bound='BaseTunnel')
#: What functions may read.
AnyItems = Union[Iterable[Any], AsyncIterable[Any]]
Done = Callable[[Any, Union[BaseException, None]], None]
#: What groups and queues take.
Hosts = Union['BaseTunnel', 'Group']
#: What pools take.
Members = Union[
    'BaseTunnel', tunnel.BaseTunnel, 'Group', SyncGroup, Iterable[Union['BaseTunnel', tunnel.BaseTunnel, str]]
]


async def awaited(start: Callable[[Done], _chopsticks.Task]) -> Any:
    """Begins an operation and waits for it. Cancelled, it cancels the operation."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def done(value: Any, error: BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            # The loop is closed, and nobody waits.
            pass

    task = start(done)
    try:
        return await future
    finally:
        if not future.done() or future.cancelled():
            task.cancel()


async def settle(*states: tunnel.State, seconds: float = _stderr.MOMENT) -> None:
    """Waits until the lines that came before a result have been handled, unless that takes long."""
    end = monotonic() + seconds
    for state in states:
        while state.lines is not None and not state.lines.is_idle() and not state.is_slow:
            if monotonic() >= end:
                state.is_slow = True
            await asyncio.sleep(0.001)
        if state.lines is None or state.lines.is_idle():
            state.is_slow = False


class AsyncInput(Reading):
    """The items of an asynchronous iterable. A task of the loop takes them from where they come."""

    def __init__(self, items: AsyncIterable[Any], count: int = 1, is_of_pool: bool = False) -> None:
        super().__init__(count)
        self._items = items.__aiter__()
        self._is_of_pool = is_of_pool
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._task is not None:
            return
        loop = asyncio.get_running_loop()
        self._task = task = loop.create_task(self._read())
        reading = len(self.feeds)

        def stop() -> None:
            nonlocal reading
            reading -= 1
            if not reading:
                task.cancel()

        def gone(*_: Any) -> None:
            try:
                loop.call_soon_threadsafe(stop)
            except RuntimeError:
                # The loop is closed, and its tasks are cancelled.
                pass

        for feed in self.feeds:
            feed.start_gone(gone)

    async def end(self) -> None:
        """Ends it, and waits until the iterable is closed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _read(self) -> None:
        items, wanted = self._items, self.feeds
        try:
            async for item in items:
                form, data = encoded_or_not(item) if self._is_of_pool else encoded(item)
                wanted = [feed for feed in wanted if await put(feed, form, data)]
                if not wanted:
                    break
        except Exception as e:
            self.error = e
            if not self._is_of_pool:
                for feed in wanted:
                    await put(feed, *failure(e))
        finally:
            for feed in self.feeds:
                feed.end()
            if isinstance(items, AsyncGenerator):
                await items.aclose()


async def put(feed: _chopsticks.Feed, form: int, data: bytes) -> bool:
    """Puts an item in when there is room, and returns whether the function still reads."""
    is_read = feed.offer(form, data)
    if is_read is None:
        is_read = bool(await awaited(lambda done: feed.start_put(form, data, done)))
    return is_read


def made_input(input: AnyItems, count: int = 1) -> Reading:
    """What functions read, of any kind of iterable."""
    return AsyncInput(input, count) if isinstance(input, AsyncIterable) else Input(input, count)


class Stream(Generic[T]):
    """The items of what a function returns, as they come: an asynchronous iterator."""

    def __init__(self, items: Taking[T], input: Reading | None = None) -> None:
        self._items, self._input = items, input

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        """Waits for the next item. Raises what the function has raised, after the items before it."""
        items = self._items
        items._begin()
        items._take_kept()
        while not items._ready:
            batch = await awaited(lambda done: items._source.start_next(items._kept(done)))
            if batch is None:
                items._check()
                raise StopAsyncIteration
            items._take_kept()
        return items._taken()

    async def aclose(self) -> None:
        """Ends the stream. Its generator over there is closed, and what it has started is ended."""
        self._items.close()
        if isinstance(self._input, AsyncInput):
            await self._input.end()

    async def __aenter__(self) -> Stream[T]:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.aclose()


class BaseTunnel:
    """A tunnel of `chopsticks.tunnel`, also one of a class of your own, for `asyncio`."""

    def __init__(self, tunnel: tunnel.BaseTunnel) -> None:
        #: The tunnel itself, by which other threads may use it.
        self.tunnel = tunnel

    @property
    def host(self) -> str:
        """The name: the key of its results in groups."""
        return self.tunnel.host

    async def connect(self) -> None:
        """Connects, unless it is connected."""
        await self._run(CONNECT)

    async def call(self, callable: Callable[..., T], /, *args: Any, input: AnyItems | None = None, **kwargs: Any) -> T:
        """Calls a function there, and returns what it does. An exception becomes a `RemoteException`.

        `input` is an iterable or an asynchronous iterable; see `call` of the tunnels of `chopsticks.tunnel`. A task of
        this loop reads an asynchronous one.
        """
        items = taken_input(input, kwargs)
        operation = packed(callable, args, kwargs, self.tunnel._state.protocol)
        if items is None:
            return await self._run(operation)  # type: ignore[no-any-return]
        source = made_input(items)
        try:
            source.begin()
            return await self._run(operation.reading(source.feeds[0]))  # type: ignore[no-any-return]
        except RemoteException as e:
            raise e from caused(e, source)
        finally:
            source.close()
            if isinstance(source, AsyncInput):
                await source.end()

    def stream(
        self, callable: Callable[..., Any], /, *args: Any, input: AnyItems | None = None, **kwargs: Any
    ) -> Stream[Any]:
        """Calls a function there, and returns an asynchronous iterator over the items of what it returns.

        async for line in tunnel.stream(follow, '/var/log/syslog'):
            print(line)

        See `stream` of the tunnels of `chopsticks.tunnel`. The end of a task that awaits an item, as by `break` or by
        cancelling, does not end the stream: `aclose`, `async with`, and the end of the last reference do. `input` may
        be an asynchronous iterable too.
        """
        items = taken_input(input, kwargs)
        source = None if items is None else made_input(items)
        return Stream(self.tunnel._stream(callable, args, kwargs, source), source)

    async def put(
        self,
        local_path: PathLike,
        remote_path: PathLike | None = None,
        mode: int | None = 0o644,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> dict[str, Any]:
        """Copies a file to the host."""
        done: dict[str, Any] = await self._run(Operation.put(local_path, remote_path, mode, if_changed, resume))
        return done

    async def fetch(
        self,
        remote_path: PathLike,
        local_path: PathLike | None = None,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> dict[str, Any]:
        """Copies a file from the host."""
        local = {} if local_path is None else {self.host: local_path}
        done: dict[str, Any] = await self._run(Operation.fetch(remote_path, local, if_changed, resume))
        return done

    async def put_dir(
        self,
        local_path: PathLike,
        remote_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Copies a folder to the host, with all that is in it."""
        operation = Operation.put_dir(local_path, remote_path, if_changed, delete, patterns(exclude))
        done: dict[str, Any] = await self._run(operation)
        return done

    async def fetch_dir(
        self,
        remote_path: PathLike,
        local_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Copies a folder from the host, with all that is in it."""
        local = {self.host: local_path}
        operation = Operation.fetch_dir(remote_path, local, if_changed, delete, patterns(exclude))
        done: dict[str, Any] = await self._run(operation)
        return done

    async def close(self) -> None:
        """Disconnects: ends the agent and all that it started. The next use connects again."""
        state = self.tunnel._state
        with state.lock:
            core, state.core = state.core, None
        if core is not None:
            await awaited(lambda done: core.start(CLOSE, done, remaining(self.tunnel._seconds)))
            state.is_slow = False
            await settle(state, seconds=tunnel.PATIENCE)

    def options(self, *, timeout: float | None = None, item_timeout: float | None = None) -> BaseTunnel:
        """The same tunnel, of which each operation may take `timeout` seconds, and each item of a stream `item_timeout`."""
        return BaseTunnel(self.tunnel.options(timeout=timeout, item_timeout=item_timeout))

    def via(self, parent: BaseTunnel | tunnel.BaseTunnel) -> BaseTunnel:
        """A tunnel to the same place, whose command is run on the host of `parent`."""
        return BaseTunnel(self.tunnel.via(parent.tunnel if isinstance(parent, BaseTunnel) else parent))

    async def _run(self, operation: _chopsticks.Operation) -> Any:
        # Made anew it may close an old connection, which takes a moment at most.
        core, state = self.tunnel._open(), self.tunnel._state
        try:
            result = await awaited(lambda done: core.start(operation, done, remaining(self.tunnel._seconds)))
        except RemoteException as e:
            if e.is_lost:
                state.is_stale = True
            await settle(state)
            raise
        await settle(state)
        if state.protocol is None:
            state.protocol = protocol_for(core.python() or (2, 7))
        return result

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    def __repr__(self) -> str:
        return 'aio.%r' % (self.tunnel,)


class Local(BaseTunnel):
    """A process on this host."""

    def __init__(self, name: str = 'localhost', python: str | None = None) -> None:
        super().__init__(tunnel.Local(name, python))


class Sudo(BaseTunnel):
    """A process of another user on this host."""

    def __init__(
        self,
        user: str = 'root',
        name: str | None = None,
        python: str | None = None,
        *,
        password: Password | None = None,
    ) -> None:
        super().__init__(tunnel.Sudo(user, name, python, password=password))


class SSHTunnel(BaseTunnel):
    """Another host, by the `ssh` of this one."""

    def __init__(
        self,
        host: str,
        user: str | None = None,
        port: int | None = None,
        sudo: bool = False,
        python: str | None = None,
        *,
        password: Password | None = None,
        sudo_password: Password | None = None,
    ) -> None:
        secrets = {'password': password, 'sudo_password': sudo_password}
        super().__init__(tunnel.SSHTunnel(host, user, port, sudo, python, **secrets))


Tunnel = SSHTunnel


class Docker(BaseTunnel):
    """A container of its own."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(tunnel.Docker(name, *args, **kwargs))


class Podman(BaseTunnel):
    """The same by Podman."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(tunnel.Podman(name, *args, **kwargs))


class Command(BaseTunnel):
    """What a command leads to."""

    def __init__(self, name: str, words: Iterable[str], python: str | None = None) -> None:
        super().__init__(tunnel.Command(name, words, python))


class Group:
    """A group of `chopsticks.group` for `asyncio`. Set operations are those of its attribute `group`."""

    def __init__(
        self, hosts: SyncGroup | Iterable[BaseTunnel | tunnel.BaseTunnel | str], *, limits: Limits | None = None
    ) -> None:
        if isinstance(hosts, SyncGroup):
            self.group = hosts if limits is None else SyncGroup(hosts, limits=limits)
        elif isinstance(hosts, (str, bytes)):
            raise TypeError('%r is one name: give a list of them' % (hosts,))
        else:
            tunnels = (host.tunnel if isinstance(host, BaseTunnel) else host for host in hosts)
            self.group = SyncGroup(tunnels, limits=limits)

    async def connect(self) -> GroupResult:
        """Connects all that are not; returns a `GroupResult` of `None`."""
        return await self._run(CONNECT)

    async def close(self) -> None:
        """Disconnects all. The next use connects again."""
        tunnels = [tunnel for tunnel in self.group.tunnels if tunnel._state.core is not None]
        (await self._run(CLOSE, tunnels)).raise_failures()

    async def call(self, callable: Callable[..., Any], /, *args: Any, **kwargs: Any) -> GroupResult:
        """Calls a function on all hosts at once."""
        refuse_input(kwargs)
        return await self._run(packed(callable, args, kwargs, common_protocol(self.group)))

    def stream(
        self, callable: Callable[..., Any], /, *args: Any, input: AnyItems | None = None, **kwargs: Any
    ) -> Stream[tuple[str, Any]]:
        """Calls a function on all hosts at once, and returns an asynchronous iterator over pairs of a host and an item.

        See `stream` of the groups of `chopsticks.group`. `input` may be an asynchronous iterable too.
        """
        items = taken_input(input, kwargs)
        source = None if items is None else made_input(items, len(self.group))
        return Stream(self.group._stream(callable, args, kwargs, source), source)

    async def put(
        self,
        local_path: PathLike,
        remote_path: PathLike | None = None,
        mode: int | None = 0o644,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> GroupResult:
        """Copies a file to all hosts."""
        return await self._run(Operation.put(local_path, remote_path, mode, if_changed, resume))

    async def fetch(
        self,
        remote_path: PathLike,
        local_path: str | None = None,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> GroupResult:
        """Copies a file from all hosts, each to the path in which `{host}` stands for its name."""
        local = self.group.paths(local_path)
        return await self._run(Operation.fetch(remote_path, local, if_changed, resume))

    async def put_dir(
        self,
        local_path: PathLike,
        remote_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> GroupResult:
        """Copies a folder to all hosts, with all that is in it."""
        operation = Operation.put_dir(local_path, remote_path, if_changed, delete, patterns(exclude))
        return await self._run(operation)

    async def fetch_dir(
        self,
        remote_path: PathLike,
        local_path: str,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> GroupResult:
        """Copies a folder from all hosts, each to the path in which `{host}` stands for its name, with all that is in it."""
        local = self.group.paths(local_path)
        operation = Operation.fetch_dir(remote_path, local, if_changed, delete, patterns(exclude))
        return await self._run(operation)

    async def filter(self, predicate: Callable[[], Any], exclude: bool = False) -> Group:
        """The group of those tunnels for which `predicate()`, called there, is true; with `exclude`, is not."""
        found = await self.call(predicate)
        found.raise_failures()
        return Group(self.group._of(tunnel for tunnel in self.group if bool(found[tunnel.host]) != bool(exclude)))

    async def _run(self, operation: _chopsticks.Operation, tunnels: list[tunnel.BaseTunnel] | None = None) -> GroupResult:
        tunnels = self.group.tunnels if tunnels is None else tunnels
        cores = [tunnel._open() for tunnel in tunnels]
        limits = core_of(self.group.limits)
        pairs = await awaited(lambda done: _chopsticks.start_all(cores, operation, done, remaining(), limits))
        await settle(*[tunnel._state for tunnel in tunnels])
        results = GroupResult()
        for one, found in zip(tunnels, pairs):
            results[one.host] = settled(one, *found)
        return results

    async def __aenter__(self) -> Group:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    def __len__(self) -> int:
        return len(self.group)

    def __repr__(self) -> str:
        return 'aio.%r' % (self.group,)

    def _repr_html_(self) -> str:
        return self.group._repr_html_()


class PoolRun(Stream[PoolOutcome[T]]):
    """The outcomes of the items of a `Pool`: an asynchronous iterator, as `PoolRun` of `chopsticks.pool`."""

    _items: SyncPoolRun[T]

    def lost(self) -> dict[str, ErrorResult]:
        """The hosts that get no more items, and why."""
        return self._items.lost()

    def items_read(self) -> int:
        """How many items have gone to hosts, or have an outcome."""
        return self._items.items_read()

    def items_under_way(self) -> int:
        """How many of these have no outcome yet."""
        return self._items.items_under_way()

    def timeline(self) -> str | None:
        """A picture of what each host has done, and when, as a document in SVG. `None` unless it is `recorded`."""
        return self._items.timeline()


class Pool:
    """A pool of `chopsticks.pool` for `asyncio`.

    async for done in aio.Pool(['web1', 'web2']).map(os.path.getsize, paths):
        print(done.host, done.result())
    """

    def __init__(self, hosts: Members) -> None:
        self.pool = SyncPool(members(hosts))

    def hosts(self) -> list[str]:
        """The names of the hosts."""
        return self.pool.hosts()

    def add(self, hosts: Members) -> None:
        """Adds hosts, also to what is running."""
        self.pool.add(members(hosts))

    def remove(self, host: str) -> bool:
        """Removes a host, and returns whether it was there. It finishes the items that it has."""
        return self.pool.remove(host)

    def map(self, callable: Callable[..., T], items: AnyItems, /, **settings: Any) -> PoolRun[T]:
        """Calls a function once for each item; takes and returns what `map` of `chopsticks.pool.Pool` does.

        The items may be an asynchronous iterable too.
        """
        if not isinstance(items, AsyncIterable):
            return PoolRun(self.pool.map(callable, items, **settings))
        source = AsyncInput(items, is_of_pool=True)
        return PoolRun(self.pool.map(callable, source, **settings), source)

    def __len__(self) -> int:
        return len(self.pool)

    def __repr__(self) -> str:
        return 'aio.%r' % (self.pool,)


def members(hosts: Members) -> SyncGroup | list[tunnel.BaseTunnel | str]:
    if isinstance(hosts, Group):
        return hosts.group
    if isinstance(hosts, SyncGroup):
        return hosts
    if isinstance(hosts, (str, bytes)):
        raise TypeError('%r is one name: give a list of them' % (hosts,))
    several = [hosts] if isinstance(hosts, (BaseTunnel, tunnel.BaseTunnel)) else hosts
    return [host.tunnel if isinstance(host, BaseTunnel) else host for host in several]


class Queue(queue.Lines[Hosts]):
    """A queue of `chopsticks.queue` for `asyncio`. Callbacks are called by the loop's thread."""

    def _hosts(self, target: Hosts) -> tunnel.BaseTunnel | SyncGroup:
        return target.tunnel if isinstance(target, BaseTunnel) else target.group

    async def run(self) -> None:
        """Runs all operations, also those that callbacks add, and returns when none is left."""
        came: list[Any] = []

        def start(done: Done) -> _chopsticks.Task:
            def keep(value: Any, error: BaseException | None) -> None:
                # If this is cancelled meanwhile, nobody else has it.
                came.append(value)
                done(value, error)

            return self._queue.start_next(keep)

        with self._alone():
            try:
                while self._waiting:
                    self._queue.start()
                    while True:
                        event = await awaited(start)
                        came.clear()
                        await settle(*[tunnel._state for tunnel in self._tunnels.values()])
                        if event is None:
                            self._queue.finish()
                            break
                        self._settle(*event)
            except BaseException:
                for event in filter(None, came):
                    result, value = self._result(*event)
                    result._settled(value)
                self._abandon()
                raise
            self._tunnels.clear()
