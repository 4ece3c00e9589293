"""Compares files of this host with those of a controller, and removes what the controller names: docs/files.md."""
import errno
import os
import stat
import sys

FOLDER, FILE, LINK, OTHER = 1, 2, 3, 4
KINDS = {stat.S_IFDIR: FOLDER, stat.S_IFREG: FILE, stat.S_IFLNK: LINK}
# How far a folder is searched for what the controller does not have.
WITHIN_DEVICE, EVERYWHERE = 1, 2
OLD = sys.version_info < (3,)
READ = os.O_RDONLY | os.O_NONBLOCK | getattr(os, 'O_CLOEXEC', 0)
SEARCH = getattr(os, 'O_PATH', 0o10000000 if sys.platform.startswith('linux') else 0) | os.O_DIRECTORY | READ
PIECE = 1 << 18
ABSENT = errno.ENOENT, errno.ENOTDIR
# Folders that belong to the system or to many.
SHARED = ('bin boot dev etc home lib lib32 lib64 libx32 media mnt opt proc root run sbin srv sys tmp usr var '
          'Applications Library System Users Volumes private').split()
USR = 'bin games include lib lib32 lib64 libexec libx32 local sbin share src'.split()
SYSTEM = frozenset([b'/'] + [('/' + name).encode() for name in SHARED] + [('/usr/' + name).encode() for name in USR])


def problem(number, path, text=None):
    return OSError(number, text or os.strerror(number), path)


def answered(work):
    """Has a function return `(None, result)`, or what went wrong with a file: `((errno, message, path), None)`."""
    def answer(*args):
        try:
            return None, work(*args)
        except EnvironmentError as e:
            path = e.filename
            if not isinstance(path, bytes):
                path = b'' if path is None else path.encode('utf-8') if OLD else os.fsencode(path)
            return (e.errno or 0, e.strerror or str(e), bytearray(path)), None
    return answer


def resolved(path):
    """The path that a transfer to `path` writes to."""
    path = os.path.expanduser(path) if path[:1] == b'~' else path
    path = os.path.join(os.getcwd() if OLD else os.getcwdb(), path)
    return path if b'..' in path.split(b'/') else os.path.normpath(path)


def number(text, look, which):
    return None if not text else int(text) if text.isdigit() else look(str(text))[which]


def owner_numbers(owner):
    """The numbers of `user`, `user:group` or `:group`; -1, which nothing has, for one that does not exist."""
    import grp
    import pwd
    user, _, group = owner.partition(':')
    try:
        return number(user, pwd.getpwnam, 2), number(group, grp.getgrnam, 2)
    except KeyError:
        # The transfer says better what is wrong.
        return -1, -1


def nanoseconds(info):
    return int(info.st_mtime * 1000000) * 1000 if OLD else info.st_mtime_ns


def find_sha1():
    # `hashlib` may refuse it, as it is no longer safe for signatures.
    for module, name in ('_hashlib', 'openssl_sha1'), ('_sha1', 'sha1'), ('hashlib', 'sha1'):
        try:
            make = getattr(__import__(module), name)
            make()
            return make
        except (ImportError, AttributeError, ValueError):
            pass
    raise IOError('this Python has no sha1')


def digest(path, size, flags):
    found = new_sha1()
    fd = os.open(path, READ | flags)
    try:
        while 1:
            piece = os.read(fd, PIECE)
            found.update(piece)
            size -= len(piece)
            # Files without a size, such as those in /proc, may have content.
            if not piece or not size:
                return bytearray(found.digest())
    finally:
        os.close(fd)


def state(path, size, modified, owner, follow):
    """What is at a path: its kind, size, time and mode, whether it has the owner, and what it contains.

    The last is where a link leads, or the checksum of a file with the size. If the time is that of the file as well, a
    checksum is not needed.
    """
    info = (os.stat if follow else os.lstat)(path)
    kind, found, content = KINDS.get(stat.S_IFMT(info.st_mode), OTHER), nanoseconds(info), b''
    has_owner = owner is None or owner[0] in (None, info.st_uid) and owner[1] in (None, info.st_gid)
    if kind == LINK:
        content = bytearray(os.readlink(path))
    elif kind == FILE and info.st_size == size:
        # Old Pythons and some file systems have microseconds.
        if modified is not None and abs(found - modified) < 2000:
            content = b'='
        else:
            try:
                content = digest(path, size, 0 if follow else os.O_NOFOLLOW)
            except EnvironmentError:
                pass
    return kind, info.st_size, found, stat.S_IMODE(info.st_mode), has_owner, content


