# coding: utf-8
"""Calls: what can be named, functions given as source, and what an exception looks like at the far end."""
import os
import subprocess
import sys
import unittest

from harness import OLD, PYPY, Agent, Case, Failed, function, text

CODE = {
    'tools': b'''
import os

ANSWER = 42
LOADED = []


def plain(a, b=2, *rest, **named):
    return [a, b, list(rest), named]


class Machine(object):
    size = 3

    class Part(object):
        @staticmethod
        def weight(n):
            return n * 2

    @staticmethod
    def static(n):
        return n + 1

    @classmethod
    def made(cls):
        return cls.size

    def method(self):
        return 'method'


machine = Machine()
bound = machine.method


class Trouble(Exception):
    pass


class Mute(Exception):
    def __str__(self):
        raise ValueError('no text')


class Deadly(Exception):
    def __str__(self):
        raise SystemExit(7)


def trouble():
    raise Trouble('in tools')


def mute():
    raise Mute()


def deadly():
    raise Deadly()


def chained():
    try:
        {}['key']
    except KeyError:
        raise Trouble('while handling')


def text_error():
    raise ValueError(u'\\xe9\\u20ac')


def leave():
    raise SystemExit(3)


def interrupt():
    raise KeyboardInterrupt()


def recurse():
    return recurse()


def long_text():
    raise ValueError('x' * (1 << 20))


def surrogate():
    raise ValueError('bad \\udc80 text')
''',
    'memory': b'''
import resource


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2)


def large():
    return len(bytearray(1 << 50))


def fill():
    limit()
    kept = []
    while 1:
        kept.append(bytearray(1 << 20))


def small():
    limit()
    kept = []
    while 1:
        kept.append([object() for _ in range(1000)])


def result():
    value = [bytearray(b'x') * (250 << 20)]
    limit()
    return value
''',
    'quits': b'import sys\nsys.exit(0)\ndef job(): return 1\n',
    'broken': b'import os\n1 / 0\n',
    'needy': b'import not_there_at_all\n',
    'wrong': b'def f(:\n',
    'group': b'top = 1\ndef f(): return "group"\n',
    'group.inner': b'def f(): return "inner"\nclass Thing(object):\n    @staticmethod\n    def go(): return "go"\n',
    'group.bad': b'raise ValueError("bad import")\n',
}


class Shared(Case):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.far = Agent(CODE)

    @classmethod
    def tearDownClass(cls):
        cls.far.kill()

    def call(self, *args, **kwargs):
        return self.far.call(*args, **kwargs)

    def fails(self, *args, **kwargs):
        failure = self.far.fails(*args, **kwargs)
        self.assertEqual(sorted(failure), ['kind', 'message', 'traceback', 'type'])
        return failure


