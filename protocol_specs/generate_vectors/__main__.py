"""Writes all test vectors into `protocol_specs/vectors/`: `python -m protocol_specs.generate_vectors`.

With `--check` nothing is written: files that are not what would be written, or that nobody would write, are named, and
the exit status is 1. Must not know what the files are about.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from protocol_specs.generate_vectors.client_scripts import client_script_files
from protocol_specs.generate_vectors.files import render, write
from protocol_specs.generate_vectors.primitives import primitive_files
from protocol_specs.generate_vectors.requirements import requirements_file
from protocol_specs.generate_vectors.server_scripts import server_script_files
from protocol_specs.generate_vectors.sessions import session_files

VECTORS: Final = Path(__file__).parents[1] / "vectors"
BY_HAND: Final = frozenset({"schema.json"})
"""What stands in `vectors/` and is not generated."""


def all_files() -> dict[str, Mapping[str, Any]]:
    """Every generated document by its path below `vectors/`."""
    return {
        **requirements_file(),
        **primitive_files(),
        **client_script_files(),
        **server_script_files(),
        **session_files(),
    }


def differences(files: Mapping[str, Mapping[str, Any]], directory: Path = VECTORS) -> list[str]:
    """The paths of files that are missing, different, or not among these, in alphabetical order."""
    there = {path.relative_to(directory).as_posix() for path in directory.rglob("*.json")} - BY_HAND
    wrong = there - set(files)
    for name, document in files.items():
        if name not in there or (directory / name).read_bytes() != render(document).encode("utf-8"):
            wrong.add(name)
    return sorted(wrong)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m protocol_specs.generate_vectors", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and name the files that differ")
    check = parser.parse_args(arguments).check
    files = all_files()
    if not check:
        write(VECTORS, files)
        return 0
    wrong = differences(files)
    for name in wrong:
        sys.stderr.write(f"{name} is not what is generated\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
