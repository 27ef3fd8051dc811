"""Lemmas about chosen graphs: inclusions and acknowledgements (Specification §3.5, §6.4 to §6.6)."""

from __future__ import annotations

from typing import Final

from protocol_specs.proverif.lemmas import Lemma
from protocol_specs.proverif.rounds import SECRET

_PARTS: Final = ("primitives.pv", "declarations_chosen.pv", "client_chosen.pv", "sessions.pv")

CHOSEN: Final = (
    Lemma(
        "chosen-sum",
        "A run in a chosen graph ends: the server learns the sum of two honest inputs, or a client answers, or gives "
        "up the mask key of a dropped owner.",
        _PARTS,
        (
            "attacker(sum(input_a, input_b))",
            "digest: bitstring, mine: point, theirs: point, d: clients, x: clients; "
            "event(Answered($me, $peer, digest, mine, theirs, d, x))",
            "digest: bitstring, mine: point, theirs: point; event(RevealedMaskKey($me, $peer, digest, mine, theirs))",
        ),
        reachable=True,
    ),
    Lemma(
        "chosen-inclusion",
        "In a chosen graph, who reveals a share of an owner's seed holds it of an owner that masked with it, under the "
        "keys that each was shown of the other, and for the same D.",
        _PARTS,
        (
            "digest: bitstring, mine: point, theirs: point, d: clients; "
            "event(RevealedSeed($me, $peer, digest, mine, theirs, d)) "
            "==> event(Masked($peer, $me, digest, theirs, mine, d))",
        ),
        ("C26", "C34", "C44", "R45-D", "R45-key"),
    ),
    Lemma(
        "chosen-acknowledgement",
        "In a chosen graph, who answers Unmasking has the acknowledgement of its holder for its own D and X, under the "
        "key that it was shown.",
        _PARTS,
        (
            "digest: bitstring, mine: point, theirs: point, d: clients, x: clients; "
            "event(Answered($me, $peer, digest, mine, theirs, d, x)) "
            "==> event(Acknowledged($peer, digest, theirs, d, x))",
        ),
        ("C59", "R26", "R45-D", "R45-X", "R45-key"),
    ),
    Lemma(
        "chosen-lock",
        "In a chosen graph, no holder whose acknowledgement let a client answer ever reveals the mask key "
        "of this client.",
        _PARTS,
        (
            "digest: bitstring, mine: point, theirs: point, seen: point, d: clients, x: clients; "
            "event(Answered($me, $peer, digest, mine, theirs, d, x)) "
            "&& event(RevealedMaskKey($peer, $me, digest, seen, mine))",
        ),
        ("C43", "C59", "R26", "R27", "R45-X", "R45-key"),
    ),
    Lemma(
        "chosen-secrecy",
        "In a chosen graph, a server that lies, with corrupt clients, learns neither of two honest inputs, whoever of "
        "the two drew the other.",
        _PARTS,
        SECRET,
        ("C26", "C34", "C44", "C59", "R26", "R45-D", "R45-X", "R61"),
    ),
)
