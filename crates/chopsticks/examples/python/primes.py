"""Prime numbers: something to compute elsewhere."""
from sieve import sieve


def count(limit):
    """How many primes are below `limit`."""
    return sum(sieve(limit))


def largest(limit):
    """The largest prime below `limit`."""
    if limit <= 2:
        raise ValueError('there is no prime below %d' % limit)
    flags = sieve(limit)
    return max(n for n in range(limit) if flags[n])
