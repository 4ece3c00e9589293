"""pencode: primitive values as bytes, in which nothing can name code."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Any

from chopsticks._chopsticks import pdecode as pdecode

__all__ = ['Bytes', 'pdecode', 'pencode']
CONSTANTS: dict[Any, bytes] = {None: b'n', True: b'T', False: b'F'}
CONTAINERS: dict[Any, bytes] = {list: b'l', tuple: b't', set: b'q', frozenset: b'Q', dict: b'd'}
pack = Struct('>cL').pack
#: The most digits of an integer, and how many bits that can be.
DIGITS = 4300
BITS = 14285


class Bytes(bytes):
    """8-bit data. On hosts with Python 2, whose `str` passes for text, it is a `bytearray`."""

    def __reduce__(self) -> Any:
        # By its name, which stands for another type over there.
        return Bytes, (bytes(self),)


def pencode(value: Any) -> bytes:
    """The bytes of a value. What cannot be carried is a ValueError."""
    made: list[bytes] = []
    numbers: dict[int, int] = {}
    # Iterators of the containers that are open. They keep their items, so that ids stay theirs.
    open_: list[Iterator[Any]] = [iter((value,))]
    while open_:
        for item in open_[-1]:
            if item is None or item is True or item is False:
                made.append(CONSTANTS[item])
                continue
            known = numbers.setdefault(id(item), len(numbers) + 3)
            if known < len(numbers) + 2:
                made.append(pack(b'R', known))
                continue
            kind = dict if isinstance(item, dict) else type(item)
            if kind in CONTAINERS:
                made.append(pack(CONTAINERS[kind], len(item)))
                items = [part for pair in dict.items(item) for part in pair] if kind is dict else item
                open_.append(iter(items))
                break
            tag, data = scalar(item)
            made.append(pack(tag, len(data)) + data)
        else:
            open_.pop()
    return b''.join(made)


def scalar(value: Any) -> tuple[bytes, bytes]:
    """The tag and the content of what has no items."""
    if type(value) is int:
        if value.bit_length() > BITS or abs(value) >= 10**DIGITS:
            raise ValueError('integer of more than %d digits' % DIGITS)
        return b'i', b'%d' % value
    if type(value) is float:
        return b'f', repr(value).encode()
    if type(value) is str:
        try:
            return b's', value.encode()
        except UnicodeEncodeError:
            raise ValueError('text with a lone surrogate') from None
    if type(value) in (bytes, bytearray, Bytes):
        return b'b', bytes(value)
    raise ValueError('%s is not a primitive type' % type(value).__name__)
