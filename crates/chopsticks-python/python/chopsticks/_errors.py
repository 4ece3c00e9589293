"""What can go wrong with tunnels."""

from __future__ import annotations

from typing import Any


class RemoteException(Exception):
    """What went wrong on another host, or on the way there.

    `host` is its name, `msg` what happened, and `tb` the traceback over there, or `None`. `type_name` is the type of an
    exception that was raised there, as text, or `None`. As text it has all of these.
    """

    __module__ = 'chopsticks.tunnel'
    type_name: str | None = None
    #: Whether there is no connection now.
    is_lost = False

    def __init__(self, msg: str, host: str | None = None, tb: str | None = None) -> None:
        self.msg, self.host, self.tb = msg, host, tb
        whole = '%s: %s' % (host, msg) if host else msg
        if tb:
            whole += '\n\nOn %s:\n%s' % (host, tb.rstrip())
        Exception.__init__(self, whole)

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.host, self.tb), self.__dict__


class Disconnected(RemoteException):
    """A tunnel did not come about, or its connection was lost. The next use of the tunnel connects again."""

    __module__ = 'chopsticks.tunnel'


class Timeout(RemoteException, TimeoutError):
    """A deadline has passed. What was under way is cancelled."""

    __module__ = 'chopsticks.tunnel'


class DepthLimitExceeded(RemoteException):
    """There would be more tunnels, one in another, than `chopsticks.DEPTH_LIMIT`."""

    __module__ = 'chopsticks.tunnel'


class ErrorResult:
    """What a group has in place of the result of a host that failed: `msg`, and `tb`, a traceback or `None`."""

    __module__ = 'chopsticks.group'

    def __init__(self, msg: str, tb: str | None = None) -> None:
        self.msg, self.tb = msg, tb

    def __repr__(self) -> str:
        return 'ErrorResult(%r)' % (self.msg,)

    def __str__(self) -> str:
        return self.msg


def error_result(error: BaseException) -> ErrorResult:
    if isinstance(error, RemoteException):
        return ErrorResult(error.msg, error.tb)
    return ErrorResult('%s: %s' % (type(error).__name__, error))


def made(
    host: str,
    phase: str,
    kind: str,
    message: str,
    is_timeout: bool = False,
    is_disconnected: bool = False,
    type_name: str | None = None,
    text: str = '',
    traceback: str | None = None,
) -> RemoteException:
    """The exception for an error of the compiled half."""
    if type_name is not None:
        own = type_name in ('chopsticks.tunnel.DepthLimitExceeded', 'DepthLimitExceeded')
        name = '%s: %s' % (type_name, text) if text else type_name
        error = (DepthLimitExceeded if own else RemoteException)(name, host, traceback)
        error.type_name = type_name
        return error
    # What Rust programs can set.
    message = message.removesuffix(' (the option `encode` has a form for it)')
    is_lost = is_disconnected or phase in ('spawn', 'handshake')
    error = (Timeout if is_timeout else Disconnected if is_lost else RemoteException)(message, host)
    error.is_lost = is_lost
    return error
