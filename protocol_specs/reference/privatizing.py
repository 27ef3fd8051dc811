"""From an update to integers with noise, and from a sum to a mean (privacy-v1.md §5, §6, §9, §10)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256

from protocol_specs.reference.canonical import canonical
from protocol_specs.reference.errors import LocalError, demand
from protocol_specs.reference.noise import SLICE, Words, coin_stream, draw, key_stream, lanes, noise_stream, table
from protocol_specs.reference.plans import BELOW_VECTOR, SERVER, WEIGHT_VECTOR, Plan, digest, rotated_shape

Arrays = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Private:
    """A client's input: integers by vector, row by row; and what became of the update."""

    vectors: dict[str, list[int]]
    clipped: bool
    replaced: bool
    truncated: bool


@dataclass(frozen=True, slots=True)
class Mean:
    """Means by array, row by row; the total weight and the fraction within the clip, where the plan has them."""

    arrays: dict[str, list[float]]
    total_weight: float | None
    below: float | None


def privatize(
    plan: Plan, update: Arrays, weight: float, nonce: bytes, coin_seed: bytes, noise_seed: bytes, off: float = 0.0
) -> Private:
    """Clip, round, check, and add noise; `off` says how far the floats that §5 and §6 leave open are off."""
    entries = flatten(plan, update)
    share = _share(plan, weight)
    finite = all(math.isfinite(x) for x in entries)
    scaled, clipped = [math.nan] * len(entries), False
    if finite:
        factor, clipped = _factor(plan, entries, share, 1 + off)
        scaled = [x * factor for x in entries]
        if plan.rotation:
            turned = rotate(scaled + [0.0] * (plan.length - len(scaled)), signs(plan, nonce))
            scaled = [v + off * plan.grid for v in turned]
    extras = {WEIGHT_VECTOR: plan.weight_steps * share, BELOW_VECTOR: float(-1 if clipped else 1) * plan.below_steps}
    coins, stream = coin_stream(coin_seed), noise_stream(noise_seed)
    slices = [(scaled[at : at + SLICE], plan.limit) for at in range(0, plan.length, SLICE)]
    slices += [([extras[name]], steps) for name, steps in plan.extras]
    tossed: list[int] = []
    cut: list[int] = []
    for reals, limit in slices if finite else ():
        up, down = round_slice(reals, limit, coins)
        tossed, cut = tossed + up, cut + down
    truncated = finite and _squares(tossed) > plan.bound
    integers = cut if truncated else tossed
    replaced = not finite or _squares(integers) > plan.bound
    if replaced:
        integers, truncated = [0] * (plan.length + len(plan.extras)), False
    if plan.noise != SERVER:
        its = table(plan.noise, plan.variance16)
        demand(its.tail == plan.tail, "P12")
        integers = [z + x for z, x in zip(integers, draw(its, len(integers), stream), strict=True)]
    return Private(_by_vector(plan, integers), clipped, replaced, truncated)


def flatten(plan: Plan, update: Arrays) -> list[float]:
    """All entries in session order, as binary64; raises `LocalError` for another form."""
    if set(update) != {name for name, _ in plan.arrays}:
        raise LocalError("the update has other names than the plan")
    if any(len(update[name]) != math.prod(shape) for name, shape in plan.arrays):
        raise LocalError("an array has another number of entries than the plan says")
    return [float(x) for name, _ in plan.arrays for x in update[name]]


def round_slice(reals: Sequence[float], limit: int, coins: Words) -> tuple[list[int], list[int]]:
    """One slice rounded by coins, and with fractions cut off."""
    limited = [min(max(v, float(-limit)), float(limit)) for v in reals]
    us = [lane / 2**32 for lane in lanes(coins, len(reals), 32)]
    return [math.floor(v + u) for v, u in zip(limited, us, strict=True)], [math.trunc(v) for v in limited]


def _share(plan: Plan, weight: float) -> float:
    if not plan.weights:
        return 1.0
    if weight >= plan.weights:
        return 1.0
    return weight / plan.weights if weight > 0 else 0.0


