"""The option `encode`: plain forms of common objects, and names whose bytes are not UTF-8."""
import re

# In text a byte that is not UTF-8 is one of the private characters U+EF80 to U+EFFF. Where the text has these itself,
# their bytes are written so.
ODD = re.compile(u'[\udc80-\udcff\uef80-\uefff]')
RUN = re.compile(u'([\uef80-\uefff]+)')
character = unichr if OLD else chr
word = type(u'')


def escaped(value):
    """Text that can be encoded for text with bytes in it, or for the `str` of Python 2.7."""
    if type(value) is not word:
        text = u''
        while value:
            try:
                text, value = text + value.decode('utf-8'), b''
            except UnicodeDecodeError as e:
                bad = u''.join(character(0xdc00 + ord(byte)) for byte in value[e.start:e.end])
                text, value = text + value[:e.start].decode('utf-8') + bad, value[e.end:]
        value = text
    return ODD.sub(escape, value)


def escape(match):
    number = ord(match.group())
    data = [number & 0xff] if number < 0xe000 else bytearray(match.group().encode('utf-8'))
    return u''.join(character(0xef00 + byte) for byte in data)


def restored(value):
    """The text that `escaped` has got; with bytes that are not UTF-8, on Python 2.7 a `str`."""
    pieces = RUN.split(value)
    if len(pieces) == 1:
        return value
    data = b''.join(bytes(bytearray(ord(c) & 0xff for c in piece)) if n % 2 else piece.encode('utf-8')
                    for n, piece in enumerate(pieces))
    return data if OLD else data.decode('utf-8', 'surrogateescape')


def names_in(root):
    """`root` with the text in it restored. Lists, dicts and sets stay the same objects."""
    made, work, seen = {}, [], set()

    def new(value):
        kind = type(value)
        if kind is word:
            return restored(value)
        if kind in (tuple, frozenset):
            if id(value) not in made:
                made[id(value)] = kind(map(new, value))
            return made[id(value)]
        if kind in (list, dict, set) and id(value) not in seen:
            seen.add(id(value))
            work.append(value)
        return value

    root = new(root)
    while work:
        value = work.pop()
        if type(value) is list:
            value[:] = map(new, value)
        else:
            items = [(new(k), new(v)) for k, v in value.items()] if type(value) is dict else list(map(new, value))
            value.clear()
            value.update(items)
    return root


def fields(value):
    """The fields of a struct sequence, as that of `os.stat`: some have a name alone."""
    kind = type(value)
    return dict((n, getattr(value, n)) for n in dir(kind)
                if n[0] != '_' and type(getattr(kind, n)).__name__ in ('member_descriptor', 'structseqfield'))


def exactly(base):
    """Makes an object of `base` of one of a class that is derived from it, whatever that has redefined."""
    if base in (set, frozenset):
        return lambda v: base(list(base.__iter__(v)))
    if base is bytearray:
        return lambda v: bytes(bytearray.__getitem__(v, slice(None)))
    if hasattr(base, '__pos__'):
        return base.__pos__
    return lambda v: base.__getitem__(v, slice(None))


def isoformat(value):
    return value.isoformat()


def listed(value):
    return value.tolist()


# (module, class) -> what makes an object of it, or of a class that is derived from it, plainer.
FORMS = {
    ('datetime', 'date'): isoformat,
    ('datetime', 'time'): isoformat,
    ('datetime', 'timedelta'): lambda v: v.total_seconds(),
    ('decimal', 'Decimal'): word,
    ('fractions', 'Fraction'): word,
    ('uuid', 'UUID'): word,
    ('pathlib', 'PurePath'): word,
    ('ipaddress', '_IPAddressBase'): word,
    ('enum', 'Enum'): lambda v: v.value,
    ('collections', 'deque'): list,
    ('collections', 'UserString'): word,
    ('collections', 'UserList'): list,
    ('array', 'array'): listed,
    ('types', 'SimpleNamespace'): vars,
    ('argparse', 'Namespace'): vars,
    ('subprocess', 'CompletedProcess'): vars,
}
BUILTINS = {
    'complex': lambda v: (v.real, v.imag),
    'memoryview': lambda v: bytearray(v.tobytes()),
    'mappingproxy': dict,
}
BUILTINS.update(dict.fromkeys((
    'range', 'xrange', 'dict_keys', 'dict_values', 'dict_items', 'odict_keys', 'odict_values', 'odict_items'), list))
BASES = (int, float, word, bytes, bytearray, list, tuple, set, frozenset) + ((long,) if OLD else ())


def form_of(value):
    """What makes a value plainer, if anything does."""
    kind = type(value)
    line = getattr(kind, '__mro__', ())
    names = [(base.__module__, base.__name__) for base in line]
    for name in names:
        if name in FORMS:
            return FORMS[name]
    if kind.__module__ in ('builtins', '__builtin__') and kind.__name__ in BUILTINS:
        return BUILTINS[kind.__name__]
    if hasattr(kind, '__fspath__'):
        return kind.__fspath__
    if kind.__module__.split('.')[0] == 'numpy' and hasattr(kind, 'tolist'):
        return listed
    if isinstance(value, tuple) and hasattr(kind, '_fields'):
        return lambda v: dict(zip(kind._fields, v))
    if hasattr(kind, 'n_sequence_fields'):
        return fields
    if hasattr(kind, '__dataclass_fields__') and 'dataclasses' in sys.modules:
        return lambda v: dict((f.name, getattr(v, f.name)) for f in sys.modules['dataclasses'].fields(v))
    if hasattr(kind, '__attrs_attrs__'):
        return lambda v: dict((a.name, getattr(v, a.name)) for a in kind.__attrs_attrs__)
    if any(base in names for base in (('collections.abc', 'Mapping'), ('_abcoll', 'Mapping'))):
        return lambda v: dict((k, v[k]) for k in v)
    for base in BASES:
        if isinstance(value, base):
            return exactly(base)
    return None
