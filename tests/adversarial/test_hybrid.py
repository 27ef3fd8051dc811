"""Hybrid suites against who recorded a session and breaks one of the two agreements later (Specification §3, §10)."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from itertools import combinations
from types import FunctionType, ModuleType
from typing import Any, Final

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from numpy.typing import NDArray

from secagg import (
    AbortReason,
    ClientPhase,
    DecodeError,
    DropReason,
    PeerMisbehaved,
    Round,
    SecretBytes,
    SuiteId,
    Violation,
)
from secagg.crypto import aead, hybrid, kem, key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.key_schedule import Encapsulated
from secagg.encoding.layout import Layout
from secagg.encoding.session_vector import add_packed
from secagg.masking.engine import MaskTerm, add_masks
from secagg.protocol.context import session_context
from secagg.protocol.messages import Advertisement
from secagg.protocol.parcels import Parcel, split_parcel
from tests.adversarial.tools import advertisement_of, complains, drops, refused
from tests.harness import Harness, alter, decode_answer, decode_request

V = Violation
SUITE: Final = SuiteId.X25519_MLKEM768_AES128CTR
LOW, HIGH = 1, 2


def session(clients: int = 3, **options: Any) -> Harness:
    return Harness(clients, suite=SUITE, **options)


@dataclass(frozen=True)
class Secrets:
    """What the seed of a harness says about a client."""

    channel: HybridKey
    mask_secret: SecretBytes
    mask: HybridKey
    seed: SecretBytes


def secrets_of(harness: Harness, client: int) -> Secrets:
    source = harness.source.fork(client)
    channel = HybridKey(source.secret(hybrid.PRIVATE_BYTES))
    secret = source.secret(32)
    mask = key_schedule.mask_private_key(secret, harness.session, with_kem=True)
    assert isinstance(mask, HybridKey)
    made = Secrets(channel, secret, mask, source.secret(shamir.SECRET_BYTES))
    assert (channel.public, mask.public) == (
        advertisement_of(harness, client).channel_public,
        advertisement_of(harness, client).mask_public,
    )
    return made


def binding_of(harness: Harness) -> bytes:
    listed = [advertisement_of(harness, client) for client in harness.cohort]
    fields = ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in listed)
    return key_schedule.cohort_digest(harness.session, fields)


def parcel_of(harness: Harness, sender: int, receiver: int) -> Parcel:
    """What a client sent for another, as the server has it."""
    sent = next(s for s in harness.transcript if s.to_server and s.client == sender and s.round is Round.SHARE_KEYS)
    content = dict(decode_answer(sent.data).ciphertexts)[receiver]
    return split_parcel(session_context(harness.parameters, {}), sender, receiver, content, wrapped=True)


def upload_of(harness: Harness, client: int) -> NDArray[np.uint64]:
    sent = next(s for s in harness.transcript if s.to_server and s.client == client and s.round is Round.MASKED_INPUT)
    layout = Layout.build(harness.parameters.vectors, harness.parameters.clients, harness.parameters.max_weight)
    words = np.zeros(layout.words, dtype=np.uint64)
    add_packed(layout, decode_answer(sent.data).payload, words)
    return words


def recorded() -> Harness:
    harness = session()
    harness.run_to(Round.UNMASKING)
    return harness


def opens(harness: Harness, key: SecretBytes, sender: int, receiver: int) -> bool:
    parcel = parcel_of(harness, sender, receiver)
    bound = key_schedule.share_associated_data(binding_of(harness), sender, receiver, parcel.mask_ciphertext)
    try:
        aead.open_sealed(key, parcel.sealed, bound)
    except aead.AuthenticationError:
        return False
    return True


@pytest.mark.parametrize(("sender", "receiver"), [(LOW, HIGH), (HIGH, LOW)])
def test_pitfall_42_shares_stay_closed_to_who_broke_one_agreement(sender: int, receiver: int) -> None:
    harness = recorded()
    binding, theirs = binding_of(harness), secrets_of(harness, receiver).channel
    public, parcel = advertisement_of(harness, sender).channel_public, parcel_of(harness, sender, receiver)

    def from_x25519() -> SecretBytes:
        return key_schedule.channel_keys(theirs, public, binding, receiver, sender)[1]

    sent = Encapsulated(theirs.kem.decapsulate(parcel.channel_ciphertext), parcel.channel_ciphertext)
    nothing = Encapsulated(SecretBytes(bytes(32)), parcel.channel_ciphertext)
    assert opens(harness, key_schedule.hybrid_key(from_x25519(), sent, binding), sender, receiver)
    assert not opens(harness, from_x25519(), sender, receiver)
    assert not opens(harness, key_schedule.hybrid_key(from_x25519(), nothing, binding), sender, receiver)
    assert not opens(harness, sent.secret, sender, receiver)
    assert not opens(harness, key_schedule.hybrid_key(SecretBytes(bytes(32)), sent, binding), sender, receiver)


def encapsulated(harness: Harness, low: int, high: int) -> Encapsulated:
    ciphertext = parcel_of(harness, low, high).mask_ciphertext
    return Encapsulated(secrets_of(harness, high).mask.kem.decapsulate(ciphertext), ciphertext)


def unmasked(harness: Harness, client: int, *, breaks_x25519: bool, breaks_kem: bool) -> NDArray[np.uint64]:
    """An upload without its self mask, which the server knows, and the pairwise masks as far as they are known."""
    context, binding, mine = session_context(harness.parameters, {}), binding_of(harness), secrets_of(harness, client)
    own = MaskTerm(key_schedule.self_mask_key(mine.seed, harness.session), negative=True)
    terms = [own]
    for peer in set(harness.cohort) - {client}:
        public = advertisement_of(harness, peer).mask_public
        private = mine.mask if breaks_x25519 else HybridKey(SecretBytes(bytes(96)))
        sent = encapsulated(harness, *sorted((client, peer)))
        # Who has not broken the KEM leaves it out, as one would of a protocol in which it does not count.
        known = sent if breaks_kem else None
        key = key_schedule.pairwise_mask_key(private, public, harness.session, binding, client, peer, known)
        terms.append(MaskTerm(key, negative=client < peer))
    words = upload_of(harness, client)
    add_masks(words, terms, context.suite.prg)
    layout = Layout.build(harness.parameters.vectors, harness.parameters.clients, harness.parameters.max_weight)
    return words & np.uint64((1 << layout.sections[0].ring_bits) - 1)


def test_pitfall_42_uploads_stay_masked_to_who_broke_one_agreement() -> None:
    harness = recorded()
    for client in harness.cohort:
        whole = unmasked(harness, client, breaks_x25519=True, breaks_kem=True)
        assert int(whole.max()) < 1 << 60
        for x25519, of_kem in ((True, False), (False, True)):
            part = unmasked(harness, client, breaks_x25519=x25519, breaks_kem=of_kem)
            assert not np.any(part == whole)
    plain = [unmasked(harness, client, breaks_x25519=True, breaks_kem=True) for client in harness.cohort]
    assert all(np.any(one != other) for one, other in combinations(plain, 2))


def test_pitfall_42_a_wrap_is_no_secret_and_stays_with_the_server() -> None:
    harness = recorded()
    parcel, sent = parcel_of(harness, LOW, HIGH), encapsulated(harness, LOW, HIGH)
    assert parcel.wrap != bytes(sent.secret.expose())
    received = [s.data for s in harness.transcript if not s.to_server and s.round is Round.MASKED_INPUT]
    assert not any(parcel.wrap in data for data in received)
    assert len(parcel_of(harness, HIGH, LOW).join()) == 1200
    mine = secrets_of(harness, LOW)
    back = key_schedule.mask_wrap(mine.mask_secret, binding_of(harness), LOW, HIGH, parcel.wrap, parcel.mask_ciphertext)
    assert back == sent.secret


@pytest.mark.parametrize("gone", [{1}, {2}, {3}, {5}, {1, 5}, {2, 3}])
@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_pitfall_42_sums_are_exact_whoever_leaves(model: str, gone: set[int]) -> None:
    threshold = 3 if model == "active" else 2
    if model == "active" and len(gone) > 1:
        gone = set(list(gone)[:1])
    harness = session(5, threat_model=model, threshold=threshold)
    harness.run_to(Round.MASKED_INPUT)
    harness.play_round(silent=gone)
    harness.finish()
    harness.assert_exact()


def test_the_smallest_cohort_has_a_sum_too() -> None:
    session(2, threshold=1, minimum_contributors=2).finish().assert_exact()


def with_part(key: bytes, part: int, of: bytes) -> bytes:
    parts = list(hybrid.halves(key))
    parts[part] = hybrid.halves(of)[part]
    return b"".join(parts)


@pytest.mark.parametrize("part", [0, 1])
def test_pitfall_42_each_part_of_a_key_is_its_owners(part: int) -> None:
    """A client that copies a part of another's key would share what follows from that part."""
    harness = session()
    harness.run_to(Round.SHARE_KEYS)
    shown = {ad.client: ad for ad in decode_request(harness.requests[2]).advertisements}
    copied = replace(shown[1], channel_public=with_part(shown[1].channel_public, part, shown[3].mask_public))
    request = alter(harness.requests[2], advertisements=(copied, shown[2], shown[3]))
    refused(harness.clients[2], request, V.PUBLIC_KEY_REPEATED)
    harness = session()
    harness.server.receive(1, harness.clients[1].receive(harness.requests[1]) or b"")
    first = advertisement_in(harness.clients[3].receive(harness.requests[3]) or b"")
    theirs = secrets_public(harness, 1)
    liar = replace(first, mask_public=with_part(first.mask_public, part, theirs))
    answer = harness.clients[3].receive(harness.requests[3]) or b""
    events = harness.server.receive(3, alter(answer, advertisement=liar))
    assert drops(events) == {3: DropReason.PUBLIC_KEY_REPEATED}


