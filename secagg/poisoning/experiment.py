"""NO SECURITY: one federation under attack: who trains, who lies, what the server sees and what it makes of it.

On means directly: masks of a session cancel, so what the server sees of a cell is the mean of its members' updates, or
whatever one of them makes of it (`secagg.poisoning.sessions` plays the sessions themselves). An attacker knows
everything: all honest updates, and with power "cell" or "ring" what the others of its sum send, so that it meets its
target exactly; real liars guess, and miss by the honest part of the mean.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ParameterError
from secagg.poisoning.attacks import (
    ADAPTIVE,
    ATTACKS,
    BACKDOORS,
    ON_VECTORS,
    SIGN_FLIP,
    STALL,
    Reals,
    crafted,
    poisoned,
    scaled,
    success,
    turned,
)
from secagg.poisoning.defences import SIRENS, Defence, Seen, Server, defence_of
from secagg.poisoning.models import Learning, Network, network_of
from secagg.poisoning.results import AttackRow
from secagg.poisoning.siren import alarms
from secagg.poisoning.tasks import Singles, Task, load_task
from secagg.robust import Partition

CLIP: Final = 2.0
LAST: Final = 5
_FURTHEST: Final = 1e3

POWERS: Final = ("none", "update", "cell", "ring", "weight")
SETTINGS: Final = ("one session", "clear", "cells")


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row to be measured; plain data. Names are those of `AttackRow`.

    Attributes:
        attack: of `attacks.ATTACKS`.
        defence: of `defences.DEFENCES`.
        setting: what the server sees: "one session", "clear" or "cells".
        power: "none", "update", "cell" (cells), "ring" (one session) or "weight" (RFA).
        fraction: of the clients, that attack; rounded to whole clients.
        size: g, of a cell; None without cells.
        clients: n.
        rounds: of the run.
        seed: of everything.
        task: "digits" or "breast_cancer".
        skew: of the division; 0 for "iid".
        alarming: SIREN: whether attackers raise alarms; None elsewhere.
        learning: how a client trains.
        tolerance: C_s of root checks.
        threat_model: of real sessions; None for means without sessions.
        epsilon: of a privacy plan over all rounds; None without.
    """

    attack: str
    defence: str
    setting: str
    power: str = "update"
    fraction: float = 0.2
    size: int | None = None
    clients: int = 50
    rounds: int = 25
    seed: int = 0
    task: str = "digits"
    skew: float = 0.0
    alarming: bool | None = None
    learning: Learning = field(default_factory=Learning)
    tolerance: float = 0.1
    threat_model: str | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("attack", self.attack, ATTACKS),
            ("power", self.power, POWERS),
            ("setting", self.setting, SETTINGS),
        ):
            if value not in known:
                raise ParameterError(f"{name}={value!r} is none of {', '.join(known)}; name one of these")
        if (self.size is None) == (self.setting == "cells"):
            raise ParameterError(f"size={self.size} with setting {self.setting!r}; cells have one, all else has none")

    @property
    def malicious(self) -> int:
        """M: how many clients attack."""
        return 0 if self.attack == "none" else max(1, round(self.fraction * self.clients))


