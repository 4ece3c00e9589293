"""Modules that the controller's codebase has and this host has not."""


class CodebaseLoader(object):
    """Runs one module of the codebase (PEP 302 and 451)."""

    def __init__(self, name, kind, file, source, submodules):
        self.name, self.kind, self.source = name, kind, source
        self.file = file.encode('utf-8') if OLD and file else file

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__file__ = self.file
        exec(compile(self.source, self.file, 'exec', 0, 1), module.__dict__)

    def load_module(self, name):
        module = sys.modules[name] = type(sys)(name)
        module.__loader__ = self
        module.__package__ = name
        if self.kind:
            module.__path__ = [self.place()]
        else:
            module.__package__ = name.rpartition('.')[0]
        try:
            if self.kind < 2:
                self.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    def place(self):
        # No folder: one of that name, with other files, may be on this host.
        return 'chopsticks:' + self.name

    def is_package(self, name):
        return self.kind > 0

    def get_source(self, name):
        if OLD:
            return self.source
        from io import BytesIO, TextIOWrapper
        from tokenize import detect_encoding
        return TextIOWrapper(BytesIO(self.source), detect_encoding(BytesIO(self.source).readline)[0]).read()

    def get_filename(self, name):
        return self.file


def find(name):
    """Returns the spec (on 2.7 the loader) of a module; `None` when the codebase has it not."""
    if OLD and '.' not in name:
        # Here `sys.meta_path` comes before what the host has.
        if name in sys.builtin_module_names:
            return
        import imp
        try:
            found = imp.find_module(name)[0]
            return found and found.close()
        except ImportError:
            pass
    entry = modules.pop(name, None)
    if not entry:
        operation, form, payload = ask(IMPORT, MARSHAL, marshal.dumps(name if not OLD else unicode(name), 2))
        if operation == FAIL:
            # Without a format it comes from the transport: nobody answered, or the module is over the limit. What is
            # raised here 2.7 takes for a module that is not there.
            why = marshal.loads(payload)['message'] if form & 15 else u'cannot be sent'
            entry = 0, u'codebase', (u'raise ImportError(%r)' % (name + ': ' + why)).encode('utf-8'), ()
        else:
            answer = marshal.loads(payload)
            if not answer:
                return None
            entry = answer[1:]
            listing[name] = entry[3]
    loader = CodebaseLoader(name, *entry)
    if OLD:
        return loader
    from _frozen_importlib import ModuleSpec
    spec = ModuleSpec(name, loader if loader.kind < 2 else None, origin=loader.file, is_package=loader.kind > 0)
    spec.has_location = loader.kind < 2
    if loader.kind:
        spec.submodule_search_locations.append(loader.place())
    return spec
