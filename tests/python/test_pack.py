"""Functions and arguments of this Python, in agents of others: by `pytest`, or by `python -m unittest` in this folder."""
import contextlib
import functools
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import far  # noqa: E402

# The oldest and the newest that there are, and those after which the format of pickles or of code has changed.
WANTED = ('2.7', '3.4', '3.6', '3.8', '3.12', '3.13', '3.15')


@functools.lru_cache(None)
def agents():
    """The interpreters of agents: version -> path."""
    found = {'%d.%d' % sys.version_info[:2]: sys.executable}
    for path in far.harness.interpreters(False):
        run = subprocess.run([path, '-S', '-c', 'import sys; print("%d.%d" % sys.version_info[:2])'],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        found.setdefault(run.stdout.decode('ascii', 'replace').strip(), path)
    oldest_and_newest = sorted(found, key=lambda version: list(map(int, version.split('.'))))
    return {version: path for version, path in found.items()
            if path == sys.executable or version in WANTED or version in (oldest_and_newest[0], oldest_and_newest[-1])}


def few_agents():
    """Those of the oldest and the newest of each Python, and this one."""
    by_age = sorted(agents(), key=lambda version: list(map(int, version.split('.'))))
    threes = [version for version in by_age if version > '3']
    wanted = [version for version in by_age if version < '3'] + threes[:1] + threes[-1:]
    return {version: path for version, path in agents().items() if path == sys.executable or version in wanted}


class Pack(unittest.TestCase):
    def run_script(self, name, agents):
        runs = {}
        with contextlib.ExitStack() as stack:
            # All at once: each takes most of its time to wait.
            for version, path in sorted(agents.items()):
                command = [sys.executable, os.path.join(HERE, name), path]
                run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                runs[version] = stack.enter_context(run)
                stack.callback(run.kill)
            for version, run in runs.items():
                with self.subTest(agent=version):
                    output = run.communicate(timeout=far.harness.PATIENCE * 5)[0].decode('utf-8', 'replace')
                    self.assertEqual(run.returncode, 0, output)
                    self.assertRegex(output, r'(?m)^(\d+) of \1 right$')

    def test_all_kinds_of_callables_and_arguments(self):
        self.run_script('kinds.py', agents())

    def test_classes_and_decorators_as_programs_have_them(self):
        self.run_script('classes.py', few_agents())

    def test_functions_of_a_script_are_passed_on_there(self):
        self.run_script('onward.py', few_agents())

    def test_edges(self):
        self.run_script('edges.py', few_agents())

    def test_lambda_of_a_module_has_the_globals_of_the_module_there(self):
        sys.path.insert(0, HERE)
        import codebase_module
        with open(codebase_module.__file__, 'rb') as f:
            codebase = {'codebase_module': f.read()}
        for version, path in sorted(agents().items()):
            with self.subTest(agent=version), far.Tunnel(path, codebase=codebase) as tunnel:
                self.assertEqual(tunnel.call(codebase_module.adder(5), 2), ['codebase_module', 7, 1])
                # The same globals: the module counts on.
                self.assertEqual(tunnel.call(codebase_module.adder(5), 2), ['codebase_module', 7, 2])
                self.assertEqual(tunnel.call(codebase_module.count), 2)
                self.assertEqual(tunnel.call(codebase_module.local_class(3)().value), (3, 'codebase_module'))
                self.assertEqual(tunnel.call(codebase_module.Counter.total), 2)
                packed = far.pack(codebase_module.adder(5), (2,), {})
                self.assertIn('codebase_module', packed.modules)

    def test_program_given_as_argument_has_no_source(self):
        program = (
            'import sys; sys.path.insert(0, %r); import far\n'
            'def f(): return 5\n'
            'with far.Tunnel() as tunnel:\n'
            '    try:\n'
            '        print(tunnel.call(f))\n'
            '    except TypeError as e:\n'
            '        print(e)\n' % HERE)
        run = subprocess.run([sys.executable, '-c', program, sys.executable], stdout=subprocess.PIPE, timeout=60)
        # Newer versions of Python keep the text of `-c`.
        self.assertIn(run.stdout.decode().strip(), (
            '5', 'f cannot be sent: there is no source text of <string>; '
            'define it in a file or in a cell of a notebook'))


if __name__ == '__main__':
    unittest.main()
