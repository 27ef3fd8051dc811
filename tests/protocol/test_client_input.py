"""A client opens all shares before it masks, and masks so that nothing of the input is left to see."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from secagg import ClientPhase, DecodeError, LocalProtocolError, PeerMisbehaved, Round, SecretBytes, Violation
from secagg.crypto import aead
from secagg.crypto.key_schedule import share_associated_data
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import add_packed
from secagg.protocol.client_input import mask_input
from secagg.protocol.client_states import (
    AwaitingConsistencyCheck,
    AwaitingDisclosure,
    AwaitingMaskedInput,
    AwaitingUnmasking,
)
from secagg.protocol.messages import Complaint, MaskedInputCollectionRequest
from secagg.testing.randomness import DeterministicRandomSource
from tests.harness import Harness, alter, decode_answer, decode_request
from tests.protocol.support import KINDS, ring_sum, session

V = Violation
UNUSED = DeterministicRandomSource(0)


def waiting(kind: str = "semi-honest complete") -> Harness:
    return session(kind).run_to(Round.MASKED_INPUT)


def state_of(harness: Harness, client: int) -> AwaitingMaskedInput:
    """The state of a client that was given its input."""
    encoded = harness.clients[client].set_input(harness.inputs[client])
    return replace(cast(AwaitingMaskedInput, harness.clients[client]._state), input=encoded)


def resealed(harness: Harness, pair: bytes) -> MaskedInputCollectionRequest:
    """Client 1's request, in which client 2 sealed something else."""
    request: MaskedInputCollectionRequest = decode_request(harness.requests[1])
    state = state_of(harness, 1)
    associated_data = share_associated_data(state.binding, 2, 1)
    sealed = aead.seal(state.receiving_keys[2], SecretBytes(pair), associated_data, bytes(24))
    return replace(request, ciphertexts=((2, sealed), *request.ciphertexts[1:]))


def test_without_an_input_nothing_happens() -> None:
    harness = waiting()
    state = cast(AwaitingMaskedInput, harness.clients[1]._state)
    with pytest.raises(LocalProtocolError, match=r"call set_input\(\) first"):
        mask_input(state, decode_request(harness.requests[1]), UNUSED)


def test_an_input_is_not_asked_for_by_a_request_that_is_none() -> None:
    """A host computes the input when it is due: a request that no honest server sends must not make it."""
    harness = waiting()
    request = decode_request(harness.requests[1])
    state = cast(AwaitingMaskedInput, harness.clients[1]._state)
    _, *rest = request.ciphertexts
    for ciphertexts in (request.ciphertexts[:3], (*rest, (99, request.ciphertexts[0][1]))):
        with pytest.raises(PeerMisbehaved):
            mask_input(state, replace(request, ciphertexts=ciphertexts), UNUSED)


def test_each_rule_for_sealed_shares() -> None:
    harness = waiting()
    request = decode_request(harness.requests[1])
    one = request.ciphertexts[0]
    for ciphertexts, violation in (
        (request.ciphertexts[:3], V.SHARERS_BELOW_THRESHOLD),
        ((*request.ciphertexts, (99, one[1])), V.CIPHERTEXT_OF_A_STRANGER),
        (((1, one[1]), *request.ciphertexts), V.CIPHERTEXT_OF_A_STRANGER),
    ):
        with pytest.raises(PeerMisbehaved) as caught:
            mask_input(state_of(harness, 1), replace(request, ciphertexts=ciphertexts), UNUSED)
        assert caught.value.violation is violation


def test_strangers_are_looked_for_before_any_parcel_is() -> None:
    """The order of the specification, wherever in the list they are; a pair that does not open is no matter then."""
    harness = waiting()
    request = decode_request(harness.requests[1])
    (one, sealed), *rest = request.ciphertexts
    for parcel in (sealed + bytes(32), bytes(len(sealed))):
        changed = replace(request, ciphertexts=((one, parcel), *rest, (99, sealed)))
        with pytest.raises(PeerMisbehaved, match="client 99 advertised no keys to 1") as caught:
            mask_input(state_of(harness, 1), changed, UNUSED)
        assert caught.value.violation is V.CIPHERTEXT_OF_A_STRANGER


@pytest.mark.parametrize(
    "pair",
    [
        b"\xff\xf1" + bytes(70),  # 65521, the prime itself, in the seed share
        bytes(36) + b"\xff\xff" + bytes(34),  # in the mask-key share
    ],
)
def test_a_neighbours_share_that_is_no_share_is_complained_of_at_once(pair: bytes) -> None:
    harness = waiting()
    step = mask_input(state_of(harness, 1), resealed(harness, pair), UNUSED)
    assert step.outbound == Complaint(harness.session, (2,))
    assert isinstance(step.state, AwaitingDisclosure)


