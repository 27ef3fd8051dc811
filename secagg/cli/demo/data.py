"""The demo's data: scikit-learn's digits, dealt out to clients of unequal size and unlike content.

Each class is divided among the clients in Dirichlet-like proportions, the usual model of label skew in federated
learning, and some clients get more of everything: a few hold a tenth of all examples, others a handful of two or
three digits. Knows no models and no sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.cli.local.seeded import SeededNumbers

CLASSES: Final = 10
SIDE: Final = 8
PIXELS: Final = SIDE * SIDE
MINIMUM_EXAMPLES: Final = 8
_TEST_FRACTION: Final = 0.2
_SIZE_SPREAD: Final = 0.6  # standard deviation of the logarithm of a client's share
_BRIGHTEST: Final = 16.0

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Labelled images.

    Attributes:
        images: float64, (examples, 64), from 0 to 1.
        labels: int64, (examples,), from 0 to 9.
    """

    images: NDArray[np.float64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Indices) -> Examples:
        """Return some of the examples."""
        return Examples(self.images[indices], self.labels[indices])


def load_digits(numbers: SeededNumbers) -> tuple[Examples, Examples]:
    """Load the 1797 digits that come with scikit-learn and split off a fifth for testing.

    Returns:
        The training examples and the test examples, shuffled.

    Raises:
        ParameterError: scikit-learn is not installed; says how to install it.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise secagg.MissingExtraError("the demo needs scikit-learn, for data: pip install 'secagg[demo]'") from error
    images, labels = load(return_X_y=True)
    everything = Examples(images / _BRIGHTEST, labels.astype(np.int64))
    order = numbers.permutation(len(everything))
    tests = int(len(everything) * _TEST_FRACTION)
    return everything.take(order[tests:]), everything.take(order[:tests])


def deal(labels: NDArray[np.int64], clients: int, numbers: SeededNumbers) -> tuple[Indices, ...]:
    """Deal examples out to clients, unequally and with skewed labels; every example goes to one client.

    Args:
        labels: of the examples, from 0 to 9.
        clients: how many clients.
        numbers: what decides.

    Returns:
        For each client the ascending indices of its examples, at least MINIMUM_EXAMPLES.

    Raises:
        ParameterError: too few examples for so many clients.
    """
    if len(labels) < clients * MINIMUM_EXAMPLES:
        raise secagg.ParameterError(
            f"--clients {clients} is too many for {len(labels)} examples; "
            f"take at most {len(labels) // MINIMUM_EXAMPLES}, so that each has {MINIMUM_EXAMPLES}"
        )
    shares = np.exp(_SIZE_SPREAD * numbers.normal(clients))
    shards: list[list[int]] = [[] for _ in range(clients)]
    for label in range(CLASSES):
        members = np.flatnonzero(labels == label)
        members = members[numbers.permutation(len(members))]
        cuts = (np.cumsum(_proportions(shares, numbers))[:-1] * len(members)).astype(np.int64)
        for shard, part in zip(shards, np.split(members, cuts), strict=True):
            shard.extend(part.tolist())
    while len(poorest := min(shards, key=len)) < MINIMUM_EXAMPLES:
        poorest.append(max(shards, key=len).pop())
    return tuple(np.array(sorted(shard), dtype=np.int64) for shard in shards)


def label_skew(labels: NDArray[np.int64]) -> float:
    """Return the share of a client's examples that its two commonest labels have, from 0.2 to 1."""
    counts = np.sort(np.bincount(labels, minlength=CLASSES))
    return float(counts[-2:].sum() / counts.sum())


def _proportions(shares: NDArray[np.float64], numbers: SeededNumbers) -> NDArray[np.float64]:
    """Draw how one class is divided; Dirichlet(1/2, ..., 1/2) if all shares are equal.

    The square of a standard normal number, halved, follows Gamma(1/2).
    """
    parts = shares * numbers.normal(len(shares)) ** 2
    return np.asarray(parts / parts.sum(), dtype=np.float64)
