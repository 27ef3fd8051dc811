"""Rebuilding many secrets that the same holders share, when a few of the holders lie (Specification §5.4).

Eight random linear combinations of all limbs of all secrets are compared: if each of them is a word of the code, so is
every limb, but by a chance of 1 in p^8 < 2^-127. That is all work where nobody lies. Where some combination is none,
another one is decoded: it has an error in the place of every holder who lied about any of the secrets, but by a chance
of 1 in p. Then the eight are compared without the shares in these places. If they agree, so do all shares that are
left, and the wrong ones are those that differ from what is left. Of secrets with too many liars to decode, halves are
tried. No share is ever compared alone with all others, which would be the cube of the number of clients.

**Why the outcome is that of `decoding.recover`, whatever was drawn** (but by the first chance: places are found by
draws that are independent of the eight, so that it is the same one with some places left out). An explanation is taken
only if all limbs of the secret lie on polynomials with wrong shares at no more than floor((m-t)/2) points. Two words of
the code differ at m-t+1 points at least, so there is one such explanation and no other. `recover` finds the same: its
first attempt is no other explanation within the bound, and each limb it decodes has so few errors that their places
are found, also after others were struck out. Suspects and randomness decide how fast this is, never what comes out;
whatever is not explained is left to `recover`.

Must not know: how a secret is verified, who the holders are, or why somebody is suspected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import field, shamir
from secagg.crypto.decoding import Recovery, locate, syndromes
from secagg.crypto.field import FloatArray, IntArray
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMBS, are_canonical_elements
from secagg.errors import ParameterError

COMBINATIONS: Final = 8


class Shares(Protocol):
    """Shares of many secrets, as an array of shape (secrets, points, 18) has them: `shares[secrets]` copies some."""

    def __len__(self) -> int:
        """How many secrets there are."""

    def __getitem__(self, secrets: IntArray, /) -> NDArray[np.uint16]:
        """The elements of all shares of some secrets: shape (len(secrets), points, 18)."""


class Suspects(Protocol):
    """Hints that save time: who lied about other secrets."""

    def places(self, secrets: IntArray) -> IntArray:
        """The places, among all points, of shares that are likely wrong about any of some secrets; ascending."""

    def found(self, secret: int, places: IntArray) -> None:
        """Hear which shares of a secret are wrong."""


class _Nobody:
    def places(self, secrets: IntArray) -> IntArray:
        return np.zeros(0, dtype=np.int64)

    def found(self, secret: int, places: IntArray) -> None:
        pass


NOBODY: Final[Suspects] = _Nobody()


def recover_together(
    points: tuple[int, ...], shares: Shares, threshold: int, suspects: Suspects, randomness: RandomSource
) -> list[Recovery | None]:
    """Rebuild many secrets that the same holders share, and name who contradicts each.

    `shares[[i]][0, j]` are the 18 elements of the share of secret i held at `points[j]`, of any number of points from
    `threshold` on. No liar may be able to foresee what `randomness` gives when it chooses its shares; otherwise it can
    have the slower path.

    An answer holds what `recover` would return if it accepts the secret. It is None where a share is not canonical, a
    limb is out of range, or more shares are wrong than can be corrected: that is work for `recover`. Nothing is
    verified here, and a secret that its owner or too many holders falsified may come out: compare each with what was
    published about it.

    Shares are taken as many at a time as `shamir.secrets_at_once` says, and those that were taken are overwritten.

    Raises ParameterError when threshold is below 1 or above the number of points, or for bad points.
    """
    if not 1 <= threshold <= len(points):
        raise ParameterError(f"{len(points)} shares of each secret do not fit threshold {threshold}")
    batch = _Batch(points, shares, threshold, suspects, randomness)
    batch.explain(np.arange(len(shares)))
    return batch.found


class _Batch:
    """Secrets that the same holders share, and what was found of them so far.

    Attributes:
        found: for each secret, it and the points whose share is wrong; None as long as that is not known.
    """

    __slots__ = ("_points", "_randomness", "_shares", "_suspects", "_threshold", "found")

    def __init__(
        self,
        points: tuple[int, ...],
        shares: Shares,
        threshold: int,
        suspects: Suspects,
        randomness: RandomSource,
    ) -> None:
        field.check_points(points)
        self.found: list[Recovery | None] = [None] * len(shares)
        self._points = points
        self._shares = shares
        self._threshold = threshold
        self._suspects = suspects
        self._randomness = randomness

    def explain(self, secrets: IntArray) -> None:
        """Rebuild those of these secrets of which few enough shares are wrong."""
        combined, rebuilt, canonical = self._looked_at(secrets)
        if not canonical.all():
            self.explain(secrets[canonical])
            return
        if not syndromes(self._points, combined, self._surplus).any():
            for secret, value in zip(secrets.tolist(), rebuilt, strict=True):
                self.found[secret] = None if value is None else Recovery(value, ())
            return
        if self._correctable == 0:  # Shares can be found wrong, and nobody be named.
            self._settle(secrets, np.arange(self._threshold, len(self._points)))
            return
        left, suspected = secrets, self._suspects.places(secrets)
        if self._agree_without(suspected, combined):
            left = self._settle(secrets, suspected)
        # Where more liars are known than can be located, looking for them is in vain, unless it is the last chance.
        if len(left) == len(secrets) and (len(secrets) == 1 or len(suspected) <= self._correctable):
            liars = self._liars(secrets)
            if self._agree_without(liars, combined):
                left = self._settle(secrets, liars)
        if len(left) < len(secrets):
            self._explain_parts(left)
        elif len(left) > 1:
            middle = len(left) // 2
            self._explain_parts(left[:middle], left[middle:])

    def _explain_parts(self, *parts: IntArray) -> None:
        for part in parts:
            if part.size:
                self.explain(part)

    @property
    def _surplus(self) -> int:
        return len(self._points) - self._threshold

    @property
    def _correctable(self) -> int:
        return self._surplus // 2

    def _words(self, secrets: IntArray) -> Iterator[tuple[IntArray, FloatArray, NDArray[np.bool_]]]:
        """All shares of some secrets after the other: which, their limbs in columns, and which are canonical."""
        step = shamir.secrets_at_once(len(self._points))
        for start in range(0, len(secrets), step):
            some = secrets[start : start + step]
            elements = self._shares[some]
            canonical = np.ones(len(some), dtype=np.bool_)
            if not shamir.all_canonical(elements):
                canonical = np.all(are_canonical_elements(elements), axis=1)
            words = elements.transpose(1, 0, 2).astype(np.float64, order="C").reshape(len(self._points), -1)
            elements.fill(0)
            yield some, words, canonical
            words.fill(0)

    def _looked_at(self, secrets: IntArray) -> tuple[FloatArray, list[SecretBytes | None], NDArray[np.bool_]]:
        """Combinations of all limbs, what the first shares lead to, and which secrets have canonical shares alone."""
        factors = field.uniform(self._randomness, (LIMBS * len(secrets), COMBINATIONS))
        combined = np.zeros((len(self._points), COMBINATIONS))
        weights = self._weights(np.arange(self._threshold))
        rebuilt, canonical, row = list[SecretBytes | None](), list[NDArray[np.bool_]](), 0
        for _, words, right in self._words(secrets):
            combined = field.reduce(combined + field.matmul(words, factors[row : row + words.shape[1]]))
            row += words.shape[1]
            rebuilt += _interpolated(weights, words[: self._threshold])
            canonical.append(right)
        return combined, rebuilt, np.concatenate([np.ones(0, dtype=np.bool_), *canonical])

    def _weights(self, places: IntArray) -> FloatArray:
        """What makes secrets of the shares in `places`."""
        return field.lagrange_weights_at_zero(self._at(places))

    def _at(self, places: IntArray) -> tuple[int, ...]:
        return tuple(self._points[place] for place in places.tolist())

    def _others(self, places: IntArray) -> IntArray:
        return np.delete(np.arange(len(self._points)), places)

    def _liars(self, secrets: IntArray) -> IntArray:
        """The places that are wrong in a random combination of all limbs; none if they are too many."""
        factors = field.uniform(self._randomness, (LIMBS * len(secrets), 1))
        combined, row = np.zeros((len(self._points), 1)), 0
        for _, words, _ in self._words(secrets):
            combined = field.reduce(combined + field.matmul(words, factors[row : row + words.shape[1]]))
            row += words.shape[1]
        sums = syndromes(self._points, combined, self._surplus)[:, 0].astype(np.int64)
        wrong = locate(self._points, sums) if sums.any() else None
        return np.zeros(0, dtype=np.int64) if wrong is None else wrong

    def _agree_without(self, places: IntArray, combined: FloatArray) -> bool:
        """Whether the shares in all other places agree, and so many are left that this says something."""
        if not 0 < len(places) <= self._surplus:
            return False
        others = self._others(places)
        return not syndromes(self._at(others), combined[others], self._surplus - len(places)).any()

    def _settle(self, secrets: IntArray, places: IntArray) -> IntArray:
        """Rebuild secrets of which all shares agree but those in `places`; return those with too many wrong ones."""
        basis = self._others(places)[: self._threshold]
        sources, targets, left = self._at(basis), self._at(places), list[IntArray]()
        weights = self._weights(basis)
        for some, words, _ in self._words(secrets):
            right = field.extrapolate(sources, words[basis], targets)
            wrong = np.any((right != words[places]).reshape(len(places), -1, LIMBS), axis=2)
            settled = np.count_nonzero(wrong, axis=0) <= self._correctable
            left.append(some[~settled])
            rebuilt = _interpolated(weights, words[basis])
            for column in np.flatnonzero(settled).tolist():
                secret, value, lied = int(some[column]), rebuilt[column], places[wrong[:, column]]
                self._suspects.found(secret, lied)
                self.found[secret] = None if value is None else Recovery(value, self._at(lied))
        return np.concatenate(left)


def _interpolated(weights: FloatArray, words: FloatArray) -> list[SecretBytes | None]:
    """The secrets of the polynomials through shares; None where a limb is out of range."""
    return shamir.secrets_of(field.matmul(weights[None], words).reshape(-1, LIMBS))
