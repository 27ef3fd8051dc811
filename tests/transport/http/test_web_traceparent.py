"""Calls over HTTP are spans as those over gRPC are: the same names, below the caller's where it says whose it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from secagg.cli.service.server_config import load_config
from secagg.cli.service.web import served_over_http
from secagg.telemetry import calls
from secagg.telemetry.calls import TracedCalls
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc.credentials import channel_credentials
from secagg.transport.grpc.service_pb2_grpc import SecureAggregationStub
from tests.telemetry.test_tracing import Kept, provider_with
from tests.transport.grpc.network import SESSION, Network, client_tls, run
from tests.transport.grpc.test_traceparent import CALLER, TRACE, kept  # noqa: F401 - a fixture
from tests.transport.http.lines import TYPE, token
from tests.transport.http.web import Web

PARENT = f"00-{TRACE:032x}-{CALLER:016x}-01"
CHALLENGE = pb.ChallengeRequest(client=pb.ClientSubject(session=SESSION, client=1))


def of(kept: Kept, name: str) -> list[ReadableSpan]:  # noqa: F811
    return [span for span in kept.spans if span.name.endswith(f"/{name}")]


def test_a_call_is_the_same_span_over_either_transport(kept: Kept) -> None:  # noqa: F811
    """gRPC's is made by OpenTelemetry's own instrumentation."""

    async def play() -> None:
        async with (
            Web(around=partial(TracedCalls, provider=provider_with(kept))) as web,
            grpc.aio.secure_channel(web.address, channel_credentials(client_tls())) as channel,
            web.browser() as browser,
        ):
            stub = SecureAggregationStub(channel)  # type: ignore[no-untyped-call]
            await stub.Challenge(CHALLENGE, metadata=(("traceparent", PARENT),))
            asked = CHALLENGE.SerializeToString()
            reply = await browser.post("Challenge", content=asked, headers={**TYPE, "traceparent": PARENT})
            nonce = pb.ChallengeReply.FromString(reply.content).nonce
            over_grpc, over_http = of(kept, "Challenge")
            assert over_http.name == over_grpc.name
            assert over_http.kind is over_grpc.kind is SpanKind.SERVER
            assert over_http.context is not None
            assert over_http.parent is not None
            assert (over_http.context.trace_id, over_http.parent.span_id) == (TRACE, CALLER)
            names, others = (set(span.attributes or {}) for span in (over_http, over_grpc))
            assert names - others == {"http.response.status_code"}
            assert others - names == {"rpc.grpc.status_code"}
            for name in ("rpc.service", "rpc.method", "net.peer.name"):
                assert (over_http.attributes or {})[name] == (over_grpc.attributes or {})[name], name
            assert nonce.hex() not in str(over_http.to_json())

    run(play())


def test_spans_say_how_calls_ended_and_no_secret() -> None:
    async def play() -> None:
        kept = Kept()  # noqa: F811
        async with (
            Web(around=partial(TracedCalls, provider=provider_with(kept)), operator_page=True) as web,
            web.browser() as browser,
        ):
            headers = {**(await token(web)), **TYPE}
            await browser.post("GetOffer", headers=TYPE)
            await browser.post("GetOffer", headers=headers)
            web.server.service.waits.end()  # type: ignore[union-attr]
            await browser.post("NextSession", headers=headers)
            await browser.post("ListSessions", headers=headers)
            await browser.post("nothing", headers=headers)
            await browser.get("/operator")
            found = [
                (span.name.rpartition(".")[2], (span.attributes or {})["http.response.status_code"])
                for span in kept.spans
            ]
            assert found == [
                ("SecureAggregation/GetOffer", 401),
                ("SecureAggregation/GetOffer", 200),
                ("SecureAggregation/NextSession", 403),
                ("Administration/ListSessions", 400),
            ]
            assert {span.status.status_code for span in kept.spans} == {StatusCode.UNSET}
            secret = headers["authorization"].partition(" ")[2]
            assert all(secret not in str(span.to_json()) for span in kept.spans)

    run(play())


def test_what_else_strangers_send_of_traces_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """OpenTelemetry warns of each `baggage` and `tracestate` that it cannot read, with all that it has of them."""

    async def play() -> None:
        kept = Kept()  # noqa: F811
        async with Web(around=partial(TracedCalls, provider=provider_with(kept))) as web, web.browser() as browser:
            said = {**TYPE, "traceparent": PARENT, "baggage": "nonsense" * 1500, "tracestate": "=" * 2000}
            reply = await browser.post("Challenge", content=CHALLENGE.SerializeToString(), headers=said)
            assert reply.status_code == 200
            (span,) = of(kept, "Challenge")
            assert span.parent is not None
            assert span.parent.span_id == CALLER

    with caplog.at_level("WARNING"):
        run(play())
    assert [each.name for each in caplog.records] == []


def test_a_call_that_the_server_fails_is_an_error() -> None:
    async def play() -> None:
        kept = Kept()  # noqa: F811

        async def app(scope: object, receive: object, send: object) -> None:
            raise ZeroDivisionError("17")

        traced = TracedCalls(app, {"/a": "/p.S/A"}, provider_with(kept))
        with pytest.raises(ZeroDivisionError):
            await traced({"path": "/a", "headers": []}, None, None)  # type: ignore[arg-type]
        (span,) = kept.spans
        assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())

    run(play())


def test_a_server_that_traces_traces_calls_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()  # noqa: F811
    monkeypatch.setattr(calls, "TracedCalls", partial(TracedCalls, provider=provider_with(kept)))
    lines = "[listen]\nplaintext = true\n[identities]\nanonymous = true\n[storage]\nmemory = true\n"
    lines += '[http]\naddress = "127.0.0.1:0"\nconnections_per_address = 7\n'

    async def play(more: str, spans: int) -> None:
        path = tmp_path / "server.toml"
        path.write_text(lines + more, encoding="utf-8")
        async with Network() as network, served_over_http(load_config(path), network.server) as web:
            assert web is not None
            assert web._door._per_address == 7
            import httpx

            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}") as browser:
                await browser.post("/secagg/v1/Challenge", content=CHALLENGE.SerializeToString(), headers=TYPE)
            assert len(kept.spans) == spans

    run(play("", 0))
    run(play("[traces]\nenabled = true\n", 1))
