"""ProVerif says today what is recorded; only where `proverif` is on PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protocol_specs.proverif import running
from protocol_specs.proverif.__main__ import main
from protocol_specs.proverif.catalogue import MODELS
from protocol_specs.proverif.lemmas import Model, Verdict

HERE = running.installed()


@pytest.mark.slow
@pytest.mark.skipif(HERE is None, reason="`proverif` is not on PATH; results.json has what it said elsewhere")
@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_a_run_says_what_is_recorded(model: Model, tmp_path: Path) -> None:
    assert running.run(model, tmp_path) == running.load().results[model.name]


def test_the_models_are_written(tmp_path: Path) -> None:
    assert main([str(tmp_path / "models")]) == 0
    assert {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "models").iterdir()} == {
        name: model.text for name, model in MODELS.items()
    }


def stand_in(folder: Path, says: str) -> None:
    """Put a program `proverif` into a folder that says this, whatever it is asked."""
    program = folder / "proverif"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n", encoding="utf-8")
    program.chmod(0o755)


@pytest.fixture
def prover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_verdicts_are_read_from_the_lines_of_results(prover: Path) -> None:
    stand_in(
        prover,
        "Proverif 2.05. Cryptographic protocol verifier\n"
        "RESULT inj-event(X(a)) ==> inj-event(Y(a)) is false.\n"
        "RESULT (even event(X(a)) ==> event(Y(a)) is false.)\n"
        "RESULT not attacker(input_b[]) cannot be proved.\n"
        "Query not attacker(input_b[]) is true.",
    )
    assert running.version() == "2.05"
    result = running.run(MODELS["secrecy"], prover)
    assert result.verdicts == {
        "inj-event(X(a)) ==> inj-event(Y(a))": Verdict.FALSE,
        "not attacker(input_b[])": Verdict.UNKNOWN,
    }


def test_a_query_without_a_verdict_is_an_error(prover: Path) -> None:
    stand_in(prover, "Error: Syntax error.")
    with pytest.raises(running.ProverError, match=r"ProVerif has 0 verdicts on secrecy; .*Syntax error"):
        running.run(MODELS["secrecy"], prover)
    with pytest.raises(running.ProverError, match=r"`proverif -help` names no version"):
        running.version()


def test_without_proverif_a_run_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(running.ProverError, match=r"`proverif` is not on PATH; install ProVerif"):
        running.version()


def test_a_record_is_read_as_it_was_saved(tmp_path: Path) -> None:
    record = running.load()
    running.save(record, tmp_path / "results.json")
    assert running.load(tmp_path / "results.json") == record
    assert (tmp_path / "results.json").read_bytes() == running.RECORD.read_bytes()
