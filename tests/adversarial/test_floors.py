"""Sums over few clients: pitfall 24. Both sides keep the floor that the offer names, each where it can see it."""

from __future__ import annotations

import pytest

from secagg import AbortReason, DropReason, Round, ServerPhase, SessionAbortedError, Violation
from secagg.protocol.messages import Abort, UnmaskingRequest
from secagg.wire.codec import encode
from tests.adversarial.tools import MODELS, drops, refused
from tests.harness import Harness, alter, decode_request

models = pytest.mark.parametrize("model", MODELS)
REASONS = {
    Round.ADVERTISE_KEYS: AbortReason.TOO_FEW_ADVERTISED,
    Round.SHARE_KEYS: AbortReason.TOO_FEW_SHARERS,
    Round.MASKED_INPUT: AbortReason.TOO_FEW_CONTRIBUTORS,
}


@models
@pytest.mark.parametrize("round_", list(REASONS))
@pytest.mark.parametrize("left", [7, 6, 5])
def test_pitfall_24_server_releases_at_the_floor_and_not_below(model: str, round_: Round, left: int) -> None:
    """8 clients, threshold 5 (so 6 suffice to unmask), floor 7."""
    harness = Harness(8, threat_model=model, threshold=5, minimum_contributors=7)
    harness.run_to(round_)
    harness.play_round(silent=range(left + 1, 9))
    if left >= 7:
        harness.finish().assert_exact(range(1, left + 1))
        return
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is REASONS[round_]
    with pytest.raises(SessionAbortedError):
        _ = harness.server.result
    # No request for shares ever leaves: the clients are told to forget the session.
    for client in range(1, left + 1):
        assert decode_request(harness.requests[client]) == Abort(harness.session, REASONS[round_])


def test_pitfall_24_server_keeps_the_floor_in_a_sparse_graph() -> None:
    harness = Harness(10, topology="sparse", degree=6, threshold=2, minimum_contributors=9).run_to(Round.MASKED_INPUT)
    harness.play_round(silent={9, 10})
    assert harness.server.abort_reason is AbortReason.TOO_FEW_CONTRIBUTORS


def test_pitfall_24_semi_honest_client_keeps_the_floor() -> None:
    """The server forgot its own floor; every client of a complete graph counts for itself."""
    harness = Harness(8, threshold=3, minimum_contributors=7).run_to(Round.UNMASKING)
    for client, survivors in ((1, 6), (2, 5), (3, 4)):
        others = tuple(peer for peer in harness.cohort if peer != client)
        request = encode(UnmaskingRequest(harness.session, others[:survivors], others[survivors:]))
        if survivors + 1 >= 7:
            assert harness.clients[client].receive(request) is not None
        else:
            refused(harness.clients[client], request, Violation.SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS)


def test_pitfall_24_active_client_keeps_the_floor_before_it_signs() -> None:
    harness = Harness(8, threat_model="active", threshold=5, minimum_contributors=7).run_to(Round.CONSISTENCY_CHECK)
    request = alter(harness.requests[1], contributors=(1, 2, 3, 4, 5, 6))
    refused(harness.clients[1], request, Violation.CONTRIBUTORS_BELOW_MINIMUM)
    at_the_floor = alter(harness.requests[2], contributors=(1, 2, 3, 4, 5, 6, 7))
    assert harness.clients[2].receive(at_the_floor) is not None


def test_pitfall_24_a_chosen_pair_is_no_sum() -> None:
    """The smallest cohort has two clients, and the server cannot name one of them as the only contributor."""
    harness = Harness(2, threshold=1, minimum_contributors=2).run_to(Round.UNMASKING)
    refused(
        harness.clients[1],
        encode(UnmaskingRequest(harness.session, (), (2,))),
        Violation.SURVIVORS_BELOW_THRESHOLD,
    )
    harness = Harness(2, threshold=1, minimum_contributors=2).run_to(Round.MASKED_INPUT)
    harness.play_round(silent={2})
    assert harness.server.abort_reason is AbortReason.TOO_FEW_CONTRIBUTORS


def test_pitfall_24_differences_of_sums_are_not_prevented() -> None:
    """Two exact sums over nearly the same clients differ by one input: the specification says so (security notes)."""
    both = Harness(5, threshold=2, minimum_contributors=4)
    both.finish()
    fewer = Harness(4, threshold=2, minimum_contributors=4)
    fewer.finish()
    difference = both.server.result.vectors["v"] - fewer.server.result.vectors["v"]
    assert difference.tolist() == both.inputs[5]["v"].tolist()


@models
def test_pitfall_24_too_few_to_unmask_means_no_sum(model: str) -> None:
    harness = Harness(8, threat_model=model, threshold=5).run_to(Round.UNMASKING)
    harness.play_round(silent={1, 2, 3})
    assert harness.server.abort_reason is AbortReason.TOO_FEW_UNMASKERS
    harness = Harness(8, threat_model=model, threshold=5).run_to(Round.UNMASKING)
    harness.play_round(silent={1, 2})
    harness.assert_exact(range(1, 9))


def test_pitfall_24_too_few_to_confirm_means_no_request_for_shares() -> None:
    harness = Harness(8, threat_model="active", threshold=5).run_to(Round.CONSISTENCY_CHECK)
    harness.play_round(silent={1, 2, 3})
    assert harness.server.abort_reason is AbortReason.TOO_FEW_CONFIRMERS
    for request in harness.requests.values():
        assert isinstance(decode_request(request), Abort)


@models
def test_pitfall_24_a_server_that_goes_on_below_the_floor_gets_no_answer(model: str) -> None:
    """The honest clients of an aborted session never reveal: told so, or asked anyway."""
    harness = Harness(8, threat_model=model, threshold=5, minimum_contributors=7).run_to(Round.MASKED_INPUT)
    harness.play_round(silent={7, 8})
    for client in range(1, 7):
        assert harness.clients[client].receive(harness.requests[client]) is None
        assert harness.clients[client].abort_reason is AbortReason.PEER_ABORTED
    for client in range(1, 7):
        others = tuple(peer for peer in range(1, 7) if peer != client)
        with pytest.raises(SessionAbortedError):
            harness.clients[client].receive(encode(UnmaskingRequest(harness.session, others, (7, 8))))


def test_pitfall_24_clients_without_neighbours_are_named_even_when_nobody_is_left() -> None:
    """The host of an aborted sparse session learns who was lost for want of neighbours, and how many answered."""
    harness = Harness(10, topology="sparse", degree=4, threshold=3, minimum_contributors=2)
    harness.play_round(silent={2, 3, 4, 5})
    assert harness.server.abort_reason is AbortReason.TOO_FEW_ADVERTISED
    reasons = drops(harness.events)
    assert set(reasons) == set(harness.cohort)
    assert {client for client, reason in reasons.items() if reason is DropReason.DID_NOT_ANSWER_IN_TIME} == {2, 3, 4, 5}
