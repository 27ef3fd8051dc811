"""`secagg serve`, `join`, `status` and `result` as processes over TLS on loopback."""

from __future__ import annotations

import gc
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from secagg.cli.service.serving import look_for_cycles_seldom
from secagg.identity.keys import create_identity, load_identity, load_public_key
from tests.cli.deployment import SECONDS, Deployment, Server, finished, serving, start, until
from tests.ports import free_port

CLIENTS = (3, 5, 8, 2**64 - 1)
ENTRIES = 500
LONG = 300_000  # several slices of a vector
NUMBERS = np.random.default_rng(7)
ARRAYS = {client: NUMBERS.integers(-50, 51, ENTRIES) for client in CLIENTS}


def session(name: str = "first", more: str = "") -> str:
    return f"""
        [[sessions]]
        name = "{name}"
        {more}
        [sessions.vectors.counts]
        kind = "integers"
        shape = [{ENTRIES}]
        low = -50
        high = 50
    """


@pytest.fixture
def site(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path, CLIENTS)
    for client in CLIENTS:
        made.input(client, counts=ARRAYS[client])
    return made


def joined(
    site: Deployment, server: Server, *words: str, name: str = "first", web: Collection[int] = ()
) -> list[dict[str, Any]]:
    """All clients take part, each in a process of its own, those of `web` over HTTP, and succeed."""
    addresses = {client: f"https://{server.ready['http']}" if client in web else server.address for client in CLIENTS}
    processes = [site.join(addresses[client], client, *words, session=name) for client in CLIENTS]
    outcomes = [finished(process) for process in processes]
    assert [(code, err) for code, _, err in outcomes] == [(0, "")] * len(CLIENTS)
    server.stored(name)
    return [json.loads(out) for _, out, _ in outcomes]


def check_sum(path: Path, clients: tuple[int, ...] = CLIENTS) -> None:
    with np.load(path, allow_pickle=False) as loaded:
        assert loaded["@contributors"].tolist() == list(clients)
        assert (loaded["counts"] == sum(ARRAYS[client] for client in clients)).all()


def test_processes_over_tls_give_the_exact_sum(site: Deployment, run: Any) -> None:
    """Half of them over HTTP."""
    ports = '[metrics]\naddress = "127.0.0.1:0"\n[health]\naddress = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n'
    ports += '[http]\naddress = "127.0.0.1:0"\n'
    config = site.configure(session(), more=f'{ports}[logs]\nlevel = "debug"')
    with serving(config) as server:
        assert server.ready["tls"] is True
        assert (server.ready["sessions"], server.ready["created"]) == (["first"], ["first"])
        before = run(*site.operate("status", server.address, "--session", "first", "--json"))
        (status,) = json.loads(before.out)["sessions"]
        assert (status["state"], status["expected"], status["answered"]) == ("advertise_keys", 4, 0)

        records = joined(site, server, web=CLIENTS[::2])
        assert [(record["client"], record["outcome"]) for record in records] == [(c, "completed") for c in CLIENTS]
        assert {(record["clients"], record["threat_model"]) for record in records} == {(4, "active")}

        lost = run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "no" / "where")))
        assert (lost.code, lost.out) == (2, "")
        kept = run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "a"), "--keep"))
        assert (kept.code, kept.err) == (0, "")
        assert kept.out.startswith(f"{site / 'a'}: counts of 4 contributors")
        fetched = run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "b"), "--json"))
        assert json.loads(fetched.out) == {
            "session": "first",
            "out": str(site / "b"),
            "vectors": {"counts": {"shape": [ENTRIES], "dtype": "int64"}},
            "contributors": list(CLIENTS),
            "total_weight": None,
            "impossible": {},
            "kept": False,
        }
        check_sum(site / "a")
        check_sum(site / "b")
        again = run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "c")))
        assert (again.code, again.out) == (1, "")
        assert not (site / "c").exists()

        after = run(*site.operate("status", server.address))
        assert (after.code, after.err) == (0, "")
        assert "completed" in after.out
        with urllib.request.urlopen(f"http://{server.ready['metrics']}/metrics", timeout=SECONDS) as reply:
            metrics = reply.read().decode()
        assert 'secagg_sessions_ended_total{outcome="completed",reason=""} 1.0' in metrics
        assert 'secagg_stage_seconds_count{stage="removing_masks"} 1.0' in metrics
        assert 'secagg_answers_total{outcome="accepted",round="masked_input"} 4.0' in metrics
        for page in ("ready", "live"):
            with urllib.request.urlopen(f"http://{server.ready['pages']}/{page}", timeout=SECONDS) as reply:
                assert reply.status == 200
        with grpc.insecure_channel(server.ready["health"]) as channel:
            health: Any = HealthStub(channel)
            assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        received = sum(record["sent_bytes"] for record in records)
        assert f"secagg_received_bytes_total {float(received)}" in metrics
        assert server.stop() == (0, "", "")
    events = [event["event"] for event in server.events()]
    assert events[-2:] == ["stopping", "stopped"]
    assert events.count("round closed") == 5
    check_log(site, server)


