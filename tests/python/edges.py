"""A script: what could go wrong with functions and arguments that travel. Each function that begins with `test_` is one test."""
import functools
import gc
import linecache
import os
import pickle
import sys
import tempfile
import threading
import time
import traceback
import types

import far
from chopsticks._call import Packed

SELF = sys.modules[__name__]
LOCK = threading.Lock()
VALUE = 1


class Item:
    def __init__(self, n=0):
        self.n = n


def keep(name, value):
    # In a module of the agent, which outlives the call.
    setattr(sys, name, value)


def is_kept_class(item):
    return isinstance(item, sys.kept_class), type(item) is sys.kept_class


def value():
    return VALUE


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as e:
        return str(e)
    raise AssertionError('%s was not raised' % kind.__name__)


def cell(number, text):
    """What a notebook does with a cell."""
    file = '<ipython-input-%d-0123456789ab>' % number
    linecache.cache[file] = len(text), None, text.splitlines(True), file
    exec(compile(text, file, 'exec'), vars(SELF))


def test_class_stays_the_same_over_calls(tunnel):
    tunnel.call(keep, 'kept_class', Item)
    assert tunnel.call(is_kept_class, Item(3)) == (True, True)

    class Item2(Item):
        def more(self):
            return self.n + VALUE
    tunnel.call(keep, 'kept_class', Item2)
    assert tunnel.call(is_kept_class, Item2(3)) == (True, True)
    assert tunnel.call(is_kept_class, Item(3)) == (False, False)


def test_classes_of_one_text_are_different(tunnel):
    def maker(n):
        class Same:
            def value(self):
                return n
        return Same
    one, two = maker(1), maker(2)
    assert tunnel.call(lambda a, b: (a.value(), b.value(), type(a) is type(b)), one(), two()) == (1, 2, False)


def test_number_of_a_class_is_its_own(tunnel):
    from chopsticks import _source

    def make():
        class Short:
            pass
        return Short
    numbers = []
    before = len(_source.tokens)
    for _ in range(50):
        kept = make()
        packed = far.pack(len, ([kept()],), {}, tunnel.protocol)
        assert far.pack(len, ([kept()],), {}, tunnel.protocol).keys == packed.keys
        numbers.append(max(packed.keys))
        del kept, packed
        gc.collect()
    assert len(set(numbers)) == 50
    # Those that are gone leave nothing.
    assert len(_source.tokens) <= before + 2, (before, len(_source.tokens))


def test_globals_are_as_they_are_at_the_call(tunnel):
    global VALUE
    for VALUE in 1, 'a', [2], os, 5, os.path.join, 7, Item, 8:
        got = tunnel.call(lambda: getattr(VALUE, '__name__', VALUE))
        assert got == getattr(VALUE, '__name__', VALUE), (got, VALUE)
    VALUE = 1


def test_globals_of_classes_are_as_they_are_at_the_call(tunnel):
    global VALUE

    class Reader:
        def read(self):
            return VALUE('a', 'b')
    reader = Reader()
    for VALUE in os.path.join, max, lambda a, b: a * 2 + b, os.path.join:  # noqa: B007
        assert tunnel.call(reader.read) == reader.read()
    VALUE = 1


def test_changes_of_a_global_do_not_pile_up(tunnel):
    global VALUE
    function = lambda: VALUE.__name__  # noqa: E731
    numbers = set()
    for VALUE in [os, sys] * 20:  # noqa: B007
        numbers.update(far.pack(function, (), {}).keys)
    assert len(numbers) == 2, numbers
    VALUE = 1


def test_global_that_is_gone_is_an_error_there(tunnel):
    global GONE
    GONE = 5
    function = lambda: GONE  # noqa: E731
    assert tunnel.call(function) == 5
    del GONE
    # What came before is still there: it is one process.
    assert tunnel.call(function) == 5
    assert tunnel.fails(lambda: NEVER)['type'] == 'NameError'  # noqa: F821


