"""The sampler against plain inversion with big integers on the same bits, and what it draws."""

from __future__ import annotations

import struct
import tracemalloc
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from secagg.crypto.randomness import SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.privacy import tables
from secagg.privacy.sampling import SLICE, draw, noise_stream
from secagg.privacy.tables import NoiseTable

SEED = bytes(range(32))
WHOLE = 2**128


class Script:
    """A source that gives prepared words, then pseudorandom ones, and counts."""

    def __init__(self, words: Iterable[int] = (), seed: int = 0) -> None:
        self._words = list(words)
        self._more = np.random.default_rng(seed)
        self.used = 0

    def fill(self, out: NDArray[np.uint64]) -> None:
        out[:] = self._more.integers(0, 2**64, len(out), dtype=np.uint64)
        prepared, self._words = self._words[: len(out)], self._words[len(out) :]
        out[: len(prepared)] = prepared
        self.used += len(out)

    def words(self, count: int) -> list[int]:
        out = np.empty(count, dtype=np.uint64)
        self.fill(out)
        return [int(word) for word in out]


def geometry(table: NoiseTable) -> tuple[int, int]:
    """G and the bits of a lane."""
    return (16, 16) if table.tail <= 12_000 else (18, 32) if table.tail <= 60_000 else (20, 32)