@answered
def file(path, name, size, modified, owner):
    """Returns the path to which a transfer would write, and what is there."""
    path = resolved(path)
    if name and os.path.isdir(path):
        path = os.path.join(path, name)
    try:
        found = state(path, size, modified, owner and owner_numbers(owner), True)
    except EnvironmentError:
        # The transfer says better what is wrong, if something is.
        found = None
    return bytearray(path), found


@answered
def rehearse(given, name, is_folder, parents, replace):
    """Fails as a transfer to a path would, as far as that is known before anything is written."""
    path = resolved(given)
    if given[:1] == b'~' and os.path.expanduser(given) == given:
        raise problem(errno.ENOENT, given, 'there is no such user')
    is_there = os.path.isdir(path)
    if is_folder:
        if os.path.exists(path) and not is_there:
            raise problem(errno.ENOTDIR, path)
    else:
        if is_there and not name:
            raise problem(errno.EISDIR, path)
        if not is_there and given[-1:] == b'/':
            if os.path.exists(path):
                raise problem(errno.ENOTDIR, path)
            if not parents:
                raise problem(errno.ENOENT, path, 'The folder does not exist')
        if is_there or given[-1:] == b'/':
            path = os.path.join(path, name)
        if os.path.isdir(path):
            raise problem(errno.EISDIR, path)
        if not replace and os.path.lexists(path):
            raise problem(errno.EEXIST, path)
    if os.path.exists(path):
        if not (os.access(path, os.W_OK) or not is_folder and os.access(os.path.dirname(path), os.W_OK | os.X_OK)):
            raise problem(errno.EACCES, path)
        return True
    around = os.path.dirname(os.path.realpath(path))
    while parents and not os.path.lexists(around):
        around = os.path.dirname(around)
    if not os.path.isdir(around):
        if os.path.lexists(around):
            raise problem(errno.ENOTDIR, path)
        raise problem(errno.ENOENT, path, 'Its folder does not exist')
    if not os.access(around, os.W_OK | os.X_OK):
        raise problem(errno.EACCES, path)
    return True


@answered
def folder(root, entries, owner, reach):
    """Returns the path of a folder, what is there of the entries of the controller's folder, and, on request, all else.

    The entries come in the order of a walk.
    """
    root, owner = resolved(root), owner and owner_numbers(owner)
    if reach == WITHIN_DEVICE:
        guard(root)
    states, absent = [], None
    for name, kind, size, modified in entries:
        found = None
        if absent is None or not name.startswith(absent):
            absent = None
            try:
                # The folder itself may be a link.
                found = state(root + b'/' + name if name else root, size, modified, owner, not name)
            except EnvironmentError as e:
                if reach and e.errno not in ABSENT:
                    raise
            if kind == FOLDER and (found is None or found[0] != FOLDER):
                absent = name + b'/' if name else b''
        states.append(found)
    others = search(root, set(entry[0] for entry in entries), reach) if reach else []
    return bytearray(root), states, others


def search(root, known, reach):
    """Returns what is in a folder and not known, in the order of a walk, with the mode of each."""
    try:
        device = os.stat(root).st_dev
    except EnvironmentError as e:
        if reach == WITHIN_DEVICE and e.errno in ABSENT:
            return []
        raise
    found, waiting = [], [b'']
    while waiting:
        name = waiting.pop()
        path = root + b'/' + name if name else root
        if name:
            try:
                info = os.lstat(path)
            except EnvironmentError as e:
                if e.errno in ABSENT:
                    continue
                raise
            kind = KINDS.get(stat.S_IFMT(info.st_mode), OTHER)
            if reach == WITHIN_DEVICE and info.st_dev != device:
                # What is mounted stays, and what is in it.
                continue
            if name not in known:
                found.append((bytearray(name), kind, info.st_size))
            if kind != FOLDER:
                continue
            name += b'/'
        waiting.extend(name + inner for inner in sorted(os.listdir(path), reverse=True))
    return found


def guard(root):
    """Refuses folders that must not be made equal to others by deleting: those of the system, and home folders."""
    real = os.path.realpath(root)
    home = os.path.expanduser(b'~')
    if real in SYSTEM or real == os.path.realpath(home):
        raise problem(errno.EPERM, root, 'nothing is deleted in folders of the system, nor in a home folder itself')


class Folder(object):
    """A folder in which names are looked up through its descriptor, whatever becomes of its path."""

    def __init__(self, path, above=None, flags=0):
        self.path = path if above is None else above.path + b'/' + path
        self.fd = above.reach(os.open, path, SEARCH | flags) if above else os.open(path, SEARCH | flags)
        self.proc = b'/proc/self/fd/' + str(self.fd).encode()

    def reach(self, work, name, *args):
        if work in getattr(os, 'supports_dir_fd', ()):
            return work(name, *args, **{'dir_fd': self.fd})
        return work((self.proc if os.path.isdir(self.proc) else self.path) + b'/' + name, *args)


