"""Rounds over cells of sites: each cell's mean, liars that spoil their own, and judges that leave it out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.fuel.utils.component_builder import ComponentBuilder
from nvflare.job_config.api import FedJob

import secagg
from secagg.encoding.layout import Layout
from secagg.integrations import contribution
from secagg.integrations.nvflare import Cells, CellsOutcome, Instruction, PrivacySettings, SecureFedAvg, SumSettings
from secagg.integrations.own_cells import ALARM
from secagg.robust import CellSiren, Partition, RuleJudge
from tests.integrations.nvflare.support import FakeClock, Network, counts_of, enroll, names_of, stage
from tests.integrations.nvflare.test_controller import Persistor, Stage
from tests.integrations.nvflare.test_restarts import asked, deal_garbage
from tests.robust.lying import Lie, garbage, mean_becomes

SEED = bytes(range(32))
NAMES = names_of(12)
IDS = {secagg.client_id(name): name for name in NAMES}
PARTITION = Partition.draw(IDS, size=4, seed=SEED)
LIAR = "site-3"
DIRTY = PARTITION.cell_of(secagg.client_id(LIAR))
START = {"w": np.linspace(-0.5, 0.5, 6, dtype=np.float32).reshape(2, 3), "b": np.array([0.25])}
STEP = 0.25
ROUNDS = ["advertise_keys", "share_keys", "masked_input", "unmasking"]


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.integrations.nvflare.exchange.SystemClock", FakeClock)


def in_cells(folder: Path, extra: str = "") -> Network:
    if not (folder / "secagg.toml").exists():
        (folder / "secagg.toml").write_text(f"cells_floor = 4\n{extra}")
    network = Network(folder, NAMES)
    for learner in network.learners.values():
        learner.result = trained
    return network


def trained(site: str, given: DXO) -> Shareable:
    """Every site moves all entries by a quarter, and by something of its own."""
    return moved(given, STEP + int(site[5:]) / 1000)


def moved(given: DXO, by: float, **meta: Any) -> Shareable:
    data = {name: np.asarray(value) + np.asarray(value).dtype.type(by) for name, value in given.data.items()}
    return DXO(DataKind.WEIGHTS, data=data, meta=meta).to_shareable()


def settings(**changes: Any) -> SumSettings:
    cells = {"size": 4, "seed": SEED.hex(), "floor": 4, **changes.pop("cells", {})}
    return SumSettings(**{"cells": Cells(**cells), "round_timeout": 10.0, "learning_timeout": 100.0, **changes})


def averaged(
    network: Network, rounds: int = 1, model: Mapping[str, NDArray[Any]] = START, **options: Any
) -> tuple[Stage, SecureFedAvg, list[Any]]:
    persistor = Persistor(dict(model))
    controller = SecureFedAvg(num_rounds=rounds, **{"settings": settings(), **options})
    stage_ = Stage(controller, network, persistor=persistor)
    stage_.run()
    return stage_, controller, [saved[ModelLearnableKey.WEIGHTS] for saved in persistor.models]


def outcome_of(controller: SecureFedAvg) -> CellsOutcome:
    assert controller.cells_outcome is not None
    return controller.cells_outcome


def mean_of(cell: int) -> float:
    return STEP + float(np.mean([int(IDS[client][5:]) for client in PARTITION.cells[cell]])) / 1000


class NearTheHonestStep:
    """A root evaluation: how near a model's first entry is to where honest training leads."""

    def __init__(self, start: float = -0.5) -> None:
        self.start = start
        self.seen: list[dict[str, Any]] = []

    def __call__(self, model: dict[str, Any]) -> float:
        self.seen.append(model)
        return float(np.clip(1 - abs(model["w"][0, 0] - self.start - STEP), 0, 1))


