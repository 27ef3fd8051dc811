"""Every rule of the validation table is broken by somebody here (Specification §8).

One scenario for each member of `Violation`, `DropReason` and `AbortReason`, all through the public API; a test
checks that none is missing. A new rule needs a new line in one of the tables below.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

import secagg.protocol.client
import secagg.protocol.server
from secagg import (
    AbortReason,
    ClientPhase,
    ClientPolicy,
    ClientSession,
    DropReason,
    FixedPoint,
    Integers,
    PeerMisbehaved,
    RemoteProtocolError,
    Round,
    SecAggError,
    SecretBytes,
    ServerPhase,
    SessionAbortedError,
    SessionOffer,
    ThreatModel,
    TopologyKind,
    Violation,
)
from secagg.crypto import dealing
from secagg.encoding.layout import Layout
from secagg.protocol.messages import (
    Abort,
    AdvertiseKeysResponse,
    Complaint,
    ConsistencyCheckResponse,
    Dealing,
    DisclosureRequest,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.wire.codec import encode, encode_offer
from tests.adversarial.tools import (
    CountingSource,
    Insider,
    canonical_noise,
    drops,
    inconsistent,
    refused,
    ring_of,
)
from tests.dealers import COMMITTED_GARBAGE, false_complaint, garbage_from, pretend_to_complain
from tests.harness import Harness, alter, decode_answer, decode_request

MEAN: Final = FixedPoint(4, clip=1.0, bits=8, aggregate="mean")
MAX_WEIGHT: Final = 10
ZERO_POINT: Final = bytes(32)
TWIST_POINT: Final = bytes([5]) + bytes(31)
UNREDUCED_POINT: Final = bytes([0xED]) + bytes([0xFF]) * 30 + bytes([0x7F])
NON_CANONICAL_SHARE: Final = b"\xff\xff" + canonical_noise("share")[2:]


# ----- what a client refuses in an offer -----


def low(**changes: Any) -> ClientPolicy:
    return ClientPolicy(**{"minimum_cohort": 2, "minimum_threshold": 1, **changes})


def impossible(harness: Harness) -> bytes:
    """The honest offer with a version that no library speaks."""
    offer = bytearray(harness.server.offer)
    at = bytes(offer).index(harness.parameters.encode()) + 8
    offer[at] += 1
    return bytes(offer)


OfferScenario = Callable[[], ClientSession]


def offered(harness: Harness, client: int = 1, **changes: Any) -> ClientSession:
    return harness.make_client(client, **changes)


OFFERS: Final[dict[Violation, OfferScenario]] = {
    Violation.OFFER_PARAMETERS_INVALID: lambda: ClientSession(impossible(Harness(5)), 1, policy=low()),
    Violation.OFFER_COHORT_BELOW_POLICY: lambda: offered(Harness(4), policy=low(minimum_cohort=5)),
    Violation.OFFER_COHORT_ABOVE_POLICY: lambda: offered(Harness(5), policy=low(maximum_cohort=4)),
    Violation.OFFER_THRESHOLD_BELOW_POLICY: lambda: offered(Harness(5, threshold=2), policy=low(minimum_threshold=3)),
    Violation.OFFER_MINIMUM_CONTRIBUTORS_BELOW_POLICY: lambda: offered(
        Harness(5, minimum_contributors=2), policy=low(minimum_contributors=3)
    ),
    Violation.OFFER_THREAT_MODEL_NOT_ALLOWED: lambda: offered(Harness(5), policy=low(threat_model=ThreatModel.ACTIVE)),
    Violation.OFFER_TOPOLOGY_NOT_ALLOWED: lambda: offered(
        Harness(8, topology="sparse", degree=4, threshold=2), policy=low(topologies=frozenset({TopologyKind.COMPLETE}))
    ),
    Violation.OFFER_SUITE_NOT_ALLOWED: lambda: offered(
        Harness(5, suite=1), policy=low(suites=frozenset({secagg.SuiteId.X25519_AEGIS128X2}))
    ),
    Violation.OFFER_VECTOR_ABOVE_POLICY: lambda: offered(
        Harness(5, vectors={"v": Integers(0, 1, 10_000)}), policy=low(maximum_words=10)
    ),
    Violation.OFFER_CONTEXT_NOT_EXPECTED: lambda: offered(Harness(5, context=b"a"), policy=low(context=b"b")),
    Violation.OFFER_VECTORS_NOT_EXPECTED: lambda: offered(
        Harness(5, vectors={"v": Integers(4, 5, 1)}), policy=low(vectors={"v": Integers(0, 9, 1)})
    ),
    Violation.OFFER_MAX_WEIGHT_NOT_EXPECTED: lambda: offered(
        Harness(5, vectors={"m": MEAN}, max_weight=9), policy=low(max_weight=10)
    ),
    Violation.OFFER_COHORT_WITHOUT_THIS_CLIENT: lambda: ClientSession(Harness(5).server.offer, 6, policy=low()),
    Violation.OFFER_COHORT_MEMBER_NOT_IN_ROSTER: lambda: stranger_in_the_cohort(),
}


def stranger_in_the_cohort() -> ClientSession:
    harness = Harness(5, threat_model="active")
    wider = Harness(range(1, 7), threat_model="active")
    offer = encode_offer(SessionOffer(wider.parameters))
    return harness.make_client(1, offer)


# ----- what a client refuses in a request -----


@dataclass(frozen=True)
class Lie:
    """A server's lie to client 1: in which session and round, and the request that client 1 gets."""

    round: Round
    tell: Callable[[Harness], bytes]
    model: str = "active"
    options: tuple[tuple[str, Any], ...] = ()
    silent: tuple[tuple[Round, tuple[int, ...]], ...] = ()


