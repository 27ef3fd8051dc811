"""Rules as judges of a round: names, conditions, and what happens when cells are missing or proven to lie."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg import ParameterError
from secagg.robust import CellSums, Judge, RuleJudge
from secagg.robust.sizing import RULES

MODEL: Final = np.arange(6.0)


def sums_of(
    rows: NDArray[np.float64],
    cells: tuple[int, ...] | None = None,
    rejected: dict[int, str] | None = None,
    missing: tuple[int, ...] = (),
    alarms: dict[int, float] | None = None,
) -> CellSums:
    return CellSums(rows, tuple(range(len(rows))) if cells is None else cells, alarms or {}, rejected or {}, missing)


def rows_with_a_liar(count: int = 9) -> NDArray[np.float64]:
    rows = 1 + np.random.default_rng(1).normal(size=(count, 6)) / 10
    rows[2] = -100
    return rows


def good(model: NDArray[np.float64]) -> float:
    return float(np.clip(0.5 + (model - MODEL).mean() / 4, 0, 1))


def judge_of(rule: str) -> Judge:
    b = 1 if rule in ("krum", "multi_krum", "trimmed_mean") else None
    return RuleJudge(rule, b=b, train=(lambda model: np.ones(6)) if rule == "fltrust" else None)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_a_judge_and_survives_a_liar(rule: str) -> None:
    verdict = judge_of(rule).judge(MODEL, sums_of(rows_with_a_liar(), alarms={0: 1.5, 3: 2.0}), good)
    assert np.linalg.norm(verdict.model - MODEL - 1) < 1.5
    assert set(verdict.kept) | set(verdict.rejected) == set(range(9))
    assert (verdict.alarms, verdict.rolled_back, verdict.unconfirmed, dict(verdict.penalties)) == (
        3.5,
        False,
        False,
        {},
    )
    if rule in ("krum", "multi_krum", "root_check", "fltrust"):
        assert verdict.rejected[2] == f"{rule} left it out"


def test_cells_are_named_and_not_rows() -> None:
    sums = sums_of(rows_with_a_liar(7), cells=(0, 2, 4, 5, 6, 7, 9), rejected={1: "proven"}, missing=(3, 8))
    verdict = RuleJudge("multi_krum", b=2).judge(MODEL, sums)
    assert verdict.kept == (0, 2, 5, 6, 7, 9)
    assert verdict.rejected == {4: "multi_krum left it out", 1: "proven"}


def test_a_cell_that_is_proven_to_lie_is_one_of_the_b() -> None:
    # Five rows bear one liar, and two of the three have no row any more.
    sums = sums_of(rows_with_a_liar(7), rejected={7: "proven", 8: "proven"})
    assert 2 not in RuleJudge("krum", b=3).judge(MODEL, sums).kept
    assert len(RuleJudge("multi_krum", b=3).judge(MODEL, sums).kept) == 6


def test_too_few_cells_that_are_left_move_nothing() -> None:
    for rows, missing in ((rows_with_a_liar(4), (4, 5, 6, 7, 8)), (np.zeros((0, 6)), tuple(range(9)))):
        sums = sums_of(rows, missing=missing)
        verdict = RuleJudge("krum", b=3).judge(MODEL, sums)
        np.testing.assert_array_equal(verdict.model, MODEL)
        assert verdict.kept == ()
        assert set(verdict.rejected) == set(sums.cells)
        assert all("cannot bear b=3 among the" in reason for reason in verdict.rejected.values())
        verdict.model[:] = 0
        assert MODEL.any()


@pytest.mark.parametrize("rule", RULES)
def test_a_round_without_any_sum_is_no_error(rule: str) -> None:
    verdict = judge_of(rule).judge(MODEL, sums_of(np.zeros((0, 6)), missing=tuple(range(9))), good)
    np.testing.assert_array_equal(verdict.model, MODEL)
    assert (verdict.kept, verdict.rejected) == ((), {})


def test_a_rule_outside_its_condition_is_refused_with_the_way_out() -> None:
    for rule, b in (("median", 5), ("krum", 4), ("trimmed_mean", 5), ("root_check", 9)):
        with pytest.raises(ParameterError, match=rf"{rule} of 9 rows bears b=\d at most, not b={b}; make more"):
            RuleJudge(rule, b=b).judge(MODEL, sums_of(rows_with_a_liar()), good)


@pytest.mark.parametrize("rule", ["DnC", "dnc", "FLAME", "bulyan"])
def test_rules_that_are_not_built_say_why(rule: str) -> None:
    with pytest.raises(ParameterError, match=rf"{rule} is not built: .*; take one of .*root_check"):
        RuleJudge(rule)


@pytest.mark.parametrize("rule", ["", "Median", "mean", 3, None])
def test_an_unknown_rule_is_refused(rule: Any) -> None:
    with pytest.raises(ParameterError, match="is unknown; take one of"):
        RuleJudge(rule)


def test_what_a_rule_lacks_or_does_not_take_is_said() -> None:
    with pytest.raises(ParameterError, match="must be told how many cells may lie"):
        RuleJudge("krum")
    with pytest.raises(ParameterError, match="give a whole number from 0"):
        RuleJudge("krum", b=-1)
    with pytest.raises(ParameterError, match="compares with an update of the server's own"):
        RuleJudge("fltrust")
    with pytest.raises(ParameterError, match="leave train= out"):
        RuleJudge("median", train=lambda model: model)
    with pytest.raises(ParameterError, match="give evaluate"):
        RuleJudge("root_check").judge(MODEL, sums_of(rows_with_a_liar()))
    with pytest.raises(ParameterError, match=r"model has shape \(5,\); give shape \(6,\)"):
        RuleJudge("median").judge(MODEL[:5], sums_of(rows_with_a_liar()))


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        (lambda model: 1 / 0, r"train failed \(ZeroDivisionError"),
        (lambda model: np.ones(5), r"what train returned has shape \(5,\)"),
        (lambda model: np.full(6, np.nan), "not finite"),
        (lambda model: None, "what train returned is of type NoneType"),
    ],
)
def test_a_training_that_fails_is_said_in_one_sentence(train: Any, sentence: str) -> None:
    for rule in ("fltrust", "root_check"):
        with pytest.raises(ParameterError, match=sentence):
            RuleJudge(rule, train=train).judge(MODEL, sums_of(rows_with_a_liar()), good)


def test_an_update_of_the_server_gives_the_root_check_its_direction() -> None:
    rows = np.array([np.ones(6), -np.ones(6) / 100])
    judge = RuleJudge("root_check", train=lambda model: -np.ones(6))
    assert judge.judge(MODEL, sums_of(rows), lambda model: 0.5).kept == (1,)