def test_redefinition_in_a_cell_counts_at_the_next_call(tunnel):
    cell(1, 'def of_cell():\n    return helper(), Cell().name()\n')
    cell(2, 'def helper():\n    return 1\n\nclass Cell:\n    def name(self):\n        return "one"\n')
    assert tunnel.call(of_cell) == (1, 'one')  # noqa: F821
    cell(3, 'def helper():\n    return 2\n')
    assert tunnel.call(of_cell) == (2, 'one')  # noqa: F821
    cell(4, 'class Cell:\n    def name(self):\n        return "two"\n')
    assert tunnel.call(of_cell) == (2, 'two')  # noqa: F821
    cell(5, 'class Base:\n    n = 1\n')
    cell(6, 'class Derived(Base):\n    pass\n')
    assert tunnel.call(lambda: Derived.n) == 1  # noqa: F821
    cell(7, 'class Base:\n    n = 2\n')
    # As here: the class has the base that it was made with.
    assert tunnel.call(lambda: (Derived.n, Base.n)) == (1, 2)  # noqa: F821
    cell(6, 'class Derived(Base):\n    pass\n')
    assert tunnel.call(lambda: Derived.n) == 2  # noqa: F821


def test_class_of_a_cell_without_methods(tunnel):
    cell(8, 'class Bare:\n    answer = 41\n')
    cell(9, 'class Bare:\n    answer = 42\n')
    assert tunnel.call(lambda: Bare.answer) == 42  # noqa: F821


def test_cell_that_awaits(tunnel):
    if tunnel.version < (3, 8):
        return
    # IPython compiles these with a flag of their own.
    text = 'import asyncio\nholder.append(lambda: 43); await asyncio.sleep(0)\n'
    file = '<ipython-input-10-0123456789ab>'
    linecache.cache[file] = len(text), None, text.splitlines(True), file
    code = compile(text, file, 'exec', 0x2000)
    vars(SELF)['holder'] = holder = []
    import asyncio
    asyncio.new_event_loop().run_until_complete(eval(code, vars(SELF)))
    assert tunnel.call(holder[0]) == 43


def test_traceback_has_file_line_and_text(tunnel):
    def broken(n):
        return 1 / n        # This very line.
    failure = tunnel.fails(broken, 0)
    assert failure['type'] == 'ZeroDivisionError', failure
    assert 'return 1 / n        # This very line.' in failure['traceback'], failure
    line = broken.__code__.co_firstlineno + 1
    assert '  File "%s", line %d, in broken' % (__file__, line) in failure['traceback'], failure
    for own in 'pickled', 'unpickled', 'chopsticks/':
        assert own not in failure['traceback'], failure
    cell(11, '\n\ndef broken():\n    raise KeyError("é")\n')
    failure = tunnel.fails(SELF.broken)
    assert '<ipython-input-11-0123456789ab>", line 4, in broken\n    raise KeyError(' in failure['traceback'], failure


def test_statement_that_raises_is_shown(tunnel):
    cell(12, 'class Fails:\n    if sys.argv != [\'-c\']:\n        n = 1\n    else:\n        n = 1 / 0\n')
    failure = tunnel.fails(lambda: Fails)  # noqa: F821
    assert failure['type'] == 'ZeroDivisionError' and 'line 5, in Fails' in failure['traceback'], failure
    # It is not half there afterwards.
    assert tunnel.fails(lambda: Fails)['type'] == 'ZeroDivisionError'  # noqa: F821
    assert tunnel.call(value) == 1


def test_state_of_closures_is_that_of_the_call(tunnel):
    items = []

    def add(n):
        items.append(n)
        return items
    assert tunnel.call(add, 1) == [1]
    assert tunnel.call(add, 2) == [2]
    items.append(5)
    assert tunnel.call(add, 2) == [5, 2]


def test_empty_variable_around_a_function(tunnel):
    def outer():
        def inner():
            return later
        if VALUE is None:
            later = 1
        return inner
    failure = tunnel.fails(outer())
    assert failure['type'] == 'NameError', failure


def test_functions_in_one_line_are_told_apart(tunnel):
    functions = [lambda: 1, lambda: 2, lambda: [3], lambda: lambda: 4]
    assert [tunnel.call(f) for f in functions[:3]] == [1, 2, [3]]
    assert tunnel.call(functions[3]()) == 4
    a, b = (lambda x: x + 1) if VALUE else (lambda x: x + 2), lambda x: x + 3
    assert (tunnel.call(a, 1), tunnel.call(b, 1)) == (2, 4)


def test_functions_in_one_line_that_use_imported_modules(tunnel):
    # Python 3.11 and later make other code of calls into what the module imports.
    a, b = lambda: time.strftime('%%', (2000,) + (1,) * 8), lambda: functools.reduce(max, [1, 3])
    assert (tunnel.call(a), tunnel.call(b)) == ('%', 3)


