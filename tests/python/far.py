"""Packs calls as the Python package does, and makes them in an agent of `agent/tests/harness.py`.

Scripts that import it are run as `__main__` by the interpreter of the controller; their argument is that of the agent.
"""
import os
import sys
import types

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(1, os.path.join(ROOT, 'agent', 'tests'))
try:
    import chopsticks  # noqa: F401
except ImportError:
    # The two modules alone, without those that need what is compiled.
    package = types.ModuleType('chopsticks')
    package.__path__ = [os.path.join(ROOT, 'crates', 'chopsticks-python', 'python', 'chopsticks')]
    sys.modules['chopsticks'] = package

import harness  # noqa: E402
from chopsticks._call import pack, protocol_for  # noqa: E402


class Tunnel:
    """A connection to an agent."""

    def __init__(self, python=None, **kwargs):
        self.agent = harness.Agent(python=python or (sys.argv[1:] or [sys.executable])[0], **kwargs)
        self.agent.wait(lambda: self.agent.hello)
        self.version = tuple(self.agent.hello['python'])
        self.protocol = protocol_for(self.version)
        self.known = set()

    def send(self, message):
        agent, data = self.agent, b''.join(message)
        agent.request += 2
        for at in range(0, len(data), 1 << 17):
            piece = data[at:at + (1 << 17)]
            flags = harness.MARSHAL | (harness.MORE if at + len(piece) < len(data) else 0)
            agent.write(harness.HEADER.pack(len(piece), agent.request, harness.CALL, flags) + piece)
        return agent.request

    def call(self, function, *args, **kwargs):
        return self.agent.result(self.send(pack(function, args, kwargs, self.protocol).message))

    def call_known(self, function, *args, **kwargs):
        """A call that leaves out what the agent has been sent by calls like it."""
        packed = pack(function, args, kwargs, self.protocol, self.known)
        result = self.agent.result(self.send(packed.message))
        self.known.update(packed.keys)
        return result

    def fails(self, function, *args, **kwargs):
        """The failure of a call, a dict."""
        return self.agent.failure(self.send(pack(function, args, kwargs, self.protocol).message))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.agent.kill()
