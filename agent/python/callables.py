"""The functions that a call can name in forms other than `module:name`."""

sources = {}        # (source, module name) -> a lock, the module it became, the expression at its end
files = set()       # the names of texts
making = allocate_lock()
on_exit.append(sources.clear)


class Loader(object):
    """Makes a module of a text, and gives tracebacks and `inspect` its lines."""

    def __init__(self, source, file, values=(), expression=False):
        self.source, self.file = source, file
        # For children that are interpreters of their own, where a module imports it.
        self.text = source, file, values, expression

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        """Runs the text, and returns the code of the expression at its end."""
        _, _, values, expression = self.text
        module.__file__ = self.file
        module.__package__ = ''
        module.__dict__.update(values)
        code, end = compiled_of(self.source, self.file, expression, self)
        exec(code, module.__dict__)
        return end

    def get_source(self, name=None):
        part('importer')
        return get_source(self)

    def get_filename(self, name=None):
        return self.file


def from_source(source, name, values, file, module=None):
    key, given = (source, module), file
    if OLD:
        # There a byte order mark says what the bytes of a text are.
        source = source if type(source) is bytes else b'\xef\xbb\xbf' + source.encode('utf-8')
        file = file.encode('utf-8')
    with making:
        if key not in sources:
            # Texts without a file of their own are different ones, or the lines of one would be shown for another.
            label, n = file, 1
            while file.startswith('source:') and file in files:
                n += 1
                file = '%s-%d' % (label, n)
            files.add(file)
        made = sources.setdefault(key, [allocate_lock(), None, None])
    # Calls that overlap wait here: the text runs once.
    with made[0]:
        if not made[1]:
            made[1:] = make(source, values, file, module, not name)
    made[1].__dict__.update(values)
    # For tunnels from here, which pass the text on.
    made[1].__loader__.given = key[0], values, given, module
    if not name:
        value = eval(made[2], made[1].__dict__)
        if not callable(value):
            raise TypeError('the expression at the end of %s is of type %s, not callable' % (
                to_text(file), kind_of(value)))
        return value
    return attributes(made[1], name, file)


def make(source, values, file, wanted, expression):
    """The module of a source, which it runs, and the code of the expression at its end."""
    known = sys.modules.get(wanted)
    if known and getattr(getattr(known, '__loader__', None), 'source', None) == source:
        # A module of the codebase has imported the script before.
        return known, None
    name = label = file if not wanted or known or on_host(wanted) else str(wanted)
    while name in sys.modules:
        name = '%s-%d' % (label, len(sources))
        label += '-'
    module = type(sys)(name)
    module.__loader__ = Loader(source, file, values, expression)
    sys.modules[name] = module
    try:
        return module, module.__loader__.exec_module(module)
    except:  # noqa: E722 - an exception need not be a BaseException.
        sys.modules.pop(name, None)
        raise


def compiled_of(source, file, expression, loader):
    # With the flag of `ast.PyCF_ONLY_AST`: to import `ast` is dear.
    try:
        tree = compile(source, file, 'exec', 1024, 1) if expression else None
        end = tree and (tree.body.pop() if tree.body else None)
        if expression:
            import _ast
            if not isinstance(end, _ast.Expr):
                raise SyntaxError(
                    'the text does not end with an expression', (file, getattr(end, 'lineno', 1), 0, None))
            end = compile(_ast.Expression(end.value), file, 'eval', 0, 1)
        return compile(tree or source, file, 'exec', 0, 1), end
    except (SyntaxError, TypeError, ValueError) as e:
        part('data')
        raise unfit(loader, e)


def on_host(name):
    """Whether `name` is that of a module of this host, which no script replaces."""
    if OLD:
        part('importer')
        return native(name)
    # Those of folders may know the codebase too.
    specs = [finder.find_spec(name, None) for finder in list(sys.meta_path)
             if type(finder) is not Finder and hasattr(finder, 'find_spec')]
    return any(spec and type(spec.loader).__module__ != __name__ for spec in specs)


def kind_of(value):
    kind = type(value)
    return kind.__name__ if kind.__module__ in ('builtins', '__builtin__') else '%s.%s' % (
        kind.__module__, kind.__name__)


def close_to(name, names):
    """What to append to a message about `name`: those of `names` that are like it."""
    import difflib
    found = difflib.get_close_matches(name, [n for n in names if n[:2] != '__' or name[:2] == '__'], 3)
    return ' (near: %s)' % ', '.join(found) if found else ''


def attributes(value, path, label):
    """The callable at `path` in `value`, which messages call `label`."""
    label = to_text(label)
    for name in path.split('.'):
        try:
            value = getattr(value, name)
        except (AttributeError, UnicodeError):
            # Deeper frames: the user's own `__getattr__`, or what that had to do.
            if sys.exc_info()[2].tb_next:
                raise
            raise AttributeError("'%s' is not in %s%s" % (name, label, close_to(name, dir(value))))
        label += ('.' if ':' in label else ':') + name
    if not callable(value):
        raise AttributeError('%s is of type %s, not callable' % (label, kind_of(value)))
    return value


def imported(name):
    __import__(name)
    # The import of another call that was cancelled has taken the module from those who waited for it.
    if name not in sys.modules:
        __import__(name)
    return sys.modules[name]


def resolve(function):
    if type(function) is tuple:
        return from_source(*function)
    module, colon, path = function.partition(':')
    if colon:
        if not path or not module:
            raise AttributeError("'%s' is not of the form module:function" % function)
        return attributes(imported(module), path, module)
    names = function.split('.')
    for n in range(len(names) - 1, 0, -1):
        module = '.'.join(names[:n])
        try:
            __import__(module)
        except ImportError:
            # Deeper frames: the module is there, and failed.
            if n == 1 or sys.exc_info()[2].tb_next:
                raise
            continue
        return attributes(imported(module), '.'.join(names[n:]), module)
    return attributes(sys.modules['__builtin__' if OLD else 'builtins'], function, 'builtins')
