"""`secagg reload` and SIGHUP: a server takes over what its files say now, and loses nobody for it."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secagg.cli.service.process_file import NAME, process_file, read_process_file
from secagg.errors import ParameterError
from secagg.identity.keys import create_identity, load_public_key
from tests.cli.deployment import Deployment, Server, finished, serving, until
from tests.cli.service.test_serve import CLIENTS, check_sum, session, site

__all__ = ["site"]


def shown(server: Server) -> bytes:
    """The certificate that somebody gets who connects now."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as plain, context.wrap_socket(plain) as connection:
        certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def events(server: Server, name: str) -> list[dict[str, Any]]:
    return [event for event in server.events() if event["event"] == name]


def test_a_reload_takes_over_everything_and_a_session_goes_on(site: Deployment, run: Any) -> None:
    more = '[logs]\nlevel = "debug"\n'
    with serving(site.configure(session(), more=more)) as server:
        waiting = [site.join(server.address, client) for client in CLIENTS[:-1]]
        until(lambda: len(events(server, "answer")) == len(waiting), server)

        before = shown(server)
        certificate, key = site.ca.server()
        (site / "server.pem").write_bytes(certificate)
        (site / "server-key.pem").write_bytes(key)
        create_identity(site / "other.key", site / "other.pub")
        server.log.rename(site / "log.1")
        text = site.configure(session() + session("second"), more=more).read_text(encoding="utf-8")
        (site / "server.toml").write_text(text.replace("operator.pub", "other.pub"), encoding="utf-8")
        told = run("reload", "--config", str(site / "server.toml"), "--json")
        assert (told.code, json.loads(told.out)) == (0, {"pid": server.process.pid})

        assert shown(server) != before
        assert len(events(server, "reloaded")) == 1, "lines go to a new file"
        assert [event["session"] for event in events(server, "session created")] == ["second"]
        gone = run(*site.operate("status", server.address))
        assert (gone.code, "operator" in gone.err) == (1, True)
        (site / "operator.key").write_bytes((site / "other.key").read_bytes())
        listed = json.loads(run(*site.operate("status", server.address, "--json")).out)["sessions"]
        assert [status["session"] for status in listed] == ["first", "second"]

        waiting.append(site.join(server.address, CLIENTS[-1]))
        assert [finished(process)[0::2] for process in waiting] == [(0, "")] * len(CLIENTS)
        server.stored()
        run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "sum")))
        check_sum(site / "sum")
        assert server.stop()[0] == 0


def test_a_client_that_is_taken_out_of_the_roster_is_dropped_from_what_runs(site: Deployment, run: Any) -> None:
    offered = session(more='threat_model = "semi-honest"\nmax_dropout = 0.3')
    revoked, *others = CLIENTS
    keys = {client: load_public_key(site / f"{client}.pub") for client in CLIENTS}
    with serving(site.configure(offered, more='[logs]\nlevel = "debug"\n')) as server:
        model = ("--threat-model", "semi-honest")
        waiting = [site.join(server.address, client, *model) for client in CLIENTS[:-1]]
        until(lambda: len(events(server, "answer")) == len(waiting), server)
        site.sign({client: keys[client] for client in others}, serial=2)
        assert run("reload", "--config", str(site / "server.toml")).code == 0
        code, _, err = finished(waiting.pop(0))
        assert (code, "H03" in err) == (1, True)
        (dropped,) = events(server, "client dropped")
        assert (dropped["client"], dropped["reason"]) == (revoked, "H03")

        # An older roster would let it in again.
        site.sign(keys, serial=1)
        older = run("reload", "--config", str(site / "server.toml"))
        assert (older.code, "serial 1, and 2 was read before" in older.err) == (2, True)

        waiting.append(site.join(server.address, CLIENTS[-1], *model))
        assert [finished(process)[0::2] for process in waiting] == [(0, "")] * len(others)
        server.stored()
        run(*site.operate("result", server.address, "--session", "first", "--out", str(site / "sum")))
        check_sum(site / "sum", tuple(others))
        server.stop()


def test_a_configuration_that_is_wrong_changes_nothing_and_is_said(site: Deployment, run: Any) -> None:
    config = site.configure(session())
    with serving(config) as server:
        before = shown(server)
        whole = config.read_text(encoding="utf-8")
        certificate, key = site.ca.server()
        (site / "server.pem").write_bytes(certificate)  # not the certificate of the key beside it
        refused = run("reload", "--config", str(config))
        assert (refused.code, "the server goes on as before" in refused.err) == (2, True)
        (site / "server-key.pem").write_bytes(key)

        config.write_text(whole + "nonsense = [", encoding="utf-8")
        unread = run("reload", "--config", str(config))
        assert (unread.code, "is no TOML" in unread.err) == (2, True)
        server.process.send_signal(signal.SIGHUP)
        # What this one came to must not be taken for what comes of the next.
        until(lambda: read_process_file(site / "data").reloads == 2, server)
        assert len(events(server, "reload refused")) == 2
        assert shown(server) == before

        config.write_text(whole.replace('"127.0.0.1:0"', '"127.0.0.1:1"') + "[work]\nprocesses = 2\n", encoding="utf-8")
        assert run("reload", "--config", str(config)).code == 0
        (warned,) = events(server, "a restart is needed for what changed")
        assert warned["keys"] == ["listen.address", "work"]
        assert shown(server) != before
        server.stop()
    stopped = run("reload", "--config", str(config))
    assert (stopped.code, "no server runs with" in stopped.err) == (2, True)


def test_without_a_directory_the_process_is_named(site: Deployment, run: Any) -> None:
    config = site.configure(session())
    config.write_text(config.read_text(encoding="utf-8").replace('directory = "data"', "memory = true"), "utf-8")
    with serving(config) as server:
        asked = run("reload", "--config", str(config))
        assert (asked.code, "give --pid" in asked.err) == (2, True)
        assert run("reload", "--config", str(config), "--pid", str(server.process.pid)).code == 0
        until(lambda: len(events(server, "reloaded")) == 1, server)
        server.stop()
    gone = run("reload", "--config", str(config), "--pid", str(server.process.pid))
    assert (gone.code, "there is no process" in gone.err) == (2, True)


def test_another_program_is_not_signalled(site: Deployment, run: Any) -> None:
    config = site.configure(session())
    with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as other:
        refused = run("reload", "--config", str(config), "--pid", str(other.pid))
        other.communicate(b"\n")
    assert (refused.code, "is no `secagg serve`" in refused.err, other.returncode) == (2, True, 0)


def test_a_server_that_says_it_is_ready_hears_hangups_and_none_ends_it(site: Deployment) -> None:
    with serving(site.configure(session())) as server:
        for _ in range(20):
            server.process.send_signal(signal.SIGHUP)
        until(lambda: len(events(server, "reloaded")) >= 1, server)
        assert server.stop()[0] == 0


def test_the_file_of_a_process_that_died_names_nobody(tmp_path: Path) -> None:
    with process_file(tmp_path) as file:
        assert file is not None
        with pytest.raises(ParameterError, match="no server runs"):
            read_process_file(tmp_path)
        file.begin()
        noted = read_process_file(tmp_path)
        assert (noted.reloads, noted.trouble) == (0, "")
        file.reloaded("x" * 100_000)
        noted = read_process_file(tmp_path)
        assert (noted.reloads, noted.trouble[:3]) == (1, "xxx")
        file.reloaded("")
        assert (read_process_file(tmp_path).reloads, read_process_file(tmp_path).trouble) == (2, "")
    assert (tmp_path / NAME).exists()
    with pytest.raises(ParameterError, match="no server runs"):
        read_process_file(tmp_path)
