"""`python -m fuzz.run [--seconds N] [--at-once N] [--record] [TARGET ...]`: fuzzes targets, by default one by one.

What libFuzzer prints goes to build/fuzz/<target>.log; with `--record` the figures come from there to figures.json and
into the table of README.md. New inputs stay in build/fuzz/corpus/. The exit code is 1 when a target crashed.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fuzz.inputs import CASES, CORPUS, FUZZ, MAX_LENGTH, cases, corpus
from fuzz.registry import TARGETS
from fuzz.table import update_readme
from fuzz.vector_seeds import TARGETS as VECTOR_TARGETS
from fuzz.vector_seeds import vector_seeds

FIGURES: Final = FUZZ / "figures.json"
BUILD: Final = FUZZ.parent / "build" / "fuzz"
_STATUS: Final = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_EXECUTED: Final = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)
_DONE: Final = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)
_CRASH: Final = re.compile(r"Test unit written to (\S+)")


class NoFiguresError(Exception):
    """A log without the lines that a finished run prints."""


def figures(log: str) -> dict[str, int]:
    """Return executions, seconds, coverage, features and corpus of a finished run, from what libFuzzer printed.

    Raises:
        NoFiguresError: the run did not finish.
    """
    status, done, executed = _STATUS.findall(log), _DONE.search(log), _EXECUTED.search(log)
    if not status or done is None or executed is None:
        raise NoFiguresError("the log has no figures of a finished run; read it to see why")
    _, coverage, features, inputs = (int(number) for number in status[-1])
    return {
        "executions": int(executed.group(1)),
        "seconds": int(done.group(2)),
        "coverage": coverage,
        "features": features,
        "corpus": inputs,
    }


def run(target: str, seconds: int) -> tuple[dict[str, int] | None, str]:
    """Fuzz one target; returns its figures (None after a crash) and its log."""
    found, crashes = BUILD / "corpus" / target, BUILD / "crashes" / target
    found.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fuzz.one", target, f"-max_total_time={seconds}", f"-max_len={MAX_LENGTH}"]
    command += ["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={crashes}/"]
    command += [str(found), str(CORPUS / target)]
    if cases(target):
        command.append(str(CASES / target))
    if target in VECTOR_TARGETS:
        command.append(str(_unpacked(target)))
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own arguments
        command, cwd=FUZZ.parent, capture_output=True, text=True, errors="replace", check=False
    )
    log = done.stdout + done.stderr
    (BUILD / f"{target}.log").write_text(log, encoding="utf-8")
    return (figures(log) if done.returncode == 0 else None), log


def _unpacked(target: str) -> Path:
    """Write the seeds from the vectors where libFuzzer can read them."""
    folder = BUILD / "vectors" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in vector_seeds(target).items():
        (folder / name).write_bytes(data)
    return folder


def record(target: str, measured: dict[str, int], place: Path = FIGURES) -> None:
    """Put a target's figures into the file of figures."""
    known = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    machine = f"CPython {platform.python_version()}, {platform.machine()}, atheris {version('atheris')}"
    seeds = len(corpus(target)) + (len(vector_seeds(target)) if target in VECTOR_TARGETS else 0)
    known[target] = measured | {"seeds": seeds, "machine": machine}
    ordered = {name: known[name] for name in TARGETS if name in known}
    place.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description="fuzz targets")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all ({', '.join(TARGETS)})")
    parser.add_argument("--seconds", type=int, default=60, help="seconds for each target (60)")
    parser.add_argument("--at-once", type=int, default=1, help="how many targets, each a process (1)")
    parser.add_argument("--record", action="store_true", help="write the figures of finished runs down")
    options = parser.parse_args(arguments)
    targets = options.targets or list(TARGETS)
    for target in targets:
        corpus(target)
    crashed = []
    with ThreadPoolExecutor(options.at_once) as pool:
        runs = pool.map(partial(run, seconds=options.seconds), targets)
        for target, (measured, log) in zip(targets, runs, strict=True):
            if measured is None:
                crashed.append(target)
                crash = _CRASH.search(log)
                print(f"{target}: CRASHED, see {BUILD / target}.log", flush=True)
                if crash:
                    print(f"  keep it: python -m fuzz.convert {crash.group(1)} {target}", flush=True)
                continue
            if options.record:
                record(target, measured)
                update_readme(FIGURES)
            shown = ", ".join(f"{number} {name}" for name, number in measured.items())
            print(f"{target}: {shown}", flush=True)
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
