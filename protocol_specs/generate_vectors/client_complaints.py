"""Client scripts of complaints: what a client discloses, what it refuses to, and that it does so once (§6.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors import forgeries
from protocol_specs.generate_vectors.client_play import (
    ACTIVE,
    ACTIVE_TRIO,
    TRIO,
    UNFIT,
    Scene,
    changed,
    model,
    seal,
    with_entries,
    without,
)
from protocol_specs.generate_vectors.client_states import bodies
from protocol_specs.generate_vectors.hybrid import ACTIVE as HYBRID
from protocol_specs.generate_vectors.hybrid import NEEDS
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import Insider, World, draw, roster_entries
from protocol_specs.reference import dealings, digests, disclosures, keys, signatures, wire
from protocol_specs.reference.blame import Dealt
from protocol_specs.reference.evidence import Pair
from protocol_specs.reference.wire import Dealing
from protocol_specs.testee import conformance_pb2 as pb

VICTIM: Final = 3
DEALER: Final = 1
NINE: Final = (*range(1, VICTIM), *range(VICTIM + 1, 11))
MANY: Final = World("complaints of many", clients=tuple(range(1, 13)), active=True, threshold=7)
TWENTY: Final = World("complaints of two blocks", clients=tuple(range(1, 21)), active=True, threshold=11)
LOOSE: Final = World("complaints about three of five", clients=(1, 2, 3, 4, 5), active=True, threshold=3)


def cases() -> list[Json]:
    """All cases of this module."""
    return [
        *_disclosed(),
        *_not_accused(),
        *_other_pairs(),
        *_other_signatures(),
        *_not_provable(),
        *_cells(),
        *_without_signed_dealings(),
        *_ledger(),
    ]


def complained(world: World = ACTIVE, dealers: Iterable[int] = (DEALER,), **options: Any) -> Scene:
    """The client has complained of these dealers, and is asked to disclose."""
    return Scene(world, VICTIM, garbage=dict.fromkeys(dealers, (VICTIM,)), **options).to("DISCLOSURE")


def _case(
    scene: Scene, id_: str, comment: str, dealt: Iterable[Dealing], rules: str, flags: str, more: str = ""
) -> Json:
    """The client refuses to disclose anything about these dealings."""
    scene.tell(wire.DisclosureRequest(tuple(dealt)), *rules.split())
    first = rules.split()[0]
    return scene.case(f"{first.lower()}-{id_}", comment, f"{first} R03 R65 {more}", flags)


def _disclosed() -> list[Json]:
    made = []
    for name, comment, world, dealers in (
        ("one", "one dealer sealed garbage", ACTIVE, (1,)),
        ("two", "two dealers sealed garbage", ACTIVE, (1, 4)),
        ("eight", "nine dealers sealed garbage, and the first eight of them are asked about", MANY, NINE),
        ("second-block", "the client's entry is in the second block of two", TWENTY, (1, 20)),
    ):  # fmt: skip
        scene = complained(world, dealers)
        request = scene.request
        answer = scene.script.step(message=request).answer
        if scene.script.step(message=request).answer != answer:
            raise ValueError("the same request got another answer")
        scene.tell(wire.Abort("A15"))
        made.append(scene.case(f"discloses-{name}", comment, "R52 R53 R58 R64 R65 A09", "Honest"))
    for name, comment, unfit in UNFIT:
        scene = complained(ACTIVE, (4,), unfit=unfit)
        scene.script.step(message=scene.request)
        made.append(scene.case(f"discloses-unfit-{name}", f"a pair opens, and {comment}", "R58 R64 R65", "EdgeCase"))
    scene = Scene(ACTIVE, VICTIM, garbage={DEALER: (VICTIM,)}, gives_input=False).to("DISCLOSURE")
    scene.script.step(message=scene.request)
    made.append(scene.case("discloses-without-input", "the host has given no input yet", "R58 R64 R65", "Honest"))
    scene = complained(ACTIVE, (1, 4))
    scene.tell(wire.DisclosureRequest(scene.body.dealings[1:]))
    comment = "the server asks about the second of two accused"
    made.append(scene.case("discloses-some", comment, "R58 R65", "EdgeCase"))
    scene = complained(MANY, NINE)
    ninth = _shown(scene, 10, _pairs(scene, 10))
    scene.tell(wire.DisclosureRequest((ninth,)))
    made.append(
        scene.case("discloses-the-ninth", "the server asks about the last of nine accused", "R58 R65", "EdgeCase")
    )
    return made


def _pairs(scene: Scene, dealer: int) -> tuple[wire.SealedShares, ...]:
    """What a dealer sealed, for whom."""
    body = wire.decode_for_server(scene.play.history["COLLECTING_SHARES"][1][dealer]).body
    if not isinstance(body, wire.ShareKeysResponse):
        raise TypeError("no dealing")
    return body.ciphertexts


def _shown(scene: Scene, dealer: int, pairs: Iterable[wire.SealedShares]) -> Dealing:
    """The dealing of any pairs, signed by the dealer, as it is shown to the client."""
    its = scene.insider(dealer)
    dealt = Dealt(scene.world.session, its.binding, its.advertisements, {dealer: its.deal(pairs)})
    return dealt.request(VICTIM, [dealer]).dealings[0]


def _not_accused() -> list[Json]:
    made = []
    for name, comment, world, accused, asked, rules in (
        ("none", "about nobody", ACTIVE, (1,), (), "C36"),
        ("honest", "about an honest dealer", ACTIVE, (1,), (2,), "C36"),
        ("honest-too", "about an accused and an honest dealer", ACTIVE, (1,), (1, 2), "C36"),
        ("all", "about everybody", ACTIVE, (1, 4), (1, 2, 4, 5), "C36"),
        ("nine", "about nine dealers", MANY, NINE, NINE, "C36 A08"),
    ):
        scene = complained(world, accused)
        dealt = [_shown(scene, dealer, _pairs(scene, dealer)) for dealer in asked]
        made.append(_case(scene, name, f"the server asks {comment}", dealt, rules, "SplitView"))
    for name, client in (("itself", VICTIM), ("stranger", 77), ("low-bits", 2**32 + 1)):
        scene = complained()
        dealt = [replace(scene.body.dealings[0], client=client)]
        made.append(_case(scene, name, f"the dealing is said to be client {client}'s", dealt, "C36", "SplitView"))
    for name, comment, first in (
        ("second", "a second request, about the other accused", 0),
        ("second-same", "the first request again, with more in it", 1),
    ):
        scene = complained(ACTIVE, (1, 4))
        both = scene.body.dealings
        scene.tell(wire.DisclosureRequest(both[:1]))
        made.append(_case(scene, name, comment, both[1 - first :], "C36", "SecondAnswer"))
    return made


def _entries(scene: Scene, pairs: Iterable[wire.SealedShares]) -> list[bytes]:
    shown = scene.insider(DEALER).advertisements
    return [dealings.entry(pair.client, shown[pair.client].channel_public, pair.ciphertext) for pair in pairs]


def _signed(its: Insider, block: bytes, listed: bytes | None = None) -> Dealing:
    """A dealing of any block, which the dealer signs with these digests or with the block's own."""
    found = dealings.block_digest(block) if listed is None else listed
    own = its.advertisements[its.client].channel_public
    text = dealings.signed_input(its.world.session, its.binding, its.client, own, found)
    signature = signatures.sign(its.world.identity_key(its.client), text)
    return Dealing(its.client, block, found, signature + its.possession())


