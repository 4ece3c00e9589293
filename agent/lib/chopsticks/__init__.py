"""The package that every host can import, whatever codebase its tunnel serves."""
import sys

HOMES = {
    'tunnel': ('BaseTunnel', 'Command', 'DepthLimitExceeded', 'Disconnected', 'Docker', 'ErrorResult', 'Local',
               'Podman', 'RemoteException', 'SSHTunnel', 'SubprocessTunnel', 'Sudo', 'Timeout', 'Tunnel'),
    'group': ('Group', 'GroupResult', 'Limits'),
    'queue': ('AsyncResult', 'NotCompleted', 'Queue')}


def options():
    """Those of this agent; none where the package was imported from a disk."""
    run = getattr(globals().get('__loader__'), 'exec_module', None)
    return getattr(getattr(run, '__func__', None), '__globals__', {}).get('options', {})


class Package(type(sys)):
    """Imports what is asked for by name when it is first asked for: facts need no tunnels.

    Modules have no such hook before Python 3.7, instances of a class of modules always had.
    """

    def __getattr__(self, name):
        for home, names in HOMES.items():
            if name in names:
                __import__('chopsticks.' + home)
                return getattr(sys.modules['chopsticks.' + home], name)
        if name in ('Executor', 'Pool', 'PoolOutcome', 'PoolRun', 'timeout'):
            from chopsticks._controllers import absent
            setattr(self, name, absent(name))
            return self.__dict__[name]
        raise AttributeError("module 'chopsticks' has no attribute %r" % name)


__version__ = '0.1.0'
__versioninfo__ = (0, 1, 0)
# How many tunnels, one in another, may lead from the controller to an agent.
_DEPTH_LIMIT = 2
DEPTH_LIMIT = options().get('depth_limit', _DEPTH_LIMIT)
package = Package(__name__)
# Python 2 empties a module that nobody holds any more.
package.origin = sys.modules[__name__]
package.__dict__.update((name, value) for name, value in list(globals().items()) if name != 'package')
sys.modules[__name__] = package
