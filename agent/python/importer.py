"""Modules that the controller's codebase has and this host has not."""


class CodebaseLoader(Finder):
    """Runs one module of the codebase (PEP 302 and 451). The part `data` has what else loaders can do.

    In `sys.path_importer_cache` it also is what finds and lists the modules of its package.
    """

    def __init__(self, name, kind, file, source, submodules):
        self.name, self.kind, self.source = name, kind, source
        self.file = file.encode('utf-8') if OLD and file else file
        # No folder: one of that name, with other files, may be on this host.
        self.place = 'chopsticks:' + name

    def __getattr__(self, name):
        # A process that was forked cannot ask for the part.
        if name[0] != '_' and os.getpid() == PID:
            part('data')
        return object.__getattribute__(self, name)

    def get_source(self, name=None):
        return get_source(self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        modules.pop(self.name, None)
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


def find(name):
    """Returns the spec (on 2.7 the loader) of a module; `None` when the codebase has it not."""
    # There `sys.meta_path` comes before what the host has.
    if OLD and '.' not in name and native(name):
        return
    entry = modules.get(name)
    if not entry:
        frame = sys._getframe(2)
        while frame and (frame.f_globals is globals() or 'importlib' in frame.f_code.co_filename):
            frame = frame.f_code is not run.__code__ and frame.f_back
        wanted = frame and to_text('%s, line %d' % (frame.f_code.co_filename, frame.f_lineno)) or None
        operation, form, payload = ask(IMPORT, MARSHAL, marshal.dumps((to_text(name), wanted), 2))
        if operation == FAIL:
            # Without a format it comes from the transport: nobody answered, or the module is over the limit. What is
            # raised here 2.7 takes for a module that is not there.
            why = marshal.loads(payload)['message'] if form & 15 else u'cannot be sent'
            entry = 0, u'codebase', (u'raise ImportError(%r%s)' % (
                why if name in why else name + ': ' + why, '' if OLD else ', name=%r' % name)).encode('utf-8'), ()
        else:
            entry = marshal.loads(payload)
            if not entry:
                # Not to be asked for again.
                parent, _, leaf = name.rpartition('.')
                listing[parent] = [n for n in listing[parent] if n != leaf]
                return
            # Until it is run: who only looks for it leaves it to those who import it.
            entry = modules[name] = entry[1:]
            listing[name] = entry[3]
    loader = CodebaseLoader(name, *entry)
    sys.path_importer_cache[loader.place] = loader
    if OLD:
        return loader
    from _frozen_importlib import ModuleSpec
    spec = ModuleSpec(name, loader, origin=loader.file)
    spec.has_location = loader.kind < 2
    if loader.kind:
        spec.submodule_search_locations = [loader.place]
    return spec
