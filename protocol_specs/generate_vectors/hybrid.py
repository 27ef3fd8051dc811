"""Scripts of the hybrid suites, for clients and servers: keys of two parts, and parcels (§3.1, §3.3, §6.2 to §6.4).

What holds in every suite is in the other modules. Must not know how a file is laid out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.client_keys import LOW_ORDER
from protocol_specs.generate_vectors.client_play import ACTIVE_TRIO, TRIO, Scene, changed, model, with_entries
from protocol_specs.generate_vectors.script import WrongScript
from protocol_specs.generate_vectors.scripted import INPUTS, SHARES, ScriptedServer
from protocol_specs.generate_vectors.world import Insider, Play, World, draw
from protocol_specs.reference import keys, sealing, sharing, wire
from protocol_specs.reference.parameters import SUITE_HYBRID_AES
from protocol_specs.reference.wire import Advertisement, SealedShares

Json = dict[str, Any]

NEEDS: Final = {"suite": SUITE_HYBRID_AES}
HYBRID: Final = World("three hybrid clients", clients=(1, 2, 3), threshold=2, options=NEEDS)
ACTIVE: Final = World("three active hybrid clients", clients=(1, 2, 3), active=True, threshold=2, options=NEEDS)
VICTIM: Final = 2
"""Has a neighbour with a lower id, which encapsulates to its mask key, and one with a higher id."""
PRIME: Final = 3329
CHANNEL, MASK = "channel_public", "mask_public"


def with_coefficient(public: bytes, index: int, value: int) -> bytes:
    """A public key with one of the 768 numbers of its encapsulation key replaced."""
    packed = int.from_bytes(public[32:-32], "little")
    packed += (value - (packed >> (12 * index) & 0xFFF)) << (12 * index)
    return public[:32] + packed.to_bytes(1152, "little") + public[-32:]


def _not_canonical(public: bytes) -> dict[str, tuple[str, bytes]]:
    prime = (2**255 - 19).to_bytes(32, "little")
    return {
        "first": ("the first coefficient is q", with_coefficient(public, 0, PRIME)),
        "odd": ("an odd coefficient is q", with_coefficient(public, 301, PRIME)),
        "last": ("the last coefficient is 4095", with_coefficient(public, 767, 4095)),
        "x25519": ("the X25519 part is 2^255 - 19", prime + public[32:]),
    }


# Clients.


def client_cases() -> list[Json]:
    """All cases of clients."""
    return [*_client_keys(), *_client_key_lengths(), *_parcels(), *_parcel_lengths()]


def _shown(world: World, id_: str, comment: str, rules: str, flags: str, **fields: Any) -> Json:
    """Client 1 advertises other keys, which it signs."""
    scene = Scene(world, VICTIM, gives_input=False).to("SHARE_KEYS")
    shown = with_entries(scene.body.advertisements, scene.insider(1).advertisement(**fields))
    scene.tell(wire.ShareKeysRequest(shown), *rules.split())
    name = f"hybrid-{rules.split()[0].lower()}-{model(world)}-{id_}"
    return scene.case(name, comment, f"{rules} R03", flags, NEEDS)


def _client_keys() -> list[Json]:
    made = []
    own, other, victims = (Play(HYBRID).play_to(SHARES).insider(client).advertisement() for client in (1, 3, VICTIM))
    for field in (CHANNEL, MASK):
        for name, (comment, key) in _not_canonical(getattr(own, field)).items():
            id_ = f"{field.split('_')[0]}-{name}"
            made.append(_shown(HYBRID, id_, f"a neighbour's {field}: {comment}", "C28", "WeakKey", **{field: key}))
        largest = with_coefficient(getattr(own, field), 0, PRIME - 1)
        if not keys.is_canonical(largest):
            raise ValueError("q - 1 is a coefficient")
    mine = Play(ACTIVE).play_to(SHARES).insider(1).advertisement()
    key = with_coefficient(mine.mask_public, 5, PRIME)
    made.append(_shown(ACTIVE, "signed", "a coefficient of a signed key is q", "C28", "WeakKey", mask_public=key))
    repeats = {
        "kem": ("its ML-KEM part is another neighbour's", own.channel_public[:32] + other.channel_public[32:]),
        "x25519": ("its X25519 part is another neighbour's", other.channel_public[:32] + own.channel_public[32:]),
        "own-kem": ("its ML-KEM part is that of its mask key", own.channel_public[:32] + own.mask_public[32:]),
        "own-x25519": ("its X25519 part is that of its mask key", own.mask_public[:32] + own.channel_public[32:]),
        "victims-kem": ("its ML-KEM part is the client's", own.channel_public[:32] + victims.mask_public[32:]),
    }
    for name, (comment, key) in repeats.items():
        made.append(_shown(HYBRID, name, f"a neighbour's channel key: {comment}", "C24", "WeakKey", channel_public=key))
    key = LOW_ORDER["order-8"] + own.channel_public[32:]
    comment = "the X25519 part of a neighbour's channel key is of low order"
    made.append(_shown(HYBRID, "channel", comment, "C25", "WeakKey", channel_public=key))
    for part, key in (
        ("kem", victims.channel_public[:32] + other.channel_public[32:]),
        ("x25519", other.channel_public[:32] + victims.channel_public[32:]),
    ):
        scene = Scene(HYBRID, VICTIM, gives_input=False).to("SHARE_KEYS")
        shown = changed(scene.body.advertisements, VICTIM, channel_public=key)
        scene.tell(wire.ShareKeysRequest(shown), "C23", "C24")
        comment = f"the {part} part of the client's own channel key was changed"
        made.append(scene.case(f"hybrid-c23-{part}", comment, "C23 R03", "SubstitutedKey", NEEDS))
    return made


def _client_key_lengths() -> list[Json]:
    """Public keys of the other kind of suite: bytes that do not belong to this session (A08)."""
    made = []
    key = Play(HYBRID).play_to(SHARES).insider(1).advertisement().mask_public
    for world, name, value in ((HYBRID, "short", key[:32]), (TRIO, "long", key)):
        for field in (CHANNEL, MASK):
            scene = Scene(world, VICTIM, gives_input=False).to("SHARE_KEYS")
            shown = changed(scene.body.advertisements, 1, **{field: value})
            scene.tell(wire.ShareKeysRequest(shown), "A08")
            comment = f"a neighbour's {field} has {len(value)} bytes, as in other suites"
            id_ = f"hybrid-a08-{name}-{field.split('_')[0]}"
            needs = NEEDS if world is HYBRID else None
            made.append(scene.case(id_, comment, "A08 R19", "Malformed", needs))
    return made


def _flip(place: int) -> Callable[[bytes], bytes]:
    return lambda parcel: parcel[:place] + bytes([parcel[place] ^ 0x10]) + parcel[place + 1 :]


def _parcels() -> list[Json]:
    """Parcels of client 1 that do not open. Its mask ciphertext is the last 1088 of 2288 bytes."""
    made = []
    play = Play(HYBRID).play_to(INPUTS)
    for_three = {p.client: p.ciphertext for p in play.request(3).ciphertexts}
    shown = play.insider(1).advertisements
    fresh = keys.encapsulate(shown[VICTIM].channel_public, bytes(32))[1]
    fresh_mask = keys.encapsulate(shown[VICTIM].mask_public, bytes(32))[1]
    changes: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
        "channel-first": ("a bit of the channel's ciphertext is flipped", _flip(0)),
        "channel-last": ("a bit of its last byte is flipped", _flip(1087)),
        "nonce": ("a bit of the nonce is flipped", _flip(1088)),
        "mask-first": ("a bit of the mask's ciphertext is flipped", _flip(1200)),
        "mask-last": ("a bit of its last byte is flipped", _flip(2287)),
        "channel-fresh": ("the server encapsulated to the channel key itself", lambda p: fresh + p[1088:]),
        "mask-fresh": ("the server encapsulated to the mask key itself", lambda p: p[:1200] + fresh_mask),
        "mask-of-other": ("the mask's ciphertext is that for another", lambda p: p[:1200] + for_three[1][1200:]),
        "channel-of-other": ("the channel's ciphertext is that for another", lambda p: for_three[1][:1088] + p[1088:]),
    }
    for name, (comment, change) in changes.items():
        scene = Scene(HYBRID, VICTIM).to("MASKED_INPUT")
        parcel = next(p for p in scene.body.ciphertexts if p.client == 1).ciphertext
        pairs = changed(scene.body.ciphertexts, 1, ciphertext=change(parcel))
        made.append(_complains(scene, name, comment, pairs))
    scene = Scene(HYBRID, VICTIM).to("MASKED_INPUT")
    element = (65521).to_bytes(2, "big")
    bad = sealing.split(
        HYBRID.parameters, 1, VICTIM, scene.insider(1).seal(VICTIM, bytes(70) + element), to_server=True
    )
    pairs = changed(scene.body.ciphertexts, 1, ciphertext=replace(bad, wrap=b"").join())
    return [*made, _complains(scene, "last", "the last element of a share is p", pairs)]


def _complains(scene: Scene, name: str, comment: str, pairs: Iterable[SealedShares]) -> Json:
    """The client complains of client 1."""
    answer = scene.script.step(message=scene.play.envelope(wire.MaskedInputCollectionRequest(tuple(pairs)))).answer
    if answer != scene.play.envelope(wire.Complaint((1,))):
        raise WrongScript(f"{name}: no complaint")
    return scene.case(f"hybrid-complains-{name}", comment, "R64 R43", "ForgedShares", NEEDS)


def _parcel_lengths() -> list[Json]:
    made = []
    lengths: dict[str, tuple[World, int, int, str]] = {
        "pair-only": (HYBRID, 1, 112, "a sealed pair alone"),
        "no-mask": (HYBRID, 1, 1200, "no ciphertext for the mask, from a lower id"),
        "wrap": (HYBRID, 1, 2320, "a wrapped secret, which stays with the server"),
        "mask-downwards": (HYBRID, 3, 2288, "a ciphertext for the mask, from a higher id"),
        "other-suite": (TRIO, 1, 1200, "a ciphertext for the channel, in a suite without a KEM"),
        "commitment": (HYBRID, 3, 1232, "a commitment, in a hybrid suite"),
        "commitment-semi-honest": (TRIO, 1, 144, "a commitment, in a semi-honest session"),
        "no-commitment": (ACTIVE_TRIO, 1, 112, "no commitment, in a session with signed dealings"),
    }
    for name, (world, sender, length, comment) in lengths.items():
        scene = Scene(world, VICTIM).to("MASKED_INPUT")
        honest = next(p for p in scene.body.ciphertexts if p.client == sender).ciphertext
        pairs = changed(scene.body.ciphertexts, sender, ciphertext=(honest + draw("more", 2320))[:length])
        scene.tell(wire.MaskedInputCollectionRequest(pairs), "A08")
        needs = NEEDS if world is HYBRID else None
        made.append(scene.case(f"hybrid-a08-{name}", f"a parcel with {comment}", "A08 R19", "Malformed", needs))
    return made


# Servers.


def server_cases() -> list[Json]:
    """All cases of servers."""
    return [*_server_keys(), *_server_parcels(), *_owners_lie()]


def _refused(
    name: str,
    comment: str,
    make: Callable[[Insider], Advertisement],
    rule: str,
    flag: str,
    world: World | None = None,
    needs: Mapping[str, Any] | None = NEEDS,
) -> Json:
    """Client 2 advertises what `make` says and loses its place, the others go on."""
    chosen = world or World(f"hybrid keys/{name}", (1, 2, 3), threshold=1, options=NEEDS)
    server = ScriptedServer(chosen)
    server.give(1)
    message = server.envelope(wire.AdvertiseKeysResponse(make(server.insider(VICTIM))))
    server.dropped(VICTIM, message, rule)
    server.play_round()
    return server.case(f"server-hybrid-{name}", comment, {rule, "R29", "R55"}, (flag,), needs)


def _server_keys() -> list[Json]:
    made = []
    for field in (CHANNEL, MASK):
        for name in ("first", "odd", "last", "x25519"):

            def weak(its: Insider, field: str = field, name: str = name) -> Advertisement:
                return its.advertisement(**{field: _not_canonical(getattr(its.advertisement(), field))[name][1]})

            comment = f"A part of client 2's {field} is not canonical: {name}."
            made.append(_refused(f"{field.split('_')[0]}-{name}", comment, weak, "S15", "NonCanonicalKey"))

    def with_part(part: slice, field: str, of: int, source: str) -> Callable[[Insider], Advertisement]:
        def make(its: Insider) -> Advertisement:
            own, other = (its.play.insider(client).advertisement() for client in (VICTIM, of))
            key = bytearray(getattr(own, field))
            key[part] = getattr(other, source)[part]
            return its.advertisement(**{field: bytes(key)})

        return make

    first, second = slice(0, 32), slice(32, None)
    for name, comment, make in (
        ("kem-of-other", "The ML-KEM part is client 1's.", with_part(second, CHANNEL, 1, MASK)),
        ("x25519-of-other", "The X25519 part is client 1's.", with_part(first, MASK, 1, MASK)),
        ("kem-twice", "Both keys have one ML-KEM part.", with_part(second, CHANNEL, VICTIM, MASK)),
        ("x25519-twice", "Both keys have one X25519 part.", with_part(first, CHANNEL, VICTIM, MASK)),
    ):
        made.append(_refused(name, comment, make, "S12", "RepeatedKey"))

    def low(its: Insider) -> Advertisement:
        return its.advertisement(mask_public=LOW_ORDER["1"] + its.advertisement().mask_public[32:])

    made.append(_refused("low-order", "The X25519 part of a mask key is 1.", low, "S13", "LowOrderPoint"))

    def short(its: Insider) -> Advertisement:
        return its.advertisement(mask_public=its.advertisement().mask_public[:32])

    made.append(_refused("short", "A mask key of 32 bytes, as in other suites.", short, "S02", "Malformed"))

    def long(its: Insider) -> Advertisement:
        return its.advertisement(channel_public=keys.public_key(draw("a hybrid key", 96)))

    classic = World("hybrid keys/long", (1, 2, 3), threshold=1)
    comment = "A channel key of 1216 bytes, in a suite without a KEM."
    made.append(_refused("long", comment, long, "S02", "Malformed", classic, None))
    return made


def _server_parcels() -> list[Json]:
    made = []
    lengths: dict[str, tuple[bool, int, int, str]] = {
        "pair-only": (True, 1, 112, "A sealed pair alone."),
        "no-wrap": (True, 3, 2288, "Nothing is wrapped for the server."),
        "no-mask": (True, 3, 1200, "No ciphertext for the mask, to a higher id."),
        "mask-downwards": (True, 1, 2320, "A ciphertext for the mask, to a lower id."),
        "other-suite": (False, 1, 1200, "A ciphertext for the channel, in a suite without a KEM."),
    }
    for name, (hybrid, receiver, length, comment) in lengths.items():
        world = World(f"hybrid parcels/{name}", (1, 2, 3), threshold=1, options=NEEDS if hybrid else {})
        server = ScriptedServer(world).play_to(SHARES)
        body = server.body(VICTIM, wire.ShareKeysResponse)
        honest = next(p for p in body.ciphertexts if p.client == receiver).ciphertext
        parcel = (honest + draw("more", 2320))[:length]
        message = server.envelope(wire.ShareKeysResponse(changed(body.ciphertexts, receiver, ciphertext=parcel)))
        server.dropped(VICTIM, message, "S02")
        server.play_round()
        needs = NEEDS if hybrid else None
        case = server.case(f"server-hybrid-parcel-{name}", comment, {"S02", "R19", "R29", "R55"}, ("Malformed",), needs)
        made.append(case)
    return made


def _owners_lie() -> list[Json]:
    """A mask key of which one part does not follow from what its owner shares (R17)."""
    made = []
    for part, comment in (("kem", "ML-KEM"), ("x25519", "X25519")):
        world = World(f"hybrid owner/{part}", (1, 2, 3, 4), threshold=2, options=NEEDS)
        server = ScriptedServer(world)
        server.give(1)
        its = server.insider(VICTIM)
        own, other = its.advertisement().mask_public, keys.public_key(draw("another mask key", 96))
        key = own[:32] + other[32:] if part == "kem" else other[:32] + own[32:]
        server.answer(VICTIM)
        server.receive(VICTIM, server.envelope(wire.AdvertiseKeysResponse(its.advertisement(mask_public=key))))
        server.play_round()
        secrets = [its.self_mask_seed, its.mask_secret]
        polynomials = sharing.draw_polynomials(secrets, 2, lambda count: draw("polynomials", count))
        sealed = []
        for receiver in (1, 3, 4):
            seed, mask_key = (sharing.share_at(each, its.point(receiver)) for each in polynomials)
            sealed.append(SealedShares(receiver, its.seal(receiver, seed + mask_key)))
        server.receive(VICTIM, server.envelope(wire.ShareKeysResponse(tuple(sealed))))
        server.play_round()
        server.play_round((VICTIM,))
        server.aborted(server.play_round(), "A06")
        told = f"The {comment} part of client 2's mask key follows from another secret than it shares."
        needs = {"A06", "R17", "R50"}
        made.append(server.case(f"server-hybrid-owner-lies-{part}", told, needs, ("WrongShares",), NEEDS))
    return made