def _factor(plan: Plan, entries: Sequence[float], share: float, off: float) -> tuple[float, bool]:
    """What entries are multiplied by, and whether the update is scaled down."""
    # Squares of numbers up to 1 neither overflow, nor vanish where they count.
    exponent = math.frexp(max(map(abs, entries)))[1]
    small = math.sqrt(math.fsum(math.ldexp(x, -exponent) ** 2 for x in entries)) * off
    clipped = Fraction(small) * Fraction(2) ** exponent > plan.clip
    factor = math.ldexp(plan.grid / small, -exponent) if clipped else plan.grid / plan.clip
    return factor * (1 - 2.0**-40) * share, clipped


def _squares(integers: Sequence[int]) -> int:
    return sum(z * z for z in integers)


def _by_vector(plan: Plan, integers: Sequence[int]) -> dict[str, list[int]]:
    named, at = {}, 0
    for name, specification in plan.vectors:
        named[name] = list(integers[at : at + specification.entries])
        at += specification.entries
    return named


def signs(plan: Plan, nonce: bytes) -> list[int]:
    """The public signs of a session."""
    key = sha256(canonical("secagg/v1 rotation signs", nonce, digest(plan))).digest()[:16]
    return [1 - 2 * bit for bit in lanes(key_stream(key), plan.length, 1)]


def rotate(vector: Sequence[float], flips: Sequence[int]) -> list[float]:
    """Q times the vector with its signs flipped."""
    m, size = rotated_shape(len(vector))
    flipped = [x * flip for x, flip in zip(vector, flips, strict=True)]
    rows = [_hadamard(flipped[i * size : (i + 1) * size]) for i in range(m)]
    cosines = _cosines(m)
    return [math.fsum(cosines[i][j] * rows[j][a] for j in range(m)) for i in range(m) for a in range(size)]


def rotate_back(vector: Sequence[float], flips: Sequence[int]) -> list[float]:
    """The inverse of `rotate`."""
    m, size = rotated_shape(len(vector))
    rows = [_hadamard(vector[i * size : (i + 1) * size]) for i in range(m)]
    cosines = _cosines(m)
    turned = [math.fsum(cosines[i][j] * rows[i][a] for i in range(m)) for j in range(m) for a in range(size)]
    return [x * flip for x, flip in zip(turned, flips, strict=True)]


def _hadamard(row: Sequence[float]) -> list[float]:
    """The row times (-1)^(ones of a & b), over the root of its length."""
    its, step = list(row), 1
    while step < len(its):
        for a in range(len(its)):
            if not a & step:
                its[a], its[a + step] = its[a] + its[a + step], its[a] - its[a + step]
        step *= 2
    return [x / math.sqrt(len(its)) for x in its]


def _cosines(m: int) -> list[list[float]]:
    first = [math.sqrt(1 / m)] * m
    return [first] + [
        [math.sqrt(2 / m) * math.cos(math.pi * i * (2 * j + 1) / (2 * m)) for j in range(m)] for i in range(1, m)
    ]


def decode(
    plan: Plan, sums: Mapping[str, Sequence[int]], contributors: int, nonce: bytes, noise_seed: bytes = b""
) -> Mean:
    """The mean that the sum of the contributors stands for; raises `Breach("P15")` where it would stand for nothing."""
    demand(contributors >= plan.floor, "P15")
    fitting = [len(sums.get(name, ())) == specification.entries for name, specification in plan.vectors]
    demand(all(fitting), "P15")
    flat = [s for name, _ in plan.vectors for s in sums[name]]
    draws = contributors
    if plan.noise == SERVER:
        its, draws = table(plan.noise, plan.variance16), 1
        flat = [s + x for s, x in zip(flat, draw(its, len(flat), noise_stream(noise_seed)), strict=True)]
    extras = dict(zip((name for name, _ in plan.extras), flat[plan.length :], strict=True))
    terms, total_weight, below = float(contributors), None, None
    if plan.weight_steps:
        terms = total_weight = extras[WEIGHT_VECTOR] / plan.weight_steps
        demand(total_weight >= 4 * math.sqrt(draws * plan.variance16 / 16) / plan.weight_steps, "P15")
    if plan.below_steps:
        below = extras[BELOW_VECTOR] / (2 * plan.below_steps * contributors) + 0.5
    values = [float(s) for s in flat[: plan.length]]
    if plan.rotation:
        values = rotate_back(values, signs(plan, nonce))
    named, at = {}, 0
    for name, shape in plan.arrays:
        size = math.prod(shape)
        named[name] = [value * (plan.clip / plan.grid / terms) for value in values[at : at + size]]
        at += size
    return Mean(named, total_weight, below)
