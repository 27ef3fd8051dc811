"""SIREN in clear, as published: every row of its decision table, penalties, and where a round begins from."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.poisoning.siren import Siren, alarms, rejected

GOOD, BAD = 0.9, 0.5
AHEAD, BACK = (1.0, 0.1), (-1.0, 0.1)


def flags(*values: int) -> NDArray[np.bool_]:
    return np.array(values, dtype=bool)


def judged(
    accuracies: list[float],
    alarming: NDArray[np.bool_],
    *,
    live: NDArray[np.bool_] | None = None,
    updates: list[tuple[float, float]] | None = None,
) -> list[int]:
    """Indices of the rejected."""
    count = len(accuracies)
    given = np.array([AHEAD] * count if updates is None else updates)
    everybody = np.ones(count, dtype=bool)
    result = rejected(given, np.array(accuracies), alarming, everybody if live is None else live, 0.1)
    return [int(each) for each in np.flatnonzero(result)]


def test_a_client_alarms_when_its_own_model_is_better_by_more_than_the_tolerance() -> None:
    own = np.array([0.80, 0.80, 0.80, 0.80])
    assert alarms(own, np.array([0.70, 0.767, 0.769, 0.90])).tolist() == [True, True, False, False]


def test_without_alarms_everything_is_taken() -> None:
    assert judged([GOOD, BAD, 0.0], flags(0, 0, 0), updates=[AHEAD, BACK, BACK]) == []


def test_one_alarm_checks_everybody() -> None:
    assert judged([GOOD, BAD, GOOD, GOOD], flags(0, 0, 0, 1)) == [1]
    assert judged([GOOD, GOOD, 0.89, GOOD], flags(1, 0, 0, 0), updates=[AHEAD, AHEAD, BACK, AHEAD]) == [2]


def test_accuracy_at_the_tolerance_is_kept_and_below_it_not() -> None:
    assert judged([1.0, 0.9, 0.89], flags(1, 0, 0)) == [2]


def test_a_right_angle_to_the_best_is_rejected() -> None:
    assert judged([GOOD, 0.89], flags(1, 0), updates=[(1.0, 0.0), (0.0, 1.0)]) == [1]


def test_a_bad_one_among_the_alarming_rejects_it_and_all_who_are_silent() -> None:
    assert judged([GOOD, BAD, GOOD, GOOD, BAD], flags(1, 1, 1, 0, 0)) == [1, 3, 4]


def test_good_alarming_ones_reject_the_silent_when_these_are_much_worse() -> None:
    assert judged([GOOD, GOOD, BAD, BAD], flags(1, 1, 0, 0)) == [2, 3]


def test_good_alarming_ones_are_false_alarms_when_the_silent_are_as_good() -> None:
    assert judged([GOOD, GOOD, GOOD, BAD], flags(1, 1, 0, 0)) == [0, 1, 3]
    assert judged([GOOD, GOOD, GOOD, 0.89], flags(1, 1, 0, 0), updates=[AHEAD, AHEAD, AHEAD, BACK]) == [0, 1, 3]


def test_nobody_is_silent() -> None:
    assert judged([GOOD, GOOD, GOOD], flags(1, 1, 1)) == []


def test_alarms_of_who_is_out_do_not_count() -> None:
    # Two alarms, of which one is from a client at the limit: the case of one.
    assert judged([GOOD, BAD, GOOD, GOOD], flags(1, 0, 1, 0), live=flags(0, 1, 1, 1)) == [1]
    assert judged([BAD, GOOD], flags(1, 0), live=flags(0, 1)) == []


def test_who_is_out_is_never_the_best() -> None:
    # Client 0 would be the best, and the others bad beside it.
    assert judged([1.0, 0.6, 0.6, 0.6], flags(1, 1, 1, 0), live=flags(0, 1, 1, 1)) == [0, 1, 2]


def test_of_bad_alarming_ones_those_who_are_out_already_do_not_make_the_case() -> None:
    assert judged([BAD, GOOD, GOOD, BAD], flags(1, 1, 1, 0), live=flags(0, 1, 1, 1)) == [3]


def server(clients: int = 3, rounds: int = 10) -> Siren:
    return Siren(clients, rounds)


def step(
    siren: Siren, model: float, accuracies: list[float], alarming: NDArray[np.bool_]
) -> tuple[float, NDArray[np.bool_]]:
    """A round in which every update is 1: returns the base that was added to, and who was taken."""
    updates = np.ones((len(accuracies), 1))
    following, taken = siren.judge(np.array([model]), updates, np.array(accuracies), alarming)
    return float(following[0]) - (1.0 if taken.any() else 0.0), taken


def test_penalties_add_up_are_awarded_off_and_end_in_exclusion() -> None:
    siren = server()
    assert siren.limit == 4
    for _ in range(2):
        step(siren, 0.0, [GOOD, BAD, GOOD], flags(1, 0, 0))
    assert siren.penalties.tolist() == [0.0, 2.0, 0.0]
    step(siren, 0.0, [GOOD, BAD, GOOD], flags(0, 0, 0))
    assert siren.penalties.tolist() == [0.0, 1.5, 0.0]
    for _ in range(3):
        step(siren, 0.0, [GOOD, BAD, GOOD], flags(1, 0, 0))
    assert siren.penalties.tolist() == [0.0, 4.5, 0.0]
    _, taken = step(siren, 0.0, [GOOD, GOOD, GOOD], flags(0, 0, 0))
    assert taken.tolist() == [True, False, True]
    assert siren.penalties.tolist() == [0.0, 4.5, 0.0]


def test_a_round_with_rejections_begins_from_the_model_before_unless_the_last_one_did() -> None:
    siren = server(rounds=100)
    bases = [step(siren, 10.0, [GOOD, GOOD, GOOD], flags(0, 0, 0))[0]]
    bases += [step(siren, model, [GOOD, BAD, GOOD], flags(1, 0, 0))[0] for model in (20.0, 30.0, 40.0, 50.0)]
    bases.append(step(siren, 60.0, [GOOD, GOOD, GOOD], flags(0, 0, 0))[0])
    assert bases == [10.0, 10.0, 30.0, 30.0, 50.0, 60.0]


def test_a_round_that_takes_as_many_as_are_out_stays_and_the_next_goes_back_by_two() -> None:
    siren = server(clients=4, rounds=10)
    siren.penalties[:] = [9.0, 9.0, 0.0, 0.0]
    everybody_good = [GOOD] * 4
    step(siren, 10.0, everybody_good, flags(0, 0, 0, 0))  # takes two, two are out: spared, though fresh
    base, taken = step(siren, 20.0, [GOOD, GOOD, GOOD, BAD], flags(0, 0, 1, 0))
    assert taken.tolist() == [False, False, True, False]
    assert base == 10.0  # by two would be before the first
    siren = server(clients=4, rounds=10)
    siren.penalties[:] = [9.0, 9.0, 0.0, 0.0]
    step(siren, 10.0, everybody_good, flags(0, 0, 0, 0))
    step(siren, 20.0, everybody_good, flags(0, 0, 0, 0))
    base, _ = step(siren, 30.0, [GOOD, GOOD, GOOD, BAD], flags(0, 0, 1, 0))
    assert base == 10.0


def test_a_round_that_takes_nobody_changes_nothing() -> None:
    siren = server()
    siren.penalties[:] = 9.0
    base, taken = step(siren, 10.0, [GOOD, GOOD, GOOD], flags(0, 0, 0))
    assert not taken.any()
    assert base == 10.0


def test_a_server_of_nobody_is_refused() -> None:
    with pytest.raises(ParameterError, match="from 1 on"):
        Siren(0, 10)
