"""Server scripts and sessions of the experimental chosen graph: holders and signatures (§6.2 to §6.7)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.script import WrongScript
from protocol_specs.generate_vectors.scripted import (
    CONFIRMATIONS,
    INPUTS,
    KEYS,
    SHARES,
    UNMASKING,
    ScriptedServer,
)
from protocol_specs.generate_vectors.world import CHOSEN, CONFUSED, VECTORS, Play, World
from protocol_specs.reference import chosen, signatures, wire
from protocol_specs.reference.chosen_client import Choice

Json = dict[str, Any]

LIAR: Final = 3
EIGHT: Final = tuple(range(1, 9))
SESSIONS: Final[tuple[tuple[str, str, World, Mapping[str, Collection[int]], tuple[str, ...]], ...]] = (
    ("chosen", "Everybody stays.", World("C/plain", EIGHT, True, 4, 5, options=CHOSEN), {}, ()),
    (
        "chosen-weights",
        "A weighted mean beside integers; two send no input, one does not unmask.",
        World("C/weights", tuple(range(1, 11)), True, 5, 8, VECTORS, 10, options=CHOSEN),
        {"MaskedInputCollection": (2, 7), "Unmasking": (5,)},
        (),
    ),
    (
        "chosen-dropout-every-round",
        "One client leaves in every round.",
        World("C/everywhere", tuple(range(1, 13)), True, 6, 11, options=CHOSEN),
        {
            "AdvertiseKeys": (1,),
            "ShareKeys": (12,),
            "MaskedInputCollection": (6,),
            "ConsistencyCheck": (2,),
            "Unmasking": (9,),
        },
        (),
    ),
    (
        "chosen-nobody-else",
        "Everybody draws everybody: the complete graph.",
        World("C/all", (1, 2, 3, 4, 5, 6), True, 4, 5, options=CHOSEN),
        {"MaskedInputCollection": (4,)},
        (),
    ),
    (
        "chosen-ids",
        "Ids that binary64 or signed integers confuse; 2^63 sends no input.",
        World("C/ids", CONFUSED, True, 3, 5, options=CHOSEN),
        {"MaskedInputCollection": (2**63,)},
        ("ExtremeIds",),
    ),
)
"""Honest sessions: id, comment, world, who leaves, flags."""


def world(name: str, **changes: Any) -> World:
    """Eight clients that draw five holders each."""
    return replace(World(f"chosen servers/{name}", EIGHT, True, 4, 5, options=CHOSEN), **changes)


def server_cases() -> list[Json]:
    """All cases of servers."""
    return [
        *_honest(),
        *_holders(),
        *_receivers(),
        *_inclusions(),
        *_acknowledgements(),
        *_owners(),
        *_ends(),
        *_parts(),
        *_complaints(),
        *_other_graphs(),
    ]


def choice_of(play: Play, client: int) -> Choice:
    """What a client of a session drew, and answered for."""
    choice = play.clients[client].choice
    if choice is None:
        raise WrongScript(f"client {client} has not drawn yet")
    return choice


def _case(server: ScriptedServer, id_: str, comment: str, requirements: str, flags: str) -> Json:
    return server.case(f"server-chosen-{id_}", comment, requirements.split(), flags.split())


def _honest() -> list[Json]:
    made = []
    server = ScriptedServer(world("honest")).finish(EIGHT)
    made.append(_case(server, "honest", "Everybody stays.", "R18 R41 R45 R48 R50 R54", "Honest"))
    for phase, name in ((INPUTS, "input"), (CONFIRMATIONS, "confirmation"), (UNMASKING, "shares")):
        made_of = world(f"honest/{name}")
        silent = {phase: (4,)}
        stay = set(EIGHT) - {4} if phase == INPUTS else set(EIGHT)
        server = ScriptedServer(made_of).finish(stay, silent)
        said = f"Client 4 leaves in {phase}."
        made.append(_case(server, f"dropout-{name}", said, "R48 R50 R54 R55", "Dropout"))
    server = ScriptedServer(world("left")).play_to(INPUTS)
    server.give(*EIGHT)
    server.dropped(LIAR, server.envelope(wire.Abort("A10")), "S06")
    server.finish(EIGHT)
    said = "A client leaves in the round of its input, which stays in the sum: its inclusion is shown."
    made.append(_case(server, "left-after-input", said, "R48 R54 R55 S06", "Dropout"))
    server = ScriptedServer(world("snapshots"))
    while server.phase != "COMPLETED":
        server.snapshot_and_restore()
        outcome = server.play_round((6,) if server.phase == INPUTS else ())
    server.completed(outcome, set(EIGHT) - {6})
    case = server.case(
        "server-chosen-snapshots",
        "Frozen and restored in every round.",
        ["R48"],
        ["Snapshot"],
        {"server_snapshots": True},
    )
    return [*made, case]


def _drawn(server: ScriptedServer, client: int) -> set[int]:
    return set(choice_of(server.play, client).holders)


def _holders() -> list[Json]:
    lies: dict[str, tuple[str, Callable[[tuple[int, ...]], tuple[int, ...]], str]] = {
        "none": ("No holder.", lambda its: (), "S16"),
        "few": ("k - 1 holders.", lambda its: its[1:], "S16"),
        "many": ("k + 1 holders.", lambda its: tuple(sorted({*its, min({*EIGHT} - {LIAR, *its})})), "S16"),
        "itself": ("The client itself is a holder.", lambda its: tuple(sorted({*its[1:], LIAR})), "S16"),
        "stranger": ("A holder outside of the cohort.", lambda its: (*its[:-1], 77), "S16"),
        "zero": ("Client 0 is a holder.", lambda its: (0, *its[1:]), "S16"),
        "twice": ("A holder stands twice.", lambda its: (*its[:-1], its[-2]), "S02"),
        "descending": ("Holders in descending order.", lambda its: its[::-1], "S02"),
    }
    made = []
    for name, (comment, change, rule) in lies.items():
        server = ScriptedServer(world(f"holders/{name}"))
        server.give(1, 2)
        body = server.body(LIAR, wire.AdvertiseKeysResponse)
        message = server.envelope(replace(body, holders=change(body.holders)))
        server.dropped(LIAR, message, rule)
        server.play_round()
        made.append(_case(server, f"holders-{name}", comment, f"{rule} R29 R55", "Holders"))
    return made


def _receivers() -> list[Json]:
    made = []
    for name, comment, change in (
        ("missing", "A holder gets no share.", lambda its, drawn: its[1:]),
        ("chooser", "A chooser that is no holder gets a share.", None),
        ("none", "Nobody gets a share.", lambda its, drawn: ()),
    ):
        server = ScriptedServer(world(f"receivers/{name}")).play_to(SHARES)
        body = server.body(LIAR, wire.ShareKeysResponse)
        drawn = _drawn(server, LIAR)
        if change is None:
            other = min(c for c in EIGHT if c != LIAR and c not in drawn and LIAR in _drawn(server, c))
            parcel = wire.SealedShares(other, server.insider(LIAR).seal(other, bytes(72)))
            sealed = tuple(sorted((*body.ciphertexts, parcel), key=lambda each: each.client))
        else:
            sealed = change(body.ciphertexts, drawn)
        # One more than there can be may also be too long to be read.
        rules = ("S20", "S02") if change is None else ("S20",)
        server.dropped(LIAR, server.envelope(wire.ShareKeysResponse(sealed)), *rules)
        server.play_round()
        made.append(_case(server, f"receivers-{name}", comment, "S20 R29 R55", "WrongReceivers"))
    return made


def _signed(server: ScriptedServer, make: Callable[[Any], bytes], signer: int = LIAR) -> bytes:
    own = server.insider(LIAR).advertisement()
    return signatures.sign(server.world.identity_key(signer), make(own))


def _inclusions() -> list[Json]:
    made = []

    def refused(name: str, comment: str, make: Callable[[ScriptedServer], bytes], rule: str = "S30") -> None:
        server = ScriptedServer(world(f"inclusions/{name}")).play_to(INPUTS)
        server.give(1)
        body = server.body(LIAR, wire.ChosenInputResponse)
        server.dropped(LIAR, server.envelope(replace(body, inclusion=make(server))), rule)
        server.finish(set(EIGHT) - {LIAR})
        made.append(_case(server, f"inclusion-{name}", comment, f"{rule} R29 R45 R48 R55", "Signature"))

    def over(members: Collection[int], **other: Any) -> Callable[[ScriptedServer], bytes]:
        def make(server: ScriptedServer) -> bytes:
            packed = chosen.as_bytes(server.world.parameters, members)
            session = other.get("session", server.world.session)

            def text(own: Any) -> bytes:
                return signatures.inclusion_input(session, replace(own, **other.get("own", {})), packed)

            return _signed(server, text, other.get("signer", LIAR))

        return make

    refused("sharers", "Over sharers without one of them.", over(EIGHT[:-1]))
    refused("session", "Of another session.", over(EIGHT, session=bytes(32)))
    refused("run", "With another mask key.", over(EIGHT, own={"mask_public": bytes(32)}))
    refused("name", "In another client's name.", over(EIGHT, own={"client": 1}))
    refused("signer", "By another client.", over(EIGHT, signer=1))
    refused("zeros", "Zeros.", lambda server: bytes(64))
    return made


def _acknowledgements() -> list[Json]:
    made = []

    def refused(name: str, comment: str, make: Callable[[ScriptedServer, Any, Any], bytes], signer: int = LIAR) -> None:
        server = ScriptedServer(world(f"acknowledgements/{name}")).play_to(CONFIRMATIONS)
        server.give(1)
        bits = lambda members: chosen.as_bytes(server.world.parameters, members)  # noqa: E731
        signature = _signed(server, lambda own: make(server, own, bits), signer)
        server.dropped(LIAR, server.envelope(wire.ConsistencyCheckResponse(signature)), "S40")
        server.finish(EIGHT)
        made.append(_case(server, f"acknowledgement-{name}", comment, "S40 R29 R45 R55", "Signature"))

    text = signatures.acknowledgement_input
    refused(
        "contributors", "Over other contributors.", lambda s, own, b: text(s.world.session, own, b(EIGHT), b(EIGHT[1:]))
    )
    refused("sharers", "Over other sharers.", lambda s, own, b: text(s.world.session, own, b(EIGHT[1:]), b(EIGHT)))
    refused("session", "Of another session.", lambda s, own, b: text(bytes(32), own, b(EIGHT), b(EIGHT)))
    refused(
        "run",
        "With another mask key.",
        lambda s, own, b: text(s.world.session, replace(own, mask_public=bytes(32)), b(EIGHT), b(EIGHT)),
    )
    refused("inclusion", "An inclusion.", lambda s, own, b: signatures.inclusion_input(s.world.session, own, b(EIGHT)))
    refused(
        "list",
        "A signed list, as in a complete graph.",
        lambda s, own, b: signatures.confirmation_input(s.world.session, EIGHT),
    )
    refused("signer", "By another client.", lambda s, own, b: text(s.world.session, own, b(EIGHT), b(EIGHT)), 1)
    return made


def _owners() -> list[Json]:
    """S50: a holder's own clients, each in its kind; client 8 sends no input."""
    made = []
    changes: dict[str, tuple[str, Callable[[wire.UnmaskingResponse], wire.UnmaskingResponse]]] = {
        "seed-missing": ("A seed share is missing.", lambda its: replace(its, seed_shares=its.seed_shares[1:])),
        "kinds": (
            "Kinds are exchanged.",
            lambda its: wire.UnmaskingResponse(its.mask_key_shares, its.seed_shares),
        ),
        "holder": (
            "A share of a holder that is no owner.",
            lambda its: replace(its, seed_shares=()),
        ),
    }
    for name, (comment, change) in changes.items():
        ten = world(f"owners/{name}", clients=tuple(range(1, 11)), degree=8, threshold=5)
        server = ScriptedServer(ten).play_to(UNMASKING, {INPUTS: (8,)})
        pairs = [(c, h) for c in range(1, 8) for h in sorted(_drawn(server, c)) if c not in _drawn(server, h)]
        liar, other = next(pair for pair in pairs if pair[1] != 8)
        body = server.body(liar, wire.UnmaskingResponse)
        lie = change(body)
        if name == "holder":
            share = wire.RevealedShare(other, bytes(36))
            lie = replace(body, seed_shares=tuple(sorted((*body.seed_shares, share), key=lambda each: each.owner)))
        server.dropped(liar, server.envelope(lie), "S50")
        server.finish(set(ten.clients) - {8})
        made.append(_case(server, f"owners-{name}", comment, "S50 R29 R55", "WrongOwners"))
    return made


