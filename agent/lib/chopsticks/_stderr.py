"""The stderr of inner agents, which goes to the stderr of this agent line by line, with their names in front."""
import errno
import os
import select

from chopsticks._agent import allocate_lock, native, start_new_thread, text

# Longer lines come in pieces, and the last ones are kept for errors.
LONGEST, KEPT = 1 << 16, 20
telling = allocate_lock()


def tell(data):
    with telling:
        while data:
            try:
                data = data[os.write(2, data):]
            except EnvironmentError as e:
                if e.errno == errno.EAGAIN:
                    poll = select.poll()
                    poll.register(2, select.POLLOUT)
                    poll.poll()
                elif e.errno != errno.EINTR:
                    return


class Lines(object):
    """With `is_quiet`, what comes before the agent has answered is held, and then shown unless `is_quiet()`."""

    def __init__(self, host, is_quiet=None):
        self.is_quiet, self.lock = is_quiet, allocate_lock()
        self.held = [] if is_quiet else None
        name = ''.join(c if c >= ' ' else '?' for c in host)
        self.prefix = b'[' + text(name).encode('utf-8') + b'] '
        self.tail, self.rest = [], b''

    def feed(self, data):
        lines = (self.rest + data).split(b'\n')
        self.rest = lines.pop()
        while len(self.rest) > LONGEST:
            lines.append(self.rest[:LONGEST])
            self.rest = self.rest[LONGEST:]
        if lines:
            self.tail = (self.tail + [native(line[:500].decode('utf-8', 'replace')).strip()
                                      for line in lines[-KEPT:]])[-KEPT:]
            told = b''.join(self.prefix + line + b'\n' for line in lines)
            with self.lock:
                if self.held is None:
                    tell(told)
                else:
                    self.held.append(told)

    def answered(self):
        """What comes from here on is always shown."""
        is_quiet, self.is_quiet = self.is_quiet, None
        if is_quiet and self.held:
            # A program is asked, and what the agent sends is not to wait for that.
            start_new_thread(self.let_go, (len(self.held), is_quiet))
        elif is_quiet:
            self.held = None

    def let_go(self, count, is_quiet):
        hidden = count if is_quiet() else 0
        with self.lock:
            held, self.held = self.held[hidden:], None
            tell(b''.join(held))

    def end(self):
        if self.rest:
            self.feed(b'\n')
        self.answered()

    def last(self):
        return '\n'.join(line for line in self.tail if line)
