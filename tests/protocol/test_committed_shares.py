"""Where dealings are signed wrong shares are left out, and who dealt what contradicts itself is named with evidence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from secagg import (
    AbortReason,
    DropReason,
    EvidenceError,
    Round,
    SecretBytes,
    ServerPhase,
    ServerSession,
    SessionAbortedError,
    SessionParameters,
    verify_evidence,
)
from secagg.crypto.commitments import Commitments
from secagg.protocol import server_committed
from secagg.protocol.dealing_evidence import DealingEvidence
from secagg.protocol.events import ShareInconsistent
from secagg.protocol.server_states import CollectingUnmaskingShares
from tests.dealers import contradicting, off, redealt
from tests.harness import Harness, alter, decode_answer, decode_request

D = DropReason
Change = Callable[[int, bytes], bytes]


def active(clients: int = 9, threshold: int = 5) -> Harness:
    """An active session of nine: eight holders of each secret, of which five are enough."""
    return Harness(clients, threat_model="active", threshold=threshold, minimum_contributors=2)


def noise(share: bytes) -> bytes:
    return bytes(36) + share[36:]


def bad_digest(share: bytes) -> bytes:
    return share[:-1] + bytes([share[-1] ^ 1])


def revealing(
    lies: Mapping[int, Collection[int]], lie: Callable[[bytes], bytes] = noise
) -> Callable[[int, bytes], bytes]:
    """A hook: each of these holders lies about these owners."""

    def change(client: int, answer: bytes) -> bytes:
        if client not in lies:
            return answer
        message = decode_answer(answer)
        return alter(
            answer,
            **{
                kind: [
                    (owner, SecretBytes(lie(bytes(share.expose()))) if owner in lies[client] else share)
                    for owner, share in getattr(message, kind)
                ]
                for kind in ("seed_shares", "mask_key_shares")
            },
        )

    return change


def dealt(harness: Harness, dealers: Mapping[int, tuple[Change, Collection[int]]]) -> Harness:
    """Play to Unmasking; these dealers change the shares of these receivers, and commit to what they deal."""
    harness.run_to(Round.SHARE_KEYS)

    def deal(client: int, answer: bytes) -> bytes:
        if client not in dealers:
            return answer
        change, receivers = dealers[client]
        return contradicting(harness, client, answer, change, receivers)

    harness.play_round(on_answer=deal)
    return harness.run_to(Round.UNMASKING)


def moved(_receiver: int, shares: bytes) -> bytes:
    return off(shares)


def reports(harness: Harness) -> set[tuple[int, int, D]]:
    return {(each.holder, each.owner, each.reason) for each in harness.events if isinstance(each, ShareInconsistent)}


def blamed(harness: Harness) -> list[int]:
    """Whom the session blames, all with evidence that holds."""
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED
    for blame in harness.server.blame:
        assert blame.reason is D.DEALT_INCONSISTENT_SHARES
        assert blame.evidence is not None
        verdict = verify_evidence(blame.evidence, harness.roster)
        assert (verdict.client, verdict.reason, verdict.session) == (blame.client, blame.reason, harness.session)
    return [blame.client for blame in harness.server.blame]


@pytest.mark.parametrize("lie", [noise, bad_digest])
def test_as_many_liars_as_there_are_shares_more_than_needed_cost_nothing(lie: Callable[[bytes], bytes]) -> None:
    """Three of eight; one other share is noise, so that commitments are looked at."""
    harness = active().run_to(Round.UNMASKING)
    everybody = range(1, 10)
    first = revealing({9: everybody})

    def change(client: int, answer: bytes) -> bytes:
        return revealing({1: everybody, 5: everybody}, lie)(client, first(client, answer))

    harness.play_round(on_answer=change)
    harness.assert_exact(everybody)
    expected = {(holder, owner, D.SHARE_NOT_AS_DEALT) for holder in (1, 5, 9) for owner in everybody if owner != holder}
    if lie is bad_digest:
        # Of client 9's own secret no share is noise, and digests alone are not looked at.
        expected = {each for each in expected if each[1] != 9}
    assert reports(harness) == expected


def test_one_liar_more_leaves_too_few_and_nobody_is_blamed() -> None:
    harness = active().run_to(Round.UNMASKING)
    harness.play_round(on_answer=revealing({holder: [9] for holder in range(1, 5)}))
    assert harness.server.abort_reason is AbortReason.TOO_FEW_UNMASKERS
    assert harness.server.blame == ()
    told = (
        "4 holders revealed the shares that were dealt to them of client 9; the threshold is 5. Clients 1, 2, 3, 4 "
        "revealed shares that were not dealt to them"
    )
    with pytest.raises(SessionAbortedError, match=told):
        harness.server.result  # noqa: B018 - the property raises


def test_commitments_are_not_looked_at_where_too_few_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are n^2 of them, and nothing that follows would be another."""
    monkeypatch.setattr(Commitments, "fits", None)
    harness = active().run_to(Round.UNMASKING)
    harness.play_round(silent=range(1, 6))
    assert harness.server.abort_reason is AbortReason.TOO_FEW_UNMASKERS


