"""Measures `multiprocessing.Pool.imap_unordered` beside the workload `pool` of `peer`: see `benches/README.md`.

    python imap.py [hosts=8] [items=100000] [kind=noop|sleep|floor] [chunk=1]

The floor of `sleep` is as many processes that get no items, and have only to sleep their part of the times.
"""
import json
import multiprocessing
import os
import sys
import time

import workload


def floor(hosts, items):
    begin, write = os.pipe()
    pids = []
    for _ in range(hosts):
        pid = os.fork()
        if not pid:
            os.read(begin, 1)
            for item in range(items // hosts):
                workload.millisecond(item)
            os._exit(0)
        pids.append(pid)
    begun = time.perf_counter()
    os.write(write, b'x' * hosts)
    for pid in pids:
        os.waitpid(pid, 0)
    return time.perf_counter() - begun


def main():
    options = dict(argument.split('=') for argument in sys.argv[1:])
    hosts, items = int(options.get('hosts', 8)), int(options.get('items', 100000))
    if options.get('kind') == 'floor':
        print(json.dumps({'hosts': hosts, 'items': items, 's': floor(hosts, items)}))
        return
    is_sleep = options.get('kind') == 'sleep'
    function = workload.millisecond if is_sleep else workload.nothing
    with multiprocessing.Pool(hosts) as pool:
        pool.map(workload.nothing, range(hosts))
        begun, cpu = time.perf_counter(), time.process_time()
        count = sum(1 for _ in pool.imap_unordered(function, range(items), int(options.get('chunk', 1))))
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    result = {'hosts': hosts, 'items': count, 's': took, 'items_per_s': count / took,
              'controller_us_per_item': cpu * 1e6 / count}
    if is_sleep:
        result['of_ideal'] = items * .001 / hosts / took
    print(json.dumps(result))


if __name__ == '__main__':
    main()
