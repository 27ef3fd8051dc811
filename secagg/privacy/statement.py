"""What a plan promises, in words that a user can hold against their own case, and the same as JSON.

What numbers give: protocol_specs/privacy-v1.md §3. Every figure is rounded against the promise. Must not know sessions.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

from secagg.parameters import ThreatModel, TopologyKind
from secagg.parameters.hypergeometric import log_tail
from secagg.privacy import gaussian
from secagg.privacy.limits import claimed
from secagg.privacy.mechanism import Noise
from secagg.privacy.promise import Promise

_WORDS: Final = ((1.0, "strong"), (4.0, "good"), (8.0, "modest"), (20.0, "weak"))
_NOTHING: Final = "says next to nothing"

_UP: Final = 1 + 2.0**-40
_LYING: Final = "a server that departs from the protocol"

COVERED_BY_NONE: Final = (
    "that a client took part",
    "what it sends outside of the plan",
    "other sessions on the same data, and settings that were tuned on it",
    "how long its computations take",
    "a server that ends sessions early: each uses up a round",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The promise of a plan to one client, over all rounds together.

    Attributes:
        model: who adds noise: "clients" (a share each), "each" (all of it) or "server".
        adversary: whom the promise holds against, in words.
        neighbours: "zero": one client's update exchanged for zeros; "replace": for any other.
        epsilon: rounded up.
        delta: of the promise.
        m: of m-GDP, rounded up: how far two normal distributions are apart that are as hard to tell.
        rounds: how many sums of this client the promise is over.
        clients: largest cohort.
        corrupt: clients of each cohort that may be on the adversary's side.
        floor: least number of clients in a sum; None where the promise needs none.
        floor_kept_by: "you" (a client refuses a smaller sum) or "the server"; None without a floor.
        right_guesses: of a hundred cases, in how many somebody who knows all else guesses right; a coin: 50.
        noise_of_mean: standard deviation of the noise of one entry in the mean of all clients, in clips; in a weighted
            mean, of clients that all have the full weight.
        eta: distance between what is drawn and what the proof speaks of, paid for in delta.
        amplification: none is used.
        weighted: whether the mean is.
        population: how many clients cohorts are drawn from; None when the plan does not say.
        population_corrupt: how many of them are corrupt.
        too_many_corrupt: probability that a random cohort has more corrupt clients than `corrupt`, rounded up; None
            without a population.
        limits: what the promise does not cover.
    """

    model: str
    adversary: str
    neighbours: str
    epsilon: float
    delta: float
    m: float
    rounds: int
    clients: int
    corrupt: int
    floor: int | None
    floor_kept_by: str | None
    right_guesses: int
    noise_of_mean: float
    eta: float
    amplification: str = "none"
    weighted: bool = False
    population: int | None = None
    population_corrupt: int | None = None
    too_many_corrupt: float | None = None
    limits: tuple[str, ...] = COVERED_BY_NONE

    @property
    def word(self) -> str:
        """What epsilon is worth, in a word."""
        return word_of(self.epsilon)

    def to_json(self) -> dict[str, Any]:
        """All fields, the word and the text, as plain data for `json.dumps`."""
        fields = dataclasses.asdict(self)
        return fields | {"limits": list(self.limits), "word": self.word, "text": str(self)}

    def __str__(self) -> str:
        rounds = "round" if self.rounds == 1 else "rounds"
        parts = [
            f"Of one client, over {self.rounds} {rounds}: epsilon = {claimed(self.epsilon)} at "
            f"delta = {claimed(self.delta)} ({self.word}), against {self.adversary}{self._floor()}.",
            self._game(),
            f"Noise in the mean of {self.clients}{' of full weight' if self.weighted else ''}: "
            f"+-{claimed(self.noise_of_mean, 3)} clips an entry (standard deviation).",
        ]
        if self.too_many_corrupt is not None:
            parts.append(
                f"At most {self.corrupt} corrupt clients is a promise about each cohort: of {self.population} clients "
                f"with {self.population_corrupt} corrupt ones, a random cohort of {self.clients} has more with a "
                f"probability of {claimed(self.too_many_corrupt, 3)}."
            )
        parts.append(f"Not covered: {'; '.join(self.limits)}.")
        return " ".join(parts)

    def _floor(self) -> str:
        if self.floor is None:
            return ""
        kept = "you check (complete graph)" if self.floor_kept_by == "you" else "only the server checks (sparse graph)"
        return f", provided each sum holds at least {self.floor} clients, which {kept}"

    def _game(self) -> str:
        question = "whether yours was there" if self.neighbours == "zero" else "which of two updates yours was"
        return (
            f"Somebody who knows all other updates and guesses {question} is right in at most {self.right_guesses} of "
            "100 cases (a coin: 50)."
        )


def word_of(epsilon: float) -> str:
    """Return what an epsilon is worth: strong up to 1, good up to 4, modest up to 8, weak up to 20, next to nothing."""
    return next((word for most, word in _WORDS if epsilon <= most), _NOTHING)


def statement_of(plan: Promise) -> Statement:
    """Return what a plan promises to one client, and what not."""
    loss = plan.target.loss(plan)
    shares = plan.noise is Noise.CLIENTS
    draws = 1 if plan.noise is Noise.SERVER else plan.clients
    more = (_LYING,) if plan.noise is not Noise.EACH and plan.threat_model is ThreatModel.SEMI_HONEST else ()
    too_many = None
    if plan.population:
        tail = log_tail(plan.population, plan.population_corrupt, plan.clients, plan.corrupt)
        too_many = min(1.0, math.exp(tail) * _UP)
    return Statement(
        model=plan.noise.value,
        adversary=_adversary(plan),
        neighbours=plan.neighbours.value,
        epsilon=plan.epsilon,
        delta=plan.delta,
        m=loss.m,
        rounds=plan.rounds,
        clients=plan.clients,
        corrupt=plan.corrupt,
        floor=plan.floor if shares else None,
        floor_kept_by=("you" if plan.topology is TopologyKind.COMPLETE else "the server") if shares else None,
        right_guesses=gaussian.right_guesses(loss.m, loss.eta),
        noise_of_mean=math.sqrt(draws * plan.variance16 / 16) / plan.grid / plan.clients,
        eta=loss.eta,
        weighted=bool(plan.weights),
        population=plan.population or None,
        population_corrupt=plan.population_corrupt if plan.population else None,
        too_many_corrupt=too_many,
        limits=(*COVERED_BY_NONE, *more),
    )


def _adversary(plan: Promise) -> str:
    if plan.noise is Noise.EACH:
        return "everybody else together, whatever they do"
    if plan.noise is Noise.SERVER:
        return "those who see only the released sum, and not against the server"
    server = "the server, even one that lies," if plan.threat_model is ThreatModel.ACTIVE else "the server"
    if not plan.corrupt:
        return server.rstrip(",")
    return f"{server} and up to {plan.corrupt} of the {plan.clients} clients together"
