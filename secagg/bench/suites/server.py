"""Suite `server`: a real server's whole session, its clients played by stand-ins (secagg.testing.standins)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.cost import SessionShape, server_cost
from secagg.bench.machine import usable_cores
from secagg.bench.plan import LIARS, LIARS_LENGTH, LiarsCase, ServerCase
from secagg.bench.published import CITATION, published_time
from secagg.bench.rows import Better, Row, Scalar, measured_row, skipped_row
from secagg.bench.sessions import Spent, fixed_point, run_session
from secagg.bench.targets import TWO_PROCESSES, unmask_name
from secagg.compute.processes import ProcessExecutor
from secagg.encoding.layout import Layout
from secagg.executor import Words
from secagg.parameters import SessionParameters, TopologyKind
from secagg.parameters.suite_ids import SuiteId
from secagg.protocol.messages import Round

SUITE: Final = "server"
_MILLI: Final = 1e-3
_UNIT: Final = "ms"
_SECONDS_PER_PAIR: Final = 3e-5
_SECONDS_PER_LOST_PAIR: Final = 3e-4
_PROCESSES: Final = 2


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    return (
        Benchmark("unmask", 3, partial(_unmask, shared)),
        *(
            Benchmark(case.name, _estimate(shared, case), partial(_server, shared, case))
            for case in shared.plan.servers
        ),
        Benchmark(
            TWO_PROCESSES + shared.plan.shared_out.name,
            2 * _estimate(shared, shared.plan.shared_out),
            partial(_two_processes, shared, shared.plan.shared_out),
        ),
        *(
            Benchmark(
                case.name,
                0.0 if case.long and shared.plan.quick else 0.05 * case.clients,
                partial(_liars, shared, case),
            )
            for case in shared.plan.liars
        ),
    )


def leaving(clients: int, count: int) -> list[int]:
    """Return `count` clients of 0 .. clients - 1, spread evenly."""
    return [index * clients // count for index in range(count)]


def shape_of(parameters: SessionParameters, lost: int) -> SessionShape:
    """Return the numbers of a session that `lost` clients leave."""
    return SessionShape(
        clients=parameters.clients,
        degree=parameters.topology.degree,
        threshold=parameters.threshold,
        layout=Layout.build(parameters.vectors, parameters.clients, parameters.max_weight),
        dropout=lost / parameters.clients,
        suite=parameters.suite,
    )


def details_of(parameters: SessionParameters, lost: int, spent: Spent) -> dict[str, Scalar]:
    """Return the sizes of a session, and where the server's time went, in milliseconds."""
    (_, spec), *_ = parameters.vectors
    return {
        "clients": parameters.clients,
        "degree": parameters.topology.degree,
        "threshold": parameters.threshold,
        "entries": spec.size,
        "lost": lost,
        **{f"{round_.value}_ms": taken / _MILLI for round_, taken in spent.server.items()},
        **{f"{stage.value}_ms": taken / _MILLI for stage, taken in spent.stages.items()},
    }


def rest_of(rounds: Mapping[Round, float], floor: float) -> str:
    """Say where a party's seconds go that its floor has not, and which rounds take longest."""
    whole = sum(rounds.values())
    longest = sorted(rounds, key=lambda round_: rounds[round_], reverse=True)[:2]
    named = " and ".join(f"{round_.value.replace('_', ' ')} {rounds[round_] / _MILLI:.0f} ms" for round_ in longest)
    return f"{(whole - floor) / _MILLI:.0f} ms are Python around messages, pairs and keys; longest are {named}"


def _unmask(shared: Shared) -> list[Row]:
    clients, length, lost = shared.plan.flower
    parameters = SessionParameters.choose(
        clients=clients,
        vectors=fixed_point(length),
        topology=TopologyKind.COMPLETE,
        max_dropout=max(0.1, lost / clients),
    )
    runs = [run_session(parameters.renew(), leaving=leaving(clients, lost)) for _ in range(max(3, shared.plan.repeats))]
    return [
        measured_row(
            SUITE,
            unmask_name(clients, length, lost),
            _UNIT,
            Better.LESS,
            tuple(run.server[Round.UNMASKING] / _MILLI for run in runs),
            details=details_of(parameters, lost, runs[-1]),
        )
    ]


