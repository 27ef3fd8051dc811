"""The messages that are lists of sealed or revealed shares, at array speed (Specification §6).

What is written here is what protobuf writes, and what is read here is what protobuf would accept: `codec` asks this
module first and has protobuf handle, and judge, all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SHARE_BYTES
from secagg.parameters import ClientId
from secagg.protocol.messages import (
    SEALED_BYTES,
    ClientMessage,
    MaskedInputCollectionRequest,
    RevealedShares,
    ServerMessage,
    ShareKeysResponse,
    UnmaskingResponse,
)
from secagg.wire.entries import EntryList
from secagg.wire.framing import envelope_prefix, open_envelope

_SEALED: Final = EntryList(b"\x0a", SEALED_BYTES)
_SEED_SHARES: Final = EntryList(b"\x0a", SHARE_BYTES)
_MASK_KEY_SHARES: Final = EntryList(b"\x12", SHARE_BYTES)
_SHARE_KEYS_RESPONSE: Final = b"\x2a"  # the tags of Envelope.body
_MASKED_INPUT_COLLECTION_REQUEST: Final = b"\x32"
_UNMASKING_RESPONSE: Final = b"\x5a"


def encode_listed(message: ServerMessage | ClientMessage) -> bytes | None:
    """Encode a message that is a list of shares; None for any other, or a list that is not a table."""
    match message:
        case ShareKeysResponse(session, ciphertexts):
            tag, content = _SHARE_KEYS_RESPONSE, _write_sealed(ciphertexts)
        case MaskedInputCollectionRequest(session, ciphertexts):
            tag, content = _MASKED_INPUT_COLLECTION_REQUEST, _write_sealed(ciphertexts)
        case UnmaskingResponse(session, seed_shares, mask_key_shares):
            seeds, keys = _write_revealed(_SEED_SHARES, seed_shares), _write_revealed(_MASK_KEY_SHARES, mask_key_shares)
            tag, content = _UNMASKING_RESPONSE, None if seeds is None or keys is None else seeds + keys
        case _:
            return None
    return None if content is None else envelope_prefix(session, tag, len(content)) + content


def decode_share_keys_response(data: bytes | memoryview) -> ShareKeysResponse | None:
    """Read a client's sealed shares; None when the bytes are not exactly that, to be judged by protobuf."""
    read = _read_sealed(data, _SHARE_KEYS_RESPONSE)
    return None if read is None else ShareKeysResponse(*read)


def decode_masked_input_collection_request(data: bytes | memoryview) -> MaskedInputCollectionRequest | None:
    """Read the shares that were sealed for a client; None when the bytes are not exactly that."""
    read = _read_sealed(data, _MASKED_INPUT_COLLECTION_REQUEST)
    return None if read is None else MaskedInputCollectionRequest(*read)


def decode_unmasking_response(data: bytes | memoryview) -> UnmaskingResponse | None:
    """Read the shares that a client reveals; None when the bytes are not exactly that."""
    opened = open_envelope(data, _UNMASKING_RESPONSE)
    if opened is None:
        return None
    session, content = opened
    lists = []
    for form in (_SEED_SHARES, _MASK_KEY_SHARES):
        read = form.read(content)
        if read is None:
            return None
        owners, joined, content = read
        lists.append(RevealedShares(owners, SecretBytes(joined)))
    return None if len(content) else UnmaskingResponse(session, *lists)


def _write_sealed(pairs: Sequence[tuple[ClientId, bytes]]) -> bytes | None:
    clients = [client for client, _ in pairs]
    if 0 in clients[1:] or any(len(sealed) != SEALED_BYTES for _, sealed in pairs):
        return None
    return _SEALED.write(clients, b"".join([sealed for _, sealed in pairs]))


def _write_revealed(form: EntryList, shares: RevealedShares) -> bytes | None:
    if 0 in shares.owners[1:] or len(shares.joined) != len(shares) * SHARE_BYTES:
        return None
    return form.write(shares.owners, shares.joined.expose())


def _read_sealed(data: bytes | memoryview, tag: bytes) -> tuple[bytes, tuple[tuple[ClientId, bytes], ...]] | None:
    opened = open_envelope(data, tag)
    read = None if opened is None else _SEALED.read(opened[1])
    if opened is None or read is None or len(read[2]):
        return None
    clients, joined, _ = read
    sealed = [joined[at : at + SEALED_BYTES] for at in range(0, len(joined), SEALED_BYTES)]
    return opened[0], tuple(zip(clients, sealed, strict=True))
