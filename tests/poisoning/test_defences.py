"""What defences make of rows that are written down here, and what attackers send instead of an honest update."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secagg.poisoning.attacks import Reals
from secagg.poisoning.defences import Defence, Outcome, Seen, Server, defence_of
from secagg.poisoning.experiment import CLIP, Experiment, Federation
from secagg.poisoning.models import Learning, Network
from secagg.poisoning.tasks import Examples

LENGTH = 6
NETWORK = Network(2, 0, 2)
# One feature says which class it is.
ROOT = Examples(np.array([[1, 0], [2, 0], [-1, 0], [-2, 0]], dtype=np.float32), np.array([1, 1, 0, 0]))
GOOD = np.array([-0.5, 0.5, 0.0, 0.0, 0.0, 0.0])
NUMBERS = np.random.default_rng(5)


def rows(count: int, lies: list[Reals], spread: float = 0.01) -> Reals:
    honest = GOOD + NUMBERS.normal(0.0, spread, (count - len(lies), LENGTH))
    return np.concatenate([honest, np.array(lies).reshape(-1, LENGTH)])


def judged(
    name: str, given: Reals, liars: int, *, setting: str = "cells", clip: float | None = None, lying: bool = False
) -> Outcome:
    server = Server(NETWORK, ROOT, Learning(batch=4), np.random.default_rng(1), 10, 20, 0.1, clip, len(given))
    defence: Defence = defence_of(name, setting, server)
    dirty = np.arange(len(given)) >= len(given) - liars
    cells = tuple(range(len(given)))
    return defence(Seen(np.zeros(LENGTH), given, dirty, cells, {}, np.zeros(len(given), dtype=bool), lying))


def test_a_rule_is_told_the_true_number_of_liars_or_the_most_it_bears() -> None:
    given = rows(10, [3 * GOOD, -3 * GOOD])
    two = judged("multi_krum", given, 2)
    assert two.kept is not None
    assert two.kept.tolist() == [True] * 8 + [False] * 2
    assert two.model == pytest.approx(given[:8].mean(axis=0))
    # 2b + 3 <= 10, so that at most three of seven are left out.
    seven = judged("multi_krum", rows(10, [-GOOD] * 7), 7)
    assert seven.kept is not None
    assert seven.kept.sum() == 7
    trimmed = judged("trimmed_mean", given, 2)
    assert trimmed.model == pytest.approx(np.sort(given, axis=0)[2:8].mean(axis=0))
    assert trimmed.kept is None or trimmed.kept.all()


def test_with_fewer_rows_than_a_rule_works_with_they_are_averaged() -> None:
    given = rows(2, [-GOOD])
    assert judged("multi_krum", given, 1).model == pytest.approx(given.mean(axis=0))


def test_what_is_too_long_goes_before_the_rule_and_counts_as_left_out() -> None:
    given = rows(9, [100 * GOOD, -GOOD, -GOOD])
    outcome = judged("multi_krum", given, 3, clip=2.0)
    assert outcome.kept is not None
    assert outcome.kept.tolist() == [True] * 6 + [False] * 3
    assert outcome.model == pytest.approx(given[:6].mean(axis=0))
    kept = judged("multi_krum", given[6:7], 1, clip=2.0)
    assert kept.kept is not None
    assert not kept.kept.any()
    assert not kept.model.any()


@pytest.mark.parametrize("name", ["root_check", "cell_siren"])
def test_root_data_keep_what_is_accurate(name: str) -> None:
    given = rows(6, [-GOOD, -GOOD, -GOOD, -GOOD])
    outcome = judged(name, given, 4)
    assert outcome.kept is not None
    assert outcome.kept.tolist() == [True, True, False, False, False, False]
    assert outcome.model == pytest.approx(given[:2].mean(axis=0), abs=0.01)


def test_cell_siren_remembers_and_hears_of_what_was_proven() -> None:
    server = Server(NETWORK, ROOT, Learning(), NUMBERS, 10, 5, 0.1, 2.0, 3)
    defence = defence_of("cell_siren", "cells", server)  # two penalties of five rounds are the limit
    bad = Seen(np.zeros(LENGTH), rows(3, [50 * GOOD]), np.arange(3) == 2, (0, 1, 2), {}, np.zeros(3, dtype=bool), False)
    for _ in range(2):
        assert not np.asarray(defence(bad).kept)[2]
    reformed = replace(bad, rows=rows(3, []))
    assert np.asarray(defence(reformed).kept).tolist() == [True, True, False]


def test_fltrust_goes_where_training_on_root_data_goes() -> None:
    given = rows(6, [-GOOD] * 4)
    outcome = judged("fltrust", given, 4)
    assert outcome.kept is not None
    assert outcome.kept.tolist() == [True, True, False, False, False, False]
    assert outcome.model @ GOOD > 0


def test_dnc_leaves_out_half_as_many_again_as_there_are_liars() -> None:
    given = rows(20, [-GOOD] * 4)
    outcome = judged("dnc", given, 4, setting="clear")
    assert outcome.kept is not None
    assert not outcome.kept[16:].any()
    assert outcome.kept.sum() >= 20 - 5 * 6
    assert outcome.model == pytest.approx(given[outcome.kept].mean(axis=0))
    assert np.linalg.norm(outcome.model - GOOD) < 0.05
    nobody = judged("dnc", given[:16], 0, setting="clear")
    assert nobody.kept is not None
    assert nobody.kept.all()


def test_rfa_is_near_the_median_until_liars_say_what_they_weigh() -> None:
    given = rows(10, [-20 * GOOD] * 3)
    assert np.linalg.norm(judged("rfa", given, 3, setting="one session").model - GOOD) < 0.2
    lied = judged("rfa", given, 3, setting="one session", lying=True).model
    assert np.linalg.norm(lied - GOOD) > 5.0


def sent(attack: str, power: str = "update", fraction: float = 0.2) -> tuple[Federation, Reals]:
    federation = Federation(Experiment(attack, "mean", "cells", power, fraction, 5, clients=20, rounds=1))
    return federation, federation.updates(0)[0]


def test_own_updates_are_turned_round_and_replaced() -> None:
    federation, flipped = sent("sign_flip")
    honest = Federation(replace(federation.experiment, attack="none", power="none"))
    assert honest.experiment.malicious == 0
    plain = honest.updates(0)[0]
    bad = federation.bad
    assert bad.sum() == 4
    assert flipped[~bad] == pytest.approx(plain[~bad])
    cosines = (flipped[bad] * plain[bad]).sum(axis=1) / np.linalg.norm(flipped[bad], axis=1)
    assert cosines == pytest.approx(-np.linalg.norm(plain[bad], axis=1))
    # Not clipped, and four times.
    assert (np.linalg.norm(flipped[bad], axis=1) >= 4 * np.linalg.norm(plain[bad], axis=1) - 1e-9).all()
    _, backdoor = sent("backdoor")
    _, replaced = sent("replacement")
    assert replaced[bad] == pytest.approx(5 * backdoor[bad])
    assert replaced[~bad] == pytest.approx(backdoor[~bad])


@pytest.mark.parametrize("attack", ["gaussian", "ipm", "alie", "min_max", "backdoor", "label_flip", "sign_flip"])
def test_a_cell_is_never_set_to_more_than_passes_for_honest(attack: str) -> None:
    federation, updates = sent(attack, "cell", 0.1)
    seen, dirty = federation.rows(updates)
    assert 0 < dirty.sum() < len(dirty)
    lies = seen[dirty]
    assert (np.linalg.norm(lies, axis=1) <= CLIP * (1 + 1e-9)).all()
    assert (lies == lies[0]).all()
    for cell, row, lied in zip(federation.cells, seen, dirty, strict=True):
        assert np.allclose(row, updates[cell].mean(axis=0)) != lied


def test_when_every_cell_is_dirty_liars_know_honest_clients_still() -> None:
    federation, updates = sent("sign_flip", "cell", 0.8)
    seen, dirty = federation.rows(updates)
    assert dirty.all()
    honest = updates[~federation.bad].mean(axis=0)
    assert seen[0] == pytest.approx(-CLIP * honest / np.linalg.norm(honest))


def test_who_attacks_with_vectors_sends_one() -> None:
    for attack in ("gaussian", "alie", "ipm", "min_max", "min_sum", "adaptive_backdoor"):
        federation, updates = sent(attack)
        assert (updates[federation.bad] == updates[federation.bad][0]).all()


@pytest.mark.parametrize("power", ["update", "cell"])
def test_a_stalling_vector_changes_hardly_anything_and_points_against_the_honest(power: str) -> None:
    federation, updates = sent("stall", power, 0.1)
    seen, dirty = federation.rows(updates)
    lie = updates[federation.bad][0] if power == "update" else seen[dirty][0]
    honest = (updates[~federation.bad] if power == "update" else seen[~dirty]).mean(axis=0)
    assert lie == pytest.approx(-0.01 * CLIP * honest / np.linalg.norm(honest))


def test_a_patient_attacker_is_honest_until_half_of_the_rounds() -> None:
    patient = Federation(Experiment("patient_backdoor", "mean", "cells", "cell", 0.1, 5, clients=20, rounds=4))
    honest = Federation(replace(patient.experiment, attack="none", power="none"))
    at_once = Federation(replace(patient.experiment, attack="adaptive_backdoor"))
    for number in range(2):
        for federation in (patient, honest, at_once):
            federation.step(number)
        assert patient.model == pytest.approx(honest.model)
        assert patient.model != pytest.approx(at_once.model)
    patient.step(2)
    honest.step(2)
    assert patient.model != pytest.approx(honest.model)
