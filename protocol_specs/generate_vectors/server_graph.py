"""Server scripts about sparse graphs: clients with too few neighbours (S14), and secrets with too few holders (§6.2 to
§6.7).

Who must leave is found from the topology alone. Must not know keys or shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

from protocol_specs.generate_vectors.script import WrongScript
from protocol_specs.generate_vectors.scripted import INPUTS, KEYS, SHARES, UNMASKING, ScriptedServer
from protocol_specs.generate_vectors.world import World
from protocol_specs.reference import topology, wire

Json = dict[str, Any]


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_pruning(), *_secrets(), *_cuts()]


def _graph(world: World) -> dict[int, set[int]]:
    return {client: set(topology.neighbours(world.parameters, client)) for client in world.parameters.cohort}


def _pruned(world: World, gone: Iterable[int]) -> list[set[int]]:
    """Who is pruned after these left, by step."""
    graph, remaining, steps = _graph(world), set(world.clients) - set(gone), list[set[int]]()
    while lonely := {u for u in remaining if len(graph[u] & remaining) < world.threshold}:
        steps.append(lonely)
        remaining -= lonely
    return steps


def find_pruned(world: World, most: int, wanted: Callable[[list[set[int]], set[int]], bool]) -> tuple[int, ...]:
    """The first set of at most so many clients whose leaving prunes as wanted; told are steps and who remains."""
    for size in range(1, most + 1):
        for gone in combinations(world.clients, size):
            steps = _pruned(world, gone)
            remaining = set(world.clients) - set(gone) - {client for step in steps for client in step}
            if wanted(steps, remaining):
                return gone
    raise WrongScript(f"nobody's leaving does that in {world.name}")


def _pruning() -> list[Json]:
    made = []
    eight = tuple(range(1, 9))
    for phase, round_ in ((KEYS, "AdvertiseKeys"), (SHARES, "ShareKeys")):
        one = World(f"graph/one {round_}", eight, threshold=2, degree=3)
        gone = find_pruned(one, 3, lambda steps, left: len(steps) == 1 and len(steps[0]) == 1 and len(left) > 4)
        made.append(_prunes(f"one-{round_}", "One client has too few neighbours left.", one, phase, gone))
        cascade = World(f"graph/cascade {round_}", eight, threshold=2, degree=2)
        gone = find_pruned(cascade, 1, lambda steps, left: len(steps) > 2)
        text = "Every client of a ring needs both neighbours: one that leaves takes all others with it, step by step."
        reason = "A01" if phase == KEYS else "A02"
        made.append(_prunes(f"all-{round_}", text, cascade, phase, gone, reason))
        some = World(f"graph/some {round_}", eight, threshold=2, degree=4)
        gone = find_pruned(some, 4, lambda steps, left: len(steps) > 1 and len(left) >= 3)
        text = "A cascade: a client is pruned because another one was, and the rest goes on."
        made.append(_prunes(f"cascade-{round_}", text, some, phase, gone))
        if phase == SHARES:
            continue
        bound = World(f"graph/bound {round_}", eight, threshold=3, degree=4)
        gone = _just_enough(bound)
        text = "Some client has exactly t neighbours left: it stays."
        made.append(_prunes(f"bound-{round_}", text, bound, phase, gone))
    return made


def _just_enough(world: World) -> tuple[int, ...]:
    graph = _graph(world)
    for gone in combinations(world.clients, 1):
        left = set(world.clients) - set(gone)
        if not _pruned(world, gone) and any(len(graph[u] & left) == world.threshold for u in left):
            return gone
    raise WrongScript("every client keeps more neighbours")


def _prunes(
    name: str, comment: str, world: World, phase: str, gone: tuple[int, ...], reason: str | None = None
) -> Json:
    server = ScriptedServer(world).play_to(phase)
    for client in server.waiting:
        if client == gone[0]:
            server.dropped(client, server.envelope(wire.Abort("A10")), "S06")
        elif client not in gone:
            server.give(client)
    outcome = server.close()
    pruned = {client for step in _pruned(world, gone) for client in step}
    if {drop.client for drop in outcome.dropped if drop.rule == "S14"} != pruned:
        raise WrongScript(f"{name} prunes {outcome.dropped}, not {pruned}")
    requirements = {"S14", "S06", "R41", "R54", "R55"}
    if reason:
        server.aborted(outcome, reason)
        return server.case(f"server-graph-{name}", comment, {*requirements, reason}, ("SparseGraph", "Dropout"))
    for client in sorted(pruned):
        server.receive(client, server.envelope(wire.ShareKeysResponse(())), "LATE")
    server.finish(set(world.clients) - set(gone) - pruned)
    return server.case(f"server-graph-{name}", comment, requirements, ("SparseGraph", "Dropout"))


def _few_for_mask_keys(world: World) -> tuple[int, ...]:
    """Clients without which every other client keeps t neighbours, and one of themselves has from 1 to t - 1."""
    graph, t = _graph(world), world.threshold
    for gone in combinations(world.clients, 4):
        left = set(world.clients) - set(gone)
        if all(len(graph[u] & left) >= t for u in left) and any(0 < len(graph[d] & left) < t for d in gone):
            return gone
    raise WrongScript("no mask key is left with too few holders")


def _secrets() -> list[Json]:
    """One secret of a sparse graph lacks holders, although there are enough clients in all; or needs none."""
    made = []
    six = tuple(range(1, 7))
    world = World("graph/holders", six, threshold=3, degree=4)
    graph = _graph(world)
    owner = 1
    holders = sorted(graph[owner])
    for phase, reason, text in ((INPUTS, "A03", "present"), (UNMASKING, "A05", "unmaskers")):
        server = ScriptedServer(world).play_to(phase)
        outcome = server.play_round(holders[:2])
        server.aborted(outcome, reason)
        comment = f"Four of six go on, but only two holders of client 1's secrets are {text}."
        made.append(
            server.case(
                f"server-graph-too-few-holders-{reason}", comment, {reason, "R41", "R55"}, ("SparseGraph", "Bound")
            )
        )
        server = ScriptedServer(world).play_to(phase)
        server.finish(silent={phase: holders[:1]})
        comment = f"Exactly t holders of some secrets are {text}."
        made.append(
            server.case(
                f"server-graph-enough-holders-{reason}", comment, {reason, "R41", "R55"}, ("SparseGraph", "Bound")
            )
        )
    eight = World("graph/holders of a mask key", tuple(range(1, 9)), threshold=2, degree=4)
    server = ScriptedServer(eight).play_to(INPUTS)
    server.aborted(server.play_round(_few_for_mask_keys(eight)), "A03")
    comment = "Every contributor's seed has t holders present, and the mask key of a client that left has fewer."
    made.append(
        server.case("server-graph-too-few-for-a-mask-key", comment, {"A03", "R41", "R55"}, ("SparseGraph", "Bound"))
    )
    ring = World("graph/island", tuple(range(1, 8)), threshold=1, degree=2)
    graph = _graph(ring)
    middle = ring.clients[0]
    silent = {middle, *graph[middle]}
    server = ScriptedServer(ring).play_to(INPUTS)
    server.finish(set(ring.clients) - silent, {INPUTS: silent})
    comment = "A client and both its neighbours send no input: its mask key masks nothing, and is not rebuilt."
    made.append(
        server.case(
            "server-graph-nothing-to-rebuild", comment, {"R41", "R48", "S01", "R55"}, ("SparseGraph", "Dropout")
        )
    )
    return made


def _cuts() -> list[Json]:
    """Late clients cut the graph of the contributors into parts, whose sums a server could read one by one."""
    ten = tuple(range(1, 11))
    made = []
    for name, comment, degree, floor, late, reason in (
        ("cut-small", "Two late clients leave a part of three; the other part reaches the floor.", 2, 4, (0, 4), "A14"),
        ("cut-halves", "Two late clients leave two parts of four, each below the floor.", 2, 5, (0, 5), "A14"),
        ("cut-at-the-floor", "Two late clients leave two parts of four, each at the floor.", 2, 4, (0, 5), ""),
        ("cut-once", "A ring with one gap is a line: connected.", 2, 5, (3, 4), ""),
        ("cut-chords", "The ring is cut twice, and the chords of an odd degree connect its parts.", 3, 5, (0, 4), ""),
        ("cut-wide", "Neighbours two steps away connect across a late client.", 4, 5, (0, 4), ""),
        ("cut-wide-small", "Two gaps of two cut off a part of two.", 4, 3, (0, 1, 4, 5), "A14"),
    ):
        world = World(f"graph/{name}", ten, threshold=1, degree=degree, options={"minimum_contributors": floor})
        gone = {_ring(world)[at] for at in late}
        server = ScriptedServer(world).play_to(INPUTS)
        if reason:
            server.aborted(server.play_round(gone), reason)
        else:
            server.finish(set(ten) - gone, {INPUTS: gone})
        made.append(
            server.case(f"server-graph-{name}", comment, {"A14", "R41", "S01", "R54", "R55"}, ("SparseGraph", "Bound"))
        )
    world = World("graph/cut-after-input", ten, threshold=1, degree=2, options={"minimum_contributors": 5})
    first, other = _ring(world)[0], _ring(world)[5]
    server = ScriptedServer(world).play_to(INPUTS)
    server.give(first)
    server.dropped(first, server.envelope(wire.Abort("A10")), "S06")
    server.finish(set(ten) - {other}, {INPUTS: {other}})
    comment = "A client that is dropped after its input connects its neighbours: its mask key is not rebuilt."
    made.append(
        server.case(
            "server-graph-cut-after-input", comment, {"A14", "R41", "S01", "S06", "R55"}, ("SparseGraph", "Dropout")
        )
    )
    return made


def _ring(world: World) -> list[int]:
    seed = world.parameters.permutation_seed
    return sorted(world.clients, key=lambda client: topology.place(seed, client))
