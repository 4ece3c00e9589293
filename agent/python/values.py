"""pencode in Python: for values with shared or cyclic parts, for Python 2.7, and to report what cannot be sent."""

# An import up here could wait, with the lock of `part`, for one that waits for that.
pack = Struct('>cL').pack
unpack_from = Struct('>L').unpack_from
CONTAINERS = {list: b'l', tuple: b't', set: b'q', frozenset: b'Q', dict: b'd'}
# As many digits as newer Pythons turn into text by default; for all values, wherever they stand.
MAX_DIGITS = 4300
# Newer Pythons turn 640 digits into text in any case.
GROUP = 600
KNOWN = frozenset(CONTAINERS).union((float, bytearray, bytes, type(u''), int) + ((str, long) if OLD else ()))
HINT = ' (the option `encode` has a form for it)'
GENERATOR = ' (`stream` takes its items)'
SINGLE = {id(None): b'n', id(True): b'T', id(False): b'F'}


class Unfit(TypeError):
    """A value that cannot be carried."""
    __slots__ = ()
    stage = 'result'


def parts_of(value, place):
    """The parts of a container, in the order in which they are written; says in `place` which of them are hashed."""
    if isinstance(value, dict):
        for pair in dict.items(value):
            place[0] = 1
            yield pair[0]
            place[0] = 0
            yield pair[1]
    else:
        for item in value:
            place[0] = isinstance(value, (set, frozenset))
            yield item


def refuse(root, name, bad, why, plainer={}):  # noqa: B006
    """Raises for `bad`, with the way to it from `root`; `plainer` has what stands in the place of objects."""
    seen, work = set(), [(root, name)]
    while work:
        value, path = work.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        while value is not bad and id(value) in plainer:
            value = plainer[id(value)][1]
        if value is bad:
            name = path
            break
        if isinstance(value, dict):
            for k, v in dict.items(value):
                work.append((v, '%s[%r]' % (path, k)))
                work.append((k, '%s (a key)' % path))
        elif type(value) in CONTAINERS:
            work.extend((v, '%s[%d]' % (path, i) if type(value) in (list, tuple) else '%s (a member)' % path)
                        for i, v in enumerate(value))
    raise Unfit('%s: %s' % (name, why))


def decimal(value):
    """The digits of an integer, unless there are too many."""
    rest, groups = abs(value), []
    # A bit more than the limit has.
    if rest.bit_length() > 14285:
        return b''
    while rest >= 10 ** GROUP:
        rest, low = divmod(rest, 10 ** GROUP)
        groups.insert(0, '%0*d' % (GROUP, low))
    text = '%d%s' % (rest, ''.join(groups))
    return (('-' if value < 0 else '') + text).encode() if len(text) <= MAX_DIGITS else b''


def integer(raw):
    """The integer of digits."""
    if len(raw) <= GROUP:
        return int(raw)
    sign, digits = (-1, raw[1:]) if raw[:1] == b'-' else (1, raw)
    if len(digits) > MAX_DIGITS:
        raise ValueError('integer of more than %d digits' % MAX_DIGITS)
    value = 0
    for at in range(0, len(digits), GROUP):
        group = digits[at:at + GROUP]
        value = value * 10 ** len(group) + int(group)
    return sign * value


def recoded(value, name):
    """Returns the format and the bytes of a result that is not plain, or may have text that is not."""
    data = names and not OLD and 'PyPy' not in sys.version and even(value)
    return (MARSHAL, data) if data else (PENCODE, pencode(value, name))


def even(value):
    """What `marshal` makes of plain objects, unless there is text that the option `encode` has a form for."""
    from gc import get_referents
    part('plain')
    try:
        data = marshal.dumps(value, 4)
    except ValueError:
        return None
    level, left = [value], len(data)
    while level:
        kinds = set(map(type, level))
        # A dict may not tell of its keys.
        text = [k for v in level if type(v) is dict for k in v] + level if dict in kinds else level
        if not kinds <= PLAIN or ODD.search(u''.join([v for v in text if type(v) is word])):
            return None
        left -= len(level)
        above, level = level, []
        while above and len(level) < left:
            level += get_referents(*above[-64:])
            del above[-64:]
        if above:
            return None
    return data


