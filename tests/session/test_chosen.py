"""Snapshots of sessions on the experimental chosen graph, and the simulation that plays them (Specification §9)."""

from __future__ import annotations

import numpy as np
import pytest

from secagg import (
    ClientPhase,
    ClientSession,
    Integers,
    ParameterError,
    PeerMisbehaved,
    Round,
    ServerSession,
    SessionParameters,
    simulate,
)
from secagg.testing.insiders import Insiders
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import CHOSEN_POLICY, Harness


def session(**options: object) -> Harness:
    given: dict[str, object] = {"clients": 8, "degree": 5, "threshold": 4, **options}
    return Harness(threat_model="active", topology="chosen", **given)  # type: ignore[arg-type]


def test_everybody_is_frozen_in_every_round() -> None:
    harness = session()
    while harness.round is not None:
        for client in harness.requests:
            harness.clients[client] = ClientSession.resume(
                harness.clients[client].snapshot(),
                ledger=harness.ledgers[client],
                identity=harness.identities[client],
                roster=harness.roster,
                randomness=DeterministicRandomSource(b"%d in %s" % (client, harness.round.value.encode())),
            )
        harness.server = ServerSession.resume(harness.server.snapshot(), roster=harness.roster)
        harness.play_round(silent={5} if harness.round is Round.MASKED_INPUT else ())
    harness.assert_exact(set(range(1, 9)) - {5})


def test_a_simulation_refuses_what_its_clients_would() -> None:
    """Fifty clients that draw four holders each, of whom three are enough: closed sets are likely."""
    parameters = SessionParameters.choose(
        clients=50,
        vectors={"v": Integers(0, 9, length=1)},
        threat_model="active",
        topology="chosen",
        degree=4,
        threshold=3,
    )
    assert "NOT withstand" in parameters.explanation
    with pytest.raises(PeerMisbehaved, match="threshold 3 and degree 4"):
        simulate(parameters, [{"v": np.zeros(1, dtype=np.int64)}] * 50)


@pytest.mark.parametrize("topology", ["complete", "chosen"])
def test_a_client_among_insiders_answers_every_round(topology: str) -> None:
    drawn = topology == "chosen"
    parameters = SessionParameters.choose(
        clients=20,
        vectors={"v": Integers(0, 9, length=1)},
        threat_model="active",
        topology=topology,
        degree=12 if drawn else None,
        threshold=9 if drawn else None,
    )
    insiders = Insiders(parameters, 7, DeterministicRandomSource(topology.encode()))
    harness = session() if topology == "chosen" else Harness()
    client = ClientSession(
        _offer(parameters, insiders),
        7,
        identity=insiders.identities[7],
        roster=insiders.roster,
        policy=CHOSEN_POLICY if topology == "chosen" else harness.policy,
        ledger=harness.ledgers.get(1),
    )
    client.set_input({"v": np.ones(1, dtype=np.int64)})
    answer = client.receive(insiders.advertise()) or b""
    client.receive(insiders.share(answer))
    client.receive(insiders.mask())
    client.receive(insiders.unmask(client.receive(insiders.confirm()) or b""))
    assert client.phase is ClientPhase.COMPLETED


def _offer(parameters: SessionParameters, insiders: Insiders) -> bytes:
    return ServerSession(parameters, roster=insiders.roster).offer


def test_insiders_are_of_active_sessions_and_hear_answers_in_their_order() -> None:
    quiet = SessionParameters.choose(clients=4, vectors={"v": Integers(0, 9, length=1)})
    with pytest.raises(ParameterError, match="insiders are of active sessions"):
        Insiders(quiet, 1, DeterministicRandomSource(1))
    parameters = session().parameters
    insiders = Insiders(parameters, 1, DeterministicRandomSource(1))
    harness = session().run_to(Round.SHARE_KEYS)
    with pytest.raises(ParameterError, match="no advertisement"):
        insiders.share(harness.ask(1) or b"")
