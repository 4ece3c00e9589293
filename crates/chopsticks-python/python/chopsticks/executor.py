"""Hosts as workers, in the manner of `concurrent.futures`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent import futures
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Any, TypeVar

from chopsticks import _chopsticks
from chopsticks._call import protocol_for
from chopsticks._errors import RemoteException
from chopsticks.tunnel import BaseTunnel, Tunnel, packed

__all__ = ['Executor']
T = TypeVar('T')


class Call(futures.Future[Any]):
    """A call that waits or is under way. It can be cancelled until it is done: on the host too."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.function, self.args, self.kwargs = function, args, kwargs
        self.task: _chopsticks.Task | None = None
        # Where it is under way.
        self.tunnel: BaseTunnel | None = None


class Executor(futures.Executor):
    """Runs calls on hosts, each on one that is free: tunnels, or names of hosts that are reached by SSH.

    `calls` is how many calls a host has at once. Those on one host share an interpreter. A future can be cancelled
    until it is done. Tunnels that were given stay open at the end; those that were made of names are closed.

        with Executor(['web1', 'web2']) as executor:
            for size in executor.map(os.path.getsize, paths):
                print(size)
    """

    def __init__(self, hosts: Iterable[BaseTunnel | str], calls: int = 1) -> None:
        if isinstance(hosts, (str, bytes)):
            raise TypeError('%r is one name: give a list of them' % (hosts,))
        if calls < 1:
            raise ValueError('a host has at least one call at once')
        self._own: list[BaseTunnel] = []
        tunnels = [host if isinstance(host, BaseTunnel) else self._made(host) for host in hosts]
        # The tunnels that are free, as often as they are.
        self._free = deque(tunnel for _ in range(calls) for tunnel in tunnels)
        if not self._free:
            raise ValueError('there is no host')
        self._waiting: deque[Call] = deque()
        self._running = 0
        self._changed = Condition()
        self._is_shut = False
        # What has come of calls. The thread that takes it is one of Python, where futures may call what they like.
        self._done: SimpleQueue[tuple[Call, Any, BaseException | None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> futures.Future[T]:
        """Has a function called on a host, and returns the future of its result."""
        call = Call(fn, args, kwargs)
        with self._changed:
            if self._is_shut:
                raise RuntimeError('cannot schedule new futures after shutdown')
            if self._thread is None:
                self._thread = Thread(target=self._settle, name='chopsticks-executor', daemon=True)
                self._thread.start()
            self._waiting.append(call)
        call.add_done_callback(self._cancelled)
        self._begin()
        return call

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls, and waits for those that it has. With `cancel_futures`, those that wait are cancelled."""
        with self._changed:
            self._is_shut = True
            waiting = list(self._waiting) if cancel_futures else []
        for call in waiting:
            call.cancel()
        self._begin()
        if wait:
            with self._changed:
                self._changed.wait_for(lambda: not self._running and not self._waiting)
            if self._thread is not None:
                self._done.put(None)
                self._thread.join()
            for tunnel in self._own:
                tunnel.close()

    def _made(self, host: str) -> BaseTunnel:
        tunnel = Tunnel(host)
        self._own.append(tunnel)
        return tunnel

    def _begin(self) -> None:
        """Begins what can be begun."""
        while True:
            with self._changed:
                while self._waiting and self._waiting[0].cancelled():
                    self._waiting.popleft()
                if not self._waiting or not self._free:
                    self._changed.notify_all()
                    return
                call = self._waiting.popleft()
                call.tunnel = tunnel = self._free.popleft()
                self._running += 1
            try:
                operation = packed(call.function, call.args, call.kwargs, tunnel._state.protocol)
                # The deadlines of contexts are those of other threads.
                seconds = tunnel._seconds
                within = None if seconds is None else (seconds, seconds)
                call.task = tunnel._open().start(operation, self._teller(call), within)
            except BaseException as e:
                # Such as an argument that cannot be sent.
                self._done.put((call, None, e))
            else:
                if call.cancelled():
                    # Before there was a task.
                    self._cancelled(call)

    def _teller(self, call: Call) -> Callable[[Any, BaseException | None], None]:
        return lambda value, error: self._done.put((call, value, error))

    def _cancelled(self, call: futures.Future[Any]) -> None:
        """Ends a call on its host, if it is cancelled and has begun there."""
        if isinstance(call, Call) and call.cancelled() and call.task is not None:
            call.task.cancel()
            self._done.put((call, None, None))

    def _settle(self) -> None:
        """The life of the thread."""
        while True:
            done = self._done.get()
            if done is None:
                return
            call, value, error = done
            with self._changed:
                tunnel, call.tunnel = call.tunnel, None
            if tunnel is None:
                # It was cancelled when it was just done, or twice.
                continue
            state = tunnel._state
            if isinstance(error, RemoteException) and error.is_lost:
                state.is_stale = True
            elif error is None and not call.cancelled() and state.protocol is None and state.core is not None:
                state.protocol = protocol_for(state.core.python() or (2, 7))
            if not call.cancelled() and call.set_running_or_notify_cancel():
                if error is None:
                    call.set_result(value)
                else:
                    call.set_exception(error)
            with self._changed:
                self._free.append(tunnel)
                self._running -= 1
            self._begin()
            del call, value, error, done, tunnel, state
