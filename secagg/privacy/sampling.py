"""Noise of a table, drawn from secret bits: exact inversion, for most entries by one look-up.

An entry is the value that `tables.NoiseTable` gives to a uniform 128-bit number. Its first G bits pick a cell of a
guide, which holds the value when all numbers of the cell have the same. Otherwise the number's first 64 bits are
searched among those of the thresholds, and where they equal those of one, with a probability below 2^-40 even in the
largest table, the lower 64 bits decide. G is 16 up to a tail of 12,000, 18 up to 60,000, and 20 beyond.

Order in which the stream's 64-bit words are used, for each slice of 2^15 entries (test vectors depend on it): lanes of
16 bits (of 32 bits for G = 18 and 20), one for each entry, little-endian, the last word filled up; the lane's upper G
bits are the cell. Then a word for each undecided entry, in order; its upper 64 - G bits follow. Then a word for each
entry whose first 64 bits are those of a threshold, in order: the lower 64 bits.

The look-ups are not constant in time. What the time of a whole vector shows is how many cells were undecided, not how
large entries are. Must not know what the noise is added to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.crypto.kdf import expand
from secagg.crypto.labels import Label
from secagg.crypto.prg import WORD_BYTES, AesCtrPrg, MaskStream
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.parameters.arguments import as_whole
from secagg.privacy.tables import NoiseTable

SLICE: Final = 2**15
SEED_BYTES: Final = 32
_WORD_BITS: Final = 64
_CACHED: Final = 4
# Largest tail, bits of a cell's number, and the lane that they are the upper bits of.
_GUIDES: Final = ((12_000, 16, "<u2"), (60_000, 18, "<u4"), (2**31 - 2, 20, "<u4"))


class WordSource(Protocol):
    """Where bits come from: 64-bit words, each used once."""

    def fill(self, out: NDArray[np.uint64]) -> None:
        """Write the next `len(out)` words into a one-dimensional, C-contiguous uint64 array."""
        ...


class NoiseStream:
    """The words of one AES-128-CTR key, in order."""

    __slots__ = ("_stream", "_used")

    def __init__(self, stream: MaskStream) -> None:
        self._stream = stream
        self._used = 0

    def fill(self, out: NDArray[np.uint64]) -> None:
        """Write the next `len(out)` words; see `WordSource`."""
        self._stream.fill(out, self._used)
        self._used += len(out)


def noise_stream(seed: SecretBytes) -> NoiseStream:
    """Open the stream of a fresh secret seed: expand(seed, canonical("secagg/v1 noise key")) is its AES-128 key.

    The seed may be wiped afterwards. Two streams of one seed give the same noise: never open a second.

    Args:
        seed: 32 bytes of a `RandomSource`.

    Raises:
        ParameterError: a seed of another length.
    """
    if len(seed) != SEED_BYTES:
        raise ParameterError(f"a noise seed of {len(seed)} bytes; draw exactly {SEED_BYTES} of a RandomSource")
    prg = AesCtrPrg()
    key = expand(seed, encode_fields(Label.NOISE_KEY), prg.key_bytes)
    stream = NoiseStream(prg.open(key))
    key.wipe()
    return stream


def draw(table: NoiseTable, length: int, stream: WordSource) -> NDArray[np.int64]:
    """Draw independent entries.

    Args:
        table: their distribution.
        length: how many, at least 0.
        stream: secret bits; used in the order of this module's docstring.

    Returns:
        int64, (length,), entries in -tail .. tail. Nothing else as long is made on the way.

    Raises:
        ParameterError: no such length.
    """
    count = as_whole(length)
    if count is None or count < 0:
        raise ParameterError(f"length={length!r} of noise; give a whole number from 0 on")
    sampler = _Sampler(table, min(SLICE, count))
    out = np.empty(count, dtype=np.int64)
    for start in range(0, count, SLICE):
        sampler.fill(out[start : start + SLICE], stream)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Guide:
    """Values by the first bits of the number.

    Attributes:
        bits: G.
        lane: dtype of a lane.
        values: int16 or int32, (2^G,): the value, or `undecided`.
        undecided: a value that no table has.
    """

    bits: int
    lane: np.dtype[Any]
    values: NDArray[Any]
    undecided: int


@lru_cache(maxsize=_CACHED)
def _guide(table: NoiseTable) -> _Guide:
    bits, lane = next((bits, lane) for tail, bits, lane in _GUIDES if table.tail <= tail)
    starts = np.arange(2**bits, dtype=np.uint64) << np.uint64(_WORD_BITS - bits)
    # A threshold with lower bits is above every start that equals its upper 64; only without is it not.
    whole = table.high[table.low == 0]
    below_start = np.searchsorted(table.high, starts, side="left")
    not_above_start = below_start + (
        np.searchsorted(whole, starts, side="right") - np.searchsorted(whole, starts, side="left")
    )
    below_end = np.append(below_start[1:], len(table.high))
    kind = np.int16 if np.dtype(lane).itemsize == 2 else np.int32
    values: NDArray[Any] = (not_above_start - table.tail).astype(kind)
    undecided = int(np.iinfo(kind).min)
    values[not_above_start != below_end] = undecided
    values.flags.writeable = False
    return _Guide(bits, np.dtype(lane), values, undecided)


class _Sampler:
    """Fills slices of one table, with buffers that it reuses."""

    __slots__ = ("_guide", "_table", "_values", "_words")

    def __init__(self, table: NoiseTable, largest_slice: int) -> None:
        self._table = table
        self._guide = _guide(table)
        self._words = np.empty(-(-largest_slice * self._guide.lane.itemsize // WORD_BYTES), dtype=np.uint64)
        self._values = np.empty(largest_slice, dtype=self._guide.values.dtype)

    def fill(self, out: NDArray[np.int64], stream: WordSource) -> None:
        """Draw `len(out)` entries."""
        guide, values = self._guide, self._values[: len(out)]
        words = self._words[: -(-len(out) * guide.lane.itemsize // WORD_BYTES)]
        stream.fill(words)
        lanes = words.astype("<u8", copy=False).view(guide.lane)[: len(out)]
        cells = lanes >> (8 * guide.lane.itemsize - guide.bits) if guide.lane.itemsize > 2 else lanes
        np.take(guide.values, cells, out=values, mode="clip")
        np.copyto(out, values)
        undecided = np.flatnonzero(values == guide.undecided)
        if len(undecided):
            out[undecided] = self._search(cells[undecided].astype(np.uint64), stream)

    def _search(self, cells: NDArray[np.uint64], stream: WordSource) -> NDArray[np.int64]:
        """Return the values of the numbers that begin with these cells."""
        bits, table = self._guide.bits, self._table
        numbers = np.empty(len(cells), dtype=np.uint64)
        stream.fill(numbers)
        numbers >>= np.uint64(bits)
        numbers |= cells << np.uint64(_WORD_BITS - bits)
        found = np.searchsorted(table.high, numbers, side="right")
        # A number below every threshold looks at the last one, which it does not equal.
        ties = np.flatnonzero(table.high[found - 1] == numbers)
        if len(ties):
            least = np.searchsorted(table.high, numbers[ties], side="left")
            lower = np.empty(len(ties), dtype=np.uint64)
            stream.fill(lower)
            for tie, first, rest in zip(ties, least, lower, strict=True):
                found[tie] = first + np.searchsorted(table.low[first : found[tie]], rest, side="right")
        return found - table.tail
