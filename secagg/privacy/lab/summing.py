"""NO SECURITY: the sum of what clients send, as fields of a session carry it: modulo a power of two, without masks.

What a session adds to this are masks that cancel; a session's result is this sum, exactly (Specification §4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.privacy.lab.digits import Reals, Whole
from secagg.privacy.mechanism import Mechanism, Noise
from secagg.privacy.release import Release, decode, privatize
from secagg.privacy.sampling import SEED_BYTES


class RingSum:
    """A sum of clients' integers.

    Args:
        mechanism: the plan's, which says what ranges the vectors have.
        clients: of the cohort, for which the fields are wide enough.
    """

    def __init__(self, mechanism: Mechanism, clients: int) -> None:
        self._low = {name: spec.low for name, spec in mechanism.vectors.items()}
        self._mask = {
            name: np.uint64(2 ** spec.field_width(clients, 1) - 1) for name, spec in mechanism.vectors.items()
        }
        self._words = {name: np.zeros(spec.shape, dtype=np.uint64) for name, spec in mechanism.vectors.items()}
        self.contributors = 0

    def clear(self) -> None:
        """Begin again with nobody's integers."""
        self.contributors = 0
        for words in self._words.values():
            words.fill(0)

    def add(self, arrays: Mapping[str, Whole]) -> None:
        """Add one client's integers, int64 by vector name."""
        self.contributors += 1
        for name, words in self._words.items():
            np.add(words, (arrays[name] - self._low[name]).astype(np.uint64), out=words)
            np.bitwise_and(words, self._mask[name], out=words)

    def vectors(self) -> dict[str, Whole]:
        """Return the sum, int64 by vector name, as a session's result has it."""
        return {
            name: words.astype(np.int64) + self.contributors * self._low[name] for name, words in self._words.items()
        }


def release(
    mechanism: Mechanism,
    clients: int,
    updates: Iterable[Mapping[str, Reals]],
    randomness: RandomSource | None = None,
) -> Release:
    """Return what a server learns of updates under a plan: privatized, summed in the ring, decoded.

    Args:
        mechanism: the plan's, without rotation.
        clients: of the cohort.
        updates: one of each contributor; taken one by one.
        randomness: of the noise; the operating system's generator when None.
    """
    source = SystemRandomSource() if randomness is None else randomness
    total = RingSum(mechanism, clients)
    for update in updates:
        total.add(privatize(mechanism, update, randomness=source).arrays)
    seed = source.secret(SEED_BYTES) if mechanism.noise is Noise.SERVER else None
    return decode(mechanism, total.vectors(), total.contributors, noise_seed=seed)
