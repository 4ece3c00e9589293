"""Data files of packages, and what else of a module is not its code."""
import sys
import unittest

from harness import OLD, Case, function

CODE = {
    'shop': b'import os\nHERE = os.path.dirname(__file__)\n',
    'shop.deep': b'',
    'shop.deep.part': b'import os\nHERE = os.path.dirname(os.path.abspath(__file__))\n',
    'bare': None,
    'bare.mod': b'',
    'single': b'',
}
DATA = {
    ('shop', 'words.txt'): u'eins \xe9\r\nzwei\n'.encode('utf-8'),
    ('shop', 'empty'): b'',
    ('shop', 'sub/inner/leaf.bin'): bytes(bytearray(range(256))),
    ('shop.deep', 'own.txt'): b'own',
    ('bare', 'words.txt'): b'bare words',
}


FORKS = b'''
import multiprocessing, os, traceback
def bad(x):
    raise ValueError('x is %r' % x)
def in_child(what):
    there, here = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            try: bad(1)
            except ValueError: out = what()
        except BaseException as e: out = 'failed: %r' % e
        os.write(here, out.encode())
        os._exit(0)
    os.close(here)
    with os.fdopen(there) as file: out = file.read()
    os.waitpid(pid, 0)
    return out
def formatted(): return in_child(traceback.format_exc)
def shown():
    import inspect
    return in_child(lambda: inspect.getsource(bad))
def methods():
    return in_child(lambda: repr(hasattr(__loader__, 'is_package')))
def pool():
    m = multiprocessing
    m = m.get_context('fork') if hasattr(m, 'get_context') else m
    pool = m.Pool(2)
    try: pool.map(bad, [1, 2])
    except ValueError as e: return str(e)
    finally:
        pool.close()
        pool.join()
'''


class Forks(Case):
    """A process that user code has forked has what it needs."""

    def test_tracebacks_have_the_lines_of_the_codebase(self):
        agent = self.agent({'mine': FORKS})
        self.assertIn("    raise ValueError('x is %r' % x)\n", agent.call('mine:formatted'))

    def test_source_of_a_function_is_shown(self):
        agent = self.agent({'mine': FORKS})
        self.assertEqual(agent.call('mine:shown'), "def bad(x):\n    raise ValueError('x is %r' % x)\n")

    def test_loaders_can_do_there_what_they_can(self):
        agent = self.agent({'mine': FORKS})
        self.assertEqual(agent.call('mine:methods'), 'True')

    def test_exception_in_a_pool_of_processes_is_raised_by_the_pool(self):
        agent = self.agent({'mine': FORKS})
        self.assertIn(agent.call('mine:pool'), ('x is 1', 'x is 2'))


