"""Client scripts of the experimental chosen graph: draws, sets as bits, inclusions, acknowledgements (§6.2 to §6.6).

Each case has a ledger of its own: a client that was asked something else would answer the same session otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors.chosen_servers import choice_of
from protocol_specs.generate_vectors.client_play import ACTIVE, Scene, with_entries, without
from protocol_specs.generate_vectors.script import Json, Script, WrongScript
from protocol_specs.generate_vectors.world import CHOSEN, World, draw, roster_entries
from protocol_specs.reference import chosen, signatures, wire
from protocol_specs.testee import conformance_pb2 as pb

EIGHT: Final = World("chosen scripts", clients=tuple(range(1, 9)), active=True, threshold=4, degree=5, options=CHOSEN)
"""Threshold 4 of 5 holders: no closed set has half of the clients."""
NINE: Final = World(
    "chosen scripts of nine", clients=tuple(range(1, 10)), active=True, threshold=5, degree=6, options=CHOSEN
)
"""A set of them has a byte with one bit only."""
CROWD: Final = World(
    "a crowd of choosers", clients=tuple(range(1, 19)), active=True, threshold=3, degree=4, options=CHOSEN
)
"""So many clients that more than 3k can have drawn one of them."""
SHARES_GONE: Final = {"SHARE_KEYS": (8,)}
INPUT_GONE: Final = {"MASKED_INPUT": (8,)}


class Game:
    """One client's script in a chosen session, with its holders, owners, and what others sign."""

    def __init__(
        self,
        id_: str,
        client: int,
        phase: str,
        world: World = EIGHT,
        silent: Mapping[str, tuple[int, ...]] | None = None,
        **create: Any,
    ) -> None:
        self.id, self.client, self.world = id_, client, world
        self.scene = Scene(world, client, silent=silent, **{"ledger": f"ledger of chosen-{id_}"} | create).to(phase)

    @property
    def drawn(self) -> set[int]:
        """The holders that it drew."""
        return set(choice_of(self.scene.play, self.client).holders)

    @property
    def owners(self) -> set[int]:
        """Whose shares it was sent; from ConsistencyCheck on."""
        return set(choice_of(self.scene.play, self.client).owners)

    def members(self, packed: bytes) -> set[int]:
        """The clients of a set as bits."""
        return set(chosen.members_of(self.world.parameters, packed))

    def bits(self, members: Iterable[int]) -> bytes:
        """A set as bits."""
        return chosen.as_bytes(self.world.parameters, set(members))

    def signed_inclusion(self, signer: int, sharers: bytes, **other: Any) -> wire.Confirmation:
        """What a client signs of sharers; `other` replaces session, mask key or identity."""
        own = self.scene.insider(signer).advertisement()
        own = replace(own, mask_public=other.get("mask_public", own.mask_public), client=other.get("named", signer))
        text = signatures.inclusion_input(other.get("session", self.world.session), own, sharers)
        return wire.Confirmation(signer, signatures.sign(self.world.identity_key(other.get("signs", signer)), text))

    def signed_acknowledgement(
        self, signer: int, sharers: bytes, contributors: bytes, **other: Any
    ) -> wire.Confirmation:
        """What a client signs of sharers and contributors."""
        own = self.scene.insider(signer).advertisement()
        own = replace(own, mask_public=other.get("mask_public", own.mask_public), client=other.get("named", signer))
        text = signatures.acknowledgement_input(other.get("session", self.world.session), own, sharers, contributors)
        return wire.Confirmation(signer, signatures.sign(self.world.identity_key(other.get("signs", signer)), text))

    def case(self, comment: str, requirements: str, flags: str) -> Json:
        """The finished case."""
        return self.scene.case(f"chosen-{self.id}", comment, requirements, flags)

    def refuses(self, body: Any, rules: str, comment: str, flags: str, requirements: str = "") -> Json:
        """The finished case of a request that is refused."""
        self.scene.tell(body, *rules.split())
        return self.case(comment, f"{rules.split()[0]} R03 {requirements}", flags)

    def accepts(self, body: Any, comment: str, requirements: str, flags: str = "EdgeCase") -> Json:
        """The finished case of a request that is answered."""
        self.scene.tell(body)
        return self.case(comment, requirements, flags)


