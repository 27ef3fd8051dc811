"""What the holder of a session publishes, as bytes: all that a follower needs to answer its callers.

JSON, of which a reader takes the fields that it knows: two releases can serve the same sessions. Must not know stores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from secagg.errors import AbortReason, DecodeError, DropReason
from secagg.hosting.kept import accused, completed, told
from secagg.hosting.relay import Account
from secagg.hosting.replicas.requests import Pointer
from secagg.hosting.replies import Accused, Departure, Ended, EndKind, SessionStatus, departure_of
from secagg.parameters import ClientId
from secagg.protocol.events import Progress, Stage
from secagg.protocol.messages import Round
from secagg.store.base import Aborted, Completed, Outcome, SessionRecord

_FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Published:
    """A session as others are told of it.

    Attributes:
        state: as in `SessionStatus`, as what is not named here is.
        round: the open round, or None.
        requests: where its requests are, or None.
        gone: why each client was dropped.
        end: how it ended, or None.
        damage: that the store has it damaged, in one sentence, or empty.
    """

    state: str
    round: Round | None = None
    requests: Pointer | None = None
    gone: Mapping[ClientId, Departure] = field(default_factory=dict)
    end: Ended | None = None
    damage: str = ""
    expected: int = 0
    answered: int = 0
    pending: int = 0
    dropped: Mapping[Departure, int] = field(default_factory=dict)
    seconds_left: float | None = None
    log_entries: int = 0
    stored_bytes: int = 0
    abort_reason: AbortReason | None = None
    detail: str = ""
    contributors: tuple[ClientId, ...] | None = None
    progress: Progress | None = None
    blame: tuple[Accused, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the holder cannot go on, and nobody else will before it is restarted."""
        return self.state == _FAILED

    @classmethod
    def of(cls, account: Account, requests: Pointer | None) -> Published:
        """What a keeper tells of its session."""
        status = account.status
        return cls(
            round=account.round,
            requests=requests,
            gone=dict(account.gone),
            end=account.end,
            damage=account.damage,
            state=status.state,
            expected=status.expected,
            answered=status.answered,
            pending=status.pending,
            dropped=status.dropped,
            seconds_left=status.seconds_left,
            log_entries=status.log_entries,
            stored_bytes=status.stored_bytes,
            abort_reason=status.abort_reason,
            detail=status.detail,
            contributors=status.contributors,
            progress=status.progress,
            blame=status.blame,
        )

    def uncounted(self) -> Published:
        """Only what clients may wait for: without time, and numbers that operators look at now and then."""
        return replace(self, seconds_left=None, answered=0, pending=0, log_entries=0, stored_bytes=0, progress=None)

    def encode(self) -> bytes:
        """Return its bytes."""
        requests = None
        if self.requests is not None:
            pointer = self.requests
            requests = [pointer.upload, pointer.index_at, pointer.index_bytes, pointer.index_sha256.hex()]
        end = None
        if self.end is not None:
            reason = None if self.end.reason is None else self.end.reason.value
            end = [self.end.kind.value, reason, self.end.successor]
        progress = None
        if self.progress is not None:
            progress = [self.progress.stage.value, self.progress.done, self.progress.whole]
        fields = {
            "round": None if self.round is None else self.round.value,
            "requests": requests,
            "gone": {str(client): reason.value for client, reason in self.gone.items()},
            "end": end,
            "damage": self.damage,
            "state": self.state,
            "expected": self.expected,
            "answered": self.answered,
            "pending": self.pending,
            "dropped": {reason.value: count for reason, count in self.dropped.items()},
            "seconds_left": self.seconds_left,
            "log_entries": self.log_entries,
            "stored_bytes": self.stored_bytes,
            "abort_reason": None if self.abort_reason is None else self.abort_reason.value,
            "detail": self.detail,
            "contributors": self.contributors,
            "progress": progress,
            "blame": [(each.client, each.reason.value, each.has_evidence) for each in self.blame],
        }
        return json.dumps(fields, sort_keys=True).encode()

    @classmethod
    def decode(cls, data: bytes) -> Published:
        """Read what `encode` wrote.

        Raises:
            DecodeError: other bytes.
        """
        try:
            fields = json.loads(data)
            return cls(
                round=None if fields["round"] is None else Round(fields["round"]),
                requests=_pointer(fields["requests"]),
                gone={int(client): departure_of(reason) for client, reason in fields["gone"].items()},
                end=_end(fields["end"]),
                damage=fields["damage"],
                state=fields["state"],
                expected=fields["expected"],
                answered=fields["answered"],
                pending=fields["pending"],
                dropped={departure_of(reason): count for reason, count in fields["dropped"].items()},
                seconds_left=fields["seconds_left"],
                log_entries=fields["log_entries"],
                stored_bytes=fields["stored_bytes"],
                abort_reason=None if fields["abort_reason"] is None else AbortReason(fields["abort_reason"]),
                detail=fields["detail"],
                contributors=None if fields["contributors"] is None else tuple(fields["contributors"]),
                progress=_progress(fields.get("progress")),
                blame=tuple(Accused(client, DropReason(why), shown) for client, why, shown in fields.get("blame", ())),
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise DecodeError(f"{len(data)} bytes are no state of a session that this release knows") from error

    def status(
        self,
        record: SessionRecord,
        clients: int,
        outcome: Outcome | None,
        passed_seconds: float,
        result_bytes: int | None,
    ) -> SessionStatus:
        """The session as its operator sees it, so many seconds after this was published; `result_bytes` if known."""
        result_ready = isinstance(outcome, Completed) and outcome.result is not None
        stored = self.stored_bytes if outcome is None else 0
        if result_ready:
            stored = self.stored_bytes if result_bytes is None else result_bytes
        left = None if self.seconds_left is None else max(0.0, self.seconds_left - passed_seconds)
        return SessionStatus(
            name=record.name,
            state=self.state,
            clients=clients,
            expected=self.expected,
            answered=self.answered,
            pending=self.pending,
            dropped=self.dropped,
            seconds_left=left,
            log_entries=self.log_entries if outcome is None else 0,
            stored_bytes=stored,
            result_ready=result_ready,
            abort_reason=self.abort_reason,
            detail=self.detail,
            created_at=record.created_at,
            contributors=self.contributors,
            tenant=record.tenant,
            ended_at=0.0 if outcome is None else outcome.ended_at,
            progress=self.progress,
            blame=self.blame,
            successor="" if self.end is None else self.end.successor,
        )


STARTING = Published("starting")


def ended(published: Published, outcome: Outcome) -> Published:
    """What is known of a session that has ended, whatever was published last."""
    if published.end is not None:
        return published
    aborted = outcome if isinstance(outcome, Aborted) else None
    return replace(
        published,
        round=None,
        requests=None,
        end=told(aborted),
        state="completed" if aborted is None else "aborted",
        seconds_left=None,
        expected=0,
        answered=0,
        pending=0,
        progress=None,
        abort_reason=None if aborted is None else AbortReason(aborted.reason),
        detail=completed(outcome) if aborted is None else aborted.detail,
        dropped={departure_of(each): count for each, count in outcome.dropped.items()},
        blame=accused(aborted),
    )


def lost(published: Published, damage: str) -> Published:
    """What is known of a session that the store has damaged, so that nobody goes on with it."""
    return replace(
        published,
        round=None,
        requests=None,
        end=Ended(EndKind.ABORTED, AbortReason.ABORTED_BY_CALLER),
        damage=damage,
        state=_FAILED,
        seconds_left=None,
        expected=0,
        answered=0,
        pending=0,
        progress=None,
        detail=damage,
    )


def _progress(fields: Any) -> Progress | None:
    if fields is None:
        return None
    stage, done, whole = fields
    return Progress(Stage(stage), done, whole)


def _pointer(fields: Any) -> Pointer | None:
    if fields is None:
        return None
    upload, at, count, digest = fields
    return Pointer(upload, at, count, bytes.fromhex(digest))


def _end(fields: Any) -> Ended | None:
    if fields is None:
        return None
    kind, reason, *successor = fields
    return Ended(EndKind(kind), None if reason is None else AbortReason(reason), *successor[:1])
