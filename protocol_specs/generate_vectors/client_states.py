"""Client scripts of every cell of the tables of §7.1, of other sessions (C12), aborts (A09, A10), and failures (A11).

The cells of OFFERED stand with the offers, the ones where the round's handler runs with the honest sessions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.client_play import ACTIVE_TRIO, ROUNDS, TRIO, Scene, live_phases, model
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import Play, World, draw
from protocol_specs.reference import wire
from protocol_specs.testee import conformance_pb2 as pb

CLIENT: Final = 2
REQUESTS: Final = {
    "AdvertiseKeysRequest": "ADVERTISE_KEYS",
    "ShareKeysRequest": "SHARE_KEYS",
    "MaskedInputCollectionRequest": "MASKED_INPUT",
    "DisclosureRequest": "DISCLOSURE",
    "ConsistencyCheckRequest": "CONSISTENCY_CHECK",
    "UnmaskingRequest": "UNMASKING",
}
"""By message, the phase that waits for it."""


def cases() -> list[Json]:
    """All cases of this module."""
    made = []
    for world in (TRIO, ACTIVE_TRIO):
        made += [*_cells(world), *_repeats(world), *_other_session(world), *_ends(world), *_ended(world)]
    return [*made, *_abort_reasons(), *_failures()]


def bodies(world: World) -> dict[str, Any]:
    """What the honest server asks the client, by message; and what it does not ask for."""
    play = Play(world).play_to("COMPLETED")
    made: dict[str, Any] = {
        "ConsistencyCheckRequest": wire.ConsistencyCheckRequest(world.clients),
        "DisclosureRequest": wire.DisclosureRequest(()),
    }
    for requests, _ in play.history.values():
        envelope = wire.decode_for_client(requests[CLIENT])
        if isinstance(envelope, wire.Envelope):
            made[type(envelope.body).__name__] = envelope.body
    return made


def _another(body: Any) -> Any:
    """A well-formed request of the same kind with other content, as if a client more had dropped out."""
    match body:
        case wire.ShareKeysRequest():
            return wire.ShareKeysRequest(body.advertisements[:-1])
        case wire.MaskedInputCollectionRequest():
            return wire.MaskedInputCollectionRequest(body.ciphertexts[:-1])
        case wire.ConsistencyCheckRequest():
            return wire.ConsistencyCheckRequest(body.contributors[:-1])
        case wire.UnmaskingRequest():
            return replace(body, survivors=body.survivors[:-1], dropped=body.survivors[-1:])
    raise TypeError(f"{type(body).__name__} has no other content")


def _cells(world: World) -> list[Json]:
    made = []
    asked = bodies(world)
    phases = live_phases(world)
    for place, phase in enumerate(phases):
        scene = Scene(world, CLIENT).to(phase)
        scene.refuse(world.offer, "C11", "A08")
        comment = f"{phase}: a second offer, which is no envelope (A08), or not the message of the phase (C11)"
        made.append(scene.case(_id(world, phase, "SessionOffer"), comment, "C11 R03 R52", "OutOfOrder"))
        for name, its_phase in REQUESTS.items():
            previous = phases[place - 1] if place else ""
            if its_phase == phase or (its_phase == previous == "ADVERTISE_KEYS"):
                continue
            body = _another(asked[name]) if its_phase == previous else asked[name]
            what = "another " if its_phase == previous else "the "
            scene = Scene(world, CLIENT).to(phase).tell(body, "C11")
            comment = f"{phase}: {what}{name} is not the message of the phase"
            also = " R65" if name == "DisclosureRequest" else ""
            made.append(scene.case(_id(world, phase, name), comment, f"C11 R03 R52{also}", "OutOfOrder"))
    return made


def _id(world: World, phase: str, message: str) -> str:
    return f"state-{model(world)}-{phase.lower().replace('_', '-')}-{message}"


def _repeats(world: World) -> list[Json]:
    """The same bytes again, in the phase that follows the answer; the session then goes on."""
    made = []
    for phase in live_phases(world):
        scene = Scene(world, CLIENT).to(phase)
        request = scene.request
        answer = scene.advance()
        for _ in range(2):
            if scene.script.step(message=request).answer != answer:
                raise ValueError("the same request got another answer")
        scene.end()
        comment = f"the request of {phase} comes three times, and gets the same answer each time"
        id_ = f"repeat-{model(world)}-{phase.lower().replace('_', '-')}"
        made.append(scene.case(id_, comment, "R24 R27 R53", "Replay"))
    return made


def _other_session(world: World) -> list[Json]:
    made = []
    other = draw("another session", 32)
    flipped = world.session[:-1] + bytes([world.session[-1] ^ 1])
    for place, phase in enumerate(live_phases(world)):
        scene = Scene(world, CLIENT).to(phase)
        scene.tell(scene.body, "C12", session=flipped if place % 2 else other)
        name = phase.lower().replace("_", "-")
        comment = f"{phase}: the expected message under another session digest"
        made.append(scene.case(f"c12-{model(world)}-{name}", comment, "C12 R03 R07", "Replay"))
    scene = Scene(world, CLIENT).to("SHARE_KEYS")
    scene.tell(wire.Abort("A10"), "C12", session=other)
    comment = "an Abort under another session digest: the client ends for C12, not for A09"
    made.append(scene.case(f"c12-{model(world)}-abort", comment, "C12 R07", "Replay"))
    scene = Scene(world, CLIENT).to("SHARE_KEYS")
    scene.tell(wire.AdvertiseKeysRequest(), "C12", "C11", session=other)
    comment = "the request that was answered last, under another session digest"
    made.append(scene.case(f"c12-{model(world)}-earlier", comment, "C12 R07 R53", "Replay"))
    return made


def _ends(world: World) -> list[Json]:
    """Abort of the server (A09) and of the host (A10) in every live phase; afterwards nothing is answered."""
    made = []
    for phase in live_phases(world):
        name = f"{model(world)}-{phase.lower().replace('_', '-')}"
        scene = Scene(world, CLIENT).to(phase)
        request = scene.request
        scene.tell(wire.Abort("A03")).local_error(request)
        scene.script.step("LOCAL_ERROR", end_session=pb.EndSession())
        comment = (
            f"{phase}: the server aborts; then the request of the phase is not answered, and there is nothing to end"
        )
        made.append(scene.case(f"a09-{name}", comment, "A09 R03", "OutOfOrder"))
        scene = Scene(world, CLIENT).to(phase)
        request = scene.request
        scene.script.step(end_session=pb.EndSession())
        scene.local_error(request)
        scene.script.step("LOCAL_ERROR", end_session=pb.EndSession())
        comment = f"{phase}: the host ends the session, once; then the request of the phase is not answered"
        made.append(scene.case(f"a10-{name}", comment, "A10 R03", "HostMistake"))
    return made


def _ended(world: World) -> list[Json]:
    """COMPLETED and ABORTED refuse everything, the repeated last request in COMPLETED apart."""
    asked = bodies(world)
    messages = {name: wire.encode_envelope(world.session, body) for name, body in asked.items()}
    messages["Abort"] = wire.encode_envelope(world.session, wire.Abort("A10"))
    messages["SessionOffer"] = world.offer
    scene = Scene(world, CLIENT).to("UNMASKING")
    last = scene.request
    scene.end()
    for name, message in messages.items():
        if name != "UnmaskingRequest":
            scene.local_error(message)
    for bad in (b"", b"\xff", last[:-1]):
        scene.local_error(bad)
    scene.give_input("LOCAL_ERROR")
    scene.script.step("LOCAL_ERROR", end_session=pb.EndSession())
    scene.script.step(message=last)
    comment = (
        "COMPLETED: every message, input and end is refused, and changes nothing; the last request is answered again"
    )
    made = [scene.case(f"state-{model(world)}-completed", comment, "R29 R52 R53", "OutOfOrder")]
    for phase in ("SHARE_KEYS", "UNMASKING"):
        scene = Scene(world, CLIENT)
        previous = b""
        while scene.play.server.phase.name != ROUNDS[phase]:
            previous = scene.request
            scene.advance()
        request = scene.request
        scene.tell(scene.body, "C12", session=bytes(32))
        for message in (request, previous, *(m for m in messages.values() if m not in (request, previous)), b"\xff"):
            scene.local_error(message)
        scene.give_input("LOCAL_ERROR")
        scene.script.step("LOCAL_ERROR", end_session=pb.EndSession())
        comment = f"ABORTED after a violation in {phase}: everything is refused, the last request again, too"
        made.append(scene.case(_id(world, "aborted-in-" + phase, "all"), comment, "C12 R03 R29 R52", "OutOfOrder"))
    return made


def _abort_reasons() -> list[Json]:
    made = []
    for reason in wire.ABORT_REASONS:
        scene = Scene(TRIO, CLIENT).tell(wire.Abort(reason))
        comment = f"an Abort for {reason}: the client's own reason is A09"
        made.append(scene.case(f"a09-reason-{reason.lower()}", comment, "A09", "OutOfOrder"))
    return made


def _failures() -> list[Json]:
    """A tape that ends too early is a failure in the middle of a message."""
    made = []
    whole = TRIO.tape(CLIENT)
    needed = 96 + 32 + 24 * 2
    for phase, lengths in (("ADVERTISE_KEYS", (0, 31, 32, 95)), ("SHARE_KEYS", (96, 127, 128, needed - 1))):
        for length in lengths:
            scene = Scene(TRIO, CLIENT, tape=whole[:length]).to(phase)
            request = scene.request
            scene.script.step("FAILED", message=request)
            scene.local_error(request)
            scene.give_input("LOCAL_ERROR")
            comment = f"{phase}: the randomness ends after {length} bytes: no answer, and the session has ended"
            made.append(scene.case(f"a11-{phase.lower().replace('_', '-')}-{length}", comment, "A11 R03", "Failure"))
    scene = Scene(TRIO, CLIENT, tape=whole[:needed]).end()
    comment = f"{needed} bytes of randomness are enough: nothing else is drawn"
    made.append(scene.case("within-a11", comment, "A11 R52", "EdgeCase"))
    return made
