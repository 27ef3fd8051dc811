"""Made-up cohorts: inputs on access, dropouts in every round, and the plain sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import secagg
from secagg.cli.local.seeded import SeededNumbers
from secagg.cli.local.workload import VECTOR, Workload
from secagg.cli.output import rounds_of


def workload(*, dropout: float = 0.3, seed: int = 5, seeded: bool = True, **options: Any) -> Workload:
    choices: dict[str, Any] = {"clients": 20, "threat_model": "active", "max_dropout": dropout} | options
    spec = secagg.FixedPoint(40, clip=0.1, bits=16, aggregate="mean" if "max_weight" in options else "sum")
    parameters = secagg.SessionParameters.choose(vectors={VECTOR: spec}, **choices)
    return Workload.make(parameters, dropout, seed, seeded_protocol=seeded)


def test_inputs_are_made_again_alike_and_differ_between_clients() -> None:
    inputs = workload().inputs
    assert inputs[3][VECTOR].tolist() == inputs[3][VECTOR].tolist()
    assert inputs[3][VECTOR].tolist() != inputs[4][VECTOR].tolist()
    assert inputs[3][VECTOR].dtype == np.float32
    assert inputs[3][VECTOR].shape == (40,)


def test_inputs_know_their_cohort() -> None:
    inputs = workload().inputs
    assert (len(inputs), list(inputs), 19 in inputs, 20 in inputs) == (20, list(range(20)), True, False)
    with pytest.raises(KeyError):
        inputs[20]


def test_the_seed_decides_inputs_and_dropouts() -> None:
    first, again, other = workload(), workload(), workload(seed=6)
    assert first.dropouts == again.dropouts
    assert first.dropouts != other.dropouts
    assert first.inputs[0][VECTOR].tolist() != other.inputs[0][VECTOR].tolist()


@pytest.mark.parametrize(("dropout", "clients", "left"), [(0.3, 20, 6), (0.29, 100, 29), (0.0, 20, 0), (0.099, 20, 1)])
def test_dropouts_are_the_floor_of_the_fraction_over_all_rounds(dropout: float, clients: int, left: int) -> None:
    made = workload(dropout=dropout, clients=clients)
    numbers = [len(chosen) for chosen in made.dropouts.values()]
    assert list(made.dropouts) == list(rounds_of(made.parameters.threat_model))
    assert len({client for chosen in made.dropouts.values() for client in chosen}) == sum(numbers) == left
    assert max(numbers) - min(numbers) <= 1


def test_weights_span_their_range() -> None:
    weights = workload(clients=200, dropout=0.1, max_weight=5).weights
    assert sorted(set(weights.tolist())) == [1, 2, 3, 4, 5]
    assert set(workload().weights.tolist()) == {1}


def test_the_plain_sum_is_that_of_the_clipped_inputs() -> None:
    made = workload()
    expected = sum(3.0 * np.clip(made.inputs[client][VECTOR].astype(np.float64), -0.1, 0.1) for client in (1, 4))
    actual = made.inputs.clipped_sum((1, 4), np.full(20, 3))
    assert np.array_equal(actual, np.asarray(expected))


def test_the_plain_sum_clips_what_the_session_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    # The float32 next to 0.1 is above it, and a session with clip=0.1 clips it.
    monkeypatch.setattr(SeededNumbers, "interval", lambda *_: np.full(40, 0.1, dtype=np.float32))
    made = workload()
    assert float(made.inputs[1][VECTOR][0]) > 0.1
    assert made.inputs.clipped_sum((1,), np.ones(20, dtype=np.int64)).tolist() == [0.1] * 40


def test_a_seeded_run_is_repeated_to_the_bit_and_another_run_has_other_keys() -> None:
    made = workload()
    first, again, other = (made.run(title, measure_memory=False) for title in ("one", "one", "two"))
    assert first.vectors[VECTOR].tolist() == again.vectors[VECTOR].tolist()
    # Stochastic rounding draws from the protocol's randomness.
    assert first.vectors[VECTOR].tolist() != other.vectors[VECTOR].tolist()


def test_an_unseeded_run_takes_the_operating_systems_randomness() -> None:
    made = workload(seeded=False)
    first, again = (made.run("one", measure_memory=False) for _ in range(2))
    assert first.contributors == again.contributors
    assert first.vectors[VECTOR].tolist() != again.vectors[VECTOR].tolist()


def sparse_sessions(monkeypatch: pytest.MonkeyPatch, *, seeded: bool) -> list[secagg.SessionParameters]:
    """Run two workloads that were made apart, and return the sessions that they offered."""
    offered: list[secagg.SessionParameters] = []
    honest = secagg.simulate

    def record(parameters: secagg.SessionParameters, *arguments: Any, **options: Any) -> secagg.SimulationResult:
        offered.append(parameters)
        return honest(parameters, *arguments, **options)

    monkeypatch.setattr(secagg, "simulate", record)
    for _ in range(2):
        made = workload(clients=40, threat_model="semi-honest", topology="sparse", dropout=0.1, seeded=seeded)
        made.run("one", measure_memory=False)
    return offered


def test_a_seeded_sparse_run_has_a_seeded_ring_and_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = sparse_sessions(monkeypatch, seeded=True)
    assert first.topology.kind is secagg.TopologyKind.SPARSE
    assert first.encode() == again.encode()


def test_an_unseeded_sparse_run_has_a_ring_and_nonce_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = sparse_sessions(monkeypatch, seeded=False)
    assert first.topology.permutation_seed != again.topology.permutation_seed
    assert first.nonce != again.nonce


@pytest.mark.parametrize("options", [{}, {"max_weight": 9}], ids=["sum", "weighted mean"])
def test_the_largest_error_is_within_a_quantization_step_for_each_unit_of_weight(options: dict[str, Any]) -> None:
    made = workload(**options)
    result = made.run("session", measure_memory=False)
    total = result.total_weight or len(result.contributors)
    assert 0 < made.largest_error(result) < total * 0.1 / 32767
    assert made.dropouts[secagg.Round.MASKED_INPUT][0] not in result.contributors


def test_a_workload_needs_fixed_point_numbers() -> None:
    parameters = secagg.SessionParameters.choose(clients=4, vectors={VECTOR: secagg.Integers(0, 9, 3)})
    with pytest.raises(secagg.ParameterError, match="Integers"):
        Workload.make(parameters, 0.0, 1, seeded_protocol=True)