def client_cases() -> list[Json]:
    """All cases of clients."""
    return [
        *_honest(),
        *_ledgers(),
        *_advertisements(),
        *_sharers(),
        *_contributors(),
        *_inclusions(),
        *_acknowledgements(),
        *_other_graphs(),
    ]


def _honest() -> list[Json]:
    made = []
    for client, silent in ((1, {}), (5, SHARES_GONE), (3, INPUT_GONE), (4, {"CONSISTENCY_CHECK": (7,)})):
        game = Game(f"honest-{client}", client, "COMPLETED", silent=silent)
        game.scene.local_error(game.scene.play.envelope(wire.AdvertiseKeysRequest()))
        made.append(game.case("an honest session", "R27 R41 R43 R45 R51 R52 R60", "Honest"))
    game = Game("honest-repeats", 2, "UNMASKING")
    request = game.scene.request
    answer = game.scene.advance()
    if game.scene.script.step(message=request).answer != answer:
        raise WrongScript("a repeat was answered otherwise")
    made.append(game.case("the same request again gets the same answer", "R53", "Replay"))
    return made


def _ledgers() -> list[Json]:
    """R61: no session without a ledger, and no second draw for one digest."""
    create = EIGHT.create_client(2, ledger=None)
    script = Script(create)
    if script.created.status != pb.LOCAL_ERROR:
        raise WrongScript("a client without a ledger takes part")
    made = [script.case("client-chosen-no-ledger", "a client without a ledger", ["R61"], ["HostMistake"])]
    for phase, other in (("ADVERTISE_KEYS", "draws other holders"), ("SHARE_KEYS", "seals other shares")):
        name = phase.lower().replace("_", "-")
        game = Game(f"second-draw-{name}", 2, phase)
        script, world = game.scene.script, EIGHT
        script.snapshot("before")
        back = {
            "ledger": f"ledger of chosen-{game.id}",
            "identity_key": world.identity_key(2),
            "roster": roster_entries(world.roster),
        }
        taken = {"ADVERTISE_KEYS": 0}.get(phase, 96 + 8 * 5)
        script.restore("before", tape=world.tape(2)[taken:], **back)
        request = game.scene.request
        script.step(message=request)
        script.restore("before", tape=draw("other randomness", 600), **back)
        script.refused(request, "A12")
        case = game.scene.case(
            f"chosen-{game.id}",
            f"a second copy of the session {other}",
            "A12 R61",
            "SecondAnswer",
            {"client_snapshots": True},
        )
        made.append(case)
    return made


