"""What a disk gives back otherwise than it was given is noticed: it is never taken for what was written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from secagg.store.base import Aborted, Completed, DamagedError, Entry, EntryKind, StoreError
from secagg.store.database import DATABASE, QUARANTINE
from secagg.store.sqlite import UPLOADS, SqliteStore
from tests.store.test_stores import RECORD, entry, uploaded

NAMES = ("one", "two", "three")
POSITIONS = 160  # flipped bits, spread over the database


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Turn one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ (1 << bit)]))


def flip_text(path: Path, text: bytes) -> None:
    """Turn a bit in the only place of a file that has these bytes."""
    data = path.read_bytes()
    assert data.count(text) == 1
    flip(path, data.index(text) + len(text) // 2)


@contextmanager
def opened(directory: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(directory)
    try:
        yield store
    finally:
        store.close()


def filled(directory: Path) -> dict[str, str]:
    """Three sessions: one runs, one completed, one was aborted; returns the uploads of the first two."""
    with opened(directory) as store:
        for name in NAMES:
            store.create(replace(RECORD, name=name, offer=f"the offer of {name}".encode() * 9))
        masked, result = uploaded(store, b"the masked input" * 99), uploaded(store, b"the result" * 99, "two")
        store.append("one", [entry(client, f"message {client} of one".encode()) for client in range(1, 40)])
        store.append(
            "one", [entry(40, masked.encode(), EntryKind.UPLOAD), entry(None, b"closed", EntryKind.CLOSE_ROUND)]
        )
        store.append("two", [entry(1, b"message of two")])
        store.finish("two", Completed(result, {"S01": 2}))
        store.finish("three", Aborted("A10", "why it was aborted", {"S02": 1}))
    return {"one": masked, "two": result}


def told(store: SqliteStore, uploads: dict[str, str]) -> dict[str, Any]:
    """Everything that a store says, or that it is damaged."""

    def tried(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except StoreError:
            return StoreError

    def log_of(name: str) -> list[Entry]:
        return list(store.entries(name))

    def bytes_of(name: str) -> bytes:
        with store.open_upload(name, uploads[name]) as view:
            return bytes(view)

    records = tried(lambda: {record.name: record for record in store.sessions()})
    found: dict[str, Any] = {
        f"record {name}": StoreError if records is StoreError else records.get(name, StoreError) for name in NAMES
    }
    for name in NAMES:
        found[f"outcome {name}"] = tried(partial(store.outcome, name))
        found[f"entries {name}"] = tried(partial(log_of, name))
    for name in uploads:
        found[f"upload {name}"] = tried(partial(bytes_of, name))
    return found


def test_one_flipped_bit_of_the_database_is_never_taken_for_what_was_written(tmp_path: Path) -> None:
    """Records, logs and outcomes alike, wherever the bit is: what a store says is as it was, or an error."""
    uploads = filled(tmp_path / "whole")
    with opened(tmp_path / "whole") as store:
        whole = told(store, uploads)
    assert StoreError not in whole.values()
    size = (tmp_path / "whole" / DATABASE).stat().st_size
    noticed, kept = 0, 0
    for number in range(POSITIONS):
        directory = tmp_path / "flipped"
        shutil.copytree(tmp_path / "whole", directory)
        flip(directory / DATABASE, size * number // POSITIONS + 37 * number % 61, number % 8)
        try:
            with opened(directory) as store:
                found = told(store, uploads)
        except StoreError:
            noticed += 1
        else:
            wrong = {what for what, said in found.items() if said is not StoreError and said != whole[what]}
            assert not wrong, (number, wrong)
            noticed += StoreError in found.values()
            kept += sum(said is not StoreError for said in found.values())
        names = {path.name for place in (UPLOADS, QUARANTINE) for path in (directory / place).rglob("*")}
        assert all(any(upload in name for name in names) for upload in uploads.values()), "an upload was removed"
        shutil.rmtree(directory)
    assert noticed > 5
    assert kept > POSITIONS


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (b"message 7 of one", "entries one"),
        (b"closed", "entries one"),
        (b"the offer of one" * 9, "record one"),
        (b"the offer of two" * 9, "record two"),
        (b"why it was aborted", "outcome three"),
        (json.dumps({"S01": 2}).encode(), "outcome two"),
    ],
)
def test_what_is_damaged_is_lost_alone(tmp_path: Path, text: bytes, lost: str) -> None:
    uploads = filled(tmp_path)
    with opened(tmp_path) as store:
        whole = told(store, uploads)
    flip_text(tmp_path / DATABASE, text)
    with opened(tmp_path) as store:
        found = told(store, uploads)
        name = lost.split()[1]
        assert found[lost] is StoreError
        assert {what for what in found if found[what] != whole[what]} <= {what for what in found if what.endswith(name)}
        assert list(store.damaged()) == ([name] if lost.startswith("record") else [])


def test_a_damaged_session_says_so(tmp_path: Path) -> None:
    filled(tmp_path)
    flip_text(tmp_path / DATABASE, b"message 7 of one")
    flip_text(tmp_path / DATABASE, b"the offer of two" * 9)
    with opened(tmp_path) as store:
        with pytest.raises(DamagedError, match="log of session one was damaged on the disk behind its entry 6"):
            list(store.entries("one"))
        assert "session two was damaged on the disk" in store.damaged()["two"]
        with pytest.raises(DamagedError, match="session two was damaged"):
            store.create(replace(RECORD, name="two"))


@pytest.mark.parametrize("what", ["flipped", "shortened", "longer", "missing", "empty"])
def test_an_upload_that_is_not_what_was_committed_is_not_opened(tmp_path: Path, what: str) -> None:
    number = filled(tmp_path)["one"]
    path = tmp_path / UPLOADS / "1" / number
    match what:
        case "flipped":
            flip(path, 700)
        case "shortened":
            path.write_bytes(path.read_bytes()[:-1])
        case "longer":
            path.write_bytes(path.read_bytes() + b"\0")
        case "empty":
            path.write_bytes(b"")
        case "missing":
            path.unlink()
    with opened(tmp_path) as store:
        for sentence in ("not in the store" if what == "missing" else "was damaged", "not in the store"):
            with pytest.raises(DamagedError, match=sentence):
                store.open_upload("one", number).__enter__()
            store.set_aside("one", number)
        aside = [path.name for path in (tmp_path / QUARANTINE).glob("*")]
        assert aside == ([] if what == "missing" else [f"1-{number}"])


def test_an_entry_of_another_session_is_not_read_as_ones_own(tmp_path: Path) -> None:
    """As by a bit in the column that says whose it is: the other session's log is as it was."""
    with opened(tmp_path) as store:
        for name in ("one", "two"):
            store.create(replace(RECORD, name=name))
        store.append("two", [entry(1, b"first")])
        store.append("one", [entry(2, b"moved")])
        store.append("two", [entry(3, b"last")])
        store._database.connection.execute("UPDATE entries SET session = 2 WHERE client = '2'")
        assert list(store.entries("two")) == [entry(1, b"first"), entry(3, b"last")]
        with pytest.raises(DamagedError):
            list(store.entries("one"))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE client = '2'",
        "DELETE FROM entries WHERE client = '3'",
        "DELETE FROM entries",
        "UPDATE entries SET client = '4' WHERE client = '2'",
        "UPDATE entries SET kind = 'drop' WHERE client = '2'",
        "UPDATE entries SET position = position + 9 WHERE client = '1'",
    ],
)
def test_a_log_that_lost_or_changed_an_entry_is_damaged(tmp_path: Path, statement: str) -> None:
    with opened(tmp_path) as store:
        store.create(RECORD)
        for client in (1, 2, 3):
            store.append("one", [Entry(EntryKind.MESSAGE, client, bytes([client]))])
        store._database.connection.execute(statement)
        with pytest.raises(DamagedError):
            list(store.entries("one"))
