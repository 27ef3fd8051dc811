"""Client scripts of ShareKeys (§6.3): lists of advertisements that a lying server or a corrupt neighbour made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors import client_signatures as forged
from protocol_specs.generate_vectors.client_play import (
    ACTIVE,
    ACTIVE_TRIO,
    SEMI_HONEST,
    SPARSE,
    TRIO,
    Scene,
    changed,
    model,
    with_entries,
    without,
)
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import World, draw, roster_entries
from protocol_specs.reference import keys, signatures, wire
from protocol_specs.reference.wire import Advertisement

PRIME: Final = 2**255 - 19
LOW_ORDER: Final = {
    "0": bytes(32),
    "1": (1).to_bytes(32, "little"),
    "order-8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "order-8-twist": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "p-1": (PRIME - 1).to_bytes(32, "little"),
}
"""All canonical encodings of public keys with which every agreement gives 32 zero bytes (RFC 7748, section 6.1)."""
VICTIM: Final = 3


def cases() -> list[Json]:
    """All cases of this module."""
    made = [*_lists(SEMI_HONEST), *_lists(ACTIVE)]
    for world in (TRIO, ACTIVE_TRIO):
        made += [*_own(world), *_repeats(world), *_low_order(world)]
    made += [_own_signed(TRIO, "signature"), _own_signed(SPARSE, "signature-sparse")]
    return [*made, *_not_canonical(), *_strangers(), *_signatures(), *_rosters(), *_ignored_signatures()]


def at_share_keys(world: World, client: int = VICTIM, **options: Any) -> Scene:
    """A client that waits for the list of advertisements."""
    return Scene(world, client, gives_input=False, **options).to("SHARE_KEYS")


def _case(
    scene: Scene,
    id_: str,
    comment: str,
    shown: Iterable[Advertisement],
    rules: str,
    flags: str,
    requirements: str = "R03",
) -> Json:
    """The client refuses this list for one of these rules."""
    scene.tell(wire.ShareKeysRequest(tuple(shown)), *rules.split())
    first = rules.split()[0]
    return scene.case(f"{first.lower()}-{model(scene.world)}-{id_}", comment, f"{first} {requirements}", flags)


def _neighbour(scene: Scene, client: int, **fields: Any) -> tuple[Advertisement, ...]:
    """The list with fields of a neighbour's advertisement replaced, by the neighbour itself, which signs them."""
    return with_entries(scene.body.advertisements, scene.insider(client).advertisement(**fields))


def _own(world: World) -> list[Json]:
    made = []
    other = keys.public_key(draw("a key of the server", 32))
    fields = {
        "channel-key": {"channel_public": other},
        "mask-key": {"mask_public": other},
        "commitment": {"commitment": draw("a commitment of the server", 32)},
        "commitment-bit": {},
    }
    if world.active:
        fields |= {"signature": {"signature": bytes(64)}, "no-signature": {"signature": b""}}
    for name, change in fields.items():
        scene = at_share_keys(world)
        if name == "commitment-bit":
            own = next(a for a in scene.body.advertisements if a.client == VICTIM)
            change = {"commitment": own.commitment[:-1] + bytes([own.commitment[-1] ^ 1])}
        shown = changed(scene.body.advertisements, VICTIM, **change)
        made.append(
            _case(scene, name, f"the client's own advertisement with another {name}", shown, "C23", "SubstitutedKey")
        )
    scene = at_share_keys(world)
    own = next(a for a in scene.body.advertisements if a.client == VICTIM)
    swapped = changed(scene.body.advertisements, VICTIM, channel_public=own.mask_public, mask_public=own.channel_public)
    made.append(_case(scene, "swapped", "the client's own two keys are swapped", swapped, "C23", "SubstitutedKey"))
    scene = at_share_keys(world)
    shown = without(scene.body.advertisements, VICTIM)
    made.append(_case(scene, "missing", "the client's own advertisement is missing", shown, "C22", "SubstitutedKey"))
    scene = at_share_keys(world)
    made.append(_case(scene, "empty", "an empty list", (), "C22 C27", "TooFew", "C27"))
    scene = at_share_keys(world)
    of_another = replace(scene.insider(1).advertisement(), client=VICTIM)
    shown = changed(scene.body.advertisements, VICTIM, **_fields(of_another))
    made.append(
        _case(
            scene,
            "of-another",
            "another client's advertisement under the client's name",
            shown,
            "C23 C24",
            "SubstitutedKey",
        )
    )
    return made


def _own_signed(world: World, name: str) -> Json:
    """Semi-honest: no signature is verified, and yet the client's own advertisement must not get one."""
    scene = at_share_keys(world)
    shown = changed(scene.body.advertisements, VICTIM, signature=draw("a signature of the server", 64))
    return _case(scene, name, "a signature is added to the client's own advertisement", shown, "C23", "SubstitutedKey")


