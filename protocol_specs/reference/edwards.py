"""Points of edwards25519 as pairs of plain integers (RFC 8032), which proofs are made of (§3.6).

Slow, and not constant in time.
"""

from functools import cache, lru_cache

Point = tuple[int, int]
_Extended = tuple[int, int, int, int]
"""(X, Y, Z, T) of the point (X/Z, Y/Z), with T = X·Y/Z (RFC 8032 §5.1.4)."""

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the base point, L."""
IDENTITY: Point = (0, 1)

_D = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def _extended(point: Point) -> _Extended:
    x, y = point
    return x, y, 1, x * y % P


def _affine(point: _Extended) -> Point:
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return x * inverse % P, y * inverse % P


def _sum(p: _Extended, q: _Extended) -> _Extended:
    (x1, y1, z1, t1), (x2, y2, z2, t2) = p, q
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * _D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    return _affine(_sum(_extended(a), _extended(b)))


def subtract(a: Point, b: Point) -> Point:
    """The difference of two points."""
    x, y = b
    return add(a, (-x % P, y))


@lru_cache(maxsize=1 << 14)
def _doubled(times: int, point: Point) -> _Extended:
    """A point that is doubled so many times; of the base point, and of others that are checked first, used again."""
    if times == 0:
        return _extended(point)
    half = _doubled(times - 1, point)
    return _sum(half, half)


@lru_cache(maxsize=1 << 14)  # made-up sessions prove the same again and again
def multiply(scalar: int, point: Point) -> Point:
    """A multiple of a point; the scalar is not negative."""
    result = _extended(IDENTITY)
    for times in range(scalar.bit_length()):
        doubled = _doubled(times, point)  # of every bit: else a lone high one is as many calls deep
        if scalar >> times & 1:
            result = _sum(result, doubled)
    return _affine(result)


def encode(point: Point) -> bytes:
    """The one encoding of a point."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


@lru_cache(maxsize=1 << 12)
def with_coordinate(y: int, sign: int) -> Point:
    """The point with this y, and an x that is odd if `sign` is 1; raises ValueError if there is none on the curve."""
    y %= P
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        raise ValueError("not on the curve")
    return (-x % P if x & 1 != sign else x, y)


def decode(encoding: bytes) -> Point:
    """The point that has this for its one encoding; raises ValueError if there is none."""
    number = int.from_bytes(encoding, "little")
    point = with_coordinate(number % 2**255, number >> 255)
    if encode(point) != encoding:
        raise ValueError("a second encoding")
    return point


@cache
def has_prime_order(point: Point) -> bool:
    """Whether a point generates the group of prime order: not the identity, and no part of low order."""
    return point != IDENTITY and multiply(ORDER, point) == IDENTITY


BASE = with_coordinate(4 * pow(5, -1, P) % P, 0)
