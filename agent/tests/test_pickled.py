"""Calls whose function and arguments are pickled. What controllers make of functions is tested in `tests/python`."""
import marshal
import pickle
import sys
import types
import unittest
from io import BytesIO

import harness
from harness import CALL, MARSHAL, OLD, Case, text

# What a pickle names for the functions that the agent has for it.
PARTS = types.ModuleType('chopsticks._source')
for name in ('function', 'kind', 'fill', 'cell', 'module', 'once', 'cached', 'large'):
    exec('__name__ = "chopsticks._source"\ndef %s(*args): pass' % name, vars(PARTS))


class Part(object):
    """Is pickled as a call of one of these."""

    def __init__(self, name, *args):
        self.name, self.args = name, args

    def __reduce__(self):
        return getattr(PARTS, self.name), self.args


def dumps(value):
    mine = {'chopsticks': types.ModuleType('chopsticks'), PARTS.__name__: PARTS}
    before = dict((name, sys.modules.pop(name)) for name in mine if name in sys.modules)
    sys.modules.update(mine)
    try:
        if OLD:
            # What a controller sends is text.
            file = BytesIO()
            pickle.Pickler(file, 2).dump(value)
            return file.getvalue()
        return pickle.dumps(value, 2)
    finally:
        for name in mine:
            del sys.modules[name]
        sys.modules.update(before)


def definition(number, body, *details, **kwargs):
    """A definition of a function, or of a class if there are values."""
    kind = 'class' if 'values' in kwargs else 'function'
    if kind == 'class':
        details += (dumps(kwargs['values']),)
    return (number, text(kind), text(kwargs.get('module', '__main__')), kwargs.get('importable', False),
            text(kwargs.get('file', 'job.py')), kwargs.get('line', 1), text(body), text(kwargs.get('features', ())),
            text(kwargs.get('names', ())), tuple(d if type(d) is bytes and not OLD else fit(d) for d in details))


def fit(value):
    return value if type(value) is not str or value[:1] == '\x80' else text(value)


