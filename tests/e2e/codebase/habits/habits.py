# coding: utf-8
"""What code does with a folder on `sys.path`: each habit's name, how it fares without files on the disk, an expression.

How: `same` as in a folder, or as on the `disk` alone, which takes `unpack`, or as from a `zip`, which Python itself does not treat alike.
"""
import importlib
import inspect
import json
import os
import pkgutil
import runpy
import sys
import warnings

import shop
import shop.plugins
import shop.sub

try:
    import importlib.util
    from importlib import resources
except ImportError:
    resources = None
try:
    from importlib import metadata
except ImportError:
    metadata = None

warnings.simplefilter('ignore')
ROOT = os.path.dirname(__file__)
HERE = os.path.dirname(shop.__file__)
PLUGINS = os.path.dirname(os.path.abspath(shop.plugins.__file__))
NEW = sys.version_info >= (3, 4)
FILES = hasattr(resources, 'files')


def names(found):
    return sorted([str(m[1]), bool(m[2])] for m in found)


def by_path(folder, name):
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name).NAME
    finally:
        sys.path.remove(folder)
        for known in [n for n in sys.modules if n.partition('.')[0] == name]:
            del sys.modules[known]


def loaded(folder):
    found = []
    for finder, name, is_package in pkgutil.iter_modules([folder]):
        if NEW and hasattr(finder, 'find_spec') and hasattr(importlib.util, 'module_from_spec'):
            spec = finder.find_spec(name)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = finder.find_module(name).load_module(name)
        found.append(module.NAME)
    for name in 'red', 'blue', 'box':
        sys.modules.pop(name, None)
    return found


def read(path):
    with open(path) as f:
        return f.read()


def entry_points(group):
    found = metadata.entry_points()
    found = found.select(group=group) if hasattr(found, 'select') else found.get(group, ())
    return sorted((e.name, e.value) for e in found)


def pkg_resources(use):
    try:
        import pkg_resources
    except ImportError:
        return 'there is none'
    return use(pkg_resources)


def missing(use):
    try:
        return use()
    except (IOError, OSError) as e:
        return [e.errno, type(e).__name__]
    except ImportError as e:
        return str(type(e).__name__)