def list_with(harness: Harness, **changes: Any) -> bytes:
    """Client 5's entry replaced by one that client 5, being corrupt, signed itself."""
    *others, _ = decode_request(harness.requests[1]).advertisements
    return alter(harness.requests[1], advertisements=(*others, Insider(harness, 5).advertise(**changes)))


def own_entry(harness: Harness, **changes: Any) -> bytes:
    own, *others = decode_request(harness.requests[1]).advertisements
    return alter(harness.requests[1], advertisements=(replace(own, **changes), *others))


def without(harness: Harness, field: str, *positions: int) -> bytes:
    listed = getattr(decode_request(harness.requests[1]), field)
    return alter(harness.requests[1], **{field: tuple(e for at, e in enumerate(listed) if at not in positions)})


def sealed_by_five(harness: Harness, pair: bytes) -> bytes:
    *others, _ = decode_request(harness.requests[1]).ciphertexts
    return alter(harness.requests[1], ciphertexts=(*others, (5, Insider(harness, 5).seal(1, pair))))


def renamed(harness: Harness, field: str, name: int) -> bytes:
    *others, (_, value) = getattr(decode_request(harness.requests[1]), field)
    return alter(harness.requests[1], **{field: (*others, (name, value))})


def contributors(*clients: int) -> Callable[[Harness], bytes]:
    return lambda harness: alter(harness.requests[1], contributors=clients)


def sets(survivors: tuple[int, ...], dropped: tuple[int, ...] = ()) -> Callable[[Harness], bytes]:
    return lambda harness: alter(harness.requests[1], survivors=survivors, dropped=dropped)


def after_the_answer(harness: Harness) -> bytes:
    harness.clients[1].receive(harness.requests[1])
    return alter(harness.requests[1], confirmations=())


def five_signs(harness: Harness, *clients: int) -> bytes:
    *others, _ = decode_request(harness.requests[1]).confirmations
    return alter(harness.requests[1], confirmations=(*others, (5, Insider(harness, 5).confirm(clients))))


def stranger_signs(harness: Harness) -> bytes:
    first, *_ = decode_request(harness.requests[1]).confirmations
    return alter(harness.requests[1], confirmations=(first, (9, bytes(64))))


def complained(harness: Harness) -> bytes:
    """Client 1 cannot read what client 5 dealt to it, and is asked to show it."""
    harness.play_round(on_answer=garbage_from(harness, {5: [1]}))
    harness.play_round()
    return harness.requests[1]


