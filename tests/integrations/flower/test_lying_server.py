"""A server that lies through Flower's messages is refused by the mod, by the name of its lie.

Each lie is told in an otherwise honest active session; the liar is the grid. What it may not get is the shares, or
the masked input, that the lie is after.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common.serde import context_from_proto, context_to_proto

import secagg
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.randomness import SystemRandomSource
from secagg.errors import Violation
from secagg.integrations.flower import DirectoryLedger, Node, SecAggConfig, records, run_session, secagg_mod
from secagg.protocol.messages import (
    Advertisement,
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.wire.codec import decode_server_message
from tests.harness import alter
from tests.integrations.flower.support import (
    Cohort,
    Trainer,
    cohort,
    instructions,
    model,
    refusal,
    request_of,
    stage,
    with_request,
)

VICTIM = 101


def play(group: Cohort, server_round: int = 1, **settings: Any) -> None:
    config = SecAggConfig(threat_model="active", roster=group.roster, max_dropout=0.2, **settings)
    run_session(group.grid, instructions(group.grid.apps, server_round=server_round), config, clock=group.clock)


def answers(group: Cohort, node: int, when: str) -> list[Message]:
    """What a node replied to requests of one round."""
    asked = {message.metadata.message_id for to, message in group.grid.sent if to == node and stage(message) == when}
    return [reply for by, reply in group.grid.replies if by == node and reply.metadata.reply_to_message_id in asked]


def lie(group: Cohort, when: str, change: Callable[[Message], Message], nodes: set[int] | None = None) -> str:
    """Play a session in which some nodes are lied to in one round; returns what the victim refuses with."""
    told = {VICTIM} if nodes is None else nodes

    def on_request(node: int, message: Message) -> Message | None:
        return change(message) if node in told and stage(message) == when else message

    group.grid.on_request = on_request
    with suppress(secagg.SessionAbortedError):
        play(group)
    (reply,) = answers(group, VICTIM, when)
    assert "secagg.session" not in group.grid.contexts[VICTIM].state
    return refusal(reply)


def test_split_survivor_sets_in_the_unmasking() -> None:
    def split(message: Message) -> Message:
        request = decode_server_message(request_of(message))
        assert isinstance(request, UnmaskingRequest)
        survivors = tuple(client for client in request.survivors if client != 5)
        return with_request(message, alter(request_of(message), survivors=survivors, dropped=(5,)))

    group = cohort(6)
    assert Violation.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS.name in lie(group, "unmasking", split)


def test_split_survivor_sets_from_the_confirmation_on() -> None:
    """Two halves of the cohort confirm two sets: no half gets enough signatures over its own."""

    def split(message: Message) -> Message:
        request = decode_server_message(request_of(message))
        if isinstance(request, ConsistencyCheckRequest):
            return with_request(message, alter(request_of(message), contributors=(1, 2, 3, 4, 6)))
        assert isinstance(request, UnmaskingRequest)
        return with_request(message, alter(request_of(message), survivors=(2, 3, 4, 6), dropped=(5,)))

    group = cohort(6)
    half = {101, 102, 103}

    def on_request(node: int, message: Message) -> Message | None:
        return split(message) if node in half and stage(message) == "consistency_check" else message

    group.grid.on_request = on_request
    with pytest.raises(secagg.SessionAbortedError):
        play(group)
    # The signatures of one half are no signatures over the set of the other.
    signed = {node: answers(group, node, "consistency_check") for node in (101, 104)}
    assert all(len(replies) == 1 and replies[0].has_content() for replies in signed.values())
    assert not answers(group, VICTIM, "unmasking")


def test_confirmations_over_another_set_are_refused() -> None:
    group = cohort(6)

    def on_request(node: int, message: Message) -> Message | None:
        if node == VICTIM and stage(message) == "consistency_check":
            return with_request(message, alter(request_of(message), contributors=(1, 2, 3, 4, 6)))
        return message

    group.grid.on_request = on_request
    play(group)  # the victim's signature is over another set, so an honest server drops it
    seen = next(m for n, m in group.grid.sent if n == 102 and stage(m) == "unmasking")
    forged = alter(request_of(seen), survivors=(2, 3, 4, 6), dropped=(5,))
    target = next(m for n, m in group.grid.sent if n == VICTIM and stage(m) == "consistency_check")
    target.content["secagg"] = ConfigRecord({**target.content.config_records["secagg"], "stage": "unmasking"})
    reply = group.grid.ask(VICTIM, with_request(target, forged))
    assert "CONFIRMATION" in refusal(reply)


def substituted(entry: Advertisement, key: str, public: bytes) -> Advertisement:
    changes: dict[str, Any] = {key: public}
    return replace(entry, **changes)


@pytest.mark.parametrize("key", ["mask_public", "channel_public"])
def test_substituted_keys(key: str) -> None:
    def substitute(message: Message) -> Message:
        request = decode_server_message(request_of(message))
        assert isinstance(request, ShareKeysRequest)
        made_by_server = AgreementKey.generate(SystemRandomSource()).public
        advertisements = tuple(
            substituted(entry, key, made_by_server) if entry.client == 2 else entry for entry in request.advertisements
        )
        return with_request(message, alter(request_of(message), advertisements=advertisements))

    assert Violation.ADVERTISEMENT_SIGNATURE_INVALID.name in lie(cohort(5), "share_keys", substitute)


def test_both_shares_of_a_client_in_one_request() -> None:
    def both(message: Message) -> Message:
        return with_request(message, alter(request_of(message), dropped=(2,)))

    name = Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED.name
    assert name in lie(cohort(5), "unmasking", both)


def test_both_shares_of_a_client_one_after_the_other() -> None:
    group = cohort(5)
    play(group)
    asked = next(m for n, m in group.grid.sent if n == VICTIM and stage(m) == "unmasking")
    request = decode_server_message(request_of(asked))
    assert isinstance(request, UnmaskingRequest)
    survivors = tuple(client for client in request.survivors if client != 2)
    second = alter(request_of(asked), survivors=survivors, dropped=(2,))
    assert "in no such session" in refusal(group.grid.ask(VICTIM, with_request(asked, second)))


def test_both_shares_from_a_node_whose_context_was_rolled_back(tmp_path: Path) -> None:
    """Flower may lose what an app stored after its reply was sent; the ledger on the disk does not."""
    group = cohort(5)
    trainer = Trainer(0.01)
    node = Node(1, group.identities[1], group.roster, ledger=DirectoryLedger(tmp_path))
    group.grid.apps = {**group.grid.apps, VICTIM: trainer.app(secagg_mod(node))}
    before: list[Any] = []

    def on_request(to: int, message: Message) -> Message | None:
        if to == VICTIM and stage(message) == "masked_input":
            before.append(group.grid.contexts[VICTIM].state.config_records["secagg.session"]["snapshot"])
        return message

    group.grid.on_request = on_request
    play(group)
    asked = next(m for n, m in group.grid.sent if n == VICTIM and stage(m) == "masked_input")
    state = group.grid.contexts[VICTIM].state
    tag = asked.content.config_records["secagg"]["tag"]
    state["secagg.session"] = ConfigRecord({"tag": tag, "snapshot": before[0]})
    state["secagg.ledger"] = ConfigRecord()
    trainer.difference = 0.02  # training is seldom the same twice
    assert "answered MASKED_INPUT before" in refusal(group.grid.ask(VICTIM, asked))


def test_a_request_that_cannot_be_opened_does_not_run_the_app() -> None:
    def break_shares(message: Message) -> Message:
        request = decode_server_message(request_of(message))
        assert isinstance(request, MaskedInputCollectionRequest)
        (sender, sealed), *rest = request.ciphertexts
        broken = (sender, bytes([sealed[0] ^ 1]) + sealed[1:])
        return with_request(message, alter(request_of(message), ciphertexts=(broken, *rest)))

    def on_request(node: int, message: Message) -> Message | None:
        return break_shares(message) if node == VICTIM and stage(message) == "masked_input" else message

    group = cohort(5)
    group.grid.on_request = on_request
    with pytest.raises(secagg.SessionAbortedError, match="could not read shares"):
        play(group)
    assert not group.trainers[1].trained
    assert group.trainers[2].trained == [1]


def test_another_model_than_the_session_was_opened_for() -> None:
    def swap(message: Message) -> Message:
        message.content["arrays"] = ArrayRecord({key: Array(array.numpy() + 1) for key, array in model().items()})
        return message

    group = cohort(5)
    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in lie(group, "masked_input", swap)
    assert not group.trainers[1].trained
    assert group.trainers[2].trained == [1]


def test_other_settings_than_the_session_was_opened_for() -> None:
    def swap(message: Message) -> Message:
        message.content["config"] = ConfigRecord({"server-round": 1, "lr": 0.2})
        return message

    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in lie(cohort(5), "masked_input", swap)


def test_the_same_arrays_in_another_order() -> None:
    """An app that takes arrays by their order would train another model than the others."""

    def turn(message: Message) -> Message:
        message.content["arrays"] = ArrayRecord(dict(reversed(list(message.content.array_records["arrays"].items()))))
        return message

    group = cohort(5)
    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in lie(group, "masked_input", turn)
    assert not group.trainers[1].trained


def test_the_same_instruction_in_another_group() -> None:
    def move(message: Message) -> Message:
        message.metadata.group_id = "7"
        return message

    group = cohort(5)
    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in lie(group, "masked_input", move)
    assert not group.trainers[1].trained


def test_run_configurations_that_differ_are_in_no_session_together(caplog: pytest.LogCaptureFixture) -> None:
    """A server that has all nodes but one train with a rate of 0 would have that one's update for the sum."""
    group = cohort(5)
    for client in group.trainers:
        group.grid.contexts[100 + client].run_config = {"learning-rate": 0.1 if client == 1 else 0.0}
    play(group)
    assert not group.trainers[1].trained
    assert "node 101 (client 1) has another run configuration than most; it is left out" in caplog.text
    told = records.run_config_digest({"learning-rate": 0.0})

    def forge(node: int, reply: Message) -> Message:
        head = reply.content.config_records["secagg"] if reply.has_content() else {}
        if "run-config" in head:
            reply.content["secagg"] = ConfigRecord({**head, "run-config": told})
        return reply

    liar = cohort(5)
    liar.grid.on_answer = forge
    for client in liar.trainers:
        liar.grid.contexts[100 + client].run_config = {"learning-rate": 0.1 if client == 1 else 0.0}
    play(liar)
    (reply,) = answers(liar, VICTIM, "masked_input")
    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in refusal(reply)
    assert not liar.trainers[1].trained


