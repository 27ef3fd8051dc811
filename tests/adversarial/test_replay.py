"""Old messages and old states: pitfalls 18 (a snapshot restored twice, keys reused) and 22 (replays)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    ClientSession,
    DecodeError,
    DropReason,
    LocalProtocolError,
    ParameterError,
    Round,
    SecretBytes,
    ServerPhase,
    ServerSession,
    SessionAbortedError,
    Violation,
)
from secagg.protocol.events import AnswerRepeated, LateMessageRefused
from secagg.protocol.messages import Advertisement, Complaint
from secagg.testing.randomness import DeterministicRandomSource
from tests.adversarial.tools import MODELS, advertisement_of, complains, drops, refused
from tests.harness import ROUNDS, Harness, alter, decode_answer, decode_request

models = pytest.mark.parametrize("model", MODELS)
ROUNDS_OF: Final = {
    "semi-honest": (Round.ADVERTISE_KEYS, Round.SHARE_KEYS, Round.MASKED_INPUT, Round.UNMASKING),
    "active": ROUNDS,
}
MATRIX: Final = [
    pytest.param(model, old, new, id=f"{model}-{old.value}-into-{new.value}")
    for model, rounds in ROUNDS_OF.items()
    for old in rounds
    for new in rounds
]
CLIENTS: Final = 6
THRESHOLD: Final = 4
WITHOUT_1: Final = {round_: frozenset({1}) for round_ in ROUNDS}
EACH: Final = [pytest.param(model, round_) for model, rounds in ROUNDS_OF.items() for round_ in rounds]


@cache
def old_session(model: str) -> tuple[Harness, dict[tuple[bool, int, Round], bytes]]:
    """A session that completed, and its messages by (to the server, client, round)."""
    harness = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, seed=1).finish()
    return harness, {(sent.to_server, sent.client, sent.round): sent.data for sent in harness.transcript}


def new_session(model: str, round_: Round) -> Harness:
    """The same cohort, identities and parameters, another nonce, at the start of a round."""
    old, _ = old_session(model)
    return Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, seed=2, identities=old.identities).run_to(round_)


@pytest.mark.parametrize(("model", "old", "new"), MATRIX)
def test_pitfall_22_server_replays_an_old_sessions_message(model: str, old: Round, new: Round) -> None:
    _, recorded = old_session(model)
    harness = new_session(model, new)
    if new is Round.MASKED_INPUT:
        harness.clients[1].set_input(harness.inputs[1])
    refused(harness.clients[1], recorded[False, 1, old], Violation.MESSAGE_OF_ANOTHER_SESSION)
    # The others do not notice: the server goes on without client 1.
    harness.play_round(silent={1})
    harness.finish(silent=WITHOUT_1)
    contributors = range(1 if new in (Round.CONSISTENCY_CHECK, Round.UNMASKING) else 2, CLIENTS + 1)
    harness.assert_exact(contributors)


@pytest.mark.parametrize(("model", "old", "new"), MATRIX)
def test_pitfall_22_client_replays_an_old_sessions_message(model: str, old: Round, new: Round) -> None:
    _, recorded = old_session(model)
    harness = new_session(model, new)
    harness.deliver(1, recorded[True, 1, old])
    assert drops(harness.events) == {1: DropReason.MESSAGE_OF_ANOTHER_SESSION}
    harness.finish(silent=WITHOUT_1)
    contributors = range(1 if new in (Round.CONSISTENCY_CHECK, Round.UNMASKING) else 2, CLIENTS + 1)
    harness.assert_exact(contributors)


@pytest.mark.parametrize(("model", "old", "new"), MATRIX)
def test_pitfall_22_server_replays_an_old_sessions_message_under_the_new_digest(
    model: str, old: Round, new: Round
) -> None:
    """The digest in the envelope is not all: keys, seals and signatures are bound to it as well."""
    _, recorded = old_session(model)
    harness = new_session(model, new)
    if new is Round.MASKED_INPUT:
        harness.clients[1].set_input(harness.inputs[1])
    lie = alter(recorded[False, 1, old], session=harness.session)
    delivered = [sent.data for sent in harness.transcript if not sent.to_server and sent.client == 1]
    if lie == harness.requests[1]:
        # Nothing in it can be old: it asks for keys, names the same contributors, or (semi-honest) survivors.
        assert old is new
        assert (model, old) not in (("active", Round.UNMASKING),)
        assert old not in (Round.SHARE_KEYS, Round.MASKED_INPUT)
    elif delivered and lie == delivered[-1]:
        assert harness.clients[1].receive(lie) is not None
        assert harness.clients[1].phase.value == new.value
    else:
        bound = {
            Round.SHARE_KEYS: Violation.OWN_ADVERTISEMENT_CHANGED,
            Round.UNMASKING: Violation.CONFIRMATION_SIGNATURE_INVALID,
        }
        if old is new is Round.MASKED_INPUT:
            assert complains(harness.clients[1], lie) == tuple(range(2, CLIENTS + 1))
            return
        violation = bound[old] if old is new else Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE
        refused(harness.clients[1], lie, violation)


@pytest.mark.parametrize(
    ("model", "round_", "reason"),
    [
        ("active", Round.ADVERTISE_KEYS, DropReason.ADVERTISEMENT_SIGNATURE_INVALID),
        ("active", Round.CONSISTENCY_CHECK, DropReason.CONFIRMATION_SIGNATURE_INVALID),
    ],
)
def test_pitfall_22_old_signatures_under_the_new_digest(model: str, round_: Round, reason: DropReason) -> None:
    _, recorded = old_session(model)
    harness = new_session(model, round_)
    harness.deliver(1, alter(recorded[True, 1, round_], session=harness.session))
    assert drops(harness.events) == {1: reason}


def test_pitfall_22_old_ciphertexts_of_a_client_under_the_new_digest() -> None:
    """A corrupt client sends its old ciphertexts again: no receiver opens them, and nobody uploads an input."""
    _, recorded = old_session("semi-honest")
    harness = new_session("semi-honest", Round.SHARE_KEYS)
    replayed = alter(recorded[True, 1, Round.SHARE_KEYS], session=harness.session)
    harness.play_round(on_answer=lambda client, answer: replayed if client == 1 else answer)
    answers = harness.play_round()
    assert {decode_answer(answers[client]) for client in range(2, 7)} == {Complaint(harness.session, (1,))}
    assert harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED
    assert [blame.client for blame in harness.server.blame] == [1]


@pytest.mark.parametrize(("model", "old", "new"), [p for p in MATRIX if p.values[1] is not p.values[2]])
def test_pitfall_22_messages_of_other_rounds_of_the_same_session(model: str, old: Round, new: Round) -> None:
    """An earlier answer again is late and changes nothing; a later one drops its sender."""
    done = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, seed=7).finish()
    recorded = {(sent.to_server, sent.client, sent.round): sent.data for sent in done.transcript}
    harness = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, seed=7).run_to(new)
    assert harness.session == done.session
    events = harness.deliver(1, recorded[True, 1, old])
    order = ROUNDS_OF[model]
    if order.index(old) < order.index(new):
        assert events == (LateMessageRefused(1, old),)
        harness.finish().assert_exact(range(1, CLIENTS + 1))
    else:
        assert drops(events) == {1: DropReason.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE}
        harness.finish(silent=WITHOUT_1)
    # The client's side: a request of another round is a violation, but for the last one, which it answers again.
    client = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, seed=7).run_to(new).clients[1]
    if order.index(new) - order.index(old) == 1:
        assert client.receive(recorded[False, 1, old]) == recorded[True, 1, old]
    else:
        refused(client, recorded[False, 1, old], Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE)


@pytest.mark.parametrize(("model", "old"), EACH)
def test_pitfall_22_replays_to_a_completed_client(model: str, old: Round) -> None:
    """Nothing but its last answer, again, ever leaves a completed client."""
    _, recorded = old_session(model)
    fresh = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, seed=1).finish()
    client = fresh.clients[1]
    assert client.phase is ClientPhase.COMPLETED
    if old is Round.UNMASKING:
        assert client.receive(recorded[False, 1, old]) == recorded[True, 1, old]
    else:
        with pytest.raises(SessionAbortedError):
            client.receive(recorded[False, 1, old])
        assert client.phase is ClientPhase.COMPLETED
    with pytest.raises(SessionAbortedError):
        fresh.server.receive(1, recorded[True, 1, old])
    fresh.assert_exact(range(1, CLIENTS + 1))


@models
def test_pitfall_22_repeated_answers_count_once(model: str) -> None:
    harness = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD)
    while harness.round is not None:
        round_ = harness.round
        answers = harness.play_round(close=False)
        for client, answer in answers.items():
            assert harness.deliver(client, answer) == (AnswerRepeated(client, round_),)
        harness.close()
    harness.assert_exact(range(1, CLIENTS + 1))


def test_pitfall_22_second_answer_that_differs_drops_its_sender_and_keeps_the_sum_exact() -> None:
    """The first input is in the sum already and stays; its sender takes no further part."""
    harness = Harness(CLIENTS, threshold=3).run_to(Round.MASKED_INPUT)
    answers = harness.play_round(close=False)
    other = bytearray(answers[1])
    other[-1] ^= 1
    harness.deliver(1, bytes(other))
    assert drops(harness.events) == {1: DropReason.SECOND_ANSWER_DIFFERS}
    harness.close()
    assert 1 not in harness.requests
    harness.finish().assert_exact(range(1, CLIENTS + 1))


# ----- pitfall 18 -----


def frozen_at(round_: Round, model: str = "active") -> tuple[Harness, Callable[[], ClientSession]]:
    """Client 1 was snapshotted when it waited for `round_`; each call resumes the snapshot once more."""
    harness = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, with_ledgers=True).run_to(round_)
    if round_ is Round.MASKED_INPUT:
        harness.clients[1].set_input(harness.inputs[1])
    snapshot = harness.clients[1].snapshot()
    calls = iter(range(100))

    def resume() -> ClientSession:
        return ClientSession.resume(
            snapshot,
            ledger=harness.ledgers[1],
            identity=harness.identities[1],
            roster=harness.roster,
            randomness=DeterministicRandomSource(1000 + next(calls)),
        )

    return harness, resume


def refuses_a_second_answer(session: ClientSession, request: bytes) -> None:
    with pytest.raises(SessionAbortedError, match="a snapshot may be resumed once"):
        session.receive(request)
    assert session.phase is ClientPhase.ABORTED
    assert session.abort_reason is AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT
    with pytest.raises(SessionAbortedError):
        session.receive(request)


@pytest.mark.parametrize("round_", [Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING])
def test_pitfall_18_resumed_twice_the_same_answer_is_allowed(round_: Round) -> None:
    """These rounds draw no randomness: the same request has one answer."""
    harness, resume = frozen_at(round_)
    first = resume().receive(harness.requests[1])
    assert first is not None
    assert resume().receive(harness.requests[1]) == first


@pytest.mark.parametrize("round_", [Round.ADVERTISE_KEYS, Round.SHARE_KEYS])
def test_pitfall_18_resumed_twice_fresh_randomness_would_be_a_second_answer(round_: Round) -> None:
    harness, resume = frozen_at(round_)
    assert resume().receive(harness.requests[1]) is not None
    refuses_a_second_answer(resume(), harness.requests[1])


def test_pitfall_18_resumed_twice_both_secrets_of_a_client() -> None:
    """The attack of pitfall 1, against two copies of one semi-honest client."""
    harness, resume = frozen_at(Round.UNMASKING, "semi-honest")
    request = decode_request(harness.requests[1])
    answer = resume().receive(harness.requests[1])
    assert answer is not None
    assert 6 in dict(decode_answer(answer).seed_shares)
    other = alter(harness.requests[1], survivors=request.survivors[:-1], dropped=(6,))
    refuses_a_second_answer(resume(), other)


def test_pitfall_18_resumed_twice_two_sets_of_contributors() -> None:
    harness, resume = frozen_at(Round.CONSISTENCY_CHECK)
    assert resume().receive(harness.requests[1]) is not None
    refuses_a_second_answer(resume(), alter(harness.requests[1], contributors=harness.cohort[:-1]))


@pytest.mark.parametrize("change", ["input", "sharers"])
def test_pitfall_18_resumed_twice_two_uploads_under_one_mask(change: str) -> None:
    """The difference of two uploads under the same masks is the difference of the inputs, in clear."""
    harness, resume = frozen_at(Round.MASKED_INPUT)
    request = harness.requests[1]
    assert resume().receive(request) is not None
    second = resume()
    if change == "input":
        second.set_input({"v": np.zeros_like(harness.inputs[1]["v"])})
    else:
        request = alter(request, ciphertexts=decode_request(request).ciphertexts[:-1])
    refuses_a_second_answer(second, request)


def test_pitfall_18_ledger_holds_across_all_rounds_that_were_answered_since() -> None:
    """An old snapshot comes back after the session went on without it."""
    harness, resume = frozen_at(Round.MASKED_INPUT)
    harness.clients[1] = resume()
    harness.finish().assert_exact(range(1, CLIENTS + 1))
    stale = resume()
    stale.set_input({"v": np.zeros_like(harness.inputs[1]["v"])})
    sent = next(s for s in harness.transcript if not s.to_server and s.client == 1 and s.round is Round.MASKED_INPUT)
    refuses_a_second_answer(stale, sent.data)


def test_pitfall_18_no_snapshot_without_a_ledger_and_none_of_a_dead_session() -> None:
    harness = Harness(CLIENTS, threshold=THRESHOLD)
    with pytest.raises(LocalProtocolError, match="ledger"):
        harness.clients[1].snapshot()
    assert harness.clients[1].phase is ClientPhase.ADVERTISE_KEYS
    frozen, _ = frozen_at(Round.UNMASKING)
    assert frozen.clients[1].phase is ClientPhase.ABORTED
    with pytest.raises(SessionAbortedError):
        frozen.clients[1].receive(frozen.requests[1])
    with pytest.raises(SessionAbortedError):
        frozen.clients[1].snapshot()


@pytest.mark.parametrize(("model", "round_"), EACH)
def test_pitfall_18_one_resumed_client_finishes_exactly(model: str, round_: Round) -> None:
    harness, resume = frozen_at(round_, model)
    harness.clients[1] = resume()
    harness.finish().assert_exact(range(1, CLIENTS + 1))


def test_pitfall_18_resuming_takes_the_whole_roster() -> None:
    """A roster that lacks a client of the cohort is refused at once, not met later as a KeyError."""
    harness = Harness(CLIENTS, threat_model="active", threshold=THRESHOLD, with_ledgers=True).run_to(Round.SHARE_KEYS)
    snapshot = harness.clients[1].snapshot()
    small = {client: key for client, key in harness.roster.items() if client != 4}
    with pytest.raises(ParameterError, match="roster"):
        ClientSession.resume(snapshot, ledger=harness.ledgers[1], identity=harness.identities[1], roster=small)


def test_pitfall_18_one_offer_played_twice_over_one_ledger() -> None:
    """No snapshot is needed for a second copy: a server may simply offer the same session again."""
    harness = Harness(CLIENTS, threshold=THRESHOLD, with_ledgers=True)
    assert harness.clients[1].receive(harness.requests[1]) is not None
    again = harness.make_client(1, randomness=DeterministicRandomSource(7))
    refuses_a_second_answer(again, harness.requests[1])


def test_pitfall_18_damaged_and_foreign_snapshots_are_refused() -> None:
    harness = Harness(CLIENTS, threshold=THRESHOLD, with_ledgers=True).run_to(Round.MASKED_INPUT)
    server = bytes(harness.server.snapshot().expose())
    client = bytes(harness.clients[1].snapshot().expose())

    def resume_client(data: bytes) -> object:
        return ClientSession.resume(SecretBytes(data), ledger=harness.ledgers[1])

    def resume_server(data: bytes) -> object:
        return ServerSession.resume(SecretBytes(data))

    for good, bad, resume in ((client, server, resume_client), (server, client, resume_server)):
        assert resume(good) is not None
        damaged = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 97)]
        for data in (bad, b"", good[:31], good[:-1], good + b"\x00", *damaged):
            with pytest.raises(DecodeError):
                resume(data)


@models
def test_pitfall_18_server_resumed_in_every_round(model: str) -> None:
    harness = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD)
    while harness.round is not None:
        harness.server = ServerSession.resume(harness.server.snapshot(), roster=harness.roster)
        harness.play_round(close=False)
        harness.server = ServerSession.resume(harness.server.snapshot(), roster=harness.roster)
        harness.close()
    harness.assert_exact(range(1, CLIENTS + 1))


@models
def test_pitfall_18_no_key_lives_in_two_sessions(model: str) -> None:
    """The same client, offer and identity: every session has its own keys, commitments and masks."""
    first = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD)
    second = Harness(CLIENTS, threat_model=model, threshold=THRESHOLD, identities=first.identities)
    second.source = DeterministicRandomSource(99)
    second.clients = {client: second.make_client(client) for client in second.cohort}
    assert first.session == second.session
    seen: set[bytes] = set()
    for harness in (first, second):
        harness.finish().assert_exact(range(1, CLIENTS + 1))
        for client in harness.cohort:
            seen |= values_of(advertisement_of(harness, client))
    assert len(seen) == 2 * CLIENTS * 3
    uploads = [s.data for h in (first, second) for s in h.transcript if s.to_server and s.round is Round.MASKED_INPUT]
    assert len(set(uploads)) == 2 * CLIENTS


def test_pitfall_18_sessions_are_single_use() -> None:
    harness = Harness(CLIENTS, threshold=THRESHOLD).finish()
    assert harness.server.phase is ServerPhase.COMPLETED
    for call in (harness.server.close_round, harness.server.abort, harness.server.snapshot):
        with pytest.raises(SessionAbortedError):
            call()
    with pytest.raises(SessionAbortedError):
        harness.clients[1].set_input(harness.inputs[1])
    with pytest.raises(SessionAbortedError):
        harness.clients[1].abort()


def values_of(advertisement: Advertisement) -> set[bytes]:
    return {advertisement.channel_public, advertisement.mask_public, advertisement.commitment}
