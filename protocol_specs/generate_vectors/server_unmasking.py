"""Server scripts about Unmasking: shares of wrong clients (S50), shares that are none (S51), wrong shares (S52, A06).

What they are about is said in §5.3, §5.4, §6.6 and §6.7.

The secrets' polynomials are known here as a corrupt coalition knows them. Must not know who else may be reported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

from protocol_specs.generate_vectors.scripted import INPUTS, SHARES, UNMASKING, ScriptedServer
from protocol_specs.generate_vectors.world import World, draw
from protocol_specs.reference import sharing, wire
from protocol_specs.reference.field import P
from protocol_specs.reference.wire import RevealedShare, SealedShares, UnmaskingResponse
from protocol_specs.testee import conformance_pb2 as pb

Json = dict[str, Any]
LIAR: Final = 2
GONE: Final = 4


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_owners(), *_not_canonical(), *_corrected(), *_not_corrected(), *_owners_lie()]


def _world(name: str, clients: int = 4, threshold: int = 1) -> World:
    return World(f"unmasking/{name}", tuple(range(1, clients + 1)), threshold=threshold)


# S50: whose shares.


Lie = Callable[[UnmaskingResponse, int, int, int], UnmaskingResponse]
"""The honest response, who gives it, and the two survivors among its neighbours, in ascending order."""

LIES: Final[dict[str, Lie]] = {
    "seed-missing": lambda its, me, a, b: _seeds(its, a),
    "no-seeds": lambda its, me, a, b: _seeds(its),
    "mask-key-missing": lambda its, me, a, b: _mask_keys(its),
    "nothing": lambda its, me, a, b: UnmaskingResponse((), ()),
    "seed-of-dropped": lambda its, me, a, b: _seeds(its, a, b, GONE),
    "mask-key-of-survivor": lambda its, me, a, b: _mask_keys(its, a, GONE),
    "mask-key-of-survivor-only": lambda its, me, a, b: _mask_keys(its, a),
    "kinds-exchanged": lambda its, me, a, b: UnmaskingResponse(its.mask_key_shares, its.seed_shares),
    "all-as-seeds": lambda its, me, a, b: UnmaskingResponse(_of(its, (a, b, GONE)), ()),
    "all-as-mask-keys": lambda its, me, a, b: UnmaskingResponse((), _of(its, (a, b, GONE))),
    "own-seed": lambda its, me, a, b: _seeds(its, *sorted((me, a, b))),
    "own-seed-for-other": lambda its, me, a, b: _seeds(its, *sorted((me, a))),
    "stranger": lambda its, me, a, b: _seeds(its, a, b, 77),
    "stranger-for-other": lambda its, me, a, b: _seeds(its, a, 77),
    "both-kinds-of-all": lambda its, me, a, b: UnmaskingResponse(_of(its, (a, b, GONE)), _of(its, (a, b, GONE))),
}
GROUPS: Final = {
    "missing": ("seed-missing", "no-seeds", "mask-key-missing"),
    "both-kinds": ("seed-of-dropped", "mask-key-of-survivor", "both-kinds-of-all"),
    "kinds": ("mask-key-of-survivor-only", "kinds-exchanged", "all-as-seeds"),
    "nothing": ("nothing", "all-as-mask-keys", "own-seed-for-other"),
    "strangers": ("own-seed", "stranger", "stranger-for-other"),
}
"""Cases: three lies each, of clients 1, 2 and 3, which hold shares of client 4's mask key."""


