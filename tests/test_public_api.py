"""The names and signatures that users rely on: a change here is a change for everyone."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import secagg
from tests.harness import ROUNDS

KEYWORD = inspect.Parameter.KEYWORD_ONLY
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
REQUIRED = inspect.Parameter.empty
DIGEST = b"digest of model 7"


def signature(function: Any) -> dict[str, tuple[Any, Any]]:
    """Parameter name to (kind, default), without `self`."""
    parameters = inspect.signature(function).parameters
    return {name: (entry.kind, entry.default) for name, entry in parameters.items() if name != "self"}


def test_the_names_of_the_package() -> None:
    """Names may be added; none of these goes."""
    firm = {
        "SessionParameters",
        "FixedPoint",
        "simulate",
        "ClientSession",
        "ServerSession",
        "ClientPolicy",
        "parameters",
    }
    errors = {
        "SecAggError",
        "ParameterError",
        "LocalProtocolError",
        "RemoteProtocolError",
        "DecodeError",
        "PeerMisbehaved",
        "SessionAbortedError",
        "InternalError",
        "Violation",
        "DropReason",
        "AbortReason",
    }
    others = {"Integers", "IdentityKey", "SuiteId", "ThreatModel", "SessionOffer", "SessionResult", "Round"}
    assert firm | errors | others <= set(secagg.__all__)


def test_all_is_sorted_complete_and_true() -> None:
    names = list(secagg.__all__)
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(secagg, name)] == []
    unlisted = {
        name
        for name, value in vars(secagg).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name not in names
    }
    assert unlisted == set()


def test_the_version_is_a_version() -> None:
    assert [part.isdigit() for part in secagg.__version__.split(".")] == [True, True, True]


def test_session_parameters_choose() -> None:
    parameters = signature(secagg.SessionParameters.choose)
    assert {kind for kind, _ in parameters.values()} == {KEYWORD}
    assert list(parameters)[:2] == ["clients", "vectors"]
    assert {name for name, (_, default) in parameters.items() if default is REQUIRED} == {"clients", "vectors"}
    defaults = {name: default for name, (_, default) in parameters.items()}
    assert {
        "max_dropout": 0.1,
        "max_corrupt": 0.1,
        "threat_model": "semi-honest",
        "context": b"",
        "max_weight": 1,
        "threshold": None,
        "minimum_contributors": None,
        "degree": None,
        "topology": None,
        "security_bits": None,
        "correctness_bits": 20,
    }.items() <= defaults.items()


def test_simulate() -> None:
    parameters = signature(secagg.simulate)
    assert parameters["parameters"] == parameters["inputs"] == (POSITIONAL, REQUIRED)
    assert list(parameters)[:2] == ["parameters", "inputs"]
    assert {kind for name, (kind, _) in parameters.items() if name not in ("parameters", "inputs")} == {KEYWORD}
    assert parameters["dropouts"] == parameters["weights"] == (KEYWORD, None)


def test_client_session() -> None:
    parameters = signature(secagg.ClientSession.__init__)
    assert list(parameters)[:2] == ["offer", "client_id"]
    assert parameters["offer"] == parameters["client_id"] == (POSITIONAL, REQUIRED)
    for name in ("identity", "roster", "policy"):
        assert parameters[name] == (KEYWORD, None)
    assert list(signature(secagg.ClientSession.receive)) == ["message"]
    assert signature(secagg.ClientSession.set_input) == {
        "arrays": (POSITIONAL, REQUIRED),
        "weight": (POSITIONAL, None),
        "strict": (KEYWORD, False),
    }


def test_server_session() -> None:
    parameters = signature(secagg.ServerSession.__init__)
    assert parameters.pop("parameters") == (POSITIONAL, REQUIRED)
    assert parameters["roster"] == (KEYWORD, None)
    assert [name for name, (kind, default) in parameters.items() if kind is not KEYWORD or default is REQUIRED] == []
    assert list(signature(secagg.ServerSession.receive)) == ["client_id", "message"]
    assert signature(secagg.ServerSession.close_round) == {}
    for name in ("ready", "result", "pending", "offer", "requests", "phase"):
        assert isinstance(inspect.getattr_static(secagg.ServerSession, name), property)


def test_vector_specifications() -> None:
    fixed = signature(secagg.FixedPoint.__init__)
    assert list(fixed)[:1] == ["length"]
    assert (fixed["clip"], fixed["bits"]) == ((KEYWORD, REQUIRED), (KEYWORD, 16))
    assert list(signature(secagg.Integers.__init__))[:3] == ["low", "high", "length"]


def test_client_policy() -> None:
    parameters = signature(secagg.ClientPolicy.__init__)
    firm = {
        "minimum_cohort",
        "minimum_threshold",
        "minimum_contributors",
        "threat_model",
        "max_corrupt",
        "max_dropout",
        "topologies",
        "suites",
        "maximum_words",
        "context",
    }
    assert firm <= set(parameters)
    assert [name for name, (_, default) in parameters.items() if default is REQUIRED] == []


def test_graph_parameters() -> None:
    assert signature(secagg.parameters.graph_parameters) == {
        "clients": (POSITIONAL, REQUIRED),
        "max_corrupt": (POSITIONAL, REQUIRED),
        "max_dropout": (POSITIONAL, REQUIRED),
        "threat_model": (POSITIONAL, REQUIRED),
        "security_bits": (POSITIONAL, 40),
        "correctness_bits": (POSITIONAL, 20),
    }
    answer = secagg.parameters.graph_parameters(1000, max_corrupt=0.05, max_dropout=0.1, threat_model="semi-honest")
    assert (type(answer), len(answer)) == (tuple, 2)


def small_inputs(clients: int, length: int) -> dict[int, dict[str, NDArray[np.float64]]]:
    generator = np.random.default_rng(7)
    return {client: {"weights": generator.uniform(-1.0, 1.0, length)} for client in range(clients)}


def test_the_first_snippet_of_the_documentation() -> None:
    params = secagg.SessionParameters.choose(
        clients=10,
        max_dropout=0.2,
        max_corrupt=0.1,
        threat_model="active",
        vectors={"weights": secagg.FixedPoint(length=100, clip=1.0, bits=16)},
        context=DIGEST,
    )
    inputs = small_inputs(10, 100)
    result = secagg.simulate(params, inputs, dropouts={"masked_input": [3, 7]})
    assert result.contributors == (0, 1, 2, 4, 5, 6, 8, 9)
    weights = result.vectors["weights"]
    expected = np.sum([inputs[client]["weights"] for client in result.contributors], axis=0)
    assert (weights.dtype.name, weights.shape) == ("float64", (100,))
    np.testing.assert_allclose(weights, expected, atol=8 * 2.0 / (2**16 - 2))
    assert result.report.exact is True
    rounds = set(result.report.client_cpu_ms)
    assert rounds == set(result.report.upload_bytes) == set(result.report.download_bytes) == set(ROUNDS)
    assert set(result.report.upload_bytes[secagg.Round.MASKED_INPUT]) == set(result.contributors)


def test_the_semi_honest_model_has_four_rounds_in_its_report() -> None:
    params = secagg.SessionParameters.choose(
        clients=5, vectors={"weights": secagg.FixedPoint(length=8, clip=1.0, bits=16)}, max_dropout=0.2
    )
    result = secagg.simulate(params, list(small_inputs(5, 8).values()))
    assert result.contributors == (0, 1, 2, 3, 4)
    assert set(ROUNDS) - set(result.report.client_cpu_ms) == {secagg.Round.CONSISTENCY_CHECK}


def test_the_second_snippet_of_the_documentation() -> None:
    """Sessions by hand, over bytes, with identities, a roster, a policy and weights."""
    clients = range(5)
    keys = {client: secagg.IdentityKey.generate() for client in clients}
    roster: Mapping[int, bytes] = {client: key.public for client, key in keys.items()}
    policy = secagg.ClientPolicy(minimum_cohort=5, threat_model=secagg.ThreatModel.ACTIVE, context=DIGEST)
    params = secagg.SessionParameters.choose(
        clients=5,
        threat_model="active",
        max_dropout=0.2,
        max_corrupt=0.0,
        vectors={"weights": secagg.FixedPoint(length=20, clip=1.0, bits=16, aggregate="mean")},
        max_weight=1000,
        context=DIGEST,
    )
    server = secagg.ServerSession(params, roster=roster)
    offer = server.offer
    sessions = {}
    for client_id, key in keys.items():
        client = secagg.ClientSession(offer, client_id=client_id, identity=key, roster=roster, policy=policy)
        sessions[client_id] = client
    inputs = small_inputs(5, 20)
    for client_id, client in sessions.items():
        client.set_input({"weights": inputs[client_id]["weights"]}, weight=600 + client_id)
    requests = server.requests
    closed = 0
    while requests:
        assert (server.ready, server.pending) == (False, frozenset(requests))
        for client_id, message in requests.items():
            outbound = sessions[client_id].receive(message)
            assert outbound is not None
            server.receive(client_id, outbound)
        assert (server.ready, server.pending) == (True, frozenset())
        requests = server.close_round()
        closed += 1
    result = server.result
    assert closed == len(ROUNDS)
    assert result.contributors == tuple(clients)
    assert result.total_weight == sum(600 + client for client in clients)
    mean = sum(inputs[client]["weights"] * (600 + client) for client in clients) / sum(
        600 + client for client in clients
    )
    np.testing.assert_allclose(result.vectors["weights"], mean, atol=2.0 / (2**16 - 2))
    assert {session.phase for session in sessions.values()} == {secagg.ClientPhase.COMPLETED}
    assert server.phase is secagg.ServerPhase.COMPLETED


def test_a_session_that_still_runs_has_no_result() -> None:
    params = secagg.SessionParameters.choose(
        clients=4, vectors={"weights": secagg.FixedPoint(length=8, clip=1.0, bits=16)}
    )
    with pytest.raises(secagg.LocalProtocolError, match="no result yet, its phase is 'collecting keys'; close its"):
        _ = secagg.ServerSession(params).result


def test_the_phases_of_the_architecture() -> None:
    assert [phase.name for phase in secagg.ClientPhase] == [
        "OFFERED",
        "ADVERTISE_KEYS",
        "SHARE_KEYS",
        "MASKED_INPUT",
        "DISCLOSURE",
        "CONSISTENCY_CHECK",
        "UNMASKING",
        "COMPLETED",
        "ABORTED",
    ]
    assert [phase.name for phase in secagg.ServerPhase] == [
        "COLLECTING_KEYS",
        "COLLECTING_SHARES",
        "COLLECTING_MASKED_INPUTS",
        "COLLECTING_DISCLOSURES",
        "COLLECTING_CONFIRMATIONS",
        "COLLECTING_UNMASKING_SHARES",
        "COMPLETED",
        "ABORTED",
    ]


def test_the_threat_models_and_suites() -> None:
    assert {model.value for model in secagg.ThreatModel} == {"semi-honest", "active"}
    assert {int(suite) for suite in secagg.SuiteId} == {0x0001, 0x0002, 0x0101, 0x0102}
    assert {kind.value for kind in secagg.TopologyKind} == {"complete", "sparse", "chosen"}
