"""Stays with a server between sessions: one connection, a login of its own, and word of each session that is open.

Whatever the server says here is names. Each session is held against the client's own policy like one that was named by
hand, so that a server which lies can waste this client's time and nothing else. How often the client takes part is the
server's choice, all the same: who gives the same data to each session bounds that in the policy (`sums_per_context`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.executor import INLINE, Executor
from secagg.parameters import ClientId, check_client_id
from secagg.parameters.policy import ClientPolicy
from secagg.protocol.roster import Roster
from secagg.store.base import check_session_name
from secagg.transport import service_pb2 as pb
from secagg.transport.client import Participation, take_part
from secagg.transport.connection import CALL_SECONDS, Connection, Metadata
from secagg.transport.endpoints import endpoint_of
from secagg.transport.errors import ServiceError
from secagg.transport.gatekeeper import ClientCaller, MemberCaller
from secagg.transport.limits import MOST_SEEN
from secagg.transport.participant import Inputs
from secagg.transport.progress import ParticipationObserver
from secagg.transport.retries import RetryPolicy
from secagg.transport.tls import ClientTls

_POLL_SECONDS: Final = 30.0
_SHORTEST_POLL_SECONDS: Final = 0.5

Policy = ClientPolicy | Callable[[str], ClientPolicy]
"""The floor under every offer, or a function that says it for a session of this name."""


class Attendance:
    """A client that waits for sessions; `async with` opens and closes its connection, `async for` gives sessions.

    A session that runs when the client comes is given, too: with `state`, the client goes on in it.

        async with Attendance(server, client_id=17, identity=key, policy=policy) as attendance:
            async for session in attendance:
                await session.participate(inputs)

    Args:
        server: `host:port` for gRPC; `https://host` or `https://host:port` for HTTP.
        client_id: this client, as the server's roster has it.
        identity: its Ed25519 key. None where the server takes anonymous clients.
        roster, policy, tls, insecure, state, retry, observer, executor, strict: as `participate` takes them; the policy
            may be a function that returns the one for a session, by its name.

    Attributes:
        client: its id.

    Raises:
        ParameterError: an impossible id or address, or plaintext beyond loopback.

    Waiting raises UnreachableError when the server could not be reached for as long as `retry` allows, and ServiceError
    when it refuses this client or names what can be no session.
    """

    def __init__(
        self,
        server: str,
        *,
        client_id: ClientId,
        identity: IdentityKey | None = None,
        roster: Roster | None = None,
        policy: Policy | None = None,
        tls: ClientTls | None = None,
        insecure: bool = False,
        state: Path | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        observer: ParticipationObserver | None = None,
        executor: Executor = INLINE,
        strict: bool = False,
    ) -> None:
        self.client = check_client_id(client_id)
        self._identity = identity
        self._roster = roster
        self._policy = policy
        self._state = state
        self._observer = observer or ParticipationObserver()
        self._executor = executor
        self._strict = strict
        endpoint = endpoint_of(server, tls, insecure)
        self._connection = Connection(endpoint, MemberCaller(self.client), identity, retry, self._observer)
        self._seen: tuple[str, ...] = ()
        self._waiting: deque[str] = deque()

    async def __aenter__(self) -> Attendance:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, traceback)

    def __aiter__(self) -> Attendance:
        return self

    async def __anext__(self) -> OpenSession:
        """Wait for the next session that is open to this client."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        while not self._waiting:
            begun = loop.time()
            named = await self._ask()
            self._waiting.extend(name for name in named if name not in self._seen)
            self._seen = named
            if not self._waiting:
                self._observer.waiting("a session", loop.time() - since)
                # A server that does not wait must not be asked in a tight loop.
                await asyncio.sleep(max(0.0, begun + _SHORTEST_POLL_SECONDS - loop.time()))
        return OpenSession(self, self._waiting.popleft())

    async def take_part(self, session: str, inputs: Inputs, weight: int | None, policy: Policy | None) -> Participation:
        """Take part in a session over the same connection; see `OpenSession.participate`.

        Args:
            session: its name, as the server said it.
            weight: this client's; None in a session without weights.

        Returns:
            What `participate` returns.
        """
        floor = self._policy if policy is None else policy
        caller = ClientCaller(session, self.client)
        return await take_part(
            self._connection.beside(caller),
            caller,
            inputs,
            identity=self._identity,
            weight=weight,
            roster=self._roster,
            policy=floor(session) if callable(floor) else floor,
            state=self._state,
            observer=self._observer,
            executor=self._executor,
            strict=self._strict,
        )

    async def _ask(self) -> tuple[str, ...]:
        """All sessions that are open to this client, as soon as there is another one; after a while in any case."""
        seconds = _POLL_SECONDS

        async def attempt(metadata: Metadata) -> pb.NextSessionReply:
            nonlocal seconds
            asked = pb.NextSessionRequest(seen=self._seen, wait_milliseconds=int(seconds * 1000))
            seconds = 0.0  # See `Connection.call`: another attempt does not wait.
            reply: pb.NextSessionReply = await self._connection.aggregation.NextSession(
                asked, metadata=metadata, timeout=_POLL_SECONDS + CALL_SECONDS
            )
            return reply

        reply = await self._connection.call("NextSession", attempt, waits=True)
        if len(reply.sessions) > MOST_SEEN:
            raise ServiceError(f"the server names {len(reply.sessions)} open sessions, above {MOST_SEEN}")
        try:
            return tuple(dict.fromkeys(check_session_name(name) for name in reply.sessions))
        except ParameterError as error:
            raise ServiceError(f"the server names an open session that can be none: {error}") from None


class OpenSession:
    """A session that the server says is open to this client; made by `Attendance`.

    Attributes:
        name: its name on the server.
    """

    def __init__(self, attendance: Attendance, name: str) -> None:
        self.name = name
        self._attendance = attendance

    async def participate(
        self, inputs: Inputs, *, weight: int | None = None, policy: Policy | None = None
    ) -> Participation:
        """Take part: answer every request, and return when the session has completed.

        Args:
            inputs: this client's vectors, or a function of the accepted parameters that returns them. The context in
                the parameters says what the session is about; the function may refuse by raising ParameterError.
            weight: as `participate` takes it.
            policy: the floor under this session's offer, in the place of the attendance's.

        Raises:
            SecAggError: what `participate` raises. The attendance goes on.
        """
        return await self._attendance.take_part(self.name, inputs, weight, policy)
