"""A session that keeps what a plan promises, and whether one does: a client's check of an offer, a server's of its own.

All of it is public; a client's data have no part in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.arguments import require_kind
from secagg.parameters.cohort import cohort_of
from secagg.parameters.graph_conditions import threshold_resists
from secagg.parameters.policy import ClientPolicy
from secagg.privacy.mechanism import Noise
from secagg.privacy.promise import Promise


def choose_session(
    plan: Promise, clients: int | Iterable[ClientId], context: bytes, choices: dict[str, Any]
) -> SessionParameters:
    """Choose the parameters of a session in which the plan's statement is true; `check_session` says whether it is.

    Args:
        plan: what is promised.
        clients: the cohort's ids, or how many.
        context: the plan's digest and what the session is about.
        choices: further arguments of `SessionParameters.choose`, before those of the plan.

    Raises:
        ParameterError: a cohort below the plan's floor, choices that follow from the plan, or no such session.
    """
    for name in ("vectors", "max_weight"):
        if name in choices:
            raise ParameterError(
                f"{name} of a session follows from the plan; leave it out, and choose the plan with its arrays= and "
                "weights="
            )
    cohort = cohort_of(clients)
    number = len(cohort)
    if number < plan.floor:
        raise ParameterError(
            f"a cohort of {number} clients is below the {plan.floor} that every sum under this plan holds; wait for "
            "more clients, or choose a plan with a smaller minimum_contributors"
        )
    of_plan: dict[str, Any] = {
        **{"vectors": plan.vectors, "threat_model": plan.threat_model, "topology": plan.topology},
        **{"minimum_contributors": plan.floor, "security_bits": plan.security_bits},
        **{"max_corrupt": plan.corrupt / number, "max_dropout": min(plan.dropped, number - 1) / number},
    }
    return SessionParameters.choose(clients=cohort, context=context, **(of_plan | choices))


def check_session(
    plan: Promise, digest: bytes, parameters: SessionParameters, policy: ClientPolicy | None = None
) -> None:
    """Refuse a session in which the plan's statement would not be true.

    Args:
        plan: what is promised.
        digest: of the plan, with which the context begins.
        parameters: what was offered.
        policy: of the client that judges: the noise of those whom it believes to be corrupt protects from nobody. None
            trusts the plan.

    Raises:
        ParameterError: the first thing that does not fit, with what to do.
    """
    require_kind("parameters", parameters, SessionParameters, "the SessionParameters of the session")
    if dict(parameters.vectors) != plan.vectors or [name for name, _ in parameters.vectors] != list(plan.vectors):
        raise _refusal("its vectors are not those of the plan, in this order", "choose it with vectors=plan.vectors")
    if parameters.max_weight != 1:
        raise _refusal(
            f"max_weight is {parameters.max_weight}, and a total weight without noise would be released",
            "leave it 1, and choose the plan with weights=",
        )
    if parameters.clients > plan.clients:
        raise _refusal(
            f"it has {parameters.clients} clients, and the plan is for {plan.clients}", "choose a plan for them"
        )
    if parameters.context[: len(digest)] != digest:
        raise _refusal(
            "its context does not begin with the plan's digest, so clients may have other plans",
            "choose it with context=plan.bind(...)",
        )
    if plan.noise is Noise.CLIENTS:
        _check_shares(plan, parameters)
        believed = 0 if policy is None else _believed(policy, parameters)
        if believed > plan.corrupt:
            raise _refusal(
                f"this client believes that {believed} of {parameters.clients} clients may be corrupt, and the plan "
                f"counts with {plan.corrupt}",
                "choose the plan with the max_corrupt of its clients",
            )
    elif plan.noise is Noise.SERVER and parameters.threat_model is not plan.threat_model:
        raise _refusal("a lying server adds no noise", "choose a plan with noise='clients'")


def _check_shares(plan: Promise, parameters: SessionParameters) -> None:
    n, t, c = parameters.clients, parameters.threshold, plan.corrupt
    if parameters.threat_model is not plan.threat_model:
        raise _refusal(
            f"its threat model is {parameters.threat_model.value}, and the plan's {plan.threat_model.value}",
            "choose both alike",
        )
    honest = _floor(parameters) - c
    if honest < plan.honest:
        raise _refusal(
            f"a sum may hold only {honest} honest shares of noise, and the plan counts with {plan.honest}",
            f"choose it with minimum_contributors={plan.honest + c}",
        )
    if parameters.topology.kind is TopologyKind.COMPLETE:
        active = plan.threat_model is ThreatModel.ACTIVE
        if not (2 * t > n + c if active else t > c):
            least = (n + c) // 2 + 1 if active else c + 1
            raise _refusal(
                f"with threshold {t}, {c} corrupt of {n} clients can unmask inputs", f"choose threshold >= {least}"
            )
        return
    if plan.topology is not TopologyKind.SPARSE:
        raise _refusal(
            f"its graph is {parameters.topology.kind.value}, where clients do not see that the floor is kept",
            "choose it with topology='complete', or the plan with topology='sparse'",
        )
    topology = parameters.topology
    fractions = c / n, min(plan.dropped, n - 1) / n
    if not threshold_resists(n, topology.kind, topology.degree, t, *fractions, plan.threat_model, plan.security_bits):
        raise _refusal(
            f"degree {topology.degree} and threshold {t} do not resist {c} corrupt of {n} clients with "
            f"{plan.security_bits} bits",
            "choose it with the max_corrupt, max_dropout and security_bits of the plan",
        )


def _believed(policy: ClientPolicy, parameters: SessionParameters) -> int:
    return policy.corrupt_clients(parameters.clients, parameters.threat_model)


def _refusal(what: str, remedy: str) -> ParameterError:
    return ParameterError(f"the session does not fit the plan: {what}; {remedy}")


def _floor(parameters: SessionParameters) -> int:
    """The same of a session, whose threshold is known."""
    active = parameters.threat_model is ThreatModel.ACTIVE
    return max(parameters.minimum_contributors, parameters.threshold + 1 if active else 0)
