"""Joining by a link, by the commands of the operators' page: invite, accept, enroll, reload, join."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from secagg import IdentityKey
from secagg.crypto.pem import private_pem
from secagg.identity.directory import load_directory
from secagg.identity.files import create_private
from secagg.identity.invitations import invite
from secagg.identity.keys import load_identity, load_public_key
from secagg.identity.links import Invitation
from secagg.identity.roster import SignedRoster
from secagg.transport import enrolling
from tests.cli.deployment import COMMAND, Deployment, Server, finished, serving, start, until
from tests.cli.service.test_serve import ARRAYS, CLIENTS, NUMBERS, check_sum, session, site

__all__ = ["site"]
INVITED = (21, 22, 23, 24)
LISTED = '[[enrolments]]\ninvitations = "invitations.json"\nclaims = "claims"\n'
HTTP = '[http]\naddress = "127.0.0.1:0"\n'


def invited(site: Deployment, run: Any, server: str, *words: str) -> dict[int, str]:
    """The links of a new file of invitations."""
    if not (site / "authority.key").exists():
        create_private(site / "authority.key", private_pem(site.authority))
    (site / "links.txt").unlink(missing_ok=True)
    (site / "invitations.json").unlink(missing_ok=True)
    outcome = run(
        *("invite", "--authority", str(site / "authority.key"), "--server", server, "--session", "survey"),
        *("--page", "https://app.example.org/", "--clients", "21..24", *words),
        *("--out", str(site / "invitations.json"), "--links", str(site / "links.txt")),
    )
    assert (outcome.code, outcome.err) == (0, "")
    lines = (site / "links.txt").read_text(encoding="utf-8").splitlines()
    return {int(client): link for client, link in (line.split("\t") for line in lines)}


def accepting(site: Deployment, link: str, client: int, *words: str) -> tuple[str, ...]:
    """The words of a client's command."""
    return (
        *("accept", "--link", link, "--identity", str(site / f"{client}.key")),
        *("--roster", str(site / f"{client}.json"), "--ca", str(site / "ca.pem"), "--json", *words),
    )


def reload(site: Deployment, run: Any) -> None:
    outcome = run("reload", "--config", str(site / "server.toml"))
    assert (outcome.code, outcome.err) == (0, "")


def test_from_links_to_the_sum(site: Deployment, run: Any) -> None:
    with serving(site.configure(session(), more=HTTP)) as server:
        links = invited(site, run, f"https://{server.ready['http']}")
        site.configure(session(), more=HTTP + LISTED)
        reload(site, run)
        # One that waits, and others that look once.
        waiting = start(*accepting(site, links[21], 21))
        for client in (22, 23):
            outcome = run(*accepting(site, links[client], client, "--no-wait"))
            record = json.loads(outcome.out)
            assert (outcome.code, record["client"], record["roster"]) == (0, client, None)
        until(lambda: (site / "claims" / "survey.21.claim").exists(), server)
        taken = run(*accepting(site, links[22], 24, "--no-wait"))
        assert (taken.code, taken.out, "used before, with another key" in taken.err) == (1, "", True)

        enrolled = run(
            *("enroll", "--roster", str(site / "roster.json"), "--authority", str(site / "authority.key")),
            *("--from-invitations", str(site / "invitations.json"), "--claims", str(site / "claims"), "--json"),
        )
        assert (json.loads(enrolled.out)["came"], json.loads(enrolled.out)["missing"]) == ([21, 22, 23], [24])
        survey = session("survey", "clients = [21, 22, 23]")
        site.configure(session() + survey, more=HTTP + LISTED)
        reload(site, run)
        assert finished(waiting)[0::2] == (0, "")
        check_taking_part(site, run, server, links)
        closed = run(*accepting(site, links[24], 25, "--no-wait"))
        assert (closed.code, "is closed: the authority signed the roster before" in closed.err) == (1, True)
        assert server.stop() == (0, "", "")
    log = server.log.read_text(encoding="utf-8")
    for link in links.values():
        assert link.partition("#")[2] not in log
        assert bytes(Invitation.parse(link).secret.expose()).hex() not in log


