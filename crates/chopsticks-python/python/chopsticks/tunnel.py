"""Tunnels: each has an agent at its other end, in which functions can be called."""

from __future__ import annotations

import atexit
import os
import shlex
import sys
import weakref
from importlib import import_module
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Callable, Iterable, TypeVar, Union

from chopsticks import _chopsticks, _codebase, _stderr
from chopsticks._call import pack, protocol_for
from chopsticks._deadline import checked, remaining
from chopsticks._errors import DepthLimitExceeded, Disconnected, ErrorResult, RemoteException, Timeout
from chopsticks._stderr import write_line

if TYPE_CHECKING:
    from chopsticks._programs import (
        Chroot as Chroot,
        Compose as Compose,
        Doas as Doas,
        DockerExec as DockerExec,
        Incus as Incus,
        Kubectl as Kubectl,
        Lxc as Lxc,
        Lxd as Lxd,
        Machine as Machine,
        Netns as Netns,
        Nsenter as Nsenter,
        Nspawn as Nspawn,
        PodmanExec as PodmanExec,
        Slurm as Slurm,
        Su as Su,
    )
    from chopsticks._secrets import Password
    from chopsticks._stream import Reading, Stream
    from chopsticks.group import Group

__all__ = [
    'BaseTunnel',
    'Chroot',
    'Command',
    'Compose',
    'DepthLimitExceeded',
    'Disconnected',
    'Doas',
    'Docker',
    'DockerExec',
    'ErrorResult',
    'Incus',
    'Kubectl',
    'Local',
    'Lxc',
    'Lxd',
    'Machine',
    'Netns',
    'Nsenter',
    'Nspawn',
    'Podman',
    'PodmanExec',
    'RemoteException',
    'SSHTunnel',
    'Slurm',
    'Su',
    'SubprocessTunnel',
    'Sudo',
    'Timeout',
    'Tunnel',
]
T = TypeVar('T')
Self = TypeVar('Self', bound='BaseTunnel')
PathLike = Union[str, 'os.PathLike[str]']
#: What leads to an agent: a constructor of `Driver`, and its arguments.
Recipe = tuple[Any, ...]
Driver, Operation = _chopsticks.Driver, _chopsticks.Operation
CONNECT, CLOSE = Operation.connect(), Operation.close()


def packed(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], protocol: int | None
) -> _chopsticks.Operation:
    """The call of a function. Without a version of pickle, any Python has to read it."""
    call = pack(function, args, kwargs, protocol or 2)
    return Operation.call(call.label, call.message, None if call.function else list(call.modules))


def patterns(exclude: Iterable[str]) -> list[str]:
    if isinstance(exclude, str):
        raise TypeError('%r is one pattern: give a list of them' % (exclude,))
    return list(exclude)


class State:
    """What the views of one tunnel share."""

    __slots__ = '__weakref__', 'config', 'core', 'is_slow', 'is_stale', 'lines', 'lock', 'owner', 'protocol', 'recipe'

    def __init__(self) -> None:
        self.lock = RLock()
        self.core: _chopsticks.Core | None = None
        # Of what the core was made.
        self.recipe: Recipe | None = None
        self.config: _chopsticks.Config | None = None
        # Whether it has no connection, so that it may be made anew of something else.
        self.is_stale = False
        # The version of pickle that the agent reads, once it has said which Python it is.
        self.protocol: int | None = None
        # What came on stderr and has not been handled, and whether a result has waited for that in vain.
        self.lines: _chopsticks.Lines | None = None
        self.is_slow = False
        # The tunnel that was used last.
        self.owner: Callable[[], BaseTunnel | None] = lambda: None


def settle(state: State) -> None:
    """Waits until the lines that came before a result have been handled, unless that takes long."""
    lines = state.lines
    if lines is None or lines.is_idle():
        state.is_slow = False
    elif not state.is_slow and not _stderr.is_handler():
        state.is_slow = not lines.wait(_stderr.MOMENT)


def finish(state: State, seconds: float) -> None:
    """Waits until all lines have been handled, for `seconds` at most."""
    if state.lines is not None and not _stderr.is_handler():
        state.is_slow = not state.lines.wait(seconds)


