"""Makes certificates: an authority, servers and clients under it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
DAY = timedelta(days=1)


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class CertificateAuthority:
    """A certification authority with its own certificate; ECDSA unless told otherwise."""

    def __init__(self, name: str = "test authority", key: PrivateKey | None = None) -> None:
        self.name = name
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue(name_of(name), self.key.public_key(), (), authority=True)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def client(
        self, *uris: str, name: str = "a client", until: datetime | None = None, key: PrivateKey | None = None
    ) -> tuple[bytes, bytes]:
        """Certificate and private key, in PEM, for mutual TLS and with these URIs as alternative names."""
        own = key or ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names = names or [x509.DNSName("client.example")]
        issued = self._issue(name_of(name), own.public_key(), names, use=ExtendedKeyUsageOID.CLIENT_AUTH, until=until)
        return issued.public_bytes(Encoding.PEM), _pem(own)

    def server(self, *, until: datetime | None = None) -> tuple[bytes, bytes]:
        """Certificate and private key, in PEM, of a server on loopback."""
        own = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        use = ExtendedKeyUsageOID.SERVER_AUTH
        issued = self._issue(name_of("a server"), own.public_key(), names, use=use, until=until)
        return issued.public_bytes(Encoding.PEM), _pem(own)

    def below(self, name: str) -> CertificateAuthority:
        """An intermediate authority."""
        child = CertificateAuthority(name)
        child.certificate = self._issue(name_of(name), child.key.public_key(), (), authority=True)
        return child

    def _issue(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
        names: Sequence[x509.GeneralName],
        *,
        authority: bool = False,
        use: x509.ObjectIdentifier | None = None,
        until: datetime | None = None,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        end = until or now + 30 * DAY
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
        usage |= {"digital_signature": True, "key_cert_sign": authority, "crl_sign": authority}
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name_of(self.name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, end) - DAY)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage, encipher_only=False, decipher_only=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if use:
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        return builder.sign(self.key, None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
