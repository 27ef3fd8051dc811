"""Reads the invitations that server.toml names. Must not know who serves them."""

from __future__ import annotations

import secagg
from secagg.cli.service.server_config import ServerConfig
from secagg.identity.enrolment import Enrolment
from secagg.identity.files import read_public
from secagg.identity.invitations import MAX_INVITATIONS_BYTES, verify_invitations
from secagg.identity.keys import load_public_key


def enrolments_of(config: ServerConfig) -> list[Enrolment]:
    """Return the enrolments of a configuration.

    Raises:
        ParameterError: invitations that cannot be read, or are not those of the roster's authority.
    """
    found: list[Enrolment] = []
    for table in config.enrolments:
        if config.identities.authority is None:
            raise secagg.ParameterError("identities.authority is missing; give the public key that signed invitations")
        authority = load_public_key(config.identities.authority)
        content = read_public(table.invitations, MAX_INVITATIONS_BYTES)
        try:
            found.append(Enrolment(verify_invitations(content, authority), table.claims))
        except secagg.ParameterError as error:
            raise secagg.ParameterError(f"{table.invitations}: {error}") from error
    return found
