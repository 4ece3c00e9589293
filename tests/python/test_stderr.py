"""Handlers of what hosts write to stderr."""

import os
import signal
import sys
import threading
import time

import pytest

from chopsticks.group import Group
from chopsticks.tunnel import Local
from conftest import PATIENCE, until
from remote import print_to_stderr, write_and_sleep, write_lines


def test_lines_of_a_call_are_handled_before_its_result_in_their_order(tun):
    lines = []
    tun.stderr = lambda host, line: lines.append((host, line))
    for count in range(1, 30):
        tun.call(write_lines, 20)
        tun.close()
        assert lines == [('localhost', str(number)) for number in range(20)] * count


def test_handler_that_blocks_holds_up_no_other_tunnel(tun):
    began, go, seen = threading.Event(), threading.Event(), []

    def block(host, line):
        began.set()
        assert go.wait(PATIENCE)
        seen.append(line)

    with Local('other', python=sys.executable) as other:
        tun.stderr, lines = block, []
        other.stderr = lambda host, line: lines.append(line)
        tun.call(print_to_stderr, 'one')
        assert began.wait(PATIENCE)
        assert tun.call(len, 'abc') == 3
        other.call(print_to_stderr, 'two')
        until(lambda: lines == ['two'])
        assert list(Group([tun, other]).call(len, 'ab').values()) == [2, 2]
        assert seen == []
        go.set()
        until(lambda: seen == ['one'])


def test_many_handlers_may_block():
    go, seen = threading.Event(), []
    tunnels = [Local('host%d' % number, python=sys.executable) for number in range(5)]
    for tunnel in tunnels:
        tunnel.stderr = lambda host, line: seen.append((host, go.wait(PATIENCE)))
    with Group(tunnels) as group, Local('last', python=sys.executable) as last:
        group.call(print_to_stderr, 'x').raise_failures()
        lines = []
        last.stderr = lambda host, line: lines.append(line)
        last.call(print_to_stderr, 'y')
        until(lambda: lines == ['y'])
        go.set()
        until(lambda: len(seen) == 5)
    assert sorted(seen) == [('host%d' % number, True) for number in range(5)]


def test_lines_that_a_stuck_handler_has_no_room_for_are_counted(tun):
    go, lines = threading.Event(), []

    def block(host, line):
        assert go.wait(PATIENCE)
        lines.append(line)

    tun.stderr = block
    count, end = 3000, '.' * 1000
    tun.call(write_lines, count, end)
    assert tun.call(len, 'abc') == 3
    go.set()
    tun.close()
    shown = [line for line in lines if line.endswith(end)]
    notes = [line for line in lines if not line.endswith(end)]
    left_out = sum(int(note.split()[1]) for note in notes)
    assert all('left out, for the handler of stderr is too slow' in note for note in notes)
    assert left_out and len(shown) + left_out == count
    assert [int(line.split('.')[0]) for line in shown] == sorted(int(line.split('.')[0]) for line in shown)


def test_handler_that_keeps_up_loses_nothing(tun):
    lines = []
    tun.stderr = lambda host, line: lines.append(line)
    tun.call(write_lines, 30000, '.' * 100)
    tun.close()
    assert [int(line.split('.')[0]) for line in lines] == list(range(30000))


def test_handler_may_use_tunnels_its_own_too(tun):
    found = []

    def handle(host, line):
        found.append(tun.call(len, line))

    tun.stderr = handle
    tun.call(print_to_stderr, 'four')
    until(lambda: found == [4])


def test_exception_of_a_handler_is_reported_and_costs_its_line_alone(tun, monkeypatch):
    caught, lines = [], []
    monkeypatch.setattr(sys, 'unraisablehook', lambda args: caught.append((args.exc_type, args.exc_traceback is not None)))

    def handle(host, line):
        if line == '1':
            raise SystemExit(3)
        lines.append(line)

    tun.stderr = handle
    tun.call(write_lines, 3)
    tun.close()
    assert caught == [(SystemExit, True)] and lines == ['0', '2']


def test_ctrl_c_while_a_handler_runs_interrupts_the_call(tun):
    def handle(host, line):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)

    tun.stderr = handle
    with pytest.raises(KeyboardInterrupt):
        tun.call(write_and_sleep)
    tun.stderr = None
    assert tun.call(len, 'abc') == 3


def test_program_ends_although_a_handler_blocks(script):
    out = script("""
        import chopsticks.tunnel, threading

        def handle(host, line):
            came.set()
            threading.Event().wait()

        def write():
            sys.stderr.write('a\\nb\\nc\\n')

        # How long it is waited for.
        chopsticks.tunnel.PATIENCE = 0.2
        came, tun = threading.Event(), Here()
        tun.stderr = handle
        tun.call(write)
        came.wait()
        print('end')
    """)
    assert out == 'end\n'


def test_child_handles_lines_of_its_own(script):
    out = script("""
        import threading

        def handle(host, line):
            came.set()
            if line == 'parent':
                go.wait()
            print(line)
            sys.stdout.flush()

        def write(text):
            sys.stderr.write(text + '\\n')

        came, go, tun = threading.Event(), threading.Event(), Here()
        tun.stderr = handle
        tun.call(write, 'parent')
        came.wait()
        child = os.fork()
        if not child:
            tun.call(write, 'child')
            tun.close()
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        go.set()
        tun.close()
    """)
    assert out == 'child\nparent\n'
