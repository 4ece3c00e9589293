"""Groups: one operation on many hosts at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, Union

from chopsticks import _chopsticks
from chopsticks._deadline import remaining
from chopsticks._errors import ErrorResult, RemoteException, error_result
from chopsticks._limits import Limits as Limits
from chopsticks._limits import bar, core_of
from chopsticks.tunnel import CLOSE, CONNECT, BaseTunnel, Operation, PathLike, Tunnel, packed, patterns, settle

if TYPE_CHECKING:
    from chopsticks._stream import Reading, Stream

__all__ = ['ErrorResult', 'Group', 'GroupResult', 'Limits']
V = TypeVar('V')
#: What set operations take.
Hosts = Union[BaseTunnel, 'Group']


class GroupResult(dict[str, Any]):
    """Host -> result, in the order of the group; for a host that failed, an `ErrorResult`."""

    def successful(self) -> Iterator[tuple[str, Any]]:
        """Iterates over the results of hosts that did not fail: (host, value)."""
        return ((host, value) for host, value in self.items() if not isinstance(value, ErrorResult))

    def failures(self) -> Iterator[tuple[str, ErrorResult]]:
        """Iterates over those of hosts that failed: (host, ErrorResult)."""
        return ((host, value) for host, value in self.items() if isinstance(value, ErrorResult))

    def raise_failures(self) -> None:
        """Raises a `RemoteException` that names each failure, if there is any."""
        failures = list(self.failures())
        if failures:
            lines = ['%d/%d hosts had failures:' % (len(failures), len(self)), '']
            for host, error in failures:
                lines.append('[%s] %s' % (host, error))
                if error.tb:
                    lines += ['', *('    ' + line for line in error.tb.splitlines())]
            raise RemoteException('\n'.join(lines))

    def iteritems(self) -> Iterator[tuple[str, Any]]:
        """As `items`, which Python 2 calls so."""
        return iter(self.items())

    def __repr__(self) -> str:
        return 'GroupResult(%s)' % dict.__repr__(self)

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        rows = []
        for host, value in self.items():
            is_failure = isinstance(value, ErrorResult)
            rows.append((host, 'failed' if is_failure else 'ok', str(value) if is_failure else repr(value)))
        failed = sum(state == 'failed' for _, state, _ in rows)
        caption = '%s: %d ok, %d failed' % (hosts(len(rows)), len(rows) - failed, failed)
        return table(caption, ('host', 'state', 'result'), rows)


class Group:
    """Tunnels, in order, each with a name of its own. Text stands for the tunnel that `Tunnel` opens to it.

    Groups are sets by the names of hosts: of two tunnels with one name the first stays.

    `limits` are those of all that is done with the group, and `progress` shows a bar by `tqdm.auto` meanwhile, but for
    `close`. Groups that are made of it by `filter` and set operations have them too.

        Group(hosts, limits=Limits(max_running=10, max_failures='5%'), progress=True)
    """

    def __init__(
        self, hosts: Iterable[BaseTunnel | str], *, limits: Limits | None = None, progress: bool = False
    ) -> None:
        self.limits, self.progress = limits, progress
        if isinstance(hosts, (str, bytes)):
            raise TypeError('%r is one name: give a list of them' % (hosts,))
        self.tunnels: list[BaseTunnel] = []
        for host in hosts:
            if not isinstance(host, (BaseTunnel, str)):
                raise TypeError('%r is neither a tunnel nor the name of a host' % (host,))
            self.tunnels.append(host if isinstance(host, BaseTunnel) else Tunnel(host))
        names = [tunnel.host for tunnel in self.tunnels]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ValueError('more than one host is named %s: results have one place for each name' % ', '.join(twice))

    def connect(self) -> GroupResult:
        """Connects all that are not; returns a `GroupResult` of `None`."""
        return self._run(CONNECT)

    def close(self) -> None:
        """Disconnects all. The next use connects again."""
        self._run(CLOSE, [tunnel for tunnel in self.tunnels if tunnel._state.core is not None]).raise_failures()

    def call(self, callable: Callable[..., Any], /, *args: Any, **kwargs: Any) -> GroupResult:
        """Calls a function on all hosts at once; see `call` of a tunnel. Only `stream` takes an `input`."""
        refuse_input(kwargs)
        return self._run(packed(callable, args, kwargs, common_protocol(self)))

    def stream(
        self, callable: Callable[..., Iterable[Any]], /, *args: Any, input: Iterable[Any] | None = None, **kwargs: Any
    ) -> Stream[tuple[str, Any]]:
        """Calls a function on all hosts at once, and returns an iterator over pairs of a host and an item, as they come.

        A host that fails has an `ErrorResult` as its last item. See `stream` of a tunnel. With `input`, the function
        gets all of its items on each host, and the host that reads most slowly sets the pace for the others.
        """
        from chopsticks._stream import Input, taken_input

        items = taken_input(input, kwargs)
        return self._stream(callable, args, kwargs, None if items is None else Input(items, len(self)))

    def _stream(
        self, callable: Any, args: tuple[Any, ...], kwargs: dict[str, Any], input: Reading | None
    ) -> Stream[tuple[str, Any]]:
        from chopsticks._stream import Stream

        tunnels = list(self.tunnels)
        operation = packed(callable, args, kwargs, common_protocol(self))
        cores, feeds = [tunnel._open() for tunnel in tunnels], None if input is None else input.feeds
        return Stream(
            _chopsticks.Stream(cores, operation, remaining(), None, feeds),
            lambda number, value: (tunnels[number].host, value),
            lambda number, error: (tunnels[number].host, settled(tunnels[number], None, error)),
            input=input,
        )

    def put(
        self,
        local_path: PathLike,
        remote_path: PathLike | None = None,
        mode: int | None = 0o644,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> GroupResult:
        """Copies a file to all hosts; see `put` of a tunnel."""
        return self._run(Operation.put(local_path, remote_path, mode, if_changed, resume))

    def fetch(
        self,
        remote_path: PathLike,
        local_path: str | None = None,
        *,
        if_changed: bool = False,
        resume: bool = False,
    ) -> GroupResult:
        """Copies a file from all hosts, each to the path in which `{host}` stands for its name."""
        return self._run(Operation.fetch(remote_path, self.paths(local_path), if_changed, resume))

    def put_dir(
        self,
        local_path: PathLike,
        remote_path: PathLike,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> GroupResult:
        """Copies a folder to all hosts; see `put_dir` of a tunnel."""
        return self._run(Operation.put_dir(local_path, remote_path, if_changed, delete, patterns(exclude)))

    def fetch_dir(
        self,
        remote_path: PathLike,
        local_path: str,
        *,
        if_changed: bool = False,
        delete: bool = False,
        exclude: Iterable[str] = (),
    ) -> GroupResult:
        """Copies a folder from all hosts, each to the path in which `{host}` stands for its name."""
        local = self.paths(local_path)
        return self._run(Operation.fetch_dir(remote_path, local, if_changed, delete, patterns(exclude)))

    def filter(self, predicate: Callable[[], Any], exclude: bool = False) -> Group:
        """The group of those tunnels for which `predicate()`, called there, is true; with `exclude`, is not."""
        found = self.call(predicate)
        found.raise_failures()
        return self._of(tunnel for tunnel in self.tunnels if bool(found[tunnel.host]) != bool(exclude))

    def paths(self, template: str | None) -> dict[str, str]:
        """Host -> where its file goes to; none for temporary files. No two hosts share a path."""
        paths: dict[str, str] = {}
        if template is None:
            return paths
        owners: dict[str, str] = {}
        for tunnel in self.tunnels:
            # A name is a part of one step of a path, and leads nowhere: as in Rust and on the far side.
            dots = tunnel.host in ('.', '..')
            name = tunnel.host.replace('.', '%2E') if dots else tunnel.host.replace('/', '%2F')
            path = filled(str(template), name)
            if path in owners:
                raise ValueError(
                    'the files of %s and %s would both be %s: put {host} into the path'
                    % (owners[path], tunnel.host, path)
                )
            owners[path], paths[tunnel.host] = tunnel.host, path
        return paths

    def _run(self, operation: _chopsticks.Operation, tunnels: list[BaseTunnel] | None = None) -> GroupResult:
        tunnels = self.tunnels if tunnels is None else tunnels
        cores = [tunnel._open() for tunnel in tunnels]
        results = GroupResult()
        with bar(self.progress and operation is not CLOSE, len(cores), 'host') as tell:
            tick = None if tell is None else lambda done: tell(done, len(cores))
            found = _chopsticks.run_all(cores, operation, remaining(), core_of(self.limits), tick)
        for tunnel, outcome in zip(tunnels, found):
            results[tunnel.host] = settled(tunnel, *outcome)
        return results

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return 'Group([%s])' % ', '.join(map(repr, self.tunnels))

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        rows = [(tunnel.host, type(tunnel).__name__) for tunnel in self.tunnels]
        return table(hosts(len(rows)), ('host', 'tunnel'), rows)

    def __iter__(self) -> Iterator[BaseTunnel]:
        return iter(self.tunnels)

    def __len__(self) -> int:
        return len(self.tunnels)

    def union(self, other: Hosts) -> Group:
        """The hosts of this group, and then those of the other that it has not."""
        other, names = group_of(other), self._names()
        return self._of(self.tunnels + [tunnel for tunnel in other.tunnels if tunnel.host not in names])

    def intersection(self, other: Hosts) -> Group:
        """The hosts of this group that the other has as well."""
        names = group_of(other)._names()
        return self._of(tunnel for tunnel in self.tunnels if tunnel.host in names)

    def difference(self, other: Hosts) -> Group:
        """The hosts of this group that the other has not."""
        names = group_of(other)._names()
        return self._of(tunnel for tunnel in self.tunnels if tunnel.host not in names)

    def symmetric_difference(self, other: Hosts) -> Group:
        """The hosts that only one of the two has."""
        other = group_of(other)
        return self.difference(other).union(other.difference(self))

    def __or__(self, other: Hosts) -> Group:
        return self.union(other) if isinstance(other, (BaseTunnel, Group)) else NotImplemented

    __add__ = __or__

    def __and__(self, other: Hosts) -> Group:
        return self.intersection(other) if isinstance(other, (BaseTunnel, Group)) else NotImplemented

    def __sub__(self, other: Hosts) -> Group:
        return self.difference(other) if isinstance(other, (BaseTunnel, Group)) else NotImplemented

    def __xor__(self, other: Hosts) -> Group:
        return self.symmetric_difference(other) if isinstance(other, (BaseTunnel, Group)) else NotImplemented

    def _of(self, tunnels: Iterable[BaseTunnel]) -> Group:
        """A group of others, with the limits of this one."""
        return Group(tunnels, limits=self.limits, progress=self.progress)

    def _names(self) -> set[str]:
        return {tunnel.host for tunnel in self.tunnels}


def filled(template: str, host: str) -> str:
    """A path with the name of a host for `{host}`."""
    try:
        return template.format(host=host)
    except (AttributeError, IndexError, KeyError, ValueError):
        raise ValueError(
            'the path %r has braces that are not {host}: write {{ and }} for braces in names' % template
        ) from None


def group_of(value: Hosts) -> Group:
    if isinstance(value, Group):
        return value
    if isinstance(value, BaseTunnel):
        return Group([value])
    raise TypeError('%r is neither a tunnel nor a group' % (value,))


def refuse_input(kwargs: dict[str, Any]) -> None:
    """Refuses what `call` of a tunnel takes for its own, and the function of a group would get."""
    if not isinstance(kwargs.get('input'), (str, bytes, bytearray, memoryview, type(None))):
        raise TypeError('only `call` of a tunnel, and `stream`, take `input`: give the function another argument')


def common_protocol(group: Group) -> int | None:
    """The version of pickle that all agents read, if that is known of all."""
    found: int | None = None
    for tunnel in group.tunnels:
        protocol = tunnel._state.protocol
        if protocol is None:
            return None
        found = protocol if found is None else min(found, protocol)
    return found


def settled(tunnel: BaseTunnel, value: Any, error: BaseException | None) -> Any:
    """What results have for a host."""
    settle(tunnel._state)
    if error is None:
        return value
    if isinstance(error, RemoteException):
        if error.is_lost:
            tunnel._state.is_stale = True
    elif not isinstance(error, Exception):
        raise error
    return error_result(error)


#: How many characters of a value a notebook shows.
SHOWN = 200
#: Text keeps its lines, and has the colours of the notebook around it.
STYLE = 'text-align: left; color: inherit; background: none; white-space: pre-wrap'


def hosts(number: int) -> str:
    return '%d host%s' % (number, '' if number == 1 else 's')


def table(caption: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in HTML. The first text of each row names the row."""
    head = ''.join('<th scope="col" style="%s">%s</th>' % (STYLE, column) for column in columns)
    body = []
    for first, *others in rows:
        cells = ''.join('<td style="%s">%s</td>' % (STYLE, text(other)) for other in others)
        body.append('<tr><th scope="row" style="%s">%s</th>%s</tr>' % (STYLE, text(first), cells))
    return '<table><caption>%s</caption><thead><tr>%s</tr></thead><tbody>%s</tbody></table>' % (
        caption,
        head,
        ''.join(body),
    )


def text(value: str) -> str:
    """Text from a host as HTML: nothing in it is markup, and what UTF-8 has not is spelt out."""
    from html import escape

    if len(value) > SHOWN:
        value = value[:SHOWN] + '…'
    return escape(value.encode('utf-8', 'backslashreplace').decode())