def _advertisements() -> list[Json]:
    made = []

    def shown(game: Game, clients: Iterable[int]) -> wire.ShareKeysRequest:
        known = game.scene.insider(game.client).advertisements
        return wire.ShareKeysRequest(tuple(known[client] for client in sorted({*clients, game.client})))

    def others(game: Game) -> set[int]:
        return set(game.world.clients) - {game.client} - game.drawn

    game = Game("c20-outside", 2, "SHARE_KEYS")
    stranger = replace(game.scene.insider(1).advertisement(), client=9)
    shown_too = wire.ShareKeysRequest(with_entries(game.scene.body.advertisements, stranger))
    comment = "an advertisement of somebody outside of the cohort"
    made.append(game.refuses(shown_too, "C20 C24 C26", comment, "SubstitutedKey"))
    game = Game("everybody-shown", 2, "SHARE_KEYS")
    comment = "all of the cohort are shown: shares are sealed for holders, and for no chooser"
    made.append(game.accepts(shown(game, game.world.clients), comment, "C20 C29 R16 R43 R60"))
    game = Game("c27-choosers", 2, "SHARE_KEYS")
    few = shown(game, {*sorted(game.drawn)[:3], *others(game)})
    comment = "t - 1 holders, and choosers that do not count"
    made.append(game.refuses(few, "C27", comment, "TooFew"))
    game = Game("within-c27", 2, "SHARE_KEYS")
    made.append(game.accepts(shown(game, sorted(game.drawn)[:4]), "exactly t holders, no chooser", "C27 R41"))
    game = Game("within-c27-last", 2, "SHARE_KEYS")
    comment = "the first holder is missing: the others keep their share points"
    made.append(game.accepts(shown(game, sorted(game.drawn)[1:]), comment, "C27 R41 R50"))
    game = Game("c29-most", 5, "SHARE_KEYS", CROWD)
    crowd = sorted(others(game))
    comment = "3k clients that are no holders"
    made.append(game.accepts(shown(game, {*game.drawn, *crowd[:12]}), comment, "C29 R16"))
    game = Game("c29", 5, "SHARE_KEYS", CROWD)
    comment = "3k + 1 clients that are no holders, and no more advertisements than there can be"
    made.append(game.refuses(shown(game, {*sorted(game.drawn)[:3], *crowd[:13]}), "C29", comment, "TooFew"))
    game = Game("c26", 2, "SHARE_KEYS")
    chooser = min(others(game))
    foreign = game.scene.insider(chooser).advertisement(mask_public=game.scene.insider(2).world.tape(9)[:32])
    foreign = replace(foreign, signature=bytes(64))
    request = wire.ShareKeysRequest(with_entries(shown(game, game.world.clients).advertisements, foreign))
    made.append(game.refuses(request, "C26 C28", "a chooser's advertisement is not signed by it", "ForgedSignature"))
    return made


