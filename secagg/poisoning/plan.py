"""NO SECURITY: which experiments a quick and a full run contain, suite by suite.

A quick run has one seed and the attacks that decide; a full run has three seeds and everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from secagg.poisoning.attacks import ADAPTIVE, ATTACKS, ON_VECTORS
from secagg.poisoning.experiment import Experiment
from secagg.poisoning.models import Learning

SEEDS: Final = 3
_NONE: Final = "none"
_ALL: Final = tuple(attack for attack in ATTACKS if attack not in (_NONE, "ring_lie"))
_FEW: Final = ("label_flip", "sign_flip", "ipm", "alie", "stall", "backdoor", "adaptive_backdoor", "patient_backdoor")
_STRONG: Final = ("label_flip", "sign_flip", "backdoor")
_IN_CLEAR: Final = ("mean", "median", "trimmed_mean", "multi_krum", "geometric_median", "dnc", "fltrust", "root_check")
_OVER_CELLS: Final = (
    "mean",
    "norm_clipped_mean",
    "median",
    "trimmed_mean",
    "geometric_median",
    "multi_krum",
    "fltrust",
    "root_check",
    "root_check_trained",
    "cell_siren",
    "cell_siren_trained",
)
_CHOSEN: Final = ("median", "multi_krum", "fltrust", "root_check", "root_check_trained")
_SMALL_STEPS: Final = Learning(rate=0.1)
_CANCER: Final = Learning(batch=5, rate=0.1)


def attacks(quick: bool) -> Iterator[Experiment]:
    """The large table, smaller cells, fewer and more liars, label skew, and another task."""
    known = _FEW if quick else _ALL
    yield from _one_session(known)
    yield from _in_clear(known, _IN_CLEAR)
    yield from _in_cells(known, _OVER_CELLS, 5)
    yield from _in_cells(_STRONG if quick else (*_STRONG, *ADAPTIVE), _CHOSEN, 2)
    yield from _in_cells(_STRONG if quick else (*_STRONG, "ipm", "stall", *ADAPTIVE), _CHOSEN, 5, fraction=0.1)
    yield from one_liar(Experiment("ring_lie", "mean", "one session", "ring", 1 / 50))
    if quick:
        return
    yield from _in_cells(_STRONG, _CHOSEN, 5, fraction=0.3)
    yield from _in_cells(_STRONG, _CHOSEN, 5, skew=0.5)
    yield from _in_clear(_STRONG, ("mean", "median", "multi_krum", "fltrust"), skew=0.5)
    for experiment in (
        *_one_session(("label_flip", "sign_flip")),
        *_in_clear(("label_flip", "sign_flip"), _CHOSEN),
        *_in_cells(("label_flip", "sign_flip"), _CHOSEN, 2),
    ):
        yield replace(experiment, task="breast_cancer", clients=20, learning=_CANCER)


def siren(quick: bool) -> Iterator[Experiment]:
    """SIREN in clear, in its authors' setting of ten clients and forty rounds, and other defences beside it."""
    cases = [("label_flip", 0.4), ("label_flip", 0.8), ("sign_flip", 0.4)]
    if not quick:
        cases += [("sign_flip", 0.2), ("sign_flip", 0.8)]
    base = Experiment(_NONE, "mean", "clear", "none", 0.0, clients=10, rounds=40, learning=_SMALL_STEPS)
    for defence in ("mean", "multi_krum", "fltrust", "root_check"):
        yield replace(base, defence=defence)
        for attack, fraction in cases:
            yield replace(base, attack=attack, defence=defence, power="update", fraction=fraction)
    for defence in ("siren", "siren_clipped"):
        yield replace(base, defence=defence, alarming=False)
        for attack, fraction in cases:
            for alarming in (True, False):
                yield replace(
                    base, attack=attack, defence=defence, power="update", fraction=fraction, alarming=alarming
                )


def one_liar(base: Experiment) -> Iterator[Experiment]:
    """One client that sends what makes its sum what it likes: in one session, and in cells with and without a rule."""
    yield base
    for defence in ("mean", "median", "root_check"):
        yield replace(base, defence=defence, setting="cells", power="cell", size=5)