def plain(table: NoiseTable, length: int, script: Script) -> list[int]:
    """Inversion with whole numbers, entry by entry, as the module's docstring orders the bits."""
    thresholds = [table.threshold(index) for index in range(2 * table.tail)]
    uppers = {threshold >> 64 for threshold in thresholds}
    bits, lane_bits = geometry(table)
    out: list[int] = []
    for start in range(0, length, SLICE):
        count = min(SLICE, length - start)
        per_word = 64 // lane_bits
        words = script.words(-(-count // per_word))
        lanes = [words[i // per_word] >> lane_bits * (i % per_word) & (2**lane_bits - 1) for i in range(count)]
        numbers = [(lane >> (lane_bits - bits)) << (128 - bits) for lane in lanes]
        last = 2 ** (128 - bits) - 1
        undecided = [
            i
            for i, number in enumerate(numbers)
            if bisect_right(thresholds, number) != bisect_right(thresholds, number + last)
        ]
        for i, word in zip(undecided, script.words(len(undecided)), strict=True):
            numbers[i] += (word >> bits) << 64
        ties = [i for i in undecided if numbers[i] >> 64 in uppers]
        for i, word in zip(ties, script.words(len(ties)), strict=True):
            numbers[i] += word
        out += [bisect_right(thresholds, number) - table.tail for number in numbers]
    return out


@pytest.mark.parametrize(
    ("table", "length"),
    [
        (tables.skellam(1), 1000),
        (tables.skellam(64), 70_001),
        (tables.skellam(16 * 900**2), 40_000),
        (tables.skellam(16 * 1100**2), 40_001),
        (tables.rounded_gaussian(16 * 5300**2), 40_000),
        (tables.rounded_gaussian(1), 5),
    ],
    ids=lambda value: f"tail{value.tail}" if isinstance(value, NoiseTable) else str(value),
)
def test_every_guide_agrees_with_plain_inversion(table: NoiseTable, length: int) -> None:
    for seed in (1, 2):
        ours, theirs = Script(seed=seed), Script(seed=seed)
        assert draw(table, length, ours).tolist() == plain(table, length, theirs)
        assert ours.used == theirs.used


def test_all_three_guides_were_compared() -> None:
    tails = [tables.skellam(16 * 900**2).tail, tables.skellam(16 * 1100**2).tail]
    assert [tail <= 12_000 for tail in tails] == [True, False]
    assert tables.rounded_gaussian(16 * 5300**2).tail > 60_000


def table_of(thresholds: list[int]) -> NoiseTable:
    """A made-up table; its distribution need not be symmetric."""
    high = np.array([threshold >> 64 for threshold in thresholds], dtype=np.uint64)
    low = np.array([threshold % 2**64 for threshold in thresholds], dtype=np.uint64)
    return NoiseTable(len(thresholds) // 2, high, low)


thresholds_near_cells = st.builds(
    lambda cell, upper, lower: min(max((cell << 112) + upper * 2**64 + lower, 1), WHOLE - 1),
    st.sampled_from([0, 1, 2, 3, 2**15, 2**16 - 1]),
    st.sampled_from([-1, 0, 1, 2**48 - 1]),
    st.sampled_from([-1, 0, 1, 2, 2**63, 2**64 - 1]),
)


@given(
    thresholds=st.lists(thresholds_near_cells, min_size=2, max_size=6).filter(lambda some: len(some) % 2 == 0),
    cells=st.lists(st.sampled_from([0, 1, 2, 3, 2**15 - 1, 2**15, 2**16 - 1]), min_size=4, max_size=4),
    uppers=st.lists(st.sampled_from([0, 1, 2, 2**48 - 1]), min_size=4, max_size=4),
    lowers=st.lists(st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1]), min_size=4, max_size=4),
)
def test_thresholds_at_the_edges_of_cells_and_words(
    thresholds: list[int], cells: list[int], uppers: list[int], lowers: list[int]
) -> None:
    table = table_of(sorted(thresholds))
    lanes = sum(cell << 16 * i for i, cell in enumerate(cells))
    # Whatever is undecided finds the next words; both sides read the same script.
    script = [lanes, *(upper << 16 for upper in uppers), *lowers]
    ours, theirs = Script(script), Script(script)
    assert draw(table, 4, ours).tolist() == plain(table, 4, theirs)
    assert ours.used == theirs.used


def test_a_tie_is_decided_by_the_lower_half() -> None:
    table = tables.skellam(64)
    index = table.tail - 2
    high, low = int(table.high[index]), int(table.low[index])
    assert 0 < low < 2**64 - 1
    cell = high >> 48
    for lower, value in ((low - 1, -2), (low, -1), (low + 1, -1)):
        script = Script([cell, high % 2**48 << 16, lower])
        assert draw(table, 1, script).tolist() == [value]
        assert script.used == 3
    script = Script([cell, (high % 2**48 + 1) << 16])
    assert draw(table, 1, script).tolist() == [-1]
    assert script.used == 2


def test_a_tie_among_many_thresholds_of_the_tail() -> None:
    table = tables.skellam(64)
    same = np.flatnonzero(table.high == 0)
    assert len(same) > 5
    for index in (0, 3, len(same) - 1):
        for lower in (int(table.low[index]) - 1, int(table.low[index])):
            script = Script([0, 0, lower])
            expected = bisect_right([table.threshold(int(i)) for i in same], lower) - table.tail
            assert draw(table, 1, script).tolist() == [expected]
            assert script.used == 3


def test_bits_are_used_slice_by_slice_in_little_endian_order() -> None:
    table = table_of([2**126, 2**127])  # cells decide alone: no further words
    quarter, half = 2**14, 2**15
    lanes = [0, quarter, half, quarter - 1, half - 1, 2**16 - 1]
    words = np.frombuffer(struct.pack("<8H", *lanes, 0, 0), dtype="<u8")
    script = Script(int(word) for word in words)
    assert draw(table, 6, script).tolist() == [-1, 0, 1, -1, 0, 1]
    assert script.used == 2
    script = Script()
    draw(table, SLICE + 1, script)
    assert script.used == SLICE // 4 + 1


def test_the_stream_is_aes_in_counter_mode_under_a_key_of_its_own() -> None:
    label = b"secagg/v1 noise key"
    info = b"\x02" + struct.pack(">I", len(label)) + label
    key = HKDFExpand(SHA256(), 16, info).derive(SEED)
    expected = Cipher(algorithms.AES128(key), modes.CTR(bytes(16))).encryptor().update(bytes(48))
    stream = noise_stream(SecretBytes(SEED))
    parts = [np.empty(count, dtype=np.uint64) for count in (1, 3, 2)]
    for part in parts:
        stream.fill(part)
    assert np.concatenate(parts).astype("<u8").tobytes() == expected


def test_known_noise_of_a_known_seed() -> None:
    drawn = draw(tables.skellam(16 * 1024), 8, noise_stream(SecretBytes(SEED)))
    assert drawn.dtype == np.int64
    assert drawn.tolist() == [16, -14, -36, -9, -24, -5, -49, 29]


def test_two_draws_of_one_stream_differ() -> None:
    stream = noise_stream(SystemRandomSource().secret(32))
    table = tables.skellam(16 * 1024)
    assert draw(table, 100, stream).tolist() != draw(table, 100, stream).tolist()


@pytest.mark.parametrize(
    "table",
    [
        tables.skellam(16),
        tables.skellam(16 * 16),
        tables.skellam(16 * 1024),
        tables.rounded_gaussian(40),
        tables.rounded_gaussian(16 * 1200**2),
    ],
    ids=lambda table: f"tail{table.tail}",
)
def test_what_is_drawn_has_the_distribution_of_its_table(table: NoiseTable) -> None:
    drawn = draw(table, 4_000_000, noise_stream(SecretBytes(SEED)))
    values = np.arange(-table.tail, table.tail + 1)
    expected = np.array([table.mass(int(value)) / WHOLE for value in values]) * len(drawn)
    counted = np.bincount(drawn + table.tail, minlength=len(values)).astype(float)
    common = expected > 20
    rest = counted[~common].sum()
    assert rest <= 10 + 2 * expected[~common].sum()
    cells, wanted = np.append(counted[common], rest), np.append(expected[common], expected[~common].sum())
    assert chisquare(cells, wanted * cells.sum() / wanted.sum()).pvalue > 1e-3
    variance = float(values**2 @ expected) / len(drawn)
    fourth = float(values.astype(float) ** 4 @ expected) / len(drawn)
    assert abs(drawn.astype(float).var() - variance) < 4 * ((fourth - variance**2) / len(drawn)) ** 0.5
    assert abs(drawn.mean()) < 4 * (variance / len(drawn)) ** 0.5


def test_neighbours_in_a_vector_are_independent() -> None:
    drawn = draw(tables.skellam(16 * 1024), 1_000_000, noise_stream(SecretBytes(SEED))).astype(float)
    for lag in (1, 2, 4, SLICE):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 4 / len(drawn) ** 0.5


def test_nothing_as_long_as_the_vector_is_made_beside_it() -> None:
    table = tables.skellam(16 * 400**2)
    draw(table, 1, Script())
    stream, length = noise_stream(SecretBytes(SEED)), 1_000_000
    tracemalloc.start()
    try:
        draw(table, length, stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * length + 2**20


def test_no_entries_need_no_bits() -> None:
    script = Script()
    assert draw(tables.skellam(16), 0, script).shape == (0,)
    assert script.used == 0


@pytest.mark.parametrize("length", [-1, 2.5, True])
def test_another_length_is_refused(length: int) -> None:
    with pytest.raises(ParameterError, match=f"^length={length!r} of noise; give a whole number from 0 on$"):
        draw(tables.skellam(16), length, Script())


def test_another_seed_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"^a noise seed of 16 bytes; draw exactly 32 of a RandomSource$"):
        noise_stream(SecretBytes(bytes(16)))