def _sharers() -> list[Json]:
    made = []

    def changed(game: Game, change: Callable[[set[int]], Iterable[int]]) -> wire.MaskedInputCollectionRequest:
        body: wire.MaskedInputCollectionRequest = game.scene.body
        return replace(body, sharers=game.bits(change(game.members(body.sharers))))

    def senders(game: Game) -> set[int]:
        return {parcel.client for parcel in game.scene.body.ciphertexts}

    def at(id_: str, world: World = EIGHT, **options: Any) -> Game:
        return Game(id_, 2, "MASKED_INPUT", world, **options)

    game = at("c34-self")
    comment = "the client is not among the sharers"
    made.append(game.refuses(changed(game, lambda d: d - {2}), "C34", comment, "SplitView"))
    game = at("c34-sender")
    pure = min(senders(game) - game.drawn)
    comment = "a chooser's shares came, and it is not among the sharers"
    made.append(game.refuses(changed(game, lambda d: d - {pure}), "C34", comment, "SplitView"))
    game = at("c34-both")
    both = min(senders(game) & game.drawn)
    comment = "a holder's shares came, and it is not among the sharers"
    made.append(game.refuses(changed(game, lambda d: d - {both}), "C34", comment, "SplitView"))
    game = at("c33-choosers")
    kept = set(sorted(game.drawn)[:3])
    request = changed(game, lambda d: d - (game.drawn - kept))
    request = replace(request, ciphertexts=without(request.ciphertexts, *(game.drawn - kept)))
    comment = "t - 1 of the holders are sharers; choosers do not count"
    made.append(game.refuses(request, "C33", comment, "TooFew"))
    game = at("c33-none")
    made.append(game.refuses(changed(game, lambda d: ()), "C33 C34", "nobody shared keys", "TooFew"))
    game = at("within-c33")
    alone = min(game.drawn - senders(game)) if game.drawn - senders(game) else min(game.drawn)
    request = changed(game, lambda d: d - {alone})
    request = replace(request, ciphertexts=without(request.ciphertexts, alone))
    comment = "exactly t holders are sharers: the fifth is masked with no more"
    made.append(game.accepts(request, comment, "C33 R45 R51"))
    game = at("withheld-parcel")
    both = min(senders(game) & game.drawn)
    request = replace(game.scene.body, ciphertexts=without(game.scene.body.ciphertexts, both))
    comment = "a holder's parcel is withheld: its mask is added all the same, once"
    made.append(game.accepts(request, comment, "R51"))
    game = at("no-parcels")
    comment = "no parcel at all: the holders among the sharers are masked with"
    made.append(game.accepts(replace(game.scene.body, ciphertexts=()), comment, "C33 R51"))
    for id_, stays in (("c25-holder", True), ("within-c25", False)):
        game = Game(id_, 2, "SHARE_KEYS")
        weak = min(game.drawn)
        ads = with_entries(
            game.scene.body.advertisements, game.scene.insider(weak).advertisement(mask_public=bytes(32))
        )
        game.scene.tell(wire.ShareKeysRequest(ads))
        game.scene.play.play_round()
        request = replace(game.scene.body, ciphertexts=without(game.scene.body.ciphertexts, weak))
        sharers = game.members(request.sharers) - (set() if stays else {weak})
        request = replace(request, sharers=game.bits(sharers))
        if stays:
            comment = "a holder that sends nothing and is a sharer has a mask key of low order"
            made.append(game.refuses(request, "C25", comment, "WeakKey"))
        else:
            comment = "a holder with a mask key of low order is no sharer: nobody masks with it"
            made.append(game.accepts(request, comment, "C25 R51"))
    game = Game("c30-not-shown", 2, "SHARE_KEYS")
    body = game.scene.body
    hidden = min({ad.client for ad in body.advertisements} - game.drawn - {2})
    game.scene.tell(wire.ShareKeysRequest(without(body.advertisements, hidden)))
    game.scene.play.play_round()
    comment = "shares of a client of the cohort that was not shown, although it drew this one"
    made.append(game.refuses(game.scene.body, "C30", comment, "SubstitutedKey"))
    for id_, world, packed, said in (
        ("empty", EIGHT, b"", "no bytes"),
        ("short", NINE, b"\xff", "a byte too few"),
        ("long", EIGHT, b"\xff\x00", "a byte too many"),
        ("beyond", NINE, b"\xff\x03", "a bit without a client"),
        ("last-bit", NINE, b"\xff\x81", "the last bit of the last byte"),
    ):
        game = at(f"a08-sharers-{id_}", world)
        request = replace(game.scene.body, sharers=packed)
        made.append(game.refuses(request, "A08", f"the set of sharers has {said}", "Malformed", "R19"))
    return made


def _contributors() -> list[Json]:
    made = []
    floor = replace(EIGHT, options={**EIGHT.options, "minimum_contributors": 7})

    def with_set(game: Game, members: Iterable[int]) -> wire.ConsistencyCheckRequest:
        """The contributors, and the honest inclusions of those of them that are owners."""
        body: wire.ConsistencyCheckRequest = game.scene.body
        x = set(members)
        return replace(
            body,
            contributor_set=game.bits(x),
            inclusions=tuple(each for each in body.inclusions if each.client in x),
        )

    def at(id_: str, world: World = EIGHT, **options: Any) -> Game:
        return Game(id_, 3, "CONSISTENCY_CHECK", world, **options)

    game = at("c43")
    made.append(
        game.refuses(with_set(game, (1, 2, 4, 5, 6, 7, 8)), "C43", "the client's own input is missing", "SplitView")
    )
    game = at("c43-empty")
    made.append(game.refuses(with_set(game, ()), "C43 C41", "nobody contributed", "SplitView"))
    game = at("c40", silent=SHARES_GONE)
    request = with_set(game, range(1, 9))
    made.append(game.refuses(request, "C40", "a client that did not share keys contributes", "SplitView"))
    game = at("c41", floor)
    request = with_set(game, (1, 2, 3, 4, 5, 6))
    made.append(game.refuses(request, "C41", "one contributor less than the minimum", "TooFew"))
    game = at("within-c41", floor)
    made.append(game.accepts(with_set(game, range(1, 8)), "exactly as many as the minimum", "C41 R45"))
    game = at("two-contributors")
    owner = min(game.owners)
    comment = "the client and one owner contributed: holders need not have, before shares are asked for"
    made.append(game.accepts(with_set(game, (3, owner)), comment, "C41 R45"))
    game = at("second-set")
    game.scene.advance()
    game.scene.tell(wire.ConsistencyCheckRequest((), game.bits((1, 2, 3)), ()), "C11")
    made.append(game.case("a second set of contributors is not acknowledged", "C11 R26", "SplitView"))
    for id_, packed, said in (("short", b"\xff", "a byte too few"), ("beyond", b"\xff\x03", "a bit without a client")):
        game = at(f"a08-contributors-{id_}", NINE)
        request = replace(game.scene.body, contributor_set=packed)
        made.append(game.refuses(request, "A08", f"the set of contributors has {said}", "Malformed", "R19"))
    return made


