"""The seam between arithmetic and processors: order, errors, and who makes the buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

import secagg
from secagg.executor import INLINE, Executor, InlineExecutor, Words


@dataclass
class Marking:
    """Writes 1 into the pieces and keeps a log; breaks off at one piece."""

    log: list[str] = field(default_factory=list)
    broken_at: int = -1

    def start(self, target: Words) -> Callable[[range], None]:
        self.log.append("start")

        def mark(piece: range) -> None:
            if piece.start == self.broken_at:
                raise KeyboardInterrupt
            self.log.append(f"piece {piece.start}")
            target[piece.start : piece.stop] += 1

        return mark


PIECES = [range(3, 5), range(0, 2), range(2, 3)]


def test_inline_does_pieces_in_order_with_one_worker() -> None:
    job, words = Marking(), np.zeros(6, dtype=np.uint64)
    INLINE.run(job, words, PIECES, lambda piece: job.log.append(f"done {piece.start}"))
    assert job.log == ["start", "piece 3", "done 3", "piece 0", "done 0", "piece 2", "done 2"]
    assert words.tolist() == [1, 1, 1, 1, 1, 0]


def test_inline_stops_at_the_first_error() -> None:
    job, words = Marking(broken_at=0), np.zeros(6, dtype=np.uint64)
    with pytest.raises(KeyboardInterrupt):
        INLINE.run(job, words, PIECES)
    assert job.log == ["start", "piece 3"]


def test_the_default_is_a_value() -> None:
    assert InlineExecutor() == INLINE
    chosen: Executor = secagg.InlineExecutor()
    assert chosen == INLINE
