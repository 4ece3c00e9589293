"""Groups: one operation on many hosts at once."""
from collections import OrderedDict

from chopsticks._agent import Wait, guarded, native, start_new_thread
from chopsticks._controllers import absent
from chopsticks._errors import ErrorResult, RemoteException, error_result
from chopsticks.tunnel import BaseTunnel, Tunnel, made_input

__all__ = ['ErrorResult', 'Group', 'GroupResult', 'Limits']
Limits = absent('Limits')


class GroupResult(OrderedDict):
    """Host -> result, in the order of the group; for a host that failed, an `ErrorResult`."""

    def successful(self):
        """Iterates over the results of hosts that did not fail: (host, value)."""
        return ((host, value) for host, value in self.items() if not isinstance(value, ErrorResult))

    def failures(self):
        """Iterates over the results of hosts that failed: (host, ErrorResult)."""
        return ((host, value) for host, value in self.items() if isinstance(value, ErrorResult))

    def raise_failures(self):
        """Raises a `RemoteException` that names each failure, if there is any."""
        failures = list(self.failures())
        if failures:
            lines = ['%d/%d hosts had failures:' % (len(failures), len(self)), '']
            for host, error in failures:
                lines.append('[%s] %s' % (host, error))
                if error.tb:
                    lines += [''] + ['    ' + line for line in error.tb.splitlines()]
            raise RemoteException('\n'.join(lines))

    def iteritems(self):
        """As `items`, which Python 2 calls so."""
        return iter(self.items())

    def __repr__(self):
        return 'GroupResult(%r)' % (dict(self),)


def together(wait, jobs):
    """Runs `jobs`, a list of (key, work), at once; returns key -> result, or an `ErrorResult`."""
    done, waits = {}, []

    def run(key, work, own):
        try:
            done[key] = work(own)
        except BaseException as e:
            # Not `e`, which holds on to where it was raised, and so to the tunnel.
            done[key] = error_result(e)
        wait.ring()
    for key, work in jobs:
        own = Wait()
        waits.append(own)
        try:
            start_new_thread(run, (key, work, own))
        except Exception as e:
            done[key] = error_result(e)
    try:
        wait.until(lambda: len(done) == len(jobs))
    finally:
        # If the call is cancelled, theirs are. No thread of ours goes on.
        for own in waits:
            own.stop()
    return done


