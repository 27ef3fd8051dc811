"""The server's machine: repeats, second answers, clients that left, strangers, and the end."""

from __future__ import annotations

import pytest

from secagg import AbortReason, DropReason, LocalProtocolError, Round, ServerPhase, SessionAbortedError
from secagg.protocol.context import session_context
from secagg.protocol.events import (
    AnswerRepeated,
    ClientDropped,
    LateMessageRefused,
    RoundClosed,
    SessionAborted,
    SessionCompleted,
)
from secagg.protocol.messages import Abort
from secagg.protocol.roster import NO_ROSTER
from secagg.protocol.server import abort, check_member, close_round, collecting, drop
from secagg.protocol.server_setup import open_session
from secagg.protocol.server_states import ServerAborted, ServerCompleted
from tests.harness import ROUNDS, Harness, alter, decode_answer, decode_request, forge
from tests.protocol.support import assert_exact, session

CONTENT = {
    Round.ADVERTISE_KEYS: "advertisement",
    Round.SHARE_KEYS: "ciphertexts",
    Round.MASKED_INPUT: "payload",
    Round.CONSISTENCY_CHECK: "signature",
    Round.UNMASKING: "seed_shares",
}


def in_round(round_: Round) -> tuple[Harness, dict[int, bytes]]:
    """An active session in which everybody has answered this round, still open."""
    harness = session("active complete").run_to(round_)
    return harness, harness.play_round(close=False)


def other_answer(harness: Harness, round_: Round, answers: dict[int, bytes]) -> bytes:
    """A well-formed answer of client 3 that differs from the one it gave."""
    mine, other = decode_answer(answers[3]), decode_answer(answers[4])
    return alter(answers[3], **{CONTENT[round_]: getattr(other, CONTENT[round_])}) if mine != other else b""


@pytest.mark.parametrize("round_", ROUNDS)
def test_the_same_answer_again_changes_nothing(round_: Round) -> None:
    harness, answers = in_round(round_)
    for client, answer in answers.items():
        assert harness.deliver(client, answer) == (AnswerRepeated(client, round_),)
    assert harness.server.ready
    harness.close()
    harness.finish()
    assert_exact(harness, harness.cohort)


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_second_answer_that_differs_drops_its_client(round_: Round) -> None:
    harness, answers = in_round(round_)
    (event,) = harness.deliver(3, other_answer(harness, round_, answers))
    assert isinstance(event, ClientDropped)
    assert (event.client, event.round, event.reason) == (3, round_, DropReason.SECOND_ANSWER_DIFFERS)
    assert "two processes run as client 3, or one restarted without state=" in event.detail
    harness.close()
    harness.finish()
    stays = ROUNDS.index(round_) >= ROUNDS.index(Round.MASKED_INPUT)
    assert_exact(harness, [client for client in harness.cohort if stays or client != 3])


@pytest.mark.parametrize("round_", ROUNDS)
def test_whatever_a_dropped_client_sends_is_late(round_: Round) -> None:
    harness = session("active complete").run_to(round_)
    answer = harness.ask(3) or b""
    harness.server.drop(3, DropReason.CLIENT_ABORTED)
    before = (harness.server.pending, harness.server.answered)
    notice = forge(Abort(harness.session, AbortReason.ABORTED_BY_CALLER))
    assert harness.deliver(3, answer) == (LateMessageRefused(3, round_),)
    assert harness.deliver(3, notice) == (LateMessageRefused(3, None),)
    assert harness.deliver(3, b"garbage") == (LateMessageRefused(3, round_),)
    assert harness.server.drop(3, DropReason.CLIENT_ABORTED) == (LateMessageRefused(3, round_),)
    assert (harness.server.pending, harness.server.answered) == before


@pytest.mark.parametrize(
    ("round_", "field"),
    [
        (Round.ADVERTISE_KEYS, "advertisements"),
        (Round.SHARE_KEYS, "sealed"),
        (Round.CONSISTENCY_CHECK, "confirmations"),
        (Round.UNMASKING, "revealed"),
    ],
)
def test_what_a_dropped_client_gave_to_the_open_round_is_forgotten(round_: Round, field: str) -> None:
    harness, _ = in_round(round_)
    given = getattr(harness.server._state, field)
    assert set(given) == set(harness.cohort)
    harness.server.drop(3, DropReason.CLIENT_ABORTED)
    assert set(given) == set(harness.cohort) - {3}


def test_shares_of_a_client_that_was_dropped_rebuild_nothing() -> None:
    harness, _ = in_round(Round.UNMASKING)
    for client in (3, 5, 6):
        harness.server.drop(client, DropReason.CLIENT_ABORTED)
    harness.close()
    assert harness.server.abort_reason is AbortReason.TOO_FEW_UNMASKERS


