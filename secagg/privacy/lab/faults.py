"""NO SECURITY: clients whose noise has a defect, which an audit must find; and the honest one.

Each defect is one that implementations have had. It is put around the real `privatize`, never into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from enum import StrEnum
from math import isqrt
from typing import Final

import numpy as np

from secagg.crypto.randomness import RandomSource
from secagg.errors import ParameterError
from secagg.privacy.accounting import share_variance16
from secagg.privacy.clipping import norm_bound
from secagg.privacy.lab.digits import Reals, Whole
from secagg.privacy.mechanism import Mechanism, Neighbours, Noise, noise_table
from secagg.privacy.plan import Plan
from secagg.privacy.release import privatize

Update = Mapping[str, Reals]
Sent = Mapping[str, Whole]
Client = Callable[[Update, int], Sent]
"""Takes an update and the number of the round, from 0, and returns the integers that it sends, by vector."""

UNCLIPPED: Final = 4
"""The factor of the clip that the fault "no-clip" lets pass."""


class Fault(StrEnum):
    """A defect of clients.

    Attributes:
        HALF_NOISE: half the variance.
        FORGOTTEN_FLOOR: the noise is divided among all clients instead of the least number of honest ones.
        NO_CLIP: an update that is too long is sent as it is.
        REPLACE_AS_ZERO: noise for neighbours that differ by an update's presence, where the claim is about any two.
        REUSED_ENTRIES: neighbouring entries have the same noise.
        REUSED_ROUNDS: two rounds have the same noise.
    """

    HALF_NOISE = "half-noise"
    FORGOTTEN_FLOOR = "forgotten-floor"
    NO_CLIP = "no-clip"
    REPLACE_AS_ZERO = "replace-as-zero"
    REUSED_ENTRIES = "reused-entries"
    REUSED_ROUNDS = "reused-rounds"


def client(plan: Plan, fault: Fault | None = None, randomness: RandomSource | None = None) -> Client:
    """Return one client, without or with a defect.

    Args:
        plan: its plan.
        fault: its defect.
        randomness: the operating system's generator when None.

    Raises:
        ParameterError: a defect that the plan cannot have.
    """
    real = mechanism_of(plan)
    match fault:
        case None:
            return _sending(real, randomness)
        case Fault.HALF_NOISE:
            return _sending(_with_variance(real, max(1, real.variance16 // 2)), randomness)
        case Fault.FORGOTTEN_FLOOR:
            return _sending(_with_variance(real, _share_of_all(plan)), randomness)
        case Fault.NO_CLIP:
            return _sending(_unclipped(real), randomness)
        case Fault.REPLACE_AS_ZERO:
            if plan.neighbours is not Neighbours.REPLACE:
                raise ParameterError(f"the plan's neighbours are {plan.neighbours.value!r}; this fault needs 'replace'")
            return _sending(_with_variance(real, max(1, real.variance16 // 4)), randomness)
        case Fault.REUSED_ENTRIES:
            return _with_other_noise(real, _same_in_neighbours, randomness)
        case Fault.REUSED_ROUNDS:
            return _with_other_noise(real, _same_in_two_rounds(), randomness)


def mechanism_of(plan: Plan) -> Mechanism:
    """Return the plan's mechanism alone, which may be changed without the claim."""
    return Mechanism(**{entry.name: getattr(plan, entry.name) for entry in fields(Mechanism)})


def nothing(mechanism: Mechanism) -> dict[str, Reals]:
    """Return the update that is zero everywhere."""
    return {name: np.zeros(shape) for name, shape in mechanism.arrays}


def _sending(mechanism: Mechanism, randomness: RandomSource | None) -> Client:
    return lambda update, _: privatize(mechanism, update, randomness=randomness).arrays


def _with_variance(mechanism: Mechanism, variance16: int) -> Mechanism:
    return replace(mechanism, variance16=variance16, tail=noise_table(mechanism.noise, variance16).tail)


def _share_of_all(plan: Plan) -> int:
    if plan.noise is not Noise.CLIENTS or plan.honest == plan.clients:
        raise ParameterError(
            f"each of {plan.clients} clients adds a share for {plan.honest} honest ones, or all of the noise; this "
            "fault needs a floor below the cohort"
        )
    return share_variance16(plan.sensitivity2, plan.m_round, plan.clients)


def _unclipped(mechanism: Mechanism) -> Mechanism:
    grid = UNCLIPPED * mechanism.grid
    bound = norm_bound(grid, mechanism.length)
    clip = UNCLIPPED * mechanism.clip
    return replace(mechanism, clip=clip, grid=grid, bound=bound, limit=isqrt(bound))


def _with_other_noise(
    mechanism: Mechanism, change: Callable[[Sent, int], Sent], randomness: RandomSource | None
) -> Client:
    """Round without noise, draw noise without an update, and add what a defect makes of it."""
    rounding, zero = replace(mechanism, noise=Noise.SERVER), nothing(mechanism)

    def send(update: Update, number: int) -> Sent:
        noise = change(privatize(mechanism, zero, randomness=randomness).arrays, number)
        rounded = privatize(rounding, update, randomness=randomness).arrays
        return {name: array + noise[name] for name, array in rounded.items()}

    return send


def _same_in_neighbours(noise: Sent, _: int) -> Sent:
    for drawn in noise.values():
        flat = drawn.reshape(-1)
        flat[1::2] = flat[0::2][: len(flat) // 2]
    return noise


def _same_in_two_rounds() -> Callable[[Sent, int], Sent]:
    kept: dict[str, Whole] = {}

    def change(noise: Sent, number: int) -> Sent:
        if number % 2 == 0:
            kept.update(noise)
        return kept

    return change
