"""Tunnels by programs that lead to other users, roots, namespaces, containers and clusters."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from chopsticks.tunnel import Recipe, SubprocessTunnel

__all__ = [
    'Chroot',
    'Compose',
    'Doas',
    'DockerExec',
    'Incus',
    'Kubectl',
    'Lxc',
    'Lxd',
    'Machine',
    'Netns',
    'Nsenter',
    'Nspawn',
    'PodmanExec',
    'Slurm',
    'Su',
]


class ProgramTunnel(SubprocessTunnel):
    """What the classes of this module have in common.

    `name` is the tunnel's name, the key of its results, `python` the interpreter over there, and `args` are further
    arguments of the program.
    """

    __module__ = 'chopsticks.tunnel'
    python2 = 'python2'
    python3 = 'python3'
    #: The program in place of the usual one. It has to take the same arguments.
    program: str | None = None
    _kind = ''
    _place = ''
    _settings: tuple[tuple[str, str], ...] = ()

    def _set(
        self, place: str, name: str | None, python: str | None, args: Iterable[str], **settings: Any
    ) -> None:
        if isinstance(args, str):
            raise TypeError('%r is one argument: give a list of them' % (args,))
        self._place, self.host, self.python, self.args = place, name or place, python, tuple(args)
        self._settings = tuple(
            (key, str(value))
            for key, values in settings.items()
            for value in (values if isinstance(values, tuple) else (values,))
            if value is not None and value is not False
        )

    def command(self, python: list[str]) -> list[str]:
        return self._prefixed(python)

    def _native(self) -> Recipe:
        settings = list(self._settings)
        return 'program', self._kind, self.host, self._place, settings, list(self.args), self.program, self._interpreter()


def several(what: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError('%r is one %s: give a list of them' % (values, what))
    return tuple(values)


class Su(ProgramTunnel):
    """Another user on this host, by `su`, which asks root alone for no password.

    `shell` takes the place of the user's login shell, and with `login` that is a login shell.
    """

    __module__ = 'chopsticks.tunnel'
    python2 = '/usr/bin/python2'
    python3 = '/usr/bin/python3'
    _kind = 'su'

    def __init__(
        self,
        user: str = 'root',
        name: str | None = None,
        *,
        shell: str | None = None,
        login: bool = False,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set(user, name or user + '@localhost', python, args, shell=shell, login=login)

    def command(self, python: list[str]) -> list[str]:
        name, *arguments = self._native()
        words = self._words(name, arguments)
        return [*words[:-1], 'exec ' + ' '.join(map(shlex.quote, python))]


class Doas(ProgramTunnel):
    """Another user on this host, by `doas`. A rule has to allow it without a password."""

    __module__ = 'chopsticks.tunnel'
    python2 = '/usr/bin/python2'
    python3 = '/usr/bin/python3'
    _kind = 'doas'

    def __init__(
        self, user: str = 'root', name: str | None = None, *, python: str | None = None, args: Iterable[str] = ()
    ) -> None:
        self._set(user, name or user + '@localhost', python, args)


class Chroot(ProgramTunnel):
    """Another root folder on this host, by `chroot`. `user` is a name, a number, or `user:group`."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'chroot'

    def __init__(
        self,
        folder: str,
        name: str | None = None,
        *,
        user: str | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set(folder, name, python, args, user=user)


class Nsenter(ProgramTunnel):
    """The namespaces of another process, by `nsenter`: all of them, or those that are named, such as `['net']`."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'nsenter'

    def __init__(
        self,
        pid: int,
        name: str | None = None,
        *,
        namespaces: Iterable[str] = (),
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        namespaces = several('namespace', namespaces)
        self._set(str(int(pid)), name or 'pid-%d' % pid, python, args, namespace=namespaces)


class Netns(ProgramTunnel):
    """A network that has a name, as `ip netns` lists them, by `nsenter`. All else is that of this host."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'netns'

    def __init__(
        self, network: str, name: str | None = None, *, python: str | None = None, args: Iterable[str] = ()
    ) -> None:
        self._set(network, name, python, args)


class Nspawn(ProgramTunnel):
    """A new container in a folder, or of an image that `machinectl list-images` shows, by `systemd-nspawn`.

    With `ephemeral`, what is written there is lost at the end. `bind` has folders of this host, or `FROM:TO`.
    """

    __module__ = 'chopsticks.tunnel'
    _kind = 'nspawn'

    def __init__(
        self,
        folder_or_image: str,
        name: str | None = None,
        *,
        ephemeral: bool = False,
        bind: Iterable[str] = (),
        user: str | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        bind = several('folder', bind)
        self._set(folder_or_image, name, python, args, ephemeral=ephemeral, bind=bind, user=user)


class Machine(ProgramTunnel):
    """A running machine of systemd, as `machinectl list` shows them, by `systemd-run`."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'machine'

    def __init__(
        self,
        machine: str,
        name: str | None = None,
        *,
        user: str | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set(machine, name, python, args, user=user)


class Lxc(ProgramTunnel):
    """A running container of LXC, by `lxc-attach`. `path` is the folder with the containers, `uid` a user there."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'lxc'

    def __init__(
        self,
        container: str,
        name: str | None = None,
        *,
        path: str | None = None,
        uid: int | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set(container, name, python, args, path=path, uid=uid)


class Incus(ProgramTunnel):
    """A running instance of Incus, `NAME` or `REMOTE:NAME`, by `incus exec`."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'incus'

    def __init__(
        self,
        instance: str,
        name: str | None = None,
        *,
        project: str | None = None,
        uid: int | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set(instance, name, python, args, project=project, uid=uid)


class Lxd(Incus):
    """A running instance of LXD, by `lxc exec`."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'lxd'


class Kubectl(ProgramTunnel):
    """A running container of a pod of Kubernetes, or of the first pod of `TYPE/NAME`, by `kubectl exec`."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'kubectl'

    def __init__(
        self,
        pod: str,
        name: str | None = None,
        *,
        namespace: str | None = None,
        container: str | None = None,
        context: str | None = None,
        kubeconfig: str | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set(
            pod,
            name,
            python,
            args,
            namespace=namespace,
            container=container,
            context=context,
            kubeconfig=kubeconfig,
        )


class Compose(ProgramTunnel):
    """A running service of Docker Compose, by `docker compose exec`. `files` are those of the project."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'compose'

    def __init__(
        self,
        service: str,
        name: str | None = None,
        *,
        project: str | None = None,
        files: Iterable[str] = (),
        index: int | None = None,
        user: str | None = None,
        workdir: str | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        files = several('file', files)
        self._set(
            service, name, python, args, project=project, file=files, index=index, user=user, workdir=workdir
        )


class DockerExec(ProgramTunnel):
    """A running container of Docker, by `docker exec`. It stays when the connection ends."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'docker-exec'

    def __init__(
        self,
        container: str,
        name: str | None = None,
        *,
        user: str | None = None,
        workdir: str | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set(container, name, python, args, user=user, workdir=workdir)


class PodmanExec(DockerExec):
    """The same by Podman."""

    __module__ = 'chopsticks.tunnel'
    _kind = 'podman-exec'


class Slurm(ProgramTunnel):
    """A job of its own on a cluster, by `srun`. It begins when the cluster has room for it, and ends with the tunnel.

    `time` is as Slurm writes it: minutes, `HH:MM:SS`, or `DAYS-HH`. `cpus` is the number of processors.
    """

    __module__ = 'chopsticks.tunnel'
    _kind = 'slurm'

    def __init__(
        self,
        name: str = 'slurm',
        *,
        partition: str | None = None,
        time: str | None = None,
        cpus: int | None = None,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self._set('slurm', name, python, args, partition=partition, time=time, cpus=cpus)
