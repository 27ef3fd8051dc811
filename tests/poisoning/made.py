"""Results that nobody measured, for what shows results."""

from __future__ import annotations

from secagg.poisoning.results import AttackRow, LeakRow, Results

BACKDOORS = ("backdoor",)


def attack_row(attack: str, defence: str, accuracy: float, **changed: object) -> AttackRow:
    """A row of digits, clients alike, 20 % liars, cells of 5; a backdoor works in a tenth of the cases."""
    quiet = attack == "none"
    values: dict[str, object] = {
        "task": "digits",
        "split": "iid",
        "n": 50,
        "fraction": 0.0 if quiet else 0.2,
        "attack": attack,
        "power": "none" if quiet else "cell",
        "defence": defence,
        "setting": "cells",
        "g": 5,
        "seed": 0,
        "rounds": 3,
        "accuracy": accuracy,
        "backdoor": 0.1 if attack in BACKDOORS else None,
        "curve": (0.1, 0.5, accuracy),
        "dirty": None if quiet else 6.0,
        "cells": 10,
        "false_rejections": None,
    }
    return AttackRow(**(values | changed))  # type: ignore[arg-type]


def leak_row(discipline: str, rounds: int, auc: float, **changed: object) -> LeakRow:
    """A row of sums of 5."""
    values: dict[str, object] = {
        "g": 5,
        "discipline": discipline,
        "dropout": 0.1,
        "rounds": rounds,
        "rank": 10.0,
        "auc": auc,
        "cosine": 0.4,
        "smallest_atom": 5.0,
        "seed": 0,
    }
    return LeakRow(**(values | changed))  # type: ignore[arg-type]


ATTACKS = (
    attack_row("none", "median", 0.92, false_rejections=0.0),
    attack_row("none", "root_check", 0.9, false_rejections=0.14),
    attack_row("sign_flip", "median", 0.1),
    attack_row("sign_flip", "root_check", 0.88),
    attack_row("backdoor", "median", 0.92, backdoor=0.9),
    attack_row("backdoor", "root_check", 0.91),
    attack_row("none", "mean", 0.91, setting="one session", g=None, cells=None),
    attack_row("sign_flip", "mean", 0.09, setting="one session", g=None, cells=None, dirty=None, power="ring"),
    attack_row("sign_flip", "median", 0.85, fraction=0.1),
)
SIREN = (
    attack_row("none", "siren", 0.95, n=10, setting="clear", g=None, cells=None),
    attack_row("label_flip", "siren", 0.9, n=10, setting="clear", g=None, alarming=True),
    attack_row("label_flip", "siren", 0.92, n=10, setting="clear", g=None, alarming=False),
    attack_row("label_flip", "mean", 0.4, n=10, setting="clear", g=None),
)
SESSIONS = (
    attack_row("none", "mean", 0.9, setting="one session", g=None, n=20, threat_model="semi-honest"),
    attack_row("ring_lie", "mean", 0.1, setting="one session", g=None, n=20, fraction=0.05, threat_model="semi-honest"),
    attack_row("ring_lie", "root_check", 0.85, n=20, fraction=0.05, threat_model="active"),
)
PRIVACY = (
    attack_row("none", "mean", 0.8, epsilon=10.0),
    attack_row("none", "mean", 0.85, epsilon=30.0),
    attack_row("sign_flip", "mean", 0.3, epsilon=10.0, fraction=0.1),
    attack_row("none", "median", 0.7, epsilon=10.0, task="breast_cancer"),
)
LEAK = (
    leak_row("one round alone", 1, 0.78, dropout=0.0),
    leak_row("one round alone", 1, 0.58, dropout=0.0, g=50),
    *(leak_row("fixed cells, all or nothing", rounds, 0.77) for rounds in (1, 5, 25)),
    *(leak_row("regrouped every round", rounds, auc, rank=50.0) for rounds, auc in ((1, 0.78), (5, 0.99), (25, 1.0))),
)
RESULTS = Results("9.9", "2026-01-02T03:04:05+00:00", False, {"numpy": "2"}, ATTACKS, SIREN, SESSIONS, PRIVACY, LEAK)
NOTHING = Results("9.9", "2026-01-02T03:04:05+00:00", True)
