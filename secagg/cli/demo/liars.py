"""Digits learned while clients lie, in real sessions: all clients in one, or cells and a judge of their sums.

What attackers do and how digits are learned comes from the harness; here is who judges, and what became of each cell.
Must not know how a session, a rule or an attack works, nor print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.parameters.graph_conditions import count_of
from secagg.poisoning.experiment import CLIP, Experiment
from secagg.poisoning.models import Learning
from secagg.poisoning.sessions import SessionFederation
from secagg.robust import CellSiren, CellSums, Judge, RuleJudge, SizeChoice, Verdict, choose_size, clip_norm, mean
from secagg.robust.sizing import RULES

ATTACKS: Final = {
    "none": "nobody does anything wrong",
    "sign-flip": "-4 times their update",
    "label-flip": "0 is 9, 1 is 8, ... in their data",
}
DEFENCES: Final = ("siren", *(name.replace("_", "-") for name in RULES), "none")
MINIMUM_CLIENTS: Final = 20
MAXIMUM_CLIENTS: Final = 100
_SHARES: Final = (0.2, 0.1, 0.05)
_UNJUDGED_SIZE: Final = 5
_COLLUDING: Final = 0.1
_LEARNING: Final = Learning(epochs=5)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played.

    Attributes:
        attack: of ATTACKS.
        defence: of DEFENCES.
        clients: how many.
        liars: how many of them attack.
        rounds: of learning, each a session of all, or one for each cell.
        seed: of data, training, liars, cells, keys and masks.
        choice: cells, and why of this size; None where no rule asks for a size.
    """

    attack: str
    defence: str
    clients: int
    liars: int
    rounds: int
    seed: int
    choice: SizeChoice | None

    @classmethod
    def of(cls, attack: str, defence: str, clients: int, malicious: float | None, rounds: int, seed: int) -> Scenario:
        """Count the liars and choose the cells.

        Args:
            malicious: fraction of the clients; None takes a fifth, or else a tenth or a twentieth: the first at which
                there are cells for the defence.

        Raises:
            ParameterError: names or numbers that there are not, or no size of cells at which the rule works.
        """
        defence = defence.replace("_", "-")
        for option, name, known in (("--attack", attack, tuple(ATTACKS)), ("--defence", defence, DEFENCES)):
            if name not in known:
                raise secagg.ParameterError(f"{option} {name} is unknown; take one of {', '.join(known)}")
        if not MINIMUM_CLIENTS <= clients <= MAXIMUM_CLIENTS:
            raise secagg.ParameterError(
                f"--clients {clients} is outside {MINIMUM_CLIENTS} .. {MAXIMUM_CLIENTS}; fewer make no cells worth a "
                "look, and more take this machine too long in one session"
            )
        rule = _rule_of(defence)
        if malicious is not None:
            count_of(clients, "--malicious", malicious)
        share, choice = malicious or 0.0, None
        if rule is not None:
            share, choice = _cells_for(rule, clients, _SHARES if malicious is None else (malicious,))
        elif malicious is None:
            share = _SHARES[0]
        liars = count_of(clients, "malicious", share)
        if attack != "none" and liars == 0:
            raise secagg.ParameterError(
                f"--malicious {share:g} of {clients} clients is nobody; give a larger fraction, or --attack none"
            )
        return cls(attack, defence, clients, 0 if attack == "none" else liars, rounds, seed, choice)

    @property
    def size(self) -> int:
        """The clients that each cell has at least."""
        return _UNJUDGED_SIZE if self.choice is None else self.choice.size

    @property
    def limit(self) -> int | None:
        """The penalty that shuts a cell out; None of a judge that has none."""
        return CellSiren(1, 1, rounds=self.rounds).limit if self.defence == "siren" else None


@dataclass(frozen=True, slots=True)
class CellRecord:
    """What became of one cell.

    Attributes:
        cell: its index.
        clients: how many it has.
        liars: how many of them lie.
        rejected: the rounds in which its sum was left out, from 1.
        penalty: after the last round; 0 from a judge that gives none.
        reason: why it was left out first; None if it never was. (Later it may be for that very penalty.)
    """

    cell: int
    clients: int
    liars: int
    rejected: tuple[int, ...]
    penalty: float
    reason: str | None


@dataclass(frozen=True, slots=True)
class Learned:
    """One training from the first model on.

    Attributes:
        who: who lies: "nobody", "liars" about updates, or "words" of one client.
        cells: what became of each cell; empty in one session.
        curve: accuracy on the test examples after each round.
    """

    who: str
    cells: tuple[CellRecord, ...]
    curve: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """After the last round."""
        return self.curve[-1]


