"""Suite `blame`: what naming liars costs an honest client: attestation, digests of its dealing, and commitments.

The whole client is real, and its peers are insiders (secagg.testing.insiders); what it does for blame is done once more
beside it, in turn, with as many neighbours. The library has no client without it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.rows import Better, Row, Scalar, measured_row
from secagg.bench.sessions import fixed_point
from secagg.bench.suites.chosen import one_active_client
from secagg.bench.targets import BLAME_BYTES, BLAME_SHARE, blame_name
from secagg.crypto import dealing
from secagg.crypto.agreement import KEY_BYTES, AgreementKey
from secagg.crypto.commitments import Commitments, ShareKind
from secagg.crypto.randomness import SystemRandomSource
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import SHARE_BYTES
from secagg.crypto.signing import IdentityKey
from secagg.parameters import SessionParameters
from secagg.protocol.listed import Ids
from secagg.protocol.messages import (
    COMMITTED_BYTES,
    DIGEST_BYTES,
    SEALED_BYTES,
    MaskedInputCollectionRequest,
    RevealedShares,
    ShareKeysResponse,
    UnmaskingResponse,
)
from secagg.wire.codec import encode

SUITE: Final = "blame"
_SECONDS_PER_CLIENT: Final = 1e-3
_DIGEST: Final = bytes(DIGEST_BYTES)
_PERCENT: Final = 100
_TURNS: Final = 4


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    case = shared.plan.blame
    seconds = _turns(shared) * case.clients * _SECONDS_PER_CLIENT
    return (Benchmark(blame_name(BLAME_SHARE, case), seconds, partial(_rows, shared)),)


def _turns(shared: Shared) -> int:
    return 1 if shared.plan.quick else _TURNS * shared.plan.repeats


def _rows(shared: Shared) -> list[Row]:
    case = shared.plan.blame
    parameters = SessionParameters.choose(clients=case.clients, vectors=fixed_point(case.length), threat_model="active")
    shares, parts = [], []
    for _ in range(_turns(shared)):
        whole, _ = one_active_client(parameters)
        part = _machinery(case.clients)
        shares.append(_PERCENT * part / whole)
        parts.append(part)
    details: dict[str, Scalar] = {
        "clients": case.clients,
        "entries": case.length,
        "machinery_ms": 1e3 * sorted(parts)[len(parts) // 2],
    }
    neighbours = case.clients - 1
    once = 2 * _bytes(neighbours) - _bytes(2 * neighbours)
    details["bytes_once"] = once
    moved = ((_bytes(neighbours) - once) / neighbours,)
    return [
        measured_row(SUITE, blame_name(BLAME_SHARE, case), "%", Better.LESS, tuple(shares), details=details),
        measured_row(SUITE, blame_name(BLAME_BYTES, case), "B", Better.LESS, moved, details=details),
    ]


def _machinery(clients: int) -> float:
    """CPU seconds of what one client does so that somebody can be named."""
    randomness = SystemRandomSource()
    identity, key = IdentityKey.generate(randomness), AgreementKey.generate(randomness)
    pairs = [(peer, randomness.secret(2 * SHARE_BYTES)) for peer in range(1, clients)]
    sealed, publics = bytes(SEALED_BYTES), bytes(KEY_BYTES)
    start = time.process_time()
    dealt = Commitments(_DIGEST, _DIGEST)
    entries = []
    for peer, pair in pairs:
        both = pair.expose()
        committed = dealt.of(clients, peer, both[:SHARE_BYTES], both[SHARE_BYTES:])
        entries.append(dealing.dealt_entry(peer, publics, sealed + committed))
    dealing.attest(identity, key, _DIGEST, _DIGEST, clients, dealing.digests_of(entries))
    received = Commitments(_DIGEST, _DIGEST)
    for peer, pair in pairs:
        both = pair.expose()
        received.of(peer, clients, both[:SHARE_BYTES], both[SHARE_BYTES:])
        received.digest(peer, clients, ShareKind.MASK_KEY, both[SHARE_BYTES:])
    return time.process_time() - start


def _bytes(neighbours: int) -> int:
    """What of a client's bytes, both ways, is there for blame."""

    def moved(pair: int, share: int, attestation: int) -> int:
        pairs = tuple((peer, bytes(pair)) for peer in range(1, neighbours + 1))
        owners = tuple(range(1, neighbours + 1))
        revealed = RevealedShares(Ids.of(owners), SecretBytes(bytes(share * neighbours)))
        messages = (
            ShareKeysResponse(_DIGEST, pairs, bytes(attestation)),
            MaskedInputCollectionRequest(_DIGEST, pairs),
            UnmaskingResponse(_DIGEST, revealed, RevealedShares.of(())),
        )
        return sum(len(encode(message)) for message in messages)

    with_it = moved(COMMITTED_BYTES, SHARE_BYTES + DIGEST_BYTES, dealing.ATTESTATION_BYTES)
    return with_it - moved(SEALED_BYTES, SHARE_BYTES, 0)
