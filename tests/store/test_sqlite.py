"""The store in a directory: it is there again after a restart, belongs to one process, and survives a full disk."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secagg.store import files
from secagg.store.base import Aborted, Completed, Entry, EntryKind, StoreError
from secagg.store.database import DATABASE, QUARANTINE
from secagg.store.durable import sync_directory
from secagg.store.files import QUARANTINE_SECONDS
from secagg.store.sqlite import UPLOADS, SqliteStore
from tests.store.test_stores import RECORD, entry, uploaded


def reopened(store: SqliteStore, directory: Path) -> SqliteStore:
    store.close()
    return SqliteStore(directory)


def files_of(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory / UPLOADS)) for path in (directory / UPLOADS).rglob("*"))


def test_everything_is_there_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for name in ("one", "two", "three"):
        store.create(replace(RECORD, name=name))
    masked, result = uploaded(store, b"masked"), uploaded(store, b"result", "two")
    log = [entry(1), entry(2, masked.encode(), EntryKind.UPLOAD)]
    store.append("one", log)
    store.finish("two", Completed(result))
    store.finish("three", Aborted("A10", "why"))
    for _ in range(2):
        store = reopened(store, tmp_path)
        assert [record.name for record in store.sessions()] == ["one", "two", "three"]
        assert store.sessions()[0] == RECORD
        assert list(store.entries("one")) == log
        assert [store.outcome(name) for name in ("one", "two", "three")] == [
            None,
            Completed(result),
            Aborted("A10", "why"),
        ]
        for name, number, data in (("one", masked, b"masked"), ("two", result, b"result")):
            with store.open_upload(name, number) as view:
                assert bytes(view) == data
    store.close()


def test_what_nothing_names_is_set_aside_at_the_start(tmp_path: Path) -> None:
    """A start removes nothing that was ever whole: what the database says may be what is left of it."""
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    named = uploaded(store, b"named")
    store.append("one", [entry(2, named.encode(), EntryKind.UPLOAD)])
    orphan = uploaded(store, b"orphan")
    begun = store.begin_upload("one", 9)
    begun.write(b"begun")
    (tmp_path / UPLOADS / "77").mkdir()
    (tmp_path / UPLOADS / "77" / ("0" * 32)).write_bytes(b"of a session that was discarded")
    (tmp_path / UPLOADS / "other").mkdir()
    assert len(files_of(tmp_path)) == 7
    begun.discard()
    store = reopened(store, tmp_path)
    assert files_of(tmp_path) == ["1", f"1/{named}"]
    aside = tmp_path / QUARANTINE
    assert sorted(path.name for path in aside.iterdir()) == sorted([f"1-{orphan}", "77-" + "0" * 32])
    assert (aside / f"1-{orphan}").read_bytes() == b"orphan"
    store.close()


def test_quarantine_is_emptied_by_age_and_never_by_a_start(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for name in ("one", "two"):
        store.create(replace(RECORD, name=name))
    orphans = [uploaded(store, bytes([number])) for number in range(2)]
    store = reopened(store, tmp_path)
    old, new = (tmp_path / QUARANTINE / f"1-{orphan}" for orphan in orphans)
    (tmp_path / QUARANTINE / "1-folder").mkdir()
    long_ago = time.time() - QUARANTINE_SECONDS - 60
    for path in (old, tmp_path / QUARANTINE / "1-folder"):
        os.utime(path, (long_ago, long_ago))
    store = reopened(store, tmp_path)
    assert old.exists()
    store.finish("one", Aborted("A10", ""))
    assert [path.name for path in (tmp_path / QUARANTINE).iterdir()] == [new.name]
    store.close()


def test_a_directory_with_uploads_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """The sweep of orphans would remove them: they are another program's, or those of a database that was lost."""
    (tmp_path / UPLOADS / "1").mkdir(parents=True)
    (tmp_path / UPLOADS / "1" / "holiday.jpg").write_bytes(b"irreplaceable")
    for _ in range(2):
        with pytest.raises(StoreError, match="has uploads and no database"):
            SqliteStore(tmp_path)
    assert files_of(tmp_path) == ["1", "1/holiday.jpg"]


