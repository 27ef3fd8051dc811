"""A complaint ends the session without a sum, and who lied about a pair is named, with evidence where there can be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from secagg import (
    AbortReason,
    Blame,
    ClientPhase,
    DropReason,
    PeerMisbehaved,
    Round,
    ServerPhase,
    SessionAbortedError,
    Violation,
    verify_evidence,
)
from secagg.crypto import dealing, disclosure
from secagg.protocol.client_states import AwaitingDisclosure
from secagg.protocol.events import ClientDropped, LateMessageRefused
from secagg.protocol.messages import MOST_DISCLOSURES, Complaint, Dealing, DisclosureRequest
from secagg.protocol.server_blame import hints
from secagg.wire.codec import encode
from tests.dealers import (
    COMMITTED_GARBAGE,
    GARBAGE,
    false_complaint,
    garbage_from,
    pretend_to_complain,
    redealt,
    sealed_by,
)
from tests.harness import Harness, alter, decode_answer, decode_request
from tests.protocol.support import KINDS, assert_exact, session

D, V = DropReason, Violation
ACTIVE = "active complete"
KINDS_OF_SUITES = [*((kind, 0x0001) for kind in KINDS), (ACTIVE, 0x0101)]
TWIST = (5).to_bytes(32, "little")  # of no point of the curve


def dealt(kind: str, dealers: Mapping[int, Collection[int]], **options: Any) -> Harness:
    """A session that waits for masked inputs, in which dealers sealed garbage for some."""
    harness = session(kind, **options).run_to(Round.SHARE_KEYS)
    harness.play_round(on_answer=garbage_from(harness, dealers))
    return harness


def asked(dealers: Mapping[int, Collection[int]], **options: Any) -> Harness:
    """The same, with complaints: who complained is asked to disclose."""
    harness = dealt(ACTIVE, dealers, **options)
    harness.play_round()
    assert harness.round is Round.DISCLOSURE
    return harness


def complaining(harness: Harness, complaints: Mapping[int, Collection[int]]) -> Harness:
    """Play the round of inputs, in which some complain of pairs that they can read, and keep these for a disclosure."""

    def change(client: int, answer: bytes) -> bytes:
        if client not in complaints:
            return answer
        return false_complaint(harness, client, complaints[client])

    for client in complaints:
        pretend_to_complain(harness, client, complaints[client])
    harness.play_round(silent=set(complaints), close=False)
    for client in complaints:
        harness.deliver(client, change(client, b""))
    harness.close()
    return harness


def blamed(harness: Harness) -> list[tuple[int, DropReason, bool]]:
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED
    for blame in harness.server.blame:
        if blame.evidence is not None:
            verdict = verify_evidence(blame.evidence, harness.roster)
            assert (verdict.client, verdict.reason, verdict.session) == (blame.client, blame.reason, harness.session)
    return [(blame.client, blame.reason, blame.evidence is not None) for blame in harness.server.blame]


def dropped(harness: Harness) -> list[tuple[int, DropReason]]:
    return [(event.client, event.reason) for event in harness.events if isinstance(event, ClientDropped)]


@pytest.mark.parametrize(("kind", "suite"), KINDS_OF_SUITES)
def test_who_deals_garbage_is_named_and_nobody_else(kind: str, suite: int) -> None:
    harness = session(kind, suite=suite).run_to(Round.MASKED_INPUT)
    receiver = harness.cohort[2]
    requests = dict(harness.requests)
    (dealer, parcel), *rest = decode_request(requests[receiver]).ciphertexts
    signed = kind == ACTIVE and suite == 0x0001
    if signed:
        harness = dealt(kind, {dealer: [receiver]})
        requests = dict(harness.requests)
    else:
        requests[receiver] = alter(requests[receiver], ciphertexts=((dealer, bytes(len(parcel))), *rest))
    harness.play_round(on_request=lambda client, _: requests[client])
    assert harness.clients[receiver].phase is ClientPhase.DISCLOSURE
    harness.finish()
    assert blamed(harness) == [(dealer, D.DEALT_UNREADABLE_PAIR, signed)]
    for client in harness.cohort:
        notice = decode_request(harness.requests[client])
        assert notice.reason is AbortReason.CLIENTS_COMPLAINED
        assert harness.clients[client].receive(harness.requests[client]) is None
        assert harness.clients[client].phase is ClientPhase.ABORTED


def test_five_dealers_are_named_at_once_and_those_without_complaint_wait_and_are_told() -> None:
    harness = asked({1: [6], 2: [6, 7], 3: [8], 4: range(5, 20), 5: [1]}, clients=20, threshold=14)
    assert set(harness.requests) == {1, *range(5, 20)}
    assert blamed(harness.finish()) == [(dealer, D.DEALT_UNREADABLE_PAIR, True) for dealer in range(1, 6)]
    assert set(harness.requests) == set(harness.cohort)


def test_a_pair_whose_shares_are_not_canonical_is_blamed_on_its_dealer() -> None:
    harness = session(ACTIVE).run_to(Round.SHARE_KEYS)

    def change(client: int, answer: bytes) -> bytes:
        if client != 2:
            return answer
        return redealt(harness, 2, answer, {5: sealed_by(harness, 2, 5, b"\xff\xf1" + bytes(70))})

    harness.play_round(on_answer=change)
    assert blamed(harness.finish()) == [(2, D.DEALT_UNREADABLE_PAIR, True)]


def test_who_complains_of_a_pair_that_can_be_read_is_named() -> None:
    harness = complaining(session(ACTIVE).run_to(Round.MASKED_INPUT), {4: [1, 2, 6]})
    assert blamed(harness.finish()) == [(4, D.COMPLAINT_ABOUT_A_READABLE_PAIR, True)]


def test_a_dealer_and_a_false_complainer_are_told_apart() -> None:
    harness = complaining(dealt(ACTIVE, {1: [7]}), {4: [2]})
    assert blamed(harness.finish()) == [
        (1, D.DEALT_UNREADABLE_PAIR, True),
        (4, D.COMPLAINT_ABOUT_A_READABLE_PAIR, True),
    ]


@pytest.mark.parametrize("way", ["silent", "abort", "another proof", "another list", "the same twice"])
def test_who_does_not_show_what_it_complained_of_is_named_without_evidence(way: str) -> None:
    harness = asked({1: [4], 2: [4], 3: [5]})
    answer = harness.clients[4].receive(harness.requests[4])
    assert answer is not None
    (one, proof), (two, other) = decode_answer(answer).disclosures
    expected = D.DISCLOSURE_INVALID
    match way:
        case "silent":
            expected = D.DID_NOT_ANSWER_IN_TIME
        case "abort":
            harness.deliver(4, harness.clients[4].abort())
            expected = D.CLIENT_ABORTED
        case "another proof":
            harness.deliver(4, alter(answer, disclosures=((one, other), (two, proof))))
        case "another list":
            harness.deliver(4, alter(answer, disclosures=((one, proof),)))
        case _:
            harness.deliver(4, answer)
            harness.deliver(4, alter(answer, disclosures=((one, proof),)))
            expected = D.SECOND_ANSWER_DIFFERS
    harness.play_round(silent={4})
    assert dropped(harness) == [(4, expected)]
    assert blamed(harness) == [(3, D.DEALT_UNREADABLE_PAIR, True), (4, D.DISCLOSURE_INVALID, False)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accused", [(), (1,), (99,), (2, 99)])
def test_a_complaint_about_nobody_or_a_stranger_costs_its_maker_the_session_only(
    kind: str, accused: tuple[int, ...]
) -> None:
    harness = session(kind).run_to(Round.MASKED_INPUT)
    harness.deliver(1, encode(Complaint(harness.session, accused)))
    harness.finish(silent={Round.MASKED_INPUT: {1}})
    assert dropped(harness) == [(1, D.COMPLAINT_ABOUT_A_STRANGER)]
    assert_exact(harness, harness.cohort[1:])


def test_a_complaint_about_who_advertised_and_did_not_share_is_about_a_stranger() -> None:
    harness = session(ACTIVE).run_to(Round.SHARE_KEYS)
    harness.play_round(silent={3})
    harness.deliver(1, encode(Complaint(harness.session, (3,))))
    assert dropped(harness)[-1] == (1, D.COMPLAINT_ABOUT_A_STRANGER)


@pytest.mark.parametrize("kind", KINDS)
def test_a_complainer_that_leaves_takes_its_complaint_back_and_is_in_no_sum(kind: str) -> None:
    harness = session(kind).run_to(Round.MASKED_INPUT)
    accused = decode_request(harness.requests[1]).ciphertexts[0][0]
    harness.deliver(1, encode(Complaint(harness.session, (accused,))))
    assert harness.server.answered == {1}
    harness.deliver(1, harness.clients[1].abort())
    harness.finish(silent={Round.MASKED_INPUT: {1}})
    assert dropped(harness) == [(1, D.CLIENT_ABORTED)]
    assert_exact(harness, harness.cohort[1:])


def test_a_complaint_ends_a_session_in_which_too_few_are_left_all_the_same() -> None:
    harness = dealt(ACTIVE, {1: [4]})
    harness.play_round(silent={2, 3, 5, 6})
    assert blamed(harness.finish()) == [(1, D.DEALT_UNREADABLE_PAIR, True)]


def test_a_client_that_waits_is_not_asked_and_what_it_sends_is_late() -> None:
    harness = asked({1: [4]})
    assert set(harness.requests) == {4}
    assert harness.deliver(2, harness.clients[2].abort()) == (LateMessageRefused(2, None),)
    assert harness.server.pending == {4}


def test_of_a_long_complaint_eight_are_shown_first() -> None:
    harness = asked({dealer: [20] for dealer in range(1, 12)}, clients=20, threshold=14)
    shown = decode_request(harness.requests[20])
    assert [each.client for each in shown.dealings] == list(range(1, MOST_DISCLOSURES + 1))
    assert blamed(harness.finish()) == [(dealer, D.DEALT_UNREADABLE_PAIR, True) for dealer in range(1, 9)]


def test_the_block_of_a_receiver_is_the_one_that_is_shown() -> None:
    harness = asked({1: [30], 2: [3]}, clients=40, threshold=27)
    assert [len(decode_request(harness.requests[client]).dealings[0].block) // 184 for client in (3, 30)] == [16, 16]
    last = asked({1: [40]}, clients=40, threshold=27)
    (shown,) = decode_request(last.requests[40]).dealings
    assert (len(shown.block) // 184, len(shown.digests) // 32) == (39 - 32, 3)
    assert blamed(last.finish()) == [(1, D.DEALT_UNREADABLE_PAIR, True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signature", [bytes(192), b""])
def test_a_dealing_that_is_signed_otherwise_costs_its_dealer_the_session(kind: str, signature: bytes) -> None:
    harness = session(kind).run_to(Round.SHARE_KEYS)
    wrong = (signature == b"") == harness.active or harness.active
    harness.play_round(on_answer=lambda client, answer: alter(answer, signature=signature) if client == 1 else answer)
    assert dropped(harness) == ([(1, D.DEALING_SIGNATURE_INVALID)] if wrong or signature else [])


def test_a_dealing_is_signed_over_what_the_server_gets() -> None:
    harness = session(ACTIVE).run_to(Round.SHARE_KEYS)

    def change(client: int, answer: bytes) -> bytes:
        if client != 1:
            return answer
        (to, _), *rest = decode_answer(answer).ciphertexts
        return alter(answer, ciphertexts=((to, COMMITTED_GARBAGE), *rest))

    harness.play_round(on_answer=change)
    assert dropped(harness) == [(1, D.DEALING_SIGNATURE_INVALID)]


def test_a_channel_key_of_which_nothing_can_be_proved_is_refused_where_dealings_are_signed() -> None:
    for suite, reasons in ((0x0001, [D.CHANNEL_KEY_NOT_PROVABLE]), (0x0101, [])):
        harness = session(ACTIVE, suite=suite)
        answer = harness.clients[1].receive(harness.requests[1])
        ad = decode_answer(answer or b"").advertisement
        public = TWIST + ad.channel_public[32:]
        from secagg.crypto.key_schedule import advertisement_text

        text = advertisement_text(harness.session, 1, public, ad.mask_public, ad.commitment)
        signature = harness.identities[1].sign(text)
        harness.deliver(1, alter(answer or b"", advertisement=replace(ad, channel_public=public, signature=signature)))
        assert [reason for _, reason in dropped(harness)] == reasons


def changed_request(harness: Harness, change: Callable[[Dealing], Dealing]) -> bytes:
    request: DisclosureRequest = decode_request(harness.requests[4])
    return encode(replace(request, dealings=(change(request.dealings[0]), *request.dealings[1:])))


def refused(harness: Harness, request: bytes) -> Violation:
    """The rule by which client 4 refuses; it disclosed nothing and is ended."""
    client = harness.clients[4]
    with pytest.raises(PeerMisbehaved) as caught:
        client.receive(request)
    assert client.phase is ClientPhase.ABORTED
    return caught.value.violation


def test_a_client_shows_only_pairs_that_it_complained_of() -> None:
    harness = asked({1: [4], 2: [5]})
    other: Any = decode_request(harness.requests[5])
    request: Any = decode_request(harness.requests[4])
    for dealings in ((), (*request.dealings, *other.dealings), other.dealings):
        lied_to = asked({1: [4], 2: [5]})
        assert refused(lied_to, encode(replace(request, dealings=dealings))) is V.DISCLOSURE_OF_A_CLIENT_NOT_ACCUSED


def test_a_client_shows_at_most_eight_pairs() -> None:
    harness = asked({dealer: [20] for dealer in range(1, 12)}, clients=20, threshold=14)
    state = cast(AwaitingDisclosure, harness.clients[20]._state)
    assert list(state.accused) == list(range(1, 12))
    request: Any = decode_request(harness.requests[20])
    more = (*request.dealings, replace(request.dealings[0], client=9))
    with pytest.raises(PeerMisbehaved) as caught:
        harness.clients[20].receive(encode(replace(request, dealings=more)))
    assert caught.value.violation is V.DISCLOSURE_OF_A_CLIENT_NOT_ACCUSED


def test_a_client_discloses_once_and_repeats_the_same_answer() -> None:
    harness = asked({1: [4], 2: [4]})
    request: Any = decode_request(harness.requests[4])
    first = encode(replace(request, dealings=request.dealings[:1]))
    answer = harness.clients[4].receive(first)
    assert harness.clients[4].receive(first) == answer
    assert harness.clients[4].phase is ClientPhase.DISCLOSURE
    assert refused(harness, harness.requests[4]) is V.DISCLOSURE_OF_A_CLIENT_NOT_ACCUSED


def test_a_client_shows_the_pair_only_as_it_received_it() -> None:
    def with_other_key(shown: Dealing) -> Dealing:
        return replace(shown, block=shown.block.replace(GARBAGE, bytes([1]) * 112))

    def of_other_digests(shown: Dealing) -> Dealing:
        return replace(shown, digests=bytes(32))

    for change in (with_other_key, of_other_digests):
        harness = asked({1: [4]})
        assert refused(harness, changed_request(harness, change)) is V.DISCLOSURE_OF_ANOTHER_PAIR


def test_a_server_that_changes_a_pair_gets_no_disclosure() -> None:
    """What an honest dealer signed does not hold what the client received: nobody's channel opens."""
    harness = session(ACTIVE).run_to(Round.MASKED_INPUT)
    (dealer, _), *rest = decode_request(harness.requests[4]).ciphertexts
    client = harness.clients[4]
    complaint = client.receive(alter(harness.requests[4], ciphertexts=((dealer, COMMITTED_GARBAGE), *rest)))
    assert complaint == encode(Complaint(harness.session, (dealer,)))
    harness.deliver(4, complaint)
    harness.play_round(silent={4})
    assert refused(harness, harness.requests[4]) is V.DISCLOSURE_OF_ANOTHER_PAIR


