"""Rosters of X.509 certificates: an authority certifies each client's id and Ed25519 identity key.

The binding is one URI in the certificate's subject alternative name, `urn:secagg:client:ID:ed25519:HEX`. So the
certificate's own key may be the one that a client uses for mutual TLS, where Ed25519 is not at home. Who may be a
client is the authority's word alone; a server can leave certificates out and can make none. Must not know files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from secagg.crypto.certificates import VerifiedCertificate, verify_client_certificates
from secagg.errors import ParameterError

_BINDING: Final = re.compile(r"urn:secagg:client:(0|[1-9][0-9]{0,19}):ed25519:([0-9a-f]{64})")
_PREFIX: Final = "urn:secagg:"


def binding_uri(client: int, public: bytes) -> str:
    """Return the URI that an authority puts into a client's certificate.

    Args:
        client: its id.
        public: 32-byte Ed25519 key.
    """
    return f"{_PREFIX}client:{client}:ed25519:{public.hex()}"


def certified_roster(bundle: bytes, authority: bytes, at: datetime) -> Mapping[int, bytes]:
    """Return the roster that a bundle of certificates makes: client id to 32-byte Ed25519 public key.

    Args:
        bundle: the clients' certificates in PEM, and intermediate authorities.
        authority: the certificates to trust, in PEM.
        at: the time now, with a time zone.

    Raises:
        ParameterError: a certificate that does not verify or binds no client; one id with two keys, or one key with two
            ids.
    """
    keys: dict[int, bytes] = {}
    owners: dict[bytes, int] = {}
    for certificate in verify_client_certificates(bundle, authority, at):
        client, public = _binding(certificate)
        if keys.setdefault(client, public) != public:
            raise ParameterError(f"two certificates give client {client} different keys; keep the one that is in use")
        other = owners.setdefault(public, client)
        if other != client:
            raise ParameterError(f"certificates give clients {other} and {client} one key; each signs with its own")
    return MappingProxyType(dict(sorted(keys.items())))


def _binding(certificate: VerifiedCertificate) -> tuple[int, bytes]:
    named = [uri for uri in certificate.uris if uri.startswith(_PREFIX)]
    found = _BINDING.fullmatch(named[0]) if len(named) == 1 else None
    if found is None or int(found[1]) >= 1 << 64:
        raise ParameterError(
            f"the certificate of {certificate.subject!r} binds no client: its subject alternative name needs "
            f"exactly one URI urn:secagg:client:ID:ed25519:HEX and has {named!r:.200}"
        )
    return int(found[1]), bytes.fromhex(found[2])
