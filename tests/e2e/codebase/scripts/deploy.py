"""A script: its functions are called, and it is not run."""
import sys

import shared

from depot.limits import LARGEST

STATE = []


class Step(object):
    pass


def deploy(name):
    STATE.append(name)
    return [__name__, STATE, LARGEST, shared.step() is Step]


if __name__ == '__main__':
    deploy(sys.argv[1])
    raise SystemExit('ran as a program')
