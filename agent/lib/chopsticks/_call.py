"""Packs a function and its arguments into the message of a call (`docs/wire.md`, section 6).

There are three ways, told apart by what they cost:

* A function that a module has, with arguments that are numbers, text, bytes or `None`: its name, and `marshal`.
* Any other argument: `pickle`, which the agent trusts, for it comes from its controller.
* A function or class that no module has which the agent can import, wherever it is in the pickle: its source text. See
  `_source.py`.
"""
import sys
import time
from marshal import dumps
from types import FunctionType, MethodType, ModuleType

SCALARS = frozenset((int, float, bool, bytes, str, type(None)))
# Bytes of this size and more are not copied: they are pieces of their own.
LARGE = 1 << 16
# Sources that are older are those that were imported.
STARTED = time.time()

# A function or class -> its name on the wire, its module, its path.
names = {}


class Packed:
    """What `pack` makes of a call.

    * `function`: the name, `module:qualname`, if the function is called by it and arguments are scalars, else `None`.
    * `payload`: with a name, the bytes of `marshal.dumps((args, kwargs), 2)`; without one, `message`.
    * `message`: the whole message of the call, a list of bytes-like pieces.
    * `modules`: the names of modules that the call imports.
    * `label`: what errors call the function.
    * `keys`: the numbers of the definitions in it. Once the call has been answered, the connection knows them.
    """

    __slots__ = ('function', 'keys', 'label', 'message', 'modules')

    def __init__(self, function, message, modules, label, keys=()):
        self.function = function
        self.message = message
        self.modules = modules
        self.label = label
        self.keys = keys

    @property
    def payload(self):
        if self.function is None:
            return self.message
        # A tuple of two in place of one of three, and no name.
        name = self.function.encode('utf-8', 'surrogatepass')
        return b'(\2\0\0\0' + self.message[0][10 + len(name):]


def pack(function, args, kwargs, protocol=2, known=()):
    """Returns the `Packed` call of `function` with a tuple of arguments and a dict of keyword arguments.

    `protocol` is the version of pickle that both sides read: 2 until the agent has said which Python it is, then what
    `protocol_for` returns. `known` has the keys of definitions that the connection has, which are left out.

    Raises `TypeError` for what cannot be sent, which names the argument or the global variable.
    """
    try:
        name, module, _ = names[function]
    except (KeyError, TypeError):
        name, module, _ = name_of(function)
    if name:
        for arg in args:
            if type(arg) not in SCALARS or type(arg) is bytes and len(arg) >= LARGE:
                break
        else:
            for arg in kwargs.values():
                if type(arg) not in SCALARS or type(arg) is bytes and len(arg) >= LARGE:
                    break
            else:
                return Packed(name, [dumps((name, args, kwargs or None), 2)], (module,), name)
    from chopsticks import _source
    return _source.pack(name, module, function, args, kwargs, protocol, known)


def protocol_for(version):
    """The version of pickle for an agent whose Python has `version`, such as `(3, 11)`."""
    version = tuple(version[:2])
    if version < (3,):
        return 2
    return 4 if version < (3, 8) else 5


def is_importable(name, scope=None):
    """Whether an agent that imports a module gets what is here, and not another or none."""
    if name == '__main__' or type(name) is not str:
        return False
    module = sys.modules.get(name)
    return getattr(module, '__spec__', None) is not None and (scope is None or vars(module) is scope)


def name_of(value):
    """The name of a function or class on the wire, its module and its path there; all `None` if it has none."""
    kind, owner = type(value), getattr(value, '__self__', None)
    is_fit = kind is not MethodType and kind.__hash__ is not None
    known = names.get(value) if is_fit else None
    if known:
        return known
    if kind is MethodType:
        if not isinstance(owner, type):
            return NAMELESS
        module, path = owner.__module__, '%s.%s' % (owner.__qualname__, value.__name__)
    elif owner is not None and type(owner) is not ModuleType or hasattr(value, '__objclass__'):
        # A method of a built-in type, such as `str.upper`. Pickle knows what those are called on 2.7.
        return NAMELESS
    else:
        module, path = getattr(value, '__module__', None), getattr(value, '__qualname__', None)
        if not (isinstance(value, type) or kind is FunctionType or owner is not None or callable(value)):
            return NAMELESS
    if type(path) is not str or '<' in path or not is_importable(module):
        if kind is FunctionType and not (value.__closure__ or value.__defaults__ or value.__dict__):
            # Of those with values of their own none is kept alive.
            remember(value, NAMELESS)
        return NAMELESS
    if lead(module, path) is not value and (kind is not MethodType or lead(module, path) != value):
        return NAMELESS
    module = public(module, path, value)
    found = path if module == 'builtins' and '.' not in path else '%s:%s' % (module, path), module, path
    if is_fit:
        remember(value, found)
    return found


def remember(value, found):
    if len(names) > 10000:
        names.clear()
    names[value] = found


NAMELESS = None, None, None


def lead(module, path):
    """What `path` leads to in a module."""
    found = sys.modules.get(module)
    for step in path.split('.'):
        found = getattr(found, step, None)
    return found


def public(module, path, value):
    """The name of a module that all versions of Python have, for one that is private: `io` for `_io`."""
    package, _, leaf = module.rpartition('.')
    if leaf[:1] == '_' and leaf[:2] != '__':
        for other in (package, package + '.' + leaf[1:] if package else leaf[1:]):
            if is_importable(other) and lead(other, path) is value:
                return other
    return module
