"""The controllers, over NVFLARE's own Controller and a communicator that answers in place."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from nvflare.apis.client import Client
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.executors.learner_executor import LearnerExecutor
from nvflare.job_config.api import FedJob

import secagg
from secagg.integrations.nvflare import (
    Instruction,
    SecAggExecutor,
    SecureController,
    SecureFedAvg,
    SumOutcome,
    SumSettings,
)
from tests.integrations.nvflare.support import (
    COUNTS,
    FAST,
    FakeClock,
    Network,
    context_of,
    enroll,
    expected,
    names_of,
    stage,
    workspace_in,
)


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.integrations.nvflare.exchange.SystemClock", FakeClock)


class Persistor(ModelPersistor):
    """Keeps models in a list."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        super().__init__()
        self.models = [make_model_learnable(weights, {"kind": "test"})]

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        return self.models[-1]

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        self.models.append(model)


class Stage:
    """A controller on its server."""

    def __init__(self, controller: SecureController, network: Network, **components: Any) -> None:
        self.events: list[tuple[str, Any]] = []
        self.context: FLContext = FLContext()
        self.engine = SimpleNamespace(
            get_workspace=lambda: workspace_in(network.folder),
            get_clients=lambda: [Client(name, "token") for name in network.names],
            get_component=components.get,
            fire_event=lambda event, context: self.events.append((event, context.get_prop("__event_data__"))),
        )
        self.context = context_of("server", network.folder, self.engine)
        self.controller = controller
        self.network = network
        controller.set_communicator(network)

    def run(self) -> None:
        self.controller.initialize(self.context)
        self.controller.control_flow(self.network.abort_signal, self.context)
        self.controller.stop_controller(self.context)

    @property
    def panicked(self) -> bool:
        return any(event == EventType.FATAL_SYSTEM_ERROR for event, _ in self.events)


class Counting(SecureController):
    """One sum."""

    outcome: SumOutcome | None = None

    def run(self, fl_ctx: FLContext, abort_signal: Signal) -> None:
        self.outcome = self.secure_sum(COUNTS, Instruction(DXO(DataKind.ANALYTIC, data={}), task="count"), fl_ctx)


def test_a_workflow_of_ones_own(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(4))
    controller = Counting(FAST)
    stage_ = Stage(controller, network)
    stage_.run()
    assert controller.outcome is not None
    assert np.array_equal(controller.outcome.arrays["counts"], expected(names_of(4)))
    assert not stage_.panicked


def test_the_active_model_takes_its_roster_from_the_servers_own_file(tmp_path: Path) -> None:
    enroll(tmp_path, names_of(4))
    controller = Counting(replace(FAST, threat_model="active"))
    Stage(controller, Network(tmp_path, names_of(4))).run()
    assert controller.outcome is not None
    assert controller.outcome.contributors == tuple(names_of(4))


def test_a_job_without_a_sum_ends_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = Network(tmp_path, names_of(4))
    network.on_task = lambda site, task: None if stage(task) == "share_keys" else task
    stage_ = Stage(Counting(replace(FAST, round_timeout=1.0)), network)
    stage_.run()
    assert stage_.panicked


def test_a_servers_file_that_is_wrong_ends_the_job(tmp_path: Path) -> None:
    (tmp_path / "secagg.toml").write_text("roster = 'nowhere'\n")
    stage_ = Stage(Counting(FAST), Network(tmp_path, names_of(4)))
    stage_.controller.initialize(stage_.context)
    assert stage_.panicked


def test_an_aborted_job_does_not_panic(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(4))
    network.on_task = lambda site, task: None
    network.abort_signal.trigger(True)
    stage_ = Stage(Counting(FAST), network)
    stage_.run()
    assert not stage_.panicked


def test_secure_sum_belongs_into_run(tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match="outside of run"):
        Counting(FAST).secure_sum(COUNTS, Instruction(DXO(DataKind.ANALYTIC, data={})), FLContext())


