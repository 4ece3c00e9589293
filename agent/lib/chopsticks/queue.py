"""Queues: a line of operations for each host, which each host works through without waiting for the others."""
from chopsticks._agent import Wait, allocate_lock, guarded, sleep, start_new_thread, time
from chopsticks._errors import Disconnected, error_result
from chopsticks.group import Group, GroupResult, group_of, refuse_input

# How long a run that has failed waits for what it has cancelled.
PATIENCE = 5
__all__ = ['AsyncResult', 'NotCompleted', 'Queue']


class NotCompleted(Exception):
    """The operation has not been run yet."""
    __slots__ = ()


class AsyncResult(object):
    """The result of an operation: for a tunnel its value or an `ErrorResult`, for a group a `GroupResult`."""

    def __init__(self, target=None):
        self._is_group = isinstance(target, Group)
        self._hosts = [tunnel.host for tunnel in group_of(target)] if target is not None else []
        self._found, self._callbacks = {}, []
        self._is_set = False

    @property
    def value(self):
        if not self._is_set:
            raise NotCompleted('the operation has not been run yet: Queue.run() does so')
        return self._value

    def with_callback(self, callback):
        """Calls `callback(value)` when the value is available, in the thread that runs the queue; returns itself."""
        if self._is_set:
            callback(self._value)
        else:
            self._callbacks.append(callback)
        return self

    def _add(self, host, found):
        """Takes what came of one host; returns whether that was the last one."""
        self._found[host] = found
        return len(self._found) == len(self._hosts)

    def _set(self, value):
        """Sets the value of one that belongs to no queue."""
        self._value, self._is_set = value, True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(value)

    def _settle(self):
        results = [(host, self._found[host]) for host in self._hosts]
        self._value = GroupResult(results) if self._is_group else results[0][1]
        self._is_set = True
        callbacks, self._callbacks = self._callbacks, []
        return callbacks


class Queue(object):
    """Each host works through its own line and never waits for others. If it is unreachable, its line fails."""

    def __init__(self):
        self._lock = allocate_lock()
        self._lines = {}        # host -> (tunnel, [(result, work), ...])
        self._empty = []        # results of groups without hosts

    def call(self, target, callable, *args, **kwargs):
        refuse_input(kwargs)
        return self._add(target, lambda tunnel, wait: tunnel._call(wait, callable, args, kwargs))

    def connect(self, target):
        return self._add(target, lambda tunnel, wait: tunnel._connect(wait))

    def put(self, target, local_path, remote_path=None, mode=None):
        return self._add(target, lambda tunnel, wait: tunnel._put(wait, local_path, remote_path, mode))

    def fetch(self, target, remote_path, local_path=None):
        """Copies a file from the target. For a group, `{host}` in the local path stands for each name."""
        paths = target.paths(local_path) if isinstance(target, Group) else {target.host: local_path}
        return self._add(target, lambda tunnel, wait: tunnel._fetch(wait, remote_path, paths[tunnel.host]))

    def _add(self, target, work):
        result = AsyncResult(target)
        with self._lock:
            for tunnel in group_of(target):
                known, line = self._lines.setdefault(tunnel.host, (tunnel, []))
                if known is not tunnel:
                    raise ValueError('another tunnel named %s is in the queue' % tunnel.host)
            for tunnel in group_of(target):
                self._lines[tunnel.host][1].append((result, work))
            if not result._hosts:
                self._empty.append(result)
        return result

    def run(self):
        """Runs all operations, including those that callbacks add, and returns when every line is empty.

        Callbacks are called in the thread that calls this. An exception in one ends the run: running operations are
        cancelled, which is then their result, and operations that have not begun stay in the queue.
        """
        working, done = {}, []
        state = [None]

        def work_off(tunnel, own):
            """Works off the line of a host, on a thread of its own."""
            failed = None
            while 1:
                with self._lock:
                    line = self._lines[tunnel.host][1]
                    if not line or own.stopped:
                        done.append((tunnel.host, None, None))
                        break
                    result, work = line.pop(0)
                found = failed
                if not found:
                    try:
                        found = work(tunnel, own)
                    except BaseException as e:
                        found = error_result(e)
                        # Those behind it would wait as long in vain.
                        if isinstance(e, Disconnected) and not e.is_connected:
                            failed = found
                done.append((tunnel.host, result, found))
                state[0].ring()
            state[0].ring()

        def step(wait):
            """Starts what can be started, and waits for results."""
            state[0] = wait
            with self._lock:
                lines = [(host, tunnel) for host, (tunnel, line) in self._lines.items() if line and host not in working]
                empty, self._empty = self._empty, []
            for host, tunnel in lines:
                working[host] = Wait()
                start_new_thread(work_off, (tunnel, working[host]))
            if working and not empty:
                try:
                    wait.until(lambda: done)
                except BaseException:
                    # Here, where no other interrupt strikes.
                    stop()
                    raise
            found = []
            while done:
                host, result, value = done.pop(0)
                if not result:
                    working.pop(host)
                elif result._add(host, value):
                    found.append(result)
            return empty + found

        def stop():
            for own in list(working.values()):
                own.stop()

        def finish(wait):
            """Waits for those that are stopped."""
            stop()
            end = time() + PATIENCE
            while working and time() < end:
                while done:
                    host, result, value = done.pop(0)
                    if not result:
                        working.pop(host)
                    elif result._add(host, value):
                        result._settle()
                sleep(.005 if working else 0)

        try:
            while 1:
                results = guarded(step)
                for result in results:
                    for callback in result._settle():
                        # Not guarded: this is the user's code again.
                        callback(result._value)
                with self._lock:
                    left = self._empty or any(line for _, line in self._lines.values())
                if not working and not left and not done:
                    with self._lock:
                        self._lines.clear()
                    return
        finally:
            if working:
                guarded(finish)
