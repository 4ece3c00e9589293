"""Kinds of callables and arguments, of a script, through tunnels of the package."""

import os
import re
import subprocess
import sys

import pytest

from conftest import AGENTS, PATIENCE

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.mark.parametrize('python', AGENTS)
def test_all_kinds_of_callables_and_arguments(python):
    script = os.path.join(HERE, 'kinds_by_tunnel.py')
    done = subprocess.run([sys.executable, script, python], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r'(?m)^(\d+) of \1 right$', done.stdout), done.stdout


def test_script_of_one_file(script):
    assert (
        script("""
        LIMIT = 3

        class Point:
            def __init__(self, x):
                self.x = x

            def scaled(self):
                return helper(self.x)

        def helper(x):
            return x * LIMIT

        tunnel = Here()
        print(tunnel.call(helper, 2), tunnel.call(Point(3).scaled), tunnel.call(lambda: helper(5)))
        LIMIT = 4
        print(tunnel.call(helper, 2))
    """)
        == '6 9 15\n8\n'
    )


def test_large_bytes_arrive_whole(any_tun):
    content = os.urandom(1 << 20)
    assert any_tun.call(len, content) == len(content)
    assert any_tun.call(bytearray, content) == content
