"""Answers in one piece and in chunks: repeats, differences, bounds, damage."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest

from secagg import ClientSession, DropReason, SecAggError
from secagg.hosting import Quotas, Receipt, ReceiptKind, UploadRefusedError
from secagg.store.base import Upload
from secagg.transport import service_pb2 as pb
from secagg.transport.connection import Connection, Metadata
from secagg.transport.grpc import ServiceLimits
from secagg.transport.limits import CHUNK_BYTES, MAX_CHUNK_BYTES, UNARY_ANSWER_BYTES
from secagg.transport.refusals import CallRefusedError
from secagg.transport.uploads import UploadDesk
from tests.transport.grpc.network import Network, failure, run, told, until

ACCEPTED, REPEATED = pb.AnswerReply.OUTCOME_ACCEPTED, pb.AnswerReply.OUTCOME_REPEATED


async def metadata_of(connection: Connection) -> Metadata:
    found: list[Metadata] = []

    async def note(metadata: Metadata) -> None:
        found.append(metadata)

    await connection.call("note", note)
    return found[0]


class Bare:
    """One client whose calls a test makes one by one."""

    def __init__(self, network: Network, connection: Connection, metadata: Metadata, client: int) -> None:
        self.network = network
        self.stub = connection.aggregation
        self.metadata = metadata
        self.session = self.fresh(client)

    def fresh(self, client: int) -> ClientSession:
        network = self.network
        return ClientSession(network.session.offer, client, policy=network.policy())

    async def request(self, seen: bytes = b"", wait: int = 5000) -> pb.NextRequestReply:
        asked = pb.NextRequestRequest(seen=seen, wait_milliseconds=wait)
        reply: pb.NextRequestReply = await self.stub.NextRequest(asked, metadata=self.metadata)
        return reply

    def answer(self, answer: bytes) -> Any:
        return self.stub.Answer(pb.AnswerRequest(answer=answer), metadata=self.metadata)

    async def upload(self, *parts: pb.UploadPart) -> Any:
        async def sent() -> AsyncIterator[pb.UploadPart]:
            for part in parts:
                yield part

        return await told(lambda: self.stub.UploadAnswer(sent(), metadata=self.metadata))


def header(data: bytes, total: int | None = None, digest: bytes | None = None) -> pb.UploadPart:
    size = len(data) if total is None else total
    sha256 = hashlib.sha256(data).digest() if digest is None else digest
    return pb.UploadPart(header=pb.UploadHeader(total_bytes=size, sha256=sha256))


def chunks(data: bytes, size: int = CHUNK_BYTES) -> Iterable[pb.UploadPart]:
    return [pb.UploadPart(chunk=data[at : at + size]) for at in range(0, len(data), size)]


async def take(desk: UploadDesk, session: Any, client: int, parts: AsyncIterator[pb.UploadPart]) -> Receipt:
    """An upload from its header to its receipt."""
    return await desk.take(session, client, await desk.header(parts), parts)


def play_bare(test: Any, **options: Any) -> None:
    """Run a test with a network and client 1 logged in."""

    async def play() -> None:
        async with Network(**options) as network, network.connection(1) as connection:
            await test(Bare(network, connection, await metadata_of(connection), 1))

    run(play())


def test_an_identical_repeat_is_accepted() -> None:
    async def test(bare: Bare) -> None:
        answer = bare.session.receive((await bare.request()).request)
        assert answer is not None
        assert [(await bare.answer(answer)).outcome for _ in range(3)] == [ACCEPTED, REPEATED, REPEATED]
        assert bare.network.session.status().log_entries == 1

    play_bare(test)


def test_a_different_answer_is_refused_with_its_rule_and_costs_the_client_its_place() -> None:
    async def test(bare: Bare) -> None:
        request = (await bare.request()).request
        first, second = bare.session.receive(request), bare.fresh(1).receive(request)
        assert first is not None
        assert second is not None
        assert (await bare.answer(first)).outcome == ACCEPTED
        code, detail = await failure(bare.answer(second))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert (detail.reason, detail.retry) == ("DROPPED", False)
        assert (detail.rule_id, detail.rule) == ("S05", "SECOND_ANSWER_DIFFERS")
        reply = await bare.request(wait=0)
        assert (reply.WhichOneof("news"), reply.dropped.reason_id) == ("dropped", "S05")

    play_bare(test, clients=5, threshold=3)


def test_bytes_that_are_no_message_are_refused_with_their_rule() -> None:
    async def test(bare: Bare) -> None:
        code, detail = await failure(bare.answer(b"no message"))
        assert (code, detail.rule_id) == (grpc.StatusCode.FAILED_PRECONDITION, "S02")

    play_bare(test, clients=5, threshold=3)


def test_a_request_that_was_seen_is_waited_for_and_given_again_to_who_has_not() -> None:
    async def test(bare: Bare) -> None:
        request = (await bare.request()).request
        seen = hashlib.sha256(request).digest()
        assert (await bare.request()).request == request
        assert (await bare.request(seen, wait=1)).WhichOneof("news") is None
        waiting = asyncio.ensure_future(bare.request(seen, wait=60_000))
        answer = bare.session.receive(request)
        assert answer is not None
        await bare.answer(answer)
        others = asyncio.create_task(bare.network.everybody((2, 3, 4)))
        found = await waiting
        assert found.WhichOneof("news") == "request"
        assert found.request != request
        others.cancel()
        code, detail = await failure(bare.request(b"short"))
        assert (code, detail.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED")

    play_bare(test)


def waiting_calls(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The clients that wait for a request, as often as they do."""
    clients: list[int] = []
    session = bare.network.session
    wait = session.next_request

    async def counted(client: int, seen: bytes, seconds: float) -> Any:
        clients.append(client)
        try:
            return await wait(client, seen, seconds)
        finally:
            clients.remove(client)

    monkeypatch.setattr(session, "next_request", counted)
    return clients


