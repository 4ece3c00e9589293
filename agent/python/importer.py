"""Modules that the controller's codebase has and this host does not have."""
if OLD:
    import imp
else:
    import _imp as imp


loaded = {}         # name -> the loader that has run it


class CodebaseLoader(object):
    """Runs one module of the codebase (PEP 302 and 451). The part `data` has what else loaders can do."""
    __getattr__ = late
    __class__ = Finder.disguised

    def __init__(self, name, kind, file, source, submodules, place=None, key=None):
        self.name, self.kind, self.source = name, kind, source
        self.file = file.encode('utf-8') if OLD and file else file
        # No folder: one of that name, with other files, may be on this host.
        self.place = place or '/chopsticks:/' + name.replace('.', '/')
        self.key = key or name

    def get_source(self, name=None):
        return get_source(self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        modules.pop(self.name, None)
        if self.key == self.name:
            loaded[self.name] = self
        if self.kind < 2:
            try:
                code = compile(self.source, self.file, 'exec', 0, 1)
            except (SyntaxError, TypeError, ValueError) as e:
                part('data')
                raise self.unfit(e)
            exec(code, module.__dict__)

    def load_module(self, name):
        """Only for Python 2."""
        there = sys.modules.get(name)
        module = there or sys.modules.setdefault(name, type(sys)(name))
        module.__loader__ = self
        module.__package__ = name if self.kind else name.rpartition('.')[0]
        if self.kind:
            module.__path__ = [self.place]
        if self.file:
            module.__file__ = self.file
        try:
            self.exec_module(module)
        except:  # noqa: E722 - an exception need not be a BaseException.
            if not there:
                del sys.modules[name]
            raise
        return sys.modules[name]


def get_source(loader):
    """The text of a module (on 2.7 its bytes)."""
    if OLD and loader.source and loader.source[:3] == b'\xef\xbb\xbf':
        return loader.source[3:]
    if OLD or type(loader.source) is not bytes:
        return loader.source
    from io import BytesIO, TextIOWrapper
    from tokenize import detect_encoding
    return TextIOWrapper(BytesIO(loader.source), detect_encoding(BytesIO(loader.source).readline)[0]).read()


def native(name):
    """Whether this host has the outermost module `name`. Only for Python 2, which closes the file when it is let go."""
    try:
        return imp.find_module(name)
    except ImportError:
        pass


def hook(path):
    """For `sys.path_hooks`: finds the modules in folders of the codebase by the folder."""
    roots = modules.get('', (0, ()))[1] or ()
    text = to_text(path if OLD else os.fsdecode(path)) + '/'
    if any(text.startswith(root) for root in list(roots) + ['/chopsticks:/']):
        part('data')
        return in_folder(path)
    raise ImportError(path)


def find(name, key=None, place=None):
    """Returns the spec (on 2.7 the loader) of a module; `None` when the codebase has it not."""
    # There `sys.meta_path` comes before what the host has.
    if OLD and not key and '.' not in name and native(name):
        return
    entry = not key and modules.get(name)
    if not entry:
        frame = sys._getframe(2)
        while frame and (frame.f_globals is globals() or 'importlib' in frame.f_code.co_filename):
            frame = frame.f_code is not run.__code__ and frame.f_back
        wanted = frame and to_text('%s, line %d' % (frame.f_code.co_filename, frame.f_lineno)) or None
        operation, form, payload = ask(IMPORT, MARSHAL, marshal.dumps((to_text(key or name), wanted), 2))
        if operation == FAIL:
            part('data')
            entry = refused(name, form, payload)
        else:
            entry = marshal.loads(payload)
            entry = entry and entry[1:]
        if not entry:
            if not key:
                # Not to be asked for again.
                parent, _, leaf = name.rpartition('.')
                listing[parent] = [n for n in listing[parent] if n != leaf] + ['!' + leaf]
            return
        if not key:
            # Until it is run: who only looks for it leaves it to those who import it.
            modules[name] = entry
            listing[name] = entry[3]
    if entry[0] == 3:
        part('disk')
        return unpacked(name, modules.pop(name)[2])
    loader = CodebaseLoader(name, *entry, place=place, key=key)
    if loader.kind and not key:
        sys.path_importer_cache[loader.place] = Finder(loader.place, name)
    if OLD:
        return loader
    from _frozen_importlib import ModuleSpec
    spec = ModuleSpec(name, loader, origin=loader.file)
    spec.has_location = loader.kind < 2
    if loader.kind:
        spec.submodule_search_locations = [loader.place]
    return spec


# What is below these is the host's, also where a root has the same path.
own = sys.path[:]
sys.path_importer_cache['/chopsticks:'] = Finder()
sys.path_hooks.insert(0, hook)
sys.path.append('/chopsticks:')
