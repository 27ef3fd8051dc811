"""Why a call is not done, and what it travels as: one table for all transports.

The server's half turns exceptions of the host into refusals, the client's half reads them back. Must not know what the
calls do, nor what carries them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from secagg.errors import DecodeError, DropReason, ParameterError, SecAggError
from secagg.hosting import (
    Departure,
    HostError,
    HostReason,
    HostUnavailableError,
    NoEvidenceError,
    NotInCohortError,
    QuotaExceededError,
    ResultDamagedError,
    ResultNotReadyError,
    ResultUnfetchedError,
    UnknownSessionError,
    UploadRefusedError,
)
from secagg.transport import service_pb2 as pb
from secagg.transport.errors import Refusal

_MAX_SENTENCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Carried:
    """What a refusal travels as.

    Attributes:
        code: the name of gRPC's status code.
        http: the status of HTTP.
    """

    code: str
    http: int


CARRIED: Final[Mapping[Refusal, Carried]] = MappingProxyType(
    {
        Refusal.MALFORMED: Carried("INVALID_ARGUMENT", 400),
        Refusal.UNKNOWN_SESSION: Carried("NOT_FOUND", 404),
        Refusal.NOT_IN_COHORT: Carried("PERMISSION_DENIED", 403),
        Refusal.NOT_IN_ROSTER: Carried("PERMISSION_DENIED", 403),
        Refusal.NOT_AN_OPERATOR: Carried("PERMISSION_DENIED", 403),
        Refusal.ROLE_TOO_LOW: Carried("PERMISSION_DENIED", 403),
        Refusal.ROSTER_NOT_VALID: Carried("FAILED_PRECONDITION", 409),
        Refusal.NAME_TAKEN: Carried("ALREADY_EXISTS", 409),
        Refusal.UNKNOWN_CLIENT: Carried("NOT_FOUND", 404),
        Refusal.SESSION_ENDED: Carried("FAILED_PRECONDITION", 409),
        Refusal.NONCE_UNKNOWN: Carried("UNAUTHENTICATED", 401),
        Refusal.SERVER_NAME_WRONG: Carried("UNAUTHENTICATED", 401),
        Refusal.SIGNATURE_INVALID: Carried("UNAUTHENTICATED", 401),
        Refusal.TOKEN_UNKNOWN: Carried("UNAUTHENTICATED", 401),
        Refusal.UPLOAD_REFUSED: Carried("INVALID_ARGUMENT", 413),
        Refusal.UPLOAD_DAMAGED: Carried("DATA_LOSS", 422),
        Refusal.UPLOAD_STALLED: Carried("DEADLINE_EXCEEDED", 408),
        Refusal.NOT_INVITED: Carried("PERMISSION_DENIED", 403),
        Refusal.INVITATION_USED: Carried("ALREADY_EXISTS", 409),
        Refusal.ENROLMENT_CLOSED: Carried("FAILED_PRECONDITION", 410),
        Refusal.QUOTA_EXCEEDED: Carried("RESOURCE_EXHAUSTED", 429),
        Refusal.TRY_AGAIN: Carried("UNAVAILABLE", 503),
        Refusal.DROPPED: Carried("FAILED_PRECONDITION", 410),
        Refusal.RESULT_NOT_READY: Carried("FAILED_PRECONDITION", 409),
        Refusal.RESULT_UNFETCHED: Carried("FAILED_PRECONDITION", 409),
        Refusal.RESULT_DAMAGED: Carried("DATA_LOSS", 500),
    }
)
_WORTH_ANOTHER: Final = frozenset(
    {Refusal.NONCE_UNKNOWN, Refusal.TOKEN_UNKNOWN, Refusal.UPLOAD_DAMAGED, Refusal.UPLOAD_STALLED, Refusal.TRY_AGAIN}
)


class CallRefusedError(SecAggError):
    """A call is not done; becomes a status.

    Attributes:
        refusal: why, for programs.
        drop_reason: the rule by which a client was dropped, with DROPPED.
        retry_after: seconds after which the same call may succeed, or None when unknown.
    """

    def __init__(
        self,
        refusal: Refusal,
        message: str,
        *,
        drop_reason: Departure | None = None,
        retry: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.drop_reason = drop_reason
        self.retry = refusal in _WORTH_ANOTHER if retry is None else retry
        self.retry_after = retry_after

    def __reduce__(self) -> NoReturn:
        raise TypeError("a CallRefusedError is between a servicer and its status; it is not pickled")


def refused(error: SecAggError) -> CallRefusedError:
    """Say what a caller is told about an error of the host, or of ours."""
    match error:
        case CallRefusedError():
            return error
        case UnknownSessionError():
            return CallRefusedError(Refusal.UNKNOWN_SESSION, str(error))
        case NoEvidenceError():
            return CallRefusedError(Refusal.UNKNOWN_CLIENT, str(error))
        case NotInCohortError():
            return CallRefusedError(Refusal.NOT_IN_COHORT, str(error))
        case QuotaExceededError():
            again = error.retry_after is not None
            return CallRefusedError(Refusal.QUOTA_EXCEEDED, str(error), retry=again, retry_after=error.retry_after)
        case UploadRefusedError():
            return CallRefusedError(Refusal.UPLOAD_REFUSED, str(error))
        case ResultDamagedError():
            return CallRefusedError(Refusal.RESULT_DAMAGED, str(error))
        case ResultUnfetchedError():
            return CallRefusedError(Refusal.RESULT_UNFETCHED, str(error))
        case ResultNotReadyError():
            return CallRefusedError(Refusal.RESULT_NOT_READY, str(error))
        case HostUnavailableError():
            return CallRefusedError(Refusal.TRY_AGAIN, str(error))
        case ParameterError() | DecodeError():
            return CallRefusedError(Refusal.MALFORMED, str(error))
        case HostError():
            return CallRefusedError(Refusal.TRY_AGAIN, str(error))
    raise error


def detail_of(refusal: CallRefusedError) -> pb.ErrorDetail:
    """Return the message that goes with a refusal."""
    detail = pb.ErrorDetail(reason=refusal.refusal.value, retry=refusal.retry)
    if refusal.drop_reason is not None:
        detail.rule_id, detail.rule = refusal.drop_reason.value, refusal.drop_reason.name
    if refusal.retry_after is not None:
        detail.retry_after_seconds = refusal.retry_after
    return detail


def sentence(text: str) -> str:
    """Cut a sentence to what fits into a status."""
    return text if len(text) <= _MAX_SENTENCE else text[: _MAX_SENTENCE - 1] + "…"


def refusal_of(detail: pb.ErrorDetail | None) -> Refusal | None:
    """Return the reason in a detail, or None when this release does not know it."""
    if detail is None:
        return None
    return Refusal.__members__.get(detail.reason)


def hint(rule_id: str) -> str:
    """What a client can do about a drop, as the end of a sentence; the server sends ids only."""
    if rule_id == DropReason.SECOND_ANSWER_DIFFERS.value:
        return "; two processes run as this client, or one restarted without state="
    return ""


def drop_reason_of(rule_id: str) -> Departure | None:
    """Return a drop reason by its id, or None when there is none or this release does not know it."""
    return next((reason for reason in (*DropReason, *HostReason) if reason.value == rule_id), None)
