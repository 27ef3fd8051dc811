"""The arithmetic of a plan: from epsilon, delta and a cohort to a grid, a bound and a variance.

Floats decide here how good a plan is, and never whether it keeps its promise: that is computed from the integers that
come out (:mod:`secagg.privacy.plan`). Must not know updates and sessions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

from secagg.encoding.layout import Layout
from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real
from secagg.privacy import gaussian
from secagg.privacy.accounting import Loss, rounded_gaussian_loss, share_variance16, skellam_loss, slack
from secagg.privacy.clipping import MAX_ENTRY, SQUARED_SPREAD, norm_bound
from secagg.privacy.mechanism import Mechanism, Neighbours, Noise, Shapes, noise_table
from secagg.privacy.rotation import entry_limit, padded_length

MAX_EPSILON: Final = 100.0
_WORTHWHILE: Final = Fraction(9, 10)  # what a rotation must leave of the upload
_MOST_SLACK: Final = Fraction(1, 100)  # of delta
_WEIGHT_STEPS: Final = Fraction(1, 5)  # of the grid: m grows by 2 %
_BELOW_STEPS: Final = Fraction(1, 10)  # by 0.5 %


@dataclass(frozen=True, slots=True)
class Target:
    """What a plan is to keep, and for whom.

    Attributes:
        epsilon: over all rounds.
        delta: over all rounds.
        rounds: of one client.
        clients: largest cohort.
        honest: shares of noise that a sum holds at least; 1 where one draw is all of it.
        security_bits: of a sparse graph; None for a complete one.
    """

    epsilon: float
    delta: float
    rounds: int
    clients: int
    honest: int
    security_bits: int | None

    def loss(self, mechanism: Mechanism) -> Loss:
        """What all rounds together cost under a mechanism; see :func:`round_loss`."""
        one = round_loss(mechanism, self.clients, self.honest, self.security_bits)
        return times(one, self.rounds)


def grid_steps(entries: int, overhead: float, m_round: float, honest: int, spread: float) -> int:
    """Return the clip in grid steps with which rounding costs about a fraction `overhead` of variance.

    Args:
        entries: that are rounded.
        overhead: above 0.
        m_round: of one round.
        honest: shares of noise.
        spread: sqrt(2 ln(1/beta)) of the norm bound.
    """
    return math.ceil(
        max(
            math.sqrt(entries / (4 * overhead)) + spread / overhead,
            m_round * math.sqrt(honest / (4 * overhead)),
            m_round / math.sqrt(3 * overhead),
        )
    )


def round_loss(mechanism: Mechanism, clients: int, honest: int, security_bits: int | None) -> Loss:
    """Return what one round costs, from integers alone."""
    if mechanism.noise is Noise.CLIENTS:
        m2 = skellam_loss(mechanism.sensitivity2, mechanism.variance16, honest)
    else:
        m2 = rounded_gaussian_loss(mechanism.sensitivity2, mechanism.variance16)
    return Loss(m2, slack(1, clients, mechanism.total, security_bits))


def times(loss: Loss, rounds: int) -> Loss:
    """Return the loss of equal rounds, rounded up."""
    return Loss(_product_up(loss.m2, rounds), _product_up(loss.eta, rounds))


def choose_mechanism(
    arrays: Shapes,
    clip: float,
    noise: Noise,
    neighbours: Neighbours,
    target: Target,
    *,
    overhead: float,
    rotation: bool | None,
    weights: int,
    adaptive: bool,
) -> tuple[Mechanism, str]:
    """Choose the integers of a plan, and say how they came about.

    Raises:
        ParameterError: no noise of a table serves, or the fields need more than 64 bits.
    """
    calibrated = partial(
        _calibrated, arrays, clip, noise, neighbours, target, overhead=overhead, weights=weights, adaptive=adaptive
    )
    mechanism, why = calibrated(rotated=bool(rotation)), "as asked"
    if rotation is None:
        rotated = calibrated(rotated=True)
        bytes_plain, bytes_rotated = (packed_bytes(choice, target.clients) for choice in (mechanism, rotated))
        why = f"an upload takes {bytes_plain} bytes as it is and {bytes_rotated} rotated"
        if rotated.limit < mechanism.limit and bytes_rotated <= _WORTHWHILE * bytes_plain:
            mechanism = rotated
    width = max(spec.field_width(target.clients, 1) for spec in mechanism.vectors.values())
    m = target.loss(mechanism).m
    return mechanism, (
        f"m = {m:.6g} over {target.rounds} rounds, {m / math.sqrt(target.rounds):.6g} in one. The clip is "
        f"{mechanism.grid} grid steps, so that rounding costs about {overhead:.3g} of variance; rounded updates have a "
        f"sum of squares of at most {mechanism.bound}. Noise has a standard deviation of "
        f"{math.sqrt(mechanism.variance16) / 4:.6g} steps a draw, of which a sum holds at least {target.honest}, and "
        f"reaches {mechanism.tail}. Entries take {width} bits on the wire. "
        f"{'Rotated' if mechanism.rotation else 'Not rotated'}: {why}."
    )


def packed_bytes(mechanism: Mechanism, clients: int) -> int:
    """Return the bytes of one upload in a session of so many clients."""
    return Layout.build(mechanism.vectors.items(), clients, 1).packed_bytes


def _calibrated(
    arrays: Shapes,
    clip: float,
    noise: Noise,
    neighbours: Neighbours,
    target: Target,
    *,
    overhead: float,
    weights: int,
    adaptive: bool,
    rotated: bool,
) -> Mechanism:
    entries = sum(math.prod(shape) for _, shape in arrays)
    length = padded_length(entries) if rotated and entries else entries
    total = length + bool(weights) + adaptive
    m_round = _m_round(target, total)
    distance = 1 if neighbours is Neighbours.ZERO else 2
    spread = math.sqrt(SQUARED_SPREAD)
    grid = grid_steps(length, overhead, m_round / distance, target.honest, spread)
    if grid > MAX_ENTRY // 2:
        raise ParameterError(
            f"overhead={overhead:g} makes a clip of {grid} grid steps, above 2^18: the grid is finer than the noise "
            "can use; raise overhead"
        )
    weight_steps = math.ceil(_WEIGHT_STEPS * grid) if weights else 0
    below_steps = math.ceil(_BELOW_STEPS * grid) if adaptive else 0
    bound = norm_bound(grid, length) + weight_steps**2 + below_steps**2
    largest = math.isqrt(bound)
    squared = bound * distance**2
    if noise is Noise.CLIENTS:
        variance16 = share_variance16(squared, m_round, target.honest)
    else:
        variance16 = math.ceil(16 * squared / Fraction(m_round) ** 2)
    step = 1
    while True:
        mechanism = Mechanism(
            arrays=arrays,
            clip=clip,
            noise=noise,
            neighbours=neighbours,
            grid=grid,
            bound=bound,
            limit=min(largest, entry_limit(grid, length)) if rotated else largest,
            variance16=variance16,
            tail=noise_table(noise, variance16).tail,
            rotation=rotated,
            weights=weights,
            weight_steps=weight_steps,
            below_steps=below_steps,
        )
        if target.loss(mechanism).epsilon(target.delta) <= target.epsilon:
            return mechanism
        # The square root of the rounds was rounded, and so was m: this is about the fifteenth digit.
        variance16 += step
        step *= 2


def _m_round(target: Target, total: int) -> float:
    """What one round may cost, after the slack of the tables is paid for in delta; rounded down."""
    eta = slack(target.rounds, target.clients, total, target.security_bits)
    paid = (1 + math.exp(target.epsilon)) * eta
    if not paid <= _MOST_SLACK * target.delta:
        bits = "" if target.security_bits is None else f" at {target.security_bits} security bits of a sparse graph"
        raise ParameterError(
            f"at epsilon={target.epsilon:g} the slack of {eta:.3g}{bits} takes {paid:.3g} of delta={target.delta:g}, "
            f"more than a hundredth; take a larger delta{', ' if bits else ' or '}a smaller epsilon"
            f"{' or a complete graph' if bits else ''}"
        )
    m = gaussian.calibrate(target.epsilon, math.nextafter(target.delta - paid, 0.0))
    return math.nextafter(m / math.sqrt(target.rounds), 0.0)


def check_overhead(overhead: object) -> float:
    """Return the overhead as a float.

    Raises:
        ParameterError: it is no number from 10^-6 to 1.
    """
    number = as_real(overhead)
    if number is None or not 1e-6 <= number <= 1:
        raise ParameterError(f"overhead={overhead!r:.40} is no number from 10^-6 to 1; 0.02 is usual, more saves bits")
    return number


def _product_up(value: float, factor: int) -> float:
    exact = Fraction(value) * factor
    near = float(exact)
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)
