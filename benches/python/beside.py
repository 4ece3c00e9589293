"""Measures the Python package `chopsticks` beside others: see `benches/README.md`.

    python beside.py [--rounds N] [--calls N] [--original FOLDER] [--json] [PACKAGE ...]

A package is `chopsticks`, `execnet`, `mitogen`, or `original`: the original library, which has the same name and so is
imported from the folder that it was installed in. They take turns, each sample in a process of its own, and both
sides run the interpreter that runs this.
"""

import argparse
import json
import marshal
import os
import statistics
import subprocess
import sys
import time

import workload

MIB = 1 << 20
RECORDS = 10_000
AGENTS = 20
PACKAGES = 'chopsticks', 'execnet', 'mitogen', 'original'
#: What each is imported by.
MODULES = {'chopsticks': 'chopsticks.tunnel', 'original': 'chopsticks.tunnel', 'mitogen': 'mitogen.master'}
#: Key of a row, its name, and the format of its figures.
ROWS = (
    ('import', 'import, ms of processor time', '%.1f'),
    ('first', 'connect and first call, ms', '%.1f'),
    ('call', 'warm call, us', '%.1f'),
    ('call99', 'warm call, us, 99th percentile', '%.1f'),
    ('main', 'the same of a function of `__main__`, us', '%.1f'),
    ('ret16m', 'return 16 MiB of bytes, MB/s', '%.0f'),
    ('send16m', 'send 16 MiB of bytes, MB/s', '%.0f'),
    ('retlist', 'return 10,000 records, ms', '%.1f'),
    ('loads', '`marshal.loads` of 10,000 records, ms', '%.1f'),
    ('sendlist', 'send 10,000 records, ms', '%.1f'),
    ('agents', '%d agents at once: connect and call, ms' % AGENTS, '%.0f'),
    ('agents_again', 'their second call, all at once, ms', '%.2f'),
)
#: What execnet runs on the far side: a loop that calls the same functions.
LOOP = """
import sys
sys.path.insert(0, %r)
import workload
while True:
    message = channel.receive()
    if message is None:
        break
    name, args = message
    channel.send(getattr(workload, name)(*args))
"""


class Chopsticks:
    """Either of the two with this name: what is used here is the same in both."""

    def __init__(self):
        from chopsticks.group import Group
        from chopsticks.tunnel import Local

        class Here(Local):
            python3 = sys.executable

        self.here, self.group = Here, Group
        self.tunnels = []

    def connect(self):
        tunnel = self.here('agent-%d' % len(self.tunnels))
        self.tunnels.append(tunnel)
        return tunnel.call

    def connect_many(self, count):
        group = self.group([self.here('group-%d' % number) for number in range(count)])
        self.tunnels += group.tunnels

        def call(function, *args):
            found = group.call(function, *args)
            found.raise_failures()
            return list(found.values())

        return call

    def close(self):
        for tunnel in self.tunnels:
            tunnel.close()


class Execnet:
    def __init__(self):
        import execnet

        self.execnet = execnet
        self.gateways = execnet.Group()

    def channel(self):
        gateway = self.gateways.makegateway('popen//python=' + sys.executable)
        return gateway.remote_exec(LOOP % os.path.dirname(os.path.abspath(__file__)))

    def connect(self):
        channel = self.channel()

        def call(function, *args):
            if function is own:
                raise ValueError('the loop has no function of this program')
            channel.send((function.__name__, args))
            return channel.receive()

        return call

    def connect_many(self, count):
        channels = [self.channel() for _ in range(count)]

        def call(function, *args):
            for channel in channels:
                channel.send((function.__name__, args))
            return [channel.receive() for channel in channels]

        return call

    def close(self):
        self.gateways.terminate(timeout=5)


class Mitogen:
    def __init__(self):
        import mitogen.core
        import mitogen.master

        self.blob = mitogen.core.Blob
        self.broker = mitogen.master.Broker()
        self.router = mitogen.master.Router(self.broker)

    def connect(self):
        context = self.router.local(python_path=sys.executable)

        def call(function, *args):
            return context.call(function, *[self.blob(arg) if type(arg) is bytes else arg for arg in args])

        return call

    def connect_many(self, count):
        contexts = [self.router.local(python_path=sys.executable) for _ in range(count)]

        def call(function, *args):
            waiting = [context.call_async(function, *args) for context in contexts]
            return [receiver.get().unpickle() for receiver in waiting]

        return call

    def close(self):
        self.broker.shutdown()
        self.broker.join()


def own(data):
    """A function of `__main__`."""
    return data