def sessions(quick: bool) -> Iterator[Experiment]:
    """The same, in real sessions with a client that changes its words; so it stands against what means alone say."""
    few = Experiment("ring_lie", "mean", "one session", "ring", 1 / 20, clients=20, rounds=10)
    few = replace(few, threat_model="semi-honest")
    yield replace(few, attack=_NONE, power=_NONE, fraction=0.0)
    yield from one_liar(few)
    cells = replace(few, defence="root_check", setting="cells", power="cell", size=5)
    yield replace(cells, threat_model="active")
    if not quick:
        many = replace(few, clients=50, fraction=1 / 50, rounds=12)
        yield replace(many, attack=_NONE, power=_NONE, fraction=0.0)
        yield from one_liar(many)
        for model in ("semi-honest", "active"):
            yield replace(cells, clients=50, fraction=0.2, rounds=12, threat_model=model)


def privacy(quick: bool) -> Iterator[Experiment]:
    """Cells whose sums carry noise: a small model and a larger one, by epsilon over all rounds and size of a cell."""
    for task, epsilons in (("breast_cancer", (3.0, 10.0, 30.0)), ("digits", (10.0, 30.0))):
        base = Experiment(_NONE, "mean", "one session", _NONE, 0.0, task=task)
        if task == "breast_cancer":
            base = replace(base, learning=_CANCER)
        for epsilon in epsilons[1:2] if quick else epsilons:
            noisy = replace(base, epsilon=epsilon)
            yield noisy
            yield replace(noisy, attack="sign_flip", power="ring", fraction=0.1)
            for size in (5,) if quick else (5, 10):
                for defence in ("mean", *_CHOSEN):
                    cells = replace(noisy, setting="cells", defence=defence, size=size)
                    yield cells
                    yield replace(cells, attack="sign_flip", power="cell", fraction=0.1)
                    if not quick:
                        yield replace(cells, attack="backdoor", power="cell", fraction=0.1)


EXPERIMENTS: Final[Mapping[str, Callable[[bool], Iterator[Experiment]]]] = {
    "attacks": attacks,
    "siren": siren,
    "sessions": sessions,
    "privacy": privacy,
}
"""By suite, the experiments of one seed."""


def seeds(quick: bool, seed: int) -> range:
    """Return the seeds of a run: one or three, from `seed` on."""
    return range(seed, seed + (1 if quick else SEEDS))


def experiments(suite: str, quick: bool, seed: int) -> tuple[Experiment, ...]:
    """Return the experiments of a suite, in the order of its rows; `seed` is the first of one or three."""
    return tuple(replace(each, seed=number) for number in seeds(quick, seed) for each in EXPERIMENTS[suite](quick))


def _one_session(known: tuple[str, ...]) -> Iterator[Experiment]:
    base = Experiment(_NONE, "mean", "one session", "none", 0.0)
    yield base
    for attack in known:
        yield replace(base, attack=attack, power="update", fraction=0.2)
    for attack in known:
        if attack not in ON_VECTORS:
            yield replace(base, attack=attack, power="ring", fraction=0.2)
    rfa = replace(base, defence="rfa")
    yield rfa
    for attack in known:
        for power in ("update", "weight"):
            yield replace(rfa, attack=attack, power=power, fraction=0.2)


def _in_clear(known: tuple[str, ...], defences: tuple[str, ...], skew: float = 0.0) -> Iterator[Experiment]:
    for defence in defences:
        base = Experiment(_NONE, defence, "clear", "none", 0.0, skew=skew)
        yield base
        for attack in known:
            yield replace(base, attack=attack, power="update", fraction=0.2)


def _in_cells(
    known: tuple[str, ...], defences: tuple[str, ...], size: int, fraction: float = 0.2, skew: float = 0.0
) -> Iterator[Experiment]:
    for defence in defences:
        base = Experiment(_NONE, defence, "cells", "none", 0.0, size, skew=skew)
        if fraction == 0.2:
            yield base
        for attack in known:
            for power in ("update", "cell"):
                yield replace(base, attack=attack, power=power, fraction=fraction)
