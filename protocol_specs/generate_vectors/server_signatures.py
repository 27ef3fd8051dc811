"""Server scripts about AdvertiseKeys: signatures that must not verify, and those that do not matter (§3.5, §6.2).

Must not know later rounds, but for what is forwarded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocol_specs.generate_vectors import forgeries
from protocol_specs.generate_vectors.scripted import SHARES, ScriptedServer
from protocol_specs.generate_vectors.server_keys import LIAR, refused, response, small_world
from protocol_specs.generate_vectors.world import Insider, draw
from protocol_specs.reference import keys, signatures
from protocol_specs.reference.wire import Advertisement

Json = dict[str, Any]


def cases() -> list[Json]:
    """All cases of this topic."""

    def text_of(its: Insider) -> bytes:
        return signatures.advertisement_input(its.world.session, its.advertisement())

    def signed(make: Callable[[Insider], bytes]) -> Callable[[Insider], Advertisement]:
        return lambda its: its.advertisement(signature=make(its))

    def own(its: Insider) -> bytes:
        return its.advertisement().signature

    def identity(its: Insider) -> bytes:
        return its.world.identity_key(LIAR)

    lies: list[tuple[str, str, Callable[[Insider], Advertisement]]] = [
        ("missing", "There is no signature.", signed(lambda its: b"")),
        ("zero", "The signature is zeros.", signed(lambda its: bytes(64))),
        ("session", "The signature is for another session.", lambda its: its.advertisement(signs_for=bytes(32))),
        (
            "signer",
            "Client 3 signed what client 2 advertises.",
            signed(lambda its: signatures.sign(its.world.identity_key(3), text_of(its))),
        ),
        ("other", "The signature is client 3's, over its own advertisement.", signed(_signature_of_3)),
        ("commitment", "The commitment was changed after signing.", _changed("commitment", bytes(32))),
        ("channel-key", "The channel key was changed after signing.", _changed("channel_public", draw_public("c"))),
        ("mask-key", "The mask key was changed after signing.", _changed("mask_public", draw_public("m"))),
        ("swapped-keys", "Channel and mask key were exchanged after signing.", _swapped),
        ("flipped-r", "One bit of R is another.", signed(lambda its: _flipped(own(its), 0))),
        ("flipped-s", "One bit of S is another.", signed(lambda its: _flipped(own(its), 32))),
        ("large-s", "S + L in the place of S.", signed(lambda its: forgeries.with_large_scalar(own(its)))),
        (
            "neutral-r",
            "R is the neutral element, and the equation holds.",
            signed(lambda its: forgeries.with_neutral_r(identity(its), text_of(its))),
        ),
        (
            "cofactor",
            "R has a part of order 8: the equation holds only when it is multiplied by the cofactor.",
            signed(lambda its: forgeries.with_low_order_part(identity(its), text_of(its))),
        ),
        (
            "no-label",
            "The signature lacks the label of advertisements.",
            signed(lambda its: signatures.sign(identity(its), text_of(its)[5 + 33 :])),
        ),
    ]
    made = [
        refused(f"signature-{name}", comment, make, ("S11",), "Signature", active=True, requirements=("R13", "R45"))
        for name, comment, make in lies
    ]
    return [*made, *_low_order_roster(), *_ignored_signatures()]


def draw_public(label: str) -> bytes:
    """A public key of nobody."""
    return keys.public_key(draw(f"key of nobody/{label}", 32))


def _signature_of_3(its: Insider) -> bytes:
    return its.play.insider(3).advertisement().signature


def _changed(field: str, value: bytes) -> Callable[[Insider], Advertisement]:
    def make(its: Insider) -> Advertisement:
        changes: dict[str, Any] = {field: value}
        return replace(its.advertisement(), **changes)

    return make


def _swapped(its: Insider) -> Advertisement:
    own = its.advertisement()
    return replace(own, channel_public=own.mask_public, mask_public=own.channel_public)


def _flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def _low_order_roster() -> list[Json]:
    """The directory holds a key of low order, under which anybody can sign."""
    made = []
    for name in ("neutral", "order-8"):
        world = small_world(f"roster {name}", active=True)
        own = Insider(ScriptedServer(world).play, LIAR).advertisement()
        text = signatures.advertisement_input(world.session, own)
        key, signature = forgeries.NEUTRAL_KEY, forgeries.under_neutral_key(text)
        if name == "order-8":
            key, signature = forgeries.under_low_order_key(text)
        roster = [*world.create_server().roster]
        roster[1].verification_key = key
        server = ScriptedServer(world, roster=roster)
        server.give(1)
        server.dropped(LIAR, response(server, replace(own, signature=signature)), "S11")
        server.play_round()
        comment = f"The roster's key of client 2 is of low order ({name}); the signature fulfils the equation."
        requirements = {"S11", "R13", "R55"}
        made.append(server.case(f"server-keys-signature-roster-{name}", comment, requirements, ("Signature",)))
    return made


def _ignored_signatures() -> list[Json]:
    server = ScriptedServer(small_world("ignored"))
    server.receive(LIAR, response(server, server.insider(LIAR).advertisement(signature=b"\x5a" * 64)))
    server.finish({1, 3}, {SHARES: (LIAR,)})
    comment = "A semi-honest advertisement with a signature of nonsense: it is ignored, and forwarded as it came."
    made = [server.case("server-keys-signature-ignored", comment, {"R23", "R54", "R55"}, ("Signature",))]
    server = ScriptedServer(small_world("commitment"))
    server.receive(LIAR, response(server, server.insider(LIAR).advertisement(commitment=bytes(32))))
    server.finish({1, 3}, {SHARES: (LIAR,)})
    comment = "A commitment of zeros cannot be told from another one."
    made.append(server.case("server-keys-commitment-of-zeros", comment, {"R29", "R55"}, ("Commitment",)))
    return made
