"""Measures `chopsticks put` beside `rsync -a` over ssh, to a host that shares this machine's files.

The programs take turns, and the table has the medians: 10,000 files of 1 KiB in 100 folders for the first time, again
without a change, and one file in which 1 MiB has changed.

    python beside_rsync.py --program target/release/chopsticks --config FILE --host HOST --folder /dev/shm/x --rounds 3
"""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import time


def make_small(folder, count):
    for number in range(count):
        path = os.path.join(folder, '%02d' % (number % 100), 'file-%05d' % number)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(random.randbytes(1024))


def make_large(path, megabytes):
    with open(path, 'wb') as file:
        for _ in range(megabytes):
            file.write(random.randbytes(1 << 20))


def change(path, megabytes):
    """Replaces 1 MiB somewhere."""
    with open(path, 'r+b') as file:
        file.seek(random.randrange(megabytes - 1 or 1) * (1 << 20) + 12345)
        file.write(random.randbytes(1 << 20))


def timed(command):
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit('%s: %s' % (command, done.stderr))
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--program', default='target/release/chopsticks')
    parser.add_argument('--config', required=True, help='the ssh_config')
    parser.add_argument('--host', required=True)
    parser.add_argument('--folder', required=True, help='an empty folder for both sides, such as one in /dev/shm')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--count', type=int, default=10000)
    parser.add_argument('--megabytes', type=int, default=1024)
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    here, there = os.path.join(args.folder, 'here'), os.path.join(args.folder, 'there')
    small, large = os.path.join(here, 'small'), os.path.join(here, 'large')
    random.seed(4711)
    os.makedirs(here)
    os.makedirs(there)
    make_small(small, args.count)

    on = ['--on', '%s=ssh://%s?config=%s' % (args.host, args.host, args.config)]
    shell = ['-e', 'ssh -F %s' % args.config]

    def rsync(*words):
        return ['rsync', *shell, *words]

    def remote(path):
        return '%s:%s' % (args.host, path)

    def put(*words):
        return [args.program, 'put', *words, *on]

    def to(name):
        return os.path.join(there, name)

    put_times = ['-r', '--times', small]
    workloads = [
        ('first time', [
            ('rsync -a', rsync('-a', small + '/', remote(to('r'))), to('r')),
            ('put -r --times', put(*put_times, to('c')), to('c')),
        ]),
        ('unchanged, by times', [
            ('rsync -a', rsync('-a', small + '/', remote(to('r'))), None),
            ('put -r --times --trust-times', put(*put_times, to('c'), '--trust-times'), None),
        ]),
        ('unchanged, by content', [
            ('rsync -ac', rsync('-ac', small + '/', remote(to('r'))), None),
            ('put -r --if-changed', put('-r', small, to('c'), '--if-changed'), None),
        ]),
        ('1 MiB changed', [
            ('rsync -a', rsync('-a', large, remote(to('large-r'))), None),
            ('put --delta', put(large, to('large-c'), '--delta'), None),
            ('put', put(large, to('large-w')), None),
        ]),
        ('login', [('ssh true', ['ssh', '-F', args.config, args.host, 'true'], None)]),
    ]
    samples = []
    for workload, programs in workloads:
        if workload == '1 MiB changed':
            make_large(large, args.megabytes)
            for name in 'large-r', 'large-c', 'large-w':
                shutil.copyfile(large, to(name))
        times = {}
        for turn in range(args.rounds):
            if workload == '1 MiB changed':
                change(large, args.megabytes)
            for name, command, target in programs:
                if target:
                    shutil.rmtree(target, ignore_errors=True)
                times.setdefault(name, []).append(timed(command))
        for name, found in times.items():
            samples.append({'workload': workload, 'program': name, 'seconds': found})
            if not args.json:
                print('%-24s %-32s %7.2f s  (%s)' % (
                    workload, name, statistics.median(found), ', '.join('%.2f' % one for one in sorted(found))))
    if args.json:
        print(json.dumps(samples))


if __name__ == '__main__':
    main()
