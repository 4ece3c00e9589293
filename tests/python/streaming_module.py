"""Generators that the tests of streams call on hosts."""

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
