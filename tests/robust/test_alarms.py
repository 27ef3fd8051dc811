"""Alarms: the same steps for whoever alarms and whoever does not, a count of the sum, and a rule that knows noise."""

from __future__ import annotations

import math
import sys
from collections import Counter
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.robust import ALARM_SLOTS, AlarmRule, alarm_spec, count_alarms, raise_alarm
from secagg.robust import alarms as alarms_module
from secagg.testing.randomness import DeterministicRandomSource
from secagg.testing.tape import TapeRandomSource

RING = 2**63


class Recorded(DeterministicRandomSource):
    """Notes the length of every draw."""

    __slots__ = ("lengths",)

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.lengths: list[int] = []

    def secret(self, length: int) -> SecretBytes:
        self.lengths.append(length)
        return super().secret(length)


def lines_of(raised: bool) -> list[int]:
    """The lines of the module that run while an alarm is raised, or not."""
    lines: list[int] = []

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename == alarms_module.__file__:
            lines.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        raise_alarm(raised, 5, DeterministicRandomSource(1))
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("size", [2, 5, 32, 1000, 2**32])
def test_the_words_of_all_clients_cannot_wrap(size: int) -> None:
    spec = alarm_spec(size)
    assert (spec.low, spec.shape) == (0, (ALARM_SLOTS,))
    assert size * spec.high < RING <= size * (spec.high + 1)
    assert spec.field_width(size, 1) == 63


@pytest.mark.parametrize("size", [1, 0, -1, 2**32 + 1, 5.0, True, None])
def test_a_size_that_no_cell_has_is_refused(size: Any) -> None:
    for refused in (
        lambda: alarm_spec(size),
        lambda: raise_alarm(True, size, DeterministicRandomSource(0)),
        lambda: count_alarms(np.zeros(ALARM_SLOTS, dtype=np.int64), size),
    ):
        with pytest.raises(ParameterError, match=r"outside 2 .. 2\^32 clients; give the clients of the cell"):
            refused()


def test_a_word_is_what_the_document_says() -> None:
    high = alarm_spec(5).high
    for slot, drawn, word in ((0, 0, 1), (31, high - 1, high), (32 + 7, high, 1), (255, 2**128 - 1, None)):
        words = raise_alarm(True, 5, TapeRandomSource(bytes([slot]) + drawn.to_bytes(16, "big")))
        expected = 1 + drawn % high
        assert word in (None, expected)
        assert words.dtype == np.int64
        assert words.tolist() == [expected if place == slot % ALARM_SLOTS else 0 for place in range(ALARM_SLOTS)]


def test_a_silent_client_takes_the_same_steps_and_sends_zeros() -> None:
    loud, silent = Recorded(1), Recorded(1)
    assert np.count_nonzero(raise_alarm(True, 5, loud)) == 1
    assert raise_alarm(False, 5, silent).tolist() == [0] * ALARM_SLOTS
    assert loud.lengths == silent.lengths == [17]
    assert lines_of(True) == lines_of(False)
    assert len(lines_of(True)) > 8


def test_slots_are_taken_alike_and_no_word_comes_twice() -> None:
    source = DeterministicRandomSource(2)
    drawn = [raise_alarm(True, 5, source) for _ in range(3200)]
    slots = Counter(int(np.flatnonzero(words)[0]) for words in drawn)
    assert sorted(slots) == list(range(ALARM_SLOTS))
    assert all(abs(count - 100) < 5 * math.sqrt(100) for count in slots.values())
    assert len({int(words.max()) for words in drawn}) == 3200


def summed(alarming: int, size: int, seed: int) -> NDArray[np.int64]:
    source = DeterministicRandomSource(seed)
    total: NDArray[np.int64] = sum(
        (raise_alarm(client < alarming, size, source) for client in range(size)), np.zeros(ALARM_SLOTS, dtype=np.int64)
    )
    return total


