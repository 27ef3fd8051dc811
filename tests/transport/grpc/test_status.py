"""Errors and statuses: the codes the ecosystem expects, what is tried again, and for how long."""

from __future__ import annotations

import asyncio
import pickle
import time

import grpc
import pytest

from secagg import DropReason, InternalError, ParameterError, SecAggError
from secagg.hosting import (
    HostError,
    HostUnavailableError,
    NotInCohortError,
    QuotaExceededError,
    ResultNotReadyError,
    ResultUnfetchedError,
    UnknownSessionError,
    UploadRefusedError,
)
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import DroppedError, Refusal, RetryPolicy, ServiceError, UnreachableError
from secagg.transport.grpc.status import CODES, DETAIL_KEY, read_detail, worth_another
from secagg.transport.refusals import (
    CallRefusedError,
    detail_of,
    refusal_of,
    refused,
    sentence,
)
from tests.transport.grpc.network import run

CODE = grpc.StatusCode


def test_every_refusal_has_its_code() -> None:
    assert set(CODES) == set(Refusal)
    assert [refusal for refusal in Refusal if refusal.value != refusal.name] == []
    expected = {
        "UNKNOWN_SESSION": CODE.NOT_FOUND,
        "NOT_IN_COHORT": CODE.PERMISSION_DENIED,
        "TOKEN_UNKNOWN": CODE.UNAUTHENTICATED,
        "SIGNATURE_INVALID": CODE.UNAUTHENTICATED,
        "MALFORMED": CODE.INVALID_ARGUMENT,
        "QUOTA_EXCEEDED": CODE.RESOURCE_EXHAUSTED,
        "DROPPED": CODE.FAILED_PRECONDITION,
        "TRY_AGAIN": CODE.UNAVAILABLE,
        "UPLOAD_DAMAGED": CODE.DATA_LOSS,
    }
    assert {name: CODES[Refusal[name]] for name in expected} == expected


