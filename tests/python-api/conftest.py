"""For pytest alone: agents run under the interpreter that runs the tests."""

import sys

from chopsticks.tunnel import Local, Sudo

Local.python3 = Sudo.python3 = sys.executable