def sample(package, calls):
    """Measures all rows once, in this process. A row that a package cannot do has its exception as text."""
    found, clock = {}, time.perf_counter
    text = 'import time; begin = time.process_time(); import %s; print(time.process_time() - begin)'
    command = [sys.executable, '-c', text % MODULES.get(package, package)]
    found['import'] = statistics.median(float(subprocess.check_output(command)) for _ in range(5)) * 1e3
    contender = {'execnet': Execnet, 'mitogen': Mitogen}.get(package, Chopsticks)()

    def measure(*keys):
        def run(function):
            try:
                values = function()
            except Exception as e:
                lines = str(e).strip().split('\n')
                values = ['%s: %s' % (type(e).__name__, lines[-1].strip())] * len(keys)
            found.update(zip(keys, values))

        return run

    begin = clock()
    call = contender.connect()
    if call(workload.echo, 1) != 1:
        raise ValueError('the first call returns something else')
    found['first'] = (clock() - begin) * 1e3

    def took(count, expected, function, *args):
        times = []
        for _ in range(count):
            begin = clock()
            value = call(function, *args)
            times.append(clock() - begin)
            if (len(value) if isinstance(value, (bytes, list)) else value) != expected:
                raise ValueError('%s returns something else' % function.__name__)
        return sorted(times)

    @measure('call', 'call99')
    def warm():
        took(calls // 10, 1, workload.echo, 1)
        times = took(calls, 1, workload.echo, 1)
        return times[calls // 2] * 1e6, times[calls * 99 // 100] * 1e6

    @measure('main')
    def main():
        took(calls // 10, 1, own, 1)
        return [took(calls, 1, own, 1)[calls // 2] * 1e6]

    def median_of_five(*args):
        # The first call makes what is returned.
        took(1, *args)
        return statistics.median(took(5, *args))

    size, data, records = 16 * MIB, os.urandom(MIB) * 16, workload.make_list(RECORDS)

    @measure('ret16m')
    def ret16m():
        return [size / median_of_five(size, workload.ret_bytes, size) / 1e6]

    @measure('send16m')
    def send16m():
        return [size / median_of_five(size, workload.take_bytes, data) / 1e6]

    @measure('retlist')
    def retlist():
        return [median_of_five(RECORDS, workload.ret_list, RECORDS) * 1e3]

    @measure('loads')
    def loads():
        dumped, times = marshal.dumps(records), []
        for _ in range(5):
            begin = clock()
            marshal.loads(dumped)
            times.append(clock() - begin)
        return [statistics.median(times) * 1e3]

    @measure('sendlist')
    def sendlist():
        return [median_of_five(RECORDS, workload.take_list, records) * 1e3]

    @measure('agents', 'agents_again')
    def agents():
        begin = clock()
        call_all = contender.connect_many(AGENTS)
        if call_all(workload.echo, 1) != [1] * AGENTS:
            raise ValueError('a first call returns something else')
        first = clock() - begin
        again = []
        for _ in range(20):
            begin = clock()
            call_all(workload.echo, 1)
            again.append(clock() - begin)
        return first * 1e3, statistics.median(again) * 1e3

    contender.close()
    return found


def sample_apart(package, options):
    """Takes a sample in a process of its own."""
    environment = dict(os.environ)
    if package == 'original':
        environment['PYTHONPATH'] = os.path.abspath(options.original)
    command = [sys.executable, os.path.abspath(__file__), '--sample', package, '--calls', str(options.calls)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=600)
    return json.loads(done.stdout.splitlines()[-1])


def summary(samples, key, form):
    """The median over the rounds, or why there is none."""
    values = [sample[key] for sample in samples]
    failures = [value for value in values if isinstance(value, str)]
    return failures[0] if failures else form % statistics.median(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('packages', nargs='*', metavar='PACKAGE', help='some of: %s' % ', '.join(PACKAGES))
    parser.add_argument('--rounds', type=int, default=3, help='samples of each package')
    parser.add_argument('--calls', type=int, default=3000, help='warm calls of a sample')
    parser.add_argument('--original', metavar='FOLDER', help='where the original library is installed')
    parser.add_argument('--json', action='store_true', help='print each sample instead of a table')
    parser.add_argument('--sample', choices=PACKAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample:
        print(json.dumps(sample(options.sample, options.calls)))
        return
    packages = options.packages or ['chopsticks', 'execnet'] + ['original'] * bool(options.original)
    if not set(packages) <= set(PACKAGES):
        parser.error('a package is one of %s' % ', '.join(PACKAGES))
    if 'original' in packages and not options.original:
        parser.error('original needs --original FOLDER')
    samples = {package: [] for package in packages}
    for _ in range(options.rounds):
        for package in packages:
            samples[package].append(sample_apart(package, options))
            if options.json:
                print(json.dumps(dict(samples[package][-1], package=package)), flush=True)
    if options.json:
        return
    print('| workload | %s |' % ' | '.join(packages))
    print('|---|%s' % ('--:|' * len(packages)))
    for key, name, form in ROWS:
        print('| %s | %s |' % (name, ' | '.join(summary(samples[package], key, form) for package in packages)))


if __name__ == '__main__':
    main()
