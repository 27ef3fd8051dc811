"""Attacks beyond the list: forged aborts, extreme ids, huge and empty lists, shared buffers, downgrades, noise."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg import (
    AbortReason,
    Blame,
    ClientPhase,
    ClientPolicy,
    ClientSession,
    DecodeError,
    DropReason,
    LocalProtocolError,
    ParameterError,
    PeerMisbehaved,
    RemoteProtocolError,
    Round,
    SecAggError,
    SecretBytes,
    ServerPhase,
    SessionAbortedError,
    SuiteId,
    ThreatModel,
    Violation,
)
from secagg.protocol.events import ClientDropped, LateMessageRefused
from secagg.protocol.messages import (
    Abort,
    Advertisement,
    MaskedInputCollectionRequest,
    RevealedShares,
    ShareKeysRequest,
    UnmaskingRequest,
    UnmaskingResponse,
)
from secagg.wire.codec import encode
from tests.adversarial.tools import MODELS, CountingSource, Insider, canonical_noise, drops, refused
from tests.harness import ROUNDS, Harness, alter, decode_answer, decode_request

models = pytest.mark.parametrize("model", MODELS)
EDGES: Final = (0, 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1)


# ----- aborts -----


@models
def test_abort_of_another_session_is_no_abort(model: str) -> None:
    harness = Harness(5, threat_model=model, threshold=3).run_to(Round.SHARE_KEYS)
    notice = encode(Abort(bytes(32), AbortReason.PEER_ABORTED))
    refused(harness.clients[1], notice, Violation.MESSAGE_OF_ANOTHER_SESSION)
    harness.deliver(2, notice)
    assert drops(harness.events) == {2: DropReason.MESSAGE_OF_ANOTHER_SESSION}


@models
@pytest.mark.parametrize("round_", ROUNDS)
def test_server_abort_ends_a_client_in_every_phase_without_an_answer(model: str, round_: Round) -> None:
    if model == "semi-honest" and round_ is Round.CONSISTENCY_CHECK:
        return
    harness = Harness(5, threat_model=model, threshold=3).run_to(round_)
    client = harness.clients[1]
    assert client.receive(encode(Abort(harness.session, AbortReason.ABORTED_BY_CALLER))) is None
    assert client.abort_reason is AbortReason.PEER_ABORTED
    with pytest.raises(SessionAbortedError):
        client.receive(harness.requests[1])


def test_aborts_of_clients_cost_themselves_only_and_cannot_be_repeated() -> None:
    harness = Harness(6, threshold=3).run_to(Round.MASKED_INPUT)
    answers = harness.play_round(close=False)
    notice = encode(Abort(harness.session, AbortReason.INTERNAL_ERROR))
    harness.deliver(1, notice)
    assert drops(harness.events) == {1: DropReason.CLIENT_ABORTED}
    assert harness.deliver(1, notice) == (LateMessageRefused(1, None),)
    assert harness.deliver(1, answers[1]) == (LateMessageRefused(1, Round.MASKED_INPUT),)
    harness.close()
    # Its input was in the sum before it left, and stays.
    harness.finish().assert_exact(range(1, 7))


def test_abort_of_a_client_that_was_never_asked_or_is_gone_changes_nothing() -> None:
    harness = Harness(6, threshold=3).run_to(Round.UNMASKING, silent={Round.SHARE_KEYS: {6}})
    assert harness.deliver(6, encode(Abort(harness.session, AbortReason.PEER_ABORTED))) == (
        LateMessageRefused(6, None),
    )
    with pytest.raises(LocalProtocolError):
        harness.server.receive(7, encode(Abort(harness.session, AbortReason.PEER_ABORTED)))
    harness.finish().assert_exact([1, 2, 3, 4, 5])


# ----- ids, lists -----


@models
def test_extreme_client_ids(model: str) -> None:
    harness = Harness(EDGES, threat_model=model, threshold=4)
    harness.finish(silent={Round.MASKED_INPUT: {2**64 - 1}}).assert_exact(EDGES[:-1])


@pytest.mark.parametrize("client", [2**64, -1])
def test_ids_that_are_no_ids(client: int) -> None:
    harness = Harness(5, threshold=3)
    with pytest.raises(LocalProtocolError):
        harness.server.receive(client, b"")
    with pytest.raises(SecAggError):
        ClientSession(harness.server.offer, client)
    with pytest.raises(ParameterError):
        replace(harness.parameters, cohort=tuple(sorted((1, 2, 3, 4, client))))
    harness.finish().assert_exact()


@models
def test_empty_lists(model: str) -> None:
    harness = Harness(5, threat_model=model, threshold=3).run_to(Round.SHARE_KEYS)
    refused(harness.clients[1], encode(ShareKeysRequest(harness.session, ())), Violation.OWN_ADVERTISEMENT_MISSING)
    harness = Harness(5, threat_model=model, threshold=3).run_to(Round.MASKED_INPUT)
    harness.clients[1].set_input(harness.inputs[1])
    refused(
        harness.clients[1],
        encode(MaskedInputCollectionRequest(harness.session, ())),
        Violation.SHARERS_BELOW_THRESHOLD,
    )
    harness = Harness(5, threat_model=model, threshold=3).run_to(Round.UNMASKING)
    refused(
        harness.clients[1],
        encode(UnmaskingRequest(harness.session, (), ())),
        Violation.SHARER_NEITHER_SURVIVOR_NOR_DROPPED,
    )
    harness.deliver(2, encode(UnmaskingResponse(harness.session, RevealedShares.of(()), RevealedShares.of(()))))
    assert drops(harness.events) == {2: DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS}


@pytest.mark.parametrize("round_", [Round.SHARE_KEYS, Round.MASKED_INPUT, Round.CONSISTENCY_CHECK, Round.UNMASKING])
def test_huge_lists_are_refused_before_they_are_parsed(round_: Round) -> None:
    """20 000 entries in each list that a server sends: longer than any message of this session can be."""
    many = range(10, 20_010)
    harness = Harness(5, threat_model="active", threshold=3).run_to(round_)
    request = harness.requests[1]
    stranger = Advertisement(0, bytes(32), bytes(32), bytes(32), bytes(64))
    lists: dict[str, tuple[Any, ...]] = {
        "advertisements": tuple(replace(stranger, client=client) for client in many),
        "ciphertexts": tuple((client, bytes(112)) for client in many),
        "contributors": tuple(many),
        "survivors": tuple(many),
        "dropped": tuple(many),
        "confirmations": tuple((client, bytes(64)) for client in many),
    }
    for field, listed in lists.items():
        if not hasattr(decode_request(request), field):
            continue
        client = Harness(5, threat_model="active", threshold=3).run_to(round_).clients[1]
        with pytest.raises(DecodeError, match="at most"):
            client.receive(alter(request, **{field: listed}))
        assert client.abort_reason is AbortReason.PEER_SENT_MALFORMED_MESSAGE


def test_huge_answers_are_refused_before_they_are_parsed() -> None:
    harness = Harness(5, threshold=3).run_to(Round.UNMASKING)
    answer = harness.ask(1)
    assert answer is not None
    honest = decode_answer(answer).seed_shares
    share = honest.share(0)
    many = (*honest, *((client, share) for client in range(10, 20_010)))
    (event,) = harness.deliver(1, alter(answer, seed_shares=many))
    assert drops([event]) == {1: DropReason.MESSAGE_MALFORMED}
    assert isinstance(event, ClientDropped)
    assert "at most" in event.detail
    harness.play_round(silent={1})
    harness.assert_exact()


def test_confirmations_do_not_belong_to_a_semi_honest_session() -> None:
    harness = Harness(5, threshold=3).run_to(Round.UNMASKING)
    lie = alter(harness.requests[1], confirmations=((2, bytes(64)),))
    refused(harness.clients[1], lie, Violation.CONFIRMATION_OF_A_STRANGER)


# ----- corrupt clients against honest ones -----


def test_advertisement_in_the_name_of_another_client() -> None:
    harness = Harness(5, threat_model="active", threshold=3)
    lie = alter(harness.ask(5) or b"", advertisement=Insider(harness, 5).advertise(client=4))
    harness.deliver(5, lie)
    assert drops(harness.events) == {5: DropReason.ADVERTISEMENT_OF_ANOTHER_CLIENT}
    harness.play_round(silent={5})
    harness.finish().assert_exact([1, 2, 3, 4])


def test_confirmation_of_another_set_or_by_another_client() -> None:
    harness = Harness(6, threat_model="active", threshold=4).run_to(Round.CONSISTENCY_CHECK)
    answers = {client: harness.ask(client) for client in harness.cohort}
    harness.deliver(1, alter(answers[1] or b"", signature=Insider(harness, 1).confirm(harness.cohort[:-1])))
    harness.deliver(2, answers[3] or b"")
    assert drops(harness.events) == dict.fromkeys((1, 2), DropReason.CONFIRMATION_SIGNATURE_INVALID)
    for client in (3, 4, 5, 6):
        harness.deliver(client, answers[client] or b"")
    harness.close()
    # Four confirmers are enough for clients, but clients 3..6 have only three other holders each: no sum.
    assert harness.server.phase is ServerPhase.ABORTED
    assert harness.server.abort_reason is AbortReason.TOO_FEW_CONFIRMERS


def test_one_corrupt_sharer_can_stop_a_session_but_not_bend_it_and_is_named() -> None:
    """Garbage for everybody: no honest client masks anything."""
    harness = Harness(6, threshold=3).run_to(Round.SHARE_KEYS)

    def garbage(client: int, answer: bytes) -> bytes:
        if client != 6:
            return answer
        receivers = decode_answer(answer).ciphertexts
        return alter(answer, ciphertexts=tuple((receiver, bytes(112)) for receiver, _ in receivers))

    harness.play_round(on_answer=garbage)
    answers = harness.play_round()
    assert {decode_answer(answers[client]).accused for client in range(1, 6)} == {(6,)}
    assert harness.server.abort_reason is AbortReason.CLIENTS_COMPLAINED
    assert harness.server.blame == (Blame(6, DropReason.DEALT_UNREADABLE_PAIR),)


def test_non_canonical_share_costs_the_holder_its_place() -> None:
    harness = Harness(6, threshold=3).run_to(Round.UNMASKING)
    bad = SecretBytes(b"\xff\xff" + canonical_noise("x")[2:])

    def twist(client: int, answer: bytes) -> bytes:
        (first, _), *rest = decode_answer(answer).seed_shares
        return alter(answer, seed_shares=((first, bad), *rest)) if client == 1 else answer

    harness.play_round(on_answer=twist)
    harness.assert_exact()
    assert drops(harness.events) == {1: DropReason.SHARE_NOT_CANONICAL}


def test_shares_revealed_under_the_wrong_kind() -> None:
    """A dropped client's share among the seed shares: the server takes none of it."""
    harness = Harness(6, threshold=3).run_to(Round.UNMASKING, silent={Round.MASKED_INPUT: {6}})
    answer = harness.ask(1)
    assert answer is not None
    message = decode_answer(answer)
    lie = alter(answer, seed_shares=(*message.seed_shares, *message.mask_key_shares), mask_key_shares=())
    harness.deliver(1, lie)
    assert drops(harness.events)[1] is DropReason.UNMASKING_SHARES_OF_WRONG_CLIENTS


