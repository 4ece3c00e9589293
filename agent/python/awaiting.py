"""Calls of coroutine functions: one event loop for all of them, on a thread of its own."""

loops = []          # the loop, and the identifier of its thread
starting = allocate_lock()
tasks = {}          # request -> task, of calls that wait for one


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
                thread = threading.Thread(target=serve, args=(asyncio.new_event_loop(), ready), name='chopsticks-loop')
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
