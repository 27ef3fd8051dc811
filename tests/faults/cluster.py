"""Three replicas behind HAProxy over PostgreSQL, in the place of a trial's one server.

    async with Cluster(directory) as cluster:
        await cluster.serve(["masked_input/message/durable"])   # whoever gets there dies, and is started again
        await cluster.everybody()
        verdict = await cluster.verdict()

PostgreSQL is one for all trials of this process; each has a database of its own in it.
"""

from __future__ import annotations

import asyncio
import atexit
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import psycopg

from tests import haproxy
from tests.faults.files import SESSION
from tests.faults.proxy import Proxy, Wire
from tests.faults.trial import Process, Trial, Verdict
from tests.logs import events
from tests.ports import free_port
from tests.postgres import Postgres

REPLICAS: Final = 3
LEASE_SECONDS: Final = 2.0


@cache
def database_server() -> Postgres:
    """PostgreSQL for all trials of this process."""
    server = Postgres()
    atexit.register(server.remove)
    return server


@dataclass
class Member:
    """One replica.

    Attributes:
        number: from 1 on.
        environment: of it alone.
        settings: of it alone, for `tests.faults.server`.
    """

    number: int
    environment: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    process: Process | None = None
    starts: int = 0
    keeper: asyncio.Task[None] | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    words: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def signal(self, number: int) -> None:
        """Send a signal, if the process is there."""
        if self.process is not None and self.process.process.returncode is None:
            self.process.process.send_signal(number)


