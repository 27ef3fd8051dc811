"""Traces: a span for a session, below it rounds, below these stages."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from secagg.hosting.observer import HostObserver
from secagg.protocol.messages import Round
from secagg.telemetry.fan_out import FanOut
from secagg.telemetry.tracing import TracingObserver
from tests.telemetry.events import play


class Kept(SpanExporter):
    """Keeps the spans that ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def provider_with(kept: Kept) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return provider


def traced() -> list[ReadableSpan]:
    kept = Kept()
    play(FanOut(TracingObserver(provider_with(kept)), HostObserver()))
    return kept.spans


def below(spans: list[ReadableSpan], parent: ReadableSpan) -> list[str]:
    assert parent.context is not None
    return [span.name for span in spans if span.parent is not None and span.parent.span_id == parent.context.span_id]


def session(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == "session" and (span.attributes or {})["secagg.session"] == name]
    return found


def test_spans_lie_below_each_other() -> None:
    spans = traced()
    whole = session(spans, "a")
    assert whole.parent is None
    assert below(spans, whole) == ["round advertise_keys", "round unmasking"]
    (unmasking,) = [span for span in spans if span.name == "round unmasking"]
    assert below(spans, unmasking) == ["stage rebuilding_secrets", "stage removing_masks"]
    assert (unmasking.attributes or {})["secagg.answered"] == 3
    ended = [span.name for span in spans]
    assert ended.index("stage removing_masks") < ended.index("round unmasking") < ended.index("session")


def test_drops_are_events_and_outcomes_are_statuses() -> None:
    spans = traced()
    (first, *_) = [span for span in spans if span.name == "round advertise_keys"]
    assert [(event.name, dict(event.attributes or {})) for event in first.events] == [
        ("client dropped", {"secagg.client": "3", "secagg.reason": "S01"})
    ]
    assert session(spans, "a").status.status_code is StatusCode.OK
    assert (session(spans, "b").status.status_code, session(spans, "b").status.description) == (StatusCode.ERROR, "A02")
    assert session(spans, "c").status.description == "ZeroDivisionError"


def test_every_span_ends() -> None:
    assert len(traced()) == 3 + 3 + 2


def test_a_host_that_was_restarted_traces_what_is_left() -> None:
    kept = Kept()
    observer = TracingObserver(provider_with(kept))
    observer.round_closed("unknown", Round.SHARE_KEYS, 3, 1.0)
    observer.session_resumed("a", 5, 0.1)
    observer.round_opened("a", Round.SHARE_KEYS, 3, 60.0)
    observer.session_failed("a", ZeroDivisionError())
    assert [span.name for span in kept.spans] == ["round share_keys", "session"]
