"""Server scripts about the state tables: every cell of §7.2, repeats, second answers, late messages, strangers, and the
host's own ends (A10).

Must not know what messages hold: each is the honest one of its round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from protocol_specs.generate_vectors.scripted import (
    CONFIRMATIONS,
    DISCLOSURES,
    INPUTS,
    KEYS,
    SHARES,
    UNMASKING,
    ScriptedServer,
    phases,
)
from protocol_specs.generate_vectors.world import World, draw
from protocol_specs.reference import vectors, wire
from protocol_specs.testee import conformance_pb2 as pb

Json = dict[str, Any]

PROBED: Final = 3
MESSAGES: Final = {
    "AdvertiseKeysResponse": KEYS,
    "ShareKeysResponse": SHARES,
    "MaskedInputCollectionResponse": INPUTS,
    "Complaint": INPUTS,
    "DisclosureResponse": DISCLOSURES,
    "ConsistencyCheckResponse": CONFIRMATIONS,
    "UnmaskingResponse": UNMASKING,
    "Abort": None,
}
REQUESTS: Final[Mapping[str, wire.Request]] = {
    "AdvertiseKeysRequest": wire.AdvertiseKeysRequest(),
    "ShareKeysRequest": wire.ShareKeysRequest(()),
    "MaskedInputCollectionRequest": wire.MaskedInputCollectionRequest(()),
    "DisclosureRequest": wire.DisclosureRequest(()),
    "ConsistencyCheckRequest": wire.ConsistencyCheckRequest((1, 2, 3, 4)),
    "UnmaskingRequest": wire.UnmaskingRequest((1, 2), (), ()),
}


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_cells(), *_ended(), *_answered(), *_late(), *_strangers(), *_ends()]


def world_of(active: bool, name: str = "states") -> World:
    """Three clients. A semi-honest session can lose one of them, an active one none."""
    return World(f"{name}/{active}", (1, 2, 3), active=active, threshold=2 if active else 1)


def model_of(active: bool) -> str:
    """The name of a threat model, as ids have it."""
    return "active" if active else "semi-honest"


def short(phase: str) -> str:
    """A phase as ids have it."""
    return phase.removeprefix("COLLECTING_").replace("_", "-").lower()


def messages(server: ScriptedServer, client: int) -> dict[str, bytes]:
    """One message of each type from a client: the honest one where its round has come, a well-formed one elsewhere."""
    made = {
        "AdvertiseKeysResponse": server.envelope(wire.AdvertiseKeysResponse(server.insider(client).advertisement())),
        "ShareKeysResponse": server.envelope(wire.ShareKeysResponse(())),
        "MaskedInputCollectionResponse": server.envelope(_masked(server.world, "a payload")),
        "Complaint": server.envelope(wire.Complaint(())),
        "DisclosureResponse": server.envelope(wire.DisclosureResponse(())),
        "ConsistencyCheckResponse": server.envelope(wire.ConsistencyCheckResponse(draw("a signature", 64))),
        "UnmaskingResponse": server.envelope(wire.UnmaskingResponse((), ())),
        "Abort": server.envelope(wire.Abort("A10")),
    }
    for name, phase in MESSAGES.items():
        if name == "Complaint":
            continue
        if phase is not None and phase in server.play.history:
            made[name] = server.play.history[phase][1].get(client, made[name])
        elif phase == server.phase:
            made[name] = server.answer(client)
    return made


def _masked(world: World, label: str) -> wire.MaskedInputCollectionResponse:
    count = sum(section.words for section in vectors.layout(world.parameters))
    words = [int.from_bytes(draw(f"{label}/{at}", 8), "little") for at in range(count)]
    return wire.MaskedInputCollectionResponse(vectors.pack(world.parameters, words))


def judgement(active: bool, phase: str, message: str) -> tuple[str, tuple[str, ...]]:
    """Status and rule of a cell of the tables, for a message from a client that has not answered."""
    belongs = MESSAGES[message]
    if belongs is None:
        return "DROPPED", ("S06",)
    order = [KEYS, SHARES, INPUTS, *((DISCLOSURES, CONFIRMATIONS) if active else ()), UNMASKING]
    if belongs not in order or order.index(belongs) > order.index(phase):
        return "DROPPED", ("S03",)
    return ("ACCEPTED" if belongs == phase else "LATE"), ()


def _cells() -> list[Json]:
    """For each phase: messages that drop their client, one client each, and those that do not."""
    made = []
    for active in (False, True):
        for phase in phases(active):
            name = f"{model_of(active)}-{short(phase)}"
            refused = [m for m in MESSAGES if judgement(active, phase, m)[1] == ("S03",)]
            groups = [refused[at : at + 3] for at in range(0, len(refused), 3)]
            for at, group in enumerate([*groups, ["Abort"]]):
                server = ScriptedServer(world_of(active)).play_to(phase)
                rules = judgement(active, phase, group[0])[1]
                for client, message in zip((PROBED, 1, 2), group, strict=False):
                    server.dropped(client, messages(server, client)[message], *rules)
                    server.receive(client, server.answer(client), "LATE")
                server.play_round()
                comment = f"{model_of(active)}, {phase}: {', '.join(group)} costs its client its place."
                requirements = {*rules, "R29", "R55", "R56"}
                id_ = f"server-cell-{name}-{rules[0]}" + (f"-{at + 1}" if len(groups) > 1 and rules[0] == "S03" else "")
                made.append(server.case(id_, comment, requirements, ("StateTable",)))
            made.append(_harmless_cells(active, phase, name))
    return made


def _harmless_cells(active: bool, phase: str, name: str) -> Json:
    """Late messages before and after the answer, from a client that stays."""
    server = ScriptedServer(world_of(active)).play_to(phase)
    said = messages(server, PROBED)
    late = [message for message in MESSAGES if judgement(active, phase, message)[0] == "LATE"]
    for message in late:
        server.receive(PROBED, said[message], "LATE")
    server.give(PROBED)
    for message in late:
        server.receive(PROBED, said[message], "LATE")
    server.play_round()
    comment = f"{model_of(active)}, {phase}: the answer counts; late are {', '.join(late) or 'no others'}."
    requirements = {"R29", "R54", *(("R56",) if late else ())}
    return server.case(f"server-cell-{name}-accepted-and-late", comment, requirements, ("StateTable",))


def _ended() -> list[Json]:
    """COMPLETED and ABORTED: everything is refused, and nothing changes."""
    made = []
    for active in (False, True):
        for phase in ("COMPLETED", "ABORTED"):
            server = ScriptedServer(world_of(active, "ended"))
            said = messages(server, PROBED)
            if phase == "COMPLETED":
                server.finish()
                said = {
                    **said,
                    **{
                        n: server.play.history[p][1][PROBED]
                        for n, p in MESSAGES.items()
                        if p in phases(active) and n != "Complaint"
                    },
                }
            else:
                server.end()
            for message in said.values():
                server.receive(PROBED, message, "LOCAL_ERROR")
            for data in (b"", server.world.offer, server.envelope(wire.Abort("A10"), bytes(32))):
                server.receive(PROBED, data, "LOCAL_ERROR")
            server.receive(77, said["Abort"], "LOCAL_ERROR")
            server.script.close_round("LOCAL_ERROR")
            server.script.step("LOCAL_ERROR", end_session=pb.EndSession())
            comment = f"{model_of(active)}, {phase}: every message and every wish of the host is refused."
            requirements = {"R29", "R25"} | ({"A10"} if phase == "ABORTED" else set())
            id_ = f"server-ended-{model_of(active)}-{phase.lower()}"
            made.append(server.case(id_, comment, requirements, ("StateTable", "Ended")))
    return made


def other_answer(server: ScriptedServer, client: int) -> bytes:
    """A second, well-formed and different answer to the open round."""
    said = server.answer(client)
    changed: dict[str, wire.Response] = {
        KEYS: wire.AdvertiseKeysResponse(server.insider(client).advertisement(commitment=bytes(32))),
        SHARES: wire.ShareKeysResponse(
            tuple(wire.SealedShares(c, bytes(server.world.pair_bytes)) for c in sorted(server.requests) if c != client)
        ),
        INPUTS: _masked(server.world, "another payload"),
        CONFIRMATIONS: wire.ConsistencyCheckResponse(bytes(64)),
        UNMASKING: wire.UnmaskingResponse(
            tuple(
                wire.RevealedShare(c, bytes(server.world.share_bytes)) for c in sorted(server.requests) if c != client
            ),
            (),
        ),
    }
    message = server.envelope(changed[server.phase])
    return message if message != said else b""


def _answered() -> list[Json]:
    """Repeats, S05, and what else may come after an answer: S02, S04, S06."""
    made = []
    for active in (False, True):
        for phase in phases(active):
            after: dict[str, tuple[str, tuple[str, ...]]] = {
                "repeat": ("R56", ()),
                "second": ("S05", ("S05",)),
                "abort": ("S06", ("S06",)),
                "malformed": ("S02", ("S02",)),
                "other-session": ("S04", ("S04",)),
            }
            for name, (requirement, rules) in after.items():
                if active and name != "second" and (phase, name) not in _ALSO_ACTIVE:
                    continue
                if phase in (SHARES, UNMASKING) and name in ("malformed", "other-session"):
                    continue
                server = ScriptedServer(world_of(active, "answered")).play_to(phase)
                server.give(PROBED)
                said = server.answer(PROBED)
                if name == "repeat":
                    server.receive(PROBED, said, "REPEATED")
                    server.receive(PROBED, said, "REPEATED")
                else:
                    data = {
                        "second": other_answer(server, PROBED),
                        "abort": server.envelope(wire.Abort("A07")),
                        "malformed": said[:-1],
                        "other-session": server.envelope(wire.decode_for_server(said).body, bytes(32)),
                    }[name]
                    server.dropped(PROBED, data, *rules)
                    server.receive(PROBED, said, "LATE")
                outcome = server.play_round()
                if phase == UNMASKING and (name == "repeat" or not active):
                    server.completed(outcome, server.world.clients)
                comment = f"{model_of(active)}, {phase}: after its answer client 3 sends {_AFTER[name]}."
                id_ = f"server-after-answer-{model_of(active)}-{short(phase)}-{name}"
                flags = ("SecondAnswer",)
                made.append(server.case(id_, comment, {requirement, "R29", "R55", "R56"}, flags))
    return made


_ALSO_ACTIVE: Final = ((CONFIRMATIONS, "repeat"), (CONFIRMATIONS, "abort"), (UNMASKING, "abort"))
_AFTER: Final = {
    "repeat": "the same bytes twice more",
    "second": "another answer",
    "abort": "Abort",
    "malformed": "bytes that do not decode",
    "other-session": "its answer under another session digest",
}


def _late() -> list[Json]:
    """Messages of clients that were dropped, or are not asked: late, whatever they hold (R25, R56)."""
    made = []
    junk = (b"", b"\xff" * 40)
    for active in (False, True):
        clients = (1, 2, 3, 4, 5) if active else (1, 2, 3)
        threshold = 3 if active else 1
        server = ScriptedServer(World(f"late/{active}", clients, active=active, threshold=threshold))
        first = messages(server, PROBED)
        for client in server.waiting:
            if client != PROBED:
                server.give(client)
        server.close()
        for phase in phases(active)[1:]:
            for data in (*first.values(), *junk, server.envelope(wire.Abort("A10"), bytes(32)), server.world.offer):
                server.receive(PROBED, data, "LATE")
            server.play_round()
            if phase == UNMASKING:
                break
        comment = (
            "Client 3 does not answer the first round; in each later one it sends every type of message, and noise."
        )
        made.append(
            server.case(f"server-late-{model_of(active)}", comment, {"S01", "R25", "R55", "R56"}, ("LateMessage",))
        )
    server = ScriptedServer(World("late/input", (1, 2, 3, 4), threshold=2)).play_to(INPUTS)
    late = server.answer(PROBED)
    server.play_round((PROBED,))
    server.receive(PROBED, late, "LATE")
    server.finish({1, 2, 4})
    comment = "Client 3's input comes when its round is closed: it is not added, and its mask key is rebuilt."
    made.append(server.case("server-late-input", comment, {"R25", "R56", "S01"}, ("LateMessage",)))
    server = ScriptedServer(World("late/second input", (1, 2, 3, 4), threshold=2)).play_to(INPUTS)
    server.play_round()
    server.receive(PROBED, server.envelope(_masked(server.world, "more")), "LATE")
    server.finish({1, 2, 3, 4})
    comment = "Client 3's input was added; a second, different one comes in the round after it."
    made.append(server.case("server-late-second-input", comment, {"R25", "R56"}, ("LateMessage",)))
    server = ScriptedServer(World("late/added", (1, 2, 3, 4), threshold=2)).play_to(INPUTS)
    server.give(PROBED)
    server.dropped(PROBED, server.envelope(wire.Abort("A10")), "S06")
    server.play_round()
    server.receive(PROBED, server.envelope(wire.UnmaskingResponse((), ())), "LATE")
    server.finish({1, 2, 3, 4})
    comment = (
        "Client 3's input was added before client 3 aborted: it stays in the sum, and client 3 is not asked again."
    )
    made.append(server.case("server-input-stays", comment, {"S06", "R54", "R55", "R56"}, ("Dropout",)))
    return made


def _strangers() -> list[Json]:
    made = []
    for active in (False, True):
        server = ScriptedServer(world_of(active, "strangers"))
        while server.phase in phases(active):
            known = messages(server, 1)
            for data in (*known.values(), b"", server.answer(1)):
                server.receive(77, data, "LOCAL_ERROR")
            server.receive(0, server.answer(1), "LOCAL_ERROR")
            outcome = server.play_round()
        server.completed(outcome, server.world.clients)
        comment = "In every round clients 77 and 0, which are not in the cohort, send every type of message."
        made.append(server.case(f"server-strangers-{model_of(active)}", comment, {"R31", "R29"}, ("Stranger",)))
    return made


def _ends() -> list[Json]:
    """A10 in every phase: notices go to the clients that are asked and were not dropped."""
    made = []
    for active in (False, True):
        for phase in phases(active):
            server = ScriptedServer(world_of(active, "ends")).play_to(phase)
            server.give(1)
            server.dropped(2, b"", "S02")
            server.end()
            server.receive(PROBED, server.envelope(wire.Abort("A10")), "LOCAL_ERROR")
            server.script.close_round("LOCAL_ERROR")
            server.script.step("LOCAL_ERROR", end_session=pb.EndSession())
            comment = f"{model_of(active)}, {phase}: the host ends it; all but client 2, which was dropped, are told."
            id_ = f"server-host-ends-{model_of(active)}-{short(phase)}"
            made.append(server.case(id_, comment, {"A10", "S02", "R29"}, ("Ended",)))
    return made
