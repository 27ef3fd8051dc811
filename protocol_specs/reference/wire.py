"""Messages and their bytes (§6, "Wire format"): the subset of protobuf that the protocol uses, strictly.

A message is a class whose fields say number and type, as in the table of the specification. Whatever the decoder lets
pass is caught by the one rule at its end: the message has to serialize back to the same bytes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from protocol_specs.reference.errors import Undecodable

ABORT_REASONS = tuple(f"A{number:02}" for number in range(1, 15))

_FIXED64, _LENGTH_DELIMITED = 1, 2


def _field(number: int, kind: str, default: Any = dataclasses.MISSING, **details: Any) -> Any:
    return dataclasses.field(default=default, metadata={"number": number, "kind": kind, **details})


def _clients(number: int) -> Any:
    return _field(number, "packed fixed64")


def _bytes(number: int, *lengths: int) -> Any:
    return _field(number, "bytes", lengths=lengths)


def _list(number: int, of: type) -> Any:
    return _field(number, "repeated", of=of, key=dataclasses.fields(of)[0].name)


@dataclass(frozen=True, slots=True)
class SessionOffer:
    """The encoded session parameters."""

    parameters: bytes = _bytes(1)


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A client's keys and commitment; the signature is empty in the semi-honest model."""

    client: int = _field(1, "fixed64")
    channel_public: bytes = _bytes(2, 32, 1216)
    mask_public: bytes = _bytes(3, 32, 1216)
    commitment: bytes = _bytes(4, 32)
    signature: bytes = _bytes(5, 0, 64)


@dataclass(frozen=True, slots=True)
class SealedShares:
    """A parcel (§3.3); `client` is the receiver on the way to the server, and the sender on the way from it."""

    client: int = _field(1, "fixed64")
    ciphertext: bytes = _bytes(2, 112, 1200, 2288, 2320)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One confirmer's signature over the contributors."""

    client: int = _field(1, "fixed64")
    signature: bytes = _bytes(2, 64)


@dataclass(frozen=True, slots=True)
class RevealedShare:
    """One share of an owner's secret."""

    owner: int = _field(1, "fixed64")
    share: bytes = _bytes(2, 36)


@dataclass(frozen=True, slots=True)
class AdvertiseKeysRequest:
    """Has no content."""


@dataclass(frozen=True, slots=True)
class AdvertiseKeysResponse:
    """The advertisement of its sender, and in a chosen graph the holders that it drew."""

    advertisement: Advertisement = dataclasses.field(metadata={"number": 1, "kind": "message", "of": Advertisement})
    holders: tuple[int, ...] = _field(2, "packed fixed64", ())


@dataclass(frozen=True, slots=True)
class ShareKeysRequest:
    """The advertisements of the receiver and of its advertised neighbours."""

    advertisements: tuple[Advertisement, ...] = _list(1, Advertisement)


@dataclass(frozen=True, slots=True)
class ShareKeysResponse:
    """One parcel for each advertised neighbour."""

    ciphertexts: tuple[SealedShares, ...] = _list(1, SealedShares)


@dataclass(frozen=True, slots=True)
class MaskedInputCollectionRequest:
    """The parcels for the receiver; in a chosen graph, all sharers as a set of §2.5."""

    ciphertexts: tuple[SealedShares, ...] = _list(1, SealedShares)
    sharers: bytes = _field(2, "bytes", b"", lengths=())


@dataclass(frozen=True, slots=True)
class MaskedInputCollectionResponse:
    """The packed, masked session vector."""

    payload: bytes = _bytes(1)


@dataclass(frozen=True, slots=True)
class ChosenInputResponse:
    """In a chosen graph: the signature over the sharers, and the packed, masked session vector."""

    inclusion: bytes = _bytes(1, 64)
    payload: bytes = _bytes(2)


@dataclass(frozen=True, slots=True)
class ConsistencyCheckRequest:
    """All contributors; in a chosen graph as a set, with the inclusions of those whose shares the receiver holds."""

    contributors: tuple[int, ...] = _clients(1)
    contributor_set: bytes = _field(2, "bytes", b"", lengths=())
    inclusions: tuple[Confirmation, ...] = _field(3, "repeated", (), of=Confirmation, key="client")


