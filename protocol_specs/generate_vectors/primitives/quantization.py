"""Cases of quantization, of whole session vectors, and of decoded sums (Specification §4.2, with §4.1 and §4.3).

Rounding is to nearest; what stochastic rounding draws is local to a client. Must not know masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import (
    Inconsistent,
    Json,
    Topic,
    number,
    session,
    specification,
    vectors,
    wide,
)
from protocol_specs.reference.errors import Breach
from protocol_specs.reference.parameters import FixedPoint, Integers, Parameters, Specification
from protocol_specs.reference.vectors import decode_sum, pack, session_vector

_COMMENT: Final = (
    "Numbers as fields, and sums as numbers (§4.2). Decoded reals may be off by 2^-30 · clip · contributors, unless "
    "the case has the flag Level. Reals that are no numbers are texts."
)
_FLAGS: Final = {
    "Level": "Numbers that are levels, zero among them. They are encoded and come back as they are; a grid beside "
    "zero, or a rounding too many, makes layers drift that nobody trains.",
    "RoundingEdge": "Half a step from a level, or the nearest numbers to that. An implementation may be off by one "
    "level here; it must not leave the range of levels.",
    "Clipped": "Numbers beyond clip. Without limiting them fields carry into each other.",
    "ExtremeClip": "Steps far from 1. Intermediate results must neither overflow nor vanish.",
    "NotFinite": "NaN and infinity. As a level they are anything, and can carry into other fields.",
    "OutOfRange": "An integer or a weight outside of its range. Its field carries into others, or wraps.",
    "WideIntegers": "Integers and sums of up to 64 bits. A detour over binary64 loses their low bits.",
    "WrongWeight": "A total weight that no weights can have. A client sent a wrong one.",
}

_NOBODY: Final = "nearest rounding draws nothing"


def document() -> Json:
    """The file `primitives/quantization.json`."""
    topic = Topic("quantization", _COMMENT, _FLAGS)
    _levels(topic)
    _session_vectors(topic)
    _limited(topic)
    _sums(topic)
    return topic.document()


def _draws_nothing(_length: int) -> bytes:
    raise Inconsistent(_NOBODY)


def real(value: float) -> float | str:
    """JSON has no NaN and no infinity."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _values(named: Sequence[tuple[str, Specification]], inputs: Mapping[str, Sequence[float]]) -> list[Json]:
    made: list[Json] = []
    for name, its in named:
        values = inputs[name]
        shown: Json = {"integers": [str(value) for value in values]}
        made.append({"name": name, **(shown if isinstance(its, Integers) else {"reals": [real(v) for v in values]})})
    return made


def _levels(topic: Topic) -> None:
    around = [math.nextafter(0.0, -1), -0.0, 0.0, math.nextafter(0.0, 1)]
    cases: list[tuple[str, str, str, float, int, list[float]]] = [
        ("bounds", "Both ends and the middle.", "Normal", 1.0, 8, [-1.0, 1.0, 0.5, -0.5, 0.25]),
        ("zero", "Zero of both signs, and next to it.", "Level", 0.1, 8, around),
        ("two-bits", "Three levels.", "Normal", 1.0, 2, [-1.0, -0.75, -0.25, 0.25, 0.75, 1.0]),
        ("32-bits", "All bits.", "Normal", 1.0, 32, [-1.0, 1.0, 0.123456789, -0.987654321, 1 / 3]),
        ("clip-not-binary", "A clip that binary64 rounds.", "Normal", 0.1, 16, [-0.1, 0.1, 0.05, 0.033, -0.07]),
        (
            "clipped",
            "Just beyond clip, and far.",
            "Clipped",
            1.0,
            8,
            [math.nextafter(1, 2), -1.5, 1e9, -1.7e308, 1.7e308],
        ),
        ("clipped-below-clip", "The last number that is not limited.", "Clipped", 1.0, 8, [math.nextafter(1, 0), -1.1]),
        ("clip-smallest", "2^-512.", "ExtremeClip", 2.0**-512, 8, [2.0**-512, -(2.0**-513), 2.0**-514, 5e-324, 1.0]),
        ("clip-largest", "2^512.", "ExtremeClip", 2.0**512, 8, [2.0**512, -(2.0**511), 1.0, -(2.0**600)]),
        (
            "clip-largest-32-bits",
            "2^512 with all bits.",
            "ExtremeClip",
            2.0**512,
            32,
            [2.0**512, -(2.0**512), 2.0**510],
        ),
    ]
    for bits in (2, 3, 8, 16):
        top = 2 ** (bits - 1) - 1
        edges = [(level + 0.5) / top for level in (-top, -1, 0, top - 1)]
        near = [y for x in edges for y in (math.nextafter(x, -2), x, math.nextafter(x, 2))]
        cases.append((f"edges-{bits}-bits", "Between two levels.", "RoundingEdge", 1.0, bits, near))
        clear = [(level + part) / top for level in (-top, 0, top - 1) for part in (0.49, 0.51)]
        cases.append((f"off-edges-{bits}-bits", "Beside the middle of two levels.", "Normal", 1.0, bits, clear))
    for bits, clip in ((2, 0.3), (3, 0.1), (8, 0.7), (16, 1.0), (16, 32767.0), (24, 1e-9), (32, 0.1), (32, 2.0**512)):
        top = 2 ** (bits - 1) - 1
        levels = [0, 1, -1, *(number(f"level/{bits}/{clip}/{i}", 2 * top + 1) - top for i in range(5)), top, -top]
        numbers = [level / top * clip for level in levels]
        name = _identifier(f"exact-{bits}-bits-{clip}")
        cases.append((name, "Levels, as they are decoded.", "Level", clip, bits, numbers))
    for name, comment, flag, clip, bits, entries in cases:
        its = FixedPoint((1,), clip, bits, "nearest", "sum")
        levels = [session_vector(session(2, [("v", its)]), {"v": [x]}, 1, _draws_nothing)[0] for x in entries]
        topic.add(
            f"levels-{name}",
            "levels",
            {"clip": clip, "bits": bits, "entries": [real(x) for x in entries]},
            output={"levels": levels},
            comment=comment,
            requirements=["R47"],
            flags=[flag],
        )


