"""NO SECURITY: what the report on privacy shows, measured: attacks on sums, audits, budgets and accuracy.

Everything comes from the library's own code on scikit-learn's digits, and everything that is shown is in `numbers` of
a section, as plain data: pictures and page are made from them alone. Must not know how they are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any, Final

import numpy as np

from secagg.errors import ParameterError
from secagg.privacy import gaussian
from secagg.privacy.lab.audit import LEAST_TRIALS, Audit, audit, audit_plan
from secagg.privacy.lab.digits import Digits, Reals, load_digits
from secagg.privacy.lab.faults import Fault
from secagg.privacy.lab.inversion import (
    Identified,
    identification,
    identification_by_insider,
    read_picture,
    seen_by_insider,
    update_of_one,
)
from secagg.privacy.lab.models import Model, softmax_regression
from secagg.privacy.lab.training import CLIPS, Row, Task, digits_plan, row_of, tasks
from secagg.privacy.limits import Limit, total_of
from secagg.privacy.mechanism import Neighbours, Noise
from secagg.privacy.plan import Plan

CLIENTS: Final = 100
VICTIM: Final = 7
_CLIP: Final = 1.0
COLUMNS: Final = (Noise.CLIENTS, Noise.EACH, Noise.SERVER)
_AUDITED_FAULT: Final = Fault.HALF_NOISE

OnStep = Callable[[int, int], None]
"""Called with (measurements done, measurements)."""

Numbers = dict[str, Any]
_Job = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, and how carefully.

    Attributes:
        epsilon: of the plan that the report is about.
        delta: beside it, below 1 / 100.
        rounds: of the plan.
        epsilons: that accuracy and audits are shown for, beside that of the plan.
        cohorts: sizes of the sums that are attacked; 1, and the 100 of the plan, are always among them.
        tries: sums that are attacked, each size.
        trials: of each audit.
        seeds: federations that accuracy is the mean of.
        clips: of which the best is taken.
    """

    epsilon: float = 8.0
    delta: float = 1e-5
    rounds: int = 15
    epsilons: tuple[float, ...] = (1.0, 4.0, 8.0)
    cohorts: tuple[int, ...] = (2, 5, 10, 20, 50)
    tries: int = 200
    trials: int = 5000
    seeds: int = 3
    clips: tuple[float, ...] = CLIPS

    def __post_init__(self) -> None:
        if self.tries < 1 or self.seeds < 1 or self.trials < LEAST_TRIALS or self.trials % 2:
            raise ParameterError(
                f"tries={self.tries}, seeds={self.seeds}, trials={self.trials}; give at least 1, 1, and an even number "
                f"from {LEAST_TRIALS} on"
            )

    @property
    def shown_epsilons(self) -> tuple[float, ...]:
        """All of them, the plan's included, ascending."""
        return tuple(sorted({*self.epsilons, self.epsilon}))

    @property
    def sums(self) -> tuple[int, ...]:
        """Sizes of attacked sums, ascending."""
        return tuple(sorted({1, *self.cohorts, CLIENTS}))


QUICK: Final = Settings(
    rounds=3, epsilons=(4.0,), cohorts=(2, 10), tries=10, trials=LEAST_TRIALS, seeds=1, clips=(1.0,)
)


def measure(settings: Settings, workers: int = 1, on_step: OnStep | None = None) -> dict[str, Numbers]:
    """Measure everything; returns the numbers of each picture by its name.

    Args:
        settings: what, and how carefully.
        workers: processes that measure, at least 1; with more than one the main module is imported by each.
        on_step: told how far it is.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        ParameterError: no plan has these parameters, or no worker.
    """
    if workers < 1:
        raise ParameterError(f"workers={workers}; give at least 1")
    plan = plan_of(settings)
    digits, model = load_digits(), attacked_model()
    # The whole budget in one sum: what an attacker has who averages all rounds of an update that stays the same.
    at_once = digits_plan(settings.epsilon, settings.delta, _CLIP, Noise.CLIENTS)
    common = (settings.delta, settings.clips, settings.seeds, settings.rounds)
    rows: list[_Job] = [(_row, (task, *common)) for task in tasks(settings.shown_epsilons)]
    audits: list[_Job] = [
        (_audited, (epsilon, settings.delta, settings.trials, None)) for epsilon in settings.shown_epsilons
    ]
    audits.append((_audited, (settings.epsilon, settings.delta, settings.trials, _AUDITED_FAULT)))
    found: list[_Job] = [(_identified, (size, settings.tries)) for size in settings.sums]
    found.append((_insider, (at_once, settings.tries)))
    done = _results([*rows, *audits, *found], workers, on_step)
    measured_rows: list[Row] = done[: len(rows)]
    measured_audits: list[Audit] = done[len(rows) : len(rows) + len(audits)]
    identified: list[Identified] = done[len(rows) + len(audits) :]
    return {
        "strip": strip(digits, model, at_once, settings.sums, identified),
        "guesses": guesses(len(digits), at_once, identified),
        "coin": coin(settings.shown_epsilons, plan),
        "budget": budget(plan),
        "audit": audited(measured_audits),
        "accuracy": accuracies(measured_rows, settings),
        "models": models(settings, measured_rows),
    }


