"""When certificate and roster end is told at the start, so that an alert comes before the end."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg.cli.service import offering
from secagg.cli.service.checking import check_server
from secagg.cli.service.credentials import tls_of
from secagg.cli.service.enrolled import Enrolled
from secagg.cli.service.expiring import tell_expiries
from secagg.cli.service.server_config import load_config
from secagg.hosting import HostObserver
from secagg.identity.directory import Directory, load_directory
from secagg.identity.keys import load_public_key
from tests.cli.deployment import Deployment

SESSIONS = "\n".join(
    f'[[sessions]]\nname = "{name}"\n[sessions.vectors.v]\nkind = "integers"\nshape = [3]\nlow = 0\nhigh = 9'
    for name in ("first", "second")
)


class Told(HostObserver):
    """Remembers what ends when."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}

    def expiry_known(self, what: str, at: float) -> None:
        self.ends[what] = at


def told(config: Path) -> dict[str, float]:
    loaded, observer = load_config(config), Told()
    tell_expiries((tls_of(loaded),), Enrolled(loaded), observer)
    return observer.ends


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment(tmp_path_factory.mktemp("site"), tuple(range(1, 6)))


def test_the_ends_of_certificate_and_roster_are_told(site: Deployment) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    site.sign({1: bytes(range(32))}, expires=until)
    ends = told(site.configure(""))
    assert ends["roster"] == until.timestamp()
    assert time.time() < ends["certificate"] < time.time() + 366 * 86400


def test_a_roster_that_invitations_are_to_make_has_not_ended(site: Deployment) -> None:
    enrolments = '[[enrolments]]\ninvitations = "invitations.json"\nclaims = "claims"'
    (site / "roster.json").unlink()
    assert "roster" not in told(site.configure("", more=enrolments))
    assert told(site.configure(""))["roster"] <= time.time()


def test_a_roster_that_cannot_be_used_has_ended(site: Deployment) -> None:
    site.sign({1: bytes(range(32))}, expires=datetime.now(UTC) - timedelta(days=1))
    assert told(site.configure(""))["roster"] <= time.time()


def test_a_roster_is_read_once_for_all_who_need_it(site: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path, *words: Any, **options: Any) -> Directory:
        read.append(path)
        return load_directory(path, *words, **options)

    monkeypatch.setattr(offering, "load_directory", counted)
    site.sign({client: load_public_key(site / f"{client}.pub") for client in site.clients})
    assert check_server(load_config(site.configure(SESSIONS))).wrong == []
    assert read == [site / "roster.json"]


def test_a_trial_without_both_has_no_end(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("[listen]\nplaintext = true\n[identities]\nanonymous = true\n[storage]\nmemory = true\n")
    assert told(config) == {}
