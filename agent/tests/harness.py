"""Plays the controller for an agent under the interpreter that runs the tests."""
import marshal
import os
import struct
import subprocess
import sys
import threading
import zlib

PY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'py')
SENT = ('agent', 'overlap', 'importer', 'ending')
NONCE = bytes(bytearray(range(16)))
HEADER = struct.Struct('>LLBB')
START, HELLO, REPLY, FAIL, CANCEL, PING, PONG = range(1, 8)
CALL, MODULES, IMPORT = 0x20, 0x21, 0x22
PENCODE, MARSHAL, BYTES, MORE = 1, 2, 3, 0x80
# No step of any test takes this long; it turns a hang into a failure.
PATIENCE = 30


def source(name):
    with open(os.path.join(PY, name + '.py'), 'rb') as f:
        text = f.read()
    return text if name == 'agent' else ('# %s\n' % name).encode() + text


def namespace(*names):
    """The named files, compiled into one namespace as in an agent, without serving."""
    space = {'parts': []}
    for name in ('agent',) + names:
        exec(compile(source(name), name, 'exec'), space)
    return space


class Agent(object):
    """An agent in a subprocess, and the frames to and from it."""

    def __init__(self, codebase=None, limit=1 << 30, step=None, env=None):
        packed = zlib.compress(b'\0'.join(source(n) for n in SENT), 9)
        with open(os.path.join(PY, 'first_stage.py')) as f:
            first = f.read().strip().replace('SIZE', str(len(packed)))
        self.process = subprocess.Popen(
            [sys.executable, '-s', '-S', '-c', first], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env)
        self.codebase, self.asked, self.errors = codebase or {}, [], []
        self.request = 0
        self.answers = {}
        self.partial = {}
        self.came = threading.Condition()
        self.hello = None
        self.eof = False
        start = struct.pack('>H16sQ', 1, NONCE, limit) + marshal.dumps({u'host': u'test'}, 2)
        data = packed + HEADER.pack(len(start), 0, START, 0) + start
        for i in range(0, len(data), step or len(data)):
            self.write(data[i:i + (step or len(data))])
        names = sorted(set(n.partition('.')[0] for n in self.codebase))
        if names:
            self.send(0, MODULES, MARSHAL, marshal.dumps([(u'', 2, None, None, [u'' + n for n in names])], 2))
        for target in self.read, self.drain:
            thread = threading.Thread(target=target)
            thread.daemon = True
            thread.start()

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, request, operation, form, payload):
        self.write(HEADER.pack(len(payload), request, operation, form) + payload)

    def drain(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def read(self):
        fd = self.process.stdout.fileno()
        data = b''
        while NONCE not in data:
            more = os.read(fd, 65536)
            if not more:
                break
            data += more
        data = data.partition(NONCE)[2]
        while 1:
            while len(data) >= 10:
                size, request, operation, flags = HEADER.unpack(data[:10])
                if len(data) < 10 + size:
                    break
                payload, data = data[10:10 + size], data[10 + size:]
                pieces = self.partial.setdefault((request, operation), [])
                pieces.append(payload)
                if not flags & MORE:
                    del self.partial[request, operation]
                    self.got(request, operation, flags & 15, b''.join(pieces))
            more = os.read(fd, 65536)
            if not more:
                break
            data += more
        with self.came:
            self.eof = True
            self.came.notify_all()

    def got(self, request, operation, form, payload):
        if operation == IMPORT:
            name = marshal.loads(payload)
            self.asked.append(name)
            if name.startswith('.'):
                entry = (name, 0, u'', source(name[1:]), [])
            else:
                entry = self.entry(name)
            self.send(request, REPLY, MARSHAL, marshal.dumps(entry, 2))
            return
        with self.came:
            if operation == HELLO:
                self.hello = marshal.loads(payload[2:])
            else:
                self.answers[request] = operation, form, payload
            self.came.notify_all()

    def entry(self, name):
        if name not in self.codebase:
            return None
        text = self.codebase[name]
        below = sorted(set(n[len(name) + 1:].partition('.')[0] for n in self.codebase if n.startswith(name + '.')))
        kind = 2 if text is None else 1 if below else 0
        return (u'' + name, kind, u'/code/' + name.replace('.', '/') + (u'/__init__.py' if below else u'.py'),
                text, [u'' + n for n in below])

    def call_later(self, function, *args, **kwargs):
        self.request += 2
        self.send(self.request, CALL, MARSHAL, marshal.dumps((function, args, kwargs or None), 2))
        return self.request

    def wait(self, ready):
        with self.came:
            while not ready():
                before = self.eof
                self.came.wait(PATIENCE)
                if self.eof and (before or ready()):
                    break
            if not ready():
                raise AssertionError('the agent ended: %r' % (self.errors,))

    def answer(self, request):
        self.wait(lambda: request in self.answers)
        return self.answers.pop(request)

    def result(self, request):
        operation, form, payload = self.answer(request)
        if operation == FAIL:
            raise Failed(marshal.loads(payload))
        if form == BYTES:
            return payload
        if form == MARSHAL:
            return marshal.loads(payload)
        return namespace('values')['pdecode'](payload)

    def call(self, function, *args, **kwargs):
        return self.result(self.call_later(function, *args, **kwargs))

    def close(self):
        self.process.stdin.close()
        code = self.process.wait()
        self.wait(lambda: self.eof)
        self.process.stdout.close()
        return code


class Failed(Exception):
    """A FAIL, as its dict."""
    @property
    def info(self):
        return self.args[0]
