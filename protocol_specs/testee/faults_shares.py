"""Faults of commitments to shares, of shares that do not fit them, and of evidence of a dealing (§3.6, §5.4, §6.6).

Must not know how a fault is planted.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.reference import commitments, contradictions, rebuilding, sealing
from protocol_specs.reference.blame import Dealt
from protocol_specs.reference.client import Client
from protocol_specs.reference.contradictions import Contradiction
from protocol_specs.reference.evidence import Pair
from protocol_specs.reference.server import Server
from protocol_specs.testee.planting import Fault, edited

_HASHED: Final = '", session, binding, owner, holder, kind, share)'


def _digest_of(mistake: str, hashed: str) -> Fault:
    return edited(mistake, "R58", commitments, "share_digest", _HASHED, f'", {hashed})')


_COMMITMENT_FAULTS: dict[str, Fault] = {
    "share-digest-of-any-session": _digest_of(
        "The digest of a share does not name its session.", "binding, owner, holder, kind, share"
    ),
    "share-digest-of-any-binding": _digest_of(
        "The digest of a share does not name its binding.", "session, owner, holder, kind, share"
    ),
    "share-digest-of-any-owner": _digest_of(
        "The digest of a share does not name its owner.", "session, binding, holder, kind, share"
    ),
    "share-digest-of-any-holder": _digest_of(
        "The digest of a share does not name its holder.", "session, binding, owner, kind, share"
    ),
    "share-digest-of-any-kind": _digest_of(
        "The digest of a share does not name its kind.", "session, binding, owner, holder, share"
    ),
    "share-digest-holder-first": _digest_of(
        "In the digest of a share the holder stands before the owner.", "session, binding, holder, owner, kind, share"
    ),
    "commitment-mask-key-first": edited(
        "The digest of the mask-key share stands first in a pair commitment.",
        "R58",
        commitments,
        "joined",
        "seed_digest, mask_key_digest)",
        "mask_key_digest, seed_digest)",
    ),
    "commitment-ignored-by-the-receiver": edited(
        "A pair that does not fit its commitment is taken.",
        "R64 R58",
        Client,
        "_opened",
        " or self._commitment(sender, self.client, pair) != parcel.commitment",
        "",
    ),
    "commitment-ignored-by-the-judge": edited(
        "A pair that does not fit its commitment is held to be right.",
        "S22 S33 R58",
        Pair,
        "is_readable",
        " and commitments.pair_commitment(*ends, *pair) == commitment",
        "",
    ),
    "commitment-left-out-of-the-context": edited(
        "A proof is bound to the sealed pair without its commitment.",
        "R58",
        Pair,
        "context",
        "self.sealed,",
        "self.sealed[:112],",
    ),
    "commitment-optional": edited(
        "A parcel may have a commitment or not, whatever the session is.",
        "R19 S02 A08",
        sealing,
        "split",
        "p.signs_dealings * COMMITMENT_BYTES",
        "(len(parcel) == COMMITTED_BYTES) * COMMITMENT_BYTES",
    ),
}

_REVEALED_FAULTS: dict[str, Fault] = {
    "revealed-without-the-digest": edited(
        "Shares are revealed without the digest of the other kind.",
        "R52 R58",
        Client,
        "_reveal",
        "share += commitments",
        "_ = commitments",
    ),
    "revealed-with-its-own-digest": edited(
        "A revealed share has the digest of itself behind it.",
        "R52 R58",
        Client,
        "_reveal",
        "MASK_KEY if kind == SEED else SEED",
        "kind",
    ),
    "revealed-of-any-length": edited(
        "Shares of another kind of session are taken.",
        "S02 R19",
        Server,
        "_check_shares",
        "if response.share_lengths - {",
        "if False and response.share_lengths - {",
    ),
}

_REBUILDING_FAULTS: dict[str, Fault] = {
    "wrong-shares-corrected": edited(
        "Wrong shares are corrected where they could be left out.",
        "S53 R50",
        rebuilding,
        "rebuild_secrets",
        "if p.signs_dealings:",
        "if False:",
    ),
    "commitments-always-looked-at": edited(
        "Shares are held to their commitments although they all agree.",
        "R50 S53",
        rebuilding,
        "_rebuild_as_dealt",
        "    secret = secret_from(revealed)\n",
        "    secret = None\n",
    ),
    "all-shares-need-not-agree": edited(
        "A secret that verifies is taken from the first shares, whoever is off its polynomials.",
        "S53 S23 R50",
        rebuilding,
        "_rebuild_as_dealt",
        "    secret = secret_from(revealed)\n",
        "    secret = secret_from(dict(list(revealed.items())[:threshold]))\n",
    ),
    "unfitting-shares-kept": edited(
        "A share that does not fit is reported, and used.",
        "R50 S53",
        rebuilding,
        "_rebuild_as_dealt",
        "        secret = secret_from(fitting)\n",
        "        secret = secret_from(fitting := dict(revealed))\n",
    ),
    "unfitting-shares-not-reported": edited(
        "Who reveals a share that does not fit is not reported.",
        "S53",
        rebuilding,
        "_rebuild_as_dealt",
        "rebuilt.reports += [",
        "_ = [",
    ),
    "fitting-shares-reported": edited(
        "Everybody who revealed a share is reported when one does not fit.",
        "S53",
        rebuilding,
        "_rebuild_as_dealt",
        "for holder in revealed if holder not in fitting]",
        "for holder in revealed]",
    ),
    "reports-exchanged": edited(
        "Holder and owner of a report of a share that does not fit are exchanged.",
        "S53",
        rebuilding,
        "_rebuild_as_dealt",
        "[(holder, owner) for",
        "[(owner, holder) for",
    ),
    "too-few-fitting-blamed": edited(
        "An owner with too few fitting shares is blamed.",
        "A05 R66",
        rebuilding,
        "_rebuild_as_dealt",
        "if len(fitting) < threshold:",
        "if len(fitting) == 0:",
    ),
    "one-fitting-share-more-needed": edited(
        "t fitting shares are too few.",
        "R50 S53 A05",
        rebuilding,
        "_rebuild_as_dealt",
        "if len(fitting) < threshold:",
        "if len(fitting) <= threshold:",
    ),
    "dealers-not-blamed": edited(
        "A dealer of shares that contradict each other is not blamed.",
        "S23 R66",
        Server,
        "_close_unmasking",
        'demand(not self.blame, "A06")',
        'demand(not rebuilt.blame or self.blame.clear(), "A06")',
    ),
    "one-dealer-blamed": edited(
        "Of several dealers one is blamed.",
        "R66",
        Server,
        "_close_unmasking",
        "self.blame = rebuilt.blame",
        "self.blame = rebuilt.blame[:1]",
    ),
    "dealers-blamed-without-evidence": edited(
        "Dealers are blamed without evidence.",
        "S23 R66",
        rebuilding,
        "_rebuild_as_dealt",
        'Blame(owner, "S23", evidence)',
        'Blame(owner, "S23")',
    ),
    "too-few-shares-first": edited(
        "An owner with too few shares hides another that dealt contradicting ones.",
        "R66 A06",
        rebuilding,
        "rebuild_secrets",
        "bool(rebuilt.blame) or not too_few",
        "not too_few",
    ),
    "unfitting-shares-shown": edited(
        "Evidence of a dealing is made of all shares that were revealed.",
        "R58 R66 S23",
        rebuilding,
        "_rebuild_as_dealt",
        "owner, kind, fitting).encode()",
        "owner, kind, revealed).encode()",
    ),
    "last-off-share-shown": edited(
        "Evidence shows the last share that is off, not the first.",
        "R58 R66",
        Dealt,
        "contradiction",
        "sharing.off(polynomials, shares)[0]",
        "sharing.off(polynomials, shares)[-1]",
    ),
    "all-blocks-shown": edited(
        "Evidence of a dealing has all of its blocks.",
        "R58 R66",
        Dealt,
        "contradiction",
        "if {dealings",
        "if True or {dealings",
    ),
    "one-share-more-shown": edited(
        "Evidence always shows t + 1 shares.",
        "R58 R66",
        Dealt,
        "contradiction",
        "shown = list(fitting)[: p.threshold]",
        "shown = list(fitting)[: p.threshold + 1]",
    ),
}


def _judged(mistake: str, function: str, old: str, new: str) -> Fault:
    return edited(mistake, "R58", contradictions, function, old, new)


_EVIDENCE_FAULTS: dict[str, Fault] = {
    "contradiction-kind-first": edited(
        "The kind stands before the blocks in evidence of a dealing.",
        "R58 R66",
        Contradiction,
        "encode",
        "self.blocks,\n        self.kind,",
        "self.kind,\n        self.blocks,",
    ),
    "contradiction-not-advertised": _judged(
        "Evidence whose dealer did not sign the advertisement is accepted.",
        "_is_signed",
        "for text, signature in pairs)",
        "for text, signature in pairs[1:])",
    ),
    "contradiction-not-dealt": _judged(
        "Evidence whose dealer did not sign the dealing is accepted.",
        "_is_signed",
        "for text, signature in pairs)",
        "for text, signature in pairs[:1])",
    ),
    "contradiction-of-any-session": _judged(
        "Evidence of a session without signed dealings is accepted.",
        "judge",
        "not p.signs_dealings or ",
        "",
    ),
    "contradiction-of-a-stranger": _judged(
        "Evidence against a client outside of the cohort is accepted.",
        "judge",
        "dealer not in p.cohort or ",
        "",
    ),
    "contradiction-under-any-parameters": _judged(
        "Evidence whose parameters break a rule is accepted.",
        "judge",
        "        check_parameters(p)\n",
        "",
    ),
    "contradiction-receivers-repeated": _judged(
        "The entries of evidence need not ascend.",
        "_is_whole",
        "receivers == sorted(set(receivers))\n        and ",
        "",
    ),
    "contradiction-blocks-not-listed": _judged(
        "One block of evidence has to be under the signature, not all.",
        "_is_whole",
        "and all(dealings.block_digest",
        "and any(dealings.block_digest",
    ),
    "contradiction-rest-of-a-block": _judged(
        "Blocks of evidence may end within an entry.",
        "_is_whole",
        "len(its.blocks) % dealings.ENTRY_BYTES == 0",
        "True",
    ),
    "contradiction-of-few-holders": _judged(
        "Evidence may show fewer holders than t.",
        "_has_holders",
        "in (p.threshold, p.threshold + 1)",
        "in range(1, p.threshold + 2)",
    ),
    "contradiction-of-many-holders": _judged(
        "Evidence may show more holders than t + 1.",
        "_has_holders",
        "len(its.holders) in (p.threshold, p.threshold + 1)",
        "len(its.holders) >= p.threshold",
    ),
    "contradiction-holders-repeated": _judged(
        "The holders of evidence need not ascend.",
        "_has_holders",
        "list(its.holders) == sorted(set(its.holders))\n        and ",
        "",
    ),
    "contradiction-own-share": _judged(
        "The dealer may be a holder of its own secret.",
        "_has_holders",
        "{*p.cohort} - {its.dealer.client}",
        "{*p.cohort}",
    ),
    "contradiction-any-share": _judged(
        "The shares of evidence need not fit what was dealt.",
        "_fits",
        "commitments.fits(*ends",
        "True or commitments.fits(*ends",
    ),
    "contradiction-not-canonical": _judged(
        "The shares of evidence need not be canonical.",
        "_fits",
        "sharing.is_canonical(share) and ",
        "",
    ),
    "contradiction-of-nothing": _judged(
        "Any t shares are evidence.",
        "_contradicts",
        "secret is None or not keys",
        "True or not keys",
    ),
    "contradiction-of-a-line": _judged(
        "t + 1 shares that lie on one set of polynomials are evidence, if the secret does not verify.",
        "_contradicts",
        "return sharing.off(polynomials, shares) != []",
        "pass",
    ),
    "contradiction-unverified": _judged(
        "t shares are evidence only where no secret follows from them.",
        "_contradicts",
        "secret is None or not keys.is_advertised(its.dealer, session, its.kind, secret)",
        "secret is None",
    ),
    "contradiction-without-a-secret": _judged(
        "t shares are no evidence where no secret follows from them.",
        "_contradicts",
        "secret is None or not keys",
        "secret is not None and not keys",
    ),
    "contradiction-with-a-rest": _judged("Bytes may follow evidence of a dealing.", "_decode", "reader.end()", "pass"),
    "contradiction-of-any-kind": _judged(
        "Evidence may be of another kind of shares than the two.",
        "_decode",
        "kind not in (commitments.SEED, commitments.MASK_KEY) or ",
        "",
    ),
}

SHARE_FAULTS: dict[str, Fault] = {**_COMMITMENT_FAULTS, **_REVEALED_FAULTS, **_REBUILDING_FAULTS, **_EVIDENCE_FAULTS}
"""By name."""
