"""Rebuilding many secrets of which each has holders of its own, and all shares agree (Specification §5.4).

In a sparse graph hardly two secrets have the same holders once some dropped, so that nothing can be combined. Their
number is the same: syndromes and weights of many secrets are one array each. Every limb of every share is compared.
Must not know who lies: a secret whose shares disagree is work for `batch_decoding`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import field
from secagg.crypto.field import FloatArray, IntArray
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import are_canonical_elements, secrets_of
from secagg.errors import ParameterError

MOST_HOLDERS: Final = 128
"""Beyond so many, differences of all points take longer than combining."""
_BLOCK: Final = 1 << 17


def agreed_apart(points: IntArray, elements: NDArray[np.uint16], threshold: int) -> list[SecretBytes | None]:
    """Rebuild each secret of which all shares agree; None for every other one, and where a limb is out of range.

    Args:
        points: where the shares are held: shape (secrets, holders), the points of each secret distinct.
        elements: of the shares: shape (secrets, holders, 18); left as they are.
        threshold: shares that determine a secret.

    Nothing is verified here. Memory is bounded beside the arguments.

    Raises:
        ParameterError: a threshold below 1 or above the number of holders, or bad points.
    """
    secrets, holders = points.shape
    if not 1 <= threshold <= holders:
        raise ParameterError(f"{holders} shares of each secret do not fit threshold {threshold}")
    for each in points.tolist():
        field.check_points(each)
    step = max(1, _BLOCK // holders**2)
    found: list[SecretBytes | None] = []
    for start in range(0, secrets, step):
        block = slice(start, start + step)
        values = elements[block].astype(np.float64)
        agreed = np.all(are_canonical_elements(elements[block]), axis=1) & _agree(points[block], values, threshold)
        rebuilt = secrets_of(_at_zero(points[block, :threshold], values[:, :threshold]))
        values.fill(0)
        found += [secret if sound else None for secret, sound in zip(rebuilt, agreed.tolist(), strict=True)]
    return found


def _agree(points: IntArray, values: FloatArray, threshold: int) -> NDArray[np.bool_]:
    """Whether all limbs of each secret lie on polynomials: their syndromes vanish (`decoding.syndromes`)."""
    dual = field.exp(-field.log_products(points[:, :, None] - points[:, None, :]))
    powers = field.exp(field.logs(points)[:, None, :] * np.arange(points.shape[1] - threshold)[:, None])
    sums = field.reduce(np.matmul(powers, field.reduce(values * dual[:, :, None])))
    agreed: NDArray[np.bool_] = np.logical_not(sums.any(axis=(1, 2)))
    return agreed


def _at_zero(points: IntArray, values: FloatArray) -> FloatArray:
    """The polynomials through the values, at 0: shape (secrets, 18) (`field.lagrange_weights_at_zero`)."""
    logs = field.logs(points)
    apart = field.log_products(points[:, None, :] - points[:, :, None])
    weights = field.exp(logs.sum(axis=1, keepdims=True) - logs - apart)
    return field.reduce(np.matmul(weights[:, None, :], values)[:, 0])