def test_federated_averaging_is_what_it_would_be_in_clear(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))
    start = {"w": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), "b": np.array(0.5), "steps": np.array([7, 8])}
    for number, name in enumerate(names_of(5), start=1):
        network.learners[name].steps = 10 * number
    persistor = Persistor(start)
    network.on_task = lambda site, task: None if site == "site-5" and stage(task) == "masked_input" else task
    controller = SecureFedAvg(num_rounds=3, clip=0.1, bits=24, max_weight=100, settings=FAST)
    stage_ = Stage(controller, network, persistor=persistor)
    stage_.run()
    assert not stage_.panicked
    assert len(persistor.models) == 4
    moves = [secagg.client_id(name) % 7 / 100 for name in names_of(4)]
    moved = 3 * np.average(moves, weights=[10, 20, 30, 40])
    found = persistor.models[-1][ModelLearnableKey.WEIGHTS]
    np.testing.assert_allclose(found["w"], start["w"] + moved, atol=1e-5)
    np.testing.assert_allclose(found["b"], start["b"] + moved, atol=1e-5)
    assert np.array_equal(found["steps"], start["steps"])
    assert {name: (array.dtype, array.shape) for name, array in found.items()} == {
        name: (array.dtype, array.shape) for name, array in start.items()
    }
    assert [seen.get_header("current_round") for _, seen in network.learners["site-1"].seen] == [0, 1, 2]
    # The site that left in the first round is asked who it is again, and stays out while it fails.
    assert [event for event, _ in stage_.events].count("_round_started") == 3


MODEL: dict[str, NDArray[Any]] = {
    "dense/kernel:0": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "norm.num_batches_tracked": np.array(1000, dtype=np.int64),
    "temperature": np.array(1.5, dtype=np.float16),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 3), dtype=np.float32),
    "frozen": np.array([[0.1, -0.0], [np.nan, -np.inf]], dtype=np.float32),
}


@pytest.mark.parametrize("only", [None, ["norm.*", "temperature"]])
def test_models_with_every_kind_of_array(only: list[str] | None, tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(4))

    def train(site: str, given: DXO) -> Shareable:
        number = int(site[-1])
        data = {name: np.asarray(value) for name, value in given.data.items()}
        data["dense/kernel:0"] = np.asfortranarray(data["dense/kernel:0"] + np.float32(number / 64))
        data["norm.num_batches_tracked"] = data["norm.num_batches_tracked"] + 10 * number
        data["mask"] = np.array([number < 2, True])
        if number % 2:
            del data["temperature"]
        else:
            data["temperature"] = data["temperature"] + np.float16(0.5)
        return DXO(DataKind.WEIGHTS, data=data).to_shareable()

    for name in names_of(4):
        network.learners[name].result = train
    persistor = Persistor(dict(MODEL))
    stage_ = Stage(SecureFedAvg(clip=1.0, only=only, settings=FAST), network, persistor=persistor)
    stage_.run()
    assert not stage_.panicked
    found = persistor.models[-1][ModelLearnableKey.WEIGHTS]
    assert list(found) == list(MODEL)
    assert {n: (a.dtype, a.shape) for n, a in found.items()} == {n: (a.dtype, a.shape) for n, a in MODEL.items()}
    assert found["norm.num_batches_tracked"] == 1025
    np.testing.assert_allclose(found["temperature"], 1.75, atol=1e-3)
    kept = {"none", "frozen"} if only is None else set(MODEL) - {"norm.num_batches_tracked", "temperature"}
    assert {name for name in MODEL if found[name].tobytes() == MODEL[name].tobytes()} == kept
    if only is None:
        np.testing.assert_allclose(found["dense/kernel:0"], MODEL["dense/kernel:0"] + 2.5 / 64, atol=1e-4)
        assert found["mask"].tolist() == [False, True]


def test_arrays_that_cannot_be_summed_end_the_job_before_a_site_trains(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(4))
    brain: Any = SimpleNamespace(dtype="torch.bfloat16")
    persistor = Persistor({"w": np.zeros(2), "brain": brain, "both": np.zeros(2, dtype=complex)})
    stage_ = Stage(SecureFedAvg(settings=FAST), network, persistor=persistor)
    stage_.run()
    assert stage_.panicked
    assert network.sent == []
    said = " ".join(str(data) for _, data in stage_.events)
    assert "'brain' is bfloat16, which NumPy does not have; convert it to float32 first; 'both' is complex" in said


def test_a_clip_for_each_array(tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))
    for name in names_of(3):
        network.learners[name].result = lambda site, given: DXO(
            DataKind.WEIGHT_DIFF, data={"w": np.full(2, 5.0), "v": np.full(2, 5.0), "n": np.array([-0.2])}
        ).to_shareable()
    persistor = Persistor({"w": np.zeros(2), "v": np.zeros(2), "n": np.array([5])})
    Stage(SecureFedAvg(clip={"w": 1.0, "v": 10.0, "n": 1.0}, settings=FAST), network, persistor=persistor).run()
    found = persistor.models[-1][ModelLearnableKey.WEIGHTS]
    np.testing.assert_allclose(found["w"], [1, 1], atol=1e-3)
    np.testing.assert_allclose(found["v"], [5, 5], atol=1e-3)
    assert found["n"].tolist() == [5]  # whole numbers are rounded


