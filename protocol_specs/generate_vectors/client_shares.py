"""Client scripts of MaskedInputCollection (§6.4): sealed pairs that were moved, replayed, or made by a liar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.client_keys import LOW_ORDER
from protocol_specs.generate_vectors.client_play import (
    ACTIVE,
    ACTIVE_TRIO,
    SEMI_HONEST,
    SPARSE,
    TRIO,
    UNFIT,
    Scene,
    changed,
    model,
    seal,
    with_entries,
    without,
)
from protocol_specs.generate_vectors.script import Json, WrongScript
from protocol_specs.generate_vectors.world import Play, World, draw
from protocol_specs.reference import digests, wire
from protocol_specs.reference.wire import Advertisement, SealedShares

VICTIM: Final = 3
LARGEST_ELEMENT: Final = (65520).to_bytes(2, "big")
NOTHING: Final = bytes(72)


def cases() -> list[Json]:
    """All cases of this module."""
    return [
        *_senders(SEMI_HONEST),
        *_senders(ACTIVE),
        *_moved(ACTIVE_TRIO),
        *_bindings(TRIO),
        *_bindings(ACTIVE_TRIO),
        *_bindings(SPARSE),
        *_unfit(),
        *_canonical(TRIO),
        *_low_order(TRIO),
        *_low_order(ACTIVE_TRIO),
        *_substituted_keys(),
    ]


def at_masked_input(world: World, client: int = VICTIM, **options: Any) -> Scene:
    """A client that has an input and waits for the sealed pairs."""
    return Scene(world, client, **options).to("MASKED_INPUT")


def _case(
    scene: Scene,
    id_: str,
    comment: str,
    pairs: Iterable[SealedShares],
    rules: str,
    flags: str,
    requirements: str = "R03",
) -> Json:
    """The client refuses these pairs for one of these rules."""
    scene.tell(wire.MaskedInputCollectionRequest(tuple(pairs)), *rules.split())
    first = rules.split()[0]
    name = model(scene.world) if scene.world.degree is None else "sparse"
    return scene.case(f"{first.lower()}-{name}-{id_}", comment, f"{first} {requirements}", flags)


def _complains(
    scene: Scene, id_: str, comment: str, pairs: Iterable[SealedShares], flags: str, requirements: str, *accused: int
) -> Json:
    """The client complains of these senders, by default of client 1, and gives no input any more."""
    answer = scene.script.step(message=scene.play.envelope(wire.MaskedInputCollectionRequest(tuple(pairs)))).answer
    if answer != scene.play.envelope(wire.Complaint(accused or (1,))):
        raise WrongScript(f"{id_}: no complaint of {accused or (1,)}")
    scene.give_input("LOCAL_ERROR")
    name = model(scene.world) if scene.world.degree is None else "sparse"
    return scene.case(f"complains-{name}-{id_}", comment, f"R64 {requirements}", flags)


def _advertisements(scene: Scene) -> list[Advertisement]:
    return list(scene.insider(1).advertisements.values())


def _senders(world: World) -> list[Json]:
    threshold = world.threshold
    others = [client for client in world.clients if client != VICTIM]
    scene = at_masked_input(world)
    pairs = without(scene.body.ciphertexts, *others[threshold - 1 :])
    made = [_case(scene, "below-threshold", "t - 1 neighbours shared keys", pairs, "C33", "TooFew")]
    scene = at_masked_input(world)
    made.append(
        _case(scene, "none", "no neighbour shared keys: there would be no mask but the own", (), "C33", "TooFew")
    )
    scene = at_masked_input(world, silent={"SHARE_KEYS": others[threshold:]})
    scene.tell(scene.body)
    made.append(scene.case(f"within-c33-{model(world)}", "exactly t neighbours shared keys", "C33", "EdgeCase"))
    for id_, comment, client in (
        ("own", "a pair of the client itself", VICTIM),
        ("stranger", "a pair of a client outside of the cohort", 9),
        ("zero", "a pair of client 0, which is outside of the cohort", 0),
        ("low-bits", "a sender that is a neighbour only in its low 32 bits", 2**32 + 1),
    ):
        scene = at_masked_input(world)
        pairs = changed(scene.body.ciphertexts, 1, client=client)
        made.append(_case(scene, id_, comment, pairs, "C30", "ForgedShares"))
    scene = at_masked_input(world, silent={"ADVERTISE_KEYS": (1,)})
    pairs = changed(scene.body.ciphertexts, 2, client=1)
    made.append(
        _case(scene, "not-advertised", "a neighbour that was not shown as advertised", pairs, "C30", "ForgedShares")
    )
    return made


def _moved(world: World) -> list[Json]:
    made = []
    for name, place in (("nonce", 0), ("first-byte", 24), ("last-byte", 95), ("tag", 111)):
        scene = at_masked_input(world)
        pair = next(p for p in scene.body.ciphertexts if p.client == 1).ciphertext
        flipped = pair[:place] + bytes([pair[place] ^ 0x80]) + pair[place + 1 :]
        pairs = changed(scene.body.ciphertexts, 1, ciphertext=flipped)
        comment = f"a bit of byte {place} is flipped"
        made.append(_complains(scene, f"bit-{name}", comment, pairs, "ForgedShares", "R43"))
    play = Play(world).play_to("COLLECTING_MASKED_INPUTS")
    for_two = {p.client: p.ciphertext for p in play.request(2).ciphertexts}
    for_one = {p.client: p.ciphertext for p in play.request(1).ciphertexts}
    mine = {p.client: p.ciphertext for p in play.request(VICTIM).ciphertexts}
    elsewhere = Play(replace(world, options={"nonce": draw(f"another nonce of {world.name}", 32)}))
    other = elsewhere.play_to("COLLECTING_MASKED_INPUTS")
    if other.insider(1).advertisement().channel_public != play.insider(1).advertisement().channel_public:
        raise ValueError("the replayed session must have the same keys")
    of_another = {p.client: p.ciphertext for p in other.request(VICTIM).ciphertexts}
    for name, comment, changes in (
        ("swapped-senders", "two neighbours' pairs are swapped", {1: mine[2], 2: mine[1]}),
        ("one-for-two", "one neighbour's pair stands for two", {1: mine[2]}),
        ("for-another-receiver", "a pair that the sender made for another client", {1: for_two[1]}),
        ("reflected", "the client's own pair comes back from its receiver", {1: for_one[VICTIM]}),
        ("other-session", "a pair of another session with the same keys", {1: of_another[1]}),
        ("zeros", "zero bytes", {1: bytes(world.pair_bytes)}),
        ("random", "random bytes", {1: draw("no pair", world.pair_bytes)}),
        ("last", "only the last pair does not open", {2: bytes(world.pair_bytes)}),
    ):
        scene = at_masked_input(world)
        pairs = scene.body.ciphertexts
        for client, ciphertext in changes.items():
            pairs = changed(pairs, client, ciphertext=ciphertext)
        made.append(_complains(scene, f"moved-{name}", comment, pairs, "ForgedShares", "R43", *changes))
    return made


def _bindings(world: World) -> list[Json]:
    """Pairs that their sender bound to something else."""
    made = []
    probe = at_masked_input(world)
    sender = probe.body.ciphertexts[0].client
    shown = [a for a in _advertisements(probe) if world.degree is None or a.client in (sender, VICTIM)]
    another = draw("another session", 32)
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "other-session": ("the digest of another session for a binding", {"binding": another}),
        "empty": ("an empty binding", {"binding": b""}),
        "reversed-key": ("the key of the other direction", {"reverse": True}),
        "other-sender": ("another sender in the associated data", {"named": (5, VICTIM)}),
        "other-receiver": ("another receiver in the associated data", {"named": (sender, 5)}),
        "swapped-names": ("receiver and sender swapped in the associated data", {"named": (VICTIM, sender)}),
    }
    if world.degree is None:
        variants["session-digest"] = ("the session digest for a binding", {"binding": world.session})
    else:
        digest = digests.cohort_digest(world.session, _advertisements(probe))
        variants["cohort-digest"] = ("the cohort digest for a binding", {"binding": digest})
    for name, (comment, options) in variants.items():
        scene = at_masked_input(world)
        pair = seal(world, shown, sender, VICTIM, NOTHING, **options)
        pairs = with_entries(scene.body.ciphertexts, pair)
        made.append(_complains(scene, f"bound-{name}", comment, pairs, "ForgedShares", "R08 R43", sender))
    scene = at_masked_input(world)
    pairs = with_entries(scene.body.ciphertexts, seal(world, shown, sender, VICTIM, NOTHING))
    scene.tell(wire.MaskedInputCollectionRequest(pairs))
    name = model(world) if world.degree is None else "sparse"
    made.append(
        scene.case(f"within-r61-{name}", "another pair that its sender sealed as it should", "R64 R43", "EdgeCase")
    )
    return made


def _unfit() -> list[Json]:
    """Pairs that open, and are not what was committed to."""
    made = []
    for name, comment, unfit in UNFIT:
        scene = at_masked_input(ACTIVE)
        pair = next(pair for pair in scene.body.ciphertexts if pair.client == 1)
        changed_pair = replace(pair, ciphertext=unfit(scene.insider(1), scene.client, pair.ciphertext))
        pairs = with_entries(scene.body.ciphertexts, changed_pair)
        made.append(_complains(scene, f"unfit-{name}", comment, pairs, "ForgedShares", "R58"))
    return made


def _canonical(world: World) -> list[Json]:
    made = []
    for name, element, place in (
        ("p-first", 65521, 0),
        ("p-last-of-seed", 65521, 17),
        ("p-first-of-mask-key", 65521, 18),
        ("p-last", 65521, 35),
        ("largest", 65535, 20),
    ):
        scene = at_masked_input(world)
        plaintext = bytes(2 * place) + element.to_bytes(2, "big") + bytes(70 - 2 * place)
        pairs = with_entries(scene.body.ciphertexts, seal(world, _advertisements(scene), 1, VICTIM, plaintext))
        comment = f"element {place} of 36 is {element}"
        made.append(_complains(scene, name, comment, pairs, "ForgedShares", "R50"))
    scene = at_masked_input(world)
    plaintext = LARGEST_ELEMENT * 36
    pairs = with_entries(scene.body.ciphertexts, seal(world, _advertisements(scene), 1, VICTIM, plaintext))
    scene.tell(wire.MaskedInputCollectionRequest(pairs))
    scene.play.play_round()
    scene.to("UNMASKING")
    scene.script.step(message=scene.request)
    comment = "all elements of a neighbour's shares are 65520: they are kept, and revealed as they came"
    made.append(scene.case(f"within-r61-largest-{model(world)}", comment, "R64 R50", "EdgeCase"))
    return made


def _low_order(world: World) -> list[Json]:
    """A mask key of low order shows when the pairwise mask is made; ShareKeys does not look at it (§6.3, §6.4)."""
    made = []
    for name, key in LOW_ORDER.items():
        scene = Scene(world, VICTIM).to("SHARE_KEYS")
        shown = with_entries(scene.body.advertisements, scene.insider(1).advertisement(mask_public=key))
        scene.tell(wire.ShareKeysRequest(shown))
        others = [client for client in world.clients if client != VICTIM]
        pairs = [seal(world, shown, sender, VICTIM, NOTHING) for sender in others]
        comment = f"a sharer's mask key is of low order: {name}"
        made.append(_case(scene, f"mask-{name}", comment, pairs, "C25", "WeakKey"))
    return made


def _substituted_keys() -> list[Json]:
    """Semi-honest: keys in which a relaying server differs from their owner give pairs that do not open."""
    made = []
    for field in ("channel_public", "mask_public", "commitment"):
        scene = Scene(TRIO, VICTIM).to("SHARE_KEYS")
        honest = scene.body.advertisements
        known = {a.client: a for a in honest}
        shown = changed(honest, 1, **{field: getattr(known[1], field)[:-1] + b"\x55"})
        scene.tell(wire.ShareKeysRequest(shown))
        pairs = [seal(TRIO, honest, sender, VICTIM, NOTHING) for sender in (1, 2)]
        comment = f"one {field} was another for the client than for its neighbours"
        id_ = f"view-{field.replace('_', '-')}"
        made.append(_complains(scene, id_, comment, pairs, "SubstitutedKey", "R08", 1, 2))
    return made
