"""Where received files are written: see docs/files.md. The controller sends this in EXTEND, before `files`."""

CLOEXEC = getattr(os, 'O_CLOEXEC', 0o2000000)
KINDS = {0o100000: '', 0o040000: 'folder', 0o010000: 'FIFO', 0o140000: 'socket', 0o020000: 'device', 0o060000: 'device',
         0o120000: 'link'}
# What file systems answer that have no modes, links or locks.
UNABLE = errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL
ACL = 'system.posix_acl_access'
SPARE = b'.chopsticks-'
# The most bytes of a folder's own that are read in search of what was left there: some thousands of names.
SEARCHED = 1 << 17
linkat = None       # (descriptor, path): gives a file without a name one; `False` where that cannot be
temporary = set()   # files with a name that are not finished


def remove_temporary():
    """No file is left half finished."""
    for path in list(temporary):
        try:
            os.unlink(path)
        except OSError:
            pass


on_end.append(remove_temporary)


def problem(number, text=None):
    return OSError(number, text or os.strerror(number))


def file_kind(info):
    return KINDS.get(info.st_mode & 0o170000, 'special file')


def status(path):
    """Of what is at a path, be it a link; `None` if nothing is."""
    try:
        return os.lstat(path)
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise


def unlink(path):
    try:
        os.unlink(path)
    except OSError as e:
        if e.errno != errno.ENOENT:
            raise


def digits(token):
    return ''.join('%02x' % b for b in bytearray(token)).encode()


def spare_name(folder):
    return os.path.join(folder, SPARE + digits(os.urandom(8)))


def absolute(path):
    """A path from the controller from the root on. `..` is left to the kernel, for a folder may be a link."""
    if path[:1] == b'~':
        name, path = path, os.path.expanduser(path)
        if path == name:
            name = name.partition(b'/')[0][1:]
            raise problem(errno.ENOENT, 'there is no user ' + (name if OLD else os.fsdecode(name)))
    if path[:1] != b'/':
        path = os.path.join(os.getcwd() if OLD else os.getcwdb(), path)
    return path if b'..' in path.split(b'/') else os.path.normpath(path)


def place_of(path, full, name):
    """The path that a file is to have: in the folder, where one is at the path, under `name`."""
    try:
        info = os.stat(full)
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        info = None
    if info and file_kind(info) == 'folder':
        if not name:
            raise problem(errno.EISDIR)
        return os.path.join(full, name)
    if path[-1:] == b'/':
        raise problem(errno.ENOTDIR) if info else problem(errno.ENOENT, 'The folder does not exist')
    return full


def check_shared(folder, info):
    """Refuses what another may have laid out as a trap, as kernels do: in folders like /tmp."""
    around = os.stat(folder)
    if around.st_mode & 0o1002 == 0o1002 and info.st_uid not in (os.geteuid(), around.st_uid):
        raise problem(errno.EACCES, 'Another user has put it into a folder where all may write')


def follow(path):
    """Goes where links lead. Returns the path, what is there, and whether that is a descriptor in /proc."""
    for _ in range(40):
        info = status(path)
        if not info or file_kind(info) != 'link':
            return path, info, False
        folder = os.path.dirname(path)
        if os.path.realpath(folder)[:6] == b'/proc/':
            return path, os.stat(path), True
        check_shared(folder, info)
        path = os.path.join(folder, os.readlink(path))
    raise problem(errno.ELOOP)


def find_linkat():
    """Finds out how a file without a name gets one here: `os.link` of 2.7 and PyPy would link the link in /proc."""
    global linkat
    linkat = False
    if not OLD and '__pypy__' not in sys.builtin_module_names:
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


def hold(fd):
    """Locks a file until it is closed: so no other transfer takes it for one that a kill has left.

    Returns whether it is there.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
        flock(fd, LOCK_EX | LOCK_NB)
    except ImportError:
        pass
    except EnvironmentError as e:
        if e.errno == errno.EWOULDBLOCK:
            return False
    return os.fstat(fd).st_nlink > 0


def clear(folder):
    """Takes away what transfers of our own have left in a folder when they were killed."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
        names = os.listdir(folder) if os.stat(folder).st_size <= SEARCHED else ()
    except (ImportError, OSError):
        return
    for name in names:
        if name[:12] != SPARE or len(name) != 28 or name[12:].strip(b'0123456789abcdef'):
            continue
        path, fd = os.path.join(folder, name), None
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | CLOEXEC)
            info = os.fstat(fd)
            if not file_kind(info) and info.st_uid == os.geteuid() and info.st_nlink == 1:
                # Those that are under way are locked.
                flock(fd, LOCK_EX | LOCK_NB)
                if os.path.samestat(info, os.lstat(path)):
                    os.unlink(path)
        except EnvironmentError:
            pass
        finally:
            if fd is not None:
                os.close(fd)


def part_name(name):
    """The beginning of the names under which parts of a file stay. What comes behind it cannot be guessed."""
    found = new_sha1()
    found.update(name)
    return SPARE + b'part-' + digits(found.digest()[:8]) + b'-'


