"""Testees on streams and behind gRPC: framing, ends of input, and what is said when gRPC is not there."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest

from secagg import DecodeError, ParameterError
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.serving import (
    MAX_FRAME_BYTES,
    EndInsideFrameError,
    GrpcServer,
    answer_bytes,
    read_frame,
    serve_grpc,
    serve_stream,
    write_frame,
)

PATH = "/secagg.conformance.v1.Testee/Handle"
DESCRIBE = pb.Call(describe=pb.Describe()).SerializeToString()


def framed(*contents: bytes) -> bytes:
    return b"".join(len(content).to_bytes(4, "big") + content for content in contents)


def served(stream: bytes) -> list[pb.Reply]:
    """The replies of the library to a stream of calls."""
    writer = io.BytesIO()
    serve_stream(LibraryTestee().handle, io.BytesIO(stream), writer)
    writer.seek(0)
    replies = []
    while (reply := read_frame(writer)) is not None:
        replies.append(pb.Reply.FromString(reply))
    return replies


def test_each_call_has_one_reply_in_order_until_the_input_ends() -> None:
    freed = pb.Call(free=pb.Free(handle=1)).SerializeToString()
    kinds = [reply.WhichOneof("reply") for reply in served(framed(DESCRIBE, freed, DESCRIBE))]
    assert kinds == ["description", "freed", "description"]
    assert served(b"") == []


def test_a_frame_is_its_length_in_four_big_endian_bytes_and_its_content() -> None:
    writer = io.BytesIO()
    write_frame(writer, bytes(258))
    write_frame(writer, b"")
    assert writer.getvalue() == b"\x00\x00\x01\x02" + bytes(258) + bytes(4)
    writer.seek(0)
    assert [read_frame(writer), read_frame(writer), read_frame(writer)] == [bytes(258), b"", None]


class Flushed(io.BytesIO):
    """Keeps what had been written at the last flush."""

    flushed = b""

    def flush(self) -> None:
        self.flushed = self.getvalue()


def test_every_reply_is_flushed() -> None:
    writer = Flushed()
    serve_stream(LibraryTestee().handle, io.BytesIO(framed(DESCRIBE)), writer)
    assert writer.flushed == writer.getvalue()
    assert len(writer.flushed) > 10


@pytest.mark.parametrize("cut", [1, 3, 4, 5])
def test_an_end_of_input_inside_of_a_frame_is_an_error(cut: int) -> None:
    with pytest.raises(EndInsideFrameError, match="the stream ends after"):
        served(framed(DESCRIBE) + framed(DESCRIBE)[:cut])


@pytest.mark.parametrize("head", [b"hell", b"\n\n\n\n", (MAX_FRAME_BYTES + 1).to_bytes(4, "big"), b"\xff" * 4])
def test_an_absurd_length_is_refused_before_anything_is_read(head: bytes) -> None:
    reader = io.BytesIO(head + b"rest")
    with pytest.raises(DecodeError, match="is the limit") as raised:
        read_frame(reader)
    assert not isinstance(raised.value, EndInsideFrameError)
    assert reader.read() == b"rest"


def test_bytes_that_are_no_call_are_not_supported() -> None:
    reply = pb.Reply.FromString(answer_bytes(LibraryTestee().handle, b"\xff\xff"))
    assert reply.unsupported == "these 2 bytes are no Call"


@pytest.fixture
def server() -> Iterator[GrpcServer]:
    running = serve_grpc(LibraryTestee().handle, "localhost:0")
    yield running
    running.stop()


def test_over_grpc_it_is_the_one_method(server: GrpcServer) -> None:
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        handle: grpc.UnaryUnaryMultiCallable[pb.Call, pb.Reply] = channel.unary_unary(
            PATH, request_serializer=pb.Call.SerializeToString, response_deserializer=pb.Reply.FromString
        )
        reply = handle(pb.Call(describe=pb.Describe()), timeout=600)
        assert reply.description.name == "secagg"


def test_a_port_that_is_taken_is_the_callers_mistake(server: GrpcServer) -> None:
    with pytest.raises(ParameterError, match="cannot be served"):
        serve_grpc(LibraryTestee().handle, f"localhost:{server.port}")


def test_a_stopped_server_has_ended() -> None:
    running = serve_grpc(LibraryTestee().handle, "localhost:0")
    running.stop()
    running.wait()


def test_without_grpc_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ParameterError, match=r"pip install 'secagg\[grpc\]'"):
        serve_grpc(LibraryTestee().handle, "localhost:0")


def test_grpc_is_loaded_when_it_is_asked_for_and_not_before() -> None:
    program = (
        "import sys\n"
        "import secagg.conformance.driving, secagg.conformance.library_testee\n"
        "assert 'grpc' not in sys.modules\n"
        "secagg.conformance.driving.GrpcTestee('localhost:1', 1.0).close()\n"
        "assert 'grpc' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
