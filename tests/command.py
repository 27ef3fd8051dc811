"""Runs the command line in this process and gives back what it wrote, errors as JSON checked and taken off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from secagg.cli.main import main

_ON_ITS_WAY: Final = re.compile(
    r"asking \S+ for |joined a session of |waiting for |[a-z ]+: [\d.]+ \w+ (accepted|repeated|late)$"
    r"|[A-Z]\w+ failed \(.*\); again in |the session ended because of others; going on "
)


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


def without_progress(err: str) -> str:
    """Standard error without what a client says on its way, which is more on a busy machine."""
    return "".join(line for line in err.splitlines(keepends=True) if not _ON_ITS_WAY.match(line))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> Outcome:
        code = main(words)
        captured = capsys.readouterr()
        out, err = captured.out, without_progress(captured.err)
        before = words[: words.index("--")] if "--" in words else words
        if (
            "--json" in before
            and words[:2] not in (("bench", "run"), ("poisoning", "run"))
            and err.startswith("secagg: ")
        ):
            # For programs the same sentence, as the one object on standard output.
            said = err.splitlines()[-1].removeprefix("secagg: ")
            assert json.loads(out) == {"error": said, "exit_code": code}
            out = ""
        return Outcome(code, out, err)

    return call
