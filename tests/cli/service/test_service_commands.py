"""What the commands of the network service have in common: help, JSON, options that do not fit, a missing extra."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.cli.service import join
from secagg.cli.service.result import _fetch
from secagg.cli.service.server_config import load_config
from secagg.cli.service.serving import run_server
from secagg.crypto.signing import IdentityKey
from secagg.crypto.suites import get_suite
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity
from secagg.parameters.suite_ids import HYBRID_SUITES
from secagg.transport import grpc as service

DOCS = Path(__file__).parents[3] / "docs"
OPERATIONS, ROSTERS = ((DOCS / page).read_text(encoding="utf-8") for page in ("operations.md", "how_to/rosters.md"))
COMMANDS = ("keygen", "enroll", "invite", "serve", "accept", "join", "status", "result")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_json_and_help(run: Any, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert "--json" in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_operators_pages(command: str) -> None:
    assert f"secagg {command} --" in OPERATIONS + ROSTERS


SESSIONS = [f"session {command}" for command in ("create", "list", "watch", "page", "abort", "drop", "discard")]


@pytest.mark.parametrize("command", ["join", "status", "result", "enroll", "invite", "accept", "keygen", *SESSIONS])
def test_every_option_that_the_pages_name_exists(run: Any, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    known = set(re.findall(r"--[a-z-]+", run(*command.split(), "--help").out))
    text = (OPERATIONS + ROSTERS).replace("\\\n", " ")
    lines = [line.split("#")[0] for line in text.splitlines() if line.startswith(f"secagg {command} ")]
    assert lines != []
    assert {option for line in lines for option in re.findall(r"(?<= )--[a-z-]+", line)} <= known


def test_the_servers_configuration_of_the_page_is_one(tmp_path: Path) -> None:
    (text,) = (block for block in re.findall(r"```toml\n(.*?)```", OPERATIONS, re.DOTALL) if "model-7" in block)
    (tmp_path / "server.toml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "server.toml")
    assert [session.name for session in config.sessions] == ["model-7-round-12"]


@pytest.fixture
def words(tmp_path: Path) -> dict[str, list[str]]:
    create_identity(tmp_path / "a.key", tmp_path / "a.pub")
    (tmp_path / "server.toml").write_text("", encoding="utf-8")
    where = ["--server", "127.0.0.1:1", "--identity", str(tmp_path / "a.key"), "--json"]
    return {
        "serve": ["serve", "--config", str(tmp_path / "server.toml"), "--json"],
        "join": ["join", *where, "--session", "a", "--client", "1", "--input", str(tmp_path / "a.npz")],
        "status": ["status", *where],
        "result": ["result", *where, "--session", "a", "--out", str(tmp_path / "sum.npz")],
    }


@pytest.mark.parametrize("command", ["serve", "join", "status", "result"])
@pytest.mark.parametrize("package", ["grpc", "tenacity"])
def test_a_missing_extra_is_one_sentence(
    run: Any, monkeypatch: pytest.MonkeyPatch, words: dict[str, list[str]], command: str, package: str
) -> None:
    for name in list(sys.modules):
        if name.startswith(
            ("secagg.transport", "secagg.cli.service.joining", "secagg.cli.service.serv", f"{package}.")
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    outcome = run(*words[command])
    assert (outcome.code, outcome.out) == (2, "")
    assert "pip install 'secagg[grpc]'" in outcome.err
    assert package in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("package", ["pydantic_settings", "structlog", "prometheus_client"])
def test_a_missing_package_of_the_server_is_one_sentence(
    run: Any, monkeypatch: pytest.MonkeyPatch, words: dict[str, list[str]], package: str
) -> None:
    for name in list(sys.modules):
        if name.startswith(("secagg.cli.serv", "secagg.telemetry", f"{package}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    outcome = run(*words["serve"])
    assert (outcome.code, outcome.out) == (2, "")
    assert f"needs the package {package}, which is not installed: pip install 'secagg[grpc]'" in outcome.err


def test_traces_without_opentelemetry_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.toml"
    path.write_text(
        "[listen]\nplaintext = true\n[identities]\nanonymous = true\n[storage]\nmemory = true\n"
        "[traces]\nenabled = true\n",
        encoding="utf-8",
    )
    monkeypatch.delitem(sys.modules, "secagg.telemetry.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(secagg.ParameterError, match=r"pip install 'secagg\[traces\]'"):
        run_server(load_config(path), lambda record: None)


@pytest.mark.parametrize(
    ("table", "key", "what"),
    [
        ("listen", "address", "{!r} cannot be served: another process listens there; stop it, or give another port"),
        ("metrics", "address", "cannot serve metrics on {}: Address already in use; give a free address"),
        ("health", "http", "cannot serve pages on {}: Address already in use; give a free address"),
    ],
)
def test_a_port_that_is_taken_is_said_with_the_key_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, key: str, what: str
) -> None:
    path = tmp_path / "server.toml"
    trial = "[listen]\nplaintext = true\n{}[identities]\nanonymous = true\n[storage]\nmemory = true\n"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        free = "" if table == "listen" else 'address = "127.0.0.1:0"\n'
        path.write_text(trial.format(free), encoding="utf-8")
        monkeypatch.setenv(f"SECAGG_{table}__{key}".upper(), address)
        with pytest.raises(secagg.ParameterError) as caught:
            run_server(load_config(path), lambda record: None)
    name = f"SECAGG_{table}__{key}".upper()
    said = f"{table}.{key}: {what.format(address)} ({table}.{key} is from {name} in the environment)"
    assert str(caught.value) == said


@pytest.mark.parametrize("option", ["--ca", "--certificate", "--key", "--server-name"])
def test_plaintext_goes_with_nothing_of_tls(run: Any, words: dict[str, list[str]], option: str) -> None:
    outcome = run(*words["status"], "--plaintext", option, "x")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--plaintext does not go with {option}" in outcome.err


def test_half_of_a_certificate_is_none(run: Any, words: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    outcome = run(*words["status"], "--certificate", str(tmp_path / "c.pem"))
    assert (outcome.code, outcome.out) == (2, "")
    assert "belong together" in outcome.err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_giving_up_takes_some_time(run: Any, words: dict[str, list[str]], seconds: str) -> None:
    outcome = run(*words["status"], "--give-up", seconds)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--give-up {seconds} is no positive number" in outcome.err


@pytest.mark.parametrize("option", ["--sums-per-context", "--minimum-cohort-change"])
def test_a_limit_of_sums_needs_a_place_to_remember_them(run: Any, words: dict[str, list[str]], option: str) -> None:
    outcome = run(*words["join"], option, "2")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{option} 2 needs --state DIRECTORY" in outcome.err


def test_a_server_that_is_not_there_and_a_folder_that_is_not(
    run: Any, words: dict[str, list[str]], tmp_path: Path
) -> None:
    outcome = run(*words["status"], "--plaintext", "--give-up", "0.2")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("; nothing listens there: check host and port, and whether the server runs\n")
    named = [word.replace("127.0.0.1", "localhost") for word in words["status"]]
    assert run(*named, "--plaintext", "--give-up", "0.2").err.endswith(
        "; nothing listens there, which is the last address of localhost that was tried: check host and port, and "
        "whether "
        "the server runs and has an address at which it can be reached\n"
    )
    outcome = run(*words["result"][:-1], str(tmp_path / "no" / "sum.npz"), "--plaintext")
    assert (outcome.code, outcome.out) == (2, "")
    assert "sum.npz is in no existing directory; make it" in outcome.err


@pytest.mark.parametrize(
    ("arrays", "expected", "sentence"),
    [
        (
            {"arr_0": np.zeros((2, 3))},
            None,
            r"holds 'arr_0' of shape \(2, 3\), and expected is an array for each vector",
        ),
        (
            {"arr_0": np.zeros(2), "arr_1": np.zeros(3)},
            None,
            r"'arr_1' of shape \(3,\).*numpy.savez\(path, NAME=array\)",
        ),
        (
            {"arr_0": np.zeros(2)},
            ["update"],
            r"holds 'arr_0' of shape \(2,\), and --vectors names 'update'; give exactly",
        ),
        ({"a": np.zeros(2)}, ["a", "b"], "--vectors names 'a', 'b'"),
        ({}, None, "holds no array; give one for each vector"),
    ],
)
def test_an_input_without_the_names_of_vectors_says_what_is_there_and_what_is_expected(
    tmp_path: Path, arrays: dict[str, Any], expected: list[str] | None, sentence: str
) -> None:
    np.savez(tmp_path / "input.npz", **arrays)
    with pytest.raises(secagg.ParameterError, match=rf"input\.npz .*{sentence}"):
        join.load_arrays(tmp_path / "input.npz", expected)


def test_what_was_moved_into_bounds_is_said_with_the_bounds() -> None:
    parameters = secagg.SessionParameters.choose(
        clients=4,
        vectors={"update": secagg.FixedPoint(8, clip=0.5, aggregate="mean"), "counts": secagg.Integers(-3, 9, 4)},
        max_weight=1000,
    )
    reports = [
        SimpleNamespace(name="update", entries=8, clipped=2, nan=1),
        SimpleNamespace(name="counts", entries=4, clipped=3, nan=0),
    ]
    took_part: Any = SimpleNamespace(
        parameters=parameters, reports=reports, weight_clipped=True, session="s1", client=4
    )
    assert list(join._sentences(took_part, 2000)) == [
        "update: 2 of 8 entries were outside -0.5 .. 0.5 and count as the bound.",
        "update: 1 of 8 entries were NaN and count as 0.",
        "counts: 3 of 4 entries were outside -3 .. 9 and count as the bound.",
        "The weight 2000 was outside 0 .. 1000 and counts as the bound.",
        "Session s1 completed with the input of client 4.",
    ]


def test_an_input_is_read_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "input.npz", arr_0=np.arange(3), update=np.zeros(2))
    assert set(join.load_arrays(tmp_path / "input.npz")) == {"arr_0", "update"}
    np.savez(tmp_path / "input.npz", np.arange(3))
    assert set(join.load_arrays(tmp_path / "input.npz", ["arr_0"])) == {"arr_0"}
    np.save(tmp_path / "input.npy", np.zeros((4, 5)))
    with pytest.raises(secagg.ParameterError, match=r"one array without a name \(shape \(4, 5\)\)"):
        join.load_arrays(tmp_path / "input.npy")


def test_an_input_is_looked_at_before_the_server_is_asked(
    run: Any, words: dict[str, list[str]], tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", np.zeros(3))
    outcome = run(*words["join"], "--plaintext", "--give-up", "1")
    assert (outcome.code, outcome.out) == (2, "")
    assert "a.npz holds 'arr_0' of shape (3,)" in outcome.err


@pytest.mark.parametrize(
    ("options", "suites"),
    [((), set(secagg.SuiteId)), (("--hybrid",), {secagg.SuiteId(0x0101), secagg.SuiteId(0x0102)})],
)
def test_a_client_can_demand_a_hybrid_suite(
    run: Any,
    words: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    suites: set[secagg.SuiteId],
) -> None:
    """A server that offered another one had clients agree on keys that a recording gives away later."""
    asked: list[secagg.ClientPolicy] = []

    async def participate(*_: Any, policy: secagg.ClientPolicy, **__: Any) -> Any:
        asked.append(policy)
        raise secagg.ParameterError("seen")

    np.savez(tmp_path / "a.npz", update=np.zeros(3))
    monkeypatch.setattr(service, "participate", participate)
    assert "seen" in run(*words["join"], "--plaintext", *options).err
    assert [policy.suites for policy in asked] == [suites]
    assert {suite for suite in secagg.SuiteId if get_suite(suite).hybrid} == HYBRID_SUITES


def test_the_experimental_graph_is_taken_by_name_and_with_a_state(
    run: Any, words: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[secagg.ClientPolicy] = []

    async def participate(*_: Any, policy: secagg.ClientPolicy, **__: Any) -> Any:
        asked.append(policy)
        raise secagg.ParameterError("seen")

    np.savez(tmp_path / "a.npz", update=np.zeros(3))
    monkeypatch.setattr(service, "participate", participate)
    assert "--chosen needs --state DIRECTORY" in run(*words["join"], "--plaintext", "--chosen").err
    state = ("--state", str(tmp_path / "state"))
    assert "give one of them" in run(*words["join"], "--plaintext", "--chosen", "--complete", *state).err
    assert "seen" in run(*words["join"], "--plaintext", "--chosen", "--max-corrupt-clients", "7", *state).err
    assert "seen" in run(*words["join"], "--plaintext", *state).err
    assert [policy.topologies for policy in asked] == [
        {secagg.TopologyKind.CHOSEN},
        {secagg.TopologyKind.COMPLETE, secagg.TopologyKind.SPARSE},
    ]
    assert [policy.max_corrupt_clients for policy in asked] == [7, None]


def test_a_client_is_who_its_key_is_in_the_roster() -> None:
    keys = {client: IdentityKey.generate() for client in (4, 9)}
    roster = {client: key.public for client, key in keys.items()}
    assert join.client_of(None, keys[9], roster, "", "") == 9
    assert join.client_of(4, keys[9], roster, "", "") == 4
    stranger = IdentityKey.generate()
    with pytest.raises(secagg.ParameterError) as caught:
        join.client_of(None, stranger, roster, "--identity 17.key", "--roster roster.json")
    assert str(caught.value) == (
        f"the key {fingerprint(stranger.public)} of --identity 17.key is not in the roster of --roster roster.json; "
        "have it "
        "enrolled, or give the files that belong together"
    )
    for identity, known in ((None, roster), (keys[4], None)):
        with pytest.raises(secagg.ParameterError, match="--client is missing"):
            join.client_of(None, identity, known, "", "")


def test_a_result_that_cannot_be_read_stays_on_the_server(tmp_path: Path) -> None:
    class Damaged:
        acknowledged = False

        async def __aenter__(self) -> None:
            return

        async def __aexit__(self, *error: object) -> None:
            return

        async def last_session(self, session: str) -> Any:
            return SimpleNamespace(name=session)

        async def save_result(self, session: str, path: Path) -> None:
            path.write_bytes(b"no archive")

        async def acknowledge(self, session: str) -> None:
            self.acknowledged = True

    client: Any = Damaged()
    with pytest.raises(secagg.DecodeError, match="no result"):
        asyncio.run(_fetch(client, "first", tmp_path / "sum.npz", keep=False))
    assert not client.acknowledged
