"""Failures as gRPC carries them: a status code, a sentence, and an ErrorDetail in the trailing metadata.

One table says which code a refusal travels with. The server's half turns exceptions of the host into statuses, the
client's half reads them back and says whether another attempt can help. Must not know what the calls do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn

import grpc
from google.protobuf.message import DecodeError as ProtobufDecodeError

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
from secagg.transport.grpc import service_pb2 as pb
from secagg.transport.grpc.errors import Refusal

DETAIL_KEY: Final = "secagg-error-bin"
_MAX_SENTENCE: Final = 1000
_Code = grpc.StatusCode

CODES: Final[Mapping[Refusal, grpc.StatusCode]] = MappingProxyType(
    {
        Refusal.MALFORMED: _Code.INVALID_ARGUMENT,
        Refusal.UNKNOWN_SESSION: _Code.NOT_FOUND,
        Refusal.NOT_IN_COHORT: _Code.PERMISSION_DENIED,
        Refusal.NOT_IN_ROSTER: _Code.PERMISSION_DENIED,
        Refusal.NOT_AN_OPERATOR: _Code.PERMISSION_DENIED,
        Refusal.ROLE_TOO_LOW: _Code.PERMISSION_DENIED,
        Refusal.ROSTER_NOT_VALID: _Code.FAILED_PRECONDITION,
        Refusal.NAME_TAKEN: _Code.ALREADY_EXISTS,
        Refusal.UNKNOWN_CLIENT: _Code.NOT_FOUND,
        Refusal.SESSION_ENDED: _Code.FAILED_PRECONDITION,
        Refusal.NONCE_UNKNOWN: _Code.UNAUTHENTICATED,
        Refusal.SERVER_NAME_WRONG: _Code.UNAUTHENTICATED,
        Refusal.SIGNATURE_INVALID: _Code.UNAUTHENTICATED,
        Refusal.TOKEN_UNKNOWN: _Code.UNAUTHENTICATED,
        Refusal.UPLOAD_REFUSED: _Code.INVALID_ARGUMENT,
        Refusal.UPLOAD_DAMAGED: _Code.DATA_LOSS,
        Refusal.UPLOAD_STALLED: _Code.DEADLINE_EXCEEDED,
        Refusal.QUOTA_EXCEEDED: _Code.RESOURCE_EXHAUSTED,
        Refusal.TRY_AGAIN: _Code.UNAVAILABLE,
        Refusal.DROPPED: _Code.FAILED_PRECONDITION,
        Refusal.RESULT_NOT_READY: _Code.FAILED_PRECONDITION,
        Refusal.RESULT_UNFETCHED: _Code.FAILED_PRECONDITION,
        Refusal.RESULT_DAMAGED: _Code.DATA_LOSS,
    }
)
_WORTH_ANOTHER: Final = frozenset(
    {Refusal.NONCE_UNKNOWN, Refusal.TOKEN_UNKNOWN, Refusal.UPLOAD_DAMAGED, Refusal.UPLOAD_STALLED, Refusal.TRY_AGAIN}
)
# What gRPC itself says when a connection breaks, is cut in the middle, or a server has too much to do.
_BROKEN: Final = frozenset(
    {_Code.UNAVAILABLE, _Code.CANCELLED, _Code.UNKNOWN, _Code.INTERNAL, _Code.DEADLINE_EXCEEDED}
    | {_Code.RESOURCE_EXHAUSTED, _Code.ABORTED}
)
# Said by TLS on this side: another attempt meets the same certificate.
_CERTIFICATE: Final = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed", "Peer name ")


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


def read_detail(error: grpc.aio.AioRpcError) -> pb.ErrorDetail | None:
    """Return what the server said about a failure, or None when it was no server of this service that said it."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAIL_KEY and isinstance(value, bytes):
            try:
                return pb.ErrorDetail.FromString(value)
            except ProtobufDecodeError:
                return None
    return None


def refusal_of(detail: pb.ErrorDetail | None) -> Refusal | None:
    """Return the reason in a detail, or None when this release does not know it."""
    if detail is None:
        return None
    return Refusal.__members__.get(detail.reason)


def about_certificate(error: grpc.aio.AioRpcError) -> bool:
    """Whether TLS on this side refused what the server showed."""
    return read_detail(error) is None and any(text in (error.details() or "") for text in _CERTIFICATE)


def worth_another(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return False
    detail = read_detail(error)
    if detail is not None:
        return detail.retry
    return error.code() in _BROKEN and not about_certificate(error)


def hint(rule_id: str) -> str:
    """What a client can do about a drop, as the end of a sentence; the server sends ids only."""
    if rule_id == DropReason.SECOND_ANSWER_DIFFERS.value:
        return "; two processes run as this client, or one restarted without state="
    return ""


def drop_reason_of(rule_id: str) -> Departure | None:
    """Return a drop reason by its id, or None when there is none or this release does not know it."""
    return next((reason for reason in (*DropReason, *HostReason) if reason.value == rule_id), None)
