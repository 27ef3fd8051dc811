"""The geometric median from secure weighted means: that it is one, when it stops, and what its sums tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import FixedPoint, Integers, ParameterError, ParticipationRefusedError, SessionParameters
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.protocol.messages import Round
from secagg.robust.rfa import STEPS, WEIGHT, RfaClient, RfaServer, step_context
from secagg.session.ledger import MemoryLedger
from secagg.session.simulation import SimulationResult, simulate
from secagg.testing.randomness import DeterministicRandomSource

N: Final = 12
D: Final = 30
CONTEXT: Final = b"a model and a round"
VECTORS: Final = {
    "bias": FixedPoint(4, clip=1.0, bits=20, aggregate="mean"),
    "kernel": FixedPoint(shape=(13, 2), clip=1.0, bits=20, aggregate="mean"),
}
Named = Mapping[str, NDArray[np.float64]]


class WholeShares:
    """Every client's share of its weight is all of it: the algorithm without what hides it."""

    def secret(self, length: int) -> SecretBytes:
        return SecretBytes(bytes([255]) * length)


@dataclass(frozen=True)
class Played:
    """What a server saw of a run."""

    server: RfaServer
    results: list[SimulationResult]
    points: list[NDArray[np.float64]]


def named(flat: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {"bias": flat[:4], "kernel": flat[4:].reshape(13, 2)}


def flat(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(arrays[name], dtype=np.float64).reshape(-1) for name in ("bias", "kernel")])


def updates(seed: int = 1, wrong: int = 3, far: float = 6.0) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    rows = 0.05 + generator.normal(size=(N, D)) * 0.02
    rows[:wrong] = -0.05 * far + generator.normal(size=(wrong, D)) * 0.02
    return rows


def server_of(rows: NDArray[np.float64], *, nu: float = 0.1, **changed: Any) -> RfaServer:
    return RfaServer(len(rows), VECTORS, nu=nu, context=CONTEXT, **changed)


def client_of(client: int, row: NDArray[np.float64], source: RandomSource) -> RfaClient:
    return RfaClient(client, named(row), context=CONTEXT, randomness=source, ledger=MemoryLedger())


def run(
    rows: NDArray[np.float64],
    server: RfaServer,
    source: Mapping[int, RandomSource] | RandomSource,
    leaving: Mapping[int, list[int]] | None = None,
    lying: Mapping[int, int] | None = None,
) -> Played:
    """Play all steps as real sessions; `leaving` is step to clients, `lying` client to the weight it takes instead."""
    clients = {
        client: client_of(client, row, source[client] if isinstance(source, Mapping) else source)
        for client, row in enumerate(rows)
    }
    played = Played(server, [], [])
    while (parameters := server.parameters) is not None:
        cohort = parameters.cohort
        weights = {
            client: clients[client].admit(parameters, step=server.step, nu=server.nu, point=server.point)
            for client in cohort
        } | {client: weight for client, weight in (lying or {}).items() if client in cohort}
        inputs = {client: named(rows[client]) for client in cohort}
        dropouts: dict[str | Round, list[int]] = {"masked_input": (leaving or {}).get(server.step, [])}
        result = simulate(parameters, inputs, weights=weights, dropouts=dropouts)
        server.collect(result)
        played.results.append(result)
        played.points.append(flat(server.point))
    return played


def weiszfeld(rows: NDArray[np.float64], nu: float, steps: int) -> NDArray[np.float64]:
    point = np.zeros(rows.shape[1])
    for _ in range(steps):
        weights = 1 / np.maximum(np.linalg.norm(rows - point, axis=1), nu)
        point = weights @ rows / weights.sum()
    return np.asarray(point)


def test_its_steps_are_those_of_weiszfeld_in_clear() -> None:
    rows = updates()
    played = run(rows, server_of(rows, steps=8), WholeShares())
    for step, point in enumerate(played.points, start=1):
        assert np.abs(point - weiszfeld(rows, 0.1, step)).max() < 1e-3
    assert np.abs(played.points[-1] - weiszfeld(rows, 0.1, 500)).max() < 1e-3
    assert played.server.step == 8


