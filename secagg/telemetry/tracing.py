"""OpenTelemetry traces of sessions: one span for a session, below it one for each round and each stage.

The trace of a session follows from its offer: wherever it goes on, after a restart or on another replica, its spans
belong to the same one, without anybody telling anybody. They lie below a span that nobody made, which a trace's reader
shows as missing.

Needs opentelemetry-api, which says nothing until somebody sets a provider up: `opentelemetry-instrument secagg serve`.
Names, numbers and reasons only.
"""

from __future__ import annotations

import hashlib

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
    set_span_in_context,
)

from secagg.hosting.observer import HostObserver
from secagg.hosting.replies import Departure
from secagg.parameters import ClientId
from secagg.protocol.events import Stage
from secagg.protocol.messages import Round
from secagg.store.base import Completed, Outcome


class TracingObserver(HostObserver):
    """Traces what happens to a host's sessions.

    Args:
        provider: makes the tracer; the global one unless given.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("secagg", tracer_provider=provider)
        self._clients: dict[str, int] = {}
        self._sessions: dict[str, Span] = {}
        self._rounds: dict[str, Span] = {}
        self._stages: dict[str, Span] = {}

    def session_created(self, name: str, clients: int) -> None:
        """Keep it for the session's span."""
        self._clients[name] = clients

    def session_opened(self, name: str, digest: bytes) -> None:
        """Open the session's span, or one for what is left of it."""
        self._sessions[name] = span = self._tracer.start_span(
            "session", attributes={"secagg.session": name}, context=_trace_of(digest)
        )
        if name in self._clients:
            span.set_attribute("secagg.clients", self._clients.pop(name))

    def session_resumed(self, name: str, entries: int, seconds: float) -> None:
        """Note it in the session's span."""
        if name in self._sessions:
            self._sessions[name].set_attribute("secagg.resumed_entries", entries)

    def session_left(self, name: str) -> None:
        """Close all spans of the session: whoever goes on with it opens its own."""
        self._finish(name, Status(StatusCode.UNSET))

    def lease_lost(self, name: str, epoch: int, why: str) -> None:
        """The same, in error."""
        self._finish(name, Status(StatusCode.ERROR, "lease lost"))

    def session_ended(self, name: str, outcome: Outcome) -> None:
        """Close all spans of the session."""
        status = Status(StatusCode.OK) if isinstance(outcome, Completed) else Status(StatusCode.ERROR, outcome.reason)
        self._finish(name, status)

    def session_failed(self, name: str, error: BaseException) -> None:
        """Close all spans of the session, in error."""
        self._finish(name, Status(StatusCode.ERROR, type(error).__name__))

    def round_opened(self, name: str, round_: Round, clients: int, seconds: float) -> None:
        """Open the round's span."""
        self._end(self._rounds, name)
        self._rounds[name] = self._below(self._sessions.get(name), f"round {round_.value}", {"secagg.clients": clients})

    def round_closed(self, name: str, round_: Round, answered: int, seconds: float) -> None:
        """Close the round's span."""
        self._end(self._stages, name)
        if name in self._rounds:
            self._rounds[name].set_attribute("secagg.answered", answered)
        self._end(self._rounds, name)

    def client_dropped(self, name: str, client: ClientId, round_: Round, reason: Departure, detail: str) -> None:
        """Note it in the round's span, or the session's."""
        span = self._rounds.get(name) or self._sessions.get(name)
        if span is not None:
            span.add_event("client dropped", {"secagg.client": str(client), "secagg.reason": reason.value})

    def stage_entered(self, name: str, stage: Stage) -> None:
        """Close the span of the stage before it and open one."""
        self._end(self._stages, name)
        self._stages[name] = self._below(self._rounds.get(name) or self._sessions.get(name), f"stage {stage.value}", {})

    def _below(self, parent: Span | None, name: str, attributes: dict[str, int]) -> Span:
        context = None if parent is None else set_span_in_context(parent)
        return self._tracer.start_span(name, context=context, attributes=attributes)

    def _finish(self, name: str, status: Status) -> None:
        self._end(self._stages, name)
        self._end(self._rounds, name)
        if name in self._sessions:
            self._sessions[name].set_status(status)
        self._end(self._sessions, name)

    @staticmethod
    def _end(spans: dict[str, Span], name: str) -> None:
        span = spans.pop(name, None)
        if span is not None:
            span.end()


def _trace_of(digest: bytes) -> Context:
    """The context of a session's trace; says that it is sampled, since nobody is there to ask."""
    drawn = hashlib.sha256(b"secagg trace\0" + digest).digest()
    parent = SpanContext(
        trace_id=int.from_bytes(drawn[:16]) or 1,
        span_id=int.from_bytes(drawn[16:24]) or 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
