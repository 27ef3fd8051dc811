"""Server scripts of signed dealings, complaints and blame (§6.2 to §6.4, §6.8, §6.9): S18, S21, S22, S32 to S34, A15.

What a session blames is computed here from who lied, and compared with what the script holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from protocol_specs.generate_vectors import forgeries
from protocol_specs.generate_vectors.client_play import UNFIT, changed, spoilt
from protocol_specs.generate_vectors.hybrid import NEEDS
from protocol_specs.generate_vectors.script import WrongScript
from protocol_specs.generate_vectors.scripted import DISCLOSURES, INPUTS, SHARES, ScriptedServer
from protocol_specs.generate_vectors.server_states import messages, world_of
from protocol_specs.generate_vectors.world import Insider, World, draw
from protocol_specs.reference import disclosures, evidence, signatures, wire
from protocol_specs.testee import conformance_pb2 as pb

Json = dict[str, Any]
Lies = Mapping[int, Collection[int]]

FIVE: Final = (1, 2, 3, 4, 5)
FOUR: Final = (1, 2, 3, 4)
LIAR: Final = 2
COMMON: Final = {"R55", "R58", "R66"}


def cases() -> list[Json]:
    """All cases of this topic."""
    return [
        *_keys(),
        *_dealings(),
        *_strangers(),
        *_withdrawn(),
        *_with_evidence(),
        *_disclosures(),
        *_hints(),
        *_ends(),
        *_cells(),
        *_snapshots(),
    ]


def active(name: str, clients: tuple[int, ...] = FIVE, threshold: int = 3, **options: Any) -> World:
    """An active world."""
    return World(f"complaints/{name}", clients, active=True, threshold=threshold, **options)


# Keys and dealings.


def _keys() -> list[Json]:
    made = []
    weak: dict[str, Callable[[Insider], bytes]] = {
        "twist": lambda its: (2).to_bytes(32, "little"),
        "mixed": lambda its: forgeries.mixed_key(its.channel_private),
    }
    for name, of in weak.items():
        server = ScriptedServer(active(f"key {name}", FOUR))
        server.give(1)
        its = server.insider(LIAR)
        message = server.envelope(wire.AdvertiseKeysResponse(its.advertisement(channel_public=of(its))))
        server.dropped(LIAR, message, "S18")
        server.receive(LIAR, server.answer(LIAR), "LATE")
        server.give(3, 4)
        server.aborted(server.close(), "A01")
        comment = f"Client 2's channel key is not provable: {name}."
        made.append(server.case(f"server-not-provable-{name}", comment, {"S18", "R29", "R58", "A01"}, ("WeakKey",)))
        for field, world in (("mask_public", active(f"mask {name}")), ("channel_public", World(f"key {name}", FIVE))):
            server = ScriptedServer(world)
            its = server.insider(LIAR)
            ad = its.advertisement(**{field: of(its)})
            server.receive(LIAR, server.envelope(wire.AdvertiseKeysResponse(ad)))
            server.give(1)
            who = "mask key of an active" if world.active else "channel key of a semi-honest"
            id_ = f"server-not-provable-{name}-{'mask' if world.active else 'semi-honest'}"
            made.append(
                server.case(id_, f"The {who} session need not be provable: {name}.", {"S18", "R58"}, ("Bound",))
            )
    return made


def _flipped(proof: bytes, at: int) -> bytes:
    return proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]


def _of_an_agreement(its: Insider) -> bytes:
    context = its.pair_from(1, bytes(144)).context
    return disclosures.prove(its.channel_private, its.advertisements[1].channel_public, context)


def _dealings() -> list[Json]:
    """What is signed in the place of the dealing (S21)."""
    made = []

    def signed(its: Insider, body: wire.ShareKeysResponse, of: Callable[[wire.ShareKeysResponse], Any]) -> bytes:
        return its.deal(of(body)).signature[:64]

    def moved(body: wire.ShareKeysResponse) -> tuple[wire.SealedShares, ...]:
        first, second, *rest = body.ciphertexts
        return replace(first, ciphertext=second.ciphertext), replace(second, ciphertext=first.ciphertext), *rest

    def by_another(its: Insider, body: wire.ShareKeysResponse) -> bytes:
        return signatures.sign(its.world.identity_key(1), its.dealing_text(body))

    def in_session(its: Insider, body: wire.ShareKeysResponse) -> bytes:
        return signatures.sign(its.world.identity_key(its.client), its.dealing_text(body, session=bytes(32)))

    def under_binding(its: Insider, body: wire.ShareKeysResponse) -> bytes:
        return signatures.sign(its.world.identity_key(its.client), its.dealing_text(body, binding=its.world.session))

    def forged(make: Callable[[bytes, bytes], bytes]) -> Callable[[Insider, wire.ShareKeysResponse], bytes]:
        return lambda its, body: make(its.world.identity_key(its.client), its.dealing_text(body))

    def large(its: Insider, body: wire.ShareKeysResponse) -> bytes:
        return forgeries.with_large_scalar(its.deal(body.ciphertexts).signature[:64])

    lies: dict[str, tuple[str, Callable[[Insider, wire.ShareKeysResponse], bytes]]] = {
        "none": ("no signature", lambda its, body: b""),
        "zero": ("zeros", lambda its, body: bytes(64)),
        "other-pairs": ("the same with two pairs exchanged", lambda its, body: signed(its, body, moved)),
        "fewer": ("all pairs but one", lambda its, body: signed(its, body, lambda b: b.ciphertexts[1:])),
        "signer": ("the same, by another", by_another),
        "advertisement": ("its advertisement", lambda its, body: its.advertisement().signature),
        "session": ("the same in another session", in_session),
        "binding": ("the same under another binding", under_binding),
        "large-s": ("S + L in the place of S", large),
        "neutral-r": ("an R that is the neutral element", forged(forgeries.with_neutral_r)),
        "cofactor": ("an R with a part of low order", forged(forgeries.with_low_order_part)),
    }  # fmt: skip
    for name, (comment, lie) in lies.items():
        server = ScriptedServer(active("dealing")).play_to(SHARES)
        server.give(1)
        body = server.body(LIAR, wire.ShareKeysResponse)
        its = server.insider(LIAR)
        signature = lie(its, body)
        message = server.envelope(replace(body, signature=signature and signature + its.possession()))
        server.dropped(LIAR, message, "S21")
        server.receive(LIAR, server.answer(LIAR), "LATE")
        if name == "none":
            server.finish({1, 3, 4, 5})
        requirements = {"S21", "R13", "R29", "R58", *(("R55",) if name == "none" else ())}
        made.append(server.case(f"server-dealing-{name}", f"Client 2 signs {comment}.", requirements, ("Signature",)))
    for name, comment, shown in (
        ("zero", "zeros", lambda its: bytes(128)),
        ("elsewhere", "a proof of another session", lambda its: its.possession(session=bytes(32))),
        ("binding", "a proof under another binding", lambda its: its.possession(binding=its.world.session)),
        ("dealer", "a proof in another's name", lambda its: its.possession(dealer=1)),
        ("challenge", "a proof with one bit of e changed", lambda its: _flipped(its.possession(), 64)),
        ("response", "a proof with one bit of z changed", lambda its: _flipped(its.possession(), 96)),
        ("disclosure", "a proof of its agreement with client 1", lambda its: _of_an_agreement(its)),
    ):  # fmt: skip
        server = ScriptedServer(active("dealing")).play_to(SHARES)
        body = server.body(LIAR, wire.ShareKeysResponse)
        forged_body = replace(body, signature=body.signature[:64] + shown(server.insider(LIAR)))
        server.dropped(LIAR, server.envelope(forged_body), "S21")
        server.receive(LIAR, server.answer(LIAR), "LATE")
        comment = f"Client 2 shows {comment} in the place of one that it has its channel private key."
        made.append(server.case(f"server-possession-{name}", comment, {"S21", "R29", "R58"}, ("Signature",)))
    for name, world, needs in (
        ("semi-honest", World("complaints/unsigned", FIVE), None),
        ("hybrid", active("hybrid unsigned", (1, 2, 3), 2, options=NEEDS), NEEDS),
    ):
        server = ScriptedServer(world).play_to(SHARES)
        body = server.body(LIAR, wire.ShareKeysResponse)
        server.dropped(LIAR, server.envelope(replace(body, signature=bytes(192))), "S21")
        server.play_round()
        comment = "Client 2 signs its dealing, in a session without signed dealings."
        made.append(server.case(f"server-dealing-in-{name}", comment, {"S21", "R29"}, ("Signature",), needs))
    return made


# Complaints.


def _complained(
    world: World,
    dealt: Lies,
    said: Lies | None = None,
    silent: Collection[int] = (),
    unfit: Callable[[Insider, int, bytes], bytes] | None = None,
) -> ScriptedServer:
    """A session to the end of its inputs; `dealt` has who sealed garbage for whom, `said` who complains falsely.

    `unfit` makes of the pair that a dealer sealed another one, in the place of garbage.
    """
    server = ScriptedServer(world).play_to(SHARES)

    def deal(client: int, answer: bytes) -> bytes:
        return spoilt(server.insider(client), answer, dealt.get(client, ()), unfit) or answer

    def complain(client: int, answer: bytes) -> bytes:
        return server.envelope(wire.Complaint(tuple(sorted(said[client])))) if said and client in said else answer

    server.play_round((), deal)
    server.play_round(silent, complain)
    return server


def _strangers() -> list[Json]:
    made = []
    for name, comment, accused in (
        ("nobody", "nobody", ()),
        ("itself", "itself", (LIAR,)),
        ("stranger", "a client outside of the cohort", (77,)),
        ("not-advertised", "a client that did not advertise", (4,)),
        ("no-sharer", "a client that did not share keys", (5,)),
        ("and-others", "somebody who shared keys and somebody who did not", (1, 5)),
    ):
        gone = any(client in accused for client in (4, 5))
        server = ScriptedServer(active("stranger", tuple(range(1, 8)) if gone else FIVE, 4 if gone else 3))
        server.play_round((4,) if gone else ())
        server.play_round((5,) if gone else ())
        server.give(1)
        server.dropped(LIAR, server.envelope(wire.Complaint(accused)), "S32")
        server.receive(LIAR, server.answer(LIAR), "LATE")
        if gone:
            server.aborted(server.play_round(), "A03")
        else:
            server.finish({1, 3, 4, 5})
        requirements = {"S32", "R29", "R56", *({"S01", "A03"} if gone else {"R55"})}
        made.append(server.case(f"server-accused-{name}", f"Client 2 accuses {comment}.", requirements, ("Stranger",)))
    world = World("complaints/sparse stranger", (1, 2, 3, 4, 5, 6, 7), threshold=2, degree=4)
    server = ScriptedServer(world).play_to(INPUTS)
    shown = {pair.client for pair in server.play.request(LIAR).ciphertexts}
    stranger = next(client for client in world.clients if client != LIAR and client not in shown)
    server.dropped(LIAR, server.envelope(wire.Complaint((stranger,))), "S32")
    comment = "In a sparse graph client 2 accuses a client that is no neighbour."
    return [*made, server.case("server-accused-not-a-neighbour", comment, {"S32", "R29"}, ("Stranger", "SparseGraph"))]


def _withdrawn() -> list[Json]:
    """A complaint of a client that loses its place is none."""
    made = []
    for name, comment, make, rules in (
        ("abort", "aborts", lambda server: server.envelope(wire.Abort("A10")), ("S06",)),
        ("input", "sends an input", lambda server: server.answer(LIAR), ("S05",)),
        ("other", "accuses others", lambda server: server.envelope(wire.Complaint((1,))), ("S05",)),
        ("malformed", "sends noise", lambda server: b"noise", ("S02",)),
    ):
        server = ScriptedServer(active("withdrawn")).play_to(INPUTS)
        complaint = server.envelope(wire.Complaint((1, 3)))
        server.receive(LIAR, complaint)
        server.receive(LIAR, complaint, "REPEATED")
        server.dropped(LIAR, make(server), *rules)
        server.receive(LIAR, complaint, "LATE")
        server.finish({1, 3, 4, 5})
        comment = f"Client 2 complains and {comment}: the session goes on without it."
        made.append(server.case(f"server-withdrawn-{name}", comment, {*rules, "R55", "R56", "R66"}, ("SecondAnswer",)))
    server = ScriptedServer(active("after input")).play_to(INPUTS)
    server.give(LIAR)
    server.dropped(LIAR, server.envelope(wire.Complaint((1,))), "S05")
    server.finish(FIVE)
    comment = "Client 2 sends its input and complains: its input stays, its complaint is none."
    return [*made, server.case("server-complaint-after-input", comment, {"S05", "R55", "R66"}, ("SecondAnswer",))]


def blamed(
    server: ScriptedServer, outcome: pb.Outcome, expected: Mapping[int, tuple[str, bool]], reason: str = "A15"
) -> None:
    """The session has ended for this reason with this blame, whose evidence holds; raises `WrongScript`."""
    server.aborted(outcome, reason)
    found = {blame.client: (blame.rule, blame.HasField("evidence")) for blame in outcome.blame}
    if found != expected or [blame.client for blame in outcome.blame] != sorted(expected):
        raise WrongScript(f"{found} instead of {expected}")
    for blame in outcome.blame:
        if blame.HasField("evidence"):
            verdict = evidence.judge(blame.evidence, server.world.roster)
            if verdict != (blame.client, blame.rule):
                raise WrongScript(f"the evidence is against {verdict}")


def _disclosed(server: ScriptedServer, client: int) -> tuple[wire.Disclosure, ...]:
    """The true proofs of a client, honest or not, for what it is asked."""
    its = server.insider(client)
    pairs = {pair.client: pair.ciphertext for pair in _sent_to(server, client)}
    asked = server.play.request(client).dealings
    return tuple(its.disclose(its.pair_from(dealing.client, pairs[dealing.client])) for dealing in asked)


def _sent_to(server: ScriptedServer, client: int) -> tuple[wire.SealedShares, ...]:
    body = wire.decode_request(server.play.history[INPUTS][0][client]).body
    if not isinstance(body, wire.MaskedInputCollectionRequest):
        raise WrongScript("no pairs were sent")
    return body.ciphertexts


def _disclose(server: ScriptedServer, client: int) -> None:
    server.receive(client, server.envelope(wire.DisclosureResponse(_disclosed(server, client))))


def _with_evidence() -> list[Json]:
    made = []
    many = tuple(range(1, 19))
    dealer, liar = ("S22", True), ("S33", True)
    sessions: list[tuple[str, str, World, Lies, Lies, dict[int, tuple[str, bool]]]] = [
        ("one", "One dealer seals garbage for one.", active("one", FOUR), {2: (4,)}, {}, {2: dealer}),
        ("all", "One dealer seals garbage for all.", active("all", FOUR), {2: (1, 3, 4)}, {}, {2: dealer}),
        ("two", "Two dealers, one for each other.", active("two", FOUR), {2: (4,), 4: (2,)}, {},
         {2: dealer, 4: dealer}),
        ("several", "Three of seven deal garbage to some.", active("several", tuple(range(1, 8)), 5),
         {1: (7,), 5: (2, 3), 7: (1,)}, {}, {1: dealer, 5: dealer, 7: dealer}),
        ("false", "Client 3 complains of pairs that are right.", active("false"), {}, {3: (1, 5)}, {3: liar}),
        ("false-and-true", "A dealer of garbage, and one that complains of nothing.", active("false and true"),
         {1: (4,)}, {5: (2,)}, {1: dealer, 5: liar}),
        ("dealer-complains", "Client 5 deals garbage to 4, and complains of nothing: the first finding counts.",
         active("both"), {5: (4,)}, {5: (2,)}, {5: dealer}),
        ("complainer-deals", "Client 1 complains of nothing, and dealt garbage to 4: the first finding counts.",
         active("both again"), {1: (4,)}, {1: (2,)}, {1: liar}),
        ("mixed-complaint", "Client 3 complains of one bad pair and one good one.", active("mixed", FOUR),
         {1: (3,)}, {3: (1, 2)}, {1: dealer, 3: liar}),
        ("nine", "Client 10 complains of nine dealers: it is asked about the first eight.",
         active("nine", tuple(range(1, 11)), 6), dict.fromkeys(range(1, 10), (10,)), {},
         dict.fromkeys(range(1, 9), dealer)),
        ("blocks", "Entries in both blocks of two.", active("two blocks", many, 10),
         {3: (1, 18), 18: (17,)}, {}, {3: dealer, 18: dealer}),
        ("ids", "Ids at the ends of 64 bits.", active("ids", (0, 1, 2**63, 2**64 - 1), 3),
         {0: (2**64 - 1,), 2**64 - 1: (0,)}, {}, {0: dealer, 2**64 - 1: dealer}),
    ]  # fmt: skip
    for name, comment, world, dealt, said, expected in sessions:
        server = _complained(world, dealt, said)
        if server.phase != DISCLOSURES:
            raise WrongScript(f"{server.phase} instead of {DISCLOSURES}")
        for client in server.waiting:
            _disclose(server, client)
        blamed(server, server.close(), expected)
        requirements = {"A15", *COMMON, *(rule for rule, _ in expected.values())}
        made.append(server.case(f"server-blames-{name}", comment, requirements, ("Garbage",)))
    server = _noncanonical(active("canonical", FOUR))
    _disclose(server, 4)
    blamed(server, server.close(), {LIAR: dealer})
    for name, comment, unfit in UNFIT:
        server = _complained(active(f"unfit {name}", FOUR), {LIAR: (4,)}, unfit=unfit)
        _disclose(server, 4)
        blamed(server, server.close(), {LIAR: dealer})
        requirements = {"A15", "S22", *COMMON}
        made.append(
            server.case(f"server-blames-unfit-{name}", f"A pair opens, and {comment}.", requirements, ("Garbage",))
        )
    comment = "A pair opens, and one share has an element of p."
    made.append(server.case("server-blames-not-canonical", comment, {"A15", "S22", *COMMON}, ("NonCanonicalShare",)))
    return made


def _noncanonical(world: World) -> ScriptedServer:
    server = ScriptedServer(world).play_to(SHARES)

    def deal(client: int, answer: bytes) -> bytes:
        if client != LIAR:
            return answer
        its, body = server.insider(client), wire.decode_for_server(answer).body
        if not isinstance(body, wire.ShareKeysResponse):
            raise WrongScript("no dealing")
        bad = its.seal(4, bytes(70) + (65521).to_bytes(2, "big"))
        return server.envelope(its.deal(changed(body.ciphertexts, 4, ciphertext=bad)))

    server.play_round((), deal)
    server.play_round()
    return server


def _disclosures() -> list[Json]:
    """Disclosures that do not show what was asked (S34), and complainers that say nothing."""
    made = []

    def other_pair(server: ScriptedServer) -> tuple[wire.Disclosure, ...]:
        its, proofs = server.insider(3), _disclosed(server, 3)
        return its.disclose(its.pair_from(1, draw("another pair", 144))), *proofs[1:]

    def by_other(server: ScriptedServer) -> tuple[wire.Disclosure, ...]:
        proofs = _disclosed(server, 3)
        pair = server.insider(3).pair_from(1, _sent_to(server, 3)[0].ciphertext)
        return server.insider(4).disclose(pair), *proofs[1:]

    def flipped(server: ScriptedServer) -> tuple[wire.Disclosure, ...]:
        first, second = _disclosed(server, 3)
        return first, replace(second, proof=second.proof[:-1] + bytes([second.proof[-1] ^ 1]))

    def renamed(server: ScriptedServer) -> tuple[wire.Disclosure, ...]:
        first, second = _disclosed(server, 3)
        return first, replace(second, client=4)

    def exchanged(server: ScriptedServer) -> tuple[wire.Disclosure, ...]:
        first, second = _disclosed(server, 3)
        return replace(first, proof=second.proof), replace(second, proof=first.proof)

    lies: list[tuple[str, str, Callable[[ScriptedServer], tuple[wire.Disclosure, ...]]]] = [
        ("none", "nothing", lambda server: ()),
        ("first", "the first of two", lambda server: _disclosed(server, 3)[:1]),
        ("second", "the second of two", lambda server: _disclosed(server, 3)[1:]),
        ("renamed", "another client's agreement in the place of one", renamed),
        ("exchanged", "the two proofs exchanged", exchanged),
        ("zeros", "proofs of zeros", lambda server: tuple(wire.Disclosure(c, bytes(128)) for c in (1, 2))),
        ("bit", "a bit of the last proof flipped", flipped),
        ("other-pair", "a proof about another pair", other_pair),
        ("other-prover", "a proof of another's agreement", by_other),
    ]
    for name, comment, lie in lies:
        server = _complained(active("disclosure", FOUR), {1: (3, 4), 2: (3,)})
        server.dropped(3, server.envelope(wire.DisclosureResponse(lie(server))), "S34")
        server.receive(3, server.answer(3), "LATE")
        server.give(4)
        blamed(server, server.close(), {1: ("S22", True), 3: ("S34", False)})
        comment = f"Client 3 discloses {comment}: it is out, and what client 4 discloses counts."
        made.append(
            server.case(f"server-discloses-{name}", comment, {"S34", "R29", "A15", "S22", *COMMON}, ("Disclosure",))
        )
    for name, comment, told in (
        ("silent", "does not answer", None),
        ("aborts", "aborts", wire.Abort("A10")),
        ("aborts-after", "aborts after its disclosure", wire.Abort("A10")),
    ):
        server = _complained(active("silent", FOUR), {1: (3,)})
        if name == "aborts-after":
            server.give(3)
        if told is not None:
            server.dropped(3, server.envelope(told), "S06")
        blamed(server, server.close(), {3: ("S34", False)})
        rule = "S01" if told is None else "S06"
        comment = f"Client 3 complains and {comment}: it is named, without evidence."
        made.append(server.case(f"server-complainer-{name}", comment, {rule, "S34", "A15", *COMMON}, ("Dropout",)))
    server = _complained(active("silent dealer", FOUR), {1: (3,), 3: (4,)})
    server.give(4)
    blamed(server, server.close(), {3: ("S22", True)})
    comment = "Client 3 does not disclose, and is shown to have dealt garbage: evidence counts before a hint."
    requirements = {"S01", "S34", "S22", "A15", *COMMON}
    made.append(server.case("server-complainer-deals", comment, requirements, ("Dropout",)))
    server = _complained(active("twice", FOUR), {1: (3,)})
    server.give(3)
    server.receive(3, server.answer(3), "REPEATED")
    server.dropped(3, server.envelope(wire.DisclosureResponse(())), "S05")
    blamed(server, server.close(), {3: ("S34", False)})
    comment = "Client 3 discloses twice the same, and then nothing: its disclosure is withdrawn."
    return [
        *made,
        server.case("server-discloses-twice", comment, {"S05", "S34", "A15", "R56", *COMMON}, ("SecondAnswer",)),
    ]


def _hints() -> list[Json]:
    """Without signed dealings who is named follows from the graph of complaints."""
    made = []
    seven = tuple(range(1, 8))
    sessions: list[tuple[str, str, Lies, Lies, dict[int, str]]] = [
        ("dealer", "A dealer of garbage for three.", {2: (1, 3, 7)}, {}, {2: "S22"}),
        ("false", "A client that complains of three.", {}, {4: (1, 2, 3)}, {4: "S33"}),
        ("one", "One complaint: of two ends the one to which it points.", {5: (2,)}, {}, {5: "S22"}),
        ("mutual", "Two that complain of each other: the larger id.", {2: (6,), 6: (2,)}, {}, {6: "S22"}),
        ("chain", "A chain of complaints: 1 of 2, 2 of 3, 3 of 4.", {}, {1: (2,), 2: (3,), 3: (4,)},
         {3: "S22", 2: "S22"}),
        ("two", "Two dealers, and one that complains of many.", {1: (2, 3), 7: (2, 6)}, {4: (3, 5, 6)},
         {1: "S22", 4: "S33", 7: "S22"}),
        ("star", "A client that complains of one dealer and of two others.", {6: (1, 2)}, {3: (4, 5, 6)},
         {6: "S22", 3: "S33"}),
    ]  # fmt: skip
    for name, comment, dealt, said, expected in sessions:
        server = ScriptedServer(World(f"complaints/hints/{name}", seven))
        outcome = _to_hints(server, dealt, said)
        blamed(server, outcome, {client: (rule, False) for client, rule in expected.items()})
        requirements = {"A15", "R55", "R66", *expected.values()}
        made.append(server.case(f"server-hint-{name}", comment, requirements, ("Garbage",)))
    server = ScriptedServer(active("hybrid hints", (1, 2, 3), 2, options=NEEDS))
    blamed(server, _to_hints(server, {2: (1, 3)}, {}), {2: ("S22", False)})
    comment = "A dealer of garbage in the active model, whose suite has a KEM."
    made.append(server.case("server-hint-hybrid", comment, {"A15", "S22", "R55", "R66"}, ("Garbage",), NEEDS))
    world = World("complaints/hints/sparse", seven, threshold=2, degree=4)
    server = ScriptedServer(world)
    neighbours = sorted(server.play.server._neighbours[2])
    outcome = _to_hints(server, {2: neighbours[:3]}, {})
    blamed(server, outcome, {2: ("S22", False)})
    comment = "A dealer of garbage in a sparse graph."
    requirements = {"A15", "S22", "R55", "R66"}
    return [*made, server.case("server-hint-sparse", comment, requirements, ("Garbage", "SparseGraph"))]


def _to_hints(server: ScriptedServer, dealt: Lies, said: Lies) -> pb.Outcome:
    """Play to the end of the inputs, with which a session without signed dealings ends."""
    server.play_to(SHARES)

    def deal(client: int, answer: bytes) -> bytes:
        return spoilt(server.insider(client), answer, dealt.get(client, ())) or answer

    def complain(client: int, answer: bytes) -> bytes:
        return server.envelope(wire.Complaint(tuple(sorted(said[client])))) if client in said else answer

    server.play_round((), deal)
    return server.play_round((), complain)


def _ends() -> list[Json]:
    """Who is told what, and what a complaint comes before."""
    made = []
    server = _complained(active("told", FOUR), {1: (3,)})
    server.give(3)
    outcome = server.close()
    if [told.client for told in outcome.requests] != list(FOUR):
        raise WrongScript("not everybody is told")
    comment = "Everybody is told A15, and nobody who is blamed."
    made.append(server.case("server-complaint-told", comment, {"A15", "R33", *COMMON}, ("Ended",)))
    server = _complained(active("host", FOUR), {1: (3,)})
    server.give(3)
    outcome = server.end()
    if [told.client for told in outcome.requests] != list(FOUR) or outcome.blame:
        raise WrongScript("the host's end blames")
    comment = "The host ends the session before the disclosures count: everybody is told A10, and nobody is blamed."
    made.append(server.case("server-complaint-host-ends", comment, {"A10", "R33"}, ("Ended",)))
    server = _complained(active("few", threshold=4), {1: (3,)}, silent=(4, 5))
    server.give(3)
    blamed(server, server.close(), {1: ("S22", True)})
    comment = "Too few inputs for a sum, and a complaint: it counts before A03."
    made.append(server.case("server-complaint-before-a03", comment, {"A15", "S01", "S22", *COMMON}, ("Bound",)))
    server = ScriptedServer(World("complaints/few", FIVE))
    server.play_to(SHARES)

    def deal(client: int, answer: bytes) -> bytes:
        return (client == 1 and spoilt(server.insider(client), answer, (3,))) or answer

    server.play_round((), deal)
    blamed(server, server.play_round((2, 4, 5)), {1: ("S22", False)})
    comment = "Too few inputs and a complaint, in a semi-honest session; whoever was silent is told, too."
    made.append(server.case("server-hint-before-a03", comment, {"A15", "S01", "S22", "R55", "R66"}, ("Bound",)))
    server = _complained(active("waiting", FOUR), {1: (3,)})
    for client in (1, 2, 4):
        server.receive(client, server.envelope(wire.Abort("A10")), "LATE")
        server.receive(client, b"noise", "LATE")
    server.give(3)
    blamed(server, server.close(), {1: ("S22", True)})
    comment = "While a complainer is asked, all others' messages are late."
    made.append(server.case("server-complaint-waiting", comment, {"A15", "S22", "R56", *COMMON}, ("LateMessage",)))
    return made


def _cells() -> list[Json]:
    """Every message in COLLECTING_DISCLOSURES (§7.2)."""
    made = []
    late = ("AdvertiseKeysResponse", "ShareKeysResponse", "MaskedInputCollectionResponse", "Complaint")
    for name, rule in (("ConsistencyCheckResponse", "S03"), ("UnmaskingResponse", "S03"), ("Abort", "S06")):
        server = _complained(world_of(True, "complaints/cells"), {1: (3,)})
        said = messages(server, 3)
        server.dropped(3, said[name], rule)
        blamed(server, server.close(), {3: ("S34", False)})
        comment = f"active, {DISCLOSURES}: {name} costs its client its place."
        made.append(
            server.case(f"server-cell-disclosures-{name}", comment, {rule, "R29", "R55", "A15"}, ("StateTable",))
        )
    server = _complained(world_of(True, "complaints/cells"), {1: (3,)})
    said = messages(server, 3)
    for name in late:
        server.receive(3, said[name], "LATE")
    server.give(3)
    for name in late:
        server.receive(3, said[name], "LATE")
    blamed(server, server.close(), {1: ("S22", True)})
    comment = f"active, {DISCLOSURES}: the disclosure counts; messages of earlier rounds are late."
    requirements = {"R29", "R56", "A15", *COMMON}
    made.append(server.case("server-cell-disclosures-accepted-and-late", comment, requirements, ("StateTable",)))
    server = _complained(world_of(True, "complaints/cells"), {1: (3,)})
    server.give(3)
    server.close()
    for message in messages(server, 3).values():
        server.receive(3, message, "LOCAL_ERROR")
    server.script.close_round("LOCAL_ERROR")
    comment = "After A15 every message and every wish of the host is refused."
    return [*made, server.case("server-ended-a15", comment, {"R29", "A15"}, ("StateTable", "Ended"))]


def _snapshots() -> list[Json]:
    made = []
    for name in ("inputs", "disclosures", "answered"):
        server = _complained_to(name)
        if name == "answered":
            server.give(3)
        server.snapshot_and_restore()
        if name == "inputs":
            server.play_round()
        if name != "answered":
            server.give(3)
        server.give(4)
        blamed(server, server.close(), {1: ("S22", True)})
        comment = f"Frozen with complaints: {name}."
        needs = {"server_snapshots": True}
        made.append(server.case(f"server-complaint-snapshot-{name}", comment, {"A15", *COMMON}, ("Snapshot",), needs))
    return made


def _complained_to(name: str) -> ScriptedServer:
    world = active("snapshots", FOUR)
    if name != "inputs":
        return _complained(world, {1: (3, 4)})
    server = ScriptedServer(world).play_to(SHARES)

    def deal(client: int, answer: bytes) -> bytes:
        return (client == 1 and spoilt(server.insider(client), answer, (3, 4))) or answer

    server.play_round((), deal)
    server.give(3)
    return server