# ----- buffers -----


@models
def test_buffers_that_the_caller_reuses(model: str) -> None:
    """A transport with one receive buffer: every message arrives as a view that is overwritten at once."""
    harness = Harness(5, threat_model=model, threshold=3)
    while harness.round is not None:
        buffers: list[bytearray] = []
        for client, request in harness.requests.items():
            if harness.round is Round.MASKED_INPUT:
                harness.clients[client].set_input(harness.inputs[client])
            received = bytearray(request)
            answer = harness.clients[client].receive(memoryview(received))
            received[:] = bytes(len(received))
            assert answer is not None
            sent = bytearray(answer)
            buffers.append(sent)
            assert harness.server.receive(client, memoryview(sent)) == ()
            sent[:] = b"\xff" * len(sent)
        harness.close()
    harness.assert_exact()


def test_input_arrays_that_the_caller_reuses() -> None:
    harness = Harness(5, threshold=3).run_to(Round.MASKED_INPUT)
    mine = harness.inputs[1]["v"].copy()
    harness.clients[1].set_input({"v": mine})
    mine[:] = 0
    answer = harness.clients[1].receive(harness.requests[1])
    assert answer is not None
    harness.deliver(1, answer)
    harness.play_round(silent={1})
    harness.finish().assert_exact()