def _ends() -> list[Json]:
    """Holders count, and choosers do not."""
    made = []
    for phase, reason, name in ((KEYS, "A01", "keys"), (SHARES, "A02", "shares")):
        tight = world(f"ends/{name}", threshold=5)
        server = ScriptedServer(tight).play_to(phase)
        outcome = server.play_round((2,))
        told = (
            f"Every holder is needed, and client 2 leaves in {phase}: those that drew it go, and those that drew them."
        )
        if outcome.abort_reason == reason:
            made.append(_case(server, f"pruned-{name}", told, f"S14 {reason} R55", "Bound"))
        else:
            server.finish()
            made.append(_case(server, f"pruned-{name}", told, "S14 R55 R48", "Bound"))
    for phase, reason, name in (
        (INPUTS, "A03", "inputs"),
        (CONFIRMATIONS, "A04", "confirmations"),
        (UNMASKING, "A05", "unmasking"),
    ):
        server = ScriptedServer(world(f"ends/{name}")).play_to(phase)
        target = 5
        gone = sorted(_drawn(server, target))[:2]
        server.aborted(server.play_round(gone), reason)
        told = f"t - 1 holders of client {target} are left after {phase}, although more of those that drew it."
        made.append(_case(server, f"few-{name}", told, f"{reason} R55", "Bound"))
    return made


