"""Uploads in parts: what is kept, where it goes on, and what ends it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from secagg.hosting import HostReason, HostUnavailableError, Receipt, ReceiptKind, UploadRefusedError
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import ServiceLimits
from secagg.transport.http.parts import PartDesk
from secagg.transport.refusals import CARRIED, CallRefusedError
from tests.transport.grpc.network import Network, run, until

DATA = bytes(range(256)) * 8


def header(data: bytes, digest: bytes | None = None) -> pb.UploadHeader:
    return pb.UploadHeader(total_bytes=len(data), sha256=digest or hashlib.sha256(data).digest())


async def given(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Desk:
    """A session, and the parts of client 1."""

    def __init__(self, network: Network, limits: ServiceLimits) -> None:
        assert network.server.service is not None
        self.session = network.session
        self.network = network
        self.parts = PartDesk(network.server.service.desk, limits)

    async def begin(self, upload: pb.UploadHeader) -> Receipt | int:
        return await self.parts.begin(self.session, 1, upload)

    async def take(self, offset: int, pieces: AsyncIterator[bytes]) -> Receipt | int:
        return (await self.parts.take(self.session, 1, offset, pieces))[1]

    async def refused(self, call: Awaitable[Any]) -> tuple[str, bool]:
        with pytest.raises(CallRefusedError) as caught:
            await call
        return caught.value.refusal.value, caught.value.retry


def play(test: Callable[[Desk], Awaitable[None]], **limits: Any) -> None:
    async def played() -> None:
        bounds = ServiceLimits(**limits)
        async with Network(length=4096) as network:
            desk = Desk(network, bounds)
            before = network.host._tools.space.used
            await test(desk)
            await desk.parts.close()
            # Nothing is kept, and no space is held for it.
            assert (desk.parts._kept, network.host._tools.space.used) == ({}, before)

    run(played())


def test_parts_go_on_where_the_last_one_ended() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        assert await desk.take(0, given(DATA[:100], DATA[100:700])) == 700
        # Announced again, by whoever lost the connection.
        assert await desk.begin(header(DATA)) == 700
        assert await desk.take(700, given(DATA[700:1000])) == 1000
        # A part that comes twice, or early, is not read.
        for wrong in (700, 0, 1001, 1 << 60):
            assert await desk.take(wrong, given(b"never read")) == 1000

    play(test)


def test_another_header_begins_anew() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        assert await desk.take(0, given(DATA[:100])) == 100
        assert await desk.begin(header(DATA[:500])) == 0
        assert await desk.begin(header(DATA)) == 0

    play(test)


def test_bytes_without_their_digest_are_all_sent_again() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        assert await desk.refused(desk.take(0, given(bytes(len(DATA))))) == ("UPLOAD_DAMAGED", True)
        assert await desk.refused(desk.take(0, given(DATA))) == ("TRY_AGAIN", True)
        assert await desk.begin(header(DATA)) == 0
        assert await desk.refused(desk.begin(pb.UploadHeader(total_bytes=1, sha256=b"short"))) == ("MALFORMED", False)

    play(test)


def test_a_part_of_what_was_never_announced() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.refused(desk.take(0, given(DATA))) == ("TRY_AGAIN", True)

    play(test)


def test_who_announces_an_upload_again_ends_the_part_under_way_and_keeps_what_came() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        came, hangs = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield DATA[:300]
            came.set()
            await hangs.wait()

        older = asyncio.create_task(desk.take(0, slowly()))
        await came.wait()
        assert await desk.begin(header(DATA)) == 300
        assert await desk.refused(older) == ("TRY_AGAIN", True)
        assert await desk.take(300, given(DATA[300:400])) == 400

    play(test)


def test_a_part_that_is_cut_off_keeps_what_came() -> None:
    async def test(desk: Desk) -> None:
        async def cut() -> AsyncIterator[bytes]:
            yield DATA[:300]
            raise ConnectionResetError

        assert await desk.begin(header(DATA)) == 0
        with pytest.raises(ConnectionResetError):
            await desk.take(0, cut())
        assert await desk.begin(header(DATA)) == 300

    play(test)


def test_what_is_announced_only_opens_no_file() -> None:
    """Each client of a cohort may announce an upload, without a turn; files are as scarce as turns."""

    async def test(desk: Desk) -> None:
        before = desk.network.host._tools.space.used
        for client in (1, 2, 3):
            assert await desk.parts.begin(desk.session, client, header(DATA)) == 0
        assert (desk.session._uploads, desk.network.host._tools.space.used) == ({}, before)
        for client in (1, 2, 3):
            assert (await desk.parts.take(desk.session, client, 0, given(DATA[:300])))[1] == 300
        # Of those that pause the oldest is forgotten, and no other.
        await until(lambda: (desk.session.name, 1) not in desk.parts._kept)
        assert desk.network.host._tools.space.used == before + 2 * len(DATA)
        assert await desk.begin(header(DATA)) == 0
        for client in (2, 3):
            assert await desk.parts.begin(desk.session, client, header(DATA)) == 300

    play(test, uploads=2)


def test_an_upload_that_goes_on_is_not_among_those_that_pause() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        hangs = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield DATA[:300]
            await hangs.wait()

        assert await desk.take(0, given(DATA[:200])) == 200
        going = asyncio.create_task(desk.take(200, slowly()))
        await until(lambda: desk.parts._kept[desk.session.name, 1].until is not None)
        for client in (2, 3):
            assert await desk.parts.begin(desk.session, client, header(DATA)) == 0
            assert (await desk.parts.take(desk.session, client, 0, given(DATA[:300])))[1] == 300
        hangs.set()
        assert await going == 500
        # It pauses now, as the newest.
        assert await desk.begin(header(DATA)) == 500
        await until(lambda: len(desk.parts._kept) == 1)

    play(test, uploads=1)


def test_an_upload_that_waits_for_its_turn_in_vain_takes_none() -> None:
    """What it waits for may come by another way: the answer is there, and no file is begun for it."""

    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        async with desk.parts._desk.turn(desk.session), desk.parts._desk.turn(desk.session):
            waiting = asyncio.create_task(desk.take(0, given(DATA)))
            await until(lambda: bool(desk.parts._desk._turns._waiting))
            await desk.session.drop(1, HostReason.REVOKED, "gone")
        found = await waiting
        assert isinstance(found, Receipt)
        assert found.kind is ReceiptKind.LATE
        assert desk.session._uploads == {}

    play(test)


def test_an_upload_of_no_bytes_is_one() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(b"")) == 0
        assert isinstance(await desk.take(0, given()), Receipt)

    play(test)


def test_what_is_kept_for_too_long_is_forgotten() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        assert await desk.take(0, given(DATA[:300])) == 300
        await until(lambda: not desk.parts._kept)
        assert await desk.begin(header(DATA)) == 0

    play(test, resume_seconds=0.05)


def test_more_bytes_than_announced_are_refused_by_the_host() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        with pytest.raises(UploadRefusedError, match="announced 2048 bytes and sends more"):
            await desk.take(0, given(DATA, b"a"))
        # The host has let go of it.
        assert await desk.begin(header(DATA)) == 0

    play(test)


def test_a_newer_upload_by_another_transport_ends_it() -> None:
    async def test(desk: Desk) -> None:
        assert await desk.begin(header(DATA)) == 0
        assert await desk.take(0, given(DATA[:300])) == 300
        other = await desk.session.begin_upload(1, len(DATA))
        with pytest.raises(HostUnavailableError, match="has ended; begin another"):
            await desk.take(300, given(DATA[300:]))
        await other.discard()
        assert await desk.begin(header(DATA)) == 0

    play(test)


def test_the_page_has_the_table_of_refusals() -> None:
    page = (Path(__file__).parents[3] / "docs" / "http.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 4]
    assert rows == [
        f"| `{refusal.value}` | {carried.http} | `{carried.code}` |" for refusal, carried in CARRIED.items()
    ]