def plan_of(settings: Settings) -> Plan:
    """The plan that a report is about: shares of noise, 100 clients of whom 80 stay and 5 may be corrupt.

    Raises:
        ParameterError: no plan has these parameters.
    """
    return digits_plan(settings.epsilon, settings.delta, _CLIP, Noise.CLIENTS, rounds=settings.rounds)


def attacked_model() -> Model:
    """The global model at which clients' gradients are attacked."""
    return softmax_regression(0.05, 3)


def strip(digits: Digits, model: Model, plan: Plan, sums: Iterable[int], identified: list[Identified]) -> Numbers:
    """Return what an attacker reads of one client's picture from sums of several sizes.

    Args:
        digits: everybody's pictures.
        model: the global model.
        plan: of one sum.
        sums: sizes; of those between 2 and all clients the smallest and 10 are taken.
        identified: rates by size, and last the insider's with noise.
    """
    label, rates = int(digits.labels[VICTIM]), {each.cohort: each for each in identified[:-1]}
    others = np.random.default_rng(3).permutation(np.delete(np.arange(len(digits)), VICTIM))
    mine = update_of_one(model, digits, VICTIM, plan.clip)
    total, seen = mine, {1: mine}
    for size, other in enumerate(others[: CLIENTS - 1].tolist(), start=2):
        total = total.plus(update_of_one(model, digits, other, plan.clip))
        seen[size] = total
    left = total
    for other in others[: CLIENTS - 1].tolist():
        left = left.plus(update_of_one(model, digits, other, plan.clip), -1.0)
    between = [size for size in sums if size in (2, 10)]
    tiles = [_tile("picture", 0, digits.images[VICTIM], None)]
    tiles += [
        _tile("sum", size, read_picture(seen[size].layers[0], label), rates[size]) for size in (1, *between, CLIENTS)
    ]
    # Taking off what is known leaves the one update, so that its rate is that of one update.
    tiles.append(_tile("insider", CLIENTS, read_picture(left.layers[0], label), rates[1]))
    noisy = seen_by_insider(model, digits, plan, VICTIM)
    tiles.append(_tile("noise", CLIENTS, read_picture(noisy.layers[0], label), identified[-1]))
    return {"of": len(digits), "label": label, "epsilon": plan.epsilon, "delta": plan.delta, "tiles": tiles}


def guesses(pictures: int, plan: Plan, identified: list[Identified]) -> Numbers:
    """Return how often the right picture is picked out of all, by the size of the sum."""
    with_noise = identified[-1]
    bars = [{"sum": each.cohort, "tries": each.tries, "right": each.right} for each in identified[:-1]]
    return {
        "of": pictures,
        "epsilon": plan.epsilon,
        "delta": plan.delta,
        "sums": bars,
        # As above: without noise, what is left is one update.
        "insider": {"tries": identified[0].tries, "right": identified[0].right},
        "insider_with_noise": {"tries": with_noise.tries, "right": with_noise.right},
    }


def coin(epsilons: Iterable[float], plan: Plan) -> Numbers:
    """Return in how many of a hundred cases a guess about one client is right at most, for the plan and beside it."""
    games = []
    for epsilon in epsilons:
        own = epsilon == plan.epsilon
        m = plan.statement.m if own else gaussian.calibrate(epsilon, plan.delta)
        games.append({"epsilon": epsilon, "m": m, "right": gaussian.right_guesses(m), "plan": own})
    return {"delta": plan.delta, "rounds": plan.rounds, "games": games}


def budget(plan: Plan) -> Numbers:
    """Return what a client's budget for exactly this plan has spent after each round, and what one more would be."""
    limit = Limit(plan.epsilon, plan.delta)
    cost = limit.cost(plan)
    spent = [total_of([cost] * rounds) for rounds in range(1, plan.rounds + 2)]
    return {
        "limit": limit.epsilon,
        "delta": limit.delta,
        "m_round": math.sqrt(cost.m2),
        "rounds": [
            {"round": number, "epsilon": total.epsilon(limit.delta), "granted": limit.holds(total)}
            for number, total in enumerate(spent, start=1)
        ],
    }


def audited(audits: Iterable[Audit]) -> Numbers:
    """Return what was promised beside what was found."""
    return {
        "bars": [
            {
                "claimed": each.best.claimed_epsilon,
                "measured": each.best.epsilon if math.isfinite(each.best.epsilon) else None,
                "fault": None if each.fault is None else each.fault.value,
                "exceeded": bool(each.exceeded),
                "trials": each.trials,
                "delta": each.delta,
                "confidence": each.confidence,
            }
            for each in audits
        ]
    }


