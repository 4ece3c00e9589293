"""What the documentation of the original library shows, as it stands there.

Its hosts and containers are processes of this machine: programs called `ssh` and `docker` stand in front of `PATH`.
"""

import os
import re
import stat
import subprocess
import sys
import textwrap

import pytest

from conftest import PATIENCE

SSH = """\
#!/bin/sh
test "$1" = -V && { echo OpenSSH_9.2p1 >&2; exit; }
for last; do :; done
exec sh -c "$last"
"""
DOCKER = """\
#!/bin/sh
while [ "$1" != python3 ]; do shift; done
exec "$@"
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script; returns what it printed."""
    programs = tmp_path / 'programs'
    programs.mkdir()
    for name, text in (('ssh', SSH), ('docker', DOCKER)):
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    folder = tmp_path / 'work'
    folder.mkdir()

    def run(text):
        (folder / 'script.py').write_text(textwrap.dedent(text))
        environment = dict(os.environ, PATH='%s:/usr/bin:/bin' % programs)
        done = subprocess.run(
            [sys.executable, 'script.py'], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        run.stderr = done.stderr
        return done.stdout

    run.folder = folder
    return run


def test_taster(run):
    out = run("""
        import time
        from chopsticks.tunnel import SSHTunnel

        with SSHTunnel('www.chopsticks.io') as tun:
            print(tun.call(time.time))
    """)
    assert float(out) > 1e9


def test_introduction(run):
    out = run("""
        from chopsticks.tunnel import Tunnel
        tun = Tunnel('troy.example.com')

        import time
        print('Time on %s:' % tun.host, tun.call(time.time))

        from chopsticks.group import Group

        group = Group([
            'web1.example.com',
            'web2.example.com',
            'web3.example.com',
        ])
        for host, t in group.call(time.time).successful():
            print('Time on %s:' % host, t)

        from chopsticks.tunnel import Docker
        from chopsticks.facts import python_version

        dkr = Docker('py36', image='python:3.6')
        print(dkr.call(python_version))

        # Explictly connect and disconnect
        group.connect()
        group.call(time.time)
        group.close()

        # Reconnect and disconnect as context manager
        with group:
            group.call(time.time)

        # Implicit reconnect
        group.call(time.time)

        # Disconnect when destroyed
        del group
    """)
    lines = out.splitlines()
    hosts = ['troy.example.com', 'web1.example.com', 'web2.example.com', 'web3.example.com']
    assert [line.split(':')[0] for line in lines[:4]] == ['Time on ' + host for host in hosts]
    assert re.fullmatch(r"\[3, \d+, \d+, '\w+', \d+\]", lines[4])


def test_single_file_script(run):
    out = run("""
        from chopsticks import Tunnel

        def do_it():
            return 'done'

        if __name__ == '__main__':
            with Tunnel('remote') as tun:
                print(tun.call(do_it))
    """)
    assert out == 'done\n'
    out = run("""
        from chopsticks import Tunnel

        def do_it():
            return 'done'

        tunnel = Tunnel('remote')
        print(tunnel.call(do_it))
    """)
    assert out == 'done\n'


def test_interpreter_paths(run):
    out = run("""
        import os
        from chopsticks.tunnel import Tunnel

        os.symlink('/usr/bin/python3', 'python3.99')

        class MyTunnel(Tunnel):
            python3 = os.path.abspath('python3.99')

        print(MyTunnel('remote').call(os.readlink, '/proc/self/exe'))
        Tunnel.python3 = '/nowhere/python3'
        try:
            Tunnel('remote').connect()
        except Exception as e:
            print('/nowhere/python3' in str(e))
        print(MyTunnel('remote').call(os.path.basename, '/x/y'))
    """)
    assert out.splitlines()[1:] == ['True', 'y']


def test_fetch_and_put_of_groups(run):
    out = run("""
        from chopsticks.group import Group
        from chopsticks.tunnel import Docker, Local

        group = Group(['web1', 'web2', Docker('example'), Local('worker')])
        found = group.fetch('/etc/passwd', local_path='passwd-{host}')
        print(sorted(found['web1']))
        print(found['worker']['local_path'].endswith('passwd-worker'))
        open('uwsgi.ini', 'w').write('x')
        import os
        group.put('uwsgi.ini', os.path.abspath('supervisor.ini')).raise_failures()
        found = group.put('uwsgi.ini')
        print(sorted(found['web2']))
        print(len(set(value['remote_path'] for _, value in found.successful())))
    """)
    assert out.splitlines() == [
        "['local_path', 'remote_path', 'sha1sum', 'size']",
        'True',
        "['remote_path', 'sha1sum', 'size']",
        '4',
    ]
    assert {path.name for path in run.folder.iterdir()} > {'passwd-web1', 'passwd-web2', 'passwd-example', 'passwd-worker'}


def test_command_on_a_group_that_fails(run):
    out = run("""
        import subprocess
        from chopsticks.group import Group

        webservers = Group(['www1', 'www2', 'www3'])
        webservers.call(
            subprocess.check_output,
            'echo restarted',
            shell=True
        ).raise_failures()
        try:
            webservers.call(
                subprocess.check_output,
                'nosuchprogram restart uwsgi',
                shell=True
            ).raise_failures()
        except Exception as e:
            print(type(e).__name__, str(e).splitlines()[0])
        webservers.close()
    """)
    assert out == 'RemoteException 3/3 hosts had failures:\n'


def test_set_operations(run):
    out = run("""
        from chopsticks.group import Group
        from chopsticks.tunnel import Docker

        def install_virtualenv():
            return 'installed'

        webservers = Group(['web1', 'web2'])
        celery_workers = Group(['worker1', 'worker2', 'worker3'])

        print(dict((webservers + celery_workers).call(install_virtualenv)))
        dck1 = Docker('docker1')
        dck2 = Docker('docker2')
        print(dck1 + dck2)
    """)
    hosts = 'web1', 'web2', 'worker1', 'worker2', 'worker3'
    assert out == "%s\nGroup([Docker('docker1'), Docker('docker2')])\n" % dict.fromkeys(hosts, 'installed')


def test_queue(run):
    out = run("""
        import os
        from chopsticks.group import Group
        from chopsticks.queue import Queue

        for f in ['a.txt', 'b.txt', 'c.txt']:
            open(f, 'w').write(f)
        os.mkdir('there')
        group = Group([
            'host1.example.com',
            'host2.example.com',
            'host3.example.com',
        ])

        queue = Queue()
        for f in ['a.txt', 'b.txt', 'c.txt']:
            result = queue.put(group, f, os.path.abspath('there/' + f))
        queue.run()
        print(sorted(os.listdir('there')), len(result.value))
    """)
    assert out == "['a.txt', 'b.txt', 'c.txt'] 3\n"


def test_recursion_stops_at_the_limit(run):
    (run.folder / 'forks.py').write_text(
        'from chopsticks.tunnel import Local\n\n\ndef recursive():\n    with Local() as tun:\n        tun.call(recursive)\n'
    )
    text = """
        import chopsticks, forks
        chopsticks.DEPTH_LIMIT = %d

        try:
            forks.recursive()
        except chopsticks.DepthLimitExceeded as e:
            print('at once', e.type_name)
        except chopsticks.RemoteException as e:
            print('later', 'DepthLimitExceeded' in str(e))
    """
    assert run(text % 1).split()[:2] == ['at', 'once']
    assert run(text % 2) == run(text % 3) == 'later True\n'


def test_bytes_of_python_2_are_marked(run):
    out = run("""
        from chopsticks.pencode import Bytes
        from chopsticks.tunnel import Local

        def my_method():
            return Bytes(b'\\xa3100')

        print(Local().call(my_method))
    """)
    assert out == "b'\\xa3100'\n"
