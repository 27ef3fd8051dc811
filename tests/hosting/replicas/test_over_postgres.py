"""Two hosts over a real PostgreSQL: one session, asked here and there, and a holder that stops in the middle, also for
one of a later release, whose tables are others."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("psycopg")

from alembic.config import Config

from secagg.hosting import Ended, HostedSession, Request, UnknownSessionError, read_result
from secagg.hosting.replicas import SharedHost
from secagg.store import layout, migrations
from secagg.store.base import StoreError
from secagg.store.blobs import blobs_at
from secagg.store.postgres import PostgresStore
from tests.hosting.replicas.support import HANG_SECONDS, LONG, Wandering, run
from tests.postgres import Postgres

NAME = "round-1"
LEASE_SECONDS = 60.0  # no busy machine loses one
LATER = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("ALTER TABLE sessions ADD COLUMN note text NOT NULL DEFAULT ''")
"""


async def answer(played: Wandering, session: HostedSession) -> None:
    """All clients answer what they are asked."""
    for client in played.cohort:
        request = await session.next_request(client, b"", HANG_SECONDS)
        assert isinstance(request, Request)
        await session.submit(client, played.reply(client, request))


def test_a_session_goes_on_at_another_host(database: str, tmp_path: Path) -> None:
    async def body() -> None:
        with (
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as one,
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as two,
        ):
            played = Wandering()
            first = SharedHost(one, lease_seconds=LEASE_SECONDS)
            async with SharedHost(two, lease_seconds=LEASE_SECONDS) as second:
                await first.start()
                await played.create(first, schedule=LONG)
                session = await second.find(NAME)
                for client in played.cohort:
                    await played.send(session, client)
                await played.turned(session, played.cohort[0])
                await first.stop()
                while not isinstance(await played.turned(session, played.cohort[0]), Ended):
                    await answer(played, session)
                await session.wait_ended()
                played.assert_exact(read_result(await session.result()))

    run(body())


def test_whoever_asks_for_what_is_no_name_disturbs_nobody(database: str, tmp_path: Path) -> None:
    """The database refuses a text with a zero in it, and with it all that is asked in the same statement."""

    async def body() -> None:
        with (
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as one,
            closing(PostgresStore(database, blobs_at(str(tmp_path)))) as two,
        ):
            async with (
                SharedHost(one, lease_seconds=LEASE_SECONDS) as first,
                SharedHost(two, lease_seconds=LEASE_SECONDS) as second,
            ):
                await Wandering().create(first, schedule=LONG)
                asked = ("\0", "x\0", NAME, "", "x" * 1000)
                found = await asyncio.gather(*map(second.find, asked), return_exceptions=True)
                assert [type(each) for each in found] == [
                    *(UnknownSessionError, UnknownSessionError, HostedSession, UnknownSessionError, UnknownSessionError)
                ]

    run(body())


def test_a_session_goes_on_while_replicas_are_replaced_by_those_of_another_layout(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, blobs = postgres.create(), str(tmp_path / "blobs")
    layout.upgrade(database)
    later = tmp_path / "later"
    shutil.copytree(Path(str(migrations.__file__)).parent, later, ignore=shutil.ignore_patterns("__pycache__"))
    (later / "versions" / "later.py").write_text(LATER, encoding="utf-8")
    ours = layout._config

    async def body() -> None:
        played = Wandering()
        with closing(PostgresStore(database, blobs_at(blobs))) as one:
            first = SharedHost(one, lease_seconds=LEASE_SECONDS)
            await first.start()
            await played.create(first, schedule=LONG)
            session = await first.find(NAME)
            await answer(played, session)
            await played.turned(session, played.cohort[0])

            with monkeypatch.context() as release:
                release.setattr(layout, "_config", lambda: located(ours(), later))
                with pytest.raises(StoreError, match="has layout 0001, and this release has 0002; stop no replica"):
                    PostgresStore(database, blobs_at(blobs))
                await asyncio.to_thread(layout.upgrade, database)
                with closing(PostgresStore(database, blobs_at(blobs))) as two:
                    async with SharedHost(two, lease_seconds=LEASE_SECONDS) as second:
                        # The earlier release goes on with the session over tables that are later than it.
                        await answer(played, session)
                        await played.turned(session, played.cohort[0])
                        await first.stop()
                        session = await second.find(NAME)
                        while not isinstance(await played.turned(session, played.cohort[0]), Ended):
                            await answer(played, session)
                        await session.wait_ended()
                        played.assert_exact(read_result(await session.result()))
        with pytest.raises(StoreError, match="layout 0002 of a later release"):
            PostgresStore(database, blobs_at(blobs))

    run(body())


def located(config: Config, scripts: Path) -> Config:
    config.set_main_option("script_location", str(scripts))
    return config
