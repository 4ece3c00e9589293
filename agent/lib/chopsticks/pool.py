"""For controllers alone."""
from chopsticks._controllers import replace

replace(__name__)
