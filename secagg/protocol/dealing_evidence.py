"""Evidence that a dealer's shares contradict each other or what it advertised (Specification §3.6).

Shares that fit what a dealer committed to, and signed, are those that it dealt, whoever revealed them. Must not know
rounds, states or who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import Reader, encode_fields
from secagg.crypto import dealing, key_schedule, shamir
from secagg.crypto.agreement import KEY_BYTES
from secagg.crypto.commitments import Commitments, ShareKind
from secagg.crypto.decoding import disagreeing
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import verify
from secagg.encoding.layout import Layout
from secagg.errors import DecodeError, EvidenceError, ParameterError
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol.messages import COMMITMENT_BYTES, DIGEST_BYTES, SIGNATURE_BYTES, Advertisement, deals_signed
from secagg.protocol.roster import Roster
from secagg.protocol.topology import neighbourhoods
from secagg.protocol.verifying import is_advertised

_ID_BYTES: Final = 8
_REVEALED_BYTES: Final = shamir.SHARE_BYTES + DIGEST_BYTES
_BLOCK_BYTES: Final = dealing.PAIRS_IN_A_BLOCK * dealing.ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class DealingEvidence:
    """Shares of one secret that a dealer dealt, with what holds it to them.

    Attributes:
        parameters: of the session, as they are hashed.
        binding: cohort digest, 32 bytes.
        dealer: who shared the secret.
        channel_public: its channel public key, 32 bytes.
        mask_public: its mask public key, 32 bytes.
        commitment: to its self-mask seed, 32 bytes.
        advertisement_signature: 64 bytes, over these keys.
        digests: of all blocks of its dealing, 32 bytes each.
        dealing_signature: 64 bytes, over them.
        blocks: those with the entries of the holders, of up to 16 entries of 184 bytes each.
        kind: which secret.
        holders: ids of 8 bytes, ascending.
        shares: for each holder its share of 36 bytes, and the digest of the other one of its pair, 32.
    """

    parameters: bytes
    binding: bytes
    dealer: ClientId
    channel_public: bytes
    mask_public: bytes
    commitment: bytes
    advertisement_signature: bytes
    digests: bytes
    dealing_signature: bytes
    blocks: bytes
    kind: int
    holders: bytes
    shares: bytes

    def encode(self) -> bytes:
        """Return the bytes of Specification §3.6."""
        return encode_fields(Label.DEALING_EVIDENCE, *astuple(self))

    @classmethod
    def decode(cls, data: bytes) -> DealingEvidence:
        """Read such bytes.

        Raises:
            DecodeError: anything else.
        """
        reader = Reader(data)
        if reader.data(maximum=len(Label.DEALING_EVIDENCE)) != Label.DEALING_EVIDENCE:
            raise DecodeError("it begins with another label")
        found = cls(
            reader.data(),
            reader.data(DIGEST_BYTES),
            reader.integer(),
            reader.data(KEY_BYTES),
            reader.data(KEY_BYTES),
            reader.data(COMMITMENT_BYTES),
            reader.data(SIGNATURE_BYTES),
            reader.data(),
            reader.data(SIGNATURE_BYTES),
            reader.data(),
            reader.integer(),
            reader.data(),
            reader.data(),
        )
        reader.finish()
        return found

    @property
    def advertisement(self) -> Advertisement:
        """What the dealer advertised."""
        return Advertisement(
            self.dealer, self.channel_public, self.mask_public, self.commitment, self.advertisement_signature
        )


def pack_holders(holders: Sequence[ClientId]) -> bytes:
    """The ids of holders as they stand in evidence."""
    return b"".join(holder.to_bytes(_ID_BYTES, "big") for holder in holders)


def convicted(found: DealingEvidence, roster: Roster) -> bytes:
    """The digest of the session in which the dealer dealt shares that contradict each other.

    Raises:
        EvidenceError: it shows nothing; says what is missing.
    """
    dealer = found.dealer
    parameters = _parameters(found)
    session = key_schedule.session_digest(found.parameters)
    if dealer not in roster:
        raise EvidenceError(f"client {dealer} is not in the roster, so nothing can be shown of it; take the session's")
    _check_signatures(found, session, roster)
    committed = _dealt(found)
    holders, shares = _holders(found, parameters), SecretBytes(found.shares)
    if len(shares) != len(holders) * _REVEALED_BYTES:
        raise EvidenceError(f"{len(shares)} bytes are not the shares of {len(holders)} holders")
    elements = shamir.elements_in(shares, _REVEALED_BYTES) if holders else shamir.elements_in(SecretBytes(b""))
    if found.kind not in set(ShareKind) or not shamir.are_canonical_elements(elements).all():
        raise EvidenceError("there is a share in it that is none")
    kind, commitments = ShareKind(found.kind), Commitments(session, found.binding)
    for place, holder in enumerate(holders):
        row = found.shares[place * _REVEALED_BYTES : (place + 1) * _REVEALED_BYTES]
        share, other = row[: shamir.SHARE_BYTES], row[shamir.SHARE_BYTES :]
        if holder not in committed or not commitments.fits(committed[holder], dealer, holder, kind, share, other):
            raise EvidenceError(f"client {dealer} did not sign that it dealt this share to client {holder}")
    points = neighbourhoods(parameters).points(dealer, np.array(holders, dtype=np.uint64))
    if not _contradicts(found, kind, tuple(points.tolist()), elements, parameters, session):
        raise EvidenceError(f"the shares that client {dealer} dealt are right")
    return session


def _parameters(found: DealingEvidence) -> SessionParameters:
    try:
        parameters = SessionParameters.decode(found.parameters)
        Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
    except (DecodeError, ParameterError) as error:
        raise EvidenceError(f"no session has the parameters in it: {error}") from error
    if not deals_signed(parameters) or not parameters.includes(found.dealer):
        raise EvidenceError(f"client {found.dealer} signed no dealing in a session of the parameters in it")
    return parameters


def _check_signatures(found: DealingEvidence, session: bytes, roster: Roster) -> None:
    key, ad = roster[found.dealer], found.advertisement
    advertised = key_schedule.advertisement_text(session, ad.client, ad.channel_public, ad.mask_public, ad.commitment)
    if not verify(key, advertised, ad.signature):
        raise EvidenceError(f"client {found.dealer} did not sign what it is said to have advertised")
    dealt = dealing.dealing_text(session, found.binding, found.dealer, found.channel_public, found.digests)
    if not verify(key, dealt, found.dealing_signature):
        raise EvidenceError(f"client {found.dealer} did not sign that it dealt these shares")


def _dealt(found: DealingEvidence) -> Mapping[ClientId, bytes]:
    """What the dealer committed to, by holder, of the entries that stand in the blocks."""
    blocks = [found.blocks[at : at + _BLOCK_BYTES] for at in range(0, len(found.blocks), _BLOCK_BYTES)]
    if len(found.blocks) % dealing.ENTRY_BYTES or not dealing.are_listed(blocks, found.digests):
        raise EvidenceError(f"there is a block in it that client {found.dealer} did not deal")
    size = dealing.ENTRY_BYTES
    entries = [found.blocks[at : at + size] for at in range(0, len(found.blocks), size)]
    receivers = [int.from_bytes(entry[: dealing.ID_BYTES], "big") for entry in entries]
    if any(one >= other for one, other in pairwise(receivers)):
        raise EvidenceError("its blocks are not in the order of a dealing")
    return {receiver: entry[-COMMITMENT_BYTES:] for receiver, entry in zip(receivers, entries, strict=True)}


def _holders(found: DealingEvidence, parameters: SessionParameters) -> tuple[ClientId, ...]:
    if len(found.holders) % _ID_BYTES:
        raise EvidenceError(f"{len(found.holders)} bytes are no ids of holders")
    cut = [found.holders[at : at + _ID_BYTES] for at in range(0, len(found.holders), _ID_BYTES)]
    holders = tuple(int.from_bytes(each, "big") for each in cut)
    known = frozenset(parameters.cohort) - {found.dealer}
    if any(one >= other for one, other in pairwise(holders)) or not known.issuperset(holders):
        raise EvidenceError(f"its holders are not clients to whom {found.dealer} dealt, in ascending order")
    if len(holders) - parameters.threshold not in (0, 1):
        raise EvidenceError(f"it has shares of {len(holders)} holders; it takes those of {parameters.threshold} or one")
    return holders


def _contradicts(
    found: DealingEvidence,
    kind: ShareKind,
    points: tuple[int, ...],
    elements: NDArray[np.uint16],
    parameters: SessionParameters,
    session: bytes,
) -> bool:
    values, threshold = elements.astype(np.float64), parameters.threshold
    if len(points) > threshold:
        return bool(disagreeing(points, values, threshold))
    secret = shamir.interpolate_secret(points, values)
    return secret is None or not is_advertised(kind, secret, session, found.advertisement, with_kem=False)
