"""Redeems an invitation: names this client's key to the service, and waits for the roster that has it.

The authority's key is the link's: the service can keep the roster back, and can make none. Every call may be repeated,
and a process that was ended goes on with the same identity. Must not know what carries calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.identity.links import Invitation
from secagg.identity.roster import SignedRoster, verify_roster
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import CALL_SECONDS, Connection
from secagg.transport.endpoints import endpoint_of
from secagg.transport.errors import ServiceError
from secagg.transport.gatekeeper import MemberCaller
from secagg.transport.progress import ParticipationObserver
from secagg.transport.retries import RetryPolicy
from secagg.transport.tls import ClientTls

POLL_SECONDS: Final = 5.0
"""How often a client asks whether the roster is signed."""


def _quietly() -> None:
    pass


async def redeem(
    invitation: Invitation,
    identity: IdentityKey,
    *,
    tls: ClientTls | None = None,
    insecure: bool = False,
    minimum_serial: int = 1,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    observer: ParticipationObserver | None = None,
) -> SignedRoster | None:
    """Redeem an invitation, or ask what became of it.

    Args:
        invitation: of the link.
        identity: this client's own key, the same one each time.
        tls: what to believe and to show; the default trusts gRPC's list of authorities, over HTTP the system's.
        insecure: no TLS; on loopback addresses only.
        minimum_serial: the oldest roster that is taken: that of the one which this client has.
        retry: how long and how often to try again.
        observer: told what happens.

    Returns:
        The roster with this client, verified under the authority of the link; None while none is signed.

    Raises:
        ParameterError: an impossible address, or an identity that is the invitation's own key.
        MissingExtraError: the packages of the address's transport are not installed.
        ServiceError: the service refused the claim for good (`refusal` says why: NOT_INVITED, SIGNATURE_INVALID,
            INVITATION_USED, ENROLMENT_CLOSED), or gave a roster that is not the authority's, not valid now, too old, or
            without this client.
        UnreachableError: the service could not be reached for as long as `retry` allows.
    """
    claim = invitation.claim(identity)
    request = pb.EnrolRequest(
        session=claim.session,
        client=claim.client,
        public_key=claim.key,
        invitation_signature=claim.invitation_signature,
        key_signature=claim.key_signature,
    )
    endpoint = endpoint_of(invitation.server, tls, insecure)
    caller = MemberCaller(claim.client)
    async with Connection(endpoint, caller, identity, retry, observer or ParticipationObserver()) as connection:
        calls = connection.aggregation
        reply: pb.EnrolReply = await connection.call(
            "Enrol", lambda metadata: calls.Enrol(request, metadata=metadata, timeout=CALL_SECONDS), stranger=True
        )
    if not reply.roster:
        return None
    try:
        now = datetime.now(UTC)
        roster = verify_roster(reply.roster, invitation.authority, at=now, minimum_serial=minimum_serial)
    except ParameterError as error:
        raise ServiceError(f"{invitation.server} gave a roster that is not to be used: {error}") from error
    if roster.keys.get(claim.client) != claim.key:
        raise ServiceError(f"{invitation.server} gave a roster without this key of client {claim.client}")
    return roster


async def redeem_and_wait(
    invitation: Invitation,
    identity: IdentityKey,
    *,
    tls: ClientTls | None = None,
    insecure: bool = False,
    minimum_serial: int = 1,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    observer: ParticipationObserver | None = None,
    poll_seconds: float = POLL_SECONDS,
    waiting: Callable[[], None] = _quietly,
) -> SignedRoster:
    """Redeem an invitation, and wait until the roster is signed; cancelling it is safe.

    Args:
        invitation, identity, tls, insecure, minimum_serial, retry, observer: as for `redeem`.
        poll_seconds: how often to ask.
        waiting: told each time that the claim is kept and the roster is not signed.

    Returns:
        The roster with this client, verified under the authority of the link.

    Raises:
        SecAggError: what `redeem` raises.
    """
    how: dict[str, Any] = {
        "tls": tls,
        "insecure": insecure,
        "minimum_serial": minimum_serial,
        "retry": retry,
        "observer": observer,
    }
    while (roster := await redeem(invitation, identity, **how)) is None:
        waiting()
        await asyncio.sleep(poll_seconds)
    return roster
