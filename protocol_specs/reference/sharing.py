"""Sharing a secret (§5.2), rebuilding it (§5.3), and wrong shares (§5.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from protocol_specs.reference.field import P, divide, evaluate, interpolate, solve

Random = Callable[[int], bytes]
Polynomial = Callable[[int], int]

LIMBS = 18
LIMB_BITS = 15
SHARE_BYTES = 2 * LIMBS
_COEFFICIENT_BYTES = 16  # 128 bits modulo p are within 2^-112 of uniform


def to_limbs(secret: bytes) -> list[int]:
    """The 18 limbs of a secret of 32 bytes, the most significant first."""
    number = int.from_bytes(secret, "big")
    return [number >> (LIMB_BITS * (LIMBS - 1 - i)) & (2**LIMB_BITS - 1) for i in range(LIMBS)]


def from_limbs(limbs: Sequence[int]) -> bytes | None:
    """The secret of these limbs, or None if there is none."""
    if max(limbs) >= 2**LIMB_BITS or limbs[0] > 1:
        return None
    number = 0
    for limb in limbs:
        number = number << LIMB_BITS | limb
    return number.to_bytes(32, "big")


def encode_share(elements: Sequence[int]) -> bytes:
    """18 field elements as 36 bytes."""
    return b"".join(element.to_bytes(2, "big") for element in elements)


def decode_share(share: bytes) -> list[int]:
    """The 18 field elements of a share."""
    return [int.from_bytes(share[i : i + 2], "big") for i in range(0, len(share), 2)]


def is_canonical(share: bytes) -> bool:
    """Whether every element is below p (§6.4, S51)."""
    return len(share) == SHARE_BYTES and all(element < P for element in decode_share(share))


def draw_polynomials(secrets: Sequence[bytes], threshold: int, random: Random) -> list[list[list[int]]]:
    """For each secret 18 polynomials of degree t - 1, the limbs being their constant terms.

    The coefficients come from one key in the order of conformance.md, so that a tape gives the same shares everywhere.
    """
    limbs = [limb for secret in secrets for limb in to_limbs(secret)]
    elements = _coefficients(random(32), (threshold - 1) * len(limbs))
    columns = [[limb, *elements[column :: len(limbs)]] for column, limb in enumerate(limbs)]
    return [columns[first : first + LIMBS] for first in range(0, len(columns), LIMBS)]


def _coefficients(key: bytes, count: int) -> list[int]:
    encryptor = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    stream = encryptor.update(bytes(_COEFFICIENT_BYTES * count))
    return [
        int.from_bytes(stream[i : i + _COEFFICIENT_BYTES], "little") % P
        for i in range(0, len(stream), _COEFFICIENT_BYTES)
    ]


def share_at(polynomials: Sequence[Sequence[int]], point: int) -> bytes:
    """The share of the holder at a point."""
    return encode_share([evaluate(polynomial, point) for polynomial in polynomials])


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A secret that was accepted, and the points whose shares are not on its polynomials (S52)."""

    secret: bytes
    inconsistent: list[int]


def rebuild(shares: Mapping[int, bytes], threshold: int, accept: Callable[[bytes], bool]) -> Rebuilt | None:
    """Rebuild a secret from at least t canonical shares, by point; None if nothing is accepted.

    `accept` verifies a candidate against what was advertised: a secret that is accepted is right, whoever lied.
    """
    correctable = (len(shares) - threshold) // 2

    def attempt(polynomials: Sequence[Polynomial] | None) -> Rebuilt | None:
        secret = None if polynomials is None else secret_of(polynomials)
        if polynomials is None or secret is None or not accept(secret):
            return None
        return Rebuilt(secret, off(polynomials, shares))

    plain = attempt(through_the_first(shares, threshold))
    if plain is not None and len(plain.inconsistent) <= correctable:
        return plain
    # Also for a secret that was accepted: errors that cancel at 0 put honest holders off the polynomials.
    points = sorted(shares)
    elements = {point: decode_share(shares[point]) for point in points}
    return attempt(_corrected(points, elements, threshold)) or plain


def agreed(shares: Mapping[int, bytes], threshold: int, accept: Callable[[bytes], bool]) -> bytes | None:
    """The secret of canonical shares, by point, all of which lie on one set of polynomials; None if it is not accepted.

    None, too, if they do not, or if there are fewer than t of them.
    """
    if len(shares) < threshold:
        return None
    polynomials = through_the_first(shares, threshold)
    secret = secret_of(polynomials)
    return secret if secret is not None and not off(polynomials, shares) and accept(secret) else None


def through_the_first(shares: Mapping[int, bytes], threshold: int) -> list[Polynomial]:
    """The polynomials, one for each limb, through the t shares with the smallest points."""
    chosen = sorted(shares)[:threshold]
    elements = [decode_share(shares[x]) for x in chosen]

    def polynomial(limb: int) -> Polynomial:
        values = [each[limb] for each in elements]
        return lambda at: interpolate(chosen, values, at)

    return [polynomial(limb) for limb in range(LIMBS)]


def secret_of(polynomials: Sequence[Polynomial]) -> bytes | None:
    """The secret that is shared with polynomials, or None if there is none."""
    return from_limbs([polynomial(0) for polynomial in polynomials])


def off(polynomials: Sequence[Polynomial], shares: Mapping[int, bytes]) -> list[int]:
    """The points of the shares that are off polynomials, in ascending order."""
    return [x for x in sorted(shares) if [polynomial(x) for polynomial in polynomials] != decode_share(shares[x])]


def _corrected(points: list[int], elements: dict[int, list[int]], threshold: int) -> list[Polynomial] | None:
    """The polynomials that all but ⌊(m - t)/2⌋ shares are on, if there are any."""

    def polynomial(limb: int) -> Polynomial | None:
        found = decode_reed_solomon(points, [elements[x][limb] for x in points], threshold)
        return None if found is None else lambda at: evaluate(found, at)

    polynomials = [found for limb in range(LIMBS) if (found := polynomial(limb)) is not None]
    return polynomials if len(polynomials) == LIMBS else None


def decode_reed_solomon(points: Sequence[int], values: Sequence[int], dimension: int) -> list[int] | None:
    """Berlekamp and Welch: the polynomial of degree below `dimension` that most values are on.

    With e = ⌊(m - dimension)/2⌋ it looks for a monic E of degree e that vanishes where a value is wrong, and a Q of
    degree below dimension + e, such that Q(x) = y·E(x) at every point; the polynomial is Q/E.
    """
    errors = (len(points) - dimension) // 2
    rows = [
        [pow(x, i, P) for i in range(dimension + errors)] + [-y * pow(x, i, P) % P for i in range(errors)]
        for x, y in zip(points, values, strict=True)
    ]
    right = [y * pow(x, errors, P) % P for x, y in zip(points, values, strict=True)]
    solution = solve(rows, right)
    if solution is None:
        return None
    return divide(solution[: dimension + errors], [*solution[dimension + errors :], 1])
