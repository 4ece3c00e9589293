"""Files and folders from and to the controller: docs/wire.md, section 8."""

PUT = 0x24
FETCH = 0x25
CLOEXEC = getattr(os, 'O_CLOEXEC', 0o2000000)
SIZE = Struct('>Q')
KINDS = {0o100000: '', 0o040000: 'folder', 0o010000: 'FIFO', 0o140000: 'socket', 0o020000: 'device', 0o060000: 'device',
         0o120000: 'link'}
linkat = None       # (descriptor, path): gives a file without a name one; `False` where that cannot be
temporary = set()   # files with a name that are not finished

part('ending')
end_all = end


def end():
    """As the core's, but no file is left half finished."""
    for path in list(temporary):
        try:
            os.unlink(path)
        except OSError:
            pass
    end_all()


def whole(number):
    """A number that `marshal` writes in the one form that every reader knows."""
    return long(number) if OLD else number


def problem(number, text=None):
    return OSError(number, text or os.strerror(number))


def new_sha1():
    """The quickest there is. `hashlib` takes milliseconds to import; any may be forbidden or absent."""
    for module, name in ('_hashlib', 'openssl_sha1'), ('_sha1', 'sha1'), ('hashlib', 'sha1'):
        try:
            return getattr(__import__(module), name)()
        except (ImportError, AttributeError, ValueError):
            pass
    raise problem(errno.ENOSYS, 'this Python has no sha1')


def find_linkat():
    """Finds out how a file without a name gets one here: `os.link` of 2.7 would link the link in /proc."""
    global linkat
    linkat = False
    if not OLD:
        def linkat(fd, path):
            # With a folder's descriptor it is linkat, which follows.
            os.link('/proc/self/fd/%d' % fd, path, src_dir_fd=fd, follow_symlinks=True)
        return
    try:
        import ctypes
        call = ctypes.CDLL(None, use_errno=True).linkat
    except (ImportError, AttributeError, OSError):
        return

    def linkat(fd, path):
        if call(-100, b'/proc/self/fd/%d' % fd, -100, path, 0x400):
            raise problem(ctypes.get_errno())


class Target(object):
    """A file that is written out of sight, and then is at its path whole or not at all.

    Where the file system and /proc allow it, it has no name until then: not even SIGKILL leaves something behind.
    """

    def __init__(self, path, replace):
        self.path, self.replace = path, replace
        self.folder, self.name = os.path.split(path)
        if os.path.lexists(path):
            if not replace:
                raise problem(errno.EEXIST)
            # A device in the way, such as /dev/null, would be lost to all.
            if not os.path.islink(path):
                check_regular(os.lstat(path))
        self.temp = None
        if linkat is None:
            find_linkat()
        try:
            if not linkat:
                raise problem(errno.ENOSYS)
            flag = getattr(os, 'O_TMPFILE', 0o20000000 | os.O_DIRECTORY)
            self.fd = os.open(self.folder, flag | os.O_RDWR | CLOEXEC, 0o600)
            if not os.path.exists('/proc/self/fd/%d' % self.fd):
                os.close(self.fd)
                raise problem(errno.ENOSYS)
        except (AttributeError, OSError):
            self.temp = self.beside(os.urandom(8))
            self.fd = os.open(self.temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | CLOEXEC, 0o600)
            temporary.add(self.temp)

    def beside(self, token):
        name = ''.join('%02x' % b for b in bytearray(token))
        return os.path.join(self.folder, b'.chopsticks-' + name.encode())

    def write(self, view):
        while len(view):
            view = view[os.write(self.fd, view):]

    def finish(self, mode, owner, modified, sync):
        """Makes the file appear. It has its mode, its owner and its time before."""
        if owner:
            os.fchown(self.fd, *owner)
        os.fchmod(self.fd, mode)
        if modified is not None:
            set_time('/proc/self/fd/%d' % self.fd if self.temp is None else self.temp, modified)
        if sync:
            os.fsync(self.fd)
        if self.temp is None:
            self.give_name()
        elif self.replace:
            os.rename(self.temp, self.path)
        else:
            os.link(self.temp, self.path)
            os.unlink(self.temp)
        temporary.discard(self.temp)
        self.temp = None
        if sync:
            sync_folder(self.folder)

    def give_name(self):
        try:
            return linkat(self.fd, self.path)
        except OSError as e:
            if e.errno != errno.EEXIST or not self.replace:
                raise
        # A link does not replace, a rename does. The name is always the same, so that what a kill between the two
        # leaves behind is taken away by the next that comes here.
        import zlib
        spare = self.beside(number_of.pack(zlib.crc32(self.name) & 0xffffffff))
        while 1:
            try:
                linkat(self.fd, spare)
            except OSError as e:
                if e.errno != errno.EEXIST:
                    raise
                unlink(spare)
                continue
            try:
                return os.rename(spare, self.path)
            except OSError as e:
                # Another transfer to this path took it for such a remainder.
                if e.errno != errno.ENOENT or os.fstat(self.fd).st_nlink:
                    unlink(spare)
                    raise

    def close(self):
        """Gives the file up, unless it is finished."""
        os.close(self.fd)
        if self.temp:
            temporary.discard(self.temp)
            unlink(self.temp)


