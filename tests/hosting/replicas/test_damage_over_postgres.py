"""Bits flip in what PostgreSQL has about who goes on with a session: it goes on, or fails loudly at every replica."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

pytest.importorskip("psycopg")

import psycopg

from secagg import AbortReason
from secagg.hosting import Ended, EndKind, HostedSession, HostUnavailableError, Request, read_result
from secagg.hosting.replicas import SharedHost
from secagg.store.base import DamagedError
from secagg.store.blobs import blobs_at
from secagg.store.postgres import PostgresStore
from tests.harness import Harness
from tests.hosting.replicas.support import LONG, Wandering, run
from tests.hosting.support import Recorder

NAME = "round-1"
LEASE_SECONDS = 2.0
T = TypeVar("T")


async def insisted(ask: Callable[[], Awaitable[T]]) -> T:
    """Come again when sent away, as clients do: a lease that a busy machine does not renew passes on."""
    while True:
        try:
            return await ask()
        except HostUnavailableError:
            await asyncio.sleep(0.01)


async def until_end(played: Wandering, session: HostedSession) -> Ended:
    """Answer whatever is asked, and come again when sent away, as clients do."""
    while True:
        for client in played.cohort:
            try:
                found = await session.next_request(client, b"", 0.1)
                if isinstance(found, Ended):
                    return found
                if isinstance(found, Request):
                    await session.submit(client, played.reply(client, found))
            except HostUnavailableError:
                await asyncio.sleep(0.01)


async def play(database: str, directory: Path, flip: str) -> tuple[list[Ended], list[HostedSession], list[Recorder]]:
    """Flip something after the first round; returns how the session ended at each of two hosts."""
    with (
        closing(PostgresStore(database, blobs_at(str(directory)))) as one,
        closing(PostgresStore(database, blobs_at(str(directory)))) as two,
    ):
        played, seen = Wandering(), [Recorder(), Recorder()]
        async with (
            SharedHost(one, lease_seconds=LEASE_SECONDS, observer=seen[0]) as first,
            SharedHost(two, lease_seconds=LEASE_SECONDS, observer=seen[1]) as second,
        ):
            await played.create(first, schedule=LONG)
            sessions = [await host.find(NAME) for host in (first, second)]
            for client in played.cohort:
                await insisted(partial(played.send, sessions[1], client))
            await insisted(partial(played.turned, sessions[1], played.cohort[0]))
            with psycopg.connect(database) as connection:
                assert connection.execute(flip).rowcount == 1
            ends = [await until_end(played, session) for session in sessions]
            if ends[0].kind is EndKind.COMPLETED:
                await insisted(sessions[0].wait_ended)
                played.assert_exact(read_result(await insisted(sessions[0].result)))
            return ends, sessions, seen


@pytest.mark.parametrize("early", [False, True])
def test_the_name_of_a_damaged_session_is_free_everywhere_once_it_is_discarded(
    database: str, tmp_path: Path, early: bool
) -> None:
    """Replicas that had not discarded it themselves told all clients for good that there is no session of this name."""

    async def body() -> None:
        with (
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as one,
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as two,
        ):
            played, seen = Wandering(), Recorder()
            async with SharedHost(one) as first:
                await played.create(first, schedule=LONG)
            with psycopg.connect(database) as connection:
                connection.execute("UPDATE sessions SET created_at = created_at + 1")
            async with SharedHost(one) as first, SharedHost(two, observer=seen) as second:
                assert list(second.damaged) == [NAME]
                assert await first.discard(NAME)
                while not early and second.damaged:
                    await asyncio.sleep(0.01)
                again = Wandering(Harness(4, threshold=2, seed=2))
                await again.create(first, schedule=LONG)
                while second.damaged:
                    await asyncio.sleep(0.01)
                session = await second.find(NAME)
                assert (await until_end(again, session)).kind is EndKind.COMPLETED
                await insisted(session.wait_ended)
                again.assert_exact(read_result(await insisted(session.result)))
            assert len(seen.all("failed")) == 1

    run(body())


@pytest.mark.parametrize("flip", ["epoch = epoch + 1", "open_seconds = open_seconds + 1", "digest = 'x'"])
def test_a_session_goes_on_whose_lease_was_damaged(database: str, tmp_path: Path, flip: str) -> None:
    async def body() -> None:
        ends, _, seen = await play(database, tmp_path, f"UPDATE leases SET {flip}, until = now(), replica = 'x'")  # noqa: S608
        assert ends == [Ended(EndKind.COMPLETED)] * 2
        told = [error for each in seen for _, error in each.all("store_failed")]
        # Otherwise whoever has the lease may have written it anew: it knows what stood there.
        if flip.startswith("epoch"):
            assert any(isinstance(error, DamagedError) and "lease" in str(error) for error in told)

    run(body())


@pytest.mark.parametrize("flip", ["open_seconds = open_seconds + 1", "digest = 'x'"])
def test_a_lease_that_is_damaged_while_somebody_has_it_is_told_once(database: str, tmp_path: Path, flip: str) -> None:
    """Whoever had it wrote it anew, or lost and took it again, without a word about the disk."""

    async def body() -> None:
        ends, _, seen = await play(database, tmp_path, f"UPDATE leases SET {flip}")  # noqa: S608
        assert ends == [Ended(EndKind.COMPLETED)] * 2
        told = [str(error) for each in seen for _, error in each.all("store_failed") if isinstance(error, DamagedError)]
        assert len([sentence for sentence in told if "the lease on session round-1 was damaged" in sentence]) == 1

    run(body())


@pytest.mark.parametrize(
    "flip",
    [
        "UPDATE leases SET ended = true",
        "UPDATE leases SET name = 'sound-1'",
        "DELETE FROM leases",
        "UPDATE sessions SET outcome = set_bit(outcome, 1, 1 - get_bit(outcome, 1))",
    ],
)
def test_a_session_fails_everywhere_with_which_nobody_can_go_on(database: str, tmp_path: Path, flip: str) -> None:
    async def body() -> None:
        ends, sessions, seen = await play(database, tmp_path, flip)
        assert ends == [Ended(EndKind.ABORTED, AbortReason.ABORTED_BY_CALLER)] * 2
        for session, told in zip(sessions, seen, strict=True):
            assert (session.damaged, session.status().state) == (True, "failed")
            assert "damaged" in session.status().detail
            assert any(isinstance(error, DamagedError) for _, error in told.all("failed"))

    run(body())
