"""Plays the controller for an agent under the interpreter that runs the tests."""
import marshal
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PY, LIB = os.path.join(HERE, 'python'), os.path.join(HERE, 'lib', 'chopsticks')
SENT = ('agent', 'overlap', 'rare', 'importer', 'leaving', 'guard', 'ending')
HEADER = struct.Struct('>LLBB')
START, HELLO, REPLY, FAIL, CANCEL, PING, PONG = range(1, 8)
CALL, MODULES, IMPORT, RESOURCE = range(0x20, 0x24)
PENCODE, MARSHAL, BYTES, MORE = 1, 2, 3, 0x80
OLD = sys.version_info < (3,)
PYPY = hasattr(sys, 'pypy_version_info')
# No step of any test takes this long; it turns a hang into a failure.
PATIENCE = 180
PROGRAM = []
FOUND = []


def source(name):
    with open(os.path.join(PY, name + '.py'), 'rb') as f:
        text = f.read()
    return text if name == 'agent' else ('# %s\n' % name).encode() + text


def namespace(*names):
    """The named files, compiled into one namespace as in an agent, without serving."""
    space = {'parts': []}
    for name in ('agent',) + names:
        exec(compile(source(name), name, 'exec'), space)
        space['compiled'].add(name)
    return space


def text(value):
    """What the controller sends, which knows no native strings of 2.7."""
    if isinstance(value, (tuple, list)):
        return type(value)(text(v) for v in value)
    if isinstance(value, dict):
        return dict((text(k), text(v)) for k, v in value.items())
    return value.decode('utf-8') if OLD and isinstance(value, str) else value


def function(body, name='f', values=None, file='source:f'):
    """A call's function that is given as source text."""
    return text((body, name, values or {}, file))


def eventually(condition):
    """Whether `condition` holds before patience ends."""
    end = time.time() + PATIENCE
    while time.time() < end:
        if condition():
            return True
        time.sleep(.01)
    return condition()


def alive(pid):
    """Whether a process runs; one that ended and was not reaped does not."""
    try:
        with open('/proc/%d/stat' % pid, 'rb') as f:
            return f.read().rpartition(b')')[2].split()[0] not in b'ZX'
    except (IOError, OSError):
        return False


