"""The sessions of a host as callers find them: by name, by tenant, and by who may take part.

Must not know how sessions are made, taken up and removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

from secagg.hosting.errors import HostUnavailableError, UnknownSessionError, unknown_session
from secagg.hosting.listing import Place, page
from secagg.hosting.quotas import FetchRates
from secagg.hosting.replies import SessionStatus, unreadable
from secagg.hosting.session import HostedSession
from secagg.hosting.tools import Tools
from secagg.parameters import ClientId

_FIRST: Final = Place()


class SessionIndex:
    """The part of a host that is asked for sessions.

    Args:
        tools: of the host.
        name: of a session; of any form.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._sessions: dict[str, HostedSession] = {}
        self._damaged: dict[str, str] = {}
        self._keys: Mapping[ClientId, bytes] | None = None
        self._running = False
        self._news = asyncio.Event()
        self._polls = FetchRates(tools.quotas.client_fetches_per_minute)

    def has(self, name: str) -> bool:
        """Whether a session of this name is hosted, ended or not."""
        return name in self._sessions

    def session(self, name: str) -> HostedSession:
        """Return a session by its name.

        Raises:
            UnknownSessionError: there is none, or it is damaged.
        """
        if name in self._damaged:
            raise UnknownSessionError(self._damaged[name])
        if name not in self._sessions:
            raise unknown_session(name)
        return self._sessions[name]

    def sessions(self) -> Sequence[HostedSession]:
        """All sessions, ended ones included, in the order of their creation, but for those in `damaged`."""
        return tuple(self._sessions.values())

    @property
    def damaged(self) -> Mapping[str, str]:
        """Sessions that cannot be taken up: name to what is wrong, in one sentence. Their names stay taken."""
        return self._damaged

    def status(self, name: str) -> SessionStatus:
        """A session as its operator sees it, one in `damaged`, too.

        Raises:
            UnknownSessionError: there is none.
        """
        if name in self._damaged:
            return unreadable(name, self._damaged[name])
        return self.session(name).status()

    def statuses(
        self,
        tenant: str,
        *,
        after: Place = _FIRST,
        most: int | None = None,
        states: Collection[str] = (),
        newest_first: bool = False,
    ) -> Sequence[SessionStatus]:
        """The sessions of a tenant in the order of their creation; those in `damaged`, of which nobody knows whose they
        are, are shown to the tenant "".

        Args:
            tenant: whose.
            after: the place of the last one that was shown.
            most: how many at most; None for all.
            states: only sessions in one of these (`secagg.hosting.listing.STATES`); empty for all.
            newest_first: the latest creation first.
        """
        own = [
            (Place(session.record.created_at, session.name), session.status)
            for session in self._sessions.values()
            if session.record.tenant == tenant
        ]
        lost = [(Place(0.0, name), partial(self.status, name)) for name in self._damaged] if not tenant else []
        return page([*lost, *own], after, most, states, newest_first)

    async def next_sessions(
        self, client: ClientId, key: bytes | None, seen: Collection[str], wait: float
    ) -> Sequence[str]:
        """Return all sessions that run with a client, as soon as there is one that it has not seen.

        Args:
            client: who asks.
            key: its 32-byte Ed25519 key; sessions that have another one of it are left out.
            seen: what it was told.
            wait: seconds to wait for another one; negative is 0.

        Raises:
            QuotaExceededError: the client fetches again and again what it has.
            HostUnavailableError: the host stops; ask again later.
        """
        clock = self._tools.clock
        until = clock.now() + max(0.0, wait)
        while True:
            news = self._news
            if not self._running:
                raise HostUnavailableError("the host does not run; come again later")
            found = [session.name for session in self._sessions.values() if session.open_to(client, key)]
            if not set(found) <= set(seen):
                self._polls.take(client, clock.now())
                return found
            if clock.now() >= until:
                return found
            await clock.wait(news, until)

    def is_revoked(self, session: HostedSession, client: ClientId) -> bool:
        """Whether a client's key in a session is known not to be valid any more.

        Args:
            session: of this host.
            client: of its cohort.
        """
        key = session.roster.get(client)
        return self._keys is not None and key is not None and self._keys.get(client) != key

    def _tell_of_sessions(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
