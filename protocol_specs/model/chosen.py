"""Random attacks on the experimental topology `chosen`: a lying server and corrupt clients against its rules, on sets.

Keys, shares and signatures are symbols: a token of a corrupt client always exists, one of an honest client when that
client gave it. The server shows each client sets of its own making, after it has seen every draw. A *breach* is one of

- a readable sum with a member that has fewer than t − (its corrupt holders) honest holders among the members (the lemma
  from which §10 counts),
- both secrets of one honest client,
- a readable sum over fewer honest clients than the calculator promises.

`Rules` has each rule as a switch; a control leaves one out, and has to find breaches; so does one in which clients draw
again for the same session. This is no proof, and no search of everything: it is there to notice a rule that does not do
what the argument takes it to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from random import Random

Set = frozenset[int]


@dataclass(frozen=True, slots=True)
class Rules:
    """What clients keep; a control sets one to False."""

    acknowledgements: bool = True
    """Nothing is revealed without t acknowledgements."""
    inclusions: bool = True
    """Every contributor whose shares one holds masked over the same sharers."""
    own_sets: bool = True
    """Acknowledgements are verified over one's own sharers and contributors."""
    final_sets: bool = True
    """What was acknowledged is what is revealed."""
    holders_only: bool = True
    """Acknowledgements of those that merely chose the client do not count."""
    one_kind: bool = True
    """One kind of share per owner."""


RULES = tuple(field_.name for field_ in fields(Rules))


@dataclass(frozen=True, slots=True)
class World:
    """One cohort: honest clients 0 … honest − 1, corrupt ones above, and whom each honest client drew."""

    honest: int
    corrupt: Set
    threshold: int
    holders: tuple[Set, ...]
    choosers: tuple[Set, ...] = field(repr=False)

    @property
    def everyone(self) -> Set:
        """The whole cohort."""
        return frozenset(range(self.honest)) | self.corrupt


