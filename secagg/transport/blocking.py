"""`participate` for programs without an event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from secagg.crypto.signing import IdentityKey
from secagg.errors import LocalProtocolError
from secagg.executor import INLINE, Executor
from secagg.parameters import ClientId
from secagg.parameters.policy import ClientPolicy
from secagg.protocol.roster import Roster
from secagg.transport.client import Participation, participate
from secagg.transport.errors import UnreachableError
from secagg.transport.participant import Inputs
from secagg.transport.progress import ParticipationObserver
from secagg.transport.retries import RetryPolicy
from secagg.transport.tls import ClientTls


def participate_blocking(
    server: str,
    inputs: Inputs,
    *,
    session: str,
    client_id: ClientId,
    identity: IdentityKey | None = None,
    weight: int | None = None,
    roster: Roster | None = None,
    policy: ClientPolicy | None = None,
    tls: ClientTls | None = None,
    insecure: bool = False,
    state: Path | None = None,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    observer: ParticipationObserver | None = None,
    executor: Executor = INLINE,
    strict: bool = False,
    timeout: float | None = None,
) -> Participation:
    """Take part in one session and return when it has completed; see `participate` for the arguments.

    Args:
        timeout: seconds after which this client leaves; None waits for the session's end.

    Raises:
        LocalProtocolError: an event loop runs in this thread; await `participate` there.
        UnreachableError: `timeout` has passed. With `state`, the next call goes on.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise LocalProtocolError("an event loop runs in this thread; await participate(...) instead")

    async def bounded() -> Participation:
        async with asyncio.timeout(timeout):
            return await participate(
                server,
                inputs,
                session=session,
                client_id=client_id,
                identity=identity,
                weight=weight,
                roster=roster,
                policy=policy,
                tls=tls,
                insecure=insecure,
                state=state,
                retry=retry,
                observer=observer,
                executor=executor,
                strict=strict,
            )

    try:
        return asyncio.run(bounded())
    except TimeoutError:
        raise UnreachableError(f"session {session!r} did not end within {timeout} s; wait longer") from None
