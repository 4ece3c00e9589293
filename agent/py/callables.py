"""What a call may name, beyond `module:name`."""

sources = {}        # source text -> a lock, the module it became, that one's name
making = allocate_lock()


class Loader(object):
    """Gives tracebacks the lines of a module that is not on this host's disk."""

    def __init__(self, source):
        self.source = source

    def get_source(self, name):
        return self.source


def from_source(source, name, values, file):
    key = source
    if OLD:
        source, file = source.encode('utf-8'), file.encode('utf-8')
    with making:
        made = sources.setdefault(key, [allocate_lock(), None, '__chopsticks_source_%d__' % len(sources)])
    # Calls that overlap wait here: the text runs once.
    with made[0]:
        module = made[1]
        if not module:
            module = sys.modules[made[2]] = type(sys)(made[2])
            module.__file__ = file
            module.__loader__ = Loader(source)
            module.__dict__.update(values)
            # On 2.7 a byte order mark says what the bytes are.
            exec(compile(b'\xef\xbb\xbf' + source if OLD else source, file, 'exec', 0, 1), module.__dict__)
            made[1] = module
    module.__dict__.update(values)
    return attributes(module, name)


def attributes(value, path):
    for name in path.split('.'):
        value = getattr(value, name)
    if not callable(value):
        raise AttributeError('%r is a %s, not callable' % (path, type(value).__name__))
    return value


def resolve(function):
    if type(function) is tuple:
        return from_source(*function)
    module, colon, path = function.partition(':')
    if colon:
        if not path or not module:
            raise AttributeError('%r is not of the form module:function' % (function,))
        __import__(module)
        return attributes(sys.modules[module], path)
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
        return attributes(sys.modules[module], '.'.join(names[n:]))
    return attributes(sys.modules['__builtin__' if OLD else 'builtins'], function)