def advertisement_in(answer: bytes) -> Advertisement:
    found: Advertisement = decode_answer(answer).advertisement
    return found


def secrets_public(harness: Harness, client: int) -> bytes:
    """A client's mask public key, from the seed alone."""
    source = harness.source.fork(client)
    source.secret(hybrid.PRIVATE_BYTES)
    return key_schedule.mask_private_key(source.secret(32), harness.session, with_kem=True).public


@pytest.mark.parametrize("which", ["channel_public", "mask_public"])
def test_pitfall_42_encapsulation_keys_are_reduced(which: str) -> None:
    harness = session()
    harness.run_to(Round.SHARE_KEYS)
    shown = decode_request(harness.requests[2]).advertisements
    key = getattr(shown[0], which)
    unreduced = key[:32] + b"\xff\xff\xff" + key[35:]
    request = alter(harness.requests[2], advertisements=(replace(shown[0], **{which: unreduced}), *shown[1:]))
    refused(harness.clients[2], request, V.PUBLIC_KEY_NOT_CANONICAL)
    harness = session()
    answer = harness.clients[3].receive(harness.requests[3]) or b""
    ad = advertisement_in(answer)
    key = getattr(ad, which)
    unreduced = key[:32] + b"\xff\xff\xff" + key[35:]
    events = harness.server.receive(3, alter(answer, advertisement=replace(ad, **{which: unreduced})))
    assert drops(events) == {3: DropReason.PUBLIC_KEY_NOT_CANONICAL}


