"""Follows a file that grows, as `tail -F` does."""
import os
import time


def lines(path, from_start=False):
    """Yields the lines that are added to a file, also when another takes its place."""
    file = open(path)
    try:
        if not from_start:
            file.seek(0, 2)
        begun = ''
        while True:
            line = file.readline()
            if line.endswith('\n'):
                yield (begun + line).rstrip('\r\n')
                begun = ''
                continue
            # The end, or a line of which a part has been written.
            begun += line
            if is_replaced(file, path):
                file.close()
                file, begun = open(path), ''
            elif not line:
                time.sleep(0.1)
    finally:
        file.close()


def is_replaced(file, path):
    try:
        there = os.stat(path)
    except OSError:
        return False
    here = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) or there.st_size < file.tell()
