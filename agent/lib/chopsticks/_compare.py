"""Compares files of this host with those of a controller, by size and checksum."""
import os
import stat
import sys

FOLDER, FILE, LINK = 1, 2, 3
OLD = sys.version_info < (3,)


def resolved(path):
    """The path that a transfer to `path` writes to."""
    path = os.path.expanduser(path) if path[:1] == b'~' else path
    path = os.path.join(os.getcwd() if OLD else os.getcwdb(), path)
    return path if b'..' in path.split(b'/') else os.path.normpath(path)


def number(text, look, which):
    return int(text) if text.isdigit() else look(str(text))[which]


def has_owner(info, owner):
    import grp
    import pwd
    user, _, group = owner.partition(':')
    return ((not user or number(user, pwd.getpwnam, 2) == info.st_uid)
            and (not group or number(group, grp.getgrnam, 2) == info.st_gid))


def has_time(info, modified):
    # Old Pythons and some file systems have microseconds.
    found = int(info.st_mtime * 1000000) * 1000 if OLD else info.st_mtime_ns
    return abs(found - modified) < 2000


def new_sha1():
    # `hashlib` may refuse it, as it is no longer safe for signatures.
    for module, name in ('_hashlib', 'openssl_sha1'), ('_sha1', 'sha1'), ('hashlib', 'sha1'):
        try:
            return getattr(__import__(module), name)()
        except (ImportError, AttributeError, ValueError):
            pass
    raise IOError('this Python has no sha1')


def is_same(path, info, size, sha1, modified):
    """Whether a regular file has this content and, unless it is None, this time of modification."""
    if not stat.S_ISREG(info.st_mode) or info.st_size != size:
        return False
    if modified is not None and not has_time(info, modified):
        return False
    found = new_sha1()
    with open(path, 'rb') as f:
        while 1:
            block = f.read(1 << 18)
            if not block:
                return found.digest() == sha1
            found.update(block)


def file(path, name, size, sha1, mode, owner, modified):
    """Returns the path to which a transfer would write, and whether it would change something."""
    path = resolved(path)
    if name and os.path.isdir(path):
        path = os.path.join(path, name)
    try:
        info = os.stat(path)
        same = ((mode is None or stat.S_IMODE(info.st_mode) == mode)
                and (owner is None or has_owner(info, owner))
                and is_same(path, info, size, sha1, modified))
    except (EnvironmentError, KeyError):
        # The transfer says better what is wrong, if something is.
        same = False
    return path, not same


def entry_is_same(at, kind, size, content, modified, owner):
    info = os.lstat(at)
    if kind == FOLDER:
        return stat.S_ISDIR(info.st_mode)
    if owner is not None and not has_owner(info, owner):
        return False
    if kind == LINK:
        return stat.S_ISLNK(info.st_mode) and os.readlink(at) == content
    return is_same(at, info, size, content, modified)


def folder(root, entries, owner):
    """Returns the path of the folder, and the positions of the entries that differ, in the order of a walk."""
    root = resolved(root)
    changed, absent = [], None
    for position, (name, kind, size, content, modified) in enumerate(entries):
        if absent is not None and name.startswith(absent):
            changed.append(position)
            continue
        absent = None
        try:
            # The folder itself may be a link.
            at = os.path.join(root, name)
            same = entry_is_same(at, kind, size, content, modified, owner)
        except (EnvironmentError, KeyError):
            same = False
        if not same:
            changed.append(position)
            if kind == FOLDER:
                absent = name + b'/' if name else b''
    return root, changed