def marked(mark):
    """The processes that have `mark` in an argument."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open('/proc/%s/cmdline' % name, 'rb') as f:
                    if mark.encode() in f.read() and alive(int(name)):
                        found.append(int(name))
            except (IOError, OSError):
                pass
    return found


def library():
    """The package `chopsticks` as a codebase, with the module that is made when the agent is built."""
    found = {'chopsticks._first_stage': ("TEXT = '%s'\n" % first_stage()).encode()}
    for folder, _, files in os.walk(LIB):
        for file in files:
            path = os.path.join(folder, file)
            name, ending = os.path.splitext(os.path.relpath(path, os.path.dirname(LIB)))
            if ending == '.py':
                with open(path, 'rb') as f:
                    found[name.replace(os.sep, '.').replace('.__init__', '')] = f.read()
    return found


def interpreters(few=True):
    """This one, and the oldest and newest others that are found: on PATH, those of pyenv, and `CHOPSTICKS_PYTHON`.

    Unless `few` are wanted, all of them.
    """
    if not FOUND or not few:
        root = os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv')
        paths = [os.path.join(folder, name) for folder in os.environ.get('PATH', '').split(':')
                 for name in ('python2.7', 'python3') if 'shims' not in folder]
        paths += [os.path.join(root, 'versions', name, 'bin', 'python') for name in (
            os.listdir(os.path.join(root, 'versions')) if os.path.isdir(os.path.join(root, 'versions')) else ())]
        paths += os.environ.get('CHOPSTICKS_PYTHON', '').split(':')
        versions = {}
        for path in paths:
            if path and os.access(path, os.X_OK):
                run = subprocess.Popen([path, '-S', '-c', 'import sys; print("%d.%03d" % sys.version_info[:2])'],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                version = run.communicate()[0].decode('ascii', 'replace').strip()
                if not run.returncode and (version == '2.007' or version >= '3.004'):
                    versions.setdefault(version, path)
        if not few:
            return list(versions.values())
        threes = sorted(v for v in versions if v > '3')
        FOUND.extend([sys.executable] + [versions[v] for v in sorted(set(
            threes[:1] + threes[-1:] + [v for v in versions if v < '3']))])
    return FOUND


def first_stage():
    with open(os.path.join(PY, 'first_stage.py')) as f:
        return f.read().strip()


def program():
    """The argument of `-c`, and the packed agent for it."""
    if not PROGRAM:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        with open(os.path.join(PY, 'loader.py'), 'rb') as f:
            loader = f.read().replace(b'PIECES', b'1')
        packed = deflate.compress(b'\0'.join([loader] + [source(n) for n in SENT])) + deflate.flush()
        PROGRAM.extend((first_stage().replace('SIZE', str(len(packed))), packed))
    return PROGRAM


class Agent(object):
    """An agent in a subprocess, and the frames to and from it."""

    def __init__(self, codebase=None, limit=1 << 30, step=None, env=None, options=None, slow=0, around=(),
                 roots=(u'/code',), python=sys.executable):
        first, packed = program()
        self.process = subprocess.Popen(
            list(around) + [python, '-s', '-S', '-c', first], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env)
        self.codebase, self.asked, self.errors, self.slow = codebase or {}, [], [], slow
        self.wanted = {}
        self.data = {}      # (package, path) -> content
        self.packages = ()  # those with nothing below
        self.kinds = {}     # name -> kind, where it is another than the names tell
        self.files = {}     # name -> the files of an extension module
        self.writing = threading.Lock()
        self.request = 0
        # An agent ends whatever has its nonce in the environment, so no two may have the same.
        self.nonce = os.urandom(16)
        self.answers = {}
        self.partial = {}
        self.came = threading.Condition()
        self.hello = None
        self.eof = False
        start = struct.pack('>H16sQ', 1, self.nonce, limit) + marshal.dumps(
            dict({u'host': u'test'}, **(options or {})), 2)
        data = packed + HEADER.pack(len(start), 0, START, 0) + start
        for i in range(0, len(data), step or len(data)):
            self.write(data[i:i + (step or len(data))])
        names = sorted(set(n.partition('.')[0] for n in self.codebase))
        if names:
            self.send(0, MODULES, MARSHAL, marshal.dumps([(u'', 2, list(roots), None, [text(n) for n in names])], 2))
        self.threads = [threading.Thread(target=target) for target in (self.read, self.drain)]
        for thread in self.threads:
            thread.daemon = True
            thread.start()

    def write(self, data):
        with self.writing:
            try:
                self.process.stdin.write(data)
                self.process.stdin.flush()
            except ValueError:
                raise IOError('the input of the agent is closed')

    def send(self, request, operation, form, payload):
        self.write(HEADER.pack(len(payload), request, operation, form) + payload)

    def drain(self):
        for line in iter(self.process.stderr.readline, b''):
            self.errors.append(line)

    def read(self):
        fd = self.process.stdout.fileno()
        data = b''
        while self.nonce not in data:
            more = os.read(fd, 65536)
            if not more:
                break
            data += more
        data = data.partition(self.nonce)[2]
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
            if type(name) is tuple:
                name, wanted = name
                self.wanted[name] = wanted
            self.asked.append(name)
            if name.startswith('.'):
                entry = (name, 0, u'', source(name[1:]), [])
            else:
                time.sleep(self.slow)
                entry = self.entry(name)
            try:
                self.send(request, FAIL if type(entry) is dict else REPLY, MARSHAL, marshal.dumps(entry, 2))
            except (IOError, OSError):
                pass
            return
        if operation == RESOURCE:
            content = self.resource(*marshal.loads(payload))
            form = BYTES if type(content) is bytes else MARSHAL
            self.send(request, REPLY, form, content if form == BYTES else marshal.dumps(text(content), 2))
            return
        with self.came:
            if operation == HELLO:
                self.hello = marshal.loads(payload[2:])
            else:
                self.answers[request] = operation, form, payload
            self.came.notify_all()

    def entry(self, name):
        if name[:1] == '/':
            found = self.entry(name.split('/', 2)[2].replace('/', '.'))
            return found and (name,) + found[1:]
        if name in self.files:
            return text({'message': name + ' cannot be sent', 'files': self.files[name]})
        if name not in self.codebase:
            return None
        source = self.codebase[name]
        below = sorted(set(n[len(name) + 1:].partition('.')[0] for n in self.codebase if n.startswith(name + '.')))
        kind = self.kinds.get(name, 2 if source is None else 1 if below or name in self.packages else 0)
        file = u'/code/' + name.replace('.', '/') + (u'/__init__.py' if kind == 1 else u'.py')
        return text((name, kind, file)) + (source, text(below))

    def resource(self, package, path):
        if package[:1] == '/':
            # By where it is, in the one root.
            inner = (package.split('/', 2)[2] + '/' + path).strip('/')
            files = dict(((p.replace('.', '/') + '/' + n).lstrip('/'), c) for (p, n), c in self.data.items())
            for name in self.codebase:
                entry = self.entry(name)
                if type(entry) is tuple and entry[3] is not None:
                    files[entry[2][len('/code/'):]] = entry[3]
            if inner in files:
                return files[inner]
            names = {}
            for file in files:
                if (file + '/').startswith(inner + '/' if inner else ''):
                    name, more, _ = file[len(inner) + 1 if inner else 0:].partition('/')
                    names[name] = bool(more)
            return sorted(names.items()) or None
        if package in self.codebase:
            return self.resource('//' + package.replace('.', '/'), path)

    def call_later(self, function, *args, **kwargs):
        self.request += 2
        self.send(self.request, CALL, MARSHAL, marshal.dumps((text(function), args, text(kwargs) or None), 2))
        return self.request

    def wait(self, ready):
        end = time.time() + PATIENCE
        with self.came:
            while not ready() and not self.eof and time.time() < end:
                self.came.wait(1)
            if not ready():
                raise AssertionError('the agent %s: %r' % ('ended' if self.eof else 'does not answer', self.errors))

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

    def cancel(self, request):
        self.send(request, CANCEL, 0, b'')

    def failure(self, request):
        """The dict of a request that fails; without a type if the transport says so, as of a call that never ran."""
        operation, form, payload = self.answer(request)
        if operation != FAIL:
            raise AssertionError('the call did not fail: %r' % (payload[:100],))
        if not form:
            return {'kind': {b'\1': 'unanswered', b'\2': 'cancelled', b'\3': 'size'}[payload], 'type': None}
        return marshal.loads(payload)

    def fails(self, function, *args, **kwargs):
        return self.failure(self.call_later(function, *args, **kwargs))

    def end_input(self):
        with self.writing:
            self.process.stdin.close()

    def kill(self):
        """Ends the agent, whatever state it is in, and gives it the time to end what it started."""
        try:
            self.end_input()
        except (IOError, OSError):
            pass
        end = time.time() + PATIENCE / 3
        while self.process.poll() is None and time.time() < end:
            time.sleep(.005)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for thread, pipe in zip(self.threads, (self.process.stdout, self.process.stderr)):
            # Something may have been left behind that holds a pipe.
            thread.join(5)
            if not thread.is_alive():
                pipe.close()

    def close(self):
        self.end_input()
        self.wait(lambda: self.eof)
        return self.process.wait()


class Failed(Exception):
    """A FAIL, as its dict."""
    @property
    def info(self):
        return self.args[0]


class Case(unittest.TestCase):
    """A test with agents that end with it."""

    def agent(self, *args, **kwargs):
        agent = Agent(*args, **kwargs)
        self.addCleanup(agent.kill)
        return agent

    def outer(self, source=b'', **kwargs):
        """An agent that can open tunnels, with a module `mine`."""
        modules = dict(library(), mine=source, **kwargs.pop('modules', {}))
        return self.agent(modules, **kwargs)

    def folder(self):
        folder = tempfile.mkdtemp(prefix='chopsticks-')
        self.addCleanup(shutil.rmtree, folder, True)
        return folder
