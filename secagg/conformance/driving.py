"""What a runner drives: a testee in a process, behind gRPC or in this process, and the ways in which it fails.

A testee that crashes, hangs or writes what is no reply fails the call at hand, and only this one: its process is
started anew for the next (protocol_specs/conformance.md, "Transport"). Must not know sessions (Specification §7), nor
what the calls do to them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import BinaryIO, Final, Protocol

from google.protobuf.message import DecodeError as ProtobufDecodeError

from secagg import DecodeError, ParameterError, SecAggError
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.serving import (
    LENGTH_OPTIONS,
    METHOD,
    SERVICE,
    EndInsideFrameError,
    Handle,
    answer_bytes,
    read_frame,
    require_grpc,
    write_frame,
)

_TAIL_BYTES: Final = 8192
_TAIL_LINES: Final = 20
_CHUNK_BYTES: Final = 65536
_AFTERMATH_SECONDS: Final = 1.0  # for a stream to end once its process has


class Testee(Protocol):
    """An implementation that answers calls."""

    def call(self, call: pb.Call) -> pb.Reply:
        """Return the reply to one call.

        Raises:
            TesteeFailure: there is no reply of use; the next call may have one.
        """

    def close(self) -> None:
        """End the testee, whatever it does; closing twice is allowed."""


class TesteeFailure(SecAggError):  # noqa: N818 - a finding about a testee, like its kinds below
    """A call that a testee did not answer as conformance.md says."""


class TesteeCrashed(TesteeFailure):
    """It ended, or closed its output, before the reply was complete.

    Attributes:
        exit_code: of the process; minus the signal that killed it; None when it is not known.
        stderr: the last lines that it wrote to standard error.
    """

    def __init__(self, detail: str, exit_code: int | None = None, stderr: str = "") -> None:
        super().__init__(f"the testee crashed: {detail}")
        self.exit_code = exit_code
        self.stderr = stderr


class TesteeHung(TesteeFailure):
    """It did not reply in time.

    Attributes:
        stderr: the last lines that it wrote to standard error.
    """

    def __init__(self, seconds: float, stderr: str = "") -> None:
        super().__init__(f"the testee did not reply within {seconds:g} seconds")
        self.stderr = stderr


class TesteeGibberish(TesteeFailure):
    """It answered with bytes that are no reply, or with the reply to another call."""


class TesteeUnsupported(TesteeFailure):
    """It says that it does not support the call."""


class InProcessTestee:
    """A testee that is a function; what it raises gets out, so that a debugger sees it."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def call(self, call: pb.Call) -> pb.Reply:
        """Return the reply; call and reply pass through bytes, as they do between processes.

        Raises:
            TesteeFailure: the reply is empty, or says that the call is not supported.
        """
        return _parsed(answer_bytes(self._handle, call.SerializeToString()))

    def close(self) -> None:
        """Nothing to end."""


class ProcessTestee:
    """A command that answers framed calls on its standard input and output.

    Args:
        command: program and arguments. It is started at the first call, and anew after every failure.
        seconds: time limit of one call, start included; may be changed later.

    Raises:
        ParameterError: an empty command.
    """

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        if not command:
            raise ParameterError("there is no command to start; give the program of the testee and its arguments")
        self.seconds = seconds
        self._command = list(command)
        self._process: _Process | None = None

    def call(self, call: pb.Call) -> pb.Reply:
        """Return the reply.

        Raises:
            TesteeFailure: it crashed, hung, wrote gibberish, or does not support the call.
            ParameterError: the command cannot be started.
        """
        if self._process is None:
            self._process = _Process(self._command)
        try:
            return _parsed(self._process.exchange(call.SerializeToString(), self.seconds))
        except (TesteeCrashed, TesteeHung, TesteeGibberish):
            self._process.kill()
            self._process = None
            raise

    def anew(self) -> ProcessTestee:
        """Return the same command, not yet started."""
        return ProcessTestee(self._command, self.seconds)

    def close(self) -> None:
        """End the process: by the end of its input, or else by force once the time limit has passed."""
        if self._process is not None:
            self._process.close(self.seconds)
            self._process = None


