"""Interrupts, ends and forks of the controller."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from conftest import PATIENCE, is_alive, until


def test_ctrl_c_interrupts_a_call_and_ends_what_it_started(tun, tmp_path):
    pid = tmp_path / 'pid'
    tun.connect()

    def interrupt():
        until(lambda: pid.exists() and pid.read_text())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        tun.call(subprocess.call, 'echo $$ > %s; exec sleep 1000' % pid, shell=True)
    thread.join()
    until(lambda: not is_alive(int(pid.read_text())))
    assert tun.call(len, 'abc') == 3


def test_program_that_ignores_the_end_of_its_input_is_ended_with_ours(script):
    out = script("""
        import signal, threading
        from chopsticks.tunnel import Command

        def interrupt(pid):
            while not os.path.exists(pid) or not os.stat(pid).st_size:
                time.sleep(.01)
            os.kill(os.getpid(), signal.SIGINT)

        def connect(pid, keeps):
            tunnel = Command(pid, ['sh', '-c', 'echo $$ > %s; exec sleep 1000' % pid])
            if keeps:
                kept.append(tunnel)
            tunnel.connect()

        kept = []
        for keeps in False, True:
            pid = '%s.%s' % (__file__, keeps)
            threading.Thread(target=interrupt, args=(pid,)).start()
            try:
                connect(pid, keeps)
            except KeyboardInterrupt:
                print(open(pid).read())
    """)
    assert len(out.split()) == 2 and not any(is_alive(int(pid)) for pid in out.split())


def test_second_ctrl_c_ends_a_program_that_waits_at_its_end(tmp_path):
    path = tmp_path / 'script.py'
    path.write_text("""
import sys, threading, time
import chopsticks.tunnel

def handle(host, line):
    print('handles', flush=True)
    threading.Event().wait()

# How long the end waits for the handler.
chopsticks.tunnel.PATIENCE = 1000
tun = chopsticks.tunnel.Local(python=sys.executable)
tun.stderr = handle
try:
    tun.call(eval, '__import__("sys").stderr.write("line\\\\n") and __import__("time").sleep(1000)')
except KeyboardInterrupt:
    print(tun.call(eval, '__import__("os").getpid()'), flush=True)
""")
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout.readline() == 'handles\n'
            program.send_signal(signal.SIGINT)
            agent = int(program.stdout.readline())
            # The end has begun: it has closed the tunnel, and waits for the handler.
            until(lambda: not is_alive(agent))
            while program.poll() is None:
                program.send_signal(signal.SIGINT)
                time.sleep(0.05)
            # As with threads of `concurrent.futures`, that is told, and changes no status.
            assert 'KeyboardInterrupt' in program.stderr.read()
            assert program.returncode in (0, -signal.SIGINT)
        finally:
            program.kill()


def test_handler_of_a_signal_may_call(tun):
    found = []

    def handler(*_):
        found.append(tun.call(len, 'abc'))
        raise ZeroDivisionError

    before = signal.signal(signal.SIGALRM, handler)
    tun.connect()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(ZeroDivisionError):
            tun.call(time.sleep, 1000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found == [3]


@pytest.mark.parametrize(
    ('end', 'status'),
    [
        ('pass', 0),
        ('sys.exit(3)', 3),
        ('1 / 0', 1),
        ('del tun', 0),
        ('threading.Thread(target=tun.call, args=(time.sleep, 1000), daemon=True).start()\ntime.sleep(.3)', 0),
        ('tun.call(noisy.start)', 0),
    ],
)
def test_program_ends_with_a_tunnel_open(script, tmp_path, end, status):
    (tmp_path / 'noisy.py').write_text(
        'import sys, threading, time\n\n\n'
        'def start():\n    threading.Thread(target=run, daemon=True).start()\n\n\n'
        'def run():\n    while True:\n        sys.stderr.write("noise\\n")\n        time.sleep(.001)\n'
    )
    out = script('import threading, noisy\ntun = Here()\nprint(tun.call(os.getpid))\nsys.stdout.flush()\n' + end, status=status)
    until(lambda: not is_alive(int(out)))


def test_killed_controller_leaves_nothing(tmp_path):
    text = (
        'import sys, subprocess\nfrom chopsticks.tunnel import Local\n'
        'Local(python=sys.executable).call(subprocess.call, "echo $$ $PPID; exec sleep 1000 >&2", shell=True)\n'
    )
    text = text.replace('echo $$ $PPID', 'echo $$ $PPID > %s' % (tmp_path / 'pids'))
    controller = subprocess.Popen([sys.executable, '-c', text])
    pids = tmp_path / 'pids'
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    controller.kill()
    controller.wait(PATIENCE)
    for pid in pids.read_text().split():
        until(lambda pid=pid: not is_alive(int(pid)))


def test_deadline_within_a_deadline_is_the_earlier(script):
    assert (
        script("""
        import chopsticks
        tun = Here()
        tun.connect()
        with chopsticks.timeout(1000):
            try:
                with chopsticks.timeout(.3):
                    tun.call(time.sleep, 1000)
            except chopsticks.Timeout:
                print('late')
            print(tun.call(len, 'abc'))
    """)
        == 'late\n3\n'
    )


def test_program_ends_although_its_handler_of_stderr_is_slow(script):
    out = script("""
        import chopsticks.tunnel, threading

        def write():
            for number in range(10000):
                sys.stderr.write('%d\\n' % number)
            sys.stderr.flush()

        def handle(host, line):
            came.set()
            time.sleep(0.1)

        # How long it is waited for.
        chopsticks.tunnel.PATIENCE = 0.5
        came, tun = threading.Event(), Here()
        tun.stderr = handle
        threading.Thread(target=tun.call, args=(write,), daemon=True).start()
        came.wait()
        print('end')
    """)
    assert out == 'end\n'


def test_tunnel_that_is_used_after_the_end_is_an_error(tmp_path):
    path = tmp_path / 'script.py'
    path.write_text(
        'import atexit, os, sys\n\n\n'
        'def use():\n'
        '    try:\n        tun.call(os.getpid)\n'
        '    except RuntimeError as e:\n        print(e)\n\n\n'
        # Before that of the package, so that it is called after it.
        'atexit.register(use)\n'
        'from chopsticks.tunnel import Local\n'
        'tun = Local(python=sys.executable)\ntun.call(os.getpid)\n'
    )
    out = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, timeout=PATIENCE).stdout
    assert out == 'tunnels cannot be used any more while Python ends\n'
