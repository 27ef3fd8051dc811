"""Client scripts of snapshots (§9): a session goes on from one, and no phase is answered in two ways (A12).

Each case has a ledger of its own, since ledgers live as long as the testee.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.client_play import ACTIVE_TRIO, TRIO, Scene, live_phases, model
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import World, draw, input_event, roster_entries
from protocol_specs.reference import wire
from protocol_specs.testee import conformance_pb2 as pb

CLIENT: Final = 2
LOOSE: Final = World("snapshots of four clients", clients=(1, 2, 3, 4), threshold=2)
STRICT: Final = World("snapshots of five clients", clients=(1, 2, 3, 4, 5), active=True, threshold=3)
TAKEN: Final = {"ADVERTISE_KEYS": 0, "SHARE_KEYS": 96}
"""How much of its tape a client has used when it waits in a phase; later ones draw nothing more."""


def cases() -> list[Json]:
    """All cases of this module."""
    return [*_going_on(), *_twice(), *_second_answers()]


class _Frozen:
    """A scene with a ledger, frozen in a phase."""

    def __init__(self, id_: str, world: World, phase: str, **options: Any) -> None:
        self.id, self.world, self.phase = id_, world, phase
        self.scene = Scene(world, CLIENT, ledger=f"ledger of {id_}", **options).to(phase)
        self.scene.script.snapshot(phase.lower())

    def restore(self, tape: bytes | None = None) -> None:
        """Go on from the snapshot, with the rest of the tape or another one."""
        fields: dict[str, Any] = {"ledger": f"ledger of {self.id}"}
        rest = self.world.tape(CLIENT)[TAKEN.get(self.phase, 10**6) :]
        fields["tape"] = rest if tape is None else tape
        if self.world.active:
            fields |= {"identity_key": self.world.identity_key(CLIENT), "roster": roster_entries(self.world.roster)}
        self.scene.script.restore(self.phase.lower(), **fields)

    def case(self, comment: str, requirements: str, flags: str) -> Json:
        """The finished case."""
        return self.scene.case(self.id, comment, requirements, flags, {"client_snapshots": True})


def _going_on() -> list[Json]:
    made = []
    for world in (TRIO, ACTIVE_TRIO):
        for phase in live_phases(world):
            frozen = _Frozen(f"snapshot-{model(world)}-{phase.lower().replace('_', '-')}", world, phase)
            scene = frozen.scene
            scene.local_error(scene.request)
            scene.script.step("LOCAL_ERROR", end_session=pb.EndSession())
            frozen.restore()
            scene.end()
            comment = f"frozen in {phase}: the frozen session has ended (A10), the restored one goes on to the end"
            made.append(frozen.case(comment, "A10 R52", "Honest"))
    world = LOOSE
    frozen = _Frozen("snapshot-without-input", world, "MASKED_INPUT", gives_input=False)
    frozen.restore()
    frozen.scene.local_error(frozen.scene.request)
    frozen.scene.give_input()
    frozen.scene.end()
    made.append(frozen.case("frozen before there is an input, which is set afterwards", "R29 R52", "Honest"))
    scene = Scene(LOOSE, CLIENT, ledger="ledger of snapshot-every-phase")
    for phase in live_phases(LOOSE):
        scene.to(phase)
        scene.script.snapshot(phase.lower())
        rest = LOOSE.tape(CLIENT)[TAKEN.get(phase, 10**6) :]
        scene.script.restore(phase.lower(), tape=rest, ledger="ledger of snapshot-every-phase")
    scene.end()
    comment = "frozen and restored in every phase"
    made.append(scene.case("snapshot-every-phase", comment, "R52", "Honest", {"client_snapshots": True}))
    return made


def _twice() -> list[Json]:
    """Two copies that answer alike: the server cannot tell them from one."""
    made = []
    for world in (TRIO, ACTIVE_TRIO):
        for phase in live_phases(world):
            frozen = _Frozen(f"snapshot-twice-{model(world)}-{phase.lower().replace('_', '-')}", world, phase)
            request = frozen.scene.request
            frozen.restore()
            answer = frozen.scene.script.step(message=request).answer
            frozen.restore()
            if frozen.scene.advance() != answer:
                raise ValueError("two copies answered differently")
            frozen.scene.script.step(message=request)
            comment = f"two copies of a session frozen in {phase} give the same answer to the same request"
            made.append(frozen.case(comment, "R53", "SecondAnswer"))
    return made


def _second_answers() -> list[Json]:
    """Two copies that would answer differently: the second one ends (A12), and answers nothing any more."""
    made = []
    for world in (LOOSE, STRICT):
        for phase in ("ADVERTISE_KEYS", "SHARE_KEYS"):
            frozen = _Frozen(f"a12-{model(world)}-{phase.lower().replace('_', '-')}-randomness", world, phase)
            request = frozen.scene.request
            frozen.restore()
            frozen.scene.script.step(message=request)
            frozen.restore(tape=draw("other randomness", 500))
            comment = f"{phase}: the second copy draws other randomness"
            made.append(_ends(frozen, request, comment, "R02"))

        frozen = _Frozen(f"a12-{model(world)}-third", world, "SHARE_KEYS")
        request = frozen.scene.request
        frozen.restore()
        answer = frozen.scene.script.step(message=request).answer
        for _ in range(2):
            frozen.restore(tape=draw("other randomness", 500))
            frozen.scene.refuse(request, "A12")
        frozen.restore()
        if frozen.scene.script.step(message=request).answer != answer:
            raise ValueError("a copy answered differently")
        comment = "a refused answer is refused again, and the first one may be given again"
        made.append(frozen.case(comment, "A12 R53", "SecondAnswer"))

        frozen = _Frozen(f"a12-{model(world)}-input", world, "MASKED_INPUT")
        request = frozen.scene.request
        frozen.restore()
        frozen.scene.script.step(message=request)
        frozen.restore()
        frozen.scene.give_input(event=input_event(world.parameters, {"v": [0, 1, 2, 3]}, 1))
        made.append(_ends(frozen, request, "MASKED_INPUT: the second copy has another input", "R24"))

        frozen = _Frozen(f"a12-{model(world)}-sharers", world, "MASKED_INPUT")
        request, pairs = frozen.scene.request, frozen.scene.body.ciphertexts
        frozen.restore()
        frozen.scene.script.step(message=request)
        frozen.restore()
        fewer = frozen.scene.play.envelope(wire.MaskedInputCollectionRequest(pairs[:-1]))
        made.append(_ends(frozen, fewer, "MASKED_INPUT: the second copy sees fewer sharers: other masks", "R24"))

        frozen = _Frozen(f"a12-{model(world)}-advertised", world, "SHARE_KEYS")
        request, shown = frozen.scene.request, frozen.scene.body.advertisements
        frozen.restore()
        frozen.scene.script.step(message=request)
        frozen.restore()
        fewer = frozen.scene.play.envelope(wire.ShareKeysRequest(shown[:-1]))
        made.append(_ends(frozen, fewer, "SHARE_KEYS: the second copy sees fewer advertisements", "R02"))

    frozen = _Frozen("a12-active-contributors", STRICT, "CONSISTENCY_CHECK")
    request = frozen.scene.request
    frozen.restore()
    frozen.scene.script.step(message=request)
    frozen.restore()
    fewer = frozen.scene.play.envelope(wire.ConsistencyCheckRequest((1, 2, 3, 4)))
    made.append(_ends(frozen, fewer, "CONSISTENCY_CHECK: the second copy is shown other contributors", "R26"))

    frozen = _Frozen("a12-semi-honest-shares", LOOSE, "UNMASKING")
    request, body = frozen.scene.request, frozen.scene.body
    frozen.restore()
    frozen.scene.script.step(message=request)
    frozen.restore()
    other = replace(body, survivors=body.survivors[:-1], dropped=body.survivors[-1:])
    comment = "UNMASKING: the second copy is asked for the other share of a client"
    made.append(_ends(frozen, frozen.scene.play.envelope(other), comment, "R27"))
    return made


def _ends(frozen: _Frozen, message: bytes, comment: str, requirements: str) -> Json:
    """The restored copy would answer this message otherwise than the first one did."""
    frozen.scene.refuse(message, "A12")
    frozen.scene.local_error(message)
    return frozen.case(comment, f"A12 R03 {requirements}", "SecondAnswer")
