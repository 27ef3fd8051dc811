"""Cases of evidence of a dealing (Specification §3.6), for the file of `disclosures`.

Must not know how a server comes by evidence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Topic
from protocol_specs.generate_vectors.primitives.dealer import (
    COHORT,
    DEALER,
    LARGE,
    Change,
    Dealer,
    drawn,
    moved,
    session_parameters,
)
from protocol_specs.generate_vectors.primitives.evidence import judged
from protocol_specs.reference import commitments, dealings, keys, sharing, signatures
from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.canonical import client_ids, data, integer
from protocol_specs.reference.commitments import MASK_KEY, SEED
from protocol_specs.reference.contradictions import Contradiction
from protocol_specs.reference.field import P
from protocol_specs.reference.parameters import SEMI_HONEST, SPARSE, Integers, Parameters

ROSTER: Final = {DEALER: signatures.verification_key(drawn("identity"))}


def _only(at: int) -> Change:
    return lambda place, share: moved(share) if place == at else share


def add_contradictions(topic: Topic) -> None:
    """Evidence that shows that a dealer contradicts itself, and what is none."""
    large = Dealer(session_parameters(LARGE, 11), _only(17), client=DEALER)
    for name, comment, dealer, places in (
        ("seed-first", "Four shares, the first of them off, lead to another seed.", Dealer(change=_only(0)), range(4)),
        ("seed-others", "Four shares that are not the first ones.", Dealer(change=_only(4)), range(1, 5)),
        ("seed-later", "Four shares lead to the seed, and a fifth is off.", Dealer(change=_only(4)), range(5)),
        ("other-seed", "Shares of another seed.", Dealer(secrets={SEED: drawn("another")}), range(4)),
        ("other-mask-key", "Shares of another mask key.",
         Dealer(kind=MASK_KEY, secrets={MASK_KEY: drawn("another")}), range(4)),
        ("mask-key-later", "Four shares lead to the mask key, and a fifth is off.",
         Dealer(kind=MASK_KEY, change=_only(2)), range(5)),
        ("no-secret", "The limbs are those of no secret.",
         Dealer(change=lambda _place, share: _high(share)), range(4)),
        ("two-blocks", "Twelve shares, in two blocks.", large, (*range(11), 17)),
        ("one-block", "Eleven shares, all in the first of two blocks.",
         replace(large, change=_only(3)), range(11)),
        ("second-block-first", "One share of the first block is not needed, and the last stands in the second.",
         replace(large, change=_only(17)), (*range(1, 11), 17)),
    ):  # fmt: skip
        _judged(topic, name, comment, dealer.evidence(places).encode(), "Contradiction", (DEALER, "S23"))
    all_blocks = replace(large, change=_only(3))
    more = replace(all_blocks.evidence(range(11)), blocks=all_blocks.evidence((*range(10), 17)).blocks)
    _judged(topic, "more-blocks", "A block more than is needed.", more.encode(), "Contradiction", (DEALER, "S23"))
    for name, comment, flag, its in (*_right(), *_not_signed(), *_not_whole(), *_not_fitting(), *_elsewhere()):
        _judged(topic, f"refuse-{name}", comment, its.encode(), flag)
    _bytes(topic)


def _high(share: bytes) -> bytes:
    values = sharing.decode_share(share)
    return sharing.encode_share([(values[0] + 2) % P, *values[1:]])


Refused = tuple[str, str, str, Contradiction]


def _right() -> list[Refused]:
    honest, off = Dealer(), Dealer(change=_only(4))
    return [
        ("right", "Four shares that lead to the seed.", "Right", honest.evidence(range(4))),
        ("right-later", "Five shares on one set of polynomials.", "Right", honest.evidence(range(5))),
        ("right-mask-key", "Four shares of the mask key.", "Right", replace(honest, kind=MASK_KEY).evidence(range(4))),
        ("off-unseen", "The share that is off is not there.", "Right", off.evidence(range(4))),
        ("other-seed-agrees", "Five shares of another seed agree, so that four would do.", "Right",
         Dealer(secrets={SEED: drawn("another")}).evidence(range(5))),
        ("three", "Three shares at threshold 4.", "Right", Dealer(change=_only(0)).evidence(range(3))),
        ("six", "Six shares at threshold 4.", "Right",
         Dealer(_seven(), _only(0)).evidence(range(6))),
        ("none", "No shares.", "Right", Dealer(change=_only(0)).evidence(())),
    ]  # fmt: skip


def _seven() -> Parameters:
    return session_parameters(tuple(sorted((*COHORT, 9))), 4)


def _not_signed() -> list[Refused]:
    dealer = Dealer(change=_only(0))
    its = dealer.evidence(range(4))
    forged = Dealer(change=_only(0), identity="another identity").evidence(range(4))
    ad = its.dealer
    another = keys.public_key(drawn("another key"))
    return [
        ("unsigned", "No dealing signature.", "Unsigned", replace(its, signature=bytes(64))),
        ("signer", "Somebody else signed.", "Unsigned", forged),
        ("dealing-signer", "Somebody else signed the dealing.", "Unsigned", replace(its, signature=forged.signature)),
        ("advertisement-signer", "Somebody else signed the advertisement.", "Unsigned",
         replace(its, dealer=forged.dealer)),
        ("binding", "Another binding.", "Unsigned", replace(its, binding=bytes(32))),
        ("signed-binding", "Another binding, under which the dealer signed the same.", "NotDealt",
         dealer.resigned(replace(its, binding=bytes(32)))),
        ("channel-key", "Another channel key.", "Unsigned", replace(its, dealer=replace(ad, channel_public=another))),
        ("advertised-channel-key", "Another channel key, which it advertised, too.", "Unsigned",
         replace(its, dealer=dealer.advertisement(channel_public=another))),
        ("mask-key", "Another mask public key.", "Unsigned", replace(its, dealer=replace(ad, mask_public=another))),
        ("commitment", "Another commitment.", "Unsigned", replace(its, dealer=replace(ad, commitment=bytes(32)))),
        ("digests", "One digest more.", "Unsigned", replace(its, digests=its.digests + bytes(32))),
        ("dealer", "Another client's name.", "Unsigned", replace(its, dealer=replace(ad, client=7))),
    ]  # fmt: skip


def _not_whole() -> list[Refused]:
    dealer = Dealer(change=_only(0))
    its = dealer.evidence(range(4))
    size, other = dealings.ENTRY_BYTES, Dealer(change=_only(1)).evidence((1,))
    large = Dealer(session_parameters(LARGE, 11), _only(3))
    two_blocks = large.evidence((*range(10), 17))
    swapped = dealer.evidence(range(4), lambda listed: [listed[1], listed[0], *listed[2:]])
    twice = dealer.evidence(range(4), lambda listed: [listed[0], *listed])
    cut = its.blocks[:-1]
    return [
        ("no-blocks", "No blocks.", "Blocks", replace(its, blocks=b"")),
        ("short-blocks", "The last byte of the blocks is missing.", "Blocks", replace(its, blocks=cut)),
        ("short-blocks-signed", "The same, and the dealer signed its digest.", "Blocks",
         dealer.resigned(replace(its, blocks=cut, digests=dealings.block_digest(cut)))),
        ("entry-missing", "A block without the last entry.", "Blocks", replace(its, blocks=its.blocks[:-size])),
        ("other-block", "Another block.", "Blocks", replace(its, blocks=other.blocks)),
        ("order", "Entries that do not ascend, which the dealer signed.", "Blocks", swapped),
        ("twice", "An entry that stands there twice, which the dealer signed.", "Blocks", twice),
        ("block-twice", "The block twice.", "Blocks", replace(its, blocks=its.blocks * 2)),
        ("long-digests", "Digests with one more byte, signed.", "Blocks",
         dealer.resigned(replace(its, digests=its.digests + b"\0"))),
        ("shifted-digest", "The digest is there, 16 bytes late, signed.", "Blocks",
         dealer.resigned(replace(its, digests=bytes(16) + its.digests + bytes(16)))),
        ("holder-not-there", "The entry of a holder is in no block.", "Blocks",
         replace(two_blocks, blocks=two_blocks.blocks[: 16 * size])),
        ("block-not-listed", "Of two blocks only the first is signed.", "Blocks",
         large.resigned(replace(two_blocks, digests=two_blocks.digests[:32]))),
    ]  # fmt: skip


def _third_kind() -> Contradiction:
    dealer = Dealer(kind=MASK_KEY, secrets={MASK_KEY: drawn("another")})
    ends = dealer.session, drawn("binding"), dealer.client

    def committed(listed: list[bytes]) -> list[bytes]:
        made = []
        for entry, (holder, (seed, mask_key)) in zip(listed, dealer.shares().items(), strict=True):
            found = (commitments.share_digest(*ends, holder, k, share) for k, share in ((SEED, seed), (3, mask_key)))
            made.append(entry[:-32] + commitments.joined(*found))
        return made

    return replace(dealer.evidence(range(4), committed), kind=3)


def _not_fitting() -> list[Refused]:
    dealer = Dealer(change=_only(0))
    its = dealer.evidence(range(4))
    honest = Dealer().evidence(range(4))
    first = its.holders
    descending = (first[1], first[0], *first[2:])
    rows = [its.shares[at : at + 68] for at in range(0, len(its.shares), 68)]
    beyond = Dealer(change=lambda place, share: (P).to_bytes(2, "big") + share[2:] if place == 0 else share)
    return [
        ("share", "A share that was not dealt makes right ones contradict each other.", "NotDealt",
         replace(honest, shares=moved(honest.shares[:36]) + honest.shares[36:])),
        ("digest", "A digest that was not dealt.", "NotDealt",
         replace(its, shares=its.shares[:-1] + bytes([its.shares[-1] ^ 1]))),
        ("kind", "The other kind.", "NotDealt", replace(its, kind=MASK_KEY)),
        ("no-kind", "A kind that there is not.", "NotDealt", replace(its, kind=3)),
        ("third-kind", "A kind that there is not, to which the dealer committed.", "NotDealt", _third_kind()),
        ("kind-0", "Kind 0.", "NotDealt", replace(its, kind=0)),
        ("exchanged", "Two holders' shares are exchanged.", "NotDealt",
         replace(its, shares=rows[1] + rows[0] + rows[2] + rows[3])),
        ("descending", "Holders that do not ascend.", "NotDealt",
         replace(its, holders=descending, shares=rows[1] + rows[0] + rows[2] + rows[3])),
        ("repeated", "A holder that stands there twice.", "NotDealt",
         replace(its, holders=(*first, first[3]), shares=its.shares + rows[3])),
        ("stranger", "A holder outside of the cohort.", "NotDealt", replace(its, holders=(*first[:3], 8))),
        ("itself", "The dealer is among the holders.", "NotDealt",
         replace(its, holders=tuple(sorted((first[0], first[1], first[3], DEALER))))),
        ("itself-dealt", "The dealer is among the holders, as it signed.", "NotDealt",
         replace(dealer, to=COHORT).evidence(range(4))),
        ("not-canonical", "A share that was dealt with an element of p: complaints are about that.", "NotDealt",
         beyond.evidence(range(4))),
        ("short-shares", "The last byte of the shares is missing.", "NotDealt", replace(its, shares=its.shares[:-1])),
        ("long-shares", "A share more than holders.", "NotDealt", replace(its, shares=its.shares + rows[0])),
    ]  # fmt: skip


def _elsewhere() -> list[Refused]:
    off = _only(0)
    sparse = session_parameters(
        topology_kind=SPARSE, degree=4, permutation_seed=bytes(32), threat_model=SEMI_HONEST, threshold=4
    )
    its = Dealer(change=off).evidence(range(4))
    lower = parameters_.encode(session_parameters(threshold=3))
    return [
        ("semi-honest", "A semi-honest session.", "NoSession",
         Dealer(session_parameters(threat_model=SEMI_HONEST), off).evidence(range(4))),
        ("sparse", "A sparse graph.", "NoSession", Dealer(sparse, off).evidence(range(4))),
        ("hybrid", "A suite with a KEM.", "NoSession",
         Dealer(session_parameters(suite=0x0101), off).evidence(range(4))),
        ("below", "A threshold that no active session has.", "NoSession",
         Dealer(session_parameters(threshold=3), off).evidence(range(3))),
        ("version", "Another version.", "NoSession", Dealer(session_parameters(version=2), off).evidence(range(4))),
        ("too-wide", "Vectors that no session has.", "NoSession",
         Dealer(session_parameters(vectors=(("v", Integers(-(2**63), 2**63 - 1, (1,))),)), off).evidence(range(4))),
        ("not-in-cohort", "A dealer that is not in the cohort.", "NoSession",
         replace(its, parameters=parameters_.encode(session_parameters((0, 2, 7, 9, 2**63 + 5, 2**64 - 1))))),
        ("signed-not-in-cohort", "The same, and the dealer signed everything there.", "NoSession",
         Dealer(session_parameters((0, 2, 7, 9, 2**63 + 5, 2**64 - 1)), off).evidence(range(4))),
        ("other-parameters", "Parameters of another session.", "NoSession", replace(its, parameters=lower)),
        ("no-parameters", "No parameters.", "NoSession", replace(its, parameters=b"")),
        ("long-parameters", "Parameters with one more byte.", "NoSession",
         replace(its, parameters=its.parameters + b"\0")),
    ]  # fmt: skip


def _bytes(topic: Topic) -> None:
    encoding = Dealer(change=_only(0)).evidence(range(4)).encode()
    label, complaint = b"secagg/v1 dealing evidence", b"secagg/v1 blame evidence"
    holders = data(client_ids(tuple(c for c in COHORT if c != DEALER)[:4]))
    cut = data(client_ids(tuple(c for c in COHORT if c != DEALER)[:4])[:-1])
    for name, comment, changed in (
        ("label", "Another label.", encoding.replace(label, b"secagg/v1 Dealing evidence")),
        ("blame-label", "The label of the other kind.", encoding.replace(data(label), data(complaint))),
        ("long", "One byte more.", encoding + b"\0"),
        ("short", "Without the last byte.", encoding[:-1]),
        ("label-alone", "The label alone.", data(label)),
        ("tag", "The dealer's id as bytes.", encoding.replace(integer(DEALER), data(bytes(8)), 1)),
        ("cut-id", "Holders that end within an id.", encoding.replace(holders, cut)),
    ):  # fmt: skip
        _judged(topic, f"refuse-bytes-{name}", comment, changed, "ModifiedBytes")
    for name, roster in (("no-roster", {}), ("other-key", {DEALER: signatures.verification_key(drawn("other"))})):
        judged(topic, f"dealing-refuse-{name}", "Another roster.", encoding, flag="Unsigned", roster=roster)


def _judged(
    topic: Topic, name: str, comment: str, encoding: bytes, flag: str, against: tuple[int, str] | None = None
) -> None:
    judged(topic, f"dealing-{name}", comment, encoding, flag=flag, against=against, roster=ROSTER)
