"""What a session must release: the plain sum of the contributors' inputs, and when two results are the same.

Quantizes as Specification §4.2 says for nearest rounding, in plain numbers, without masks and without packing. Must not
know sessions; it is what live sessions are held against.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from secagg.conformance import conformance_pb2 as pb
from secagg.parameters import SessionParameters
from secagg.parameters.vectors import FixedPoint, Integers

RELATIVE_ERROR: Final = 2.0**-30
"""Of a fixed-point entry, times clip, times contributors (conformance.md, "Sums")."""


def plain_sum(
    parameters: SessionParameters, inputs: Mapping[int, pb.SetInput], contributors: Collection[int]
) -> pb.Result:
    """Return what an honest session of these contributors releases."""
    weights = {client: inputs[client].weight for client in contributors}
    result = pb.Result(contributors=sorted(contributors))
    for name, spec in parameters.vectors:
        weighted = parameters.max_weight > 1 and spec.weighted
        total = [0] * spec.size
        for client in contributors:
            levels = _encoded(spec, _values(inputs[client], name))
            factor = weights[client] if weighted else 1
            total = [before + factor * level for before, level in zip(total, levels, strict=True)]
        count = sum(weights.values()) if weighted else len(contributors)
        decoded = result.vectors.add(name=name)
        if isinstance(spec, Integers):
            decoded.integers.extend(entry + count * spec.low for entry in total)
        else:
            parts = spec.top * (count if spec.aggregate == "mean" else 1)
            decoded.reals.extend((entry - count * spec.top) / parts * spec.clip if parts else 0.0 for entry in total)
    if parameters.max_weight > 1:
        result.total_weight = sum(weights.values())
    return result


def result_difference(parameters: SessionParameters, expected: pb.Result, got: pb.Result) -> str | None:
    """Say how a result is another than the expected one; None when they are the same."""
    if list(expected.contributors) != list(got.contributors):
        return f"contributors {_listed(got.contributors)} instead of {_listed(expected.contributors)}"
    if _weight(expected) != _weight(got):
        return f"total weight {_weight(got)} instead of {_weight(expected)}"
    names = [vector.name for vector in got.vectors]
    if names != [vector.name for vector in expected.vectors]:
        return f"vectors {_listed(names)} instead of {_listed(vector.name for vector in expected.vectors)}"
    specs = dict(parameters.vectors)
    for wanted, came in zip(expected.vectors, got.vectors, strict=True):
        spec = specs.get(wanted.name)
        allowed = RELATIVE_ERROR * spec.clip * len(expected.contributors) if isinstance(spec, FixedPoint) else 0.0
        if list(came.integers) != list(wanted.integers):
            return f"{wanted.name}: {_first(wanted.integers, came.integers, 0.0)}"
        difference = _first(wanted.reals, came.reals, allowed)
        if difference:
            return f"{wanted.name}: {difference}"
    return None


def _values(event: pb.SetInput, name: str) -> list[float]:
    found = next(vector for vector in event.vectors if vector.name == name)
    return [*found.reals, *found.integers]


def _encoded(spec: FixedPoint | Integers, values: list[float]) -> list[int]:
    if isinstance(spec, Integers):
        return [int(value) - spec.low for value in values]
    limited = (min(max(value, -spec.clip), spec.clip) for value in values)
    return [math.floor(value * (spec.top / spec.clip) + (spec.top + 0.5)) for value in limited]


def _first(expected: Collection[float], got: Collection[float], allowed: float) -> str | None:
    if len(expected) != len(got):
        return f"{len(got)} entries instead of {len(expected)}"
    for at, (wanted, came) in enumerate(zip(expected, got, strict=True)):
        # A sum that is not a number differs from everything, and zero from what is near it.
        if not abs(wanted - came) <= (allowed if wanted else 0.0):
            return f"entry {at} is {came} instead of {wanted}"
    return None


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items) or "none"


def _weight(result: pb.Result) -> str:
    return str(result.total_weight) if result.HasField("total_weight") else "none"
