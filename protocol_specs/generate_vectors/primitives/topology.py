"""Cases of neighbours and share points (Specification §2.5).

Must not know how degree and threshold are chosen; that is `selection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Json, Topic, draw, session, wide
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.topology import neighbours, place, share_point

_FLAGS: Final = {
    "OddDegree": "An odd degree has one chord through the middle of the ring. Without it masks do not cancel.",
    "LargeIds": "Ids above 2^63. Signed comparison puts them first, so that lists and share points are wrong.",
    "FullRing": "Steps in both directions meet on the far side of the ring. A neighbour counted twice shifts all "
    "points.",
}

_SMALL: Final = tuple(range(1, 9))
_ANY: Final = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1, 77)


def document() -> Json:
    """The file `primitives/topology.json`."""
    topic = Topic("topology", "Neighbours and share points (§2.5).", _FLAGS)
    for label, client in (("small", 1), ("zero", 0), ("sign-bit", 2**63), ("largest", 2**64 - 1)):
        seed = draw(f"topology/place/{label}", 32)
        topic.add(
            f"place-{label}",
            "place",
            {"permutation_seed": seed.hex(), "client": str(client)},
            output={"place": place(seed, client).hex()},
            comment="A place on the ring.",
            requirements=["R41"],
        )
    for name, cohort, degree, comment, flag in (
        ("two", (1, 2), None, "The smallest complete graph.", "Normal"),
        ("complete", (1, 2, 5, 7), None, "A complete graph.", "Normal"),
        ("complete-any-ids", tuple(sorted(_ANY[:7])), None, "A complete graph with ids of all sizes.", "Normal"),
        ("complete-large-ids", (0, 2**63 - 1, 2**63, 2**64 - 1), None, "Ids around the sign bit.", "LargeIds"),
        ("ring", _SMALL, 2, "A plain ring.", "Normal"),
        ("ring-of-three", (3, 4, 9), 2, "The smallest ring: all are neighbours.", "FullRing"),
        ("even", _SMALL, 4, "Degree 4 of 8 clients.", "Normal"),
        ("even-of-odd", (2, 3, 5, 7, 11, 13, 17), 4, "Degree 4 of 7 clients.", "Normal"),
        ("odd", _SMALL, 3, "The graph of the example of §2.5, with another seed.", "OddDegree"),
        ("odd-five", tuple(range(10, 22)), 5, "Degree 5 of 12 clients.", "OddDegree"),
        ("odd-of-four", (1, 2, 3, 4), 3, "The chord and the ring join all.", "OddDegree"),
        ("full-even-n", _SMALL, 7, "Degree n - 1 with n even.", "FullRing"),
        ("full-odd-n", tuple(range(9)), 8, "Degree n - 1 with n odd.", "FullRing"),
        ("almost-full", tuple(range(8)), 6, "Degree n - 2.", "FullRing"),
        ("any-ids", tuple(sorted(_ANY)), 6, "Ids of all sizes.", "LargeIds"),
        ("any-ids-odd", tuple(sorted(_ANY)), 3, "Ids of all sizes, odd degree.", "LargeIds"),
    ):
        _graph(topic, name, _parameters(cohort, degree, f"topology/{name}"), cohort, comment, flag)
    example = replace(_parameters(_SMALL, 3, ""), permutation_seed=bytes(range(32)))
    _graph(topic, "specification-example", example, _SMALL, "The example of §2.5.", "OddDegree")
    for n, degree in ((100, 12), (101, 20), (1000, 31)):
        cohort = tuple(sorted(int.from_bytes(draw(f"topology/{n}/{i}", 8), "big") for i in range(n)))
        shown = [cohort[0], cohort[n // 2], cohort[-1]]
        p = _parameters(cohort, degree, f"topology/large {n}")
        _graph(topic, f"large-{n}-{degree}", p, shown, f"{n} clients, degree {degree}; three are shown.", "LargeIds")
    p = _parameters(tuple(sorted(_ANY)), 4, "topology/points")
    for owner in (0, 77, 2**64 - 1):
        for holder in neighbours(p, owner):
            topic.add(
                f"point-{owner}-{holder}",
                "share_point",
                _input(p) | {"owner": str(owner), "holder": str(holder)},
                output={"point": share_point(p, owner, holder)},
                comment="The point of one holder, counted from 1.",
                requirements=["R41"],
            )
    return topic.document()


def _parameters(cohort: Sequence[int], degree: int | None, seed: str) -> Parameters:
    made = replace(session(len(cohort), ()), cohort=tuple(cohort))
    if degree is None:
        return made
    return replace(made, topology_kind="sparse", degree=degree, permutation_seed=draw(seed, 32))


def _input(p: Parameters) -> Json:
    topology = {"kind": p.topology_kind, "degree": str(p.degree), "permutation_seed": p.permutation_seed.hex()}
    return {"topology": topology, "cohort": wide(p.cohort)}


def _graph(topic: Topic, name: str, p: Parameters, shown: Sequence[int], comment: str, flag: str) -> None:
    topic.add(
        f"neighbours-{name}",
        "neighbours",
        _input(p) | {"of": wide(shown)},
        output={"neighbours": [wide(neighbours(p, client)) for client in shown]},
        comment=comment,
        requirements=["R41"],
        flags=[flag],
    )
