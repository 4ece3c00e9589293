"""Transfers of files and folders, in both directions: docs/wire.md, section 8."""

PUT = 0x24
FETCH = 0x25
SIZE = Struct('>Q')
# In place of a block's size: its content is in the base.
COPY = 0xffffffff
RANGE = Struct('>QL')


def whole(number):
    """A number that `marshal` writes in the one form that every reader knows."""
    return long(number) if OLD else number


def new_sha1():
    """The quickest there is. `hashlib` takes milliseconds to import; any may be forbidden or absent."""
    for module, name in ('_hashlib', 'openssl_sha1'), ('_sha1', 'sha1'), ('hashlib', 'sha1'):
        try:
            return getattr(__import__(module), name)()
        except (ImportError, AttributeError, ValueError):
            pass
    raise problem(errno.ENOSYS, 'this Python has no sha1')


def owner_of(text):
    """The numbers of `user`, `user:group` or `:group`, by name or number; -1 for one that is not given."""
    if not text:
        return None
    import grp
    import pwd
    found = []
    for what, name, look in zip(('user', 'group'), (text + ':').split(':'), (pwd.getpwnam, grp.getgrnam)):
        try:
            found.append(-1 if not name else int(name) if name.isdigit() else look(str(name))[2])
        except KeyError:
            raise problem(errno.EINVAL, 'there is no %s %s' % (what, name))
    return found


class Input(object):
    """What the controller sends, read in the sizes that the format asks for."""

    def __init__(self, stream):
        self.stream = stream.read()
        self.view = memoryview(b'')

    def pieces(self, size):
        """Yields the next `size` bytes as they came."""
        while size:
            if not len(self.view):
                self.view = memoryview(next(self.stream, b''))
                if not len(self.view):
                    raise ValueError('the stream ended too soon')
            piece, self.view = self.view[:size], self.view[size:]
            size -= len(piece)
            yield piece

    def take(self, size):
        return b''.join(piece.tobytes() for piece in self.pieces(size))

    def number(self):
        return number_of.unpack(self.take(4))[0]

    def finish(self):
        if len(self.view) or next(self.stream, None) is not None:
            raise ValueError('the stream continues after its end')


def copied(base, at, size):
    """Yields what is in a file from a position on."""
    os.lseek(base, at, 0)
    while size:
        piece = os.read(base, min(size, 1 << 20))
        if not piece:
            raise ValueError('the base is too short')
        size -= len(piece)
        yield memoryview(piece)


def receive(source, target, base=None):
    """Writes the content of a file to `target`; returns its size and checksum, which is the sender's too."""
    sha1, size = new_sha1(), 0
    expected, = SIZE.unpack(source.take(8))
    while 1:
        block = source.number()
        if not block:
            break
        pieces = None
        if block == COPY and base is not None:
            at, block = RANGE.unpack(source.take(12))
            pieces = copied(base, at, block)
        size += block
        for piece in pieces or source.pieces(block):
            sha1.update(piece)
            target.write(piece)
    if sha1.digest() != source.take(20):
        target.part = None
        raise problem(errno.EIO, 'the checksums differ')
    if expected not in (0, size):
        raise ValueError('%d bytes came in place of %d' % (size, expected))
    return size, sha1


def put_file(stream, options, path):
    """Receives a file; returns what the reply says of it."""
    given = path[0] = options['path']
    replace = options['replace'] and given != b''
    path[0] = absolute(given) if given else temporary_path()
    if options.get('parents'):
        make_folder(path[0] if given[-1:] == b'/' else os.path.dirname(path[0]))
    path[0] = place_of(given, path[0], options.get('name') or b'')
    owner = owner_of(options.get('owner'))
    source, base = Input(stream), options.get('base')
    base = open_source(base, False)[0] if base else None
    try:
        target = open_target(path[0], replace, options.get('mode'), owner, stream.check, options.get('part'))
        try:
            size, sha1 = receive(source, target, base)
            source.finish()
            target.finish(options['default'] & ~umask(), options.get('modified'), options['sync'])
            if base is not None and os.path.basename(options['base'])[:17] == SPARE + b'part-':
                unlink(options['base'])
        finally:
            target.close()
    finally:
        if base is not None:
            os.close(base)
    return {u'path': bytearray(path[0]), u'size': whole(size), u'sha1': bytearray(sha1.digest()),
            u'in_place': target.in_place}


