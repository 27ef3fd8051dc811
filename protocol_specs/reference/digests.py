"""Digests of a session (§2.3)."""

from collections.abc import Iterable
from hashlib import sha256

from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.canonical import canonical, data, integer, list_head
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.wire import Advertisement


def session_digest(parameters: Parameters) -> bytes:
    """32 bytes that name the session; every message but the offer carries them."""
    return sha256(canonical("secagg/v1 session digest", parameters_.encode(parameters))).digest()


def cohort_digest(session: bytes, advertisements: Iterable[Advertisement]) -> bytes:
    """32 bytes over the keys of all advertised clients. Signatures are left out."""
    ordered = sorted(advertisements, key=lambda a: a.client)
    records = b"".join(
        integer(a.client) + data(a.channel_public) + data(a.mask_public) + data(a.commitment) for a in ordered
    )
    return sha256(canonical("secagg/v1 cohort digest", session) + list_head(len(ordered)) + records).digest()


def binding(parameters: Parameters, session: bytes, advertisements: Iterable[Advertisement]) -> bytes:
    """The digest that enters pairwise keys and confirmations."""
    return cohort_digest(session, advertisements) if parameters.complete else session
