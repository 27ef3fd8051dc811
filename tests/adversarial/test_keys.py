"""A lying server passes keys on: pitfalls 3 (substituted keys) and 20 (points of low order)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from secagg import (
    ClientPhase,
    DropReason,
    PeerMisbehaved,
    Round,
    SecretBytes,
    Violation,
)
from secagg.crypto import aead, key_schedule
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.commitments import Commitments
from secagg.protocol.messages import AdvertiseKeysResponse, Advertisement, MaskedInputCollectionRequest
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import encode
from tests.adversarial.tools import MODELS, Insider, canonical_noise, complains, drops, refused
from tests.harness import Harness, alter, decode_answer, decode_request

LOW_ORDER: Final = tuple(
    bytes.fromhex(point)
    for point in (
        # Coordinates of the points of order 1, 2, 4 and 8 on Curve25519 and its twist: RFC 7748 §6.1 makes them 0.
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
OTHER_NAMES: Final = (
    *(bytes([low]) + bytes([255]) * 30 + bytes([0x7F]) for low in (0xED, 0xEE)),  # p and p + 1
    *(point[:31] + bytes([point[31] | 0x80]) for point in LOW_ORDER),
)


SERVERS_KEY: Final = AgreementKey.generate(DeterministicRandomSource(b"the server's"))


def at_share_keys(model: str, clients: int = 5) -> Harness:
    return Harness(clients, threat_model=model, threshold=3).run_to(Round.SHARE_KEYS)


def with_entry(request: bytes, entry: Advertisement) -> bytes:
    """The list with one client's entry replaced."""
    entries = {ad.client: ad for ad in decode_request(request).advertisements}
    entries[entry.client] = entry
    return alter(request, advertisements=tuple(ad for _, ad in sorted(entries.items())))


def entry_of(request: bytes, client: int) -> Advertisement:
    advertisement: Advertisement = next(ad for ad in decode_request(request).advertisements if ad.client == client)
    return advertisement


@pytest.mark.parametrize("field", ["channel_public", "mask_public", "commitment"])
def test_pitfall_03_substituted_key(field: str) -> None:
    harness = at_share_keys("active")
    changes: dict[str, Any] = {field: SERVERS_KEY.public}
    entry = replace(entry_of(harness.requests[1], 2), **changes)
    refused(harness.clients[1], with_entry(harness.requests[1], entry), Violation.ADVERTISEMENT_SIGNATURE_INVALID)


@pytest.mark.parametrize("signer", [3, None])
def test_pitfall_03_substituted_entry_signed_by_somebody_else(signer: int | None) -> None:
    """All keys are the server's; it signs with a corrupt client's identity key, or not at all."""
    harness = at_share_keys("active")
    insider = Insider(harness, 3 if signer is None else signer)
    entry = insider.advertise(
        client=2, channel_public=SERVERS_KEY.public, mask_public=bytes(range(32)), sign=signer is not None
    )
    refused(harness.clients[1], with_entry(harness.requests[1], entry), Violation.ADVERTISEMENT_SIGNATURE_INVALID)


def test_pitfall_03_swapped_ids() -> None:
    harness = at_share_keys("active")
    two, three = entry_of(harness.requests[1], 2), entry_of(harness.requests[1], 3)
    request = with_entry(harness.requests[1], replace(two, client=3))
    request = with_entry(request, replace(three, client=2))
    refused(harness.clients[1], request, Violation.ADVERTISEMENT_SIGNATURE_INVALID)


def test_pitfall_03_advertisement_of_an_old_session() -> None:
    old = at_share_keys("active")
    new = Harness(5, threat_model="active", threshold=3, seed=1, identities=old.identities).run_to(Round.SHARE_KEYS)
    request = with_entry(new.requests[1], entry_of(old.requests[1], 2))
    refused(new.clients[1], request, Violation.ADVERTISEMENT_SIGNATURE_INVALID)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("victim", "field", "source", "source_field"),
    [
        (2, "channel_public", 3, "channel_public"),
        (2, "mask_public", 3, "mask_public"),
        (2, "channel_public", 3, "mask_public"),
        (2, "mask_public", 2, "channel_public"),
        (2, "mask_public", 1, "mask_public"),
        (2, "channel_public", 1, "mask_public"),
    ],
)
def test_pitfall_03_key_repeated(model: str, victim: int, field: str, source: int, source_field: str) -> None:
    harness = at_share_keys(model)
    changes: dict[str, Any] = {field: getattr(entry_of(harness.requests[1], source), source_field)}
    entry = replace(entry_of(harness.requests[1], victim), **changes)
    refused(harness.clients[1], with_entry(harness.requests[1], entry), Violation.PUBLIC_KEY_REPEATED)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("field", ["channel_public", "mask_public", "commitment", "signature"])
