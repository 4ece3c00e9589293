"""Calls on one tunnel."""

import math
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time

import pytest

import chopsticks
from chopsticks.tunnel import Command, Disconnected, Docker, Local, RemoteException, SSHTunnel, Sudo, Timeout, Tunnel
import remote
from conftest import AGENTS, is_alive, until
from remote import print_to_stderr


def test_result_has_the_types_that_python_has(any_tun):
    text = "[1, 2**62, 2**64, -2**100, 1.5, True, None, u'\\xe9', (1, (2,)), set([3]), frozenset([4]), {u'a': {1: []}}]"
    value = any_tun.call(eval, text)
    assert value == eval(text)
    assert [type(item) for item in value] == [type(item) for item in eval(text)]


@pytest.mark.parametrize('agent', AGENTS)
def test_bytes_may_be_marked_in_scripts(script, agent):
    out = script("""
        import pickle
        from chopsticks.pencode import Bytes

        def made(data):
            return Bytes(b'\\xa3100'), [Bytes(data), len(data)]

        with Local(python=%r) as tun:
            print(tun.call(made, Bytes(b'\\xff')))
        print(pickle.loads(pickle.dumps(Bytes(b'x'))))
    """ % agent)
    assert out == "(b'\\xa3100', [b'\\xff', 1])\nb'x'\n"


def test_what_has_no_form_is_refused_without_a_word_of_rust(tun):
    with pytest.raises(RemoteException) as caught:
        tun.call(eval, '[1j]')
    assert caught.value.msg.endswith('result[0]: complex is not a primitive type')


def test_keywords_belong_to_the_function(tun):
    assert tun.call(int, '11', base=2) == 3
    assert tun.call(dict, self=1, callable=2, timeout=3) == {'self': 1, 'callable': 2, 'timeout': 3}


def test_methods_of_classes_and_builtins_have_names(tun):
    assert tun.call(str.upper, 'a') == 'A'
    assert tun.call(dict.fromkeys, ['a'], 1) == {'a': 1}
    assert tun.call(math.sqrt, 4) == 2.0


def test_exception_names_host_and_traceback(tun):
    with pytest.raises(RemoteException) as caught:
        tun.call(os.listdir, '/nowhere')
    error = caught.value
    assert (error.host, error.type_name) == ('localhost', 'FileNotFoundError')
    assert '/nowhere' in error.msg and 'FileNotFoundError' in error.tb
    assert str(error).startswith('localhost: FileNotFoundError') and error.tb.rstrip() in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.type_name, again.tb) == (str(error), error.type_name, error.tb)


def test_names_that_are_not_utf_8_travel_both_ways(any_tun, tmp_path):
    is_old = any_tun.call(remote.major) == 2
    names = [b'caf\xe9', 'caf\xe9'.encode(), b'\xff', '\uef80'.encode(), b'plain']
    # That Python takes the bytes of a surrogate for UTF-8.
    names += [] if is_old else [b'\xed\xb2\x80']
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(b'x')
    found = any_tun.call(os.listdir, str(tmp_path))
    assert sorted(map(os.fsencode, found)) == sorted(names) and {type(name) for name in found} == {str}
    if not is_old:
        for name in found:
            assert any_tun.call(os.path.getsize, os.path.join(str(tmp_path), name)) == 1
            assert any_tun.call(os.path.getsize, pathlib.Path(tmp_path, name)) == 1
            assert any_tun.call(remote.echo, name) == name
            assert any_tun.call(remote.echo, {name: [name]}) == {name: [name]}


def test_text_with_another_lone_surrogate_is_refused(tun):
    with pytest.raises(RemoteException, match='text contains a lone surrogate$'):
        tun.call(chr, 0xD800)


def test_result_that_cannot_be_carried_is_an_error(tun):
    with pytest.raises(RemoteException, match='not a primitive type'):
        tun.call(eval, 'object()')
    assert tun.call(eval, '1') == 1


def test_calls_of_many_threads_overlap(tun):
    barrier = threading.Barrier(5)
    found = []

    def work(number):
        barrier.wait()
        found.append(tun.call(divmod, number, 3))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [divmod(number, 3) for number in range(5)]


def test_deadline_cancels_the_call(tun):
    for wait in (lambda: tun.options(timeout=0.5).call(time.sleep, 1000), lambda: within(tun)):
        with pytest.raises(Timeout) as caught:
            wait()
        assert isinstance(caught.value, TimeoutError) and isinstance(caught.value, RemoteException)
    assert tun.call(len, 'abc') == 3


def test_deadline_is_told_as_it_was_given(tun):
    tun.connect()
    for timeout, wait in (
        (0.25, lambda: tun.call(time.sleep, 1000)),
        (0.5, lambda: tun.options(timeout=1000).call(time.sleep, 1000)),
    ):
        with pytest.raises(Timeout) as caught, chopsticks.timeout(timeout):
            wait()
        assert 'timed out after %dms' % (timeout * 1000) in caught.value.msg
    for nothing in (lambda: tun.options(timeout=float('nan')), lambda: chopsticks.timeout(float('nan'))):
        with pytest.raises(ValueError, match='a deadline is a number of seconds, not nan'):
            nothing()


def within(tun):
    with chopsticks.timeout(0.5), chopsticks.timeout(1000):
        tun.call(time.sleep, 1000)


