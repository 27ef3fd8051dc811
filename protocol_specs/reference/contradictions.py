"""Evidence of a dealing: shares that contradict each other, or what their dealer advertised (§3.6)."""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol_specs.reference import commitments, dealings, digests, keys, sharing, signatures
from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.canonical import Reader, canonical, client_ids, data
from protocol_specs.reference.commitments import REVEALED_BYTES, SHARE_BYTES
from protocol_specs.reference.errors import Breach, Undecodable
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.rules import check_parameters
from protocol_specs.reference.topology import share_point
from protocol_specs.reference.wire import Advertisement

LABEL = "secagg/v1 dealing evidence"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What the evidence has: `shares` are a share and the digest of the other one for each holder, in their order."""

    parameters: bytes
    binding: bytes
    dealer: Advertisement
    digests: bytes
    signature: bytes
    blocks: bytes
    kind: int
    holders: tuple[int, ...]
    shares: bytes

    def encode(self) -> bytes:
        """The bytes of the evidence."""
        return canonical(
            LABEL,
            self.parameters,
            self.binding,
            self.dealer.client,
            self.dealer.channel_public,
            self.dealer.mask_public,
            self.dealer.commitment,
            self.dealer.signature,
            self.digests,
            self.signature,
            self.blocks,
            self.kind,
            client_ids(self.holders),
            self.shares,
        )

    @property
    def revealed(self) -> dict[int, bytes]:
        """By holder, its share and the digest of the other one."""
        return dict(zip(self.holders, dealings.cut(self.shares, REVEALED_BYTES), strict=True))


def judge(evidence: bytes, roster: Mapping[int, bytes]) -> tuple[int, str] | None:
    """Whom evidence of a dealing is against, and the id; None when it is not accepted."""
    try:
        its = _decode(evidence)
        p = parameters_.decode(its.parameters)
        check_parameters(p)
    except (Undecodable, Breach):
        return None
    dealer = its.dealer.client
    if not p.signs_dealings or dealer not in p.cohort or dealer not in roster:
        return None
    session = digests.session_digest(p)
    shown = (
        _is_signed(its, session, roster[dealer])
        and _is_whole(its)
        and _has_holders(its, p)
        and _fits(its, session)
        and _contradicts(its, p, session)
    )
    return (dealer, "S23") if shown else None


def _is_signed(its: Contradiction, session: bytes, verification_key: bytes) -> bool:
    a = its.dealer
    advertised = signatures.advertisement_input(session, a)
    dealt = dealings.signed_input(session, its.binding, a.client, a.channel_public, its.digests)
    pairs = (advertised, a.signature), (dealt, its.signature)
    return all(signatures.verifies(verification_key, text, signature) for text, signature in pairs)


def _is_whole(its: Contradiction) -> bool:
    """Whether the blocks are whole entries in ascending order, and the digest of each is among the digests."""
    receivers = [dealings.receiver_of(entry) for entry in _entries(its)]
    listed = dealings.cut(its.digests, dealings.DIGEST_BYTES)
    return (
        receivers == sorted(set(receivers))
        and len(its.blocks) % dealings.ENTRY_BYTES == 0
        and len(its.digests) % dealings.DIGEST_BYTES == 0
        and all(dealings.block_digest(block) in listed for block in dealings.blocks(_entries(its)))
    )


def _has_holders(its: Contradiction, p: Parameters) -> bool:
    others = {*p.cohort} - {its.dealer.client}
    return (
        len(its.holders) in (p.threshold, p.threshold + 1)
        and list(its.holders) == sorted(set(its.holders))
        and set(its.holders) <= others & {dealings.receiver_of(entry) for entry in _entries(its)}
    )


def _fits(its: Contradiction, session: bytes) -> bool:
    """Whether each share is canonical, and fits what was dealt to its holder."""
    dealt = {dealings.receiver_of(entry): entry[-commitments.DIGEST_BYTES :] for entry in _entries(its)}
    ends = session, its.binding, its.dealer.client
    shares = {holder: (both[:SHARE_BYTES], both[SHARE_BYTES:]) for holder, both in its.revealed.items()}
    return all(
        sharing.is_canonical(share) and commitments.fits(*ends, holder, its.kind, share, other, dealt[holder])
        for holder, (share, other) in shares.items()
    )


def _contradicts(its: Contradiction, p: Parameters, session: bytes) -> bool:
    shares = {share_point(p, its.dealer.client, holder): both[:SHARE_BYTES] for holder, both in its.revealed.items()}
    polynomials = sharing.through_the_first(shares, p.threshold)
    if len(shares) > p.threshold:
        return sharing.off(polynomials, shares) != []
    secret = sharing.secret_of(polynomials)
    return secret is None or not keys.is_advertised(its.dealer, session, its.kind, secret)


def _entries(its: Contradiction) -> list[bytes]:
    return dealings.cut(its.blocks, dealings.ENTRY_BYTES)


def _decode(evidence: bytes) -> Contradiction:
    label = data(LABEL.encode("ascii"))
    if not evidence.startswith(label):
        raise Undecodable("another label")
    reader = Reader(evidence[len(label) :])

    def read(length: int) -> bytes:
        value = reader.data()
        if len(value) != length:
            raise Undecodable("a value has another length")
        return value

    encoded, binding = reader.data(), read(32)
    dealer = Advertisement(reader.integer(), read(32), read(32), read(32), read(64))
    listed, signature, blocks, kind = reader.data(), read(64), reader.data(), reader.integer()
    ids = reader.data()
    shares = read(REVEALED_BYTES * (len(ids) // 8))
    reader.end()
    if kind not in (commitments.SEED, commitments.MASK_KEY) or len(ids) % 8:
        raise Undecodable("another kind, or a list that ends within an id")
    holders = tuple(int.from_bytes(its, "big") for its in dealings.cut(ids, 8))
    return Contradiction(encoded, binding, dealer, listed, signature, blocks, kind, holders, shares)
