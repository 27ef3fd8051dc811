"""Session parameters: choosing them, their limits, their canonical bytes, and the digest over these."""

from __future__ import annotations

import inspect
import math
import struct
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import secagg
from secagg import parameters as module
from secagg.crypto.key_schedule import session_digest
from secagg.errors import DecodeError, ParameterError
from secagg.parameters import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind, graph_choice
from secagg.parameters.vectors import FixedPoint, Integers
from tests import strategies

VECTORS = {"weights": FixedPoint(8, clip=1.0, bits=16)}
WEIGHTED = {"weights": FixedPoint(8, clip=1.0, bits=16, aggregate="mean")}
NONCE = bytes(range(32))
SEED = bytes(range(32, 64))


def choose(**changes: Any) -> SessionParameters:
    """Ten clients, unless told otherwise."""
    arguments: dict[str, Any] = {"clients": 10, "vectors": VECTORS, "nonce": NONCE}
    return SessionParameters.choose(**(arguments | changes))


COMPLETE = choose(topology="complete", threshold=6)
SPARSE = choose(clients=11, topology="sparse", degree=4, threshold=3, permutation_seed=SEED)
ACTIVE = choose(threat_model="active")
CHOSEN = choose(threat_model="active", topology="chosen", degree=6, threshold=4)


def test_the_defaults() -> None:
    chosen = choose()
    assert chosen.cohort == tuple(range(10))
    assert chosen.clients == 10
    assert chosen.vectors == (("weights", VECTORS["weights"]),)
    assert chosen.threat_model is ThreatModel.SEMI_HONEST
    assert (chosen.context, chosen.max_weight, chosen.version) == (b"", 1, 1)
    assert chosen.suite is SuiteId.X25519_AES128CTR
    assert chosen.minimum_contributors == 5


def test_nonces_and_seeds_are_drawn_afresh() -> None:
    chosen = [
        SessionParameters.choose(clients=11, vectors=VECTORS, topology="sparse", degree=4, threshold=3)
        for _ in range(5)
    ]
    assert len({parameters.nonce for parameters in chosen}) == 5
    assert len({parameters.topology.permutation_seed for parameters in chosen}) == 5
    assert {len(parameters.nonce) for parameters in chosen} == {32}


def test_given_nonces_and_seeds_are_taken() -> None:
    assert (SPARSE.nonce, SPARSE.topology.permutation_seed) == (NONCE, SEED)
    again = choose(clients=11, topology="sparse", degree=4, threshold=3, permutation_seed=SEED)
    assert again == SPARSE


@pytest.mark.parametrize("model", ["semi-honest", "active", ThreatModel.SEMI_HONEST, ThreatModel.ACTIVE])
def test_a_threat_model_is_given_by_name_or_member(model: str) -> None:
    assert choose(threat_model=model).threat_model is ThreatModel(model)


@pytest.mark.parametrize("suite", SuiteId)
def test_a_suite_is_given_by_number_or_member(suite: SuiteId) -> None:
    assert choose(suite=int(suite)).suite is choose(suite=suite).suite is suite


def test_the_active_model_takes_the_complete_graph_and_two_thirds() -> None:
    assert ACTIVE.topology == Topology(TopologyKind.COMPLETE, 9)
    assert ACTIVE.threshold == 2 * 10 // 3 + 1


@pytest.mark.parametrize("model", ThreatModel)
@pytest.mark.parametrize("clients", [3, 10, 100, 1000])
def test_graph_and_threshold_are_those_of_the_calculator(model: ThreatModel, clients: int) -> None:
    chosen = choose(clients=clients, threat_model=model, max_corrupt=0.15, max_dropout=0.2)
    expected = graph_choice.choose_graph(clients, 0.15, 0.2, model)
    assert (chosen.topology.kind, chosen.topology.degree) == (expected.topology, expected.degree)
    assert chosen.threshold == expected.threshold
    assert chosen.explanation.startswith(f"{expected.reason} {chosen.may_leave} of {clients} clients may leave")


def test_the_explanation_says_in_words_what_was_chosen() -> None:
    large = choose(clients=1000)
    assert f"degree {large.topology.degree}" in large.explanation
    assert f"Threshold {large.threshold}" in large.explanation
    assert "1000" in large.explanation
    assert "complete graph" in ACTIVE.explanation


def test_the_explanation_is_no_part_of_the_session() -> None:
    other = replace(COMPLETE, explanation="because")
    assert other == COMPLETE
    assert other.encode() == COMPLETE.encode()


def test_a_cohort_of_ids_is_sorted() -> None:
    assert choose(clients=[9, 2**64 - 1, 0, 5]).cohort == (0, 5, 9, 2**64 - 1)
    assert choose(clients=iter((7, 3))).cohort == (3, 7)


