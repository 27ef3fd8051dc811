"""A budget before real sessions: replays, crashes, snapshots and clips, against a server that chooses the nonce."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import (
    BudgetExceededError,
    ClientSession,
    LocalProtocolError,
    MemoryLedger,
    ParameterError,
    Round,
    SessionAbortedError,
    SessionParameters,
)
from secagg.executor import INLINE
from secagg.privacy.budget import Budget, MemoryBudget
from secagg.privacy.budget_file import FileBudget
from secagg.privacy.plan import Plan
from tests.harness import TEST_POLICY, Harness

CLIENT = 1


def plan_of(**changes: Any) -> Plan:
    terms: dict[str, Any] = {
        **{"arrays": {"w": (8,)}, "clip": 1.0, "epsilon": 4.0, "delta": 1e-5, "rounds": 3},
        **{"clients": 5, "minimum_contributors": 4, "max_corrupt": 0.2, "max_dropout": 0.2, "rotation": False},
    }
    return Plan.choose(**terms | changes)


def under(plan: Plan, seed: int = 0, **options: Any) -> Harness:
    return Harness(
        5,
        vectors=plan.vectors,
        minimum_contributors=4,
        threshold=3,
        context=plan.bind(b"round 1"),
        seed=seed,
        **options,
    )


def contribute(plan: Plan, budget: Budget, client: ClientSession) -> Any:
    """What a client does: draws, spends, and only then hands its input to the session."""
    private = plan.privatize({"w": np.full(8, 0.1)}, parameters=client.parameters)
    arrays = budget.spend(plan, private, client.parameters)
    client.set_input(arrays)
    return arrays


@pytest.fixture
def plan() -> Plan:
    return plan_of()


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"rounds": 1}, {"rounds": 50, "epsilon": 1.0}, {"noise": "each"}, {"neighbours": "replace"},
        {"adaptive": True}, {"weights": 10, "epsilon": 8.0}, {"noise": "server"},
        {"clients": 99, "minimum_contributors": 80, "max_dropout": 0.2, "topology": "sparse"},
    ],
)  # fmt: skip
def test_all_rounds_of_a_plan_fit_the_budget_that_it_was_chosen_for_and_no_more(changes: dict[str, Any]) -> None:
    plan = plan_of(**changes)
    observer = "public" if changes.get("noise") == "server" else "server"
    budget = MemoryBudget(plan.epsilon, plan.delta, neighbours=plan.neighbours, observer=observer)
    budget.check(plan)
    assert plan.rounds <= budget.rounds_left(plan) <= plan.rounds * 1.05 + 1
    tighter = MemoryBudget(plan.epsilon * 0.97, plan.delta, neighbours=plan.neighbours, observer=observer)
    with pytest.raises(BudgetExceededError):
        tighter.check(plan)


def test_rounds_are_spent_one_by_one_and_then_no_more(plan: Plan) -> None:
    budget = MemoryBudget(plan.epsilon, plan.delta)
    for seed in range(3):
        contribute(plan, budget, under(plan, seed).clients[CLIENT])
    assert budget.report().draws == 3
    with pytest.raises(BudgetExceededError, match="drawn 3 times"):
        contribute(plan, budget, under(plan, 3).clients[CLIENT])


def test_another_clip_is_another_round_of_the_same_plan() -> None:
    plan = plan_of(adaptive=True, rounds=2)
    budget = MemoryBudget(plan.epsilon, plan.delta)
    for clip in (1.0, 0.5):
        now = plan.with_clip(clip)
        assert now.digest != plan_of(adaptive=True, rounds=2).with_clip(clip * 2).digest
        contribute(now, budget, under(now).clients[CLIENT])
    with pytest.raises(BudgetExceededError, match="drawn 2 times"):
        contribute(plan.with_clip(0.25), budget, under(plan.with_clip(0.25)).clients[CLIENT])


def test_the_same_offer_twice_costs_twice_without_a_ledger(plan: Plan) -> None:
    """The server chooses the nonce: a replayed offer is the same session, and its noise is not the same."""
    budget, harness = MemoryBudget(plan.epsilon, plan.delta), under(plan)
    first = contribute(plan, budget, harness.clients[CLIENT])
    again = harness.make_client(CLIENT)
    assert again.parameters == harness.clients[CLIENT].parameters
    second = contribute(plan, budget, again)
    assert budget.report().draws == 2
    assert not np.array_equal(first["w"], second["w"])


def test_the_same_offer_twice_is_refused_by_a_ledger_before_a_second_input_leaves(plan: Plan) -> None:
    budget, ledger = MemoryBudget(plan.epsilon, plan.delta), MemoryLedger()
    harness = under(plan)
    harness.clients[CLIENT] = harness.make_client(CLIENT, ledger=ledger)
    request = harness.requests[CLIENT]
    assert harness.clients[CLIENT].receive(request) is not None
    again = harness.make_client(CLIENT, ledger=ledger, randomness=harness.source.fork("another process"))
    contribute(plan, budget, again)
    with pytest.raises(SessionAbortedError, match="another copy"):
        again.receive(request)
    assert budget.report().draws == 1


def test_the_noise_of_one_session_goes_into_no_other(plan: Plan) -> None:
    budget, harness = MemoryBudget(plan.epsilon, plan.delta), under(plan)
    private = plan.privatize({"w": np.zeros(8)})
    budget.spend(plan, private, harness.parameters)
    for other in (harness, under(plan, 1)):
        with pytest.raises(LocalProtocolError, match="handed out before"):
            budget.spend(plan, private, other.parameters)


def test_a_resumed_session_has_the_same_noise_and_costs_nothing_more(plan: Plan, tmp_path: Path) -> None:
    budget = FileBudget.begin(tmp_path / "budget", plan.epsilon, plan.delta, client=CLIENT)
    harness = under(plan, with_ledgers=True)
    zeros = {"w": np.zeros(8, dtype=np.int64)}
    harness.inputs = dict.fromkeys(harness.cohort, zeros)
    harness.run_to(Round.MASKED_INPUT)
    sent = contribute(plan, budget, harness.clients[CLIENT])
    for _ in range(2):
        frozen = harness.clients[CLIENT].snapshot()
        harness.clients[CLIENT] = ClientSession.resume(frozen, ledger=harness.ledgers[CLIENT])
    answer = harness.clients[CLIENT].receive(harness.requests[CLIENT])
    assert answer is not None
    harness.deliver(CLIENT, answer)
    # Killed between upload and answer, and resumed once more: the same bytes.
    frozen = harness.clients[CLIENT].snapshot()
    harness.clients[CLIENT] = ClientSession.resume(frozen, ledger=harness.ledgers[CLIENT])
    assert harness.clients[CLIENT].receive(harness.requests[CLIENT]) == answer
    harness.play_round(silent={CLIENT})
    harness.finish()
    assert harness.server.result.vectors["w"].tolist() == sent["w"].tolist()
    assert FileBudget(tmp_path / "budget", client=CLIENT).report().draws == 1


def test_a_client_that_dies_before_its_upload_has_spent(plan: Plan, tmp_path: Path) -> None:
    budget = FileBudget.begin(tmp_path / "budget", plan.epsilon, plan.delta)
    harness = under(plan)
    contribute(plan, budget, harness.clients[CLIENT])
    del harness.clients[CLIENT], budget
    again = FileBudget(tmp_path / "budget")
    assert again.report().draws == 1
    contribute(plan, again, harness.make_client(CLIENT))
    assert again.report().draws == 2


def test_a_refused_spending_leaves_the_session_without_input(plan: Plan) -> None:
    budget = MemoryBudget(0.1, plan.delta)
    harness = under(plan).run_to(Round.MASKED_INPUT)
    client = harness.clients[CLIENT]
    with pytest.raises(BudgetExceededError):
        contribute(plan, budget, client)
    with pytest.raises(LocalProtocolError, match="input"):
        client.receive(harness.requests[CLIENT])


def test_integers_of_a_dearer_plan_are_not_paid_as_those_of_a_cheaper_one(plan: Plan) -> None:
    dear = plan.with_clip(2.0)
    budget = MemoryBudget(plan.epsilon, plan.delta)
    with pytest.raises(ParameterError, match="another plan"):
        budget.spend(plan, dear.privatize({"w": np.zeros(8)}), under(plan).parameters)
    assert budget.report().draws == 0


def test_a_session_that_is_not_the_plans_is_not_paid_for(plan: Plan) -> None:
    budget, private = MemoryBudget(plan.epsilon, plan.delta), plan.privatize({"w": np.zeros(8)})
    for wrong in (
        Harness(5, vectors=plan.vectors, minimum_contributors=4, threshold=3),
        Harness(5, vectors=plan.vectors, minimum_contributors=3, threshold=3, context=plan.bind()),
        Harness(5, vectors=plan.vectors, minimum_contributors=4, threshold=1, context=plan.bind()),
    ):
        with pytest.raises(ParameterError, match="does not fit the plan"):
            budget.spend(plan, private, wrong.parameters)
    assert budget.report().draws == 0
    budget.spend(plan, private, under(plan).parameters)


def test_a_participant_pays_for_each_process_that_draws_and_not_for_one_that_goes_on(tmp_path: Path) -> None:
    """`participate(inputs=...)` takes a function: it spends in each process that still has to make the input."""
    pytest.importorskip("grpc")
    from secagg.transport.participant import Participant
    from secagg.transport.state import ParticipantState

    plan = plan_of(rounds=9)
    FileBudget.begin(tmp_path / "budget", plan.epsilon, plan.delta)
    harness = under(plan)

    def inputs(parameters: SessionParameters) -> Any:
        private = plan.privatize({"w": np.full(8, 0.1)}, parameters=parameters)
        return FileBudget(tmp_path / "budget").spend(plan, private, parameters)

    def process() -> Any:
        state = ParticipantState(tmp_path / "state", "s1", CLIENT)
        options: dict[str, Any] = dict.fromkeys(("weight", "identity", "roster", "participations", "answers", "reuse"))
        return Participant(
            harness.server.offer,
            CLIENT,
            inputs=inputs,
            strict=True,
            policy=TEST_POLICY,
            state=state,
            executor=INLINE,
            **options,
        )

    draws = []
    for round_ in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT, Round.UNMASKING):
        first = process()  # each answers one request and dies
        answer = first.answer(harness.requests[CLIENT])
        draws.append(FileBudget(tmp_path / "budget").report().draws)
        again = process().answer(harness.requests[CLIENT])
        assert again == answer
        harness.deliver(CLIENT, answer[1])
        harness.play_round(silent={CLIENT})
        assert harness.round is not round_
    # Two processes of each of the first rounds drew, and one of the third; after it, the input is in the snapshot.
    assert draws == [1, 3, 5, 5]
    assert FileBudget(tmp_path / "budget").report().draws == 5
