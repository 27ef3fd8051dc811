"""The experimental chosen graph is taken where it is named, and nowhere else (Specification §2.4, §6.1, R59)."""

from __future__ import annotations

from typing import Any

import pytest

from secagg import ClientPolicy, Integers, ParameterError, PeerMisbehaved, SessionParameters, TopologyKind, Violation
from secagg.parameters.chosen_graph import chosen_graph
from secagg.parameters.graph_choice import choose_graph
from secagg.protocol.client_setup import check_policy

VECTORS = {"v": Integers(0, 9, length=2)}


def parameters(clients: int = 1000, **options: object) -> SessionParameters:
    given = {"max_corrupt": 0.05, "max_dropout": 0.05, "threat_model": "active", "topology": "chosen"} | options
    return SessionParameters.choose(clients=clients, vectors=VECTORS, **given)  # type: ignore[arg-type]


def test_the_calculator_chooses_degree_and_threshold_at_64_bits() -> None:
    chosen, graph = parameters(), chosen_graph(1000, 0.05, 0.05, 64)
    assert (chosen.topology.kind, chosen.topology.permutation_seed) == (TopologyKind.CHOSEN, b"")
    assert (chosen.topology.degree, chosen.threshold) == (graph.degree, graph.threshold)
    assert "EXPERIMENTAL" in chosen.explanation
    assert "64 security bits" in chosen.explanation
    fewer = parameters(security_bits=40)
    assert fewer.topology.degree == chosen_graph(1000, 0.05, 0.05, 40).degree < chosen.topology.degree


@pytest.mark.parametrize("model", ["semi-honest", "active"])
@pytest.mark.parametrize("clients", [5, 300, 3000])
def test_it_is_never_chosen_by_default(clients: int, model: str) -> None:
    assert choose_graph(clients, 0.05, 0.05, model).topology is not TopologyKind.CHOSEN
    assert TopologyKind.CHOSEN not in ClientPolicy().topologies


def test_what_the_caller_gives_is_taken_and_judged() -> None:
    good = choose_graph(300, 0.05, 0.05, "active", "chosen", 100, 80)
    assert (good.degree, good.threshold) == (100, 80)
    assert "which withstand that" in good.reason
    assert "which do NOT withstand that" in choose_graph(300, 0.05, 0.05, "active", "chosen", 10, 6).reason
    for one in ({"degree": 100}, {"threshold": 80}):
        with pytest.raises(ParameterError, match="give both, or leave both to the calculator"):
            parameters(**one)
    with pytest.raises(ParameterError, match="take threat_model 'active', or topology 'sparse'"):
        parameters(threat_model="semi-honest")


@pytest.mark.parametrize(
    ("policy", "violation"),
    [
        ({}, Violation.OFFER_TOPOLOGY_NOT_ALLOWED),
        ({"topologies": ["chosen"], "max_corrupt": 0.1}, Violation.OFFER_THRESHOLD_BELOW_POLICY),
        ({"topologies": ["chosen"], "max_corrupt_clients": 100}, Violation.OFFER_THRESHOLD_BELOW_POLICY),
        ({"topologies": ["chosen"], "security_bits": 80}, Violation.OFFER_THRESHOLD_BELOW_POLICY),
        ({"topologies": ["chosen"]}, None),
    ],
)
def test_a_client_judges_by_its_own_beliefs(policy: dict[str, object], violation: Violation | None) -> None:
    offer = parameters(max_corrupt=0.05, security_bits=64)
    believed = ClientPolicy(**({"max_corrupt": 0.05} | policy))  # type: ignore[arg-type]
    if violation is None:
        check_policy(believed, offer)
        return
    with pytest.raises(PeerMisbehaved) as refusal:
        check_policy(believed, offer)
    assert refusal.value.violation is violation


def test_a_client_that_wants_more_than_half_is_given_it_or_refuses() -> None:
    offer = parameters(minimum_contributors=900)
    check_policy(ClientPolicy(topologies=frozenset({TopologyKind.CHOSEN}), max_corrupt=0.05), offer)
    with pytest.raises(PeerMisbehaved) as refusal:
        check_policy(
            ClientPolicy(topologies=frozenset({TopologyKind.CHOSEN}), max_corrupt=0.05, minimum_contributors=900), offer
        )
    assert refusal.value.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY


def test_renewed_parameters_have_no_ring() -> None:
    first = parameters()
    assert first.renew().topology == first.topology
    assert first.renew().nonce != first.nonce
    assert first.may_leave == min(1000 - max(first.threshold + 1, 500), first.topology.degree - first.threshold)


@pytest.mark.parametrize(
    ("degree", "threshold", "said"),
    [
        (20.5, 15, "degree is 20.5, not an integer"),
        ("20", 15, "degree is '20', not an integer"),
        (3, 3, r"degree is 3, outside \[4, 299\]"),
        (300, 200, r"degree is 300, outside \[4, 299\]"),
        (20, "15", "threshold is '15', not an integer"),
        (20, 21, r"threshold is 21, outside \[1, 20\]"),
    ],
)
def test_degree_and_threshold_are_whole_numbers_that_a_chosen_graph_has(degree: Any, threshold: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        choose_graph(300, 0.05, 0.05, "active", "chosen", degree, threshold)
