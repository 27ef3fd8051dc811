"""Lemmas about the hybrid suites: X25519 and ML-KEM-768, either of them broken."""

from __future__ import annotations

from typing import Final

from protocol_specs.proverif.lemmas import Lemma
from protocol_specs.proverif.rounds import SECRET, TAIL

_PARTS: Final = ("primitives.pv", "declarations_hybrid.pv", "declarations_lists.pv", "client_hybrid.pv", *TAIL)
_NO_X25519: Final = frozenset({"X25519"})
_NO_KEM: Final = frozenset({"ML-KEM"})

HYBRID: Final = (
    Lemma(
        "hybrid-sum",
        "A run of a hybrid suite ends: the server learns the sum of two honest inputs.",
        _PARTS,
        ("attacker(sum(input_a, input_b))",),
        reachable=True,
    ),
    Lemma(
        "hybrid-shares",
        "Of a hybrid suite, what a client opens is what the peer sealed for it under the same binding.",
        _PARTS,
        (
            "binding: bitstring, record: bitstring; "
            "event(Opened($me, $peer, binding, record)) ==> event(Sealed($peer, $me, binding, record))",
        ),
        ("R42-channel-x25519",),
    ),
    Lemma(
        "hybrid-x25519-broken",
        "Of a hybrid suite, whoever breaks X25519 when the sessions are over learns neither of two honest inputs.",
        _PARTS,
        SECRET,
        ("R42-channel-kem", "R42-mask-kem"),
        _NO_X25519 | {"a break during the session"},
    ),
    Lemma(
        "hybrid-x25519-broken-early",
        "Of a hybrid suite, whoever breaks X25519 while a session runs learns an input: anybody can encapsulate.",
        _PARTS,
        ("attacker(input_b)",),
        given=_NO_X25519,
        reachable=True,
    ),
    Lemma(
        "hybrid-kem-broken",
        "Of a hybrid suite, whoever breaks ML-KEM learns neither of two honest inputs.",
        _PARTS,
        SECRET,
        ("R42-channel-x25519", "R42-mask-x25519"),
        _NO_KEM,
    ),
)
