"""The package itself."""

import ast
import importlib
import inspect
import pathlib

import chopsticks
import chopsticks.facts
import chopsticks.pencode
import chopsticks.tunnel
import pytest
import uses_all


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
        with pytest.raises(ValueError):
            chopsticks.pencode.pencode([unfit])
    with pytest.raises(ValueError):
        chopsticks.pencode.pdecode(b'i\0\0\0\1x')
    data = chopsticks.pencode.Bytes(b'\xa3')
    assert data == b'\xa3' and chopsticks.pencode.pencode(data) == chopsticks.pencode.pencode(b'\xa3')


def parameters(function):
    """The names of what a function in a stub takes."""
    arguments = function.args
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    names += [argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [name for name in names if name not in ('self', 'cls')]


@pytest.mark.parametrize('module', ['_call', '_chopsticks', 'facts', 'helpers', 'tasks.processes'])
def test_stubs_say_what_is_there(module):
    module = importlib.import_module('chopsticks.' + module)
    stub = pathlib.Path(module.__file__)
    stub = stub.with_name(module.__name__.rpartition('.')[2] + '.pyi')
    checked = []

    def compare(owner, body):
        for node in body:
            if isinstance(node, ast.ClassDef):
                compare(getattr(owner, node.name), node.body)
            elif isinstance(node, ast.FunctionDef):
                found = getattr(owner, node.name)
                if node.name.startswith('__'):
                    found = owner if node.name == '__new__' else None
                checked.append(node.name)
                # Python 3.9 does not say what a compiled class takes.
                if found is not None and not (inspect.isclass(found) and found.__text_signature__ is None):
                    has = [name for name in inspect.signature(found).parameters if name != 'self']
                    assert has == parameters(node), node.name
            elif isinstance(node, ast.AnnAssign) and not inspect.isclass(owner):
                assert hasattr(owner, node.target.id)

    compare(module, ast.parse(stub.read_text()).body)
    assert checked
    if module.__name__.endswith('_chopsticks'):
        names = {name for name in vars(module) if not name.startswith('__')}
        assert names == {name for name in stub.read_text().replace('(', ' ').replace(':', ' ').split() if name in names}


def test_modules_that_import_all_of_it_can_be_imported_on_hosts(any_tun):
    said = any_tun.call(uses_all.refused)
    assert len(said) == 6 and all('is for controllers' in text for text in said)
    assert any_tun.call(uses_all.command, any_tun.python) == 7
