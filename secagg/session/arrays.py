"""The arrays of a model as a session's vectors, and back: names, shapes and dtypes of any framework.

Pure: says which vectors a session needs for a state dict (Specification §4), makes a client's input of one, and a state
dict of the mean. Must not know sessions and messages.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters.vectors import MAX_BITS, FixedPoint, check_vector_name

WHOLE_NUMBER_BITS: Final = 24
_ODD: Final = re.compile(r"[^\w.\-/]", re.ASCII)
_DIGEST_CHARACTERS: Final = 16
_SHOWN_CHARACTERS: Final = 64
_MOST_COMPLAINTS: Final = 20
_WHOLE: Final = "biu"


@dataclass(frozen=True, slots=True)
class PlannedArray:
    """One array of a :class:`VectorPlan`.

    Attributes:
        vector: the name of its vector; None when it is empty, and has none.
        shape: its shape; a vector's own is (1,) where this is ().
        dtype: its dtype.
    """

    vector: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class VectorPlan:
    """How the arrays of a model travel: made by :func:`vectors_for`.

    Attributes:
        specs: vector name to specification, for `SessionParameters.choose(vectors=...)`.
        arrays: name of each array that is summed to where it goes, in the order in which they were given.
        others: names of the arrays that are not.
    """

    specs: dict[str, FixedPoint]
    arrays: dict[str, PlannedArray]
    others: frozenset[str] = frozenset()

    def pack(self, arrays: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> dict[str, NDArray[Any]]:
        """Return a client's input.

        Args:
            arrays: by name, with the shapes that the plan was made for, of any dtype that can be summed.
            base: what is subtracted first, array by array, in a precision that loses nothing: entries that are equal,
                infinities and NaN among them, give exactly 0.

        Raises:
            ParameterError: arrays that are missing, unknown, or of another shape or kind; names all of them.
        """
        complaints = _Complaints("the arrays are not those that the session sums")
        taken = _taken({n: a for n, a in arrays.items() if n not in self.others}, complaints)
        before = {} if base is None else _taken({n: base[n] for n in self.arrays if n in base}, complaints)
        for name in taken.keys() - self.arrays.keys():
            complaints.add(name, "is not in the plan; leave it out, or make the plan for it too")
        packed = {}
        for name, planned in self.arrays.items():
            if name not in arrays or (base is not None and name not in base):
                complaints.add(name, "is missing; give all arrays of the plan")
            elif planned.vector is None or name not in taken or (base is not None and name not in before):
                continue
            elif (problem := _unfit(taken[name], planned.shape)) is not None:
                complaints.add(name, problem)
            else:
                value = taken[name] if base is None else _difference(np.ravel(taken[name]), np.ravel(before[name]))
                packed[planned.vector] = _plain(value).reshape(planned.shape or (1,))
        complaints.raise_if_any()
        return packed

    def unpack(
        self, vectors: Mapping[str, NDArray[Any]], base: Mapping[str, Any] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the arrays that a session's means stand for, each in its own dtype and shape.

        Whole numbers are rounded to the nearest, truth values to what most clients have.

        Args:
            vectors: `SessionResult.vectors`: float64, each of its vector's shape.
            base: what the means are added to, as it was subtracted in :meth:`pack`. The result then has all its arrays,
                those that are not summed as they are; an entry whose mean is 0 keeps its bits.

        Raises:
            ParameterError: a vector or an array of the base is missing; names all of them.
        """
        complaints = _Complaints("the session's result is not of this plan")
        before = {} if base is None else _taken({n: base[n] for n in self.arrays if n in base}, complaints)
        for name, planned in self.arrays.items():
            if planned.vector is not None and planned.vector not in vectors:
                complaints.add(name, f"has no vector {planned.vector!r} in the result")
            if base is not None and name not in base:
                complaints.add(name, "is missing in the base")
        complaints.raise_if_any()
        found: dict[str, Any] = {} if base is None else dict(base)
        for name, planned in self.arrays.items():
            if planned.vector is None:
                found[name] = before.get(name, np.zeros(planned.shape, planned.dtype))
                continue
            mean = np.ravel(vectors[planned.vector])
            whole = _as(planned.dtype, mean) if base is None else _moved(np.ravel(before[name]), mean)
            found[name] = whole.reshape(planned.shape)
        return found


