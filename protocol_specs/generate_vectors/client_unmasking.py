"""Client scripts of ConsistencyCheck and Unmasking (§6.5, §6.6): lists that would open an input, and forged consent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors import client_signatures as forged
from protocol_specs.generate_vectors.client_play import ACTIVE, ACTIVE_TRIO, SPARSE, TRIO, Scene, model
from protocol_specs.generate_vectors.script import Json
from protocol_specs.generate_vectors.world import Play, World, draw
from protocol_specs.reference import signatures, wire

VICTIM: Final = 3
LOOSE: Final = World("semi-honest unmasking", clients=(1, 2, 3, 4, 5), threshold=2)
GONE: Final = {"MASKED_INPUT": (5,)}
"""Client 5 shares keys and does not contribute: the honest request lists it as dropped."""


def cases() -> list[Json]:
    """All cases of this module."""
    return [
        *_contributors(),
        *_lists(),
        *_floors(),
        *_split_views(),
        *_confirmations(),
        *_forgeries(),
        *_second_requests(),
    ]


# ConsistencyCheck.


def _contributors() -> list[Json]:
    floor = replace(ACTIVE, options={"minimum_contributors": 5})
    no_share = {"SHARE_KEYS": (5,)}
    named: list[tuple[str, str, World, dict[str, Any], tuple[int, ...], str]] = [
        ("empty", "no contributor", ACTIVE, {}, (), "C43 C42 C41"),
        ("without-victim", "the client's own input is missing", ACTIVE, {}, (1, 2, 4, 5), "C43"),
        ("stranger", "a contributor outside of the cohort", ACTIVE, {}, (1, 2, 3, 4, 9), "C40"),
        ("zero", "client 0 as a contributor", ACTIVE, {}, (0, 1, 2, 3, 4), "C40"),
        ("no-sharer", "a client that did not share keys contributes", ACTIVE, no_share, (1, 2, 3, 4, 5), "C40"),
        ("t-1-others", "t - 1 other contributors", ACTIVE, {}, (1, 2, 3), "C42"),
        ("victim-alone", "the client alone", ACTIVE, {}, (3,), "C42 C41"),
        ("below-minimum", "one contributor less than the minimum, t others", floor, {}, (1, 2, 3, 4), "C41"),
    ]
    made = []
    for id_, comment, world, silent, contributors, rules in named:
        scene = Scene(world, VICTIM, silent=silent).to("CONSISTENCY_CHECK")
        scene.tell(wire.ConsistencyCheckRequest(contributors), *rules.split())
        first = rules.split()[0]
        made.append(
            scene.case(f"{first.lower()}-{id_}", comment, f"{first} R03", "TooFew" if first > "C40" else "SplitView")
        )
    for id_, comment, world, silent in (
        ("c42", "exactly t other contributors", ACTIVE, GONE),
        ("c41", "exactly as many contributors as the minimum", floor, {}),
    ):
        scene = Scene(world, VICTIM, silent=silent).to("CONSISTENCY_CHECK")
        scene.script.step(message=scene.request)
        made.append(scene.case(f"within-{id_}", comment, f"{id_.upper()} R45", "EdgeCase"))
    scene = Scene(ACTIVE, VICTIM).to("CONSISTENCY_CHECK")
    scene.advance()
    scene.tell(wire.ConsistencyCheckRequest((1, 2, 3, 4)), "C11")
    made.append(scene.case("c11-second-list", "a second list of contributors is not signed", "C11 R26", "SplitView"))
    return made


# Unmasking: survivors and dropped.


def at_unmasking(world: World, **options: Any) -> Scene:
    """A client that waits for UnmaskingRequest; client 5 has dropped out unless options say otherwise."""
    return Scene(world, VICTIM, silent=options.pop("silent", GONE), **options).to("UNMASKING")


def _asked(scene: Scene, survivors: Iterable[int], dropped: Iterable[int]) -> wire.UnmaskingRequest:
    asked: wire.UnmaskingRequest = scene.body
    return replace(asked, survivors=tuple(sorted(survivors)), dropped=tuple(sorted(dropped)))


def _case(
    scene: Scene, id_: str, comment: str, request: wire.UnmaskingRequest, rules: str, flags: str, requirements: str = ""
) -> Json:
    scene.tell(request, *rules.split())
    first = rules.split()[0]
    name = model(scene.world) if scene.world.degree is None else "sparse"
    return scene.case(f"{first.lower()}-{name}-{id_}", comment, f"{first} R03 {requirements}", flags)


def _lists() -> list[Json]:
    """The honest lists are 1, 2, 4 and 5. Rules with a star are broken in the active model only."""
    named = [
        ("survivor-and-dropped", "a survivor is dropped, too: both of its shares", (1, 2, 4), (4, 5), "C50"),
        ("dropped-and-survivor", "a dropped client is a survivor, too", (1, 2, 4, 5), (5,), "C50 C57*"),
        ("all-in-both", "everybody is in both lists", (1, 2, 4, 5), (1, 2, 4, 5), "C50 C57*"),
        ("own-survivor", "the client itself is a survivor", (1, 2, 3, 4), (5,), "C54 C51"),
        ("own-dropped", "the client itself is dropped", (1, 2, 4), (3, 5), "C54 C52"),
        ("stranger-survivor", "a survivor outside of the cohort", (1, 2, 4, 9), (5,), "C51 C57*"),
        ("zero-survivor", "client 0 as a survivor", (0, 1, 2, 4), (5,), "C51 C57*"),
        ("stranger-dropped", "a dropped client outside of the cohort", (1, 2, 4), (5, 9), "C52"),
        ("sharer-left-out", "a dropped sharer is in no list", (1, 2, 4), (), "C53"),
        ("survivor-left-out", "a survivor is in no list", (1, 2), (5,), "C53 C55* C57*"),
    ]
    made = []
    for world in (LOOSE, ACTIVE):
        for id_, comment, survivors, dropped, starred in named:
            scene = at_unmasking(world)
            rules = " ".join(r.rstrip("*") for r in starred.split() if world.active or not r.endswith("*"))
            flags = "SplitView" if starred[:3] in ("C50", "C53") else "WrongLists"
            requirements = "R27" if starred[:3] == "C50" else ""
            request = _asked(scene, survivors, dropped)
            made.append(_case(scene, id_, comment, request, rules, flags, requirements))
        scene = at_unmasking(world)
        rules = "C53 C55 C56 C57" if world.active else "C53 C55 C56"
        request = _asked(scene, (), ())
        made.append(_case(scene, "empty-lists", "both lists are empty", request, rules, "WrongLists"))
        scene = at_unmasking(world)
        rules = "C55 C56 C57" if world.active else "C55 C56"
        request = _asked(scene, (), (1, 2, 4, 5))
        made.append(_case(scene, "all-dropped", "everybody is dropped: mask keys of all", request, rules, "SplitView"))
        silent = {"SHARE_KEYS": (5,)}
        for id_, survivors, dropped, rules in (
            ("no-sharer-survivor", (1, 2, 4, 5), (), "C51 C57" if world.active else "C51"),
            ("no-sharer-dropped", (1, 2, 4), (5,), "C52"),
        ):
            scene = at_unmasking(world, silent=silent)
            comment = "a client that did not share keys is listed"
            made.append(_case(scene, id_, comment, _asked(scene, survivors, dropped), rules, "WrongLists"))
    return made


def _floors() -> list[Json]:
    tall = replace(LOOSE, options={"minimum_contributors": 4})
    sparse = replace(SPARSE, options={"minimum_contributors": 5})
    made = []
    scene = at_unmasking(LOOSE, silent={})
    request = _asked(scene, (1,), (2, 4, 5))
    made.append(_case(scene, "below-threshold", "t - 1 survivors", request, "C55", "TooFew"))
    scene = at_unmasking(LOOSE, silent={})
    scene.tell(_asked(scene, (1, 2), (4, 5)))
    made.append(scene.case("within-c55", "exactly t survivors", "C55 R27", "EdgeCase"))
    scene = at_unmasking(tall, silent={})
    request = _asked(scene, (1, 2), (4, 5))
    made.append(_case(scene, "below-minimum", "the client and the survivors are minimum - 1", request, "C56", "TooFew"))
    scene = at_unmasking(tall, silent={})
    scene.tell(_asked(scene, (1, 2, 4), (5,)))
    made.append(scene.case("within-c56", "the client and the survivors are the minimum", "C56", "EdgeCase"))
    scene = at_unmasking(sparse, silent={})
    scene.script.step(message=scene.request)
    comment = "a sparse graph: a client has fewer neighbours than the minimum, and cannot judge it"
    made.append(scene.case("within-c56-sparse", comment, "C56", "EdgeCase"))
    scene = at_unmasking(sparse, silent={})
    sharers = scene.body.survivors
    request = _asked(scene, sharers[:1], sharers[1:])
    made.append(_case(scene, "below-threshold", "t - 1 survivors", request, "C55", "TooFew"))
    return made


def _split_views() -> list[Json]:
    """Active: the lists differ from the contributors that the client signed (C57)."""
    made = []
    for id_, comment, survivors, dropped, rules in (
        ("dropped-as-survivor", "a client that did not contribute is a survivor", (1, 2, 4, 5), (), "C57"),
        ("exchanged", "a contributor is dropped, and a dropped client a survivor", (1, 2, 5), (4,), "C57"),
    ):
        scene = at_unmasking(ACTIVE)
        made.append(_case(scene, id_, comment, _asked(scene, survivors, dropped), rules, "SplitView", "R26 R27"))
    scene = at_unmasking(ACTIVE, silent={})
    request = _asked(scene, (1, 2, 4), (5,))
    made.append(_case(scene, "contributor-as-dropped", "a contributor is dropped", request, "C57", "SplitView", "R27"))

    scene = at_unmasking(ACTIVE, silent={})
    smaller = (1, 2, 3, 4)
    agreed = tuple(wire.Confirmation(c, scene.insider(c).confirm(smaller)) for c in (1, 2, 4))
    own = next(c for c in scene.body.confirmations if c.client == VICTIM)
    confirmations = tuple(sorted((*agreed, own), key=lambda c: c.client))
    request = replace(_asked(scene, (1, 2, 4), (5,)), confirmations=confirmations)
    comment = "the others signed a smaller set, and the lists are of that set"
    made.append(_case(scene, "others-agreed", comment, request, "C57 C59", "SplitView", "R26"))

    scene = Scene(ACTIVE, VICTIM).to("CONSISTENCY_CHECK")
    scene.tell(wire.ConsistencyCheckRequest(smaller))
    scene.play.play_round()
    comment = "the client signed a smaller set than the others; the request is of theirs"
    made.append(_case(scene, "victim-signed-less", comment, scene.body, "C57 C58 C59", "SplitView", "R26"))
    return made


# Unmasking: confirmations.


def _confirmations() -> list[Json]:
    made = []
    for id_, comment, kept, rules in (
        ("none", "no signature", (), "C60 C61"),
        ("only-own", "only the client's own signature", (3,), "C60"),
        ("t-1", "t - 1 signatures, the own one among them", (1, 3), "C60"),
        ("without-own", "t signatures, but not the client's own", (1, 2, 4), "C61"),
        ("t-1-without-own", "t - 1 signatures, but not the client's own", (1, 2), "C60 C61"),
    ):
        scene = at_unmasking(ACTIVE)
        request = replace(scene.body, confirmations=tuple(c for c in scene.body.confirmations if c.client in kept))
        made.append(_case(scene, id_, comment, request, rules, "TooFew"))
    scene = at_unmasking(ACTIVE)
    scene.tell(replace(scene.body, confirmations=tuple(c for c in scene.body.confirmations if c.client in (1, 3, 4))))
    made.append(scene.case("within-c60", "exactly t signatures, the own one among them", "C60 C61 R13 R45", "EdgeCase"))

    for id_, comment, signer, rules in (
        ("dropped", "a sharer that is no contributor signed the list", 5, "C58"),
        ("outside", "a signer outside of the cohort", 9, "C58 C59"),
        ("zero", "client 0 as a signer", 0, "C58 C59"),
    ):
        scene = at_unmasking(ACTIVE)
        signature = scene.insider(signer).confirm((1, 2, 3, 4)) if signer == 5 else bytes(64)
        others = (c for c in scene.body.confirmations if c.client != 4)
        added = sorted((*others, wire.Confirmation(signer, signature)), key=lambda c: c.client)
        request = replace(scene.body, confirmations=tuple(added))
        made.append(_case(scene, f"signer-{id_}", comment, request, rules, "ForgedSignature"))

    for world, name in ((LOOSE, "complete"), (SPARSE, "sparse")):
        scene = at_unmasking(world, silent={})
        signature = draw("a signature in a semi-honest session", 64)
        request = replace(scene.body, confirmations=(wire.Confirmation(scene.body.survivors[0], signature),))
        made.append(_case(scene, f"semi-honest-{name}", "semi-honest: a signature", request, "C58", "WrongLists"))
    return made


def _forgeries() -> list[Json]:
    made = []
    everybody = (1, 2, 3)
    probe = at_unmasking(ACTIVE_TRIO, silent={})
    liar = probe.insider(2)
    text = signatures.confirmation_input(liar.binding, everybody)
    elsewhere = Play(replace(ACTIVE_TRIO, options={"nonce": draw("another nonce", 32)})).play_to(
        "COLLECTING_UNMASKING_SHARES"
    )
    in_another = {c.client: c.signature for c in elsewhere.request(VICTIM).confirmations}
    honest = {c.client: c.signature for c in probe.body.confirmations}
    identity = ACTIVE_TRIO.identity_key(2)
    wire_bytes = wire.encode_envelope(ACTIVE_TRIO.session, wire.ConsistencyCheckRequest(everybody))
    bad: dict[str, tuple[str, int, bytes, str]] = {
        name: (comment, 2, forge(identity, text), "R13") for name, (comment, forge) in forged.FORGERIES.items()
    }
    bad |= {
        "smaller-set": ("it signed a smaller set", 2, liar.confirm((2, 3)), "R26"),
        "larger-set": ("it signed a larger set", 2, liar.confirm((1, 2, 3, 4)), "R26"),
        "empty-set": ("it signed an empty set", 2, liar.confirm(()), "R26"),
        "other-session": ("it signed the same set in another session, with the same keys", 2, in_another[2], "R45"),
        "session-digest": (
            "the session digest for a binding",
            2,
            liar.confirm(everybody, ACTIVE_TRIO.session),
            "R45 R08",
        ),
        "of-another": ("another contributor's signature", 2, honest[1], "R45"),
        "own-for-another": ("the client's own signature under another name", 2, honest[VICTIM], "R45"),
        "advertisement": (
            "the signature of its advertisement",
            2,
            liar.advertisement().signature,
            "R45",
        ),
        "wire-bytes": ("it signed the message as it is on the wire", 2, signatures.sign(identity, wire_bytes), "R06"),
        "unsorted": (
            "it signed the ids in descending order",
            2,
            signatures.sign(identity, signatures.confirmation_input(liar.binding, everybody[::-1])),
            "R45",
        ),
        "own-replaced": ("the client's own signature, replaced by another's", VICTIM, honest[2], "R45"),
        "own-other-session": ("the client's own signature of another session", VICTIM, in_another[VICTIM], "R45"),
        "servers-key": (
            "the server signed with a key of its own",
            2,
            signatures.sign(draw("the server's identity", 32), text),
            "R45",
        ),
    }
    for name, (comment, signer, signature, requirements) in bad.items():
        scene = at_unmasking(ACTIVE_TRIO, silent={})
        request = replace(scene.body, confirmations=_replaced(scene, signer, signature))
        flags = "SplitView ForgedSignature" if name.endswith("-set") else "ForgedSignature"
        made.append(_case(scene, name, f"a confirmation: {comment}", request, "C59", flags, requirements))
    scene = at_unmasking(ACTIVE_TRIO, silent={})
    everyone_smaller = tuple(wire.Confirmation(c, scene.insider(c).confirm((2, 3))) for c in (1, 2))
    own = next(c for c in scene.body.confirmations if c.client == VICTIM)
    request = replace(scene.body, confirmations=tuple(sorted((*everyone_smaller, own), key=lambda c: c.client)))
    comment = "all others signed another set than the client"
    made.append(_case(scene, "all-others", comment, request, "C59", "SplitView ForgedSignature", "R26"))
    return made


def _replaced(scene: Scene, signer: int, signature: bytes) -> tuple[wire.Confirmation, ...]:
    return tuple(replace(c, signature=signature) if c.client == signer else c for c in scene.body.confirmations)


# After Unmasking.


def _second_requests() -> list[Json]:
    made = []
    variants: dict[str, tuple[str, Callable[[wire.UnmaskingRequest], wire.UnmaskingRequest]]] = {
        "swapped": (
            "survivors and dropped are swapped: the other share of each",
            lambda asked: replace(asked, survivors=asked.dropped, dropped=asked.survivors),
        ),
        "one-moved": (
            "one survivor is dropped",
            lambda asked: replace(asked, survivors=asked.survivors[:-1], dropped=(asked.survivors[-1], *asked.dropped)),
        ),
        "subset": ("a part of what was answered", lambda asked: replace(asked, survivors=asked.survivors[:-1])),
        "empty": ("nobody is listed", lambda asked: wire.UnmaskingRequest((), (), ())),
    }
    for world in (TRIO, ACTIVE_TRIO):
        for name, (comment, change) in variants.items():
            scene = at_unmasking(world, silent={})
            request, asked = scene.request, scene.body
            scene.end()
            scene.script.step(message=request)
            scene.tell(change(asked), "C62")
            scene.local_error(request)
            made.append(scene.case(f"c62-{model(world)}-{name}", comment, "C62 R03 R27 R53", "SplitView Replay"))
        scene = at_unmasking(world, silent={})
        request, asked = scene.request, scene.body
        scene.end()
        scene.local_error(scene.play.envelope(asked, draw("another session", 32)))
        scene.local_error(request + b"\x00")
        scene.local_error(request[:-1])
        scene.script.step(message=request)
        comment = "after the last answer: requests of another session and bytes of no message change nothing"
        made.append(scene.case(f"c62-{model(world)}-nothing-changes", comment, "C12 R29 R53", "Replay"))
    scene = at_unmasking(ACTIVE_TRIO, silent={})
    request, asked = scene.request, scene.body
    scene.end()
    fewer = replace(asked, confirmations=asked.confirmations[:-1])
    scene.tell(fewer, "C62")
    comment = "the same lists with fewer signatures are another request"
    made.append(scene.case("c62-active-fewer-signatures", comment, "C62", "Replay"))
    return made
