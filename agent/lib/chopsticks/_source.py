"""Pickles calls, with the source text of functions and classes that an agent cannot import.

These are what a script or a notebook defines, lambdas, and functions and classes within functions. What is sent is the
object, not the text around it: of a function the code, which the agent compiles out of the statement that has it, and
as values its defaults, the variables around it, its attributes, and the globals that it uses, all as they are at this
call. Decorators and the default expressions of a function do not run again. A class is made by its statement, once for
each connection, with the globals that it uses; so it stays the same class over the calls of a connection.

On the other side is the agent's part `pickled`. Python 3.8 and later.
"""
import __future__

import ast
import builtins
import dis
import enum
import inspect
import linecache
import os
import pickle
import struct
import sys
import types
import weakref
from functools import lru_cache
from gc import get_referents
from itertools import count
from marshal import dumps
from types import CodeType, FunctionType, MappingProxyType, ModuleType

from chopsticks._call import LARGE, STARTED, Packed, is_importable, name_of

CellType = type((lambda value: lambda: value)(0).__closure__[0])
CachedType = type(lru_cache(None)(len))
WRAPPER = '_chopsticks'
# What a text can import from `__future__` that is not the rule yet.
FEATURES = [(name, getattr(__future__, name).compiler_flag) for name in __future__.all_feature_names
            if (getattr(__future__, name).getMandatoryRelease() or (9,)) > (3, 9)]
# Of `compile`: `await` outside of functions, which notebooks allow.
TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
MISSING = object()

numbers = count(1)
# id of a code object or class -> its Plan
plans = {}
# id of a class -> its number, and a reference that ends the entry with the class
tokens = {}
# file -> its lines, and the tree of them
trees = {}


# The agent has functions of its own for these: what is here gives them the names that are in pickles.
def function(number, *cells):
    raise NotImplementedError


def kind(number):
    raise NotImplementedError


def fill(made, *state):
    raise NotImplementedError


def cell():
    raise NotImplementedError


def module(name):
    raise NotImplementedError


def once(number, make, args, kwargs, module):
    raise NotImplementedError


def cached(function, size, typed):
    raise NotImplementedError


def large(number):
    raise NotImplementedError


PARTS = frozenset((function, kind, fill, cell, module, once, cached, large))


class Plan:
    """A definition, encoded, and what its values are."""

    __slots__ = ('definition', 'importable', 'kept', 'modules', 'needs', 'number', 'same', 'scope', 'space', 'variable')

    def __init__(self, kept):
        # So that nobody else gets its `id`.
        self.kept = kept
        self.number = next(numbers)
        # number -> plan, of those that its own values need
        self.needs = {}

    def holds(self):
        """Whether the names that are the same at each call still are."""
        scope = self.scope
        for name, value in self.same:
            if scope.get(name, MISSING) is not value:
                return False
        return True

    def changed(self):
        return tuple([name for name, value in self.same if self.scope.get(name, MISSING) is not value])

    def define(self, form, file, line, text, features, references, details):
        self.definition = dumps((
            self.number, form, self.space, self.importable, file, line, text, features, references, details), 2)


class Large:
    """Stands for bytes that are beside the pickle."""

    __slots__ = ('number',)

    def __init__(self, number):
        self.number = number


class Pieces(list):
    """A file that keeps what is written as it is: of large bytes the very object."""

    write = list.append


