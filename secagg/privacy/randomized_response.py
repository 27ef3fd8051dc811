"""One answer of a few, hidden on the device of whoever gives it: randomized response, whose loss is exact.

With a probability that everybody knows the answer stays as it is; otherwise it is one of all options, drawn evenly. So
every answer can be anybody's, and what leaves the device may be shown to anybody: (epsilon, 0)-DP against all, the
server and all others together included (Warner, "Randomized response", JASA 1965; for more than two options Kairouz,
Bonawitz, Ramage, "Discrete distribution estimation under local privacy", ICML 2016). The price is accuracy: the counts
of n answers are estimated, with an error that grows with the square root of n.

Coins are whole numbers of 32 bits, each of 4 bytes, little-endian: the first one below `keep` keeps the answer.
Otherwise each further one at or above the largest multiple of `options` is thrown away, and the first that is not
gives the option, modulo `options`. examples/survey has the same in JavaScript.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.randomness import RandomSource, SystemRandomSource
from secagg.errors import ParameterError
from secagg.parameters.arguments import as_real, as_whole
from secagg.privacy.counts import check_size

COIN_BYTES: Final = 4
COINS: Final = 2 ** (8 * COIN_BYTES)
MAX_OPTIONS: Final = 2**16
MAX_EPSILON: Final = 16.0
_UP: Final = 1 + 2.0**-40


@dataclass(frozen=True, slots=True)
class RandomizedResponse:
    """How one answer is randomized, and what counts of such answers say.

    Attributes:
        options: how many answers there are, 2 .. 65536; an answer is a number from 0 on.
        keep: of 2^32 coins, how many keep the answer.

    Raises:
        ParameterError: a number outside its range.
    """

    options: int
    keep: int

    def __post_init__(self) -> None:
        for name, least, most in (("options", 2, MAX_OPTIONS), ("keep", 1, COINS - 1)):
            object.__setattr__(self, name, check_size(name, getattr(self, name), least, most))

    @classmethod
    def choose(cls, *, options: int, epsilon: float) -> RandomizedResponse:
        """Keep answers as often as a promise allows.

        Args:
            options: how many answers there are.
            epsilon: above 0, at most 16.

        Raises:
            ParameterError: a number outside its range, or an epsilon so small that no answer would be kept.
        """
        wanted = as_real(epsilon)
        if wanted is None or not 0 < wanted <= MAX_EPSILON:
            raise ParameterError(f"epsilon={epsilon!r} is no number above 0 and at most {MAX_EPSILON:g}; give one")
        number = cls(options, 1).options
        keep = math.floor(COINS * (math.expm1(wanted) / (math.expm1(wanted) + number)))
        # Floats may be off in their last bits: the whole number counts.
        while keep > 0 and cls(number, keep).epsilon > wanted:
            keep -= 1
        if keep < 1:
            raise ParameterError(f"epsilon={wanted:g} keeps no answer of {number} options; give a larger one")
        return cls(number, keep)

    @property
    def epsilon(self) -> float:
        """What one answer costs, rounded up: ln(1 + options * keep / (2^32 - keep))."""
        return math.log1p(self.options * self.keep / (COINS - self.keep)) * _UP

    @property
    def kept(self) -> float:
        """The probability with which an answer stays as it is without being drawn."""
        return self.keep / COINS

    @property
    def told(self) -> float:
        """The probability with which what leaves the device is the answer."""
        return self.kept + (1 - self.kept) / self.options

    def randomize(self, answer: int, *, randomness: RandomSource | None = None) -> int:
        """Return what to give instead of an answer. Never do this twice for one answer: each time costs epsilon.

        Args:
            answer: 0 .. options - 1.
            randomness: the operating system's generator when None; another is no privacy.

        Raises:
            ParameterError: an answer that there is not.
        """
        chosen = as_whole(answer)
        if chosen is None or not 0 <= chosen < self.options:
            raise ParameterError(f"an answer is none of 0 .. {self.options - 1}; give the number of an option")
        source = SystemRandomSource() if randomness is None else randomness
        if _coin(source) < self.keep:
            return chosen
        even = COINS - COINS % self.options
        while (coin := _coin(source)) >= even:
            pass
        return coin % self.options

    def estimate(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """Return how many gave each answer before it was randomized, as far as the counts say: right on average.

        Args:
            counts: (options,) how often each came; whole numbers.

        Returns:
            float64, (options,); their sum is that of the counts, and single ones may be below 0.

        Raises:
            ParameterError: another shape.
        """
        given = np.asarray(counts, dtype=np.float64)
        if given.shape != (self.options,):
            raise ParameterError(f"counts have shape {given.shape}; give one for each of {self.options} options")
        meant: NDArray[np.float64] = (given - given.sum() * (1 - self.kept) / self.options) / self.kept
        return meant

    def deviation(self, answers: int, given: float = 0.0) -> float:
        """Return the standard deviation of one estimate.

        Args:
            answers: how many were randomized.
            given: how many of them are of this option.
        """
        apart = (1 - self.kept) / self.options
        variance = given * self.told * (1 - self.told) + (answers - given) * apart * (1 - apart)
        return math.sqrt(variance) / self.kept


def _coin(source: RandomSource) -> int:
    drawn = source.secret(COIN_BYTES)
    coin = int.from_bytes(drawn.expose(), "little")
    drawn.wipe()
    return coin
