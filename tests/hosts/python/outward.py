"""What the tests call on hosts that open tunnels of their own. Runs on Python 2.7 and later."""

import os
import signal

import far
from chopsticks.group import Group
from chopsticks.queue import Queue
from chopsticks.tunnel import Docker, RemoteException, SSHTunnel, Sudo


def users(name):
    with Sudo(name) as other:
        return far.user(), other.call(far.user)


def refusal(name):
    try:
        with Sudo(name) as other:
            other.connect()
    except RemoteException as error:
        return str(error)


class LabHost(SSHTunnel):
    """A host of the tests, which are in a configuration of their own."""
    config = None

    def command(self, python):
        words = super(LabHost, self).command(python)
        return words[:1] + ['-F', self.config] + words[1:]


def by_ssh(config, name, user):
    LabHost.config = config
    with LabHost(name) as host:
        return host.call(far.user), host.call(users, user)


def many_by_ssh(config, name, count):
    """Numbers of the processes at the other ends of many tunnels to one server, and what failed."""
    LabHost.config = config
    hosts = [LabHost(name) for _ in range(count)]
    for number, host in enumerate(hosts):
        host.address, host.host = host.host, '%s-%d' % (name, number)
        host.command = by_address(host)
    with Group(hosts) as group:
        found = group.call(far.pid)
        return len(set(found.values())), [error.msg for _, error in found.failures()]


def by_address(host):
    def command(python):
        words = LabHost.command(host, python)
        return [host.address if word == host.host else word for word in words]
    return command


class Engine(Docker):
    def command(self, python):
        words = super(Engine, self).command(python)
        return words[:2] + ['--network', 'none'] + words[2:]


def lose_client(program, image, name):
    """Kills the client of a container; returns what is said of it."""
    Engine.program = program
    tunnel = Engine(name, image=image, python='python3')
    tunnel.call(far.pid)
    os.kill(tunnel._connection.process.pid, signal.SIGKILL)
    try:
        tunnel.call(far.nap, 600)
    except RemoteException as error:
        return str(error)
    finally:
        tunnel.close()


def pool(program, image, names, mark):
    """Works off ten calls in containers, by one queue; the processes are within those."""
    Engine.program = program
    tunnels = [Engine(name, image=image, python='python3') for name in names]
    with Group(tunnels):
        queue = Queue()
        sums = [queue.call(tunnels[n % len(tunnels)], far.add, n, n) for n in range(10)]
        folders = [queue.call(tunnel, os.listdir, '/') for tunnel in tunnels]
        path = queue.put(Group(tunnels), mark, '/tmp/mark')
        queue.run()
        return ([result.value for result in sums], ['.dockerenv' in result.value or 'run' in result.value
                                                    for result in folders],
                [found['size'] for _, found in path.value.successful()])
