"""The stderr of inner agents, which goes to the stderr of this agent line by line, with their names in front."""
import errno
import os
import select

from chopsticks._agent import allocate_lock, native, text

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
    def __init__(self, host):
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
            tell(b''.join(self.prefix + line + b'\n' for line in lines))

    def end(self):
        if self.rest:
            self.feed(b'\n')

    def last(self):
        return '\n'.join(line for line in self.tail if line)
