"""Arguments as callers give them: NumPy's whole numbers are whole numbers, and another type is said in one sentence."""

from __future__ import annotations

import math
import operator
from numbers import Real

from secagg.errors import ParameterError


def as_whole(value: object) -> int | None:
    """Return a whole number as a plain int; None for anything else, truth values and whole floats included."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def as_real(value: object) -> float | None:
    """Return a real number as a plain float, NaN and infinity included; None for anything else and for truth values.

    Beyond the largest float a number is an infinity, and no error.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if operator.gt(value, 0) else -math.inf


def require_kind(name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Demand an argument of a type.

    Raises:
        ParameterError: it has another; the sentence ends with what is wanted.
    """
    if not isinstance(value, kind):
        raise ParameterError(f"{name} is of type {type(value).__name__}; give {wanted}")
