"""Calls that overlap: threads of their own, and the helper's turn at reading."""


def overlap(m):
    """Runs the call `m` on a thread of its own."""
    try:
        import threading
        # Whichever thread imports `threading` first passes for the main thread in older versions.
        for me in threading._active.values():
            if type(me).__name__ == '_MainThread' and me.ident != MAIN:
                threading._active[MAIN] = threading._active.pop(me.ident)
                setattr(me, '_Thread__ident' if OLD else '_ident', MAIN)
                break
        calls[m[0]] = 0, time()
        thread = threading.Thread(target=run, args=(m[0], m[2], m[3]), name='chopsticks-call-%d' % m[0])
        thread.daemon = True
        thread.start()
    except Exception:
        calls.pop(m[0], None)
        part('failure')
        send(m[0], FAIL, MARSHAL, failure('raised', m[0]))


def read_on():
    """Reads in place of the main thread, until that is free when a call comes: it gets both."""
    global taken
    while 1:
        m = next_call()
        with lock:
            if not busy:
                taken = 0
                handed.append(m)
                gate.release()
                return
        overlap(m)