class Sender(pickle.Pickler):
    """Pickles values, and collects the definitions that they need."""

    if hasattr(sys, 'pypy_version_info') and pickle.Pickler.__new__ is not object.__new__:
        def __new__(cls, *_given):
            # That of PyPy 8 looks at the file already, which is the first of its arguments.
            return super().__new__(cls, Pieces())

    def __init__(self, protocol, building=()):
        self.pieces, self.buffers, self.plans, self.modules = Pieces(), [], {}, {}
        self.sent, self.filled, self.building = {}, set(), building
        if protocol >= 5:
            super().__init__(self.pieces, protocol, buffer_callback=self.buffer)
        else:
            super().__init__(self.pieces, protocol)

    def forget(self):
        """Makes it like new."""
        self.clear_memo()
        # The message may have these.
        self.pieces.clear()
        for used in self.buffers, self.plans, self.modules, self.sent, self.filled:
            if used:
                used.clear()

    def shortly(self, value):
        """A function that is called, as its number and its globals if these are all that it has."""
        if type(value) is not FunctionType or value.__closure__ or value.__defaults__ or value.__kwdefaults__:
            return value
        plan = plans.get(id(value.__code__))
        if not plan or value.__dict__ or plan.scope is not value.__globals__ or not plan.holds():
            return value
        self.need(plan)
        return plan.number, self.values(plan)

    def buffer(self, buffer):
        data = buffer.raw()
        if data.nbytes < LARGE:
            return True
        self.buffers.append(data)
        return False

    def reducer_override(self, value):
        handler = HANDLERS.get(type(value))
        if handler:
            return handler(self, value)
        if isinstance(value, type):
            return self.of_class(value)
        return variable(value) if type(value).__name__ == 'TypeVar' else NotImplemented

    def of_function(self, value):
        if CachedType is FunctionType and value.__globals__ is lru_cache.__globals__ and hasattr(
                value, 'cache_parameters'):
            return self.of_cached(value)
        plan = plans.get(id(value.__code__))
        if plan is None:
            if value in PARTS:
                return NotImplemented
            name, module, path = name_of(value)
            if name:
                self.modules[module] = None
                return NotImplemented
            owner = self.owner(value)
            if owner:
                return getattr, (owner, value.__name__)
            plan = function_plan(value)
        elif plan.scope is not value.__globals__:
            plan = function_plan(value)
        elif not plan.holds():
            # Such a name is a value from here on, or each change would be another definition.
            plan = function_plan(value, plan.variable + plan.changed())
        self.need(plan)
        cells = value.__closure__ or ()
        state = [self.values(plan), ()]
        if cells:
            state[1] = tuple(contents(cells, self.filled, self.building))
        code = value.__code__
        kept = [(key, given) for key, given, own in (
            ('__name__', value.__name__, code.co_name),
            ('__module__', value.__module__, plan.space),
            ('__doc__', value.__doc__, code.co_consts[0] if code.co_consts else None),
        ) if given != own and (key != '__doc__' or given is not None)]
        if value.__defaults__ or value.__kwdefaults__ or value.__dict__ or kept:
            state += [value.__defaults__, value.__kwdefaults__, value.__dict__ or None, kept]
        elif not state[1]:
            if not state[0]:
                return function, (plan.number,) + cells
            del state[1]
        return function, (plan.number,) + cells, tuple(state), None, None, fill_with

    def of_class(self, value):
        plan = plans.get(id(value))
        if plan is None or plan.kept() is not value:
            name, module, path = name_of(value)
            if name:
                self.modules[module] = None
                return NotImplemented
            if is_importable(value.__module__) and '<' not in value.__qualname__:
                for name, other in vars(types).items() if value.__module__ == 'builtins' else ():
                    if other is value and value is not type(None):
                        return getattr, (types, name)
                # Pickle knows some by other names, such as `type(None)`.
                return NotImplemented
            if any(value is other for other in self.building):
                # Its own statement makes it.
                return kind, (0,)
            owner = self.owner(value)
            if owner:
                return getattr, (owner, value.__name__)
            try:
                plan = class_plan(value, self.building)
            except NoSource:
                made = by_value(value)
                if not made:
                    raise
                return made
        self.need(plan)
        values = self.values(plan)
        return (kind, (plan.number,), (values,), None, None, fill_with) if values else (kind, (plan.number,))

    def owner(self, value):
        """The class that has a function or class, if it is found by its name."""
        path = value.__qualname__.split('.')
        if len(path) < 2 or '<locals>' in path:
            return None
        scope = getattr(value, '__globals__', None)
        if scope is None:
            scope = getattr(sys.modules.get(value.__module__), '__dict__', {})
        found = scope.get(path[0])
        for step in path[1:-1]:
            found = getattr(found, step, None)
        return found if isinstance(found, type) and getattr(found, path[-1], None) is value else None

    def of_module(self, value):
        self.modules[value.__name__] = None
        return module, (value.__name__,)

    def of_cell(self, value):
        return cell, ()

    def of_cached(self, value):
        name, module, path = name_of(value)
        if name:
            self.modules[module] = None
            return NotImplemented
        options = value.cache_parameters()
        return cached, (value.__wrapped__, options['maxsize'], options['typed'])

    def of_proxy(self, value):
        return MappingProxyType, tuple(get_referents(value))

    def of_weak(self, value):
        return type(value), (dict(value) if hasattr(value, 'keys') else list(value),)

    def of_large(self, value):
        return large, (value.number,)

    def need(self, plan):
        if plan.number not in self.plans:
            self.plans[plan.number] = plan
            self.plans.update(plan.needs)
            for other in [plan, *plan.needs.values()]:
                self.modules.update(other.modules)

    def values(self, plan):
        """The globals that a definition uses, as they are now, but for those that are in the pickle already."""
        if not plan.variable:
            return None
        building = self.building
        scope = plan.scope
        sent = self.sent.get(id(scope))
        if sent is None:
            sent = self.sent[id(scope)] = set()
        values = {}
        for name in plan.variable:
            if name not in sent:
                value = scope.get(name, MISSING)
                if value is not MISSING:
                    sent.add(name)
                    if not building or not is_derived(value, building):
                        values[name] = value
        return (plan.number, values) if values else None


