"""What user code prints and logs, which the controller gets as messages."""
import marshal
import os
import sys
import unittest

from harness import MARSHAL, OLD, REPLY, Agent, Case, function, library, source

EXTEND, PRINT, LOG = 0x26, 0x2e, 0x2f
ONWARD = b"\nonward=sys._getframe(1).f_locals.get('payload')\n"


class Telling(Agent):
    """An agent whose output is wanted, and what has come of it, in order with its answers."""

    def __init__(self, level=None, stdout=True, answers=True, *args, **kwargs):
        self.order, self.confirms, self.waiting = [], answers, []
        Agent.__init__(self, *args, **kwargs)
        texts = [source('stdout')] if stdout else []
        if level is not None:
            texts.append(source('logs') + b'\nlog_level=%d\n' % level if not OLD else
                         source('logs') + '\nlog_level=%d\n' % level)
        self.send(0, EXTEND, 0, b'\n'.join(texts) + ONWARD)

    def got(self, request, operation, form, payload):
        if operation in (PRINT, LOG):
            message = marshal.loads(payload)
            self.order.append((operation, message))
            if request:
                self.waiting.append(request)
                if self.confirms:
                    self.confirm()
            with self.came:
                self.came.notify_all()
        else:
            if operation == REPLY:
                self.order.append((operation, request))
            Agent.got(self, request, operation, form, payload)

    def confirm(self):
        while self.waiting:
            self.send(self.waiting.pop(), REPLY, MARSHAL, marshal.dumps(None, 2))

    def printed(self):
        return b''.join(m[u'text'] for o, m in list(self.order) if o == PRINT and u'text' in m)

    def records(self):
        return [m for o, m in list(self.order) if o == LOG and u'message' in m]

    def messages(self):
        return [(m[u'name'], m[u'logger'], m[u'message']) for m in self.records()]

    def lost(self):
        return sum(m.get(u'lost', 0) for _, m in list(self.order) if type(m) is dict)


class Output(Case):
    def begin(self, level=None, **options):
        agent = Telling(level, **options)
        self.addCleanup(agent.kill)
        return agent

    def run_here(self, body, level=None, **options):
        agent = self.begin(level, **options)
        agent.call(function(body))
        return agent


