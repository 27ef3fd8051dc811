"""Suite `hybrid`: what ML-KEM-768 beside X25519 costs a client and the server, over the same session without it.

All clients are real, in one process: stand-ins encapsulate nothing. Sessions of both suites are run in turn.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.plan import Leavers
from secagg.bench.rows import Better, Row, measured_row, skipped_row
from secagg.bench.sessions import VECTOR, fixed_point, made_up
from secagg.bench.targets import HYBRID_CLIENT, HYBRID_SERVER, hybrid_name
from secagg.parameters import SessionParameters, TopologyKind
from secagg.parameters.suite_ids import SuiteId
from secagg.protocol.messages import Round
from secagg.session.client import ClientSession
from secagg.session.server import ServerSession
from secagg.session.simulation import SIMULATION_POLICY

SUITE: Final = "hybrid"
_UNIT: Final = "×"
_SECONDS_PER_PAIR: Final = 8e-4
_MANY: Final = 100


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    clients, _, _ = shared.plan.hybrid
    seconds = 0.0 if _left_out(shared) else 1 + shared.plan.repeats * clients**2 * _SECONDS_PER_PAIR
    return tuple(
        Benchmark(hybrid_name(HYBRID_SERVER, *shared.plan.hybrid, leavers), seconds, partial(_ratios, shared, leavers))
        for leavers in Leavers
    )


def _left_out(shared: Shared) -> bool:
    return shared.plan.quick and shared.plan.hybrid[0] >= _MANY


def _ratios(shared: Shared, leavers: Leavers) -> list[Row]:
    clients, length, leaving = shared.plan.hybrid
    names = [hybrid_name(what, clients, length, leaving, leavers) for what in (HYBRID_CLIENT, HYBRID_SERVER)]
    if _left_out(shared):
        return [skipped_row(SUITE, name, _UNIT, Better.LESS, "too long for a quick run") for name in names]
    pairs = [
        (_spent(suite, *shared.plan.hybrid, leavers), _spent(SuiteId.X25519_AES128CTR, *shared.plan.hybrid, leavers))
        for suite in [SuiteId.X25519_MLKEM768_AES128CTR] * shared.plan.repeats
    ]
    return [
        measured_row(
            SUITE,
            name,
            _UNIT,
            Better.LESS,
            tuple(hybrid[place] / plain[place] for hybrid, plain in pairs),
            details={"clients": clients, "entries": length, "leaving": leaving},
        )
        for place, name in enumerate(names)
    ]


def _spent(suite: SuiteId, clients: int, length: int, leaving: int, leavers: Leavers) -> tuple[float, float]:
    """CPU seconds of one client and of the server in a whole session in which some leave after they shared keys."""
    parameters = SessionParameters.choose(
        clients=clients, vectors=fixed_point(length), topology=TopologyKind.COMPLETE, suite=suite
    )
    watched, gone = clients // 2, leavers.among(parameters.cohort, leaving)
    spent = {True: 0.0, False: 0.0}

    def since(start: float, *, server: bool) -> None:
        spent[server] += time.process_time() - start

    server = ServerSession(parameters)
    sessions = {}
    for client in parameters.cohort:
        start = time.process_time()
        sessions[client] = ClientSession(server.offer, client, policy=SIMULATION_POLICY)
        sessions[client].set_input({VECTOR: made_up(length, client)})
        if client == watched:
            since(start, server=False)
    while server.round is not None:
        masked = server.round is Round.MASKED_INPUT
        start = time.process_time()
        requests = dict(server.requests)
        since(start, server=True)
        for client, request in requests.items():
            if masked and client in gone:
                continue
            start = time.process_time()
            answer = sessions[client].receive(request) or b""
            if client == watched:
                since(start, server=False)
            start = time.process_time()
            server.receive(client, answer)
            since(start, server=True)
        start = time.process_time()
        server.close_round()
        since(start, server=True)
    return spent[False], spent[True]
