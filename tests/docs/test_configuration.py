"""The reference of server.toml has every key, as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

import secagg
from docs.making.configuration import configuration_page, default_of, tables
from docs.making.markdown import escaped
from secagg.cli.service import server_settings
from secagg.cli.service.server_config import ServerConfig, load_config
from secagg.cli.service.wanted import wanted

PAGE: Final = configuration_page()


def section(name: str) -> str:
    return PAGE.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]


def test_every_class_of_settings_has_a_table() -> None:
    classes = {
        each
        for each in vars(server_settings).values()
        if isinstance(each, type) and issubclass(each, server_settings.Section) and each is not server_settings.Section
    }
    assert {model for _, model in tables()} == classes
    assert [name for name, _ in tables()][:5] == [
        "[listen]",
        "[http]",
        "[identities]",
        "[[identities.operator]]",
        "[[enrolments]]",
    ]


@pytest.mark.parametrize(("name", "model"), list(tables()))
def test_every_key_stands_in_its_table(name: str, model: type[BaseModel]) -> None:
    keys = {key: field for key, field in model.model_fields.items() if key != "kind"}
    assert re.findall(r"^`(\w+)`$", section(name), re.MULTILINE) == list(keys)
    for key, field in keys.items():
        entry = section(name).partition(f"\n`{key}`\n")[2].partition("\n\n`")[0]
        assert escaped(field.description or "no description") in entry
        assert escaped(wanted(field)) in entry
        assert (default_of(field) if field.is_required() else f"default {default_of(field)}") in entry


def test_variables_of_the_environment_set_what_they_stand_beside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variables = re.findall(r"`(SECAGG_\w+)`", PAGE.partition("\n## ")[2])
    assert len(variables) == len(set(variables)) > 40
    (tmp_path / "server.toml").write_text("", encoding="utf-8")
    for variable in variables:
        table, key = variable.removeprefix("SECAGG_").lower().split("__")
        settings = ServerConfig.model_fields[table].annotation
        assert settings is not None
        assert key in settings.model_fields
        if wanted(settings.model_fields[key]).startswith(("a number", "a whole number", "true or false")):
            monkeypatch.setenv(variable, "words")
            with pytest.raises(secagg.ParameterError, match=f"{variable} in the environment"):
                load_config(tmp_path / "server.toml")
            monkeypatch.delenv(variable)
