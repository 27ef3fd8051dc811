"""Rebuilding many secrets that the same holders share, when a few of the holders lie (Specification §5.4).

Eight random linear combinations of all limbs of all secrets are compared first: if each of them is a word of the
code, so is every limb, but by a chance of 1 in p^8 < 2^-127. That is all work where nobody lies. Where some
combination is none, all shares are compared in one product: syndromes, which are zero where the shares agree. Where
they do not, the wrong shares are found for many secrets at once. One random linear combination of all their limbs is
again a word of the code, with an error in the place of every holder who lied about any of them, but by a chance of 1
in p. Its decoding names these holders, and their errors follow from the syndromes of each secret by a small linear
system. A combination with too many liars to decode is cut into halves.

**Why the outcome is that of `decoding.recover`, whatever was drawn** (but by the first chance). An explanation is taken
only if it makes *all* syndromes of the secret, all limbs, with wrong shares at no more than floor((m-t)/2) points. Two
words of the code differ at m-t+1 points at least, so there is one such explanation and no other. `recover` finds the
same: its first attempt is no other explanation within the bound, and each limb it decodes has so few errors that their
places are found, also after others were struck out. Suspects and randomness decide how fast this is, never what comes
out; whatever is not explained is left to `recover`.

Must not know: how a secret is verified, who the holders are, or why somebody is suspected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import field
from secagg.crypto.decoding import Recovery, locate, syndromes
from secagg.crypto.field import PRIME, FloatArray, IntArray
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMBS, are_canonical_elements, interpolate_secrets
from secagg.errors import ParameterError

COMBINATIONS: Final = 8
_NOBODY: Final[tuple[int, ...]] = ()


def recover_together(
    points: tuple[int, ...],
    elements: NDArray[np.uint16],
    threshold: int,
    suspects: Sequence[tuple[int, ...]],
    randomness: RandomSource,
) -> list[Recovery | None]:
    """Rebuild many secrets that the same holders share, and name who contradicts each.

    `elements[i, j]` are the 18 elements of the share of secret i held at `points[j]`, of any number of points from
    `threshold` on. `suspects[i]` are points whose share of secret i is likely wrong: a hint that saves time. No liar
    may be able to foresee what `randomness` gives when it chooses its shares; otherwise it can have the slower path.

    An answer holds what `recover` would return if it accepts the secret. It is None where a share is not canonical, a
    limb is out of range, or more shares are wrong than can be corrected: that is work for `recover`. Nothing is
    verified here, and a secret that its owner or too many holders falsified may come out: compare each with what was
    published about it.

    Memory is several times that of `elements`: cut many secrets by `shamir.secrets_at_once`.

    Raises ParameterError when threshold is below 1 or above the number of points, or for bad points.
    """
    if not 1 <= threshold <= len(points):
        raise ParameterError(f"{len(points)} shares of each secret do not fit threshold {threshold}")
    values = elements.astype(np.float64)
    words = values.transpose(1, 0, 2).reshape(len(points), -1)
    surplus = len(points) - threshold
    rows = 0 if surplus == 0 or _agree(points, words, surplus, randomness) else surplus
    sums = syndromes(points, words, rows).reshape(rows, len(elements), LIMBS)
    canonical = np.all(are_canonical_elements(elements), axis=1)
    agreed = np.logical_not(np.any(sums, axis=(0, 2)))
    batch = _Batch(points, values, sums, randomness)
    for secret in np.flatnonzero(canonical & agreed).tolist():
        batch.wrong[secret] = _NOBODY
    batch.explain(np.flatnonzero(canonical & ~agreed), suspects)
    secrets = interpolate_secrets(points[:threshold], values[:, :threshold])
    for array in (values, words):
        array.fill(0)
    return [
        None if secret is None or wrong is None else Recovery(secret, wrong)
        for secret, wrong in zip(secrets, batch.wrong, strict=True)
    ]


def agreed_together(
    points: tuple[int, ...], elements: NDArray[np.uint16], threshold: int, randomness: RandomSource
) -> list[SecretBytes | None]:
    """Rebuild many secrets that the same holders share, and of which all shares agree; None for every other one.

    Arguments, memory and errors are those of `recover_together`; all shares are canonical. Nothing is verified.
    """
    if not 1 <= threshold <= len(points):
        raise ParameterError(f"{len(points)} shares of each secret do not fit threshold {threshold}")
    values = elements.astype(np.float64)
    words = values.transpose(1, 0, 2).reshape(len(points), -1)
    surplus = len(points) - threshold
    wrong = np.zeros(len(elements), dtype=np.bool_)
    if not _agree(points, words, surplus, randomness):
        wrong = np.any(syndromes(points, words, surplus).reshape(surplus, len(elements), LIMBS), axis=(0, 2))
    secrets = interpolate_secrets(points[:threshold], values[:, :threshold])
    for array in (values, words):
        array.fill(0)
    return [None if lied else secret for secret, lied in zip(secrets, wrong.tolist(), strict=True)]


def _agree(points: tuple[int, ...], words: FloatArray, surplus: int, randomness: RandomSource) -> bool:
    """Whether all columns of `words` lie on polynomials; wrong by a chance of 1 in p^8 where they do not."""
    combined = field.matmul(words, field.uniform(randomness, (words.shape[1], COMBINATIONS)))
    return not syndromes(points, combined, surplus).any()


class _Batch:
    """The shares of some secrets: wrong ones are put right in `values` as they are explained.

    Attributes:
        wrong: for each secret, the points whose share is wrong; None as long as that is not known.
    """

    __slots__ = ("_correctable", "_points", "_randomness", "_sums", "_values", "wrong")

    def __init__(self, points: tuple[int, ...], values: FloatArray, sums: FloatArray, randomness: RandomSource) -> None:
        self.wrong: list[tuple[int, ...] | None] = [None] * len(values)
        self._points = points
        self._values = values
        self._sums = sums
        self._randomness = randomness
        self._correctable = len(sums) // 2

    def explain(self, secrets: IntArray, suspects: Sequence[tuple[int, ...]]) -> None:
        """Find the wrong shares of these secrets: those of the suspects first, then whoever else lied."""
        if self._correctable == 0 or not secrets.size:
            return
        place = {point: row for row, point in enumerate(self._points)}
        alike: dict[tuple[int, ...], list[int]] = {}
        for secret in secrets.tolist():
            alike.setdefault(suspects[secret], []).append(secret)
        left: list[int] = []
        for suspected, group in alike.items():
            rows = np.array([place[point] for point in suspected], dtype=np.int64)
            left += self._settle(np.array(group), rows).tolist()
        self._search(np.array(sorted(left), dtype=np.int64))

    def _search(self, secrets: IntArray) -> None:
        """Locate liars in one combination of all these secrets, or of halves of them."""
        if not secrets.size:
            return
        wrong = self._liars(secrets)
        left = secrets if wrong is None else self._settle(secrets, wrong)
        if len(left) < len(secrets):
            self._search(left)
        elif len(left) > 1:
            middle = len(left) // 2
            self._search(left[:middle])
            self._search(left[middle:])

    def _liars(self, secrets: IntArray) -> IntArray | None:
        """Return the rows that are wrong in a random combination of all limbs; None if they are too many."""
        sums = self._sums[:, secrets].reshape(len(self._sums), -1)
        combined = field.matmul(sums, field.uniform(self._randomness, (sums.shape[1], 1)))[:, 0].astype(np.int64)
        return locate(self._points, combined) if combined.any() else None

    def _settle(self, secrets: IntArray, rows: IntArray) -> IntArray:
        """Put those secrets right which wrong shares in `rows` explain within the bound, and return the others."""
        if not 0 < len(rows) <= len(self._sums):
            return secrets
        sums = self._sums[:, secrets].reshape(len(self._sums), -1)
        points = tuple(self._points[row] for row in rows.tolist())
        weighted = field.from_power_sums(points, sums[: len(rows)])
        explained = (field.power_sums(points, weighted, len(sums)) == sums).reshape(len(sums), -1, LIMBS)
        errors = field.reduce(weighted * field.inverse(field.dual_weights(self._points)[rows])[:, None])
        errors = errors.reshape(len(rows), -1, LIMBS).transpose(1, 0, 2)
        lied = np.any(errors, axis=2)
        settled = np.all(explained, axis=(0, 2)) & (np.count_nonzero(lied, axis=1) <= self._correctable)
        right = secrets[settled]
        self._values[right[:, None], rows] = field.reduce(self._values[right[:, None], rows] + PRIME - errors[settled])
        for secret, wrong in zip(right.tolist(), lied[settled], strict=True):
            self.wrong[secret] = tuple(points[row] for row in np.flatnonzero(wrong).tolist())
        left: IntArray = secrets[np.logical_not(settled)]
        return left
