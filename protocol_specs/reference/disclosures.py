"""Proofs of what X25519 of two keys is (§3.6)."""

from hashlib import sha512

from protocol_specs.reference import edwards
from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.edwards import BASE, ORDER, P, Point

PROOF_BYTES = 128
BASE_PUBLIC = (9).to_bytes(32, "little")


def lift(public: bytes) -> Point | None:
    """The lift of a public key, or None for one that is not provable."""
    u = int.from_bytes(public, "little")
    if u >= P or u + 1 == P:
        return None
    try:
        point = edwards.with_coordinate((u - 1) * pow(u + 1, -1, P) % P, 0)
    except ValueError:
        return None
    return point if edwards.has_prime_order(point) else None


def prove(private: bytes, other_public: bytes, context: bytes) -> bytes:
    """A ‖ Z ‖ e ‖ z, for a private key as it was drawn; raises ValueError if the other's key is not provable."""
    other = lift(other_public)
    if other is None:
        raise ValueError("nothing can be proved of an agreement with this key")
    a = _clamped(private) % ORDER
    k = _hash(canonical("secagg/v1 disclosure nonce", private, context))
    own, agreed = edwards.multiply(a, BASE), edwards.multiply(a, other)
    e = _challenge(context, own, agreed, edwards.multiply(k, BASE), edwards.multiply(k, other))
    return edwards.encode(own) + edwards.encode(agreed) + _scalar(e) + _scalar((k + e * a) % ORDER)


def shown(public: bytes, other_public: bytes, proof: bytes, context: bytes) -> bytes | None:
    """The agreement that a proof by the holder of `public` shows, or None if it shows none."""
    other = lift(other_public)
    if other is None or len(proof) != PROOF_BYTES:
        return None
    try:
        own, agreed = edwards.decode(proof[:32]), edwards.decode(proof[32:64])
    except ValueError:
        return None
    e, z = int.from_bytes(proof[64:96], "little"), int.from_bytes(proof[96:], "little")
    in_range = 1 <= e < ORDER and 1 <= z < ORDER
    if not in_range or not edwards.has_prime_order(own) or not edwards.has_prime_order(agreed):
        return None
    first = edwards.subtract(edwards.multiply(z, BASE), edwards.multiply(e, own))
    second = edwards.subtract(edwards.multiply(z, other), edwards.multiply(e, agreed))
    if _coordinate(own) != public or _challenge(context, own, agreed, first, second) != e:
        return None
    return _coordinate(agreed)


def _clamped(private: bytes) -> int:
    """The scalar of RFC 7748 §5."""
    return int.from_bytes(private, "little") & (2**254 - 8) | 2**254


def _hash(data: bytes) -> int:
    return int.from_bytes(sha512(data).digest(), "little") % ORDER


def _challenge(context: bytes, *points: Point) -> int:
    return _hash(canonical("secagg/v1 channel disclosure", context, *map(edwards.encode, points)))


def _coordinate(point: Point) -> bytes:
    """u = (1 + y)/(1 - y), of a point that is not the identity."""
    _, y = point
    return ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")


def _scalar(value: int) -> bytes:
    return value.to_bytes(32, "little")
