"""Values: what a call may return, what it may be given, and how the rest is refused."""
import array
import collections
import marshal
import resource
import struct
import sys
import unittest

from harness import BYTES, MARSHAL, OLD, PENCODE, PYPY, Case, function, namespace

SPACE = namespace('values', 'plain', 'rare')
SPACE['compiled'].update(('values', 'plain'))
HINT = ' (the option `encode` has a form for it)'
TEXT = b'\xc3\xa9\xe2\x82\xac\xf0\x9f\x8d\x9c'.decode('utf-8')


def again(value):
    return SPACE['pdecode'](SPACE['pencode'](value, 'result'))


def refusal(value):
    try:
        SPACE['pencode'](value, 'result')
    except SPACE['Unfit'] as e:
        return str(e)
    raise AssertionError('%r was taken' % type(value))


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


class Pencode(unittest.TestCase):
    def test_plain_values_come_back_as_they_were(self):
        for value in (None, True, False, 0, -1, 2 ** 31, -2 ** 63, 10 ** 300, 0.1, -0.0, 1e-300, float('inf'), u'',
                      TEXT,
                      b'' if not OLD else bytearray(), bytearray(b'\0\xff'), [], (), set(), frozenset(), {},
                      [1, (2, {3})],
                      {u'a': [None], 1: (), (1, 2): u'x', None: 0.5}, frozenset([1, u'x', (2,)])):
            got = again(value)
            self.assertEqual(got, value)
            if type(value) not in (bytearray, type(2 ** 63)):
                self.assertIs(type(got), type(value))

    def test_nan_stays_nan(self):
        self.assertNotEqual(again(float('nan')), again(float('nan')))

    def test_integers_have_one_limit_in_all_pythons(self):
        for value in (10 ** 600, 10 ** 600 - 1, 7 ** 2000, 10 ** 1200 + 5, 10 ** 4300 - 1, 1 - 10 ** 4300):
            self.assertEqual(again([value]), [value])
        for value in (10 ** 4300, -10 ** 4300, 1 << 100000):
            self.assertEqual(refusal({u'k': value}), "result[%r]: integer of more than 4300 digits" % u'k')
        self.assertRaises(ValueError, SPACE['pdecode'], b'i' + struct.pack('>L', 4301) + b'1' * 4301)

    @unittest.skipUnless(hasattr(sys, 'set_int_max_str_digits'), 'no such limit')
    def test_programs_limit_for_digits_has_no_effect(self):
        before = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(640)
        try:
            self.assertEqual(again([10 ** 4299, -7 ** 1000]), [10 ** 4299, -7 ** 1000])
        finally:
            sys.set_int_max_str_digits(before)

    def test_long_and_bool_keep_their_kind(self):
        self.assertIs(again([True])[0], True)
        self.assertEqual(type(again(1)), int)

    def test_native_text_stays_native(self):
        self.assertEqual(type(again('abc')), str)
        self.assertEqual(type(again(u'abc')), type(u''))

    @unittest.skipUnless(OLD, 'native strings are text')
    def test_native_bytes_of_old_pythons_are_refused_unless_ascii(self):
        self.assertEqual(refusal(['x', '\xff']),
                         'result[1]: str with bytes that are not ASCII; make it unicode, or a bytearray' + HINT)

    def test_shared_parts_stay_shared(self):
        part = [1]
        got = again([part, part, {u'k': part}, (part,)])
        self.assertIs(got[0], got[1])
        self.assertIs(got[0], got[2][u'k'])
        self.assertIs(got[0], got[3][0])

    def test_cycles_come_back_as_cycles(self):
        value = []
        value.append(value)
        got = again(value)
        self.assertIs(got[0], got)
        table = {}
        table[u'self'] = table
        got = again(table)
        self.assertIs(got[u'self'], got)

    def test_cycles_through_tuples_come_back(self):
        inner = []
        value = (inner, {u'k': inner})
        inner.append(value)
        value[1][u'self'] = value
        got = again(value)
        self.assertIs(got[0][0], got)
        self.assertIs(got[1][u'self'], got)
        self.assertIs(got[1][u'k'], got[0])

    def test_cycle_through_two_tuples_comes_back(self):
        inner = []
        value = (inner, 1)
        inner.append((value, 2))
        got = again(value)
        self.assertEqual(got[1], 1)
        self.assertEqual(got[0][0][1], 2)
        self.assertIs(got[0][0][0], got)

    def test_cycles_through_many_tuples_come_back(self):
        inner = []
        value = (inner,)
        chain = value
        for n in range(50):
            chain = (n, chain)
            inner.append(chain)
        inner.append((value, value, chain))
        got = again(value)
        self.assertEqual([pair[0] for pair in got[0][:-1]], list(range(50)))
        self.assertIs(got[0][0][1], got)
        for n in range(1, 50):
            self.assertIs(got[0][n][1], got[0][n - 1])
        self.assertEqual([part is whole for part, whole in zip(got[0][-1], (got, got, got[0][49]))], [True] * 3)

    def test_deep_nesting_needs_no_stack(self):
        got = again(nested(100000))
        depth = 0
        while got:
            got, depth = got[0], depth + 1
        self.assertEqual(depth, 100000)

    def test_subclasses_of_dict_are_dicts(self):
        got = again(collections.OrderedDict([(u'b', 1), (u'a', collections.defaultdict(list, x=2))]))
        self.assertEqual((type(got), got), (dict, {u'b': 1, u'a': {u'x': 2}}))

    def test_refusals_name_the_way_to_the_value(self):
        thing = object()
        why = 'object is not a primitive type'
        self.assertEqual(refusal(thing), 'result: ' + why)
        self.assertEqual(refusal([0, (1, thing)]), 'result[1][1]: ' + why)
        self.assertEqual(refusal({'k': [thing]}), "result['k'][0]: " + why)
        self.assertEqual(refusal({thing: 1}), 'result (a key): ' + why)
        self.assertEqual(refusal({'k': set([thing])}), "result['k'] (a member): " + why)
        loop = []
        loop.extend((loop, thing))
        self.assertEqual(refusal(loop), 'result[1]: ' + why)

    def test_refusals_name_the_type(self):
        Point = collections.namedtuple('Point', 'x y')
        Number = type('Number', (int,), {})
        Words = type('Words', (str,), {})
        for value, name in ((Point(1, 2), __name__ + '.Point'), (Number(1), __name__ + '.Number'),
                            (Words('x'), __name__ + '.Words'), (array.array('i', [1]), 'array.array'),
                            (memoryview(b'x'), 'memoryview'), (1j, 'complex'), (Ellipsis, 'ellipsis'),
                            (compile('1', 'f', 'eval'), 'code'), (ValueError, 'type'), (sys, 'module'),
                            (collections.deque(), 'collections.deque')):
            hint = '' if name in ('ellipsis', 'code', 'type', 'module') else HINT
            self.assertEqual(refusal([value]), 'result[0]: %s is not a primitive type%s' % (name, hint))

    @unittest.skipIf(OLD, 'encodes them')
    def test_lone_surrogates_are_refused(self):
        self.assertEqual(refusal({'k': '\ud800'}), "result['k']: text with a lone surrogate" + HINT)


