"""`secagg demo --cluster`: three real servers over a real PostgreSQL, of which one dies, and a sum that is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from secagg.cli.demo import throwaway
from secagg.cli.demo.replicas import Replica


@pytest.mark.cluster
def test_the_owner_is_killed_and_the_sum_is_right() -> None:
    if missing := throwaway.missing():
        pytest.skip(missing)
    done = subprocess.run(
        [sys.executable, "-m", "secagg.cli.main", "demo", "--cluster", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    record = json.loads(done.stdout)
    assert record["exact"] is True
    assert record["lost"] == []
    assert (record["replicas"], record["server_kills"], record["clients"]) == (3, 1, 20)
    assert record["failover_seconds"] > 1  # nobody took the session from one that may live
    killed = record["killed"]
    assert set(record["contributors"]) == set(range(1, 21)) - {killed["advertise_keys"], killed["share_keys"]}


def test_without_the_servers_of_others_it_says_what_to_install(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throwaway, "haproxy_program", lambda: None)
    monkeypatch.setattr(throwaway, "postgres_programs", lambda: None)
    outcome = run("demo", "--cluster")
    assert outcome.code == 0
    assert "SKIPPED: PostgreSQL and HAProxy are not installed here: apt-get install postgresql haproxy" in outcome.out
    assert json.loads(run("demo", "--cluster", "--json").out) == {"skipped": throwaway.missing()}


def test_one_demo_at_a_time(run: Any) -> None:
    outcome = run("demo", "--cluster", "--network")
    assert outcome.code == 2
    assert "--network and --cluster are two demos" in outcome.err


def test_a_replica_that_is_about_to_log_has_the_epoch_of_its_last_whole_line(tmp_path: Path) -> None:
    replica = Replica(2, 8472, 8482, tmp_path)
    assert replica.epoch("a") == 0
    taken = [
        {"event": "lease taken", "session": name, "epoch": epoch} for name, epoch in (("a", 3), ("b", 9), ("a", 7))
    ]
    lines = [json.dumps(event) for event in taken]
    replica.log.write_text("\n".join(lines)[:-4], encoding="utf-8")
    assert (replica.epoch("a"), replica.epoch("b")) == (3, 9)
    replica.log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert replica.epoch("a") == 7
