"""The requests of one round as one upload: what followers hand out, each read and compared by itself.

The messages come first, equal ones once; behind them stands an index: for each client where its message is, and the
message's digest. What names the upload has the digest of the index, so that no byte is believed that nobody vouched
for. Must not know what a message says.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secagg.parameters import ClientId
from secagg.store.base import DamagedError, SessionStore

_ROW: Final = struct.Struct(">QQQ32s")
_AT_HAND_BYTES: Final = 1 << 18  # of requests that are read at once


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the requests of a round are.

    Attributes:
        upload: their upload.
        index_at: offset of the index.
        index_bytes: its length.
        index_sha256: its digest.
    """

    upload: str
    index_at: int
    index_bytes: int
    index_sha256: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Where one client's request is, and its digest."""

    offset: int
    length: int
    sha256: bytes


@dataclass(slots=True)
class Requests:
    """The requests of one round, as far as they were read.

    Attributes:
        pointer: where they are.
        pieces: by client.
        kept: the first bytes of the upload, perhaps none.
    """

    pointer: Pointer
    pieces: Mapping[ClientId, Piece]
    kept: bytes

    def digest(self, client: ClientId) -> bytes | None:
        """The digest of a client's request, or None when it is asked nothing."""
        piece = self.pieces.get(client)
        return None if piece is None else piece.sha256

    def at_hand(self, client: ClientId) -> bytes | None:
        """A client's request, if it was read and is what was written."""
        piece = self.pieces[client]
        message = self.kept[piece.offset : piece.offset + piece.length]
        return message if hashlib.sha256(message).digest() == piece.sha256 else None


def write_requests(store: SessionStore, name: str, requests: Mapping[ClientId, bytes]) -> Pointer:
    """Make the requests of a round durable; blocks.

    Raises:
        StoreError: the store refused.
    """
    pieces: dict[bytes, Piece] = {}
    rows = []
    upload = store.begin_upload(name, sum(map(len, requests.values())) + _ROW.size * len(requests))
    try:
        for client, message in requests.items():
            digest = hashlib.sha256(message).digest()
            piece = pieces.get(digest)
            if piece is None:
                piece = pieces[digest] = Piece(upload.received, len(message), digest)
                upload.write(message)
            rows.append(_ROW.pack(client, piece.offset, piece.length, digest))
        index, at = b"".join(rows), upload.received
        upload.write(index)
        return Pointer(upload.commit(), at, len(index), hashlib.sha256(index).digest())
    finally:
        upload.discard()


def read_requests(store: SessionStore, name: str, pointer: Pointer) -> Requests:
    """Where each client's request is, and the requests themselves where they are short; blocks.

    Raises:
        DamagedError: the index is not what was written, or not there.
        StoreError: it cannot be read.
    """
    start = 0 if pointer.index_at <= _AT_HAND_BYTES else pointer.index_at
    data = store.read_range(name, pointer.upload, start, pointer.index_at + pointer.index_bytes - start)
    body, index = data[: pointer.index_at - start], data[pointer.index_at - start :]
    if hashlib.sha256(index).digest() != pointer.index_sha256:
        raise DamagedError(f"the requests of session {name} are not what was written")
    return Requests(pointer, {client: Piece(*piece) for client, *piece in _ROW.iter_unpack(index)}, body)


def read_request(store: SessionStore, name: str, requests: Requests, client: ClientId) -> bytes:
    """One client's request; blocks.

    Raises:
        DamagedError: it is not what was written, or not there.
        StoreError: it cannot be read.
    """
    piece = requests.pieces[client]
    message = store.read_range(name, requests.pointer.upload, piece.offset, piece.length)
    if hashlib.sha256(message).digest() != piece.sha256:
        raise DamagedError(f"a request of session {name} is not what was written")
    if piece.offset == 0:  # What all are asked alike stands first; kept, since all will come for it.
        requests.kept = message
    return message


def check_requests(store: SessionStore, name: str, pointer: Pointer) -> None:
    """Demand that every byte is what was written; blocks.

    Raises:
        DamagedError: it is not, or is not there.
        StoreError: it cannot be read.
    """
    with store.open_upload(name, pointer.upload):
        pass
