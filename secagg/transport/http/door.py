"""Connections of a server of HTTP: how many there may be, and how long each may take to say something.

A connection is counted when it is accepted, before its handshake, and so is the address that it comes from: unless told
otherwise one may have as many as it leaves free ("dynamic threshold", Choudhury & Hahne 1998), so that neither one nor
a few keep others out. Once somebody has logged in over it, it counts for them, and no more for the address: a cohort
behind a balancer or a NAT finds room as if it came from everywhere. Whoever connects and says nothing, or reads nothing
of what it asked for, keeps no place. The parsing is uvicorn's. Must not know calls.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import Any, Final

from starlette.responses import PlainTextResponse, Response
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from secagg.errors import ParameterError
from secagg.transport.seats import network_of

PLACE: Final = "place"
"""In the state of a connection's requests: its Place."""
_BACKLOG: Final = 1024
_PAUSE_SECONDS: Final = 0.1
_END_SECONDS: Final = 2.0
_MAX_HEAD_BYTES: Final = 1 << 14
"""The longest head of a request: its target and all its headers."""
_MOST_TOLD: Final = 64
"""Addresses at once that are told that they have too many connections; one connection of each."""
_MOST_OF_CALLER: Final = 8
"""Connections that count for whoever logged in and not for the address: more than a client (4) or browser (6) has."""
_MOST_PATH: Final = 80


class Place:
    """Of a connection: counts for its address, and for whoever logs in over it from then on.

    Args:
        counted: how many connections there are of each address, and of each caller.
        where: the address.
        crowd: how many others the address has, where that is too many; calls are refused because of it.
    """

    def __init__(self, counted: Counter[Hashable], where: str, crowd: int) -> None:
        self._counted = counted
        self.where = where
        self._who: Hashable = None
        self.crowd = crowd
        self._count_for(where)

    def admit(self, caller: Hashable) -> None:
        """Somebody has logged in: count for them, unless they have as many already."""
        if self._who == self.where and self._counted[caller] < _MOST_OF_CALLER:
            self._count_for(caller)

    def leave(self) -> None:
        """Count no more, whoever turns out to have been there."""
        self._count_for(None)

    def _count_for(self, who: Hashable) -> None:
        for counted, change in ((self._who, -1), (who, 1)):
            if counted is not None:
                self._counted[counted] += change
                if not self._counted[counted]:
                    del self._counted[counted]
        self._who = who


