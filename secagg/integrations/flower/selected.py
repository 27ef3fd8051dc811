"""The arrays of Flower's records as a selection sees them. Must not know sessions."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict

from secagg.errors import DecodeError, ParameterError
from secagg.integrations.flower.plan import Plan, arrays_of, numpy_of
from secagg.integrations.selection import array_digest, digest_of_frozen, layout_digest, raw_digest


def require_told(plan: Plan, instruction: RecordDict) -> None:
    """Refuse a plan of arrays that its instruction does not have.

    Raises:
        DecodeError: names the first.
    """
    if plan.arrays is None:
        return
    try:
        sent = arrays_of(instruction, plan.arrays, "the instruction")
    except ParameterError as error:
        raise DecodeError(str(error)) from error
    if missing := [name for name in plan.selected if name not in sent]:
        raise DecodeError(f"the session sums the array {missing[0]!r}, which the instruction does not have")


def told_arrays(instruction: RecordDict) -> Iterator[tuple[str, bytes]]:
    """Return name and digest of each array, in all records of an instruction: an app may take any.

    Raises:
        DecodeError: an array that NumPy cannot read.
    """
    for record in instruction.array_records.values():
        for name, array in record.items():
            yield name, _digest_of(name, array)


def layout_of(instruction: RecordDict) -> bytes:
    """Return which ArrayRecord has which of an instruction's arrays, where there are several: an app takes one."""
    return layout_digest({name: len(record) for name, record in instruction.array_records.items()})


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
    return raw_digest(array.dtype, array.stype, array.shape, array.data)
