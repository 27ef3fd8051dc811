"""A clip that follows the norms of updates without looking at them: a noisy count says how many are within it.

The count is an entry of the plan, so it is in the bound like everything else, and the next clip follows from what was
released. Every other way to take the clip from the data would be a release of its own.
"""

from __future__ import annotations

import math
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real
from secagg.privacy.clipping import MAX_CLIP, MIN_CLIP
from secagg.privacy.mechanism import check_clip
from secagg.privacy.plan import Plan
from secagg.privacy.release import Release

DEFAULT_TARGET: Final = 0.5
DEFAULT_RATE: Final = 0.2


def next_clip(clip: float, below: float, *, target: float = DEFAULT_TARGET, rate: float = DEFAULT_RATE) -> float:
    """Return the clip of the next round: clip * exp(-rate (below - target)), within 2^-400 .. 2^400.

    Args:
        clip: of this round.
        below: noisy fraction of the clients whose norm was within it; noise may take it beyond 0 .. 1.
        target: fraction that should be, 0 to 1; the median of norms by default.
        rate: how fast the clip moves, above 0.

    Raises:
        ParameterError: a number outside its range.

    Source: Andrew, Thakkar, McMahan, Ramaswamy, "Differentially Private Learning with Adaptive Clipping", NeurIPS 2021,
    section 2.2.
    """
    for name, value, least, most in (("target", target, 0.0, 1.0), ("rate", rate, 2.0**-20, 2.0**10)):
        number = as_real(value)
        if number is None or not least <= number <= most:
            raise ParameterError(f"{name}={value!r:.40} is outside {least:g} .. {most:g}; give a number inside")
    number = as_real(below)
    if number is None or not math.isfinite(number):
        raise ParameterError(
            f"below={below!r:.40} is no fraction of clients; give what a release of an adaptive plan says"
        )
    exponent = min(max(-rate * (number - target), -600.0), 600.0)
    return min(max(check_clip(clip) * math.exp(exponent), MIN_CLIP), MAX_CLIP)


def next_plan(plan: Plan, released: Release, *, target: float = DEFAULT_TARGET, rate: float = DEFAULT_RATE) -> Plan:
    """Return the plan of the next round: another clip, the same integers, another digest.

    Args:
        plan: of this round, chosen with adaptive=True.
        released: what `plan.decode` returned.
        target: see :func:`next_clip`.
        rate: see :func:`next_clip`.

    Raises:
        ParameterError: a plan without adaptive clip, or a number outside its range.
    """
    if released.below is None:
        raise ParameterError("the release does not say how many clients were within the clip; choose adaptive=True")
    return plan.with_clip(next_clip(plan.clip, released.below, target=target, rate=rate))
