"""Evaluates what is typed in `chopsticks shell`, under Python 2.7 and 3.4 or later."""

import __future__
import ast
import codeop
import linecache
import os
import sys
import time
import traceback

# What a module has that runs as the program.
NAMES = {'__name__': '__console__', '__doc__': None}
# Tells this session from one on a later connection.
SESSION = '%d %r' % (os.getpid(), time.time())
MAX_TEXT = 1 << 20
MAX_NAMES = 200
IS_PYTHON_2 = sys.version_info[0] == 2

_flags = 0
_count = 0


class _Capture(object):
    """Takes the place of stdout while a block runs."""

    encoding = 'utf-8'
    errors = 'backslashreplace'
    closed = False

    def __init__(self, behind):
        self._behind = behind
        self._pieces = []
        self._len = 0

    def write(self, text):
        if IS_PYTHON_2 and isinstance(text, bytes):
            text = text.decode('utf-8', 'replace')
        self._pieces.append(text)
        self._len += len(text)
        if self._len > MAX_TEXT:
            self.pass_on()
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        pass

    def isatty(self):
        return False

    def fileno(self):
        return self._behind.fileno()

    def take(self):
        text = ''.join(self._pieces)
        self._pieces, self._len = [], 0
        return text

    def pass_on(self):
        """Writes what has come so far to where it would have gone."""
        text = self.take()
        if text:
            if IS_PYTHON_2 and not isinstance(text, str):
                text = text.encode('utf-8')
            self._behind.write(text)
            self._behind.flush()


def is_complete(source):
    """Returns whether a block is complete. A block with an error is."""
    try:
        return codeop.compile_command(_native(source), '<shell>', 'single') is not None
    except (SyntaxError, OverflowError, ValueError):
        return True


def split(source):
    """Returns the blocks of a script, each with one or more statements, or the text of the error."""
    try:
        tree = ast.parse(_native(source), '<stdin>')
    except (SyntaxError, ValueError, OverflowError, TypeError):
        return {'blocks': [], 'error': _short(sys.exc_info())}
    lines = source.splitlines(True)
    starts = []
    for node in tree.body:
        decorators = [decorator.lineno for decorator in getattr(node, 'decorator_list', ())]
        start = min([node.lineno] + decorators) - 1
        if not starts or start > starts[-1]:
            starts.append(start)
    if starts:
        starts[0] = 0
    ends = starts[1:] + [len(lines)]
    blocks, begun = [], None
    for start, end in zip(starts, ends):
        begun = start if begun is None else begun
        # Errors name the lines of the script.
        block = '\n' * begun + ''.join(lines[begun:end])
        # Before Python 3.8 a text of several lines seems to begin in its last one.
        if end == len(lines) or _parses(block):
            blocks.append(block)
            begun = None
    return {'blocks': blocks, 'error': None}


def _parses(source):
    try:
        ast.parse(_native(source))
    except SyntaxError:
        return False
    return True


def evaluate(source, captures):
    """Runs a block. Returns what it has printed, the value of its last expression, and its error."""
    global _count
    _count += 1
    name = '<shell %d>' % _count
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    values = []
    display, stdout = sys.displayhook, sys.stdout
    capture = _Capture(stdout) if captures else None
    error = None
    sys.displayhook = lambda value: _display(value, capture, values)
    if captures:
        sys.stdout = capture
    is_over = False
    try:
        try:
            _run(source, name)
        except (Exception, SystemExit, GeneratorExit):
            kind, value, trace = sys.exc_info()
            # Where Python's own prompt has them: for `traceback.print_last` and `pdb.pm`.
            sys.last_type, sys.last_value, sys.last_traceback = kind, value, trace
            error = _short((kind, value, trace))
            del trace
        is_over = True
    finally:
        sys.displayhook = display
        if captures and sys.stdout is capture:
            sys.stdout = stdout
        if captures and not is_over:
            capture.pass_on()
    printed = _text(capture.take()) if captures else ''
    return {'session': SESSION, 'printed': printed, 'value': '\n'.join(values), 'error': error}


def complete(text):
    """Returns the names that begin so."""
    import rlcompleter
    import warnings

    completer = rlcompleter.Completer(NAMES)
    found = []
    try:
        # Some Pythons have only a part of `readline`, and warn of what is missing.
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            while len(found) < MAX_NAMES:
                name = completer.complete(text, len(found))
                if name is None or name in found:
                    break
                found.append(name)
    except Exception:
        pass
    return [_text(name) for name in found]


def _run(source, name):
    global _flags
    tree = compile(_native(source), name, 'exec', _flags | ast.PyCF_ONLY_AST, True)
    for node in tree.body:
        code = compile(ast.Interactive([node]), name, 'single', _flags, True)
        for feature in __future__.all_feature_names:
            flag = getattr(__future__, feature).compiler_flag
            if code.co_flags & flag:
                _flags |= flag
        exec(code, NAMES)


def _native(source):
    # Literals of Python 2 are bytes, in UTF-8 as on a terminal. The coding has to be said.
    if IS_PYTHON_2 and not isinstance(source, bytes):
        return b'\xef\xbb\xbf' + source.encode('utf-8')
    return source


def _display(value, capture, values):
    if value is None:
        return
    NAMES['_'] = value
    if capture is None:
        values.append(_text(repr(value)))
    else:
        # In its turn among what is printed.
        capture.write(_text(repr(value)) + '\n')


def _short(exception):
    """Returns the exception without the lines of this file: where it was raised, and what it says."""
    kind, value, trace = exception
    lines = traceback.format_exception_only(kind, value)
    frames = [frame for frame in traceback.extract_tb(trace) if frame[0].startswith('<shell ')]
    # The line that was typed last is on the screen.
    if len(frames) > 1:
        lines[:0] = traceback.format_list(frames[-1:])
    return _text(''.join(line if isinstance(line, str) else line.encode('utf-8') for line in lines).rstrip('\n'))


def _text(text):
    if isinstance(text, bytes):
        text = text.decode('utf-8', 'replace')
    else:
        # Python 3 has names in it that are not UTF-8.
        text = text.encode('utf-8', 'backslashreplace').decode('utf-8')
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + '... %d characters more' % (len(text) - MAX_TEXT)
    return text
