"""What went wrong with a call, as data."""


def described(error):
    try:
        return str(error)
    except UnicodeError:
        return unicode(error)
    except BaseException as e:
        return '<its text cannot be had: %s>' % type(e).__name__


def near(error, trace):
    """Names like the one that was not found."""
    import difflib
    scope = trace.tb_frame.f_locals
    function = scope.get('function')
    if isinstance(error, ImportError):
        wanted, there = getattr(error, 'name', None) or str(error).split(' ')[-1], listing.get('', ())
    else:
        wanted = str(error).rsplit(' ', 1)[-1].strip("'\"")
        there, name = (), function.partition(':')[0] if type(function) is not tuple else ''
        while name and not there:
            there, name = dir(sys.modules[name]) if name in sys.modules else (), name.rpartition('.')[0]
    found = difflib.get_close_matches(wanted, list(there), 3)
    return ' (near: %s)' % ', '.join(found) if found else ''


def failure(stage, request):
    """The payload of FAIL for the exception at hand, met at `stage` of `request`."""
    import traceback
    kind, error, trace = sys.exc_info()
    message = described(error)
    inner = trace
    while inner.tb_next:
        inner = inner.tb_next
    if stage == 'function':
        if inner.tb_frame.f_globals is globals() and isinstance(error, (AttributeError, ImportError, ValueError)):
            try:
                message += near(error, trace)
            except Exception:
                pass
            if type(trace.tb_frame.f_locals.get('function')) is not tuple:
                kind = None
        else:
            stage = 'raised'
    if request in cancelled:
        stage = 'cancelled'
    # Our own frames tell the user nothing.
    while trace and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    lines = []
    if kind and stage not in ('result', 'size', 'argument'):
        try:
            lines = traceback.format_exception(kind, error, trace)
        except BaseException:
            lines = traceback.format_tb(trace)
    # Nor do those of the import system, where they are not left out already: as with a syntax error.
    text = u''.join(to_text(line) for line in lines
                    if not line.startswith(('  File "chopsticks/', '  File "<frozen importlib.')))
    kind = error.__class__
    name = kind.__name__
    module = getattr(kind, '__module__', '')
    if module not in ('builtins', 'exceptions', '__builtin__'):
        name = '%s.%s' % (module, name)
    if len(text) > 1 << 18:
        text = text[:1 << 17] + '\n[...]\n' + text[-(1 << 17):]
    return marshal.dumps({
        u'kind': to_text(stage), u'type': to_text(name), u'message': to_text(message[:1 << 16]),
        u'traceback': to_text(text)}, 2)