def test_pitfall_42_keys_of_another_suite_are_no_message() -> None:
    harness = session()
    harness.run_to(Round.SHARE_KEYS)
    shown = decode_request(harness.requests[2]).advertisements
    weak = replace(shown[0], mask_public=shown[0].mask_public[:32])
    client = harness.clients[2]
    with pytest.raises(DecodeError, match="has 32 bytes; suite 0x0101 fixes 1216"):
        client.receive(alter(harness.requests[2], advertisements=(weak, *shown[1:])))
    assert (client.phase, client.abort_reason) == (ClientPhase.ABORTED, AbortReason.PEER_SENT_MALFORMED_MESSAGE)
    harness = session()
    answer = harness.clients[3].receive(harness.requests[3]) or b""
    ad = advertisement_in(answer)
    weak = replace(ad, channel_public=ad.channel_public[:32])
    assert drops(harness.server.receive(3, alter(answer, advertisement=weak))) == {3: DropReason.MESSAGE_MALFORMED}


@pytest.mark.parametrize("place", [0, 1087, 1088, 1200, 2287])
def test_pitfall_42_no_bit_of_a_parcel_may_change(place: int) -> None:
    harness = session()
    harness.run_to(Round.MASKED_INPUT)
    harness.clients[HIGH].set_input(harness.inputs[HIGH])
    (sender, parcel), *rest = decode_request(harness.requests[HIGH]).ciphertexts
    changed = parcel[:place] + bytes([parcel[place] ^ 1]) + parcel[place + 1 :]
    request = alter(harness.requests[HIGH], ciphertexts=((sender, changed), *rest))
    complains(harness.clients[HIGH], request)


def test_pitfall_42_a_parcel_has_the_parts_of_its_direction() -> None:
    harness = session()
    harness.run_to(Round.SHARE_KEYS)
    answer = harness.clients[2].receive(harness.requests[2]) or b""
    (first, up), (last, down) = decode_answer(answer).ciphertexts
    assert (first, last, len(up), len(down)) == (1, 3, 1200, 2320)
    for parcels in (((1, up), (3, down[:-32])), ((1, down), (3, down)), ((1, up[1088:]), (3, down))):
        server = session()
        server.run_to(Round.SHARE_KEYS)
        events = server.server.receive(2, alter(answer, ciphertexts=parcels))
        assert drops(events) == {2: DropReason.MESSAGE_MALFORMED}


