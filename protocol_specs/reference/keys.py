"""Key agreement (§3.1) and key derivation (§3.2)."""

import hmac
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.wire import Advertisement

_CURVE25519_PRIME = 2**255 - 19


class LowOrder(Exception):  # noqa: N818
    """The result of an agreement is 32 zero bytes."""


def public_key(private: bytes) -> bytes:
    """X25519(private, 9)."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def is_canonical(public: bytes) -> bool:
    """Whether a public key is below 2^255 - 19, all 256 bits counted."""
    return int.from_bytes(public, "little") < _CURVE25519_PRIME


def agree(private: bytes, public: bytes) -> bytes:
    """X25519(private, public); raises `LowOrder`."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise LowOrder from error


def is_of_low_order(public: bytes) -> bool:
    """What a server asks, which has no key of its own: any clamped scalar answers it."""
    try:
        agree(bytes(32), public)
    except LowOrder:
        return True
    return False


def extract(salt: bytes, input_key: bytes) -> bytes:
    """HKDF-Extract of RFC 5869 with SHA-256."""
    return hmac.digest(salt, input_key, sha256)


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of RFC 5869 with SHA-256."""
    output = block = b""
    counter = 1
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([counter]), sha256)
        output += block
        counter += 1
    return output[:length]


def channel_key(shared: bytes, binding: bytes, sender: Advertisement, receiver: Advertisement) -> bytes:
    """The key of what `sender` seals for `receiver`; `shared` is X25519 of their channel keys."""
    info = canonical(
        "secagg/v1 channel key",
        binding,
        sender.client,
        sender.channel_public,
        receiver.client,
        receiver.channel_public,
    )
    return expand(extract(binding, shared), info, 32)


def pairwise_prg_key(shared: bytes, session: bytes, binding: bytes, a: Advertisement, b: Advertisement) -> bytes:
    """The mask PRG key of two clients; `shared` is X25519 of their mask keys."""
    u, v = sorted((a, b), key=lambda advertisement: advertisement.client)
    info = canonical("secagg/v1 pairwise mask seed", binding, u.client, u.mask_public, v.client, v.mask_public)
    seed = expand(extract(binding, shared), info, 32)
    return expand(seed, canonical("secagg/v1 pairwise mask key", session), 16)


def self_prg_key(self_mask_seed: bytes, session: bytes) -> bytes:
    """The key of a client's self mask."""
    return expand(self_mask_seed, canonical("secagg/v1 self mask key", session), 16)


def commitment(session: bytes, client: int, self_mask_seed: bytes) -> bytes:
    """A client's commitment to its self-mask seed."""
    return sha256(canonical("secagg/v1 self mask commitment", session, client, self_mask_seed)).digest()
