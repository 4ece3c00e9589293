"""The package itself."""

import chopsticks
import chopsticks.facts
import chopsticks.pencode
import chopsticks.tunnel
import pytest


def test_names_of_the_package_are_those_of_its_modules():
    from chopsticks import Group, Queue, Tunnel

    assert Tunnel is chopsticks.tunnel.Tunnel is chopsticks.tunnel.SSHTunnel
    assert Group is chopsticks.group.Group and Queue is chopsticks.queue.Queue
    with pytest.raises(AttributeError):
        chopsticks.nothing  # noqa: B018
    assert 'Tunnel' in dir(chopsticks)
    assert chopsticks.__version__.startswith('.'.join(map(str, chopsticks.__versioninfo__)))


def test_functions_of_the_package_are_there_on_every_host(any_tun):
    assert tuple(any_tun.call(chopsticks.facts.python_version))[0] in (2, 3)
    assert any_tun.call(chopsticks.facts.cpu_count) >= 1


def test_pencode_carries_values_and_what_they_share():
    shared = ['x']
    value = [None, True, 1, -(2**70), 1.5, 'é', b'\xff', (1, {2}), frozenset([3]), {'a': shared, 'b': shared}]
    value.append(value)
    again = chopsticks.pencode.pdecode(chopsticks.pencode.pencode(value))
    assert again[:-1] == value[:-1] and again[-1] is again and again[9]['a'] is again[9]['b']
    for unfit in (object(), 1j, '\ud800', 10**4300):
        with pytest.raises(TypeError):
            chopsticks.pencode.pencode([unfit])
    with pytest.raises(ValueError):
        chopsticks.pencode.pdecode(b'i\0\0\0\1x')
    assert chopsticks.pencode.Bytes is bytes
