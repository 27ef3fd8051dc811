"""NO SECURITY: what the sums of many rounds tell about single clients, by who is summed with whom.

Updates of one client resemble each other, so that sums of many rounds are equations in 'what this client usually
sends'. An attacker who sees every sum solves them by ridge regression, with the better of two penalties, and guesses
which labels a client has. It has an easy time of it: no noise, two labels a client, and data that stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.poisoning.models import Learning, network_of
from secagg.poisoning.results import LeakRow
from secagg.poisoning.tasks import Examples, load_task
from secagg.robust import Disclosure, Partition

CLIENTS: Final = 50
ROUNDS: Final = 25
LONG: Final = 100
_WARM: Final = 5
_DRAWS: Final = 3
_LABELS: Final = 2
_EXAMPLES: Final = 40
_LEARNING: Final = Learning(epochs=1, batch=20, rate=0.1)
_PENALTIES: Final = (0.1, 1.0)  # less where sums are nearly exact, more where there are as many as clients
_DIGITS: Final = 12

Reals = NDArray[np.float64]
Bits = NDArray[np.bool_]
Sums = Iterator[tuple[int, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Discipline:
    """Who is summed with whom.

    Attributes:
        name: for people.
        g: clients of a sum when nobody is away.
        rounds: whose sums are seen.
        dropout: chance of a client to be away from a round.
        whole: there is no sum when one of its clients is away; else there is one of whoever is left, two at least.
        partitions: how many partitions of the clients follow each other; 0 for another every round.
        union: cells that a sum joins, others every round; their sizes are g / union.
    """

    name: str
    g: int
    rounds: int = ROUNDS
    dropout: float = 0.0
    whole: bool = True
    partitions: int = 1
    union: int = 1

    def sums(self, numbers: np.random.Generator) -> Sums:
        """Draw who is in the sums: (round from 0 on, clients)."""
        seed = numbers.bytes(32)
        for number in range(self.rounds):
            cells = self._cells(seed, epoch=number * (self.partitions or self.rounds) // self.rounds)
            order = numbers.permutation(len(cells)) if self.union > 1 else np.arange(len(cells))
            present = numbers.random(CLIENTS) >= self.dropout
            for joined in order.reshape(-1, self.union).tolist():
                members = [client for cell in joined for client in cells[cell]]
                left = tuple(client for client in members if present[client])
                if len(left) == len(members) or (not self.whole and len(left) > 1):
                    yield number, left

    def _cells(self, seed: bytes, epoch: int) -> Sequence[Sequence[int]]:
        if self.g == 1:
            return [(client,) for client in range(CLIENTS)]
        return Partition.draw(CLIENTS, size=self.g // self.union, seed=seed, epoch=epoch).cells


@dataclass(frozen=True, slots=True, eq=False)
class Federation:
    """What clients sent, and what an attacker wants to know.

    Attributes:
        labels: bool, (clients, 10): which a client has.
        updates: float64, (rounds, clients, 10): the part of each update that moves the last biases.
    """

    labels: Bits
    updates: Reals


def _over_time(each: Discipline) -> tuple[Discipline, ...]:
    return tuple(replace(each, rounds=rounds) for rounds in (1, 2, 5, 10, ROUNDS, 50, LONG))


ALL: Final = (
    *(Discipline("one round alone", g, rounds=1) for g in (1, 2, 5, 10, 25, CLIENTS)),
    Discipline("fixed cells, all or nothing", 5),
    Discipline("fixed cells, all or nothing", 5, dropout=0.05),
    *_over_time(Discipline("fixed cells, all or nothing", 5, dropout=0.1)),
    Discipline("two fixed cells, joined anew every round", 10, union=2),
    Discipline("regrouped once", 5, partitions=2),
    Discipline("regrouped twice", 5, partitions=3),
    Discipline("regrouped three times", 5, partitions=4),
    *_over_time(Discipline("regrouped every round", 5, partitions=0)),
    Discipline("fixed cells, whoever is left", 5, dropout=0.02, whole=False),
    Discipline("fixed cells, whoever is left", 5, dropout=0.05, whole=False),
    *_over_time(Discipline("fixed cells, whoever is left", 5, dropout=0.1, whole=False)),
    Discipline("fixed cells, all or nothing", 10),
    Discipline("regrouped once", 10, partitions=2),
    Discipline("regrouped twice", 10, partitions=3),
    *_over_time(Discipline("one cohort, whoever is left", CLIENTS, dropout=0.1, whole=False)),
)
"""What a full run measures."""


def rows(quick: bool, seed: int) -> tuple[LeakRow, ...]:
    """Measure every discipline; a quick run leaves out what takes more than 25 rounds.

    Args:
        quick: whether it is a quick run.
        seed: of data, first model and partitions.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    disciplines = [each for each in ALL if each.rounds <= (ROUNDS if quick else LONG)]
    federation = federate(_WARM + max(each.rounds for each in disciplines), seed)
    return tuple(told(federation, each, seed) for each in disciplines)


