"""Each client of a cohort holds a connection: a limit of open files below that is said when the server starts."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from secagg.cli.service.server_config import ServerConfig, load_config
from secagg.cli.service.serving import few_descriptors
from tests.command import Outcome

TRIAL = """
[listen]
plaintext = true
[identities]
anonymous = true
[storage]
memory = true
[[sessions]]
name = "one"
threat_model = "semi-honest"
clients = 897
[sessions.vectors.w]
kind = "integers"
shape = [10]
low = 0
high = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text(TRIAL, encoding="utf-8")
    return path


@pytest.fixture
def config(path: Path) -> ServerConfig:
    return load_config(path)


@pytest.mark.parametrize(
    ("soft", "clients", "enough"),
    [
        (1024, 896, True),
        (1024, 897, False),
        (1024, 100_000, False),
        (128, 0, True),
        (resource.RLIM_INFINITY, 100_000, True),
    ],
)
def test_the_limit_of_open_files_is_held_against_the_largest_cohort(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch, soft: int, clients: int, enough: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, soft))
    said = few_descriptors(clients, config)
    if enough:
        assert said == ""
    else:
        assert f"may open {soft} files, and a cohort of {clients} clients takes {clients + 128}" in said
        assert f"ulimit -n {clients + 128}" in said


def test_connections_of_health_checks_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 1024))
    path.write_text(TRIAL + '[health]\naddress = "127.0.0.1:0"\n', encoding="utf-8")
    config = load_config(path)
    assert (few_descriptors(832, config), "takes 1025" in few_descriptors(833, config)) == ("", True)


def test_a_check_says_it_like_a_start(path: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("serve", "--config", str(path), "--check")
    for soft, said in ((1025, False), (1024, True)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, soft=soft: (soft, soft))
        outcome = run(*words)
        assert (outcome.code, outcome.err) == (0, "")
        assert ("But this process may open 1024 files" in outcome.out) is said
        assert len(json.loads(run(*words, "--json").out)["warnings"]) == said
