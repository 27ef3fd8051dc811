"""The call by which invitations are redeemed: a claim for the signed roster, once there is one.

It needs no login, and does for a stranger what a login does: two signatures, checked before anything is read or
written. Only who is invited is given the roster. Must not know what carries the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from secagg.errors import ParameterError
from secagg.identity.claims import Claim, ClaimRefusal, ClaimRefusedError
from secagg.identity.directory import Directory
from secagg.identity.enrolment import Enrolment
from secagg.store.base import StoreError
from secagg.transport import service_pb2 as pb
from secagg.transport.errors import Refusal
from secagg.transport.refusals import CallRefusedError

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


def _now() -> datetime:
    return datetime.now(UTC)


class Enrolments:
    """Takes claims to the invitations of some sessions.

    Args:
        enrolments: of one session each.
        roster: gives the signed roster as it was read last, expired or not, without delay; None where there is none.
        now: the time, with a time zone.

    Raises:
        ParameterError: two enrolments of one session.
    """

    def __init__(
        self,
        enrolments: Iterable[Enrolment] = (),
        roster: Callable[[], Directory | None] = _no_roster,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._by_session = _by_session(enrolments)
        self._roster = roster
        self._now = now

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
                cannot be kept now.
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
            raise CallRefusedError(
                Refusal.TRY_AGAIN, f"the claim of client {claim.client} cannot be kept now; try again later"
            ) from error
        known = roster is not None and enrolled.get(claim.client) == claim.key
        return pb.EnrolReply(roster=roster.content if roster is not None and known else b"")


def _by_session(enrolments: Iterable[Enrolment]) -> Mapping[str, Enrolment]:
    found: dict[str, Enrolment] = {}
    for each in enrolments:
        session = each.invitations.session
        if session in found:
            raise ParameterError(f"two enrolments are for session {session!r}; list its invitations once")
        found[session] = each
    return found
