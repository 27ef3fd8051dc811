"""A lying server makes an offer: pitfalls 5 (weak parameters) and 25 (the ring of a sparse graph)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from secagg import (
    ClientPhase,
    ClientPolicy,
    ClientSession,
    DecodeError,
    FixedPoint,
    Integers,
    ParameterError,
    PeerMisbehaved,
    SessionOffer,
    SessionParameters,
    SuiteId,
    ThreatModel,
    Topology,
    TopologyKind,
    Violation,
)
from secagg.canonical import Writer
from secagg.wire.codec import encode_offer
from tests.adversarial.tools import CountingSource, refused
from tests.harness import TEST_POLICY, Harness

FLOORS: Final[list[tuple[dict[str, Any], ClientPolicy, Violation]]] = [
    ({"clients": 4}, ClientPolicy(minimum_cohort=5, minimum_threshold=1), Violation.OFFER_COHORT_BELOW_POLICY),
    ({"threshold": 2}, ClientPolicy(minimum_threshold=3), Violation.OFFER_THRESHOLD_BELOW_POLICY),
    ({"threshold": 2}, ClientPolicy(max_corrupt=0.4), Violation.OFFER_THRESHOLD_BELOW_POLICY),
    (
        {"threat_model": "active", "threshold": 4, "clients": 6},
        ClientPolicy(max_corrupt=0.34),
        Violation.OFFER_THRESHOLD_BELOW_POLICY,
    ),
    (
        {"minimum_contributors": 2},
        ClientPolicy(minimum_contributors=3),
        Violation.OFFER_MINIMUM_CONTRIBUTORS_BELOW_POLICY,
    ),
    ({}, ClientPolicy(threat_model=ThreatModel.ACTIVE), Violation.OFFER_THREAT_MODEL_NOT_ALLOWED),
    (
        {"clients": 60, "topology": "sparse", "degree": 12, "threshold": 6, "minimum_contributors": 2},
        ClientPolicy(max_corrupt=0.05, max_dropout=0.3),
        Violation.OFFER_THRESHOLD_BELOW_POLICY,
    ),
    (
        {"clients": 8, "topology": "sparse", "degree": 4, "threshold": 2},
        ClientPolicy(topologies=frozenset({TopologyKind.COMPLETE})),
        Violation.OFFER_TOPOLOGY_NOT_ALLOWED,
    ),
    (
        {"suite": SuiteId.X25519_AEGIS128X2},
        ClientPolicy(suites=frozenset({SuiteId.X25519_AES128CTR})),
        Violation.OFFER_SUITE_NOT_ALLOWED,
    ),
    ({"vectors": {"v": Integers(0, 9, 10_000)}}, ClientPolicy(maximum_words=99), Violation.OFFER_VECTOR_ABOVE_POLICY),
    ({"context": b"round 7"}, ClientPolicy(context=b"round 8"), Violation.OFFER_CONTEXT_NOT_EXPECTED),
]


@pytest.mark.parametrize(("options", "policy", "violation"), FLOORS)
def test_pitfall_05_offer_under_a_floor_is_refused_before_a_key_exists(
    options: dict[str, Any], policy: ClientPolicy, violation: Violation
) -> None:
    harness = Harness(**{"clients": 6, "threshold": 3, **options})
    source = CountingSource()
    with pytest.raises(PeerMisbehaved) as caught:
        harness.make_client(1, policy=policy, randomness=source)
    assert caught.value.violation is violation
    assert source.draws == 0
    # The same offer passes under the floor that the test cohort uses, so the floor alone was the reason.
    assert harness.make_client(1, policy=TEST_POLICY, randomness=source).phase is ClientPhase.ADVERTISE_KEYS
    assert source.draws == 0


@pytest.mark.parametrize(
    ("clients", "threshold", "violation"),
    [(2, 1, Violation.OFFER_COHORT_BELOW_POLICY), (5, 1, Violation.OFFER_THRESHOLD_BELOW_POLICY)],
)
def test_pitfall_05_default_policy_refuses_a_pair_and_a_threshold_of_one(
    clients: int, threshold: int, violation: Violation
) -> None:
    harness = Harness(clients, threshold=threshold, minimum_contributors=2)
    with pytest.raises(PeerMisbehaved) as caught:
        ClientSession(harness.server.offer, 1)
    assert caught.value.violation is violation


@pytest.mark.parametrize(
    ("policy", "accepted"),
    [
        (ClientPolicy(max_corrupt=0.05), False),
        (ClientPolicy(max_corrupt=0.05, max_dropout=0.3), False),
        (ClientPolicy(max_corrupt=0.05, max_dropout=0.0), True),
    ],
)
def test_pitfall_05_sparse_graph_is_judged_with_the_dropouts_that_the_client_believes_in(
    policy: ClientPolicy, accepted: bool
) -> None:
    """Degree 14 of 1000 passes as 40 bits when nobody leaves; connectivity is 2.5 bits when three tenths do."""
    offered = SessionParameters.choose(
        clients=1000, vectors={"v": Integers(0, 1, 1)}, topology="sparse", degree=14, threshold=13
    )
    offer = encode_offer(SessionOffer(offered))
    if accepted:
        assert ClientSession(offer, 1, policy=policy).phase is ClientPhase.ADVERTISE_KEYS
        return
    with pytest.raises(PeerMisbehaved, match="drop out") as caught:
        ClientSession(offer, 1, policy=policy)
    assert caught.value.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY


@pytest.mark.parametrize("clients", [100, 300, 1000, 3000])
def test_pitfall_05_default_client_takes_the_sparse_graph_of_a_default_server(clients: int) -> None:
    offered = SessionParameters.choose(clients=clients, vectors={"v": Integers(0, 1, 1)}, topology="sparse")
    session = ClientSession(encode_offer(SessionOffer(offered)), 1, policy=ClientPolicy(max_corrupt=0.1))
    assert session.phase is ClientPhase.ADVERTISE_KEYS


def test_pitfall_05_offer_of_a_cohort_without_the_client_or_with_strangers() -> None:
    harness = Harness(5, threat_model="active", threshold=3)
    with pytest.raises(PeerMisbehaved) as caught:
        harness.make_client(9, identity=harness.identities[1])
    assert caught.value.violation is Violation.OFFER_COHORT_WITHOUT_THIS_CLIENT
    small = {client: key for client, key in harness.roster.items() if client != 5}
    with pytest.raises(PeerMisbehaved) as caught:
        harness.make_client(1, roster=small)
    assert caught.value.violation is Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER


@pytest.mark.parametrize("model", ["semi-honest", "active"])
@pytest.mark.parametrize("identified", [False, True])
def test_pitfall_05_a_roster_that_names_nobody_is_a_roster(model: str, identified: bool) -> None:
    """It came out empty, from whatever directory: that must not talk the client out of its protection."""
    harness = Harness(5, threat_model=model, threshold=3)
    source = CountingSource()
    expected = {
        "semi-honest": Violation.OFFER_THREAT_MODEL_NOT_ALLOWED,
        "active": Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER,
    }
    with pytest.raises(PeerMisbehaved) as caught:
        harness.make_client(1, roster={}, identity=harness.identities[1] if identified else None, randomness=source)
    assert (caught.value.violation, source.draws) == (expected[model], 0)


@pytest.mark.parametrize("clients", [5, 7, 10, 20])
@pytest.mark.parametrize("max_corrupt", [0.1, 0.2, 0.3, 0.45])
def test_pitfall_05_policy_counts_the_corrupt_clients_of_the_cohort(clients: int, max_corrupt: float) -> None:
    """Everybody else holds a share: `corrupt` colluding clients must stay below the threshold (specification §2.4)."""
    corrupt = int(max_corrupt * clients + 1e-14)
    policy = ClientPolicy(minimum_cohort=2, minimum_threshold=1, max_corrupt=max_corrupt)
    accepted = [threshold for threshold in range(1, clients) if not refuses(policy, clients, threshold)]
    assert accepted == list(range(corrupt + 1, clients))


def refuses(policy: ClientPolicy, clients: int, threshold: int) -> bool:
    complete = Topology(TopologyKind.COMPLETE, clients - 1)
    cohort = tuple(range(1, clients + 1))
    offer = replace(Harness(2, threshold=1).parameters, cohort=cohort, topology=complete, threshold=threshold)
    try:
        ClientSession(SessionOffer(offer), 1, policy=policy)
    except PeerMisbehaved as error:
        return error.violation is Violation.OFFER_THRESHOLD_BELOW_POLICY
    return False


def sparse(threat_model: str = "semi-honest") -> Harness:
    """A sparse graph in which a threshold of more than half of the cohort is possible."""
    return Harness(8, threat_model=threat_model, topology="sparse", degree=6, threshold=5)


def test_pitfall_25_active_and_sparse_is_refused_by_the_parameters() -> None:
    with pytest.raises(ParameterError, match="sparse"):
        sparse("active")
    with pytest.raises(ParameterError, match="sparse"):
        replace(sparse().parameters, threat_model=ThreatModel.ACTIVE)


def test_pitfall_25_active_and_sparse_is_refused_in_an_offer() -> None:
    """The same bytes as a valid offer, but for the name of the threat model."""
    harness = sparse()
    honest = harness.parameters.encode()
    before, after = (Writer().text(model).finish() for model in ("semi-honest", "active"))
    assert honest.count(before) == 1
    forged = offer_of(honest.replace(before, after))
    with pytest.raises(PeerMisbehaved, match="sparse") as caught:
        ClientSession(forged, 1, identity=harness.identities[1], roster=harness.roster, policy=TEST_POLICY)
    assert caught.value.violation is Violation.OFFER_PARAMETERS_INVALID
    assert ClientSession(offer_of(honest), 1, policy=TEST_POLICY).phase is ClientPhase.ADVERTISE_KEYS


def test_pitfall_25_ring_follows_from_the_seed_in_the_digest() -> None:
    """A server that shows another permutation shows another session."""
    harness = Harness(8, topology="sparse", degree=4, threshold=3)
    topology = harness.parameters.topology
    other = replace(harness.parameters, topology=replace(topology, permutation_seed=bytes(32)))
    moved = harness.make_client(1, encode_offer(SessionOffer(other)))
    refused(moved, harness.requests[1], Violation.MESSAGE_OF_ANOTHER_SESSION)
    with pytest.raises(ParameterError, match="permutation seed"):
        replace(harness.parameters, topology=replace(topology, permutation_seed=bytes(31)))


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 0},
        {"threshold": 5},
        {"minimum_contributors": 1},
        {"minimum_contributors": 6},
        {"max_weight": 0},
        {"version": 2},
    ],
)
def test_pitfall_25_impossible_offers_are_refused_as_the_servers_fault(changes: dict[str, int]) -> None:
    honest = Harness(5, threshold=3).parameters
    assert forged_parameters(honest) == honest.encode()
    offer = forged_parameters(honest, **changes)
    with pytest.raises(PeerMisbehaved) as caught:
        ClientSession(offer_of(offer), 1, policy=TEST_POLICY)
    assert caught.value.violation is Violation.OFFER_PARAMETERS_INVALID


def test_pitfall_25_an_offer_that_is_no_offer() -> None:
    with pytest.raises(DecodeError):
        ClientSession(b"\x0a\x01x", 1)


@pytest.mark.parametrize("entries", [2**40, 2**37])
def test_pitfall_05_giant_vectors_are_refused_as_the_servers_fault(entries: int) -> None:
    """However large the session vector is: 2^40 entries each, in 40 vectors, pass every check of one vector."""
    base = Harness(5, threshold=3).parameters
    giant = replace(base, vectors=tuple((f"v{i}", FixedPoint(entries, clip=1.0, bits=32)) for i in range(40)))
    with pytest.raises(PeerMisbehaved) as caught:
        ClientSession(encode_offer(SessionOffer(giant)), 1, policy=TEST_POLICY)
    assert caught.value.violation in (Violation.OFFER_VECTOR_ABOVE_POLICY, Violation.OFFER_PARAMETERS_INVALID)


def forged_parameters(honest: SessionParameters, **changes: int) -> bytes:
    """Canonical bytes of parameters that no constructor accepts."""
    value = {
        "version": honest.version,
        "threshold": honest.threshold,
        "minimum_contributors": honest.minimum_contributors,
        "max_weight": honest.max_weight,
        **changes,
    }
    writer = Writer()
    writer.integer(value["version"]).integer(int(honest.suite)).text(honest.threat_model.value)
    writer.text(honest.topology.kind.value).integer(honest.topology.degree).data(honest.topology.permutation_seed)
    writer.integer(value["threshold"]).integer(value["minimum_contributors"]).integer(value["max_weight"])
    head = writer.finish()
    return head + honest.encode()[len(head) :]


def offer_of(parameters: bytes) -> bytes:
    """An offer of any bytes as parameters (protobuf field 1, at most 16383 bytes)."""
    length = len(parameters)
    return b"\x0a" + bytes([length & 0x7F | 0x80, length >> 7]) + parameters
