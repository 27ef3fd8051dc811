"""Puts a server together from its configuration and runs it until it is told to stop.

Order matters: logs and metrics first, so that nothing happens unseen; then the store, the host, which replays what was
running, the sessions, and at last the port, so that no client meets a server that does not know its session.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

import secagg
from secagg.cli.service.enrolled import Enrolled
from secagg.cli.service.expiring import tell_expiries
from secagg.cli.service.offering import offer_sessions
from secagg.cli.service.server_config import ServerConfig
from secagg.compute.processes import ProcessExecutor
from secagg.compute.ray import LOCAL, RayExecutor
from secagg.hosting import HostObserver, SessionHost
from secagg.identity.keys import load_public_key
from secagg.store.base import SessionStore
from secagg.store.memory import MemoryStore
from secagg.store.sqlite import SqliteStore
from secagg.telemetry.fan_out import FanOut
from secagg.telemetry.foreign import foreign_lines, own_standard_error
from secagg.telemetry.logs import LogObserver, json_logs
from secagg.telemetry.metrics import MetricsObserver, metrics_endpoint
from secagg.telemetry.pages import pages_endpoint
from secagg.transport.grpc import GrpcServer, OperatorRights, Role, ServerTls
from secagg.transport.grpc.limits import HEALTH_LIMITS, OWN_FILES, open_files
from secagg.transport.grpc.tls import split_address

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# A host that was not asked for so long has an event loop that hangs: probes come every few seconds.
_NEWS_SECONDS: Final = 15.0
_LIVE_SECONDS: Final = 60.0


def run_server(config: ServerConfig, announce: Callable[[dict[str, Any]], None], *, accept_loss: bool = False) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        config: what to serve.
        announce: told once, when clients can connect, where and what is served.
        accept_loss: start although the database lost commits; the sessions that ran are then aborted.

    Raises:
        SecAggError: it cannot start.
    """
    with ExitStack() as stack:
        own = stack.enter_context(own_standard_error())
        log = stack.enter_context(json_logs(config.logs.level, config.logs.file, own))
        stack.enter_context(foreign_lines(own, config.logs.level, config.logs.file))
        observers: list[HostObserver] = [LogObserver(log)]
        metrics_address = None
        if config.metrics.address is not None:
            metrics = MetricsObserver()
            observers.append(metrics)
            if config.storage.directory is not None:
                metrics.watch_disk(config.storage.directory)
            host, port = split_address(config.metrics.address)
            served = stack.enter_context(metrics_endpoint(metrics.registry, host, port))
            metrics_address = f"{host}:{served}"
        if config.traces.enabled:
            observers.append(observer_of_traces())
        store = stack.enter_context(_store(config, accept_loss))
        executor = stack.enter_context(executor_of(config))
        asyncio.run(_serve(config, store, executor, FanOut(*observers), metrics_address, announce, log))


async def _serve(
    config: ServerConfig,
    store: SessionStore,
    executor: secagg.Executor,
    observer: HostObserver,
    metrics_address: str | None,
    announce: Callable[[dict[str, Any]], None],
    log: Any,
) -> None:
    listen = config.listen
    operators = operators_of(config)
    quotas = config.limits.quotas()
    tls = tls_of(config)
    _warn_of_open_key(config, log)
    tell_expiries(config, tls, observer)
    async with (
        _stop_signals() as stopped,
        SessionHost(
            store,
            quotas=quotas,
            observer=observer,
            executor=executor,
            retention=config.retention.retention(),
            pinned={session.name for session in config.sessions},
        ) as host,
    ):
        offered = await offer_sessions(host, config)
        enrolled = await asyncio.to_thread(Enrolled, config)
        if enrolled.trouble:
            log.warning("no session can be made by call", reason=enrolled.trouble)
        few = few_descriptors(largest_cohort(host), config)
        if few:
            log.warning(few)
        server = GrpcServer(
            host,
            listen.address,
            names=listen.names,
            tls=tls,
            insecure=listen.plaintext,
            operators=operators,
            roster=enrolled,
            anonymous=config.identities.anonymous,
            health_address=config.health.address,
        )
        async with server, _pages(host, config.health.http) as pages:
            record = {
                "address": _with_port(listen.address, server.port),
                "tls": not listen.plaintext,
                "sessions": [session.name for session in host.sessions()],
                "created": offered.created,
                "refused": offered.refused,
                "metrics": metrics_address,
                "health": _with_port(config.health.address, server.health_port),
                "pages": _with_port(config.health.http, pages),
            }
            log.info("serving", **record)
            announce(record)
            await stopped.wait()
            log.info("stopping")
    log.info("stopped")


