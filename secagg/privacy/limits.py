"""How much one client's data may tell, and whether it is kept: the arithmetic of a budget.

Costs are m-GDP, whose squares add up (Dong, Roth and Su 2022). Sums are exact and rounded up once, so that all rounds
of a plan fit the budget that the plan was chosen for. Must not know where spendings are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from enum import StrEnum
from fractions import Fraction
from math import exp, inf, isinf, nextafter
from typing import Any, Final, Protocol, TypeVar

from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters
from secagg.parameters.arguments import as_real, require_kind
from secagg.privacy import gaussian
from secagg.privacy.accounting import Loss
from secagg.privacy.mechanism import Neighbours, Noise

_MAX_EPSILON: Final = 100.0
_MOST_ROUNDS: Final = 2**31
_HUGE: Final = 1e300
_DIGITS: Final = 5
_MARGIN: Final = 1 + 2.0**-48


class Observer(StrEnum):
    """Against whom a budget counts: the server, or only those who see what it publishes."""

    SERVER = "server"
    """The server, and whoever is on its side."""
    PUBLIC = "public"
    """Those who see what the server publishes, which the client trusts with the sum itself."""


_E = TypeVar("_E", Neighbours, Observer)


class Priced(Protocol):
    """What a budget has to know of a plan; :class:`secagg.privacy.plan.Plan` is one."""

    @property
    def rounds(self) -> int:
        """How many draws the plan was made for."""
        ...

    @property
    def noise(self) -> Noise:
        """Who adds it."""
        ...

    @property
    def neighbours(self) -> Neighbours:
        """What the loss compares."""
        ...

    @property
    def loss(self) -> Loss:
        """What one draw costs."""
        ...

    @property
    def digest(self) -> bytes:
        """What names it: 32 bytes."""
        ...

    @property
    def series(self) -> bytes:
        """By which its draws are counted: 32 bytes, the same when only the clip is another."""
        ...

    def check(self, parameters: SessionParameters) -> None:
        """Refuse a session in which the loss would be larger."""
        ...


@dataclass(frozen=True, slots=True)
class Limit:
    """How much one client's data may tell, over all sessions.

    Attributes:
        epsilon: above 0, at most 100.
        delta: from 1e-200 on, below 1.
        neighbours: "zero": the client's inputs exchanged for zeros; "replace": for any others.
        observer: "server", or "public" for a client that trusts the server and lets it add the noise.

    Raises:
        ParameterError: a value outside its range.
    """

    epsilon: float
    delta: float
    neighbours: Neighbours = Neighbours.ZERO
    observer: Observer = Observer.SERVER

    def __post_init__(self) -> None:
        epsilon, delta = as_real(self.epsilon), as_real(self.delta)
        if epsilon is None or not 0 < epsilon <= _MAX_EPSILON:
            raise ParameterError(
                f"epsilon={self.epsilon!r:.40} of a budget is not above 0 and at most 100; take 1 to 8"
            )
        if delta is None or not gaussian.LEAST_DELTA <= delta < 1:
            raise ParameterError(
                f"delta={self.delta!r:.40} of a budget is not from 1e-200 on and below 1; take 10^-6, or less than a "
                "hundredth of 1 / clients"
            )
        object.__setattr__(self, "epsilon", epsilon)
        object.__setattr__(self, "delta", delta)
        require_kind("neighbours", self.neighbours, Neighbours, "one of Neighbours")
        require_kind("observer", self.observer, Observer, "one of Observer")

    @classmethod
    def of(cls, epsilon: float, delta: float, neighbours: str, observer: str) -> Limit:
        """Make a limit of the texts that stand for its members.

        Raises:
            ParameterError: a value outside its range.
        """
        who = _member(Observer, "observer", observer)
        return cls(epsilon, delta, _member(Neighbours, "neighbours", neighbours), who)

    def holds(self, total: Loss) -> bool:
        """Whether everything together is within the limit.

        Args:
            total: what all releases together have cost.
        """
        return total.epsilon(self.delta) <= self.epsilon

    def cost(self, plan: Priced) -> Loss:
        """Return what one draw of a plan costs under this limit's neighbours.

        Exchanging an input for any other is exchanging it for zeros and those for the other: m doubles at most.

        Args:
            plan: whose draw is priced.

        Raises:
            ParameterError: the plan promises nothing to whom this budget counts against, or its noise costs nothing.
        """
        if plan.noise is Noise.SERVER and self.observer is Observer.SERVER:
            raise ParameterError(
                "a plan with noise='server' gives the server the sum without noise, and this budget counts what the "
                "server learns; take noise='clients', or a budget with observer='public'"
            )
        twice = self.neighbours is Neighbours.REPLACE and plan.neighbours is Neighbours.ZERO
        own = plan.loss
        loss = Loss(own.m2 * 4 if twice else own.m2, own.eta)
        if not loss.m2 > 0:
            raise ParameterError("a plan whose draws cost nothing is none; choose it with Plan.choose")
        return loss

    def rounds_left(self, spent: Loss, cost: Loss) -> int:
        """Return how many draws still fit, found by halving; at most 2^31.

        Args:
            spent: what was counted so far.
            cost: of one draw.
        """
        fits, beyond = 0, 1
        while beyond < _MOST_ROUNDS and self.holds(after(spent, cost, beyond)):
            fits, beyond = beyond, 2 * beyond
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            if self.holds(after(spent, cost, middle)):
                fits = middle
            else:
                beyond = middle
        return fits

    def left_m2(self, spent: Loss) -> float:
        """Return what may still be spent, as m squared, rounded down.

        Args:
            spent: what was counted so far.
        """
        delta = self.delta - (1 + exp(self.epsilon)) * spent.eta * _MARGIN
        allowed = gaussian.calibrate(self.epsilon, delta) ** 2 / _MARGIN if gaussian.LEAST_DELTA <= delta < 1 else 0.0
        return max(0.0, allowed - spent.m2 * _MARGIN)


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """What is spent and what is left, rounded against the client's hopes.

    Attributes:
        client: whose data.
        data_set: which of them.
        limit: the budget.
        draws: how many were counted.
        m2: what they cost in all, as m squared.
        eta: what they add to delta, before the factor 1 + e^epsilon.
        epsilon: at the limit's delta, rounded up; infinite when there is none.
        left_m2: what one more release may cost, rounded down.
    """

    client: ClientId
    data_set: str
    limit: Limit
    draws: int
    m2: float
    eta: float
    epsilon: float
    left_m2: float

    def to_json(self) -> dict[str, Any]:
        """All fields and the text as plain data for `json.dumps`; an infinite epsilon is None."""
        fields = asdict(self)
        limit = {name: str(value) if isinstance(value, StrEnum) else value for name, value in fields["limit"].items()}
        return fields | {
            "epsilon": None if isinf(self.epsilon) else self.epsilon,
            "limit": limit,
            "text": str(self),
        }

    def __str__(self) -> str:
        named = f" on {self.data_set!r}" if self.data_set else ""
        limit = self.limit
        against = "the server" if limit.observer is Observer.SERVER else "who sees what is published"
        return (
            f"Client {self.client}{named}: {self.draws} draws of noise have spent epsilon = {shown(self.epsilon)} of "
            f"{limit.epsilon:g} at delta = {claimed(limit.delta)} (m^2 {shown(self.m2)}, and "
            f"{shown(self.left_m2, ROUND_FLOOR)} is left), against {against}, the client's inputs exchanged for "
            f"{'zeros' if limit.neighbours is Neighbours.ZERO else 'any others'}."
        )


def total_of(losses: Iterable[Loss]) -> Loss:
    """Return the loss of all together; each sum is exact and rounded up once."""
    m2 = eta = Fraction(0)
    for loss in losses:
        m2, eta = m2 + Fraction(loss.m2), eta + Fraction(loss.eta)
    return Loss(_up(m2), _up(eta))


def after(spent: Loss, cost: Loss, rounds: int) -> Loss:
    """Return the loss of what is spent and of equal rounds more; each sum is exact and rounded up once."""
    return Loss(
        _up(Fraction(spent.m2) + rounds * Fraction(cost.m2)), _up(Fraction(spent.eta) + rounds * Fraction(cost.eta))
    )


def shown(value: float, rounding: str = ROUND_CEILING) -> str:
    """Return a figure with five digits, rounded up unless told otherwise."""
    if isinf(value):
        return "infinity"
    figure = Context(prec=_DIGITS, rounding=rounding).create_decimal_from_float(value).normalize()
    return f"{figure:f}" if 1 <= figure < 10**_DIGITS else f"{figure:g}"


def claimed(value: float, digits: int = 6) -> str:
    """Return a figure of a claim as it was given, or with so many digits if it has more: then never below it."""
    text = f"{value:.{digits}g}"
    if float(text) < value:
        text = f"{Context(prec=digits, rounding=ROUND_CEILING).create_decimal_from_float(value):.{digits}g}"
    return f"{float(text):.{digits}g}"


def _member(kind: type[_E], name: str, value: object) -> _E:
    try:
        return kind(str(value))
    except ValueError:
        known = [member.value for member in kind]
        raise ParameterError(f"{name}={value!r:.40} of a budget is unknown; take one of {known}") from None


def _up(exact: Fraction | int) -> float:
    if exact > _HUGE:
        return _HUGE  # beyond every limit; float() would raise
    near = float(exact)
    return near if Fraction(near) >= exact else nextafter(near, inf)
