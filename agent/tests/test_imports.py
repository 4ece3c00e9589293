# coding: utf-8
"""Modules of the codebase, as an agent imports them."""
import marshal
import os
import shutil
import tempfile

from harness import MARSHAL, MODULES, OLD, Case, eventually, function, text

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

    def test_refusal_names_the_module(self):
        agent = self.agent({'locked': b'', 'client': b'import os\nimport locked\n'})
        entry = agent.entry
        agent.entry = lambda name: entry(name) if name == 'client' else {
            u'kind': u'import', u'message': u'module locked, wanted by %s: no' % agent.wanted[name]}
        failure = agent.fails('client:f')
        self.assertEqual(failure['message'], 'module locked, wanted by /code/client.py, line 2: no')
        self.assertIn('/code/client.py", line 2, in <module>', failure['traceback'])
        if not OLD:
            body = 'def f():\n  try: import locked\n  except ImportError as e: return e.name'
            self.assertEqual(agent.call(function(body)), 'locked')
        # Whoever refused may think better of it.
        agent.entry = entry
        self.assertEqual(agent.call(function('import locked\ndef f(): return locked.__name__')), 'locked')

    def test_who_wants_a_module_is_told(self):
        agent = self.agent(CODE)
        agent.call('ring_a:f')
        body = 'import importlib\n\ndef f(): return importlib.import_module("ring").__name__'
        agent.call(function(body, file='my.py'))
        self.assertEqual(agent.wanted, {'ring_a': None, 'ring_b': '/code/ring_a.py, line 1', 'ring': 'my.py, line 3'})

    def test_name_that_is_listed_and_not_there_is_asked_for_once(self):
        agent = self.agent(CODE)
        agent.entry = lambda name: None
        for _ in range(3):
            self.assertEqual(agent.fails('ring:f')['kind'], 'function')
        self.assertEqual(agent.asked.count('ring'), 1)

    def test_star_import_of_submodules(self):
        agent = self.agent({'many': b'__all__ = ["one", "two", "own"]\nown = 1\n', 'many.one': b'', 'many.two': b'',
                            'many.three': b'', 'client': b'from many import *\ndef f():\n'
                            b'  return [one.__name__, two.__name__, own, "three" in globals()]\n'})
        self.assertEqual(agent.call('client:f'), ['many.one', 'many.two', 1, False])

    def test_program_blocks_run_by_runpy_alone(self):
        agent = self.agent({'app': b'', 'app.tool': b'RAN = __name__\nif __name__ == "__main__": RAN = "main"\n',
                            'app.__main__': b'X = __name__\n'})
        body = ('import app.tool\nfrom runpy import run_module as run\ndef f():\n  return [app.tool.RAN,'
                ' run("app.tool", None, "__main__")["RAN"], run("app", None, "__main__")["X"]]')
        self.assertEqual(agent.call(function('import warnings\nwarnings.simplefilter("ignore")\n' + body)),
                         ['app.tool', 'main', '__main__'])

    def test_module_that_fails_leaves_nothing(self):
        agent = self.agent({'half': b'import sys\nX = 1\n1 // 0\n', 'box': b'', 'box.half': b'1 // 0\n',
                            'syntax': b'def f(:\n'})
        body = ('import sys\ndef f():\n  for n in "half", "box.half", "syntax":\n    try: __import__(n)\n'
                '    except (ZeroDivisionError, SyntaxError): pass\n    else: raise ValueError(n)\n'
                '  return [n for n in ("half", "box.half", "box", "syntax") if n in sys.modules]')
        self.assertEqual(agent.call(function(body)), ['box'])

    def test_what_does_not_compile_tells_file_and_line(self):
        for source, line in ((b'\n\ndef f(:\n', 3), (b'\n\nx = 1\n\0\n', 4), (b'# coding: nothing-known\nx = 1\n', 1),
                             (b'if 1:\nx = 1\n', 2)):
            failure = self.agent({'wrong': source}).fails('wrong:f')
            self.assertTrue(failure['type'] in ('SyntaxError', 'IndentationError'), failure)
            self.assertIn('wrong.py', failure['message'], failure)
            self.assertIn('File "/code/wrong.py", line', failure['traceback'], failure)
            if b'coding' not in source:
                # The message may name all of the lines that are about it.
                self.assertIn('File "/code/wrong.py", line %d' % line, failure['traceback'], failure)
                named = failure['message'].replace('lines', 'line')
                self.assertIn('line %d' % line, named, failure)

    def test_traceback_has_the_lines_of_the_codebase_not_of_a_like_named_file_here(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        with open(os.path.join(folder, 'same.py'), 'w') as f:
            f.write('stale = 1\n' * 5)
        agent = self.agent()
        agent.send(0, MODULES, MARSHAL, marshal_of([
            (u'', 2, None, None, [u'same']), (u'same', 0, text(os.path.join(folder, 'same.py')),
             b'import os\ndef f():\n  raise ValueError("x") # the line\n', [])]))
        traceback = agent.fails('same:f')['traceback']
        self.assertIn('line 3, in f\n    raise ValueError("x") # the line\n', traceback)
        self.assertNotIn('stale', traceback)

    def test_traceback_printed_there_has_lines(self):
        agent = self.agent({'loud': b'import traceback\n\ndef f():\n  try: 1 // 0 # here\n'
                                    b'  except ZeroDivisionError: return traceback.format_exc()\n'})
        self.assertIn('File "/code/loud.py", line 4, in f\n    try: 1 // 0 # here\n', agent.call('loud:f'))

    def test_packages_imported_by_threads_at_once_come_once(self):
        agent = self.agent(CODE, slow=.01)
        body = ('import sys, threading\n'
                'def go(found):\n  import pkg.deep.leaf, ring, space.sub.two\n'
                '  found.append([pkg.deep.leaf.L, ring.ring_a.A, space.sub.two.f()])\n'
                'def f():\n'
                '  found = []\n'
                '  threads = [threading.Thread(target=go, args=(found,)) for _ in range(8)]\n'
                '  for t in threads: t.start()\n'
                '  for t in threads: t.join()\n'
                '  return found')
        others = [agent.call_later('pkg.deep.leaf:f') for _ in range(4)]
        # Outside of an import: on 2.7 a thread that imports waits for the module that waits for it.
        self.assertEqual(agent.call(function(body)), [[2, 1, 'space.one']] * 8)
        self.assertEqual([agent.result(r) for r in others], [2] * 4)
        self.assertEqual([n for n in set(agent.asked) if agent.asked.count(n) > 1], [])

    def test_forks_import_what_came_and_the_rest(self):
        agent = self.agent(CODE)
        agent.send(0, MODULES, MARSHAL, marshal_of([agent.entry('ring_b'), agent.entry('ring_a')]))
        body = ('import os, ring_a\ndef f():\n'
                '  pid = os.fork()\n'
                '  if not pid:\n'
                '    try:\n      import ring_b, pkg.base\n      os._exit(ring_b.B + pkg.base.N)\n'
                '    finally: os._exit(9)\n'
                '  return os.waitpid(pid, 0)[1] >> 8')
        self.assertEqual(agent.call(function(body)), 3)
        self.assertEqual(agent.call('pkg.deep.leaf:f'), 2)

    def test_exit_functions_that_import_do_not_keep_the_agent(self):
        agent = self.agent(CODE)
        agent.call(function('import atexit, os\ndef g():\n  try: import pkg\n'
                            '  except ImportError: os.write(2, b"refused\\n")\ndef f(): atexit.register(g)'))
        self.assertEqual(agent.close(), 0)
        self.assertTrue(eventually(lambda: agent.errors == [b'refused\n']), agent.errors)

    def test_extension_of_a_module_at_run_time(self):
        agent = self.agent(CODE)
        self.assertEqual(agent.call(function(
            'import importlib, pkg\ndef f():\n'
            '  return importlib.import_module(".base", "pkg").N + importlib.import_module("pkg.deep.leaf").L')), 3)

    def test_reload_keeps_the_module_and_takes_what_there_is_now(self):
        agent = self.agent(dict(CODE))
        agent.call('pkg.deep.leaf:f')
        agent.codebase['ring_b'] = agent.codebase['ring_b'] + b'C = 3\n'
        agent.codebase['pkg.base'] = b'N = 5\n'
        body = ('import pkg.base, ring_b\ntry: reload\nexcept NameError: from importlib import reload\n'
                'def f():\n  old = ring_b, pkg.base\n  new = reload(ring_b), reload(pkg.base)\n'
                '  return [old == new, new[0].B, new[1].N]')
        self.assertEqual(agent.call(function(body)), [True, 2, 5])


def marshal_of(entries):
    return marshal.dumps(entries, 2)
