"""Completion: the scripts that shells take, and what the command answers to each of them. Bash completes for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PYTHON: Final = Path(sys.executable)
SCRIPTS: Final = {
    "bash": ("complete -o default -F _secagg_completion secagg", "_SECAGG_COMPLETE=complete_bash"),
    "zsh": ("#compdef secagg", "_SECAGG_COMPLETE=complete_zsh"),
    "fish": ("complete --command secagg", "_SECAGG_COMPLETE=complete_fish"),
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with `secagg`, whatever is installed."""
    program = tmp_path / "secagg"
    program.write_text(f'#!/bin/sh\nexec "{PYTHON}" -m secagg.cli.main "$@"\n')
    program.chmod(0o755)
    return tmp_path


def said(*words: str, programs: Path, **variables: str) -> str:
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(programs), **variables}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_shell_gets_its_script(shell: str, programs: Path) -> None:
    # Which shell asks cannot be found out where it is not installed; typer has this switch for its own tests.
    undetected = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = said("secagg", "--show-completion", shell, programs=programs, **undetected)
    assert [part for part in SCRIPTS[shell] if part not in script] == []


@pytest.mark.parametrize(
    ("variables", "answer"),
    [
        ({"COMP_WORDS": "secagg sim", "COMP_CWORD": "1", "_SECAGG_COMPLETE": "complete_bash"}, "simulate\n"),
        ({"COMP_WORDS": "secagg session l", "COMP_CWORD": "2", "_SECAGG_COMPLETE": "complete_bash"}, "list\n"),
        (
            {"_TYPER_COMPLETE_ARGS": "secagg params --thre", "_SECAGG_COMPLETE": "complete_zsh"},
            '"--threat-model":"What',
        ),
        (
            {
                "_TYPER_COMPLETE_ARGS": "secagg key",
                "_SECAGG_COMPLETE": "complete_fish",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            "keygen\tMake an identity key.",
        ),
    ],
    ids=["bash, a command", "bash, in a group", "zsh, an option", "fish, with help"],
)
def test_what_was_begun_is_completed(variables: dict[str, str], answer: str, programs: Path) -> None:
    assert answer in said("secagg", programs=programs, **variables)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_with_the_script_that_was_shown(programs: Path) -> None:
    line = (
        'eval "$(secagg --show-completion)"; COMP_WORDS=(secagg verify); COMP_CWORD=1;'
        ' _secagg_completion secagg; echo "${COMPREPLY[*]}"'
    )
    assert said("bash", "-c", line, programs=programs) == "verify-blame\n"
