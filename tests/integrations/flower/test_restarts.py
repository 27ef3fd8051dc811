"""Rounds in which nodes deal garbage or complain falsely: they go on without these, exact, and name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.serverapp.strategy import FedAvg

import secagg
from secagg.errors import AbortReason, DropReason, ParameterError, SessionAbortedError
from secagg.integrations.flower import (
    Cells,
    Directory,
    Node,
    OwnCells,
    PrivacySettings,
    SecAgg,
    SecAggConfig,
    SessionOutcome,
    run_session,
    secagg_mod,
)
from secagg.integrations.flower.cells import cells_of_run, run_cells
from secagg.integrations.flower.mod import Mod
from secagg.integrations.flower.step import App
from secagg.integrations.restarts import ComplaintsError
from secagg.privacy import MemoryBudget
from tests.integrations.flower.culprits import Keys, complaining_falsely, dealing_garbage
from tests.integrations.flower.support import MODEL, Cohort, cohort, instructions, model, refusal, stage

Make = Callable[[Keys], Mod]


def with_culprits(group: Cohort, culprits: Mapping[int, Make], *, active: bool = True, **node: Any) -> Cohort:
    """Give some nodes a mod that stands before `secagg_mod`; `node` are further fields of these nodes."""
    roster = group.roster if active else None
    for client, make in culprits.items():
        identity = group.identities[client] if active else None
        own = Node(client, identity, roster, ledger=secagg.MemoryLedger() if active else None, **node)
        mods = (make((identity, roster)), secagg_mod(own, metrics=("loss", "accuracy")))
        group.grid.apps = {**group.grid.apps, 100 + client: group.trainers[client].app(*mods)}
    return group


def garbage(*receivers: int, when: Callable[[int], bool] = lambda session: True) -> Make:
    return lambda keys: dealing_garbage(keys, receivers or None, when)


def settings(group: Cohort, **changes: Any) -> SecAggConfig:
    given: dict[str, Any] = {"threat_model": "active", "roster": group.roster, "max_dropout": 0.2, "max_corrupt": 0.1}
    return SecAggConfig(**{**given, **changes})


def run(group: Cohort, server_round: int = 1, without: int = 0, **changes: Any) -> SessionOutcome:
    asked = instructions([node for node in group.grid.apps if node != without], server_round=server_round)
    return run_session(group.grid, asked, settings(group, **changes), clock=group.clock, timeout=600)


def assert_mean_of(group: Cohort, outcome: SessionOutcome, honest: list[int]) -> None:
    assert outcome.contributors == tuple(honest)
    assert outcome.arrays is not None
    weights = [group.trainers[client].examples for client in honest]
    mean = np.average([group.trainers[client].difference for client in honest], weights=weights)
    for key, base in MODEL.items():
        np.testing.assert_allclose(outcome.arrays[key].numpy(), base + mean, atol=4e-5)


def asked(group: Cohort, node: int, when: str) -> int:
    return sum(to == node and stage(message) == when for to, message in group.grid.sent)


def kept_in(group: Cohort, node: int) -> list[str]:
    return [name for name in group.grid.contexts[node].state if name.startswith("secagg.kept")]


def test_a_round_goes_on_without_culprits_and_names_them_with_evidence(tmp_path: Path) -> None:
    culprits: dict[int, Make] = {3: garbage(4), 17: lambda keys: complaining_falsely(keys, [2, 5])}
    group = with_culprits(cohort(20), culprits)
    outcome = run(group, restarts=1, evidence=tmp_path, metrics={"loss": 1.0})
    honest = [client for client in range(1, 21) if client not in culprits]
    assert_mean_of(group, outcome, honest)
    (blame,) = outcome.blame
    assert {each.client: each.reason for each in blame} == {
        3: DropReason.DEALT_UNREADABLE_PAIR,
        17: DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR,
    }
    for each in blame:
        assert each.evidence is not None
        assert secagg.verify_evidence(each.evidence, group.roster).client == each.client
    files = sorted(path.name.split("-")[1] for path in tmp_path.glob("client-*.evidence"))
    assert files == ["17", "3"]
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {each.evidence for each in blame}
    # The culprits are asked in one session, the others in two; an input is made once.
    assert [asked(group, 100 + client, "advertise_keys") for client in range(1, 21)] == [
        1 if client in culprits else 2 for client in range(1, 21)
    ]
    assert [len(group.trainers[client].trained) for client in honest] == [1] * len(honest)
    assert all(not kept_in(group, 100 + client) for client in honest)
    assert group.clock.time == 0


def test_hints_of_a_semi_honest_session_exclude_as_well() -> None:
    group = with_culprits(cohort(6, active=False), {3: garbage()}, active=False)
    outcome = run(group, threat_model="semi-honest", roster=None, restarts=1)
    assert_mean_of(group, outcome, [1, 2, 4, 5, 6])
    ((blame,),) = outcome.blame
    assert (blame.client, blame.evidence) == (3, None)


def test_restarts_stop(caplog: pytest.LogCaptureFixture) -> None:
    def first(session: int) -> bool:
        return session == 1

    culprits = {2: garbage(when=first), 3: garbage(when=lambda session: session == 2)}
    few: dict[str, Any] = {"max_corrupt": 0.0, "max_dropout": 0.34}
    with pytest.raises(ComplaintsError, match=r"\[2\] are to blame; there is no other .* restarts=0 is used up") as end:
        run(with_culprits(cohort(8), culprits), **few)
    assert end.value.reason is AbortReason.CLIENTS_COMPLAINED
    group = with_culprits(cohort(8), culprits)
    with pytest.raises(ComplaintsError, match=r"\[3\] are to blame; there is no other .* restarts=1 is used up") as end:
        run(group, restarts=1, **few)
    assert [[each.client for each in blame] for blame in end.value.blame] == [[2], [3]]
    assert "client 3 (node 103), which dealt shares that nobody can read" in caplog.text
    group = with_culprits(cohort(8), culprits)
    assert run(group, restarts=2, **few).contributors == (1, 4, 5, 6, 7, 8)


def test_a_round_that_too_few_are_left_for_says_so() -> None:
    for changes, sentence in (
        ({"minimum_contributors": 5}, "4 of 5 clients are left"),
        ({"minimum_cohort": 5, "minimum_contributors": 2, "threshold": 3}, "minimum_cohort is 5"),
    ):
        group = with_culprits(cohort(5), {2: garbage()})
        with pytest.raises(
            ComplaintsError, match=rf"\[2\] are to blame; there is no session without them: .*{sentence}"
        ):
            run(group, restarts=3, max_corrupt=0.0, max_dropout=0.0, **changes)


@pytest.mark.parametrize(
    ("active", "stay_out", "back"),
    [
        (True, "proved", False),
        (True, "nobody", True),
        (False, "proved", True),
        (False, "blamed", False),
    ],
)
def test_who_was_blamed_in_one_round_is_in_the_next_or_not(
    active: bool, stay_out: Any, back: bool, caplog: pytest.LogCaptureFixture
) -> None:
    group = with_culprits(cohort(6, active=active), {2: garbage(when=lambda session: session == 1)}, active=active)
    changes: dict[str, Any] = {} if active else {"threat_model": "semi-honest", "roster": None}
    config = settings(group, restarts=1, max_corrupt=0.0, stay_out=stay_out, **changes)
    nodes = len(group.grid.apps)
    inner = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    strategy = SecAgg(inner, config, clock=group.clock)
    for _ in range(2):
        strategy.start(group.grid, model(), num_rounds=2, train_config=None)
    honest, all_ = (1, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6)
    later = all_ if back else honest
    # The second start offers a round that its nodes gave their input to.
    assert [outcome.contributors for outcome in strategy.outcomes[:2]] == [honest, later]
    assert [len(outcome.blame) for outcome in strategy.outcomes[:2]] == [1, 0]
    assert ("it takes no part in later rounds" in caplog.text) is not back
    assert (asked(group, 102, "advertise_keys") == 1) is not back


def test_an_app_that_failed_is_not_run_again_and_counts_as_failed() -> None:
    group = with_culprits(cohort(6), {2: garbage(4)})
    calls: list[int] = []

    def fails(message: Message, context: Context, app: App) -> Message:
        if stage(message) == "" and "arrays" in message.content:
            calls.append(len(calls))
            raise OSError("the disk is full")
        return app(message, context)

    roster = group.roster
    own = Node(5, group.identities[5], roster, ledger=secagg.MemoryLedger())
    group.grid.apps = {**group.grid.apps, 105: group.trainers[5].app(secagg_mod(own, metrics=("loss",)), fails)}
    outcome = run(group, restarts=1, max_corrupt=0.0)
    assert outcome.contributors == (1, 3, 4, 5, 6)
    assert outcome.report.without_input == 1
    assert calls == [0]


def test_what_is_kept_is_out_of_sight_of_apps_and_gone_with_its_sum() -> None:
    group = with_culprits(cohort(6, clear=("query",)), {2: garbage(4)})
    seen: list[list[str]] = []

    @group.grid.apps[101].query()
    def query(message: Message, context: Context) -> Message:
        seen.append(sorted(context.state))
        return Message(RecordDict(), reply_to=message)

    with pytest.raises(ComplaintsError):
        run(group, max_corrupt=0.0)
    assert kept_in(group, 101)
    group.grid.ask(101, Message(RecordDict(), 101, "query"))
    assert [name for name in seen[0] if name.startswith("secagg.kept")] == []
    assert kept_in(group, 101)
    run(group, server_round=2, restarts=1, max_corrupt=0.0)
    assert not kept_in(group, 101)
    assert group.trainers[1].trained == [1, 2]
    assert not [name for names in group.trainers[1].state_keys for name in names if name.startswith("secagg.kept")]


@pytest.mark.parametrize("active", [True, False])
def test_an_input_whose_shares_were_shown_is_in_no_other_session(active: bool) -> None:
    changes: dict[str, Any] = {} if active else {"threat_model": "semi-honest", "roster": None}
    group = cohort(6, active=active)
    group.grid.on_answer = lambda node, reply: None if stage(group.grid.sent[-1][1]) == "unmasking" else reply
    with pytest.raises(SessionAbortedError):  # so says the server, which has all shares
        run(group, **changes)
    group.grid.on_answer = lambda node, reply: reply
    group.grid.replies.clear()
    with pytest.raises(SessionAbortedError):
        run(group, without=106, **changes)
    refused = [refusal(reply) for _, reply in group.grid.replies if reply.has_error()]
    assert len(refused) == 5
    assert all("has helped to open 1 of the sums" in reason for reason in refused)
    assert [len(trainer.trained) for trainer in group.trainers.values()] == [1] * 6
    assert run(group, server_round=2, **changes).contributors == (1, 2, 3, 4, 5, 6)


def test_an_input_that_nobody_opened_goes_into_the_next_session_and_the_one_before_stays_closed() -> None:
    group = cohort(6)
    old: dict[int, Message] = {}

    contexts: dict[int, Context] = {}

    def hold(node: int, message: Message) -> Message | None:
        if stage(message) == "unmasking" and node not in old:
            old[node], contexts[node] = message, group.grid.contexts[node]
            return None
        return message

    group.grid.on_request = hold
    with pytest.raises(SessionAbortedError):
        run(group)
    assert run(group, without=106).contributors == (1, 2, 3, 4, 5)
    # A server that has the state of a node restored, and asks for the shares of the session that it said was over:
    assert len(old) == 6
    for node in range(101, 106):
        group.grid.contexts[node] = contexts[node]
        assert "is in a later session of the same input" in refusal(group.grid.ask(node, old[node]))


def test_the_owner_may_allow_repeated_sums() -> None:
    group = cohort(6)
    for client in group.trainers:
        group.grid.apps = {
            **group.grid.apps,
            100 + client: group.trainers[client].app(
                secagg_mod(
                    Node(
                        client,
                        group.identities[client],
                        group.roster,
                        ledger=secagg.MemoryLedger(),
                        repeated_sums=1,
                    )
                )
            ),
        }
    for _ in range(2):
        assert run(group).contributors == (1, 2, 3, 4, 5, 6)
    with pytest.raises(SessionAbortedError):
        run(group)


def test_a_session_that_was_followed_counts_as_no_sum() -> None:
    """Nodes that give their input to one sum of a context go on with a round that begins again, and no other sum."""
    group = cohort(6)
    policy = secagg.ClientPolicy(sums_per_context=1, minimum_cohort_change=3)
    for client, trainer in group.trainers.items():
        node = Node(
            client,
            group.identities[client],
            group.roster,
            policy=policy,
            ledger=secagg.MemoryLedger(),
            participations=secagg.MemoryParticipationLedger(),
            repeated_sums=5,
        )
        group.grid.apps = {**group.grid.apps, 100 + client: trainer.app(secagg_mod(node))}
    with_culprits(group, {2: garbage()})
    assert run(group, restarts=1, max_corrupt=0.0).contributors == (1, 3, 4, 5, 6)
    group.grid.replies.clear()
    with pytest.raises(SessionAbortedError):
        run(group, without=102, max_corrupt=0.0)
    refused = [refusal(reply) for _, reply in group.grid.replies if reply.has_error()]
    assert len(refused) == 5
    assert all("sums_per_context=1" in reason for reason in refused)


def test_a_restart_under_a_privacy_plan_is_another_draw() -> None:
    budgets = {client: MemoryBudget(100.0, 1e-3) for client in range(1, 7)}
    group = with_culprits(cohort(6, budgets=budgets.__getitem__), {2: garbage(4)}, budget=budgets[2])
    privacy = PrivacySettings(epsilon=50.0, delta=1e-3, clip=1.0, rounds=3, clients=6)
    outcome = run(group, restarts=1, privacy=privacy, max_corrupt=0.0, minimum_contributors=4)
    assert outcome.contributors == (1, 3, 4, 5, 6)
    assert outcome.release is not None
    assert [each.client for each in outcome.blame[0]] == [2]
    # Client 4 complained, so that its first draw is that of the second session.
    assert {client: budget.report().draws for client, budget in budgets.items()} == {1: 2, 2: 1, 3: 2, 4: 1, 5: 2, 6: 2}
    assert [len(group.trainers[client].trained) for client in outcome.contributors] == [1] * 5


def test_a_cell_with_a_culprit_has_no_sum_and_is_not_played_again() -> None:
    group = cohort(12, active=False, cells=OwnCells(floor=4))
    with_culprits(group, {2: garbage()}, active=False, cells=OwnCells(floor=4))
    config = SecAggConfig(cells=Cells(size=4, seed=bytes(range(32)), floor=4))
    outcome = run_cells(group.grid, instructions(group.grid.apps), config, cells_of_run(config), clock=group.clock)
    ((cell, (blame,)),) = outcome.blame.items()
    assert 2 in outcome.partition.cells[cell]
    assert blame.client == 2
    assert "clients [2] are to blame; it is not played again" in outcome.missing[cell]
    assert set(outcome.sums.cells) == {0, 1, 2} - {cell}
    assert all(asked(group, node, "advertise_keys") == 1 for node in group.grid.apps)


def test_a_cell_with_a_culprit_has_no_sum_in_later_rounds_either() -> None:
    group = cohort(12, active=False, cells=OwnCells(floor=4))
    with_culprits(group, {2: garbage()}, active=False, cells=OwnCells(floor=4))
    config = SecAggConfig(cells=Cells(size=4, seed=bytes(range(32)), floor=4), stay_out="blamed")
    cells, directory = cells_of_run(config), Directory()
    for number in (1, 2):
        told = instructions(group.grid.apps, server_round=number)
        outcome = run_cells(group.grid, told, config, cells, directory=directory, clock=group.clock)
    cell = outcome.partition.cell_of(2)
    assert outcome.missing[cell].startswith("clients [2] made a session of an earlier round end and take no part")
    assert not outcome.blame
    assert all(asked(group, 100 + c, "advertise_keys") == 1 for c in outcome.partition.cells[cell])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"restarts": -1}, r"restarts=-1 is no whole number of 0 \.\. 99"),
        ({"restarts": True}, "restarts=True"),
        ({"restarts": 100}, "restarts=100"),
        ({"stay_out": "everybody"}, "stay_out='everybody' says not who takes no part in later rounds"),
        ({"evidence": "/nowhere/at/all"}, "evidence='/nowhere/at/all' is no directory"),
        ({"restarts": 1, "cells": Cells(size=8)}, "restarts=1 is of whole cohorts"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        SecAggConfig(**changes)
