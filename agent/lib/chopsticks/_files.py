"""Files between this host and one at the other end of a tunnel: docs/wire.md, sections 7 and 8.

At this end the agent's own code for files runs in a separate namespace, with handlers of its own: the agent's serve
its controller.
"""
import binascii
import marshal
import os

from chopsticks import _serving
from chopsticks._agent import OLD, agent, allocate_lock, native
from chopsticks._connection import Malformed
from chopsticks._constants import CANCEL, END, EXTEND, FETCH, MARSHAL, PUT
from chopsticks._errors import RemoteException

PARTS = 'stream', 'targets', 'files'
spaces = []         # the namespace with these parts of the agent, once there is one
making = allocate_lock()


def ready():
    with making:
        if not spaces:
            space = dict(agent, handlers={}, on_read=[])
            for name in PARTS:
                exec(compile(_serving.part(name), 'chopsticks/%s.py' % name, 'exec'), space)
            spaces.append(space)
    return spaces[0]


def path_bytes(path):
    if isinstance(path, bytes):
        return path
    return path.encode('utf-8') if OLD else os.fsencode(path)


def path_text(path):
    """A path as results have it: text wherever it can be."""
    return path if OLD else os.fsdecode(path)


def begin(tunnel, wait, connection, operation, options):
    """Sends a request with streams; returns its slot."""
    files = ready()
    sources = b''.join(_serving.part(name) for name in PARTS)
    with connection.lock:
        new, connection.extended = not connection.extended, True
        if new:
            # Under the lock, so that it goes ahead of all requests that need it.
            connection.queue.append([0, EXTEND, 0, memoryview(sources), False])
    slot = connection.open(
        operation, MARSHAL, marshal.dumps(options, 2), wait,
        lambda request: files['Stream'](request, connection.send, connection.send_data))
    wait.on_stop = lambda: slot.stream.on(CANCEL, b'')
    if wait.stopped:
        # In between.
        wait.on_stop()
    return slot


def transfer(tunnel, wait, connection, slot, work):
    """Returns what `work` does and the answer. Whatever goes wrong, the agent hears that it need not go on."""
    stopped = ready()['Stopped']
    try:
        try:
            result = work(slot.stream)
        except stopped:
            wait.check()
            if not slot.answer:
                raise RemoteException('the transfer was broken off', tunnel.host)
            result = None
        answer = tunnel._answer(wait, connection, slot)
    except ValueError as e:
        # What comes is not what a file is sent as.
        raise Malformed(str(e))
    finally:
        wait.on_stop = None
        if not slot.answer:
            connection.cancel(slot)
        connection.streams.pop(slot.request, None)
    if result is None:
        raise RemoteException('the transfer was broken off', tunnel.host)
    if type(answer) is not dict or type(answer.get(u'path')) is not bytes:
        raise Malformed('an answer that does not describe a file')
    return result, answer


def described(answer, size, sha1):
    return {'remote_path': path_text(answer[u'path']), 'size': int(size),
            'sha1sum': native(binascii.hexlify(sha1.digest()).decode('ascii'))}


def named(error, path):
    """The error of a file here, which says which."""
    error.filename = path_text(error.filename if isinstance(error.filename, bytes) else path)
    return error


def put(tunnel, wait, connection, local_path, remote_path, mode):
    files, local = ready(), os.path.abspath(path_bytes(local_path))
    try:
        fd, info = files['open_source'](local)
    except EnvironmentError as e:
        raise named(e, local)
    try:
        slot = begin(tunnel, wait, connection, PUT, {
            u'path': bytearray(path_bytes(remote_path or b'')), u'name': bytearray(os.path.basename(local)),
            u'mode': None if mode is None else mode & 0o7777, u'owner': None,
            u'default': info.st_mode & 0o777 if remote_path else 0o600,
            u'modified': None, u'replace': True, u'sync': True})

        def send(stream):
            output = files['Output'](stream, 0)
            try:
                sent = files['send_content'](output, fd, info)
            except EnvironmentError as e:
                raise named(e, local)
            output.flush()
            connection.send(slot.request, END, 0, b'')
            return sent
        (size, sha1), answer = transfer(tunnel, wait, connection, slot, send)
    finally:
        os.close(fd)
    if (answer.get(u'size'), answer.get(u'sha1')) != (size, sha1.digest()):
        raise RemoteException('the checksums differ', tunnel.host)
    return described(answer, size, sha1)


def fetch(tunnel, wait, connection, remote_path, local_path):
    files, remote = ready(), path_bytes(remote_path)
    given = path_bytes(local_path) if local_path else files['temporary_path']()
    local = os.path.abspath(given)
    try:
        local = files['place_of'](given, local, os.path.basename(remote.rstrip(b'/')))
        target = files['open_target'](local, bool(local_path), None, None, wait.check)
    except EnvironmentError as e:
        raise named(e, local)
    try:
        slot = begin(tunnel, wait, connection, FETCH, {
            u'path': bytearray(remote), u'limit': 0, u'folder': False})

        def receive(stream):
            source = files['Input'](stream)
            received = files['receive'](source, target)
            source.finish()
            return received
        (size, sha1), answer = transfer(tunnel, wait, connection, slot, receive)
        if (answer.get(u'size'), answer.get(u'sha1')) != (size, sha1.digest()):
            raise RemoteException('the checksums differ', tunnel.host)
        mode = answer.get(u'mode')
        if not isinstance(mode, int):
            raise Malformed('an answer that does not describe a file')
        target.finish((mode & 0o777 if local_path else 0o600) & ~files['umask'](), None, True)
    except EnvironmentError as e:
        raise named(e, local)
    finally:
        target.close()
    return dict(described(answer, size, sha1), local_path=path_text(local))
