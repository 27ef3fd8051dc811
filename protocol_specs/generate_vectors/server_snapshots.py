"""Server scripts about snapshots: in every phase, in the middle of a round, on to the exact result (§9).

Must not know the layout of a snapshot.
"""

from __future__ import annotations

from typing import Any

from protocol_specs.generate_vectors.scripted import INPUTS, UNMASKING, ScriptedServer, phases
from protocol_specs.generate_vectors.server_states import model_of, short, world_of
from protocol_specs.generate_vectors.world import VECTORS, World
from protocol_specs.reference import wire

Json = dict[str, Any]


def cases() -> list[Json]:
    """All cases of this topic."""
    made = []
    for active in (False, True):
        for phase in phases(active):
            server = ScriptedServer(world_of(active, "snapshots")).play_to(phase)
            server.give(1)
            if not active:
                server.dropped(2, server.envelope(wire.Abort("A10")), "S06")
            server.snapshot_and_restore()
            server.receive(1, server.answer(1), "REPEATED")
            if not active:
                server.receive(2, server.answer(2), "LATE")
            gone = {2} if not active and phase not in (INPUTS, UNMASKING) else set()
            if not active and phase == INPUTS:
                gone = {2}
            server.finish(set(server.world.clients) - gone)
            comment = f"{model_of(active)}, {phase}: the session is frozen when client 1 has answered, and goes on."
            id_ = f"server-snapshot-{model_of(active)}-{short(phase)}"
            made.append(_case(server, id_, comment))
    world = World("snapshots/everything", (1, 2, 3, 4), threshold=1, vectors=VECTORS, max_weight=5)
    server = ScriptedServer(world)
    while server.phase in phases(active=False):
        server.snapshot_and_restore()
        for client in server.waiting[:-1] if server.phase == INPUTS else server.waiting:
            server.give(client)
            if client == 2:
                server.snapshot_and_restore()
        outcome = server.close()
    server.completed(outcome, {1, 2, 3})
    return [*made, _case(server, "server-snapshot-often", "Frozen at the start and in the middle of every round.")]


def _case(server: ScriptedServer, id_: str, comment: str) -> Json:
    return server.case(id_, comment, {"R48", "R55", "R56"}, ("Snapshot",), {"server_snapshots": True})
