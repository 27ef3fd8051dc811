"""One session as a function of its log: every entry is applied here, live and in a replay alike.

A server session depends on its parameters, its roster and the order of its inputs, and on nothing else. So whoever
applies the same entries has the same session: that is what a restart relies on. Must not know stores, clocks,
asyncio, or who is waiting for an answer.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from secagg.errors import AbortReason, DecodeError, DropReason
from secagg.executor import INLINE, Executor
from secagg.hosting.replies import Departure, HostReason, Receipt, ReceiptKind, departure_of
from secagg.parameters import ClientId, SessionParameters
from secagg.protocol.events import (
    AnswerRepeated,
    Blame,
    ClientDropped,
    LateMessageRefused,
    Progress,
    ServerEvent,
    SessionAborted,
    ShareInconsistent,
)
from secagg.protocol.messages import Round
from secagg.protocol.results import SessionResult
from secagg.session.server import ServerSession
from secagg.store.base import Entry, EntryKind
from secagg.store.digests import upload_digest
from secagg.store.spool import FileSpool

ACCEPTED = Receipt(ReceiptKind.ACCEPTED)
REPEATED = Receipt(ReceiptKind.REPEATED)
ENDED = Receipt(ReceiptKind.LATE)


class CloseCause(Enum):
    """Why a host closed a round."""

    ALL_ANSWERED = "all_answered"
    DEADLINE = "deadline"
    TOO_FEW_LEFT = "too_few_left"


@dataclass(frozen=True, slots=True)
class Applied:
    """What one entry did.

    Attributes:
        entry: the entry.
        digest: SHA-256 of the message; empty for other entries.
        receipt: what its sender is told.
        events: what the session reported.
        running_seconds: running time of the session, as a CLOSE_ROUND noted it; 0 for other entries.
        host_reason: why the host itself dropped the entry's client, if it did.
    """

    entry: Entry
    digest: bytes
    receipt: Receipt
    events: tuple[ServerEvent, ...]
    running_seconds: float = 0.0
    host_reason: HostReason | None = None

    def departures(self) -> Iterator[tuple[ClientDropped, Departure]]:
        """The clients that were dropped, each with its reason: the host's own, where it has one."""
        for event in self.events:
            if isinstance(event, ClientDropped):
                own = self.host_reason if event.client == self.entry.client else None
                yield event, own or event.reason

    def wrong_shares(self) -> Counter[tuple[ClientId, DropReason]]:
        """Who revealed shares that are not those of their owners, and of how many: one for each holder, not n^2."""
        return Counter((event.holder, event.reason) for event in self.events if isinstance(event, ShareInconsistent))


@dataclass(frozen=True, slots=True)
class View:
    """What the session shows after an entry.

    Attributes:
        round: the open round, or None after the end.
        requests: of the open round, by client.
        pending: clients whose answer is awaited.
        answered: clients whose answer was accepted, and who were not dropped since.
        abort_reason: after the end, why there is no sum, or None.
        result: the sum, once there is one.
        blame: after the end, who made the session end.
    """

    round: Round | None
    requests: Mapping[ClientId, bytes] = field(repr=False)
    pending: frozenset[ClientId]
    answered: frozenset[ClientId]
    abort_reason: AbortReason | None
    result: SessionResult | None = field(repr=False)
    blame: tuple[Blame, ...] = ()