@pytest.mark.parametrize(
    ("options", "components"),
    [({"clip": {"v": 1.0}}, {"persistor": Persistor({"w": np.zeros(2)})}), ({}, {}), ({}, {"persistor": "none"})],
)
def test_what_cannot_be_averaged_ends_the_job(
    options: dict[str, Any], components: dict[str, Any], tmp_path: Path
) -> None:
    stage_ = Stage(SecureFedAvg(settings=FAST, **options), Network(tmp_path, names_of(3)), **components)
    stage_.run()
    assert stage_.panicked


def test_rounds_are_counted_from_one() -> None:
    with pytest.raises(secagg.ParameterError, match="num_rounds 0"):
        SecureFedAvg(num_rounds=0)


def test_a_late_result_is_taken_and_forgotten(tmp_path: Path) -> None:
    client, context = Client("site-1", "token"), context_of("server", tmp_path)
    Counting(FAST).process_result_of_unknown_task(client, "secagg", "id", Shareable(), context)


def test_the_job_api_writes_all_settings_and_no_more(tmp_path: Path) -> None:
    settings = SumSettings(threat_model=secagg.ThreatModel.ACTIVE, round_timeout=12.0, max_corrupt=0.0)
    job = FedJob(name="job", min_clients=2)
    job.set_app_packages(["secagg"])
    job.to_server(SecureFedAvg(num_rounds=4, clip={"numpy_key": 0.5}, settings=settings))
    job.to_clients(SecAggExecutor(LearnerExecutor("trainer")))
    job.export_job(str(tmp_path))
    (server,) = (json.loads(path.read_text()) for path in tmp_path.rglob("config_fed_server.json"))
    (client,) = (json.loads(path.read_text()) for path in tmp_path.rglob("config_fed_client.json"))
    (workflow,) = server["workflows"]
    assert workflow["path"] == "secagg.integrations.nvflare.controller.SecureFedAvg"
    written = {"threat_model": "active", "round_timeout": 12.0, "max_corrupt": 0.0}
    assert workflow["args"] == {
        "num_rounds": 4,
        "clip": {"numpy_key": 0.5},
        "settings": {"path": "secagg.integrations.nvflare.session.SumSettings", "args": written},
    }
    (executor,) = client["executors"]
    assert executor["tasks"] == ["secagg"]
    assert executor["executor"]["path"] == "secagg.integrations.nvflare.executor.SecAggExecutor"
    learner = {"path": "nvflare.app_common.executors.learner_executor.LearnerExecutor"}
    assert executor["executor"]["args"] == {"learner": {**learner, "args": {"learner_id": "trainer"}}}
    assert not list(tmp_path.rglob("custom"))


def test_the_code_of_the_page_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "nvflare.md"
    job, workflow, private, cells = re.findall(
        r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    names: dict[str, Any] = {"MyTrainer": lambda: LearnerExecutor("trainer")}
    exec(compile(job + workflow, str(page), "exec"), names)  # noqa: S102 - our own page, which is what is tested
    names["job"].export_job(str(tmp_path))
    names["job"] = FedJob("private", min_clients=80)
    exec(compile(private, str(page), "exec"), names)  # noqa: S102 - as above
    assert names["privacy"].plan({"w": (10,)}, minimum_contributors=75, max_corrupt=0.0).statement.epsilon == 8.0
    names["job"] = FedJob("cells", min_clients=20)
    exec(compile(cells, str(page), "exec"), names)  # noqa: S102 - as above
    names["job"].export_job(str(tmp_path))
    assert (
        '"path": "secagg.robust.judges.RuleJudge"'
        in next(tmp_path.rglob("cells/**/config_fed_server.json")).read_text()
    )
    network = Network(tmp_path, names_of(4))
    for name in names_of(4):
        network.learners[name].result = lambda site, given: DXO(
            DataKind.ANALYTIC, data={"digits": np.arange(10)}
        ).to_shareable()
    Stage(names["CountDigits"](FAST), network).run()
    assert "[ 0  4  8 12 16 20 24 28 32 36] ('site-1', 'site-2', 'site-3', 'site-4')" in capsys.readouterr().out
