"""`secagg verify-blame` says whom evidence is against, and nothing of what is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg import Round
from secagg.crypto.signing import IdentityKey
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity
from secagg.identity.roster import SignedRoster
from tests.dealers import contradicting, garbage_from, off
from tests.harness import Harness


@pytest.fixture
def ended() -> Harness:
    """A session that client 2 ended: it dealt garbage to client 4."""
    harness = Harness(5, threat_model="active", threshold=3).run_to(Round.SHARE_KEYS)
    harness.play_round(on_answer=garbage_from(harness, {2: [4]}))
    return harness.finish()


def roster_of(keys: dict[int, bytes], directory: Path, authority: IdentityKey) -> str:
    now = datetime.now(UTC)
    made = SignedRoster.sign(keys, serial=1, issued=now, expires=now + timedelta(days=9), authority=authority)
    (directory / "roster.json").write_bytes(made.encode())
    return str(directory / "roster.json")


def test_evidence_is_checked_with_the_roster_alone(run: Any, tmp_path: Path, ended: Harness) -> None:
    authority = create_identity(tmp_path / "authority.key", tmp_path / "authority.pub")
    roster = roster_of(ended.roster, tmp_path, authority)
    (blame,) = ended.server.blame
    file = tmp_path / "evidence"
    file.write_bytes(blame.evidence or b"")
    shown = run("verify-blame", str(file), "--roster", roster, "--authority", str(tmp_path / "authority.pub"))
    assert (shown.code, shown.err) == (0, "")
    assert f"Client 2, whose key has fingerprint {fingerprint(ended.roster[2])}, signed shares that" in " ".join(
        shown.out.split()
    )
    record = json.loads(run("verify-blame", str(file), "--roster", roster, "--json").out)
    assert (record["client"], record["rule"], record["session"]) == (2, "S22", ended.session.hex())


def test_evidence_of_a_dealing_is_checked_likewise(run: Any, tmp_path: Path) -> None:
    harness = Harness(5, threat_model="active", threshold=3).run_to(Round.SHARE_KEYS)

    def deal(client: int, answer: bytes) -> bytes:
        return contradicting(harness, 2, answer, lambda _, shares: off(shares), [5]) if client == 2 else answer

    harness.play_round(on_answer=deal)
    harness.finish()
    (blame,) = harness.server.blame
    (tmp_path / "evidence").write_bytes(blame.evidence or b"")
    authority = create_identity(tmp_path / "authority.key", tmp_path / "authority.pub")
    roster = roster_of(harness.roster, tmp_path, authority)
    shown = run("verify-blame", str(tmp_path / "evidence"), "--roster", roster)
    assert (shown.code, shown.err) == (0, "")
    assert "signed shares that contradict each other or what it advertised" in " ".join(shown.out.split())
    record = json.loads(run("verify-blame", str(tmp_path / "evidence"), "--roster", roster, "--json").out)
    assert (record["client"], record["rule"], record["session"]) == (2, "S23", harness.session.hex())


def test_what_shows_nothing_is_said_in_a_sentence(run: Any, tmp_path: Path, ended: Harness) -> None:
    authority = create_identity(tmp_path / "authority.key", tmp_path / "authority.pub")
    (blame,) = ended.server.blame
    evidence = blame.evidence or b""
    file = tmp_path / "evidence"
    for content, keys, said in (
        (evidence[:-1], ended.roster, "are no evidence"),
        (evidence[:-1] + bytes([evidence[-1] ^ 1]), ended.roster, "does not disclose what clients 2 and 4"),
        (evidence, {**ended.roster, 2: ended.roster[3], 3: ended.roster[2]}, "client 2 did not sign"),
        (evidence, {1: ended.roster[1]}, "is not in the roster"),
    ):
        file.write_bytes(content)
        refused = run("verify-blame", str(file), "--roster", roster_of(dict(keys), tmp_path, authority))
        assert (refused.code, refused.out) == (1, "")
        assert said in refused.err
