"""A script whose functions open tunnels there, and pass other functions of it on."""

import os
import sys

import far

FACTOR = 3


class Item:
    def __init__(self, n):
        self.n = n

    def scaled(self):
        return helper(self.n)


def helper(n):
    return n * FACTOR


def onward(python, n):
    from chopsticks.tunnel import Local

    with Local('inner', python=python) as tun:
        pids = os.getpid(), tun.call(os.getpid)
        return [
            tun.call(helper, n),
            tun.call(Item(n).scaled),
            tun.call(lambda: helper(n) + 1),
            tun.call(helper, n + 1),
            pids[0] != pids[1],
        ]


def recursive(python):
    from chopsticks.tunnel import Local

    with Local(python=python) as tun:
        return tun.call(recursive, python)


def main():
    options = {'host': 'localhost', 'hosts': ['localhost'], 'depth': 1, 'depth_limit': 2}
    right = count = 0
    with far.Tunnel(codebase=far.harness.library(), options=options) as tunnel:
        if tunnel.version < (3, 8):
            # Their package sends functions by name alone.
            failure = tunnel.fails(onward, sys.argv[1], 2)
            right += failure['type'] == 'TypeError' and 'cannot be called on another host' in failure['message']
            count += 1
        else:
            for python in sys.argv[1], sys.executable:
                count += 2
                right += tunnel.call(onward, python, 2) == [6, 6, 7, 9, True]
                message = tunnel.fails(recursive, python)['message']
                right += 'Depth limit of 2 exceeded at localhost -> localhost -> localhost' in message
    print('%d of %d right' % (right, count))
    return 0 if right == count else 1


if __name__ == '__main__':
    sys.exit(main())