def shown_with(harness: Harness, **changes: Any) -> bytes:
    request = complained(harness)
    (shown,) = decode_request(request).dealings
    return alter(request, dealings=(replace(shown, **changes),))


def dealt_with_a_key_of_the_twist(harness: Harness) -> bytes:
    """Client 5 and the server: client 1 alone is shown a channel key of which no agreement can be proved."""
    client, insider = harness.clients[1], harness.identities[5]
    client.receive(list_with(harness, channel_public=TWIST_POINT))
    pairs = tuple((sender, COMMITTED_GARBAGE) for sender in (2, 3, 4, 5))
    client.receive(encode(MaskedInputCollectionRequest(harness.session, pairs)))
    state: Any = client._state
    entry = dealing.dealt_entry(1, state.channel_key.public, COMMITTED_GARBAGE)
    digests = dealing.digests_of([entry])
    signature = insider.sign(dealing.dealing_text(harness.session, state.binding, 5, TWIST_POINT, digests))
    return encode(DisclosureRequest(harness.session, (Dealing(5, entry, digests, signature + bytes(128)),)))


R = Round
FLOOR_5: Final = (("threshold", 2), ("minimum_contributors", 5))
LIES: Final[dict[Violation, Lie]] = {
    Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE: Lie(
        R.ADVERTISE_KEYS, lambda h: encode(ShareKeysRequest(h.session, ()))
    ),
    Violation.MESSAGE_OF_ANOTHER_SESSION: Lie(R.SHARE_KEYS, lambda h: alter(h.requests[1], session=bytes(32))),
    Violation.ADVERTISEMENT_OF_A_STRANGER: Lie(R.SHARE_KEYS, lambda h: list_with(h, client=9)),
    Violation.OWN_ADVERTISEMENT_MISSING: Lie(R.SHARE_KEYS, lambda h: without(h, "advertisements", 0)),
    Violation.OWN_ADVERTISEMENT_CHANGED: Lie(R.SHARE_KEYS, lambda h: own_entry(h, commitment=bytes(32))),
    Violation.PUBLIC_KEY_REPEATED: Lie(
        R.SHARE_KEYS, lambda h: list_with(h, mask_public=Insider(h, 5).channel_key.public)
    ),
    Violation.PUBLIC_KEY_OF_LOW_ORDER: Lie(R.SHARE_KEYS, lambda h: list_with(h, channel_public=ZERO_POINT)),
    Violation.PUBLIC_KEY_NOT_CANONICAL: Lie(R.SHARE_KEYS, lambda h: list_with(h, mask_public=UNREDUCED_POINT)),
    Violation.ADVERTISEMENT_SIGNATURE_INVALID: Lie(R.SHARE_KEYS, lambda h: list_with(h, session=bytes(32))),
    Violation.ADVERTISED_BELOW_THRESHOLD: Lie(R.SHARE_KEYS, lambda h: without(h, "advertisements", 3, 4)),
    Violation.CIPHERTEXT_OF_A_STRANGER: Lie(R.MASKED_INPUT, lambda h: renamed(h, "ciphertexts", 9)),
    Violation.SHARERS_BELOW_THRESHOLD: Lie(R.MASKED_INPUT, lambda h: without(h, "ciphertexts", 2, 3)),
    Violation.DISCLOSURE_OF_A_CLIENT_NOT_ACCUSED: Lie(R.SHARE_KEYS, lambda h: alter(complained(h), dealings=())),
    Violation.DISCLOSURE_OF_ANOTHER_PAIR: Lie(R.SHARE_KEYS, lambda h: shown_with(h, block=bytes(184))),
    Violation.DEALING_SIGNATURE_INVALID: Lie(R.SHARE_KEYS, lambda h: shown_with(h, signature=bytes(192))),
    Violation.DISCLOSURE_KEY_NOT_PROVABLE: Lie(R.SHARE_KEYS, lambda h: dealt_with_a_key_of_the_twist(h)),
    Violation.CONTRIBUTOR_NOT_A_SHARER: Lie(R.CONSISTENCY_CHECK, contributors(1, 2, 3, 4, 9)),
    Violation.CONTRIBUTORS_BELOW_MINIMUM: Lie(
        R.CONSISTENCY_CHECK, contributors(1, 2, 3, 4), options=(("minimum_contributors", 5),)
    ),
    Violation.CONTRIBUTORS_BELOW_THRESHOLD: Lie(R.CONSISTENCY_CHECK, contributors(1, 2, 3)),
    Violation.OWN_INPUT_NOT_AMONG_CONTRIBUTORS: Lie(R.CONSISTENCY_CHECK, contributors(2, 3, 4, 5)),
    Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED: Lie(R.UNMASKING, sets((2, 3, 4, 5), (5,))),
    Violation.SURVIVOR_NOT_A_SHARER: Lie(R.UNMASKING, sets((2, 3, 4, 5, 9))),
    Violation.DROPPED_CLIENT_NOT_A_SHARER: Lie(R.UNMASKING, sets((2, 3, 4, 5), (9,))),
    Violation.SHARER_NEITHER_SURVIVOR_NOR_DROPPED: Lie(R.UNMASKING, sets((2, 3, 4))),
    Violation.THIS_CLIENT_LISTED_FOR_UNMASKING: Lie(R.UNMASKING, sets((1, 2, 3, 4, 5))),
    Violation.SURVIVORS_BELOW_THRESHOLD: Lie(R.UNMASKING, sets((2, 3), (4, 5))),
    Violation.SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS: Lie(
        R.UNMASKING, sets((2, 3, 4), (5,)), model="semi-honest", options=FLOOR_5
    ),
    Violation.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS: Lie(R.UNMASKING, sets((2, 3, 4), (5,))),
    Violation.CONFIRMATION_OF_A_STRANGER: Lie(R.UNMASKING, stranger_signs),
    Violation.CONFIRMATION_SIGNATURE_INVALID: Lie(R.UNMASKING, lambda h: five_signs(h, 1, 2, 3, 4)),
    Violation.CONFIRMATIONS_BELOW_THRESHOLD: Lie(R.UNMASKING, lambda h: without(h, "confirmations", 2, 3, 4)),
    Violation.OWN_CONFIRMATION_MISSING: Lie(R.UNMASKING, lambda h: without(h, "confirmations", 0)),
    Violation.SECOND_UNMASKING_REQUEST: Lie(R.UNMASKING, after_the_answer),
}


