"""What the mod lets out, what it keeps, and how often the app runs."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import LocalDpMod
from flwr.common.constant import ErrorCode

import secagg
from secagg.errors import DropReason
from secagg.integrations.flower import Node, SecAggConfig, SessionOutcome, run_session, secagg_mod
from secagg.protocol.events import ClientDropped
from tests.integrations.flower.support import MODEL, Cohort, cohort, instructions, refusal, stage


def play(group: Cohort, server_round: int = 1, **settings: Any) -> SessionOutcome:
    config = SecAggConfig(threat_model="active", roster=group.roster, max_dropout=0.2, **settings)
    asked = instructions(group.grid.apps, server_round=server_round)
    return run_session(group.grid, asked, config, clock=group.clock)


def node_of(group: Cohort, client: int) -> Node:
    return Node(client, group.identities[client], group.roster, ledger=secagg.MemoryLedger())


def drops(outcome: SessionOutcome) -> list[ClientDropped]:
    return [event for event in outcome.events if isinstance(event, ClientDropped)]


def test_nothing_leaves_but_the_id_and_the_protocol() -> None:
    group = cohort(5, examples=lambda client: 777)
    play(group, metrics={"loss": 1.0})
    for _, reply in group.grid.replies:
        assert set(reply.content) <= {"secagg", "secagg.message"}
        assert set(reply.content.config_records["secagg"]) in ({"client", "run-config"}, {"kind"})
        assert not reply.content.metric_records


def test_metrics_that_a_node_shows_in_clear() -> None:
    group = cohort(4, clear_metrics=("secret",))
    outcome = play(group)
    assert {client: dict(shown) for client, shown in outcome.clear_metrics.items()} == {
        client: {"secret": 42.5} for client in (1, 2, 3, 4)
    }


def test_the_app_runs_once_and_sees_its_own_instruction() -> None:
    group = cohort(4)
    play(group)
    for client, trainer in group.trainers.items():
        assert trainer.trained == [1]
        (content,) = trainer.seen
        assert set(content) == {"arrays", "config"}
        assert trainer.state_keys == [["secagg.ledger"]], "no secrets in the context while the app runs"
        assert "secagg.session" not in group.grid.contexts[100 + client].state


def test_a_repeated_request_gets_the_same_answer_and_no_second_training() -> None:
    group = cohort(4)
    again: list[tuple[bytes, bytes]] = []

    def on_answer(node: int, reply: Message) -> Message | None:
        if stage(group.grid.sent[-1][1]) in ("share_keys", "masked_input", "consistency_check"):
            second = group.grid.ask(node, group.grid.sent[-1][1])
            again.append(
                (
                    reply.content.array_records["secagg.message"]["bytes"].data,
                    second.content.array_records["secagg.message"]["bytes"].data,
                )
            )
        return reply

    group.grid.on_answer = on_answer
    play(group)
    assert len(again) == 12
    assert all(first == second for first, second in again)
    assert all(trainer.trained == [1] for trainer in group.trainers.values())


def test_an_error_does_not_tell_the_input(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(5, differences=lambda client: 5000.0 if client == 3 else 0.1, strict=True)
    outcome = play(group)
    (drop,) = drops(outcome)
    assert drop.client == 3
    assert drop.reason is DropReason.CLIENT_ABORTED
    assert "beyond" not in drop.detail
    assert "its own log says why" in drop.detail
    assert "beyond" in caplog.text


@pytest.mark.parametrize("examples", [0, -5000, 2**40])
def test_no_weight_makes_a_node_leave(examples: int) -> None:
    group = cohort(5, examples=lambda client: examples if client == 3 else 10)
    outcome = play(group, max_weight=1000)
    assert not drops(outcome)
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert outcome.total_weight == 40 + min(max(examples, 0), 1000)
    assert outcome.report.weights_limited == int(examples != 0)


def test_a_weight_above_the_bound_is_not_told_by_leaving(caplog: pytest.LogCaptureFixture) -> None:
    """The server chooses the bound; a node that left above it would tell its count, one session after the other."""
    group = cohort(5, examples=lambda client: 5000 if client == 3 else 10)
    outcome = play(group, max_weight=1000)
    assert not outcome.drops
    assert outcome.total_weight == 1040
    assert "weight 5000 counts as 1000; ask for a larger max_weight" in caplog.text
    assert outcome.report.weights_limited == 1
    assert "1 of 5 weights were above max_weight=1000 (or below 0) and count as the bound" in caplog.text
    strict = cohort(5, examples=lambda client: 5000 if client == 3 else 10, strict=True)
    assert [drop.client for drop in drops(play(strict, max_weight=1000))] == [3]


@pytest.mark.parametrize("raises", [ValueError, SystemExit, None])
def test_what_an_app_says_when_it_fails_stays_on_the_node(
    raises: type[BaseException] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Flower sends the server the text of an error; a server can provoke one with a model of odd shapes."""

    def fail(message: Message, context: Context) -> Message:
        if raises is not None:
            raise raises("shapes (4321,64) and (65,10) not aligned")
        return Message(Error(ErrorCode.UNKNOWN, "4321 rows"), reply_to=message)

    group = cohort(5)
    app = ClientApp(mods=[secagg_mod(node_of(group, 3))])
    app.train()(fail)
    group.grid.apps = {**group.grid.apps, 103: app}
    outcome = play(group)
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert outcome.total_weight == 120
    assert not any("4321" in str(reply.error.reason) for _, reply in group.grid.replies if reply.has_error())
    assert "4321" in caplog.text
    assert "secagg.session" not in group.grid.contexts[103].state


