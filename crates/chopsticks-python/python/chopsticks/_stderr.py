"""Threads that call the handlers of stderr: one that blocks holds up the lines of its own tunnel alone."""

from __future__ import annotations

import sys
from threading import Thread, local
from time import monotonic

from chopsticks import _chopsticks

#: Until when handlers are called, by the clock of `time.monotonic`.
last_call = float('inf')
#: For how long a result waits for the lines that came before it.
MOMENT = 0.25
#: Has `is_handler` in a thread that calls handlers.
here = local()
is_begun = False


def write_line(host: str, line: str) -> None:
    """Writes a line that came from a host to `sys.stderr` as it is now: in a notebook that is the cell's."""
    if sys.stderr is not None:
        sys.stderr.write('[%s] %s\n' % (host, line))


def begin() -> None:
    """Starts the first thread, unless there is one."""
    global is_begun
    if not is_begun:
        is_begun = True
        start()


def start() -> None:
    Thread(target=serve, name='chopsticks-stderr', daemon=True).start()


def serve() -> None:
    """The life of a thread."""
    here.is_handler = True
    last = None
    while True:
        taken = _chopsticks.next_line(last)
        if taken is None:
            return
        last, handler, host, line, is_alone = taken
        if is_alone:
            try:
                start()
            except RuntimeError:
                # While Python ends there are no new threads.
                pass
        if monotonic() < last_call:
            try:
                handler(host, line)
            except BaseException as e:
                _chopsticks.write_unraisable(e, handler)
        # Nothing is kept alive while this waits.
        del taken, handler, host, line


def is_handler() -> bool:
    """Whether the caller is within a handler, which cannot wait for itself."""
    return getattr(here, 'is_handler', False)


def after_fork_in_child() -> None:
    global is_begun
    is_begun = False
