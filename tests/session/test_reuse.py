"""One input and its sessions, as a client's ledger has them: its shares are shown once, or it is in a later session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secagg import (
    AbortReason,
    AnswerLedger,
    ClientPhase,
    ClientPolicy,
    ClientSession,
    InputReuse,
    MemoryLedger,
    MemoryParticipationLedger,
    ParameterError,
    ParticipationRefusedError,
    Round,
)
from secagg.session import reuse
from secagg.session.reuse import SessionOfInput
from secagg.store.answers import DirectoryLedger
from secagg.testing.randomness import DeterministicRandomSource
from secagg.transport.remembered import AnswersByName
from secagg.transport.state import ParticipantState
from tests.harness import Harness

INPUT, OTHER = InputReuse(b"an input").digest(b""), InputReuse(b"another one").digest(b"")
ONE, TWO, THREE = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
KEY, OTHER_KEY = bytes([4]) * 32, bytes([5]) * 32
SHOWN = "has helped to open 1 of the sums"
LATER = "is in a later session of the same input"
LIMITED = ClientPolicy(minimum_cohort=2, minimum_threshold=1, sums_per_context=1)


def of_input(ledger: AnswerLedger, session: bytes, client: int = 1, input: bytes = INPUT) -> SessionOfInput:  # noqa: A002
    return SessionOfInput(ledger, client, input, session)


def entered(ledger: AnswerLedger, session: bytes, repeated_sums: int | None = 0) -> SessionOfInput:
    made = of_input(ledger, session)
    made.enter(repeated_sums)
    return made


def test_an_input_is_in_one_session_after_the_other_until_shares_are_shown() -> None:
    ledger = MemoryLedger()
    for session in (ONE, TWO):
        entered(ledger, session).give(KEY)
        entered(ledger, session)  # an offer that comes again is the same session
    with pytest.raises(ParticipationRefusedError, match=LATER):
        of_input(ledger, ONE).show_shares()
    for _ in range(2):
        of_input(ledger, TWO).show_shares()
    with pytest.raises(ParticipationRefusedError, match=SHOWN):
        entered(ledger, THREE)
    with pytest.raises(ParticipationRefusedError, match=LATER):
        entered(ledger, ONE).show_shares()
    entered(ledger, TWO).show_shares()


def test_a_session_that_was_left_gets_no_input() -> None:
    ledger = MemoryLedger()
    first = entered(ledger, ONE)
    entered(ledger, TWO)
    with pytest.raises(ParticipationRefusedError, match=f"{LATER}, and gives it to none of those before it"):
        first.give(KEY)


def test_what_was_left_is_known_by_its_run_alone() -> None:
    ledger = MemoryLedger()
    entered(ledger, ONE).give(KEY)
    last = entered(ledger, TWO)
    assert last.has_left(ONE, KEY)
    assert not last.has_left(ONE, OTHER_KEY), "another run, which this input was not given to"
    assert not last.has_left(TWO, KEY)
    assert not last.has_left(THREE, KEY), "of another input, or nobody entered it"
    entered(ledger, THREE).show_shares()
    assert not of_input(ledger, ONE).has_left(THREE, KEY)
    again = MemoryLedger()
    first = entered(again, ONE)
    first.give(KEY)
    first.show_shares()
    assert not entered(again, TWO, 1).has_left(ONE, KEY)


@pytest.mark.parametrize("others", [(), (TWO,)])
def test_a_session_that_goes_on_is_entered_by_nobody_but_its_offer(others: tuple[bytes, ...]) -> None:
    """A ledger that forgot it cannot say which sessions were before it."""
    ledger = MemoryLedger()
    for other in others:
        entered(ledger, other).show_shares()
    for _ in range(2):
        with pytest.raises(ParticipationRefusedError, match="does not have the session that goes on, or forgot it"):
            of_input(ledger, ONE).give(KEY)
    with pytest.raises(ParticipationRefusedError, match="does not have the session that goes on, or forgot it"):
        of_input(ledger, ONE).show_shares()
    entered(ledger, ONE, 1).give(KEY)


def test_asking_enters_nothing() -> None:
    ledger = MemoryLedger()
    assert not entered(ledger, ONE).has_left(TWO, KEY)
    of_input(ledger, ONE).give(KEY)
    entered(ledger, THREE)
    assert of_input(ledger, THREE).has_left(ONE, KEY)


def test_other_clients_and_inputs_are_apart() -> None:
    ledger = MemoryLedger()
    entered(ledger, ONE).show_shares()
    for other in (of_input(ledger, TWO, client=2), of_input(ledger, TWO, input=OTHER)):
        other.enter(0)
        other.give(KEY)
        other.show_shares()


def test_an_owner_may_allow_some_sums_more() -> None:
    ledger = MemoryLedger()
    for session in (ONE, TWO):
        entered(ledger, session, 1).show_shares()
    with pytest.raises(ParticipationRefusedError, match="has helped to open 2 of the sums"):
        entered(ledger, THREE, 1)


def test_sums_of_whole_cells_may_be_repeated() -> None:
    ledger = MemoryLedger()
    for session in (ONE, TWO, THREE):
        entered(ledger, session, None).show_shares()


def test_no_process_forgets_what_a_directory_remembers(tmp_path: Path) -> None:
    entered(DirectoryLedger(tmp_path), ONE).give(KEY)
    of_input(DirectoryLedger(tmp_path), ONE).show_shares()
    with pytest.raises(ParticipationRefusedError, match=SHOWN):
        entered(DirectoryLedger(tmp_path), TWO)


def test_no_input_is_in_sessions_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "_MOST_SESSIONS", 2)
    ledger = MemoryLedger()
    for session in (ONE, TWO):
        entered(ledger, session, None)
    with pytest.raises(ParticipationRefusedError, match="in 2 sessions already"):
        entered(ledger, THREE, None)
    with pytest.raises(ParticipationRefusedError, match="does not have the session that goes on"):
        of_input(ledger, THREE).give(KEY)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "round 7"}, "name is of type str; give bytes"),
        ({"repeated_sums": -1}, "repeated_sums=-1 is no number of sums"),
        ({"repeated_sums": True}, "repeated_sums=True is no number"),
    ],
)
def test_what_is_no_reuse_is_refused(arguments: Any, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        InputReuse(**arguments)


def test_sessions_are_of_one_input_by_name_or_by_context() -> None:
    assert InputReuse().digest(b"round 1") != InputReuse().digest(b"round 2")
    assert InputReuse(b"a").digest(b"round 1") == InputReuse(b"a").digest(b"round 2")


# Of whole sessions.


VICTIM = 1


def offered(seed: int, cohort: int = 5, active: bool = True) -> Harness:
    return Harness(cohort, threshold=3, seed=seed, threat_model="active" if active else "semi-honest", context=b"round")


def joined(harness: Harness, ledger: AnswerLedger, **changes: Any) -> ClientSession:
    harness.clients[VICTIM] = harness.make_client(VICTIM, ledger=ledger, reuse=InputReuse(), **changes)
    return harness.clients[VICTIM]


@pytest.mark.parametrize("active", [True, False])
def test_a_server_that_says_that_nothing_came_of_it_gets_no_second_sum(active: bool) -> None:
    ledger = MemoryLedger()
    first = offered(1, active=active)
    joined(first, ledger)
    first.finish().assert_exact()
    with pytest.raises(ParticipationRefusedError, match=SHOWN):
        joined(offered(2, 4, active), ledger)
    allowed = offered(3, 4, active)
    allowed.clients[VICTIM] = allowed.make_client(VICTIM, ledger=ledger, reuse=InputReuse(repeated_sums=1))
    allowed.finish().assert_exact()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_client_of_a_later_session_shows_no_shares_of_those_before(frozen: bool) -> None:
    ledger = MemoryLedger()
    first, second = offered(1), offered(2, 4)
    client = joined(first, ledger)
    first.run_to(Round.UNMASKING)
    if frozen:
        client = ClientSession.resume(
            client.snapshot(), ledger=ledger, identity=first.identities[VICTIM], roster=first.roster
        )
        first.clients[VICTIM] = client
    joined(second, ledger)
    with pytest.raises(ParticipationRefusedError, match=LATER):
        first.ask(VICTIM)
    assert (client.phase, client.abort_reason) == (ClientPhase.ABORTED, AbortReason.ABORTED_BY_CALLER)
    assert client.abort_notice() is not None
    second.finish().assert_exact()


def test_a_client_of_a_later_session_gives_no_input_to_those_before() -> None:
    ledger = MemoryLedger()
    first, second = offered(1), offered(2, 4)
    client = joined(first, ledger)
    first.run_to(Round.MASKED_INPUT)
    joined(second, ledger)
    with pytest.raises(ParticipationRefusedError, match=LATER):
        first.ask(VICTIM)
    assert client.phase is ClientPhase.ABORTED
    second.finish().assert_exact()
    assert VICTIM in second.server.result.contributors


def test_a_session_that_was_left_counts_as_no_sum_of_its_context() -> None:
    """A restart: nothing was opened, and this client sees to it that by its help nothing is."""
    ledger, sums = MemoryLedger(), MemoryParticipationLedger()
    for seed in (1, 2):
        ended = offered(seed)
        joined(ended, ledger, participations=sums, policy=LIMITED)
        ended.run_to(Round.UNMASKING)
    last = offered(3, 4)
    joined(last, ledger, participations=sums, policy=LIMITED)
    last.finish().assert_exact()
    with pytest.raises(ParticipationRefusedError):
        joined(offered(4), ledger, participations=sums, policy=LIMITED)
    # Those of another input of the same context count as they did.
    with pytest.raises(ParticipationRefusedError, match="sums_per_context=1"):
        offered(5).make_client(VICTIM, ledger=ledger, reuse=InputReuse(b"another"), participations=sums, policy=LIMITED)


def test_a_session_whose_shares_were_shown_counts_although_repeated_sums_are_allowed() -> None:
    ledger, sums, five = MemoryLedger(), MemoryParticipationLedger(), InputReuse(repeated_sums=5)
    first, second = offered(1), offered(2)
    options: dict[str, Any] = {"ledger": ledger, "reuse": five, "participations": sums, "policy": LIMITED}
    first.clients[VICTIM] = first.make_client(VICTIM, **options)
    first.finish()
    with pytest.raises(ParticipationRefusedError, match="sums_per_context=1"):
        second.make_client(VICTIM, **options)


def test_a_reuse_needs_a_ledger_and_is_an_input_reuse() -> None:
    harness = offered(1)
    with pytest.raises(ParameterError, match="reuse= needs a record that outlives the sessions of one input"):
        harness.make_client(VICTIM, reuse=InputReuse())
    with pytest.raises(ParameterError, match="reuse is of type bytes; give an InputReuse"):
        harness.make_client(VICTIM, reuse=b"round 7", ledger=MemoryLedger())


def test_a_session_of_another_input_counts_where_it_is_offered_again_as_one_of_this_input_and_left() -> None:
    """Its shares were shown: that it is the same session again, which is left, does not take back its sum."""
    ledger, sums = MemoryLedger(), MemoryParticipationLedger()
    options: dict[str, Any] = {"ledger": ledger, "participations": sums, "policy": LIMITED}
    opened = offered(1)
    opened.clients[VICTIM] = opened.make_client(VICTIM, reuse=InputReuse(b"another"), **options)
    opened.finish().assert_exact()
    offered(1).make_client(VICTIM, reuse=InputReuse(b"this one"), **options)
    with pytest.raises(ParticipationRefusedError, match="sums_per_context=1"):
        offered(2, 4).make_client(VICTIM, reuse=InputReuse(b"this one"), **options)


def test_an_input_is_in_one_run_of_a_session(tmp_path: Path) -> None:
    """The same offer under the name of what follows it: what was answered is remembered by names."""
    for name in ("round", "round~1"):
        ledger = AnswersByName(ParticipantState(tmp_path, name, VICTIM), VICTIM)
        harness = offered(1, active=False)
        source = DeterministicRandomSource(len(name))
        harness.clients[VICTIM] = harness.make_client(
            VICTIM, ledger=ledger, reuse=InputReuse(b"round"), randomness=source
        )
        if name == "round":
            harness.finish().assert_exact()
    harness.run_to(Round.MASKED_INPUT)
    with pytest.raises(ParticipationRefusedError, match="in another run"):
        harness.ask(VICTIM)
