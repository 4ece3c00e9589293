import time

from depot import limits

LOADED = (time.time(), limits.LARGEST)
