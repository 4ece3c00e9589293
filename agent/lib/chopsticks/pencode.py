"""pencode: primitive values as bytes, in which nothing can name code."""
import re
import struct

from chopsticks._agent import OLD, agent, native
from chopsticks._marshal import DEPTH, DIGITS, Keys

# Marks 8-bit data on Python 2, whose `str` passes for text.
Bytes = bytearray if OLD else bytes
INTEGER = re.compile(br'-?[0-9]+\Z')
FLOAT = re.compile(br'(-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?|-?inf|nan)\Z')
SURROGATE = re.compile(b'\xed[\xa0-\xbf]')
SIZE = struct.Struct('>L')
MAKE = {b'l': list, b't': tuple, b'q': set, b'Q': frozenset, b'd': dict}
CONSTANTS = {b'n': None, b'F': False, b'T': True}


def pencode(value):
    """The bytes of a value. What cannot be carried is a TypeError, which says where it is."""
    agent['part']('values')
    return agent['pencode'](value, 'value')


def text_of(data):
    if SURROGATE.search(data):
        raise ValueError('text with a surrogate')
    return data.decode('utf-8')


def scalar(tag, data):
    if tag == b'i':
        if len(data) > DIGITS or not INTEGER.match(data):
            raise ValueError('no integer')
        return int(data)
    if tag == b'f':
        if not FLOAT.match(data):
            raise ValueError('no float')
        return float(data)
    if tag == b's':
        return text_of(data)
    if tag == b'S':
        return native(data.decode('ascii'))
    if tag == b'b':
        return data
    raise ValueError('unknown tag %r' % tag)


class Open(object):
    """A container whose parts are being read."""
    __slots__ = 'tag', 'number', 'left', 'keys', 'parts', 'value', 'late'

    def __init__(self, tag, number, left, keys):
        self.tag, self.number, self.left, self.keys = tag, number, left, keys
        self.parts = []
        # References to what cannot be made before its parts are there: places in `parts`, and numbers.
        self.late = []
        self.value = MAKE[tag]() if tag in b'lqd' else None

    def make(self):
        """Gives the container its parts; all of these are there."""
        if self.tag in b'qQd':
            self.keys.check(self.parts[::2] if self.tag == b'd' else self.parts)
        if self.tag == b'l':
            self.value.extend(self.parts)
        elif self.tag == b'q':
            self.value.update(self.parts)
        elif self.tag == b'd':
            self.value.update(zip(self.parts[::2], self.parts[1::2]))
        else:
            self.value = MAKE[self.tag](self.parts)


def pdecode(data):
    """The value that is written in `data`, which may be anything: what is not a value is a ValueError."""
    try:
        return decoded(bytes(data))
    except (TypeError, OverflowError) as e:
        # Such as a list as a key.
        raise ValueError(str(e))


def decoded(data):
    objects = [None, False, True]
    unmade = {}     # number -> Open, whose parts have all been read and are not all made
    stack = []
    keys = Keys(len(data))
    pos = promised = 0
    while 1:
        tag = data[pos:pos + 1]
        if tag in CONSTANTS and tag:
            value, number = CONSTANTS[tag], 0
            pos += 1
        else:
            if len(data) < pos + 5:
                raise ValueError('cut short at byte %d' % pos)
            size, = SIZE.unpack(data[pos + 1:pos + 5])
            pos += 5
            number = len(objects)
            if tag == b'R':
                if size >= number or size < 3:
                    raise ValueError('reference to what is not there, at byte %d' % pos)
                number, value = size, objects[size]
            elif tag in MAKE:
                left = size * 2 if tag == b'd' else size
                # Those that are open are promised to others, and have their bytes behind them, as has this one.
                if left > len(data) - pos - (promised - len(stack)):
                    raise ValueError('more items than bytes, at byte %d' % pos)
                if len(stack) >= DEPTH:
                    raise ValueError('nested too deep')
                promised += left
                stack.append(Open(tag, number, left, keys))
                # Lists, sets and dicts are there while they are being read.
                objects.append(stack[-1].value if stack[-1].value is not None else stack[-1])
                value = stack
            else:
                if size > len(data) - pos:
                    raise ValueError('cut short at byte %d' % pos)
                value = scalar(tag, data[pos:pos + size])
                objects.append(value)
                pos += size
        while 1:
            if value is stack:
                top = stack[-1]
            elif not stack:
                if pos != len(data):
                    raise ValueError('%d bytes behind the value' % (len(data) - pos))
                finish(unmade, objects)
                return objects[number] if number else value
            else:
                top = stack[-1]
                if type(value) is Open:
                    top.late.append((len(top.parts), number))
                top.parts.append(value)
                top.left -= 1
                promised -= 1
            if top.left:
                break
            stack.pop()
            number = top.number
            if top.late:
                unmade[number] = top
                value = top.value if top.value is not None else top
            else:
                top.make()
                value = objects[number] = top.value


def finish(unmade, objects):
    """Makes what holds tuples and frozensets that were being read when they were referred to."""
    for top in unmade.values():
        # Those that can be changed are there for others already.
        if top.value is not None:
            objects[top.number] = top.value
    users, ready = {}, []
    for number, top in unmade.items():
        missing = [part for _, part in top.late if type(objects[part]) is Open]
        top.left = len(missing)
        for part in missing:
            users.setdefault(part, []).append(number)
        if not missing:
            ready.append(number)
    while ready:
        number = ready.pop()
        top = unmade.pop(number)
        for at, part in top.late:
            top.parts[at] = objects[part]
        top.make()
        objects[number] = top.value
        for user in users.pop(number, ()):
            unmade[user].left -= 1
            if not unmade[user].left:
                ready.append(user)
    if unmade:
        raise ValueError('a tuple that is a part of itself')
