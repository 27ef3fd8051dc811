"""What a cell's sum proves by itself, and what an honest client does so that it proves something (robust-v1 §6).

Finds faults and vandals. A liar that stays within what honest clients could send is not found here, by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real
from secagg.parameters.vectors import FixedPoint

_SLICE: Final = 2**15
_SHRINK: Final = 2.0**-600
_FIRST_FACTOR: Final = 2.0**-500
_BELOW_ONE: Final = 1 - 2.0**-36


def clip_norm(arrays: Mapping[str, NDArray[Any]], bound: float) -> dict[str, NDArray[Any]]:
    """Return the arrays scaled down together to an L2 norm of at most `bound`, all of them as one vector.

    Every honest client does it before `set_input`, and what the server then sees of a cell is bounded, too. No value is
    refused, because a refusal would show: arrays with a NaN or an infinity become zeros, all of them, and so do arrays
    whose norm is no float64. Every entry takes the same steps, whatever it is.

    Args:
        arrays: name to array of any shape, of a real dtype; unchanged.
        bound: largest norm that stays as it is, from 2^-100 to 2^400.

    Returns:
        New arrays of the same shapes, float32 where one was float32, else float64.

    Raises:
        ParameterError: a bound outside its range, or arrays of another kind.
    """
    bound = check_bound("bound", bound)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ParameterError(
                f"{name!r} is {kind}, and norms are of real arrays; convert with astype(numpy.float64)"
            )
    flat = {name: np.ascontiguousarray(array).reshape(-1) for name, array in arrays.items()}
    norm, finite = norm_of(flat.values())
    # Rounding to float32 must not lead back above the bound.
    narrow = any(array.dtype == np.float32 for array in flat.values())
    below = 1 - 2.0**-22 if narrow else _BELOW_ONE
    # In two steps, so that neither factor is a denormal number, which is not exact enough.
    first = _FIRST_FACTOR if norm > 1 / _FIRST_FACTOR else 1.0
    second = (bound / (norm * first) * below if norm > bound else 1.0) if finite else 0.0
    scaled = {name: _scaled(array, first, second, finite) for name, array in flat.items()}
    return {name: array.reshape(arrays[name].shape) for name, array in scaled.items()}


def norm_of(arrays: Iterable[NDArray[Any]]) -> tuple[float, bool]:
    """Return the L2 norm of one-dimensional arrays together, and whether every entry is a finite number.

    The norm is infinite where float64 has none so large.
    """
    plain = small = 0.0
    with np.errstate(all="ignore"):
        for reals in (piece for array in arrays for piece in _slices(array)):
            plain += float(np.einsum("i,i->", reals, reals))
            # The squares of these do not overflow: their sum is finite if every entry is.
            np.multiply(reals, _SHRINK, out=reals)
            small += float(np.einsum("i,i->", reals, reals))
    norm = math.sqrt(plain) if math.isfinite(plain) else math.sqrt(small) / _SHRINK
    return norm, math.isfinite(small)


def largest_norm(specs: Iterable[FixedPoint], bound: float) -> float:
    """Return the largest L2 norm of a mean of inputs of norm up to `bound`: rounding moves an entry by up to a step."""
    return bound + math.sqrt(math.fsum(spec.size * (spec.clip / spec.top) ** 2 for spec in specs))


def check_bound(name: str, bound: object) -> float:
    """Return a bound of a norm as a float.

    Raises:
        ParameterError: no number, or outside 2^-100 .. 2^400.
    """
    real = as_real(bound)
    if real is None or not 2.0**-100 <= real <= 2.0**400:
        raise ParameterError(f"{name}={bound!r:.40} is no number from 2^-100 to 2^400; give the largest honest norm")
    return real


def proof_against(
    impossible: Mapping[str, int], clients: int, row: NDArray[np.float64], largest: float | None, slots: int = 0
) -> str | None:
    """Return why a sum proves that a client of the cell lied, in one sentence; None where nothing is proved.

    Args:
        impossible: `SessionResult.impossible`.
        clients: clients of the cell.
        row: the cell's mean, float64, one-dimensional, finite.
        largest: largest norm that honest clients reach, or None where they promised none.
        slots: slots of alarms in use.
    """
    for name, count in impossible.items():
        return f"{count} fields of {name!r} hold more than the inputs of {clients} honest clients add up to"
    if slots > clients:
        return f"{slots} slots of alarms are in use, and {clients} honest clients use one each at most"
    if largest is not None:
        norm, _ = norm_of((row,))
        if norm > largest:
            return f"the mean has a norm of {norm:.4g}, and honest clients reach {largest:.4g} at most"
    return None


def _slices(array: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Copies of at most 2^15 entries, in a buffer that the next one overwrites."""
    reals = np.empty(min(_SLICE, array.size), dtype=np.float64)
    for start in range(0, array.size, _SLICE):
        piece = array[start : start + _SLICE]
        np.copyto(reals[: len(piece)], piece, casting="unsafe")
        yield reals[: len(piece)]


def _scaled(array: NDArray[Any], first: float, second: float, finite: bool) -> NDArray[Any]:
    out = np.empty(array.size, dtype=np.float32 if array.dtype == np.float32 else np.float64)
    keep = np.int64(-int(finite))  # all bits of an update that is finite, none of another: NaN times 0 is NaN
    with np.errstate(all="ignore"):
        for place, reals in enumerate(_slices(array)):
            bits = reals.view(np.int64)
            np.bitwise_and(bits, keep, out=bits)
            np.multiply(reals, first, out=reals)
            np.multiply(reals, second, out=out[place * _SLICE :][: len(reals)], casting="same_kind")
    return out
