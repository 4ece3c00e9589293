"""Functions that the tests call on hosts.

They are apart from the tests: a host that imports those has to import pytest, too.
"""

import sys
import threading
import time


def print_to_stderr(text):
    sys.stderr.write(text + '\n')


def write_lines(count, end=''):
    for number in range(count):
        sys.stderr.write('%d%s\n' % (number, end))
    sys.stderr.flush()


def write_and_sleep():
    print_to_stderr('one')
    time.sleep(1000)


def spans(delay):
    """When it began and ended."""
    began = time.time()
    time.sleep(delay)
    return began, time.time()


def is_true():
    return True


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
