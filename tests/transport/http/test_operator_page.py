"""The page of operators: shown where it is asked for, to whoever has a token that can look and do nothing else."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import threading
from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest
from google.protobuf import json_format

from secagg import IdentityKey, ParameterError
from secagg.errors import AbortReason, DropReason
from secagg.hosting import HostObserver, HostReason
from secagg.identity.fingerprints import fingerprint
from secagg.transport import service_pb2 as pb
from secagg.transport.grpc import Refusal, ServiceError
from secagg.transport.grpc.service_pb2_grpc import AdministrationStub
from secagg.transport.http.operator_link import operator_link
from secagg.transport.http.operator_page import _FILES
from secagg.transport.operator_views import OperatorViews
from secagg.transport.rights import LEAST_ROLE, Role
from tests.transport.grpc.network import QUICK, SESSION, client_tls, failure, run
from tests.transport.http.made_up import MadeUpHost, made_up
from tests.transport.http.web import Web

PATHS: Final = (*(f"/operator{path}" for path in _FILES), "/operator/reasons.json")
CALLS: Final = ("ListSessions", "GetStatus")
JSON: Final = {"content-type": "application/json"}


async def link(web: Web, key: IdentityKey | None = None) -> str:
    return await operator_link(web.url, identity=key or web.operator, tls=client_tls(), retry=QUICK)


async def reading(web: Web, key: IdentityKey | None = None) -> dict[str, str]:
    """The headers of a page that was opened by a link."""
    _, _, token = (await link(web, key)).partition("#")
    return {**JSON, "authorization": f"Bearer {token}"}


async def ask(browser: httpx.AsyncClient, call: str, headers: Mapping[str, str], **request: Any) -> Any:
    reply = await browser.post(call, headers=headers, content=json.dumps(request))
    assert reply.headers["content-type"] == "application/json"
    return reply.json()


def test_nothing_of_it_is_there_unless_configured() -> None:
    async def play() -> None:
        async with Web() as web, web.browser() as browser:
            assert {(await browser.get(path)).status_code for path in (f"{web.url}{each}" for each in PATHS)} == {404}
            assert {(await browser.post(call, headers=JSON, content="{}")).status_code for call in CALLS} == {404}
            with pytest.raises(ParameterError, match=r"shows no page .* operator_page = true in"):
                await link(web)

    run(play())


def test_whatever_is_shown_is_under_a_strict_policy_and_loads_its_own_only() -> None:
    async def play() -> None:
        async with Web(operator_page=True) as web, web.browser() as browser:
            for path in PATHS:
                reply = await browser.get(f"{web.url}{path}")
                assert reply.status_code == 200
                policy = dict(each.split(" ", 1) for each in reply.headers["content-security-policy"].split("; "))
                assert {name for name, allowed in policy.items() if allowed == "'none'"} == {
                    *("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types")
                }
                assert {name for name, allowed in policy.items() if allowed == "'self'"} == {
                    *("script-src", "style-src", "connect-src", "img-src")
                }
                assert policy["require-trusted-types-for"] == "'script'"
                assert reply.headers["x-content-type-options"] == "nosniff"
                assert reply.headers["cache-control"] == "no-store"
                assert reply.headers["referrer-policy"] == "no-referrer"
                away = re.findall(r"https?://[^\s\"'`<>$]+", reply.text)
                assert set(away) <= {"http://www.w3.org/2000/svg"}, path
                assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(| on\w+=", reply.text)
            page = (await browser.get(f"{web.url}/operator")).text
            named = {f"/{each}" for each in re.findall(r'(?:src|href)="([^"#]+)"', page)}
            assert named <= set(PATHS)

    run(play())


def test_reasons_are_said_by_their_names() -> None:
    async def play() -> None:
        async with Web(operator_page=True) as web, web.browser() as browser:
            said = (await browser.get(f"{web.url}/operator/reasons.json")).json()
            assert set(said) == {each.value for kind in (DropReason, HostReason, AbortReason) for each in kind}
            assert said["S01"] == "did not answer in time"

    run(play())


class Told(HostObserver):
    """Remembers who logged in."""

    def __init__(self) -> None:
        self.logins: list[str] = []

    def logged_in(self, actor: str, session: str, client: int | None) -> None:
        self.logins.append(actor)


def test_a_link_shows_what_its_operator_would_see_and_its_login_is_told() -> None:
    async def play() -> None:
        told = Told()
        async with Web(operator_page=True, observer=told) as web, web.browser() as browser, web.admin() as admin:
            headers = await reading(web)
            assert told.logins == [fingerprint(web.operator.public)]
            status = await ask(browser, "GetStatus", headers, session=SESSION)
            (listed,) = (await ask(browser, "ListSessions", headers, page_size=10))["statuses"]
            assert {**status, "seconds_left": 0} == {**listed, "seconds_left": 0}
            seen = await admin.status(SESSION)
            assert (status["session"], status["state"], status["clients"]) == (SESSION, seen.state, str(seen.clients))
            assert 0 < status["seconds_left"] <= web.schedule.seconds[next(iter(web.schedule.seconds))]
            assert (status["dropped"], status["blame"], status["result_ready"]) == ([], [], False)

    run(play())


def test_a_token_for_looking_changes_nothing_whatever_its_operator_may() -> None:
    """Over gRPC, which has every call, its role is too low; over HTTP there is no such call."""

    async def play() -> None:
        async with Web(operator_page=True) as web, web.browser() as browser, web.admin() as admin:
            headers = await reading(web)
            metadata = (("authorization", headers["authorization"]),)
            stub: AdministrationStub = admin._connection.administration
            for call, least in LEAST_ROLE.items():
                kind = getattr(pb, f"{call}Request")
                needed = {"session": SESSION} if "session" in kind.DESCRIPTOR.fields_by_name else {}
                made = getattr(stub, call)(kind(**needed), metadata=metadata)
                answer = made.read() if hasattr(made, "read") else made
                if least is not Role.VIEWER:
                    assert (await failure(answer))[1].reason == "ROLE_TOO_LOW"
                elif call == "GetEvidence":  # of nobody
                    assert (await failure(answer))[1].reason == "UNKNOWN_CLIENT"
                else:
                    assert await answer
                made.cancel()
                reply = await browser.post(call, headers=headers, content=json.dumps(needed))
                assert reply.status_code == (200 if call in CALLS else 404)
            assert web.session.status().state == "advertise_keys"
            assert [status.name for status in web.host.statuses("")] == [SESSION]

    run(play())


def test_a_token_ends_with_its_operator() -> None:
    async def play() -> None:
        async with Web(operator_page=True) as web, web.browser() as browser:
            headers = await reading(web)
            assert (await ask(browser, "ListSessions", headers))["sessions"] == [SESSION]
            web.server.change(tls=None, operators={})
            assert (await ask(browser, "ListSessions", headers))["reason"] == "NOT_AN_OPERATOR"
            with pytest.raises(ServiceError, match="no operator's here") as caught:
                await link(web)
            assert caught.value.refusal is Refusal.NOT_AN_OPERATOR

    run(play())


def test_nobody_else_is_shown_anything() -> None:
    async def play() -> None:
        web = Web(operator_page=True)
        other = web.add_operator(Role.ADMIN, "elsewhere")
        async with web, web.browser() as browser, web.bare() as client:
            assert (await ask(browser, "ListSessions", JSON))["reason"] == "TOKEN_UNKNOWN"
            wrong = {**JSON, "authorization": f"Bearer {'0' * 200}"}
            assert (await ask(browser, "ListSessions", wrong))["reason"] == "TOKEN_UNKNOWN"
            theirs = {**JSON, "authorization": f"Bearer {await client._logged_in()}"}
            assert (await ask(browser, "GetStatus", theirs, session=SESSION))["reason"] == "NOT_AN_OPERATOR"
            headers = await reading(web, other)
            assert (await ask(browser, "ListSessions", headers))["sessions"] == []
            assert (await ask(browser, "GetStatus", headers, session=SESSION))["reason"] == "UNKNOWN_SESSION"

    run(play())


NO_CALLS: Final = (
    (b"{", "application/json", "MALFORMED"),
    (b"[" * 4000, "application/json", "MALFORMED"),
    (b'{"sessions": "\xff"}', "application/json", "MALFORMED"),
    (b'{"page_size": -1}', "application/json", "MALFORMED"),
    (b'{"states": ["asleep"]}', "application/json", "MALFORMED"),
    (b'{"unknown": 1}', "application/json", "MALFORMED"),
    (b"{}", "text/plain", "MALFORMED"),
    (b"", "application/x-protobuf", "MALFORMED"),
    (b" " * 5000, "application/json", "UPLOAD_REFUSED"),
)


def test_what_is_no_call_is_refused_in_a_sentence() -> None:
    async def play() -> None:
        async with Web(operator_page=True) as web, web.browser() as browser:
            headers = await reading(web)
            for content, kind, reason in NO_CALLS:
                reply = await browser.post("ListSessions", headers={**headers, "content-type": kind}, content=content)
                assert reply.json()["reason"] == reason, content[:40]
                assert len(reply.json()["message"]) > 20

    run(play())


def test_pages_begin_with_the_newest_and_leave_contributors_out() -> None:
    async def play() -> None:
        async with Web(operator_page=True) as web, web.browser() as browser:
            await web.everybody()
            await web.session.wait_ended()
            names = [SESSION, *(f"later-{index}" for index in range(4))]
            for name in names[1:]:
                web.clock.advance(1.0)
                await web.host.create(name, web.parameters.renew(), roster=web.enrolled, schedule=web.schedule)
            headers = await reading(web)
            shown: list[str] = []
            request = {"page_size": 2, "newest_first": True, "without_contributors": True}
            token = ""
            while True:
                page = await ask(browser, "ListSessions", headers, **request, page_token=token)
                shown += [status["session"] for status in page["statuses"]]
                assert ["contributors" in status for status in page["statuses"]] == [False] * len(page["statuses"])
                token = page["next_page_token"]
                if not token:
                    break
            assert shown == names[::-1]
            running = await ask(browser, "ListSessions", headers, page_size=9, states=["advertise_keys"])
            assert [status["session"] for status in running["statuses"]] == names[1:]
            one = await ask(browser, "GetStatus", headers, session=SESSION)
            assert one["contributors"]["clients"] == [str(client) for client in web.ids]

    run(play())


def test_places_of_a_page_are_not_those_of_its_operator() -> None:
    """Whoever has the link can keep the page busy, and not the operator."""

    async def play() -> None:
        async with Web(operator_page=True) as web, web.admin() as admin:
            service = web.server.service
            assert service is not None
            caller = await service.gatekeeper.caller(bytes.fromhex((await reading(web))["authorization"][7:]))
            for _ in range(web.limits.calls_per_caller):
                service.seats.take(caller, "")
            async with web.browser() as browser:
                refused = await ask(browser, "ListSessions", await reading(web))
            assert refused["reason"] == "QUOTA_EXCEEDED"
            assert (await admin.status(SESSION)).name == SESSION

    run(play())


def test_nobody_waits_while_a_long_list_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a link could stop the server for seconds by a few calls at once."""
    ids = tuple(range(1, 5000))
    known = [made_up(f"round-{index}", "completed", index, contributors=ids) for index in range(2)]
    began, go_on = asyncio.Event(), threading.Event()
    at_once: list[int] = []
    written = json_format.MessageToJson

    def slow(loop: asyncio.AbstractEventLoop, *arguments: Any, **options: Any) -> Any:
        at_once.append(1)
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(60)
        assert sum(at_once) == 1
        at_once.append(-1)
        return written(*arguments, **options)

    async def play() -> None:
        async with Web(operator_page=True) as web, web.browser() as browser:
            headers = await reading(web)
            assert web.server.service is not None
            web.server.service.views = OperatorViews(MadeUpHost(known), web.server.service.admission)  # type: ignore[arg-type]
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(json_format, "MessageToJson", functools.partial(slow, loop))
            asked = [asyncio.create_task(ask(browser, "ListSessions", headers, page_size=9)) for _ in range(3)]
            await began.wait()
            assert (await browser.get(f"{web.url}/operator")).status_code == 200
            go_on.set()
            for reply in await asyncio.gather(*asked):
                assert [len(status["contributors"]["clients"]) for status in reply["statuses"]] == [len(ids)] * 2

    run(play())
