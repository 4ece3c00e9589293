"""Tunnels by programs: other users, containers and clusters; passwords; connecting again."""

import asyncio
import os
import pickle
import sys
import threading
import traceback

import pytest

import chopsticks.tunnel
import streaming_module as remote
from chopsticks import aio
from chopsticks.group import Group
from chopsticks.tunnel import (
    Chroot,
    Compose,
    Disconnected,
    Doas,
    DockerExec,
    Incus,
    Kubectl,
    Local,
    Lxc,
    Lxd,
    Machine,
    Netns,
    Nsenter,
    Nspawn,
    PodmanExec,
    RemoteException,
    Slurm,
    SSHTunnel,
    Su,
    SubprocessTunnel,
    Sudo,
)

#: A program that runs what follows `--`.
RUNS_THE_REST = """\
#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
#: What asks for a password as sudo does: `-S -p PROMPT`, and takes that of `right` alone.
ASKS_AS_SUDO = """\
#!/bin/sh
echo asked >> "$0.log"
while [ "$1" != -- ]; do
    [ "$1" = -p ] && prompt=$2
    shift
done
shift
printf '%s' "$prompt" >&2
read -r line
if [ "$line" != 'right horse' ]; then
    echo refused >> "$0.log"
    echo 'Sorry, try again.' >&2
    exit 1
fi
exec "$@"
"""
#: What asks as ssh does, by the program that it is given for that.
ASKS_AS_SSH = """\
#!/bin/sh
echo asked >> "$0.log"
answer=$("$SSH_ASKPASS" "user@host's password: ") || exit 255
if [ "$answer" != 'right horse' ]; then
    echo refused >> "$0.log"
    echo 'user@host: Permission denied (password).' >&2
    exit 255
