"""Sessions of `secagg serve` under a privacy plan, and what `secagg join` makes of plan and budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.cli.service.offering import session_parameters
from secagg.cli.service.private import load_plan, opened_budget, policy_under, privatized, require_fit
from secagg.cli.service.server_config import load_config
from secagg.privacy import FileBudget, MemoryBudget, Plan
from secagg.store.base import StoreError

CLIENTS = 5


@pytest.fixture
def plan(tmp_path: Path, run: Any) -> Plan:
    words = ["--clients", str(CLIENTS), "--length", "20", "--epsilon", "50", "--delta", "1e-3", "--rounds", "2"]
    words += ["--minimum-contributors", "4", "--max-corrupt", "0"]
    outcome = run("privacy", "plan", *words, "--out", str(tmp_path / "a.plan"))
    assert (outcome.code, outcome.err) == (0, "")
    again = run("privacy", "plan", *words, "--out", str(tmp_path / "a.plan"))
    assert (again.code, again.out, again.err.count("\n")) == (2, "", 1)
    assert "give a path where no file is" in again.err
    return load_plan(tmp_path / "a.plan")


def served(folder: Path, more: str = "") -> secagg.SessionParameters:
    text = (
        "[listen]\nplaintext = true\n[identities]\nanonymous = true\n[storage]\nmemory = true\n"
        f'[[sessions]]\nname = "one"\nclients = {CLIENTS}\nthreat_model = "semi-honest"\nmax_corrupt = 0.0\n{more}\n'
        '[sessions.privacy]\nplan = "a.plan"\n'
    )
    (folder / "server.toml").write_text(text, encoding="utf-8")
    (session,) = load_config(folder / "server.toml").sessions
    return session_parameters(session, {})


def test_a_session_under_a_plan_from_its_table_to_the_mean(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"round 7")
    parameters = served(tmp_path, 'context_file = "model"')
    plan.check(parameters)
    assert parameters.context[:32] == plan.digest
    assert len(parameters.context) == 64
    assert parameters.minimum_contributors == 4
    update = {"update": np.full(20, 0.1)}
    budgets = [MemoryBudget(50.0, 1e-3, client=client) for client in range(CLIENTS)]
    inputs = [privatized(plan, budget, update, None)(parameters) for budget in budgets]
    result = secagg.simulate(parameters, inputs, dropouts={"masked_input": [3]})
    mean = plan.decode(result).mean["update"]
    assert len(set(mean.tolist())) > 1
    # 4 shares, in the mean of 4; 12 standard deviations.
    assert np.abs(mean - 0.1).max() < 12 * (4 * plan.variance16 / 16) ** 0.5 / plan.grid / 4
    assert [budget.report().draws for budget in budgets] == [1] * CLIENTS


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("minimum_contributors = 2", "session 'one': the session does not fit the plan: a sum may hold only"),
        ('topology = "sparse"\ndegree = 4\nthreshold = 3', "does not fit the plan: its graph is sparse"),
        ("max_weight = 7", "sessions.0.max_weight = 7 sums weights without noise beside privacy"),
        ('vectors = {x = {kind = "integers", shape = [2], low = 0, high = 1}}', "does not go with privacy"),
    ],
)
def test_a_table_that_makes_the_statement_false_is_refused(
    plan: Plan, tmp_path: Path, more: str, sentence: str
) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        served(tmp_path, more)


def test_a_session_has_vectors_or_a_plan(tmp_path: Path) -> None:
    text = "[listen]\nplaintext = true\n[identities]\nanonymous = true\n[storage]\nmemory = true\n"
    (tmp_path / "server.toml").write_text(
        text + '[[sessions]]\nname = "one"\nclients = 3\nthreat_model = "semi-honest"\n'
    )
    with pytest.raises(secagg.ParameterError, match=r"sessions.0.vectors is missing.*or a privacy plan"):
        load_config(tmp_path / "server.toml")


def test_files_that_are_no_plans(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match="give the file of a plan"):
        load_plan(tmp_path / "nowhere")
    (tmp_path / "b.plan").write_bytes(b"abc")
    with pytest.raises(secagg.ParameterError, match=r"is no privacy plan: .*`secagg privacy plan`"):
        load_plan(tmp_path / "b.plan")
    object.__setattr__(plan, "epsilon", 1.0)
    (tmp_path / "b.plan").write_bytes(plan.to_bytes())
    with pytest.raises(secagg.ParameterError, match="a plan claims epsilon=1, and its integers give"):
        load_plan(tmp_path / "b.plan")


def test_a_policy_takes_part_under_this_plan_alone(plan: Plan, tmp_path: Path) -> None:
    policy = policy_under(secagg.ClientPolicy(), plan)
    assert (policy.vectors, policy.max_weight, policy.context) == (plan.vectors, 1, plan.bind(b""))
    assert (policy.minimum_contributors, policy.threat_model) == (4, secagg.ThreatModel.SEMI_HONEST)
    about = policy_under(secagg.ClientPolicy(context=b"x" * 32), plan)
    assert about.context == plan.bind(b"x" * 32)
    for change in ({"vectors": plan.vectors}, {"max_weight": 2}):
        with pytest.raises(secagg.ParameterError, match="leave out --vectors and --max-weight"):
            policy_under(replace(secagg.ClientPolicy(), **change), plan)
    with pytest.raises(secagg.ParameterError, match="take a plan for the model"):
        policy_under(secagg.ClientPolicy(threat_model="active"), plan)
    with pytest.raises(secagg.ParameterError, match=r"is 0.2, 1 of 5 clients, and the plan .* counts with 0"):
        policy_under(secagg.ClientPolicy(max_corrupt=0.2), plan)
    assert policy_under(secagg.ClientPolicy(max_corrupt=0.1), plan).max_corrupt == 0.1


def test_a_budget_begins_once(tmp_path: Path) -> None:
    path = tmp_path / "budget.sqlite"
    with pytest.raises(StoreError, match="cannot be used"):
        opened_budget(path, 7, None, None)
    assert opened_budget(path, 7, 4.0, 1e-6).limit.epsilon == 4.0
    assert opened_budget(path, 7, None, None).limit.delta == 1e-6
    with pytest.raises(secagg.ParameterError, match="has a budget of client 7"):
        opened_budget(path, 7, 8.0, 1e-6)
    with pytest.raises(secagg.ParameterError, match="give both the first time"):
        opened_budget(path, 7, 8.0, None)


def test_an_input_is_the_plans(plan: Plan) -> None:
    require_fit(plan, {"update": np.zeros(20)}, None)
    for arrays in ({"update": np.zeros(21)}, {"w": np.zeros(20)}, {"update": np.zeros(20, complex)}):
        with pytest.raises(secagg.ParameterError, match="are not those of the plan"):
            require_fit(plan, arrays, None)
    with pytest.raises(secagg.ParameterError, match="--weight is 3, and the plan has none; leave it out"):
        require_fit(plan, {"update": np.zeros(20)}, 3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--privacy-plan", "a.plan"], "go together"),
        (["--privacy-budget", "b"], "go together"),
        (["--privacy-epsilon", "4"], "begin a budget; give --privacy-budget"),
        (["--privacy-plan", "a.plan", "--privacy-budget", "b", "--strict"], "leave it out under a plan"),
        (["--privacy-plan", "a.plan", "--privacy-budget", "b"], "the budget file b cannot be used"),
    ],
)
def test_options_of_join(
    plan: Plan, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "update.npz", update=np.zeros(20))
    join = ["join", "--server", "127.0.0.1:1", "--session", "one", "--input", "update.npz", "--client", "1"]
    outcome = run(*join, "--plaintext", *words)
    assert outcome.out == ""
    assert (outcome.code != 0, outcome.err.count("\n")) == (True, 1)
    assert sentence in outcome.err
    assert not (tmp_path / "b").exists()


def test_a_budget_without_room_gives_no_input(plan: Plan, tmp_path: Path) -> None:
    parameters = served(tmp_path)
    FileBudget.begin(tmp_path / "budget.sqlite", 0.5, 1e-6, client=1)
    make = privatized(plan, FileBudget(tmp_path / "budget.sqlite", client=1), {"update": np.zeros(20)}, None)
    with pytest.raises(secagg.SecAggError, match=r"has spent epsilon=0 of 0\.5"):
        make(parameters)
