"""Server scripts about ConsistencyCheck: what a confirmer signs (§3.5, §6.5, S40).

Must not know shares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_specs.generate_vectors import forgeries
from protocol_specs.generate_vectors.scripted import CONFIRMATIONS, INPUTS, ScriptedServer
from protocol_specs.generate_vectors.world import Insider, World
from protocol_specs.reference import signatures, wire

Json = dict[str, Any]

CONTRIBUTORS: Final = (1, 2, 3, 4)
GROUPS: Final = (
    ("set", "other lists than the contributors", ("one-less", "without-itself", "one-more")),
    ("encoding", "the contributors in another form", ("empty", "descending", "little-endian")),
    ("binding", "another binding, or another text", ("session-digest", "other-binding", "advertisement")),
    ("signer", "nothing, or signed by others", ("zero", "other-signer")),
    ("large-s", "S + L in the place of S", ("large-s",)),
    ("neutral-r", "the neutral element as R", ("neutral-r",)),
    ("cofactor", "an R with which only the equation with the cofactor holds", ("cofactor",)),
)
"""Cases: what is signed in the place of the contributors, by clients 2, 3 and 4, one lie each."""


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_lies(), *_contributors()]


def _text(its: Insider) -> bytes:
    return signatures.confirmation_input(its.binding, CONTRIBUTORS)


def _signed(its: Insider, text: bytes) -> bytes:
    return signatures.sign(its.world.identity_key(its.client), text)


def _forged(make: Callable[[bytes, bytes], bytes]) -> Callable[[Insider], bytes]:
    return lambda its: make(its.world.identity_key(its.client), _text(its))


LIES: Final[dict[str, Callable[[Insider], bytes]]] = {
    "one-less": lambda its: its.confirm(CONTRIBUTORS[:-1]),
    "without-itself": lambda its: its.confirm(client for client in CONTRIBUTORS if client != its.client),
    "one-more": lambda its: its.confirm((*CONTRIBUTORS, 6)),
    "empty": lambda its: its.confirm(()),
    "descending": lambda its: _signed(its, signatures.confirmation_input(its.binding, CONTRIBUTORS[::-1])),
    "little-endian": lambda its: _signed(
        its, _text(its)[:-32] + b"".join(c.to_bytes(8, "little") for c in CONTRIBUTORS)
    ),
    "session-digest": lambda its: its.confirm(CONTRIBUTORS, its.world.session),
    "other-binding": lambda its: its.confirm(CONTRIBUTORS, bytes(32)),
    "advertisement": lambda its: its.advertisement().signature,
    "zero": lambda its: bytes(64),
    "other-signer": lambda its: its.play.insider(1).confirm(CONTRIBUTORS),
    "large-s": lambda its: forgeries.with_large_scalar(its.confirm(CONTRIBUTORS)),
    "neutral-r": _forged(forgeries.with_neutral_r),
    "cofactor": _forged(forgeries.with_low_order_part),
}


def _lies() -> list[Json]:
    made = []
    for name, comment, lies in GROUPS:
        server = ScriptedServer(World("confirm/lies", CONTRIBUTORS, active=True)).play_to(CONFIRMATIONS)
        server.give(1)
        for client, lie in enumerate(lies, start=2):
            signature = LIES[lie](server.insider(client))
            server.dropped(client, server.envelope(wire.ConsistencyCheckResponse(signature)), "S40")
            server.receive(client, server.answer(client), "LATE")
        requirements = {"S40", "R13", "R29", "R45", "R54", "R56"}
        text = f"Confirmations of {comment}: {', '.join(lies)}."
        made.append(server.case(f"server-confirmation-{name}", text, requirements, ("Signature",)))
    server = ScriptedServer(World("confirm/one", (1, 2, 3, 4, 5), active=True)).play_to(CONFIRMATIONS)
    server.dropped(2, server.envelope(wire.ConsistencyCheckResponse(server.insider(2).confirm((1, 2, 3, 4)))), "S40")
    server.finish((1, 2, 3, 4, 5))
    comment = "Client 2 confirms a list without client 5; the others go on to the sum, which has client 2's input."
    requirements = {"S40", "R45", "R54", "R55"}
    made.append(server.case("server-confirmation-others-go-on", comment, requirements, ("Signature",)))
    return made


def _contributors() -> list[Json]:
    """Whom the request lists: all contributors, those among them that left in the round of their input."""
    clients = (1, 2, 3, 4, 5)
    server = ScriptedServer(World("confirm/left", clients, active=True)).play_to(INPUTS)
    server.give(1, 5)
    server.dropped(5, server.envelope(wire.Abort("A10")), "S06")
    server.finish(clients)
    comment = "Client 5 sends its input and aborts: its input stays in the sum, it is listed, and it is not asked."
    made = [server.case("server-confirmation-contributor-left", comment, {"S06", "R54", "R55"}, ("Dropout",))]
    server = ScriptedServer(World("confirm/two", clients, active=True)).play_to(CONFIRMATIONS)
    server.give(2)
    server.dropped(2, server.envelope(wire.ConsistencyCheckResponse(bytes(64))), "S05")
    server.finish(clients)
    comment = "Client 2 confirms, and confirms again otherwise: its first confirmation is not passed on."
    made.append(server.case("server-confirmation-second", comment, {"S05", "R54", "R55"}, ("SecondAnswer",)))
    return made
