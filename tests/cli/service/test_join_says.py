"""What `secagg join` says on its way, as processes, and where nobody hears it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.cli.deployment import SECONDS, Deployment, serving

CLIENTS = (3, 5, 8)
SESSION = """
    [[sessions]]
    name = "first"
    [sessions.vectors.counts]
    kind = "integers"
    shape = [4]
    low = 0
    high = 9
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_client_says_what_it_does_and_goes_on_where_nobody_can_be_told(tmp_path: Path) -> None:
    """A log whose disk is full, or a pipe whose reader has gone."""
    site = Deployment(tmp_path, CLIENTS)
    for client in CLIENTS:
        site.input(client, counts=np.arange(4))
    reading, writing = os.pipe()
    os.close(reading)
    with (
        serving(site.configure(SESSION)) as server,
        open("/dev/full", "w", encoding="utf-8") as full,
        open(writing, "w", encoding="utf-8") as gone,
    ):
        told = site.join(server.address, 3)
        untold = [site.join(server.address, 5, stderr=full), site.join(server.address, 8, stderr=gone)]
        assert [process.wait(SECONDS) for process in untold] == [0, 0]
        _, err = told.communicate(timeout=SECONDS)
        assert (told.returncode, err.splitlines()[0]) == (0, f"asking {server.address} for session first")
        assert "joined a session of 3 clients" in err
        assert [json.loads(process.communicate()[0])["outcome"] for process in untold] == ["completed"] * 2
