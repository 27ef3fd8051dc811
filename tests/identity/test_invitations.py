"""Invitations: links that are whole or say so, lists that the authority signed, claims of somebody invited only."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg import IdentityKey, ParameterError, SecretBytes
from secagg.canonical import encode_fields
from secagg.crypto.labels import Label
from secagg.identity import enrolment as enrolment_module
from secagg.identity.claims import Claim, ClaimRefusal, ClaimRefusedError
from secagg.identity.enrolment import Enrolment
from secagg.identity.fingerprints import fingerprint
from secagg.identity.invitations import MOST_INVITATIONS, Invitations, invite, verify_invitations
from secagg.identity.links import Invitation
from secagg.identity.roster import verify_roster
from secagg.store.base import DamagedError, StoreError

ROOT = Path(__file__).parents[2]
SERVER = "https://sums.example.org:8443"
PAGE = "https://app.example.org/survey/"
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
LATE = NOON + timedelta(days=7)


def key(number: int) -> IdentityKey:
    return IdentityKey.from_seed(SecretBytes(number.to_bytes(32, "big")))


AUTHORITY = key(1)
MALLORY = key(2)
OWN = key(3)
LIST, SENT = invite("survey-1", [7, 3, 2**64 - 1], server=SERVER, issued=NOON, expires=LATE, authority=AUTHORITY)


def refusal(claim: Claim, invitations: Invitations = LIST) -> ClaimRefusal:
    with pytest.raises(ClaimRefusedError) as caught:
        invitations.check(claim)
    return caught.value.refusal


@pytest.mark.parametrize("client", [3, 7, 2**64 - 1])
def test_a_link_says_again_what_was_put_into_it(client: int) -> None:
    link = SENT[client].link(PAGE)
    assert link.startswith(f"{PAGE}#secagg=")
    read = Invitation.parse(f"  {link}\n")
    assert (read.server, read.session, read.client) == (SERVER, "survey-1", client)
    assert (read.authority, read.key.public) == (AUTHORITY.public, LIST.keys[client])
    assert str(read.secret.expose().hex()) not in repr(read)


def test_a_link_has_the_form_of_the_specification() -> None:
    invitation = Invitation(SERVER, "s", 5, AUTHORITY.public, SecretBytes(bytes(range(32))))
    fields = encode_fields(b"secagg/v1 link of an invitation", SERVER, "s", 5, AUTHORITY.public, bytes(range(32)))
    word = base64.urlsafe_b64encode(fields + hashlib.sha256(fields).digest()[:4]).decode().rstrip("=")
    assert invitation.link(PAGE) == f"{PAGE}#secagg={word}"


LINK = SENT[7].link(PAGE)


def altered(at: int) -> str:
    return LINK[:at] + ("A" if LINK[at] != "A" else "B") + LINK[at + 1 :]


def made_of(*values: Any) -> str:
    fields = encode_fields(*values)
    word = base64.urlsafe_b64encode(fields + hashlib.sha256(fields).digest()[:4]).decode().rstrip("=")
    return f"{PAGE}#secagg={word}"


def test_a_link_that_is_cut_short_anywhere_or_has_another_character_says_so() -> None:
    for at in range(LINK.index("=") + 1, len(LINK)):
        with pytest.raises(ParameterError, match="cut short or changed; copy the whole link"):
            Invitation.parse(LINK[:at])
        with pytest.raises(ParameterError, match="cut short or changed; copy the whole link"):
            Invitation.parse(altered(at))


GOOD = (Label.INVITATION, SERVER, "s", 5, AUTHORITY.public, bytes(32))


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("", "no invitation behind its #"),
        (PAGE, "no invitation behind its #"),
        (f"{PAGE}#", "no invitation behind its #"),
        (f"{PAGE}#other=abc", "no invitation behind its #"),
        (f"{PAGE}#secagg=", "cut short or changed"),
        (f"{PAGE}#secagg=AAAA", "cut short or changed"),
        (f"{LINK} and more", "cut short or changed"),
        (f"{PAGE}#secagg={'A' * 5000}", "cut short or changed"),
        (f"{LINK}=", "cut short or changed"),
        (made_of(Label.ROSTER, *GOOD[1:]), "of a kind that this release does not know"),
        (made_of(*GOOD, 1), "of a kind that this release does not know"),
        (made_of(*GOOD[:-1]), "of a kind that this release does not know"),
        (made_of(*GOOD[:-1], bytes(31)), "of a kind that this release does not know"),
        (made_of(*GOOD[:1], "a b", *GOOD[2:]), "'a b' is no address"),
        (made_of(*GOOD[:1], "https://a\n", *GOOD[2:]), "is no address"),
        (made_of(*GOOD[:1], "https://a/\u202e", *GOOD[2:]), "is no address"),
        (made_of(*GOOD[:1], "https://a/\x1b[2J", *GOOD[2:]), "is no address"),
        (made_of(*GOOD[:2], "a/b", *GOOD[3:]), "'a/b' is no session name"),
    ],
)
def test_no_link_is_one_sentence(link: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        Invitation.parse(link)


@pytest.mark.parametrize("page", ["", "app.example.org", "http://app.example.org/", "https://a/#b", "https://a b/"])
def test_no_page_is_one_sentence(page: str) -> None:
    with pytest.raises(ParameterError, match="is no page for invitations; give https://"):
        SENT[7].link(page)


@pytest.mark.parametrize(
    "server",
    ["https://a", "HTTPS://a:1/of/b/", "http://localhost", "http://[::1]:80/a", "http://127.1.2.3:9", "a:1", "[::1]:9"],
)
def test_addresses_of_both_transports_are_those_of_links(server: str) -> None:
    invitation = replace(SENT[7], server=server)
    assert Invitation.parse(invitation.link(PAGE)).server == server


def test_a_page_on_this_machine_needs_no_tls() -> None:
    assert SENT[7].link("http://localhost:8000/").startswith("http://localhost:8000/#secagg=")


def test_an_authority_in_an_invitation_is_a_key() -> None:
    with pytest.raises(ParameterError, match="has 32 bytes"):
        Invitation(SERVER, "s", 5, bytes(31), SecretBytes(bytes(32)))


def test_a_list_is_read_as_it_was_signed() -> None:
    assert verify_invitations(LIST.encode(), AUTHORITY.public) == LIST
    assert list(LIST.keys) == [3, 7, 2**64 - 1]
    assert {client: each.key.public for client, each in SENT.items()} == LIST.keys


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    fields = json.loads(LIST.encode())
    change(fields)
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(session="survey-2"),
        lambda fields: fields.update(server="https://evil.example.org"),
        lambda fields: fields.update(expires="2031-05-01T12:00:00Z"),
        lambda fields: fields.update(issued="2029-05-01T12:00:00Z"),
        lambda fields: fields["clients"].append({"id": 8, "key": MALLORY.public.hex()}),
        lambda fields: fields["clients"][0].update(key=MALLORY.public.hex()),
        lambda fields: fields["clients"].pop(),
        lambda fields: fields.update(signature=bytes(64).hex()),
    ],
)
def test_a_list_that_was_changed_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(ParameterError, match="changed after the authority signed them"):
        verify_invitations(changed(change), AUTHORITY.public)


def test_a_list_of_another_authority_is_refused() -> None:
    forged, _ = invite("survey-1", [7], server=SERVER, issued=NOON, expires=LATE, authority=MALLORY)
    with pytest.raises(ParameterError, match=f"the one to trust has {fingerprint(AUTHORITY.public)}"):
        verify_invitations(forged.encode(), AUTHORITY.public)
    named = replace(forged, authority=AUTHORITY.public)
    with pytest.raises(ParameterError, match="changed after"):
        verify_invitations(named.encode(), AUTHORITY.public)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no JSON", "this is no invitation list: it is not JSON"),
        (b"{}", "give the file of `secagg invite`"),
        (changed(lambda fields: fields.update(version=2)), "the invitation list has version 2"),
        (changed(lambda fields: fields.pop("server")), "lacks fields.*server"),
        (changed(lambda fields: fields.update(session=5)), "the invitation list's session 5 is no text"),
        (changed(lambda fields: fields.update(server="")), "'' is no address"),
        (changed(lambda fields: fields.update(expires="soon")), "no time such as"),
    ],
)
def test_no_list_is_one_sentence(content: bytes, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        verify_invitations(content, AUTHORITY.public)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clients": []}, "0 clients are not within"),
        ({"clients": range(MOST_INVITATIONS + 1)}, "100001 clients are not within"),
        ({"clients": [1, 1]}, "client 1 stands in the invitation list twice"),
        ({"clients": [-1]}, "client id -1 is outside"),
        ({"session": "a b"}, "no session name"),
        ({"server": ""}, "no address"),
        ({"server": "\ud800"}, "no address"),
        ({"server": "https:/sums.example.org"}, "no address"),
        ({"server": "https://"}, "no address"),
        ({"server": "http://sums.example.org"}, "no address"),
        ({"server": "http://127.0.0.1.example.org"}, "no address"),
        ({"server": "https://user@sums.example.org"}, "no address"),
        ({"server": "https://sums.example.org/?a"}, "no address"),
        ({"server": "sums.example.org"}, "no address"),
        ({"expires": NOON}, "never valid"),
        ({"issued": datetime(2030, 5, 1)}, "no zone"),
    ],
)
def test_nobody_is_invited_by_wrong_words(change: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"session": "s", "clients": [1], "server": SERVER, "issued": NOON, "expires": LATE}
    with pytest.raises(ParameterError, match=said):
        invite(**{**given, **change}, authority=AUTHORITY)


def test_a_claim_of_somebody_invited_passes_and_survives_its_file() -> None:
    claim = SENT[7].claim(OWN)
    LIST.check(claim)
    LIST.check(Claim.decode(claim.encode()))
    assert (claim.session, claim.client, claim.key) == ("survey-1", 7, OWN.public)


def of(**changes: Any) -> Claim:
    """A claim that an invitation with other values makes."""
    return replace(SENT[7], **changes).claim(OWN)


WRONG: dict[str, tuple[Claim, ClaimRefusal]] = {
    "of nobody invited": (of(client=8), ClaimRefusal.NOT_INVITED),
    "to another session": (of(session="survey-2"), ClaimRefusal.NOT_INVITED),
    "to another session, named as this one": (
        replace(of(session="survey-2"), session="survey-1"),
        ClaimRefusal.SIGNATURE_INVALID,
    ),
    "at another server": (of(server="https://other.example.org"), ClaimRefusal.SIGNATURE_INVALID),
    "under another authority": (of(authority=MALLORY.public), ClaimRefusal.SIGNATURE_INVALID),
    "with another invitation": (of(secret=SecretBytes(bytes(32))), ClaimRefusal.SIGNATURE_INVALID),
    "replayed for another client": (replace(SENT[7].claim(OWN), client=3), ClaimRefusal.SIGNATURE_INVALID),
    "of another's key": (replace(SENT[7].claim(OWN), key=MALLORY.public), ClaimRefusal.SIGNATURE_INVALID),
    "without the invitation": (
        replace(SENT[7].claim(OWN), invitation_signature=bytes(64)),
        ClaimRefusal.SIGNATURE_INVALID,
    ),
    "without possession of the key": (
        replace(SENT[7].claim(OWN), key_signature=bytes(64)),
        ClaimRefusal.SIGNATURE_INVALID,
    ),
    "signed by the key in the invitation's place": (
        replace(SENT[7].claim(OWN), invitation_signature=SENT[7].claim(OWN).key_signature),
        ClaimRefusal.SIGNATURE_INVALID,
    ),
    "of no key": (replace(SENT[7].claim(OWN), key=b"", key_signature=b""), ClaimRefusal.SIGNATURE_INVALID),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_claim_that_is_forged_is_refused(name: str) -> None:
    claim, why = WRONG[name]
    assert refusal(claim) is why


def test_the_invitations_own_key_is_no_clients() -> None:
    own = SENT[7].key
    with pytest.raises(ParameterError, match="known to whoever sent it"):
        SENT[7].claim(own)
    text = [
        encode_fields(
            b"secagg/v1 claim to an invitation", role, SERVER, "survey-1", 7, AUTHORITY.public, own.public, own.public
        )
        for role in ("invitation", "key")
    ]
    assert refusal(Claim("survey-1", 7, own.public, *map(own.sign, text))) is ClaimRefusal.SIGNATURE_INVALID


def test_a_claim_signs_the_text_of_the_specification() -> None:
    claim = SENT[7].claim(OWN)
    bound = (SERVER, "survey-1", 7, AUTHORITY.public, LIST.keys[7], OWN.public)
    assert claim.key_signature == OWN.sign(encode_fields(b"secagg/v1 claim to an invitation", "key", *bound))
    by_invitation = encode_fields(b"secagg/v1 claim to an invitation", "invitation", *bound)
    assert claim.invitation_signature == SENT[7].key.sign(by_invitation)


def test_a_refusal_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ClaimRefusedError("why", ClaimRefusal.USED)))  # noqa: S301 - our own bytes
    assert (str(error), error.refusal) == ("why", ClaimRefusal.USED)


@pytest.mark.parametrize("content", [b"", b"{}", LIST.encode(), b'{"format": "secagg claim", "version": 1}'])
def test_no_claim_is_one_sentence(content: bytes) -> None:
    with pytest.raises(ParameterError, match="claim"):
        Claim.decode(content)


@pytest.fixture
def enrolment(tmp_path: Path) -> Enrolment:
    return Enrolment(LIST, tmp_path / "claims")


def why(enrolment: Enrolment, claim: Claim, at: datetime = NOON, enrolled: dict[int, bytes] | None = None) -> Any:
    with pytest.raises(ClaimRefusedError) as caught:
        enrolment.receive(claim, at, enrolled or {})
    return caught.value.refusal, str(caught.value)


def test_the_first_claim_counts_and_outlives_the_process(enrolment: Enrolment, tmp_path: Path) -> None:
    claim = SENT[7].claim(OWN)
    enrolment.receive(claim, NOON, {})
    enrolment.receive(claim, NOON, {})
    # A second process of the service, or the same one after a restart.
    other = Enrolment(LIST, tmp_path / "claims")
    other.receive(claim, LATE, {})
    used, said = why(other, SENT[7].claim(MALLORY))
    assert used is ClaimRefusal.USED
    assert "was used before, with another key" in said
    assert other.came().keys == {7: OWN.public}
    assert other.came().missing == (3, 2**64 - 1)
    assert [path.name for path in (tmp_path / "claims").iterdir()] == ["survey-1.7.claim"]


def test_of_two_servers_that_look_at_once_one_keeps_a_claim(
    enrolment: Enrolment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server's claim comes after this one looked, and before it writes."""
    first = SENT[7].claim(MALLORY)
    link = os.link

    def late(source: str, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        Enrolment(LIST, tmp_path / "claims").receive(first, NOON, {})
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert why(enrolment, SENT[7].claim(OWN))[0] is ClaimRefusal.USED
    assert enrolment.came().keys == {7: MALLORY.public}


def test_nothing_is_kept_of_a_claim_that_is_refused(enrolment: Enrolment, tmp_path: Path) -> None:
    for claim, refused in WRONG.values():
        assert why(enrolment, claim)[0] is refused
    assert not (tmp_path / "claims").exists()
    assert enrolment.came().missing == tuple(LIST.keys)


def test_after_the_expiry_only_claims_that_are_kept_are_taken(enrolment: Enrolment) -> None:
    enrolment.receive(SENT[7].claim(OWN), LATE - timedelta(seconds=1), {})
    enrolment.receive(SENT[7].claim(OWN), LATE, {})
    closed, said = why(enrolment, SENT[3].claim(MALLORY), LATE)
    assert closed is ClaimRefusal.CLOSED
    assert "expired at 2030-05-08T12:00:00Z" in said


def test_a_roster_with_those_who_came_closes_the_enrolment(enrolment: Enrolment) -> None:
    for client, own in ((7, OWN), (3, MALLORY)):
        enrolment.receive(SENT[client].claim(own), NOON, {1: key(9).public})
    roster = {7: OWN.public}
    enrolment.receive(SENT[7].claim(OWN), NOON, roster)
    closed, said = why(enrolment, SENT[3].claim(MALLORY), NOON, roster)
    assert (closed, said.endswith("signed the roster without client 3")) == (ClaimRefusal.CLOSED, True)
    closed, said = why(enrolment, SENT[2**64 - 1].claim(key(5)), NOON, roster)
    assert (closed, said.endswith("signed the roster before this claim came")) == (ClaimRefusal.CLOSED, True)
    assert set(enrolment.came().keys) == {3, 7}


def test_whoever_stands_in_the_roster_may_ask_although_the_claim_was_taken_away(enrolment: Enrolment) -> None:
    enrolment.receive(SENT[7].claim(OWN), LATE, {7: OWN.public})
    assert why(enrolment, SENT[3].claim(MALLORY), LATE, {7: OWN.public})[0] is ClaimRefusal.CLOSED


def test_one_key_for_two_counts_for_neither(enrolment: Enrolment) -> None:
    for client in LIST.keys:
        enrolment.receive(SENT[client].claim(OWN if client != 7 else MALLORY), NOON, {})
    came = enrolment.came()
    assert came.keys == {7: MALLORY.public}
    assert set(came.refused) == {3, 2**64 - 1}
    assert "claim one key; each needs its own" in came.refused[3]


def test_what_a_lying_server_hands_over_counts_for_nothing(enrolment: Enrolment, tmp_path: Path) -> None:
    directory = tmp_path / "claims"
    directory.mkdir()
    forged = replace(SENT[7].claim(OWN), key=MALLORY.public)
    forged = replace(forged, key_signature=MALLORY.sign(b"anything"))
    (directory / "survey-1.7.claim").write_bytes(forged.encode())
    # A claim that is good, under another client's name.
    (directory / "survey-1.3.claim").write_bytes(SENT[7].claim(OWN).encode())
    (directory / f"survey-1.{2**64 - 1}.claim").write_bytes(b"\0" * 9000)
    (directory / "survey-1.8.claim").write_bytes(SENT[7].claim(OWN).encode())
    came = enrolment.came()
    assert (came.keys, came.missing) == ({}, ())
    assert "not signed by the invitation of client 7" in came.refused[7]
    assert "it is that of client 7" in came.refused[3]
    assert "more than 4096 bytes" in came.refused[2**64 - 1]


def test_what_is_no_file_is_no_claim(enrolment: Enrolment, tmp_path: Path) -> None:
    """Whoever reads a pipe waits for ever."""
    (tmp_path / "claims").mkdir()
    os.mkfifo(tmp_path / "claims" / "survey-1.7.claim")
    (tmp_path / "claims" / "survey-1.3.claim").symlink_to("/dev/zero")
    came = enrolment.came()
    assert {client: said.endswith("it is no file") for client, said in came.refused.items()} == {3: True, 7: True}


def test_the_directory_of_claims_is_on_the_disk_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(enrolment_module, "sync_directory", synced.append)
    enrolment = Enrolment(LIST, tmp_path / "of" / "claims")
    enrolment.receive(SENT[7].claim(OWN), NOON, {})
    assert synced == [tmp_path, tmp_path / "of", tmp_path / "of" / "claims"]
    assert (tmp_path / "of" / "claims").stat().st_mode & 0o777 == 0o700
    # Taken away because somebody else had the link first: the next one is written anew.
    (tmp_path / "of" / "claims" / "survey-1.7.claim").unlink()
    enrolment.receive(SENT[7].claim(MALLORY), NOON, {})
    assert synced[3:] == [tmp_path / "of" / "claims"]


def test_a_damaged_claim_is_not_written_over(enrolment: Enrolment, tmp_path: Path) -> None:
    enrolment.receive(SENT[7].claim(OWN), NOON, {})
    path = tmp_path / "claims" / "survey-1.7.claim"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedError, match=r"survey-1\.7\.claim is no claim of client 7 to these invitations"):
        enrolment.receive(SENT[7].claim(OWN), NOON, {})


