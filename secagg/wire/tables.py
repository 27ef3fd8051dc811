"""The messages that are lists of shares or confirmations, at array speed (Specification §6).

What is written here is what protobuf writes, and what is read here is what protobuf would accept: `codec` asks this
module first and has protobuf handle, and judge, all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.dealing import ATTESTATION_BYTES
from secagg.crypto.secret import SecretBytes
from secagg.parameters import ClientId
from secagg.protocol.listed import Ids, Listed, Run
from secagg.protocol.messages import (
    COMMITTED_BYTES,
    DOWNWARDS_BYTES,
    LONGEST_PARCEL_BYTES,
    PARCEL_BYTES,
    REVEALED_BYTES,
    SEALED_BYTES,
    SIGNATURE_BYTES,
    UPWARDS_BYTES,
    ClientMessage,
    MaskedInputCollectionRequest,
    RevealedShares,
    ServerMessage,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire.entries import EntryList
from secagg.wire.framing import envelope_prefix, last_field, open_envelope, varint

_PARCELS: Final = {width: EntryList(b"\x0a", width) for width in PARCEL_BYTES}
# In the order of ids; those of hybrid suites are shorter towards, and from, the lower of two clients.
_TO_SERVER: Final = (COMMITTED_BYTES, SEALED_BYTES, DOWNWARDS_BYTES, LONGEST_PARCEL_BYTES)
_TO_CLIENT: Final = (COMMITTED_BYTES, SEALED_BYTES, UPWARDS_BYTES, DOWNWARDS_BYTES)
_SEED_SHARES: Final = {width: EntryList(b"\x0a", width) for width in sorted(REVEALED_BYTES)}
_MASK_KEY_SHARES: Final = {width: EntryList(b"\x12", width) for width in sorted(REVEALED_BYTES)}
_CONFIRMATIONS: Final = EntryList(b"\x1a", SIGNATURE_BYTES)
_SHARERS: Final = b"\x12"  # of a chosen graph, behind the sealed shares
_ATTESTATION: Final = b"\x12" + varint(ATTESTATION_BYTES)
_SURVIVORS: Final = b"\x0a"  # packed, as proto3 has lists of numbers
_DROPPED: Final = b"\x12"
_SHARE_KEYS_RESPONSE: Final = b"\x2a"  # the tags of Envelope.body
_MASKED_INPUT_COLLECTION_REQUEST: Final = b"\x32"
_UNMASKING_REQUEST: Final = b"\x52"
_UNMASKING_RESPONSE: Final = b"\x5a"


def encode_listed(message: ServerMessage | ClientMessage) -> bytes | None:
    """Encode a message of such lists; None for any other, or a list that is not a table."""
    match message:
        case ShareKeysResponse(session, ciphertexts, signature):
            tag, content = _SHARE_KEYS_RESPONSE, _write_parcels(ciphertexts)
            if content is not None and signature:
                content = content + _ATTESTATION + signature if len(signature) == ATTESTATION_BYTES else None
        case MaskedInputCollectionRequest(session, ciphertexts, sharers):
            tag, content = _MASKED_INPUT_COLLECTION_REQUEST, _write_parcels(ciphertexts)
            if content is not None and sharers:
                content += _SHARERS + varint(len(sharers)) + sharers
        case UnmaskingResponse(session, seed_shares, mask_key_shares):
            seeds, keys = _write_revealed(_SEED_SHARES, seed_shares), _write_revealed(_MASK_KEY_SHARES, mask_key_shares)
            tag, content = _UNMASKING_RESPONSE, None if seeds is None or keys is None else seeds + keys
        case UnmaskingRequest(session=session):
            tag, content = _UNMASKING_REQUEST, _write_confirmed(message)
        case _:
            return None
    return None if content is None else envelope_prefix(session, tag, len(content)) + content


def decode_share_keys_response(data: bytes | memoryview) -> ShareKeysResponse | None:
    """Read a client's sealed shares; None when the bytes are not exactly that, to be judged by protobuf."""
    read = _read_parcels(data, _SHARE_KEYS_RESPONSE, _TO_SERVER)
    if read is None:
        return None
    session, sealed, rest = read
    signed = len(rest) == len(_ATTESTATION) + ATTESTATION_BYTES and rest[: len(_ATTESTATION)] == _ATTESTATION
    if len(rest) and not signed:
        return None
    return ShareKeysResponse(session, sealed, bytes(rest[len(_ATTESTATION) :]))