class Replica:
    """A server session that is driven by entries only.

    Args:
        parameters: what was offered.
        roster: client id to key; needed in the active model.
        on_progress: told how far the last close is, in the thread that makes it.
        executor: who does the long computations.

    Attributes:
        progress: how far the last close is; None before it. May be read while another thread makes it.

    Raises:
        ParameterError: an active session whose roster lacks a client.
    """

    def __init__(
        self,
        parameters: SessionParameters,
        roster: Mapping[ClientId, bytes],
        *,
        on_progress: Callable[[Progress], None] | None = None,
        executor: Executor = INLINE,
    ) -> None:
        self.progress: Progress | None = None
        self._tell = on_progress
        self._session = ServerSession(
            parameters, roster=roster or None, on_progress=self._note, executor=executor, spool=FileSpool()
        )

    def _note(self, progress: Progress) -> None:
        before, self.progress = self.progress, progress
        moved = before is None or not progress.done or _percent(before) != _percent(progress)
        if self._tell is not None and moved:
            self._tell(progress)

    @property
    def session(self) -> ServerSession:
        """The session, to look at."""
        return self._session

    def apply(self, entry: Entry, message: bytes | memoryview) -> Applied:
        """Hand one entry to the session.

        Args:
            entry: the next entry of the log.
            message: with MESSAGE and UPLOAD, what the client sent; otherwise not looked at.

        Raises:
            DecodeError: an entry that no host wrote.
            LocalProtocolError: a client outside the cohort.
            SessionAbortedError: the session has ended.
        """
        match entry.kind, entry.client:
            case ((EntryKind.MESSAGE | EntryKind.UPLOAD), int() as client):
                events = self._session.receive(client, message)
                return Applied(entry, _digest(entry, message), _receipt(client, events), events)
            case EntryKind.DROP, int() as client:
                fields = _load(entry.payload)
                reason = departure_of(fields["reason"])
                own = reason if isinstance(reason, HostReason) else None
                told = DropReason.DID_NOT_ANSWER_IN_TIME if isinstance(reason, HostReason) else reason
                events = self._session.drop(client, told, fields["detail"])
                return Applied(entry, b"", _receipt(client, events), events, host_reason=own)
            case EntryKind.CLOSE_ROUND, None:
                fields = _load(entry.payload)
                self._session.close_round()
                events = self._session.take_events()
                if CloseCause(fields["cause"]) is CloseCause.TOO_FEW_LEFT:
                    events = tuple(event for event in events if not _was_too_late(event))
                return Applied(entry, b"", ACCEPTED, events, float(fields["running_seconds"]))
            case EntryKind.ABORT, None:
                self._session.abort(_load(entry.payload)["detail"])
                return Applied(entry, b"", ACCEPTED, self._session.take_events())
        raise DecodeError(f"a log entry {entry.kind.value} of client {entry.client} was not written by this library")

    def view(self) -> View:
        """What the session shows now."""
        session = self._session
        ended = session.round is None
        return View(
            round=session.round,
            requests=session.requests,
            pending=session.pending,
            answered=session.answered,
            abort_reason=session.abort_reason,
            result=session.result if ended and session.abort_reason is None else None,
            blame=session.blame,
        )


def drop_entry(client: ClientId, reason: Departure, detail: str) -> Entry:
    """The entry that drops a client."""
    return Entry(EntryKind.DROP, client, _dump({"reason": reason.value, "detail": detail}))


def close_entry(cause: CloseCause, running_seconds: float) -> Entry:
    """The entry that closes the open round."""
    fields = {"cause": cause.value, "running_seconds": running_seconds}
    return Entry(EntryKind.CLOSE_ROUND, None, _dump(fields))


def abort_entry(detail: str) -> Entry:
    """The entry that aborts the session."""
    return Entry(EntryKind.ABORT, None, _dump({"detail": detail}))


def abort_detail(applied: Applied) -> str | None:
    """Why an entry ended the session without a sum, in one sentence; None when it did not."""
    ends = [event.detail for event in applied.events if isinstance(event, SessionAborted)]
    if not ends:
        return None
    if applied.entry.kind is EntryKind.CLOSE_ROUND:
        cause = CloseCause(_load(applied.entry.payload)["cause"])
        if cause is CloseCause.TOO_FEW_LEFT:
            return f"closed before its deadline, since too few clients were left: {ends[0]}"
        if cause is CloseCause.DEADLINE:
            return f"closed at its deadline: {ends[0]}"
    return ends[0]


def _percent(progress: Progress) -> int:
    return 100 * progress.done // progress.whole


def _receipt(client: ClientId, events: tuple[ServerEvent, ...]) -> Receipt:
    for event in events:
        match event:
            case ClientDropped(dropped, _, DropReason.CLIENT_ABORTED) if dropped == client:
                return Receipt(ReceiptKind.ACCEPTED, DropReason.CLIENT_ABORTED)
            case ClientDropped(dropped, _, reason) if dropped == client:
                return Receipt(ReceiptKind.REFUSED, reason)
            case AnswerRepeated():
                return REPEATED
            case LateMessageRefused():
                return Receipt(ReceiptKind.LATE)
    return ACCEPTED


def _digest(entry: Entry, message: bytes | memoryview) -> bytes:
    """SHA-256 of a message; that of an upload is known, for the store compared it."""
    if entry.kind is EntryKind.UPLOAD:
        return upload_digest(entry.payload.decode("ascii"))
    return hashlib.sha256(message).digest()


def _was_too_late(event: ServerEvent) -> bool:
    """Whether a client is said to have missed a deadline; nobody has, in a round that a host gives up early."""
    return isinstance(event, ClientDropped) and event.reason is DropReason.DID_NOT_ANSWER_IN_TIME


def _dump(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True).encode()


def _load(payload: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(payload)
    except ValueError as error:
        raise DecodeError(f"a log entry of {len(payload)} bytes was not written by this library") from error
    if not isinstance(fields, dict):
        raise DecodeError(f"a log entry of {len(payload)} bytes was not written by this library")
    return fields
