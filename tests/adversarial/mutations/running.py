"""Takes one mutation at a time into a copy of the library, and has the tests of its row judge it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.adversarial.mutations.mutation import Judges, Mutation

ROOT: Final = Path(__file__).resolve().parents[3]
_PASSED, _FAILED = 0, 1
_LIMIT_SECONDS: Final = 600.0


def run(rows: Sequence[str], mutations: Sequence[Mutation], judges: Callable[[str], Judges], jobs: int = 1) -> int:
    """Run the mutations of these rows, or all; returns how many are not proven.

    Args:
        rows: which; all when there are none.
        mutations: in the order of their rows.
        judges: the tests of a row.
        jobs: rows at once.
    """
    chosen = [mutation for mutation in mutations if not rows or mutation.row in rows]
    by_row = [tuple(group) for _, group in groupby(chosen, key=lambda mutation: mutation.row)]
    unproven = 0
    with ThreadPoolExecutor(jobs) as pool:
        judged = pool.map(lambda group: judge_row(group, judges(group[0].row)), by_row)
        for group, verdicts in zip(by_row, judged, strict=True):
            for mutation, verdict in zip(group, verdicts, strict=True):
                unproven += not verdict.startswith("killed")
                sys.stdout.write(f"{mutation.row}  {mutation.what}: {verdict}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{unproven} of {len(chosen)} not proven\n")
    return unproven


def judge_row(mutations: Sequence[Mutation], judged_by: Judges) -> list[str]:
    """What the tests of a row say about each of its mutations; they have to pass without any."""
    name = judged_by.environment
    python = ROOT / "build" / name / "bin" / "python" if name else Path(sys.executable)
    if not python.exists():
        return [f"UNPROVEN: there is no build/{name}; run make {name}-env"] * len(mutations)
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for entry in ROOT.iterdir():
            if entry.name in ("secagg", "tests"):
                shutil.copytree(entry, copy / entry.name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
            elif not entry.name.startswith("."):
                (copy / entry.name).symlink_to(entry)
        code, said = tested(copy, python, judged_by.words)
        if code != _PASSED:
            return [f"UNPROVEN: without the mutation {said}"] * len(mutations)
        return [judge(mutation, copy, python, judged_by.words) for mutation in mutations]


def judge(mutation: Mutation, copy: Path, python: Path, words: Sequence[str]) -> str:
    """What the row's tests say about a copy in which a mutation is put, and taken back."""
    before = {file: (copy / "secagg" / file).read_text(encoding="utf-8") for file, _, _ in mutation.edits}
    after = dict(before)
    for file, text, replacement in mutation.edits:
        if text not in after[file]:
            return f"TEXT NOT FOUND in {file}"
        after[file] = after[file].replace(text, replacement)
    for file, content in after.items():
        (copy / "secagg" / file).write_text(content, encoding="utf-8")
    code, said = tested(copy, python, words)
    for file, content in before.items():
        (copy / "secagg" / file).write_text(content, encoding="utf-8")
    if code == _FAILED:
        return f"killed by {said}"
    return "SURVIVED" if code == _PASSED else f"BROKEN: {said}"


def tested(copy: Path, python: Path, words: Sequence[str]) -> tuple[int, str]:
    """Run tests of a copy up to the first that fails; returns pytest's exit code and what it said."""
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-x",
        "--no-header",
        "--tb=no",
        "-rfE",
        "-p",
        "no:cacheprovider",
        *words,
    ]
    # The copy is the library for the commands that tests start, too; what it compiles serves the next mutation.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": ""}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=_LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return -1, f"the tests did not end within {_LIMIT_SECONDS:g} s"
    lines = done.stdout.splitlines()
    failed = [line.split("::", 1)[-1].split(" - ")[0] for line in lines if line.startswith("FAILED")]
    return done.returncode, failed[0] if failed else " ".join([*lines[-1:], *done.stderr.splitlines()[-1:]])
