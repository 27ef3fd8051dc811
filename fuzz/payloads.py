"""Target: masked vectors as packed bytes.

Invariant: add_packed raises a SecAggError and leaves the accumulator as it was, or adds exactly the words that plain
integer arithmetic reads from the payload, and these words pack to the very same payload; the sum decodes, or
is refused with a SecAggError, without a change of its words.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fuzz.invariant import Program, attempt, hold, succeeds
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import add_packed, decode_sum, pack_vector, reduce_to_ring
from secagg.parameters.vectors import FixedPoint, Integers, VectorSpec

_HIGHS = (1, 2, 6, 100, 65_535, 10**6, 2**31, 2**40, 2**57)


@lru_cache(maxsize=1024)
def _layout(clients: int, max_weight: int, bits: int, first: int, high: int, second: int) -> Layout | None:
    vectors: list[tuple[str, VectorSpec]] = [
        ("update", FixedPoint(length=first, clip=2.0, bits=bits, aggregate="mean" if max_weight > 1 else "sum")),
        ("counts", Integers(-3, _HIGHS[high], length=second)),
    ]
    return attempt(lambda: Layout.build(vectors, clients, max_weight))


def packed(data: bytes) -> None:
    """Seven bytes choose a layout, how the payload is cut to length and the accumulator; the rest is the payload."""
    program = Program(data)
    clients, max_weight, bits = program.byte() + 2, program.byte() + 1, program.byte() % 31 + 2
    first, high, second = program.byte() % 99 + 1, program.byte() % len(_HIGHS), program.byte() % 99 + 1
    shape = program.byte()
    payload = program.rest()
    layout = _layout(clients, max_weight, bits, first, high, second)
    if layout is None:
        return
    if shape & 1:
        payload = payload[: layout.packed_bytes].ljust(layout.packed_bytes, bytes([shape]))
    start = np.full(layout.words, np.uint64(shape * 0x0101_0101_0101_0101), dtype=np.uint64)
    accumulator = start.copy()
    if not succeeds(lambda: add_packed(layout, payload, accumulator)):
        hold(np.array_equal(accumulator, start), "a refused payload changed the accumulator")
        return
    words = accumulator - start
    hold(words.tolist() == _plainly(layout, payload), "unpacked words are not the payload's bits")
    hold(bytes(pack_vector(layout, words)) == payload, "words pack to another payload")
    reduce_to_ring(layout, accumulator)
    kept = accumulator.copy()
    attempt(lambda: decode_sum(layout, accumulator, clients - shape % clients))
    hold(np.array_equal(accumulator, kept), "decoding changed the words")


def _plainly(layout: Layout, payload: bytes) -> list[int]:
    words: list[int] = []
    for section in layout.sections:
        number, bits = int.from_bytes(payload[section.byte_slice], "little"), section.ring_bits
        words += [number >> place * bits & (1 << bits) - 1 for place in range(section.words)]
        hold(number >> section.words * bits == 0, "pad bits that are set were accepted")
    return words
