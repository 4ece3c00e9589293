"""The end of a call that was cancelled, and of the processes that it started."""


if OLD:
    check_interval = sys.getcheckinterval()


def end_call(request):
    """Interrupts a call, again and again until it ends, and ends the processes that it started."""
    if request not in calls:
        return
    part('ending')
    part('overlap')
    with lock:
        waiting = [m for m in queued if m[0] == request]
        if waiting:
            queued.remove(waiting[0])
            del calls[request]
    if waiting:
        cancelled.discard(request)
        send(request, FAIL, 0, b'\2')
        return
    began = calls.get(request, (0, time()))[1]

    def started():
        """Processes younger than the call that no other call's thread has started."""
        table = processes()
        # One of these that is not known yet is so when its start is over.
        starts, n = list(globals().get('spawning', ())), 0
        while n < 1000 and [start for start in starts if start in globals()['spawning']]:
            sleep(.002)
            n += 1
        with open('/proc/uptime') as f:
            since = (float(f.read().split()[0]) - (time() - began)) * os.sysconf('SC_CLK_TCK') - 2
        others = set()
        awaiting = globals().get('tasks', ())
        threads = [thread for other, (thread, _) in list(calls.items()) if other != request]
        # Nor agents of tunnels from here, which end with their tunnels, and what calls of theirs started with those.
        others.update(globals().get('inner', ()))
        # The thread of the event loop is that of all who wait for it.
        threads += [loops[1] for other in list(awaiting) if other != request][:1]
        for thread in threads:
            if thread in tids:
                try:
                    with open('/proc/%d/task/%d/children' % (PID, tids[thread])) as f:
                        others.update(map(int, f.read().split()))
                except (IOError, OSError):
                    pass
        others |= below(table, others)
        mine = below(table, [PID])
        return [p for p in table if p != PID and p not in others and table[p][2] >= since
                and (p in mine or marked(p))]

    if OLD:
        # There an interrupt strikes at every 100th instruction, of all threads together: one that mostly sleeps may
        # miss it for long.
        sys.setcheckinterval(1)
    interrupt(request, 0)
    if os.path.exists('/proc/uptime'):
        kill(started)
    n = 0
    while request in calls:
        sleep(.1)
        n += 1
        interrupt(request, n)
    if OLD and not cancelled.difference([request]):
        sys.setcheckinterval(check_interval)


def is_importing(frame):
    """Whether the import system itself runs: what is raised there leaves its locks closed, for all who import after."""
    return frame and frame.f_code.co_filename.startswith('<frozen importlib')


def on_interrupt(frame):
    """Handles the signal that interrupts the main thread. `end_call` sends it again where it comes at a bad moment."""
    if not is_importing(frame):
        for request in cancelled & inside:
            if calls.get(request, '?')[0] == MAIN:
                raise KeyboardInterrupt


def interrupt(request, n):
    """Raises KeyboardInterrupt in the user code of a call; in a blocking system call on the main thread alone."""
    task = globals().get('tasks', {}).get(request)
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
        try:
            import ctypes
        except ImportError:
            return
        with strike:
            if request in inside and not is_importing(sys._current_frames().get(thread)):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))


def wake(thread, request=0):
    """Stops the wait for an inner agent: most Pythons wait for a lock until it opens. Returns whether there was one."""
    waiting = globals().get('wakers', {}).get(thread)
    if waiting and (not request or request in waiting.calls):
        waiting.stop()
        return True


def interrupt_task(task, n):
    """Cancels what awaits; what runs and does not come back to the event loop is interrupted there."""
    import asyncio
    import ctypes
    # Once a second: to clean up may take a while.
    if n % 10 or task.done():
        return
    loop, thread = loops
    running = getattr(asyncio, 'current_task', None) or asyncio.Task.current_task
    if n and running(loop) is task:
        with strike:
            if not wake(thread):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
    else:
        loop.call_soon_threadsafe(task.cancel)