def test_pitfall_03_own_advertisement_changed(model: str, field: str) -> None:
    harness = at_share_keys(model)
    own = entry_of(harness.requests[1], 1)
    changes: dict[str, Any] = {field: bytes(64) if field == "signature" else bytes(range(32))}
    request = with_entry(harness.requests[1], replace(own, **changes))
    refused(harness.clients[1], request, Violation.OWN_ADVERTISEMENT_CHANGED)


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_03_own_advertisement_missing(model: str) -> None:
    harness = at_share_keys(model)
    others = tuple(ad for ad in decode_request(harness.requests[1]).advertisements if ad.client != 1)
    request = alter(harness.requests[1], advertisements=others)
    refused(harness.clients[1], request, Violation.OWN_ADVERTISEMENT_MISSING)


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_03_client_outside_the_cohort(model: str) -> None:
    harness = at_share_keys(model)
    entry = Insider(harness, 5).advertise(client=77)
    others = decode_request(harness.requests[1]).advertisements[:-1]
    request = alter(harness.requests[1], advertisements=(*others, entry))
    refused(harness.clients[1], request, Violation.ADVERTISEMENT_OF_A_STRANGER)


def test_pitfall_03_neighbours_of_others_in_a_sparse_graph() -> None:
    harness = Harness(8, topology="sparse", degree=4, threshold=2).run_to(Round.SHARE_KEYS)
    request = harness.requests[1]
    near = {ad.client for ad in decode_request(request).advertisements}
    far = next(client for client in harness.cohort if client not in near)
    entry = entry_of(harness.requests[far], far)
    near_entries = [ad for ad in decode_request(request).advertisements if ad.client == 1 or ad.client != max(near)]
    entries = {ad.client: ad for ad in (*near_entries, entry)}
    lie = alter(request, advertisements=tuple(ad for _, ad in sorted(entries.items())))
    refused(harness.clients[1], lie, Violation.ADVERTISEMENT_OF_A_STRANGER)


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_03_different_lists_for_different_clients_open_no_channel(model: str) -> None:
    """Clients 1 and 2 are not shown client 5: their cohort digest differs, and so do their channel keys."""
    harness = at_share_keys(model)

    def omit(client: int, request: bytes) -> bytes:
        entries = decode_request(request).advertisements
        return alter(request, advertisements=entries[:-1]) if client in (1, 2) else request

    answers = harness.play_round(on_request=omit, on_answer=lambda client, answer: None, close=False)
    sealed = {client: dict(decode_answer(answer).ciphertexts) for client, answer in answers.items()}
    for client, senders in ((1, (2, 3, 4)), (3, (1, 2, 4))):
        ciphertexts = tuple((sender, sealed[sender][client]) for sender in senders)
        harness.clients[client].set_input(harness.inputs[client])
        request = encode(MaskedInputCollectionRequest(harness.session, ciphertexts))
        complains(harness.clients[client], request)


def test_pitfall_03_server_that_plays_all_other_clients_needs_their_identity_keys() -> None:
    """In the semi-honest model it learns the one real input, and the specification says so; the roster stops it."""
    harness = Harness(4, threshold=2).finish()
    played_by_the_server = harness.expected([2, 3, 4])
    assert (harness.server.result.vectors["v"] - played_by_the_server).tolist() == harness.inputs[1]["v"].tolist()

    active = at_share_keys("active", 4)
    puppets = Harness(4, threat_model="active", threshold=3, seed=99)
    own = entry_of(active.requests[1], 1)
    entries = [own, *(Insider(puppets, client).advertise(session=active.session) for client in (2, 3, 4))]
    request = alter(active.requests[1], advertisements=tuple(entries))
    refused(active.clients[1], request, Violation.ADVERTISEMENT_SIGNATURE_INVALID)


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_03_server_refuses_what_a_client_would(model: str) -> None:
    harness = Harness(5, threat_model=model, threshold=3)
    insider = Insider(harness, 5)
    for client in (1, 2, 3, 4):
        answer = harness.ask(client)
        assert answer is not None
        harness.deliver(client, answer)
    stolen = Insider(harness, 2).mask_key.public
    lie = AdvertiseKeysResponse(harness.session, insider.advertise(mask_public=stolen, sign=model == "active"))
    harness.deliver(5, encode(lie))
    assert drops(harness.events) == {5: DropReason.PUBLIC_KEY_REPEATED}
    harness.close()
    harness.finish().assert_exact([1, 2, 3, 4])