@asynccontextmanager
async def _pages(host: SessionHost, address: str | None) -> AsyncIterator[int | None]:
    """Serve `/ready` and `/live`; gives the port."""
    if address is None:
        yield None
        return
    pages = {
        "/ready": lambda: host.known_trouble(_NEWS_SECONDS) == "",
        "/live": lambda: host.known_trouble(_LIVE_SECONDS) is not None,
    }
    with pages_endpoint(pages, *split_address(address)) as port:
        yield port


def _with_port(address: str | None, port: int | None) -> str | None:
    """An address as it is listened on: port 0 has become another."""
    return None if address is None else f"{address.rpartition(':')[0]}:{port}"


@asynccontextmanager
async def _stop_signals() -> AsyncIterator[asyncio.Event]:
    """Turn the signals that end a service into an event."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def _store(config: ServerConfig, accept_loss: bool) -> Iterator[SessionStore]:
    directory = config.storage.directory
    store: SessionStore = MemoryStore() if directory is None else SqliteStore(directory, accept_loss=accept_loss)
    try:
        yield store
    finally:
        store.close()


def operators_of(config: ServerConfig) -> dict[str, OperatorRights]:
    """Return the operators by file; raises ParameterError for a file that has no key, or one that is listed twice."""
    listed = [(path, Role.ADMIN, "") for path in config.identities.operators]
    listed += [(one.key, Role(one.role), one.tenant) for one in config.identities.operator]
    found: dict[str, OperatorRights] = {}
    for path, role, tenant in listed:
        rights = OperatorRights(load_public_key(path), role, tenant)
        for other, known in found.items():
            if known.key == rights.key and known != rights:
                raise secagg.ParameterError(
                    f"{path} has the key of {other}, with another role or tenant; list each operator once"
                )
        found[str(path)] = rights
    return found


def tls_of(config: ServerConfig) -> ServerTls | None:
    """Return what the server shows, None without TLS; raises ParameterError for files that do not fit."""
    listen = config.listen
    if listen.certificate is None or listen.key is None:
        return None
    return ServerTls.from_files(listen.certificate, listen.key, listen.client_ca)


def _warn_of_open_key(config: ServerConfig, log: Any) -> None:
    """Say so when all users of this machine can read the key of TLS; not refused, since containers mount keys so."""
    key = config.listen.key
    mode = 0 if key is None else stat.S_IMODE(key.stat().st_mode)
    if os.name == "posix" and mode & stat.S_IRWXO:
        log.warning("everybody on this machine can open the key of TLS", file=str(key), mode=f"{mode:04o}")


def largest_cohort(host: SessionHost) -> int:
    """Clients of the largest session."""
    return max((session.parameters.clients for session in host.sessions()), default=0)


def few_descriptors(clients: int, config: ServerConfig) -> str:
    """Return what is wrong when this process may open fewer files than a cohort has connections; "" when it may."""
    checks = 0 if config.health.address is None else HEALTH_LIMITS.connections
    files, needed = open_files(), clients + OWN_FILES + checks
    if files is None or files >= needed:
        return ""
    return (
        f"this process may open {files} files, and a cohort of {clients} clients takes {needed}, one for each "
        f"connection: raise the limit (ulimit -n {needed}, or LimitNOFILE= of systemd), or clients cannot connect"
    )


@contextmanager
def executor_of(config: ServerConfig) -> Iterator[secagg.Executor]:
    """Who does the long computations; raises MissingExtraError for a cluster of Ray without the extra."""
    work = config.work
    if work.ray:
        with RayExecutor(work.ray if isinstance(work.ray, str) else LOCAL) as cluster:
            yield cluster
    elif work.processes > 1:
        with ProcessExecutor(work.processes) as processes:
            yield processes
    else:
        yield secagg.InlineExecutor()


def observer_of_traces() -> HostObserver:
    """Return the observer that traces; raises MissingExtraError without the extra."""
    try:
        from secagg.telemetry.tracing import TracingObserver
    except ImportError as error:
        raise secagg.MissingExtraError(
            "traces.enabled = true needs OpenTelemetry: pip install 'secagg[traces]', and start the server with a "
            "provider of yours"
        ) from error
    return TracingObserver()
