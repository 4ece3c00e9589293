"""Orders: imports on every level, and an exception of its own."""

import os

from . import stock
from shop.stock import LEFT

calls = []


class Refused(Exception):
    pass


def left(taken=0):
    calls.append(taken)
    from shop import late

    return [LEFT - taken, stock.LEFT, late.WORD, len(calls), os.path.basename(__file__)]


def refuse(amount):
    if amount > LEFT:
        raise Refused(u'only %d left, not %d \xe9' % (LEFT, amount))
    return amount
