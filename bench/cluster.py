"""What a cluster of Ray gives: masks with one and with two workers on this machine, and what 64 cores would need.

    python -m bench.cluster --json bench/results/cluster.json --into docs/how_to/sizing.md

In an environment with Ray (`make ray-env`). The last rows are computed from what the first ones measured, and say so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

import secagg
from bench.pages import OWN_RUNS
from secagg.bench.blocks import write_into
from secagg.bench.cost import WORD_BYTES, Cost, SessionShape, server_cost
from secagg.bench.machine import describe_machine, load
from secagg.bench.measuring import in_turns
from secagg.bench.measuring import rates as per_second
from secagg.bench.rates import Rates, measure_rates
from secagg.bench.rows import Better, Report, Row, Scalar, measured_row, read_report, write_report
from secagg.bench.sessions import fixed_point
from secagg.bench.tables import machine_line
from secagg.compute.ray import RayExecutor
from secagg.crypto.prg import AesCtrPrg
from secagg.crypto.secret import SecretBytes
from secagg.encoding.layout import Layout
from secagg.executor import INLINE, Executor
from secagg.masking.engine import MAX_OPEN_STREAMS, MaskTerm, add_masks
from secagg.parameters import ThreatModel, TopologyKind
from secagg.parameters.graph_choice import choose_graph

SUITE: Final = "cluster"
WORKERS: Final = (1, 2)
COMPUTED: Final = "computed"
CORES: Final = 64
_GIGA: Final = 1e9
_WORDS: Final = 1 << 20
_MASKS: Final = 2 * MAX_OPEN_STREAMS
_CLIENTS: Final = 100_000
_LENGTH: Final = 1_000_000
_DROPPED: Final = 0.05
_PARALLEL: Final = ("masks", "agreements", "derivations")


def measure(words: int, masks: int, seconds: float, workers: Sequence[int] = WORKERS) -> list[Row]:
    """Masks that are added in wall time: in this thread, and by so many workers of a cluster."""
    prg = AesCtrPrg()
    terms = [MaskTerm(SecretBytes(os.urandom(prg.key_bytes)), negative=bool(n % 2)) for n in range(masks)]
    target, expected = np.zeros(words, dtype=np.uint64), np.zeros(words, dtype=np.uint64)
    add_masks(expected, terms, prg)
    amount = WORD_BYTES * words * masks / _GIGA
    with ExitStack() as stack:
        far = {count: stack.enter_context(RayExecutor(workers=count)) for count in workers}
        executors: dict[int, Executor] = {0: INLINE, **far}
        works: dict[str, Callable[[], None]] = {
            name_of(count): partial(add_masks, target, terms, prg, executor=executor)
            for count, executor in executors.items()
        }
        taken = in_turns(works, seconds, clock=time.perf_counter)
        for name, work in works.items():
            target.fill(0)
            work()
            if not np.array_equal(target, expected):
                raise AssertionError(f"{name} are not those of one thread")
        if trouble := "; ".join(executor.trouble for executor in far.values() if executor.trouble):
            raise AssertionError(trouble)
    samples = {count: per_second(taken[name_of(count)], amount) for count in executors}
    alone, sizes = median(samples[0]), {"words": words, "masks": masks}
    return [
        measured_row(SUITE, name_of(count), "GB/s", Better.MORE, taken, details={**sizes, "workers": count}).beside(
            alone, "this thread"
        )
        for count, taken in samples.items()
    ]


def name_of(workers: int) -> str:
    """Return the name of a measured row."""
    return (
        f"masks, {workers} worker{'s' if workers > 1 else ''} of Ray" if workers else "masks, the server's own thread"
    )


def computed(rows: Sequence[Row], rates: Rates) -> list[Row]:
    """The seconds of a large server on one core, and on CORES that are as good to each other as the workers here."""
    by_workers = {row.details["workers"]: row.measured or 0.0 for row in rows}
    most = max(int(str(workers)) for workers in by_workers)
    share = by_workers[most] / (most * by_workers[0])
    shape = large()
    cost = server_cost(shape, rates)
    parallel, alone = split(cost)
    moved = 2 * cost.mask_bytes / MAX_OPEN_STREAMS
    sizes: dict[str, Scalar] = {
        "clients": shape.clients,
        "degree": shape.degree,
        "threshold": shape.threshold,
        "entries": _LENGTH,
        "lost": shape.leaving,
        "share_of_a_core": share,
        "moved_bytes": moved,
        **cost.parts_ms(),
    }
    return [
        measured_row(SUITE, f"{COMPUTED}: {name}", "s", Better.LESS, (seconds,), details=sizes)
        for name, seconds in (
            ("one core, all of a server", parallel + alone),
            (f"{CORES} cores of a cluster, all of a server", parallel / (CORES * share) + alone),
            ("of that, in the server's own thread", alone),
        )
    ]


def large() -> SessionShape:
    """The session that nobody measures here."""
    choice = choose_graph(_CLIENTS, 0.1, _DROPPED, ThreatModel.SEMI_HONEST, topology=TopologyKind.SPARSE)
    layout = Layout.build(fixed_point(_LENGTH).items(), _CLIENTS, 1)
    return SessionShape(_CLIENTS, choice.degree, choice.threshold, layout, dropout=_DROPPED)


def split(cost: Cost) -> tuple[float, float]:
    """Seconds that a cluster shares out, and seconds that stay with the server."""
    shared_out = sum(cost.parts[name] for name in _PARALLEL)
    return shared_out, cost.seconds - shared_out


def table(report: Report) -> str:
    """The block of docs/how_to/sizing.md."""
    lines = ["| what | wall time | beside the server's own thread |", "|---|---:|---:|"]
    for row in report.rows:
        digits = 2 if row.unit == "GB/s" else 0
        ratio = "" if row.peer_ratio is None else f"{row.peer_ratio:.2f}"
        lines.append(f"| {row.name} | {row.measured:.{digits}f} {row.unit} | {ratio} |")
    last = report.rows[-1].details
    share, moved = float(str(last["share_of_a_core"])), float(str(last["moved_bytes"])) / _GIGA
    lines += [
        "",
        f"Computed, not measured: n = {last['clients']:,}, d = {last['entries']:,} entries of 16 bits, "
        f"{last['degree']} neighbours, {last['lost']:,} clients leave; the formula above at the rates "
        f"of this run, each core of the cluster worth {share:.2f} of the server's own thread. {moved:.0f} GB go "
        "through the network, both ways together.",
        "",
        machine_line(report),
    ]
    return "\n".join(lines)


def main(words: Sequence[str]) -> None:
    """Measure, write the results, and fill the page."""
    parser = argparse.ArgumentParser(description="Masks on a cluster of Ray.")
    parser.add_argument("--json", type=Path, default=Path("bench/results/cluster.json"))
    parser.add_argument("--into", type=Path, action="append", default=[], help="a page with <!-- bench: cluster -->")
    parser.add_argument("--seconds", type=float, default=30.0, help="for all numbers of workers together")
    parser.add_argument("--table-only", action="store_true", help="write the last figures into the pages")
    chosen = parser.parse_args(words)
    if not chosen.table_only:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        machine = dict(describe_machine())
        rates = replace(measure_rates(4.0), source="this run")
        rows = measure(_WORDS, _MASKS, chosen.seconds)
        machine |= {f"{name}_at_end": value for name, value in load().items()}
        write_report(Report(date, secagg.__version__, False, machine, (*rows, *computed(rows, rates))), chosen.json)
    report = read_report(chosen.json)
    for page in chosen.into:
        write_into(page, report, {"cluster": table}, OWN_RUNS)
    print(table(report))


if __name__ == "__main__":
    main(sys.argv[1:])
