"""Tunnels from this host to others. Each has an agent at its other end, in which functions can be called."""
import os
import sys

import chopsticks
from chopsticks import _calling, _command, _serving
from chopsticks._agent import OLD, agent, allocate_lock, guarded, hosts, native, start_new_thread, text
from chopsticks._connection import Connection, Malformed, packed
from chopsticks._constants import CALL, FAIL, HANDSHAKE_TIMEOUT, MARSHAL, MODULES
from chopsticks._controllers import absent
from chopsticks._errors import DepthLimitExceeded, Disconnected, ErrorResult, RemoteException, Timeout

__all__ = ['BaseTunnel', 'Command', 'DepthLimitExceeded', 'Disconnected', 'Docker', 'ErrorResult', 'Local', 'Podman',
           'RemoteException', 'SSHTunnel', 'SubprocessTunnel', 'Sudo', 'Timeout', 'Tunnel']
# What controllers have besides. Here `Command` does it.
for name in ('Chroot', 'Compose', 'Doas', 'DockerExec', 'Incus', 'Kubectl', 'Lxc', 'Lxd', 'Machine', 'Netns', 'Nsenter',
             'Nspawn', 'PodmanExec', 'Slurm', 'Su'):
    globals()[name] = absent(name)
    __all__.append(name)
# Whether this Python can pickle what has no name.
PICKLES = sys.version_info >= (3, 8)
# How often a server that bears only so many connections at once is tried.
ATTEMPTS = 8


def made_input(kwargs, count=1):
    """What functions are to read, of the keyword arguments of a call; `None` if there is nothing."""
    if kwargs.get('input') is None:
        kwargs.pop('input', None)
        return None
    from chopsticks import _input
    items = _input.taken(kwargs)
    return None if items is None else _input.Input(items, count)