_MEAN: Final = FixedPoint((2, 3), 0.75, 8, "nearest", "mean")
_SUM: Final = FixedPoint((5,), 2.0, 12, "nearest", "sum")
_COUNTS: Final = Integers(-5, 1000, (7,))
_MIXED: Final[list[tuple[str, Specification]]] = [("mean", _MEAN), ("sum", _SUM), ("counts", _COUNTS)]


def _inputs(label: str, named: Sequence[tuple[str, Specification]]) -> dict[str, list[float]]:
    made: dict[str, list[float]] = {}
    for name, its in named:
        draws = [number(f"{label}/{name}/{i}", 2**64) for i in range(its.entries)]
        if isinstance(its, Integers):
            made[name] = [its.low + x % (its.high - its.low + 1) for x in draws]
        else:
            made[name] = [(x % 4001 - 2000) / 1600 * its.clip for x in draws]
    return made


def _given(p: Parameters, inputs: Mapping[str, Sequence[float]], weight: int) -> Json:
    base = {"clients": str(len(p.cohort)), "max_weight": str(p.max_weight), "vectors": vectors(p.vectors)}
    return base | {"inputs": _values(p.vectors, inputs), "weight": str(weight)}


def _session_vectors(topic: Topic) -> None:
    wide_one = Integers(-(2**61), 2**61 - 1, (3,))
    sixty_two: dict[str, Sequence[float]] = {"v": [-(2**61), 2**61 - 1, 2**53 + 1]}
    cases: list[tuple[str, str, str, Parameters, Mapping[str, Sequence[float]], int]] = []
    for n, max_weight, weight in (
        (3, 1, 1),
        (3, 10, 1),
        (3, 10, 10),
        (1000, 10, 7),
        (65521, 2**20, 2**20),
        (2**29 - 1, 1, 1),
    ):
        label = f"quantization/{n}/{max_weight}/{weight}"
        p = session(n, _MIXED, max_weight=max_weight)
        cases.append((f"{n}-{max_weight}-{weight}", "Three vectors.", "Normal", p, _inputs(label, _MIXED), weight))
    cases.append(("wide", "Fields of 64 bits.", "WideIntegers", session(4, [("v", wide_one)]), sixty_two, 1))
    negative = session(5, [("v", Integers(-9, -3, (4,)))])
    cases.append(("negative", "Integers below zero.", "Normal", negative, {"v": [-9, -3, -5, -8]}, 1))
    offset = session(2, [("v", Integers(2**62 - 3, 2**62 - 1, (3,)))])
    far = {"v": [2**62 - 3, 2**62 - 2, 2**62 - 1]}
    cases.append(("far-from-zero", "A short range of large integers.", "WideIntegers", offset, far, 1))
    for name, comment, flag, p, inputs, weight in cases:
        words = session_vector(p, inputs, weight, _draws_nothing)
        topic.add(
            f"vector-{name}",
            "session_vector",
            _given(p, inputs, weight),
            output={"words": wide(words), "packed": pack(p, words).hex()},
            comment=comment,
            requirements=["R46", "R47", "R49"],
            flags=[flag],
        )


def _limited(topic: Topic) -> None:
    good = _inputs("quantization/limited", _MIXED)
    p = session(3, _MIXED, max_weight=10)
    cases: list[tuple[str, str, str, dict[str, Any], int, str]] = []
    for value, shown in ((math.nan, "nan"), (math.inf, "infinity"), (-math.inf, "minus-infinity")):
        for name, at in (("mean", 0), ("sum", 4)):
            damaged = [value if i == at else x for i, x in enumerate(good[name])]
            cases.append((f"{shown}-in-{name}", "One entry is no number.", "NotFinite", {name: damaged}, 3, "R14"))
    for value_, shown in ((-6, "below"), (1001, "above"), (2**63 - 1, "largest"), (-(2**63), "lowest")):
        damaged = [*good["counts"][:-1], value_]
        cases.append((f"integer-{shown}", "One integer is out of range.", "OutOfRange", {"counts": damaged}, 3, "R15"))
    cases += [
        (f"weight-{weight}", "A weight at or beyond the bounds.", "OutOfRange", {}, weight, "R47")
        for weight in (0, 11, 2**64 - 1)
    ]
    for name, comment, flag, changes, weight, rule in cases:
        inputs = good | changes
        words = session_vector(p, inputs, weight, _draws_nothing)
        topic.add(
            f"limit-{name}",
            "session_vector",
            _given(p, inputs, weight),
            output={"words": wide(words), "packed": pack(p, words).hex()},
            comment=comment,
            requirements=[rule],
            flags=[flag],
        )