class _Process:
    """One run of a command. A thread writes and reads, so that neither can block the runner; another drains stderr."""

    def __init__(self, command: list[str]) -> None:
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - to run this command is what the runner was asked for
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # its own process group, so that a wrapper dies with what it started
            )
        except OSError as error:
            raise ParameterError(f"the testee {command[0]!r} cannot be started: {error}; check the command") from None
        self._tail = b""
        self._calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[bytes | OSError | DecodeError | None] = queue.SimpleQueue()
        if self._popen.stdin is None or self._popen.stdout is None or self._popen.stderr is None:
            raise ParameterError("this platform gave the testee no pipes")
        self._threads = (
            threading.Thread(target=self._talk, args=(self._popen.stdin, self._popen.stdout), daemon=True),
            threading.Thread(target=self._drain, args=(self._popen.stderr,), daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def exchange(self, call: bytes, seconds: float) -> bytes:
        """Return the bytes of the reply, or raise what a testee may fail with."""
        self._calls.put(call)
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty:
            self.kill()
            raise TesteeHung(seconds, self._last_lines()) from None
        if isinstance(reply, bytes):
            return reply
        if isinstance(reply, DecodeError) and not isinstance(reply, EndInsideFrameError):
            raise TesteeGibberish(f"the testee wrote what is no reply: {reply}") from None
        code = self._exit_code(seconds)
        self.kill()
        ended = "closed its output, and lives on" if code is None else f"exit code {code}"
        detail = f"{ended}; {reply}" if reply else f"{ended}, without a reply"
        raise TesteeCrashed(detail, code, self._last_lines())

    def kill(self) -> None:
        """End the process by force, and whatever it started in its group."""
        if self._popen.poll() is None:
            if sys.platform == "win32":
                self._popen.kill()
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
        self._clear_up()

    def close(self, seconds: float) -> None:
        """End the input, and kill the process if it does not end by itself."""
        self._calls.put(None)
        self._exit_code(seconds)
        self.kill()

    def _exit_code(self, seconds: float) -> int | None:
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def _clear_up(self) -> None:
        self._popen.wait()
        self._calls.put(None)
        for thread in self._threads:
            thread.join(_AFTERMATH_SECONDS)

    def _talk(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        with stdout:
            try:
                while (call := self._calls.get()) is not None:
                    write_frame(stdin, call)
                    reply = read_frame(stdout)
                    self._replies.put(reply)
                    if reply is None:
                        break
            except (OSError, DecodeError) as error:
                self._replies.put(error)
            with contextlib.suppress(OSError):
                stdin.close()

    def _drain(self, stderr: BinaryIO) -> None:
        with stderr:
            while chunk := os.read(stderr.fileno(), _CHUNK_BYTES):
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]

    def _last_lines(self) -> str:
        return "\n".join(self._tail.decode(errors="replace").splitlines()[-_TAIL_LINES:])


class GrpcTestee:
    """A testee that is a gRPC service; when it crashes, somebody else has to start it anew.

    Args:
        address: such as `localhost:50051`.
        seconds: time limit of one call; may be changed later.

    Raises:
        ParameterError: gRPC is not installed.
    """

    def __init__(self, address: str, seconds: float) -> None:
        require_grpc()
        import grpc

        self.seconds = seconds
        self._channel = grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0), *LENGTH_OPTIONS))
        # Without serializers the method takes and gives the bytes as they are.
        self._method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")

    def call(self, call: pb.Call) -> pb.Reply:
        """Return the reply.

        Raises:
            TesteeFailure: it cannot be reached, failed, hung, wrote gibberish, or does not support the call.
        """
        import grpc

        pending = self._method.future(call.SerializeToString(), timeout=self.seconds)
        try:
            reply = pending.result()
        except grpc.RpcError:
            code, detail = pending.code(), pending.details()
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TesteeHung(self.seconds) from None
            if code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED):
                raise TesteeGibberish(f"the service gives no reply: {code.name}, {detail}") from None
            raise TesteeCrashed(f"{code.name}, {detail}") from None
        return _parsed(reply)

    def close(self) -> None:
        """End the connection; the service goes on."""
        self._channel.close()


def _parsed(data: bytes) -> pb.Reply:
    try:
        reply = pb.Reply.FromString(data)
    except ProtobufDecodeError:
        raise TesteeGibberish(f"{len(data)} bytes of the testee are no Reply, beginning {data[:16].hex()}") from None
    kind = reply.WhichOneof("reply")
    if kind is None:
        raise TesteeGibberish("the testee's Reply is empty")
    if kind == "unsupported":
        raise TesteeUnsupported(reply.unsupported)
    return reply


def has_processes(testee: Testee) -> bool:
    """Whether the testee can be started as often as one likes."""
    return isinstance(testee, ProcessTestee)


def started_anew(testee: Testee) -> Testee:
    """Return the same testee in another process; raises TesteeFailure when it is no command."""
    if not isinstance(testee, ProcessTestee):
        raise TesteeFailure("the testee is no command: it cannot be started a second time")
    return testee.anew()


# Calls whose replies are of one kind.


def describe(testee: Testee) -> pb.Description:
    """Ask what a testee can do; raises TesteeFailure."""
    return _of_kind(testee.call(pb.Call(describe=pb.Describe())), "description").description


def outcome_of(testee: Testee, call: pb.Call) -> pb.Outcome:
    """Create, restore or step a session; raises TesteeFailure, also when the reply is no outcome."""
    return _of_kind(testee.call(call), "outcome").outcome


def snapshot_of(testee: Testee, handle: int) -> bytes:
    """Freeze a session; raises TesteeFailure, also when the testee gives no snapshot."""
    return _of_kind(testee.call(pb.Call(snapshot=pb.Snapshot(handle=handle))), "frozen").frozen.snapshot


def snapshot_refusal(testee: Testee, handle: int) -> pb.Outcome | None:
    """Return the outcome with which a testee gives no snapshot; None when it gives one. Raises TesteeFailure."""
    reply = testee.call(pb.Call(snapshot=pb.Snapshot(handle=handle)))
    return None if reply.WhichOneof("reply") == "frozen" else _of_kind(reply, "outcome").outcome


def computed_by(testee: Testee, call: pb.Primitive) -> pb.Computed:
    """Ask for one primitive; raises TesteeFailure."""
    return _of_kind(testee.call(pb.Call(primitive=call)), "computed").computed


def free(testee: Testee, handle: int) -> None:
    """Make a testee forget a session; raises TesteeFailure."""
    _of_kind(testee.call(pb.Call(free=pb.Free(handle=handle))), "freed")


def _of_kind(reply: pb.Reply, kind: str) -> pb.Reply:
    found = reply.WhichOneof("reply")
    if found != kind:
        raise TesteeGibberish(f"the testee answered with {found} where {kind} belongs")
    return reply
