"""The messages of the rounds, as plain data (Specification §6).

`<Round>Request` goes from the server to a client, `<Round>Response` back. Every message but the offer
carries the session digest. Lists of (client, value) pairs stand in strictly ascending order of client.
Knows nothing of bytes on a wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Final

from secagg.crypto.aead import OVERHEAD_BYTES
from secagg.crypto.agreement import KEY_BYTES
from secagg.crypto.hybrid import PUBLIC_BYTES
from secagg.crypto.kem import CIPHERTEXT_BYTES, SHARED_BYTES
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SHARE_BYTES
from secagg.crypto.suites import get_suite
from secagg.errors import AbortReason, ParameterError
from secagg.parameters import ClientId, SessionParameters, ThreatModel, TopologyKind
from secagg.protocol.listed import Clients, Ids, Listed, Pairs

DIGEST_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = frozenset({KEY_BYTES, PUBLIC_BYTES})  # of suites without and with a KEM
COMMITMENT_BYTES: Final = 32
SEALED_BYTES: Final = 2 * SHARE_BYTES + OVERHEAD_BYTES
COMMITTED_BYTES: Final = SEALED_BYTES + COMMITMENT_BYTES
DOWNWARDS_BYTES: Final = CIPHERTEXT_BYTES + SEALED_BYTES
UPWARDS_BYTES: Final = DOWNWARDS_BYTES + CIPHERTEXT_BYTES
LONGEST_PARCEL_BYTES: Final = UPWARDS_BYTES + SHARED_BYTES
PARCEL_BYTES: Final = frozenset(
    {SEALED_BYTES, COMMITTED_BYTES, DOWNWARDS_BYTES, UPWARDS_BYTES, LONGEST_PARCEL_BYTES}
)  # of every session
REVEALED_BYTES: Final = frozenset({SHARE_BYTES, SHARE_BYTES + DIGEST_BYTES})  # without and with signed dealings
SIGNATURE_BYTES: Final = 64
MOST_DISCLOSURES: Final = 8


def deals_signed(parameters: SessionParameters) -> bool:
    """Whether clients sign what they deal, and commit to it (Specification §3.6): some messages are longer then."""
    complete = parameters.topology.kind is TopologyKind.COMPLETE
    active = parameters.threat_model is ThreatModel.ACTIVE
    return active and complete and not get_suite(parameters.suite).hybrid


class Round(Enum):
    """The rounds of a session; the values are the keys of `simulate(dropouts=...)` and of reports.

    Five in the active model, four in the semi-honest one, which has no CONSISTENCY_CHECK; DISCLOSURE is there only
    after complaints, and instead of those behind it.
    """

    ADVERTISE_KEYS = "advertise_keys"
    """Clients send public keys (§6.2)."""
    SHARE_KEYS = "share_keys"
    """Clients send sealed shares of their secrets to their neighbours (§6.3)."""
    MASKED_INPUT = "masked_input"
    """Clients send their masked inputs, or complain (§6.4)."""
    DISCLOSURE = "disclosure"
    """After complaints, clients disclose keys of the pairs in question, and the session ends (§6.8)."""
    CONSISTENCY_CHECK = "consistency_check"
    """In the active model, clients sign the set of contributors (§6.5)."""
    UNMASKING = "unmasking"
    """Clients reveal shares of what masks the sum (§6.6)."""


@dataclass(frozen=True, slots=True)
class SessionOffer:
    """The server proposes a session; a client judges it before it makes a key (Specification §6.1).

    Attributes:
        parameters: what the session is to be.
    """

    parameters: SessionParameters


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A client's public keys and the commitment to its self-mask seed (Specification §6.2).

    Attributes:
        client: whose it is.
        channel_public: for the channels between clients: X25519, 32 bytes; in hybrid suites ML-KEM-768 behind it, 1216.
        mask_public: likewise, for pairwise masks.
        commitment: 32 bytes, SHA-256 commitment to the self-mask seed.
        signature: 64 bytes, Ed25519, in the active model; empty in the semi-honest model.
    """

    client: ClientId
    channel_public: bytes
    mask_public: bytes
    commitment: bytes
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class AdvertiseKeysRequest:
    """Asks a client that was offered the session for its keys (Specification §6.2)."""

    session: bytes


