"""Local differential privacy without a session: one update with all of its noise, safe to hand to anybody.

Everybody adds all of it: the noise of a mean is larger than with shares by the square root of the cohort.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource
from secagg.privacy.mechanism import Noise
from secagg.privacy.plan import Plan
from secagg.privacy.release import decode

_NOBODY_ELSE: Final = 2  # the least cohort; alone it matters to the slack of the tables only


def add_gaussian(
    arrays: Mapping[str, NDArray[Any]],
    *,
    clip: float,
    epsilon: float,
    delta: float,
    rounds: int = 1,
    randomness: RandomSource | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Clip an update and add noise that hides it from everybody: a rounded Gaussian on a grid, exactly sampled.

    Any two updates are (epsilon, delta)-indistinguishable over all rounds together. Values lie on a grid, `clip` over
    a whole number, so that no float tells more than the noise hides (Mironov, CCS 2012).

    Args:
        arrays: name to array of any shape; float16, float32, float64, any integer or bool.
        clip: largest L2 norm of all arrays together that is not scaled down.
        epsilon: above 0, at most 100.
        delta: above 0 and below 1/2.
        rounds: how often this is done with the same client's data.
        randomness: the operating system's generator when None; another is no privacy.

    Returns:
        float64 by name, of the same shapes.

    Raises:
        ParameterError: a parameter outside its range, or arrays that cannot be summed. No value of any entry.
    """
    plan = Plan.choose(
        arrays=arrays,
        clip=clip,
        epsilon=epsilon,
        delta=delta,
        rounds=rounds,
        clients=_NOBODY_ELSE,
        minimum_contributors=_NOBODY_ELSE,
        max_corrupt=0.0,
        noise=Noise.EACH,
        rotation=False,
    )
    private = plan.privatize(arrays, randomness=randomness)
    return dict(decode(plan, private.arrays, contributors=1).mean)
