"""Folders from and to the controller: docs/wire.md, section 8. The controller sends it in EXTEND, as `files`."""

LEAVE, FOLDER, FILE, LINK, LEFT_OUT = range(5)
SHORT = Struct('>H')
ATTRIBUTES = Struct('>Lq')
put_file, fetch_file = put, fetch


def put(stream, options, path):
    """As of a file, or of a folder."""
    return (put_folder if options.get('folder') else put_file)(stream, options, path)


def fetch(stream, options, path):
    return (fetch_folder if options.get('folder') else fetch_file)(stream, options, path)


def summary(path, counts, size):
    answer = dict((name, whole(counts[kind])) for kind, name in (
        (FOLDER, u'folders'), (FILE, u'files'), (LINK, u'links'), (LEFT_OUT, u'left_out')))
    answer.update(path=bytearray(path), size=whole(size))
    return dict((name if not OLD else unicode(name), value) for name, value in answer.items())


def put_folder(stream, options, path):
    """Receives a folder into one that is there, or a new one."""
    root = path[0] = os.path.abspath(options['path'] or temporary_path())
    owner, keep = owner_of(options.get('owner')), options.get('keep')
    source = Input(stream)
    entered, counts, total = [], [0] * 5, 0
    while 1:
        kind, = bytearray(source.take(1))
        counts[kind] += 1
        if kind == LEAVE:
            path[0], mode, modified = entered.pop()
            # Last, for it may forbid to write there, and what is written there changes its time.
            settle(path[0], mode, owner, modified)
            if not entered:
                break
            continue
        name = source.take(*SHORT.unpack(source.take(2)))
        mode, modified = ATTRIBUTES.unpack(source.take(12))
        mode, modified = mode & 0o777, modified if keep else None
        path[0] = os.path.join(entered[-1][0], name) if entered else root
        if kind == FOLDER:
            enter(path[0], not entered)
            entered.append((path[0], mode, modified))
        elif kind == FILE:
            target = Target(path[0], options['replace'])
            try:
                total += receive(source, target)[0]
                target.finish(mode, owner, modified, options['sync'])
            finally:
                target.close()
        elif kind == LINK:
            place_link(source.take(*SHORT.unpack(source.take(2))), path[0], owner, options['replace'])
    source.finish()
    return summary(root, counts, total)


def enter(path, follow):
    """Makes a folder, or takes the one that is there."""
    try:
        os.mkdir(path, 0o700)
    except OSError as e:
        if e.errno != errno.EEXIST:
            raise
        if not os.path.isdir(path) or os.path.islink(path) and not follow:
            raise problem(errno.ENOTDIR)


def settle(path, mode, owner, modified):
    if owner:
        os.chown(path, *owner)
    os.chmod(path, mode)
    if modified is not None:
        set_time(path, modified)


def place_link(to, path, owner, replace):
    """Makes a link, in place of a file or link that is there."""
    spare = os.path.join(os.path.dirname(path), os.path.basename(temporary_path())) if replace else path
    os.symlink(to, spare)
    try:
        if owner:
            os.lchown(spare, *owner)
        if replace:
            os.rename(spare, path)
    except OSError:
        os.unlink(spare)
        raise


def fetch_folder(stream, options, path):
    """Sends a folder with all that is in it."""
    root = path[0] = os.path.abspath(options['path'])
    info = os.stat(root)
    if KINDS.get(info.st_mode & 0o170000) != 'folder':
        raise problem(errno.ENOTDIR)
    output = Output(stream, options.get('limit'))
    counts, total, entered = [0] * 5, 0, []

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


answers[PUT] = put
answers[FETCH] = fetch
