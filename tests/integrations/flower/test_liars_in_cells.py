"""A node that changes its words after they were encoded owns a session, and in cells its own cell and nothing else."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, FedMedian, Strategy

import secagg
from secagg.encoding.layout import Layout
from secagg.integrations import contribution
from secagg.integrations.flower import Cells, CellsOutcome, OwnCells, SecAgg, SecAggConfig
from secagg.integrations.flower.cells import cells_of_run, run_cells
from tests.integrations.flower.support import Cohort, cohort, instructions, model
from tests.integrations.flower.test_cells import SEED
from tests.robust.lying import Lie, adds, garbage, mean_becomes

CLIENTS = 15
LIAR = 7
CONFIG = SecAggConfig(cells=Cells(size=5, seed=SEED))
NAME = "arrays/bias"


def lying(app: ClientApp, lie: Lie) -> Any:
    """The same node, but for its words."""

    def contribute(session: secagg.ClientSession, *given: Any, **options: Any) -> None:
        contribution.contribute(session, *given, **options)
        encoded = session._input
        assert encoded is not None
        parameters = session.parameters
        lie(Layout.build(parameters.vectors, parameters.clients, parameters.max_weight), encoded.words)

    def answer(message: Message, context: Context) -> Message:
        with patch("secagg.integrations.flower.step.contribute", contribute):
            return app(message, context)

    return answer


def group_with(lie: Lie | None) -> Cohort:
    """All but nobody send a difference of 0, so that a liar who knows that sets the mean to what it likes."""
    group = cohort(CLIENTS, active=False, differences=lambda client: 0.0, cells=OwnCells())
    if lie is not None:
        liar = group.grid.apps[100 + LIAR]
        group.grid.apps = {**group.grid.apps, 100 + LIAR: lying(liar, lie)}
    return group


def played(lie: Lie | None) -> CellsOutcome:
    group = group_with(lie)
    return run_cells(group.grid, instructions(group.grid.apps), CONFIG, cells_of_run(CONFIG), clock=group.clock)


def trained(inner: Strategy, config: SecAggConfig) -> ArrayRecord:
    group = group_with(mean_becomes(NAME, np.array([0.9, -0.9, 0.5])))
    strategy = SecAgg(inner, config, clock=group.clock)
    return strategy.start(grid=group.grid, initial_arrays=model(), num_rounds=1).arrays


def test_a_liar_owns_a_session_and_the_median_over_cells_does_not_see_it() -> None:
    owned = trained(FedAvg(fraction_evaluate=0.0), SecAggConfig(max_weight=1))
    np.testing.assert_allclose(owned["bias"].numpy(), [0.9, -0.9, 0.5], atol=1e-3)
    judged = trained(FedMedian(fraction_evaluate=0.0), CONFIG)
    np.testing.assert_allclose(judged["bias"].numpy(), 0.0, atol=1e-3)


@pytest.mark.parametrize("lie", [mean_becomes(NAME, np.array([0.9, -0.9, 0.5])), adds(NAME, np.array([1 << 40]))])
def test_rows_of_other_cells_are_what_they_are_without_the_liar(lie: Lie) -> None:
    honest, spoiled = played(None), played(lie)
    dirty = spoiled.partition.cell_of(LIAR)
    for cell in (0, 1, 2):
        if cell == dirty:
            continue
        place = spoiled.sums.cells.index(cell)
        # Differences of 0 are encoded exactly, so that nothing of rounding is in these rows.
        np.testing.assert_array_equal(spoiled.sums.rows[place], honest.sums.rows[honest.sums.cells.index(cell)])
    if dirty in spoiled.sums.cells:
        row = spoiled.sums.rows[spoiled.sums.cells.index(dirty)]
        assert np.any(row != 0)


def test_garbage_is_proven_and_gets_no_reply() -> None:
    outcome = played(garbage(3))
    dirty = outcome.partition.cell_of(LIAR)
    assert list(outcome.sums.rejected) == [dirty]
    assert "hold more than the inputs of 5 honest clients add up to" in outcome.sums.rejected[dirty]
    assert dirty not in outcome.arrays
    assert dirty not in outcome.reports
    assert len(outcome.sums.cells) == 2
