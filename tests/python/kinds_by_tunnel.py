"""Runs `kinds.py` with a tunnel of the package; the argument is the interpreter of the agent."""

import os
import runpy
import sys
import types

from chopsticks.facts import python_version
from chopsticks.tunnel import Local, RemoteException


class Failed(Exception):
    def __init__(self, error):
        self.info = {'traceback': str(error)}


class Tunnel:
    def __enter__(self):
        self.tunnel = Local(python=sys.argv[1]).__enter__()
        self.version = tuple(self.tunnel.call(python_version))
        return self

    def __exit__(self, *exc):
        self.tunnel.close()

    def call(self, function, *args, **kwargs):
        try:
            return self.tunnel.call(function, *args, **kwargs)
        except RemoteException as e:
            raise Failed(e) from None

    call_known = call


sys.modules['far'] = far = types.ModuleType('far')
far.Tunnel, far.harness = Tunnel, types.SimpleNamespace(Failed=Failed)
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kinds.py'), run_name='__main__')
