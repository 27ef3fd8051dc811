"""Traces: a span for a session, below it rounds, below these stages."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from secagg.hosting.observer import HostObserver
from secagg.protocol.messages import Round
from secagg.store.memory import MemoryStore
from secagg.telemetry.fan_out import FanOut
from secagg.telemetry.tracing import TracingObserver
from tests.harness import Harness
from tests.hosting.support import Played, hosting, run
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
    assert whole.parent is not None
    assert whole.parent.is_remote
    assert dict(whole.attributes or {}) == {"secagg.session": "a", "secagg.clients": 4}
    assert dict(session(spans, "b").attributes or {}) == {"secagg.session": "b", "secagg.resumed_entries": 17}
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
    observer.session_opened("a", bytes(32))
    observer.session_resumed("a", 5, 0.1)
    observer.round_opened("a", Round.SHARE_KEYS, 3, 60.0)
    observer.session_failed("a", ZeroDivisionError())
    assert [span.name for span in kept.spans] == ["round share_keys", "session"]


def test_a_session_that_passed_on_is_closed_here() -> None:
    kept = Kept()
    observer = TracingObserver(provider_with(kept))
    observer.session_opened("a", bytes(32))
    observer.round_opened("a", Round.SHARE_KEYS, 3, 60.0)
    observer.lease_lost("a", 2, "it was asleep")
    assert [span.name for span in kept.spans] == ["round share_keys", "session"]
    assert session(kept.spans, "a").status.description == "lease lost"


def traces_of(kept: Kept) -> set[int]:
    return {span.context.trace_id for span in kept.spans if span.context is not None}


def test_a_session_on_two_hosts_is_one_trace() -> None:
    """The first stops in the middle, and the second goes on; another session of the same name has another trace."""

    async def body() -> None:
        kept, store, played = [Kept() for _ in range(3)], MemoryStore(), Played(Harness(4, threshold=2))
        observers = [TracingObserver(provider_with(each)) for each in kept]
        async with hosting(store, observer=observers[0]) as host:
            session = await played.create(host)
            await played.run_to(session, Round.MASKED_INPUT)
        async with hosting(store, observer=observers[1]) as host:
            played.assert_exact(await played.finish(host.session("round-1")))
        async with hosting(MemoryStore(), observer=observers[2]) as host:
            another = Played(Harness(4, threshold=2, seed=9))
            await another.finish(await another.create(host))
        first, second, third = (traces_of(each) for each in kept)
        assert first == second
        assert len(first) == len(third) == 1
        assert first != third
        assert {"session", "round share_keys"} <= {span.name for span in kept[0].spans}
        assert {"session", "round unmasking", "stage removing_masks"} <= {span.name for span in kept[1].spans}
        parents = {
            span.parent.span_id if span.parent else None
            for each in kept[:2]
            for span in each.spans
            if span.name == "session"
        }
        assert len(parents) == 1

    run(body())


def test_attributes_are_names_numbers_and_reasons() -> None:
    """No digest, no key: what is not in this list is not in a trace."""
    known = {"session", "clients", "resumed_entries", "answered", "client", "reason"}
    spans = traced()
    told = {name for span in spans for name in span.attributes or {}}
    told |= {name for span in spans for event in span.events for name in event.attributes or {}}
    assert told == {f"secagg.{name}" for name in known}
