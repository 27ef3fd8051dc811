"""`secagg demo --privacy epsilon=8`: digits learned under a plan, in real sessions that a fifth of the clients leave.

Beside it, the same training without noise, and with noise that a trusted server adds to sums that nobody left.
Must not know how a session or a plan works.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

import secagg
from secagg.cli.local.seeded import InputsWhenDue, SeededNumbers, spread
from secagg.cli.output import print_json, print_sentences
from secagg.privacy import MemoryBudget, Noise, Plan
from secagg.privacy.lab.digits import load_digits
from secagg.privacy.lab.models import Model, accuracy, softmax_regression, train
from secagg.privacy.lab.training import CLIENTS, RATE, ROUNDS, STEPS, Federation, digits_plan, learn
from secagg.testing.randomness import DeterministicRandomSource

_LEAVING: Final = (secagg.Round.ADVERTISE_KEYS, secagg.Round.SHARE_KEYS, secagg.Round.MASKED_INPUT)
_DEFAULTS: Final = {"epsilon": 8.0, "delta": 1e-5, "clip": 1.0}
_KEYS: Final = tuple(_DEFAULTS)
_LAST: Final = 5


@dataclass(frozen=True, slots=True)
class PrivateRound:
    """One round of learning.

    Attributes:
        number: from 1.
        contributors: clients in the sum.
        left: clients that left before it.
        accuracy: on the test examples.
    """

    number: int
    contributors: int
    left: int
    accuracy: float


def plan_of(text: str, clients: int, rounds: int) -> Plan:
    """Read `epsilon=8,delta=1e-5,clip=1` and choose the plan of the demo.

    Raises:
        ParameterError: something else, or numbers that no plan has.
    """
    given = dict(_DEFAULTS)
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            given[_KEYS[_KEYS.index(name.strip())]] = float(value)
        except ValueError:
            raise secagg.ParameterError(
                f"--privacy {text!r}: {part!r} is not understood; give epsilon=8, and perhaps delta=1e-5 and clip=1, "
                "separated by commas"
            ) from None
    return digits_plan(given["epsilon"], given["delta"], given["clip"], Noise.CLIENTS, clients=clients, rounds=rounds)


class PrivateFederation:
    """Clients with digits and a budget each, whose sums are sessions under a plan.

    Args:
        plan: of `plan_of`.
        seed: repeats data and dropouts; keys, masks and noise come from the operating system.

    Attributes:
        budgets: of the clients.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.federation = Federation.of(load_digits(), plan.clients, seed=seed)
        self.budgets = [MemoryBudget(plan.epsilon, plan.delta, client=client) for client in range(plan.clients)]
        self._numbers = SeededNumbers(DeterministicRandomSource(seed))
        self._model = softmax_regression()
        self._number = 0

    def run_round(self) -> PrivateRound:
        """Train one round further, in a session that a fifth of the clients leave before their input is counted."""
        self._number += 1
        plan, model = self.plan, self._model
        parameters = plan.parameters(plan.clients, b"secagg demo, round %d" % self._number, max_dropout=0.2)

        def privatized(client: int) -> Mapping[str, NDArray[Any]]:
            mine = self.federation.clients[client]
            update = train(model, mine, steps=STEPS, rate=RATE).plus(model, -1.0)
            private = plan.privatize(update.arrays(), parameters=parameters)
            return self.budgets[client].spend(plan, private, parameters)

        order = self._numbers.fork(self._number).permutation(plan.clients)
        leaving = [int(client) for client in order[: plan.clients // 5]]
        gone = spread(leaving, _LEAVING)
        dropouts: Mapping[str | secagg.Round, Sequence[int]] = {round_: gone[round_] for round_ in _LEAVING}
        result = secagg.simulate(parameters, InputsWhenDue(plan.clients, privatized), dropouts=dropouts)
        self._model = model.plus(model.of(plan.decode(result, parameters=parameters).mean))
        return PrivateRound(self._number, len(result.contributors), len(leaving), self.accuracy(self._model))

    def accuracy(self, model: Model) -> float:
        """The fraction of test examples that a model gets right."""
        return accuracy(model, self.federation.test)


def private_demo(text: str, rounds: int | None, clients: int | None, seed: int, as_json: bool) -> None:
    """Train under a plan, and say what it promises and what it costs.

    Raises:
        ParameterError: a plan that there is not.
        SessionAbortedError: too few clients were left.
    """
    started = time.perf_counter()
    plan = plan_of(text, CLIENTS if clients is None else clients, ROUNDS if rounds is None else rounds)
    group = PrivateFederation(plan, seed)
    if not as_json:
        print_sentences(
            f"{plan.statement}\n{plan.clients} clients hold digits of their own, a fifth leaves each round."
        )
    done = []
    for _ in range(plan.rounds):
        done.append(group.run_round())
        if not as_json:
            each = done[-1]
            print_sentences(
                f"round {each.number}/{plan.rounds}: {each.left} left, {each.contributors} in the sum; accuracy "
                f"{each.accuracy:.2%}"
            )
    central = digits_plan(plan.epsilon, plan.delta, plan.clip, Noise.SERVER, clients=plan.clients, rounds=plan.rounds)
    trusted = learn(group.federation, central, rounds=plan.rounds, seed=seed)
    none = learn(group.federation, None, rounds=plan.rounds, seed=seed)
    distributed, by_server, without = (_last(each) for each in ([e.accuracy for e in done], trusted, none))
    most = max(group.budgets, key=lambda each: each.report().draws).report()
    if as_json:
        print_json(
            {
                "statement": plan.statement.to_json(),
                "rounds": [
                    {"round": e.number, "contributors": e.contributors, "left": e.left, "accuracy": e.accuracy}
                    for e in done
                ],
                "distributed_accuracy": distributed,
                "central_accuracy": by_server,
                "accuracy_without_noise": without,
                "budget": most.to_json(),
                "seed": seed,
                "wall_seconds": time.perf_counter() - started,
            }
        )
        return
    print_sentences(
        f"Accuracy, mean of the last {min(_LAST, plan.rounds)} rounds: {distributed:.2%} with noise of the clients, "
        f"which no server takes away; {by_server:.2%} with noise of a server that everybody trusts; {without:.2%} "
        f"without noise.\n{most}"
    )


def _last(curve: Sequence[float]) -> float:
    """Noise moves one round's accuracy by some hundredths; the mean of the last few tells more."""
    last = curve[-_LAST:]
    return sum(last) / len(last)
