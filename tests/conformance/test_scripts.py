"""Role scripts: an honest testee passes, and whatever differs in an outcome is said with its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from secagg import ParameterError
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Desk, Deviation
from secagg.conformance.form import to_json
from secagg.conformance.outcomes import notice_difference, outcome_difference
from secagg.conformance.scripts import play_script
from secagg.conformance.vectors import ScriptVector
from secagg.wire.messages_pb2 import Abort, Envelope
from tests.conformance.made import honest_testee, lying, made_vectors

CLIENT, SERVER = made_vectors().scripts
Lie = Callable[[pb.Call, pb.Reply], pb.Reply | None]


def script_with(script: ScriptVector, **changes: Any) -> ScriptVector:
    fields = {name: getattr(script, name) for name in ScriptVector.__slots__}
    return ScriptVector(**fields | changes)


@pytest.mark.parametrize("script", [CLIENT, SERVER], ids=lambda script: script.id)
def test_an_honest_testee_plays_a_script_and_keeps_no_session(script: ScriptVector) -> None:
    freed = []

    def watch(call: pb.Call, reply: pb.Reply) -> None:
        if call.WhichOneof("call") == "free":
            freed.append(call.free.handle)

    desk = Desk(lying(watch), set())
    play_script(script, desk)
    desk.close()
    assert freed == [1]


def changing(at: int, **fields: Any) -> Lie:
    """Changes fields of the outcome of the at-th call."""
    calls = []

    def lie(call: pb.Call, reply: pb.Reply) -> None:
        calls.append(call)
        if len(calls) == at:
            for name, value in fields.items():
                setattr(reply.outcome, name, value)

    return lie


@pytest.mark.parametrize(
    ("script", "lie", "detail"),
    [
        (
            CLIENT,
            changing(1, status=pb.REFUSED, rule="C01"),
            "the session: expected ACCEPTED, and REFUSED by C01",
        ),
        (
            CLIENT,
            changing(2, phase="OFFERED"),
            "(message): expected phase SHARE_KEYS after it, and OFFERED came",
        ),
        (CLIENT, changing(3, status=pb.ACCEPTED, rule=""), "expected REFUSED by C11 or C12, and ACCEPTED came"),
        (CLIENT, changing(3, rule="C20"), "step 2 (message): expected REFUSED by C11 or C12, and REFUSED by C20 came"),
        (CLIENT, changing(3, abort_reason="A08"), "expected the abort reason A07, and A08 came"),
        (CLIENT, changing(3, status=17), "the unknown status 17"),
        (CLIENT, changing(4, answer=b"more"), "step 3 (message): an answer came where none is expected"),
        (CLIENT, changing(4, abort_reason=""), "expected the abort reason A07, and none came"),
        (SERVER, changing(1, offer=b""), "the offer differs from the expected one at 0 bytes instead of"),
        (
            SERVER,
            changing(2, status=pb.LATE, rule=""),
            "(client_message): expected DROPPED by S02, and LATE came",
        ),
    ],
)
def test_a_lie_in_an_outcome_is_told_with_its_step(script: ScriptVector, lie: Lie, detail: str) -> None:
    with pytest.raises(Deviation) as caught:
        play_script(script, Desk(lying(lie), set()))
    assert detail in str(caught.value)


def test_the_first_differing_field_of_an_answer_is_named() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        if reply.outcome.HasField("answer"):
            envelope = Envelope.FromString(reply.outcome.answer)
            envelope.advertise_keys_response.advertisement.commitment = bytes(32)
            reply.outcome.answer = envelope.SerializeToString()

    with pytest.raises(Deviation, match=r"the answer differs .* in advertise_keys_response.advertisement.commitment"):
        play_script(CLIENT, Desk(lying(lie), set()))


def test_requests_are_compared_one_by_one() -> None:
    def lie(call: pb.Call, reply: pb.Reply) -> None:
        del reply.outcome.requests[1:]

    with pytest.raises(Deviation, match="creating the session: there is no request for client 2"):
        play_script(SERVER, Desk(lying(lie), set()))


def test_a_snapshot_is_kept_under_its_name() -> None:
    steps = (
        {"snapshot": "first"},
        {
            "restore": {"snapshot": "first", "server": True},
            "expect": {"status": "ACCEPTED", "phase": "COLLECTING_KEYS"},
        },
        SERVER.steps[0],
    )
    play_script(script_with(SERVER, steps=steps), Desk(honest_testee(), set()))


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"restore": {"snapshot": "nothing"}, "expect": {}}, "server-garbage restores nothing"),
        ({"step": {"nonsense": 1}, "expect": {}}, "server-garbage has a step that cannot be read"),
        ({"step": {}, "expect": {}}, "server-garbage has a step without an event"),
    ],
)
def test_a_wrong_script_is_no_failure_of_the_testee(step: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ParameterError, match=complaint):
        play_script(script_with(SERVER, steps=(step,)), Desk(honest_testee(), set()))


def notice(reason: str) -> bytes:
    return Envelope(session=bytes(32), abort=Abort(reason=reason)).SerializeToString()


@pytest.mark.parametrize(
    ("wanted", "got", "detail"),
    [
        (notice("A07"), None, None),
        (notice("A07"), notice("A07"), None),
        (None, notice("A07"), None),
        (notice("A08"), notice("A07"), "the notice differs"),
        (None, notice("A08"), "the notice is not an Abort with the reason A07"),
        (None, b"\xff", "the notice is no message"),
        (None, b"", "the notice is not an Abort"),
    ],
)
def test_a_notice_may_be_absent_but_not_another(wanted: bytes | None, got: bytes | None, detail: str | None) -> None:
    expected = pb.Outcome(status=pb.REFUSED, notice=wanted)
    outcome = pb.Outcome(status=pb.REFUSED, rule="C26", phase="ABORTED", notice=got)
    found = notice_difference(expected, outcome)
    assert found is None if detail is None else detail in str(found)


def result_outcome(**changes: Any) -> pb.Outcome:
    result = pb.Result(contributors=[1, 2, 3], total_weight=5)
    result.vectors.add(name="v", integers=[1, 2, 3, 4, 5, 6])
    result.vectors.add(name="f", reals=changes.get("reals", [0.25, 0.5, 1.0, 2.0]))
    result.contributors[:] = changes.get("contributors", [1, 2, 3])
    result.total_weight = changes.get("total_weight", 5)
    return pb.Outcome(status=pb.ACCEPTED, phase="COMPLETED", result=result)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({}, None),
        ({"reals": [0.25, 0.5, 1.0, 2.0 + 2**-30]}, None),
        ({"reals": [0.25, 0.5, 1.0, 2.0 + 2**-26]}, "the result has f: entry 3 is"),
        ({"reals": [0.25, 0.5, 1.0, float("nan")]}, "f: entry 3 is nan instead of 2.0"),
        ({"reals": [0.25]}, "f: 1 entries instead of 4"),
        ({"contributors": [1, 2, 4]}, "the result has contributors 1, 2, 4 instead of 1, 2, 3"),
        ({"total_weight": 6}, "total weight 6 instead of 5"),
    ],
)
def test_sums_are_compared_as_numbers(changes: dict[str, Any], detail: str | None) -> None:
    parameters = made_vectors().sessions[0].server.parameters
    found = outcome_difference(to_json(result_outcome()), result_outcome(**changes), parameters)
    assert found is None if detail is None else detail in str(found)
