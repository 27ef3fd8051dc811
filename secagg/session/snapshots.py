"""Sessions as bytes and back (Specification §9).

A snapshot holds the state of one phase and the parameters; what follows from these is rebuilt, and keys of the
roster and the identity are passed in again. The bytes are secret material: store them as you store keys. Their
layout is private to one release of this library; a checksum refuses damage, not forgery.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import numpy as np

from secagg.crypto.agreement import AgreementKey
from secagg.crypto.fingerprints import KEY_BYTES, Fingerprints
from secagg.crypto.hybrid import HybridKey, private_key
from secagg.crypto.kem import SEED_BYTES, KemKey
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.encoding.quantization import QuantizationReport
from secagg.encoding.session_vector import EncodedInput
from secagg.errors import DecodeError, DropReason, ParameterError
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol import client_states, server_states
from secagg.protocol.chosen_edges import ChosenEdges
from secagg.protocol.client_states import ClientContext, ClientState
from secagg.protocol.context import SessionContext
from secagg.protocol.dealings import Dealings, SignedDealing
from secagg.protocol.events import Blame
from secagg.protocol.forwarding import Dealt, DealtTable
from secagg.protocol.listed import Ids, Listed, Run
from secagg.protocol.messages import Advertisement, RevealedShares, UnmaskingResponse
from secagg.protocol.secret_rows import SecretRows
from secagg.protocol.server_states import CollectingState
from secagg.session.input_limits import FrozenLimits
from secagg.session.participation import ParticipationLimits

_CHECKSUM_BYTES: Final = 32
_FOREIGN: Final = (TypeError, ValueError, LookupError, RecursionError)
_PLAIN: Final = {
    kind.__name__: kind
    for kind in (
        Advertisement,
        RevealedShares,
        UnmaskingResponse,
        EncodedInput,
        QuantizationReport,
        ParticipationLimits,
        FrozenLimits,
        Encapsulated,
        SecretRows,
        client_states.ChosenView,
        client_states.AccusedPair,
        Blame,
        Ids,
        Run,
        Listed,
        DealtTable,
        Dealt,
        Dealings,
        SignedDealing,
        server_states.Turnout,
        server_states.ChosenRecord,
        ChosenEdges,
        client_states.AwaitingAdvertiseKeys,
        client_states.AwaitingShareKeys,
        client_states.AwaitingMaskedInput,
        client_states.AwaitingDisclosure,
        client_states.AwaitingConsistencyCheck,
        client_states.AwaitingUnmasking,
        server_states.CollectingKeys,
        server_states.CollectingShares,
        server_states.CollectingMaskedInputs,
        server_states.CollectingDisclosures,
        server_states.CollectingConfirmations,
        server_states.CollectingUnmaskingShares,
    )
}
_CLIENT_STATES: Final = (
    client_states.AwaitingAdvertiseKeys
    | client_states.AwaitingShareKeys
    | client_states.AwaitingMaskedInput
    | client_states.AwaitingDisclosure
    | client_states.AwaitingConsistencyCheck
    | client_states.AwaitingUnmasking
)


@dataclass(frozen=True, slots=True)
class LoadedClient:
    """What a client snapshot holds; `state` takes the rebuilt context."""

    client: ClientId
    parameters: SessionParameters
    state: Callable[[ClientContext], ClientState]
    limits: FrozenLimits
    input: EncodedInput | None
    repeat: tuple[bytes, bytes | None] | None


@dataclass(frozen=True, slots=True)
class LoadedServer:
    """What a server snapshot holds; `state` takes the rebuilt context."""

    parameters: SessionParameters
    state: Callable[[SessionContext], CollectingState]
    requests: Mapping[ClientId, bytes]
    fingerprints: Fingerprints


def dump_client(
    state: ClientState,
    context: ClientContext,
    limits: FrozenLimits,
    pending_input: EncodedInput | None,
    repeat: tuple[bytes, bytes | None] | None,
) -> SecretBytes:
    """Write a live client session; `repeat` is the last request's fingerprint and its answer, for a repeat."""
    return _seal("client", (context.client, context.parameters.encode(), limits, state, pending_input, repeat))


def load_client(snapshot: SecretBytes) -> LoadedClient:
    """Read a client session; raises DecodeError when the bytes are none."""
    match _open("client", snapshot):
        case (
            int() as client,
            bytes() as parameters,
            FrozenLimits() as limits,
            _Record() as record,
            EncodedInput() | None as pending_input,
            repeat,
        ):
            pass
        case _:
            raise DecodeError("this is no snapshot of a client session")

    def state(context: ClientContext) -> ClientState:
        built = record.build(context)
        if not isinstance(built, _CLIENT_STATES):
            raise DecodeError("this is no snapshot of a client session")
        return built

    return LoadedClient(client, _parameters(parameters), state, limits, pending_input, _repeat(repeat))


