"""A slow link: `delay.py NAMESPACE MILLISECONDS` connects two TUN devices, `chx-slow` here and `slow0` in a network
namespace, and holds each packet for that long, each way. Somebody else gives them their addresses."""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000


def open_tun(name):
    tun = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def enter(path):
    namespace = os.open(path, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
        raise OSError(ctypes.get_errno(), 'setns')


def main(namespace, milliseconds):
    here = open_tun('chx-slow')
    enter('/run/netns/' + namespace)
    there = open_tun('slow0')
    delay = float(milliseconds) / 1000
    other = {here: there, there: here}
    waiting = collections.deque()
    while True:
        pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for tun in select.select([here, there], [], [], pause)[0]:
            try:
                waiting.append((time.monotonic() + delay, other[tun], os.read(tun, 65536)))
            except OSError:
                pass
        while waiting and waiting[0][0] <= time.monotonic():
            _, tun, packet = waiting.popleft()
            try:
                os.write(tun, packet)
            except OSError:
                # The device is down: lost, as on any link.
                pass


main(*sys.argv[1:])