def _fields(a: Advertisement) -> dict[str, bytes]:
    return {
        "channel_public": a.channel_public,
        "mask_public": a.mask_public,
        "commitment": a.commitment,
        "signature": a.signature,
    }


def _lists(world: World) -> list[Json]:
    threshold, cohort = world.threshold, world.clients
    others = [client for client in cohort if client != VICTIM]
    scene = at_share_keys(world)
    short = without(scene.body.advertisements, *others[threshold - 1 :])
    made = [_case(scene, "below-threshold", "t - 1 neighbours advertised", short, "C27", "TooFew")]
    scene = at_share_keys(world)
    alone = without(scene.body.advertisements, *others)
    made.append(_case(scene, "alone", "only the client itself advertised", alone, "C27", "TooFew"))
    scene = at_share_keys(world, silent={"ADVERTISE_KEYS": others[threshold:]})
    scene.tell(scene.body)
    made.append(scene.case(f"within-c27-{model(world)}", "exactly t neighbours advertised", "C27", "EdgeCase"))
    return made


def _repeats(world: World) -> list[Json]:
    made = []
    for name, comment, field, owner, source in (
        ("own-pair", "a neighbour's channel key is its mask key", "channel_public", 1, (1, "mask_public")),
        ("channel-channel", "two neighbours have one channel key", "channel_public", 1, (2, "channel_public")),
        ("mask-mask", "two neighbours have one mask key", "mask_public", 1, (2, "mask_public")),
        ("mask-channel", "a neighbour's mask key is another's channel key", "mask_public", 1, (2, "channel_public")),
        (
            "victims-channel",
            "a neighbour has the client's channel key",
            "channel_public",
            1,
            (VICTIM, "channel_public"),
        ),
        ("victims-mask", "a neighbour has the client's mask key", "mask_public", 1, (VICTIM, "mask_public")),
        (
            "victims-crossed",
            "a neighbour's mask key is the client's channel key",
            "mask_public",
            2,
            (VICTIM, "channel_public"),
        ),
    ):
        scene = at_share_keys(world)
        known = {a.client: a for a in scene.body.advertisements}
        shown = _neighbour(scene, owner, **{field: getattr(known[source[0]], source[1])})
        made.append(_case(scene, name, comment, shown, "C24", "WeakKey SubstitutedKey"))
    return made


def _low_order(world: World) -> list[Json]:
    made = []
    for name, key in LOW_ORDER.items():
        scene = at_share_keys(world)
        shown = _neighbour(scene, 1, channel_public=key)
        made.append(_case(scene, f"channel-{name}", "a channel key of low order", shown, "C25", "WeakKey"))
    return made


def _not_canonical() -> list[Json]:
    made = []
    honest = keys.public_key(draw("an honest key", 32))
    named = {
        "p": (PRIME.to_bytes(32, "little"), True),
        "p+1": ((PRIME + 1).to_bytes(32, "little"), True),
        "p+9": ((PRIME + 9).to_bytes(32, "little"), False),
        "2^255-1": ((2**255 - 1).to_bytes(32, "little"), False),
        "2^255": ((2**255).to_bytes(32, "little"), True),
        "2^256-1": (b"\xff" * 32, False),
        "top-bit": (honest[:31] + bytes([honest[31] | 0x80]), False),
    }
    for name, (key, low_order) in named.items():
        for world, field in (
            (TRIO, "channel_public"),
            (TRIO, "mask_public"),
            *(((ACTIVE_TRIO, "mask_public"),) if name in ("p+9", "top-bit") else ()),
        ):
            scene = at_share_keys(world)
            rules = "C28 C25" if low_order and field == "channel_public" else "C28"
            kind = field.removesuffix("_public")
            comment = f"a {kind} key that is not canonical: {name}"
            made.append(_case(scene, f"{kind}-{name}", comment, _neighbour(scene, 1, **{field: key}), rules, "WeakKey"))
    return made


def _strangers() -> list[Json]:
    made = []
    for world, rules in ((SEMI_HONEST, "C20"), (ACTIVE, "C20 C26")):
        for id_, client in (("zero", 0), ("next", 6), ("largest", 2**64 - 1), ("low-bits", 2**32 + 1)):
            scene = at_share_keys(world)
            channel, mask = (keys.public_key(draw(f"{kind} key of a stranger", 32)) for kind in ("channel", "mask"))
            signature = bytes(64) if world.active else b""
            stranger = Advertisement(client, channel, mask, draw("commitment", 32), signature)
            shown = with_entries(without(scene.body.advertisements, 2), stranger)
            comment = f"client {client}, which is not in the cohort, is in the list"
            made.append(_case(scene, id_, comment, shown, rules, "SubstitutedKey"))
    for client in (2, 3):
        scene = at_share_keys(SPARSE, client)
        listed = scene.body.advertisements
        near = {a.client for a in listed}
        stranger_id = next(c for c in SPARSE.clients if c not in near)
        shown = with_entries(without(listed, min(near - {client})), scene.insider(stranger_id).advertisement())
        comment = f"client {stranger_id} of the cohort is no neighbour of client {client}"
        made.append(_case(scene, f"sparse-{client}", comment, shown, "C20", "SubstitutedKey", "R41"))
    return made


