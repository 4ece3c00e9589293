"""What user code prints and logs, on its way to the controller: docs/wire.md, section 12.

A message is sent by the thread that has something to tell, before anything that it sends later, such as a reply. Now
and then one is a request. Its answer says that the controller has dealt with all before it, so that never more than a
few hundred KiB are under way. Who has more to tell waits a moment, and then goes on without.
"""

PRINT = 0x2e
LOG = 0x2f
# After so many messages, or bytes, one is a request, and of these so many may be unanswered.
MESSAGES, BYTES_TOLD, REQUESTS = 64, 1 << 16, 2
# How long somebody waits, in seconds, if the last one did not wait in vain.
MOMENT = 1
told = [0, 0]       # messages and bytes since the last request
unconfirmed = []    # requests that await their answer
lost = []           # one for each message that was left out since the last one
impatient = []          # something, if the last who waited did so in vain
tellers = set()     # threads that are in `tell_here`
# Signals whose handlers user code sets, and handlers that raise nothing here.
RAISING = [getattr(signal, name) for name in (
    'SIGALRM', 'SIGUSR1', 'SIGUSR2', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGCHLD', 'SIGVTALRM', 'SIGPROF')]
HARMLESS = signal.SIG_DFL, signal.SIG_IGN, None, interrupted, gone


class Receipt(object):
    """What the reader opens when the answer has come, as the lock of others."""

    def release(self):
        unconfirmed.pop()
        del impatient[:]
        if lost:
            start_new_thread(tell, (LOG, {}))


def tell(operation, message):
    """Sends a message, or leaves it out. Never waits for long, and raises nothing but what interrupts the user's code.

    A handler of a signal that the user has set may raise anywhere on the main thread, and would leave a lock closed
    here, or half a message on its way. So another thread sends it then.
    """
    if get_ident() == MAIN and [s for s in RAISING if signal.getsignal(s) not in HARMLESS]:
        sent = allocate_lock()
        sent.acquire()
        try:
            start_new_thread(tell_for_main, (operation, message, sent))
        except Exception:
            if sys.exc_info()[2].tb_next:
                raise
            lost.append(0)
        else:
            sent.acquire()
    else:
        tell_here(operation, message)


def tell_for_main(operation, message, sent):
    tell_here(operation, message)
    sent.release()


def tell_here(operation, message):
    me = get_ident()
    if me in tellers:
        # What this thread does here was interrupted, by a signal or by the end of some object.
        lost.append(0)
        return
    mine = shut()
    tellers.add(me)
    try:
        send_told(operation, message, time() + MOMENT)
    except Exception:
        lost.append(0)
    tellers.discard(me)
    reopen(mine)


def send_told(operation, message, end):
    global number
    # Not `with`: what interrupts somebody who has the lock, such as a signal handler, would never get it.
    while over or len(unconfirmed) >= REQUESTS or not writing.acquire(0):
        if impatient or over or time() > end:
            impatient.append(0)
            lost.append(0)
            return
        sleep(.0005)
    try:
        count, request = len(lost), 0
        if count:
            message[u'lost'] = count
        payload = marshal.dumps(message, 2)
        told[:] = told[0] + 1, told[1] + len(payload)
        if (told[0] >= MESSAGES or told[1] >= BYTES_TOLD) and lock.acquire(0):
            number += 2
            request = number
            pending[request] = [Receipt()]
            lock.release()
            unconfirmed.append(0)
            told[:] = 0, 0
        flush()
        write(HEADER.pack(len(payload), request, operation, MARSHAL) + payload)
        del lost[:count]
    finally:
        writing.release()


# The keys of messages of inner agents, and the types of their values.
WHOLE, WORDS = (int, type(1 << 40)), (type(u''),)
TOLD = {
    PRINT: ((u'text', (bytes,)), (u'lost', WHOLE)),
    LOG: tuple((key, WHOLE) for key in (u'lost', u'level', u'line')) + tuple(
        (key, WORDS) for key in (u'logger', u'name', u'file', u'message', u'traceback'))}
DEEPEST = 16


def tell_onward(host, operation, value):
    """Sends a message of an inner agent with the name of its host; returns whether it is one."""
    if type(value) is not dict:
        return False
    # Only what it may be, whatever comes.
    message = dict((key, value[key]) for key, kinds in TOLD[operation] if type(value.get(key)) in kinds)
    inner = value.get(u'hosts')
    inner = inner[:DEEPEST] if type(inner) is list and set(map(type, inner)) <= set(WORDS) else []
    message[u'hosts'] = [host] + inner
    if u'text' in message:
        message[u'text'] = bytearray(message[u'text'])
    tell(operation, message)
    return True
