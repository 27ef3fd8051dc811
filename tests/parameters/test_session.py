"""Session parameters: what is chosen, what a renewed session keeps."""

from __future__ import annotations

import inspect
import math
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from itertools import product
from typing import Any

import pytest

import secagg
from secagg import parameters as module
from secagg.errors import ParameterError
from secagg.parameters import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind, graph_choice
from secagg.parameters.graph_conditions import threshold_resists
from secagg.parameters.vectors import FixedPoint
from tests.parameters.sessions import ACTIVE, CHOSEN, COMPLETE, NONCE, SEED, SPARSE, VECTORS, choose


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


def test_a_smaller_threshold_is_advised_only_where_it_keeps_inputs_secret() -> None:
    lowest = choose(clients=5, threat_model="active", max_corrupt=0.0, max_dropout=0.2)
    assert lowest.explanation.endswith("more clients would let more, and a smaller threshold would give inputs away.")
    with pytest.raises(ParameterError, match="threshold 2 is outside"):
        choose(clients=5, threat_model="active", max_corrupt=0.0, max_dropout=0.2, threshold=2)
    higher = choose(clients=20, threat_model="active", max_corrupt=0.0, max_dropout=0.2)
    assert higher.explanation.endswith("more clients or a smaller threshold would let more.")
    smaller = choose(
        clients=20, threat_model="active", max_corrupt=0.0, max_dropout=0.2, threshold=higher.threshold - 1
    )
    assert smaller.may_leave > higher.may_leave


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


def sparse(degree: int | None, clients: int = 20, **changes: Any) -> SessionParameters:
    vectors, given = {"v": FixedPoint(3, clip=1.0)}, {"threshold": 3, "minimum_contributors": 4, **changes}
    return SessionParameters.choose(clients=clients, vectors=vectors, topology="sparse", degree=degree, **given)


def test_a_renewed_ring_keeps_its_degree() -> None:
    ring = sparse(6)
    again = ring.renew(exclude=range(5))
    assert (again.clients, again.topology.degree) == (15, 6)
    assert again.topology.permutation_seed != ring.topology.permutation_seed
    assert again.renews(ring)


@pytest.mark.parametrize(
    ("degree", "left", "renewed"), [(6, 7, 6), (6, 6, 5), (6, 5, 4), (6, 4, 3), (7, 19, 6), (7, 18, 7), (7, 7, 6)]
)
def test_a_renewed_ring_without_room_for_its_degree_has_the_largest_that_there_is(
    degree: int, left: int, renewed: int
) -> None:
    ring = sparse(degree)
    again = ring.renew(exclude=range(20 - left))
    assert (again.clients, again.topology.degree, again.threshold) == (left, renewed, 3)
    assert again.renews(ring)
    for other in {renewed - 1, renewed + 1, degree} - {renewed}:
        with suppress(ParameterError):  # a degree that no cohort of this size has
            assert not replace(again, topology=replace(again.topology, degree=other)).renews(ring)


def test_a_ring_is_not_renewed_with_fewer_holders_than_its_threshold() -> None:
    with pytest.raises(ParameterError, match=r"3 of 20 clients are left, .* needs at least 4;"):
        sparse(6).renew(exclude=range(17))
    with pytest.raises(ParameterError, match=r"19 of 20 clients are left, .* needs at least 20;"):
        sparse(3).renew(exclude={0})
    assert sparse(3).renew(exclude={0, 1}).clients == 18
    with pytest.raises(ParameterError, match=r"2 of 20 clients are left, .* needs at least 3;"):
        sparse(3, threshold=1, minimum_contributors=2).renew(exclude=range(18))


def test_a_renewed_ring_of_another_degree_keeps_its_promises() -> None:
    """A client whose policy is as tight as the choice takes part in the renewed session, too."""
    seen = 0
    for clients, corrupt, dropout in product(range(12, 60), (0.1, 0.3, 0.6), (0.1, 0.3)):
        fractions = {"max_corrupt": corrupt, "max_dropout": dropout}
        for out in range(1, 6):
            with suppress(ParameterError):  # no ring serves so few, or too few are left
                ring = sparse(None, clients, threshold=None, minimum_contributors=2, **fractions)
                again = ring.renew(exclude=range(out))
                if again.topology.degree == ring.topology.degree:
                    continue
                seen += 1
                graph = (again.topology.kind, again.topology.degree, again.threshold)
                assert threshold_resists(again.clients, *graph, corrupt, dropout, "semi-honest")
    assert seen > 20


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