def _other_pairs() -> list[Json]:
    """Dealings that the corrupt dealer signed, in which the pair that the client has does not stand (C37)."""
    made = []
    probe = complained()
    pairs = _pairs(probe, DEALER)
    its = probe.insider(DEALER)
    entries = dict(zip((pair.client for pair in pairs), _entries(probe, pairs), strict=True))
    bad, rest = entries[VICTIM], [entry for client, entry in entries.items() if client != VICTIM]
    mask = its.advertisements[VICTIM].mask_public
    right = changed(pairs, VICTIM, ciphertext=its.seal(VICTIM, bytes(72)))
    joined = b"".join(entries.values())
    for name, comment, dealing in (
        ("right", "the dealer signed a pair that opens, too", _shown(probe, DEALER, right)),
        ("others", "the block has the pairs for others only", _signed(its, b"".join(rest))),
        ("receiver", "the pair is said to be for another", _signed(its, (4).to_bytes(8, "big") + bad[8:])),
        ("key", "the pair is said to be sealed to another key", _signed(its, bad[:8] + mask + bad[40:])),
        ("pair", "one bit of the pair is another", _signed(its, bad[:151] + bytes([bad[151] ^ 1]) + bad[152:])),
        ("commitment", "one bit of the commitment is another", _signed(its, bad[:-1] + bytes([bad[-1] ^ 1]))),
        ("shifted", "the entry is there, a byte late", _signed(its, b"\0" + bad + bytes(183))),
        ("not-listed", "the digest of the block is not listed", _signed(its, bad, dealings.block_digest(rest[0]))),
        ("shifted-digest", "the digest of the block is listed, a byte late",
         _signed(its, bad, b"\0" + dealings.block_digest(bad) + bytes(31))),
    ):  # fmt: skip
        made.append(_case(complained(), name, comment, [dealing], "C37", "SplitView", "R58"))
    scene = complained(ACTIVE, (1, 4))
    first, second = scene.body.dealings
    swapped = [replace(first, block=second.block), second]
    made.append(_case(scene, "swapped-blocks", "the block of another dealer", swapped, "C37 C38", "SplitView", "R58"))
    for name, comment, dealing in (
        ("alone", "a block of one entry", _signed(its, bad)),
        ("twice", "the pair stands in the block twice", _signed(its, 2 * bad)),
        ("descending", "the entries are in another order", _signed(its, joined[184:] + joined[:184])),
        ("last-digest", "the digest of the block is the last of three",
         _signed(its, bad, bytes(64) + dealings.block_digest(bad))),
    ):  # fmt: skip
        scene = complained()
        scene.tell(wire.DisclosureRequest((dealing,)))
        comment = f"{comment}: what the dealer signed counts"
        made.append(scene.case(f"within-c37-{name}", comment, "C37 R58 R65", "EdgeCase"))
    return made