class Names(Shared):
    def test_texts_with_functions_of_one_name_have_lines_of_their_own(self):
        agent = self.agent()
        body = 'import inspect\n%sdef f():\n  x = %d\n  return inspect.getsource(f)'
        for n in 1, 2, 3, 2:
            self.assertIn('x = %d' % n, agent.call(function(body % ('\n' * n, n))))

    def test_module_and_name(self):
        self.assertEqual(self.call('tools:plain', 1), [1, 2, [], {}])
        self.assertEqual(self.call('tools:plain', 1, 3, 4, key=5), [1, 3, [4], {'key': 5}])

    def test_dotted_names(self):
        self.assertEqual(self.call('tools.plain', 1), [1, 2, [], {}])
        self.assertEqual(self.call('os.path.join', 'a', 'b'), 'a/b')
        self.assertEqual(self.call('os.path:join', 'a', 'b'), 'a/b')
        self.assertEqual(self.call('group.f'), 'group')
        self.assertEqual(self.call('group.inner.f'), 'inner')
        self.assertEqual(self.call('group.inner.Thing.go'), 'go')

    def test_names_in_classes(self):
        self.assertEqual(self.call('tools:Machine.static', 1), 2)
        self.assertEqual(self.call('tools:Machine.made'), 3)
        self.assertEqual(self.call('tools:Machine.Part.weight', 4), 8)
        self.assertEqual(self.call('tools.Machine.Part.weight', 4), 8)
        self.assertEqual(self.call('tools:machine.method'), 'method')
        self.assertEqual(self.call('tools:bound'), 'method')

    def test_builtins(self):
        self.assertEqual(self.call('len', [1, 2]), 2)
        self.assertEqual(self.call(('__builtin__' if OLD else 'builtins') + ':max', 1, 5), 5)

    def test_class_is_called_as_python_does(self):
        self.assertEqual(self.call('builtins:dict' if not OLD else '__builtin__:dict', a=1), {'a': 1})

    def test_name_that_is_set_anew_is_called_anew(self):
        self.assertEqual(self.call('group:f'), 'group')
        self.call(function('import group\ndef f(): group.f = lambda: "new"'))
        self.assertEqual(self.call('group:f'), 'new')
        self.call(function('import group\ndef f(): group.f = lambda: "group"', values={'x': 1}))

    def missing(self, name, *words):
        failure = self.fails(name)
        self.assertEqual(failure['kind'], 'function', failure)
        self.assertEqual(failure['traceback'], '', failure)
        for word in words:
            self.assertIn(word, failure['message'])

    def test_missing_module_is_named_with_names_like_it(self):
        # Those of the codebase the controller adds.
        self.missing('tolls:plain', 'tolls')
        self.missing('tolls.plain', 'tolls')
        self.missing('group.iner:f', 'iner')
        self.missing('mashal:dumps', 'mashal', 'near: marshal')
        self.missing('collections.abd:f', 'abd')
        self.missing('nothing_like_anything_here:f', 'nothing_like_anything_here')

    def test_missing_name_is_named_with_names_like_it(self):
        self.missing('tools:plian', 'plian', 'near: plain')
        self.missing('tools.plian', 'plian', 'near: plain')
        self.missing('tools:Machine.sttic', "'sttic' is not in tools:Machine (near: static)")
        self.missing('tools:Machine.Part.wait', "'wait' is not in tools:Machine.Part (near: weight)")
        self.missing('lenn', 'lenn')
        self.missing('group.inner:g', "'g'")

    def test_names_that_are_none(self):
        for name in ('', ':', 'tools:', ':plain', 'tools:.', '.', '..', 'tools:plain.', 'a b:c', 'tools::plain',
                     '.values', u'\xe9t\xe9:f', u'tools:\xe9t\xe9'):
            failure = self.fails(name)
            self.assertEqual(failure['kind'], 'function', (name, failure))
            self.assertTrue(failure['message'], name)

    def test_what_cannot_be_called_is_said(self):
        self.missing('tools:ANSWER', 'ANSWER', 'int', 'not callable')
        self.missing('tools.ANSWER', 'ANSWER', 'int', 'not callable')
        self.missing('group:inner', 'not callable')

    def test_module_that_raises_tells_where(self):
        for name in 'broken:f', 'broken.f':
            failure = self.fails(name)
            self.assertEqual((failure['kind'], failure['type']), ('raised', 'ZeroDivisionError'), failure)
            self.assertIn('File "/code/broken.py", line 2, in <module>\n    1 / 0', failure['traceback'])
        failure = self.fails('group.bad:f')
        self.assertEqual((failure['kind'], failure['message']), ('raised', 'bad import'))
        failure = self.fails('group.bad.f')
        self.assertEqual((failure['kind'], failure['message']), ('raised', 'bad import'))

    def test_module_whose_import_is_missing_tells_which(self):
        for name in 'needy:f', 'needy.f':
            failure = self.fails(name)
            self.assertEqual(failure['kind'], 'raised', failure)
            self.assertIn('not_there_at_all', failure['message'])
            self.assertIn('File "/code/needy.py", line 1', failure['traceback'])

    def test_module_that_does_not_compile_tells_where(self):
        failure = self.fails('wrong:f')
        self.assertEqual((failure['kind'], failure['type']), ('raised', 'SyntaxError'))
        self.assertIn('File "/code/wrong.py", line 1', failure['traceback'])

    def test_strange_functions_fail_alone(self):
        for strange in (None, 3, [], (), ('x',), ('x', 'y', 'z', 'w'), (1, 2, 3, 4)):
            self.assertTrue(self.fails(strange)['kind'])
        self.assertEqual(self.call('operator:neg', 1), -1)


