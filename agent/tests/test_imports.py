# coding: utf-8
"""Modules of the codebase, as an agent imports them."""
import marshal
import os
import shutil
import tempfile

from harness import MARSHAL, MODULES, OLD, Case, function, text

CODE = {
    'pkg': b'"""A package."""\nfrom .base import N\nfrom . import side\ntop = __name__, __package__, __file__\n',
    'pkg.base': b'N = 1\n',
    'pkg.side': b'from .base import N as M\nfrom pkg.deep.leaf import L\n',
    'pkg.deep': b'',
    'pkg.deep.leaf': b'from ..base import N\nL = N + 1\ndef f(): return L\n',
    'ring': b'import ring_a\n',
    'ring_a': b'import ring_b\nA = 1\ndef f(): return ring_b.B\n',
    'ring_b': b'import ring_a\nB = 2\n',
    'space': None,
    'space.one': b'def f(): return __name__\n',
    'space.sub': None,
    'space.sub.two': b'from space.one import f as g\ndef f(): return g()\n',
    'careful': b'''
found = []
for name in 'pkg.missing', 'pkg.deep.missing', 'nowhere', 'nowhere.at.all', 'space.missing', 'careful.below':
    try:
        __import__(name)
    except ImportError:
        pass
    else:
        found.append(name)
try:
    from pkg import nothing
except ImportError:
    pass
def f(): return found
''',
    'json': b'raise ValueError("not the one of the standard library")\n',
    'latin': b'# coding: latin-1\nTEXT = u"\xe9"\ndef f(): return TEXT\ndef g(): raise ValueError() # \xe9\n',
    'plain_utf': b'# coding: utf-8\nTEXT = u"\xc3\xa9"\ndef f(): return TEXT\n',
    'bom': b'\xef\xbb\xbfTEXT = u"\xc3\xa9"\ndef f(): return TEXT\n',
    'windows': b'def f():\r\n    return 1\r\n',
    'empty': b'',
    'flaky': b'import os\nif "FLAKY" not in os.environ:\n  os.environ["FLAKY"] = "1"\n  raise ValueError("once")\n'
             b'def f(): return 1\n',
    'doc': b'"""Says what it is."""\nimport inspect\ndef f():\n    """Its own."""\n'
            b'    return [__doc__, f.__doc__, inspect.getsource(f).count(chr(10)), '
            b'__spec__.origin if "__spec__" in globals() '
           b'and __spec__ else __file__]\n',
}


