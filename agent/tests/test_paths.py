# coding: utf-8
"""The codebase as a folder on `sys.path`: what is found by paths, and what the metadata of distributions says."""
import io
import os
import sys
import unittest
import zipfile

from harness import OLD, Case, alive, eventually, function, text

# The plainest ending of an extension module that this Python loads: PyPy takes none without its own name.
SUFFIX = '.so' if OLD else __import__('importlib.machinery').machinery.EXTENSION_SUFFIXES[-1]

CODE = {
    'app': b'import os\nHERE = os.path.dirname(__file__)\n',
    'app.plugins': b'import os\nHERE = os.path.dirname(os.path.abspath(__file__))\n',
    'app.plugins.red': b'NAME = "red"\nWHERE = __file__, __name__\n',
    'app.plugins.blue': b'NAME = "blue"\n',
    'app.plugins.box': b'from . import inner\n',
    'app.plugins.box.inner': b'NAME = "inner"\n',
    'app.bare': None,
    'app.bare.mod': b'',
    'solo': b'import os\nHERE = os.path.dirname(__file__)\n',
    'space': None,
    'space.mod': b'',
    'queue': b'def f(): return "mine"\n',
}
DATA = {
    ('app', 'words.txt'): b'words',
    ('app', 'texts/a.txt'): b'a',
    ('', 'Some_Thing-1.2.dist-info/METADATA'): b'Metadata-Version: 2.1\nName: Some.Thing\nVersion: 1.2\n',
    ('', 'Some_Thing-1.2.dist-info/entry_points.txt'): b'[x.y]\none = app:f\n',
    ('', 'old.egg-info/PKG-INFO'): b'Metadata-Version: 1.0\nName: old\nVersion: 3\n',
}


