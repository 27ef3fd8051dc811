"""Reads the numbers in a masked upload, as a curious server would (Specification §4.1, §4.3).

Works from the public parameters alone, to show that the numbers mean nothing. Must hold no key and no mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import secagg

_WORD_BITS = 64


def masked_entries(message: bytes, parameters: secagg.SessionParameters) -> NDArray[np.uint64]:
    """Return the masked entries of the session's first vector, in its shape.

    Args:
        message: an encoded masked input, whose payload comes last (Specification §6.4).
        parameters: of the session.

    Returns:
        uint64, each below 2^w, where w is the vector's field width.
    """
    packed = [_packed_bytes(spec.size, _width(spec, parameters)) for _, spec in parameters.vectors]
    if parameters.max_weight > 1:
        packed.append(_packed_bytes(1, _width(secagg.Integers(0, parameters.max_weight, 1), parameters)))
    start = len(message) - sum(packed)
    _, spec = parameters.vectors[0]
    width = _width(spec, parameters)
    # All fields of all words lie back to back: a word of f fields of w bits has exactly f * w bits on the wire.
    bits = int.from_bytes(message[start : start + packed[0]], "little")
    entries = [bits >> (index * width) & (1 << width) - 1 for index in range(spec.size)]
    return np.array(entries, dtype=np.uint64).reshape(spec.shape)


def field_width(parameters: secagg.SessionParameters) -> int:
    """Return the bits of a masked entry of the session's first vector."""
    return _width(parameters.vectors[0][1], parameters)


def _width(spec: secagg.FixedPoint | secagg.Integers, parameters: secagg.SessionParameters) -> int:
    return spec.field_width(parameters.clients, parameters.max_weight)


def _packed_bytes(entries: int, width: int) -> int:
    fields = _WORD_BITS // width
    words = -(-entries // fields)
    return -(-words * fields * width // 8)
