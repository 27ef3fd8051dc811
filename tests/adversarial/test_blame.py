"""Pitfall 44: blame that can be steered. No honest client is ever blamed with evidence, whoever else lies and how."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import AbortReason, EvidenceError, Round, verify_evidence
from secagg.crypto import dealing
from secagg.protocol.client_states import AwaitingDisclosure, AwaitingMaskedInput
from secagg.protocol.evidence import Evidence
from secagg.wire.codec import encode
from tests.adversarial.tools import complains
from tests.dealers import GARBAGE, false_complaint, garbage_from, pretend_to_complain, redealt, sealed_by
from tests.harness import Harness, alter, decode_answer, decode_request

CLIENTS = 7
NOT_CANONICAL = b"\xff\xf1" + bytes(70)
ids = st.integers(1, CLIENTS)
behaviours = st.fixed_dictionaries(
    {
        "garbage": st.sets(ids, max_size=3),
        "not canonical": st.sets(ids, max_size=2),
        "complains of": st.sets(ids, max_size=3),
        "leaves": st.sampled_from([None, None, None, Round.MASKED_INPUT, Round.DISCLOSURE]),
        "proofs": st.sampled_from(["right", "right", "zero", "swapped"]),
    }
)


def active(seed: int = 0) -> Harness:
    return Harness(CLIENTS, threat_model="active", threshold=5, minimum_contributors=2, seed=seed)


def play(harness: Harness, corrupt: dict[int, dict[str, Any]]) -> None:
    """One session with an honest server; the corrupt clients do what was drawn for them."""
    harness.run_to(Round.SHARE_KEYS)

    def deal(client: int, answer: bytes) -> bytes:
        if client not in corrupt:
            return answer
        pairs = dict.fromkeys(corrupt[client]["garbage"] - {client}, GARBAGE)
        for other in corrupt[client]["not canonical"] - {client}:
            pairs[other] = sealed_by(harness, client, other, NOT_CANONICAL)
        return redealt(harness, client, answer, pairs)

    harness.play_round(on_answer=deal)
    silent = set()
    for client, does in corrupt.items():
        accused = does["complains of"] - {client}
        if does["leaves"] is Round.MASKED_INPUT:
            silent.add(client)
        elif accused:
            pretend_to_complain(harness, client, accused)
            harness.deliver(client, false_complaint(harness, client, accused))
            silent.add(client)
    harness.play_round(silent=silent)
    if harness.round is not Round.DISCLOSURE:
        return

    def disclose(client: int, answer: bytes) -> bytes | None:
        if client not in corrupt or corrupt[client]["proofs"] == "right":
            return answer
        listed = decode_answer(answer).disclosures
        proofs = [proof for _, proof in listed][::-1] if corrupt[client]["proofs"] == "swapped" else [bytes(128)] * 8
        return alter(answer, disclosures=tuple((c, proof) for (c, _), proof in zip(listed, proofs, strict=False)))

    gone = {client for client, does in corrupt.items() if does["leaves"] is Round.DISCLOSURE}
    harness.play_round(silent=gone, on_answer=disclose)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(ids, behaviours, max_size=3), st.integers(0, 3))
def test_pitfall_44_no_honest_client_is_blamed_and_some_corrupt_one_is(
    corrupt: dict[int, dict[str, Any]], seed: int
) -> None:
    harness = active(seed)
    play(harness, corrupt)
    if harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED:
        assert harness.server.blame
        assert {blame.client for blame in harness.server.blame} <= set(corrupt)
        for blame in harness.server.blame:
            if blame.evidence is not None:
                verdict = verify_evidence(blame.evidence, harness.roster)
                assert (verdict.client, verdict.reason) == (blame.client, blame.reason)
    else:
        assert not harness.server.blame
        harness.finish()
        if harness.server.abort_reason is None:
            harness.assert_exact()


def evidence_against_a_dealer(seed: int = 0) -> tuple[Harness, Evidence]:
    """Client 2 dealt garbage to client 4, which disclosed it."""
    harness = active(seed).run_to(Round.SHARE_KEYS)
    harness.play_round(on_answer=garbage_from(harness, {2: [4]}))
    harness.finish()
    (blame,) = harness.server.blame
    assert blame.evidence is not None
    return harness, Evidence.decode(blame.evidence)


def test_pitfall_44_a_dealer_with_two_dealings_cannot_turn_a_proof_on_its_maker() -> None:
    """It signs the garbage, and after the disclosure also the pair that it should have dealt, with the same keys."""
    harness = active().run_to(Round.SHARE_KEYS)
    right: dict[int, bytes] = {}

    def deal(client: int, answer: bytes) -> bytes:
        if client != 2:
            return answer
        right.update(decode_answer(answer).ciphertexts)
        return redealt(harness, 2, answer, {4: GARBAGE})

    harness.play_round(on_answer=deal)
    dealer = cast(AwaitingMaskedInput, harness.clients[2]._state)
    publics, own = dealer.channel_publics, dealer.channel_key
    assert own is not None
    harness.finish()
    found = Evidence.decode(harness.server.blame[0].evidence or b"")
    entries = [dealing.dealt_entry(to, publics[to], sealed) for to, sealed in sorted(right.items())]
    digests = dealing.digests_of(entries)
    text = dealing.dealing_text(harness.session, found.binding, 2, own.public, digests)
    forged = replace(
        found,
        block=dealing.block_with(entries, 2),
        digests=digests,
        dealing_signature=harness.identities[2].sign(text),
        sealed=right[4],
    )
    with pytest.raises(EvidenceError, match="the proof does not disclose"):
        verify_evidence(forged.encode(), harness.roster)


@pytest.mark.parametrize("name", [field.name for field in fields(Evidence)])
def test_pitfall_44_evidence_of_one_session_says_nothing_of_another(name: str) -> None:
    """Every part is bound to all others: what is put in from another session makes it worthless."""
    harness, one = evidence_against_a_dealer()
    _, other = evidence_against_a_dealer(seed=1)
    verify_evidence(one.encode(), harness.roster)
    changed = {"dealer": 3, "complainer": 5, "sealed": bytes(111) + b"\x01"}.get(name, getattr(other, name))
    if changed == getattr(one, name):
        pytest.fail(f"{name} does not differ between sessions")
    changes: Any = {name: changed}
    with pytest.raises(EvidenceError):
        verify_evidence(replace(one, **changes).encode(), harness.roster)


def test_pitfall_44_a_lying_server_gets_no_disclosure_between_honest_clients() -> None:
    """It changes a pair on its way, and shows what the honest dealer signed: that is not what its receiver got."""
    harness = active().run_to(Round.MASKED_INPUT)
    request = harness.requests[4]
    listed = decode_request(request).ciphertexts
    changed = tuple((sender, GARBAGE if sender == 2 else sealed) for sender, sealed in listed)
    complaint = harness.clients[4].receive(alter(request, ciphertexts=changed))
    harness.deliver(4, complaint or b"")
    harness.play_round(silent={4})
    assert harness.round is Round.DISCLOSURE
    before = cast(AwaitingDisclosure, harness.clients[4]._state)
    assert list(before.accused) == [2]
    harness.play_round(tolerant=True)
    assert "is not in what is shown of client 2" in str(harness.errors[4])
    assert [(blame.client, blame.evidence) for blame in harness.server.blame] == [(4, None)]


def test_pitfall_44_two_copies_of_a_client_never_complain_and_upload() -> None:
    """The ledger counts both as answers of one phase, and two disclosures as answers of another."""
    from secagg import SessionAbortedError
    from tests.protocol.support import resumed_client, session

    harness = session("active complete").run_to(Round.MASKED_INPUT)
    harness.clients[4].set_input(harness.inputs[4])
    frozen, ledger = harness.clients[4].snapshot(), harness.ledgers[4]
    first, second = (resumed_client(harness, 4, frozen, ledger=ledger) for _ in range(2))
    listed = decode_request(harness.requests[4]).ciphertexts
    lie = alter(harness.requests[4], ciphertexts=((listed[0][0], GARBAGE), *listed[1:]))
    assert complains(first, lie) == (listed[0][0],)
    with pytest.raises(SessionAbortedError):
        second.receive(harness.requests[4])


def test_pitfall_44_two_copies_of_a_client_never_disclose_two_pairs() -> None:
    from secagg import SessionAbortedError
    from tests.protocol.support import resumed_client, session

    harness = session("active complete").run_to(Round.SHARE_KEYS)
    harness.play_round(on_answer=garbage_from(harness, {1: [4], 2: [4]}))
    harness.play_round()
    frozen, ledger = harness.clients[4].snapshot(), harness.ledgers[4]
    first, second = (resumed_client(harness, 4, frozen, ledger=ledger) for _ in range(2))
    request = decode_request(harness.requests[4])
    one, two = (encode(replace(request, dealings=(shown,))) for shown in request.dealings)
    assert first.receive(one) is not None
    with pytest.raises(SessionAbortedError):
        second.receive(two)