class Visitor(H11Protocol):
    """One connection: uvicorn's, with a bound on the time for the head of a request, and for each piece of a reply.

    Args:
        config: uvicorn's.
        state: what all connections share.
        seconds: for each.
        place: of this connection.
        left: called once when the connection is gone.
    """

    def __init__(
        self, config: Config, state: ServerState, seconds: float, place: Place, left: Callable[[Place], None]
    ) -> None:
        super().__init__(config=config, server_state=state, app_state={PLACE: place})
        self._seconds = seconds
        self._place = place
        self._left = left
        self._timer: asyncio.TimerHandle | None = None
        self._slow_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._seconds, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._stop_timer()
        self.resume_writing()
        super().connection_lost(exc)
        self._left(self._place)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; those of a head, or of a body that nobody wants any more, may not come for ever."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._seconds, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Say that what came is no request; only hang up behind another reply, or in the middle of it."""
        if self.cycle is not None and self.cycle.response_started:
            self.transport.close()
            return
        super().send_400_response(msg)
        if self.cycle is not None:
            # Whoever reads the body, or has a reply by now, has nobody to give it to.
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Wait for the next request, for which uvicorn has a bound until its first byte."""
        self._stop_timer()
        super().on_response_complete()
        if self._place.crowd:
            self.transport.close()

    def pause_writing(self) -> None:
        """The other side does not read."""
        super().pause_writing()
        self._slow_reader = self.loop.call_later(self._seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        if self._slow_reader is not None:
            self._slow_reader.cancel()
            self._slow_reader = None
        super().resume_writing()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Door:
    """Lets connections in.

    Args:
        app: answers requests.
        most: connections at once, those in their handshake included.
        per_address: of them, those from one IPv4 address or /64 of IPv6 over which nobody has logged in; None for as
            many as it leaves free.
        stall_seconds: for a handshake, the head of a request, and each piece of a reply.
        idle_seconds: between two requests.
        headers: of every reply.
        tls: what is shown to whoever connects from now on; None without TLS.
    """

    def __init__(
        self,
        app: Any,
        *,
        most: int,
        per_address: int | None = None,
        stall_seconds: float,
        idle_seconds: float,
        headers: Sequence[tuple[bytes, bytes]],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.tls = tls
        self._most = most
        self._per_address = per_address
        self._counted: Counter[Hashable] = Counter()
        self._told: set[str] = set()
        self._stall_seconds = stall_seconds
        self._config = Config(
            _unambiguous(app),
            http=H11Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            # Whoever reaches the port could fill a disk with what is wrong about requests.
            log_level="error",
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=max(1, round(idle_seconds)),
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        )
        self._config.load()
        self._state = ServerState()
        self._state.default_headers = list(headers)
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._greeting: set[asyncio.Task[None]] = set()
        self._open = 0

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return self._open

    async def listen(self, host: str, port: int) -> int:
        """Listen on all addresses of a host; returns the port, which is another one where 0 is given.

        Raises:
            ParameterError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, kind, protocol, _, address in dict.fromkeys(found):
                listening = socket.socket(family, kind, protocol)
                self._sockets.append(listening)
                listening.setblocking(False)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.bind((address[0], port, *address[2:]))
                listening.listen(_BACKLOG)
                port = listening.getsockname()[1]
        except OSError as error:
            self._close_sockets()
            raise ParameterError(
                f"{host}:{port} cannot be listened on: {error.strerror}; give a free port of this machine"
            ) from error
        self._accepting = [loop.create_task(self._accept(each), name="secagg HTTP") for each in self._sockets]
        return port

    async def close(self, grace: float) -> None:
        """Let nobody in any more, and end; requests in progress have `grace` seconds."""
        for task in (*self._accepting, *self._greeting):
            task.cancel()
        self._close_sockets()
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=grace)
        # Who is hung up on ends by itself; a call that is cancelled would be a defect in uvicorn's log.
        for connection in tuple(self._state.connections):
            # CPython before 3.11.5 forgets what it has closed twice over TLS, and says so in this way.
            with suppress(AttributeError):
                connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=_END_SECONDS)
        for task in tuple(self._state.tasks):
            task.cancel()
        remaining = {*self._accepting, *self._greeting, *self._state.tasks}
        if remaining:
            await asyncio.wait(remaining)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError:
                # Who connects is gone already, or files are scarce: they will be there again.
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            where = network_of(peer[0])
            free, there = self._most - self._open, self._counted[where]
            crowd = 0 if there < (self._per_address or free) else there
            # A few are let in all the same, to be told why: whoever is only closed on takes it for a broken line.
            untold = where in self._told or len(self._told) >= min(_MOST_TOLD, free // 4)
            if not free or (crowd and untold):
                accepted.close()
                continue
            if crowd:
                self._told.add(where)
            self._open += 1
            task = loop.create_task(self._greet(accepted, Place(self._counted, where, crowd)))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, accepted: socket.socket, place: Place) -> None:
        """Make a connection of what was accepted; the handshake of TLS has its time."""
        handshake = None if self.tls is None else self._stall_seconds
        made = False

        def visitor() -> Visitor:
            return Visitor(self._config, self._state, self._stall_seconds, place, self._leave)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                visitor, accepted, ssl=self.tls, ssl_handshake_timeout=handshake
            )
            made = True
        except OSError:
            # No TLS, another version of it, or gone in the middle: nobody of ours.
            pass
        finally:
            if not made:
                accepted.close()
                self._leave(place)

    def _leave(self, place: Place) -> None:
        self._open -= 1
        place.leave()
        if place.crowd:
            self._told.discard(place.where)

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets.clear()


def _unambiguous(app: Any) -> Any:
    """Take no request that a proxy might have seen another way: one that says twice where it ends, and so another next
    request, or one whose path is written in signs, and so another path."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        names = {name for name, _ in scope["headers"]}
        path = scope["raw_path"]
        if {b"content-length", b"transfer-encoding"} <= names:
            await Response(status_code=400, headers={"connection": "close"})(scope, receive, send)
        elif b"%" in path:
            shown = path[:_MOST_PATH].decode("ascii", "backslashreplace")
            said = f"the path {shown!r} has a percent sign, and no path here does; write it out, as docs/http.md has it"
            await PlainTextResponse(said, 400, {"connection": "close"})(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded
