"""A lying server asks for shares: pitfalls 1 (both secrets of one client), 17 (late input), 19 (self-share)."""

from __future__ import annotations

import numpy as np
import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    LocalProtocolError,
    PeerMisbehaved,
    Round,
    ServerPhase,
    SessionAbortedError,
    Violation,
)
from secagg.crypto import key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.suites import get_suite
from secagg.encoding.layout import Layout
from secagg.encoding.packing import unpack
from secagg.encoding.session_vector import encode_input, reduce_to_ring
from secagg.masking.engine import MaskTerm, add_masks
from secagg.protocol.events import LateMessageRefused
from tests.adversarial.tools import MODELS, Insider, advertisement_of, refused
from tests.harness import Harness, alter, decode_answer, decode_request

models = pytest.mark.parametrize("model", MODELS)


def at_unmasking(model: str, *, drop: int | None = None) -> Harness:
    """Six clients, threshold 4; `drop` shared its keys and sent no input."""
    harness = Harness(6, threat_model=model, threshold=4)
    return harness.run_to(Round.UNMASKING, silent={} if drop is None else {Round.MASKED_INPUT: {drop}})


@models
@pytest.mark.parametrize("victim", [2, 6])
def test_pitfall_01_both_lists_in_one_request(model: str, victim: int) -> None:
    harness = at_unmasking(model, drop=None)
    request = alter(harness.requests[1], dropped=(victim,))
    refused(harness.clients[1], request, Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED)


@models
def test_pitfall_01_dropped_client_listed_as_survivor_too(model: str) -> None:
    harness = at_unmasking(model, drop=6)
    survivors = decode_request(harness.requests[1]).survivors
    request = alter(harness.requests[1], survivors=(*survivors, 6))
    refused(harness.clients[1], request, Violation.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED)


@models
def test_pitfall_01_second_request_for_the_other_secret(model: str) -> None:
    harness = at_unmasking(model)
    first = harness.requests[1]
    answer = harness.clients[1].receive(first)
    assert answer is not None
    assert 2 in dict(decode_answer(answer).seed_shares)
    survivors = tuple(c for c in decode_request(first).survivors if c != 2)
    second = alter(first, survivors=survivors, dropped=(2,))
    refused(harness.clients[1], second, Violation.SECOND_UNMASKING_REQUEST)


@models
def test_pitfall_01_second_request_differs_in_confirmations_only(model: str) -> None:
    harness = at_unmasking(model)
    harness.clients[1].receive(harness.requests[1])
    second = alter(harness.requests[1], confirmations=((2, bytes(64)),))
    refused(harness.clients[1], second, Violation.SECOND_UNMASKING_REQUEST)


@models
def test_pitfall_01_same_request_again_gives_the_same_answer(model: str) -> None:
    harness = at_unmasking(model)
    first = harness.clients[1].receive(harness.requests[1])
    assert harness.clients[1].receive(harness.requests[1]) == first
    assert harness.clients[1].phase is ClientPhase.COMPLETED


@models
def test_pitfall_01_refused_request_ends_the_session(model: str) -> None:
    harness = at_unmasking(model)
    bad = alter(harness.requests[1], dropped=(2,))
    with pytest.raises(PeerMisbehaved):
        harness.clients[1].receive(bad)
    with pytest.raises(SessionAbortedError) as caught:
        harness.clients[1].receive(harness.requests[1])
    assert caught.value.reason is AbortReason.PEER_MISBEHAVED


@models
def test_pitfall_01_one_kind_of_share_for_each_owner_in_the_whole_cohort(model: str) -> None:
    harness = at_unmasking(model, drop=6)
    answers = [decode_answer(answer) for answer in harness.play_round().values()]
    assert len(answers) == 5
    seeds = {owner for answer in answers for owner, _ in answer.seed_shares}
    mask_keys = {owner for answer in answers for owner, _ in answer.mask_key_shares}
    assert seeds == {1, 2, 3, 4, 5}
    assert mask_keys == {6}
    harness.assert_exact([1, 2, 3, 4, 5])


@models
@pytest.mark.parametrize(
    ("survivors", "dropped", "violation"),
    [
        ((2, 3, 4, 5, 6, 7), (), Violation.SURVIVOR_NOT_A_SHARER),
        ((2, 3, 4, 5, 6), (7,), Violation.DROPPED_CLIENT_NOT_A_SHARER),
        ((2, 3, 4, 5), (), Violation.SHARER_NEITHER_SURVIVOR_NOR_DROPPED),
        ((), (), Violation.SHARER_NEITHER_SURVIVOR_NOR_DROPPED),
        ((2, 3, 4), (5, 6), Violation.SURVIVORS_BELOW_THRESHOLD),
        ((), (2, 3, 4, 5, 6), Violation.SURVIVORS_BELOW_THRESHOLD),
    ],
)
def test_pitfall_01_sets_that_are_no_partition_of_the_sharers(
    model: str, survivors: tuple[int, ...], dropped: tuple[int, ...], violation: Violation
) -> None:
    harness = at_unmasking(model)
    refused(harness.clients[1], alter(harness.requests[1], survivors=survivors, dropped=dropped), violation)


def test_pitfall_01_sets_that_grew_after_the_dropout() -> None:
    """A client that was absent in ShareKeys has no shares anywhere: it can become neither survivor nor dropped."""
    harness = Harness(6, threshold=3).run_to(Round.UNMASKING, silent={Round.SHARE_KEYS: {6}})
    survivors = decode_request(harness.requests[1]).survivors
    request = alter(harness.requests[1], survivors=(*survivors, 6))
    refused(harness.clients[1], request, Violation.SURVIVOR_NOT_A_SHARER)
    request = alter(harness.requests[2], dropped=(6,))
    refused(harness.clients[2], request, Violation.DROPPED_CLIENT_NOT_A_SHARER)


