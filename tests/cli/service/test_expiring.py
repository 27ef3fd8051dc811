"""When certificate and roster end is told at the start, so that an alert comes before the end."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secagg.cli.service.credentials import tls_of
from secagg.cli.service.expiring import tell_expiries
from secagg.cli.service.server_config import load_config
from secagg.hosting import HostObserver
from tests.cli.deployment import Deployment


class Told(HostObserver):
    """Remembers what ends when."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}

    def expiry_known(self, what: str, at: float) -> None:
        self.ends[what] = at


def told(config: Path) -> dict[str, float]:
    loaded, observer = load_config(config), Told()
    tell_expiries(loaded, tls_of(loaded), observer)
    return observer.ends


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment(tmp_path_factory.mktemp("site"), (1, 2))


def test_the_ends_of_certificate_and_roster_are_told(site: Deployment) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    site.sign({1: bytes(range(32))}, expires=until)
    ends = told(site.configure(""))
    assert ends["roster"] == until.timestamp()
    assert time.time() < ends["certificate"] < time.time() + 366 * 86400


def test_a_roster_that_cannot_be_used_has_ended(site: Deployment) -> None:
    site.sign({1: bytes(range(32))}, expires=datetime.now(UTC) - timedelta(days=1))
    assert told(site.configure(""))["roster"] <= time.time()


def test_a_trial_without_both_has_no_end(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("[listen]\nplaintext = true\n[identities]\nanonymous = true\n[storage]\nmemory = true\n")
    assert told(config) == {}
