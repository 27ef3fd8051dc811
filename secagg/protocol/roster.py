"""Who signs with which key (Specification §2.1, §3.5): the protection of the active model rests on it.

A roster comes from a directory that the server does not control. A session keeps its own copy for its cohort, so
that nothing changes under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from secagg.crypto.signing import PUBLIC_BYTES, IdentityKey
from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters, ThreatModel
from secagg.parameters.arguments import require_kind

Roster = Mapping[ClientId, bytes]
"""Client id to 32-byte Ed25519 verification key."""

NO_ROSTER: Final[Roster] = MappingProxyType({})


def session_roster(parameters: SessionParameters, roster: Roster | None) -> Roster:
    """Return the session's own copy of the cohort's part of a roster; members that it lacks stay out.

    Raises:
        ParameterError: no mapping, a key that is not 32 bytes, or one key for two clients, who would count twice.
    """
    if roster is not None:
        require_kind("roster", roster, Mapping, "{client: 32-byte Ed25519 public key}")
    if roster is None or parameters.threat_model is not ThreatModel.ACTIVE:
        return NO_ROSTER if not roster else MappingProxyType(dict(roster))
    keys: dict[ClientId, bytes] = {}
    owners: dict[bytes, ClientId] = {}
    for client in parameters.cohort:
        if client not in roster:
            continue
        key = roster[client]
        if not isinstance(key, bytes | bytearray | memoryview) or len(key) != PUBLIC_BYTES:
            raise ParameterError(
                f"the roster's key of client {client} is not {PUBLIC_BYTES} bytes; give IdentityKey.public"
            )
        keys[client] = bytes(key)
        other = owners.setdefault(keys[client], client)
        if other != client:
            raise ParameterError(f"clients {other} and {client} have one key in the roster; each signs with its own")
    return MappingProxyType(keys)


def require_cohort(parameters: SessionParameters, roster: Roster) -> None:
    """Demand a key for every member of an active session's cohort.

    Raises:
        ParameterError: naming the first that is missing.
    """
    if parameters.threat_model is not ThreatModel.ACTIVE:
        return
    missing = [client for client in parameters.cohort if client not in roster]
    if missing:
        raise ParameterError(
            f"{len(missing)} clients of the cohort, the first {missing[0]}, are not in the roster; an active session "
            "needs roster={client: 32-byte Ed25519 public key} for all"
        )


def check_identity(client: ClientId, identity: IdentityKey | None, roster: Roster) -> None:
    """Demand that a client of an active session can sign as itself.

    Raises:
        ParameterError: no identity key, or not the one in the roster.
    """
    if identity is None:
        raise ParameterError(
            "an active session signs its messages; pass identity=IdentityKey and roster={client: public key}"
        )
    if roster.get(client) != identity.public:
        raise ParameterError(
            f"the identity key is not the one of client {client} in the roster; enroll it or pass the right one"
        )
