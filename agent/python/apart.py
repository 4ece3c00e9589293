"""The guard of an agent of much memory: a program of its own, which shares none of that."""

GUARD = """import os
e = getattr(os, 'environb', os.environ)
d = dict(parts=[])
exec(e.pop(b'CHOPSTICKS_0'), d)
exec(e.pop(b'CHOPSTICKS_1'), d)
exec(e.pop(b'CHOPSTICKS_2'), d)
import select
d.update(PID=%d, nonce=str(e.pop(b'CHOPSTICKS_3').decode())[::-1], polls=[select.poll])
d['compiled'].add('ending')
d['watch_over'](%d)"""


def run_apart(born):
    """Runs the guard in place of this process, a fork of the agent's. Returns where that cannot be."""
    if not born:
        return
    # The mark must not be in its environment, so that the cancel of a call does not end it.
    try:
        posix.execve(sys.executable, [sys.executable, '-s', '-S', '-E', '-c', GUARD % (PID, born)], dict(
            os.environ, CHOPSTICKS_AGENT=os.environ.get('CHOPSTICKS_AGENT', '').replace(':' + nonce, ''),
            CHOPSTICKS_0=b'\n'.join(core), CHOPSTICKS_1=source_of('guard'), CHOPSTICKS_2=source_of('ending'),
            CHOPSTICKS_3=nonce[::-1]))
    except (EnvironmentError, TypeError, ValueError):
        pass


apart.append(run_apart)
