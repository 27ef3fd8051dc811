"""Points of edwards25519 (RFC 8032), for signatures that no honest signer makes.

Those of the reference, and what it has no use for. Must not know what is signed.
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final

from protocol_specs.reference.edwards import BASE, IDENTITY, ORDER, P, Point, add, encode, multiply, with_coordinate

__all__ = [
    "BASE",
    "IDENTITY",
    "ORDER",
    "TORSION",
    "P",
    "Point",
    "add",
    "agreement_key",
    "challenge",
    "decode",
    "encode",
    "holds",
    "multiply",
    "secret_scalar",
]


def decode(encoding: bytes) -> Point:
    """The point of an encoding, canonical or not.

    Raises:
        ValueError: no point has it.
    """
    number = int.from_bytes(encoding, "little")
    return with_coordinate(number % 2**255, number >> 255)


TORSION: Final = decode(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
"""A point of order 8: its multiples are all points of low order."""


def agreement_key(point: Point) -> bytes:
    """The X25519 public key with the coordinate u = (1 + y)/(1 - y) of a point."""
    _, y = point
    return ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")


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