def new_file(folder, part=None):
    """Opens a new file in a folder. Returns its descriptor, and its name for the time being where it needs one."""
    if part:
        return new_part(os.path.join(folder, part))
    if linkat is None:
        find_linkat()
    try:
        if not linkat:
            raise problem(errno.ENOSYS)
        flag = getattr(os, 'O_TMPFILE', 0o20000000 | os.O_DIRECTORY)
        fd = os.open(folder, flag | os.O_RDWR | CLOEXEC, 0o600)
        if not os.path.exists('/proc/self/fd/%d' % fd):
            os.close(fd)
            raise problem(errno.ENOSYS)
        return fd, None
    except (AttributeError, OSError):
        pass
    while 1:
        path = spare_name(folder)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | CLOEXEC, 0o600)
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise problem(errno.ENOENT, 'Its folder does not exist')
            raise
        temporary.add(path)
        if hold(fd):
            return fd, path
        # Another transfer takes it away at this moment.
        temporary.discard(path)
        os.close(fd)


def new_part(beginning):
    path = beginning + digits(os.urandom(8))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | CLOEXEC, 0o600)
    hold(fd)
    return fd, path


def make_folder(path):
    """Makes a folder, and those around it."""
    if not os.path.isdir(path):
        make_folder(os.path.dirname(path))
        try:
            os.mkdir(path, 0o777)
        except OSError as e:
            # Another may have made it at this moment.
            if e.errno != errno.EEXIST or not os.path.isdir(path):
                raise


def write_all(fd, view):
    while len(view):
        view = view[os.write(fd, view):]


class Target(object):
    """A file that is written out of sight, and then is at its place whole or not at all.

    Where the file system and /proc allow it, it has no name until then: not even SIGKILL leaves something behind. Only
    where a file can be written, but not replaced by one like it, its content is changed in place, once all has come.
    """

    in_place = False

    def __init__(self, folder, name, info, replace, mode=None, owner=None, part=None):
        self.part = part
        self.folder, self.path = folder, os.path.join(folder, name)
        self.info, self.replace, self.mode, self.owner = info, replace, mode, owner
        self.old = self.temp = None
        try:
            self.fd, self.temp = new_file(folder, part)
        except OSError as e:
            if not info or e.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            self.open_old()
            try:
                self.fd, spool = new_file(temporary_folder())
            except OSError:
                os.close(self.old)
                raise
            if spool:
                os.unlink(spool)
                temporary.discard(spool)
            return
        try:
            if info:
                self.keep()
        except OSError:
            self.close()
            raise

    def open_old(self):
        """What is there is to be written into."""
        self.old = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | CLOEXEC)
        if file_kind(os.fstat(self.old)):
            os.close(self.old)
            self.old = None
            raise problem(errno.ESTALE)

    def keep(self):
        """Gives the new file what the old one has, beside its mode: the owner and the extended attributes."""
        mine = os.fstat(self.fd)
        try:
            if not self.owner and (self.info.st_uid, self.info.st_gid) != (mine.st_uid, mine.st_gid):
                os.fchown(self.fd, self.info.st_uid, self.info.st_gid)
            copy_attributes(self.path, self.fd)
        except OSError:
            self.open_old()

    def write(self, view):
        write_all(self.fd, view)

    def finish(self, default, modified, sync):
        """Makes the file appear. It has its mode, its owner and its time before; a new one has the mode `default`."""
        if self.old is None:
            self.dress(default)
            if modified is not None:
                set_time('/proc/self/fd/%d' % self.fd if self.temp is None else self.temp, modified)
            if sync:
                sync_file(self.fd)
            try:
                self.give_name()
            except OSError as e:
                # A mount point is busy; others may be in a folder where only their owner may remove them.
                if not self.info or e.errno not in (errno.EBUSY, errno.EPERM, errno.EACCES):
                    raise
                self.open_old()
        if self.old is not None:
            self.pour(modified, sync)
        elif sync:
            sync_folder(self.folder)

    def dress(self, default):
        if self.owner:
            os.fchown(self.fd, *self.owner)
        mode = self.mode
        if mode is None:
            if self.info:
                # Whoever may not set a user's ID loses it by writing, too.
                mode = self.info.st_mode & (0o1777 if os.geteuid() else 0o7777)
            else:
                mode = default
        if os.fstat(self.fd).st_mode & 0o7777 != mode:
            try:
                os.fchmod(self.fd, mode)
            except OSError as e:
                if self.mode is not None or e.errno not in UNABLE:
                    raise

    def pour(self, modified, sync):
        """Writes the content, which has all come, into the file that is there."""
        self.in_place = True
        os.lseek(self.fd, 0, 0)
        os.ftruncate(self.old, 0)
        while 1:
            data = os.read(self.fd, 1 << 18)
            if not data:
                break
            write_all(self.old, memoryview(data))
        if self.owner:
            os.fchown(self.old, *self.owner)
        if self.mode is not None:
            os.fchmod(self.old, self.mode)
        if modified is not None:
            set_time(self.path, modified)
        if sync:
            sync_file(self.old)

    def give_name(self):
        if self.temp is None:
            try:
                return linkat(self.fd, self.path)
            except OSError as e:
                if e.errno != errno.EEXIST or not self.replace:
                    raise
            # A link does not replace, a rename does.
            hold(self.fd)
            temp = spare_name(self.folder)
            linkat(self.fd, temp)
            self.temp = temp
            temporary.add(temp)
        if self.replace:
            os.rename(self.temp, self.path)
        else:
            self.take_free_name()
        temporary.discard(self.temp)
        self.temp = None

    def take_free_name(self):
        try:
            os.link(self.temp, self.path)
            return os.unlink(self.temp)
        except OSError as e:
            if e.errno not in UNABLE:
                raise
        # A file system without hard links: the name is taken first.
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | CLOEXEC, 0o600))
        try:
            os.rename(self.temp, self.path)
        except OSError:
            os.unlink(self.path)
            raise

    def close(self):
        """Gives the file up, unless it is finished."""
        if self.old is not None:
            os.close(self.old)
        if self.temp:
            temporary.discard(self.temp)
            # With the option `part`, what has arrived of a file stays, so that the next transfer can go on from there.
            if not self.part or not os.fstat(self.fd).st_size:
                unlink(self.temp)
        os.close(self.fd)


