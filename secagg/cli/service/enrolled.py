"""The keys of all clients, as a server that runs holds them: from which sessions are made by call and members let in.

Read once for all who need it, and valid no longer than the roster says. Must not know who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import secagg
from secagg.cli.service.offering import load_roster
from secagg.cli.service.server_config import ServerConfig
from secagg.identity.directory import Directory


def _now() -> datetime:
    return datetime.now(UTC)


class Enrolled:
    """Gives the keys of the roster.

    Args:
        config: names the roster.
        now: the time, with a time zone.

    Attributes:
        trouble: why there is no roster, in one sentence; empty when there is one, or none is needed.
        awaited: whether there is none because an enrolment is to make it.
    """

    def __init__(self, config: ServerConfig, now: Callable[[], datetime] = _now) -> None:
        self._file = config.identities.roster
        self._now = now
        self._directory: Directory | None = None
        self.trouble = ""
        self.awaited = bool(config.enrolments) and self._file is not None and not self._file.exists()
        if not config.identities.anonymous:
            try:
                self._directory = load_roster(config)
            except secagg.ParameterError as error:
                self.trouble = str(error)

    @property
    def directory(self) -> Directory | None:
        """The roster that is held, expired or not, or None."""
        return self._directory

    @property
    def expires(self) -> datetime | None:
        """When the signed roster that is held ends, or None."""
        return None if self._directory is None else self._directory.expires

    @property
    def serial(self) -> int | None:
        """Of the signed roster that is held, or None."""
        return None if self._directory is None else self._directory.serial

    def take(self, directory: Directory) -> None:
        """Hold another one from now on."""
        self._directory, self.trouble, self.awaited = directory, "", False

    def __call__(self) -> Mapping[int, bytes]:
        """Client id to 32-byte key; nothing where clients are anonymous.

        Raises:
            ParameterError: the roster could not be read, or has expired.
        """
        if self.trouble:
            raise secagg.ParameterError(self.trouble)
        if self._directory is None:
            return {}
        expires = self.expires
        if expires is not None and expires <= self._now():
            raise secagg.ParameterError(
                f"{self._file} expired at {expires:%Y-%m-%d %H:%M} UTC; have it signed again with `secagg enroll`"
            )
        return self._directory.keys