def test_wrong_data_hardly_move_it_and_secret_shares_cost_little() -> None:
    rows = updates()
    sources = {client: DeterministicRandomSource(client) for client in range(N)}
    played = run(rows, server_of(rows), sources)
    honest, spread = rows[3:].mean(axis=0), np.linalg.norm(rows[3:] - rows[3:].mean(axis=0), axis=1).mean()
    assert len(played.results) == STEPS
    assert np.linalg.norm(played.points[-1] - honest) < 2 * spread
    assert np.linalg.norm(rows.mean(axis=0) - honest) > 4 * spread
    assert np.linalg.norm(played.points[-1] - weiszfeld(rows, 0.1, 500)) < spread


def test_a_client_that_lies_about_its_weight_replaces_the_result() -> None:
    rows = updates(wrong=1, far=15)
    played = run(rows, server_of(rows, nu=0.01), WholeShares(), lying={0: WEIGHT})
    honest = rows[1:].mean(axis=0)
    assert np.linalg.norm(played.points[-1] - rows[0]) < np.linalg.norm(played.points[-1] - honest)


def test_who_left_before_the_first_sum_is_not_asked_again() -> None:
    rows = updates()
    played = run(rows, server_of(rows), WholeShares(), leaving={0: [11]})
    assert [len(result.contributors) for result in played.results] == [N - 1] * STEPS
    assert np.abs(played.points[-1] - weiszfeld(rows[:11], 0.1, STEPS)).max() < 1e-3


def test_no_later_sum_lacks_anybody() -> None:
    rows = updates()
    server = server_of(rows)
    first = server.parameters
    assert first is not None
    server.collect(simulate(first, [named(row) for row in rows], weights=[WEIGHT] * N))
    later = server.parameters
    assert later is not None
    assert later.minimum_contributors == later.clients == N
    assert later.context == step_context(CONTEXT, 1, 0.1, server.point) != first.context


def test_a_result_without_a_contributor_ends_the_run_with_the_point_before() -> None:
    rows = updates()
    server = server_of(rows)
    first = server.parameters
    assert first is not None
    whole = simulate(first, [named(row) for row in rows], weights=[WEIGHT] * N)
    server.collect(whole)
    before = flat(server.point)
    fewer = simulate(
        SessionParameters.choose(clients=N - 1, vectors=VECTORS, max_weight=WEIGHT),
        [named(row) for row in rows[:-1]],
        weights=[WEIGHT] * (N - 1),
    )
    with pytest.raises(ParameterError, match="11 contributors, and those before 12: its mean would give away"):
        server.collect(fewer)
    assert server.parameters is None
    np.testing.assert_array_equal(flat(server.point), before)
    with pytest.raises(ParameterError, match="takes no further result"):
        server.collect(whole)


def test_a_session_without_result_ends_the_run() -> None:
    server = server_of(updates())
    server.stop()
    assert server.parameters is None
    assert not flat(server.point).any()


def difference(played: Played) -> NDArray[np.float64]:
    """What two steps of one cohort tell a server: their sums, one less the other."""
    one, two = (
        flat({name: array * result.total_weight for name, array in result.vectors.items()})
        for result in played.results[:2]
    )
    return two - one


def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(abs(one @ other) / (np.linalg.norm(one) * np.linalg.norm(other)))


def test_secret_shares_hide_whose_weight_changed() -> None:
    # All are within nu of both points but one, so that only its weight changes: the difference is its update.
    rows = np.random.default_rng(5).normal(size=(N, D)) * 0.02
    rows[0] *= 1.5
    bare = run(rows, server_of(rows, nu=0.14, steps=2), WholeShares())
    assert cosine(difference(bare), rows[0]) > 0.999
    seen = []
    for seed in range(8):
        sources = {client: DeterministicRandomSource(100 * seed + client) for client in range(N)}
        seen.append(cosine(difference(run(rows, server_of(rows, nu=0.14, steps=2), sources)), rows[0]))
    # About as much as any sum of twelve says of one of them.
    assert np.mean(seen) < 0.5
    assert max(seen) < 0.9


def test_a_server_that_guesses_an_update_learns_it() -> None:
    # What is not promised: here the server does not follow the protocol, and starts near one client's update.
    rows = np.random.default_rng(6).normal(size=(N, D)) * 0.1
    guess = rows[4] + np.random.default_rng(7).normal(size=D) * 1e-4
    sources = {client: DeterministicRandomSource(client) for client in range(N)}
    played = run(rows, server_of(rows, nu=1e-3, steps=1, start=named(guess)), sources)
    assert cosine(played.points[0], rows[4]) > 0.99


