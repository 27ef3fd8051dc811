"""Suite `round`: one whole client, from the offer to the shares it reveals, among stand-ins and a real server."""

from __future__ import annotations

from functools import partial
from typing import Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.cost import SessionShape, client_cost
from secagg.bench.plan import ClientCase
from secagg.bench.published import CITATION, published_time
from secagg.bench.rows import Better, Row, Scalar, measured_row, skipped_row
from secagg.bench.sessions import Spent, fixed_point, run_session
from secagg.bench.suites.server import rest_of
from secagg.encoding.layout import Layout
from secagg.parameters import SessionParameters, TopologyKind

SUITE: Final = "round"
_MILLI: Final = 1e-3
_UNIT: Final = "ms"
_SECONDS_PER_PAIR: Final = 3e-5


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    return tuple(
        Benchmark(case.name, _estimate(shared, case), partial(_client, shared, case)) for case in shared.plan.clients
    )


def left_out(shared: Shared, long: bool) -> bool:
    """Whether a case is too long for this run."""
    return long and shared.plan.quick


def _estimate(shared: Shared, case: ClientCase) -> float:
    return 0.0 if left_out(shared, case.long) else 1 + shared.plan.repeats * case.clients**2 * _SECONDS_PER_PAIR


def _client(shared: Shared, case: ClientCase) -> list[Row]:
    if left_out(shared, case.long):
        return [skipped_row(SUITE, case.name, _UNIT, Better.LESS, "too long for a quick run")]
    runs = [_one_session(case) for _ in range(max(shared.plan.repeats, 3 if case.clients < 100 else 1))]
    parameters, client = _parameters(case), case.clients // 2
    rounds, cost = runs[-1].clients[client], client_cost(_shape(case), shared.rates)
    details: dict[str, Scalar] = {
        "clients": case.clients,
        "degree": parameters.topology.degree,
        "threshold": parameters.threshold,
        "entries": case.length,
        **{f"{round_.value}_ms": spent / _MILLI for round_, spent in rounds.items()},
        **cost.parts_ms(),
    }
    row = measured_row(
        SUITE,
        case.name,
        _UNIT,
        Better.LESS,
        tuple(run.client_seconds(client) / _MILLI for run in runs),
        floor=cost.seconds / _MILLI,
        floor_name="operations and memory traffic alone",
        details=details,
        why=rest_of(rounds, cost.seconds),
    )
    return [_with_paper(row, case)]


def client_milliseconds(case: ClientCase, sessions: int) -> tuple[float, ...]:
    """Play so many sessions; return the CPU time of one whole client in each."""
    return tuple(_one_session(case).client_seconds(case.clients // 2) / _MILLI for _ in range(sessions))


def _one_session(case: ClientCase) -> Spent:
    return run_session(_parameters(case), real=[case.clients // 2])


def _parameters(case: ClientCase) -> SessionParameters:
    return SessionParameters.choose(
        clients=case.clients, vectors=fixed_point(case.length), topology=TopologyKind.COMPLETE
    )


def _shape(case: ClientCase) -> SessionShape:
    parameters = _parameters(case)
    return SessionShape(
        clients=case.clients,
        degree=parameters.topology.degree,
        threshold=parameters.threshold,
        layout=Layout.build(parameters.vectors, parameters.clients, parameters.max_weight),
    )


def _with_paper(row: Row, case: ClientCase) -> Row:
    """Put the published time beside, where there is one and no target does it."""
    published = published_time("client", case.clients, 0)
    return row if published is None else row.beside(published, CITATION)
