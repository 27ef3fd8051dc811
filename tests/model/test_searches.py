"""The model check holds for the protocol, and notices every control."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import cache

import pytest

from protocol_specs.model.client import Client, Outcome
from protocol_specs.model.cohort import Cohort, Rules
from protocol_specs.model.controls import (
    CONTROLS,
    HONEST,
    LYING,
    P1,
    P2,
    P5,
    PROTOCOL,
    REDUNDANT,
    RING,
    UNCONNECTED,
    WEIGHED,
    Control,
    without,
)
from protocol_specs.model.honest import Fate, Server, search_dropouts, steps, unmasked_sum
from protocol_specs.model.knowledge import (
    Breach,
    Player,
    Property,
    State,
    first_breach,
    readable_sums,
    rebuildable,
)
from protocol_specs.model.lying import Adversary
from protocol_specs.model.machines import explore_client, server_table_edges, table_edges
from protocol_specs.model.participation import APART, TOGETHER, Offers, find_difference
from protocol_specs.model.search import Result, Task, lines, replay
from protocol_specs.model.search import search as search_anew
from secagg import AbortReason, ClientPhase, ServerPhase, ThreatModel, Violation
from secagg.protocol.messages import Abort


@cache
def search(task: Task) -> Result:
    """What is found: controls share the sound task that they are held against."""
    return search_anew(task)


SMALL = [task for task in PROTOCOL if task.cohort.clients < 6]
LARGE = [task for task in PROTOCOL if task.cohort.clients >= 6]


@pytest.mark.parametrize("task", SMALL, ids=lambda task: str(task.cohort))
def test_a_lying_server_breaks_nothing(task: Task) -> None:
    assert task.cohort.withstands
    assert search(task).breach is None


@pytest.mark.slow
@pytest.mark.parametrize("task", LARGE, ids=lambda task: str(task.cohort))
def test_a_lying_server_breaks_nothing_in_larger_cohorts(task: Task) -> None:
    assert task.cohort.withstands
    assert search(task).breach is None


def caught(control: Control) -> None:
    result = search(control.changed)
    assert result.breach is not None
    assert result.breach.broken is control.breaks
    assert result.breach == first_breach(control.changed.cohort, replay(control.changed, result.trace), LYING)
    assert lines(control.changed, result)[-1] == f"{control.breaks.value}: {result.breach}"


@pytest.mark.parametrize(
    "control", [control for control in CONTROLS if not control.large], ids=lambda control: control.name
)
def test_a_control_is_caught(control: Control) -> None:
    assert search(control.sound).breach is None
    caught(control)


@pytest.mark.slow
@pytest.mark.parametrize(
    "control", [control for control in CONTROLS if control.large], ids=lambda control: control.name
)
def test_a_control_is_caught_in_a_larger_cohort(control: Control) -> None:
    """The sound rules are searched above, for these properties and more; twice, which takes seconds, proves no more."""
    searched = [
        replace(control.sound, properties=task.properties) == task
        for task in LARGE
        if task.properties >= control.sound.properties
    ]
    assert any(searched)
    caught(control)


def test_the_controls_are_of_every_named_kind() -> None:
    assert {(control.name, control.breaks) for control in CONTROLS} == {
        ("no consistency round", P5),
        ("no consistency round", P2),
        ("signatures not counted (C60)", P5),
        ("signatures not counted (C60)", P2),
        ("shares for another set than the confirmed one (C57)", P5),
        ("survivors and dropped may overlap (C50)", P1),
        ("second request answered (C62), no consistency round", P1),
        ("threshold too low: 2t = n + c", P2),
        ("threshold too low: 2t < n + c", P1),
        ("a share for oneself, 2t = n + c", P1),
        ("minimum_contributors unchecked (C41, C56)", P2),
    }


@pytest.mark.parametrize(("name", "task"), REDUNDANT, ids=[f"{name} {task.cohort}" for name, task in REDUNDANT])
def test_what_other_checks_imply_breaks_nothing_alone(name: str, task: Task) -> None:
    assert search(task).breach is None


def test_a_trace_is_for_people() -> None:
    task = Task(Cohort(4, 3), without(Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED), frozenset({P1}))
    written = lines(task, search(task))
    assert written[0] == "client 1 signs the contributors {1, 2, 3, 4}"
    assert written[3:] == [
        "client 3 reveals seeds of {1, 2, 4}, mask keys of {1, 2, 4}",
        "client 2 reveals seeds of {1, 3, 4}, mask keys of {1, 3, 4}",
        "client 1 reveals seeds of {2, 3, 4}, mask keys of {2, 3, 4}",
        "P1: both secrets of client 4 are rebuildable",
    ]


def test_a_trace_that_no_client_would_answer_is_refused() -> None:
    task = Task(Cohort(4, 2, 1), Rules(), frozenset({P1}))
    trace = search(task).trace
    with pytest.raises(ValueError, match="does not answer"):
        replay(task, trace[::-1])


# The reduction: one client acts at a time, states are renamed and trimmed. All orders, without any of it:


def facts(cohort: Cohort, state: State) -> tuple[object, ...]:
    """What a state gives away, whatever its clients are called."""
    seeds, mask_keys = rebuildable(cohort, state)
    sums = readable_sums(cohort, state.players, seeds, mask_keys)
    known = sorted((seeds >> i & 1, mask_keys >> i & 1) for i in range(cohort.honest))
    return (*known, *sorted(part.bit_count() for part in sums), len(state.answered))


def in_any_order(cohort: Cohort, rules: Rules) -> set[tuple[object, ...]]:
    adversary = Adversary(cohort, rules, withholds=True, keeps_views=True)
    first = adversary.start()
    seen, todo = {first}, deque([first])
    while todo:
        state = todo.popleft()
        for i, player in enumerate(state.players):
            if player.stopped:
                continue
            for message, client in adversary.accepted(state, i):
                following = adversary.after(state, i, message, client)
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
    return {facts(cohort, state) for state in seen}


def one_at_a_time(cohort: Cohort, rules: Rules) -> set[tuple[object, ...]]:
    adversary = Adversary(cohort, rules, withholds=True, keeps_views=True)
    first, _ = adversary.normal(adversary.start())
    seen, todo = {first}, deque([first])
    while todo:
        for _, following in adversary.moves(todo.popleft()):
            state, _ = adversary.normal(following)
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return {facts(cohort, state) for state in seen}


@pytest.mark.parametrize(
    ("cohort", "rules"),
    [
        (Cohort(3, 1), Rules()),
        (Cohort(3, 2), Rules()),
        (Cohort(3, 1, 1), Rules()),
        (Cohort(4, 2, 2), Rules()),
        (Cohort(4, 3, 1), Rules()),
        (Cohort(3, 1), Rules(ThreatModel.SEMI_HONEST)),
        (Cohort(3, 1, 1), Rules(ThreatModel.SEMI_HONEST, answers_again=True)),
        (Cohort(3, 1), without(Violation.CONFIRMATIONS_BELOW_THRESHOLD)),
        (Cohort(3, 1, 1), Rules(self_share=True)),
    ],
    ids=str,
)
def test_the_reduced_search_learns_what_every_order_learns(cohort: Cohort, rules: Rules) -> None:
    everything = in_any_order(cohort, rules)
    assert one_at_a_time(cohort, rules) == everything
    assert len(everything) > 1


# The oracle, on states made by hand.


def player(sharers: int, seeds: int = 0, mask_keys: int = 0, advertised: int = 0b1111) -> Player:
    return Player(Client(ClientPhase.COMPLETED, advertised, 0, sharers), True, seeds, mask_keys)


def test_corrupt_shares_count_for_both_secrets() -> None:
    cohort = Cohort(4, 2, 1)
    state = State((player(0b1110, 1, 1), player(0b1101), player(0b1011)))
    assert rebuildable(cohort, state) == (0b001, 0b001)
    assert first_breach(cohort, state, frozenset({P1})) == Breach(P1, owner=0)
    unseen = State((player(0b0110, 1, 1, 0b0111), *state.players[1:]))
    assert first_breach(cohort, unseen, LYING) is None


def test_a_sum_is_readable_when_its_masks_cancel() -> None:
    cohort = Cohort(4, 3)
    everybody = [player(0b1111 & ~(1 << i)) for i in range(4)]
    assert readable_sums(cohort, everybody, 0b1111, 0) == {0b1111}
    assert readable_sums(cohort, everybody, 0b0111, 0) == set()
    assert readable_sums(cohort, everybody, 0b0111, 0b1000) == {0b0111}
    one_ended = [player(0b1110), player(0b1100), *everybody[2:]]
    assert readable_sums(cohort, one_ended, 0b1111, 0) == set()
    state = State((player(0b1110, 3), player(0b1101, 3), player(0b1011, 3), player(0b0111, 0, 3)))
    assert first_breach(cohort, state, LYING) == Breach(P2, sets=(0b0111,))
    two = State((player(0b0010, 3), player(0b0001, 3), player(0b1000, 3), player(0b0100, 3)))
    assert first_breach(cohort, two, frozenset({Property.ONE_SUM})) == Breach(Property.ONE_SUM, sets=(0b0011, 0b1100))


# Machines and honest runs.


@pytest.mark.parametrize("threat_model", list(ThreatModel))
@pytest.mark.parametrize("cohort", [Cohort(4, 2), Cohort(4, 3)], ids=str)
def test_a_clients_machine_is_the_table_and_ends(cohort: Cohort, threat_model: ThreatModel) -> None:
    machine = explore_client(cohort, threat_model)
    assert machine.breaches == ()
    assert machine.edges == table_edges(threat_model)


@pytest.mark.parametrize(
    ("cohort", "threat_model"), HONEST, ids=[f"{cohort} {model.value}" for cohort, model in HONEST]
)
def test_an_honest_server_releases_the_sum_of_the_contributors_or_says_why_not(
    cohort: Cohort, threat_model: ThreatModel
) -> None:
    run = search_dropouts(cohort, threat_model)
    assert run.breaches == ()
    assert run.edges == server_table_edges(threat_model)
    early = {AbortReason.TOO_FEW_ADVERTISED, AbortReason.TOO_FEW_SHARERS, AbortReason.TOO_FEW_CONTRIBUTORS}
    late = {AbortReason.TOO_FEW_UNMASKERS, None} | ({AbortReason.RESULT_NOT_DECODABLE} if cohort.corrupt else set())
    confirmers = {AbortReason.TOO_FEW_CONFIRMERS} if threat_model is ThreatModel.ACTIVE else set()
    parts = set() if cohort.degree is None else {AbortReason.CONTRIBUTORS_NOT_CONNECTED}
    assert run.ended.keys() == early | late | confirmers | parts


def test_late_clients_cut_a_ring_whose_parts_are_not_counted() -> None:
    run = search_dropouts(RING, ThreatModel.SEMI_HONEST, UNCONNECTED)
    assert run.breaches
    assert all("alone is readable" in breach for breach in run.breaches)
    assert any("the inputs of {2, 3} alone" in breach for breach in run.breaches)


def test_clients_that_are_told_of_weights_hear_something_of_them() -> None:
    run = search_dropouts(*WEIGHED, tells_of_weights=True)
    assert run.breaches
    assert all("hear whether the weights fit" in breach for breach in run.breaches)


@pytest.mark.parametrize("offers", TOGETHER, ids=str)
def test_clients_that_admit_one_sum_of_a_context_leave_no_difference(offers: Offers) -> None:
    sets, found = find_difference(offers)
    assert sets > 2
    assert found is None


@pytest.mark.parametrize(("name", "offers"), APART, ids=[name for name, _ in APART])
def test_a_difference_of_sums_is_found(name: str, offers: Offers) -> None:
    _, found = find_difference(offers)
    assert found is not None
    assert 0 < found.shown.bit_count() < offers.floor
    assert len(found.sums) == 2


def test_a_mask_that_nobody_rebuilds_stays_in_the_sum() -> None:
    stayed, left = Fate.ANSWERED, Fate.LEFT_SHARED
    server = Server(ServerPhase.COMPLETED, (stayed, stayed, left))
    assert unmasked_sum(Cohort(3, 1), server) == {("input", 0): 1, ("input", 1): 1}
    assert unmasked_sum(Cohort(3, 2), server) == {
        ("input", 0): 1,
        ("input", 1): 1,
        ("self", 0): 1,
        ("self", 1): 1,
    }


# Controls of P3 and P4: the machines are broken, and it is seen.


def test_a_client_that_refuses_everything_never_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "protocol_specs.model.client._broken_rule", lambda *_: Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE
    )
    machine = explore_client(Cohort(4, 3), ThreatModel.ACTIVE)
    assert "never reaches COMPLETED" in machine.breaches[0]
    assert machine.edges != table_edges(ThreatModel.ACTIVE)


def test_a_client_that_does_nothing_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "protocol_specs.model.client.receive", lambda cohort, rules, me, client, message, world: Outcome(client)
    )
    machine = explore_client(Cohort(4, 3), ThreatModel.ACTIVE)
    assert any("ignores" in breach for breach in machine.breaches)
    assert any("never reaches ABORTED" in breach for breach in machine.breaches)


def test_a_server_that_does_not_count_holders_releases_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol_specs.model.honest._rebuilds", lambda *_: True)
    run = search_dropouts(Cohort(4, 3), ThreatModel.ACTIVE)
    assert any("the sum is" in breach for breach in run.breaches)


def test_a_server_that_gives_up_too_early_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol_specs.model.honest._why_not", lambda *_: AbortReason.TOO_FEW_SHARERS)
    run = search_dropouts(Cohort(4, 3), ThreatModel.SEMI_HONEST)
    assert any("0 left, 0 may" in breach for breach in run.breaches)


def test_a_client_that_refuses_an_honest_server_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Outcome(Client(ClientPhase.ABORTED), Violation.SURVIVORS_BELOW_THRESHOLD)
    monkeypatch.setattr("protocol_specs.model.honest.receive", lambda *_: refusal)
    run = search_dropouts(Cohort(4, 3), ThreatModel.SEMI_HONEST)
    assert any("client 1 refuses with C55" in breach for breach in run.breaches)


def test_a_pool_of_t_clients_has_both_secrets() -> None:
    run = search_dropouts(Cohort(4, 2, 2), ThreatModel.SEMI_HONEST)
    assert any("has both secrets of client 1" in breach for breach in run.breaches)


# What exists for whom.


def test_pairs_and_signatures_are_of_one_binding() -> None:
    cohort = Cohort(4, 2, 1)
    adversary = Adversary(cohort, Rules(), withholds=False, keeps_views=False)
    opening, unmasking = ClientPhase.MASKED_INPUT, ClientPhase.UNMASKING
    for other, same in (
        (Client(opening, 0b1111), 0b0010),
        (Client(opening, 0b1011), 0),
        (Client(opening, 0b1111, 1), 0),
    ):
        state = State((Player(Client(opening, 0b1111)), Player(other), Player()))
        assert adversary.world(state, 0).pairs == 0b1000 | same
    mine = Client(unmasking, 0b1111, 0, 0b1110, 0b1111)
    for theirs, signed in (
        (mine, 0b0010),
        (mine._replace(view=0b1011), 0),
        (mine._replace(version=1), 0),
        (mine._replace(advertised=0b1011), 0),
    ):
        state = State((Player(mine), Player(theirs), Player()))
        assert adversary.world(state, 0).signers == 0b1001 | signed
    early = State((Player(Client(ClientPhase.SHARE_KEYS)), Player(), Player(Client(opening))))
    assert adversary.world(early, 0).advertisements == 0b1101


def test_an_input_that_was_added_stays_whatever_its_client_does() -> None:
    server = Server(ServerPhase.COLLECTING_MASKED_INPUTS, (Fate.ANSWERED, Fate.PENDING))
    leavers = {following.fates for kind, following in steps(Cohort(2, 1), Rules(), server) if kind is Abort}
    assert leavers == {(Fate.LEFT_CONTRIBUTED, Fate.PENDING), (Fate.ANSWERED, Fate.LEFT_SHARED)}
