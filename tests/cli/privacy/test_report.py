"""`secagg privacy report`: the page, the table between marks, and refusals before anything is measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from secagg.cli.privacy import report as command
from tests.command import Run

ROOT = Path(__file__).parents[3]
PAGE = "before\n<!-- bench: accuracy -->\n<!-- end of bench -->\nafter\n"


@pytest.mark.slow
def test_a_quick_report_in_two_processes(run: Run, tmp_path: Path) -> None:
    page, out = tmp_path / "page.md", tmp_path / "out"
    page.write_text(PAGE, encoding="utf-8")
    outcome = run("privacy", "report", "--out", str(out), "--quick", "--workers", "2", "--into", str(page), "--json")
    assert outcome.code == 0, outcome.err
    record = json.loads(outcome.out)
    kept = json.loads((out / "numbers.json").read_text(encoding="utf-8"))
    assert {name: record[name] for name in kept} == kept
    assert all(Path(file).is_file() for file in record["files"])
    assert record["plan"]["epsilon"] == 8.0
    table = page.read_text(encoding="utf-8")
    none = record["pictures"]["accuracy"]["numbers"]["rows"][0]
    assert f"| none | {none['accuracy']:.3f} " in table
    assert table.startswith("before\n<!-- bench: accuracy -->\n| noise |")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--epsilon", "0"), "epsilon=0.0 is not above 0"),
        (("--delta", "0.5"), "delta=0.5 is not above 0 and below 1 / 100"),
        (("--rounds", "0"), "rounds is 0"),
        (("--workers", "0"), "workers=0"),
        (("--into", "{folder}/nothing.md"), "cannot be written"),
        (("--into", "{folder}/plain.md"), "the page has no block"),
    ],
)
def test_refusals_come_before_measuring(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "plain.md").write_text("text", encoding="utf-8")
    monkeypatch.setattr("secagg.privacy.lab.report._results", lambda *_: pytest.fail("it measured"))
    given = (word.format(folder=tmp_path) for word in words)
    outcome = run("privacy", "report", "--out", str(tmp_path / "out"), *given, "--json")
    assert outcome.code == 2
    assert said in outcome.err


def test_more_than_was_promised_ends_with_1() -> None:
    def audit(exceeded: bool, fault: str | None) -> dict[str, Any]:
        return {"bars": [{"exceeded": exceeded, "fault": fault}, {"exceeded": True, "fault": "half-noise"}]}

    assert not command._exceeded(audit(exceeded=False, fault=None))
    assert command._exceeded(audit(exceeded=True, fault=None))


def test_the_documents_show_what_the_tool_wrote() -> None:
    text = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- bench: accuracy -->\n(.*?)<!-- end of bench -->", text, re.DOTALL)
    assert block is not None
    assert "Written by `secagg privacy report --into`" in block[1]
    assert len(re.findall(r"\d\.\d{3} \u00b1 \d\.\d{3}", block[1])) == 15
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"!\[[^\]]{60,}\]\((docs/img/strip\.png)\)", readme[: readme.index("## Two commands")])
    assert (ROOT / picture).is_file()
