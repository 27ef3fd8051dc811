"""`secagg invite` and `secagg enroll --from-invitations`: the authority's two commands of joining by a link."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg import IdentityKey
from secagg.crypto.pem import public_pem
from secagg.identity.claims import Claim
from secagg.identity.directory import load_directory
from secagg.identity.enrolment import Enrolment
from secagg.identity.invitations import verify_invitations
from secagg.identity.keys import create_identity, load_identity
from secagg.identity.links import Invitation

SERVER = "https://sums.example.org:8443"
PAGE = "https://app.example.org/"


class Office:
    """An authority that invites, and a server's directory of claims."""

    def __init__(self, run: Any, directory: Path) -> None:
        self.run = run
        self.directory = directory
        self.claims = directory / "claims"
        create_identity(directory / "authority.key", directory / "authority.pub")
        self.authority = load_identity(directory / "authority.key")

    def invite(self, *words: str, out: str = "invitations.json", links: str = "links.txt", **options: str) -> Any:
        given = {"server": SERVER, "page": PAGE, "session": "survey-1", "clients": "1..3,9", **options}
        return self.run(
            *("invite", "--authority", str(self.directory / "authority.key")),
            *(word for name, value in given.items() for word in (f"--{name}", value)),
            *("--out", str(self.directory / out), "--links", str(self.directory / links), *words),
        )

    def enroll(self, *words: str, file: str = "invitations.json", claims: Path | None = None) -> Any:
        return self.run(
            *("enroll", "--roster", str(self.directory / "roster.json")),
            *("--authority", str(self.directory / "authority.key")),
            *("--from-invitations", str(self.directory / file), "--claims", str(claims or self.claims), *words),
        )

    def links(self) -> dict[int, Invitation]:
        lines = (self.directory / "links.txt").read_text(encoding="utf-8").splitlines()
        return {int(client): Invitation.parse(link) for client, link in (line.split("\t") for line in lines)}

    def comes(self, client: int, identity: IdentityKey | None = None) -> bytes:
        """A client redeems its link; the server keeps the claim."""
        own = identity or IdentityKey.generate()
        listed = verify_invitations((self.directory / "invitations.json").read_bytes(), self.authority.public)
        Enrolment(listed, self.claims).receive(self.links()[client].claim(own), datetime.now(UTC), {})
        return own.public

    def keys(self) -> dict[int, bytes]:
        return dict(load_directory(self.directory / "roster.json", self.directory / "authority.pub").keys)


@pytest.fixture
def office(run: Any, tmp_path: Path) -> Office:
    return Office(run, tmp_path)


@pytest.fixture
def inviting(office: Office) -> Office:
    assert office.invite().code == 0
    return office


def test_each_client_gets_a_link_and_the_server_a_list(office: Office) -> None:
    outcome = office.invite("--days", "3", "--json")
    record = json.loads(outcome.out)
    assert (outcome.code, outcome.err, record["clients"], record["session"]) == (0, "", 4, "survey-1")
    listed = verify_invitations((office.directory / "invitations.json").read_bytes(), office.authority.public)
    assert {client: sent.key.public for client, sent in office.links().items()} == dict(listed.keys)
    assert list(listed.keys) == [1, 2, 3, 9]
    assert (listed.server, listed.session) == (SERVER, "survey-1")
    assert timedelta(days=2, hours=23) < listed.expires - datetime.now(UTC) <= timedelta(days=3)
    assert {sent.authority for sent in office.links().values()} == {office.authority.public}
    assert stat.S_IMODE((office.directory / "links.txt").stat().st_mode) == 0o600


def test_nothing_that_is_printed_or_given_to_the_server_is_a_secret(office: Office) -> None:
    said = office.invite().out + office.invite("--json", out="b.json", links="b.txt").out
    given = said + (office.directory / "invitations.json").read_text(encoding="utf-8")
    for sent in office.links().values():
        assert bytes(sent.secret.expose()).hex() not in given
        assert sent.link(PAGE).partition("#")[2] not in given


