"""`python -m fuzz.convert CRASHFILE TARGET [NAME]`: keep a crash as a case that the tests replay for good."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from fuzz.inputs import CASES
from fuzz.registry import TARGETS


def convert(crash: Path, target: str, name: str | None = None, root: Path = CASES) -> Path:
    """Copy a crash file to cases/TARGET/NAME and return that path; the name defaults to a digest of the input.

    Raises:
        ValueError: an unknown target, a name that is no plain file name, or one that is taken by another input.
    """
    if target not in TARGETS:
        raise ValueError(f"{target!r} is no target; there are {', '.join(TARGETS)}")
    data = crash.read_bytes()
    name = name or f"crash-{hashlib.sha256(data).hexdigest()[:12]}"
    place = root / target / name
    if Path(name).name != name:
        raise ValueError(f"{name!r} is no plain file name; leave out folders")
    if place.exists() and place.read_bytes() != data:
        raise ValueError(f"case {name!r} of {target} exists with another input; choose another name")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    if len(arguments) not in (2, 3):
        print("usage: python -m fuzz.convert CRASHFILE TARGET [NAME]", file=sys.stderr)
        return 2
    print(convert(Path(arguments[0]), arguments[1], "".join(arguments[2:]) or None))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