# ----- what a server refuses in an answer: client 5 lies, four honest clients remain -----


@dataclass(frozen=True)
class Answer:
    """Client 5's lie: in which round, and what it does instead of answering. None is the lie of saying nothing."""

    round: Round
    tell: Callable[[Harness], bytes | None]
    model: str = "active"


def honest(harness: Harness) -> bytes:
    answer = harness.ask(5)
    assert answer is not None
    return answer


def advertised(**changes: Any) -> Callable[[Harness], bytes]:
    def tell(harness: Harness) -> bytes:
        return encode(AdvertiseKeysResponse(harness.session, Insider(harness, 5).advertise(**changes)))

    return tell


def answered_twice(harness: Harness) -> bytes:
    answer = honest(harness)
    assert harness.deliver(5, answer) == ()
    return alter(answer, ciphertexts=tuple((c, bytes(112)) for c, _ in decode_answer(answer).ciphertexts))


def stolen_key(harness: Harness) -> bytes:
    first = harness.ask(1)
    assert first is not None
    harness.deliver(1, first)
    return advertised(mask_public=Insider(harness, 1).mask_key.public)(harness)


def one_share(harness: Harness, share: bytes) -> bytes:
    answer = honest(harness)
    (owner, _), *rest = decode_answer(answer).seed_shares
    return alter(answer, seed_shares=((owner, SecretBytes(share + bytes(32))), *rest))


