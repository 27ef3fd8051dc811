"""Replicas that die, stop, restart or lose their way to what they share, while one session runs on all of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

from secagg import ClientPhase
from tests import seaweed
from tests.faults import volumes
from tests.faults.cluster import REPLICAS, Cluster, Member, database_server
from tests.faults.killing import LONG
from tests.faults.proxy import Partition, Proxy, Wire
from tests.faults.trial import Verdict
from tests.postgres import Postgres

_VOLUME_MEGABYTES: Final = 320
_MOST_SEGMENTS: Final = 64
_TEN_YEARS: Final = 10 * 365.25 * 24 * 3600
Play = Callable[[Cluster], Coroutine[Any, Any, None]]


class Turns:
    """Plays something in each round, or in some, as soon as a client was acknowledged in it."""

    def __init__(self, cluster: Cluster, rounds: Sequence[ClientPhase], play: Play) -> None:
        self._cluster = cluster
        self._rounds = list(rounds)
        self._play = play
        self._played: set[ClientPhase] = set()
        self._tasks: list[asyncio.Task[None]] = []
        cluster.on_acknowledged = self._acknowledged

    def _acknowledged(self, _: int, phase: ClientPhase) -> None:
        if phase in self._rounds and phase not in self._played:
            self._played.add(phase)
            self._tasks.append(asyncio.create_task(self._play(self._cluster)))

    async def over(self) -> int:
        """Wait for what was begun; returns how often that was."""
        await asyncio.gather(*self._tasks)
        return len(self._tasks)


ANSWERS: Final = (
    ClientPhase.ADVERTISE_KEYS,
    ClientPhase.SHARE_KEYS,
    ClientPhase.MASKED_INPUT,
    ClientPhase.CONSISTENCY_CHECK,
)
MIDDLE: Final = (ClientPhase.MASKED_INPUT,)


async def in_turns(directory: Path, rounds: Sequence[ClientPhase], play: Play, **options: Any) -> Verdict:
    """A session over a new cluster; something is played in these rounds."""
    async with Cluster(directory, length=LONG, **options) as cluster:
        await cluster.serve()
        turns = Turns(cluster, rounds, play)
        await cluster.everybody()
        injected = await turns.over()
        return await cluster.verdict(injected)


async def killed_at(directory: Path, points: Sequence[str], *, http: bool = False) -> Verdict:
    """Whichever replica comes to the next of the points dies there; another goes on, until it dies at the one after."""
    async with Cluster(directory, length=LONG, http=http) as cluster:
        await cluster.serve(points)
        await cluster.everybody()
        verdict = await cluster.verdict()
        if cluster.points:
            verdict.stuck = 1
            verdict.detail += f"; not reached: {cluster.points}"
        return verdict


async def owner_killed(directory: Path, *, http: bool = False) -> Verdict:
    """In each round the owner dies as soon as a client holds an acknowledgement."""

    async def kill(cluster: Cluster) -> None:
        (await cluster.held()).signal(signal.SIGKILL)

    return await in_turns(directory, ANSWERS, kill, http=http)


async def follower_killed(directory: Path) -> Verdict:
    """In each round a replica dies that has clients, and not the session."""

    async def kill(cluster: Cluster) -> None:
        (await follower(cluster)).signal(signal.SIGKILL)

    return await in_turns(directory, ANSWERS, kill)


async def owner_stopped(directory: Path, *, http: bool = False) -> Verdict:
    """The owner is stopped past its lease and goes on then: it is fenced, and appends nothing any more."""

    async def stop(cluster: Cluster) -> None:
        owner = await cluster.held()
        owner.signal(signal.SIGSTOP)
        try:
            await cluster.passed_on(owner)
        finally:
            owner.signal(signal.SIGCONT)
        await cluster.logged(owner, "lease lost")

    return await in_turns(directory, MIDDLE, stop, http=http)


async def owner_cut_off(directory: Path) -> Verdict:
    """The owner does not reach the database, past its lease; the others go on, and it follows them afterwards."""
    wires = {number: Partition() for number in range(1, REPLICAS + 1)}

    async def cut(cluster: Cluster) -> None:
        owner = await cluster.held()
        wires[owner.number].cut()
        try:
            await cluster.passed_on(owner)
        finally:
            wires[owner.number].heal()

    return await in_turns(directory, MIDDLE, cut, wires=wires)


async def blobs_cut_off(directory: Path) -> Verdict:
    """A replica does not reach the blob store while masked inputs come in; the clients that it has go to others."""
    with seaweed.running(directory / "seaweed") as server:
        wire = Partition()
        async with Proxy(server.port, wire) as proxy:

            async def cut(cluster: Cluster) -> None:
                wire.cut()

            at, storage = "s3://secagg/trial", {"s3_endpoint": server.endpoint}
            async with Cluster(directory / "trial", length=LONG, blobs=at, storage=storage) as cluster:
                for member in cluster.members:
                    member.environment |= server.environment
                cluster.members[0].environment["SECAGG_STORAGE__S3_ENDPOINT"] = f"http://{proxy.address}"
                await cluster.serve()
                turns = Turns(cluster, (ClientPhase.SHARE_KEYS,), cut)
                await cluster.everybody()
                injected = await turns.over()
                verdict = await cluster.verdict(injected)
            wire.heal()
    return verdict


async def uploads_not_mounted(directory: Path) -> Verdict:
    """The directory of uploads is away for a while, the owner dies, and no heir could read what it would replay."""

    async def unmount(cluster: Cluster) -> None:
        owner = await cluster.held()
        uploads = cluster.files / "blobs" / "uploads"
        away = uploads.rename(uploads.with_name("away"))
        owner.signal(signal.SIGKILL)
        for heir in cluster.members:
            if heir is not owner:
                await cluster.not_ready(heir)
        away.rename(uploads)

    return await in_turns(directory, MIDDLE, unmount)


async def database_restarted(directory: Path, how: str) -> Verdict:
    """In each round the database is restarted, in order or after a crash."""
    server = database_server()

    async def restart(cluster: Cluster) -> None:
        def again() -> None:
            if how == "killed":
                server.kill()
                server.start()
            else:
                server.restart()

        async with lock:
            await asyncio.to_thread(again)

    lock = asyncio.Lock()
    return await in_turns(directory, ANSWERS, restart)


async def database_full(directory: Path) -> Verdict:
    """In each round the database's own volume is full, until a replica has said that its store fails."""

    async def fill(cluster: Cluster) -> None:
        async with lock:
            before = failures(cluster)
            await asyncio.to_thread(volumes.fill, place)
            await asyncio.to_thread(exhaust, cluster)
            async with cluster.patience.wait():
                while failures(cluster) == before:
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(volumes.empty, place)
            async with cluster.patience.wait():
                while not await asyncio.to_thread(answers, cluster):
                    await asyncio.sleep(0.05)

    lock = asyncio.Lock()
    with volumes.small(_VOLUME_MEGABYTES) as place:
        server = Postgres(volume=place)
        try:
            return await in_turns(directory, ANSWERS, fill, server=server)
        finally:
            server.remove()


