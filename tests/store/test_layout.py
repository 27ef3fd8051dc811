"""A database gets the tables of this release once, and one of another release is not touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from secagg.store import migrations
from secagg.store.base import StoreError
from secagg.store.blobs import blobs_at
from secagg.store.layout import last, pending, upgrade
from secagg.store.postgres import PostgresStore
from tests.postgres import Postgres


@pytest.fixture
def conninfo(postgres: Postgres) -> str:
    return postgres.create()


def test_a_database_is_upgraded_once(conninfo: str, tmp_path: Path) -> None:
    assert "no tables yet" in pending(conninfo)
    with pytest.raises(StoreError, match="secagg database upgrade --config"):
        PostgresStore(conninfo, blobs_at(str(tmp_path)))
    assert upgrade(conninfo) == ("", last())
    assert pending(conninfo) == ""
    assert upgrade(conninfo) == (last(), last())
    assert pending(conninfo) == ""
    PostgresStore(conninfo, blobs_at(str(tmp_path))).close()


def test_two_upgrades_at_once_make_one(conninfo: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(upgrade, [conninfo] * 2)) == [("", last()), (last(), last())]
    assert pending(conninfo) == ""


def test_a_layout_of_a_later_release_is_left_alone(conninfo: str, tmp_path: Path) -> None:
    upgrade(conninfo)
    with psycopg.connect(conninfo) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "layout 9999 of a later release" in pending(conninfo)
    for use in (upgrade, lambda conninfo: PostgresStore(conninfo, blobs_at(str(tmp_path)))):
        with pytest.raises(StoreError, match="later release"):
            use(conninfo)


def test_an_earlier_layout_is_told(conninfo: str) -> None:
    upgrade(conninfo)
    with psycopg.connect(conninfo) as connection:
        connection.execute("DELETE FROM alembic_version")
    assert "run: secagg database upgrade" in pending(conninfo)


def test_an_upgrade_that_fails_changes_nothing(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE probes (other integer)")
    with pytest.raises(StoreError, match="probes"):
        upgrade(conninfo)
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("probes",)]


def test_layouts_follow_each_other() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    layouts = [script.revision for script in scripts.walk_revisions()]
    assert layouts == sorted(layouts, reverse=True)
    assert len(scripts.get_heads()) == 1
