"""Does what a start does, and stores nothing: what `secagg serve --check` says.

Sessions are made in memory as a new data directory would get them: one that is stored already, and goes on whatever
became of its roster, is looked at in the same way. Must not know terminals.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import secagg
from secagg.cli.service.offering import load_roster, offer_sessions
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.serving import observer_of_traces, operators_of, tls_of
from secagg.hosting import SessionHost
from secagg.store.memory import MemoryStore


def check_server(config: ServerConfig) -> list[str]:
    """Return what keeps a server with this configuration, or a session of it, from starting: sentences."""
    steps: list[Callable[[], object]] = [
        lambda: tls_of(config),
        lambda: operators_of(config),
        lambda: _require_log(config.logs.file),
    ]
    if not config.identities.anonymous:
        steps.append(lambda: load_roster(config))
    if config.traces.enabled:
        steps.append(observer_of_traces)
    found = []
    for step in steps:
        try:
            step()
        except secagg.SecAggError as error:
            found.append(str(error))
    # A roster that is wrong is said once, not by each session.
    return list(dict.fromkeys([*found, *asyncio.run(_refused(config)).values()]))


def _require_log(file: Path | None) -> None:
    """Demand that logs can be written; does not open the file, which would then be of whoever checks."""
    if file is not None and (file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK)):
        raise secagg.ParameterError(f"cannot write logs to {file}; give a file in a directory there")


async def _refused(config: ServerConfig) -> dict[str, str]:
    async with SessionHost(MemoryStore(), quotas=config.limits.quotas()) as host:
        return (await offer_sessions(host, config)).refused
