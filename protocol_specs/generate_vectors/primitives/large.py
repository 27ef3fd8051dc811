"""Encodings too long to be written out, as parts that say how they are made.

A part is `bytes`; or `repeat`, these bytes so many `times`; or `ids`, integers of 8 big-endian bytes that count up
from `first`; or `numbered`, for each number below `count` the bytes `before`, the number in ASCII with leading zeros,
and the bytes `after`. Must not know what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json


def literal(data: bytes) -> Json:
    """These bytes."""
    return {"bytes": data.hex()}


def repeat(data: bytes, times: int) -> Json:
    """These bytes again and again."""
    return {"repeat": {"bytes": data.hex(), "times": times}}


def ids(first: int, count: int) -> Json:
    """Client ids that follow each other."""
    return {"ids": {"first": str(first), "count": count}}


def numbered(before: bytes, digits: int, after: bytes, count: int) -> Json:
    """Records that differ in a number."""
    return {"numbered": {"before": before.hex(), "digits": digits, "after": after.hex(), "count": count}}


def expand(parts: Sequence[Json]) -> bytes:
    """The bytes of all parts, back to back."""
    return b"".join(_expand(part) for part in parts)


def _expand(part: Json) -> bytes:
    match part:
        case {"bytes": data}:
            return bytes.fromhex(data)
        case {"repeat": {"bytes": data, "times": times}}:
            return bytes.fromhex(data) * int(times)
        case {"ids": {"first": first, "count": count}}:
            return b"".join(i.to_bytes(8, "big") for i in range(int(first), int(first) + int(count)))
        case {"numbered": {"before": before, "digits": digits, "after": after, "count": count}}:
            head, tail = bytes.fromhex(before), bytes.fromhex(after)
            return b"".join(head + f"{i:0{digits}}".encode() + tail for i in range(int(count)))
    raise Inconsistent(f"no part: {part}")