def accuracies(rows: Iterable[Row], settings: Settings) -> Numbers:
    """Return accuracy on test digits by who adds noise and epsilon."""
    return {
        "clients": CLIENTS,
        "rounds": settings.rounds,
        "delta": settings.delta,
        "seeds": settings.seeds,
        "clips": list(settings.clips),
        "rows": [asdict(row) | {"noise": None if row.noise is None else row.noise.value} for row in rows],
    }


def models(settings: Settings, rows: Iterable[Row]) -> Numbers:
    """Return who sees what in each model at the plan's epsilon, as a table: questions, and an answer and verdict each.

    A verdict is "yes" (the promise holds), "partly", "no", or None where the question is of another kind.
    """
    right = {
        row.noise: round(100 * row.accuracy) for row in rows if row.epsilon == settings.epsilon and not row.dropouts
    }
    statements = {
        noise: digits_plan(settings.epsilon, settings.delta, _CLIP, noise, rounds=settings.rounds).statement
        for noise in COLUMNS
    }
    corrupt = statements[Noise.CLIENTS].corrupt
    times = statements[Noise.EACH].noise_of_mean / statements[Noise.CLIENTS].noise_of_mean
    questions: list[tuple[str, list[tuple[str, str | None]]]] = [
        (
            "your device sends, masked",
            [
                ("your update and\na share of noise", None),
                ("your update and\nall of the noise", None),
                ("your update", None),
            ],
        ),
        (
            "the server sees",
            [
                ("the sum with noise", None),
                (f"the sum with\n{times:.0f} times the noise", None),
                ("the sum\nwithout noise", None),
            ],
        ),
        (
            "readers of the model see",
            [
                ("the sum with noise", None),
                (f"the sum with\n{times:.0f} times the noise", None),
                ("the sum with noise", None),
            ],
        ),
        ("does the promise hold\nagainst the server?", [("yes", "yes"), ("yes", "yes"), ("no", "no")]),
        (
            "... when clients help it?",
            [(f"yes, up to {corrupt}\nof {CLIENTS}", "yes"), ("yes, however many", "yes"), ("no", "no")],
        ),
        (
            "... when it does not\nfollow the rules?",
            [("only in the\nactive model", "partly"), ("yes", "yes"), ("no", "no")],
        ),
        ("... against readers\nof the model?", [("yes", "yes"), ("yes", "yes"), ("yes", "yes")]),
        (
            f"digits read right, of 100\n(at \u03b5 = {settings.epsilon:g})",
            [(str(right[noise]), None) for noise in COLUMNS],
        ),
    ]
    return {
        "epsilon": settings.epsilon,
        "delta": settings.delta,
        "columns": [noise.value for noise in COLUMNS],
        "adversaries": [statements[noise].adversary for noise in COLUMNS],
        "noise_of_mean": [statements[noise].noise_of_mean for noise in COLUMNS],
        "right": [right[noise] for noise in COLUMNS],
        "rows": [
            {"question": question, "answers": [{"text": text, "verdict": verdict} for text, verdict in answers]}
            for question, answers in questions
        ],
    }


def _tile(kind: str, size: int, picture: Reals, found: Identified | None) -> Numbers:
    """One picture, cut to black and white, with how often such a picture is the right one."""
    pixels = np.abs(np.clip(picture, 0.0, 1.0)).round(4).tolist()  # no minus before a zero
    counts = {"tries": None, "right": None} if found is None else {"tries": found.tries, "right": found.right}
    return {"kind": kind, "sum": size, "pixels": pixels} | counts


def _row(task: Task, delta: float, clips: tuple[float, ...], seeds: int, rounds: int) -> Row:
    return row_of(task, load_digits(), delta=delta, clips=clips, seeds=seeds, clients=CLIENTS, rounds=rounds)


def _audited(epsilon: float, delta: float, trials: int, fault: Fault | None) -> Audit:
    return audit(audit_plan(epsilon, delta, neighbours=Neighbours.ZERO), trials, fault=fault)


def _identified(size: int, tries: int) -> Identified:
    return identification(attacked_model(), load_digits(), size, tries, clip=_CLIP, seed=size)


def _insider(plan: Plan, tries: int) -> Identified:
    return identification_by_insider(attacked_model(), load_digits(), plan, tries, seed=0)


def _results(jobs: list[_Job], workers: int, on_step: OnStep | None) -> list[Any]:
    """What every job returns, in their order."""

    def step(done: int) -> None:
        if on_step is not None:
            on_step(done, len(jobs))

    if workers == 1:
        results = []
        for number, (job, given) in enumerate(jobs, start=1):
            results.append(job(*given))
            step(number)
        return results
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(job, *given) for job, given in jobs]
        for number, _ in enumerate(as_completed(futures), start=1):
            step(number)
        return [future.result() for future in futures]
