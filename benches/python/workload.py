"""Functions that the measured programs call on the far side."""
import os
import time

_kept = {}


def ret_bytes(size):
    if size not in _kept:
        _kept[size] = os.urandom(1 << 20) * (size >> 20)
    return _kept[size]


def take_bytes(data):
    return len(data)


def echo(data):
    return data


def make_list(count):
    return [
        {'id': i, 'name': 'item-%06d' % i, 'score': i * 0.37 + 0.125, 'tags': ['tag%d' % (i % 7), 'grp%d' % (i % 101)]}
        for i in range(count)]


def ret_list(count):
    if ('list', count) not in _kept:
        _kept['list', count] = make_list(count)
    return _kept['list', count]


def take_list(records):
    return len(records)


def nothing(item):
    pass


def millisecond(item):
    time.sleep(0.001)
