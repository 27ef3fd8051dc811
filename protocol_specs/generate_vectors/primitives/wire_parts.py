"""Messages field by field (Specification §6, "Wire format"), for byte strings that an encoder does not make.

Must not know which of them are refused.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.generate_vectors.primitives.common import draw
from protocol_specs.reference import wire

NUMBERS: Final = {kind.__name__: number for number, kind in wire.BODIES.items()}
TO_CLIENT: Final = (
    "AdvertiseKeysRequest",
    "ShareKeysRequest",
    "MaskedInputCollectionRequest",
    "DisclosureRequest",
    "ConsistencyCheckRequest",
    "UnmaskingRequest",
)
TO_SERVER: Final = (
    "AdvertiseKeysResponse",
    "ShareKeysResponse",
    "MaskedInputCollectionResponse",
    "Complaint",
    "DisclosureResponse",
    "ConsistencyCheckResponse",
    "UnmaskingResponse",
)

Refusal = tuple[str, str, str, str, bytes]
"""Name, who receives it, comment, flag, bytes."""


def varint(value: int, spare: int = 0) -> bytes:
    """A number, with so many bytes more than it needs."""
    groups = []
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    if spare:
        groups[-1] |= 0x80
        groups += [0x80] * (spare - 1) + [0]
    return bytes(groups)


def data(number: int, content: bytes, *, spare_tag: int = 0, spare_length: int = 0) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | 2, spare_tag) + varint(len(content), spare_length) + content


def fixed(number: int, value: int) -> bytes:
    """A field of 64 bits."""
    return varint(number << 3 | 1) + value.to_bytes(8, "little")


class Builder:
    """Parts of messages, each right by itself."""

    def __init__(self, session: bytes) -> None:
        self.session = data(1, session)
        self.keys = [draw(f"wire/refused/{i}", 32) for i in range(3)]
        self.signature = draw("wire/refused/signature", 64)
        self.attestation = draw("wire/refused/attestation", 192)
        self.sealed = draw("wire/refused/sealed", 112)
        self.share = draw("wire/refused/share", 36)
        self.block = draw("wire/refused/block", 184)
        self.proof = draw("wire/refused/proof", 128)

    def envelope(self, kind: str, content: bytes = b"") -> bytes:
        """A message."""
        return self.session + data(NUMBERS[kind], content)

    def advertisement(self, client: int, *, more: bytes = b"", signed: bool = True) -> bytes:
        """The content of an advertisement of a client other than 0."""
        parts = [data(number, key) for number, key in enumerate(self.keys, 2)]
        return fixed(1, client) + b"".join(parts) + (data(5, self.signature) if signed else b"") + more

    def pair(self, client: int, number: int = 2, more: bytes = b"") -> bytes:
        """The content of a sealed pair."""
        return fixed(1, client) + data(number, self.sealed) + more

    def confirmation(self, client: int, more: bytes = b"") -> bytes:
        """The content of a confirmation."""
        return fixed(1, client) + data(2, self.signature) + more

    def revealed(self, client: int, more: bytes = b"") -> bytes:
        """The content of a revealed share."""
        return fixed(1, client) + data(2, self.share) + more

    def dealing(self, client: int, more: bytes = b"") -> bytes:
        """The content of a dealing."""
        parts = data(2, self.block), data(3, self.keys[0]), data(4, self.attestation)
        return fixed(1, client) + b"".join(parts) + more

    def disclosure(self, client: int, more: bytes = b"") -> bytes:
        """The content of a disclosure."""
        return fixed(1, client) + data(2, self.proof) + more

    def content(self, kind: str) -> bytes:
        """The content of a good message of two clients, 1 and 2."""
        match kind:
            case "AdvertiseKeysResponse":
                return data(1, self.advertisement(1))
            case "ShareKeysRequest":
                return data(1, self.advertisement(1)) + data(1, self.advertisement(2))
            case "ShareKeysResponse" | "MaskedInputCollectionRequest":
                return data(1, self.pair(1)) + data(1, self.pair(2))
            case "MaskedInputCollectionResponse":
                return data(1, self.sealed)
            case "Complaint":
                return data(1, ids(1, 2))
            case "DisclosureRequest":
                return data(1, self.dealing(1)) + data(1, self.dealing(2))
            case "DisclosureResponse":
                return data(1, self.disclosure(1)) + data(1, self.disclosure(2))
            case "ConsistencyCheckRequest":
                return data(1, ids(1, 2))
            case "ConsistencyCheckResponse":
                return data(1, self.signature)
            case "UnmaskingRequest":
                return data(1, ids(1)) + data(2, ids(2)) + data(3, self.confirmation(1))
            case "UnmaskingResponse":
                return data(1, self.revealed(1)) + data(2, self.revealed(2))
        return b""


def ids(*clients: int) -> bytes:
    """The content of a packed list."""
    return b"".join(client.to_bytes(8, "little") for client in clients)