@pytest.mark.parametrize("active", [False, True])
def test_each_cell_has_its_own_mean_and_the_model_the_mean_of_them(active: bool, tmp_path: Path) -> None:
    if active:
        (tmp_path / "ledger").mkdir()
        own = f"cells_size = 4\ncells_seed = '{SEED.hex()}'\ncells_floor = 4\nledger = 'ledger'\n"
        enroll(tmp_path, NAMES, own)
    network = in_cells(tmp_path)
    options: dict[str, Any] = {"settings": settings(threat_model="active")} if active else {}
    stage_, controller, models = averaged(network, 2, **options)
    assert not stage_.panicked
    outcome = outcome_of(controller)
    assert outcome.partition == PARTITION
    assert outcome.sums.cells == (0, 1, 2)
    assert outcome.contributors == tuple(sorted(NAMES))
    assert not outcome.missing
    for row, cell in zip(outcome.sums.rows, outcome.sums.cells, strict=True):
        np.testing.assert_allclose(row, mean_of(cell), atol=1e-4)
        assert outcome.arrays[cell]["w"].shape == (2, 3)
    whole = np.mean([mean_of(cell) for cell in range(3)])
    for name, array in models[-1].items():
        assert (array.dtype, array.shape) == (START[name].dtype, START[name].shape)
        np.testing.assert_allclose(array, START[name] + 2 * whole, atol=4e-4)
    assert all(len(learner.seen) == 2 for learner in network.learners.values())


def lying(network: Network, by: float) -> None:
    """The liar sets the mean of its cell; its own site cannot tell that from training."""
    network.learners[LIAR].result = lambda site, given: moved(given, by)


def test_a_liars_cell_moves_the_mean_and_a_judge_leaves_it_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"clip": 100.0, "bits": 24}
    for judge, root in (
        (None, None),
        (RuleJudge("median"), None),
        (RuleJudge("krum", b=0), None),
        (CellSiren(cells=3, clients=12, rounds=3), NearTheHonestStep()),
    ):
        network = in_cells(tmp_path)
        lying(network, -80.0)
        stage_, controller, models = averaged(network, judge=judge, root=root, **options)
        assert not stage_.panicked
        difference = models[-1]["w"] - START["w"]
        if judge is None:
            assert np.all(difference < -5)
            assert "which nobody judged" in caplog.text
            continue
        np.testing.assert_allclose(difference, STEP, atol=0.02)
        verdict = outcome_of(controller).verdict
        assert verdict is not None
        if isinstance(judge, CellSiren):
            assert verdict.kept == tuple(cell for cell in range(3) if cell != DIRTY)
            assert set(verdict.rejected) == {DIRTY}
            assert f"cell {DIRTY} is left out by the judge: its model scores too far below" in caplog.text
        assert np.array_equal(models[0]["w"], START["w"])


@contextmanager
def words_changed(lie: Lie) -> Iterator[None]:
    """One site changes its words after they were encoded: no learner, and no executor, is in its way."""

    def contribute(session: secagg.ClientSession, *given: Any, **options: Any) -> None:
        contribution.contribute(session, *given, **options)
        parameters, encoded = session.parameters, session._input
        if session.client_id == secagg.client_id(LIAR) and encoded is not None:
            lie(Layout.build(parameters.vectors, parameters.clients, parameters.max_weight), encoded.words)

    with patch("secagg.integrations.nvflare.executor.contribute", contribute):
        yield


def resting(folder: Path) -> Network:
    """Nobody's training changes anything, so that rounding is in no row, and a liar knows the sum."""
    network = in_cells(folder)
    for learner in network.learners.values():
        learner.result = lambda site, given: moved(given, 0.0)
    return network


def test_a_liar_owns_a_session_and_in_cells_its_own_row(tmp_path: Path) -> None:
    """The containment: whatever it sends, the rows of other cells are as without it."""
    target = np.array([[0.9, -0.9, 0.5], [0.1, -0.2, 0.3]])
    with words_changed(mean_becomes("arrays/w", target.ravel())):
        whole = averaged(resting(tmp_path), settings=SumSettings(max_corrupt=0.0))[2]
        stage_, controller, models = averaged(resting(tmp_path), judge=RuleJudge("median"))
    np.testing.assert_allclose(whole[-1]["w"] - START["w"], target, atol=1e-3)
    assert not stage_.panicked
    outcome = outcome_of(controller)
    for cell, row in zip(outcome.sums.cells, outcome.sums.rows, strict=True):
        if cell == DIRTY:
            np.testing.assert_allclose(row[:6], target.ravel(), atol=1e-3)
        else:
            assert not row.any()
    np.testing.assert_array_equal(models[-1]["w"], START["w"])


