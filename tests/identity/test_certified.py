"""Rosters of X.509 certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.identity.certified import binding_uri, certified_roster
from tests.identity.authority import DAY, CertificateAuthority

NOW = datetime.now(UTC)
CA = CertificateAuthority()
PUBLIC = {client: IdentityKey.generate().public for client in (3, 7, 2**64 - 1)}


def certificate(client: int, public: bytes, authority: CertificateAuthority = CA) -> bytes:
    return authority.client(binding_uri(client, public), name=f"client {client}")[0]


BUNDLE = b"".join(certificate(client, public) for client, public in PUBLIC.items())


def test_the_certificates_of_a_bundle_are_the_roster() -> None:
    assert certified_roster(BUNDLE, CA.pem, NOW) == PUBLIC


def test_a_certificate_for_an_ed25519_key_is_accepted_too() -> None:
    own = ed25519.Ed25519PrivateKey.generate()
    public = own.public_key().public_bytes_raw()
    issued, _ = CA.client(binding_uri(5, public), key=own)
    assert certified_roster(issued, CA.pem, NOW) == {5: public}


def test_an_intermediate_authority_in_the_bundle_is_followed() -> None:
    below = CA.below("department")
    bundle = certificate(7, PUBLIC[7], below) + below.pem
    assert certified_roster(bundle, CA.pem, NOW) == {7: PUBLIC[7]}
    with pytest.raises(ParameterError, match="'CN=client 7'"):
        certified_roster(certificate(7, PUBLIC[7], below), CA.pem, NOW)


def test_a_certificate_of_another_authority_is_refused_even_under_the_same_name() -> None:
    mallory = CertificateAuthority(CA.name)
    added = certificate(8, IdentityKey.generate().public, mallory)
    with pytest.raises(ParameterError, match=r"'CN=client 8'.*does not verify"):
        certified_roster(BUNDLE + added, CA.pem, NOW)
    with pytest.raises(ParameterError, match="does not verify"):
        certified_roster(BUNDLE + added + mallory.pem, CA.pem, NOW)


def test_a_client_certificate_cannot_certify_others() -> None:
    """What a client holds is no authority, whatever its certificate's holder signs with it."""
    impostor = CertificateAuthority()
    impostor.certificate = CA._issue(impostor.certificate.subject, impostor.key.public_key(), ())
    added = certificate(8, IdentityKey.generate().public, impostor)
    with pytest.raises(ParameterError, match="does not verify"):
        certified_roster(BUNDLE + added + impostor.pem, CA.pem, NOW)


@pytest.mark.parametrize("at", [NOW + 31 * DAY, NOW - 2 * DAY])
def test_a_certificate_out_of_its_time_is_refused(at: datetime) -> None:
    with pytest.raises(ParameterError, match=r"valid until .* does not verify at"):
        certified_roster(BUNDLE, CA.pem, at)


def test_an_authority_that_expired_is_refused() -> None:
    certificate, _ = CA.client(binding_uri(3, PUBLIC[3]), until=NOW + timedelta(days=60))
    with pytest.raises(ParameterError, match="does not verify"):
        certified_roster(certificate, CA.pem, NOW + timedelta(days=40))


def test_an_authority_with_an_ed25519_key_is_refused_by_the_verifier() -> None:
    authority = CertificateAuthority(key=ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(ParameterError, match="Forbidden public key algorithm"):
        certified_roster(certificate(3, PUBLIC[3], authority), authority.pem, NOW)


def test_a_server_certificate_is_no_clients() -> None:
    with pytest.raises(ParameterError, match="does not verify"):
        certified_roster(CA.server()[0], CA.pem, NOW)


def test_one_id_with_two_keys_is_refused() -> None:
    with pytest.raises(ParameterError, match="give client 7 different keys"):
        certified_roster(BUNDLE + certificate(7, IdentityKey.generate().public), CA.pem, NOW)
    assert certified_roster(BUNDLE + certificate(7, PUBLIC[7]), CA.pem, NOW) == PUBLIC


def test_one_key_with_two_ids_is_refused() -> None:
    with pytest.raises(ParameterError, match="clients 7 and 8 one key"):
        certified_roster(BUNDLE + certificate(8, PUBLIC[7]), CA.pem, NOW)


KEY = PUBLIC[7].hex()
NO_BINDING: dict[str, tuple[str, ...]] = {
    "no URI": (),
    "another URI": ("https://example.org/7",),
    "no key": ("urn:secagg:client:7",),
    "leading zero": (f"urn:secagg:client:07:ed25519:{KEY}",),
    "id too large": (f"urn:secagg:client:{2**64}:ed25519:{KEY}",),
    "negative id": (f"urn:secagg:client:-7:ed25519:{KEY}",),
    "capital digits": (f"urn:secagg:client:7:ed25519:{KEY.upper()}",),
    "short key": (f"urn:secagg:client:7:ed25519:{KEY[:-2]}",),
    "something behind": (f"urn:secagg:client:7:ed25519:{KEY}:x",),
    "a line behind": (f"urn:secagg:client:7:ed25519:{KEY}\n",),
    "two bindings": (binding_uri(7, PUBLIC[7]), binding_uri(8, PUBLIC[3])),
    "one twice": (binding_uri(7, PUBLIC[7]), binding_uri(7, PUBLIC[7])),
}


@pytest.mark.parametrize("uris", NO_BINDING.values(), ids=NO_BINDING.keys())
def test_a_certificate_that_does_not_bind_exactly_one_client_is_refused(uris: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError, match="'CN=a client'"):
        certified_roster(CA.client(*uris)[0], CA.pem, NOW)


def test_what_holds_no_certificates() -> None:
    with pytest.raises(ParameterError, match="the bundle holds no certificate in PEM"):
        certified_roster(b"rubbish", CA.pem, NOW)
    with pytest.raises(ParameterError, match="the authority holds no certificate in PEM"):
        certified_roster(BUNDLE, b"", NOW)
    with pytest.raises(ParameterError, match="only authorities"):
        certified_roster(CA.pem, CA.pem, NOW)