def test_a_directory_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot write .*file.*: File exists"):
        Enrolment(LIST, tmp_path / "file").receive(SENT[7].claim(OWN), NOON, {})


def test_a_claim_is_on_the_disk_before_anybody_hears_of_it(
    enrolment: Enrolment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(enrolment_module, "sync_directory", lost)
    with pytest.raises(StoreError, match="Input/output error"):
        enrolment.receive(SENT[7].claim(OWN), NOON, {})
    # The name is there already; the next attempt must not take that for durable.
    with pytest.raises(StoreError, match="Input/output error"):
        enrolment.receive(SENT[7].claim(OWN), NOON, {})


def test_bits_that_no_byte_has_are_a_changed_link() -> None:
    """Base64 spells the last byte in several ways; a link has one of them."""
    invitation = next(
        each
        for server in ("a:1", "a:11", "a:111")
        if len((each := replace(SENT[7], server=server)).link(PAGE).partition("=")[2]) % 4 == 2
    )
    link = invitation.link(PAGE)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(link[-1]) | 1]
    assert other != link[-1]
    Invitation.parse(link)
    with pytest.raises(ParameterError, match="cut short or changed"):
        Invitation.parse(link[:-1] + other)


def test_links_claims_and_rosters_are_those_that_pages_know() -> None:
    """What clients/js/test/invitations.test.js reads and makes, byte for byte."""
    known = json.loads((ROOT / "clients/js/test/invitation.json").read_text(encoding="utf-8"))
    invitation = Invitation.parse(known["link"])
    own = IdentityKey.from_seed(SecretBytes(bytes.fromhex(known["identity_key"])))
    claim = invitation.claim(own)
    assert (invitation.server, invitation.session, str(invitation.client)) == (
        *(known["server"], known["session"], known["client"]),
    )
    assert (invitation.authority.hex(), bytes(invitation.secret.expose()).hex()) == (known["authority"], known["seed"])
    assert [claim.key.hex(), claim.invitation_signature.hex(), claim.key_signature.hex()] == [
        *(known["public_key"], known["invitation_signature"], known["key_signature"]),
    ]
    roster = verify_roster(known["roster"].encode(), invitation.authority, at=datetime(2030, 5, 15, tzinfo=UTC))
    assert roster.keys[invitation.client] == claim.key