def test_two_requests_of_one_round_from_one_context_get_one_answer() -> None:
    """Flower stores a context after the reply has left, so that two processes may start from the same."""
    group = cohort(6)
    second: list[Message] = []

    def on_request(node: int, message: Message) -> Message | None:
        if node == VICTIM and stage(message) == "consistency_check":
            context = context_to_proto(group.grid.contexts[VICTIM])
            first = group.grid.ask(VICTIM, message)
            group.grid.contexts[VICTIM] = context_from_proto(context)
            other = with_request(message, alter(request_of(message), contributors=(1, 2, 3, 4, 6)))
            second.extend([first, group.grid.ask(VICTIM, other)])
            group.grid.contexts[VICTIM] = context_from_proto(context)
        return message

    group.grid.on_request = on_request
    play(group)
    assert second[0].has_content()
    assert "answered CONSISTENCY_CHECK before" in refusal(second[1])


def test_more_metrics_than_the_session_was_opened_for() -> None:
    def swap(message: Message) -> Message:
        plan = message.content.config_records["secagg.plan"]
        plan["metrics"] = ["secret"]
        return message

    group = cohort(5)
    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in lie(group, "masked_input", swap)


def test_the_masked_input_is_asked_for_without_an_instruction() -> None:
    def strip(message: Message) -> Message:
        message.content = RecordDict({k: v for k, v in message.content.items() if k != "secagg.plan"})
        return message

    group = cohort(5)
    assert "its own log says why" in lie(group, "masked_input", strip)
    assert not group.trainers[1].trained


