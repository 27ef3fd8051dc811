"""Shamir secret sharing of 32-byte secrets (Specification §5.1-§5.3; Shamir 1979).

A secret is the big-endian 256-bit integer of its 32 bytes, padded with 14 zero bits at the *top* to 270 bits
and cut into 18 limbs of 15 bits; limb 0 is the most significant (so it is 0 or 1). Widths are fixed, so
leading zero bytes survive. Each limb is the constant term of its own polynomial of degree threshold-1 over
GF(65521); the share of the holder at point x is the 18 values at x, each a big-endian 16-bit integer:
36 bytes. Points are 1..degree. Element p or above is not canonical and refused; a reconstructed limb of
2^15 or more, or a limb 0 above 1, shows that the shares do not belong together and is refused too.

Any threshold-1 shares of a secret are independent of it, up to the bias of `field.uniform`.

Must not know: who the holders are, what the secrets mean, or how to find wrong shares (that is `decoding`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import field
from secagg.crypto.field import FloatArray
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import ParameterError, RemoteProtocolError

SECRET_BYTES: Final = 32
LIMBS: Final = 18
LIMB_BITS: Final = 15
SHARE_BYTES: Final = 2 * LIMBS
PAIR_BYTES: Final = 2 * SHARE_BYTES
MAX_HOLDERS: Final = field.PRIME - 1

_PADDING_BITS: Final = LIMBS * LIMB_BITS - 8 * SECRET_BYTES
_LIMB_BOUNDS: Final = 2.0 ** np.array([LIMB_BITS - _PADDING_BITS] + [LIMB_BITS] * (LIMBS - 1))
_LIMB_PLACES: Final = 2.0 ** np.arange(LIMB_BITS - 1, -1, -1)
_BYTE_PLACES: Final = 2.0 ** np.arange(7, -1, -1)
_NO_SHARE: Final = memoryview(bytes(SHARE_BYTES))
_BATCH_ELEMENTS: Final = 2**16  # field elements of shares held at once in a batch: 512 KiB


class ShareError(RemoteProtocolError):
    """A share that is no share, or shares that do not belong together."""


def share_secrets(
    secrets: Sequence[SecretBytes],
    threshold: int,
    degree: int,
    randomness: RandomSource,
    points: Sequence[int] | None = None,
) -> list[SecretBytes]:
    """Share each of `secrets` (32 bytes each) among `degree` holders, `threshold` of whom reconstruct.

    Returns one SecretBytes of 36 · len(secrets) bytes for each of `points`, in their order: the holder's
    shares of all secrets, one after the other (`split_shares` cuts them apart). `points` defaults to
    1..degree; a subset asks for the shares of these holders only.

    Raises:
        ParameterError: no secret or one that is not 32 bytes; threshold outside 1..degree; degree above
            65520; a point outside 1..degree or repeated.
    """
    rows = share_rows(secrets, threshold, degree, randomness, points)
    shares = [SecretBytes(row.data) for row in rows]
    rows.fill(0)
    return shares


def share_rows(
    secrets: Sequence[SecretBytes],
    threshold: int,
    degree: int,
    randomness: RandomSource,
    points: Sequence[int] | None = None,
) -> NDArray[np.uint8]:
    """Do what `share_secrets` does, with a row for each point: uint8, shape (points, 36 · len(secrets)).

    The caller overwrites the rows once they are sealed.
    """
    holders = _checked_holders(threshold, degree, points)
    if not secrets:
        raise ParameterError("there is no secret to share; give at least one")
    for secret in secrets:
        if len(secret) != SECRET_BYTES:
            raise ParameterError(f"a shared secret has {SECRET_BYTES} bytes; this one has {len(secret)}")
    coefficients = np.empty((threshold, LIMBS * len(secrets)), dtype=np.float64)
    coefficients[0] = _limbs_of(secrets).reshape(-1)
    coefficients[1:] = field.uniform(randomness, (threshold - 1, LIMBS * len(secrets)))
    values = field.evaluate(coefficients, holders)
    elements = values.astype(">u2").view(np.uint8)
    for array in (coefficients, values):
        array.fill(0)
    return elements


def split_shares(shares: SecretBytes) -> tuple[SecretBytes, ...]:
    """Cut concatenated shares of one holder into shares of 36 bytes each.

    Raises ShareError when the length is not a positive multiple of 36 or an element is not canonical.
    """
    if not len(shares):
        raise ShareError(f"shares of 0 bytes are not a whole number of {SHARE_BYTES}-byte shares")
    if not are_canonical_elements(elements_in(shares)).all():
        raise _not_canonical()
    view = shares.expose()
    return tuple(SecretBytes(view[start : start + SHARE_BYTES]) for start in range(0, len(shares), SHARE_BYTES))


def check_share(share: SecretBytes) -> None:
    """Raise ShareError unless `share` has 36 bytes and all its elements are canonical (below p)."""
    if len(share) != SHARE_BYTES:
        raise ShareError(f"a share has {SHARE_BYTES} bytes; this one has {len(share)}")
    if not are_canonical([share])[0]:
        raise _not_canonical()


def are_canonical(shares: Sequence[SecretBytes]) -> NDArray[np.bool_]:
    """Tell for each share whether `check_share` would accept it; shape (len(shares),)."""
    return elements_of(shares)[1]


def are_canonical_elements(elements: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Tell for each share, given as rows of 18 elements, whether all of them are below p; shape (shares,)."""
    canonical: NDArray[np.bool_] = np.all(elements < field.PRIME, axis=-1)
    return canonical


