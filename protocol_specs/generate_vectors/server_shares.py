"""Server scripts about ShareKeys: to whom a client sends sealed pairs (§6.3, S20), and what the server passes on.

Must not know what is sealed: the server cannot see it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from protocol_specs.generate_vectors.scripted import INPUTS, KEYS, SHARES, ScriptedServer
from protocol_specs.generate_vectors.world import World, draw
from protocol_specs.reference import topology, wire
from protocol_specs.reference.wire import SealedShares

Json = dict[str, Any]

NOBODY = draw("a sealed pair of nothing", 112)


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_complete(), *_sparse(), *_aborted()]


def pairs(server: ScriptedServer, client: int, receivers: Collection[int]) -> bytes:
    """A response with the client's true sealed pairs where there are any, and nonsense for other receivers."""
    true = {sealed.client: sealed.ciphertext for sealed in server.body(client, wire.ShareKeysResponse).ciphertexts}
    sealed = tuple(SealedShares(receiver, true.get(receiver, NOBODY)) for receiver in sorted(receivers))
    return server.envelope(wire.ShareKeysResponse(sealed))


def _wrong(name: str, comment: str, server: ScriptedServer, liar: int, receivers: Collection[int]) -> Json:
    first = next(client for client in server.waiting if client != liar)
    server.give(first)
    message = pairs(server, liar, receivers)
    longer = len(message) > len(server.answer(liar))
    server.dropped(liar, message, *(("S20", "S02") if longer else ("S20",)))  # longer than any message: S02 (§6)
    server.receive(liar, server.answer(liar), "LATE")
    server.play_round()
    requirements = {"S20", "R29", "R54", "R55", "R56"}
    return server.case(f"server-shares-{name}", comment, requirements, ("WrongReceivers",))


def _complete() -> list[Json]:
    """Client 3 of four."""
    variants: list[tuple[str, str, Collection[int]]] = [
        ("one-missing", "Client 3 seals nothing for client 1.", (2, 4)),
        ("last-missing", "Client 3 seals nothing for client 4.", (1, 2)),
        ("none", "Client 3 seals nothing at all: the body has no content.", ()),
        ("self", "Client 3 seals a pair for itself, too.", (1, 2, 3, 4)),
        ("self-for-other", "Client 3 seals a pair for itself in the place of one for client 4.", (1, 2, 3)),
        ("stranger", "Client 3 seals a pair for a client outside of the cohort, too.", (1, 2, 4, 77)),
        ("stranger-for-other", "A client outside of the cohort is in the place of client 1.", (0, 2, 4)),
    ]
    made = []
    for name, comment, receivers in variants:
        server = ScriptedServer(World("shares/complete", (1, 2, 3, 4), threshold=2)).play_to(SHARES)
        case = _wrong(name, comment, server, 3, receivers)
        if name.startswith("self"):
            case["requirements"] = sorted({*case["requirements"], "R16"})
        made.append(case)
    world = World("shares/left", (1, 2, 3, 4, 5), threshold=2)
    server = ScriptedServer(world).play_to(SHARES, {KEYS: (5,)})
    comment = "Client 3 seals a pair for client 5, which did not advertise, too."
    made.append(_wrong("not-advertised", comment, server, 3, (1, 2, 4, 5)))
    return made


def _sparse() -> list[Json]:
    world = World("shares/sparse", (1, 2, 3, 4, 5, 6, 7), threshold=2, degree=4)
    neighbours = topology.neighbours(world.parameters, 3)
    stranger = next(client for client in world.clients if client != 3 and client not in neighbours)
    made = []
    for name, comment, receivers in (
        ("not-a-neighbour", "A client that is no neighbour gets a pair, too.", [*neighbours, stranger]),
        ("neighbour-replaced", "A client that is no neighbour gets a neighbour's pair.", [*neighbours[1:], stranger]),
    ):
        server = ScriptedServer(world).play_to(SHARES)
        made.append(_wrong(f"sparse-{name}", comment, server, 3, receivers))
    return made


def _aborted() -> list[Json]:
    """Who shares and leaves has not shared."""
    server = ScriptedServer(World("shares/gone", (1, 2, 3, 4, 5), threshold=2)).play_to(SHARES)
    server.give(1, 2, 3, 4)
    server.dropped(4, server.envelope(wire.Abort("A10")), "S06")
    server.finish({1, 2, 3}, {SHARES: (5,), INPUTS: ()})
    comment = "Client 4 shares and aborts in the same round: its pairs go to nobody, and nobody's go to it."
    return [server.case("server-shares-aborted-after", comment, {"S06", "S01", "R54", "R55"}, ("Dropout",))]
