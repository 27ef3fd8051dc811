"""Secret bytes that do not slip into logs, pickles or comparisons (Specification §10).

Every key, seed and share that a session keeps is a `SecretBytes`, or a row of one. The memory is **best-effort
wiped**: overwritten with zeros by `wipe()`, or when the object and the last view of it are gone. Python cannot promise
more: the bytes that the secret was made from, the copies that a C library takes, a swapped page or a core dump are out
of reach. This module must not know what the bytes mean.
"""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, final

from secagg.errors import LocalProtocolError, ParameterError

_BYTES_LIKE: Final = (bytes, bytearray, memoryview)
_NOT_COPYABLE: Final = (
    "SecretBytes is not copied or pickled, so that a secret has one place; "
    "hand the object over, or expose() it where its bytes are needed"
)


class _WipedBuffer(bytearray):
    """A byte array that is zeroed before its memory is released.

    The wiping belongs to the buffer and not to its owner: a view keeps the buffer alive, so the view of a
    secret that nobody else holds still shows the secret and not zeros.
    """

    __slots__ = ()

    def __del__(self) -> None:
        self[:] = bytes(len(self))


@final
class SecretBytes:
    """Bytes that must stay secret; owns a private copy of `data`.

    Two secrets compare in constant time (their lengths are public). A secret is not hashable, copyable or
    picklable, and its repr shows its length only.

    Args:
        data: what is copied; wiping the original is up to its owner.

    Raises:
        ParameterError: `data` is not a bytes, bytearray or memoryview.
    """

    __slots__ = ("_buffer", "_wiped")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        # A bare bytearray(n) would silently make a secret of n zeros out of an integer.
        if isinstance(data, _BYTES_LIKE):
            self._buffer = _WipedBuffer(data)
            self._wiped = False
        else:
            raise ParameterError(f"SecretBytes holds bytes, bytearray or memoryview, not {type(data).__name__}")

    def expose(self) -> memoryview:
        """Return a read-only view of the bytes (uint8); it shows zeros once the secret is wiped.

        Raises:
            LocalProtocolError: the secret was wiped.
        """
        if self._wiped:
            raise LocalProtocolError(f"this secret of {len(self)} bytes was wiped; it cannot be used again")
        return memoryview(self._buffer).toreadonly()

    def wipe(self) -> None:
        """Overwrite the bytes with zeros and refuse any further use; wiping twice is allowed."""
        self._buffer[:] = bytes(len(self._buffer))
        self._wiped = True

    def __len__(self) -> int:
        return len(self._buffer)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretBytes):
            return NotImplemented
        return hmac.compare_digest(self.expose(), other.expose())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SecretBytes({len(self)} bytes, wiped)" if self._wiped else f"SecretBytes({len(self)} bytes)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_COPYABLE)

    def __getstate__(self) -> NoReturn:
        raise TypeError(_NOT_COPYABLE)