def _liars(shared: Shared, case: LiarsCase) -> list[Row]:
    unit = "× honest"
    if case.long and shared.plan.quick:
        return [skipped_row(SUITE, case.name, unit, Better.LESS, "too long for a quick run")]
    parameters = SessionParameters.choose(
        clients=case.clients, vectors=fixed_point(LIARS_LENGTH), topology=case.topology, max_dropout=0.2
    )
    lying = leaving(case.clients, max(1, case.clients * LIARS // 100))
    if len(lying) > (parameters.topology.degree - parameters.threshold) // 2 and case.topology is TopologyKind.COMPLETE:
        return [skipped_row(SUITE, case.name, unit, Better.LESS, "too few shares of a secret to correct one")]
    ratios, last = [], (0.0, 0.0)
    for _ in range(shared.plan.repeats):
        honest, lied = (run_session(parameters.renew(), lying=some).server[Round.UNMASKING] for some in ((), lying))
        last = honest / _MILLI, lied / _MILLI
        ratios.append(lied / honest)
    details: dict[str, Scalar] = {
        "clients": case.clients,
        "degree": parameters.topology.degree,
        "threshold": parameters.threshold,
        "liars": len(lying),
        "honest_ms": last[0],
        "lied_to_ms": last[1],
    }
    return [measured_row(SUITE, case.name, unit, Better.LESS, tuple(ratios), details=details)]


def _estimate(shared: Shared, case: ServerCase) -> float:
    if case.long and shared.plan.quick:
        return 0.0
    lost = case.clients * case.dropped // 100
    sessions = 1 if case.long else shared.plan.repeats
    pairs = case.clients**2 * _SECONDS_PER_PAIR + lost * (case.clients - lost) * _SECONDS_PER_LOST_PAIR
    return 1 + sessions * pairs


def _server(shared: Shared, case: ServerCase) -> list[Row]:
    if case.long and shared.plan.quick:
        return [skipped_row(SUITE, case.name, _UNIT, Better.LESS, "too long for a quick run")]
    if case.suite is SuiteId.X25519_AEGIS128X2 and shared.rates.aegis is None:
        return [skipped_row(SUITE, case.name, _UNIT, Better.LESS, "pyaegis is not installed")]
    lost = case.clients * case.dropped // 100
    parameters = _parameters(case)
    sessions = 1 if case.long else shared.plan.repeats
    runs = [run_session(parameters.renew(), leaving=leaving(case.clients, lost)) for _ in range(sessions)]
    cost = server_cost(shape_of(parameters, lost), shared.rates)
    row = measured_row(
        SUITE,
        case.name,
        _UNIT,
        Better.LESS,
        tuple(run.server_seconds / _MILLI for run in runs),
        floor=cost.seconds / _MILLI,
        floor_name="operations and memory traffic alone",
        details={**details_of(parameters, lost, runs[-1]), **cost.parts_ms()},
        why=rest_of(runs[-1].server, cost.seconds),
    )
    published = published_time("server", case.clients, case.dropped)
    return [row if published is None else row.beside(published, CITATION)]


def _two_processes(shared: Shared, case: ServerCase) -> list[Row]:
    """The whole session in wall time, with one process and with two."""
    name, unit = TWO_PROCESSES + case.name, "ms"
    if case.long and shared.plan.quick:
        return [skipped_row(SUITE, name, unit, Better.LESS, "too long for a quick run")]
    if usable_cores() < _PROCESSES:
        return [skipped_row(SUITE, name, unit, Better.LESS, "this process may use one processor only")]
    parameters, lost = _parameters(case), case.clients * case.dropped // 100
    away = leaving(case.clients, lost)
    alone = run_session(parameters.renew(), leaving=away, clock=time.perf_counter)
    with ProcessExecutor(_PROCESSES) as executor:
        executor.run(_Nothing(), np.zeros(_PROCESSES, dtype=np.uint64), [range(n, n + 1) for n in range(_PROCESSES)])
        both = run_session(
            parameters.renew(), leaving=away, clock=time.perf_counter, server_options={"executor": executor}
        )
    row = measured_row(
        SUITE,
        name,
        unit,
        Better.LESS,
        (both.server_seconds / _MILLI,),
        details=details_of(parameters, lost, both),
    )
    return [row.beside(alone.server_seconds / _MILLI, "one process, both in wall time")]


@dataclass(frozen=True)
class _Nothing:
    """A job that is done at once: processes that did it have begun."""

    def start(self, target: Words) -> Callable[[range], None]:
        return lambda piece: None


def _parameters(case: ServerCase) -> SessionParameters:
    return SessionParameters.choose(
        clients=case.clients,
        vectors=fixed_point(case.length),
        topology=TopologyKind.COMPLETE,
        max_dropout=max(0.1, case.dropped / 100),
        suite=case.suite,
    )
