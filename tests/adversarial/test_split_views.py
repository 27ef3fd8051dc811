"""A lying server shows clients different things: pitfalls 2 (split survivor sets) and 4 (split models)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from secagg import (
    AbortReason,
    ClientPhase,
    ClientPolicy,
    DecodeError,
    ParameterError,
    PeerMisbehaved,
    Round,
    ServerPhase,
    SessionOffer,
    SessionParameters,
    Violation,
)
from secagg.crypto.key_schedule import session_digest
from secagg.protocol.messages import ConsistencyCheckRequest, ShareKeysRequest, UnmaskingRequest
from secagg.wire.codec import encode, encode_offer
from tests.adversarial.tools import MODELS, Insider, refused
from tests.harness import Harness, alter, decode_answer, decode_request

CLIENTS = 6
THRESHOLD = 4


def active(round_: Round, seed: int = 0) -> Harness:
    return Harness(CLIENTS, threat_model="active", threshold=THRESHOLD, seed=seed).run_to(round_)


def confirm(harness: Harness, views: dict[int, tuple[int, ...]]) -> dict[int, bytes]:
    """Show every client its view of the contributors; returns the signatures of those that sign it."""
    signatures: dict[int, bytes] = {}
    for client, view in views.items():
        try:
            answer = harness.clients[client].receive(encode(ConsistencyCheckRequest(harness.session, view)))
        except PeerMisbehaved:
            continue
        assert answer is not None
        signatures[client] = decode_answer(answer).signature
    return signatures


def request_shares(
    harness: Harness, client: int, view: tuple[int, ...], confirmations: dict[int, bytes]
) -> UnmaskingRequest:
    """Ask a client for shares in line with a view of the contributors."""
    survivors = tuple(peer for peer in view if peer != client)
    dropped = tuple(peer for peer in harness.cohort if peer not in view)
    return UnmaskingRequest(harness.session, survivors, dropped, tuple(sorted(confirmations.items())))


@pytest.mark.parametrize("liars", [1, 2, 3, 4, 5])
def test_pitfall_02_split_views_never_give_both_secrets_of_a_client(liars: int) -> None:
    """However the server splits the others, it cannot get seed shares and mask-key shares of one victim."""
    victim = CLIENTS
    harness = active(Round.CONSISTENCY_CHECK)
    everybody = harness.cohort
    without = everybody[:-1]
    views = {client: without if client <= liars else everybody for client in everybody[:-1]}
    signatures = confirm(harness, views)
    answered: dict[tuple[int, ...], int] = {everybody: 0, without: 0}
    for client, view in views.items():
        # The server's best: exactly the signatures that are valid for this client's view.
        fitting = {peer: signature for peer, signature in signatures.items() if views[peer] == view}
        try:
            answer = harness.clients[client].receive(encode(request_shares(harness, client, view, fitting)))
        except PeerMisbehaved:
            continue
        assert answer is not None
        answered[view] += 1
        revealed = decode_answer(answer)
        kind = revealed.seed_shares if view == everybody else revealed.mask_key_shares
        assert victim in dict(kind)
    assert 0 in answered.values()
    assert answered[everybody] == (CLIENTS - 1 - liars if CLIENTS - 1 - liars >= THRESHOLD else 0)
    assert answered[without] == (liars if liars >= THRESHOLD else 0)


def test_pitfall_02_semi_honest_clients_do_answer_split_views() -> None:
    """Why the active model has its consistency round: without it, this attack works, and the specification says so."""
    harness = Harness(CLIENTS, threshold=3).run_to(Round.UNMASKING)
    kinds = set()
    for client in (1, 2, 3, 4):
        view = harness.cohort if client <= 2 else harness.cohort[:-1]
        answer = harness.clients[client].receive(encode(request_shares(harness, client, view, {})))
        assert answer is not None
        revealed = decode_answer(answer)
        kinds.add("seed" if CLIENTS in dict(revealed.seed_shares) else "mask key")
    assert kinds == {"seed", "mask key"}


def test_pitfall_02_shares_in_line_with_another_view_than_the_confirmed_one() -> None:
    harness = active(Round.UNMASKING)
    request = decode_request(harness.requests[1])
    lie = alter(harness.requests[1], survivors=request.survivors[:-1], dropped=(request.survivors[-1],))
    refused(harness.clients[1], lie, Violation.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS)


@pytest.mark.parametrize("missing", [2, 3, 4, 5])
def test_pitfall_02_too_few_signatures(missing: int) -> None:
    harness = active(Round.UNMASKING)
    confirmations = decode_request(harness.requests[1]).confirmations
    kept = confirmations[: CLIENTS - missing]
    lie = alter(harness.requests[1], confirmations=kept)
    if len(kept) >= THRESHOLD:
        assert harness.clients[1].receive(lie) is not None
    else:
        refused(harness.clients[1], lie, Violation.CONFIRMATIONS_BELOW_THRESHOLD)


def test_pitfall_02_no_signatures_at_all() -> None:
    harness = active(Round.UNMASKING)
    error = refused(
        harness.clients[1], alter(harness.requests[1], confirmations=()), Violation.OWN_CONFIRMATION_MISSING
    )
    assert "not in the list" in str(error)


def test_pitfall_02_own_signature_missing_though_enough_others_signed() -> None:
    harness = active(Round.UNMASKING)
    confirmations = decode_request(harness.requests[1]).confirmations
    lie = alter(harness.requests[1], confirmations=confirmations[1:])
    refused(harness.clients[1], lie, Violation.OWN_CONFIRMATION_MISSING)


def test_pitfall_02_one_signature_repeated_under_other_names() -> None:
    harness = active(Round.UNMASKING)
    (_, own), *_ = decode_request(harness.requests[1]).confirmations
    lie = alter(harness.requests[1], confirmations=tuple((client, own) for client in harness.cohort))
    refused(harness.clients[1], lie, Violation.CONFIRMATION_SIGNATURE_INVALID)


def test_pitfall_02_one_signature_repeated_under_one_name() -> None:
    """A list that repeats a name is no message at all; its encoding does not even exist in the other direction."""
    harness = active(Round.UNMASKING)
    own, *_ = decode_request(harness.requests[1]).confirmations
    session = harness.clients[1]
    with pytest.raises(DecodeError, match="ascending"):
        session.receive(alter(harness.requests[1], confirmations=(own,) * THRESHOLD))
    assert session.abort_reason is AbortReason.PEER_SENT_MALFORMED_MESSAGE


def test_pitfall_02_one_identity_under_two_names_would_count_twice() -> None:
    """A directory that lists one key for two clients is refused, by clients and by the server."""
    keys = active(Round.ADVERTISE_KEYS).identities
    with pytest.raises(ParameterError, match="one key in the roster"):
        Harness(CLIENTS, threat_model="active", threshold=THRESHOLD, identities={**keys, 5: keys[6]})
    harness = active(Round.ADVERTISE_KEYS)
    with pytest.raises(ParameterError, match="one key in the roster"):
        harness.make_client(1, roster={**harness.roster, 5: harness.roster[6]})


def test_pitfall_02_signatures_of_a_foreign_session() -> None:
    """Same cohort, same identities, same contributors, another nonce."""
    old = active(Round.UNMASKING, seed=1)
    new = Harness(CLIENTS, threat_model="active", threshold=THRESHOLD, seed=2, identities=old.identities).run_to(
        Round.UNMASKING
    )
    foreign = decode_request(old.requests[1]).confirmations[1:]
    own = decode_request(new.requests[1]).confirmations[:1]
    lie = alter(new.requests[1], confirmations=(*own, *foreign))
    refused(new.clients[1], lie, Violation.CONFIRMATION_SIGNATURE_INVALID)


def test_pitfall_02_signature_over_another_set() -> None:
    harness = active(Round.UNMASKING)
    confirmations = dict(decode_request(harness.requests[1]).confirmations)
    confirmations[2] = Insider(harness, 2).confirm(harness.cohort[:-1])
    lie = alter(harness.requests[1], confirmations=tuple(sorted(confirmations.items())))
    refused(harness.clients[1], lie, Violation.CONFIRMATION_SIGNATURE_INVALID)


def test_pitfall_02_signature_over_the_session_instead_of_the_cohort() -> None:
    """A confirmation is bound to the advertisements, not only to the parameters."""
    harness = active(Round.UNMASKING)
    confirmations = dict(decode_request(harness.requests[1]).confirmations)
    confirmations[2] = Insider(harness, 2).confirm(harness.cohort, binding=harness.session)
    lie = alter(harness.requests[1], confirmations=tuple(sorted(confirmations.items())))
    refused(harness.clients[1], lie, Violation.CONFIRMATION_SIGNATURE_INVALID)


def test_pitfall_02_signature_of_a_client_that_did_not_contribute() -> None:
    harness = Harness(CLIENTS, threat_model="active", threshold=THRESHOLD)
    harness.run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {6}})
    confirmations = decode_request(harness.requests[1]).confirmations
    extra = Insider(harness, 6).confirm(range(1, 6))
    lie = alter(harness.requests[1], confirmations=(*confirmations, (6, extra)))
    refused(harness.clients[1], lie, Violation.CONFIRMATION_OF_A_STRANGER)


def test_pitfall_02_a_client_signs_one_set_only() -> None:
    harness = active(Round.CONSISTENCY_CHECK)
    harness.clients[1].receive(harness.requests[1])
    other = alter(harness.requests[1], contributors=harness.cohort[:-1])
    refused(harness.clients[1], other, Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE)


def test_pitfall_02_the_consistency_round_cannot_be_skipped() -> None:
    harness = active(Round.CONSISTENCY_CHECK)
    assert harness.clients[1].phase is ClientPhase.CONSISTENCY_CHECK
    request = request_shares(harness, 1, harness.cohort, {})
    refused(harness.clients[1], encode(request), Violation.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE)


@pytest.mark.parametrize(
    ("contributors", "violation"),
    [
        ((), Violation.OWN_INPUT_NOT_AMONG_CONTRIBUTORS),
        ((2, 3, 4, 5, 6), Violation.OWN_INPUT_NOT_AMONG_CONTRIBUTORS),
        ((1, 2, 3, 4, 5, 6, 7), Violation.CONTRIBUTOR_NOT_A_SHARER),
        ((1, 2, 3, 4), Violation.CONTRIBUTORS_BELOW_THRESHOLD),
        ((1,), Violation.CONTRIBUTORS_BELOW_THRESHOLD),
    ],
)
def test_pitfall_02_contributors_are_checked_before_they_are_signed(
    contributors: tuple[int, ...], violation: Violation
) -> None:
    harness = active(Round.CONSISTENCY_CHECK)
    request = encode(ConsistencyCheckRequest(harness.session, contributors))
    refused(harness.clients[1], request, violation)


def test_pitfall_02_disjoint_sharers_and_survivors_need_a_threshold_that_the_model_forbids() -> None:
    """Masks with clients that 'dropped' protect nothing: a victim must mask with more clients than can be named so.

    The server shows the victim only `threshold` sharers, and wants all of them dropped. What survives is then
    too small for anybody to sign, for every choice of sharers.
    """
    for shown in combinations(range(1, CLIENTS), THRESHOLD):
        survivors = tuple(client for client in range(1, CLIENTS + 1) if client not in shown)
        assert len(survivors) - 1 < THRESHOLD
    harness = active(Round.MASKED_INPUT)
    ciphertexts = decode_request(harness.requests[6]).ciphertexts
    harness.clients[6].set_input(harness.inputs[6])
    assert harness.clients[6].receive(alter(harness.requests[6], ciphertexts=ciphertexts[:THRESHOLD])) is not None
    for client in (1, 5):
        harness.ask(client)
        request = encode(ConsistencyCheckRequest(harness.session, tuple(sorted({5, 6, client}))))
        refused(harness.clients[client], request, Violation.CONTRIBUTORS_BELOW_THRESHOLD)
    with pytest.raises(ParameterError, match="active model needs more than half"):
        replace(harness.parameters, threshold=CLIENTS // 2)


def split_context(model: str, **options: Any) -> tuple[Harness, SessionParameters]:
    """Client 1 trained another model: it gets the same offer with another context."""
    harness = Harness(CLIENTS, threat_model=model, context=b"model A", **options)
    other = replace(harness.parameters, context=b"model B")
    harness.clients[1] = harness.make_client(1, encode_offer(SessionOffer(other)))
    return harness, other


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_04_two_models_without_a_lie_drop_the_odd_client(model: str) -> None:
    """An honest server that made two offers by mistake: the odd client's digest differs, and it refuses."""
    harness, _ = split_context(model, threshold=THRESHOLD)
    refused(harness.clients[1], harness.requests[1], Violation.MESSAGE_OF_ANOTHER_SESSION)
    harness.play_round(silent={1})
    harness.finish().assert_exact([2, 3, 4, 5, 6])


