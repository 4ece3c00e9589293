"""What the tests of drivers call on the far side. Runs on Python 2.7 and later."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zlib

WAIT = 'while true; do sleep 1000; done'


def pid():
    return os.getpid()


def version():
    return '.'.join(str(number) for number in sys.version_info[:3])


def user():
    return os.getuid()


def add(one, other=0):
    return one + other


def echo(value):
    return value


def checksum(data):
    """Takes bytes, returns their size and checksum and as many bytes back, the other way round."""
    return [len(data), zlib.crc32(data) & 0xFFFFFFFF, data[::-1]]


def names(folder):
    """Takes text, returns bytes: names need not be text."""
    return [bytearray(name) for name in os.listdir(folder.encode('utf-8'))]


def has_nameless(folder):
    """Whether the file system has files without a name."""
    try:
        os.close(os.open(folder, getattr(os, 'O_TMPFILE', 0o20000000 | os.O_DIRECTORY) | os.O_RDWR, 0o600))
    except OSError:
        return False
    return True


def remove(folder):
    shutil.rmtree(folder.encode('utf-8'))


def nap(seconds):
    time.sleep(seconds)
    return seconds


def folder_and_variable(name):
    return [os.getcwd(), os.environ.get(name)]


def has_site_packages():
    folders = ('site-packages', 'dist-packages')
    return 'site' in sys.modules and any(path.endswith(folders) for path in sys.path)


def write_stderr(lines, mark):
    for number in range(lines):
        sys.stderr.write('%s line %d\n' % (mark, number))
    sys.stderr.flush()
    subprocess.call(['sh', '-c', 'echo %s of a child >&2' % mark])
    os.write(2, mark.encode() + b' \xff\xfe not text\n')
    os.write(2, mark.encode() + b' without an end')
    return lines


def flood_stderr(megabytes, line):
    """Writes that much to stderr, and returns twice as much as fits into a pipe."""
    piece = (line + '\n').encode() * 1024
    left = megabytes << 20
    while left > 0:
        left -= os.write(2, piece[:left])
    return b'x' * (2 << 20)


def write_stdout(mark):
    """Writes to stdout by every way there is, and reads stdin."""
    print(mark)
    sys.stdout.flush()
    os.write(1, mark.encode() + b'\x00\xff\n')
    subprocess.call(['sh', '-c', 'echo %s; cat' % mark])
    return len(sys.stdin.read())


def child(canary):
    """Waits for a child that ends by itself when its parent is gone, with the canary among its arguments."""
    wait = 'import os, sys, time\nwhile os.getppid() == int(sys.argv[1]): time.sleep(.05)'
    subprocess.call([sys.executable, '-S', '-s', '-c', wait, str(os.getpid()), canary])


def children(canary):
    """Starts a child, one that left the session, and one that ignores SIGTERM, each with the canary among its arguments."""
    subprocess.Popen(['sh', '-c', WAIT, canary])
    subprocess.Popen(['setsid', 'sh', '-c', WAIT, canary])
    subprocess.Popen(['setsid', 'sh', '-c', 'trap "" TERM HUP INT; ' + WAIT, canary])


def orphan(canary):
    """Starts a process whose parent is gone, in a session of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp('sh', ['sh', '-c', WAIT, canary])
        os._exit(0)
    os.wait()


def numbers(count):
    for number in range(count):
        yield number


def doubles(items):
    for item in items:
        yield item * 2


def yield_and_hang(canary):
    yield 1
    hang(canary)


def hang(canary):
    children(canary)
    orphan(canary)
    time.sleep(1000)


def spin(canary):
    children(canary)
    while True:
        pass


def stubborn(canary):
    """Never returns, whatever comes."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    has_begun = False
    while True:
        try:
            if not has_begun:
                has_begun = True
                children(canary)
            time.sleep(1000)
        except BaseException:
            pass


def stop_itself(canary):
    """Starts a process, and takes no notice of anything from then on."""
    subprocess.Popen(['sh', '-c', WAIT, canary])
    os.kill(os.getpid(), signal.SIGSTOP)


def die(number):
    os.kill(os.getpid(), number)
    time.sleep(1000)
