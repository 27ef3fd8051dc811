"""Tells the observer when what a server was given comes to its end, so that somebody renews it in time."""

from __future__ import annotations

import time

from secagg.cli.service.enrolled import Enrolled
from secagg.hosting import HostObserver
from secagg.transport.grpc import ServerTls


def tell_expiries(tls: ServerTls | None, enrolled: Enrolled, observer: HostObserver) -> None:
    """Tell of the certificate and of a signed roster; a roster that cannot be used has ended already."""
    if tls is not None:
        observer.expiry_known("certificate", tls.expires.timestamp())
    if enrolled.trouble:
        observer.expiry_known("roster", time.time())
    elif enrolled.expires is not None:
        observer.expiry_known("roster", enrolled.expires.timestamp())
