"""What a run measures: bounded when quick, whole when full, and resized on demand."""

from __future__ import annotations

from collections import Counter

import pytest

from secagg.bench.benchmark import Shared
from secagg.bench.plan import FULL, QUICK, Plan, short
from secagg.bench.registry import SUITES
from secagg.bench.runner import planned
from secagg.errors import ParameterError

QUICK_SECONDS = 125  # of a slow, busy machine


def test_a_quick_run_is_bounded() -> None:
    assert sum(benchmark.seconds for _, benchmark in planned(Shared(QUICK))) <= QUICK_SECONDS


def test_a_quick_run_leaves_nothing_out_unsaid() -> None:
    quick, full = ({(suite, benchmark.name) for suite, benchmark in planned(Shared(plan))} for plan in (QUICK, FULL))
    assert {suite for suite, _ in quick} == {suite for suite, _ in full} == set(SUITES)
    assert {name for suite, name in full - quick if suite != "scaling"} == set()


@pytest.mark.parametrize("plan", [QUICK, FULL], ids=["quick", "full"])
def test_names_are_unique_within_a_suite(plan: Plan) -> None:
    assert set(Counter((suite, benchmark.name) for suite, benchmark in planned(Shared(plan))).values()) == {1}


def test_planning_measures_nothing() -> None:
    shared = Shared(FULL)
    planned(shared)
    assert (shared.rows, shared._rates) == ([], None)


def test_suites_and_names_select() -> None:
    chosen = planned(Shared(QUICK), ["server", "masking"], ["n=500", "accumulate, suite 0x0001"])
    assert [suite for suite, _ in chosen] == ["masking", "masking", *["server"] * 6]
    with pytest.raises(ParameterError, match="no suite 'speed'; choose from primitives, masking"):
        planned(Shared(QUICK), ["speed"])
    with pytest.raises(ParameterError, match="no benchmark has '0x0003'"):
        planned(Shared(QUICK), ["server"], ["0x0003"])
    told = [" lie," in benchmark.name for _, benchmark in planned(Shared(QUICK), [], ["lie"])]
    assert told == [True] * len(QUICK.liars), "not what is about a client"


def test_cohorts_and_lengths_of_ones_own() -> None:
    plan = QUICK.resized((50, 70), 1234, 0.5)
    assert plan.seconds == 0.5
    for cases in (plan.clients, plan.servers):
        assert {(case.clients, case.length) for case in cases} == {(50, 1234), (70, 1234)}
    assert plan.scaling_clients == (50, 70)
    assert [(case.clients, case.size, case.length) for case in plan.cells] == [(50, 5, 1234), (70, 5, 1234)]
    assert [case.length for case in QUICK.resized(length=5).cells] == [5]
    assert [case.size for case in QUICK.resized((3,)).cells] == [3]
    assert (plan.mask_words, plan.packed, plan.entries, plan.memory_lengths) == (1234, 1234, 1234, (1234, 2468))
    assert plan.flower == (50, 1234, 2)
    assert QUICK.resized() == QUICK
    assert {case.clients for case in QUICK.resized(length=5).servers} == {20, 500, 1000}


@pytest.mark.parametrize(
    ("clients", "length", "seconds", "words"),
    [
        ((2,), None, None, "3 to 65521"),
        ((65_522,), None, None, "3 to 65521"),
        ((), 0, None, "at least 1 entry"),
        ((), None, 0.0, "outside 0"),
        ((), None, float("nan"), "outside 0"),
    ],
)
def test_sizes_that_cannot_be(clients: tuple[int, ...], length: int | None, seconds: float | None, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        QUICK.resized(clients, length, seconds)


def test_round_numbers_are_short() -> None:
    assert [short(count) for count in (100_000, 1_000_000, 1 << 20, 0, 7000)] == ["100k", "1M", "1048576", "0", "7k"]
