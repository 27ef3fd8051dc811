"""SIREN over cells: a root check in every round, penalties for cells, and alarms as evidence (Guo et al., SoCC 2021).

Alarms do not decide whether a round is checked, as they do over single clients: the check is cheap, and what opens it
is in the hands of liars too. They allow a step back to the model before, if the root data agree that it was better. A
dirty cell is not split to find the liar: its halves are sums of fewer clients than a cell may have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.canonical import Reader, Writer
from secagg.errors import DecodeError, ParameterError
from secagg.parameters.arguments import as_real, as_whole
from secagg.robust.judges import Verdict, total_alarms
from secagg.robust.root import Evaluate, RootScores, Train, accuracy_of, check_tolerance, score_rows, trained
from secagg.robust.round import CellSums
from secagg.robust.rules import MAX_ENTRY, check_rows, check_vector, clipped_mean

_LIMIT_SHARE: Final = 0.45
_LABEL: Final = b"secagg/robust/v1 cell siren"

HARMFUL: Final = "its model scores too far below the one that the round started from"
WORSE: Final = "its model scores too far below the best"
ASTRAY: Final = "it points away from the best row, or from the server's own update"
FALLEN: Final = "no cell's model is near the best so far"
BLACKLISTED: Final = "it was rejected in too many rounds, and its clients, honest ones too, have no voice any more"
ROLLED_BACK: Final = "the round was dropped with the model it started from"


class CellSiren:
    """Judges the rounds of one run; holds what it needs of earlier ones.

    A round goes through the root check. Each rejected cell whose model scores less than 1 - tolerance of the one that
    the round started from, and each that is proven to lie, gets a penalty of 1; each that has a part loses `award`. A
    cell whose penalty has reached floor(0.45 rounds) is blacklisted: rejected to the end of the run, without a look,
    **and its honest clients with it**. Other rejections give no penalty, because a liar could bring them about for
    others: for falling behind the best cell, which may be the liar's; for the direction, which the owner of the best
    row chooses; of a round in which no cell is near the best model so far; and of one that is rolled back. A missing
    cell has neither penalty nor award. `RuleJudge("root_check")` judges alike, without a memory.

    The model goes back to the one before only if alarms reach `quorum` and the root data confirm that it scored less
    than 1 - tolerance of that; never twice in a row. When no cell is kept it stays as it is.

    Args:
        cells: K, of the partition.
        clients: n, of all cells.
        tolerance: share of the accuracy that a kept row may be below the best.
        rounds: of the run; the penalty that blacklists follows from it.
        award: what a kept cell's penalty falls by, from 0 to 1.
        train: gives the root check its direction; None takes the best row for it. Give it where the server can train on
            its root data: without it a single liar can hold up learning, see `root_check`.
        quorum: alarms that ask for a step back, above 0, at most n; None takes half of the clients.

    Raises:
        ParameterError: an argument out of its range.
    """

    def __init__(
        self,
        cells: int,
        clients: int,
        *,
        rounds: int,
        tolerance: float = 0.1,
        award: float = 0.5,
        quorum: float | None = None,
        train: Train | None = None,
    ) -> None:
        self._cells, self._clients = _at_least_one("cells", cells), _at_least_one("clients", clients)
        self._rounds = _at_least_one("rounds", rounds)
        if self._cells > self._clients:
            raise ParameterError(f"{clients} clients do not fill {cells} cells; give the numbers of one partition")
        self._tolerance = check_tolerance(tolerance)
        self._award = _within("award", award, 0, 1)
        self._quorum = self._clients / 2 if quorum is None else _within("quorum", quorum, 0, self._clients)
        if self._quorum == 0:
            raise ParameterError("quorum=0 asks for a step back without any alarm; give a number above 0")
        self._limit = max(1, math.floor(_LIMIT_SHARE * self._rounds))
        self._train = train
        self._penalties = [0.0] * self._cells
        self._previous: NDArray[np.float64] | None = None
        self._peak = 0.0

    @property
    def limit(self) -> int:
        """The penalty that blacklists a cell."""
        return self._limit

    def judge(self, model: NDArray[np.float64], sums: CellSums, evaluate: Evaluate | None = None) -> Verdict:
        """Judge one round: K + 1 evaluations at most, and one more when alarms reach the quorum.

        Args:
            model: float64 (d,), what the clients of this round started from; kept until the next round.
            sums: of `CellRound.collect`, rows as long as the model.
            evaluate: the accuracy of a model on the server's root data, the same in every round.

        Returns:
            The next model, and what became of each cell.

        Raises:
            ParameterError: arguments that do not fit each other, or `evaluate` failed; the state is as before.
        """
        if evaluate is None:
            raise ParameterError("CellSiren scores models on data of the server's own; give evaluate")
        self._check(model, sums)
        alarms = total_alarms(sums)
        score = accuracy_of(model.copy(), evaluate, "the model itself")
        asked = alarms >= self._quorum
        if asked and self._previous is not None:
            before = accuracy_of(self._previous.copy(), evaluate, "the model of the round before")
            if score < (1 - self._tolerance) * before:
                return self._roll_back(self._previous, sums, alarms)
        peak = max(self._peak, score)
        kept = np.zeros(len(sums.cells), dtype=np.bool_)
        vector, reasons = np.zeros(len(model)), dict(sums.rejected)
        if sums.cells:
            allowed = np.array([self._penalties[cell] < self._limit for cell in sums.cells])
            direction = None if self._train is None else trained(model, self._train)
            scored = score_rows(model, sums.rows, evaluate, self._tolerance, allowed, direction, score, peak)
            kept = scored.kept
            vector = clipped_mean(sums.rows, kept).vector
            harm = scored.scores < (1 - self._tolerance) * score
            out = [(cell, at) for at, cell in enumerate(sums.cells) if not kept[at]]
            reasons |= {cell: self._reason(cell, at, scored, bool(harm[at])) for cell, at in out}
        self._previous, self._peak = model.copy(), peak
        taken = tuple(cell for cell, keep in zip(sums.cells, kept, strict=True) if keep)
        self._count(taken, reasons, sums.rejected)
        return Verdict(model + vector, taken, reasons, self._shown(), False, alarms, unconfirmed=asked)

    def snapshot(self) -> bytes:
        """Return all that :meth:`restore` needs but `train`; it holds a model, and no secret of a client."""
        writer = Writer().data(_LABEL)
        for number in (self._cells, self._clients, self._rounds):
            writer.integer(number)
        reals = (self._tolerance, self._award, self._quorum, self._peak, *self._penalties)
        previous = np.zeros(0) if self._previous is None else self._previous
        return writer.data(_packed(np.array(reals))).data(_packed(previous)).finish()

    @classmethod
    def restore(cls, data: bytes, *, train: Train | None = None) -> CellSiren:
        """Return a judge that goes on where the one of the snapshot was.

        Args:
            data: what `snapshot` returned.
            train: as for the constructor; no part of a snapshot.

        Raises:
            DecodeError: not the bytes of a snapshot.
            ParameterError: a snapshot with settings or a model that cannot be.
        """
        reader = Reader(data)
        if reader.data() != _LABEL:
            raise DecodeError("these bytes are no snapshot of a CellSiren; give what snapshot() returned")
        cells, clients, rounds = reader.integer(2**32), reader.integer(2**32), reader.integer(2**32)
        reals, previous = _unpacked(reader.data(8 * (4 + cells))), _unpacked(reader.data())
        reader.finish()
        tolerance, award, quorum, peak, *penalties = reals.tolist()
        siren = cls(cells, clients, rounds=rounds, tolerance=tolerance, award=award, quorum=quorum, train=train)
        siren._peak = _within("peak", peak, 0, 1)
        siren._penalties = [_within("penalty", penalty, 0, MAX_ENTRY) for penalty in penalties]
        if len(previous):
            siren._previous = check_vector("model", previous)
        return siren

    def _check(self, model: NDArray[np.float64], sums: CellSums) -> None:
        check_vector("model", model, sums.rows.shape[1])
        if self._previous is not None and len(self._previous) != len(model):
            raise ParameterError(
                f"model has {len(model)} entries, and that of the round before had {len(self._previous)}; a CellSiren "
                "judges the rounds of one model"
            )
        if sums.cells:
            check_rows(sums.rows)
        for cell in (*sums.cells, *sums.rejected, *sums.missing):
            if not 0 <= cell < self._cells:
                raise ParameterError(
                    f"the sums name cell {cell}, and there are cells 0 .. {self._cells - 1}; penalties belong to the "
                    "cells of one partition, so make a new CellSiren for a new one"
                )

    def _roll_back(self, previous: NDArray[np.float64], sums: CellSums, alarms: float) -> Verdict:
        # Without a model before, the next round cannot go back either.
        self._previous = None
        reasons = dict.fromkeys(sums.cells, ROLLED_BACK) | dict(sums.rejected)
        return Verdict(previous, (), reasons, self._shown(), True, alarms, unconfirmed=False)

    def _reason(self, cell: int, row: int, scored: RootScores, harmful: bool) -> str:
        if self._penalties[cell] >= self._limit:
            return BLACKLISTED
        if scored.fallen:
            return FALLEN
        if harmful:
            return HARMFUL
        return ASTRAY if scored.good[row] else WORSE

    def _count(self, kept: tuple[int, ...], reasons: Mapping[int, str], proven: Mapping[int, str]) -> None:
        for cell in kept:
            self._penalties[cell] = max(0.0, self._penalties[cell] - self._award)
        for cell, reason in reasons.items():
            if cell in proven or reason == HARMFUL:
                self._penalties[cell] += 1

    def _shown(self) -> dict[int, float]:
        return dict(enumerate(self._penalties))


def _packed(reals: NDArray[np.float64]) -> bytes:
    return reals.astype("<f8").tobytes()


def _unpacked(data: bytes) -> NDArray[np.float64]:
    if len(data) % 8:
        raise DecodeError(f"{len(data)} bytes are no whole number of float64; give what snapshot() returned")
    return np.frombuffer(data, dtype="<f8").astype(np.float64)


def _at_least_one(name: str, value: int) -> int:
    whole = as_whole(value)
    if whole is None or whole < 1:
        raise ParameterError(f"{name}={value!r:.40} is no number of them; give a whole number of at least 1")
    return whole


def _within(name: str, value: float, low: float, high: float) -> float:
    real = as_real(value)
    if real is None or not low <= real <= high:
        raise ParameterError(f"{name}={value!r:.40} is outside {low} .. {high:g}; give a number inside")
    return real
