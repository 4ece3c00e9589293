"""Imports all that the package of controllers has, as a module of a codebase may."""

from chopsticks import (  # noqa: F401
    BaseTunnel,
    Command,
    Disconnected,
    Executor,
    Group,
    Limits,
    Local,
    Podman,
    Pool,
    Queue,
    Timeout,
    aio,
    timeout,
)
from chopsticks.aio import Tunnel  # noqa: F401
from chopsticks.executor import Executor as Again  # noqa: F401
from chopsticks.group import Limits as Those  # noqa: F401
from chopsticks.pool import PoolRun  # noqa: F401


class Mine(aio.BaseTunnel):
    pass


def refused():
    """What those say that hosts cannot use."""
    found = []
    for make in (lambda: Executor(['a']), lambda: timeout(5), lambda: Limits(), lambda: aio.Local(), Mine, lambda: Pool(['a'])):
        try:
            make()
        except TypeError as e:
            found.append(str(e))
    return found


def command(python):
    """The number that a function returns behind a command."""
    with Command('c', ['env', 'A=1'], python) as one, Command('s', ['sh', '-c', '{}'], python=python) as other:
        return one.call(len, 'abc') + other.call(len, 'abcd')
