"""Transfers of folders, in both directions: docs/wire.md, section 8. The controller sends this part in EXTEND."""

LEAVE, FOLDER, FILE, LINK, LEFT_OUT, REUSED = range(6)
SHORT = Struct('>H')
ATTRIBUTES = Struct('>Lq')
# A folder that is written to need not be readable.
ONLY_PATH = getattr(os, 'O_PATH', 0o10000000 if sys.platform.startswith('linux') else 0)


def put_any(stream, options, path):
    """As of a file, or of a folder."""
    return (put_folder if options.get('folder') else put_file)(stream, options, path)


def fetch_any(stream, options, path):
    return (fetch_folder if options.get('folder') else fetch_file)(stream, options, path)


def summary(path, counts, size):
    answer = dict((name, whole(counts[kind])) for kind, name in (
        (FOLDER, u'folders'), (FILE, u'files'), (LINK, u'links'), (LEFT_OUT, u'left_out')))
    answer.update(path=bytearray(path), size=whole(size))
    return dict((name if not OLD else unicode(name), value) for name, value in answer.items())


class Entered(object):
    """A folder that is being written. What is in it is reached through its descriptor, whatever becomes of its path."""

    def __init__(self, path, at, mode, modified):
        self.path, self.mode, self.modified = path, mode, modified
        self.is_new = True
        try:
            os.mkdir(at, 0o700)
        except OSError as e:
            if e.errno != errno.EEXIST:
                raise
            self.is_new = False
        self.fd = os.open(at, ONLY_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | CLOEXEC)
        self.at = ('/proc/self/fd/%d' % self.fd).encode()
        if not os.path.isdir(self.at):
            self.at = at
        if not self.is_new:
            clear(self.at)

    def settle(self, owner, mask):
        """Gives a new folder what it is to have, last: that may forbid to write there. Others keep what they have."""
        if self.is_new:
            if owner:
                os.chown(self.at, *owner)
            # The group's bit comes from the folder around it.
            mode = self.mode & ~mask | os.stat(self.at).st_mode & 0o2000
            try:
                os.chmod(self.at, mode)
            except OSError as e:
                if e.errno not in UNABLE:
                    raise
        if self.modified is not None:
            try:
                set_time(self.at, self.modified)
            except OSError:
                # It may be another's.
                if self.is_new:
                    raise


def put_folder(stream, options, path):
    """Receives a folder into one that is there, or a new one."""
    given = path[0] = options['path']
    root = path[0] = absolute(given) if given else temporary_path()
    if options.get('parents'):
        make_folder(os.path.dirname(root.rstrip(b'/')))
    owner, keep = owner_of(options.get('owner')), options.get('keep')
    source, mask = Input(stream), umask()
    entered, counts, total = [], [0] * 6, 0
    try:
        while 1:
            kind, = bytearray(source.take(1))
            counts[kind] += 1
            if kind == LEAVE:
                path[0] = entered[-1].path
                entered[-1].settle(owner, mask)
                os.close(entered.pop().fd)
                if not entered:
                    break
                continue
            name = source.take(*SHORT.unpack(source.take(2)))
            mode, modified = ATTRIBUTES.unpack(source.take(12))
            mode, modified = mode & 0o777, modified if keep else None
            path[0] = os.path.join(entered[-1].path, name) if entered else root
            at = os.path.join(entered[-1].at, name) if entered else follow(root)[0]
            if kind == FOLDER:
                entered.append(Entered(path[0], at, mode, modified))
            elif kind in (FILE, REUSED):
                base = part = None
                if kind == REUSED:
                    base = source.take(*SHORT.unpack(source.take(2)))
                    base = base and os.path.join(entered[-1].at, base)
                    part = part_name(name) if options.get('part') else None
                total += put_entry(source, options, (entered[-1].at, name, takes_place(at, options['replace'])), owner,
                                   (mode & ~mask, modified), base, part)
            elif kind == LINK:
                place_link(source.take(*SHORT.unpack(source.take(2))), at, owner, options['replace'])
    finally:
        for folder in entered:
            os.close(folder.fd)
    source.finish()
    counts[FILE] += counts[REUSED]
    return summary(root, counts, total)


def put_entry(source, options, place, owner, looks, base, part):
    """Receives a file of a folder; returns its size. Content may come from another file there, the base."""
    fd = open_source(base, False)[0] if base else None
    try:
        folder, name, info = place
        target = Target(folder, name, info, options['replace'], None, owner, part)
        try:
            size = receive(source, target, fd)[0]
            target.finish(looks[0], looks[1], options['sync'])
            if base and os.path.basename(base)[:17] == SPARE + b'part-':
                unlink(base)
        finally:
            target.close()
    finally:
        if fd is not None:
            os.close(fd)
    return size


def takes_place(at, replace):
    """What is known of a file that is replaced. Links are not followed within folders, but replaced."""
    info = status(at)
    kind = info and file_kind(info)
    if info and not replace:
        raise problem(errno.EEXIST)
    if kind == 'folder':
        raise problem(errno.EISDIR)
    if kind not in (None, '', 'link'):
        raise problem(errno.EINVAL, 'A %s is in the way' % kind)
    return info if kind == '' else None


def place_link(to, at, owner, replace):
    """Makes a link, in place of a file or link that is there."""
    takes_place(at, replace)
    spare = spare_name(os.path.dirname(at)) if replace else at
    os.symlink(to, spare)
    try:
        if owner:
            os.lchown(spare, *owner)
        if replace:
            os.rename(spare, at)
    except OSError:
        os.unlink(spare)
        raise


def fetch_folder(stream, options, path):
    """Sends a folder with all that is in it."""
    path[0] = options['path']
    root = path[0] = absolute(path[0])
    info = os.stat(root)
    if KINDS.get(info.st_mode & 0o170000) != 'folder':
        raise problem(errno.ENOTDIR)
    output = Output(stream, options.get('limit'))
    counts, total, entered, skip = [0] * 5, 0, [], set(options.get('skip') or ())
    begin = len(root.rstrip(b'/')) + 1

    def entry(kind, name, info):
        counts[kind] += 1
        head = bytearray((kind,)) + SHORT.pack(len(name)) + name
        output.put(bytes(head) + ATTRIBUTES.pack(info.st_mode & 0o7777, nanoseconds(info)))

    entry(FOLDER, b'', info)
    entered.append((root, sorted(os.listdir(root))))
    while entered:
        folder, names = entered[-1]
        if not names:
            output.put(bytes(bytearray((LEAVE,))))
            entered.pop()
            continue
        name = names.pop(0)
        path[0] = os.path.join(folder, name)
        if skip and path[0][begin:] in skip:
            continue
        try:
            info = os.lstat(path[0])
        except OSError as e:
            # It has gone since the folder was read.
            if e.errno != errno.ENOENT:
                raise
            continue
        kind = KINDS.get(info.st_mode & 0o170000, 'special file')
        if kind == 'folder':
            entry(FOLDER, name, info)
            entered.append((path[0], sorted(os.listdir(path[0]))))
        elif kind == 'link':
            to = os.readlink(path[0])
            entry(LINK, name, info)
            output.put(SHORT.pack(len(to)) + to)
        elif kind:
            entry(LEFT_OUT, name, info)
        else:
            fd, info = open_source(path[0], False)
            try:
                entry(FILE, name, info)
                total += send_content(output, fd, info)[0]
            finally:
                os.close(fd)
    output.flush()
    send(stream.request, END, 0, b'')
    return summary(root, counts, total)


serves(PUT, put_any)
serves(FETCH, fetch_any)
