"""The end of a call that was cancelled, and of the processes that it started.

No Python can end a call that is stuck in a system call on a thread other than the main one: most of them repeat a
system call that a signal has ended. Such a call is abandoned. It keeps its thread and its number until the system
call returns, and is then interrupted. It is not waited for, and the processes that it starts until then are ended.
"""

raisers = []        # what raises KeyboardInterrupt in a thread, and what ends its system call; each may be `None`
# For so many rounds of a tenth of a second a call is interrupted often, after that once a second.
OFTEN = 50

if OLD:
    check_interval = sys.getcheckinterval()
hasty = set()       # calls for whose sake Python 2.7 looks for interrupts at every instruction


def end_call(request):
    """Interrupts a call, again and again until it ends, and ends the processes that it started."""
    if request not in calls:
        return
    part('ending')
    part('overlap')
    with lock:
        # The main thread takes from `handed` what is busy already, or when nothing is.
        line = queued if not busy or busy == request else handed + queued
        waiting = [m for m in line if m[0] == request]
        for m in waiting:
            (queued if m in queued else handed).remove(m)
            del calls[request]
    if waiting:
        streams.pop(request, None)
        cancelled.discard(request)
        send(request, FAIL, 0, b'\2')
        return
    thread, began = calls.get(request, (0, time()))
    chosen = {}     # process -> its start

    def started():
        """Processes younger than the call that no other call's thread has started, and all that were so before."""
        table = processes()
        # One of these that is not known yet is so when its start is over.
        starts, n = list(spawning), 0
        while n < 1000 and [start for start in starts if start in spawning]:
            sleep(.002)
            n += 1
        with open('/proc/uptime') as f:
            since = (float(f.read().split()[0]) - (time() - began)) * os.sysconf('SC_CLK_TCK') - 2
        others = set()
        # A call that waits for the end of this one has the thread of this one already.
        running = [call for other, call in list(calls.items()) if other != request]
        threads = [other for other, _ in running if other != calls.get(request, (0,))[0]]
        # Nor agents of tunnels from here, which end with their tunnels, and what calls of theirs started with those.
        others.update(inner)
        # The thread of the event loop is that of all who wait for it.
        threads += [loops[1] for other in list(tasks) if other != request][:1]
        for thread in threads:
            others |= children(thread)
        others |= below(table, others)
        # What an agent has for its end is of its session, and nobody's child. Nor is what clears up at the end.
        others.update(p for p in table if table[p][1] in others or table[p][2] >= since and tracks(p))
        mine = below(table, [PID])
        # Whoever runs on this thread later has its children too: so they are remembered.
        chosen.update((p, table[p][2]) for p in table if p != PID and p not in others and table[p][2] >= since
                      and (p in mine or marked(p)))
        there = set(p for p in chosen if p in table and table[p][2] == chosen[p])
        return there | below(table, there)

    def started_since():
        """Processes that the call's own thread has started meanwhile: for all others another call may have ended."""
        thread = calls.get(request, (MAIN,))[0]
        # The main thread gets the children of threads that have ended.
        mine = set() if thread == MAIN else children(thread).difference(inner)
        table = mine and processes()
        # Those that have ended and that the call has not waited for are children still.
        return set(p for p in mine.intersection(table) | below(table, mine) if not tracks(p))

    can_look = os.path.exists('/proc/uptime') and stat(PID)
    n = 0
    if OLD:
        # There an interrupt strikes at every 100th instruction, of all threads together: one that mostly sleeps may
        # miss it for long. This costs all threads much, so not for as long as a call may be abandoned.
        sys.setcheckinterval(1)
        hasty.add(request)
    try:
        if can_look and (children(thread) or not os.path.exists('/proc/%d/task/%d/children' % (PID, PID))):
            started()
        interrupt(request, n)
        await_end(request, inside)
        if can_look:
            started()
        if request in stopping:
            stopping[request] = 0
        if request not in inside:
            await_end(request, calls)
        let_go(request)
        if can_look:
            kill(started)
        while request in calls:
            sleep(.1 if n < OFTEN else 1)
            n += 1
            if n == OFTEN:
                no_haste(request)
            interrupt(request, n)
            if n >= OFTEN:
                kill(started_since)
    finally:
        no_haste(request)


