"""A script: the kinds of callables and arguments, each with what it returns and the oldest Python that can run it."""
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import os.path
import pathlib
import sys
import time
import typing
import xml.etree.ElementTree as ET

FACTOR = 3
TABLE = {'a': [1, 2]}


def plain(x):
    return x * FACTOR


def uses_other(x):
    return plain(x) + len(TABLE['a'])


def uses_module():
    return ET.fromstring('<a b="1"/>').get('b'), os.path.basename('/x/y')


def mutual(n):
    return n if n <= 0 else other_way(n - 1)


def other_way(n):
    return mutual(n)


def deco(f):
    @functools.wraps(f)
    def wrapper(*a, **k):
        return ['deco', f(*a, **k)]
    return wrapper


def bare_deco(f):
    def wrapper(*a, **k):
        return ['bare', f(*a, **k)]
    return wrapper


@deco
def decorated(x):
    return x + 1


@bare_deco
def bare_decorated(x):
    return x + 2


@deco
@bare_deco
def twice_decorated(x):
    return x + 3


def make_adder(n):
    def add(x):
        return x + n + FACTOR
    return add


def recursive_maker():
    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)
    return fact


def counter_maker():
    n = 0

    def bump():
        nonlocal n
        n += 1

    def value():
        return n
    return bump, value


class Thing:
    scale = 7

    def __init__(self, n):
        self.n = n

    def method(self, x):
        return self.n * x * FACTOR

    @staticmethod
    def static(x):
        return x * 2

    @classmethod
    def cls(cls, x):
        return x * cls.scale

    @property
    def double(self):
        return self.n * 2

    def __private(self):
        return 'private', self.n

    def mangled(self):
        return self.__private()

    class Inner:
        def __init__(self):
            self.value = 9


class Child(Thing):
    def method(self, x):
        return super().method(x) + 1


class Callable:
    def __call__(self, x):
        return x + 100


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

    def norm(self):
        return self.x + self.y


class Colour(enum.Enum):
    RED = 1


class Slots:
    __slots__ = ('a', 'b')

    def __init__(self, a, b):
        self.a, self.b = a, b


class Meta(type):
    def __new__(cls, name, bases, space):
        space['made'] = FACTOR
        return super().__new__(cls, name, bases, space)


class Made(metaclass=Meta):
    pass


REGISTRY = {}


def register(cls):
    REGISTRY[cls.__name__] = cls
    return cls


@register
class Registered:
    pass


class Node:
    """Its method needs a class that needs it."""

    def leaf(self):
        return Leaf().name()


class Leaf(Node):
    def name(self):
        return type(self).__name__, isinstance(self, Node)


if FACTOR:
    class Indented:
        text = '''
not indented'''


def total(points):
    return sum(p.norm() for p in points)


def describe(when, where, price, colour):
    return '%s %s %s %s' % (when.isoformat(), where.name, price * 2, colour.name)


async def coro(x):
    import asyncio
    await asyncio.sleep(0)
    return x + FACTOR


def apply(f, items):
    return [f(i) for i in items]


def counted(bump, value):
    bump()
    bump()
    return value()


def identity(a, b):
    return a is b, a == b


def cyclic(x):
    return x[0] is x


def back():
    items = [1]
    items.append(items)
    d = {'l': items}
    return [d, d, (1, d)]


def defaults(a, b=FACTOR, *rest, c='c'):
    return a, b, rest, c


def division(a, b):
    print('nowhere')
    return a / b, 'é'


def attribute(x):
    return x + attribute.extra


attribute.extra = 5


def nested_class(n):
    class Local:
        def __init__(self, m):
            self.m = m

        def both(self):
            return self.m + n, isinstance(self, Local)
    return Local


def nested_child(base):
    class Derived(base):
        def name(self):
            return type(self).__name__, type(self).__mro__[1].__name__
    return Derived


def make(cls, *args):
    return cls(*args)


def method_of(cls, name, *args):
    return getattr(cls(*args), name)()


def registry():
    return sorted(REGISTRY), REGISTRY['Registered'] is Registered


def attribute_of(value, name):
    return getattr(value, name)


Named = collections.namedtuple('Named', 'a b')
Typed = typing.NamedTuple('Typed', [('a', int), ('b', str)])
Functional = enum.Enum('Functional', 'ANT BEE')
Number = typing.TypeVar('Number')
pair = collections.namedtuple('Pair', 'left right')


def named(v):
    return v.a + v.b, v._replace(a=5).a, type(v).__name__


def pairs():
    return list(pair(1, 2)._asdict().items())


def member(v):
    return v.name, v is Functional.BEE, [m.name for m in Functional]


@functools.lru_cache(maxsize=5)
def remembered(n):
    return n if n < 2 else remembered(n - 1) + remembered(n - 2)


def of_type(x: Number) -> Number:
    return x


def generic(variable):
    return variable.__name__, variable is Number


