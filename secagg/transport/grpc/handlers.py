"""What an interceptor makes of the handlers of methods: once for each method, and not for each call of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Handlers:
    """Remembers what was made of the handler of each method, which is another one where an interceptor inside is free
    to choose: of those the last.

    Args:
        make: what to make of a handler.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._made: dict[str, tuple[Any, Any]] = {}

    def of(self, method: str, handler: Any) -> Any:
        """Return what is made of this handler of a method."""
        known = self._made.get(method)
        if known is None or known[0] is not handler:
            known = self._made[method] = handler, self._make(handler)
        return known[1]
