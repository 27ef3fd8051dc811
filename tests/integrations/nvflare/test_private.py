"""NVFLARE's sums under a privacy plan: what is averaged, what it costs each site, and which offers a site refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.job_config.api import FedJob

import secagg
from secagg.errors import ParameterError, SessionAbortedError
from secagg.integrations.nvflare import (
    Instruction,
    PrivacySettings,
    SecAggExecutor,
    SecureFedAvg,
    SumOutcome,
    load_site,
)
from secagg.integrations.nvflare.messages import ENTRY
from secagg.integrations.private import OVER_BUDGET
from secagg.privacy import FileBudget, Limit, MemoryBudget, Plan
from tests.integrations.nvflare.support import FAST, FakeClock, Learner, Network, enroll, names_of, stage
from tests.integrations.nvflare.test_controller import Persistor, Stage

SITES = names_of(5)
SETTINGS = replace(FAST, minimum_contributors=4)
MODEL = {"w": np.arange(6.0).reshape(2, 3), "b": np.zeros(3, np.float32)}
PRIVACY = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=3, clients=5)
MOVED = sum(secagg.client_id(name) % 7 / 100 for name in SITES) / 5


def plan_of(privacy: PrivacySettings = PRIVACY, **session_: Any) -> Plan:
    told = {"max_corrupt": 0.0, "max_dropout": 0.2, "minimum_contributors": 4, **session_}
    return privacy.plan({name: array.shape for name, array in MODEL.items()}, **told)


def network_of(folder: Path, budget: str = "privacy_epsilon = 50\nprivacy_delta = 0.001\n") -> Network:
    (folder / "secagg.toml").write_text(budget)
    return Network(folder, SITES)


def play(network: Network, plan: Plan | None = None, **options: Any) -> SumOutcome:
    told = Instruction(DXO(DataKind.WEIGHTS, data={name: array.copy() for name, array in MODEL.items()}))
    return network.sum(SETTINGS, {}, told, privacy=plan or plan_of(), **options)


def draws(network: Network) -> list[int]:
    found = []
    for executor in network.executors.values():
        site = executor._site
        assert site is not None
        assert site.budget is not None
        found.append(site.budget.report().draws)
    return found


def refusals(network: Network) -> set[str]:
    return {str(said["reason"]) for name in SITES for said in network.results_of(name) if said["kind"] == "refusal"}


def sigma(plan: Plan) -> float:
    return math.sqrt(5 * plan.variance16 / 16) / plan.grid / 5


def test_the_mean_has_noise_and_every_site_pays_for_one_draw(tmp_path: Path) -> None:
    network = network_of(tmp_path)
    outcome = play(network)
    assert outcome.plan is not None
    assert outcome.contributors == tuple(SITES)
    mean = np.concatenate([array.ravel() for array in outcome.arrays.values()])
    assert list(outcome.arrays) == ["w", "b"]
    assert len(set(mean.tolist())) > 1
    assert np.abs(mean - MOVED).max() < 12 * sigma(outcome.plan)
    assert draws(network) == [1] * 5
    assert {key for name in SITES for said in network.results_of(name) for key in said} == {"kind", "client", "message"}


def test_federated_averaging_under_a_plan_ends_where_the_plan_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secagg.integrations.nvflare.exchange.SystemClock", FakeClock)
    enroll(tmp_path, SITES, "privacy_epsilon = 50\nprivacy_delta = 0.001\n")
    network = Network(tmp_path, SITES)
    persistor = Persistor(MODEL)
    settings = replace(SETTINGS, threat_model="active")
    controller = SecureFedAvg(num_rounds=3, settings=settings, privacy=PRIVACY)
    played = Stage(controller, network, persistor=persistor)
    played.run()
    assert not played.panicked
    assert draws(network) == [3] * 5
    last = persistor.models[-1][ModelLearnableKey.WEIGHTS]
    assert {name: array.dtype for name, array in last.items()} == {name: a.dtype for name, a in MODEL.items()}
    again = Stage(SecureFedAvg(num_rounds=1, settings=settings, privacy=PRIVACY), network, persistor=persistor)
    again.run()
    assert again.panicked
    assert OVER_BUDGET in refusals(network)
    assert not [said for said in refusals(network) if "m^2" in said]
    assert all(len(learner.seen) == 3 for learner in network.learners.values()), "it refuses before it learns"
    assert draws(network) == [3] * 5


def test_a_weighted_plan(tmp_path: Path) -> None:
    network = network_of(tmp_path)
    weighted = replace(PRIVACY, rounds=1, weights=10)
    outcome = play(network, plan_of(weighted, minimum_contributors=5))
    assert outcome.release is not None
    assert outcome.plan is not None
    noise = math.sqrt(5 * outcome.plan.variance16 / 16) / outcome.plan.weight_steps
    assert outcome.release.total_weight == pytest.approx(5.0, abs=10 * noise)


def smaller_floor(plan: Plan, clients: Any, context: bytes, **choices: Any) -> secagg.SessionParameters:
    return secagg.SessionParameters.choose(
        clients=clients, vectors=plan.vectors, minimum_contributors=2, threshold=2, max_corrupt=0.0,
        context=plan.bind(context),
    )  # fmt: skip


def test_an_offer_that_makes_the_statement_false_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan, "parameters", smaller_floor)
    network = network_of(tmp_path)
    with pytest.raises(SessionAbortedError):
        play(network)
    (said,) = refusals(network)
    assert "may hold only 2 honest shares of noise" in said
    assert draws(network) == [0] * 5
    assert not any(learner.seen for learner in network.learners.values())


def test_a_plan_that_takes_accomplices_for_honest_is_refused(tmp_path: Path) -> None:
    """The session resists one corrupt site of five; its noise was chosen as if there were none."""
    network = network_of(tmp_path, "privacy_epsilon = 50\nprivacy_delta = 0.001\nmax_corrupt = 0.2\n")
    with pytest.raises(SessionAbortedError):
        play(network)
    assert "believes that 1 of 5 clients may be corrupt, and the plan counts with 0" in next(iter(refusals(network)))
    assert draws(network) == [0] * 5


def test_another_plan_with_the_instruction_than_with_the_offer_is_refused(tmp_path: Path) -> None:
    network = network_of(tmp_path)

    def on_task(site: str, task: Shareable) -> Shareable:
        if stage(task) == "masked_input":
            plan = task[ENTRY]["plan"]
            plan["privacy"] = Plan.from_bytes(plan["privacy"]).with_clip(1000.0).to_bytes()
        return task

    network.on_task = on_task
    with pytest.raises(SessionAbortedError):
        play(network)
    assert "its context does not begin with the plan's digest" in next(iter(refusals(network)))
    assert draws(network) == [0] * 5


def test_without_a_budget_no_plan_and_with_one_nothing_else(tmp_path: Path) -> None:
    network = network_of(tmp_path, "")
    with pytest.raises(SessionAbortedError):
        play(network)
    assert "this client's owner gave its data no privacy budget" in next(iter(refusals(network)))
    (tmp_path / "with").mkdir()
    network = network_of(tmp_path / "with")
    with pytest.raises(SessionAbortedError):
        network.sum()
    assert "under a privacy plan only" in next(iter(refusals(network)))


@pytest.mark.parametrize("value", [math.nan, math.inf, "raises", "shape", "text"])
def test_no_value_makes_a_site_leave_or_pay_less(tmp_path: Path, value: Any) -> None:
    network = network_of(tmp_path)

    def result(site: str, given: DXO) -> Shareable:
        if value == "raises":
            raise ValueError("patient 4")
        odd = {"shape": np.zeros(7), "text": np.array(["x"])}.get(value) if isinstance(value, str) else None
        data = {name: np.full_like(array, value) if odd is None else odd for name, array in given.data.items()}
        return DXO(DataKind.WEIGHTS, data=data, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: 3}).to_shareable()

    network.learners["site-3"].result = result
    outcome = play(network)
    assert outcome.contributors == tuple(SITES)
    assert draws(network) == [1] * 5
    assert all(np.isfinite(array).all() for array in outcome.arrays.values())


def test_a_sites_budget_is_of_its_own_file(tmp_path: Path) -> None:
    FileBudget.begin(tmp_path / "budget.sqlite", 8.0, 1e-6, client=secagg.client_id("site-1"))
    (tmp_path / "secagg.toml").write_text('privacy_budget = "budget.sqlite"\n')
    assert isinstance(load_site(tmp_path, "site-1").budget, FileBudget)
    with pytest.raises(ParameterError, match="has no budget of client"):
        load_site(tmp_path, "site-2")
    (tmp_path / "secagg.toml").write_text("privacy_epsilon = 4\nprivacy_delta = 1e-5\n")
    budget = load_site(tmp_path, "site-1").budget
    assert isinstance(budget, MemoryBudget)
    assert budget.limit == Limit(4.0, 1e-5)


def test_settings_that_a_plan_excludes() -> None:
    with pytest.raises(ParameterError, match="have no part in a privacy plan"):
        SecureFedAvg(clip=4.0, privacy=PRIVACY)
    with pytest.raises(ParameterError, match="have no part in a privacy plan"):
        SecureFedAvg(max_weight=100, privacy=PRIVACY)
    with pytest.raises(ParameterError, match="num_rounds 4 is above the 3 rounds"):
        SecureFedAvg(num_rounds=4, privacy=PRIVACY)


def test_a_job_carries_the_settings(tmp_path: Path) -> None:
    job = FedJob("private", min_clients=5)
    job.to_server(SecureFedAvg(num_rounds=3, settings=SETTINGS, privacy=PRIVACY))
    job.to_clients(SecAggExecutor(Learner()))
    job.export_job(str(tmp_path))
    (config,) = tmp_path.rglob("config_fed_server.json")
    assert '"epsilon": 50.0' in config.read_text()