def unlink(path):
    try:
        os.unlink(path)
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise


def set_time(path, nanoseconds):
    if OLD:
        os.utime(path, (nanoseconds / 1e9, nanoseconds / 1e9))
    else:
        os.utime(path, ns=(nanoseconds, nanoseconds))


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError:
        # Not every file system can.
        pass
    finally:
        os.close(fd)


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


def temporary_path():
    for folder in os.environ.get('TMPDIR'), '/tmp', '/var/tmp', os.getcwd():
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            break
    name = 'chopsticks-' + ''.join('%02x' % b for b in bytearray(os.urandom(8)))
    path = os.path.join(folder, name)
    return path if OLD else os.fsencode(path)


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
            raise ValueError('the stream goes on behind its end')


def receive(source, target):
    """Writes the content of a file to `target`; returns its size and checksum, which is the sender's too."""
    sha1, size = new_sha1(), 0
    source.take(8)
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
    return size, sha1


def put(stream, options, path):
    """Receives a file; returns what the reply says of it."""
    path[0] = os.path.abspath(options['path'] or temporary_path())
    if options['path'][-1:] == b'/':
        raise problem(errno.EISDIR)
    owner = owner_of(options.get('owner'))
    source = Input(stream)
    target = Target(path[0], options['replace'])
    try:
        size, sha1 = receive(source, target)
        source.finish()
        target.finish(options['mode'], owner, options.get('modified'), options['sync'])
    finally:
        target.close()
    return {u'path': bytearray(path[0]), u'size': whole(size), u'sha1': bytearray(sha1.digest())}


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
    kind = KINDS.get(info.st_mode & 0o170000, 'special file')
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
    """Sends the content of a file; returns its size and checksum. It must not change meanwhile."""
    sha1, size = new_sha1(), 0
    from _io import FileIO
    output.put(SIZE.pack(info.st_size))
    file = FileIO(fd, 'rb', closefd=False)
    view = memoryview(bytearray(min(PIECE, output.limit // 8 + 512 if output.limit else PIECE)))
    while 1:
        count = file.readinto(view)
        if not count:
            break
        # Never longer than it was, so that one that grows without end comes to its own.
        if info.st_size and size + count > info.st_size:
            size += count
            break
        sha1.update(view[:count])
        output.put(number_of.pack(count))
        if count < 4096:
            output.put(view[:count].tobytes())
        else:
            output.flush()
            # What has no size may be made anew for each who reads it.
            output.write(view[:count], fd if info.st_size else None, size)
        size += count
    after = os.fstat(fd)
    # A size of 0 is also what files have whose content is made when they are read, such as those in /proc.
    stamp = info.st_size, nanoseconds(info)
    if info.st_size and (size > info.st_size or (after.st_size, nanoseconds(after)) != stamp):
        raise problem(0, 'It changed while it was read')
    output.put(number_of.pack(0) + sha1.digest())
    return size, sha1


def fetch(stream, options, path):
    """Sends a file; returns what the reply says of it."""
    path[0] = os.path.abspath(options['path'])
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


answers[PUT] = put
answers[FETCH] = fetch
