"""Suite `scaling`: what a server costs as clients, entries or dropouts grow, with the exponent of each growth.

Clients: SecAgg+ cohorts with the degree that the calculator chooses. The exponent is the slope of the least-squares
line through the logarithms. Rows carry the series that they belong to, for the plots. Cohorts: the same with short
vectors and up to very many clients, played by a process of their own, so that what the server's process holds is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from secagg.bench.apart import forget_peak, peak
from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.cost import server_cost
from secagg.bench.plan import FULL, HUGE_DROPPED, HUGE_LENGTH, SCALING_CORRUPT, SCALING_DROPOUT, short
from secagg.bench.rows import Better, Row, Scalar, measured_row, skipped_row
from secagg.bench.sessions import fixed_point, run_session
from secagg.bench.suites.server import details_of, leaving, rest_of, shape_of
from secagg.bench.targets import exponent_name, scaling_name
from secagg.errors import ParameterError
from secagg.parameters import SessionParameters, TopologyKind

SUITE: Final = "scaling"
CLIENTS: Final = "clients"
LENGTH: Final = "entries"
DROPPED: Final = "dropped"
COHORTS: Final = "cohorts"
SERIES: Final = (CLIENTS, COHORTS, LENGTH, DROPPED)
EXPONENT_OF_PAIRS: Final = "exponent of the server's cost against clients times degree"
_MILLI: Final = 1e-3
_UNIT: Final = "ms"
_CLIENTS_OF_SERIES: Final = 100
_DROPPED_OF_LENGTHS: Final = 10
_SECONDS_PER_CLIENT: Final = 0.006


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    plan = shared.plan
    counts, lengths, dropped = plan.scaling_clients, plan.scaling_lengths, plan.scaling_dropped
    return (
        *(_benchmark(shared, CLIENTS, n, n, plan.scaling_length, round(100 * SCALING_DROPOUT)) for n in counts),
        Benchmark("exponent of clients", 0.1, partial(_exponent, shared, CLIENTS, FULL.scaling_clients)),
        *(_benchmark(shared, COHORTS, n, n, HUGE_LENGTH, HUGE_DROPPED) for n in plan.huge),
        *([Benchmark("exponent of cohorts", 0.1, partial(_exponent, shared, COHORTS, ()))] if plan.huge else []),
        *(_benchmark(shared, LENGTH, d, _CLIENTS_OF_SERIES, d, _DROPPED_OF_LENGTHS) for d in lengths),
        Benchmark("exponent of entries", 0.1, partial(_exponent, shared, LENGTH, ())),
        *(_benchmark(shared, DROPPED, share, _CLIENTS_OF_SERIES, plan.scaling_length, share) for share in dropped),
    )


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the slope of log(cost) against log(size); None for fewer than two sizes or costs that are not above 0."""
    logs = [(math.log(size), math.log(cost)) for size, cost in points if size > 0 and cost > 0]
    if len({size for size, _ in logs}) < 2:
        return None
    mean_size = sum(size for size, _ in logs) / len(logs)
    mean_cost = sum(cost for _, cost in logs) / len(logs)
    spread = sum((size - mean_size) ** 2 for size, _ in logs)
    return sum((size - mean_size) * (cost - mean_cost) for size, cost in logs) / spread


def series_of(rows: Iterable[Row], series: str) -> list[Row]:
    """Return the measured points of a series, ascending."""
    points = [row for row in rows if row.suite == SUITE and row.details.get("series") == series and "at" in row.details]
    return sorted((row for row in points if row.measured is not None), key=at_of)


def at_of(row: Row) -> float:
    """Return where a row stands in its series."""
    return float(str(row.details["at"]))


def _pairs_of(row: Row) -> float:
    return float(str(row.details["clients"])) * float(str(row.details["degree"]))


def _benchmark(shared: Shared, series: str, at: int, clients: int, length: int, dropped: int) -> Benchmark:
    name = scaling_name(series, clients, length, dropped)
    seconds = 1 + clients * _SECONDS_PER_CLIENT * (1 + length / 1e6)
    run: Callable[[], list[Row]] = partial(_server, shared, name, series, at, clients, length, dropped)
    return Benchmark(name, seconds, run)


def _server(shared: Shared, name: str, series: str, at: int, clients: int, length: int, dropped: int) -> list[Row]:
    lost = clients * dropped // 100
    try:
        parameters = SessionParameters.choose(
            clients=clients,
            vectors=fixed_point(length),
            topology=TopologyKind.SPARSE,
            max_corrupt=SCALING_CORRUPT,
            max_dropout=max(SCALING_DROPOUT, dropped / 100),
        )
    except ParameterError as error:
        return [skipped_row(SUITE, name, _UNIT, Better.LESS, str(error))]
    apart = series == COHORTS
    before = forget_peak() if apart else None
    spent = [
        run_session(parameters.renew(), leaving=leaving(clients, lost), apart=apart)
        for _ in range(1 if apart else _repeats(shared, clients))
    ]
    degree = parameters.topology.degree
    memory = [] if before is None else [_memory(clients, clients * degree, peak() - before)]
    floor = server_cost(shape_of(parameters, lost), shared.rates).seconds
    return [
        measured_row(
            SUITE,
            name,
            _UNIT,
            Better.LESS,
            tuple(run.server_seconds / _MILLI for run in spent),
            floor=floor / _MILLI,
            floor_name="operations and memory traffic alone",
            details={"series": series, "at": at, **details_of(parameters, lost, spent[-1])},
            why=rest_of(spent[-1].server, floor),
        ),
        *memory,
    ]


def _memory(clients: int, pairs: int, size: int) -> Row:
    details = {"clients": clients, "sealed_pairs": pairs, "bytes_per_pair": size / pairs}
    return measured_row(SUITE, memory_name(clients), "MiB", Better.LESS, (size / 2**20,), details=details)


def memory_name(clients: int) -> str:
    """Return the name of the row of what a server's process held at its peak, above what it was before."""
    return f"memory by cohorts: server's process at its peak, n={clients} d={short(HUGE_LENGTH)}"


def _repeats(shared: Shared, clients: int) -> int:
    return 3 if clients < 1000 else shared.plan.repeats if clients < 10_000 else 1


def _exponent(shared: Shared, series: str, wanted: Sequence[int]) -> Iterator[Row]:
    """Fit the points that were measured; a target's range that they do not span is a row that says so."""
    points = [(at_of(row), row.measured or 0.0) for row in series_of(shared.rows, series)]
    sizes = sorted({int(size) for size, _ in points})
    found = exponent(points)
    if found is not None:
        name = exponent_name(series, sizes[0], sizes[-1])
        details: dict[str, Scalar] = {"from": sizes[0], "to": sizes[-1], "points": len(points)}
        yield measured_row(SUITE, name, "exponent", Better.LESS, (found,), details=details)
    by_pairs = exponent([(_pairs_of(row), row.measured or 0.0) for row in series_of(shared.rows, series)])
    if series == CLIENTS and by_pairs is not None:
        yield measured_row(SUITE, EXPONENT_OF_PAIRS, "exponent", Better.LESS, (by_pairs,))
    if wanted and (not sizes or (sizes[0], sizes[-1]) != (min(wanted), max(wanted))):
        name = exponent_name(series, min(wanted), max(wanted))
        why = "the largest cohorts are too long for a quick run" if shared.plan.quick else "not all sizes were measured"
        yield skipped_row(SUITE, name, "exponent", Better.LESS, why)