class Sink(object):
    """A device, a FIFO or a descriptor: it is written as the content comes. `check` raises when no more is wanted."""

    in_place, part = True, None

    def __init__(self, path, info, in_proc, check):
        self.check = check
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | CLOEXEC | (os.O_TRUNC if in_proc else os.O_NOFOLLOW)
        while 1:
            try:
                self.fd = os.open(path, flags)
                break
            except OSError as e:
                # Nobody reads it yet: an open that waits could not be cancelled.
                if e.errno != errno.ENXIO or file_kind(info) != 'FIFO':
                    raise
            check()
            sleep(.02)
        if file_kind(os.fstat(self.fd)) != file_kind(info):
            self.close()
            raise problem(errno.ESTALE)

    def write(self, view):
        while len(view):
            try:
                view = view[os.write(self.fd, view):]
                continue
            except OSError as e:
                if e.errno not in (errno.EAGAIN, errno.EINTR):
                    raise
            self.check()
            from select import POLLOUT, poll
            ready = poll()
            ready.register(self.fd, POLLOUT)
            ready.poll(100)

    def finish(self, default, modified, sync):
        if sync:
            sync_file(self.fd)

    def close(self):
        os.close(self.fd)


def open_target(path, replace, mode=None, owner=None, check=lambda: None, part=False):
    """Begins to write the file that is to be at a path, whatever is there now: docs/files.md has the table."""
    if not replace and status(path):
        raise problem(errno.EEXIST)
    path, info, in_proc = follow(path)
    folder, name = os.path.split(path)
    kind = info and file_kind(info)
    if kind == 'folder' or not name:
        raise problem(errno.EISDIR)
    if info and not in_proc:
        check_shared(folder, info)
    if kind or in_proc:
        if mode is not None or owner:
            raise problem(errno.EINVAL, 'A %s keeps its mode and owner' % (kind or 'descriptor'))
        return Sink(path, info, in_proc, check)
    clear(folder)
    return Target(folder, name, info, replace, mode, owner, part and part_name(name))


def copy_attributes(path, fd):
    """Has a new file get the extended attributes of the old one, as far as they can be set; ACLs in any case."""
    if not hasattr(os, 'listxattr'):
        return
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return
    for name in names:
        # What vouches for a content does not for another.
        if name not in ('security.capability', 'security.evm', 'security.ima'):
            try:
                os.setxattr(fd, name, os.getxattr(path, name, follow_symlinks=False))
            except OSError:
                if name == ACL:
                    raise


def umask():
    try:
        with open('/proc/self/status', 'rb') as f:
            for line in f:
                if line[:6] == b'Umask:':
                    return int(line[6:], 8)
    except (IOError, OSError, ValueError):
        pass
    # What another thread makes meanwhile is closed to others, and never open.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def set_time(path, nanoseconds):
    if OLD:
        os.utime(path, (nanoseconds / 1e9, nanoseconds / 1e9))
    else:
        os.utime(path, ns=(nanoseconds, nanoseconds))


def sync_file(fd):
    try:
        os.fsync(fd)
    except OSError as e:
        # Not all can.
        if e.errno not in UNABLE:
            raise


def sync_folder(path):
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        # Whoever may write there need not be allowed to read.
        return
    try:
        os.fsync(fd)
    except OSError:
        # Not every file system can.
        pass
    finally:
        os.close(fd)


def temporary_folder():
    for folder in os.environ.get('TMPDIR'), '/tmp', '/var/tmp':
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            break
    else:
        folder = '.'
    return os.path.abspath(folder if OLD else os.fsencode(folder))


def temporary_path():
    return os.path.join(temporary_folder(), b'chopsticks-' + digits(os.urandom(8)))
