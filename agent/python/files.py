"""Transfers of files and folders, in both directions: docs/wire.md, section 8."""

PUT = 0x24
FETCH = 0x25
SIZE = Struct('>Q')


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


def receive(source, target):
    """Writes the content of a file to `target`; returns its size and checksum, which is the sender's too."""
    sha1, size = new_sha1(), 0
    expected, = SIZE.unpack(source.take(8))
    while 1:
        block = source.number()
        if not block:
            break
        size += block
        for piece in source.pieces(block):
            sha1.update(piece)
            target.write(piece)
    if sha1.digest() != source.take(20):
        raise problem(errno.EIO, 'the checksums differ')
    if expected not in (0, size):
        raise ValueError('%d bytes came in place of %d' % (size, expected))
    return size, sha1


def put_file(stream, options, path):
    """Receives a file; returns what the reply says of it."""
    given = path[0] = options['path']
    replace = options['replace'] and given != b''
    path[0] = absolute(given) if given else temporary_path()
    path[0] = place_of(given, path[0], options.get('name') or b'')
    owner = owner_of(options.get('owner'))
    source = Input(stream)
    target = open_target(path[0], replace, options.get('mode'), owner, stream.check)
    try:
        size, sha1 = receive(source, target)
        source.finish()
        target.finish(options['default'] & ~umask(), options.get('modified'), options['sync'])
    finally:
        target.close()
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


def send_content(output, fd, info):
    """Sends the content of a file; returns its size and checksum. It may grow meanwhile, but not change otherwise."""
    sha1, size, expected = new_sha1(), 0, info.st_size
    from _io import FileIO
    file = FileIO(fd, 'rb', closefd=False)
    view = memoryview(bytearray(min(PIECE, output.limit // 8 + 512 if output.limit else PIECE)))
    while 1:
        # Never longer than it was, so that one that grows comes as it was.
        left = info.st_size - size if info.st_size else len(view)
        count = file.readinto(view[:left]) if left else 0
        if not size:
            # Files of sysfs have the size of a page, whatever is in them.
            expected = expected if count == min(left, len(view)) else 0
            output.put(SIZE.pack(expected))
        if not count:
            break
        sha1.update(view[:count])
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
        size, sha1 = send_content(output, fd, info)
    finally:
        os.close(fd)
    output.flush()
    send(stream.request, END, 0, b'')
    return {u'path': bytearray(path[0]), u'size': whole(size), u'sha1': bytearray(sha1.digest()),
            u'mode': info.st_mode & 0o7777, u'modified': whole(nanoseconds(info))}


serves(PUT, put_file)
serves(FETCH, fetch_file)