class Chosen(unittest.TestCase):
    """Which values leave as marshal, and that what leaves is what they are."""

    def encode(self, value):
        return SPACE['encode'](value)

    @unittest.skipIf(OLD or PYPY, 'answers in pencode')
    def test_plain_values_leave_as_marshal(self):
        for value in (None, True, 1, 10 ** 300, 0.1, TEXT, [], (), {}, set(), [1, (2, {3: {4}}), frozenset([b'x'])],
                      {'k': [None, 1.5, {}]}):
            form, data = self.encode(value)
            self.assertEqual((form, marshal.loads(data)), (MARSHAL, value))
        self.assertEqual(self.encode(b'\0\xff'), (BYTES, b'\0\xff'))

    @unittest.skipUnless(PYPY and not OLD, 'marshals all that is plain')
    def test_pypy_answers_containers_in_pencode(self):
        value = []
        for _ in range(60):
            value = [value, value]
        form, data = self.encode(value)
        self.assertTrue(form == PENCODE and len(data) < 2000, (form, len(data)))

    @unittest.skipUnless(OLD, 'answers in marshal')
    def test_old_pythons_answer_in_pencode(self):
        for value in (None, 'abc', [1]):
            self.assertEqual(self.encode(value)[0], PENCODE)

    def test_what_marshal_would_take_wrongly_is_refused(self):
        for value in (array.array('b', b'abc'), memoryview(b'abc'), 1j, Ellipsis, compile('1', 'f', 'eval'),
                      StopIteration, collections.namedtuple('P', 'x')(1), type('I', (int,), {})(3)):
            for whole in (value, [value], {'k': (1, [value])}, (value, [0] * 1000)):
                self.assertRaises(SPACE['Unfit'], self.encode, whole)

    def test_bytearray_and_dict_subclasses_are_carried(self):
        for value, plain in ((bytearray(b'\0x'), b'\0x'), (collections.OrderedDict(a=1), {'a': 1})):
            form, data = self.encode([value])
            self.assertEqual((form, SPACE['pdecode'](data)), (PENCODE, [plain]))

    def test_shared_and_cyclic_values_are_carried(self):
        value = []
        for _ in range(40):
            value = [value, value]
        form, data = self.encode(value)
        self.assertLess(len(data), 10000)
        loop = [1]
        loop.append(loop)
        form, data = self.encode(loop)
        got = (marshal.loads if form == MARSHAL else SPACE['pdecode'])(data)
        self.assertIs(got[1], got)

    def test_shared_parts_cost_what_they_are(self):
        # A matrix as many write it: 100 million numbers, in one row of 10,000.
        value = [[0] * 10000] * 10000
        for with_names in (False, True):
            SPACE['names'] = with_names
            self.addCleanup(SPACE.update, names=False)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            form, data = self.encode(value)
            self.assertLess(len(data), 1 << 20)
            self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 100 << 10)
            got = (marshal.loads if form == MARSHAL else SPACE['pdecode'])(data)
            self.assertIs(got[0], got[9999])
            self.assertEqual(got[0], value[0])

    def test_what_hides_behind_shared_parts_is_found(self):
        value = [object()]
        for _ in range(40):
            value = [value, value]
        self.assertRaises(SPACE['Unfit'], self.encode, value)

    def test_deep_nesting_is_carried(self):
        form, data = self.encode(nested(100000))
        self.assertEqual((form, len(data)), (PENCODE, 5 * 100001))


