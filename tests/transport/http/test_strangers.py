"""What whoever reaches the port can do: nothing is taken in beyond a bound, and nobody keeps a place by being slow."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any, Final

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request

from secagg.errors import ParameterError
from secagg.transport import service_pb2 as pb
from secagg.transport.http import HttpServer
from secagg.transport.http.calls import Around
from secagg.transport.http.contexts import client_context
from secagg.transport.refusals import CARRIED
from secagg.transport.tls import check_origin
from tests.transport.grpc.network import SESSION, client_tls, run, server_tls, until
from tests.transport.grpc.test_answers import metadata_of
from tests.transport.http.lines import HASTY, TYPE, Line, head, token
from tests.transport.http.web import PROTOBUF, Web, detail_in

MIB: Final = 1 << 20


@pytest.mark.parametrize("length", [5000, 10 * MIB, 10**30])
def test_a_login_that_says_it_is_long_is_refused_before_it_is_sent(length: int) -> None:
    async def play() -> None:
        async with Web() as web, Line(web) as line:
            await line.says(head("Login", f"content-length: {length}"))
            heard = await line.hears()
            # A number of 31 digits is none to h11.
            assert heard.startswith(b"HTTP/1.1 400 " if length > 1 << 64 else b"HTTP/1.1 413 ")

    run(play())


def test_a_body_that_does_not_say_how_long_it_is_is_cut_at_the_bound() -> None:
    sent = 0

    async def pieces() -> Any:
        nonlocal sent
        for _ in range(1 << 12):
            sent += 1 << 12
            yield bytes(1 << 12)

    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            try:
                reply = await browser.post("Login", content=pieces(), headers=TYPE)
                assert (reply.status_code, detail_in(reply).reason) == (413, "UPLOAD_REFUSED")
            except httpx.TransportError:
                pass  # hung up in the middle of what it sent
            # What sockets hold between the two, and not the sixteen megabytes that it had.
            assert sent < 15 * MIB

    run(play())


def test_without_a_login_no_long_body_is_read() -> None:
    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            for name in ("GetOffer", "NextRequest", "Answer", "NextSession", "BeginUpload", "UploadPart?offset=0"):
                for bearer in ({}, {"authorization": "Bearer 00"}, {"authorization": "Bearer zz"}):
                    reply = await browser.post(name, content=b"", headers={**TYPE, **bearer})
                    assert (reply.status_code, detail_in(reply).reason) == (401, "TOKEN_UNKNOWN"), name
                    assert detail_in(reply).message
            # It is not even waited for: the refusal comes before the body does.
            async with Line(web) as line:
                await line.says(head("Answer", f"content-length: {MIB}"))
                assert (await line.reader.readline()).startswith(b"HTTP/1.1 401 ")

    run(play())


def test_an_announcement_has_nothing_more_in_it() -> None:
    """It is kept for minutes, unknown fields and all."""

    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            padded = (
                pb.UploadHeader(total_bytes=100, sha256=bytes(32)).SerializeToString() + b"\x7a\xa0\x1f" + bytes(4000)
            )
            headers = {**(await token(web)), **TYPE}
            assert (await browser.post("BeginUpload", content=padded, headers=headers)).status_code == 200
            reply = await browser.post("BeginUpload", content=padded + padded, headers=headers)
            assert (reply.status_code, detail_in(reply).reason) == (413, "UPLOAD_REFUSED")

    run(play())


@pytest.mark.parametrize("name", ["nothing", "Login", "NextSession"])
def test_a_request_that_ends_in_two_places_is_none(name: str) -> None:
    """What a proxy takes for its body, we would take for the next request."""

    async def play() -> None:
        async with Web() as web, Line(web) as line:
            await line.says(
                head(name, "content-length: 50", "transfer-encoding: chunked") + b"0\r\n\r\n" + head("Login")
            )
            heard = await line.hears()
            assert heard.startswith(b"HTTP/1.1 400 ")
            assert heard.count(b"HTTP/1.1 ") == 1

    run(play())


@pytest.mark.parametrize("said", ["nothing", "Answer", "Login"])
def test_a_body_that_breaks_off_into_nonsense_fills_no_log(said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Before its reply, or behind one that did not wait for it."""

    async def play() -> None:
        async with Web() as web, Line(web) as line:
            await line.says(head(said, "transfer-encoding: chunked"))
            if said != "Login":
                assert (await line.reader.readline()).startswith(b"HTTP/1.1 40")
            await line.says(b"nonsense\r\n\r\n")
            heard = await line.hears()
            assert heard.startswith(b"HTTP/1.1 400 ") or said != "Login"
            await until(lambda: web.web._door.open == 0 and not web.server.service.seats._open)  # type: ignore[union-attr]

    with caplog.at_level(logging.ERROR):
        run(play())
    assert caplog.text == ""


