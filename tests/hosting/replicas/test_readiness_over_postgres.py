"""A database that is away or hangs: health, the log, the metric and liveness say what is so, unasked and in time,
whatever the threads and the connections of a host are at."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg")

from grpc_health.v1 import health_pb2

from secagg.hosting import readiness
from secagg.hosting.replicas import SharedHost
from secagg.store.blobs import blobs_at
from secagg.store.postgres import PostgresStore
from secagg.store.postgres_pool import _CONNECTIONS
from secagg.transport.grpc.health import Health
from tests.hosting.replicas.support import run
from tests.hosting.support import Recorder
from tests.postgres import Postgres

SECONDS = 60.0
LEASE_SECONDS = 4.0
NEVER = 3600.0


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that hangs is one that a test has hang; a busy machine takes as long as it takes."""
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", NEVER)


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[PostgresStore]:
    with closing(PostgresStore(database, blobs_at(str(tmp_path)), seconds=SECONDS)) as store:
        yield store


@asynccontextmanager
async def watched(
    store: PostgresStore, seen: Recorder, probe_seconds: float
) -> AsyncIterator[tuple[SharedHost, Health]]:
    """A host that is ready, and asked as often as this."""
    host = SharedHost(store, lease_seconds=LEASE_SECONDS, observer=seen, workers=2)
    async with host:
        health = Health(host, ("",), probe_seconds)
        await health.start()
        try:
            yield host, health
        finally:
            await health.stop()


def test_who_watches_hears_that_the_database_is_away_and_that_it_is_back(
    postgres: Postgres, store: PostgresStore
) -> None:
    async def body() -> None:
        seen = Recorder()
        async with watched(store, seen, 0.05) as (host, health):
            assert seen.all("readiness") == [("",)]
            postgres.stop()
            try:
                await seen.until(lambda: len(seen.all("readiness")) > 1)
                leases = host._leases
                assert leases is not None
                while not leases.trouble:
                    await asyncio.sleep(0.01)
                # Longer than leases last, as well, it is asked, and who looks at what was found finds that.
                begun = time.monotonic()
                while not host.known_trouble(time.monotonic() - begun):
                    assert time.monotonic() < begun + 60
                    await asyncio.sleep(0.01)
                assert await status(health) == health_pb2.HealthCheckResponse.NOT_SERVING
            finally:
                postgres.start()
            await seen.heard("readiness", "", times=2)
            first, *troubles, last = [told for (told,) in seen.all("readiness")]
            assert (first, last) == ("", "")
            assert len(set(troubles)) == len(troubles)
            assert any("Connection refused" in told for told in troubles)

    run(body())


def test_a_database_that_is_away_is_seen_past_a_pool_that_has_no_connection_and_no_thread(
    postgres: Postgres, store: PostgresStore
) -> None:
    async def body() -> None:
        free = threading.Event()
        async with SharedHost(store, lease_seconds=NEVER, observer=Recorder(), workers=2) as host:
            assert await host.trouble() == ""
            with ExitStack() as taken:
                for _ in range(_CONNECTIONS):
                    taken.enter_context(store._connections._borrowed())
                busy = [asyncio.ensure_future(host._tools.run(free.wait)) for _ in range(2)]
                busy += [asyncio.ensure_future(asyncio.to_thread(free.wait)) for _ in range(64)]
                try:
                    assert await host.trouble() == ""
                    postgres.stop()
                    try:
                        assert "Connection refused" in await host.trouble()
                    finally:
                        postgres.start()
                    assert await host.trouble() == ""
                finally:
                    free.set()
                    await asyncio.gather(*busy)

    run(body())


def test_a_database_that_hangs_keeps_nobody_from_saying_so(
    postgres: Postgres, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        seen = Recorder()
        async with watched(store, seen, 0.05) as (_, health):
            monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.2)
            postgres.pause()
            try:
                await seen.until(lambda: any("has not answered" in told for (told,) in seen.all("readiness")))
                assert await status(health) == health_pb2.HealthCheckResponse.NOT_SERVING
            finally:
                postgres.resume()
            monkeypatch.setattr(readiness, "PATIENCE_SECONDS", NEVER)
            await seen.heard("readiness", "", times=2)

    run(body())


async def status(health: Health) -> int:
    nobody: Any = None
    found = await health._servicer.Check(health_pb2.HealthCheckRequest(service=""), nobody)
    return int(found.status)
