"""Client scripts of inputs (§4.2): what a client refuses to mask, what it limits, and which input it masks.

A host that gives an input of another form gets an error, and nothing else changes: R24, R29, R47. No value is refused:
R14, R15.
"""

from __future__ import annotations

from typing import Any, Final

from protocol_specs.generate_vectors.client_play import ACTIVE, ROUNDS, SEMI_HONEST, Scene, live_phases, model
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import World, input_event
from protocol_specs.reference import wire
from protocol_specs.reference.parameters import FixedPoint, Integers
from protocol_specs.testee import conformance_pb2 as pb

REAL: Final = World(
    "reals", clients=(1, 2, 3), threshold=1, vectors=(("x", FixedPoint((3,), 1.0, 8, "nearest", "sum")),)
)
WHOLE: Final = World("integers", clients=(1, 2, 3), threshold=1, vectors=(("v", Integers(-3, 12, (3,))),))
WIDE: Final = World("wide integers", clients=(1, 2), threshold=1, vectors=(("v", Integers(-(2**62), 2**62 - 1, (2,))),))
WEIGHTED: Final = World(
    "weighted",
    clients=(1, 2, 3),
    threshold=1,
    vectors=(("m", FixedPoint((2,), 1.0, 8, "nearest", "mean")), ("v", Integers(0, 9, (2,)))),
    max_weight=100,
)


def cases() -> list[Json]:
    """All cases of this module."""
    return [*_not_finite(), *_out_of_range(), *_weights(), *_forms(), *_order()]


def _refused(id_: str, comment: str, requirements: str, world: World, *events: pb.SetInput) -> Json:
    """The host gives inputs that are refused, then a good one, which is masked."""
    scene = Scene(world, 2, gives_input=False)
    for event in events:
        scene.give_input("LOCAL_ERROR", event)
    scene.give_input()
    scene.script.step(message=scene.to("MASKED_INPUT").request)
    return scene.case(f"input-{id_}", comment, f"R29 R47 {requirements}", "WrongInput")


def _event(world: World, values: dict[str, Any], weight: int = 1) -> pb.SetInput:
    return input_event(world.parameters, values, weight)


def _limited(id_: str, comment: str, requirements: str, world: World, event: pb.SetInput) -> Json:
    """The host gives an input beyond the bounds, which is masked all the same."""
    scene = Scene(world, 2, gives_input=False)
    scene.give_input(event=event)
    scene.script.step(message=scene.to("MASKED_INPUT").request)
    return scene.case(f"input-{id_}", comment, f"R46 R47 {requirements}", "LimitedInput")


def _not_finite() -> list[Json]:
    made = []
    for name, value in (("nan", float("nan")), ("infinity", float("inf")), ("minus-infinity", float("-inf"))):
        for place, said in enumerate(("first", "second", "last")):
            event = _event(REAL, {"x": [value if at == place else 0.5 for at in range(3)]})
            made.append(_limited(f"r14-{name}-{said}", f"{name} as the {said} entry", "R14", REAL, event))
    return made


def _out_of_range() -> list[Json]:
    made = []
    for name, world, value in (
        ("below", WHOLE, -4),
        ("above", WHOLE, 13),
        ("smallest", WHOLE, -(2**63)),
        ("largest", WHOLE, 2**63 - 1),
        ("wraps-to-low", WHOLE, 2**32 - 3),
        ("wide-below", WIDE, -(2**62) - 1),
        ("wide-above", WIDE, 2**62),
    ):
        rest = [0] * (world.parameters.vectors[0][1].entries - 1)
        for said, entries in (("first", [value, *rest]), ("last", [*rest, value])):
            event = _event(world, {"v": entries})
            made.append(_limited(f"r15-{name}-{said}", f"{value} as the {said} entry", "R15", world, event))
    for world, low, high in ((WHOLE, -3, 12), (WIDE, -(2**62), 2**62 - 1)):
        scene = Scene(world, 2, gives_input=False)
        entries = [low, high] + [0] * (world.parameters.vectors[0][1].entries - 2)
        scene.give_input(event=_event(world, {"v": entries}))
        scene.script.step(message=scene.to("MASKED_INPUT").request)
        name = f"input-within-{'wide' if world is WIDE else 'small'}"
        made.append(scene.case(name, f"the bounds {low} and {high} themselves", "R15 R46 R47", "EdgeCase"))
    return made


def _weights() -> list[Json]:
    values: dict[str, Any] = {"m": [0.25, -0.75], "v": [0, 9]}
    made = [
        _limited("weight-101", "a weight above the largest counts as 100", "", WEIGHTED, _event(WEIGHTED, values, 101)),
        _limited("weight-2^64-1", "the largest number for a weight", "", WEIGHTED, _event(WEIGHTED, values, 2**64 - 1)),
    ]
    for weight in (0, 1, 100):
        scene = Scene(WEIGHTED, 2, gives_input=False)
        scene.give_input(event=_event(WEIGHTED, values, weight))
        scene.script.step(message=scene.to("MASKED_INPUT").request)
        made.append(scene.case(f"input-within-weight-{weight}", f"weight {weight} of 100", "R46 R47", "EdgeCase"))
    return made


