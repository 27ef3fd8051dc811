"""Clients that deal what nobody can read, or complain of what they can: hooks for a `tests.harness.Harness`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from secagg import ClientSession, Round
from secagg.crypto import aead, dealing
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.commitments import Commitments
from secagg.crypto.field import PRIME
from secagg.crypto.key_schedule import channel_keys, share_associated_data
from secagg.crypto.secret import SecretBytes
from secagg.protocol.client_states import AccusedPair, AwaitingDisclosure, AwaitingMaskedInput
from secagg.protocol.messages import COMMITTED_BYTES, SEALED_BYTES, Complaint
from secagg.wire.codec import encode
from tests.harness import Harness, Hook, alter, decode_answer, decode_request

GARBAGE = bytes(SEALED_BYTES)
COMMITTED_GARBAGE = bytes(COMMITTED_BYTES)


def redealt(harness: Harness, dealer: int, answer: bytes, pairs: Mapping[int, bytes]) -> bytes:
    """A dealer's ShareKeysResponse with other sealed pairs for some receivers, signed as the dealer would sign them."""
    return redealt_by(harness.clients[dealer], answer, pairs)


def redealt_by(dealer: ClientSession, answer: bytes, pairs: Mapping[int, bytes]) -> bytes:
    """The same of any session of a client that has just dealt; a pair of 112 bytes keeps the commitment that it had."""
    message: Any = decode_answer(answer)
    nobody = set(pairs) - {to for to, _ in message.ciphertexts} - {dealer.client_id}
    assert not nobody, f"{dealer.client_id} deals nothing to {nobody}: in a sparse graph not all are its neighbors"
    ciphertexts = tuple((to, _with_commitment(pairs.get(to, b""), dealt)) for to, dealt in message.ciphertexts)
    return alter(answer, ciphertexts=ciphertexts, signature=_dealt_signature(dealer, ciphertexts))


def _with_commitment(pair: bytes, dealt: bytes) -> bytes:
    return pair + dealt[len(pair) :]


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
    """What a dealer seals for a receiver when its two shares are these 72 bytes, and the commitment that fits them."""
    return _sealed_by(harness.clients[dealer], receiver, pair)


def _sealed_by(dealer: ClientSession, receiver: int, pair: bytes) -> bytes:
    key, state = _channel(dealer, receiver)
    session, ends = state.context.session, (dealer.client_id, receiver)
    sealed = aead.seal(key, SecretBytes(pair), share_associated_data(state.binding, *ends), bytes(24))
    return sealed + Commitments(session, state.binding).of(*ends, pair[:36], pair[36:])


def _channel(dealer: ClientSession, receiver: int) -> tuple[SecretBytes, AwaitingMaskedInput]:
    state = dealer._state
    assert isinstance(state, AwaitingMaskedInput)
    assert state.channel_key is not None
    publics = state.channel_publics
    key, _ = channel_keys(state.channel_key, publics[receiver], state.binding, dealer.client_id, receiver)
    return key, state


def contradicting(
    harness: Harness, dealer: int, answer: bytes, change: Callable[[int, bytes], bytes], receivers: Collection[int]
) -> bytes:
    """A dealing in which the two shares for some receivers, 72 bytes, are changed, and fit their commitments."""
    return contradicting_by(harness.clients[dealer], answer, change, receivers)


def contradicting_by(
    dealer: ClientSession, answer: bytes, change: Callable[[int, bytes], bytes], receivers: Collection[int]
) -> bytes:
    """The same of any session of a client that has just dealt."""
    dealt = dict(decode_answer(answer).ciphertexts)
    pairs = {}
    for receiver in sorted(set(receivers) & dealt.keys()):
        key, state = _channel(dealer, receiver)
        bound = share_associated_data(state.binding, dealer.client_id, receiver)
        shares = bytes(aead.open_sealed(key, dealt[receiver][:SEALED_BYTES], bound).expose())
        pairs[receiver] = _sealed_by(dealer, receiver, change(receiver, shares))
    return redealt_by(dealer, answer, pairs)


def off(share: bytes, amount: int = 1) -> bytes:
    """A share, and what stands behind it, with one more in its last element."""
    last = (int.from_bytes(share[34:36], "big") + amount) % PRIME
    return share[:34] + last.to_bytes(2, "big") + share[36:]


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