def _owners() -> list[Json]:
    made = []
    for name, lies in GROUPS.items():
        server = ScriptedServer(_world("owners", 4)).play_to(UNMASKING, {INPUTS: (GONE,)})
        for client, lie in enumerate(lies, start=1):
            first, second = (other for other in (1, 2, 3) if other != client)
            changed = LIES[lie](server.body(client, UnmaskingResponse), client, first, second)
            server.dropped(client, server.envelope(changed), "S50")
            server.receive(client, server.answer(client), "LATE")
        server.aborted(server.close(), "A05")
        comment = f"Shares of others than those asked for: {', '.join(lies)}."
        made.append(
            server.case(f"server-owners-{name}", comment, {"S50", "R29", "R54", "R56", "A05"}, ("WrongOwners",))
        )
    server = ScriptedServer(_world("owners one", 4)).play_to(UNMASKING, {INPUTS: (GONE,)})
    server.give(1)
    body = server.body(LIAR, UnmaskingResponse)
    server.dropped(LIAR, server.envelope(LIES["seed-of-dropped"](body, LIAR, 1, 3)), "S50")
    server.finish((1, LIAR, 3))
    comment = "Client 2 reveals both shares of client 4; the others go on to the sum."
    made.append(server.case("server-owners-others-go-on", comment, {"S50", "R54", "R55"}, ("WrongOwners",)))
    world = World("unmasking/no sharer", (1, 2, 3, 4), threshold=1)
    server = ScriptedServer(world).play_to(UNMASKING, {SHARES: (GONE,)})
    body = server.body(LIAR, UnmaskingResponse)
    server.dropped(LIAR, server.envelope(_mask_keys(body, GONE)), "S50")
    server.finish((1, 2, 3))
    comment = "Client 4 advertised but did not share: nobody is asked for it, and a share of it is one too many."
    made.append(server.case("server-owners-no-sharer", comment, {"S50", "R54", "R55"}, ("WrongOwners",)))
    return made


def _seeds(its: UnmaskingResponse, *owners: int) -> UnmaskingResponse:
    return UnmaskingResponse(_of(its, owners), its.mask_key_shares)


def _mask_keys(its: UnmaskingResponse, *owners: int) -> UnmaskingResponse:
    return UnmaskingResponse(its.seed_shares, _of(its, owners))


def _of(its: UnmaskingResponse, owners: Iterable[int]) -> tuple[RevealedShare, ...]:
    shares = {share.owner: share.share for share in (*its.seed_shares, *its.mask_key_shares)}
    return tuple(RevealedShare(owner, shares.get(owner, bytes(36))) for owner in owners)


# S51: elements that are none.


def _not_canonical() -> list[Json]:
    made = []
    for kind in ("seed", "mask-key"):
        server = ScriptedServer(_world("canonical", 4)).play_to(UNMASKING, {INPUTS: (GONE,)})
        for client, (at, element) in {1: (0, P), 2: (17, P), 3: (9, 0xFFFF)}.items():
            owner = GONE if kind == "mask-key" else client % 3 + 1
            lie = partial(_element, at, element)
            server.dropped(client, _with(server, client, {owner: lie}), "S51")
            server.receive(client, server.answer(client), "LATE")
        server.aborted(server.close(), "A05")
        comment = f"Elements of {kind} shares are p, at the first and at the last place, and 65535."
        id_ = f"server-not-canonical-{kind}"
        made.append(server.case(id_, comment, {"S51", "R29", "R56", "A05"}, ("NonCanonicalShare",)))
    return made


def _element(at: int, element: int, share: bytes) -> bytes:
    return share[: 2 * at] + element.to_bytes(2, "big") + share[2 * at + 2 :]


def _with(server: ScriptedServer, client: int, changes: Mapping[int, Callable[[bytes], bytes]]) -> bytes:
    """A client's honest response with the shares of some owners changed."""
    body = server.body(client, UnmaskingResponse)
    changed = (
        tuple(RevealedShare(s.owner, changes.get(s.owner, bytes)(s.share)) for s in kind)
        for kind in (body.seed_shares, body.mask_key_shares)
    )
    return server.envelope(UnmaskingResponse(*changed))


# S52: wrong shares.


def added(amount: int, limbs: Collection[int] = range(18)) -> Callable[[int, bytes], bytes]:
    """Adds a number to some limbs, whatever the point is."""
    return lambda _point, share: _limbwise(share, lambda limb, value: value + amount if limb in limbs else value)


def along(amount: int) -> Callable[[int, bytes], bytes]:
    """Adds a multiple of the point to every limb: these shares lie on other polynomials through the same secret."""
    return lambda point, share: _limbwise(share, lambda _limb, value: value + amount * point)