class Printing(Output):
    def test_lines_come_before_the_result_and_nothing_is_loaded_before_them(self):
        agent = self.begin()
        agent.call('os:getpid')
        self.assertEqual([n for n in agent.asked if n in ('.printing', '.telling')], [])
        number = agent.call_later(function(
            'def f():\n    import sys\n    sys.stdout.write("one\\ntwo\\n")\n    return 5\n'))
        self.assertEqual(agent.result(number), 5)
        self.assertEqual(agent.printed(), b'one\ntwo\n')
        self.assertEqual(agent.order[-1], (REPLY, number))
        self.assertEqual(agent.errors, [])

    def test_print_and_what_has_not_ended(self):
        body = ('from __future__ import print_function\ndef f():\n    import sys\n    print("a", 1)\n'
                '    print(u"\\u2026")\n    print("no end", end="")\n')
        agent = self.run_here(body)
        self.assertEqual(agent.printed(), u'a 1\n\u2026\nno end'.encode('utf-8'))
        self.assertEqual(agent.order[-1][0], REPLY)

    def test_flush_sends_what_has_not_ended(self):
        agent = self.begin()
        body = ('def f(gate):\n    import sys, os, time\n    sys.stdout.write("Password: ")\n    sys.stdout.flush()\n'
                '    while not os.path.exists(gate):\n        time.sleep(.01)\n')
        gate = os.path.join(self.folder(), 'gate')
        number = agent.call_later(function(body), gate)
        agent.wait(lambda: agent.printed() == b'Password: ')
        open(gate, 'w').close()
        agent.result(number)

    def test_bytes_and_whoever_keeps_the_file(self):
        body = ('import sys\nkept = sys.stdout\ndef f():\n    kept.write("kept\\n")\n'
                '    if hasattr(kept, "buffer"):\n        kept.buffer.write(b"\\xff\\xfe\\n")\n'
                '    else:\n        kept.write(b"\\xff\\xfe\\n")\n    sys.stdout.writelines(["x", "y\\n"])\n'
                '    kept.write("again\\n")\n'
                '    return kept.isatty(), kept.fileno(), kept.encoding.lower(), sys.__stdout__.isatty()\n')
        agent = self.begin()
        self.assertEqual(agent.call(function(body)), (False, 1, 'utf-8', False))
        self.assertEqual(sorted(agent.printed().split(b'\n')), sorted([b'', b'kept', b'\xff\xfe', b'xy', b'again']))

    def test_redirected_and_replaced(self):
        body = ('import sys, io\ndef f():\n'
                '    before, text = sys.stdout, io.BytesIO() if str is bytes else io.StringIO()\n'
                '    sys.stdout = text\n    print("away")\n    sys.stdout = before\n    print("here")\n'
                '    return text.getvalue()\n')
        agent = self.begin()
        self.assertEqual(agent.call(function(body)), b'away\n' if OLD else 'away\n')
        self.assertEqual(agent.printed(), b'here\n')

    def test_descriptor_1_stays_closed(self):
        agent = self.run_here('import os\ndef f():\n    os.write(1, b"nothing\\n")\n    os.system("echo nothing")\n')
        self.assertEqual((agent.printed(), agent.call('os:getpid') > 0), (b'', True))

    def test_forked_process_writes_to_stderr(self):
        body = ('import os, sys\ndef f(first):\n    if first:\n        print("parent")\n    pid = os.fork()\n'
                '    if not pid:\n        sys.stdout.write("child\\n")\n        sys.stdout.flush()\n'
                '        os._exit(7)\n    return os.waitpid(pid, 0)[1] >> 8\n')
        for first in (True, False):
            agent = self.begin()
            self.assertEqual(agent.call(function(body), first), 7)
            agent.wait(lambda: b'child\n' in agent.errors)
            self.assertEqual(agent.printed(), b'parent\n' if first else b'')

    def test_threads_do_not_mix_their_lines(self):
        body = ('import sys, threading\ndef f():\n    def work(c):\n        for _ in range(200):\n'
                '            sys.stdout.write(c * 30 + "\\n")\n'
                '    threads = [threading.Thread(target=work, args=(c,)) for c in "abc"]\n'
                '    [t.start() for t in threads]\n    [t.join() for t in threads]\n')
        agent = self.run_here(body)
        lines = agent.printed().split(b'\n')
        self.assertEqual(sorted(lines), sorted([b''] + [c * 30 for c in (b'a', b'b', b'c')] * 200))

    def test_controller_that_does_not_confirm_costs_lines_and_no_time(self):
        agent = self.begin(answers=False)
        body = ('import sys, time\ndef f():\n    began = time.time()\n    for n in range(2000):\n'
                '        sys.stdout.write("%d\\n" % n)\n    return time.time() - began\n')
        took = agent.call(function(body))
        self.assertTrue(took < 20, took)
        lines = agent.printed().split()
        # A prefix, of which the number is that of the messages that may be under way.
        self.assertEqual(lines, [b'%d' % n if not OLD else str(n) for n in range(len(lines))])
        self.assertTrue(128 <= len(lines) <= 192, len(lines))
        # When it does, it is told how many have been left out, and gets the next ones.
        agent.confirm()
        agent.wait(lambda: agent.lost())
        self.assertEqual(agent.lost(), 2000 - len(lines))
        agent.confirms = True
        agent.call(function('def f():\n    print("next")\n'))
        self.assertTrue(agent.printed().endswith(b'next\n'))

    def test_signal_handler_may_print(self):
        body = ('import os, signal, sys\ndef f():\n'
                '    signal.signal(signal.SIGUSR1, lambda *_: sys.stdout.write("h\\n"))\n'
                '    for n in range(300):\n        os.kill(os.getpid(), signal.SIGUSR1)\n'
                '        try:\n            sys.stdout.write("n\\n")\n        except RuntimeError:\n            pass\n')
        agent = self.begin()
        agent.call(function(body))
        self.assertEqual(agent.call('os:getcwd') != '', True)

    @unittest.skipIf(hasattr(sys, 'pypy_version_info') and not OLD, 'PyPy 3 loses one in about thirty')
    def test_what_a_signal_handler_raises_arrives_and_breaks_nothing(self):
        body = ('import signal, sys\nclass Late(Exception):\n    pass\ndef late(*_):\n    raise Late\n'
                'def f():\n    signal.signal(signal.SIGALRM, late)\n    raised = 0\n    while raised < 100:\n'
                '        try:\n            signal.setitimer(signal.ITIMER_REAL, .0003)\n            while 1:\n'
                '                sys.stdout.write("x" * 70 + "\\n")\n        except Late:\n            raised += 1\n'
                '    return raised\n')
        agent = self.begin()
        self.assertEqual(agent.call(function(body)), 100)
        agent.call(function('def f():\n    print("still")\n'))
        lines = agent.printed().split(b'\n')
        self.assertEqual(lines[-2:], [b'still', b''])
        self.assertEqual(set(lines[:-2]) - set([b'x' * 70]), set())

    def test_process_that_is_forked_while_others_print_prints_and_ends(self):
        body = ('import os, sys, threading\ndef f():\n    done = []\n    def go_on():\n        while not done:\n'
                '            sys.stdout.write("parent\\n")\n    thread = threading.Thread(target=go_on)\n'
                '    thread.start()\n    ends = []\n    for n in range(100):\n        pid = os.fork()\n'
                '        if not pid:\n            sys.stdout.write("child %d.\\n" % n)\n            os._exit(7)\n'
                '        ends.append(os.waitpid(pid, 0)[1] >> 8)\n    done.append(1)\n    thread.join()\n'
                '    return ends\n')
        # The other thread soon waits for the controller, in the middle of a line.
        agent = self.begin(answers=False)
        self.assertEqual(agent.call(function(body)), [7] * 100)
        agent.wait(lambda: b'child 99.\n' in agent.errors)

    def test_file_of_bytes(self):
        if OLD:
            return
        body = ('import sys, array\ndef f():\n    file = sys.stdout.buffer\n'
                '    pieces = b"a", bytearray(b"b"), memoryview(b"c"), array.array("H", [0x4141])\n'
                '    sizes = [file.write(piece) for piece in pieces]\n'
                '    print("d")\n    [file.write(b"e") for n in range(1000)]\n    file.raw.write(b"f\\n")\n'
                '    refused = []\n    for wrong in 5, "text":\n        try:\n            file.write(wrong)\n'
                '        except TypeError as e:\n            refused.append(wrong)\n'
                '    sys.stdout.close()\n    try:\n        file.write(b"late")\n'
                '    except ValueError:\n        refused.append("late")\n    return sizes, refused\n')
        agent = self.begin()
        self.assertEqual(agent.call(function(body)), ([1, 1, 1, 2], [5, 'text', 'late']))
        self.assertEqual(agent.printed(), b'abcAAd\n' + b'e' * 1000 + b'f\n')

    def test_cancel_while_it_prints(self):
        agent = self.begin()
        number = agent.call_later(function('import sys\ndef f():\n    while 1:\n        sys.stdout.write("x\\n")\n'))
        agent.wait(lambda: len(agent.printed()) > 100)
        agent.cancel(number)
        self.assertEqual(agent.failure(number)['kind'] in ('cancelled', 'raised'), True)
        agent.call(function('def f():\n    print("still")\n'))
        self.assertTrue(b'still\n' in agent.printed())

    def test_coroutine_prints(self):
        if sys.version_info < (3, 5):
            return
        body = ('import asyncio\nasync def f():\n    print("one", end="")\n    await asyncio.sleep(0)\n'
                '    print("two")\n    print("three", end="")\n')
        agent = self.run_here(body)
        self.assertEqual(agent.printed(), b'onetwo\nthree')


