"""The server's facade: deadlines belong to the caller, mistakes of the caller change nothing, ends are final."""

from __future__ import annotations

import copy
import mmap
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import (
    AbortReason,
    DropReason,
    Integers,
    LocalProtocolError,
    ParameterError,
    Round,
    ServerPhase,
    ServerSession,
    SessionAbortedError,
)
from secagg.protocol import server as machine
from secagg.protocol.events import ClientDropped, LateMessageRefused, Progress, RoundClosed, SessionAborted, Stage
from secagg.protocol.messages import Abort
from secagg.wire.codec import decode_offer
from tests.harness import ROUNDS, Harness, decode_request, forge

CALLS: list[tuple[str, Callable[[ServerSession], object]]] = [
    ("receive", lambda server: server.receive(1, b"garbage")),
    ("drop", lambda server: server.drop(1, DropReason.CLIENT_ABORTED)),
    ("close_round", lambda server: server.close_round()),
    ("abort", lambda server: server.abort()),
    ("snapshot", lambda server: server.snapshot()),
]


def harness_of(**options: Any) -> Harness:
    return Harness(5, threshold=3, **options)


def answers_of(harness: Harness) -> dict[int, bytes]:
    return {client: harness.ask(client) or b"" for client in harness.requests}


def test_a_new_session_offers_itself_and_asks_everybody_for_keys() -> None:
    harness = harness_of(context=b"model 3")
    server = harness.server
    assert decode_offer(server.offer).parameters == server.parameters == harness.parameters
    assert set(server.requests) == set(harness.cohort)
    assert (server.phase, server.round) == (ServerPhase.COLLECTING_KEYS, Round.ADVERTISE_KEYS)
    assert server.abort_reason is None
    assert server.take_events() == ()


@pytest.mark.parametrize("threat_model", ["semi-honest", "active"])
def test_pending_answered_and_ready_in_every_round(threat_model: str) -> None:
    harness = harness_of(threat_model=threat_model)
    server, seen = harness.server, []
    while server.round is not None:
        seen.append(server.round)
        asked = frozenset(server.requests)
        assert (server.pending, server.answered, server.ready) == (asked, frozenset(), False)
        done: frozenset[int] = frozenset()
        for client, answer in answers_of(harness).items():
            assert not server.ready
            assert server.receive(client, answer) == ()
            done |= {client}
            assert (server.pending, server.answered) == (asked - done, done)
        assert server.ready
        server.close_round()
    assert seen == [round_ for round_ in ROUNDS if round_ is not Round.CONSISTENCY_CHECK or harness.active]
    assert (server.pending, server.answered, server.ready, server.round) == (frozenset(), frozenset(), False, None)
    assert dict(server.requests) == {}
    harness.assert_exact(harness.cohort)


def test_a_dropped_client_is_not_waited_for() -> None:
    harness = harness_of()
    server, answers = harness.server, answers_of(harness)
    for client in (1, 2, 3, 4):
        server.receive(client, answers[client])
    (event,) = server.drop(5, DropReason.CLIENT_ABORTED, "its connection is gone")
    assert event == ClientDropped(5, Round.ADVERTISE_KEYS, DropReason.CLIENT_ABORTED, "its connection is gone")
    assert server.ready
    assert server.answered == {1, 2, 3, 4}
    assert server.drop(5, DropReason.CLIENT_ABORTED) == (LateMessageRefused(5, Round.ADVERTISE_KEYS),)
    server.close_round()
    assert set(server.requests) == {1, 2, 3, 4}


def test_the_round_can_be_closed_before_everybody_answered() -> None:
    harness = harness_of()
    harness.play_round(silent={2})
    assert harness.events == [
        ClientDropped(2, Round.ADVERTISE_KEYS, DropReason.DID_NOT_ANSWER_IN_TIME, "client 2 did not answer in time"),
        RoundClosed(Round.ADVERTISE_KEYS, (1, 3, 4, 5)),
    ]


