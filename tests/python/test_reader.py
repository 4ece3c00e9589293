"""What a host returns, read without trust: `chopsticks-pencode/tests/marshal_hostile.rs`, and what objects add."""

import marshal
import random
import struct
import sys
import time

import pytest

from chopsticks._chopsticks import loads, pdecode

# By Python 3.11, of values with references, interned and not.
DUMP = (
    b'\xfb\xda\x02id\xe9\x01\x00\x00\x00\xda\x04name\xf5\x02\x00\x00\x00\xc3\xa9\xda\x03bigl\x05\x00\x00\x00'
    b'\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\xda\x03raw\xf3\x01\x00\x00\x00\xff\xda\x03set<\x01\x00\x00\x00r'
    b'\x02\x00\x00\x00\xda\x06nested[\x02\x00\x00\x00\xa9\x02\xe7\x00\x00\x00\x00\x00\x00\xf8?N\xa9\x02TF\xda'
    b'\x04same[\x02\x00\x00\x00\xda\x03keyr\x0e\x00\x00\x00\xda\x06frozen>\x01\x00\x00\x00\xe9\x02\x00\x00\x00'
    b'0'
)
VALUE = {
    'id': 1,
    'name': 'é',
    'big': 2**70,
    'raw': b'\xff',
    'set': {1},
    'nested': [(1.5, None), (True, False)],
    'same': ['key', 'key'],
    'frozen': frozenset({2}),
}
PRIME = (1 << 61) - 1


def u32(number):
    return struct.pack('<I', number)


def fault(data):
    with pytest.raises(ValueError) as caught:
        loads(data)
    return str(caught.value)


def test_dump_is_read_and_cut_short_is_refused_at_every_byte():
    assert loads(DUMP) == VALUE
    for end in range(len(DUMP)):
        fault(DUMP[:end])
        fault(DUMP[:end] + b'?' + DUMP[end + 1 :]) if DUMP[end : end + 1] in b'\xfb\xdal' else None
    fault(DUMP + b'N')


def a_value(rng, depth=0):
    kind = rng.randrange(14 if depth < 5 else 8)
    if kind < 8:
        return [
            None,
            rng.random() < 0.5,
            rng.randrange(-(2**31), 2**31),
            rng.randrange(-(2**200), 2**200),
            rng.uniform(-1e300, 1e300),
            'ab\xe9\U0001f600'[: rng.randrange(5)] * rng.choice([1, 100]),
            bytes(rng.randrange(256) for _ in range(rng.randrange(9))),
            '',
        ][kind]
    items = [a_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind in (11, 12, 13):
        items = [item for item in items if is_hashable(item)]
        return dict.fromkeys(items, 1) if kind == 11 else set(items) if kind == 12 else frozenset(items)
    return items if kind == 8 else tuple(items) if kind == 9 else [items, items]


def is_hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


def same(one, other):
    if type(one) is not type(other):
        return False
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is dict:
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return one == other


@pytest.mark.parametrize('version', [0, 1, 2, 3, 4])
def test_what_marshal_writes_is_read_as_it_reads_it(version):
    rng = random.Random(7)
    for _ in range(300):
        value = a_value(rng)
        data = marshal.dumps(value, version)
        if version in (1, 2) and b't' in data:
            # A form of interned text that no agent uses.
            continue
        assert same(loads(data), marshal.loads(data)), value


def test_objects_that_are_shared_stay_so():
    shared = ['x']
    value = loads(marshal.dumps([shared, (shared, shared), {'a': shared}]))
    assert value[0] is value[1][0] is value[1][1] is value[2]['a']


def test_mutated_dumps_are_read_or_refused():
    rng = random.Random(11)
    codes = b'NTFilgfsutaAzZ()[{<>r0' + b'\xe9\xec\xe7\xf3\xf5\xf4\xe1\xfa\xda\xa8\xa9\xdb\xfb\xbc\xbe' + b'\0\1\2\3'
    read = 0
    for number in range(30000):
        if number % 2:
            data = bytes(rng.choice(codes) for _ in range(rng.randrange(40)))
        else:
            data = bytearray(DUMP)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            data = bytes(data)
        try:
            loads(data)
        except (ValueError, TypeError):
            continue
        read += 1
    assert read > 100


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'NN',
        b')\0\0\0',
        b'{00',
        b'Q',
        b'c\0\0',
        b'y\0\0',
        b'S',
        b'.',
        *[bytes([code]) + b'\xff\xff\xff\x7fN' for code in b'([<>sutaA'],
        *[bytes([code]) + b'\xfe\xff\xff\xffN' for code in b'([<>sutaAr'],
        b')\x02N',
        b'z\x05abcd',
        b'l\xff\xff\xff\x7f\x01\0',
        b'l\0\0\0\x80\x01\0',
        b'l\1\0\0\0\0\x80',
        b'l\2\0\0\0\1\0\0\0',
        b'f\0',
        b'f\1x',
        b'f\x031_0',
        b'f\2 1',
        b'f\x040x10',
        b'f\21e',
        b'u\1\0\0\0\xff',
        b'u\2\0\0\0a\xc3',
        b't\2\0\0\0\xc0\x80',
        b'u\4\0\0\0a\xed\xa0\x80',
        b'z\2\xc3\xa9',
        b'A\2\0\0\0\xc3\xa9',
        b'0',
        b'\xb0',
        b')\x010',
        b'[\1\0\0\0000',
        b'{z\1a0',
        b'{)\x010N0',
        b'{{00',
        b'r\0\0\0\0',
        b')\2i\0\0\0\0r\0\0\0\0',
        b')\2\xcer\0\0\0\0',
        b')\3\xe9\0\0\0\0\xf2\0\0\0\0r\1\0\0\0',
        b')\1r\x09\0\0\0',
        b'\xbe\1\0\0\0)\1r\0\0\0\0',
        b'\xa9\1r\0\0\0\0',
        b'\xa9\1)\1r\0\0\0\0',
    ],
)
def test_malformed_data_is_refused(data):
    fault(data)