def test_a_message_in_clear_is_not_answered() -> None:
    group = cohort(3)
    for kind in ("train", "evaluate"):
        (message,) = instructions([VICTIM], kind)
        assert "under secure aggregation only" in refusal(group.grid.ask(VICTIM, message))
    assert not group.trainers[1].trained


def test_only_what_the_node_allows_is_answered_in_clear() -> None:
    group = cohort(3, clear=("evaluate",))
    (train,) = instructions([VICTIM])
    (evaluate,) = instructions([VICTIM], "evaluate")
    assert "under secure aggregation only" in refusal(group.grid.ask(VICTIM, train))
    assert group.grid.ask(VICTIM, evaluate).content.metric_records["metrics"]["accuracy"] == 0.01


def offer_to(group: Cohort, **changes: Any) -> str:
    """Offer a session that is no good, and return the refusal."""
    arguments: dict[str, Any] = {
        "clients": sorted(group.identities),
        "vectors": {"arrays/0": secagg.FixedPoint(4, clip=1.0, bits=16)},
        "threat_model": "active",
        "max_dropout": 0.2,
        "max_corrupt": 0.1,
        "minimum_contributors": min(4, len(changes.get("clients", group.identities))),  # type: ignore[arg-type]
        **changes,
    }
    parameters = secagg.SessionParameters.choose(**arguments)  # type: ignore[arg-type]
    roster = {client: group.roster.get(client, bytes(31) + bytes([client])) for client in parameters.cohort}
    server = secagg.ServerSession(parameters, roster=roster)
    asked = records.Asked(records.session_tag(server.offer), server.requests[1], server.offer, "advertise_keys")
    return refusal(group.grid.ask(VICTIM, Message(records.request_content(asked, None, None), VICTIM, "train")))


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"clients": [1, 2, 3]}, Violation.OFFER_COHORT_BELOW_POLICY),
        ({"threat_model": "semi-honest", "threshold": 3}, Violation.OFFER_THREAT_MODEL_NOT_ALLOWED),
        ({"clients": [1, 2, 3, 4, 99]}, Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER),
        ({"minimum_contributors": 3}, Violation.OFFER_MINIMUM_CONTRIBUTORS_BELOW_POLICY),
        ({"vectors": {"arrays/0": secagg.Integers(41, 42, length=1)}}, Violation.OFFER_VECTORS_NOT_EXPECTED),
        ({"vectors": {"report": secagg.Integers(0, 1, length=9)}}, Violation.OFFER_VECTORS_NOT_EXPECTED),
    ],
)
def test_an_offer_below_the_nodes_policy(changes: dict[str, Any], violation: Violation) -> None:
    group = cohort(6, policy=secagg.ClientPolicy(minimum_cohort=4, minimum_contributors=4))
    assert violation.name in offer_to(group, **changes)


