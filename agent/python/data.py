"""What loaders can do besides running modules: package data, lists of modules, and what `runpy` and `inspect` ask."""

part('importer')
folders = {}        # (package, path) -> names in it -> whether that is a folder


def fetch(package, path):
    """A file's content, the list of a folder, or `None`."""
    operation, form, payload = ask(RESOURCE, MARSHAL, marshal.dumps((to_text(package), to_text(path)), 2))
    if operation == FAIL:
        why = marshal.loads(payload)['message'] if form & 15 else 'cannot be sent'
        raise IOError('%s of package %s: %s' % (path, package, why))
    return payload if form == BYTES else marshal.loads(payload)


def folder(package, path):
    if (package, path) not in folders:
        content = fetch(package, path)
        folders[package, path] = dict(content) if type(content) is list else {}
    return folders[package, path]


class Resource(object):
    """A file or folder in a package (`importlib.resources.abc.Traversable`), and what reads a package's own.

    The controller has it; there is none on this host.
    """

    def __init__(self, loader, package, path=''):
        self.loader, self.package, self.path = loader, package, path

    def __repr__(self):
        return '<%s of package %s>' % (self.path or 'files', self.package)

    @property
    def name(self):
        return self.path.rpartition('/')[2] or self.package.rpartition('.')[2]

    def kind(self):
        """Whether it is a folder; `None` when there is no such thing."""
        if not self.path:
            return True
        parent, _, leaf = self.path.rpartition('/')
        return folder(self.package, parent).get(leaf)

    def is_dir(self):
        return self.kind() is True

    def is_file(self):
        return self.kind() is False

    def iterdir(self):
        for name in sorted(folder(self.package, self.path)):
            yield self.joinpath(name)

    def joinpath(self, *parts):
        names = '/'.join([self.path] + [str(part) for part in parts]).split('/')
        return Resource(self.loader, self.package, '/'.join(name for name in names if name not in ('', '.')))

    __truediv__ = joinpath

    def read_bytes(self):
        content = fetch(self.package, self.path)
        if type(content) is not bytes:
            number = errno.ENOENT if content is None else errno.EISDIR
            raise IOError(number, os.strerror(number), '%s of package %s' % (self.path, self.package))
        return content

    def open(self, mode='r', buffering=-1, encoding=None, errors=None, newline=None):
        from io import BytesIO, TextIOWrapper
        if set(mode) - set('rbt'):
            raise ValueError('%r: data of the codebase can only be read' % mode)
        file = BytesIO(self.read_bytes())
        # Not in the encoding of this host, where the file is not.
        return file if 'b' in mode else TextIOWrapper(file, encoding or 'utf-8', errors, newline)

    def read_text(self, encoding=None, errors=None):
        with self.open('r', -1, encoding, errors) as file:
            return file.read()

    def files(self):
        return self

    def open_resource(self, name):
        return self.joinpath(name).open('rb')

    def resource_path(self, name):
        raise IOError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def is_resource(self, name):
        return self.joinpath(name).is_file()

    def contents(self):
        return sorted(folder(self.package, self.path))


def get_data(self, path):
    """The content of a file of the package, by a path made from `__file__` or `__path__`."""
    path = os.path.normpath(path)
    if path == self.file:
        return self.source
    package = self.name if self.kind else self.name.rpartition('.')[0]
    base = os.path.dirname(self.file) if self.file else self.place
    if path.startswith(self.place + '/'):
        base = self.place
    # What lies above a package may be in the one around it.
    while package:
        if path.startswith(base + '/'):
            return Resource(self, package, path[len(base) + 1:]).read_bytes()
        package, _, leaf = package.rpartition('.')
        base = base[:-len(leaf)].rstrip('/.') if base.endswith(leaf) else ''
    raise IOError(errno.ENOENT, 'Not in a package of the codebase', path)


def archive(self):
    """What `importlib.resources.files` of Python 3.9 takes for an open zip file, for it asks no loader."""
    import zipfile
    root = Resource(self, self.name)

    class Archive(zipfile.CompleteDirs):
        def __init__(self, filename):
            self.filename = filename

        def __fspath__(self):
            return self.filename

        def namelist(self, at='./'):
            names = []
            for name, is_folder in sorted(folder(root.package, at[2:].rstrip('/')).items()):
                names += [at + name] if not is_folder else [at + name + '/'] + self.namelist(at + name + '/')
            return names

        def _name_set(self):
            return set(self.namelist())

        def open(self, name, *_, **__):
            return root.joinpath(name).open('rb')

        def close(self):
            pass

    return Archive(os.path.dirname(self.file))


def iter_modules(self, prefix=''):
    for leaf in sorted(listing.get(self.name, ())):
        spec = find('%s.%s' % (self.name, leaf))
        if spec:
            yield prefix + leaf, (spec if OLD else spec.loader).kind > 0


def unfit(self, error):
    """The SyntaxError for an error of `compile`, with file and line also where that leaves them out."""
    if getattr(error, 'filename', None):
        return error
    source = self.source if type(self.source) is bytes else self.source.encode('utf-8', 'replace')
    line = source[:max(source.find(b'\0'), 0)].count(b'\n') + 1
    known = SyntaxError(getattr(error, 'msg', None) or str(error), (self.file, line, None, None))
    known.__cause__ = None
    return known


CodebaseLoader.get_data = get_data
CodebaseLoader.get_code = lambda self, name=None: compile(self.source or b'', self.file or self.place, 'exec', 0, 1)
CodebaseLoader.get_filename = lambda self, name=None: self.file
CodebaseLoader.get_resource_reader = lambda self, name=None: Resource(
    self, self.name) if self.kind else None
CodebaseLoader.is_package = lambda self, name=None: self.kind > 0
CodebaseLoader.iter_modules = iter_modules
CodebaseLoader.unfit = unfit
if sys.version_info[:2] == (3, 9):
    CodebaseLoader.archive = property(archive)