def test_who_sends_nonsense_and_does_not_let_go_has_no_other_reply(caplog: pytest.LogCaptureFixture) -> None:
    """TLS ends when both sides say so: until then the call must not go on and reply to what has a reply."""

    async def play() -> None:
        async with Web() as web:
            calls = web.web._door._state.tasks
            reader, writer = await asyncio.open_connection("localhost", web.web_port)
            came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = client_context(client_tls()).wrap_bio(came, goes, server_hostname="localhost")
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(goes.read())
                    came.write(await reader.read(1 << 16))
            tls.write(head("Login", "transfer-encoding: chunked"))
            writer.write(goes.read())
            await until(lambda: bool(calls))
            tls.write(b"nonsense\r\n\r\n")
            writer.write(goes.read())
            await until(lambda: not calls)
            assert web.web._door.open == 1
            writer.transport.abort()

    with caplog.at_level(logging.ERROR):
        run(play())
    assert caplog.text == ""


@pytest.mark.parametrize("path", ["/secagg%2fv1/Challenge", "/secagg/v1%2FChallenge", "/%73ecagg/v1/Challenge", "/%2f"])
def test_a_path_that_is_written_in_signs_is_refused(path: str) -> None:
    """A proxy in front may let pass, or have counted, another one."""

    async def play() -> None:
        async with Web() as web, Line(web) as line:
            asked = pb.ChallengeRequest(client=pb.ClientSubject(session=SESSION, client=1)).SerializeToString()
            said = head("Challenge", f"content-length: {len(asked)}") + asked
            await line.says(said.replace(b"/secagg/v1/Challenge", path.encode()))
            heard = await line.hears()
            assert heard.startswith(b"HTTP/1.1 400 ")
            assert heard.decode().endswith(
                f"the path '{path}' has a percent sign, and no path here does; write it out, as docs/http.md has it"
            )

    run(play())


def test_nobody_is_sent_to_another_host() -> None:
    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            reply = await browser.post("Login/", headers={**TYPE, "host": "evil.example.org"})
            assert (reply.status_code, "location" in reply.headers) == (404, False)

    run(play())


def test_who_waits_behind_a_body_that_is_not_read_has_not_gone() -> None:
    """An answer that is known needs no second upload: its bytes that still come are no good-bye."""

    async def play() -> None:
        came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        request = Request({"type": "http"}, came.get)
        done = asyncio.Event()
        async with Web() as web:
            around = Around(web.server.service)  # type: ignore[arg-type]
            waiting = asyncio.create_task(around.while_there(request, done.wait()))
            for more in (True, True, False):
                await came.put({"type": "http.request", "body": b"a", "more_body": more})
            await until(came.empty)
            await asyncio.sleep(0)
            assert not waiting.done()
            done.set()
            assert await waiting
            await came.put({"type": "http.disconnect"})
            with pytest.raises(ClientDisconnect):
                await around.while_there(request, asyncio.Event().wait())

    run(play())


def test_an_answer_beyond_the_session_is_refused_before_it_is_taken_in() -> None:
    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            headers = {**(await token(web)), **TYPE}
            most = web.session.message_limit
            announced = pb.UploadHeader(total_bytes=most + 1, sha256=bytes(32)).SerializeToString()
            reply = await browser.post("BeginUpload", content=announced, headers=headers)
            assert (reply.status_code, detail_in(reply).reason) == (413, "UPLOAD_REFUSED")
            octets = {**headers, "content-type": "application/octet-stream"}
            reply = await browser.post("UploadPart?offset=0", content=bytes(most + 1), headers=octets)
            assert (reply.status_code, detail_in(reply).reason) == (413, "UPLOAD_REFUSED")
            assert web.session.status().log_entries == 0

    run(play())


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json", "multipart/form-data", "application/x-protobuf2"]
)
def test_what_a_page_can_send_unasked_is_no_body(kind: str) -> None:
    """Types that need no preflight would let any page of any origin call."""

    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            asked = pb.ChallengeRequest(client=pb.ClientSubject(session=SESSION, client=1)).SerializeToString()
            reply = await browser.post("Challenge", content=asked, headers={"content-type": kind})
            assert (reply.status_code, detail_in(reply).reason) == (400, "MALFORMED")
            octets = {**(await token(web)), "content-type": PROTOBUF}
            reply = await browser.post("UploadPart?offset=0", content=b"a", headers=octets)
            assert (reply.status_code, detail_in(reply).reason) == (400, "MALFORMED")

    run(play())


