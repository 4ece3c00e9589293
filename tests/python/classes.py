"""A script: classes and decorated functions as programs have them."""

import abc
import contextlib
import dataclasses
import enum
import functools
import sys
import typing
from types import FunctionType

import far

T = typing.TypeVar('T')
UNIT = 10
Pair = typing.Tuple[int, int]
NoneType = type(None)


class Shape(abc.ABC):
    registry = []

    def __init_subclass__(cls, unit=1, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.unit = unit * UNIT
        Shape.registry.append(cls.__name__)

    @abc.abstractmethod
    def area(self):
        raise NotImplementedError


class Square(Shape, unit=2):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2 * self.unit

    @property
    def half(self):
        return self.side / 2

    @half.setter
    def half(self, value):
        self.side = value * 2

    @staticmethod
    @functools.lru_cache(maxsize=None)
    def cached(n):
        return n + UNIT

    @classmethod
    def unit_square(cls):
        return cls(1)


class Box(typing.Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item

    def get(self) -> T:
        return self.item


class Named:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        return '%s.%s' % (owner.__name__, self.name)


class Holder:
    first = Named()
    squares = {n: n * n for n in range(3)}
    double = [n * 2 for n in squares.values()]
    table = {name: UNIT for name in ('a', 'b')}


class Planet(enum.Enum):
    EARTH = 1, 2
    MARS = 3, 4

    def __init__(self, mass, radius):
        self.mass, self.weight = mass, mass * UNIT

    def scaled(self):
        return self.weight * UNIT


class Permission(enum.IntFlag):
    READ = 1
    WRITE = 2


class Point(typing.NamedTuple):
    x: int
    y: int = UNIT

    def total(self):
        return self.x + self.y


@dataclasses.dataclass(order=True)
class Version:
    major: int
    minor: int = 0
    tags: typing.List[str] = dataclasses.field(default_factory=list)
    both: Pair = (0, 0)

    def bumped(self):
        return dataclasses.replace(self, major=self.major + 1)


class Refused(Exception):
    def __init__(self, code):
        super().__init__('refused: %d' % code)
        self.code = code

    def __reduce__(self):
        return Refused, (self.code,)


@contextlib.contextmanager
def doubled(n):
    yield n * 2


class Timed:
    """A decorator that is an object."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function, self.calls = function, 0

    def __call__(self, *args):
        self.calls += 1
        return self.function(*args), self.calls


@Timed
def timed(n):
    return n + UNIT


def parametrised(factor):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return factor * function(*args)

        wrapper.factor = factor
        return wrapper

    return decorate


@parametrised(3)
def tripled(n):
    """Three times."""
    return n


@functools.singledispatch
def kind_of(value):
    return 'thing'


@kind_of.register(int)
def _(value):
    return 'number %d' % (value + UNIT)


def uses_context(n):
    with doubled(n) as value:
        return value


def numbers(n):
    yield from range(n)


def consume(n):
    return list(numbers(n))


def raises(code):
    raise Refused(code)


def caught(code):
    try:
        raises(code)
    except Refused as e:
        return e.code, str(e)


def walrus(items):
    return [half for n in items if (half := n // 2)]


def recursive_local(n):
    def inner(k):
        return k if k < 1 else inner(k - 1) + n

    return inner(n)


def attributes(function):
    return function.factor, function.__name__, function.__doc__, function.__wrapped__(5)


def call(value, name, *args):
    found = getattr(value, name)
    return found(*args) if callable(found) else found


def half_of(square):
    square.half = 4
    return square.side, square.half


def cases():
    yield 'abstract', (Square(3).area,), 180
    yield 'subclass hook', (lambda: Square.unit,), 20
    yield 'property', (half_of, Square(3)), (8, 4.0)
    yield 'cached static method', (Square.cached, 5), 15
    yield 'class method', (lambda: Square.unit_square().area(),), 20
    yield 'generic', (Box([1]).get,), [1]
    yield 'descriptor', (lambda: (Holder.first, Holder().first),), ('Holder.first', 'Holder.first')
    yield 'comprehensions of a class', (lambda: (Holder.squares, Holder.double, Holder.table),), (
        {0: 0, 1: 1, 2: 4}, [0, 2, 8], {'a': 10, 'b': 10})
    yield 'enum with values', (lambda p: (p.scaled(), p is Planet.MARS, Planet((1, 2)).name), Planet.MARS), (300, True, 'EARTH')
    yield 'flags', (lambda p: (int(p), bool(p & Permission.WRITE)), Permission.READ | Permission.WRITE), (3, True)
    yield 'named tuple', (Point(1).total,), 11
    yield 'ordered dataclass', (lambda a, b: (a < b, a.bumped() == b, b.tags), Version(1), Version(2)), (True, True, [])
    yield 'exception', (caught, 5), (5, 'refused: 5')
    yield 'exception as argument', (lambda e: (e.code, str(e)), Refused(7)), (7, 'refused: 7')
    yield 'context manager', (uses_context, 4), 8
    yield 'decorator object', (timed, 1), (11, 1)
    yield 'decorator with arguments', (tripled, 4), 12
    yield 'attributes of a wrapper', (attributes, tripled), (3, 'tripled', 'Three times.', 5)
    yield 'generator within', (consume, 3), [0, 1, 2]
    yield 'types without a name', (lambda f: (isinstance(f, FunctionType), isinstance(f, NoneType)), tripled), (True, False)
    yield 'walrus', (walrus, [1, 4, 6]), [2, 3]
    if sys.argv[1:] in ([], [sys.executable]):
        # Its source is that of this Python.
        yield 'dispatch by type', (lambda *args: [kind_of(value) for value in args], 1, 'a'), ['number 11', 'thing']
    yield 'recursion within', (recursive_local, 3), 9


def main():
    failed = count = 0
    with far.Tunnel() as tunnel:
        if tunnel.version < (3, 8):
            print('1 of 1 right')
            return 0
        for _ in range(2):
            for name, (function, *args), wanted in cases():
                count += 1
                try:
                    got = tunnel.call(function, *args)
                except far.harness.Failed as e:
                    got = e.info['traceback'] or e.info
                except Exception as e:
                    got = '%s: %s' % (type(e).__name__, e)
                if got != wanted:
                    failed += 1
                    print('%s: %s' % (name, got))
    print('%d of %d right' % (count - failed, count))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