class Source(Shared):
    def test_function_with_imports_constants_and_helpers(self):
        self.assertEqual(self.call(function(
            'import math\nSCALE = 2\ndef half(n): return n / 2.0\ndef f(r): return math.floor(half(r)) * SCALE'), 5), 4)

    def test_values_are_globals_and_may_change(self):
        body = 'def f(): return [NAME, LIST]'
        self.assertEqual(self.call(function(body, values={'NAME': 'a', 'LIST': [1]})), ['a', [1]])
        self.assertEqual(self.call(function(body, values={'NAME': 'b', 'LIST': [2]})), ['b', [2]])

    def test_values_are_there_while_the_text_runs(self):
        self.assertEqual(self.call(function('TWICE = N * 2\ndef f(): return TWICE', values={'N': 4})), 8)

    def test_state_is_kept_between_calls(self):
        body = 'seen = []\ndef f(n):\n    seen.append(n)\n    return seen'
        self.assertEqual(self.call(function(body), 1), [1])
        self.assertEqual(self.call(function(body), 2), [1, 2])
        self.assertEqual(self.call(function(body + '\n'), 3), [3])

    def test_names_in_classes(self):
        self.assertEqual(self.call(function(
            'class A(object):\n  @staticmethod\n  def go(n): return n', 'A.go'), 3), 3)

    def test_text_in_any_script(self):
        self.assertEqual(self.call(function(u'# \xe9\ndef f(): return u"\xe9\u20ac"')), u'\xe9\u20ac')
        self.assertEqual(self.call(function(u'def f(): return 5', file=u'\xe9t\xe9.py')), 5)
        failure = self.fails(function(u'def f(): raise ValueError("\xe9")', file=u'\xe9t\xe9.py'))
        self.assertIn(u'File "\xe9t\xe9.py", line 1, in f\n    def f(): raise ValueError("\xe9")', failure['traceback'])
        self.assertEqual(self.call(function(u'# coding: utf-8\ndef f(): return u"\xe9"')), u'\xe9')

    def test_codebase_is_importable(self):
        self.assertEqual(self.call(function('from tools import plain\ndef f(): return plain(1)')), [1, 2, [], {}])

    def test_dataclass_and_pickle_find_the_module(self):
        self.assertEqual(self.call(function(
            'import pickle\nclass A(object): pass\ndef f(): return type(pickle.loads(pickle.dumps(A()))) is A')), True)

    def test_traceback_shows_file_line_and_source(self):
        failure = self.fails(function('import os\n\ndef f():\n    return g()\n\ndef g():\n    return 1 // 0\n',
                                      file='jobs/report.py'))
        self.assertEqual((failure['kind'], failure['type']), ('raised', 'ZeroDivisionError'))
        lines = [line.rstrip() for line in failure['traceback'].splitlines() if not set(line) <= set(' ^~')]
        self.assertEqual(lines, [
            'Traceback (most recent call last):',
            '  File "jobs/report.py", line 4, in f', '    return g()',
            '  File "jobs/report.py", line 7, in g', '    return 1 // 0',
            'ZeroDivisionError: ' + failure['message']])

    def test_text_that_does_not_compile_is_said(self):
        failure = self.fails(function('def f(:\n', file='jobs/report.py'))
        self.assertEqual(failure['type'], 'SyntaxError')
        self.assertIn('File "jobs/report.py", line 1', failure['traceback'])

    def test_text_that_raises_is_said_and_tried_again(self):
        body = 'import os\nif not os.environ.get("READY"): raise ValueError("not ready")\ndef f(): return 1'
        for _ in range(2):
            failure = self.fails(function(body))
            self.assertEqual((failure['kind'], failure['message']), ('raised', 'not ready'))
            self.assertIn('line 2, in <module>', failure['traceback'])
        self.call(function('import os\ndef f(): os.environ["READY"] = "1"'))
        self.assertEqual(self.call(function(body)), 1)

    def test_text_runs_once_for_calls_that_overlap(self):
        body = 'import time\nruns = []\ntime.sleep(.1)\nruns.append(1)\ndef f(): return len(runs), id(runs)'
        got = [self.far.result(r) for r in [self.far.call_later(function(body)) for _ in range(8)]]
        self.assertEqual(got, [got[0]] * 8)
        self.assertEqual(got[0][0], 1)

    def test_missing_name_is_said_with_names_like_it(self):
        failure = self.fails(function('def restart(): pass', 'restrat', file='jobs/report.py'))
        self.assertEqual((failure['kind'], failure['message']),
                         ('function', "'restrat' is not in jobs/report.py (near: restart)"))
        failure = self.fails(function('class A:\n  size = 1', 'A.size', file='jobs/other.py'))
        self.assertEqual((failure['kind'], failure['message']),
                         ('function', 'jobs/other.py:A.size is of type int, not callable'))

    def test_exceptions_and_values_are_named_by_the_file(self):
        failure = self.fails(function('class Trouble(Exception): pass\ndef f(): raise Trouble(1)', file='jobs/odd.py'))
        self.assertEqual(failure['type'], 'jobs/odd.py.Trouble')
        failure = self.fails(function('class Thing(object): pass\ndef f(): return Thing()', file='jobs/thing.py'))
        self.assertEqual((failure['kind'], failure['message']),
                         ('result', 'result: jobs/thing.py.Thing is not a primitive type'))

    def test_no_exception_is_at_hand_that_the_function_knows_nothing_of(self):
        # On 2.7 those that callers handle can be seen.
        agent = self.agent()
        body = function('import sys, time\ndef f(n): time.sleep(n); return repr(sys.exc_info())')
        nothing = repr((None, None, None))
        self.assertEqual(agent.call(body, 0), nothing)
        first = agent.call_later(body, .3)
        self.assertEqual([agent.call(body, 0), agent.result(first)], [nothing] * 2)

    def test_generators_are_no_results(self):
        failure = self.fails(function('def f():\n  yield 1'))
        self.assertEqual((failure['kind'], failure['message']),
                         ('result', 'result: generator is not a primitive type (`stream` takes its items)'))

    def test_relative_import_fails_as_in_a_script(self):
        failure = self.fails(function('def f():\n  from . import tools'))
        self.assertIn(failure['type'], ('ImportError', 'ValueError', 'SystemError'))

    def test_null_bytes_are_a_syntax_error(self):
        failure = self.fails(function('def f(): pass\n\0', file='jobs/null.py'))
        self.assertEqual(failure['type'], 'SyntaxError')
        self.assertIn('null.py', failure['message'])


