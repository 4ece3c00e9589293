"""How long operations may take."""

from __future__ import annotations

from contextvars import ContextVar, Token
from time import monotonic
from typing import Any

#: When what is done here has to be done, by the clock of `time.monotonic`.
deadline: ContextVar[float | None] = ContextVar('chopsticks.deadline', default=None)


class timeout:
    """A context in which all that tunnels, groups and queues do together has `seconds`.

    What is not done by then is cancelled, and raises `Timeout`. Contexts may be nested; the earliest deadline counts.
    Threads that are started in it are not bound by it.

        with chopsticks.timeout(5):
            tunnel.call(time.time)
    """

    __module__ = 'chopsticks'

    def __init__(self, seconds: float) -> None:
        if seconds != seconds:
            raise ValueError('a deadline is a number of seconds')
        self.seconds = seconds
        self._tokens: list[Token[float | None]] = []

    def __enter__(self) -> timeout:
        until, outer = monotonic() + self.seconds, deadline.get()
        self._tokens.append(deadline.set(until if outer is None else min(until, outer)))
        return self

    def __exit__(self, *_: Any) -> None:
        deadline.reset(self._tokens.pop())


def remaining(seconds: float | None = None) -> float | None:
    """The seconds that are left; `seconds` is the most, if given. `None` if there is no end."""
    until = deadline.get()
    if until is None:
        return seconds
    left = max(0.0, until - monotonic())
    return left if seconds is None else min(left, seconds)