def _sums(topic: Topic) -> None:
    for n, max_weight, weights in (
        (3, 1, [1, 1, 1]),
        (5, 1, [1, 1]),
        (3, 10, [1, 10, 3]),
        (4, 2**40, [2**40, 1, 2**39 + 1]),
        (1000, 7, [7] * 12),
    ):
        p = session(n, _MIXED, max_weight=max_weight)
        columns = [
            session_vector(p, _inputs(f"quantization/sum/{n}/{max_weight}/{i}", _MIXED), weight, _draws_nothing)
            for i, weight in enumerate(weights)
        ]
        words = [sum(column) for column in zip(*columns, strict=True)]
        _sum(topic, f"{n}-{max_weight}-{len(weights)}", "A sum of honest vectors.", "Normal", p, words, len(weights))
    lowest, highest = -(2**61), 2**61 - 1
    edge = session(4, [("v", Integers(lowest, highest, (2,)))])
    _sum(topic, "int64", "The ends of int64.", "WideIntegers", edge, [0, 4 * (highest - lowest)], 4)
    _sum(topic, "int64-one", "Sums whose lowest bit counts.", "WideIntegers", edge, [2**63 + 1, 2**62 - 1], 4)
    one = session(2, [("v", FixedPoint((2,), 2.0**512, 32, "nearest", "sum"))])
    ends = [0, 2 * (2**32 - 2)]
    _sum(topic, "clip-largest", "The largest clip.", "ExtremeClip", one, ends, 2)
    small = session(2, [("v", FixedPoint((2,), 2.0**-512, 32, "nearest", "mean"))])
    _sum(topic, "clip-smallest", "The smallest clip.", "ExtremeClip", small, ends, 2)
    _levels_alike(topic)
    weighted = session(3, [("m", FixedPoint((1,), 1.0, 8, "nearest", "mean"))], max_weight=10)
    for total, contributors, shown in ((0, 2, "lowest"), (1, 2, "one"), (20, 2, "highest")):
        words = [total * 200, total]
        _sum(topic, f"weight-{shown}", "A total weight that is possible.", "Normal", weighted, words, contributors)
    for total, contributors, shown in ((21, 2, "above"), (11, 1, "above-one"), (31, 3, "field-full")):
        words = [total * 200, total]
        _sum(topic, f"weight-{shown}", "An impossible total weight.", "WrongWeight", weighted, words, contributors)


def _identifier(text: str) -> str:
    """A part of an id: ids have no points."""
    return text.replace(".", "_")


def _levels_alike(topic: Topic) -> None:
    """Sums in which all clients had the same level."""
    for bits, clip, weight in ((2, 0.1, 1), (8, 0.3, 1), (16, 1.0, 2**20), (16, 0.1, 60000), (32, 0.1, 2**29 + 7)):
        top, contributors = 2 ** (bits - 1) - 1, 3
        levels = [0, 1, -1, top, -top, number(f"alike/{bits}/{clip}", top)]
        aggregates = ("mean",) if weight > 1 else ("mean", "sum")
        named = [(each, FixedPoint((len(levels),), clip, bits, "nearest", each)) for each in aggregates]
        p = session(4, named, max_weight=weight)
        inputs = {name: [level / top * clip for level in levels] for name, _ in named}
        column = session_vector(p, inputs, weight, _draws_nothing)
        words = [word * contributors for word in column]
        name = _identifier(f"alike-{bits}-bits-{clip}-{weight}")
        _sum(topic, name, "All had the same levels.", "Level", p, words, contributors)


def _sum(
    topic: Topic, name: str, comment: str, flag: str, p: Parameters, words: Sequence[int], contributors: int
) -> None:
    given = {
        "clients": str(len(p.cohort)),
        "max_weight": str(p.max_weight),
        "vectors": [{"name": vector, **specification(its)} for vector, its in p.vectors],
        "contributors": contributors,
        "words": wide(words),
    }
    output: Json | None = None
    try:
        sums = decode_sum(p, words, contributors)
    except Breach:
        if flag != "WrongWeight":
            raise
    else:
        output = {"vectors": _values(p.vectors, sums.vectors)}
        if sums.total_weight is not None:
            output["total_weight"] = str(sums.total_weight)
    topic.add(
        f"sum-{name}",
        "decode_sum",
        given,
        output=output,
        refused=["A13"] if output is None else (),
        comment=comment,
        requirements=["R48", "A13"],
        flags=[flag],
    )
