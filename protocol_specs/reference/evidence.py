"""Evidence about one committed pair, which anybody who has the roster can judge, and who judges all evidence (§3.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol_specs.reference import commitments, contradictions, dealings, disclosures, keys, sealing, signatures
from protocol_specs.reference.canonical import Reader, canonical, data
from protocol_specs.reference.errors import Undecodable, demand
from protocol_specs.reference.wire import Advertisement, Dealing, Disclosure

_LABEL = "secagg/v1 blame evidence"


@dataclass(frozen=True, slots=True)
class Pair:
    """A committed pair from a dealer to a receiver, `sealed`, and the channel public keys of both."""

    session: bytes
    binding: bytes
    dealer: int
    dealer_public: bytes
    receiver: int
    receiver_public: bytes
    sealed: bytes

    @property
    def context(self) -> bytes:
        """What a proof about this pair is bound to."""
        return canonical(
            "secagg/v1 disclosure context",
            self.session,
            self.binding,
            self.dealer,
            self.dealer_public,
            self.receiver,
            self.receiver_public,
            self.sealed,
        )

    def stands_in(self, dealing: Dealing) -> bool:
        """Whether the pair stands in a dealing (C37)."""
        entry = dealings.entry(self.receiver, self.receiver_public, self.sealed)
        return dealings.stands_in(entry, dealing.block, dealing.digests)

    def is_signed(self, dealing: Dealing, verification_key: bytes) -> bool:
        """Whether the dealer signed the dealing, with these keys (C38)."""
        text = dealings.signed_input(self.session, self.binding, self.dealer, self.dealer_public, dealing.digests)
        return signatures.verifies(verification_key, text, dealing.signature[:64])

    def has_key(self, dealing: Dealing) -> bool:
        """Whether the dealer shows that it has its channel private key (C39)."""
        context = dealings.possession_context(self.session, self.binding, self.dealer, self.dealer_public)
        proof = dealing.signature[64:]
        return disclosures.shown(self.dealer_public, disclosures.BASE_PUBLIC, proof, context) is not None

    def agreement(self, proof: bytes) -> bytes | None:
        """The agreement of dealer and receiver that a proof by the receiver shows, if it does."""
        return disclosures.shown(self.receiver_public, self.dealer_public, proof, self.context)

    def is_readable(self, agreement: bytes) -> bool:
        """Whether it opens, both shares are canonical, and they fit the commitment behind it."""
        dealer, receiver = _named(self.dealer, self.dealer_public), _named(self.receiver, self.receiver_public)
        key = keys.channel_key(agreement, self.binding, dealer, receiver)
        sealed, commitment = self.sealed[: sealing.SEALED_BYTES], self.sealed[sealing.SEALED_BYTES :]
        pair = sealing.read(key, self.binding, self.dealer, self.receiver, sealed)
        ends = self.session, self.binding, self.dealer, self.receiver
        return pair is not None and commitments.pair_commitment(*ends, *pair) == commitment


def _named(client: int, channel_public: bytes) -> Advertisement:
    return Advertisement(client, channel_public, b"", b"", b"")


def encode(pair: Pair, dealing: Dealing, complainer: Advertisement, proof: bytes) -> bytes:
    """The bytes of evidence."""
    return canonical(
        _LABEL,
        pair.session,
        pair.binding,
        pair.dealer,
        pair.dealer_public,
        dealing.block,
        dealing.digests,
        dealing.signature[:64],
        complainer.client,
        complainer.channel_public,
        complainer.mask_public,
        complainer.commitment,
        complainer.signature,
        pair.sealed,
        proof,
    )


def disclose(
    pairs: Sequence[Pair], shown: Sequence[Dealing], private: bytes, roster: Mapping[int, bytes]
) -> tuple[Disclosure, ...]:
    """What the receiver of pairs that it cannot read discloses about the dealings that it was shown (§6.8)."""
    for pair, dealing in zip(pairs, shown, strict=True):
        demand(pair.stands_in(dealing), "C37")
        demand(pair.is_signed(dealing, roster[pair.dealer]), "C38")
        demand(pair.has_key(dealing), "C39")
    proofs = (disclosures.prove(private, pair.dealer_public, pair.context) for pair in pairs)
    return tuple(Disclosure(pair.dealer, proof) for pair, proof in zip(pairs, proofs, strict=True))


def judge(evidence: bytes, roster: Mapping[int, bytes]) -> tuple[int, str] | None:
    """Whom evidence of either kind is against, and the id; None when it is not accepted."""
    if evidence.startswith(data(contradictions.LABEL.encode("ascii"))):
        return contradictions.judge(evidence, roster)
    try:
        pair, dealing, complainer, proof = _decode(evidence)
    except Undecodable:
        return None
    if pair.dealer not in roster or complainer.client not in roster:
        return None
    advertised = signatures.advertisement_input(pair.session, complainer)
    if not (
        pair.stands_in(dealing)
        and pair.is_signed(dealing, roster[pair.dealer])
        and signatures.verifies(roster[complainer.client], advertised, complainer.signature)
    ):
        return None
    agreement = pair.agreement(proof)
    return None if agreement is None else verdict(pair, agreement)


def verdict(pair: Pair, agreement: bytes) -> tuple[int, str]:
    """Who is at fault for a complaint about a pair, and the id."""
    return (pair.receiver, "S33") if pair.is_readable(agreement) else (pair.dealer, "S22")


def _decode(evidence: bytes) -> tuple[Pair, Dealing, Advertisement, bytes]:
    label = data(_LABEL.encode("ascii"))
    if not evidence.startswith(label):
        raise Undecodable("another label")
    reader = Reader(evidence[len(label) :])

    def read(*lengths: int) -> bytes:
        value = reader.data()
        if len(value) not in lengths:
            raise Undecodable("a value has another length")
        return value

    session, binding = read(32), read(32)
    dealer, dealer_public = reader.integer(), read(32)
    block = read(*(entries * dealings.ENTRY_BYTES for entries in range(1, dealings.ENTRIES_IN_A_BLOCK + 1)))
    dealing = Dealing(dealer, block, reader.data(), read(64))
    complainer = Advertisement(reader.integer(), read(32), read(32), read(32), read(64))
    pair = Pair(session, binding, dealer, dealer_public, complainer.client, complainer.channel_public, read(144))
    proof = read(128)
    reader.end()
    return pair, dealing, complainer, proof