@dataclass(frozen=True, slots=True)
class AdvertiseKeysResponse:
    """A client's advertisement (Specification §6.2); `holders` are those that it drew in a chosen graph."""

    session: bytes
    advertisement: Advertisement
    holders: tuple[ClientId, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareKeysRequest:
    """The advertisements of a client's neighbours and its own (Specification §6.3)."""

    session: bytes
    advertisements: tuple[Advertisement, ...]


@dataclass(frozen=True, slots=True)
class ShareKeysResponse:
    """One parcel for each advertised neighbour: (receiver, parcel), held in columns (Specification §3.3, §6.3).

    `signature` is the dealer's attestation, 192 bytes, in a session with signed dealings and empty in others (§3.6).
    """

    session: bytes
    ciphertexts: Pairs
    signature: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ciphertexts", Listed.of(self.ciphertexts))


@dataclass(frozen=True, slots=True)
class MaskedInputCollectionRequest:
    """The parcels that neighbours sent to this client: (sender, parcel) (Specification §3.3, §6.4).

    Attributes:
        session: session digest.
        ciphertexts: the parcels, held in columns.
        sharers: in a chosen graph, all sharers of the cohort as bits; empty in others.
    """

    session: bytes
    ciphertexts: Pairs
    sharers: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ciphertexts", Listed.of(self.ciphertexts))


@dataclass(frozen=True, slots=True)
class MaskedInputCollectionResponse:
    """The masked session vector, bit-packed (Specification §6.4, §4.3).

    Attributes:
        session: session digest.
        payload: the packed vector.
        inclusion: in a chosen graph, 64 bytes: the client's signature over the sharers that it masked with.
    """

    session: bytes
    payload: bytes | bytearray | memoryview = field(repr=False)
    inclusion: bytes = b""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Instead of a masked input: the senders of sealed pairs that this client cannot read (Specification §6.4)."""

    session: bytes
    accused: tuple[ClientId, ...]


@dataclass(frozen=True, slots=True)
class Dealing:
    """What a dealer signed, as far as one receiver needs it (Specification §3.6).

    Attributes:
        client: the dealer.
        block: 1 to 16 entries of 184 bytes, the receiver's among them.
        digests: of all blocks, 32 bytes each.
        signature: 64 bytes.
    """

    client: ClientId
    block: bytes
    digests: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class DisclosureRequest:
    """Asks a client that complained to disclose the pairs that it complained of (Specification §6.8)."""

    session: bytes
    dealings: tuple[Dealing, ...]


@dataclass(frozen=True, slots=True)
class DisclosureResponse:
    """A proof of 128 bytes for each dealing that was shown: (dealer, proof) (Specification §6.8)."""

    session: bytes
    disclosures: tuple[tuple[ClientId, bytes], ...]


@dataclass(frozen=True, slots=True)
class ConsistencyCheckRequest:
    """All clients whose masked input was accepted (Specification §6.5).

    Attributes:
        session: session digest.
        contributors: their ids; empty in a chosen graph.
        contributor_set: in a chosen graph, the same as bits.
        inclusions: in a chosen graph, (client, 64-byte signature) of the contributors whose shares the client holds.
    """

    session: bytes
    contributors: tuple[ClientId, ...]
    contributor_set: bytes = b""
    inclusions: tuple[tuple[ClientId, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class ConsistencyCheckResponse:
    """The client's signature over the contributors it was shown (Specification §6.5)."""

    session: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class UnmaskingRequest:
    """Which neighbours survived, which dropped, and who confirmed the contributors (Specification §6.6).

    Attributes:
        session: session digest.
        survivors: sharers among the client's neighbours that contributed; empty in a chosen graph.
        dropped: sharers among the client's neighbours that did not; empty in a chosen graph.
        confirmations: (client, 64-byte signature) of the consistency check; empty in the semi-honest model. In a chosen
            graph the acknowledgements of `threshold` of the client's holders.
    """

    session: bytes
    survivors: Clients
    dropped: Clients
    confirmations: Pairs = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "survivors", Ids.of(self.survivors))
        object.__setattr__(self, "dropped", Ids.of(self.dropped))
        object.__setattr__(self, "confirmations", Listed.of(self.confirmations))