def test_an_impossible_sum_is_proven_and_has_no_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    five = settings(cells={"size": 5})  # of four, any words are a possible sum; these are of six
    with words_changed(garbage(3)):
        stage_, controller, models = averaged(resting(tmp_path), model={"w": np.zeros(200)}, settings=five)
    assert not stage_.panicked
    outcome = outcome_of(controller)
    dirty = outcome.partition.cell_of(secagg.client_id(LIAR))
    assert "honest clients add up to" in outcome.sums.rejected[dirty]
    assert outcome.sums.cells == (1 - dirty,)
    assert f"cell {dirty} has a liar in it and is left out: " in caplog.text
    assert not models[-1]["w"].any()


def test_longer_updates_are_scaled_down_and_a_longer_mean_proves_a_liar(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    norm = settings(cells={"norm": 0.5})
    network = in_cells(tmp_path)
    lying(network, 40.0)
    outcome = outcome_of(averaged(network, settings=norm, clip=100.0, bits=24)[1])
    assert not outcome.sums.rejected
    assert np.all(np.linalg.norm(outcome.sums.rows, axis=1) < 0.501)
    # A liar does not clip.
    with monkeypatch.context() as patched:
        patched.setattr("secagg.integrations.nvflare.instruction.clip_norm", lambda vectors, norm: vectors)
        lying(network, 40.0)
        for name in set(NAMES) - {LIAR}:
            network.learners[name].result = lambda site, given: moved(given, 0.1)
        stage_, controller, models = averaged(network, settings=norm, clip=100.0, bits=24)
    assert not stage_.panicked
    assert set(outcome_of(controller).sums.rejected) == {DIRTY}
    assert f"cell {DIRTY} has a liar in it and is left out" in caplog.text
    np.testing.assert_allclose(models[-1]["w"] - START["w"], 0.1, atol=1e-3)


@pytest.mark.parametrize("when", ROUNDS)
def test_a_silent_site_costs_its_cell_and_no_other(when: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = in_cells(tmp_path)
    network.on_task = lambda site, task: None if site == LIAR and stage(task) == when else task
    stage_, controller, models = averaged(network)
    assert not stage_.panicked
    outcome = outcome_of(controller)
    assert outcome.sums.missing == (DIRTY,)
    assert f"cell {DIRTY} has no sum this round: " in caplog.text
    assert f"cell {DIRTY}: site {LIAR} was dropped in {when}" in caplog.text
    whole = np.mean([mean_of(cell) for cell in range(3) if cell != DIRTY])
    np.testing.assert_allclose(models[-1]["w"] - START["w"], whole, atol=1e-4)
    mates = [IDS[client] for client in PARTITION.cells[DIRTY] if IDS[client] != LIAR]
    assert [len(network.learners[name].seen) for name in mates] == [0 if when in ROUNDS[:2] else 1] * 3
    assert all(network.tasks_of(name, "abort") for name in mates), "they are told, and erase their secrets"


def test_a_site_that_is_away_costs_its_cell_the_round_and_comes_back(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    away: Callable[[], bool] = lambda: len(network.tasks_of("site-1", "unmasking")) == 1  # noqa: E731 - one word
    network.on_task = lambda site, task: None if site == LIAR and away() else task
    seen: list[tuple[int, ...]] = []

    class Noting(SecureFedAvg):
        def secure_cells(self, *args: Any, **options: Any) -> CellsOutcome:
            outcome = super().secure_cells(*args, **options)
            seen.append(outcome.sums.cells)
            assert outcome.partition == PARTITION
            return outcome

    Stage(Noting(num_rounds=3, settings=settings()), network, persistor=Persistor(dict(START))).run()
    assert seen == [(0, 1, 2), tuple(cell for cell in range(3) if cell != DIRTY), (0, 1, 2)]


def test_a_round_without_any_cell_ends_the_job_with_the_reason(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    gone = {IDS[cell[0]] for cell in PARTITION.cells}
    network.on_task = lambda site, task: None if site in gone and stage(task) == "share_keys" else task
    stage_, _, models = averaged(network)
    assert stage_.panicked
    assert "none of 3 cells has a sum; cell 0: " in str(stage_.events)
    assert len(models) == 1
    few = in_cells(tmp_path)
    few.on_task = lambda site, task: None if site not in NAMES[:3] else task
    assert "3 clients make no cell of size=4" in str(averaged(few)[0].events)


def test_cells_without_a_seed_stay_for_the_job(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    given = settings(cells={"seed": None})
    persistor = Persistor(dict(START))
    first = SecureFedAvg(num_rounds=2, settings=given)
    stage_ = Stage(first, network, persistor=persistor)
    stage_.run()
    second = SecureFedAvg(num_rounds=1, settings=given)
    second.set_communicator(network)
    second.initialize(stage_.context)
    second.control_flow(network.abort_signal, stage_.context)
    assert not stage_.panicked
    assert outcome_of(second).partition == outcome_of(first).partition != PARTITION


def test_alarms_are_given_where_the_owner_allows_them(tmp_path: Path) -> None:
    network = in_cells(tmp_path, "alarms = true\n")
    alarmed = [*PARTITION.cells[0], PARTITION.cells[1][2]]
    for client in alarmed:
        network.learners[IDS[client]].result = lambda site, given: moved(given, STEP, **{ALARM: 1})
    asked = settings(cells={"alarms": True})
    outcome = outcome_of(averaged(network, settings=asked)[1])
    # Several alarms may share a slot; one stands alone.
    assert outcome.sums.alarms[0] > 0.5
    assert outcome.sums.alarms[1] == pytest.approx(1, abs=0.1)
    assert outcome.sums.alarms[2] == 0
    (tmp_path / "secagg.toml").write_text("cells_floor = 4\n")
    silent = in_cells(tmp_path)
    assert averaged(silent, settings=asked)[0].panicked
    assert "as 'alarms', which this client was not told of" in silent.results_of("site-1")[-1]["reason"]
    assert not any(learner.seen for learner in silent.learners.values())


def test_cells_under_a_privacy_plan(tmp_path: Path) -> None:
    (tmp_path / "secagg.toml").write_text("privacy_epsilon = 100\nprivacy_delta = 0.001\ncells_floor = 4\n")
    privacy = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=2, clients=4)
    network = in_cells(tmp_path)
    stage_, controller, models = averaged(network, 2, privacy=privacy, judge=RuleJudge("median"))
    assert not stage_.panicked, stage_.events
    outcome = outcome_of(controller)
    assert outcome.plan is not None
    assert outcome.plan.minimum_contributors == 4
    assert outcome.sums.rows.shape == (3, 7)
    assert len(set(outcome.sums.rows.ravel().tolist())) > 1
    assert float(np.abs(models[-1]["w"] - START["w"] - 2 * STEP).max()) < 3
    budgets = [executor._site.budget for executor in network.executors.values() if executor._site is not None]
    assert [budget.report().draws for budget in budgets if budget is not None] == [2] * 12
    small: dict[str, Any] = {"privacy": replace(privacy, clients=5), "settings": settings(cells={"size": 5})}
    assert "a cell has 6 clients, and the privacy plan is for 5" in str(averaged(network, **small)[0].events)


def test_what_cells_and_judges_do_not_go_with() -> None:
    for change, sentence in (
        ({"max_dropout": 0.1}, r"max_dropout=0\.1 is of whole cohorts"),
        ({"minimum_contributors": 4}, "minimum_contributors=4 is of whole cohorts"),
        ({"cells": {"floor": None}}, "cells of size=4 are below floor=5"),
        ({"cells": {"seed": None}, "threat_model": "active"}, "a server must not choose who shares a cell"),
    ):
        with pytest.raises(secagg.ParameterError, match=sentence):
            settings(**change)
    with pytest.raises(secagg.ParameterError, match="cells is a int"):
        SumSettings(cells=5)  # type: ignore[arg-type]
    privacy = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=2, clients=4)
    for options, sentence in (
        ({"max_weight": 100}, "max_weight=100 would let a liar weigh more"),
        ({"root": NearTheHonestStep()}, "there is none; give judge="),
        ({"judge": RuleJudge("root_check"), "root": len}, "root is the function len, which no job"),
        ({"judge": RuleJudge("median"), "settings": SumSettings()}, "a judge judges cells, and the settings have none"),
        ({"privacy": privacy, "settings": settings(cells={"norm": 1.0})}, "have no part in a privacy plan"),
    ):
        with pytest.raises(secagg.ParameterError, match=sentence):
            SecureFedAvg(**{"settings": settings(), **options})  # type: ignore[arg-type]


def test_what_no_round_over_cells_can_have_ends_the_job_before_a_site_trains(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    whole = {"w": np.zeros((2, 3)), "n": np.array([3])}
    for options, sentence in (
        ({"settings": settings(max_corrupt=0.3)}, "max_corrupt=0.3 is of whole cohorts"),
        ({"settings": settings(cells={"norm": 1.0}), "model": whole}, "no part of an update's norm"),
    ):
        stage_ = averaged(network, **options)[0]
        assert sentence in str(stage_.events)
    assert not any(learner.seen for learner in network.learners.values())
    judged = averaged(network, model=whole, judge=RuleJudge("median"))[0]
    assert "which no judge can weigh against others" in str(judged.events)
    assert not averaged(network, model=whole)[0].panicked


class Counting(SecureFedAvg):
    """A workflow of one's own: counts in cells."""

    cells = True

    def run(self, fl_ctx: Any, abort_signal: Any) -> None:
        told = Instruction(DXO(DataKind.ANALYTIC, data={}), task="count")
        play = self.secure_cells if self.cells else self.secure_sum
        half = secagg.FixedPoint(1, clip=1.0, aggregate="mean")
        self.found: Any = play({"counts": secagg.Integers(0, 1000, length=12), "half": half}, told, fl_ctx)


def test_a_workflow_of_ones_own_has_the_sum_of_each_cell(tmp_path: Path) -> None:
    network = in_cells(tmp_path)
    for learner in network.learners.values():
        learner.result = lambda site, given: DXO(
            DataKind.ANALYTIC, data={"counts": counts_of(site), "half": np.array([0.5])}
        ).to_shareable()
    controller = Counting(settings=settings())
    stage_ = Stage(controller, network)
    stage_.run()
    assert not stage_.panicked, stage_.events
    for cell, members in enumerate(PARTITION.cells):
        counts = np.sum([counts_of(IDS[client]) for client in members], axis=0)
        assert np.array_equal(controller.found.arrays[cell]["counts"], counts)
    np.testing.assert_allclose(controller.found.sums.rows, [[0.5]] * 3, atol=1e-4)
    normed = Stage(Counting(settings=settings(cells={"norm": 1.0})), network)
    normed.run()
    assert "vector 'counts' is no mean" in str(normed.events)
    controller.cells = False
    whole = Stage(controller, network)
    whole.run()
    assert "take secure_cells" in str(whole.events)
    without = Counting(settings=SumSettings())
    alone = Stage(without, network)
    alone.run()
    assert "the settings have no cells" in str(alone.events)


def test_a_job_carries_cells_judge_and_root(tmp_path: Path) -> None:
    job = FedJob(name="job", min_clients=2)
    job.set_app_packages(["secagg", "tests"])
    siren = CellSiren(cells=3, clients=12, rounds=3, tolerance=0.2)
    given = settings(cells={"norm": 1.0})
    job.to_server(SecureFedAvg(num_rounds=3, settings=given, judge=siren, root=NearTheHonestStep(0.5)))
    job.export_job(str(tmp_path))
    (written,) = (json.loads(path.read_text()) for path in tmp_path.rglob("config_fed_server.json"))

    class Builder(ComponentBuilder):  # type: ignore[misc, unused-ignore]
        def get_module_scanner(self) -> None:
            return None

    (workflow,) = written["workflows"]
    built = Builder().build_component(workflow)
    assert isinstance(built, SecureFedAvg)
    assert built.settings == given
    assert isinstance(built.judge, CellSiren)
    assert built.judge.snapshot() == siren.snapshot()
    assert isinstance(built.root, NearTheHonestStep)
    assert built.root.start == 0.5


@pytest.mark.parametrize("stay_out", ["blamed", "nobody"])
def test_a_cell_with_a_culprit_has_a_sum_in_later_rounds_or_not(tmp_path: Path, stay_out: Any) -> None:
    network = in_cells(tmp_path)
    deal_garbage(network, {LIAR: None}, {})
    _, controller, _ = averaged(network, rounds=2, settings=settings(stay_out=stay_out))
    outcome = outcome_of(controller)
    assert not outcome.blame
    if stay_out == "blamed":
        assert outcome.missing[DIRTY].startswith(
            f"clients [{secagg.client_id(LIAR)}] made a session of an earlier round"
        )
    else:
        assert not outcome.missing
    assert asked(network, LIAR) == (1 if stay_out == "blamed" else 2)
