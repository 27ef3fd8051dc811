"""Share encryption (§3.3)."""

from dataclasses import dataclass

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as _encrypt
from nacl.exceptions import CryptoError

from protocol_specs.reference import sharing
from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.errors import Undecodable
from protocol_specs.reference.parameters import Parameters

NONCE_BYTES = 24
SHARE_BYTES = 36
SEALED_BYTES = 112
COMMITMENT_BYTES = 32
COMMITTED_BYTES = SEALED_BYTES + COMMITMENT_BYTES
CIPHERTEXT_BYTES = 1088
WRAP_BYTES = 32


class NotAuthentic(Exception):  # noqa: N818
    """A sealed pair does not open."""


def associated_data(binding: bytes, sender: int, receiver: int, mask_ciphertext: bytes = b"") -> bytes:
    """What a sealed pair is bound to besides its key."""
    beside = [mask_ciphertext] if mask_ciphertext else []
    return canonical("secagg/v1 share encryption", binding, sender, receiver, *beside)


@dataclass(frozen=True, slots=True)
class Parcel:
    """The parts of what one client sends to another; those that its suite or direction does not have are empty."""

    channel_ciphertext: bytes
    sealed: bytes
    mask_ciphertext: bytes
    wrap: bytes
    commitment: bytes = b""

    def join(self) -> bytes:
        """The parcel as it travels."""
        return self.channel_ciphertext + self.committed + self.mask_ciphertext + self.wrap

    @property
    def committed(self) -> bytes:
        """The sealed pair, and with signed dealings the commitment to it."""
        return self.sealed + self.commitment


def split(p: Parameters, sender: int, receiver: int, parcel: bytes, to_server: bool) -> Parcel:
    """Cut a parcel; raises `Undecodable` for another length than session and direction give."""
    upwards = p.hybrid and sender < receiver
    lengths = (
        p.hybrid * CIPHERTEXT_BYTES,
        SEALED_BYTES,
        p.signs_dealings * COMMITMENT_BYTES,
        upwards * CIPHERTEXT_BYTES,
        (upwards and to_server) * WRAP_BYTES,
    )
    if len(parcel) != sum(lengths):
        raise Undecodable("a parcel has another length")
    parts = []
    for length in lengths:
        parts.append(parcel[:length])
        parcel = parcel[length:]
    channel_ciphertext, sealed, commitment, mask_ciphertext, wrap = parts
    return Parcel(channel_ciphertext, sealed, mask_ciphertext, wrap, commitment)


def seal(
    key: bytes,
    nonce: bytes,
    binding: bytes,
    sender: int,
    receiver: int,
    shares: tuple[bytes, bytes],
    mask_ciphertext: bytes = b"",
) -> bytes:
    """nonce ‖ ciphertext ‖ tag of the seed share and the mask-key share."""
    seed_share, mask_key_share = shares
    plaintext = seed_share + mask_key_share
    return nonce + _encrypt(plaintext, associated_data(binding, sender, receiver, mask_ciphertext), nonce, key)


def unseal(
    key: bytes, binding: bytes, sender: int, receiver: int, sealed: bytes, mask_ciphertext: bytes = b""
) -> tuple[bytes, bytes]:
    """The seed share and the mask-key share; raises `NotAuthentic`."""
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        plaintext = _decrypt(ciphertext, associated_data(binding, sender, receiver, mask_ciphertext), nonce, key)
    except CryptoError as error:
        raise NotAuthentic from error
    return plaintext[:SHARE_BYTES], plaintext[SHARE_BYTES:]


def read(
    key: bytes, binding: bytes, sender: int, receiver: int, sealed: bytes, mask_ciphertext: bytes = b""
) -> tuple[bytes, bytes] | None:
    """Both shares, or None if the pair does not open or a share is not canonical: a reason to complain (§6.4)."""
    try:
        pair = unseal(key, binding, sender, receiver, sealed, mask_ciphertext)
    except NotAuthentic:
        return None
    return pair if all(sharing.is_canonical(share) for share in pair) else None