@pytest.mark.parametrize(
    ("clients", "max_dropout", "expected"), [(10, 0.1, 5), (11, 0.1, 6), (10, 0.7, 3), (3, 0.1, 2)]
)
def test_the_smallest_sum_is_half_the_cohort_or_what_the_dropouts_leave(
    clients: int, max_dropout: float, expected: int
) -> None:
    assert choose(clients=clients, max_dropout=max_dropout, max_corrupt=0.0).minimum_contributors == expected


@pytest.mark.parametrize("percent", range(51, 91))
def test_the_smallest_sum_survives_the_expected_dropouts(percent: int) -> None:
    """The calculator counts floor((max_dropout + 1e-14) * n) dropouts; the floor must leave room for them."""
    max_dropout = percent / 100
    for clients in (100, 300, 330, 400, 600, 1000):
        dropped = math.floor((max_dropout + 1e-14) * clients)
        chosen = choose(clients=clients, max_dropout=max_dropout, max_corrupt=0.0)
        assert chosen.minimum_contributors <= clients - dropped


def test_who_is_included() -> None:
    chosen = choose(clients=[3, 5, 2**64 - 1])
    asked = [0, 3, 4, 5, 6, 2**64 - 2, 2**64 - 1, 2**64, -1]
    assert [client for client in asked if chosen.includes(client)] == [3, 5, 2**64 - 1]


def test_parameters_are_frozen_values() -> None:
    with pytest.raises(FrozenInstanceError):
        COMPLETE.threshold = 1  # type: ignore[misc]
    assert len({COMPLETE, replace(COMPLETE), SPARSE}) == 2
    assert not hasattr(COMPLETE, "__dict__")


def test_the_nonce_stays_out_of_the_repr() -> None:
    assert "nonce" not in repr(COMPLETE)


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


@given(strategies.session_parameters())
def test_parameters_survive_their_encoding(parameters: SessionParameters) -> None:
    data = parameters.encode()
    assert SessionParameters.decode(data) == parameters
    assert SessionParameters.decode(data).encode() == data


def integer(value: int) -> bytes:
    return struct.pack(">BQ", 1, value)


def data(value: bytes) -> bytes:
    return struct.pack(">BI", 2, len(value)) + value


def text(value: str) -> bytes:
    return struct.pack(">BI", 3, len(value)) + value.encode()


def test_the_canonical_bytes_written_by_hand() -> None:
    parameters = SessionParameters(
        cohort=(0, 258, 2**64 - 1),
        vectors=(("w", FixedPoint(3, clip=0.5, bits=8, rounding="nearest", aggregate="mean")),),
        threat_model=ThreatModel.SEMI_HONEST,
        topology=Topology(TopologyKind.SPARSE, 2, SEED),
        threshold=2,
        minimum_contributors=3,
        nonce=NONCE,
        context=b"round 7",
        max_weight=600,
        suite=SuiteId.X25519_AEGIS128X2,
    )
    head = integer(1) + integer(2) + text("semi-honest") + text("sparse") + integer(2) + data(SEED)
    numbers = integer(2) + integer(3) + integer(600) + data(NONCE) + data(b"round 7")
    cohort = data(struct.pack(">QQQ", 0, 258, 2**64 - 1))
    vector = text("w") + integer(1) + b"\x04\x00\x00\x00\x01" + integer(3) + data(struct.pack(">d", 0.5))
    tail = b"\x04\x00\x00\x00\x01" + vector + integer(8) + integer(1) + integer(1)
    assert parameters.encode() == head + numbers + cohort + tail


WIDE = replace(
    choose(clients=11, vectors=WEIGHTED | {"counts": Integers(0, 9, 4)}, topology="complete", threshold=5),
    threshold=5,
)
# Each field with another valid value, the fields that hang together being changed together.
CHANGES: dict[str, dict[str, Any]] = {
    "cohort": {"cohort": (*range(10), 11)},
    "vectors": {"vectors": (*WIDE.vectors, ("extra", VECTORS["weights"]))},
    "vectors: order": {"vectors": WIDE.vectors[::-1]},
    "vectors: name": {"vectors": (("Weights", WIDE.vectors[0][1]), WIDE.vectors[1])},
    "vectors: length": {"vectors": (("weights", replace(WEIGHTED["weights"], shape=(9,))), WIDE.vectors[1])},
    "vectors: shape": {"vectors": (("weights", replace(WEIGHTED["weights"], shape=(2, 4))), WIDE.vectors[1])},
    "vectors: clip": {"vectors": (("weights", replace(WEIGHTED["weights"], clip=2.0)), WIDE.vectors[1])},
    "vectors: bits": {"vectors": (("weights", replace(WEIGHTED["weights"], bits=15)), WIDE.vectors[1])},
    "vectors: rounding": {"vectors": (("weights", replace(WEIGHTED["weights"], rounding="nearest")), WIDE.vectors[1])},
    "vectors: aggregate": {"vectors": (("weights", replace(WEIGHTED["weights"], aggregate="sum")), WIDE.vectors[1])},
    "vectors: low": {"vectors": (WIDE.vectors[0], ("counts", Integers(-1, 9, 4)))},
    "vectors: high": {"vectors": (WIDE.vectors[0], ("counts", Integers(0, 10, 4)))},
    "threat_model": {"threat_model": ThreatModel.ACTIVE, "threshold": 6},
    "topology": {"topology": Topology(TopologyKind.SPARSE, 8, SEED)},
    "topology: degree": {"topology": Topology(TopologyKind.SPARSE, 6, SEED)},
    "topology: permutation_seed": {"topology": Topology(TopologyKind.SPARSE, 8, NONCE)},
    "threshold": {"threshold": 4},
    "minimum_contributors": {"minimum_contributors": 7},
    "nonce": {"nonce": SEED},
    "context": {"context": b"another model"},
    "max_weight": {"max_weight": 600},
    "suite": {"suite": SuiteId.X25519_AEGIS128X2},
}


