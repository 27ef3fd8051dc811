"""`secagg audit verify`, and the audit log of a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import load_public_key
from tests.cli.deployment import Deployment, serving, until
from tests.cli.service.test_serve import session, site
from tests.telemetry.test_audit_log import lines_of, written

__all__ = ["site"]


def test_the_command_says_whether_it_is_whole(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "audit"
    lines = written(path)
    whole = json.loads(run("audit", "verify", str(path), "--json").out)
    assert whole["lines"] == 5
    assert run("audit", "verify", str(path), "--head", whole["head"]).code == 0
    path.write_bytes(b"".join(lines[:-1]))
    assert run("audit", "verify", str(path)).code == 0
    cut = run("audit", "verify", str(path), "--head", whole["head"])
    assert (cut.code, "lines were cut off" in cut.err) == (1, True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    broken = run("audit", "verify", str(path))
    assert (broken.code, "line 3 of" in broken.err) == (1, True)


def test_a_server_writes_who_did_what(site: Deployment, run: Any) -> None:
    config = site.configure(session(), more='[audit]\nfile = "audit"\n')
    with serving(config) as server:
        assert run("session", *site.operate("abort", server.address, "--session", "first")).code == 0
        until(lambda: "session aborted" in [line["event"] for line in lines_of(site / "audit")], server)
        (site / "audit").rename(site / "audit.1")
        assert run("reload", "--config", str(config)).code == 0
        server.stop()
    lines = lines_of(site / "audit.1") + lines_of(site / "audit")
    events = [line["event"] for line in lines]
    assert events[:2] == ["server started", "session created"]
    assert {"logged in", "operator aborted a session", "session aborted", "configuration reloaded"} <= set(events)
    operator = fingerprint(load_public_key(site / "operator.pub"))
    assert {line["actor"] for line in lines if line["event"].startswith(("logged", "operator"))} == {operator}
    begun = "a new chain of the audit log begins, as at a first start; at a later one, the file was moved away"
    assert [line["level"] for line in server.events() if line["event"] == begun] == ["warning"]
    whole = run("audit", "verify", str(site / "audit.1"), str(site / "audit"))
    assert (whole.code, whole.out.startswith(f"Whole up to line {len(lines)}")) == (0, True)
    head = json.loads(run("audit", "verify", str(site / "audit.1"), "--json").out)["head"]
    for after, code in ((head, 0), ("0" * 64, 1)):
        assert run("audit", "verify", str(site / "audit"), "--after", after).code == code
