"""Bits that flip in what replicas share: logs, uploads, results, what the owner publishes; uploads that are gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from secagg import ClientPhase, SessionAbortedError
from secagg.transport.grpc import Refusal, ServiceError
from tests.faults.cluster import Cluster
from tests.faults.disks import dropped_by_name, hit_once, over
from tests.faults.files import SESSION
from tests.faults.killing import LONG
from tests.faults.replicas import Turns
from tests.faults.trial import Verdict
from tests.store.test_damage import flip


def flip_entry(cluster: Cluster, seed: int) -> None:
    """Turn a bit of a message in the log."""
    rows = cluster.sql(
        "SELECT position, octet_length(payload) FROM entries WHERE session = %s AND kind = 'message'", number(cluster)
    )
    position, size = rows[seed % len(rows)]
    bit = 7919 * seed % (8 * size)
    cluster.sql(
        "UPDATE entries SET payload = set_bit(payload, %s, 1 - get_bit(payload, %s)) "
        "WHERE session = %s AND position = %s",
        *(bit, bit, number(cluster), position),
    )


def flip_state(cluster: Cluster, seed: int) -> None:
    """Turn a bit of what the owner has published last."""
    ((size,),) = cluster.sql("SELECT octet_length(state) FROM states WHERE session = %s", number(cluster))
    bit = 7919 * seed % (8 * size)
    cluster.sql(
        "UPDATE states SET state = set_bit(state, %s, 1 - get_bit(state, %s)) WHERE session = %s",
        *(bit, bit, number(cluster)),
    )


def remove_lease(cluster: Cluster, seed: int) -> None:
    """Remove the lease of the session, so that nobody can go on with it."""
    cluster.sql("DELETE FROM leases WHERE session = %s", number(cluster))


def flip_lease(cluster: Cluster, seed: int) -> None:
    """Turn a bit of the epoch of the lease, so that nobody has it."""
    cluster.sql("UPDATE leases SET epoch = epoch # %s WHERE session = %s", 1 << seed % 62, number(cluster))


def number(cluster: Cluster) -> int:
    """Of the session in the database."""
    ((found,),) = cluster.sql("SELECT id FROM sessions WHERE name = %s", SESSION)
    return int(found)


def logged_upload(cluster: Cluster, seed: int) -> tuple[int, Path]:
    """A client whose upload is in the log, and the file."""
    session = number(cluster)
    rows = cluster.sql("SELECT client, payload FROM entries WHERE session = %s AND kind = 'upload'", session)
    client, payload = rows[seed % len(rows)]
    return int(client), cluster.files / "blobs" / "uploads" / str(session) / bytes(payload).decode()


def flip_upload(cluster: Cluster, seed: int) -> int:
    """Turn a bit of an upload that is in the log; returns whose it is."""
    client, path = logged_upload(cluster, seed)
    flip(path, 7919 * seed % path.stat().st_size, seed % 8)
    return client


def remove_upload(cluster: Cluster, seed: int) -> int:
    """Remove an upload that is in the log; returns whose it is."""
    client, path = logged_upload(cluster, seed)
    path.unlink()
    return client


async def upload_damaged(directory: Path, seed: int, damage: Callable[[Cluster, int], int]) -> Verdict:
    """While its round is open, and before another replica goes on: the client is dropped by name, the others summed."""
    async with Cluster(directory, length=LONG) as cluster:
        return await dropped_by_name(cluster, lambda: damage(cluster, seed))


async def session_damaged(directory: Path, seed: int, damage: Callable[[Cluster, int], object]) -> Verdict:
    """What a session cannot do without: it fails, and every replica says so to everybody."""
    async with Cluster(directory, length=LONG) as cluster:
        hit: list[int] = []

        def once() -> int:
            damage(cluster, seed)
            return seed

        cluster.between = lambda code: hit_once(code, hit, once)
        await cluster.serve(["consistency_check/message/durable"])
        await cluster.everybody()
        status = await cluster.until(over)
        verdict = Verdict(len(hit), detail=f"{status.state}: {status.detail}")
        verdict.wrong = int(status.result_ready)
        loud = status.state == "failed" and "damaged" in status.detail
        heard = [isinstance(end, SessionAbortedError) for end in cluster.outcomes.values()]
        verdict.stuck = int(not loud or not all(heard))
        if verdict.stuck:
            verdict.detail += f"; clients {cluster.outcomes}; {cluster.last_words()}"
        return verdict


async def state_flipped(directory: Path, seed: int) -> Verdict:
    """What the owner has published is damaged: followers believe none of it; the session goes on or fails loudly."""
    async with Cluster(directory, length=LONG) as cluster:

        async def damage(cluster: Cluster) -> None:
            flip_state(cluster, seed)

        await cluster.serve()
        turns = Turns(cluster, (ClientPhase.SHARE_KEYS, ClientPhase.MASKED_INPUT), damage)
        await cluster.everybody()
        injected = await turns.over()
        status = await cluster.until(lambda status: status.result_ready or status.state in ("aborted", "failed"))
        if status.state != "failed":
            return await cluster.verdict(injected)
        heard = [isinstance(end, SessionAbortedError) for end in cluster.outcomes.values()]
        return Verdict(injected, stuck=int(not all(heard)), detail=f"failed: {status.detail}")


async def lease_flipped(directory: Path, seed: int) -> Verdict:
    """The lease is damaged: the session goes on under the next one."""
    async with Cluster(directory, length=LONG) as cluster:

        async def damage(cluster: Cluster) -> None:
            flip_lease(cluster, seed)

        await cluster.serve()
        turns = Turns(cluster, (ClientPhase.SHARE_KEYS, ClientPhase.MASKED_INPUT), damage)
        await cluster.everybody()
        injected = await turns.over()
        return await cluster.verdict(injected)


async def result_flipped(directory: Path, seed: int) -> Verdict:
    """The operator is told that the sum is damaged, by whichever replica, and gets no file."""
    async with Cluster(directory, length=LONG) as cluster:
        await cluster.serve()
        await cluster.everybody()
        await cluster.until(lambda status: status.result_ready)
        (path,) = (cluster.files / "blobs" / "uploads" / str(number(cluster))).iterdir()
        flip(path, 7919 * seed % path.stat().st_size, seed % 8)
        told = []
        for member in cluster.members:
            file = directory / f"sum-{member.number}.npz"
            cluster.port = member.port
            try:
                async with cluster.admin() as admin:
                    await admin.save_result(SESSION, file)
            except ServiceError as error:
                told.append(error.refusal is Refusal.RESULT_DAMAGED and not file.exists())
        return Verdict(1, wrong=int(len(told) < len(cluster.members)), stuck=int(not all(told)), detail=str(told))