ANSWERS: Final[dict[DropReason, Answer]] = {
    DropReason.DID_NOT_ANSWER_IN_TIME: Answer(R.SHARE_KEYS, lambda h: None),
    DropReason.MESSAGE_MALFORMED: Answer(R.MASKED_INPUT, lambda h: honest(h)[:-1]),
    DropReason.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE: Answer(
        R.SHARE_KEYS, lambda h: encode(ConsistencyCheckResponse(h.session, bytes(64)))
    ),
    DropReason.MESSAGE_OF_ANOTHER_SESSION: Answer(R.SHARE_KEYS, lambda h: alter(honest(h), session=bytes(32))),
    DropReason.SECOND_ANSWER_DIFFERS: Answer(R.SHARE_KEYS, answered_twice),
    DropReason.CLIENT_ABORTED: Answer(R.MASKED_INPUT, lambda h: h.clients[5].abort()),
    DropReason.ADVERTISEMENT_OF_ANOTHER_CLIENT: Answer(R.ADVERTISE_KEYS, advertised(client=4)),
    DropReason.ADVERTISEMENT_SIGNATURE_INVALID: Answer(R.ADVERTISE_KEYS, advertised(sign=False)),
    DropReason.PUBLIC_KEY_REPEATED: Answer(R.ADVERTISE_KEYS, stolen_key),
    DropReason.PUBLIC_KEY_OF_LOW_ORDER: Answer(R.ADVERTISE_KEYS, advertised(mask_public=ZERO_POINT)),
    DropReason.PUBLIC_KEY_NOT_CANONICAL: Answer(R.ADVERTISE_KEYS, advertised(channel_public=UNREDUCED_POINT)),
    DropReason.CHANNEL_KEY_NOT_PROVABLE: Answer(R.ADVERTISE_KEYS, advertised(channel_public=TWIST_POINT)),
    DropReason.DEALING_SIGNATURE_INVALID: Answer(R.SHARE_KEYS, lambda h: alter(honest(h), signature=bytes(192))),
    DropReason.COMPLAINT_ABOUT_A_STRANGER: Answer(R.MASKED_INPUT, lambda h: encode(Complaint(h.session, (5,)))),
    DropReason.CIPHERTEXT_RECIPIENTS_WRONG: Answer(
        R.SHARE_KEYS, lambda h: alter(honest(h), ciphertexts=decode_answer(honest(h)).ciphertexts[1:])
    ),
    DropReason.CONFIRMATION_SIGNATURE_INVALID: Answer(
        R.CONSISTENCY_CHECK, lambda h: alter(honest(h), signature=Insider(h, 5).confirm((1, 2, 3, 5)))
    ),
    DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS: Answer(
        R.UNMASKING, lambda h: alter(honest(h), seed_shares=[*decode_answer(honest(h)).seed_shares][1:])
    ),
    DropReason.SHARE_NOT_CANONICAL: Answer(R.UNMASKING, lambda h: one_share(h, NON_CANONICAL_SHARE)),
}
BLAMED: Final = {
    DropReason.DEALT_UNREADABLE_PAIR,
    DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR,
    DropReason.DISCLOSURE_INVALID,
}
OTHER_DROPS: Final = {
    DropReason.TOO_FEW_NEIGHBOURS_LEFT,
    DropReason.SHARE_INCONSISTENT,
    DropReason.SHARE_NOT_AS_DEALT,
    DropReason.DEALT_INCONSISTENT_SHARES,
    *BLAMED,
}


# ----- rules of chosen graphs, which are broken in tests/protocol -----
OF_CHOSEN_GRAPHS: Final = {
    Violation.TOO_MANY_CHOOSERS,
    Violation.SHARERS_INCOMPLETE,
    Violation.INCLUSION_SIGNATURE_INVALID,
    Violation.INCLUSIONS_OF_WRONG_CLIENTS,
    DropReason.HOLDERS_MALFORMED,
    DropReason.INCLUSION_SIGNATURE_INVALID,
}


# ----- why sessions end -----


@dataclass(frozen=True)
class Ended:
    """A session that has ended: its reason, and a call that must now say so."""

    reason: AbortReason | None
    use: Callable[[], object]


