"""The table of targets is whole, and rows are judged by it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from secagg.bench import targets
from secagg.bench.plan import FULL, Leavers
from secagg.bench.published import EXPANSIONS, TIMES, published_expansion, published_time
from secagg.bench.registry import SUITES
from secagg.bench.rows import Better, Row, TargetOn, measured_row, skipped_row
from secagg.bench.tables import headlines, paper_table, targets_table
from secagg.bench.targets import HEADLINES, TARGETS, Target, judge, unmask_name, upload_name
from tests.bench.conftest import report_of, time_row


def _full_names() -> set[tuple[str, str]]:
    """Keys of all rows with a target that a full run measures, as its plan says."""
    masking = {targets.MASK_AES, targets.MASK_AEGIS, targets.MASK_AES_TWO, targets.MASK_AEGIS_TWO}
    largest = FULL.scaling_clients[0], FULL.scaling_clients[-1]
    return (
        {("masking", name) for name in masking}
        | {("round", case.name) for case in FULL.clients}
        | {("server", case.name) for case in FULL.servers}
        | {("server", case.name) for case in FULL.liars}
        | {("server", unmask_name(*FULL.flower)), ("server", targets.TWO_PROCESSES + FULL.shared_out.name)}
        | {("memory", targets.PEAK), ("memory", targets.PER_PAIR)}
        | {("packing", targets.quantize_name(dtype)) for dtype in ("float32", "float64")}
        | {("scaling", targets.scaling_name("clients", n, FULL.scaling_length, 10)) for n in FULL.scaling_clients}
        | {("upload", upload_name(case.clients, case.length)) for case in FULL.uploads}
        | {("scaling", targets.exponent_name("clients", *largest))}
        | {("privacy", targets.noise_name(sigma)) for sigma in targets.NOISE_SIGMAS}
        | {("privacy", targets.PRIVATIZE), ("privacy", targets.ROTATE)}
        | {
            ("cells", targets.cells_name(what, FULL.cells[-1]))
            for what in (targets.CLIENT_IN_CELLS, targets.SERVER_OF_CELLS)
        }
        | {
            ("hybrid", targets.hybrid_name(what, *FULL.hybrid, leavers))
            for what in (targets.HYBRID_CLIENT, targets.HYBRID_SERVER)
            for leavers in Leavers
        }
        | {("chosen", targets.chosen_name(what, FULL.chosen)) for what in (targets.CHOSEN_CLIENT, targets.CHOSEN_BYTES)}
        | {("blame", targets.blame_name(what, FULL.blame)) for what in (targets.BLAME_SHARE, targets.BLAME_BYTES)}
        | {("rules", targets.MEDIAN), ("rules", targets.KRUM)}
        | {("peers", targets.FLOWER_CLIENT), ("peers", targets.FLOWER_UNMASK)}
        | {("browser", targets.browser_name(what, FULL.clients[0])) for what in ("client", "longest input delay")}
    )


def test_every_target_has_its_benchmark_in_a_full_run() -> None:
    keys = [target.key for target in TARGETS]
    assert len(set(keys)) == len(keys) == 44
    assert set(keys) <= _full_names()
    assert {target.peer for target in TARGETS if isinstance(target.peer, tuple)} <= _full_names()
    assert {suite for suite, _ in keys} <= set(SUITES)


def test_a_first_page_has_four_of_the_targets_and_those_alone() -> None:
    assert len(HEADLINES) == 4
    lines = headlines(report_of()).splitlines()
    shown = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")][2:]
    assert shown == [target.work for target in TARGETS if target.key in HEADLINES]
    assert len(shown) == 4
    every = set(targets_table(report_of()).splitlines())
    assert {line for line in lines if line.startswith("|")} <= every


def test_the_targets_are_those_that_were_set() -> None:
    bounds = [(target.on, target.bound) for target in TARGETS]
    measured, ratio, peer = TargetOn.MEASURED, TargetOn.RATIO, TargetOn.PEER_RATIO
    assert bounds == [
        *((ratio, 0.92), (ratio, 0.95), (peer, 1.7), (peer, 10.0), (peer, 60.0)),
        *((measured, 1.66), (measured, 1.90), (ratio, 0.8)),
        *((ratio, floor) for floor in (0.4, 0.4, 0.8, 0.8, 0.8, 0.8)),
        *((peer, 1.75), (ratio, 0.6), (ratio, 0.12), (ratio, 0.2)),
        *((measured, 3.0) for _ in FULL.liars),
        *(
            (measured, 3.0),
            *((measured, 1.8) for _ in Leavers),
            (measured, 0.45),
            (measured, 130.0),
            (measured, 5.0),
            (measured, 100.0),
            (measured, 0.45),
            (measured, 2.2),
            (peer, 1 / 1.5),
            (peer, 0.5),
            (measured, 3.0),
            (measured, 130.0),
            (measured, 1.15),
        ),
        *((peer, 1 / share) for share in (0.25, 0.25, 0.7, 0.7, 4, 2)),
        *((peer, 1 / 3), (measured, 50.0)),
    ]
    both = [target.also.value for target in TARGETS if target.also is not None]
    assert both == [6.0, 4.0, 3.0, 18.0, 20.0, 15.0, 20.0]
    assert {target.also.on for target in TARGETS if target.also is not None} == {peer}


def test_who_leaves_a_hybrid_session() -> None:
    left = {leavers: sorted(leavers.among(range(100, 200), 10)) for leavers in Leavers}
    assert left == {
        Leavers.LOWEST: list(range(100, 110)),
        Leavers.SPREAD: list(range(105, 200, 10)),
        Leavers.HIGHEST: list(range(190, 200)),
    }


def test_the_published_figures() -> None:
    assert [case.milliseconds for case in TIMES] == [849, 1699, 2018, 62239, 143389, 4887, 180875, 413767]
    assert [(math.log2(case.clients), math.log2(case.entries), case.factor) for case in EXPANSIONS] == [
        (10, 20, 1.73),
        (14, 24, 1.98),
    ]
    assert published_time("server", 1000, 30) == 413767
    assert published_time("server", 1000, 20) is None
    assert published_expansion(1 << 10, 1 << 20) == 1.73
    assert published_expansion(7, 7) is None


def _row_of(target: Target, measured: float, **changes: object) -> Row:
    suite, name = target.key
    better = Better.MORE if suite == "masking" else Better.LESS
    return replace(measured_row(suite, name, "ms", better, (measured,)), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [t for t in TARGETS if t.on is TargetOn.MEASURED], ids=lambda t: t.work)
def test_a_bound_from_above(target: Target) -> None:
    below, above = judge([_row_of(target, target.bound)]) + judge([_row_of(target, target.bound * 1.01)])
    assert (below.reached, above.reached) == (True, False)
    assert (below.target, below.target_text, below.target_on) == (target.bound, target.text, TargetOn.MEASURED)
    if isinstance(target.peer, float):
        assert below.peer_ratio == pytest.approx(target.peer / target.bound)


def test_a_ratio_to_the_floor() -> None:
    target = TARGETS[0]
    (reached,) = judge([_row_of(target, 5.0, ratio=0.95)])
    (missed,) = judge([_row_of(target, 5.0, ratio=0.85)])
    (unknown,) = judge([_row_of(target, 5.0)])
    assert (reached.reached, missed.reached, unknown.reached) == (True, False, None)


@pytest.mark.parametrize(("ratio", "measured", "reached"), [(0.4, 504, True), (0.39, 504, False), (0.4, 505, False)])
def test_two_bounds_are_kept_together_or_not_at_all(ratio: float, measured: float, reached: bool) -> None:
    target = next(target for target in TARGETS if target.also is not None and target.bound == 0.4)
    (row,) = judge([_row_of(target, measured, ratio=ratio)])
    assert (row.reached, row.target_text) == (reached, "≥ 0.4 × floor, ≥ 4 × less than published")


def test_a_peer_of_the_same_run_wherever_it_stands() -> None:
    target = next(target for target in TARGETS if target.peer == ("peers", targets.FLOWER_UNMASK))
    peer = measured_row("peers", targets.FLOWER_UNMASK, "ms", Better.LESS, (600.0,))
    for rows in ([_row_of(target, 9.0), peer], [peer, _row_of(target, 9.0)]):
        (row,) = (row for row in judge(rows) if row.suite == "server")
        assert (row.peer, row.reached) == (600.0, True)
        assert row.peer_ratio == pytest.approx(600 / 9)
    (alone,) = judge([_row_of(target, 9.0)])
    assert (alone.peer, alone.peer_ratio, alone.reached) == (None, None, None)
    assert alone.target == 60.0


def test_a_peer_that_the_suite_measured_itself() -> None:
    target = next(target for target in TARGETS if target.key == ("masking", targets.MASK_AES_TWO))
    row = _row_of(target, 9.0).beside(5.0, "one worker")
    (judged,) = judge([row])
    assert (judged.reached, judged.peer_name) == (True, "one worker")


def test_the_tables_have_a_line_for_each_target_and_each_published_time() -> None:
    (suite, skipped), *_ = (target.key for target in TARGETS if target.key[0] == "server")
    row = replace(time_row(TARGETS[8].key[1], 500.0), floor=250.0, floor_name="alone", ratio=0.5)
    report = report_of(*judge([row, skipped_row(suite, skipped, "ms", Better.LESS, "no peer")]))
    lines = targets_table(report).splitlines()
    assert len(lines) == 2 + len(TARGETS)
    assert "| 500 ms | 250 ms, alone; 2.02 s, Bonawitz et al. 2017 | 0.50 ×; 4.04 × |" in lines[2 + 8]
    assert lines[2 + 8].endswith("| yes |")
    assert "not measured: no peer" in "\n".join(lines)
    assert len(paper_table(report).splitlines()) == 2 + len(TIMES)
    assert "4.0 ×" in paper_table(report)