def failures(cluster: Cluster) -> int:
    """How often replicas have said that the store fails."""
    return sum(line["event"] == "store failed" for member in cluster.members for line in cluster.log(member))


def exhaust(cluster: Cluster) -> None:
    """Use up what a database has reserved of its volume, so that the next write fails."""
    for _ in range(_MOST_SEGMENTS):
        try:
            cluster.sql("SELECT pg_logical_emit_message(false, 'secagg', 'more')")
            cluster.sql("SELECT pg_switch_wal()")
        except psycopg.Error:
            return
    raise AssertionError("the volume of the database is full, and it writes on")


def answers(cluster: Cluster) -> bool:
    """Whether the database can be written; one that its full volume has ended is started again."""
    if not cluster.postgres.runs:
        cluster.postgres.start()
    try:
        cluster.sql("SELECT pg_logical_emit_message(true, 'secagg', 'again')")
    except psycopg.Error:
        return False
    return True


async def database_away_at_start(directory: Path) -> Verdict:
    """The database comes up after the replicas: they wait, or are started again until it is there."""
    async with Cluster(directory, length=LONG) as cluster:
        await asyncio.to_thread(database_server().stop)
        try:
            cluster.between = lambda code: True
            away = asyncio.create_task(cluster.serve())
            clients = asyncio.create_task(cluster.everybody())
            refused = await cluster.refused_a_start()
        finally:
            await asyncio.to_thread(database_server().start)
        await away
        await clients
        return await cluster.verdict(refused)


async def clock_wrong(directory: Path) -> Verdict:
    """One replica's wall clock is ten years ahead, and jumps back and forth."""
    async with Cluster(directory, length=LONG) as cluster:
        sign = 1

        async def jump(cluster: Cluster) -> None:
            nonlocal sign
            sign = -sign
            await cluster.ask(cluster.members[0], wall=sign * _TEN_YEARS)

        cluster.members[0].settings["wall"] = _TEN_YEARS
        await cluster.serve()
        turns = Turns(cluster, ANSWERS, jump)
        await cluster.everybody()
        return await cluster.verdict(await turns.over())


async def rolling_restart(directory: Path) -> Verdict:
    """All replicas are ended in order and started again, one after the other, each in a round of its own."""
    codes: list[int] = []

    async def replace(cluster: Cluster) -> None:
        async with lock:
            member = cluster.members[len(codes) % REPLICAS]
            codes.append(await cluster.stop(member))
            cluster.start(member)
            await cluster.until_ready(member)

    lock = asyncio.Lock()
    verdict = await in_turns(directory, ANSWERS, replace)
    if any(codes):
        verdict.stuck, verdict.detail = 1, f"{verdict.detail}; replicas ended with {codes}"
    return verdict


async def scattered(directory: Path, *, http: bool = False) -> Verdict:
    """Each client's next connection goes to the next replica, and ends when it was acknowledged: nobody has a home."""
    async with Cluster(directory, length=LONG, http=http) as cluster:
        await cluster.serve()
        async with Carousel(cluster) as carousel:
            cluster.on_acknowledged = lambda client, phase: carousel.turn()
            await cluster.everybody(server=cluster.dialled(carousel.address))
            return await cluster.verdict(carousel.turns)


class Carousel(Proxy):
    """Gives each connection to another replica, and cuts all of them at a word."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(0, Wire())
        http = cluster.http_port is not None
        self._ports = [member.http if http else member.port for member in cluster.members]
        self._next = 0
        self.turns = 0

    def target(self) -> int:
        self._next += 1
        return self._ports[self._next % len(self._ports)]

    def turn(self) -> None:
        """Cut all connections."""
        self.turns += 1
        self.cut()


async def follower(cluster: Cluster) -> Member:
    """A replica that runs and does not have the session, once there is one."""
    async with cluster.patience.wait():
        while True:
            owner = await cluster.held()
            for member in cluster.members:
                if member is not owner and member.ready.is_set():
                    return member
            await asyncio.sleep(0.02)