def _inclusions() -> list[Json]:
    made = []

    def at(id_: str, **options: Any) -> Game:
        return Game(id_, 3, "CONSISTENCY_CHECK", **options)

    game = at("c45-missing")
    body = game.scene.body
    request = replace(body, inclusions=body.inclusions[1:])
    made.append(game.refuses(request, "C45", "an owner's inclusion is missing", "SplitView"))
    game = at("c45-none")
    made.append(game.refuses(replace(body, inclusions=()), "C45", "there is no inclusion", "SplitView"))
    game = at("c45-holder")
    d = game.bits(range(1, 9))
    stranger = min(set(range(1, 9)) - {3} - game.owners)
    more = with_entries(body.inclusions, game.signed_inclusion(stranger, d))
    request = replace(body, inclusions=more)
    made.append(
        game.refuses(request, "C45", "a true inclusion of a client whose shares it does not hold", "WrongLists")
    )
    game = at("c45-dropped", silent=INPUT_GONE)
    if 8 in game.owners:
        more = with_entries(game.scene.body.inclusions, game.signed_inclusion(8, game.bits(range(1, 9))))
        request = replace(game.scene.body, inclusions=more)
        made.append(game.refuses(request, "C45", "an inclusion of an owner that is no contributor", "WrongLists"))
    owner = body.inclusions[0].client
    forged: list[tuple[str, str, Callable[[Game], wire.Confirmation]]] = [
        ("other-sharers", "over sharers without one", lambda g: g.signed_inclusion(owner, g.bits(range(1, 8)))),
        ("no-sharers", "over no sharers", lambda g: g.signed_inclusion(owner, b"\x00")),
        ("other-signer", "by another client", lambda g: g.signed_inclusion(owner, d, signs=3)),
        ("other-name", "in another client's name", lambda g: g.signed_inclusion(owner, d, named=3)),
        ("other-session", "of another session", lambda g: g.signed_inclusion(owner, d, session=bytes(32))),
        (
            "other-run",
            "with the mask key of another run",
            lambda g: g.signed_inclusion(owner, d, mask_public=bytes(32)),
        ),
        ("acknowledgement", "that acknowledges", lambda g: g.signed_acknowledgement(owner, d, d)),
        ("zeros", "of zeros", lambda g: wire.Confirmation(owner, bytes(64))),
    ]
    for id_, said, make in forged:
        game = at(f"c44-{id_}")
        request = replace(game.scene.body, inclusions=with_entries(game.scene.body.inclusions, make(game)))
        flags = "SplitView" if id_ == "other-sharers" else "ForgedSignature"
        made.append(game.refuses(request, "C44", f"an inclusion {said}", flags))
    game = at("c44-last")
    last = game.scene.body.inclusions[-1].client
    more = with_entries(game.scene.body.inclusions, game.signed_inclusion(last, game.bits(range(2, 9))))
    request = replace(game.scene.body, inclusions=more)
    made.append(game.refuses(request, "C44", "the last inclusion is over other sharers", "SplitView"))
    game = at("c44-contributors", silent=INPUT_GONE)
    x = game.bits(range(1, 8))
    more = tuple(game.signed_inclusion(each.client, x) for each in game.scene.body.inclusions)
    request = replace(game.scene.body, inclusions=more)
    comment = "inclusions over the contributors that the server shows, and not over the client's sharers"
    made.append(game.refuses(request, "C44", comment, "SplitView"))
    game = at("a08-inclusions-order")
    request = replace(game.scene.body, inclusions=tuple(reversed(game.scene.body.inclusions)))
    made.append(game.refuses(request, "A08", "inclusions in descending order", "Malformed", "R19"))
    return made


