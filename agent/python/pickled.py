"""Calls whose function and arguments are pickled. Functions and classes that no module has are sent as source text.

Only the controller's pickles are loaded here, and it may run any code on this host anyway. No pickles are sent to it.
"""
from io import BytesIO
if OLD:
    from cPickle import Unpickler
else:
    try:
        # Without the module around it, whose import is dear.
        from _pickle import Unpickler
    except ImportError:
        from pickle import Unpickler

definitions = {}    # number -> a definition that is not made yet
defined = {}        # number -> names that are the same at each call, a class or a function's code, and the globals
spaces = {}         # name -> the module that stands for one that only the controller has, such as its `__main__`
texts = {}          # file -> the lines of it that have come
if OLD:
    from threading import RLock as new_lock
else:
    from _thread import RLock as new_lock
defining = new_lock()
PARTS = 'chopsticks._source'


def unpickled(data, new, large, buffers):
    """Returns the function, or its name, with its arguments and its keyword arguments."""
    for definition in new:
        if definition[0] not in defined:
            definitions[definition[0]] = definition
    called, args, kwargs = load(data, large, buffers)
    if type(called) is tuple:
        number, values = called
        called = function(number)
        if values:
            filled(called, values)
    return called, args, kwargs


def load(data, large=(), buffers=()):
    if OLD:
        unpickler = Unpickler(BytesIO(data))  # noqa: S301 - the controller's
        unpickler.find_global = lambda module, name: found(module, name, large, general)
        return unpickler.load()
    # What is read into may be written to.
    unpickler = Finding(BytesIO(data), buffers=map(bytearray, buffers)) if buffers else Finding(BytesIO(data))
    unpickler.large = large
    return unpickler.load()


def found(module, name, large, general):
    """What a pickle has by its name."""
    if module == PARTS:
        return large.__getitem__ if name == 'large' else PICKLED[name]
    try:
        return general(module, name)
    except (AttributeError, ImportError):
        # A module that is private there: what it has is public in the package.
        package, _, leaf = module.rpartition('.')
        if not package or leaf[:1] != '_':
            raise
    return general(package, name)


def general(module, name):
    return getattr(imported_one(module), name)


if not OLD:
    class Finding(Unpickler):
        def find_class(self, module, name):
            return found(module, name, self.large, super(Finding, self).find_class)


def imported_one(module, *below):
    for name in (module,) + below:
        __import__(name)
    return sys.modules[module]


def space_of(name, importable):
    """The globals of a module."""
    if importable:
        return imported_one(name).__dict__
    if name not in spaces:
        # The one that is there is kept: Python 2.7 empties a module that nobody has.
        module = spaces[name] = type(sys)(str(name))
        spaces['', name] = sys.modules.get(name)
        if name == '__main__' or name not in sys.modules:
            sys.modules[name] = module
        # Else functions have none on Python 3.9 and before.
        module.__builtins__ = sys.modules['__builtin__' if OLD else 'builtins']
        if OLD:
            module.__metaclass__ = type
    return spaces[name].__dict__


def flags_of(features):
    """The flags of `compile`. A controller has Python 3, whose meaning of a text is had on 2.7 as far as it goes."""
    if OLD:
        features = list(features) + ['absolute_import', 'division', 'print_function', 'unicode_literals']
    if not features:
        return 0
    import __future__
    return sum(getattr(__future__, name).compiler_flag for name in set(features) if hasattr(__future__, name))


def compiled_text(file, line, text, features):
    import linecache
    path = file.encode('utf-8') if OLD else file
    lines = texts.setdefault(path, [])
    new = [(piece.encode('utf-8') if OLD else piece) + '\n' for piece in text.split('\n')]
    lines.extend(['\n'] * (line - 1 + len(new) - len(lines)))
    lines[line - 1:line - 1 + len(new)] = new
    # Without a time, for there need not be such a file.
    linecache.cache[path] = len(lines), None, lines, path
    flags = flags_of(features)
    if sys.version_info >= (3, 8):
        # Of a notebook: `await` outside of functions.
        flags |= 0x2000
    return compile('\n' * (line - 1) + text, path, 'exec', flags, 1)


