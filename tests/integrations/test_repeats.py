"""One input and its sessions, as a client's ledger remembers them: shown once, or in a later one, and not both."""

from __future__ import annotations

from pathlib import Path

import pytest

import secagg
from secagg.errors import ParticipationRefusedError
from secagg.integrations.repeats import SessionsOfInput
from secagg.store.answers import DirectoryLedger

ONE, TWO, THREE = b"one", b"two", b"three"
SHOWN = "has helped to open 1 of the sums"
LATER = "is in a later session"


def sessions(ledger: secagg.AnswerLedger, client: int = 1, context: bytes = b"round 1") -> SessionsOfInput:
    return SessionsOfInput(ledger, client, context)


def test_an_input_is_in_one_session_after_the_other_until_shares_are_shown() -> None:
    ledger = secagg.MemoryLedger()
    for offer in (ONE, TWO):
        sessions(ledger).enter(offer, 0)
        sessions(ledger).enter(offer, 0)  # an offer that comes again is the same session
    with pytest.raises(ParticipationRefusedError, match=LATER):
        sessions(ledger).show_shares(ONE)
    for _ in range(2):
        sessions(ledger).show_shares(TWO)
    with pytest.raises(ParticipationRefusedError, match=SHOWN):
        sessions(ledger).enter(THREE, 0)
    sessions(ledger).enter(TWO, 0)
    sessions(ledger).show_shares(TWO)


def test_other_clients_and_contexts_have_inputs_of_their_own() -> None:
    ledger = secagg.MemoryLedger()
    sessions(ledger).enter(ONE, 0)
    sessions(ledger).show_shares(ONE)
    for other in (sessions(ledger, client=2), sessions(ledger, context=b"round 2")):
        other.enter(TWO, 0)
        other.show_shares(TWO)


def test_an_owner_may_allow_some_sums_more() -> None:
    ledger = secagg.MemoryLedger()
    for offer in (ONE, TWO):
        sessions(ledger).enter(offer, 1)
        sessions(ledger).show_shares(offer)
    with pytest.raises(ParticipationRefusedError, match="has helped to open 2 of the sums"):
        sessions(ledger).enter(THREE, 1)


def test_sums_of_whole_cells_may_be_repeated() -> None:
    ledger = secagg.MemoryLedger()
    for offer in (ONE, TWO, THREE):
        sessions(ledger).enter(offer, None)
        sessions(ledger).show_shares(offer)


def test_no_process_forgets_what_a_directory_remembers(tmp_path: Path) -> None:
    sessions(DirectoryLedger(tmp_path)).enter(ONE, 0)
    sessions(DirectoryLedger(tmp_path)).show_shares(ONE)
    with pytest.raises(ParticipationRefusedError, match=SHOWN):
        sessions(DirectoryLedger(tmp_path)).enter(TWO, 0)