def test_digests_are_not_looked_at_where_all_shares_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Commitments, "fits", None)
    harness = active().run_to(Round.UNMASKING)
    harness.play_round(on_answer=revealing({client: range(1, 10) for client in range(1, 10)}, bad_digest))
    harness.assert_exact(range(1, 10))
    assert reports(harness) == set()


def test_a_share_of_a_mask_key_is_held_to_its_commitment_too() -> None:
    harness = active().run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {9}})
    harness.play_round(on_answer=revealing({1: [9], 2: [9], 3: [4]}))
    harness.assert_exact(range(1, 9))
    assert reports(harness) == {
        (1, 9, D.SHARE_NOT_AS_DEALT),
        (2, 9, D.SHARE_NOT_AS_DEALT),
        (3, 4, D.SHARE_NOT_AS_DEALT),
    }


@pytest.mark.parametrize(
    ("receivers", "shown"),
    [
        ((1,), (1, 3, 4, 5, 6)),
        ((9,), (1, 3, 4, 5, 6, 9)),
        ((7, 9), (1, 3, 4, 5, 6, 7)),
        (range(1, 10), (1, 3, 4, 5, 6)),
    ],
)
def test_a_dealer_of_shares_that_contradict_each_other_is_named(
    receivers: Collection[int], shown: tuple[int, ...]
) -> None:
    """The first five where they lead to nothing that was advertised, otherwise these and the first that is off."""
    harness = dealt(active(), {2: (moved, receivers)})
    harness.play_round()
    assert blamed(harness) == [2]
    evidence = DealingEvidence.decode(harness.server.blame[0].evidence or b"")
    assert evidence.holders == b"".join(holder.to_bytes(8, "big") for holder in shown)
    for client in harness.cohort:
        assert decode_request(harness.requests[client]).reason is AbortReason.SECRET_NOT_RECONSTRUCTED


def test_a_dealer_of_a_mask_key_that_it_did_not_advertise_is_named_when_it_leaves() -> None:
    harness = active().run_to(Round.SHARE_KEYS)

    def deal(client: int, answer: bytes) -> bytes:
        def change(_receiver: int, shares: bytes) -> bytes:
            return shares[:36] + off(shares[36:])

        return contradicting(harness, 2, answer, change, range(1, 10)) if client == 2 else answer

    harness.play_round(on_answer=deal)
    harness.play_round(silent={2})
    harness.finish()
    assert blamed(harness) == [2]


def test_all_dealers_are_named_though_too_few_shares_of_another_fit() -> None:
    harness = dealt(active(), {2: (moved, [9]), 7: (moved, [1])})
    harness.play_round(on_answer=revealing({3: [1], 4: [1], 5: [1], 6: [1]}))
    assert blamed(harness) == [2, 7]
    assert reports(harness) == set()


def test_who_lies_about_a_dealer_that_lies_is_not_in_the_evidence() -> None:
    harness = dealt(active(), {2: (moved, [9])})
    harness.play_round(on_answer=revealing({3: [2]}))
    assert blamed(harness) == [2]
    evidence = DealingEvidence.decode(harness.server.blame[0].evidence or b"")
    assert evidence.holders == b"".join(holder.to_bytes(8, "big") for holder in (1, 4, 5, 6, 7, 9))


def test_evidence_has_the_blocks_of_those_that_it_names_only() -> None:
    for receiver, entries in ((1, 32), (40, 39)):
        harness = dealt(active(40, 27), {2: (moved, [receiver])})
        harness.play_round()
        (blame,) = harness.server.blame
        evidence = DealingEvidence.decode(blame.evidence or b"")
        assert len(evidence.blocks) == entries * 184
        assert blamed(harness)


def test_a_pair_that_its_commitment_does_not_fit_is_complained_of() -> None:
    harness = active().run_to(Round.SHARE_KEYS)

    def deal(client: int, answer: bytes) -> bytes:
        pair = dict(decode_answer(answer).ciphertexts).get(4, b"")
        return redealt(harness, 2, answer, {4: bad_digest(pair)}) if client == 2 else answer

    harness.play_round(on_answer=deal)
    harness.finish()
    assert harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED
    (blame,) = harness.server.blame
    assert (blame.client, blame.reason) == (2, D.DEALT_UNREADABLE_PAIR)
    assert verify_evidence(blame.evidence or b"", harness.roster).client == 2