def apart(point: int, share: bytes) -> bytes:
    """Changes one limb, another one at each point."""
    return _limbwise(share, lambda limb, value: value + 1 if limb == point else value)


def noise(point: int, _share: bytes) -> bytes:
    """A share that has nothing to do with the true one."""
    return _limbwise(draw(f"noise {point}", 36), lambda _limb, value: value)


def _limbwise(share: bytes, change: Callable[[int, int], int]) -> bytes:
    return sharing.encode_share([change(limb, value) % P for limb, value in enumerate(sharing.decode_share(share))])


Lies = tuple[Collection[int], Callable[[int, bytes], bytes]]
"""The points of the holders that lie about one owner, and the lie: point and true share to what is revealed."""


def _lied(
    world: World, about: Mapping[int, Lies], silent: Mapping[str, Collection[int]] | None = None
) -> tuple[ScriptedServer, list[tuple[int, int]], pb.Outcome]:
    """A session with lies about some owners. Returns the server, who lied about whom, and the last outcome."""
    server = ScriptedServer(world).play_to(UNMASKING, silent)
    liars = []
    for client in server.waiting:
        changes: dict[int, Callable[[bytes], bytes]] = {}
        for owner, (points, lie) in about.items():
            if client != owner and (point := server.insider(owner).point(client)) in points:
                liars.append((client, owner))
                changes[owner] = partial(lie, point)
        server.receive(client, _with(server, client, changes))
    return server, liars, server.close()


def _corrected() -> list[Json]:
    """Up to ⌊(m − t)/2⌋ wrong shares: an exact result, and reports of exactly the liars."""
    made = []
    five, seven = _world("five", 5, 2), _world("seven", 7, 2)
    lies: list[tuple[str, str, World, dict[int, Lies], Mapping[str, Collection[int]]]] = [
        ("first", "The share at the first point is noise.", five, {3: ((1,), noise)}, {}),
        ("last", "The share at the last point is noise: the secret is right at once.", five, {3: ((4,), noise)}, {}),
        (
            "limbs",
            "Of five owners' shares one limb is wrong (the first, the last, one between), one is zeros, one all p - 1.",
            five,
            {
                1: ((1,), added(1, (0,))),
                2: ((2,), added(1, (17,))),
                3: ((3,), added(P - 1, (8,))),
                4: ((4,), lambda _point, _share: (P - 1).to_bytes(2, "big") * 18),
                5: ((1,), lambda _point, _share: bytes(36)),
            },
            {},
        ),
        ("mask-key", "A share of a mask key is noise.", _world("mask", 5, 1), {5: ((1,), noise)}, {INPUTS: (5,)}),
        (
            "two",
            "Two of six shares are wrong, for several owners: noise, and moved by the same number.",
            seven,
            {4: ((1, 2), noise), 1: ((2, 6), noise), 7: ((1, 3), added(77))},
            {},
        ),
        (
            "cancel",
            "Two liars move their shares along another line through the same secret: it is right, others look wrong.",
            seven,
            {4: ((1, 2), along(5))},
            {},
        ),
        (
            "apart",
            "Two of six shares are wrong, each in a limb of its own: two wrong shares, whatever one limb shows.",
            seven,
            {4: ((1, 2), apart), 1: ((2, 6), apart)},
            {},
        ),
    ]
    for name, comment, world, about, silent in lies:
        server, liars, outcome = _lied(world, about, silent)
        gone = set(silent.get(INPUTS, ()))
        server.completed(outcome, set(world.clients) - gone, liars)
        requirements = {"S52", "R17", "R48", "R50"}
        made.append(server.case(f"server-wrong-share-{name}", comment, requirements, ("WrongShares",)))
    server = ScriptedServer(five).play_to(UNMASKING)
    body = server.body(LIAR, UnmaskingResponse)
    first, second, *rest = body.seed_shares
    swapped = (RevealedShare(first.owner, second.share), RevealedShare(second.owner, first.share), *rest)
    server.receive(LIAR, server.envelope(UnmaskingResponse(swapped, ())))
    server.finish(range(1, 6), inconsistent=[(LIAR, first.owner), (LIAR, second.owner)])
    comment = "One holder exchanges the shares of two owners."
    made.append(server.case("server-wrong-share-exchanged", comment, {"S52", "R17", "R48", "R50"}, ("WrongShares",)))
    return made