def federate(rounds: int, seed: int) -> Federation:
    """Let clients with 40 digits of two labels each learn together, all of them in every round.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    task = load_task("digits", 1, seed)
    inputs, labels = task.training.inputs[0], task.training.labels[0]
    numbers = np.random.default_rng((seed, CLIENTS))
    has = np.zeros((CLIENTS, task.classes), dtype=np.bool_)
    mine = np.empty((CLIENTS, _EXAMPLES), dtype=np.int64)
    for client in range(CLIENTS):
        own = numbers.choice(task.classes, _LABELS, replace=False)
        has[client, own] = True
        mine[client] = numbers.choice(np.flatnonzero(np.isin(labels, own)), _EXAMPLES, replace=False)
    examples, network = Examples(inputs[mine], labels[mine]), network_of(task)
    model, updates = network.initial(seed), np.empty((rounds, CLIENTS, task.classes))
    for number in range(rounds):
        sent = network.train(model, examples, _LEARNING, numbers) - model
        updates[number] = sent[:, -task.classes :]
        model = model + sent.mean(axis=0)
    return Federation(has, updates)


def told(federation: Federation, discipline: Discipline, seed: int) -> LeakRow:
    """Attack the sums of a discipline, over a few partitions; the mean of what that gave."""
    found = [_attacked(federation, discipline, np.random.default_rng((seed, draw))) for draw in range(_DRAWS)]
    rank, auc, cosine, atom = np.mean(found, axis=0).round(4).tolist()
    return LeakRow(
        g=discipline.g,
        discipline=discipline.name,
        dropout=discipline.dropout,
        rounds=discipline.rounds,
        rank=rank,
        auc=auc,
        cosine=cosine,
        smallest_atom=atom,
        seed=seed,
    )


def _attacked(
    federation: Federation, discipline: Discipline, numbers: np.random.Generator
) -> tuple[float, float, float, float]:
    """Rank of the equations, how good guesses are, how near the solution is, and the smallest atom."""
    disclosure = Disclosure(CLIENTS, floor=1)
    members, seen = [], []
    for number, clients in discipline.sums(numbers):
        disclosure.admit(clients, number)
        members.append(np.isin(np.arange(CLIENTS), clients))
        seen.append(federation.updates[_WARM + number, list(clients)].sum(axis=0))
    equations, usual = np.array(members, dtype=np.float64), federation.updates[_WARM : _WARM + discipline.rounds]
    solutions = [solve(equations, np.array(seen), penalty) for penalty in _PENALTIES]
    best = max(solutions, key=lambda found: auc(found, federation.labels))
    summary = disclosure.summary()
    return summary.rank, auc(best, federation.labels), cosine(best, usual.mean(axis=0)), summary.smallest_atom


def solve(members: Reals, sums: Reals, penalty: float) -> Reals:
    """Return what each client usually sends, (clients, values), as far as sums tell: ridge regression.

    Args:
        members: (sums, clients), 1 where a client is in a sum.
        sums: (sums, values).
        penalty: of the length of a solution, above 0.
    """
    clients = members.shape[1]
    equations = np.vstack([members, penalty * np.eye(clients)])
    return np.asarray(np.linalg.lstsq(equations, np.vstack([sums, np.zeros((clients, sums.shape[1]))]), rcond=None)[0])


def auc(scores: Reals, truth: Bits) -> float:
    """Return the chance that something true has a higher score than something false; a tie is half of one."""
    flat = truth.ravel()
    # Members of a cell have the same score, but for the last bits.
    _, place, count = np.unique(scores.ravel().round(_DIGITS), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    true = int(flat.sum())
    return float((ranks[flat].sum() - true * (true + 1) / 2) / (true * (len(flat) - true)))


def cosine(found: Reals, truth: Reals) -> float:
    """Return the cosine between two tables of clients, each less the mean of all clients; 0 where all are alike."""
    one, other = found - found.mean(axis=0), truth - truth.mean(axis=0)
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / length if np.linalg.norm(one) > 10.0**-_DIGITS else 0.0