def check_log(site: Deployment, server: Server) -> None:
    """No key, no token and no trouble stands in a log."""
    log = server.log.read_text(encoding="utf-8")
    for path in site.directory.glob("*.key"):
        key = load_identity(path)
        assert bytes(key.seed.expose()).hex() not in log
        assert key.public.hex() not in log
    assert "Bearer" not in log
    assert [line for line in server.events() if line["level"] in ("warning", "error")] == []


def test_the_client_of_the_page_takes_part_over_http(site: Deployment, run: Any) -> None:
    page = (Path(__file__).parents[3] / "docs" / "http.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    config = site.configure(session(), more='[http]\naddress = "127.0.0.1:0"\n')
    with serving(config) as server:
        first, *others = CLIENTS
        for old, new in {
            "sums.example.org:8443": server.ready["http"],
            "client_id=17": f"client_id={first}",
            "17.key": f"{first}.key",
            '{"weights": np.zeros(1000)}, weight=600)': f'dict(np.load("input-{first}.npz")))\n            return',
        }.items():
            assert old in script
            script = script.replace(old, new)
        (site / "client.py").write_text(script, encoding="utf-8")
        processes = [
            subprocess.Popen([sys.executable, "client.py"], cwd=site.directory, stderr=subprocess.PIPE, text=True),
            *(site.join(server.address, client) for client in others),
        ]
        assert [(code, err) for code, _, err in map(finished, processes)] == [(0, "")] * len(CLIENTS)
        server.stored()
        assert (
            run(*site.operate("result", server.address), "--session", "first", "--out", str(site / "s.npz")).code == 0
        )
        check_sum(site / "s.npz")


def test_a_key_of_tls_that_everybody_can_read_is_in_the_log(site: Deployment) -> None:
    (site / "server-key.pem").chmod(0o644)
    with serving(site.configure(session())) as server:
        warned = [line for line in server.events() if line["level"] == "warning"]
        assert [(line["file"], line["mode"]) for line in warned] == [(str(site / "server-key.pem"), "0644")]
        server.stop()


def test_a_server_that_is_killed_goes_on_and_the_sum_is_exact(site: Deployment) -> None:
    config = site.configure(session(), more='[logs]\nlevel = "debug"')
    listen = {"SECAGG_LISTEN__ADDRESS": f"127.0.0.1:{free_port()}"}
    with serving(config, listen) as server:
        early = [site.join(server.address, client) for client in CLIENTS[:-1]]
        until(lambda: _answers(server) == len(CLIENTS) - 1, server)
        server.stop(signal.SIGKILL)
    assert all(process.poll() is None for process in early)
    with serving(config, listen) as again:
        assert (again.ready["sessions"], again.ready["created"]) == (["first"], [])
        outcomes = [finished(process) for process in (*early, site.join(again.address, CLIENTS[-1]))]
        assert [(code, err) for code, _, err in outcomes] == [(0, "")] * len(CLIENTS)
        again.stored()
        words = site.operate("result", again.address, "--session", "first", "--out", str(site / "sum"), "--json")
        assert finished(start(*words))[0] == 0
        check_sum(site / "sum")
        again.stop()
    with serving(config) as last:
        assert last.ready["created"] == []
        joining = finished(site.join(last.address, CLIENTS[0], "--give-up", "5"))
        assert joining[0] in (0, 1)
        last.stop()


def test_a_server_whose_database_lost_commits_starts_only_when_it_is_told_to(site: Deployment, run: Any) -> None:
    """An operator reads what was lost, then accepts it: all of it. A session that may have run is not made anew."""
    config = site.configure(session())
    with serving(config) as server:
        server.stop()
    with serving(config) as server:
        status = run(*site.operate("status", server.address, "--json"))
        assert [one["state"] for one in json.loads(status.out)["sessions"]] == ["advertise_keys"]
        server.stop(signal.SIGKILL)
    for path in (site / "data").glob("secagg.sqlite3*"):
        path.unlink()
    refused = finished(start("serve", "--config", str(config), "--json"))
    assert refused[0] == 1
    assert "and it was there before" in json.loads(refused[1])["error"]
    for options in (["--accept-loss"], []):
        with serving(config, None, *options) as again:
            assert (again.ready["sessions"], again.ready["created"]) == ([], [])
            (kept,) = json.loads(run(*site.operate("status", again.address, "--json")).out)["sessions"]
            assert (kept["session"], kept["state"]) == ("first", "failed")
            assert "may have run before the server's database lost it" in kept["detail"]
            again.stop()


def _answers(server: Server) -> int:
    return sum(event["event"] == "answer" for event in server.events())


def test_a_client_that_never_comes_is_left_out(site: Deployment, run: Any) -> None:
    offered = session(more='threat_model = "semi-honest"\nmax_dropout = 0.3')
    more = '[rounds]\nadvertise_keys = 5000\n[logs]\nlevel = "debug"'
    with serving(site.configure(offered, more=more), moved=True) as server:
        model = ("--threat-model", "semi-honest")
        processes = [site.join(server.address, client, *model) for client in CLIENTS[:-1]]
        until(lambda: _answers(server) == len(CLIENTS) - 1, server)
        server.advance(5000)
        outcomes = [finished(process) for process in processes]
        assert [(code, err) for code, _, err in outcomes] == [(0, "")] * 3
        server.stored()
        (status,) = json.loads(run(*site.operate("status", server.address, "--json")).out)["sessions"]
        assert (status["state"], status["dropped"]) == ("completed", {"S01": 1})
        run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "sum")))
        check_sum(site / "sum", CLIENTS[:-1])