def test_a_session_that_was_frozen_blames_all_the_same() -> None:
    harness = dealt(active(), {2: (moved, [9])})
    harness.server = ServerSession.resume(harness.server.snapshot(), roster=harness.roster)
    assert isinstance(harness.server._state, CollectingUnmaskingShares)
    harness.play_round()
    assert blamed(harness) == [2]


def evidence_of_a_dealing() -> tuple[Harness, DealingEvidence]:
    harness = dealt(active(), {2: (moved, [9])})
    harness.play_round()
    (blame,) = harness.server.blame
    return harness, DealingEvidence.decode(blame.evidence or b"")


def test_shares_that_were_dealt_show_nothing_as_long_as_they_agree() -> None:
    """The same without the one that is off: five that lead to the seed."""
    harness, found = evidence_of_a_dealing()
    right = replace(found, holders=found.holders[:-8], shares=found.shares[:-68])
    with pytest.raises(EvidenceError, match="the shares that client 2 dealt are right"):
        verify_evidence(right.encode(), harness.roster)
    fewer = replace(found, holders=found.holders[8:-8], shares=found.shares[68:-68])
    with pytest.raises(EvidenceError, match="it has shares of 4 holders"):
        verify_evidence(fewer.encode(), harness.roster)


CHANGES: dict[str, tuple[Callable[[DealingEvidence], dict[str, Any]], str]] = {
    "parameters": (lambda e: {"parameters": e.parameters[:-1]}, "no session has the parameters"),
    "another session": (
        lambda e: {"parameters": replace(SessionParameters.decode(e.parameters), nonce=bytes(32)).encode()},
        "did not sign what it is said to have advertised",
    ),
    "binding": (lambda e: {"binding": bytes(32)}, "did not sign that it dealt these"),
    "dealer": (lambda e: {"dealer": 3}, "did not sign what it is said to have advertised"),
    "nobody": (lambda e: {"dealer": 77}, "signed no dealing in a session"),
    "channel key": (lambda e: {"channel_public": bytes(32)}, "did not sign what it is said"),
    "mask key": (lambda e: {"mask_public": bytes(32)}, "did not sign what it is said"),
    "commitment": (lambda e: {"commitment": bytes(32)}, "did not sign what it is said"),
    "digests": (lambda e: {"digests": e.digests + bytes(32)}, "did not sign that it dealt these"),
    "blocks": (lambda e: {"blocks": e.blocks[:-184]}, "a block in it that client 2 did not deal"),
    "block twice": (lambda e: {"blocks": e.blocks * 2}, "a block in it|not in the order"),
    "kind": (lambda e: {"kind": 2}, "did not sign that it dealt this share"),
    "no kind": (lambda e: {"kind": 3}, "a share in it that is none"),
    "holders": (lambda e: {"holders": e.holders[8:] + e.holders[:8]}, "in ascending order"),
    "odd holders": (lambda e: {"holders": e.holders[:-1]}, "no ids of holders"),
    "stranger": (lambda e: {"holders": e.holders[:-8] + (77).to_bytes(8, "big")}, "not clients to whom 2 dealt"),
    "itself": (lambda e: {"holders": e.holders[:8] + (2).to_bytes(8, "big") + e.holders[16:]}, "to whom 2 dealt"),
    "share": (lambda e: {"shares": off(e.shares)}, "did not sign that it dealt this share to client 1"),
    "digest": (lambda e: {"shares": e.shares[:-1] + bytes([e.shares[-1] ^ 1])}, "this share to client 9"),
    "not canonical": (lambda e: {"shares": b"\xff\xff" + e.shares[2:]}, "a share in it that is none"),
    "short shares": (lambda e: {"shares": e.shares[:-1]}, "are not the shares of 6 holders"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_evidence_with_any_part_changed_shows_nothing(name: str) -> None:
    harness, found = evidence_of_a_dealing()
    change, sentence = CHANGES[name]
    with pytest.raises(EvidenceError, match=sentence):
        verify_evidence(replace(found, **change(found)).encode(), harness.roster)


def test_evidence_needs_the_dealers_key() -> None:
    harness, found = evidence_of_a_dealing()
    others = {client: key for client, key in harness.roster.items() if client != 2}
    with pytest.raises(EvidenceError, match="client 2 is not in the roster"):
        verify_evidence(found.encode(), others)


def test_commitments_are_compared_for_those_secrets_only_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    original = server_committed._fitting

    def watching(state: Any, dealings: Any, kind: Any, owner: int, *others: Any) -> Any:
        looked.append(owner)
        return original(state, dealings, kind, owner, *others)

    monkeypatch.setattr(server_committed, "_fitting", watching)
    harness = active().run_to(Round.UNMASKING)
    harness.play_round(on_answer=revealing({1: [4, 6]}))
    harness.assert_exact(range(1, 10))
    assert harness.server.phase is ServerPhase.COMPLETED
    assert looked == [4, 6]