@pytest.mark.parametrize(
    'data',
    [
        b'<\1\0\0\0[\0\0\0\0',
        b'{[\0\0\0\0N0',
        b'{{0N0',
        b'\xbc\1\0\0\0r\0\0\0\0',
        b'\xfbr\0\0\0\0N0',
        b'>\1\0\0\0)\1[\0\0\0\0',
    ],
)
def test_key_that_cannot_be_hashed_is_refused(data):
    with pytest.raises(TypeError, match='unhashable'):
        loads(data)


def test_cycles_are_made_where_python_can():
    value = loads(b'\xdb\1\0\0\0r\0\0\0\0')
    assert value[0] is value
    value = loads(b'\xfbNr\0\0\0\0000')
    assert value[None] is value
    # A list in a tuple that is in the list, and a tuple in a list that is in the tuple.
    value = loads(b'\xdb\2\0\0\0N\xa9\1r\0\0\0\0')
    assert value[1][0] is value
    value = loads(b'\xa9\1[\1\0\0\0r\0\0\0\0')
    assert type(value) is tuple and value[0][0] is value
    value = loads(b')\2\xbe\1\0\0\0Nr\0\0\0\0')
    assert value[0] is value[1] == frozenset([None])


def test_nesting_is_limited_through_references_too():
    for part in (b'[\1\0\0\0', b'\xa9\1', b'<\1\0\0\0', b'{N'):
        assert 'levels deep' in fault(part * 90000 + b'N')
    assert loads(b'[\1\0\0\0' * 1000 + b'N')
    # Each tuple holds the one before it, and the last is a key: to hash it recurses in C.
    count = 200000
    data = b'(' + u32(count + 2) + b'\xa8\0\0\0\0'
    data += b''.join(b'\xa9\1r' + u32(number) for number in range(count))
    assert 'levels deep' in fault(data + b'{r' + u32(count) + b'N0')


def pencoded_chain(count):
    """A list of tuples that each hold the one before it, and of a dict with the last as a key."""
    items = [b't\0\0\0\0'] + [b't\0\0\0\1R' + struct.pack('>I', number + 4) for number in range(count)]
    items.append(b'd\0\0\0\1R' + struct.pack('>I', count + 4) + b'n')
    return b'l' + struct.pack('>I', len(items)) + b''.join(items)


