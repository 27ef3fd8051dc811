"""Rounds over cells: each cell's mean, whoever leaves, and one wait for all of them."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict

import secagg
from secagg.integrations.flower import Cells, CellsOutcome, Node, OwnCells, SecAggConfig, SecureGrid, secagg_mod
from secagg.integrations.flower.cells import cells_of_run, run_cells
from secagg.integrations.flower.step import App
from secagg.robust import Partition
from tests.integrations.flower.support import MODEL, Cohort, cohort, instructions, model, stage

SEED = bytes(range(32))
ROUNDS = ["advertise_keys", "share_keys", "masked_input", "unmasking"]


def config(group: Cohort, active: bool = False, **settings: Any) -> SecAggConfig:
    given = {"size": 4, "seed": SEED, "floor": 4, **settings.pop("cells", {})}
    roster: dict[str, Any] = {"threat_model": "active", "roster": group.roster} if active else {}
    return SecAggConfig(cells=Cells(**given), **roster, **settings)


def own(clients: int, **settings: Any) -> OwnCells:
    return OwnCells(size=4, seed=SEED, clients=frozenset(range(1, clients + 1)), floor=4, **settings)


def run(group: Cohort, settings: SecAggConfig, rounds: int = 1) -> list[CellsOutcome]:
    cells = cells_of_run(settings)
    return [
        run_cells(
            group.grid,
            instructions(group.grid.apps, server_round=server_round),
            settings,
            cells,
            clock=group.clock,
            timeout=600,
        )
        for server_round in range(1, rounds + 1)
    ]


def in_cells(clients: int = 12, **options: Any) -> Cohort:
    return cohort(clients, active=False, cells=OwnCells(floor=4), **options)


def assert_means(group: Cohort, outcome: CellsOutcome) -> None:
    for place, cell in enumerate(outcome.sums.cells):
        mean = float(np.mean([group.trainers[client].difference for client in outcome.partition.cells[cell]]))
        np.testing.assert_allclose(outcome.sums.rows[place], mean, atol=4e-5)
        for key, base in MODEL.items():
            array = outcome.arrays[cell][key].numpy()
            assert array.dtype == base.dtype
            np.testing.assert_allclose(array, base + mean, atol=4e-5)


@pytest.mark.parametrize("active", [False, True])
def test_each_cell_has_its_own_mean_and_cells_stay(active: bool) -> None:
    group = cohort(12, active=True, cells=own(12)) if active else in_cells()
    first, second = run(group, config(group, active, metrics={"loss": 1.0}), rounds=2)
    partition = Partition.draw(range(1, 13), size=4, seed=SEED)
    for outcome in (first, second):
        assert outcome.partition == partition
        assert outcome.sums.cells == (0, 1, 2)
        assert outcome.contributors == tuple(range(1, 13))
        assert not outcome.missing
        assert_means(group, outcome)
        for cell, metrics in outcome.metrics.items():
            mean = np.mean([group.trainers[client].difference for client in partition.cells[cell]])
            assert metrics["loss"] == pytest.approx(mean, abs=1e-6)
    assert group.clock.time == 0


def test_without_a_seed_cells_are_drawn_over_those_that_are_there_first() -> None:
    group = in_cells(9)
    settings = config(group, cells={"seed": None})
    cells = cells_of_run(settings)
    apps = group.grid.apps
    for there in (8, 9):
        group.grid.apps = dict(list(apps.items())[:there])
        outcome = run_cells(group.grid, instructions(group.grid.apps), settings, cells, clock=group.clock)
        assert outcome.contributors == tuple(range(1, 9))
    assert cells_of_run(settings).partition(range(8)) != cells.partition(range(8))


@pytest.mark.parametrize("when", ROUNDS)
def test_a_silent_node_costs_its_cell_and_no_other(when: str) -> None:
    """Two of them, in two cells, are waited for once."""
    group = in_cells()
    partition = Partition.draw(range(1, 13), size=4, seed=SEED)
    gone = {100 + partition.cells[cell][1] for cell in (0, 2)}
    group.grid.on_request = lambda node, message: None if node in gone and stage(message) == when else message
    settings = config(group)
    (outcome,) = run(group, settings)
    assert outcome.sums.cells == (1,)
    assert sorted(outcome.missing) == [0, 2]
    assert outcome.sums.missing == (0, 2)
    assert outcome.contributors == partition.cells[1]
    assert group.clock.time == pytest.approx(600 if when == "masked_input" else 60)
    assert_means(group, outcome)
    assert {drop.client + 100 for drop in outcome.drops} == gone


def test_a_cell_that_lost_a_node_before_trains_no_more() -> None:
    group = in_cells()
    partition = Partition.draw(range(1, 13), size=4, seed=SEED)
    gone = 100 + partition.cells[0][0]
    group.grid.on_request = lambda node, message: None if node == gone and stage(message) == "share_keys" else message
    run(group, config(group))
    trained = {client for client, trainer in group.trainers.items() if trainer.trained}
    assert trained == set(range(1, 13)) - set(partition.cells[0])
    aborted = {node - 100 for node, message in group.grid.sent if stage(message) == "abort"}
    assert aborted == set(partition.cells[0])


def test_whoever_is_away_later_loses_its_cell_and_is_back_in_it() -> None:
    group = in_cells()
    settings = config(group)
    cells = cells_of_run(settings)
    apps = group.grid.apps
    missing = []
    for away in ((), (3,), ()):
        group.grid.apps = {node: app for node, app in apps.items() if node - 100 not in away}
        outcome = run_cells(group.grid, instructions(group.grid.apps), settings, cells, clock=group.clock)
        missing.append(tuple(outcome.missing))
        assert_means(group, outcome)
    cell = Partition.draw(range(1, 13), size=4, seed=SEED).cell_of(3)
    assert missing == [(), (cell,), ()]


def test_too_few_nodes_for_a_cell_and_no_cell_with_a_sum() -> None:
    group = in_cells(3)
    with pytest.raises(secagg.ParameterError, match="3 clients make no cell of size=4; wait for more of them"):
        run(group, config(group))
    lost = in_cells()
    lost.grid.on_request = lambda node, message: None if stage(message) == "share_keys" else message
    with pytest.raises(
        secagg.SessionAbortedError,
        match=r"none of 3 cells has a sum; cell 0: there is no sum.*; warnings before this say who was dropped",
    ):
        run(lost, config(lost))


def loud(factor: float) -> Any:
    """A mod for a node that sends what is longer than its bound."""

    def before(message: Message, context: Context, app: App) -> Message:
        with patch("secagg.integrations.flower.plan.clip_norm", lambda arrays, norm: scaled(arrays, factor)):
            return app(message, context)

    return before


def scaled(arrays: Any, factor: float) -> Any:
    return {name: array * factor for name, array in arrays.items()}


def with_a_liar(group: Cohort, client: int, factor: float) -> Cohort:
    honest = group.grid.apps[100 + client]

    def lying(message: Message, context: Context) -> Message:
        return loud(factor)(message, context, honest)

    group.grid.apps = {**group.grid.apps, 100 + client: lying}  # type: ignore[dict-item]
    return group


def test_longer_updates_are_scaled_down_and_a_cell_of_a_louder_node_is_left_out() -> None:
    """Nine entries of client / 100 have the norm 3 * client / 100."""
    group = with_a_liar(in_cells(), 5, 100.0)
    (outcome,) = run(group, config(group, cells={"norm": 0.09}))
    partition = outcome.partition
    (dirty,) = outcome.sums.rejected
    assert dirty == partition.cell_of(5)
    assert "honest clients reach 0.09" in outcome.sums.rejected[dirty]
    assert dirty not in outcome.sums.cells
    assert not outcome.missing
    assert outcome.arrays.keys() == set(outcome.sums.cells)
    for place, cell in enumerate(outcome.sums.cells):
        mean = float(np.mean([min(client, 3) / 100 for client in partition.cells[cell]]))
        np.testing.assert_allclose(outcome.sums.rows[place], mean, atol=4e-5)
    assert all(report.clients_limited == 0 for cell, report in outcome.reports.items() if cell != dirty)


def test_a_norm_is_of_floating_arrays_alone() -> None:
    group = in_cells()
    arrays = ArrayRecord({"w": Array(np.zeros(3)), "batches": Array(np.zeros((), dtype=np.int64))})
    content = RecordDict({"arrays": arrays, "config": instructions([1])[0].content["config"]})
    messages = [Message(content, node, "train") for node in group.grid.apps]
    settings = config(group, cells={"norm": 1.0})
    with pytest.raises(secagg.ParameterError, match="array 'batches' is of whole numbers or truth values"):
        run_cells(group.grid, messages, settings, cells_of_run(settings), clock=group.clock)


def test_a_grid_gives_a_reply_for_each_cell_with_weight_1() -> None:
    group = in_cells()
    outcomes: list[CellsOutcome] = []
    grid = SecureGrid(group.grid, config(group, evaluate_metrics={"accuracy": 1.0}), on_cells=outcomes.append)
    grid._clock = group.clock
    replies = list(grid.send_and_receive(instructions(grid.get_node_ids()), timeout=10))
    assert len(replies) == 3
    assert [reply.content.metric_records["metrics"]["num-examples"] for reply in replies] == [1, 1, 1]
    for reply, cell in zip(replies, outcomes[0].sums.cells, strict=True):
        mean = float(np.mean([client / 100 for client in outcomes[0].partition.cells[cell]]))
        np.testing.assert_allclose(reply.content.array_records["arrays"]["bias"].numpy(), mean, atol=4e-5)
    evaluated = list(grid.send_and_receive(instructions(grid.get_node_ids(), "evaluate"), timeout=10))
    accuracies = [float(reply.content.metric_records["metrics"]["accuracy"]) for reply in evaluated]  # type: ignore[arg-type]
    cells = outcomes[0].partition.cells
    assert accuracies == pytest.approx([np.mean([client / 100 for client in cell]) for cell in cells], abs=1e-6)
    assert outcomes[1].partition == outcomes[0].partition


def test_a_metric_that_a_cell_has_not_is_in_no_reply() -> None:
    """Flower takes no replies whose metrics have other names."""
    partition = Partition.draw(range(1, 13), size=4, seed=SEED)
    lacking = partition.cells[1]
    group = in_cells(differences=lambda client: float("nan") if client in lacking else 0.01, metrics=("loss",))
    outcomes: list[CellsOutcome] = []
    grid = SecureGrid(group.grid, config(group, metrics={"loss": 1.0}), on_cells=outcomes.append, clock=group.clock)
    replies = list(grid.send_and_receive(instructions(grid.get_node_ids())))
    assert [set(metrics) for metrics in outcomes[0].metrics.values()] == [{"loss"}, set(), {"loss"}]
    assert [set(reply.content.metric_records["metrics"]) for reply in replies] == [{"num-examples"}] * 3


def test_alarms_are_counted_by_cell_and_travel_masked() -> None:
    group = in_cells(metrics=("secagg-alarm",))
    partition = Partition.draw(range(1, 13), size=4, seed=SEED)
    alarming = {*partition.cells[1][:3], partition.cells[2][0]}
    for client, trainer in group.trainers.items():
        trainer.metrics = {"secagg-alarm": 1 if client in alarming else 0}
    (outcome,) = run(group, config(group, cells={"alarms": True}))
    assert outcome.sums.alarms[0] == 0
    # Several alarms may share a slot, and all three do once in 1024 times.
    assert 0.9 < outcome.sums.alarms[1] <= 4
    assert 0.9 < outcome.sums.alarms[2] < 1.1
    assert_means(group, outcome)
    assert not any("secagg-alarm" in str(reply.content) for _, reply in group.grid.replies)


def test_alarms_are_given_by_nodes_whose_owners_named_them(caplog: pytest.LogCaptureFixture) -> None:
    group = in_cells()
    with pytest.raises(secagg.SessionAbortedError):
        run(group, config(group, cells={"alarms": True}))
    assert "as 'alarms', which this client was not told of by its owner" in caplog.text


def test_an_app_without_metrics_raises_no_alarm_and_its_update_counts() -> None:
    group = in_cells(metrics=("secagg-alarm",))

    def bare(message: Message, context: Context, app: App) -> Message:
        reply = app(message, context)
        del reply.content["metrics"]
        return reply

    node = Node(1, cells=OwnCells(floor=4))
    mod = secagg_mod(node, metrics=("secagg-alarm",))
    group.grid.apps = {**group.grid.apps, 101: group.trainers[1].app(mod, bare)}
    (outcome,) = run(group, config(group, cells={"alarms": True}))
    assert outcome.sums.cells == (0, 1, 2)
    assert set(outcome.sums.alarms.values()) == {0.0}
    assert not any(report.without_input for report in outcome.reports.values())
    assert_means(group, outcome)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_weight": 1000}, "max_weight=1000 would let a liar weigh more than others of its cell; leave it out"),
        (
            {"max_dropout": 0.0},
            "max_dropout=0.0 is of whole cohorts, and a cell gives a sum of all its clients or none",
        ),
        ({"minimum_contributors": 4}, "minimum_contributors=4 is of whole cohorts"),
        ({"topology": "sparse"}, "topology='sparse' is of whole cohorts"),
        ({"threshold": 3}, "threshold=3 is of whole cohorts"),
        (
            {"max_dropout": 0.3, "minimum_contributors": 3, "max_corrupt": 0.0},
            r"max_dropout=0\.3, minimum_contributors=3, max_corrupt=0\.0 are of whole cohorts.*; leave them out",
        ),
        ({"cells": {"size": 5}}, "cells is a dict; give Cells"),
    ],
)
def test_settings_that_cells_exclude(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        SecAggConfig(**{"cells": Cells(size=5), **settings})


def test_the_active_model_needs_a_seed_and_larger_cells() -> None:
    roster = {client: bytes(32) for client in range(20)}
    with pytest.raises(secagg.ParameterError, match="a server must not choose who shares a cell; give Cells"):
        SecAggConfig(threat_model="active", roster=roster, cells=Cells(size=8))
    with pytest.raises(secagg.ParameterError, match="size=5 are below floor=8 of the active model"):
        SecAggConfig(threat_model="active", roster=roster, cells=Cells(size=5, seed=SEED))
    with pytest.raises(secagg.ParameterError, match="size=4 are below floor=5 of the semi-honest model"):
        SecAggConfig(cells=Cells(size=4))
    assert SecAggConfig(cells=Cells(size=5), max_weight=1).weighted is False
    assert SecAggConfig(threat_model="active", roster=roster, cells=Cells(size=5, seed=SEED, floor=5)).cells


def test_models_are_sent_once_for_all_cells() -> None:
    """The instruction's records are the same objects in every message: a model is in memory once."""
    group = in_cells()
    arrays = model()
    content = RecordDict({"arrays": arrays, "config": instructions([1])[0].content["config"]})
    pushed: list[Message] = []
    push = group.grid.push_messages
    group.grid.push_messages = lambda messages: push(pushed.extend(messages) or messages)  # type: ignore[method-assign, func-returns-value]
    settings = config(group)
    messages = [Message(content, node, "train") for node in group.grid.apps]
    run_cells(group.grid, messages, settings, cells_of_run(settings), clock=group.clock)
    trained = [message for message in pushed if stage(message) == "masked_input"]
    assert len(trained) == 12
    assert {id(message.content["arrays"]) for message in trained} == {id(arrays)}
