"""What the harness measures, as inequalities with margins, one seed; and that a row is the same whoever computes it.

The figures are those that the documents name. Federations are played once for all tests that ask for them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from secagg.errors import ParameterError
from secagg.poisoning.defences import DEFENCES
from secagg.poisoning.experiment import CLIP, Experiment, Federation
from secagg.poisoning.models import Learning
from secagg.poisoning.plan import EXPERIMENTS, SEEDS, experiments
from secagg.poisoning.private import PrivateFederation
from secagg.poisoning.results import SUITES, AttackRow
from secagg.poisoning.runner import play, run
from secagg.poisoning.sessions import SessionFederation
from secagg.robust import CellRound
from secagg.session.simulation import simulate
from secagg.testing.randomness import DeterministicRandomSource


@cache
def row(
    attack: str, defence: str, setting: str, power: str, fraction: float = 0.2, size: int | None = None
) -> AttackRow:
    return play(Experiment(attack, defence, setting, power, fraction, size))


@cache
def of_ten(attack: str, defence: str, fraction: float, alarming: bool | None = None) -> AttackRow:
    learning = Learning(rate=0.1)
    return play(
        Experiment(
            attack, defence, "clear", "update", fraction, clients=10, rounds=40, alarming=alarming, learning=learning
        )
    )


@pytest.mark.slow
def test_nobody_lies() -> None:
    assert row("none", "mean", "one session", "none", 0.0).accuracy > 0.88
    assert row("none", "root_check", "cells", "none", 0.0, 5).accuracy > 0.88


@pytest.mark.slow
def test_one_liar_owns_a_session_and_not_a_federation_of_cells() -> None:
    assert row("ring_lie", "mean", "one session", "ring", 0.02).accuracy < 0.3
    assert row("ring_lie", "root_check", "cells", "cell", 0.02, 5).accuracy > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["label_flip", "sign_flip"])
def test_a_root_check_needs_one_clean_cell_and_a_median_most_of_them(attack: str) -> None:
    """Seven of ten cells are dirty; of cells of two clients nine of twenty-five."""
    checked = row(attack, "root_check", "cells", "cell", 0.2, 5)
    assert (checked.dirty, checked.cells) == (7.0, 10)
    assert checked.accuracy > 0.85
    assert row(attack, "median", "cells", "cell", 0.2, 5).accuracy < 0.3
    assert row(attack, "median", "cells", "cell", 0.2, 2).accuracy > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["label_flip", "sign_flip"])
def test_rfa_holds_against_wrong_data_and_not_against_lies_about_weights(attack: str) -> None:
    assert row(attack, "rfa", "one session", "update").accuracy > 0.8
    assert row(attack, "rfa", "one session", "weight").accuracy < 0.5


@pytest.mark.slow
def test_a_diluted_backdoor_passes_the_root_check() -> None:
    passed = row("backdoor", "root_check", "cells", "update", 0.2, 5)
    assert passed.accuracy > 0.85
    assert passed.backdoor is not None
    assert passed.backdoor > 0.5


@pytest.mark.slow
def test_siren_lives_where_the_mean_is_dead() -> None:
    assert of_ten("label_flip", "siren", 0.4, False).accuracy > 0.8
    assert of_ten("label_flip", "mean", 0.4).accuracy < 0.8
    assert of_ten("label_flip", "siren_clipped", 0.8, True).accuracy > 0.75
    assert of_ten("label_flip", "mean", 0.8).accuracy < 0.1


@pytest.mark.slow
def test_siren_as_published_swings_when_attackers_alarm() -> None:
    """Rounds alternate between the model and one of nearly nothing: it adds to the model before what it measured."""
    swinging = of_ten("label_flip", "siren", 0.4, True)
    late = np.array(swinging.curve[-10:])
    assert late.max() > 0.85
    assert late.min() < 0.3


@pytest.mark.slow
def test_real_sessions_say_what_means_say() -> None:
    one = Experiment("ring_lie", "mean", "one session", "ring", 0.05, clients=20, rounds=6, threat_model="semi-honest")
    assert play(one).accuracy < 0.3
    cells = Experiment("ring_lie", "root_check", "cells", "cell", 0.05, 5, clients=20, rounds=6, threat_model="active")
    assert play(cells).curve[-1] > 0.75


def test_rows_from_sessions_are_those_of_means_and_the_liar_meets_its_target() -> None:
    experiment = Experiment(
        "ring_lie", "mean", "cells", "cell", 0.1, 5, clients=10, rounds=1, threat_model="semi-honest"
    )
    played, means = SessionFederation(experiment), Federation(experiment)
    sent, _ = played.updates(0)
    seen, dirty = played.rows(sent)
    expected = np.stack([sent[cell].mean(axis=0) for cell in means.cells])
    assert dirty.tolist() == means.dirty.tolist()
    assert dirty.sum() == 1
    step = 2 * 0.5 / (2**16 - 1)
    assert np.abs(seen[~dirty] - expected[~dirty]).max() <= step
    clean = expected[~dirty].mean(axis=0)
    target = -CLIP * clean / np.linalg.norm(clean)
    lie = seen[dirty][0]
    assert lie @ target / np.linalg.norm(lie) / np.linalg.norm(target) > 0.6
    # It missed by what its four mates sent.
    (cell,) = (each for each, lied in zip(means.cells, dirty, strict=True) if lied)
    mates = [client for client in cell if not means.bad[client]]
    assert np.abs(lie - (target + sent[mates].sum(axis=0) / 5)).max() <= 2 * step


NOISY = Experiment("none", "mean", "cells", "none", 0.0, 5, task="breast_cancer", epsilon=10.0)


def noise(size: int | None) -> float:
    setting = "one session" if size is None else "cells"
    federation = PrivateFederation(replace(NOISY, size=size, setting=setting))
    sent, _ = federation.updates(0)
    rows, _ = federation.rows(sent)
    plain = np.stack([sent[cell].mean(axis=0) for cell in federation.cells])
    assert not (rows == plain).any()
    return float((rows - plain).std())


def test_the_mean_of_a_cell_is_as_many_times_noisier_as_it_is_smaller() -> None:
    # Each holds the noise of at least four fifths of its clients.
    assert 0.85 < noise(5) / noise(None) / 10 < 1.15
    plan = PrivateFederation(NOISY).plan
    sigma = math.sqrt(5 * plan.variance16 / 16) * plan.clip / plan.grid / 5
    assert noise(5) == pytest.approx(sigma, rel=0.15)


def test_a_session_of_the_cell_under_its_plan_says_the_same() -> None:
    federation, again = (PrivateFederation(NOISY) for _ in range(2))
    sent, cell = federation.updates(0)[0], federation.cells[0]
    plan = federation.plan
    round_ = CellRound(federation.partition, plan.vectors, model=bytes(32), number=0, plan=plan.digest)
    parameters = round_.parameters(0)
    source = DeterministicRandomSource(NOISY.seed)
    inputs = {
        int(client): plan.privatize({"update": sent[client]}, parameters=parameters, randomness=source).arrays
        for client in cell
    }
    decoded = plan.decode(simulate(parameters, inputs), parameters=parameters)
    assert (decoded.mean["update"] == again.mean_of(sent, cell)).all()


def test_liars_in_a_noisy_cell_make_its_mean_as_long_as_others_are() -> None:
    federation = PrivateFederation(replace(NOISY, attack="sign_flip", power="cell", fraction=0.04))
    rows, dirty = federation.rows(federation.updates(0)[0])
    norms = np.linalg.norm(rows, axis=1)
    assert norms[dirty] == pytest.approx(np.median(norms[~dirty]))
    updating = PrivateFederation(replace(NOISY, attack="sign_flip", power="update", fraction=0.04))
    sent, _ = updating.updates(0)
    sent[updating.bad] = 1e6
    rows, dirty = updating.rows(sent)
    assert rows[dirty].min() == pytest.approx(2e5, rel=1e-3)


def test_a_noisy_federation_learns_and_needs_an_epsilon_and_sums() -> None:
    assert play(replace(NOISY, rounds=8)).accuracy > 0.6
    assert play(replace(NOISY, rounds=2)).epsilon == 10.0
    with pytest.raises(ParameterError, match="a plan has an epsilon"):
        play(replace(NOISY, setting="clear", size=None))


SHORT = Experiment("sign_flip", "root_check", "cells", "cell", 0.2, 5, clients=20, rounds=2)


def test_a_row_is_the_same_for_a_seed_and_another_for_another() -> None:
    assert play(SHORT) == play(SHORT)
    assert play(SHORT) != play(Experiment("sign_flip", "root_check", "cells", "cell", 0.2, 5, 20, 2, seed=1))


@pytest.mark.parametrize("defence", DEFENCES)
@pytest.mark.parametrize("setting", ["one session", "clear", "cells"])
def test_every_defence_says_what_it_is_for(defence: str, setting: str) -> None:
    experiment = Experiment(
        "label_flip", defence, setting, "update", 0.2, 5 if setting == "cells" else None, clients=20, rounds=2
    )
    fits = {
        "dnc": ["clear"],
        "siren": ["clear"],
        "siren_clipped": ["clear"],
        "rfa": ["one session"],
        "cell_siren": ["cells"],
        "cell_siren_trained": ["cells"],
    }
    if setting in fits.get(defence, [setting]):
        played = play(experiment)
        assert len(played.curve) == 2
        assert 0.0 <= played.accuracy <= 1.0
        assert played.cells == (4 if setting == "cells" else None)
    else:
        with pytest.raises(ParameterError, match="is for setting"):
            play(experiment)


def test_a_norm_that_nobody_honest_reaches_is_left_out() -> None:
    """Gaussian vectors of ten times the bound: each dirty cell is longer than it, and goes whatever the rule is."""
    experiment = Experiment("gaussian", "mean", "cells", "update", 0.1, 5, clients=20, rounds=1)
    federation, same = Federation(experiment), Federation(experiment)
    rows, dirty = same.rows(same.updates(0)[0])
    assert dirty.any()
    assert (np.linalg.norm(rows[dirty], axis=1) > CLIP).all()
    federation.step(0)
    assert federation.model == pytest.approx(same.model + rows[~dirty].mean(axis=0))
    in_one = Federation(Experiment("gaussian", "mean", "one session", "update", 0.1, clients=20, rounds=1))
    before = in_one.model
    in_one.step(0)
    assert np.linalg.norm(in_one.model - before) > 1.8


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"attack": "rain"}, "attack='rain'"),
        ({"power": "great"}, "power='great'"),
        ({"setting": "sea"}, "setting='sea'"),
        ({"size": 5}, "all else has none"),
        ({"setting": "cells"}, "cells have one"),
    ],
)
def test_what_no_run_has(wrong: dict[str, str | int], words: str) -> None:
    given: dict[str, str | int] = {"attack": "none", "defence": "mean", "setting": "clear"}
    with pytest.raises(ParameterError, match=words):
        Experiment(**(given | wrong))  # type: ignore[arg-type]


def test_a_defence_and_an_attack_that_there_are_none_of() -> None:
    with pytest.raises(ParameterError, match="no defence 'prayer'"):
        play(Experiment("none", "prayer", "clear"))
    with pytest.raises(ParameterError, match="real sessions have a threat model"):
        play(Experiment("sign_flip", "median", "clear", threat_model="active"))


@pytest.mark.parametrize("suite", EXPERIMENTS)
def test_a_full_run_has_more_seeds_and_what_a_quick_run_has(suite: str) -> None:
    quick, full = experiments(suite, True, 7), experiments(suite, False, 7)
    assert {each.seed for each in quick} == {7}
    assert {each.seed for each in full} == set(range(7, 7 + SEEDS))
    assert set(quick) <= set(full)
    assert len(set(quick)) == len(quick)
    assert len(set(full)) == len(full)


def test_a_run_in_two_processes_gives_the_rows_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"attacks": lambda quick: iter([SHORT]), "siren": lambda quick: iter([SIREN_SHORT] * 2)}
    monkeypatch.setattr("secagg.poisoning.plan.EXPERIMENTS", few)
    told: list[tuple[str, int, int]] = []
    alone = run(("siren", "attacks"), quick=True, version="9", workers=1, on_step=lambda *step: told.append(step))
    assert told == [
        ("attacks: sign_flip, root_check", 1, 3),
        ("siren: none, siren", 2, 3),
        ("siren: none, siren", 3, 3),
    ]
    together = run(("siren", "attacks"), quick=True, version="9", workers=2)
    assert (together.attacks, together.siren) == (alone.attacks, alone.siren)
    assert (len(alone.attacks), len(alone.siren), alone.sessions) == (1, 2, ())
    assert (alone.version, alone.quick) == ("9", True)
    assert alone.machine["workers"] == 1


def test_with_power_update_nobody_changes_words() -> None:
    experiment = Experiment("label_flip", "mean", "cells", "update", 0.2, 5, 10, 1, threat_model="semi-honest")
    played = SessionFederation(experiment)
    sent, _ = played.updates(0)
    sums = played.sums(sent)
    expected = np.stack([np.clip(sent[cell], -0.5, 0.5).mean(axis=0) for cell in played.cells])
    assert (sums.cells, sums.rejected, sums.missing) == ((0, 1), {}, ())
    assert np.abs(sums.rows - expected).max() <= 2 * 0.5 / 65535
    assert played.evaluate(played.model) == played.evaluate(played.model.copy()) < 0.5


SIREN_SHORT = Experiment("none", "siren", "clear", "none", 0.0, clients=10, rounds=2, alarming=False)


def test_a_run_of_what_there_is_not() -> None:
    with pytest.raises(ParameterError, match="no suite 'all'"):
        run(("all",), quick=True, version="9")
    with pytest.raises(ParameterError, match="workers=0"):
        run(quick=True, version="9", workers=0)
    assert SUITES[0] == "attacks"
