"""A database that lost what was committed is refused, and left as it was found, until an operator says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secagg.store.base import Aborted, Completed, DamagedError, EntryKind, StoreError
from secagg.store.database import DATABASE, HEAD, KEPT, QUARANTINE, WAL
from secagg.store.head import Head, HeadFile
from secagg.store.sqlite import UPLOADS, SqliteStore
from tests.store.test_damage import flip, opened
from tests.store.test_stores import RECORD, entry, uploaded


def crashed(tmp_path: Path) -> tuple[Path, Path, str, str]:
    """A directory as a process leaves it that dies, a copy, and the uploads in it: one in the log, one a result."""
    with opened(tmp_path / "alive") as store:
        for name in ("one", "two", "three"):
            store.create(replace(RECORD, name=name))
        result = uploaded(store, b"result", "two")
        store.finish("two", Completed(result))  # everything so far is in the database, the rest in the log of SQLite
        masked = uploaded(store, b"masked")
        for client in range(1, 9):
            store.append("one", [entry(client, bytes(2000))])
        store.append("one", [entry(9, masked.encode(), EntryKind.UPLOAD)])
        for copy in ("data", "whole"):
            shutil.copytree(tmp_path / "alive", tmp_path / copy)
    return tmp_path / "data", tmp_path / "whole", masked, result


def stored(directory: Path) -> set[str]:
    return {path.name for path in (directory / UPLOADS).rglob("*") if path.is_file()}


def lose(directory: Path, what: str) -> None:
    log, database, head = (directory / name for name in (WAL, DATABASE, HEAD))
    match what:
        case "log flipped":
            flip(log, log.stat().st_size - 500)
        case "log flipped early":
            flip(log, 3000)
        case "log shortened":
            os.truncate(log, log.stat().st_size // 2)
        case "log empty":
            os.truncate(log, 0)
        case "log missing":
            log.unlink()
        case "database missing":
            database.unlink()
        case "database and log empty":
            os.truncate(database, 0)
            log.unlink()
        case "head missing":
            head.unlink()
        case "head damaged":
            flip(head, 20)
            flip(head, 532)
        case "head of another time":
            head.unlink()
            HeadFile(head).write(Head(5, bytes(32)))


LOSSES: dict[str, str] = {
    "log flipped": "lost the last 1 of",
    "log flipped early": "lost the last",
    "log shortened": "lost the last",
    "log empty": "lost the last",
    "log missing": "damaged, shortened or missing",
    "database missing": "is missing, and it was there before",
    "database and log empty": "is empty, and it was not before",
    "head missing": "nobody knows what is lost",
    "head damaged": "nobody knows what is lost",
    "head of another time": "not of one time",
}


@pytest.mark.parametrize("what", LOSSES)
def test_what_was_lost_is_noticed_and_nothing_is_removed(tmp_path: Path, what: str) -> None:
    directory, whole, masked, result = crashed(tmp_path)
    lose(directory, what)
    found = (directory / WAL).read_bytes() if (directory / WAL).exists() else b""
    for _ in range(2):
        with pytest.raises(DamagedError, match=f"{LOSSES[what]}.*start with --accept-loss"):
            SqliteStore(directory)
        assert stored(directory) == {masked, result}
        kept = [path.read_bytes() for path in (directory / WAL, directory / KEPT) if path.exists()]
        assert not found or found in kept, "what SQLite had not read is gone"
    for name in (DATABASE, WAL, HEAD):
        shutil.copyfile(whole / name, directory / name)
    with opened(directory) as store:
        assert [logged.client for logged in store.entries("one")] == list(range(1, 10))
        with store.open_upload("one", masked) as view:
            assert bytes(view) == b"masked"
        store.append("one", [entry(10)])
    assert not (directory / KEPT).exists()
    with opened(directory) as store:
        assert [logged.client for logged in store.entries("one")] == list(range(1, 11))


@pytest.mark.parametrize("what", LOSSES)
def test_a_loss_that_is_accepted_ends_what_ran(tmp_path: Path, what: str) -> None:
    directory, _, masked, result = crashed(tmp_path)
    lose(directory, what)
    with pytest.raises(DamagedError, match=LOSSES[what]):
        SqliteStore(directory)
    store = SqliteStore(directory, accept_loss=True)
    names = [record.name for record in store.sessions()]
    if names:
        assert names == ["one", "two", "three"]
        for name in ("one", "three"):
            ended = store.outcome(name)
            assert isinstance(ended, Aborted)
            assert (ended.reason, "lost what clients" in ended.detail) == ("A10", True)
        assert store.outcome("two") == Completed(result)
        with store.open_upload("two", result) as view:
            assert bytes(view) == b"result"
    kept = {path.name.partition("-")[2] for path in (directory / QUARANTINE).iterdir() if path.name.startswith("1-")}
    assert kept == {masked}
    store.create(replace(RECORD, name="four"))
    store.close()
    with opened(directory) as store:
        assert [record.name for record in store.sessions()] == [*names, "four"]


@pytest.mark.parametrize("what", LOSSES)
def test_a_session_that_may_be_lost_is_not_made_anew(tmp_path: Path, what: str) -> None:
    """Clients that kept nothing would take part in it twice."""
    directory, _, _, _ = crashed(tmp_path)
    lose(directory, what)
    store = SqliteStore(directory, accept_loss=True, expected=["one", "two", "lost"])
    known = [record.name for record in store.sessions()]
    for accepted in (False, True):
        assert set(store.damaged()) == {"one", "two", "lost"} - set(known)
        assert "may have run before the server's database lost it" in store.damaged()["lost"]
        with pytest.raises(DamagedError, match="session lost may have run"):
            store.create(replace(RECORD, name="lost"))
        store.close()
        if accepted:
            lose(directory, "head missing")
        store = SqliteStore(directory, accept_loss=accepted, expected=["lost"])
    assert store.discard("lost")
    store.create(replace(RECORD, name="lost"))
    store.close()
    with opened(directory) as whole:
        assert [record.name for record in whole.sessions()] == [*known, "lost"]


def test_a_session_that_is_expected_of_a_whole_database_is_new(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, accept_loss=True, expected=["new"])
    assert store.damaged() == {}
    store.create(replace(RECORD, name="new"))
    store.close()


@pytest.mark.parametrize("what", [what for what in LOSSES if not what.startswith("database")])
@pytest.mark.parametrize("made", [True, False])
def test_a_loss_is_accepted_when_what_ran_has_ended_and_not_before(tmp_path: Path, what: str, made: bool) -> None:
    """A start that dies on the way has ended nothing: the next must not go on with what clients know better."""
    directory, _, _, _ = crashed(tmp_path)
    lose(directory, what)
    source = (
        "import os, signal, sys; from pathlib import Path\n"
        "from secagg.store.sqlite import SqliteStore\n"
        "end = SqliteStore._end_all\n"
        "def dying(*arguments):\n"
        "    if sys.argv[2] == 'True': end(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "SqliteStore._end_all = dying\n"
        "SqliteStore(Path(sys.argv[1]), accept_loss=True)\n"
    )
    died = subprocess.run([sys.executable, "-c", source, str(directory), str(made)], check=False)
    assert died.returncode == -9
    if not made:
        with pytest.raises(DamagedError):
            SqliteStore(directory)
    store = SqliteStore(directory, accept_loss=not made)
    assert isinstance(store.outcome("one"), Aborted)
    store.close()


@pytest.mark.parametrize("accept_loss", [True, False])
def test_who_is_refused_beside_a_server_that_runs_leaves_nothing(tmp_path: Path, accept_loss: bool) -> None:
    """A log that goes on is not what a start found: kept, it would hide the one that a later start does find."""
    running = SqliteStore(tmp_path)
    running.create(RECORD)
    before = {path.name for path in tmp_path.iterdir()}
    assert WAL in before
    code = (
        "import sys; from pathlib import Path; from secagg.store.sqlite import SqliteStore\n"
        "SqliteStore(Path(sys.argv[1]), accept_loss=sys.argv[2] == 'True')\n"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(accept_loss)], capture_output=True, text=True, check=False
    )
    assert "is another server using it?" in second.stderr
    assert {path.name for path in tmp_path.iterdir()} == before
    running.close()


def test_uploads_of_another_program_are_left_alone_whatever_is_accepted(tmp_path: Path) -> None:
    foreign = tmp_path / "uploads" / "17" / "letter.pdf"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"dear")
    for accept_loss in (False, True):
        with pytest.raises(StoreError, match="uploads and no database beside it"):
            SqliteStore(tmp_path, accept_loss=accept_loss)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [foreign]


@pytest.mark.parametrize("noted", [True, False])
def test_a_process_that_dies_between_commit_and_note_lost_nothing(tmp_path: Path, noted: bool) -> None:
    source = (
        "import os, signal, sys; from pathlib import Path\n"
        "from secagg.store.head import HeadFile; from secagg.store.sqlite import SqliteStore\n"
        "from tests.store.test_stores import RECORD, entry\n"
        "store = SqliteStore(Path(sys.argv[1])); store.create(RECORD)\n"
        "write = HeadFile.write\n"
        "def dying(*arguments):\n"
        "    if sys.argv[2] == 'True': write(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "HeadFile.write = dying\n"
        "store.append('one', [entry(1)])\n"
    )
    died = subprocess.run([sys.executable, "-c", source, str(tmp_path), str(noted)], check=False)
    assert died.returncode == -9
    with opened(tmp_path) as store:
        assert list(store.entries("one")) == [entry(1)]


def test_a_note_that_cannot_be_written_is_made_up_before_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit before is durable: its clients are told so. The next one waits for the note."""

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path) as store:
        store.create(RECORD)
        with monkeypatch.context() as patched:
            patched.setattr(HeadFile, "write", full)
            store.append("one", [entry(1)])
            with pytest.raises(StoreError, match=r"secagg\.head cannot be written: No space left"):
                store.append("one", [entry(2)])
        store.append("one", [entry(3)])
        assert list(store.entries("one")) == [entry(1), entry(3)]
    with opened(tmp_path) as store:
        assert list(store.entries("one")) == [entry(1), entry(3)]


def test_each_commit_is_noted_behind_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        heads = [HeadFile(tmp_path / HEAD).read()]
        changes: list[Callable[[], object]] = [
            lambda: store.create(RECORD),
            lambda: store.append("one", [entry(1)]),
            lambda: store.finish("one", Completed(None)),
            lambda: store.discard("one"),
        ]
        for change in changes:
            change()
            heads.append(HeadFile(tmp_path / HEAD).read())
    known = [head for head in heads if head is not None]
    assert [head.number for head in known] == list(range(known[0].number, known[0].number + 5))
    assert len({head.mark for head in known}) == 5


def test_a_note_that_is_torn_leaves_the_one_before(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / HEAD)
    assert file.read() is None
    assert file.blank()
    for number in range(1, 5):
        file.write(Head(number, bytes([number]) * 32))
    assert file.read() == Head(4, bytes([4]) * 32)
    flip(tmp_path / HEAD, 3)  # the place of even numbers
    assert file.read() == Head(3, bytes([3]) * 32)
    os.truncate(tmp_path / HEAD, 100)
    assert file.read() is None
    assert not file.blank()
