"""What agents can import: what `sys.path` and the finders of `sys.meta_path` have at the moment."""

import sys

import pytest

#: A finder of one's own: modules that are in no file.
FINDER = """
import importlib.abc, importlib.util

SOURCES = {
    'made_up': 'import made_up_too\\nfrom below import one\\ndef double(n):\\n    return made_up_too.FACTOR * n\\n',
    'made_up_too': 'FACTOR = 2\\n',
    'broken': 1,
}


class Loader(importlib.abc.InspectLoader):
    def get_source(self, name):
        return SOURCES[name]

    def is_package(self, name):
        return name == 'below'


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        asked.append(name)
        if name in SOURCES:
            return importlib.util.spec_from_loader(name, Loader())


SOURCES['below'] = ''
SOURCES['below.one'] = 'NUMBER = 1\\n'
asked = []
sys.meta_path.append(Finder)
"""


def test_folder_that_is_added_later_is_served(script, tmp_path):
    (tmp_path / 'later').mkdir()
    (tmp_path / 'later/lazy.py').write_text('def value():\n    import lazier\n    return lazier.VALUE\n')
    (tmp_path / 'later/lazier.py').write_text('VALUE = 7\n')
    out = script("""
        with Here() as tun:
            print(tun.call(len, 'abc'), tun.call(os.getpid) == tun.call(os.getpid))
            pid = tun.call(os.getpid)
            sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'later'))
            import lazy

            def by_name_alone():
                return __import__('lazi' + 'er').VALUE

            print(tun.call(by_name_alone), tun.call(lazy.value), tun.call(os.getpid) == pid)
    """)
    assert out == '3 True\n7 7 True\n'


def test_module_that_is_made_later_is_served(script, tmp_path):
    out = script("""
        with Here() as tun:
            tun.connect()
            with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'made_later.py'), 'w') as f:
                f.write('def answer():\\n    return 42\\n')
            import made_later
            print(tun.call(made_later.answer))
    """)
    assert out == '42\n'


def test_finders_of_ones_own_are_asked(script):
    out = script(
        FINDER
        + """
import made_up

def missing():
    found = []
    for name in 'no_such_module', 'no_such_module':
        try:
            __import__(name)
        except ImportError as e:
            found.append(e.name)
    return found

def lacks():
    import broken

with Here() as tun:
    print(tun.call(made_up.double, 21))
    print(tun.call(missing), asked.count('no_such_module'))
    try:
        tun.call(lacks)
    except Exception as e:
        print(e.type_name)
    del sys.meta_path[-1]
    print(tun.call(missing), asked.count('no_such_module'))
"""
    )
    missing = "['no_such_module', 'no_such_module']"
    assert out == '42\n%s 1\nImportError\n%s 1\n' % (missing, missing)


def test_finder_that_comes_later_is_asked(script):
    out = script(
        'tun = Here()\ntun.connect()\n'
        + FINDER
        + """
def use():
    import made_up
    return made_up.double(4)

with tun:
    print(tun.call(use))
"""
    )
    assert out == '8\n'


def test_forked_child_serves_what_finders_have(script):
    out = script(
        FINDER
        + """
import made_up
tun = Here()
print(tun.call(made_up.double, 1))
sys.stdout.flush()
child = os.fork()
if not child:
    print(tun.call(made_up.double, 2))
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
"""
    )
    assert out == '2\n4\n'


def test_editable_installs_of_setuptools_are_served(script, tmp_path):
    source = tmp_path / 'project/src'
    (source / 'edited/inner').mkdir(parents=True)
    (source / 'edited/__init__.py').write_text('from edited.inner.deep import value\n')
    (source / 'edited/data.txt').write_text('data')
    (source / 'edited/inner/__init__.py').write_text('')
    (source / 'edited/inner/deep.py').write_text('def value():\n    raise ValueError(__file__)\n')
    (source / 'single.py').write_text('NUMBER = 5\n')
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere/__init__.py').write_text('WHERE = __name__\n')
    (tmp_path / 'elsewhere/secret').symlink_to('/etc/passwd')
    # As `pip install --editable` writes it, where a folder has more than is installed.
    (tmp_path / '__editable___project_1_0_finder.py').write_text(
        """
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

MAPPING = {'edited': %r, 'single': %r, 'space.renamed': %r}
NAMESPACES = {}

class _EditableFinder:
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        for pkg, place in MAPPING.items():
            if fullname == pkg or fullname.startswith(pkg + '.'):
                place = Path(place, *fullname[len(pkg):].strip('.').split('.'))
                for candidate in place / '__init__.py', place.with_suffix('.py'):
                    if candidate.exists():
                        return spec_from_file_location(fullname, candidate)

def install():
    sys.meta_path.append(_EditableFinder)
"""
        % (str(source / 'edited'), str(source / 'single'), str(tmp_path / 'elsewhere'))
    )
    out = script("""
        import __editable___project_1_0_finder
        __editable___project_1_0_finder.install()
        import edited, pkgutil, single

        def use():
            import single, space.renamed
            try:
                stolen = pkgutil.get_data('space.renamed', 'secret')
            except OSError:
                stolen = None
            return single.NUMBER, space.renamed.WHERE, pkgutil.get_data('edited', 'data.txt'), stolen

        with Here() as tun:
            print(tun.call(use))
            try:
                tun.call(edited.value)
            except Exception as e:
                print(e.msg)
    """)
    assert out == "(5, 'space.renamed', b'data', None)\nValueError: %s\n" % (source / 'edited/inner/deep.py')


@pytest.mark.skipif(sys.version_info[:2] < (3, 10), reason='its list of the standard library came with 3.10')
def test_no_finder_has_hosts_ask_for_the_standard_library(script):
    out = script(
        FINDER
        + """
import made_up

def use():
    import decimal, json, subprocess
    return decimal.Decimal('1.5') * 2 == 3

with Here() as tun:
    print(tun.call(use), tun.call(made_up.double, 2))
print([name for name in asked if name in sys.stdlib_module_names])
"""
    )
    assert out.startswith('True 4\n') and out.endswith('[]\n')
