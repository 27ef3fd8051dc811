"""The handlers of methods: how a server finds them, and what an interceptor makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc


class ByName:
    """A server to which services are added by the names of their methods alone.

    gRPC waits for the next call of each method that is registered besides, and for every call goes through what it
    waits for: some thirty methods, most of them an operator's.

    Args:
        server: finds the handler of a method when a call comes.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Add the methods of a service."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Register nothing."""


class Handlers:
    """Remembers what was made of the handler of each method, which is another one where an interceptor inside is free
    to choose: of those the last.

    Args:
        make: what to make of a handler.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._made: dict[str, tuple[Any, Any]] = {}

    def of(self, method: str, handler: Any) -> Any:
        """Return what is made of this handler of a method."""
        known = self._made.get(method)
        if known is None or known[0] is not handler:
            known = self._made[method] = handler, self._make(handler)
        return known[1]
