LARGEST = 1000


class TooMany(ValueError):
    pass


def checked(count):
    if count > LARGEST:
        raise TooMany('%d is more than %d' % (count, LARGEST))
    return count
