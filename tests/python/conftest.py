"""What the tests of the Python package share."""

import os
import subprocess
import sys
import textwrap
import time

import pytest

from chopsticks.tunnel import Local

# Seconds after which something hangs, however slow the machine is.
PATIENCE = 120
#: The interpreters of agents: this one, and what `cargo xtask test-python` found besides.
AGENTS = [sys.executable, *filter(None, os.environ.get('CHOPSTICKS_TEST_AGENTS', '').split(os.pathsep))]
#: What scripts begin with.
HEAD = """\
import os, sys, time
from chopsticks.tunnel import Local


class Here(Local):
    python3 = sys.executable


"""


@pytest.fixture
def tun():
    with Local(python=sys.executable) as tunnel:
        yield tunnel


@pytest.fixture(params=AGENTS)
def any_tun(request):
    """A tunnel to each interpreter."""
    with Local(python=request.param) as tunnel:
        yield tunnel


@pytest.fixture
def script(tmp_path):
    """Runs a script of its own, which has `Here`, a tunnel by this interpreter; returns what it printed."""

    def run(text, status=0, **options):
        path = tmp_path / 'script.py'
        path.write_text(HEAD + textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            **options,
        )
        assert done.returncode == status, done.stderr
        run.stderr = done.stderr
        return done.stdout

    return run


def until(what, patience=PATIENCE):
    """Waits until `what()` is true."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, 'it does not come about'
        time.sleep(0.01)


def is_alive(pid):
    """Whether a process runs, and is not merely not reaped."""
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
