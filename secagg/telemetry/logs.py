"""Structured logs: one JSON object a line, through structlog and the standard library's handlers.

A line has `event`, `level`, `timestamp` (UTC) and what belongs to the event. Bytes never reach a log: a value that is
bytes or a secret is replaced by its length, and tracebacks are written without variables. Lines of other libraries
(gRPC, asyncio) take the same form. Failures of a store that come again are gathered, see `repeats`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import Processor

from secagg.crypto.secret import SecretBytes
from secagg.errors import DropReason, ParameterError
from secagg.hosting.observer import HostObserver
from secagg.hosting.replies import Departure, Expired, ReceiptKind
from secagg.parameters import ClientId
from secagg.protocol.events import Stage
from secagg.protocol.messages import Round
from secagg.store.base import Completed, Outcome
from secagg.telemetry.repeats import STORE_FAILED, Repeats

Level = Literal["debug", "info", "warning", "error"]
"""The least that is logged."""
_NAME: Final = "secagg"


@contextmanager
def json_logs(
    level: Level = "info", file: Path | None = None, stream: TextIO | None = None
) -> Iterator[structlog.stdlib.BoundLogger]:
    """Write logs as JSON lines while the block runs, those of other libraries from `warning` on too.

    Args:
        level: the least that is written.
        file: appended to.
        stream: where lines go without a file; standard error unless given.

    Yields:
        The log, as long as it is open.

    Raises:
        ParameterError: the file cannot be opened.
    """
    handler = _Handler(stream)
    handler.write_to(None if file is None else open_log(file))
    shared: list[Processor] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last: list[Processor] = [
        _counted,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=_shown),
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _from_elsewhere], processors=last)
    )
    root, own = logging.getLogger(), logging.getLogger(_NAME)
    before = (root.level, own.level)
    root.addHandler(handler)
    _set_level(level)
    try:
        yield structlog.wrap_logger(
            own,
            processors=[
                structlog.stdlib.filter_by_level,
                *shared,
                without_bytes,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )
    finally:
        root.removeHandler(handler)
        handler.close()
        root.setLevel(before[0])
        own.setLevel(before[1])


def open_log(file: Path) -> TextIO:
    """Open a file for logs.

    Args:
        file: appended to.

    Raises:
        ParameterError: it cannot be opened.
    """
    try:
        return open(file, "a", encoding="utf-8")
    except OSError as error:
        raise ParameterError(
            f"cannot write logs to {file}: {error.strerror}; give a file in a directory there"
        ) from error


def switch_logs(level: Level, opened: TextIO | None) -> None:
    """Write on to another file, as when the one before was moved away; inside of the block of `json_logs`.

    Args:
        level: the least that is written from now on.
        opened: by `open_log`; None for the stream that was given at the start.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Handler):
            handler.write_to(opened)
    _set_level(level)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a file, which may be replaced, or to the stream that it was made with."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream)
        self._own = self.stream
        self._file: TextIO | None = None
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless it is one of many that are counted."""
        now = time.monotonic()
        for counted in self._repeats.due(now):
            super().emit(counted)
        if self._repeats.new(record, now):
            super().emit(record)

    def write_to(self, file: TextIO | None) -> None:
        """Write to this file and close the one before; None for the stream."""
        before, self._file = self._file, file
        self.setStream(self._own if file is None else file)
        if before is not None:
            before.close()

    def close(self) -> None:
        """Write what was counted, and close the file."""
        for counted in self._repeats.due(math.inf):
            super().emit(counted)
        self.write_to(None)
        super().close()


class LogObserver(HostObserver):
    """Writes what happens to a host's sessions.

    Args:
        logger: where it is written.
    """

    def __init__(self, logger: structlog.stdlib.BoundLogger) -> None:
        # Bound once: for a call that is not written, the binding would be most of what it costs.
        self._log: structlog.stdlib.BoundLogger = logger.bind()

    def session_created(self, name: str, clients: int) -> None:
        """Level info."""
        self._log.info("session created", session=name, clients=clients)

    def session_refused(self, name: str, error: Exception) -> None:
        """Level error."""
        self._log.error("session refused", session=name, detail=str(error))

    def session_resumed(self, name: str, entries: int, seconds: float) -> None:
        """Level info."""
        self._log.info("session resumed", session=name, entries=entries, seconds=round(seconds, 3))

    def session_ended(self, name: str, outcome: Outcome) -> None:
        """Level info for a sum, warning otherwise."""
        if isinstance(outcome, Completed):
            self._log.info("session completed", session=name)
        else:
            self._log.warning("session aborted", session=name, reason=outcome.reason, detail=outcome.detail)
            for each in outcome.blame:
                shown = each.evidence is not None
                self._log.warning("client blamed", session=name, client=each.client, reason=each.reason, evidence=shown)
            if outcome.successor:
                self._log.info("session follows", session=outcome.successor, after=name)

    def session_expired(self, name: str, what: Expired) -> None:
        """Level warning for a result, which nobody fetched, info otherwise."""
        tell = self._log.warning if what is Expired.RESULT else self._log.info
        tell("expired", session=name, what=what.value)

    def session_failed(self, name: str, error: BaseException) -> None:
        """Level error, with a traceback."""
        self._log.error("session failed", session=name, exc_info=error)

    def round_opened(self, name: str, round_: Round, clients: int, seconds: float) -> None:
        """Level info."""
        self._log.info("round opened", session=name, round=round_.value, clients=clients, deadline_seconds=seconds)

    def round_closed(self, name: str, round_: Round, answered: int, seconds: float) -> None:
        """Level info."""
        self._log.info("round closed", session=name, round=round_.value, answered=answered, seconds=round(seconds, 3))

    def client_dropped(self, name: str, client: ClientId, round_: Round, reason: Departure, detail: str) -> None:
        """Level warning."""
        self._log.warning(
            "client dropped",
            session=name,
            client=client,
            round=round_.value,
            reason=reason.value,
            rule=reason.name,
            detail=detail,
        )

    def shares_wrong(self, name: str, holder: ClientId, reason: DropReason, owners: int) -> None:
        """Level warning."""
        self._log.warning(
            "shares wrong", session=name, client=holder, owners=owners, reason=reason.value, rule=reason.name
        )

    def answer(self, name: str, round_: Round | None, client: ClientId, kind: ReceiptKind) -> None:
        """Level debug."""
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug(
                "answer",
                session=name,
                round=None if round_ is None else round_.value,
                client=client,
                outcome=kind.value,
            )

    def login_answered(self, outcome: str) -> None:
        """Level debug: strangers must not be able to fill a log."""
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug("login", outcome=outcome)

    def stage_entered(self, name: str, stage: Stage) -> None:
        """Level info."""
        self._log.info("stage entered", session=name, stage=stage.value)

    def step_timed(self, name: str, step: str, seconds: float) -> None:
        """Level debug."""
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug("step timed", session=name, step=step, seconds=round(seconds, 6))

    def readiness_changed(self, trouble: str) -> None:
        """Level info when ready, error otherwise."""
        if trouble:
            self._log.error("not ready", detail=trouble)
        else:
            self._log.info("ready")

    def executor_failed(self, trouble: str) -> None:
        """Level warning."""
        self._log.warning("executor failed", detail=trouble)

    def lease_taken(self, name: str, epoch: int) -> None:
        """Level info."""
        self._log.info("lease taken", session=name, epoch=epoch)

    def lease_lost(self, name: str, epoch: int, why: str) -> None:
        """Level warning."""
        self._log.warning("lease lost", session=name, epoch=epoch, detail=why)

    def expiry_known(self, what: str, at: float) -> None:
        """Level info."""
        self._log.info("expiry known", what=what, at=datetime.fromtimestamp(at, UTC).isoformat())

    def reloaded(self, trouble: str) -> None:
        """Level info, error for one that changed nothing."""
        if trouble:
            self._log.error("reload refused", detail=trouble)
        else:
            self._log.info("reloaded")

    def store_failed(self, name: str, error: Exception) -> None:
        """Level error."""
        self._log.error(STORE_FAILED, session=name, detail=str(error))


def without_bytes(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return an event with the length of bytes and secrets in their place; a processor of structlog.

    Args:
        event: name to value.
    """
    return {name: _cleaned(value) for name, value in event.items()}


def _cleaned(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview | SecretBytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return {str(name): _cleaned(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(item) for item in value]
    return value


def _shown(value: Any) -> str:
    """What JSON does not know is named by its type: a repr may show anything."""
    return f"<{type(value).__name__}>"


def _counted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    repeated = getattr(event["_record"], "repeated", 0)
    if repeated:
        event["repeated"] = repeated
    return event


def _from_elsewhere(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record = event["_record"]
    event["logger"] = record.name
    return event


def _set_level(level: Level) -> None:
    logging.getLogger().setLevel(max(logging.WARNING, number(level)))
    logging.getLogger(_NAME).setLevel(number(level))


def number(level: Level) -> int:
    """A level as `logging` counts them.

    Args:
        level: one that `json_logs` takes.
    """
    return logging.getLevelNamesMapping()[level.upper()]
