"""Who redeemed an invitation, as the authority sees it: each claim is checked again, whatever the server said of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import secagg
from secagg.identity.enrolment import Came, Enrolment
from secagg.identity.files import read_public
from secagg.identity.invitations import MAX_INVITATIONS_BYTES, verify_invitations


def who_came(
    invitations: Path, claims: Path, authority: bytes, enrolled: Mapping[int, bytes], removed: Collection[int] = ()
) -> Came:
    """Return whose claims count.

    Args:
        invitations: the file of `secagg invite`.
        claims: the directory of the server, or a copy of it.
        authority: the public key that must have signed the invitations.
        enrolled: client id to key of the roster so far; nobody gets another's id or key.
        removed: who is taken out of the roster now, and does not come back by a claim that is still there.

    Raises:
        ParameterError: the invitations are not the authority's, the directory is none, or nobody came.
    """
    content = read_public(invitations, MAX_INVITATIONS_BYTES)
    try:
        listed = verify_invitations(content, authority)
    except secagg.ParameterError as error:
        raise secagg.ParameterError(f"{invitations}: {error}") from error
    if not claims.is_dir():
        raise secagg.ParameterError(f"--claims {claims} is no directory; copy that of the server, `claims` in its file")
    came = Enrolment(listed, claims).came()
    owners = {key: client for client, key in enrolled.items()}
    keys, refused = dict(came.keys), dict(came.refused)
    for client, key in came.keys.items():
        if client in removed:
            refused[client] = f"client {client} is taken out of the roster by --remove"
        elif enrolled.get(client, key) != key:
            refused[client] = f"client {client} is enrolled with another key; invite ids that the roster does not have"
        elif owners.get(key, client) != client:
            refused[client] = f"client {client} claims the key of client {owners[key]}, who is enrolled with it"
        else:
            continue
        del keys[client]
    if not keys:
        why = f" ({next(iter(refused.values()))})" if refused else ""
        raise secagg.ParameterError(
            f"{claims} has no claim that counts for session {listed.session!r}{why}; wait until somebody came, or copy "
            "the directory again"
        )
    return replace(came, keys=keys, refused=refused)


def record_of(came: Came, enrolled: Mapping[int, bytes]) -> dict[str, Any]:
    """Return who came to a roster as an object for programs."""
    return {
        "session": came.session,
        "came": list(came.keys),
        "added": _new(came, enrolled),
        "missing": list(came.missing),
        "claims_refused": {str(client): said for client, said in came.refused.items()},
    }


def sentences_about(came: Came, enrolled: Mapping[int, bytes]) -> Iterator[str]:
    """Say who came, who of them is new to a roster, who did not come, and whose claim counts for nothing."""
    invited = len(came.keys) + len(came.missing) + len(came.refused)
    # A server that hands over the list of another session, with its claims, is seen by nothing else.
    yield f"{len(came.keys)} of {invited} clients invited to session {came.session} came."
    yield f"New in the roster: {_listed(_new(came, enrolled)) or 'nobody'}."
    if came.missing:
        yield f"Did not come: {_listed(came.missing)}."
    for said in came.refused.values():
        yield f"Left out: {said}."


def _new(came: Came, enrolled: Mapping[int, bytes]) -> list[int]:
    return [client for client in came.keys if client not in enrolled]


def _listed(clients: Iterable[int]) -> str:
    """Ids, with runs of them as ranges."""
    runs: list[tuple[int, int]] = []
    for client in clients:
        if runs and runs[-1][1] == client - 1:
            runs[-1] = runs[-1][0], client
        else:
            runs.append((client, client))
    return ", ".join(str(first) if first == last else f"{first}..{last}" for first, last in runs)