def test_an_app_that_changes_its_instruction_in_place_changes_no_base() -> None:
    group = cohort(5)
    for client in group.trainers:
        app = ClientApp(mods=[secagg_mod(node_of(group, client))])
        app.train()(added_in_place)
        group.grid.apps = {**group.grid.apps, 100 + client: app}
    outcome = play(group)
    assert outcome.arrays is not None
    assert np.allclose(outcome.arrays["bias"].numpy(), MODEL["bias"] + 0.5, atol=1e-3)


def test_an_answer_in_clear_does_not_see_the_session_of_another_message() -> None:
    group = cohort(4, clear=("evaluate",))
    seen: list[list[str]] = []
    app = ClientApp(mods=[secagg_mod(node_of(group, 3), clear=("evaluate",))])
    app.train()(unchanged)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        seen.append(sorted(context.state))
        return Message(RecordDict(), reply_to=message)

    def on_request(node: int, message: Message) -> Message | None:
        if node == 103 and stage(message) == "consistency_check":
            group.grid.ask(103, instructions([103], "evaluate")[0])
        return message

    group.grid.apps = {**group.grid.apps, 103: app}
    group.grid.on_request = on_request
    assert play(group).contributors == (1, 2, 3, 4)
    assert seen == [["secagg.ledger"]]


