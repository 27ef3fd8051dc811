"""How large cells may be: how many of them liars spoil, and what a rule bears (robust-v1 §1).

Large cells hide a client among more others; small ones leave more cells clean. The law is exact, in whole numbers; what
is said of it is rounded against us. Must not know what a rule does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from secagg.errors import ParameterError
from secagg.parameters import ThreatModel
from secagg.parameters.arguments import as_real, as_whole
from secagg.parameters.graph_conditions import MAX_SHARE_HOLDERS, count_of
from secagg.parameters.hypergeometric import log_probability, log_tail

FLOOR: Final = 5
CAUTIOUS_FLOOR: Final = 8
MANY_COLLUDING: Final = 0.2
MOST_CLIENTS: Final = 1024
"""Beyond, the exact law takes too long, and a bound stands in for it."""
_WANTED_SLACK: Final = Fraction(6, 5)
_WORTH: Final = Fraction(3, 4)
_LARGEST_ADVICE: Final = Fraction(1, 4)
_LEAST_FAILURE: Final = 1e-12
_RAREST: Final = 10**12
_UP: Final = 1 + 1e-9  # more than the logarithms' errors


def _minority(cells: int) -> int:
    return (cells - 1) // 2


def _krum(cells: int) -> int:
    return (cells - 3) // 2


def _all_but_one(cells: int) -> int:
    return cells - 1


RULES: Final[Mapping[str, Callable[[int], int]]] = MappingProxyType(
    {
        "fltrust": _all_but_one,
        "geometric_median": _minority,
        "krum": _krum,
        "median": _minority,
        "multi_krum": _krum,
        "norm_clipped_mean": _minority,
        "root_check": _all_but_one,
        "trimmed_mean": _minority,
    }
)
"""The most spoiled cells of K that each rule bears; negative when it needs more cells."""
_ROOT_RULES: Final = frozenset(name for name, most in RULES.items() if most is _all_but_one)


@dataclass(frozen=True, slots=True)
class SizeChoice:
    """A size of cells, and what speaks for it.

    Attributes:
        size: g, the clients that each cell has at least; for `Partition.draw`.
        cells: K, how many cells there are.
        bears: the most spoiled cells of which the rule still gives an honest result; `b` of rules that ask for it.
        probability: that no more are spoiled, rounded down.
        exposure: that a client finds so few honest others in its cell that the colluding ones and the server can learn
            its input, rounded up.
        explanation: all this in words.
    """

    size: int
    cells: int
    bears: int
    probability: float
    exposure: float
    explanation: str

    def __str__(self) -> str:
        return self.explanation


def most_dirty(rule: str, cells: int) -> int:
    """Return the most spoiled cells of K that a rule bears; negative when it needs more cells than K.

    Median, geometric median, trimmed mean and norm-clipped mean need a majority of clean cells; Krum and multi-Krum
    2D + 3 <= K (Blanchard et al. 2017); rules with data of the server's own one clean cell.

    Args:
        rule: its name, as `RuleJudge` takes it.
        cells: rows that it judges (K).

    Raises:
        ParameterError: an unknown rule.
    """
    if rule not in RULES:
        raise ParameterError(f"rule={rule!r:.40} is unknown; take one of {', '.join(RULES)}")
    return RULES[rule](cells)


def condition_holds(rule: str, cells: int, dirty: int) -> bool:
    """Whether a rule over K cells bears so many spoiled ones.

    Args:
        rule: its name, as `RuleJudge` takes it.
        cells: rows that it judges (K).
        dirty: spoiled ones among them.

    Raises:
        ParameterError: an unknown rule.
    """
    return dirty <= most_dirty(rule, cells)


def default_floor(colluding: float = 0.0, threat_model: ThreatModel | str = ThreatModel.SEMI_HONEST) -> int:
    """Return the smallest cell that is advised: 5, and 8 in the active model or with a fifth or more colluding.

    A sum of 5 still tells much of each client, and one of 8 less; with a fifth of all clients colluding, one in a
    thousand cells of 5 has one honest client only, and hardly any of 8.

    Args:
        colluding: fraction of all clients that may be on the server's side.
        threat_model: "semi-honest" or "active".
    """
    return CAUTIOUS_FLOOR if threat_model == ThreatModel.ACTIVE or colluding >= MANY_COLLUDING else FLOOR


def dirty_cells(clients: int, size: int, liars: int) -> tuple[Fraction, ...]:
    """Return the law of D, the cells that hold a liar: P[D = j] for j = 0 ... K, exactly.

    n clients are in K = floor(n/g) cells as `Partition` has them, and the liars are any M of them. With S_i the sum,
    over all choices of i cells, of the ways in which all liars are elsewhere, exactly k cells are clean in
    sum over i >= k of (-1)^(i-k) C(i, k) S_i of the C(n, M) ways.

    Args:
        clients: how many are in cells (n), 2 .. 1024.
        size: least clients of a cell (g).
        liars: how many of the clients lie (M).

    Raises:
        ParameterError: sizes that no partition has, more liars than clients, or more than 1024 clients.
    """
    for name, value, least, most in (
        ("clients", clients, 2, MOST_CLIENTS),
        ("size", size, 1, clients),
        ("liars", liars, 0, clients),
    ):
        whole = as_whole(value)
        if whole is None or not least <= whole <= most:
            raise ParameterError(f"{name}={value!r:.40} is outside {least} .. {most}; give a number inside")
    cells = clients // size
    elsewhere = _elsewhere(clients, cells, liars)
    ways = math.comb(clients, liars)
    clean = [
        sum((-1) ** (i - k) * math.comb(i, k) * elsewhere[i] for i in range(k, cells + 1)) for k in range(cells + 1)
    ]
    return tuple(Fraction(count, ways) for count in reversed(clean))


def choose_size(
    clients: int,
    malicious: float,
    colluding: float,
    rule: str,
    failure: float = 1e-3,
    floor: int | None = None,
    threat_model: ThreatModel | str = ThreatModel.SEMI_HONEST,
) -> SizeChoice:
    """Choose the largest cells, for most privacy, at which the rule's condition holds but with probability `failure`.

    A field holds a power of two of values, and in a cell of a power of two clients none of them is impossible, so that
    random garbage does not show in the sum. So the next smaller size is taken at which a sixth of all values or more is
    impossible, unless it is below three quarters of the largest: vandals are not worth more of an honest client's
    privacy, and attackers never show there. Cells in which a client may be left without enough honest others are not
    taken either: with threshold g - 1, a session of the active model bears g - 3 colluding clients, and one of the
    semi-honest model g - 2.

    Args:
        clients: n, at least 2.
        malicious: fraction of the clients that may send anything.
        colluding: fraction of the clients that may tell the server all that they know.
        rule: what is done with the cells' sums; a name of `RULES`.
        failure: largest probability that too many cells are spoiled, over the draw of the partition, and largest
            probability that a client is left without enough honest others; from 1e-12 on, below 1.
        floor: smallest size that is acceptable; None takes `default_floor`.
        threat_model: of the sessions.

    Raises:
        ParameterError: an argument out of its range, or no size does; names the conflict and the ways out.
    """
    number, model = _checked(clients, failure, threat_model)
    liars, spies = count_of(number, "malicious", malicious), count_of(number, "colluding", colluding)
    most_dirty(rule, 1)
    least = as_whole(default_floor(colluding, model) if floor is None else floor)
    if least is None or least < 2:
        raise ParameterError(f"floor={floor!r:.40} is no size of a cell; give 2 or more, or None for the default")
    if least > number:
        raise ParameterError(
            f"{number} clients do not fill one cell of {least}; gather more clients, or accept floor={number} and with "
            "it that each client hides among fewer others"
        )
    counted = liars, spies, 2 if model is ThreatModel.ACTIVE else 1
    limit = Fraction(failure)
    largest: SizeChoice | None = None
    for size, cells in _sizes(number, least):
        exposure = _exposure(number, size, spies, counted[2])
        if exposure > limit or (largest is not None and size < _WORTH * largest.size):
            break  # and more so in smaller cells
        good = _holds(number, cells, liars, most_dirty(rule, cells))
        if good < 1 - limit:
            continue
        choice = _choice(number, size, good, exposure, counted, rule, largest)
        if _slack(number, cells) >= _WANTED_SLACK:
            return choice
        largest = largest or choice
    if largest is None:
        raise ParameterError(_conflict(number, counted, rule, limit, least))
    return largest


def _checked(clients: object, failure: object, threat_model: object) -> tuple[int, ThreatModel]:
    number, share = as_whole(clients), as_real(failure)
    if number is None or number < 2:
        raise ParameterError(f"clients={clients!r:.40} is no number of clients; give 2 or more")
    if share is None or not _LEAST_FAILURE <= share < 1:
        raise ParameterError(f"failure={failure!r:.40} is not from 1e-12 on and below 1; take 0.001")
    if threat_model not in tuple(ThreatModel):
        raise ParameterError(f"threat_model={threat_model!r:.40} is unknown; give 'active' or 'semi-honest'")
    return number, ThreatModel(str(threat_model))


def _sizes(clients: int, least: int) -> Iterator[tuple[int, int]]:
    """Sizes from all clients down to the floor, with their numbers of cells; of sizes that cut alike, the largest."""
    size = clients
    while size >= least:
        cells = clients // size
        if -(-clients // cells) - 1 <= MAX_SHARE_HOLDERS:
            yield size, cells
        size = clients // (cells + 1)


def _elsewhere(clients: int, cells: int, liars: int) -> list[int]:
    """Over all choices of i cells, the ways in which all liars are in others; i = 0 ... K."""
    least, larger = divmod(clients, cells)
    ways = [math.comb(left, liars) for left in range(clients + 1)]
    return [
        sum(
            math.comb(larger, of_larger)
            * math.comb(cells - larger, i - of_larger)
            * ways[clients - i * least - of_larger]
            for of_larger in range(max(0, i - cells + larger), min(i, larger) + 1)
        )
        for i in range(cells + 1)
    ]


def _holds(clients: int, cells: int, liars: int, most: int) -> Fraction:
    """P[D <= most], exactly; a lower bound for many clients."""
    if most < 0:
        return Fraction(0)
    if min(liars, cells) <= most:
        return Fraction(1)
    if clients > MOST_CLIENTS:
        return 1 - _too_many_bound(clients, cells, liars, most + 1)
    clean = cells - most
    elsewhere = _elsewhere(clients, cells, liars)
    count = sum((-1) ** (i - clean) * math.comb(i - 1, clean - 1) * elsewhere[i] for i in range(clean, cells + 1))
    return Fraction(count, math.comb(clients, liars))


def _too_many_bound(clients: int, cells: int, liars: int, many: int) -> Fraction:
    """Bound P[D >= many] from above.

    Which cells are spoiled is negatively associated (Joag-Dev and Proschan 1983), so Chernoff's bound holds as if cells
    were independent, all as likely as the largest: e^(-K kl(many/K, p)).
    """
    largest, share = -(-clients // cells), many / cells
    p = -math.expm1(log_probability(clients, liars, largest, 0)) * _UP if largest <= clients - liars else 1.0
    if share <= p:
        return Fraction(1)
    divergence = share * math.log(share / p)
    if many < cells:
        divergence += (1 - share) * math.log((1 - share) / (1 - p))
    return min(Fraction(1), Fraction(math.exp(-cells * divergence * (2 - _UP)) * _UP))


def _exposure(clients: int, size: int, spies: int, mates: int) -> float:
    """Bound from above how likely an honest client has fewer than so many honest others in the smallest cell."""
    smallest = clients // (clients // size)
    return min(1.0, math.exp(log_tail(clients - 1, spies, smallest - 1, smallest - 1 - mates)) * _UP)


def _slack(clients: int, cells: int) -> Fraction:
    """The least over the cells of what a field may hold, over what a sum may be."""
    least, larger = divmod(clients, cells)
    return min(Fraction(1 << (size - 1).bit_length(), size) for size in {least, least + bool(larger)})


def _choice(
    clients: int,
    size: int,
    good: Fraction,
    exposure: float,
    counted: tuple[int, int, int],
    rule: str,
    largest: SizeChoice | None,
) -> SizeChoice:
    cells, (liars, spies, mates) = clients // size, counted
    bears = most_dirty(rule, cells)
    least, larger = divmod(clients, cells)
    sizes = f"{least + 1} and {least}" if larger else f"{least}"
    said = [
        f"{cells} {'cell' if cells == 1 else 'cells'} of {sizes} clients. {rule} bears up to {bears} spoiled; that "
        f"{liars} malicious of {clients} clients spoil more {_odds(1 - good)}.",
        f"That {spies} colluding leave a given client with fewer honest others in its cell than the {mates} that it "
        f"needs {_odds(Fraction(exposure))}.",
    ]
    if _slack(clients, cells) < _WANTED_SLACK:
        said.append("Random garbage hardly shows in their sums: nearly every value of a field is possible.")
    elif largest is not None:
        said.append(f"Cells of {largest.size} would do as well, but random garbage hardly shows in their sums.")
    near = float(good)
    return SizeChoice(
        size=size,
        cells=cells,
        bears=bears,
        probability=near if Fraction(near) <= good else math.nextafter(near, 0.0),
        exposure=exposure,
        explanation=" ".join(said),
    )


def _odds(probability: Fraction) -> str:
    """How often, in words, rounded up."""
    if not probability:
        return "cannot happen"
    once = math.floor(1 / probability)
    return f"happens at most once in {once if once < _RAREST else '10^12'} partitions"


def _conflict(clients: int, counted: tuple[int, int, int], rule: str, limit: Fraction, least: int) -> str:
    """Why no size does, and what would."""
    liars, spies, mates = counted

    def good(size: int, wanted: str = rule) -> Fraction:
        cells = clients // size
        return _holds(clients, cells, liars, most_dirty(wanted, cells))

    hidden = [size for size, _ in _sizes(clients, 2) if _exposure(clients, size, spies, mates) <= limit]
    allowed = [size for size in hidden if size >= least]
    if not allowed:
        return (
            f"{spies} colluding of {clients} clients may leave one with fewer than {mates} honest others in any cell; "
            "gather more clients, or count with fewer that collude"
        )
    ways = []
    root = next((size for size in allowed if good(size, "root_check") >= 1 - limit), None)
    if rule not in _ROOT_RULES and root is not None:
        ways.append(f"use a rule with data of the server's own (with root_check, cells of {root} do)")
    smaller = next((size for size in hidden if size < least and good(size) >= 1 - limit), None)
    if smaller is not None:
        ways.append(f"accept floor={smaller}, and less privacy with it")
    best = max(map(good, allowed))
    if best >= 1 - _LARGEST_ADVICE:
        ways.append(f"accept failure={float(1 - best) * 1.06:.2g}")
    ways.append("gather more clients")
    why = f" (below, {spies} colluding may leave a client alone)" if allowed[-1] > least else ""
    return (
        f"{liars} malicious of {clients} clients leave no cell size of {allowed[-1]} or more{why} at which {rule} "
        f"bears the spoiled cells with probability {float(1 - limit):g}; {', or '.join(ways)}"
    )
