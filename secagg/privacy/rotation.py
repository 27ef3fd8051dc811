"""A public rotation that spreads an update evenly over its entries, so that each of them needs fewer bits.

An update of d entries is padded to d' = m 2^k, k = max(0, ceil(log2 d) - 4), m <= 16 (at most 12.5 % more). Its signs
are flipped by public coins, and it is multiplied by Q = (DCT-II of m) x (Hadamard of 2^k), orthonormal, in place.
Entries of Q are at most sqrt(2/d'). A bijection of public parameters: privacy does not depend on it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.prg import AesCtrPrg
from secagg.crypto.secret import SecretBytes

SIGN_BYTES: Final = 16
_FACTOR_BITS: Final = 4
_RADIX_BITS: Final = 5
_BLOCK_BITS: Final = 15
_UNLUCKY_BITS: Final = 20
# Products are so small that BLAS does them in the calling thread: on a busy machine, waiting for its threads at every
# call took 60 times as long.
_COLUMNS: Final = 2**7


def padded_length(entries: int) -> int:
    """Return d' for d entries: m 2^k with m <= 16."""
    factor, bits = _shape(entries)
    return factor << bits


def entry_limit(steps: int, length: int) -> int:
    """Return the largest entry that a rotated vector of norm `steps` has, up to a probability of 2^-20 for all entries.

    By Hoeffding, one of d' entries is above A with probability at most 2 exp(-A^2 d' / (4 steps^2)).
    """
    exponent = 4 * (math.log(2 * length) + _UNLUCKY_BITS * math.log(2))
    return math.ceil(steps * math.sqrt(exponent / length)) + 1


def rotate(vector: NDArray[np.float64], signs: bytes) -> None:
    """Flip signs and multiply by Q, in place.

    Args:
        vector: float64, of a padded length.
        signs: 16 public bytes that the coins come from.
    """
    _flip(vector, signs)
    _multiply(vector, forward=True)


def rotate_back(vector: NDArray[np.float64], signs: bytes) -> None:
    """Multiply by the transpose of Q and flip the signs back, in place; see :func:`rotate`."""
    _multiply(vector, forward=False)
    _flip(vector, signs)


def _shape(entries: int) -> tuple[int, int]:
    bits = max(0, (entries - 1).bit_length() - _FACTOR_BITS)
    return -(-entries >> bits) if bits else entries, bits


def _flip(vector: NDArray[np.float64], signs: bytes) -> None:
    stream = AesCtrPrg().open(SecretBytes(signs))
    block = 1 << _BLOCK_BITS
    words = np.empty(block // 64, dtype=np.uint64)
    for start in range(0, len(vector), block):
        piece = vector[start : start + block]
        stream.fill(words, start // 64)
        octets = words.astype("<u8", copy=False).view(np.uint8)
        coins = np.unpackbits(octets, count=len(piece), bitorder="little")
        np.multiply(piece, 1.0 - 2.0 * coins, out=piece)


def _multiply(vector: NDArray[np.float64], *, forward: bool) -> None:
    factor, bits = _shape(len(vector))
    rows = vector.reshape(factor, 1 << bits)
    if bits:
        for row in rows:
            _hadamard(row, bits)
    matrix = _cosines(factor) * 2.0 ** (-bits / 2)
    _columns(matrix if forward else np.ascontiguousarray(matrix.T), rows)


def _hadamard(row: NDArray[np.float64], bits: int) -> None:
    """Multiply by the Hadamard matrix of 2^bits: first blocks that stay in the cache, then across them."""
    block_bits = min(bits, _BLOCK_BITS)
    block = 1 << block_bits
    first, second = np.empty(block, dtype=np.float64), np.empty(block, dtype=np.float64)
    for start in range(0, len(row), block):
        piece = row[start : start + block]
        source, target, spare, done = piece, first, second, 0
        while done < block_bits:
            radix = min(_RADIX_BITS, block_bits - done)
            matrix, low = _signs(radix), 1 << done
            if done == 0:
                shape = (-1, min(block >> radix, _COLUMNS), 1 << radix)
                np.matmul(source.reshape(shape), matrix, out=target.reshape(shape))
            else:
                pieces = (-1, 1 << radix, max(1, low // _COLUMNS), min(low, _COLUMNS))
                read, written = (each.reshape(pieces).swapaxes(1, 2) for each in (source, target))
                np.matmul(matrix, read, out=written)
            source, target, spare, done = target, spare, target, done + radix
        piece[:] = source
    done = block_bits
    while done < bits:
        radix = min(_RADIX_BITS, bits - done)
        for group in row.reshape(-1, 1 << radix, 1 << done):
            _columns(_signs(radix), group)
        done += radix


def _columns(matrix: NDArray[np.float64], columns: NDArray[np.float64]) -> None:
    """Replace a two-dimensional array by `matrix @ columns`, some columns at a time."""
    for start in range(0, columns.shape[1], _COLUMNS):
        piece = columns[:, start : start + _COLUMNS]
        piece[:] = matrix @ piece


@lru_cache(maxsize=8)
def _signs(bits: int) -> NDArray[np.float64]:
    """The Hadamard matrix of 2^bits, symmetric, of ones and minus ones."""
    matrix = np.ones((1, 1))
    for _ in range(bits):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def _cosines(size: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II matrix."""
    row, column = np.arange(size)[:, None], np.arange(size)[None, :]
    matrix: NDArray[np.float64] = np.cos(np.pi * row * (2 * column + 1) / (2 * size)) * math.sqrt(2 / size)
    matrix[0] = math.sqrt(1 / size)
    return matrix
