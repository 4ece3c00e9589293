"""Generators that the tests of streams call on hosts."""

import os
import subprocess
import sys
import time

closed = []


def count(number):
    for value in range(number):
        yield value


def forever(mark=None):
    number = 0
    try:
        while True:
            yield number
            number += 1
    finally:
        closed.append(number)
        if mark:
            with open(mark, 'w') as f:
                f.write('closed')


def was_closed():
    return bool(closed)


def fails(number):
    for value in range(number):
        yield value
    sys.stderr.write('about to fail\n')
    raise ValueError('no more')


def slow(mark):
    yield 'first'
    with open(mark, 'w') as f:
        f.write('waits')
    time.sleep(1000)


def child(path):
    process = subprocess.Popen(['sleep', '1000'])
    yield process.pid
    process.wait()


def lengths(words):
    for word in words:
        yield len(word)


def first(words):
    for word in words:
        yield word
        return


def odd():
    yield 1
    yield 1j


def large(count, size):
    for number in range(count):
        yield bytearray([number % 256]) * size


def meets(folder, hosts, item):
    """Returns once functions run on this many hosts."""
    with open(os.path.join(folder, str(os.getpid())), 'w'):
        pass
    while len(os.listdir(folder)) < hosts:
        time.sleep(0.005)
    return len(item)


def touch(path):
    with open(path, 'w'):
        pass


def sleeps(seconds):
    time.sleep(seconds)
    return seconds


def waits_a_moment(item):
    time.sleep(0.002)
    return item


def first_is_slow(item):
    if item == 0:
        time.sleep(0.2)
    return item


def large_behind_a_slow_one(item):
    if item == 0:
        time.sleep(1.5)
    return b'x' * (1 << 20)


def kills_once(item, mark):
    """Ends its host at one item, once."""
    if item == 20:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except OSError:
            return item
        os.kill(os.getpid(), 9)
    return item


def starts_child(path):
    """Starts a child and waits for it; of a list, waits until those have been started."""
    if isinstance(path, list):
        while not all(os.path.exists(one) and os.path.getsize(one) for one in path):
            time.sleep(0.005)
    else:
        process = subprocess.Popen(['sleep', '1000'])
        with open(path, 'w') as f:
            f.write(str(process.pid))
        process.wait()


here = []


def meets_another(item):
    """Returns once three calls have come."""
    here.append(item)
    while len(here) < 3:
        time.sleep(0.001)
    return 3


def total(numbers, start=0):
    for number in numbers:
        start += number
    return start


def total_of_lengths(words):
    return sum(len(word) for word in words)


def none_of(words):
    return 'none'


def first_of(words):
    for word in words:
        return word


def doubled(numbers):
    for number in numbers:
        yield number * 2


def doubled_one(number):
    return number * 2


def environments_and_arguments():
    """Those of all processes that may be read."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            for kind in 'environ', 'cmdline':
                try:
                    with open('/proc/%s/%s' % (name, kind), 'rb') as f:
                        found.append(f.read())
                except (IOError, OSError):
                    pass
    return found
