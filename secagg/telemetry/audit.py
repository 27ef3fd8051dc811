"""Who did what: JSON lines, each with the digest of the line before, so that none can be changed or taken out.

A thread writes, so that nobody waits for its disk. Lines of a moment are made durable together, so that who logs in
again and again costs the disk no more than anybody. A machine that crashes loses what came in that moment, and no
session waits for it. What cannot be written is kept, up to a bound, and the host is not ready. Names, ids and
fingerprints of public keys are written; never a secret, and no sentence, which could say something about an input.
Must not know sessions or transports.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, unique
from pathlib import Path
from threading import Event, Thread
from types import MappingProxyType
from typing import Any, BinaryIO, Final

from secagg.errors import DecodeError, ParameterError
from secagg.hosting.observer import HostObserver
from secagg.hosting.replies import Departure, Expired, HostReason
from secagg.parameters import ClientId
from secagg.protocol.messages import Round
from secagg.store.base import Completed, Outcome
from secagg.telemetry.logins import Login, LoginDays

try:
    import fcntl
except ImportError:  # a platform without: there nothing keeps two servers apart
    fcntl = None  # type: ignore[assignment]

_MOST_LINE_BYTES: Final = 1 << 14
_MOST_WAITING: Final = 100_000
_GATHER_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = 1.0
_NOBODY: Final = MappingProxyType({"actor": "", "session": "", "client": None})
_BEGINNING: Final = b'{"sequence": '
_NEW: Final = (
    "begins a new chain: what was there before was moved away while no server ran, or was taken out, or this is the "
    "log "
    "of another server: verify each by itself"
)
_CHANGED: Final = "does not follow the one before: something was changed, taken out or added"
FIRST: Final = "0" * 64
"""What stands for the digest of the line before the first."""


@unique
class AuditEvent(Enum):
    """Everything that is written."""

    STARTED = "server started"
    RELOADED = "configuration reloaded"
    RELOAD_REFUSED = "configuration refused"
    LOGGED_IN = "logged in"
    LOGGED_IN_AGAIN = "logged in again"
    """Within a day of the line that says that it was the first time; `detail` is how often."""
    CREATED = "session created"
    COMPLETED = "session completed"
    ABORTED = "session aborted"
    BLAMED = "client blamed"
    FOLLOWED = "session follows"
    FAILED = "session failed"
    DROPPED = "client dropped"
    REVOKED = "client revoked"
    EXPIRED = "expired"
    """Something was kept long enough, and is removed."""
    CREATE_CALLED = "operator created a session"
    ABORT_CALLED = "operator aborted a session"
    DROP_CALLED = "operator dropped a client"
    FETCHED = "operator fetched a result"
    EVIDENCE_FETCHED = "operator fetched evidence"
    ACKNOWLEDGED = "operator acknowledged a result"
    DISCARDED = "operator discarded a result"
    LINES_LOST = "lines lost"


CALLS: Final[Mapping[str, AuditEvent]] = MappingProxyType(
    {
        "CreateSession": AuditEvent.CREATE_CALLED,
        "AbortSession": AuditEvent.ABORT_CALLED,
        "DropClient": AuditEvent.DROP_CALLED,
        "GetResult": AuditEvent.FETCHED,
        "GetEvidence": AuditEvent.EVIDENCE_FETCHED,
        "AcknowledgeResult": AuditEvent.ACKNOWLEDGED,
        "DiscardResult": AuditEvent.DISCARDED,
    }
)
"""Calls of operators that are written; the others only look."""


class AuditLog:
    """Appends lines to a file, in a thread of its own.

    Args:
        path: the file; its chain is continued.

    Attributes:
        begun: whether this is a new chain: the file was not there, or empty.

    Raises:
        ParameterError: it cannot be opened, another process writes it, or its last line is none of an audit log.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_audit(path)
        try:
            if not _alone(self._file):
                raise ParameterError(f"another server writes the audit log {path}; give each a file of its own")
            self._sequence, self._previous, torn = _end_of(self._file, path)
            if torn:
                self._file.truncate(self._file.seek(0, os.SEEK_END) - torn)
        except ParameterError:
            self._file.close()
            raise
        self.begun = not self._sequence
        self._trouble = ""
        self._lost = 0
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._moved: queue.Queue[BinaryIO] = queue.Queue()
        self._closing = Event()
        self._thread = Thread(target=self._run, name="secagg audit", daemon=True)
        self._thread.start()
        self._torn = bool(torn)

    @property
    def trouble(self) -> str:
        """Why lines are not written now, in one sentence; empty when they are."""
        return self._trouble

    def begin(self) -> None:
        """Have it written that the server starts, once nothing keeps it from that."""
        began = "a new chain" if self.begun else ""
        self.put(AuditEvent.STARTED, detail="the line before was cut off" if self._torn else began)

    def put(
        self, event: AuditEvent, *, actor: str = "", session: str = "", client: ClientId | None = None, detail: str = ""
    ) -> bool:
        """Have a line written, without waiting for it; False when too many wait already, and it is only counted.

        Args:
            event: what happened.
            actor: fingerprint of the key of who did it; empty for the server itself.
            session: its name; empty where it is about none.
            client: whom it is about, or None.
            detail: the id of a reason, a digest, or a count.
        """
        if self._waiting.qsize() >= _MOST_WAITING:
            self._lost += 1
            return False
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._waiting.put(
            {"time": time, "event": event.value, "actor": actor, "session": session, "client": client, "detail": detail}
        )
        return True

    def switch(self, opened: BinaryIO) -> None:
        """Write on to another file, opened by `open_audit`; the chain goes on.

        Args:
            opened: by `open_audit`.
        """
        self._moved.put(opened)
        self._waiting.put(None)

    def close(self) -> None:
        """Write what waits, as far as that can be done now, and let go of the file."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            taken = [self._waiting.get()]
            self._closing.wait(_GATHER_SECONDS)
            while len(taken) < _MOST_WAITING and not self._waiting.empty():
                taken.append(self._waiting.get())
            lines = [line for line in taken if line is not None]
            while not self._written(lines) and not self._closing.is_set():
                self._closing.wait(_RETRY_SECONDS)

    def _written(self, lines: list[dict[str, Any]]) -> bool:
        """Write lines and make them durable, all or none; says whether that was done."""
        while not self._moved.empty():
            self._file.close()
            self._file = self._moved.get()
        lost = self._lost
        if lost and lines:
            lines = [*lines, {**lines[-1], **_NOBODY, "event": AuditEvent.LINES_LOST.value, "detail": str(lost)}]
        chained, sequence, previous = b"", self._sequence, self._previous
        for line in lines:
            sequence += 1
            text = json.dumps({"sequence": sequence, **line, "previous": previous}).encode()
            previous = hashlib.sha256(text).hexdigest()
            chained += text + b"\n"
        if not _alone(self._file):
            self._trouble = "the audit log cannot be written: another server writes it; give each a file of its own"
            return False
        size, found = None, None
        try:
            found = os.fstat(self._file.fileno())
            if not found.st_nlink:
                # It would take every line, and nobody would find one.
                raise FileNotFoundError(errno.ENOENT, "its file was removed")
            size = found.st_size
            written = self._file.write(chained)
            if written != len(chained):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            way_out = "free space or check its disk" if found is None or found.st_nlink else "reload to begin another"
            self._trouble = f"the audit log cannot be written: {error.strerror}; {way_out}"
            if size is not None:
                with suppress(OSError):  # said already; half a line is found by whoever verifies
                    self._file.truncate(size)
            return False
        self._sequence, self._previous, self._trouble = sequence, previous, ""
        self._lost -= lost if lines else 0
        return True


class AuditObserver(HostObserver):
    """Writes what happens to sessions, clients and operators.

    Args:
        log: where it is written.
        logins: which of them are.
    """

    def __init__(self, log: AuditLog, logins: LoginDays | None = None) -> None:
        self._log = log
        self._logins = LoginDays() if logins is None else logins

    def close(self) -> None:
        """Write how often who came again did; the log is still open."""
        self._end_days(None)

    def trouble(self) -> str:
        """Why nothing is written now."""
        return self._log.trouble

    def session_created(self, name: str, clients: int) -> None:
        """Write it."""
        self._log.put(AuditEvent.CREATED, session=name)

    def session_ended(self, name: str, outcome: Outcome) -> None:
        """Write it, with the id of the reason, who is to blame with which digest of evidence, and what follows."""
        if isinstance(outcome, Completed):
            self._log.put(AuditEvent.COMPLETED, session=name)
            return
        self._log.put(AuditEvent.ABORTED, session=name, detail=outcome.reason)
        for each in outcome.blame:
            shown = "" if each.evidence is None else f" {hashlib.sha256(each.evidence).hexdigest()}"
            self._log.put(AuditEvent.BLAMED, session=name, client=each.client, detail=f"{each.reason}{shown}")
        if outcome.successor:
            self._log.put(AuditEvent.FOLLOWED, session=outcome.successor, detail=name)

    def session_failed(self, name: str, error: BaseException) -> None:
        """Write it, without a word of why."""
        self._log.put(AuditEvent.FAILED, session=name)

    def session_expired(self, name: str, what: Expired) -> None:
        """Write what was removed."""
        self._log.put(AuditEvent.EXPIRED, session=name, detail=what.value)

    def client_dropped(self, name: str, client: ClientId, round_: Round, reason: Departure, detail: str) -> None:
        """Write it, with the id of the reason."""
        event = AuditEvent.REVOKED if reason is HostReason.REVOKED else AuditEvent.DROPPED
        self._log.put(event, session=name, client=client, detail=reason.value)

    def logged_in(self, actor: str, session: str, client: ClientId | None) -> None:
        """Write who it was, once a day, and then how often it came again."""
        login = Login(actor, session, client)
        self._end_days(login)
        if self._logins.again(login):
            return
        if self._log.put(AuditEvent.LOGGED_IN, actor=actor, session=session, client=client):
            self._logins.begin(login)

    def operator_called(self, call: str, actor: str, session: str, client: ClientId | None) -> None:
        """Write what changes or gives away something."""
        if call in CALLS:
            self._log.put(CALLS[call], actor=actor, session=session, client=client)

    def reloaded(self, trouble: str) -> None:
        """Write it, without a word of why not."""
        self._log.put(AuditEvent.RELOAD_REFUSED if trouble else AuditEvent.RELOADED)

    def _end_days(self, coming: Login | None) -> None:
        for login, again in self._logins.over(coming):
            self._log.put(
                AuditEvent.LOGGED_IN_AGAIN,
                actor=login.actor,
                session=login.session,
                client=login.client,
                detail=str(again),
            )


def open_audit(path: Path) -> BinaryIO:
    """Open a file for an audit log.

    Args:
        path: made if it is not there, for its owner alone.

    Raises:
        ParameterError: it cannot be opened, or is no audit log; then it stays as it is.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+b", buffering=0)
    except OSError as error:
        raise ParameterError(f"cannot write the audit log {path}: {error.strerror}; give a file there") from error
    try:
        _end_of(file, path)
    except ParameterError:
        file.close()
        raise
    return file


