"""What the package of controllers has besides: modules of a codebase can import it by name, and use it there alone."""
import sys


def absent(name):
    """A class of this name, of which nothing can be made here."""
    def refuse(self, *args, **kwargs):
        raise TypeError('chopsticks.%s is for controllers, and this is a host' % name)
    return type(name.rpartition('.')[2], (object,), {'__init__': refuse, '__module__': 'chopsticks'})


class Absent(type(sys)):
    """A module of which nothing but the names is here."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        value = absent('%s.%s' % (self.__name__.rpartition('.')[2], name))
        setattr(self, name, value)
        return value


def replace(name):
    """Has a module replaced by one of which nothing but the names is here."""
    module = Absent(name)
    # Python 2 empties a module that nobody holds any more.
    module.origin = sys.modules[name]
    for key in ('__loader__', '__spec__', '__file__', '__package__'):
        if hasattr(module.origin, key):
            setattr(module, key, getattr(module.origin, key))
    sys.modules[name] = module
