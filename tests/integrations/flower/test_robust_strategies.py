"""Flower's own robust strategies over cells give what they give over nodes whose updates are the cells' means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import FedAvg, Strategy

import secagg
from secagg.integrations.flower import Cells, SecAgg, SecAggConfig
from secagg.integrations.flower.judging import ROBUST, Fewest
from secagg.robust import Partition
from tests.integrations.flower.support import Cohort, FakeGrid, Trainer, model, stage
from tests.integrations.flower.test_cells import SEED, config, in_cells

CLIENTS = 28
PARTITION = Partition.draw(range(1, CLIENTS + 1), size=4, seed=SEED)
LIAR = PARTITION.cells[3][0]


def differences(client: int) -> float:
    return 0.9 if client == LIAR else client / 1000


def group_with_a_liar() -> Cohort:
    return in_cells(CLIENTS, differences=differences)


def over_means(group: Cohort) -> FakeGrid:
    """A node for each cell, in clear."""

    def bare(cell: tuple[int, ...]) -> Any:
        mean = float(np.mean([group.trainers[client].difference for client in cell]))
        return Trainer(mean, 1).app(lambda message, context, app: app(message, context))

    return FakeGrid({500 + place: bare(cell) for place, cell in enumerate(PARTITION.cells)})


def start(strategy: Strategy, grid: Any, rounds: int = 2) -> ArrayRecord:
    return strategy.start(grid=grid, initial_arrays=model(), num_rounds=rounds).arrays


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("Bulyan", {"num_malicious_nodes": 1}),
    ("FedMedian", {}),
    ("FedTrimmedAvg", {"beta": 0.2}),
    ("Krum", {"num_malicious_nodes": 2}),
    ("MultiKrum", {"num_malicious_nodes": 2, "num_nodes_to_select": 5}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_robust_strategy_takes_cells_for_nodes(kind: str, options: dict[str, Any]) -> None:
    make = getattr(flower, kind)
    group = group_with_a_liar()
    wrapped = SecAgg(make(fraction_evaluate=0.0, **options), config(group), clock=group.clock)
    over_cells = start(wrapped, group.grid)
    plain = start(make(fraction_evaluate=0.0, **options), over_means(group))
    for key, array in plain.items():
        np.testing.assert_allclose(over_cells[key].numpy(), array.numpy(), atol=1.5e-4)
        assert over_cells[key].dtype == array.dtype
    # The liar alone would move a mean of cells by 0.9 / 28 in each round.
    assert float(np.max(np.abs(over_cells["bias"].numpy()))) < 2 * 0.025
    assert [outcome.sums.rows.shape for outcome in wrapped.cell_outcomes] == [(7, 0), (7, 9)]
    assert [len(outcome.arrays) for outcome in wrapped.cell_outcomes] == [0, 7]
    assert not wrapped.outcomes


def test_exactly_these_five_need_cells_and_no_others_are_let_in() -> None:
    assert {kind.__name__ for kind in ROBUST} == {kind for kind, _ in KINDS}
    for kind, options in KINDS:
        with pytest.raises(secagg.ParameterError, match=r"or give SecAggConfig\(cells=...\), whose means it can judge"):
            SecAgg(getattr(flower, kind)(**options), SecAggConfig())
    over = SecAggConfig(cells=Cells(size=5))
    for refused in (
        flower.QFedAvg(client_learning_rate=0.1),
        flower.FedXgbBagging(),
        flower.FedXgbCyclic(),
        flower.DifferentialPrivacyServerSideFixedClipping(FedAvg(), 1.0, 1.0, 5),
        flower.DifferentialPrivacyClientSideFixedClipping(FedAvg(), 1.0, 1.0, 5),
    ):
        with pytest.raises(secagg.ParameterError, match="needs the reply of each client"):
            SecAgg(refused, over)


@pytest.mark.parametrize(
    ("inner", "needed", "named"),
    [
        (flower.Krum(num_malicious_nodes=3), 9, "Krum with num_malicious_nodes=3"),
        (flower.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=8), 9, "and num_nodes_to_select=8"),
        (flower.MultiKrum(num_malicious_nodes=3, num_nodes_to_select=2), 9, "MultiKrum"),
        (flower.Bulyan(num_malicious_nodes=2), 11, "Bulyan with num_malicious_nodes=2"),
        (flower.FedTrimmedAvg(beta=0.1), 10, "FedTrimmedAvg with beta=0.1"),
        (flower.FedTrimmedAvg(beta=0.3), 4, "FedTrimmedAvg with beta=0.3"),
        (flower.FedMedian(), 3, "FedMedian"),
    ],
)
def test_too_few_cells_are_refused_before_anybody_trains(inner: Strategy, needed: int, named: str) -> None:
    fewest = Fewest.of(inner)
    assert fewest.cells == needed
    assert named in fewest.why
    few = in_cells(4 * (needed - 1))
    with pytest.raises(
        secagg.ParameterError,
        match=f"needs {needed} cells, and there are {needed - 1}: .* counts cells.*; have more nodes",
    ):
        start(SecAgg(inner, config(few), clock=few.clock), few.grid)
    assert not any(trainer.trained for trainer in few.trainers.values())
    fewest.require(needed)


def test_a_strategy_that_would_cut_nothing_off_is_refused() -> None:
    with pytest.raises(secagg.ParameterError, match=r"beta=0\.0 cuts no cell off"):
        SecAgg(flower.FedTrimmedAvg(beta=0.0), SecAggConfig(cells=Cells(size=5)))


def test_a_round_with_too_few_cells_left_keeps_the_model(caplog: pytest.LogCaptureFixture) -> None:
    group = group_with_a_liar()
    gone = {100 + PARTITION.cells[cell][0] for cell in (0, 1, 2)}
    rounds = {"played": 0}

    def on_request(node: int, message: Any) -> Any:
        if node == 100 + LIAR and stage(message) == "advertise_keys":
            rounds["played"] += 1
        return None if node in gone and rounds["played"] == 2 and stage(message) == "share_keys" else message

    group.grid.on_request = on_request
    wrapped = SecAgg(flower.Krum(fraction_evaluate=0.0, num_malicious_nodes=2), config(group), clock=group.clock)
    arrays = start(wrapped, group.grid, rounds=3)
    assert "4 of 7 cells have a sum this round, and Krum with num_malicious_nodes=2 needs 7" in caplog.text
    assert len(wrapped.cell_outcomes) == 2
    assert float(np.max(np.abs(arrays["bias"].numpy()))) < 2 * 0.025
    strict = SecAgg(
        flower.Krum(fraction_evaluate=0.0, num_malicious_nodes=2),
        config(group_with_a_liar(), on_failure="raise"),
        clock=group.clock,
    )
    failing = group_with_a_liar()
    failing.grid.on_request = lambda node, m: None if node in gone and stage(m) == "share_keys" else m
    with pytest.raises(secagg.SessionAbortedError, match="4 of 7 cells"):
        start(strict, failing.grid)


def test_a_second_start_goes_on_with_the_same_cells() -> None:
    group = in_cells(12)
    settings = config(group, cells={"seed": None})
    wrapped = SecAgg(flower.FedMedian(fraction_evaluate=0.0), settings, clock=group.clock)
    start(wrapped, group.grid, rounds=1)
    start(wrapped, group.grid, rounds=1)
    first, second = wrapped.cell_outcomes
    assert first.partition == second.partition
    # Another wrapper has another seed, and the nodes of this run refuse its cells.
    stranger = SecAgg(flower.FedMedian(fraction_evaluate=0.0), settings, clock=group.clock)
    with pytest.raises(secagg.SessionAbortedError, match="there is no model"):
        start(stranger, group.grid, rounds=1)


def test_averaging_over_cells_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    group = group_with_a_liar()
    wrapped = SecAgg(FedAvg(fraction_evaluate=0.0), config(group), clock=group.clock)
    assert (
        "FedAvg averages cells, or is not known to do else, so that a liar in one still moves the model" in caplog.text
    )
    arrays = start(wrapped, group.grid, rounds=1)
    mean = float(np.mean([np.mean([differences(client) for client in cell]) for cell in PARTITION.cells]))
    np.testing.assert_allclose(arrays["bias"].numpy(), mean, atol=4e-5)
