"""Cells under a privacy plan: each cell's mean has the noise of a sum of its size, and every node pays for its draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from flwr.serverapp.strategy import FedAvg, FedMedian

import secagg
from secagg.integrations.flower import Cells, OwnCells, PrivacySettings, SecAgg, SecAggConfig
from secagg.integrations.flower.cells import cells_of_run, run_cells
from secagg.privacy import MemoryBudget
from secagg.robust import Partition, RuleJudge
from tests.integrations.flower.support import MODEL, Cohort, cohort, instructions, model, refusal, stage
from tests.integrations.flower.test_cells import SEED

CLIENTS = 11
CELLS = Cells(size=5, seed=SEED)
PRIVACY = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=3, clients=6)


def group_of(epsilon: float = 100.0) -> tuple[Cohort, dict[int, MemoryBudget]]:
    held = {client: MemoryBudget(epsilon, 1e-3) for client in range(1, CLIENTS + 1)}
    return cohort(CLIENTS, active=False, budgets=held.__getitem__, cells=OwnCells()), held


def settings(**changes: Any) -> SecAggConfig:
    return SecAggConfig(**{"cells": CELLS, "privacy": PRIVACY, **changes})


def test_every_cell_has_the_noise_that_was_promised() -> None:
    group, held = group_of()
    cells = cells_of_run(settings())
    outcome = run_cells(group.grid, instructions(group.grid.apps), settings(), cells, clock=group.clock)
    assert [len(cell) for cell in outcome.partition.cells] == [6, 5]
    assert outcome.plan is not None
    assert outcome.plan.minimum_contributors == 5
    assert outcome.sums.cells == (0, 1)
    assert outcome.sums.rows.shape == (2, 9)
    for cell, row in zip(outcome.sums.cells, outcome.sums.rows, strict=True):
        members = outcome.partition.cells[cell]
        mean = np.mean([group.trainers[client].difference for client in members])
        sigma = math.sqrt(len(members) * outcome.plan.variance16 / 16) / outcome.plan.grid / len(members)
        # Clipped to norm 1 nothing is; the noise is 0 with probability far below 2^-99.
        assert np.abs(row - mean).max() < 12 * sigma
        assert len(set(row.tolist())) > 1
        moved = [outcome.arrays[cell][key].numpy() - MODEL[key] for key in MODEL]
        np.testing.assert_allclose(np.concatenate([part.ravel() for part in moved]), row, atol=1e-6)
    assert [budget.report().draws for budget in held.values()] == [1] * CLIENTS
    assert outcome.metrics == {0: {}, 1: {}}


def test_a_strategy_and_a_judge_work_on_noisy_means() -> None:
    for inner, judge in (
        (FedMedian(fraction_evaluate=0.0), None),
        (FedAvg(fraction_evaluate=0.0), RuleJudge("median")),
    ):
        held = {client: MemoryBudget(100.0, 1e-3) for client in range(1, 16)}
        group = cohort(15, active=False, budgets=held.__getitem__)
        private = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=3, clients=5)
        wrapped = SecAgg(inner, settings(privacy=private), judge=judge, clock=group.clock)
        arrays = wrapped.start(grid=group.grid, initial_arrays=model(), num_rounds=2).arrays
        assert [outcome.sums.cells for outcome in wrapped.cell_outcomes] == [(0, 1, 2)] * 2
        assert float(np.abs(arrays["bias"].numpy()).max()) < 2
        assert [budget.report().draws for budget in held.values()] == [2] * 15
        assert not wrapped.cell_outcomes[0].releases


def test_nodes_refuse_a_plan_that_their_budget_has_no_room_for() -> None:
    group, held = group_of(epsilon=1.0)
    with pytest.raises(secagg.SessionAbortedError, match="none of 2 cells has a sum"):
        run_cells(group.grid, instructions(group.grid.apps), settings(), cells_of_run(settings()), clock=group.clock)
    replies = [reply for _, reply in group.grid.replies if reply.has_error()]
    assert len(replies) == CLIENTS
    assert "budget of this client's data has no room" in refusal(replies[0])
    assert [budget.report().draws for budget in held.values()] == [0] * CLIENTS
    assert not any(trainer.trained for trainer in group.trainers.values())


def test_a_plan_for_smaller_cells_is_refused_and_so_is_what_has_no_part_in_one() -> None:
    group, _ = group_of()
    small = settings(privacy=PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=3, clients=5))
    with pytest.raises(secagg.ParameterError, match=r"a cell has 6 clients, and the privacy plan is for 5; give Priv"):
        run_cells(group.grid, instructions(group.grid.apps), small, cells_of_run(small), clock=group.clock)
    for beside in ({"norm": 1.0}, {"alarms": True}):
        with pytest.raises(secagg.ParameterError, match="have no part in a privacy plan"):
            settings(cells=Cells(size=5, **beside))  # type: ignore[arg-type]
    assert settings(max_corrupt=0.2).max_corrupt == 0.2
    with pytest.raises(secagg.ParameterError, match=r"max_corrupt=0\.2 is of whole cohorts"):
        SecAggConfig(cells=CELLS, max_corrupt=0.2)


def test_every_try_is_paid_for_whether_its_sum_was_released_or_not() -> None:
    """Noise of many tries averages away, and a server may say of any of them that it failed."""
    group, held = group_of()
    cells = cells_of_run(settings())
    lost = Partition.draw(range(1, CLIENTS + 1), size=5, seed=SEED).cells[0]

    def change(node: int, message: Message) -> Message | None:
        return None if node - 100 in lost and stage(message) == "unmasking" else message

    group.grid.on_request = change
    for tried in (1, 2):
        outcome = run_cells(group.grid, instructions(group.grid.apps), settings(), cells, clock=group.clock)
        assert tuple(outcome.missing) == (0,)
        assert [budget.report().draws for budget in held.values()] == [tried] * CLIENTS