class Imports(Case):
    def test_packages_and_relative_imports(self):
        agent = self.agent(CODE)
        text = 'import pkg\ndef f(): return list(pkg.top) + [pkg.N, pkg.side.M, pkg.side.L]'
        self.assertEqual(agent.call(function(text)),
                         ['pkg', 'pkg', '/code/pkg/__init__.py', 1, 1, 2])
        self.assertEqual(agent.call('pkg.deep.leaf:f'), 2)
        self.assertEqual([agent.asked.count(name) for name in set(agent.asked)], [1] * len(set(agent.asked)))

    def test_circular_imports(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('ring_a:f'), 2)
        self.assertEqual(agent.call(function('import ring\ndef f(): return ring.ring_a.A')), 1)

    def test_namespace_packages(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('space.one:f'), 'space.one')
        self.assertEqual(agent.call('space.sub.two:f'), 'space.one')

    def test_absent_names_cost_no_request(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('careful:f'), [])
        asked = [name for name in agent.asked if not name.startswith('.')]
        for name in asked:
            self.assertIn(name, CODE)
        self.assertEqual(len(asked), len(set(asked)))

    def test_standard_library_wins(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('json:dumps', [1]), '[1]')
        self.assertNotIn('json', agent.asked)

    def test_modules_sent_ahead_are_not_asked_for(self):
        agent = self.agent(CODE)
        agent.send(0, MODULES, MARSHAL, marshal_of([agent.entry(name) for name in (
            'pkg', 'pkg.base', 'pkg.side', 'pkg.deep', 'pkg.deep.leaf')]))
        self.assertEqual(agent.call('pkg.deep.leaf:f'), 2)
        self.assertEqual([name for name in agent.asked if not name.startswith('.')], [])

    def test_sources_in_any_encoding(self):
        agent = self.agent(CODE)
        for name in 'latin', 'plain_utf', 'bom':
            self.assertEqual(agent.call(name + ':f'), u'\xe9', name)
        self.assertEqual(agent.call('windows:f'), 1)
        failure = agent.fails('latin:g')
        self.assertIn('File "/code/latin.py", line 4, in g', failure['traceback'])
        if not OLD:
            self.assertIn(u'raise ValueError() # \xe9', failure['traceback'])

    def test_module_that_failed_once_can_be_imported_again(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.fails('flaky:f')['message'], 'once')
        self.assertEqual(agent.call('flaky:f'), 1)

    def test_submodules_after_a_failure_are_still_there(self):
        code = {'box': b'import os\nif not os.environ.get("READY"): raise ValueError("not ready")\n',
                'box.item': b'def f(): return 5\n'}
        agent = self.agent(code)
        self.assertEqual(agent.fails('box.item:f')['message'], 'not ready')
        agent.call(function('import os\ndef f(): os.environ["READY"] = "1"'))
        self.assertEqual(agent.call('box.item:f'), 5)

    def test_inspect_and_docs_work(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call('doc:f'), ['Says what it is.', 'Its own.', 3, '/code/doc.py'])

    def test_file_names_in_any_script(self):
        agent = self.agent()
        name = u'/code/\xe9t\xe9.py'
        agent.send(0, MODULES, MARSHAL, marshal_of([
            (u'', 2, None, None, [u'summer']),
            (u'summer', 0, name, b'def f(): return 1\ndef g(): return 1 // 0\n', [])]))
        self.assertEqual(agent.call('summer:f'), 1)
        self.assertIn(u'File "%s", line 2, in g' % name, agent.fails('summer:g')['traceback'])

    def test_submodules_never_come_from_a_folder_of_the_same_name_on_the_host(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        os.mkdir(os.path.join(folder, 'app'))
        for name in '__init__', 'part', 'extra':
            with open(os.path.join(folder, 'app', name + '.py'), 'w') as f:
                f.write('def f(): return "stale"\n')
        agent = self.agent()
        base = text(os.path.join(folder, 'app'))
        agent.send(0, MODULES, MARSHAL, marshal_of([
            (u'', 2, None, None, [u'app']), (u'app', 1, base + u'/__init__.py', b'', [u'part']),
            (u'app.part', 0, base + u'/part.py', b'def f(): return "fresh"\n', [])]))
        self.assertEqual(agent.call('app.part:f'), 'fresh')
        self.assertEqual(agent.fails('app.extra:f')['kind'], 'function')

    def test_failed_answer_is_an_import_error_that_says_why(self):
        agent = self.agent({'locked': b''})
        agent.entry = lambda name: {u'kind': u'import', u'message': u'permission denied'}
        failure = agent.fails('locked:f')
        self.assertEqual((failure['kind'], failure['type'], failure['message']),
                         ('raised', 'ImportError', 'locked: permission denied'))
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_extension_of_a_module_at_run_time(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call(function(
            'import importlib, pkg\ndef f():\n'
            '  return importlib.import_module(".base", "pkg").N + importlib.import_module("pkg.deep.leaf").L')), 3)

    def test_reload_works(self):
        if not OLD:
            agent = self.agent(CODE)
            agent.call('pkg.deep.leaf:f')
            text = 'import importlib, ring_b\ndef f(): return importlib.reload(ring_b).B'
            self.assertEqual(agent.call(function(text)), 2)


def marshal_of(entries):
    return marshal.dumps(entries, 2)
