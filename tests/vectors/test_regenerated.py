"""The committed test vectors are what `python -m protocol_specs.generate_vectors` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol_specs.generate_vectors import __main__ as generate
from protocol_specs.generate_vectors.files import write


def test_all_files_are_generated_anew_byte_by_byte() -> None:
    assert generate.differences(generate.all_files()) == []


def test_differences_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a.json": {"x": 1}, "b/c.json": {"x": 2}, "b/d.json": {"x": 3}}
    monkeypatch.setattr(generate, "all_files", lambda: files)
    monkeypatch.setattr(generate, "VECTORS", tmp_path)
    monkeypatch.setattr(generate.differences, "__defaults__", (tmp_path,))
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    write(tmp_path, {"a.json": {"x": 4}, "stray.json": {}, "schema.json": {}})
    (tmp_path / "b" / "d.json").unlink()
    assert generate.main(["--check"]) == 1
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["a.json", "b/d.json", "stray.json"]
