"""Faults of a server that unmasks and releases: rebuilding and the result (§6.7, §5.4).

Must not know how a fault is planted.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.reference import keys, rebuilding, sharing, unmasking, vectors
from protocol_specs.reference.server import Server
from protocol_specs.testee.planting import Edit, Fault, edited

UNMASKING_FAULTS: Final[dict[str, Fault]] = {
    "masks-of-the-dropped-kept": edited(
        "Masks of clients that sent no input are left in the sum.",
        "R48",
        unmasking,
        "unmask",
        "for d in session.rebuilt_sharers:",
        "for d in []:",
    ),
    "masks-of-the-dropped-twice": edited(
        "Masks of dropped clients are taken off with the wrong sign.",
        "R48",
        unmasking,
        "unmask",
        "1 if v < d else -1",
        "-1 if v < d else 1",
    ),
    "masks-of-non-contributors-too": edited(
        "Masks between two dropped clients are taken off.",
        "R48",
        unmasking,
        "unmask",
        "sorted(session.contributors & session.graph.neighbours(d))",
        "sorted(session.sharers & session.graph.neighbours(d))",
    ),
    "masks-of-non-neighbours-too": edited(
        "Masks of clients that are no neighbours are taken off.",
        "R48 R41",
        unmasking,
        "unmask",
        "sorted(session.contributors & session.graph.neighbours(d))",
        "sorted(session.contributors - {d})",
    ),
    "self-masks-kept": edited(
        "Self masks are left in the sum.",
        "R48",
        unmasking,
        "unmask",
        "subtract(1, keys.self_prg_key(secrets[u], session.digest))",
        "pass",
    ),
    "seeds-unverified": edited(
        "Only mask keys are verified.",
        "R17",
        keys,
        "is_advertised",
        "commitment(session, own.client, secret) == own.commitment",
        "True",
    ),
    "mask-keys-unverified": edited(
        "Only self-mask seeds are verified.",
        "R17",
        keys,
        "is_advertised",
        "public_key(mask_private(secret, session, hybrid)) == own.mask_public",
        "True",
    ),
    "mask-keys-clamped": edited(
        "A mask key is rebuilt as it is clamped.",
        "R42",
        sharing,
        "to_limbs",
        'number = int.from_bytes(secret, "big")',
        "secret = bytes([secret[0] & 248, *secret[1:31], secret[31] & 127 | 64])\n"
        '    number = int.from_bytes(secret, "big")',
    ),
    "all-shares-needed": edited(
        "Every contributor has to reveal its shares.",
        "A05",
        rebuilding,
        "_rebuild_corrected",
        "len(revealed) >= session",
        "len(revealed) > session",
    ),
    "too-few-shares-used": edited(
        "A share too few is tried all the same.",
        "A05",
        rebuilding,
        "_rebuild_corrected",
        'demand(len(revealed) >= session.parameters.threshold, "A05")',
        "",
    ),
    "no-error-correction": edited(
        "Wrong shares are not corrected.",
        "R50",
        sharing,
        "rebuild",
        "return attempt(_corrected(points, elements, threshold)) or plain",
        "return plain",
    ),
    "correction-only-when-refused": edited(
        "A secret that verifies is not corrected, whoever is off its polynomials.",
        "S52 R50",
        sharing,
        "rebuild",
        "plain is not None and len(plain.inconsistent) <= correctable",
        "plain is not None",
    ),
    "correction-off-by-one": edited(
        "One wrong share less is corrected.",
        "R50 S52",
        sharing,
        "decode_reed_solomon",
        "(len(points) - dimension) // 2",
        "max((len(points) - dimension) // 2 - 1, 0)",
    ),
    "liars-not-reported": edited(
        "Nobody is reported.", "S52", Server, "_close_unmasking", "self.inconsistent = rebuilt.reports", "pass"
    ),
    "liars-swapped": edited(
        "Holder and owner of a report are exchanged.",
        "S52",
        rebuilding,
        "_rebuild_corrected",
        "(holder_at[point], owner) for",
        "(owner, holder_at[point]) for",
    ),
    "liars-of-mask-keys-not-reported": edited(
        "Wrong shares of mask keys are not reported.",
        "S52",
        rebuilding,
        "_rebuild_corrected",
        "for point in found.inconsistent]",
        "for point in found.inconsistent if owner in session.contributors]",
    ),
    "last-shares-used": edited(
        "Reports depend on the last t shares instead of the first.",
        "S52",
        sharing,
        "through_the_first",
        "sorted(shares)[:threshold]",
        "sorted(shares)[-threshold:]",
    ),
    "result-without-weight-refused": edited(
        "A total weight of 0 ends the session.",
        "A13 R48",
        vectors,
        "decode_sum",
        "demand(total_weight <= contributors",
        "demand(0 < total_weight <= contributors",
    ),
    "result-without-maximum-weight": edited(
        "Any total weight is released.",
        "A13",
        vectors,
        "decode_sum",
        "<= contributors * parameters.max_weight",
        "< 2**64",
    ),
    "weight-bound-of-the-cohort": edited(
        "The total weight is held against the cohort.",
        "A13",
        vectors,
        "decode_sum",
        "<= contributors * parameters.max_weight",
        "<= len(parameters.cohort) * parameters.max_weight",
    ),
    "mean-over-contributors": edited(
        "A weighted mean is divided by the contributors.",
        "R48",
        vectors,
        "decode_sum",
        "weight = contributors if total_weight is None else total_weight",
        "weight = contributors",
    ),
    "result-of-the-cohort": edited(
        "Offsets are taken off for the whole cohort.",
        "R48",
        Server,
        "_close_unmasking",
        "len(self._contributors))",
        "len(self.parameters.cohort))",
    ),
    "contributors-not-sorted": edited(
        "The result lists contributors as they came.",
        "R48",
        Server,
        "_close_unmasking",
        "tuple(sorted(self._contributors))",
        "tuple(self._contributors)",
    ),
    "sharers-not-needed-for-inputs": Fault(
        "Shares are asked of everybody who shared.",
        ("R54",),
        (
            Edit(
                Server,
                "_close_masked_inputs",
                "self._ask_for_shares(present, ())",
                "self._ask_for_shares(set(self._sharers), ())",
            ),
        ),
    ),
}