#: How many seconds handlers of stderr have for what is left when Python ends.
PATIENCE = 5.0
#: Whether all is closed, for Python ends.
is_over = False


class Sink:
    """Where the lines of a tunnel's stderr go: to its attribute `stderr`, as that is now."""

    __slots__ = ('state',)

    def __init__(self, state: State) -> None:
        self.state = weakref.ref(state)

    def __call__(self, host: str, line: str) -> None:
        state = self.state()
        owner = state.owner() if state else None
        sink = write_line if owner is None else owner.stderr
        if sink is not None:
            sink(host, line)


class Words:
    """The words of the command that a tunnel composes."""

    __slots__ = ('state',)

    def __init__(self, state: State) -> None:
        self.state = weakref.ref(state)

    def __call__(self) -> list[str]:
        state = self.state()
        owner = state.owner() if state else None
        if not isinstance(owner, SubprocessTunnel):
            raise RuntimeError('the tunnel is gone')
        return list(owner.cmd_args())


class BaseTunnel:
    """A host on which functions can be called. It connects when it is first used, and again after a loss.

    Tunnels are context managers, which close at the end. Any number of threads may use one. When the last reference to
    it is gone it closes in the background.
    """

    #: The name: the key of its results in groups.
    host = 'localhost'
    if TYPE_CHECKING:
        #: Is called with the name of the host and each line that comes on stderr; `None` drops them. In a class it is a
        #: method or a static method, as all that classes have. It is called by a thread of its own, line by line. While
        #: it blocks, further lines of this tunnel wait; those that take more than 1 MiB are left out after a second.
        stderr: Callable[[str, str], object] | None
    else:
        stderr = staticmethod(write_line)
    #: How often it tries again to connect after a failure that may pass, at most. The time between attempts doubles,
    #: from half a second to 15.
    connect_retries = 0
    #: For how many seconds it tries again, as often as necessary. It goes before `connect_retries`.
    connect_within: float | None = None
    _state: State
    _secrets: _chopsticks.Secrets | None = None
    _seconds: float | None = None
    _item_seconds: float | None = None
    _parent: BaseTunnel | None = None

    def __new__(cls: type[Self], *args: Any, **kwargs: Any) -> Self:
        # Here, for classes of others need not call our `__init__`.
        self = object.__new__(cls)
        self._state = State()
        return self

    def connect(self) -> None:
        """Connects, unless it is connected."""
        self._run(CONNECT)

    def call(
        self, callable: Callable[..., T], /, *args: Any, input: Iterable[Any] | None = None, **kwargs: Any
    ) -> T:
        """Calls a function there, and returns what it does. An exception becomes a `RemoteException`.

        The function and its arguments travel by name, by value and by source. The result is of Python's primitive
        types: nothing in it can run code here.

        `input` is an iterable of this side, of items of such types. The function gets an iterator over these as its
        first argument, in front of `args`: an asynchronous one if it is a coroutine function. They are taken by another
        thread of this process, as far ahead as the function reads, and no further once it has stopped reading or ended.
        An exception of the iterable is raised as an `OSError` where the function reads. Text and bytes are no such
        input: the function gets them as its own keyword `input`.

        rows = tunnel.call(insert, 'table', input=(line.split() for line in open('rows.txt')))
        """
        if input is None:
            result: T = self._run(packed(callable, args, kwargs, self._state.protocol))
            return result
        from chopsticks._stream import Input, caused, taken_input

        items = taken_input(input, kwargs)
        operation = packed(callable, args, kwargs, self._state.protocol)
        if items is None:
            return self._run(operation)  # type: ignore[no-any-return]
        source = Input(items)
        try:
            source.begin()
            return self._run(operation.reading(source.feeds[0]))  # type: ignore[no-any-return]
        except RemoteException as e:
            raise e from caused(e, source)
        finally:
            # Who handles what was raised may hold on to the operation, and so to its input.
            source.close()

    def stream(
        self, callable: Callable[..., Iterable[T]], /, *args: Any, input: Iterable[Any] | None = None, **kwargs: Any
    ) -> Stream[T]:
        """Calls a function there, and returns an iterator over the items of what it returns, as they come.

        for line in tunnel.stream(follow, '/var/log/syslog'):
            print(line)

        The function may be a generator, an asynchronous generator, or return any other iterable. Nothing is sent before
        the first item is asked for. The generator stands still while nobody takes its items, and is closed when the
        stream is closed or let go. An item is of the types that results have.

        `input` is an iterable of this side, as that of `call`. The function may yield while it reads, so that both
        sides need no more memory for many items than for few.

        Deadlines of the tunnel and of contexts are for all of the stream; `options(item_timeout=…)` is for each item.
        """
        from chopsticks._stream import Input, taken_input

        items = taken_input(input, kwargs)
        return self._stream(callable, args, kwargs, None if items is None else Input(items))

    def _stream(self, callable: Any, args: tuple[Any, ...], kwargs: dict[str, Any], input: Reading | None) -> Stream[Any]:
        from chopsticks._stream import Stream

        source = _chopsticks.Stream(
            [self._open()],
            packed(callable, args, kwargs, self._state.protocol),
            remaining(self._seconds),
            self._item_seconds,
            None if input is None else input.feeds,
        )
        return Stream(source, lambda _, value: value, self._stream_failed, lambda: settle(self._state), input)

    def _stream_failed(self, _: int, error: BaseException) -> Any:
        if isinstance(error, RemoteException) and error.is_lost:
            self._state.is_stale = True
        settle(self._state)
        raise error

    def put(
        self,
        local_path: PathLike,
        remote_path: PathLike | None = None,
        mode: int | None = 0o644,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> dict[str, Any]:
        """Copies a file to the host: under a path, or as a new file in the folder for temporary files.

        `mode` has the permission bits. With `None`, a file that is replaced keeps its own, and a new one gets those of
        the local file. Returns a dict with `remote_path`, `size` and `sha1sum`.

        With `if_changed`, a file that is the same on both sides, in content and permission bits, is not sent, and the
        dict has `changed` too. With `resume`, what has arrived before a transfer was broken off is not sent again.
        """
        done: dict[str, Any] = self._run(Operation.put(local_path, remote_path, mode, if_changed, resume))
        return done

    def fetch(
        self,
        remote_path: PathLike,
        local_path: PathLike | None = None,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> dict[str, Any]:
        """Copies a file from the host: to a path, or to a new file in the folder for temporary files.

        Returns a dict with `local_path`, `remote_path`, `size` and `sha1sum`. `if_changed` and `resume` are as in `put`.
        """
        local = {} if local_path is None else {self.host: local_path}
        done: dict[str, Any] = self._run(Operation.fetch(remote_path, local, if_changed, resume))
        return done

    def put_dir(
        self,
        local_path: PathLike,
        remote_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Copies a folder to the host, with all that is in it.

        With `if_changed`, files that are the same on both sides are not sent. With `delete`, what the other folder has
        beyond this one is removed, once all has arrived. `exclude` has patterns as those of a `.gitignore`: what
        matches is neither sent nor replaced nor removed.

        Returns a dict with `remote_path`, the counts `files`, `folders`, `links` and `left_out` of what was sent, its
        `size`, whether anything was `changed`, how many files were `unchanged`, and the list of what was `deleted`.
        """
        operation = Operation.put_dir(local_path, remote_path, if_changed, delete, patterns(exclude))
        done: dict[str, Any] = self._run(operation)
        return done

    def fetch_dir(
        self,
        remote_path: PathLike,
        local_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Copies a folder from the host, with all that is in it.

        Takes and returns what `put_dir` does, and `local_path`.
        """
        local = {self.host: local_path}
        operation = Operation.fetch_dir(remote_path, local, if_changed, delete, patterns(exclude))
        done: dict[str, Any] = self._run(operation)
        return done

    def close(self) -> None:
        """Disconnects: ends the agent and all that it started. The next use connects again."""
        state = self._state
        with state.lock:
            core, state.core = state.core, None
        if core is not None:
            core.run(CLOSE, remaining(self._seconds))
            finish(state, PATIENCE)

    def options(self: Self, *, timeout: float | None = None, item_timeout: float | None = None) -> Self:
        """The same tunnel, of which each operation may take `timeout` seconds, and each item of a stream `item_timeout`.

        tunnel.options(timeout=5).call(time.time)
        """
        view = self._copy()
        view._seconds = None if timeout is None else checked(float(timeout))
        view._item_seconds = None if item_timeout is None else checked(float(item_timeout))
        return view

    def via(self: Self, parent: BaseTunnel) -> Self:
        """A tunnel to the same place, whose command is run on the host of `parent`.

        Its programs, their configuration and keys are those over there. It is a tunnel of this process as any other.
        """
        other = self._copy()
        other._state, other._parent = State(), parent
        return other

    def _copy(self: Self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def _recipe(self) -> Recipe:
        raise NotImplementedError('%s does not say how its agent is started' % type(self).__name__)

    def _open(self) -> _chopsticks.Core:
        """What connects and calls. It is made of what the attributes say now, unless it may be connected."""
        _codebase.refresh()
        state = self._state
        core = state.core
        if core is not None and not state.is_stale:
            return core
        if is_over:
            raise RuntimeError('tunnels cannot be used any more while Python ends')
        parent = self._parent._open() if self._parent is not None else None
        with state.lock:
            within = None if self.connect_within is None else checked(float(self.connect_within))
            recipe = self._recipe(), parent, self._secrets, (int(self.connect_retries), within)
            config = _codebase.config()
            state.is_stale, state.protocol = False, None
            if state.core is not None:
                if recipe == state.recipe and config is state.config:
                    return state.core
                # What is left of its connection would be in the way of the next.
                state.core.run(CLOSE)
            state.owner, state.recipe, state.config = weakref.ref(self), recipe, config
            name, *arguments = recipe[0]
            if name == 'argv':
                arguments.append(Words(state))
            driver = getattr(Driver, name)(*arguments)
            if state.lines is None:
                state.lines = _chopsticks.Lines(Sink(state))
            core = state.core = _chopsticks.Core(driver, config, state.lines, *recipe[1:])
        _stderr.begin()
        alive.add(state)
        return core

    def _run(self, operation: _chopsticks.Operation) -> Any:
        core, state = self._open(), self._state
        try:
            result = core.run(operation, remaining(self._seconds))
            if state.protocol is None:
                state.protocol = protocol_for(core.python() or (2, 7))
            settle(state)
            return result
        except RemoteException as e:
            if e.is_lost:
                state.is_stale = True
            settle(state)
            raise

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        # A tunnel is an argument as any other: over there it is one of that host. Passwords stay here.
        return {name: value for name, value in self.__dict__.items() if name not in ('_state', '_secrets')}

    def __repr__(self) -> str:
        return '%s(%r)' % (type(self).__name__, self.host)

    def __eq__(self, other: object) -> bool:
        return self.host == other.host if isinstance(other, BaseTunnel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.host)

    # A tunnel is a group of one.

    def _group(self) -> Group:
        from chopsticks.group import Group

        return Group([self])

    def union(self, other: BaseTunnel | Group) -> Group:
        return self._group().union(other)

    def intersection(self, other: BaseTunnel | Group) -> Group:
        return self._group().intersection(other)

    def difference(self, other: BaseTunnel | Group) -> Group:
        return self._group().difference(other)

    def symmetric_difference(self, other: BaseTunnel | Group) -> Group:
        return self._group().symmetric_difference(other)

    def __or__(self, other: BaseTunnel | Group) -> Group:
        return self._group() | other

    def __add__(self, other: BaseTunnel | Group) -> Group:
        return self._group() | other

    def __and__(self, other: BaseTunnel | Group) -> Group:
        return self._group() & other

    def __sub__(self, other: BaseTunnel | Group) -> Group:
        return self._group() - other

    def __xor__(self, other: BaseTunnel | Group) -> Group:
        return self._group() ^ other


class SubprocessTunnel(BaseTunnel):
    """A tunnel through a program that runs Python elsewhere, with its own stdin and stdout as Python's.

    A class of your own has an attribute `host`, and one of two methods. `command(python)` gets the list of words that
    runs the agent, and returns the list of words to run here, such as `['lxc-attach', '-n', self.name, '--'] + python`.
    `cmd_args()` returns all words; those of the agent begin with an interpreter and end in `PYTHON_ARGS`.
    """

    #: The interpreters over there. The one that counts is of the major version that runs here.
    python2 = '/usr/bin/python2'
    python3 = '/usr/bin/python3'
    #: That of this tunnel. `auto` is the first one over there that will do.
    python: str | None = None
    #: What the interpreter gets. Neither shells nor quotes mean anything to it.
    PYTHON_ARGS: list[str] = list(_chopsticks.PYTHON_ARGS)

    def command(self, python: list[str]) -> list[str]:
        """The words to run here, so that `python` is run there."""
        return python

    def cmd_args(self) -> list[str]:
        """The words to run here."""
        return self.command([self._interpreter(), *self.PYTHON_ARGS])

    def _interpreter(self) -> str:
        return self.python or self.python3

    def _recipe(self) -> Recipe:
        own = next(cls for cls in type(self).__mro__ if cls.__module__ == __name__)
        hooks = 'cmd_args', 'command', 'PYTHON_ARGS'
        if own is not SubprocessTunnel and all(getattr(type(self), hook) is getattr(own, hook) for hook in hooks):
            return self._native()
        if self._secrets is not None:
            raise ValueError('%s composes its command itself: programs get passwords only without that' % type(self).__name__)
        return 'argv', self.host

    def _native(self) -> Recipe:
        """What the compiled half makes of the attributes."""
        raise NotImplementedError

    def _prefixed(self, python: list[str]) -> list[str]:
        """The words of the compiled half with `python` in place of its own."""
        name, *arguments = self._native()
        own = 1 + len(_chopsticks.PYTHON_ARGS)
        return [*self._words(name, arguments)[:-own], *python]

    def _words(self, name: str, arguments: list[Any]) -> list[str]:
        words: list[str] = getattr(Driver, name)(*arguments).words()
        return words


class Local(SubprocessTunnel):
    """A process on this host."""

    def __init__(self, name: str = 'localhost', python: str | None = None) -> None:
        self.host, self.python = name, python

    def _native(self) -> Recipe:
        return 'local', self.host, self._interpreter()


class Sudo(SubprocessTunnel):
    """A process of another user on this host. Unless a rule allows it without, sudo gets `password` when it asks.

    That is text, or a function that is called once with the name of the tunnel, by another thread, and returns text.
    """

    def __init__(
        self,
        user: str = 'root',
        name: str | None = None,
        python: str | None = None,
        *,
        password: Password | None = None,
    ) -> None:
        self.user, self.host, self.python = user, name or user + '@localhost', python
        self._secrets = secrets_of(None, password)

    def command(self, python: list[str]) -> list[str]:
        return self._prefixed(python)

    def _native(self) -> Recipe:
        return 'sudo', self.host, self.user, self._interpreter()


class SSHTunnel(SubprocessTunnel):
    """Another host, by the `ssh` of this one, as its user has set that up. It never asks anything on the terminal.

    `user` and `port` go before what the configuration says. With `sudo`, the agent runs as root there.

    ssh gets `password` if it asks for one, and `sudo` over there gets `sudo_password`. Each is text, or a function that
    is called once for each host, with its name, by another thread, and returns text. A password that no host has
    accepted yet goes to one host at a time, and to no further one if that refuses it.
    """

    #: The configuration that is read in place of the user's.
    config_file: str | None = None

    def __init__(
        self,
        host: str,
        user: str | None = None,
        port: int | None = None,
        sudo: bool = False,
        python: str | None = None,
        *,
        password: Password | None = None,
        sudo_password: Password | None = None,
    ) -> None:
        self.host, self.user, self.port, self.sudo, self.python = host, user, port, sudo, python
        self._secrets = secrets_of(password, sudo_password)

    def command(self, python: list[str]) -> list[str]:
        name, *arguments = self._native()
        words = self._words(name, arguments)
        sudo = ['sudo', '--non-interactive', '--set-home', '-u', 'root', '--'] if self.sudo else []
        return [*words[:-1], 'exec ' + ' '.join(map(shlex.quote, sudo + python))]

    def _native(self) -> Recipe:
        port = None if self.port is None else int(self.port)
        return 'ssh', self.host, self.user, port, bool(self.sudo), self.config_file, self._interpreter()


Tunnel = SSHTunnel


class Docker(SubprocessTunnel):
    """A container of its own, which is removed at the end unless `rm` is false. The image has a Python on its `PATH`.

    `args` are further arguments of `docker run`.
    """

    python2 = 'python2'
    python3 = 'python3'
    #: The program of the engine.
    program = 'docker'
    _engine = 'docker'

    def __init__(
        self,
        name: str,
        image: str = 'python:%d.%d' % sys.version_info[:2],
        rm: bool = True,
        python: str | None = None,
        args: Iterable[str] = (),
    ) -> None:
        self.host, self.image, self.rm, self.python, self.args = name, image, rm, python, tuple(args)

    def command(self, python: list[str]) -> list[str]:
        return self._prefixed(python)

    def _native(self) -> Recipe:
        return (
            'container',
            self._engine,
            self.program,
            self.host,
            self.image,
            bool(self.rm),
            tuple(self.args),
            self._interpreter(),
        )


class Podman(Docker):
    """The same by Podman."""

    program = 'podman'
    _engine = 'podman'


class Command(SubprocessTunnel):
    """What a command leads to: any program that runs another, with its own stdin and stdout as the other's.

    The interpreter goes behind the words, or in a line for a shell in place of the word `{}`.

        Command('web-0', ['kubectl', 'exec', '-i', 'web-0', '--'])
    """

    python2 = 'python2'
    python3 = 'python3'

    def __init__(self, name: str, words: Iterable[str], python: str | None = None) -> None:
        if isinstance(words, str):
            raise TypeError('%r is one word: give a list of them' % (words,))
        self.host, self.words, self.python = name, tuple(words), python

    def command(self, python: list[str]) -> list[str]:
        if '{}' not in self.words:
            return [*self.words, *python]
        line = 'exec ' + ' '.join(map(shlex.quote, python))
        return [line if word == '{}' else word for word in self.words]

    def _native(self) -> Recipe:
        return 'command', self.host, self.words, self._interpreter()


def secrets_of(password: Password | None, sudo_password: Password | None) -> _chopsticks.Secrets | None:
    if password is None and sudo_password is None:
        return None
    from chopsticks import _secrets

    return _secrets.secrets_of(password, sudo_password)


def __getattr__(name: str) -> Any:
    # When it is first asked for: few programs need any of these.
    if name in __all__:
        from chopsticks import _programs

        return getattr(_programs, name)
    raise AttributeError("module 'chopsticks.tunnel' has no attribute %r" % name)


#: What may be connected.
alive: weakref.WeakSet[State] = weakref.WeakSet()


@atexit.register
def close_all() -> None:
    """Closes all tunnels when Python ends, and then lets nothing of this package run that could use it."""
    global is_over
    end = _stderr.last_call = monotonic() + PATIENCE
    cores = []
    for state in list(alive):
        core, state.core = state.core, None
        if core is not None:
            cores.append(core)
    try:
        _chopsticks.close_all(cores)
        for state in list(alive):
            finish(state, max(0.0, end - monotonic()))
    finally:
        _chopsticks.stop_lines()
        _chopsticks.stop_engine()
        is_over = True


def before_fork() -> None:
    """Lets no other thread be where a child could not go on."""
    if alive:
        # A thread that is about to import it has a lock, which nobody would release in the child.
        import_module('chopsticks._source')
    _chopsticks.stop_engine()


def after_fork_in_child() -> None:
    """A child has tunnels of its own: the agents are the parent's."""
    for descriptor in _chopsticks.forget_engine():
        # As long as this one has it too, the agent does not learn that the parent has closed it.
        os.close(descriptor)
    _codebase.after_fork_in_child()
    _stderr.after_fork_in_child()
    for state in list(alive):
        core, state.core = state.core, None
        state.lines, state.lock = None, RLock()
        if core is not None:
            core.forget()


os.register_at_fork(
    before=before_fork,
    after_in_parent=_chopsticks.resume_engine,
    after_in_child=after_fork_in_child,
)
