"""Targets: Shamir shares that lie, and shares that stand for anything.

Invariant: only a SecAggError leaves; share sets rebuild what plain interpolation modulo 65521 gives, or are refused;
with at most floor((m-t)/2) wrong ones of m well-formed shares `recover` finds the secret and names exactly the wrong
holders; it never returns a secret that was not accepted. `recover_together` differs from it in nothing that it answers,
whoever is suspected. What `split_shares` takes joins to the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fuzz.invariant import Program, attempt, hold
from secagg.crypto.batch_decoding import recover_together
from secagg.crypto.decoding import Recovery, recover
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import (
    LIMB_BITS,
    LIMBS,
    SECRET_BYTES,
    SHARE_BYTES,
    elements_in,
    reconstruct,
    share_secrets,
    split_shares,
)
from secagg.testing.randomness import DeterministicRandomSource

PRIME = 65_521
_MAX_HOLDERS = 12


class Suspected:
    """Points of each secret at which shares are said to be wrong, whatever is found."""

    def __init__(self, by_secret: Sequence[tuple[int, ...]], points: tuple[int, ...]) -> None:
        self._by_secret = by_secret
        self._points = points

    def places(self, secrets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where any of these secrets is said to have wrong shares."""
        known = {point for secret in secrets.tolist() for point in self._by_secret[secret]}
        return np.flatnonzero(np.isin(self._points, sorted(known)))

    def found(self, secret: int, places: NDArray[np.int64]) -> None:
        """Hear it, and go on as before."""


def sharing(data: bytes) -> None:
    """Bit 0 of the first byte: shares of a real secret, some of them changed; or arbitrary shares."""
    program = Program(data)
    if program.byte() & 1:
        _shares_that_lie(program)
    else:
        _arbitrary_shares(program)


def limbs(share: bytes) -> list[int]:
    """The 18 elements of a share."""
    return [int.from_bytes(share[at : at + 2], "big") for at in range(0, len(share), 2)]


def canonical(share: bytes) -> bool:
    """Whether 36 bytes are 18 elements below the prime."""
    return len(share) == SHARE_BYTES and all(limb < PRIME for limb in limbs(share))


@lru_cache(maxsize=512)
def _shared(secret: bytes, threshold: int, degree: int) -> tuple[bytes, ...]:
    source = DeterministicRandomSource(secret)
    return tuple(bytes(share.expose()) for share in share_secrets([SecretBytes(secret)], threshold, degree, source))


def _shares_that_lie(program: Program) -> None:
    degree = program.byte() % _MAX_HOLDERS + 1
    threshold = program.byte() % degree + 1
    secret = bytes([program.byte()]) * SECRET_BYTES
    honest = _shared(secret, threshold, degree)
    shares = dict(enumerate(honest, start=1))
    while program.more:
        point, kind = program.byte() % degree + 1, program.byte()
        at = kind % LIMBS
        match kind >> 6:
            case 0:
                shares.pop(point, None)
            case 1:
                element = program.take(2)
                shares[point] = shares.get(point, honest[point - 1])[: 2 * at] + element + bytes(SHARE_BYTES)
                shares[point] = shares[point][: 2 * at + 2] + honest[point - 1][2 * at + 2 :]
            case 2:
                shares[point] = program.take(kind & 0x3F)
            case _:
                shares[point] = honest[kind % degree]
    wrong = {point for point, share in shares.items() if share != honest[point - 1]}
    formed = [point for point in shares if canonical(shares[point])]
    lies = len(wrong & set(formed))
    held = {point: SecretBytes(share) for point, share in shares.items()}
    suspects = tuple(sorted(point for point in shares if honest[point - 1][0] & 1))
    found = attempt(lambda: recover(held, threshold, lambda candidate: candidate == SecretBytes(secret)))
    if found is not None:
        hold(bytes(found.secret.expose()) == secret, "recover returned a secret that was not accepted")
    if len(formed) >= threshold and lies <= (len(formed) - threshold) // 2:
        hold(found is not None, f"{lies} wrong of {len(formed)} shares at threshold {threshold} were not corrected")
        named = found.inconsistent if found else ()
        hold(named == tuple(sorted(wrong)), f"recover names {named} where {sorted(wrong)} are wrong")
    if all(len(share) == SHARE_BYTES for share in shares.values()):
        points = tuple(sorted(shares))
        batch = _together(points, shares, threshold, suspects)
        if batch is not None and bytes(batch.secret.expose()) == secret:
            hold(found is not None and found == batch, "a batch of one differs from recover")
        if lies == len(wrong) <= (len(shares) - threshold) // 2 and len(shares) >= threshold:
            hold(batch is not None, "a batch of one leaves what can be corrected")


