"""A client's trace goes on in the server, when OpenTelemetry's own instrumentation of gRPC is there."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorServer
from opentelemetry.sdk.trace import TracerProvider

from secagg.transport import service_pb2 as pb
from secagg.transport.grpc.credentials import channel_credentials
from secagg.transport.grpc.service_pb2_grpc import SecureAggregationStub
from tests.telemetry.test_tracing import Kept, provider_with
from tests.transport.grpc.network import SESSION, Network, client_tls, run

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
CALLER = 0x00F067AA0BA902B7


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    provider: TracerProvider = provider_with(kept)
    instrumentor = GrpcAioInstrumentorServer()  # type: ignore[no-untyped-call]
    instrumentor.instrument(tracer_provider=provider)
    yield kept
    instrumentor.uninstrument()


def test_a_call_is_below_its_callers_span_and_shows_no_secret(kept: Kept) -> None:
    async def body() -> None:
        async with (
            Network(clients=4) as network,
            grpc.aio.secure_channel(network.address, channel_credentials(client_tls())) as channel,
        ):
            stub = SecureAggregationStub(channel)  # type: ignore[no-untyped-call]
            subject = pb.ClientSubject(session=SESSION, client=1)
            reply = await stub.Challenge(
                pb.ChallengeRequest(client=subject), metadata=(("traceparent", f"00-{TRACE:032x}-{CALLER:016x}-01"),)
            )
            (span,) = [span for span in kept.spans if span.name.endswith("/Challenge")]
            assert span.context is not None
            assert span.parent is not None
            assert (span.context.trace_id, span.parent.span_id) == (TRACE, CALLER)
            shown = str(span.to_json())
            assert reply.nonce.hex() not in shown
            assert not {
                name
                for name in span.attributes or {}
                if not name.startswith(("rpc.", "net.", "network.", "server.", "client."))
            }

    run(body())