def test_new_file_that_uses_what_it_imports(tunnel):
    with tempfile.TemporaryDirectory() as folder:
        text = 'import functools\n\ndef f():\n    return functools.reduce(max, [1, 3])\n'
        assert tunnel.call(load(os.path.join(folder, 'job.py'), text)['f']) == 3


def test_statements_in_one_line(tunnel):
    cell(13, 'a = 1; g = lambda: a; b = 2; h = lambda: b\n')
    assert (tunnel.call(SELF.g), tunnel.call(SELF.h)) == (1, 2)


def test_unfit_arguments_are_named(tunnel):
    def f(*args, **kwargs):
        return len(args)
    text = raises(TypeError, tunnel.call, f, 1, [LOCK])
    assert text.startswith('argument 2 of ') and 'cannot be sent: cannot pickle' in text and 'lock' in text, text
    text = raises(TypeError, tunnel.call, time.sleep, 1, key={'a': LOCK})
    assert text.startswith("argument 'key' of sleep cannot be sent: cannot pickle"), text
    text = raises(TypeError, tunnel.call, f, open(os.devnull))
    assert text.startswith('argument 1 of ') and 'TextIOWrapper' in text, text
    text = raises(TypeError, tunnel.call, f, (n for n in ()))
    assert text.startswith('argument 1 of ') and 'generator' in text, text
    # The tunnel is as it was.
    assert tunnel.call(f, 1, 2) == 2


def test_unfit_globals_and_variables_are_named(tunnel):
    lock = LOCK

    def inner():
        return lock

    def uses_inner():
        return inner
    text = raises(TypeError, tunnel.call, lambda: LOCK)
    assert "its global variable 'LOCK': cannot pickle" in text, text
    text = raises(TypeError, tunnel.call, uses_inner)
    assert "its variable 'inner': its variable 'lock': cannot pickle" in text, text


def test_reduction_that_raises_is_told(tunnel):
    class Bad:
        def __reduce__(self):
            raise RuntimeError('not today')
    text = raises(TypeError, tunnel.call, len, [Bad()])
    assert text == 'argument 1 of len cannot be sent: RuntimeError: not today', text

    class Odd:
        def __reduce__(self):
            return 5
    text = raises(TypeError, tunnel.call, len, [Odd()])
    assert text.startswith('argument 1 of len cannot be sent: '), text

    class Worse:
        def __reduce__(self):
            raise KeyboardInterrupt
    raises(KeyboardInterrupt, tunnel.call, len, [Worse()])


def test_deep_nesting_is_an_error_not_a_crash(tunnel):
    deep = []
    for _ in range(100000):
        deep = [deep]
    text = raises(TypeError, tunnel.call, len, deep)
    assert text == 'argument 1 of len cannot be sent: it is nested too deep', text


def test_callables_without_a_source_are_refused_by_name(tunnel):
    space = {'__name__': '__main__'}
    exec('def nowhere(): return 1\nclass Nowhere: pass', space)
    text = raises(TypeError, tunnel.call, space['nowhere'])
    assert 'nowhere' in text and 'there is no source text of <string>' in text and 'define it in a file' in text, text
    text = raises(TypeError, tunnel.call, len, [space['Nowhere']()])
    assert 'argument 1 of len cannot be sent: class Nowhere: its source text is not to be had' in text, text
    text = raises(TypeError, tunnel.call, 5)
    assert text == '5 is not callable', text


def test_function_by_eval_is_not_taken_for_another(tunnel):
    # The name of the file is that of a cell, the text is not.
    cell(14, 'def real():\n    return 1\n')
    code = compile('def real():\n    return 2\n', '<ipython-input-14-0123456789ab>', 'exec')
    space = dict(vars(SELF))
    exec(code, space)
    text = raises(TypeError, tunnel.call, space['real'])
    assert 'has changed since it was defined' in text, text
    assert tunnel.call(SELF.real) == 1


def load(path, text, name='__main__'):
    with open(path, 'w') as f:
        f.write(text)
    space = {'__name__': name, '__file__': path}
    exec(compile(text, path, 'exec'), space)
    return space


