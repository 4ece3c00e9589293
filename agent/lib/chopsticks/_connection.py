"""One connection to an inner agent. This process is its controller, and does not trust anything that it sends."""
import errno
import fcntl
import marshal
import os
import select
import struct
import zlib

from chopsticks import _agent, _marshal, _serving
from chopsticks._agent import agent, allocate_lock, inner, native, sleep, spawning, start_new_thread, text, time
from chopsticks._constants import (
    ANSWER_TIME, BYTES, CANCEL, CREDIT, DATA, END, EXTEND, FAIL, FRAME, GRACE, HELLO, IMPORT, MARSHAL, MAX_ABANDONED,
    MAX_CREDIT, MAX_FRAME, MAX_NOISE, MAX_PING, MAX_REQUEST, MAX_REQUESTS, MODULES, MORE, PENCODE, PING, PONG,
    REFUSAL_ENDS, REFUSALS, REPLY, RESET, RESOURCE, START, VERSION)
from chopsticks._errors import Disconnected, RemoteException
from chopsticks._first_stage import TEXT
from chopsticks._stderr import Lines

HEADER = agent['HEADER']
NUMBER = struct.Struct('>L')
NOTHING = marshal.dumps(None, 2)
program = []        # the first stage, the packed agent


class Malformed(Exception):
    """The other side does not keep to the protocol."""
    __slots__ = ()


def packed():
    if not program:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = deflate.compress(b'\0'.join(agent['parts'])) + deflate.flush()
        program.extend((TEXT.replace('SIZE', str(len(data))), data))
    return program


def frame(request, operation, form, payload):
    return HEADER.pack(len(payload), request, operation, form) + payload


def forget_all():
    """In a forked process: what is written there goes to nobody, and nobody must wait for it to end."""
    for connection in list(inner.values()):
        connection.closed = True
        connection.error = Disconnected('this process was forked from its agent', connection.host)
        connection.let_go()
    inner.clear()


def end_all():
    """The agent ends. Takes no lock: this may be a signal that came in the middle of anything."""
    for connection in list(inner.values()):
        connection.let_go()


agent['on_fork'].append(forget_all)
agent['on_end'].append(end_all)


class Slot(object):
    """A request, and what becomes of it."""

    def __init__(self, wait):
        self.wait = wait
        self.request = 0
        self.answer = None      # (operation, format, payload), or an exception
        self.stream = None
        self.cancelled = False

    def set(self, answer):
        self.answer = answer
        if self.stream and (isinstance(answer, Exception) or answer[0] == FAIL):
            self.stream.on(CANCEL, b'')
        self.wait.ring()

    def is_answered(self):
        return self.answer is not None


