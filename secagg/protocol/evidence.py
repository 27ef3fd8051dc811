"""Evidence that a client lied about what was dealt, for anybody who has the roster (Specification §3.6).

A signed dealing with a disclosed agreement says what a pair holds: whoever can read it sees whether dealer or
complainer lied. The other kind, of shares that contradict each other, is in `dealing_evidence`. Nothing of it is about
an input. Must not know rounds, states or who asks.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final

from secagg.canonical import Reader, encode_fields
from secagg.crypto import aead, dealing, disclosure, key_schedule, shamir
from secagg.crypto.agreement import KEY_BYTES
from secagg.crypto.commitments import Commitments
from secagg.crypto.labels import Label
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import verify
from secagg.errors import DecodeError, DropReason, EvidenceError
from secagg.parameters import ClientId
from secagg.protocol.dealing_evidence import DealingEvidence, convicted
from secagg.protocol.messages import COMMITMENT_BYTES, COMMITTED_BYTES, DIGEST_BYTES, SEALED_BYTES, SIGNATURE_BYTES
from secagg.protocol.roster import Roster

_DEALING: Final = encode_fields(Label.DEALING_EVIDENCE)
_LONGEST_BLOCK: Final = dealing.PAIRS_IN_A_BLOCK * dealing.ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one committed pair after it was disclosed.

    Attributes:
        session: session digest, 32 bytes.
        binding: cohort digest, 32 bytes.
        dealer: who sealed the pair.
        dealer_public: its channel public key, 32 bytes.
        block: entries of 184 bytes, the pair's among them.
        digests: of all blocks of the dealing, 32 bytes each.
        dealing_signature: 64 bytes, by the dealer.
        complainer: who said that it cannot read it.
        channel_public: the complainer's, 32 bytes.
        mask_public: the complainer's, 32 bytes.
        commitment: the complainer's, 32 bytes.
        advertisement_signature: 64 bytes, by the complainer.
        committed: the pair and the commitment to it, 144 bytes.
        proof: 128 bytes, by the complainer.
    """

    session: bytes
    binding: bytes
    dealer: ClientId
    dealer_public: bytes
    block: bytes
    digests: bytes
    dealing_signature: bytes
    complainer: ClientId
    channel_public: bytes
    mask_public: bytes
    commitment: bytes
    advertisement_signature: bytes
    committed: bytes
    proof: bytes

    def encode(self) -> bytes:
        """Return the bytes of Specification §3.6."""
        return encode_fields(Label.BLAME_EVIDENCE, *astuple(self))

    @classmethod
    def decode(cls, data: bytes) -> Evidence:
        """Read such bytes.

        Raises:
            DecodeError: anything else.
        """
        reader = Reader(data)
        if reader.data(maximum=len(Label.BLAME_EVIDENCE)) != Label.BLAME_EVIDENCE:
            raise DecodeError("this is no evidence: it begins with another label")
        found = cls(
            reader.data(DIGEST_BYTES),
            reader.data(DIGEST_BYTES),
            reader.integer(),
            reader.data(KEY_BYTES),
            reader.data(maximum=_LONGEST_BLOCK),
            reader.data(),
            reader.data(SIGNATURE_BYTES),
            reader.integer(),
            reader.data(KEY_BYTES),
            reader.data(KEY_BYTES),
            reader.data(COMMITMENT_BYTES),
            reader.data(SIGNATURE_BYTES),
            reader.data(COMMITTED_BYTES),
            reader.data(disclosure.PROOF_BYTES),
        )
        reader.finish()
        return found

    @property
    def entry(self) -> bytes:
        """What the dealer signed of the pair."""
        return dealing.dealt_entry(self.complainer, self.channel_public, self.committed)

    def agreement(self) -> SecretBytes | None:
        """What the proof discloses, or None when it shows nothing."""
        context = dealing.disclosure_context(
            self.session,
            self.binding,
            self.dealer,
            self.dealer_public,
            self.complainer,
            self.channel_public,
            self.committed,
        )
        return disclosure.check(self.channel_public, self.dealer_public, self.proof, context)

    def readable(self, agreed: SecretBytes) -> bool:
        """Whether the pair opens under an agreement, and holds two canonical shares that fit their commitment."""
        key = key_schedule.channel_key(
            agreed, self.binding, self.dealer, self.dealer_public, self.complainer, self.channel_public
        )
        bound = key_schedule.share_associated_data(self.binding, self.dealer, self.complainer)
        sealed, commitment = self.committed[:SEALED_BYTES], self.committed[SEALED_BYTES:]
        try:
            seed, mask_key = shamir.split_shares(aead.open_sealed(key, sealed, bound))
        except (aead.AuthenticationError, shamir.ShareError):
            return False
        return Commitments(self.session, self.binding).of(self.dealer, self.complainer, seed, mask_key) == commitment


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whom a piece of evidence is against.

    Attributes:
        client: who lied.
        reason: DEALT_UNREADABLE_PAIR or DEALT_INCONSISTENT_SHARES of a dealer, COMPLAINT_ABOUT_A_READABLE_PAIR of a
            complainer.
        session: digest of the session in which it did.
    """

    client: ClientId
    reason: DropReason
    session: bytes


def verify_evidence(data: bytes, roster: Roster) -> Verdict:
    """Check evidence with the roster alone.

    Args:
        data: what `Blame.evidence` holds.
        roster: client id to 32-byte Ed25519 key.

    Raises:
        EvidenceError: it shows nothing; says what is missing.
    """
    try:
        if data.startswith(_DEALING):
            dealt = DealingEvidence.decode(data)
            return Verdict(dealt.dealer, DropReason.DEALT_INCONSISTENT_SHARES, convicted(dealt, roster))
        found = Evidence.decode(data)
    except DecodeError as error:
        raise EvidenceError(f"these {len(data)} bytes are no evidence: {error}") from error
    for client in (found.dealer, found.complainer):
        if client not in roster:
            raise EvidenceError(
                f"client {client} is not in the roster, so nothing can be shown of it; take the session's"
            )
    if not (
        dealing.is_dealt(found.entry, found.block, found.digests)
        and verify(roster[found.dealer], _dealing_text(found), found.dealing_signature)
    ):
        raise EvidenceError(f"client {found.dealer} did not sign that it dealt this pair to client {found.complainer}")
    if not verify(roster[found.complainer], _advertisement_text(found), found.advertisement_signature):
        raise EvidenceError(f"client {found.complainer} did not sign the key that this pair was dealt to")
    verdict = judge(found)
    if verdict is None:
        raise EvidenceError(f"the proof does not disclose what clients {found.dealer} and {found.complainer} agreed on")
    return verdict


def judge(found: Evidence) -> Verdict | None:
    """Whom it is against, once the signatures are known to be right; None when the proof discloses nothing."""
    agreed = found.agreement()
    if agreed is None:
        return None
    if found.readable(agreed):
        return Verdict(found.complainer, DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR, found.session)
    return Verdict(found.dealer, DropReason.DEALT_UNREADABLE_PAIR, found.session)


def _dealing_text(found: Evidence) -> bytes:
    return dealing.dealing_text(found.session, found.binding, found.dealer, found.dealer_public, found.digests)


def _advertisement_text(found: Evidence) -> bytes:
    return key_schedule.advertisement_text(
        found.session, found.complainer, found.channel_public, found.mask_public, found.commitment
    )
