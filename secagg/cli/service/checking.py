"""Does what a start does, and stores nothing: what `secagg serve --check` says.

Sessions are made in memory as a new data directory would get them: one that is stored already, and goes on whatever
became of its roster, is looked at in the same way. Must not know terminals.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import secagg
from secagg.cli.service.credentials import http_tls_of, operators_of, tls_of
from secagg.cli.service.enrolled import Enrolled
from secagg.cli.service.enrolments import enrolments_of
from secagg.cli.service.offering import offer_sessions
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.server_settings import StorageSettings
from secagg.cli.service.serving import few_descriptors, largest_cohort, observer_of_traces
from secagg.cli.service.web import require_http
from secagg.compute.ray import require_ray
from secagg.hosting import SessionHost
from secagg.store.base import StoreError
from secagg.store.blobs import blobs_at
from secagg.store.memory import MemoryStore
from secagg.transport.enrolments import Enrolments


@dataclass(frozen=True, slots=True)
class Check:
    """What a start would say, in sentences.

    Attributes:
        wrong: what keeps the server, or a session of it, from starting.
        warnings: what it would start in spite of.
        away: whether that is its store alone, which may be there the next time.
    """

    wrong: list[str]
    warnings: list[str]
    away: bool


def check_server(config: ServerConfig) -> Check:
    """Try what a server with this configuration does at its start."""
    enrolled = Enrolled(config)
    steps: list[Callable[[], object]] = [
        lambda: tls_of(config),
        lambda: http_tls_of(config),
        lambda: operators_of(config),
        lambda: _require_log(config.logs.file),
        lambda: Enrolments(enrolments_of(config)),
    ]
    if not enrolled.awaited:
        steps.append(enrolled)
    if config.http.address is not None:
        steps.append(require_http)
    if config.work.ray:
        steps.append(require_ray)
    if config.storage.postgres is not None:
        steps.append(lambda: _require_database(config.storage))
    if config.traces.enabled:
        steps.append(observer_of_traces)
    found: list[str] = []
    away: list[str] = []
    for step in steps:
        try:
            step()
        except StoreError as error:
            away.append(str(error))
        except secagg.SecAggError as error:
            found.append(str(error))
    clients, refused = asyncio.run(_tried(config, enrolled))
    few = few_descriptors(clients, config)
    # A roster that is wrong is said once, not by each session.
    wrong = list(dict.fromkeys([*found, *refused.values()]))
    if enrolled.awaited:
        wrong = [said for said in wrong if said != enrolled.trouble]
    warnings = [few] if few else []
    if enrolled.awaited:
        warnings.append(f"{config.identities.roster} is not there yet, and no session can be made before it is")
    return Check([*wrong, *away], warnings, not wrong)


def _require_database(storage: StorageSettings) -> None:
    """Demand that the database of several servers can be reached, has the layout of this release, and its blobs."""
    try:
        from secagg.store.layout import pending
        from secagg.store.postgres_sessions import require_blobs
    except ImportError as error:
        raise secagg.MissingExtraError("storage.postgres needs psycopg: pip install 'secagg[postgres]'") from error
    conninfo = str(storage.postgres)
    blobs = blobs_at(str(storage.blobs), storage.s3_endpoint)
    waits = pending(conninfo)
    if waits:
        raise StoreError(waits)
    require_blobs(conninfo, blobs)


def _require_log(file: Path | None) -> None:
    """Demand that logs can be written; does not open the file, which would then be of whoever checks."""
    if file is not None and (file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK)):
        raise secagg.ParameterError(f"cannot write logs to {file}; give a file in a directory there")


async def _tried(config: ServerConfig, enrolled: Enrolled) -> tuple[int, Mapping[str, str]]:
    """The largest cohort, and what sessions cannot be offered."""
    async with SessionHost(MemoryStore(), quotas=config.limits.quotas()) as host:
        refused = (await offer_sessions(host, config, enrolled)).refused
        return largest_cohort(host), refused
