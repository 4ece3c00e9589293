"""How long operations may take."""

from __future__ import annotations

from contextvars import ContextVar, Token
from time import monotonic
from typing import Any

#: When what is done here has to be done, by the clock of `time.monotonic`, and the seconds that were given for it.
deadline: ContextVar[tuple[float, float] | None] = ContextVar('chopsticks.deadline', default=None)


def checked(seconds: float) -> float:
    """The seconds of a deadline, if they are some."""
    if seconds != seconds:
        raise ValueError('a deadline is a number of seconds, not nan')
    return seconds


class timeout:
    """A context in which all that tunnels, groups and queues do together has `seconds`.

    What is not done by then is cancelled, and raises `Timeout`. Contexts may be nested; the earliest deadline counts.
    Threads that are started in it are not bound by it.

        with chopsticks.timeout(5):
            tunnel.call(time.time)
    """

    __module__ = 'chopsticks'

    def __init__(self, seconds: float) -> None:
        self.seconds = checked(float(seconds))
        self._tokens: list[Token[tuple[float, float] | None]] = []

    def __enter__(self) -> timeout:
        until, outer = monotonic() + self.seconds, deadline.get()
        self._tokens.append(deadline.set((until, self.seconds) if outer is None or until < outer[0] else outer))
        return self

    def __exit__(self, *_: Any) -> None:
        deadline.reset(self._tokens.pop())


def remaining(seconds: float | None = None) -> tuple[float, float] | None:
    """The seconds that are left, and those that were given; `seconds` is the most, if given. `None` if there is no end."""
    outer = deadline.get()
    if outer is None:
        return None if seconds is None else (seconds, seconds)
    left = max(0.0, outer[0] - monotonic())
    return (left, outer[1]) if seconds is None or left < seconds else (seconds, seconds)