@pytest.mark.parametrize("part", [0, 1])
def test_pitfall_42_a_rebuilt_secret_gives_both_parts(part: int) -> None:
    """A liar whose mask key follows in one part only from what it shares: its masks could not be made again."""
    harness = session(4, threshold=2)
    other = HybridKey(SecretBytes(bytes([9]) * 96)).public

    def lies(client: int, answer: bytes) -> bytes:
        ad = advertisement_in(answer)
        return alter(answer, advertisement=replace(ad, mask_public=with_part(ad.mask_public, part, other)))

    harness.play_round(on_answer=lambda client, answer: lies(client, answer) if client == 4 else answer)
    # What an honest program would refuse (its own key was changed), a liar signs and shares for.
    liar = Liar(harness, 4)
    for client in (1, 2, 3):
        harness.server.receive(client, harness.clients[client].receive(harness.requests[client]) or b"")
    harness.server.receive(4, liar.shares())
    harness.server.close_round()
    for client in (1, 2, 3):
        harness.clients[client].set_input(harness.inputs[client])
        harness.server.receive(client, harness.clients[client].receive(harness.requests[client]) or b"")
    harness.server.close_round()
    for client in (1, 2, 3):
        harness.server.receive(client, harness.clients[client].receive(harness.requests[client]) or b"")
    harness.server.close_round()
    assert harness.server.abort_reason is AbortReason.SECRET_NOT_RECONSTRUCTED


class Liar:
    """A corrupt client that shares its secrets as an honest one would."""

    def __init__(self, harness: Harness, client: int) -> None:
        self.harness, self.client = harness, client
        source = harness.source.fork(client)
        self.channel = HybridKey(source.secret(hybrid.PRIVATE_BYTES))
        self.mask_secret, self.seed = source.secret(32), source.secret(32)
        self.source = source

    def shares(self) -> bytes:
        """The bytes of its ShareKeysResponse; all receivers have lower ids."""
        harness = self.harness
        request = decode_request(harness.requests[self.client])
        fields = ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in request.advertisements)
        binding = key_schedule.cohort_digest(harness.session, fields)
        peers = [ad for ad in request.advertisements if ad.client != self.client]
        pairs = shamir.share_secrets([self.seed, self.mask_secret], 2, len(peers), self.source)
        parcels = []
        for ad, pair in zip(peers, pairs, strict=True):
            sending, _ = key_schedule.channel_keys(self.channel, ad.channel_public, binding, self.client, ad.client)
            sent = Encapsulated(*kem.encapsulate(hybrid.halves(ad.channel_public)[1], self.source))
            key = key_schedule.hybrid_key(sending, sent, binding)
            bound = key_schedule.share_associated_data(binding, self.client, ad.client)
            sealed = aead.seal(key, pair, bound, bytes(aead.NONCE_BYTES))
            parcels.append((ad.client, Parcel(sent.ciphertext, sealed, b"").join()))
        honest = harness.clients[1].receive(harness.requests[1]) or b""
        return alter(honest, ciphertexts=tuple(parcels))


@pytest.mark.parametrize("round_", [Round.SHARE_KEYS, Round.MASKED_INPUT])
def test_pitfall_42_an_abandoned_state_has_no_key_left(round_: Round) -> None:
    """A traceback may keep the state for long: neither a secret nor what OpenSSL made of it may stay with it."""
    harness = session()
    harness.run_to(round_)
    state = harness.clients[2]._state
    refused(harness.clients[2], alter(harness.requests[2], session=bytes(32)), V.MESSAGE_OF_ANOTHER_SESSION)
    seen, todo = dict[int, object](), list[object]([state])
    while todo:
        item = todo.pop()
        if id(item) not in seen and not isinstance(item, type | ModuleType | FunctionType):
            seen[id(item)] = item
            todo += gc.get_referents(item)
    secrets = [item for item in seen.values() if isinstance(item, SecretBytes)]
    assert len(secrets) > 4
    assert {repr(secret).endswith("bytes, wiped)") for secret in secrets} == {True}
    assert not [item for item in seen.values() if isinstance(item, MLKEM768PrivateKey)]


def test_pitfall_42_a_weaker_suite_is_refused() -> None:
    policy = replace(Harness(3).policy, suites=frozenset({SUITE}))
    with pytest.raises(PeerMisbehaved) as caught:
        Harness(3, policy=policy)
    assert caught.value.violation is V.OFFER_SUITE_NOT_ALLOWED
    Harness(3, policy=policy, suite=SUITE).finish().assert_exact()


def test_the_first_part_alone_agrees_as_x25519_does() -> None:
    one, other = (HybridKey(SecretBytes(bytes([byte]) * 96)) for byte in (1, 2))
    alone = AgreementKey(SecretBytes(bytes([1]) * 32))
    agreed = alone.agree(other.public[:32])
    assert one.x25519.agree(other.public[:32]) == agreed == other.x25519.agree(one.public[:32])