HABITS = [
    # Lists of modules.
    ('iter_modules of __path__', 'same', lambda: names(pkgutil.iter_modules(shop.plugins.__path__))),
    ('iter_modules with a prefix', 'same', lambda: names(pkgutil.iter_modules(shop.__path__, 'shop.'))),
    ('iter_modules by file', 'same', lambda: names(pkgutil.iter_modules([PLUGINS]))),
    ('iter_modules by two folders', 'same', lambda: names(pkgutil.iter_modules([PLUGINS, HERE]))),
    ('iter_modules of a root', 'same', lambda: names(pkgutil.iter_modules([ROOT]))),
    ('iter_modules joined to __path__', 'same', lambda: names(pkgutil.iter_modules(
        [os.path.join(shop.__path__[0], 'management', 'commands')]))),
    ('iter_modules joined to a file', 'same', lambda: names(pkgutil.iter_modules(
        [os.path.join(HERE, 'management', '..', 'management', 'commands')]))),
    ('iter_modules of what is not there', 'same', lambda: names(pkgutil.iter_modules([os.path.join(HERE, 'no')]))),
    ('iter_modules of no package', 'same', lambda: names(pkgutil.iter_modules([os.path.join(HERE, 'texts')]))),
    ('walk_packages', 'same', lambda: names(pkgutil.walk_packages(shop.__path__, 'shop.'))),
    ('walk_packages by file', 'same', lambda: names(pkgutil.walk_packages([HERE], 'shop.'))),
    ('all modules', 'same', lambda: [n for n in names(pkgutil.iter_modules()) if n[0] in ('shop', 'habits')]),
    # Imports by paths.
    ('sys.path by file', 'same', lambda: by_path(PLUGINS, 'red')),
    ('sys.path, a package', 'same', lambda: by_path(PLUGINS, 'box')),
    ('sys.path by join', 'same', lambda: by_path(os.path.join(HERE, '..', 'shop', 'plugins'), 'blue')),
    ('sys.path, absent', 'same', lambda: missing(lambda: by_path(PLUGINS, 'absent_here'))),
    ('finder of a listed module', 'same', lambda: loaded(PLUGINS)),
    ('extended __path__', 'same', lambda: shop.plugins.extended()),
    ('import_module', 'same', lambda: importlib.import_module('.red', 'shop.plugins').NAME),
    ('absent', 'same', lambda: missing(lambda: importlib.import_module('shop.absent'))),
    ('find_spec', 'same', lambda: NEW and [importlib.util.find_spec(n) is not None for n in (
        'shop.sub', 'shop.absent', 'shop.bare')]),
    ('run_module', 'same', lambda: runpy.run_module('shop.plugins.red')['NAME']),
    # Attributes.
    ('names', 'same', lambda: [shop.sub.__name__, shop.plugins.__file__.replace(ROOT, '')]),
    ('getsource', 'same', lambda: inspect.getsource(shop.plugins.extended)),
    ('getfile', 'same', lambda: inspect.getfile(shop.plugins.extended).replace(ROOT, '')),
    ('getmodule', 'same', lambda: inspect.getmodule(shop.plugins.extended).__name__),
    ('doc', 'same', lambda: inspect.getdoc(shop)),
    ('loader', 'same', lambda: [bool(shop.__loader__.is_package('shop')), shop.__loader__.get_source('shop')[:9]]
        if NEW else None),
    ('get_code', 'same', lambda: shop.__loader__.get_code('shop').co_name if NEW else None),
    ('get_filename', 'same', lambda: shop.__loader__.get_filename('shop').replace(ROOT, '') if NEW else None),
    # Data.
    ('get_data', 'same', lambda: pkgutil.get_data('shop', 'texts/a.txt')),
    ('get_data of a subpackage', 'same', lambda: pkgutil.get_data('shop.sub', 'own.txt')),
    ('get_data, absent', 'same', lambda: missing(lambda: pkgutil.get_data('shop', 'no'))),
    ('loader.get_data by file', 'same', lambda: shop.__loader__.get_data(
        os.path.join(HERE, 'texts', 'a.txt')) if NEW else None),
    ('loader.get_data by __path__', 'same', lambda: shop.__loader__.get_data(
        os.path.join(shop.__path__[0], 'texts', 'a.txt')) if NEW else None),
    ('read_text', 'same', lambda: resources and resources.read_text('shop.sub', 'own.txt')),
    ('is_resource', 'same', lambda: resources and [resources.is_resource('shop.sub', n) for n in (
        'own.txt', 'no')]),
    ('path', 'same', lambda: resources and read_path(resources.path('shop.sub', 'own.txt'))),
    ('contents', 'same', lambda: resources and hasattr(resources, 'contents') and sorted(
        n for n in resources.contents('shop') if n != '__pycache__')),
    ('files', 'same', lambda: FILES and (resources.files('shop') / 'texts' / 'a.txt').read_text()),
    ('files, joinpath', 'zip39', lambda: FILES and resources.files('shop').joinpath('texts', 'a.txt').read_text()),
    ('files, names', 'same', lambda: FILES and sorted(
        f.name for f in resources.files('shop').iterdir() if f.name != '__pycache__')),
    ('files, kinds', 'zip39', lambda: FILES and [[f.is_file(), f.is_dir()] for f in [
        resources.files('shop') / n for n in ('texts', 'texts/a.txt', 'no')]]),
    ('files, absent', 'same', lambda: FILES and missing(lambda: (resources.files('shop') / 'no').read_bytes())),
    ('files, glob', 'zip39', lambda: FILES and sorted(f.name for f in resources.files('shop').rglob('*.txt'))),
    ('files, parent', 'zip39', lambda: FILES and (resources.files('shop.sub') / '..' / 'texts/a.txt').read_text()),
    ('files, suffix', 'zip39', lambda: FILES and [(resources.files('shop') / 'texts/a.txt').suffix,
                                                  (resources.files('shop') / 'texts/a.txt').stem]),
    ('files of a module', 'same', lambda: sys.version_info >= (3, 12) and (
        resources.files('shop.plugins.red') / 'own.txt').read_text()),
    ('as_file', 'same', lambda: FILES and read_path(resources.as_file(resources.files('shop') / 'texts/a.txt'))),
    ('as_file of a folder', 'same', lambda: sys.version_info >= (3, 12) and listed_path(
        resources.as_file(resources.files('shop') / 'texts'))),
    # Metadata of distributions.
    ('version', 'same', lambda: metadata and [metadata.version('shop-kit'), metadata.version('Shop_Kit')]),
    ('entry points', 'same', lambda: metadata and entry_points('shop.plugins')),
    ('requires', 'same', lambda: metadata and metadata.requires('shop_kit')),
    ('files of a distribution', 'same', lambda: metadata and [str(f) for f in metadata.files('shop-kit')]),
    ('text of a distribution\'s file', 'same', lambda: metadata and metadata.files('shop-kit')[0].read_text()),
    ('absent distribution', 'same', lambda: metadata and missing(lambda: metadata.version('no-such-thing'))),
    ('distributions', 'same', lambda: metadata and [d.version for d in metadata.distributions(
        ) if d.metadata['Name'] == 'Shop-Kit']),
    ('distributions of a folder', 'same', lambda: metadata and [d.metadata['Name'] for d in metadata.distributions(
        path=[ROOT])]),
    # pkg_resources, where there is one.
    ('resource_string', 'same', lambda: pkg_resources(lambda p: p.resource_string('shop', 'texts/a.txt'))),
    ('resource_exists', 'same', lambda: pkg_resources(lambda p: [p.resource_exists('shop', n) for n in (
        'texts/a.txt', 'texts', 'no')])),
    ('resource_isdir', 'same', lambda: pkg_resources(lambda p: p.resource_isdir('shop', 'texts'))),
    ('resource_listdir', 'same', lambda: pkg_resources(lambda p: sorted(
        n for n in p.resource_listdir('shop', '') if n != '__pycache__'))),
    ('resource_stream', 'same', lambda: pkg_resources(lambda p: p.resource_stream('shop', 'texts/a.txt').read())),
    ('resource_filename', 'same', lambda: pkg_resources(lambda p: read(p.resource_filename('shop', 'texts/a.txt')))),
    ('resource_filename of a folder', 'same', lambda: pkg_resources(lambda p: sorted(
        os.listdir(p.resource_filename('shop', 'texts'))))),
    ('get_distribution', 'same', lambda: pkg_resources(lambda p: p.get_distribution('shop-kit').version)),
    ('iter_entry_points', 'same', lambda: pkg_resources(lambda p: [
        str(e) for e in p.iter_entry_points('shop.plugins')])),
    # The disk.
    ('open', 'disk', lambda: read(os.path.join(HERE, 'texts', 'a.txt'))),
    ('listdir', 'disk', lambda: sorted(n for n in os.listdir(HERE) if n != '__pycache__')),
    ('isdir', 'disk', lambda: os.path.isdir(os.path.join(shop.__path__[0], 'texts'))),
]


def read_path(manager):
    with manager as path:
        return read(str(path))


def listed_path(manager):
    with manager as path:
        return sorted(os.listdir(str(path)))


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.decode('utf-8') if isinstance(value, bytes) else value


def outcomes():
    """Every habit's outcome as text, in order."""
    found = []
    for name, how, habit in HABITS:
        try:
            value = json.dumps(plain(habit()), sort_keys=True)
        except Exception as e:
            value = '%s: %s' % (type(e).__name__, e)
        if how == 'zip39':
            how = 'zip' if sys.version_info[:2] == (3, 9) else 'same'
            if how == 'zip' and name == 'files, parent':
                # PyPy's zip files and CPython's do not agree.
                how = 'any'
        found.append([name, how, value])
    return found
