"""What a call may name, beyond `module:name`."""

sources = {}        # source text -> the module it became


class Loader(object):
    """Gives tracebacks the lines of a module that is not on this host's disk."""

    def __init__(self, source):
        self.source = source

    def get_source(self, name):
        return self.source


def from_source(source, name, values, file):
    module = sources.get(source)
    if not module:
        title = '__chopsticks_source_%d__' % len(sources)
        module = type(sys)(title)
        module.__file__ = file
        module.__loader__ = Loader(source)
        code = compile(source.encode('utf-8') if OLD else source, file, 'exec', 0, 1)
        sys.modules[title] = module
        module.__dict__.update(values)
        exec(code, module.__dict__)
        sources[source] = module
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