def offer(step: int = 0, **changed: Any) -> tuple[SessionParameters, dict[str, Any]]:
    point = named(np.zeros(D))
    said: dict[str, Any] = {"step": step, "nu": 0.1, "point": point}
    terms: dict[str, Any] = {
        "clients": N,
        "vectors": VECTORS,
        "max_weight": WEIGHT,
        "context": step_context(CONTEXT, step, 0.1, point),
    }
    if step:
        terms |= {"max_dropout": 0.0, "minimum_contributors": N}
    return SessionParameters.choose(**(terms | changed)), said


def test_a_client_takes_part_in_the_steps_of_one_run_in_their_order() -> None:
    client = client_of(0, updates()[0], WholeShares())
    for step in range(3):
        parameters, said = offer(step)
        assert 1 <= client.admit(parameters, **said) <= WEIGHT
        with pytest.raises(ParticipationRefusedError, match="does not follow"):
            client.admit(parameters, **said)
    parameters, said = offer(4)
    with pytest.raises(ParticipationRefusedError, match="step 4 does not follow step 2"):
        client.admit(parameters, **said)


@pytest.mark.parametrize(
    ("step", "changed", "reason"),
    [
        (0, {"context": b"other"}, "context is not that of step 0"),
        (0, {"max_weight": 999}, "with weights up to 1000"),
        (0, {"threat_model": "active"}, "semi-honest"),
        (1, {"minimum_contributors": N - 1}, "11 of 12 clients would do"),
        (1, {"clients": N + 1, "minimum_contributors": N + 1}, "not for all of the contributors"),
    ],
)
def test_a_client_refuses_what_is_no_step(step: int, changed: dict[str, Any], reason: str) -> None:
    client = client_of(0, updates()[0], WholeShares())
    for earlier in range(step):
        parameters, said = offer(earlier)
        client.admit(parameters, **said)
    parameters, said = offer(step, **changed)
    with pytest.raises(ParticipationRefusedError, match=reason):
        client.admit(parameters, **said)


def test_a_restarted_client_does_not_answer_a_step_again() -> None:
    ledger, row = MemoryLedger(), named(updates()[0])
    first, again = (RfaClient(0, row, context=CONTEXT, randomness=WholeShares(), ledger=ledger) for _ in range(2))
    parameters, said = offer()
    first.admit(parameters, **said)
    with pytest.raises(ParticipationRefusedError, match="answered before, in another session"):
        again.admit(parameters.renew(), **said)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e308])
def test_data_that_are_not_numbers_decide_nothing_but_the_weight(value: float) -> None:
    row = np.zeros(D)
    row[3] = value
    parameters, said = offer()
    assert client_of(0, row, WholeShares()).admit(parameters, **said) == 1
    assert client_of(0, np.zeros(D), WholeShares()).admit(parameters, **said) == WEIGHT


def test_a_share_is_from_a_half_to_all() -> None:
    parameters, said = offer()
    weights = [
        client_of(0, np.zeros(D), DeterministicRandomSource(seed)).admit(parameters, **said) for seed in range(60)
    ]
    assert WEIGHT / 2 <= min(weights) < 0.6 * WEIGHT
    assert 0.9 * WEIGHT < max(weights) <= WEIGHT


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"nu": 0}, "nu=0 is no distance"),
        ({"nu": np.nan}, "nu=nan is no distance"),
        ({"steps": 0}, "steps=0 is no number"),
        ({"start": {"bias": np.zeros(4)}}, "the point has vectors"),
        ({"start": named(np.full(D, np.nan))}, "'bias' of the point has shape"),
        ({"threat_model": "active"}, "RFA has no active model: .* use cells"),
    ],
)
def test_settings_that_no_run_has_are_refused(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        RfaServer(N, VECTORS, **({"nu": 0.1} | changed))


def test_only_means_have_a_median() -> None:
    for odd in (Integers(0, 1, length=3), FixedPoint(3, clip=1.0)):
        with pytest.raises(ParameterError, match="'count' is no mean"):
            RfaServer(N, {**VECTORS, "count": odd}, nu=0.1)