@pytest.mark.parametrize(
    ("error", "refusal", "retry"),
    [
        (UnknownSessionError("no"), Refusal.UNKNOWN_SESSION, False),
        (NotInCohortError("no"), Refusal.NOT_IN_COHORT, False),
        (QuotaExceededError("no", 2.5), Refusal.QUOTA_EXCEEDED, True),
        (QuotaExceededError("no"), Refusal.QUOTA_EXCEEDED, False),
        (UploadRefusedError("no"), Refusal.UPLOAD_REFUSED, False),
        (ResultNotReadyError("no"), Refusal.RESULT_NOT_READY, False),
        (ResultUnfetchedError("no"), Refusal.RESULT_UNFETCHED, False),
        (HostUnavailableError("no"), Refusal.TRY_AGAIN, True),
        (HostError("no"), Refusal.TRY_AGAIN, True),
        (ParameterError("no"), Refusal.MALFORMED, False),
        (CallRefusedError(Refusal.NONCE_UNKNOWN, "no"), Refusal.NONCE_UNKNOWN, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_host_as_refusals(error: SecAggError, refusal: Refusal, retry: bool) -> None:
    found = refused(error)
    assert (found.refusal, found.retry, str(found)) == (refusal, retry, "no")
    detail = detail_of(found)
    assert (detail.reason, detail.retry) == (refusal.value, retry)
    assert detail.retry_after_seconds == (2.5 if isinstance(error, QuotaExceededError) and retry else 0.0)


def test_other_errors_are_defects_and_stay_what_they_are() -> None:
    with pytest.raises(InternalError):
        refused(InternalError("a defect"))


def test_a_rule_travels_with_a_drop() -> None:
    detail = detail_of(CallRefusedError(Refusal.DROPPED, "no", drop_reason=DropReason.SECOND_ANSWER_DIFFERS))
    assert (detail.rule_id, detail.rule) == ("S05", "SECOND_ANSWER_DIFFERS")


def test_sentences_fit_into_a_status() -> None:
    assert sentence("short") == "short"
    assert len(sentence("x" * 5000)) == 1000


def failed(code: grpc.StatusCode, detail: pb.ErrorDetail | None = None, text: str = "") -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata()
    if detail is not None:
        trailing.add(DETAIL_KEY, detail.SerializeToString())
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=text)


@pytest.mark.parametrize(
    ("code", "again"),
    [
        (CODE.UNAVAILABLE, True),
        (CODE.CANCELLED, True),
        (CODE.UNKNOWN, True),
        (CODE.INTERNAL, True),
        (CODE.DEADLINE_EXCEEDED, True),
        (CODE.RESOURCE_EXHAUSTED, True),
        (CODE.ABORTED, True),
        (CODE.PERMISSION_DENIED, False),
        (CODE.UNAUTHENTICATED, False),
        (CODE.NOT_FOUND, False),
        (CODE.INVALID_ARGUMENT, False),
        (CODE.FAILED_PRECONDITION, False),
        (CODE.UNIMPLEMENTED, False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_gets_another_try_when_no_server_of_ours_spoke(code: grpc.StatusCode, again: bool) -> None:
    assert worth_another(failed(code)) is again
    # A server of ours says so itself.
    assert worth_another(failed(code, pb.ErrorDetail(reason="DROPPED", retry=not again))) is not again


def test_a_certificate_that_is_refused_gets_no_other_try() -> None:
    assert not worth_another(failed(CODE.UNAVAILABLE, text="... CERTIFICATE_VERIFY_FAILED: ..."))
    assert not worth_another(ValueError("not of gRPC"))


def test_details_are_read_back() -> None:
    detail = pb.ErrorDetail(reason="DROPPED", rule_id="S05")
    assert read_detail(failed(CODE.FAILED_PRECONDITION, detail)) == detail
    assert refusal_of(detail) is Refusal.DROPPED
    assert refusal_of(pb.ErrorDetail(reason="OF_A_LATER_RELEASE")) is None
    assert refusal_of(None) is None


@pytest.mark.parametrize(
    "error",
    [
        ServiceError("a", "NOT_FOUND", Refusal.UNKNOWN_SESSION),
        UnreachableError("b", "UNAVAILABLE"),
        DroppedError("c", DropReason.CLIENT_ABORTED),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_process_boundaries(error: SecAggError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made on this line
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def attempts(policy: RetryPolicy, failures: int, at_least: float = 0.0) -> list[float]:
    """The waits between attempts, of which the first `failures` fail."""
    waits: list[float] = []
    told: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def play() -> None:
        made = 0
        loop = policy.attempts(lambda _: True, lambda _: at_least, lambda _, seconds: told.append(seconds), sleep)
        async for attempt in loop:
            with attempt:
                made += 1
                if made <= failures:
                    raise OSError("again")

    run(play())
    assert waits == told
    return waits


def test_waits_grow_are_bounded_and_are_not_the_same_for_everybody() -> None:
    policy = RetryPolicy(first_seconds=0.5, longest_seconds=4.0, give_up_seconds=1e6)
    runs = [attempts(policy, 12) for _ in range(40)]
    bounds = [0.5, 1.0, 2.0, 4.0, 4.0]
    for position, bound in enumerate(bounds):
        drawn = [waits[position] for waits in runs]
        assert 0 <= min(drawn) < bound / 2 < max(drawn) <= bound
    assert max(max(waits) for waits in runs) <= 4.0
    assert len({waits[0] for waits in runs}) > 30


def test_a_wait_that_the_server_asks_for_is_kept() -> None:
    assert attempts(RetryPolicy(give_up_seconds=1e6), 3, at_least=100.0) == [100.0] * 3


def test_no_wait_goes_beyond_the_end() -> None:
    with pytest.raises(OSError, match="again"):
        attempts(RetryPolicy(give_up_seconds=10.0), 3, at_least=11.0)


def test_the_time_that_a_call_waited_in_contact_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(waits: bool) -> int:
        now, made = [1000.0], 0

        async def sleep(seconds: float) -> None:
            now[0] += 4.0

        async def lost() -> None:
            nonlocal made
            policy = RetryPolicy(first_seconds=1e-6, longest_seconds=1e-6, give_up_seconds=10.0)
            async for attempt in policy.attempts(lambda _: True, lambda _: 0.0, lambda *_: None, sleep, waits=waits):
                with attempt:
                    made += 1
                    now[0] += 50.0 if made == 1 else 0.0
                    raise OSError("gone")

        with monkeypatch.context() as patched:
            patched.setattr(time, "monotonic", lambda: now[0])
            with pytest.raises(OSError, match="gone"):
                await lost()
        return made

    assert [asyncio.run(play(waits)) for waits in (False, True)] == [1, 4]


def test_what_is_not_worth_it_is_raised_at_once() -> None:
    made: list[int] = []

    async def play() -> None:
        async for attempt in RetryPolicy().attempts(lambda _: False, lambda _: 0.0, lambda *_: None):
            with attempt:
                made.append(1)
                raise OSError("for good")

    with pytest.raises(OSError, match="for good"):
        run(play())
    assert made == [1]


@pytest.mark.parametrize(
    "changes", [{"first_seconds": 0}, {"longest_seconds": -1.0}, {"give_up_seconds": float("nan")}]
)
def test_policies_that_are_none(changes: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(changes))):
        RetryPolicy(**changes)