def test_an_input_that_comes_after_its_round_never_counts() -> None:
    """Client 3's mask key is rebuilt: its late input could be unmasked, were it not for the self mask."""
    harness = session("semi-honest complete").run_to(Round.MASKED_INPUT)
    late = harness.ask(3) or b""
    harness.play_round(silent={3})
    assert harness.deliver(3, late) == (LateMessageRefused(3, Round.MASKED_INPUT),)
    harness.finish()
    assert_exact(harness, set(harness.cohort) - {3})


def test_an_abort_of_a_client_that_answered_drops_it() -> None:
    harness, _ = in_round(Round.UNMASKING)
    (event,) = harness.deliver(3, forge(Abort(harness.session, AbortReason.PEER_MISBEHAVED)))
    assert isinstance(event, ClientDropped)
    assert (event.reason, event.detail) == (DropReason.CLIENT_ABORTED, "client 3 aborted: PEER_MISBEHAVED")
    assert 3 not in harness.server.answered


def test_a_message_of_another_session_drops_its_sender() -> None:
    harness, answers = session("semi-honest complete"), session("semi-honest complete", seed=1).play_round()
    (event,) = harness.deliver(3, answers[3])
    assert isinstance(event, ClientDropped)
    assert event.reason is DropReason.MESSAGE_OF_ANOTHER_SESSION


def test_the_events_of_a_session_tell_its_story() -> None:
    harness = session("semi-honest complete")
    harness.play_round(silent={2})
    harness.play_round()
    harness.play_round(silent={5, 7}, close=False)
    harness.close()
    story = [
        ClientDropped(2, Round.ADVERTISE_KEYS, DropReason.DID_NOT_ANSWER_IN_TIME, "client 2 did not answer in time"),
        RoundClosed(Round.ADVERTISE_KEYS, (1, 3, 4, 5, 6, 7)),
        RoundClosed(Round.SHARE_KEYS, (1, 3, 4, 5, 6, 7)),
        ClientDropped(5, Round.MASKED_INPUT, DropReason.DID_NOT_ANSWER_IN_TIME, "client 5 did not answer in time"),
        ClientDropped(7, Round.MASKED_INPUT, DropReason.DID_NOT_ANSWER_IN_TIME, "client 7 did not answer in time"),
    ]
    assert harness.events[:-1] == story
    last = harness.events[-1]
    assert isinstance(last, SessionAborted)
    assert last.reason is AbortReason.TOO_FEW_CONTRIBUTORS
    done = session("semi-honest complete").finish()
    assert done.events[-2:] == [SessionCompleted(done.cohort), RoundClosed(Round.UNMASKING, done.cohort)]


def test_an_abort_is_told_to_all_who_are_still_there() -> None:
    harness = session("semi-honest complete").run_to(Round.MASKED_INPUT, silent={Round.SHARE_KEYS: {2}})
    harness.server.drop(6, DropReason.CLIENT_ABORTED)
    notices = harness.server.abort("the operator said so")
    assert set(notices) == {1, 3, 4, 5, 7}
    assert decode_request(notices[1]) == Abort(harness.session, AbortReason.ABORTED_BY_CALLER)
    assert harness.server.take_events() == (SessionAborted(AbortReason.ABORTED_BY_CALLER, "the operator said so"),)
    for client in notices:
        assert harness.clients[client].receive(notices[client]) is None
        assert harness.clients[client].abort_reason is AbortReason.PEER_ABORTED


def test_the_functions_of_the_machine_refuse_ended_states_and_strangers() -> None:
    harness = session("semi-honest complete")
    context = session_context(harness.parameters, NO_ROSTER)
    live = open_session(context).state
    assert collecting(live) is live
    check_member(collecting(live), 1)
    with pytest.raises(LocalProtocolError, match="client 99 is not in this session's cohort"):
        drop(live, 99, DropReason.CLIENT_ABORTED, "")
    ended = ServerAborted(AbortReason.TOO_FEW_SHARERS, "3 of 7 clients shared keys")
    completed = ServerCompleted(context, session("semi-honest complete").finish().server.result)
    assert completed.phase is ServerPhase.COMPLETED
    for state, reason in ((ended, AbortReason.TOO_FEW_SHARERS), (completed, None)):
        with pytest.raises(SessionAbortedError) as caught:
            close_round(state, lambda stage: None)
        assert caught.value.reason is reason
        with pytest.raises(SessionAbortedError):
            abort(state, AbortReason.ABORTED_BY_CALLER, "")
        with pytest.raises(SessionAbortedError):
            drop(state, 1, DropReason.CLIENT_ABORTED, "")
