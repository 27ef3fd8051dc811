"""Suite `chosen`: one client of the experimental chosen graph, over one of the complete active graph.

The client is real, and its peers are insiders (secagg.testing.insiders); both graphs are measured in turn.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.plan import ChosenCase
from secagg.bench.rows import Better, Row, Scalar, measured_row, skipped_row
from secagg.bench.sessions import VECTOR, fixed_point, made_up
from secagg.bench.targets import CHOSEN_BYTES, CHOSEN_CLIENT, chosen_name
from secagg.crypto.randomness import SystemRandomSource
from secagg.encoding.layout import Layout
from secagg.parameters import SessionParameters, TopologyKind
from secagg.protocol.messages import SessionOffer
from secagg.session.client import ClientSession
from secagg.session.ledger import MemoryLedger
from secagg.session.simulation import SIMULATION_POLICY
from secagg.testing.insiders import Insiders
from secagg.wire.codec import encode_offer

SUITE: Final = "chosen"
_SECONDS_PER_CLIENT: Final = 3e-3
_KILO: Final = 1e3
_MANY: Final = 1000


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    case = shared.plan.chosen
    seconds = 0.0 if _left_out(shared) else 1 + shared.plan.repeats * case.clients * _SECONDS_PER_CLIENT
    return (Benchmark(chosen_name(CHOSEN_CLIENT, case), seconds, partial(_rows, shared)),)


def _left_out(shared: Shared) -> bool:
    return shared.plan.quick and shared.plan.chosen.clients >= _MANY


def _rows(shared: Shared) -> list[Row]:
    case = shared.plan.chosen
    if _left_out(shared):
        names = ((chosen_name(CHOSEN_CLIENT, case), "×"), (chosen_name(CHOSEN_BYTES, case), "kB"))
        return [skipped_row(SUITE, name, unit, Better.LESS, "too long for a quick run") for name, unit in names]
    times, sizes = [], []
    for _ in range(shared.plan.repeats):
        complete, _ = one_active_client(_parameters(case, TopologyKind.COMPLETE))
        chosen, beside = one_active_client(_parameters(case, TopologyKind.CHOSEN))
        times.append(chosen / complete)
        sizes.append(beside / _KILO)
    details: dict[str, Scalar] = {
        "clients": case.clients,
        "degree": case.degree,
        "threshold": case.threshold,
        "entries": case.length,
    }
    return [
        measured_row(SUITE, chosen_name(CHOSEN_CLIENT, case), "×", Better.LESS, tuple(times), details=details),
        measured_row(SUITE, chosen_name(CHOSEN_BYTES, case), "kB", Better.LESS, tuple(sizes), details=details),
    ]


def _parameters(case: ChosenCase, kind: TopologyKind) -> SessionParameters:
    drawn = kind is TopologyKind.CHOSEN
    return SessionParameters.choose(
        clients=case.clients,
        vectors=fixed_point(case.length),
        threat_model="active",
        topology=kind,
        degree=case.degree if drawn else None,
        threshold=case.threshold if drawn else None,
    )


def one_active_client(parameters: SessionParameters) -> tuple[float, int]:
    """CPU seconds of a client from the offer to the shares that it reveals, and bytes both ways beside its vector."""
    client = parameters.clients // 2
    insiders = Insiders(parameters, client, SystemRandomSource())
    offer = encode_offer(SessionOffer(parameters))
    moved = [len(offer)]
    values = {VECTOR: made_up(parameters.vectors[0][1].size, client)}
    start = time.process_time()
    session = ClientSession(
        offer,
        client,
        identity=insiders.identities[client],
        roster=insiders.roster,
        policy=SIMULATION_POLICY,
        ledger=MemoryLedger(ends_with_process=True),
    )
    session.set_input(values)
    spent = time.process_time() - start

    def ask(request: bytes) -> bytes:
        nonlocal spent
        start = time.process_time()
        answer = session.receive(request) or b""
        spent += time.process_time() - start
        moved.extend((len(request), len(answer)))
        return answer

    ask(insiders.share(ask(insiders.advertise())))
    ask(insiders.mask())
    ask(insiders.unmask(ask(insiders.confirm())))
    packed = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight).packed_bytes
    return spent, sum(moved) - packed
