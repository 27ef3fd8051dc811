"""A session is one object: a copy of it could answer a second time (Specification §7)."""

from __future__ import annotations

from typing import NoReturn


class SingleUse:
    """Refuses to be copied or pickled; `snapshot()` is the way to move a session."""

    __slots__ = ()

    def __copy__(self) -> NoReturn:
        raise TypeError(self._sentence())

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError(self._sentence())

    def __reduce__(self) -> NoReturn:
        raise TypeError(self._sentence())

    def _sentence(self) -> str:
        return f"a {type(self).__name__} is not copied or pickled, since a copy could answer twice; use snapshot()"
