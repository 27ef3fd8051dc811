"""A directory of the layout before is brought to this one by a start: nothing is lost, and no damage is made good."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secagg.store.base import Aborted, Completed, DamagedError, EntryKind, StoreConflictError, StoreError
from secagg.store.database import DATABASE, HEAD
from secagg.store.head import HeadFile
from secagg.store.sqlite import SqliteStore
from tests.store.test_damage import flip_text, opened, told
from tests.store.test_stores import RECORD, entry

# Written by the last release with layout 3: what `test_damage.filled` makes, and its uploads.
OLD = Path(__file__).parent / "layout_3.tar.xz"
UPLOADS = {
    "one": "40a5dd805729253bdf63a659b86bb3f7-6c5b91beb0fe73e830a57ba880235d0f16bd6cc5ab2c35ed4649dbf8e4ec2fe8",
    "two": "daafe9308fcc194d13e426a608e2dd28-ef76561d9aaa60c8ac6f07b2ddbd528108ee9fdc808ac923f81cc2a469c13950",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    filters: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since CPython 3.11.4
    with tarfile.open(OLD) as archive:
        archive.extractall(tmp_path, **filters)  # noqa: S202 - our own file
    return tmp_path / "data"


def layout(directory: Path) -> tuple[int, int]:
    """The layout, and how the file gives pages back, of a database that nobody has open."""
    connection = sqlite3.connect(directory / DATABASE)
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "auto_vacuum")]
    connection.close()
    return found[0], found[1]


def test_everything_of_the_layout_before_is_there(directory: Path) -> None:
    noted = HeadFile(directory / HEAD).read()
    started = time.time()
    for _ in range(2):
        with opened(directory) as store:
            assert HeadFile(directory / HEAD).read() == noted, "an upgrade is no commit that could be missed"
            assert [(record.name, record.tenant) for record in store.sessions()] == [
                (name, "") for name in ("one", "two", "three")
            ]
            assert store.damaged() == {}
            assert StoreError not in told(store, UPLOADS).values()
            assert [logged.client for logged in store.entries("one")] == [*range(1, 41), None]
            two, three = store.outcome("two"), store.outcome("three")
            assert (store.outcome("one"), two, three) == (
                None,
                Completed(UPLOADS["two"], {"S01": 2}),
                Aborted("A10", "why it was aborted", {"S02": 1}),
            )
            # When they ended, nobody noted; they are kept for as long as if it were now.
            assert two is not None
            assert three is not None
            assert started <= two.ended_at == three.ended_at <= time.time()
    assert layout(directory) == (4, 2)
    with opened(directory) as store:
        store.append("one", [entry(41)])
        store.create(replace(RECORD, name="four", tenant="clinic"))
        store.finish("one", Aborted("A10", "", ended_at=7.5))
    with opened(directory) as store:
        assert store.sessions()[-1].tenant == "clinic"
        ended = store.outcome("one")
        assert ended is not None
        assert ended.ended_at == 7.5


@pytest.mark.parametrize(
    ("text", "name"), [(b"the offer of one" * 9, "one"), (b"why it was aborted", "three"), (b"message 7 of one", "one")]
)
def test_what_was_damaged_stays_so(directory: Path, text: bytes, name: str) -> None:
    flip_text(directory / DATABASE, text)
    for _ in range(2):
        with opened(directory) as store:
            found = told(store, UPLOADS)
            wrong = {what for what, said in found.items() if said is StoreError}
            assert wrong
            assert all(what.endswith(name) for what in wrong), wrong


def test_an_upgrade_that_fails_is_none(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE sessions ADD COLUMN tenant TEXT NOT NULL DEFAULT ''")
        connection.execute("SELECT * FROM nowhere")

    with monkeypatch.context() as patched:
        patched.setattr("secagg.store.sqlite.UPGRADES", {3: broken})
        with pytest.raises(StoreError, match="nowhere"):
            SqliteStore(directory)
    assert layout(directory) == (3, 0)
    with opened(directory) as store:
        assert len(store.sessions()) == 3


def test_a_process_that_dies_in_an_upgrade_has_made_none(directory: Path) -> None:
    source = (
        "import os, signal, sys; from pathlib import Path\n"
        "from secagg.store import sqlite, upgrades\n"
        "def dying(connection):\n"
        "    upgrades.UPGRADES[3](connection)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "sqlite.UPGRADES = {3: dying}\n"
        "sqlite.SqliteStore(Path(sys.argv[1]))\n"
    )
    died = subprocess.run([sys.executable, "-c", source, str(directory)], check=False)
    assert died.returncode == -9
    with opened(directory) as store:
        assert len(store.sessions()) == 3
    assert layout(directory) == (4, 2)


def test_a_file_that_cannot_be_written_anew_is_used_as_it_is(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is nearly full: the next start tries again."""

    class Full:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_connection":
                object.__setattr__(self, name, value)
            else:
                setattr(self._connection, name, value)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return self._connection.execute(statement, *values)

    connect = sqlite3.connect
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", lambda *arguments, **options: Full(connect(*arguments, **options)))
        with opened(directory) as store:
            assert len(store.sessions()) == 3
    assert layout(directory) == (4, 0)
    with opened(directory) as store:
        assert StoreError not in told(store, UPLOADS).values()
    assert layout(directory) == (4, 2)