fi
for line; do :; done
exec /bin/sh -c "$line"
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program in front of all others of its name; returns what reads its log."""

    def put(name, text):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        monkeypatch.setenv('PATH', str(tmp_path) + os.pathsep + os.environ['PATH'])
        log = tmp_path / (name + '.log')
        return lambda: log.read_text().split() if log.exists() else []

    return put


@pytest.mark.parametrize(
    ('tunnel', 'host', 'words'),
    [
        (Su('postgres'), 'postgres@localhost', 'su postgres -c|exec PYTHON -x'),
        (Su('web', shell='/bin/sh', login=True), 'web@localhost', 'su -l -s /bin/sh web -c|exec PYTHON -x'),
        (Doas('web', 'other'), 'other', 'doas -n -u web -- PYTHON -x'),
        (Chroot('/srv/root', user='u:g'), '/srv/root', 'chroot --userspec=u:g -- /srv/root PYTHON -x'),
        (Nsenter(7), 'pid-7', 'nsenter --target 7 --all -- PYTHON -x'),
        (Nsenter(7, namespaces=['net', 'mount']), 'pid-7', 'nsenter --target 7 --net --mount -- PYTHON -x'),
        (Netns('blue'), 'blue', 'nsenter --net=/run/netns/blue -- PYTHON -x'),
        (
            Nspawn('/srv/root', ephemeral=True, bind=['/a:/b'], user='u'),
            '/srv/root',
            'systemd-nspawn --quiet --pipe --as-pid2 --directory=/srv/root --ephemeral --bind=/a:/b --user=u'
            ' -- PYTHON -x',
        ),
        (Nspawn('image'), 'image', 'systemd-nspawn --quiet --pipe --as-pid2 --machine=image -- PYTHON -x'),
        (
            Machine('m', user='u'),
            'm',
            'systemd-run --quiet --pipe --wait --collect --machine=m --uid=u -- PYTHON -x',
        ),
        (Lxc('c', path='/p', uid=7), 'c', 'lxc-attach --name=c --lxcpath=/p --uid=7 -- PYTHON -x'),
        (Incus('r:c', 'c', project='p'), 'c', 'incus exec --force-noninteractive --project p r:c -- PYTHON -x'),
        (Lxd('c', uid=7), 'c', 'lxc exec --force-noninteractive --user 7 c -- PYTHON -x'),
        (
            Kubectl('deploy/api', namespace='n', container='c', context='x', kubeconfig='/k', args=['--odd']),
            'deploy/api',
            'kubectl exec --stdin --kubeconfig /k --context x --namespace n --container c --odd deploy/api'
            ' -- PYTHON -x',
        ),
        (Slurm(partition='p', time='10', cpus=4), 'slurm', None),
        (Compose('web', project='p', files=['a.yml', 'b.yml'], index=2, user='u', workdir='/w'), 'web', None),
        (DockerExec('c', user='u', workdir='/w'), 'c', None),
        (PodmanExec('c', 'other'), 'other', None),
    ],
)
def test_settings_become_words_of_the_command(tunnel, host, words):
    assert tunnel.host == host and repr(tunnel) == '%s(%r)' % (type(tunnel).__name__, host)
    found = tunnel.command(['PYTHON', '-x'])
    if words is not None:
        head, _, line = words.partition('|')
        assert found == head.split() + ([line] if line else [])
    else:
        assert found[-2:] == ['PYTHON', '-x']
    for value in 'p', '10', '4', 'a.yml', 'b.yml', '2', '/w':
        if words is None and value in repr(tunnel._settings):
            assert any(word == value or word.endswith('=' + value) for word in found), (value, found)
    assert isinstance(tunnel, SubprocessTunnel) and type(tunnel).__module__ == 'chopsticks.tunnel'
    assert type(tunnel).__name__ in chopsticks.tunnel.__all__


def test_functions_are_called_through_a_program(program):
    program('kubectl', RUNS_THE_REST)
    with Kubectl('web-0', namespace='shop', python=sys.executable) as pod:
        assert pod.call(len, 'abc') == 3

    class Pod(Kubectl):
        def command(self, python):
            return ['env', 'SAID=yes', *super().command(python)]

    with Pod('web-0', python=sys.executable) as pod:
        assert pod.call(os.getenv, 'SAID') == 'yes'
    # The image's own.
    with Kubectl('web-0') as pod, Group([pod]) as group:
        assert group.call(len, 'abc') == {'web-0': 3}
    with pytest.raises(Disconnected, match='incus'):
        Incus('web').call(len, 'abc')


def test_settings_that_mean_nothing_are_refused():
    for made in (
        lambda: Kubectl('web', args='--one'),
        lambda: Nsenter(7, namespaces='net'),
        lambda: Nsenter('all'),
        lambda: Lxc('c', user='u'),
        lambda: Sudo(password=7),
        lambda: SSHTunnel('host', password=['text']),
    ):
        with pytest.raises((TypeError, ValueError)):
            made()
    with pytest.raises(ValueError, match='uid'):
        Lxc('c', uid='root').command(['PYTHON'])


def test_sudo_gets_a_password_when_it_asks(program):
    log = program('sudo', ASKS_AS_SUDO)
    with Sudo('root', python=sys.executable, password='right horse') as root:
        assert root.call(len, 'abc') == 3
        root.close()
        assert root.call(len, 'abc') == 3
    assert log() == ['asked', 'asked']
    with pytest.raises(Disconnected, match='try again'):
        Sudo('root', python=sys.executable, password='wrong horse').connect()
    with pytest.raises(Disconnected):
        # It never asks then.
        Sudo('root', python=sys.executable).connect()


def test_ssh_gets_a_password_when_it_asks(program):
    log = program('ssh', ASKS_AS_SSH)
    with SSHTunnel('user@host', python=sys.executable, password='right horse') as there:
        assert there.call(len, 'abc') == 3
    with pytest.raises(Disconnected, match='password was given, and refused') as caught:
        SSHTunnel('user@host', python=sys.executable, password='wrong horse').connect()
    assert 'wrong horse' not in str(caught.value)
    assert log().count('refused') == 1

    async def main():
        async with aio.SSHTunnel('user@host', python=sys.executable, password='right horse') as there:
            return await there.call(len, 'abc')

    assert asyncio.run(main()) == 3


def test_function_is_asked_once_for_each_host(program):
    program('ssh', ASKS_AS_SSH)
    asked = []

    def ask(host):
        asked.append((host, threading.current_thread() is threading.main_thread()))
        return 'right horse'

    tunnels = [SSHTunnel(name, python=sys.executable, password=ask) for name in ('a', 'b')]
    for _ in range(2):
        with Group(tunnels) as group:
            assert group.call(len, 'abc') == {'a': 3, 'b': 3}
    assert sorted(asked) == [('a', False), ('b', False)]
    with pytest.raises(Disconnected, match='there is none'):
        SSHTunnel('c', python=sys.executable, password=lambda host: None).connect()


def test_what_a_function_for_a_password_raises_is_reported(program, monkeypatch):
    program('ssh', ASKS_AS_SSH)
    reported = []
    monkeypatch.setattr(sys, 'unraisablehook', lambda found: reported.append(str(found.exc_value)))

    def ask(host):
        raise ValueError('no terminal')

    with pytest.raises(Disconnected, match='there is none'):
        SSHTunnel('c', python=sys.executable, password=ask).connect()
    assert reported == ['no terminal']


def test_wrong_password_for_many_hosts_is_one_failed_login(program):
    log = program('ssh', ASKS_AS_SSH)
    # Each has text of its own, which is the same.
    tunnels = [SSHTunnel('h%d' % n, python=sys.executable, password='mistyped %s' % 'horse') for n in range(8)]
    found = Group(tunnels).connect()
    assert len(list(found.failures())) == 8 and log().count('refused') == 1
    assert 'mistyped horse' not in repr(found)


def test_password_is_nowhere_to_be_found(program):
    program('sudo', ASKS_AS_SUDO)
    secret = 'right horse'
    with Sudo('root', python=sys.executable, password=secret) as root:
        environments = root.call(remote.environments_and_arguments)
        assert len(environments) > 1 and not any(secret.encode() in text for text in environments)
        for text in (repr(root), repr(vars(root)), repr(root._state.recipe), str(pickle.dumps(root))):
            assert secret not in text
        copy = pickle.loads(pickle.dumps(root))
        assert copy.host == root.host and copy._secrets is None
        assert root.options(timeout=60).call(len, 'abc') == 3
        try:
            root.call(int, 'x')
        except RemoteException:
            assert secret not in traceback.format_exc()
    with pytest.raises(TypeError) as caught:
        Sudo(password=secret.encode())
    assert secret not in str(caught.value)


def test_class_with_a_command_of_its_own_gets_no_password():
    class Own(SSHTunnel):
        def command(self, python):
            return python

    with pytest.raises(ValueError, match='composes its command itself'):
        Own('host', password='right horse').connect()


FAILS_TWICE = """\
#!/bin/sh
echo tried >> "$0.log"
[ $(wc -l < "$0.log") -gt 2 ] || exit 255
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


def test_it_connects_again_as_often_as_it_is_told(program):
    log = program('kubectl', FAILS_TWICE)

    class Patient(Kubectl):
        connect_retries = 2

    with Patient('web', python=sys.executable) as pod:
        assert pod.call(len, 'abc') == 3
    assert len(log()) == 3


def test_it_connects_again_for_a_time(program):
    log = program('kubectl', FAILS_TWICE)
    pod = Kubectl('web', python=sys.executable)
    with pytest.raises(Disconnected):
        pod.connect()
    pod.connect_within = 60
    with pod:
        assert pod.call(len, 'abc') == 3
    assert len(log()) == 3
    pod.connect_within = 'long'
    with pytest.raises(ValueError, match='long'):
        pod.connect()


def test_names_of_tunnels_are_found_when_they_are_asked_for(script):
    out = script("""
        import chopsticks.tunnel
        print('chopsticks._programs' in sys.modules, hasattr(chopsticks.tunnel, 'Nothing'))
        from chopsticks.tunnel import Kubectl
        print(Kubectl.__module__, Kubectl('web'))
    """)
    assert out == "False False\nchopsticks.tunnel Kubectl('web')\n"
    assert Local().host == 'localhost'
