"""Bounds of the network service that are checked before anything is allocated.

What a session, a cohort or a message may be at most is the host's business; here stand calls, connections and time.
Must not know which transport keeps them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real, as_whole

CHUNK_BYTES: Final = 1 << 18
"""Bytes of a piece of an upload or a result."""
UNARY_ANSWER_BYTES: Final = 1 << 18
"""The longest answer that travels in one piece; longer ones are uploaded."""
MAX_CHUNK_BYTES: Final = 1 << 20
MAX_OFFER_BYTES: Final = MAX_CHUNK_BYTES - (1 << 10)
"""The longest offer of an operator: a cohort of 130,000. A caller without a login must not fill more memory."""
SERVER_MESSAGE_BYTES: Final = MAX_CHUNK_BYTES + (1 << 10)
"""The longest message that a server takes in."""
CLIENT_MESSAGE_BYTES: Final = 1 << 26
"""The longest offer and request: cohorts of 2^17 with a signature each, or an offer of many vectors."""
SHA256_BYTES: Final = 32
MOST_SEEN: Final = 1024
"""How many sessions a member is told of, and says that it was told of."""
_FEWEST_CALLS: Final = 3
OWN_FILES: Final = 128
"""Files of a server that are no connections: the store, uploads being written and read, logs, worker processes."""


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Bounds of one server process.

    Attributes:
        calls: calls at once, waiting ones included; each client of a running session keeps one open.
        calls_per_connection: calls at once over one connection.
        connections: connections at once, those that have not said anything yet included; fewer where the process may
            not open as many files.
        idle_seconds: how long a connection may be open without a call.
        age_seconds: after how long a connection is ended once its calls are over, so that clients spread anew over the
            servers behind a balancer; what still goes on after as long again is cut off.
        ping_seconds: how often the other end of a connection is asked whether it is there, with calls or without; one
            that does not say so for as long again is gone.
        calls_per_caller: calls at once of one client of a session, or of one operator, over all its connections.
        uploads: masked inputs that are taken in at once, shared out among the sessions that want to; others wait.
        uploads_of_session: uploads of each session besides, whatever the other sessions do.
        poll_seconds: how long a client may wait for a request in one call.
        stall_seconds: how long an upload may pause, and how long a connection's handshake, or the one request of any
            other call, may take to come.
        resume_seconds: how long what came of an upload over HTTP is kept for its next part.
        probe_seconds: how often the store is asked whether it can be written; health checks say so.
        upload_bytes_per_second: how fast an upload must be, on average, once `stall_seconds` have passed; faster where
            it would otherwise miss the end of its round.
        nonce_seconds: how long a login may take.
        token_seconds: how long a login is valid.
        reading_token_seconds: how long one is that is for looking only, such as a page in a browser has.

    Raises:
        ParameterError: a bound that is not positive, or fewer than three calls.
    """

    calls: int = 16_384
    calls_per_connection: int = 16
    connections: int = 1 << 20
    idle_seconds: float = 600.0
    age_seconds: float = 3600.0
    ping_seconds: float = 30.0
    calls_per_caller: int = 32
    uploads: int = 32
    uploads_of_session: int = 2
    poll_seconds: float = 60.0
    stall_seconds: float = 30.0
    resume_seconds: float = 300.0
    probe_seconds: float = 3.0
    upload_bytes_per_second: float = 1024.0
    nonce_seconds: float = 60.0
    token_seconds: float = 24 * 3600.0
    reading_token_seconds: float = 8 * 3600.0

    @property
    def calls_of_strangers(self) -> int:
        """Calls at once of all callers without a login: a quarter, for logins and health checks."""
        return max(1, self.calls // 4)

    @property
    def watching_strangers(self) -> int:
        """Calls at once, of all callers without a login, that may stay open: for `Health.Watch` and reflection."""
        return max(1, self.calls // 64)

    def __post_init__(self) -> None:
        for bound in fields(self):
            value = getattr(self, bound.name)
            real = as_real(value)
            if real is None or not real > 0:
                raise ParameterError(f"limit {bound.name} is {value!r}; give a positive number")
            number = as_whole(value) if bound.type == "int" else real
            if number is None:
                raise ParameterError(f"limit {bound.name} is {value!r}; give a whole number")
            object.__setattr__(self, bound.name, number)
        if self.calls < _FEWEST_CALLS:
            raise ParameterError(
                f"limit calls is {self.calls}; give at least {_FEWEST_CALLS}, for a login, a health check and a client"
            )


HEALTH_LIMITS: Final = ServiceLimits(calls=1024, calls_per_connection=64, connections=64, idle_seconds=60.0)
"""Bounds of a port for health checks alone: 256 checks at once, 16 of them watching, half of each from one address."""


def open_files() -> int | None:
    """Return how many files this process may have open, connections among them; None where nothing says so."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def connections_of(limits: ServiceLimits, elsewhere: int = 0) -> int:
    """Return how many connections a server may have.

    Without a bound whoever opens many, and need not even speak TLS, takes the files that the store needs for the
    uploads of others.

    Args:
        limits: of this server.
        elsewhere: connections that other servers of this process may have.
    """
    files = open_files()
    return limits.connections if files is None else min(limits.connections, max(1, files - OWN_FILES - elsewhere))
