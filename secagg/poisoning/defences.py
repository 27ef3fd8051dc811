"""NO SECURITY: what the server makes of the rows it sees: the rules of `secagg.robust`, and published ones beside them.

Rows are cells' means, single updates (setting "clear") or one mean of all ("one session"). Over cells come first the
checks of `secagg.robust` on a sum: whose mean is longer than an honest one can be is left out.

Rules that ask how many rows may lie (`b`) are given the true number, or the most that their condition allows for so
many rows, whichever is less: with more liars the condition is broken, which the public rules refuse when asked openly.
The harness does not ask them openly, since it is there to measure what happens then. Fewer rows than a rule works with
at all are averaged.

`root_check` and `cell_siren` take the best row for the direction, with `_trained` what training on the root data gives.

Only here: `dnc` (Shejwalkar and Houmansadr, NDSS 2021, Algorithm 2) and `siren` in clear, and `rfa` (Pillutla et al.
2022), whose weighted means are of one whole cohort. In `siren_clipped` honest clients clip their updates, as with every
other defence; as published they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.parameters.vectors import FixedPoint
from secagg.poisoning.attacks import Reals
from secagg.poisoning.models import Learning, Network
from secagg.poisoning.siren import Siren
from secagg.poisoning.tasks import Examples
from secagg.robust import CellSums
from secagg.robust.rfa import WEIGHT, RfaClient, RfaServer
from secagg.robust.root import fltrust, root_check
from secagg.robust.rules import (
    RuleResult,
    geometric_median,
    mean,
    median,
    multi_krum,
    norm_clipped_mean,
    trimmed_mean,
)
from secagg.robust.sanity import proof_against
from secagg.robust.siren import CellSiren
from secagg.robust.sizing import most_dirty
from secagg.session.ledger import MemoryLedger
from secagg.testing.randomness import DeterministicRandomSource

Flags = NDArray[np.bool_]

_FILTER: Final = 1.5
_DNC_STEPS: Final = 5
_DNC_ENTRIES: Final = 1000
_RFA_CLIP: Final = 0.5
RFA_NU: Final = 0.2
"""A tenth of the bound of norms: nearer than honest updates are to each other."""
_UPDATE: Final = "update"
_ROUNDING: Final = 1.0 + 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """What a server has for a whole run.

    Attributes:
        network: the model's shape.
        root: its own examples.
        learning: how it trains on them, as clients do.
        numbers: for that and for `dnc`.
        clients: how many there are.
        rounds: of the run.
        tolerance: C_s.
        clip: C, the norm that honest clients keep to; None where noise makes means longer.
        cells: how many there are.
    """

    network: Network
    root: Examples
    learning: Learning
    numbers: np.random.Generator
    clients: int
    rounds: int
    tolerance: float
    clip: float | None
    cells: int

    def evaluate(self, model: Reals) -> float:
        """Return the accuracy of one model on the root data."""
        return float(self.network.accuracy(model[None].astype(np.float32), self.root)[0])

    def evaluate_all(self, models: Reals) -> Reals:
        """Return the accuracies of many, (models,)."""
        return self.network.accuracy(models.astype(np.float32), self.root)

    def update(self, model: Reals) -> Reals:
        """Return what training on the root data makes of a model, less the model."""
        own = Examples(self.root.inputs[None], self.root.labels[None])
        trained = self.network.train(model.astype(np.float32), own, self.learning, self.numbers)
        return np.asarray(trained[0] - model)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a server sees in one round, and what only the harness knows.

    Attributes:
        model: that the clients began from, (length,).
        rows: (rows, length).
        dirty: which rows hold a liar; for `b` only.
        cells: the cell of each row.
        proven: cell to why its sum was left out.
        alarming: who raised an alarm (SIREN).
        lying: whether liars claim the largest weight (RFA).
    """

    model: Reals
    rows: Reals
    dirty: Flags
    cells: tuple[int, ...]
    proven: Mapping[int, str]
    alarming: Flags
    lying: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a defence made of a round.

    Attributes:
        model: the next one.
        kept: which rows are in it; None for a defence that leaves none out.
    """

    model: Reals
    kept: Flags | None


Defence = Callable[[Seen], Outcome]
_Rule = Callable[[Reals, int], RuleResult]


def _with_b(name: str, rule: Callable[[Reals, int], RuleResult]) -> _Rule:
    """A rule that is told how many rows lie, as far as its condition allows."""

    def told(rows: Reals, dirty: int) -> RuleResult:
        most = most_dirty(name, len(rows))
        return mean(rows) if most < 0 else rule(rows, min(dirty, most))

    return told


def _untold(rule: Callable[[Reals], RuleResult]) -> _Rule:
    return lambda rows, dirty: rule(rows)


RULES: Final[Mapping[str, _Rule]] = {
    "mean": _untold(mean),
    "norm_clipped_mean": _untold(norm_clipped_mean),
    "median": _untold(median),
    "trimmed_mean": _with_b("trimmed_mean", trimmed_mean),
    "geometric_median": _untold(geometric_median),
    "multi_krum": _with_b("multi_krum", multi_krum),
}
_JUDGING: Final = ("multi_krum",)
SIRENS: Final = ("siren", "siren_clipped")
_TRAINED: Final = ("root_check_trained", "cell_siren_trained")
DEFENCES: Final = (*RULES, "dnc", "fltrust", "root_check", "cell_siren", *_TRAINED, *SIRENS, "rfa")
"""Every name of a defence."""
_ONLY_IN_CLEAR: Final = ("dnc", *SIRENS)
_ONLY_OVER_CELLS: Final = ("cell_siren", "cell_siren_trained")


def defence_of(name: str, setting: str, server: Server) -> Defence:
    """Return a defence for one run; it may remember from round to round.

    Raises:
        ParameterError: an unknown name, or a setting that it is not made for.
    """
    if name not in DEFENCES:
        raise ParameterError(f"there is no defence {name!r}; choose from {', '.join(DEFENCES)}")
    wanted = "clear" if name in _ONLY_IN_CLEAR else "cells" if name in _ONLY_OVER_CELLS else setting
    if name == "rfa":
        wanted = "one session"
    if setting != wanted:
        raise ParameterError(f"defence {name!r} is for setting {wanted!r}, not {setting!r}")
    made: Defence
    if name in RULES:
        made = partial(_by_rule, RULES[name], name in _JUDGING)
    elif name in SIRENS:
        siren = Siren(server.clients, server.rounds, server.tolerance)
        made = partial(_siren, siren, server)
    elif name in _ONLY_OVER_CELLS:
        train = server.update if name in _TRAINED else None
        judge = CellSiren(server.cells, server.clients, rounds=server.rounds, tolerance=server.tolerance, train=train)
        made = partial(_cell_siren, judge, server)
    elif name in ("root_check", "root_check_trained"):
        made = partial(_root_check, server, name in _TRAINED)
    elif name == "rfa":
        made = _Rfa(server)
    else:
        made = partial({"dnc": _dnc, "fltrust": _fltrust}[name], server)
    return partial(_bounded, made, server.clip) if setting == "cells" else made


def _bounded(defence: Defence, clip: float | None, seen: Seen) -> Outcome:
    """Leave out rows that are longer than the mean of honest updates can be, and ask the defence about the others."""
    largest = None if clip is None else clip * _ROUNDING
    proofs = {cell: proof_against({}, 0, row, largest) for cell, row in zip(seen.cells, seen.rows, strict=True)}
    proven = {cell: proof for cell, proof in proofs.items() if proof is not None}
    kept = np.array([cell not in proven for cell in seen.cells])
    if not kept.any():
        return Outcome(seen.model, kept)
    cells = tuple(cell for cell in seen.cells if cell not in proven)
    outcome = defence(replace(seen, rows=seen.rows[kept], dirty=seen.dirty[kept], cells=cells, proven=proven))
    if outcome.kept is not None:
        kept[kept] = outcome.kept
    return Outcome(outcome.model, kept)


def _by_rule(rule: _Rule, judging: bool, seen: Seen) -> Outcome:
    result = rule(seen.rows, int(seen.dirty.sum()))
    return Outcome(seen.model + result.vector, result.kept if judging else None)


def _fltrust(server: Server, seen: Seen) -> Outcome:
    result = fltrust(seen.rows, server.update(seen.model))
    return Outcome(seen.model + result.vector, result.kept)


def _root_check(server: Server, trained: bool, seen: Seen) -> Outcome:
    direction = server.update(seen.model) if trained else None
    result = root_check(seen.model, seen.rows, server.evaluate, tolerance=server.tolerance, direction=direction)
    return Outcome(seen.model + result.vector, result.kept)


def _siren(siren: Siren, server: Server, seen: Seen) -> Outcome:
    accuracies = server.evaluate_all(seen.model + seen.rows)
    model, taken = siren.judge(seen.model, seen.rows, accuracies, seen.alarming)
    return Outcome(model, taken)


def _cell_siren(judge: CellSiren, server: Server, seen: Seen) -> Outcome:
    """Without alarms: no client raises any, and a quorum is a matter of operators."""
    verdict = judge.judge(seen.model, CellSums(seen.rows, seen.cells, {}, seen.proven, ()), server.evaluate)
    return Outcome(verdict.model, np.isin(seen.cells, verdict.kept))


def _dnc(server: Server, seen: Seen) -> Outcome:
    """Divide and conquer: rows that stand out along the largest singular direction of a random part go."""
    rows, dirty = seen.rows, int(seen.dirty.sum())
    good = np.ones(len(rows), dtype=bool)
    leave = min(int(_FILTER * dirty), len(rows) - 1)
    for _ in range(_DNC_STEPS):
        columns = server.numbers.permutation(rows.shape[1])[:_DNC_ENTRIES]
        part = rows[:, columns] - rows[:, columns].mean(axis=0)
        # The singular direction's projections, from the small product.
        values, vectors = np.linalg.eigh(part @ part.T)
        projections = values[-1] * vectors[:, -1] ** 2
        order = np.argsort(projections, kind="stable")
        good[order[len(rows) - leave :]] = False
    vector = rows[good].mean(axis=0) if good.any() else np.zeros(rows.shape[1])
    return Outcome(seen.model + vector, good)


@dataclass(frozen=True, slots=True, eq=False)
class _Mean:
    vectors: Mapping[str, Reals]
    contributors: tuple[int, ...]


class _Rfa:
    """RFA's own server and clients without their sessions: these would give the same weighted means."""

    def __init__(self, server: Server) -> None:
        self._vectors = {_UPDATE: FixedPoint(server.network.length, clip=_RFA_CLIP, aggregate="mean")}
        self._randomness = DeterministicRandomSource(server.rounds)
        self._rounds = 0

    def __call__(self, seen: Seen) -> Outcome:
        context = b"round %d" % self._rounds
        source = self._randomness.fork(self._rounds)
        self._rounds += 1
        server = RfaServer(len(seen.rows), self._vectors, nu=RFA_NU, context=context)
        clients = [
            RfaClient(each, {_UPDATE: row}, context=context, randomness=source.fork(each), ledger=MemoryLedger())
            for each, row in enumerate(seen.rows)
        ]
        while (parameters := server.parameters) is not None:
            said = [each.admit(parameters, step=server.step, nu=server.nu, point=server.point) for each in clients]
            weights = np.array(said, dtype=np.float64)
            if seen.lying:
                weights[seen.dirty] = WEIGHT
            server.collect(_Mean({_UPDATE: weights @ seen.rows / weights.sum()}, parameters.cohort))
        return Outcome(seen.model + server.point[_UPDATE], None)
