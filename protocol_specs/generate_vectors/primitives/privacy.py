"""Cases of tables, draws, updates with noise and their sums (privacy-v1.md §5 to §10); those of plans stand beside.

Every update is far from an edge of rounding that floats could cross (§5): `_private` holds that. Must not know the
library.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from protocol_specs.generate_vectors.primitives.common import Inconsistent, Json, Topic, draw, number, wide
from protocol_specs.generate_vectors.primitives.privacy_plans import PLAN_FLAGS, PLANS, add_plans, plan
from protocol_specs.generate_vectors.primitives.quantization import real
from protocol_specs.reference import noise, plans, privatizing
from protocol_specs.reference.errors import Breach
from protocol_specs.reference.noise import Table
from protocol_specs.reference.plans import Plan

_COMMENT: Final = (
    "Differential privacy of a sum (privacy-v1.md). `sha256` is of entries as 8 bytes each, little-endian two's "
    "complement, and of thresholds as 16 bytes each, little-endian. Decoded reals may be off by 2^-30 of themselves."
)
_FLAGS: Final = {
    "Tie": "Numbers that begin like a threshold. Without the lower bits a cell has the wrong mass.",
    "UndecidedCell": "Cells that hold a threshold: one more word for each, after all lanes.",
    "WideLane": "Tables whose lanes have 32 bits, of which the upper 18 or 20 are the cell.",
    "SliceBorder": "More than 2^15 entries. Bits are used slice by slice.",
    "SmallVariance": "Noise of a few values. Approximations that hold for large variances fail here.",
    "NoTable": "A variance that no table serves.",
    "Clipped": "An update longer than the clip. One that is not scaled down is not protected.",
    "ExtremeUpdate": "Entries whose squares overflow or vanish. A norm of infinity, or of 0, is not theirs.",
    "NotFinite": "NaN and infinity. The update goes out as zeros, with noise; a client that stayed away would tell.",
    "Truncated": "Coins that would make the update too long. It goes out with its fractions cut off.",
    "Rotated": "Updates that are turned before they are rounded.",
    "ServerNoise": "Noise that the server adds to the sum, and no client.",
    "TooLittle": "Sums of too few, and weights that may be noise alone. Nothing is released.",
    **PLAN_FLAGS,
}
_OFF: Final = 2.0**-36
_LONG: Final = 64


def document() -> Json:
    """The file `primitives/privacy.json`."""
    topic = Topic("privacy", _COMMENT, _FLAGS)
    add_plans(topic)
    _tables(topic)
    _draws(topic)
    _updates(topic)
    _sums(topic)
    return topic.document()


def _tables(topic: Topic) -> None:
    cases = [("clients", v) for v in (1, 2, 7, 16, 64, 1000, 16_384, 200_001, 20_000_000)]
    cases += [("each", v) for v in (1, 3, 16, 100, 1003, 16_384)]
    for kind, variance16 in cases:
        its = noise.table(kind, variance16)
        marks = [0, *its.thresholds, 2**128]
        masses = [after - before for before, after in itertools.pairwise(marks)]
        output: Json = {"tail": its.tail, "middle": str(masses[its.tail]), "sha256": _digest(its.thresholds, 16)}
        if its.tail < _LONG // 2:
            output["masses"] = wide(masses[its.tail :])
        topic.add(
            f"table-{kind}-{variance16}",
            "table",
            {"noise": kind, "variance16": str(variance16)},
            output=output,
            comment=f"Variance {variance16}/16.",
            requirements=["P12"],
            flags=["SmallVariance" if variance16 < 16 else "Normal"],
        )
    for kind in ("clients", "each"):
        for variance16 in (0, 2**40):
            topic.add(
                f"table-{kind}-none-{variance16}",
                "table",
                {"noise": kind, "variance16": str(variance16)},
                refused=["P12"],
                comment="No variance, or a tail beyond 2^21.",
                requirements=["P12"],
                flags=["NoTable"],
            )


def _digest(entries: Sequence[int], size: int) -> str:
    return sha256(b"".join(e.to_bytes(size, "little", signed=size == 8) for e in entries)).hexdigest()


def _draws(topic: Topic) -> None:
    for name, kind, variance16, length, flag in (
        ("shares", "clients", 1000, 40, "Normal"),
        ("each", "each", 1003, 41, "Normal"),
        ("small", "clients", 1, 33, "SmallVariance"),
        ("none", "clients", 16, 0, "Normal"),
        ("wide-18", "clients", 20_000_000, 21, "WideLane"),
        ("wide-20", "clients", 500_000_000, 21, "WideLane"),
        ("long", "clients", 1000, noise.SLICE + 3, "SliceBorder"),
        ("long-wide", "clients", 20_000_000, noise.SLICE + 3, "SliceBorder"),
    ):
        seed = draw(f"privacy/draw/{name}", 32)
        stream = _Counted(noise.noise_stream(seed))
        entries = noise.draw(noise.table(kind, variance16), length, stream)
        topic.add(
            f"draw-{name}",
            "draw",
            {"noise": kind, "variance16": str(variance16), "length": length, "seed": seed.hex()},
            output=_drawn(entries, stream.used),
            comment="The stream of a seed.",
            requirements=["P13"],
            flags=[flag],
        )
    for name, kind, variance16, flags in (
        ("small", "clients", 7, ["SmallVariance", "UndecidedCell", "Tie"]),
        ("shares", "clients", 1000, ["UndecidedCell", "Tie"]),
        ("each", "each", 1003, ["UndecidedCell", "Tie"]),
        ("wide-18", "clients", 20_000_000, ["WideLane", "UndecidedCell", "Tie"]),
    ):
        its = noise.table(kind, variance16)
        _scripted(topic, name, kind, variance16, its, flags)


class _Counted:
    def __init__(self, stream: noise.Words) -> None:
        self._stream, self.used = stream, 0

    def __call__(self, count: int) -> list[int]:
        self.used += count
        return self._stream(count)


def _drawn(entries: Sequence[int], used: int) -> Json:
    shown: Json = {"entries": list(entries)} if len(entries) <= _LONG else {"sha256": _digest(entries, 8)}
    return {**shown, "words": used}


def _scripted(topic: Topic, name: str, kind: str, variance16: int, its: Table, flags: list[str]) -> None:
    """Numbers at thresholds and beside them, in the order in which their bits are asked for."""
    g, lane = (16, 16) if its.tail <= 12_000 else (18, 32)
    chosen = [its.thresholds[i] for i in (0, its.tail // 2, its.tail - 1, its.tail, its.tail + 1, 2 * its.tail - 1)]
    numbers = [c + step for c in chosen for step in (-1, 0, 1, -(2**64), 2**64)] + [0, 2**127, 2**128 - 1]
    numbers = [n for n in numbers if 0 <= n < 2**128]
    per_word = 64 // lane
    filler = number(f"privacy/scripted/{name}", 2 ** (lane - g))
    lanes = [(n >> (128 - g) << (lane - g)) + filler for n in numbers]
    words = [
        sum(each << (lane * j) for j, each in enumerate(lanes[i : i + per_word]))
        for i in range(0, len(lanes), per_word)
    ]
    cells = [n >> (128 - g) for n in numbers]
    crossed = {c >> (128 - g) for c in its.thresholds if c % 2 ** (128 - g)}
    asked = [n for n, cell in zip(numbers, cells, strict=True) if cell in crossed]
    words += [(n >> 64) % 2 ** (64 - g) * 2**g + number(f"privacy/low/{name}/{i}", 2**g) for i, n in enumerate(asked)]
    starts = {c >> 64 for c in its.thresholds}
    words += [n % 2**64 for n in asked if n >> 64 in starts]
    script = iter(words)
    stream = _Counted(lambda count: [next(script) for _ in range(count)])
    entries = noise.draw(its, len(numbers), stream)
    expected = [sum(c <= n for c in its.thresholds) - its.tail for n in numbers]
    decided = [e for e, cell in zip(expected, cells, strict=True) if cell in crossed]
    if stream.used != len(words) or decided != [e for e, cell in zip(entries, cells, strict=True) if cell in crossed]:
        raise Inconsistent(name)
    topic.add(
        f"script-{name}",
        "draw",
        {"noise": kind, "variance16": str(variance16), "length": len(numbers), "words": wide(words)},
        output=_drawn(entries, len(words)),
        comment="Words that are chosen: thresholds, and numbers beside them.",
        requirements=["P13"],
        flags=flags,
    )


_Update = Mapping[str, Sequence[float]]


def _update(its: Plan, label: str, norm: float) -> dict[str, list[float]]:
    drawn = {
        name: [number(f"{label}/{name}/{i}", 2**20) / 2**19 - 1 for i in range(math.prod(shape))]
        for name, shape in its.arrays
    }
    scale = norm / math.sqrt(sum(x * x for entries in drawn.values() for x in entries))
    return {name: [x * scale for x in entries] for name, entries in drawn.items()}


def _updates(topic: Topic) -> None:
    for name, its in PLANS.items():
        flags = ["Rotated"] if its.rotation else ["ServerNoise"] if its.noise == plans.SERVER else ["Normal"]
        weight = None if not its.weights else its.weights * 0.31
        _private(topic, f"{name}-within", its, _update(its, f"within/{name}", its.clip * 0.7), flags, weight)
        _private(
            topic, f"{name}-beyond", its, _update(its, f"beyond/{name}", its.clip * 9.1), [*flags, "Clipped"], weight
        )
    good = PLANS["shares"]
    update = _update(good, "special", 0.5)
    _private(topic, "zeros", good, {name: [0.0] * len(x) for name, x in update.items()}, ["Normal"])
    _private(topic, "minus-zeros", good, {name: [-0.0] * len(x) for name, x in update.items()}, ["Normal"])
    for value, shown in ((math.nan, "nan"), (math.inf, "infinity"), (-math.inf, "minus-infinity")):
        for kind in ("shares", "rotated-extras", "server"):
            one = _update(PLANS[kind], f"not/{kind}", 0.5)
            first = next(iter(one))
            one[first] = [*one[first][:-1], value]
            weight = 2.0 if PLANS[kind].weights else None
            _private(topic, f"{shown}-{kind}", PLANS[kind], one, ["NotFinite"], weight)
    for size, shown in ((1e308, "huge"), (1.5e200, "large"), (1e-310, "subnormal"), (1e-170, "small")):
        for kind in ("shares", "rotated"):
            scaled = _update(PLANS[kind], f"{shown}/{kind}", 1.0)
            scaled = {name: [x * size for x in entries] for name, entries in scaled.items()}
            flags = ["ExtremeUpdate", *(["Clipped"] if size > 1 else [])]
            _private(topic, f"{shown}-{kind}", PLANS[kind], scaled, flags)
    largest = {name: [1.7e308] * len(x) for name, x in update.items()}
    _private(topic, "norm-beyond-binary64", good, largest, ["ExtremeUpdate", "Clipped"])
    tight = plan(bound=1600)
    for attempt, flag in ((0, "Normal"), (2, "Truncated"), (5, "Truncated"), (6, "Truncated")):
        _private(topic, f"tight-{attempt}", tight, _update(tight, f"tight/{attempt}", 0.999), [flag])
    weighted = PLANS["weighted"]
    for weight, shown in (
        (0.0, "0"),
        (-3.0, "below"),
        (100.0, "full"),
        (1e9, "above"),
        (33.0, "third"),
        (math.nan, "nan"),
    ):
        _private(topic, f"weight-{shown}", weighted, _update(weighted, f"weight/{shown}", 0.9), ["Normal"], weight)
    count = noise.SLICE + 5
    long = plan(arrays=(("a", (7,)), ("b", (count,))), grid=400, bound=400**2 + 40_000, variance16=1_200_000)
    _private(topic, "long", long, {"a": [0.01 * i for i in range(7)], "b": [0.001] * count}, ["SliceBorder"])
    fine = {"kernel": [0.1, -0.2, 0.3, -0.4, 0.5, -0.6], "bias": [1e-9, -1e-9, 1e-17], "scale": [-1e-300], "none": []}
    _private(topic, "tiny-entries", good, fine, ["Normal"])


def _private(
    topic: Topic, name: str, its: Plan, update: _Update, flags: Sequence[str], weight: float | None = None
) -> None:
    nonce, coins, seed = (draw(f"privacy/{what}/{name}", 32) for what in ("nonce", "coins", "noise"))
    factor = 1.0 if weight is None else weight
    made = privatizing.privatize(its, update, factor, nonce, coins, seed)
    for off in (-_OFF, _OFF):
        if privatizing.privatize(its, update, factor, nonce, coins, seed, off) != made:
            raise Inconsistent(f"{name}: an edge of rounding is near")
    meant = {"Clipped": made.clipped, "NotFinite": made.replaced, "Truncated": made.truncated}
    if any(is_so is not (flag in flags) for flag, is_so in meant.items()):
        raise Inconsistent(f"{name}: {meant}")
    given: Json = {"plan": plans.encode(its).hex(), "arrays": [_shown(*each) for each in update.items()]}
    if weight is not None:
        given["weight"] = real(weight)
    entries = [z for vector in made.vectors.values() for z in vector]
    shown: Json = {"sha256": _digest(entries, 8)}
    if len(entries) <= _LONG:
        shown = {"vectors": [{"name": vector, "integers": wide(zs)} for vector, zs in made.vectors.items()]}
    topic.add(
        f"privatize-{name}",
        "privatize",
        given | {"nonce": nonce.hex(), "coin_seed": coins.hex(), "noise_seed": seed.hex()},
        output={**shown, "clipped": made.clipped, "replaced": made.replaced, "truncated": made.truncated},
        comment="One client's input.",
        requirements=["P10", "P11", "P14"] if its.rotation else ["P10", "P14"],
        flags=list(flags),
    )


def _shown(name: str, entries: Sequence[float]) -> Json:
    if len(entries) > _LONG:
        if len(set(entries)) != 1:
            raise Inconsistent(name)
        return {"name": name, "reals": [entries[0]], "times": len(entries)}
    return {"name": name, "reals": [real(x) for x in entries]}


def _sums(topic: Topic) -> None:
    for name, its in PLANS.items():
        count = its.floor
        nonce, seed = draw(f"privacy/sum-nonce/{name}", 32), draw(f"privacy/sum-noise/{name}", 32)
        sums = {
            vector: [
                number(f"sum/{name}/{vector}/{i}", 2 * spec.high * count + 1) - spec.high * count
                for i in range(spec.entries)
            ]
            for vector, spec in its.vectors
        }
        if its.weights:
            sums[plans.WEIGHT_VECTOR] = [its.weight_steps * count // 2 + 300]
        flags = ["Rotated"] if its.rotation else ["ServerNoise"] if its.noise == plans.SERVER else ["Normal"]
        _sum(topic, name, its, sums, count, nonce, seed, flags)
        _sum(topic, f"{name}-few", its, sums, count - 1, nonce, seed, ["TooLittle"])
        if its.weights:
            little = int(4 * math.sqrt(count * its.variance16 / 16)) - 1
            _sum(
                topic, f"{name}-light", its, {**sums, plans.WEIGHT_VECTOR: [little]}, count, nonce, seed, ["TooLittle"]
            )
    lacking = replace(PLANS["shares"])
    short = {vector: [0] * spec.entries for vector, spec in lacking.vectors[1:]}
    _sum(topic, "vector-missing", lacking, short, lacking.floor, bytes(32), bytes(32), ["TooLittle"])


def _sum(
    topic: Topic,
    name: str,
    its: Plan,
    sums: Mapping[str, Sequence[int]],
    contributors: int,
    nonce: bytes,
    seed: bytes,
    flags: list[str],
) -> None:
    given: Json = {
        "plan": plans.encode(its).hex(),
        "vectors": [{"name": vector, "integers": wide(entries)} for vector, entries in sums.items()],
        "contributors": contributors,
        "nonce": nonce.hex(),
        "noise_seed": seed.hex(),
    }
    output: Json | None = None
    try:
        mean = privatizing.decode(its, sums, contributors, nonce, seed)
    except Breach:
        if "TooLittle" not in flags:
            raise
    else:
        output = {"arrays": [{"name": array, "reals": entries} for array, entries in mean.arrays.items()]}
        for field, value in (("total_weight", mean.total_weight), ("below", mean.below)):
            if value is not None:
                output[field] = value
    topic.add(
        f"decode-{name}",
        "decode",
        given,
        output=output,
        refused=["P15"] if output is None else (),
        comment="The sum of some clients' inputs.",
        requirements=["P11", "P15"] if its.rotation and output else ["P15"],
        flags=flags,
    )
