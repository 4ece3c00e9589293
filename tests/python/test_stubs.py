"""What the stubs say, beside what there is: mypy's stubtest. It runs where `requirements-types.txt` is installed."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    'arguments',
    [
        ['chopsticks._chopsticks'],
        # What these have for themselves alone, their stubs leave out.
        ['--ignore-missing-stub', *('chopsticks.' + name for name in ('_call', 'facts', 'helpers', 'tasks.processes'))],
    ],
)
def test_stubs_are_what_is_there(arguments, tmp_path):
    (tmp_path / 'mypy.ini').write_text('[mypy]\ncache_dir = %s\n' % tmp_path)
    done = subprocess.run(
        [sys.executable, '-m', 'mypy.stubtest', '--mypy-config-file', 'mypy.ini', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != 'MYPYPATH'},
    )
    assert done.returncode == 0 and 'Success' in done.stdout, done.stdout