class Pickled(Case):
    def send(self, agent, call, definitions=(), large=(), buffers=()):
        agent.request += 2
        message = None, (dumps(call), tuple(definitions), tuple(large), tuple(buffers)), None
        data = marshal.dumps(message, 2)
        agent.send(agent.request, CALL, MARSHAL, data)
        return agent.request

    def call(self, agent, *args, **kwargs):
        return agent.result(self.send(agent, *args, **kwargs))

    def test_function_by_name_with_arguments_that_marshal_cannot_carry(self):
        agent = self.agent()
        shared = []
        shared.append(shared)
        self.assertEqual(self.call(agent, (text('operator:is_'), (shared, shared), None)), True)
        self.assertEqual(self.call(agent, (text('dict'), (), {text('a'): (1, [2])})), {'a': (1, [2])})
        failure = agent.failure(self.send(agent, (text('os:nothing_there'), (), None)))
        self.assertEqual((failure['kind'], failure['type']), ('function', 'AttributeError'))

    def test_function_by_its_code_and_globals(self):
        agent = self.agent()
        job = definition(7, 'def f(a):\n    return a * N, __name__\n', 'f', 1, 0, 1, line=3)
        # The line is that of the text in its file.
        job = job[:9] + (text(('f', 3, 0, 1)),)
        for n in 2, 5:
            call = (7, (7, {text('N'): n})), (3,), None
            self.assertEqual(self.call(agent, call, [job]), (3 * n, '__main__'))
        # It is known now.
        self.assertEqual(self.call(agent, ((7, (7, {text('N'): 4})), (3,), None)), (12, '__main__'))
        failure = agent.failure(self.send(agent, ((7, None), (None,), None)))
        self.assertEqual((failure['kind'], failure['type']), ('raised', 'TypeError'))
        self.assertIn('File "job.py", line 4, in f\n    return a * N, __name__\n', failure['traceback'])
        self.assertNotIn('chopsticks/', failure['traceback'])

    def test_definition_that_never_came_is_an_error(self):
        agent = self.agent()
        failure = agent.failure(self.send(agent, ((99, None), (), None)))
        self.assertEqual((failure['kind'], failure['type']), ('raised', 'KeyError'))
        self.assertEqual(self.call(agent, (text('len'), ([],), None)), 0)

    def test_class_is_made_once(self):
        agent = self.agent()
        made = definition(8, 'class K(object):\n    calls.append(1)\n    n = N\n', 'K', 'K',
                          values=({'N': 6, 'calls': []}, ()))
        job = definition(9, 'lambda k: (k.n, len(calls), k.__module__)\n', '<lambda>', 1, 0, 1)
        for _ in range(2):
            self.assertEqual(self.call(agent, ((9, None), (Part('kind', 8),), None), [made, job]), (6, 1, '__main__'))

    def test_class_statement_that_fails_can_be_tried_again(self):
        agent = self.agent({'switch': b'on = False\ndef turn():\n    global on\n    on = True\n'})
        made = definition(8, 'class K(object):\n    n = 1 if switch.on else 1 // 0\n', 'K', 'K',
                          values=({}, ()), names=[('switch', 'switch', '')])
        call = text('getattr'), (Part('kind', 8), 'n'), None
        failure = agent.failure(self.send(agent, call, [made]))
        self.assertEqual(failure['type'], 'ZeroDivisionError')
        self.assertIn('File "job.py", line 2, in K', failure['traceback'])
        agent.call('switch:turn')
        self.assertEqual(self.call(agent, call, [made]), 1)

    def test_text_that_this_python_cannot_read_is_a_syntax_error_with_its_place(self):
        agent = self.agent()
        job = definition(5, 'def f(:\n    pass\n', 'f', 40, 0, 1, line=40, file='scripts/job.py')
        failure = agent.failure(self.send(agent, ((5, None), (), None), [job]))
        self.assertEqual((failure['kind'], failure['type']), ('raised', 'SyntaxError'))
        self.assertIn('File "scripts/job.py", line 40', failure['traceback'])

    def test_module_and_class_that_are_not_here_are_named(self):
        agent = self.agent()
        for name, known in (b'cmissing_module\nf\n', 'missing_module'), (b'cos\nmissing_name\n', 'missing_name'):
            agent.request += 2
            data = b'\x80\x02X\x03\x00\x00\x00len' + name + b'\x85N\x87.'
            agent.send(agent.request, CALL, MARSHAL, marshal.dumps((None, (data, (), (), ()), None), 2))
            failure = agent.failure(agent.request)
            self.assertEqual(failure['kind'], 'raised')
            self.assertIn(known, failure['message'])

    def test_private_module_of_another_version_is_found_by_its_package(self):
        agent = self.agent()
        for private in b'os._local', b'xml.dom._other':
            data = b'\x80\x02X\x07\x00\x00\x00getattrc' + private + (
                b'\ngetcwd\n' if private[:2] == b'os' else b'\nNode\n') + b'X\x08\x00\x00\x00__name__\x86N\x87.'
            agent.request += 2
            agent.send(agent.request, CALL, MARSHAL, marshal.dumps((None, (data, (), (), ()), None), 2))
            self.assertIn(agent.result(agent.request), ('getcwd', 'Node'))

    def test_bytes_beside_the_pickle(self):
        agent = self.agent()
        data = b'x' * (1 << 20)
        call = text('len'), (Part('large', 1),), None
        self.assertEqual(self.call(agent, call, large=[b'', data]), len(data))
        if sys.version_info >= (3, 8):
            request = agent.request = agent.request + 2
            buffers = []
            payload = pickle.dumps(('len', (pickle.PickleBuffer(data),), None), 5, buffer_callback=buffers.append)
            agent.send(request, CALL, MARSHAL, marshal.dumps((None, (payload, (), (), (data,)), None), 2))
            self.assertEqual(agent.result(request), len(data))

    def test_main_is_the_one_of_the_controller(self):
        agent = self.agent()
        job = definition(3, 'def f():\n    return __import__("__main__").N\n', 'f', 1, 0, 1)
        self.assertEqual(self.call(agent, ((3, (3, {text('N'): 5})), (), None), [job]), 5)

    def test_malformed_message_is_a_failure_and_no_more(self):
        agent = self.agent()
        for args in ((), (b'',), (b'x', (), (), ()), (b'\x80\x02.', (), (), ()), (b'N.', (), (), ()),
                     (dumps((1, 2)), (), (), ()), (dumps((text('len'), 5, 6)), ((),), (), ())):
            agent.request += 2
            agent.send(agent.request, CALL, MARSHAL, marshal.dumps((None, args, None), 2))
            self.assertEqual(agent.failure(agent.request)['kind'], 'raised')
        self.assertEqual(agent.call('len', [1]), 1)

    def test_call_is_cancelled_while_it_is_unpickled(self):
        agent = self.agent()

        class Slow(object):
            def __reduce__(self):
                import time
                return time.sleep, (harness.PATIENCE,)
        request = self.send(agent, (text('len'), (Slow(),), None))
        agent.call('len', [])
        agent.cancel(request)
        self.assertEqual(agent.failure(request)['kind'], 'cancelled')
        self.assertEqual(self.call(agent, (text('len'), ([],), None)), 0)


if __name__ == '__main__':
    unittest.main()