def vectors_for(
    arrays: Mapping[str, Any],
    *,
    clip: float | Mapping[str, float],
    bits: int = FixedPoint.DEFAULT_BITS,
    only: Collection[str] | None = None,
    prefix: str = "",
) -> VectorPlan:
    """Plan a weighted mean of the arrays of a model: a state dict of NumPy arrays, 0-d and empty ones among them.

    Floating arrays are clipped and quantized. Whole numbers and truth values travel in steps of one, so that their mean
    is exact before it is rounded; they are clipped at +-(2^23 - 1) unless `clip` names them. Empty arrays have none.

    Args:
        arrays: name to array: float16, float32, float64, any integer or bool; in any memory order.
        clip: largest magnitude of an entry that travels unchanged, for all floating arrays; or by name, where `*`
            stands for any characters, a name itself comes before patterns, and these in their order:
            `{"head.bias": 4.0, "*": 0.1}`. Whole numbers take none from a pattern.
        bits: bits of a quantized entry of a floating array.
        only: names or patterns of the arrays that are summed; None sums all.
        prefix: stands before the name of each vector.

    Returns:
        What to offer, and how a client's arrays become its input and a session's result arrays again.

    Raises:
        ParameterError: whatever is wrong with the arrays, all at once; `only` is one text; or nothing is left to sum.
    """
    if not isinstance(clip, Mapping):
        FixedPoint(1, clip=clip, bits=bits)  # what is wrong with these is no array's fault
    complaints = _Complaints("these arrays cannot be summed")
    if not isinstance(arrays, Mapping):
        raise ParameterError(f"the arrays are a {type(arrays).__name__}; give a mapping of names to NumPy arrays")
    summed = {name: arrays[name] for name in arrays if only is None or name_matches(name, only)}
    planned: dict[str, PlannedArray] = {}
    specs: dict[str, FixedPoint] = {}
    for name, array in _taken(summed, complaints).items():
        vector = vector_name(name, prefix) if array.size else None
        planned[name] = PlannedArray(vector, array.shape, array.dtype)
        if (problem := _unfit(array, array.shape)) is not None:
            complaints.add(name, problem)
        elif vector in specs:
            complaints.add(name, f"would have the vector {vector!r} of another array; rename it")
        elif vector is not None:
            try:
                specs[vector] = _spec(name, array, clip, bits)
            except ParameterError as error:
                complaints.add(name, str(error))
    for pattern in _unused([*(clip if isinstance(clip, Mapping) else ()), *(only or ())], arrays):
        problem = "fits the name of no array; correct it"
        if "*" not in pattern:
            problem = "is the name of no array; correct it, or use a pattern with *"
        complaints.add(pattern, problem)
    complaints.raise_if_any()
    if not specs:
        raise ParameterError("there is nothing to sum: no array that is selected has entries")
    return VectorPlan(specs, planned, frozenset(arrays.keys() - summed.keys()))


def vector_name(name: str, prefix: str = "") -> str:
    """Return the name of an array's vector: its own after the prefix, or a digest of it where that cannot be.

    Args:
        name: of the array, any text.
        prefix: stands before it.
    """
    try:
        return check_vector_name(prefix + name)
    except ParameterError:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]
        return f"{prefix}{digest}-{_ODD.sub('_', name)[-_SHOWN_CHARACTERS:]}"


def name_matches(name: str, patterns: Collection[str]) -> bool:
    """Return whether a name is one of these, or fits a pattern, in which `*` stands for any characters, or none.

    Args:
        name: of an array, as the model has it.
        patterns: names as they are, or with `*`; capital letters count.

    Raises:
        ParameterError: the patterns are one text, of which each character would be one.
    """
    if isinstance(patterns, str):
        raise ParameterError(f"{patterns!r} is one text; give a list of names or patterns, [{patterns!r}]")
    return any(_fits(name, pattern) for pattern in patterns)


class _Complaints:
    """Everything that is wrong, for one error."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lines: list[str] = []

    def add(self, name: object, problem: str) -> None:
        self._lines.append(f"{name!r} {problem}")

    def raise_if_any(self) -> None:
        if not self._lines:
            return
        shown = self._lines[:_MOST_COMPLAINTS]
        if more := len(self._lines) - len(shown):
            shown.append(f"and {more} more")
        raise ParameterError(f"{self._what}: " + "; ".join(shown))


def _taken(arrays: Mapping[str, Any], complaints: _Complaints) -> dict[str, NDArray[Any]]:
    """The arrays as NumPy's own; what is none is complained of."""
    taken = {}
    for name, value in arrays.items():
        if not isinstance(name, str) or not name:
            complaints.add(name, "is no name; give texts that are not empty")
        elif isinstance(value, np.ma.MaskedArray):
            complaints.add(name, "is a masked array; fill it with values first (array.filled(0))")
        elif isinstance(value, np.ndarray | np.generic | bool | int | float):
            taken[name] = np.asarray(value)
        elif "bfloat16" in str(getattr(value, "dtype", "")):
            complaints.add(name, "is bfloat16, which NumPy does not have; convert it to float32 first")
        else:
            complaints.add(
                name, f"is a {type(value).__name__}; give a NumPy array (of a tensor: .detach().cpu().numpy())"
            )
    return taken