def test_requests_cannot_be_changed_by_the_caller() -> None:
    harness = harness_of()
    with pytest.raises(TypeError):
        harness.server.requests[1] = b""  # type: ignore[index]
    returned = harness.play_round(close=False) and harness.server.close_round()
    assert returned == harness.server.requests


def test_events_of_closing_are_kept_until_they_are_taken() -> None:
    harness = harness_of()
    harness.play_round(silent={5}, close=False)
    harness.server.close_round()
    for client in (1, 2, 3, 4):
        harness.server.receive(client, harness.ask(client) or b"")
    harness.server.close_round()
    events = harness.server.take_events()
    assert [type(event) for event in events] == [ClientDropped, RoundClosed, RoundClosed]
    assert harness.server.take_events() == ()


@pytest.mark.parametrize("stranger", [0, 6, 2**64 - 1])
def test_a_client_outside_the_cohort_is_the_callers_mistake(stranger: int) -> None:
    harness = harness_of()
    answer = harness.ask(1) or b""
    for message in (answer, b"garbage", forge(Abort(harness.session, AbortReason.PEER_ABORTED))):
        with pytest.raises(LocalProtocolError, match=f"client {stranger} is not in this session's cohort"):
            harness.server.receive(stranger, message)
    with pytest.raises(LocalProtocolError):
        harness.server.drop(stranger, DropReason.CLIENT_ABORTED)
    assert harness.server.pending == set(harness.cohort)
    harness.finish().assert_exact(harness.cohort)


@pytest.mark.parametrize("client", ["1", 1.0, True, None, -1, 2**64])
def test_what_is_no_client_id_is_the_callers_mistake(client: Any) -> None:
    harness = harness_of()
    with pytest.raises(LocalProtocolError):
        harness.server.receive(client, b"")
    with pytest.raises(LocalProtocolError):
        harness.server.drop(client, DropReason.CLIENT_ABORTED)
    assert harness.server.pending == set(harness.cohort)


@pytest.mark.parametrize("message", ["text", None, 3])
def test_what_is_no_bytes_is_the_callers_mistake(message: Any) -> None:
    harness = harness_of()
    with pytest.raises(LocalProtocolError, match="a message is bytes, not"):
        harness.server.receive(1, message)
    assert harness.server.pending == set(harness.cohort)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_any_bytes_like_message_is_read(form: Callable[[bytes], Any]) -> None:
    harness = harness_of()
    while harness.round is not None:
        for client, answer in answers_of(harness).items():
            harness.server.receive(client, form(answer))
        harness.close()
    harness.assert_exact(harness.cohort)


def wide(answer: bytes) -> memoryview:
    """The bytes in items of their own number, in two dimensions."""
    return memoryview(answer).cast("B", shape=(1, len(answer)))


def scattered(answer: bytes) -> memoryview:
    """The bytes with others between them."""
    spread = bytearray(2 * len(answer))
    spread[::2] = answer
    return memoryview(spread)[::2]


@pytest.mark.parametrize("form", [wide, scattered])
def test_a_view_is_read_in_whatever_shape_it_comes(form: Callable[[bytes], memoryview]) -> None:
    test_any_bytes_like_message_is_read(form)


@pytest.mark.parametrize("message", [memoryview(b""), np.empty((0, 3), dtype=np.uint64).data])
def test_an_empty_view_is_no_message(message: memoryview) -> None:
    (event,) = harness_of().server.receive(4, message)
    assert isinstance(event, ClientDropped)
    assert event.reason is DropReason.MESSAGE_MALFORMED


def test_a_masked_input_is_read_where_it_lies(tmp_path: Path) -> None:
    harness = harness_of(vectors={"v": Integers(0, 1000, length=500_000)}).run_to(Round.MASKED_INPUT)
    for client, answer in answers_of(harness).items():
        (tmp_path / "answer").write_bytes(answer)
        with (tmp_path / "answer").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            tracemalloc.start()
            # Closing the map would fail if anything still looked into it.
            with memoryview(mapped) as view:
                assert harness.server.receive(client, view) == ()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert len(answer) > 800_000
        assert peak < len(answer) / 2
    harness.close()
    harness.finish().assert_exact(harness.cohort)


