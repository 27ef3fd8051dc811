"""Connections and calls of whoever reaches the port: nobody keeps a place by being slow, and none keeps others out."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import Participation, ServiceLimits
from secagg.transport.http.door import PLACE, Place
from secagg.transport.seats import STRANGERS
from tests.transport.grpc.network import SESSION, run, until
from tests.transport.http.lines import HASTY, TYPE, Line, head, token
from tests.transport.http.web import Web, detail_in


@pytest.mark.parametrize(
    "said",
    [b"", b"POST /secagg/v1/Login HTTP/1.1\r\nhost: localhost\r\n", head("Challenge", "content-length: 100") + b"abc"],
    ids=["nothing", "half a head", "half a body"],
)
def test_who_is_slow_is_hung_up_on(said: bytes) -> None:
    async def play() -> None:
        async with Web(limits=HASTY) as web:
            async with Line(web) as line:
                await line.says(said)
                heard = await line.hears()
                assert heard == b"" or heard.startswith(b"HTTP/1.1 400 ")
            await until(lambda: web.web._door.open == 0)

    run(play())


def test_a_head_that_comes_a_byte_at_a_time_has_no_more_time() -> None:
    async def play() -> None:
        async with Web(limits=HASTY) as web, Line(web) as line:

            async def drip() -> None:
                while True:
                    await line.says(b"x")
                    await asyncio.sleep(0.01)

            await line.says(b"POST /secagg/v1/Login HTTP/1.1\r\nhost: localhost\r\nx-long: ")
            dripping = asyncio.create_task(drip())
            assert await line.hears() == b""
            dripping.cancel()
            await asyncio.wait([dripping])

    run(play())


def test_a_head_beyond_the_bound_and_what_is_no_http() -> None:
    async def play() -> None:
        async with Web() as web:
            for said in (head("Login", "x-long: " + "x" * (1 << 15))[:-4], b"\x16\x03\x01" + bytes(100) + b"\r\n\r\n"):
                async with Line(web) as line:
                    await line.says(said)
                    heard = await line.hears()
                    assert heard == b"" or heard.startswith(b"HTTP/1.1 4")

    run(play())


def test_a_handshake_that_never_ends_keeps_no_place() -> None:
    async def play() -> None:
        async with Web(limits=HASTY) as web:
            reader, writer = await asyncio.open_connection("localhost", web.web_port)
            await until(lambda: web.web._door.open == 1)
            assert await reader.read() == b""
            writer.close()
            await until(lambda: web.web._door.open == 0)

    run(play())


async def opened(web: Web, address: str, count: int) -> list[asyncio.StreamReader]:
    """Connections from an address of loopback, which say nothing."""
    found = [await asyncio.open_connection("127.0.0.1", web.web_port, local_addr=(address, 0)) for _ in range(count)]
    web.kept += [writer for _, writer in found]
    return [reader for reader, _ in found]


async def refused(web: Web, address: str, count: int) -> int:
    """How many of so many connections from an address are closed at once; the others stay."""
    before = web.web._door.open
    told = [asyncio.create_task(reader.read()) for reader in await opened(web, address, count)]
    await until(lambda: sum(each.done() for each in told) + web.web._door.open - before == count)
    closed = sum(each.done() for each in told)
    for each in told:
        each.cancel()
    await asyncio.gather(*told, return_exceptions=True)
    return closed


def test_many_connections_of_one_address_leave_room_for_others() -> None:
    """One has half of all, a second half of the rest, and so on; a few are told why there are no more."""

    async def play() -> None:
        async with Web(limits=ServiceLimits(connections=20)) as web:
            assert await refused(web, "127.0.0.1", 60) == 60 - 10 - 1
            assert await refused(web, "127.0.0.2", 60) == 60 - 5
            assert await refused(web, "127.0.0.3", 60) == 60 - 2
            for address in ("127.0.0.4", "127.0.0.5"):
                assert await refused(web, address, 5) == 5 - 1
            assert web.web._door.open == 20
            for writer in web.kept:
                writer.close()
            await until(lambda: web.web._door.open == 0)
            assert not web.web._door._counted
            assert not web.web._door._told
            outcomes = await web.everybody(server=web.url)
            assert all(isinstance(each, Participation) for each in outcomes.values()), outcomes

    run(play())


def test_who_logged_in_has_eight_connections_and_the_rest_are_of_its_address() -> None:
    """An enrolled liar could have them all."""

    async def play() -> None:
        async with Web(limits=ServiceLimits(connections=20)) as web:
            door = web.web._door
            headers = {**(await token(web)), **TYPE}
            browsers = [web.browser() for _ in range(8 + 6)]
            try:
                statuses = [(await each.post("GetOffer", headers=headers)).status_code for each in browsers]
                # Six others are free: that is as many as are not its own.
                assert (statuses, door.open) == ([200] * 14, 14)
                assert sorted(door._counted.values()) == [6, 8]
                assert await refused(web, "127.0.0.1", 3) == 3 - 1
            finally:
                for each in browsers:
                    await each.aclose()

    run(play())


def test_who_hangs_up_while_its_token_is_looked_at_counts_for_nobody() -> None:
    """Each would otherwise be taken from the count of its address, and stay in that of its caller."""
    counted: Counter[Any] = Counter()
    place = Place(counted, "127.0.0.1", 0)
    Place(counted, "127.0.0.1", 0).admit("caller")
    place.leave()
    place.admit("caller")
    assert counted == {"caller": 1}


def test_a_cohort_behind_one_address_has_all_connections_once_it_has_logged_in() -> None:
    """A balancer, or a NAT: whoever is not a stranger counts for itself, and not for its address."""

    async def play() -> None:
        async with Web(clients=18, limits=ServiceLimits(connections=20)) as web:
            outcomes = await web.everybody(server=web.url)
            assert all(isinstance(each, Participation) for each in outcomes.values()), outcomes
            web.assert_exact(await web.sum())
            await until(lambda: web.web._door.open == 0)
            assert not web.web._door._counted

    run(play())


def test_whoever_has_too_many_connections_is_told_how_many() -> None:
    async def play() -> None:
        async with Web(connections_per_address=3, plain=True) as web:
            readers = await opened(web, "127.0.0.1", 3)
            await until(lambda: web.web._door.open == 3)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.web_port}/secagg/v1/") as browser:
                for name in ("Challenge", "GetOffer", "UploadPart?offset=0"):
                    reply = await browser.post(name, content=b"", headers=TYPE)
                    detail = detail_in(reply)
                    assert (reply.status_code, detail.reason, detail.retry) == (429, "QUOTA_EXCEEDED", True)
                    assert detail.message == (
                        "connections open from this address, without a login: 3, as many as may be; close some, or "
                        "have the operator raise http.connections_per_address"
                    )
                await until(lambda: web.web._door.open == 3)
                web.kept[0].close()
                await until(lambda: web.web._door.open == 2)
                assert (await browser.post("Challenge", content=b"", headers=TYPE)).status_code == 400
                assert (await browser.post("Challenge", content=b"", headers=TYPE)).status_code == 400
            assert all(not reader.at_eof() for reader in readers[1:])

    run(play())


def test_who_is_slow_with_a_login_keeps_nobody_else_out() -> None:
    """Their bodies may take half a minute: until one is there, its call has no place."""

    async def play() -> None:
        async with Web(limits=ServiceLimits(calls=16, stall_seconds=600.0)) as web:
            lines = [Line(web) for _ in range(8)]
            for line in lines:
                await line.__aenter__()
                await line.says(head("Challenge", "content-length: 100") + b"half")
            heard = [asyncio.create_task(line.reader.read(1)) for line in lines]
            calls = web.web._door._state.tasks
            await until(lambda: len(calls) == len(lines) or any(each.done() for each in heard))
            assert not any(each.done() for each in heard)
            async with web.browser() as browser:
                asked = pb.ChallengeRequest(client=pb.ClientSubject(session=SESSION, client=1)).SerializeToString()
                assert (await browser.post("Challenge", content=asked, headers=TYPE)).status_code == 200
            assert not any(each.done() for each in heard)
            for line in lines:
                await line.__aexit__()
            await asyncio.gather(*heard, return_exceptions=True)
            await until(lambda: not calls)

    run(play())


def test_logins_without_end_have_the_places_of_strangers_only() -> None:
    async def play() -> None:
        async with Web(limits=ServiceLimits(calls=16)) as web:
            headers = {**(await token(web)), **TYPE}
            service = web.server.service
            assert service is not None
            taken = [service.seats.take(STRANGERS, f"192.0.2.{machine}") for machine in range(4)]
            async with web.browser() as browser:
                reply = await browser.post("Challenge", content=b"", headers=TYPE)
                assert (reply.status_code, detail_in(reply).reason) == (429, "QUOTA_EXCEEDED")
                assert (detail_in(reply).retry, reply.headers["retry-after"]) == (True, "1")
                assert (await browser.post("GetOffer", content=b"", headers=headers)).status_code == 200
            for each in taken:
                service.seats.give_back(each)

    run(play())


def test_whoever_does_not_read_replies_has_no_more_of_them_than_places() -> None:
    """Each is in memory until it is read: requests and offers of large cohorts have megabytes."""

    async def play() -> None:
        async with Web(limits=ServiceLimits(calls_per_caller=3)) as web:
            headers = [(name.encode(), value.encode()) for name, value in {**(await token(web)), **TYPE}.items()]
            path = "/secagg/v1/GetOffer"
            scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": headers}
            scope["query_string"] = b""
            scope["state"] = {PLACE: Place(Counter(), "127.0.0.1", 0)}
            begun: list[int] = []
            reads = asyncio.Event()

            def request() -> Callable[[], Awaitable[dict[str, Any]]]:
                """One without a body, of somebody who does not hang up."""
                said = [{"type": "http.request", "body": b""}]

                async def receive() -> dict[str, Any]:
                    if not said:
                        await asyncio.Event().wait()
                    return said.pop()

                return receive

            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    begun.append(message["status"])
                    await reads.wait()

            app = web.web._application.asgi
            slow = [asyncio.create_task(app(dict(scope), request(), send)) for _ in range(3)]
            await until(lambda: begun == [200] * 3)
            async with web.browser() as browser:
                shown = {name.decode(): value.decode() for name, value in headers}
                assert (await browser.post("GetOffer", headers=shown)).status_code == 429
                reads.set()
                await asyncio.gather(*slow)
                assert (await browser.post("GetOffer", headers=shown)).status_code == 200
            assert not web.server.service.seats._open  # type: ignore[union-attr]

    run(play())


def test_a_client_that_hangs_up_while_it_waits_gives_its_place_back() -> None:
    async def play() -> None:
        async with Web() as web:
            headers = {**(await token(web)), **TYPE}
            seats = web.server.service.seats._open  # type: ignore[union-attr]
            async with web.browser() as browser:
                first = pb.NextRequestReply.FromString((await browser.post("NextRequest", headers=headers)).content)
                seen = hashlib.sha256(first.request).digest()
                asked = pb.NextRequestRequest(seen=seen, wait_milliseconds=60_000).SerializeToString()
                waiting = asyncio.create_task(browser.post("NextRequest", content=asked, headers=headers))
                await until(lambda: sum(seats.values()) == 1)
                waiting.cancel()
                await until(lambda: not seats)

    run(play())