def _other_signatures() -> list[Json]:
    made = []
    probe = complained()
    its, dealing = probe.insider(DEALER), probe.body.dealings[0]
    own, mask = its.advertisements[DEALER].channel_public, its.advertisements[DEALER].mask_public
    session, binding = probe.world.session, its.binding
    key, another = probe.world.identity_key(DEALER), draw("another session", 32)

    def text(
        session: bytes = session, binding: bytes = binding, dealer: int = DEALER, public: bytes = own, more: bytes = b""
    ) -> bytes:
        return dealings.signed_input(session, binding, dealer, public, dealing.digests + more)

    def sign(**changes: Any) -> bytes:
        return signatures.sign(key, text(**changes))

    signed = sign()

    forged: list[tuple[str, str, bytes, str]] = [
        ("zero", "a signature of zeros", bytes(64), "C38"),
        ("none", "no signature", b"", "A08 R19"),
        ("session", "signed in another session", sign(session=another), "C38"),
        ("binding", "signed under another binding", sign(binding=another), "C38"),
        ("session-digest", "signed with the session digest for a binding", sign(binding=session), "C38"),
        ("name", "signed in another's name", sign(dealer=2), "C38"),
        ("public", "signed with the dealer's mask key", sign(public=mask), "C38"),
        ("digests", "signed over one digest more", sign(more=bytes(32)), "C38"),
        ("signer", "signed by another client", signatures.sign(probe.world.identity_key(2), text()), "C38"),
        ("advertisement", "the signature of its advertisement", its.advertisement().signature, "C38"),
    ]  # fmt: skip
    forged += [
        (name, f"{comment}: only a lax verifier takes it", make(key, text()), "C38 R13")
        for name, comment, make in (
            (
                "large-s",
                "S + L in the place of S",
                lambda _key, _text: forgeries.with_large_scalar(signed),
            ),
            ("neutral-r", "R is the neutral element", forgeries.with_neutral_r),
            ("cofactor", "R has a part of low order", forgeries.with_low_order_part),
        )
    ]
    for name, comment, signature, rules in forged:
        told, *others = rules.split()
        forgery = [replace(dealing, signature=signature and signature + dealing.signature[64:])]
        more = " ".join([*others, "R58"])
        made.append(_case(complained(), name, comment, forgery, told, "ForgedSignature", more))
    return made


