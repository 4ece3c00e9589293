# coding: utf-8
"""What the package has besides: facts, helpers, jobs, and the format of values."""
import os
import subprocess
import sys

import chopsticks
from chopsticks import facts, helpers
from chopsticks.pencode import Bytes, pdecode, pencode
from chopsticks.tasks.processes import ls
from chopsticks.tunnel import DepthLimitExceeded, Docker, Local, RemoteException

from test_api_calls import VALUES, raised


def recursive():
    with Local() as tun:
        tun.call(recursive)


def test_names_of_the_package():
    from chopsticks import (  # noqa: F401
        AsyncResult, BaseTunnel, ErrorResult, Group, GroupResult, NotCompleted, Queue, SSHTunnel, SubprocessTunnel, Sudo, Tunnel)
    assert Tunnel is SSHTunnel and issubclass(Docker, SubprocessTunnel) and issubclass(Sudo, SubprocessTunnel)
    assert chopsticks.DEPTH_LIMIT == 2
    assert '.'.join(map(str, chopsticks.__versioninfo__)) == chopsticks.__version__
    assert issubclass(DepthLimitExceeded, Exception)


def test_facts():
    assert facts.python_version() == list(sys.version_info)
    assert facts.python_version(short=True) == list(sys.version_info[:2])
    assert facts.python_executable() == sys.executable
    with Local() as tun:
        assert tun.call(facts.python_version, short=True)[0] in (2, 3)
        assert tun.call(facts.ip) == facts.ip()
        assert type(tun.call(facts.routes)) is list


def test_helpers():
    assert helpers.check_output(['printf', 'a\\303\\251\\n']) == u'a\xe9\n'
    assert helpers.output_lines(['printf', 'a\\n\\nb']) == ['a', '', 'b']
    assert isinstance(raised(helpers.check_output, ['false']), subprocess.CalledProcessError)
    with Local() as tun:
        assert tun.call(helpers.output_lines, ['echo', 'hello']) == ['hello']
        assert tun.call(ls, os.path.dirname(os.path.abspath(os.__file__))) == ls(os.path.dirname(os.path.abspath(os.__file__)))


def test_pencode():
    for value in VALUES:
        assert pdecode(pencode(value)) == value
    assert bytes(pdecode(pencode(Bytes(b'\xff\0')))) == b'\xff\0'
    part = [1]
    one, two = pdecode(pencode([part, part]))
    assert one is two
    assert isinstance(raised(pencode, object()), ValueError)
    assert isinstance(raised(pdecode, b'?'), ValueError)


def test_tunnels_end_at_the_limit():
    error = raised(recursive)
    assert isinstance(error, (RemoteException, DepthLimitExceeded))
    assert 'DepthLimitExceeded: Depth limit of 2 exceeded at localhost -> localhost -> localhost' in str(error), str(error)


def test_image_of_containers():
    assert Docker('x').image == 'python:%d.%d' % sys.version_info[:2]
    assert Docker('x', image='python:3.6', rm=False).host == 'x'