@pytest.mark.parametrize("change", ["signature", "another dealer's", "another session's key"])
def test_a_client_shows_a_pair_only_to_who_has_its_dealers_signature(change: str) -> None:
    harness = asked({1: [4]})
    client = harness.clients[4]
    state = cast(AwaitingDisclosure, client._state)

    def forge(shown: Dealing) -> Dealing:
        entries = [shown.block[at : at + 184] for at in range(0, len(shown.block), 184)]
        text = dealing.dealing_text(
            harness.session,
            state.binding,
            1,
            bytes(32) if change == "another session's key" else state.accused[1].channel_public,
            dealing.digests_of(entries),
        )
        signers = {"signature": None, "another dealer's": 2, "another session's key": 1}
        signer = signers[change]
        signature = bytes(64) if signer is None else harness.identities[signer].sign(text)
        return replace(shown, signature=signature + shown.signature[64:])

    assert refused(harness, changed_request(harness, forge)) is V.DEALING_SIGNATURE_INVALID


def test_a_client_proves_nothing_of_a_key_that_is_none_of_the_curve() -> None:
    """A server that lets such a key pass, and its dealer, cannot have a proof of it."""
    harness = asked({1: [4]})
    client = harness.clients[4]
    state = cast(AwaitingDisclosure, client._state)
    assert not disclosure.is_provable(TWIST)
    client._state = replace(state, accused={1: replace(state.accused[1], channel_public=TWIST)})

    def signed_so(shown: Dealing) -> Dealing:
        text = dealing.dealing_text(harness.session, state.binding, 1, TWIST, shown.digests)
        return replace(shown, signature=harness.identities[1].sign(text) + shown.signature[64:])

    assert refused(harness, changed_request(harness, signed_so)) is V.DISCLOSURE_KEY_NOT_PROVABLE


