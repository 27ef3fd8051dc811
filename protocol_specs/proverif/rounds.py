"""Lemmas about the rounds of the active model over a complete graph (Specification §6)."""

from __future__ import annotations

from typing import Final

from protocol_specs.proverif.lemmas import Lemma

TAIL: Final = ("client_lists.pv", "sessions.pv")
PARTS: Final = (
    "primitives.pv",
    "declarations_rounds.pv",
    "declarations_lists.pv",
    "client_rounds.pv",
    *TAIL,
)
SECRET: Final = ("attacker(input_$me)",)

ROUNDS: Final = (
    Lemma(
        "sum",
        "Runs end: the server learns the sum of both inputs, or each client gives up the mask key of a dropped peer.",
        PARTS,
        ("attacker(sum(input_a, input_b))", "binding: bitstring; event(RevealedMaskKey($me, $peer, binding))"),
        reachable=True,
    ),
    Lemma(
        "secrecy",
        "A server that lies, with corrupt clients, learns neither of two honest inputs.",
        PARTS,
        SECRET,
        ("C26", "C50", "C57", "C59", "R26", "R45"),
    ),
    Lemma(
        "keys",
        "Who masks with a peer does so under the keys and the commitment that the peer advertised in this session.",
        PARTS,
        (
            "digest: bitstring, binding: bitstring, keys: bitstring; "
            "event(Masked($me, binding, $peer, digest, keys)) ==> event(Advertised($peer, digest, keys))",
        ),
        ("C26",),
    ),
    Lemma(
        "shares",
        "Shares that a client opens are those that their owner dealt to it under the same binding, once.",
        PARTS,
        (
            "binding: bitstring, seed: bitstring, private: bitstring; "
            "inj-event(Got($me, $peer, binding, seed, private)) "
            "==> inj-event(Dealt($peer, $me, binding, seed, private))",
        ),
        ("C26", "R43", "R64"),
    ),
    Lemma(
        "contributors",
        "Who reveals shares for contributors of whom the peer is one has the peer's confirmation of these "
        "contributors under the same binding, and the peer reveals for no others.",
        PARTS,
        (
            "binding: bitstring, corrupt: bitstring; "
            "event(Revealed($me, binding, both(corrupt))) ==> event(Confirmed($peer, binding, both(corrupt)))",
            "binding: bitstring, corrupt: bitstring, theirs: list; "
            "event(Revealed($me, binding, both(corrupt))) && event(Revealed($peer, binding, theirs)) "
            "==> theirs = both(corrupt)",
        ),
        ("C59", "R26", "R45"),
    ),
    Lemma(
        "one-kind",
        "No client reveals both shares of one owner.",
        PARTS,
        (
            "binding: bitstring; "
            "event(RevealedSeed($me, $peer, binding)) && event(RevealedMaskKey($me, $peer, binding))",
        ),
        ("C50",),
    ),
    Lemma(
        "forward",
        "Identity keys that leak when the sessions are over tell nothing about their inputs.",
        PARTS,
        SECRET,
        ("R04",),
        frozenset({"secret identity keys"}),
    ),
    Lemma(
        "broken",
        "Whoever breaks X25519 learns the inputs.",
        PARTS,
        SECRET,
        given=frozenset({"X25519"}),
        reachable=True,
    ),
)
