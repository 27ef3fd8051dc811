"""Two nodes of Ray give the bytes of one thread, also when one of them is killed in the middle of a job."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.compute import ray as seam
from secagg.compute.processes import ProcessExecutor
from secagg.compute.ray import RayExecutor
from secagg.compute.threads import ThreadExecutor
from secagg.crypto.prg import SEGMENT_WORDS, AesCtrPrg
from secagg.executor import INLINE, Executor
from secagg.masking.engine import MaskTerm, add_masks
from secagg.testing.randomness import DeterministicRandomSource
from tests.compute.jobs import Held
from tests.ray.nodes import HEAD, NODE, SECOND, TOKEN, Nodes, two_nodes

_PIECES = 12
_LONGEST_SECONDS = 300


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """In a folder whose name is short: Ray puts sockets into it."""
    with (
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
        two_nodes(Path(folder)) as both,
    ):
        yield both


@pytest.fixture(scope="module")
def far(nodes: Nodes) -> Iterator[RayExecutor]:
    with pytest.MonkeyPatch.context() as patch, RayExecutor(nodes.address) as executor:
        for name, value in TOKEN.items():
            patch.setenv(name, value)
        yield executor


@pytest.fixture(scope="module")
def near() -> Iterator[list[Executor]]:
    """Inline, threads and processes, one and many of them."""
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadExecutor(workers)) for workers in (1, 3)]
        processes = [stack.enter_context(ProcessExecutor(workers)) for workers in (1, 2)]
        yield [INLINE, *threads, *processes]


@settings(derandomize=True, deadline=None, max_examples=8)
@given(
    words=st.integers(2 * SEGMENT_WORDS, 5 * SEGMENT_WORDS),
    cut=st.integers(0, 5 * SEGMENT_WORDS),
    masks=st.integers(1, 300),
    most=st.sampled_from([1, SEGMENT_WORDS, 1 << 19]),
)
def test_everybody_makes_the_same_bytes_of_a_vector_and_of_its_slices(
    far: RayExecutor, near: list[Executor], words: int, cut: int, masks: int, most: int
) -> None:
    terms = [MaskTerm(DeterministicRandomSource(n).secret(16), negative=n % 3 == 0) for n in range(masks)]
    whole = np.arange(words, dtype=np.uint64)
    expected, cut = whole.copy(), min(cut, words)
    add_masks(expected, terms, AesCtrPrg())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seam, "_MOST_WORDS", most)
        for executor in (*near, far):
            made, sliced = whole.copy(), whole.copy()
            add_masks(made, terms, AesCtrPrg(), executor=executor)
            add_masks(sliced[:cut], terms, AesCtrPrg(), executor=executor)
            add_masks(sliced[cut:], terms, AesCtrPrg(), cut, executor=executor)
            assert made.tobytes() == sliced.tobytes() == expected.tobytes()
    assert far.trouble == ""
    assert far._driver is not None


def test_a_cluster_of_its_own_is_not_the_one_that_is_there(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)  # where Ray would look
    words = np.zeros(3 * SEGMENT_WORDS, dtype=np.uint64)
    with RayExecutor() as own:
        add_masks(words, [MaskTerm(DeterministicRandomSource(1).secret(16), negative=False)], AesCtrPrg(), executor=own)
        assert own.trouble == ""
        assert own._driver is not None


def test_what_a_killed_node_was_doing_is_done_by_the_other(
    nodes: Nodes, far: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test of these nodes."""
    monkeypatch.setattr(seam, "_MOST_WORDS", 1)
    dead: list[int] = []

    def kill() -> None:
        try:
            await_(lambda: all(worker_on(node, tmp_path) for node in (HEAD, SECOND)))
            worker = worker_on(SECOND, tmp_path)
            nodes.kill(SECOND)
            await_(lambda: not Path(f"/proc/{worker}").exists())
            dead.append(worker)
        finally:
            (tmp_path / "go").touch()

    killer = Thread(target=kill)
    killer.start()
    words, told = np.zeros(_PIECES, dtype=np.uint64), list[range]()
    pieces = [range(index, index + 1) for index in range(_PIECES)]
    far.run(Held(str(tmp_path), NODE), words, pieces, told.append)
    killer.join()
    assert len(dead) == 1
    assert words.tolist() == [1] * _PIECES
    assert sorted(told, key=lambda piece: piece.start) == pieces
    assert far.trouble == ""


def worker_on(node: str, folder: Path) -> int:
    """The process that holds a piece on a node; 0 as long as none does."""
    file = folder / node
    return int(file.read_text() or "0") if file.exists() else 0


def await_(happened: Callable[[], object]) -> None:
    ends = time.monotonic() + _LONGEST_SECONDS
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.01)