def _not_provable() -> list[Json]:
    """A lying server let a dealer advertise a key of which it can prove nothing; everything else is right (C39).

    The multiple is of an honest client's key: its disclosure would be a multiple of the agreement with that client.
    """
    made = []
    mixed = forgeries.mixed_key(ACTIVE_TRIO.tape(DEALER)[:32])
    for name, of, key in (
        ("twist", "on the twist", (2).to_bytes(32, "little")),
        ("mixed", "with a part of low order", mixed),
        ("multiple", "three times that of client 2", forgeries.multiple_of(keys.public_key(ACTIVE_TRIO.tape(2)[:32]))),
    ):
        world, scene = ACTIVE_TRIO, Scene(ACTIVE_TRIO, VICTIM).to("SHARE_KEYS")
        shown = with_entries(scene.body.advertisements, scene.insider(DEALER).advertisement(channel_public=key))
        scene.tell(wire.ShareKeysRequest(shown))
        known = {a.client: a for a in shown}
        binding = digests.binding(world.parameters, world.session, shown)
        garbage = draw("garbage", 144)
        pairs = [wire.SealedShares(DEALER, garbage), seal(world, shown, 2, VICTIM, bytes(72))]
        scene.script.step(message=scene.play.envelope(wire.MaskedInputCollectionRequest(tuple(pairs))))
        pair = Pair(world.session, binding, DEALER, key, VICTIM, known[VICTIM].channel_public, garbage)
        block = dealings.entry(VICTIM, pair.receiver_public, garbage)
        listed = dealings.block_digest(block)
        text = dealings.signed_input(world.session, binding, DEALER, key, listed)
        context = dealings.possession_context(world.session, binding, DEALER, key)
        proof = disclosures.prove(world.tape(DEALER)[:32], disclosures.BASE_PUBLIC, context)
        dealing = Dealing(DEALER, block, listed, signatures.sign(world.identity_key(DEALER), text) + proof)
        comment = f"the dealer's channel key is {of}"
        made.append(_case(scene, name, comment, [dealing], "C39", "WeakKey", "R58"))
    for name, comment, shown_by in (
        ("none", "zeros", lambda its: bytes(128)),
        ("session", "a proof of another session", lambda its: its.possession(session=bytes(32))),
        ("binding", "a proof under another binding", lambda its: its.possession(binding=its.world.session)),
        ("dealer", "a proof in another's name", lambda its: its.possession(dealer=2)),
    ):  # fmt: skip
        scene = complained()
        right = scene.body.dealings[0]
        forgery = replace(right, signature=right.signature[:64] + shown_by(scene.insider(DEALER)))
        comment = f"the dealer shows {comment} in the place of one that it has its channel private key"
        made.append(_case(scene, f"possession-{name}", comment, [forgery], "C39", "ForgedSignature", "R58"))
    return made


def _cells() -> list[Json]:
    """What else comes in DISCLOSURE (§7.1)."""
    made = []
    for name, body in bodies(ACTIVE).items():
        if name == "DisclosureRequest":
            continue
        scene = complained().tell(body, "C11")
        comment = f"DISCLOSURE: {name} is not the message of the phase"
        made.append(scene.case(f"state-disclosure-{name}", comment, "C11 R03 R52 R65", "OutOfOrder"))
    scene = Scene(ACTIVE, VICTIM, garbage={DEALER: (VICTIM,)}).to("MASKED_INPUT")
    request = scene.request
    answer = scene.advance()
    if scene.script.step(message=request).answer != answer:
        raise ValueError("the same request got another complaint")
    scene.give_input("LOCAL_ERROR")
    scene.script.step(message=scene.request)
    scene.refuse(request, "C11")
    comment = "the pairs again get the same complaint, an input is refused; after the disclosure they are C11"
    made.append(scene.case("state-disclosure-repeats", comment, "R29 R53 R64 C11", "Replay"))
    for disclosed in (False, True):
        told = "after" if disclosed else "before"
        for name, comment in (("abort", "the server aborts"), ("end", "the host ends the session")):
            scene = complained()
            request = scene.request
            if disclosed:
                scene.script.step(message=request)
            if name == "abort":
                scene.tell(wire.Abort("A15"))
            else:
                scene.script.step(end_session=pb.EndSession())
            scene.local_error(request)
            rule = "A09" if name == "abort" else "A10"
            comment = f"{comment} {told} the disclosure; then nothing is disclosed"
            made.append(scene.case(f"{rule.lower()}-disclosure-{told}", comment, f"{rule} R03 R65", "OutOfOrder"))
    scene = complained()
    scene.tell(scene.body, "C12", session=draw("another session", 32))
    made.append(scene.case("c12-disclosure", "the request under another session digest", "C12 R03 R07", "Replay"))
    return made