def test_no_message_is_longer_than_the_limit() -> None:
    harness = harness_of()
    limit, longest = harness.server.message_limit, 0
    while harness.round is not None:
        answers = answers_of(harness)
        longest = max(longest, *map(len, answers.values()))
        for client, answer in answers.items():
            harness.server.receive(client, answer)
        harness.close()
    assert longest <= limit <= longest + 300  # an attestation, which dealings of other sessions have
    (event,) = harness_of().server.receive(1, bytes(limit + 1))
    assert isinstance(event, ClientDropped)
    assert f"at most {limit}" in event.detail


@pytest.mark.parametrize("message", [b"", b"garbage", bytes(10**5)])
def test_bytes_that_are_no_message_cost_their_sender_only(message: bytes) -> None:
    harness = harness_of()
    (event,) = harness.server.receive(4, message)
    assert isinstance(event, ClientDropped)
    assert (event.client, event.reason) == (4, DropReason.MESSAGE_MALFORMED)
    harness.play_round(silent={4})
    harness.finish().assert_exact({1, 2, 3, 5})


def test_an_answer_counts_for_the_client_that_the_transport_names() -> None:
    harness = harness_of()
    (event,) = harness.server.receive(3, harness.ask(2) or b"")
    assert isinstance(event, ClientDropped)
    assert (event.client, event.reason) == (3, DropReason.ADVERTISEMENT_OF_ANOTHER_CLIENT)
    assert harness.server.pending == {1, 2, 4, 5}


def test_there_is_no_result_before_the_end() -> None:
    harness = harness_of()
    while harness.round is not None:
        with pytest.raises(LocalProtocolError, match=r"no result yet, its phase is '[a-z ]+'; close its rounds"):
            harness.server.result  # noqa: B018 - the property raises
        harness.play_round()
    assert harness.server.result.contributors == harness.cohort
    assert harness.server.result is harness.server.result


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_a_completed_session_stays_completed(name: str, call: Callable[[ServerSession], object]) -> None:
    harness = harness_of().finish()
    result = harness.server.result
    with pytest.raises(SessionAbortedError, match="completed") as caught:
        call(harness.server)
    assert caught.value.reason is None
    assert harness.server.phase is ServerPhase.COMPLETED
    assert harness.server.result is result
    assert harness.server.take_events() == ()


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_an_aborted_session_stays_aborted(name: str, call: Callable[[ServerSession], object]) -> None:
    harness = harness_of()
    notices = harness.server.abort("enough")
    harness.server.take_events()
    with pytest.raises(SessionAbortedError, match="enough") as caught:
        call(harness.server)
    assert caught.value.reason is harness.server.abort_reason is AbortReason.ABORTED_BY_CALLER
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.requests == notices
    with pytest.raises(SessionAbortedError, match="there is no sum: enough"):
        harness.server.result  # noqa: B018 - the property raises


def test_aborting_tells_every_client_that_is_left() -> None:
    harness = harness_of().run_to(Round.SHARE_KEYS, silent={Round.ADVERTISE_KEYS: {1}})
    notices = harness.server.abort()
    assert set(notices) == {2, 3, 4, 5}
    assert {decode_request(notice) for notice in notices.values()} == {
        Abort(harness.session, AbortReason.ABORTED_BY_CALLER)
    }
    assert harness.server.take_events() == (SessionAborted(AbortReason.ABORTED_BY_CALLER, "aborted by the caller"),)


def test_no_threshold_is_advised_that_no_session_may_have() -> None:
    harness = harness_of(threat_model="active")
    harness.close()
    last = harness.events[-1]
    assert isinstance(last, SessionAborted)
    assert last.detail.endswith("1 may leave. Take more clients: a threshold of 2 would give inputs away")


