"""TLS as gRPC takes it; certificates of a server change while it runs. Must not know sessions, logins or calls."""

from __future__ import annotations

from typing import Any

import grpc

from secagg.errors import ParameterError
from secagg.transport.tls import ClientTls, ServerTls


class Shown:
    """What a server shows to those who connect from now on; connections that are there go on.

    Args:
        tls: what it shows first.
    """

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._changed = False

    def change(self, tls: ServerTls) -> None:
        """Show this to whoever connects from now on.

        Raises:
            ParameterError: clients are asked for certificates now and were not before, or the other way round.
        """
        if (tls.client_authority is None) != (self._tls.client_authority is None):
            raise ParameterError("whether clients need a TLS certificate (listen.client_ca) takes a restart")
        self._tls, self._changed = tls, True

    def credentials(self) -> grpc.ServerCredentials:
        """Return gRPC's form."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._next, require_client_authentication=self._tls.client_authority is not None
        )

    def _next(self) -> Any:
        """Asked by gRPC at each handshake, in a thread of its own; None for no change."""
        if not self._changed:
            return None
        self._changed = False
        return self._configuration()

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        tls = self._tls
        return grpc.ssl_server_certificate_configuration(
            [(tls.private_key, tls.certificate_chain)], root_certificates=tls.client_authority
        )


def channel_credentials(tls: ClientTls) -> grpc.ChannelCredentials:
    """Return gRPC's form of what a client believes and shows."""
    return grpc.ssl_channel_credentials(tls.authority, tls.private_key, tls.certificate_chain)
