"""A server that lies through NVFLARE's tasks is refused by the executor, by the name of its lie.

Each lie is told in an otherwise honest active session; the liar is the network. What it may not get is the shares, or
the masked input, that the lie is after.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.shareable import Shareable

import secagg
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.randomness import SystemRandomSource
from secagg.errors import Violation
from secagg.integrations.nvflare import Instruction, messages
from secagg.integrations.nvflare.messages import ENTRY
from secagg.protocol.messages import ConsistencyCheckRequest, ShareKeysRequest, UnmaskingRequest
from secagg.wire.codec import decode_server_message
from tests.harness import alter
from tests.integrations.nvflare.support import FAST, Network, enroll, names_of, stage
from tests.integrations.nvflare.test_session import ACTIVE_SETTINGS

VICTIM = "site-1"
OTHER = secagg.client_id("site-2")


class Group:
    """An enrolled cohort on a network whose server lies."""

    def __init__(self, folder: Path, count: int = 6, extra: str = "") -> None:
        self.roster = enroll(folder, names_of(count), extra)
        self.network = Network(folder, names_of(count))

    def play(self) -> None:
        with suppress(secagg.SessionAbortedError):
            self.network.sum(ACTIVE_SETTINGS, roster=self.roster)

    def lie(self, when: str, change: Callable[[Shareable], Shareable], sites: set[str] | None = None) -> str:
        """Tell a lie to some sites in one round; returns what the victim refuses with."""
        told = {VICTIM} if sites is None else sites
        self.network.on_task = lambda site, task: change(task) if site in told and stage(task) == when else task
        self.play()
        return refusal(self.network.results_of(VICTIM)[-1])


def refusal(said: dict[str, Any]) -> str:
    assert said["kind"] == "refusal"
    assert "message" not in said
    return str(said["reason"])


def altered(task: Shareable, **changes: Any) -> Shareable:
    return Shareable({ENTRY: {**task[ENTRY], "request": alter(task[ENTRY]["request"], **changes)}})


def request_of(task: Shareable) -> Any:
    return decode_server_message(task[ENTRY]["request"])


def test_split_survivor_sets_in_the_unmasking(tmp_path: Path) -> None:
    def split(task: Shareable) -> Shareable:
        request = request_of(task)
        assert isinstance(request, UnmaskingRequest)
        survivors = tuple(client for client in request.survivors if client != OTHER)
        return altered(task, survivors=survivors, dropped=(OTHER,))

    assert Violation.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS.name in Group(tmp_path).lie("unmasking", split)


def test_split_survivor_sets_from_the_confirmation_on(tmp_path: Path) -> None:
    """Two halves of the cohort confirm two sets: no half gets enough signatures over its own."""
    group = Group(tmp_path)

    def split(site: str, task: Shareable) -> Shareable:
        if site in ("site-1", "site-3", "site-4") and stage(task) == "consistency_check":
            request = request_of(task)
            assert isinstance(request, ConsistencyCheckRequest)
            return altered(task, contributors=tuple(client for client in request.contributors if client != OTHER))
        return task

    group.network.on_task = split
    with pytest.raises(secagg.SessionAbortedError):
        group.network.sum(ACTIVE_SETTINGS, roster=group.roster)
    assert group.network.tasks_of(VICTIM, "consistency_check")
    assert not any(stage(task) == "unmasking" for _, task in group.network.sent)


@pytest.mark.parametrize("key", ["mask_public", "channel_public"])
def test_substituted_keys(key: str, tmp_path: Path) -> None:
    def substitute(task: Shareable) -> Shareable:
        request = request_of(task)
        assert isinstance(request, ShareKeysRequest)
        made_by_server = AgreementKey.generate(SystemRandomSource()).public
        change: dict[str, Any] = {key: made_by_server}
        advertisements = tuple(
            replace(entry, **change) if entry.client == OTHER else entry for entry in request.advertisements
        )
        return altered(task, advertisements=advertisements)

    assert Violation.ADVERTISEMENT_SIGNATURE_INVALID.name in Group(tmp_path).lie("share_keys", substitute)


def test_both_shares_of_a_client_in_one_request(tmp_path: Path) -> None:
    name = Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED.name
    assert name in Group(tmp_path).lie("unmasking", lambda task: altered(task, dropped=(OTHER,)))


def test_both_shares_of_a_client_one_after_the_other(tmp_path: Path) -> None:
    group = Group(tmp_path)
    group.play()
    (asked,) = group.network.tasks_of(VICTIM, "unmasking")
    survivors = tuple(client for client in request_of(asked).survivors if client != OTHER)
    second = altered(asked, survivors=survivors, dropped=(OTHER,))
    assert Violation.SECOND_UNMASKING_REQUEST.name in refusal(group.network.ask(VICTIM, second)[ENTRY])
    assert "in no such session" in refusal(group.network.ask(VICTIM, second)[ENTRY])


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"w": np.ones(3), "b": np.zeros(3)}},
        {"data": {"w": np.zeros(3, dtype=np.float32), "b": np.zeros(3)}},
        {"data": {"b": np.zeros(3), "w": np.zeros(3)}},
        {"meta": {"rate": 0.2}},
        {"headers": {"current_round": 8}},
        {"task": "train_longer"},
        {"kind": "ANALYTIC"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_instruction_than_the_session_was_opened_for(change: dict[str, Any], tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(5))

    def swap(site: str, task: Shareable) -> Shareable:
        if site == VICTIM and stage(task) == "masked_input":
            task[ENTRY]["instruction"] = {**task[ENTRY]["instruction"], **change}
        return task

    network.on_task = swap
    arrays = {"w": np.zeros(3), "b": np.zeros(3)}
    told = Instruction(DXO(DataKind.WEIGHTS, data=arrays, meta={"rate": 0.1}), headers={"current_round": 7})
    vectors: dict[str, secagg.FixedPoint | secagg.Integers] = {
        name: secagg.FixedPoint(3, clip=0.1, bits=16, aggregate="mean") for name in arrays
    }
    assert network.sum(FAST, vectors, told, difference=True).contributors == tuple(names_of(5)[1:])
    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in refusal(network.results_of(VICTIM)[-1])
    assert network.learners[VICTIM].seen == []
    assert len(network.learners["site-2"].seen) == 1


@pytest.mark.parametrize(
    "plan",
    [
        {"names": ["counts"], "difference": False, "weighted": True},
        {"names": [], "difference": False, "weighted": False},
    ],
)
def test_another_plan_than_the_session_was_opened_for(plan: dict[str, Any], tmp_path: Path) -> None:
    def swap(task: Shareable) -> Shareable:
        task[ENTRY]["plan"] = plan
        return task

    group = Group(tmp_path)
    assert Violation.OFFER_CONTEXT_NOT_EXPECTED.name in group.lie("masked_input", swap)
    assert group.network.learners[VICTIM].seen == []


def test_the_masked_input_is_asked_for_without_an_instruction(tmp_path: Path) -> None:
    def strip(task: Shareable) -> Shareable:
        return Shareable({ENTRY: {k: v for k, v in task[ENTRY].items() if k not in ("plan", "instruction")}})

    group = Group(tmp_path)
    assert "its own log says why" in group.lie("masked_input", strip)
    assert group.network.learners[VICTIM].seen == []


@pytest.mark.parametrize("kind", list(DataKind))
def test_a_task_in_clear_is_not_answered(kind: DataKind, tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))
    reply = network.ask(VICTIM, DXO(kind, data={"w": np.zeros(3)}).to_shareable())
    assert "under secure aggregation only" in refusal(reply[ENTRY])
    assert "DXO" not in reply
    assert network.learners[VICTIM].seen == []


def offer_to(group: Group, **changes: Any) -> str:
    """Offer a session that is no good, and return the refusal."""
    arguments: dict[str, Any] = {
        "clients": sorted(group.roster),
        "vectors": {"arrays/0": secagg.FixedPoint(4, clip=1.0, bits=16)},
        "threat_model": "active",
        "max_dropout": 0.2,
        "max_corrupt": 0.0,
        "minimum_contributors": 4,
        **changes,
    }
    parameters = secagg.SessionParameters.choose(**arguments)
    roster = {client: group.roster.get(client, client.to_bytes(32, "big")) for client in parameters.cohort}
    server = secagg.ServerSession(parameters, roster=roster)
    asked = messages.Asked(
        messages.session_tag(server.offer), "advertise_keys", server.requests[secagg.client_id(VICTIM)], server.offer
    )
    return refusal(group.network.ask(VICTIM, messages.request_task(asked))[ENTRY])


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"clients": [secagg.client_id(name) for name in names_of(4)]}, Violation.OFFER_COHORT_BELOW_POLICY),
        ({"threat_model": "semi-honest", "threshold": 4}, Violation.OFFER_THREAT_MODEL_NOT_ALLOWED),
        (
            {"clients": [secagg.client_id(name) for name in (*names_of(5), "a stranger")]},
            Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER,
        ),
        ({"minimum_contributors": 3}, Violation.OFFER_MINIMUM_CONTRIBUTORS_BELOW_POLICY),
    ],
    ids=lambda value: value.name if isinstance(value, Violation) else "",
)
def test_an_offer_below_the_sites_policy(changes: dict[str, Any], violation: Violation, tmp_path: Path) -> None:
    group = Group(tmp_path, extra="minimum_cohort = 5\nminimum_contributors = 4\n")
    assert violation.name in offer_to(group, **changes)


def test_an_offer_of_another_session_than_named(tmp_path: Path) -> None:
    group = Group(tmp_path, 5)
    group.play()
    (first,) = group.network.tasks_of(VICTIM, "advertise_keys")
    wrong = Shareable({ENTRY: {**first[ENTRY], "tag": bytes(32)}})
    assert "not of the session that the task names" in refusal(group.network.ask(VICTIM, wrong)[ENTRY])


def test_an_old_offer_is_not_answered_with_new_keys_and_does_not_end_a_session(tmp_path: Path) -> None:
    group = Group(tmp_path, 5)
    group.play()
    (old,) = group.network.tasks_of(VICTIM, "advertise_keys")
    seen: list[str] = []

    def replay(site: str, task: Shareable) -> Shareable:
        if site == VICTIM and stage(task) == "consistency_check":
            seen.append(refusal(group.network.ask(VICTIM, old)[ENTRY]))
        return task

    group.network.on_task = replay
    outcome = group.network.sum(ACTIVE_SETTINGS, roster=group.roster)
    assert len(seen) == 1
    assert "answered ADVERTISE_KEYS before" in seen[0]
    assert outcome.contributors == tuple(names_of(5))
    assert not [event for event in outcome.events if type(event).__name__ == "ClientDropped"]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {"kind": "goodbye"},
        {"kind": "request"},
        {"kind": "request", "tag": "text", "stage": "share_keys", "request": b""},
        {"kind": "request", "tag": b"", "stage": "share_keys", "request": b"", "offer": "text"},
        {"kind": "request", "tag": b"", "stage": "share_keys", "request": b""},
        {"kind": "request", "tag": b"", "stage": "share_keys", "request": b"", "plan": {}},
        {"kind": "request", "tag": b"", "stage": "masked_input", "request": b"", "plan": {}, "instruction": {}},
    ],
)
def test_a_malformed_task(entry: dict[str, Any] | None, tmp_path: Path) -> None:
    network = Network(tmp_path, names_of(3))
    assert refusal(network.ask(VICTIM, Shareable({ENTRY: entry}))[ENTRY])
