"""The errors of tunnels."""
from chopsticks._agent import native, text, word


class RemoteException(Exception):
    """What went wrong on another host, or on the way there.

    `host` is its name, `msg` what happened, `tb` the traceback over there or `None`, and `type_name` the type of an
    exception that was raised there, as text.
    """
    __module__ = 'chopsticks.tunnel'
    type_name = None

    def __init__(self, msg, host=None, tb=None):
        self.msg, self.host, self.tb = word(msg), host, word(tb) if tb else None
        whole = '%s: %s' % (host, native(msg)) if host else native(msg)
        if tb:
            whole += '\n\nOn %s:\n%s' % (host, native(tb).rstrip())
        Exception.__init__(self, whole)


class Disconnected(RemoteException):
    """A tunnel did not come about, or its connection was lost. The next use of the tunnel connects again."""
    __module__ = 'chopsticks.tunnel'
    # Whether there was an agent; and if not, whether the server dropped the connection unseen, and may take it later.
    is_connected = is_refused = False

    def copy(self):
        """One for each who hears of it: what is raised holds on to where, and so to its tunnel."""
        error = Disconnected(self.msg, self.host)
        error.is_connected, error.is_refused = self.is_connected, self.is_refused
        return error


class Timeout(RemoteException):
    """A deadline has passed. Controllers alone set deadlines."""
    __module__ = 'chopsticks.tunnel'


class DepthLimitExceeded(Exception):
    """There would be more tunnels, one in another, than `chopsticks.DEPTH_LIMIT`."""
    __module__ = 'chopsticks.tunnel'


class ErrorResult(object):
    """What a group has in place of the result of a host that failed: `msg`, and `tb`, a traceback or `None`."""

    def __init__(self, msg, tb=None):
        self.msg, self.tb = msg, tb

    def __repr__(self):
        return 'ErrorResult(%r)' % (self.msg,)

    def __str__(self):
        return native(text(self.msg))


def error_result(error):
    if isinstance(error, RemoteException):
        return ErrorResult(error.msg, error.tb)
    if isinstance(error, KeyboardInterrupt):
        return ErrorResult('cancelled')
    return ErrorResult(word('%s: %s' % (type(error).__name__, error)))