def dump_server(
    state: CollectingState,
    parameters: SessionParameters,
    requests: Mapping[ClientId, bytes],
    fingerprint_key: SecretBytes,
) -> SecretBytes:
    """Write a live server session; requests that many clients share are written once."""
    distinct = list(dict.fromkeys(requests.values()))
    index = {request: place for place, request in enumerate(distinct)}
    places = {client: index[request] for client, request in requests.items()}
    return _seal("server", (parameters.encode(), state, tuple(distinct), places, fingerprint_key))


def load_server(snapshot: SecretBytes) -> LoadedServer:
    """Read a server session; raises DecodeError when the bytes are none."""
    match _open("server", snapshot):
        case (
            bytes() as parameters,
            _Record() as record,
            tuple() as distinct,
            dict() as places,
            SecretBytes() as fingerprint_key,
        ) if len(fingerprint_key) == KEY_BYTES:
            pass
        case _:
            raise DecodeError("this is no snapshot of a server session")

    def state(context: SessionContext) -> CollectingState:
        built = record.build(context)
        if not isinstance(built, CollectingState):
            raise DecodeError("this is no snapshot of a server session")
        return built

    try:
        requests = {client: distinct[place] for client, place in places.items()}
    except _FOREIGN as error:
        raise DecodeError("this is no snapshot of a server session") from error
    if not _fits(requests, Mapping[ClientId, bytes]):
        raise DecodeError("this is no snapshot of a server session")
    return LoadedServer(_parameters(parameters), state, requests, Fingerprints(fingerprint_key))


def _repeat(value: object) -> tuple[bytes, bytes | None] | None:
    match value:
        case None:
            return None
        case (bytes() as fingerprint, bytes() | None as answer):
            return fingerprint, answer
    raise DecodeError("this is no snapshot of a client session")


@dataclass(frozen=True, slots=True)
class _Record:
    """A state whose context is still missing."""

    kind: type[Any]
    fields: Mapping[str, Any]

    def build(self, context: object) -> object:
        return _built(self.kind, self.fields, context=context)


def _built(kind: type[Any], fields: Mapping[str, Any], **context: object) -> object:
    """Make a record of `kind` if every field is of its declared type; another would fail in the middle of use."""
    hints = get_type_hints(kind)
    if not all(_fits(value, hints.get(name)) for name, value in fields.items()):
        raise DecodeError(f"a snapshot of {kind.__name__} has fields of other types than this release")
    try:
        return kind(**context, **fields)
    except TypeError as error:
        raise DecodeError(f"a snapshot of {kind.__name__} has other fields than this release") from error
    except (ValueError, LookupError) as error:
        raise DecodeError(f"a snapshot of {kind.__name__} holds what this library never wrote: {error}") from error


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of a declared type, as deep as the declaration goes."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, choice) for choice in inner)
    if not isinstance(kind, type) or not isinstance(value, kind):
        return False
    if kind is np.ndarray or not inner:
        return True
    if isinstance(value, Mapping):
        return all(_fits(key, inner[0]) and _fits(item, inner[1]) for key, item in value.items())
    if isinstance(value, tuple) and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(_fits, value, inner))
    return all(_fits(item, inner[0]) for item in value)  # type: ignore[attr-defined]


def _parameters(data: bytes) -> SessionParameters:
    try:
        return SessionParameters.decode(data)
    except ParameterError as error:
        raise DecodeError(f"the snapshot's parameters are refused: {error}") from error


def _seal(role: str, value: object) -> SecretBytes:
    parts: list[bytes] = []
    _write(parts, role)
    _write(parts, value)
    body = b"".join(parts)
    return SecretBytes(hashlib.sha256(Label.SNAPSHOT + body).digest() + body)


def _open(role: str, snapshot: SecretBytes) -> object:
    if not isinstance(snapshot, SecretBytes):
        raise ParameterError(
            f"a snapshot is SecretBytes, not {type(snapshot).__name__}; pass SecretBytes(content) of what was stored"
        )
    data = bytes(snapshot.expose())
    checksum, body = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if hashlib.sha256(Label.SNAPSHOT + body).digest() != checksum:
        raise DecodeError(f"{len(data)} bytes are no snapshot of this library, or were damaged")
    reader = _Reader(body)
    try:
        found, value = reader.value(), reader.value()
    except _FOREIGN as error:
        raise DecodeError("a snapshot with a valid checksum holds what this library never wrote") from error
    reader.finish()
    if found != role:
        raise DecodeError(f"this snapshot is not one of a {role} session")
    return value


