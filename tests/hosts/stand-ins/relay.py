"""What a client does that runs a command elsewhere: passes the three streams on, and the end.

The command runs in a session of its own, as it would on another host, so that no signal to the client reaches it. If the
client is killed, the streams of the command end.
"""
import os
import subprocess
import sys
import threading


def copy(source, target):
    try:
        while 1:
            data = os.read(source, 65536)
            if not data:
                break
            while data:
                data = data[os.write(target, data):]
    except OSError:
        pass


def feed(source, pipe):
    copy(source, pipe.fileno())
    pipe.close()


def refuse(text, status=1):
    sys.stderr.write(text + '\n')
    sys.exit(status)


def run(command, missing):
    """Runs the command and returns its status. `missing` says that there is no such program."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True, cwd='/')
    except OSError:
        missing(command[0])
        return 127
    threading.Thread(target=feed, args=(0, process.stdin), daemon=True).start()
    outputs = [threading.Thread(target=copy, args=(stream.fileno(), number), daemon=True)
               for number, stream in ((1, process.stdout), (2, process.stderr))]
    for thread in outputs:
        thread.start()
    for thread in outputs:
        thread.join()
    status = process.wait()
    return status if status >= 0 else 128 - status