@pytest.mark.parametrize("options", [{"threshold": 4}, {"topology": "sparse", "degree": 4, "threshold": 2}])
def test_pitfall_04_model_inconsistency_gives_no_sum_and_no_update(options: dict[str, object]) -> None:
    """The server rewrites the digests both ways, so that client 1 seems to be in the session of the others."""
    harness, other = split_context("semi-honest", **options)
    own = decode_request(harness.requests[1]).session
    its = session_digest(other.encode())

    def to_client(client: int, request: bytes) -> bytes:
        return alter(request, session=its) if client == 1 else request

    def to_server(client: int, answer: bytes) -> bytes:
        return alter(answer, session=own) if client == 1 else answer

    harness.play_round(on_request=to_client, on_answer=to_server)
    harness.play_round(on_request=to_client, on_answer=to_server)
    harness.play_round(on_request=to_client, on_answer=to_server, tolerant=True)
    # No channel between client 1 and its neighbours opens: each of them complains, and no input is masked.
    neighbours = {peer for peer, _ in decode_request(sent_to(harness, 1, Round.MASKED_INPUT)).ciphertexts}
    complained = {client for client, session in harness.clients.items() if session.phase is ClientPhase.DISCLOSURE}
    assert complained == {1, *neighbours}
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED


def test_pitfall_04_active_clients_refuse_the_advertisement_for_another_model() -> None:
    harness, other = split_context("active", threshold=THRESHOLD)
    own = harness.session
    its = session_digest(other.encode())
    answers = {}
    for client in harness.cohort:
        request = harness.requests[client]
        answers[client] = harness.ask(client, alter(request, session=its) if client == 1 else request)
    first = answers[1]
    assert first is not None
    advertisements = tuple(decode_answer(answer).advertisement for answer in answers.values() if answer is not None)
    refused(
        harness.clients[2],
        encode(ShareKeysRequest(own, advertisements)),
        Violation.ADVERTISEMENT_SIGNATURE_INVALID,
    )
    refused(
        harness.clients[1],
        encode(ShareKeysRequest(its, advertisements)),
        Violation.ADVERTISEMENT_SIGNATURE_INVALID,
    )


