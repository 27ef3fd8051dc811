"""Server scripts about AdvertiseKeys: whose advertisement it is, and its keys (§3.1, §6.2).

Must not know later rounds, but for the keys of a client that was dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from protocol_specs.generate_vectors.scripted import SHARES, ScriptedServer
from protocol_specs.generate_vectors.world import Insider, World
from protocol_specs.reference import wire
from protocol_specs.reference.wire import Advertisement

Json = dict[str, Any]

FIELD: Final = 2**255 - 19
LOW_ORDER: Final = {
    "zero": 0,
    "one": 1,
    "order-8": int.from_bytes(
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"
    ),
    "order-8-other": int.from_bytes(
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "little"
    ),
    "minus-one": FIELD - 1,
}
"""All x-coordinates of points of low order, on the curve and on its twist."""
NOT_CANONICAL: Final = {
    "p": FIELD,
    "p-plus-1": FIELD + 1,
    "p-plus-2": FIELD + 2,
    "below-2-255": 2**255 - 1,
    "bit-255": 2**255,
    "bit-255-and-one": 2**255 + 1,
    "all-ones": 2**256 - 1,
}
LIAR: Final = 2


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_senders(), *_repeats(), *_low_order(), *_not_canonical()]


def small_world(name: str, active: bool = False) -> World:
    """Three clients. A semi-honest session can lose one of them, an active one none."""
    return World(f"keys/{name}", (1, 2, 3), active=active, threshold=2 if active else 1)


def encoded(number: int) -> bytes:
    """A public key as bytes."""
    return number.to_bytes(32, "little")


def response(server: ScriptedServer, advertisement: Advertisement) -> bytes:
    """The bytes of an advertisement's message."""
    return server.envelope(wire.AdvertiseKeysResponse(advertisement))


def _advertised(changes: dict[str, Any], its: Insider) -> Advertisement:
    return its.advertisement(**changes)


def refused(
    name: str,
    comment: str,
    make: Callable[[Insider], Advertisement],
    rules: tuple[str, ...],
    flag: str,
    active: bool = False,
    requirements: tuple[str, ...] = (),
) -> Json:
    """Client 2 advertises what `make` says and loses its place, the others go on."""
    server = ScriptedServer(small_world(name, active))
    server.give(1)
    server.dropped(LIAR, response(server, make(server.insider(LIAR))), *rules)
    server.receive(LIAR, server.answer(LIAR), "LATE")
    if active:
        server.give(*server.waiting)
    else:
        server.play_round()
    return server.case(f"server-keys-{name}", comment, {*rules, "R29", "R55", "R56", *requirements}, (flag,))


def _senders() -> list[Json]:
    """S10."""
    made = [
        refused(
            f"sender-{name}",
            f"Client 2 advertises its own keys in the name of {text}.",
            partial(_advertised, {"client": client}),
            ("S10",),
            "Impersonation",
        )
        for name, client, text in (
            ("other", 3, "client 3"),
            ("answered", 1, "client 1, which has answered"),
            ("stranger", 77, "a client outside of the cohort"),
            ("zero", 0, "client 0, whose field is absent from the bytes"),
        )
    ]
    server = ScriptedServer(small_world("sender copied"))
    server.give(1)
    server.dropped(LIAR, server.answer(1), "S10", "S12")
    server.play_round()
    comment = "Client 2 sends the bytes of client 1's advertisement."
    made.append(server.case("server-keys-sender-copied", comment, {"S10", "R55"}, ("Impersonation",)))
    return made


def _repeats() -> list[Json]:
    """S12."""

    def with_keys_of(other: int, field: str, source: str) -> Callable[[Insider], Advertisement]:
        return lambda its: its.advertisement(**{field: getattr(its.play.insider(other).advertisement(), source)})

    made = [
        refused(
            f"repeat-{field.split('_')[0]}-is-{source.split('_')[0]}-of-other",
            f"Client 2's {field} is client 1's {source}.",
            with_keys_of(1, field, source),
            ("S12",),
            "RepeatedKey",
        )
        for field in ("channel_public", "mask_public")
        for source in ("channel_public", "mask_public")
    ]
    made.append(
        refused(
            "repeat-own",
            "Client 2 has one key for both uses.",
            lambda its: its.advertisement(mask_public=its.advertisement().channel_public),
            ("S12",),
            "RepeatedKey",
        )
    )
    made.append(
        refused(
            "repeat-active",
            "Client 2 signs client 1's mask key as its own.",
            with_keys_of(1, "mask_public", "mask_public"),
            ("S12",),
            "RepeatedKey",
            active=True,
        )
    )
    return [*made, *_repeats_of_others_that_left(), *_keys_stay_free(), *_repeats_after_restore()]


def _keys_stay_free() -> list[Json]:
    """An advertisement that is refused for another reason than S12 takes none of its keys."""
    made = []
    weak = {"S13": encoded(LOW_ORDER["order-8"]), "S15": encoded(NOT_CANONICAL["below-2-255"])}
    for rule in ("S11", *weak):
        for field, other in (("channel_public", "mask_public"), ("mask_public", "channel_public")):
            active = rule == "S11"
            clients, threshold = ((1, 2, 3, 4, 5), 3) if active else ((1, 2, 3), 1)
            server = ScriptedServer(World(f"keys/free {rule} {field}", clients, active=active, threshold=threshold))
            server.give(1)
            changes: dict[str, Any] = {field: getattr(server.insider(3).advertisement(), field)}
            changes |= {"signature": bytes(64)} if active else {other: weak[rule]}
            server.dropped(LIAR, response(server, server.insider(LIAR).advertisement(**changes)), rule)
            server.give(3)
            server.finish({*clients} - {LIAR})
            its = field.split("_")[0]
            comment = f"Client 2's advertisement with client 3's {its} key is refused for {rule}; the key stays free."
            requirements = {rule, "S12", "R29", "R55"}
            made.append(server.case(f"server-keys-free-{rule}-{its}", comment, requirements, ("RepeatedKey",)))
    return made


