"""Measures pools and streams beside execnet, multiprocessing and GNU parallel: see `benches/README.md`.

    python beside_pools.py [hosts=8] [items=20000] [megabytes=256] [turns=5]

All of them take turns, and the printed figures are medians. The pool of execnet has a channel for each process, gives
each the next item when it has answered, and keeps two items there. GNU parallel starts a process for each item, which
nothing else here does.
"""
import json
import multiprocessing
import queue
import shutil
import statistics
import subprocess
import sys
import time

import chopsticks
import execnet
import workload

WORKER = """
def nothing(item):
    pass

for item in channel:
    nothing(item)
    channel.send(None)
"""
BLOCKS = """
count, size = channel.receive()
data = b'x' * size
for _ in range(count):
    channel.send(data)
"""
SIZE = 64 << 10
#: First items of a turn, and calls.
FIRST = 1000


def blocks(count, size):
    data = b'x' * size
    for _ in range(count):
        yield data


def whole(size):
    return b'x' * size


def median_of(count, action):
    """The median time of `action`, in microseconds. What it returns is let go after the time is taken."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        kept = action()
        times.append(time.perf_counter() - begun)
        del kept
    return statistics.median(times) * 1e6


def first_of(stream):
    """Takes the first item, and keeps the stream."""
    return next(stream), stream


class Chopsticks:
    def __init__(self, hosts):
        self.hosts = [chopsticks.Local('host%d' % number, python=sys.executable) for number in range(hosts)]
        self.pool = chopsticks.Pool(self.hosts)
        self.items(100)

    def items(self, count):
        assert sum(1 for done in self.pool.map(workload.nothing, range(count)) if done.error is None) == count

    def blocks(self, count):
        assert sum(len(item) for item in self.hosts[0].stream(blocks, count, SIZE)) == count * SIZE

    def call(self, count):
        return median_of(count, lambda: self.hosts[0].call(workload.make_list, 1))

    def first(self, count):
        return median_of(count, lambda: first_of(self.hosts[0].stream(workload.make_list, 1)))

    def whole(self, count):
        for _ in range(count * SIZE // (16 << 20)):
            assert len(self.hosts[0].call(whole, 16 << 20)) == 16 << 20


class Execnet:
    def __init__(self, hosts):
        self.gateways = [execnet.makegateway('popen//python=%s' % sys.executable) for _ in range(hosts)]
        self.channels = [gateway.remote_exec(WORKER) for gateway in self.gateways]
        self.done = queue.Queue()
        for channel in self.channels:
            channel.setcallback(lambda _, channel=channel: self.done.put(channel))

    def items(self, count):
        left, under_way = iter(range(count)), 0
        for channel in self.channels * 2:
            for item in left:
                channel.send(item)
                under_way += 1
                break
        while under_way:
            channel = self.done.get()
            under_way -= 1
            for item in left:
                channel.send(item)
                under_way += 1
                break

    def blocks(self, count):
        channel = self.gateways[0].remote_exec(BLOCKS)
        channel.send((count, SIZE))
        assert sum(len(channel.receive()) for _ in range(count)) == count * SIZE


class Multiprocessing:
    def __init__(self, hosts):
        self.pool = multiprocessing.get_context('spawn').Pool(hosts)
        self.items(100)

    def items(self, count):
        assert sum(1 for _ in self.pool.imap_unordered(workload.nothing, range(count))) == count


class Parallel:
    share = 50

    def __init__(self, hosts):
        self.hosts = hosts

    def items(self, count):
        text = ''.join('%d\n' % item for item in range(count))
        subprocess.run(['parallel', '-j', str(self.hosts), 'true'], input=text, text=True, check=True)


def main():
    options = dict(argument.split('=') for argument in sys.argv[1:])
    hosts, items = int(options.get('hosts', 8)), int(options.get('items', 20000))
    count = (int(options.get('megabytes', 256)) << 20) // SIZE
    libraries = {kind.__name__.lower(): kind(hosts) for kind in (Chopsticks, Execnet, Multiprocessing)}
    if shutil.which('parallel'):
        libraries['parallel'] = Parallel(hosts)
    samples, latencies = {}, {}
    for _ in range(int(options.get('turns', 5))):
        for name, library in libraries.items():
            share = getattr(library, 'share', 1)
            for what, size, unit in (
                ('items', items // share, items // share),
                ('blocks', count, count * SIZE / 1e6),
                ('whole', count, count * SIZE / 1e6),
            ):
                if hasattr(library, what):
                    begun = time.perf_counter()
                    getattr(library, what)(size)
                    samples.setdefault(what, {}).setdefault(name, []).append(unit / (time.perf_counter() - begun))
            for what in 'call', 'first':
                if hasattr(library, what):
                    latencies.setdefault(what, {}).setdefault(name, []).append(getattr(library, what)(FIRST))
    for what, found in samples.items():
        rates = {name: round(statistics.median(rates)) for name, rates in found.items()}
        print(json.dumps({'what': what, 'per_s': rates}))
    for what, found in latencies.items():
        print(json.dumps({'what': what, 'us': {name: round(statistics.median(us), 1) for name, us in found.items()}}))


if __name__ == '__main__':
    main()