def _unfit(array: NDArray[Any], shape: tuple[int, ...]) -> str | None:
    """Why an array cannot be summed where one of a shape is expected, or None."""
    dtype = array.dtype
    if array.shape != shape:
        return f"has shape {array.shape}; the session sums {shape}"
    if dtype.kind in _WHOLE or (dtype.kind == "f" and dtype.itemsize <= np.dtype(np.float64).itemsize):
        return None
    if dtype.kind == "V":
        return f"is {dtype.name}, with which NumPy cannot compute (bfloat16 is such a one); convert it to float32 first"
    if dtype.kind == "c":
        return f"is {dtype.name}; give real and imaginary part as two arrays"
    return f"is {dtype.name}; give float16, float32, float64, whole numbers or truth values"


def _spec(name: str, array: NDArray[Any], clip: float | Mapping[str, float], bits: int) -> FixedPoint:
    shape = array.shape or (1,)
    own = clip.get(name) if isinstance(clip, Mapping) else None
    if array.dtype.kind in _WHOLE:
        most = 1 if array.dtype.kind == "b" else (1 << (WHOLE_NUMBER_BITS - 1)) - 1
        if own is not None and array.dtype.kind != "b":
            most = math.ceil(FixedPoint(1, clip=own, bits=2).clip)
        if most.bit_length() >= MAX_BITS:
            raise ParameterError(f"has a clip of {own:g}; of whole numbers it is at most {(1 << (MAX_BITS - 1)) - 1}")
        return FixedPoint.whole_numbers(most, shape=shape)
    if not isinstance(clip, Mapping):
        return FixedPoint(shape=shape, clip=clip, bits=bits, aggregate="mean")
    bound = own if own is not None else next((c for pattern, c in clip.items() if _fits(name, pattern)), None)
    if bound is None:
        raise ParameterError('has no clip; name it, or give a default by clip={..., "*": ...}')
    return FixedPoint(shape=shape, clip=bound, bits=bits, aggregate="mean")


def _fits(name: object, pattern: str) -> bool:
    """By the first place of each part: no search goes back, since a server chooses names, and their length."""
    if not isinstance(name, str):
        return False
    first, *parts = pattern.split("*")
    if not parts:
        return name == pattern
    place, end = len(first), len(name) - len(parts[-1])
    if place > end or not name.startswith(first) or not name.endswith(parts[-1]):
        return False
    for part in parts[:-1]:
        place = name.find(part, place, end)
        if place < 0:
            return False
        place += len(part)
    return True


def _unused(patterns: Collection[str], names: Collection[str]) -> Iterator[str]:
    return (pattern for pattern in patterns if pattern != "*" and not any(_fits(name, pattern) for name in names))


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.int8) if array.dtype.kind == "b" else array


def _difference(value: NDArray[Any], base: NDArray[Any]) -> NDArray[Any]:
    if value.dtype.kind in _WHOLE and base.dtype.kind in _WHOLE:
        # Modulo 2^64, so that even unsigned numbers of 64 bits have the difference that they have.
        return value.astype(np.int64) - base.astype(np.int64)
    with np.errstate(invalid="ignore", over="ignore"):
        after, before = value.astype(np.float64), base.astype(np.float64)
        same = (after == before) | (np.isnan(after) & np.isnan(before))
        difference: NDArray[Any] = np.where(same, 0.0, after - before)
    return difference


def _moved(base: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
    """The base plus a mean difference; where that is 0, the base's own bits."""
    if base.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            return np.where(mean == 0, base, (base.astype(np.float64) + mean).astype(base.dtype))
    steps = np.rint(mean).astype(np.int64)
    if base.dtype.itemsize == 8:
        moved: NDArray[Any] = (base.astype(np.int64) + steps).astype(base.dtype)
        return moved
    return _as(base.dtype, (base.astype(np.int64) + steps).astype(np.float64))


def _as(dtype: np.dtype[Any], mean: NDArray[Any]) -> NDArray[Any]:
    """A mean in the dtype of the arrays that it is of."""
    if dtype.kind == "f":
        return mean.astype(dtype)
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    whole: NDArray[Any] = np.clip(np.rint(mean), least, most).astype(dtype)
    return whole
