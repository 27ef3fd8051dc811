"""`secagg session page`: a link to the page of a server that runs, and a sentence where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from secagg.identity.keys import create_identity
from secagg.telemetry.audit import AuditEvent
from secagg.transport.http.contexts import client_context
from secagg.transport.tls import ClientTls
from tests.cli.deployment import Deployment, serving

SESSION = """
    [[sessions]]
    name = "first"
    [sessions.vectors.counts]
    kind = "integers"
    shape = [3]
    low = 0
    high = 1
"""
HTTP = '[http]\naddress = "127.0.0.1:0"\n'


@pytest.fixture
def site(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path, (1, 2, 3))


def page(site: Deployment, address: str, *words: str) -> tuple[str, ...]:
    return ("session", "page", *site.operate("", address)[1:], *words)


def test_a_link_opens_the_page_and_its_login_is_in_the_audit_log(site: Deployment, run: Any) -> None:
    config = site.configure(SESSION, more=f'{HTTP}operator_page = true\n[audit]\nfile = "audit"\n')
    with serving(config) as server:
        url = f"https://{server.ready['http']}"
        outcome = run(*page(site, url, "--json"))
        assert (outcome.code, outcome.err) == (0, "")
        address, _, token = json.loads(outcome.out)["link"].partition("#")
        assert address == f"{url}/operator"
        trust = client_context(ClientTls(site.ca.pem))
        with httpx.Client(verify=trust, trust_env=False, timeout=60) as browser:
            assert browser.get(address).status_code == 200
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            listed = browser.post(f"{url}/secagg/v1/ListSessions", headers=headers, content="{}")
            assert listed.json()["sessions"] == ["first"]
        plain = run(*page(site, url))
        assert plain.out.startswith(f"{address}#")
        assert plain.out.endswith("\n")

        create_identity(site / "stranger.key", site / "stranger.pub")
        refused = run(*page(site, url, "--identity", str(site / "stranger.key")))
        assert (refused.code, refused.out) == (1, "")
        assert "is no operator's here" in refused.err
        assert str(site / "stranger.key") in refused.err
        assert server.stop()[0] == 0
        assert token not in server.log.read_text(encoding="utf-8")
    events = [
        AuditEvent(json.loads(line)["event"]) for line in (site / "audit").read_text(encoding="utf-8").splitlines()
    ]
    assert [event for event in events if "logged in" in event.value] == [
        AuditEvent.LOGGED_IN,
        AuditEvent.LOGGED_IN_AGAIN,
    ]
    assert token not in (site / "audit").read_text(encoding="utf-8")


def test_where_there_is_no_page_a_sentence_says_what_to_do(site: Deployment, run: Any) -> None:
    with serving(site.configure(SESSION, more=HTTP)) as server:
        without = run(*page(site, f"https://{server.ready['http']}"))
        assert (without.code, without.out) == (2, "")
        assert "shows no page (HTTP 404); set operator_page = true in [http]" in " ".join(without.err.split())
        by_grpc = run(*page(site, server.address))
        assert (by_grpc.code, by_grpc.out) == (2, "")
        assert "is no address of a page; give https://HOST:PORT" in " ".join(by_grpc.err.split())
        wrong = run(*page(site, f"https://{server.address}", "--give-up", "0.1"))
        assert (wrong.code, wrong.out) == (1, "")
        server.stop()
