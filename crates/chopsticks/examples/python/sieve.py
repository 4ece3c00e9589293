"""The sieve of Eratosthenes."""


def sieve(limit):
    """A flag for each number below `limit`: whether it is prime."""
    flags = [n > 1 for n in range(limit)]
    for n in range(2, int(limit ** 0.5) + 1):
        if flags[n]:
            for multiple in range(n * n, limit, n):
                flags[multiple] = False
    return flags
