"""`secagg serve` with faults inside: dies at a named point, or does at a word what a machine does to a server.

    python -m tests.faults.server '{"config": "server.toml", "kill": "masked_input/message/durable"}'

Everything of the real command runs, but that the store, the clock and the bounds of the service are wrapped. Lines of
JSON on standard input change the world: {"advance": seconds}, {"wall": seconds}, {"file_bytes": bytes or null}, or end
it: {"crash": last words}. {"kill": point} arms another point, and is not answered.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_real_time = time.time
_wall_offset = 0.0


def _shifted_time() -> float:
    return _real_time() + _wall_offset


time.time = _shifted_time  # before anybody takes the function

from secagg.cli.output import print_json  # noqa: E402
from secagg.cli.service import serving, storing  # noqa: E402
from secagg.cli.service.server_config import load_config  # noqa: E402
from secagg.compute.processes import ProcessExecutor  # noqa: E402
from secagg.hosting import SessionHost  # noqa: E402
from secagg.hosting.journal import Journal, Step  # noqa: E402
from secagg.hosting.replicas import SharedHost  # noqa: E402
from secagg.store.base import Entry  # noqa: E402
from secagg.transport.grpc import GrpcServer, ServiceLimits  # noqa: E402
from tests.clock import MovedClock  # noqa: E402
from tests.faults.stores import FaultyStore, Reaper, faulty_sqlite  # noqa: E402


class FaultyExecutor(ProcessExecutor):
    """Its first pools of workers are killed as soon as they work."""

    broken = 0

    def _new_pool(self) -> ProcessPoolExecutor:
        if FaultyExecutor.broken:
            FaultyExecutor.broken -= 1
            return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=os.abort)
        return super()._new_pool()


def inject(settings: Mapping[str, Any]) -> None:
    """Put the faults into the modules that `secagg serve` is made of."""
    replaced: dict[str, Any] = vars(storing)
    reaper = Reaper(settings.get("kill"), _say)
    FaultyStore.reaper = reaper
    FaultyStore.quorum = settings.get("quorum", 1)
    global _wall_offset
    _wall_offset = settings.get("wall", 0.0)
    FaultyStore.forgetful = settings.get("forgetful", False)
    replaced["SqliteStore"] = faulty_sqlite
    FaultyExecutor.broken = settings.get("broken_pools", 0)
    vars(serving)["ProcessExecutor"] = FaultyExecutor
    clocks: list[MovedClock] = []

    def host(kind: type[SessionHost], *arguments: Any, **options: Any) -> SessionHost:
        clocks.append(MovedClock())
        _obey(asyncio.get_running_loop(), clocks[-1])
        return kind(*arguments, **options, clock=clocks[-1], wall_clock=time.time)

    replaced["SessionHost"] = functools.partial(host, SessionHost)
    replaced["SharedHost"] = functools.partial(host, SharedHost)
    replaced["_shared"] = functools.partial(_faulty_shared, storing._shared)
    limits = ServiceLimits(**settings.get("limits", {}))
    vars(serving)["GrpcServer"] = functools.partial(GrpcServer, limits=limits)
    commit = Journal.commit

    def watched_commit(journal: Journal, entries: Sequence[Entry]) -> Step:
        store = journal._store
        prefix = store.prefix(journal._name, entries) if isinstance(store, FaultyStore) else ""
        step = commit(journal, entries)
        reaper.reach(f"{prefix}/seen")
        return step

    Journal.commit = watched_commit  # type: ignore[method-assign, assignment]


def _faulty_shared(opened: Callable[..., Any], *arguments: Any) -> Any:
    """A SharedStore with the points, where PostgreSQL's driver is installed."""
    from tests.faults.shared_stores import FaultyShared

    return FaultyShared(opened(*arguments), _say)


def _obey(loop: asyncio.AbstractEventLoop, clock: MovedClock) -> None:
    """Read words from standard input in a thread of its own."""

    def read() -> None:
        for line in sys.stdin:
            words = json.loads(line)
            if "kill" in words:
                FaultyStore.reaper.armed = words["kill"]
                continue
            for word, value in words.items():
                _do(loop, clock, word, value)
            _say({"failures": FaultyStore.failures, "broken_pools": FaultyExecutor.broken})

    threading.Thread(target=read, daemon=True).start()


def _do(loop: asyncio.AbstractEventLoop, clock: MovedClock, word: str, value: Any) -> None:
    global _wall_offset
    match word:
        case "advance":
            loop.call_soon_threadsafe(clock.advance, value)
        case "wall":
            _wall_offset += value
        case "crash":
            os.write(sys.stderr.fileno(), value.encode() + b"\n")
            os.abort()
        case "file_bytes":
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard if value is None else value, hard))


def main() -> None:
    settings = json.loads(sys.argv[1])
    os.environ.update(settings.get("environment", {}))
    inject(settings)
    accept_loss = settings.get("accept_loss", False)
    serving.run_server(load_config(Path(settings["config"])), _say, accept_loss=accept_loss)


def _say(record: Mapping[str, Any]) -> None:
    print_json(record)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
