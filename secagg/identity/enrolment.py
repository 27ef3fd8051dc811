"""Claims as files: the first that comes for a client is kept, durably, before anybody hears that it was taken.

A directory has one file for each client, which appears whole or not at all and is never replaced; so servers that share
it agree on who came first. What is read back is checked again like a claim of a stranger. Methods block. Must not know
what carries claims, nor sessions.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from secagg.errors import ParameterError
from secagg.identity.claims import MAX_CLAIM_BYTES, Claim, ClaimRefusal, ClaimRefusedError
from secagg.identity.files import read_public
from secagg.identity.invitations import Invitations
from secagg.identity.signed_json import TIME
from secagg.store.base import DamagedError, StoreError
from secagg.store.durable import sync_directory


@dataclass(frozen=True, slots=True)
class Came:
    """Who has redeemed an invitation.

    Attributes:
        session: to which.
        keys: client id to the 32-byte key that it claimed, by ascending id.
        missing: who was invited and has not come, ascending.
        refused: client id to why its claim counts for nothing, in one sentence.
    """

    session: str
    keys: Mapping[int, bytes]
    missing: tuple[int, ...]
    refused: Mapping[int, str]


class Enrolment:
    """The claims of one session's invitations.

    Args:
        invitations: who is invited.
        claims: a directory, made when it is missing; servers of one service share it.
    """

    def __init__(self, invitations: Invitations, claims: Path) -> None:
        self.invitations = invitations
        self._directory = claims
        self._durable: set[int] = set()

    def receive(self, claim: Claim, at: datetime, enrolled: Mapping[int, bytes]) -> None:
        """Take a claim in; the same key again changes nothing.

        Args:
            claim: as it came.
            at: the time now, with a time zone.
            enrolled: client id to key of the roster as it is now: with a client of these invitations in it, they are
                closed.

        Raises:
            ClaimRefusedError: NOT_INVITED or SIGNATURE_INVALID; USED, with another key; CLOSED, expired included.
            StoreError: the directory cannot be used.
            DamagedError: what it has for this client is no claim to these invitations.
        """
        self.invitations.check(claim)
        kept = self._kept(claim.client)
        if kept is None:
            if enrolled.get(claim.client) != claim.key:
                self._require_open(claim.client, at, enrolled)
            kept = self._keep(claim)
        self._make_durable(claim.client)
        if kept.key != claim.key:
            raise ClaimRefusedError(
                f"the invitation of client {claim.client} to session {claim.session!r} was used before, with another "
                "key; if that was not you, tell whoever sent the link, and ask for a new one",
                ClaimRefusal.USED,
            )
        if enrolled.get(claim.client) != claim.key and self._is_closed(enrolled):
            raise self._closed(f"without client {claim.client}")

    def came(self) -> Came:
        """Return whose claims are kept, each of them checked again.

        Raises:
            StoreError: the directory cannot be read.
        """
        keys: dict[int, bytes] = {}
        refused: dict[int, str] = {}
        missing: list[int] = []
        owners: dict[bytes, int] = {}
        for client in self.invitations.keys:
            try:
                kept = self._kept(client)
            except DamagedError as error:
                refused[client] = str(error)
                continue
            if kept is None:
                missing.append(client)
                continue
            other = owners.setdefault(kept.key, client)
            if other != client:
                # Who of them made the key, nobody knows.
                said = f"clients {other} and {client} claim one key; each needs its own"
                refused[other] = refused[client] = said
                keys.pop(other, None)
                continue
            keys[client] = kept.key
        return Came(self.invitations.session, keys, tuple(missing), refused)

    def _require_open(self, client: int, at: datetime, enrolled: Mapping[int, bytes]) -> None:
        expires = self.invitations.expires
        if self._is_closed(enrolled):
            raise self._closed("before this claim came")
        if at >= expires:
            raise ClaimRefusedError(
                f"the invitations to session {self.invitations.session!r} expired at {expires:{TIME}}; ask whoever "
                "sent the link for a new one",
                ClaimRefusal.CLOSED,
            )

    def _is_closed(self, enrolled: Mapping[int, bytes]) -> bool:
        return any(client in enrolled for client in self.invitations.keys)

    def _closed(self, how: str) -> ClaimRefusedError:
        return ClaimRefusedError(
            f"the enrolment for session {self.invitations.session!r} is closed: the authority signed the roster {how}",
            ClaimRefusal.CLOSED,
        )

    def _path(self, client: int) -> Path:
        return self._directory / f"{self.invitations.session}.{client}.claim"

    def _kept(self, client: int) -> Claim | None:
        path = self._path(client)
        try:
            if not path.exists():
                return None
            if not path.is_file():
                # Reading a pipe, say, which whoever handed the directory over put there, would never end.
                raise ParameterError("it is no file")
            claim = Claim.decode(read_public(path, MAX_CLAIM_BYTES))
            self.invitations.check(claim)
            if claim.client != client:
                raise ParameterError(f"it is that of client {claim.client}")
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}; give a directory of this server") from error
        except ParameterError as error:
            raise DamagedError(
                f"{path.name} is no claim of client {client} to these invitations, take it away: {error}"
            ) from error
        return claim

    def _keep(self, claim: Claim) -> Claim:
        """Write a claim, unless another came first; returns the one that is there."""
        path = self._path(claim.client)
        try:
            self._make_directory()
            self._durable.discard(claim.client)
            with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".claim.") as written:
                written.write(claim.encode())
                written.flush()
                os.fsync(written.fileno())
                with suppress(FileExistsError):
                    os.link(written.name, path)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; give a directory of this server") from error
        kept = self._kept(claim.client)
        if kept is None:
            raise StoreError(f"{path} was taken away while it was written; leave claims where they are")
        return kept

    def _make_directory(self) -> None:
        """Its own name has to outlive a crash, too, or all that is in it would be lost."""
        missing = [each for each in (self._directory, *self._directory.parents) if not each.is_dir()]
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
            sync_directory(each.parent)

    def _make_durable(self, client: int) -> None:
        """Whoever wrote the name may have died, or be another server that is not done yet."""
        if client in self._durable:
            return
        try:
            sync_directory(self._directory)
        except OSError as error:
            raise StoreError(f"cannot write {self._directory}: {error.strerror}; give one of this server") from error
        self._durable.add(client)
