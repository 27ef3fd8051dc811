"""Flower's sums under a privacy plan: what is summed, what it costs each node, and which offers a node refuses."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import context_from_proto, context_to_proto
from flwr.serverapp.strategy import FedAvg

import secagg
from secagg.errors import BudgetExceededError, ParameterError, SessionAbortedError
from secagg.integrations.flower import (
    Node,
    PrivacySettings,
    SecAgg,
    SecAggConfig,
    SessionOutcome,
    node_from_config,
    run_session,
    secagg_mod,
)
from secagg.integrations.flower.private import ContextBudget
from secagg.integrations.private import OVER_BUDGET
from secagg.privacy import FileBudget, Limit, MemoryBudget, Plan
from tests.integrations.flower.support import (
    MODEL,
    Cohort,
    FakeClock,
    FakeGrid,
    cohort,
    instructions,
    model,
    refusal,
    stage,
)

ROUNDS = 3
PRIVACY = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=ROUNDS, clients=5)
OPEN = {"max_corrupt": 0.0, "max_dropout": 0.2, "minimum_contributors": 4}


def budget(epsilon: float = 100.0) -> MemoryBudget:
    return MemoryBudget(epsilon, 1e-3)


def group_of(budgets: Callable[[int], Any] | None = None, **options: Any) -> tuple[Cohort, dict[int, MemoryBudget]]:
    held = {client: budget() for client in range(1, 6)}
    return cohort(5, budgets=budgets or held.__getitem__, **options), held


def play(
    group: Cohort, privacy: PrivacySettings | None = PRIVACY, server_round: int = 1, **settings: Any
) -> SessionOutcome:
    chosen = {"threat_model": "active", "roster": group.roster, **OPEN, **settings}
    config = SecAggConfig(privacy=privacy, **chosen)
    asked = instructions(group.grid.apps, server_round=server_round)
    return run_session(group.grid, asked, config, clock=group.clock)


def moved(outcome: SessionOutcome) -> np.ndarray[Any, Any]:
    """What the round changed, over all arrays."""
    assert outcome.arrays is not None
    return np.concatenate([(outcome.arrays[key].numpy() - MODEL[key]).ravel() for key in MODEL])


def sigma(outcome: SessionOutcome) -> float:
    """Standard deviation of the noise of one entry of the mean."""
    assert outcome.plan is not None
    return math.sqrt(len(outcome.contributors) * outcome.plan.variance16 / 16) / outcome.plan.grid / 5


def draws(held: Mapping[int, MemoryBudget]) -> list[int]:
    return [each.report().draws for each in held.values()]


def refusals(group: Cohort) -> set[str]:
    return {refusal(reply) for _, reply in group.grid.replies if reply.has_error()}


def test_the_mean_has_the_noise_that_was_promised_and_every_node_pays_for_one_draw() -> None:
    group, held = group_of()
    outcome = play(group)
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert outcome.plan is not None
    assert outcome.plan.statement.epsilon == 50.0
    change = moved(outcome)
    # Differences are client/100, so the mean is 0.03; the noise is 0 with probability far below 2^-99.
    assert np.abs(change - 0.03).max() < 12 * sigma(outcome)
    assert len(set(change.tolist())) > 1
    assert {key: outcome.arrays[key].numpy().dtype for key in MODEL} == {k: a.dtype for k, a in MODEL.items()}  # type: ignore[index]
    assert draws(held) == [1] * 5
    assert (outcome.metrics, outcome.total_weight, outcome.report.without_input) == ({}, None, 0)
    for _, reply in group.grid.replies:
        assert set(reply.content) <= {"secagg", "secagg.message"}


def test_the_noise_of_many_entries_has_the_promised_variance() -> None:
    held = budget(), budget(), budget()
    entries = 4000

    def app_of(client: int) -> ClientApp:
        app = ClientApp(mods=[secagg_mod(Node(client, budget=held[client - 1]))])

        @app.train()
        def train(message: Message, context: Context) -> Message:
            arrays = message.content.array_records["arrays"]
            metrics = MetricRecord({"num-examples": 1})
            return Message(RecordDict({"arrays": ArrayRecord(dict(arrays)), "m": metrics}), reply_to=message)

        return app

    apps = {client: app_of(client) for client in (1, 2, 3)}
    grid = FakeGrid(apps)
    content = RecordDict({"arrays": ArrayRecord({"w": Array(np.zeros(entries))}), "config": ConfigRecord({})})
    settings = PrivacySettings(epsilon=8.0, delta=1e-3, clip=1.0, rounds=1, clients=3)
    config = SecAggConfig(privacy=settings, max_corrupt=0.0, minimum_contributors=3)
    outcome = run_session(grid, [Message(content, node, "train") for node in apps], config, clock=FakeClock())
    assert outcome.arrays is not None
    assert outcome.plan is not None
    promised = outcome.plan.statement.noise_of_mean
    # 4000 entries: the standard deviation is off by 6 of its own with probability below 1e-8.
    assert abs(float(outcome.arrays["w"].numpy().std()) / promised - 1) < 6 / math.sqrt(2 * entries) + 0.01


def test_a_weighted_mean_has_its_weights_in_the_plan() -> None:
    held = [budget() for _ in range(12)]
    group = cohort(
        12, active=False, budgets=lambda client: held[client - 1], examples=lambda client: 100 if client > 1 else 0
    )
    weighted = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=1, clients=12, weights=50)
    outcome = play(group, weighted, threat_model="semi-honest", minimum_contributors=12)
    assert outcome.plan is not None
    assert outcome.release is not None
    assert outcome.release.total_weight is not None
    noise = math.sqrt(12 * outcome.plan.variance16 / 16) / outcome.plan.weight_steps
    assert 0 < noise < 1
    # Eleven clients of weight 1, one of weight 0; within 8 sigma, beyond which noise is with probability below 1e-14.
    assert abs(outcome.release.total_weight - 11.0) < 8 * noise
    assert [each.report().draws for each in held] == [1] * 12


def test_a_total_weight_that_may_be_noise_moves_nothing() -> None:
    group, held = group_of(examples=lambda client: 0)
    weighted = PrivacySettings(epsilon=8.0, delta=1e-3, clip=1.0, rounds=1, clients=5, weights=50)
    with pytest.raises(SessionAbortedError, match="may be noise alone"):
        play(group, weighted)
    assert draws(held) == [1] * 5


def test_a_strategy_trains_and_spends_a_round_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    group, held = group_of()
    config = SecAggConfig(threat_model="active", roster=group.roster, privacy=PRIVACY, **OPEN)  # type: ignore[arg-type]
    strategy = SecAgg(FedAvg(), config, clock=group.clock)
    with caplog.at_level(logging.INFO, "flwr.secagg"):
        strategy.start(grid=group.grid, initial_arrays=model(), num_rounds=ROUNDS)
    assert draws(held) == [ROUNDS] * 5
    digests = {outcome.plan.digest for outcome in strategy.outcomes if outcome.plan is not None}
    assert len(digests) == 1
    # The plan was for three rounds.
    with pytest.raises(SessionAbortedError):
        play(group)
    assert draws(held) == [ROUNDS] * 5
    assert OVER_BUDGET in refusals(group)
    assert not [said for said in refusals(group) if "m^2" in said or "has spent" in said], "a budget is nobody's matter"
    assert "has spent epsilon" in caplog.text
    assert all(trainer.trained == [1, 2, 3] for trainer in group.trainers.values()), "it refuses before it trains"


def test_a_plan_beyond_the_budget_is_refused_before_anything_is_spent() -> None:
    group, _ = group_of(lambda client: budget(1.0))
    with pytest.raises(SessionAbortedError):
        play(group)
    assert refusals(group) == {OVER_BUDGET}
    assert not any(trainer.trained for trainer in group.trainers.values())


def told_smaller_floor(plan: Plan, clients: Any, context: bytes, **choices: Any) -> secagg.SessionParameters:
    return secagg.SessionParameters.choose(
        clients=clients, vectors=plan.vectors, threat_model="semi-honest", minimum_contributors=2, threshold=2,
        max_corrupt=0.0, context=plan.bind(context),
    )  # fmt: skip


def told_other_plan(plan: Plan, clients: Any, context: bytes, **choices: Any) -> secagg.SessionParameters:
    return secagg.SessionParameters.choose(
        clients=clients, vectors=plan.vectors, minimum_contributors=4, max_corrupt=0.0,
        context=plan.with_clip(100.0).bind(context),
    )  # fmt: skip


def told_other_vectors(plan: Plan, clients: Any, context: bytes, **choices: Any) -> secagg.SessionParameters:
    vectors = {name: secagg.Integers(-1, 1, shape=spec.shape) for name, spec in plan.vectors.items()}
    return secagg.SessionParameters.choose(
        clients=clients, vectors=vectors, minimum_contributors=4, max_corrupt=0.0, context=plan.bind(context)
    )


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        (told_smaller_floor, "may hold only 2 honest shares of noise"),
        (told_other_plan, "its context does not begin with the plan's digest"),
        (told_other_vectors, "its vectors are not those of the plan"),
    ],
)
def test_an_offer_that_makes_the_statement_false_is_refused(
    lie: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "parameters", lie)
    group, held = group_of(active=False)
    with pytest.raises(SessionAbortedError):
        play(group, threat_model="semi-honest")
    assert len(refusals(group)) == 1
    assert sentence in next(iter(refusals(group)))
    assert draws(held) == [0] * 5
    assert not any(trainer.trained for trainer in group.trainers.values())


def test_a_plan_that_takes_accomplices_for_honest_is_refused() -> None:
    """The session resists one corrupt node of five; its noise was chosen as if there were none."""
    group, held = group_of(active=False, policy=secagg.ClientPolicy(max_corrupt=0.2))
    with pytest.raises(SessionAbortedError):
        play(group, threat_model="semi-honest")
    assert "believes that 1 of 5 clients may be corrupt, and the plan counts with 0" in next(iter(refusals(group)))
    assert draws(held) == [0] * 5


def test_a_plan_that_claims_more_than_its_integers_give_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Plan.to_bytes

    def forged(plan: Plan) -> bytes:
        object.__setattr__(plan, "epsilon", 0.5)
        return honest(plan)

    group, held = group_of(active=False)
    settings = PrivacySettings(epsilon=40.0, delta=1e-3, clip=1.0, rounds=1, clients=5)
    monkeypatch.setattr(Plan, "to_bytes", forged)
    with pytest.raises(SessionAbortedError):
        play(group, settings, threat_model="semi-honest")
    (said,) = refusals(group)
    assert "a plan claims epsilon=0.5, and its integers give 39.9" in said or "its integers give 40" in said
    assert draws(held) == [0] * 5


def test_another_plan_with_the_instruction_than_with_the_offer_is_refused() -> None:
    group, held = group_of()

    def on_request(node: int, message: Message) -> Message:
        if stage(message) == "masked_input":
            record = message.content.config_records["secagg.plan"]
            plan = Plan.from_bytes(record["privacy"])  # type: ignore[arg-type]
            record["privacy"] = plan.with_clip(1000.0).to_bytes()
        return message

    group.grid.on_request = on_request
    with pytest.raises(SessionAbortedError):
        play(group)
    assert "its context does not begin with the plan's digest" in next(iter(refusals(group)))
    assert draws(held) == [0] * 5
    assert not any(trainer.trained for trainer in group.trainers.values())


def test_a_node_without_a_budget_is_in_no_plan_and_one_with_a_budget_in_nothing_else() -> None:
    without, _ = group_of(lambda client: None)
    with pytest.raises(SessionAbortedError):
        play(without)
    assert "this client's owner gave its data no privacy budget" in next(iter(refusals(without)))
    group, held = group_of()
    with pytest.raises(SessionAbortedError):
        play(group, None)
    assert "under a privacy plan only" in next(iter(refusals(group)))
    evaluation = SecAggConfig(
        threat_model="active", roster=group.roster, evaluate_metrics={"accuracy": 1.0}, max_corrupt=0.0
    )
    with pytest.raises(SessionAbortedError):
        run_session(group.grid, instructions(group.grid.apps, "evaluate"), evaluation, clock=group.clock)
    assert draws(held) == [0] * 5


@pytest.mark.parametrize("option", [{"clear": ("evaluate",)}, {"clear_metrics": ("loss",)}, {"strict": True}])
def test_what_would_tell_without_noise_does_not_go_with_a_budget(option: Any, caplog: pytest.LogCaptureFixture) -> None:
    group, _ = group_of(**option)
    (message,) = instructions([101], "evaluate")
    message.metadata.__dict__["_message_id"] = "m"
    assert group.grid.ask(101, message).has_error()
    with pytest.raises(SessionAbortedError):
        play(group)
    assert "would tell of them without noise" in caplog.text


@pytest.mark.parametrize("differences", [math.nan, math.inf, 1e300, "wrong shape"])
def test_no_value_makes_a_node_leave_or_pay_less(differences: Any) -> None:
    odd = np.zeros(7) if differences == "wrong shape" else differences
    group, held = group_of()
    group.trainers[3].difference = odd
    outcome = play(group)
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert not outcome.drops
    assert draws(held) == [1] * 5
    assert np.isfinite(moved(outcome)).all()
    largest = 1.0 / 5 + 0.2  # one update of norm 1 in the mean, and the others
    assert np.abs(moved(outcome)).max() < largest + 12 * sigma(outcome)


def test_an_app_that_fails_gives_zeros_with_noise_and_pays(caplog: pytest.LogCaptureFixture) -> None:
    group, held = group_of()
    failing = ClientApp(mods=[secagg_mod(Node(3, group.identities[3], group.roster, ledger=secagg.MemoryLedger(),
                                              budget=held[3]))])  # fmt: skip

    @failing.train()
    def train(message: Message, context: Context) -> Message:
        raise ValueError("image 17 of patient 4 is broken")

    group.grid.apps = {**group.grid.apps, 103: failing}
    outcome = play(group)
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert draws(held) == [1] * 5
    assert not any("patient" in str(reply.error) for _, reply in group.grid.replies if reply.has_error())
    assert np.abs(moved(outcome) - 0.024).max() < 12 * sigma(outcome)
    assert "gives zeros to the sum" in caplog.text


def test_a_request_again_is_the_same_noise_and_costs_nothing_more() -> None:
    group, held = group_of()
    same: list[bool] = []

    def on_answer(node: int, reply: Message) -> Message:
        request = group.grid.sent[-1][1]
        if stage(request) == "masked_input":
            first, second = (r.content.array_records["secagg.message"]["bytes"].data
                             for r in (reply, group.grid.ask(node, request)))  # fmt: skip
            same.append(first == second)
        return reply

    group.grid.on_answer = on_answer
    play(group)
    assert same == [True] * 5
    assert draws(held) == [1] * 5


def test_a_context_that_went_back_draws_anew_and_pays_again() -> None:
    group, held = group_of(active=False)
    other: list[bool] = []

    def on_request(node: int, message: Message) -> Message:
        if stage(message) == "masked_input" and node == 102:
            before = context_from_proto(context_to_proto(group.grid.contexts[node]))
            first = group.grid.ask(node, message)
            group.grid.contexts[node] = before
            second = group.grid.ask(node, message)
            other.append(first.content.array_records != second.content.array_records)
        return message

    group.grid.on_request = on_request
    play(group, threat_model="semi-honest")
    assert other == [True]
    assert draws(held)[1] == 2
    assert draws(held)[0] == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"metrics": {"loss": 1.0}}, "metrics without noise"),
        ({"evaluate_metrics": {"accuracy": 1.0}}, "measure on data of the server's own"),
        ({"evaluate_in_clear": True}, "metrics without noise"),
        ({"max_weight": 500}, r"PrivacySettings\(weights=...\)"),
        ({"clip": 4.0}, r"PrivacySettings\(clip=...\)"),
        ({"bits": 20}, "no privacy plan has"),
        ({"difference": False}, "would clip whole models"),
        ({"threshold": 3}, "follow from a privacy plan"),
        ({"privacy": {"epsilon": 8}}, "privacy is a dict"),
    ],
)
def test_settings_that_a_plan_excludes(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        SecAggConfig(**{"privacy": PRIVACY, **settings})


@pytest.mark.parametrize(("field", "value"), [("epsilon", 0.0), ("delta", 0.5), ("clip", math.inf), ("clients", 1.5)])
def test_settings_outside_of_their_ranges(field: str, value: Any) -> None:
    given = {"epsilon": 8.0, "delta": 1e-5, "clip": 1.0, "rounds": 5, "clients": 10, field: value}
    with pytest.raises(ParameterError):
        PrivacySettings(**given)


def test_counters_have_no_place_in_a_plan_and_small_cohorts_no_session() -> None:
    group, _ = group_of()
    content = RecordDict({"arrays": ArrayRecord({"steps": Array(np.zeros(3, np.int64)), "w": Array(np.zeros(3))})})
    config = SecAggConfig(privacy=PRIVACY, **OPEN)  # type: ignore[arg-type]
    messages = [Message(content, node, "train") for node in group.grid.apps]
    with pytest.raises(ParameterError, match=r"'steps' is int64.*only="):
        run_session(group.grid, messages, config, clock=group.clock)
    with pytest.raises(SessionAbortedError, match="3 nodes are there for a session, and the floor of the privacy plan"):
        run_session(group.grid, instructions([101, 102, 103]), config, clock=group.clock)


def context(**settings: Any) -> Context:
    config = {key.replace("_", "-"): value for key, value in settings.items()}
    return Context(1, 4711, config, RecordDict(), {})


def test_a_node_says_its_budget(tmp_path: Path) -> None:
    path = tmp_path / "budget.sqlite"
    FileBudget.begin(path, 8.0, 1e-6, client=17)
    node = node_from_config(context(secagg_client_id=17, secagg_privacy_budget=str(path)))
    assert isinstance(node.budget, FileBudget)
    assert node.budget.limit == Limit(8.0, 1e-6)
    run = node_from_config(context(secagg_privacy_epsilon=4, secagg_privacy_delta=1e-5)).budget
    assert isinstance(run, ContextBudget)
    assert (run.limit, run.client) == (Limit(4.0, 1e-5), 4711)
    assert node_from_config(context()).budget is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"secagg_privacy_epsilon": 4}, "secagg-privacy-epsilon stands alone"),
        ({"secagg_privacy_epsilon": "4", "secagg_privacy_delta": 1e-5}, "secagg-privacy-epsilon is '4'; give a number"),
        ({"secagg_privacy_epsilon": 0, "secagg_privacy_delta": 1e-5}, "above 0 and at most 100"),
        ({"secagg_privacy_budget": "nowhere"}, "secagg-privacy-budget: the budget file nowhere cannot be used"),
        ({"secagg_privacy_budget": "x", "secagg_privacy_delta": 1e-5}, "whose file has its own epsilon and delta"),
    ],
)
def test_wrong_settings_of_a_budget(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        node_from_config(context(**settings))


def test_a_budget_of_a_run_lives_in_flowers_context() -> None:
    group = cohort(5, active=False)
    limit = Limit(50.0, 1e-3)
    for client, trainer in group.trainers.items():
        config: dict[str, Any] = {"secagg-client-id": client}
        config |= {"secagg-privacy-epsilon": limit.epsilon, "secagg-privacy-delta": limit.delta}
        group.grid.contexts[100 + client].node_config.update(config)
        group.grid.apps = {**group.grid.apps, 100 + client: trainer.app(secagg_mod())}
    for server_round in (1, 2):
        play(group, server_round=server_round, threat_model="semi-honest")
    left = ContextBudget(limit, 1, group.grid.contexts[101].state)
    assert left.report().draws == 2
    assert "secagg.session" not in group.trainers[1].state_keys[0]
    play(group, server_round=3, threat_model="semi-honest")
    with pytest.raises(SessionAbortedError):
        play(group, server_round=4, threat_model="semi-honest")
    plan = Plan.choose(arrays={"w": (3,)}, clip=1.0, epsilon=50.0, delta=1e-3, clients=5, max_corrupt=0.0)
    with pytest.raises(BudgetExceededError):
        ContextBudget(limit, 1, group.grid.contexts[101].state).check(plan)
