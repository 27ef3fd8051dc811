"""Sums under a privacy plan, whatever framework carries them: what the server sets, and what a client's data may tell.

The server chooses a plan and its bytes travel. Each client judges the integers, and takes part if the session keeps
what they promise and if its own budget, which its owner gave it, has room. Both are decided before anything is made of
the data, and nothing of the data decides. Must not know frameworks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import secagg
from secagg.errors import ParameterError, PeerMisbehaved, Violation
from secagg.integrations.contribution import attempt
from secagg.privacy import Budget, Neighbours, Noise, Plan, Private
from secagg.privacy.mechanism import check_clip
from secagg.privacy.promise import check_delta, check_epsilon

OVER_BUDGET: Final = (
    "the privacy budget of this client's data has no room for this plan; its own log says how much is left, and a plan "
    "for fewer rounds or with more noise may fit"
)
"""All that a server hears of a budget."""


@dataclass(frozen=True, kw_only=True)
class PrivacySettings:
    """What a server promises to each client, from which a :class:`secagg.privacy.Plan` is chosen.

    The fraction that may be corrupt, the threat model, the graph and the least number of contributors are those of the
    sessions.

    Attributes:
        epsilon: above 0, at most 100; of one client, over all rounds.
        delta: below 1 / clients; over all rounds.
        clip: largest L2 norm of a client's whole update, all arrays together; a longer one is scaled down.
        rounds: how often one client's data are summed. A session that ends without a sum counts, too: give some to
            spare.
        clients: the largest cohort; with cells, the largest cell.
        weights: the weight (example count) that counts as 1 in a weighted mean, larger ones likewise; None for one
            client, one vote.
        noise: "clients", "each" or "server", as in `Plan.choose`, and so for those below.
        neighbours: "zero" or "replace"; None chooses.
        overhead: fraction of variance that rounding may cost.
        rotation: rotate updates; None chooses.
        population: how many clients cohorts are drawn from.

    Raises:
        ParameterError: epsilon, delta or clip outside its range.
    """

    epsilon: float
    delta: float
    clip: float
    rounds: int
    clients: int
    weights: int | None = None
    noise: Noise | str = "clients"
    neighbours: Neighbours | str | None = None
    overhead: float = 0.02
    rotation: bool | None = None
    population: int | None = None

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        check_delta(self.delta, self.clients)
        check_clip(self.clip)

    def plan(self, arrays: Mapping[str, tuple[int, ...]], **session: Any) -> Plan:
        """Choose the plan of arrays; the same settings give the same plan on one machine.

        Args:
            arrays: name to shape, in session order.
            session: threat_model, max_corrupt, max_dropout, minimum_contributors, topology: see `Plan.choose`.

        Raises:
            ParameterError: no plan keeps the promise.
        """
        return Plan.choose(
            arrays=arrays,
            clip=self.clip,
            epsilon=self.epsilon,
            delta=self.delta,
            clients=self.clients,
            rounds=self.rounds,
            noise=self.noise,
            neighbours=self.neighbours,
            overhead=self.overhead,
            rotation=self.rotation,
            weights=self.weights,
            population=self.population,
            **session,
        )


def accepted_plan(
    data: bytes | None,
    parameters: secagg.SessionParameters,
    budget: Budget | None,
    policy: secagg.ClientPolicy | None = None,
) -> Plan | None:
    """Return the plan of an offered session, if it is one that this client's owner lets the data go into.

    With a budget that is a session under a plan that keeps its promise and fits the budget; without one, a session
    without a plan: nobody said what noise is good enough. Nothing is spent.

    Args:
        data: the plan's bytes as the server sent them; None when it sent none.
        parameters: of the offer.
        budget: the client's own; None when its owner gave none.
        policy: its floor under an offer; None for a session that was opened under it, whose plan was judged.

    Raises:
        PeerMisbehaved: the offer is not such a session; says why, of the server's own values.
        BudgetExceededError: the plan costs more than what is left. What it says is for the client's own log.
        DecodeError: the bytes are no plan.
        StoreError: the budget's file cannot be used.
    """
    if data is None:
        if budget is None:
            return None
        raise _refused("this client gives its data to sums under a privacy plan only; choose one, by privacy=")
    if budget is None:
        raise _refused("the session has a privacy plan, and this client's owner gave its data no privacy budget")
    try:
        plan = Plan.from_bytes(data)
        plan.check(parameters, policy)
        budget.check(plan)
    except ParameterError as error:
        raise _refused(str(error)) from error
    return plan


def contribute_under(
    plan: Plan,
    budget: Budget,
    session: secagg.ClientSession,
    make: Callable[[], tuple[Mapping[str, Any], int | None]],
    log: logging.Logger,
) -> None:
    """Clip, round and add noise, count that draw, and make it the input of a session that waits for it.

    Whatever the update is, the client takes part, and pays for it: one that does not fit, or that there is none of,
    counts as zeros of weight 0.

    Args:
        plan: as :func:`accepted_plan` returned it.
        budget: what it is counted in.
        session: of the offer that the plan was accepted for.
        make: returns the update, name to array, and the weight of a plan with weights.
        log: the client's own, which is told what became of the update.

    Raises:
        BudgetExceededError: there is no room any more; nothing was counted.
        StoreError: the budget's file cannot be used; nothing leaves.
    """
    parameters = session.parameters
    nothing = {name: np.broadcast_to(np.float32(0), shape) for name, shape in plan.arrays}

    def privatized(update: Mapping[str, Any], weight: int | None) -> Private:
        return plan.privatize(update, weight if plan.weights else None, parameters=parameters)

    private = attempt(lambda: privatized(*make()))
    if isinstance(private, Exception):
        log.error("secure aggregation: this client gives zeros to the sum, with noise: %s", private)
        private = privatized(nothing, 0)
    if private.report.replaced:
        log.warning("secure aggregation: a value of the update is NaN or infinite, so the update counts as zeros")
    elif private.report.clipped:
        log.info("secure aggregation: the update's norm %.4g was scaled to %.4g", private.report.norm, plan.clip)
    session.set_input(budget.spend(plan, private, parameters))


def _refused(why: str) -> PeerMisbehaved:
    return PeerMisbehaved(Violation.OFFER_VECTORS_NOT_EXPECTED, why)