# ----- downgrades, installations -----


@pytest.mark.parametrize("policy", [ClientPolicy(), ClientPolicy(threat_model=ThreatModel.ACTIVE)])
def test_semi_honest_offer_to_a_client_that_has_an_identity(policy: ClientPolicy) -> None:
    """Whoever was enrolled is not talked out of the active model, unless the policy says so in words."""
    harness = Harness(5, threshold=3)
    with pytest.raises(PeerMisbehaved) as caught:
        ClientSession(harness.server.offer, 1, identity=harness.identities[1], roster=harness.roster, policy=policy)
    assert caught.value.violation is Violation.OFFER_THREAT_MODEL_NOT_ALLOWED
    allowed = ClientPolicy(threat_model=ThreatModel.SEMI_HONEST)
    session = ClientSession(harness.server.offer, 1, identity=harness.identities[1], policy=allowed)
    assert session.phase is ClientPhase.ADVERTISE_KEYS


def test_suite_that_this_installation_lacks_is_refused_before_a_key_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyaegis a client cannot mask: better refused with the offer than met in the middle of a session."""
    harness = Harness(5, threshold=3, suite=SuiteId.X25519_AEGIS128X2)
    monkeypatch.setitem(sys.modules, "pyaegis", None)
    source = CountingSource()
    with pytest.raises(SecAggError, match="0x0002"):
        harness.make_client(1, randomness=source)
    assert source.draws == 0


# ----- noise -----

NOISE: Final = st.one_of(
    st.binary(max_size=80),
    st.tuples(st.sampled_from(range(2, 14)), st.binary(max_size=60)).map(
        lambda pair: bytes([pair[0] << 3 | 2, len(pair[1])]) + pair[1]
    ),
)


@given(st.sampled_from(MODELS), st.integers(0, 4), st.lists(st.tuples(st.integers(1, 5), NOISE), max_size=4))
@settings(max_examples=60)
def test_noise_from_clients_never_raises_and_never_bends_the_sum(
    model: str, at: int, noise: list[tuple[int, bytes]]
) -> None:
    harness = Harness(9, threat_model=model, threshold=5)
    for number in range(5):
        if harness.round is None:
            break
        gone = set()
        if number == at:
            for client, data in noise:
                body = b"\x0a\x20" + harness.session + data if len(data) % 2 else data
                gone |= set(drops(harness.deliver(client, body)))
        harness.play_round(silent=gone)
    if harness.server.phase is ServerPhase.COMPLETED:
        harness.assert_exact()
    else:
        assert harness.server.abort_reason in (
            AbortReason.TOO_FEW_ADVERTISED,
            AbortReason.TOO_FEW_SHARERS,
            AbortReason.TOO_FEW_CONTRIBUTORS,
            AbortReason.TOO_FEW_CONFIRMERS,
            AbortReason.TOO_FEW_UNMASKERS,
        )


@given(st.sampled_from(MODELS), st.sampled_from(ROUNDS), NOISE, st.booleans())
@settings(max_examples=60)
def test_noise_from_the_server_ends_the_session_with_a_remote_error(
    model: str, round_: Round, data: bytes, enveloped: bool
) -> None:
    if model == "semi-honest" and round_ is Round.CONSISTENCY_CHECK:
        round_ = Round.UNMASKING
    harness = Harness(4, threat_model=model, threshold=3).run_to(round_)
    client = harness.clients[1]
    if round_ is Round.MASKED_INPUT:
        client.set_input(harness.inputs[1])
    message = b"\x0a\x20" + harness.session + data if enveloped else data
    try:
        client.receive(message)
    except RemoteProtocolError as error:
        assert isinstance(error, DecodeError | PeerMisbehaved)  # noqa: PT017 - any other exception is the failure
        assert client.phase is ClientPhase.ABORTED


@given(st.sampled_from(ROUNDS), st.data())
@settings(max_examples=80)
def test_one_changed_byte_in_a_request_never_gives_a_wrong_sum(round_: Round, draw: st.DataObject) -> None:
    """The victim refuses, or what it was shown means the same; the others' sum stays exact or is not released."""
    harness = Harness(6, threat_model="active", threshold=4).run_to(round_)
    request = bytearray(harness.requests[1])
    at = draw.draw(st.integers(0, len(request) - 1))
    request[at] ^= draw.draw(st.integers(1, 255))
    harness.play_round(on_request=lambda client, data: bytes(request) if client == 1 else data, tolerant=True)
    harness.finish(tolerant=True)
    assert set(harness.errors) <= {1}
    if harness.server.phase is ServerPhase.COMPLETED:
        harness.assert_exact()