@dataclass(frozen=True, slots=True)
class ConsistencyCheckResponse:
    """The signature over the contributors."""

    signature: bytes = _bytes(1, 64)


@dataclass(frozen=True, slots=True)
class UnmaskingRequest:
    """Whose seed shares and whose mask-key shares are asked for, and the confirmations."""

    survivors: tuple[int, ...] = _clients(1)
    dropped: tuple[int, ...] = _clients(2)
    confirmations: tuple[Confirmation, ...] = _list(3, Confirmation)


@dataclass(frozen=True, slots=True)
class UnmaskingResponse:
    """The shares that were asked for."""

    seed_shares: tuple[RevealedShare, ...] = _list(1, RevealedShare)
    mask_key_shares: tuple[RevealedShare, ...] = _list(2, RevealedShare)


@dataclass(frozen=True, slots=True)
class Abort:
    """The sender leaves, for a reason of §8."""

    reason: str = _field(1, "string", choices=ABORT_REASONS)


Request = (
    AdvertiseKeysRequest
    | ShareKeysRequest
    | MaskedInputCollectionRequest
    | ConsistencyCheckRequest
    | UnmaskingRequest
    | Abort
)
Response = (
    AdvertiseKeysResponse
    | ShareKeysResponse
    | MaskedInputCollectionResponse
    | ChosenInputResponse
    | ConsistencyCheckResponse
    | UnmaskingResponse
    | Abort
)

BODIES: dict[int, type[Request | Response]] = {
    2: AdvertiseKeysRequest,
    3: AdvertiseKeysResponse,
    4: ShareKeysRequest,
    5: ShareKeysResponse,
    6: MaskedInputCollectionRequest,
    7: MaskedInputCollectionResponse,
    8: ConsistencyCheckRequest,
    9: ConsistencyCheckResponse,
    10: UnmaskingRequest,
    11: UnmaskingResponse,
    12: Abort,
    13: ChosenInputResponse,
}


M = TypeVar("M")
B = TypeVar("B", bound=Request | Response)


@dataclass(frozen=True, slots=True)
class Envelope(Generic[B]):
    """The session digest and one body."""

    session: bytes
    body: B


def encode_offer(offer: SessionOffer) -> bytes:
    """The bytes of an offer."""
    return _encode(offer)


def encode_envelope(session: bytes, body: Request | Response) -> bytes:
    """The bytes of every other message. The body is there even if it has no content."""
    number = next(number for number, kind in BODIES.items() if type(body) is kind)
    return _delimited(1, session) + _delimited(number, _encode(body))


def decode_for_client(data: bytes) -> SessionOffer | Envelope[Request]:
    """Decode what a client receives; raises `Undecodable`. An envelope has two fields, an offer one."""
    if len(_split(data)) == 1:
        offer = _decode(SessionOffer, data)
        return _same(data, offer, encode_offer(offer))
    return decode_request(data)


def decode_request(data: bytes) -> Envelope[Request]:
    """Decode what a client receives after it accepted the offer; raises `Undecodable`."""
    return _decode_envelope(data, Request.__args__)


def decode_for_server(data: bytes) -> Envelope[Response]:
    """Decode what the server receives; raises `Undecodable`."""
    return _decode_envelope(data, Response.__args__)


def _decode_envelope(data: bytes, receives: Sequence[type[B]]) -> Envelope[B]:
    fields = _split(data)
    if [number for number, _ in fields][:1] != [1] or len(fields) != 2 or fields[1][0] not in BODIES:
        raise Undecodable("an envelope has a session digest and one body")
    (_, session), (number, content) = fields
    if not isinstance(session, bytes) or len(session) != 32 or not isinstance(content, bytes):
        raise Undecodable("a field of the envelope has another type or length")
    kind = next((kind for kind in receives if kind is BODIES[number]), None)
    if kind is None:
        raise Undecodable("a body that this role does not receive")
    envelope = Envelope(session, _decode(kind, content))
    return _same(data, envelope, encode_envelope(session, envelope.body))


def _same(data: bytes, message: M, encoding: bytes) -> M:
    if encoding != data:
        raise Undecodable("the message does not serialize back to the same bytes")
    return message


