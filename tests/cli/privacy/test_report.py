"""`secagg privacy report`: seven pictures and a page that needs nothing else."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import secagg
from secagg.privacy.lab import pictures
from secagg.privacy.lab.report import Section
from tests.command import Run

NAMES = {"strip", "identification", "coin-game", "budget", "audit", "accuracy", "who-sees-what"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report") / "new"


def test_a_report(run: Run, folder: Path) -> None:
    outcome = run("privacy", "report", "--out", str(folder), "--quick", "--json")
    assert outcome.code == 0
    record = json.loads(outcome.out)
    sections = record["sections"]
    assert set(sections) == NAMES
    assert {file.name for file in folder.iterdir()} == {f"{n}.{k}" for n in NAMES for k in ("png", "svg")} | {
        "index.html"
    }
    assert sections["identification"]["rates"]["1"] == 1.0
    assert all(pair["measured"] < pair["claimed"] for pair in sections["audit"]["pairs"])
    assert sections["budget"]["epsilon"] == sorted(sections["budget"]["epsilon"])
    assert sections["budget"]["epsilon"][-1] == pytest.approx(sections["budget"]["limit"], rel=1e-3)
    assert [row["kind"] for row in sections["accuracy"]["rows"]][:2] == ["no noise", "the server"]
    assert len(sections["strip"]["images"]) == 6
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<img src="(.*?)\.svg" alt="[^"]+">', page)) == NAMES
    assert "<script" not in page
    assert "http" not in page


def test_people_get_sentences_and_a_file_in_the_way_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = Section(
        "who-sees-what", "Who sees what", "All of it.", "A table.", {"columns": ["all"], "rows": {"a": ["b"]}}
    )
    monkeypatch.setattr("secagg.cli.privacy.report.measure", lambda effort, seed: iter([section]))
    outcome = run("privacy", "report", "--out", str(tmp_path / "new"))
    assert outcome.code == 0
    assert "Who sees what: All of it." in outcome.out
    assert "index.html and 2 pictures" in outcome.out.replace("\n", " ")
    (tmp_path / "file").write_text("", encoding="utf-8")
    outcome = run("privacy", "report", "--out", str(tmp_path / "file" / "below"))
    assert outcome.code == 2
    assert "the report cannot be written to" in outcome.err


def test_without_matplotlib_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(secagg.MissingExtraError, match=r"pip install 'secagg\[demo\]'"):
        pictures.write_report((), tmp_path)
