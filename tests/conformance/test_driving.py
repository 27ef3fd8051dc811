"""Testees that work, crash, hang and talk nonsense: each failure is told from the others, and the next call goes on."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from secagg import ParameterError, SecAggError
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance import driving
from secagg.conformance.driving import (
    GrpcTestee,
    InProcessTestee,
    ProcessTestee,
    describe,
    free,
    outcome_of,
    snapshot_of,
)
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.serving import MAX_FRAME_BYTES, GrpcServer, serve_grpc
from tests.cli.deployment import until
from tests.conformance.played import KINDS, Played, assert_exact

PATIENT = 600.0
HASTY = 0.5
DESCRIBE = pb.Call(describe=pb.Describe())
REPLY = pb.Reply(description=pb.Description(name="scripted")).SerializeToString()

SERVE_LIBRARY = """
import sys
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.serving import serve_stream
serve_stream(LibraryTestee().handle, sys.stdin.buffer, sys.stdout.buffer)
"""
# A testee with neither protobuf nor this library, so that it starts in no time. The first run of it misbehaves.
SCRIPTED = """
import os, sys
reader, writer = sys.stdin.buffer, sys.stdout.buffer
reply = bytes.fromhex({reply!r})
def receive():
    head = reader.read(4)
    if not head:
        sys.exit(0)
    return reader.read(int.from_bytes(head, "big"))
def send(content, raw=False):
    writer.write(content if raw else len(content).to_bytes(4, "big") + content)
    writer.flush()
def hang():
    never, _ = os.pipe()
    os.read(never, 1)
first = not os.path.exists({marker!r})
open({marker!r}, "w").close()
while True:
    if first:
        {misbehave}
    receive()
    send(reply)
