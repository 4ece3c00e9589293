"""Functions that the tests call on hosts."""

import sys


def print_to_stderr(text):
    sys.stderr.write(text + '\n')
