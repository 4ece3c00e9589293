"""The programs that tunnels go through, and their arguments."""
import os

from chopsticks._agent import agent, native

# What is set whatever the configuration of ssh says. Nobody is there to answer, and a master connection that this one
# made would end with it.
SSH = ('BatchMode=yes', 'ControlMaster=no', 'ClearAllForwardings=yes', 'Tunnel=no', 'PermitLocalCommand=no',
       'RemoteCommand=none', 'EscapeChar=none', 'LogLevel=INFO', 'ConnectTimeout=30', 'ServerAliveInterval=15',
       'ServerAliveCountMax=3')
PLAIN = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,+')
# By these the controller finds what a crash has left behind.
CONTROLLER, CONNECTION = 'chopsticks.controller', 'chopsticks.connection'


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
    return ['sudo', '--non-interactive', '--set-home', '-u', user, '--']


def ssh(host, user, port, python):
    words = ['ssh', '-T', '-x']
    if user is not None:
        words += ['-l', native(user)]
    if port is not None:
        words += ['-p', str(port)]
    for option in SSH:
        words += ['-o', option]
    return words + ['--', host, 'exec ' + quoted(python)]


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
    words = [program, 'run', '-i', '--log-driver', 'none', '--init'] + (['--rm'] if rm else [])
    words += ['--label', '%s=%s' % (CONTROLLER, this_process())]
    words += ['--label', '%s=%s' % (CONNECTION, ''.join('%02x' % b for b in bytearray(os.urandom(16))))]
    return words + ['--name', name, image] + python


def remove_container(words):
    """Removes what a client that was killed has left, by its label: the name may be another's."""
    import subprocess
    label = [word for word in words if word.startswith(CONNECTION + '=')][0]
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