@pytest.mark.parametrize("field", ["channel_public", "mask_public"])
@pytest.mark.parametrize("model", MODELS)
def test_pitfall_20_server_drops_a_client_with_a_low_order_key(model: str, field: str) -> None:
    for point in LOW_ORDER:
        harness = Harness(5, threat_model=model, threshold=3)
        ad = Insider(harness, 5).advertise(**{field: point})  # type: ignore[arg-type]
        harness.deliver(5, encode(AdvertiseKeysResponse(harness.session, ad)))
        assert drops(harness.events) == {5: DropReason.PUBLIC_KEY_OF_LOW_ORDER}
    harness.play_round(silent={5})
    harness.finish().assert_exact([1, 2, 3, 4])


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_20_client_refuses_a_low_order_channel_key(model: str) -> None:
    """In the active model a corrupt client signs it and the server lets it pass."""
    for point in LOW_ORDER:
        harness = at_share_keys(model)
        ad = Insider(harness, 5).advertise(channel_public=point)
        refused(harness.clients[1], with_entry(harness.requests[1], ad), Violation.PUBLIC_KEY_OF_LOW_ORDER)


@pytest.mark.parametrize("model", MODELS)
def test_pitfall_20_client_masks_nothing_with_a_low_order_key(model: str) -> None:
    """Wherever the client looks at the mask key first: it never uploads an input whose mask everybody knows."""
    for point in LOW_ORDER:
        harness = at_share_keys(model)
        ad = Insider(harness, 5).advertise(mask_public=point)
        lists = {client: with_entry(harness.requests[client], ad) for client in (1, 2, 3, 4)}
        with pytest.raises(PeerMisbehaved) as caught:
            upload_with(harness, ad, lists)
        assert caught.value.violation is Violation.PUBLIC_KEY_OF_LOW_ORDER
        assert harness.clients[1].phase is ClientPhase.ABORTED


@pytest.mark.parametrize("field", ["channel_public", "mask_public"])
@pytest.mark.parametrize("model", MODELS)
def test_pitfall_20_other_names_of_a_point_are_refused(model: str, field: str) -> None:
    """Low-order points, and an honest client's key, written with the ignored top bit set or not reduced."""
    harness = at_share_keys(model)
    honest = entry_of(harness.requests[1], 2).mask_public
    for point in (*OTHER_NAMES, honest[:31] + bytes([honest[31] | 0x80])):
        harness = at_share_keys(model)
        ad = Insider(harness, 5).advertise(**{field: point})  # type: ignore[arg-type]
        refused(harness.clients[1], with_entry(harness.requests[1], ad), Violation.PUBLIC_KEY_NOT_CANONICAL)
        server = Harness(5, threat_model=model, threshold=3)
        server.deliver(5, encode(AdvertiseKeysResponse(server.session, ad)))
        assert drops(server.events) == {5: DropReason.PUBLIC_KEY_NOT_CANONICAL}


def upload_with(harness: Harness, ad: Advertisement, lists: dict[int, bytes]) -> bytes | None:
    """Client 1 is shown `ad` as client 5's, and shares that client 5 sealed in line with it; returns its upload."""
    answers = {client: harness.ask(client, request) for client, request in lists.items()}
    sealed = {client: dict(decode_answer(answer).ciphertexts) for client, answer in answers.items() if answer}
    listed = decode_request(lists[1]).advertisements
    binding = key_schedule.cohort_digest(
        harness.session, ((a.client, a.channel_public, a.mask_public, a.commitment) for a in listed)
    )
    sending, _ = key_schedule.channel_keys(Insider(harness, 5).channel_key, listed[0].channel_public, binding, 5, 1)
    pair = SecretBytes(canonical_noise("seed") + canonical_noise("mask key"))
    five = aead.seal(sending, pair, key_schedule.share_associated_data(binding, 5, 1), bytes(24))
    if harness.active:
        five += Commitments(harness.session, binding).of(5, 1, canonical_noise("seed"), canonical_noise("mask key"))
    ciphertexts = (*((sender, sealed[sender][1]) for sender in (2, 3, 4)), (5, five))
    harness.clients[1].set_input(harness.inputs[1])
    return harness.clients[1].receive(encode(MaskedInputCollectionRequest(harness.session, ciphertexts)))