def _write(parts: list[bytes], value: object) -> None:
    match value:
        case None:
            parts.append(b"n")
        case bool():
            parts.append(b"t" if value else b"f")
        case int():
            parts.append(b"i" + struct.pack(">Q", value))
        case float():
            parts.append(b"d" + struct.pack(">d", value))
        case bytes():
            parts.append(b"b" + struct.pack(">Q", len(value)) + value)
        case str():
            _head(parts, b"s", value.encode())
        case DropReason():
            _head(parts, b"q", value.value.encode())
        case SecretBytes():
            _head(parts, b"x", bytes(value.expose()))
        case AgreementKey() | HybridKey() | KemKey():
            _head(parts, b"k", bytes(value.secret.expose()))
        case np.ndarray() if value.dtype == np.uint8:
            _head(parts, b"o", struct.pack(">Q", value.shape[-1]) + value.tobytes())
        case np.ndarray():
            _head(parts, b"a", value.astype("<u8", copy=False).tobytes())
        case Listed() | SecretRows():
            _write_record(parts, value)
        case tuple():
            parts.append(b"l" + struct.pack(">Q", len(value)))
            for item in value:
                _write(parts, item)
        case frozenset() | set():
            parts.append((b"z" if isinstance(value, frozenset) else b"e") + struct.pack(">Q", len(value)))
            for item in sorted(value):
                _write(parts, item)
        case Mapping():
            parts.append(b"m" + struct.pack(">Q", len(value)))
            for key, item in value.items():
                _write(parts, key)
                _write(parts, item)
        case _:
            _write_record(parts, value)


def _write_record(parts: list[bytes], value: Any) -> None:
    kind = type(value)
    if _PLAIN.get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__name__} has no place in a snapshot")
    names = [entry.name for entry in dataclasses.fields(value) if entry.init and entry.name != "context"]
    _head(parts, b"r", kind.__name__.encode())
    _write(parts, {name: getattr(value, name) for name in names})


def _head(parts: list[bytes], tag: bytes, raw: bytes) -> None:
    parts.append(tag + struct.pack(">Q", len(raw)) + raw)


class _Reader:
    """Reads what _write wrote; anything else is a DecodeError."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def finish(self) -> None:
        if self._at != len(self._data):
            raise DecodeError("trailing bytes in a snapshot")

    def value(self) -> object:
        tag = self._take(1)
        match tag:
            case b"n":
                return None
            case b"t" | b"f":
                return tag == b"t"
            case b"i":
                return self._length()
            case b"d":
                number: float = struct.unpack(">d", self._take(8))[0]
                return number
            case b"l":
                return tuple(self.value() for _ in range(self._length()))
            case b"z":
                return frozenset(self.value() for _ in range(self._length()))
            case b"e":
                return {self.value() for _ in range(self._length())}
            case b"m":
                return {self.value(): self.value() for _ in range(self._length())}
        raw = self._take(self._length())
        match tag:
            case b"b":
                return raw
            case b"s":
                return raw.decode()
            case b"q":
                return DropReason(raw.decode())
            case b"x":
                return SecretBytes(raw)
            case b"k":
                return KemKey(SecretBytes(raw)) if len(raw) == SEED_BYTES else private_key(SecretBytes(raw))
            case b"o":
                width = int.from_bytes(raw[:8], "big")
                if len(raw) < 8 or not 0 < width <= sys.maxsize:
                    raise DecodeError(f"rows of {width} bytes, in {len(raw)}, are none of a snapshot")
                return np.frombuffer(raw, dtype=np.uint8, offset=8).reshape(-1, width)
            case b"a":
                return np.frombuffer(raw, dtype="<u8").astype(np.uint64)
            case b"r":
                return self._record(raw.decode())
        raise DecodeError(f"tag {tag!r} is unknown in a snapshot")

    def _record(self, name: str) -> object:
        kind, fields = _PLAIN.get(name), self.value()
        if kind is None or not isinstance(fields, dict):
            raise DecodeError(f"a snapshot names {name!r}, which this release does not have")
        if any(entry.name == "context" for entry in dataclasses.fields(kind)):
            return _Record(kind, fields)
        return _built(kind, fields)

    def _length(self) -> int:
        length: int = struct.unpack(">Q", self._take(8))[0]
        return length

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise DecodeError("a snapshot ends too early")
        taken = self._data[self._at : end]
        self._at = end
        return taken
