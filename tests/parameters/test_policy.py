"""A client's floor: what it is by default, what it refuses, and that it refuses before a key exists."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, replace
from functools import cache
from typing import Any

import pytest

from secagg import ClientSession, IdentityKey, SessionOffer
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError, PeerMisbehaved, Violation
from secagg.parameters import SessionParameters, SuiteId, ThreatModel, Topology, TopologyKind
from secagg.parameters.policy import DEFAULT_MAXIMUM_WORDS, ClientPolicy
from secagg.parameters.vectors import FixedPoint

CONTEXT = b"model 7, round 3"


def offer(clients: int = 10, **changes: Any) -> SessionParameters:
    """A semi-honest session over the complete graph, unless told otherwise."""
    arguments: dict[str, Any] = {
        "cohort": tuple(range(clients)),
        "vectors": (("w", FixedPoint(64, clip=1.0, bits=16)),),
        "threat_model": ThreatModel.SEMI_HONEST,
        "topology": Topology(TopologyKind.COMPLETE, clients - 1),
        "threshold": clients // 2 + 1,
        "minimum_contributors": clients // 2,
        "nonce": bytes(32),
        "context": CONTEXT,
    }
    return SessionParameters(**(arguments | changes))


@cache
def identity(client: int) -> IdentityKey:
    return IdentityKey(SecretBytes(client.to_bytes(32, "big")))


class NoKeysYet:
    """A source of randomness that must not be asked."""

    def secret(self, length: int) -> SecretBytes:
        raise AssertionError(f"{length} random bytes were drawn while the offer was judged")


def judge(policy: ClientPolicy, parameters: SessionParameters) -> None:
    """Show an offer to client 1, who has an identity and a roster where the offer is active."""
    active = parameters.threat_model is ThreatModel.ACTIVE
    ClientSession(
        SessionOffer(parameters),
        1,
        identity=identity(1) if active else None,
        roster={client: identity(client).public for client in parameters.cohort} if active else None,
        policy=policy,
        randomness=NoKeysYet(),
    )


def test_the_default_floor() -> None:
    policy = ClientPolicy()
    assert (policy.minimum_cohort, policy.minimum_threshold, policy.minimum_contributors) == (3, 2, 2)
    assert (policy.threat_model, policy.max_corrupt, policy.context) == (None, None, None)
    assert policy.max_dropout == 0.1
    assert policy.topologies == {TopologyKind.COMPLETE, TopologyKind.SPARSE}, "the experimental graph only by name"
    assert policy.security_bits is None, "40 bits of a sparse graph, 64 of a chosen one"
    assert policy.suites == set(SuiteId)
    assert 8 * policy.maximum_words == 8 * DEFAULT_MAXIMUM_WORDS == 2**30


def test_a_policy_is_a_frozen_value() -> None:
    policy = ClientPolicy()
    with pytest.raises(FrozenInstanceError):
        policy.minimum_cohort = 2  # type: ignore[misc]
    assert len({policy, ClientPolicy(), replace(policy, minimum_cohort=9)}) == 2
    assert not hasattr(policy, "__dict__")


@pytest.mark.parametrize(
    ("floor", "text"),
    [
        ({"minimum_cohort": 1}, "cohort=1"),
        ({"minimum_cohort": 0}, "cohort=0"),
        ({"minimum_contributors": 1}, "contributors=1"),
        ({"minimum_threshold": 0}, "threshold=0"),
        ({"minimum_threshold": -5}, "threshold=-5"),
        ({"security_bits": 0}, "security_bits is 0, outside [1, 4096]"),
        ({"security_bits": 4097}, "security_bits is 4097, outside [1, 4096]"),
        ({"max_corrupt": 1.0}, "max_corrupt 1.0 is outside 0 .. 1; give a fraction"),
        ({"max_corrupt": -0.1}, "max_corrupt -0.1 is outside 0 .. 1; give a fraction"),
        ({"max_corrupt": float("nan")}, "max_corrupt nan is outside 0 .. 1; give a fraction"),
        ({"suites": frozenset()}, "a policy without suites refuses every session; list at least one"),
        ({"maximum_words": 0}, "maximum_words"),
        ({"maximum_words": -1}, "maximum_words"),
    ],
)
def test_a_floor_that_no_session_needs_or_meets_is_refused(floor: dict[str, Any], text: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(text)):
        ClientPolicy(**floor)


def test_the_lowest_floor_is_what_every_session_meets() -> None:
    lowest = ClientPolicy(minimum_cohort=2, minimum_threshold=1, minimum_contributors=2)
    judge(lowest, offer(clients=2, threshold=1, minimum_contributors=2))


# A floor and the smallest offer that meets it; the change that takes the offer under it; the rule.
FLOORS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], Violation, str]] = [
    ({"minimum_cohort": 11}, {"clients": 11}, {"clients": 10}, Violation.OFFER_COHORT_BELOW_POLICY, "cohort of 10"),
    ({}, {"clients": 3, "threshold": 2, "minimum_contributors": 2},
     {"clients": 2, "threshold": 1, "minimum_contributors": 2},
     Violation.OFFER_COHORT_BELOW_POLICY, "cohort of 2; this client needs at least 3"),
    ({"minimum_threshold": 6}, {}, {"threshold": 5}, Violation.OFFER_THRESHOLD_BELOW_POLICY, "at least 6"),
    ({}, {"threshold": 2}, {"threshold": 1}, Violation.OFFER_THRESHOLD_BELOW_POLICY, "threshold 1; .* at least 2"),
    ({"minimum_contributors": 4}, {"minimum_contributors": 4}, {"minimum_contributors": 3},
     Violation.OFFER_MINIMUM_CONTRIBUTORS_BELOW_POLICY, "sums over 3; this client needs at least 4"),
    ({"threat_model": ThreatModel.ACTIVE}, {"threat_model": ThreatModel.ACTIVE}, {},
     Violation.OFFER_THREAT_MODEL_NOT_ALLOWED, "the semi-honest model; this client requires active"),
    ({"threat_model": ThreatModel.SEMI_HONEST}, {}, {"threat_model": ThreatModel.ACTIVE},
     Violation.OFFER_THREAT_MODEL_NOT_ALLOWED, "the active model; this client requires semi-honest"),
    ({"suites": frozenset({SuiteId.X25519_AES128CTR})}, {}, {"suite": SuiteId.X25519_AEGIS128X2},
     Violation.OFFER_SUITE_NOT_ALLOWED, "suite 0x0002"),
    ({"context": CONTEXT}, {}, {"context": b"another model"}, Violation.OFFER_CONTEXT_NOT_EXPECTED, "another model"),
    ({"context": CONTEXT}, {}, {"context": b""}, Violation.OFFER_CONTEXT_NOT_EXPECTED, "another model or round"),
    ({"context": b""}, {"context": b""}, {}, Violation.OFFER_CONTEXT_NOT_EXPECTED, "another model or round"),
]  # fmt: skip


@pytest.mark.parametrize(("floor", "meets", "under", "violation", "text"), FLOORS)
def test_an_offer_under_a_floor_is_refused_before_a_key_exists(
    floor: dict[str, Any], meets: dict[str, Any], under: dict[str, Any], violation: Violation, text: str
) -> None:
    policy = ClientPolicy(**floor)
    judge(policy, offer(**meets))
    with pytest.raises(PeerMisbehaved, match=text) as caught:
        judge(policy, offer(**under))
    assert caught.value.violation is violation


def test_a_vector_above_the_floor_is_refused_before_a_key_exists() -> None:
    words = 64 // 3 + 1  # fields of 20 bits, three in a word
    judge(ClientPolicy(maximum_words=words), offer())
    with pytest.raises(PeerMisbehaved, match=f"has {words} words; this client allows {words - 1}") as caught:
        judge(ClientPolicy(maximum_words=words - 1), offer())
    assert caught.value.violation is Violation.OFFER_VECTOR_ABOVE_POLICY


def resists(parameters: SessionParameters, max_corrupt: float) -> bool:
    try:
        judge(ClientPolicy(minimum_cohort=2, minimum_threshold=1, max_corrupt=max_corrupt), parameters)
    except PeerMisbehaved as error:
        assert error.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY  # noqa: PT017 - the rule, not the raising
        return False
    return True


@pytest.mark.parametrize(
    ("clients", "max_corrupt", "corrupt"), [(10, 0.3, 3), (20, 0.25, 5), (10, 0.1, 1), (100, 0.5, 50), (100, 0.29, 29)]
)
def test_a_threshold_must_outnumber_the_corrupt_clients(clients: int, max_corrupt: float, corrupt: int) -> None:
    """Complete graph, semi-honest: `corrupt` clients hold that many shares of every secret."""
    accepted = [
        threshold for threshold in range(1, clients) if resists(offer(clients, threshold=threshold), max_corrupt)
    ]
    assert accepted == list(range(corrupt + 1, clients))


@pytest.mark.parametrize(
    ("clients", "max_corrupt", "corrupt"), [(10, 0.3, 3), (10, 0.4, 4), (10, 0.0, 0), (11, 0.2, 2), (600, 0.41, 246)]
)
def test_an_active_threshold_must_outnumber_two_disjoint_views(clients: int, max_corrupt: float, corrupt: int) -> None:
    smallest = (clients + corrupt) // 2 + 1
    active = {"threat_model": ThreatModel.ACTIVE}
    assert resists(offer(clients, threshold=smallest, **active), max_corrupt)
    if 2 * (smallest - 1) > clients:
        assert not resists(offer(clients, threshold=smallest - 1, **active), max_corrupt)


def test_no_corrupt_fraction_trusts_the_offer() -> None:
    judge(ClientPolicy(minimum_threshold=1), offer(threshold=1))


def test_a_threat_model_by_name_is_the_threat_model() -> None:
    assert ClientPolicy(threat_model="active").threat_model is ThreatModel.ACTIVE
    with pytest.raises(ParameterError, match="'activ' is unknown; give 'active' or 'semi-honest'"):
        ClientPolicy(threat_model="activ")


def test_a_sparse_graph_is_judged_with_the_dropouts_that_the_client_believes_in() -> None:
    ring = offer(60, threshold=6, topology=Topology(TopologyKind.SPARSE, 12, bytes(32)))
    judge(ClientPolicy(max_corrupt=0.05), ring)
    with pytest.raises(PeerMisbehaved, match=r"0\.3 drop out") as caught:
        judge(ClientPolicy(max_corrupt=0.05, max_dropout=0.3), ring)
    assert caught.value.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY


def test_dropouts_do_not_matter_in_a_complete_graph() -> None:
    judge(ClientPolicy(max_corrupt=0.3, max_dropout=0.9), offer(10, threshold=4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_dropout": 1.0}, "max_dropout 1.0 is outside"),
        ({"max_dropout": -0.1}, "max_dropout -0.1 is outside"),
        ({"max_dropout": "much"}, "max_dropout"),
        ({"topologies": frozenset()}, "without topologies"),
        ({"topologies": frozenset({"star"})}, "topology 'star' is unknown"),
        ({"topologies": 3}, "topologies"),
        ({"topologies": "complete"}, "topologies='complete' is one text; give a set"),
    ],
)
def test_dropouts_and_graphs_that_no_policy_has(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        ClientPolicy(**changes)


def test_a_number_of_corrupt_clients_counts_where_it_is_more_than_the_fraction() -> None:
    """A server that picks the cohort can pick all corrupt clients: a fraction of it is no bound."""
    few = {"threat_model": ThreatModel.ACTIVE, "minimum_contributors": 2}
    assert ClientPolicy(max_corrupt_clients=4).corrupt_clients(10, ThreatModel.ACTIVE) == 4
    assert ClientPolicy(max_corrupt_clients=4).corrupt_clients(100, ThreatModel.ACTIVE) == 10
    assert ClientPolicy(max_corrupt_clients=4).corrupt_clients(3, ThreatModel.ACTIVE) == 2
    judge(ClientPolicy(max_corrupt_clients=3), offer(10, threshold=7, **few))
    with pytest.raises(PeerMisbehaved, match="which 4 colluding clients may defeat in the active model") as refusal:
        judge(ClientPolicy(max_corrupt_clients=4), offer(10, threshold=7, **few))
    assert refusal.value.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY
    judge(ClientPolicy(max_corrupt=0.0, max_corrupt_clients=4), offer(10, threshold=5))
    with pytest.raises(PeerMisbehaved):
        judge(ClientPolicy(max_corrupt=0.0, max_corrupt_clients=5), offer(10, threshold=5))
    judge(ClientPolicy(max_corrupt=0.3, max_corrupt_clients=1), offer(10, threshold=4))
    with pytest.raises(PeerMisbehaved, match="for 11 clients, which 1 colluding client may defeat"):
        judge(ClientPolicy(max_corrupt=0.0, max_corrupt_clients=1), offer(11, threshold=6, **few))


@pytest.mark.parametrize("number", [-1, 0.5, "4", True])
def test_a_number_of_corrupt_clients_is_a_whole_number(number: Any) -> None:
    with pytest.raises(ParameterError, match="max_corrupt_clients is"):
        ClientPolicy(max_corrupt_clients=number)