class Connection(object):
    """Anybody may send: what the pipe takes at once is written at once, the rest by a thread. Another thread reads."""

    def __init__(self, host, argv, options, timeout, clean_up=None, environment=None, is_quiet=None):
        self.host, self.timeout, self.clean_up, self.argv = host, timeout, clean_up, argv
        self.lock = allocate_lock()         # guards the requests, what waits to be written, and how it ended
        self.writing = allocate_lock()
        self.reaping = allocate_lock()
        self.queue, self.rest = [], b''
        self.slots, self.streams, self.asked, self.partial = {}, {}, set(), {}
        self.number = self.pongs = self.abandoned = 0
        self.sent = set()                   # modules that the agent has
        self.extended = False
        self.error = self.hello = None
        self.closing = self.closed = self.done = False
        self.buf = bytearray()
        self.lines = Lines(host, is_quiet and (lambda: is_quiet(argv, environment)))
        self.nonce = os.urandom(16)
        self.waits_for_hello = []
        self.program = os.path.basename(native(argv[0]))
        self.limit = agent['limit']
        self.spawn(argv, environment)
        start = struct.pack('>H16sQ', VERSION, self.nonce, self.limit) + marshal.dumps(options, 2)
        names = [text(name) for name in agent['listing'].get('', ())]
        roots = agent['modules'].get('', (2, None))[1]
        listing = marshal.dumps([(u'', 2, roots, None, names)], 2)
        extension = frame(0, EXTEND, 0, agent['onward']) if 'onward' in agent else b''
        self.queue.append(packed()[1] + frame(0, START, 0, start) + extension + frame(0, MODULES, MARSHAL, listing))
        start_new_thread(self.run, ())

    def spawn(self, argv, environment):
        # Not before: it takes longer to import than an agent to start.
        from subprocess import PIPE, Popen
        # While it is not known yet, the cancel of another call takes its process for one of that.
        start = object()
        spawning.append(start)
        try:
            self.process = Popen(
                argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, close_fds=True, bufsize=0, env=environment)
            inner[self.process.pid] = self
        except (EnvironmentError, TypeError, ValueError) as e:
            # Not in its own words: some versions tell which file, and some do not.
            why = os.strerror(e.errno) if getattr(e, 'errno', None) else e
            raise Disconnected('spawn: %s: %s' % (native(argv[0]), why), self.host)
        finally:
            spawning.remove(start)
        self.fd = self.process.stdin.fileno()
        fcntl.fcntl(self.fd, fcntl.F_SETFL, os.O_NONBLOCK)

    # Writing.

    def open(self, operation, form, payload, wait, stream=None):
        """Sends a request; its answer comes into the slot that is returned."""
        slot = Slot(wait)
        if self.abandoned >= MAX_ABANDONED:
            what = '%d cancelled calls have not ended, which is the limit' % MAX_ABANDONED
            if all(other.cancelled for other in list(self.slots.values())):
                # Nobody waits for anything: the next use connects again.
                self.lose(what)
            raise RemoteException(what, self.host)
        with self.lock:
            if self.error:
                raise self.error.copy()
            self.number += 2
            slot.request = self.number
            self.slots[slot.request] = slot
            if stream:
                slot.stream = self.streams[slot.request] = stream(slot.request)
            self.queue.append([slot.request, operation, form, memoryview(payload), False])
        self.pump()
        return slot

    def notice(self, operation, form, payload):
        with self.lock:
            self.queue.append([0, operation, form, memoryview(payload), False])
        self.pump()

    def send(self, request, operation, form, payload):
        """Sends one frame."""
        stream = self.streams.get(request)
        if operation == CREDIT and stream:
            stream.owed = getattr(stream, 'owed', 0) + NUMBER.unpack(payload)[0]
        with self.lock:
            self.queue.append(frame(request, operation, form, payload))
        self.pump()

    def send_data(self, request, view, file=None, at=0):
        # The pages of a file are no shorter way to what waits here.
        self.send(request, DATA, 0, view.tobytes())

    def cancel(self, slot):
        """Cancels a request. What comes of it is of no interest any more."""
        with self.lock:
            self.streams.pop(slot.request, None)
            if slot.cancelled or slot.request not in self.slots:
                return
            slot.cancelled = True
            for message in self.queue:
                if type(message) is list and message[0] == slot.request:
                    self.queue.remove(message)
                    if not message[4]:
                        # The agent knows nothing of it.
                        del self.slots[slot.request]
                        return
                    break
            slot.wait = _agent.Wait()
            self.queue.append(frame(slot.request, CANCEL, 0, b''))
        self.pump()
        start_new_thread(self.await_end_of, (slot,))

    def await_end_of(self, slot):
        end = time() + GRACE
        while not slot.answer and time() < end:
            sleep(.05)
        if slot.answer:
            return
        # It is abandoned: it keeps its number until it ends. But an agent that does nothing at all is given up.
        with self.lock:
            self.abandoned += 1
            pongs = self.pongs
        self.send(0, PING, 0, b'')
        end = time() + ANSWER_TIME
        while not slot.answer and self.pongs == pongs and time() < end:
            sleep(.05)
        if not slot.answer and self.pongs == pongs:
            self.lose('no answer to a ping')
            self.finish(0)
        slot.wait.until(slot.is_answered)
        with self.lock:
            self.abandoned -= 1

    def pump(self):
        """Writes what waits, as far as the pipe takes it at once. Never waits: the reader does this too."""
        while (self.queue or self.rest or self.closing) and not self.closed:
            if not self.writing.acquire(False):
                # Whoever has it looks again.
                return
            if not self.write():
                start_new_thread(self.drain, ())
                return
            self.writing.release()

    def drain(self):
        """Writes the rest, when the pipe takes it."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while not self.write():
            try:
                # Not longer, so that one that is to be closed is.
                poll.poll(100)
            except (EnvironmentError, select.error):
                pass
        self.writing.release()
        self.pump()

    def write(self):
        """Returns whether all is written, or never will be."""
        while not self.closed:
            if self.closing:
                self.closed = True
                self.let_go()
                break
            if not self.rest:
                self.rest = self.next_frame()
                if not self.rest:
                    break
            try:
                self.rest = self.rest[os.write(self.fd, self.rest):]
            except EnvironmentError as e:
                if e.errno == errno.EAGAIN:
                    return False
                if e.errno != errno.EINTR:
                    # The reader will tell why.
                    self.closing = True
        return True

    def next_frame(self):
        with self.lock:
            if not self.queue:
                return b''
            message = self.queue.pop(0)
            if type(message) is bytes:
                return message
            request, operation, form, view, _ = message
            if len(view) <= FRAME:
                # An answer is owed until it is written: who asks and does not read comes to an end.
                self.asked.discard(request)
                return frame(request, operation, form, view.tobytes())
            message[3], message[4] = view[FRAME:], True
            # Messages take turns, but for notices: two of one kind must not mix.
            self.queue.insert(len(self.queue) if request else 0, message)
            return frame(request, operation, form | MORE, view[:FRAME].tobytes())

    def let_go(self):
        try:
            self.process.stdin.close()
        except EnvironmentError:
            pass

    # Reading.

    def run(self):
        """Reads all that the agent sends. Waits for nothing but its pipes."""
        self.pump()
        try:
            self.read()
            status = self.status(1)
            self.lose('%s %s' % (self.program, status))
            self.finish(GRACE if status == 'closed its output' else 0)
        except Malformed as e:
            self.lose('protocol error: %s' % e, None)
            self.finish(0)
        except Exception as e:
            self.lose('%s: %s' % (type(e).__name__, e), None)
            self.finish(0)
        inner.pop(self.process.pid, None)
        for pipe in self.process.stdout, self.process.stderr:
            pipe.close()
        if self.clean_up and self.poll() != 0:
            self.clean_up(self.argv)
        self.done = True

    def read(self):
        out, err = self.process.stdout.fileno(), self.process.stderr.fileno()
        poll = select.poll()
        for fd in out, err:
            poll.register(fd, select.POLLIN)
        left, deadline, over = {out, err}, time() + self.timeout, None
        while left and not (over and time() > over):
            # Something that the agent has left behind may hold both, or the one, and go on to write there.
            patience = GRACE * 1000 if self.hello or self.error else max(0, int((deadline - time()) * 1000))
            if not over and out not in left:
                over = time() + 1
            if not over and self.error and self.poll() is not None:
                over = time() + GRACE
            if over:
                patience = 200
            try:
                ready = poll.poll(patience)
            except (EnvironmentError, select.error) as e:
                if e.args[0] != errno.EINTR:
                    raise
                continue
            if not ready and out not in left:
                break
            # What came before the answer was most likely written before it.
            for fd, _ in sorted(ready, key=lambda pair: pair[0] != err):
                data = os.read(fd, 1 << 16)
                if not data:
                    poll.unregister(fd)
                    left.discard(fd)
                    if fd == err:
                        self.lines.end()
                elif fd == err:
                    # An agent that is closed before it is whole says so.
                    if self.hello or not self.error:
                        self.lines.feed(data)
                else:
                    self.feed(data)
            if not self.hello and not self.error and time() > deadline:
                raise Malformed('no agent answered within %g s%s' % (self.timeout, self.noise()))

    def feed(self, data):
        self.buf += data
        if self.hello is None:
            at = self.buf.find(self.nonce)
            if at < 0:
                if len(self.buf) > MAX_NOISE:
                    raise Malformed('more than %d bytes came, and no agent answered%s' % (MAX_NOISE, self.noise()))
                return
            del self.buf[:at + len(self.nonce)]
            self.hello = ()
            self.lines.answered()
        at = 0
        while len(self.buf) - at >= 10:
            size, request, operation, flags = HEADER.unpack(bytes(self.buf[at:at + 10]))
            if size > MAX_FRAME or flags & 0x70 or flags & 15 > BYTES:
                raise Malformed('a frame of %d bytes with flags 0x%02x' % (size, flags))
            if len(self.buf) - at < 10 + size:
                break
            self.got(request, operation, flags, bytes(self.buf[at + 10:at + 10 + size]))
            at += 10 + size
        del self.buf[:at]

    def noise(self):
        return '; it printed %r' % native(text(bytes(self.buf[:200]).decode('latin-1'))) if self.buf else ''

    def got(self, request, operation, flags, payload):
        if not self.hello:
            if operation != HELLO or request:
                raise Malformed('operation 0x%02x before HELLO' % operation)
            self.welcome(flags, payload)
        elif operation in (0x2e, 0x2f) and 'onward' in agent:
            self.pass_on(request, operation, flags, payload)
        elif operation in (REPLY, FAIL, IMPORT, RESOURCE):
            self.join(request, operation, flags, payload)
        elif flags & MORE:
            raise Malformed('operation 0x%02x in several frames' % operation)
        elif operation == PING and not request and len(payload) <= MAX_PING:
            with self.lock:
                if sum(type(message) is bytes and message[8:9] == b'\7' for message in self.queue) > 16:
                    raise Malformed('more PING than answers can be sent')
            self.send(0, PONG, 0, payload)
        elif operation == PONG:
            self.pongs += 1
        elif operation == CANCEL and request & 1:
            pass
        elif operation in (DATA, END, CREDIT, RESET) and request and not request & 1 and request <= self.number:
            self.got_stream(request, operation, payload)
        else:
            raise Malformed('operation 0x%02x for request %d' % (operation, request))

    def welcome(self, flags, payload):
        if len(payload) < 2 or struct.unpack('>H', payload[:2])[0] != VERSION or flags & MORE:
            raise Malformed('HELLO of another version')
        hello = self.value(flags & 15, payload[2:])
        python = hello.get(u'python') if type(hello) is dict else None
        if type(python) is not list or [type(n) for n in python] != [int] * 3:
            raise Malformed('HELLO without a version of Python')
        with self.lock:
            self.hello = hello
            waits, self.waits_for_hello = self.waits_for_hello, []
        for wait in waits:
            wait.ring()

    def value(self, form, payload):
        if form == BYTES:
            return payload
        from chopsticks.pencode import pdecode
        try:
            if form == MARSHAL:
                return _marshal.loads(payload)
            if form == PENCODE:
                return pdecode(payload)
        except ValueError as e:
            raise Malformed('a value that cannot be read: %s' % e)
        raise Malformed('a value without a format')

    def join(self, request, operation, flags, payload):
        """Takes a frame of a message."""
        is_answer = operation in (REPLY, FAIL)
        key = request, operation
        if is_answer and request not in self.slots:
            raise Malformed('an answer to request %d, which does not await one' % request)
        if not is_answer and not request & 1:
            raise Malformed('a request with number %d' % request)
        pieces = self.partial.get(key)
        if pieces is None and not is_answer:
            if request in self.asked:
                raise Malformed('request %d a second time' % request)
            if len(self.asked) >= MAX_REQUESTS:
                raise Malformed('more than %d requests' % MAX_REQUESTS)
            self.asked.add(request)
        if flags & MORE or pieces:
            pieces = self.partial.setdefault(key, [flags & 15, 0])
            pieces[1] += len(payload)
            if pieces[0] != flags & 15 or pieces[1] > (self.limit if is_answer else MAX_REQUEST):
                raise Malformed('a message of more than %d bytes' % (pieces[1] - 1))
            pieces.append(payload)
            if flags & MORE:
                return
            payload = b''.join(self.partial.pop(key)[2:])
        if is_answer:
            self.partial.pop((request, REPLY), None)
            with self.lock:
                slot = self.slots.pop(request)
            slot.set((operation, flags & 15, payload))
            return
        question = self.value(flags & 15, payload)
        name = question[0] if type(question) is tuple and question else question
        found = operation == IMPORT and type(name) is type(u'') and _serving.cached(native(name))
        if found:
            self.answer(request, native(name), found)
        else:
            # One that waits must not be this one, which reads what others wait for.
            start_new_thread(self.look_up, (request, operation, question, name))

    def pass_on(self, request, operation, flags, payload):
        """Sends to the controller what was printed or logged there."""
        agent['part']('telling')
        if flags & MORE or request and not request & 1 or not agent['tell_onward'](
                text(self.host), operation, self.value(flags & 15, payload)):
            raise Malformed('invalid output')
        if request:
            self.send(request, REPLY, MARSHAL, NOTHING)

    def look_up(self, request, operation, question, name):
        self.answer(request, native(name) if operation == IMPORT else None, _serving.answer(operation, question))

    def answer(self, request, name, found):
        operation, form, payload = found
        with self.lock:
            # Not what there is not: names of that are without end.
            if operation == REPLY and name and payload != NOTHING:
                self.sent.add(name)
            self.queue.append([request, operation, form, memoryview(payload), False])
        self.pump()

    def got_stream(self, request, operation, payload):
        stream = self.streams.get(request)
        if operation == CREDIT and len(payload) != 4 or operation in (END, RESET) and len(payload) not in (0, 4):
            raise Malformed('operation 0x%02x with %d bytes' % (operation, len(payload)))
        slot = self.slots.get(request)
        if operation == DATA and payload and slot and not slot.stream and not slot.cancelled:
            raise Malformed('bytes of a stream that were not asked for')
        if not stream or operation == END and stream.ended:
            # Credit that is given after the end is answered with another, a broken-off one.
            return
        if operation == DATA:
            stream.owed = getattr(stream, 'owed', 0) - len(payload)
            if stream.owed < 0:
                raise Malformed('more bytes of a stream than were asked for')
        elif operation == CREDIT and stream.credit + NUMBER.unpack(payload)[0] > MAX_CREDIT:
            raise Malformed('more credit than there may be')
        stream.on(operation, payload)

    # The end.

    def lose(self, what, ask=True):
        """Fails all that is under way, and all that is still to come. Only the first reason counts."""
        phase = 'connection' if self.hello else 'handshake'
        if ask and self.hello is None:
            what += self.noise()
        said = self.lines.last()
        what = '%s: %s%s' % (phase, what, ': ' + said if said else '')
        error = Disconnected(what, self.host)
        error.is_connected = bool(self.hello)
        error.is_refused = self.hello is None and self.is_refused()
        self.fail(error)

    def is_refused(self):
        """Whether ssh says that the server has dropped it unseen: too many others were not yet logged in."""
        return any(line.startswith(REFUSALS) and line.endswith(REFUSAL_ENDS) for line in self.lines.tail)

    def fail(self, error):
        with self.lock:
            if not self.error:
                self.error = error
            slots, self.slots = list(self.slots.values()), {}
            waits, self.waits_for_hello = self.waits_for_hello, []
            streams, self.streams = list(self.streams.values()), {}
            self.partial.clear()
            del self.queue[:]
            self.closing = True
        for slot in slots:
            slot.set(self.error)
        for stream in streams:
            # Also those whose request has been answered.
            stream.on(CANCEL, b'')
        for wait in waits:
            wait.ring()
        self.pump()

    def close(self):
        """Ends the agent and all that it started, and waits for that."""
        self.fail(Disconnected('closed', self.host))
        self.finish(GRACE)
        # Its pipes are open until all that it started has ended.
        end = time() + GRACE
        while not self.done and time() < end:
            sleep(.002)

    def finish(self, grace):
        """Ends the process: by itself within the grace, then as a request, then by force."""
        for number, patience in (0, grace), (15, 2), (9, 5):
            if number:
                self.kill(number)
            end, nap = time() + patience, .001
            while 1:
                if self.poll() is not None:
                    return
                if time() > end:
                    break
                sleep(nap)
                nap = min(nap * 2, .02)

    def poll(self):
        with self.reaping:
            return self.process.poll()

    def kill(self, number):
        with self.reaping:
            try:
                if self.process.poll() is None:
                    self.process.send_signal(number)
            except EnvironmentError:
                # Of another user, as with sudo: it ends by itself when its stdin does.
                pass

    def status(self, patience):
        """How the process ended."""
        end = time() + patience
        while self.poll() is None:
            if time() > end:
                return 'closed its output'
            sleep(.005)
        code = self.process.returncode
        return 'was killed by signal %d' % -code if code < 0 else 'exited with %d' % code
