"""`secagg demo --network`: real processes over TLS, some killed, and a sum that is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from secagg.cli.demo import deployment
from secagg.cli.demo.network import free_ports
from secagg.cli.service.server_config import load_config
from secagg.identity.directory import load_directory
from secagg.identity.loopback import create_loopback_certificate
from secagg.transport.grpc import ServerTls
from secagg.transport.grpc.credentials import Shown
from tests.harness import ROUNDS as ACTIVE_ROUNDS

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
ROUNDS = [round_.value for round_ in ACTIVE_ROUNDS]


@pytest.mark.slow
def test_clients_and_server_are_killed_and_the_sum_is_right() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "secagg.cli.main", "demo", "--network", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    record = json.loads(done.stdout)
    assert record["exact"] is True
    assert record["lost"] == []
    assert (record["clients"], record["server_kills"]) == (20, 1)
    assert list(record["killed"]) == ROUNDS
    assert len(set(record["killed"].values())) == 5
    # Whoever died before the masked input is not in the sum; whoever died after it is.
    killed = record["killed"]
    outside = {killed["advertise_keys"], killed["share_keys"]}
    assert set(record["contributors"]) == set(range(1, 21)) - outside
    assert set(record["completed"]) >= set(range(1, 21)) - set(killed.values())


def test_too_few_clients_are_refused(run: Any) -> None:
    outcome = run("demo", "--network", "--clients", "19")
    assert (outcome.code, outcome.out) == (2, "")
    assert "five of 20 are killed" in outcome.err


@pytest.mark.skipif(not EPHEMERAL.exists(), reason="Linux says there which ports connections are given")
def test_ports_are_none_that_a_connection_is_given_while_no_server_has_them_yet() -> None:
    first, last = map(int, EPHEMERAL.read_text().split())
    ports = free_ports(3)
    assert len(set(ports)) == 3
    assert not [port for port in ports if first <= port <= last]


def test_the_deployment_is_one_that_the_server_takes(tmp_path: Path) -> None:
    inputs = deployment.deploy(tmp_path, 20, 8, "127.0.0.1:0", 3.0)
    config = load_config(tmp_path / "server.toml")
    assert config.rounds.masked_input == 3.0
    assert len(load_directory(tmp_path / "roster.json", tmp_path / "authority.pub").keys) == len(inputs) == 20
    with np.load(tmp_path / "7.npz") as stored:
        assert stored["counts"].tolist() == inputs[7].tolist()


def test_a_loopback_certificate_is_one_for_a_server(tmp_path: Path) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    create_loopback_certificate(certificate, key)
    Shown(ServerTls.from_files(certificate, key)).credentials()
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(secagg.ParameterError, match="exists"):
        create_loopback_certificate(certificate, key)