@models
def test_pitfall_17_late_input_is_refused_once_the_round_is_closed(model: str) -> None:
    harness = Harness(6, threat_model=model, threshold=4).run_to(Round.MASKED_INPUT)
    late = harness.ask(6)
    assert late is not None
    harness.play_round(silent={6})
    while harness.round is not None:
        assert harness.deliver(6, late) == (LateMessageRefused(6, Round.MASKED_INPUT),)
        harness.play_round()
    harness.assert_exact([1, 2, 3, 4, 5])


@models
def test_pitfall_17_late_input_is_refused_after_its_mask_key_was_rebuilt(model: str) -> None:
    harness = Harness(6, threat_model=model, threshold=4).run_to(Round.MASKED_INPUT)
    late = harness.ask(6)
    assert late is not None
    harness.play_round(silent={6})
    harness.finish()
    before = harness.server.result
    with pytest.raises(SessionAbortedError):
        harness.server.receive(6, late)
    assert harness.server.result is before
    harness.assert_exact([1, 2, 3, 4, 5])


def test_pitfall_17_self_mask_hides_a_late_input_from_a_server_that_keeps_it() -> None:
    """A curious server keeps the late upload and rebuilds the mask key: only the self mask stands between."""
    harness = Harness(5, threshold=3).run_to(Round.MASKED_INPUT)
    late = harness.ask(5)
    assert late is not None
    harness.play_round(silent={5})
    answers = {client: decode_answer(answer) for client, answer in harness.play_round().items()}
    shares = {client: dict(answer.mask_key_shares)[5] for client, answer in answers.items()}
    assert all(5 not in dict(answer.seed_shares) for answer in answers.values())

    # The holders of client 5's shares are clients 1..4, at the points 1..4.
    mask_key = AgreementKey.from_secret(shamir.reconstruct(shares, 3))
    assert mask_key.public == advertisement_of(harness, 5).mask_public
    parameters = harness.parameters
    layout = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
    words = np.empty(layout.words, dtype=np.uint64)
    payload = np.frombuffer(decode_answer(late).payload, dtype=np.uint8)
    unpack(payload, layout.sections[0].ring_bits, 0, words)
    listed = [advertisement_of(harness, client) for client in harness.cohort]
    binding = key_schedule.cohort_digest(
        harness.session, ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in listed)
    )
    terms = [
        MaskTerm(
            key_schedule.pairwise_mask_key(mask_key, ad.mask_public, harness.session, binding, 5, ad.client),
            negative=ad.client > 5,
        )
        for ad in listed
        if ad.client != 5
    ]
    prg = get_suite(parameters.suite).prg
    add_masks(words, terms, prg)
    reduce_to_ring(layout, words)
    plain = encode_input(layout, harness.inputs[5], randomness=harness.source.fork("plain")).words
    assert np.count_nonzero(words == plain) == 0

    # What is left is the self mask and nothing else: with the seed, which nobody reveals, it opens.
    add_masks(words, [MaskTerm(key_schedule.self_mask_key(Insider(harness, 5).seed, harness.session), True)], prg)
    reduce_to_ring(layout, words)
    assert words.tolist() == plain.tolist()


def test_pitfall_17_upload_before_the_close_counts_once() -> None:
    harness = Harness(5, threshold=3).run_to(Round.MASKED_INPUT)
    early = harness.ask(5)
    assert early is not None
    assert harness.deliver(5, early) == ()
    assert len(harness.deliver(5, early)) == 1
    for client in (1, 2, 3, 4):
        answer = harness.ask(client)
        assert answer is not None
        harness.deliver(client, answer)
    harness.close()
    harness.finish().assert_exact([1, 2, 3, 4, 5])


@models
def test_pitfall_19_nobody_shares_with_itself(model: str) -> None:
    harness = Harness(6, threat_model=model, threshold=4)
    harness.play_round()
    for client, answer in harness.play_round().items():
        receivers = [receiver for receiver, _ in decode_answer(answer).ciphertexts]
        assert receivers == [peer for peer in harness.cohort if peer != client]
    harness.run_to(Round.UNMASKING)
    for client, answer in harness.play_round().items():
        owners = [owner for owner, _ in decode_answer(answer).seed_shares]
        assert owners == [peer for peer in harness.cohort if peer != client]


def test_pitfall_19_threshold_counts_other_holders_only() -> None:
    """With a threshold of n - 1, all other clients must answer: one missing holder means no sum, never a guess."""
    harness = Harness(5, threshold=4).run_to(Round.UNMASKING)
    harness.play_round(silent={5})
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.TOO_FEW_UNMASKERS


@models
@pytest.mark.parametrize("where", ["survivors", "dropped"])
def test_pitfall_19_request_for_a_share_of_oneself(model: str, where: str) -> None:
    harness = at_unmasking(model)
    listed = (1, *getattr(decode_request(harness.requests[1]), where))
    request = alter(harness.requests[1], **{where: listed})
    refused(harness.clients[1], request, Violation.THIS_CLIENT_LISTED_FOR_UNMASKING)


def test_input_is_fixed_once_it_was_sent() -> None:
    harness = Harness(5, threshold=3).run_to(Round.MASKED_INPUT)
    harness.ask(1)
    with pytest.raises(LocalProtocolError):
        harness.clients[1].set_input(harness.inputs[1])
