"""A small report, and the command line in this process."""

from __future__ import annotations

from collections.abc import Mapping

from secagg.bench.rows import Better, Report, Row, Scalar, measured_row
from tests.command import run as run

MACHINE: Mapping[str, Scalar] = {
    "processor": "a processor",
    "cores": 2,
    "python": "CPython 3",
    "numpy": "2",
    "load_1min": 0.5,
}


def report_of(*rows: Row) -> Report:
    return Report("2026-01-02T03:04:05+00:00", "9.9", False, MACHINE, rows)


def time_row(name: str, *milliseconds: float, suite: str = "server") -> Row:
    return measured_row(suite, name, "ms", Better.LESS, milliseconds)
