"""Ledgers of answers: one in Flower's context, beside the snapshot, and several as one.

Flower stores the context of an app after it has sent the app's reply, and keeps it in memory: a node that dies in
between, or restarts, has the context of before. What such a rollback must not undo stands in a directory on the node's
disk, a `secagg.store.answers.DirectoryLedger`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flwr.app import ConfigRecord, RecordDict

import secagg

LEDGER: Final = "secagg.ledger"
_FIRST_PHASE: Final = "advertise_keys"
_OF_SESSIONS: Final = frozenset({"share_keys", "masked_input", "disclosure", "consistency_check", "unmasking"})


class ContextLedger:
    """Answers in the state of a Flower context; of sessions that are over, the first answer stays.

    The first stays so that an old offer, sent again, is not answered with new keys. Records of no
    session, such as those of a `secagg.robust.CellGuard`, stay, too.
    """

    def __init__(self, state: RecordDict) -> None:
        record = state.get(LEDGER)
        if not isinstance(record, ConfigRecord):
            record = ConfigRecord()
            state[LEDGER] = record
        self._answers = record

    def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer; False when this phase was answered before with another digest."""
        own = f"{client}:{session.hex()}"
        if phase == _FIRST_PHASE:
            for key in [k for k in self._answers if k.partition(":")[0] in _OF_SESSIONS and not k.endswith(own)]:
                del self._answers[key]
        return self._answers.setdefault(f"{phase}:{own}", answer) == answer


def ledger_of(ledger: secagg.AnswerLedger | None, state: RecordDict) -> secagg.AnswerLedger:
    """Return a node's ledger: that in the state of its context, and the one that its owner gave it, if any."""
    own = ContextLedger(state)
    return own if ledger is None else JoinedLedger((ledger, own))


class JoinedLedger:
    """Several ledgers as one: an answer counts as given before when any of them says so."""

    def __init__(self, ledgers: Iterable[secagg.AnswerLedger]) -> None:
        self._ledgers = tuple(ledgers)

    def record(self, session: bytes, client: int, phase: str, answer: bytes) -> bool:
        """Record the digest of an answer in each of them, until one has another digest: then False."""
        return all(ledger.record(session, client, phase, answer) for ledger in self._ledgers)
