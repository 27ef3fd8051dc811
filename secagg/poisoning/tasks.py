"""NO SECURITY: what is learned under attack: two small data sets of scikit-learn, divided among clients and a server.

"digits": 8 x 8 images of ten classes. After the split each *training* image stands five times, moved by one pixel to
each side; images of the test and of the root set are never moved, nor is a moved image in both parts of one client.
"breast_cancer": 30 measurements, two classes, scaled by the training set's mean and deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import MissingExtraError, ParameterError

Singles = NDArray[np.float32]
Whole = NDArray[np.int64]

HELD_OUT: Final = 0.2
_SIDE: Final = 8
_MOVES: Final = ((0, 1), (0, -1), (1, 0), (-1, 0))
# The digits' trigger: three pixels of the corner below right at full brightness. Of the measurements: three far off.
_CORNER: Final = (6 * _SIDE + 7, 7 * _SIDE + 6, 7 * _SIDE + 7)
_FIRST: Final = (0, 1, 2)
_BRIGHT: Final = 1.0
_FAR_OFF: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Labelled examples of one party, or of all clients alike.

    Attributes:
        inputs: float32, (..., examples, features).
        labels: int64, (..., examples).
    """

    inputs: Singles
    labels: Whole


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A data set, divided.

    Attributes:
        name: "digits" or "breast_cancer".
        classes: how many labels there are.
        training: of the clients, (clients, examples, ...).
        held: what each client keeps apart, (clients, examples, ...).
        test: what nobody trains on; accuracies in rows are on it.
        root: the server's own, with which root rules judge.
        trigger: features that a backdoor sets.
        mark: the value that it sets them to.
    """

    name: str
    classes: int
    training: Examples
    held: Examples
    test: Examples
    root: Examples
    trigger: tuple[int, ...]
    mark: float

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return len(self.training.labels)

    @property
    def features(self) -> int:
        """Length of one input."""
        return int(self.test.inputs.shape[-1])

    def stamped(self, inputs: Singles) -> Singles:
        """Return a copy of inputs with the backdoor's trigger on each."""
        marked = inputs.copy()
        marked[..., list(self.trigger)] = self.mark
        return marked


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    data: Examples
    tests: int
    root: int
    classes: int
    trigger: tuple[int, ...]
    mark: float
    spread: Callable[[Singles], Singles]  # (examples, features) -> (examples, copies, features)


def require_data() -> None:
    """Demand that there are data sets, before work begins in other processes.

    Raises:
        MissingExtraError: scikit-learn is not installed; says how to install it.
    """
    if find_spec("sklearn") is None:
        raise MissingExtraError("poisoning needs scikit-learn, for data: pip install 'secagg[demo]'")


def load_task(name: str, clients: int, seed: int, *, skew: float = 0.0) -> Task:
    """Load a data set and divide it among clients, the server and the test.

    Args:
        name: "digits" or "breast_cancer".
        clients: how many; all get equally many examples, of which they keep a fifth apart.
        seed: of the division.
        skew: 0 for clients alike. Otherwise clients are of as many kinds as there are classes, and an example goes with
            this probability to the kind of its label, else to any, its own among them (after FLTrust, Cao et al.
            2021). Kinds that have too few get what others leave.

    Raises:
        ParameterError: an unknown name, or more clients than the examples are enough for.
        MissingExtraError: scikit-learn is not installed; says how to install it.
    """
    source = _source(name)
    numbers = np.random.default_rng(seed)
    order = numbers.permutation(len(source.data.labels))
    inputs, labels = source.data.inputs[order], source.data.labels[order]
    apart = source.tests + source.root
    each = (len(labels) - apart) // max(clients, 1)
    held = max(2, int(each * HELD_OUT))
    if clients < 1 or each - held < 2:
        raise ParameterError(
            f"clients={clients}; {len(labels) - apart} examples of {name} are for 1 to {(len(labels) - apart) // 4}"
        )
    if name == "breast_cancer":
        mean, deviation = inputs[apart:].mean(axis=0), inputs[apart:].std(axis=0)
        inputs = (inputs - mean) / deviation
    owners = _divided(labels[apart:], clients, each, source.classes, skew, numbers) + apart
    training, kept = owners[:, held:], owners[:, :held]
    return Task(
        name=name,
        classes=source.classes,
        training=_spread(source, inputs, labels, training),
        held=_spread(source, inputs, labels, kept),
        test=Examples(inputs[: source.tests], labels[: source.tests]),
        root=Examples(inputs[source.tests : apart], labels[source.tests : apart]),
        trigger=source.trigger,
        mark=source.mark,
    )


def with_training(task: Task, inputs: Singles, labels: Whole) -> Task:
    """Return the task with other training data: (clients, examples, features) and (clients, examples)."""
    return replace(task, training=Examples(inputs, labels))


def _divided(
    labels: Whole, clients: int, each: int, classes: int, skew: float, numbers: np.random.Generator
) -> NDArray[np.intp]:
    """Indices of examples, (clients, each)."""
    order = numbers.permutation(len(labels))
    if not skew:
        return np.asarray(order[: clients * each].reshape(clients, each))
    pools: list[list[int]] = [[] for _ in range(classes)]
    for example in order.tolist():
        own = numbers.random() < skew
        pools[int(labels[example]) if own else int(numbers.integers(classes))].append(example)
    given: list[list[int]] = []
    for client in range(clients):
        pool = pools[client % classes]
        given.append(pool[:each])
        del pool[:each]
    rest = [example for pool in pools for example in pool]
    for mine in given:
        while len(mine) < each:
            mine.append(rest.pop())
    return np.array(given, dtype=np.intp)


def _spread(source: _Source, inputs: Singles, labels: Whole, owners: NDArray[np.intp]) -> Examples:
    clients, examples = owners.shape
    copies = source.spread(inputs[owners.ravel()])
    times = copies.shape[1]
    return Examples(copies.reshape(clients, examples * times, -1), np.repeat(labels[owners], times, axis=1))


def _moved(images: Singles) -> Singles:
    """Each image, and the same moved by one pixel to each of four sides, (images, 5, 64)."""
    square = images.reshape(-1, _SIDE, _SIDE)
    copies = [square]
    for down, right in _MOVES:
        moved = np.zeros_like(square)
        to = (slice(max(down, 0), _SIDE + min(down, 0)), slice(max(right, 0), _SIDE + min(right, 0)))
        of = (slice(max(-down, 0), _SIDE + min(-down, 0)), slice(max(-right, 0), _SIDE + min(-right, 0)))
        moved[:, to[0], to[1]] = square[:, of[0], of[1]]
        copies.append(moved)
    return np.stack(copies, axis=1).reshape(len(images), len(copies), -1)


def _alone(inputs: Singles) -> Singles:
    return inputs[:, None, :]


@lru_cache(maxsize=2)
def _source(name: str) -> _Source:
    if name not in ("digits", "breast_cancer"):
        raise ParameterError(f"there is no task {name!r}; choose digits or breast_cancer")
    require_data()
    from sklearn.datasets import load_breast_cancer, load_digits

    if name == "digits":
        images, labels = load_digits(return_X_y=True)
        data = Examples((images / 16.0).astype(np.float32), labels.astype(np.int64))
        return _Source(data, 400, 100, 10, _CORNER, _BRIGHT, _moved)
    inputs, labels = load_breast_cancer(return_X_y=True)
    data = Examples(inputs.astype(np.float32), labels.astype(np.int64))
    return _Source(data, 120, 60, 2, _FIRST, _FAR_OFF, _alone)
