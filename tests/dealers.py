"""Clients that deal what nobody can read, or complain of what they can: hooks for a `tests.harness.Harness`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from secagg import ClientSession, Round
from secagg.crypto import aead, dealing
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.key_schedule import channel_keys, share_associated_data
from secagg.crypto.secret import SecretBytes
from secagg.protocol.client_states import AccusedPair, AwaitingDisclosure, AwaitingMaskedInput
from secagg.protocol.messages import SEALED_BYTES, Complaint
from secagg.wire.codec import encode
from tests.harness import Harness, Hook, alter, decode_answer, decode_request

GARBAGE = bytes(SEALED_BYTES)


def redealt(harness: Harness, dealer: int, answer: bytes, pairs: Mapping[int, bytes]) -> bytes:
    """A dealer's ShareKeysResponse with other sealed pairs for some receivers, signed as the dealer would sign them."""
    return redealt_by(harness.clients[dealer], answer, pairs)


def redealt_by(dealer: ClientSession, answer: bytes, pairs: Mapping[int, bytes]) -> bytes:
    """The same of any session of a client that has just dealt."""
    message: Any = decode_answer(answer)
    ciphertexts = tuple((to, pairs.get(to, sealed)) for to, sealed in message.ciphertexts)
    return alter(answer, ciphertexts=ciphertexts, signature=_dealt_signature(dealer, ciphertexts))


def _dealt_signature(dealer: ClientSession, ciphertexts: Collection[tuple[int, bytes]]) -> bytes:
    """What an honest dealer of these pairs signs; nothing where dealings are not signed."""
    state = dealer._state
    assert isinstance(state, AwaitingMaskedInput)
    if state.channel_key is None or state.context.identity is None:
        return b""
    entries = [dealing.dealt_entry(to, state.channel_publics[to], sealed) for to, sealed in ciphertexts]
    assert isinstance(state.channel_key, AgreementKey)
    ends = state.context.session, state.binding, dealer.client_id
    return dealing.attest(state.context.identity, state.channel_key, *ends, dealing.digests_of(entries))


def garbage_from(harness: Harness, dealers: Mapping[int, Collection[int]]) -> Hook:
    """An `on_answer` hook: each dealer seals garbage for its receivers."""

    def change(client: int, answer: bytes) -> bytes:
        if harness.round is Round.SHARE_KEYS and client in dealers:
            return redealt(harness, client, answer, dict.fromkeys(dealers[client], GARBAGE))
        return answer

    return change


def sealed_by(harness: Harness, dealer: int, receiver: int, pair: bytes) -> bytes:
    """What a dealer seals for a receiver when its two shares are these 72 bytes."""
    state = harness.clients[dealer]._state
    assert isinstance(state, AwaitingMaskedInput)
    assert state.channel_key is not None
    key, _ = channel_keys(state.channel_key, state.channel_publics[receiver], state.binding, dealer, receiver)
    return aead.seal(key, SecretBytes(pair), share_associated_data(state.binding, dealer, receiver), bytes(24))


def false_complaint(harness: Harness, client: int, accused: Collection[int]) -> bytes:
    """A complaint of somebody who could read everything, and what such a client keeps in order to disclose it."""
    state = harness.clients[client]._state
    assert isinstance(state, AwaitingDisclosure | AwaitingMaskedInput)
    return encode(Complaint(harness.session, tuple(sorted(accused))))


def pretend_to_complain(harness: Harness, client: int, accused: Collection[int]) -> None:
    """Give a client the state of one that could not read these pairs."""
    state: Any = harness.clients[client]._state
    pairs = dict(decode_request(harness.requests[client]).ciphertexts)
    kept = {other: AccusedPair(state.channel_publics[other], pairs[other]) for other in accused}
    harness.clients[client]._state = AwaitingDisclosure(state.context, state.binding, state.channel_key, kept)