@pytest.mark.parametrize(("size", "alarming"), [(5, 0), (5, 1), (5, 2), (5, 5), (16, 8), (50, 25)])
def test_the_count_is_about_right_and_0_only_for_none(size: int, alarming: int) -> None:
    counts = [count_alarms(summed(alarming, size, seed), size) for seed in range(40)]
    assert sum(counts) / 40 == pytest.approx(alarming, abs=0.08 * alarming)
    assert all((count == 0) == (alarming == 0) and count <= size for count in counts)


@pytest.mark.parametrize("size", [5, 100])
def test_counts_by_slots_in_use(size: int) -> None:
    total = np.zeros(ALARM_SLOTS, dtype=np.int64)
    for used in range(ALARM_SLOTS):
        expected = min(size, -ALARM_SLOTS * math.log(1 - used / ALARM_SLOTS))
        assert count_alarms(total, size) == pytest.approx(expected, rel=1e-12)
        total[used] = 2**63 - 1 - used
    assert count_alarms(total, size) == size


@given(st.integers(2, 40), st.integers(0, 40), st.lists(st.integers(0, RING - 1), min_size=32, max_size=32))
def test_nothing_that_a_liar_adds_makes_fewer_alarms(size: int, alarming: int, lie: list[int]) -> None:
    """Whatever it adds: the words are unknown to it, and here they are drawn after it has chosen."""
    total = summed(min(alarming, size), size, seed=alarming)
    lied = np.array([(int(word) + added) % RING for word, added in zip(total, lie, strict=True)], dtype=np.int64)
    assert count_alarms(lied, size) >= count_alarms(total, size)


@pytest.mark.parametrize("total", [np.zeros(31, dtype=np.int64), np.zeros(32), [0] * 32, np.zeros((32, 1), dtype=int)])
def test_what_is_no_sum_of_alarms_is_refused(total: Any) -> None:
    with pytest.raises(ParameterError, match="a sum of alarms is 32 whole numbers, not"):
        count_alarms(total, 5)


@pytest.mark.parametrize(
    ("own", "given", "examples", "alarm"),
    [
        (30, 28, 30, True),
        (20, 19, 30, False),  # one more mistake is none
        (29, 27, 29, False),  # too few examples
        (100, 96, 100, False),  # the tolerance itself
        (100, 95, 100, True),
        (1000, 959, 1000, True),
        (1000, 960, 1000, False),
        (50, 50, 100, False),
        (40, 60, 100, False),
        (0, 0, 30, False),
        (0, 0, 0, False),
        (5, 3, 5, False),
    ],
)
def test_when_a_client_alarms(own: int, given: int, examples: int, alarm: bool) -> None:
    assert AlarmRule().decide(own=own, given=given, examples=examples) is alarm
    counts: Any = np.int64(own)
    assert AlarmRule().decide(own=counts, given=given, examples=examples) is alarm


@pytest.mark.parametrize(
    ("own", "given", "examples"), [(31, 3, 30), (3, 31, 30), (-1, 3, 30), (3, -1, 30), (0.9, 0.8, 30)]
)
def test_what_counts_no_examples_is_refused(own: Any, given: Any, examples: Any) -> None:
    with pytest.raises(ParameterError, match="are no counts of examples=30"):
        AlarmRule().decide(own=own, given=given, examples=examples)


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan"), "0.04", True, None])
def test_a_tolerance_outside_its_range_is_refused(tolerance: Any) -> None:
    with pytest.raises(ParameterError, match=r"tolerance=.* is outside 0 up to below 1"):
        AlarmRule(tolerance=tolerance)


@pytest.mark.parametrize("least", [29, 0, -1, 30.5, None, True])
def test_a_rule_that_would_alarm_by_noise_is_refused(least: Any) -> None:
    with pytest.raises(
        ParameterError, match="is no whole number of at least 30, and fewer examples make alarms of noise"
    ):
        AlarmRule(minimum_examples=least)