def server_after(round_: Round, silent: set[int], **options: Any) -> Ended:
    harness = Harness(**{"clients": 6, "threat_model": "active", "threshold": 4, **options}).run_to(round_)
    harness.play_round(silent=silent)
    assert harness.server.phase is ServerPhase.ABORTED
    return Ended(harness.server.abort_reason, lambda: harness.server.result)


def server_with(round_: Round, on_answer: Callable[[int, bytes], bytes], **options: Any) -> Ended:
    harness = Harness(**{"clients": 5, "threshold": 4, **options}).run_to(round_)
    harness.play_round(on_answer=on_answer)
    harness.finish()
    return Ended(harness.server.abort_reason, lambda: harness.server.result)


def client_told(message: Callable[[Harness], bytes]) -> Ended:
    harness = Harness(5, threat_model="active", threshold=3).run_to(R.SHARE_KEYS)
    client, request = harness.clients[1], harness.requests[1]
    with suppress(RemoteProtocolError):
        client.receive(message(harness))
    return Ended(client.abort_reason, lambda: client.receive(request))


def left_by_its_host() -> Ended:
    harness = Harness(5, threshold=3)
    client, request = harness.clients[1], harness.requests[1]
    assert decode_answer(client.abort()) == Abort(harness.session, AbortReason.ABORTED_BY_CALLER)
    return Ended(client.abort_reason, lambda: client.receive(request))


def broken_handler() -> Ended:
    """A defect of the library: the exception comes out, and the session is over, never half advanced."""
    harness = Harness(5, threshold=3).run_to(R.SHARE_KEYS)
    client, request = harness.clients[1], harness.requests[1]

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    handlers: Any = secagg.protocol.client._HANDLERS
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(handlers, (ClientPhase.SHARE_KEYS, ShareKeysRequest), broken)
        with pytest.raises(RuntimeError, match="a defect"):
            client.receive(request)
    return Ended(client.abort_reason, lambda: client.receive(request))


def resumed_twice() -> Ended:
    harness = Harness(5, with_ledgers=True, threshold=3)
    snapshot = harness.clients[1].snapshot()
    first, second = (
        ClientSession.resume(snapshot, ledger=harness.ledgers[1], randomness=harness.source.fork(f"copy {copy}"))
        for copy in (1, 2)
    )
    request = harness.requests[1]
    assert first.receive(request) is not None
    with pytest.raises(SecAggError, match="resumed once"):
        second.receive(request)
    return Ended(second.abort_reason, lambda: second.receive(request))


def wrong_share(client: int, answer: bytes) -> bytes:
    if client != 1:
        return answer
    (owner, _), *rest = decode_answer(answer).seed_shares
    return alter(answer, seed_shares=((owner, SecretBytes(canonical_noise("wrong"))), *rest))


def heavy(client: int, answer: bytes) -> bytes:
    """Client 1 adds to its masked weight what five weights can be at most; with the honest ones it is more."""
    if client != 1:
        return answer
    section = Layout.build((("m", MEAN),), 5, MAX_WEIGHT).sections[-1]
    payload = bytearray(decode_answer(answer).payload)
    word = int.from_bytes(payload[section.byte_slice], "little") + 5 * MAX_WEIGHT
    payload[section.byte_slice] = (word % (1 << section.ring_bits)).to_bytes(section.packed_bytes, "little")
    return alter(answer, payload=bytes(payload))


def ring_in_two_halves() -> Ended:
    """Two late clients cut a ring of ten into parts of four."""
    options: dict[str, Any] = {"topology": "sparse", "degree": 2, "threshold": 1, "minimum_contributors": 5}
    ring = ring_of(Harness(10, **options))
    return server_after(R.MASKED_INPUT, {ring[0], ring[5]}, clients=10, threat_model="semi-honest", **options)


