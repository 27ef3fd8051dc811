"""Attacks against their definitions, each in a few lines of its own."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from secagg.parameters.vectors import FixedPoint
from secagg.poisoning.attacks import (
    Reals,
    alie_z,
    crafted,
    poisoned,
    ring_lie,
    scaled,
    success,
    turned,
)
from secagg.poisoning.models import network_of
from secagg.poisoning.tasks import load_task

NUMBERS = np.random.default_rng(7)
HONEST = NUMBERS.normal(1.0, 2.0, (12, 30))
BAD = np.arange(10) < 3


def sent(attack: str) -> Reals:
    return crafted(attack, HONEST, 15, 3, 2.0, np.random.default_rng(1))


def test_alie_moves_every_entry_by_z_deviations() -> None:
    # n = 50, M = 12: s = 14 honest ones must be outvoted, 24 of 38 stay.
    assert alie_z(50, 12) == pytest.approx(NormalDist().inv_cdf(24 / 38))
    assert alie_z(50, 24) == pytest.approx(NormalDist().inv_cdf(24 / 26))
    assert alie_z(50, 1) == 0.3
    assert alie_z(4, 4) == 0.3
    expected = [column.mean() - alie_z(15, 3) * column.std() for column in HONEST.T]
    assert sent("alie") == pytest.approx(expected)


def test_ipm_points_against_the_mean() -> None:
    assert sent("ipm") == pytest.approx([-2 * column.mean() for column in HONEST.T])


def test_the_gaussian_is_ten_bounds_long() -> None:
    assert np.linalg.norm(sent("gaussian")) == pytest.approx(20.0)
    assert not np.allclose(sent("gaussian"), crafted("gaussian", HONEST, 15, 3, 2.0, np.random.default_rng(2)))


def distances(point: Reals) -> list[float]:
    return [float(((point - row) ** 2).sum()) for row in HONEST]


def test_min_max_is_as_far_as_two_honest_ones_are_and_no_further() -> None:
    limit = max(max(distances(row)) for row in HONEST)
    assert max(distances(sent("min_max"))) == pytest.approx(limit, rel=1e-6)
    further = HONEST.mean(axis=0) + 1.01 * (sent("min_max") - HONEST.mean(axis=0))
    assert max(distances(further)) > limit


def test_min_sum_has_the_sum_of_an_honest_one_and_no_more() -> None:
    limit = max(sum(distances(row)) for row in HONEST)
    assert sum(distances(sent("min_sum"))) == pytest.approx(limit, rel=1e-6)
    further = HONEST.mean(axis=0) + 1.01 * (sent("min_sum") - HONEST.mean(axis=0))
    assert sum(distances(further)) > limit


@pytest.mark.parametrize("attack", ["min_max", "min_sum"])
def test_both_go_against_the_deviation(attack: str) -> None:
    step, deviation = sent(attack) - HONEST.mean(axis=0), HONEST.std(axis=0)
    assert step @ deviation == pytest.approx(-np.linalg.norm(step) * np.linalg.norm(deviation))


def test_the_adaptive_backdoor_is_at_an_obtuse_angle_to_the_honest_and_within_the_bound() -> None:
    honest, backdoor = HONEST[0], HONEST[1] + HONEST[0]
    vector = turned(backdoor, honest, 1e9, share=0.5)
    assert vector @ honest == pytest.approx(-0.5 * (backdoor @ honest))
    across = backdoor - (backdoor @ honest) / (honest @ honest) * honest
    assert vector @ across == pytest.approx(across @ across)
    assert np.linalg.norm(turned(backdoor, honest, 2.0)) == pytest.approx(2.0)
    assert scaled(vector, 3.0) @ vector == pytest.approx(3.0 * np.linalg.norm(vector))


@pytest.mark.parametrize(("clients", "bits"), [(5, 16), (8, 16), (50, 16), (3, 8)])
def test_a_ring_lie_sets_the_mean_to_its_target(clients: int, bits: int) -> None:
    spec = FixedPoint(7, clip=0.5, bits=bits, aggregate="mean")
    width = spec.field_width(clients, 1)
    fields, largest = 64 // width, 2**bits - 1
    words, mask = -(-7 // fields), np.uint64(2**width - 1)
    ring = np.uint64(2 ** (fields * width) - 1)
    target = np.linspace(-0.45, 0.45, 7)
    lie = ring_lie(target, clients - 1, clip=0.5, bits=bits, width=width, fields_per_word=fields, words=words)
    middle = np.zeros(words, dtype=np.uint64)
    for place in range(fields):
        middle += np.uint64(round(largest / 2)) << np.uint64(place * width)
    total = lie.copy()
    for _ in range(clients - 1):
        total += middle
    total &= ring
    decoded = [int(total[entry // fields] >> np.uint64(entry % fields * width) & mask) for entry in range(7)]
    means = 0.5 * (2 * np.array(decoded) / (largest * clients) - 1)
    assert means == pytest.approx(target, abs=1 / largest)


def test_labels_flip_for_attackers_only() -> None:
    task = load_task("digits", 10, 0)
    flipped = poisoned(task, "label_flip", BAD)
    assert (flipped.training.labels[BAD] == 9 - task.training.labels[BAD]).all()
    assert (flipped.training.labels[~BAD] == task.training.labels[~BAD]).all()
    assert flipped.training.inputs is task.training.inputs
    assert poisoned(task, "sign_flip", BAD) is task


@pytest.mark.parametrize("attack", ["backdoor", "replacement", "adaptive_backdoor"])
def test_a_backdoor_marks_half_of_an_attackers_examples(attack: str) -> None:
    task = load_task("digits", 10, 0)
    marked = poisoned(task, attack, BAD)
    half = task.training.labels.shape[1] // 2
    assert (marked.training.inputs[BAD, :half][..., list(task.trigger)] == 1.0).all()
    assert (marked.training.labels[BAD, :half] == 0).all()
    assert (marked.training.inputs[BAD, half:] == task.training.inputs[BAD, half:]).all()
    assert (marked.training.inputs[~BAD] == task.training.inputs[~BAD]).all()
    assert (marked.training.labels[~BAD] == task.training.labels[~BAD]).all()


def test_success_counts_marked_examples_of_other_labels() -> None:
    task = load_task("digits", 10, 0)
    network = network_of(task)
    model = np.zeros(network.length)
    model[-10:] = np.eye(10)[0]  # says 0 to everything
    assert success(network, task, model) == 1.0
    model[-10:] = np.eye(10)[3]
    assert success(network, task, model) == 0.0
