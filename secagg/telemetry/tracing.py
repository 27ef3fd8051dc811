"""OpenTelemetry traces of sessions: one span for a session, below it one for each round and each stage.

Needs opentelemetry-api, which says nothing until somebody sets a provider up: `opentelemetry-instrument secagg serve`.
Names, numbers and reasons only.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider, set_span_in_context

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
        self._sessions: dict[str, Span] = {}
        self._rounds: dict[str, Span] = {}
        self._stages: dict[str, Span] = {}

    def session_created(self, name: str, clients: int) -> None:
        """Open the session's span."""
        self._begin(name, {"secagg.clients": clients})

    def session_resumed(self, name: str, entries: int, seconds: float) -> None:
        """Open a span for what is left of the session."""
        self._begin(name, {"secagg.resumed_entries": entries})

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

    def _begin(self, name: str, attributes: dict[str, int]) -> None:
        self._sessions[name] = self._tracer.start_span(
            "session", attributes={"secagg.session": name, **attributes}, context=Context()
        )

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
