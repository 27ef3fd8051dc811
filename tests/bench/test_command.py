"""`secagg bench` on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from secagg.bench.plots import draw
from secagg.bench.rows import Better, Report, measured_row, read_report, write_report
from secagg.bench.suites.scaling import SERIES
from secagg.cli.tools import bench
from tests.bench.conftest import report_of, time_row
from tests.command import Run
from tests.pictures import drawn_into, faults, title

TINY = ("--quick", "--seconds", "0.001", "--length", "2000")


def test_a_run_writes_its_results_and_prints_their_table(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    outcome = run(
        "bench", "run", "masking", "shamir", *TINY, "--only", "one worker", "--only", "k=19", "--json", str(file)
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert "### masking" in outcome.out
    assert "### shamir" in outcome.out
    assert "| accumulate, suite 0x0001, one worker |" in outcome.out
    assert {row.suite for row in read_report(file).rows} == {"masking", "shamir"}


def test_cohorts_of_ones_own(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    words = ("round", "server", "--quick", "--seconds", "0.001", "--clients", "8", "--length", "500")
    outcome = run("bench", "run", *words, "--json", str(file))
    assert outcome.code == 0
    names = {row.name for row in read_report(file).rows}
    assert "client, n=8 k=7 d=500" in names
    assert "server, n=8 d=500, 30 % dropped, suite 0x0001" in names


def test_very_large_cohorts_are_measured_when_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "HUGE_CLIENTS", (30, 40))
    file = tmp_path / "results.json"
    outcome = run("bench", "run", "scaling", "--huge", "--only", "cohorts", *TINY, "--json", str(file))
    assert outcome.code == 0
    names = [row.name for row in read_report(file).rows if row.unit == "ms"]
    assert names == [f"server by cohorts: n={clients} d=10k, 5 % dropped" for clients in (30, 40)]
    assert run("bench", "plot", str(file), "--out", str(tmp_path / "img")).code == 0
    assert (tmp_path / "img" / "scaling-cohorts.svg").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("bench", "run", "speed"), "there is no suite 'speed'"),
        (("bench", "run", "--clients", "2"), "3 to 65521"),
        (("bench", "compare", "a.json", "b.json"), "a.json cannot be read"),
        (("bench", "compare", "a.json", "b.json", "--tolerance", "2"), "--tolerance 2.0"),
        (("bench", "plot", "a.json", "--out", "x"), "a.json cannot be read"),
        (("bench", "table", "a.json"), "a.json cannot be read"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, words: tuple[str, ...], sentence: str) -> None:
    for outcome in (run(*words), *([run(*words, "--json")] if words[1] != "run" else [])):
        assert (outcome.code, outcome.out) == (2, "")
        assert sentence in outcome.err
        assert outcome.err.count("\n") == 1


def test_without_the_extra_it_is_one_sentence(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyperf", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_report(report_of(time_row("a", 1.0)), tmp_path / "a.json")
    for words in (("run", "shamir", *TINY), ("plot", str(tmp_path / "a.json"), "--out", str(tmp_path))):
        outcome = run("bench", *words)
        assert (outcome.code, outcome.out) == (2, "")
        assert "needs the 'bench' extra: pip install 'secagg[bench]'" in outcome.err
        assert outcome.err.count("\n") == 1


def test_compare_ends_with_one_when_something_became_worse(run: Run, tmp_path: Path) -> None:
    for name, milliseconds in (("before", 100.0), ("after", 150.0)):
        write_report(report_of(time_row("a server", milliseconds)), tmp_path / f"{name}.json")
    before, after = str(tmp_path / "before.json"), str(tmp_path / "after.json")
    worse, same, better = (
        run("bench", "compare", *files) for files in ((before, after), (before, before), (after, before))
    )
    assert (worse.code, same.code, better.code) == (1, 0, 0)
    assert "WORSE" in worse.out
    assert "1 of 1 figures became worse" in worse.out
    assert "better" in better.out


def test_comparisons_pictures_and_tables_are_objects_with_json(run: Run, tmp_path: Path) -> None:
    for name, milliseconds in (("before", 100.0), ("after", 150.0)):
        write_report(
            report_of(
                time_row("a server", milliseconds),
                measured_row("masking", "one", "GB/s", Better.MORE, (5.0,), floor=6.0, floor_name="a floor"),
            ),
            tmp_path / f"{name}.json",
        )
    before, after = str(tmp_path / "before.json"), str(tmp_path / "after.json")
    compared = run("bench", "compare", before, after, "--json")
    assert (compared.code, compared.out.count("\n")) == (1, 1)
    record = json.loads(compared.out)
    assert (record["worse"], record["tolerance"], record["machines_differ"]) == (1, 0.1, [])
    assert record["changes"][0] == {
        "suite": "server",
        "name": "a server",
        "unit": "ms",
        "before": 100.0,
        "after": 150.0,
        "times_better": pytest.approx(2 / 3),
        "verdict": "worse",
    }
    drawn = json.loads(run("bench", "plot", before, "--out", str(tmp_path / "x"), "--json").out)
    assert drawn == {"files": [str(tmp_path / "x" / name) for name in ("floors.png", "floors.svg")]}
    assert "| a server | 100 ms |" in json.loads(run("bench", "table", before, "--json").out)["markdown"]
    page = tmp_path / "page.md"
    page.write_text("<!-- bench: server -->\n<!-- end of bench -->\n")
    written = json.loads(run("bench", "table", before, "--into", str(page), "--json").out)
    assert written == {"pages": [{"page": str(page), "written": True}]}


def drawable(*series: str) -> Report:
    rows = [
        measured_row(
            "scaling",
            f"server by {each}: {at}",
            "ms",
            Better.LESS,
            (float(at),),
            floor=at / 2,
            floor_name="a floor",
            details={"series": each, "at": at, "clients": at, "entries": 10},
        )
        for each in series
        for at in (10, 100)
    ]
    rows.append(measured_row("masking", "one", "GB/s", Better.MORE, (5.0,), floor=6.0, floor_name="a floor"))
    return report_of(*rows)


def test_plots_say_what_one_sees_and_can_be_read_on_a_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn_into(monkeypatch)
    draw(drawable(*SERIES), tmp_path)
    assert [(title(figure), figure.axes[0].get_title()) for figure in figures] == [
        ("Server CPU time by number of clients", "SecAgg+, 10 entries, 10 % dropped"),
        ("Server CPU time by number of clients", "SecAgg+, 10 entries, 5 % dropped"),
        ("Server CPU time by length of the vector", "10 clients, 10 % dropped"),
        ("Server CPU time by number of dropouts", "10 clients, 10 entries"),
        ("Masking and packing beside the floors of this machine", ""),
    ]
    assert [figure.axes[0].get_xlabel() for figure in figures[2:4]] == [
        "entries",
        "dropped after sharing keys, % of the clients",
    ]
    assert {figure.axes[0].get_ylabel() for figure in figures[:4]} == {"server CPU, ms"}
    assert [faults(figure) for figure in figures] == [[]] * 5


def test_plots_are_png_and_svg_and_the_same_every_time(run: Run, tmp_path: Path) -> None:
    write_report(drawable("clients"), tmp_path / "a.json")
    once, again = (run("bench", "plot", str(tmp_path / "a.json"), "--out", str(tmp_path / name)) for name in "xy")
    assert (once.code, again.code) == (0, 0)
    files = sorted(path.name for path in (tmp_path / "x").iterdir())
    assert files == ["floors.png", "floors.svg", "scaling-clients.png", "scaling-clients.svg"]
    assert sorted(Path(line).name for line in once.out.splitlines()) == files
    for name in files:
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()


def test_nothing_to_draw(run: Run, tmp_path: Path) -> None:
    write_report(report_of(time_row("a", 1.0)), tmp_path / "a.json")
    outcome = run("bench", "plot", str(tmp_path / "a.json"), "--out", str(tmp_path))
    assert outcome.code == 2
    assert "nothing to draw" in outcome.err


def test_tables_go_to_the_terminal_or_into_pages(run: Run, tmp_path: Path) -> None:
    write_report(report_of(time_row("a server", 12.0)), tmp_path / "a.json")
    printed = run("bench", "table", str(tmp_path / "a.json"))
    assert "| a server | 12.0 ms |" in printed.out
    page = tmp_path / "page.md"
    page.write_text("<!-- bench: server -->\n<!-- end of bench -->\n")
    words = ("bench", "table", str(tmp_path / "a.json"), "--into", str(page))
    assert run(*words).out == f"{page}: written\n"
    assert run(*words).out == f"{page}: as it was\n"
    assert "| a server | 12.0 ms |" in page.read_text()


def test_params_can_show_the_cost(run: Run, tmp_path: Path) -> None:
    plain = json.loads(run("params", "--clients", "1000", "--json").out)
    record = json.loads(run("params", "--clients", "1000", "--json", "--cost", "--length", "5000").out)
    cost = record.pop("cost")
    assert record == plain
    assert cost["client"]["agreements"] == 2 * record["degree"] + 1
    assert cost["rates"] == "built-in conservative rates"
    text = run("params", "--clients", "1000", "--cost").out
    assert "X25519 operations" in text
    assert text.splitlines()[-1].startswith("CPU time is a floor, at built-in conservative rates")
    assert json.loads(run("params", "--clients", "1000000000", "--cost", "--json").out)["cost"]["server"]["cpu_ms"] > 0
    write_report(report_of(time_row("a", 1.0)), tmp_path / "a.json")
    outcome = run("params", "--cost", "--rates", str(tmp_path / "a.json"))
    assert outcome.code == 2
    assert "the results lack 'AES-128-CTR, update_into'" in outcome.err