class Data(Case):
    def far(self):
        agent = self.agent(CODE)
        agent.data = DATA
        return agent

    def test_pkgutil_finds_data(self):
        agent = self.far()
        for package, name in DATA:
            if package != 'bare':
                body = 'import pkgutil\ndef f(*names): return bytearray(pkgutil.get_data(*names))'
                self.assertEqual(agent.call(function(body), package, name), DATA[package, name])
        self.assertIn('rror', agent.fails('pkgutil:get_data', 'shop', 'absent')['type'])
        self.assertIn('No such file', agent.fails('pkgutil:get_data', 'shop', 'absent')['message'])
        self.assertIn('rror', agent.fails('pkgutil:get_data', 'shop', 'sub')['type'])

    def test_paths_made_from_the_file(self):
        agent = self.far()
        body = ('import os\nimport shop.deep.part\n'
                'def f(*names): return bytearray(shop.deep.part.__loader__.get_data(os.path.join(*names)))\n'
                'def here(*names): return f(shop.deep.part.HERE, *names)\n'
                'def above(*names): return f(shop.HERE, *names)\n')
        self.assertEqual(agent.call(function(body, 'here'), 'own.txt'), b'own')
        self.assertEqual(agent.call(function(body, 'here'), '..', 'words.txt'), DATA['shop', 'words.txt'])
        self.assertEqual(agent.call(function(body, 'here'), 'part.py'), CODE['shop.deep.part'])
        self.assertEqual(agent.call(function(body, 'above'), 'words.txt'), DATA['shop', 'words.txt'])
        self.assertEqual(agent.call(function(body, 'above'), 'sub', 'inner', 'leaf.bin'),
                         DATA['shop', 'sub/inner/leaf.bin'])
        for names in ('..', '..', 'etc'), ('/etc/passwd',), ('..', '..', '..', 'shop', 'absent'):
            failure = agent.fails(function(body, 'here'), *names)
            self.assertEqual(failure['type'], 'IOError' if OLD else 'FileNotFoundError', failure)
        failure = agent.fails(function('import single\ndef f(): return single.__loader__.get_data("/code/x")'))
        self.assertEqual(failure['type'], 'IOError' if OLD else 'FileNotFoundError', failure)

    def test_refusals_say_why(self):
        agent = self.far()
        agent.resource = lambda package, path: {u'message': u'too large'}
        self.assertIn('rror', agent.fails('pkgutil:get_data', 'shop', 'words.txt')['type'])

    @unittest.skipIf(sys.version_info < (3, 7), 'importlib.resources came with 3.7')
    def test_resources_of_packages(self):
        agent = self.far()
        body = ('import warnings\nwarnings.simplefilter("ignore")\nfrom importlib import resources as r\n'
                'def f():\n'
                '  with r.open_binary("shop", "words.txt") as file: whole = file.read()\n'
                '  with r.open_text("shop", "words.txt") as file: first = file.readline()\n'
                '  with r.path("shop", "words.txt") as path: there = path.read_bytes()\n'
                '  return [whole, first, there, r.read_binary("shop", "words.txt"), r.read_text("shop", "words.txt"),'
                '          [r.is_resource("shop", n) for n in ("words.txt", "empty", "sub", "absent")],'
                '          sorted(n for n in r.contents("shop") if n != "deep" and ".py" not in n)]\n'
                'def absent(): r.read_text("shop", "absent")\n')
        data = DATA['shop', 'words.txt']
        self.assertEqual(agent.call(function(body)), [
            data, u'eins \xe9\n', data, data, u'eins \xe9\nzwei\n',
            [True, True, False, False], ['empty', 'sub', 'words.txt']])
        self.assertEqual(agent.fails(function(body, 'absent'))['type'], 'FileNotFoundError')

    @unittest.skipIf(sys.version_info < (3, 9), 'importlib.resources.files came with 3.9')
    def test_files_of_packages(self):
        agent = self.far()
        body = ('from importlib import resources as r\nfrom importlib.resources import files\n'
                'def f(package):\n'
                '  root = files(package)\n'
                '  leaf = root.joinpath("sub") / "inner" / "leaf.bin"\n'
                '  with r.as_file(leaf) as path: copied = path.read_bytes()\n'
                '  with (root / "words.txt").open(encoding="utf-8") as file: first = file.readline()\n'
                '  names = sorted(e.name for e in root.iterdir())\n'
                '  return [names, leaf.read_bytes() == copied, len(copied), leaf.name,'
                '    leaf.is_file(), leaf.is_dir(), (root / "sub").is_dir(), (root / "sub/inner").is_dir(),'
                '    root.joinpath("absent").exists()'
                '    if hasattr(root, "exists") else root.joinpath("absent").is_file(),'
                '    (root / "words.txt").read_text("utf-8"), first]\n'
                'def absent(): (files("shop") / "absent").read_bytes()\n'
                'def bare(): return (files("bare") / "words.txt").read_text("utf-8")\n'
                'def tree():\n'
                '  with r.as_file(files("shop") / "sub") as path:\n'
                '    return len((path / "inner/leaf.bin").read_bytes())\n')
        self.assertEqual(agent.call(function(body), 'shop'), [
            ['__init__.py', 'deep', 'empty', 'sub', 'words.txt'], True, 256, 'leaf.bin', True, False, True, True, False,
            u'eins \xe9\nzwei\n', u'eins \xe9\n'])
        self.assertEqual(agent.fails(function(body, 'absent'))['type'], 'FileNotFoundError')
        if sys.version_info > (3, 10):
            self.assertEqual(agent.call(function(body, 'bare')), 'bare words')
        if sys.version_info > (3, 12):
            self.assertEqual(agent.call(function(body, 'tree')), 256)

    def test_nothing_is_written(self):
        agent = self.far()
        body = 'import shop\ndef f(): return shop.__loader__.%s("words.txt")'
        if not OLD:
            body = 'import shop\ndef f(): shop.__loader__.get_resource_reader("shop").joinpath("x").open("w")'
            self.assertEqual(agent.fails(function(body))['type'], 'ValueError')


class Modules(Case):
    def test_listing_of_modules(self):
        agent = self.agent(CODE)
        body = ('import pkgutil, shop, bare\n'
                'def f():\n'
                '  found = pkgutil.walk_packages(shop.__path__, "shop.")\n'
                '  names = [(name, bool(package)) for _, name, package in found]\n'
                '  return [names, [i[1] for i in pkgutil.iter_modules(bare.__path__)]]')
        self.assertEqual(agent.call(function(body)), [[('shop.deep', True), ('shop.deep.part', False)], ['mod']])

    def test_attributes_of_modules(self):
        agent = self.agent(CODE)
        body = ('import inspect, shop.deep.part as part, shop.deep as deep, shop\n'
                'def f():\n'
                '  return [part.__name__, part.__file__, part.__package__, deep.__package__,'
                '    part.__loader__.is_package("x"), deep.__loader__.is_package("x"), inspect.getfile(part),'
                '    inspect.getsource(part),'
                '    inspect.getsourcefile(part), part.__loader__.get_filename("x")]\n'
                'def spec():\n'
                '  s, d = part.__spec__, deep.__spec__\n'
                '  return [s.name, s.origin, s.parent, s.has_location, s.loader is part.__loader__, d.parent,'
                '    getattr(part, "__cached__", s.cached) == s.cached, s.submodule_search_locations is None,'
                '    d.submodule_search_locations == deep.__path__]')
        file = '/code/shop/deep/part.py'
        self.assertEqual(agent.call(function(body)), [
            'shop.deep.part', file, 'shop.deep', 'shop.deep', False, True, file,
            CODE['shop.deep.part'].decode(), file, file])
        if not OLD:
            self.assertEqual(agent.call(function(body, 'spec')), [
                'shop.deep.part', file, 'shop.deep', True, True, 'shop.deep', True, True, True])

    def test_module_that_is_looked_for_is_asked_for_once(self):
        if not OLD:
            agent = self.agent(CODE)
            body = ('import importlib.util\ndef f():\n'
                    '  found = [importlib.util.find_spec(n) is not None for n in ("single", "single", "absent")]\n'
                    '  import single\n  return found')
            self.assertEqual(agent.call(function(body)), [True, True, False])
            self.assertEqual(agent.asked.count('single'), 1)
