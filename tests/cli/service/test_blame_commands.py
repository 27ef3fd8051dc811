"""An operator sees who made a session end and where it goes on, and fetches evidence that anybody can check."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.identity.directory import load_directory
from secagg.identity.keys import load_identity
from secagg.transport.grpc import ClientTls, participate
from tests.cli.deployment import Deployment, serving
from tests.transport.grpc.corrupt import DEALER, LIAR, corrupt_clients

CLIENTS = tuple(range(1, 9))
TABLE = """
[[sessions]]
name = "first"
restarts = 1
max_dropout = 0.0
max_corrupt = 0.0
threshold = 5
[sessions.vectors.counts]
kind = "integers"
shape = [4]
low = 0
high = 100
"""


async def everybody(site: Deployment, address: str) -> list[Any]:
    roster = load_directory(site / "roster.json", site / "authority.pub").keys
    joining = (
        participate(
            address,
            {"counts": np.full(4, client)},
            session="first",
            client_id=client,
            identity=load_identity(site / f"{client}.key"),
            roster=roster,
            policy=secagg.ClientPolicy(minimum_cohort=2, minimum_threshold=1),
            tls=ClientTls((site / "ca.pem").read_bytes()),
        )
        for client in CLIENTS
    )
    return await asyncio.gather(*joining, return_exceptions=True)


def test_who_is_to_blame_is_shown_and_evidence_is_fetched(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt_clients(monkeypatch)
    site = Deployment(tmp_path, CLIENTS)
    with serving(site.configure(TABLE)) as server:
        asyncio.run(everybody(site, server.address))
        watched = run("session", "watch", *words(site, server))
        assert watched.code == 0
        last = f"To blame: client {DEALER} [S22 DEALT_UNREADABLE_PAIR], with evidence; client {LIAR} [S33"
        assert last in watched.out
        assert "It goes on as session first~1." in watched.out
        shown = json.loads(run(*site.operate("status", server.address, "--json")).out)["sessions"]
        assert [(one["session"], one["state"], one["successor"]) for one in shown] == [
            ("first", "aborted", "first~1"),
            ("first~1", "completed", None),
        ]
        assert shown[0]["blame"] == [
            {"client": DEALER, "rule": "S22", "evidence": True},
            {"client": LIAR, "rule": "S33", "evidence": True},
        ]
        out = tmp_path / "evidence"
        fetch = ("session", "evidence", *words(site, server), "--client", str(LIAR), "--out", str(out))
        assert f"evidence against client {LIAR}" in run(*fetch).out
        verified = run(
            *("verify-blame", str(out), "--roster", str(site / "roster.json")),
            *("--authority", str(site / "authority.pub"), "--json"),
        )
        assert json.loads(verified.out)["client"] == LIAR
        sum_ = tmp_path / "sum.npz"
        server.stored("first~1")
        fetched = run(*site.operate("result", server.address, "--session", "first", "--out", str(sum_)))
        assert "Session first ended because of clients; this is the sum of first~1, which follows it." in fetched.out
        honest = [client for client in CLIENTS if client not in (DEALER, LIAR)]
        with np.load(sum_) as found:
            assert found["counts"].tolist() == [sum(honest)] * 4
        released = run(*site.operate("result", server.address, "--session", "first", "--out", f"{sum_}.2"))
        assert "session first~1 was fetched and released" in released.err
        again = run(*fetch)
        assert again.code == 2
        assert "cannot write" in again.err
        server.stop()
    blamed = [(event["client"], event["reason"]) for event in server.events() if event["event"] == "client blamed"]
    assert blamed == [(DEALER, "S22"), (LIAR, "S33")]


def words(site: Deployment, server: Any) -> tuple[str, ...]:
    return site.operate("", server.address, "--session", "first")[1:]