@pytest.mark.parametrize("place", ["sessions", "names"])
def test_a_bit_in_a_name_does_not_free_it(tmp_path: Path, place: str) -> None:
    """Clients of that name hold the answers of the session that had it: another must not take its place."""
    with opened(tmp_path) as store:
        store.create(replace(RECORD, name="taken"))
        store._database.connection.execute(f"UPDATE {place} SET name = 'takeo'")  # noqa: S608 — one of two tables
    for _ in range(2):
        with opened(tmp_path) as store:
            assert list(store.damaged()) == (["taken"] if place == "sessions" else [])
            # What is damaged is refused; where only the second place is, the session is there as it was.
            with pytest.raises(DamagedError if place == "sessions" else StoreConflictError):
                store.create(replace(RECORD, name="taken", offer=b"another"))
            store.create(replace(RECORD, name="other"))
    with opened(tmp_path) as store:
        store.discard("taken")
        store.create(replace(RECORD, name="taken", offer=b"another"))


def test_a_flipped_bit_of_a_name_anywhere_frees_none(tmp_path: Path) -> None:
    """Each place where the name stands: the table, its index, and the table of names."""
    name = "a-name-that-stands-nowhere-else"
    with opened(tmp_path / "whole") as store:
        store.create(replace(RECORD, name=name))
    data = (tmp_path / "whole" / DATABASE).read_bytes()
    places = [at for at in range(len(data)) if data.startswith(name.encode(), at)]
    assert len(places) == 3
    for number, at in enumerate(places):
        copy = tmp_path / f"flipped-{number}"
        shutil.copytree(tmp_path / "whole", copy)
        changed = bytearray(data)
        changed[at + 3] ^= 4
        (copy / DATABASE).write_bytes(changed)
        with opened(copy) as store:
            with pytest.raises((DamagedError, StoreConflictError)):
                store.create(replace(RECORD, name=name, offer=b"another"))
            known = [record.name for record in store.sessions()] + list(store.damaged())
            assert known == [name]


def test_the_file_becomes_smaller_when_sessions_are_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(40):
            store.create(replace(RECORD, name=f"s{number}", offer=bytes([number]) * 20_000))
            store.append(f"s{number}", [entry(1, bytes(5000), EntryKind.MESSAGE)])
        store._database.give_back()
        full = (tmp_path / DATABASE).stat().st_size
        for number in range(39):
            store.discard(f"s{number}")
        small = (tmp_path / DATABASE).stat().st_size
        assert full > 40 * 20_000
        assert small < full / 10
        assert [record.name for record in store.sessions()] == ["s39"]
        assert len(list(store.entries("s39"))) == 1
