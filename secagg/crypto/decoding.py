"""Reconstruction in the presence of wrong shares (Specification §5.4).

Shares of one secret are a word of a generalized Reed-Solomon code. With m shares and threshold t, up to
floor((m-t)/2) wrong ones are corrected: syndromes over the dual code, the shortest linear recurrence that
makes them (Berlekamp 1968, Massey 1969), and its roots among the share points. Limbs are treated one after
the other: holders found wrong in one are struck out before the next.

One secret at a time: many that the same holders share are rebuilt by `batch_decoding`, with the same outcome.

What this module branches on are syndromes, and those depend on the *errors* alone, not on the secret: a
right share adds nothing to them.

Must not know: how a secret is verified (the caller passes `accept`) or who the holders are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from secagg.crypto import field
from secagg.crypto.field import PRIME, FloatArray, IntArray
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMBS, elements_of, interpolate_secret
from secagg.errors import ParameterError, SecAggError


class ReconstructionError(SecAggError):
    """A secret that the shares at hand do not give.

    Attributes:
        shares: well-formed shares at hand.
        threshold: shares that are needed.
        correctable: wrong shares among them that could have been corrected.
    """

    def __init__(self, shares: int, threshold: int) -> None:
        self.shares = shares
        self.threshold = threshold
        self.correctable = max(0, shares - threshold) // 2
        if shares < threshold:
            reason = f"only {shares} well-formed shares are left, and {threshold} are needed"
        else:
            reason = (
                f"of {shares} shares at threshold {threshold} more are wrong than the {self.correctable} "
                "that can be corrected"
            )
        super().__init__(f"the secret cannot be reconstructed: {reason}; more right shares are needed")


@dataclass(frozen=True, slots=True)
class Recovery:
    """A secret that was accepted, and the share points that contradict it.

    Attributes:
        secret: the 32-byte secret.
        inconsistent: sorted points whose share is malformed or not on the secret's polynomial. Who is
            named was wrong for certain as long as at most floor((m-t)/2) of m well-formed shares are
            wrong; beyond that, colluding holders can have honest ones named, never a false secret
            accepted.
    """

    secret: SecretBytes
    inconsistent: tuple[int, ...]


def recover(shares: Mapping[int, SecretBytes], threshold: int, accept: Callable[[SecretBytes], bool]) -> Recovery:
    """Return the secret that `accept` confirms, and name all points whose share is wrong.

    Malformed shares are struck out first. Then the first `threshold` shares are tried, and only if `accept`
    refuses the outcome are errors corrected. A refused candidate is wiped and never returned.

    Raises:
        ParameterError: threshold below 1, or a point outside 1..65520.
        ReconstructionError: too few well-formed shares, or more wrong ones than can be corrected.
    """
    if threshold < 1:
        raise ParameterError(f"threshold {threshold} is below 1; use the threshold of the sharing")
    field.check_points(list(shares))
    everyone = tuple(sorted(shares))
    elements, canonical = elements_of([shares[point] for point in everyone])
    points = tuple(point for point, good in zip(everyone, canonical, strict=True) if good)
    malformed = tuple(point for point, good in zip(everyone, canonical, strict=True) if not good)
    if len(points) < threshold:
        raise ReconstructionError(len(points), threshold)
    values = elements[canonical]
    correctable = (len(points) - threshold) // 2

    plain = np.arange(threshold)
    secret = _accepted(points, values, plain, accept)
    wrong: tuple[int, ...] = ()
    if secret is not None:
        wrong = disagreeing(points, values, threshold)
    # Colluding holders can add an error that vanishes at 0: the secret is right, and honest surplus holders
    # look wrong. If fewer wrong holders explain the shares, the decoder finds that explanation.
    if secret is None or len(wrong) > correctable:
        consistent = _consistent_rows(points, values, threshold)
        if consistent is not None:
            corrected = _accepted(points, values, consistent, accept)
            if corrected is not None:
                secret = corrected
                wrong = _disagreeing(points, values, consistent)
    if secret is None:
        raise ReconstructionError(len(points), threshold)
    return Recovery(secret, tuple(sorted((*malformed, *wrong))))


def _accepted(
    points: tuple[int, ...], values: FloatArray, rows: IntArray, accept: Callable[[SecretBytes], bool]
) -> SecretBytes | None:
    """Return the secret given by these rows, if there is one and `accept` confirms it."""
    candidate = interpolate_secret(_pick(points, rows), values[rows])
    if candidate is None or accept(candidate):
        return candidate
    candidate.wipe()
    return None


def disagreeing(points: tuple[int, ...], values: FloatArray, threshold: int) -> tuple[int, ...]:
    """Return the points whose share is not on the polynomials through the first `threshold` shares."""
    return _disagreeing(points, values, np.arange(threshold))


def _disagreeing(points: tuple[int, ...], values: FloatArray, rows: IntArray) -> tuple[int, ...]:
    """Return the points whose share is not on the polynomials through the shares in `rows`."""
    if not syndromes(points, values, len(points) - len(rows)).any():
        return ()
    others = np.setdiff1d(np.arange(len(points)), rows)
    expected = field.extrapolate(_pick(points, rows), values[rows], _pick(points, others))
    return _pick(points, others[(expected != values[others]).any(axis=1)])


def _consistent_rows(points: tuple[int, ...], values: FloatArray, threshold: int) -> IntArray | None:
    """Return `threshold` rows on which all limbs agree with the decoded polynomials; None if undecodable."""
    rows = np.arange(len(points))
    # A located limb is free of errors for good, so that no limb is located twice.
    for _ in range(LIMBS + 1):
        live = _pick(points, rows)
        sums = syndromes(live, values[rows], len(rows) - threshold)
        faulty = np.flatnonzero(sums.any(axis=0))
        if not faulty.size:
            return rows[:threshold]
        wrong = locate(live, sums[:, faulty[0]].astype(np.int64))
        if wrong is None:
            return None
        rows = np.delete(rows, wrong)
    return None


def syndromes(points: tuple[int, ...], values: FloatArray, count: int) -> FloatArray:
    """Return the sums of v_i · y_i · x_i^j, for 0 <= j < count: shape (count, columns of `values`).

    All zero exactly when every column lies on a polynomial of degree below len(points) - count.
    """
    if count == 0:
        return np.zeros((0, values.shape[1]))
    weighted = field.reduce(values * field.dual_weights(points)[:, None])
    return field.power_sums(points, weighted, count)


def locate(points: tuple[int, ...], sums: IntArray) -> IntArray | None:
    """Return the rows of the wrong values of one limb, given its non-zero syndromes; None if too many."""
    locator = _shortest_recurrence(sums)
    errors = len(locator) - 1
    if 2 * errors > len(sums):
        return None
    # The locator is the product of (1 - x·z) over the wrong points x: reversed, its roots are the points.
    at_points = field.evaluate(locator[::-1].astype(np.float64)[:, None], points)[:, 0]
    wrong: IntArray = np.flatnonzero(at_points == 0)
    return wrong if len(wrong) == errors else None


def _shortest_recurrence(sequence: IntArray) -> IntArray:
    """Return c (c_0 = 1) of least length L+1 with sum of c_i · s_(n-i) = 0 mod p for all L <= n < len(s).

    Berlekamp-Massey; the search is given up, with a c that is too long to be of use, when L exceeds half
    of the sequence. Products of two elements summed over at most 2^16 terms stay below 2^48.
    """
    size = len(sequence) + 1
    current = np.zeros(size, dtype=np.int64)
    current[0] = 1
    former = current.copy()
    length, former_length, shift, former_discrepancy = 0, 0, 1, 1
    for n in range(len(sequence)):
        window = sequence[n - length : n + 1][::-1]
        discrepancy = int(np.dot(current[: length + 1], window)) % PRIME
        if discrepancy == 0:
            shift += 1
            continue
        factor = discrepancy * pow(former_discrepancy, -1, PRIME) % PRIME
        grows = 2 * length <= n
        previous = current.copy() if grows else current
        stop = shift + former_length + 1
        current[shift:stop] = (current[shift:stop] - factor * former[: former_length + 1]) % PRIME
        if grows:
            former, former_discrepancy, shift = previous, discrepancy, 1
            length, former_length = n + 1 - length, length
            if 2 * length > len(sequence):
                break
        else:
            shift += 1
    return current[: length + 1]


def _pick(points: tuple[int, ...], rows: IntArray) -> tuple[int, ...]:
    return tuple(points[row] for row in rows.tolist())
