"""The call by which invitations are redeemed: a claim for the signed roster, once there is one.

It needs no login, and does for a stranger what a login does: two signatures, checked before anything is read or
written. Only who is in the roster is given it, and not as often as it likes: replies that nobody reads fill memory.
Must not know what carries the call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from secagg.errors import ParameterError
from secagg.hosting.errors import QuotaExceededError
from secagg.hosting.quotas import FetchRates
from secagg.identity.claims import Claim, ClaimRefusal, ClaimRefusedError
from secagg.identity.directory import Directory
from secagg.identity.enrolment import Enrolment
from secagg.store.base import StoreError
from secagg.transport import service_pb2 as pb
from secagg.transport.errors import Refusal
from secagg.transport.refusals import CallRefusedError

ROSTERS_PER_MINUTE: Final = 60
_REFUSALS: Final[Mapping[ClaimRefusal, Refusal]] = MappingProxyType(
    {
        ClaimRefusal.NOT_INVITED: Refusal.NOT_INVITED,
        ClaimRefusal.SIGNATURE_INVALID: Refusal.SIGNATURE_INVALID,
        ClaimRefusal.USED: Refusal.INVITATION_USED,
        ClaimRefusal.CLOSED: Refusal.ENROLMENT_CLOSED,
    }
)


def _no_roster() -> None:
    return None


def _quietly(_: StoreError) -> None:
    pass


def _now() -> datetime:
    return datetime.now(UTC)


class Enrolments:
    """Takes claims to the invitations of some sessions.

    Args:
        enrolments: of one session each.
        roster: gives the signed roster as it was read last, expired or not, without delay; None where there is none.
        now: the time, with a time zone.
        seconds: a clock that is never set.
        failed: told why a claim could not be kept, which the client need not know.

    Raises:
        ParameterError: two enrolments of one session.
    """

    def __init__(
        self,
        enrolments: Iterable[Enrolment] = (),
        roster: Callable[[], Directory | None] = _no_roster,
        now: Callable[[], datetime] = _now,
        seconds: Callable[[], float] = time.monotonic,
        failed: Callable[[StoreError], None] = _quietly,
    ) -> None:
        self._by_session = _by_session(enrolments)
        self._roster = roster
        self._now = now
        self._seconds = seconds
        self._failed = failed
        self._given = FetchRates(ROSTERS_PER_MINUTE)

    def prepared(self, enrolments: Iterable[Enrolment]) -> Callable[[], None]:
        """Return what has claims to these taken from then on, and to no others.

        Raises:
            ParameterError: two of one session.
        """
        found = _by_session(enrolments)

        def change() -> None:
            self._by_session = found

        return change

    async def enrol(self, request: pb.EnrolRequest) -> pb.EnrolReply:
        """Keep a claim, and give the roster if its client stands there.

        Raises:
            CallRefusedError: NOT_INVITED, SIGNATURE_INVALID, INVITATION_USED, ENROLMENT_CLOSED; TRY_AGAIN where claims
                cannot be kept now; QUOTA_EXCEEDED, the roster was given too often.
        """
        enrolment = self._by_session.get(request.session)
        if enrolment is None:
            raise CallRefusedError(
                Refusal.NOT_INVITED,
                f"this server takes no claims for session {request.session[:80]!r}: its enrolment is over or has not "
                "begun, or the link is for another server",
            )
        claim = Claim(
            request.session,
            request.client,
            request.public_key,
            request.invitation_signature,
            request.key_signature,
        )
        roster = self._roster()
        enrolled = {} if roster is None else roster.keys
        try:
            await asyncio.to_thread(enrolment.receive, claim, self._now(), enrolled)
        except ClaimRefusedError as error:
            raise CallRefusedError(_REFUSALS[error.refusal], str(error)) from error
        except StoreError as error:
            self._failed(error)
            raise CallRefusedError(
                Refusal.TRY_AGAIN, f"the claim of client {claim.client} cannot be kept now; try again later"
            ) from error
        if roster is None or enrolled.get(claim.client) != claim.key:
            return pb.EnrolReply()
        try:
            self._given.take(claim.client, self._seconds())
        except QuotaExceededError as error:
            raise CallRefusedError(
                Refusal.QUOTA_EXCEEDED,
                f"client {claim.client} asks for the roster more than {ROSTERS_PER_MINUTE} times a minute; keep it",
                retry=True,
                retry_after=error.retry_after,
            ) from error
        return pb.EnrolReply(roster=roster.content)


def _by_session(enrolments: Iterable[Enrolment]) -> Mapping[str, Enrolment]:
    found: dict[str, Enrolment] = {}
    for each in enrolments:
        session = each.invitations.session
        if session in found:
            raise ParameterError(f"two enrolments are for session {session!r}; list its invitations once")
        found[session] = each
    return found
