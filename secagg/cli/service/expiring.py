"""Tells the observer when what a server was given comes to its end, so that somebody renews it in time."""

from __future__ import annotations

import time

import secagg
from secagg.cli.service.offering import load_roster
from secagg.cli.service.server_config import ServerConfig
from secagg.hosting import HostObserver
from secagg.transport.grpc import ServerTls


def tell_expiries(config: ServerConfig, tls: ServerTls | None, observer: HostObserver) -> None:
    """Tell of the certificate and of a signed roster; a roster that cannot be used has ended already."""
    if tls is not None:
        observer.expiry_known("certificate", tls.expires.timestamp())
    if config.identities.anonymous:
        return
    try:
        expires = load_roster(config).expires
    except secagg.SecAggError:
        observer.expiry_known("roster", time.time())
        return
    if expires is not None:
        observer.expiry_known("roster", expires.timestamp())
