"""`secagg keygen`."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import load_identity, load_public_key


def test_json_names_the_files_and_the_public_key_and_nothing_private(run: Any, tmp_path: Path) -> None:
    private, public = tmp_path / "alice.key", tmp_path / "alice.pub"
    outcome = run("keygen", "--out", str(private), "--json")
    key = load_identity(private)
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {
        "private": str(private),
        "public": str(public),
        "key": key.public.hex(),
        "fingerprint": fingerprint(key.public),
    }
    assert load_public_key(public) == key.public
    assert bytes(key.seed.expose()).hex() not in outcome.out
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_text_gives_a_fingerprint(run: Any, tmp_path: Path) -> None:
    outcome = run("keygen", "--out", str(tmp_path / "a.key"), "--public", str(tmp_path / "b.pub"))
    assert (outcome.code, outcome.err) == (0, "")
    assert "fingerprint" in outcome.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.key", "b.pub"]


def test_an_existing_key_is_never_overwritten(run: Any, tmp_path: Path) -> None:
    assert run("keygen", "--out", str(tmp_path / "a.key")).code == 0
    before = (tmp_path / "a.key").read_bytes()
    outcome = run("keygen", "--out", str(tmp_path / "a.key"), "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert "exists already" in outcome.err
    assert (tmp_path / "a.key").read_bytes() == before


def test_a_private_key_cannot_take_the_name_of_its_public_half(run: Any, tmp_path: Path) -> None:
    outcome = run("keygen", "--out", str(tmp_path / "a.pub"))
    assert (outcome.code, outcome.out) == (2, "")
    assert "name for a public key" in outcome.err


def test_a_path_must_be_given(run: Any) -> None:
    outcome = run("keygen", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--out" in outcome.err
