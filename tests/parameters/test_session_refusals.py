"""Session parameters that nobody may choose, and fields that no session may have, however they came about."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from secagg.errors import ParameterError
from secagg.parameters import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind
from secagg.parameters.vectors import FixedPoint, Integers
from tests.parameters.sessions import ACTIVE, CHOSEN, COMPLETE, NONCE, SEED, SPARSE, VECTORS, WEIGHTED, choose

# What is wrong, and the value, the bound and the remedy that the sentence must name.
REFUSED_CHOICES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"clients": 1}, "1 clients", r"2 .. 2^29-1", "needs at least two"),
    ({"clients": 0}, "0 clients", r"2 .. 2^29-1", "needs at least two"),
    ({"clients": -3}, "-3 clients", r"2 .. 2^29-1", "needs at least two"),
    ({"clients": 2**29}, "536870912 clients", r"2 .. 2^29-1", "smaller sessions"),
    ({"clients": []}, "clients is 0", "[2, ", "give one inside"),
    ({"clients": [4]}, "clients is 1", "[2, ", "give one inside"),
    ({"clients": [1, 1, 2]}, "client 1 stands", "twice", "give each id once"),
    ({"clients": [-1, 2, 3]}, "-1", "0 .. 2^64-1", r"secagg.client_id"),
    ({"clients": [1, 2**64]}, f"{2**64}", "0 .. 2^64-1", r"secagg.client_id"),
    ({"clients": [True, 2, 3]}, "client id", "integers", r"secagg.client_id"),
    ({"clients": ["a", "b"]}, "client id", "integers", r"secagg.client_id"),
    ({"clients": [1.0, 2.0]}, "client id", "integers", r"secagg.client_id"),
    ({"threat_model": "evil"}, "'evil'", "'semi-honest' or 'active'", "take"),
    ({"max_dropout": 1.0}, "max_dropout is 1.0", "[0, 1)", "give a fraction"),
    ({"max_dropout": -0.1}, "max_dropout is -0.1", "[0, 1)", "give a fraction"),
    ({"max_dropout": math.nan}, "max_dropout is nan", "[0, 1)", "give a fraction"),
    ({"max_corrupt": 1.5}, "max_corrupt is 1.5", "[0, 1)", "give a fraction"),
    ({"max_corrupt": "half"}, "max_corrupt is 'half'", "[0, 1)", "give a fraction"),
    ({"topology": "ring"}, "'ring'", "'complete', 'sparse'", "take"),
    ({"threshold": 0}, "threshold is 0", "[1, 9]", "give one inside"),
    ({"threshold": 10}, "threshold is 10", "[1, 9]", "give one inside"),
    ({"threshold": 2.5}, "threshold is 2.5", "[1, 9]", "give one"),
    ({"threshold": True}, "threshold is True", "[1, 9]", "give one"),
    ({"threat_model": "active", "threshold": 5}, "threshold 5", "[6, 8]", "take one inside"),
    ({"degree": 10}, "degree is 10", "[1, 9]", "give one inside"),
    ({"threat_model": "active", "topology": "sparse"}, "'sparse' is refused", "active", "take topology 'complete'"),
    ({"threat_model": "active", "degree": 4}, "'sparse' is refused", "active", "take topology 'complete'"),
    ({"security_bits": 0}, "security_bits is 0", "[1, 4096]", "40 is usual"),
    ({"correctness_bits": 0}, "correctness_bits is 0", "[1, 4096]", "20 is usual"),
    ({"minimum_contributors": 1}, "minimum_contributors 1", "2 .. 10", "choose one inside"),
    ({"minimum_contributors": 11}, "minimum_contributors 11", "2 .. 10", "choose one inside"),
    ({"max_weight": 0}, "max_weight 0", "1 .. 922337203685477580", "scale the weights"),
    ({"max_weight": 2**60}, "max_weight 1152921504606846976", "1 .. 922337203685477580", "scale the weights down"),
    ({"max_weight": 5}, "max_weight 5", "no vector to weigh", "aggregate='mean'"),
    ({"vectors": {}}, "vector", "at least one", ""),
    ({"suite": 3}, "0x0003", "0x0001, 0x0002", "choose one"),
    ({"suite": 0x0100}, "0x0100", "0x0001, 0x0002", "choose one"),
    ({"context": bytes(65537)}, "65537 bytes", "65536", "pass a digest"),
    ({"nonce": bytes(31)}, "31 bytes", "32", "draw"),
    ({"nonce": b""}, "0 bytes", "32", "draw"),
    ({"topology": "complete", "permutation_seed": SEED}, "32 seed bytes", "no permutation seed", "leave the seed out"),
    (
        {"topology": "sparse", "degree": 4, "threshold": 3, "permutation_seed": bytes(31)},
        "31 bytes",
        "32",
        "draw",
    ),
    (
        {"vectors": {"w": FixedPoint(2, clip=1.0, bits=32, aggregate="mean")}, "max_weight": 2**40},
        "76 bits",
        "64 is the limit",
        "lower bits, max_weight or the number of clients",
    ),
    ({"vectors": {"w": Integers(0, 2**62, 2)}}, "66 bits", "64 is the limit", "narrow the range"),
    ({"vectors": {"w": Integers(-(2**60), 0, 2)}}, "-1152921504606846976", "64-bit signed", "narrow the range"),
]


@pytest.mark.parametrize(("changes", "value", "bound", "remedy"), REFUSED_CHOICES)
def test_a_refusal_names_the_value_the_bound_and_the_remedy(
    changes: dict[str, Any], value: str, bound: str, remedy: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        choose(**changes)
    text = str(caught.value)
    assert [part for part in (value, bound, remedy) if part not in text] == []
    assert "\n" not in text


# Typed fields with values of another type: whoever has no type checker deserves a sentence too.
@pytest.mark.parametrize(
    "changes",
    [
        {"suite": "fast"},
        {"clients": 6.0},
        {"clients": [1, "two", 3]},
        {"vectors": {"w": 3}},
        {"vectors": {3: FixedPoint(8, clip=1.0, bits=16)}},
        {"minimum_contributors": 2.5},
        {"max_weight": 1.5, "vectors": WEIGHTED},
        {"context": "round 7"},
        {"nonce": "n" * 32},
    ],
    ids=repr,
)
def test_a_value_of_another_type_is_a_parameter_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        choose(**changes).encode()


@pytest.mark.parametrize("name", ["", "x" * 256, "a\n", "\ud800"])
def test_an_invalid_vector_name_is_refused_when_it_is_chosen(name: str) -> None:
    with pytest.raises(ParameterError, match="rename the vector"):
        choose(vectors={name: VECTORS["weights"]})


# Direct construction: what `choose` would never make, and what an offer may carry.
REFUSED_FIELDS: list[tuple[SessionParameters, dict[str, Any], str]] = [
    (COMPLETE, {"cohort": (1, 0, *range(2, 10))}, "not ascending: 0 stands behind 1; sort them"),
    (COMPLETE, {"cohort": (0, 0, *range(2, 10))}, "client 0 stands in the cohort twice"),
    (COMPLETE, {"cohort": (-1, *range(1, 10))}, "outside 0 .. 2^64-1"),
    (COMPLETE, {"cohort": (*range(9), 2**64)}, "outside 0 .. 2^64-1"),
    (COMPLETE, {"cohort": (False, *range(1, 10))}, "client ids are (plain )?integers"),
    (COMPLETE, {"cohort": (0,)}, "a cohort of 1 clients is outside 2 .. 2^29-1"),
    (COMPLETE, {"cohort": ()}, "a cohort of 0 clients is outside 2 .. 2^29-1"),
    (COMPLETE, {"cohort": tuple(range(11))}, "a complete graph over 11 clients has degree 10"),
    (COMPLETE, {"topology": Topology(TopologyKind.COMPLETE, 8)}, "has degree 9 and no permutation seed, not degree 8"),
    (COMPLETE, {"topology": Topology(TopologyKind.COMPLETE, 9, SEED)}, "and 32 seed bytes"),
    (COMPLETE, {"threshold": 0}, "threshold 0 is outside 1 .. 9"),
    (COMPLETE, {"threshold": 10}, "threshold 10 is outside 1 .. 9"),
    (COMPLETE, {"threshold": -1}, "threshold -1 is outside 1 .. 9"),
    (COMPLETE, {"minimum_contributors": 1}, "minimum_contributors 1 is outside 2 .. 10"),
    (COMPLETE, {"minimum_contributors": 11}, "minimum_contributors 11 is outside 2 .. 10"),
    (COMPLETE, {"version": 2}, "protocol version 2 is unknown; this library speaks 1"),
    (COMPLETE, {"version": 0}, "protocol version 0 is unknown; this library speaks 1"),
    (COMPLETE, {"suite": 99}, "suite"),
    (COMPLETE, {"nonce": bytes(33)}, "the session nonce has 33 bytes; draw 32 random bytes"),
    (COMPLETE, {"context": bytes(65537)}, "a context of 65537 bytes is above 65536"),
    (COMPLETE, {"vectors": ()}, "at least one vector"),
    (COMPLETE, {"vectors": (("a", VECTORS["weights"]),) * 2}, "'a'"),
    (COMPLETE, {"max_weight": 0}, "max_weight 0 is outside 1 .."),
    (ACTIVE, {"threshold": 5}, "threshold 5 does not protect 10 clients from a lying server; .* at least 6"),
    (
        ACTIVE,
        {"topology": Topology(TopologyKind.SPARSE, 8, SEED)},
        "the active threat model refuses sparse graphs, .*; use topology 'complete', the experimental 'chosen', or",
    ),
    (SPARSE, {"threat_model": ThreatModel.ACTIVE}, "the active threat model refuses sparse graphs"),
    (CHOSEN, {"threat_model": ThreatModel.SEMI_HONEST}, "topology 'chosen' is for the active threat model"),
    (CHOSEN, {"topology": Topology(TopologyKind.CHOSEN, 3), "threshold": 3}, "over 10 clients is outside 4 .. 9"),
    (CHOSEN, {"topology": Topology(TopologyKind.CHOSEN, 10)}, "degree 10 of a chosen graph over 10 clients"),
    (CHOSEN, {"topology": Topology(TopologyKind.CHOSEN, 6, SEED)}, "no permutation seed, not one of 32 bytes"),
    (CHOSEN, {"threshold": 3}, "threshold 3 does not protect clients with 6 holders .*: at least 4"),
    (CHOSEN, {"threshold": 7}, "threshold 7 is outside 1 .. 6"),
    (CHOSEN, {"suite": SuiteId.X25519_MLKEM768_AES128CTR}, "has no hybrid suites yet, such as 0x0101"),
    (SPARSE, {"topology": Topology(TopologyKind.SPARSE, 3, SEED)}, "no 3-regular ring graph over 11 clients exists"),
    (SPARSE, {"topology": Topology(TopologyKind.SPARSE, 0, SEED)}, "no 0-regular ring graph over 11 clients exists"),
    (SPARSE, {"topology": Topology(TopologyKind.SPARSE, 11, SEED)}, "choose an even degree in 2 .. 10"),
    (SPARSE, {"topology": Topology(TopologyKind.SPARSE, 4, SEED[1:])}, "the permutation seed has 31 bytes; draw 32"),
    (SPARSE, {"topology": Topology(TopologyKind.SPARSE, 4)}, "the permutation seed has 0 bytes; draw 32"),
    (SPARSE, {"threshold": 5}, "threshold 5 is outside 1 .. 4"),
]


@pytest.mark.parametrize(("start", "changes", "text"), REFUSED_FIELDS)
def test_fields_that_no_session_may_have_are_refused(
    start: SessionParameters, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ParameterError, match=text.replace("^", r"\^")):
        replace(start, **changes)


def test_a_threat_model_that_is_no_member_is_not_taken_for_semi_honest() -> None:
    """`is ThreatModel.ACTIVE` is false for the text "active": unchecked, its guards would all be skipped."""
    with pytest.raises(ParameterError):
        replace(COMPLETE, threat_model="active", threshold=1)  # type: ignore[arg-type]


def test_a_degree_above_the_points_of_the_field_is_refused() -> None:
    cohort = tuple(range(65_523))
    with pytest.raises(ParameterError, match="degree 65522 is above 65520, the most holders of one secret"):
        replace(COMPLETE, cohort=cohort, topology=Topology(TopologyKind.COMPLETE, 65_522))
    assert replace(SPARSE, cohort=cohort, topology=Topology(TopologyKind.SPARSE, 65_520, SEED)).clients == 65_523


@pytest.mark.parametrize(("clients", "threshold"), [(10, 6), (11, 6), (3, 2), (4, 3)])
def test_the_smallest_active_threshold_is_more_than_half(clients: int, threshold: int) -> None:
    smallest = SessionParameters(
        cohort=tuple(range(clients)),
        vectors=tuple(VECTORS.items()),
        threat_model=ThreatModel.ACTIVE,
        topology=Topology(TopologyKind.COMPLETE, clients - 1),
        threshold=threshold,
        minimum_contributors=2,
        nonce=NONCE,
    )
    with pytest.raises(ParameterError, match=f"at least {threshold}"):
        replace(smallest, threshold=threshold - 1)


def test_the_largest_weight_keeps_the_sum_of_weights_in_63_bits() -> None:
    largest = (2**63 - 1) // 10
    narrow = {"w": FixedPoint(2, clip=1.0, bits=2, aggregate="mean")}
    assert choose(vectors=narrow, max_weight=largest).max_weight == largest
    with pytest.raises(ParameterError, match=rf"max_weight {largest + 1} is outside 1 \.\. {largest}"):
        choose(vectors=narrow, max_weight=largest + 1)


@pytest.mark.parametrize(
    ("bits", "max_weight", "fits"), [(32, 2**28, True), (32, 2**29, False), (16, 2**44, True), (16, 2**45, False)]
)
def test_widths_are_computed_from_bits_weight_and_clients(bits: int, max_weight: int, fits: bool) -> None:
    vectors = {"w": FixedPoint(2, clip=1.0, bits=bits, aggregate="mean")}
    if fits:
        assert choose(vectors=vectors, max_weight=max_weight).max_weight == max_weight
        return
    width = (10 * (2**bits - 2) * max_weight).bit_length()
    with pytest.raises(ParameterError, match=f"needs fields of {width} bits, and 64 is the limit"):
        choose(vectors=vectors, max_weight=max_weight)


class _CountingName(str):
    """A vector name that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        _CountingName.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_repeated_names_are_found_without_comparing_all_pairs() -> None:
    """An offer may list 65536 names: a lying server must not keep a client busy for minutes (pitfall 27)."""
    names = [_CountingName(f"v{number}") for number in range(400)]
    doubled = tuple((_CountingName(name), VECTORS["weights"]) for name in names * 2)
    _CountingName.compared = 0
    with pytest.raises(ParameterError) as caught:
        replace(COMPLETE, vectors=doubled)
    assert _CountingName.compared < 10 * len(doubled)
    assert len(str(caught.value)) < 1000
