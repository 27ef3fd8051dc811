"""`secagg key show` and `secagg roster show`: whose key, which clients, until when; one form of fingerprints."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg.crypto.signing import IdentityKey
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity
from secagg.identity.roster import SignedRoster


@pytest.fixture
def authority(tmp_path: Path) -> IdentityKey:
    return create_identity(tmp_path / "authority.key", tmp_path / "authority.pub")


def signed(directory: Path, authority: IdentityKey, days: float = 9.0) -> tuple[Path, dict[int, bytes]]:
    keys = {client: IdentityKey.generate().public for client in (7, 2**64 - 1)}
    now = datetime.now(UTC) - timedelta(days=1)
    roster = directory / "roster.json"
    made = SignedRoster.sign(keys, serial=4, issued=now, expires=now + timedelta(days=days), authority=authority)
    roster.write_bytes(made.encode())
    return roster, keys


@pytest.mark.parametrize("kind", ["private", "public"])
def test_a_key_is_shown_by_its_kind_and_fingerprint_alone(run: Any, tmp_path: Path, kind: str) -> None:
    key = create_identity(tmp_path / "17.key", tmp_path / "17.pub")
    file = tmp_path / ("17.key" if kind == "private" else "17.pub")
    shown = run("key", "show", str(file))
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == f"{file}: {kind} key, fingerprint {fingerprint(key.public)}.\n"
    record = json.loads(run("key", "show", str(file), "--json").out)
    assert record == {
        "file": str(file),
        "kind": kind,
        "key": key.public.hex(),
        "fingerprint": fingerprint(key.public),
    }
    assert bytes(key.seed.expose()).hex() not in shown.out + json.dumps(record)


def test_what_is_no_key_and_what_others_may_read_is_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("no key")
    create_identity(tmp_path / "17.key", tmp_path / "17.pub")
    (tmp_path / "17.key").chmod(0o644)
    for file, said in (("note", "no public key"), ("17.key", "run chmod 600"), ("absent", "cannot read")):
        refused = run("key", "show", str(tmp_path / file))
        assert (refused.code, refused.out) == (2, "")
        assert said in refused.err


def test_a_roster_is_shown_with_ids_fingerprints_and_expiry(run: Any, tmp_path: Path, authority: IdentityKey) -> None:
    roster, keys = signed(tmp_path, authority)
    shown = run("roster", "show", str(roster))
    assert (shown.code, shown.err) == (0, "")
    for client, key in keys.items():
        assert f"{client} " in shown.out
        assert fingerprint(key) in shown.out
    assert "2 clients, serial 4, valid until" in shown.out
    assert f"fingerprint {fingerprint(authority.public)}, as the roster itself says" in shown.out
    words = ("--authority", str(tmp_path / "authority.pub"), "--json")
    record = json.loads(run("roster", "show", str(roster), *words).out)
    assert (record["verified"], record["expired"], record["serial"]) == (True, False, 4)
    assert record["authority"] == fingerprint(authority.public)
    assert [entry["fingerprint"] for entry in record["clients"]] == [fingerprint(key) for key in keys.values()]
    assert [entry["id"] for entry in record["clients"]] == list(keys)


def test_an_expired_roster_can_be_looked_at_and_says_so(run: Any, tmp_path: Path, authority: IdentityKey) -> None:
    roster, _ = signed(tmp_path, authority, days=0.5)
    assert "EXPIRED since" in run("roster", "show", str(roster)).out
    assert json.loads(run("roster", "show", str(roster), "--json").out)["expired"] is True


def test_a_roster_that_was_changed_or_signed_by_another_is_refused(
    run: Any, tmp_path: Path, authority: IdentityKey
) -> None:
    roster, keys = signed(tmp_path, authority)
    create_identity(tmp_path / "mallory.key", tmp_path / "mallory.pub")
    other = run("roster", "show", str(roster), "--authority", str(tmp_path / "mallory.pub"))
    assert (other.code, other.out) == (2, "")
    assert fingerprint(authority.public) in other.err
    roster.write_text(roster.read_text().replace(keys[7].hex(), IdentityKey.generate().public.hex()))
    changed = run("roster", "show", str(roster))
    assert (changed.code, changed.out) == (2, "")
    assert "it was changed after the authority signed it" in changed.err


def test_removing_a_stranger_is_no_reason_to_enroll_one(run: Any, tmp_path: Path, authority: IdentityKey) -> None:
    roster, _ = signed(tmp_path, authority)
    words = ("enroll", "--roster", str(roster), "--authority", str(tmp_path / "authority.key"))
    removed = run(*words, "--remove", "99")
    assert removed.code == 2
    assert "--remove: client 99 is not in the roster" in removed.err
    assert "--add" not in removed.err
    replaced = run(*words, "--replace", f"99={tmp_path / 'authority.pub'}")
    assert "--replace: client 99 is not in the roster; enroll it with --add" in replaced.err
    assert "named twice" in run(*words, "--remove", "7", "--remove", "7").err