def test_bytes_that_are_no_message_and_calls_that_there_are_not() -> None:
    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            headers = {**(await token(web)), **TYPE}
            for name in ("Challenge", "Login", "GetOffer", "NextRequest", "Answer", "NextSession", "BeginUpload"):
                reply = await browser.post(name, content=b"\xff\xff\xff", headers=headers)
                assert (reply.status_code, detail_in(reply).reason) == (400, "MALFORMED"), name
            for offset in ("", "-1", "1.5", "x" * 1000, "٣", "9" * 21):
                octets = {**headers, "content-type": "application/octet-stream"}
                reply = await browser.post("UploadPart", params={"offset": offset}, content=b"a", headers=octets)
                assert (reply.status_code, detail_in(reply).reason) == (400, "MALFORMED"), offset
            for name in ("ListSessions", "CreateSession", "", "../v1"):
                assert (await browser.post(name, headers=headers)).status_code == 404
            assert (await browser.get("Challenge")).status_code == 405

    run(play())


def test_a_login_for_another_server_name_key_or_session() -> None:
    """The rules are those of gRPC: what is signed has server, session, client and nonce in it."""

    async def play() -> None:
        async with Web() as web:
            outsider = web.identities[2]
            for changes, refusal in (
                ({"identity": outsider}, "SIGNATURE_INVALID"),
                ({"identity": None}, "SERVER_NAME_WRONG"),
            ):
                async with web.browser() as browser:
                    subject = pb.ChallengeRequest(client=pb.ClientSubject(session=SESSION, client=1))
                    nonce = pb.ChallengeReply.FromString(
                        (await browser.post("Challenge", content=subject.SerializeToString(), headers=TYPE)).content
                    ).nonce
                    name = "localhost" if changes["identity"] else "elsewhere.example.org"
                    login = pb.LoginRequest(nonce=nonce, server_name=name, signature=outsider.sign(nonce))
                    reply = await browser.post("Login", content=login.SerializeToString(), headers=TYPE)
                    assert (reply.status_code, detail_in(reply).reason) == (401, refusal)
            async with web.browser() as browser:
                for session, client, reason in (("none", 1, "UNKNOWN_SESSION"), (SESSION, 99, "NOT_IN_COHORT")):
                    asked = pb.ChallengeRequest(client=pb.ClientSubject(session=session, client=client))
                    reply = await browser.post("Challenge", content=asked.SerializeToString(), headers=TYPE)
                    assert detail_in(reply).reason == reason

    run(play())


def test_an_operator_is_nobody_over_http() -> None:
    async def play() -> None:
        async with Web() as web, web.admin() as operator:
            metadata = dict(await metadata_of(operator._connection))
            async with web.browser() as browser:
                for name in ("GetOffer", "NextRequest", "Answer", "BeginUpload"):
                    content = pb.UploadHeader(sha256=bytes(32)).SerializeToString() if name == "BeginUpload" else b""
                    reply = await browser.post(name, content=content, headers={**metadata, **TYPE})
                    assert (reply.status_code, detail_in(reply).reason) == (403, "NOT_IN_COHORT"), name

    run(play())


def test_an_upload_that_pauses_is_refused_and_goes_on_later() -> None:
    async def play() -> None:
        async with Web(length=300_000) as web, web.browser() as browser:
            web.web._application._parts._limits = HASTY
            headers = {**(await token(web)), **TYPE}
            octets = "content-type: application/octet-stream"
            announced = pb.UploadHeader(total_bytes=1000, sha256=bytes(32)).SerializeToString()
            begun = await browser.post("BeginUpload", content=announced, headers=headers)
            assert pb.UploadReply.FromString(begun.content).WhichOneof("so_far") == "received_bytes"
            async with Line(web) as line:
                bearer = f"authorization: {headers['authorization']}"
                said = head("UploadPart?offset=0", bearer, "content-length: 1000").replace(
                    f"content-type: {PROTOBUF}".encode(), octets.encode()
                )
                await line.says(said + bytes(400))
                assert (await line.hears()).startswith(b"HTTP/1.1 408 ")
            begun = await browser.post("BeginUpload", content=announced, headers=headers)
            assert pb.UploadReply.FromString(begun.content).received_bytes == 400

    run(play())