def codes_in(code, name):
    """Every code object of a name in another, in the order of the text."""
    for inner in code.co_consts:
        if isinstance(inner, type(code)):
            if inner.co_name == name:
                yield inner
            for deeper in codes_in(inner, name):
                yield deeper


def define(number):
    """Makes a function's code or a class, once."""
    with defining:
        if number not in defined:
            _, kind, module, importable, file, line, text, features, names, details = definitions[number]
            space = space_of(module, importable)
            code = compiled_text(file, line, text, features)
            same = {}
            for name, source, path in names:
                value = imported_one(source)
                for step in path.split('.') if path else ():
                    value = getattr(value, step)
                if name:
                    same[str(name)] = value
            made = code_of(code, file, *details) if kind == 'function' else class_of(code, space, same, *details)
            # A class has got its globals, and gets them anew with the values of each call.
            defined[number] = same if kind == 'function' else {}, made, space
            definitions.pop(number, None)
    return defined[number]


def code_of(code, file, name, line, place, count):
    found = list(codes_in(code, name))
    at_line = [inner for inner in found if inner.co_firstlineno == line] or found
    if len(at_line) == 1 or at_line and count == 1:
        # Of some Pythons equal ones are one.
        return at_line[0]
    if len(at_line) == count:
        return at_line[place]
    raise TypeError("'%s' at line %d of %s cannot be told from others there by this Python" % (
        to_text(name), line, to_text(file)))


def class_of(code, space, same, name, qualname, values):
    """Runs a class statement, which for a nested class is in a function that gets the variables around it."""
    values, cells = load(values)
    values = dict((str(key), value) for key, value in values.items())
    values.update(same)
    before = dict((key, space[key]) for key in values if key in space)
    space.update(values)
    made = {}
    exec(code, space, made)
    made = made[WRAPPER](*cells) if WRAPPER in made else made[str(name)]
    # Other calls may have set names since, to what they are now.
    space.update(before)
    if not OLD and made.__qualname__ != qualname:
        made.__qualname__ = qualname
    return made


WRAPPER = '_chopsticks'


def function(number, *cells):
    same, code, space = defined.get(number) or define(number)
    space.update(same)
    return type(run)(code, space, code.co_name, None, cells or None)


def kind(number):
    if not number:
        # A class whose statement is about to run.
        return None
    return (defined.get(number) or define(number))[1]


def fill(made, state):
    """Gives a function, or a class, the values of this call."""
    filled(made, *state)


def filled(made, values=None, contents=(), defaults=None, keywords=None, attributes=None, names=()):
    if values:
        number, values = values
        (defined.get(number) or define(number))[2].update(
            values if not OLD else dict((str(key), value) for key, value in values.items()))
    for cell, content in contents:
        try:
            cell.cell_contents = content
        except (AttributeError, TypeError):
            import ctypes
            ctypes.pythonapi.PyCell_Set(ctypes.py_object(cell), ctypes.py_object(content))
    if defaults:
        setattr(made, '__defaults__', defaults)
    if keywords:
        made.__kwdefaults__ = keywords
    if attributes:
        made.__dict__.update(attributes)
    for name, value in names:
        setattr(made, str(name), str(value) if OLD and value else value)


def cell():
    if 0:
        value = 0

    def inner():
        return value
    return inner.__closure__[0]


def once(number, make, args, kwargs, module):
    """What a function makes, the same at each call: a class that no text defines."""
    with defining:
        if number not in defined:
            if OLD:
                args = [str(arg) if type(arg) is type(u'') else arg for arg in args]
                kwargs = dict((str(key), value) for key, value in kwargs.items())
            made = make(*args, **kwargs)
            try:
                made.__module__ = str(module)
            except AttributeError:
                pass
            defined[number] = {}, made, {}
    return defined[number][1]


def cached(function, size, typed):
    try:
        from functools import lru_cache
    except ImportError:
        return function
    return lru_cache(size, typed)(function)


PICKLED = {'function': function, 'kind': kind, 'fill': fill, 'cell': cell, 'module': imported_one, 'once': once,
           'cached': cached}
