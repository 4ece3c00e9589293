"""The encoding of functions and arguments in a call."""
import marshal
import sys
from gc import get_referents
from types import MethodType

from chopsticks._agent import OLD, agent, as_bytes, native, text

PLAIN, SCALARS = agent['PLAIN'], agent['SCALARS']
PYPY = 'PyPy' in sys.version
ADVICE = ': call a function that has a name in a module, and give it what it needs as arguments'


def label(function):
    return getattr(function, '__qualname__', None) or getattr(function, '__name__', None) or type(function).__name__


def refuse(function, why):
    raise TypeError('%s cannot be called on another host: %s%s' % (label(function), why, ADVICE))


def path_of(function):
    """The module in which a callable is to be found, and its path there."""
    if isinstance(function, MethodType):
        owner = function.__self__
        if owner is None:
            # A method of a class on Python 2, which is a function on Python 3.
            owner = function.im_class
        elif not isinstance(owner, type):
            refuse(function, 'it is a method of an instance')
        return path_of(owner)[0], '%s.%s' % (path_of(owner)[1], function.__name__)
    owner = getattr(function, '__self__', None)
    if isinstance(owner, type):
        # Such as `dict.fromkeys`.
        return owner.__module__, '%s.%s' % (label(owner), function.__name__)
    if owner is not None and not isinstance(owner, type(sys)):
        refuse(function, 'it is a method of an instance')
    owner = getattr(function, '__objclass__', None)
    if owner:
        # Such as `str.upper`.
        return owner.__module__, '%s.%s' % (label(owner), function.__name__)
    module = getattr(function, '__module__', None)
    if type(module) is not str or not (hasattr(function, '__name__') or hasattr(function, '__qualname__')):
        refuse(function, 'it is an object without a name')
    name = label(function)
    if '<lambda>' in name:
        refuse(function, 'it is a lambda')
    if '<locals>' in name:
        refuse(function, 'it is made within another function')
    if OLD and isinstance(function, type(refuse)) and getattr(sys.modules.get(module), name, None) is not function:
        # There a static method does not know its class.
        for other, owner in list(vars(sys.modules.get(module, sys)).items()):
            if isinstance(owner, type) and getattr(vars(owner).get(name), '__func__', None) is function:
                name = '%s.%s' % (other, name)
    return module, name


def is_there(function, module, path):
    """Whether a name leads to a callable, and not to another that has its name."""
    found = module
    for name in path.split('.'):
        found = getattr(found, name, None)
    if isinstance(function, MethodType):
        return getattr(found, '__func__', None) is function.__func__ and found.__self__ is function.__self__
    return found is function or found == function and found is not None


def wire_name(function):
    """What CALL has for a callable: its name, or a source and its name in that; and the module that it needs."""
    if not callable(function):
        raise TypeError('%r is not callable' % (function,))
    name, path = path_of(function)
    module = sys.modules.get(name)
    if name in agent.get('spaces', ()):
        # One that came by itself.
        refuse(function, 'it is a part of a script')
    if not is_there(function, module, path):
        refuse(function, 'it is not what %s has of that name' % name)
    given = getattr(getattr(module, '__loader__', None), '__dict__', {}).get('given')
    if given:
        source, values, file, script = given
        return (fit(source), text(path), fit(values), text(file), script), None
    if name == ('__builtin__' if OLD else 'builtins') and '.' not in path:
        return text(path), None
    return text('%s:%s' % (name, path)), name


def fit(value):
    """As it is, but for numbers and bytes of Python 2: `marshal` has forms for some that no other Python reads."""
    if not OLD:
        return value
    if type(value) is int:
        return long(value)  # noqa: F821
    if type(value) is str:
        return as_bytes(value)
    if type(value) in (list, tuple, set, frozenset):
        return type(value)([fit(item) for item in value])
    if type(value) is dict:
        return dict((fit(k), fit(v)) for k, v in value.items())
    return value


def is_plain(value):
    """Whether `marshal` carries a value as it is: nothing in it but plain types, and nothing that is in it twice."""
    level, seen = [value], set()
    while level:
        if not set(map(type, level)) <= PLAIN:
            return False
        boxes = [item for item in level if type(item) not in SCALARS and item]
        known = len(seen) + len(boxes)
        seen.update(map(id, boxes))
        if len(seen) < known:
            return False
        level = get_referents(*boxes)
    return True


def packed(function, args, kwargs):
    """The payload of CALL."""
    # PyPy does not report a part twice that a container holds twice.
    if not OLD and not PYPY and is_plain((args, kwargs)):
        try:
            # Version 2, which every Python reads.
            return marshal.dumps((function, args, kwargs or None), 2)
        except ValueError:
            pass
    agent['part']('values')
    return marshal.dumps((function, agent['pencode']((args, kwargs), 'arguments'), True), 2)


def failure(connection, host, form, payload):
    """The exception for a FAIL."""
    from chopsticks._errors import RemoteException
    if not form:
        why = {1: 'nobody answered', 2: 'cancelled', 3: 'the request or its result is over the limit'}
        return RemoteException(why.get(ord(payload[:1] or b'\0'), 'failed'), host)
    info = connection.value(form, payload)
    if type(info) is not dict:
        return RemoteException('failed, and does not say why', host)
    words = dict((native(k), native(v)) for k, v in info.items() if type(k) is type(v) is type(u''))
    message = words.get('message', '')
    if 'errno' in [native(k) for k in info if type(k) is type(u'')]:
        path = info.get(u'path')
        path = native(path.decode('utf-8', 'replace')) if type(path) is bytes else ''
        return RemoteException('%s: %s' % (path, message), host)
    if words.get('kind') == 'result':
        # The type is one of the agent's own.
        return RemoteException('the result cannot be encoded: %s' % message, host)
    error = RemoteException('%s: %s' % (words['type'], message) if words.get('type') else message, host,
                            words.get('traceback'))
    error.type_name = words.get('type')
    return error