def test_pencode_has_the_same_limits():
    assert len(pdecode(pencoded_chain(900))) == 902
    with pytest.raises(ValueError, match='levels deep'):
        pdecode(pencoded_chain(200000))
    with pytest.raises(ValueError):
        pdecode(b't\0\0\0\1R\0\0\0\3')
    keys = b''.join(b'i' + struct.pack('>I', len(b'%d' % key)) + b'%d' % key + b'n' for key in colliding(4000))
    with pytest.raises(ValueError, match='same hash'):
        pdecode(b'd' + struct.pack('>I', 4000) + keys)


def test_shared_parts_take_no_time_by_themselves():
    # As a tree it would have 2^60 parts.
    data = b')\x3d\xdb\0\0\0\0' + b''.join(b'\xdb\2\0\0\0r' + u32(n) + b'r' + u32(n) for n in range(60))
    value = loads(data)
    assert value[60][0] is value[60][1] is value[59]


def bomb(levels):
    """A tuple of two references to a tuple of two references, and so on."""
    data = b')' + bytes([levels + 2]) + b'\xa8\0\0\0\0'
    return data + b''.join(b'\xa8\2\0\0\0r' + u32(n) + b'r' + u32(n) for n in range(levels))


def test_keys_that_are_large_only_by_references_are_refused():
    last = b'r' + u32(60)
    for user in (b'{' + last + b'N0', b'<\1\0\0\0' + last, b'>\1\0\0\0)\1' + last):
        assert 'share too many parts' in fault(bomb(60) + user)
    small = loads(bomb(8) + b'{r' + u32(8) + b'N0')
    assert len(small[-1]) == 1


def colliding(count):
    """Integers that differ and have one hash, in 61 bits."""
    assert sys.hash_info.modulus == PRIME
    return [(1 + number) * PRIME + 5 for number in range(count)]


@pytest.mark.parametrize(
    'values',
    [
        dict.fromkeys(colliding(4000)),
        [dict.fromkeys(colliding(500)) for _ in range(100)],
        set(colliding(4000)),
        frozenset(colliding(4000)),
        dict.fromkeys((key,) for key in colliding(2000)),
        set(frozenset([key]) for key in colliding(2000)),
    ],
    ids=['dict', 'dicts', 'set', 'frozenset', 'tuples', 'frozensets'],
)
def test_keys_with_one_hash_are_refused_before_they_are_compared(values):
    data = marshal.dumps(values, 2)
    assert 'same hash' in fault(data)


def test_usual_keys_are_not_refused():
    for value in (
        dict.fromkeys(range(100000)),
        dict.fromkeys(map(str, range(100000))),
        {(a, b): 1 for a in range(300) for b in range(300)},
        dict.fromkeys(colliding(500)),
        [{1: 2}] * 1000,
        set(map(float, range(50000))),
        dict.fromkeys(n << 40 for n in range(50000)),
        set(frozenset([n, n + 1]) for n in range(20000)),
    ):
        for version in (2, 4):
            assert loads(marshal.dumps(value, version)) == value


def test_large_integers_are_read_up_to_the_limit():
    for value in (10**4300 - 1, 1 - 10**4300, 2**63, -(2**63), -(2**63) - 1, 2**64, -1, 0, 2**15, 2**30):
        assert loads(marshal.dumps(value, 2)) == value
    for value in (10**4300, -(10**4300), 2**100000):
        assert '4300 digits' in fault(marshal.dumps(value, 2))
    assert loads(b'l\xff\xff\xff\xff\5\0') == -5 and loads(b'l\0\0\0\0') == 0


def test_memory_of_what_was_read_is_given_back():
    def resident():
        with open('/proc/self/statm') as f:
            return int(f.read().split()[1]) * 4096

    good = marshal.dumps([{'a': list(range(100)), 'b': ('x' * 100,)} for _ in range(100)])
    bad = good[:-1]

    def read(times):
        for _ in range(times):
            loads(good)
            with pytest.raises(ValueError):
                loads(bad)
            loads(b'\xa9\1[\1\0\0\0r\0\0\0\0')

    read(50)
    before = resident()
    read(500)
    assert resident() - before < 16 << 20


def test_hostile_reply_fails_its_call_alone(tun):
    import chopsticks.tunnel

    for text, why in (
        ('dict.fromkeys((n + 1) * (2**61 - 1) for n in range(20000))', 'same hash'),
        ("u'\\ud800'", 'surrogate'),
    ):
        with pytest.raises(chopsticks.tunnel.RemoteException, match=why):
            tun.call(eval, text)
    assert tun.call(time.time) > 0
