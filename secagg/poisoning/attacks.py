"""NO SECURITY: what attackers send, each attack from the paper that it is named after.

On data: `label_flip` (every label c of C becomes C - 1 - c) and `backdoor` (half of an attacker's examples get the
trigger and label 0; success is the fraction of stamped test examples of other labels that are called 0).
On its own update: `sign_flip` (times -4) and `replacement` (the backdoor's, times n / M; Bagdasaryan et al. 2020).
On vectors, knowing every honest one (rows of B, mean mu and deviation sigma per entry):

- `gaussian`: a random direction, ten times the bound of norms long.
- `alie`: mu - z sigma, z = Phi^-1((n - M - s) / (n - M)), s = n // 2 + 1 - M (Baruch et al. 2019).
- `ipm`: -2 mu (inner product manipulation, Xie et al. 2020).
- `min_max`: mu - gamma sigma / |sigma| with the largest gamma for which no honest vector is further away than two
  honest ones are from each other; `min_sum`: for which the sum of squared distances is no larger than an honest one's
  (Shejwalkar and Houmansadr 2021, their direction "standard deviation").
- `adaptive_backdoor`: built for a check on root data: see :func:`turned`.
- `patient_backdoor`: the same from half of the rounds on; honest until then, so that no judge remembers anything of it.
- `stall`: -mu, a hundredth of the bound long. It changes hardly anything, so that beside updates that happen to lose a
  little it is the best row, to which honest ones are at an obtuse angle.

What a liar may do in a session is *power*: "update", each attacker sends its vector, or "cell", one attacker sets the
mean of its whole cell (:func:`ring_lie`; in one session that is everybody's).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.poisoning.models import Network
from secagg.poisoning.tasks import Examples, Task, with_training

Reals = NDArray[np.float64]

ON_DATA: Final = ("label_flip", "backdoor", "replacement")
ON_VECTORS: Final = ("gaussian", "alie", "ipm", "min_max", "min_sum")
ADAPTIVE: Final = ("adaptive_backdoor", "patient_backdoor")
BACKDOORS: Final = ("backdoor", "replacement", *ADAPTIVE)
ATTACKS: Final = ("none", "label_flip", "sign_flip", "stall", *ON_VECTORS, *BACKDOORS, "ring_lie")
"""Every name of an attack."""

TARGET: Final = 0
SIGN_FLIP: Final = -4.0
IPM: Final = -2.0
GAUSSIAN: Final = 10.0
STALL: Final = 0.01
_LEAST_Z: Final = 0.3
_HALVINGS: Final = 40
_TINY: Final = 1e-12


def poisoned(task: Task, attack: str, bad: NDArray[np.bool_]) -> Task:
    """Return the task with the training data of attackers poisoned, if the attack is on data.

    Args:
        task: the honest one.
        attack: its name.
        bad: (clients,), who attacks.
    """
    if attack == "label_flip":
        flipped = task.classes - 1 - task.training.labels
        return with_training(task, task.training.inputs, np.where(bad[:, None], flipped, task.training.labels))
    if attack not in BACKDOORS:
        return task
    inputs, labels = task.training.inputs.copy(), task.training.labels.copy()
    half = labels.shape[1] // 2
    inputs[bad, :half] = task.stamped(inputs[bad, :half])
    labels[bad, :half] = TARGET
    return with_training(task, inputs, labels)


def success(network: Network, task: Task, model: Reals) -> float:
    """Return how often the trigger turns a test example of another label into the target, 0 to 1.

    Args:
        network: the shape of the model.
        task: with the test set and the trigger.
        model: (length,).
    """
    others = task.test.labels != TARGET
    stamped = Examples(task.stamped(task.test.inputs[others]), np.full(int(others.sum()), TARGET))
    return float(network.accuracy(model[None].astype(np.float32), stamped)[0])


def alie_z(clients: int, malicious: int) -> float:
    """Return how many deviations ALIE moves, at least 0.3.

    With nearly half of the clients bad the formula gives 0 or less, which would be no attack; the floor keeps it one.
    """
    needed = clients // 2 + 1 - malicious
    share = (clients - malicious - needed) / max(clients - malicious, 1)
    if not 0.0 < share < 1.0:
        return _LEAST_Z
    return max(NormalDist().inv_cdf(share), _LEAST_Z)


def crafted(
    attack: str, honest: Reals, clients: int, malicious: int, bound: float, numbers: np.random.Generator
) -> Reals:
    """Return the vector that all attackers send, (length,).

    Args:
        attack: one of ON_VECTORS.
        honest: (honest, length), which the attackers know.
        clients: n; over cells, of which there are this many.
        malicious: M of them.
        bound: C, the norm that honest clients clip to.
        numbers: of the Gaussian direction.
    """
    mean = honest.mean(axis=0)
    if attack == "gaussian":
        direction = numbers.normal(size=honest.shape[1])
        return np.asarray(direction * (GAUSSIAN * bound / np.linalg.norm(direction)))
    if attack == "ipm":
        return np.asarray(IPM * mean)
    deviation = honest.std(axis=0)
    if attack == "alie":
        return np.asarray(mean - alie_z(clients, malicious) * deviation)
    direction = -deviation / max(float(np.linalg.norm(deviation)), _TINY)
    return _furthest(attack, honest, mean, direction)


def _furthest(attack: str, honest: Reals, mean: Reals, direction: Reals) -> Reals:
    """Of `min_max` and `min_sum`: as far from the mean as honest vectors are from each other, by halving."""
    gram = honest @ honest.T
    squares = np.diag(gram)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2.0 * gram, 0.0)
    limit = distances.max() if attack == "min_max" else distances.sum(axis=1).max()
    # |mean + gamma direction - row|^2 is a parabola in gamma for each row.
    offsets = mean - honest
    constant, slope = (offsets**2).sum(axis=1), offsets @ direction
    low, high = 0.0, 2.0 * float(np.sqrt(limit)) + _TINY
    for _ in range(_HALVINGS):
        gamma = (low + high) / 2
        away = constant + 2.0 * gamma * slope + gamma**2
        seen = away.max() if attack == "min_max" else away.sum()
        low, high = (gamma, high) if seen <= limit else (low, gamma)
    return np.asarray(mean + low * direction)


def scaled(vector: Reals, norm: float) -> Reals:
    """Return a vector in the direction of another, of this norm."""
    return np.asarray(vector * (norm / max(float(np.linalg.norm(vector)), _TINY)))


def turned(backdoor: Reals, honest: Reals, bound: float, share: float = 0.5) -> Reals:
    """Return the adaptive backdoor: a good update with a trigger, at an obtuse angle to what honest clients send.

    A root check keeps what is accurate on clean data and at an acute angle to the best. This vector is accurate, since
    it was trained on clean examples and stamped ones; the honest direction is taken out of it and a little of it turned
    round. Whenever it is the best of a round, the honest ones go.

    Args:
        backdoor: the mean of the attackers' updates, (length,).
        honest: the mean of what honest clients send, (length,), which the attackers know.
        bound: C; the result is no longer.
        share: of the honest part that is turned round.
    """
    direction = honest / max(float(np.linalg.norm(honest)), _TINY)
    vector = backdoor - (1.0 + share) * float(backdoor @ direction) * direction
    return vector if np.linalg.norm(vector) <= bound else scaled(vector, bound)


def ring_lie(
    target: Reals, others: int, *, clip: float, bits: int, width: int, fields_per_word: int, words: int
) -> NDArray[np.uint64]:
    """Return the words that set a session's mean to a target, if all others send "no update" (zeros).

    A client that changes its words after `set_input` need not keep to what a field of its own may hold: fields of a sum
    live modulo 2^width, and the sum of n honest fields is what the server divides by n. So it sends what is missing.

    Args:
        target: the mean that it wants, (length,), each within the clip.
        others: clients besides itself, all of them contributing.
        clip: of the session's FixedPoint vector.
        bits: of it.
        width: of a field of its section.
        fields_per_word: of its section.
        words: of its section.
    """
    largest = 2**bits - 1
    nothing = largest / 2
    wanted = np.rint((target / clip + 1.0) / 2.0 * largest * (others + 1)) - np.rint(others * nothing)
    fields = np.zeros(words * fields_per_word, dtype=np.int64)
    fields[: len(target)] = wanted
    # A negative field borrows from the one above it, as the sum of all clients' words gives back; so add, do not pack.
    result = np.zeros(words, dtype=np.uint64)
    for place in range(fields_per_word):
        column = fields[place::fields_per_word].astype(np.uint64)
        result += column << np.uint64(place * width)
    ring = fields_per_word * width
    return result if ring == 64 else result & np.uint64((1 << ring) - 1)
