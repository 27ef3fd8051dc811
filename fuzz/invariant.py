"""What every target stands on: a broken invariant, calls that may be refused, and programs read from bytes.

Invariant of all targets: only a SecAggError leaves the library, and never an InternalError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from secagg.errors import InternalError, SecAggError

_T = TypeVar("_T")


class InvariantBroken(Exception):  # noqa: N818 - what happened, as a sentence
    """The library did what its documentation says it never does."""


def hold(condition: object, what: str) -> None:
    """Raise InvariantBroken unless `condition` holds."""
    if not condition:
        raise InvariantBroken(what)


def attempt(call: Callable[[], _T]) -> _T | None:
    """Return what `call` gives, or None when the library refuses; anything but a refusal leaves."""
    try:
        return call()
    except InternalError as error:
        raise InvariantBroken("an InternalError left the library") from error
    except SecAggError:
        return None


def succeeds(call: Callable[[], None]) -> bool:
    """Whether `call` is done, and not refused; anything but a refusal leaves."""

    def done() -> bool:
        call()
        return True

    return attempt(done) is not None


class Program:
    """Fuzzed bytes, read as choices from the front; past the end every choice is zero."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """Return the next byte."""
        return int.from_bytes(self.take(1))

    def number(self) -> int:
        """Return the next two bytes, big-endian."""
        return int.from_bytes(self.take(2), "big")

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, filled up with zeros."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken + bytes(count - len(taken))

    def rest(self) -> bytes:
        """Return all that is left."""
        left = self._data[self._at :]
        self._at = len(self._data)
        return left

    def pick(self, choices: Sequence[_T]) -> _T:
        """Return one of `choices`, which are not empty."""
        return choices[self.byte() % len(choices)]

    def some(self, choices: Sequence[_T]) -> tuple[_T, ...]:
        """Return the choices whose bit is clear: zero takes all, so that the end of a program is honest."""
        bits = self.byte()
        return tuple(choice for place, choice in enumerate(choices) if not bits >> (place % 8) & 1)


def patched(data: bytes, program: Program) -> bytes:
    """Return `data` with one part changed, cut out, doubled or added, as the program says."""
    kind, at, count = program.byte() % 5, program.number() % (len(data) + 1), program.byte() % 16 + 1
    match kind:
        case 0:
            change = program.take(count)
            middle = bytes(a ^ b for a, b in zip(data[at : at + count], change, strict=False))
            return data[:at] + middle + data[at + len(middle) :]
        case 1:
            return data[:at] + data[at + count :]
        case 2:
            return data[:at] + data[at : at + count] + data[at:]
        case 3:
            return data[:at] + program.take(count) + data[at:]
        case _:
            return data[:at]