class Logging(Output):
    def test_logging_is_not_imported_by_us(self):
        agent = self.begin(20)
        self.assertEqual(agent.call(function('import sys\ndef f():\n    return "logging" in sys.modules\n')), False)
        self.assertEqual([n for n in agent.asked if n in ('.records', '.telling')], [])

    def test_records_come_before_the_result(self):
        body = ('import logging\nlog = logging.getLogger("a.b")\ndef f():\n    log.debug("no")\n'
                '    log.info("yes %d", 5)\n'
                '    log.warning(u"\\u2026")\n    logging.error("root")\n    return 1\n')
        agent = self.begin(20)
        number = agent.call_later(function(body, file='source:here'))
        self.assertEqual(agent.result(number), 1)
        self.assertEqual(agent.messages(), [
            (u'INFO', u'a.b', u'yes 5'), (u'WARNING', u'a.b', u'\u2026'), (u'ERROR', u'root', u'root')])
        self.assertEqual(agent.order[-1], (REPLY, number))
        record = agent.records()[0]
        self.assertEqual((record[u'level'], record[u'file'], record[u'line']), (20, u'source:here', 5))
        # Nothing besides: no handler is there.
        self.assertEqual(agent.errors, [])

    def test_tracebacks_come_and_are_bounded(self):
        body = ('import logging\ndef f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n'
                '        logging.exception("it failed")\n    logging.warning("x" * 100000)\n')
        agent = self.run_here(body, 30)
        first, second = agent.records()
        self.assertTrue(u'ZeroDivisionError' in first[u'traceback'] and u'Traceback' in first[u'traceback'])
        self.assertTrue(len(second[u'message']) < 20000 and u'characters' in second[u'message'])

    def test_own_configuration_works(self):
        body = ('import io, logging, sys\ndef f(level):\n    out = io.BytesIO() if str is bytes else io.StringIO()\n'
                '    logging.basicConfig(stream=out, level=level, format="%(levelname)s %(message)s")\n'
                '    log = logging.getLogger("own")\n    log.debug("d")\n    log.info("i")\n    log.warning("w")\n'
                '    quiet = logging.getLogger("quiet")\n    quiet.setLevel(logging.ERROR)\n    quiet.warning("q")\n'
                '    silent = logging.getLogger("silent")\n    silent.propagate = False\n    silent.warning("s")\n'
                '    logging.disable(logging.WARNING)\n    log.warning("disabled")\n    log.error("e")\n'
                '    logging.disable(logging.NOTSET)\n    return out.getvalue()\n')
        # With the default level of the root only ours see what is below it.
        agent = self.begin(20)
        self.assertEqual(agent.call(function(body), 30), str('WARNING w\nERROR e\n'))
        self.assertEqual([m for _, _, m in agent.messages()], ['i', 'w', 's', 'e'])
        # A level that is set counts for us too.
        agent = self.begin(10)
        self.assertEqual(agent.call(function(body), 40), str('ERROR e\n'))
        self.assertEqual([m for _, _, m in agent.messages()], ['e'])
        agent = self.begin(30)
        got = agent.call(function(body), 10)
        self.assertEqual(got.split(), str('DEBUG d INFO i WARNING w ERROR e').split())
        self.assertEqual([m for _, _, m in agent.messages()], ['w', 's', 'e'])

    def test_arguments_that_do_not_fit(self):
        agent = self.run_here('import logging\ndef f():\n    logging.warning("%d", "x")\n', 30)
        self.assertTrue(u'do not fit' in agent.messages()[0][2])

    def test_forked_process_writes_to_stderr(self):
        body = ('import logging, os\ndef f():\n    logging.warning("parent")\n    pid = os.fork()\n    if not pid:\n'
                '        logging.getLogger("c").info("child")\n        os._exit(0)\n    os.waitpid(pid, 0)\n')
        agent = self.run_here(body, 20)
        agent.wait(lambda: b'INFO c: child\n' in agent.errors)
        self.assertEqual([m for _, _, m in agent.messages()], ['parent'])

    def test_threads(self):
        body = ('import logging, threading\ndef f():\n    def work(n):\n        for i in range(50):\n'
                '            logging.warning("%d %d", n, i)\n'
                '    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]\n'
                '    [t.start() for t in threads]\n    [t.join() for t in threads]\n')
        agent = self.run_here(body, 30)
        found = [m for _, _, m in agent.messages()]
        self.assertEqual(len(found), 200)
        for n in range(4):
            self.assertEqual([m for m in found if m.startswith('%d ' % n)], ['%d %d' % (n, i) for i in range(50)])

    def test_logging_that_a_module_of_the_codebase_imports(self):
        agent = self.begin(30, codebase={'m': b'import logging\ndef f():\n    logging.warning("from m")\n'})
        agent.call('m:f')
        self.assertEqual(agent.records()[0][u'file'], u'/code/m.py')

    def test_loader_is_as_before(self):
        body = 'import logging, sys\ndef f():\n    return "exec_module" in vars(logging.__loader__)\n'
        agent = self.begin(30)
        if not OLD:
            self.assertEqual(agent.call(function(body)), False)

    def test_time_of_an_import_without_logging(self):
        # The agent that logs nothing has asked for nothing, and stands where it was.
        agent = self.begin(30)
        self.assertEqual(agent.call(function(
            'import sys\ndef f():\n    return [type(x).__name__ for x in sys.meta_path][0]\n')), 'Watch')
        agent.call(function('import logging\ndef f():\n    pass\n'))
        self.assertFalse('Watch' in agent.call(function(
            'import sys\ndef f():\n    return [type(x).__name__ for x in sys.meta_path]\n')))


