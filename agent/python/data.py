"""What loaders provide besides running modules: package data, lists of modules, support for `runpy` and `inspect`."""

part('importer')
RESOURCE = 0x23
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
        names = content if type(content) is list else ()
        folders[package, path] = dict((name.encode('utf-8') if OLD else name, kind) for name, kind in names)
    return folders[package, path]


class Resource(object):
    """A file or folder in a package (`importlib.resources.abc.Traversable`), and what reads a package's own.

    The controller has it; there is none on this host.
    """

    def __init__(self, package, path=''):
        self.package, self.path = package, path

    def __repr__(self):
        return '<%s of package %s>' % (self.path or 'files', self.package)

    def __str__(self):
        root, inner = '/chopsticks:', [self.path]
        if self.package[0] != '/':
            inner = self.package.split('.') + inner
        elif self.package[1:-1]:
            root = modules[''][1][int(self.package[1:-1])]
            root = root.encode('utf-8') if OLD else root
        return '/'.join([root] + [name for name in inner if name])

    @property
    def name(self):
        return str(self).rpartition('/')[2]

    @property
    def suffix(self):
        stem, dot, suffix = self.name.rpartition('.')
        return dot + suffix if stem and suffix else ''

    @property
    def stem(self):
        return self.name[:len(self.name) - len(self.suffix)]

    @property
    def parent(self):
        return self.joinpath('..')

    def kind(self):
        """Whether it is a folder; `None` when there is no such thing."""
        if not self.path:
            return folder(self.package, '') != {} or None
        parent, _, leaf = self.path.rpartition('/')
        return folder(self.package, parent).get(leaf)

    def listing(self):
        return folder(self.package, self.path)

    def exists(self):
        return self.kind() is not None

    def is_dir(self):
        return self.kind() is True

    def is_file(self):
        return self.kind() is False

    def iterdir(self):
        for name in sorted(self.listing()):
            yield self.joinpath(name)

    def joinpath(self, *parts):
        package, path = self.package, self.path.split('/')
        for name in '/'.join(str(part) for part in parts).split('/'):
            if name == '..':
                if path[-1:] > ['']:
                    path.pop()
                elif package[0] != '/':
                    # A package in no other is in a root.
                    package = package.rpartition('.')[0] or '//'
            elif name not in ('', '.'):
                path.append(name)
        return Resource(package, '/'.join(name for name in path if name))

    def glob(self, pattern):
        """What is below, of these names: `**` stands for any folders."""
        import fnmatch
        first, _, rest = pattern.partition('/')
        if first == '**':
            for found in self.glob(rest) if rest else [self]:
                yield found
        for found in self.iterdir() if self.is_dir() else ():
            if first == '**':
                if found.is_dir():
                    for deeper in found.glob(pattern):
                        yield deeper
            elif fnmatch.fnmatchcase(found.name, first):
                for deeper in found.glob(rest) if rest else [found]:
                    yield deeper

    def rglob(self, pattern):
        return self.glob('**/' + pattern)

    __div__ = __truediv__ = joinpath

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

    def read_text(self, encoding=None, errors=None, newline=None):
        with self.open('r', -1, encoding, errors, newline) as file:
            return file.read()

    def __eq__(self, other):
        return isinstance(other, Resource) and (self.package, self.path) == (other.package, other.path)

    def __hash__(self):
        return hash((self.package, self.path))

    def files(self):
        return self

    def open_resource(self, name):
        return self.joinpath(name).open('rb')

    def resource_path(self, name):
        raise IOError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def is_resource(self, name):
        return self.joinpath(name).is_file()

    def contents(self):
        return sorted(self.listing())


def spot(path):
    """How the controller calls a file or folder of the codebase: the number of its root, and the path there."""
    roots = modules.get('', (0, ()))[1] or ()
    return max([(len(root), '/%s/%s' % (number, path[len(root) + 1:].rstrip('/')))
                for number, root in [('', '/chopsticks:')] + list(enumerate(roots))
                if (path + '/').startswith(root + '/')] or [(0, None)])[1]


def is_ours(path):
    """Whether a path is that of the codebase, and none below what the host itself imports from."""
    text = to_text(path if OLD else os.fsdecode(path)) + '/'
    return spot(text) and not any(text.startswith(to_text(folder) + '/') for folder in own)


def unfit_here(files):
    """Whether a module is there only as an extension module for other systems, which Python does not see."""
    good = [s[0] for s in imp.get_suffixes()] if OLD else imp.extension_suffixes() + ['.pyc']
    return files and not any(file[file.find('.'):] in good for file in files)


def refused(name, form, payload):
    """The entry of a module that cannot be sent, which raises; `None` if it is as good as not there."""
    # Without a format it comes from the transport: nobody answered, or the module is over the limit.
    told = marshal.loads(payload) if form & 15 else {u'message': u'cannot be sent'}
    if unfit_here(told.get('files')):
        return None
    # What is raised here 2.7 takes for a module that is not there.
    why = told['message']
    return 0, u'codebase', (u'raise ImportError(%r%s)' % (
        why if name in why else name + ': ' + why, '' if OLD else ', name=%r' % name)).encode('utf-8'), ()


def at(path):
    """The file or folder of a path that was made from `__file__`, `__path__` or what `files` returns."""
    where = spot(os.path.normpath(to_text(path if OLD else os.fsdecode(path))))
    if where and where[:2] == '//' and len(where) > 2:
        # By the name of the outermost package, as `import` finds it.
        package, _, path = where[2:].partition('/')
        if '.' not in package:
            return Resource(package, path)
    return where and of_key(where)