@dataclass(frozen=True, slots=True)
class Attack:
    """What the server shows: to each honest client its sharers, its contributors, and those at Unmasking."""

    sharers: list[Set]
    contributors: list[Set | None]
    revealed_for: list[Set | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack came to: the sizes of readable sums, and how many breaches of each kind."""

    readable: tuple[int, ...]
    open_members: int
    both_secrets: int


def draw_world(
    rng: Random,
    honest: int,
    corrupt: int,
    degree: int,
    threshold: int,
    favoured: Callable[[int], Set] = lambda client: frozenset(),
    draws: int = 1,
) -> World:
    """Let honest clients draw their holders; one that draws too many corrupt ones (t1 of §2.4) draws again.

    Of several draws the server takes the one with most holders among its own and those that it favours for this client:
    what clients that answer one session more than once give it.
    """
    accomplices, cohort = frozenset(range(honest, honest + corrupt)), range(honest + corrupt)
    kept = []
    for u in range(honest):
        tried: list[Set] = []
        while len(tried) < draws:
            holders = frozenset(v if v < u else v + 1 for v in rng.sample(cohort[:-1], degree))
            if 2 * threshold >= degree + len(holders & accomplices) + 1:
                tried.append(holders)
        wanted = favoured(u) | accomplices
        kept.append(tried[0] if draws == 1 else max(tried, key=lambda holders: len(holders & wanted)))
    return _world(honest, accomplices, threshold, kept)


def draw_communities(rng: Random, honest: int, corrupt: int, degree: int, threshold: int) -> World:
    """A world of two communities with a few clients between them, as weak as t1 allows.

    Nobody draws like this; no rule but the count of §2.4 relies on how clients draw.
    """
    between, half = honest // 20, honest // 2 + honest // 40
    left, right, accomplices = range(between, half), range(half, honest), range(honest, honest + corrupt)
    few = degree - threshold
    kept = []
    for u in range(honest):
        if u < between:
            weak = min(2 * threshold - degree - 1, corrupt)
            drawn = rng.sample(left, few) + rng.sample(accomplices, weak) + rng.sample(right, threshold - weak)
        else:
            own = left if u < half else right
            drawn = rng.sample([v for v in own if v != u], degree)
        kept.append(frozenset(drawn))
    return _world(honest, frozenset(accomplices), threshold, kept)


def _world(honest: int, accomplices: Set, threshold: int, holders: list[Set]) -> World:
    chose: list[set[int]] = [set(accomplices) for _ in range(honest)]  # a corrupt client chooses everybody
    for u, held_by in enumerate(holders):
        for v in held_by - accomplices:
            chose[v].add(u)
    return World(honest, accomplices, threshold, tuple(holders), tuple(map(frozenset, chose)))


def carry_out(world: World, attack: Attack, rules: Rules) -> Outcome:
    """Let the clients answer as the rules say, and find what the server can read then."""
    honest, t = range(world.honest), world.threshold
    owners = [world.choosers[u] & attack.sharers[u] for u in honest]
    sealed_to = [world.holders[u] & attack.sharers[u] for u in honest]
    masked_with = [owners[u] | sealed_to[u] for u in honest]
    uploaded = [u in attack.sharers[u] and len(sealed_to[u]) >= t for u in honest]
    confirmed = [uploaded[u] and _confirms(world, attack, rules, u, owners[u], uploaded) for u in honest]
    seeds, keys = [0] * world.honest, [0] * world.honest
    for u in honest:
        final = attack.contributors[u] if rules.final_sets else attack.revealed_for[u]
        if not confirmed[u] or final is None:
            continue
        signers = sealed_to[u] if rules.holders_only else masked_with[u]
        valid = sum(v in world.corrupt or (confirmed[v] and _same(attack, rules, u, v)) for v in signers)
        if valid < t and rules.acknowledgements:
            continue
        for owner in owners[u] - world.corrupt:
            seeds[owner] += owner in final or not rules.one_kind
            keys[owner] += owner not in final or not rules.one_kind
    for owner in honest:  # a corrupt holder gives both
        given_away = len(world.holders[owner] & world.corrupt)
        seeds[owner] += given_away
        keys[owner] += given_away
    open_seeds = frozenset(u for u in honest if seeds[u] >= t)
    open_keys = frozenset(u for u in honest if keys[u] >= t)
    sums = list(_readable(world, masked_with, uploaded, open_seeds, open_keys))
    open_members = sum(
        any(len(world.holders[u] & part) < t - len(world.holders[u] & world.corrupt) for u in part) for part in sums
    )
    return Outcome(tuple(map(len, sums)), open_members, len(open_seeds & open_keys))


def _confirms(world: World, attack: Attack, rules: Rules, u: int, owners: Set, uploaded: list[bool]) -> bool:
    """Whether a client acknowledges the contributors that it is shown."""
    contributors, sharers = attack.contributors[u], attack.sharers[u]
    if contributors is None or u not in contributors or not contributors <= sharers:
        return False
    return not rules.inclusions or all(
        owner in world.corrupt or (uploaded[owner] and attack.sharers[owner] == sharers)
        for owner in owners & contributors
    )


def _same(attack: Attack, rules: Rules, u: int, v: int) -> bool:
    same = attack.sharers[u] == attack.sharers[v] and attack.contributors[u] == attack.contributors[v]
    return same or not rules.own_sets


def _readable(
    world: World, masked_with: list[Set], uploaded: list[bool], open_seeds: Set, open_keys: Set
) -> Iterator[Set]:
    """The sums that can be read: parts that hidden masks join, of which every member's other masks are known.

    A hidden mask that only one side added makes that side unreadable.
    """
    unseen = {u for u in range(world.honest) if uploaded[u]}
    while unseen:
        part, frontier, readable = set[int](), [unseen.pop()], True
        while frontier:
            u = frontier.pop()
            part.add(u)
            readable &= u in open_seeds
            for v in masked_with[u] - world.corrupt if u not in open_keys else ():
                if v in open_keys:
                    continue
                if not uploaded[v] or u not in masked_with[v]:
                    readable = False
                elif v in unseen:
                    unseen.discard(v)
                    frontier.append(v)
        if readable:
            yield frozenset(part)


def draw_attack(rng: Random, world: World) -> Attack:
    """One lie of a server that knows every draw."""
    style = rng.choice((_drop_some, _isolate, _isolate, _hide_holders, _two_worlds, _split, _island))
    return style(rng, world)


def island(world: World, target: Set) -> Attack:
    """Let only a target and the accomplices go on: their sum is readable where each draw has enough of them."""
    shown = [target | world.corrupt if u in target else None for u in range(world.honest)]
    return Attack([world.everyone] * world.honest, list(shown), list(shown))


def _drop_some(rng: Random, world: World) -> Attack:
    """The truth, about clients that drop out."""
    gone = frozenset(rng.sample(range(world.honest), rng.randrange(world.honest // 3)))
    shown: list[Set | None] = [None if u in gone else world.everyone - gone for u in range(world.honest)]
    return Attack([world.everyone] * world.honest, shown, shown)


def _targets(rng: Random, world: World, most: int) -> list[int]:
    """Clients worth an attack: one of those with most corrupt holders, and perhaps some of its neighbours."""
    by_weakness = sorted(range(world.honest), key=lambda u: (-len(world.holders[u] & world.corrupt), rng.random()))
    first = by_weakness[rng.randrange(3)]
    near = [v for v in world.holders[first] - world.corrupt if first in world.holders[v]] or [*world.holders[first]]
    near = [v for v in near if v not in world.corrupt]
    rest = [*(world.holders[first] - world.corrupt - set(near))]
    rng.shuffle(near)
    rng.shuffle(rest)
    return [first, *(near + rest)[: rng.randrange(most)]]


def _border(world: World, targets: list[int], hidden: Set = frozenset()) -> Set:
    """Honest clients whose masks with a target have to be opened."""
    around = frozenset[int]().union(*((world.holders[u] | world.choosers[u]) for u in targets))
    return around - world.corrupt - frozenset(targets) - hidden


def _isolate(rng: Random, world: World) -> Attack:
    """Say that all neighbours of the targets dropped, to each neighbour that it alone did not."""
    targets = _targets(rng, world, 3)
    base = world.everyone - _border(world, targets)
    each: list[Set | None] = [base | {u} for u in range(world.honest)]
    confirmed: list[Set | None] = each if rng.random() < 0.5 else [world.everyone] * world.honest
    return Attack([world.everyone] * world.honest, confirmed, each)


def _hide_holders(rng: Random, world: World) -> Attack:
    """Hide holders from the targets, which mask without them; they are to reveal the targets' seeds."""
    targets = _targets(rng, world, 6)
    hidden_from: dict[int, Set] = {}
    for u in targets:
        candidates = sorted(world.holders[u] - world.corrupt - frozenset(targets))
        most = len(world.holders[u]) - world.threshold
        hidden_from[u] = frozenset(rng.sample(candidates, min(most, len(candidates))))
    all_hidden = frozenset[int]().union(*hidden_from.values())
    sharers = [world.everyone - hidden_from.get(u, frozenset()) for u in range(world.honest)]
    border = frozenset[int]().union(*(_border(world, [u], hidden_from[u]) for u in targets)) - frozenset(targets)
    base = world.everyone - (border - (all_hidden if rng.random() < 0.3 else frozenset()))
    shown: list[Set | None] = [base & sharers[u] if u in base else None for u in range(world.honest)]
    return Attack(sharers, shown, shown)


def _two_worlds(rng: Random, world: World) -> Attack:
    """Clients between two sides mask with one of them, and both are to reveal their seeds."""
    between, half = world.honest // 20, world.honest // 2 + world.honest // 40
    left, right = frozenset(range(between, half)), frozenset(range(half, world.honest))
    with_right = [u for u in range(between) if len(world.holders[u] & (right | world.corrupt)) >= world.threshold]
    targets = frozenset(rng.sample(with_right, min(len(with_right), rng.randrange(1, 3))))
    late = frozenset[int]()
    for u in targets:
        held = sorted(world.holders[u] & right)
        late |= frozenset(held[: max(0, len(world.holders[u] & left) - rng.randrange(2))])
    sharers, shown = list[Set](), list[Set | None]()
    for u in range(world.honest):
        side = left if u in left else right
        sharers.append(side | targets | world.corrupt)
        shown.append(None if u in late else (side - late) | targets | world.corrupt)
    return Attack(sharers, shown, shown)


def _split(rng: Random, world: World) -> Attack:
    """Two or three worlds of their own sharers and contributors."""
    views = rng.choice((2, 2, 3))
    group = [rng.randrange(views) for _ in range(world.honest)]
    members = [frozenset(u for u in range(world.honest) if group[u] == view) | world.corrupt for view in range(views)]
    shared = rng.random() < 0.5
    sharers = [world.everyone if shared else members[group[u]] for u in range(world.honest)]
    shown: list[Set | None] = [members[group[u]] for u in range(world.honest)]
    return Attack(sharers, shown, shown)


def _island(rng: Random, world: World) -> Attack:
    """Let those go on that are left when whoever has too few holders among them is taken out, again and again."""
    target = frozenset(rng.sample(range(world.honest), rng.randrange(world.honest // 4, world.honest)))
    while True:
        kept = frozenset(u for u in target if len(world.holders[u] & (target | world.corrupt)) >= world.threshold)
        if kept == target:
            return island(world, target)
        target = kept
