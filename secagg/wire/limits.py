"""How long a message of a session can be: checked before anything is parsed (Specification §6).

Bounds, not exact lengths: each entry is counted with its longest framing. A parser that was handed more would
spend memory many times the message's size on it.
"""

from __future__ import annotations

from typing import Final

from secagg.crypto.dealing import ATTESTATION_BYTES, DIGEST_BYTES, ENTRY_BYTES, PAIRS_IN_A_BLOCK
from secagg.crypto.disclosure import PROOF_BYTES
from secagg.crypto.shamir import SHARE_BYTES
from secagg.crypto.suites import get_suite
from secagg.errors import DecodeError
from secagg.parameters import SessionParameters, TopologyKind
from secagg.parameters.session import MAX_CONTEXT_BYTES, MAX_VECTORS
from secagg.protocol.messages import (
    COMMITTED_BYTES,
    LONGEST_PARCEL_BYTES,
    MOST_DISCLOSURES,
    SEALED_BYTES,
    SIGNATURE_BYTES,
    deals_signed,
)

_FRAMING: Final = 64
_CONFIRMATION: Final = SIGNATURE_BYTES + 16
_INCLUSION: Final = SIGNATURE_BYTES + 8
_REVEALED: Final = SHARE_BYTES + 13
_CLIENT: Final = 8
_VECTORS: Final = MAX_VECTORS * 640
_ATTESTATION: Final = ATTESTATION_BYTES + 8
_DISCLOSURE: Final = PROOF_BYTES + 22
_BESIDE_A_BLOCK: Final = DIGEST_BYTES + ATTESTATION_BYTES + 104


def _parcel(parameters: SessionParameters) -> int:
    if get_suite(parameters.suite).hybrid:
        return LONGEST_PARCEL_BYTES + 16
    return (COMMITTED_BYTES if deals_signed(parameters) else SEALED_BYTES) + 16


def _advertisement(parameters: SessionParameters) -> int:
    return 2 * (get_suite(parameters.suite).public_bytes + 2) + 34 + 66 + 16


def client_message_limit(parameters: SessionParameters, packed_bytes: int) -> int:
    """The longest message, in bytes, that a client of this session may send."""
    degree = parameters.topology.degree
    if parameters.topology.kind is TopologyKind.CHOSEN:
        advertisement = _advertisement(parameters) + degree * _CLIENT + 8
        # Shares of its choosers, too, which are up to three times as many as its holders, and of holders that drew it.
        return _FRAMING + max(packed_bytes + _INCLUSION, 4 * degree * _REVEALED, advertisement)
    shares = degree * _parcel(parameters) + _ATTESTATION
    # A parcel is shorter than an advertisement, and the smallest cohort has one of each.
    lengths = [packed_bytes, shares, _advertisement(parameters)]
    if deals_signed(parameters):
        lengths.append(min(MOST_DISCLOSURES, degree) * _DISCLOSURE)
    return _FRAMING + max(lengths)


def server_message_limit(parameters: SessionParameters) -> int:
    """The longest message, in bytes, that the server of this session may send after the offer."""
    degree, clients = parameters.topology.degree, parameters.clients
    if parameters.topology.kind is TopologyKind.CHOSEN:
        # Up to three times as many clients as it has holders may have drawn one.
        neighbours, bits = 4 * degree, -(-clients // 8)
        return _FRAMING + max((neighbours + 1) * _advertisement(parameters), neighbours * _parcel(parameters) + bits)
    unmasking = degree * _CLIENT + clients * _CONFIRMATION
    lists = (degree + 1) * _advertisement(parameters), degree * _parcel(parameters), clients * _CLIENT
    # Of each dealing one block, and the digests of all: 2 bytes for each neighbour, and at most one digest more.
    dealing = min(PAIRS_IN_A_BLOCK, degree) * ENTRY_BYTES + 2 * degree + _BESIDE_A_BLOCK
    disclosures = min(MOST_DISCLOSURES, degree) * dealing if deals_signed(parameters) else 0
    return _FRAMING + max(*lists, unmasking, disclosures)


def offer_limit(maximum_cohort: int) -> int:
    """The longest offer, in bytes, that a client with this policy reads."""
    return _FRAMING + _CLIENT * maximum_cohort + MAX_CONTEXT_BYTES + _VECTORS


def check_length(data: bytes | bytearray | memoryview, limit: int) -> None:
    """Refuse a message that is too long to be one.

    Raises:
        DecodeError: naming the length and the bound.
    """
    if len(data) > limit:
        raise DecodeError(f"a message of {len(data)} bytes, where this session's have at most {limit}")