def check_taking_part(site: Deployment, run: Any, server: Server, links: dict[int, str]) -> None:
    """With the files that `accept` wrote, and nothing else."""
    processes: list[subprocess.Popen[str]] = []
    for client in (21, 22, 23):
        text = run(*(word for word in accepting(site, links[client], client) if word != "--json"))
        assert text.err == ""
        words = text.out.split("secagg join ")[1].split()
        ARRAYS[client] = NUMBERS.integers(-50, 51, 500)
        site.input(client, counts=ARRAYS[client])
        words[words.index("FILE.npz")] = str(site / f"input-{client}.npz")
        processes.append(start("join", *words, "--json"))
    assert [finished(process)[0::2] for process in processes] == [(0, "")] * 3
    found = load_directory(site / "21.json", site / "authority.pub")
    assert set(found.keys) == {*CLIENTS, 21, 22, 23}
    assert found.keys[21] == load_identity(site / "21.key").public
    server.stored("survey")
    words = site.operate("result", server.address, "--session", "survey", "--out", str(site / "sum"))
    assert run(*words).code == 0
    check_sum(site / "sum", (21, 22, 23))


def test_a_server_may_start_before_there_is_a_roster(site: Deployment, run: Any) -> None:
    invited(site, run, "https://sums.example.org")
    (site / "roster.json").unlink()
    config = site.configure(session("survey"), more=LISTED)
    checked = run("serve", "--config", str(config), "--check")
    assert (checked.code, checked.err) == (0, "")
    assert "roster.json is not there yet, and no session can be made before it is." in " ".join(checked.out.split())
    with serving(config) as server:
        assert list(server.ready["refused"]) == ["survey"]
        site.sign({client: load_public_key(site / f"{client}.pub") for client in CLIENTS})
        reload(site, run)
        until(lambda: any(event["event"] == "session created" for event in server.events()), server)
        assert server.stop() == (0, "", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda site: (site / "invitations.json").unlink(), "cannot read"),
        (lambda site: (site / "invitations.json").write_bytes(b"{}"), "is no invitation list"),
        (
            lambda site: (site / "invitations.json").write_text(
                (site / "invitations.json").read_text().replace("survey", "other")
            ),
            "changed after the authority signed them",
        ),
        (lambda site: site.configure("", more=LISTED + LISTED), "two enrolments are for session 'survey'"),
    ],
)
def test_invitations_that_are_not_right_are_one_sentence(site: Deployment, run: Any, change: Any, said: str) -> None:
    invited(site, run, "https://sums.example.org")
    config = site.configure("", more=LISTED)
    change(site)
    for words in (("--check",), ()):
        outcome = run("serve", "--config", str(config), *words, "--json")
        assert (outcome.code, outcome.out, said in outcome.err) == (2, "", True), outcome.err


def test_a_reload_takes_no_wrong_invitations_over(site: Deployment, run: Any) -> None:
    with serving(site.configure("")) as server:
        invited(site, run, server.address)
        site.configure("", more=LISTED)
        (site / "invitations.json").write_bytes(b"{}")
        outcome = run("reload", "--config", str(site / "server.toml"))
        assert (outcome.code, "is no invitation list" in outcome.err) == (2, True)
        server.stop()


def link_to(site: Deployment, server: str) -> str:
    now = datetime.now(UTC)
    times = {"issued": now, "expires": now + timedelta(days=1)}
    _, sent = invite("survey", [21], server=server, authority=site.authority, **times)
    return sent[21].link("https://app.example.org/")


def test_an_authority_that_is_known_is_not_replaced_by_that_of_a_link(site: Deployment, run: Any) -> None:
    link = link_to(site, "localhost:1")
    (site / "authority.pub").write_bytes((site / f"{CLIENTS[0]}.pub").read_bytes())
    outcome = run(*accepting(site, link, 21))
    assert (outcome.code, outcome.out, "has another authority than the one of this link" in outcome.err) == (
        2,
        "",
        True,
    )
    assert not (site / "21.key").exists()


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("https://app.example.org/", "no invitation behind its #"),
        ("https://app.example.org/#secagg=AAAA", "cut short or changed; copy the whole link"),
    ],
)
def test_a_link_that_is_none_makes_no_key(site: Deployment, run: Any, link: str, said: str) -> None:
    outcome = run(*accepting(site, link, 21))
    assert (outcome.code, outcome.out, said in outcome.err) == (2, "", True)
    assert not (site / "21.key").exists()


