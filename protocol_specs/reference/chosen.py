"""What only the experimental topology `chosen` has: conditions (§2.4), holders and sets (§2.5), and its fields (§6)."""

import math
from collections.abc import Callable, Collection, Mapping
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from itertools import accumulate

from protocol_specs.reference import wire
from protocol_specs.reference.errors import Undecodable
from protocol_specs.reference.parameters import Parameters

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


def draw_holders(p: Parameters, client: int, random: Callable[[int], bytes]) -> tuple[int, ...]:
    """k of the other clients, each such subset with the same probability; draws in the order of conformance.md."""
    others = [other for other in p.cohort if other != client]
    taken = set[int]()
    for j in range(len(others) - p.degree, len(others)):
        place = _below(j + 1, random)
        taken.add(j if place in taken else place)
    return tuple(others[place] for place in sorted(taken))


def _below(bound: int, random: Callable[[int], bytes]) -> int:
    """A number below the bound, uniform."""
    even = 2**64 - 2**64 % bound
    while (drawn := int.from_bytes(random(8), "big")) >= even:
        pass
    return drawn % bound


def as_bytes(p: Parameters, members: Collection[int]) -> bytes:
    """A set of clients of the cohort, one bit for each."""
    bits = sum(1 << place for place, client in enumerate(p.cohort) if client in members)
    return bits.to_bytes(-(-len(p.cohort) // 8), "little")


def members_of(p: Parameters, given: bytes) -> frozenset[int]:
    """The clients of such a set; raises `Undecodable`."""
    bits = int.from_bytes(given, "little")
    members = frozenset(client for place, client in enumerate(p.cohort) if bits >> place & 1)
    if as_bytes(p, members) != given:
        raise Undecodable("a set of clients has another length, or a bit without a client")
    return members


def edges_to_cut(drawn: Mapping[int, tuple[int, ...]], most: int) -> frozenset[tuple[int, int]]:
    """Edges, lower id first, without which nobody has more than so many choosers that are not its own holders."""
    cut = set[tuple[int, int]]()
    for u in sorted(drawn):
        choosers = [w for w in sorted(drawn) if u in drawn[w] and w not in drawn[u]]
        kept = [w for w in choosers if (min(u, w), max(u, w)) not in cut]
        cut |= {(min(u, w), max(u, w)) for w in kept[most:]}
    return frozenset(cut)


_CHOSEN_ONLY = {
    wire.AdvertiseKeysResponse: ("holders",),
    wire.MaskedInputCollectionRequest: ("sharers",),
    wire.ConsistencyCheckRequest: ("contributor_set", "inclusions"),
}
_OTHERS_ONLY = {wire.ConsistencyCheckRequest: ("contributors",), wire.UnmaskingRequest: ("survivors", "dropped")}
_SETS = {wire.MaskedInputCollectionRequest: "sharers", wire.ConsistencyCheckRequest: "contributor_set"}


def check_fields(p: Parameters, body: wire.Request | wire.Response) -> None:
    """Raise `Undecodable` for a field or body that the session's topology does not have, or a set of another form."""
    foreign = isinstance(body, wire.MaskedInputCollectionResponse if p.chosen else wire.ChosenInputResponse)
    names = (_OTHERS_ONLY if p.chosen else _CHOSEN_ONLY).get(type(body), ())
    if foreign or any(getattr(body, name) for name in names):
        raise Undecodable("a field or body that this topology does not have")
    if p.chosen and type(body) in _SETS:
        members_of(p, getattr(body, _SETS[type(body)]))
