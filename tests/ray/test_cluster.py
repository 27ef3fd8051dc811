"""A real cluster on this machine gives the bytes of one thread, and what becomes of it harms no session."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings

from bench.cluster import measure, name_of
from secagg import ParameterError
from secagg.compute import ray as seam
from secagg.compute.ray import RayExecutor
from secagg.crypto.prg import SEGMENT_WORDS, AesCtrPrg
from secagg.executor import INLINE
from secagg.masking.engine import MaskKeys, MaskTerm, _Batch, _slices, add_masks
from secagg.testing.randomness import DeterministicRandomSource
from tests.compute.agreeing import (
    AGREEMENTS,
    CUTS,
    MASKS,
    SESSIONS,
    Agreements,
    Cut,
    Masks,
    Whole,
    agree_about_masks,
    agree_about_pairs,
    agree_about_sessions,
)
from tests.compute.jobs import Killing
from tests.ray.witness import Witness


def terms_of(count: int) -> list[MaskTerm]:
    return [MaskTerm(DeterministicRandomSource(n).secret(16), negative=n % 3 == 0) for n in range(count)]


def examples(count: int) -> settings:
    return settings(derandomize=True, deadline=None, max_examples=count)


@examples(6)
@given(case=MASKS, cut=CUTS)
def test_of_masks_a_cluster_makes_the_bytes_of_one_thread(cluster: RayExecutor, case: Masks, cut: Cut) -> None:
    agree_about_masks([Witness(cluster)], case, cut)


@examples(12)
@given(case=AGREEMENTS, cut=CUTS)
def test_of_agreements_a_cluster_makes_the_bytes_of_one_thread(
    cluster: RayExecutor, case: Agreements, cut: Cut
) -> None:
    agree_about_pairs([Witness(cluster)], case, cut)


@examples(4)
@given(case=SESSIONS, cut=CUTS)
def test_of_sessions_a_cluster_makes_the_bytes_of_one_thread(cluster: RayExecutor, case: Whole, cut: Cut) -> None:
    agree_about_sessions([INLINE, Witness(cluster)], case, cut)


def test_a_driver_that_is_killed_costs_time_only(cluster: RayExecutor) -> None:
    job = _Batch(MaskKeys.of(terms_of(3), 16), AesCtrPrg(), 0)
    slices = _slices(0, 4 * SEGMENT_WORDS, SEGMENT_WORDS)
    expected = np.zeros(4 * SEGMENT_WORDS, dtype=np.uint64)
    INLINE.run(job, expected, slices)
    with RayExecutor() as own:
        for killed in (False, True, False):
            if killed:
                assert own._driver is not None
                own._driver._process.kill()
                own._driver._process.join()
            made, told = np.zeros_like(expected), list[range]()
            own.run(job, made, slices, told.append)
            np.testing.assert_array_equal(made, expected)
            assert sorted(told, key=lambda piece: piece.start) == slices
            assert bool(own.trouble) == killed


def test_without_a_cluster_at_an_address_the_caller_does_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam, "_REACH_SECONDS", 3.0)
    words = np.zeros(3 * SEGMENT_WORDS, dtype=np.uint64)
    expected = words.copy()
    add_masks(expected, terms_of(3), AesCtrPrg())
    with RayExecutor("127.0.0.1:1") as executor:
        add_masks(words, terms_of(3), AesCtrPrg(), executor=executor)
        assert "nothing came from the cluster for 3 s" in executor.trouble
        assert executor._away_until > 0
        assert executor._driver is None
    np.testing.assert_array_equal(words, expected)


def test_a_worker_that_dies_each_time_costs_time_only(cluster: RayExecutor) -> None:
    words = np.zeros(100, dtype=np.uint64)
    cluster.run(Killing(os.getpid(), at=70), words, [range(index, index + 1) for index in range(100)])
    assert words.tolist() == [1] * 100
    assert "WorkerCrashedError" in cluster.trouble


def test_figures_are_of_exact_masks() -> None:
    """The benchmark compares what a cluster gives with one thread's words, and would raise."""
    alone, one = measure(2 * SEGMENT_WORDS, 5, 0.1, workers=(1,))
    assert (alone.name, one.name) == (name_of(0), name_of(1))
    assert one.measured is not None


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_a_cluster_that_begins_here_has_a_whole_number_of_workers(workers: int) -> None:
    with pytest.raises(ParameterError, match="a whole number from 1 on"):
        RayExecutor(workers=workers)
    with pytest.raises(ParameterError, match="begun here"):
        RayExecutor("127.0.0.1:1", workers=2)
