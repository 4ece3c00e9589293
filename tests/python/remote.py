"""Functions that the tests call on hosts."""

import sys
import threading


def print_to_stderr(text):
    sys.stderr.write(text + '\n')


def read(path):
    with open(path) as f:
        return f.read()


def write(path, value):
    with open(path, 'w') as f:
        f.write(str(value))


def meet(count):
    """Returns when as many have come."""
    barrier = sys.__dict__.setdefault('barrier', threading.Barrier(count))
    return barrier.wait(60)


def echo(value):
    return value


def major():
    return sys.version_info[0]
