"""Server scripts about the ends of sessions: A01 to A05 below and at their bounds, A13, R28 (§4.2, §6.2 to §6.7).

Must not know wrong shares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from protocol_specs.generate_vectors.script import WrongScript
from protocol_specs.generate_vectors.scripted import (
    CONFIRMATIONS,
    INPUTS,
    KEYS,
    SHARES,
    UNMASKING,
    ScriptedServer,
    phases,
)
from protocol_specs.generate_vectors.world import World
from protocol_specs.reference import vectors, wire
from protocol_specs.reference.parameters import FixedPoint

Json = dict[str, Any]

ROUNDS: Final = {"A01": KEYS, "A02": SHARES, "A03": INPUTS, "A04": CONFIRMATIONS, "A05": UNMASKING}
_ACTIVE_BOUNDS: Final = (CONFIRMATIONS,)
MEAN: Final = (("m", FixedPoint((2,), 1.0, 8, "nearest", "mean")),)


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_bounds(), *_minimum(), *_present(), *_nobody(), *_weights()]


def _ends(
    name: str,
    comment: str,
    world: World,
    reason: str,
    silent: Mapping[str, Collection[int]],
    requirements: Collection[str] = (),
) -> Json:
    """The session must end for this reason in the round of the reason."""
    phase = ROUNDS[reason]
    server = ScriptedServer(world).play_to(phase, silent)
    server.aborted(server.play_round(silent.get(phase, ())), reason)
    return server.case(f"server-{name}", comment, {reason, "S01", "R54", "R55", *requirements}, ("Bound",))


def _goes_on(
    name: str,
    comment: str,
    world: World,
    reason: str,
    silent: Mapping[str, Collection[int]],
    requirements: Collection[str] = (),
) -> Json:
    server = ScriptedServer(world)
    gone = {client for phase in (KEYS, SHARES, INPUTS) for client in silent.get(phase, ())}
    server.finish(set(world.clients) - gone, silent)
    return server.case(f"server-{name}", comment, {reason, "S01", "R48", "R55", *requirements}, ("Bound",))


def _bounds() -> list[Json]:
    """t + 1 clients are enough, t are not."""
    made = []
    for active in (False, True):
        clients, threshold = ((1, 2, 3, 4, 5), 3) if active else ((1, 2, 3, 4), 2)
        model = "active" if active else "semi-honest"
        for reason, phase in ROUNDS.items():
            if phase not in (_ACTIVE_BOUNDS if active else phases(active)):
                continue
            world = World(f"ends/{model}/{reason}", clients, active=active, threshold=threshold)
            text = f"{model}: t clients answer the round of {reason}, one too few."
            made.append(_ends(f"{reason}-{model}-below", text, world, reason, {phase: clients[:2]}))
            text = f"{model}: t + 1 clients answer the round of {reason}, just enough."
            made.append(_goes_on(f"{reason}-{model}-at", text, world, reason, {phase: clients[:1]}))
    return made


def _minimum() -> list[Json]:
    """`minimum_contributors` above t + 1."""
    three = World("ends/minimum of three", (1, 2, 3), threshold=1, options={"minimum_contributors": 3})
    made = []
    for reason in ("A01", "A02", "A03"):
        text = "Two clients are left of a minimum of three, although the threshold is 1."
        made.append(_ends(f"minimum-{reason}-below", text, three, reason, {ROUNDS[reason]: (2,)}, ("R28",)))
    world = World("ends/minimum", (1, 2, 3, 4), threshold=1, options={"minimum_contributors": 3})
    text = "Three clients are left of a minimum of three."
    made.append(_goes_on("minimum-at", text, world, "A03", {INPUTS: (4,)}, ("R28",)))
    server = ScriptedServer(world).play_to(INPUTS)
    server.give(1, 2, 3, 4)
    server.dropped(3, server.envelope(wire.Abort("A10")), "S06")
    server.dropped(4, server.envelope(wire.Abort("A10")), "S06")
    server.finish((1, 2, 3, 4))
    comment = "Two clients of four send their inputs and abort: four contributed, and two unmask."
    made.append(
        server.case("server-minimum-counts-contributors", comment, {"A03", "R28", "S06", "R54"}, ("Bound", "Dropout"))
    )
    server = ScriptedServer(world).play_to(UNMASKING)
    server.finish((1, 2, 3, 4), {UNMASKING: (1, 2)})
    comment = "Four contributed and two unmask: the minimum counts contributors, not unmaskers."
    made.append(
        server.case("server-minimum-does-not-count-unmaskers", comment, {"A05", "R28", "S01"}, ("Bound", "Dropout"))
    )
    return made


def _present() -> list[Json]:
    """A03: enough contributors, of whom too few are present."""
    clients = (1, 2, 3, 4)
    made = []
    for name, leaving, text in (
        ("below", (3, 4), "two stay, and their own secrets have one holder"),
        ("at", (4,), "three stay"),
    ):
        server = ScriptedServer(World("ends/present", clients, threshold=2)).play_to(INPUTS)
        server.give(*clients)
        for client in leaving:
            server.dropped(client, server.envelope(wire.Abort("A10")), "S06")
        if name == "below":
            server.aborted(server.close(), "A03")
        else:
            server.finish(clients)
        comment = f"Four inputs were added, then some clients abort; {text}. The threshold is 2."
        made.append(server.case(f"server-A03-present-{name}", comment, {"A03", "S06", "R54"}, ("Bound", "Dropout")))
    return made


def _nobody() -> list[Json]:
    """Rounds that nobody answers, and one in which everybody is dropped."""
    made = []
    for active in (False, True):
        model = "active" if active else "semi-honest"
        for reason, phase in ROUNDS.items():
            if (active and phase != CONFIRMATIONS) or (not active and phase == CONFIRMATIONS):
                continue
            world = World(f"ends/nobody/{model}", (1, 2, 3), active=active, threshold=2 if active else 1)
            text = f"{model}: nobody answers, and the round is closed."
            made.append(_ends(f"nobody-{reason}", text, world, reason, {phase: world.clients}))
    server = ScriptedServer(World("ends/everybody dropped", (1, 2, 3), threshold=1))
    for client in (1, 2, 3):
        server.dropped(client, server.envelope(wire.Abort("A10")), "S06")
    outcome = server.close()
    if outcome.requests:
        raise WrongScript("a dropped client is told of the end")
    server.aborted(outcome, "A01")
    comment = "All clients abort: there is nobody left to be told."
    made.append(server.case("server-everybody-aborts", comment, {"A01", "S06"}, ("Bound",)))
    return made


def _weights() -> list[Json]:
    """A13: a corrupt client shifts the weight field of its masked vector, and with it the total."""
    world = World("ends/weights", (1, 2, 3), threshold=1, vectors=MEAN, max_weight=10)
    honest = sum(world.weight(client) for client in world.clients)
    bits = vectors.layout(world.parameters)[-1].width
    made = []
    for name, total, good in (
        ("zero", 0, True),
        ("one", 1, True),
        ("largest", 30, True),
        ("one-above-largest", 31, False),
        ("field-full", 2**bits - 1, False),
    ):
        server = ScriptedServer(world).play_to(INPUTS)
        payload = server.body(2, wire.MaskedInputCollectionResponse).payload
        words = vectors.unpack(world.parameters, payload)
        words[-1] += total - honest
        server.receive(2, server.envelope(wire.MaskedInputCollectionResponse(vectors.pack(world.parameters, words))))
        server.play_round()
        outcome = server.play_round()
        if outcome.abort_reason != ("" if good else "A13"):
            raise WrongScript(f"a total weight of {total} ends with {outcome.phase} {outcome.abort_reason}")
        text = f"A corrupt client makes the total weight {total}, three clients having weights from 0 to 10."
        made.append(server.case(f"server-weight-{name}", text, {"A13", "R33", "R48"}, ("ImpossibleWeight",)))
    return [*made, *_weights_of_contributors()]


def _weights_of_contributors() -> list[Json]:
    """A13: m counts contributors, not the cohort: client 3 sends no input."""
    world = World("ends/weights of two", (1, 2, 3), threshold=1, vectors=MEAN, max_weight=10)
    honest = world.weight(1) + world.weight(2)
    made = []
    for name, total, good in (("largest", 20, True), ("one-above-largest", 21, False)):
        server = ScriptedServer(world).play_to(INPUTS)
        payload = server.body(2, wire.MaskedInputCollectionResponse).payload
        words = vectors.unpack(world.parameters, payload)
        words[-1] += total - honest
        server.receive(2, server.envelope(wire.MaskedInputCollectionResponse(vectors.pack(world.parameters, words))))
        server.play_round((3,))
        outcome = server.play_round()
        if outcome.abort_reason != ("" if good else "A13") or (good and outcome.result.total_weight != total):
            raise WrongScript(f"a total weight of {total} ends with {outcome.phase} {outcome.abort_reason}")
        text = (
            f"A corrupt client makes the total weight {total}, two of three clients contributing, of at most 10 each."
        )
        requirements = {"A13", "R33", "R48", "S01", "R55"}
        made.append(server.case(f"server-weight-dropout-{name}", text, requirements, ("ImpossibleWeight", "Dropout")))
    return made