def _signatures() -> list[Json]:
    made = []
    liar = 2
    for name, (comment, forge) in forged.FORGERIES.items():
        scene = at_share_keys(ACTIVE_TRIO)
        honest = scene.insider(liar).advertisement()
        text = signatures.advertisement_input(ACTIVE_TRIO.session, honest)
        shown = changed(scene.body.advertisements, liar, signature=forge(ACTIVE_TRIO.identity_key(liar), text))
        made.append(_signed(scene, name, f"a neighbour's signature: {comment}", shown, "R13"))
    scene = at_share_keys(ACTIVE_TRIO)
    other = replace(scene.insider(liar).advertisement(), mask_public=keys.public_key(draw("the server's key", 32)))
    text = signatures.advertisement_input(ACTIVE_TRIO.session, other)
    own = scene.insider(liar).advertisement()
    wrong_session = draw("another session", 32)
    variants = {
        "missing": ("there is no signature", replace(own, signature=b"")),
        "other-session": ("it signed for another session", scene.insider(liar).advertisement(signs_for=wrong_session)),
        "other-client": (
            "another client's key signed",
            replace(other, signature=signatures.sign(ACTIVE_TRIO.identity_key(1), text)),
        ),
        "servers-key": (
            "the server signed with a key of its own",
            replace(other, signature=signatures.sign(draw("the server's identity", 32), text)),
        ),
        "substituted-mask-key": ("the server replaced the mask key", replace(other, signature=own.signature)),
        "substituted-channel-key": (
            "the server replaced the channel key",
            replace(own, channel_public=keys.public_key(draw("the server's key", 32))),
        ),
        "substituted-commitment": (
            "the server replaced the commitment",
            replace(own, commitment=draw("the server's commitment", 32)),
        ),
        "swapped-keys": (
            "the server swapped the two keys",
            replace(own, channel_public=own.mask_public, mask_public=own.channel_public),
        ),
        "wire-bytes": ("it signed the message as it is on the wire", _over_the_wire(own)),
    }
    for name, (comment, advertisement) in variants.items():
        scene = at_share_keys(ACTIVE_TRIO)
        shown = with_entries(scene.body.advertisements, advertisement)
        made.append(_signed(scene, name, f"a neighbour's advertisement: {comment}", shown, "R45 R06"))
    scene = at_share_keys(ACTIVE_TRIO)
    a, b = (scene.insider(client).advertisement() for client in (1, 2))
    shown = with_entries(scene.body.advertisements, replace(a, client=2), replace(b, client=1))
    made.append(_signed(scene, "swapped-clients", "two neighbours' advertisements are swapped", shown, "R45"))
    return made


def _over_the_wire(own: Advertisement) -> Advertisement:
    bare = wire.encode_envelope(ACTIVE_TRIO.session, wire.AdvertiseKeysResponse(replace(own, signature=b"")))
    return replace(own, signature=signatures.sign(ACTIVE_TRIO.identity_key(own.client), bare))


def _signed(scene: Scene, id_: str, comment: str, shown: Iterable[Advertisement], requirements: str) -> Json:
    return _case(scene, id_, comment, shown, "C26", "ForgedSignature", requirements)


def _rosters() -> list[Json]:
    """Verification keys of low order in the roster, under which anybody signs anything."""
    made = []
    for name, key in (("low-order", forged.IDENTITY), ("not-canonical", forged.IDENTITY_UNREDUCED)):
        roster = roster_entries({**ACTIVE_TRIO.roster, 2: key})
        scene = at_share_keys(ACTIVE_TRIO, roster=roster)
        shown = changed(scene.body.advertisements, 2, signature=forged.under_low_order_key(7))
        comment = f"a neighbour's verification key is the neutral point, {name}: the signature fits every message"
        made.append(_signed(scene, f"roster-{name}", comment, shown, "R13"))
    return made


def _ignored_signatures() -> list[Json]:
    """Semi-honest: whatever stands in the place of a neighbour's signature, the answer is the same (R23)."""
    made = []
    for world in (SEMI_HONEST, SPARSE):
        scene = at_share_keys(world, 2)
        listed = scene.body.advertisements
        other = next(a.client for a in listed if a.client != 2)
        scene.tell(wire.ShareKeysRequest(changed(listed, other, signature=b"\xff" * 64)))
        kind = world.parameters.topology_kind
        made.append(scene.case(f"signature-ignored-{kind}", "64 bytes for a signature are ignored", "R23", "Honest"))
    return made
