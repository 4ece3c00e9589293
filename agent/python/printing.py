"""What user code writes to `sys.stdout`, line by line. Asked for when it first does."""
# Longer pieces are cut.
LONGEST_PIECE = 1 << 15


def put(data):
    """Sends bytes that were written; where that cannot be, such as in a forked process, they go to stderr."""
    if over or os.getpid() != PID:
        while data:
            data = data[os.write(2, data):]
    for at in range(0, len(data), LONGEST_PIECE):
        tell(PRINT, {u'text': bytearray(data[at:at + LONGEST_PIECE])})


if OLD:
    class Printed(object):
        """A file for the text and the bytes of Python 2."""
        closed, encoding, errors, mode, name, newlines, softspace = False, 'utf-8', 'strict', 'w', '<stdout>', None, 0

        def __init__(self):
            # Thread -> what it has written of a line.
            self.begun = {}

        def write(self, text):
            if isinstance(text, type(u'')):
                text = text.encode('utf-8')
            elif not isinstance(text, str):
                text = str(buffer(text))  # noqa: F821
            at = text.rfind('\n') + 1 or len(text) > LONGEST_PIECE and len(text)
            me = get_ident()
            if at:
                text, rest = self.begun.pop(me, '') + text[:at], text[at:]
                put(text)
                text = rest
            if text:
                self.begun[me] = self.begun.get(me, '') + text

        def writelines(self, lines):
            for line in lines:
                self.write(line)

        def flush(self):
            put(self.begun.pop(get_ident(), ''))

        def fileno(self):
            return 1

        def isatty(self):
            return False

        def close(self):
            self.flush()
    printed = Printed()
else:
    from io import BufferedIOBase, TextIOWrapper

    class Printed(BufferedIOBase):
        """What is below the file of text: without a lock, which a forked process might find closed for ever."""
        name, mode = '<stdout>', 'wb'
        raw = property(lambda self: self)
        # What has not ended a line.
        begun = []

        def writable(self):
            return True

        def fileno(self):
            return 1

        def write(self, data):
            if self.closed:
                raise ValueError('write to closed file')
            # The memory is the caller's.
            data = memoryview(data).tobytes()
            self.begun.append(data)
            if b'\n' in data or len(data) > 8192 or len(self.begun) > 64:
                self.flush()
            return len(data)

        def flush(self):
            text = []
            try:
                while 1:
                    text.append(self.begun.pop(0))
            except IndexError:
                pass
            put(b''.join(text))
    printed = TextIOWrapper(Printed(), 'utf-8', 'backslashreplace', '\n', True)


def flush_printed():
    """Sends the rest of a line."""
    if get_ident() not in tellers:
        try:
            printed.flush()
        except Exception:
            # Closed by the user, or in the middle of a line.
            pass


on_leave.append(flush_printed)
unused.write, unused.writelines = printed.write, printed.writelines
if sys.stdout is unused:
    sys.stdout = printed
if sys.__stdout__ is unused:
    sys.__stdout__ = printed
