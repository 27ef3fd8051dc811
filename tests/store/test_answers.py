"""A ledger in a directory: an answer is given once, whatever is repeated, whichever process asks."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import secagg
from secagg.store import answers
from secagg.store.answers import DirectoryLedger
from secagg.store.base import DamagedError
from secagg.store.durable import sync_directory

SESSION, OTHER = b"s" * 32, b"t" * 32
ONE, TWO = b"1" * 32, b"2" * 32


def test_one_answer_for_each_phase_client_and_session(tmp_path: Path) -> None:
    assert DirectoryLedger(tmp_path).record(SESSION, 1, "share_keys", ONE)
    ledger = DirectoryLedger(tmp_path)
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert not ledger.record(SESSION, 1, "share_keys", TWO)
    assert ledger.record(SESSION, 1, "masked_input", TWO)
    assert ledger.record(SESSION, 2, "share_keys", TWO)
    assert ledger.record(OTHER, 1, "share_keys", TWO)
    assert not ledger.record(SESSION, 1, "share_keys", TWO)


def test_a_directory_leaves_no_other_files(tmp_path: Path) -> None:
    ledger = DirectoryLedger(tmp_path)
    for answer in (ONE, TWO, ONE):
        ledger.record(SESSION, 1, "share_keys", answer)
    (file,) = tmp_path.iterdir()
    assert (len(file.read_bytes()), file.read_bytes()[:32]) == (64, ONE)


def test_a_record_that_a_disk_returns_otherwise_is_refused_and_stays(tmp_path: Path) -> None:
    ledger = DirectoryLedger(tmp_path)
    ledger.record(SESSION, 1, "share_keys", ONE)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    flips = (whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(len(whole)))
    for damaged in (*flips, b"", bytes(64), whole[:-1], whole + b"\0"):
        file.write_bytes(damaged)
        for answer in (ONE, TWO):
            with pytest.raises(DamagedError, match="is damaged, so that nobody knows what this client answered"):
                ledger.record(SESSION, 1, "share_keys", answer)
        assert (list(tmp_path.iterdir()), file.read_bytes()) == ([file], damaged)
    file.write_bytes(whole)
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    ledger.record(OTHER, 1, "share_keys", TWO)
    (other,) = set(tmp_path.iterdir()) - {file}
    file.write_bytes(other.read_bytes())
    with pytest.raises(DamagedError, match="take part in another one, and check the disk"):
        ledger.record(SESSION, 1, "share_keys", TWO)


@pytest.mark.parametrize("name", ["0" * 64, "copy", ".hidden"])
def test_a_record_under_another_name_is_not_taken_for_none(tmp_path: Path, name: str) -> None:
    ledger = DirectoryLedger(tmp_path)
    ledger.record(SESSION, 1, "share_keys", ONE)
    (file,) = tmp_path.iterdir()
    ledger.record(OTHER, 1, "share_keys", TWO)
    (tmp_path / "directory").mkdir()
    renamed = file.rename(tmp_path / name)
    sentence = f"{name} has another name than it was given, {file.name}: rename it"
    for again in (ledger, DirectoryLedger(tmp_path)):
        for answer in (ONE, TWO):
            with pytest.raises(DamagedError, match=sentence):
                again.record(SESSION, 1, "share_keys", answer)
        assert again.record(OTHER, 2, "share_keys", ONE)
    renamed.rename(file)
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert not ledger.record(SESSION, 1, "share_keys", TWO)


def test_what_a_process_wrote_that_ended_before_it_counted_is_no_record(tmp_path: Path) -> None:
    ledger = DirectoryLedger(tmp_path)
    ledger.record(SESSION, 1, "share_keys", ONE)
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / f".{file.name}.7.00")
    assert ledger.record(SESSION, 1, "share_keys", TWO)


def test_a_record_of_an_earlier_release_is_believed(tmp_path: Path) -> None:
    ledger = DirectoryLedger(tmp_path)
    ledger.record(SESSION, 1, "share_keys", ONE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(ONE)
    assert ledger.record(SESSION, 1, "share_keys", ONE)
    assert not ledger.record(SESSION, 1, "share_keys", TWO)


def _claim(path: Path, answer: bytes) -> bool:
    return DirectoryLedger(path).record(SESSION, 1, "unmasking", answer)


def test_of_many_processes_one_wins(tmp_path: Path) -> None:
    hashes = [bytes([number]) * 32 for number in range(16)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as pool:
        claimed = list(pool.map(_claim, [tmp_path] * len(hashes), hashes))
    assert claimed.count(True) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser can write everywhere")
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(secagg.ParameterError, match="cannot be written"):
        DirectoryLedger(tmp_path).record(SESSION, 1, "unmasking", ONE)


def test_a_directory_that_went_away(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    ledger = DirectoryLedger(tmp_path / "ledger")
    (tmp_path / "ledger").rmdir()
    with pytest.raises(secagg.ParameterError, match="cannot be written"):
        ledger.record(SESSION, 1, "unmasking", ONE)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(secagg.ParameterError, match="ledger is no directory; make it, for the client's user alone"):
        DirectoryLedger(tmp_path / "ledger")


def test_what_another_process_wrote_is_on_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have made the file and ended before the directory was written."""
    synced: list[Path] = []

    def noted(path: Path) -> None:
        synced.append(path)
        sync_directory(path)

    monkeypatch.setattr(answers, "sync_directory", noted)
    for answer in (b"one", b"one", b"two"):
        assert DirectoryLedger(tmp_path).record(bytes(32), 1, "cell", answer) is (answer == b"one")
    assert synced == [tmp_path] * 3


def test_what_no_ledger_can_notice_is_said(tmp_path: Path) -> None:
    """A file that is not there may have been deleted in its time: who keeps the directory must not lose one."""
    said = DirectoryLedger.__doc__ or ""
    for number, lost in enumerate(("deleted", "moved out", "into another one below")):
        assert lost in said
        directory = tmp_path / str(number)
        (directory / "below").mkdir(parents=True)
        ledger = DirectoryLedger(directory)
        ledger.record(SESSION, 1, "share_keys", ONE)
        (file,) = (each for each in directory.iterdir() if each.is_file())
        if number:
            file.rename((tmp_path, directory / "below")[number - 1] / file.name)
        else:
            file.unlink()
        assert DirectoryLedger(directory).record(SESSION, 1, "share_keys", TWO), lost