class Cluster(Trial):
    """A trial whose server is many.

    Args:
        directory: new.
        wires: to PostgreSQL, for those replicas that do not reach it directly; by number.
        blobs: `blobs` of [storage]; a directory that they share unless given.
        storage: more keys of [storage].
        server: PostgreSQL for this trial alone.
        options: of `Trial`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        wires: Mapping[int, Wire] | None = None,
        blobs: str | None = None,
        storage: Mapping[str, Any] | None = None,
        server: Postgres | None = None,
        **options: Any,
    ) -> None:
        super().__init__(directory, **options)
        self.members = [Member(number) for number in range(1, REPLICAS + 1)]
        self.owner: Member | None = None
        self.points: list[str] = []
        self.reached: list[str] = []
        self.postgres = server or database_server()
        self.database = self.postgres.migrated()
        self.files.storage = {
            "postgres": self.database,
            "blobs": blobs or str(self.files / "blobs"),
            "lease_seconds": LEASE_SECONDS,
            **(storage or {}),
        }
        self._wires = wires or {}
        self._stack = ExitStack()
        self._proxies: list[Proxy] = []

    async def __aenter__(self) -> Cluster:
        for number, wire in self._wires.items():
            proxy = Proxy(self.postgres.port, wire)
            self._proxies.append(await proxy.__aenter__())
            through = self.database.replace(f"127.0.0.1:{self.postgres.port}", proxy.address)
            self.members[number - 1].environment["SECAGG_STORAGE__POSTGRES"] = through
        ports = [(member.port, member.health) for member in self.members]
        balancer = await asyncio.to_thread(self._stack.enter_context, haproxy.balancing(self.files.directory, ports))
        self.port = balancer.port
        if self.http_port is not None:
            (self.files / "http").mkdir()
            ports = [(member.http, member.health) for member in self.members]
            balancer = await asyncio.to_thread(self._stack.enter_context, haproxy.balancing(self.files / "http", ports))
            self.http_port = balancer.port
        self.files.configure()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for member in self.members:
            if member.keeper is not None:
                member.keeper.cancel()
                await asyncio.wait([member.keeper])
            if member.process is not None:
                member.process.kill()
                await member.process.ended()
        for proxy in self._proxies:
            await proxy.__aexit__(kind, error, traceback)
        self._stack.close()

    async def serve(self, points: Sequence[str] = (), **settings: Any) -> None:
        """Start all replicas, and each again whenever it was killed. Whoever comes to the next of the points dies."""
        self.settings |= settings
        self.points = list(points)
        for member in self.members:
            self.start(member)
        if not points:
            for member in self.members:
                await self._bounded(member.ready.wait())

    def start(self, member: Member) -> None:
        """Start a replica that does not run."""
        member.keeper = asyncio.create_task(self._keep_member(member))

    async def stop(self, member: Member, number: int = signal.SIGTERM) -> int:
        """End a replica, in order unless told otherwise; it is not started again."""
        assert member.process is not None
        assert member.keeper is not None
        member.keeper.cancel()
        await asyncio.wait([member.keeper])
        member.ready.clear()
        member.signal(number)
        return await self._bounded(member.process.ended())

    async def held(self) -> Member:
        """The replica that goes on with the session, once there is one."""
        async with self.patience.wait():
            while self.owner is None:
                await asyncio.sleep(0.02)
            return self.owner

    async def passed_on(self, owner: Member) -> None:
        """Wait until another replica goes on with the session."""
        async with self.patience.wait():
            while self.owner in (owner, None):
                await asyncio.sleep(0.02)

    async def until_ready(self, member: Member) -> None:
        """Wait until clients can connect to a replica."""
        await self._bounded(member.ready.wait())

    async def logged(self, member: Member, event: str) -> None:
        """Wait until a replica's log has an event about the session."""
        async with self.patience.wait():
            while not any(line["event"] == event for line in self.log(member) if line.get("session") == SESSION):
                await asyncio.sleep(0.05)

    async def not_ready(self, member: Member) -> None:
        """Wait until a replica has said that it cannot go on with sessions; until then it may have tried."""
        async with self.patience.wait():
            while not any(line["event"] == "not ready" for line in self.log(member)):
                await asyncio.sleep(0.05)

    def log(self, member: Member) -> list[Any]:
        """What a replica has logged."""
        return events(self.files / f"log-{member.number}")

    async def refused_a_start(self) -> int:
        """Wait until each replica was started, and has ended or waits for something; returns how many."""
        async with self.patience.wait():
            while not all(member.starts > 1 or self.log(member) for member in self.members):
                await asyncio.sleep(0.05)
        return len(self.members)

    async def left_over(self, what: str, **words: Any) -> int:
        """Say something to all replicas that run; the sum of what they answer."""
        answers = [await self.ask(member, **words) for member in self.members if member.ready.is_set()]
        return sum(int(answer[what]) for answer in answers)

    async def ask(self, member: Member, **words: Any) -> Any:
        """Say something to one replica, and wait until it is done."""
        assert member.process is not None
        member.process.tell(words)
        return await self._bounded(member.words.get())

    def sql(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """What the database says; blocks."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []

    def last_words(self) -> str:
        codes = {
            member.number: None if member.process is None else member.process.process.returncode
            for member in self.members
        }
        said = {
            file.name: file.read_text(encoding="utf-8", errors="replace")[-1200:]
            for file in sorted(self.files.directory.glob("*"))
            if file.name.startswith(("log-", "errors-"))
        }
        return f"killed {self.kills} times at {self.reached}, exit codes {codes}, they said {said}"

    async def _keep_member(self, member: Member) -> None:
        while True:
            environment = {
                "SECAGG_LISTEN__ADDRESS": member.address,
                "SECAGG_HEALTH__HTTP": f"127.0.0.1:{member.health}",
                **({} if self.http_port is None else {"SECAGG_HTTP__ADDRESS": f"127.0.0.1:{member.http}"}),
                "SECAGG_LOGS__FILE": str(self.files / f"log-{member.number}"),
                **member.environment,
            }
            settings = {
                "config": str(self.files / "server.toml"),
                "kill": self.points[0] if self.points else None,
                "limits": self.limits,
                "environment": environment,
                **self.settings,
                **member.settings,
            }
            member.starts += 1
            process = member.process = await Process.start(
                "tests.faults.server", settings, self.files / f"errors-{member.number}"
            )
            while (line := await process.line()) is not None:
                self.patience.progress()
                self._hear(member, line)
            member.ready.clear()
            if self.owner is member:
                self.owner = None
            self.patience.progress()
            code = await process.ended()
            self.kills += code == -signal.SIGKILL
            if not await asyncio.to_thread(self.between, code):
                return

    def _hear(self, member: Member, line: Mapping[str, Any]) -> None:
        if "address" in line:
            member.ready.set()
        elif "leased" in line:
            if line["leased"] == SESSION:
                self.owner = member
        elif "reached" in line:
            self.reached.append(line["reached"])
            if self.points[:1] == [line["reached"]]:
                self.points.pop(0)
            for other in self.members:
                if other is not member and other.process is not None:
                    other.process.tell({"kill": self.points[0] if self.points else None})
        elif "armed" not in line:
            member.words.put_nowait(line)


async def clustered(
    directory: Path, play: Callable[[Cluster], Any], injected: int | None = None, **options: Any
) -> Verdict:
    """One session over a new cluster: all clients take part while something is played."""
    async with Cluster(directory, **options) as cluster:
        await cluster.serve()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(cluster.everybody())
            tasks.create_task(play(cluster))
        return await cluster.verdict(injected)
