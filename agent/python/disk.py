"""Files of the codebase on this host's disk, in a folder that belongs to the agent and is removed with it."""

part('ending')
disk = []           # the folder
# Where there is a guard, that does it, when nothing of ours runs any more.
on_end.append(lambda: keep or remove_files())
on_it = allocate_lock()


def own_folder():
    """The folder, which nobody else can have made, for nobody else knows its name."""
    if os.getpid() != PID:
        # One for all: who cleans up looks for no other.
        part('children')
        if not disk:
            disk.append(marshal.loads(ask(FOLDER, MARSHAL, marshal.dumps(u'a folder', 2))[2]))
        return disk[0]
    # Its removal is not to depend on our end.
    protect()
    with on_it:
        for base in bases() if not disk else ():
            folder = os.path.join(base, 'chopsticks-' + nonce)
            try:
                os.mkdir(folder, 448)
            except OSError:
                continue
            disk.append(folder)
            break
    if not disk:
        raise IOError(errno.ENOENT, 'There is no folder for temporary files', 'TMPDIR')
    return disk[0]


def unpacked(name, packed):
    """Writes a package, and returns the spec (on 2.7 the loader) of what is an ordinary module from now on."""
    folder = own_folder()
    if packed is not None:
        # Else the agent of this process has done so.
        from io import BytesIO
        from zipfile import ZipFile
        spare = spare_in(folder)
        ZipFile(BytesIO(packed)).extractall(spare)
        move(spare, folder)
    if folder not in sys.path:
        # Where the codebase is: the host's own come first.
        there = '/chopsticks:' in sys.path
        sys.path.insert(sys.path.index('/chopsticks:') if there else len(sys.path), folder)
    # What this knows of the folder is older.
    sys.path_importer_cache.pop(folder, None)
    if OLD:
        from pkgutil import ImpImporter
        return ImpImporter(folder).find_module(name)
    from importlib.machinery import PathFinder
    return PathFinder.find_spec(name, [folder])


def spare_in(path):
    """A name in a folder that no other process and no other thread has at this moment."""
    return os.path.join(path, '.%d-%d' % (os.getpid(), get_ident()))


def move(source, target):
    """Moves a file or folder to where another process or thread may move the same: it never appears half moved."""
    try:
        os.rename(source, target)
    except OSError:
        if not os.path.isdir(target):
            raise
        for name in os.listdir(source):
            move(os.path.join(source, name), os.path.join(target, name))
        os.rmdir(source)


def on_disk(file):
    """The path of a copy of a file or folder of the codebase."""
    path = os.path.join(own_folder(), '.data', *str(file).strip('/').split('/'))
    if not os.path.exists(path):
        spare = spare_in(own_folder())
        copy(file, spare)
        try:
            os.makedirs(os.path.dirname(path))
        except OSError:
            # It is there.
            pass
        move(spare, path)
    return path


def copy(file, path):
    if file.is_dir():
        os.mkdir(path)
        for inner in file.iterdir():
            copy(inner, os.path.join(path, inner.name))
    else:
        content = file.read_bytes()
        with open(path, 'wb') as f:
            f.write(content)