def is_derived(value, classes):
    """Whether a value is one of some classes, or derived from one."""
    return isinstance(value, type) and any(base is other for base in value.__mro__ for other in classes)


def contents(cells, filled, building):
    for variable in cells:
        if id(variable) not in filled:
            filled.add(id(variable))
            try:
                content = variable.cell_contents
            except ValueError:
                continue
            if not any(content is other for other in building):
                yield variable, content


# Pickle calls it with the object and the state.
fill_with = fill

HANDLERS = {
    # In this order: the two are one type on PyPy.
    CachedType: Sender.of_cached,
    FunctionType: Sender.of_function,
    ModuleType: Sender.of_module,
    CellType: Sender.of_cell,
    Large: Sender.of_large,
    # What `singledispatch` has.
    MappingProxyType: Sender.of_proxy,
    weakref.WeakKeyDictionary: Sender.of_weak,
    weakref.WeakSet: Sender.of_weak,
    weakref.WeakValueDictionary: Sender.of_weak,
    type: Sender.of_class,
}


class NoSource(TypeError):
    """The source text of a function or class is not to be had."""

    def __init__(self, name, why):
        super().__init__('%s cannot be sent: %s' % (name, why))
        self.name, self.why = name, why


def source_of(file, scope, name):
    """The lines of a file or a cell, and the tree of them."""
    linecache.checkcache(file)
    lines = linecache.getlines(file, scope)
    if not lines:
        raise NoSource(name, 'there is no source text of %s; define it in a file or in a cell of a notebook' % file)
    known = trees.get(file)
    if not known or known[0] != lines:
        if len(trees) > 100:
            trees.clear()
        try:
            known = trees[file] = list(lines), ast.parse(''.join(lines))
        except (SyntaxError, ValueError):
            raise NoSource(name, changed(file)) from None
    return known


def changed(file):
    return 'the text of %s has changed since it was defined; define it again, or start again' % file


def is_older(file):
    """Whether the file is still what was imported, as far as its time tells."""
    try:
        return os.stat(file).st_mtime < STARTED
    except OSError:
        return False


def first_line(node):
    return min([node.lineno] + [decorator.lineno for decorator in getattr(node, 'decorator_list', ())])


def statements_at(tree, line):
    """The first and the last line of the statements of a module that have a line, or share one with these."""
    ranges = [(first_line(node), node.end_lineno) for node in tree.body]
    here = [(first, last) for first, last in ranges if first <= line <= last]
    if not here:
        return None
    first, last = min(here)[0], max(last for _, last in here)
    while True:
        more = [each for each in ranges if each[0] <= last and each[1] >= first]
        wider = min(more)[0], max(last for _, last in more)
        if wider == (first, last):
            return wider
        first, last = wider


def compiled(text, line, file, features):
    flags = TOP_LEVEL_AWAIT
    for name in features:
        flags |= getattr(__future__, name).compiler_flag
    return compile('\n' * (line - 1) + text, file, 'exec', flags, True)