@pytest.mark.slow
def test_masks_are_made_in_processes_of_their_own(site: Deployment, run: Any) -> None:
    for place, client in enumerate(CLIENTS):
        site.input(client, counts=np.full(LONG, place, dtype=np.int64))
    offered = session().replace(f"[{ENTRIES}]", f"[{LONG}]")
    with serving(site.configure(offered, more="[work]\nprocesses = 2")) as server:
        joined(site, server)
        run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "sum")))
        with np.load(site / "sum", allow_pickle=False) as loaded:
            assert (loaded["counts"] == sum(range(len(CLIENTS)))).all()
        threads = list(Path(f"/proc/{server.process.pid}/task").glob("*/children"))
        if threads:  # Linux
            assert sum(len(thread.read_text().split()) for thread in threads) >= 2


def test_what_grpc_itself_has_to_say_is_json_or_nothing(site: Deployment, run: Any) -> None:
    """It tells of a client that speaks no TLS on standard error, past the logging of Python."""
    for verbosity, told in (("", []), ("INFO", ["Log level INFO is not suitable"])):
        with serving(site.configure(session()), {"GRPC_VERBOSITY": verbosity}) as server:
            host, port = server.address.rsplit(":", 1)
            with socket.create_connection((host, int(port)), timeout=60) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while stranger.recv(1024):
                    pass
            assert server.stop() == (0, "", "")
        foreign = [line["event"] for line in server.events() if line.get("logger") == "stderr"]
        assert [part for part in told if part not in "".join(foreign)] == []
        (server.log).unlink()


def test_mutual_tls_is_asked_in_addition(site: Deployment, run: Any) -> None:
    certificate, key = site.ca.client()
    (site / "client.pem").write_bytes(certificate)
    (site / "client-key.pem").write_bytes(key)
    config = site.configure(session(), listen='client_ca = "ca.pem"')
    shown = ("--certificate", str(site / "client.pem"), "--key", str(site / "client-key.pem"))
    with serving(config) as server:
        bare = run(*site.operate("status", server.address, "--give-up", "1"))
        assert (bare.code, bare.out) == (1, "")
        assert run(*site.operate("status", server.address, *shown)).code == 0
        words = join_words(site, server, {"context": None, "minimum_cohort": "5"})
        unshown = run(*words, "--give-up", "2")
        assert (unshown.code, "C02" in unshown.err) == (1, False)
        refused_by_the_floor = run(*words, *shown)
        assert (refused_by_the_floor.code, "C02" in refused_by_the_floor.err) == (1, True)