def all_canonical(elements: NDArray[np.uint16]) -> bool:
    """Tell whether all elements of shares, of any shape, are below p."""
    return bool(elements.max(initial=0) < field.PRIME)


def reconstruct(shares: Mapping[int, SecretBytes], threshold: int) -> SecretBytes:
    """Return the secret given by the `threshold` shares with the smallest points; others are ignored.

    `shares` maps points to 36-byte shares. Nothing here can tell a wrong share from a right one: compare
    the result with what was published about the secret, or use `decoding.recover`.

    Raises:
        ParameterError: threshold below 1, fewer shares than threshold, or a point outside 1..65520.
        ShareError: a share is malformed, or the shares do not belong together.
    """
    if threshold < 1:
        raise ParameterError(f"threshold {threshold} is below 1; use the threshold of the sharing")
    if len(shares) < threshold:
        raise ParameterError(f"{len(shares)} shares cannot meet threshold {threshold}; collect more shares")
    field.check_points(list(shares))
    points = tuple(sorted(shares)[:threshold])
    chosen = [shares[point] for point in points]
    values, canonical = elements_of(chosen)
    _require_canonical(chosen, canonical)
    secret = interpolate_secret(points, values)
    values.fill(0)
    if secret is None:
        raise ShareError(f"the {threshold} shares do not belong to one secret: a limb is out of range")
    return secret


