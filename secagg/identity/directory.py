"""Loads a roster from a file, whichever form the authority gave it.

JSON of `secagg enroll` is verified with the authority's Ed25519 public key; PEM is a bundle of X.509 certificates
and is verified with the authority's certificates. Must not know sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from secagg.errors import ParameterError
from secagg.identity.certified import certified_roster
from secagg.identity.files import read_public
from secagg.identity.keys import load_public_key
from secagg.identity.roster import MAX_ROSTER_BYTES, named_authority, verify_roster


@dataclass(frozen=True, slots=True)
class Directory:
    """The identities that an authority vouches for.

    Attributes:
        keys: client id to 32-byte Ed25519 public key.
        serial: of a signed roster; None for certificates, which have none.
        expires: of a signed roster, UTC; None for certificates, which expire one by one.
        authority: the public key that signed it; None for certificates.
        content: the file of a signed roster, to hand it on; nothing for certificates.
    """

    keys: Mapping[int, bytes]
    serial: int | None
    expires: datetime | None
    authority: bytes | None = None
    content: bytes = field(default=b"", repr=False)


def load_directory(roster: Path, authority: Path, *, at: datetime | None = None, minimum_serial: int = 1) -> Directory:
    """Read and verify a roster.

    Args:
        roster: a signed roster file, or certificates in PEM.
        authority: the authority's public key in PEM, or its certificates.
        at: the time to verify at, with a time zone; now unless given.
        minimum_serial: the oldest serial of a signed roster that is accepted.

    Raises:
        ParameterError: one of them cannot be read, or the roster is not the authority's or not valid now.
    """
    now = datetime.now(UTC) if at is None else at
    content = read_public(roster, MAX_ROSTER_BYTES)
    if not content.lstrip().startswith(b"{"):
        trusted = read_public(authority, MAX_ROSTER_BYTES)
        try:
            return Directory(certified_roster(content, trusted, now), None, None)
        except ParameterError as error:
            raise ParameterError(f"{roster} under {authority}: {error}") from error
    trusted = load_public_key(authority)
    try:
        signed = verify_roster(content, trusted, at=now, minimum_serial=minimum_serial)
    except ParameterError as error:
        raise ParameterError(f"{roster}: {error}") from error
    return Directory(signed.keys, signed.serial, signed.expires, signed.authority, content)


def read_roster(roster: Path) -> Directory:
    """Read a signed roster, expired or not, to look at it: it is whole, but nobody vouches for who signed it.

    Args:
        roster: path of its file.

    Raises:
        ParameterError: it cannot be read, is not signed by the authority that it names, or is a bundle of certificates.
    """
    content = read_public(roster, MAX_ROSTER_BYTES)
    try:
        signed = verify_roster(content, named_authority(content), at=None)
    except ParameterError as error:
        hint = "" if content.lstrip().startswith(b"{") else "; certificates are shown with --authority"
        raise ParameterError(f"{roster}: {error}{hint}") from error
    return Directory(signed.keys, signed.serial, signed.expires, signed.authority, content)
