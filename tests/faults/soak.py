"""`make soak`: every fault, a table of what it did, and the same as JSON. Exits 1 unless it did nothing.

python -m tests.faults.soak --json build/soak.json [--only WORDS] [--times 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.faults.fault import Fault
from tests.faults.matrix import FAULTS
from tests.faults.trial import Verdict

_TRIAL_SECONDS: Final = 1800.0
_COLUMNS: Final = ("injected", "sums wrong", "inputs lost", "sessions stuck", "seconds")


async def soaked(fault: Fault, times: int) -> tuple[Verdict, float]:
    """Run a fault's trials and add up what they found; a trial that fails by itself counts as stuck."""
    found, started = Verdict(), time.monotonic()
    details = []
    for seed in range(1, times + 1):
        # The reader of a killed server's last words may still write them.
        with tempfile.TemporaryDirectory(prefix="secagg-soak-", ignore_cleanup_errors=True) as directory:
            try:
                async with asyncio.timeout(_TRIAL_SECONDS):
                    verdict = await fault.trial(Path(directory) / "trial", seed)
            except (AssertionError, TimeoutError, OSError, BaseExceptionGroup) as error:
                verdict = Verdict(stuck=1, detail=f"{type(error).__name__}: {error}")
        found.injected += verdict.injected
        found.wrong += verdict.wrong
        found.lost += verdict.lost
        found.stuck += verdict.stuck + (verdict.clean is False and not verdict.injected and not verdict.stuck)
        details.append(verdict.detail)
    found.detail = " | ".join(details)
    return found, time.monotonic() - started


def _row(name: str, cells: Sequence[object]) -> str:
    return f"{name:<52}" + "".join(f"{cell!s:>15}" for cell in cells)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Every fault of the network service, and what it did.")
    parser.add_argument("--json", type=Path, default=Path("build/soak.json"))
    parser.add_argument("--only", default="", help="only the faults whose name has these words")
    parser.add_argument("--times", type=int, default=0, help="trials of each fault, instead of its own number")
    chosen = parser.parse_args(words)
    records: list[dict[str, Any]] = []
    sys.stdout.write(_row("fault", _COLUMNS) + "\n")
    for fault in FAULTS:
        if chosen.only not in fault.name:
            continue
        if missing := fault.missing():
            sys.stdout.write(f"{fault.name}: SKIPPED: {missing}\n")
            continue
        times = chosen.times or fault.times
        found, seconds = asyncio.run(soaked(fault, times))
        records.append(
            {
                "fault": fault.name,
                "trials": times,
                "injected": found.injected,
                "sums_wrong": found.wrong,
                "inputs_lost": found.lost,
                "sessions_stuck": found.stuck,
                "seconds": round(seconds, 1),
                "detail": found.detail,
            }
        )
        cells = (found.injected, found.wrong, found.lost, found.stuck, f"{seconds:.1f}")
        sys.stdout.write(_row(fault.name, cells) + "\n")
        sys.stdout.flush()
    totals = [sum(each[key] for each in records) for key in ("injected", "sums_wrong", "inputs_lost", "sessions_stuck")]
    sys.stdout.write(_row("all", (*totals, f"{sum(each['seconds'] for each in records):.1f}")) + "\n")
    for each in records:
        if each["sums_wrong"] or each["inputs_lost"] or each["sessions_stuck"]:
            sys.stdout.write(f"{each['fault']}: {each['detail']}\n")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({"faults": records}, indent=1) + "\n", encoding="utf-8")
    return int(not records or any(totals[1:]))


if __name__ == "__main__":
    sys.exit(main())
