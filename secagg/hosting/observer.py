"""What a host tells whoever keeps logs and metrics: every hook does nothing unless it is overridden.

Hooks are called on the event loop and must return at once. They get names, numbers and reasons, never a message,
a key or a vector. What is replayed after a restart is not told again.
"""

from __future__ import annotations

from secagg.errors import DropReason
from secagg.hosting.replies import Departure, Expired, ReceiptKind
from secagg.parameters import ClientId
from secagg.protocol.events import Progress, Stage
from secagg.protocol.messages import Round
from secagg.store.base import Outcome


class HostObserver:
    """Hooks of a host; subclass it and override what you need. A parameter's name stands for the same in every hook.

    Args:
        name: the session's.
        clients: how many there are, in the cohort or in the round.
        client: whose it was; None where it was no client's.
        digest: SHA-256, 32 bytes.
        error: what was raised; its sentence is for the operator.
        entries: of the session's log.
        seconds: how long it took, or is to take at most.
        outcome: how the session ended; of a login "accepted", or the name of the refusal.
        what: what was removed; of an expiry "certificate" or "roster".
        round_: the open round; None after the end.
        answered: how many clients answered.
        reason: the rule by which a client is dropped, or a share is wrong.
        detail: one sentence for the operator.
        holder: who revealed the shares.
        owners: of how many clients' secrets they are.
        kind: what became of the message.
        count: how many bytes.
        actor: fingerprint of the caller's key; empty without one.
        session: name of the session that a call is about; empty without one.
        call: its name, as in the .proto file.
        stage: of the last round's end.
        progress: how much of the stage is done.
        step: "append", "receive", "close_round" or "finish".
        trouble: what is wrong, in one sentence; empty when nothing is any more.
        epoch: the number of the lease.
        why: one sentence.
        at: seconds since 1970.
    """

    def session_created(self, name: str, clients: int) -> None:
        """A session was created."""

    def session_opened(self, name: str, digest: bytes) -> None:
        """This process goes on with a session; SHA-256 of its offer, the same wherever and whenever that is."""

    def session_left(self, name: str) -> None:
        """This process stops with a session that has not ended; it goes on later, or elsewhere."""

    def session_refused(self, name: str, error: Exception) -> None:
        """A session that was to be offered cannot be, or not as it was to be; the others are."""

    def session_resumed(self, name: str, entries: int, seconds: float) -> None:
        """A session was rebuilt from a log of `entries` in `seconds`."""

    def session_ended(self, name: str, outcome: Outcome) -> None:
        """A session ended, and the outcome is stored."""

    def session_expired(self, name: str, what: Expired) -> None:
        """What was kept of a session for as long as it was to be kept is removed."""

    def session_failed(self, name: str, error: BaseException) -> None:
        """A session stopped on an unexpected exception; its log is as it was, and a restart replays it.

        A DamagedError says that what the store has of it is damaged, which no restart mends.
        """

    def round_opened(self, name: str, round_: Round, clients: int, seconds: float) -> None:
        """A round opened for so many clients, for so many seconds."""

    def round_closed(self, name: str, round_: Round, answered: int, seconds: float) -> None:
        """A round closed with so many answers after so many seconds."""

    def client_dropped(self, name: str, client: ClientId, round_: Round, reason: Departure, detail: str) -> None:
        """The session goes on without a client."""

    def shares_wrong(self, name: str, holder: ClientId, reason: DropReason, owners: int) -> None:
        """A client that held shares revealed others of so many owners; the sum was recovered without them."""

    def answer(self, name: str, round_: Round | None, client: ClientId, kind: ReceiptKind) -> None:
        """A message was answered; `round_` was open, None after the end."""

    def bytes_received(self, name: str, client: ClientId, count: int) -> None:
        """Bytes of a message, or a piece of one, came in."""

    def bytes_sent(self, name: str, client: ClientId, count: int) -> None:
        """A request of so many bytes was handed out."""

    def login_answered(self, outcome: str) -> None:
        """Somebody logged in over a transport ("accepted"), or was refused (the refusal's name)."""

    def logged_in(self, actor: str, session: str, client: ClientId | None) -> None:
        """Somebody was let in: the fingerprint of a key, empty without one; a client of a session, a member of the
        roster (no session), or an operator (neither)."""

    def operator_called(self, call: str, actor: str, session: str, client: ClientId | None) -> None:
        """A call of an operator is answered; `actor` is the fingerprint of its key, `client` whom it is about."""

    def trouble(self) -> str:
        """Why what is told is not kept now, in one sentence; empty when it is. A host that is told so is not ready."""
        return ""

    def stage_entered(self, name: str, stage: Stage) -> None:
        """The last round's end entered a stage."""

    def unmasking_progressed(self, name: str, progress: Progress) -> None:
        """A stage began, or another hundredth of it is done."""

    def step_timed(self, name: str, step: str, seconds: float) -> None:
        """A step took so long: "append", "receive", "close_round" or "finish"."""

    def readiness_changed(self, trouble: str) -> None:
        """Answers can be taken in from now on (empty), or cannot (why not, in one sentence)."""

    def executor_failed(self, trouble: str) -> None:
        """Long computations are made otherwise than they should be, in one sentence; sums are as they would be."""

    def lease_taken(self, name: str, epoch: int) -> None:
        """This process goes on with a session that many host; its leases are counted."""

    def lease_lost(self, name: str, epoch: int, why: str) -> None:
        """Another process may go on with a session, in one sentence why; nothing of it is lost."""

    def expiry_known(self, what: str, at: float) -> None:
        """The server's "certificate" or "roster" ends at `at`, in seconds since 1970."""

    def reloaded(self, trouble: str) -> None:
        """The configuration was read again and taken over (empty), or changed nothing (why, in one sentence)."""

    def store_failed(self, name: str, error: Exception) -> None:
        """The store refused an operation; the session is unharmed and tries again."""