def _not_corrected() -> list[Json]:
    """More wrong shares: no secret, or the right one."""
    made = []
    three, five = _world("three", 3, 2), _world("five more", 5, 2)
    lies: list[tuple[str, str, World, Lies]] = [
        ("no-surplus", "Two shares of threshold 2, one of them noise.", three, ((1,), noise)),
        ("two-of-four", "Two of four shares are noise.", five, ((1, 3), noise)),
        (
            "all-together",
            "All shares are moved by one: another secret, which does not verify.",
            three,
            ((1, 2), added(1)),
        ),
        ("too-large", "Shares of a limb 0 above 1: no secret has it.", three, ((1, 2), added(2, (0,)))),
        ("too-large-limb", "Shares of a limb of 2^15 or more.", three, ((1, 2), added(2**15, (5,)))),
    ]
    for name, comment, world, lie in lies:
        server, _, outcome = _lied(world, {3: lie})
        server.aborted(outcome, "A06")
        made.append(server.case(f"server-wrong-secret-{name}", comment, {"A06", "R17", "R50"}, ("WrongShares",)))
    world = _world("mask key lost", 5, 2)
    server, _, outcome = _lied(world, {5: ((1, 2, 3), noise)}, {INPUTS: (5,)})
    server.aborted(outcome, "A06")
    comment = "Three of four shares of a mask key are noise."
    made.append(server.case("server-wrong-secret-mask-key", comment, {"A06", "R17", "R50"}, ("WrongShares",)))
    server, liars, outcome = _lied(five, {3: ((3, 4), noise)})
    server.completed(outcome, five.clients, liars)
    comment = (
        "Two of four shares are noise, but the first two are right: the secret verifies, and both liars are off it."
    )
    made.append(server.case("server-wrong-share-beyond-correction", comment, {"S52", "R17", "R50"}, ("WrongShares",)))
    server, liars, outcome = _lied(five, {3: ((2, 3, 4), along(3))})
    honest = [(client, 3) for client in five.clients if client != 3 and (client, 3) not in liars]
    server.completed(outcome, five.clients, honest)
    comment = "Three of four holders conspire on other polynomials with the same secret: the honest one is reported."
    made.append(server.case("server-wrong-share-conspiracy", comment, {"S52", "R17", "R50"}, ("WrongShares",)))
    return made


def _owners_lie() -> list[Json]:
    """The owner itself shared something else than it advertised (R17)."""
    made = []
    for name, comment, which, leaves in (
        ("seed", "Client 2 shares another self-mask seed than it committed to, and contributes.", 0, False),
        ("mask-key", "Client 2 shares another mask key than it advertised, and sends no input.", 1, True),
    ):
        world = _world(f"owner {name}", 4, 2)
        server = ScriptedServer(world).play_to(SHARES)
        its = server.insider(LIAR)
        secrets = [its.self_mask_seed, its.mask_private]
        secrets[which] = draw("another secret", 32)
        polynomials = sharing.draw_polynomials(secrets, 2, lambda count: draw("polynomials", count))
        sealed = []
        for receiver in (1, 3, 4):
            seed, mask_key = (sharing.share_at(each, its.point(receiver)) for each in polynomials)
            sealed.append(SealedShares(receiver, its.seal(receiver, seed + mask_key)))
        server.answer(LIAR)
        server.receive(LIAR, server.envelope(wire.ShareKeysResponse(tuple(sealed))))
        server.play_round()
        server.play_round((LIAR,) if leaves else ())
        server.aborted(server.play_round(), "A06")
        made.append(server.case(f"server-owner-lies-{name}", comment, {"A06", "R17", "R50"}, ("WrongShares",)))
    return made
