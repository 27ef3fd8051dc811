"""Suite `browser`: the JavaScript client in a headless Chromium beside this library's own client, in the same run.

What is run is a script of the checkout, clients/js/bench/browser.js, which prints one JSON object. Without Node, its
packages or Chromium the rows are skipped, and say what is missing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from secagg.bench.benchmark import Benchmark, Shared
from secagg.bench.plan import ClientCase
from secagg.bench.rows import Better, Row, Scalar, measured_row, skipped_row
from secagg.bench.suites.whole_client import client_milliseconds
from secagg.bench.targets import browser_name
from secagg.errors import ParameterError

SUITE: Final = "browser"
PEER: Final = "this library's client"
_SCRIPT: Final = Path("bench/browser.js")
_PACKAGES: Final = Path("node_modules")
_UNIT: Final = "ms"
_REPEATS: Final = 5
_TIME_LIMIT: Final = 1800


def benchmarks(shared: Shared) -> tuple[Benchmark, ...]:
    """List the benchmarks of the suite."""
    return (Benchmark("Chromium", 0.0 if shared.plan.quick else 60.0, partial(_chromium, shared)),)


def _chromium(shared: Shared) -> list[Row]:
    clients, length, _ = shared.plan.flower
    case = ClientCase(clients, length)
    names = (browser_name("client", case), browser_name("longest input delay", case))
    repeats = max(shared.plan.repeats, _REPEATS)
    if shared.plan.quick:
        return _skipped(names, "too long for a quick run")
    try:
        own = client_milliseconds(case, repeats)
        measured = _run(shared.plan.browser, {"clients": clients, "length": length, "repeats": repeats})
        own += client_milliseconds(case, repeats)  # before and after: a machine's moods meet both alike
    except ParameterError as error:
        return _skipped(names, str(error))
    browser: dict[str, Scalar] = {"browser": measured["browser"], "clients": clients, "entries": length}
    spent: dict[str, Scalar] = {
        "first_ms": measured["first_ms"],
        **{f"wall_{step}_ms": milliseconds for step, milliseconds in measured["wall_ms"].items()},
    }
    client = measured_row(SUITE, names[0], _UNIT, Better.LESS, tuple(measured["cpu_ms"]), details={**browser, **spent})
    delay = measured_row(
        SUITE,
        names[1],
        _UNIT,
        Better.LESS,
        (measured["delay_ms"],),
        details={**browser, "keys": measured["keys"], "long_tasks": measured["long_tasks"]},
    )
    return [client.beside(median(own), PEER), delay]


def _skipped(names: Iterable[str], why: str) -> list[Row]:
    return [skipped_row(SUITE, name, _UNIT, Better.LESS, why) for name in names]


def _run(package: Path, options: dict[str, int]) -> Any:
    node, script = shutil.which("node"), package / _SCRIPT
    if node is None or not (script.exists() and (package / _PACKAGES).exists()):
        needs = "Node, and `npm ci --prefix clients/js` in a checkout of secagg"
        raise ParameterError(f"{script} needs {needs}; run the benchmarks from there")
    words = [node, str(script), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=_TIME_LIMIT)  # noqa: S603
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", None) or str(error)
        last = " ".join(str(said).strip().splitlines()[-1:])
        raise ParameterError(f"the client in a browser did not run: {last}") from error