def test_file_that_changed_after_its_import(tunnel):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'job.py')
        before = load(path, 'def f():\n    return 1\n\ndef g():\n    return 1\n')
        assert tunnel.call(before['f']) == 1
        with open(path, 'w') as f:
            f.write('def f():\n    return 20\n\ndef g():\n    return 20\n')
        # What was sent once is remembered as it was.
        assert tunnel.call(before['f']) == 1
        text = raises(TypeError, tunnel.call, before['g'])
        assert text == 'g cannot be sent: the text of %s has changed since it was defined; ' \
            'define it again, or start again' % path, text
        with open(path, 'w') as f:
            f.write('def f(:\n')
        assert 'has changed' in raises(TypeError, tunnel.call, before['g'])
        with open(path, 'w') as f:
            f.write('\n\n\n\n\n\n')
        assert 'has changed' in raises(TypeError, tunnel.call, before['g'])
        os.unlink(path)
        assert 'there is no source text of' in raises(TypeError, tunnel.call, before['g'])


def test_code_of_tools_that_rewrite_is_taken_if_the_file_is_old(tunnel):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'job.py')
        space = load(path, 'def f(a):\n    return a\n')
        # As pytest does with `assert`.
        exec(compile('def f(a):\n    return (a, 1)[0]\n', path, 'exec'), space)
        assert 'has changed' in raises(TypeError, tunnel.call, space['f'], 3)
        os.utime(path, (1, 1))
        assert tunnel.call(space['f'], 3) == 3


def test_large_closures_and_many_variables(tunnel):
    data = b'x' * (5 << 20)
    text = ''.join('    v%d = %d\n' % (n, n) for n in range(300))
    cell(15, 'def many():\n%s    def inner():\n        return %s\n    return inner\n' % (
        text, ' + '.join('v%d' % n for n in range(300))))
    if tunnel.version >= (3, 7):
        assert tunnel.call(SELF.many()) == sum(range(300))
    assert tunnel.call(lambda: len(data)) == 5 << 20
    chain = lambda: 0  # noqa: E731
    for _ in range(30):
        chain = (lambda inner: lambda: inner() + 1)(chain)
    assert tunnel.call(chain) == 30


def test_large_bytes_are_not_copied(tunnel):
    data = bytes(bytearray(range(256))) * 1024
    packed = far.pack(len, (data,), {}, tunnel.protocol)
    assert any(piece is data for piece in packed.message)
    assert tunnel.call(len, data) == len(data)
    same = lambda a, b, c: [a == b, a == c['k'], type(a) is bytes]  # noqa: E731
    assert tunnel.call(same, data, bytes(bytearray(data)), {'k': data}) == [True, True, True]
    assert tunnel.call(lambda data: list(bytearray(data[:5])), data=data) == [0, 1, 2, 3, 4]
    if tunnel.protocol > 2:
        packed = far.pack(len, ([data],), {}, tunnel.protocol)
        assert any(piece is data for piece in packed.message)


def test_buffers_beside_the_pickle(tunnel):
    class Buffer:
        def __init__(self, data):
            self.data = data

        def __reduce_ex__(self, protocol):
            if protocol < 5:
                return Buffer, (bytes(self.data),)
            return Buffer, (pickle.PickleBuffer(self.data),)

        def all(self):
            return len(self.data), bytearray(self.data)[-1]
    for data in bytearray(b'ab' * 50000), b'ab' * 50000, bytearray(b'ab'):
        assert tunnel.call(Buffer(data).all) == (len(data), ord('b'))
        message = far.pack(Buffer(data).all, (), {}, 5).message
        assert len(message) == (1 if len(data) < 100 else 3), list(map(len, message))


def test_arguments_of_all_sizes(tunnel):
    for size in 0, 1, 65535, 65536, 65537, 1 << 20:
        for args in ((b'b' * size,), ('t' * size,), ([b'b' * size, 't' * size],), (b'b' * size, b'c' * size)):
            lengths = lambda *args: [len(a) if len(a) != 2 else list(map(len, a)) for a in args]  # noqa: E731
            assert tunnel.call(lengths, *args) == lengths(*args)


def test_every_version_of_pickle_is_read(tunnel):
    for protocol in range(2, tunnel.protocol + 1):
        message = far.pack(Item(5).__getattribute__, ('n',), {}, protocol).message
        assert tunnel.agent.result(tunnel.send(message)) == 5