class Expressions(Shared):
    def test_lambda(self):
        self.assertEqual(self.call(function('lambda x: x + 1', ''), 2), 3)
        self.assertEqual(self.call(function('lambda x, *y, **z: [x, len(y), z]', ''), 2, 3, a=4), [2, 1, {'a': 4}])
        self.assertEqual(self.call(function('lambda x: x * N', '', {'N': 4}), 2), 8)
        self.assertEqual(self.call(function('lambda x: x * N', '', {'N': 5}), 2), 10)

    def test_expression_after_statements(self):
        body = 'import os\nruns = []\nruns.append(1)\ndef half(n): return n // 2\nlambda n: [half(n), len(runs)]'
        for _ in range(2):
            self.assertEqual(self.call(function(body, ''), 8), [4, 1])
        self.assertEqual(self.call(function('import operator\noperator.neg', ''), 8), -8)

    def test_what_is_no_expression_is_said(self):
        for body in 'f = lambda: 1', '', 'import os', 'def f(): pass':
            failure = self.fails(function(body, '', file='lambda'))
            self.assertEqual(failure['type'], 'SyntaxError', failure)
            self.assertIn('does not end with an expression', failure['message'])
        failure = self.fails(function('1 + 1', ''))
        self.assertEqual(failure['kind'], 'function', failure)
        self.assertIn('is of type int, not callable', failure['message'])
        self.assertEqual(self.fails(function('lambda:', ''))['type'], 'SyntaxError')

    def test_traceback_shows_it(self):
        failure = self.fails(function('lambda x: 1 // x', '', file='the lambda'), 0)
        self.assertIn('File "the lambda", line 1, in <lambda>\n    lambda x: 1 // x', failure['traceback'])


SCRIPT = b'''# coding: latin-1
"""Deploys."""
import helper
import inspect

NAME = u"\xe9"


class Job(object):
    pass


def main():
    return [__name__, NAME, __file__]


def again():
    import pickle
    import deploy
    return [deploy.Job is Job, helper.job() is Job, type(pickle.loads(pickle.dumps(Job()))) is Job]


def lines():
    return inspect.getsource(main).count(chr(10))


if __name__ == '__main__':
    raise SystemExit(3)
'''


