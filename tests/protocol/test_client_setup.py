"""A client judges the offer and the advertisements, and shares its secrets among its neighbours only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secagg import (
    ClientPhase,
    ClientPolicy,
    FixedPoint,
    IdentityKey,
    ParameterError,
    PeerMisbehaved,
    Round,
    SecretBytes,
    SessionOffer,
    SessionParameters,
    ThreatModel,
    Violation,
)
from secagg.protocol.client_setup import accept_offer, check_policy
from secagg.protocol.client_states import Offered
from secagg.protocol.roster import NO_ROSTER
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness, alter, decode_answer, decode_request
from tests.protocol.support import KINDS, session

V = Violation
LOW_ORDER = bytes(32)


def offer(**changes: Any) -> SessionParameters:
    """12 clients, threshold 7, at least 6 contributors, semi-honest, 50 words."""
    arguments: dict[str, Any] = {
        "clients": 12,
        "vectors": {"v": FixedPoint(200, clip=1.0, bits=12)},
        "threat_model": "semi-honest",
        "topology": "complete",
        "threshold": 7,
        "minimum_contributors": 6,
        "context": b"model 7, round 3",
        "nonce": bytes(32),
        **changes,
    }
    return SessionParameters.choose(**arguments)


def test_a_policy_is_applied_before_a_key_is_drawn() -> None:
    """Which floors there are is told in tests/test_policy.py."""
    randomness, message = DeterministicRandomSource(1), SessionOffer(offer())
    met, broken = ClientPolicy(minimum_cohort=12), ClientPolicy(minimum_cohort=13)
    with pytest.raises(PeerMisbehaved) as caught:
        accept_offer(Offered(3, broken, None, NO_ROSTER, False), message, randomness)
    assert caught.value.violation is V.OFFER_COHORT_BELOW_POLICY
    step = accept_offer(Offered(3, met, None, NO_ROSTER, False), message, randomness)
    assert (step.state.phase, step.outbound) == (ClientPhase.ADVERTISE_KEYS, None)
    assert "0 draws" in repr(randomness)


@pytest.mark.parametrize(
    ("parameters", "max_corrupt", "resists"),
    [
        (offer(threshold=4), 3 / 12, True),
        (offer(threshold=3), 3 / 12, False),
        (offer(threat_model="active", threshold=7), 1 / 12, True),
        (offer(threat_model="active", threshold=7), 2 / 12, False),
        (offer(threat_model="active", threshold=8), 3 / 12, True),
        (offer(threat_model="active", threshold=8), 4 / 12, False),
    ],
)
def test_the_floor_under_a_threshold_follows_the_model(
    parameters: SessionParameters, max_corrupt: float, resists: bool
) -> None:
    policy = ClientPolicy(max_corrupt=max_corrupt)
    active = parameters.threat_model is ThreatModel.ACTIVE
    if resists:
        check_policy(policy, parameters, signs=active)
    else:
        with pytest.raises(PeerMisbehaved, match=f"threshold {parameters.threshold} and degree 11 for 12") as caught:
            check_policy(policy, parameters, signs=active)
        assert caught.value.violation is V.OFFER_THRESHOLD_BELOW_POLICY


@pytest.mark.parametrize(("signs", "model", "refused"), [(True, "semi-honest", True), (False, "active", False)])
def test_who_can_sign_is_not_talked_into_the_semi_honest_model(signs: bool, model: str, refused: bool) -> None:
    check_policy(ClientPolicy(threat_model=ThreatModel(model)), offer(threat_model=model), signs=signs)
    if refused:
        with pytest.raises(PeerMisbehaved) as caught:
            check_policy(ClientPolicy(), offer(threat_model=model), signs=signs)
        assert caught.value.violation is V.OFFER_THREAT_MODEL_NOT_ALLOWED
    else:
        check_policy(ClientPolicy(), offer(threat_model=model), signs=signs)


def test_an_offer_to_somebody_else_is_refused() -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        accept_offer(
            Offered(12, ClientPolicy(), None, NO_ROSTER, False), SessionOffer(offer()), DeterministicRandomSource(1)
        )
    assert caught.value.violation is V.OFFER_COHORT_WITHOUT_THIS_CLIENT


def test_an_active_offer_needs_identity_and_roster() -> None:
    harness = session("active complete")
    stranger = IdentityKey.from_seed(SecretBytes(bytes(32)))
    with pytest.raises(ParameterError, match="pass identity=IdentityKey and roster="):
        harness.make_client(1, identity=None)
    with pytest.raises(ParameterError, match="not the one of client 1 in the roster"):
        harness.make_client(1, identity=stranger)
    without = {client: key for client, key in harness.roster.items() if client != 6}
    with pytest.raises(PeerMisbehaved) as caught:
        harness.make_client(1, roster=without)
    assert str(caught.value).endswith(
        "client 6 of the offered cohort has no key in this client's roster: it is a stranger, or was taken out after "
        "the "
        "session was made, which then has to be made anew [C10 OFFER_COHORT_MEMBER_NOT_IN_ROSTER]"
    )
    assert caught.value.violation is V.OFFER_COHORT_MEMBER_NOT_IN_ROSTER


@pytest.mark.parametrize("kind", KINDS)
def test_shares_go_to_the_advertised_neighbours_and_never_to_oneself(kind: str) -> None:
    harness = session(kind)
    harness.play_round(silent={harness.cohort[-1]})
    for client, request in dict(harness.requests).items():
        shown = [ad.client for ad in decode_request(request).advertisements]
        answer = decode_answer(harness.ask(client) or b"")
        assert [receiver for receiver, _ in answer.ciphertexts] == [peer for peer in shown if peer != client]
        assert client in shown
        assert len({sealed for _, sealed in answer.ciphertexts}) == len(answer.ciphertexts)


def test_keys_are_fresh_and_different() -> None:
    harness = session("semi-honest complete")
    answers = harness.play_round(close=False)
    publics = [
        public
        for answer in answers.values()
        for public in (
            decode_answer(answer).advertisement.channel_public,
            decode_answer(answer).advertisement.mask_public,
            decode_answer(answer).advertisement.commitment,
        )
    ]
    assert len(set(publics)) == 3 * 7
    other = session("semi-honest complete", seed=1)
    assert not set(publics) & {decode_answer(a).advertisement.mask_public for a in other.play_round().values()}


def altered(harness: Harness, change: str) -> bytes:
    """Client 1's ShareKeys request with one thing wrong."""
    request = harness.requests[1]
    ads = list(decode_request(request).advertisements)
    own, first, second, *_ = ads
    assert own.client == 1
    changed = {
        "own missing": ads[1:],
        "own changed": [replace(own, commitment=bytes(32)), *ads[1:]],
        "stranger": [*ads, replace(first, client=99, channel_public=b"\1" * 32, mask_public=b"\2" * 32)],
        "too few": ads[:4],
        "key of another": [own, replace(first, channel_public=second.channel_public), *ads[2:]],
        "one key for both": [own, replace(first, channel_public=first.mask_public), *ads[2:]],
        "my key": [own, replace(first, mask_public=own.mask_public), *ads[2:]],
        "low order": [own, replace(first, channel_public=LOW_ORDER), *ads[2:]],
        "unsigned": [own, replace(first, signature=b""), *ads[2:]],
        "other commitment": [own, replace(first, commitment=bytes(32)), *ads[2:]],
        "signed by another": [own, replace(first, signature=second.signature), *ads[2:]],
    }
    return alter(request, advertisements=tuple(changed[change]))


