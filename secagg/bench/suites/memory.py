"""Suite `memory`: what the server holds for vectors at its peak, in session vectors, and whether clients add to it.

A session vector holds as many entries in a word as the sum allows: two of 16 bits for cohorts of 33 to 65 536. The
released sum is 8 bytes an entry, which is then twice the session vector. Two sessions that differ in their length
give the bytes per word and the constant; two that differ in their cohort give the bytes per client. Traced by the
simulation (SimulationReport.server_peak_bytes). What the server keeps of shares, two sessions of short vectors tell
in complete graphs: the bytes per sealed pair, one for each client and neighbour. Of a hybrid suite it is the round in
which parcels are taken and handed out, with what stays of them in memory and in a file; their bytes are random, which
only their receivers could tell.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from functools import partial
from typing import Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.rows import Better, Row, measured_row
from secagg.bench.sessions import VECTOR, fixed_point, made_up, run_session
from secagg.bench.targets import PEAK, PER_PAIR
from secagg.crypto.kem import SHARED_BYTES
from secagg.errors import InternalError
from secagg.parameters import ClientId, SessionParameters, TopologyKind
from secagg.parameters.suite_ids import SuiteId
from secagg.protocol.context import Spool, in_memory
from secagg.protocol.messages import DOWNWARDS_BYTES, UPWARDS_BYTES, Round, ShareKeysResponse
from secagg.session.client import ClientSession
from secagg.session.server import ServerSession
from secagg.session.simulation import SIMULATION_POLICY, simulate
from secagg.store.spool import FileSpool
from secagg.wire.codec import decode_server_message, encode

SUITE: Final = "memory"
PER_CLIENT: Final = "peak of the server, bytes per further client"
CONSTANT: Final = "peak of the server, constant part"
PARCEL_KEPT: Final = "server, bytes per sealed pair of suite 0x0101, what stays in memory"
PARCEL_SPOOLED: Final = "server, bytes per sealed pair of suite 0x0101, what stays in a file"
_DEGREE: Final = 4
_THRESHOLD: Final = 2
_SECONDS_PER_ENTRY: Final = 8e-8
_SECONDS_PER_PAIR: Final = 2e-5
_SECONDS_PER_PARCEL: Final = 1e-4
_SHORT: Final = 100


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    plan = shared.plan
    few, many = plan.memory_clients
    entries = few * sum(plan.memory_lengths) + many * plan.memory_lengths[0]
    return (
        Benchmark("peak", 2 + entries * _SECONDS_PER_ENTRY, partial(_peak, shared)),
        Benchmark("pairs", plan.pair_clients[1] ** 2 * _SECONDS_PER_PAIR, partial(_pairs, *plan.pair_clients)),
        Benchmark("parcels", plan.parcel_clients**2 * _SECONDS_PER_PARCEL, partial(_parcels, plan.parcel_clients)),
    )


def _peak(shared: Shared) -> Iterator[Row]:
    (short, long), (few, many) = shared.plan.memory_lengths, shared.plan.memory_clients
    small, vector = _traced(few, short)
    larger, larger_vector = _traced(few, long)
    crowded, crowded_vector = _traced(many, short)
    vectors = round((larger - small) / (larger_vector - vector), 2)  # allocators round to pages
    constant = small - vectors * vector
    details = {"clients": few, "entries": long, "peak_bytes": larger, "session_vector_bytes": larger_vector}
    yield measured_row(SUITE, PEAK, "session vectors", Better.LESS, (vectors,), details=details)
    yield measured_row(SUITE, CONSTANT, "MiB", Better.LESS, (constant / 2**20,), details={"entries": short})
    # A larger cohort needs wider fields, so its session vector may be longer: that is no memory per client.
    growth = crowded - small - vectors * (crowded_vector - vector)
    details = {"from_clients": few, "to_clients": many, "entries": short, "peak_bytes": crowded}
    yield measured_row(SUITE, PER_CLIENT, "bytes", Better.LESS, (growth / (many - few),), details=details)


def _pairs(few: int, many: int) -> list[Row]:
    """What a sealed pair costs: the difference of two cohorts, in which the buffers of all sessions drop out."""
    peaks = [
        run_session(
            SessionParameters.choose(clients=clients, vectors=fixed_point(_SHORT), topology=TopologyKind.COMPLETE),
            trace_memory=True,
        ).peak_bytes
        for clients in (few, many)
    ]
    per_pair = (peaks[1] - peaks[0]) / (many * (many - 1) - few * (few - 1))
    details = {"from_clients": few, "to_clients": many, "entries": _SHORT, "peak_bytes": peaks[1]}
    return [measured_row(SUITE, PER_PAIR, "bytes", Better.LESS, (per_pair,), details=details)]


def _parcels(clients: int) -> Iterator[Row]:
    for name, spool in ((PARCEL_KEPT, in_memory), (PARCEL_SPOOLED, FileSpool())):
        peak = _peak_of_parcels(clients, spool)
        details = {"clients": clients, "peak_bytes": peak}
        yield measured_row(SUITE, name, "bytes", Better.LESS, (peak / (clients * (clients - 1)),), details=details)


def _peak_of_parcels(clients: int, spool: Spool) -> int:
    """What the server allocates while it takes all parcels and hands them out, one at a time."""
    parameters = SessionParameters.choose(
        clients=clients,
        vectors=fixed_point(_SHORT),
        topology=TopologyKind.COMPLETE,
        suite=SuiteId.X25519_MLKEM768_AES128CTR,
    )
    server = ServerSession(parameters, spool=spool)
    for client, request in dict(server.requests).items():
        answer = ClientSession(server.offer, client, policy=SIMULATION_POLICY).receive(request)
        server.receive(client, answer or b"")
    server.close_round()
    session = decode_server_message(server.requests[parameters.cohort[0]]).session
    tracemalloc.start()
    try:
        for client in parameters.cohort:
            server.receive(client, encode(ShareKeysResponse(session, _made_up_parcels(client, parameters.cohort))))
        server.close_round()
        asked = sum(len(request) > (clients - 1) * DOWNWARDS_BYTES for request in server.requests.values())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if (server.round, asked) != (Round.MASKED_INPUT, clients):
        raise InternalError("the traced session did not hand out the parcels that it took")
    return peak


def _made_up_parcels(sender: ClientId, cohort: tuple[ClientId, ...]) -> tuple[tuple[ClientId, bytes], ...]:
    return tuple(
        (to, os.urandom(UPWARDS_BYTES + SHARED_BYTES if sender < to else DOWNWARDS_BYTES))
        for to in cohort
        if to != sender
    )


def _traced(clients: int, length: int) -> tuple[int, int]:
    """Return the server's peak for vectors and the length of its session vector, in bytes."""
    parameters = SessionParameters.choose(
        clients=clients,
        vectors=fixed_point(length),
        topology=TopologyKind.SPARSE,
        degree=min(_DEGREE, clients - 1),
        threshold=_THRESHOLD,
    )
    values = {VECTOR: made_up(length, 0)}
    report = simulate(parameters, [values] * clients, measure_memory=True).report
    if report.server_peak_bytes is None or not report.exact:
        raise InternalError("the traced session released another sum than that of its inputs")
    return report.server_peak_bytes, report.session_vector_bytes
