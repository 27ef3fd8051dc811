"""Where secrets come from: one injected source (Specification §1).

Every function that needs randomness takes a `RandomSource`, so that tests and test vectors can replay a
session. The production source is the operating system's. This module must not know what is drawn.
"""

from __future__ import annotations

import os
from typing import Protocol

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError


class RandomSource(Protocol):
    """Gives out fresh, independent, uniformly random bytes."""

    def secret(self, length: int) -> SecretBytes:
        """Draw secret bytes.

        Args:
            length: how many bytes, at least 1.

        Raises:
            ParameterError: `length` is below 1.
        """
        ...


def check_length(length: int) -> None:
    """Refuse a draw of no bytes: an empty secret is always a mistake of the caller.

    Args:
        length: how many bytes are asked for.

    Raises:
        ParameterError: `length` is below 1.
    """
    if length < 1:
        raise ParameterError(f"cannot draw {length} random bytes; ask for at least 1")


class SystemRandomSource:
    """The operating system's generator (`os.urandom`), a `RandomSource`."""

    __slots__ = ()

    def secret(self, length: int) -> SecretBytes:
        """Draw secret bytes."""
        check_length(length)
        return SecretBytes(os.urandom(length))

    def __repr__(self) -> str:
        return "SystemRandomSource()"
