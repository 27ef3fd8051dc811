"""What one client sends to another, its parcel, as bytes (Specification §3.3).

In suites without a KEM a parcel is the sealed pair of shares, and where dealings are signed the commitment to the pair
behind it. In hybrid suites the ciphertext of the channel stands
before it, and where the sender has the lower id the ciphertext of their mask behind it; on the way to the server its
wrapped secret follows, which stays there.
"""

from __future__ import annotations

from dataclasses import dataclass

from secagg.crypto.kem import CIPHERTEXT_BYTES, SHARED_BYTES
from secagg.errors import DecodeError
from secagg.parameters import ClientId
from secagg.protocol.context import SessionContext
from secagg.protocol.messages import COMMITMENT_BYTES, SEALED_BYTES


@dataclass(frozen=True, slots=True)
class Parcel:
    """The parts of a parcel; those that it does not have are empty."""

    channel_ciphertext: bytes
    sealed: bytes
    mask_ciphertext: bytes
    wrap: bytes = b""
    commitment: bytes = b""

    def join(self) -> bytes:
        """Return the parcel as it travels."""
        return self.channel_ciphertext + self.sealed + self.commitment + self.mask_ciphertext + self.wrap


def split_parcel(
    context: SessionContext, sender: ClientId, receiver: ClientId, parcel: bytes, *, wrapped: bool
) -> Parcel:
    """Cut a parcel into its parts.

    Args:
        context: of the session, whose suite and model fix the form.
        sender: who made it.
        receiver: for whom.
        parcel: the bytes.
        wrapped: whether it is on the way to the server.

    Raises:
        DecodeError: another length than the suite fixes.
    """
    check_parcel(context, sender, receiver, len(parcel), wrapped=wrapped)
    channel, commitment, mask, _ = _lengths(context, sender, receiver, wrapped)
    end = channel + SEALED_BYTES
    at = end + commitment
    return Parcel(parcel[:channel], parcel[channel:end], parcel[at : at + mask], parcel[at + mask :], parcel[end:at])


def check_parcel(context: SessionContext, sender: ClientId, receiver: ClientId, length: int, *, wrapped: bool) -> None:
    """Refuse a parcel of another length than the suite fixes.

    Raises:
        DecodeError: says which length it has, and which one is fixed.
    """
    expected = SEALED_BYTES + sum(_lengths(context, sender, receiver, wrapped))
    if length != expected:
        raise DecodeError(
            f"what client {sender} sealed for {receiver} has {length} bytes; suite 0x{context.suite.id:04x} fixes "
            f"{expected} in this session"
        )


def _lengths(context: SessionContext, sender: ClientId, receiver: ClientId, wrapped: bool) -> tuple[int, int, int, int]:
    """Bytes of the channel's ciphertext, of the commitment, of the mask's ciphertext, and of what is wrapped."""
    outwards = context.suite.hybrid and sender < receiver
    return (
        CIPHERTEXT_BYTES if context.suite.hybrid else 0,
        COMMITMENT_BYTES if context.deals_signed else 0,
        CIPHERTEXT_BYTES if outwards else 0,
        SHARED_BYTES if outwards and wrapped else 0,
    )


def check_public_keys(context: SessionContext, client: ClientId, *publics: bytes) -> None:
    """Refuse public keys of another suite.

    Raises:
        DecodeError: another length than the suite fixes.
    """
    for public in publics:
        if len(public) != context.suite.public_bytes:
            raise DecodeError(
                f"a public key of client {client} has {len(public)} bytes; suite 0x{context.suite.id:04x} fixes "
                f"{context.suite.public_bytes}"
            )
