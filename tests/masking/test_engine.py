"""Adding masks: exactness, slices, batches, and that masked values say nothing about the input."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from secagg.crypto.prg import SEGMENT_WORDS, AegisPrg, AesCtrPrg, MaskPrg, MaskStream, check_slice
from secagg.crypto.secret import SecretBytes
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import encode_input, reduce_to_ring
from secagg.errors import ParameterError
from secagg.masking import engine
from secagg.masking.engine import MAX_OPEN_STREAMS, MaskKeys, MaskTerm, add_masks
from secagg.parameters.vectors import FixedPoint
from secagg.testing.randomness import DeterministicRandomSource

DETERMINISTIC = settings(derandomize=True, deadline=None)

PRGS = [AesCtrPrg(), AegisPrg()]


def key(number: int) -> SecretBytes:
    return DeterministicRandomSource(number).secret(16)


def some_terms(count: int) -> list[MaskTerm]:
    return [MaskTerm(key(number), negative=number % 3 == 0) for number in range(count)]


def some_words(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(count).integers(0, 2**64, count, dtype=np.uint64)


def expected_sum(words: NDArray[np.uint64], terms: list[MaskTerm], prg: MaskPrg, offset: int) -> NDArray[np.uint64]:
    total = words.copy()
    mask = np.empty_like(words)
    for term in terms:
        prg.open(term.key).fill(mask, offset)
        total = total - mask if term.negative else total + mask
    return total


@pytest.mark.parametrize("prg", PRGS)
@pytest.mark.parametrize("offset", [0, 1, SEGMENT_WORDS - 1, SEGMENT_WORDS, 3 * SEGMENT_WORDS + 77])
@pytest.mark.parametrize("count", [1, 100, SEGMENT_WORDS, SEGMENT_WORDS + 1, 2 * SEGMENT_WORDS + 5])
def test_the_sum_is_the_signed_sum_of_the_streams(prg: MaskPrg, offset: int, count: int) -> None:
    accumulator = some_words(count)
    expected = expected_sum(accumulator, some_terms(4), prg, offset)
    add_masks(accumulator, some_terms(4), prg, offset)
    assert np.array_equal(accumulator, expected)


@pytest.mark.parametrize("prg", PRGS)
@settings(DETERMINISTIC, max_examples=15)
@given(
    offset=st.integers(0, 2**40),
    cuts=st.lists(st.integers(0, 2 * SEGMENT_WORDS), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_slices_in_any_order_are_the_whole(prg: MaskPrg, offset: int, cuts: list[int], order: object) -> None:
    total = 2 * SEGMENT_WORDS
    whole, parts = some_words(total), some_words(total)
    add_masks(whole, some_terms(3), prg, offset)
    pieces = list(itertools.pairwise([0, *sorted(cuts), total]))
    order.shuffle(pieces)  # type: ignore[attr-defined]
    for start, stop in pieces:
        add_masks(parts[start:stop], some_terms(3), prg, offset + start)
    assert np.array_equal(parts, whole)


@pytest.mark.parametrize("prg", PRGS)
def test_opposite_masks_cancel(prg: MaskPrg) -> None:
    accumulator = some_words(1000)
    terms = [MaskTerm(key(5), negative=False), MaskTerm(key(5), negative=True)]
    add_masks(accumulator, terms, prg, 12)
    assert np.array_equal(accumulator, some_words(1000))


def test_pairwise_masks_of_a_cohort_cancel() -> None:
    """Every client adds the mask it shares with a later one, and takes the one shared with an earlier one."""
    clients = 5
    total = np.zeros(400, dtype=np.uint64)
    for client in range(clients):
        masked = np.full(400, client, dtype=np.uint64)
        terms = [
            MaskTerm(key(min(client, peer) * clients + max(client, peer)), negative=client > peer)
            for peer in range(clients)
            if peer != client
        ]
        add_masks(masked, terms, AesCtrPrg())
        total += masked
    assert total.tolist() == [0 + 1 + 2 + 3 + 4] * 400


def test_a_strided_accumulator_is_masked_in_place() -> None:
    frame = some_words(600)
    untouched = frame[1::2].copy()
    expected = expected_sum(frame[::2].copy(), some_terms(2), AesCtrPrg(), 9)
    add_masks(frame[::2], some_terms(2), AesCtrPrg(), 9)
    assert np.array_equal(frame[::2], expected)
    assert np.array_equal(frame[1::2], untouched)


def test_nothing_to_do() -> None:
    accumulator = some_words(10)
    add_masks(accumulator, [], AesCtrPrg())
    assert np.array_equal(accumulator, some_words(10))
    add_masks(accumulator[:0], some_terms(2), AesCtrPrg())


class CountingPrg:
    """Counts how many streams are alive, and the slices they fill."""

    def __init__(self) -> None:
        self.inner = AesCtrPrg()
        self.key_bytes = self.inner.key_bytes
        self.segment_words = self.inner.segment_words
        self.opened = self.alive = self.most_alive = 0
        self.slices: set[tuple[int, int]] = set()
        self.buffers: set[int] = set()

    def require(self) -> None:
        self.inner.require()

    def open(self, key: SecretBytes | memoryview) -> MaskStream:
        self.opened += 1
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        return CountedStream(self, self.inner.open(key))


class CountedStream:
    def __init__(self, owner: CountingPrg, inner: MaskStream) -> None:
        self.owner, self.inner = owner, inner

    def write(self, octets: memoryview, word_offset: int) -> None:
        self.owner.slices.add((word_offset, len(octets) // 8))
        self.owner.buffers.add(np.frombuffer(octets, dtype=np.uint8).ctypes.data)
        self.inner.write(octets, word_offset)

    def fill(self, out: NDArray[np.uint64], word_offset: int) -> None:
        self.write(*check_slice(out, word_offset))

    def __del__(self) -> None:
        self.owner.alive -= 1


def test_terms_come_in_bounded_batches_from_a_generator() -> None:
    prg, count = CountingPrg(), 3 * MAX_OPEN_STREAMS + 7
    accumulator = some_words(20)
    expected = expected_sum(accumulator, some_terms(count), AesCtrPrg(), 0)
    done: list[int] = []
    taken = 0

    def terms() -> Iterator[MaskTerm]:
        nonlocal taken
        for term in some_terms(count):
            taken += 1
            assert taken - sum(done) // 20 <= MAX_OPEN_STREAMS
            yield term

    add_masks(accumulator, terms(), prg, progress=done.append)
    assert np.array_equal(accumulator, expected)
    assert (prg.opened, prg.most_alive <= 2 * MAX_OPEN_STREAMS) == (count, True)
    assert done == [20 * MAX_OPEN_STREAMS] * 3 + [20 * 7]


def test_slices_follow_segments_and_share_one_buffer() -> None:
    prg = CountingPrg()
    add_masks(some_words(2 * SEGMENT_WORDS), some_terms(3), prg, SEGMENT_WORDS - 10)
    assert sorted(prg.slices) == [
        (SEGMENT_WORDS - 10, 10),
        (SEGMENT_WORDS, SEGMENT_WORDS),
        (2 * SEGMENT_WORDS, SEGMENT_WORDS - 10),
    ]
    assert len(prg.buffers) == 1
    assert prg.opened == 3


def test_progress_counts_mask_words() -> None:
    done: list[int] = []
    add_masks(some_words(SEGMENT_WORDS + 3), some_terms(4), AesCtrPrg(), progress=done.append)
    assert done == [4 * SEGMENT_WORDS, 4 * 3]


def test_other_arguments_are_refused() -> None:
    words = some_words(8)
    read_only = words.copy()
    read_only.flags.writeable = False
    for bad in (words.view(np.int64), words.astype(np.float64), words.reshape(2, 4), read_only):
        with pytest.raises(ParameterError, match="masks cannot be added to an array of dtype"):
            add_masks(bad, some_terms(1), AesCtrPrg())  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="word_offset=-1 is negative"):
        add_masks(words, some_terms(1), AesCtrPrg(), -1)


def test_a_wrong_key_leaves_the_accumulator_unchanged() -> None:
    words = some_words(8)
    terms = [*some_terms(2), MaskTerm(SecretBytes(bytes(15)), negative=False)]
    with pytest.raises(ParameterError, match="15 bytes"):
        add_masks(words, terms, AesCtrPrg())
    assert np.array_equal(words, some_words(8))


def test_terms_are_values_without_secrets_in_their_repr() -> None:
    assert repr(MaskTerm(SecretBytes(b"k" * 16), negative=True)) == "MaskTerm(key=SecretBytes(16 bytes), negative=True)"
    assert engine.MAX_OPEN_STREAMS == 256


def masked_fields(prg: MaskPrg, values: NDArray[np.float64], copies: int = 1) -> list[NDArray[np.int64]]:
    """Mask one client's input of `copies` equal layers, and read the fields of the masked vector."""
    specs = [(f"layer{index}", FixedPoint(len(values), clip=1.0, bits=16)) for index in range(copies)]
    layout = Layout.build(specs, clients=2**10, max_weight=1)
    inputs = {name: values for name, _ in specs}
    words = encode_input(layout, inputs, randomness=DeterministicRandomSource(1)).words
    add_masks(words, some_terms(3), prg)
    reduce_to_ring(layout, words)
    fields = []
    for section in layout.sections:
        part = words[section.word_slice]
        both = np.stack([part & np.uint64(section.field_mask), part >> np.uint64(section.width)], axis=1)
        fields.append(both.reshape(-1)[: len(values)].astype(np.int64))
    return fields


