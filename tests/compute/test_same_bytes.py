"""Inline, threads and processes, one and many workers: the same bytes of every kind of job (Ray: tests/ray)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings

from secagg.compute.processes import ProcessExecutor
from secagg.compute.threads import ThreadExecutor
from secagg.executor import INLINE, Executor
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


def examples(count: int) -> settings:
    return settings(derandomize=True, deadline=None, max_examples=count)


@pytest.fixture(scope="module")
def executors() -> Iterator[list[Executor]]:
    """Inline first, and one and many workers of both kinds."""
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadExecutor(workers)) for workers in (1, 2, 5)]
        processes = [stack.enter_context(ProcessExecutor(workers)) for workers in (1, 2, 3)]
        yield [INLINE, *threads, *processes]


@examples(25)
@given(case=MASKS, cut=CUTS)
def test_of_masks(executors: list[Executor], case: Masks, cut: Cut) -> None:
    agree_about_masks(executors, case, cut)


@examples(25)
@given(case=AGREEMENTS, cut=CUTS)
def test_of_agreements(executors: list[Executor], case: Agreements, cut: Cut) -> None:
    agree_about_pairs(executors, case, cut)


@examples(6)
@given(case=SESSIONS, cut=CUTS)
def test_of_sessions(executors: list[Executor], case: Whole, cut: Cut) -> None:
    agree_about_sessions(executors, case, cut)