ENDS: Final[dict[AbortReason, Callable[[], Ended]]] = {
    AbortReason.TOO_FEW_ADVERTISED: lambda: server_after(R.ADVERTISE_KEYS, {1, 2}),
    AbortReason.TOO_FEW_SHARERS: lambda: server_after(R.SHARE_KEYS, {1, 2}),
    AbortReason.TOO_FEW_CONTRIBUTORS: lambda: server_after(R.MASKED_INPUT, {1, 2}),
    AbortReason.TOO_FEW_CONFIRMERS: lambda: server_after(R.CONSISTENCY_CHECK, {1, 2}),
    AbortReason.TOO_FEW_UNMASKERS: lambda: server_after(R.UNMASKING, {1, 2}),
    AbortReason.SECRET_NOT_RECONSTRUCTED: lambda: server_with(R.UNMASKING, wrong_share),
    AbortReason.RESULT_NOT_DECODABLE: lambda: server_with(
        R.MASKED_INPUT, heavy, vectors={"m": MEAN}, max_weight=MAX_WEIGHT
    ),
    AbortReason.CONTRIBUTORS_NOT_CONNECTED: ring_in_two_halves,
    AbortReason.CLIENTS_COMPLAINED: lambda: server_with(
        R.SHARE_KEYS,
        lambda c, answer: alter(answer, ciphertexts=tuple((to, bytes(112)) for to in range(1, 6) if to != c)),
    ),
    AbortReason.PEER_MISBEHAVED: lambda: client_told(lambda h: encode(UnmaskingRequest(h.session, (2,), (3,)))),
    AbortReason.PEER_SENT_MALFORMED_MESSAGE: lambda: client_told(lambda h: b"\xff"),
    AbortReason.PEER_ABORTED: lambda: client_told(lambda h: encode(Abort(h.session, AbortReason.TOO_FEW_SHARERS))),
    AbortReason.ABORTED_BY_CALLER: left_by_its_host,
    AbortReason.INTERNAL_ERROR: broken_handler,
    AbortReason.ANSWERED_BEFORE_WITH_OTHER_CONTENT: resumed_twice,
}


# ----- the tests -----


def test_every_rule_has_a_scenario() -> None:
    assert {*OFFERS, *LIES, *OF_CHOSEN_GRAPHS} == {*Violation, *OF_CHOSEN_GRAPHS}
    assert not OFFERS.keys() & LIES.keys()
    assert {*ANSWERS, *OTHER_DROPS, *OF_CHOSEN_GRAPHS} == {*DropReason, *OF_CHOSEN_GRAPHS}
    assert set(ENDS) == set(AbortReason)


def test_ids_are_unique_over_all_tables() -> None:
    ids = [member.value for table in (Violation, DropReason, AbortReason) for member in table]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[CSA]\d\d", id_) for id_ in ids)


@pytest.mark.parametrize("violation", list(OFFERS), ids=lambda member: member.name)
def test_violation_of_an_offer(violation: Violation) -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        OFFERS[violation]()
    assert caught.value.violation is violation
    check_sentence(caught.value, violation)


@pytest.mark.parametrize("violation", list(LIES), ids=lambda member: member.name)
def test_violation_of_a_request(violation: Violation) -> None:
    lie = LIES[violation]
    harness = Harness(**{"clients": 5, "threat_model": lie.model, "threshold": 3, **dict(lie.options)})
    harness.run_to(lie.round)
    client = harness.clients[1]
    if lie.round is Round.MASKED_INPUT:
        client.set_input(harness.inputs[1])
    error = refused(client, lie.tell(harness), violation)
    check_sentence(error, violation)
    assert decode_answer(client.abort_notice() or b"") == Abort(harness.session, AbortReason.PEER_MISBEHAVED)


@pytest.mark.parametrize("reason", list(ANSWERS), ids=lambda member: member.name)
def test_reason_to_drop_a_client(reason: DropReason) -> None:
    """Whatever client 5 does, it costs client 5, and the others finish with an exact sum."""
    lie = ANSWERS[reason]
    harness = Harness(5, threat_model=lie.model, threshold=3).run_to(lie.round)
    told = lie.tell(harness)
    if told is not None:
        harness.deliver(5, told)
        assert drops(harness.events) == {5: reason}
    # Client 1 may have answered already; the same request again gives the same answer again.
    harness.play_round(silent={5})
    harness.finish().assert_exact(range(1, 6 if lie.round in (R.CONSISTENCY_CHECK, R.UNMASKING) else 5))
    assert drops(harness.events) == {5: reason}


