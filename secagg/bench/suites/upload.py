"""Suite `upload`: a client's bytes on the wire over its entries as plain 16-bit numbers.

The paper counts what a client sends and receives, without the model; so both are given here. Computed from layouts
and message formats for any size, and for one size counted on a real client's messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.cost import SessionShape, bytes_received, bytes_sent, expansion
from secagg.bench.plan import UploadCase
from secagg.bench.published import CITATION, published_expansion
from secagg.bench.rows import Better, Row, Scalar, measured_row
from secagg.bench.sessions import fixed_point, run_session
from secagg.bench.targets import upload_name
from secagg.encoding.layout import Layout
from secagg.parameters import SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.graph_choice import choose_graph

SUITE: Final = "upload"
_UNIT: Final = "× plain"
_BITS: Final = 16


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    cases = shared.plan.uploads
    return (
        *(Benchmark(f"computed, {_sizes(case)}", 1, partial(_computed, case)) for case in cases),
        *(Benchmark(f"counted, {_sizes(case)}", 9, partial(_counted, case)) for case in cases if case.measured),
    )


def _sizes(case: UploadCase) -> str:
    return f"n={case.clients} d={case.length}"


def _computed(case: UploadCase) -> Iterator[Row]:
    for kind in (None, TopologyKind.COMPLETE):
        shape = _shape(case, kind)
        graph = "" if kind is None else ", complete graph"
        both = f"both directions over plain, {_sizes(case)}{graph}"
        yield _row(
            case, shape, upload_name(case.clients, case.length) + graph, expansion(shape, _BITS, both_ways=False)
        )
        row = _row(case, shape, both, expansion(shape, _BITS, both_ways=True))
        published = published_expansion(case.clients, case.length)
        yield row if published is None else row.beside(published, CITATION)


def _counted(case: UploadCase) -> Iterator[Row]:
    client = case.clients // 2
    parameters = SessionParameters.choose(clients=case.clients, vectors=fixed_point(case.length))
    spent = run_session(parameters, real=[client])
    sent, received = sum(spent.sent[client].values()), sum(spent.received[client].values())
    plain = case.length * _BITS / 8
    shape = _shape(case, None)
    for name, counted, computed in (
        ("upload over plain", sent, bytes_sent(shape)),
        ("both directions over plain", sent + received, bytes_sent(shape) + bytes_received(shape)),
    ):
        yield measured_row(
            SUITE,
            f"{name}, counted, {_sizes(case)}",
            _UNIT,
            Better.LESS,
            (counted / plain,),
            details={"bytes": counted, "computed_bytes": computed, "degree": parameters.topology.degree},
        )


def _row(case: UploadCase, shape: SessionShape, name: str, factor: float) -> Row:
    details: dict[str, Scalar] = {
        "clients": case.clients,
        "entries": case.length,
        "degree": shape.degree,
        "packed_bytes": shape.layout.packed_bytes,
    }
    floor = shape.layout.packed_bytes * 8 / (case.length * _BITS)
    return measured_row(
        SUITE,
        name,
        _UNIT,
        Better.LESS,
        (factor,),
        floor=floor,
        floor_name="the packed sum alone",
        details=details,
        why="keys and shares weigh as much as so short a vector",
    )


def _shape(case: UploadCase, kind: TopologyKind | None) -> SessionShape:
    choice = choose_graph(case.clients, 0.1, 0.1, ThreatModel.SEMI_HONEST, topology=kind)
    layout = Layout.build(fixed_point(case.length).items(), case.clients, 1)
    return SessionShape(case.clients, choice.degree, choice.threshold, layout)