def decode_masked_input_collection_request(data: bytes | memoryview) -> MaskedInputCollectionRequest | None:
    """Read the shares that were sealed for a client; None when the bytes are not exactly that."""
    read = _read_parcels(data, _MASKED_INPUT_COLLECTION_REQUEST, _TO_CLIENT)
    if read is None:
        return None
    session, ciphertexts, rest = read
    if not len(rest):
        return MaskedInputCollectionRequest(session, ciphertexts)
    sharers = last_field(rest, _SHARERS)
    return MaskedInputCollectionRequest(session, ciphertexts, bytes(sharers)) if sharers else None


def decode_unmasking_response(data: bytes | memoryview) -> UnmaskingResponse | None:
    """Read the shares that a client reveals; None when the bytes are not exactly that."""
    opened = open_envelope(data, _UNMASKING_RESPONSE)
    if opened is None:
        return None
    session, content = opened
    for width in REVEALED_BYTES:
        lists, rest = [], content
        for form in (_SEED_SHARES[width], _MASK_KEY_SHARES[width]):
            read = form.read(rest)
            if read is None:
                return None
            owners, values, rest = read
            lists.append(RevealedShares(Ids(owners), SecretBytes(values.reshape(-1).data)))
            values.fill(0)
        if not len(rest):
            return UnmaskingResponse(session, *lists)
    return None


def _write_confirmed(request: UnmaskingRequest) -> bytes | None:
    confirmations = _write_pairs(_CONFIRMATIONS, request.confirmations)
    if confirmations is None:
        return None
    return _write_numbers(_SURVIVORS, request.survivors) + _write_numbers(_DROPPED, request.dropped) + confirmations


def _write_numbers(tag: bytes, clients: Sequence[ClientId]) -> bytes:
    packed = Ids.of(clients).array.astype("<u8").tobytes()
    return tag + varint(len(packed)) + packed if packed else b""


def _write_parcels(pairs: Sequence[tuple[ClientId, bytes]]) -> bytes | None:
    written = list[bytes]()
    for run in Listed.of(pairs).runs:
        form = _PARCELS.get(run.width)
        rows = None if form is None else _write_rows(form, run.clients, run.values)
        if rows is None:
            return None
        written.append(rows)
    return b"".join(written)


def _write_pairs(form: EntryList, pairs: Sequence[tuple[ClientId, bytes]]) -> bytes | None:
    if not pairs:
        return b""
    run, *others = Listed.of(pairs).runs
    return None if others or run.width != form.width else _write_rows(form, run.clients, run.values)


def _write_revealed(forms: Mapping[int, EntryList], shares: RevealedShares) -> bytes | None:
    form = forms.get(shares.width)
    if form is None:
        return None if len(shares) else b""
    values = np.frombuffer(shares.joined.expose(), dtype=np.uint8).reshape(len(shares), form.width)
    return _write_rows(form, shares.owners.array, values)


def _write_rows(form: EntryList, clients: NDArray[np.uint64], values: NDArray[np.uint8]) -> bytes | None:
    return form.write(clients, values) if np.all(clients[1:]) else None


def _read_parcels(
    data: bytes | memoryview, tag: bytes, widths: Sequence[int]
) -> tuple[bytes, Listed, memoryview] | None:
    """Session, parcels of these lengths, at most one run of each, and what follows them."""
    opened = open_envelope(data, tag)
    if opened is None:
        return None
    session, content = opened
    runs = list[Run]()
    for width in widths:
        read = _PARCELS[width].read(content)
        if read is None or (len(read[0]) and runs and read[0][0] <= runs[-1].clients[-1]):
            return None
        clients, values, content = read
        if len(clients):
            runs.append(Run(clients, values))
        if not len(content):
            break
    return session, Listed(tuple(runs)), content
