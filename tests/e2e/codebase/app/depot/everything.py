from depot import *  # noqa: F403


def names():
    return sorted(name for name in globals() if not name.startswith('_'))
