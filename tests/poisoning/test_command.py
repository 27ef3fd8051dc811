"""`secagg poisoning` on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from secagg.poisoning import plan
from secagg.poisoning.experiment import Experiment
from secagg.poisoning.plots import PICTURES
from secagg.poisoning.results import read_results, write_results
from secagg.poisoning.tables import everything
from tests.command import Run
from tests.poisoning.made import NOTHING, RESULTS


@pytest.fixture
def made(tmp_path: Path) -> str:
    write_results(RESULTS, tmp_path / "made.json")
    return str(tmp_path / "made.json")


def test_a_run_writes_its_results_and_prints_their_tables(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(quick: bool) -> Iterator[Experiment]:
        return (replace(each, rounds=1) for each in islice(plan.sessions(quick), 2))

    monkeypatch.setattr(plan, "EXPERIMENTS", {**plan.EXPERIMENTS, "sessions": few})
    file = tmp_path / "results.json"
    words = ("--suite", "sessions", "--quick", "--workers", "1", "--seed", "3", "--json", str(file))
    outcome = run("poisoning", "run", *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert "### With real sessions" in outcome.out
    results = read_results(file)
    assert [(row.attack, row.seed) for row in results.sessions] == [("none", 3), ("ring_lie", 3)]
    assert (results.quick, results.attacks) == (True, ())
    assert outcome.out == everything(results) + "\n"


def test_tables_go_to_the_terminal_or_into_pages(run: Run, made: str, tmp_path: Path) -> None:
    assert "| cells of 5 | root check | one, the mean of its cell |" in run("poisoning", "table", made).out
    assert "### digits" in json.loads(run("poisoning", "table", made, "--json").out)["markdown"]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench: sizes -->\n<!-- end of bench -->\nafter\n")
    words = ("poisoning", "table", made, "--into", str(page))
    assert run(*words).out == f"{page}: written\n"
    assert run(*words).out == f"{page}: as it was\n"
    assert page.read_text().startswith("before\n<!-- bench: sizes -->\n| clients of a sum | 5 | 50 |\n")
    assert json.loads(run(*words, "--json").out) == {"pages": [{"page": str(page), "written": False}]}


def test_pictures_are_files(run: Run, made: str, tmp_path: Path) -> None:
    names = [str(tmp_path / "out" / f"{name}.{kind}") for name in PICTURES for kind in ("png", "svg")]
    assert run("poisoning", "plot", made, "--out", str(tmp_path / "out")).out.splitlines() == names
    assert all(Path(name).is_file() for name in names)
    assert json.loads(run("poisoning", "plot", made, "--out", str(tmp_path / "out"), "--json").out) == {"files": names}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--suite", "speed"), "there is no suite 'speed'; choose from attacks, "),
        (("run", "--suite", "siren", "--workers", "0"), "workers=0"),
        (("run", "--suite", "siren", "--seed", "-1"), "seed=-1 is below 0; give a whole number"),
        (("run", "--suite", "siren", "--json", "."), "--json . is a folder; name a file"),
        (("plot", "no.json", "--out", "x"), "no.json cannot be read"),
        (("table", "no.json"), "no.json cannot be read"),
        (("table", "{made}", "--into", "no.md"), "no.md cannot be written"),
        (("table", "{made}", "--into", "{made}"), "the page has no block"),
        (("plot", "{made}", "--out", "{made}"), "cannot be written"),
        (("plot", "{nothing}", "--out", "x"), "nothing to draw"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, made: str, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    write_results(NOTHING, tmp_path / "nothing.json")
    given = [word.format(made=made, nothing=tmp_path / "nothing.json") for word in words]
    twice = [given] if words[0] == "run" else [given, [*given, "--json"]]
    for outcome in (run("poisoning", *each) for each in twice):
        assert (outcome.code, outcome.out) == (2, "")
        assert sentence in outcome.err
        assert outcome.err.count("\n") == 1


def test_a_page_may_ask_only_for_tables_that_there_are(run: Run, made: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench: speed -->\n<!-- end of bench -->\n")
    assert "no table is called 'speed'" in run("poisoning", "table", made, "--into", str(page)).err


def test_a_page_keeps_its_tables_when_results_lack_a_suite(run: Run, tmp_path: Path) -> None:
    write_results(replace(RESULTS, siren=()), tmp_path / "part.json")
    page = tmp_path / "page.md"
    before = "".join(f"<!-- bench: {name} -->\nof before\n<!-- end of bench -->\n" for name in ("sizes", "siren"))
    page.write_text(before)
    outcome = run("poisoning", "table", str(tmp_path / "part.json"), "--into", str(page))
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{page} has tables of the suite siren, which these results have not" in outcome.err
    assert page.read_text() == before


def test_the_readme_has_no_table_of_this_tool(run: Run, made: str, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text((Path(__file__).resolve().parents[2] / "README.md").read_text())
    assert "no table is called 'headlines'" in run("poisoning", "table", made, "--into", str(page)).err


def test_without_matplotlib_it_is_one_sentence(
    run: Run, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = run("poisoning", "plot", made, "--out", str(tmp_path))
    assert (outcome.code, outcome.out) == (2, "")
    assert "pip install 'secagg[demo]'" in outcome.err