def test_calls_at_once_are_bounded_for_each_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        seen = hashlib.sha256((await bare.request()).request).digest()
        clients = waiting_calls(bare, monkeypatch)
        waiting = [asyncio.ensure_future(bare.request(seen, 60_000)) for _ in range(2)]
        await until(lambda: clients == [1, 1])
        code, detail = await failure(bare.request(seen, 60_000))
        assert (code.name, detail.reason, detail.retry) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", True)
        async with bare.network.connection(2) as connection:
            other = Bare(bare.network, connection, await metadata_of(connection), 2)
            assert (await other.request()).WhichOneof("news") == "request"
        waiting[0].cancel()
        await until(lambda: clients == [1])
        assert (await bare.request()).WhichOneof("news") == "request"
        waiting[1].cancel()

    play_bare(test, limits=ServiceLimits(calls_per_caller=2))


def test_calls_at_once_are_bounded_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        seen = hashlib.sha256((await bare.request()).request).digest()
        clients = waiting_calls(bare, monkeypatch)
        waiting = [asyncio.ensure_future(bare.request(seen, 60_000)) for _ in range(3)]
        await until(lambda: clients == [1, 1, 1])
        assert (await failure(bare.request()))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        for call in waiting:
            call.cancel()

    play_bare(test, limits=ServiceLimits(calls=3))


def test_a_short_answer_may_be_uploaded_as_well() -> None:
    async def test(bare: Bare) -> None:
        answer = bare.session.receive((await bare.request()).request)
        assert answer is not None
        assert (await bare.upload(header(answer), *chunks(answer, 10))).outcome == ACCEPTED
        # The header alone tells that the server has it: no chunk is needed.
        assert (await bare.upload(header(answer))).outcome == REPEATED
        assert bare.network.session.status().log_entries == 1

    play_bare(test)


class Spied:
    """An upload of the store, and what became of it."""

    def __init__(self, upload: Upload, limit: int) -> None:
        self.upload = upload
        self.limit = limit
        self.end = "open"

    @property
    def received(self) -> int:
        return self.upload.received

    @property
    def sha256(self) -> bytes:
        return self.upload.sha256

    def write(self, chunk: bytes | memoryview) -> None:
        self.upload.write(chunk)

    def commit(self) -> str:
        self.end = "committed"
        return self.upload.commit()

    def discard(self) -> None:
        self.end = "discarded"
        self.upload.discard()


