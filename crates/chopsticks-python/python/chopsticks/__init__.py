"""Runs your own Python code elsewhere: on hosts by SSH, in containers, as another user.

from chopsticks.tunnel import Tunnel

with Tunnel('www.example.com') as tun:
    print(tun.call(time.time))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopsticks._chopsticks import __version__
from chopsticks._deadline import timeout as timeout

if TYPE_CHECKING:
    from chopsticks.executor import Executor as Executor
    from chopsticks.group import Group as Group, GroupResult as GroupResult, Limits as Limits
    from chopsticks.pool import Pool as Pool, PoolOutcome as PoolOutcome, PoolRun as PoolRun
    from chopsticks.queue import AsyncResult as AsyncResult, NotCompleted as NotCompleted, Queue as Queue
    from chopsticks.tunnel import (
        BaseTunnel as BaseTunnel,
        Command as Command,
        DepthLimitExceeded as DepthLimitExceeded,
        Disconnected as Disconnected,
        Docker as Docker,
        ErrorResult as ErrorResult,
        Local as Local,
        Podman as Podman,
        RemoteException as RemoteException,
        SSHTunnel as SSHTunnel,
        SubprocessTunnel as SubprocessTunnel,
        Sudo as Sudo,
        Timeout as Timeout,
        Tunnel as Tunnel,
    )

#: How many tunnels, one in another, may lead from here to an agent.
DEPTH_LIMIT = 2
__versioninfo__ = tuple(int(part) for part in __version__.split('.')[:3])
HOMES = {
    'tunnel': (
        'BaseTunnel',
        'Command',
        'DepthLimitExceeded',
        'Disconnected',
        'Docker',
        'ErrorResult',
        'Local',
        'Podman',
        'RemoteException',
        'SSHTunnel',
        'SubprocessTunnel',
        'Sudo',
        'Timeout',
        'Tunnel',
    ),
    'executor': ('Executor',),
    'group': ('Group', 'GroupResult', 'Limits'),
    'pool': ('Pool', 'PoolOutcome', 'PoolRun'),
    'queue': ('AsyncResult', 'NotCompleted', 'Queue'),
}


def __getattr__(name: str) -> Any:
    # When it is first asked for: facts need no tunnels.
    for home, names in HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module('chopsticks.' + home), name)
    raise AttributeError("module 'chopsticks' has no attribute %r" % name)


def __dir__() -> list[str]:
    return sorted(set(globals()).union(*HOMES.values()))
