"""The library and the reference agree on tables, draws and updates with noise (privacy-v1.md §5 to §9)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol_specs.generate_vectors.primitives.privacy_plans import PLANS
from protocol_specs.reference import noise, plans, privatizing
from secagg.privacy import Plan, release
from secagg.privacy.rotation import SIGN_BYTES
from secagg.privacy.sampling import draw
from secagg.privacy.tables import NoiseTable, rounded_gaussian, skellam
from secagg.testing.tape import TapeRandomSource

TABLES: dict[str, Callable[[int], NoiseTable]] = {"clients": skellam, "each": rounded_gaussian}
OFF = 2.0**-36


class Words:
    """A stream of given words, and then of zeros."""

    def __init__(self, words: list[int]) -> None:
        self.left = list(words)
        self.used = 0

    def following(self, count: int) -> list[int]:
        self.used += count
        taken, self.left = self.left[:count], self.left[count:]
        return taken + [0] * (count - len(taken))

    def fill(self, out: NDArray[np.uint64]) -> None:
        out[:] = self.following(len(out))


@given(st.sampled_from(["clients", "each"]), st.integers(1, 5000))
def test_tables(kind: str, variance16: int) -> None:
    ours, theirs = noise.table(kind, variance16), TABLES[kind](variance16)
    assert ours.tail == theirs.tail
    assert ours.thresholds == [theirs.threshold(i) for i in range(2 * theirs.tail)]


@given(
    st.sampled_from([("clients", 1), ("clients", 16), ("each", 3), ("clients", 400)]),
    st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**64 - 1, 2**63, 2**48 - 1]), max_size=40),
    st.integers(0, 50),
)
def test_draws_use_the_same_bits(its: tuple[str, int], words: list[int], length: int) -> None:
    kind, variance16 = its
    ours, theirs = Words(words), Words(words)
    expected = noise.draw(noise.table(kind, variance16), length, ours.following)
    assert draw(TABLES[kind](variance16), length, theirs).tolist() == expected
    assert theirs.used == ours.used


@pytest.mark.parametrize("name", ["shares", "server", "both-extras", "rotated", "rotated-extras"])
@given(st.data())
def test_updates_become_the_same_integers(name: str, data: st.DataObject) -> None:
    reference = PLANS[name]
    library = Plan.from_bytes(plans.encode(reference))
    size = data.draw(st.sampled_from([1e-300, 0.01, 1.0, 1e200]))
    entry = st.floats(-size, size) | st.sampled_from([0.0, -0.0, size, math.nan, math.inf])
    update = {
        array: data.draw(st.lists(entry, min_size=math.prod(shape), max_size=math.prod(shape)))
        for array, shape in reference.arrays
    }
    weight = data.draw(st.floats(-1, 9)) if reference.weights else None
    seeds, nonce = data.draw(st.binary(min_size=64, max_size=64)), bytes(32)
    made = [
        privatizing.privatize(reference, update, 1.0 if weight is None else weight, nonce, seeds[:32], seeds[32:], off)
        for off in (0.0, OFF, -OFF)
    ]
    assume(made[0] == made[1] == made[2])

    signs = release.signs_of(nonce, library.digest) if library.rotation else bytes(SIGN_BYTES)
    arrays = {array: np.array(update[array]).reshape(shape) for array, shape in reference.arrays}
    tape = TapeRandomSource(seeds + bytes(release.DRAW_BYTES))
    found = release.privatize(library, arrays, weight, signs=signs, randomness=tape)

    assert {vector: its.ravel().tolist() for vector, its in found.arrays.items()} == made[0].vectors
    report = found.report
    assert (report.clipped, report.replaced, report.truncated) == (
        made[0].clipped,
        made[0].replaced,
        made[0].truncated,
    )