def cases():
    yield 'module function', (time.time,), lambda r: isinstance(r, float)
    yield 'builtin', (len, [1, 2]), 2
    yield 'class of the library', (collections.Counter, 'aab'), {'a': 2, 'b': 1}
    yield 'method of a built-in type', (str.upper, 'a'), 'A'
    yield 'class method of a built-in type', (dict.fromkeys, ['a']), {'a': None}
    yield 'function of the script', (plain, 5), 15
    yield 'function with others', (uses_other, 5), 17
    yield 'function with modules', (uses_module,), ('1', 'y')
    yield 'mutual recursion', (mutual, 3), 0
    yield 'decorated (wraps)', (decorated, 1), ['deco', 2]
    yield 'decorated (bare)', (bare_decorated, 1), ['bare', 3]
    yield 'decorated twice', (twice_decorated, 1), ['deco', ['bare', 4]]
    yield 'what is decorated', (decorated.__wrapped__, 1), 2
    yield 'closure', (make_adder(10), 1), 14
    yield 'closure of itself', (recursive_maker(), 5), 120
    yield 'closures that share a variable', (counted,) + counter_maker(), 2, (3,)
    yield 'lambda', (lambda x: x + FACTOR, 1), 4
    n = 5
    yield 'lambda closure', (lambda x: x + n, 1), 6
    yield 'two lambdas in a line', ((lambda x: x * 2, lambda x: x * 3)[1], 2), 6
    yield 'equal lambdas in a line', ((lambda x: x * 2, lambda x: x * 2)[1], 2), 4
    yield 'lambdas of one text', (apply, lambda f: f(), [lambda i=i: i * n for i in range(3)]), [0, 5, 10]
    yield 'partial', (functools.partial(plain, 4),), 12
    yield 'partial of a lambda', (functools.partial(lambda a, b: a - b, b=1), 4), 3
    yield 'bound method', (Thing(2).method, 5), 30
    yield 'bound method with super', (Child(2).method, 5), 31, (3,)
    yield 'method of a class', (Thing.method, Thing(3), 5), 45
    yield 'mangled name', (Thing(2).mangled,), ('private', 2)
    yield 'static method', (Thing.static, 5), 10
    yield 'class method', (Thing.cls, 5), 35
    yield 'property', (attribute_of, Thing(4), 'double'), 8
    yield 'class', (lambda n: Thing(n).n, 6), 6
    yield 'class in a class', (attribute_of, Thing.Inner(), 'value'), 9
    yield 'callable instance', (Callable(), 5), 105
    yield 'bound method of the library', (datetime.datetime(2020, 1, 2).isoformat,), '2020-01-02T00:00:00'
    yield 'dataclass', (total, [Point(1, 2), Point(3)]), 6, (3, 7)
    yield 'enum', (attribute_of, Colour.RED, 'name'), 'RED', (3, 4)
    yield 'datetime, path, decimal, enum', (
        describe, datetime.date(2020, 1, 2), pathlib.Path('/a/b'), decimal.Decimal('1.5'), Colour.RED,
    ), '2020-01-02 b 3.0 RED', (3, 4)
    yield 'slots', (attribute_of, Slots(1, 2), 'b'), 2
    yield 'metaclass', (attribute_of, Made(), 'made'), 3, (3,)
    yield 'class decorator', (registry,), (['Registered'], True)
    yield 'classes that need each other', (method_of, Node, 'leaf'), ('Leaf', True)
    yield 'class in a block', (attribute_of, Indented, 'text'), '\nnot indented'
    yield 'class in a function', (method_of, nested_class(5), 'both', 2), (7, True)
    yield 'derived class in a function', (method_of, nested_child(Thing), 'name', 2), ('Derived', 'Thing')
    yield 'derived from a class in a function', (
        method_of, nested_child(nested_class(1)), 'name', 2), ('Derived', 'Local')
    yield 'namedtuple', (named, Named(1, 2)), (3, 5, 'Named')
    yield 'namedtuple of another name', (pairs,), [('left', 1), ('right', 2)]
    yield 'typed namedtuple', (attribute_of, Typed(1, 'b'), 'b'), 'b'
    yield 'enum of a call', (member, Functional.BEE), ('BEE', True, ['ANT', 'BEE']), (3, 4)
    yield 'lru_cache', (remembered, 30), 832040
    yield 'annotated function', (of_type, 5), 5, (3,)
    yield 'TypeVar', (generic, Number), ('Number', True), (3, 5)
    yield 'coroutine function', (coro, 1), 4, (3, 5)
    yield 'function as argument', (apply, make_adder(1), [1, 2]), [5, 6]
    yield 'method of a built-in type as argument', (apply, str.upper, ['a']), ['A']
    yield 'defaults', (defaults, 1), (1, 3, (), 'c'), (3,)
    yield 'keywords', (functools.partial(defaults, 1, 2, 4, c=5),), (1, 2, (4,), 5), (3,)
    yield 'meaning of Python 3', (division, 1, 2), (.5, 'é')
    yield 'attribute of a function', (attribute, 1), 6
    shared = [1]
    yield 'shared argument', (identity, shared, shared), (True, True)
    cycle = []
    cycle.append(cycle)
    yield 'cyclic argument', (cyclic, cycle), True
    yield 'cyclic result', (back,), lambda r: r[0] is r[1] and r[2][1] is r[0] and r[0]['l'][1] is r[0]['l']


def main():
    import far
    failed = count = 0
    with far.Tunnel() as tunnel:
        for call in tunnel.call, tunnel.call_known, tunnel.call_known:
            for name, (function, *args), wanted, *since in cases():
                if since and tunnel.version < since[0]:
                    continue
                count += 1
                try:
                    got = call(function, *args)
                except far.harness.Failed as e:
                    got = e.info['traceback'] or e.info
                except Exception as e:
                    got = '%s: %s' % (type(e).__name__, e)
                if not (wanted(got) if callable(wanted) else got == wanted):
                    failed += 1
                    print('%s: %s' % (name, got))
    print('%d of %d right' % (count - failed, count))
    return 1 if failed or count < 150 else 0


if __name__ == '__main__':
    sys.exit(main())
