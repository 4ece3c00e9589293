"""What a function yields on all hosts of a group, as one iterator."""
from chopsticks._agent import Wait, allocate_lock, guarded, start_new_thread
from chopsticks._errors import error_result
from chopsticks._items import Items

# How many items of a host wait here before it has to.
ROOM = 16


class Host(object):
    """One of the hosts: what it yields, and the thread that takes that.

    It has no reference to the object that takes the items.
    """

    def __init__(self, shared, items):
        self.shared, self.items, self.wait, self.waiting = shared, items, Wait(), 0

    def follow(self):
        shared = self.shared
        try:
            while 1:
                found = self.items._next(self.wait)
                if not found:
                    break
                shared.put(self, self.items._value(found))
                found = None
        except BaseException as e:
            if not shared.stopped:
                # Not the exception, which holds on to where it was raised.
                shared.add(self, error_result(e))
        try:
            self.items._close(self.wait)
        finally:
            shared.finish(self)


class Shared(object):
    """What the threads of the hosts share with who takes the items."""

    def __init__(self):
        self.lock, self.ready, self.wait = allocate_lock(), [], None
        self.hosts, self.stopped = [], False

    def put(self, host, value):
        host.wait.until(lambda: host.waiting < ROOM)
        self.add(host, value)

    def add(self, host, value):
        with self.lock:
            host.waiting += 1
            self.ready.append((host, value))
        self.ring()

    def finish(self, host):
        with self.lock:
            self.hosts.remove(host)
        self.ring()

    def ring(self):
        wait = self.wait
        if wait:
            wait.ring()

    def take(self):
        with self.lock:
            host, value = self.ready.pop(0)
            host.waiting -= 1
        host.wait.ring()
        return host.items._tunnel.host, value

    def stop(self):
        self.stopped = True
        with self.lock:
            hosts = list(self.hosts)
        for host in hosts:
            host.wait.stop()


class Merged(object):
    """Pairs of a host and an item. Nothing is called before the first is asked for."""

    def __init__(self, tunnels, function, args, kwargs, source):
        self._shared, self._source, self._begun = Shared(), source, False
        self._items = [Items(tunnel, function, args, dict(kwargs), source, number)
                       for number, tunnel in enumerate(tunnels)]

    def __iter__(self):
        return self

    def __next__(self):
        try:
            found = guarded(self._next)
        except BaseException:
            self.close()
            raise
        if not found:
            raise StopIteration
        return found

    next = __next__

    def _next(self, wait):
        shared = self._shared
        if not self._begun and not shared.stopped:
            self._begun = True
            shared.hosts.extend(Host(shared, items) for items in self._items)
            for host in list(shared.hosts):
                try:
                    start_new_thread(host.follow, ())
                except Exception as e:
                    shared.add(host, error_result(e))
                    shared.finish(host)
        shared.wait = wait
        wait.until(lambda: shared.ready or not shared.hosts or shared.stopped)
        return shared.take() if shared.ready and not shared.stopped else None

    def close(self):
        """Ends the calls: the generators there are closed."""
        self._shared.stop()
        if self._source:
            self._source.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()
