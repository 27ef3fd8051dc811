"""Tells the observer when what a server was given comes to its end, so that somebody renews it in time."""

from __future__ import annotations

import time
from collections.abc import Iterable

from secagg.cli.service.enrolled import Enrolled
from secagg.hosting import HostObserver
from secagg.transport.grpc import ServerTls


def tell_expiries(shown: Iterable[ServerTls | None], enrolled: Enrolled, observer: HostObserver) -> None:
    """Tell of the certificate that ends first and of a signed roster; one that cannot be used has ended already."""
    ends = [tls.expires.timestamp() for tls in shown if tls is not None]
    if ends:
        observer.expiry_known("certificate", min(ends))
    if enrolled.trouble and not enrolled.awaited:
        observer.expiry_known("roster", time.time())
    elif enrolled.expires is not None:
        observer.expiry_known("roster", enrolled.expires.timestamp())
