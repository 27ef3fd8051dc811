"""Two hosts over a real PostgreSQL: one session, asked here and there, and a holder that stops in the middle."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("psycopg")

from secagg.hosting import Ended, Request, read_result
from secagg.hosting.replicas import SharedHost
from secagg.store.blobs import blobs_at
from secagg.store.postgres import PostgresStore
from tests.hosting.replicas.support import LONG, Wandering, run

NAME = "round-1"


def test_a_session_goes_on_at_another_host(database: str, tmp_path: Path) -> None:
    async def body() -> None:
        with (
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as one,
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as two,
        ):
            played = Wandering()
            first = SharedHost(one)
            async with SharedHost(two) as second:
                await first.start()
                await played.create(first, schedule=LONG)
                session = await second.find(NAME)
                for client in played.cohort:
                    await played.send(session, client)
                await played.turned(session, played.cohort[0])
                await first.stop()
                while not isinstance(await played.turned(session, played.cohort[0]), Ended):
                    for client in played.cohort:
                        request = await session.next_request(client, b"", 10)
                        assert isinstance(request, Request)
                        await session.submit(client, played.reply(client, request))
                await session.wait_ended()
                played.assert_exact(read_result(await session.result()))

    run(body())
