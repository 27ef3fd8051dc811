"""NO SECURITY: what privacy of a sum means, in seven sections that :mod:`secagg.privacy.lab.pictures` draws.

Each is numbers, a sentence, and what a picture of them shows; every number is measured or computed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from secagg.privacy import gaussian
from secagg.privacy.lab.audit import audit, audit_plan
from secagg.privacy.lab.digits import Digits, load_digits
from secagg.privacy.lab.faults import nothing
from secagg.privacy.lab.inversion import (
    identification,
    identification_by_insider,
    read_picture,
    update_of_one,
)
from secagg.privacy.lab.models import softmax_regression
from secagg.privacy.lab.summing import release
from secagg.privacy.lab.training import Row, accuracy_table, digits_plan
from secagg.privacy.plan import Plan

DELTA: Final = 1e-5
_SHOWN: Final = 8.0
_MODEL: Final = softmax_regression(0.05, 3)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        tries: attacks for each identification rate.
        cohorts: sizes of the sums that are attacked.
        trials: sums of each audit.
        epsilons: that are audited and trained under.
        clients: that train.
        rounds: of training.
    """

    tries: int = 100
    cohorts: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100)
    trials: int = 6000
    epsilons: tuple[float, ...] = (1.0, 4.0, 8.0)
    clients: int = 100
    rounds: int = 15


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement.

    Attributes:
        name: of its picture's file.
        title: above it.
        sentence: what follows from it.
        alt: what the picture shows, for who cannot see it.
        numbers: plain data.
    """

    name: str
    title: str
    sentence: str
    alt: str
    numbers: dict[str, Any]


def measure(effort: Effort, seed: int = 0) -> Iterator[Section]:
    """Measure, section by section; noise comes from the operating system.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    digits = load_digits()
    plan = digits_plan(_SHOWN, DELTA, 1.0, "clients", clients=effort.clients, rounds=effort.rounds)
    yield _strip(digits, effort, seed)
    yield _identified(digits, effort, seed)
    yield _coin_game(plan)
    yield _budget(plan)
    yield _audited(effort, seed)
    yield _accuracy(digits, effort)
    yield _who_sees_what()


def _strip(digits: Digits, effort: Effort, seed: int) -> Section:
    numbers = np.random.default_rng(seed)
    victim, *others = numbers.choice(len(digits), max(effort.cohorts), replace=False).tolist()
    label, plan = (
        int(digits.labels[victim]),
        digits_plan(_SHOWN, DELTA, 1.0, "clients", clients=effort.clients, rounds=1),
    )
    shown = {"the picture on the phone": digits.images[victim]}
    total = update_of_one(_MODEL, digits, victim, plan.clip)
    shown["one update, in the clear"] = read_picture(total.layers[0], label)
    for count, other in enumerate(others, start=2):
        total = total.plus(update_of_one(_MODEL, digits, other, plan.clip))
        if count in effort.cohorts and count in (2, 10, 100):
            shown[f"sum of {count}"] = read_picture(total.layers[0], label)
    update = update_of_one(_MODEL, digits, victim, plan.clip)
    shown["server knows all others"] = read_picture(update.layers[0], label)
    mean = release(plan, plan.clients, [update.arrays(), *[nothing(plan)] * (plan.honest - 1)]).mean
    shown[f"the same, epsilon {_SHOWN:g}"] = read_picture(_MODEL.of(mean).layers[0], label)
    return Section(
        "strip",
        "What a server reads of one picture",
        "One update shows the picture; a sum hides it, but not from a server that knows the other updates; noise does.",
        f"A handwritten {label} in {len(shown)} pictures: clear in a single update, fading in sums, clear again when "
        "the server knows all other updates, and gone with noise.",
        {"victim": victim, "label": label, "images": {name: image.tolist() for name, image in shown.items()}},
    )


def _identified(digits: Digits, effort: Effort, seed: int) -> Section:
    rates = {n: identification(_MODEL, digits, n, effort.tries, clip=1.0, seed=seed).rate for n in effort.cohorts}
    plan = digits_plan(_SHOWN, DELTA, 1.0, "clients", clients=effort.clients, rounds=1)
    insider = identification_by_insider(_MODEL, digits, plan, effort.tries, seed=seed)
    return Section(
        "identification",
        f"The right picture, picked out of {len(digits)}",
        f"A sum of {max(rates)} shows the right picture in {rates[max(rates)]:.0%} of cases. A server that knows all "
        f"other updates has it in {rates[min(rates)]:.0%}, {insider.right} of {insider.tries} at epsilon {_SHOWN:g}.",
        "Bars, falling with the size of the sum: "
        + ", ".join(f"{rate:.0%} for {n}" for n, rate in rates.items())
        + ".",
        {
            "tries": effort.tries,
            "rates": {str(n): rate for n, rate in rates.items()},
            "insider_with_noise": {"epsilon": _SHOWN, "right": insider.right, "tries": insider.tries},
        },
    )


