"""A judge of ours makes one model of the cells' means, and the strategy gets that as its one reply."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import FedAvg, FedAvgM, Strategy

import secagg
from secagg.integrations.flower import Cells, SecAgg, SecAggConfig
from secagg.robust import CellSiren, Partition, RuleJudge
from tests.integrations.flower.support import MODEL, Cohort, model
from tests.integrations.flower.test_cells import SEED, config, in_cells

CLIENTS = 20
PARTITION = Partition.draw(range(1, CLIENTS + 1), size=4, seed=SEED)
LIAR = PARTITION.cells[2][1]


def group_with_a_liar(**options: Any) -> Cohort:
    return in_cells(CLIENTS, differences=lambda client: -0.9 if client == LIAR else 0.1, **options)


def root(arrays: ArrayRecord) -> float:
    """Better, the nearer the bias is to 1."""
    return float(np.clip(1 - np.abs(1 - arrays["bias"].numpy()).mean() / 2, 0, 1))


def start(judged: SecAgg, group: Cohort, rounds: int = 2, **options: Any) -> ArrayRecord:
    return judged.start(grid=group.grid, initial_arrays=model(), num_rounds=rounds, **options).arrays


def siren(**settings: Any) -> CellSiren:
    return CellSiren(cells=5, clients=CLIENTS, rounds=20, **settings)


@pytest.mark.parametrize("judge", [RuleJudge("krum", b=1), RuleJudge("multi_krum", b=1), siren(tolerance=0.01)])
def test_a_judge_leaves_the_dirty_cell_out(judge: Any) -> None:
    group = group_with_a_liar()
    judged = SecAgg(FedAvg(fraction_evaluate=0.0), config(group), judge=judge, root=root, clock=group.clock)
    arrays = start(judged, group)
    for key, base in MODEL.items():
        np.testing.assert_allclose(arrays[key].numpy(), base + 0.2, atol=2e-4)
        assert arrays[key].dtype == str(base.dtype)
    for outcome in judged.cell_outcomes:
        assert outcome.verdict is not None
        assert 2 not in outcome.verdict.kept
        assert 2 in outcome.verdict.rejected
    assert judged.cell_outcomes[0].verdict is not None
    assert len(judged.cell_outcomes[0].verdict.model) == 0
    assert judged.cell_outcomes[1].verdict is not None
    assert len(judged.cell_outcomes[1].verdict.model) == 9


def test_the_root_sees_models_in_the_models_own_shape() -> None:
    group = group_with_a_liar()
    seen: list[ArrayRecord] = []

    def looking(arrays: ArrayRecord) -> float:
        seen.append(arrays)
        return root(arrays)

    judged = SecAgg(FedAvg(fraction_evaluate=0.0), config(group, only=["bias"]), judge=siren(), root=looking)
    judged._clock = group.clock
    start(judged, group, rounds=1)
    assert len(seen) == 6
    for arrays in seen:
        assert {key: (array.numpy().shape, array.dtype) for key, array in arrays.items()} == {
            key: (array.shape, str(array.dtype)) for key, array in MODEL.items()
        }
        np.testing.assert_array_equal(arrays["weights"].numpy(), MODEL["weights"])


def test_metrics_are_the_mean_over_cells_that_are_kept() -> None:
    group = group_with_a_liar(metrics=("loss",))
    settings = config(group, metrics={"loss": 1.0})
    judged = SecAgg(FedAvg(fraction_evaluate=0.0), settings, judge=siren(tolerance=0.01), root=root, clock=group.clock)
    result = judged.start(grid=group.grid, initial_arrays=model(), num_rounds=1)
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(0.1, abs=1e-6)


def test_alarms_that_the_root_confirms_bring_the_model_back() -> None:
    """All cells go astray in the second round; in the third all clients say so."""
    group = in_cells(CLIENTS, differences=lambda client: 0.1, metrics=("secagg-alarm",))
    settings = config(group, cells={"alarms": True})
    judge = siren(tolerance=0.02)
    judged = SecAgg(FedAvg(fraction_evaluate=0.0), settings, judge=judge, root=root, clock=group.clock)
    first = start(judged, group, rounds=1)
    np.testing.assert_allclose(first["bias"].numpy(), 0.1, atol=1e-4)
    astray = ArrayRecord({key: Array(array.numpy() - np.asarray(0.5, array.dtype)) for key, array in first.items()})
    for trainer in group.trainers.values():
        trainer.metrics = {"secagg-alarm": 1}
    result = judged.start(grid=group.grid, initial_arrays=astray, num_rounds=1)
    verdict = judged.cell_outcomes[-1].verdict
    assert verdict is not None
    assert verdict.rolled_back
    assert verdict.alarms >= 10
    np.testing.assert_allclose(result.arrays["bias"].numpy(), MODEL["bias"], atol=1e-6)


def test_a_strategy_above_a_judge_takes_its_model_for_the_mean() -> None:
    group = group_with_a_liar()
    judged = SecAgg(
        FedAvgM(fraction_evaluate=0.0, server_momentum=0.5),
        config(group),
        judge=RuleJudge("median"),
        clock=group.clock,
    )
    arrays = start(judged, group)
    # 0.1, and then 0.1 with half of the one before.
    np.testing.assert_allclose(arrays["bias"].numpy(), 0.1 + 0.15, atol=5e-4)


@pytest.mark.parametrize(
    ("inner", "settings", "judge", "given", "sentence"),
    [
        (FedAvg(), {}, RuleJudge("median"), None, "a judge judges cells, and the config has none"),
        (FedAvg(), {}, None, root, "root= is what a judge evaluates models on, and there is none"),
        (
            flower.FedMedian(),
            {"cells": Cells(size=5)},
            siren(),
            root,
            "FedMedian judges cells itself",
        ),
        (FedAvg(), {"cells": Cells(size=5), "difference": False}, siren(), root, "difference=False sums models"),
    ],
)
def test_judges_that_have_nothing_to_judge(
    inner: Strategy, settings: dict[str, Any], judge: Any, given: Any, sentence: str
) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        SecAgg(inner, SecAggConfig(**settings), judge=judge, root=given)


def test_a_judge_that_evaluates_needs_a_root_and_arrays_that_it_can_weigh() -> None:
    group = group_with_a_liar()
    rootless = SecAgg(FedAvg(fraction_evaluate=0.0), config(group), judge=siren(), clock=group.clock)
    with pytest.raises(secagg.ParameterError, match="give evaluate"):
        start(rootless, group)
    counting = SecAgg(FedAvg(fraction_evaluate=0.0), config(group), judge=siren(), root=root, clock=group.clock)
    arrays = ArrayRecord({"bias": Array(np.zeros(3)), "batches": Array(np.zeros((), dtype=np.int64))})
    other = group_with_a_liar()
    with pytest.raises(secagg.ParameterError, match="'batches' is of whole numbers or truth values, which no judge"):
        counting.start(grid=other.grid, initial_arrays=arrays, num_rounds=1)