@dataclass(frozen=True, slots=True)
class RevealedShares:
    """One holder's shares of secrets of several owners; (owner, share) pairs when iterated.

    All shares lie in one piece of memory: a server holds n^2 of them, and an object for each would cost it more
    than the arithmetic.

    Attributes:
        owners: whose secrets they are shares of.
        joined: the shares, one after the other, all of one length: 36 bytes, or where dealings are signed 68, with the
            digest of the share of the other kind behind each.

    Raises:
        ParameterError: `joined` cannot be cut into one share for each owner.
    """

    owners: Ids
    joined: SecretBytes

    def __post_init__(self) -> None:
        count = len(self.owners)
        rest = len(self.joined) % count if count else len(self.joined)
        if rest or count > len(self.joined):
            raise ParameterError(f"{len(self.joined)} bytes are not one share for each of {count} owners")

    @classmethod
    def of(cls, pairs: Iterable[tuple[ClientId, SecretBytes]]) -> RevealedShares:
        """Join (owner, share) pairs; raises ParameterError for shares of different lengths."""
        listed = tuple(pairs)
        if any(len(one) != len(other) for (_, one), (_, other) in pairwise(listed)):
            raise ParameterError(
                "shares of different lengths cannot be revealed together; a share has 36 bytes, or 68 with a digest"
            )
        joined = bytearray().join([share.expose() for _, share in listed])
        shares = cls(Ids.of(owner for owner, _ in listed), SecretBytes(joined))
        joined[:] = bytes(len(joined))
        return shares

    @property
    def width(self) -> int:
        """Bytes of each share, with what stands behind it; 0 when there is none."""
        return len(self.joined) // len(self.owners) if len(self.owners) else 0

    def __len__(self) -> int:
        return len(self.owners)

    def __iter__(self) -> Iterator[tuple[ClientId, SecretBytes]]:
        for place, owner in enumerate(self.owners):
            yield owner, self.share(place)

    def share(self, place: int) -> SecretBytes:
        """Return a copy of the share of `owners[place]`; raises ParameterError for a place outside 0..len-1."""
        if not 0 <= place < len(self.owners):
            raise ParameterError(f"there is no share at place {place} of {len(self.owners)}")
        return SecretBytes(self.joined.expose()[place * self.width : (place + 1) * self.width])


@dataclass(frozen=True, slots=True)
class UnmaskingResponse:
    """Seed shares of survivors and mask-key shares of dropped clients (Specification §6.6)."""

    session: bytes
    seed_shares: RevealedShares
    mask_key_shares: RevealedShares


@dataclass(frozen=True, slots=True)
class Abort:
    """Either side leaves the session and says why (Specification §6.1)."""

    session: bytes
    reason: AbortReason


ServerMessage = (
    AdvertiseKeysRequest
    | ShareKeysRequest
    | MaskedInputCollectionRequest
    | DisclosureRequest
    | ConsistencyCheckRequest
    | UnmaskingRequest
    | Abort
)
"""What a server may send to a client that holds an offer."""

ClientMessage = (
    AdvertiseKeysResponse
    | ShareKeysResponse
    | MaskedInputCollectionResponse
    | Complaint
    | DisclosureResponse
    | ConsistencyCheckResponse
    | UnmaskingResponse
    | Abort
)
"""What a client may send to a server."""

Message = SessionOffer | ServerMessage | ClientMessage

ROUND_OF_MESSAGE: Final[dict[type[object], Round]] = {
    AdvertiseKeysRequest: Round.ADVERTISE_KEYS,
    AdvertiseKeysResponse: Round.ADVERTISE_KEYS,
    ShareKeysRequest: Round.SHARE_KEYS,
    ShareKeysResponse: Round.SHARE_KEYS,
    MaskedInputCollectionRequest: Round.MASKED_INPUT,
    MaskedInputCollectionResponse: Round.MASKED_INPUT,
    Complaint: Round.MASKED_INPUT,
    DisclosureRequest: Round.DISCLOSURE,
    DisclosureResponse: Round.DISCLOSURE,
    ConsistencyCheckRequest: Round.CONSISTENCY_CHECK,
    ConsistencyCheckResponse: Round.CONSISTENCY_CHECK,
    UnmaskingRequest: Round.UNMASKING,
    UnmaskingResponse: Round.UNMASKING,
}
"""The round each message type belongs to; the offer and Abort belong to none."""
