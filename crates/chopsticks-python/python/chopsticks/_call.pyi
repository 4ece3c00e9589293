"""What `_call.py` offers the rest of the package."""
from collections.abc import Callable
from typing import Any

SCALARS: frozenset[type]

class Packed:
    function: str | None
    keys: Any
    label: str
    message: list[Any]
    modules: tuple[str, ...] | list[str]
    def __init__(
        self,
        function: str | None,
        message: list[Any],
        modules: tuple[str, ...] | list[str],
        label: str,
        keys: Any = (),
    ) -> None: ...

def pack(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    protocol: int = 2,
    known: Any = (),
) -> Packed: ...
def protocol_for(version: tuple[int, ...]) -> int: ...
