"""Loading a roster from a file, whichever form it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secagg.crypto.pem import public_pem
from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.identity.certified import binding_uri
from secagg.identity.directory import load_directory
from secagg.identity.roster import SignedRoster
from tests.identity.authority import CertificateAuthority

NOW = datetime.now(UTC)
AUTHORITY = IdentityKey.generate()
KEYS = {client: IdentityKey.generate().public for client in range(3)}


def write(directory: Path, *, expires: datetime = NOW + timedelta(days=1)) -> tuple[Path, Path]:
    issued = min(NOW, expires) - timedelta(days=1)
    roster = SignedRoster.sign(KEYS, serial=3, issued=issued, expires=expires, authority=AUTHORITY)
    (directory / "roster.json").write_bytes(roster.encode())
    (directory / "authority.pub").write_bytes(public_pem(AUTHORITY.public))
    return directory / "roster.json", directory / "authority.pub"


def test_a_signed_roster(tmp_path: Path) -> None:
    found = load_directory(*write(tmp_path))
    assert (found.keys, found.serial) == (KEYS, 3)
    assert found.expires is not None
    assert timedelta(0) < found.expires - NOW <= timedelta(days=1)


def test_a_bundle_of_certificates(tmp_path: Path) -> None:
    ca = CertificateAuthority()
    bundle = b"".join(ca.client(binding_uri(client, key))[0] for client, key in KEYS.items())
    (tmp_path / "roster.pem").write_bytes(bundle)
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    found = load_directory(tmp_path / "roster.pem", tmp_path / "ca.pem")
    assert (found.keys, found.serial, found.expires) == (KEYS, None, None)
    with pytest.raises(ParameterError, match=r"roster\.pem under .*ca\.pem: .*does not verify"):
        load_directory(tmp_path / "roster.pem", tmp_path / "ca.pem", at=NOW + timedelta(days=40))


def test_now_is_the_time_that_counts(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"roster\.json: the roster is valid from"):
        load_directory(*write(tmp_path, expires=NOW - timedelta(seconds=1)))


def test_an_older_serial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="older than 4"):
        load_directory(*write(tmp_path), minimum_serial=4)


def test_forms_that_do_not_fit_each_other(tmp_path: Path) -> None:
    roster, authority = write(tmp_path)
    (tmp_path / "ca.pem").write_bytes(CertificateAuthority().pem)
    with pytest.raises(ParameterError, match=r"ca\.pem: this is no public key"):
        load_directory(roster, tmp_path / "ca.pem")
    with pytest.raises(ParameterError, match="the bundle holds no certificate"):
        load_directory(authority, authority)
    with pytest.raises(ParameterError, match="cannot read"):
        load_directory(tmp_path / "missing", authority)
