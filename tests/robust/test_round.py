"""A round over cells: the session of each cell, and which sums become rows."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import secagg
from secagg import FixedPoint, Integers, SessionResult, SuiteId, ThreatModel, TopologyKind
from secagg.errors import InternalError, ParameterError
from secagg.hosting.results import read_result, write_result
from secagg.robust import ALARM_SLOTS, ALARM_VECTOR, CellRound, Partition, alarm_spec, round_context
from tests.robust.lying import play

MODEL = hashlib.sha256(b"a model").digest()
PLAN = hashlib.sha256(b"a plan").digest()
PARTITION = Partition.draw(range(100, 123), size=5, seed=bytes(range(32)))  # cells of 6, 6, 6 and 5
VECTORS = {
    "first": FixedPoint(shape=(2, 3), clip=1.0, bits=16, rounding="nearest", aggregate="mean"),
    "counts": Integers(0, 9, 2),
    "total": FixedPoint(2, clip=1.0),
    "second": FixedPoint(1, clip=0.5, bits=8, rounding="nearest", aggregate="mean"),
}


def plan_of(**changes: Any) -> CellRound:
    return CellRound(**{"partition": PARTITION, "vectors": VECTORS, "model": MODEL, "number": 7, **changes})


def result_of(cell: int, value: float = 0.0, **changes: Any) -> SessionResult:
    vectors = {
        "first": np.full((2, 3), value),
        "counts": np.ones(2, dtype=np.int64),
        "total": np.zeros(2),
        "second": np.full(1, -value),
        ALARM_VECTOR: np.zeros(ALARM_SLOTS, dtype=np.int64),
    }
    given = {
        "vectors": vectors,
        "contributors": PARTITION.cells[cell],
        "total_weight": None,
        "session_vector": np.zeros(0, dtype=np.uint64),
    }
    return SessionResult(**{**given, **changes})


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
@pytest.mark.parametrize("cell", range(4))
def test_the_session_of_a_cell_is_all_of_it_or_nothing(threat_model: str, cell: int) -> None:
    plan = plan_of(threat_model=threat_model, alarms=True, suite=SuiteId.X25519_AEGIS128X2)
    parameters = plan.parameters(cell)
    size = len(PARTITION.cells[cell])
    assert parameters.cohort == PARTITION.cells[cell]
    assert parameters.context == round_context(MODEL, 7, PARTITION, cell)
    assert parameters.topology.kind is TopologyKind.COMPLETE
    assert (parameters.threshold, parameters.minimum_contributors) == (size - 1, size)
    assert parameters.may_leave == 0
    assert (parameters.threat_model, parameters.max_weight) == (ThreatModel(threat_model), 1)
    assert parameters.suite is SuiteId.X25519_AEGIS128X2
    assert dict(parameters.vectors) == plan.specs(cell) == {**VECTORS, ALARM_VECTOR: alarm_spec(size)}
    again = plan.parameters(cell)
    assert again.nonce != parameters.nonce
    assert dataclasses.replace(again, nonce=parameters.nonce) == parameters


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_the_smallest_cells_have_sessions(size: int, threat_model: str) -> None:
    spec = FixedPoint(3, clip=1.0, rounding="nearest", aggregate="mean")
    partition = Partition.draw(size, size=size, seed=bytes(32))
    plan = CellRound(partition, {"w": spec}, MODEL, 0, threat_model=threat_model)
    if (size, threat_model) == (2, "active"):
        with pytest.raises(ParameterError, match="threshold"):
            plan.parameters(0)
        return
    result = play(plan.parameters(0), {client: {"w": np.full(3, 0.5)} for client in range(size)})
    assert plan.collect({0: result}).rows.round(4).tolist() == [[0.5] * 3]


def test_contexts_differ_by_cell_round_model_and_plan() -> None:
    plans = [plan_of(), plan_of(number=8), plan_of(model=PLAN), plan_of(vectors={"n": Integers(0, 1, 1)}, plan=PLAN)]
    contexts = [plan.parameters(cell).context for plan in plans for cell in range(4)]
    assert len(set(contexts)) == 16
    assert contexts[-1].startswith(PLAN)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"partition": "cells"}, "partition is of type str; give a Partition"),
        ({"vectors": [("w", VECTORS["first"])]}, "vectors is of type list; give names and specifications"),
        ({"vectors": {}}, "a session needs at least one vector"),
        ({"vectors": {"n": Integers(0, 1, 1)}}, "no vector is a mean, and rules judge the means of cells; give one"),
        ({"vectors": {"w": FixedPoint(1, clip=1.0)}}, "no vector is a mean"),
        ({"vectors": {**VECTORS, ALARM_VECTOR: Integers(0, 1, 1)}}, "a vector is named 'alarms', and alarms travel in"),
        ({"model": b"short"}, "model is 5 bytes; give 32 bytes"),
        ({"number": -1}, "number=-1 is no whole number"),
        ({"plan": b"short"}, "plan is 5 bytes; give 32 bytes"),
        ({"plan": PLAN, "alarms": True}, "alarms=True and a plan do not go together, because nobody adds"),
    ],
)
def test_a_round_that_cannot_be_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        plan_of(**changes)


@pytest.mark.parametrize("cell", [-1, 4, 0.0, "0", True])
def test_a_cell_that_is_none_is_refused(cell: Any) -> None:
    plan = plan_of()
    for refused in (lambda: plan.parameters(cell), lambda: plan.specs(cell)):
        with pytest.raises(ParameterError, match=r"is none of the cells 0 \.\. 3"):
            refused()


def test_means_become_rows_in_session_order() -> None:
    sums = plan_of().collect({3: result_of(3, 0.25), 0: result_of(0, 0.5)})
    assert sums.rows.dtype == np.float64
    assert sums.rows.tolist() == [[0.5] * 6 + [-0.5], [0.25] * 6 + [-0.25]]
    assert (sums.cells, sums.missing, sums.rejected, sums.alarms) == ((0, 3), (1, 2), {}, {})


def test_no_result_at_all_is_no_row() -> None:
    sums = plan_of().collect({})
    assert sums.rows.shape == (0, 7)
    assert (sums.cells, sums.missing) == ((), (0, 1, 2, 3))


def test_a_sum_that_proves_a_lie_has_no_row_and_says_why() -> None:
    results = {
        0: result_of(0, 0.1),
        1: result_of(1, 0.9),
        2: result_of(2, 0.1, impossible={"counts": 1}),
        3: result_of(3, 0.2),
    }
    sums = plan_of(alarms=True).collect(results, norm_bound=1.0)
    assert sums.cells == (0, 3)
    assert sums.rows[:, 0].tolist() == [0.1, 0.2]
    assert sums.rejected == {
        1: "the mean has a norm of 2.381, and honest clients reach 1.004 at most",
        2: "1 fields of 'counts' hold more than the inputs of 6 honest clients add up to",
    }
    assert sums.alarms == dict.fromkeys(range(4), 0.0)
    assert plan_of().collect(results).cells == (0, 1, 3)


def without(name: str) -> dict[str, Any]:
    return {other: vector for other, vector in result_of(0).vectors.items() if other != name}


@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (without("first"), r"vector 'first' of cell 0 is missing, where the session has \(2, 3\)"),
        (
            {**without("first"), "first": np.zeros(6)},
            r"'first' of cell 0 has shape \(6,\), where the session has \(2, 3\)",
        ),
        ({**without("second"), "second": np.array([np.nan])}, "the mean of cell 0 is not finite"),
        ({**without("second"), "second": np.array([np.inf])}, "the mean of cell 0 is not finite"),
        (without(ALARM_VECTOR), "vector 'alarms' of cell 0 is missing"),
    ],
)
def test_what_decoding_cannot_give_is_a_defect(vectors: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InternalError, match=sentence):
        plan_of(alarms=True).collect({0: result_of(0, vectors=vectors)})


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        (lambda: {4: result_of(0)}, r"results name cell 4, and there are cells 0 \.\. 3"),
        (lambda: {"0": result_of(0)}, r"results name cell '0', and there are cells 0 \.\. 3"),
        (lambda: {0: result_of(1)}, "the result of cell 0 is not over its 6 clients"),
        (
            lambda: {0: result_of(0, contributors=PARTITION.cells[0][1:])},
            "the result of cell 0 is not over its 6 clients",
        ),
    ],
)
def test_results_of_other_clients_are_refused(results: Callable[[], dict[Any, SessionResult]], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        plan_of().collect(results())


def test_a_bound_of_the_norm_that_is_none_is_refused() -> None:
    with pytest.raises(ParameterError, match="norm_bound=0 is no number"):
        plan_of().collect({}, norm_bound=0)


def test_results_of_simulations_and_of_files_are_taken_too() -> None:
    plan = plan_of()
    inputs = {
        client: {
            "first": np.full((2, 3), 0.5),
            "counts": np.ones(2, dtype=np.int64),
            "total": np.zeros(2),
            "second": np.zeros(1),
        }
        for client in PARTITION.cells[3]
    }
    simulated = secagg.simulate(plan.parameters(3), inputs)
    pieces: list[bytes] = []
    write_result(result_of(0, 0.5, impossible={"first": 2}), lambda piece: pieces.append(bytes(piece)))
    sums = plan.collect({3: simulated, 0: read_result(b"".join(pieces))})
    assert sums.cells == (3,)
    assert sums.rows[0].tolist() == pytest.approx([0.5] * 6 + [0.0], abs=1e-4)
    assert "2 fields of 'first'" in sums.rejected[0]


def test_under_a_privacy_plan_there_are_no_rows_and_lies_are_found_all_the_same() -> None:
    plan = CellRound(PARTITION, {"update": Integers(-9, 9, 4)}, MODEL, 7, plan=PLAN)
    vectors = {"update": np.zeros(4, dtype=np.int64)}
    results = {0: result_of(0, vectors=vectors), 1: result_of(1, vectors=vectors, impossible={"update": 4})}
    sums = plan.collect(results)
    assert sums.rows.shape == (1, 0)
    assert (sums.cells, list(sums.rejected)) == ((0,), [1])
