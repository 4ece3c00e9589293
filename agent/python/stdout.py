"""`sys.stdout`, until somebody writes there: docs/wire.md, section 12.

The controller sends this part in EXTEND, behind START, if it wants what user code prints. It is small, since it goes
to every agent: `printing`, which does the work, is asked for when it is needed.
"""


class Unused(object):
    """Stands in for `sys.stdout`; code that keeps it can go on using it."""
    closed = False
    encoding = 'utf-8'

    def __getattr__(self, name):
        if name[:2] == '__':
            raise AttributeError(name)
        return getattr(used_stdout(), name)

    def fileno(self):
        return 1

    def isatty(self):
        return False

    def flush(self):
        if 'printing' in compiled:
            printed.flush()


def used_stdout():
    """What sends it; stderr where that cannot be asked for: in a forked process, and while this thread reads."""
    frame = sys._getframe()
    while frame and 'printing' not in compiled:
        # The end of an object of the user's may come anywhere.
        if frame.f_code in (next_call.__code__, watch.__code__):
            return sys.stderr
        frame = frame.f_back
    try:
        part('telling')
        part('printing')
        return printed
    except ImportError:
        return sys.stderr


sys.stdout = sys.__stdout__ = unused = Unused()
