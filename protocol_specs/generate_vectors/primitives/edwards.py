"""Points of edwards25519 as pairs of plain integers (RFC 8032), for signatures that no honest signer makes.

Slow, and not constant in time. Must not know what is signed.
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final

Point = tuple[int, int]

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""Of the base point, L."""
_D: Final = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_ONE: Final = pow(2, (P - 1) // 4, P)
IDENTITY: Final[Point] = (0, 1)


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    (x1, y1), (x2, y2) = a, b
    product = _D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def multiply(scalar: int, point: Point) -> Point:
    """A multiple of a point; the scalar is not negative."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def encode(point: Point) -> bytes:
    """The one encoding of a point."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(encoding: bytes) -> Point:
    """The point of an encoding, canonical or not.

    Raises:
        ValueError: no point has it.
    """
    number = int.from_bytes(encoding, "little")
    sign, y = number >> 255, (number & (2**255 - 1)) % P
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        raise ValueError("not on the curve")
    return ((-x) % P if x & 1 != sign else x, y)


BASE: Final = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
TORSION: Final = decode(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
"""A point of order 8: its multiples are all points of low order."""


def secret_scalar(seed: bytes) -> int:
    """The scalar of a private key, as RFC 8032 derives it."""
    scalar = int.from_bytes(sha512(seed).digest()[:32], "little")
    return (scalar & ((1 << 254) - 8)) | 1 << 254


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    """h of the verification equation: S·B = R + h·A."""
    return int.from_bytes(sha512(r + key + message).digest(), "little") % ORDER


def holds(key: bytes, r: bytes, scalar: int, message: bytes, *, cofactor: int) -> bool:
    """Whether cofactor·(S·B) = cofactor·(R + h·A), the points being those of the encodings."""
    h = challenge(r, key, message)
    right = add(decode(r), multiply(h, decode(key)))
    return multiply(cofactor * scalar, BASE) == multiply(cofactor, right)
