"""Suite `peers`: somebody else's secure aggregation on the same vectors, in its own environment, in the same run.

A peer is a script in bench/peers/ and a virtual environment that `make bench-peers` makes; it prints one JSON object.
Without its environment the rows are skipped, and say how to make it. Must not import a peer.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.rows import Better, Row, measured_row, skipped_row
from secagg.bench.sessions import made_up
from secagg.bench.targets import FLOWER_CLIENT, FLOWER_UNMASK
from secagg.errors import ParameterError
from secagg.parameters import ThreatModel
from secagg.parameters.graph_choice import complete_threshold

SUITE: Final = "peers"
FLOWER_UPLOAD: Final = "Flower SecAgg+, masked upload"
SCRIPT: Final = Path("bench/peers/flower_secaggplus.py")
_PYTHON: Final = Path("flower/bin/python")
_TIME_LIMIT: Final = 1800
_FIRST_NODE: Final = 1
_UNITS: Final = {FLOWER_CLIENT: "ms", FLOWER_UNMASK: "ms", FLOWER_UPLOAD: "bytes"}


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    clients, length, _ = shared.plan.flower
    seconds = 5 + shared.plan.repeats * clients**2 * length * 2e-8
    return (Benchmark("Flower SecAgg+", seconds, partial(_flower, shared)),)


def _flower(shared: Shared) -> list[Row]:
    python = shared.plan.peers / _PYTHON
    if not (python.exists() and SCRIPT.exists()):
        why = f"there is no {python}: run `make bench-peers` in a checkout of secagg, and the benchmarks from there"
        return _skipped(why)
    clients, length, lost = shared.plan.flower
    threshold = complete_threshold(clients, 0.1, max(0.1, lost / clients), ThreatModel.SEMI_HONEST)
    sizes = {"clients": clients, "threshold": threshold, "length": length, "lost": lost}
    try:
        measured = _run(python, {**sizes, "repeats": shared.plan.repeats})
    except ParameterError as error:
        return _skipped(str(error))
    if measured["vector_sha256"] != hashlib.sha256(made_up(length, _FIRST_NODE).tobytes()).hexdigest():
        return _skipped(f"{SCRIPT} made other vectors than ours; update it to this version of secagg")
    shares, collect = measured["shares_ms"], measured["collect_ms"]
    details = {**sizes, "largest_error": measured["largest_error"]}
    whole = tuple(one + other for one, other in zip(shares, collect, strict=True))
    return [
        measured_row(
            SUITE,
            FLOWER_CLIENT,
            _UNITS[FLOWER_CLIENT],
            Better.LESS,
            whole,
            details={**details, "shares_ms": shares[-1], "collect_ms": collect[-1]},
        ),
        measured_row(
            SUITE, FLOWER_UNMASK, _UNITS[FLOWER_UNMASK], Better.LESS, tuple(measured["unmask_ms"]), details=details
        ),
        measured_row(
            SUITE,
            FLOWER_UPLOAD,
            _UNITS[FLOWER_UPLOAD],
            Better.LESS,
            (float(measured["upload_bytes"]),),
            details=details,
        ),
    ]


def _skipped(why: str) -> list[Row]:
    """Rows that say why: a peer that does not run must not cost the run its other figures."""
    return [skipped_row(SUITE, name, unit, Better.LESS, why) for name, unit in _UNITS.items()]


def _run(python: Path, options: dict[str, int]) -> Any:
    words = [
        str(python),
        "-B",
        str(SCRIPT),
        *(part for name, value in options.items() for part in (f"--{name}", str(value))),
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=_TIME_LIMIT)  # noqa: S603
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", None) or str(error)
        last = str(said).strip().splitlines()[-1:]
        raise ParameterError(
            f"the peer in {python.parents[1]} failed ({' '.join(last)}); run `make bench-peers` again"
        ) from error