def test_pitfall_04_a_client_that_expects_a_model_refuses_another() -> None:
    harness = Harness(CLIENTS, context=b"model B")
    policy = ClientPolicy(minimum_cohort=2, minimum_threshold=1, context=b"model A")
    with pytest.raises(PeerMisbehaved) as caught:
        harness.make_client(1, policy=policy)
    assert caught.value.violation is Violation.OFFER_CONTEXT_NOT_EXPECTED


def test_pitfall_04_every_parameter_is_in_the_digest() -> None:
    """Two sessions that differ in anything have different digests, so none of their keys agree."""
    base: dict[str, object] = {"threshold": 3, "context": b"a", "minimum_contributors": 2}
    variants: list[dict[str, object]] = [
        {},
        {"threshold": 4},
        {"context": b"b"},
        {"minimum_contributors": 3},
        {"seed": 1},
        {"clients": (1, 2, 3, 4, 5, 7)},
        {"topology": "sparse", "degree": 4, "threshold": 3},
        {"suite": 2},
        {"threat_model": "active", "threshold": 4},
    ]
    digests = {Harness(**{"clients": 6, **base, **variant}).session for variant in variants}  # type: ignore[arg-type]
    assert len(digests) == len(variants)


def sent_to(harness: Harness, client: int, round_: Round) -> bytes:
    return next(s.data for s in harness.transcript if not s.to_server and s.client == client and s.round is round_)
