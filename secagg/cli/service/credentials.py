"""Reads the keys and certificates that server.toml names. Must not know who serves with them."""

from __future__ import annotations

import os
import stat
from typing import Any

import secagg
from secagg.cli.service.server_config import ServerConfig
from secagg.identity.keys import load_public_key
from secagg.transport.grpc import OperatorRights, Role, ServerTls


def operators_of(config: ServerConfig) -> dict[str, OperatorRights]:
    """Return the operators by file; raises ParameterError for a file that has no key, or one that is listed twice."""
    listed = [(path, Role.ADMIN, "") for path in config.identities.operators]
    listed += [(one.key, Role(one.role), one.tenant) for one in config.identities.operator]
    found: dict[str, OperatorRights] = {}
    for path, role, tenant in listed:
        rights = OperatorRights(load_public_key(path), role, tenant)
        for other, known in found.items():
            if known.key == rights.key and known != rights:
                raise secagg.ParameterError(
                    f"{path} has the key of {other}, with another role or tenant; list each operator once"
                )
        found[str(path)] = rights
    return found


def tls_of(config: ServerConfig) -> ServerTls | None:
    """Return what the server shows, None without TLS; raises ParameterError for files that do not fit."""
    listen = config.listen
    if listen.certificate is None or listen.key is None:
        return None
    return ServerTls.from_files(listen.certificate, listen.key, listen.client_ca)


def http_tls_of(config: ServerConfig) -> ServerTls | None:
    """Return what the server shows over HTTP, None without TLS or HTTP; raises ParameterError as `tls_of` does."""
    listen, http = config.listen, config.http
    certificate, key = http.certificate or listen.certificate, http.key or listen.key
    if http.address is None or listen.plaintext or certificate is None or key is None:
        return None
    return ServerTls.from_files(certificate, key, http.client_ca)


def warn_of_open_key(config: ServerConfig, log: Any) -> None:
    """Say so when all users of this machine can read a key of TLS; not refused, since containers mount keys so."""
    for key in (config.listen.key, config.http.key):
        mode = 0 if key is None else stat.S_IMODE(key.stat().st_mode)
        if os.name == "posix" and mode & stat.S_IRWXO:
            log.warning("everybody on this machine can open the key of TLS", file=str(key), mode=f"{mode:04o}")
