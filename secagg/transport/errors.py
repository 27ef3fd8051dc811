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
    """The call has no form that the server understands."""
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
    """There is no such session, or none that the caller may know of."""
    NOT_IN_COHORT = "NOT_IN_COHORT"
    """The caller is no client of the session, or has no key in it."""
    NOT_IN_ROSTER = "NOT_IN_ROSTER"
    """The client, or its key, is not in the server's roster."""
    NOT_AN_OPERATOR = "NOT_AN_OPERATOR"
    """The key is none of an operator."""
    ROLE_TOO_LOW = "ROLE_TOO_LOW"
    """The operator's role does not allow the call."""
    ROSTER_NOT_VALID = "ROSTER_NOT_VALID"
    """The server's roster is not valid any more, or it has none."""
    NAME_TAKEN = "NAME_TAKEN"
    """A session of this name has other content."""
    UNKNOWN_CLIENT = "UNKNOWN_CLIENT"
    """The server does not know a client that the call names, or has no evidence about it."""
    SESSION_ENDED = "SESSION_ENDED"
    """The session has ended."""
    NONCE_UNKNOWN = "NONCE_UNKNOWN"
    """A login's nonce is not one that the server gave, or was used."""
    SERVER_NAME_WRONG = "SERVER_NAME_WRONG"
    """A login is signed for a name that is none of the server's."""
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    """A login or claim is not signed with the key that it should be."""
    TOKEN_UNKNOWN = "TOKEN_UNKNOWN"  # noqa: S105 - the name of a refusal, not a password
    """The token has expired, or was never given; log in again."""
    UPLOAD_REFUSED = "UPLOAD_REFUSED"
    """An answer is longer than it may be, or not as it was announced."""
    UPLOAD_DAMAGED = "UPLOAD_DAMAGED"
    """An answer arrived otherwise than it was sent; send it again."""
    UPLOAD_STALLED = "UPLOAD_STALLED"
    """An answer's bytes stopped coming, or come too slowly; send it again."""
    NOT_INVITED = "NOT_INVITED"
    """No invitation is as the caller says."""
    INVITATION_USED = "INVITATION_USED"
    """The invitation was redeemed with another key."""
    ENROLMENT_CLOSED = "ENROLMENT_CLOSED"
    """The server takes no claims to invitations, or not any more."""
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    """A quota does not allow it, now or at all."""
    TRY_AGAIN = "TRY_AGAIN"
    """The server cannot do it now; the same call later may succeed."""
    DROPPED = "DROPPED"
    """The session goes on without this client."""
    RESULT_NOT_READY = "RESULT_NOT_READY"
    """There is no result, or not yet."""
    RESULT_UNFETCHED = "RESULT_UNFETCHED"
    """The result is to be let go of, and this operator has not fetched it."""
    RESULT_DAMAGED = "RESULT_DAMAGED"
    """The store has the result otherwise than it was written."""


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
