"""`secagg serve --example`: every key of the settings, as they hold, in a file that a server takes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from secagg.cli.service import server_settings
from secagg.cli.service.example import example
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.server_settings import FixedPointSettings, IntegersSettings
from tests.cli.deployment import Deployment
from tests.command import Run

TEXT = example(ServerConfig)
WHOLE = re.sub(r"^#(?! )", "", TEXT, flags=re.MULTILINE)


def test_what_is_set_starts_a_server_as_soon_as_the_files_are_there(run: Run, tmp_path: Path) -> None:
    site = Deployment(tmp_path, tuple(range(5)))
    path = site / "server.toml"
    path.write_text(run("serve", "--example").out, encoding="utf-8")
    checked = run("serve", "--config", str(path), "--check", "--json")
    assert (checked.code, checked.err) == (0, "")
    assert json.loads(checked.out) == {"sessions": ["round-1"], "warnings": []}


def test_without_the_files_the_check_says_which_are_missing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text(TEXT, encoding="utf-8")
    checked = run("serve", "--config", str(path), "--check")
    assert checked.code == 2
    for name in ("server.pem", "roster.json", "operator.pub"):
        assert str(tmp_path / name) in checked.err


def test_with_json_it_is_one_object(run: Run) -> None:
    assert json.loads(run("serve", "--example", "--json").out) == {"toml": TEXT}


def test_a_server_without_a_file_is_told_where_to_begin(run: Run) -> None:
    outcome = run("serve", "--check")
    assert outcome.code == 2
    assert "--config FILE.toml is missing; `secagg serve --example` prints one to begin with" in outcome.err


def missing(model: type[BaseModel], table: dict[str, Any]) -> set[str]:
    return set(model.model_fields) ^ set(table)


def test_every_key_stands_there_once_and_is_valid() -> None:
    written = tomllib.loads(WHOLE)
    ServerConfig(**written)
    assert missing(ServerConfig, written) == set()
    tables = [
        *((field.annotation, written[name]) for name, field in ServerConfig.model_fields.items()),
        (server_settings.OperatorSettings, written["identities"]["operator"][0]),
        (server_settings.EnrolmentSettings, written["enrolments"][0]),
        (server_settings.SessionSettings, written["sessions"][0]),
        (server_settings.PrivacySettings, written["sessions"][0]["privacy"]),
        (server_settings.RoundSettings, written["sessions"][0]["rounds"]),
        (FixedPointSettings, written["sessions"][0]["vectors"]["weights"]),
        (IntegersSettings, written["sessions"][0]["vectors"]["counts"]),
    ]
    models = [(model, table) for model, table in tables if isinstance(model, type) and issubclass(model, BaseModel)]
    assert len(models) == 20
    assert [(model.__name__, missing(model, table)) for model, table in models if missing(model, table)] == []


def test_what_stands_there_as_a_default_is_one() -> None:
    whole, bare = ServerConfig(**tomllib.loads(WHOLE)), ServerConfig()
    for name in ("listen", "http", "identities", "storage", "limits", "retention", "work", "rounds", "logs", "traces"):
        table, defaults = getattr(whole, name), getattr(bare, name)
        plain = [key for key, field in type(table).model_fields.items() if not field.examples and key != "operator"]
        assert {key: getattr(table, key) for key in plain} == {key: getattr(defaults, key) for key in plain}


def test_no_line_is_longer_than_an_editor_shows() -> None:
    assert [line for line in TEXT.splitlines() if len(line) > 120] == []
