"""Where a server is, and what a transport has to do to reach it; the seam under a client's connection.

Must not know what calls mean, nor who makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from secagg.transport import service_pb2 as pb
from secagg.transport.refusals import refusal_of

# Sentences of C-ares and of the resolvers of Linux, macOS and Windows.
_UNRESOLVED: Final = (
    *("address lookup failed", "DNS resolution failed", "name resolution", "Name or service not known"),
    *("No address associated with hostname", "nodename nor servname", "getaddrinfo failed"),
)


def hint_of_name(said: str) -> str:
    """Return what to do where a failure says that a server's name has no address; "" for all others."""
    if any(sentence in said for sentence in _UNRESOLVED):
        return "; its name has no address here: check its spelling, and whether this machine resolves names"
    return ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt of a call failed.

    Attributes:
        code: the transport's name of it, such as "PERMISSION_DENIED".
        said: the server's sentence, or that of whatever broke.
        detail: what the server said for programs, or None when it was no server of this service that said it.
        again: whether the same call may succeed later.
        certificate: whether TLS on this side refused what the server showed.
    """

    code: str
    said: str
    detail: pb.ErrorDetail | None
    again: bool
    certificate: bool = False

    @property
    def sentence(self) -> str:
        """For people, with the name of the refusal, by which the errors reference has it."""
        refusal = refusal_of(self.detail)
        name = "" if refusal is None else f" {refusal.value}"
        return f"{self.code}{name}: {self.said or 'no reason given'}"


class Endpoint(Protocol):
    """A server, by one transport."""

    @property
    def address(self) -> str:
        """As it was given."""

    @property
    def server_name(self) -> str:
        """The name that is signed in a login."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What calls raise that fail."""

    def open(self) -> Any:
        """Open a channel, which is closed by awaiting its `close()`; needs a running event loop."""

    def stubs(self, channel: Any) -> tuple[Any, Any]:
        """Return the calls of clients and those of operators: a method for each, which takes a request, `metadata` and
        `timeout`, in seconds, and is awaited for the reply."""

    def failure(self, error: BaseException) -> Failure | None:
        """Return what an error of a call says, or None when it is none of `errors`."""

    def hint(self, said: str) -> str:
        """What a failure that looks like a broken line may be, as the end of a sentence."""
