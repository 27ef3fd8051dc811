"""Canonical bytes: what is hashed, signed or mixed into a key (Specification §2.2).

Length-prefixed big-endian fields, so that no two different lists of values share an encoding
("1","23" and "12","3" differ). Every value starts with a one-byte tag of its kind. The decoder accepts
exactly what the encoder makes. Protobuf bytes are never hashed or signed. Knows nothing of messages.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from secagg.errors import DecodeError, ParameterError

TAG_INTEGER: Final = 1
TAG_BYTES: Final = 2
_TAG_TEXT: Final = 3
_TAG_LIST: Final = 4
_MAX_U64: Final = 2**64 - 1
_MAX_U32: Final = 2**32 - 1
_INTEGER: Final = struct.Struct(">BQ")
_LENGTH: Final = struct.Struct(">BI")

CanonicalValue = int | bytes | str | Sequence["CanonicalValue"]


class Writer:
    """Builds canonical bytes, one value after another."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def integer(self, value: int) -> Writer:
        """Append an unsigned 64-bit integer; raises ParameterError outside 0 .. 2^64-1."""
        if not 0 <= value <= _MAX_U64:
            raise ParameterError(f"integer {value} is outside 0 .. 2^64-1 and has no canonical encoding")
        self._parts.append(_INTEGER.pack(TAG_INTEGER, value))
        return self

    def data(self, value: bytes) -> Writer:
        """Append a byte string of at most 2^32-1 bytes."""
        if len(value) > _MAX_U32:
            raise ParameterError(f"{len(value)} bytes exceed the canonical limit of 2^32-1; send a digest instead")
        self._parts.append(_LENGTH.pack(TAG_BYTES, len(value)) + value)
        return self

    def text(self, value: str) -> Writer:
        """Append a string, as UTF-8."""
        try:
            encoded = value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ParameterError("a text with a lone surrogate has no UTF-8 encoding; send valid Unicode") from error
        if len(encoded) > _MAX_U32:
            raise ParameterError(f"a text of {len(encoded)} bytes exceeds the canonical limit of 2^32-1")
        self._parts.append(struct.pack(">BI", _TAG_TEXT, len(encoded)) + encoded)
        return self

    def sequence(self, length: int) -> Writer:
        """Write the head of a list of `length` elements; what one element is, its reader knows."""
        if not 0 <= length <= _MAX_U32:
            raise ParameterError(f"a list of {length} values exceeds the canonical limit of 2^32-1")
        self._parts.append(struct.pack(">BI", _TAG_LIST, length))
        return self

    def value(self, value: CanonicalValue) -> Writer:
        """Append any canonical value, lists included."""
        if isinstance(value, bool):
            raise ParameterError(f"{value!r} is a truth value; canonical integers are 0 and 1")
        if isinstance(value, int):
            return self.integer(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, str):
            return self.text(value)
        # A set has no order, and a bytearray or a mapping would pass for a list of something else.
        if not isinstance(value, tuple | list):
            raise ParameterError(f"a {type(value).__name__} has no canonical encoding; give int, bytes, str or a list")
        self.sequence(len(value))
        for item in value:
            self.value(item)
        return self

    def finish(self) -> bytes:
        """Return the bytes written so far."""
        return b"".join(self._parts)


class Reader:
    """Reads canonical bytes strictly; every method raises DecodeError on anything else.

    Bounds are checked before anything is allocated.
    """

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def integer(self, maximum: int = _MAX_U64) -> int:
        """Read an integer of at most `maximum`."""
        self._tag(TAG_INTEGER, "integer")
        value = int.from_bytes(self._take(8), "big")
        if value > maximum:
            raise DecodeError(f"integer {value} at byte {self._position - 8} is above its bound {maximum}")
        return value

    def data(self, length: int | None = None, maximum: int = _MAX_U32) -> bytes:
        """Read a byte string of exactly `length` bytes, or of at most `maximum`."""
        self._tag(TAG_BYTES, "byte string")
        return self._take(self._length(length, maximum))

    def text(self, maximum: int = 255) -> str:
        """Read a UTF-8 string of at most `maximum` bytes."""
        self._tag(_TAG_TEXT, "text")
        raw = self._take(self._length(None, maximum))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError(f"text at byte {self._position - len(raw)} is not UTF-8") from error

    def sequence(self, maximum: int) -> int:
        """Read the head of a list; returns its length, at most `maximum`."""
        self._tag(_TAG_LIST, "list")
        return self._length(None, maximum)

    def finish(self) -> None:
        """Check that nothing is left."""
        left = len(self._data) - self._position
        if left:
            raise DecodeError(f"{left} trailing bytes after the last canonical field; send none")

    def _tag(self, expected: int, name: str) -> None:
        position = self._position
        found = self._take(1)[0]
        if found != expected:
            raise DecodeError(f"tag {found} at byte {position} where a canonical {name} (tag {expected}) belongs")

    def _length(self, exact: int | None, maximum: int) -> int:
        length = int.from_bytes(self._take(4), "big")
        if exact is not None and length != exact:
            raise DecodeError(f"canonical field of {length} bytes where exactly {exact} belong")
        if length > maximum:
            raise DecodeError(f"canonical field of length {length} is above its bound {maximum}")
        return length

    def _take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise DecodeError(
                f"canonical bytes end at {len(self._data)} where {count} more are needed at {self._position}"
            )
        taken = self._data[self._position : end]
        self._position = end
        return taken


def encode_fields(label: bytes, *values: CanonicalValue) -> bytes:
    """Encode a purpose label and the values it binds, for a hash, a signature or HKDF's info.

    Raises:
        ParameterError: a value outside its range.
    """
    writer = Writer().data(label)
    for value in values:
        writer.value(value)
    return writer.finish()
