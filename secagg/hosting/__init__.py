"""Hosts many server sessions on asyncio for any transport: nothing that was acknowledged is lost (no gRPC in here).

`SessionHost` keeps sessions in a store, `HostedSession` is what a transport talks to. Messages are opaque bytes.
"""

from secagg.hosting.errors import (
    HostError,
    HostUnavailableError,
    NoEvidenceError,
    NotInCohortError,
    QuotaExceededError,
    ResultDamagedError,
    ResultNotReadyError,
    ResultUnfetchedError,
    UnknownSessionError,
    UploadRefusedError,
    unknown_session,
)
from secagg.hosting.host import SessionHost
from secagg.hosting.observer import HostObserver
from secagg.hosting.offers import offer_of, parameters_of
from secagg.hosting.quotas import Quotas
from secagg.hosting.replies import (
    Accused,
    Departure,
    Ended,
    EndKind,
    Expired,
    HostReason,
    Receipt,
    ReceiptKind,
    Request,
    SessionStatus,
)
from secagg.hosting.results import ReleasedSum, read_result
from secagg.hosting.retention import Retention
from secagg.hosting.schedule import RoundSchedule
from secagg.hosting.session import HostedSession
from secagg.hosting.upload import HostedUpload
from secagg.protocol.events import Progress, Stage

__all__ = [
    "Accused",
    "Departure",
    "EndKind",
    "Ended",
    "Expired",
    "HostError",
    "HostObserver",
    "HostReason",
    "HostUnavailableError",
    "HostedSession",
    "HostedUpload",
    "NoEvidenceError",
    "NotInCohortError",
    "Progress",
    "QuotaExceededError",
    "Quotas",
    "Receipt",
    "ReceiptKind",
    "ReleasedSum",
    "Request",
    "ResultDamagedError",
    "ResultNotReadyError",
    "ResultUnfetchedError",
    "Retention",
    "RoundSchedule",
    "SessionHost",
    "SessionStatus",
    "Stage",
    "UnknownSessionError",
    "UploadRefusedError",
    "offer_of",
    "parameters_of",
    "read_result",
    "unknown_session",
]
