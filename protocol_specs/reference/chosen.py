"""What only the experimental topology `chosen` has: its conditions (§2.4), holders (§2.5), and sets as bitmaps (§6)."""

import math
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from itertools import accumulate

_MOST_CLIENTS = 2**20
_EXACT_ENOUGH = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)


def corrupt_holders(clients: int, corrupt: int, degree: int, security_bits: int) -> int:
    """t1 of §2.4: the least x with Pr[HG(n - 1, c, k) > x] <= 2^-(security_bits + 1)/n, exactly."""
    others = clients - 1
    allowed = math.comb(others, degree)  # of so many draws, times n and 2^(security_bits + 1)
    more, x = 0, min(degree, corrupt)
    while x > 0:
        more += math.comb(corrupt, x) * math.comb(others - corrupt, degree - x)
        if more * clients << (security_bits + 1) > allowed:
            break
        x -= 1
    return x


def resists(clients: int, corrupt: int, degree: int, threshold: int, security_bits: int, floor: int) -> bool:
    """Whether a chosen graph withstands so many corrupt clients, every sum having `floor` honest inputs (§6.1).

    p_s is the probability that the one of a client's holders that is the m-th to be met in some fixed order of the
    others is met among the first s - 1 of them: a running sum of integers.
    """
    if clients > _MOST_CLIENTS:
        return False
    t1 = corrupt_holders(clients, corrupt, degree, security_bits)
    mutual, honest, others = threshold - t1, clients - corrupt, clients - 1
    largest = max(honest // 2, floor - 1)
    if 2 * threshold < degree + t1 + 1 or largest >= honest:
        return False
    exact, draws = _EXACT_ENOUGH, math.comb(others, degree)
    met = accumulate(
        math.comb(x - 1, mutual - 1) * math.comb(others - x, degree - mutual) for x in range(mutual, largest)
    )
    total, limit = Decimal(0), exact.power(Decimal(2), -(security_bits + 1))
    sets = exact.create_decimal(math.comb(honest, mutual))
    for size, favourable in enumerate(met, start=mutual + 1):
        inside = exact.divide(Decimal(favourable), Decimal(draws))
        sets = exact.divide(exact.multiply(sets, Decimal(honest - size + 1)), Decimal(size))
        total = exact.add(total, exact.multiply(sets, exact.power(inside, size)))
        if total > limit:
            return False
    return True
