"""The committed inputs: seeds in corpus/<target>/, crashes that were fixed in cases/<target>/."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fuzz.registry import TARGETS

FUZZ: Final = Path(__file__).parent
CORPUS: Final = FUZZ / "corpus"
CASES: Final = FUZZ / "cases"
MAX_LENGTH: Final = 16384
"""Bytes of an input; libFuzzer cuts longer ones."""


class NoInputError(Exception):
    """A target without a seed: a fuzzer that starts from nothing finds nothing, and a replay of nothing proves it."""


def corpus(target: str, root: Path = CORPUS) -> dict[str, bytes]:
    """Return a target's seeds by file name.

    Raises:
        NoInputError: an unknown target, or one without any seed.
    """
    if target not in TARGETS:
        raise NoInputError(f"{target!r} is no target; there are {', '.join(TARGETS)}")
    found = _files(root / target)
    if not found:
        raise NoInputError(f"target {target!r} has no seed in its corpus; run `python -m fuzz.seeds`")
    return found


def cases(target: str, root: Path = CASES) -> dict[str, bytes]:
    """Return a target's committed crash cases by file name; there may be none."""
    return _files(root / target)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}
