"""Lemmas about signed dealings, disclosures and evidence (Specification §3.6, §6.8, §6.9)."""

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
)