def test_an_offer_of_another_session_than_named() -> None:
    group = cohort(5)
    play(group)
    first = next(m for n, m in group.grid.sent if n == VICTIM and stage(m) == "advertise_keys")
    first.content["secagg"] = ConfigRecord({**first.content.config_records["secagg"], "tag": bytes(16)})
    assert "not of the session that the message names" in refusal(group.grid.ask(VICTIM, first))


def test_an_old_offer_is_not_answered_with_new_keys() -> None:
    group = cohort(5)
    play(group)
    first = next(m for n, m in group.grid.sent if n == VICTIM and stage(m) == "advertise_keys")
    play(group, server_round=2)
    assert "answered ADVERTISE_KEYS before" in refusal(group.grid.ask(VICTIM, first))


def test_a_late_message_of_an_old_session_does_not_end_the_new_one() -> None:
    group = cohort(5)
    play(group)
    late = next(m for n, m in group.grid.sent if n == VICTIM and stage(m) == "share_keys")
    seen: list[str] = []

    def on_request(node: int, message: Message) -> Message | None:
        if node == VICTIM and stage(message) == "consistency_check":
            seen.append(refusal(group.grid.ask(VICTIM, late)))
        return message

    group.grid.on_request = on_request
    play(group, server_round=2)
    assert seen == ["this node is in no such session (asked for share_keys)"]
    unmasked = answers(group, VICTIM, "unmasking")
    assert [reply.has_content() for reply in unmasked] == [True, True]


@pytest.mark.parametrize(
    "head",
    [
        {"kind": "goodbye"},
        {"kind": "request"},
        {"kind": "request", "tag": "text", "stage": "share_keys"},
        {"kind": "request", "tag": b"", "stage": "share_keys", "offer": "text"},
        {"kind": "request", "tag": b"", "stage": "share_keys"},
    ],
)
def test_a_malformed_request(head: dict[str, Any]) -> None:
    group = cohort(3)
    message = Message(RecordDict({"secagg": ConfigRecord(head)}), VICTIM, "train")  # type: ignore[arg-type]
    assert refusal(group.grid.ask(VICTIM, message))
    wrong = Message(RecordDict({"secagg": ArrayRecord()}), VICTIM, "train")
    assert "is no ConfigRecord" in refusal(group.grid.ask(VICTIM, wrong))
