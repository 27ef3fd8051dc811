"""Seeds to masks to accumulators: the hot path (Specification §3.4, §6.4, §6.6).

A mask is the word stream of a PRG key. Many masks are added to (or taken from) one accumulator slice by
slice: a slice of the accumulator stays in the processor's cache while all keys pass over it, and one buffer
serves every mask, so memory does not grow with the number of masks. A slice is also the piece of work that an
executor hands out. Arithmetic is modulo 2^64, the natural wrap of uint64; since 2^B divides 2^64, the low B
bits are right in every ring Z_{2^B}.

Must not know where keys come from, what the accumulator holds, how it is laid out, or who works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg import MaskPrg, check_slice, empty_words
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError
from secagg.executor import INLINE, Executor

MAX_OPEN_STREAMS: Final = 256


@dataclass(frozen=True, slots=True)
class MaskTerm:
    """One mask of a sum: the stream of `key`, added, or subtracted when `negative`."""

    key: SecretBytes
    negative: bool


@dataclass(frozen=True, slots=True)
class MaskKeys:
    """The masks of a sum as columns: thousands of them without an object for each.

    Attributes:
        keys: uint8, a row for each mask; writable, so that they can be wiped.
        negative: bool, whether the mask is subtracted.
    """

    keys: NDArray[np.uint8] = field(repr=False)
    negative: NDArray[np.bool_]

    @classmethod
    def of(cls, terms: Sequence[MaskTerm], key_bytes: int) -> MaskKeys:
        """Copy terms into columns; raises ParameterError for a key of another length."""
        for term in terms:
            if len(term.key) != key_bytes:
                raise ParameterError(f"a mask PRG key of {len(term.key)} bytes; derive exactly {key_bytes}")
        joined = bytearray().join([term.key.expose() for term in terms])
        negative = np.array([term.negative for term in terms], dtype=np.bool_)
        return cls(np.frombuffer(joined, dtype=np.uint8).reshape(len(terms), key_bytes), negative)

    def joined(self, others: MaskKeys) -> MaskKeys:
        """Return copies of these masks and others."""
        return MaskKeys(np.concatenate([self.keys, others.keys]), np.concatenate([self.negative, others.negative]))

    def wipe(self) -> None:
        """Overwrite all keys with zeros."""
        self.keys.fill(0)

    def __len__(self) -> int:
        return len(self.negative)

    def __getitem__(self, place: slice) -> MaskKeys:
        return MaskKeys(self.keys[place], self.negative[place])


def add_masks(
    accumulator: NDArray[np.uint64],
    terms: Iterable[MaskTerm] | MaskKeys,
    prg: MaskPrg,
    word_offset: int = 0,
    *,
    executor: Executor = INLINE,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Add every term's mask to the accumulator, in place, modulo 2^64.

    The accumulator may be any slice of the session vector: masking its parts is masking the whole.

    Args:
        accumulator: uint64, one-dimensional, writable.
        terms: the masks; read once, in batches, so a generator of any length is fine. A key may be wiped
            once this function asks for the terms after its batch. Masks in columns are left as they are.
        prg: the suite's PRG.
        word_offset: index in the session vector of the accumulator's first word.
        executor: who works on the slices; the result does not depend on it.
        progress: called after each slice with the number of mask words made since the last call.

    Raises:
        ParameterError: another kind of array, a negative offset, or a key of the wrong length; the
            accumulator is unchanged when the first batch of 256 is at fault.
    """
    _check_accumulator(accumulator)
    if word_offset < 0:
        raise ParameterError(f"word_offset={word_offset} is negative; give the index of the first word")
    slices = _slices(word_offset, len(accumulator), prg.segment_words)
    for batch in _batches(terms, prg.key_bytes):
        done = None if progress is None else partial(_report, progress, len(batch))
        executor.run(_Batch(batch, prg, word_offset), accumulator, slices, done)


def _batches(terms: Iterable[MaskTerm] | MaskKeys, key_bytes: int) -> Iterator[MaskKeys]:
    if isinstance(terms, MaskKeys):
        for start in range(0, len(terms), MAX_OPEN_STREAMS):
            yield terms[start : start + MAX_OPEN_STREAMS]
        return
    pending = iter(terms)
    while batch := tuple(islice(pending, MAX_OPEN_STREAMS)):
        columns = MaskKeys.of(batch, key_bytes)
        try:
            yield columns
        finally:
            columns.wipe()


@dataclass(frozen=True, slots=True)
class _Batch:
    """A job: these masks, added to slices of an accumulator whose first word has this place in the stream."""

    masks: MaskKeys
    prg: MaskPrg
    word_offset: int

    def start(self, target: NDArray[np.uint64]) -> Callable[[range], None]:
        """Open the streams, for one worker."""
        masks = self.masks
        streams = [
            (self.prg.open(key.data).write, np.subtract if negative else np.add)
            for key, negative in zip(masks.keys, masks.negative.tolist(), strict=True)
        ]
        buffer = empty_words(min(self.prg.segment_words, len(target)))

        def add(place: range) -> None:
            piece, mask = target[place.start : place.stop], buffer[: len(place)]
            octets, offset = check_slice(mask, self.word_offset + place.start)
            for write, join in streams:
                write(octets, offset)
                join(piece, mask, piece)

        return add

    def rebased(self, whole: range) -> tuple[_Batch, range]:
        """The masks begin further on, and the slice is its own accumulator."""
        return replace(self, word_offset=self.word_offset + whole.start), whole


def _slices(word_offset: int, words: int, segment: int) -> list[range]:
    """Cut the accumulator where the stream's segments begin; ranges of its own indices."""
    first = segment - word_offset % segment
    bounds = [0, *range(first, words, segment), words]
    return [range(start, stop) for start, stop in pairwise(bounds) if start < stop]


def _report(progress: Callable[[int], None], masks: int, place: range) -> None:
    progress(masks * len(place))


def _check_accumulator(accumulator: NDArray[np.uint64]) -> None:
    if accumulator.dtype != np.uint64 or accumulator.ndim != 1 or not accumulator.flags.writeable:
        raise ParameterError(
            f"masks cannot be added to an array of dtype {accumulator.dtype} and shape {accumulator.shape}; "
            "pass a one-dimensional, writable uint64 array"
        )