@pytest.mark.parametrize("suite", [0x0101, 0x0001])
def test_where_dealings_are_not_signed_nothing_is_disclosed(suite: int) -> None:
    kind = ACTIVE if suite == 0x0101 else "semi-honest complete"
    harness = session(kind, suite=suite).run_to(Round.MASKED_INPUT)
    (dealer, parcel), *rest = decode_request(harness.requests[4]).ciphertexts
    complaint = harness.clients[4].receive(
        alter(harness.requests[4], ciphertexts=((dealer, bytes(len(parcel))), *rest))
    )
    assert complaint == encode(Complaint(harness.session, (dealer,)))
    request = DisclosureRequest(harness.session, (Dealing(dealer, bytes(184), bytes(32), bytes(192)),))
    violation = refused(harness, encode(request))
    assert violation is (
        V.DISCLOSURE_OF_A_CLIENT_NOT_ACCUSED if suite == 0x0101 else V.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE
    )


def test_hints_name_those_who_explain_most_complaints() -> None:
    def named(complaints: Mapping[int, tuple[int, ...]]) -> list[tuple[int, DropReason]]:
        return [(blame.client, blame.reason) for blame in hints(complaints)]

    dealt_it, said_it = D.DEALT_UNREADABLE_PAIR, D.COMPLAINT_ABOUT_A_READABLE_PAIR
    assert named({}) == []
    assert named({2: (1,)}) == [(1, dealt_it)], "of two the one that is accused"
    assert named({1: (2,)}) == [(2, dealt_it)]
    assert named({1: (2,), 2: (1,)}) == [(2, dealt_it)], "and of two alike the later one"
    assert named({1: (9,), 2: (9,), 3: (9, 1)}) == [(9, dealt_it), (1, dealt_it)]
    assert named({9: (1, 2, 3)}) == [(9, said_it)]
    assert named({9: (1, 2, 3), 2: (9,)}) == [(9, dealt_it)]