def test_every_field_is_among_the_changes() -> None:
    changed = {name.split(":")[0] for name in CHANGES}
    assert changed == {field.name for field in fields(SessionParameters)} - {"version", "explanation"}


def test_each_field_changes_the_encoding_and_the_session_digest() -> None:
    encodings = [WIDE.encode()] + [replace(WIDE, **change).encode() for change in CHANGES.values()]
    assert len(set(encodings)) == len(encodings)
    digests = {session_digest(encoding) for encoding in encodings}
    assert len(digests) == len(encodings)
    assert {len(digest) for digest in digests} == {32}


@given(strategies.session_parameters(), strategies.session_parameters())
def test_different_parameters_have_different_bytes(one: SessionParameters, other: SessionParameters) -> None:
    assert (one.encode() == other.encode()) == (one == other)


@pytest.mark.parametrize("parameters", [COMPLETE, SPARSE, ACTIVE, WIDE])
def test_bytes_cut_short_or_continued_are_refused(parameters: SessionParameters) -> None:
    encoded = parameters.encode()
    for length in range(len(encoded)):
        with pytest.raises(DecodeError):
            SessionParameters.decode(encoded[:length])
    for tail in (b"\x00", encoded, integer(1)):
        with pytest.raises(DecodeError, match="trailing bytes"):
            SessionParameters.decode(encoded + tail)


def spoiled(before: bytes, after: bytes) -> bytes:
    encoded = COMPLETE.encode()
    if encoded.count(before) != 1:
        raise ValueError(f"{before.hex()} stands {encoded.count(before)} times in the encoding")
    return encoded.replace(before, after)


PACKED = struct.pack(">10Q", *range(10))
REFUSED_BYTES: dict[str, tuple[Callable[[], bytes], type[Exception], str]] = {
    "version": (lambda: integer(2) + COMPLETE.encode()[9:], ParameterError, "protocol version 2 is unknown"),
    "suite": (
        lambda: integer(1) + integer(7) + COMPLETE.encode()[18:],
        ParameterError,
        "suite 0x0007 is unknown; choose one of 0x0001, 0x0002",
    ),
    "threat model": (lambda: spoiled(text("semi-honest"), text("semi")), ParameterError, "'semi' is no ThreatModel"),
    "topology": (lambda: spoiled(text("complete"), text("star")), ParameterError, "'star' is no TopologyKind"),
    "nonce": (lambda: spoiled(data(NONCE), data(NONCE[1:])), DecodeError, "31 bytes where exactly 32 belong"),
    "cohort bytes": (lambda: spoiled(data(PACKED), data(PACKED[1:])), DecodeError, "79 bytes is no whole number"),
    "cohort order": (
        lambda: spoiled(data(PACKED), data(PACKED[8:] + PACKED[:8])),
        ParameterError,
        "not ascending: 0 stands behind 9",
    ),
    "no vectors": (
        lambda: COMPLETE.encode().partition(data(PACKED))[0] + data(PACKED) + b"\x04\x00\x00\x00\x00",
        ParameterError,
        "at least one vector",
    ),
    "too many vectors": (
        lambda: COMPLETE.encode().partition(data(PACKED))[0] + data(PACKED) + b"\x04\x00\x01\x00\x01",
        DecodeError,
        "length 65537 is above its bound 65536",
    ),
    "vector name": (lambda: spoiled(text("weights"), text("wei\nghts")), DecodeError, r"vector name .wei\\nghts."),
    "clip": (
        lambda: spoiled(data(struct.pack(">d", 1.0)), data(struct.pack(">d", math.nan))),
        DecodeError,
        "clip=nan is not a finite number",
    ),
}


