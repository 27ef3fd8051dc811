"""What docs/privacy.md tells a newcomer: its program runs, and its figures are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secagg.errors import ParameterError
from secagg.privacy import Plan
from secagg.privacy.gaussian import calibrate, right_guesses
from secagg.privacy.statement import word_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")


def the_program() -> str:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(program)


ACTIVE = (', threat_model="active"', 'threat_model="active", ', ", identity=keys[c]", ", roster=roster")


@pytest.mark.parametrize("model", ["active", "semi-honest"])
def test_the_program_runs_in_both_models(model: str) -> None:
    program = the_program()
    if model == "semi-honest":
        for words in ACTIVE:
            assert words in program
            program = program.replace(words, "")
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "epsilon = 4 at delta = 1e-06 (good), against the server" in done.stdout
    assert ("even one that lies" in done.stdout) is (model == "active")
    assert done.stdout.endswith(" 19\n")  # contributors: client 3 is gone


def test_the_program_passes_a_strict_type_checker(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(the_program(), encoding="utf-8")
    words = ("--strict", "--config-file=", "--python-version=3.11", str(tmp_path / "program.py"))
    done = subprocess.run([sys.executable, "-m", "mypy", *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def cells(first: str) -> list[str]:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {first}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_what_an_epsilon_means() -> None:
    epsilons = [float(cell) for cell in cells("ε |")]
    assert len(epsilons) == 7
    assert [int(cell) for cell in cells("right in at most")] == [right_guesses(calibrate(e, 1e-6)) for e in epsilons]
    assert cells("word in statements") == [word_of(epsilon) for epsilon in epsilons]


def test_where_epsilon_ends() -> None:
    assert "about 31 at δ = 10⁻⁶, a hundred clients and a million entries" in PAGE
    terms: dict[str, Any] = {"arrays": {"w": (1000, 1000)}, "clip": 1.0, "delta": 1e-6, "clients": 100}
    assert Plan.choose(epsilon=31.0, **terms).statement.epsilon == 31.0
    with pytest.raises(ParameterError, match=r"take a larger delta or a smaller epsilon$"):
        Plan.choose(epsilon=32.0, **terms)