def test_names_with_which_functions_are_called(tunnel):
    def name(function, *args):
        packed = far.pack(function, args, {})
        assert isinstance(packed, Packed)
        return packed.function
    assert name(time.time) == 'time:time'
    assert name(sorted) == 'sorted'
    assert name(os.path.join) == 'posixpath:join'
    assert name(collections_of().Counter) == 'collections:Counter'
    assert name(open) == 'io:open'
    import operator
    assert name(operator.add) == 'operator:add'
    assert name(collections_of().Counter.fromkeys) == 'collections:Counter.fromkeys'
    assert name(dict.fromkeys) is None
    assert name(time.time, [1]) is None
    assert name(value) is None
    assert far.pack(time.time, (1, 'a', None, 2.5, True, b'x'), {'k': 1}).payload == (
        __import__('marshal').dumps(((1, 'a', None, 2.5, True, b'x'), {'k': 1}), 2))
    for function in time.time, sorted, os.path.basename:
        packed = far.pack(function, (), {})
        whole = __import__('marshal').loads(packed.message[0])
        assert whole == (packed.function, (), None)


def collections_of():
    import collections
    return collections


def test_modules_that_are_needed_are_named(tunnel):
    def user():
        import json.decoder
        return json.decoder, os.path, traceback
    packed = far.pack(user, (functools.partial(textwrap_of().dedent, 'a'),), {})
    assert {'json.decoder', 'os', 'traceback', 'textwrap', 'functools'} <= set(packed.modules), packed.modules
    assert packed.label.endswith('user') and packed.function is None


def textwrap_of():
    import textwrap
    return textwrap


def test_functions_of_a_module_made_by_hand(tunnel):
    module = sys.modules['by_hand'] = types.ModuleType('by_hand')
    file = '<ipython-input-16-0123456789ab>'
    text = 'VALUE = 5\nclass K:\n    def f(self): return VALUE\ndef f():\n    return VALUE, __name__, K().f()\n'
    linecache.cache[file] = len(text), None, text.splitlines(True), file
    exec(compile(text, file, 'exec'), vars(module))
    try:
        # The names of one space are not those of another.
        assert tunnel.call(lambda f: (f(), VALUE), module.f) == ((5, 'by_hand', 5), 1)
    finally:
        del sys.modules['by_hand']


def test_pickle_works_on_the_other_side(tunnel):
    def there(item):
        import pickle
        again = pickle.loads(pickle.dumps(item, 2))
        return type(again) is type(item), again.n, pickle.loads(pickle.dumps(value, 2))()
    assert tunnel.call(there, Item(4)) == (True, 4, 1)


def test_calls_overlap(tunnel):
    def slow(n):
        time.sleep(.05)
        return n, Item(n).n
    requests = [(n, tunnel.send(far.pack(slow, (n,), {}, tunnel.protocol).message)) for n in range(20)]
    for n, request in requests:
        assert tunnel.agent.result(request) == (n, n)


def test_call_that_is_cancelled_while_a_class_is_made(tunnel):
    cell(17, 'class Slow:\n    if sys.argv == [\'-c\']:\n        while not getattr(sys, "go_on", 0):\n'
         '            time.sleep(.01)\n    n = 5\n')
    request = tunnel.send(far.pack(lambda: Slow.n, (), {}, tunnel.protocol).message)  # noqa: F821
    time.sleep(.3)
    tunnel.agent.cancel(request)
    failure = tunnel.agent.failure(request)
    assert failure['kind'] == 'cancelled', failure
    # Neither is the lock closed nor the class half there.
    tunnel.call(keep, 'go_on', 1)
    assert tunnel.call(lambda: Slow.n) == 5  # noqa: F821


def test_thousand_definitions(tunnel):
    for n in range(1000):
        cell(1000 + n, 'def many_times():\n    return %d\n' % n)
        if n % 50 == 0:
            assert tunnel.call(SELF.many_times) == n


def test_threads_pack_at_the_same_time(tunnel):
    wrong = []

    def work(n):
        for i in range(200):
            packed = far.pack(lambda x: (x, n, VALUE), (Item(i),), {}, tunnel.protocol)
            if len(packed.message) != 1 or b'Item' not in packed.message[0]:
                wrong.append(packed)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def main():
    failed = count = 0
    with far.Tunnel() as tunnel:
        for name, function in list(vars(SELF).items()):
            if name.startswith('test_'):
                count += 1
                try:
                    function(tunnel)
                except BaseException as e:
                    failed += 1
                    print('FAILED', name, getattr(e, 'info', ''))
                    print(traceback.format_exc(limit=-2))
    print('%d of %d right' % (count - failed, count))
    return 1 if failed or count < 30 else 0


if __name__ == '__main__':
    sys.exit(main())