def pencode(root, name):
    """Encodes `root`, which messages call `name`."""
    made, numbers, stack, count, place = [], {}, [iter((root,))], 2, [0]
    encode = options.get('encode', ())
    # id of an object -> that object, and what stands in its place: both live until the end, so ids stay theirs.
    plainer = {}
    if encode:
        part('plain')
    while stack:
        for whole in stack[-1]:
            v = whole
            while 1:
                kind = type(v)
                if id(v) in SINGLE or id(v) in numbers or kind in KNOWN or isinstance(v, dict):
                    break
                if id(v) not in plainer:
                    form = form_for(v)
                    if not form or u'objects' not in encode:
                        module = kind.__module__
                        refuse(root, name, v, '%s%s is not a primitive type%s' % (
                            '' if module in ('builtins', '__builtin__') else module + '.', kind.__name__,
                            HINT if form else GENERATOR if hasattr(kind, 'throw') or hasattr(kind, 'asend') else ''),
                            plainer)
                    if place[0] and isinstance(v, tuple):
                        # What stands in its place elsewhere cannot be hashed.
                        form = tuple
                    plainer[id(v)] = v, form(v)
                v = plainer[id(v)][1]
            tag = SINGLE.get(id(v))
            if tag:
                made.append(tag)
                continue
            if id(v) in numbers:
                made.append(pack(b'R', numbers[id(v)]))
                continue
            count += 1
            numbers[id(v)] = count
            tag = CONTAINERS.get(dict if isinstance(v, dict) else kind)
            if tag:
                if place[0] and v is not whole and tag in b'lqd':
                    refuse(root, name, whole, '%s cannot be hashed in its plain form' % type(whole).__name__, plainer)
                made.append(pack(tag, len(v)))
                stack.append(parts_of(v, place))
                break
            if kind is float:
                tag, data = b'f', repr(v).encode()
            elif kind in (bytearray, bytes) and not (OLD and kind is bytes):
                tag, data = b'b', bytes(v)
            elif kind is type(u''):
                try:
                    tag, data = b's', (escaped(v) if u'names' in encode else v).encode('utf-8')
                except UnicodeError:
                    refuse(root, name, v, 'text with a lone surrogate' + ('' if encode else HINT), plainer)
            elif kind is str:
                tag, data = b'S', v
                try:
                    v.decode('ascii')
                except UnicodeError:
                    if u'names' not in encode:
                        refuse(root, name, v, 'str with bytes that are not ASCII; make it unicode, or a bytearray%s'
                               % HINT, plainer)
                    tag, data = b's', escaped(v).encode('utf-8')
            else:
                tag, data = b'i', decimal(v)
                if not data:
                    refuse(root, name, v, 'integer of more than %d digits' % MAX_DIGITS, plainer)
            made.append(pack(tag, len(data)) + data)
        else:
            stack.pop()
    return b''.join(made)


def form_for(value):
    """What makes a value plainer, if anything does and can be had."""
    try:
        part('plain')
    except ImportError:
        return None
    return form_of(value)


def arguments(args, kwargs):
    """The arguments of a call: the positional ones, or both where `kwargs` is `True`, may have come in pencode."""
    if type(args) is bytes:
        args = pdecode(args)
        if kwargs is True:
            args, kwargs = args
    encode = options.get('encode', ())
    if u'names' in encode and u'given' not in encode:
        part('plain')
        args, kwargs = names_in((args, kwargs))
    return args, kwargs


def pdecode(data):
    """Decodes what the controller wrote; it is trusted to be well-formed."""
    objects = [None, False, True]
    amends = []     # (container, key, number) of references to a tuple or frozenset that was still open
    late = {}       # number -> places, parts of a tuple that holds such a reference: made at the end
    stack = []      # [number, tag, parts wanted, parts]
    pos = 0
    while 1:
        tag = data[pos:pos + 1]
        pos += 1
        ref = 0
        if tag in b'nFT':
            value = objects[b'nFT'.index(tag)]
        else:
            size, = unpack_from(data, pos)
            pos += 4
            if tag == b'R':
                ref = size
                value = objects[ref]
            else:
                number = len(objects)
                objects.append(None)
                if tag in b'ltqQd':
                    value = [] if tag == b'l' else {} if tag == b'd' else set() if tag == b'q' else amends
                    objects[number] = value
                    stack.append([number, tag, size * 2 if tag == b'd' else size, value if tag == b'l' else []])
                    value = stack
                else:
                    raw = data[pos:pos + size]
                    pos += size
                    value = objects[number] = (
                        integer(raw) if tag == b'i' else float(raw) if tag == b'f' else raw if tag == b'b'
                        else raw.decode('utf-8') if tag == b's' else str(raw.decode('ascii')))
        while 1:
            if value is not stack:
                if not stack:
                    # Cycles pass through a list or dict, so there is a tuple that can be made.
                    while late:
                        for number in sorted(late):
                            places, items = late[number]
                            if all(objects[n] is not amends for _, n in places):
                                for at, n in places:
                                    items[at] = objects[n]
                                objects[number] = tuple(items)
                                del late[number]
                    for container, key, number in amends:
                        container[key] = objects[number]
                    return value
                number, tag, wanted, items = stack[-1]
                if value is amends:
                    if tag == b'l':
                        amends.append((items, len(items), ref))
                    elif tag == b'd' and len(items) % 2:
                        amends.append((objects[number], items[-1], ref))
                    elif tag == b't':
                        late.setdefault(number, ([], items))[0].append((len(items), ref))
                    value = None
                items.append(value)
            number, tag, wanted, items = stack[-1]
            if len(items) < wanted:
                break
            stack.pop()
            value = objects[number]
            ref = number
            if tag == b't' and number not in late:
                value = objects[number] = tuple(items)
            elif tag == b'Q':
                value = objects[number] = frozenset(items)
            elif tag == b'q':
                value.update(items)
            elif tag == b'd':
                value.update(zip(items[::2], items[1::2]))
