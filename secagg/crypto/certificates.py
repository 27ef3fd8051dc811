"""X.509 client certificates, verified against an authority by cryptography's verifier (Specification §3.5).

What the verifier accepts: a version 3 certificate with a subject alternative name and, if it restricts the use of its
key, the use `clientAuth`, signed by an authority whose key is ECDSA or RSA. An authority with an Ed25519 key is refused
by it. The subject's own key may be of any kind. This module returns the names in a certificate and must not know what
they mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from secagg.errors import ParameterError


@dataclass(frozen=True, slots=True)
class VerifiedCertificate:
    """A client certificate that chains to the authority.

    Attributes:
        subject: its subject as RFC 4514 text, for messages.
        uris: the URIs of its subject alternative name.
        not_after: until when it is valid, UTC.
    """

    subject: str
    uris: tuple[str, ...]
    not_after: datetime


def expiry_of(chain: bytes) -> datetime:
    """When the first certificate of a chain in PEM ends, UTC; raises ParameterError when there is none."""
    return _load(chain, "the chain")[0].not_valid_after_utc


def verify_client_certificates(bundle: bytes, authority: bytes, at: datetime) -> Iterator[VerifiedCertificate]:
    """Verify every client certificate of a bundle; certificates of authorities in it serve as intermediates.

    Args:
        bundle: certificates in PEM, one after another.
        authority: the trusted certificates of the authority, in PEM.
        at: the time to verify at, with a time zone.

    Raises:
        ParameterError: no certificates, or one that does not verify, by its subject and the verifier's reason.
    """
    loaded = _load(bundle, "the bundle")
    roots = _load(authority, "the authority")
    issuers = [certificate for certificate in loaded if _is_authority(certificate)]
    clients = [certificate for certificate in loaded if not _is_authority(certificate)]
    if not clients:
        raise ParameterError("the bundle holds no client certificate, only authorities; add the clients' certificates")
    verifier = PolicyBuilder().store(Store(roots)).time(at).build_client_verifier()
    for certificate in clients:
        subject = certificate.subject.rfc4514_string()
        try:
            verified = verifier.verify(certificate, issuers)
        except VerificationError as error:
            raise ParameterError(
                f"the certificate of {subject!r}, valid until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC, "
                f"does not verify at {at:%Y-%m-%d %H:%M:%S}: {error}; have the authority issue another"
            ) from None
        names = verified.subjects or []
        uris = tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
        yield VerifiedCertificate(subject, uris, certificate.not_valid_after_utc)


def _load(text: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise ParameterError(f"{what} holds no certificate in PEM; give a file of CERTIFICATE blocks") from None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