class Scripts(Case):
    def script(self, name, module='deploy', source=SCRIPT, file=u'/code/deploy.py'):
        # Not `bytes`, which Python 2 takes for text.
        return bytearray(source), text(name), {}, file, text(module)

    def code(self, **more):
        return dict(more, helper=b'def job():\n  import deploy\n  return deploy.Job\n')

    def test_script_runs_as_a_module_of_its_name(self):
        agent = self.agent(self.code())
        self.assertEqual(agent.call(self.script('main')), ['deploy', u'\xe9', '/code/deploy.py'])
        self.assertEqual(agent.call(self.script('again')), [True] * 3)
        self.assertEqual(agent.call(self.script('lines')), 2)

    def test_script_that_the_codebase_has_too_is_one_module(self):
        for first in 'script', 'module':
            agent = self.agent(self.code(deploy=SCRIPT))
            if first == 'module':
                self.assertEqual(agent.call('deploy:main')[0], 'deploy')
            self.assertEqual(agent.call(self.script('again')), [True] * 3)
            self.assertEqual(agent.call(self.script('main')), ['deploy', u'\xe9', '/code/deploy.py'])

    def test_script_with_the_name_of_a_standard_module_does_not_replace_it(self):
        agent = self.agent()
        source = b'import csv\ndef f(): return [__name__, hasattr(csv, "reader")]\n'
        for name in 'csv', 'os', 'sys':
            self.assertEqual(agent.call(self.script('f', name, source, u'/code/%s.py' % name)),
                             ['/code/%s.py' % name, True])

    def test_script_that_fails_leaves_nothing_and_can_be_tried_again(self):
        agent = self.agent()
        source = b'import os, sys\nif not os.environ.get("READY"): raise ValueError("no")\ndef f(): return __name__\n'
        self.assertEqual(agent.fails(self.script('f', source=source))['message'], 'no')
        self.assertEqual(agent.call(function('import sys, os\ndef f():\n  os.environ["READY"] = "1"\n'
                                             '  return "deploy" in sys.modules')), False)
        self.assertEqual(agent.call(self.script('f', source=source)), 'deploy')

    def test_dataclasses_work(self):
        if not OLD:
            source = (b'class A(object):\n  n: "int" = 3\ndef f():\n  import typing\n'
                      b'  return [typing.get_type_hints(A) == {"n": int}, A.__module__]\n')
            self.assertEqual(self.agent().call(self.script('f', source=source)), [True, 'deploy'])


