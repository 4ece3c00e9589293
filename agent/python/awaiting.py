"""Calls of coroutine functions: one event loop for all of them, on a thread of its own.

Code that awaits expects to be on the main thread, as with `asyncio.run`. So the main thread sets signal handlers for
the loop, and threads wait for processes where a Python would rely on SIGCHLD.
"""
from functools import partial as bind

loops = []          # the loop, and the identifier of its thread
starting = allocate_lock()
replaced = {}       # signal -> what handled it before the loop did


class Handler(object):
    """Handles a signal of the event loop, which reads its number from what the interpreter writes it to.

    Another loop, on the main thread, may have taken that for itself: then the number is written here.
    """

    def __init__(self, fd):
        self.fd = fd

    def __call__(self, number, frame):
        before = signal.set_wakeup_fd(self.fd)
        if before != self.fd:
            if before >= 0:
                signal.set_wakeup_fd(before)
            try:
                os.write(self.fd, bytearray([number]))
            except OSError:
                # It is full, so the loop wakes up.
                pass


class Interrupt(object):
    """Handles SIGINT, which the agent uses itself, so that not each that the interpreter gets is the loop's."""

    def __init__(self, loop, callback, args):
        self.hand_on = bind(loop.call_soon_threadsafe, in_context(callback), *args)

    def __call__(self, number, frame):
        if errands or cancelled:
            interrupted(number, frame)
        else:
            self.hand_on()


def in_context(function):
    """A function that has the context variables of here, wherever it is called."""
    try:
        from contextvars import copy_context
        return bind(copy_context().run, function)
    except ImportError:
        return function


def on_main(function, *args):
    """Returns what `function` returns on the main thread, where alone Python sets handlers."""
    if get_ident() == MAIN:
        return function(*args)
    function = in_context(function)
    done = allocate_lock()
    done.acquire()
    came = []

    def errand():
        try:
            came.append((function(*args), None))
        except Exception as e:
            came.append((None, e))
        done.release()

    errands.append(errand)
    # Again and again: the interpreter looks for signals before it waits for something, and is deaf between the two.
    for _ in range(200):
        handler = signal.getsignal(signal.SIGINT)
        if handler is not interrupted and type(handler) is not Interrupt:
            break
        signal.pthread_kill(MAIN, signal.SIGINT)
        if done.acquire(True, .05):
            break
    if not came:
        try:
            errands.remove(errand)
        except ValueError:
            # It runs.
            done.acquire()
    if not came:
        raise RuntimeError('the main thread, which alone sets handlers of signals, cannot be reached: ' + (
            'it is busy' if handler is interrupted or type(handler) is Interrupt else 'SIGINT has another handler'))
    if came[0][1]:
        raise came[0][1]
    return came[0][0]


def add_signal_handler(loop, add, number, callback, *args):
    before = signal.getsignal(number)
    if number == signal.SIGINT:
        import inspect
        if inspect.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError('coroutines cannot be used with add_signal_handler()')
        on_main(signal.signal, number, Interrupt(loop, callback, args))
    else:
        def add_and_hear():
            add(number, callback, *args)
            fd = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(fd)
            signal.signal(number, Handler(fd))

        on_main(add_and_hear)
    replaced.setdefault(number, before)


def remove_signal_handler(remove, number):
    if number not in replaced:
        return remove(number)

    def restore():
        remove(number)
        # What was there is the agent's where asyncio would set the default, by which this process would end.
        signal.signal(number, replaced.pop(number) or signal.SIG_DFL)

    on_main(restore)
    return True


def watch_children():
    """Lets any loop wait for processes, as newer versions do: those before 3.8 can on the main thread alone."""
    import asyncio
    import threading

    class Watcher(asyncio.AbstractChildWatcher):
        def attach_loop(self, loop):
            pass

        def close(self):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def add_child_handler(self, pid, callback, *args):
            thread = threading.Thread(target=self.wait, args=(asyncio.get_event_loop(), pid, callback, args))
            thread.daemon = True
            thread.start()

        def remove_child_handler(self, pid):
            # By then the process has ended: the transport that asks for it is closed.
            return True

        def wait(self, loop, pid, callback, args):
            try:
                status = os.waitpid(pid, 0)[1]
                status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            except ChildProcessError:
                # Another has waited for it. This is what asyncio says then.
                status = 255
            try:
                loop.call_soon_threadsafe(callback, pid, status, *args)
            except RuntimeError:
                # The loop is closed.
                pass

    try:
        asyncio.set_child_watcher(Watcher())
    except NotImplementedError:
        # Loops of another kind have their own way.
        pass


def new_loop():
    import asyncio
    loop = asyncio.new_event_loop()
    loop.add_signal_handler = bind(add_signal_handler, loop, loop.add_signal_handler)
    loop.remove_signal_handler = bind(remove_signal_handler, loop.remove_signal_handler)
    if sys.version_info < (3, 8):
        watch_children()
    return loop


def serve(loop, ready):
    import asyncio
    asyncio.set_event_loop(loop)
    loops[:] = [loop, get_ident()]
    try:
        tids[get_ident()] = int(os.readlink('/proc/thread-self').rpartition('/')[2])
    except OSError:
        pass
    ready.release()
    while 1:
        try:
            loop.run_forever()
        except BaseException:
            # SystemExit and KeyboardInterrupt, which have reached their own call.
            pass


def awaited(value, request):
    """Returns what an awaitable comes to."""
    import asyncio
    import threading
    if not loops:
        # Not while an interrupt may strike, which would leave the lock closed.
        mine = shut()
        with starting:
            if not loops:
                ready = allocate_lock()
                ready.acquire()
                thread = threading.Thread(target=serve, args=(new_loop(), ready), name='chopsticks-loop')
                thread.daemon = True
                thread.start()
                ready.acquire()
        reopen(mine)
    done = allocate_lock()
    done.acquire()
    begun = []

    def begin():
        try:
            task = asyncio.ensure_future(value)
            begun.append(task)
            tasks[request] = task
            if request in cancelled:
                task.cancel()
            task.add_done_callback(lambda task: done.release())
        except BaseException as e:
            begun.append(e)
            done.release()

    # From here on a cancel reaches the task, not this thread.
    leave(request)
    loops[0].call_soon_threadsafe(begin)
    done.acquire()
    tasks.pop(request, None)
    if isinstance(begun[0], BaseException):
        raise begun[0]
    return begun[0].result()


def quieten():
    """At the end the loop's tasks are not cancelled, so it is not reported that they are not done."""
    if loops:
        loop = loops[0]
        tell = loop.call_exception_handler
        loop.call_exception_handler = lambda context: 'destroyed' in context['message'] or tell(context)


on_exit.append(quieten)
