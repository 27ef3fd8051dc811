"""The steps of one session that touch the disk or take long; they block, and a worker thread makes them.

Write-ahead: an entry is durable before the session sees it. If the store refuses it, the session has not seen it;
if the process dies in between, the replay shows it to the session. Must not know asyncio or who waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from time import perf_counter

from secagg.errors import InternalError
from secagg.hosting.book import RoundBook
from secagg.hosting.replica import Applied, Replica, View, abort_detail
from secagg.hosting.results import result_limit, write_result
from secagg.hosting.tools import STORE_FAILURES
from secagg.parameters import ClientId
from secagg.protocol.events import Progress
from secagg.protocol.results import SessionResult
from secagg.store.base import (
    Aborted,
    Completed,
    DamagedError,
    Entry,
    EntryKind,
    FencedError,
    Outcome,
    SessionStore,
    StoreError,
)


class NotLoggedError(StoreError):
    """The store refused entries: they are not in the log, and the session has not seen them.

    Attributes:
        damaged: the entry whose upload is damaged, if that is why.
    """

    def __init__(self, message: str, damaged: Entry | None = None) -> None:
        super().__init__(message)
        self.damaged = damaged

    def __reduce__(self) -> tuple[type[NotLoggedError], tuple[str, Entry | None]]:
        return type(self), (str(self), self.damaged)


class InDoubtError(StoreError):
    """A store that others use, too, did not say whether it made a change: only a replay under a new lease tells."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a commit did.

    Attributes:
        applied: one for each entry.
        view: the session afterwards.
        append_seconds: time that the store took.
        apply_seconds: time that the session took.
    """

    applied: tuple[Applied, ...]
    view: View
    append_seconds: float
    apply_seconds: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """A session rebuilt from its log.

    Attributes:
        book: who may still change it.
        view: the session.
        stored_bytes: messages and uploads of the log.
        running_seconds: running time until its last round closed.
        abort_detail: if it was aborted, why.
        seconds: time that the replay took.
        damaged: clients of the open round whose answer is damaged, so that the session has not seen it. Drop them
            before anything else is appended.
    """

    book: RoundBook
    view: View
    stored_bytes: int
    running_seconds: float
    abort_detail: str
    seconds: float
    damaged: tuple[ClientId, ...]


class Journal:
    """The log of one session and the session that follows it.

    Args:
        store: where the log is.
        name: of the session.
        replica: the session, new.
        epoch: of the lease under which it is changed; 0 in a store that one process has for itself.
    """

    def __init__(self, store: SessionStore, name: str, replica: Replica, epoch: int = 0) -> None:
        self._store = store
        self._epoch = epoch
        self._uploads: set[str] = set()
        self._name = name
        self._replica = replica
        # Written once, however often the store refuses the outcome that names it.
        self._result: tuple[str, int] | None = None

    @property
    def progress(self) -> Progress | None:
        """How far the step that closes the last round is, while a thread makes it."""
        return self._replica.progress

    def names(self, entry: Entry) -> bool:
        """Whether the log has an upload of this id."""
        return entry.kind is EntryKind.UPLOAD and entry.payload.decode("ascii") in self._uploads

    def replay(self) -> Replayed:
        """Show the new session everything that is in the log.

        An upload that is damaged is set aside, and its sender did not answer. That holds as long as the round is open:
        its end tells clients who answered, and they hold the server to it.

        Raises:
            DamagedError: the log is damaged, or an upload of a round that was closed with it.
            StoreError: the log or an upload cannot be read.
            SecAggError: the log is not one of this session.
        """
        started, view = perf_counter(), self._replica.view()
        book = RoundBook(self._replica.session.parameters, view)
        stored, running, detail = 0, 0.0, ""
        damaged: dict[ClientId, Entry] = {}
        for entry in self._store.entries(self._name):
            self._note(entry)
            if entry.kind is EntryKind.DROP and entry.client is not None:
                damaged.pop(entry.client, None)
            if entry.kind is EntryKind.CLOSE_ROUND and damaged:
                raise DamagedError(
                    f"the upload of client {min(damaged)} in session {self._name} was damaged on the disk after it was "
                    "counted; run the session again under another name"
                )
            with ExitStack() as opened:
                try:
                    # What a client sent after what is damaged cannot be judged without it.
                    message = None if entry.client in damaged else opened.enter_context(self._message(entry))
                except DamagedError:
                    message = None
                if message is None and entry.client is not None:
                    damaged.setdefault(entry.client, entry)
                if message is None:
                    book.skip()
                    continue
                stored += len(message) if entry.client is not None else 0
                applied = self._replica.apply(entry, message)
            closes = entry.kind in (EntryKind.CLOSE_ROUND, EntryKind.ABORT)
            book.note(applied, self._replica.view() if closes else None)
            running = max(running, applied.running_seconds)
            detail = abort_detail(applied) or detail
        view = self._replica.view()
        if view.round is None:
            damaged.clear()
        for entry in damaged.values():
            self._store.set_aside(self._name, entry.payload.decode("ascii"))
        return Replayed(book, view, stored, running, detail, perf_counter() - started, tuple(sorted(damaged)))

    def commit(self, entries: Sequence[Entry]) -> Step:
        """Append entries in one transaction, then show them to the session.

        Raises:
            NotLoggedError: the store refused; the session has seen none of them.
            FencedError: so it did, since the lease has passed on.
            InDoubtError: the log may have them. As after whatever else is raised, which is a defect, only a replay
                brings log and session together.
        """
        with ExitStack() as stack:
            started = perf_counter()
            # All are opened before anything is written: from the append on, nothing may fail. Each is closed as soon
            # as the session has seen it, so that the pages of one upload at a time are in memory.
            opened = [stack.enter_context(ExitStack()) for _ in entries]
            messages: deque[bytes | memoryview] = deque()
            for each, entry in zip(opened, entries, strict=True):
                try:
                    messages.append(each.enter_context(self._message(entry)))
                except STORE_FAILURES as error:
                    raise NotLoggedError(str(error), entry if isinstance(error, DamagedError) else None) from error
            try:
                self._store.append(self._name, entries, self._epoch)
            except FencedError:
                raise
            except STORE_FAILURES as error:
                raise (InDoubtError if self._epoch else NotLoggedError)(str(error)) from error
            for entry in entries:
                self._note(entry)
            appended = perf_counter()
            applied: list[Applied] = []
            for each, entry in zip(opened, entries, strict=True):
                applied.append(self._replica.apply(entry, messages.popleft()))
                each.close()
            finished = perf_counter()
            return Step(tuple(applied), self._replica.view(), appended - started, finished - appended)

    def finish(
        self, result: SessionResult | None, abort: Aborted | None, dropped: Mapping[str, int], ended_at: float
    ) -> tuple[Outcome, int]:
        """Store how the session ended and let go of its log; returns the outcome and the bytes of its result.

        Args:
            result: the sum, or None.
            abort: without a sum, why.
            dropped: id of a reason to the number of clients that were dropped for it.
            ended_at: seconds since 1970.

        Raises:
            FencedError, InDoubtError: as from `commit`.
            StoreError, OSError: the store refused; call it again.
        """
        if result is None:
            if abort is None:
                raise InternalError("a session that ended has neither a sum nor a reason")
            ended = replace(abort, dropped=dropped, ended_at=ended_at)
            self._finish(ended)
            return ended, 0
        number, size = self._result or self._write(result)
        outcome = Completed(number, dropped, ended_at)
        self._finish(outcome)
        return outcome, size

    def _finish(self, outcome: Outcome) -> None:
        try:
            self._store.finish(self._name, outcome, self._epoch)
        except FencedError:
            raise
        except STORE_FAILURES as error:
            if not self._epoch:
                raise
            raise InDoubtError(str(error)) from error

    def _write(self, result: SessionResult) -> tuple[str, int]:
        """Make the result's file durable; returns its id and its bytes."""
        upload = self._store.begin_upload(self._name, result_limit(result))
        try:
            write_result(result, upload.write)
            self._result = written = upload.commit(), upload.received
        finally:
            upload.discard()
        return written

    def _note(self, entry: Entry) -> None:
        if entry.kind is EntryKind.UPLOAD:
            self._uploads.add(entry.payload.decode("ascii"))

    def _message(self, entry: Entry) -> AbstractContextManager[bytes | memoryview]:
        if entry.kind is EntryKind.UPLOAD:
            return self._store.open_upload(self._name, entry.payload.decode("ascii"))
        return nullcontext(entry.payload)
