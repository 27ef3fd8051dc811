"""Cases of parameter selection (Specification §2.4), and of what a client's policy makes of it (§6.1, C03).

Inputs are those of published tables (`tests/data/graph_parameters.json`) and small cohorts. A server only SHOULD choose
so: a difference is no defect by itself. Must not know where a choice is used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from protocol_specs.generate_vectors.primitives import calculator
from protocol_specs.generate_vectors.primitives.calculator import Sparse
from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, session
from protocol_specs.reference.policy import withstands

_FLAGS: Final = {
    "Rounding": "A product of fraction and clients just below an integer. One corrupt client less is assumed.",
    "RoomForTwo": "The published rule has room for a threshold of 1 only (a share is the secret), or for no leaver.",
    "Moved": "The default threshold is outside of its interval. Without moving it the session cannot end, or leaks.",
    "Impossible": "No choice exists. A calculator that returns one has lost a condition.",
    "PolicyBound": "The weakest graph that withstands a corrupt fraction, and the strongest that does not.",
}

# n, γ, δ, model
_PUBLISHED: Final[list[tuple[int, str, str, str]]] = [
    *((10**i, "0.33", "0.33", "semi-honest") for i in range(1, 6)),
    *((10**i, "0.05", "0.05", "semi-honest") for i in range(1, 5)),
    *((10**i, "0.05", "0.05", "active") for i in range(1, 5)),
    *((10**i, "0.33", "0.05", "active") for i in range(1, 5)),
    *((10**i, "0", "0.33", "semi-honest") for i in range(1, 5)),
]
_ALSO: Final[list[tuple[int, str, str, str, int, int]]] = [
    (50, "0.1", "0.1", "semi-honest", 40, 20),
    (500, "0.2", "0.1", "semi-honest", 40, 20),
    (1000, "0.1", "0.3", "semi-honest", 40, 20),
    (1000, "0.1", "0.3", "semi-honest", 80, 30),
    (1000, "0.1", "0.3", "semi-honest", 10, 5),
    (333, "0.29", "0.07", "semi-honest", 40, 20),
    (10000, "0.2", "0.05", "semi-honest", 40, 20),
    (40, "0", "0", "semi-honest", 40, 20),
    (1000, "0.05", "0", "semi-honest", 40, 20),
]


def document() -> Json:
    """The file `primitives/selection.json`."""
    topic = Topic("selection", "Choice of degree and threshold (§2.4), and the policy of a client (§6.1).", _FLAGS)
    for n, corrupt, dropout, model in _PUBLISHED:
        _sparse(topic, n, corrupt, dropout, model, 40, 20, "A published pair.")
    for case in _ALSO:
        _sparse(topic, *case, "A sparse graph.")
    for n, corrupt, dropout in ((4, "0.5", "0.5"), (30, "0.6", "0.5"), (3, "0", "0.7")):
        _sparse(topic, n, corrupt, dropout, "semi-honest", 40, 20, "No degree qualifies.")
    _complete(topic)
    for n, dropout in (
        (2, "0"),
        (3, "0"),
        (3, "0.34"),
        (10, "0.1"),
        (11, "0.1"),
        (10, "0.8"),
        (10, "0.95"),
        (100, "0.58"),
    ):
        topic.add(
            f"minimum-{n}-{_shown(dropout)}",
            "minimum_contributors",
            {"clients": str(n), "dropout": float(dropout)},
            output={"minimum_contributors": calculator.minimum_contributors(n, dropout)},
            comment="The default of the smallest sum.",
            flags=["Rounding" if dropout == "0.58" else "Normal"],
        )
    _policy(topic)
    return topic.document()


def _sparse(
    topic: Topic, n: int, corrupt: str, dropout: str, model: str, security: int, correctness: int, comment: str
) -> None:
    assumed = Sparse(n, corrupt, dropout, security, correctness, active=model == "active")
    given = {
        "clients": str(n),
        "corrupt": float(corrupt),
        "dropout": float(dropout),
        "threat_model": model,
        "security_bits": security,
        "correctness_bits": correctness,
    }
    name = f"{model}-{n}-{_shown(corrupt)}-{_shown(dropout)}-{security}-{correctness}"
    published, ours = assumed.choose(room_for_two=False), assumed.choose(room_for_two=True)
    rules = {"published": published} if model == "active" else {"published": published, "room_for_two": ours}
    for rule, found in rules.items():
        flag = "Impossible" if found is None else "RoomForTwo" if model != "active" and published != ours else "Normal"
        topic.add(
            f"sparse-{name}-{rule.replace('_', '-')}",
            "sparse",
            given | {"rule": rule},
            output=None if found is None else {"degree": found[0], "threshold": found[1]},
            refused=["none"] if found is None else (),
            comment=comment,
            flags=[flag],
        )


def _complete(topic: Topic) -> None:
    for model in ("semi-honest", "active"):
        for n, corrupt, dropout, flag in (
            (2, "0", "0", "Normal" if model == "semi-honest" else "Impossible"),
            (3, "0", "0", "Moved" if model == "active" else "Normal"),
            (4, "0.25", "0", "Normal"),
            (5, "0.2", "0.2", "Impossible" if model == "active" else "Normal"),
            (10, "0.1", "0.1", "Normal"),
            (10, "0.1", "0.2", "Normal"),
            (10, "0.1", "0.3", "Moved" if model == "active" else "Normal"),
            (10, "0.6", "0.1", "Impossible" if model == "active" else "Moved"),
            (10, "0", "0.6", "Impossible" if model == "active" else "Moved"),
            (10, "0.5", "0.5", "Impossible"),
            (100, "0.58", "0", "Rounding"),
            (100, "0", "0.58", "Impossible" if model == "active" else "Rounding"),
            (100, "0.07", "0.34", "Moved" if model == "active" else "Normal"),
            (1000, "0.1", "0.1", "Normal"),
            (65521, "0.1", "0.1", "Normal"),
            (65522, "0.1", "0.1", "Impossible"),
        ):
            found = calculator.complete_threshold(n, corrupt, dropout, active=model == "active")
            if (found is None) is not (flag == "Impossible"):
                raise Inconsistent(f"{model} {n} {corrupt} {dropout}")
            topic.add(
                f"complete-{model}-{n}-{_shown(corrupt)}-{_shown(dropout)}",
                "complete",
                {"clients": str(n), "corrupt": float(corrupt), "dropout": float(dropout), "threat_model": model},
                output=None if found is None else {"threshold": found},
                refused=["none"] if found is None else (),
                comment="The default threshold of a complete graph." if found else "The interval is empty.",
                flags=[flag],
            )


def _policy(topic: Topic) -> None:
    """The bounds of each condition, from both sides."""
    bounds = [
        ("semi-honest", "complete", 10, 9, 4, "0.3", 40),
        ("semi-honest", "complete", 100, 99, 59, "0.58", 40),
        ("active", "complete", 10, 9, 7, "0.3", 40),
        ("active", "complete", 11, 10, 7, "0.1", 40),
        ("active", "complete", 100, 99, 80, "0.58", 40),
        *(
            ("semi-honest", "sparse", n, degree, Sparse(n, corrupt, "0", bits).window(degree)[0], corrupt, bits)
            for n, degree, corrupt, bits in (
                (100, 36, "0.2", 40),
                (100, 37, "0.2", 40),
                (1000, 40, "0.1", 40),
                (1000, 40, "0.1", 10),
                (100, 36, "0.58", 10),
                (20, 19, "0.9", 40),
            )
        ),
    ]
    for model, kind, n, degree, lowest, corrupt, bits in bounds:
        _withstands(topic, model, kind, n, degree, lowest - 1, corrupt, bits, expected=False)
        _withstands(topic, model, kind, n, degree, lowest, corrupt, bits, expected=True)
    # Degree 5 counts as 4: four corrupt clients may cut the ring of degree 4.
    _withstands(topic, "semi-honest", "sparse", 8, 5, 5, "0.375", 40, expected=True)
    _withstands(topic, "semi-honest", "sparse", 8, 5, 5, "0.5", 40, expected=False)
    # Who drops out connects nobody; in a complete graph nobody needs to.
    for dropout, expected in (("0", True), ("0.1", False), ("0.3", False)):
        _withstands(topic, "semi-honest", "sparse", 1000, 14, 13, "0.05", 40, dropout, expected=expected)
    for dropout, expected in (("0.25", True), ("0.375", False)):
        _withstands(topic, "semi-honest", "sparse", 8, 4, 4, "0.125", 40, dropout, expected=expected)
    _withstands(topic, "semi-honest", "complete", 10, 9, 4, "0.3", 40, "0.9", expected=True)
    _withstands(topic, "active", "complete", 10, 9, 7, "0.3", 40, "0.9", expected=True)


def _withstands(
    topic: Topic,
    model: str,
    kind: str,
    n: int,
    degree: int,
    threshold: int,
    corrupt: str,
    bits: int,
    dropout: str = "0",
    *,
    expected: bool,
) -> None:
    p = replace(session(n, ()), threat_model=model, topology_kind=kind, degree=degree, threshold=threshold)
    if withstands(p, float(corrupt), float(dropout), bits) is not expected:
        raise Inconsistent(f"withstands {model} {kind} {n} {degree} {threshold} {corrupt} {dropout} {bits}")
    topic.add(
        f"withstands-{model}-{kind}-{n}-{degree}-{threshold}-{_shown(corrupt)}-{_shown(dropout)}-{bits}",
        "withstands",
        {
            "clients": str(n),
            "threat_model": model,
            "kind": kind,
            "degree": degree,
            "threshold": threshold,
            "corrupt": float(corrupt),
            "dropout": float(dropout),
            "security_bits": bits,
        },
        output={"withstands": expected},
        comment="Whether a client that believes in these fractions takes the offer.",
        requirements=["C03"],
        flags=["PolicyBound"],
    )


def _shown(fraction: str) -> str:
    return fraction.replace(".", "-")