def elements_of(shares: Sequence[SecretBytes]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the elements of shares (float64, shape (len(shares), 18)) and which shares are canonical.

    The row of a share that does not have 36 bytes is zero.
    """
    views = [share.expose() for share in shares]
    right_length = np.array([len(view) == SHARE_BYTES for view in views], dtype=np.bool_)
    if not right_length.all():
        views = [view if len(view) == SHARE_BYTES else _NO_SHARE for view in views]
    joined = bytearray().join(views)
    elements = np.frombuffer(joined, dtype=">u2").reshape(len(shares), LIMBS)
    canonical = are_canonical_elements(elements) & right_length
    values = elements.astype(np.float64)
    elements.fill(0)
    return values, canonical


def elements_in(joined: SecretBytes, width: int = SHARE_BYTES) -> NDArray[np.uint16]:
    """Return the elements of shares that lie one after the other: big-endian uint16, shape (shares, 18), read-only.

    Each begins a row of `width` bytes, an even number from 36 on. A view, which shows zeros once `joined` is wiped;
    elements are as they came, canonical or not. Raises ShareError when the length is not a multiple of the width.
    """
    if len(joined) % width:
        raise ShareError(f"shares of {len(joined)} bytes are not a whole number of {width}-byte shares")
    return np.frombuffer(joined.expose(), dtype=">u2").reshape(-1, width // 2)[:, :LIMBS]


def secrets_at_once(points: int) -> int:
    """Return how many secrets to work on together, so that the memory of a batch is bounded."""
    return max(1, _BATCH_ELEMENTS // (LIMBS * points))


def interpolate_secret(points: tuple[int, ...], values: FloatArray) -> SecretBytes | None:
    """Return the secret of the polynomials through `values` (shape (len(points), 18)) at `points`.

    None when a limb is out of range. Raises ParameterError for bad points.
    """
    return interpolate_secrets(points, values[None])[0]


def interpolate_secrets(points: tuple[int, ...], values: FloatArray) -> list[SecretBytes | None]:
    """Do what `interpolate_secret` does for many secrets: `values` has shape (secrets, len(points), 18)."""
    return secrets_of(field.weighted_sum(field.lagrange_weights_at_zero(points), values))


def secrets_of(limbs: FloatArray) -> list[SecretBytes | None]:
    """Return the secrets whose limbs are the rows, of 18 each; None for a row with a limb out of range."""
    in_range: NDArray[np.bool_] = np.all(limbs < _LIMB_BOUNDS, axis=1)
    words = limbs.astype(np.uint16)
    bits = words[:, :, None] >> np.arange(LIMB_BITS - 1, -1, -1, dtype=np.uint16) & 1
    bits = bits.reshape(len(limbs), LIMBS * LIMB_BITS)[:, _PADDING_BITS:]
    octets = (bits.reshape(len(limbs), SECRET_BYTES, 8) @ _BYTE_PLACES).astype(np.uint8)
    secrets = [SecretBytes(row.data) if fits else None for row, fits in zip(octets, in_range, strict=True)]
    octets.fill(0)
    return secrets


def _checked_holders(threshold: int, degree: int, points: Sequence[int] | None) -> tuple[int, ...]:
    if not 1 <= degree <= MAX_HOLDERS:
        raise ParameterError(f"degree {degree} is outside 1..{MAX_HOLDERS}; use fewer holders per secret")
    if not 1 <= threshold <= degree:
        raise ParameterError(f"threshold {threshold} is outside 1..{degree}, the number of holders")
    if points is None:
        return tuple(range(1, degree + 1))
    field.check_points(points)
    for point in points:
        if point > degree:
            raise ParameterError(f"share point {point} is outside 1..{degree}, the points of the holders")
    return tuple(points)


def _not_canonical() -> ShareError:
    return ShareError(f"a share holds an element that is not below the field prime {field.PRIME}")


def _require_canonical(shares: Sequence[SecretBytes], canonical: NDArray[np.bool_]) -> None:
    if not canonical.all():
        check_share(shares[int(np.argmin(canonical))])


def _limbs_of(secrets: Sequence[SecretBytes]) -> FloatArray:
    """Cut secrets into limbs: float64, shape (len(secrets), 18). No look-up table is involved."""
    joined = bytearray().join(secret.expose() for secret in secrets)
    octets = np.frombuffer(joined, dtype=np.uint8).reshape(len(secrets), SECRET_BYTES)
    bits = np.zeros((len(secrets), LIMBS * LIMB_BITS), dtype=np.float64)
    bits[:, _PADDING_BITS:] = (octets[:, :, None] >> np.arange(7, -1, -1, dtype=np.uint8) & 1).reshape(len(secrets), -1)
    limbs: FloatArray = bits.reshape(len(secrets), LIMBS, LIMB_BITS) @ _LIMB_PLACES
    bits.fill(0)
    return limbs