def _without_signed_dealings() -> list[Json]:
    """Semi-honest and hybrid: who complained discloses nothing."""
    made = []
    for world, rules, needs in ((TRIO, "C11 C36", None), (HYBRID, "C36 C11", NEEDS)):
        scene = Scene(world, VICTIM, garbage={DEALER: (VICTIM,)}).to("MASKED_INPUT")
        pairs = scene.body.ciphertexts
        scene.script.step(message=scene.request)
        its = scene.insider(DEALER)
        sealed = next(pair.ciphertext for pair in pairs if pair.client == DEALER)[-112:]
        block = dealings.entry(VICTIM, its.advertisements[VICTIM].channel_public[:32], sealed)[:184].ljust(184, b"\0")
        dealing = _signed(its, block)
        scene.tell(wire.DisclosureRequest((dealing,)), *rules.split())
        name = "hybrid" if needs else model(world)
        comment = "a session without signed dealings: a complainer is asked to disclose"
        made.append(scene.case(f"undisclosed-{name}", comment, f"{rules.split()[0]} R03 R65", "OutOfOrder", needs))
    return made


def _ledger() -> list[Json]:
    """A copy answers as the first one did, or not at all (§9, R65)."""
    made = []

    def frozen(id_: str, phase: str, dealers: tuple[int, ...]) -> tuple[Scene, Callable[[], None]]:
        garbage = dict.fromkeys(dealers, (VICTIM,))
        scene = Scene(LOOSE, VICTIM, ledger=f"ledger of {id_}", garbage=garbage).to(phase)
        scene.script.snapshot("frozen")
        fields: dict[str, Any] = {"ledger": f"ledger of {id_}", "tape": b"", "roster": roster_entries(LOOSE.roster)}
        fields["identity_key"] = LOOSE.identity_key(VICTIM)

        def restore() -> None:
            scene.script.restore("frozen", **fields)

        restore()
        return scene, restore

    def refused(scene: Scene, id_: str, message: bytes, comment: str) -> Json:
        scene.refuse(message, "A12").local_error(message)
        return scene.case(id_, comment, "A12 R03 R65", "SecondAnswer", {"client_snapshots": True})

    for first in ("input", "complaint"):
        id_ = f"a12-{first}-first"
        scene, restore = frozen(id_, "MASKED_INPUT", (DEALER,))
        bad = scene.request
        good = scene.play.envelope(wire.MaskedInputCollectionRequest(without(scene.body.ciphertexts, DEALER)))
        scene.script.step(message=good if first == "input" else bad)
        restore()
        other = "complains" if first == "input" else "masks its input"
        comment = f"one copy answered with its {first}; another one {other}"
        made.append(refused(scene, id_, bad if first == "input" else good, comment))
    scene, restore = frozen("a12-disclosures", "DISCLOSURE", (1, 4))
    both = scene.body.dealings
    scene.script.step(message=scene.play.envelope(wire.DisclosureRequest(both[:1])))
    restore()
    other_request = scene.play.envelope(wire.DisclosureRequest(both[1:]))
    comment = "one copy disclosed one pair; another one is asked for the other"
    made.append(refused(scene, "a12-disclosures", other_request, comment))
    scene, restore = frozen("snapshot-disclosure", "DISCLOSURE", (1, 4))
    answer = scene.script.step(message=scene.request).answer
    restore()
    if scene.script.step(message=scene.request).answer != answer:
        raise ValueError("two copies disclosed differently")
    comment = "two copies that wait for a request disclose the same"
    made.append(scene.case("snapshot-disclosure", comment, "R53 R65", "SecondAnswer", {"client_snapshots": True}))
    return made
