"""A module that agents import."""
N = []


def adder(n):
    def add(x):
        N.append(x)
        return [__name__, x + n, len(N)]
    return add


def count():
    return len(N)


def local_class(n):
    class Local(object):
        def value(self):
            return n, __name__
    return Local


class Counter(object):
    @staticmethod
    def total():
        return len(N)
