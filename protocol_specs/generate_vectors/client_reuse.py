"""Client scripts of one input that several sessions are given (§6.9, R57): it goes into one sum that is opened.

Sessions beside the script's own have the same parameters under other nonces, and are only offered. Each case has a
ledger of its own, since ledgers live as long as the testee.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.client_play import ACTIVE_TRIO, TRIO, Scene, model
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import World, draw, roster_entries

CLIENT: Final = 2
INPUT: Final = "the input of round 7"


def cases() -> list[Json]:
    """All cases of this module."""
    return [case for world in (TRIO, ACTIVE_TRIO) for case in _cases(world)]


class _OneInput:
    """A scene of one client whose input other sessions are given, too."""

    def __init__(self, name: str, world: World, **create: Any) -> None:
        self.id = f"one-input-{model(world)}-{name}"
        self.world, self.ledger = world, f"ledger of {self.id}"
        self.scene = Scene(world, CLIENT, **({"ledger": self.ledger, "input": INPUT} | create))

    def offered(self, number: int, status: str = "ACCEPTED", **changes: Any) -> None:
        """Another session is offered, of this input unless `changes` say otherwise."""
        other = replace(self.world, options={"nonce": draw(f"{self.world.name}/nonce {number}", 32)})
        client = changes.pop("client", CLIENT)
        self.scene.script.beside(
            other.create_client(client, **({"ledger": self.ledger, "input": INPUT} | changes)), status
        )

    def left(self) -> None:
        """The session is asked for the next answer, and ends instead."""
        request = self.scene.request
        self.scene.refuse(request, "A10")
        self.scene.local_error(request)

    def case(self, comment: str, flags: str = "SecondSum", requirements: str = "R57", **needs: bool) -> Json:
        """The finished case."""
        return self.scene.case(self.id, comment, requirements, flags, needs)


def _cases(world: World) -> Iterator[Json]:
    made = _OneInput("given-again", world)
    made.scene.end()
    for number in range(2):
        made.offered(number, "LOCAL_ERROR")
    yield made.case("shares were revealed: the input goes into no other session")

    made = _OneInput("repeated-sums", world)
    made.scene.end()
    made.offered(1, "LOCAL_ERROR")
    made.offered(1, repeated_sums=1)
    yield made.case("shares were revealed, and the application allows one more sum", "EdgeCase")

    for phase, word in (("MASKED_INPUT", "input"), ("UNMASKING", "shares")):
        made = _OneInput(f"{word}-of-one-left", world)
        made.scene.to(phase)
        made.offered(1)
        made.left()
        made.offered(2)
        yield made.case(f"a later session was accepted: the one before it gets no {word}", requirements="R57 A10")

    made = _OneInput("in-a-snapshot", world)
    made.scene.to("UNMASKING")
    made.scene.script.snapshot("unmasking")
    made.offered(1)
    fields: dict[str, Any] = {"ledger": made.ledger, "tape": b""}
    if world.active:
        fields |= {"identity_key": world.identity_key(CLIENT), "roster": roster_entries(world.roster)}
    made.scene.script.restore("unmasking", **fields)
    made.left()
    yield made.case("a session that goes on from a snapshot is still one of its input", client_snapshots=True)

    made = _OneInput("offered-again", world)
    made.scene.script.beside(world.create_client(CLIENT, ledger=made.ledger, input=INPUT))
    made.scene.end()
    made.scene.script.beside(world.create_client(CLIENT, ledger=made.ledger, input=INPUT))
    yield made.case("an offer that comes again is the session that it was, and no later one", "EdgeCase")

    made = _OneInput("others", world)
    apart: tuple[dict[str, Any], ...] = ({"input": "another input"}, {"client": 3}, {"ledger": f"other {made.ledger}"})
    for number, changes in enumerate(apart):
        made.offered(number, **changes)
    made.scene.end()
    for number, changes in enumerate(apart, len(apart)):
        made.offered(number, **changes)
    yield made.case("other inputs, clients and ledgers are apart", "EdgeCase")

    made = _OneInput("without-a-ledger", world)
    made.offered(1, "LOCAL_ERROR", ledger=None)
    yield made.case("nothing would be remembered beyond a session", "HostMistake")
