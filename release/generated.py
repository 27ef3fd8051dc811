"""What is committed although it is generated: made anew in a clone, and refused where it differs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from release.checks import status


@dataclass(frozen=True, slots=True)
class Generated:
    """Files that somebody has to make anew when their sources change.

    Attributes:
        what: they are, for a sentence.
        commands: make them, in the root of the repository; each one's words.
        remedy: what to run and commit.
    """

    what: str
    commands: tuple[tuple[str, ...], ...]
    remedy: str

    @property
    def programs(self) -> tuple[str, ...]:
        """What the commands need besides Python."""
        return tuple(dict.fromkeys(words[0] for words in self.commands if words[0] != sys.executable))


GENERATED: Final = (
    Generated(
        "the test vectors of the specification",
        ((sys.executable, "-m", "protocol_specs.generate_vectors"),),
        "make vectors",
    ),
    Generated("the stubs of protos/", (("make", "protos", f"PYTHON={sys.executable}"),), "make protos"),
    Generated(
        "the bundle of the survey's page",
        (
            ("npm", "ci", "--prefix", "clients/js", "--no-audit", "--no-fund", "--loglevel", "error"),
            ("node", "examples/survey/build.js"),
        ),
        "npm ci --prefix clients/js && node examples/survey/build.js",
    ),
)


def differences(clone: Path, generated: Sequence[Generated] = GENERATED) -> Iterator[str]:
    """Make everything anew in a clean clone, which that changes; yields a sentence for what came out otherwise."""
    before: set[str] = set()
    for each in generated:
        lacking = [program for program in each.programs if shutil.which(program) is None]
        if lacking:
            yield f"{each.what} cannot be made anew without {lacking[0]}; install it, or release on another machine"
            continue
        failed = _failed(clone, each)
        if failed:
            yield failed
            continue
        wrong = sorted(set(status(clone)) - before)
        before |= set(wrong)
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            yield f"{each.what} came out otherwise, {wrong[0]}{more}; run `{each.remedy}` and commit that"


def _failed(clone: Path, each: Generated) -> str:
    for words in each.commands:
        done = subprocess.run(words, cwd=clone, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            return f"{each.what} cannot be made anew: `{' '.join(words)}` fails: {' '.join(last)}"
    return ""