def test_the_first_finding_with_evidence_counts() -> None:
    """Client 4 complains falsely, and deals garbage: it is blamed once, with what can be shown."""
    harness = complaining(dealt(ACTIVE, {4: [6]}), {4: [2]})
    harness.play_round(silent={4})
    assert blamed(harness) == [(4, D.DEALT_UNREADABLE_PAIR, True)]


def test_the_host_may_end_a_session_that_discloses_and_everybody_is_told() -> None:
    harness = asked({1: [4]})
    assert set(harness.server.abort()) == set(harness.cohort)
    assert harness.server.blame == ()
    with pytest.raises(SessionAbortedError):
        _ = harness.server.result


def test_a_sum_is_never_released_beside_a_complaint() -> None:
    harness = asked({1: [4]}).finish()
    with pytest.raises(SessionAbortedError, match=r"nothing was unmasked; to blame: clients 1\. .*renew\(exclude="):
        _ = harness.server.result
    assert all(isinstance(blame, Blame) for blame in harness.server.blame)


def test_in_a_chosen_graph_who_was_dealt_garbage_complains_and_the_server_names_the_dealer() -> None:
    """Nothing is signed there, so it is a hint. Who complains of one that dealt it nothing is dropped."""
    harness = Harness(9, threat_model="active", topology="chosen", degree=4, threshold=3).run_to(Round.MASKED_INPUT)
    owners = {
        client: [sender for sender, _ in decode_request(harness.requests[client]).ciphertexts]
        for client in harness.cohort
    }
    strangers = {client: set(harness.cohort) - {client, *owners[client]} for client in owners}
    liar = next(client for client in owners if strangers[client])
    victim = next(client for client in owners if client != liar and owners[client])
    harness.deliver(liar, encode(Complaint(harness.session, (min(strangers[liar]),))))
    assert dropped(harness) == [(liar, D.COMPLAINT_ABOUT_A_STRANGER)]
    listed = decode_request(harness.requests[victim]).ciphertexts
    lie = alter(harness.requests[victim], ciphertexts=((listed[0][0], GARBAGE), *listed[1:]))
    harness.deliver(victim, harness.clients[victim].receive(lie) or b"")
    harness.play_round(silent={liar, victim})
    assert blamed(harness) == [(listed[0][0], D.DEALT_UNREADABLE_PAIR, False)]
