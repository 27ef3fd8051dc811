"""A server that is reached by gRPC. Must not know what calls mean, nor who makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc

from secagg.errors import ParameterError
from secagg.transport.endpoint import Failure, hint_of_name
from secagg.transport.grpc.credentials import channel_credentials
from secagg.transport.grpc.forks import UNFORKED
from secagg.transport.grpc.options import channel_options
from secagg.transport.grpc.service_pb2_grpc import AdministrationStub, SecureAggregationStub
from secagg.transport.grpc.status import about_certificate, read_detail, worth_another
from secagg.transport.tls import ClientTls, check_security, is_literal, is_loopback, split_address


@dataclass(frozen=True, slots=True)
class GrpcEndpoint:
    """Where a server is and how to talk to it.

    Attributes:
        address: `host:port`.
        tls: what to believe and to show; None takes the defaults.
        insecure: no TLS, on loopback addresses only.

    Raises:
        ParameterError: an impossible address, or plaintext beyond loopback.
    """

    address: str
    tls: ClientTls | None
    insecure: bool

    def __post_init__(self) -> None:
        if "://" in self.address:
            raise ParameterError(
                f"{self.address} is an address of HTTP, over which clients call; operators call over gRPC: give "
                "host:port of [listen]"
            )
        if self.tls is None and not self.insecure:
            object.__setattr__(self, "tls", ClientTls())
        check_security(self.address, self.tls, self.insecure)

    @property
    def server_name(self) -> str:
        """The name that is signed in a login."""
        override = None if self.tls is None else self.tls.server_name
        return override or split_address(self.address)[0]

    def open(self) -> grpc.aio.Channel:
        """Open a channel; needs a running event loop.

        Raises:
            ParameterError: this process was forked from one that had used gRPC.
        """
        UNFORKED.require()
        proxy = not is_loopback(split_address(self.address)[0])
        override = None if self.tls is None else self.tls.server_name
        options = channel_options(server_name=override, proxy=proxy)
        if self.tls is None:
            return grpc.aio.insecure_channel(self.address, options=options)
        return grpc.aio.secure_channel(self.address, channel_credentials(self.tls), options=options)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What calls raise that fail."""
        return (grpc.aio.AioRpcError,)

    def stubs(self, channel: grpc.aio.Channel) -> tuple[Any, Any]:
        """Return the calls of clients and those of operators; the generated stubs have no types."""
        clients = SecureAggregationStub(channel)  # type: ignore[no-untyped-call]
        return clients, AdministrationStub(channel)  # type: ignore[no-untyped-call]

    def failure(self, error: BaseException) -> Failure | None:
        """Return what gRPC or the server says about a call that failed."""
        if not isinstance(error, grpc.aio.AioRpcError):
            return None
        said, again = error.details() or "", worth_another(error)
        return Failure(error.code().name, said, read_detail(error), again, about_certificate(error))

    def hint(self, said: str) -> str:
        """What a failure that looks like a broken line may be: one side speaks TLS and the other does not."""
        if self.tls is None and "Socket closed" in said:
            return (
                "; a server with TLS closes a plain connection: give it TLS (no --plaintext, or tls= for insecure=True)"
            )
        if self.tls is not None and "WRONG_VERSION_NUMBER" in said:
            return "; what listens there speaks no TLS: check the port, or whether the server was started without TLS"
        if "ALPN" in said:
            return (
                "; what listens there speaks no gRPC: check the port, or give https://host:port if it is that of [http]"
            )
        if "Connection refused" in said:
            host = split_address(self.address)[0]
            if is_literal(host):
                return "; nothing listens there: check host and port, and whether the server runs"
            return (
                f"; nothing listens there, which is the last address of {host} that was tried: check host and port, "
                "and "
                "whether the server runs and has an address at which it can be reached"
            )
        return hint_of_name(said)