def test_reason_to_drop_a_client_too_few_neighbours_left() -> None:
    """Client 1 loses six of its eight neighbours, the nearest ones on the ring; the threshold is three."""
    options: dict[str, Any] = {"topology": "sparse", "degree": 8, "threshold": 3, "minimum_contributors": 2}
    shown = Harness(20, **options).run_to(R.SHARE_KEYS)
    near = {c: {ad.client for ad in decode_request(r).advertisements} - {c} for c, r in shown.requests.items()}
    gone = sorted(near[1], key=lambda peer: len(near[peer] & near[1]))[2:]
    harness = Harness(20, **options)
    harness.play_round(silent=gone)
    left = DropReason.TOO_FEW_NEIGHBOURS_LEFT
    assert drops(harness.events) == {1: left, **dict.fromkeys(gone, DropReason.DID_NOT_ANSWER_IN_TIME)}
    harness.finish().assert_exact(set(harness.cohort) - {1, *gone})


def test_reason_share_inconsistent_is_reported_with_its_holder() -> None:
    """The one rule that drops nobody: the sum is recovered without the share, and the event names the holder."""
    harness = Harness(7, threshold=3).run_to(Round.UNMASKING)
    harness.play_round(on_answer=wrong_share)
    harness.assert_exact()
    assert inconsistent(harness.events) == {(1, 2)}
    assert drops(harness.events) == {}


def test_reasons_for_blame_end_the_session_of_those_who_give_them() -> None:
    """Client 5 deals garbage, client 2 complains of what it can read, and client 3 shows nothing."""
    harness = Harness(6, threat_model="active", threshold=4).run_to(R.SHARE_KEYS)
    harness.play_round(on_answer=garbage_from(harness, {5: [1, 3]}))
    pretend_to_complain(harness, 2, [4])
    harness.deliver(2, false_complaint(harness, 2, [4]))
    harness.play_round(silent={2})
    harness.play_round(silent={3})
    assert harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED
    named = {blame.client: (blame.reason, blame.evidence is not None) for blame in harness.server.blame}
    assert named == {
        2: (DropReason.COMPLAINT_ABOUT_A_READABLE_PAIR, True),
        3: (DropReason.DISCLOSURE_INVALID, False),
        5: (DropReason.DEALT_UNREADABLE_PAIR, True),
    }
    assert {reason for reason, _ in named.values()} == BLAMED


@pytest.mark.parametrize("reason", list(ENDS), ids=lambda member: member.name)
def test_reason_to_end_a_session(reason: AbortReason) -> None:
    ended = ENDS[reason]()
    assert ended.reason is reason
    with pytest.raises(SessionAbortedError) as caught:
        ended.use()
    assert caught.value.reason is reason


def test_server_ends_after_a_defect_of_the_library_too(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness(5, threshold=3)

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    answer = harness.ask(1)
    assert answer is not None
    handlers: Any = secagg.protocol.server._TAKE
    monkeypatch.setitem(handlers, ServerPhase.COLLECTING_KEYS, broken)
    with pytest.raises(RuntimeError, match="a defect"):
        harness.server.receive(1, answer)
    assert harness.server.abort_reason is AbortReason.INTERNAL_ERROR
    with pytest.raises(SessionAbortedError):
        harness.server.close_round()


def test_offers_are_refused_before_a_key_is_made() -> None:
    source = CountingSource()
    with pytest.raises(PeerMisbehaved):
        Harness(4).make_client(1, policy=low(minimum_cohort=5), randomness=source)
    assert source.draws == 0


def check_sentence(error: PeerMisbehaved, violation: Violation) -> None:
    """One sentence with the rule's id and name, and nothing that could be a key, a seed or a share."""
    assert str(error).endswith(f"[{violation.value} {violation.name}]")
    assert len(error.detail) > 20
    assert re.search(r"[0-9a-f]{12}|\\x", error.detail) is None
