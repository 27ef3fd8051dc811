"""Does what a start does, and stores nothing: what `secagg serve --check` says.

Sessions are made in memory as a new data directory would get them: one that is stored already, and goes on whatever
became of its roster, is looked at in the same way. Must not know terminals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import secagg
from secagg.cli.service.offering import load_roster, offer_sessions
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.serving import observer_of_traces, operators_of, tls_of
from secagg.hosting import SessionHost
from secagg.store.memory import MemoryStore


def check_server(config: ServerConfig) -> list[str]:
    """Return what keeps a server with this configuration, or a session of it, from starting: sentences."""
    steps: list[Callable[[], object]] = [lambda: tls_of(config), lambda: operators_of(config)]
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


async def _refused(config: ServerConfig) -> dict[str, str]:
    async with SessionHost(MemoryStore(), quotas=config.limits.quotas()) as host:
        return (await offer_sessions(host, config)).refused