class Encoded(unittest.TestCase):
    """The plain forms of the option `encode`."""

    def setUp(self):
        SPACE['options']['encode'] = [u'objects', u'names']
        SPACE['names'] = True
        self.addCleanup(SPACE['options'].clear)
        self.addCleanup(SPACE.update, names=False)

    def form(self, value):
        form, data = SPACE['encode']([value])
        return (SPACE['pdecode'](data) if form == PENCODE else marshal.loads(data))[0]

    def plain(self, value, form):
        got = self.form(value)
        self.assertEqual((type(got), got), (type(form), form))

    def test_objects_have_plain_forms(self):
        import datetime
        import decimal
        import fractions
        import uuid
        moment = datetime.datetime(2024, 1, 2, 3, 4, 5, 600)
        Point = collections.namedtuple('Point', 'x y')
        for value, form in (
                (moment, u'2024-01-02T03:04:05.000600'), (moment.date(), u'2024-01-02'),
                (moment.time(), u'03:04:05.000600'), (datetime.timedelta(days=1, milliseconds=1), 86400.001),
                (decimal.Decimal('1.10'), u'1.10'), (fractions.Fraction(1, 3), u'1/3'),
                (uuid.UUID(int=1), u'00000000-0000-0000-0000-000000000001'), (1 + 2j, (1.0, 2.0)),
                (Point(1, moment.date()), {'x': 1, 'y': u'2024-01-02'}), (collections.deque([1, 2]), [1, 2]),
                (array.array('i', [1, 2]), [1, 2]), (range(3), [0, 1, 2]),
                (collections.OrderedDict(a=1), {'a': 1}), ({moment.date(): 1}, {u'2024-01-02': 1}),
                (set([Point(1, 2)]), set([(1, 2)])), ({Point(1, 2): 3}, {(1, 2): 3}),
                (type('Number', (int,), {})(3), 3), (type('Ratio', (float,), {})(.5), .5),
                (type('Row', (list,), {})([moment.date()]), [u'2024-01-02'])):
            if OLD and isinstance(form, type(u'')):
                self.assertEqual(self.form(value), form)
            else:
                self.plain(value, form)
        self.plain(memoryview(b'x'), b'x')
        import os
        self.assertEqual(self.form(os.stat('/'))['st_mode'], os.stat('/').st_mode)

    @unittest.skipIf(OLD, 'has none')
    def test_objects_of_newer_pythons_have_plain_forms(self):
        import datetime
        import enum
        import ipaddress
        import pathlib
        import types
        Color = enum.Enum('Color', 'RED')
        Level = enum.IntEnum('Level', 'HIGH')
        zone = datetime.timezone(datetime.timedelta(hours=2))
        for value, form in (
                (Color.RED, 1), (Level.HIGH, 1), ([Color.RED, None], [1, None]), ({Color.RED: 1}, {1: 1}),
                (enum.Enum('Empty', [('NONE', None)]).NONE, None),
                (enum.Enum('Deep', [('A', (Color.RED, 2))]).A, (1, 2)),
                (pathlib.Path('/tmp'), '/tmp'), (ipaddress.ip_address('::1'), '::1'),
                (ipaddress.ip_network('10.0.0.0/8'), '10.0.0.0/8'), ({}.keys(), []), ({1: 2}.items(), [(1, 2)]),
                (datetime.datetime(2024, 1, 2, tzinfo=zone), '2024-01-02T00:00:00+02:00'),
                (types.SimpleNamespace(a=Color.RED), {'a': 1}), (types.MappingProxyType({1: 2}), {1: 2}),
                (collections.ChainMap({1: 2}, {3: 4}), {1: 2, 3: 4})):
            self.plain(value, form)

    @unittest.skipIf(sys.version_info < (3, 7), 'has none')
    def test_dataclasses_are_dicts(self):
        import dataclasses
        Inner = dataclasses.make_dataclass('Inner', ['at'])
        Outer = dataclasses.make_dataclass('Outer', ['inner', ('n', int, dataclasses.field(default=1))])
        self.plain(Outer([Inner(1.5), Inner(None)]), {'inner': [{'at': 1.5}, {'at': None}], 'n': 1})
        Key = dataclasses.make_dataclass('Key', ['at'], frozen=True)
        self.assertEqual(refusal({Key(1): 2}), 'result (a key): Key cannot be hashed in its plain form')

    def test_shared_objects_stay_shared_and_may_contain_themselves(self):
        row = collections.deque([1])
        got = again([row, row])
        self.assertIs(got[0], got[1])
        row.append(row)
        got = again(row)
        self.assertIs(got[1], got)

    def test_what_has_no_form_is_refused_with_its_place(self):
        self.assertEqual(refusal([1, collections.deque([sys])]), 'result[1][0]: module is not a primitive type')

    @unittest.skipIf(OLD, 'has its own test')
    def test_names_that_are_not_utf8_come_back(self):
        import os
        for data in (b'caf\xe9', b'\xff\xfe', b'\xc3\xa9', b'\xed\xb3\xa9', b'a\xee\xbe\xa9b', b'\xee\xbe\xff',
                     b'\xf0\x9f\x8d\x9c\x80'):
            name = os.fsdecode(data)
            for whole in (name, [name], {name: (name, {name})}, [bytearray(), name]):
                got = self.form(whole)
                marshal.dumps(got)
                str(got).encode('utf-8')
                self.assertEqual(SPACE['arguments']((got,), {'k': got}), ((whole,), {'k': whole}))
        self.plain(u'caf\udce9', u'caf\uefe9')
        self.assertEqual(refusal(u'\ud800'), 'result: text with a lone surrogate')

    @unittest.skipIf(OLD or PYPY, 'answers in pencode')
    def test_numbers_and_bytes_that_look_like_odd_names_are_carried_as_others(self):
        odd = u'\udce9'
        for mark in (b'\xed\xb2', b'\xed\xb3', b'\xee\xbe', b'\xee\xbf'):
            number, = struct.unpack('<d', b'\0\0\0' + mark + b'\0\x10\x40')
            data = b'a' + mark + b'\x80'
            for value in ([number], {1: (number, data)}, [data, u'\xe9', [number, None]], (frozenset([number]),)):
                self.assertEqual(SPACE['encode'](value), (MARSHAL, marshal.dumps(value, 4)))
                self.assertEqual(SPACE['encode']([value, odd])[0], PENCODE)
                self.assertEqual(SPACE['encode']([value, {odd: 1}])[0], PENCODE)

    def test_names_in_arguments_may_be_left_as_they_are(self):
        SPACE['options']['encode'] = [u'given', u'names']
        self.assertEqual(SPACE['arguments']((u'caf\uefe9',), {}), ((u'caf\uefe9',), {}))
        if not OLD:
            self.plain(u'caf\udce9', u'caf\uefe9')

    @unittest.skipUnless(OLD, 'has its own test')
    def test_native_names_come_back(self):
        for name in (b'caf\xe9', b'\xff', b'caf\xc3\xa9'):
            got = self.form([name])
            self.assertEqual(type(got[0]), type(u''))
            back, = SPACE['arguments']((got,), None)[0]
            self.assertEqual(back[0] if type(back[0]) is bytes else back[0].encode('utf-8'), name)

    def test_names_in_arguments_keep_lists_and_dicts_as_they_are(self):
        value = [u'x']
        value.extend((value, {u'k': (value, u'a' + TEXT)}))
        got = SPACE['names_in'](value)
        self.assertIs(got, value)
        self.assertIs(got[2][u'k'][0], value)
        self.assertEqual(got[2][u'k'][1], u'a' + TEXT)


