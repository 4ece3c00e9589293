"""Groups: one operation on many hosts, and sets of them."""
import os

from chopsticks.group import ErrorResult, Group, GroupResult
from chopsticks.tunnel import Local, RemoteException

from test_api_calls import fails, raised


class Lost(Local):
    python2 = python3 = '/nonexistent/python'


def group(*names):
    return Group([Local(name) for name in names])


def hosts(found):
    return [tunnel.host for tunnel in found.tunnels]


def pid_is_even():
    return os.getpid() % 2 == 0


def yes():
    return 1


def fails_on(mark):
    if os.path.exists(mark):
        os.unlink(mark)
        raise ValueError('it was there')
    return 'fine'


def test_results_are_in_the_order_of_the_group():
    names = ['c', 'a', 'd', 'b']
    with group(*names) as g:
        found = g.call(len, [1])
        assert isinstance(found, GroupResult) and isinstance(found, dict)
        assert list(found) == names and list(found.values()) == [1] * 4
        assert list(found.successful()) == [(name, 1) for name in names]
        assert list(found.iteritems()) == list(found.items())
        assert list(found.failures()) == [] and found.raise_failures() is None
        assert len(set(g.call(os.getpid).values())) == 4
        assert repr(GroupResult([('a', 1)])) == "GroupResult({'a': 1})"


def test_keywords_belong_to_the_function():
    with group('a') as g:
        assert g.call(sorted, [1, 2], reverse=True) == {'a': [2, 1]}


def test_failures_are_results():
    g = Group([Local('a'), Lost('lost'), Local('c')])
    try:
        found = g.call(len, [])
        assert list(found) == ['a', 'lost', 'c'] and found['a'] == found['c'] == 0
        assert isinstance(found['lost'], ErrorResult) and '/nonexistent/python' in found['lost'].msg
        assert [host for host, _ in found.failures()] == ['lost']
        error = raised(found.raise_failures)
        assert isinstance(error, RemoteException)
        assert str(error).startswith('1/3 hosts had failures:\n\n[lost] '), str(error)
        found = g.call(fails, 'why')
        error = raised(found.raise_failures)
        assert str(error).startswith('3/3 hosts had failures:\n\n[a] KeyError: ')
        assert 'in fails' in found['a'].tb and 'in fails' in str(error)
    finally:
        g.close()


def test_groups_can_be_used_again():
    g = group('a', 'b')
    for _ in range(2):
        with g:
            assert g.call(yes) == {'a': 1, 'b': 1}
    g.connect()
    assert g.call(yes) == {'a': 1, 'b': 1}
    g.close()


def test_filter():
    with group('a', 'b', 'c') as g:
        even, odd = g.filter(pid_is_even), g.filter(pid_is_even, exclude=True)
        assert sorted(hosts(even) + hosts(odd)) == ['a', 'b', 'c']
        assert hosts(g.filter(yes)) == ['a', 'b', 'c'] and hosts(g.filter(yes, exclude=True)) == []
        assert isinstance(raised(Group([Lost('lost')]).filter, yes), RemoteException)


def test_sets_of_hosts():
    a, b, c = Local('a'), Local('b'), Local('c')
    ab, bc = Group([a, b]), Group([b, c])
    for made, wanted in (
            (ab.union(bc), 'abc'), (ab | bc, 'abc'), (ab + bc, 'abc'), (a + b, 'ab'), (a | a, 'a'), (a.union(bc), 'abc'),
            (ab.intersection(bc), 'b'), (ab & bc, 'b'), (a & bc, ''), (b.intersection(bc), 'b'),
            (ab.difference(bc), 'a'), (ab - bc, 'a'), (ab - a, 'b'), (a - b, 'a'), (b.difference(bc), ''),
            (ab.symmetric_difference(bc), 'ac'), (ab ^ bc, 'ac'), (a ^ b, 'ab'), (a.symmetric_difference(a), '')):
        assert isinstance(made, Group) and sorted(hosts(made)) == list(wanted), (made, wanted)
    assert hosts(Group([Local('a')]) | Group([Local('a')])) == ['a']
    for work in ab.__add__, ab.__and__:
        try:
            assert work(5) is NotImplemented
        except TypeError:
            pass


def test_members():
    assert repr(group('a', 'b')) == "Group([Local('a'), Local('b')])"
    assert hosts(Group(['web1'])) == ['web1'] and type(Group(['web1']).tunnels[0]).__name__ == 'SSHTunnel'
    assert isinstance(raised(Group, [5]), TypeError)
    assert Group([]).call(yes) == {}
