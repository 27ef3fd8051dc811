"""Puts a server together from its configuration and runs it until it is told to stop.

Order matters: logs and metrics first, so that nothing happens unseen; then the store, the host, which replays what was
running, the sessions, and at last the port, so that no client meets a server that does not know its session.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import secagg
from secagg.cli.service.credentials import http_tls_of, operators_of, tls_of, warn_of_open_key
from secagg.cli.service.enrolled import Enrolled
from secagg.cli.service.enrolments import enrolments_of
from secagg.cli.service.expiring import tell_expiries
from secagg.cli.service.offering import offer_sessions
from secagg.cli.service.process_file import ProcessFile, process_file
from secagg.cli.service.reloading import Reloading
from secagg.cli.service.server_config import ServerConfig
from secagg.cli.service.setting_errors import with_sources
from secagg.cli.service.storing import host_of, opened_store
from secagg.cli.service.web import connections_over_http, served_over_http
from secagg.compute.processes import ProcessExecutor
from secagg.compute.ray import LOCAL, RayExecutor
from secagg.hosting import HostObserver, SessionHost
from secagg.store.base import SessionStore
from secagg.telemetry.audit import AuditLog, AuditObserver
from secagg.telemetry.fan_out import FanOut
from secagg.telemetry.foreign import foreign_lines, own_standard_error
from secagg.telemetry.logs import LogObserver, json_logs
from secagg.telemetry.metrics import MetricsObserver, metrics_endpoint
from secagg.telemetry.pages import pages_endpoint
from secagg.transport.enrolments import Enrolments
from secagg.transport.grpc import GrpcServer
from secagg.transport.limits import HEALTH_LIMITS, OWN_FILES, open_files
from secagg.transport.tls import split_address

_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000
_GATHER_SECONDS: Final = 0.05
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_RELOAD_SIGNALS: Final = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()
# A host that was not asked for so long has an event loop that hangs: probes come every few seconds.
_NEWS_SECONDS: Final = 15.0
_LIVE_SECONDS: Final = 60.0


def run_server(
    config: ServerConfig,
    announce: Callable[[dict[str, Any]], None],
    *,
    accept_loss: bool = False,
    path: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP has the configuration read again.

    Args:
        config: what to serve.
        announce: told once, when clients can connect, where and what is served.
        accept_loss: start although the database lost commits; the sessions that ran are then aborted.
        path: of the configuration; None to read it never again.

    Raises:
        SecAggError: it cannot start.
    """
    with _keys_of_addresses(config), ExitStack() as stack:
        stack.enter_context(_deaf_to_hangups())
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
        audit = None if config.audit.file is None else stack.enter_context(closing(AuditLog(config.audit.file)))
        if audit is not None:
            observers.append(stack.enter_context(closing(AuditObserver(audit))))
            if audit.begun:
                log.warning(
                    "a new chain of the audit log begins, as at a first start; at a later one, the file was moved away",
                    file=str(config.audit.file),
                )
        store = stack.enter_context(opened_store(config, accept_loss))
        executor = stack.enter_context(executor_of(config))
        if audit is not None:
            audit.begin()
        asyncio.run(_serve(path, config, store, executor, FanOut(*observers), metrics_address, announce, log, audit))


