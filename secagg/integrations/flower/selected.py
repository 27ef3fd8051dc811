"""The arrays of Flower's records as a selection sees them. Must not know sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from secagg.errors import DecodeError
from secagg.integrations.flower.plan import numpy_of
from secagg.integrations.selection import array_digest, digest_of_frozen


def told_arrays(instruction: RecordDict) -> Iterator[tuple[str, bytes]]:
    """Return name and digest of each array, in all records of an instruction: an app may take any.

    Raises:
        DecodeError: an array that NumPy cannot read.
    """
    for record in instruction.array_records.values():
        for name, array in record.items():
            yield name, _digest_of(name, array)


def frozen_digest(record: ArrayRecord, only: Collection[str]) -> bytes:
    """Return the 32 bytes that a node's `secagg-frozen` has, for the model that its owner lets it train.

    The names of all arrays are in it, in order, and the entries of those that are frozen: which `only` does not name.

    Args:
        record: the model's arrays, as the server sends them.
        only: names or patterns of the arrays that may be summed, as in `secagg-only`.

    Raises:
        ParameterError: a name or pattern of no array.
        DecodeError: an array that NumPy cannot read.
    """
    return digest_of_frozen(((name, _digest_of(name, array)) for name, array in record.items()), only)


def _digest_of(name: str, array: Array) -> bytes:
    try:
        numbers = numpy_of(array)
    except (ValueError, EOFError) as error:
        raise DecodeError(f"the array {name!r} of the instruction cannot be read") from error
    if isinstance(numbers, np.ndarray):
        return array_digest(numbers)
    parts = (array.dtype, array.stype, repr(tuple(array.shape)))
    return hashlib.sha256("\0".join(parts).encode() + b"\0" + array.data).digest()
