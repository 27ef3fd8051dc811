"""A head is trained and a backbone is not: what leaves nodes, what comes back, and servers that select otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAdam, FedAvg, Strategy
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from numpy.typing import NDArray

import secagg
from secagg.integrations.flower import (
    Cells,
    Node,
    OwnCells,
    PrivacySettings,
    SecAgg,
    SecAggConfig,
    Selection,
    SessionOutcome,
    frozen_digest,
    node_from_config,
    run_session,
    secagg_mod,
)
from secagg.integrations.flower.cells import cells_of_run, run_cells
from secagg.integrations.flower.plan import ModelPlan
from secagg.privacy import MemoryBudget
from tests.integrations.flower.support import FakeClock, FakeGrid, refusal, stage

CLIENTS = 5
BODY, HEAD = (100, 40), (40, 10)
EXAMPLES = {client: 10 * client for client in range(1, 13)}
OTHERS = "the arrays beside head.* are not what they were in this run"
CANARY = "no frozen array leaves its node"


def first_model() -> dict[str, NDArray[Any]]:
    drawn = np.random.default_rng(3)
    return {
        "body.weight": drawn.normal(size=BODY).astype(np.float32),
        "body.bias": np.array([np.nan, -0.0, 5e-324]),
        "head.weight": np.zeros(HEAD, np.float32),
        "head.bias": np.zeros(HEAD[1:]),
    }


def record_of(model: dict[str, Any]) -> ArrayRecord:
    brain = Array("bfloat16", (2,), "numpy.ndarray", b"what only a newer NumPy reads")
    return ArrayRecord({name: Array(array) for name, array in model.items()} | {"body.brain": brain})


@dataclass
class Federation:
    """Nodes whose apps move the head by their own, and fill frozen arrays with data."""

    grid: FakeGrid
    clock: FakeClock
    trained: list[int]

    def play(self, model: dict[str, Any] | None = None, server_round: int = 1, **settings: Any) -> SessionOutcome:
        messages = self.messages(record_of(model or first_model()), server_round)
        return run_session(self.grid, messages, config(**settings), clock=self.clock)

    def messages(self, record: ArrayRecord, server_round: int = 1, kind: str = "train") -> list[Message]:
        content = RecordDict({"arrays": record, "config": ConfigRecord({"server-round": server_round})})
        return [Message(content, node, kind) for node in self.grid.apps]

    def refusals(self) -> set[str]:
        return {refusal(reply) for _, reply in self.grid.replies if reply.has_error()}

    def uploads(self) -> list[int]:
        """Bytes of the largest reply of each node: all objects in it."""
        sizes: dict[int, int] = {}
        for node, reply in self.grid.replies:
            sizes[node] = max(sizes.get(node, 0), len(sent(reply)))
        return list(sizes.values())


def sent(message: Message) -> bytes:
    """All that Flower puts on the wire for a message."""
    return b"".join(thing.deflate() for thing in get_all_nested_objects(message).values())


def moved(client: int, model: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: (array + np.asarray(client / 64)).astype(array.dtype) for name, array in model.items()}


def federation(
    clients: int = CLIENTS, node: Callable[[int], dict[str, Any]] = lambda client: {}, **mod: Any
) -> Federation:
    apps, trained = {}, list[int]()
    for client in range(1, clients + 1):

        def train(message: Message, context: Context, client: int = client) -> Message:
            trained.append(client)
            given = message.content.array_records["arrays"]
            returned = {name: array for name, array in given.items() if name == "body.brain"}
            data = np.frombuffer((CANARY * 600).encode()[: 4 * BODY[0] * BODY[1]], np.float32).reshape(BODY)
            returned |= {"body.weight": Array(data), "body.bias": Array(np.full(3, float(client)))}
            head = {name: given[name].numpy() for name in ("head.weight", "head.bias")}
            returned |= {name: Array(array) for name, array in moved(client, head).items()}
            metrics = MetricRecord({"num-examples": EXAMPLES[client]})
            return Message(RecordDict({"arrays": ArrayRecord(returned), "metrics": metrics}), reply_to=message)

        apps[100 + client] = ClientApp(mods=[secagg_mod(Node(client, **node(client)), **mod)])
        apps[100 + client].train()(train)
        apps[100 + client].evaluate()(lambda message, context: Message(RecordDict(), reply_to=message))
    return Federation(FakeGrid(apps), FakeClock(), trained)


def config(**settings: Any) -> SecAggConfig:
    given: dict[str, Any] = {"only": ["head.*"], "max_dropout": 0.2, "max_corrupt": 0.0} | settings
    return SecAggConfig(**given)


def weights_of(outcome: SessionOutcome) -> list[int]:
    return [EXAMPLES[client] for client in outcome.contributors]


def test_frozen_arrays_keep_their_bits_and_leave_no_node() -> None:
    group = federation(only=["head.*"])
    outcome = group.play()
    assert outcome.summed == ("head.weight", "head.bias")
    assert outcome.arrays is not None
    before = record_of(first_model())
    for name in ("body.weight", "body.bias", "body.brain"):
        assert outcome.arrays[name].data == before[name].data
    mean = np.average([client / 64 for client in outcome.contributors], weights=weights_of(outcome))
    np.testing.assert_allclose(outcome.arrays["head.weight"].numpy(), mean, atol=2 * 2.0**-15)
    # In any message, at any place in a word: what apps put into frozen arrays is 3 repetitions or more.
    assert not any(CANARY.encode() in sent(reply) for _, reply in group.grid.replies)
    assert not any("body." in str(sent(reply)) for _, reply in group.grid.replies)
    open_group = federation(clear=["train"])
    (message, *_) = open_group.messages(before)
    assert CANARY.encode() in sent(open_group.grid.ask(101, message))


def test_an_upload_is_as_long_as_what_is_selected() -> None:
    selected, whole = federation(), federation()
    selected.play()
    whole.play(only=["head.*", "body.weight", "body.bias"])
    bits = {spec.bits for spec in secagg.vectors_for(first_model(), clip=1.0).specs.values()}
    assert bits == {16}
    # 16 bits, the weight's 24, and those of a sum of five: what each entry that is not sent saves.
    saved = (BODY[0] * BODY[1] + 3) * (16 + 24 + 3) / 8
    for shorter, longer in zip(selected.uploads(), whole.uploads(), strict=True):
        assert longer - shorter == pytest.approx(saved, rel=0.01)
        assert shorter < 0.15 * longer


@pytest.mark.parametrize("strategy", [FedAvg, FedAdam])
def test_a_strategy_gives_frozen_arrays_back_as_they_were(strategy: type[Strategy]) -> None:
    group = federation(only=["head.*"])
    inner = strategy(fraction_evaluate=0.0)  # type: ignore[call-arg]
    before = ArrayRecord({name: Array(array) for name, array in first_model().items()})  # strategies read all of them
    secure = SecAgg(inner, config(), clock=group.clock)
    result = secure.start(grid=group.grid, initial_arrays=before, num_rounds=3)
    assert len(secure.outcomes) == 3
    for name in ("body.weight", "body.bias"):
        assert result.arrays[name].data == before[name].data
    assert not np.array_equal(result.arrays["head.weight"].numpy(), before["head.weight"].numpy())
    assert len(group.trained) == 3 * CLIENTS


def test_what_an_app_changes_beside_the_selection_is_in_its_nodes_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        federation().play()
    assert "the app changed ['body.bias', 'body.weight'], which are not summed and stay as they were" in caplog.text


def test_a_node_gives_what_its_owner_named_and_no_app_runs_for_more() -> None:
    group = federation(only=["head.weight", "lora_*"])
    with pytest.raises(secagg.SessionAbortedError):
        group.play()
    assert group.refusals() == {
        "the session sums the array 'head.bias', and this client gives head.weight, lora_* only; name no other arrays "
        "by only= [C14 OFFER_VECTORS_NOT_EXPECTED]"
    }
    assert group.trained == []
    group.play(server_round=2, only=["head.weight"])
    assert len(group.trained) == CLIENTS


def test_the_nodes_own_settings_come_before_the_apps() -> None:
    group = federation(node=lambda client: {"selection": Selection(["head.weight"])}, only=["*"])
    with pytest.raises(secagg.SessionAbortedError):
        group.play()
    assert len(group.refusals()) == 1
    settings: dict[str, Any] = {"secagg-only": "head.weight, head.bias", "secagg-frozen": "ab" * 32}
    node = node_from_config(Context(1, 7, settings, RecordDict(), {}))
    assert node.selection == Selection(("head.bias", "head.weight"), b"\xab" * 32)


def test_a_server_that_selects_otherwise_in_a_later_round_gets_nothing() -> None:
    """Two sums of the head's entries over cohorts that differ by one are that one's: the second is refused."""
    group = federation(only=["head.*"])
    group.play()
    apps = group.grid.apps
    group.grid.apps = {node: app for node, app in apps.items() if node != 101}
    for server_round, other in enumerate((["head.weight"], ["head.bias"]), start=2):
        with pytest.raises(secagg.SessionAbortedError):
            group.play(server_round=server_round, only=other)
    assert len(group.trained) == CLIENTS
    assert {sentence.partition("'")[0] for sentence in group.refusals()} == {"this client gave arrays of "}
    group.grid.apps = apps
    group.play(server_round=4)


def test_a_server_that_selects_for_one_node_otherwise_has_that_node_in_no_sum() -> None:
    group = federation(only=["head.*"])

    def on_request(node: int, message: Message) -> Message:
        if node == 101 and stage(message) == "masked_input":
            message.content.config_records["secagg.plan"]["selected"] = ["head.weight"]
        return message

    group.grid.on_request = on_request
    assert group.play().contributors == (2, 3, 4, 5)
    assert 1 not in group.trained
    (sentence,) = group.refusals()
    assert "are not those that the session was opened for" in sentence


@pytest.mark.parametrize("change", ["entry", "order", "missing", "elsewhere", "divided", "head alone", "unreadable"])
def test_a_server_that_changes_the_frozen_part_in_a_later_round_gets_nothing(change: str) -> None:
    group = federation(only=["head.*"])
    group.play()
    record = record_of(first_model())
    content = RecordDict({"arrays": record, "config": ConfigRecord({"server-round": 2})})
    if change == "entry":
        record["body.weight"] = Array(np.where(first_model()["body.weight"] > 0, 0, first_model()["body.weight"]))
    elif change == "order":
        content["arrays"] = ArrayRecord(dict(list(record.items())[::-1]))
    elif change == "missing":
        del record["body.bias"]
    elif change == "elsewhere":
        # Beside the record that is summed, in another that an app may take for its model.
        content["arrays.more"] = ArrayRecord({"body.weight": Array(np.zeros(BODY, np.float32))})
    elif change == "divided":
        # The same arrays in the same order, of which an app that takes one record misses some.
        items = list(record.items())
        content = RecordDict({"aside": ArrayRecord(dict(items[:1])), "arrays": ArrayRecord(dict(items[1:]))})
    elif change == "head alone":
        content["arrays"] = ArrayRecord({name: record[name] for name in ("head.weight", "head.bias")})
    else:
        record["body.weight"] = Array("float32", BODY, "numpy.ndarray", b"")
    messages = [Message(content, node, "train") for node in group.grid.apps]
    with pytest.raises(secagg.SessionAbortedError):
        run_session(group.grid, messages, config(), clock=group.clock)
    (sentence,) = group.refusals()
    if change == "unreadable":
        assert sentence == "the array 'body.weight' of the instruction cannot be read"
    else:
        assert sentence.startswith(OTHERS)
    assert len(group.trained) == CLIENTS


def test_what_a_node_gave_outlives_its_context_in_a_ledger_of_its_owners() -> None:
    """A server that makes a node's process end has the context of before, and not the ledger's."""
    ledgers = {client: secagg.MemoryLedger() for client in range(1, CLIENTS + 1)}
    group = federation(node=lambda client: {"ledger": ledgers[client]}, only=["head.*"])
    group.play()
    for node, context in group.grid.contexts.items():
        group.grid.contexts[node] = Context(context.run_id, node, {}, RecordDict(), {})
    with pytest.raises(secagg.SessionAbortedError):
        group.play(server_round=2, only=["head.weight"])
    assert {sentence.partition("'")[0] for sentence in group.refusals()} == {"this client gave arrays of "}
    assert len(group.trained) == CLIENTS


def test_a_server_that_has_another_model_evaluated_gets_nothing() -> None:
    group = federation(only=["head.*"], metrics=["accuracy"])
    group.play()
    other = first_model() | {"body.bias": np.ones(3)}
    settings = config(evaluate_metrics={"accuracy": 1.0})
    with pytest.raises(secagg.SessionAbortedError):
        run_session(group.grid, group.messages(record_of(other), 2, "evaluate"), settings, clock=group.clock)
    (sentence,) = group.refusals()
    assert sentence.startswith(OTHERS)


def test_an_evaluation_in_clear_is_of_the_runs_body_too() -> None:
    group = federation(only=["head.*"], clear=["evaluate"])
    group.play()
    (message, *_) = group.messages(record_of(first_model()), 2, "evaluate")
    assert not group.grid.ask(101, message).has_error()
    (message, *_) = group.messages(record_of(first_model() | {"body.bias": np.ones(3)}), 3, "evaluate")
    sentence = refusal(group.grid.ask(101, message))
    assert sentence.startswith(OTHERS)


def test_no_array_leaves_in_clear() -> None:
    """What an owner allows to be answered in clear are metrics; the head itself is given to sums alone."""
    app = ClientApp(mods=[secagg_mod(Node(1), only=["head.*"], clear=["evaluate", "query"])])

    def answer(message: Message, context: Context) -> Message:
        metrics = MetricRecord({"accuracy": 0.5})
        return Message(RecordDict({"arrays": record_of(first_model()), "metrics": metrics}), reply_to=message)

    app.evaluate()(answer)
    app.query()(answer)
    grid = FakeGrid({101: app})
    for kind in ("evaluate", "query"):
        reply = grid.ask(101, Message(RecordDict({"arrays": record_of(first_model())}), 101, kind))
        assert dict(reply.content.items()) == {"metrics": MetricRecord({"accuracy": 0.5})}


@pytest.mark.parametrize("difference", [True, False])
def test_a_sum_of_an_array_that_the_instruction_has_not_is_refused_before_an_app_runs(
    difference: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    selected = vars(ModelPlan)["selected"].fget
    monkeypatch.setattr(ModelPlan, "selected", property(lambda self: (*selected(self), "head.none")))
    group = federation()
    with pytest.raises(secagg.SessionAbortedError):
        group.play(difference=difference)
    assert group.refusals() == {"the session sums the array 'head.none', which the instruction does not have"}
    assert group.trained == []


def test_names_that_are_no_unicode_are_refused_like_others() -> None:
    group = federation(only=["head.*"])

    def on_request(node: int, message: Message) -> Message:
        if stage(message) == "masked_input":
            message.content.array_records["arrays"]["body.\ud800"] = Array(np.zeros(1))
        return message

    group.grid.on_request = on_request
    with pytest.raises(secagg.SessionAbortedError):
        group.play()
    (sentence,) = group.refusals()
    assert "are not those that the session was opened for" in sentence


def test_an_owner_that_knows_the_model_is_safe_from_the_first_round_on() -> None:
    known = Selection(["head.*"], frozen_digest(record_of(first_model()), ["head.*"]))
    group = federation(node=lambda client: {"selection": known})
    with pytest.raises(secagg.SessionAbortedError):
        group.play(first_model() | {"body.bias": np.ones(3)})
    (sentence,) = group.refusals()
    assert known.frozen is not None
    assert f"and this client trains beside {known.frozen.hex()} only" in sentence
    assert group.trained == []
    group.play(first_model() | {"head.bias": np.ones(10)}, server_round=2)
    with pytest.raises(secagg.ParameterError, match="only has 'tail', which is the name of no array"):
        frozen_digest(record_of(first_model()), ["tail"])


def test_a_models_digest_is_the_same_in_all_frameworks() -> None:
    """What owners write down; the tests of NVFLARE hold it, too."""
    model = ArrayRecord({"body": Array(np.arange(3, dtype="<f4")), "head": Array(np.ones(2))})
    assert frozen_digest(model, ["head"]).hex() == "9a20378492f0562a47c7c4ce9a2db3048bf328ab9f2df643906a5f2242bf9bbf"


@pytest.mark.parametrize("only", [["haed.*"], ["head.*", "lora"], []])
def test_a_selection_of_nothing_is_one_sentence_before_a_node_is_asked(only: list[str]) -> None:
    group = federation()
    with pytest.raises(secagg.ParameterError) as caught:
        group.play(only=only)
    expected = {
        1: "these arrays cannot be summed: 'haed.*' fits the name of no array; correct it",
        2: "these arrays cannot be summed: 'lora' is the name of no array; correct it, or use a pattern with *",
        0: "there is nothing to sum: no array that is selected has entries",
    }
    assert str(caught.value) == expected[len(only)]
    assert not group.grid.sent


def test_a_node_that_gives_a_head_only_answers_no_training_in_clear() -> None:
    group = federation(only=["head.*"], clear=["train"])
    (message, *_) = group.messages(record_of(first_model()))
    assert refusal(group.grid.ask(101, message)) == "this node cannot take part; its own log says why"
    assert group.trained == []


def test_a_head_under_a_privacy_plan() -> None:
    held = {client: MemoryBudget(100.0, 1e-3) for client in range(1, CLIENTS + 1)}
    privacy = PrivacySettings(epsilon=20.0, delta=1e-3, clip=1.0, rounds=4, clients=CLIENTS)
    group = federation(node=lambda client: {"budget": held[client]}, only=["head.*"])
    settings: dict[str, Any] = {"privacy": privacy, "minimum_contributors": 4}
    outcome = group.play(**settings)
    assert outcome.plan is not None
    assert outcome.arrays is not None
    assert [name for name, _ in outcome.plan.arrays] == ["head.weight", "head.bias"]
    before = record_of(first_model())
    for name in ("body.weight", "body.bias", "body.brain"):
        assert outcome.arrays[name].data == before[name].data
    assert not np.array_equal(outcome.arrays["head.weight"].numpy(), first_model()["head.weight"])
    # Another selection, another plan: refused before a draw is counted.
    with pytest.raises(secagg.SessionAbortedError):
        group.play(server_round=2, **settings, only=["head.weight"])
    assert {budget.report().draws for budget in held.values()} == {1}


def test_a_head_in_cells() -> None:
    group = federation(12, node=lambda client: {"cells": OwnCells(floor=4)}, only=["head.*"])
    settings = config(cells=Cells(size=4, floor=4), max_dropout=0.2, max_corrupt=0.1)
    cells = cells_of_run(settings)
    outcome = run_cells(group.grid, group.messages(record_of(first_model())), settings, cells, clock=group.clock)
    assert outcome.sums.cells == (0, 1, 2)
    assert outcome.sums.rows.shape == (3, HEAD[0] * HEAD[1] + HEAD[1])
    before = record_of(first_model())
    for cell, arrays in outcome.arrays.items():
        mean = np.mean([client / 64 for client in outcome.partition.cells[cell]])
        np.testing.assert_allclose(arrays["head.bias"].numpy(), mean, atol=2 * 2.0**-15)
        assert all(arrays[name].data == before[name].data for name in before if name.startswith("body."))
    assert not group.refusals()
    other = config(cells=Cells(size=4, floor=4), max_dropout=0.2, max_corrupt=0.1, only=["head.bias"])
    with suppress(secagg.SessionAbortedError):
        run_cells(group.grid, group.messages(record_of(first_model()), 2), other, cells, clock=group.clock)
    assert len(group.trained) == 12


def test_a_selection_that_an_owner_did_not_name_uses_up_no_cell() -> None:
    """What is summed in a cell is decided once, and an offer that is refused decides nothing."""
    group = federation(12, node=lambda client: {"cells": OwnCells(floor=4)}, only=["head.*"])
    settings = config(cells=Cells(size=4, floor=4), max_corrupt=0.1)
    wrong = config(cells=Cells(size=4, floor=4), max_corrupt=0.1, only=["head.*", "body.weight"])
    cells = cells_of_run(wrong)
    messages = group.messages(record_of(first_model()))
    with pytest.raises(secagg.SessionAbortedError):
        run_cells(group.grid, messages, wrong, cells, clock=group.clock)
    (sentence,) = group.refusals()
    assert sentence.startswith("the session sums the array 'body.weight', and this client gives head.* only")
    assert run_cells(group.grid, messages, settings, cells, clock=group.clock).sums.cells == (0, 1, 2)


def test_weights_travel_beside_a_head_and_one_alike_weighs_all() -> None:
    for max_weight in (1, 1000):
        group = federation(only=["head.*"])
        outcome = group.play(max_weight=max_weight)
        weights = [1] * CLIENTS if max_weight == 1 else weights_of(outcome)
        mean = np.average([client / 64 for client in outcome.contributors], weights=weights)
        assert outcome.arrays is not None
        np.testing.assert_allclose(outcome.arrays["head.bias"].numpy(), mean, atol=2 * 2.0**-15)