def _parts() -> list[Json]:
    """Two halves of ten clients whose draws join no client of one to a client of the other."""
    halves = (1, 2, 3, 4, 5), (6, 7, 8, 9, 10)
    made = []
    for name, floor, comment in (
        ("small", 6, "two parts of five, each below the floor"),
        ("at-the-floor", 5, "two parts of five, each at the floor"),
    ):
        options = {**CHOSEN, "minimum_contributors": floor}
        server = ScriptedServer(
            World(f"chosen servers/parts/{name}", (*halves[0], *halves[1]), True, 3, 4, options=options)
        )
        for client in (*halves[0], *halves[1]):
            body = server.body(client, wire.AdvertiseKeysResponse)
            half = next(half for half in halves if client in half)
            choice = choice_of(server.play, client)
            choice.holders = tuple(other for other in half if other != client)
            server.receive(client, server.envelope(replace(body, holders=choice.holders)))
        server.close()
        server.play_to(INPUTS)
        if name == "small":
            server.aborted(server.play_round(), "A14")
        else:
            server.finish()
        made.append(_case(server, f"parts-{name}", f"Everybody stays: {comment}.", "A14 R41 R54", "Bound"))
    return made


def _complaints() -> list[Json]:
    """Who sent a client a parcel is one that drew it; nothing is signed, so the server has hints (§6.9)."""
    server = ScriptedServer(world("complaint")).play_to(INPUTS)
    sent = {client: {pair.client for pair in server.play.request(client).ciphertexts} for client in EIGHT}
    liar = next(client for client in EIGHT if _drawn(server, client) - sent[client])
    complainer = next(client for client in EIGHT if client != liar and sent[client])
    owner = min(sent[complainer])
    stranger = min(_drawn(server, liar) - sent[liar])
    server.dropped(liar, server.envelope(wire.Complaint((stranger,))), "S32")
    server.receive(complainer, server.envelope(wire.Complaint((owner,))))
    outcome = server.play_round({liar, complainer})
    server.aborted(outcome, "A15")
    if [(blame.client, blame.rule, blame.HasField("evidence")) for blame in outcome.blame] != [(owner, "S22", False)]:
        raise WrongScript("another hint")
    said = f"Client {complainer} complains of one that drew it, client {liar} of a holder of its own."
    return [_case(server, "complaint", said, "A15 S22 S32 R29 R55 R66", "Stranger")]