def test_too_few_answers_abort_with_notices_and_a_reason() -> None:
    harness = harness_of()
    notices = dict(harness.close())
    assert harness.server.abort_reason is AbortReason.TOO_FEW_ADVERTISED
    assert set(notices) == set(harness.cohort)
    last = harness.events[-1]
    assert isinstance(last, SessionAborted)
    assert last == SessionAborted(
        AbortReason.TOO_FEW_ADVERTISED,
        "0 of 5 clients advertised keys; the session needs at least 4, for its threshold is 3: 1 may leave. Take more "
        "clients, or lower threshold",
    )
    assert [type(event) for event in harness.events[:-1]] == [ClientDropped] * 5


def explode(*_: object) -> Any:
    raise ZeroDivisionError("a defect")


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("receive", lambda harness: harness.server.receive(1, harness.ask(1) or b"")),
        ("drop", lambda harness: harness.server.drop(1, DropReason.CLIENT_ABORTED)),
        ("close_round", lambda harness: harness.server.close_round()),
        ("abort", lambda harness: harness.server.abort()),
    ],
)
def test_a_defect_never_leaves_a_session_half_advanced(
    function: str, call: Callable[[Harness], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = harness_of()
    monkeypatch.setattr(machine, function, explode)
    with pytest.raises(ZeroDivisionError):
        call(harness)
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.INTERNAL_ERROR
    with pytest.raises(SessionAbortedError, match="an unexpected exception ended an earlier call"):
        harness.server.result  # noqa: B018 - the property raises


def test_a_caller_that_fails_while_the_sum_is_made_ends_the_session() -> None:
    harness = harness_of()
    harness.server = ServerSession(harness.parameters, on_progress=explode)
    harness.run_to(Round.UNMASKING)
    with pytest.raises(ZeroDivisionError):
        harness.play_round()
    assert harness.server.abort_reason is AbortReason.INTERNAL_ERROR


def test_the_stages_of_the_last_round_are_told_in_order() -> None:
    told: list[Progress] = []
    harness = harness_of()
    harness.server = ServerSession(harness.parameters, on_progress=told.append)
    harness.run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {2}})
    assert told == []
    harness.finish().assert_exact({1, 3, 4, 5})
    assert [progress.stage for progress in told if not progress.done] == list(Stage)
    for stage in Stage:
        done = [progress.done for progress in told if progress.stage is stage]
        assert done == sorted(done)
        assert {progress.whole for progress in told if progress.stage is stage} == {done[-1]}


def test_progress_says_nothing_about_inputs() -> None:
    told: list[list[Progress]] = []
    for seed, lowest in ((1, False), (2, True)):
        harness = harness_of(seed=seed)
        if lowest:
            for vector in harness.inputs.values():
                vector["v"][:] = -50
        told.append([])
        harness.server = ServerSession(harness.parameters, on_progress=told[-1].append)
        harness.run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {2}})
        harness.finish()
    assert told[0] == told[1] != []


def test_an_active_session_needs_the_key_of_every_client() -> None:
    harness = harness_of(threat_model="active")
    with pytest.raises(ParameterError, match="5 clients of the cohort, the first 1, are not in the roster"):
        ServerSession(harness.parameters)
    without = {client: key for client, key in harness.roster.items() if client != 4}
    with pytest.raises(ParameterError, match="1 clients of the cohort, the first 4"):
        ServerSession(harness.parameters, roster=without)
    with pytest.raises(ParameterError, match="client 4"):
        ServerSession(harness.parameters, roster={**harness.roster, 4: b"short"})


def test_the_roster_is_the_sessions_own() -> None:
    harness = harness_of(threat_model="active")
    roster = dict(harness.roster)
    harness.server = ServerSession(harness.parameters, roster=roster)
    roster.clear()
    harness.finish().assert_exact(harness.cohort)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_session_is_not_copied(duplicate: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="not copied or pickled"):
        duplicate(harness_of().server)
