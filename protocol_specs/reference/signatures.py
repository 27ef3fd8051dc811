"""Signatures of the active model (§3.5)."""

from collections.abc import Sequence
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from protocol_specs.reference.canonical import canonical, client_ids
from protocol_specs.reference.wire import Advertisement


def advertisement_input(session: bytes, a: Advertisement) -> bytes:
    """What a client signs of its advertisement."""
    return canonical(
        "secagg/v1 advertisement signature", session, a.client, a.channel_public, a.mask_public, a.commitment
    )


def confirmation_input(binding: bytes, contributors: Sequence[int]) -> bytes:
    """What a client signs of the contributors, which are in ascending order."""
    return canonical("secagg/v1 confirmation signature", binding, client_ids(contributors))


def inclusion_input(session: bytes, signer: Advertisement, sharers: bytes) -> bytes:
    """What a client of a chosen graph signs of the sharers among whom it masks, a set of §2.5."""
    return canonical("secagg/v1 inclusion signature", session, signer.client, signer.mask_public, sharers)


def acknowledgement_input(session: bytes, signer: Advertisement, sharers: bytes, contributors: bytes) -> bytes:
    """What a client of a chosen graph signs of the contributors, a set of §2.5."""
    named = session, signer.client, signer.mask_public
    return canonical("secagg/v1 acknowledgement signature", *named, sharers, contributors)


def verification_key(identity_key: bytes) -> bytes:
    """The Ed25519 public key of a private key of 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(identity_key).public_key().public_bytes_raw()


def sign(identity_key: bytes, message: bytes) -> bytes:
    """A plain Ed25519 signature."""
    return Ed25519PrivateKey.from_private_bytes(identity_key).sign(message)


def verifies(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature stands the rules of §3.5, which are the ones of libsodium (OpenSSL is laxer)."""
    return len(signature) == 64 and _opens(key, message, signature)


@lru_cache(maxsize=1 << 14)  # all clients of a session look at the same signatures
def _opens(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True