def begun(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> list[Spied]:
    """The uploads that the store begins from now on."""
    uploads: list[Spied] = []
    begin = bare.network.store.begin_upload

    def noted(name: str, limit: int) -> Upload:
        uploads.append(Spied(begin(name, limit), limit))
        return uploads[-1]

    monkeypatch.setattr(bare.network.store, "begin_upload", noted)
    return uploads


def test_an_oversized_upload_is_refused_before_anything_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        uploads = begun(bare, monkeypatch)
        limit = bare.network.session.message_limit
        code, detail = await failure(bare.upload(header(b"", limit + 1), *chunks(bytes(100))))
        assert (code, detail.reason, detail.retry) == (grpc.StatusCode.INVALID_ARGUMENT, "UPLOAD_REFUSED", False)
        code, _ = await failure(bare.upload(header(b"", 2**64 - 1)))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert uploads == []

    play_bare(test)


def test_an_answer_in_one_piece_is_bounded_too() -> None:
    async def test(bare: Bare) -> None:
        code, detail = await failure(bare.answer(bytes(UNARY_ANSWER_BYTES + 1)))
        assert (code, detail.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UPLOAD_REFUSED")
        code, _ = await failure(bare.answer(bytes(4 << 20)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert bare.network.session.status().log_entries == 0

    play_bare(test, length=1_000_000)


def test_an_upload_that_is_not_what_its_header_says_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        uploads = begun(bare, monkeypatch)
        data = bytes(range(256)) * 4
        cases = {
            "damaged": (header(data, digest=bytes(32)), *chunks(data)),
            "too long": (header(data, 1000), *chunks(data)),
            "too short": (header(data, 1030), *chunks(data)),
            "no header": tuple(chunks(data)),
            "nothing": (),
            "two headers": (header(data), header(data)),
            "empty chunk": (header(data), pb.UploadPart(chunk=b"")),
            "short digest": (header(data, digest=b"short"),),
            "large chunk": (header(b"", 2 << 20, bytes(32)), pb.UploadPart(chunk=bytes(MAX_CHUNK_BYTES + 1))),
        }
        found = {}
        for name, parts in cases.items():
            code, detail = await failure(bare.upload(*parts))
            found[name] = (code.name, detail.reason)
        refused, malformed = ("INVALID_ARGUMENT", "UPLOAD_REFUSED"), ("INVALID_ARGUMENT", "MALFORMED")
        assert found == {
            "damaged": ("DATA_LOSS", "UPLOAD_DAMAGED"),
            "too long": refused,
            "too short": refused,
            "no header": malformed,
            "nothing": malformed,
            "two headers": malformed,
            "empty chunk": malformed,
            "short digest": malformed,
            "large chunk": malformed,
        }
        assert len(uploads) >= 6
        assert {upload.end for upload in uploads} == {"discarded"}
        status = bare.network.session.status()
        assert (status.log_entries, status.stored_bytes, status.pending) == (0, 0, 4)

    play_bare(test, length=2_000_000)


@pytest.mark.parametrize(
    ("method", "streams"),
    [
        ("secagg.service.v1.SecureAggregation/Challenge", ""),
        ("secagg.service.v1.SecureAggregation/Answer", ""),
        ("secagg.service.v1.SecureAggregation/UploadAnswer", "requests"),
        ("secagg.service.v1.Administration/GetResult", "replies"),
        ("grpc.health.v1.Health/Check", ""),
        ("grpc.health.v1.Health/Watch", "replies"),
        ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "requests and replies"),
    ],
)
def test_bytes_that_are_no_request_are_malformed_and_fill_no_log(
    method: str, streams: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(bare: Bare) -> None:
        async def sent() -> AsyncIterator[bytes]:
            yield b"\xff\xff\xff"

        kind = "stream" if "requests" in streams else "unary", "stream" if "replies" in streams else "unary"
        async with bare.network.connection(2) as connection:
            call = getattr(connection._channel, "_".join(kind))(f"/{method}")

            def reply() -> Any:
                made = call(sent() if kind[0] == "stream" else b"\xff\xff\xff", metadata=bare.metadata)
                return made.read() if kind[1] == "stream" else made

            code, detail = await failure(told(reply))
        assert (code, detail.reason, detail.retry) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED", False)

    play_bare(test)
    assert caplog.records == []


def test_an_upload_that_pauses_is_cut_off_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        uploads = begun(bare, monkeypatch)
        begin, never = bare.network.store.begin_upload, asyncio.Event()

        def begun_hastily(name: str, limit: int) -> Upload:
            assert bare.network.server.service is not None
            bare.network.server.service.desk._limits = ServiceLimits(stall_seconds=0.1)
            return begin(name, limit)

        monkeypatch.setattr(bare.network.store, "begin_upload", begun_hastily)

        async def stalls() -> AsyncIterator[pb.UploadPart]:
            yield header(bytes(100))
            yield pb.UploadPart(chunk=bytes(10))
            await never.wait()

        code, detail = await failure(bare.stub.UploadAnswer(stalls(), metadata=bare.metadata))
        assert (code, detail.reason, detail.retry) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPLOAD_STALLED", True)
        assert [upload.end for upload in uploads] == ["discarded"]

    play_bare(test)


@pytest.mark.parametrize(
    ("seconds", "size", "fast_enough"), [(10.0, 10_240, True), (10.0, 10_239, False), (9.9, 1, True)]
)
def test_an_upload_that_crawls_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, seconds: float, size: int, fast_enough: bool
) -> None:
    """1024 bytes a second are asked for, from the tenth second on."""

    async def test(bare: Bare) -> None:
        uploads = begun(bare, monkeypatch)
        time = [50.0]
        desk = UploadDesk(ServiceLimits(stall_seconds=9.95, upload_bytes_per_second=1024.0), lambda: time[0])

        async def crawls() -> AsyncIterator[pb.UploadPart]:
            yield header(bytes(11_000), digest=bytes(32))
            time[0] += seconds
            yield pb.UploadPart(chunk=bytes(size))

        with pytest.raises(SecAggError) as caught:
            await take(desk, bare.network.session, 1, crawls())
        assert isinstance(caught.value, UploadRefusedError if fast_enough else CallRefusedError)
        assert ("are slower than 1024 bytes a second" in str(caught.value)) is not fast_enough
        assert [upload.end for upload in uploads] == ["discarded"]

    play_bare(test, length=10_000)


def test_a_connection_that_breaks_during_an_upload_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        uploads = begun(bare, monkeypatch)
        never = asyncio.Event()

        async def hangs() -> AsyncIterator[pb.UploadPart]:
            yield header(bytes(100))
            await never.wait()

        call = bare.stub.UploadAnswer(hangs(), metadata=bare.metadata)
        await until(lambda: [upload.end for upload in uploads] == ["open"])
        call.cancel()
        await until(lambda: uploads[0].end == "discarded")
        # The place of the upload is free again: with one place only, the next one would wait for ever.
        data = b"no message"
        code, detail = await failure(bare.upload(header(data), *chunks(data)))
        assert (code, detail.rule_id) == (grpc.StatusCode.FAILED_PRECONDITION, "S02")

    play_bare(test, clients=5, threshold=3, limits=ServiceLimits(uploads_of_session=1))


def test_one_client_cannot_take_the_place_of_all_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bare: Bare) -> None:
        uploads = begun(bare, monkeypatch)
        never = asyncio.Event()

        async def hangs(size: int) -> AsyncIterator[pb.UploadPart]:
            yield header(bytes(size))
            await never.wait()

        hanging = []
        for size in (100, 101, 102):
            hanging.append(asyncio.ensure_future(failure(bare.stub.UploadAnswer(hangs(size), metadata=bare.metadata))))
            await until(lambda size=size: [upload.limit for upload in uploads][-1:] == [size])  # type: ignore[misc]
        async with bare.network.connection(2) as connection:
            other = Bare(bare.network, connection, await metadata_of(connection), 2)
            data = b"no message"
            _, detail = await failure(other.upload(header(data), *chunks(data)))
        assert detail.rule_id == "S02"
        for call in hanging[:2]:
            code, detail = await call
            assert (code, detail.reason, detail.retry) == (grpc.StatusCode.UNAVAILABLE, "TRY_AGAIN", True)
        assert [upload.end for upload in uploads[:3]] == ["discarded", "discarded", "open"]
        hanging[2].cancel()

    play_bare(test, clients=5, threshold=3, limits=ServiceLimits(uploads=2))


def test_an_upload_that_cannot_count_any_more_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place for an upload is not held for a round that is over."""

    async def test(bare: Bare) -> None:
        uploads = begun(bare, monkeypatch)
        read = 0

        async def goes_on() -> AsyncIterator[pb.UploadPart]:
            nonlocal read
            yield header(bytes(200))
            for read in range(200):
                if read == 3:
                    await bare.network.session.drop(1, DropReason.DID_NOT_ANSWER_IN_TIME, "late")
                yield pb.UploadPart(chunk=b"x")

        receipt = await take(UploadDesk(ServiceLimits()), bare.network.session, 1, goes_on())
        assert (receipt.kind, receipt.reason) == (ReceiptKind.LATE, DropReason.DID_NOT_ANSWER_IN_TIME)
        assert read == 3
        assert [upload.end for upload in uploads] == ["discarded"]

    play_bare(test, clients=5, threshold=3)


def test_a_quota_of_the_host_says_when_to_come_back() -> None:
    async def test(bare: Bare) -> None:
        data = bytes(bare.network.session.message_limit)
        found = []
        for number in range(12):
            code, detail = await failure(bare.upload(header(data, digest=number.to_bytes(32, "big")), *chunks(data)))
            found.append(code.name)
        assert found[0] == "DATA_LOSS"
        assert found[-1] == "RESOURCE_EXHAUSTED"
        assert (detail.reason, detail.retry) == ("QUOTA_EXCEEDED", True)
        assert detail.retry_after_seconds > 1

    play_bare(test, length=100_000, quotas=Quotas(client_bytes_per_second=1000))