def await_end(request, where):
    """Waits until a call is in `where` no longer: for a while if it holds up the main thread, else a moment."""
    n = 0
    while request in where and n < (50 if busy == request else 5):
        sleep(.02)
        n += 1


def let_go(request):
    """Gives threads of their own to calls that wait for the end of this one on the main thread."""
    with lock:
        stopping.pop(request, 0)
        waiting = handed[:] if busy == request else ()
        del handed[:len(waiting)]
    for m in waiting:
        overlap(m)


def children(thread):
    """The processes that a thread has started and that live, as far as the system says."""
    try:
        with open('/proc/%d/task/%d/children' % (PID, tids[thread])) as f:
            return set(map(int, f.read().split()))
    except (IOError, KeyError, OSError):
        return set()


def no_haste(request):
    if OLD and request in hasty:
        hasty.discard(request)
        if not hasty:
            sys.setcheckinterval(check_interval)


def is_importing(frame):
    """Whether the import system itself runs: what is raised there leaves its locks closed, for all who import after."""
    return frame and frame.f_code.co_filename.startswith('<frozen importlib')


def is_spared(request):
    """Whether the next interrupt is not for a call: it ends already, and cleans up."""
    return request in spared and not spared.remove(request)


def on_interrupt(frame):
    """Handles the signal that interrupts the main thread. `end_call` sends it again where it comes at a bad moment."""
    if not is_importing(frame):
        for request in cancelled & inside:
            if calls.get(request, '?')[0] == MAIN and not is_spared(request):
                raise KeyboardInterrupt


def interrupt(request, n):
    """Raises KeyboardInterrupt in the user code of a call; in a blocking system call on the main thread alone."""
    if request in streams:
        streams[request].stop()
    task = tasks.get(request)
    if task:
        return interrupt_task(task, n)
    thread = calls.get(request, (0,))[0]
    wake(thread, request)
    if thread == MAIN:
        if hasattr(signal, 'pthread_kill'):
            signal.pthread_kill(MAIN, signal.SIGINT)
        else:
            os.kill(PID, signal.SIGINT)
    elif thread:
        # Not under the lock: an import may have to wait for the thread.
        find_raisers()
        with strike:
            if request in inside and not is_importing(sys._current_frames().get(thread)) and not is_spared(request):
                strike_thread(thread)


def find_raisers():
    """Looks for what this Python has to interrupt a thread: an implementation or a build may have nothing."""
    if raisers:
        return
    strike_with = end_system_call = None
    try:
        import ctypes
        api = ctypes.pythonapi

        def strike_with(thread):
            api.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
        end_system_call = getattr(signal, 'pthread_kill', None) or (
            lambda thread, number: api.pthread_kill(ctypes.c_ulong(thread), number))
    except (AttributeError, ImportError):
        try:
            from __pypy__.thread import _raise_in_thread

            def strike_with(thread):
                _raise_in_thread(thread, KeyboardInterrupt)
        except ImportError:
            pass
        end_system_call = getattr(signal, 'pthread_kill', None)
    raisers[:] = strike_with, end_system_call


def strike_thread(thread):
    """Interrupts user code in a thread of which it is sure that it lives."""
    strike_with, end_system_call = raisers
    if not strike_with:
        return
    strike_with(thread)
    # On Python 2.7, and in libraries in C, the system call ends. Our handler is for the main thread alone; another's
    # would take it for Ctrl-C.
    if end_system_call and getattr(signal.getsignal(signal.SIGINT), '__globals__', 0) is globals():
        try:
            end_system_call(thread, signal.SIGINT)
        except (AttributeError, EnvironmentError):
            pass


def wake(thread, request=0):
    """Stops the wait for an inner agent: most Pythons wait for a lock until it opens. Returns whether there was one."""
    waiting = wakers.get(thread)
    if waiting and (not request or request in waiting.calls):
        waiting.stop()
        return True


def interrupt_task(task, n):
    """Cancels what awaits; what runs and does not come back to the event loop is interrupted there."""
    import asyncio
    # Once a second: to clean up may take a while.
    if n < OFTEN and n % 10 or task.done():
        return
    loop, thread = loops
    running = getattr(asyncio, 'current_task', None) or asyncio.Task.current_task
    if n and running(loop) is task:
        find_raisers()
        with strike:
            if not wake(thread):
                strike_thread(thread)
    else:
        loop.call_soon_threadsafe(task.cancel)