def _other_graphs() -> list[Json]:
    """Bodies and fields of the other topologies are no message (R19)."""
    made = []
    server = ScriptedServer(world("other/input")).play_to(INPUTS)
    body = server.body(LIAR, wire.ChosenInputResponse)
    server.dropped(LIAR, server.envelope(wire.MaskedInputCollectionResponse(body.payload)), "S02")
    server.finish(set(EIGHT) - {LIAR})
    made.append(_case(server, "s02-no-inclusion", "An input without inclusion.", "S02 R19 R48 R55", "Malformed"))
    active = World("chosen servers/complete", (1, 2, 3, 4), True, 3)
    server = ScriptedServer(active).play_to(INPUTS)
    payload = server.body(LIAR, wire.MaskedInputCollectionResponse).payload
    server.dropped(LIAR, server.envelope(wire.ChosenInputResponse(bytes(64), payload)), "S02")
    server.play_round()
    made.append(
        _case(server, "s02-elsewhere-inclusion", "An inclusion in a complete graph.", "S02 R19 R55", "Malformed")
    )
    server = ScriptedServer(active)
    advertised = server.body(LIAR, wire.AdvertiseKeysResponse)
    server.dropped(LIAR, server.envelope(replace(advertised, holders=(1, 2))), "S02")
    server.play_round()
    made.append(_case(server, "s02-elsewhere-holders", "Holders in a complete graph.", "S02 R19 R55", "Malformed"))
    return made
