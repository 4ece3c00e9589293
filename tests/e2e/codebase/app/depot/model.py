"""Things."""
from __future__ import absolute_import

from depot import limits


class Item(object):
    """A thing in stock."""

    def __init__(self, name, count):
        self.name, self.count = name, limits.checked(count)

    @classmethod
    def parsed(cls, text):
        name, _, count = text.partition('=')
        return cls(name, int(count)).as_list()

    @staticmethod
    def doubled(count):
        return count * 2

    def as_list(self):
        return [self.name, self.count]


class Counter(object):
    """Counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, step=1):
        self.calls += step
        return self.calls


counter = Counter()
