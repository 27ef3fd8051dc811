"""Server scripts of shares that dealers committed to (§3.6, §5.4, §6.7, §6.9): S23, S53, A05 and A06 with blame.

What a session must end with is computed here from who lied, and compared with what the script holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from protocol_specs.generate_vectors.scripted import CONFIRMATIONS, INPUTS, SHARES, UNMASKING, ScriptedServer
from protocol_specs.generate_vectors.server_complaints import blamed
from protocol_specs.generate_vectors.server_unmasking import added, along, noise
from protocol_specs.generate_vectors.world import Insider, World, draw
from protocol_specs.reference import sharing, wire
from protocol_specs.reference.wire import RevealedShare, SealedShares, UnmaskingResponse

Json = dict[str, Any]
Lie = Callable[[int, bytes], bytes]
"""Of a share point and what is revealed there: what is revealed instead, 68 bytes."""

FIVE: Final = tuple(range(1, 6))
NINE: Final = tuple(range(1, 10))
TWENTY: Final = tuple(range(1, 21))
LIAR: Final = 2
SEED, MASK_KEY = 0, 1
RIGHT: Final = {"R17", "R48", "R50", "R58"}


def cases() -> list[Json]:
    """All cases of this topic."""
    return [*_left_out(), *_too_few(), *_not_looked_at(), *_owners(), *_together(), *_lengths(), *_snapshots()]


def _world(name: str, clients: tuple[int, ...] = FIVE, threshold: int = 3) -> World:
    return World(f"dealt/{name}", clients, active=True, threshold=threshold)


# What holders reveal.


def share(lie: Lie) -> Lie:
    """A lie about the share; the digest beside it is true."""
    return lambda point, both: lie(point, both[:36]) + both[36:]


def digest(_point: int, both: bytes) -> bytes:
    """A lie about the digest; the share is true."""
    return both[:-1] + bytes([both[-1] ^ 1])


Lies = Mapping[int, tuple[Collection[int], Lie]]
"""By owner, the holders that lie about it, and how."""


def _reveal(server: ScriptedServer, lies: Lies) -> list[tuple[int, int]]:
    """All clients reveal their shares, and lie; returns (holder, owner) of the lies."""
    told = []
    for client in server.waiting:
        body = server.body(client, UnmaskingResponse)
        kinds = []
        for kind in (body.seed_shares, body.mask_key_shares):
            shares = []
            for its in kind:
                holders, lie = lies.get(its.owner, ((), digest))
                if client in holders:
                    told.append((client, its.owner))
                    its = replace(its, share=lie(server.insider(its.owner).point(client), its.share))
                shares.append(its)
            kinds.append(tuple(shares))
        server.receive(client, server.envelope(UnmaskingResponse(*kinds)))
    return told


def _left_out() -> list[Json]:
    """Shares that do not fit are as if they had not been sent: an exact result, and S53 of exactly their holders."""
    made = []
    every = dict.fromkeys(NINE, ((1, 5, 9), share(noise)))
    sessions: list[tuple[str, str, World, Lies, Mapping[str, Collection[int]]]] = [
        ("first", "The share at the first point is noise.", _world("first"), {3: ((1,), share(noise))}, {}),
        ("last", "The share at the last point is noise: the secret is right at once.", _world("last"),
         {3: ((5,), share(noise))}, {}),
        ("limb", "One limb of one share is one more.", _world("limb"), {3: ((4,), share(added(1, (9,))))}, {}),
        ("mask-key", "A share of a mask key is noise.", _world("mask key", NINE, 5), {9: ((1,), share(noise))},
         {INPUTS: (9,)}),
        ("most", "Three of eight shares of every secret are noise: as many as there are more than the threshold.",
         _world("most", NINE, 5), every, {}),
        ("along", "Three of eight are on other polynomials through the same secret.", _world("along", NINE, 5),
         {4: ((1, 2, 3), share(along(5)))}, {}),
        ("moved", "Three of eight are on other polynomials, of another secret.", _world("moved", NINE, 5),
         {4: ((1, 2, 3), share(added(7)))}, {}),
        ("ids", "Ids at the ends of 64 bits.", _world("ids", (0, 1, 2**63, 2**64 - 2, 2**64 - 1)),
         {0: ((2**64 - 1,), share(noise)), 2**64 - 1: ((0,), share(noise))}, {}),
    ]  # fmt: skip
    for name, comment, world, lies, silent in sessions:
        server = ScriptedServer(world).play_to(UNMASKING, silent)
        told = _reveal(server, lies)
        server.completed(server.close(), set(world.clients) - set(silent.get(INPUTS, ())), told)
        made.append(server.case(f"server-not-as-dealt-{name}", comment, {"S53", *RIGHT}, ("WrongShares",)))
    server = ScriptedServer(_world("digest beside", NINE, 5)).play_to(UNMASKING)
    spoken = {3: (NINE, lambda point, both: share(noise)(point, both) if point == 1 else _second(point, both))}
    told = [pair for pair in _reveal(server, spoken) if pair[0] in (1, 2)]
    server.completed(server.close(), NINE, told)
    comment = "One share is noise, and the digest beside another is wrong: that one does not fit either."
    made.append(server.case("server-not-as-dealt-digest", comment, {"S53", *RIGHT}, ("WrongShares",)))
    swaps: list[tuple[str, str, Callable[[bytes, bytes], tuple[bytes, bytes]]]] = [
        ("exchanged", "One holder exchanges what it has of two owners.", lambda a, b: (b, a)),
        ("share-of-another", "One holder reveals one owner's share for another, with the true digest.",
         lambda a, b: (b[:36] + a[36:], b)),
    ]  # fmt: skip
    for name, comment, swap in swaps:
        server = ScriptedServer(_world(name)).play_to(UNMASKING)
        first, second, *rest = server.body(LIAR, UnmaskingResponse).seed_shares
        one, other = swap(first.share, second.share)
        listed = (replace(first, share=one), replace(second, share=other), *rest)
        server.receive(LIAR, server.envelope(UnmaskingResponse(listed, ())))
        about = (first, second) if name == "exchanged" else (first,)
        server.finish(FIVE, inconsistent=[(LIAR, its.owner) for its in about])
        made.append(server.case(f"server-not-as-dealt-{name}", comment, {"S53", *RIGHT}, ("WrongShares",)))
    return made


def _second(point: int, both: bytes) -> bytes:
    return digest(point, both) if point == 2 else both


def _too_few() -> list[Json]:
    """More wrong shares leave too few: nobody can be blamed, and nobody has to be reported."""
    made = []
    for name, comment, world, lies, silent in (
        ("no-surplus", "Three shares at threshold 3, and one of them is noise.", _world("no surplus"),
         {3: ((1,), share(noise))}, {UNMASKING: (5,)}),
        ("four-of-eight", "Four of eight shares are noise.", _world("four", NINE, 5),
         {3: ((1, 2, 4, 5), share(noise))}, {}),
        ("conspiracy", "Four of eight holders have agreed on other polynomials through the same secret.",
         _world("conspiracy", NINE, 5), {3: ((1, 2, 4, 5), share(along(2)))}, {}),
        ("all-together", "All holders of a secret have moved their shares: another secret.", _world("together"),
         {3: ((1, 2, 4, 5), share(added(1)))}, {}),
        ("digests", "One share is noise, and one digest.", _world("digests"),
         {3: ((1, 4), lambda point, both: share(noise)(point, both) if point == 1 else digest(point, both))}, {}),
    ):  # fmt: skip
        server = ScriptedServer(world).play_to(UNMASKING)
        for client in silent.get(UNMASKING, ()):
            server.dropped(client, server.envelope(wire.Abort("A10")), "S06")
        _reveal(server, lies)
        outcome = server.close()
        blamed(server, outcome, {}, "A05")
        requirements = {"A05", "R17", "R50", "R66", *({"S06"} if silent else ())}
        made.append(server.case(f"server-too-few-fit-{name}", comment, requirements, ("WrongShares",)))
    return made


def _not_looked_at() -> list[Json]:
    """Where all shares agree and the secret verifies, commitments are not looked at."""
    made = []
    world = _world("digests alone")
    server = ScriptedServer(world).play_to(UNMASKING)
    _reveal(server, dict.fromkeys(FIVE, (FIVE, digest)))
    server.completed(server.close(), FIVE)
    comment = "All digests are wrong, and all shares right."
    made.append(server.case("server-not-looked-at-digests", comment, RIGHT, ("WrongShares",)))
    for name, comment, lies, reports in (
        ("unfit", "A commitment fits no share, and its receiver, corrupt too, keeps silent.", {}, []),
        ("unfit-seen", "The same, and another share is noise: neither fits.", {LIAR: ((4,), share(noise))}, [1, 4]),
    ):
        server = ScriptedServer(_world(name, NINE, 5)).play_to(SHARES)
        its = server.insider(LIAR)

        def deal(client: int, answer: bytes, its: Insider = its) -> bytes:
            body = wire.decode_for_server(answer).body
            if client != LIAR or not isinstance(body, wire.ShareKeysResponse):
                return answer
            first, *rest = body.ciphertexts
            unfit = replace(first, ciphertext=digest(0, first.ciphertext))
            return its.play.envelope(its.deal((unfit, *rest)))

        server.play_round((), deal)
        right = server.play.request(1).ciphertexts
        answer = server.play.clients[1].receive(server.envelope(wire.MaskedInputCollectionRequest(_refit(right))))
        server.receive(1, answer or b"")
        server.play_round()
        server.play_to(UNMASKING)
        _reveal(server, lies)
        server.completed(server.close(), NINE, [(holder, LIAR) for holder in reports])
        requirements = {*RIGHT, *({"S53"} if reports else ())}
        made.append(server.case(f"server-not-looked-at-{name}", comment, requirements, ("WrongShares",)))
    return made


def _refit(pairs: tuple[SealedShares, ...]) -> tuple[SealedShares, ...]:
    return tuple(
        replace(pair, ciphertext=digest(0, pair.ciphertext)) if pair.client == LIAR else pair for pair in pairs
    )


# What owners deal.


Dealt = Callable[[int, int, bytes], bytes]
"""Of a kind, a share point and the true share: what is dealt instead, 36 bytes."""


def _deals(its: Insider, change: Dealt, secrets: Mapping[int, bytes]) -> wire.ShareKeysResponse:
    """A dealing of shares of any secrets, changed, each with a commitment that it fits."""
    shared = [secrets.get(SEED, its.self_mask_seed), secrets.get(MASK_KEY, its.mask_private)]
    threshold = its.world.parameters.threshold
    polynomials = sharing.draw_polynomials(shared, threshold, lambda count: draw(f"dealt by {its.client}", count))
    sealed = []
    for receiver in its.world.parameters.cohort:
        if receiver != its.client:
            point = its.point(receiver)
            pair = [change(kind, point, sharing.share_at(each, point)) for kind, each in enumerate(polynomials)]
            sealed.append(SealedShares(receiver, its.seal(receiver, b"".join(pair))))
    return its.deal(sealed)


def _at(points: Collection[int], lie: Lie, kinds: Collection[int] = (SEED,)) -> Dealt:
    return lambda kind, point, share: lie(point, share) if point in points and kind in kinds else share


def _honestly(_kind: int, _point: int, share: bytes) -> bytes:
    return share


Owners = Mapping[int, tuple[Dealt, Mapping[int, bytes]]]


def _played(world: World, owners: Owners, silent: Collection[int] = ()) -> ScriptedServer:
    """A session to Unmasking, in which some deal what contradicts itself; the silent ones send no input."""
    server = ScriptedServer(world).play_to(SHARES)

    def deal(client: int, answer: bytes) -> bytes:
        if client not in owners:
            return answer
        return server.envelope(_deals(server.insider(client), *owners[client]))

    server.play_round((), deal)
    return server.play_to(UNMASKING, {INPUTS: silent})


def _owners() -> list[Json]:
    made = []
    seed, key = {SEED: draw("another seed", 32)}, {MASK_KEY: draw("another mask key", 32)}
    large = {SEED: bytes([255]) * 32}
    sessions: list[tuple[str, str, World, tuple[Dealt, Mapping[int, bytes]], bool]] = [
        ("first", "The share at the first point is off: the first three lead to nothing that was advertised.",
         _world("owner first"), (_at((1,), noise), {}), False),
        ("last", "The share at the last point is off: the first three lead to the secret.", _world("owner last"),
         (_at((4,), noise), {}), False),
        ("limb", "One limb at the last point is one more.", _world("owner limb"), (_at((4,), added(1, (17,))), {}),
         False),
        ("two-last", "The last two are off: the first of them is shown.", _world("owner two", NINE, 5),
         (_at((7, 8), noise), {}), False),
        ("seed", "All shares are of another seed than it committed to.", _world("owner seed"), (_honestly, seed),
         False),
        ("mask-key", "All shares are of another mask key than it advertised, and it sends no input.",
         _world("owner mask key", NINE, 5), (_honestly, key), True),
        ("mask-key-last", "The last share of its mask key is off, and it sends no input.",
         _world("owner mask key last", NINE, 5), (_at((8,), noise, (MASK_KEY,)), {}), True),
        ("limb-0", "Shares of a limb 0 above 1: no secret has it.", _world("owner limb 0"),
         (_at(range(1, 5), added(2, (0,))), {}), False),
        ("limb-large", "Shares of a limb of 2^15 or more.", _world("owner large limb"),
         (_at(range(1, 5), added(2**15, (5,))), {}), False),
        ("large-seed", "Shares of another seed, of ones.", _world("owner ones"), (_honestly, large), False),
        ("along", "The first two are on other polynomials through the same secret.", _world("owner along"),
         (_at((1, 2), along(3)), {}), False),
        ("degree", "Shares of polynomials of degree t.", _world("owner degree"),
         (lambda kind, point, share: along(point * point)(point, share) if kind == SEED else share, {}), False),
        ("one-block", "The eleven that are shown stand in the first of two blocks.", _world("owner block", TWENTY, 11),
         (_honestly, seed), False),
        ("second-block", "The one that is off stands in the second block.", _world("owner blocks", TWENTY, 11),
         (_at((18,), noise), {}), False),
    ]  # fmt: skip
    for name, comment, world, (change, secrets), leaves in sessions:
        server = _played(world, {LIAR: (change, secrets)}, (LIAR,) if leaves else ())
        _reveal(server, {})
        blamed(server, server.close(), {LIAR: ("S23", True)}, "A06")
        made.append(_case(server, name, comment))
    world = _world("owner ids", (0, 1, 2**63, 2**64 - 2, 2**64 - 1))
    server = _played(world, {2**64 - 1: (_at((4,), noise), {})})
    _reveal(server, {})
    blamed(server, server.close(), {2**64 - 1: ("S23", True)}, "A06")
    made.append(_case(server, "ids", "The last of ids at the ends of 64 bits."))
    server = _played(_world("owner unseen"), {LIAR: (_at((4,), noise), {})})
    server.dropped(5, server.envelope(wire.Abort("A10")), "S06")
    _reveal(server, {})
    server.completed(server.close(), FIVE)
    comment = "The holder of the share that is off leaves: the others lead to the secret, and nothing is known."
    made.append(server.case("server-contradicts-unseen", comment, {"S06", *RIGHT}, ("WrongShares", "Dropout")))
    server = _played(_world("owner mask key unseen"), {LIAR: (_at((1, 2), noise, (MASK_KEY,)), {})})
    _reveal(server, {})
    server.completed(server.close(), FIVE)
    comment = "Its mask key's shares contradict each other, and its seed is rebuilt: nothing is known."
    made.append(server.case("server-contradicts-other-kind", comment, RIGHT, ("WrongShares",)))
    return made


def _case(server: ScriptedServer, name: str, comment: str) -> Json:
    requirements = {"A06", "S23", "R17", "R50", "R58", "R66"}
    return server.case(f"server-contradicts-{name}", comment, requirements, ("WrongShares", "Contradiction"))


def _together() -> list[Json]:
    """Several lie at once: all owners that contradict themselves are blamed, and no holder of a true share."""
    made = []
    last: tuple[Dealt, Mapping[int, bytes]] = _at((8,), noise), {}
    first: tuple[Dealt, Mapping[int, bytes]] = _at((1,), noise), {}
    yes = ("S23", True)
    for name, comment, owners, lies, expected in (
        ("two", "Two owners.", {2: last, 7: first}, {}, {2: yes, 7: yes}),
        ("with-liar", "A holder lies about the owner, too: its share is not among those that are shown.",
         {2: last}, {2: ((3,), share(noise))}, {2: yes}),
        ("hides", "The holder of the share that is off lies about it: the others agree.", {2: last},
         {2: ((9,), share(added(1)))}, {}),
        ("too-few-too", "Of another owner too few shares fit: the session ends with A06.", {2: last},
         {5: ((1, 3, 4, 6), share(noise))}, {2: yes}),
        ("too-few-first", "Of an owner with a lower id too few shares fit.", {7: last},
         {1: ((2, 3, 4, 6), share(noise))}, {7: yes}),
        ("too-few", "Its own shares that fit are too few: nothing is known.", {2: last},
         {2: ((3, 4, 5, 6), share(noise))}, {}),
        ("others", "Holders lie about others, whose secrets are rebuilt.", {2: first},
         {1: ((3, 4), share(noise)), 9: ((2,), digest)}, {2: yes}),
    ):  # fmt: skip
        server = _played(_world(f"together {name}", NINE, 5), owners)
        told = _reveal(server, lies)
        outcome = server.close()
        if expected:
            blamed(server, outcome, expected, "A06")
            made.append(_case(server, f"together-{name}", comment))
        elif name == "hides":
            server.completed(outcome, NINE, told)
            case = server.case("server-contradicts-together-hides", comment, {"S53", *RIGHT}, ("WrongShares",))
            made.append(case)
        else:
            blamed(server, outcome, {}, "A05")
            id_ = "server-contradicts-together-too-few"
            made.append(server.case(id_, comment, {"A05", "R17", "R50", "R66"}, ("WrongShares",)))
    return made


# Lengths, and snapshots.


def _lengths() -> list[Json]:
    made = []
    plain = World("dealt/semi-honest", FIVE, threshold=2)

    def grow(_at: int, its: bytes) -> bytes:
        return its + bytes(32)

    shares: list[tuple[str, str, World, Callable[[int, bytes], bytes]]] = [
        ("no-digests", "Shares without digests, with signed dealings.", _world("no digests"), lambda at, its: its[:36]),
        ("digests", "Shares with digests, in a semi-honest session.", plain, grow),
        ("short", "Digests of 31 bytes.", _world("short digests"), lambda at, its: its[:-1]),
        ("mixed", "One share has a digest and the others have none.", _world("mixed"),
         lambda at, its: its[:36] if at else its),
    ]  # fmt: skip
    for name, comment, world, change in shares:
        server = ScriptedServer(world).play_to(UNMASKING)
        listed = enumerate(server.body(LIAR, UnmaskingResponse).seed_shares)
        changed = tuple(RevealedShare(its.owner, change(at, its.share)) for at, its in listed)
        server.dropped(LIAR, server.envelope(UnmaskingResponse(changed, ())), "S02")
        server.finish(world.clients)
        requirements = {"S02", "R19", "R29", "R55"}
        made.append(server.case(f"server-dealt-length-{name}", comment, requirements, ("Malformed",)))
    pairs: list[tuple[str, str, World, Callable[[int, bytes], bytes]]] = [
        ("no-commitments", "Pairs without commitments, with signed dealings.", _world("no commitments"),
         lambda at, its: its[:112]),
        ("one-without", "One pair has no commitment.", _world("one without"), lambda at, its: its if at else its[:112]),
        ("commitments", "Pairs with commitments, in a semi-honest session.", plain, grow),
    ]  # fmt: skip
    for name, comment, world, change in pairs:
        server = ScriptedServer(world).play_to(SHARES)
        body = server.body(LIAR, wire.ShareKeysResponse)
        sealed = tuple(replace(its, ciphertext=change(at, its.ciphertext)) for at, its in enumerate(body.ciphertexts))
        server.dropped(LIAR, server.envelope(replace(body, ciphertexts=sealed)), "S02")
        server.finish(set(world.clients) - {LIAR})
        requirements = {"S02", "R19", "R29", "R55"}
        made.append(server.case(f"server-dealt-length-{name}", comment, requirements, ("Malformed",)))
    return made


def _snapshots() -> list[Json]:
    """What was dealt is needed to the end."""
    made = []
    for phase in (INPUTS, CONFIRMATIONS, UNMASKING):
        server = ScriptedServer(_world(f"snapshot {phase}")).play_to(SHARES)
        its = server.insider(LIAR)
        server.play_round((), partial(_dealt_by, its))
        server.play_to(phase)
        server.snapshot_and_restore()
        server.play_to(UNMASKING)
        _reveal(server, {})
        if phase == UNMASKING:
            server.snapshot_and_restore()
        blamed(server, server.close(), {LIAR: ("S23", True)}, "A06")
        made.append(
            server.case(
                f"server-contradicts-after-{phase.lower().replace('_', '-')}",
                f"Frozen in {phase}: the owner is blamed all the same.",
                {"A06", "S23", "R66", "R32"},
                ("Snapshot", "Contradiction"),
                {"server_snapshots": True},
            )
        )
    return made


def _dealt_by(its: Insider, client: int, answer: bytes) -> bytes:
    return its.play.envelope(_deals(its, _at((4,), noise), {})) if client == its.client else answer
