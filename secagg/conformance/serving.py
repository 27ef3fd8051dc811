"""How a testee is served: framed calls on a stream, or one gRPC method (protocol_specs/conformance.md, "Transport").

The calls reach a function from Call to Reply, one at a time. Must know nothing of the protocol (Specification §6):
what a call means is the function's business. gRPC is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, Final

from google.protobuf.message import DecodeError as ProtobufDecodeError

from secagg import DecodeError, MissingExtraError, ParameterError
from secagg.conformance import conformance_pb2 as pb

if TYPE_CHECKING:
    import grpc

Handle = Callable[[pb.Call], pb.Reply]
"""What answers a call."""

SERVICE: Final = "secagg.conformance.v1.Testee"
METHOD: Final = "Handle"
# Below every length whose first byte is printable or white space: text on standard output is no frame of any length.
MAX_FRAME_BYTES: Final = 1 << 27
_LENGTH_BYTES: Final = 4


class EndInsideFrameError(DecodeError):
    """The stream ended before the frame did."""


def serve_stream(handle: Handle, reader: BinaryIO, writer: BinaryIO) -> None:
    """Answer framed calls until the input ends.

    Args:
        handle: answers a call; what it raises ends the testee.
        reader: where calls come from, such as `sys.stdin.buffer`.
        writer: where replies go, such as `sys.stdout.buffer`; flushed after each.

    Raises:
        DecodeError: the input ends inside of a frame, or a frame is of absurd length.
    """
    while (call := read_frame(reader)) is not None:
        write_frame(writer, answer_bytes(handle, call))


def answer_bytes(handle: Handle, data: bytes) -> bytes:
    """Answer the bytes of a call with those of its reply."""
    try:
        call = pb.Call.FromString(data)
    except ProtobufDecodeError:
        return pb.Reply(unsupported=f"these {len(data)} bytes are no Call").SerializeToString()
    return handle(call).SerializeToString()


def read_frame(reader: BinaryIO) -> bytes | None:
    """Read one frame; None when the stream ended before it.

    Raises:
        EndInsideFrameError: the stream ends inside of it.
        DecodeError: its length is absurd.
    """
    head = reader.read(_LENGTH_BYTES)
    if not head:
        return None
    if len(head) < _LENGTH_BYTES:
        raise EndInsideFrameError(f"the stream ends after {len(head)} bytes of a frame's length")
    length = int.from_bytes(head, "big")
    if length > MAX_FRAME_BYTES:
        raise DecodeError(
            f"a frame that begins with {head!r} would have {length} bytes; {MAX_FRAME_BYTES} is the limit"
        )
    content = reader.read(length)
    if len(content) < length:
        raise EndInsideFrameError(f"the stream ends after {len(content)} of the {length} bytes of a frame")
    return content


def write_frame(writer: BinaryIO, content: bytes) -> None:
    """Write one frame and flush it."""
    writer.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
    writer.write(content)
    writer.flush()


def serve_grpc(handle: Handle, address: str) -> GrpcServer:
    """Serve calls over gRPC, one at a time, until the server is stopped.

    Args:
        handle: answers a call; what it raises fails this call only.
        address: such as `localhost:50051`; port 0 chooses one. There is no authentication: do not leave the machine.

    Raises:
        ParameterError: gRPC is not installed, or the address cannot be served.
    """
    require_grpc()
    import grpc

    # Without serializers the method takes and gives the bytes as they are.
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        lambda call, _context: answer_bytes(handle, call)
    )
    one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix="testee")
    server = grpc.server(one_at_a_time, options=(("grpc.so_reuseport", 0), *LENGTH_OPTIONS))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise ParameterError(
            f"{address!r} cannot be served; give host:port of this machine with a free port, or port 0"
        ) from None
    server.start()
    return GrpcServer(server, port)


LENGTH_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
    ("grpc.max_send_message_length", MAX_FRAME_BYTES),
)
"""Options of a channel or server whose messages are as long as frames may be."""


class GrpcServer:
    """A running service.

    Attributes:
        port: the port that it listens on.
    """

    def __init__(self, server: grpc.Server, port: int) -> None:
        self._server = server
        self.port = port

    def wait(self) -> None:
        """Return when the server has stopped."""
        self._server.wait_for_termination()

    def stop(self) -> None:
        """End the service; calls that are being answered are cancelled."""
        self._server.stop(None).wait()


def require_grpc() -> None:
    """Say what to install when gRPC is not there.

    Raises:
        ParameterError: gRPC is not installed.
    """
    try:
        import grpc  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "gRPC is not installed: pip install 'secagg[grpc]', or drive a command instead"
        ) from None