class Paths(Case):
    def far(self, **kwargs):
        agent = self.agent(CODE, **kwargs)
        agent.data = DATA
        return agent

    def test_modules_are_listed_by_the_folder_of_a_file(self):
        agent = self.far()
        body = ('import os, pkgutil, app, app.plugins as p, solo\n'
                'def names(*parts): return [[str(m[1]), m[2]] for m in pkgutil.iter_modules([os.path.join(*parts)])]\n'
                'def f():\n'
                '  return [names(p.HERE), names(app.HERE, "plugins", ""), names(app.HERE, "..", "app", "plugins"),'
                '    names(p.__path__[0]), names(app.__path__[0], "plugins"), names(p.HERE, "nowhere"),'
                '    names(app.HERE), names(solo.HERE),'
                '    [str(m[1]) for m in pkgutil.walk_packages([app.HERE], "app.")]]')
        plugins = [['blue', False], ['box', True], ['red', False]]
        self.assertEqual(agent.call(function(body)), [plugins] * 5 + [[], [['plugins', True]], [
            ['app', True], ['queue', False], ['solo', False]], [
            'app.plugins', 'app.plugins.blue', 'app.plugins.box', 'app.plugins.box.inner', 'app.plugins.red']])

    def test_folder_of_a_file_on_the_path_makes_its_modules_importable(self):
        agent = self.far()
        body = ('import sys, app.plugins as p\nsys.path.insert(0, p.HERE)\n'
                'def f():\n'
                '  import red, box.inner\n'
                '  import app.plugins.red as other\n'
                '  return [red.NAME, list(red.WHERE), box.inner.NAME, other is red, box.__name__,'
                '    sorted(n for n in ("nowhere", "HERE") if attempt(n))]\n'
                'def attempt(n):\n'
                '  try: return __import__(n)\n'
                '  except ImportError: pass\n')
        self.assertEqual(agent.call(function(body)), [
            'red', ['/code/app/plugins/red.py', 'red'], 'inner', False, 'box', []])

    def test_finders_of_listed_modules_load_them(self):
        agent = self.far()
        body = ('import pkgutil, app.plugins as p\n'
                'def f():\n'
                '  found = []\n'
                '  for finder, name, _ in pkgutil.iter_modules([p.HERE]):\n'
                '    if hasattr(finder, "find_spec") and %r:\n'
                '      import importlib.util\n'
                '      spec = finder.find_spec(name)\n'
                '      module = importlib.util.module_from_spec(spec)\n'
                '      spec.loader.exec_module(module)\n'
                '    else: module = finder.find_module(name).load_module(name)\n'
                '    found.append(str(module.__name__))\n'
                '  return found' % (sys.version_info >= (3, 5)))
        if OLD or sys.version_info >= (3, 5):
            # A package has to be in `sys.modules` to import what is in it.
            agent.codebase = dict(CODE, **{'app.plugins.box': b''})
            self.assertEqual(agent.call(function(body)), ['blue', 'box', 'red'])

    def test_folders_of_this_host_are_its_own_although_a_root_has_the_same_path(self):
        folder = self.folder()
        with open(os.path.join(folder, 'here.py'), 'w') as f:
            f.write('NAME = "of this host"\n')
        agent = self.far(options={'path': [text(folder)]}, roots=[text(os.path.dirname(folder))])
        body = ('import app, pkgutil\n'
                'def f(folder):\n'
                '  import here\n'
                '  return [here.NAME, [str(m[1]) for m in pkgutil.iter_modules([folder])]]')
        self.assertEqual(agent.call(function(body), folder), ['of this host', ['here']])

    def test_namespace_packages_of_a_root_do_not_hide_those_of_the_host(self):
        if OLD:
            return
        folder = self.folder()
        os.makedirs(os.path.join(folder, 'space', 'theirs'))
        agent = self.far(options={'path': [text(folder)]})
        body = ('import app\ndef f():\n  import space.theirs\n  return [p for p in space.__path__]')
        self.assertEqual(agent.call(function(body)), [os.path.join(folder, 'space')])
        self.assertEqual(self.far().call(function('import app, space\ndef f(): return list(space.__path__)')),
                         ['/chopsticks:/space'])

    def test_data_is_read_by_any_path(self):
        agent = self.far()
        body = ('import os, app, app.plugins as p\n'
                'get = lambda *parts: p.__loader__.get_data(os.path.join(*parts))\n'
                'def f():\n'
                '  return [get(app.HERE, "words.txt"), get(p.HERE, "..", "texts", "a.txt"),'
                '    get(app.__path__[0], "texts/a.txt"), get(app.__file__)]')
        self.assertEqual([bytes(b) for b in agent.call(function(body))], [b'words', b'a', b'a', CODE['app']])

    def test_forked_children_find_modules_by_path(self):
        agent = self.far()
        body = ('import os, sys, app.plugins.red as red\n'
                'def f():\n'
                '  read, write = os.pipe()\n'
                '  pid = os.fork()\n'
                '  if not pid:\n'
                '    try:\n'
                '      sys.path.insert(0, os.path.dirname(red.__file__))\n'
                '      found = [isinstance(red.__loader__, int), hasattr(red.__loader__, "nothing")]\n'
                '      import blue\n'
                '      found.append(blue.NAME)\n'
                '      os.write(write, repr(found).encode())\n'
                '    finally: os._exit(0)\n'
                '  os.waitpid(pid, 0)\n'
                '  return os.read(read, 99)')
        self.assertEqual(bytes(agent.call(function(body))), b"[False, False, 'blue']")

    def test_host_module_of_the_same_name_is_told(self):
        if OLD:
            return
        agent = self.far()
        failure = agent.fails('queue:f')
        self.assertIn('queue is the module of that name on this host (', failure['message'])
        if sys.version_info >= (3, 7):
            failure = agent.fails(function('def f():\n  from queue import f'))
            self.assertIn('comes before the one of the codebase', failure['message'])
        self.assertNotIn('comes before', agent.fails('app:nothing')['message'])

    def test_extensions_for_other_systems_are_not_there(self):
        agent = self.agent({'fast': b'', 'fast.slow': b''})
        agent.files = {'fast.theirs': [u'theirs.cpython-39-darwin.so', u'theirs.cp312-win_amd64.pyd'],
                       'fast.ours': [u'ours' + text(SUFFIX)], 'fast.code': [u'code.pyc']}
        agent.codebase.update(dict.fromkeys(agent.files, b''))
        body = ('import fast\ndef f(name):\n'
                '  try: __import__("fast." + name)\n'
                '  except ImportError as e: return [type(e).__name__, "cannot be sent" in str(e)]\n')
        self.assertEqual(agent.call(function(body), 'theirs'), [
            'ModuleNotFoundError' if sys.version_info >= (3, 6) else 'ImportError', False])
        for name in 'ours', 'code':
            self.assertEqual(agent.call(function(body), name), ['ImportError', True])

    @unittest.skipIf(sys.version_info < (3, 8), 'importlib.metadata came with 3.8')
    def test_metadata_of_distributions(self):
        agent = self.far()
        body = ('from importlib import metadata as m\n'
                'def f():\n'
                '  found = m.entry_points()\n'
                '  found = found.select(group="x.y") if hasattr(found, "select") else found.get("x.y", ())\n'
                '  d = m.distribution("some-thing")\n'
                '  try: m.version("absent")\n'
                '  except m.PackageNotFoundError: absent = True\n'
                '  return [m.version("some.thing"), m.version("Some_Thing"), m.version("old"), d.metadata["Name"],'
                '    absent, [(e.name, e.value) for e in found], sorted(d.metadata["Name"] for d in m.distributions()'
                # PyPy comes with some.
                '      if d.metadata["Name"] in ("Some.Thing", "old")),'
                '    [d.metadata["Name"] for d in m.distributions(path=["/nowhere"])], d.read_text("absent")]')
        self.assertEqual(agent.call(function(body)), [
            '1.2', '1.2', '3', 'Some.Thing', True, [('one', 'app:f')], ['Some.Thing', 'old'], [], None])