class Federation:
    """The clients, the attackers and the server of one experiment.

    Raises:
        ParameterError: settings that no run has.
        MissingExtraError: scikit-learn is not installed.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.honest_task = load_task(experiment.task, experiment.clients, experiment.seed, skew=experiment.skew)
        self.network: Network = network_of(self.honest_task)
        self.numbers = np.random.default_rng([experiment.seed, 1])
        self.bad = np.zeros(experiment.clients, dtype=bool)
        self.bad[self.numbers.permutation(experiment.clients)[: experiment.malicious]] = True
        self.task: Task = poisoned(self.honest_task, experiment.attack, self.bad)
        # One session is one cell of all.
        seed = hashlib.sha256(b"poisoning %d" % experiment.seed).digest()
        self.partition = Partition.draw(experiment.clients, size=experiment.size or experiment.clients, seed=seed)
        self.cells = self._cells()
        self.attacking = False
        self.dirty = np.array([bool(self.bad[cell].any()) for cell in self.cells])
        self.model: Reals = self.network.initial(experiment.seed + 99).astype(np.float64)
        self._own: Singles | None = None
        self._server = Server(
            self.network,
            self.honest_task.root,
            experiment.learning,
            self.numbers,
            experiment.clients,
            experiment.rounds,
            experiment.tolerance,
            CLIP if experiment.epsilon is None else None,
            len(self.cells),
        )
        self._defence: Defence = defence_of(experiment.defence, experiment.setting, self._server)
        self._clean_rows = 0
        self._clean_left_out = 0

    def run(self) -> AttackRow:
        """Play all rounds."""
        experiment = self.experiment
        curve = []
        for number in range(experiment.rounds):
            self.step(number)
            curve.append(self.accuracy())
        cells = experiment.setting == "cells"
        marked = experiment.attack in BACKDOORS
        return AttackRow(
            task=experiment.task,
            split="skew" if experiment.skew else "iid",
            n=experiment.clients,
            fraction=experiment.malicious / experiment.clients,
            attack=experiment.attack,
            power=experiment.power,
            defence=experiment.defence,
            setting=experiment.setting,
            g=experiment.size,
            seed=experiment.seed,
            rounds=experiment.rounds,
            accuracy=round(float(np.mean(curve[-LAST:])), 4),
            backdoor=round(success(self.network, self.task, self.model), 4) if marked else None,
            curve=tuple(round(each, 4) for each in curve),
            dirty=float(self.dirty.sum()) if cells else None,
            cells=len(self.cells) if cells else None,
            false_rejections=self._false_rejections(),
            alarming=experiment.alarming,
            threat_model=experiment.threat_model,
            epsilon=experiment.epsilon,
        )

    def step(self, number: int) -> None:
        """Play one round."""
        sent, alarming = self.updates(number)
        rows, dirty = self.rows(sent)
        seen = Seen(self.model, rows, dirty, tuple(range(len(rows))), {}, alarming, self.experiment.power == "weight")
        outcome = self._defence(seen)
        self.model = np.clip(np.nan_to_num(outcome.model), -_FURTHEST, _FURTHEST)
        if outcome.kept is not None:
            self._clean_rows += int((~dirty).sum())
            self._clean_left_out += int((~dirty & ~outcome.kept).sum())

    def accuracy(self) -> float:
        """Of the model on the test set."""
        return float(self.network.accuracy(self.model[None].astype(np.float32), self.task.test)[0])

    def evaluate(self, model: Reals) -> float:
        """Return the accuracy of a model on the server's root data."""
        return self._server.evaluate(model)

    def trained(self, model: Reals) -> Reals:
        """The update that training on the root set gives."""
        return self._server.update(model)

    def updates(self, number: int) -> tuple[Reals, NDArray[np.bool_]]:
        """What every client sends in a round, (clients, length), and who alarms (SIREN alone has alarms)."""
        common = np.broadcast_to(self.model.astype(np.float32), (len(self.bad), self.network.length))
        self.attacking = self.experiment.malicious > 0 and not self._waits(number)
        start, alarming = common, np.zeros(len(self.bad), dtype=bool)
        if self._own is not None:
            own, global_ = (self.network.accuracy(each, self.task.held) for each in (self._own, common))
            alarming = alarms(own, global_)
            start = np.where(alarming[:, None], self._own, common)
        task = self.task if self.attacking else self.honest_task
        trained = self.network.train(start, task.training, self.experiment.learning, self.numbers)
        sent = self._attacked(trained - self.model)
        if self.experiment.defence in SIRENS:
            if self._own is not None:
                alarming = np.where(self.bad, bool(self.experiment.alarming), alarming)
            self._own = np.where(self.bad[:, None], self.model + sent, trained).astype(np.float32)
        return sent, alarming

    def rows(self, sent: Reals) -> tuple[Reals, NDArray[np.bool_]]:
        """What the server sees, (rows, length), and which of the rows a liar has touched."""
        if self.experiment.setting == "clear" or self.experiment.defence == "rfa":
            return sent, self.bad
        means = np.stack([self.mean_of(sent, cell) for cell in self.cells])
        if self.attacking and self.experiment.power in ("cell", "ring"):
            means[self.dirty] = self.target(sent, means)
        return means, self.dirty

    def mean_of(self, sent: Reals, cell: NDArray[np.int64]) -> Reals:
        """What the server gets of the members of a cell, if none of them reaches for the others' part."""
        return np.asarray(sent[cell].mean(axis=0))

    def _attacked(self, sent: Reals) -> Reals:
        """What clients send who may send one vector: honest ones clip, attackers do as they like."""
        experiment = self.experiment
        bad = self.bad if self.attacking else np.zeros_like(self.bad)
        if experiment.defence != "siren":
            # As published nobody clips in SIREN, where an update may come from a model of the client's own.
            norms = np.linalg.norm(sent[~bad], axis=1)
            sent[~bad] *= np.minimum(1.0, CLIP / np.maximum(norms, 1e-12))[:, None]
        if not bad.any() or experiment.power in ("cell", "ring"):
            return sent
        honest = sent[~bad] if not bad.all() else sent
        if experiment.attack == "sign_flip":
            sent[bad] *= SIGN_FLIP
        elif experiment.attack == "replacement":
            sent[bad] *= experiment.clients / experiment.malicious
        elif experiment.attack in ADAPTIVE:
            sent[bad] = turned(sent[bad].mean(axis=0), honest.mean(axis=0), CLIP)
        elif experiment.attack == "stall":
            sent[bad] = scaled(-honest.mean(axis=0), STALL * CLIP)
        elif experiment.attack in ON_VECTORS:
            sent[bad] = crafted(experiment.attack, honest, experiment.clients, experiment.malicious, CLIP, self.numbers)
        return sent

    def target(self, sent: Reals, means: Reals) -> Reals:
        """The mean that liars give their cells, no longer than what passes for honest."""
        experiment = self.experiment
        clean = means[~self.dirty] if not self.dirty.all() else sent[~self.bad]
        theirs = sent[self.bad].mean(axis=0)
        if experiment.attack in ON_VECTORS:
            dirty = min(int(self.dirty.sum()), len(means) // 2)
            vector = crafted(experiment.attack, clean, len(means), dirty, CLIP, self.numbers)
            return vector if np.linalg.norm(vector) <= CLIP else scaled(vector, CLIP)
        if experiment.attack in ADAPTIVE:
            return turned(theirs, clean.mean(axis=0), CLIP)
        if experiment.attack == "stall":
            return scaled(-clean.mean(axis=0), STALL * CLIP)
        if experiment.attack in ("sign_flip", "ring_lie"):
            return scaled(-clean.mean(axis=0), CLIP)
        return scaled(theirs, CLIP)

    def _cells(self) -> list[NDArray[np.int64]]:
        if self.experiment.setting == "clear":
            return [np.array([client]) for client in range(self.experiment.clients)]
        return [np.array(cell) for cell in self.partition.cells]

    def _waits(self, number: int) -> bool:
        return self.experiment.attack == "patient_backdoor" and number < self.experiment.rounds // 2

    def _false_rejections(self) -> float | None:
        return round(self._clean_left_out / self._clean_rows, 4) if self._clean_rows else None
