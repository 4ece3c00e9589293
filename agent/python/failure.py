"""The failure of a call, as data."""

part('importer')


def described(error):
    try:
        return str(error)
    except UnicodeError:
        return unicode(error)
    except BaseException as e:
        return '<its text is not available: %s>' % type(e).__name__


def missing(error, function):
    """The text for a module that is not there, which `function` names: which part of the name, and what is like it.

    Modules of the codebase are not named: the controller knows them better.
    """
    if type(function) is tuple or not isinstance(error, ImportError):
        return None
    part('callables')
    module = function.partition(':')[0]
    name = getattr(error, 'name', None)
    if not name:
        # Python 2 tells the last part alone.
        names, leaf = module.split('.'), str(error).split(' ')[-1]
        name = '.'.join(names[:names.index(leaf) + 1]) if leaf in names else module
    parent, _, leaf = name.rpartition('.')
    if parent:
        there = [n for n in dir(sys.modules.get(parent)) if n not in listing.get(parent, ())]
    else:
        there = set(n for n in list(sys.modules) if '.' not in n and n not in listing.get('', ()))
        there.update(sys.builtin_module_names, getattr(sys, 'stdlib_module_names', ()))
    return described(error) + close_to(leaf, there)


def shadowed(error, function):
    """What there is to say where the codebase has a module of this name as well, and this host's own has come first."""
    name = getattr(error, 'name', None) if isinstance(error, ImportError) else getattr(
        getattr(error, 'obj', None), '__name__', None)
    top = to_text(name or type(function) is not tuple and function or '').replace(':', '.').partition('.')[0]
    module = sys.modules.get(str(top))
    if not module or top not in listing.get('', ()) or type(getattr(module, '__loader__', 0)).__module__ == __name__:
        return ''
    file = getattr(module, '__file__', None) or 'built in'
    if 'chopsticks-' + nonce in file:
        return ''
    return '; %s is the module of that name on this host (%s), which comes before the one of the codebase' % (top, file)


def show_lines(error, trace, seen):
    """Gives `linecache` the lines of the codebase, in whose place this host may have other files of the same name."""
    import linecache
    seen.add(id(error))
    while trace:
        frame = trace.tb_frame
        loader, file = frame.f_globals.get('__loader__'), frame.f_code.co_filename
        source = getattr(loader, 'source', None) if getattr(loader, 'file', 0) == file else None
        if source and file not in seen:
            seen.add(file)
            text = get_source(loader)
            linecache.cache[file] = len(text), None, [line + '\n' for line in text.splitlines()], file
        trace = trace.tb_next
    others = [getattr(error, name, None) for name in ('__cause__', '__context__')]
    for other in others + list(getattr(error, 'exceptions', ())):
        if other is not None and id(other) not in seen and len(seen) < 1000:
            show_lines(other, getattr(other, '__traceback__', None), seen)


def failure(stage, request):
    """The operation, format and payload for the exception at hand, met at `stage` of `request`."""
    kind, error, trace = sys.exc_info()
    message = described(error)
    if isinstance(error, SystemExit):
        code = error.code
        if code is None or isinstance(code, int):
            # The end of a program that has done its work: it returns nothing.
            if not code and stage == 'raised' and request not in cancelled:
                return REPLY, MARSHAL, marshal.dumps(None, 2)
            message = 'exit status %d' % (code or 0)
            if stage == 'function':
                message += ' while the module was imported'
    elif isinstance(error, MemoryError):
        message = message or 'out of memory'
        if stage in ('argument', 'result'):
            message = 'MemoryError: ' + message
    import traceback
    inner = trace
    while inner.tb_next:
        inner = inner.tb_next
    if stage == 'function':
        if inner.tb_frame.f_globals is globals() and isinstance(
                error, (AttributeError, ImportError, TypeError, ValueError)):
            function = trace.tb_frame.f_locals.get('function')
            try:
                message = (missing(error, function) or message) + shadowed(error, function)
            except Exception:
                pass
            kind = None
        else:
            stage = 'raised'
    if stage == 'raised' and isinstance(error, (AttributeError, ImportError)):
        try:
            message += shadowed(error, '')
        except Exception:
            pass
    # On 2.7 what is raised may be an instance of a class of the old style.
    kind_of_error = error.__class__ if OLD else type(error)
    module = getattr(kind_of_error, '__module__', '')
    if module == __name__:
        # One of ours that says where it belongs.
        stage = getattr(error, 'stage', stage)
    if request in cancelled:
        stage = 'cancelled'
    # Our own frames tell the user nothing.
    while trace and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    lines = []
    try:
        show_lines(error, trace, set())
    except Exception:
        # As when the source is in no encoding: the lines stay away.
        pass
    if kind and stage not in ('result', 'size', 'argument'):
        try:
            lines = traceback.format_exception(kind, error, trace)
        except BaseException:
            lines = traceback.format_tb(trace)
    # Nor do those of the import system, where they are not left out already: as with a syntax error.
    text = u''.join(to_text(line) for line in lines
                    if not line.startswith(('  File "chopsticks/', '  File "<frozen importlib.')))
    name = kind_of_error.__name__
    if module not in ('builtins', 'exceptions', '__builtin__'):
        name = '%s.%s' % (module, name)
    if module == 'chopsticks.tunnel' and getattr(error, 'tb', None):
        # The text has the traceback of the inner agent at its end, and that is in ours already.
        message = u'%s: %s' % (to_text(error.host), to_text(error.msg))
    if len(text) > 1 << 18:
        text = text[:1 << 17] + '\n[...]\n' + text[-(1 << 17):]
    return FAIL, MARSHAL, marshal.dumps({
        u'kind': to_text(stage), u'type': to_text(name), u'message': to_text(message[:1 << 16]),
        u'traceback': to_text(text)}, 2)
