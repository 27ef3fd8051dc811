"""Counts with discrete Laplace shares: (epsilon, 0)-DP but for the slack of the tables.

Each client adds the difference of two negative binomial numbers, and the sum of `honest` of them has P(k) ~ p^|k|,
p = e^(-epsilon / sensitivity), rounded up; the sensitivity is in the L1 norm (Kotz, Kozubowski and Podgorski 2001;
Goryczka and Xiong 2017). More contributors only add to it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import encode_fields
from secagg.crypto.labels import Label
from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters
from secagg.parameters.policy import ClientPolicy
from secagg.parameters.vectors import Integers
from secagg.privacy import gaussian
from secagg.privacy.accounting import Loss
from secagg.privacy.admission import check_session, choose_session
from secagg.privacy.choosing import times
from secagg.privacy.counts import LESS_NOISE, SkellamCounts
from secagg.privacy.mechanism import Neighbours, Noise
from secagg.privacy.plan import Plan
from secagg.privacy.statement import Statement
from secagg.privacy.tables import NoiseTable, discrete_laplace_share

_UP: Final = 1 + 2.0**-40
_P_BITS: Final = 64


@dataclass(frozen=True)
class LaplaceCounts:
    """Counts with discrete Laplace shares: (epsilon, (1 + e^epsilon) eta)-DP; a plan of its own kind.

    Attributes:
        terms: a plan that says who is protected from whom, and in which sessions; its vectors are those of this one,
            and its noise is not drawn.
        numerator: of p, over 2^64.
        distance: sensitivity in the L1 norm.
    """

    terms: Plan
    numerator: int
    distance: int

    @classmethod
    def choose(cls, cells: int, items: int, **terms: Any) -> LaplaceCounts:
        """Choose the least noise that keeps a promise.

        Args:
            cells: how many counts.
            items: largest sum of one client's counts.
            terms: as `SkellamCounts.choose`; of `delta` only the slack of the tables is used.

        Raises:
            ParameterError: as `Plan.choose`, or noise beyond every table.
        """
        # Its Skellam noise has the tail of the Laplace noise, so that vectors and ranges are right.
        plan = SkellamCounts.choose(cells, items**2, **terms).plan
        distance = items if plan.neighbours is Neighbours.ZERO else 2 * items
        exponent = Fraction(plan.epsilon) / (distance * plan.rounds)
        numerator = math.ceil(Fraction(math.exp(-float(exponent)) * _UP) * 2**_P_BITS)
        try:
            tail = discrete_laplace_share(Fraction(numerator, 2**_P_BITS), plan.honest).tail
        except ParameterError as error:
            raise ParameterError(
                f"epsilon={plan.epsilon:g} over {plan.rounds} rounds with {distance} items needs more noise than a "
                f"table holds; {LESS_NOISE}"
            ) from error
        return cls(replace(plan, tail=tail, explanation=""), numerator, distance)

    @property
    def plan(self) -> LaplaceCounts:
        """Itself: it is checked, bound and spent as a plan is."""
        return self

    @property
    def bound(self) -> int:
        """Largest sum of squares of one client's counts."""
        return self.terms.bound

    @property
    def table(self) -> NoiseTable:
        """Of one share."""
        return discrete_laplace_share(Fraction(self.numerator, 2**_P_BITS), self.terms.honest)

    @property
    def rounds(self) -> int:
        """Sums that one client's data go into."""
        return self.terms.rounds

    @property
    def noise(self) -> Noise:
        """Each client adds a share."""
        return Noise.CLIENTS

    @property
    def neighbours(self) -> Neighbours:
        """What one client's counts are exchanged for."""
        return self.terms.neighbours

    @property
    def epsilon_round(self) -> float:
        """Of one round, from the integers, rounded up: distance ln(1/p)."""
        rest = 2**_P_BITS - self.numerator
        # Of the two forms, the one that does not cancel.
        log = math.log1p(-rest / 2**_P_BITS) if rest < self.numerator else math.log(self.numerator / 2**_P_BITS)
        return -self.distance * log * _UP

    @property
    def loss(self) -> Loss:
        """What one round costs: an (epsilon, 0)-DP release is m-GDP (:func:`secagg.privacy.gaussian.pure`)."""
        return Loss(gaussian.pure(self.epsilon_round) ** 2 * _UP, self.terms.loss.eta)

    @property
    def statement(self) -> Statement:
        """What the plan promises to one client; delta is the slack of the tables alone."""
        epsilon, terms = self.terms.epsilon, self.terms
        eta = times(self.loss, self.rounds).eta
        sigma = self.deviation(terms.clients)
        return replace(
            terms.statement,
            epsilon=epsilon,
            delta=(1 + math.exp(epsilon)) * eta * _UP,
            m=gaussian.pure(epsilon),
            right_guesses=gaussian.right_guesses(gaussian.pure(epsilon), eta),
            noise_of_mean=sigma / terms.grid / terms.clients,
            eta=eta,
        )

    @property
    def vectors(self) -> dict[str, Integers]:
        """The vectors of a session under this plan."""
        return self.terms.vectors

    @property
    def minimum_contributors(self) -> int:
        """What a session is chosen with."""
        return self.terms.minimum_contributors

    @property
    def floor(self) -> int:
        """Least number of clients in a sum."""
        return self.terms.floor

    @property
    def digest(self) -> bytes:
        """SHA-256 of everything that the plan is: 32 bytes."""
        fields = self.terms.to_bytes(), self.numerator, self.distance
        return hashlib.sha256(encode_fields(Label.PRIVACY_PLAN, "discrete Laplace", *fields)).digest()

    @property
    def series(self) -> bytes:
        """By which a budget counts its draws."""
        return self.digest

    def bind(self, context: bytes = b"") -> bytes:
        """Return the context of a session under this plan: its digest, then the application's own bytes."""
        return self.digest + context

    def parameters(self, clients: int | Iterable[ClientId], context: bytes = b"", **choices: Any) -> SessionParameters:
        """Choose the parameters of a session that keeps the plan; see `Plan.parameters`."""
        parameters = choose_session(self.terms, clients, self.bind(context), choices)
        self.check(parameters)
        return parameters

    def check(self, parameters: SessionParameters, policy: ClientPolicy | None = None) -> None:
        """Refuse a session in which the statement would not be true; see `Plan.check`."""
        check_session(self.terms, self.digest, parameters, policy)

    def deviation(self, contributors: int) -> float:
        """Standard deviation of the noise in a sum of so many clients."""
        p = self.numerator / 2**_P_BITS
        return math.sqrt(2 * p * contributors / self.terms.honest) / float(1 - p)

    def log_characteristic(self, angles: NDArray[np.float64], contributors: int) -> NDArray[np.float64]:
        """Logarithm of the characteristic function of that noise: (n/honest) ln((1-p)^2 / (1 - 2 p cos t + p^2))."""
        p = self.numerator / 2**_P_BITS
        # 1 - 2p cos t + p^2, without cancelling
        spread = (1 - p) ** 2 + 4 * p * np.sin(angles / 2) ** 2
        share: NDArray[np.float64] = 2 * math.log(1 - p) - np.log(spread)
        return share * (contributors / self.terms.honest)