class Inner(Output):
    def test_output_of_an_inner_host_comes_with_its_name(self):
        mine = (b'import logging, sys\nfrom chopsticks.tunnel import Local\n'
                b'def says():\n    sys.stdout.write("deep\\n")\n    logging.getLogger("deep").warning("low")\n'
                b'def f():\n    with Local("inner") as tunnel:\n        tunnel.call(says)\n    return 1\n')
        agent = self.begin(20, codebase=dict(library(), mine=mine))
        number = agent.call_later('mine:f')
        self.assertEqual(agent.result(number), 1)
        told = [m for o, m in agent.order if o != REPLY]
        self.assertEqual([m[u'hosts'] for m in told], [[u'inner']] * 2)
        self.assertEqual((agent.printed(), agent.messages()), (b'deep\n', [(u'WARNING', u'deep', u'low')]))
        self.assertEqual(agent.order[-1], (REPLY, number))

    def test_inner_output_is_bounded_and_confirmed(self):
        mine = (b'import sys\nfrom chopsticks.tunnel import Local\n'
                b'def says():\n    for n in range(1000):\n        sys.stdout.write("%d\\n" % n)\n'
                b'def f():\n    with Local("inner") as tunnel:\n        tunnel.call(says)\n')
        agent = self.begin(codebase=dict(library(), mine=mine))
        agent.call('mine:f')
        lines = agent.printed().split()
        self.assertEqual((len(lines) + agent.lost(), len(set(lines))), (1000, len(lines)))


if __name__ == '__main__':
    unittest.main()
