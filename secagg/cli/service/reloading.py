"""Reads server.toml again while the server runs, and takes over what can be: all of it, or nothing.

Everything is read and checked first, in a thread, and then taken over without waiting; only who is in the roster no
more is dropped afterwards, session by session. What needs a restart keeps its old value, and the log says so in one
line. Must not know signals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO

import secagg
from secagg.cli.service.credentials import http_tls_of, operators_of, tls_of, warn_of_open_key
from secagg.cli.service.enrolled import Enrolled
from secagg.cli.service.enrolments import enrolments_of
from secagg.cli.service.expiring import tell_expiries
from secagg.cli.service.offering import load_roster, offer_sessions
from secagg.cli.service.server_config import ServerConfig, load_config
from secagg.hosting import SessionHost
from secagg.identity.directory import Directory
from secagg.telemetry.audit import AuditLog, open_audit
from secagg.telemetry.logs import open_log, switch_logs
from secagg.transport.enrolments import Enrolments
from secagg.transport.grpc import GrpcServer, OperatorRights, ServerTls

if TYPE_CHECKING:
    from secagg.transport.http import HttpServer

_FIXED: Final = (
    *("listen.address", "listen.names", "listen.plaintext", "identities.anonymous"),
    *("http.address", "http.origins", "http.operator_page", "http.connections_per_address"),
    *("storage", "work", "metrics", "health", "traces"),
)


@dataclass(frozen=True, slots=True)
class _Read:
    """Everything that a configuration names."""

    config: ServerConfig
    tls: ServerTls | None
    http: Callable[[], None]
    operators: Mapping[str, OperatorRights]
    roster: Directory | None
    enrolments: Callable[[], None]
    log: TextIO | None
    audit: BinaryIO | None


class Reloading:
    """Takes over server.toml as it is now, again and again.

    Args:
        path: of server.toml.
        started: the configuration as it was read at the start.
        host: has the sessions.
        server: serves them.
        web: serves them over HTTP, if it does.
        enrolled: has the roster.
        enrolments: takes claims to invitations.
        log: where it is said what needs a restart.
        audit: the audit log, if there is one.
    """

    def __init__(
        self,
        path: Path,
        started: ServerConfig,
        host: SessionHost,
        server: GrpcServer,
        web: HttpServer | None,
        enrolled: Enrolled,
        enrolments: Enrolments,
        log: Any,
        audit: AuditLog | None,
    ) -> None:
        self._path = path
        self._started = started
        self._host = host
        self._server = server
        self._web = web
        self._log = log
        self._enrolled = enrolled
        self._enrolments = enrolments
        self._audit = audit
        self._turn = asyncio.Lock()

    async def reload(self) -> str:
        """Take over the configuration; returns why that was not done, in one sentence, or nothing.

        One at a time. Sessions that cannot be made, and clients that cannot be dropped now, are said, and undo nothing.
        """
        async with self._turn:
            return await self._reload()

    async def _reload(self) -> str:
        trouble = ""
        try:
            read = await asyncio.to_thread(self._read)
            self._take_over(read)
        except secagg.SecAggError as error:
            trouble = str(error)
        self._host.observer.reloaded(trouble)
        if trouble:
            return trouble
        try:
            if read.roster is not None:
                await self._host.revoke(read.roster.keys)
        except secagg.SecAggError as error:
            trouble = f"revoked clients are let in no more, but not all are dropped, reload again: {error}"
        await offer_sessions(self._host, read.config, self._enrolled)
        return trouble

    def _read(self) -> _Read:
        config = load_config(self._path)
        tls, operators = tls_of(config), operators_of(config)
        roster = None if config.identities.anonymous else load_roster(config)
        serial, before = None if roster is None else roster.serial, self._enrolled.serial
        if serial is not None and before is not None and serial < before:
            raise secagg.ParameterError(
                f"{config.identities.roster} has serial {serial}, and {before} was read before; give the newer roster"
            )
        enrolments = self._enrolments.prepared(enrolments_of(config))
        plaintext = self._started.listen.plaintext
        web = (lambda: None) if self._web is None or plaintext else self._web.prepared(http_tls_of(config))
        audit = None if config.audit.file is None or self._audit is None else open_audit(config.audit.file)
        log = None if config.logs.file is None else open_log(config.logs.file)
        return _Read(config, tls, web, operators, roster, enrolments, log, audit)

    def _take_over(self, read: _Read) -> None:
        """Raises ParameterError before anything is changed."""
        started, config = self._started, read.config
        try:
            self._server.change(tls=None if started.listen.plaintext else read.tls, operators=read.operators)
        except secagg.ParameterError:
            for opened in (read.log, read.audit):
                if opened is not None:
                    opened.close()
            raise
        read.http()
        read.enrolments()
        switch_logs(config.logs.level, read.log)
        if self._audit is not None and read.audit is not None:
            self._audit.switch(read.audit)
        self._host.limit(config.limits.quotas())
        self._host.retain(config.retention.retention())
        self._host.pinned = frozenset(session.name for session in config.sessions)
        warn_of_open_key(config, self._log)
        fixed = [name for name in _FIXED if _value(config, name) != _value(started, name)]
        if (config.audit.file is None) != (started.audit.file is None):
            fixed.append("audit")
        if fixed:
            self._log.warning("a restart is needed for what changed", keys=fixed)
        if read.roster is not None:
            self._enrolled.take(read.roster)
        tell_expiries((read.tls, http_tls_of(read.config)), self._enrolled, self._host.observer)


def _value(config: ServerConfig, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value
