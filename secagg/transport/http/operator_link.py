"""A link to the page of operators: made where an operator's key is, which enters no browser.

Behind the address, where no browser sends it to a server, stands a token that is good for looking only. Must not know
what the page shows.
"""

from __future__ import annotations

from typing import Final

from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.transport.connection import CALL_SECONDS, Connection, Metadata
from secagg.transport.gatekeeper import OperatorCaller
from secagg.transport.http.endpoint import HttpEndpoint
from secagg.transport.http.operator_page import PAGE_PATH
from secagg.transport.progress import ParticipationObserver
from secagg.transport.retries import RetryPolicy
from secagg.transport.tls import ClientTls
from secagg.transport.tokens import AUTHORIZATION, BEARER

_OK: Final = 200


async def operator_link(
    address: str,
    *,
    identity: IdentityKey,
    tls: ClientTls | None = None,
    insecure: bool = False,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
) -> str:
    """Log in to look only, and return the link.

    Args:
        address: `https://host:port` of the service over HTTP.
        identity: the operator's key, which the server's configuration lists.
        tls: what to believe and to show.
        insecure: no TLS; on loopback addresses only.
        retry: how long and how often to try again.

    Raises:
        ParameterError: an impossible address, or a server that shows no page.
        ServiceError: the server refuses, or cannot be reached.
    """
    endpoint = HttpEndpoint(address, tls, insecure)
    caller = OperatorCaller(identity.public, reads_only=True)

    async with Connection(endpoint, caller, identity, retry, ParticipationObserver()) as connection:

        async def attempt(metadata: Metadata) -> str:
            status: int = await connection.aggregation.shown(PAGE_PATH, timeout=CALL_SECONDS)
            if status != _OK:
                raise ParameterError(
                    f"{address} shows no page (HTTP {status}); set operator_page = true in [http] of the server's "
                    "configuration, and start it again"
                )
            return dict(metadata)[AUTHORIZATION].removeprefix(BEARER)

        token = await connection.call("Login", attempt)
    return f"{address.rstrip('/')}{PAGE_PATH}#{token}"
