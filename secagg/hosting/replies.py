"""What a hosted session answers: plain data for a transport to put on a wire. Knows nothing of how it came about.

What is for clients has ids of reasons and no sentences: a sentence may hold a number that follows from the inputs of
others (Specification §6.1). Sentences are for the operator: `SessionStatus` and the observer's hooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique

from secagg.errors import AbortReason, DropReason
from secagg.parameters import ClientId
from secagg.protocol.events import Progress
from secagg.protocol.messages import Round


@unique
class HostReason(Enum):
    """Why a host goes on without a client, for a reason of its own. In the session such a client did not answer (S01).

    ANSWER_DAMAGED: what it had sent is not any more what the store was given.
    REMOVED_BY_OPERATOR: an operator said so.
    REVOKED: its key is not valid any more.
    """

    ANSWER_DAMAGED = "H01"
    REMOVED_BY_OPERATOR = "H02"
    REVOKED = "H03"


Departure = DropReason | HostReason
"""Why a session goes on without a client: a rule of the protocol, or a reason of the host's own."""


class Expired(Enum):
    """What a host removed because it was kept long enough."""

    RESULT = "result"
    """A result that nobody fetched."""
    SESSION = "session"
    """A session that ended."""
    DAMAGED = "damaged"
    """A session that the store could not read."""


class ReceiptKind(Enum):
    """What became of a client's message.

    ACCEPTED: it is durable and the session took it. REPEATED: the very same answer was accepted before.
    LATE: its round is over, or the client was dropped; it never counts. REFUSED: the client is dropped for it.
    """

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    LATE = "late"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a message.

    Attributes:
        kind: what became of it.
        reason: why the client is dropped: always with REFUSED, and with LATE when that is known. An abort notice
            is ACCEPTED with CLIENT_ABORTED.
    """

    kind: ReceiptKind
    reason: Departure | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the server asks of a client now.

    Attributes:
        round: the open round.
        message: the encoded request.
        digest: SHA-256 of the message, to hand in as `seen`.
        seconds_left: until the round's deadline, never negative.
    """

    round: Round
    message: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    seconds_left: float


class EndKind(Enum):
    """How a session is over for one client.

    COMPLETED says that every round was closed, and not that there is a sum: whether the sum can be decoded (A13)
    depends on the inputs, and is the operator's to know.
    """

    COMPLETED = "completed"
    """Every round was closed; see above."""
    ABORTED = "aborted"
    """The session ended without a sum, for everybody."""
    DROPPED = "dropped"
    """The session goes on, or went on, without this client."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more will be asked of this client.

    Attributes:
        kind: the session completed, was aborted (for dropped clients, too), or this client was dropped from it.
        reason: AbortReason with ABORTED; Departure with DROPPED; None with COMPLETED. A host that was restarted
            after the session's end, or a client dropped before a restart, may have no reason to tell.
        successor: name of the session that follows this one without those who made it end, or empty.
    """

    kind: EndKind
    reason: AbortReason | Departure | None = None
    successor: str = ""


@dataclass(frozen=True, slots=True)
class Accused:
    """Who made a session end.

    Attributes:
        client: who is blamed.
        reason: DEALT_UNREADABLE_PAIR, COMPLAINT_ABOUT_A_READABLE_PAIR or DISCLOSURE_INVALID.
        has_evidence: whether there is evidence to fetch; without, an honest client may be blamed.
    """

    client: ClientId
    reason: DropReason
    has_evidence: bool


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A session as its operator sees it.

    Attributes:
        name: unique on its server.
        state: the open round's value, "completed", "aborted", "starting", or "failed": until the host restarts, or for
            good where the store has it damaged, which the detail says.
        clients: size of the cohort.
        expected: clients asked in the open round; 0 after the end.
        answered: of these, accepted answers.
        pending: of these, neither answered nor dropped.
        dropped: why clients were dropped, in all rounds, and how many.
        seconds_left: until the open round's deadline, or None after the end.
        log_entries: how many inputs of the session are kept for a restart; 0 after the end.
        stored_bytes: bytes of messages and uploads, after the end of the result.
        result_ready: whether the result can be fetched.
        abort_reason: why the session was aborted, or None.
        detail: one sentence about the end; empty before.
        created_at: seconds since 1970.
        contributors: clients in the sum, ascending; None unless this process saw the session complete.
        tenant: whose session it is; empty without tenants.
        ended_at: seconds since 1970 when its end was stored; 0 before, and where nobody noted it.
        progress: how far the last round's end is; None but while it is made.
        blame: who made it end, ascending by client; empty where nobody is blamed.
        successor: the session that follows it without them; empty where there is none.
    """

    name: str
    state: str
    clients: int
    expected: int
    answered: int
    pending: int
    dropped: Mapping[Departure, int]
    seconds_left: float | None
    log_entries: int
    stored_bytes: int
    result_ready: bool
    abort_reason: AbortReason | None
    detail: str
    created_at: float
    contributors: tuple[ClientId, ...] | None
    tenant: str = ""
    ended_at: float = 0.0
    progress: Progress | None = None
    blame: tuple[Accused, ...] = ()
    successor: str = ""


def departure_of(reason: str) -> Departure:
    """A reason by its id; raises ValueError for one that this release does not know."""
    return next((own for own in HostReason if own.value == reason), None) or DropReason(reason)


def unreadable(name: str, detail: str) -> SessionStatus:
    """The status of a session of which no more is known than that it is damaged."""
    return SessionStatus(
        name=name,
        state="failed",
        clients=0,
        expected=0,
        answered=0,
        pending=0,
        dropped={},
        seconds_left=None,
        log_entries=0,
        stored_bytes=0,
        result_ready=False,
        abort_reason=None,
        detail=detail,
        created_at=0.0,
        contributors=None,
    )
