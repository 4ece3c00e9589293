"""The tests of the original library 1.0, from its source archive as they are.

They run in containers. What stands for an engine here runs an interpreter of this machine in place of an image's.
"""

import os
import re
import subprocess
import sys
import tarfile
import textwrap

import pytest

from conftest import AGENTS, PATIENCE

ARCHIVE = os.environ.get('CHOPSTICKS_TEST_ORIGINAL')
#: How many there are.
COUNT = 28
#: Those that do not pass, and why. `docs/python/differences.md` has the same list.
EXPECTED = {
    'test_groups.py::test_ping': 'wants the very versions of its images, one of which is 3.5',
    'test_tunnels.py::BasicTest::test_get_data': 'reads a file of the original itself, bubble.py',
    'test_tunnels.py::BasicTest::test_put': 'wants the GPL in the size that it has in its image',
}
#: Those that want to be done within a time, which a machine that is busy may not have.
TIMED = {'test_queue.py::test_queuing_parallel'}
ENGINE = """\
#!%s
import os, sys

PYTHONS = %r
args = sys.argv[1:]
if args[:1] == ['ps']:
    print('CONTAINER ID   IMAGE   NAMES')
elif args[:1] == ['run']:
    at = [number for number, arg in enumerate(args) if arg.startswith('python:')][0]
    version = args[at][7:]
    python = PYTHONS.get(version) or PYTHONS[version[:1]]
    os.execv(python, [python] + args[at + 2:])
else:
    sys.exit(1)
"""

def version(python):
    """The version of an interpreter, such as `3.6`."""
    return subprocess.check_output(
        [python, '-c', 'import sys; sys.stdout.write("%d.%d" % sys.version_info[:2])'], text=True
    )


@pytest.mark.skipif(not ARCHIVE, reason='`cargo xtask test-python` fetches its archive')
@pytest.mark.skipif(sys.version_info >= (3, 12), reason='its tests use what Python 3.12 has no more')
def test_tests_of_the_original_pass(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            path = member.name.partition('/')[2]
            # All but the package, which is not to be imported.
            if member.isfile() and not path.startswith('chopsticks/') and '..' not in path:
                place = tmp_path / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.extractfile(member).read())
    engine = tmp_path / 'bin/docker'
    engine.parent.mkdir()
    pythons = {version(python): python for python in AGENTS}
    pythons.update({name[0]: python for name, python in pythons.items()})
    assert '2' in pythons, 'the tests want a Python 2'
    engine.write_text(ENGINE % (sys.executable, pythons))
    engine.chmod(0o755)
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-v', '-p', 'no:cacheprovider', 'tests'],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE * 3,
        env={**os.environ, 'PATH': '%s:%s' % (engine.parent, os.environ['PATH'])},
    )
    outcomes = dict(re.findall(r'^tests/(\S+) (PASSED|FAILED|ERROR)', done.stdout, re.MULTILINE))
    assert len(outcomes) == COUNT, done.stdout
    failed = {name for name, outcome in outcomes.items() if outcome != 'PASSED'}
    assert failed - TIMED <= set(EXPECTED), textwrap.indent(done.stdout, '| ')
