"""Calls that overlap: a thread for each of them, and the helper, which takes over the reading."""

queued = []         # calls for which there is no room
room = [0] * 256    # one for each thread that may yet be started
threading = None    # the module, once it is imported


def overlap(m, apart=1):
    """Runs the call `m` on a thread of its own."""
    global threading
    try:
        calls[m[0]] = 0, time()
        if apart:
            with lock:
                if not room:
                    queued.append(m)
                    return
                room.pop()
            if OLD or not threading:
                # An import waits for others (later the first time, on 2.7 always), and these for what we are to read.
                start_new_thread(overlap, (m, 0))
                return
        import threading
        # Whichever thread imports `threading` first passes for the main thread in older versions.
        with lock:
            for me in list(threading._active.values()):
                if type(me).__name__ == '_MainThread' and me.ident != MAIN:
                    threading._active[MAIN] = threading._active.pop(me.ident)
                    setattr(me, '_Thread__ident' if OLD else '_ident', MAIN)
        thread = threading.Thread(target=threaded, args=m, name='chopsticks-%d' % m[0])
        thread.daemon = True
        thread.start()
    except Exception:
        room.append(0)
        calls.pop(m[0], None)
        streams.pop(m[0], None)
        # Not with the part `failure`: the answer to a request for it may be for this thread to read.
        send(m[0], *failed(0, m[0]))


def threaded(*m):
    try:
        tids[get_ident()] = int(os.readlink('/proc/thread-self').rpartition('/')[2])
    except OSError:
        pass
    # A thread of the user's is a daemon if the one that starts it is, and Python does not wait for it at its end.
    setattr(threading.current_thread(), '_Thread__daemonic' if OLD else '_daemonic', False)
    while m:
        calls[m[0]] = get_ident(), time()
        run(m[0], m[2], m[3])
        with lock:
            m = queued.pop(0) if queued else room.append(0)


def read_on():
    """Reads in place of the main thread, until that is free when a call comes: it gets both."""
    global taken
    while 1:
        m = next_call()
        with lock:
            # One that only has its reply to send still is free: to the controller, which may have that, it is. So is
            # one whose call is cancelled, until that proves to take its time (see `let_go`).
            free = not [r for r in [busy] + [call[0] for call in handed] if r in calls and r not in stopping]
            if free:
                calls[m[0]] = MAIN, time()
                handed.append(m)
                if not busy:
                    taken = 0
                    gate.release()
                    return
        if not free:
            overlap(m)


def settle_threads():
    """Prepares the end of the interpreter, which waits for threads."""
    main = getattr(sys.modules.get('threading'), '_main_thread', None)
    if hasattr(main, '_set_tstate_lock'):
        # Before Python 3.13 it took the thread that imported it first for the main one, and that may have ended.
        main._ident = MAIN
        if not (main._tstate_lock and main._tstate_lock.locked()):
            main._is_stopped = False
            main._set_tstate_lock()
    # What runs is about to be ended: the user's code is not to blame for not having waited for it.
    getattr(sys.modules.get('warnings'), 'filters', []).insert(0, (
        'ignore', type('', (), {'match': lambda self, text: 'is still running' in text})(), Warning, None, 0))
