"""The storage seam: what a host of sessions needs of a store, whatever stands behind it.

A store keeps records, ordered entries, files of uploads and outcomes. It knows bytes and names, and promises one
thing: what it has accepted is there again after the process died at any instant. Must not know what a message, a
round or a sum is, and nothing of asyncio: its methods block, and are called from worker threads. One session is
used by one caller at a time; different sessions may be used at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from secagg.errors import ParameterError, SecAggError
from secagg.parameters import ClientId

MAX_NAME_CHARACTERS: Final = 128
"""Longest name of a session or a tenant."""
_CHARACTERS: Final = (
    f"{MAX_NAME_CHARACTERS} ASCII letters, digits, dots, dashes and underscores, the first a letter or digit"
)
SESSION_NAMES: Final = f"1 to {_CHARACTERS}"
"""Which names a session may have, in words."""
TENANTS: Final = f"at most {_CHARACTERS}; empty without tenants"
"""Which names a tenant may have, in words."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RESTART_MARK: Final = "~"
"""Stands before the number of a restart, at the end of the name of a session that follows another."""
_RESTARTED: Final = re.compile(rf"(?P<first>[^{RESTART_MARK}]+){RESTART_MARK}(?P<number>[1-9][0-9]?)")


class StoreError(SecAggError):
    """A store could not do what it was asked for; what it held before is as it was."""


class StoreConflictError(StoreError):
    """A session of this name exists with other content."""


class FencedError(StoreError):
    """The lease under which a session was to be changed has passed to another replica; nothing was changed."""


class DamagedError(StoreError):
    """What was read back is not what was written: its digest is another one, or it is gone. Trying again is no use."""


class EntryKind(Enum):
    """What an entry of a session's log stands for."""

    MESSAGE = "message"
    """A client's message, in the entry itself."""
    UPLOAD = "upload"
    """A client's message, in a file that the entry names."""
    DROP = "drop"
    """The host goes on without a client."""
    CLOSE_ROUND = "close_round"
    """The host closed the open round."""
    ABORT = "abort"
    """The host ended the session."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One input of a session, in the order in which the session took it.

    Attributes:
        kind: what it is.
        client: whose it is; None for what the host itself did.
        payload: the message; for an UPLOAD the id of its file, ASCII; otherwise what the host has to remember.
    """

    kind: EntryKind
    client: ClientId | None
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What a session is made of besides its log.

    Attributes:
        name: unique in the store; see `check_session_name`.
        offer: the encoded offer.
        roster: client id to 32-byte Ed25519 key; empty when the session has none.
        schedule: the host's deadlines, in the host's own encoding.
        created_at: seconds since 1970, for people; not part of what makes two records the same.
        tenant: whose session it is, where one service has several; see `check_tenant`.
    """

    name: str
    offer: bytes = field(repr=False)
    roster: Mapping[ClientId, bytes] = field(repr=False)
    schedule: bytes
    created_at: float = field(compare=False)
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """A session ended with a sum.

    Attributes:
        result: id of the committed upload that holds the sum; None once the result was fetched and released.
        dropped: id of a reason to the number of clients that were dropped for it.
        ended_at: seconds since 1970, 0 when nobody noted it; not part of what makes two outcomes the same.
        expired: the result was removed because nobody fetched it in time.
    """

    result: str | None
    dropped: Mapping[str, int] = field(default_factory=dict)
    ended_at: float = field(default=0.0, compare=False)
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Blamed:
    """Who made a session end.

    Attributes:
        client: who is blamed.
        reason: id of a reason (`DropReason.value`).
        evidence: bytes that show it, or None.
    """

    client: ClientId
    reason: str
    evidence: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Aborted:
    """A session ended without a sum.

    Attributes:
        reason: id of the reason (`AbortReason.value`).
        detail: one sentence for a person.
        dropped: id of a reason to the number of clients that were dropped for it.
        ended_at: as in `Completed`.
        blame: who made it end, ascending by client; empty where nobody is blamed.
        successor: name of the session that follows it without them, or empty.
    """

    reason: str
    detail: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    ended_at: float = field(default=0.0, compare=False)
    blame: tuple[Blamed, ...] = ()
    successor: str = ""


Outcome = Completed | Aborted
"""How a session ended."""


class Upload(Protocol):
    """Bytes that come piece by piece; they are nobody's until `commit`."""

    @property
    def received(self) -> int:
        """How many bytes have been written."""
        ...

    @property
    def sha256(self) -> bytes:
        """SHA-256 of the bytes that have been written."""
        ...

    def write(self, chunk: bytes | memoryview) -> None:
        """Append a piece; it need not be durable yet.

        Args:
            chunk: any number of bytes.

        Raises:
            StoreError: more bytes than were announced, no space left, or an upload that was ended.
        """
        ...

    def commit(self) -> str:
        """Make the bytes durable and return their id, which holds their digest: whoever names an upload commits to its
        content. What no entry or outcome names is set aside by a restart.

        Raises:
            StoreError: no space left, or an upload that was ended.
        """
        ...

    def discard(self) -> None:
        """Forget the bytes; does nothing after `commit` or a first `discard`."""
        ...


