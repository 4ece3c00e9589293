"""Queues: a line of operations for each host, which each host works off as fast as it can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Generic, TypeVar

from chopsticks import _chopsticks
from chopsticks._deadline import remaining
from chopsticks._limits import Limits, bar, core_of
from chopsticks.group import Group, GroupResult, Hosts, common_protocol, group_of, refuse_input, settled
from chopsticks.tunnel import CLOSE, CONNECT, BaseTunnel, Operation, PathLike, packed, patterns

__all__ = ['AsyncResult', 'NotCompleted', 'Queue']


class NotCompleted(Exception):
    """The operation has not been run yet."""


class AsyncResult:
    """What will come of an operation: for a tunnel what it returns or an `ErrorResult`, for a group a `GroupResult`."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], object]] = []
        self._is_set = False
        self._value: Any = None

    @property
    def value(self) -> Any:
        """The value. Raises `NotCompleted` if there is none yet."""
        if not self._is_set:
            raise NotCompleted('the operation has not been run yet: Queue.run() does so')
        return self._value

    def with_callback(self, callback: Callable[[Any], object]) -> AsyncResult:
        """Has `callback(value)` called when there is a value, by the thread that runs the queue; returns this."""
        if self._is_set:
            callback(self._value)
        else:
            self._callbacks.append(callback)
        return self

    def _set(self, value: Any) -> None:
        """Sets the value of one that belongs to no queue."""
        for callback in self._settled(value):
            callback(value)

    def _settled(self, value: Any) -> list[Callable[[Any], object]]:
        """Sets the value; returns what is to be called with it."""
        self._value, self._is_set = value, True
        callbacks, self._callbacks = self._callbacks, []
        return callbacks


#: What an operation is for.
Target = TypeVar('Target')