@pytest.mark.parametrize("name", REFUSED_BYTES)
def test_bytes_that_are_no_parameters_are_refused(name: str) -> None:
    make, error, match = REFUSED_BYTES[name]
    with pytest.raises(error, match=match):
        SessionParameters.decode(make())


def decodes_or_is_refused(encoded: bytes) -> None:
    try:
        decoded = SessionParameters.decode(encoded)
    except (DecodeError, ParameterError):
        return
    assert decoded.encode() == encoded


@given(st.binary(max_size=200))
@example(b"")
@example(integer(1) + integer(2**64 - 1))
def test_random_bytes_raise_nothing_but_our_errors(encoded: bytes) -> None:
    decodes_or_is_refused(encoded)


@pytest.mark.thorough
@settings(max_examples=150)
@given(strategies.damaged(SessionParameters.encode, strategies.session_parameters()))
def test_damaged_bytes_raise_nothing_but_our_errors(encoded: bytes) -> None:
    decodes_or_is_refused(encoded)


@pytest.mark.parametrize("parameters", [COMPLETE, SPARSE, ACTIVE, WIDE])
def test_every_changed_byte_is_refused_or_read_as_it_stands(parameters: SessionParameters) -> None:
    encoded = parameters.encode()
    for at in range(len(encoded)):
        for value in {0, 1, 0x7F, 0x80, 0xFF, encoded[at] ^ 1} - {encoded[at]}:
            decodes_or_is_refused(encoded[:at] + bytes([value]) + encoded[at + 1 :])


def test_the_calculator_stands_under_parameters() -> None:
    """`secagg.parameters.graph_parameters` is part of the public interface, whatever module computes it."""
    assert secagg.parameters.graph_parameters is graph_choice.graph_parameters
    signature = inspect.signature(module.graph_parameters)
    assert list(signature.parameters) == [
        "clients",
        "max_corrupt",
        "max_dropout",
        "threat_model",
        "security_bits",
        "correctness_bits",
    ]
    defaults = {name: parameter.default for name, parameter in signature.parameters.items()}
    assert (defaults["security_bits"], defaults["correctness_bits"]) == (40, 20)
    degree, threshold = module.graph_parameters(1000, 0.1, 0.1, "semi-honest")
    assert 2 <= threshold <= degree < 1000


def test_a_renewed_session_can_leave_clients_out_and_keeps_everything_else() -> None:
    first = SessionParameters.choose(
        clients=range(1, 11), vectors={"v": FixedPoint(3, clip=1.0)}, threat_model="active", context=b"round 7"
    )
    again = first.renew(exclude={3, 10, 99})
    assert again.cohort == (1, 2, 4, 5, 6, 7, 8, 9)
    assert again.topology.degree == 7
    assert again.nonce != first.nonce
    kept = ("vectors", "threat_model", "threshold", "minimum_contributors", "context", "max_weight", "suite")
    assert [getattr(again, name) for name in kept] == [getattr(first, name) for name in kept]
    assert SessionParameters.decode(again.encode()) == again
    assert first.renew(exclude=()).cohort == first.cohort


def test_a_renewed_ring_keeps_its_degree() -> None:
    ring = SessionParameters.choose(
        clients=20,
        vectors={"v": FixedPoint(3, clip=1.0)},
        topology="sparse",
        degree=6,
        threshold=3,
        minimum_contributors=4,
    )
    again = ring.renew(exclude=range(5))
    assert (again.clients, again.topology.degree) == (15, 6)
    assert again.topology.permutation_seed != ring.topology.permutation_seed
    with pytest.raises(ParameterError, match=r"6 of 20 clients are left, .*on a ring of degree 6, needs at least 7;"):
        ring.renew(exclude=range(14))


def test_in_a_renewed_chosen_graph_each_draws_as_many_holders_as_before() -> None:
    again = CHOSEN.renew(exclude=CHOSEN.cohort[:2])
    assert (again.clients, again.topology) == (8, CHOSEN.topology)
    assert CHOSEN.renew().topology == CHOSEN.topology
    with pytest.raises(ParameterError, match=r"6 of 10 clients are left, .*draws 6 holders, needs at least 7;"):
        CHOSEN.renew(exclude=CHOSEN.cohort[:4])


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"threshold": 5, "minimum_contributors": 2}, 6),
        ({"threshold": 2, "minimum_contributors": 7}, 7),
    ],
)
def test_a_session_that_too_few_are_left_for_is_not_renewed(settings: dict[str, Any], needed: int) -> None:
    first = SessionParameters.choose(clients=8, vectors={"v": FixedPoint(3, clip=1.0)}, max_corrupt=0.0, **settings)
    assert first.renew(exclude=range(8 - needed)).clients == needed
    with pytest.raises(ParameterError, match=f"of 8 clients are left, and a session with .* needs at least {needed}; "):
        first.renew(exclude=range(8 - needed + 1))
