"""Key agreement (§3.1) and key derivation (§3.2)."""

import hmac
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.commitments import SEED
from protocol_specs.reference.errors import Undecodable
from protocol_specs.reference.wire import Advertisement

_CURVE25519_PRIME = 2**255 - 19
_ML_KEM_PRIME = 3329
X25519_BYTES, ENCAPSULATION_KEY_BYTES = 32, 1184
Encapsulated = tuple[bytes, bytes]
"""A secret that one client encapsulated to another, and its ciphertext."""


class LowOrder(Exception):  # noqa: N818
    """The result of an agreement is 32 zero bytes."""


def public_key(private: bytes) -> bytes:
    """X25519(private, 9); of a private key of 96 bytes, with the encapsulation key of its second half behind it."""
    first = X25519PrivateKey.from_private_bytes(private[:X25519_BYTES]).public_key().public_bytes_raw()
    return first + (_decapsulation_key(private).public_key().public_bytes_raw() if private[X25519_BYTES:] else b"")


def _decapsulation_key(private: bytes) -> MLKEM768PrivateKey:
    return MLKEM768PrivateKey.from_seed_bytes(private[X25519_BYTES:])


def halves(public: bytes) -> list[bytes]:
    """The X25519 key and the encapsulation key that a public key has in it."""
    return [part for part in (public[:-ENCAPSULATION_KEY_BYTES], public[-ENCAPSULATION_KEY_BYTES:]) if part]


def check_lengths(hybrid: bool, advertisements: Iterable[Advertisement]) -> None:
    """Raise `Undecodable` for public keys of another kind of suite."""
    expected = X25519_BYTES + hybrid * ENCAPSULATION_KEY_BYTES
    if any(len(key) != expected for a in advertisements for key in (a.channel_public, a.mask_public)):
        raise Undecodable("a public key has another length")


def is_canonical(public: bytes) -> bool:
    """Whether an X25519 key is below 2^255 - 19, all 256 bits counted, and every coefficient for ML-KEM below q."""
    return all(
        int.from_bytes(part, "little") < _CURVE25519_PRIME
        if len(part) == X25519_BYTES
        else max(_coefficients(part)) < _ML_KEM_PRIME
        for part in halves(public)
    )


def _coefficients(encapsulation_key: bytes) -> list[int]:
    """The 768 numbers of 12 bits before the seed of 32 bytes."""
    number = int.from_bytes(encapsulation_key[:-32], "little")
    return [number >> (12 * i) & 0xFFF for i in range(768)]


def encapsulate(public: bytes, m: bytes) -> Encapsulated:
    """ML-KEM.Encaps_internal of FIPS 203 to the second half of a public key; m is 32 random bytes."""
    from kyber_py.ml_kem import ML_KEM_768  # only hybrid suites need it

    secret, ciphertext = ML_KEM_768._encaps_internal(public[X25519_BYTES:], m)
    return secret, ciphertext


def decapsulate(private: bytes, ciphertext: bytes) -> Encapsulated:
    """What was encapsulated to the second half of a private key. No ciphertext is refused."""
    return _decapsulation_key(private).decapsulate(ciphertext), ciphertext


def mask_private(secret: bytes, session: bytes, hybrid: bool) -> bytes:
    """The mask private key of the 32 bytes that a client shares."""
    return expand(secret, canonical("secagg/v1 mask private key", session), 96) if hybrid else secret


def mask_wrap(secret: bytes, binding: bytes, u: int, v: int, encapsulated: Encapsulated) -> bytes:
    """What u encapsulated to v, hidden by what u shares; or found again."""
    content, ciphertext = encapsulated
    pad = expand(secret, canonical("secagg/v1 mask wrap", binding, u, v, ciphertext), 32)
    return bytes(a ^ b for a, b in zip(content, pad, strict=True))


def hybrid_key(key: bytes, encapsulated: Encapsulated, binding: bytes) -> bytes:
    """The key of a hybrid suite, from that of X25519 and an encapsulated secret."""
    secret, ciphertext = encapsulated
    return expand(extract(binding, secret + key), canonical("secagg/v1 hybrid key", binding, ciphertext), 32)


def agree(private: bytes, public: bytes) -> bytes:
    """X25519(private, public), of the first halves; raises `LowOrder`."""
    private, public = private[:X25519_BYTES], public[:X25519_BYTES]
    try:
        return _x25519(private, public)
    except ValueError as error:
        raise LowOrder from error


@lru_cache(maxsize=1 << 14)  # what is sealed is opened again, and a key is looked at by every server
def _x25519(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def is_of_low_order(public: bytes) -> bool:
    """What a server asks, which has no key of its own: any clamped scalar answers it."""
    if len(public) == ENCAPSULATION_KEY_BYTES:
        return False
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


def pairwise_prg_key(
    shared: bytes,
    session: bytes,
    binding: bytes,
    a: Advertisement,
    b: Advertisement,
    encapsulated: Encapsulated | None = None,
) -> bytes:
    """The mask PRG key of two clients; `shared` is X25519 of their mask keys."""
    u, v = sorted((a, b), key=lambda advertisement: advertisement.client)
    info = canonical("secagg/v1 pairwise mask seed", binding, u.client, u.mask_public, v.client, v.mask_public)
    seed = expand(extract(binding, shared), info, 32)
    if encapsulated:
        seed = hybrid_key(seed, encapsulated, binding)
    return expand(seed, canonical("secagg/v1 pairwise mask key", session), 16)


def self_prg_key(self_mask_seed: bytes, session: bytes) -> bytes:
    """The key of a client's self mask."""
    return expand(self_mask_seed, canonical("secagg/v1 self mask key", session), 16)


def commitment(session: bytes, client: int, self_mask_seed: bytes) -> bytes:
    """A client's commitment to its self-mask seed."""
    return sha256(canonical("secagg/v1 self mask commitment", session, client, self_mask_seed)).digest()


def is_advertised(own: Advertisement, session: bytes, kind: int, secret: bytes, hybrid: bool = False) -> bool:
    """Whether a rebuilt secret of a kind of shares is the one that its owner advertised (§5.3)."""
    if kind == SEED:
        return commitment(session, own.client, secret) == own.commitment
    return public_key(mask_private(secret, session, hybrid)) == own.mask_public
