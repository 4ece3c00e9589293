"""Passwords. No tunnel keeps one where it could be seen, or be sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Optional, Union
from weakref import WeakValueDictionary

from chopsticks import _chopsticks

#: Text, or a function that returns it, or `None`. It is called with the name of a host that asks, by another thread, at
#: most once for each host.
Password = Union[str, Callable[[str], Optional[str]]]
#: So that nobody finds the text again.
SALT = os.urandom(16)
#: Tunnels with the same passwords have them together: one that no host has accepted goes to one host at a time.
shared: WeakValueDictionary[Any, _chopsticks.Secrets] = WeakValueDictionary()


def secrets_of(password: Password | None, sudo_password: Password | None) -> _chopsticks.Secrets | None:
    """What answers the programs that ask; `None` if there is nothing to answer."""
    if password is None and sudo_password is None:
        return None
    key = key_of(password), key_of(sudo_password)
    found = shared.get(key)
    if found is None:
        found = shared[key] = _chopsticks.Secrets(password, sudo_password)
    return found


def key_of(password: Password | None) -> Any:
    if isinstance(password, str):
        return blake2b(password.encode('utf-8', 'surrogatepass'), key=SALT).digest()
    if password is not None and not callable(password):
        # Not what it is: it might be the password after all.
        raise TypeError('a password is text, or a function that returns text, and not %s' % type(password).__name__)
    return password
