"""Share encryption (§3.3)."""

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as _encrypt
from nacl.exceptions import CryptoError

from protocol_specs.reference.canonical import canonical

NONCE_BYTES = 24
SHARE_BYTES = 36


class NotAuthentic(Exception):  # noqa: N818
    """A sealed pair does not open."""


def associated_data(binding: bytes, sender: int, receiver: int) -> bytes:
    """What a sealed pair is bound to besides its key."""
    return canonical("secagg/v1 share encryption", binding, sender, receiver)


def seal(key: bytes, nonce: bytes, binding: bytes, sender: int, receiver: int, shares: tuple[bytes, bytes]) -> bytes:
    """nonce ‖ ciphertext ‖ tag of the seed share and the mask-key share."""
    seed_share, mask_key_share = shares
    plaintext = seed_share + mask_key_share
    return nonce + _encrypt(plaintext, associated_data(binding, sender, receiver), nonce, key)


def unseal(key: bytes, binding: bytes, sender: int, receiver: int, sealed: bytes) -> tuple[bytes, bytes]:
    """The seed share and the mask-key share; raises `NotAuthentic`."""
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        plaintext = _decrypt(ciphertext, associated_data(binding, sender, receiver), nonce, key)
    except CryptoError as error:
        raise NotAuthentic from error
    return plaintext[:SHARE_BYTES], plaintext[SHARE_BYTES:]