def test_clipping_is_logged_on_the_node(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(4, differences=lambda client: 2.0)
    outcome = play(group)
    assert "of 6 values of arrays/weights, 6 were beyond their bounds and count as the bound" in caplog.text
    assert (outcome.report.clients_limited, outcome.report.entries_limited) == (4, 36)
    assert "36 entries of 4 of 4 clients were beyond their bounds" in caplog.text
    assert outcome.arrays is not None
    assert outcome.arrays["bias"].numpy() == pytest.approx([1.0, 1.0, 1.0], abs=1e-4)


def test_a_strict_node_leaves_rather_than_clip() -> None:
    group = cohort(5, differences=lambda client: 2.0 if client == 2 else 0.1, strict=True)
    (drop,) = drops(play(group))
    assert drop.client == 2


def failing_app(message: Message, context: Context) -> Message:
    raise ValueError("no data")


def no_arrays(message: Message, context: Context) -> Message:
    return Message(RecordDict({"m": MetricRecord({"num-examples": 3})}), reply_to=message)


def wrong_shape(message: Message, context: Context) -> Message:
    arrays = dict(message.content.array_records["arrays"])
    arrays["bias"] = arrays["weights"]
    return Message(
        RecordDict({"arrays": ArrayRecord(arrays), "m": MetricRecord({"num-examples": 3})}), reply_to=message
    )


def text_for_numbers(message: Message, context: Context) -> Message:
    arrays = dict(message.content.array_records["arrays"])
    arrays["bias"] = Array(np.array(["a", "b", "c"]))
    return Message(
        RecordDict({"arrays": ArrayRecord(arrays), "m": MetricRecord({"num-examples": 3})}), reply_to=message
    )


def no_weight(message: Message, context: Context) -> Message:
    arrays = message.content.array_records["arrays"]
    return Message(RecordDict({"arrays": arrays, "m": MetricRecord({"other": 3})}), reply_to=message)


def fraction_of_an_example(message: Message, context: Context) -> Message:
    arrays = message.content.array_records["arrays"]
    return Message(RecordDict({"arrays": arrays, "m": MetricRecord({"num-examples": 3.5})}), reply_to=message)


def two_metric_records(message: Message, context: Context) -> Message:
    arrays, metrics = message.content.array_records["arrays"], MetricRecord({"num-examples": 3})
    return Message(RecordDict({"arrays": arrays, "m": metrics, "n": metrics}), reply_to=message)


@pytest.mark.parametrize(
    ("train", "max_weight", "sentence"),
    [
        (failing_app, 1000, "the app raised ValueError"),
        (failing_app, 1, "the app raised ValueError"),
        (no_arrays, 1000, "the app's reply has 0 ArrayRecords"),
        (no_arrays, 1, "the app's reply has 0 ArrayRecords"),
        (wrong_shape, 1000, "'bias' has shape (2, 3); the session sums (3,)"),
        (text_for_numbers, 1000, "'bias' is str32; give float16"),
        (no_weight, 1000, "the app's weight 'num-examples' is None; return a whole number"),
        (fraction_of_an_example, 1000, "the app's weight 'num-examples' is 3.5; return a whole number"),
        (two_metric_records, 1000, "has 2 MetricRecords"),
    ],
)
def test_an_app_that_gives_no_input(
    train: object, max_weight: int, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes part all the same: that it failed may be about its data, as an empty partition is."""
    group = cohort(5)
    app = ClientApp(mods=[secagg_mod(node_of(group, 3))])
    app.train()(train)  # type: ignore[arg-type]
    group.grid.apps = {**group.grid.apps, 103: app}
    outcome = play(group, max_weight=max_weight)
    assert not drops(outcome)
    assert outcome.contributors == (1, 2, 3, 4, 5)
    assert outcome.report.without_input == 1
    assert "1 of 5 clients had no input to give; their own logs say why" in caplog.text
    assert sentence in caplog.text
    weights = None if max_weight == 1 else [10, 20, 0, 40, 50]
    assert outcome.arrays is not None
    moved = float(np.average([0.01, 0.02, 0.0, 0.04, 0.05], weights=weights))
    np.testing.assert_allclose(outcome.arrays["bias"].numpy(), moved, atol=6e-5)
    assert "secagg.session" not in group.grid.contexts[103].state


def test_a_strict_node_leaves_when_its_app_fails() -> None:
    group = cohort(5)
    app = ClientApp(mods=[secagg_mod(node_of(group, 3), strict=True)])
    app.train()(failing_app)
    group.grid.apps = {**group.grid.apps, 103: app}
    assert [drop.client for drop in play(group).drops] == [3]


def test_entries_that_are_no_numbers_count_as_unchanged_and_are_counted() -> None:
    def diverged(message: Message, context: Context) -> Message:
        arrays = dict(message.content.array_records["arrays"])
        arrays["bias"] = Array(np.array([np.nan, np.inf, 0.5]))
        content = RecordDict({"arrays": ArrayRecord(arrays), "m": MetricRecord({"num-examples": 30})})
        return Message(content, reply_to=message)

    group = cohort(5, differences=lambda client: 0.0)
    app = ClientApp(mods=[secagg_mod(node_of(group, 3))])
    app.train()(diverged)
    group.grid.apps = {**group.grid.apps, 103: app}
    outcome = play(group)
    assert not outcome.drops
    assert (outcome.report.clients_limited, outcome.report.entries_limited) == (1, 2)
    assert outcome.arrays is not None
    np.testing.assert_allclose(outcome.arrays["bias"].numpy(), [0.0, 0.2, 0.1], atol=4e-5)


def test_metrics_that_only_some_nodes_have_are_averaged_over_those() -> None:
    def silent(message: Message, context: Context) -> Message:
        arrays = message.content.array_records["arrays"]
        return Message(RecordDict({"arrays": arrays, "m": MetricRecord({"num-examples": 9})}), reply_to=message)

    group = cohort(5, metrics=("loss", "gone"))
    for client in (2, 3):
        app = ClientApp(mods=[secagg_mod(node_of(group, client), metrics=("loss", "gone"))])
        app.train()(silent)
        group.grid.apps = {**group.grid.apps, 100 + client: app}
    outcome = play(group, metrics={"loss": 1.0, "gone": 1.0})
    assert outcome.contributors == (1, 2, 3, 4, 5)
    mean = float(np.average([0.01, 0.04, 0.05], weights=[10, 40, 50]))
    assert outcome.metrics == {"loss": pytest.approx(mean, abs=1e-6)}


@pytest.mark.parametrize(
    ("node", "settings", "sentence"),
    [
        ({"metrics": frozenset({"accuracy"})}, {"metrics": {"loss": 1.0}}, "sums the metric 'loss', which this node"),
        ({"weight": "rows"}, {}, "weighs nodes by 'num-examples', and this node by 'rows'"),
    ],
)
def test_weight_and_metrics_are_the_nodes_to_name(
    node: dict[str, Any], settings: dict[str, Any], sentence: str
) -> None:
    group = cohort(5)
    own = replace(node_of(group, 3), **node)
    group.grid.apps = {**group.grid.apps, 103: group.trainers[3].app(secagg_mod(own, metrics=("loss",)))}
    (drop,) = play(group, **settings).drops
    assert drop.client == 3
    assert sentence in drop.detail
    assert not group.trainers[3].trained


def test_the_ledger_keeps_four_entries_of_each_old_session() -> None:
    group = cohort(4)
    for server_round in range(3):
        play(group, server_round)
    phases = [key.partition(":")[0] for key in group.grid.contexts[101].state.config_records["secagg.ledger"]]
    assert sorted(phases) == sorted(
        ["advertise_keys", "input 0 entered", "input 0 given", "input 0 shown"] * 3
        + ["partition", "share_keys", "masked_input", "consistency_check", "unmasking"]
    )


def test_settings_of_the_node_that_are_wrong_are_told_to_the_node(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(4)
    group.grid.apps = {**group.grid.apps, 104: group.trainers[4].app(secagg_mod())}
    group.grid.contexts[104].node_config["secagg-identity"] = "/nowhere/private.key"
    with caplog.at_level(logging.ERROR):
        assert play(group).contributors == (1, 2, 3)
    assert "give the three together" in caplog.text


def test_a_node_without_an_identity_in_the_active_model(caplog: pytest.LogCaptureFixture) -> None:
    group = cohort(5)
    group.grid.apps = {**group.grid.apps, 104: group.trainers[4].app(secagg_mod(Node(4)))}
    (drop,) = play(group).drops
    assert drop.client == 4
    assert "A node is given them by secagg-identity, secagg-roster, secagg-authority and secagg-ledger" in caplog.text


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(secagg.ParameterError, match=r"clear=\['trian'\] are no kinds of messages"):
        secagg_mod(clear=("trian",))
    with pytest.raises(secagg.ParameterError, match=r"metrics='loss' is one text; give a list of names"):
        secagg_mod(metrics="loss")
    with pytest.raises(secagg.ParameterError, match="has its own policy"):
        secagg_mod(Node(1), policy=secagg.ClientPolicy())


def test_mods_inside_change_what_is_masked() -> None:
    """A mod between ours and the app sees the app's reply first."""

    def own_metrics(message: Message, context: Context, app: object) -> Message:
        reply = app(message, context)  # type: ignore[operator]
        reply.content["metrics"] = MetricRecord({"num-examples": 1, "loss": 0.5})
        return reply  # type: ignore[no-any-return]

    group = cohort(3)
    for client in group.trainers:
        app = ClientApp(mods=[secagg_mod(node_of(group, client), metrics=("loss",)), own_metrics])
        app.train()(unchanged)
        group.grid.apps = {**group.grid.apps, 100 + client: app}
    outcome = play(group, metrics={"loss": 1.0})
    assert outcome.metrics["loss"] == pytest.approx(0.5, abs=1e-6)
    assert outcome.total_weight == 3


def added_in_place(message: Message, context: Context) -> Message:
    arrays = message.content.array_records["arrays"]
    for name in list(arrays):
        arrays[name] = Array(arrays[name].numpy() + 0.5)
    return unchanged(message, context)


def unchanged(message: Message, context: Context) -> Message:
    arrays = message.content.array_records["arrays"]
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 9})}), reply_to=message)


def test_an_abort_notice_ends_the_session_on_the_node() -> None:
    group = cohort(5)
    group.grid.on_request = lambda node, m: None if node > 103 and stage(m) == "share_keys" else m
    with pytest.raises(secagg.SessionAbortedError):
        play(group, max_corrupt=0.0)
    notices = [m for n, m in group.grid.sent if n == 101 and stage(m) == "abort"]
    assert len(notices) == 1
    assert "in no such session" in refusal(group.grid.ask(101, notices[0]))


def test_local_differential_privacy_of_flower_beneath() -> None:
    group = cohort(4)
    for client, trainer in group.trainers.items():
        mod = secagg_mod(node_of(group, client))
        noisy = LocalDpMod(clipping_norm=100.0, sensitivity=1e-6, epsilon=1.0, delta=0.1)
        group.grid.apps = {**group.grid.apps, 100 + client: trainer.app(mod, noisy)}
    outcome = play(group)
    assert outcome.contributors == (1, 2, 3, 4)
    assert outcome.arrays is not None
    mean = sum(client * client for client in range(1, 5)) / 10 / 100
    assert outcome.arrays["bias"].numpy() == pytest.approx([mean] * 3, abs=1e-3)
