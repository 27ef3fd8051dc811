"""The digits and how they are dealt out."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import secagg
from secagg.cli.demo.data import MINIMUM_EXAMPLES, deal, label_skew, load_digits
from secagg.cli.local.seeded import SeededNumbers
from secagg.testing.randomness import DeterministicRandomSource


def numbers(seed: int = 1) -> SeededNumbers:
    return SeededNumbers(DeterministicRandomSource(seed))


def labels() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(1400, dtype=np.int64) * 7 % 10


def test_every_digit_is_in_one_of_training_and_test() -> None:
    training, test = load_digits(numbers())
    assert (len(training), len(test)) == (1438, 359)
    assert training.images.shape == (1438, 64)
    assert (training.images.min(), training.images.max()) == (0.0, 1.0)
    assert sorted(set(test.labels.tolist())) == list(range(10))
    seen = {image.tobytes() for image in np.concatenate([training.images, test.images])}
    assert len(seen) == 1797


def test_the_split_follows_the_seed() -> None:
    assert load_digits(numbers(1))[1].labels.tolist() == load_digits(numbers(1))[1].labels.tolist()
    assert load_digits(numbers(1))[1].labels.tolist() != load_digits(numbers(2))[1].labels.tolist()


def test_a_missing_scikit_learn_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(secagg.ParameterError, match=r"needs scikit-learn.*pip install 'secagg\[demo\]'"):
        load_digits(numbers())


@pytest.mark.parametrize("clients", [20, 100, 175])
def test_shards_are_disjoint_and_complete(clients: int) -> None:
    shards = deal(labels(), clients, numbers())
    assert len(shards) == clients
    assert sorted(index for shard in shards for index in shard.tolist()) == list(range(1400))
    assert min(len(shard) for shard in shards) >= MINIMUM_EXAMPLES


@pytest.mark.parametrize("seed", range(5))
def test_shards_are_unequal_and_unlike(seed: int) -> None:
    shards = deal(labels(), 20, numbers(seed))
    sizes = [len(shard) for shard in shards]
    assert max(sizes) > 4 * min(sizes)
    assert np.std(sizes) > 0.5 * np.mean(sizes)  # label skew alone gives 0.3 to 0.45
    skews = [label_skew(labels()[shard]) for shard in shards]
    assert np.mean(skews) > 0.4
    commonest = {int(np.bincount(labels()[shard], minlength=10).argmax()) for shard in shards}
    assert len(commonest) >= 5


def test_dealing_follows_the_seed() -> None:
    first, again, other = (deal(labels(), 20, numbers(seed)) for seed in (1, 1, 2))
    assert [shard.tolist() for shard in first] == [shard.tolist() for shard in again]
    assert [shard.tolist() for shard in first] != [shard.tolist() for shard in other]


def test_too_many_clients_are_refused() -> None:
    with pytest.raises(secagg.ParameterError, match=r"--clients 176 .* at most 175"):
        deal(labels(), 176, numbers())


@pytest.mark.parametrize(
    ("held", "skew"), [([3, 3, 3], 1.0), (list(range(10)), 0.2), ([1, 1, 2, 3], 0.75)], ids=["one", "all", "some"]
)
def test_label_skew_is_the_share_of_two_labels(held: list[int], skew: float) -> None:
    assert label_skew(np.array(held)) == pytest.approx(skew)