@pytest.mark.parametrize("prg", PRGS)
def test_masked_values_do_not_correlate_with_the_input(prg: MaskPrg) -> None:
    """Pitfall 7: floating-point masks correlate at 0.98; here the coefficient is noise, 5 sigma at most."""
    values = np.random.default_rng(3).normal(0, 0.1, 200_000).clip(-1, 1)
    (fields,) = masked_fields(prg, values)
    assert abs(np.corrcoef(values, fields)[0, 1]) < 5 / np.sqrt(len(values))


@pytest.mark.parametrize("prg", PRGS)
def test_masked_values_are_uniform_over_the_ring(prg: MaskPrg) -> None:
    """Pitfalls 6 and 7: chi-square over the whole range and over the lowest bits, even for a constant input."""
    (fields,) = masked_fields(prg, np.zeros(200_000))
    for bins in (fields >> 18, fields & 255):
        counts = np.bincount(bins, minlength=256)
        chi_square = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        # 255 degrees of freedom: mean 255, standard deviation 22.6; five of them on either side.
        assert len(counts) == 256
        assert 255 - 5 * 22.6 < chi_square < 255 + 5 * 22.6


@pytest.mark.parametrize("prg", PRGS)
def test_layers_have_independent_masks(prg: MaskPrg) -> None:
    """Pitfall 8: one stream runs through all layers, so equal layers look unrelated once masked."""
    first, second = masked_fields(prg, np.zeros(100_000), copies=2)
    assert int(np.count_nonzero(first == second)) < 5
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(len(first))


@pytest.mark.parametrize("count", [0, 1, MAX_OPEN_STREAMS + 1])
def test_masks_in_columns_are_the_masks_and_stay_as_they_are(count: int) -> None:
    terms, whole, parts = some_terms(count), some_words(50), some_words(50)
    columns = MaskKeys.of(terms, 16)
    add_masks(whole, terms, AesCtrPrg(), 3)
    add_masks(parts, columns, AesCtrPrg(), 3)
    assert np.array_equal(whole, parts)
    assert (len(columns), columns.keys.tobytes()) == (count, b"".join(bytes(term.key.expose()) for term in terms))
    columns.wipe()
    assert not columns.keys.any()
    assert "keys" not in repr(columns)
