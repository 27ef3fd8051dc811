"""Ed25519 signatures that a laxer verifier would take (R13, §3.5), and some that none would. Must not know messages."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha512
from typing import Final

from protocol_specs.reference import signatures

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
PRIME: Final = 2**255 - 19
IDENTITY: Final = (1).to_bytes(32, "little")
"""The point (0, 1), of order 1."""
IDENTITY_UNREDUCED: Final = (PRIME + 1).to_bytes(32, "little")
"""The same point, its coordinate not reduced."""


def malleable(signature: bytes) -> bytes:
    """The same signature with S + L in the place of S."""
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + scalar.to_bytes(32, "little")


def low_order_r(identity_key: bytes, message: bytes) -> bytes:
    """A signature by the true key with the neutral point for R: the equation holds, but R is of low order."""
    scalar, _, public = _expanded(identity_key)
    challenge = _challenge(IDENTITY, public, message)
    return IDENTITY + (challenge * scalar % ORDER).to_bytes(32, "little")


def cofactored_only(identity_key: bytes, message: bytes) -> bytes:
    """A signature by the true key that holds only after multiplication with the cofactor.

    R has the point (0, -1) of order 2 added to it, which turns the signs of both coordinates.
    """
    scalar, _, public = _expanded(identity_key)
    true = signatures.sign(identity_key, b"some nonce for " + message)
    nonce = _nonce_of(identity_key, true, b"some nonce for " + message)
    encoded = int.from_bytes(true[:32], "little")
    sign, height = encoded >> 255, encoded & (2**255 - 1)
    moved = ((PRIME - height) | (1 - sign) << 255).to_bytes(32, "little")
    challenge = _challenge(moved, public, message)
    return moved + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def under_low_order_key(nonce: int) -> bytes:
    """A signature that holds for every message under the neutral point as verification key."""
    base = signatures.sign(bytes(32), nonce.to_bytes(32, "little"))
    return base[:32] + _nonce_of(bytes(32), base, nonce.to_bytes(32, "little")).to_bytes(32, "little")


FORGERIES: Final[dict[str, tuple[str, Callable[[bytes, bytes], bytes]]]] = {
    "zeros": ("64 zero bytes", lambda key, message: bytes(64)),
    "ones": ("64 bytes ff", lambda key, message: b"\xff" * 64),
    "flipped-r": ("a bit of R flipped", lambda key, message: _flipped(signatures.sign(key, message), 3)),
    "flipped-s": ("a bit of S flipped", lambda key, message: _flipped(signatures.sign(key, message), 40)),
    "malleable": ("S + L in the place of S", lambda key, message: malleable(signatures.sign(key, message))),
    "low-order-r": ("the neutral point for R, with an S that fits", low_order_r),
    "cofactored": ("it holds only with the cofactor", cofactored_only),
    "swapped": (
        "S before R",
        lambda key, message: signatures.sign(key, message)[32:] + signatures.sign(key, message)[:32],
    ),
}
"""By name: what is wrong, and the signature of a key over a message with it."""


def _flipped(signature: bytes, place: int) -> bytes:
    return signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]


def _expanded(identity_key: bytes) -> tuple[int, bytes, bytes]:
    """Scalar, prefix and public key of RFC 8032, section 5.1.5."""
    digest = sha512(identity_key).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:], signatures.verification_key(identity_key)


def _challenge(r: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(r + public + message).digest(), "little") % ORDER


def _nonce_of(identity_key: bytes, signature: bytes, message: bytes) -> int:
    """The discrete logarithm of a signature's R, by the one who signed."""
    scalar, _, public = _expanded(identity_key)
    challenge = _challenge(signature[:32], public, message)
    return (int.from_bytes(signature[32:], "little") - challenge * scalar) % ORDER