def _repeats_after_restore() -> list[Json]:
    made = []
    for name, text in (("", "advertises"), ("-of-aborted", "advertises and aborts")):
        server = ScriptedServer(World(f"keys/repeat after restore{name}", (1, 2, 3, 4), threshold=1))
        server.give(1)
        if name:
            server.dropped(1, server.envelope(wire.Abort("A10")), "S06")
        server.snapshot_and_restore()
        stolen = server.insider(LIAR).advertisement(mask_public=server.insider(1).advertisement().mask_public)
        server.dropped(LIAR, response(server, stolen), "S12")
        server.finish({3, 4} if name else {1, 3, 4})
        comment = f"Client 1 {text}, the session is frozen and goes on; client 2 takes client 1's mask key."
        made.append(
            server.case(
                f"server-keys-repeat-after-restore{name}",
                comment,
                {"S12", "R55", "R56"},
                ("RepeatedKey", "Snapshot"),
                {"server_snapshots": True},
            )
        )
    return made


def _repeats_of_others_that_left() -> list[Json]:
    made = []
    for name, text in (("aborted", "aborted"), ("second-answer", "was dropped for a second answer")):
        server = ScriptedServer(World(f"keys/left {name}", (1, 2, 3, 4), threshold=1))
        server.give(1)
        if name == "aborted":
            server.dropped(1, server.envelope(wire.Abort("A10")), "S06")
        else:
            server.dropped(1, response(server, server.insider(1).advertisement(commitment=bytes(32))), "S05")
        stolen = server.insider(LIAR).advertisement(mask_public=server.insider(1).advertisement().mask_public)
        server.dropped(LIAR, response(server, stolen), "S12")
        server.play_round()
        comment = f"Client 1 advertised and then {text}; client 2 takes its mask key, which stays in use."
        made.append(server.case(f"server-keys-repeat-of-{name}", comment, {"S12", "R55"}, ("RepeatedKey", "Dropout")))
    server = ScriptedServer(small_world("not taken"))
    stolen = replace(server.insider(3).advertisement(), client=1)
    server.dropped(LIAR, response(server, stolen), "S10")
    server.finish({1, 3})
    comment = (
        "Client 2's advertisement with client 3's keys is refused for another reason; the keys are still client 3's."
    )
    made.append(
        server.case("server-keys-refused-keys-are-free", comment, {"S10", "S12", "R29", "R55"}, ("RepeatedKey",))
    )
    return made


def _low_order() -> list[Json]:
    """S13: each point in both fields."""
    made = [
        refused(
            f"low-order-{name}-{field.split('_')[0]}",
            f"The {field} is a point of low order: every agreement with it gives 32 zero bytes.",
            partial(_advertised, {field: encoded(number)}),
            ("S13",),
            "LowOrderPoint",
        )
        for name, number in LOW_ORDER.items()
        for field in ("channel_public", "mask_public")
    ]
    made.append(
        refused(
            "low-order-both",
            "Both keys are of low order.",
            lambda its: its.advertisement(channel_public=encoded(0), mask_public=encoded(1)),
            ("S13",),
            "LowOrderPoint",
        )
    )
    made.append(
        refused(
            "low-order-active",
            "Client 2 signs a mask key of low order.",
            lambda its: its.advertisement(mask_public=encoded(LOW_ORDER["order-8"])),
            ("S13",),
            "LowOrderPoint",
            active=True,
        )
    )
    return made


def _not_canonical() -> list[Json]:
    """S15, and the largest keys that are canonical."""
    low = {number + extra for number in LOW_ORDER.values() for extra in (0, FIELD, 2**255, 2**255 + FIELD)}
    made = [
        refused(
            f"not-canonical-{name}-{field.split('_')[0]}",
            f"The {field} is not below 2^255 - 19.",
            partial(_advertised, {field: encoded(number)}),
            ("S15", "S13") if number in low else ("S15",),
            "NonCanonicalKey",
        )
        for name, number in NOT_CANONICAL.items()
        for field in ("channel_public", "mask_public")
    ]
    made.append(
        refused(
            "not-canonical-own",
            "Client 2's own mask key with the highest bit set: RFC 7748 reads it as the same key.",
            lambda its: its.advertisement(mask_public=_with_high_bit(its.advertisement().mask_public)),
            ("S15",),
            "NonCanonicalKey",
        )
    )
    made.append(
        refused(
            "not-canonical-copy",
            "Client 1's mask key with the highest bit set: the same key in other bytes.",
            lambda its: its.advertisement(mask_public=_with_high_bit(its.play.insider(1).advertisement().mask_public)),
            ("S15",),
            "NonCanonicalKey",
        )
    )
    server = ScriptedServer(small_world("largest"))
    largest = server.insider(LIAR).advertisement(channel_public=encoded(FIELD - 2), mask_public=encoded(FIELD - 3))
    server.receive(LIAR, response(server, largest))
    server.finish({1, 3}, {SHARES: (LIAR,)})
    comment = "The largest canonical keys that are not of low order are as good as any."
    made.append(server.case("server-keys-largest-canonical", comment, {"S13", "S15", "R55"}, ("NonCanonicalKey",)))
    return made


def _with_high_bit(key: bytes) -> bytes:
    return key[:31] + bytes([key[31] | 0x80])
