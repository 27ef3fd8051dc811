"""Four of twenty nodes flip signs: what a rule over cells bears it learns with, and what it does not bear it does not.

The models are those of the same rules over the cells' means in clear, within what quantization loses.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg, FedMedian, Krum, Strategy

from secagg.integrations.flower import SecAgg
from secagg.robust import CellSiren, CellSums, krum
from tests.integrations.flower import simulated_cells as run
from tests.integrations.flower.simulated_cells import Reals, Rule
from tests.integrations.flower.support import FakeClock, FakeGrid

ROOT = Path(__file__).resolve().parents[3]
LOST = 2e-3
"""Of an entry of the model, in all rounds: a few steps of 4 / 32767, and what training makes of them."""


def nodes() -> FakeGrid:
    places = {100 + place: {"partition-id": place} for place in range(run.NODES)}
    return FakeGrid(dict.fromkeys(places, run.client_app), node_configs=places)


def learned(size: int, number: int, inner: Strategy, judge: CellSiren | None = None) -> Reals:
    """The model over secure sums, of which nothing was limited."""
    root = None if judge is None else run.root
    wrapped = SecAgg(inner, run.config(size, number), judge=judge, root=root, clock=FakeClock())
    model = run.start(wrapped, nodes())
    for outcome in wrapped.cell_outcomes:
        assert len(outcome.sums.cells) == run.NODES // size
        assert not any(report.entries_limited for report in outcome.reports.values())
    return model


def by_median(model: Reals, rows: Reals) -> Reals:
    return np.asarray(model + np.median(rows, axis=0))


def by_krum(model: Reals, rows: Reals) -> Reals:
    return model + krum(rows, 1).vector


def siren(cells: int) -> CellSiren:
    return CellSiren(cells=cells, clients=run.NODES, rounds=run.ROUNDS)


def by_siren(cells: int) -> Rule:
    judge = siren(cells)

    def rule(model: Reals, rows: Reals) -> Reals:
        sums = CellSums(rows, tuple(range(len(rows))), {}, {}, ())
        return judge.judge(model, sums, lambda flat: run.root(run.record(flat))).model

    return rule


@pytest.mark.parametrize(("number", "dirty", "works"), [(153, 1, True), (0, 3, False)])
def test_flowers_median_bears_a_dirty_minority_of_cells(number: int, dirty: int, works: bool) -> None:
    drawn = run.partition(5, number)
    assert run.dirty(drawn) == dirty
    model = learned(5, number, FedMedian(fraction_evaluate=0.0))
    np.testing.assert_allclose(model, run.in_clear(drawn, by_median), atol=LOST)
    assert (run.accuracy(model) > 0.8) is works
    assert works or run.accuracy(model) < 0.4


@pytest.mark.parametrize(("number", "dirty", "works"), [(2937, 1, True), (2, 4, False)])
def test_flowers_krum_bears_the_dirty_cells_that_it_was_told_of(number: int, dirty: int, works: bool) -> None:
    drawn = run.partition(4, number)
    assert run.dirty(drawn) == dirty
    model = learned(4, number, Krum(fraction_evaluate=0.0, num_malicious_nodes=1))
    np.testing.assert_allclose(model, run.in_clear(drawn, by_krum), atol=LOST)
    assert (run.accuracy(model) > 0.8) is works
    assert works or run.accuracy(model) < 0.4


@pytest.mark.parametrize(("number", "dirty", "works"), [(0, 3, True), (23, 4, False)])
def test_siren_over_cells_needs_one_clean_cell(number: int, dirty: int, works: bool) -> None:
    drawn = run.partition(5, number)
    assert run.dirty(drawn) == dirty
    model = learned(5, number, FedAvg(fraction_evaluate=0.0), siren(4))
    np.testing.assert_allclose(model, run.in_clear(drawn, by_siren(4)), atol=LOST)
    assert (run.accuracy(model) > 0.8) is works
    assert works or run.accuracy(model) < 0.4


@pytest.mark.slow
def test_cells_in_flowers_own_simulation(tmp_path: Path) -> None:
    report = tmp_path / "model.npz"
    words = [sys.executable, "-m", "tests.integrations.flower.simulated_cells", str(report)]
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=1200,  # a guard against hangs
        check=False,
    )
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    plain = run.in_clear(run.partition(5, run.ONE_OF_FOUR), by_median, rounds=2)
    np.testing.assert_allclose(np.load(report)["model"], plain, atol=LOST)
