"""Whom the integers of a mechanism protect, from whom, and how well: claims that are computed, not believed.

A promise whose integers do not give the epsilon that it claims cannot be made. Must not know updates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar

from secagg.errors import ParameterError
from secagg.parameters import ThreatModel, TopologyKind
from secagg.parameters.arguments import as_real, require_kind
from secagg.parameters.graph_conditions import MAX_SHARE_HOLDERS, checked_integer
from secagg.privacy.accounting import Loss
from secagg.privacy.choosing import MAX_EPSILON, Target, round_loss
from secagg.privacy.mechanism import Mechanism, Neighbours, Noise

MAX_COHORT: Final = 2**29 - 1
MAX_ROUNDS: Final = 2**31

_E = TypeVar("_E", Noise, Neighbours, ThreatModel, TopologyKind)

NUMBERS: Final = (
    *("grid", "bound", "limit", "variance16", "tail", "rotation", "weights", "weight_steps", "below_steps"),
    *("rounds", "clients", "minimum_contributors", "corrupt", "honest", "security_bits", "dropped"),
    *("population", "population_corrupt"),
)
"""Whole numbers of a promise, in the order of its canonical bytes."""


_MEMBERS: Final = (
    *(("noise", Noise), ("neighbours", Neighbours), ("threat_model", ThreatModel), ("topology", TopologyKind)),
    ("rotation", bool),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise(Mechanism):
    """A mechanism, and what it promises to one client over all rounds.

    Attributes:
        epsilon: claimed over all rounds; at least what the integers give.
        delta: over all rounds.
        rounds: sums that one client's data go into.
        clients: largest cohort.
        minimum_contributors: least number of clients in a sum.
        corrupt: clients of each cohort that may be on the server's side.
        honest: shares of honest clients that every sum holds at least; 1 unless clients add shares.
        threat_model: of the sessions.
        topology: complete, or sparse, where only the server knows that the floor was kept; a complete graph serves for
            both.
        security_bits: how surely a sparse graph resists.
        dropped: clients of a cohort that may vanish without a sparse graph losing that; at least as many as the floor
            allows to, where clients add shares.
        population: clients that cohorts are drawn from; 0 when unknown.
        population_corrupt: how many of them may be corrupt.
        explanation: how the integers came about, in words; no part of the plan.

    Raises:
        ParameterError: a field outside its range, fields that do not fit each other, or a claim that is too good.
    """

    epsilon: float
    delta: float
    rounds: int
    clients: int
    minimum_contributors: int
    corrupt: int
    honest: int
    threat_model: ThreatModel = ThreatModel.SEMI_HONEST
    topology: TopologyKind = TopologyKind.COMPLETE
    security_bits: int = 40
    dropped: int = 0
    population: int = 0
    population_corrupt: int = 0
    explanation: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        Mechanism.__post_init__(self)
        for name, kind in _MEMBERS:
            require_kind(name, getattr(self, name), kind, f"one of {kind.__name__}")
        _check_counts(self)
        object.__setattr__(self, "epsilon", check_epsilon(self.epsilon))
        object.__setattr__(self, "delta", check_delta(self.delta, self.clients))
        _check_model(self)
        given = self.target.loss(self).epsilon(self.delta)
        if not given <= self.epsilon:
            raise ParameterError(
                f"a plan claims epsilon={self.epsilon:g}, and its integers give {given:.9g} at delta={self.delta:g} "
                f"over {self.rounds} rounds; claim that, or choose the plan anew"
            )

    @property
    def target(self) -> Target:
        """What the integers are judged by."""
        bits = self.security_bits if self.topology is TopologyKind.SPARSE else None
        return Target(self.epsilon, self.delta, self.rounds, self.clients, self.honest, bits)

    @property
    def loss(self) -> Loss:
        """What one round costs a client, from the integers, rounded up; a budget adds these."""
        return round_loss(self, self.clients, self.honest, self.target.security_bits)

    @property
    def m_round(self) -> float:
        """The m of one round, rounded up."""
        return self.loss.m

    @property
    def floor(self) -> int:
        """Least number of clients in a sum that a session under this plan releases."""
        return self.honest + self.corrupt if self.noise is Noise.CLIENTS else self.minimum_contributors


def least_contributors(minimum: int, clients: int, corrupt: int, model: ThreatModel) -> int:
    """Clients in a sum at least: in the active model more than the threshold, which is more than half."""
    return max(minimum, (clients + corrupt) // 2 + 2) if model is ThreatModel.ACTIVE else minimum


def check_epsilon(epsilon: object) -> float:
    """Return epsilon as a float; raises ParameterError unless it is above 0 and at most 100."""
    number = as_real(epsilon)
    if number is None or not 0 < number <= MAX_EPSILON:
        raise ParameterError(f"epsilon={epsilon!r:.40} is not above 0 and at most 100; 1 to 8 are usual")
    return number


def check_delta(delta: object, clients: int) -> float:
    """Return delta as a float; raises ParameterError unless it is above 0 and below 1 / clients."""
    number = as_real(delta)
    if number is None or type(clients) is not int or not 0 < number * clients < 1:
        raise ParameterError(
            f"delta={delta!r:.40} is not above 0 and below 1 / {clients}: a client could be given away; take "
            "10^-6 or less than a hundredth of 1 / clients"
        )
    return number


def _check_counts(plan: Promise) -> None:
    for name in NUMBERS:
        number = getattr(plan, name)
        if name != "rotation" and type(number) is not int:
            raise ParameterError(f"{name}={number!r:.40} of a plan is no whole number; choose it anew")
    checked_integer("clients", plan.clients, 2, MAX_COHORT, "the sum of one client hides nothing")
    checked_integer("rounds", plan.rounds, 1, MAX_ROUNDS, "every sum of a client's data counts")
    checked_integer("minimum_contributors", plan.minimum_contributors, 2, plan.clients, "clients in a sum")
    checked_integer("corrupt", plan.corrupt, 0, plan.minimum_contributors - 1, "a sum needs an honest client")
    checked_integer("security_bits", plan.security_bits, 1, 4096, "40 is usual")
    checked_integer("dropped", plan.dropped, 0, plan.clients - 1, "clients that may vanish")
    if plan.population:
        checked_integer("population", plan.population, plan.clients, 2**40, "all clients")
    checked_integer("population_corrupt", plan.population_corrupt, 0, plan.population, "of the population")


def _check_model(plan: Promise) -> None:
    check_who(plan.noise, plan.neighbours, plan.threat_model, plan.topology, plan.clients)
    floor = least_contributors(plan.minimum_contributors, plan.clients, plan.corrupt, plan.threat_model)
    most = floor - plan.corrupt if plan.noise is Noise.CLIENTS else 1
    if not 1 <= plan.honest <= most:
        raise ParameterError(
            f"{plan.honest} honest shares of noise, and a sum of {floor} clients holds {most} at least; choose the "
            "plan anew"
        )
    # Beyond, a sparse graph may fall apart, and honest clients' noise be in several sums.
    vanished = plan.clients - plan.floor
    if plan.noise is Noise.CLIENTS and plan.topology is TopologyKind.SPARSE and plan.dropped < vanished:
        raise ParameterError(
            f"a sum of {plan.floor} of {plan.clients} clients lets {vanished} vanish, and the sparse graph is chosen "
            f"for {plan.dropped}; raise minimum_contributors to {plan.clients - plan.dropped}, or max_dropout"
        )


def check_who(noise: Noise, neighbours: Neighbours, model: ThreatModel, kind: TopologyKind, clients: int) -> None:
    """Refuse who adds noise in which model and graph, where no promise can be made; raises ParameterError."""
    active = model is ThreatModel.ACTIVE
    if noise is Noise.SERVER and active:
        raise ParameterError("noise='server' in the active model: a lying server adds none; take noise='clients'")
    if noise is Noise.EACH and neighbours is not Neighbours.REPLACE:
        raise ParameterError("noise='each' protects any two updates from being told apart; take neighbours='replace'")
    if kind is TopologyKind.CHOSEN:
        raise ParameterError("no plan counts with the experimental chosen graph yet; take topology='complete'")
    if kind is TopologyKind.SPARSE and active:
        raise ParameterError("the active model needs the complete graph; take topology='complete'")
    if kind is TopologyKind.COMPLETE and clients - 1 > MAX_SHARE_HOLDERS:
        raise ParameterError(
            f"a complete graph of {clients} clients is impossible, {MAX_SHARE_HOLDERS + 1} are the most; take "
            "topology='sparse', or smaller cohorts"
        )


def member(kind: type[_E], name: str, value: object) -> _E:
    """Return the member of a choice; raises ParameterError for an unknown one."""
    try:
        return kind(value)  # type: ignore[arg-type]
    except ValueError:
        raise ParameterError(f"{name}={value!r:.80} is unknown; take one of {[m.value for m in kind]}") from None
