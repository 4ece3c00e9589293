"""The programs that tunnels go through, and their arguments."""
import os

from chopsticks._agent import agent, allocate_lock, native, time
from chopsticks._constants import (
    CONNECT_TIMEOUT, CONNECTION_LABEL, CONTAINER_RUN, CONTROLLER_LABEL, KEEPALIVE_COUNT, KEEPALIVE_INTERVAL,
    PLAIN_MARKS, SSH, SSH_LOG_LEVEL, SSH_SINCE_8_7, SUDO, VERSION_TIMEOUT)

asking = allocate_lock()
known = []          # whether the `ssh` is such a one, once that has been asked
PLAIN = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789' + PLAIN_MARKS)


def quoted(words):
    """A command line that means the same in every login shell."""
    line = []
    for word in words:
        word = native(word)
        if set(word) & set('\n\r\0'):
            raise ValueError('%r has what not every shell can be given' % word)
        if not word or set(word) - PLAIN:
            # Within quotes fish takes the backslash for an escape, and csh the `!`.
            word = "'%s'" % ''.join("'\\%s'" % c if c in "'\\!" else c for c in word)
        line.append(word)
    return ' '.join(line)


def sudo(user):
    return ['sudo'] + list(SUDO) + [user, '--']


def ssh(host, user, port, python):
    words = ['ssh', '-T', '-x']
    if user is not None:
        words += ['-l', native(user)]
    if port is not None:
        words += ['-p', str(port)]
    # What is set whatever the configuration says.
    times = (('ConnectTimeout', CONNECT_TIMEOUT), ('ServerAliveInterval', KEEPALIVE_INTERVAL),
             ('ServerAliveCountMax', KEEPALIVE_COUNT))
    options = SSH + (SSH_LOG_LEVEL,) + tuple('%s=%d' % pair for pair in times)
    for option in options + (SSH_SINCE_8_7 if is_ssh_8_7() else ()):
        words += ['-o', option]
    return words + ['--', host, 'exec ' + quoted(python)]


def is_ssh_8_7():
    with asking:
        if not known:
            try:
                # Such as `OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19`.
                said = said_by(['ssh', '-V'], b'\n')
            except EnvironmentError:
                # Starting it in earnest will tell what is wrong.
                said = ''
            if not said:
                return False
            said = said.partition('OpenSSH_')[2]
            numbers = ''.join(c if c in '0123456789' else ' ' for c in said).split()
            known.append([int(number) for number in numbers[:2]] >= [8, 7])
        return known[0]


def is_quiet(argv, environment):
    """Whether the user's own level hides what `ssh` says while it connects: that is for errors then."""
    try:
        level = argv.index(SSH_LOG_LEVEL)
        words = ['ssh', '-G'] + argv[1:level - 1] + argv[level + 1:argv.index('--') + 2]
        said = said_by(words, b'\nloglevel ', environment)
    except (EnvironmentError, ValueError):
        return False
    # That is how it prints QUIET.
    return said.partition('\nloglevel ')[2].split('\n')[0].strip() in ('SILENT', 'QUIET', 'FATAL', 'ERROR')


def said_by(words, wanted, environment=None):
    """What a program writes, up to the end of a line with what is `wanted`."""
    import select
    import subprocess
    with open(os.devnull, 'r+b') as null:
        process = subprocess.Popen(words, stdin=null, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   close_fds=True, env=environment)
    said, end, poll = b'', time() + VERSION_TIMEOUT, select.poll()
    poll.register(process.stdout, select.POLLIN)
    try:
        # Not to its end: something that it has started may hold the pipe.
        while wanted not in said[:said.rfind(b'\n') + 1] and poll.poll(max(0, int((end - time()) * 1000))):
            data = os.read(process.stdout.fileno(), 1024)
            if not data:
                break
            said += data
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
    return native(said.decode('latin-1'))


def ssh_environment():
    """None of the programs that ask for a password on a display: nobody is there to answer."""
    environment = dict(os.environ, SSH_ASKPASS_REQUIRE='never')
    environment.pop('SSH_ASKPASS', None)
    return environment


def this_process():
    """What tells this process from all others, of this host and of others, as the controller writes it."""
    def read(path):
        try:
            with open(path) as f:
                return f.read()
        except EnvironmentError:
            return ''
    try:
        namespace = ''.join(c for c in os.readlink('/proc/self/ns/pid') if c.isdigit())
    except EnvironmentError:
        namespace = ''
    fields = read('/proc/self/stat').rpartition(')')[2].split()
    began = fields[19] if len(fields) > 19 else '0'
    return '%s.%s.%d.%s' % (read('/proc/sys/kernel/random/boot_id').strip(), namespace, agent['PID'], began)


def container(program, name, image, rm, python):
    words = [program] + list(CONTAINER_RUN) + ['--init'] + (['--rm'] if rm else [])
    words += ['--label', '%s=%s' % (CONTROLLER_LABEL, this_process())]
    words += ['--label', '%s=%s' % (CONNECTION_LABEL, ''.join('%02x' % b for b in bytearray(os.urandom(16))))]
    return words + ['--name', name, image] + python


def remove_container(words):
    """Removes what a client that was killed has left, by its label: the name may be another's."""
    import subprocess
    label = [word for word in words if word.startswith(CONNECTION_LABEL + '=')][0]
    if '--rm' not in words:
        return
    try:
        found = run(subprocess, [words[0], 'ps', '--all', '--quiet', '--filter', 'label=' + label]).split()
        if found:
            run(subprocess, [words[0], 'rm', '--force'] + found)
    except EnvironmentError:
        pass


def run(subprocess, words):
    with open(os.devnull, 'r+b') as null:
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=null, stdout=pipe, stderr=null, close_fds=True).communicate()[0]