def of_key(key):
    """The folder that the controller knows by the name of a package, or by where it is."""
    number, _, path = key[1:].partition('/')
    return Resource('/%s/' % number, path) if key[0] == '/' else Resource(key)


def get_data(self, path):
    """The content of a file of the package, by a path made from `__file__` or `__path__`."""
    if path == self.file:
        return self.source
    file = at(path)
    if not file:
        raise IOError(errno.ENOENT, 'Not in the codebase', path)
    return file.read_bytes()


def archive(self):
    """What takes a loader for one of a zip file reads. `importlib.resources.files` of Python 3.9 opens it."""
    frame = sys._getframe(1)
    while frame.f_globals is globals():
        frame = frame.f_back
    if sys.version_info[:2] != (3, 9) or frame.f_globals.get('__name__') != 'importlib._common':
        return '/chopsticks:'
    import zipfile
    root = of_key(self.key) if self.kind else of_key(self.key).parent

    class Archive(zipfile.CompleteDirs):
        def __init__(self, filename):
            self.filename = filename

        def __fspath__(self):
            return self.filename

        def namelist(self, at='./'):
            names = []
            for name, is_folder in sorted(root.joinpath(at).listing().items()):
                names += [at + name] if not is_folder else [at + name + '/'] + self.namelist(at + name + '/')
            return names

        def _name_set(self):
            return set(self.namelist())

        def open(self, name, *_, **__):
            return root.joinpath(name).open('rb')

        def close(self):
            pass

    return Archive(os.path.dirname(self.file))


class Folder(Finder):
    """Finds the modules of a folder by where it is, whatever packages are around it."""

    def find_spec(self, name, *_):
        leaf = name.rpartition('.')[2]
        # The list is here, so names that are not there cost nothing.
        if not any(leaf == there.partition('.')[0] for there in of_key(self.key).listing()):
            return
        found = find(name, self.key + ('/' if self.key[-1] != '/' else '') + leaf, self.path + '/' + leaf)
        if found and getattr(found if OLD else found.loader, 'kind', 0) > 1:
            # A portion of a namespace package, which others may have further ones of.
            found = None if OLD else found
            if found:
                found.loader = None
        return found

    if OLD:
        find_module = find_spec


def in_folder(path):
    """The finder of a folder, for `sys.path_hooks`."""
    key = is_ours(path) and spot(os.path.normpath(to_text(path if OLD else os.fsdecode(path))))
    if not key or not of_key(key).is_dir():
        raise ImportError(path)
    return Folder(path, key)


def iter_modules(self, prefix=''):
    """As `pkgutil` lists a folder on the disk."""
    from inspect import getmodulename
    here = of_key(self.key)
    seen = set(['__init__'])
    for file, is_folder in sorted(here.listing().items()):
        name = getmodulename(file)
        if not name and is_folder and '.' not in file:
            if any(getmodulename(leaf) == '__init__' for leaf in here.joinpath(file).listing()):
                name = file
        if name and '.' not in name and name not in seen:
            seen.add(name)
            yield prefix + name, is_folder


def find_distributions(self, *context):
    part('distributions')
    return distributions(*context)


def guise(self):
    """What `__class__` of a finder or loader says: a class that `pkg_resources` knows, and others the like of."""
    if 'pkg_resources' in sys.modules:
        part('distributions')
        register()
    return Zipped if type(self) is CodebaseLoader else type(self)


class Zipped(__import__('zipimport').zipimporter):
    """What loaders pass for, so that nobody looks for their data on the disk. There are no objects of it."""
    pass


def unfit(self, error):
    """The SyntaxError for an error of `compile`, with file and line also where that leaves them out."""
    if getattr(error, 'filename', None):
        return error
    source = self.source if type(self.source) is bytes else self.source.encode('utf-8', 'replace')
    line = source[:max(source.find(b'\0'), 0)].count(b'\n') + 1
    known = SyntaxError(getattr(error, 'msg', None) or str(error), (self.file, line, None, None))
    known.__cause__ = None
    return known


def names_of(self):
    """The files of a zip file, as `jinja2` lists templates."""
    found = {}
    top = of_key(self.key.partition('.')[0])
    for file in top.rglob('*'):
        if file.is_file():
            found[str(file)[len('/chopsticks:/'):]] = None
    return found


Finder.iter_modules = iter_modules
Finder.find_distributions = find_distributions
Finder.invalidate_caches = lambda self: folders.clear()
Finder.guise = CodebaseLoader.guise = property(guise)
CodebaseLoader.get_data = get_data
CodebaseLoader.get_code = lambda self, name=None: compile(self.source or b'', self.file or self.place, 'exec', 0, 1)
CodebaseLoader.get_filename = lambda self, name=None: self.file
CodebaseLoader.path = property(lambda self: self.file)
CodebaseLoader.get_resource_reader = lambda self, name=None: of_key(
    self.key) if self.kind else of_key(self.key).parent
CodebaseLoader.is_package = lambda self, name=None: self.kind > 0
CodebaseLoader.iter_modules = iter_modules
CodebaseLoader.unfit = unfit
CodebaseLoader.prefix = ''
CodebaseLoader._files = property(names_of)
CodebaseLoader.archive = property(archive)
