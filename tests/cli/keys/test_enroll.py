"""`secagg enroll`: a roster under an authority's signature, changed by nobody else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg.errors import ParameterError
from secagg.identity.directory import load_directory
from secagg.identity.keys import create_identity, load_identity, load_public_key
from secagg.identity.roster import SignedRoster


class Office:
    """A directory with an authority, a roster, and keys of people."""

    def __init__(self, run: Any, directory: Path) -> None:
        self.run = run
        self.directory = directory
        self.roster = directory / "roster.json"
        for name in ("alice", "bob", "carol", "mallory"):
            create_identity(directory / f"{name}.key", directory / f"{name}.pub")

    def enroll(self, *words: str, authority: str = "authority.key") -> Any:
        return self.run("enroll", "--roster", str(self.roster), "--authority", str(self.directory / authority), *words)

    def named(self, client: int, name: str) -> str:
        return f"{client}={self.directory / name}.pub"

    def key(self, name: str) -> bytes:
        return load_public_key(self.directory / f"{name}.pub")

    def keys(self) -> dict[int, bytes]:
        return dict(load_directory(self.roster, self.directory / "authority.pub").keys)


@pytest.fixture
def office(run: Any, tmp_path: Path) -> Office:
    made = Office(run, tmp_path)
    outcome = made.enroll("--create-authority", "--add", made.named(7, "alice"), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return made


def test_an_authority_and_its_roster_are_made(office: Office) -> None:
    assert office.keys() == {7: office.key("alice")}
    found = load_directory(office.roster, office.directory / "authority.pub")
    assert found.serial == 1
    assert found.expires is not None
    assert timedelta(days=364) < found.expires - datetime.now(UTC) <= timedelta(days=365)


def test_json_says_what_was_signed(office: Office) -> None:
    outcome = office.enroll("--add", office.named(8, "bob"), "--days", "10", "--json")
    record = json.loads(outcome.out)
    assert (record["clients"], record["serial"], record["roster"]) == (2, 2, str(office.roster))
    assert record["authority"] == office.key("authority").hex()
    assert datetime.fromisoformat(record["expires"]) - datetime.now(UTC) <= timedelta(days=10)


def test_text_is_two_sentences(office: Office) -> None:
    outcome = office.enroll("--add", office.named(8, "bob"))
    assert (outcome.code, outcome.err) == (0, "")
    assert "2 clients, serial 2" in outcome.out
    assert "fingerprint" in outcome.out


def test_clients_are_added_replaced_and_removed(office: Office) -> None:
    assert office.enroll("--add", office.named(8, "bob"), "--add", office.named(2**64 - 1, "carol")).code == 0
    assert office.enroll("--remove", "7", "--replace", office.named(8, "mallory")).code == 0
    assert office.keys() == {8: office.key("mallory"), 2**64 - 1: office.key("carol")}


def test_enrolling_the_same_again_and_nothing_at_all_renews(office: Office) -> None:
    assert office.enroll("--add", office.named(7, "alice")).code == 0
    assert office.enroll().code == 0
    assert load_directory(office.roster, office.directory / "authority.pub").serial == 3


def test_an_expired_roster_can_be_renewed(office: Office) -> None:
    now = datetime.now(UTC)
    old = SignedRoster.sign(
        office.keys(),
        serial=6,
        issued=now - timedelta(days=9),
        expires=now - timedelta(days=1),
        authority=load_identity(office.directory / "authority.key"),
    )
    office.roster.write_bytes(old.encode())
    with pytest.raises(ParameterError, match="valid from"):
        office.keys()
    assert office.enroll().code == 0
    assert office.keys() == {7: office.key("alice")}
    assert load_directory(office.roster, office.directory / "authority.pub").serial == 7


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "another key for an id": (("--add", "7=bob.pub"), "client 7 is enrolled with another key"),
    "one key for two": (("--add", "8=alice.pub"), "clients 7 and 8 have one key"),
    "removing a stranger": (("--remove", "9"), "client 9 is not in the roster"),
    "replacing a stranger": (("--replace", "9=bob.pub"), "client 9 is not in the roster"),
    "twice in one call": (("--add", "8=bob.pub", "--add", "8=carol.pub"), "client 8 twice"),
    "no file": (("--add", "8"), "names no key"),
    "no id": (("--add", "=bob.pub"), "no client id"),
    "a negative id": (("--add", "-8=bob.pub"), "no client id"),
    "an id too large": (("--remove", str(2**64)), "no client id"),
    "other digits": (("--remove", "\u0663"), "no client id"),
    "a missing key": (("--add", "8=nobody.pub"), "cannot read nobody.pub"),
    "a private key": (("--add", "8=bob.key"), "private key where a public key belongs"),
    "no days": (("--days", "0"), "--days 0"),
    "endless": (("--days", "inf"), "--days inf"),
    "no number of days": (("--days", "nan"), "--days nan"),
    "a new authority for an old roster": (("--create-authority",), "exists already"),
}


@pytest.mark.parametrize(("words", "sentence"), BAD.values(), ids=BAD.keys())
def test_what_is_refused_leaves_the_roster_as_it_was(
    office: Office, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(office.directory)
    before = office.roster.read_bytes()
    outcome = office.enroll(*words, "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert office.roster.read_bytes() == before


def test_another_key_signs_nothing_over_an_authoritys_roster(office: Office) -> None:
    before = office.roster.read_bytes()
    outcome = office.enroll("--add", office.named(8, "mallory"), authority="mallory.key")
    assert outcome.code == 2
    assert "signed by the authority with fingerprint" in outcome.err
    assert office.roster.read_bytes() == before


def test_a_roster_that_somebody_changed_is_not_signed_again(office: Office) -> None:
    fields = json.loads(office.roster.read_bytes())
    fields["clients"].append({"id": 8, "key": office.key("mallory").hex()})
    office.roster.write_text(json.dumps(fields), encoding="utf-8")
    outcome = office.enroll("--add", office.named(9, "bob"))
    assert outcome.code == 2
    assert "changed after the authority signed it" in outcome.err


def test_an_authoritys_key_that_others_may_read_is_refused(office: Office) -> None:
    (office.directory / "authority.key").chmod(0o644)
    outcome = office.enroll("--add", office.named(8, "bob"))
    assert outcome.code == 2
    assert "mode 0644" in outcome.err


def test_a_refused_first_roster_leaves_no_authority(run: Any, tmp_path: Path) -> None:
    office = Office(run, tmp_path)
    outcome = office.enroll("--create-authority", "--add", office.named(1, "bob"), "--add", office.named(2, "bob"))
    assert outcome.code == 2
    assert not (tmp_path / "authority.key").exists()
    assert not office.roster.exists()
