"""Privacy plans of sessions, read from files, and what a client's own budget makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import NDArray

import secagg

if TYPE_CHECKING:
    from secagg.privacy import Budget, FileBudget, Plan

_MAX_BYTES: Final = 1 << 24

Made = Callable[[secagg.SessionParameters], Mapping[str, NDArray[Any]]]


def load_plan(path: Path) -> Plan:
    """Read the file of a plan, and judge it.

    Raises:
        ParameterError: no such file, no plan, or one that claims more than its integers give.
    """
    from secagg.privacy import Plan  # loads SQLite, which most commands do without

    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise secagg.ParameterError(f"cannot read {path}: {error.strerror}; give the file of a plan") from error
    if len(content) > _MAX_BYTES:
        raise secagg.ParameterError(f"{path} has more than {_MAX_BYTES} bytes and is no plan; give the file of one")
    try:
        return Plan.from_bytes(content)
    except (secagg.DecodeError, secagg.ParameterError) as error:
        raise secagg.ParameterError(
            f"{path} is no privacy plan: {error}; make one with `secagg privacy plan`"
        ) from error


def opened_budget(path: Path, client: int, epsilon: float | None, delta: float | None) -> FileBudget:
    """Open a client's budget, or begin it where epsilon and delta are given.

    Raises:
        ParameterError: one of epsilon and delta without the other, a budget that is there already, or none.
        StoreError: the file cannot be used.
    """
    from secagg.privacy import FileBudget

    if (epsilon is None) != (delta is None):
        raise secagg.ParameterError(
            "--privacy-epsilon and --privacy-delta begin a budget together; give both the first time, and none later"
        )
    if epsilon is None or delta is None:
        return FileBudget(path, client=client)
    return FileBudget.begin(path, epsilon, delta, client=client)


def policy_under(policy: secagg.ClientPolicy, plan: Plan) -> secagg.ClientPolicy:
    """Return a policy that takes part in sessions under this plan only, its context that of the policy.

    Raises:
        ParameterError: a policy whose vectors, weight or threat model are not the plan's, or that believes more clients
            to be corrupt.
    """
    from secagg.privacy import Noise

    if policy.vectors is not None or policy.max_weight is not None:
        raise secagg.ParameterError(
            "--privacy-plan says which vectors there are, without weights; leave out --vectors and --max-weight"
        )
    model = plan.threat_model if policy.threat_model is None else secagg.ThreatModel(policy.threat_model)
    if model is not plan.threat_model:
        raise secagg.ParameterError(
            f"--threat-model {model.value} and the plan of --privacy-plan, which is for the "
            f"{plan.threat_model.value} model, do not go together; take a plan for the model"
        )
    believed = policy.corrupt_clients(plan.clients, model)
    if plan.noise is Noise.CLIENTS and believed > plan.corrupt:
        raise secagg.ParameterError(
            f"--max-corrupt is {policy.corrupt_in(model)}, {believed} of {plan.clients} clients, and the plan of "
            f"--privacy-plan counts with {plan.corrupt}; take a plan for as many, or give what you believe"
        )
    return replace(
        policy,
        vectors=plan.vectors,
        max_weight=1,
        context=plan.bind(policy.context or b""),
        threat_model=model,
        minimum_contributors=max(policy.minimum_contributors, plan.floor),
    )


def require_fit(plan: Plan, arrays: Mapping[str, NDArray[Any]], weight: int | None) -> None:
    """Refuse an input that is not the plan's, before a budget is begun or anything is sent.

    Raises:
        ParameterError: other names, shapes or kinds of numbers, or a weight that is missing or too much.
    """
    names = [name for name, _ in plan.arrays]
    if sorted(arrays) != sorted(names) or any(
        arrays[name].shape != shape or arrays[name].dtype.kind not in "biuf" for name, shape in plan.arrays
    ):
        raise secagg.ParameterError(
            f"the arrays of --input are not those of the plan; give {dict(plan.arrays)!r:.200}, names and shapes"
        )
    if (weight is None) is (plan.weights > 0):
        raise secagg.ParameterError(
            f"--weight is {weight}, and the plan has {f'weights up to {plan.weights}' if plan.weights else 'none'}; "
            f"{'give it' if plan.weights else 'leave it out'}"
        )


def privatized(plan: Plan, budget: Budget, arrays: Mapping[str, NDArray[Any]], weight: int | None) -> Made:
    """Return what makes the input of an accepted session: draws noise, and counts the draw before anything is sent.

    A process that goes on from a state of before the masked input draws anew, and pays again.
    """

    def make(parameters: secagg.SessionParameters) -> Mapping[str, NDArray[Any]]:
        return budget.spend(plan, plan.privatize(arrays, weight, parameters=parameters), parameters)

    return make
