"""Pitfall 44: blame that can be steered. No honest client is ever blamed with evidence, whoever else lies and how."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_ed25519_noclamp

from secagg import AbortReason, DropReason, EvidenceError, PeerMisbehaved, Round, Violation, verify_evidence
from secagg.crypto import aead, dealing, disclosure
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.disclosure import _GROUP_ORDER, _coordinate, _lifted
from secagg.crypto.key_schedule import advertisement_text, channel_key, share_associated_data
from secagg.crypto.randomness import SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.protocol.client_complaint import disclose
from secagg.protocol.client_states import AwaitingDisclosure, AwaitingMaskedInput
from secagg.protocol.events import ClientDropped
from secagg.protocol.evidence import Evidence
from secagg.protocol.messages import Dealing, DisclosureRequest, MaskedInputCollectionRequest
from secagg.wire.codec import encode
from tests.adversarial.tools import complains, inconsistent
from tests.dealers import (
    COMMITTED_GARBAGE,
    GARBAGE,
    contradicting,
    false_complaint,
    garbage_from,
    off,
    pretend_to_complain,
    redealt,
    sealed_by,
)
from tests.harness import Harness, alter, decode_answer, decode_request

CLIENTS = 7
NOT_CANONICAL = b"\xff\xf1" + bytes(70)
ids = st.integers(1, CLIENTS)
behaviours = st.fixed_dictionaries(
    {
        "garbage": st.sets(ids, max_size=3),
        "not canonical": st.sets(ids, max_size=2),
        "unfit": st.sets(ids, max_size=2),
        "contradicts": st.sampled_from([(), (), (1,), (7,), (1, 2, 3, 4, 5, 6, 7)]),
        "reveals": st.sampled_from(["right", "right", "shares", "digests"]),
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
        answer = contradicting(harness, client, answer, lambda _, shares: off(shares), corrupt[client]["contradicts"])
        dealt = dict(decode_answer(answer).ciphertexts)
        for other in corrupt[client]["unfit"] - {client}:
            pairs[other] = dealt[other][:-1] + bytes([dealt[other][-1] ^ 1])
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


def reveal(harness: Harness, corrupt: dict[int, dict[str, Any]]) -> None:
    """The rest of a session without complaints; corrupt holders lie about all shares, or about all digests."""

    def change(client: int, answer: bytes) -> bytes:
        if client not in corrupt or corrupt[client]["reveals"] == "right" or harness.round is not Round.UNMASKING:
            return answer
        message = decode_answer(answer)
        lie = off if corrupt[client]["reveals"] == "shares" else (lambda both: both[:-1] + bytes([both[-1] ^ 1]))
        return alter(
            answer,
            **{
                kind: [(owner, SecretBytes(lie(bytes(share.expose())))) for owner, share in getattr(message, kind)]
                for kind in ("seed_shares", "mask_key_shares")
            },
        )

    while harness.round is not None:
        harness.play_round(on_answer=change)


def check_blame(harness: Harness, corrupt: dict[int, dict[str, Any]]) -> None:
    """Only corrupt clients are blamed, or reported to have lied about shares, and evidence holds."""
    assert {blame.client for blame in harness.server.blame} <= set(corrupt)
    assert {holder for holder, _ in inconsistent(harness.events)} <= set(corrupt)
    for blame in harness.server.blame:
        if blame.evidence is not None:
            verdict = verify_evidence(blame.evidence, harness.roster)
            assert (verdict.client, verdict.reason) == (blame.client, blame.reason)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(ids, behaviours, max_size=3), st.integers(0, 3))
def test_pitfall_44_no_honest_client_is_blamed_and_some_corrupt_one_is(
    corrupt: dict[int, dict[str, Any]], seed: int
) -> None:
    harness = active(seed)
    play(harness, corrupt)
    if harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED:
        assert harness.server.blame
    else:
        assert not harness.server.blame
        reveal(harness, corrupt)
        if harness.server.abort_reason is None:
            harness.assert_exact()
        elif harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED:
            assert {blame.reason for blame in harness.server.blame} == {DropReason.DEALT_INCONSISTENT_SHARES}
    check_blame(harness, corrupt)


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
        committed=right[4],
    )
    with pytest.raises(EvidenceError, match="the proof does not disclose"):
        verify_evidence(forged.encode(), harness.roster)


@pytest.mark.parametrize("name", [field.name for field in fields(Evidence)])
def test_pitfall_44_evidence_of_one_session_says_nothing_of_another(name: str) -> None:
    """Every part is bound to all others: what is put in from another session makes it worthless."""
    harness, one = evidence_against_a_dealer()
    _, other = evidence_against_a_dealer(seed=1)
    verify_evidence(one.encode(), harness.roster)
    changed = {"dealer": 3, "complainer": 5, "committed": bytes(143) + b"\x01"}.get(name, getattr(other, name))
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
    changed = tuple((sender, COMMITTED_GARBAGE if sender == 2 else sealed) for sender, sealed in listed)
    complaint = harness.clients[4].receive(alter(request, ciphertexts=changed))
    harness.deliver(4, complaint or b"")
    harness.play_round(silent={4})
    assert harness.round is Round.DISCLOSURE
    before = cast(AwaitingDisclosure, harness.clients[4]._state)
    assert list(before.accused) == [2]
    harness.play_round(tolerant=True)
    assert "is not in what is shown of client 2" in str(harness.errors[4])
    assert [(blame.client, blame.evidence) for blame in harness.server.blame] == [(4, None)]


def _scalar(value: int) -> bytes:
    return value.to_bytes(32, "little")


def three_times(public: bytes) -> bytes:
    """A provable key of which nobody needs the private key: agreements with it are three times those with `public`."""
    return _coordinate(crypto_scalarmult_ed25519_noclamp(_scalar(3), _lifted(public)))


def test_pitfall_44_a_client_discloses_nothing_to_a_dealer_that_does_not_have_its_key() -> None:
    """Client 2 and the server: its channel key is a multiple of client 1's, and it signs garbage for client 4.

    A disclosure would be a multiple of the agreement of 1 and 4, who are honest, and would open what 1 sealed for 4.
    With all clients but 1 in the place of 4, who complain while 1 masks its input without 2, it would open that input.
    """
    harness = active().run_to(Round.SHARE_KEYS)
    listed = decode_request(harness.requests[4]).advertisements
    publics = {ad.client: ad.channel_public for ad in listed}
    shown = replace(listed[1], channel_public=three_times(publics[1]))
    text = advertisement_text(harness.session, 2, shown.channel_public, shown.mask_public, shown.commitment)
    shown = replace(shown, signature=harness.identities[2].sign(text))
    lie = alter(harness.requests[4], advertisements=(listed[0], shown, *listed[2:]))
    honest = (1, 3, 4, 5, 6, 7)
    dealt = {client: dict(decode_answer(harness.ask(client, lie) or b"").ciphertexts) for client in honest}
    pairs = tuple((other, COMMITTED_GARBAGE if other == 2 else dealt[other][4]) for other in (1, 2, 3, 5, 6, 7))
    client = harness.clients[4]
    assert complains(client, encode(MaskedInputCollectionRequest(harness.session, pairs))) == (2,)
    state = cast(AwaitingDisclosure, client._state)
    assert isinstance(state.channel_key, AgreementKey)

    proof = disclosure.prove(state.channel_key, shown.channel_public, b"")
    third = _coordinate(crypto_scalarmult_ed25519_noclamp(_scalar(pow(3, -1, _GROUP_ORDER)), proof[32:64]))
    key = channel_key(SecretBytes(third), state.binding, 1, publics[1], 4, publics[4])
    assert aead.open_sealed(key, dealt[1][4][:112], share_associated_data(state.binding, 1, 4)).expose()

    entry = dealing.dealt_entry(4, publics[4], COMMITTED_GARBAGE)
    digests = dealing.digests_of([entry])
    ends = harness.session, state.binding, 2, shown.channel_public
    signed = harness.identities[2].sign(dealing.dealing_text(*ends, digests))
    for possession in (
        bytes(128),
        disclosure.prove_possession(AgreementKey.from_secret(SecretBytes(bytes(range(32)))), b""),
    ):
        request = DisclosureRequest(harness.session, (Dealing(2, entry, digests, signed + possession),))
        with pytest.raises(PeerMisbehaved, match="does not show that it has the private key") as caught:
            disclose(state, request, SystemRandomSource())
        assert caught.value.violation is Violation.DISCLOSURE_KEY_NOT_PROVABLE
    with pytest.raises(PeerMisbehaved):
        client.receive(encode(request))


def test_pitfall_44_a_dealer_that_does_not_have_its_key_is_dropped_before_it_can_be_complained_about() -> None:
    harness = active().run_to(Round.SHARE_KEYS)
    harness.play_round(
        on_answer=lambda client, answer: (
            alter(answer, signature=decode_answer(answer).signature[:64] + bytes(128)) if client == 2 else answer
        )
    )
    dropped = [event for event in harness.events if isinstance(event, ClientDropped)]
    assert [(event.client, event.reason) for event in dropped] == [(2, DropReason.DEALING_SIGNATURE_INVALID)]
    harness.finish()
    harness.assert_exact()


def test_pitfall_44_two_copies_of_a_client_never_complain_and_upload() -> None:
    """The ledger counts both as answers of one phase, and two disclosures as answers of another."""
    from secagg import SessionAbortedError
    from tests.protocol.support import resumed_client, session

    harness = session("active complete").run_to(Round.MASKED_INPUT)
    harness.clients[4].set_input(harness.inputs[4])
    frozen, ledger = harness.clients[4].snapshot(), harness.ledgers[4]
    first, second = (resumed_client(harness, 4, frozen, ledger=ledger) for _ in range(2))
    listed = decode_request(harness.requests[4]).ciphertexts
    lie = alter(harness.requests[4], ciphertexts=((listed[0][0], COMMITTED_GARBAGE), *listed[1:]))
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