class Lines(Generic[Target]):
    """The operations of a queue, before and after they are run."""

    def __init__(self, *, limits: Limits | None = None, progress: bool = False) -> None:
        self._queue = _chopsticks.Queue(core_of(limits))
        self._progress = progress
        self._count = 0
        self._tunnels: dict[str, BaseTunnel] = {}
        # What is not done: number -> target, its tunnels, result.
        self._waiting: dict[int, tuple[Hosts, list[BaseTunnel], AsyncResult]] = {}
        self._turn = Lock()

    def call(self, target: Target, callable: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Adds a call; see `call` of a tunnel. The arguments are taken as they are now."""
        refuse_input(kwargs)
        return self._add(target, packed(callable, args, kwargs, common_protocol(group_of(self._hosts(target)))))

    def connect(self, target: Target) -> AsyncResult:
        """Adds the making of a connection."""
        return self._add(target, CONNECT)

    def close(self, target: Target) -> AsyncResult:
        """Adds the end of a connection."""
        return self._add(target, CLOSE)

    def put(
        self,
        target: Target,
        local_path: PathLike,
        remote_path: PathLike | None = None,
        mode: int | None = 0o644,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> AsyncResult:
        """Adds the copying of a file to the target; see `put` of a tunnel."""
        return self._add(target, Operation.put(local_path, remote_path, mode, if_changed, resume))

    def fetch(
        self,
        target: Target,
        remote_path: PathLike,
        local_path: PathLike | None = None,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> AsyncResult:
        """Adds the copying of a file from the target. For a group, `{host}` in the local path stands for each name."""
        local = self._paths(target, local_path)
        return self._add(target, Operation.fetch(remote_path, local, if_changed, resume))

    def put_dir(
        self,
        target: Target,
        local_path: PathLike,
        remote_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> AsyncResult:
        """Adds the copying of a folder to the target; see `put_dir` of a tunnel."""
        operation = Operation.put_dir(local_path, remote_path, if_changed, delete, patterns(exclude))
        return self._add(target, operation)

    def fetch_dir(
        self,
        target: Target,
        remote_path: PathLike,
        local_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> AsyncResult:
        """Adds the copying of a folder from the target, as `fetch` does of a file."""
        local = self._paths(target, local_path)
        return self._add(target, Operation.fetch_dir(remote_path, local, if_changed, delete, patterns(exclude)))

    def timeline(self) -> str | None:
        """A picture of what each host has done, and when, as a document in SVG. `None` if nothing has begun."""
        return self._queue.svg()

    def _repr_html_(self) -> str | None:
        """The picture, for notebooks."""
        return self.timeline()

    def _hosts(self, target: Target) -> Hosts:
        """The tunnel or group that is meant."""
        raise NotImplementedError

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lets nobody else run the queue: one of two would wait for ever for what the other has taken."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError('the queue is being run: what is added to it now is run as well')
        try:
            yield
        finally:
            self._turn.release()

    def _settle(self, number: int, outcomes: list[tuple[Any, BaseException | None]]) -> None:
        """Sets a result and calls its callbacks."""
        result, value = self._result(number, outcomes)
        for callback in result._settled(value):
            callback(value)

    def _abandon(self) -> None:
        """Ends what is under way, which is its result then. Nothing is called back."""
        for done in self._queue.stop():
            result, value = self._result(*done)
            result._settled(value)

    def _add(self, target: Target, operation: _chopsticks.Operation) -> AsyncResult:
        hosts = self._hosts(target)
        tunnels = group_of(hosts).tunnels
        for tunnel in tunnels:
            known = self._tunnels.setdefault(tunnel.host, tunnel)
            if known._state is not tunnel._state:
                raise ValueError('another tunnel named %s is in the queue' % tunnel.host)
        cores = [tunnel._open() for tunnel in tunnels]
        result, self._count = AsyncResult(), self._count + 1
        self._waiting[self._count] = hosts, tunnels, result
        self._queue.push(cores, operation, self._count)
        return result

    def _result(self, number: int, outcomes: list[tuple[Any, BaseException | None]]) -> tuple[AsyncResult, Any]:
        target, tunnels, result = self._waiting.pop(number)
        values = [settled(tunnel, *outcome) for tunnel, outcome in zip(tunnels, outcomes)]
        if isinstance(target, Group):
            return result, GroupResult(zip([tunnel.host for tunnel in tunnels], values))
        return result, values[0]

    def _paths(self, target: Target, local_path: PathLike | None) -> dict[str, PathLike]:
        hosts = self._hosts(target)
        if local_path is None:
            return {}
        if isinstance(hosts, Group):
            return dict(hosts.paths(str(local_path)))
        return {hosts.host: local_path}


class Queue(Lines[Hosts]):
    """Each host works off its own line in order, and waits for no other. One that cannot be reached fails its line.

    Adding an operation starts nothing: `run` does. The target of an operation is a tunnel or a group.

    `limits` are `max_connecting`, `max_running` and `host_timeout` of `chopsticks.group.Limits`. `progress` shows a bar
    by `tqdm.auto` while it is run. In a notebook a queue is shown as its `timeline`.
    """

    def _hosts(self, target: Hosts) -> Hosts:
        return target

    def run(self) -> None:
        """Runs all operations, also those that callbacks add, and returns when none is left.

        Callbacks are called by the thread that calls this. An exception of one ends the run: what is under way is
        cancelled, which is its result then, and what has not begun stays in the queue. Raises `RuntimeError` while it
        is being run already.
        """
        with self._alone(), bar(self._progress, len(self._waiting), 'operation') as tell:
            first = self._count - len(self._waiting)
            try:
                while self._waiting:
                    self._queue.start()
                    while True:
                        done = self._queue.next(remaining())
                        if done is None:
                            break
                        self._settle(*done)
                        if tell is not None:
                            tell(self._count - first - len(self._waiting), self._count - first)
            except BaseException:
                self._abandon()
                raise
            self._tunnels.clear()