def _acknowledgements() -> list[Json]:
    made = []
    everybody = range(1, 9)

    def at(id_: str, client: int = 3, **options: Any) -> Game:
        return Game(id_, client, "UNMASKING", **options)

    def holder_alone(game: Game) -> int:
        return min(game.drawn)

    def first(
        id_: str, said: str, rules: str, flags: str, make: Callable[[Game, bytes, bytes], wire.Confirmation]
    ) -> Json:
        """The first acknowledgement is replaced by another one."""
        game = at(id_)
        d = x = game.bits(everybody)
        body = game.scene.body
        made_one = make(game, d, x)
        rest = without(body.confirmations, body.confirmations[0].client)
        return game.refuses(replace(body, confirmations=with_entries(rest, made_one)), rules, said, flags)

    def signer(game: Game) -> int:
        its: int = game.scene.body.confirmations[0].client
        return its

    def chooser(game: Game) -> int:
        return min(game.owners - game.drawn)

    made.append(
        first(
            "c58-chooser",
            "a chooser that is no holder acknowledged, truly",
            "C58",
            "TooFew",
            lambda g, d, x: g.signed_acknowledgement(chooser(g), d, x),
        )
    )
    made.append(
        first(
            "c58-self",
            "the client's own acknowledgement",
            "C58",
            "TooFew",
            lambda g, d, x: g.signed_acknowledgement(3, d, x),
        )
    )
    made.append(
        first(
            "c58-stranger",
            "a signer outside of the cohort",
            "C58",
            "TooFew",
            lambda g, d, x: replace(g.signed_acknowledgement(1, d, x), client=9),
        )
    )
    for gone, said in ((INPUT_GONE, "did not contribute"), (SHARES_GONE, "did not share keys")):
        client = next(c for c in range(1, 8) if 8 in Game("probe", c, "UNMASKING", silent=gone).drawn)
        name = said.rpartition(" ")[2] if gone is SHARES_GONE else "input"
        game = at(f"c58-without-{name}", client, silent=gone)
        own = choice_of(game.scene.play, client)
        body = game.scene.body
        extra = game.signed_acknowledgement(8, own.sharers, own.contributors)
        request = replace(body, confirmations=with_entries(body.confirmations, extra))
        made.append(game.refuses(request, "C58", f"a holder that {said} acknowledged", "WrongLists"))
    forged: list[tuple[str, str, str, Callable[[Game, bytes, bytes], wire.Confirmation]]] = [
        (
            "other-contributors",
            "over other contributors",
            "SplitView",
            lambda g, d, x: g.signed_acknowledgement(signer(g), d, g.bits(range(1, 8))),
        ),
        (
            "other-sharers",
            "over other sharers",
            "SplitView",
            lambda g, d, x: g.signed_acknowledgement(signer(g), g.bits(range(1, 8)), x),
        ),
        (
            "swapped",
            "with both sets changed",
            "SplitView",
            lambda g, d, x: g.signed_acknowledgement(signer(g), g.bits((1, 2, 3)), g.bits((1, 3))),
        ),
        (
            "other-signer",
            "by another client",
            "ForgedSignature",
            lambda g, d, x: g.signed_acknowledgement(signer(g), d, x, signs=3),
        ),
        (
            "other-name",
            "in another client's name",
            "ForgedSignature",
            lambda g, d, x: g.signed_acknowledgement(signer(g), d, x, named=3),
        ),
        (
            "other-session",
            "of another session",
            "ForgedSignature",
            lambda g, d, x: g.signed_acknowledgement(signer(g), d, x, session=bytes(32)),
        ),
        (
            "other-run",
            "with the mask key of another run",
            "ForgedSignature",
            lambda g, d, x: g.signed_acknowledgement(signer(g), d, x, mask_public=bytes(32)),
        ),
        ("inclusion", "that is an inclusion", "ForgedSignature", lambda g, d, x: g.signed_inclusion(signer(g), d)),
        ("zeros", "of zeros", "ForgedSignature", lambda g, d, x: wire.Confirmation(signer(g), bytes(64))),
    ]
    for id_, said, flags, make in forged:
        made.append(first(f"c59-{id_}", f"an acknowledgement {said}", "C59", flags, make))
    game = at("c60")
    body = game.scene.body
    request = replace(body, confirmations=body.confirmations[1:])
    made.append(game.refuses(request, "C60", "t - 1 acknowledgements", "TooFew"))
    game = at("c60-none")
    made.append(game.refuses(replace(body, confirmations=()), "C60", "no acknowledgement", "TooFew"))
    game = at("within-c60-all")
    d = game.bits(everybody)
    more = with_entries(body.confirmations, *(game.signed_acknowledgement(c, d, d) for c in game.drawn))
    comment = "all holders acknowledged: more than t"
    made.append(game.accepts(replace(body, confirmations=more), comment, "C60 R27"))
    game = at("c62")
    game.scene.advance()
    game.scene.tell(replace(body, confirmations=more), "C62")
    made.append(game.case("other acknowledgements after the answer", "C62 R03", "WrongLists"))
    game = at("r27", 1, silent=INPUT_GONE)
    comment = "an owner that sent no input: its mask-key share, and of the others their seed shares"
    made.append(game.accepts(game.scene.body, comment, "R27 R52", "Honest"))
    game = at("a08-acknowledgements-order")
    request = replace(body, confirmations=tuple(reversed(body.confirmations)))
    made.append(game.refuses(request, "A08", "acknowledgements in descending order", "Malformed", "R19"))
    return made