def test_cancelled_call_ends_what_it_started(tun, tmp_path):
    pid = tmp_path / 'pid'
    with pytest.raises(Timeout):
        tun.options(timeout=2).call(subprocess.call, 'echo $$ > %s; exec sleep 1000' % pid, shell=True)
    until(lambda: not is_alive(int(pid.read_text())))


def test_tunnel_reconnects_after_close_and_after_a_loss(tun):
    first = tun.call(os.getpid)
    tun.close()
    tun.close()
    second = tun.call(os.getpid)
    assert second != first and not is_alive(first)
    with pytest.raises(Disconnected):
        tun.call(os._exit, 3)
    assert tun.call(os.getpid) not in (first, second)


def test_interpreter_is_read_when_it_connects(tmp_path):
    class Mine(Local):
        python3 = str(tmp_path / 'nowhere')

    tun = Mine()
    with pytest.raises(Disconnected, match='nowhere'):
        tun.connect()
    Mine.python3 = sys.executable
    try:
        assert tun.call(eval, "__import__('sys').version_info[0]") == 3
    finally:
        tun.close()


def test_tunnels_are_equal_by_host():
    assert Local('a') == SSHTunnel('a') != Local('b')
    assert {Local('a'): 1}[Tunnel('a')] == 1
    assert Local('a') != 'a'
    assert repr(Docker('d')) == "Docker('d')"


def test_dropped_tunnel_ends_its_agent():
    tun = Local(python=sys.executable)
    pid = tun.call(os.getpid)
    del tun
    until(lambda: not is_alive(pid))


def test_stderr_goes_where_sys_stderr_is_now(tun, capsys):
    tun.call(print_to_stderr, 'one')
    until(lambda: '[localhost] one' in capture(capsys))


captured = []


def capture(capsys):
    captured.append(capsys.readouterr().err)
    return ''.join(captured)


def test_stderr_goes_to_the_attribute(tun):
    lines = []
    tun.stderr = lambda host, line: lines.append((host, line))
    tun.call(print_to_stderr, 'two\x1b[31m')
    until(lambda: lines)
    assert lines == [('localhost', 'two\\x1b[31m')]


def test_tunnel_goes_through_another(tun):
    inner = Local('inner', python=sys.executable).via(tun)
    with inner:
        assert inner.call(os.getppid) == tun.call(os.getpid)


def test_command_of_ones_own_is_run():
    class Nice(Local):
        python3 = sys.executable

        def cmd_args(self):
            return ['nice', '-n', '5', *super().cmd_args()]

    class Wrapped(Local):
        def command(self, python):
            return ['nice', '-n', '7', *python]

    with Nice('n') as one, Wrapped('w', python=sys.executable) as other:
        assert one.call(os.nice, 0) == os.nice(0) + 5
        assert other.call(os.nice, 0) == os.nice(0) + 7
    with Command('c', ['nice', '-n', '3'], python=sys.executable) as third:
        assert third.call(os.nice, 0) == os.nice(0) + 3
    with Command('s', ['sh', '-c', '{}'], python=sys.executable) as fourth:
        assert fourth.call(len, 'abc') == 3


def test_tunnel_of_ones_own_need_not_call_ours():
    class Mine(chopsticks.SubprocessTunnel):
        python3 = sys.executable

        def __init__(self, host):
            self.host = host

        def command(self, python):
            return ['env', 'MINE=1', *python]

    with Mine('mine') as tun:
        assert tun.call(os.getenv, 'MINE') == '1'


def test_exception_of_cmd_args_is_told():
    class Broken(Local):
        def cmd_args(self):
            raise ValueError('no such thing')

    with pytest.raises(Disconnected, match='no such thing'):
        Broken('b').connect()


def test_commands_have_the_programs_and_options_of_the_core():
    args = SSHTunnel('web1', user='me', port=2222, sudo=True).cmd_args()
    assert args[0] == 'ssh' and 'BatchMode=yes' in args and args[-2] == 'web1'
    assert args[-1].startswith('exec sudo --non-interactive --set-home -u root -- /usr/bin/python3 -s -S -E -c ')
    args = Docker('d', image='python:3.6', args=['--memory=1g']).cmd_args()
    assert args[:2] == ['docker', 'run'] and '--rm' in args and '--memory=1g' in args
    assert args[args.index('python:3.6') + 1 :] == ['python3', *Docker.PYTHON_ARGS]
    assert '--rm' not in Docker('d', rm=False).cmd_args()
    assert Sudo('me').cmd_args()[:5] == ['sudo', '--non-interactive', '--set-home', '-u', 'me']
    assert (Sudo().host, Sudo('me').host, Sudo('me', 'x').host) == ('root@localhost', 'me@localhost', 'x')


def test_entries_of_sys_path_that_python_ignores_do_not_matter(script, tmp_path):
    (tmp_path / 'gone').mkdir()
    out = script(
        """
        import pathlib
        os.rmdir(os.getcwd())
        sys.path[:0] = ['', pathlib.Path('/'), b'/', '/nowhere', __file__]
        with Here() as tun:
            print(tun.call(len, 'abc'))
        """,
        cwd=tmp_path / 'gone',
    )
    assert out == '3\n'
