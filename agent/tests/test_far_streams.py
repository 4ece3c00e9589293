"""Streams from the far side: what a function behind a tunnel yields."""
import os
import unittest

from harness import Case, eventually

SOURCE = b'''
import gc, os, sys, time
from chopsticks.tunnel import Disconnected, Local, RemoteException

def count(n, fails=False):
    for i in range(n): yield i
    if fails: raise ValueError('no more')
def plain(): return 5
def large(n, size):
    for i in range(n): yield bytearray([i % 251]) * size
def endless(path):
    try:
        while 1: yield 'x' * 1000
    finally:
        with open(path, 'w') as f: f.write('closed')
def dies(n, path):
    for i in range(n): yield i
    end = time.time() + 30
    while not os.path.exists(path) and time.time() < end: time.sleep(.01)
    os._exit(3)

def takes(n):
    with Local('i') as tun:
        return list(tun.stream(count, n)), tun.call(os.getpid) > 0
def fails():
    got = []
    with Local('i') as tun:
        try:
            for item in tun.stream(count, 3, fails=True): got.append(item)
        except RemoteException as e: return got, str(e), tun.call(plain)
def not_items():
    with Local('i') as tun:
        try: list(tun.stream(plain))
        except RemoteException as e: return str(e), tun.call(plain)
def much(n, size):
    with Local('i') as tun:
        total = 0
        for i, item in enumerate(tun.stream(large, n, size)):
            assert len(item) == size and bytearray(item)[0] == i % 251
            total += len(item)
        return total
def breaks(path):
    with Local('i') as tun:
        for item in tun.stream(endless, path): break
        # PyPy counts no references: it drops the stream when it collects.
        if hasattr(sys, 'pypy_version_info'): gc.collect()
        end = time.time() + 30
        while not os.path.exists(path) and time.time() < end: time.sleep(.01)
        with tun.stream(count, 1000) as items: first = next(items)
        return os.path.exists(path), first, list(items), tun.call(plain)
def loses(path):
    got = []
    with Local('i') as tun:
        try:
            for item in tun.stream(dies, 3, path):
                got.append(item)
                if len(got) == 3: open(path, 'w').close()
        except Disconnected as e: return got, type(e).__name__, tun.call(plain)
def both(n):
    with Local('i') as tun:
        tun.put(__file__ if os.path.exists(__file__) else '/etc/passwd', '/dev/null')
        return list(zip(tun.stream(count, n), tun.stream(count, n)))
def waits(path):
    with Local('i') as tun:
        for item in tun.stream(slow, path): pass
def slow(path):
    yield 1
    with open(path, 'w') as f: f.write('begun')
    while 1: time.sleep(.01)

def words(path):
    try:
        while 1: yield 'x' * 1000
    finally:
        with open(path, 'w') as f: f.write('closed')
def total(items, path=None):
    n = 0
    for item in items:
        n += len(item)
        if path and not os.path.exists(path): open(path, 'w').close()
    return n
def ends_at_third(items):
    for n, item in enumerate(items):
        if n == 2: os._exit(3)
def feeds(begun, closed):
    with Local('i') as tun: return tun.call(total, begun, input=words(closed))
def loses_what_reads(closed):
    with Local('i') as tun:
        try: tun.call(ends_at_third, input=words(closed))
        except Disconnected as e: return type(e).__name__, tun.call(plain)
def group():
    from chopsticks.group import Group
    return Group([Local('a'), Local('b')])
def closed_in(path):
    items = endless(os.path.join(path, str(os.getpid())))
    try:
        for item in items: yield item
    finally:
        # Not every Python closes a generator as soon as the last reference to it is gone.
        items.close()
def breaks_group(path):
    with group() as hosts:
        for item in hosts.stream(closed_in, path): break
        if hasattr(sys, 'pypy_version_info'): gc.collect()
        end = time.time() + 30
        while len(os.listdir(path)) < 1 and time.time() < end: time.sleep(.01)
        return len(os.listdir(path)) >= 1, sorted(hosts.call(plain).values())
def waits_in_group(path):
    with group() as hosts:
        for item in hosts.stream(slow, path): pass
def loses_one():
    from chopsticks.group import Group
    with Group([Local('a'), Local('b')]) as hosts:
        found = list(hosts.stream(dies_in_one, hosts.tunnels[0].call(os.getpid)))
        return [i for h, i in found if h == 'b'], [type(i).__name__ for h, i in found if h == 'a'][-1]
def dies_in_one(pid):
    for i in range(3): yield i
    if os.getpid() == pid: os._exit(3)
'''


