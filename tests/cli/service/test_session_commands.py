"""`secagg session`: sessions are made, watched, ended and discarded at a server that runs, within roles and tenants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.cli.service.credentials import operators_of
from secagg.cli.service.enrolled import Enrolled
from secagg.cli.service.server_config import load_config, load_sessions
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity, load_public_key
from secagg.transport.grpc import Role
from tests.cli.deployment import Deployment, Server, finished, serving, start

CLIENTS = (3, 5, 8)
TABLE = """
[[sessions]]
name = "round"
max_dropout = 0.0
max_corrupt = 0.0
[sessions.vectors.counts]
kind = "integers"
shape = [4]
low = 0
high = 100
"""


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Server]]:
    site = Deployment(tmp_path_factory.mktemp("standing"), CLIENTS)
    tables = ""
    for name, role, tenant in (("viewer", "viewer", ""), ("runner", "operator", ""), ("other", "admin", "other")):
        create_identity(site / f"{name}.key", site / f"{name}.pub")
        tables += f'[[identities.operator]]\nkey = "{name}.pub"\nrole = "{role}"\ntenant = "{tenant}"\n'
    for client in CLIENTS:
        site.input(client, counts=np.full(4, client))
    (site / "session.toml").write_text(TABLE, encoding="utf-8")
    with serving(site.configure("", more=tables)) as server:
        yield site, server
        server.stop()


class Site:
    """Runs commands of an operator."""

    def __init__(self, run: Any, standing: tuple[Deployment, Server]) -> None:
        self.site, self.server = standing
        self.run = run

    def __call__(self, *words: str, by: str = "operator") -> Any:
        where = ("--server", self.server.address, "--ca", str(self.site / "ca.pem"))
        return self.run("session", *words, *where, "--identity", str(self.site / f"{by}.key"))

    def create(self, name: str, **changed: str) -> Any:
        return self("create", "--config", str(self.site / "session.toml"), "--name", name, "--json", **changed)

    def states(self, *words: str, by: str = "operator") -> dict[str, str]:
        found = json.loads(self("list", "--json", *words, by=by).out)
        return {one["session"]: one["state"] for one in found["sessions"]}


@pytest.fixture
def session(run: Any, standing: tuple[Deployment, Server]) -> Site:
    return Site(run, standing)


def test_a_key_that_is_no_operators_is_said_with_its_file(session: Site) -> None:
    outcome = session("list", by="3")
    key = load_public_key(session.site / "3.pub")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(
        f"the key {fingerprint(key)} is no operator's here; give an operator's, or list its public key under "
        "operators in "
        "[identities] of the server's configuration, and reload; that is the key of --identity "
        f"{session.site / '3.key'}\n"
    )


def test_a_session_is_made_joined_watched_and_fetched(session: Site, run: Any, tmp_path: Path) -> None:
    made = json.loads(session.create("whole").out)
    assert [(one["session"], one["state"], one["clients"]) for one in made["sessions"]] == [
        ("whole", "advertise_keys", 3)
    ]
    clients = [session.site.join(session.server.address, client, session="whole") for client in CLIENTS]
    watched = session("watch", "--session", "whole")
    assert watched.code == 0
    assert watched.out.splitlines()[-1] == "completed: the session has completed"
    assert watched.out.count("completed: ") == 1
    assert [finished(client)[0] for client in clients] == [0, 0, 0]
    last = session("watch", "--session", "whole", "--json")
    assert (last.code, json.loads(last.out)["contributors"]) == (0, list(CLIENTS))
    kept = session("discard", "--session", "whole")
    assert (kept.code, "fetch it, or say that it is unfetched" in kept.err) == (1, True)
    out = tmp_path / "sum.npz"
    fetched = run(*session.site.operate("result", session.server.address, "--session", "whole", "--out", str(out)))
    assert fetched.code == 0
    with np.load(out) as released:
        assert released["counts"].tolist() == [16] * 4
    assert session("discard", "--session", "whole").out == "Session whole is forgotten.\n"
    assert "whole" not in session.states()


def test_clients_that_stay_take_part_in_each_session_with_what_their_files_hold_then(
    session: Site, run: Any, tmp_path: Path
) -> None:
    """One that does not suit them is said to be so, and the next is none the worse."""
    site, address = session.site, session.server.address
    where = ("--server", address, "--ca", str(site / "ca.pem"))
    inputs = {client: site.input(client, counts=np.full(4, client)) for client in CLIENTS}
    (site / "about").write_text("counts of a week", encoding="utf-8")
    table = TABLE.replace("max_dropout", f'context_file = "{site / "about"}"\nmax_dropout')
    (site / "about.toml").write_text(table, encoding="utf-8")
    (site / "other.toml").write_text(table.replace("counts", "other"), encoding="utf-8")
    staying = [
        start(
            *("join", *where, "--all", "--json", "--input", str(inputs[client])),
            *("--identity", str(site / f"{client}.key"), "--threat-model", "active"),
            *("--roster", str(site / "roster.json"), "--authority", str(site / "authority.pub")),
            *("--state", str(tmp_path / f"{client}"), "--sums-per-context", "9", "--context", str(site / "about")),
        )
        for client in CLIENTS
    ]
    for client in CLIENTS:
        (tmp_path / f"{client}").mkdir(exist_ok=True)
    try:
        for name, file in (("stay-1", "about.toml"), ("stay-2", "other.toml"), ("stay-3", "about.toml")):
            assert session("create", "--config", str(site / file), "--name", name).code == 0
            if name == "stay-2":
                heard = [json.loads(str(process.stdout and process.stdout.readline())) for process in staying]
                assert {(one["session"], one["outcome"]) for one in heard} == {(name, "failed")}
                assert all("other" in one["error"] for one in heard)
                assert session("abort", "--session", name).code == 0
                for client, path in inputs.items():
                    np.savez(path, counts=np.full(4, client + 1))
                continue
            assert session("watch", "--session", name).code == 0
            heard = [json.loads(str(process.stdout and process.stdout.readline())) for process in staying]
            assert [(one["session"], one["outcome"], one["client"]) for one in heard] == [
                (name, "completed", client) for client in CLIENTS
            ]
            out = tmp_path / f"{name}.npz"
            assert run(*site.operate("result", address, "--session", name, "--out", str(out))).code == 0
            with np.load(out) as released:
                assert released["counts"].tolist() == [16 if name == "stay-1" else 19] * 4
    finally:
        for process in staying:
            process.terminate()
            finished(process)
        for client in CLIENTS:
            site.input(client, counts=np.full(4, client))


@pytest.mark.parametrize("words", [[], ["--session", "a", "--all"]])
def test_a_client_takes_part_in_one_session_or_in_all(run: Any, words: list[str]) -> None:
    outcome = run("join", "--server", "localhost:1", "--input", "x.npz", *words)
    assert (outcome.code, "give --session NAME, or --all" in outcome.err) == (2, True)


@pytest.mark.parametrize("words", [[], ["--sums-per-context", "1", "--state", "."], ["--context", "about"]])
def test_who_takes_part_in_all_sessions_bounds_how_often(run: Any, words: list[str]) -> None:
    """By sums of one context alone it is not bounded: the server would choose another context each time."""
    outcome = run("join", "--server", "localhost:1", "--input", "x.npz", "--all", *words)
    assert (outcome.code, "lets the server choose how often it sums these inputs" in outcome.err) == (2, True)


def test_a_session_is_aborted_and_its_clients_dropped(session: Site) -> None:
    assert session("drop", "--session", "none", "--client", "3").code == 1
    assert "3 clients" in session("create", "--config", str(session.site / "session.toml"), "--name", "bad").out
    dropped = session("drop", "--session", "bad", "--client", "3", "--detail", "stolen", "--json")
    assert json.loads(dropped.out) == {"session": "bad", "dropped": 3}
    # Two of three are not enough for this session.
    ended = session("watch", "--session", "bad", "--json")
    assert (ended.code, json.loads(ended.out)["state"]) == (1, "aborted")
    assert json.loads(ended.out)["dropped"] == {"H02": 1}
    session.create("worse")
    for _ in range(2):
        assert json.loads(session("abort", "--session", "worse", "--json").out) == {"session": "worse", "aborted": True}
    assert session.states("--state", "aborted").items() >= {("bad", "aborted"), ("worse", "aborted")}
    assert session.states("--state", "masked_input", "--state", "unmasking") == {}
    none = session("list", "--state", "masked_input", "--state", "unmasking")
    assert none.out == "No session is in state masked_input or unmasking.\n"
    assert "worse" in session("list").out


def test_roles_and_tenants(session: Site) -> None:
    refused = session.create("seen", by="viewer")
    assert refused.code == 1
    assert "CreateSession needs the role operator, and this operator has the role viewer" in refused.err
    assert session.create("seen", by="runner").code == 0
    assert session.states(by="viewer")["seen"] == "advertise_keys"
    assert session("abort", "--session", "seen", by="runner").code == 0
    assert "DiscardResult needs the role admin" in session("discard", "--session", "seen", by="runner").err
    assert session.states(by="other") == {}
    for words in (("watch",), ("abort",), ("discard",), ("drop", "--client", "3")):
        outcome = session(*words, "--session", "seen", by="other")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "no session 'seen' is hosted here" in outcome.err
    assert "is taken" in session.create("seen", by="other").err
    assert session.create("theirs", by="other").code == 0
    assert session.states(by="other") == {"theirs": "advertise_keys"}
    assert "theirs" not in session.states()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "sessions is missing; give a list, each entry a table\n"),
        ("[[sessions]]\n", "sessions.0.name is missing; give it there, or by --name\n"),
        (
            "[[sessions]]\n" + TABLE,
            "sessions.0.name is missing; give 1 to 128 ASCII letters, digits, dots, dashes and underscores, the first "
            "a letter or digit\n",
        ),
        (TABLE.replace("round", "../x"), "sessions.0.name = '../x': it is no name of a session; give 1 to 128 ASCII "),
        (TABLE + TABLE, "sessions.1.name = 'round' is used twice"),
        (
            "[listen]\n" + TABLE,
            "listen is no table of a session's file, which has [[sessions]] and may have [rounds]; take it out, or "
            "give another file with --config\n",
        ),
        ("[round]\n" + TABLE, "round = {} is no key of the configuration; correct it to 'rounds'\n"),
        ('[[sessions]]\nname = "a"\n', "sessions.0.vectors is missing"),
        (TABLE.replace('"round"', '"round"\nclients = [3, 4]'), "client 4 and 0 more"),
        (TABLE.replace('"round"', '"round"\nthreshold = 9'), "session 'round'"),
    ],
)
def test_tables_that_are_no_session(session: Site, tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "session.toml"
    path.write_text(text, encoding="utf-8")
    outcome = session("create", "--config", str(path))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert named in outcome.err
    assert "round" not in session.states()


def test_a_name_needs_one_table(session: Site, tmp_path: Path) -> None:
    path = tmp_path / "session.toml"
    path.write_text(TABLE + TABLE.replace("round", "second"), encoding="utf-8")
    outcome = session("create", "--config", str(path), "--name", "third")
    assert outcome.code == 2
    assert "--name third needs one table" in outcome.err
    outcome = session("create", "--config", str(path), "--name", "no such!")
    assert (outcome.code, outcome.err) == (
        2,
        "secagg: --name: 'no such!' is no session name; give 1 to 128 ASCII letters, digits, dots, dashes and "
        "underscores, the first a letter or digit\n",
    )
    made = session("create", "--config", str(path), "--json")
    assert [one["session"] for one in json.loads(made.out)["sessions"]] == ["round", "second"]
    for name in ("round", "second"):
        session("abort", "--session", name)
        session("discard", "--session", name)
    again = session("create", "--config", str(tmp_path / "missing.toml"))
    assert (again.code, "cannot read" in again.err) == (2, True)
    assert "no client" in session("drop", "--session", "round", "--client", "-1").err


def test_paths_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "session.toml"
    path.write_text(TABLE.replace('"round"', '"round"\ncontext_file = "model"'), encoding="utf-8")
    (table,) = load_sessions(path).sessions
    assert table.context_file == tmp_path / "model"


def test_an_operator_is_listed_once(tmp_path: Path) -> None:
    site = Deployment(tmp_path, CLIENTS)
    table = '[[identities.operator]]\nkey = "operator.pub"\nrole = "{}"\n'
    config = load_config(site.configure("", more=table.format("viewer")))
    with pytest.raises(secagg.ParameterError, match=r"has the key of .*operator\.pub, with another role"):
        operators_of(config)
    config = load_config(site.configure("", more=table.format("admin")))
    assert [rights.role for rights in operators_of(config).values()] == [Role.ADMIN]


def test_a_roster_is_held_until_it_expires(tmp_path: Path) -> None:
    site = Deployment(tmp_path, CLIENTS)
    now = [datetime.now(UTC)]
    held = Enrolled(load_config(site.configure("")), lambda: now[0])
    assert set(held()) == set(CLIENTS)
    now[0] += timedelta(days=2)
    with pytest.raises(secagg.ParameterError, match=r"roster\.json expired at .* have it signed again"):
        held()
    site.sign({3: load_public_key(site / "3.pub")}, expires=datetime.now(UTC) - timedelta(hours=1))
    late = Enrolled(load_config(site.configure("")))
    assert "roster.json" in late.trouble
    with pytest.raises(secagg.ParameterError, match="valid"):
        late()
