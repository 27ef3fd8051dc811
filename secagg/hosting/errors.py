"""Errors of a host, by what the caller should do about them; a transport maps each to one status."""

from __future__ import annotations

from secagg.errors import SecAggError


class HostError(SecAggError):
    """A host refused a call; the session is as it was."""


class UnknownSessionError(HostError):
    """No session of this name is hosted here (gRPC: NOT_FOUND)."""


def unknown_session(name: str) -> UnknownSessionError:
    """What is said of a name that no session has, or none that the caller may know of.

    Args:
        name: as the caller gave it; no more than 40 characters of it are shown.
    """
    return UnknownSessionError(f"no session {name[:40]!r} is hosted here; check its name")


class NotInCohortError(HostError):
    """The client is not in the session's cohort (PERMISSION_DENIED)."""


class NoEvidenceError(HostError):
    """There is no evidence against this client in the session (NOT_FOUND)."""


class QuotaExceededError(HostError):
    """A bound of the host was reached (RESOURCE_EXHAUSTED).

    Attributes:
        retry_after: seconds after which the same call can succeed, or None when waiting does not help.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[QuotaExceededError], tuple[str, float | None]]:
        return type(self), (str(self), self.retry_after)


class HostUnavailableError(HostError):
    """Nothing was acknowledged and nothing was lost: the caller may send the same again later (UNAVAILABLE)."""


class UploadRefusedError(HostError):
    """An upload that cannot become a message: too long, of another length than announced (INVALID_ARGUMENT)."""


class ResultDamagedError(HostError):
    """The stored result is not what was stored; no byte more of it is given out (DATA_LOSS)."""


class ResultUnfetchedError(HostError):
    """The result would be lost, and the caller has neither shown that it has it nor said so (FAILED_PRECONDITION)."""


class ResultNotReadyError(HostError):
    """There is no result to fetch: the session runs, ended without a sum, or the result was released or expired
    (FAILED_PRECONDITION)."""