def test_an_anonymous_trial_without_tls(site: Deployment, run: Any) -> None:
    config = site / "server.toml"
    config.write_text(
        '[listen]\naddress = "127.0.0.1:0"\nplaintext = true\n[identities]\nanonymous = true\n'
        'operators = ["operator.pub"]\n[storage]\nmemory = true\n'
        + session(more=f'threat_model = "semi-honest"\nclients = {list(CLIENTS)[:3]}'),
        encoding="utf-8",
    )
    with serving(config) as server:
        trial = ("--server", server.address, "--session", "first", "--plaintext", "--json")
        processes = [
            start("join", *trial, "--client", str(client), "--input", str(site / f"input-{client}.npz"))
            for client in CLIENTS[:3]
        ]
        assert [finished(process)[0] for process in processes] == [0, 0, 0]
        server.stored()
        operator = ("--identity", str(site / "operator.key"), "--out", str(site / "sum"))
        assert run("result", *trial, *operator).code == 0
        check_sum(site / "sum", CLIENTS[:3])


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, Server]]:
    """A server whose session nobody has joined; what is refused leaves it so."""
    site = Deployment(tmp_path_factory.mktemp("standing"), CLIENTS)
    for client in CLIENTS:
        site.input(client, counts=ARRAYS[client])
    (site / "model").write_bytes(b"the model")
    (site / "other").write_bytes(b"another model")
    more = 'context_file = "model"\n'
    trial = session("trial", 'threat_model = "semi-honest"\n' + more)
    with serving(site.configure(session(more=more) + trial, more="[rounds]\nadvertise_keys = 3000")) as server:
        yield site, server
        states = [event["event"] for event in server.events()]
        assert "answer" not in states
        server.stop()


