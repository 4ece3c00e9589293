"""What agents can import: what can be imported here, as `sys.path` and `sys.meta_path` are at the moment."""

from __future__ import annotations

import os
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from threading import Lock
from typing import Any
from zipfile import is_zipfile

import chopsticks
from chopsticks import _chopsticks

#: Classes of finders that find nothing which the entries of `sys.path` do not have.
ADDING_NOTHING = frozenset(
    (
        '_SixMetaPathImporter',
        'AssertionRewritingHook',
        'DistutilsMetaFinder',
        'MetadataPathFinder',
        # Of virtualenv, which changes what others find.
        '_Finder',
    )
)
LIBRARY = os.path.realpath(os.path.dirname(os.__file__))
turn = Lock()
#: `sys.path` and `sys.meta_path` as they were last.
seen: tuple[list[Any], list[Any]] = [], []
configs: dict[int, _chopsticks.Config] = {}


def config() -> _chopsticks.Config:
    """The configuration of tunnels that connect now."""
    found = configs.get(chopsticks.DEPTH_LIMIT)
    if found is None:
        found = configs[chopsticks.DEPTH_LIMIT] = _chopsticks.Config(search, chopsticks.DEPTH_LIMIT)
    return found


def refresh() -> None:
    """Takes what `sys.path` and `sys.meta_path` have now, if they have changed."""
    if sys.path != seen[0] or sys.meta_path != seen[1]:
        with turn:
            update()


def update() -> None:
    global seen
    now = list(sys.path), list(sys.meta_path)
    search.set(folders(now[0]), editable(now[1]), any(map(finds_more, now[1])))
    seen = now


def folders(entries: list[Any]) -> list[str]:
    """The entries of a search path without the standard library, which hosts have."""
    archive = 'python%d%d.zip' % sys.version_info[:2]
    paths: list[str] = []
    for path in entries:
        if not isinstance(path, str):
            continue
        try:
            path = os.path.abspath(path)
        except FileNotFoundError:
            # Relative to a folder that is gone.
            continue
        is_library = os.path.realpath(path) == LIBRARY or os.path.basename(path) in ('lib-dynload', archive)
        if not is_library and path not in paths and (os.path.isdir(path) or is_zipfile(path)):
            paths.append(path)
    return paths


def editable(finders: list[Any]) -> list[tuple[str, str]]:
    """Names of modules and packages, and the places to which setuptools has installed them for editing."""
    places: list[tuple[str, str]] = []
    for finder in finders:
        if is_editable(finder):
            scope = vars(sys.modules[finder.__module__])
            places += scope.get('MAPPING', {}).items()
            for name, paths in scope.get('NAMESPACES', {}).items():
                places += [(name, path) for path in paths]
    return [(name, os.fspath(path)) for name, path in places]


def is_editable(finder: Any) -> bool:
    module = getattr(finder, '__module__', None)
    return isinstance(module, str) and module.startswith('__editable__') and module in sys.modules


def finds_more(finder: Any) -> bool:
    """Whether a finder may find what the entries of `sys.path` do not have."""
    if finder in (BuiltinImporter, FrozenImporter, PathFinder) or is_editable(finder):
        return False
    kind = finder if isinstance(finder, type) else type(finder)
    return hasattr(finder, 'find_spec') and kind.__name__ not in ADDING_NOTHING


def find(name: str) -> tuple[int, str, bytes, list[str]] | None:
    """The kind of a module, its file, its source, and what is below it, if a finder of one's own finds it here."""
    spec = spec_of(name)
    if spec is None:
        return None
    loader, file = spec.loader, spec.origin or '<%s>' % name
    # There may be more than is to be seen.
    below = [*names_in(spec.submodule_search_locations), '*'] if spec.submodule_search_locations is not None else []
    if loader is None:
        return (2, file, b'', below) if below else None
    source = source_of(loader, name, spec)
    if source is None:
        raise ImportError(
            '%s has no source for agents: %s.get_source() has none' % (name, type(loader).__qualname__)
        )
    return (1 if below else 0), file, source, below


def spec_of(name: str) -> Any:
    """The spec of a module, without an import of the packages around it."""
    if name.partition('.')[0] in getattr(sys, 'stdlib_module_names', sys.builtin_module_names):
        return None
    spec = getattr(sys.modules.get(name), '__spec__', None)
    if spec is None:
        parent = name.rpartition('.')[0]
        path = None
        if parent:
            around = spec_of(parent)
            path = around.submodule_search_locations if around is not None else None
            if path is None:
                return None
        for finder in list(sys.meta_path):
            # What is on `sys.path` has been looked for.
            if finds_more(finder) or path is not None and finder is PathFinder:
                spec = finder.find_spec(name, path, None)
                if spec is not None:
                    break
    return None if is_library(spec) else spec


def is_library(spec: Any) -> bool:
    """Whether a module is of the standard library, which hosts have in their own version."""
    origin = getattr(spec, 'origin', None)
    if origin in ('built-in', 'frozen'):
        return True
    return isinstance(origin, str) and os.path.dirname(os.path.realpath(origin)) == LIBRARY


def source_of(loader: Any, name: str, spec: Any) -> bytes | None:
    if spec.has_location and str(spec.origin).endswith('.py') and hasattr(loader, 'get_data'):
        try:
            return bytes(loader.get_data(spec.origin))
        except OSError:
            # Not all that has a file name has a file.
            pass
    text = loader.get_source(name) if hasattr(loader, 'get_source') else None
    return text.encode('utf-8') if isinstance(text, str) else text


def names_in(places: Any) -> list[str]:
    from pkgutil import iter_modules

    return sorted({module.name for module in iter_modules([place for place in places if isinstance(place, str)])})


def data(package: str, path: str) -> bytes | None:
    """The content of a file in the folder of a package that a finder of one's own finds here."""
    spec = spec_of(package)
    if spec is None or not spec.origin or not hasattr(spec.loader, 'get_data'):
        return None
    if any(part in ('', '.', '..') for part in path.split('/')):
        return None
    try:
        return bytes(spec.loader.get_data(os.path.join(os.path.dirname(spec.origin), *path.split('/'))))
    except OSError:
        return None


def after_fork_in_child() -> None:
    global turn, search
    turn = Lock()
    # Another thread may have had its lock.
    search = _chopsticks.Search(find, data)
    configs.clear()
    seen[0].clear()


search = _chopsticks.Search(find, data)
