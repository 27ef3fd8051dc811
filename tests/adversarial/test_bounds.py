"""Pitfall 30: bounds that the server chooses are questions about one client's input, and leaving is the answer.

`observed` is all that a server has of a client: which messages came, in which round, of which sizes, in answer to which
kind of request, and what the session said about it. It has to be the same whatever the input is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import (
    ClientPhase,
    ClientPolicy,
    ClientSession,
    FixedPoint,
    Integers,
    LocalProtocolError,
    ParameterError,
    PeerMisbehaved,
    Round,
    ServerPhase,
    Violation,
)
from secagg.parameters.vectors import VectorSpec
from tests.adversarial.tools import CountingSource
from tests.harness import Harness

MODELS: Final = ("semi-honest", "active")
MEAN: Final = FixedPoint(2, clip=1.0, bits=8, aggregate="mean")
VICTIM: Final = 1


def play(harness: Harness, array: NDArray[Any], weight: int = 1) -> Harness:
    harness.inputs[VICTIM] = {**harness.inputs[VICTIM], next(iter(harness.inputs[VICTIM])): array}
    harness.weights[VICTIM] = weight
    return harness.finish()


def observed(harness: Harness) -> list[Any]:
    told: list[Any] = [(sent.client, sent.round, sent.to_server, len(sent.data)) for sent in harness.transcript]
    return [*told, harness.events, harness.server.phase, harness.server.result.contributors]


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_30_bisecting_a_count_reads_nothing_of_one_client(model: str) -> None:
    """Ten offers whose upper bounds halve the range: everybody answers all of them alike."""
    for bit in range(10):
        high = 1 << bit
        views = []
        for count in (0, 1, 700, -5, 2**62):
            harness = Harness(4, threat_model=model, threshold=3, vectors={"v": Integers(0, high, 1)})
            views.append(observed(play(harness, np.array([count]))))
        assert all(view == views[0] for view in views)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "array", [np.array([1e300, 0.0]), np.array([np.nan, 0.0]), np.array([np.inf, -np.inf]), np.full(2, np.nan)]
)
def test_pitfall_30_no_real_number_makes_a_client_leave(model: str, array: NDArray[Any]) -> None:
    options: dict[str, Any] = {"threat_model": model, "threshold": 3, "vectors": {"m": MEAN}}
    assert observed(play(Harness(4, **options), array)) == observed(play(Harness(4, **options), np.zeros(2)))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weight", [0, -1, 9, 10, 11, 2**70])
def test_pitfall_30_no_weight_makes_a_client_leave(model: str, weight: int) -> None:
    options: dict[str, Any] = {"threat_model": model, "threshold": 3, "vectors": {"m": MEAN}, "max_weight": 10}
    harness = play(Harness(4, **options), np.zeros(2), weight)
    assert observed(harness) == observed(play(Harness(4, **options), np.zeros(2), 1))
    assert harness.server.result.total_weight == 3 + min(max(weight, 0), 10)


def test_pitfall_30_what_is_changed_is_reported_to_the_client_alone() -> None:
    vectors: dict[str, VectorSpec] = {"v": Integers(-3, 5, 3), "m": MEAN}
    client = Harness(4, threshold=2, vectors=vectors, max_weight=10).clients[VICTIM]
    found = client.set_input({"v": np.array([-4, 0, 6]), "m": np.array([np.nan, np.inf])}, 11)
    assert [(report.name, report.clipped, report.nan) for report in found.reports] == [("v", 2, 0), ("m", 1, 1)]
    assert (found.weight, found.weight_clipped, found.clipped) == (10, True, True)
    assert not client.set_input({"v": np.zeros(3, dtype=np.int64), "m": np.zeros(2)}, 10).clipped


def test_pitfall_30_everybody_without_examples_gives_a_sum_and_no_question() -> None:
    """The total weight 0 ends no session: the mean is 0, and integers are summed as ever."""
    vectors: dict[str, VectorSpec] = {"m": MEAN, "v": Integers(0, 9, 1)}
    harness = Harness(4, threshold=2, vectors=vectors, max_weight=10)
    harness.weights = dict.fromkeys(harness.cohort, 0)
    result = harness.finish().server.result
    assert harness.server.phase is ServerPhase.COMPLETED
    assert (result.total_weight, result.vectors["m"].tolist()) == (0, [0.0, 0.0])
    assert result.vectors["v"].tolist() == harness.expected(harness.cohort, "v").tolist()


def refusals() -> Iterator[tuple[str, ClientPolicy, Violation]]:
    expected: dict[str, VectorSpec] = {"v": Integers(0, 9, 1), "m": MEAN}
    vectors, weight = Violation.OFFER_VECTORS_NOT_EXPECTED, Violation.OFFER_MAX_WEIGHT_NOT_EXPECTED
    options: dict[str, Any] = {"minimum_cohort": 2, "minimum_threshold": 1}
    for what, change in (
        ("narrower bounds", {"v": Integers(4, 5, 1)}),
        ("another clip", {"m": FixedPoint(2, clip=2.0**-100, bits=8, aggregate="mean")}),
        ("another name", {"w": Integers(0, 9, 1)}),
    ):
        yield what, ClientPolicy(vectors={**expected, **change}, **options), vectors
    yield "a vector less", ClientPolicy(vectors={"m": MEAN}, **options), vectors
    yield "a smaller largest weight", ClientPolicy(max_weight=9, **options), weight
    yield "no weights", ClientPolicy(max_weight=1, **options), weight


REFUSALS: Final = [pytest.param(policy, rule, id=what) for what, policy, rule in refusals()]


@pytest.mark.parametrize(("policy", "rule"), REFUSALS)
def test_pitfall_30_other_bounds_than_expected_are_refused_before_a_key_exists(
    policy: ClientPolicy, rule: Violation
) -> None:
    vectors: dict[str, VectorSpec] = {"m": MEAN, "v": Integers(0, 9, 1)}
    harness = Harness(4, threshold=2, vectors=vectors, max_weight=10)
    source = CountingSource()
    with pytest.raises(PeerMisbehaved) as caught:
        ClientSession(harness.server.offer, VICTIM, policy=policy, randomness=source)
    assert (caught.value.violation, source.draws) == (rule, 0)
    pinned = ClientPolicy(
        minimum_cohort=2, minimum_threshold=1, vectors={"v": Integers(0, 9, 1), "m": MEAN}, max_weight=10
    )
    accepted = ClientSession(harness.server.offer, VICTIM, policy=pinned)
    assert accepted.phase is ClientPhase.ADVERTISE_KEYS


def test_pitfall_30_strict_is_the_clients_own_choice_and_nothing_is_sent() -> None:
    harness = Harness(4, threshold=2, vectors={"m": MEAN}, max_weight=10).run_to(Round.MASKED_INPUT)
    client = harness.clients[VICTIM]
    for array, weight in ((np.full(2, 1.5), 1), (np.full(2, np.nan), 1), (np.zeros(2), 0 - 1), (np.zeros(2), 11)):
        with pytest.raises(ParameterError, match="strict=True"):
            client.set_input({"m": array}, weight, strict=True)
    with pytest.raises(LocalProtocolError, match="set_input"):
        client.receive(harness.requests[VICTIM])
    client.set_input({"m": np.ones(2)}, 0, strict=True)
    assert client.receive(harness.requests[VICTIM]) is not None


@pytest.mark.parametrize(("max_weight", "weights"), [(10, (None,)), (1, (0, 1, 5))])
def test_pitfall_30_a_weight_is_missing_or_too_much_whatever_it_is(max_weight: int, weights: tuple[Any, ...]) -> None:
    """A forgotten weight is the caller's mistake, not 1; a server without weights learns nothing from one."""
    client = Harness(4, threshold=2, vectors={"m": MEAN}, max_weight=max_weight).clients[VICTIM]
    for weight in weights:
        with pytest.raises(ParameterError, match="this session has"):
            client.set_input({"m": np.zeros(2)}, weight)


@pytest.mark.parametrize(
    "options", [{"vectors": {}}, {"vectors": [("v", MEAN)]}, {"vectors": {"v": 3}}, {"max_weight": 0}]
)
def test_pitfall_30_expectations_that_no_offer_meets(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        ClientPolicy(**options)
