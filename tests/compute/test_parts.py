"""Parts of jobs: a part that travels with its own words gives the bytes of the whole; without Ray the caller works."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg import MissingExtraError, ParameterError, Round
from secagg.compute import ray as seam
from secagg.compute.pickling import work_on
from secagg.compute.ray import RayExecutor, _parts
from secagg.crypto.prg import SEGMENT_WORDS, AegisPrg, AesCtrPrg, MaskPrg
from secagg.executor import INLINE, Divisible, Job, Words
from secagg.masking.engine import MaskKeys, MaskTerm, _Batch, _slices
from secagg.protocol import server_unmasking
from secagg.protocol.pairwise_keys import PairwiseKeys
from secagg.testing.randomness import DeterministicRandomSource
from tests.compute.jobs import Counting
from tests.harness import Harness

PRGS: list[MaskPrg] = [AesCtrPrg(), AegisPrg()]


def in_parts(job: Job, target: NDArray[np.uint64], pieces: Sequence[range]) -> NDArray[np.uint64]:
    """Do a job as a cluster does, part by part, and from its bytes."""
    assert isinstance(job, Divisible)
    made = target.copy()
    for data, run, words in _parts(job, pieces):
        local = [range(piece.start - run[0].start, piece.stop - run[0].start) for piece in run]
        given = made[words.start : words.stop]
        given.flags.writeable = False
        made[words.start : words.stop] = work_on(data, local, given)
    return made


def masks_of(count: int) -> MaskKeys:
    terms = [MaskTerm(DeterministicRandomSource(n).secret(16), negative=n % 2 == 0) for n in range(count)]
    return MaskKeys.of(terms, 16)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    prg=st.sampled_from(PRGS),
    words=st.integers(1, 4 * SEGMENT_WORDS),
    offset=st.integers(0, 2 * SEGMENT_WORDS),
    masks=st.integers(0, 5),
    most=st.sampled_from([1, SEGMENT_WORDS, 1 << 19]),
)
def test_masks_in_parts_are_the_masks(prg: MaskPrg, words: int, offset: int, masks: int, most: int) -> None:
    job, slices = _Batch(masks_of(masks), prg, offset), _slices(offset, words, SEGMENT_WORDS)
    expected = np.arange(words, dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seam, "_MOST_WORDS", most)
        made = in_parts(job, expected, slices)
    INLINE.run(job, expected, slices)
    np.testing.assert_array_equal(made, expected)


class Parted:
    """An executor that does a job in parts of at most so many bytes."""

    def __init__(self) -> None:
        self.parts: list[tuple[Job, list[tuple[Any, seam.Part]]]] = []

    def run(self, job: Job, target: Words, pieces: Sequence[range], done: object = None) -> None:
        assert isinstance(job, Divisible)
        self.parts.append((job, [(pickle.loads(part[0]), part) for part in _parts(job, pieces)]))  # noqa: S301
        target[:] = in_parts(job, target, pieces)


def test_keys_in_parts_are_the_keys_and_no_part_has_the_keys_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_unmasking, "_PAIRS", 3)
    monkeypatch.setattr(seam, "_MOST_JOB_BYTES", 1)
    harness = Harness(9, threshold=4)
    harness.run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {2, 3, 4, 5}})
    state, executor = harness.server._state, Parted()
    object.__setattr__(state.context, "executor", executor)  # type: ignore[union-attr]
    harness.finish()
    harness.assert_exact({1, 6, 7, 8, 9})
    job, parts = executor.parts[0]
    assert isinstance(job, PairwiseKeys)
    assert len(parts) == 7
    for part, (_, (piece,), words) in parts:
        assert set(part.secrets) == set(job.pairs[piece.start : piece.stop].owners.tolist())
        assert words == range(2 * piece.start, 2 * piece.stop)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'secagg\[ray\]'"):
        RayExecutor()


def test_a_driver_that_cannot_begin_leaves_the_job_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers at the address, or there is no Ray at all: the same bytes, and a reason."""
    monkeypatch.setattr(seam, "require_ray", lambda: None)
    job = _Batch(masks_of(1), AesCtrPrg(), 0)
    slices, told = _slices(0, 3 * SEGMENT_WORDS, SEGMENT_WORDS), list[range]()
    expected = np.zeros(3 * SEGMENT_WORDS, dtype=np.uint64)
    INLINE.run(job, expected, slices)
    with RayExecutor("127.0.0.1:1") as executor:
        made = np.zeros_like(expected)
        executor.run(job, made, slices, told.append)
        np.testing.assert_array_equal(made, expected)
        assert told == slices
        assert "Ray cannot work" in executor.trouble
        counted = np.zeros(4, dtype=np.uint64)
        executor.run(Counting(), counted, [range(0, 2), range(2, 4)])  # cannot be divided
        assert counted.tolist() == [1] * 4
    with pytest.raises(ParameterError, match="this RayExecutor is closed"):
        executor.run(job, made, slices)
