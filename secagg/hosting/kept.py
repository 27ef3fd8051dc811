"""What whoever goes on with a session knows of it, and tells: requests, receipts, how far it is and how it ended.

Reading takes no lock and waits for nothing. Who drives the session sets what stands here when a step is over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from secagg.errors import AbortReason, DropReason
from secagg.hosting.book import RoundBook
from secagg.hosting.inbox import Waiting
from secagg.hosting.journal import Journal
from secagg.hosting.relay import Account
from secagg.hosting.replica import ENDED, View
from secagg.hosting.replies import (
    Accused,
    Departure,
    Ended,
    EndKind,
    Receipt,
    Request,
    SessionStatus,
    departure_of,
)
from secagg.hosting.schedule import RoundSchedule
from secagg.hosting.timer import Timer
from secagg.hosting.tools import Tools
from secagg.parameters import ClientId
from secagg.protocol.events import Blame
from secagg.store.base import Aborted, Blamed, Completed, Outcome, SessionRecord

MOST_EVIDENCE_BYTES: Final = 1 << 25


class Kept:
    """A session as the process knows it that goes on with it, or to which its end is known.

    Args:
        tools: of the host.
        record: of the session.
        clients: size of its cohort.
        schedule: its deadlines.
        outcome: how it ended, if it has ended.

    Attributes:
        news: set, and replaced by another, whenever a client may be asked something else.
        end: how the session ended, or None.
        outcome: the same as the store has it, or None while the session runs or its end is being written.
        damage: that the store has the session damaged, in one sentence, or empty: there will be no sum.
    """

    def __init__(
        self, tools: Tools, record: SessionRecord, clients: int, schedule: RoundSchedule, outcome: Outcome | None
    ) -> None:
        self._tools = tools
        self._record = record
        self._name = record.name
        self._clients = clients
        self._timer = Timer(tools.clock, schedule)
        self._stopped = False
        self._journal: Journal | None = None
        self._book: RoundBook | None = None
        self._view: View | None = None
        self._shown: View | None = None
        self._digests: dict[ClientId, bytes] = {}
        self._latest: tuple[bytes, bytes] = (b"", b"")  # what somebody was asked, and its digest: many are asked alike
        self._stored = 0
        self._contributors: tuple[ClientId, ...] | None = None
        self.news = asyncio.Event()
        self.outcome = outcome
        self.damage = ""
        self._aborted = outcome if isinstance(outcome, Aborted) else None
        self.end = self._over = None if outcome is None else told(self._aborted)

    def count_stored(self, size: int) -> None:
        """Count bytes that the store has of an ended session."""
        self._stored += size
        self._tools.space.add(size)

    def released(self) -> None:
        """Note that the result is gone from the store."""
        if isinstance(self.outcome, Completed):
            self.outcome = replace(self.outcome, result=None)
        self._tools.space.add(-self._stored)
        self._stored = 0

    def foresee(self, client: ClientId, digest: bytes) -> Receipt | None:
        """The answer to a message that cannot change the session, or None."""
        if self._book is not None:
            return self._book.foresee(client, digest)
        return ENDED if self._over is not None else None

    @property
    def counted(self) -> int:
        """Bytes of the session that are counted in this process."""
        return self._stored

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline of the open round, or None when none is open."""
        return None if self._view is None or self._view.round is None else self._timer.seconds_left

    async def request(self, client: ClientId, seen: bytes = b"") -> Request | None:
        """What the open round asks of a client."""
        view = self._shown
        if self._view is None or view is None or self._view.round is not view.round:
            return None  # Others may know more already than is shown here.
        message = None if view is None else view.requests.get(client)
        if view is None or view.round is None or message is None:
            return None
        digest = self._digests.get(client)
        if digest is None:
            asked_before, known = self._latest
            digest = known if message is asked_before else hashlib.sha256(message).digest()
            self._digests[client], self._latest = digest, (message, digest)
        return Request(view.round, message, digest, self._timer.seconds_left)

    def gone(self, client: ClientId) -> Departure | None:
        """Why a client was dropped, as far as this process knows."""
        return None if self._book is None else self._book.gone.get(client)

    def answered(self, waiting: Waiting, receipt: Receipt) -> Receipt:
        """Tell the observer of an answer to a client's message."""
        if waiting.entry.client is not None and waiting.digest:
            self.observe_answer(waiting.entry.client, receipt)
        return receipt

    def observe_answer(self, client: ClientId, receipt: Receipt) -> None:
        """Tell the observer what a client was answered."""
        round_ = None if self._view is None else self._view.round
        self._tools.observer.answer(self._name, round_, client, receipt.kind)

    def status(self) -> SessionStatus:
        """The session as its operator sees it."""
        book, aborted, round_ = self._book, self._aborted, None if self._view is None else self._view.round
        open_ = book is not None and round_ is not None and self._over is None
        detail, dropped = self.damage, self._dropped()
        if self.damage:
            state = "failed"
        elif self._over is not None:
            state = "completed" if aborted is None else "aborted"
            detail = completed(self.outcome) if aborted is None else aborted.detail
        elif self._stopped or round_ is None:
            state = "failed" if self._stopped else "starting"
        else:
            state = round_.value
        return SessionStatus(
            name=self._name,
            state=state,
            clients=self._clients,
            expected=0 if self._view is None or not open_ else len(self._view.requests),
            answered=0 if book is None or not open_ else book.answered,
            pending=0 if book is None or not open_ else len(book.pending),
            dropped={departure_of(reason): count for reason, count in dropped.items()},
            seconds_left=self._timer.seconds_left if open_ else None,
            log_entries=0 if book is None or self.outcome is not None else book.entries,
            stored_bytes=self._stored,
            result_ready=isinstance(self.outcome, Completed) and self.outcome.result is not None,
            abort_reason=None if aborted is None else AbortReason(aborted.reason),
            detail=detail,
            created_at=self._record.created_at,
            contributors=self._contributors,
            tenant=self._record.tenant,
            ended_at=0.0 if self.outcome is None else self.outcome.ended_at,
            progress=None if self._journal is None or not open_ else self._journal.progress,
            blame=accused(aborted),
            successor="" if aborted is None else aborted.successor,
        )

    def account(self) -> Account:
        """What others are told."""
        view, book = self._view, self._book
        return Account(
            round=None if view is None else view.round,
            requests={} if view is None or view.round is None else view.requests,
            gone={} if book is None else book.gone,
            end=self._over,
            damage=self.damage,
            status=self.status(),
            open_seconds=self._timer.open_seconds,
        )

    def _dropped(self) -> dict[str, int]:
        """How many clients were dropped for which reason, before a restart, too."""
        if self._book is not None:
            return {reason.value: count for reason, count in self._book.dropped.items()}
        return {} if self.outcome is None else dict(self.outcome.dropped)

    def _afterwards(self, waiting: Waiting) -> Receipt:
        """The answer to what comes after the session's end."""
        client = waiting.entry.client
        return (None if client is None else self.foresee(client, waiting.digest)) or ENDED