@pytest.mark.parametrize(
    ("kind", "change", "violation"),
    [
        ("semi-honest complete", "own missing", V.OWN_ADVERTISEMENT_MISSING),
        ("semi-honest complete", "own changed", V.OWN_ADVERTISEMENT_CHANGED),
        ("semi-honest complete", "stranger", V.ADVERTISEMENT_OF_A_STRANGER),
        ("semi-honest complete", "too few", V.ADVERTISED_BELOW_THRESHOLD),
        ("semi-honest complete", "key of another", V.PUBLIC_KEY_REPEATED),
        ("semi-honest complete", "one key for both", V.PUBLIC_KEY_REPEATED),
        ("semi-honest complete", "my key", V.PUBLIC_KEY_REPEATED),
        ("semi-honest complete", "low order", V.PUBLIC_KEY_OF_LOW_ORDER),
        ("active complete", "unsigned", V.ADVERTISEMENT_SIGNATURE_INVALID),
        ("active complete", "other commitment", V.ADVERTISEMENT_SIGNATURE_INVALID),
        ("active complete", "signed by another", V.ADVERTISEMENT_SIGNATURE_INVALID),
    ],
)
def test_each_rule_for_advertisements(kind: str, change: str, violation: Violation) -> None:
    harness = session(kind).run_to(Round.SHARE_KEYS)
    with pytest.raises(PeerMisbehaved) as caught:
        harness.ask(1, altered(harness, change))
    assert caught.value.violation is violation
    assert harness.clients[1].phase is ClientPhase.ABORTED


def test_in_a_sparse_graph_a_client_of_the_cohort_is_a_stranger_too() -> None:
    harness = session("semi-honest sparse").run_to(Round.SHARE_KEYS)
    request = decode_request(harness.requests[1])
    shown = {ad.client for ad in request.advertisements}
    other = next(client for client in harness.cohort if client not in shown)
    foreign = next(ad for ad in decode_request(harness.requests[other]).advertisements if ad.client == other)
    more = tuple(sorted((*request.advertisements, foreign), key=lambda ad: ad.client))
    with pytest.raises(PeerMisbehaved) as caught:
        harness.ask(1, alter(harness.requests[1], advertisements=more))
    assert caught.value.violation is V.ADVERTISEMENT_OF_A_STRANGER


def test_exactly_threshold_neighbours_are_enough() -> None:
    harness = session("semi-honest complete").run_to(Round.SHARE_KEYS)
    ads = decode_request(harness.requests[1]).advertisements
    answer = harness.ask(1, alter(harness.requests[1], advertisements=ads[:5]))
    assert [receiver for receiver, _ in decode_answer(answer or b"").ciphertexts] == [2, 3, 4, 5]