def _forms() -> list[Json]:
    zeros = pb.Values(name="v", integers=[0, 0])
    mean = pb.Values(name="m", reals=[0.5, 0.5])
    forms = {
        "nothing": ("an input without vectors", []),
        "missing": ("a vector is missing", [mean]),
        "other-name": ("a vector has another name", [mean, pb.Values(name="w", integers=[0, 0])]),
        "name-case": ("a name differs in case", [mean, pb.Values(name="V", integers=[0, 0])]),
        "one-more": ("a vector that the session does not have", [mean, zeros, pb.Values(name="w", integers=[0])]),
        "short": ("a vector lacks an entry", [mean, pb.Values(name="v", integers=[0])]),
        "long": ("a vector has an entry too many", [mean, pb.Values(name="v", integers=[0, 0, 0])]),
        "empty": ("a vector has no entry", [pb.Values(name="m"), zeros]),
    }
    return [
        _refused(f"form-{id_}", comment, "", WEIGHTED, pb.SetInput(vectors=vectors, weight=1))
        for id_, (comment, vectors) in forms.items()
    ]


def _order() -> list[Json]:
    made = []
    for world in (SEMI_HONEST, ACTIVE):
        kind = model(world)
        scene = Scene(world, 2, gives_input=False).to("MASKED_INPUT")
        scene.local_error(scene.request)
        scene.local_error(scene.request)
        scene.give_input()
        scene.end()
        comment = (
            "MaskedInputCollectionRequest before there is an input: an error of the host; afterwards it is answered"
        )
        made.append(scene.case(f"input-{kind}-missing", comment, "R29 R52", "HostMistake"))

        made += _judged_without_input(world)

        scene = Scene(world, 2, gives_input=False).to("MASKED_INPUT")
        scene.local_error(scene.request)
        scene.give_input("LOCAL_ERROR", input_event(world.parameters, {"v": [9] * 5}, 1))
        scene.local_error(scene.request)
        scene.script.step(end_session=pb.EndSession())
        comment = "an input that was refused is none"
        made.append(scene.case(f"input-{kind}-refused-is-none", comment, "R29", "HostMistake"))

        scene = Scene(world, 2)
        scene.give_input("LOCAL_ERROR", input_event(world.parameters, {"v": [0, 0, 0]}, 1))
        scene.script.step(message=scene.to("MASKED_INPUT").request)
        comment = "a refused input does not replace the one that was set before"
        made.append(scene.case(f"input-{kind}-refused-later", comment, "R29", "HostMistake"))

        for phase in [p for p in live_phases(world) if list(ROUNDS).index(p) < list(ROUNDS).index("CONSISTENCY_CHECK")]:
            scene = Scene(world, 2, gives_input=False)
            scene.give_input(event=input_event(world.parameters, {"v": [0, 1, 2, 3]}, 1))
            scene.to(phase)
            scene.give_input()
            scene.script.step(message=scene.to("MASKED_INPUT").request)
            comment = f"a second input in {phase} takes the place of the first: one is masked"
            made.append(scene.case(f"input-{kind}-twice-{phase.lower()}", comment, "R24", "Honest"))

        for phase in [*live_phases(world)[3:], "COMPLETED"]:
            scene = Scene(world, 2).to(phase)
            scene.give_input("LOCAL_ERROR")
            if phase != "COMPLETED":
                scene.script.step(message=scene.request)
            comment = f"an input in {phase}, after the upload, is refused; the session goes on"
            made.append(scene.case(f"input-{kind}-late-{phase.lower()}", comment, "R24 R29", "HostMistake"))

        scene = Scene(world, 2).to("MASKED_INPUT")
        request = scene.request
        answer = scene.advance()
        scene.give_input("LOCAL_ERROR", input_event(world.parameters, {"v": [0, 1, 2, 3]}, 1))
        if scene.script.step(message=request).answer != answer:
            raise ValueError("the same request got another answer")
        comment = "after the upload another input is refused, and the same request gets the same upload"
        made.append(scene.case(f"input-{kind}-second-upload", comment, "R24 R53", "Replay"))
    return made


def _judged_without_input(world: World) -> list[Json]:
    """MASKED_INPUT without an input: only the message of the phase waits for the host, all others are judged."""
    kind = model(world)

    def waiting() -> Scene:
        return Scene(world, 2, gives_input=False).to("MASKED_INPUT")

    def ended(scene: Scene, name: str, text: str, requirements: str, flag: str) -> Json:
        scene.give_input("LOCAL_ERROR")
        comment = f"MASKED_INPUT without an input: {text}, which is judged all the same, and ends the session"
        return scene.case(f"input-{kind}-missing-{name}", comment, f"{requirements} R03 R29", flag)

    scene = waiting().tell(wire.Abort("A03"))
    made = [ended(scene, "abort", "the server aborts", "A09", "OutOfOrder")]
    scene = Scene(world, 2, gives_input=False).to("SHARE_KEYS")
    advertisements = scene.body.advertisements
    scene.to("MASKED_INPUT").tell(wire.ShareKeysRequest(advertisements[:-1]), "C11")
    made.append(ended(scene, "share-keys", "another ShareKeysRequest", "C11", "OutOfOrder"))
    scene = waiting()
    scene.tell(scene.body, "C12", session=bytes(32))
    made.append(ended(scene, "session", "the expected message under another session digest", "C12 R07", "Replay"))
    scene = waiting()
    scene.refuse(scene.request + b"\x00", "A08")
    made.append(ended(scene, "malformed", "the expected message and a byte 00", "A08 R19", "Malformed"))
    scene = waiting()
    scene.refuse(scene.play.envelope(wire.MaskedInputCollectionRequest(())), "C33")
    comment = "MASKED_INPUT without an input: a request without pairs is refused before the host is asked for an input"
    made.append(scene.case(f"input-{kind}-missing-no-pairs", comment, "C33 R52", "TooFew"))
    return made
