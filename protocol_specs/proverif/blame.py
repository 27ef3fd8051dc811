"""Lemmas about signed dealings, disclosures, evidence and committed shares (Specification §3.6, §5.4, §6.8, §6.9)."""

from __future__ import annotations

from typing import Final

from protocol_specs.proverif.lemmas import Lemma

_PARTS: Final = (
    "primitives.pv",
    "declarations_blame.pv",
    "client_blame.pv",
    "verifier.pv",
    "sessions_blame.pv",
)
_DEALING: Final = (
    "primitives.pv",
    "declarations_dealing.pv",
    "client_dealing.pv",
    "verifier_dealing.pv",
    "sessions_blame.pv",
)

BLAME: Final = (
    Lemma(
        "blamed",
        "Evidence can be made: against a corrupt dealer who dealt an honest client garbage, and against a corrupt "
        "client who complains about an honest dealer.",
        _PARTS,
        ("event(BlamedDealer(c, $me))", "event(BlamedComplainer(c, $me))"),
        reachable=True,
    ),
    Lemma(
        "blame",
        "No honest client is blamed with evidence, neither as dealer nor as complainer.",
        _PARTS,
        ("other: who; event(BlamedDealer($me, other))", "other: who; event(BlamedComplainer($me, other))"),
        (
            "C37-pair",
            "R58-binding",
            "R58-complainer",
            "R58-context",
            "R58-dealer",
            "R58-entry",
            "R58-stands",
            "R65",
        ),
    ),
    Lemma(
        "disclosure",
        "No honest client discloses its agreement with an honest one.",
        _PARTS,
        ("event(Disclosed($me, $peer))",),
        ("C37-pair", "C37-stands", "C38", "R65"),
    ),
    Lemma(
        "disclosed-shares",
        "What honest clients deal to each other stays secret, whatever they disclose to whom.",
        _PARTS,
        ("attacker(shares_of_$me)",),
        ("C26", "C37-pair", "C37-stands", "C38", "C39", "R58-possession", "R65"),
    ),
    Lemma(
        "as-dealt",
        "A share that fits what an honest dealer signed is the one that it dealt to this holder under this binding, "
        "whoever reveals it.",
        _DEALING,
        (
            "binding: bitstring, holder: who, which: kind, share: bitstring; "
            "event(Fitting($me, binding, holder, which, share)) "
            "==> event(DealtShare($me, binding, holder, which, share))",
        ),
        ("R58-committed", "R58-dealer", "R58-share", "R58-stands"),
    ),
    Lemma(
        "contradicted",
        "Evidence can be made against a corrupt dealer whose shares contradict each other or its advertisement.",
        _DEALING,
        ("event(Contradicted(c))",),
        reachable=True,
    ),
    Lemma(
        "contradiction",
        "No honest client is blamed with evidence of a dealing, whatever holders reveal.",
        _DEALING,
        ("event(Contradicted($me))",),
        ("R58-advertised", "R58-committed", "R58-dealer", "R58-key", "R58-share", "R58-stands"),
    ),
)
