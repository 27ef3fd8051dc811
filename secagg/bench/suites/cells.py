"""Suite `cells`: what cells cost a client and the server, as parts of what one session of all clients costs.

Both are run by turns in each sample, so that a machine's moods meet both alike.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.plan import CellsCase
from secagg.bench.rows import Better, Row, Scalar, measured_row, skipped_row
from secagg.bench.sessions import VECTOR, Spent, run_session
from secagg.bench.targets import CLIENT_IN_CELLS, SERVER_OF_CELLS, UPLOAD_IN_CELLS, cells_name
from secagg.parameters import SessionParameters, TopologyKind
from secagg.parameters.vectors import FixedPoint
from secagg.robust import CellRound, Partition

SUITE: Final = "cells"
_UNIT: Final = "× one session"
_MILLI: Final = 1e-3
_REAL: Final = 5
_SECONDS_PER_ENTRY: Final = 5e-6
_DIGEST: Final = bytes(32)


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    return tuple(
        Benchmark(case.name, _estimate(shared, case), partial(_cells, shared, case)) for case in shared.plan.cells
    )


def _estimate(shared: Shared, case: CellsCase) -> float:
    return 0.0 if case.long and shared.plan.quick else 0.2 + shared.plan.repeats * case.length * _SECONDS_PER_ENTRY


def _cells(shared: Shared, case: CellsCase) -> list[Row]:
    if case.long and shared.plan.quick:
        names = [cells_name(what, case) for what in (CLIENT_IN_CELLS, SERVER_OF_CELLS, UPLOAD_IN_CELLS)]
        return [skipped_row(SUITE, name, _UNIT, Better.LESS, "too long for a quick run") for name in names]
    vectors = {VECTOR: FixedPoint(case.length, clip=1.0, aggregate="mean")}
    whole = SessionParameters.choose(clients=case.clients, vectors=vectors, topology=TopologyKind.COMPLETE)
    partition = Partition.draw(case.clients, size=case.size, seed=_DIGEST)
    plan = CellRound(partition, vectors, model=_DIGEST, number=0)
    some = [index * case.clients // _REAL for index in range(_REAL)]
    alone: list[Spent] = []
    together: list[list[Spent]] = []
    for _ in range(shared.plan.repeats):
        alone.append(run_session(whole.renew(), real=some))
        cells = range(len(partition.cells))
        together.append([run_session(plan.parameters(cell), real=partition.cells[cell][:1]) for cell in cells])
    details: dict[str, Scalar] = {
        "clients": case.clients,
        "size": case.size,
        "cells": len(partition.cells),
        "entries": case.length,
    }
    figures = {
        CLIENT_IN_CELLS: ([_client(one) for one in alone], [median(map(_client, cells)) for cells in together]),
        SERVER_OF_CELLS: (
            [one.server_seconds for one in alone],
            [sum(one.server_seconds for one in cells) for cells in together],
        ),
        UPLOAD_IN_CELLS: ([_sent(one) for one in alone], [median(map(_sent, cells)) for cells in together]),
    }
    return [_row(case, what, one, many, details) for what, (one, many) in figures.items()]


def _row(case: CellsCase, what: str, one: list[float], many: list[float], details: dict[str, Scalar]) -> Row:
    unit, part = ("bytes", 1.0) if what == UPLOAD_IN_CELLS else ("ms", _MILLI)
    ratios = tuple(cells / whole for whole, cells in zip(one, many, strict=True))
    shown: dict[str, Scalar] = {f"one_session_{unit}": median(one) / part, f"cells_{unit}": median(many) / part}
    return measured_row(SUITE, cells_name(what, case), _UNIT, Better.LESS, ratios, details={**details, **shown})


def _client(spent: Spent) -> float:
    return median(map(spent.client_seconds, spent.clients))


def _sent(spent: Spent) -> float:
    return median(float(sum(rounds.values())) for rounds in spent.sent.values())
