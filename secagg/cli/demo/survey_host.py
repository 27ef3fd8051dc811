"""The host of `secagg demo --web`: page, service, invitations, one session, and what is published of it.

Puts them together in one process, whose memory is all that is kept. Must not know how any of them works.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final

import numpy as np

import secagg
from secagg.cli.demo.survey_crowd import Crowd
from secagg.cli.demo.survey_pages import PageServer
from secagg.cli.demo.survey_question import VECTOR, Question, find_page
from secagg.hosting import (
    Departure,
    HostedSession,
    HostObserver,
    HostReason,
    RoundSchedule,
    SessionHost,
    read_result,
)
from secagg.identity.claims import Claim
from secagg.identity.directory import Directory
from secagg.identity.enrolment import Enrolment
from secagg.identity.invitations import Invitations, invite
from secagg.identity.roster import SignedRoster
from secagg.store.memory import MemoryStore
from secagg.transport.admission import Admission
from secagg.transport.enrolments import Enrolments
from secagg.transport.http import HttpServer
from secagg.transport.limits import ServiceLimits
from secagg.transport.service import Service
from secagg.transport.waits import Waits

COHORT: Final = 20
MOST_PEOPLE: Final = 10
_ROUND_SECONDS: Final = 120.0
_INVITED_FOR: Final = timedelta(hours=12)


class SurveyHost:
    """Everything that a survey needs, on loopback: `async with SurveyHost(...) as host: await host.run()`.

    Args:
        people: how many real people are invited, 1 .. 10; the others of 20 participants are simulated.
        port: of the page; 0 chooses one.
        say: told what happens, in sentences.

    Attributes:
        question: what is asked.
        crowd: the simulated participants.
        session: its name.
        page: serves the page.
        links: one for each of the people, once it was started.
        server: the service's address, once it was started.
        host: has the session, once it was started.
        service: what is served over HTTP, once it was started.
        desk: takes the claims, once it was started.
        published: what result.json is now.

    Raises:
        ParameterError: another number of people, or a port that cannot be listened on.
    """

    def __init__(self, people: int, port: int, say: Callable[[str], None]) -> None:
        if not 1 <= people <= MOST_PEOPLE:
            raise secagg.ParameterError(f"--people {people} is outside 1 .. {MOST_PEOPLE}; give a number inside")
        directory = find_page()
        self.question = Question.read(directory)
        self.session = f"survey-{secrets.token_hex(4)}"
        self.page = PageServer(directory, port, lambda: self.published)
        self._people = list(range(1, people + 1))
        self.crowd = Crowd(self.question, list(range(people + 1, COHORT + 1)))
        self._say = say
        self.published: dict[str, Any] = {"state": "open", "session": self.session}
        self._events = _Events(say)
        self._authority = secagg.IdentityKey.generate()
        self._roster = Directory({}, None, None)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> SurveyHost:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.page)
            host = await stack.enter_async_context(SessionHost(MemoryStore(), observer=self._events))
            service = self.service = self._service(host)
            claims = Path(stack.enter_context(TemporaryDirectory(prefix="secagg-survey-")))
            server = await stack.enter_async_context(
                HttpServer(service, "127.0.0.1:0", insecure=True, origins=[self.page.origin])
            )
            self.host = host
            self.server = self.page.service = f"http://127.0.0.1:{server.port}"
            self.desk = self._invite(claims)
            service.enrolments.prepared([self.desk])()
            self._stack = stack.pop_all()
        return self

    def _service(self, host: SessionHost) -> Service:
        admission = Admission(host, {}, lambda: self._roster.keys, anonymous=False)
        enrolments = Enrolments([], lambda: self._roster)
        return Service(host, admission, {"127.0.0.1"}, ServiceLimits(), Waits(), enrolments)

    def _invite(self, claims: Path) -> _Desk:
        """Make the links; returns what takes claims."""
        now = datetime.now(UTC)
        invitations, each = invite(
            self.session,
            self._people,
            server=self.server,
            issued=now,
            expires=now + _INVITED_FOR,
            authority=self._authority,
        )
        self.links = tuple(invitation.link(f"{self.page.origin}/") for invitation in each.values())
        return _Desk(invitations, claims)

    async def _claimed(self) -> Mapping[int, bytes]:
        """Wait for the claims of all people; returns their keys."""
        while (came := await asyncio.to_thread(self.desk.came)).missing:
            self._say(f"{len(came.keys)} of {len(self._people)} people have come.")
            await self.desk.another()
        return came.keys

    def enrol(self, keys: Mapping[int, bytes]) -> None:
        """Close the enrolment: sign the roster, which everybody in it is given from now on."""
        now = datetime.now(UTC)
        signed = SignedRoster.sign(keys, serial=1, issued=now, expires=now + _INVITED_FOR, authority=self._authority)
        self._roster = Directory(signed.keys, signed.serial, signed.expires, signed.authority, signed.encode())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(self) -> dict[str, Any]:
        """Wait for the people, hold the session, and publish its result; returns what is published."""
        keys = dict(sorted({**await self._claimed(), **self.crowd.public_keys}.items()))
        # The session is there before the roster that lets anybody in.
        session = await self.host.create(
            self.session,
            self.question.parameters(list(keys)),
            roster=keys,
            schedule=RoundSchedule.uniform(_ROUND_SECONDS),
        )
        self.enrol(keys)
        self.published = self.published | {"state": "going"}
        crowd = asyncio.create_task(self.crowd.take_part(self.server, self.session, keys))
        seeing_off = asyncio.create_task(self._see_off(session))
        try:
            await session.wait_ended()
            await crowd
        finally:
            crowd.cancel()
            seeing_off.cancel()
        self.published = self.published | await self._result(session)
        return self.published

    async def _see_off(self, session: HostedSession) -> None:
        """Have the session go on without those who leave, instead of waiting for them until the round is over."""
        for round_, client in self.crowd.leaving.items():
            await self._events.opened[round_].wait()
            self._say(f"{round_.value.replace('_', ' ')}: participant {client}, a simulated one, has left.")
            await session.drop(client, HostReason.REMOVED_BY_OPERATOR, f"client {client} has left")

    async def _result(self, session: HostedSession) -> dict[str, Any]:
        left = {str(client): round_.value for client, round_ in sorted(self._events.left.items())}
        status = session.status()
        if not status.result_ready:
            return {"state": "failed", "why": status.detail, "left": left}
        released = read_result(await session.result())
        return {
            "state": "done",
            "asked": session.parameters.clients,
            "answered": len(released.contributors),
            "contributors": list(released.contributors),
            "left": left,
            **self.question.said(released.vectors[VECTOR]),
        }

    def is_exact(self, published: Mapping[str, Any]) -> bool:
        """Whether what is published is the sum of the simulated contributors' inputs and one answer of each other."""
        rest = np.array([published["as_given"], published["randomized"]])
        others = set(published["contributors"])
        for client, array in self.crowd.inputs.items():
            if client in others:
                others.remove(client)
                rest -= array
        return bool((rest >= 0).all() and rest.sum() == len(others))


class _Desk(Enrolment):
    """Takes claims, and says that another one came."""

    def __init__(self, invitations: Invitations, claims: Path) -> None:
        super().__init__(invitations, claims)
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()

    def receive(self, claim: Claim, at: datetime, enrolled: Mapping[int, bytes]) -> None:
        """As that of `Enrolment`, in any thread."""
        super().receive(claim, at, enrolled)
        self._loop.call_soon_threadsafe(self._came.set)

    async def another(self) -> None:
        """Wait for a claim that came since the last time."""
        await self._came.wait()
        self._came.clear()


class _Events(HostObserver):
    """What rounds are open, and who has left."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.opened = {round_: asyncio.Event() for round_ in secagg.Round}
        self.left: dict[int, secagg.Round] = {}

    def round_opened(self, name: str, round_: secagg.Round, clients: int, seconds: float) -> None:
        """Say so."""
        self.opened[round_].set()
        self._say(f"{round_.value.replace('_', ' ')}: {clients} participants are asked.")

    def client_dropped(self, name: str, client: int, round_: secagg.Round, reason: Departure, detail: str) -> None:
        """Remember it."""
        self.left[client] = round_