def test_files_beside_the_uploads_do_not_keep_a_server_from_starting(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    (tmp_path / UPLOADS / ".DS_Store").write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_bytes(b"x")
    (tmp_path / UPLOADS / "linked").symlink_to(tmp_path / "elsewhere")
    SqliteStore(tmp_path).close()
    assert files_of(tmp_path) == []
    assert (tmp_path / "elsewhere" / "kept").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    source = (
        "import sys; from pathlib import Path\n"
        "from secagg.store.base import StoreError; from secagg.store.sqlite import SqliteStore\n"
        "try: SqliteStore(Path(sys.argv[1]))\n"
        "except StoreError as error: print(error)\n"
    )
    other = subprocess.run([sys.executable, "-c", source, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "is another server using it?" in other.stdout
    with pytest.raises(StoreError, match="is another server using it"):
        SqliteStore(tmp_path)
    store.create(RECORD)
    reopened(store, tmp_path).close()


def test_the_directory_is_private(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "deep" / "data")
    for path in (tmp_path / "deep" / "data", *(tmp_path / "deep" / "data").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    store.close()


def test_a_directory_of_another_release_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(StoreError, match="another release"):
        SqliteStore(tmp_path)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteStore(tmp_path / "file")
    (tmp_path / DATABASE).write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(tmp_path)


def test_durability_is_what_the_database_is_set_to(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    settings = {
        name: store._database.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "locking_mode", "secure_delete")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive", "secure_delete": 1}
    store.close()


def test_an_upload_is_synchronized_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    steps: list[str] = []

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            steps.append(name)
            return call(*arguments)

        return noting

    upload = store.begin_upload("one", 3)
    upload.write(b"abc")
    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(Path, "rename", noted("rename", Path.rename))
    monkeypatch.setattr(files, "sync_directory", noted("directory", sync_directory))
    upload.commit()
    assert steps == ["fsync", "rename", "directory", "fsync"]
    store.close()


def test_a_full_database_refuses_and_recovers(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    store.append("one", [entry(1)])
    pages = store._database.connection.execute("PRAGMA page_count").fetchone()[0]
    store._database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        store.append("one", [entry(2), entry(3, bytes(1 << 20))])
    assert list(store.entries("one")) == [entry(1)]
    store._database.connection.execute("PRAGMA max_page_count = 1000000")
    store.append("one", [entry(3, bytes(1 << 20))])
    store = reopened(store, tmp_path)
    assert list(store.entries("one")) == [entry(1), entry(3, bytes(1 << 20))]
    store.close()


UNSYNCHRONIZED = sqlite3.SQLITE_IOERR_FSYNC


class FailingCommits:
    """A connection whose transactions are durable, although the disk says that they are not."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self.connection = connection
        self.code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        done = self.connection.execute(statement, *values)
        if statement == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self.code
            raise error
        return done


def test_after_a_commit_that_may_be_durable_nothing_is_changed_before_a_restart(tmp_path: Path) -> None:
    """The log may name the upload: if the host removed it, no restart could follow that log."""
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    number = uploaded(store, b"masked")
    connection: Any = FailingCommits(store._database.connection, sqlite3.SQLITE_IOERR_FSYNC)
    store._database.connection = connection
    with pytest.raises(StoreError, match="disk I/O error"):
        store.append("one", [entry(1, number.encode(), EntryKind.UPLOAD)])
    store._database.connection = connection.connection
    for change in (
        lambda: store.discard_upload("one", number),
        lambda: store.append("one", [entry(2)]),
        lambda: store.begin_upload("one", 1),
    ):
        with pytest.raises(StoreError, match="restart the server"):
            change()
    store = reopened(store, tmp_path)
    assert list(store.entries("one")) == [entry(1, number.encode(), EntryKind.UPLOAD)]
    with store.open_upload("one", number) as view:
        assert bytes(view) == b"masked"
    store.append("one", [entry(2)])
    store.close()


def test_a_commit_that_could_not_be_written_is_made_again(tmp_path: Path) -> None:
    """As with a quota of the file system: what was not written whole is not there."""
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    connection: Any = FailingCommits(store._database.connection, sqlite3.SQLITE_IOERR_WRITE)
    store._database.connection = connection
    with pytest.raises(StoreError, match="disk I/O error"):
        store.append("one", [entry(1)])
    store._database.connection = connection.connection
    store.append("one", [entry(2)])
    store.close()


def test_a_transaction_that_breaks_off_in_the_middle_is_undone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    unwritable: Any = None
    with pytest.raises(StoreError, match="NOT NULL"):
        store.append("one", [entry(1), Entry(EntryKind.MESSAGE, 2, unwritable)])
    store = reopened(store, tmp_path)
    assert list(store.entries("one")) == []
    store.close()


@pytest.mark.parametrize(("owner", "failing"), [(os, "fsync"), (Path, "rename")])
def test_a_full_disk_refuses_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, failing: str
) -> None:
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    upload = store.begin_upload("one", 3)
    upload.write(b"abc")

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(owner, failing, full)
        with pytest.raises(StoreError, match="No space left"):
            upload.commit()
    upload.discard()
    assert files_of(tmp_path) == ["1"]
    with store.open_upload("one", uploaded(store, b"abc")) as view:
        assert bytes(view) == b"abc"
    store.close()


def test_a_file_of_too_many_bytes_for_the_disk_is_refused(tmp_path: Path) -> None:
    """A real limit of the operating system, in a process of its own."""
    source = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from secagg.store.base import StoreError, SessionRecord; from secagg.store.sqlite import SqliteStore\n"
        "store = SqliteStore(Path(sys.argv[1])); store.create(SessionRecord('one', b'', {}, b'', 0.0))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "upload = store.begin_upload('one', 1 << 22)\n"
        "try: upload.write(bytes(1 << 22))\n"
        "except StoreError as error: print(error)\n"
        "upload.discard(); store.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", source, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "an upload cannot be written: File too large" in done.stdout
    assert files_of(tmp_path) == ["1"]


def test_tidying_up_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome is durable by then; the files are set aside at the next start."""
    store = SqliteStore(tmp_path)
    store.create(RECORD)
    store.append("one", [Entry(EntryKind.UPLOAD, 1, uploaded(store, b"masked").encode())])

    def broken(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", broken)
        store.finish("one", Aborted("A10", ""))
    assert store.outcome("one") == Aborted("A10", "")
    assert len(files_of(tmp_path)) == 2
    store = reopened(store, tmp_path)
    assert files_of(tmp_path) == []
    store.close()
