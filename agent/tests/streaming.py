"""Plays the controller of transfers: requests that have streams."""
import hashlib
import marshal
import os
import shutil
import struct
import tempfile

from harness import MARSHAL, OLD, Agent, Case, function, source

DATA, END, CREDIT, RESET = range(8, 12)
PUT, FETCH, EXTEND = 0x24, 0x25, 0x26


class Streaming(Agent):
    """An agent that knows streams, and what has come over them."""

    parts = 'stream', 'targets', 'files', 'folders'

    def __init__(self, *args, **kwargs):
        self.frames = []
        Agent.__init__(self, *args, **kwargs)
        self.send(0, EXTEND, 0, b''.join(source(n) for n in self.parts))

    def got(self, request, operation, form, payload):
        if DATA <= operation <= RESET:
            with self.came:
                self.frames.append((request, operation, payload))
                self.came.notify_all()
        else:
            Agent.got(self, request, operation, form, payload)

    def begin(self, operation, **options):
        self.request += 2
        options = dict((k if not OLD else k.decode(), v) for k, v in options.items())
        self.send(self.request, operation, MARSHAL, marshal.dumps(options, 2))
        return self.request

    def put(self, path, **options):
        return self.begin(PUT, **dict({'path': path, 'mode': None, 'default': 0o644, 'owner': None, 'modified': None,
                                       'replace': True, 'sync': False}, **options))

    def fetch(self, path, **options):
        return self.begin(FETCH, **dict({'path': path, 'limit': 0}, **options))

    def of(self, request, operation):
        return [payload for r, o, payload in list(self.frames) if (r, o) == (request, operation)]

    def credit(self, request):
        return sum(struct.unpack('>L', payload)[0] for payload in self.of(request, CREDIT))


def content(*blocks):
    data = b''.join(blocks)
    return struct.pack('>Q', len(data)) + b''.join(
        struct.pack('>L', len(b)) + b for b in blocks) + struct.pack('>L', 0) + hashlib.sha1(data).digest()


class StreamCase(Case):
    """A test with a folder and agents that know streams."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='chopsticks-').encode()
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, b'file')

    def streaming(self, *args, **kwargs):
        become = kwargs.pop('become', 0)
        agent = Streaming(*args, **kwargs)
        self.addCleanup(agent.kill)
        if become:
            # Modules come first: the interpreter may lie where only root may look.
            agent.call(function(
                'import fcntl, hashlib, os, select\n'
                'def f(user):\n    os.setgroups([])\n    os.setgid(user)\n    os.setuid(user)\n'), become)
        return agent

    def read(self):
        with open(self.path, 'rb') as f:
            return f.read()