BAD: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "no ids": ({"clients": ""}, (), "--clients '' is no client id"),
    "words": ({"clients": "all"}, (), "--clients 'all' is no client id"),
    "backwards": ({"clients": "3..1"}, (), "goes backwards"),
    "half a range": ({"clients": "3.."}, (), "is no client id"),
    "too many": ({"clients": "1..100001"}, (), "more than 100000 clients"),
    "endless": ({"clients": f"0..{2**64 - 1}"}, (), "more than 100000 clients"),
    "twice": ({"clients": "1..3,2"}, (), "client 2 stands in the invitation list twice"),
    "no session": ({"session": "a b"}, (), "is no session name"),
    "no server": ({"server": ""}, (), "is no address of a service"),
    "no page": ({"page": "http://app.example.org/"}, (), "is no page for invitations; give https://"),
    "a page with a fragment": ({"page": f"{PAGE}#a"}, (), "is no page for invitations"),
    "no days": ({}, ("--days", "0"), "--days 0"),
    "endless days": ({}, ("--days", "inf"), "--days inf"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_words_invite_nobody(office: Office, name: str) -> None:
    options, words, said = BAD[name]
    outcome = office.invite(*words, "--json", **options)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert {path.name for path in office.directory.iterdir()} == {"authority.key", "authority.pub"}


def test_no_file_is_written_over(inviting: Office) -> None:
    before = {path: path.read_bytes() for path in inviting.directory.iterdir()}
    for out, links in (("invitations.json", "new.txt"), ("new.json", "links.txt")):
        outcome = inviting.invite(out=out, links=links)
        assert (outcome.code, "exists already" in outcome.err) == (2, True)
    assert {path: path.read_bytes() for path in inviting.directory.iterdir()} == before


def test_who_came_is_enrolled_and_who_did_not_is_said(inviting: Office) -> None:
    first, last = inviting.comes(1), inviting.comes(9)
    outcome = inviting.enroll()
    assert (outcome.code, outcome.err) == (0, "")
    assert "2 of 4 clients invited to session survey-1 came. New in the roster: 1, 9. Did not come: 2..3." in " ".join(
        outcome.out.split()
    )
    assert inviting.keys() == {1: first, 9: last}
    late = inviting.comes(3)
    record = json.loads(inviting.enroll("--json").out)
    assert (record["came"], record["missing"], record["claims_refused"], record["serial"]) == ([1, 3, 9], [2], {}, 2)
    assert (record["session"], record["added"]) == ("survey-1", [3])
    assert inviting.keys() == {1: first, 3: late, 9: last}
    assert "New in the roster: nobody." in inviting.enroll().out


def test_who_is_removed_does_not_come_back_by_its_claim(inviting: Office) -> None:
    first, _ = inviting.comes(1), inviting.comes(2)
    assert inviting.enroll().code == 0
    outcome = inviting.enroll("--remove", "2")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Left out: client 2 is taken out of the roster by --remove." in " ".join(outcome.out.split())
    assert inviting.keys() == {1: first}
    # No roster says who was in an earlier one: whoever is added is named.
    assert "New in the roster: 2." in inviting.enroll().out


def test_claims_of_a_server_that_lies_are_left_out(inviting: Office) -> None:
    """It takes a key of its own for a client that did not come, and another for one that did."""
    honest = inviting.comes(1)
    mallory = IdentityKey.generate()
    for client in (2, 3):
        forged = Invitation(SERVER, "survey-1", client, inviting.authority.public, mallory.seed)
        (inviting.claims / f"survey-1.{client}.claim").write_bytes(forged.claim(IdentityKey.generate()).encode())
    claim = inviting.links()[9].claim(IdentityKey.generate())
    stolen = Claim(claim.session, 9, mallory.public, claim.invitation_signature, mallory.sign(b""))
    (inviting.claims / "survey-1.9.claim").write_bytes(stolen.encode())
    outcome = inviting.enroll()
    assert outcome.code == 0
    assert outcome.out.count("is not signed by the invitation of client") == 3
    assert inviting.keys() == {1: honest}


def test_nobody_gets_the_id_or_the_key_of_somebody_enrolled(inviting: Office) -> None:
    enrolled, mallory = IdentityKey.generate(), IdentityKey.generate()
    for name, identity in (("alice", enrolled), ("dave", mallory)):
        (inviting.directory / f"{name}.pub").write_bytes(public_pem(identity.public))
    files = [f"{client}={inviting.directory / name}.pub" for client, name in ((1, "alice"), (50, "dave"))]
    roster = str(inviting.directory / "roster.json")
    authority = str(inviting.directory / "authority.key")
    added = [word for file in files for word in ("--add", file)]
    assert inviting.run("enroll", "--roster", roster, "--authority", authority, *added).code == 0
    inviting.comes(1)
    inviting.comes(2, mallory)
    third = inviting.comes(3)
    outcome = inviting.enroll()
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert "client 1 is enrolled with another key; invite ids that the roster does not have" in said
    assert "client 2 claims the key of client 50" in said
    assert inviting.keys() == {1: enrolled.public, 3: third, 50: mallory.public}


def test_only_this_authoritys_invitations_count(inviting: Office, tmp_path: Path, run: Any) -> None:
    other = tmp_path / "other"
    other.mkdir()
    mallory = Office(run, other)
    assert mallory.invite().code == 0
    mallory.comes(1)
    inviting.comes(2)
    changed = json.loads((inviting.directory / "invitations.json").read_bytes())
    changed["clients"][0]["key"] = mallory.links()[1].key.public.hex()
    (inviting.directory / "changed.json").write_text(json.dumps(changed), encoding="utf-8")
    for file, said in (
        ("other/invitations.json", "signed by the authority with fingerprint"),
        ("changed.json", "changed after the authority signed them"),
        ("roster.json", "cannot read"),
        ("authority.pub", "is no invitation list"),
    ):
        outcome = inviting.enroll("--json", file=file, claims=mallory.claims)
        assert (outcome.code, outcome.out, said in outcome.err) == (2, "", True), outcome.err
    assert not (inviting.directory / "roster.json").exists()


def test_an_enrolment_to_which_nobody_came_signs_nothing(inviting: Office) -> None:
    absent = inviting.enroll("--json")
    assert (absent.code, "is no directory; copy that of the server" in absent.err) == (2, True)
    inviting.claims.mkdir()
    empty = inviting.enroll("--json")
    assert (empty.code, "has no claim that counts for session 'survey-1'; wait" in empty.err) == (2, True)
    (inviting.claims / "survey-1.1.claim").write_bytes(b"{}")
    damaged = inviting.enroll("--json")
    assert (damaged.code, "(survey-1.1.claim is no claim of client 1" in damaged.err) == (2, True)
    assert not (inviting.directory / "roster.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from-invitations", "a.json"), "--from-invitations needs --claims"),
        (("--claims", "claims"), "--claims needs --from-invitations"),
        (("--from-invitations", "a.json", "--claims", "b", "--create-authority"), "does not go with"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(run: Any, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    given = ("--roster", str(tmp_path / "roster.json"), "--authority", str(tmp_path / "authority.key"))
    outcome = run("enroll", *given, *words, "--json")
    assert (outcome.code, outcome.out, said in outcome.err) == (2, "", True), outcome.err
    assert list(tmp_path.iterdir()) == []