class SessionStore(Protocol):
    """Keeps sessions. Every method raises StoreError when it fails, and has then changed nothing.

    What is read back is compared with a digest that was committed with it: it is what was written, or a DamagedError.

    Args:
        name: the session's.
        upload: id of a committed upload.
        outcome: how the session ended.
        epoch: of the lease under which it is done; 0 in a store of one process.
        expired: nobody fetched it in time.
    """

    def create(self, record: SessionRecord) -> None:
        """Keep a new session; the same record again changes nothing.

        Args:
            record: what is kept.

        Raises:
            StoreConflictError: the name is taken by a session with other content.
        """
        ...

    def sessions(self) -> Sequence[SessionRecord]:
        """All sessions, ended ones included, in the order of their creation, but for those that are damaged."""
        ...

    def damaged(self) -> Mapping[str, str]:
        """Sessions whose record is not what was written: their names, and that in one sentence."""
        ...

    def entries(self, name: str) -> Iterator[Entry]:
        """The log of a session, oldest first; empty after its end.

        Raises:
            DamagedError: behind the entries that are as they were written, when the log had others.
        """
        ...

    def append(self, name: str, entries: Sequence[Entry], epoch: int = 0) -> None:
        """Append to a log: all entries or none, and they are durable when this returns.

        Args:
            name: of the session.
            entries: what comes next.
            epoch: of the lease (`secagg.store.shared`); 0 in a store that one process has for itself.

        Raises:
            FencedError: the lease has passed on.
            StoreError: no such session, one that has ended, or an UPLOAD entry whose file is not there.
        """
        ...

    def finish(self, name: str, outcome: Outcome, epoch: int = 0) -> None:
        """Keep how a session ended, durably, and remove its log and its uploads but for the result.

        Raises:
            FencedError: the lease of this epoch has passed on.
        """
        ...

    def outcome(self, name: str) -> Outcome | None:
        """How a session ended, or None while it runs."""
        ...

    def release_result(self, name: str, expired: bool = False) -> bool:
        """Remove the result of a completed session, which somebody has fetched or, `expired`, nobody in time; its
        outcome stays.

        Returns:
            True when there was one. False also for one that expired while somebody fetches it by way of another
            process.
        """
        ...

    def discard(self, name: str, record: SessionRecord | None = None) -> bool:
        """Remove everything about a session; does nothing when there is none, and that is False.

        Args:
            name: of the session.
            record: does nothing either when the session of this name has another one, or was created at another time:
                it was made anew meanwhile.

        Returns:
            Whether it was there.
        """
        ...

    def begin_upload(self, name: str, limit: int) -> Upload:
        """Begin to take in bytes, with memory for one piece.

        Args:
            limit: how many bytes at most.

        Returns:
            What takes the pieces.
        """
        ...

    def open_upload(self, name: str, upload: str) -> AbstractContextManager[memoryview]:
        """The bytes of a committed upload, read-only and without a copy where the store can; valid inside `with`.

        Raises:
            DamagedError: they do not have the digest that is in the id, or are not there.
        """
        ...

    def read_range(self, name: str, upload: str, offset: int, count: int) -> bytes:
        """Bytes of a committed upload. Who reads all of them compares them with the digest.

        Args:
            offset: of the first byte.
            count: how many bytes at most; fewer at the end.
        """
        ...

    def set_aside(self, name: str, upload: str) -> None:
        """Take a damaged upload away, durably, without removing it: whoever opens it finds it damaged from now on."""
        ...

    def discard_upload(self, name: str, upload: str) -> None:
        """Remove a committed upload that no entry names; does nothing when there is none."""
        ...

    def upload_bytes(self, name: str) -> int:
        """Bytes of the session's committed uploads, its result included."""
        ...

    def probe(self) -> None:
        """Demand that the next write can be made durable, by making one that changes nothing.

        Raises:
            StoreError: it cannot, or there is hardly room for it.
        """
        ...

    def close(self) -> None:
        """Let go of files and locks; the store is not used after this."""
        ...


def is_session_name(name: str) -> bool:
    """Whether `check_session_name` takes a name.

    Args:
        name: any text.
    """
    restarted = _RESTARTED.fullmatch(name)
    own = name if restarted is None else restarted["first"]
    return len(own) <= MAX_NAME_CHARACTERS and _NAME.fullmatch(own) is not None


def check_session_name(name: str) -> str:
    """Return a name that may stand in a path, a log and a command line.

    Args:
        name: what somebody gave as one.

    Raises:
        ParameterError: empty, longer than 128 characters, or other than letters, digits, dot, dash and underscore, but
            for the end of a restart's name: a tilde and a number up to 99.
    """
    if not isinstance(name, str) or not is_session_name(name):
        shown = name[:40] if isinstance(name, str) else type(name).__name__
        raise ParameterError(f"{shown!r} is no session name; give {SESSION_NAMES}")
    return name


def check_tenant(tenant: str) -> str:
    """Return the name of a tenant: empty, for a service that has none, or like the name of a session.

    Args:
        tenant: what somebody gave as one.

    Raises:
        ParameterError: another text.
    """
    if tenant == "" or (
        isinstance(tenant, str) and len(tenant) <= MAX_NAME_CHARACTERS and _NAME.fullmatch(tenant) is not None
    ):
        return tenant
    shown = tenant[:40] if isinstance(tenant, str) else type(tenant).__name__
    raise ParameterError(f"{shown!r} is no tenant; give {TENANTS}")