"""


def scripted(path: Path, misbehave: str, seconds: float = PATIENT) -> ProcessTestee:
    """A testee that misbehaves when it is started, and is well when it is started again."""
    program = SCRIPTED.format(reply=REPLY.hex(), marker=str(path / "started"), misbehave=misbehave)
    return ProcessTestee([sys.executable, "-I", "-S", "-c", program], seconds)


def hasty(testee: ProcessTestee) -> ProcessTestee:
    """The same, once it has started and replied: from now on its calls have little time."""
    assert describe(testee).name == "scripted"
    testee.seconds = HASTY
    return testee


def failing(testee: driving.Testee, kind: type[driving.TesteeFailure]) -> driving.TesteeFailure:
    with pytest.raises(driving.TesteeFailure) as raised:
        testee.call(DESCRIBE)
    assert type(raised.value) is kind, raised.value
    return raised.value


def crashed(testee: driving.Testee) -> driving.TesteeCrashed:
    failure = failing(testee, driving.TesteeCrashed)
    assert isinstance(failure, driving.TesteeCrashed)
    return failure


def assert_well(testee: ProcessTestee) -> None:
    testee.seconds = PATIENT
    assert describe(testee).name == "scripted"
    assert describe(testee).name == "scripted"


# A process.


def test_a_session_of_a_testee_in_its_own_process() -> None:
    with closing(ProcessTestee([sys.executable, "-c", SERVE_LIBRARY], PATIENT)) as testee:
        assert describe(testee).name == "secagg"
        parameters = KINDS["active"]
        assert_exact(parameters, Played(testee.call, parameters).play(5), parameters.cohort)


def test_a_testee_is_started_by_its_first_call_only(tmp_path: Path) -> None:
    testee = scripted(tmp_path, "pass")
    assert not (tmp_path / "started").exists()
    testee.close()
    assert not (tmp_path / "started").exists()
    assert_well(testee)
    testee.close()
    testee.close()


def test_the_end_of_its_input_ends_a_testee(tmp_path: Path) -> None:
    told = tmp_path / "told"
    misbehave = (
        f"receive(); send(reply); rest = reader.read(); open({str(told)!r}, 'wb').write(b'end' + rest); sys.exit(0)"
    )
    testee = scripted(tmp_path, misbehave)
    describe(testee)
    testee.close()
    assert told.read_bytes() == b"end"


def test_a_crash_is_told_with_exit_code_and_last_words(tmp_path: Path) -> None:
    with closing(scripted(tmp_path, "receive(); sys.stderr.write('first\\nlast\\n'); sys.exit(7)")) as testee:
        failure = crashed(testee)
        assert failure.exit_code == 7
        assert failure.stderr == "first\nlast"
        assert str(failure) == "the testee crashed: exit code 7, without a reply"
        assert_well(testee)


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_crash_by_a_signal_is_told_as_minus_the_signal(tmp_path: Path) -> None:
    with closing(scripted(tmp_path, "receive(); os.kill(os.getpid(), 11)")) as testee:
        assert crashed(testee).exit_code == -11
        assert_well(testee)


def test_a_testee_that_ends_before_it_reads_has_crashed(tmp_path: Path) -> None:
    with closing(scripted(tmp_path, "sys.exit(3)")) as testee:
        assert crashed(testee).exit_code == 3
        assert_well(testee)


def test_a_crash_after_a_reply_is_told_by_the_next_call(tmp_path: Path) -> None:
    with closing(scripted(tmp_path, "receive(); send(reply); sys.exit(5)")) as testee:
        assert describe(testee).name == "scripted"
        assert crashed(testee).exit_code == 5
        assert_well(testee)


def test_a_testee_that_does_not_reply_in_time_has_hung(tmp_path: Path) -> None:
    misbehave = "receive(); sys.stderr.write('zzz'); sys.stderr.flush(); send(reply); hang()"
    with closing(scripted(tmp_path, misbehave)) as testee:
        hasty(testee)
        began = time.monotonic()
        failure = failing(testee, driving.TesteeHung)
        assert time.monotonic() - began >= HASTY
        assert str(failure) == "the testee did not reply within 0.5 seconds"
        assert isinstance(failure, driving.TesteeHung)
        assert failure.stderr == "zzz"
        assert_well(testee)


def test_a_testee_that_does_not_read_a_long_call_has_hung(tmp_path: Path) -> None:
    with closing(scripted(tmp_path, "hang()", HASTY)) as testee:
        with pytest.raises(driving.TesteeHung):
            testee.call(pb.Call(restore=pb.Restore(snapshot=bytes(1 << 20))))
        assert_well(testee)


@pytest.mark.skipif(os.name != "posix", reason="process groups are those of POSIX")
def test_what_a_hanging_wrapper_started_dies_with_it(tmp_path: Path) -> None:
    lifeline = tmp_path / "lifeline"
    os.mkfifo(lifeline)
    reader = os.open(lifeline, os.O_RDONLY | os.O_NONBLOCK)
    misbehave = f"os.open({str(lifeline)!r}, os.O_WRONLY); os.fork() or hang(); receive(); send(reply); hang()"
    with closing(scripted(tmp_path, misbehave)) as testee:
        failing(hasty(testee), driving.TesteeHung)
        # Once nobody holds the other end, there is something to read: the end.
        assert select.select([reader], [], [], PATIENT)[0] == [reader]
        assert os.read(reader, 1) == b""
        assert_well(testee)
    os.close(reader)


def test_a_long_reply_in_the_middle_of_which_it_stops_is_a_hang(tmp_path: Path) -> None:
    with closing(scripted(tmp_path, "receive(); send(b'\\0\\0\\0\\x09half', raw=True); hang()", HASTY)) as testee:
        failing(testee, driving.TesteeHung)
        assert_well(testee)


@pytest.mark.parametrize("part", ["\\0\\0", "\\0\\0\\0\\x09", "\\0\\0\\0\\x09half"])
def test_half_a_frame_and_an_end_is_a_crash(tmp_path: Path, part: str) -> None:
    with closing(scripted(tmp_path, f"receive(); send(b'{part}', raw=True); sys.exit(0)")) as testee:
        failure = crashed(testee)
        assert failure.exit_code == 0
        assert "the stream ends after" in str(failure)
        assert_well(testee)


def test_a_testee_that_closes_its_output_and_lives_on_has_crashed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    misbehave = f"receive(); send(reply); os.close(1); open({str(closed)!r}, 'w').close(); hang()"
    with closing(scripted(tmp_path, misbehave)) as testee:
        hasty(testee)
        until(closed.exists)
        failure = crashed(testee)
        assert failure.exit_code is None
        assert "lives on" in str(failure)
        assert_well(testee)


@pytest.mark.parametrize(
    "gibberish",
    [
        "send(b'hello, world', raw=True)",
        f"send(({MAX_FRAME_BYTES} + 1).to_bytes(4, 'big'), raw=True)",
        "send(b'\\xff\\xff\\xff')",
        "send(b'')",
    ],
)
def test_what_is_no_reply_is_gibberish(tmp_path: Path, gibberish: str) -> None:
    with closing(scripted(tmp_path, f"receive(); {gibberish}; hang()")) as testee:
        failing(testee, driving.TesteeGibberish)
        assert_well(testee)


def test_a_testee_may_write_much_to_standard_error_and_its_end_is_kept(tmp_path: Path) -> None:
    misbehave = "receive(); [print(number, 'x' * 99, file=sys.stderr) for number in range(50000)]; sys.exit(1)"
    with closing(scripted(tmp_path, misbehave)) as testee:
        lines = crashed(testee).stderr.splitlines()
        assert [line.split()[0] for line in lines] == [str(number) for number in range(49980, 50000)]


def test_notes_that_are_no_text_are_shown_somehow(tmp_path: Path) -> None:
    with closing(scripted(tmp_path, "receive(); os.write(2, b'\\xff\\xfe!'); sys.exit(1)")) as testee:
        assert crashed(testee).stderr == "\ufffd\ufffd!"


def test_a_command_that_cannot_be_started_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="give the program"):
        ProcessTestee([], PATIENT)
    with pytest.raises(ParameterError, match="cannot be started"):
        ProcessTestee([str(tmp_path / "nothing")], PATIENT).call(DESCRIBE)


def test_a_testee_that_does_not_support_a_call_goes_on_in_the_same_process(tmp_path: Path) -> None:
    no = pb.Reply(unsupported="no such thing").SerializeToString().hex()
    with closing(scripted(tmp_path, f"receive(); send(bytes.fromhex('{no}'))")) as testee:
        assert str(failing(testee, driving.TesteeUnsupported)) == "no such thing"
        assert describe(testee).name == "scripted"
        assert str(failing(testee, driving.TesteeUnsupported)) == "no such thing"


# In this process.


def test_a_function_is_a_testee() -> None:
    testee = InProcessTestee(LibraryTestee().handle)
    parameters = KINDS["semi-honest"]
    assert_exact(parameters, Played(testee.call, parameters).play(4), parameters.cohort)
    with pytest.raises(driving.TesteeUnsupported, match="the call is empty"):
        testee.call(pb.Call())
    testee.close()


def test_what_a_function_raises_gets_out() -> None:
    def broken(call: pb.Call) -> pb.Reply:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        InProcessTestee(broken).call(DESCRIBE)


def test_an_empty_reply_of_a_function_is_gibberish() -> None:
    failing(InProcessTestee(lambda call: pb.Reply()), driving.TesteeGibberish)


def test_typed_calls_hold_that_the_reply_is_of_their_kind() -> None:
    testee = InProcessTestee(LibraryTestee().handle)
    session = Played(testee.call, KINDS["active"])
    assert (
        outcome_of(testee, pb.Call(step=pb.Step(handle=session.server, close_round=pb.CloseRound()))).phase == "ABORTED"
    )
    with pytest.raises(driving.TesteeGibberish, match="outcome where frozen belongs"):
        snapshot_of(testee, session.server)
    free(testee, session.server)
    with pytest.raises(driving.TesteeUnsupported):
        snapshot_of(testee, session.server)
    fresh = Played(testee.call, KINDS["active"])
    assert len(snapshot_of(testee, fresh.server)) > 100
    wrong = InProcessTestee(lambda call: pb.Reply(freed=pb.Freed()))
    with pytest.raises(driving.TesteeGibberish):
        describe(wrong)
    with pytest.raises(driving.TesteeGibberish):
        outcome_of(wrong, DESCRIBE)


def test_failures_have_one_base() -> None:
    kinds = (driving.TesteeCrashed, driving.TesteeHung, driving.TesteeGibberish, driving.TesteeUnsupported)
    assert all(issubclass(kind, driving.TesteeFailure) for kind in kinds)
    assert issubclass(driving.TesteeFailure, SecAggError)


# Behind gRPC.


@pytest.fixture
def server() -> Iterator[GrpcServer]:
    running = serve_grpc(LibraryTestee().handle, "localhost:0")
    yield running
    running.stop()


def test_a_session_of_a_testee_behind_grpc(server: GrpcServer) -> None:
    with closing(GrpcTestee(f"localhost:{server.port}", PATIENT)) as testee:
        parameters = KINDS["sparse"]
        assert_exact(parameters, Played(testee.call, parameters).play(4), parameters.cohort)
        with pytest.raises(driving.TesteeUnsupported, match="the call is empty"):
            testee.call(pb.Call())
    assert describe(GrpcTestee(f"localhost:{server.port}", PATIENT)).name == "secagg"


def served(handle: object) -> GrpcServer:
    return serve_grpc(handle, "localhost:0")  # type: ignore[arg-type]


def test_a_service_that_is_not_there_has_crashed(server: GrpcServer) -> None:
    server.stop()
    with closing(GrpcTestee(f"localhost:{server.port}", PATIENT)) as testee:
        assert "UNAVAILABLE" in str(crashed(testee))


def test_a_service_that_fails_has_crashed_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    replies = [pb.Reply(description=pb.Description(name="well")), None]
    running = served(lambda call: replies.pop())
    with closing(GrpcTestee(f"localhost:{running.port}", PATIENT)) as testee:
        assert "UNKNOWN" in str(crashed(testee))
        assert describe(testee).name == "well"
    running.stop()
    assert "AttributeError" in caplog.text


def test_a_service_that_does_not_reply_in_time_has_hung() -> None:
    never, last = os.pipe()
    running = served(lambda call: os.read(never, 1) and pb.Reply())
    try:
        with closing(GrpcTestee(f"localhost:{running.port}", HASTY)) as testee:
            failing(testee, driving.TesteeHung)
    finally:
        os.close(last)
        running.stop()
    os.close(never)


def test_a_service_whose_reply_is_empty_talks_gibberish() -> None:
    running = served(lambda call: pb.Reply())
    with closing(GrpcTestee(f"localhost:{running.port}", PATIENT)) as testee:
        failing(testee, driving.TesteeGibberish)
    running.stop()


def test_without_grpc_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ParameterError, match=r"pip install 'secagg\[grpc\]'"):
        GrpcTestee("localhost:1", PATIENT)