class MeanJudge:
    """Takes every cell as it is, as plain federated averaging does."""

    def judge(self, model: NDArray[np.float64], sums: CellSums, evaluate: object = None) -> Verdict:
        """Add the mean of the rows that no proof speaks against to the model."""
        moved = model + mean(sums.rows).vector if len(sums.rows) else model
        return Verdict(moved, sums.cells, sums.rejected, {}, rolled_back=False, alarms=0.0, unconfirmed=False)


def plan(scenario: Scenario) -> tuple[tuple[str, bool], ...]:
    """Return who lies and whether there are cells, for each training: nobody, the liars, and one client's words."""
    who = ("nobody",) if scenario.attack == "none" else ("nobody", "liars", "words")
    return tuple((each, cells) for each in who for cells in (False, True))


def learn(scenario: Scenario, who: str, *, cells: bool) -> Iterator[Learned]:
    """Train, and give what is learned after each round.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    power = "none" if who == "nobody" else "update" if who == "liars" else "cell" if cells else "ring"
    attack = {"nobody": "none", "liars": scenario.attack.replace("-", "_"), "words": "ring_lie"}[who]
    liars = {"nobody": 0, "liars": scenario.liars, "words": 1}[who]
    federation = SessionFederation(
        Experiment(
            attack,
            "mean",
            "cells" if cells else "one session",
            power,
            liars / scenario.clients,
            size=scenario.size if cells else None,
            clients=scenario.clients,
            rounds=scenario.rounds,
            seed=scenario.seed,
            learning=_LEARNING,
            threat_model="semi-honest",
        )
    )
    judge = _judge(scenario, federation) if cells else MeanJudge()
    curve: list[float] = []
    verdicts: list[Verdict] = []
    for number in range(scenario.rounds):
        sent, _ = federation.updates(number)
        verdicts.append(judge.judge(federation.model, federation.sums(sent), federation.evaluate))
        federation.model = verdicts[-1].model
        curve.append(federation.accuracy())
        yield Learned(who, _records(federation, verdicts) if cells else (), tuple(curve))


def _cells_for(rule: str, clients: int, shares: tuple[float, ...]) -> tuple[float, SizeChoice]:
    """The first fraction of liars at which the rule has a size of cells, and that size."""
    for share in shares:
        try:
            return share, choose_size(clients, share, _COLLUDING, rule)
        except secagg.ParameterError as error:
            problem = f"{error}; for this demo take a smaller --malicious{_or_more(rule, clients, share)}"
    raise secagg.ParameterError(problem)


def _or_more(rule: str, clients: int, share: float) -> str:
    """More clients, if that helps: in words."""
    try:
        choose_size(MAXIMUM_CLIENTS, share, _COLLUDING, rule)
    except secagg.ParameterError:
        return ""
    return f", or --clients {MAXIMUM_CLIENTS}" if clients < MAXIMUM_CLIENTS else ""


def _rule_of(defence: str) -> str | None:
    return {"siren": "root_check", "none": None}.get(defence, defence.replace("-", "_"))


def _judge(scenario: Scenario, federation: SessionFederation) -> Judge:
    if scenario.choice is None:
        return MeanJudge()

    def trained(model: NDArray[np.float64]) -> NDArray[np.float64]:
        # fltrust brings every row to this length, and clients clip.
        return clip_norm({"update": federation.trained(model)}, CLIP)["update"]

    if scenario.defence == "siren":
        return CellSiren(len(federation.cells), scenario.clients, rounds=scenario.rounds, train=trained)
    rule = scenario.defence.replace("-", "_")
    return RuleJudge(rule, b=scenario.choice.bears, train=trained if rule in ("fltrust", "root_check") else None)


def _records(federation: SessionFederation, verdicts: list[Verdict]) -> tuple[CellRecord, ...]:
    records = []
    for cell, members in enumerate(federation.cells):
        reasons = {number: each.rejected[cell] for number, each in enumerate(verdicts, 1) if cell in each.rejected}
        records.append(
            CellRecord(
                cell=cell,
                clients=len(members),
                liars=int(federation.bad[members].sum()),
                rejected=tuple(reasons),
                penalty=verdicts[-1].penalties.get(cell, 0.0),
                reason=reasons[min(reasons)] if reasons else None,
            )
        )
    return tuple(records)
