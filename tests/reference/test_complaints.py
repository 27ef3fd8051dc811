"""Garbage dealers and false complainers among clients of both implementations (Specification §6.4, §6.8, §6.9).

The corrupt ones are reference clients whose answers are changed on their way. NO SECURITY: keys follow from the seed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol_specs.reference import disclosures, evidence, sealing, signatures, wire
from protocol_specs.reference.blame import Dealt
from protocol_specs.reference.client import Client
from secagg import SessionParameters, SuiteId
from secagg.protocol.evidence import verify_evidence
from tests.reference.support import (
    AnyClient,
    AnyServer,
    LibraryServer,
    ReferenceServer,
    identity_keys,
    library_client,
    play,
    reference_client,
    roster_of,
    session_parameters,
)
from tests.reference.test_mixed_sessions import values_of

Blames = list[tuple[int, str, bytes | None]]
AnyServerClass = type[LibraryServer] | type[ReferenceServer]
SERVERS: dict[str, AnyServerClass] = {"library server": LibraryServer, "reference server": ReferenceServer}


class Corrupt:
    """A client that deals garbage to its victims, and says whom else it cannot read."""

    def __init__(self, inner: Client, garbage_for: Collection[int] = (), accused: Collection[int] = ()) -> None:
        self.inner = inner
        self.garbage_for = garbage_for
        self.accused = sorted(accused)
        self.pairs: dict[int, bytes] = {}
        self.private = b""

    def receive(self, message: bytes) -> bytes | None:
        """The answer of an honest client, but for the lies."""
        body = wire.decode_request(message).body
        if isinstance(body, wire.DisclosureRequest) and self.accused:
            return self._disclosed(body)
        answer = self.inner.receive(message)
        assert answer is not None
        self.private = self.private or self.inner.secrets.channel_private or b""
        if isinstance(body, wire.ShareKeysRequest) and self.garbage_for:
            return self._spoilt(answer)
        if isinstance(body, wire.MaskedInputCollectionRequest) and self.accused:
            self.pairs = {sealed.client: sealed.ciphertext for sealed in body.ciphertexts}
            return self._encoded(wire.Complaint(tuple(self.accused)))
        return answer

    def _encoded(self, body: wire.Response) -> bytes:
        return wire.encode_envelope(self.inner.session, body)

    def _spoilt(self, answer: bytes) -> bytes:
        body = wire.decode_for_server(answer).body
        assert isinstance(body, wire.ShareKeysResponse)
        spoilt = replace(body, ciphertexts=tuple(self._spoil(sealed) for sealed in body.ciphertexts), signature=b"")
        if body.signature:
            dealt = Dealt(self.inner.session, self.inner.binding, self.inner.advertisements, {})
            key = identity_keys([self.inner.client])[self.inner.client]
            signed = dealt.signed_input(self.inner.client, spoilt)
            spoilt = replace(spoilt, signature=signatures.sign(key, signed) + body.signature[64:])
        return self._encoded(spoilt)

    def _spoil(self, sealed: wire.SealedShares) -> wire.SealedShares:
        if sealed.client not in self.garbage_for:
            return sealed
        parcel = sealing.split(self.inner.parameters, self.inner.client, sealed.client, sealed.ciphertext, True)
        parcel = replace(parcel, sealed=bytes(50) + parcel.sealed[50:])
        return replace(sealed, ciphertext=parcel.join())

    def _disclosed(self, request: wire.DisclosureRequest) -> bytes:
        inner, own = self.inner, self.inner.advertisements[self.inner.client]
        disclosed = []
        for dealing in request.dealings:
            dealer = inner.advertisements[dealing.client]
            ends = dealer.client, dealer.channel_public, own.client, own.channel_public
            pair = evidence.Pair(inner.session, inner.binding, *ends, self.pairs[dealer.client])
            proof = disclosures.prove(self.private, dealer.channel_public, pair.context)
            disclosed.append(wire.Disclosure(dealer.client, proof))
        return self._encoded(wire.DisclosureResponse(tuple(disclosed)))


def clients_of(
    parameters: SessionParameters,
    server: AnyServer,
    garbage: Mapping[int, Collection[int]],
    complaints: Mapping[int, Collection[int]],
) -> dict[int, AnyClient]:
    """Honest clients of both implementations in turn, and the corrupt ones."""
    clients: dict[int, AnyClient] = {}
    for place, client in enumerate(parameters.cohort):
        values = values_of(parameters, client)
        if client in {*garbage, *complaints}:
            inner = reference_client(parameters, server.offer, client, values)
            clients[client] = Corrupt(inner, garbage.get(client, ()), complaints.get(client, ()))
        else:
            make = library_client if place % 2 else reference_client
            clients[client] = make(parameters, server.offer, client, values)
    return clients


def blames_of(server: AnyServer) -> Blames:
    if isinstance(server, LibraryServer):
        return [(blame.client, blame.reason.value, blame.evidence) for blame in server.session.blame]
    assert isinstance(server, ReferenceServer)
    return [(blame.client, blame.rule, blame.evidence) for blame in server.blame]


def ended(
    parameters: SessionParameters,
    make_server: AnyServerClass,
    garbage: Mapping[int, Collection[int]],
    complaints: Mapping[int, Collection[int]],
) -> Blames:
    server: AnyServer = make_server(parameters)
    play(server, clients_of(parameters, server, garbage, complaints), {})
    assert server.outcome.abort_reason == "A15"
    assert not server.dropped
    return blames_of(server)


@pytest.mark.parametrize("make_server", SERVERS.values(), ids=SERVERS)
def test_the_corrupt_are_named_with_evidence_that_both_judge_alike(
    make_server: AnyServerClass,
) -> None:
    parameters = session_parameters(20, threshold=14, active=True)
    cohort, roster = parameters.cohort, roster_of(parameters.cohort)
    garbage = {cohort[3]: [cohort[0]], cohort[4]: cohort, cohort[19]: [cohort[17], cohort[18]]}
    complaints = {cohort[7]: [cohort[0], cohort[1]]}

    blames = ended(parameters, make_server, garbage, complaints)

    expected = {**dict.fromkeys(garbage, "S22"), **dict.fromkeys(complaints, "S33")}
    assert [(client, rule) for client, rule, _ in blames] == sorted(expected.items())
    for client, rule, shown in blames:
        assert shown is not None
        assert evidence.judge(shown, roster) == (client, rule)
        verdict = verify_evidence(shown, roster)
        assert (verdict.client, verdict.reason.value) == (client, rule)


@pytest.mark.parametrize("make_server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("hybrid", [False, True], ids=["semi-honest", "hybrid"])
def test_without_signed_dealings_there_are_hints(hybrid: bool, make_server: AnyServerClass) -> None:
    suite = SuiteId.X25519_MLKEM768_AES128CTR if hybrid else SuiteId.X25519_AES128CTR
    parameters = session_parameters(6, threshold=4, active=hybrid, suite=suite)
    cohort = parameters.cohort

    blames = ended(parameters, make_server, {cohort[2]: [cohort[0], cohort[1], cohort[5]]}, {})

    assert blames == [(cohort[2], "S22", None)]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_both_servers_name_the_same_and_no_honest_client(data: st.DataObject) -> None:
    active = data.draw(st.booleans())
    parameters = session_parameters(7, threshold=4, active=active)
    cohort = parameters.cohort
    corrupt = data.draw(st.sets(st.sampled_from(cohort), min_size=1, max_size=3))
    others = st.sets(st.sampled_from(cohort), min_size=1)
    garbage = {client: data.draw(others) - {client} for client in sorted(corrupt) if data.draw(st.booleans())}
    complaints = {client: data.draw(others) - {client} for client in sorted(corrupt) if client not in garbage}
    lies = {**garbage, **complaints}
    if not any(lies.values()):
        return

    found = [ended(parameters, server, garbage, complaints) for server in SERVERS.values()]

    assert found[0] == found[1]
    if active:
        assert {client for client, _, _ in found[0]} <= corrupt
        assert all(shown is not None for _, _, shown in found[0])