class Group(object):
    """Tunnels in order, each with a unique name. A text stands for the tunnel that `Tunnel` opens to it."""

    def __init__(self, hosts):
        if isinstance(hosts, (type(''), type(u''), bytes)):
            raise TypeError('%r is one name: give a list of them' % (hosts,))
        hosts = list(hosts)
        for host in hosts:
            if not isinstance(host, (BaseTunnel, type(''), type(u''))):
                raise TypeError('%r is neither a tunnel nor the name of a host' % (host,))
        self.tunnels = [host if isinstance(host, BaseTunnel) else Tunnel(host) for host in hosts]
        names = [tunnel.host for tunnel in self.tunnels]
        twice = sorted(set(name for name in names if names.count(name) > 1))
        if twice:
            raise ValueError('more than one host is named %s: results have one place for each name' % ', '.join(twice))

    def __repr__(self):
        return 'Group([%s])' % ', '.join(map(repr, self.tunnels))

    def __iter__(self):
        return iter(self.tunnels)

    def __len__(self):
        return len(self.tunnels)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _each(self, work):
        """Runs `work(tunnel, wait)` for all tunnels at once."""
        def run(wait):
            def job(tunnel):
                return tunnel.host, lambda own: work(tunnel, own)
            return together(wait, [job(tunnel) for tunnel in self.tunnels])
        found = guarded(run)
        return GroupResult((tunnel.host, found[tunnel.host]) for tunnel in self.tunnels)

    def connect(self):
        """Connects all hosts that are not connected; returns a `GroupResult` of `None`."""
        return self._each(lambda tunnel, wait: tunnel._connect(wait))

    def close(self):
        self._each(lambda tunnel, wait: tunnel._close(wait)).raise_failures()

    def call(self, callable, *args, **kwargs):
        """Calls a function on all hosts at once; returns a `GroupResult`. Only `stream` takes an `input`."""
        refuse_input(kwargs)
        return self._each(lambda tunnel, wait: tunnel._call(wait, callable, args, kwargs))

    def stream(self, callable, *args, **kwargs):
        """Calls a function on all hosts at once, and iterates over pairs of a host and an item, as they come.

        A host that fails has an `ErrorResult` as its last item. `input` is as in `call` of a tunnel: each host gets all
        of its items, and the one that reads most slowly sets the pace.
        """
        from chopsticks._merged import Merged
        return Merged(self.tunnels, callable, args, kwargs, made_input(kwargs, len(self.tunnels)))

    def put(self, local_path, remote_path=None, mode=None):
        """Copies a file to all hosts; returns a `GroupResult` of dicts, like those of `put` of a tunnel."""
        return self._each(lambda tunnel, wait: tunnel._put(wait, local_path, remote_path, mode))

    def fetch(self, remote_path, local_path=None):
        """Copies a file from all hosts, each to its own path, in which `{host}` stands for the name of the host."""
        paths = self.paths(local_path)
        return self._each(lambda tunnel, wait: tunnel._fetch(wait, remote_path, paths[tunnel.host]))

    def paths(self, template):
        """Host -> where its file goes to; `None` for a temporary file. No two hosts share a path."""
        if template is None:
            return dict.fromkeys(tunnel.host for tunnel in self.tunnels)
        paths, owners = {}, {}
        for tunnel in self.tunnels:
            # A name is a part of one step of a path, and leads nowhere: as of the controller's groups.
            dots = tunnel.host in ('.', '..')
            name = tunnel.host.replace('.', '%2E') if dots else tunnel.host.replace('/', '%2F')
            path = filled(native(template), name)
            if path in owners:
                raise ValueError('the files of %s and %s would both be %s: put {host} into the path' % (
                    owners[path], tunnel.host, path))
            owners[path], paths[tunnel.host] = tunnel.host, path
        return paths

    def filter(self, predicate, exclude=False):
        """The group of the tunnels on which `predicate()` returns a true value, or a false one with `exclude`."""
        found = self.call(predicate)
        found.raise_failures()
        return Group([tunnel for tunnel in self.tunnels if bool(found[tunnel.host]) != bool(exclude)])

    # By name, as sets of names: of two tunnels with one name the first stays.

    def _names(self):
        return set(tunnel.host for tunnel in self.tunnels)

    def union(self, other):
        """The hosts of this group, and then those of the other that it has not."""
        other, names = group_of(other), self._names()
        return Group(self.tunnels + [tunnel for tunnel in other.tunnels if tunnel.host not in names])

    def intersection(self, other):
        """The hosts of this group that the other has as well."""
        names = group_of(other)._names()
        return Group([tunnel for tunnel in self.tunnels if tunnel.host in names])

    def difference(self, other):
        """The hosts of this group that the other has not."""
        names = group_of(other)._names()
        return Group([tunnel for tunnel in self.tunnels if tunnel.host not in names])

    def symmetric_difference(self, other):
        """The hosts that only one of the two has."""
        other = group_of(other)
        return self.difference(other).union(other.difference(self))

    __or__ = __add__ = union
    __and__ = intersection
    __sub__ = difference
    __xor__ = symmetric_difference


def refuse_input(kwargs):
    """Refuses what `call` of a tunnel takes for its own, and the function of a group would get."""
    if kwargs.get('input') is not None:
        from chopsticks import _input
        _input.refuse(kwargs)


def group_of(value):
    if isinstance(value, Group):
        return value
    if isinstance(value, BaseTunnel):
        return Group([value])
    raise TypeError('%r is neither a tunnel nor a group' % (value,))


def filled(template, host):
    """A path with the name of a host for `{host}`."""
    try:
        return template.format(host=host)
    except (AttributeError, IndexError, KeyError, ValueError):
        raise ValueError(
            'the path %r has braces that are not {host}: write {{ and }} for braces in names' % (template,))