def test_a_server_that_is_not_there_is_one_sentence_and_the_key_stays(site: Deployment, run: Any) -> None:
    outcome = run(*accepting(site, link_to(site, "localhost:1"), 21, "--give-up", "0.1"))
    assert (outcome.code, outcome.out, "localhost:1 did not answer Enrol" in outcome.err) == (1, "", True), outcome.err
    before = load_identity(site / "21.key").public
    assert run(*accepting(site, link_to(site, "localhost:1"), 21, "--give-up", "0.1")).code == 1
    assert load_identity(site / "21.key").public == before


def test_a_link_may_come_by_a_pipe(site: Deployment) -> None:
    """So that other users of the machine do not see it among the words of the process."""
    process = subprocess.run(
        [*COMMAND, *accepting(site, "-", 21, "--give-up", "0.1")],
        input=link_to(site, "localhost:1") + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "localhost:1 did not answer Enrol" in process.stderr


def answering(monkeypatch: pytest.MonkeyPatch, roster: SignedRoster) -> list[int]:
    """A server that gives this roster; the oldest serial that each call takes."""
    asked: list[int] = []

    async def redeem(*_: Any, minimum_serial: int, **__: Any) -> SignedRoster:
        asked.append(minimum_serial)
        return roster

    monkeypatch.setattr(enrolling, "redeem", redeem)
    return asked


def signed_by(authority: IdentityKey, serial: int) -> SignedRoster:
    now = datetime.now(UTC)
    keys = {21: IdentityKey.generate().public}
    return SignedRoster.sign(keys, serial=serial, issued=now, expires=now + timedelta(days=1), authority=authority)


def test_no_roster_is_replaced_by_an_older_one(site: Deployment, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps an old one would bring back whoever was removed from it since."""
    asked = answering(monkeypatch, signed_by(site.authority, 7))
    link = link_to(site, "localhost:1")
    for _ in range(2):
        assert run(*accepting(site, link, 21, "--no-wait")).code == 0
    assert asked == [1, 7]


def test_the_roster_of_another_authority_is_not_written_over(site: Deployment, run: Any) -> None:
    for content, said in (
        (signed_by(IdentityKey.generate(), 1).encode(), "signed by the authority with fingerprint"),
        (b"notes", "no roster"),
    ):
        (site / "21.json").write_bytes(content)
        outcome = run(*accepting(site, link_to(site, "localhost:1"), 21, "--give-up", "0.1"))
        assert (outcome.code, outcome.out) == (2, "")
        assert "21.json is not written over, give another --roster" in outcome.err
        assert said in outcome.err
        assert (site / "21.json").read_bytes() == content
        assert not (site / "21.key").exists()


def test_a_link_says_nothing_to_the_shell_that_people_paste_into(
    site: Deployment, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, signed_by(site.authority, 1))
    server = "https://a.example.org/$(id)/;id"
    words = [word for word in accepting(site, link_to(site, server), 21, "--no-wait") if word != "--json"]
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (0, "")
    pasted = outcome.out[outcome.out.index("secagg join") :].strip()
    echoed = subprocess.run(
        ["/bin/sh", "-c", pasted.replace("secagg", "printf '%s\\n'", 1)], capture_output=True, text=True, check=True
    )
    assert echoed.stdout.splitlines()[:3] == ["join", "--server", server]


def test_the_operator_is_told_why_claims_are_not_kept(site: Deployment, run: Any) -> None:
    """The client hears only that it should try again, and would do so for ever."""
    with serving(site.configure("", more=HTTP)) as server:
        links = invited(site, run, f"https://{server.ready['http']}")
        site.configure("", more=HTTP + LISTED)
        reload(site, run)
        (site / "claims").mkdir()
        (site / "claims" / "survey.21.claim").write_bytes(b"{}")
        outcome = run(*accepting(site, links[21], 21, "--no-wait", "--give-up", "0.1"))
        assert (outcome.code, "cannot be kept now" in outcome.err) == (1, True), outcome.err
        assert server.stop() == (0, "", "")
    failed = [event for event in server.events() if event["event"] == "store failed"]
    assert "survey.21.claim is no claim of client 21" in failed[0]["detail"]