async def _serve(
    path: Path | None,
    config: ServerConfig,
    store: SessionStore,
    executor: secagg.Executor,
    observer: HostObserver,
    metrics_address: str | None,
    announce: Callable[[dict[str, Any]], None],
    log: Any,
    audit: AuditLog | None,
) -> None:
    listen = config.listen
    operators = operators_of(config)
    quotas = config.limits.quotas()
    tls = tls_of(config)
    warn_of_open_key(config, log)
    enrolled = await asyncio.to_thread(Enrolled, config)
    enrolments = Enrolments(
        enrolments_of(config),
        lambda: enrolled.directory,
        failed=lambda error: observer.store_failed("", error),
    )
    tell_expiries((tls, http_tls_of(config)), enrolled, observer)
    async with (
        _signals(_STOP_SIGNALS) as stopped,
        host_of(
            config,
            store,
            quotas=quotas,
            observer=observer,
            executor=executor,
            retention=config.retention.retention(),
            pinned={session.name for session in config.sessions},
            gather_seconds=_GATHER_SECONDS,
        ) as host,
    ):
        if enrolled.trouble:
            log.warning("no session can be made by call, and nobody is revoked", reason=enrolled.trouble)
        elif not config.identities.anonymous:
            await _revoke(host, enrolled, log)
        offered = await offer_sessions(host, config, enrolled)
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
            elsewhere=connections_over_http(config),
            health_address=config.health.address,
            enrolments=enrolments,
        )
        async with server, served_over_http(config, server) as web, _pages(host, config.health.http) as pages:
            record = {
                "address": _with_port(listen.address, server.port),
                "http": None if web is None else _with_port(config.http.address, web.port),
                "tls": not listen.plaintext,
                "sessions": [session.name for session in host.sessions()],
                "created": offered.created,
                "refused": offered.refused,
                "metrics": metrics_address,
                "health": _with_port(config.health.address, server.health_port),
                "pages": _with_port(config.health.http, pages),
            }
            log.info("serving", **record)
            with process_file(config.storage.directory) as file:
                reloading = (
                    None
                    if path is None
                    else Reloading(path, config, host, server, web, enrolled, enrolments, log, audit)
                )
                async with _signals(_RELOAD_SIGNALS, partial(_reload, reloading, file)):
                    if file is not None:
                        file.begin()
                    announce(record)
                    look_for_cycles_seldom()
                    await stopped.wait()
                log.info("stopping")
    log.info("stopped")


@contextmanager
def _keys_of_addresses(config: ServerConfig) -> Iterator[None]:
    """Say of an address that cannot be served which key gave it, and whether the environment did."""
    addresses = {
        "listen.address": config.listen.address,
        "http.address": config.http.address,
        "health.address": config.health.address,
        "health.http": config.health.http,
        "metrics.address": config.metrics.address,
    }
    try:
        yield
    except secagg.ParameterError as error:
        keys = [key for key, address in addresses.items() if address is not None and address in str(error)]
        if not keys:
            raise
        raise secagg.ParameterError(with_sources(f"{' and '.join(keys)}: {error}")) from error


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


def look_for_cycles_seldom() -> None:
    """Spare the collector of cycles what is here for good, and most of its rounds.

    Calls and messages are freed when the last reference goes; to look through all the shares and requests of a large
    session for the few cycles, every 700 objects, took a tenth of the server's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])


async def _revoke(host: SessionHost, enrolled: Enrolled, log: Any) -> None:
    """Drop who was taken out of the roster while the server was down."""
    try:
        await host.revoke(enrolled())
    except secagg.SecAggError as error:
        log.warning("not all who are revoked are dropped", detail=str(error))


async def _reload(reloading: Reloading | None, file: ProcessFile | None) -> None:
    trouble = "this server has no file to read again" if reloading is None else await reloading.reload()
    if file is not None:
        file.reloaded(trouble)


@contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """Let SIGHUP do nothing where no handler is set: it must not end a server that is about to start, or to stop."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in _RELOAD_SIGNALS]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@asynccontextmanager
async def _signals(
    numbers: Collection[int], react: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> AsyncIterator[asyncio.Event]:
    """Turn signals into an event, and react to each."""
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    reactions: set[asyncio.Task[None]] = set()

    def take() -> None:
        came.set()
        if react is not None:
            reactions.add(task := loop.create_task(react()))
            task.add_done_callback(reactions.discard)

    for number in numbers:
        loop.add_signal_handler(number, take)
    try:
        yield came
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
        if reactions:
            await asyncio.wait(set(reactions))


def largest_cohort(host: SessionHost) -> int:
    """Clients of the largest session."""
    return max((session.parameters.clients for session in host.sessions()), default=0)


def few_descriptors(clients: int, config: ServerConfig) -> str:
    """Return what is wrong when this process may open fewer files than a cohort has connections; "" when it may."""
    checks = 0 if config.health.address is None else HEALTH_LIMITS.connections
    # Half of them are for HTTP where it is served, and whoever comes may come by either.
    files, needed = open_files(), (clients if config.http.address is None else 2 * clients) + OWN_FILES + checks
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