def join_words(site: Deployment, at: Server, changed: Mapping[str, str | None]) -> list[str]:
    words = {
        "server": at.address,
        "session": "first",
        "input": str(site / "input-3.npz"),
        "identity": str(site / "3.key"),
        "roster": str(site / "roster.json"),
        "authority": str(site / "authority.pub"),
        "ca": str(site / "ca.pem"),
        "context": str(site / "model"),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return ["join", "--json", *(word for name, value in words.items() if value for word in (f"--{name}", value))]


FLOORS: dict[str, tuple[dict[str, str | None], int, str]] = {
    "a larger cohort": ({"minimum_cohort": "5"}, 1, "C02"),
    "a larger threshold": ({"minimum_threshold": "4"}, 1, "C03"),
    "more contributors": ({"minimum_contributors": "4"}, 1, "C04"),
    "the semi-honest model": ({"threat_model": "semi-honest"}, 1, "C05"),
    "a semi-honest session": ({"session": "trial"}, 1, "C05"),
    "no security": ({"security_bits": "0"}, 2, "security_bits is 0"),
    "another context": ({"context": "other"}, 1, "C08"),
    "an unknown session": ({"session": "second"}, 1, "second"),
    "no session name": ({"session": "../first"}, 2, "../first"),
    "somebody else's id": ({"client": "5"}, 1, "not signed with the key of client 5"),
    "an id outside the cohort": ({"client": "4"}, 1, "client 4"),
    "an unknown authority": ({"authority": "operator.pub"}, 2, "signed by the authority"),
    "a roster without an authority": ({"authority": None}, 2, "--authority"),
    "an authority without a roster": ({"roster": None}, 2, "--roster"),
    "a newer serial": ({"minimum_serial": "2"}, 2, "older than 2"),
    "another server authority": ({"ca": "other-ca.pem", "give_up": "2"}, 1, "ertificate"),
    "a file that is no CA": ({"ca": "model"}, 2, "--ca: "),
    "no such input": ({"input": "missing.npz"}, 2, "cannot read"),
    "an input that is no archive": ({"input": "model"}, 2, "no .npz file"),
    "an input of one array": ({"input": "one.npy"}, 2, "one array without a name"),
    "an input with objects": ({"input": "objects.npz"}, 2, "plain arrays"),
    "an input of another shape": ({"input": "short.npz"}, 2, "shape"),
    "no server name": ({"server": "nowhere"}, 2, "host:port"),
    "nobody there": ({"server": "127.0.0.1:1", "give_up": "2"}, 1, "127.0.0.1:1"),
    "a weight too large": ({"weight": "2"}, 2, "weight"),
    "an identity not enrolled": ({"identity": "operator.key"}, 2, "not in the roster"),
    "plaintext to a TLS port": ({"ca": None, "server": "example.org:1", "plaintext": "yes"}, 2, "loopback"),
}


@pytest.mark.parametrize(("changed", "code", "named"), FLOORS.values(), ids=FLOORS.keys())
def test_what_a_client_or_the_server_refuses(
    standing: tuple[Deployment, Server], run: Any, changed: dict[str, str | None], code: int, named: str
) -> None:
    site, server = standing
    (site / "other-ca.pem").write_bytes(type(site.ca)().pem)
    np.save(site / "one.npy", np.zeros(3))
    np.savez(site / "objects.npz", counts=np.array([{}], dtype=object))
    np.savez(site / "short.npz", counts=np.zeros(3, dtype=np.int64))
    files = {"context", "authority", "ca", "input", "identity"}
    placed = {name: str(site / value) if name in files and value else value for name, value in changed.items()}
    plain = placed.pop("plaintext", None)
    outcome = run(*join_words(site, server, placed), *(["--plaintext"] if plain else []))
    assert (outcome.code, outcome.out) == (code, "")
    assert named in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_server_cannot_add_an_identity(site: Deployment, run: Any) -> None:
    """The operator enrolled somebody in a roster of its own; the clients' roster does not have that client."""
    honest = site / "clients-roster.json"
    (site / "roster.json").rename(honest)
    stranger = create_identity(site / "9.key", site / "9.pub").public
    keys = {client: load_public_key(site / f"{client}.pub") for client in CLIENTS}
    site.sign({**keys, 9: stranger}, serial=2)
    with serving(site.configure(session(), more="[rounds]\nadvertise_keys = 3000")) as server:
        outcome = run(*join_words(site, server, {"roster": str(honest), "context": None}))
        assert (outcome.code, outcome.out) == (1, "")
        assert "C10" in outcome.err


def test_only_operators_ask(standing: tuple[Deployment, Server], run: Any) -> None:
    site, server = standing
    where = ("--server", server.address, "--ca", str(site / "ca.pem"), "--identity", str(site / "3.key"))
    outcomes = (
        run("status", *where, "--json"),
        run("result", *where, "--session", "first", "--out", str(site / "sum"), "--json"),
    )
    for outcome in outcomes:
        assert (outcome.code, outcome.out) == (1, "")
        assert "operator" in outcome.err
    early = run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "sum")))
    assert (early.code, early.out, (site / "sum").exists()) == (1, "", False)
    unknown = run(*site.operate("status", server.address, "--session", "second"))
    assert (unknown.code, unknown.out) == (1, "")
    assert "second" in unknown.err
    taken = run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "model")))
    assert (taken.code, "exists already" in taken.err) == (2, True)


def refused(config: Path) -> tuple[int, str]:
    code, out, err = finished(start("serve", "--config", str(config), "--json"))
    assert json.loads(out)["exit_code"] == code
    return code, err.splitlines()[-1]


def test_a_roster_is_valid_when_a_session_is_created(site: Deployment) -> None:
    keys = {client: load_public_key(site / f"{client}.pub") for client in CLIENTS}
    config = site.configure(session())
    valid = (site / "roster.json").read_bytes()
    site.sign(keys, expires=datetime.now(UTC) - timedelta(hours=1))
    with serving(config) as server:
        assert server.ready["created"] == []
        assert "roster is valid from" in server.ready["refused"]["first"]
        server.stop()
    expired = (site / "roster.json").read_bytes()
    (site / "roster.json").write_bytes(valid)
    with serving(config) as server:
        server.stop()
    (site / "roster.json").write_bytes(expired)
    with serving(config) as server:
        assert (server.ready["created"], server.ready["refused"]) == ([], {})
        server.stop()


def test_a_running_session_does_not_change_under_its_table(site: Deployment) -> None:
    with serving(site.configure(session())) as server:
        server.stop()
    with serving(site.configure(session(more="minimum_contributors = 4"))) as server:
        assert (server.ready["sessions"], list(server.ready["refused"])) == (["first"], ["first"])
        assert "session 'first' runs with other parameters" in server.ready["refused"]["first"]
        server.stop()


