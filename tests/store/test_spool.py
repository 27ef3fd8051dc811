"""What a hybrid session keeps in a file: the same sum, nothing in memory, and no byte that was not written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from secagg import Round, ServerSession
from secagg.hosting.replica import Replica
from secagg.store.base import DamagedError
from secagg.store.spool import FileSpool
from tests.harness import Harness

ROWS = {7: b"seven", 2**64 - 1: b"last.", 1: b"first"}


def test_rows_come_back_by_their_ids_in_ascending_order(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    first, second, none = spool(ROWS), spool({3: b"x" * 1120}), spool({})
    assert dict(first) == ROWS
    assert list(first) == sorted(ROWS)
    assert dict(second) == {3: b"x" * 1120}
    assert not none
    assert 1 in first
    assert 2 not in first
    with pytest.raises(KeyError):
        first[2]
    assert list(tmp_path.iterdir()) == []  # it has no name that could be left behind


def test_a_row_that_was_damaged_is_no_row(tmp_path: Path) -> None:
    spool = FileSpool(tmp_path)
    rows = spool(ROWS)
    assert spool._file is not None
    os.pwrite(spool._file.descriptor, b"F", 0)
    with pytest.raises(DamagedError, match="client 1 is owed was damaged"):
        rows[1]
    assert rows[7] == b"seven"
    os.ftruncate(spool._file.descriptor, 3)
    with pytest.raises(DamagedError):
        rows[7]


def test_what_the_disk_does_not_take_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = FileSpool(tmp_path)
    before = spool(ROWS)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        assert spool(ROWS) is ROWS
    assert dict(before) == dict(spool(ROWS)) == ROWS
    assert FileSpool(tmp_path / "none")(ROWS) is ROWS


def test_a_hybrid_session_asks_its_spool_for_what_dropped_clients_made_and_for_nothing_else(tmp_path: Path) -> None:
    spool, kept, asked = FileSpool(tmp_path), list[int](), list[int]()

    class Watched(Mapping[int, bytes]):
        def __init__(self, rows: Mapping[int, bytes]) -> None:
            self.rows = rows

        def __getitem__(self, owner: int) -> bytes:
            asked.append(owner)
            return self.rows[owner]

        def __iter__(self) -> Iterator[int]:
            return iter(self.rows)

        def __len__(self) -> int:
            return len(self.rows)

    def watched(rows: Mapping[int, bytes]) -> Mapping[int, bytes]:
        kept.extend(rows)
        return Watched(spool(rows))

    harness = Harness(6, suite=0x0101, threshold=3)
    harness.server = ServerSession(harness.parameters, spool=watched)
    harness.clients = {client: harness.make_client(client) for client in harness.cohort}
    gone, stays = 4, [1, 2, 3, 5, 6]
    harness.finish(silent={Round.MASKED_INPUT: [gone]})
    assert sorted(kept) == [2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 6]
    assert sorted(asked) == sorted([gone] * 3 + [5, 6])
    harness.assert_exact(stays)


def test_a_served_session_keeps_ciphertexts_in_a_file() -> None:
    session = Replica(Harness(4, suite=0x0101, threshold=2).parameters, {}).session
    assert isinstance(session._state.context.spool, FileSpool)  # type: ignore[union-attr]
