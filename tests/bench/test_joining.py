"""Suites that were run one by one are one report of one machine, judged together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secagg import ParameterError
from secagg.bench.joining import join
from secagg.bench.rows import Better, measured_row, read_report
from secagg.bench.tables import machine_line
from secagg.bench.targets import TARGETS
from tests.bench.conftest import MACHINE, report_of, time_row
from tests.command import Run

FIRST, SECOND, THIRD = (f"2026-01-02T0{hour}:00:00+00:00" for hour in (3, 4, 5))
TINY = ("--quick", "--seconds", "0.001", "--length", "2000")
BESIDE_PEER = next(target for target in TARGETS if isinstance(target.peer, tuple))


def test_a_suite_has_the_rows_of_its_last_run_and_says_when_that_began() -> None:
    machine = {**MACHINE, "load_1min_at_end": 0.1}
    before = replace(
        report_of(time_row("a", 1.0, suite="server"), time_row("b", 2.0, suite="memory")),
        machine=machine,
        began={"server": FIRST, "memory": SECOND},
    )
    after = replace(
        report_of(time_row("c", 3.0, suite="memory")),
        date=THIRD,
        machine={**machine, "load_1min": 2.0, "load_1min_at_end": 3.0},
        began={"memory": THIRD},
    )
    joined = join(before, after)
    assert [row.key for row in joined.rows] == [("server", "a"), ("memory", "c")]
    assert joined.began == {"server": FIRST, "memory": THIRD}
    assert (joined.date, joined.machine["load_1min"], joined.machine["load_1min_at_end"]) == (before.date, 0.5, 3.0)
    assert "(suites begun from 2026-01-02T03:00 to 2026-01-02T05:00 UTC)" in machine_line(joined)


def test_a_row_is_judged_by_a_peer_that_was_measured_in_another_run() -> None:
    assert isinstance(BESIDE_PEER.peer, tuple)
    ours, theirs = BESIDE_PEER.key, BESIDE_PEER.peer
    before = replace(
        report_of(measured_row(*ours, "ms", Better.LESS, (1.0,))),
        began={ours[0]: FIRST},
    )
    after = replace(
        report_of(measured_row(*theirs, "ms", Better.LESS, (2 * BESIDE_PEER.bound,))),
        began={theirs[0]: SECOND},
    )
    row = join(before, after).rows[0]
    assert (row.key, row.peer_ratio, row.reached) == (ours, 2 * BESIDE_PEER.bound, True)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"machine": {**MACHINE, "cores": 8}}, "cores"), ({"version": "9.8"}, "version"), ({"quick": True}, "quick")],
)
def test_reports_that_cannot_be_one(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ParameterError, match=f"differ in {what}; write these into another file"):
        join(report_of(), replace(report_of(), **changes))


def test_what_was_measured_before_a_suite_failed_is_kept_and_the_rest_is_added(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    words = (*TINY, "--json", str(file), "--add")

    def fail(*arguments: object, **options: object) -> None:
        raise ParameterError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr("secagg.bench.suites.shamir.in_turns", fail)
        assert run("bench", "run", "packing", "shamir", *words).code != 0
    assert [*read_report(file).began] == ["packing"]
    assert run("bench", "run", "shamir", *words).code == 0
    found = read_report(file)
    assert [*found.began] == ["packing", "shamir"]
    assert {row.suite for row in found.rows} == {"packing", "shamir"}
    monkeypatch.setattr("secagg.__version__", "another")
    assert "differ in version" in run("bench", "run", "shamir", *words).err
    assert read_report(file) == found


@pytest.mark.parametrize("words", [(), ("--json", "a.json", "--only", "k=19")])
def test_adding_needs_a_file_and_whole_suites(run: Run, words: tuple[str, ...]) -> None:
    outcome = run("bench", "run", "shamir", "--add", *words)
    assert outcome.code != 0
    assert "--add keeps what a file has of other suites" in outcome.err