# Encoding: the field number and wire type, then the content; nothing for a default value.


def _varint(value: int) -> bytes:
    encoding = b""
    while value >= 0x80:
        encoding += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoding + bytes([value])


def _delimited(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _encode(message: Any) -> bytes:
    encoding = b""
    for field in dataclasses.fields(message):
        number, value = field.metadata["number"], getattr(message, field.name)
        match field.metadata["kind"]:
            case "fixed64" if value:
                encoding += _varint(number << 3 | _FIXED64) + value.to_bytes(8, "little")
            case "bytes" if value:
                encoding += _delimited(number, value)
            case "string" if value:
                encoding += _delimited(number, value.encode("utf-8"))
            case "packed fixed64" if value:
                encoding += _delimited(number, b"".join(client.to_bytes(8, "little") for client in value))
            case "message":
                encoding += _delimited(number, _encode(value))
            case "repeated":
                encoding += b"".join(_delimited(number, _encode(item)) for item in value)
    return encoding


# Decoding: cut into fields, then each field by its type.


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return value, at + 1
        at, shift = at + 1, shift + 7
    raise Undecodable("a number does not end")


def _split(data: bytes) -> list[tuple[int, int | bytes]]:
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _FIXED64:
            length = 8
        elif wire_type == _LENGTH_DELIMITED:
            length, at = _read_varint(data, at)
        else:
            raise Undecodable("a field has a type that no field has")
        content = data[at : at + length]
        if len(content) != length:
            raise Undecodable("the message ends within a field")
        fields.append((number, int.from_bytes(content, "little") if wire_type == _FIXED64 else content))
        at += length
    return fields


def _decode(kind: type[M], data: bytes) -> M:
    fields = _split(data)
    known: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(
        **{
            field.name: _DECODERS[field.metadata["kind"]](
                [content for number, content in fields if number == field.metadata["number"]], field.metadata
            )
            for field in known
        }
    )


def _at_most_one(contents: Sequence[int | bytes], kind: type[M], default: M) -> M:
    content = contents[-1] if contents else default
    if not isinstance(content, kind):
        raise Undecodable("a field has another type")
    return content


def _decode_fixed64(contents: Sequence[int | bytes], _details: Any) -> int:
    return _at_most_one(contents, int, 0)


def _decode_bytes(contents: Sequence[int | bytes], details: Any) -> bytes:
    content = _at_most_one(contents, bytes, b"")
    if details["lengths"] and len(content) not in details["lengths"]:
        raise Undecodable("a field has another length")
    return content


def _decode_string(contents: Sequence[int | bytes], details: Any) -> str:
    content = _at_most_one(contents, bytes, b"").decode("utf-8", errors="replace")
    if content not in details["choices"]:
        raise Undecodable("an unknown reason is no message")
    return content


def _decode_packed(contents: Sequence[int | bytes], _details: Any) -> tuple[int, ...]:
    content = _at_most_one(contents, bytes, b"")
    if len(content) % 8:
        raise Undecodable("a list ends within an id")
    return _ascending([int.from_bytes(content[i : i + 8], "little") for i in range(0, len(content), 8)], lambda c: c)


def _decode_message(contents: Sequence[int | bytes], details: Any) -> Any:
    if not contents:
        raise Undecodable("a message is absent")
    return _decode(details["of"], _at_most_one(contents, bytes, b""))


def _decode_repeated(contents: Sequence[int | bytes], details: Any) -> tuple[Any, ...]:
    items = [_decode_message([content], details) for content in contents]
    return _ascending(items, lambda item: getattr(item, details["key"]))


def _ascending(items: list[M], client_of: Callable[[M], int]) -> tuple[M, ...]:
    clients = [client_of(item) for item in items]
    if clients != sorted(set(clients)):
        raise Undecodable("a list of clients is not in ascending order")
    return tuple(items)


_DECODERS: dict[str, Callable[[Sequence[int | bytes], Any], Any]] = {
    "fixed64": _decode_fixed64,
    "bytes": _decode_bytes,
    "string": _decode_string,
    "packed fixed64": _decode_packed,
    "message": _decode_message,
    "repeated": _decode_repeated,
}
