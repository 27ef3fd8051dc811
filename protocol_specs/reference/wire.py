"""Messages and their bytes (§6, "Wire format").

A message is a class whose fields say number and type, as in the table of the specification; `protobuf` writes and reads
them. Whatever it lets pass is caught by the one rule at the end of decoding: the message has to serialize back to the
same bytes.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from protocol_specs.reference import protobuf
from protocol_specs.reference.errors import Undecodable

ABORT_REASONS = tuple(f"A{number:02}" for number in range(1, 16))


def _field(number: int, kind: str, default: Any = dataclasses.MISSING, **details: Any) -> Any:
    return dataclasses.field(default=default, metadata={"number": number, "kind": kind, **details})


def _clients(number: int) -> Any:
    return _field(number, "packed fixed64")


def _bytes(number: int, *lengths: int) -> Any:
    return _field(number, "bytes", lengths=lengths)


def _multiple(number: int, of: int, most: int) -> Any:
    return _field(number, "bytes", lengths=range(of, most + 1, of))


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
    ciphertext: bytes = _bytes(2, 112, 144, 1200, 2288, 2320)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One confirmer's signature over the contributors."""

    client: int = _field(1, "fixed64")
    signature: bytes = _bytes(2, 64)


@dataclass(frozen=True, slots=True)
class RevealedShare:
    """One share of an owner's secret, and with signed dealings the digest of its other share for the same holder."""

    owner: int = _field(1, "fixed64")
    share: bytes = _bytes(2, 36, 68)


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
    """One parcel for each advertised neighbour; the signature is there in a session with signed dealings."""

    ciphertexts: tuple[SealedShares, ...] = _list(1, SealedShares)
    signature: bytes = dataclasses.field(default=b"", metadata={"number": 2, "kind": "bytes", "lengths": (0, 192)})


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
class Complaint:
    """The senders of the sealed pairs that cannot be read, in the place of a masked input."""

    accused: tuple[int, ...] = _clients(1)


@dataclass(frozen=True, slots=True)
class Dealing:
    """What shows that a client dealt a pair (§3.6)."""

    client: int = _field(1, "fixed64")
    block: bytes = _multiple(2, 184, 2944)
    digests: bytes = _multiple(3, 32, 2**31)
    signature: bytes = _bytes(4, 192)


@dataclass(frozen=True, slots=True)
class DisclosureRequest:
    """The dealings of accused clients."""

    dealings: tuple[Dealing, ...] = _list(1, Dealing)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The proof of the agreement with a client."""

    client: int = _field(1, "fixed64")
    proof: bytes = _bytes(2, 128)


@dataclass(frozen=True, slots=True)
class DisclosureResponse:
    """One proof for each dealing."""

    disclosures: tuple[Disclosure, ...] = _list(1, Disclosure)


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

    @property
    def share_lengths(self) -> set[int]:
        """The lengths of its shares: one, if there are any."""
        return {len(revealed.share) for revealed in (*self.seed_shares, *self.mask_key_shares)}


@dataclass(frozen=True, slots=True)
class Abort:
    """The sender leaves, for a reason of §8."""

    reason: str = _field(1, "string", choices=ABORT_REASONS)


Request = (
    AdvertiseKeysRequest
    | ShareKeysRequest
    | MaskedInputCollectionRequest
    | DisclosureRequest
    | ConsistencyCheckRequest
    | UnmaskingRequest
    | Abort
)
Response = (
    AdvertiseKeysResponse
    | ShareKeysResponse
    | MaskedInputCollectionResponse
    | ChosenInputResponse
    | Complaint
    | DisclosureResponse
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
    17: Complaint,
    18: DisclosureRequest,
    19: DisclosureResponse,
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
    return protobuf.encode(offer)


def encode_envelope(session: bytes, body: Request | Response) -> bytes:
    """The bytes of every other message. The body is there even if it has no content."""
    number = next(number for number, kind in BODIES.items() if type(body) is kind)
    return protobuf.delimited(1, session) + protobuf.delimited(number, protobuf.encode(body))


def decode_for_client(data: bytes) -> SessionOffer | Envelope[Request]:
    """Decode what a client receives; raises `Undecodable`. An envelope has two fields, an offer one."""
    if len(protobuf.split(data)) == 1:
        offer = protobuf.decode(SessionOffer, data)
        return _same(data, offer, encode_offer(offer))
    return decode_request(data)


def decode_request(data: bytes) -> Envelope[Request]:
    """Decode what a client receives after it accepted the offer; raises `Undecodable`."""
    return _decode_envelope(data, Request.__args__)


def decode_for_server(data: bytes) -> Envelope[Response]:
    """Decode what the server receives; raises `Undecodable`."""
    return _decode_envelope(data, Response.__args__)


def _decode_envelope(data: bytes, receives: Sequence[type[B]]) -> Envelope[B]:
    fields = protobuf.split(data)
    if [number for number, _ in fields][:1] != [1] or len(fields) != 2 or fields[1][0] not in BODIES:
        raise Undecodable("an envelope has a session digest and one body")
    (_, session), (number, content) = fields
    if not isinstance(session, bytes) or len(session) != 32 or not isinstance(content, bytes):
        raise Undecodable("a field of the envelope has another type or length")
    kind = next((kind for kind in receives if kind is BODIES[number]), None)
    if kind is None:
        raise Undecodable("a body that this role does not receive")
    envelope = Envelope(session, protobuf.decode(kind, content))
    if isinstance(envelope.body, UnmaskingResponse) and len(envelope.body.share_lengths) > 1:
        raise Undecodable("shares of one message have different lengths")
    return _same(data, envelope, encode_envelope(session, envelope.body))


def _same(data: bytes, message: M, encoding: bytes) -> M:
    if encoding != data:
        raise Undecodable("the message does not serialize back to the same bytes")
    return message
