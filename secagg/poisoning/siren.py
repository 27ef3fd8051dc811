"""NO SECURITY, NO PRIVACY: SIREN over single updates in clear, as its authors' code has it.

Siren: Byzantine-robust Federated Learning via Proactive Alarming (Guo et al., SoCC 2021), and SIREN+ (TDSC 2024), whose
published code (github.com/AISIGSJTU/Siren-Plus) shares the detection; SIREN+ adds differential privacy to what honest
clients train. Settings there: 10 clients, 40 rounds, client tolerance 0.04, server tolerance 0.1, 100 root examples, a
limit of floor(0.45 * rounds) penalties, an award of 0.5.

A client keeps examples apart. From the second round on it compares its *own* model of the round before with the global
one on them; if its own is better by more than the tolerance it raises an alarm, and trains from its own model instead
of the global one. The server judges updates on its root data, which of them it looks at depends on who alarms:

| alarms of clients below the limit | what is rejected |
|---|---|
| none | nothing |
| one | all that are less accurate than (1 - tolerance) times the best, or not at an acute angle to it |
| more, some alarming one is bad (against the best alarming one) | the bad ones, and everybody who is silent |
| more, none is bad, the best silent one is worse than the best alarming one by the tolerance | the silent |
| more, none is bad, otherwise | the alarming (false alarms), and silent ones that are bad against the best silent one |

A rejection costs a penalty; at the limit a client is out; who is taken gets the award off. A round with rejections
begins from the model of the round before, unless the last one did. A round that takes exactly as many clients as are
out is spared that, and the next one that is not goes back by two: so it is in that code, where a count of clients who
are out holds those who are not.

Weaknesses, all seen with this reproduction, none of them of this file's making:

- The update is measured from the global model and added to the one of the round before. Clients that are out count as
  rejected, so every second round goes back. Once attackers are out, and alarm, rounds swing between a good model and
  one that is worse than chance (0.94 and 0.04); clients that clip their updates dampen it.
- Honest clients get locked out: one that is alarmed trains from its own model and seldom comes back to the average.
- Attackers that alarm make the server discard honest clients that are silent.
- The first round has no alarms and takes everything.
- That checks wait for alarms saves a few evaluations of a small model, and buys nothing else.
- A backdoor that is good on clean data passes, as with every judgement on a root set.
- The server sees every update in clear. Hence this stands here; over sums there is `secagg.robust.CellSiren`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]

CLIENT_TOLERANCE: Final = 0.04
SERVER_TOLERANCE: Final = 0.1
LIMIT: Final = 0.45
AWARD: Final = 0.5


def alarms(own: Reals, common: Reals, tolerance: float = CLIENT_TOLERANCE) -> Flags:
    """Return who raises an alarm, (clients,).

    Args:
        own: accuracy of each client's own last model on what it keeps apart.
        common: of the global model, on the same.
        tolerance: C_c.
    """
    return np.asarray(own > common + tolerance * own)


def rejected(updates: Reals, accuracies: Reals, alarming: Flags, live: Flags, tolerance: float) -> Flags:
    """Return whom the server rejects in one round, (clients,): the table above.

    Args:
        updates: (clients, length).
        accuracies: of the global model plus each update, on root data, (clients,).
        alarming: who raised an alarm.
        live: whose penalties are below the limit; only these alarm, and only these can be the best.
        tolerance: C_s.
    """

    def bad(among: Flags) -> tuple[Flags, float]:
        """Who of some is bad against the best live one of them, and how accurate that is."""
        candidates = np.flatnonzero(among & live)
        if not len(candidates):
            return np.zeros(len(live), dtype=bool), 0.0
        best = candidates[accuracies[candidates].argmax()]
        worse = accuracies < accuracies[best] * (1.0 - tolerance)
        return among & (worse | (updates @ updates[best] <= 0.0)), float(accuracies[best])

    count = int((alarming & live).sum())
    if count == 0:
        return np.zeros(len(live), dtype=bool)
    if count == 1:
        return bad(np.ones(len(live), dtype=bool))[0]
    bad_alarming, best_alarming = bad(alarming)
    bad_alarming &= live
    if bad_alarming.any():
        return ~alarming | bad_alarming
    bad_silent, best_silent = bad(~alarming)
    if best_silent < best_alarming * (1.0 - tolerance):
        return ~alarming
    return alarming | bad_silent


@dataclass(slots=True)
class Siren:
    """The server of SIREN over the rounds of a run.

    Attributes:
        clients: how many.
        rounds: of the run, for the limit.
        tolerance: C_s.
        award: what a round in which a client is taken takes off its penalties.
        penalties: (clients,), so far.
    """

    clients: int
    rounds: int
    tolerance: float = SERVER_TOLERANCE
    award: float = AWARD
    penalties: Reals = field(init=False)
    _before: list[Reals] = field(default_factory=list, init=False)
    _rolled_back: bool = field(default=False, init=False)
    _spared: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.clients < 1 or self.rounds < 1:
            raise ParameterError(f"clients={self.clients} and rounds={self.rounds}; give numbers from 1 on")
        self.penalties = np.zeros(self.clients)

    @property
    def limit(self) -> int:
        """Penalties from which on a client is out."""
        return int(LIMIT * self.rounds)

    def judge(self, model: Reals, updates: Reals, accuracies: Reals, alarming: Flags) -> tuple[Reals, Flags]:
        """Return the next model and whose updates are in it.

        Args:
            model: the global model that the updates are measured from, (length,).
            updates: (clients, length).
            accuracies: of model + update, on root data, (clients,).
            alarming: (clients,).
        """
        live = self.penalties < self.limit
        taken = ~rejected(updates, accuracies, alarming, live, self.tolerance)
        self.penalties[~taken] += 1.0
        out = self.penalties >= self.limit
        taken &= ~out
        self.penalties[taken & (self.penalties > 0.0)] -= self.award
        fresh = not taken.all() and not self._rolled_back
        # As published: a round that takes exactly as many clients as are out does not go back, and the next one that
        # does goes back by two.
        spared = fresh and int(taken.sum()) == int(out.sum())
        self._rolled_back = fresh and not spared
        base, steps = model, 2 if self._spared else 1
        if self._rolled_back and self._before:
            base = self._before[-min(steps, len(self._before))]
        self._spared = spared
        self._before = [*self._before[-1:], model]
        return (base + updates[taken].mean(axis=0) if taken.any() else base), taken
