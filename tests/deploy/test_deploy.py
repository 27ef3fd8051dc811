"""The files of deploy/ fit the program: the example is a configuration, unit and image run commands that there are."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command

import secagg
from secagg.cli.main import application
from secagg.cli.service.offering import session_parameters
from secagg.cli.service.server_config import load_config
from tests.faults.files import roster_of

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"


class Repeated(configparser.RawConfigParser):
    """Reads a systemd unit, in which a key may stand twice."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit() -> configparser.RawConfigParser:
    parser = Repeated(strict=False)
    parser.read(DEPLOY / "secagg.service", encoding="utf-8")
    return parser


def options_of(words: list[str]) -> None:
    """Demand that a command line of `secagg` is one."""
    command = get_command(application())
    assert hasattr(command, "commands")
    known = {option for parameter in command.commands[words[0]].params for option in parameter.opts}
    assert {word for word in words[1:] if word.startswith("--")} <= known


def test_the_example_is_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(DEPLOY / "server.toml")
    (session,) = config.sessions
    assert config.storage.directory == Path("/var/lib/secagg")
    assert config.listen.certificate == DEPLOY / "tls/server.pem"
    parameters = session_parameters(session.model_copy(update={"context_file": None}), roster_of(tuple(range(50))))
    assert parameters.threat_model is secagg.ThreatModel.ACTIVE
    assert parameters.clients <= config.limits.clients


def test_the_unit_runs_what_there_is() -> None:
    service = unit()["Service"]
    for key in ("ExecStartPre", "ExecStart"):
        program, *words = shlex.split(service[key])
        assert Path(program).name == "secagg"
        options_of(words)
    assert service["StateDirectory"] == "secagg"  # /var/lib/secagg, the directory of the example
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"


def test_the_unit_hands_the_key_over_as_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    service = unit()["Service"]
    name, _, _ = service["LoadCredential"].partition(":")
    variable, _, value = service["Environment"].partition("=")
    monkeypatch.setenv(variable, value.replace("%d", str(tmp_path)))
    assert load_config(DEPLOY / "server.toml").listen.key == tmp_path / name


def test_the_image_copies_what_the_build_needs_and_starts_the_server() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    included = re.findall(r'^"([^"]+)/[^"/]*" = "secagg/', project, re.MULTILINE)
    assert {*included, "secagg", "pyproject.toml", "README.md", "LICENSE"} <= set(copied)
    (words,) = re.findall(r"^CMD \[(.*)\]$", text, re.MULTILINE)
    options_of([word.strip(' "') for word in words.split(",")])
    assert "\nUSER secagg\n" in text