def test_a_session_that_cannot_be_keeps_no_other_from_running(site: Deployment) -> None:
    """One whose file is missing, and one more than the quota allows, beside one that runs."""
    with serving(site.configure(session())) as server:
        server.stop()
    tables = session() + session("second", 'context_file = "missing"') + session("third") + session("fourth")
    more = '[limits]\nsessions = 2\n[metrics]\naddress = "127.0.0.1:0"'
    with serving(site.configure(tables, more=more)) as server:
        assert (server.ready["sessions"], server.ready["created"]) == (["first", "third"], ["third"])
        assert list(server.ready["refused"]) == ["second", "fourth"]
        assert "missing" in server.ready["refused"]["second"]
        assert "of at most 2" in server.ready["refused"]["fourth"]
        with urllib.request.urlopen(f"http://{server.ready['metrics']}/metrics", timeout=SECONDS) as reply:
            assert "secagg_sessions_refused_total 2.0" in reply.read().decode()
        server.stop()
    told = [line["session"] for line in server.events() if line["event"] == "session refused"]
    assert told == ["second", "fourth"]


def _expire(site: Deployment) -> None:
    keys = {client: load_public_key(site / f"{client}.pub") for client in CLIENTS}
    site.sign(keys, expires=datetime.now(UTC) - timedelta(hours=1))


def _copy(source: str, target: str) -> Callable[[Deployment], object]:
    return lambda site: (site / target).write_bytes((site / source).read_bytes())


CHECKS: Mapping[str, tuple[Callable[[Deployment], object], str, str]] = {
    "a context file that is missing": (lambda site: None, 'context_file = "missing"', "cannot read"),
    "a roster that has expired": (_expire, "", "roster is valid from"),
    "another authority's roster": (_copy("3.pub", "authority.pub"), "", "roster.json"),
    "a private key among the operators": (_copy("operator.key", "operator.pub"), "", "operator.pub"),
    "a TLS key of another certificate": (
        lambda site: (site / "server-key.pem").write_bytes(site.ca.server()[1]),
        "",
        "is not the key of",
    ),
    "a cohort that is not enrolled": (lambda site: None, "clients = [3, 4, 5, 8]", "client 4 and 0 more"),
    "logs in a directory that is missing": (
        lambda site: None,
        '[logs]\nfile = "missing/server.log"',
        "cannot write logs",
    ),
    "more sessions than may be": (lambda site: None, "", "of at most 1"),
}


@pytest.mark.parametrize(("harm", "more", "named"), CHECKS.values(), ids=CHECKS.keys())
def test_a_check_does_what_a_start_does(
    site: Deployment, run: Any, harm: Callable[[Deployment], object], more: str, named: str
) -> None:
    words = ("serve", "--config", str(site.configure(session())), "--check")
    assert run(*words).code == 0
    harm(site)
    few = "[limits]\nsessions = 1" if named.endswith("1") else ""
    site.configure(session(more=more) + (session("second") if few else ""), more=few)
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert "server.toml is not in order: " in outcome.err
    assert named in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (site / "data").exists()


def test_servers_that_cannot_start(site: Deployment, run: Any) -> None:
    config = site.configure(session())
    with serving(config) as server:
        code, problem = refused(config)
        assert code == 1
        assert "another server" in problem
        text = config.read_text(encoding="utf-8")
        text = text.replace('"127.0.0.1:0"', f'"{server.address}"').replace('"data"', '"elsewhere"')
        config.write_text(text, encoding="utf-8")
        code, problem = refused(config)
        assert code == 2
        assert server.address in problem
        server.stop()
    (site / "server-key.pem").write_bytes(site.ca.server()[1])
    assert refused(config)[0] == 2
    (site / "roster.json").write_bytes((site / "roster.json").read_bytes().replace(b'"serial": 1', b'"serial": 2'))
    config.write_text(text.replace('"elsewhere"', '"third"'), encoding="utf-8")
    outcome = run("serve", "--config", str(config), "--check")
    assert outcome.code == 2
    both = re.fullmatch(r"secagg: .* is not in order: (.*)\. Besides: (.*)\n", outcome.err)
    assert both, "the key, and the roster that was changed after the authority signed it"
    assert "server-key.pem" in both[1]
    assert "roster.json" in both[2]


def test_a_server_that_serves_looks_for_cycles_seldom() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()  # The suite itself is frozen.
    try:
        look_for_cycles_seldom()
        assert gc.get_freeze_count() > frozen
        assert gc.get_threshold() == (20_000, *before[1:])
    finally:
        gc.set_threshold(*before)
