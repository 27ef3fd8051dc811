"""`[storage]` of many replicas: the tables come first, several start at once, and what is missing is said."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from secagg.cli.service.server_config import load_config
from secagg.store import layout
from tests.cli.deployment import Deployment, finished, serving, start
from tests.postgres import Postgres

LAYOUT = layout.last()
SESSION = """
[[sessions]]
name = "first"
[sessions.vectors.counts]
kind = "integers"
shape = [10]
low = 0
high = 50
"""


@pytest.fixture
def site(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path, (3, 5, 8))


def configured(site: Deployment, postgres: str, blobs: str = "blobs") -> Path:
    path = site.configure(SESSION)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('directory = "data"', f'postgres = "{postgres}"\nblobs = "{blobs}"'), encoding="utf-8")
    return path


def test_a_directory_of_blobs_is_one_of_the_files_and_a_bucket_is_none(site: Deployment) -> None:
    assert load_config(configured(site, "postgresql://x@y/z")).storage.blobs == str(site / "blobs")
    assert load_config(configured(site, "postgresql://x@y/z", "s3://a/b")).storage.blobs == "s3://a/b"


def test_a_loss_is_accepted_of_a_directory_only(site: Deployment, run: Any) -> None:
    refused = run("serve", "--config", str(configured(site, "postgresql://x@y/z")), "--accept-loss")
    assert (refused.code, "--accept-loss is for storage.directory" in refused.err) == (2, True)


def test_a_server_waits_for_its_tables(site: Deployment, postgres: Postgres, run: Any) -> None:
    config = str(configured(site, postgres.create()))
    for words in (("serve", "--config", config, "--check"), ("serve", "--config", config)):
        refused = run(*words)
        assert refused.code in (1, 2)
        assert "secagg database upgrade --config server.toml" in refused.err
    for before in (None, LAYOUT):
        told = json.loads(run("database", "upgrade", "--config", config, "--json").out)
        assert told == {"upgraded": before is None, "before": before, "layout": LAYOUT}
    assert run("serve", "--config", config, "--check").code == 0


def test_a_database_that_is_away_is_said(site: Deployment, postgres: Postgres, run: Any) -> None:
    config = str(configured(site, postgres.conninfo("there_is_none")))
    for words in (("serve", "--config", config), ("database", "upgrade", "--config", config)):
        outcome = run(*words)
        assert outcome.code in (1, 2)
        assert outcome.err.endswith(
            f': database there_is_none at 127.0.0.1:{postgres.port}: database "there_is_none" does not '
            "exist; "
            "create it with ENCODING 'UTF8', or correct storage.postgres\n"
        )


def test_an_upgrade_says_what_it_found(site: Deployment, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = str(configured(site, "postgresql://x@y/z"))
    for before, sentence in (
        ("", "The database was empty, and has the tables of this release now, layout 0002."),
        ("0001", "The database had layout 0001, and has that of this release now, 0002."),
        ("0002", "The database had the layout of this release, 0002, already; nothing was changed."),
    ):
        monkeypatch.setattr(layout, "upgrade", lambda conninfo, before=before: (before, "0002"))
        assert run("database", "upgrade", "--config", config).out == f"{sentence}\n"


def test_a_check_and_a_start_end_alike_and_a_start_that_is_refused_leaves_nothing(
    site: Deployment, postgres: Postgres, run: Any
) -> None:
    away = "postgresql://secagg@127.0.0.1:1/secagg"
    for address, code in (("secagg@127.0.0.1/secagg", 2), (away, 1), (postgres.create(), 1)):
        config = configured(site, address)
        with config.open("a", encoding="utf-8") as file:
            file.write('[audit]\nfile = "audit"\n')
        for words in (("serve", "--config", str(config)), ("serve", "--config", str(config), "--check")):
            outcome = run(*words)
            assert outcome.code == code, (words, outcome.err)
    assert not (site / "blobs").exists()
    assert (site / "audit").read_bytes() == b""


def test_a_check_and_a_start_refuse_blobs_that_are_not_those_of_the_database(
    site: Deployment, postgres: Postgres, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgres.migrated()
    config = configured(site, database)
    assert run("serve", "--config", str(config), "--check").code == 0
    assert not (site / "blobs").exists()
    with serving(config) as server:
        server.stop()
    assert run("serve", "--config", str(config), "--check").code == 0
    config = configured(site, database, "elsewhere")
    for more in ((), ("--check",)):
        outcome = run("serve", "--config", str(config), *more)
        assert (outcome.code, "secagg.database is missing" in outcome.err) == (1, True), outcome.err
    assert not (site / "elsewhere").exists()
    # Without the extra, a bucket is no place: `None` is what Python says of a module that must not be there.
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "secagg.store.s3", raising=False)
    outcome = run("serve", "--config", str(configured(site, database, "s3://a/b")), "--check")
    assert (outcome.code, "pip install 'secagg[s3]'" in outcome.err) == (2, True), outcome.err


def test_a_directory_has_no_tables_to_upgrade(site: Deployment, run: Any) -> None:
    outcome = run("database", "upgrade", "--config", str(site.configure(SESSION)))
    assert outcome.code == 2
    assert "has no storage.postgres" in outcome.err


def test_replicas_that_start_at_once_make_a_session_once(site: Deployment, postgres: Postgres) -> None:
    config = configured(site, postgres.migrated())
    processes = [start("serve", "--config", str(config), "--json") for _ in range(3)]
    try:
        ready = [json.loads(process.stdout.readline()) for process in processes if process.stdout is not None]
        assert [each["sessions"] for each in ready] == [["first"]] * 3
        assert sorted(each["created"] for each in ready) == [[], [], ["first"]]
        assert [each["refused"] for each in ready] == [{}] * 3
    finally:
        for process in processes:
            process.terminate()
        codes = [finished(process)[0] for process in processes]
    assert codes == [0, 0, 0]
