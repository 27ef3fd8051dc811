"""Seeds are there, belong to this release, and stay small; crashes become cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import convert, seeds
from fuzz.inputs import CORPUS, NoInputError, cases, corpus
from fuzz.registry import TARGETS
from fuzz.vector_seeds import vector_seeds


@pytest.mark.parametrize("target", TARGETS)
def test_committed_seeds_are_those_of_this_release(target: str) -> None:
    """Run `python -m fuzz.seeds` after a change of the wire, of snapshots or of a driver."""
    written = {name: data for name, data in corpus(target).items() if name.startswith("seed-")}
    assert list(written.values()) == seeds.generate()[target]


def test_corpora_are_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 300_000


def test_a_target_without_seeds_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"python -m fuzz\.seeds"):
        corpus("offer", tmp_path)
    (tmp_path / "offer").mkdir()
    with pytest.raises(NoInputError, match="no seed"):
        corpus("offer", tmp_path)
    with pytest.raises(NoInputError, match="no target"):
        corpus("offers")


def test_vectors_without_seeds_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="make vectors"):
        vector_seeds("offer", tmp_path)


def test_seeds_are_written_where_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "offer").mkdir()
    (tmp_path / "offer" / "seed-99").write_bytes(b"stale")
    assert seeds.write(tmp_path) == sum(len(data) for target in TARGETS for data in corpus(target, tmp_path).values())
    assert corpus("offer", tmp_path) == corpus("offer")


def test_a_crash_becomes_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crash = tmp_path / "crash-1"
    crash.write_bytes(b"boom")
    named = convert.convert(crash, "offer", "boom", tmp_path / "cases")
    assert named == tmp_path / "cases" / "offer" / "boom"
    assert convert.convert(crash, "offer", "boom", tmp_path / "cases") == named
    unnamed = convert.convert(crash, "offer", root=tmp_path / "cases")
    assert cases("offer", tmp_path / "cases") == {"boom": b"boom", unnamed.name: b"boom"}
    assert unnamed.name.startswith("crash-")
    assert convert.main([]) == 2
    assert "CRASHFILE" in capsys.readouterr().err


def test_a_case_is_never_overwritten_or_put_elsewhere(tmp_path: Path) -> None:
    crash = tmp_path / "crash-1"
    crash.write_bytes(b"one")
    convert.convert(crash, "offer", "a", tmp_path)
    crash.write_bytes(b"two")
    with pytest.raises(ValueError, match="exists with another input"):
        convert.convert(crash, "offer", "a", tmp_path)
    with pytest.raises(ValueError, match="plain file name"):
        convert.convert(crash, "offer", "../a", tmp_path)
    with pytest.raises(ValueError, match="no target"):
        convert.convert(crash, "offers", "a", tmp_path)
    assert cases("offer", tmp_path) == {"a": b"one"}
