"""Why a call of the network service failed, by name: a closed list that both sides know.

Plain data: which status code of gRPC a name travels with stands in `status`. Must not know calls or sessions.
"""

from __future__ import annotations

from enum import Enum, unique

from secagg.errors import AbortReason, SecAggError, SessionAbortedError
from secagg.hosting import Departure


@unique
class Refusal(Enum):
    """Why the server did not do what a call asked for; the names travel in `ErrorDetail.reason`."""

    MALFORMED = "MALFORMED"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
    NOT_IN_COHORT = "NOT_IN_COHORT"
    NOT_IN_ROSTER = "NOT_IN_ROSTER"
    NOT_AN_OPERATOR = "NOT_AN_OPERATOR"
    ROLE_TOO_LOW = "ROLE_TOO_LOW"
    ROSTER_NOT_VALID = "ROSTER_NOT_VALID"
    NAME_TAKEN = "NAME_TAKEN"
    UNKNOWN_CLIENT = "UNKNOWN_CLIENT"
    SESSION_ENDED = "SESSION_ENDED"
    NONCE_UNKNOWN = "NONCE_UNKNOWN"
    SERVER_NAME_WRONG = "SERVER_NAME_WRONG"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    TOKEN_UNKNOWN = "TOKEN_UNKNOWN"  # noqa: S105 - the name of a refusal, not a password
    UPLOAD_REFUSED = "UPLOAD_REFUSED"
    UPLOAD_DAMAGED = "UPLOAD_DAMAGED"
    UPLOAD_STALLED = "UPLOAD_STALLED"
    NOT_INVITED = "NOT_INVITED"
    INVITATION_USED = "INVITATION_USED"
    ENROLMENT_CLOSED = "ENROLMENT_CLOSED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    TRY_AGAIN = "TRY_AGAIN"
    DROPPED = "DROPPED"
    RESULT_NOT_READY = "RESULT_NOT_READY"
    RESULT_UNFETCHED = "RESULT_UNFETCHED"
    RESULT_DAMAGED = "RESULT_DAMAGED"


class ServiceError(SecAggError):
    """A server could not be reached, or refused a call for good.

    Attributes:
        code: the name of the gRPC status, such as "PERMISSION_DENIED"; "" when the reply itself was wrong.
        refusal: the server's reason, or None when no server of this service gave one.
    """

    def __init__(self, message: str, code: str = "", refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.refusal = refusal

    def __reduce__(self) -> tuple[type[ServiceError], tuple[str, str, Refusal | None]]:
        return type(self), (str(self), self.code, self.refusal)


class UnreachableError(ServiceError):
    """Trying again did not help for as long as the retry policy allows; the session may still go on."""


class RestartedError(SessionAbortedError):
    """The session ended without a sum, and the server names one that follows it.

    Attributes:
        successor: its name, as the server gave it.
    """

    def __init__(self, message: str, reason: AbortReason | None, successor: str) -> None:
        super().__init__(message, reason)
        self.successor = successor

    def __reduce__(self) -> tuple[type[RestartedError], tuple[str, AbortReason | None, str]]:  # type: ignore[override]
        return type(self), (str(self), self.reason, self.successor)


class DroppedError(SessionAbortedError):
    """The server dropped this client, or the session ended without an input of this process.

    Attributes:
        drop_reason: the rule by which the server dropped it, or a reason of the host's own; None when the server does
            not know any more.
    """

    def __init__(self, message: str, drop_reason: Departure | None = None) -> None:
        super().__init__(message, AbortReason.PEER_ABORTED)
        self.drop_reason = drop_reason

    def __reduce__(self) -> tuple[type[DroppedError], tuple[str, Departure | None]]:  # type: ignore[override]
        return type(self), (str(self), self.drop_reason)