class BaseTunnel(object):
    """A host on which functions can be called. It connects when it is first used, and again after a loss.

    Tunnels are context managers, which close at the end. Any number of threads may use one.
    """
    # Its name: the key of its results in groups.
    host = 'localhost'
    # Seconds until an agent must have answered.
    handshake_timeout = HANDSHAKE_TIMEOUT
    # What to run when the program that led there did not end well, with its words.
    clean_up = is_quiet = None
    # Returns the environment of that program, if it is another than that of this process.
    environment = None

    def __new__(cls, *args, **kwargs):
        # Here, for classes of others need not call our `__init__`.
        self = object.__new__(cls)
        self._connection = None
        self._opening = allocate_lock()
        return self

    def argv(self, arguments):
        """The words of the command that runs Python with `arguments`."""
        raise NotImplementedError

    def connect(self):
        """Connects, unless connected."""
        guarded(self._connect)

    def call(self, callable, *args, **kwargs):
        """Calls a function there and returns its result. An exception becomes a `RemoteException`.

        With the keyword `input`, an iterable of this side, the function gets an iterator over its items as its first
        argument. A thread reads it, as far ahead as the function does. Text and bytes are the function's own `input`.
        """
        source = made_input(kwargs)
        if source:
            return guarded(self._call_reading, callable, args, kwargs, source)
        return guarded(self._call, callable, args, kwargs)

    def stream(self, callable, *args, **kwargs):
        """Calls a function there and iterates over what it yields, as it comes. `input` is as in `call`."""
        source = made_input(kwargs)
        return __import__('chopsticks._items', fromlist='_').Items(self, callable, args, kwargs, source)

    def put(self, local_path, remote_path=None, mode=None):
        """Copies a file to the host: under a path, or as a new file in the folder for temporary files."""
        return guarded(self._put, local_path, remote_path, mode)

    def fetch(self, remote_path, local_path=None):
        """Copies a file from the host: to a path, or to a new file in the folder for temporary files."""
        return guarded(self._fetch, remote_path, local_path)

    def close(self):
        """Disconnects: ends the agent and everything that it started. The next use connects again."""
        guarded(self._close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        connection = self._connection
        if connection and not connection.error and os.getpid() == agent['PID']:
            try:
                start_new_thread(connection.close, ())
            except Exception:
                pass

    def __repr__(self):
        return '%s(%r)' % (type(self).__name__, self.host)

    # A tunnel is a group of one.

    def _as_group(self):
        from chopsticks.group import Group
        return Group([self])

    def union(self, other):
        return self._as_group().union(other)

    def intersection(self, other):
        return self._as_group().intersection(other)

    def difference(self, other):
        return self._as_group().difference(other)

    def symmetric_difference(self, other):
        return self._as_group().symmetric_difference(other)

    __or__ = __add__ = union
    __and__ = intersection
    __sub__ = difference
    __xor__ = symmetric_difference

    # Tunnels with one name are one host to all who collect them.

    def __eq__(self, other):
        return self.host == other.host if isinstance(other, BaseTunnel) else NotImplemented

    def __ne__(self, other):
        return self.host != other.host if isinstance(other, BaseTunnel) else NotImplemented

    def __hash__(self):
        return hash(self.host)

    # The same, for threads that `wait` as they are told.

    def _open(self, wait):
        """The connection, a new one if there is none."""
        self._refuse_forks()
        with self._opening:
            connection = self._connection
            if not connection or connection.error:
                options = agent['options']
                path = hosts() + [self.host]
                # As many as the tunnels to it, from the controller on.
                depth = options.get('depth', 1) + 1
                if depth > chopsticks.DEPTH_LIMIT:
                    raise DepthLimitExceeded('Depth limit of %d exceeded at %s (chopsticks.DEPTH_LIMIT)' % (
                        chopsticks.DEPTH_LIMIT, ' -> '.join(path)))
                words = {u'host': text(self.host), u'hosts': [text(name) for name in path], u'depth': depth,
                         u'depth_limit': chopsticks.DEPTH_LIMIT, u'path': [text(p) for p in options.get('path', ())],
                         u'site': bool(options.get('site')),
                         # Names are for the controller alone: here they are what they are.
                         u'encode': [what for what in options.get('encode', ()) if what == u'objects']}
                if hasattr(self, 'connect_pipes'):
                    # Else the code would run somewhere else than its author thinks.
                    raise TypeError('%s has connect_pipes(), which is not called: give it cmd_args() or command()' % (
                        type(self).__name__))
                argv = self.argv(python_args())
                connection = self._connection = Connection(
                    self.host, argv, words, self.handshake_timeout, self.clean_up,
                    self.environment and self.environment(), self.is_quiet)
        return connection

    def _refuse_forks(self):
        if os.getpid() != agent['PID']:
            raise RemoteException('a process that was forked from an agent has no tunnels', self.host)

    def _attempt(self, wait, work):
        """Returns `work(connection)`; with another connection where a server drops them before it looks at who asks."""
        attempt = 0
        while 1:
            connection = self._open(wait)
            try:
                return work(connection)
            except Malformed as e:
                connection.lose('protocol error: %s' % e, None)
                start_new_thread(connection.finish, (0,))
                raise connection.error.copy()
            except Disconnected as e:
                attempt += 1
                if not e.is_refused or attempt >= ATTEMPTS:
                    raise
            # Not all at once that were dropped together. `random` takes longer to import than an agent to start.
            wait.pause(min(.1 * 2 ** attempt, 4) * (.5 + ord(os.urandom(1)) / 512.))

    def _connect(self, wait):
        def work(connection):
            with connection.lock:
                if not connection.hello:
                    connection.waits_for_hello.append(wait)
            wait.until(lambda: connection.hello or connection.error)
            if connection.error:
                raise connection.error.copy()
        self._attempt(wait, work)

    def _close(self, wait):
        if os.getpid() != agent['PID']:
            return
        with self._opening:
            connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _packed(self, function, args, kwargs):
        """The payload of a call, and the modules that it needs."""
        self._refuse_forks()
        try:
            name, module = _calling.wire_name(function)
            return _calling.packed(name, args, kwargs), [module]
        except TypeError:
            if not PICKLES:
                raise
            return self._pickled(function, args, kwargs)

    def _call(self, wait, function, args, kwargs):
        payload, needed = self._packed(function, args, kwargs)

        def work(connection):
            for module in needed:
                self._send_ahead(connection, module)
            return self._answer(wait, connection, connection.open(CALL, MARSHAL, payload, wait))
        return self._attempt(wait, work)

    def _call_reading(self, wait, function, args, kwargs, source):
        from chopsticks._input import Fed
        from chopsticks._items import FEED, extend
        payload, needed = self._packed(function, args, kwargs)

        def work(connection):
            extend(connection)
            for module in needed:
                self._send_ahead(connection, module)
            slot = connection.open(
                FEED, MARSHAL, payload, wait, lambda request: Fed(source.outlets[0], connection, request))
            try:
                return self._answer(wait, connection, slot)
            finally:
                connection.streams.pop(slot.request, None)
        try:
            source.begin()
            return self._attempt(wait, work)
        except RemoteException as e:
            source.blame(e)
            raise
        finally:
            source.close()

    def _pickled(self, function, args, kwargs):
        """The payload of CALL for what has no name, or is not plain, and the modules that it needs."""
        # By name: these are large, and go to the agents of those alone who need them.
        __import__('chopsticks._source')
        pack = sys.modules['chopsticks._call']
        hello = getattr(self._connection, 'hello', None)
        # Until the agent has said which Python it is, what any can read.
        protocol = pack.protocol_for(hello[u'python']) if hello else 2
        packed = pack.pack(function, args, kwargs, protocol)
        return b''.join(packed.message), packed.modules

    def _answer(self, wait, connection, slot):
        """What comes of a request. One that is not waited for is cancelled."""
        try:
            wait.until(slot.is_answered)
        except BaseException:
            connection.cancel(slot)
            raise
        if isinstance(slot.answer, Exception):
            raise slot.answer.copy()
        operation, form, payload = slot.answer
        try:
            if operation != FAIL:
                return connection.value(form, payload)
            error = _calling.failure(connection, self.host, form, payload)
        except Malformed as e:
            # Such as a whole number that takes too long to read: that concerns this call alone.
            error = RemoteException('the result cannot be encoded: %s' % e, self.host)
        raise error

    def _send_ahead(self, connection, name):
        """Sends the function's module and what it has imported, so far as they are here, unless the agent has them."""
        if not name or name in connection.sent:
            return
        found = _serving.at_hand(name)
        with connection.lock:
            new = [found[n] for n in found if n not in connection.sent]
            connection.sent.update(found)
            connection.sent.add(name)
        if new:
            connection.notice(MODULES, MARSHAL, _serving.marshal.dumps(new, 2))

    def _put(self, wait, local_path, remote_path, mode):
        from chopsticks import _files
        return self._attempt(wait, lambda connection: _files.put(
            self, wait, connection, local_path, remote_path, mode))

    def _fetch(self, wait, remote_path, local_path):
        from chopsticks import _files
        return self._attempt(wait, lambda connection: _files.fetch(self, wait, connection, remote_path, local_path))


def python_args():
    return ['-s', '-S', '-E', '-c', packed()[0]]


class PythonArguments(object):
    """The arguments with which Python becomes an agent, a new list each time: they are known when they are needed."""

    def __get__(self, tunnel, owner):
        return python_args()


class SubprocessTunnel(BaseTunnel):
    """A tunnel through a program that runs Python elsewhere, with its own stdin and stdout as Python's.

    A class of your own has an attribute `host`, and a method `command(python)`: it receives the words that run the
    agent, and returns the words to run here, such as `['lxc-attach', '-n', self.name, '--'] + python`. Or it has
    `cmd_args()`, which returns all words: `super().cmd_args()` with others in front, or an interpreter and
    `PYTHON_ARGS`. `python2` and `python3` are the interpreters on the other host. The one of the version that runs
    this code is used.
    """
    python2 = '/usr/bin/python2'
    python3 = '/usr/bin/python3'
    python = None
    PYTHON_ARGS = PythonArguments()

    def command(self, python):
        return python

    def cmd_args(self):
        """The words of the program that is run here."""
        interpreter = self.python or (self.python2 if OLD else self.python3)
        return self.command([interpreter] + list(self.PYTHON_ARGS))

    def argv(self, arguments):
        words = self.cmd_args()
        if isinstance(words, (type(''), type(u''))) or not all(isinstance(w, (type(''), type(u''))) for w in words):
            raise TypeError('cmd_args() of %s returned %r, not a list of words' % (type(self).__name__, words))
        return list(words)


class Local(SubprocessTunnel):
    """A process on this host, with the interpreter that runs this code unless `python2` or `python3` is set."""
    python2 = sys.executable or SubprocessTunnel.python2
    python3 = sys.executable or SubprocessTunnel.python3

    def __init__(self, name='localhost', python=None):
        self.host, self.python = native(name), python


class Sudo(SubprocessTunnel):
    """A process of another user on this host. sudo is never given a password: a rule has to allow this without one."""

    def __init__(self, user='root', name=None, python=None):
        self.user, self.python = native(user), python
        self.host = native(name or user + '@localhost')

    def command(self, python):
        return _command.sudo(self.user) + python


class SSHTunnel(SubprocessTunnel):
    """Another host, by this host's own `ssh` and the configuration of this user. It never prompts."""
    environment, is_quiet = staticmethod(_command.ssh_environment), staticmethod(_command.is_quiet)

    def __init__(self, host, user=None, port=None, sudo=False, python=None):
        self.host, self.user, self.port, self.sudo, self.python = native(host), user, port, sudo, python

    def command(self, python):
        return _command.ssh(self.host, self.user, self.port, _command.sudo('root') + python if self.sudo else python)


Tunnel = SSHTunnel


class Docker(SubprocessTunnel):
    """A container of its own, which is removed at the end unless `rm` is false. The image has a Python on its `PATH`.

    `program` is the engine's; `podman` takes the same arguments.
    """
    python2, python3 = 'python2', 'python3'
    program = 'docker'
    clean_up = staticmethod(_command.remove_container)

    def __init__(self, name, image=None, rm=True, python=None):
        self.host, self.rm, self.python = native(name), rm, python
        self.image = native(image) if image else 'python:%d.%d' % sys.version_info[:2]

    def command(self, python):
        return _command.container(self.program, self.host, self.image, self.rm, python)


class Podman(Docker):
    """The same by Podman."""
    program = 'podman'


class Command(SubprocessTunnel):
    """What a command leads to. The interpreter goes behind its words, or in a line for a shell in place of `{}`."""
    python2, python3 = 'python2', 'python3'

    def __init__(self, name, words, python=None):
        self.host, self.words, self.python = native(name), [native(word) for word in words], python

    def command(self, python):
        if '{}' not in self.words:
            return self.words + python
        line = 'exec ' + _command.quoted(python)
        return [line if word == '{}' else word for word in self.words]