class Output(object):
    """What goes to the controller: small things together, large ones as they are, `limit` bytes a second at most."""

    def __init__(self, stream, limit):
        self.stream, self.limit = stream, limit
        self.small, self.waiting = [], 0
        self.sent, self.began = 0, time()

    def put(self, data):
        self.small.append(data)
        self.waiting += len(data)
        if self.waiting >= PIECE:
            self.flush()

    def flush(self):
        data, self.small, self.waiting = b''.join(self.small), [], 0
        if data:
            self.write(memoryview(data))

    def write(self, view, file=None, at=0):
        self.stream.write(view, file, at)
        self.sent += len(view)
        while self.limit and not self.stream.stopped:
            early = self.began + self.sent / float(self.limit) - time()
            if early <= 0:
                break
            sleep(min(early, .1))


def check_regular(info):
    kind = file_kind(info)
    if kind == 'folder':
        raise problem(errno.EISDIR)
    if kind:
        raise problem(errno.EINVAL, 'Not a regular file but a ' + kind)


def open_source(path, follow=True):
    """Opens a regular file. Others are not touched: opening a FIFO waits, and opening a device may do anything."""
    check_regular((os.stat if follow else os.lstat)(path))
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        info = os.fstat(fd)
        check_regular(info)
    except OSError:
        os.close(fd)
        raise
    return fd, info


def nanoseconds(info):
    return int(info.st_mtime * 1000000) * 1000 if OLD else info.st_mtime_ns


def send_content(output, fd, info, block=0, digests=b''):
    """Sends the content of a file; returns its size and checksum. It may grow meanwhile, but not change otherwise.

    Of a block whose checksum is among `digests`, in its place, only this is sent.
    """
    sha1, size, expected = new_sha1(), 0, info.st_size
    from _io import FileIO
    file = FileIO(fd, 'rb', closefd=False)
    view = memoryview(bytearray(block or min(PIECE, output.limit // 8 + 512 if output.limit else PIECE)))
    while 1:
        # Never longer than it was, so that one that grows comes as it was.
        left = info.st_size - size if info.st_size else len(view)
        count = file.readinto(view[:left]) if left else 0
        while block and 0 < count < min(left, block):
            more = file.readinto(view[count:left])
            if not more:
                break
            count += more
        if not size:
            # Files of sysfs have the size of a page, whatever is in them.
            expected = expected if count == min(left, len(view)) else 0
            output.put(SIZE.pack(expected))
        if not count:
            break
        sha1.update(view[:count])
        if block and size // block * 20 < len(digests):
            own = new_sha1()
            own.update(view[:count])
            at = size // block * 20
            if own.digest() == digests[at:at + 20]:
                output.put(number_of.pack(COPY) + RANGE.pack(size, count))
                size += count
                continue
        output.put(number_of.pack(count))
        if count < 4096:
            output.put(view[:count].tobytes())
        else:
            output.flush()
            # What has no size may be made anew for each who reads it.
            output.write(view[:count], fd if expected else None, size)
        size += count
    after = os.fstat(fd)
    # A size of 0 is also what files have whose content is made when they are read, such as those in /proc.
    if info.st_size and not size >= info.st_size < after.st_size and (
            after.st_size != info.st_size or nanoseconds(after) != nanoseconds(info)):
        raise problem(0, 'It changed while it was read')
    output.put(number_of.pack(0) + sha1.digest())
    return size, sha1


def fetch_file(stream, options, path):
    """Sends a file; returns what the reply says of it."""
    path[0] = options['path']
    path[0] = absolute(path[0])
    output = Output(stream, options.get('limit'))
    fd, info = open_source(path[0])
    try:
        size, sha1 = send_content(output, fd, info, options.get('block') or 0, options.get('digests') or b'')
    finally:
        os.close(fd)
    output.flush()
    send(stream.request, END, 0, b'')
    return {u'path': bytearray(path[0]), u'size': whole(size), u'sha1': bytearray(sha1.digest()),
            u'mode': info.st_mode & 0o7777, u'modified': whole(nanoseconds(info))}


serves(PUT, put_file)
serves(FETCH, fetch_file)
