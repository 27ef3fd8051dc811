"""Secure sums over a grid: the mean is that of the contributors, whoever leaves, whenever, and however."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

import secagg
from secagg.errors import AbortReason, DropReason
from secagg.integrations.flower import Directory, SecAggConfig, SessionOutcome, run_session
from secagg.protocol.events import ClientDropped
from tests.integrations.flower.support import MODEL, Cohort, FakeClock, cohort, instructions, stage

ROUNDS = ["advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking"]


def run(group: Cohort, **settings: Any) -> SessionOutcome:
    arguments: dict[str, Any] = {"threat_model": "active", "roster": group.roster, "max_dropout": 0.2, **settings}
    return run_session(
        group.grid, instructions(group.grid.apps), SecAggConfig(**arguments), clock=group.clock, timeout=600
    )


def expected(group: Cohort, contributors: tuple[int, ...]) -> float:
    weights = np.array([group.trainers[c].examples for c in contributors])
    return float(np.average([group.trainers[c].difference for c in contributors], weights=weights))


def assert_mean(group: Cohort, outcome: SessionOutcome) -> None:
    assert outcome.arrays is not None
    for key, base in MODEL.items():
        array = outcome.arrays[key].numpy()
        assert array.dtype == base.dtype
        assert array.shape == base.shape
        np.testing.assert_allclose(array, base + expected(group, outcome.contributors), atol=4e-5)


@pytest.mark.parametrize("threat_model", ["active", "semi-honest"])
def test_the_mean_is_weighted_and_everybody_is_in_it(threat_model: str) -> None:
    group = cohort(5, active=threat_model == "active")
    outcome = run(group, threat_model=threat_model, metrics={"loss": 1.0})
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert outcome.total_weight == 150
    assert outcome.metrics["loss"] == pytest.approx(expected(group, outcome.contributors), abs=1e-6)
    assert outcome.nodes == {client: 100 + client for client in range(1, 6)}
    assert_mean(group, outcome)
    assert group.clock.time == 0


@pytest.mark.parametrize("when", ROUNDS)
@pytest.mark.parametrize("how", ["silent", "error", "garbage"])
def test_one_node_leaves_in_a_round(when: str, how: str) -> None:
    group = cohort(5)

    def leave(node: int, reply: Message) -> Message | None:
        if node != 103 or stage(group.grid.sent[-1][1]) != when:
            return reply
        if how == "silent":
            return None
        if how == "garbage":
            return Message(RecordDict({"secagg": ConfigRecord({"kind": "answer"})}), reply_to=group.grid.sent[-1][1])
        raise AssertionError(how)

    def fail(node: int, request: Message) -> Message | None:
        if node == 103 and stage(request) == when:
            request.content = RecordDict({"secagg": ConfigRecord({"kind": "nonsense"})})
        return request

    if how == "error":
        group.grid.on_request = fail
    else:
        group.grid.on_answer = leave
    outcome = run(group)
    late = when in ("consistency_check", "unmasking")
    assert outcome.contributors == ((1, 2, 3, 4, 5) if late else (1, 2, 4, 5))
    assert_mean(group, outcome)
    (drop,) = [event for event in outcome.events if isinstance(event, ClientDropped)]
    assert (drop.client, drop.round.value) == (3, when)
    reasons = {
        "silent": DropReason.DID_NOT_ANSWER_IN_TIME,
        "error": DropReason.CLIENT_ABORTED,
        "garbage": DropReason.MESSAGE_MALFORMED,
    }
    assert drop.reason is reasons[how]
    waited = {"silent": 600 if when == "masked_input" else 60}.get(how, 0)
    assert group.clock.time == pytest.approx(waited)


def test_nodes_leave_in_every_round_of_one_session() -> None:
    group = cohort(12)
    leaving = dict(zip(ROUNDS[:4], [102, 105, 107, 110], strict=True))
    gone: set[int] = set()

    def leave(node: int, request: Message) -> Message | None:
        if leaving.get(stage(request)) == node:
            gone.add(node)
        return None if node in gone else request

    group.grid.on_request = leave
    outcome = run(group, max_dropout=0.34, max_corrupt=0.0)
    assert outcome.contributors == (1, 3, 4, 6, 8, 9, 10, 11, 12)
    assert_mean(group, outcome)


def test_a_node_that_answers_too_late_is_not_in_the_sum() -> None:
    group = cohort(5)
    kept: list[Message] = []

    def hold(node: int, reply: Message) -> Message | None:
        if node == 103 and stage(group.grid.sent[-1][1]) == "masked_input":
            kept.append(reply)
            return None
        return reply

    class LateClock(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.time >= 600:
                group.grid.waiting[kept[0].metadata.reply_to_message_id] = kept[0]

    group.grid.on_answer = hold
    group.clock = LateClock()
    outcome = run(group)
    # It came with the last pull of its round, at the deadline itself: that is in time.
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert_mean(group, outcome)


def test_too_few_are_left_and_the_others_are_told() -> None:
    group = cohort(5)
    group.grid.on_request = lambda node, m: None if node > 102 and stage(m) == "masked_input" else m
    with pytest.raises(secagg.SessionAbortedError) as caught:
        run(group)
    assert caught.value.reason is AbortReason.TOO_FEW_CONTRIBUTORS
    assert [node for node, message in group.grid.sent if stage(message) == "abort"]
    assert "secagg.session" not in group.grid.contexts[101].state


def test_too_few_nodes_say_hello() -> None:
    group = cohort(4)
    group.grid.on_request = lambda node, m: None if node > 102 else m
    with pytest.raises(secagg.SessionAbortedError, match="2 nodes are there for a session, and minimum_cohort is 3"):
        run(group)
    assert group.clock.time == pytest.approx(300)
    assert not any(trainer.trained for trainer in group.trainers.values())


def test_nodes_without_the_mod_or_outside_the_roster_take_no_part(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(6)
    del group.identities[6]

    def unaware(node: int, reply: Message) -> Message | None:
        return Message(RecordDict(), reply_to=group.grid.sent[-1][1]) if node == 105 else reply

    group.grid.on_answer = unaware
    outcome = run(group)
    assert outcome.contributors == (1, 2, 3, 4)
    assert "add mods=[secagg_mod()]" in caplog.text
    assert "clients [6] are not in the roster" in caplog.text


def test_two_nodes_that_name_one_client_both_stay_out(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(6)
    group.grid.apps = {**group.grid.apps, 107: group.grid.apps[106]}
    group.grid.contexts[107] = group.grid.contexts[106]
    outcome = run(group)
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert "nodes [106, 107] all say that they are client 6" in caplog.text


def test_a_directory_asks_each_node_once() -> None:
    group = cohort(4)
    directory = Directory()
    config = SecAggConfig(threat_model="active", roster=group.roster)
    for server_round in (1, 2):
        messages = instructions(group.grid.apps, server_round=server_round)
        run_session(group.grid, messages, config, clock=group.clock, directory=directory)
    assert sum(stage(message) == "hello" for _, message in group.grid.sent) == 4
    assert all(trainer.trained == [1, 2] for trainer in group.trainers.values())


@pytest.mark.parametrize("largest", [100.0, 99.9, 4.0, 8_000_000.0])
def test_metrics_that_are_whole_numbers_are_averaged_exactly(largest: float) -> None:
    group = cohort(4, active=False, differences=float, examples=lambda client: 2 * client + 1)
    config = SecAggConfig(evaluate_metrics={"accuracy": largest}, max_corrupt=0.0)
    outcome = run_session(group.grid, instructions(group.grid.apps, "evaluate"), config, clock=group.clock)
    counts, weights = (1, 2, 3, 4), (3, 5, 7, 9)
    mean = sum(c * w for c, w in zip(counts, weights, strict=True)) / sum(weights)
    assert outcome.metrics["accuracy"] == pytest.approx(mean, rel=1e-13)


def test_an_evaluation_sums_metrics_alone() -> None:
    group = cohort(4)
    config = SecAggConfig(threat_model="active", roster=group.roster, evaluate_metrics={"accuracy": 1.0})
    outcome = run_session(group.grid, instructions(group.grid.apps, "evaluate"), config, clock=group.clock)
    assert outcome.arrays is None
    assert outcome.metrics["accuracy"] == pytest.approx(expected(group, (1, 2, 3, 4)), abs=1e-6)
    assert outcome.total_weight == 100


def test_unweighted_and_whole_arrays() -> None:
    group = cohort(4, active=False)
    outcome = run(group, threat_model="semi-honest", max_weight=1, difference=False, clip=8.0)
    assert outcome.total_weight is None
    assert outcome.arrays is not None
    np.testing.assert_allclose(outcome.arrays["weights"].numpy(), MODEL["weights"] + 0.025, atol=3e-4)


def test_clips_by_name_must_name_every_array() -> None:
    group = cohort(4)
    with pytest.raises(secagg.ParameterError, match="'bias' has no clip; name it, or give a default"):
        run(group, clip={"weights": 0.5})
    assert run(group, clip={"weights": 0.5, "bias": 1.0}).contributors == (1, 2, 3, 4)


def test_empty_arrays_stay_as_they_are() -> None:
    group = cohort(3)
    content = RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.ones(2)), "none": Array(np.zeros((0, 3), dtype=np.float32))}),
            "config": ConfigRecord({"lr": 0.1}),
        }
    )
    messages = [Message(content, node, "train") for node in group.grid.apps]
    config = SecAggConfig(threat_model="active", roster=group.roster)
    outcome = run_session(group.grid, messages, config, clock=group.clock)
    assert outcome.arrays is not None
    assert outcome.arrays["none"].numpy().shape == (0, 3)
    assert list(outcome.arrays) == ["w", "none"]


def differing_round(messages: list[Message]) -> list[Message]:
    return [*messages[:-1], *instructions([messages[-1].metadata.dst_node_id], server_round=9)]


def no_arrays(messages: list[Message]) -> list[Message]:
    return [
        Message(RecordDict({"config": ConfigRecord({"lr": 1.0})}), m.metadata.dst_node_id, "train") for m in messages
    ]


def query(messages: list[Message]) -> list[Message]:
    return [Message(m.content, m.metadata.dst_node_id, "query") for m in messages]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (differing_round, "a secure sum is over one model and one configuration"),
        (no_arrays, "the instruction has 0 ArrayRecords"),
        (query, "a 'query' message is summed by nothing"),
        (lambda messages: [], "there is no instruction to send"),
    ],
)
def test_instructions_that_no_sum_is_over(change: Callable[[list[Message]], list[Message]], sentence: str) -> None:
    group = cohort(4)
    config = SecAggConfig(threat_model="active", roster=group.roster)
    with pytest.raises(secagg.ParameterError, match=sentence):
        run_session(group.grid, change(instructions(group.grid.apps)), config, clock=group.clock)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threat_model": "active"}, "the active model needs roster="),
        ({"threat_model": "paranoid"}, "threat_model 'paranoid' is unknown"),
        ({"minimum_cohort": 1}, "minimum_cohort 1 is below 2"),
        ({"hello_timeout": -1.0}, "hello_timeout -1.0 is no positive"),
        ({"on_failure": "panic"}, "on_failure 'panic' is unknown; give 'continue' or 'raise'"),
        ({"only": "head"}, r"only='head' is one text; give a list of names or patterns, \['head'\]"),
        ({"round_timeout": 0.0}, "round_timeout 0.0 is no positive number of seconds"),
        ({"training_timeout": float("inf")}, "training_timeout inf is no positive"),
        ({"evaluate_in_clear": True, "evaluate_metrics": {"a": 1.0}}, "exclude each other"),
    ],
)
def test_configs_that_cannot_be(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        SecAggConfig(**settings)


def test_an_app_without_the_mod_is_told_what_it_lacks(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(4)

    def fail(message: Message, context: object) -> Message:
        raise KeyError("arrays")

    bare = ClientApp()
    bare.train()(fail)
    group.grid.apps = {**group.grid.apps, 104: bare}
    group.grid.on_request = lambda node, message: None if node == 103 else message
    with pytest.raises(secagg.SessionAbortedError, match="2 nodes are there for a session, and minimum_cohort is 3"):
        run(group)
    assert "node 104 takes no part: its app got what is for the mod; add mods=[secagg_mod()]" in caplog.text
    assert "node 103 did not say within 300 s which client it is" in caplog.text
    assert "node 104 did not say" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_weight": 1000.0}, "max_weight 1000.0 is no whole number"),
        ({"max_weight": True}, "max_weight True is no whole number"),
        ({"metrics": ["loss"]}, r"metrics \['loss'\] is no mapping; give"),
        ({"evaluate_metrics": "accuracy"}, "evaluate_metrics 'accuracy' is no mapping"),
    ],
)
def test_settings_of_a_wrong_type(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(secagg.ParameterError, match=sentence):
        SecAggConfig(**settings)


def test_a_timeout_that_nodes_cannot_keep_is_named(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(5)
    group.grid.on_answer = lambda node, reply: (
        None if node == 103 and stage(group.grid.sent[-1][1]) == "masked_input" else reply
    )
    run(group, training_timeout=30.0)
    assert "masked_input: 30 s were too few for some nodes; give more training_timeout, if they" in caplog.text
    assert caplog.text.count("were too few") == 1