class FarStreams(Case):
    def test_items_come_and_the_tunnel_stays(self):
        agent = self.outer(SOURCE)
        for n in (0, 1, 5000):
            self.assertEqual(agent.call('mine:takes', n), (list(range(n)), True))

    def test_exception_comes_behind_the_items(self):
        got, text, after = self.outer(SOURCE).call('mine:fails')
        self.assertEqual((got, after), ([0, 1, 2], 5))
        self.assertTrue('ValueError: no more' in text, text)

    def test_what_has_no_items_is_an_error(self):
        text, after = self.outer(SOURCE).call('mine:not_items')
        self.assertTrue('which has no items' in text, text)
        self.assertEqual(after, 5)

    def test_more_than_a_window(self):
        self.assertEqual(self.outer(SOURCE).call('mine:much', 100, 1 << 16), 100 << 16)
        self.assertEqual(self.outer(SOURCE).call('mine:much', 3, 3 << 20), 9 << 20)

    def test_loop_that_breaks_off_closes_the_generator(self):
        path = os.path.join(self.folder(), 'closed')
        self.assertEqual(self.outer(SOURCE).call('mine:breaks', path), (True, 0, [], 5))

    def test_lost_connection_comes_behind_the_items(self):
        path = os.path.join(self.folder(), 'taken')
        self.assertEqual(self.outer(SOURCE).call('mine:loses', path), ([0, 1, 2], 'Disconnected', 5))

    def test_streams_and_files_share_a_connection(self):
        self.assertEqual(self.outer(SOURCE).call('mine:both', 300), [(n, n) for n in range(300)])

    def test_cancel_of_a_call_that_waits_for_an_item(self):
        agent, path = self.outer(SOURCE), os.path.join(self.folder(), 'begun')
        request = agent.call_later('mine:waits', path)
        self.assertTrue(eventually(lambda: os.path.exists(path)))
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertEqual(agent.call('mine:plain'), 5)

    def test_cancel_of_a_call_ends_what_it_feeds(self):
        agent, folder = self.outer(SOURCE), self.folder()
        begun, closed = os.path.join(folder, 'begun'), os.path.join(folder, 'closed')
        request = agent.call_later('mine:feeds', begun, closed)
        self.assertTrue(eventually(lambda: os.path.exists(begun)))
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertTrue(eventually(lambda: os.path.exists(closed)))
        self.assertEqual(agent.call('mine:plain'), 5)

    def test_lost_connection_ends_what_is_fed(self):
        closed = os.path.join(self.folder(), 'closed')
        self.assertEqual(self.outer(SOURCE).call('mine:loses_what_reads', closed), ('Disconnected', 5))
        self.assertTrue(eventually(lambda: os.path.exists(closed)))

    def test_loop_over_a_group_that_breaks_off_closes_the_generators(self):
        self.assertEqual(self.outer(SOURCE).call('mine:breaks_group', self.folder()), (True, [5, 5]))

    def test_cancel_of_a_call_that_waits_for_an_item_of_a_group(self):
        agent, path = self.outer(SOURCE), os.path.join(self.folder(), 'begun')
        request = agent.call_later('mine:waits_in_group', path)
        self.assertTrue(eventually(lambda: os.path.exists(path)))
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertEqual(agent.call('mine:plain'), 5)

    def test_lost_host_of_a_group_is_its_last_item(self):
        self.assertEqual(self.outer(SOURCE).call('mine:loses_one'), ([0, 1, 2], 'ErrorResult'))


if __name__ == '__main__':
    unittest.main()