def told(aborted: Aborted | None) -> Ended:
    """What clients hear of an end: nothing that depends on inputs, as it does whether the sum can be decoded."""
    if aborted is None or aborted.reason == AbortReason.RESULT_NOT_DECODABLE.value:
        return Ended(EndKind.COMPLETED)
    return Ended(EndKind.ABORTED, AbortReason(aborted.reason), aborted.successor)


def blamed(blame: Iterable[Blame], most_bytes: int = MOST_EVIDENCE_BYTES) -> tuple[tuple[Blamed, ...], str]:
    """Who made a session end, as the store keeps it, and a sentence about evidence that it does not keep.

    A corrupt third of a large cohort has evidence of a gigabyte: an end that no store takes would be written for ever.
    """
    kept, left_out = list[Blamed](), 0
    for each in blame:
        size = len(each.evidence or b"")
        most_bytes -= size
        left_out += most_bytes < 0 < size
        kept.append(Blamed(each.client, each.reason.value, each.evidence if most_bytes >= 0 else None))
    sentence = f" The evidence against {left_out} of them is not kept: all together it would be too long."
    return tuple(kept), sentence if left_out else ""


def accused(aborted: Aborted | None) -> tuple[Accused, ...]:
    """Who made a session end, for its operator."""
    blame = () if aborted is None else aborted.blame
    return tuple(Accused(each.client, DropReason(each.reason), each.evidence is not None) for each in blame)


def completed(outcome: Outcome | None) -> str:
    """What operators hear of a session that has completed."""
    if isinstance(outcome, Completed) and outcome.expired:
        return "the session has completed; its result expired, since nobody fetched it in time"
    return "the session has completed"
