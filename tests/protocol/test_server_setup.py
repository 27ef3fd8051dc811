"""The server keeps good advertisements, complete shares, and clients with enough neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import DropReason, Integers, Round, SessionParameters
from secagg.errors import AbortReason
from secagg.protocol.context import SessionContext, session_context
from secagg.protocol.events import ClientDropped, ServerEvent
from secagg.protocol.roster import NO_ROSTER
from secagg.protocol.server_setup import keep_connected, require
from secagg.protocol.server_states import CannotContinueError
from tests.harness import Harness, alter, decode_answer, decode_request
from tests.protocol.support import KINDS, assert_exact, session

D = DropReason
CACHED: dict[tuple[int, int, int], SessionContext] = {}


def context(clients: int, degree: int, threshold: int) -> SessionContext:
    if (clients, degree, threshold) not in CACHED:
        parameters = SessionParameters.choose(
            clients=clients,
            vectors={"v": Integers(0, 1, 1)},
            topology="complete" if degree == clients - 1 else "sparse",
            degree=degree,
            threshold=threshold,
            minimum_contributors=2,
            nonce=bytes(32),
            permutation_seed=bytes(32) if degree < clients - 1 else None,
            max_corrupt=0.0,
            max_dropout=0.0,
        )
        CACHED[clients, degree, threshold] = session_context(parameters, NO_ROSTER)
    return CACHED[clients, degree, threshold]


@given(
    st.sampled_from([(12, 4, 2), (12, 4, 3), (12, 4, 4), (12, 5, 3), (9, 2, 1), (9, 2, 2), (16, 6, 4)]),
    st.sets(st.integers(0, 15)),
)
def test_what_is_kept_is_the_largest_set_with_enough_neighbours(shape: tuple[int, int, int], left: set[int]) -> None:
    ctx, threshold = context(*shape), shape[2]
    left &= set(ctx.parameters.cohort)
    kept, events = keep_connected(ctx, ctx.graph, frozenset(left), Round.SHARE_KEYS)
    expected = set(left)
    while isolated := {c for c in expected if len(expected.intersection(ctx.graph.of(c))) < threshold}:
        expected -= isolated
    assert kept == expected
    dropped = [event for event in events if isinstance(event, ClientDropped)]
    assert [event.client for event in dropped] == sorted(left - kept)
    assert {(event.round, event.reason) for event in dropped} <= {(Round.SHARE_KEYS, D.TOO_FEW_NEIGHBOURS_LEFT)}
    assert len(dropped) == len(events)


def test_nobody_is_pruned_from_a_complete_graph() -> None:
    ctx = context(6, 5, 3)
    assert keep_connected(ctx, ctx.graph, frozenset({1, 2}), Round.SHARE_KEYS) == (frozenset({1, 2}), ())


def test_a_pruned_client_is_dropped_and_the_others_go_on() -> None:
    harness = session("semi-honest sparse", clients=12)
    leaving = session_context(harness.parameters, NO_ROSTER).graph.of(1)[:3]
    harness.play_round(silent=leaving)
    dropped = {event.client: event.reason for event in harness.events if isinstance(event, ClientDropped)}
    assert {dropped.pop(client) for client in leaving} == {D.DID_NOT_ANSWER_IN_TIME}
    assert dropped == {1: D.TOO_FEW_NEIGHBOURS_LEFT}
    assert set(harness.requests) == set(harness.cohort) - {1, *leaving}
    harness.finish()
    assert_exact(harness, set(harness.cohort) - {1, *leaving})


@pytest.mark.parametrize(("minimum", "threshold", "needed"), [(2, 4, 5), (5, 4, 5), (6, 4, 6), (7, 1, 7), (2, 1, 2)])
def test_a_session_needs_its_minimum_and_one_more_than_the_threshold(minimum: int, threshold: int, needed: int) -> None:
    base = context(8, 7, 4)
    ctx = replace(base, parameters=replace(base.parameters, minimum_contributors=minimum, threshold=threshold))
    require(ctx, range(needed), AbortReason.TOO_FEW_SHARERS, "shared keys")
    with pytest.raises(
        CannotContinueError, match=f"{needed - 1} of 8 clients shared keys.*at least {needed}"
    ) as caught:
        require(ctx, range(needed - 1), AbortReason.TOO_FEW_SHARERS, "shared keys")
    assert caught.value.reason is AbortReason.TOO_FEW_SHARERS


def refusal(events: tuple[ServerEvent, ...], client: int) -> DropReason:
    (event,) = events
    assert isinstance(event, ClientDropped)
    assert event.client == client
    return event.reason


def test_each_rule_for_an_advertisement() -> None:
    harness = session("active complete")
    answers = {client: harness.ask(client) or b"" for client in harness.cohort}
    ads: dict[int, Any] = {client: decode_answer(answer).advertisement for client, answer in answers.items()}
    assert harness.deliver(1, answers[1]) == ()
    lies = {
        2: (ads[3], D.ADVERTISEMENT_OF_ANOTHER_CLIENT),
        3: (replace(ads[3], channel_public=ads[1].mask_public), D.PUBLIC_KEY_REPEATED),
        4: (replace(ads[4], mask_public=ads[4].channel_public), D.PUBLIC_KEY_REPEATED),
        5: (replace(ads[5], mask_public=bytes(32)), D.PUBLIC_KEY_OF_LOW_ORDER),
        6: (replace(ads[6], commitment=bytes(32)), D.ADVERTISEMENT_SIGNATURE_INVALID),
        7: (replace(ads[7], signature=b""), D.ADVERTISEMENT_SIGNATURE_INVALID),
    }
    for client, (ad, reason) in lies.items():
        assert refusal(harness.deliver(client, alter(answers[client], advertisement=ad)), client) is reason
    assert harness.server.answered == {1}


def test_a_key_stays_in_use_when_its_client_is_dropped() -> None:
    """Otherwise a client could be made to take over the key of one that left."""
    harness = session("semi-honest complete")
    answers = {client: harness.ask(client) or b"" for client in harness.cohort}
    harness.deliver(1, answers[1])
    harness.server.drop(1, D.CLIENT_ABORTED)
    taken = decode_answer(answers[1]).advertisement.mask_public
    ad = replace(decode_answer(answers[2]).advertisement, mask_public=taken)
    assert refusal(harness.deliver(2, alter(answers[2], advertisement=ad)), 2) is D.PUBLIC_KEY_REPEATED


def test_a_refused_advertisement_leaves_its_keys_free() -> None:
    harness = session("semi-honest complete")
    answers = {client: harness.ask(client) or b"" for client in harness.cohort}
    stolen = replace(decode_answer(answers[2]).advertisement, client=1)
    stolen = replace(stolen, mask_public=stolen.channel_public)
    assert refusal(harness.deliver(1, alter(answers[1], advertisement=stolen)), 1) is D.PUBLIC_KEY_REPEATED
    assert harness.deliver(2, answers[2]) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_for_all_advertised_neighbours_and_nobody_else(kind: str) -> None:
    harness = session(kind).run_to(Round.SHARE_KEYS, silent={Round.ADVERTISE_KEYS: {harness_last(kind)}})
    answers = {client: harness.ask(client) or b"" for client in harness.requests}
    ciphertexts = {client: list(decode_answer(answer).ciphertexts) for client, answer in answers.items()}
    one = ciphertexts[1]
    lies = {
        1: one[1:],
        2: [(harness_last(kind), one[0][1]), *ciphertexts[2][1:]],
        3: [(3, one[0][1]), *ciphertexts[3][1:]],
        4: [],
    }
    for client, sealed in lies.items():
        message = alter(answers[client], ciphertexts=tuple(sorted(sealed)))
        assert refusal(harness.deliver(client, message), client) is D.CIPHERTEXT_RECIPIENTS_WRONG
    assert harness.deliver(5, answers[5]) == ()


def harness_last(kind: str) -> int:
    return 8 if "sparse" in kind else 7


@pytest.mark.parametrize("kind", KINDS)
def test_each_client_gets_what_was_sealed_for_it_by_those_who_stayed(kind: str) -> None:
    harness = session(kind).run_to(Round.SHARE_KEYS)
    answers = harness.play_round(silent={2})
    for client, request in harness.requests.items():
        got = dict(decode_request(request).ciphertexts)
        neighbours = set(session_context(harness.parameters, NO_ROSTER).graph.of(client))
        assert set(got) == neighbours - {2}
        assert all(dict(decode_answer(answers[peer]).ciphertexts)[client] == sealed for peer, sealed in got.items())
    harness.finish()
    assert_exact(harness, set(harness.cohort) - {2})


def test_every_client_is_shown_its_neighbours_and_itself() -> None:
    for kind in KINDS:
        harness: Harness = session(kind).run_to(Round.SHARE_KEYS)
        graph = session_context(harness.parameters, NO_ROSTER).graph
        for client, request in harness.requests.items():
            shown = [ad.client for ad in decode_request(request).advertisements]
            assert shown == sorted((client, *graph.of(client)))