def _coin_game(plan: Plan) -> Section:
    statement = plan.statement
    right = statement.right_guesses
    return Section(
        "coin-game",
        "Was this client there?",
        f"Somebody who knows all else and must say whether a client was in the sums of {plan.rounds} rounds is right "
        f"in at most {right} of 100 cases, at epsilon {plan.epsilon:g}; a coin is right in 50.",
        f"A hundred dots, {right} of them red.",
        {"epsilon": plan.epsilon, "delta": plan.delta, "rounds": plan.rounds, "right_guesses": right},
    )


def _budget(plan: Plan) -> Section:
    spent = [gaussian.epsilon(plan.delta, math.sqrt(done) * plan.m_round) for done in range(1, plan.rounds + 1)]
    return Section(
        "budget",
        "What is spent, round by round",
        f"Squares of m add up, so that the first of {plan.rounds} rounds costs epsilon {spent[0]:.2f} and all cost "
        f"{spent[-1]:.2f}.",
        f"A curve that rises from {spent[0]:.2f} to the limit of {plan.epsilon:g} and bends down on the way.",
        {"limit": plan.epsilon, "delta": plan.delta, "epsilon": spent},
    )


def _audited(effort: Effort, seed: int) -> Section:
    pairs: list[dict[str, float]] = []
    for epsilon in effort.epsilons:
        best = audit(audit_plan(epsilon, DELTA), effort.trials, seed=seed).best
        pairs.append({"claimed": best.claimed_epsilon, "measured": best.epsilon})
    below = all(pair["measured"] <= pair["claimed"] for pair in pairs)
    return Section(
        "audit",
        "Claimed and measured",
        f"What an audit of the real code measures is {'below' if below else 'NOT BELOW'} what is claimed; it is a "
        "floor, and no proof.",
        "Pairs of bars: "
        + "; ".join(f"claimed {pair['claimed']:.2f}, measured {pair['measured']:.2f}" for pair in pairs)
        + ".",
        {"trials": effort.trials, "delta": DELTA, "pairs": pairs},
    )


def _accuracy(digits: Digits, effort: Effort) -> Section:
    rows = accuracy_table(
        digits, effort.epsilons, delta=DELTA, clips=(1.0,), seeds=1, clients=effort.clients, rounds=effort.rounds
    )
    listed = [
        {"kind": kind_of(row), "epsilon": row.epsilon, "dropouts": row.dropouts, "accuracy": row.accuracy}
        for row in rows
    ]
    return Section(
        "accuracy",
        "What it costs",
        f"Right without noise: {rows[0].accuracy:.0%}. At epsilon {effort.epsilons[-1]:g}: "
        + ", ".join(f"{kind_of(row)} {row.accuracy:.0%}" for row in rows[-4:])
        + ".",
        f"Accuracy against epsilon, in the end at {effort.epsilons[-1]:g}: "
        + "; ".join(f"{row['kind']} {row['accuracy']:.2f}" for row in (listed[0], *listed[-4:]))
        + ".",
        {"delta": DELTA, "clients": effort.clients, "rounds": effort.rounds, "rows": listed},
    )


def kind_of(row: Row) -> str:
    """Return who adds noise, in words."""
    if row.noise is None:
        return "no noise"
    named = {"server": "the server", "clients": "shares of clients", "each": "each client alone"}[row.noise.value]
    return f"{named}, {row.dropouts} dropouts" if row.dropouts else named


def _who_sees_what() -> Section:
    seen = {
        "no noise": ("the exact sum", "the exact sum"),
        "noise of the server": ("the exact sum", "a noisy sum"),
        "shares of clients": ("a noisy sum", "a noisy sum"),
        "noise of each client": ("a noisy sum", "a noisy sum"),
    }
    holds = {
        "no noise": "nobody",
        "noise of the server": "readers of the model",
        "shares of clients": "server and some clients",
        "noise of each client": "everybody else together",
    }
    return Section(
        "who-sees-what",
        "Who sees what",
        "Masks hide updates from everybody; noise decides what the sum itself tells, and to whom.",
        "A table: "
        + "; ".join(f"{model}: the server sees {sees[0]}, readers {sees[1]}" for model, sees in seen.items())
        + ".",
        {
            "columns": ["the server", "readers of the model", "private against"],
            "rows": {model: [*sees, holds[model]] for model, sees in seen.items()},
        },
    )
