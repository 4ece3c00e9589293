"""Functions that have a name in a module, and arguments of plain types, as a call carries them."""

from __future__ import annotations

import sys
from marshal import dumps
from types import FunctionType, MethodType, ModuleType
from typing import Any, Callable

from chopsticks._chopsticks import Operation


def name_of(function: Callable[..., Any]) -> str:
    """The name that leads to a function, here and there."""
    if not callable(function):
        raise TypeError('%r is not callable' % (function,))
    owner = getattr(function, '__self__', None)
    cls = owner if isinstance(owner, type) else getattr(function, '__objclass__', None)
    module = getattr(cls or function, '__module__', None)
    path = getattr(function, '__qualname__', None)
    if cls is not None and isinstance(function, (MethodType, type(len))):
        path = '%s.%s' % (cls.__qualname__, function.__name__)
    if owner is None or isinstance(owner, (type, ModuleType)):
        if module and path and '<' not in path and module != '__main__':
            found: Any = sys.modules.get(module)
            for part in path.split('.'):
                found = getattr(found, part, None)
            if found is function or type(function) is not FunctionType and found == function:
                return path if module == 'builtins' and '.' not in path else '%s:%s' % (module, path)
    raise TypeError('%s cannot be called on another host: it has no name in a module' % (path or function,))


def packed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
    """The call of a function."""
    name = name_of(function)
    # Version 2, which every Python reads.
    return Operation.call(name, [dumps((name, args, kwargs or None), 2)])