class Carried(Case):
    """The same through a whole agent."""

    @classmethod
    def setUpClass(cls):
        from harness import Agent
        cls.shared = Agent()

    @classmethod
    def tearDownClass(cls):
        cls.shared.kill()

    def test_arguments_and_results_are_as_they_were(self):
        for value in (None, True, 1, -2 ** 70, 0.5, TEXT, [u'x', (1, {u'k': 2.5})], {u'k': [1]}):
            got = self.shared.call('copy:copy', value)
            self.assertEqual((type(got), got), (type(value), value))

    def test_unfit_result_says_where_and_what(self):
        failure = self.shared.fails('types:SimpleNamespace' if not OLD else 'threading:Event')
        self.assertEqual(failure['kind'], 'result')
        self.assertIn('is not a primitive type', failure['message'])
        self.assertEqual(failure['traceback'], '')

    def test_path_of_unfit_results_is_in_the_message(self):
        failure = self.shared.fails(function('import decimal\ndef f(): return {"when": [0, decimal.Decimal(1)]}'))
        self.assertEqual((failure['kind'], failure['message']),
                         ('result', "result['when'][1]: decimal.Decimal is not a primitive type" + HINT))

    def test_undecodable_arguments_are_an_argument_failure(self):
        from harness import CALL
        self.shared.request += 2
        self.shared.send(self.shared.request, CALL, MARSHAL, b'[\xff\xff')
        self.assertEqual(self.shared.failure(self.shared.request)['kind'], 'argument')
        self.assertEqual(self.shared.call('os:getpid'), self.shared.process.pid)


