"""Runs the command line in this process and gives back what it wrote, errors as JSON checked and taken off."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from secagg.cli.main import main


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> Outcome:
        code = main(words)
        captured = capsys.readouterr()
        out, err = captured.out, captured.err
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
