"""A second implementation of the pencode format, to test the first against.

It is written from the description in docs/pencode.md and shares no code with anything. The test
runs it with a command and talks to it through lines of hexadecimal:

    codec.py echo      for each buffer read: whether numbers are written as Python writes them,
                       the structure as JSON, and the value written again
    codec.py same      for each buffer read, a list of two: whether they are one object
    codec.py values    writes buffers of many values, each with its structure as JSON
"""

import json
import random
import struct
import sys

SEQUENCES = {"l": list, "t": tuple, "q": set, "Q": frozenset}
TAGS = {list: "l", tuple: "t", set: "q", frozenset: "Q"}


class Late:
    """Stands for a tuple or frozenset that is still being read."""

    def __init__(self):
        self.homes = []


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.objects = [None, False, True]

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("short at %d" % self.at)
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self):
        return struct.unpack(">I", self.take(4))[0]

    def value(self):
        tag = self.take(1).decode("ascii")
        if tag in "nFT":
            return {"n": None, "F": False, "T": True}[tag]
        if tag == "R":
            return self.objects[self.number()]
        index = len(self.objects)
        self.objects.append(None)
        value = self.objects[index] = getattr(self, "read_" + tag, self.sequence)(tag, index)
        return value

    def read_i(self, tag, index):
        text = self.take(self.number()).decode("ascii")
        if str(int(text)) != text:
            raise ValueError("integer %r" % text)
        return int(text)

    def read_f(self, tag, index):
        text = self.take(self.number()).decode("ascii")
        if repr(float(text)) != text:
            raise ValueError("float %r instead of %r" % (text, repr(float(text))))
        return float(text)

    def read_s(self, tag, index):
        return self.take(self.number()).decode("utf-8")

    def read_S(self, tag, index):
        return self.take(self.number()).decode("ascii")

    def read_b(self, tag, index):
        return self.take(self.number())

    def read_d(self, tag, index):
        value = self.objects[index] = {}
        for _ in range(self.number()):
            key = self.value()
            self.put(value, key, self.value())
        return value

    def sequence(self, tag, index):
        kind = SEQUENCES[tag]
        count = self.number()
        if kind is list:
            value = self.objects[index] = []
            for at in range(count):
                value.append(None)
                self.put(value, at, self.value())
            return value
        if kind is set:
            value = self.objects[index] = set()
            for _ in range(count):
                value.add(self.value())
            return value
        late = self.objects[index] = Late()
        value = kind([self.value() for _ in range(count)])
        for home, key in late.homes:
            home[key] = value
        return value

    @staticmethod
    def put(home, key, value):
        if isinstance(value, Late):
            value.homes.append((home, key))
        home[key] = value


def loads(data):
    reader = Reader(data)
    value = reader.value()
    if reader.at != len(data):
        raise ValueError("long at %d" % reader.at)
    return value


class Writer:
    def __init__(self):
        self.parts = []
        self.numbers = {}
        self.kept = []

    def put(self, tag, payload):
        self.parts.append(tag.encode("ascii") + struct.pack(">I", len(payload)) + payload)

    def count(self, tag, count):
        self.parts.append(tag.encode("ascii") + struct.pack(">I", count))

    def value(self, value):
        if value is None or value is True or value is False:
            self.parts.append({None: b"n", True: b"T", False: b"F"}[value])
            return
        if id(value) in self.numbers:
            self.count("R", self.numbers[id(value)])
            return
        self.numbers[id(value)] = len(self.numbers) + 3
        self.kept.append(value)
        kind = type(value)
        if kind is int:
            self.put("i", str(value).encode("ascii"))
        elif kind is float:
            self.put("f", repr(value).encode("ascii"))
        elif kind is str:
            self.put("s", value.encode("utf-8"))
        elif kind is bytes:
            self.put("b", value)
        elif kind is dict:
            self.count("d", len(value))
            for key in value:
                self.value(key)
                self.value(value[key])
        else:
            self.count(TAGS[kind], len(value))
            for item in value:
                self.value(item)


def dumps(value):
    writer = Writer()
    writer.value(value)
    return b"".join(writer.parts)


def structure(value, seen):
    """Returns the structure as JSON. Only what can change has an identity in it, since Python is
    free to make equal numbers or texts one object."""
    kind = type(value)
    if kind in (list, set, dict):
        if id(value) in seen:
            return ["ref", seen[id(value)]]
        seen[id(value)] = len(seen)
    if kind in (list, tuple, set, frozenset):
        return [kind.__name__, [structure(item, seen) for item in value]]
    if kind is dict:
        return ["dict", [[structure(key, seen), structure(value[key], seen)] for key in value]]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind in (int, float):
        return [kind.__name__, repr(value)]
    return [kind.__name__, value]


def hashable(rng, depth):
    choice = rng.randrange(8 if depth else 6)
    if choice == 0:
        return rng.choice([None, True, False])
    if choice == 1:
        return rng.randrange(-1000, 1000)
    if choice == 2:
        return rng.randrange(-(10**40), 10**40)
    if choice == 3:
        return struct.unpack("d", struct.pack("Q", rng.getrandbits(64)))[0]
    if choice == 4:
        return "".join(rng.choice("abc\n\0'\"\xe9\u20ac\U0001f600") for _ in range(rng.randrange(8)))
    if choice == 5:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(8)))
    kind = tuple if choice == 6 else frozenset
    return kind([hashable(rng, depth - 1) for _ in range(rng.randrange(4))])


def anything(rng, depth, made):
    choice = rng.randrange(6 if depth else 1)
    if choice == 5 and made:
        return rng.choice(made)
    if choice < 2:
        return hashable(rng, 2)
    if choice == 2:
        value = set()
        made.append(value)
        value.update(hashable(rng, 1) for _ in range(rng.randrange(4)))
    elif choice == 3:
        value = {}
        made.append(value)
        for _ in range(rng.randrange(4)):
            value[hashable(rng, 1)] = anything(rng, depth - 1, made)
    elif choice == 4:
        value = tuple([anything(rng, depth - 1, made) for _ in range(rng.randrange(4))])
    else:
        value = []
        made.append(value)
        for _ in range(rng.randrange(5)):
            value.append(anything(rng, depth - 1, made))
    return value


def values():
    rng = random.Random(20)
    for exponent in range(-1074, 1024):
        yield [2.0**exponent, -(2.0**exponent) * 1.1]
    yield [10.0**exponent for exponent in range(-320, 309)]
    yield [struct.unpack("d", struct.pack("Q", rng.getrandbits(64)))[0] for _ in range(20000)]
    yield [rng.randrange(10**17) / 10 ** rng.randrange(20) for _ in range(20000)]
    yield [float("inf"), float("-inf"), float("nan"), -0.0, 0.0]
    yield [10**power for power in range(300)]
    for _ in range(1500):
        yield anything(rng, 5, [])


def main(command):
    sys.setrecursionlimit(10000)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    if command == "values":
        for value in values():
            print(dumps(value).hex(), json.dumps(structure(value, {})))
        return
    for line in sys.stdin:
        value = loads(bytes.fromhex(line.strip()))
        if command == "same":
            print(value[0] is value[1])
        else:
            print(dumps(value).hex(), json.dumps(structure(value, {})))


if __name__ == "__main__":
    main(sys.argv[1])
