"""Jobs that run a program."""
from chopsticks.helpers import output_lines


def ls(path):
    """The lines that `ls -l` prints for a path."""
    return output_lines(['ls', '-l', path])
