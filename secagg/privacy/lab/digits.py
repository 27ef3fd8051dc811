"""NO SECURITY: scikit-learn's 1797 handwritten digits, which attacks and training in this room are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import MissingExtraError

CLASSES: Final = 10
PIXELS: Final = 64
_BRIGHTEST: Final = 16.0

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Labelled images.

    Attributes:
        images: float64, (examples, 64), from 0 to 1.
        labels: int64, (examples,), from 0 to 9.
    """

    images: Reals
    labels: Whole

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Whole) -> Digits:
        """Return some of the examples."""
        return Digits(self.images[indices], self.labels[indices])

    def split(self, tests: int, seed: int) -> tuple[Digits, Digits]:
        """Return the examples, shuffled, without and with `tests` of them."""
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(order[tests:]), self.take(order[:tests])


def load_digits() -> Digits:
    """Load all 1797 digits, in scikit-learn's order.

    Raises:
        MissingExtraError: scikit-learn is not installed; says how to install it.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise MissingExtraError("the privacy lab needs scikit-learn, for data: pip install 'secagg[demo]'") from error
    images, labels = load(return_X_y=True)
    return Digits(images / _BRIGHTEST, labels.astype(np.int64))