def test_pages_of_listed_origins_may_call_and_no_others() -> None:
    async def play() -> None:
        async with Web(origins=["https://app.example.org"]) as web, web.browser() as browser:

            async def preflight(origin: str) -> httpx.Response:
                asked = {
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "authorization,content-type",
                }
                return await browser.options("Challenge", headers=asked)

            let = await preflight("https://app.example.org")
            assert let.status_code == 200
            assert let.headers["access-control-allow-origin"] == "https://app.example.org"
            assert "access-control-allow-credentials" not in let.headers
            for origin in ("https://evil.example.org", "null", "https://app.example.org.evil.org"):
                refused = await preflight(origin)
                assert refused.status_code == 400
                assert refused.headers["vary"].startswith("Origin")
                assert (
                    refused.text == f"pages of '{origin}' may not call this server; [http] origins lists those that may"
                )
                assert "access-control-allow-origin" not in refused.headers
            asked = pb.ChallengeRequest(client=pb.ClientSubject(session=SESSION, client=1)).SerializeToString()
            from_page = {**TYPE, "origin": "https://app.example.org"}
            reply = await browser.post("Challenge", content=asked, headers=from_page)
            assert reply.headers["access-control-allow-origin"] == "https://app.example.org"
            assert reply.headers["cache-control"] == "no-store"
            assert "server" not in reply.headers
        async with Web() as web, web.browser() as browser:
            asking = {"origin": "https://app.example.org", "access-control-request-method": "POST"}
            reply = await browser.options("Challenge", headers=asking)
            assert "access-control-allow-origin" not in reply.headers
            assert (reply.status_code, reply.text) == (
                400,
                "pages of 'https://app.example.org' may not call this server; [http] origins lists those that may",
            )

    run(play())


def test_a_page_that_asks_for_what_no_call_takes_is_told_what_calls_take() -> None:
    async def play() -> None:
        async with Web(origins=["https://app.example.org"]) as web, web.browser() as browser:
            asked = {
                "origin": "https://app.example.org",
                "access-control-request-method": "PUT",
                "access-control-request-headers": "content-type,x-mine",
            }
            reply = await browser.options("Challenge", headers=asked)
            assert (reply.status_code, reply.text) == (
                400,
                "pages may not call with 'PUT' and headers 'content-type,x-mine'; send POST and no headers but Accept, "
                "Accept-Language, Content-Language, Content-Type, authorization, content-type, traceparent, tracestate",
            )
            asked |= {
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type,traceparent,tracestate",
            }
            assert (await browser.options("Challenge", headers=asked)).status_code == 200

    run(play())


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "", "app.example.org", "https://app.example.org/", "https://a@b.org", "https://App.example.org"),
        *("ftp://app.example.org", "https://app.example.org:99999", "https://", "https://a.org/path"),
        *("https://*.example.org", "https://app.example.org:443", "http://app.example.org:80", "https://a b.org"),
        *("https://münchen.example.org", "https://app.example.org ", "https://app.example.org:", "https://a,b"),
    ],
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ParameterError, match="is no origin"):
        check_origin(origin)


def test_every_refusal_has_a_status_of_a_client_or_of_the_server() -> None:
    assert {carried.http // 100 for carried in CARRIED.values()} == {4, 5}
    # What a browser asks again by itself, without us, or sends elsewhere, is none of them.
    assert not {carried.http for carried in CARRIED.values()} & {407, 421, 425, 511}


def test_a_port_that_is_taken_and_plaintext_beyond_loopback() -> None:
    async def play() -> None:
        async with Web() as web:
            service = web.server.service
            assert service is not None
            with pytest.raises(ParameterError, match="cannot be listened on"):
                await HttpServer(service, f"localhost:{web.web_port}", tls=server_tls()).start()
            with pytest.raises(ParameterError, match="loopback"):
                HttpServer(service, "0.0.0.0:0", insecure=True)
            with pytest.raises(ParameterError, match="no TLS"):
                HttpServer(service, "localhost:0")

    run(play())


def test_what_is_wrong_about_requests_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with Web() as web:
            for said in (b"nonsense\r\n\r\n", head("Login", "connection: upgrade", "upgrade: websocket")):
                async with Line(web) as line:
                    await line.says(said + b"\r\n")
                    line.writer.write_eof() if line.writer.can_write_eof() else None
                    await line.reader.read(100)

    with caplog.at_level(logging.WARNING):
        run(play())
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
