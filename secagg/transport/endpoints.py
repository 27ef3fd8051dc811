"""Which transport an address is for."""

from __future__ import annotations

import re
from typing import Final

from secagg.transport.endpoint import Endpoint
from secagg.transport.tls import ClientTls

# `https://` with a slash too few is none of gRPC's either; a host may be called so, of which only a port follows.
_HTTP: Final = re.compile(r".*://|https?:(?![0-9]+$)", re.IGNORECASE)


def endpoint_of(server: str, tls: ClientTls | None, insecure: bool) -> Endpoint:
    """Return the server of an address.

    Args:
        server: `host:port` for gRPC; `https://host` or `https://host:port` for HTTP.
        tls: what to believe and to show; None takes the defaults.
        insecure: no TLS, on loopback addresses only.

    Raises:
        ParameterError: an impossible address, or plaintext beyond loopback.
        MissingExtraError: the transport's extra is not installed.
    """
    if _HTTP.match(server):
        from secagg.transport.http.endpoint import HttpEndpoint

        return HttpEndpoint(server, tls, insecure)
    from secagg.transport.grpc.endpoint import GrpcEndpoint

    return GrpcEndpoint(server, tls, insecure)