class Disk(Case):
    def packed(self):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, 'w') as z:
            z.writestr('kit/__init__.py', 'import os\nHERE = os.path.dirname(__file__)\n')
            z.writestr('kit/part.py', 'from . import HERE\n')
            z.writestr('kit/data/words.txt', 'words')
        return packed.getvalue()

    def far(self, **kwargs):
        agent = self.agent({'kit': self.packed()}, **kwargs)
        agent.kinds = {'kit': 3}
        return agent

    BODY = ('import os, sys, kit.part\n'
            'def f():\n'
            '  with open(os.path.join(kit.HERE, "data", "words.txt")) as file: words = file.read()\n'
            '  folder = os.path.dirname(kit.HERE)\n'
            '  return [words, folder, oct(os.stat(folder).st_mode & 511)[-3:], sorted(os.listdir(kit.HERE)),'
            '    kit.part.HERE == kit.HERE]\n'
            'def child():\n'
            '  import subprocess\n'
            '  return subprocess.Popen(["sleep", "100"]).pid\n')

    def test_package_works_from_a_folder_of_its_own_that_goes_with_the_agent(self):
        base = self.folder()
        for give_birth in False, True:
            agent = self.far(env=dict(os.environ, TMPDIR=base))
            words, folder, mode, names, same = agent.call(function(self.BODY))
            self.assertEqual([words, os.path.dirname(folder), mode, names, same], [
                'words', base, '700', ['__init__.py', 'data', 'part.py'], True])
            if give_birth:
                pid = agent.call(function(self.BODY, 'child'))
            self.assertEqual(agent.close(), 0)
            self.assertTrue(eventually(lambda: not os.listdir(base)), os.listdir(base))
        self.assertTrue(eventually(lambda: not alive(pid)))

    def test_next_folder_is_taken_where_the_first_cannot_be_written(self):
        agent = self.far(env=dict(os.environ, TMPDIR='/nowhere/at/all'))
        folder = agent.call(function(self.BODY))[1]
        self.assertIn(os.path.dirname(folder), ('/tmp', '/var/tmp'))
        agent.close()
        self.assertTrue(eventually(lambda: not os.path.exists(folder)))

    def test_user_site_and_search_path_are_importable_if_asked_for(self):
        home, other = self.folder(), self.folder()
        with open(os.path.join(other, 'onpath.py'), 'w') as f:
            f.write('NAME = "on the path"\n')
        env = dict((n, v) for n, v in os.environ.items() if n != 'PYTHONUSERBASE')
        env.update(HOME=home, PYTHONPATH=other)
        body = ('import site, os, sys\ndef f():\n  return site.getusersitepackages()\n'
                'def g():\n  import inuser, onpath\n'
                '  return [inuser.NAME, onpath.NAME, sys.path.index(%r) < 2]' % other)
        agent = self.agent(env=env)
        site = agent.call(function(body))
        os.makedirs(site)
        with open(os.path.join(site, 'inuser.py'), 'w') as f:
            f.write('NAME = "of the user"\n')
        self.assertIn('inuser', agent.fails(function(body, 'g'))['message'])
        agent = self.agent(env=env, options={'user': True, 'search': True})
        self.assertEqual(agent.call(function(body, 'g')), ['of the user', 'on the path', True])