@answered
def remove(root, names):
    """Removes files and folders, what is in a folder first. Returns the positions of what has stayed."""
    guard(root)
    top, stayed = Folder(root), []
    entered = [(b'', top)]
    try:
        for position, (name, is_folder) in enumerate(names):
            around, _, last = name.rpartition(b'/')
            try:
                while around != entered[-1][0] and not around.startswith(entered[-1][0] and entered[-1][0] + b'/'):
                    os.close(entered.pop()[1].fd)
                while around != entered[-1][0]:
                    inner = around[len(entered[-1][0]) + 1 if entered[-1][0] else 0:].partition(b'/')[0]
                    below = Folder(inner, entered[-1][1], os.O_NOFOLLOW)
                    entered.append((entered[-1][0] + b'/' + inner if entered[-1][0] else inner, below))
                entered[-1][1].reach(os.rmdir if is_folder else os.unlink, last)
            except EnvironmentError as e:
                if e.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                    raise problem(e.errno, root + b'/' + name)
                # It has gone by itself, or something has come into it.
                stayed.append(position)
    finally:
        for _, opened in entered:
            os.close(opened.fd)
    return stayed


@answered
def contents(root, names, most, total):
    """Returns whether each file is there, and its content unless it has more than `most` bytes or cannot be read."""
    found = []
    for name in names:
        is_there, content = True, None
        try:
            fd = os.open(root + b'/' + name if name else root, READ | (os.O_NOFOLLOW if name else 0))
            try:
                left = min(most, total) + 1
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    pieces = []
                    while left > 0:
                        piece = os.read(fd, min(left, PIECE))
                        if not piece:
                            content = bytearray(b''.join(pieces))
                            total -= len(content)
                            break
                        pieces.append(piece)
                        left -= len(piece)
            finally:
                os.close(fd)
        except EnvironmentError as e:
            is_there = e.errno not in ABSENT
        found.append((is_there, content))
    return found


@answered
def base(path, name, is_whole, is_part):
    """Finds what a file can be made from: the part that an earlier transfer has left, or the file itself.

    Returns its path, its size, the size of blocks, and of each block its Adler-32 and SHA-1; the path is empty if there
    is nothing.
    """
    import struct
    import zlib
    path = resolved(path)
    if name and os.path.isdir(path):
        path = os.path.join(path, name)
    path = os.path.realpath(path)
    found = is_part and part(path) or (path if is_whole else None)
    try:
        fd = os.open(found, READ | os.O_NOFOLLOW) if found else None
    except EnvironmentError:
        fd = None
    if fd is None:
        return bytearray(), 0, 0, bytearray()
    try:
        info, block, sums, size = os.fstat(fd), 1 << 12, [], 0
        if not stat.S_ISREG(info.st_mode):
            return bytearray(), 0, 0, bytearray()
        while block << 13 < info.st_size:
            block <<= 1
        while 1:
            pieces, left = [], block
            while left:
                piece = os.read(fd, left)
                if not piece:
                    break
                pieces.append(piece)
                left -= len(piece)
            piece = pieces[0] if len(pieces) == 1 else b''.join(pieces)
            if piece:
                strong = new_sha1()
                strong.update(piece)
                sums.append(struct.pack('>L', zlib.adler32(piece) & 0xffffffff) + strong.digest())
                size += len(piece)
            if left:
                return bytearray(found), size, block, bytearray(b''.join(sums))
    finally:
        os.close(fd)


def part(path):
    """Returns the longest part of a file that transfers of this user have left, and removes the others."""
    import binascii
    from fcntl import LOCK_EX, LOCK_NB, flock
    folder, name = os.path.split(path)
    beginning = new_sha1()
    beginning.update(name)
    beginning = b'.chopsticks-part-' + binascii.hexlify(beginning.digest()[:8]) + b'-'
    best = 0, None
    try:
        names = os.listdir(folder)
    except EnvironmentError:
        return None
    for name in names:
        if not name.startswith(beginning):
            continue
        at = os.path.join(folder, name)
        try:
            fd = os.open(at, READ | os.O_NOFOLLOW)
            try:
                info = os.fstat(fd)
                if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_nlink != 1:
                    continue
                # Those that are under way are locked.
                flock(fd, LOCK_EX | LOCK_NB)
                worse = at
                if info.st_size > best[0]:
                    worse, best = best[1], (info.st_size, at)
                if worse:
                    os.unlink(worse)
            finally:
                os.close(fd)
        except EnvironmentError:
            pass
    return best[1]


new_sha1 = find_sha1()