def test_pairs_that_do_not_open_are_complained_of_all_at_once() -> None:
    harness = waiting()
    request = decode_request(harness.requests[1])
    one, two, *rest = request.ciphertexts
    broken = bytes([one[1][0] ^ 1]) + one[1][1:]
    for ciphertexts, accused in (
        (((one[0], two[1]), (two[0], one[1]), *rest), (one[0], two[0])),
        (((one[0], broken), two, *rest), (one[0],)),
        ((one, two, *rest[:-1], (rest[-1][0], broken)), (rest[-1][0],)),
    ):
        step = mask_input(state_of(harness, 1), replace(request, ciphertexts=ciphertexts), UNUSED)
        assert step.outbound == Complaint(harness.session, accused)


@pytest.mark.parametrize("kind", KINDS)
def test_a_complaint_is_the_same_with_any_input_and_with_none(kind: str) -> None:
    harness = waiting(kind)
    request = decode_request(harness.requests[1])
    (sender, sealed), *rest = request.ciphertexts
    changed = replace(request, ciphertexts=((sender, bytes([sealed[0] ^ 1]) + sealed[1:]), *rest))
    without = replace(cast(AwaitingMaskedInput, harness.clients[1]._state), input=None)
    steps = [mask_input(state, changed, UNUSED) for state in (without, state_of(harness, 1))]
    harness.inputs[1] = {name: array * 0 + 1 for name, array in harness.inputs[1].items()}
    steps.append(mask_input(state_of(harness, 1), changed, UNUSED))
    assert {step.outbound for step in steps} == {Complaint(harness.session, (sender,))}


@pytest.mark.parametrize("length", [71, 73])
def test_a_parcel_of_another_length_is_no_message(length: int) -> None:
    harness = waiting()
    with pytest.raises(DecodeError, match=f"client 2 sealed for 1 has {length + 40} bytes; suite 0x0001 fixes 112"):
        mask_input(state_of(harness, 1), resealed(harness, bytes(length)), UNUSED)


def test_canonical_shares_of_a_neighbour_are_kept_as_they_are() -> None:
    harness = waiting()
    step = mask_input(state_of(harness, 1), resealed(harness, bytes(36) + b"\xff\xf0" + bytes(34)), UNUSED)
    assert isinstance(step.state, AwaitingUnmasking)
    assert step.state.held[2] == SecretBytes(bytes(36) + b"\xff\xf0" + bytes(34))


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_state_holds_shares_of_exactly_the_sharers(kind: str) -> None:
    harness = waiting(kind)
    for client, request in harness.requests.items():
        step = mask_input(state_of(harness, client), decode_request(request), UNUSED)
        assert isinstance(step.state, AwaitingConsistencyCheck if harness.active else AwaitingUnmasking)
        assert list(step.state.held) == [sender for sender, _ in decode_request(request).ciphertexts]
        assert step.state.phase is (ClientPhase.CONSISTENCY_CHECK if harness.active else ClientPhase.UNMASKING)


def test_a_lone_masked_input_says_nothing_and_all_of_them_only_the_self_masks() -> None:
    harness = waiting()
    parameters = harness.parameters
    layout = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight)
    total = np.zeros(layout.words, dtype=np.uint64)
    for client in harness.cohort:
        plain = ring_sum(harness, [client])
        masked = np.zeros(layout.words, dtype=np.uint64)
        add_packed(layout, decode_answer(harness.ask(client) or b"").payload, masked)
        assert np.count_nonzero(masked == plain) == 0
        total += masked
    assert np.count_nonzero(total == ring_sum(harness, harness.cohort)) == 0


def test_the_masks_depend_on_the_sharers_that_are_shown() -> None:
    harness = waiting()
    request = decode_request(harness.requests[1])
    full = mask_input(state_of(harness, 1), request, UNUSED)
    fewer = mask_input(state_of(harness, 1), replace(request, ciphertexts=request.ciphertexts[1:]), UNUSED)
    again = mask_input(state_of(harness, 1), request, UNUSED)
    assert full.outbound == again.outbound
    assert full.outbound != fewer.outbound


def test_a_lie_that_is_found_ends_the_session() -> None:
    harness = waiting()
    request = decode_request(harness.requests[1])
    with pytest.raises(PeerMisbehaved):
        harness.ask(1, alter(harness.requests[1], ciphertexts=request.ciphertexts[:3]))
    assert harness.clients[1].phase is ClientPhase.ABORTED