class Exceptions(Shared):
    def test_type_message_and_traceback(self):
        failure = self.fails('tools:trouble')
        self.assertEqual((failure['kind'], failure['type'], failure['message']),
                         ('raised', 'tools.Trouble', 'in tools'))
        self.assertIn('  File "/code/tools.py", line 51, in trouble\n    raise Trouble(\'in tools\')\n',
                      failure['traceback'])
        self.assertTrue(failure['traceback'].startswith('Traceback (most recent call last):\n  File "/code/tools.py"'),
                        'frames of the agent are shown: ' + failure['traceback'])

    def test_chained_exceptions_are_all_shown(self):
        failure = self.fails('tools:chained')
        self.assertEqual(failure['type'], 'tools.Trouble')
        if not OLD:
            self.assertIn("KeyError: 'key'", failure['traceback'])
            self.assertIn('During handling', failure['traceback'])
        self.assertEqual(failure['traceback'].count('/code/tools.py'), 1 if OLD else 2)

    def test_text_in_any_script(self):
        failure = self.fails('tools:text_error')
        self.assertEqual(failure['message'], u'\xe9\u20ac')
        failure = self.fails(function(u'# coding: utf-8\ndef f(): raise ValueError("\xe9")'))
        self.assertEqual(failure['message'], u'\xe9')

    def test_exception_without_text(self):
        failure = self.fails('tools:mute')
        self.assertEqual((failure['type'], failure['message']),
                         ('tools.Mute', '<its text is not available: ValueError>'))

    def test_exception_whose_text_ends_the_program(self):
        failure = self.fails('tools:deadly')
        self.assertEqual((failure['type'], failure['message']),
                         ('tools.Deadly', '<its text is not available: SystemExit>'))
        self.assertEqual(self.call('operator:neg', 1), -1)

    def test_exit_with_a_status_or_a_text_and_interrupt_are_exceptions(self):
        failure = self.fails('tools:leave')
        self.assertEqual((failure['kind'], failure['type'], failure['message']),
                         ('raised', 'SystemExit', 'exit status 3'))
        failure = self.fails('tools:interrupt')
        self.assertEqual((failure['kind'], failure['type'], failure['message']), ('raised', 'KeyboardInterrupt', ''))
        for words in (u'words', u'0', 0.0):
            failure = self.fails('sys:exit', words)
            self.assertEqual((failure['kind'], failure['type'], failure['message']),
                             ('raised', 'SystemExit', str(words)))
        self.assertEqual(self.fails('sys:exit', True)['message'], 'exit status 1')
        self.assertEqual(self.call('operator:neg', 1), -1)

    def test_exit_without_a_failure_is_a_result(self):
        for args in ((), (None,), (0,), (False,)):
            self.assertIs(self.call('sys:exit', *args), None)
        self.assertEqual(self.call('operator:neg', 1), -1)

    def test_module_that_exits_when_it_is_imported_is_a_failure(self):
        failure = self.fails('quits:job')
        self.assertEqual((failure['kind'], failure['type'], failure['message']),
                         ('raised', 'SystemExit', 'exit status 0 while the module was imported'))

    def test_memory_that_runs_out_is_named(self):
        failure = self.fails('memory:large')
        self.assertEqual((failure['kind'], failure['type'], failure['message']),
                         ('raised', 'MemoryError', 'out of memory'))
        self.assertIn('in large', failure['traceback'])

    @unittest.skipIf(PYPY, 'its compiler ends the process when memory runs out there')
    def test_memory_that_runs_out_bit_by_bit_is_named(self):
        for name in 'fill', 'small':
            agent = self.agent(CODE)
            failure = agent.fails('memory:' + name)
            self.assertEqual((failure['kind'], failure['type']), ('raised', 'MemoryError'), failure)
            self.assertEqual(agent.call('operator:neg', 1), -1)

    @unittest.skipIf(PYPY, 'its compiler ends the process when memory runs out there')
    def test_memory_that_runs_out_for_the_result_is_named(self):
        agent = self.agent(CODE)
        failure = agent.fails('memory:result')
        self.assertEqual((failure['kind'], failure['type'], failure['message']),
                         ('result', 'MemoryError', 'MemoryError: out of memory'))
        self.assertEqual(agent.call('operator:neg', 1), -1)

    def test_recursion_is_an_exception_with_a_bounded_traceback(self):
        failure = self.fails('tools:recurse')
        self.assertEqual(failure['type'], 'RuntimeError' if OLD else 'RecursionError')
        self.assertLess(len(failure['traceback']), 300000)

    def test_long_text_is_cut(self):
        failure = self.fails('tools:long_text')
        self.assertEqual(len(failure['message']), 1 << 16)
        self.assertLess(len(failure['traceback']), 300000)

    def test_text_that_no_encoding_has(self):
        self.assertIn('udc80', self.fails('tools:surrogate')['message'])

    def test_wrong_arguments_are_the_callers(self):
        failure = self.fails('operator:neg', 1, 2)
        self.assertEqual((failure['kind'], failure['type']), ('raised', 'TypeError'))
        self.assertNotIn('chopsticks', failure['traceback'])

    def test_old_style_exceptions_have_their_name(self):
        if OLD:
            failure = self.fails(function('class Old:\n  pass\ndef f(): raise Old()', values={'Z': 1}))
            self.assertIn('Old', failure['type'])

    def test_failures_are_raised_by_the_harness_too(self):
        self.assertRaises(Failed, self.call, 'tools:trouble')
        self.assertEqual(text('x'), u'x')


class Locale(Case):
    def test_agent_runs_in_any_locale(self):
        for name in 'C', 'POSIX', 'en_US.ISO-8859-1':
            env = dict(os.environ, LC_ALL=name, PYTHONCOERCECLOCALE='0', PYTHONUTF8='0')
            if subprocess.call([sys.executable, '-S', '-c', ''], env=env, stderr=subprocess.PIPE):
                # PyPy does not start at all in a locale that the machine does not have.
                self.assertIn('PyPy', sys.version)
                continue
            agent = self.agent(CODE, env=env)
            self.assertEqual(agent.call('operator:concat', u'\xe9', u'\u20ac'), u'\xe9\u20ac')
            self.assertEqual(agent.fails('tools:text_error')['message'], u'\xe9\u20ac')