def _arbitrary_shares(program: Program) -> None:
    threshold, count, taste = program.byte() % 7, program.byte() % 7, program.byte()
    shares = {program.number(): program.take(SHARE_BYTES - (1 if taste & 1 else 0)) for _ in range(count)}
    held = {point: SecretBytes(share) for point, share in shares.items()}
    found = attempt(lambda: reconstruct(held, threshold))
    points = sorted(shares)[:threshold]
    sound = threshold >= 1 and len(shares) >= threshold and all(1 <= point < PRIME for point in shares)
    expected = None
    if sound and all(canonical(shares[point]) for point in points):
        expected = _interpolated({point: shares[point] for point in points})
    hold((None if found is None else bytes(found.expose())) == expected, "reconstruct differs from interpolation")
    if sound and all(len(shares[point]) == SHARE_BYTES for point in points):
        batch = _together(tuple(points), shares, threshold, ())
        hold((None if batch is None else batch.secret) == found, "a batch of one differs from reconstruct")
    seen: list[bytes] = []

    def accept(candidate: SecretBytes) -> bool:
        seen.append(bytes(candidate.expose()))
        return seen[-1][-1] & 3 == taste >> 1 & 3

    recovered = attempt(lambda: recover(held, threshold, accept))
    if recovered is not None:
        secret = bytes(recovered.secret.expose())
        hold(secret in seen and secret[-1] & 3 == taste >> 1 & 3, "recover returned what was not accepted")
        hold(set(recovered.inconsistent) <= set(shares), "recover names a holder that is none")


def _together(
    points: tuple[int, ...], shares: dict[int, bytes], threshold: int, suspects: tuple[int, ...]
) -> Recovery | None:
    joined = elements_in(SecretBytes(b"".join(shares[point] for point in points))).reshape(1, -1, LIMBS)
    source = DeterministicRandomSource(0)
    hints = Suspected([suspects], points)
    batch = attempt(lambda: recover_together(points, joined, threshold, hints, source))
    return batch[0] if batch else None


def _interpolated(shares: dict[int, bytes]) -> bytes | None:
    """The secret by Lagrange at zero in integers; None when a limb is out of range."""
    number = 0
    for place in range(LIMBS):
        limb = 0
        for point, share in shares.items():
            others = [other for other in shares if other != point]
            top = math.prod(others) % PRIME
            bottom = math.prod(other - point for other in others) % PRIME
            limb += limbs(share)[place] * top * pow(bottom, -1, PRIME)
        limb %= PRIME
        if limb >= 1 << LIMB_BITS:
            return None
        number = number << LIMB_BITS | limb
    return number.to_bytes(SECRET_BYTES + 2, "big")[2:] if number < 1 << 256 else None


def split(data: bytes) -> None:
    """split_shares on any bytes: what it takes is canonical and joins to the same bytes."""
    parts = attempt(lambda: split_shares(SecretBytes(data)))
    cut = [data[at : at + SHARE_BYTES] for at in range(0, len(data), SHARE_BYTES)]
    sound = bool(cut) and all(canonical(part) for part in cut)
    hold((parts is not None) == sound, "split_shares takes what is no share, or refuses what is one")
    if parts is not None:
        hold(b"".join(bytes(part.expose()) for part in parts) == data, "shares join to other bytes")