def codes_in(code, name):
    """Every code object of a name in another, in the order of the text."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_name == name:
                yield inner
            yield from codes_in(inner, name)


def is_same(code, other):
    """Whether two code objects are of the same text."""
    if isinstance(code, CodeType) and isinstance(other, CodeType):
        return len(code.co_consts) == len(other.co_consts) and all(
            getattr(code, name) == getattr(other, name) for name in SAME) and all(
            map(is_same, code.co_consts, other.co_consts))
    return type(code) is type(other) and (code == other or code != code)


SAME = (
    'co_argcount', 'co_cellvars', 'co_code', 'co_freevars', 'co_kwonlyargcount', 'co_name', 'co_names',
    'co_posonlyargcount', 'co_varnames')


def uses_of(code, names, dotted, imports, wants=lambda inner: True):
    """Collects the globals that code uses, the dotted names that begin with them, and what it imports."""
    before, path = (), None
    for step in dis.get_instructions(code):
        if step.opname in GLOBAL:
            path = step.argval
            names[path] = None
        elif path and step.opname in ('LOAD_ATTR', 'LOAD_METHOD'):
            path = '%s.%s' % (path, step.argval)
            dotted[path] = None
        elif step.opname != 'EXTENDED_ARG':
            path = None
            if step.opname == 'IMPORT_NAME' and step.argval and (len(before) < 2 or before[0] in (0, None)):
                imports[step.argval] = None
        before = (before[-1:] or (None,)) + (step.argval,)
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and wants(inner):
            uses_of(inner, names, dotted, imports, wants)


def runs_at_once(code):
    """Whether code in a class statement runs with it, as that of functions does not.

    Annotations are functions from Python 3.14 on, and run at once in an older agent, or for a decorator.
    """
    name = code.co_name
    return not code.co_flags & inspect.CO_OPTIMIZED or name[0] == '<' or name in (WRAPPER, '__annotate__')


GLOBAL = frozenset(('LOAD_GLOBAL', 'LOAD_NAME', 'LOAD_FROM_DICT_OR_GLOBALS'))
# Of each module.
OWN = frozenset(('__builtins__', '__loader__', '__name__', '__package__', '__spec__', WRAPPER))


def globals_of(plan, code, variable=()):
    """Divides the globals of a plan into those that have a name elsewhere and those that are sent at each call.

    Returns the former. A class is defined only once, so all of its globals are of the latter kind.
    """
    names, dotted, imports = {}, {}, {}
    uses_of(code, names, dotted, imports)
    references, same, changing = [], [], []
    for name in names if not plan.importable else ():
        value = plan.scope.get(name, MISSING)
        if name in OWN:
            continue
        reference = reference_of(value) if name not in (variable or ()) else None
        if not reference or variable is None:
            changing.append(name)
        else:
            references.append((name,) + reference)
            same.append((name, value))
            imports[reference[0]] = None
        if type(value) is ModuleType:
            # A module that is in a package comes only with an import of its own.
            for path in dotted:
                first, _, rest = path.partition('.')
                below = '%s.%s' % (value.__name__, rest)
                if first == name and below in sys.modules:
                    references.append(('', below, ''))
                    imports[below] = None
    if plan.importable:
        imports[plan.space] = None
    plan.same, plan.variable, plan.modules = tuple(same), tuple(changing), imports
    return references


def reference_of(value):
    """The module that has a value, and its path there."""
    if type(value) is ModuleType:
        return (value.__name__, '') if value.__name__ != '__main__' else None
    if isinstance(value, type) or callable(value) and getattr(value, '__module__', None):
        _, module, path = name_of(value)
        # Those that are built in have other names on 2.7.
        return (module, path) if module and module != 'builtins' else None
    return None


def features_of(code):
    return [name for name, flag in FEATURES if code.co_flags & flag]


def new_plan(kept, scope, module):
    plan = Plan(kept)
    plan.scope = scope
    plan.space = module
    plan.importable = is_importable(module, scope)
    return plan


def candidates_in(text, line, file, features, code):
    """The code objects of a text that have the name and the line of another, and the places of those that are as it."""
    try:
        found = list(codes_in(compiled(text, line, file, features), code.co_name))
    except (SyntaxError, ValueError):
        return [], []
    found = [other for other in found if other.co_firstlineno == code.co_firstlineno]
    return found, [place for place, other in enumerate(found) if is_same(other, code)]


def function_plan(value, variable=()):
    """Finds the text of a function, and remembers how it is sent."""
    code, scope = value.__code__, value.__globals__
    plan = new_plan(code, scope, scope.get('__name__', '__main__'))
    file, name = code.co_filename, value.__qualname__
    lines, tree = source_of(file, scope, name)
    found = statements_at(tree, code.co_firstlineno)
    if not found:
        raise NoSource(name, changed(file))
    line, last = found
    text, features = ''.join(lines[line - 1:last]).rstrip('\n'), features_of(code)
    candidates, places = candidates_in(text, line, file, features, code)
    if not places:
        # Python 3.11 and later call what the text around imports in another way.
        whole, places = candidates_in(''.join(lines), 1, file, features, code)
        places = places if len(whole) == len(candidates) else []
    if not places:
        # Tools such as pytest compile in ways of their own.
        if not candidates or not is_older(file):
            raise NoSource(name, changed(file))
        if len(candidates) > 1:
            raise NoSource(name, 'its source text cannot be told from others on line %d of %s' % (
                code.co_firstlineno, file))
        places = [0]
    references = globals_of(plan, code, variable)
    details = code.co_name, code.co_firstlineno, places[0], len(candidates)
    plan.define('function', file, line, text, features, references, details)
    remember(id(code), plan)
    return plan


def remember(key, plan):
    if len(plans) > 10000:
        plans.clear()
    plans[key] = plan


def functions_of(value):
    """The functions of a class."""
    for item in list(vars(value).values()):
        item = getattr(item, '__func__', getattr(item, 'fget', item))
        while item is not None:
            if isinstance(item, FunctionType):
                yield item
            item = getattr(item, '__wrapped__', None)


def files_of(value):
    """The files that may have the statement of a class, the likely ones first."""
    found = {}
    for function in functions_of(value):
        if function.__module__ == value.__module__:
            found[function.__code__.co_filename] = None
    module = sys.modules.get(value.__module__)
    found[getattr(module, '__file__', None)] = None
    if value.__module__ == '__main__':
        # Cells, the newest first.
        for file in reversed(list(linecache.cache)):
            if file.startswith('<') or 'ipykernel' in file:
                found[file] = None
    found.pop(None, None)
    return found


def class_statements(body, path):
    """Every statement that defines what `path`, a list of names, leads to."""
    for node in body:
        is_scope = isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if not is_scope:
            for name in ('body', 'orelse', 'finalbody', 'handlers', 'cases'):
                yield from class_statements(getattr(node, name, None) or (), path)
        elif node.name == path[0]:
            if len(path) > 1:
                yield from class_statements(node.body, path[1:])
            elif isinstance(node, ast.ClassDef):
                yield node


def class_statement(value, scope):
    """The file, the lines, the tree and the statement of a class."""
    path = [name for name in value.__qualname__.split('.') if name != '<locals>']
    lines_of_methods = {}
    for method in functions_of(value):
        lines_of_methods.setdefault(method.__code__.co_filename, []).append(method.__code__.co_firstlineno)
    for file in files_of(value):
        try:
            lines, tree = source_of(file, scope, value.__qualname__)
        except NoSource:
            continue
        found = list(class_statements(tree.body, path))
        line = getattr(value, '__firstlineno__', None)
        best = [node for node in found if first_line(node) == line] or [
            node for node in found
            if any(first_line(node) <= line <= node.end_lineno for line in lines_of_methods.get(file, ()))] or found
        if best and fits(value, best[-1]):
            return file, lines, tree, best[-1]
    raise NoSource('class ' + value.__qualname__, (
        'its source text is not to be had, or has changed since it was defined; '
        'define it in a file or in a cell of a notebook'))


def fits(value, node):
    """Whether a class has what is at the top of a statement."""
    names = [inner.name for inner in node.body
             if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
    return all(name in vars(value) or name.startswith('__') for name in names)


def class_plan(value, building):
    """Finds the text of a class, and remembers how it is sent."""
    methods = list(functions_of(value))
    own = [method for method in methods if method.__module__ == value.__module__]
    scope = own[0].__globals__ if own else vars(sys.modules.get(value.__module__, ast))
    file, lines, tree, node = class_statement(value, scope)
    plan = new_plan(weakref.ref(value), scope, value.__module__)
    plan.number = number_of(value)
    line, name = first_line(node), 'class ' + value.__qualname__
    text = ''.join(lines[line - 1:node.end_lineno]).rstrip('\n')
    codes = [method.__code__ for method in own if method.__code__.co_filename == file]
    features = features_of(codes[0]) if codes else [
        alias.name for other in tree.body if isinstance(other, ast.ImportFrom) and other.module == '__future__'
        for alias in other.names if alias.name in dict(FEATURES)]
    indent = text[:len(text) - len(text.lstrip())]
    cells = {}
    if '<locals>' in value.__qualname__:
        cells = variables_around(value, node, methods, compiled(''.join(lines), 1, file, features), scope, name)
        text = 'def %s(%s):\n%s\n%sreturn %s' % (WRAPPER, ', '.join(cells), text, indent, value.__name__)
        line -= 1
    elif indent:
        text = 'if 1:\n' + text
        line -= 1
    code, names = compiled(text, line, file, features), {}
    references = globals_of(plan, code, None)
    # A metaclass may call the functions of the class.
    uses_of(code, names, {}, {}, runs_at_once if type(value) is type else lambda inner: True)
    sender = Sender(2, building + (value,))
    sender.sent[id(scope)] = {name for name in plan.variable if name not in names}
    sender.dump(((sender.values(plan) or (0, {}))[1], tuple(
        None if any(cells[key] is other for other in sender.building) else cells[key] for key in cells)))
    plan.needs = sender.plans
    plan.modules.update(sender.modules)
    plan.define('class', file, line, text, features, references, (
        value.__name__, value.__qualname__, b''.join(sender.pieces)))
    remember(id(value), plan)
    return plan


def variables_around(value, node, methods, module, scope, name):
    """The variables of functions around a class that its statement uses, with their values."""
    lines = first_line(node), node.lineno
    codes = [code for code in codes_in(module, value.__name__) if code.co_firstlineno in lines]
    wanted = dict.fromkeys(free for code in codes for free in code.co_freevars)
    head = {}
    bases = getattr(value, '__orig_bases__', value.__bases__)
    for place, base in enumerate(node.bases):
        if isinstance(base, ast.Name) and base.id not in scope and len(bases) == len(node.bases):
            head[base.id] = bases[place]
    for part in node.bases + node.keywords + node.decorator_list:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Name) and inner.id not in scope and not hasattr(builtins, inner.id):
                wanted[inner.id] = None
    wanted.pop('__class__', None)
    wanted.pop(value.__name__, None)
    there = dict(head)
    for method in methods:
        for free, variable in zip(method.__code__.co_freevars, method.__closure__ or ()):
            try:
                there.setdefault(free, variable.cell_contents)
            except ValueError:
                pass
    missing = [free for free in wanted if free not in there]
    if missing:
        raise TypeError('%s cannot be sent: its statement uses %r, a variable of a function that has ended' % (
            name, missing[0]))
    return {free: there[free] for free in wanted}


def number_of(value):
    """The number of a class or the like, which it keeps."""
    key = id(value)
    known = tokens.get(key)
    if not known:
        # In one step, for other threads may send it too; and gone when the class is, before another has its `id`.
        known = tokens.setdefault(key, (next(numbers), weakref.ref(value, lambda _: tokens.pop(key, None))))
    return known[0]


def by_value(value):
    """Makes a class of a kind that is known from what it has."""
    module, make, kwargs = value.__module__, None, {}
    if issubclass(value, tuple) and hasattr(value, '_fields') and value.__bases__ == (tuple,):
        from collections import namedtuple as make
        args = value.__name__, list(value._fields)
        if getattr(value, '_field_defaults', None):
            kwargs['defaults'] = tuple(value._field_defaults.values())
    elif issubclass(value, enum.Enum):
        make, *mixed = reversed(value.__bases__)
        args = value.__name__, [(name, member.value) for name, member in value.__members__.items()]
        if mixed:
            kwargs['type'] = mixed[0]
    return (once, (number_of(value), make, args, kwargs, module)) if make else None


def variable(value):
    """A `TypeVar`."""
    if is_importable(value.__module__):
        return NotImplemented
    kwargs = {key: True for key in ('covariant', 'contravariant') if getattr(value, '__%s__' % key)}
    if value.__bound__ is not None:
        kwargs['bound'] = value.__bound__
    return once, (number_of(value), type(value), (value.__name__,) + value.__constraints__, kwargs, value.__module__)


def label_of(function):
    return getattr(function, '__qualname__', None) or type(function).__qualname__


def aside(value, beside):
    """The value, or what stands for it if it is large."""
    if type(value) is bytes and len(value) >= LARGE:
        beside.append(value)
        return Large(len(beside) - 1)
    return value


def pack(name, module, function, args, kwargs, protocol, known):
    """As `_call.pack`, for what is more than a name and scalars."""
    if not callable(function):
        raise TypeError('%r is not callable' % (function,))
    try:
        sender = idle[protocol].pop()
    except (KeyError, IndexError):
        sender = Sender(protocol)
    beside = []
    for value in args:
        if type(value) is bytes and len(value) >= LARGE:
            args = tuple([aside(value, beside) for value in args])
            break
    for value in kwargs.values():
        if type(value) is bytes and len(value) >= LARGE:
            kwargs = {key: aside(value, beside) for key, value in kwargs.items()}
            break
    try:
        sender.dump((name or sender.shortly(function), args, kwargs or None))
    except Exception as error:
        # Its text has the reason. What was raised on the way to it is of this package alone.
        raise blame(name or function, args, kwargs, protocol, error) from (
            None if isinstance(error, NoSource) else error)
    if name:
        sender.modules[module] = None
    definitions, keys = [], []
    for number, plan in sender.plans.items():
        if number not in known:
            definitions.append(plan.definition)
            keys.append(number)
    pickled = sender.pieces
    if len(pickled) == 1 and not beside and not sender.buffers:
        data = pickled[0]
        message = [b''.join((
            HEAD, COUNT(len(data)), data, b'(', COUNT(len(definitions)), *definitions, b'(\0\0\0\0(\0\0\0\0N'))]
    else:
        message = encoded(pickled, definitions, beside, sender.buffers)
    packed = Packed(None, message, tuple(sender.modules), name or label_of(function), keys)
    if len(message) == 1 and len(message[0]) < LARGE:
        # The memory of one that has had many objects would be cleared at each call from here on.
        sender.forget()
        idle.setdefault(protocol, []).append(sender)
    return packed


# protocol -> senders that are not in use
idle = {}
# A tuple of `None`, a tuple of four whose first are bytes, and `None`.
HEAD = b'(\3\0\0\0N(\4\0\0\0s'


COUNT = struct.Struct('<I').pack


def encoded(pickled, definitions, beside, buffers):
    """The message, as `marshal` would write it."""
    pieces = [HEAD, COUNT(sized(pickled)), *pickled, b'(', COUNT(len(definitions)), *definitions]
    for group in beside, buffers:
        pieces += b'(', COUNT(len(group))
        for data in group:
            pieces += b's', COUNT(sized([data])), data
    pieces.append(b'N')
    # Small ones together, large ones as they are.
    message, small = [], []
    for piece in pieces:
        if len(piece) < LARGE:
            small.append(piece)
        else:
            message += b''.join(small), piece
            small = []
    message.append(b''.join(small))
    return message


def sized(pieces):
    size = sum(map(len, pieces))
    if size >> 31:
        raise ValueError('arguments of %d bytes are too large: 2 GiB is the limit' % size)
    return size


def blame(function, args, kwargs, protocol, error):
    """The error that says what could not be sent."""
    named = [('argument %d' % (place + 1), value) for place, value in enumerate(args)]
    named += [('argument %r' % key, value) for key, value in kwargs.items()]
    label = function.rpartition(':')[2] if type(function) is str else label_of(function)
    for name, value in named:
        cause = trouble(value, protocol)
        if cause:
            return TypeError('%s of %s cannot be sent: %s' % (name, label, reason(value, protocol, cause)))
    return TypeError('%s cannot be sent: %s' % (label, reason(function, protocol, error)))


def trouble(value, protocol):
    """The exception that it raises to pickle a value, if it does."""
    try:
        Sender(protocol).dump(value)
    except Exception as error:
        return error
    return None


def reason(value, protocol, error, depth=0):
    """Why a value cannot be sent: for a function, which of its variables."""
    if isinstance(error, NoSource):
        return error.why if error.name == label_of(value) else '%s: %s' % (error.name, error.why)
    if isinstance(error, RecursionError):
        return 'it is nested too deep'
    value = getattr(value, '__func__', value)
    plan = plans.get(id(getattr(value, '__code__', None)))
    if plan and depth < 10:
        inner = [('global variable', name, plan.scope.get(name)) for name in plan.variable]
        for name, around in zip(value.__code__.co_freevars, value.__closure__ or ()):
            try:
                inner.append(('variable', name, around.cell_contents))
            except ValueError:
                pass
        for kind_of, name, held in inner:
            cause = trouble(held, protocol) if held is not value else None
            if cause:
                return 'its %s %r: %s' % (kind_of, name, reason(held, protocol, cause, depth + 1))
    text = str(error)
    return text if isinstance(error, (pickle.PicklingError, TypeError)) and text else '%s: %s' % (
        type(error).__name__, text)
