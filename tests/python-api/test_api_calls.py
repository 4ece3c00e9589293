# coding: utf-8
"""Calls: what goes there, what comes back, and what is raised."""
import os
import sys
import time

from chopsticks.tunnel import BaseTunnel, Local, RemoteException

STATE = []


def same(*args, **kwargs):
    return args, kwargs


def same_bytes(data):
    from chopsticks.pencode import Bytes
    return Bytes(data)


def fails(message):
    raise KeyError(message)


def exits(status):
    sys.exit(status)


def add_state():
    STATE.append(1)
    return len(STATE)


def shared():
    part = [1]
    return [part, part, (part,)]


def cycle():
    root = [1]
    root.append({'root': root})
    return root


def a_set(kind):
    return {'set': set, 'frozenset': frozenset}[kind]([1, 2])


def unfit():
    return object()


class Thing(object):
    @staticmethod
    def static(n):
        return n + 1

    @classmethod
    def name(cls):
        return cls.__name__


def raised(work, *args, **kwargs):
    try:
        work(*args, **kwargs)
    except Exception as e:
        return e
    raise AssertionError('nothing was raised')


NUMBERS = int, type(2 ** 64)
VALUES = [
    None, True, False, 0, -1, 2 ** 31, -2 ** 63, 10 ** 40, 0.0, 1.5, -1e300, float('inf'), u'', u'text', u'\xe9\u20ac\U0001f600',
    [], [1, [2, [3]]], (), (1,), ((), [()]), {}, {u'a': {u'b': [1]}, 2: u'c', (1, u'd'): None}, frozenset([1, 2]),
    set([u'a']), u'x' * 100000, list(range(1000)),
]


def test_values_go_there_and_back():
    with Local() as tun:
        for value in VALUES:
            assert tun.call(same, value, key=value) == ((value,), {'key': value}), value
            kind = type(tun.call(same, value)[0][0])
            # Python 2 has two kinds of whole numbers.
            assert kind is type(value) or kind in NUMBERS and type(value) in NUMBERS, value


def test_bytes_go_there_and_back():
    from chopsticks.pencode import Bytes
    data = bytes(bytearray(range(256)))
    with Local() as tun:
        assert bytes(tun.call(same_bytes, Bytes(data))) == data
        assert len(tun.call(same_bytes, Bytes(data * 10000))) == 2560000


def test_identity_is_kept():
    with Local() as tun:
        one, two, (three,) = tun.call(shared)
        assert one is two is three
        root = tun.call(cycle)
        assert root[1]['root'] is root
        part = [1]
        (one, two), _ = tun.call(same, part, part)
        assert one is two
        part.append(part)
        ((one,), _) = tun.call(same, part)
        assert one[1] is one


def test_sets_are_sets():
    with Local() as tun:
        assert tun.call(a_set, 'set') == set([1, 2])
        assert type(tun.call(a_set, 'frozenset')) is frozenset


def test_functions_of_all_modules_are_called():
    with Local() as tun:
        assert abs(tun.call(time.time) - time.time()) < 3600
        assert tun.call(os.path.join, 'a', 'b') == 'a/b'
        assert tun.call(len, [1, 2]) == 2
        assert tun.call(sorted, [2, 1], reverse=True) == [2, 1]
        assert tun.call(Thing.static, 1) == 2
        assert tun.call(Thing.name) == 'Thing'
        assert tun.call(os.getpid) != os.getpid()


def test_exception_has_type_text_and_traceback():
    with Local('there') as tun:
        error = raised(tun.call, fails, 'no such thing')
        assert isinstance(error, RemoteException)
        assert error.host == 'there' and error.type_name == 'KeyError'
        assert 'KeyError' in error.msg and 'no such thing' in error.msg
        assert 'in fails' in error.tb and "raise KeyError(message)" in error.tb
        for part in 'there', 'KeyError', 'no such thing', 'Traceback (most recent call last)', 'in fails':
            assert part in str(error), part
        # The tunnel is as it was.
        assert tun.call(len, []) == 0


def test_exit_is_an_error_unless_it_is_one_of_success():
    with Local() as tun:
        assert 'exit status 3' in str(raised(tun.call, exits, 3))
        assert tun.call(exits, 0) is None


def test_result_that_cannot_be_carried_is_an_error():
    with Local() as tun:
        error = raised(tun.call, unfit)
        assert isinstance(error, RemoteException) and 'object' in str(error)
        assert tun.call(len, []) == 0


def test_what_is_not_callable_is_refused_here():
    with Local() as tun:
        for value in 5, None, 'time:time':
            assert 'is not callable' in str(raised(tun.call, value)), value


def test_state_lives_as_long_as_the_connection():
    tun = Local()
    assert tun.call(add_state) == 1
    assert tun.call(add_state) == 2
    tun.close()
    assert tun.call(add_state) == 1
    tun.connect()
    assert tun.call(add_state) == 2
    tun.close()
    tun.close()


def test_tunnels_are_contexts():
    tun = Local()
    with tun as same_tunnel:
        assert same_tunnel is tun
        assert tun.call(add_state) == 1
    with tun:
        assert tun.call(add_state) == 1


def test_tunnels_are_known_by_their_host():
    a, again, b = Local('a'), Local('a'), Local('b')
    assert a == again and not a != again and a != b and not a == b
    assert hash(a) == hash(again) and len(set([a, again, b])) == 2
    assert a != 'a'
    assert repr(a) == "Local('a')"
    assert Local().host == 'localhost' and isinstance(a, BaseTunnel)


def test_interpreter_that_is_not_there():
    class Lost(Local):
        python2 = python3 = '/nonexistent/python'
    error = raised(Lost('lost').connect)
    assert isinstance(error, RemoteException) and error.host == 'lost'
    assert '/nonexistent/python' in str(error)


def test_own_words_in_front():
    class Wrapped(Local):
        def cmd_args(self):
            return ['env', 'CHOPSTICKS_API=yes'] + super(Wrapped, self).cmd_args()
    with Wrapped() as tun:
        assert tun.call(os.getenv, 'CHOPSTICKS_API') == 'yes'


def test_own_tunnel():
    from chopsticks.tunnel import SubprocessTunnel

    class Own(SubprocessTunnel):
        host = 'own'

        def cmd_args(self):
            return ['env', 'CHOPSTICKS_API=own', sys.executable] + self.PYTHON_ARGS
    with Own() as tun:
        assert tun.call(os.getenv, 'CHOPSTICKS_API') == 'own'


def test_many_calls_in_a_row():
    with Local() as tun:
        for n in range(300):
            assert tun.call(same, n) == ((n,), {})
