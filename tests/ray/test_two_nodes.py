"""Two nodes of Ray give the bytes of one thread, also when one of them is killed in the middle of a job."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings

from secagg.compute import ray as seam
from secagg.compute.ray import RayExecutor
from secagg.crypto.prg import SEGMENT_WORDS, AesCtrPrg
from secagg.executor import INLINE
from secagg.masking.engine import MaskTerm, add_masks
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
from tests.compute.jobs import Held
from tests.ray.nodes import HEAD, NODE, SECOND, TOKEN, Nodes, two_nodes
from tests.ray.witness import Witness

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


@settings(derandomize=True, deadline=None, max_examples=4)
@given(masks=MASKS, agreements=AGREEMENTS, session=SESSIONS, cut=CUTS)
def test_both_nodes_make_the_bytes_of_one_thread(
    far: RayExecutor, masks: Masks, agreements: Agreements, session: Whole, cut: Cut
) -> None:
    agree_about_masks([Witness(far)], masks, cut)
    agree_about_pairs([Witness(far)], agreements, cut)
    agree_about_sessions([INLINE, Witness(far)], session, cut)


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