def _alone(file: BinaryIO) -> bool:
    """Have a file for this process until it is closed; says whether no other has it. Two would break the chain."""
    try:
        if fcntl is not None:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def verify_audit(files: Sequence[Path], after: str = "") -> tuple[int, str]:
    """Follow the chain through files, the oldest first; returns number and digest of the last line.

    Args:
        files: without a gap between them; the first need not have the beginning.
        after: the digest of the line before the first, if it is known; FIRST where there is none.

    Raises:
        DecodeError: naming the first line that does not follow the one before, or is none.
        ParameterError: a file cannot be read, or there is no line.
    """
    sequence, previous = 0, after
    for path in files:
        for number, line in enumerate(_lines(path), 1):
            try:
                fields = json.loads(line)
                found = int(fields["sequence"]), str(fields["previous"])
                AuditEvent(fields["event"])
            except (ValueError, KeyError, TypeError) as error:
                raise DecodeError(f"line {number} of {path} is no line of an audit log, or was cut off") from error
            if sequence:
                follows = found == (sequence + 1, previous)
            else:
                follows = (found[0] == 1) == (found[1] == FIRST) and found[1] == (after or found[1])
            if not follows or not line.endswith(b"\n"):
                raise DecodeError(f"line {number} of {path} {_NEW if found == (1, FIRST) else _CHANGED}")
            sequence, previous = found[0], hashlib.sha256(line[:-1]).hexdigest()
    if not sequence:
        raise ParameterError(f"{files[0]} has no lines; give the files of an audit log, the oldest first")
    return sequence, previous


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while line := file.readline(_MOST_LINE_BYTES):
                yield line
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}; give an audit log") from error


def _end_of(file: BinaryIO, path: Path) -> tuple[int, str, int]:
    """Number and digest of the last line, and the bytes of half a line behind it, as a crash leaves one.

    Raises:
        ParameterError: it is no audit log.
    """
    begin = max(0, file.seek(0, os.SEEK_END) - 2 * _MOST_LINE_BYTES)
    file.seek(begin)
    whole, newline, half = file.read(2 * _MOST_LINE_BYTES).rpartition(b"\n")
    last = whole.rpartition(b"\n")[2]
    try:
        sequence = int(json.loads(last)["sequence"]) if newline else 0
        if not _BEGINNING.startswith(half[: len(_BEGINNING)]) or (begin and not newline):
            raise ValueError(half)
    except (ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{path} does not end in a line of an audit log; move it away, or give another") from error
    return sequence, hashlib.sha256(last).hexdigest() if newline else FIRST, len(half)