def _other_graphs() -> list[Json]:
    """Fields of the other topologies are no message (R19)."""
    made = []
    game = Game("a08-contributors-listed", 3, "CONSISTENCY_CHECK")
    request = replace(game.scene.body, contributors=tuple(range(1, 9)))
    comment = "contributors as a list, beside the set"
    made.append(game.refuses(request, "A08", comment, "Malformed", "R19"))
    for field in ("survivors", "dropped"):
        game = Game(f"a08-{field}", 3, "UNMASKING")
        request = replace(game.scene.body, **{field: (1, 2)})
        made.append(game.refuses(request, "A08", f"a list of {field}", "Malformed", "R19"))
    for phase, field, value in (
        ("MASKED_INPUT", "sharers", b"\x1f"),
        ("CONSISTENCY_CHECK", "contributor_set", b"\x1f"),
        ("CONSISTENCY_CHECK", "inclusions", (wire.Confirmation(1, bytes(64)),)),
    ):
        scene = Scene(ACTIVE, 2).to(phase)
        scene.tell(replace(scene.body, **{field: value}), "A08")
        name = field.replace("_", "-")
        comment = f"{field} in a complete graph"
        made.append(scene.case(f"chosen-a08-elsewhere-{name}", comment, "A08 R19", "Malformed"))
    return made
