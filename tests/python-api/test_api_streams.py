"""Streams: what functions yield, and what they read."""
import threading

from chopsticks.group import ErrorResult, Group
from chopsticks.tunnel import Local, RemoteException

from test_api_calls import raised
from test_api_groups import Lost


def count(number):
    for value in range(number):
        yield value


def forever():
    number = 0
    while True:
        yield number
        number += 1


def total(numbers, start=0):
    for number in numbers:
        start += number
    return start


def lengths(words):
    for word in words:
        yield len(word)


def first(words, *others):
    for word in words:
        return [word] + list(others)


def yields_first(words):
    for word in words:
        yield word
        return


def none_of(words):
    return 'none'


def kept(words):
    try:
        return list(words)
    except (IOError, OSError) as e:
        return str(e)


def stops(number):
    for value in range(number):
        yield value
    raise ValueError('no more')


def given(*args, **kwargs):
    return [len(args), kwargs]


def ticking(ended):
    """An input without an end."""
    try:
        while True:
            yield 'tick'
    finally:
        ended.set()


def test_items_come_in_order_and_an_error_behind_them():
    with Local() as there:
        assert list(there.stream(count, 1000)) == list(range(1000))
        found = []
        failing = there.stream(stops, 3)
        error = raised(lambda: [found.append(item) for item in failing])
        assert found == [0, 1, 2] and isinstance(error, RemoteException) and 'no more' in str(error)
        with there.stream(forever) as items:
            assert next(items) == 0
        assert list(items) == [] and there.call(len, 'abc') == 3


def test_call_reads_what_this_side_makes():
    with Local() as there:
        assert there.call(total, input=[1, 2, 3]) == 6
        assert there.call(total, 10, input=(n for n in range(1000))) == 499510
        assert there.call(total, start=1, input=iter([])) == 1
        assert there.call(first, 'x', 'y', input=['a', 'b']) == ['a', 'x', 'y']
        shared = [None, 1.5, u'\xe9', [1, (2, set([3]))], {u'a': 1}]
        assert there.call(kept, input=shared) == shared
        assert raised(there.call, total, input=7).__class__ is TypeError


def test_call_reads_more_than_would_be_kept():
    with Local() as there:
        size, number = 1 << 16, 500
        assert there.call(total, input=(size for _ in range(number))) == size * number
        assert there.call(sum_of_lengths, input=(b'x' * size for _ in range(number))) == size * number


def sum_of_lengths(words):
    return sum(len(word) for word in words)


def test_input_ends_when_nobody_reads_it():
    with Local() as there:
        for function in (first, none_of):
            ended = threading.Event()
            assert there.call(function, input=ticking(ended)) in (['tick'], 'none')
            assert ended.wait(60)
        ended = threading.Event()
        assert list(there.stream(yields_first, input=ticking(ended))) == ['tick']
        assert ended.wait(60)
        ended = threading.Event()
        with there.stream(lengths, input=ticking(ended)) as items:
            assert next(items) == 4
        assert ended.wait(60)
        ended = threading.Event()
        assert isinstance(raised(there.call, stops_at, input=ticking(ended)), RemoteException)
        assert ended.wait(60)
        assert there.call(len, 'abc') == 3


def stops_at(words):
    for word in words:
        raise ValueError(word)


def test_error_of_an_input_is_raised_where_it_is_read():
    def words():
        yield 'one'
        raise ValueError('no more words')

    with Local() as there:
        assert there.call(kept, input=words()) == 'ValueError: no more words'
        error = raised(there.call, total, input=(1 // n for n in [1, 0]))
        assert isinstance(error, RemoteException) and 'ZeroDivisionError: ' in str(error)
        assert error.type_name in ('OSError', 'IOError') and isinstance(error.__cause__, ZeroDivisionError)
        items = there.stream(lengths, input=words())
        assert next(items) == 3
        error = raised(next, items)
        assert 'ValueError: no more words' in str(error) and isinstance(error.__cause__, ValueError)
        assert 'complex' in there.call(kept, input=[1j])


def test_function_yields_while_it_reads():
    asked = []

    def words():
        for number in range(1000):
            asked.append(number)
            yield 'x' * number

    with Local() as there:
        items = there.stream(lengths, input=words())
        assert list(items) == list(range(1000)) and len(asked) == 1000


def test_input_may_be_the_stream_of_another():
    with Local('a') as one, Local('b') as other:
        assert other.call(total, input=one.stream(count, 1000)) == 499500
        assert list(other.stream(lengths, input=one.stream(words_of, 100))) == list(range(100))


def words_of(number):
    for n in range(number):
        yield 'x' * n


def test_text_for_input_is_the_function_s_own():
    with Local() as there:
        assert there.call(given, 1, input='text') == [1, {'input': 'text'}]
        assert there.call(given, input=b'bytes') == [0, {'input': b'bytes'}]
        assert there.call(given, 1, input=None) == [1, {}]


def test_group_streams_pairs_of_host_and_item():
    with Group([Local('a'), Local('b'), Lost('lost')]) as hosts:
        found = list(hosts.stream(count, 100))
        for host in 'ab':
            assert [item for name, item in found if name == host] == list(range(100))
        (failed,) = [item for name, item in found if name == 'lost']
        assert isinstance(failed, ErrorResult) and '/nonexistent/python' in failed.msg
        assert len(found) == 201
        found = list(hosts.stream(stops, 2))
        assert [item for name, item in found if name == 'a'][:2] == [0, 1]
        (failed,) = [item for name, item in found if name == 'a'][2:]
        assert isinstance(failed, ErrorResult) and 'no more' in failed.msg


def test_group_gives_its_input_to_each_host():
    asked = []

    def words():
        for number in range(200):
            asked.append(number)
            yield 'x' * number

    with Group([Local('a'), Lost('lost'), Local('b')]) as hosts:
        found = list(hosts.stream(lengths, input=words()))
        for host in 'ab':
            assert [item for name, item in found if name == host] == list(range(200))
        assert len(asked) == 200
        ended = threading.Event()
        with hosts.stream(lengths, input=ticking(ended)) as items:
            next(items)
        assert ended.wait(60)
        assert raised(hosts.call, total, input=[1]).__class__ is TypeError
        assert hosts.call(given, input='text')['a'] == [0, {'input': 'text'}]
