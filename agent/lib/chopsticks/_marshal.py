"""The plain part of Python's `marshal` format, versions 0 to 4, read without trust.

Python's own reader creates code objects, and may crash the process on bytes that no Python has written.
"""
import re
import struct

# Containers in containers. Reading takes no more of the stack for more, but comparing and printing do.
DEPTH = 1000
# The most decimal digits of an integer, as in all that agents return; and how many bits that can be.
DIGITS = 4300
BITS = 14285
FLAG = 0x80
SURROGATE = re.compile(b'\xed[\xa0-\xbf]')
CONSTANTS = {b'N': None, b'T': True, b'F': False}
NUMBERS = dict((tag, struct.Struct(form)) for tag, form in ((b'i', '<i'), (b'I', '<q'), (b'g', '<d')))
SIZE = struct.Struct('<i')
# Tag -> bytes of the length in front.
TEXTS = {b'u': 4, b's': 4, b't': 4, b'a': 4, b'A': 4, b'z': 1, b'Z': 1}
MAKE = {b'(': tuple, b')': tuple, b'[': list, b'{': dict, b'<': set, b'>': frozenset}
MISSING = object()
# As many keys may have the same hash before it is counted whether telling them apart would take long.
ALIKE = 1000


def text_of(data):
    if SURROGATE.search(data):
        raise ValueError('text with a lone surrogate')
    return data.decode('utf-8')


class Keys(object):
    """Refuses keys of dicts and members of sets that would take long to hash or to tell apart.

    That is done in C, and nothing else in this process gets on meanwhile.
    """

    def __init__(self, size):
        # Of tuples in tuples in keys. More than bytes that came is only what is referred to again and again.
        self.left = (1 << 16) + size

    def check(self, keys):
        level = [key for key in keys if type(key) is tuple]
        while level:
            self.left -= sum(map(len, level))
            if self.left < 0:
                raise ValueError('keys that share too many parts')
            level = [item for key in level for item in key if type(item) is tuple]
        if len(keys) - len(set(map(hash, keys))) > ALIKE:
            counts = {}
            for key in keys:
                counts[hash(key)] = counts.get(hash(key), 0) + 1
            if sum(count * count for count in counts.values()) > ALIKE * ALIKE + len(keys) * 64:
                raise ValueError('too many keys with the same hash')
        return keys


class Reader(object):
    def __init__(self, data):
        self.data, self.pos = bytes(data), 0
        self.refs, self.interned = [], []
        self.keys = Keys(len(self.data))

    def take(self, size):
        if not 0 <= size <= len(self.data) - self.pos:
            raise ValueError('cut short at byte %d' % self.pos)
        piece = self.data[self.pos:self.pos + size]
        self.pos += size
        return piece

    def size(self, width=4):
        data = self.take(width)
        return SIZE.unpack(data)[0] if width == 4 else ord(data)

    def long(self):
        count = self.size()
        raw = self.take(abs(count) * 2)
        if abs(count) * 15 > BITS + 15:
            raise ValueError('integer of more than %d digits' % DIGITS)
        digits = struct.unpack('<%dH' % abs(count), raw)
        if any(digit >> 15 for digit in digits):
            raise ValueError('no integer')
        value = int(''.join(format(digit, '015b') for digit in reversed(digits)) or '0', 2)
        if value >= 10 ** DIGITS:
            raise ValueError('integer of more than %d digits' % DIGITS)
        return -value if count < 0 else value

    def scalar(self, tag):
        if tag in CONSTANTS:
            return CONSTANTS[tag]
        if tag in NUMBERS:
            return NUMBERS[tag].unpack(self.take(NUMBERS[tag].size))[0]
        if tag == b'l':
            return self.long()
        if tag == b'f':
            return float(self.take(self.size(1)))
        if tag == b'R':
            return self.of(self.interned, self.size())
        if tag not in TEXTS:
            raise ValueError('unknown type %r at byte %d' % (tag, self.pos - 1))
        data = self.take(self.size(TEXTS[tag]))
        if tag == b's':
            return data
        if tag == b'u':
            return text_of(data)
        if tag == b't':
            # Text that was interned. On Python 2 it would be a `str`, of which agents write none.
            value = text_of(data)
            self.interned.append(value)
            return value
        return data.decode('ascii')

    def of(self, values, number):
        if not 0 <= number < len(values) or values[number] is MISSING:
            raise ValueError('reference to an unknown object, at byte %d' % self.pos)
        return values[number]

    def read(self):
        """Returns the one value that is written."""
        stack = []      # [tag, items left or -1, items, place among the references or -1]
        while 1:
            code = ord(self.take(1))
            tag = bytes(bytearray((code & ~FLAG,)))
            place = -1
            if code & FLAG and tag != b'r':
                place = len(self.refs)
                self.refs.append(MISSING)
            if tag == b'0' and stack and stack[-1][1] < 0:
                value = self.made(stack.pop())
            elif tag == b'r':
                value = self.of(self.refs, self.size())
            elif tag in MAKE:
                left = -1 if tag == b'{' else self.size(1 if tag == b')' else 4)
                if left > len(self.data) - self.pos or left < -1 or left < 0 and tag != b'{':
                    raise ValueError('more items than bytes, at byte %d' % self.pos)
                if len(stack) >= DEPTH:
                    raise ValueError('nested too deep')
                stack.append((tag, left, [], place))
                if left:
                    continue
                value = self.made(stack.pop())
            else:
                value = self.scalar(tag)
                if place >= 0:
                    self.refs[place] = value
            while stack:
                _, left, items, _ = stack[-1]
                items.append(value)
                if len(items) != left:
                    break
                value = self.made(stack.pop())
            if not stack:
                break
        if self.pos != len(self.data):
            raise ValueError('%d bytes behind the value' % (len(self.data) - self.pos))
        return value

    def made(self, container):
        tag, _, items, place = container
        if tag == b'{':
            if len(items) % 2:
                raise ValueError('a key without a value')
            value = dict(zip(self.keys.check(items[::2]), items[1::2]))
        else:
            value = MAKE[tag](self.keys.check(items) if tag in b'<>' else items)
        if place >= 0:
            self.refs[place] = value
        return value


def loads(data):
    """The value that is written in `data`, which may be anything: what is not a plain value is a ValueError."""
    try:
        return Reader(data).read()
    except (TypeError, OverflowError) as e:
        # Such as a list as a key.
        raise ValueError(str(e))
