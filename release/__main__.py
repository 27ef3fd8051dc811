"""Makes a release of the last commit: `python -m release`.

Refuses a tree that is no release, with one sentence for each reason. Else it makes everything that is generated anew in
a clone of its own, builds the packages of that clone, has twine check them, tries the wheels in a new environment, and
writes packages and checksums. `--tag` tags the commit. Uploads nothing: that is done by hand, with what was tried.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from release.checks import ReleaseError, git, refusals, version_of
from release.generated import differences
from release.packages import SUMS, build, check, require_empty, smoke_test, write_sums

ROOT: Final = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None, tree: Path = ROOT) -> int:
    """Run from the command line; returns the exit status: 1 where a release is refused."""
    parser = argparse.ArgumentParser(prog="python -m release", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="a new folder for the packages; build/release/VERSION unless given")
    parser.add_argument("--check", action="store_true", help="build nothing: only say what is against a release")
    parser.add_argument("--tag", action="store_true", help="tag the commit at the end; signed if git's tag.gpgSign is")
    chosen = parser.parse_args(arguments)
    try:
        out = (chosen.out or tree / "build" / "release" / version_of(tree)).absolute()
        if not chosen.check:
            require_empty(out)
        found = refusals(tree)
        if not found:
            with tempfile.TemporaryDirectory() as directory:
                clone = Path(directory) / "secagg"
                git(tree, "clone", "--quiet", "--no-hardlinks", str(tree), str(clone))
                _said("making anew what is generated")
                found = [*differences(clone)]
        for sentence in found:
            _said(sentence)
        if not found and not chosen.check:
            _release(tree, out, tag=chosen.tag)
    except ReleaseError as error:
        _said(str(error))
        return 1
    return 1 if found else 0


def _release(tree: Path, out: Path, *, tag: bool) -> None:
    version = version_of(tree)
    out.parent.mkdir(parents=True, exist_ok=True)
    # What is not tried yet, or fails, never lies where somebody uploads from: the folder gets its name at the end.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".") as directory:
        clone, made = Path(directory) / "secagg", Path(directory) / "packages"
        git(tree, "clone", "--quiet", "--no-hardlinks", str(tree), str(clone))
        _said("building")
        packages = build(clone, made)
        _said("checking and trying")
        check(packages)
        smoke_test(packages, version)
        write_sums(packages)
        made.rename(out)
    if tag and not git(tree, "tag", "--list", f"v{version}"):
        git(tree, "tag", "--annotate", f"v{version}", "--message", f"secagg {version}")
    for path in (*packages, made / SUMS):
        sys.stdout.write(f"{out / path.name}\n")


def _said(sentence: str) -> None:
    sys.stderr.write(f"release: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
